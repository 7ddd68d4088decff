// The page: its parts put together, and the start.

import { Domain } from "./model/domain.js";
import { Emulator } from "./model/emulator.js";
import { Loader, fetched, weightsIn } from "./model/loader.js";
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

/** Put the page together; what comes back has all of it by name, for the console and tests. */
function explorer(facts, emulator) {
  const domain = new Domain(facts);
  const store = new Store(domain, { air: emulator.airAa, vacuum: emulator.vacuumAa });
  const lines = new LineList(facts.lines, domain.meaning, emulator.c);
  const tip = new Tip({ tip: $("tip"), readout: $("readout"), stage: $("stage") }, lines);
  const plots = (tip.plots = new Plots($("plot"), $("difference"), (wavelength) => tip.show(wavelength)));
  const came = (_, { atoms }) => {
    lines.add(atoms);
    picture.schedule();
  };
  const loader = new Loader(emulator, facts.model.chunks ?? [], came, () => picture.schedule());
  const overlay = new Overlay({ emulator, loader, domain, divides: () => $("normalise").checked }, () => files.changed());
  const picture = new Picture({ emulator, loader, lines, store, overlay, plots }, () => panel.show());
  const files = new ObservedPanel({ overlay, store, picture }, (found) => (made.estimate = found));
  const panel = new Panel({ facts, store, words: new Words(domain), overlay, picture });
  const made = { facts, emulator, loader, domain, plots, estimate: null };
  for (const u of [plots.flux, plots.difference]) watch(u, panel.view);
  store.subscribe(() => picture.schedule());
  store.subscribe(() => panel.tell());
  addEventListener("hashchange", () => store.open(location.hash));
  addEventListener("themechange", () => {
    plots.readPalette();
    picture.draw();
  });
  store.open(location.hash);
  expose(made, store, ["state", "window", "open", "setStar", "setWindow"]);
  expose(made, picture, ["scene", "frame", "timings", "draw"]);
  expose(made, overlay, ["observed", "observe"]);
  expose(made, panel, ["sliders", "link", "python"]);
  return made;
}

function expose(made, part, names) {
  const value = (name) => (typeof part[name] === "function" ? part[name].bind(part) : part[name]);
  for (const name of names) Object.defineProperty(made, name, { get: () => value(name) });
}

async function start() {
  const facts = await (await fetched("facts.json")).json();
  const correction = facts.correction && (await weightsIn(facts.correction));
  const made = (globalThis.explorer = explorer(facts, new Emulator(await weightsIn(facts.model), facts, correction)));
  await made.loader.first(made.scene.waiting.map(({ number }) => number)); // of a model in parts
  performance.mark("ready");
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  $("notice").textContent = `The page cannot start: ${error.message}.`;
  $("notice").classList.add("fault");
  document.documentElement.dataset.ready = "failed";
  throw error;
});
