// From the state to the plots: fluxes, stated errors, lines and the observed spectrum, once for each change.

import { weakest } from "./names.js";
import { visible } from "./paint.js";

const SIZES = { p68: 1, p99: 2.576 }; // of stated errors, in standard deviations of a normal distribution

export class Picture {
  #fluxes = new WeakMap(); // of pins, with the chunks that are in them
  #frame = null;
  #changed = null; // when the first change came that is not drawn yet

  /** `after()` is called once a scene has been drawn. */
  constructor({ emulator, loader, lines, store, overlay, plots }, after) {
    Object.assign(this, { emulator, loader, lines, store, overlay, plots, after });
    const size = emulator.airAa.length;
    const values = () => new Float64Array(size);
    const errors = () => (emulator.stated || emulator.correction ? values() : null);
    this.scene = { flux: values(), zero: values(), p68: errors(), p99: errors(), chunks: emulator.chunks.length };
    this.timings = []; // from a change to its drawing [ms]
  }

  /** Whether something is still to be drawn. */
  get frame() {
    return this.#frame;
  }

  /** Draw at once, and what changes before the next frame together in that. */
  schedule() {
    this.#changed ??= performance.now();
    if (this.#frame) return;
    const drawn = () => {
      this.draw();
      this.timings.push(performance.now() - this.#changed);
      this.#changed = null;
    };
    drawn();
    this.#frame = requestAnimationFrame(() => {
      this.#frame = null;
      if (this.#changed) drawn();
    });
  }

  draw() {
    const { scene, emulator } = this;
    const { labels, velocity, medium, closeUp, pins, highlight } = this.store.state;
    const x = this.store.axes[medium];
    const window = this.store.window;
    Object.assign(scene, { labels, velocity, medium, closeUp, highlight, x, window, part: this.#part(x, window) });
    emulator.flux(labels, velocity, emulator.sampler, scene.flux, ...scene.part);
    if (scene.p68) this.#errors();
    scene.pins = pins.map((pin) => ({ ...pin, flux: this.#pinned(pin) }));
    scene.leastNamed = weakest(this.lines.least, window, scene);
    scene.lines = this.lines.of(labels, velocity, medium, emulator.inParts ? scene : null);
    scene.observed = this.overlay.compare(labels, velocity, medium, emulator.inParts ? window : null);
    scene.waiting = this.#waiting();
    this.loader.want(scene.waiting.map(({ number }) => number)); // on its way while the rest is drawn
    this.plots.draw(scene);
    this.after();
  }

  /** Stated errors, and a correction's own, where there is a flux; of a model of one chunk at all points. */
  #errors() {
    const { emulator, scene } = this;
    const { labels, velocity, part } = scene;
    const shares = emulator.shares(labels, velocity, emulator.sampler, ...part).filter((share) => emulator.loaded(share));
    const [first, last] = emulator.inParts ? [shares[0]?.from ?? 0, shares.at(-1)?.to ?? 0] : part;
    for (const [size, deviations] of Object.entries(SIZES)) {
      const out = scene[size].fill(NaN);
      if (emulator.stated) emulator.stated.at(size, labels, velocity, out, first, last);
      else out.fill(0, first, last);
      emulator.correction?.widen(labels, velocity, emulator.vacuumAa, scene.flux, deviations, out, first, last);
    }
  }

  /** First and last point that the model knows. */
  get known() {
    const { labels, velocity } = this.scene;
    return this.emulator.known(labels, velocity);
  }

  /** The points that are computed, from the first to before the last: of a model of several chunks those in view. */
  #part(x, window) {
    if (!this.emulator.inParts) return [0, x.length];
    const [first, last] = visible(x, window);
    return [first, last + 1];
  }

  /** What is in view and not loaded: {number, low, high, fault} of each chunk, by wavelength [A]. */
  #waiting() {
    const { emulator, scene, loader } = this;
    const { labels, velocity, pins, part, x } = scene;
    const found = new Map();
    for (const star of [{ labels, velocity }, ...pins]) {
      for (const { numbers, from, to } of emulator.shares(star.labels, star.velocity, emulator.sampler, ...part)) {
        for (const number of numbers.filter((each) => !emulator.chunks[each].loaded)) {
          const [low, high] = [x[from], x[Math.min(to, x.length - 1)]];
          const before = found.get(number) ?? { low, high };
          const ends = { low: Math.min(low, before.low), high: Math.max(high, before.high) };
          found.set(number, { number, ...ends, fault: loader.fault(number) });
        }
      }
    }
    return [...found.values()];
  }

  #pinned(pin) {
    const { labels, velocity } = pin;
    const { emulator, scene } = this;
    const { sampler } = emulator;
    if (!this.#fluxes.has(pin)) this.#fluxes.set(pin, { flux: new Float64Array(sampler.count).fill(NaN), done: new Set() });
    const { flux, done } = this.#fluxes.get(pin);
    const [first, last] = scene.part;
    for (const share of emulator.shares(labels, velocity)) {
      const { numbers, from, to } = share;
      if (from >= last || to <= first || done.has(from) || !emulator.loaded(share)) continue;
      emulator.fill(labels, velocity, sampler, flux, share);
      done.add(from);
    }
    return flux;
  }
}
