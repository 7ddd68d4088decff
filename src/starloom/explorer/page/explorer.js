// The page: its state, what the reader does to it, and what is drawn.

import { Domain } from "./model/domain.js";
import { Emulator } from "./model/emulator.js";
import { sha256 } from "./model/sha256.js";
import { airFromVacuum, vacuumFromAir } from "./model/wavelength.js";
import { readWeights } from "./model/weights.js";
import { firstEstimate, scaleAndSlope, weights } from "./observed/fit.js";
import { inMedium, readSpectrum } from "./observed/spectrum.js";
import { Slider } from "./view/controls.js";
import { csv, overlayCsv, png, python, save, stem } from "./view/download.js";
import { estimate } from "./view/estimate.js";
import { pressed, shifted, watch, zoomed } from "./view/gestures.js";
import { action, chip, differences, title } from "./view/legend.js";
import { LineList, lineAt } from "./view/names.js";
import { Plots, colour } from "./view/plots.js";
import { MEDIA, fromHash, toHash } from "./view/state.js";

const $ = (id) => document.getElementById(id);
const LETTERS = "ABCD";
const MARGIN = 0.3; // A, drawn beyond the first and last point
const NARROWEST = 2; // A, of the window
const WINDOWS = [
  ["All", null],
  ["Ca II 8498", 8498.02],
  ["8542", 8542.09],
  ["8662", 8662.14],
];
const WINDOW_WIDTH = 40; // A, around one of these lines
const STAR = ["teff", "logg", "mh", "vmic"];
const SEEN = ["vsini", "resolution"];

class Explorer {
  constructor(facts, emulator) {
    this.facts = facts;
    this.emulator = emulator;
    this.domain = new Domain(facts);
    this.lines = new LineList(facts.lines, emulator.c);
    this.x = { air: emulator.airAa, vacuum: emulator.vacuumAa };
    const size = emulator.airAa.length;
    this.scene = { flux: new Float64Array(size), zero: new Float64Array(size), p68: null, p99: null, pins: [], observed: null, highlight: null };
    if (emulator.stated) Object.assign(this.scene, { p68: new Float64Array(size), p99: new Float64Array(size) });
    this.observed = null;
    this.timings = [];
    const { name: _, ...labels } = facts.presets[0];
    this.first = { labels, velocity: 0, medium: "air", window: null, closeUp: false, pins: [] };
    this.state = this.first;
    this.wantedLogg = labels.logg; // what log g returns to when the corner has been left
    this.#controls();
    this.plots = new Plots($("plot"), $("difference"), (wavelength) => this.#hover(wavelength));
    this.view = { get: () => this.window, set: (window) => this.setWindow(window) };
    for (const u of [this.plots.flux, this.plots.difference]) watch(u, this.view);
    this.#keys();
    this.#files();
    this.open(location.hash);
  }

  // --- state -------------------------------------------------------------------------------------------------

  /** Take over what an address says. */
  open(hash) {
    const { state, faults } = fromHash(hash, this.domain, this.first);
    state.pins.forEach((pin) => this.#computePin(pin));
    this.wantedLogg = state.labels.logg;
    this.state = state;
    if (state.window) this.setWindow(state.window);
    this.say(faults.length ? `The link was changed: ${faults.join("; ")}.` : "");
    this.draw();
  }

  /** Labels and velocity, moved into the domain; log g comes back when the corner is left. */
  setStar(changes, velocity = this.state.velocity) {
    if (changes.logg !== undefined) this.wantedLogg = changes.logg;
    const wanted = { ...this.state.labels, logg: this.wantedLogg, ...changes };
    const labels = this.domain.inside(wanted);
    const { low, high } = this.domain.velocity;
    this.state = { ...this.state, labels, velocity: Math.min(Math.max(velocity, low), high) };
    this.say(
      labels.logg > wanted.logg
        ? `log g is held at ${labels.logg.toFixed(2)}: near the radiation limit no atmosphere exists below it at this temperature and metallicity.`
        : "",
    );
    this.schedule();
  }

  setMedium(medium) {
    const convert = medium === "air" ? airFromVacuum : vacuumFromAir;
    const window = medium !== this.state.medium && this.state.window ? this.state.window.map(convert) : this.state.window;
    this.state = { ...this.state, medium, window };
    this.schedule();
  }

  /** Wavelengths shown; null for all. */
  setWindow(window) {
    const [low, high] = this.#all();
    if (window) {
      const width = Math.min(Math.max(window[1] - window[0], NARROWEST), high - low);
      const middle = (window[0] + window[1]) / 2;
      const begin = Math.min(Math.max(middle - width / 2, low), high - width);
      window = width >= (high - low) * 0.9999 ? null : [begin, begin + width];
    }
    this.state = { ...this.state, window };
    this.schedule();
  }

  get window() {
    return this.state.window ?? this.#all();
  }

  #all() {
    const x = this.x[this.state.medium];
    return [x[0] - MARGIN, x[x.length - 1] + MARGIN];
  }

  pin() {
    const slot = [0, 1, 2, 3].find((each) => !this.state.pins.some((pin) => pin.slot === each));
    if (slot === undefined) return this.say("Four spectra are pinned; remove one first.");
    const pin = this.#computePin({ slot, labels: this.state.labels, velocity: this.state.velocity });
    this.state = { ...this.state, pins: [...this.state.pins, pin].sort((one, other) => one.slot - other.slot) };
    this.say(`Pinned as ${LETTERS[slot]}.`);
    this.schedule();
  }

  unpin(slot) {
    this.state = { ...this.state, pins: this.state.pins.filter((pin) => slot !== undefined && pin.slot !== slot) };
    this.scene.highlight = null;
    this.schedule();
  }

  #computePin(pin) {
    pin.flux = this.emulator.flux(pin.labels, pin.velocity);
    return pin;
  }

  // --- drawing -----------------------------------------------------------------------------------------------

  /** Draw at once, and what changes before the next frame together in that. */
  schedule() {
    this.changed ??= performance.now();
    if (this.frame) return;
    const drawn = () => {
      this.draw();
      this.timings.push(performance.now() - this.changed);
      this.changed = null;
    };
    drawn();
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.changed) drawn();
    });
  }

  draw() {
    const { labels, velocity, medium, closeUp, pins } = this.state;
    const { scene } = this;
    this.emulator.flux(labels, velocity, this.emulator.sampler, scene.flux);
    if (scene.p68) {
      this.emulator.stated.at("p68", labels, velocity, scene.p68);
      this.emulator.stated.at("p99", labels, velocity, scene.p99);
    }
    Object.assign(scene, { x: this.x[medium], medium, pins, closeUp, window: this.window, labels, velocity });
    scene.lines = this.lines.of(labels, velocity, medium);
    scene.observed = this.observed && this.#overlay();
    this.plots.draw(scene);
    this.#show();
  }

  /** The observed spectrum as it is drawn: divided by scale and slope, beside the model at its wavelengths. */
  #overlay() {
    const { observed } = this;
    const { labels, velocity, medium } = this.state;
    const size = observed.vacuum.length;
    observed.model ??= new Float64Array(size);
    this.emulator.flux(labels, velocity, observed.sampler, observed.model);
    const line = $("normalise").checked ? scaleAndSlope(observed.flux, observed.model, observed.weight) : { a: 1, b: 0 };
    const flux = observed.flux.map((value, i) => value / (line.a + line.b * ((2 * i) / (size - 1) - 1)));
    const difference = flux.map((value, i) => value - observed.model[i]);
    const x = medium === "air" ? observed.air : observed.vacuum;
    observed.line = line;
    return { name: observed.name, x, flux, difference, model: observed.model, line };
  }

  /** Everything outside the plots. */
  #show() {
    const { labels, velocity, medium, closeUp, pins, window } = this.state;
    const lowest = this.domain.lowestLogg(labels.teff, labels.mh);
    for (const slider of this.sliders) {
      if (slider.name === "rv") slider.show(velocity);
      else slider.show(labels[slider.name], slider.name === "logg" ? lowest : undefined);
    }
    document.querySelectorAll("#medium input").forEach((input) => (input.checked = input.value === medium));
    $("close-up").checked = closeUp;
    $("unpin").disabled = pins.length === 0;
    for (const button of $("windows").children) {
      const [, middle] = WINDOWS[button.dataset.index];
      const wanted = middle && this.#around(middle);
      const now = middle ? window && Math.abs(window[0] - wanted[0]) + Math.abs(window[1] - wanted[1]) < 0.1 : !window;
      button.setAttribute("aria-pressed", Boolean(now));
    }
    for (const button of $("presets").children) {
      const preset = this.facts.presets[button.dataset.index];
      button.setAttribute("aria-pressed", velocity === 0 && this.domain.names.every((name) => preset[name] === labels[name]));
    }
    this.#legend();
    if (this.observed) this.#aboutOverlay();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.#settled(), 120);
  }

  /** What need not follow every frame: the address, the Python call, the list of lines. */
  #settled() {
    const hash = `#${toHash(this.state, this.domain.names)}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
    $("python").textContent = this.python();
    const known = this.#known();
    const x = this.x[this.state.medium];
    if (known[0] > 0 || known[1] < x.length - 1) {
      const ends = known.map((i) => x[i].toFixed(1));
      this.say(`At this velocity and rotation the model knows the spectrum from ${ends[0]} to ${ends[1]} Å.`, true);
    }
    if ($("lines").open) this.#listLines();
  }

  python() {
    const { labels, velocity, medium } = this.state;
    const ordered = Object.fromEntries(this.domain.names.map((name) => [name, labels[name]]));
    return python(ordered, velocity, medium, this.facts.model.name, this.#known(), this.scene.flux.length);
  }

  /** First and last point that the model knows. */
  #known() {
    const { flux } = this.scene;
    return [flux.findIndex((value) => !Number.isNaN(value)), flux.findLastIndex((value) => !Number.isNaN(value))];
  }

  #legend() {
    const { labels, velocity, pins } = this.state;
    const key = JSON.stringify([labels, velocity, pins.map(({ slot, labels: l, velocity: v }) => [slot, l, v]), this.observed?.name]);
    if (this.legendKey === key) return;
    this.legendKey = key;
    const chips = [chip("ink", "", title(labels, velocity))];
    if (this.observed) chips.push(chip("observed", "", this.observed.name));
    for (const { slot, labels: own, velocity: moving } of pins) {
      const made = chip(`pin-${slot}`, LETTERS[slot], differences(own, moving, labels, velocity), "pin");
      const name = `pinned spectrum ${LETTERS[slot]}`;
      made.append(
        action("↺", `Show ${name} with the sliders`, () => this.setStar({ ...own }, moving)),
        action("✕", `Remove ${name}`, () => this.unpin(slot)),
      );
      for (const [event, value] of [["mouseenter", slot], ["mouseleave", null]]) {
        made.addEventListener(event, () => {
          this.scene.highlight = value;
          this.schedule();
        });
      }
      chips.push(made);
    }
    $("legend").replaceChildren(...chips);
  }

  #hover(wavelength) {
    const tip = $("tip");
    const { scene } = this;
    if (wavelength === null || !scene?.x) {
      tip.hidden = true;
      $("readout").textContent = "";
      return;
    }
    const { x, flux, p68, medium, window } = scene;
    const i = Math.min(Math.max(Math.round(((wavelength - x[0]) / (x.at(-1) - x[0])) * (x.length - 1)), 0), x.length - 1);
    const value = Number.isNaN(flux[i]) ? "not known" : `${flux[i].toFixed(4)}${p68 ? ` ± ${p68[i].toFixed(4)}` : ""}`;
    $("readout").textContent = `${wavelength.toFixed(2)} Å ${medium}   ${value}`;
    const perPixel = (window[1] - window[0]) / this.plots.flux.over.clientWidth;
    // a name that is drawn comes first
    const line = nearest(this.plots.names, wavelength, 6 * perPixel) ?? lineAt(scene.lines, wavelength, 3 * perPixel);
    tip.hidden = !line;
    if (line) this.#tip(tip, line, medium);
  }

  #tip(tip, line, medium) {
    const energy = line.hydrogen ? "n = 3 to " + line.species.slice(3) : `E<sub>low</sub> ${line.energy_low_ev.toFixed(2)} eV`;
    tip.innerHTML = `<b>${line.species}</b> ${line.rest.toFixed(2)} Å in ${medium}<small>log gf ${line.log_gf.toFixed(2).replace("-", "−")}, ${energy}</small>`;
    const over = this.plots.flux.over.getBoundingClientRect();
    const stage = $("stage").getBoundingClientRect();
    const left = over.left - stage.left + this.plots.flux.valToPos(line.x, "x");
    const half = tip.offsetWidth / 2;
    tip.style.left = `${Math.min(Math.max(left, half + 4), stage.width - half - 4)}px`;
    tip.style.top = `${over.top - stage.top + 46}px`;
  }

  #listLines() {
    const rows = (this.plots.names ?? []).map((line) => {
      const row = document.createElement("tr");
      for (const text of [line.species, `${line.rest.toFixed(2)} Å`, line.hydrogen ? "" : `${line.energy_low_ev.toFixed(2)} eV`]) {
        row.insertCell().textContent = text;
      }
      return row;
    });
    const table = document.createElement("table");
    table.append(...rows);
    $("lines").querySelector("div").replaceChildren(rows.length ? table : "None is named here.");
  }

  /** A sentence below the plots; one that `keeps` does not replace another. */
  say(text, keeps = false) {
    if (keeps && $("notice").textContent) return;
    if ($("notice").textContent !== text) $("notice").textContent = text;
  }

  // --- what the reader does ----------------------------------------------------------------------------------

  #controls() {
    const label = (name) => this.domain.labels.find((each) => each.name === name);
    const make = (name, parent) => new Slider(label(name), $(parent), (value) => this.setStar({ [name]: value }));
    const rv = { name: "rv", unit: "km/s", ...this.domain.velocity, description: "radial velocity, positive away from us" };
    this.sliders = [...STAR.map((name) => make(name, "star")), ...SEEN.map((name) => make(name, "seen"))];
    this.sliders.push(new Slider(rv, $("seen"), (value) => this.setStar({}, value)));
    $("seen").insertAdjacentHTML(
      "beforeend",
      `<div class="field"><span id="medium-label">Wavelengths in</span>
       <div id="medium" class="segments" role="radiogroup" aria-labelledby="medium-label">${MEDIA.map(
         (medium) => `<label><input type="radio" name="medium" value="${medium}"><span>${medium}</span></label>`,
       ).join("")}</div></div>`,
    );
    $("medium").addEventListener("change", (event) => this.setMedium(event.target.value));
    this.facts.presets.forEach((preset, index) => {
      const { name, ...labels } = preset;
      const button = action(name, name, () => this.setStar(labels, 0));
      button.dataset.index = index;
      $("presets").append(button);
    });
    WINDOWS.forEach(([name, middle], index) => {
      const button = action(name, middle ? `Around ${middle} Å` : "All wavelengths", () => this.setWindow(middle && this.#around(middle)));
      button.dataset.index = index;
      $("windows").append(button);
    });
    const onClick = {
      "zoom-in": () => this.setWindow(zoomed(this.window, 0.6)),
      "zoom-out": () => this.setWindow(zoomed(this.window, 1 / 0.6)),
      "pan-left": () => this.setWindow(shifted(this.window, -0.25)),
      "pan-right": () => this.setWindow(shifted(this.window, 0.25)),
      pin: () => this.pin(),
      unpin: () => this.unpin(),
      share: () => this.#copy(this.link(), "The link is copied."),
      theme: () => globalThis.toggleTheme(),
      "help-open": () => $("help").showModal(),
      "copy-python": () => this.#copy(this.python(), "The Python call is copied."),
      "save-csv": () => save(`${stem(this.state.labels)}.csv`, csv(this.scene, this.facts), "text/csv"),
      "save-png": () => this.#savePng(),
      "overlay-save": () => save(`${stem(this.state.labels)}_observed.csv`, overlayCsv(this.scene, this.facts), "text/csv"),
      "overlay-remove": () => this.observe(null),
      fit: () => this.fit(),
    };
    for (const [id, act] of Object.entries(onClick)) $(id).addEventListener("click", act);
    $("close-up").addEventListener("change", () => this.setCloseUp($("close-up").checked));
    $("normalise").addEventListener("change", () => this.schedule());
    $("lines").addEventListener("toggle", () => this.#listLines());
    const { model, version } = this.facts;
    const spectra = this.emulator.stated ? `; errors from ${this.emulator.stated.spectra} held-out spectra` : "";
    $("about").textContent = `starloom ${version}, model “${model.name}” (${model.sha256.slice(0, 12)})${spectra}.`;
    addEventListener("themechange", () => this.#themed());
    addEventListener("hashchange", () => this.open(location.hash));
    this.#themed();
  }

  #around(air) {
    const middle = this.state.medium === "air" ? air : vacuumFromAir(air);
    return [middle - WINDOW_WIDTH / 2, middle + WINDOW_WIDTH / 2];
  }

  setCloseUp(closeUp) {
    this.state = { ...this.state, closeUp };
    this.schedule();
  }

  link() {
    return `${location.href.split("#")[0]}#${toHash(this.state, this.domain.names)}`;
  }

  #themed() {
    $("theme").textContent = document.documentElement.dataset.theme === "dark" ? "☀" : "☾";
    this.plots?.readPalette();
    if (this.plots) this.draw();
  }

  async #copy(text, done) {
    try {
      await navigator.clipboard.writeText(text);
      this.say(done);
    } catch {
      // not allowed: shown, so that it can be copied by hand
      prompt("Copy this:", text);
    }
  }

  async #savePng() {
    const { labels, velocity, pins } = this.state;
    const notes = pins.map((pin) => ({ text: `${LETTERS[pin.slot]}: ${title(pin.labels, pin.velocity)}`, style: colour(`pin-${pin.slot}`) }));
    if (this.observed) notes.push({ text: this.observed.name, style: colour("observed") });
    save(`${stem(labels)}.png`, await png(this.plots, title(labels, velocity), notes));
  }

  #keys() {
    $("plot").addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && pressed(event.key, this.view)) event.preventDefault();
    });
    const anywhere = {
      p: () => this.pin(),
      o: () => $("file").click(),
      f: () => this.setCloseUp(!this.state.closeUp),
      v: () => this.setMedium(this.state.medium === "air" ? "vacuum" : "air"),
      0: () => this.setWindow(null),
      "?": () => $("help").showModal(),
    };
    addEventListener("keydown", (event) => {
      const typing = /^(number|text)$/.test(event.target.type) || $("help").open;
      if (typing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      anywhere[event.key]?.();
    });
  }

  // --- observed spectra --------------------------------------------------------------------------------------

  #files() {
    $("file").addEventListener("change", () => {
      if ($("file").files[0]) this.load($("file").files[0]);
      $("file").value = ""; // so that the same file can be chosen again
    });
    let depth = 0; // enter and leave come for every element on the way
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    const veil = (shown) => ($("veil").hidden = !shown);
    addEventListener("dragenter", (event) => hasFile(event) && veil(++depth > 0));
    addEventListener("dragleave", (event) => hasFile(event) && veil(--depth > 0));
    addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      depth = 0;
      veil(false);
      if (event.dataTransfer.files[0]) this.load(event.dataTransfer.files[0]);
    });
    $("overlay-medium").addEventListener("change", (event) => this.observe(inMedium(this.observed, event.target.value)));
  }

  /** Overlay the spectrum in a file, or say why not. */
  async load(file) {
    $("fault").textContent = "";
    try {
      const { first_aa: first, last_aa: last } = this.facts.finish;
      this.observe(await readSpectrum(file, [first, last]));
    } catch (error) {
      $("fault").textContent = `${file.name}: ${error.message}.`;
    }
  }

  /** Overlay an observed spectrum (see readSpectrum), or none. */
  observe(observed) {
    this.fitting = null;
    this.observed = observed;
    $("overlay").hidden = !observed;
    $("fit-result").replaceChildren();
    $("fault").textContent = "";
    if (observed) {
      observed.sampler = this.emulator.at(observed.vacuum);
      observed.air = observed.vacuum.map(airFromVacuum);
      observed.weight = weights(observed);
      observed.model = null;
      $("overlay-name").textContent = observed.name;
      document.querySelectorAll("#overlay-medium input").forEach((input) => (input.checked = input.value === observed.medium));
    }
    this.schedule();
  }

  #aboutOverlay() {
    const { vacuum, error, assumed, notes, line, medium } = this.observed;
    const words = [`${vacuum.length} points`, error ? "with errors" : "without errors", ...notes];
    if (assumed) words.push(`air or vacuum not said in the file: ${medium} assumed`);
    if ($("normalise").checked) words.push(`scale ${line.a.toPrecision(4)}, slope ${((200 * line.b) / line.a).toFixed(2).replace("-", "−")} % from end to end`);
    $("overlay-about").textContent = words.join("; ");
  }

  /** First estimate of the observed spectrum's labels, and the sliders there. */
  async fit() {
    const { emulator, domain, observed } = this;
    const running = (this.fitting = {});
    $("fit").disabled = true;
    const progress = (text) => running === this.fitting && ($("fit-result").textContent = `Fitting: ${text}`);
    try {
      const start = this.state.labels;
      const modelError = emulator.stated ? mean(this.scene.p68) : 0;
      const began = performance.now();
      const found = await firstEstimate({ emulator, domain, observed, start, velocity: this.state.velocity, modelError, progress });
      if (running !== this.fitting) return; // another spectrum has come
      found.seconds = (performance.now() - began) / 1e3;
      this.estimate = found;
      this.setStar(found.labels, found.velocity);
      $("fit-result").replaceChildren(...estimate(found, this.domain.labels));
    } finally {
      $("fit").disabled = false;
    }
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function nearest(lines, wavelength, tolerance) {
  const sorted = [...(lines ?? [])].sort((one, other) => Math.abs(one.x - wavelength) - Math.abs(other.x - wavelength));
  return sorted[0] && Math.abs(sorted[0].x - wavelength) < tolerance ? sorted[0] : null;
}

async function start() {
  const facts = await (await fetched("facts.json")).json();
  const buffer = await (await fetched(facts.model.file)).arrayBuffer();
  if ((await sha256(buffer)) !== facts.model.sha256) throw new Error("the model's weights do not have the hash they should: load the page again");
  globalThis.explorer = new Explorer(facts, new Emulator(readWeights(buffer), facts)); // for the console and tests
  performance.mark("ready");
  document.documentElement.dataset.ready = "true";
}

async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return answer;
}

start().catch((error) => {
  $("notice").textContent = `The page cannot start: ${error.message}.`;
  $("notice").classList.add("fault");
  document.documentElement.dataset.ready = "failed";
  throw error;
});
