// Sliders with number boxes, one pair for each quantity.

import { clamp } from "../model/domain.js";
import { short } from "../state/link.js";
import { minus } from "./words.js";

/** One quantity, as the facts describe it; `onInput(value)` hears of what the reader does. */
export class Slider {
  constructor(quantity, parent, onInput) {
    const { name, unit, low, high, step, description } = quantity;
    Object.assign(this, { quantity, name, low, high, step });
    const id = document.getElementById(name) ? `label-${name}` : name; // the page has elements of its own
    const box = document.createElement("div");
    box.className = "label";
    box.title = description;
    box.innerHTML = `
      <label class="name"></label><span class="ends">${minus(low)} to ${minus(high)}</span>
      <input type="number" inputmode="decimal" min="${low}" max="${high}" step="any"><span class="unit"></span>
      <span class="track"><input type="range" min="${low}" max="${high}" step="${step}"><span class="barred" hidden></span></span>`;
    box.querySelector(".unit").textContent = unit;
    parent.append(box);
    this.number = box.querySelector("input[type=number]");
    this.range = box.querySelector("input[type=range]");
    this.barred = box.querySelector(".barred");
    this.number.id = box.querySelector(".name").htmlFor = id;
    this.range.id = `${id}-slider`;
    this.range.ariaLabel = description;
    symbol(box.querySelector(".name"), quantity);
    this.#listen(onInput);
  }

  /** Show a value, and where `lowest` is higher than the range's end, that nothing below it can be reached. */
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

  #listen(onInput) {
    const { number, range, low, high } = this;
    range.addEventListener("input", () => onInput(range.valueAsNumber));
    number.addEventListener("input", () => {
      const value = number.valueAsNumber;
      // while typing, what is not yet inside is left alone
      if (value >= low && value <= high) onInput(value);
    });
    number.addEventListener("change", () => {
      const value = number.valueAsNumber;
      this.lowest = null; // shown anew, also where the value stays
      onInput(Number.isNaN(value) ? this.value : clamp(value, low, high));
    });
    number.addEventListener("keydown", (event) => this.#arrows(event, onInput));
  }

  /** Up and down by the slider's step; the browser's own would go in wholes. */
  #arrows(event, onInput) {
    const way = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!way) return;
    event.preventDefault();
    onInput(clamp(+short(this.value + way * this.step), this.low, this.high));
  }
}

/** The facts' own HTML is the package's; a symbol alone may come from a model's file, so it is only text. */
function symbol(element, { html, symbol: text }) {
  if (html) element.innerHTML = html;
  else element.textContent = text;
}
