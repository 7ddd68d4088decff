// Labels to flux: the chunks of a band as one, as in starloom/networks/band_emulator.py.

import { Chunk, ROUNDING } from "./chunk.js";
import { network } from "./network.js";
import { meaning } from "./roles.js";
import { StatedError } from "./stated.js";
import { airFromVacuum, rank, vacuumFromAir } from "./wavelength.js";

const FAMILY = "emulator";

export class Emulator {
  /** From a weights file (see readWeights) and the page's facts. */
  constructor({ description, tensors }, facts) {
    const { header, networks } = description;
    if (header.family !== FAMILY) throw new Error(`a model of the family ${header.family} is no ${FAMILY}`);
    this.header = header;
    this.c = facts.speed_of_light_kms;
    const { intrinsic, rotation, filling } = facts;
    const shared = { c: this.c, intrinsic, rotation, filling, meaning: meaning(facts.roles), modesResolution: header.settings.modes_resolution };
    this.chunks = facts.finish.map((finish) => {
      const { network: name, modes } = finish;
      if (networks[name].at(-1).outputs !== 2 * modes) throw new Error(`the model does not give ${modes} modes`);
      return new Chunk(network(name, networks[name], tensors), finish, shared);
    });
    this.range = [facts.finish[0].first_aa, facts.finish.at(-1).last_aa]; // vacuum wavelengths [A]
    const own = wavelengths(header.points);
    this.vacuumAa = header.points.medium === "air" ? own.map(vacuumFromAir) : own;
    this.airAa = header.points.medium === "air" ? own : own.map(airFromVacuum);
    this.sampler = this.at(this.vacuumAa);
    this.stated = StatedError.of(description, tensors, this, facts);
  }

  /** Where a spectrum is wanted: increasing vacuum wavelengths [A]. */
  at(vacuum) {
    return { vacuum, count: vacuum.length, parts: this.chunks.map((chunk) => chunk.at(vacuum)) };
  }

  /** Normalised flux for labels by name and a radial velocity [km/s]; NaN where the model does not know it. */
  flux(labels, velocity = 0, sampler = this.sampler, out = new Float64Array(sampler.count)) {
    const limits = this.#limits(labels, velocity).map((limit) => rank(sampler.vacuum, limit));
    out.fill(NaN);
    sampler.parts.forEach(({ start, sample }, i) => {
      const from = Math.max(limits[i] - start, 0);
      const to = Math.min(limits[i + 1] - start, sample.count);
      if (from < to) sample(this.chunks[i].flux(labels, velocity), out.subarray(start), from, to);
    });
    return out;
  }

  /**
   * Vacuum wavelengths [A] between which each chunk is used: the ends of what is known, and between neighbours the
   * middle of what both know of the star; nothing where a motion opens a gap between them.
   */
  #limits(labels, velocity) {
    const known = this.chunks.map((chunk) => chunk.known(labels, velocity));
    const pairs = known.slice(1).map(([low], i) => [low, known[i][1]]);
    if (pairs.some(([low, high]) => low > high)) return known.map(() => Infinity).concat(Infinity);
    return [known[0][0] - ROUNDING, ...pairs.map(([low, high]) => Math.sqrt(low * high)), known.at(-1)[1] + ROUNDING];
  }
}

function wavelengths({ spacing, first_aa: first, last_aa: last, count }) {
  const fraction = (i) => i / (count - 1);
  const value = spacing === "linear" ? (f) => first + (last - first) * f : (f) => first * (last / first) ** f;
  return Float64Array.from({ length: count }, (_, i) => value(fraction(i)));
}
