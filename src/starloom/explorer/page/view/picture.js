// From the state to the plots: fluxes, stated errors, lines and the observed spectrum, once for each change.

export class Picture {
  #fluxes = new WeakMap(); // of pins
  #frame = null;
  #changed = null; // when the first change came that is not drawn yet

  /** `after()` is called once a scene has been drawn. */
  constructor({ emulator, lines, store, overlay, plots }, after) {
    Object.assign(this, { emulator, lines, store, overlay, plots, after });
    const size = emulator.airAa.length;
    const errors = () => (emulator.stated ? new Float64Array(size) : null);
    this.scene = { flux: new Float64Array(size), zero: new Float64Array(size), p68: errors(), p99: errors(), leastNamed: lines.least };
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
    emulator.flux(labels, velocity, emulator.sampler, scene.flux);
    if (emulator.stated) for (const size of ["p68", "p99"]) emulator.stated.at(size, labels, velocity, scene[size]);
    Object.assign(scene, { labels, velocity, medium, closeUp, highlight });
    scene.x = this.store.axes[medium];
    scene.window = this.store.window;
    scene.pins = pins.map((pin) => ({ ...pin, flux: this.#pinned(pin) }));
    scene.lines = this.lines.of(labels, velocity, medium);
    scene.observed = this.overlay.compare(labels, velocity, medium);
    this.plots.draw(scene);
    this.after();
  }

  /** First and last point that the model knows. */
  get known() {
    const { flux } = this.scene;
    return [flux.findIndex((value) => !Number.isNaN(value)), flux.findLastIndex((value) => !Number.isNaN(value))];
  }

  #pinned(pin) {
    if (!this.#fluxes.has(pin)) this.#fluxes.set(pin, this.emulator.flux(pin.labels, pin.velocity));
    return this.#fluxes.get(pin);
  }
}
