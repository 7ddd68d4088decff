// The result of a fit in words.

import { short } from "../state/link.js";
import { minus } from "./words.js";

/** A table of what was found (see firstEstimate), and a sentence that says what it is worth. */
export function estimate({ labels, velocity, own, deviation, rms, reducedChi, count, inView, atLimit, seconds }, domain) {
  const { star, seen, velocity: moving } = domain;
  const values = { ...labels, [moving.name]: velocity };
  const table = document.createElement("table");
  for (const { name, symbol, unit, digits, description } of [...star, ...seen, moving].filter((each) => each.name in deviation)) {
    const row = table.insertRow();
    row.title = description;
    const cells = [`${symbol}${unit ? ` [${unit}]` : ""}`, minus(values[name].toFixed(digits))];
    cells.push(atLimit.includes(name) ? "at the limit" : formal(deviation[name], digits));
    for (const text of cells) row.insertCell().textContent = text;
  }
  const about = document.createElement("p");
  const chi = reducedChi === null ? "" : `, χ² per point ${reducedChi.toFixed(2)}`;
  const held = [...star, ...seen, ...domain.elements.filter(({ name }) => own.includes(name))]
    .filter((each) => !each.fitted)
    .map(({ name, symbol }) => `, ${symbol} held at ${short(labels[name])}`);
  if (own.length < domain.elements.length) held.push(`, ${own.length ? "other" : "single"} elements held at their default`);
  about.textContent =
    `A first estimate by least squares, not a measurement: scatter ${rms.toFixed(4)} over ${count} points${inView ? " in view" : ""}${chi}${held.join("")}, ` +
    `${seconds.toFixed(1)} s. The ± are formal; what the model does not describe is not in them.`;
  return [table, about];
}

function formal(size, digits) {
  return Number.isFinite(size) ? `± ${size.toFixed(digits + (size < 10 ** -digits ? 1 : 0))}` : "";
}
