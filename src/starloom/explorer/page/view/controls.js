// Sliders with number boxes, one pair for each quantity.

import { short } from "./state.js";

// of the sliders and the boxes' arrows; any number can be typed
const STEPS = { teff: 10, logg: 0.01, vsini: 1, mh: 0.01, vmic: 0.05, resolution: 100, rv: 1 };
const SYMBOLS = {
  teff: "<i>T</i><sub>eff</sub>",
  logg: "log <i>g</i>",
  vsini: "<i>v</i> sin <i>i</i>",
  mh: "[M/H]",
  vmic: "<i>v</i><sub>mic</sub>",
  resolution: "<i>R</i>",
  rv: "RV",
};

/** One quantity: {name, unit, low, high, description}; `onInput(value)` hears of what the reader does. */
export class Slider {
  constructor({ name, unit, low, high, description }, parent, onInput) {
    Object.assign(this, { name, low, high });
    const box = document.createElement("div");
    box.className = "label";
    box.title = description;
    box.innerHTML = `
      <label class="name" for="${name}">${SYMBOLS[name] ?? name}</label>
      <span class="ends">${minus(low)} to ${minus(high)}</span>
      <input type="number" id="${name}" inputmode="decimal" min="${low}" max="${high}" step="any">
      <span class="unit">${unit}</span>
      <span class="track"><input type="range" id="${name}-slider" min="${low}" max="${high}" step="${STEPS[name]}"
        aria-label="${description}"><span class="barred" hidden></span></span>`;
    parent.append(box);
    this.number = box.querySelector("input[type=number]");
    this.range = box.querySelector("input[type=range]");
    this.barred = box.querySelector(".barred");
    this.range.addEventListener("input", () => onInput(this.range.valueAsNumber));
    this.number.addEventListener("input", () => {
      const value = this.number.valueAsNumber;
      // while typing, what is not yet inside is left alone
      if (value >= low && value <= high) onInput(value);
    });
    this.number.addEventListener("change", () => {
      const value = this.number.valueAsNumber;
      this.lowest = null; // shown anew, also where the value stays
      onInput(Number.isNaN(value) ? this.value : Math.min(Math.max(value, low), high));
    });
    this.number.addEventListener("keydown", (event) => this.#arrows(event, onInput));
  }

  /** Show a value, and where `lowest` is given, that nothing below it can be reached. */
  show(value, lowest = this.low) {
    if (value === this.value && lowest === this.lowest) return;
    this.value = value;
    this.lowest = lowest;
    if (document.activeElement !== this.number || this.number.valueAsNumber !== value) this.number.value = short(value);
    this.range.valueAsNumber = value;
    const share = (x) => (x - this.low) / (this.high - this.low);
    // the thumb's middle runs from half its width to the whole less that
    this.range.style.setProperty("--at", `calc(8px + ${share(value)} * (100% - 16px))`);
    this.barred.hidden = !(lowest > this.low);
    this.barred.style.width = `calc(8px + ${share(lowest)} * (100% - 16px))`;
    this.number.min = short(lowest);
  }

  /** Up and down by the slider's step; the browser's own would go in wholes. */
  #arrows(event, onInput) {
    const way = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!way) return;
    event.preventDefault();
    const next = this.value + way * STEPS[this.name];
    onInput(Math.min(Math.max(+next.toFixed(4), this.low), this.high));
  }
}

const minus = (value) => `${value}`.replace("-", "−");
