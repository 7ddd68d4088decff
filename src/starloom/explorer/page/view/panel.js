// Everything outside the plots: sliders, buttons and keys, and what they show of the state.

import { vacuumFromAir } from "../model/wavelength.js";
import { LETTERS, MEDIA } from "../state/link.js";
import { Slider } from "./controls.js";
import { Elements } from "./elements.js";
import { csv, overlayCsv, png, python, save } from "./download.js";
import { pressed, shifted, zoomed } from "./gestures.js";
import { Legend, action } from "./legend.js";
import { colour } from "./plots.js";
import { listLines } from "./tip.js";

const SETTLED = 120; // ms after which also what need not follow every frame is shown
const $ = (id) => document.getElementById(id);

export class Panel {
  constructor({ facts, store, words, overlay, picture }) {
    Object.assign(this, { facts, store, words, overlay, picture });
    this.view = { get: () => store.window, set: (window) => store.setWindow(window) };
    this.legend = new Legend($("legend"), store, words);
    this.sliders = this.#sliders();
    this.#medium();
    this.presets = facts.presets.map(({ name, ...labels }) => ({
      labels,
      button: action(name, name, () => store.show({ labels, own: [], velocity: 0 })),
    }));
    this.windows = this.#windows();
    $("presets").append(...this.presets.map(({ button }) => button));
    $("windows").append(...this.windows.map(({ button }) => button));
    this.#buttons();
    this.#keys();
    this.#about();
    addEventListener("themechange", () => this.#themed());
    this.#themed();
  }

  /** Show the state, and soon also what need not follow every frame. */
  show() {
    const { state, domain } = this.store;
    const { labels, velocity, medium, closeUp, pins, window } = state;
    for (const slider of this.sliders) {
      if (slider.quantity === domain.velocity) slider.show(velocity, whole(domain.velocity));
      else slider.show(labels[slider.name], range(domain, slider.quantity, labels));
    }
    this.elements?.show(state);
    document.querySelectorAll("#medium input").forEach((input) => (input.checked = input.value === medium));
    $("close-up").checked = closeUp;
    $("unpin").disabled = pins.length === 0;
    for (const { middle, button } of this.windows) press(button, middle ? window && same(window, this.#around(middle)) : !window);
    for (const { labels: own, button } of this.presets)
      press(button, velocity === 0 && domain.names.every((name) => own[name] === labels[name]));
    this.legend.show(state, this.overlay.observed ? [this.overlay.observed.name] : []);
    $("overlay-about").textContent = this.overlay.about;
    this.tell();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.#settled(), SETTLED);
  }

  /** Say at once what is to be told about the last change. */
  tell() {
    const told = this.store.state.notice || this.#waiting() || this.#unknown() || this.#wide();
    if ($("notice").textContent !== told) $("notice").textContent = told;
  }

  /** The address that shows the same. */
  link() {
    return `${location.href.split("#")[0]}#${this.store.hash}`;
  }

  /** The Python call that makes the same spectrum. */
  python() {
    const { facts, picture, store } = this;
    const own = picture.emulator.header.points;
    return python(store.state, { domain: store.domain, model: facts.model.name, correction: facts.correction, own, known: picture.known });
  }

  #settled() {
    const hash = `#${this.store.hash}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
    $("python").textContent = this.python();
    this.#lines();
  }

  /** How much of what is in view is still to be loaded, or why it is not. */
  #waiting() {
    const { waiting, chunks } = this.picture.scene;
    const failed = waiting.find(({ fault }) => fault);
    if (failed) {
      const ends = `${failed.low.toFixed(0)} to ${failed.high.toFixed(0)} Å`;
      return `The model's part from ${ends} could not be loaded (${failed.fault}); what is done next asks for it again.`;
    }
    return waiting.length ? `The model is being loaded where it is looked at: ${waiting.length} of ${chunks} parts to come.` : "";
  }

  /** From where to where the model knows the spectrum, if that is not everywhere. */
  #unknown() {
    const { known, scene } = this.picture;
    if (known[0] === 0 && known[1] === scene.flux.length - 1) return "";
    if (known[0] < 0) return "At this velocity and rotation the model knows nothing of the spectrum.";
    const ends = known.map((i) => scene.x[i].toFixed(1));
    return `At this velocity and rotation the model knows the spectrum from ${ends[0]} to ${ends[1]} Å.`;
  }

  /** What is drawn where there are far more points than pixels. */
  #wide() {
    const { drawn } = this.picture.plots;
    return drawn?.shade ? "A wide view: the line is the mean in each column of pixels, the shade its extremes." : "";
  }

  #lines() {
    if ($("lines").open) listLines($("lines").querySelector("div"), this.picture.plots.names ?? []);
  }

  #sliders() {
    const { store } = this;
    const { star, seen, velocity } = store.domain;
    const own = (parent) => (label) => new Slider(label, parent, (value) => store.setStar({ [label.name]: value }));
    const moving = () => new Slider(velocity, $("seen"), (value) => store.setStar({}, value));
    const main = [...star.map(own($("star"))), ...seen.map(own($("seen"))), moving()];
    if (!store.domain.elements.length) return main;
    this.elements = new Elements($("star"), store);
    return [...main, ...this.elements.sliders];
  }

  #medium() {
    const choices = MEDIA.map((medium) => `<label><input type="radio" name="medium" value="${medium}"><span>${medium}</span></label>`);
    $("seen").insertAdjacentHTML(
      "beforeend",
      `<div class="field"><span id="medium-label">Wavelengths in</span>
       <div id="medium" class="segments" role="radiogroup" aria-labelledby="medium-label">${choices.join("")}</div></div>`,
    );
    $("medium").addEventListener("change", (event) => this.store.setMedium(event.target.value));
  }

  /** Buttons for all wavelengths and for those around some lines. */
  #windows() {
    const all = { middle: null, button: action("All", "All wavelengths", () => this.store.setWindow(null)) };
    const around = this.facts.windows.lines.map(({ name, air_aa: middle }) => {
      return { middle, button: action(name, `Around ${middle} Å`, () => this.store.setWindow(this.#around(middle))) };
    });
    return [all, ...around];
  }

  #around(air) {
    const middle = this.store.state.medium === "air" ? air : vacuumFromAir(air);
    const half = this.facts.windows.width_aa / 2;
    return [middle - half, middle + half];
  }

  #buttons() {
    const { store, facts, words, picture } = this;
    const stem = () => words.stem(store.state.labels);
    const onClick = {
      "zoom-in": () => store.setWindow(zoomed(store.window, 0.6)),
      "zoom-out": () => store.setWindow(zoomed(store.window, 1 / 0.6)),
      "pan-left": () => store.setWindow(shifted(store.window, -0.25)),
      "pan-right": () => store.setWindow(shifted(store.window, 0.25)),
      pin: () => store.pin(),
      unpin: () => store.unpin(),
      share: () => this.#copy(this.link(), "The link is copied."),
      theme: () => globalThis.toggleTheme(),
      "help-open": () => $("help").showModal(),
      "copy-python": () => this.#copy(this.python(), "The Python call is copied."),
      "save-csv": () => this.#loaded() && save(`${stem()}.csv`, csv(picture.scene, facts), "text/csv"),
      "save-png": () => this.#savePng(`${stem()}.png`),
      "overlay-save": () => this.#loaded() && save(`${stem()}_observed.csv`, overlayCsv(picture.scene, facts), "text/csv"),
    };
    for (const [id, act] of Object.entries(onClick)) $(id).addEventListener("click", act);
    $("close-up").addEventListener("change", () => store.setCloseUp($("close-up").checked));
    $("lines").addEventListener("toggle", () => this.#lines());
  }

  /** Whether all that is in view is there; else it is said that a file of it would have gaps. */
  #loaded() {
    const complete = this.picture.scene.waiting.length === 0;
    if (!complete) this.store.say("Not all of what is in view is loaded; the file would have gaps. Try again in a moment.");
    return complete;
  }

  #about() {
    const { model, version, correction } = this.facts;
    const { stated, inParts } = this.picture.emulator;
    const spectra = stated ? `; errors from ${stated.spectra} held-out spectra` : "";
    const corrected = correction ? `; flux with the correction ${correction.title}` : "";
    $("about").textContent = `starloom ${version}, model “${model.name}” (${model.source.slice(0, 12)})${spectra}${corrected}.`;
    for (const told of document.querySelectorAll(".about-parts")) told.hidden = !inParts;
  }

  #keys() {
    const { store } = this;
    $("plot").addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && pressed(event.key, this.view)) event.preventDefault();
    });
    const anywhere = {
      p: () => store.pin(),
      o: () => $("file").click(),
      f: () => store.setCloseUp(!store.state.closeUp),
      v: () => store.setMedium(store.state.medium === "air" ? "vacuum" : "air"),
      0: () => store.setWindow(null),
      "?": () => $("help").showModal(),
      e: () => this.elements?.toggle(),
    };
    addEventListener("keydown", (event) => {
      const typing = /^(number|text)$/.test(event.target.type) || $("help").open;
      if (typing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      anywhere[event.key]?.();
    });
  }

  #themed() {
    $("theme").textContent = document.documentElement.dataset.theme === "dark" ? "☀" : "☾";
  }

  async #copy(text, done) {
    try {
      await navigator.clipboard.writeText(text);
      this.store.say(done);
    } catch {
      // not allowed: shown, so that it can be copied by hand
      prompt("Copy this:", text);
    }
  }

  async #savePng(name) {
    const { state } = this.store;
    const notes = state.pins.map((pin) => ({
      text: `${LETTERS[pin.slot]}: ${this.words.title(pin.labels, pin.velocity)}`,
      style: colour(`pin-${pin.slot}`),
    }));
    const { observed } = this.overlay;
    if (observed) notes.push({ text: observed.name, style: colour("observed") });
    save(name, await png(this.picture.plots, this.words.title(state.labels, state.velocity), notes));
  }
}

const whole = ({ low, high }) => ({ low, high, lowest: low, highest: high });

/** The range of a label's slider beside the other labels, and how much of it can be reached. */
function range(domain, label, labels) {
  const [low, high] = domain.ends(label, labels);
  return { low, high, lowest: domain.lowest(label, labels), highest: domain.highest(label, labels) };
}

const press = (button, pressed) => button.setAttribute("aria-pressed", Boolean(pressed));
const same = (one, other) => Math.abs(one[0] - other[0]) + Math.abs(one[1] - other[1]) < 0.1;
