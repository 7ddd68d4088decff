// Labels to flux: the chunks of a band as one, as in starloom/networks/band_emulator.py.

import { Chunk, ROUNDING } from "./chunk.js";
import { Correction } from "./correction.js";
import { meaning } from "./roles.js";
import { StatedError } from "./stated.js";
import { airFromVacuum, dopplerShift, rank, vacuumFromAir } from "./wavelength.js";

const FAMILY = "emulator";

export class Emulator {
  #more = new Float64Array(0); // of a second chunk
  /**
   * From a weights file (see readWeights) and the page's facts. Where the file is all of the model it has the network
   * of its one chunk; else each chunk takes its own when it comes. `correction` is the weights file of one, or null.
   */
  constructor({ description, tensors }, facts, correction = null) {
    const { header, networks } = description;
    if (header.family !== FAMILY) throw new Error(`a model of the family ${header.family} is no ${FAMILY}`);
    this.header = header;
    this.c = facts.speed_of_light_kms;
    const { intrinsic, rotation, filling } = facts;
    const shared = { c: this.c, intrinsic, rotation, filling, meaning: meaning(facts.roles), modesResolution: header.settings.modes_resolution };
    this.chunks = facts.finish.map((finish) => new Chunk(finish, shared));
    for (const chunk of this.chunks) if (networks[chunk.finish.network]) chunk.take({ description, tensors });
    this.range = [facts.finish[0].kept_aa[0], facts.finish.at(-1).kept_aa[1]]; // vacuum wavelengths [A]
    const own = wavelengths(header.points);
    this.vacuumAa = header.points.medium === "air" ? own.map(vacuumFromAir) : own;
    this.airAa = header.points.medium === "air" ? own : own.map(airFromVacuum);
    this.sampler = this.at(this.vacuumAa);
    this.stated = StatedError.of(description, tensors, this, facts);
    this.correction = correction && new Correction(correction, facts.correction, this.c);
  }

  /** Whether only a part of the wavelengths is computed, that which is looked at. */
  get inParts() {
    return this.chunks.length > 1;
  }

  /** Where a spectrum is wanted: increasing vacuum wavelengths [A]; how a chunk gives it is worked out when it is needed. */
  at(vacuum) {
    const made = [];
    const part = (number) => (made[number] ??= this.chunks[number].at(vacuum));
    return { vacuum, count: vacuum.length, part };
  }

  /**
   * Normalised flux for labels by name and a radial velocity [km/s], of the points from `first` to before `last`; NaN
   * elsewhere, and where the model does not know it or has not loaded it.
   */
  flux(labels, velocity = 0, sampler = this.sampler, out = new Float64Array(sampler.count), first = 0, last = sampler.count) {
    out.fill(NaN);
    for (const share of this.shares(labels, velocity, sampler, first, last)) {
      if (this.loaded(share)) this.fill(labels, velocity, sampler, out, share);
    }
    return out;
  }

  /** Whether all chunks of one of `shares` are there. */
  loaded({ numbers }) {
    return numbers.every((number) => this.chunks[number].loaded);
  }

  /** The flux of one of `shares`, whose chunks are loaded: their lines add up, see BandEmulator in Python. */
  fill(labels, velocity, sampler, out, { numbers, from, to }) {
    numbers.forEach((number, place) => {
      const { start, sample } = sampler.part(number);
      const flux = this.#fluxOf(number, labels, velocity);
      if (place === 0) return sample(flux, out.subarray(start), from - start, to - start);
      if (this.#more.length < sampler.count) this.#more = new Float64Array(sampler.count);
      sample(flux, this.#more.subarray(start), from - start, to - start);
      for (let i = from; i < to; i++) out[i] += this.#more[i] - 1;
    });
    this.correction?.apply(labels, velocity, sampler.vacuum, out, from, to);
  }

  /** A chunk's flux on its own grid, kept as long as the star is the same: two shares ask for it. */
  #fluxOf(number, labels, velocity) {
    const chunk = this.chunks[number];
    const star = JSON.stringify([labels, velocity]);
    if (chunk.star !== star) chunk.latest = chunk.flux(labels, velocity);
    chunk.star = star;
    return chunk.latest;
  }

  /**
   * The points from `first` to before `last` by the chunks whose lines reach them, one, or two around a join:
   * {numbers, from, to} of each part.
   */
  shares(labels, velocity, sampler = this.sampler, first = 0, last = sampler.count) {
    const limits = this.limits(labels, velocity).map((limit) => rank(sampler.vacuum, limit));
    const share = (place) => ({ from: Math.max(limits[place], first), to: Math.min(limits[place + 1], last) });
    const numbers = (place) => (place % 2 ? [(place - 1) / 2, (place + 1) / 2] : [place / 2]);
    const places = Array.from({ length: limits.length - 1 }, (_, place) => place);
    return places.map((place) => ({ numbers: numbers(place), ...share(place) })).filter(({ from, to }) => from < to);
  }

  /** First and last point that the model knows, loaded or not; -1 where there is none. */
  known(labels, velocity) {
    const shares = this.shares(labels, velocity);
    return shares.length ? [shares[0].from, shares.at(-1).to - 1] : [-1, -1];
  }

  /** Numbers of the chunks that may serve vacuum wavelengths [A] from `low` to `high`, of any star. */
  over(low, high) {
    const numbers = this.chunks.map((_, number) => number);
    return numbers.filter((number) => this.chunks[number].range[0] <= high && this.chunks[number].range[1] >= low);
  }

  /**
   * Vacuum wavelengths [A] between which a chunk is alone, or two neighbours meet, in turns; nothing where a motion
   * takes lines beyond the room of a chunk.
   */
  limits(labels, velocity) {
    const ends = [this.chunks[0].known(labels, velocity)[0] - ROUNDING, this.chunks.at(-1).known(labels, velocity)[1] + ROUNDING];
    const spread = this.chunks[0].reach(labels) + Math.abs(dopplerShift(velocity, this.c));
    const joins = this.chunks.slice(1).map(({ finish }) => finish.start);
    if (joins.length && spread > this.room) return Array(2 * this.chunks.length).fill(Infinity);
    const around = ({ join_aa: join, width_kms: width }) => {
      const away = Math.exp((width + spread) / this.c);
      return [join / away, join * away];
    };
    return [ends[0], ...joins.flatMap(around), ends[1]];
  }

  /** How far [km/s] a chunk's light may spread beyond its lines: BandEmulator._room_kms in Python. */
  get room() {
    const rooms = this.chunks.flatMap(({ finish: { start, stop }, range }) =>
      [
        [start, range[0]],
        [stop, range[1]],
      ]
        .filter(([fade]) => fade)
        .map(([fade, end]) => this.c * Math.abs(Math.log(end / fade.join_aa)) - fade.width_kms),
    );
    return Math.min(...rooms);
  }
}

function wavelengths({ spacing, first_aa: first, last_aa: last, count }) {
  const fraction = (i) => i / (count - 1);
  const value = spacing === "linear" ? (f) => first + (last - first) * f : (f) => first * (last / first) ** f;
  return Float64Array.from({ length: count }, (_, i) => value(fraction(i)));
}
