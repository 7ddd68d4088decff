// One chunk of a band: the network's modes, rotation, instrument and motion (starloom/networks/emulator.py).

import { inverseRealTransform } from "./fourier.js";
import { network } from "./network.js";
import { pointSampler } from "./sampler.js";
import { dopplerShift, rank } from "./wavelength.js";

const REACH = 4; // standard deviations of the instrument's profile that a flux is mixed from
const WIDE = 3; // most probable speeds of the macroturbulence, likewise
export const ROUNDING = 1e-6; // A, of air to vacuum and back

export class Chunk {
  /** For the chunk's numbers; `shared` has what is the same in all: see Emulator. It has a flux once it has its network. */
  constructor(finish, shared) {
    Object.assign(this, { finish, ...shared });
    const { first_aa: first, last_aa: last, step_kms: step, taps } = finish;
    const margin = Math.exp(((taps / 2 + 1) * step) / this.c);
    this.range = [first * margin, last / margin]; // vacuum wavelengths [A] with room for the interpolation
    const [keptFirst, keptLast] = finish.kept_aa;
    this.own = [Math.max(this.range[0], keptFirst), Math.min(this.range[1], keptLast)]; // what is not of other chunks alone
    this.loaded = false;
  }

  /** Take the network out of a weights file (see readWeights). */
  take({ description, tensors }) {
    const { network: name, modes, points } = this.finish;
    const architecture = description.networks[name];
    if (architecture?.at(-1).outputs !== 2 * modes) throw new Error(`the model does not give ${modes} modes`);
    this.network = network(name, architecture, tensors);
    this.transform = inverseRealTransform(points, modes);
    this.re = new Float64Array(modes);
    this.im = new Float64Array(modes);
    this.grid = new Float64Array(points);
    this.emission = this.filling && this.#emission();
    this.inputs = null; // labels of the modes in `output`
    this.loaded = true;
  }

  /** Which of increasing vacuum wavelengths [A] are in the chunk's range, from `start` on, and their sampler. */
  at(vacuum) {
    const [start, end] = [rank(vacuum, this.range[0] - ROUNDING), rank(vacuum, this.range[1] + ROUNDING)];
    return { start, sample: pointSampler(this.finish, vacuum.subarray(start, end), this.c) };
  }

  /** First and last vacuum wavelength [A] at which the flux is known: Emulator.known in Python. */
  known(labels, velocity) {
    const reach = this.reach(labels);
    const shift = dopplerShift(velocity, this.c);
    const [first, last] = this.finish.kept_aa;
    return [
      Math.max(first * Math.exp((shift + reach) / this.c), this.own[0]),
      Math.min(last * Math.exp((shift - reach) / this.c), this.own[1]),
    ];
  }

  /** How far [km/s] rotation, macroturbulence and instrument spread light. */
  reach(labels) {
    const sigma = Math.sqrt(this.variance(this.meaning(labels, "resolution")));
    return this.meaning(labels, "vsini") + REACH * sigma + WIDE * this.meaning(labels, "vmac");
  }

  /** The chunk's share of the lines at a vacuum wavelength [A]: bands.Window in Python. */
  share(wavelength) {
    const rise = (fade) => {
      const away = (this.c * Math.log(wavelength / fade.join_aa)) / fade.width_kms;
      const t = Math.min(Math.max((away + 1) / 2, 0), 1);
      return t * t * (3 - 2 * t);
    };
    const { start, stop } = this.finish;
    return (start ? rise(start) : 1) * (stop ? 1 - rise(stop) : 1);
  }

  /** Normalised flux on the chunk's uniform grid, overwritten by the next call. */
  flux(labels, velocity) {
    this.#modes(labels);
    this.#broaden(labels, velocity);
    return this.transform(this.re, this.im, this.grid);
  }

  /** Variance [km2 s-2] of a Gaussian of FWHM = lambda / resolution. */
  variance(resolution) {
    return (this.c / resolution) ** 2 / (8 * Math.LN2);
  }

  /** The network's output, kept while only what broadens a spectrum changes. */
  #modes(labels) {
    const inputs = this.intrinsic.map((name) => labels[name]);
    if (this.inputs && inputs.every((value, i) => value === this.inputs[i])) return;
    this.output = this.network(inputs);
    this.inputs = inputs;
  }

  /** Modes of the Ca II cores' emission of unit filling, real, then imaginary parts (broadening.emission_modes). */
  #emission() {
    const { modes, points, first_aa: first, last_aa: last, step_kms: step, frequency_step: frequency } = this.finish;
    const { cores_aa: cores, ratios, width_kms: width } = this.filling;
    const variance = width ** 2 + this.variance(this.modesResolution);
    const found = new Float64Array(2 * modes);
    cores.forEach((core, i) => {
      if (core < first || core > last) return;
      const place = 2 * Math.PI * this.c * Math.log(core / first);
      const area = (this.share(core) * ratios[i] * width * Math.sqrt(2 * Math.PI)) / (points * step);
      for (let k = 0; k < modes; k++) {
        const size = area * Math.exp(-2 * (Math.PI * k * frequency) ** 2 * variance);
        found[k] += size * Math.cos(place * k * frequency);
        found[modes + k] -= size * Math.sin(place * k * frequency);
      }
    });
    return found;
  }

  /** How much of its filling a star shows (broadening.chromosphere). */
  #chromosphere(teff) {
    const { filled_k: from, unfilled_k: to } = this.filling;
    const t = Math.min(Math.max((teff - from) / (to - from), 0), 1);
    return 1 - t ** 2 * (3 - 2 * t);
  }

  #broaden(labels, velocity) {
    const { modes, frequency_step: step } = this.finish;
    const variance = this.variance(this.meaning(labels, "resolution")) - this.variance(this.modesResolution);
    const rotates = this.rotation ? rotationTransfer(this.rotation, this.meaning(labels, "vsini")) : () => 1;
    const speed = this.meaning(labels, "vmac");
    const filled = this.filling ? this.meaning(labels, "filling") * this.#chromosphere(this.meaning(labels, "teff")) : 0;
    const shift = dopplerShift(velocity, this.c);
    for (let k = 0; k < modes; k++) {
      const frequency = k * step;
      const instrument = Math.exp(-2 * Math.PI ** 2 * frequency ** 2 * variance);
      const transfer = rotates(frequency) * instrument * macroturbulenceTransfer(frequency, speed);
      const re = (this.output[k] + (filled && filled * this.emission[k])) * transfer;
      const im = (this.output[modes + k] + (filled && filled * this.emission[modes + k])) * transfer;
      const angle = 2 * Math.PI * frequency * shift;
      const cosine = velocity === 0 ? 1 : Math.cos(angle);
      const sine = velocity === 0 ? 0 : Math.sin(angle);
      this.re[k] = re * cosine + im * sine;
      this.im[k] = im * cosine - re * sine;
    }
  }
}

/** The transform of the rotation's profile at a frequency, by the table of cubics (emulator.RotationTable). */
function rotationTransfer({ step, coefficients }, vsini) {
  const [zeroth, first, second, third] = coefficients;
  return (frequency) => {
    const place = (2 * Math.PI * frequency * vsini) / step;
    const cell = Math.min(Math.floor(place), zeroth.length - 1);
    const t = place - cell;
    return ((third[cell] * t + second[cell]) * t + first[cell]) * t + zeroth[cell];
  };
}

/** The transform of radial-tangential macroturbulence (broadening.macroturbulence_transfer). */
function macroturbulenceTransfer(frequency, speed) {
  const exponent = (Math.PI * speed * frequency) ** 2;
  return exponent > 1e-4 ? -Math.expm1(-exponent) / exponent : 1 - exponent / 2;
}
