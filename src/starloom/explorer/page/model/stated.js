// What a model says about its own error (starloom/networks/stated_error.py).

import { Domain } from "./domain.js";
import { airFromVacuum, dopplerShift } from "./wavelength.js";

export class StatedError {
  /** The errors that the weights file states, or null. */
  static of({ header, networks }, tensors, emulator, facts) {
    const setting = header.settings.stated_error;
    if (!setting || !networks.error_p68) return null;
    const domain = new Domain(facts);
    const ends = setting.ends ? new EndCorrection(setting.ends, tensors, domain) : null;
    return new StatedError(header.points, setting, tensors, emulator, domain, ends);
  }

  constructor(points, { edges, width, spectra }, tensors, emulator, domain, ends) {
    this.edges = edges;
    this.domain = domain;
    this.spectra = spectra;
    this.ends = ends;
    this.perFactor = ends ? ends.width / width : 1; // bands that share a factor
    this.points = points;
    this.c = emulator.c;
    this.vacuum = emulator.vacuumAa;
    this.logarithms = { p68: tensors["error_p68/0/weight"], p99: tensors["error_p99/0/weight"] };
    const own = points.medium === "air" ? emulator.airAa : emulator.vacuumAa;
    this.centres = [];
    for (let start = 0; start < own.length; start += width) {
      const band = own.subarray(start, start + width);
      this.centres.push(band.reduce((sum, value) => sum + value, 0) / band.length);
    }
    this.place = new Float64Array(this.vacuum.length);
    this.placed = { velocity: 0, first: 0, last: 0 };
  }

  /** Places among the bands of the points [first, last), whose wavelengths are moved to the star's frame. */
  places(velocity, first, last) {
    const { placed, place, centres } = this;
    if (placed.velocity === velocity && placed.first <= first && placed.last >= last) return place;
    this.placed = { velocity, first, last };
    const factor = Math.exp(-dopplerShift(velocity, this.c) / this.c);
    const toOwn = this.points.medium === "air" ? airFromVacuum : (vacuum) => vacuum;
    let band = 0;
    if (centres.length === 1) return place;
    for (let i = first; i < last; i++) {
      const wavelength = toOwn(this.vacuum[i] * factor);
      while (band < centres.length - 2 && wavelength > centres[band + 1]) band++;
      const fraction = (wavelength - centres[band]) / (centres[band + 1] - centres[band]);
      place[i] = band + Math.min(Math.max(fraction, 0), 1);
    }
    return place;
  }

  /** Number of the cell that the labels lie in. */
  cell(labels) {
    let cell = 0;
    for (const [name, edges] of this.edges) {
      const value = this.domain.coordinate(name, labels);
      let place = edges.findLastIndex((edge) => edge <= value);
      place = Math.min(Math.max(place, 0), edges.length - 2);
      cell = cell * (edges.length - 1) + place;
    }
    return cell;
  }

  /** Sizes that hold 68 % ("p68") or 99 % ("p99") of the errors, at the model's points from `first` to before `last`. */
  at(measure, labels, velocity, out, first = 0, last = out.length) {
    const bands = this.centres.length;
    const row = this.cell(labels) * bands;
    const values = this.logarithms[measure];
    const factors = this.ends ? this.ends.at(measure, labels) : [0];
    const byBand = Float64Array.from({ length: bands }, (_, i) => values[row + i] + factors[this.#factor(i)]);
    const place = this.places(velocity, first, last);
    for (let i = first; i < last; i++) {
      const left = Math.max(Math.min(Math.floor(place[i]), bands - 2), 0);
      const from = byBand[left];
      out[i] = Math.exp(from + (byBand[Math.min(left + 1, bands - 1)] - from) * (place[i] - left));
    }
    return out;
  }

  #factor(band) {
    return this.ends ? Math.floor(band / this.perFactor) : 0;
  }
}

/** Factors on the errors by how near to its ends each of some labels lies: Correction in Python. */
class EndCorrection {
  constructor({ reach, width }, tensors, domain) {
    this.reach = reach;
    this.width = width;
    this.domain = domain;
    this.logarithms = { p68: tensors["ends_p68/0/weight"], p99: tensors["ends_p99/0/weight"] };
    this.nodes = 3 ** reach.length;
    this.bands = this.logarithms.p68.length / this.nodes;
  }

  /** Natural logarithms of the factors, by band. */
  at(measure, labels) {
    const values = this.logarithms[measure];
    const out = new Float64Array(this.bands);
    this.#weights(labels).forEach((weight, node) => {
      if (weight === 0) return;
      for (let i = 0; i < this.bands; i++) out[i] += weight * values[node * this.bands + i];
    });
    return out;
  }

  #weights(labels) {
    const places = this.domain.places(labels);
    let weights = [1];
    for (const [name, share] of this.reach) {
      const [low, high] = [places[name], 1 - places[name]].map((end) => Math.min(Math.max(1 - end / share, 0), 1));
      weights = weights.flatMap((weight) => [weight * low, weight * (1 - low - high), weight * high]);
    }
    return weights;
  }
}
