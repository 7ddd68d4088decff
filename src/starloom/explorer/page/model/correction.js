// A correction of the flux, learned from observed stars (starloom/networks/flux_correction.py).

import { dopplerShift } from "./wavelength.js";

export class Correction {
  #latest = {}; // coefficients of the last star, of each kind

  /** From its weights file (see readWeights) and the page's facts of it. */
  constructor({ tensors }, { axes, grid }, c) {
    Object.assign(this, { axes, grid, c });
    this.mean = tensors["correction_mean/0/weight"];
    this.patterns = tensors["correction_patterns/0/weight"];
    const features = axes.reduce((product, { nodes }) => product * nodes.length, 1);
    this.size = features * grid.count;
    if (this.mean.length !== this.size || this.patterns.length % this.size) throw new Error("the correction is not of the size that it says");
  }

  /** Multiply `flux` at vacuum wavelengths [A], from `first` to before `last`, by what was learned. */
  apply(labels, velocity, vacuum, flux, first, last) {
    const coefficients = this.#of(labels, "mean")[0];
    this.#each(velocity, vacuum, first, last, (i, knot, values) => {
      flux[i] *= Math.exp(sum(coefficients, knot, values));
    });
  }

  /** Widen the errors `out` of a `flux` by `deviations` times the correction's own standard deviation. */
  widen(labels, velocity, vacuum, flux, deviations, out, first, last) {
    const patterns = this.#of(labels, "patterns");
    this.#each(velocity, vacuum, first, last, (i, knot, values) => {
      const variance = patterns.reduce((total, coefficients) => total + sum(coefficients, knot, values) ** 2, 0);
      out[i] = Math.hypot(out[i], deviations * flux[i] * Math.sqrt(variance));
    });
  }

  /** At each wavelength in the star's frame the first of its four splines and their values: SplineGrid.placed in Python. */
  #each(velocity, vacuum, first, last, work) {
    const { first: begin, step, count } = this.grid;
    const moved = begin + dopplerShift(velocity, this.c) / this.c;
    const values = new Float64Array(4);
    for (let i = first; i < last; i++) {
      const place = Math.min(Math.max((Math.log(vacuum[i]) - moved) / step, 0), count - 3 - 1e-9);
      const knot = Math.floor(place);
      const t = place - knot;
      values[0] = (1 - t) ** 3 / 6;
      values[1] = (3 * t ** 3 - 6 * t ** 2 + 4) / 6;
      values[2] = (-3 * t ** 3 + 3 * t ** 2 + 3 * t + 1) / 6;
      values[3] = t ** 3 / 6;
      work(i, knot, values);
    }
  }

  /** Coefficients of the splines for a star: of the mean, or of each pattern. */
  #of(labels, kind) {
    const star = JSON.stringify(this.axes.map(({ label }) => labels[label]));
    if (this.#latest[kind]?.star !== star) this.#latest[kind] = { star, coefficients: this.#sums(this[kind], this.#features(labels)) };
    return this.#latest[kind].coefficients;
  }

  #sums(values, features) {
    const { count } = this.grid;
    return Array.from({ length: values.length / this.size }, (_, pattern) => {
      const total = new Float64Array(count);
      features.forEach((feature, k) => {
        const from = pattern * this.size + k * count;
        if (Math.abs(feature) > 1e-9) for (let m = 0; m < count; m++) total[m] += feature * values[from + m];
      });
      return total;
    });
  }

  /** Products of the features of each label: label_features in Python. */
  #features(labels) {
    return this.axes.map((axis) => features(axis, labels[axis.label])).reduce((all, own) => all.flatMap((a) => own.map((b) => a * b)), [1]);
  }
}

/** Features of length 1 of a label, amid the nodes where the model lacks it: LabelAxis.features in Python. */
function features({ nodes, scale, logarithmic, inverse }, value) {
  const place = value === undefined ? nodes.reduce((total, node) => total + node, 0) / nodes.length : logarithmic ? Math.log(value) : value;
  const kernel = nodes.map((node) => Math.exp(-(((place - node) / scale) ** 2) / 2));
  const found = inverse.map((row) => row.reduce((total, weight, i) => total + weight * kernel[i], 0));
  const length = Math.hypot(...found);
  return found.map((each) => each / length);
}

const sum = (coefficients, knot, [first, second, third, fourth]) =>
  coefficients[knot] * first + coefficients[knot + 1] * second + coefficients[knot + 2] * third + coefficients[knot + 3] * fourth;
