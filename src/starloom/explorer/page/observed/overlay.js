// An observed spectrum beside the model at its wavelengths, and its fit.

import { airFromVacuum } from "../model/wavelength.js";
import { firstEstimate, scaleAndSlope, weights } from "./fit.js";

export class Overlay {
  /** `divides()` says whether by scale and slope; `changed()` hears of another spectrum, or none. */
  constructor({ emulator, domain, divides }, changed) {
    Object.assign(this, { emulator, domain, divides, changed });
    this.observed = null; // see readSpectrum
  }

  /** Overlay an observed spectrum, or none. */
  observe(observed) {
    this.observed = observed;
    if (observed) {
      observed.sampler = this.emulator.at(observed.vacuum);
      observed.air = observed.vacuum.map(airFromVacuum);
      observed.weight = weights(observed);
      observed.model = new Float64Array(observed.vacuum.length);
    }
    this.changed();
  }

  /** The spectrum as it is drawn: divided by scale and slope, beside the model; null where there is none. */
  compare(labels, velocity, medium) {
    const { observed } = this;
    if (!observed) return null;
    const size = observed.vacuum.length;
    this.emulator.flux(labels, velocity, observed.sampler, observed.model);
    const line = this.divides() ? scaleAndSlope(observed.flux, observed.model, observed.weight) : { a: 1, b: 0 };
    const flux = observed.flux.map((value, i) => value / (line.a + line.b * ((2 * i) / (size - 1) - 1)));
    const difference = flux.map((value, i) => value - observed.model[i]);
    observed.line = line;
    return { name: observed.name, x: medium === "air" ? observed.air : observed.vacuum, flux, difference, model: observed.model, line };
  }

  /** What is to be said of the spectrum. */
  get about() {
    if (!this.observed) return "";
    const { vacuum, error, assumed, notes, line, medium } = this.observed;
    const words = [`${vacuum.length} points`, error ? "with errors" : "without errors", ...notes];
    if (assumed) words.push(`air or vacuum not said in the file: ${medium} assumed`);
    if (this.divides())
      words.push(`scale ${line.a.toPrecision(4)}, slope ${((200 * line.b) / line.a).toFixed(2).replace("-", "−")} % from end to end`);
    return words.join("; ");
  }

  /**
   * First estimate of the spectrum's labels from those given (see firstEstimate), with the seconds that it took;
   * null where another spectrum has come meanwhile.
   */
  async fit({ labels, own, velocity }, modelError, progress) {
    const { emulator, domain, observed } = this;
    const still = () => observed === this.observed;
    const began = performance.now();
    const told = (text) => still() && progress(text);
    const found = await firstEstimate({
      emulator,
      domain,
      observed,
      start: domain.wanted(labels, own),
      velocity,
      modelError,
      progress: told,
    });
    return still() ? { ...found, own, seconds: (performance.now() - began) / 1e3 } : null;
  }
}
