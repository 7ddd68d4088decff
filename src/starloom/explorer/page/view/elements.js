// The single elements: sliders behind one switch, each at its default until it is moved.

import { Slider } from "./controls.js";
import { action } from "./legend.js";

const HINT = "[X/M]. Each is at its default, [α/M] for the elements that follow it and 0 for the others, until it is moved.";

export class Elements {
  /** In a fieldset, for the elements of the store's domain. */
  constructor(parent, store) {
    const { elements } = store.domain;
    this.element = document.createElement("details");
    this.element.id = "elements";
    this.element.innerHTML = `<summary>Single elements <span id="elements-own"></span></summary>
      <div class="row"><p class="hint"></p></div>`;
    this.element.querySelector(".hint").textContent = HINT;
    const none = Object.fromEntries(elements.map(({ name }) => [name, undefined]));
    this.reset = action("Reset", "All elements back to their default", () => store.setStar(none));
    this.reset.id = "elements-reset";
    this.element.querySelector(".row").append(this.reset);
    parent.append(this.element);
    this.sliders = elements.map((label) => new Slider(label, this.element, (value) => store.setStar({ [label.name]: value })));
    for (const told of document.querySelectorAll(".about-elements")) told.hidden = false;
  }

  /** Which elements have values of their own, also where the switch is closed. */
  show({ own }) {
    if (own.join() === this.shown) return;
    this.shown = own.join();
    for (const slider of this.sliders) slider.showOwn(own.includes(slider.name));
    document.getElementById("elements-own").textContent = own.join(", ");
    this.reset.disabled = own.length === 0;
  }

  toggle() {
    this.element.open = !this.element.open;
    if (this.element.open) this.element.querySelector("summary").focus();
  }
}
