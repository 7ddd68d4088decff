// The legend above the plots, and the buttons that the page makes.

import { LETTERS } from "../state/link.js";

/** The spectra that are shown, in words; `names` are of observed ones. */
export class Legend {
  #shown = "";

  constructor(element, store, words) {
    Object.assign(this, { element, store, words });
  }

  show({ labels, velocity, pins }, names) {
    const key = JSON.stringify([labels, velocity, pins, names]);
    if (this.#shown === key) return;
    this.#shown = key;
    const chips = [chip("ink", "", this.words.title(labels, velocity))];
    for (const name of names) chips.push(chip("observed", "", name));
    for (const pin of pins) chips.push(this.#pin(pin, labels, velocity));
    this.element.replaceChildren(...chips);
  }

  #pin(pin, labels, velocity) {
    const { slot, labels: own, velocity: moving } = pin;
    const made = chip(`pin-${slot}`, LETTERS[slot], this.words.differences(own, moving, labels, velocity), "pin");
    const name = `pinned spectrum ${LETTERS[slot]}`;
    made.append(
      action("↺", `Show ${name} with the sliders`, () => this.store.show(pin)),
      action("✕", `Remove ${name}`, () => this.store.unpin(slot)),
    );
    made.addEventListener("mouseenter", () => this.store.change({ highlight: slot }));
    made.addEventListener("mouseleave", () => this.store.change({ highlight: null }));
    return made;
  }
}

/** An entry of the legend: a stroke of the colour, a letter and a text. */
function chip(colourName, letter, text, kind = "") {
  const made = document.createElement("span");
  made.className = `chip ${kind}`;
  made.style.setProperty("--colour", `var(--${colourName})`);
  made.innerHTML = `<span class="swatch"></span>${letter ? `<b>${letter}</b>` : ""}<span></span>`;
  made.lastElementChild.textContent = text;
  return made;
}

/** A button; `name` is what it does, told to pointers and screen readers. */
export function action(text, name, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.title = name;
  if (text !== name) button.setAttribute("aria-label", name);
  button.addEventListener("click", act);
  return button;
}
