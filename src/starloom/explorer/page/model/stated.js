// What a model says about its own error (starloom/networks/stated_error.py).

import { airFromVacuum, dopplerShift } from "./wavelength.js";

export class StatedError {
  /** The errors that the weights file states, or null. */
  static of({ header, networks }, tensors, emulator) {
    const setting = header.settings.stated_error;
    if (!setting || !networks.error_p68) return null;
    return new StatedError(header.points, setting, tensors, emulator);
  }

  constructor(points, { edges, width, spectra }, tensors, emulator) {
    this.edges = edges;
    this.spectra = spectra;
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
    this.places(0);
  }

  /** Places among the bands of the points, whose wavelengths are moved to the star's frame. */
  places(velocity) {
    if (this.velocity === velocity) return this.place;
    this.velocity = velocity;
    const factor = Math.exp(-dopplerShift(velocity, this.c) / this.c);
    const toOwn = this.points.medium === "air" ? airFromVacuum : (vacuum) => vacuum;
    let band = 0;
    this.place = this.vacuum.map((vacuum) => {
      const wavelength = toOwn(vacuum * factor);
      while (band < this.centres.length - 2 && wavelength > this.centres[band + 1]) band++;
      const fraction = (wavelength - this.centres[band]) / (this.centres[band + 1] - this.centres[band]);
      return band + Math.min(Math.max(fraction, 0), 1);
    });
    return this.place;
  }

  /** Number of the cell that the labels lie in. */
  cell(labels) {
    let cell = 0;
    for (const [name, edges] of this.edges) {
      let place = edges.findLastIndex((edge) => edge <= labels[name]);
      place = Math.min(Math.max(place, 0), edges.length - 2);
      cell = cell * (edges.length - 1) + place;
    }
    return cell;
  }

  /** Sizes that hold 68 % ("p68") or 99 % ("p99") of the errors, at the model's points. */
  at(measure, labels, velocity, out) {
    const bands = this.centres.length;
    const row = this.cell(labels) * bands;
    const values = this.logarithms[measure];
    const place = this.places(velocity);
    for (let i = 0; i < out.length; i++) {
      const left = Math.min(Math.floor(place[i]), bands - 2);
      const from = values[row + left];
      out[i] = Math.exp(from + (values[row + left + 1] - from) * (place[i] - left));
    }
    return out;
  }
}
