// The result of a fit in words.

import { short } from "./state.js";

const SHOWN = ["teff", "logg", "mh", "vmic", "vsini", "velocity"];

/** A table of what was found, and a sentence that says what it is worth; `known` are the labels' facts. */
export function estimate({ labels, velocity, deviation, digits, rms, reducedChi, count, atLimit, seconds }, known) {
  const all = [...known, { name: "velocity", symbol: "radial velocity", unit: "km/s" }];
  const values = { ...labels, velocity };
  const table = document.createElement("table");
  for (const name of SHOWN) {
    const { symbol, unit } = all.find((each) => each.name === name);
    const cells = [`${symbol}${unit ? ` [${unit}]` : ""}`, values[name].toFixed(digits[name]).replace("-", "−")];
    cells.push(atLimit.includes(name) ? "at the limit" : formal(deviation[name], digits[name]));
    const row = table.insertRow();
    for (const text of cells) row.insertCell().textContent = text;
  }
  const about = document.createElement("p");
  const chi = reducedChi === null ? "" : `, χ² per point ${reducedChi.toFixed(2)}`;
  about.textContent =
    `A first estimate by least squares, not a measurement: scatter ${rms.toFixed(4)} over ${count} points${chi}, R held at ` +
    `${short(labels.resolution)}, ${seconds.toFixed(1)} s. The ± are formal; what the model does not describe is not in them.`;
  return [table, about];
}

function formal(size, digits) {
  return Number.isFinite(size) ? `± ${size.toFixed(digits + (size < 10 ** -digits ? 1 : 0))}` : "";
}
