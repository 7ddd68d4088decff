// Sliders with number boxes, one pair for each quantity.

import { clamp } from "../model/domain.js";
import { short } from "../state/link.js";
import { action } from "./legend.js";
import { minus } from "./words.js";

/**
 * One quantity, as the facts describe it; `onInput(value)` hears of what the reader does, with undefined where an
 * element is to follow its default again.
 */
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
      <span class="track"><input type="range" min="${low}" max="${high}" step="${step}"><span class="barred" hidden></span><span class="barred above" hidden></span></span>`;
    box.querySelector(".unit").textContent = unit;
    parent.append(box);
    this.number = box.querySelector("input[type=number]");
    this.range = box.querySelector("input[type=range]");
    [this.barred, this.above] = box.querySelectorAll(".barred");
    this.number.id = box.querySelector(".name").htmlFor = id;
    this.range.id = `${id}-slider`;
    this.range.ariaLabel = description;
    symbol(box.querySelector(".name"), quantity);
    this.box = box;
    if (quantity.element) this.#follows(onInput);
    this.#listen(onInput);
  }

  /** Show a value in a range, of which nothing below `lowest` and nothing above `highest` can be reached. */
  show(value, { low, high, lowest, highest }) {
    if (value === this.value && low === this.low && high === this.high && lowest === this.lowest && highest === this.highest) return;
    if (low !== this.low || high !== this.high) this.#span(low, high);
    Object.assign(this, { value, low, high, lowest, highest });
    if (document.activeElement !== this.number || this.number.valueAsNumber !== value) this.number.value = short(value);
    this.range.valueAsNumber = value;
    const share = (x) => (x - this.low) / (this.high - this.low);
    // the thumb's middle runs from half its width to the whole less that
    this.range.style.setProperty("--at", `calc(8px + ${share(value)} * (100% - 16px))`);
    this.barred.hidden = !(lowest > this.low);
    this.barred.style.width = `calc(8px + ${share(lowest)} * (100% - 16px))`;
    this.above.hidden = !(highest < this.high);
    this.above.style.width = `calc(8px + ${1 - share(highest)} * (100% - 16px))`;
    this.number.min = short(lowest);
  }

  /** Show whether an element has a value of its own. */
  showOwn(own) {
    this.box.classList.toggle("own", own);
    this.reset.disabled = !own;
  }

  /** Another range, where others move it. */
  #span(low, high) {
    [this.range.min, this.range.max, this.number.max] = [low, high, high];
    if (this.quantity.element) this.#tell(low, high);
  }

  #tell(low, high) {
    this.box.title = `${this.quantity.description}, ${minus(low)} to ${minus(high)}`;
  }

  #follows(onInput) {
    this.box.classList.add("element");
    this.reset = action("↺", `${this.quantity.symbol} back to its default`, () => onInput(undefined));
    this.box.append(this.reset);
    this.#tell(this.low, this.high);
  }

  #listen(onInput) {
    const { number, range } = this;
    range.addEventListener("input", () => onInput(range.valueAsNumber));
    number.addEventListener("input", () => {
      const value = number.valueAsNumber;
      // while typing, what is not yet inside is left alone
      if (value >= this.low && value <= this.high) onInput(value);
    });
    number.addEventListener("change", () => {
      const value = number.valueAsNumber;
      this.lowest = null; // shown anew, also where the value stays
      onInput(Number.isNaN(value) ? this.value : clamp(value, this.low, this.high));
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
