// What the page shows and every way in which it changes; knows neither the document nor how it is drawn.

import { airFromVacuum, vacuumFromAir } from "../model/wavelength.js";
import { LETTERS, fromHash, toHash } from "./link.js";

const MARGIN = 3; // points, drawn beyond the first and last one
const NARROWEST = 20; // points, of the window

/**
 * The state: {labels, velocity, own: names of elements that do not follow their default, medium, window: [low,
 * high] | null for all, closeUp, pins: [{slot, labels, velocity, own}], highlight: a slot | null, notice: what is to
 * be told about the last change}. It is replaced, never changed in place.
 */
export class Store {
  #listeners = [];
  #wanted; // labels asked for, to which they return when there is room again

  /** For the labels of a domain and the model's wavelengths {air, vacuum}. */
  constructor(domain, axes) {
    const labels = domain.inside(Object.fromEntries(domain.main.map((label) => [label.name, label.default])));
    this.domain = domain;
    this.axes = axes;
    const shown = { medium: "air", window: null, closeUp: false, pins: [], highlight: null, notice: "" };
    this.first = { labels, velocity: domain.velocity.default, own: [], ...shown };
    this.state = this.first;
    this.#wanted = domain.wanted(labels, []);
  }

  /** Have `listener(state)` called after each change. */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  change(changes) {
    this.state = { ...this.state, ...changes };
    for (const listener of this.#listeners) listener(this.state);
  }

  say(notice) {
    this.change({ notice });
  }

  /** Take over what an address says. */
  open(hash) {
    const { state, faults } = fromHash(hash, this.domain, this.first);
    this.#wanted = this.domain.wanted(state.labels, state.own);
    const window = state.window && this.#inside(state.window, state.medium);
    this.change({ ...state, window, notice: faults.length ? `The link was changed: ${faults.join("; ")}.` : "" });
  }

  /** The part of an address that `open` takes. */
  get hash() {
    return toHash(this.state, this.domain);
  }

  /**
   * Labels and velocity, moved into the domain; what others held comes back when there is room. An element that is
   * given as undefined follows its default again.
   */
  setStar(changes, velocity = this.state.velocity) {
    const { domain } = this;
    const wanted = { ...this.state.labels };
    for (const name of [domain.gravity, ...domain.elements.map((label) => label.name)]) if (name) wanted[name] = this.#wanted[name];
    Object.assign(wanted, changes);
    this.#wanted = wanted;
    const labels = domain.inside(wanted);
    const own = domain.elements.map(({ name }) => name).filter((name) => wanted[name] !== undefined);
    this.change({ labels, own, velocity: domain.moving(velocity), notice: held(domain, wanted, labels) });
  }

  /** All of a star, as a pin has it. */
  show({ labels, velocity, own }) {
    this.setStar(this.domain.wanted(labels, own), velocity);
  }

  setMedium(medium) {
    const convert = medium === "air" ? airFromVacuum : vacuumFromAir;
    const { window } = this.state;
    this.change({ medium, window: window && medium !== this.state.medium ? window.map(convert) : window });
  }

  /** Wavelengths shown; null for all. */
  setWindow(window) {
    this.change({ window: window && this.#inside(window, this.state.medium) });
  }

  get window() {
    return this.state.window ?? this.#all(this.state.medium);
  }

  setCloseUp(closeUp) {
    this.change({ closeUp });
  }

  pin() {
    const { labels, velocity, own, pins } = this.state;
    const slot = [...LETTERS].map((_, i) => i).find((each) => !pins.some((pin) => pin.slot === each));
    if (slot === undefined) return this.say("Four spectra are pinned; remove one first.");
    const sorted = [...pins, { slot, labels, velocity, own }].sort((one, other) => one.slot - other.slot);
    this.change({ pins: sorted, notice: `Pinned as ${LETTERS[slot]}.` });
  }

  /** Remove a pin, or all. */
  unpin(slot) {
    this.change({ pins: this.state.pins.filter((pin) => slot !== undefined && pin.slot !== slot), highlight: null });
  }

  #all(medium) {
    const x = this.axes[medium];
    const margin = MARGIN * this.#step(x);
    return [x[0] - margin, x.at(-1) + margin];
  }

  #step = (x) => (x.at(-1) - x[0]) / (x.length - 1);

  /** The nearest window that is wide enough and holds no more than there is; null for nearly all. */
  #inside(window, medium) {
    const [low, high] = this.#all(medium);
    const width = Math.min(Math.max(window[1] - window[0], NARROWEST * this.#step(this.axes[medium])), high - low);
    const middle = (window[0] + window[1]) / 2;
    const begin = Math.min(Math.max(middle - width / 2, low), high - width);
    return width >= (high - low) * 0.9999 ? null : [begin, begin + width];
  }
}

/** What is to be told where labels do not let one of them be what was asked for. */
function held(domain, wanted, labels) {
  const asked = domain.asked(wanted);
  const label = domain.labels.find(({ name }) => labels[name] !== asked[name]);
  if (!label) return "";
  const told = `${label.symbol} is held at ${labels[label.name].toFixed(2)}`;
  if (!label.element) return `${told}: near the radiation limit no atmosphere exists below it at this temperature and metallicity.`;
  if (labels[label.name] < Math.min(asked[label.name], domain.ends(label, labels)[1]))
    return `${told}: the model knows no stars with [C/O] above ${domain.limit.highest}.`;
  const [low, high] = domain.ends(label, labels).map((end) => end.toFixed(2));
  return `${told}: the model knows it from ${low} to ${high}${label.follows ? " at this [α/M]" : ""}.`;
}
