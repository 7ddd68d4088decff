// The part of the page that takes an observed spectrum, says what it is and fits it.

import { inMedium, readSpectrum } from "../observed/spectrum.js";
import { estimate } from "./estimate.js";

const $ = (id) => document.getElementById(id);

export class ObservedPanel {
  /** `fitted(found)` hears of an estimate. */
  constructor({ overlay, store, picture }, fitted) {
    Object.assign(this, { overlay, store, picture, fitted });
    $("file").addEventListener("change", () => {
      if ($("file").files[0]) this.load($("file").files[0]);
      $("file").value = ""; // so that the same file can be chosen again
    });
    dropping($("veil"), (file) => this.load(file));
    $("overlay-medium").addEventListener("change", (event) => overlay.observe(inMedium(overlay.observed, event.target.value)));
    $("overlay-remove").addEventListener("click", () => overlay.observe(null));
    $("fit").addEventListener("click", () => this.fit());
    $("normalise").addEventListener("change", () => picture.schedule());
  }

  /** Overlay the spectrum in a file, or say why not. */
  async load(file) {
    $("fault").textContent = "";
    try {
      this.overlay.observe(await readSpectrum(file, this.picture.emulator.range, this.picture.emulator.vacuumAa.length));
    } catch (error) {
      $("fault").textContent = `${file.name}: ${error.message}.`;
    }
  }

  /** There is another spectrum, or none. */
  changed() {
    const { observed } = this.overlay;
    this.picture.schedule();
    $("overlay").hidden = !observed;
    $("fit-result").replaceChildren();
    $("fault").textContent = "";
    if (!observed) return;
    $("overlay-name").textContent = observed.name;
    document.querySelectorAll("#overlay-medium input").forEach((input) => (input.checked = input.value === observed.medium));
  }

  /** First estimate of the labels, and the sliders there; what fails is said in a line. */
  async fit() {
    const { overlay, store, picture } = this;
    const { p68, part } = picture.scene;
    $("fit").disabled = true;
    $("fault").textContent = "";
    try {
      const found = await overlay.fit(store.state, p68 ? mean(p68.subarray(...part)) : 0, (text) => ($("fit-result").textContent = `Fitting: ${text}`));
      if (!found) return;
      store.show(found);
      $("fit-result").replaceChildren(...estimate(found, store.domain));
      this.fitted(found);
    } catch (error) {
      $("fit-result").replaceChildren();
      $("fault").textContent = `The fit has failed: ${error.message}.`;
    } finally {
      $("fit").disabled = false;
    }
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Take a file that is dropped anywhere; the veil is shown while one is held over the page. */
function dropping(veil, take) {
  let depth = 0; // enter and leave come for every element on the way
  const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
  const veiled = (shown) => (veil.hidden = !shown);
  addEventListener("dragenter", (event) => holdsFile(event) && veiled(++depth > 0));
  addEventListener("dragleave", (event) => holdsFile(event) && veiled(--depth > 0));
  addEventListener("dragover", (event) => holdsFile(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    depth = 0;
    veiled(false);
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}
