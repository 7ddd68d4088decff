// An observed spectrum beside the model at its wavelengths, and its fit.

import { airFromVacuum, rank } from "../model/wavelength.js";
import { firstEstimate, scaleAndSlope, weights } from "./fit.js";

const MOST_CHUNKS = 3; // of the model, that a fit takes

export class Overlay {
  /** `divides()` says whether by scale and slope; `changed()` hears of another spectrum, or none. */
  constructor({ emulator, loader, domain, divides }, changed) {
    Object.assign(this, { emulator, loader, domain, divides, changed });
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
      observed.part = [0, observed.vacuum.length];
    }
    this.changed();
  }

  /**
   * The spectrum as it is drawn: divided by scale and slope, beside the model; null where there is none. With a window
   * [A] its points in that alone, which scale and slope are for.
   */
  compare(labels, velocity, medium, window = null) {
    const { observed } = this;
    if (!observed) return null;
    const all = medium === "air" ? observed.air : observed.vacuum;
    const part = (observed.part = window ? window.map((end) => rank(all, end)) : [0, all.length]);
    this.emulator.flux(labels, velocity, observed.sampler, observed.model, ...part);
    const [x, own, model, weight] = [all, observed.flux, observed.model, observed.weight].map((values) => values.subarray(...part));
    const size = x.length;
    const line = this.divides() ? scaleAndSlope(own, model, weight) : { a: 1, b: 0 };
    const flux = own.map((value, i) => value / (line.a + line.b * ((2 * i) / (size - 1) - 1)));
    const difference = flux.map((value, i) => value - model[i]);
    observed.line = line;
    return { name: observed.name, x, flux, difference, model, line };
  }

  /** What is to be said of the spectrum. */
  get about() {
    if (!this.observed) return "";
    const { vacuum, error, assumed, notes, line, medium } = this.observed;
    const words = [`${vacuum.length} points`, error ? "with errors" : "without errors", ...notes];
    if (assumed) words.push(`air or vacuum not said in the file: ${medium} assumed`);
    if (!this.divides()) return words.join("; ");
    const ends = this.emulator.inParts ? "from end to end of what is in view" : "from end to end";
    const known = `scale ${line.a.toPrecision(4)}, slope ${((200 * line.b) / line.a).toFixed(2).replace("-", "−")} % ${ends}`;
    words.push(Number.isFinite(line.a) ? known : "no scale: the model has none of its points in view");
    return words.join("; ");
  }

  /**
   * First estimate of the spectrum's labels from those given (see firstEstimate), with the seconds that it took;
   * null where another spectrum has come meanwhile. Of a model of several chunks the points in view are taken.
   */
  async fit({ labels, own, velocity }, modelError, progress) {
    const { emulator, domain, observed } = this;
    const still = () => observed === this.observed;
    const began = performance.now();
    const told = (text) => still() && progress(text);
    const found = await firstEstimate({
      emulator,
      domain,
      observed: emulator.inParts ? await this.#inView(told) : observed,
      start: domain.wanted(labels, own),
      velocity,
      modelError,
      progress: told,
    });
    return still() ? { ...found, own, inView: emulator.inParts, seconds: (performance.now() - began) / 1e3 } : null;
  }

  /** The spectrum's points in view, once the chunks that serve them are loaded; an Error where these are too many. */
  async #inView(progress) {
    const { emulator, loader, observed } = this;
    const inView = (values) => values && values.subarray(...observed.part);
    const [vacuum, flux, error] = [observed.vacuum, observed.flux, observed.error].map(inView);
    if (!vacuum.length) throw new Error("none of its points are in view");
    const numbers = emulator.over(vacuum[0], vacuum.at(-1));
    if (numbers.length > MOST_CHUNKS) {
      const told = `it takes what at most ${MOST_CHUNKS} of the model's ${emulator.chunks.length} parts serve`;
      throw new Error(`${told}, and its points in view need ${numbers.length}: zoom in, or take the command starloom fit`);
    }
    progress("the model is being loaded");
    await loader.all(numbers);
    return { vacuum, flux, error };
  }
}
