// The page: its parts put together, and the start.

import { Domain } from "./model/domain.js";
import { Emulator } from "./model/emulator.js";
import { sha256 } from "./model/sha256.js";
import { readWeights } from "./model/weights.js";
import { Overlay } from "./observed/overlay.js";
import { Store } from "./state/store.js";
import { watch } from "./view/gestures.js";
import { LineList } from "./view/names.js";
import { ObservedPanel } from "./view/observed.js";
import { Panel } from "./view/panel.js";
import { Picture } from "./view/picture.js";
import { Plots } from "./view/plots.js";
import { Tip } from "./view/tip.js";
import { Words } from "./view/words.js";

const $ = (id) => document.getElementById(id);

/** All parts by name, for the console and tests; nothing in the page knows it. */
class Explorer {
  constructor(facts, emulator) {
    const domain = new Domain(facts);
    const store = new Store(domain, { air: emulator.airAa, vacuum: emulator.vacuumAa });
    const lines = new LineList(facts.lines, domain.meaning, emulator.c);
    const tip = new Tip({ tip: $("tip"), readout: $("readout"), stage: $("stage") }, lines);
    const plots = (tip.plots = new Plots($("plot"), $("difference"), (wavelength) => tip.show(wavelength)));
    const overlay = new Overlay({ emulator, domain, divides: () => $("normalise").checked }, () => files.changed());
    const picture = new Picture({ emulator, lines, store, overlay, plots }, () => panel.show());
    const files = new ObservedPanel({ overlay, store, picture, facts }, (found) => (this.estimate = found));
    const panel = new Panel({ facts, store, words: new Words(domain), overlay, picture });
    Object.assign(this, { facts, emulator, domain, store, plots, overlay, picture, panel, estimate: null });
    for (const u of [plots.flux, plots.difference]) watch(u, panel.view);
    addEventListener("themechange", () => this.#themed());
    addEventListener("hashchange", () => this.open(location.hash));
    store.open(location.hash);
    this.draw();
    store.subscribe(() => {
      panel.tell();
      picture.schedule();
    });
  }

  #themed() {
    this.plots.readPalette();
    this.draw();
  }

  open = (hash) => this.store.open(hash);
  setStar = (...changes) => this.store.setStar(...changes);
  setWindow = (window) => this.store.setWindow(window);
  observe = (observed) => this.overlay.observe(observed);
  draw = () => this.picture.draw();
  link = () => this.panel.link;
  python = () => this.panel.python;
  get state() { return this.store.state; }
  get window() { return this.store.window; }
  get scene() { return this.picture.scene; }
  get frame() { return this.picture.frame; }
  get timings() { return this.picture.timings; }
  get observed() { return this.overlay.observed; }
  get sliders() { return this.panel.sliders.map(({ slider }) => slider); }
}

async function start() {
  const facts = await (await fetched("facts.json")).json();
  const buffer = await (await fetched(facts.model.file)).arrayBuffer();
  if ((await sha256(buffer)) !== facts.model.sha256) throw new Error("the model's weights do not have the hash they should: load the page again");
  globalThis.explorer = new Explorer(facts, new Emulator(readWeights(buffer), facts));
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
