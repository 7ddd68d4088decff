// Labels to flux: the network's modes, rotation, instrument and motion (starloom/networks/emulator.py).

import { inverseRealTransform } from "./fourier.js";
import { network } from "./network.js";
import { meaning } from "./roles.js";
import { pointSampler } from "./sampler.js";
import { StatedError } from "./stated.js";
import { airFromVacuum, dopplerShift, vacuumFromAir } from "./wavelength.js";

const FAMILY = "emulator";
const REACH = 4; // standard deviations of the instrument's profile that a flux is mixed from

export class Emulator {
  /** From a weights file (see readWeights) and the page's facts. */
  constructor({ description, tensors }, facts) {
    const { header, networks } = description;
    if (header.family !== FAMILY) throw new Error(`a model of the family ${header.family} is no ${FAMILY}`);
    this.header = header;
    this.c = facts.speed_of_light_kms;
    this.finish = facts.finish;
    this.intrinsic = facts.intrinsic;
    this.meaning = meaning(facts.roles);
    this.modesResolution = header.settings.modes_resolution;
    this.network = network("modes", networks.modes, tensors);
    const { modes, points } = this.finish;
    if (networks.modes.at(-1).outputs !== 2 * modes) throw new Error(`the model does not give ${modes} modes`);
    this.transform = inverseRealTransform(points, modes);
    this.re = new Float64Array(modes);
    this.im = new Float64Array(modes);
    this.grid = new Float64Array(points);
    this.inputs = null; // labels of the modes in `output`
    const own = wavelengths(header.points);
    this.vacuumAa = header.points.medium === "air" ? own.map(vacuumFromAir) : own;
    this.airAa = header.points.medium === "air" ? own : own.map(airFromVacuum);
    this.sampler = pointSampler(this.finish, this.vacuumAa, this.c);
    this.stated = StatedError.of(description, tensors, this, facts);
  }

  /** Where a spectrum is wanted: increasing vacuum wavelengths [A]. */
  at(vacuum) {
    return pointSampler(this.finish, vacuum, this.c);
  }

  /** Normalised flux for labels by name and a radial velocity [km/s]; NaN where the model does not know it. */
  flux(labels, velocity = 0, sampler = this.sampler, out = new Float64Array(sampler.count)) {
    this.#modes(labels);
    this.#broaden(labels, velocity);
    sampler(this.transform(this.re, this.im, this.grid), out);
    const [low, high] = this.known(labels, velocity);
    for (let i = 0; i < out.length; i++) {
      if (sampler.vacuum[i] < low || sampler.vacuum[i] > high) out[i] = NaN;
    }
    return out;
  }

  /** First and last vacuum wavelength [A] at which the flux is known: Emulator.known in Python. */
  known(labels, velocity = 0) {
    const { first_aa: first, last_aa: last, step_kms: step, taps } = this.finish;
    const sigma = Math.sqrt(this.variance(this.meaning(labels, "resolution")));
    const reach = this.meaning(labels, "vsini") + REACH * sigma;
    const margin = Math.exp(((taps / 2 + 1) * step) / this.c);
    const shift = dopplerShift(velocity, this.c);
    const rounding = 1e-6; // of air to vacuum and back
    return [
      Math.max(first * Math.exp((shift + reach) / this.c), first * margin) - rounding,
      Math.min(last * Math.exp((shift - reach) / this.c), last / margin) + rounding,
    ];
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

  #broaden(labels, velocity) {
    const { modes, frequency_step: step, rotation } = this.finish;
    const variance = this.variance(this.meaning(labels, "resolution")) - this.variance(this.modesResolution);
    const rotates = rotation ? rotationTransfer(rotation, this.meaning(labels, "vsini")) : () => 1;
    const shift = dopplerShift(velocity, this.c);
    for (let k = 0; k < modes; k++) {
      const frequency = k * step;
      const transfer = rotates(frequency) * Math.exp(-2 * Math.PI ** 2 * frequency ** 2 * variance);
      const re = this.output[k] * transfer;
      const im = this.output[modes + k] * transfer;
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

function wavelengths({ spacing, first_aa: first, last_aa: last, count }) {
  const fraction = (i) => i / (count - 1);
  const value = spacing === "linear" ? (f) => first + (last - first) * f : (f) => first * (last / first) ** f;
  return Float64Array.from({ length: count }, (_, i) => value(fraction(i)));
}
