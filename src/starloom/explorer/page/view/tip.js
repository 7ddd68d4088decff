// What is told of the place under the cursor, and the list of the lines in view.

import { nearest } from "../model/wavelength.js";
import { minus } from "./words.js";

const NAMED = 6; // CSS pixels from a line whose name is drawn
const OTHER = 3; // CSS pixels from another one

export class Tip {
  /** Elements {tip, readout, stage}; the plots are given once they are there. */
  constructor(elements, lines) {
    Object.assign(this, elements, { lines });
    this.plots = null;
  }

  /** Tell of a wavelength [A] of the scene, or of nothing (null). */
  show(wavelength) {
    const scene = this.plots?.scene;
    if (wavelength === null || !scene) {
      this.tip.hidden = true;
      this.readout.textContent = "";
      return;
    }
    const { x, flux, p68, medium, window } = scene;
    const i = nearest(x, wavelength);
    const value = Number.isNaN(flux[i]) ? "not known" : `${flux[i].toFixed(4)}${p68 ? ` ± ${p68[i].toFixed(4)}` : ""}`;
    this.readout.textContent = `${wavelength.toFixed(2)} Å ${medium}   ${value}`;
    const perPixel = (window[1] - window[0]) / this.plots.flux.over.clientWidth;
    // a name that is drawn comes first
    const line = nearestOf(this.plots.names, wavelength, NAMED * perPixel) ?? this.lines.at(scene.lines, wavelength, OTHER * perPixel);
    this.tip.hidden = !line;
    if (line) this.#tell(line, medium);
  }

  #tell(line, medium) {
    const { tip, stage, plots } = this;
    const energy = line.hydrogen ? `n = ${line.lower ?? 3} to ${line.upper ?? line.species.slice(3)}` : `E<sub>low</sub> ${line.energy_low_ev.toFixed(2)} eV`;
    tip.innerHTML = `<b>${line.species}</b> ${line.rest.toFixed(2)} Å in ${medium}<small>log gf ${minus(line.log_gf.toFixed(2))}, ${energy}</small>`;
    const over = plots.flux.over.getBoundingClientRect();
    const { left: edge, top, width } = stage.getBoundingClientRect();
    const half = tip.offsetWidth / 2;
    const left = over.left - edge + plots.flux.valToPos(line.x, "x");
    tip.style.left = `${Math.min(Math.max(left, half + 4), width - half - 4)}px`;
    tip.style.top = `${over.top - top + 46}px`;
  }
}

/** Write the named lines into the element of a list. */
export function listLines(element, lines) {
  const table = document.createElement("table");
  for (const line of lines) {
    const row = table.insertRow();
    for (const text of [line.species, `${line.rest.toFixed(2)} Å`, line.hydrogen ? "" : `${line.energy_low_ev.toFixed(2)} eV`]) {
      row.insertCell().textContent = text;
    }
  }
  element.replaceChildren(lines.length ? table : "None is named here.");
}

function nearestOf(lines, wavelength, tolerance) {
  const distance = (line) => Math.abs(line.x - wavelength);
  const [line] = [...(lines ?? [])].sort((one, other) => distance(one) - distance(other));
  return line && distance(line) < tolerance ? line : null;
}
