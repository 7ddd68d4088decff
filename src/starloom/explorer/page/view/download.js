// What can be taken away: CSV, PNG and the Python call.

import { LETTERS, short } from "../state/link.js";
import { colour } from "./plots.js";

/** Offer a file for download. */
export function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const frame = (velocity) => (velocity === 0 ? "rest" : "barycentric");

/**
 * The spectrum as starloom's own CSV, which `Spectrum.read` takes; with pins as a plain table, whose further
 * columns are theirs. Points that the model does not know are left out, or empty where a pin has them.
 */
export function csv(scene, { model, version, correction }) {
  if (scene.pins.length) return pinsCsv(scene, { model, version, correction });
  const { x, medium, flux, p68, labels, velocity } = scene;
  const rows = [];
  x.forEach((wavelength, i) => Number.isNaN(flux[i]) || rows.push([wavelength, flux[i], p68?.[i]]));
  const provenance = {
    "made by": `starloom explorer ${version}`,
    model: model.name,
    "model file": model.source,
    error: "size that holds 68 % of the errors of held-out spectra near these labels" + (correction ? ", and the correction's standard deviation" : ""),
    ...(correction && { correction: correction.title }),
    ...(velocity && { radial_velocity_kms: velocity }),
  };
  const about = { medium, frame: frame(velocity), flux_unit: "", labels, provenance, pixels: rows.length };
  const head = Object.entries(about).map(([name, value]) => `# ${name} = ${JSON.stringify(value)}`);
  const names = p68 ? "wavelength,flux,error" : "wavelength,flux";
  const table = rows.map((row) =>
    row
      .filter((value) => value !== undefined)
      .map(digits)
      .join(","),
  );
  return ["# starloom spectrum; wavelength in Angstrom", ...head, names, ...table, ""].join("\n");
}

function pinsCsv({ x, medium, flux, p68, p99, labels, velocity, pins, part: [first, last] }, { model, version, correction }) {
  const head = [
    `# starloom explorer ${version}; wavelength in ${medium} [Angstrom]`,
    `# model = ${model.name} ${model.source}`,
    ...(correction ? [`# correction = ${correction.title}`] : []),
    `# flux: ${describe(labels, velocity)}`,
    ...pins.map((pin) => `# flux_${LETTERS[pin.slot]}: ${describe(pin.labels, pin.velocity)}`),
  ];
  const columns = [x, flux, p68, p99, ...pins.map((pin) => pin.flux)].filter(Boolean).map((column) => column.subarray(first, last));
  const names = ["wavelength", "flux", ...(p68 ? ["error", "error_p99"] : []), ...pins.map((pin) => `flux_${LETTERS[pin.slot]}`)];
  const rows = Array.from(columns[0], (_, i) => columns.map((column) => digits(column[i])).join(","));
  return [...head, names.join(","), ...rows, ""].join("\n");
}

/** The observed spectrum beside the model at its own wavelengths. */
export function overlayCsv({ observed, medium, labels, velocity }, { model, version, correction }) {
  const { a, b } = observed.line;
  const head = [
    `# starloom explorer ${version}; wavelength in ${medium} [Angstrom]`,
    `# model = ${model.name} ${model.source}: ${describe(labels, velocity)}`,
    ...(correction ? [`# correction = ${correction.title}`] : []),
    `# observed = ${observed.name}, divided by ${short(a)} + ${short(b)} t, t from -1 to 1 over its rows`,
    "wavelength,flux,model,difference",
  ];
  const rows = Array.from(observed.x, (x, i) => [x, observed.flux[i], observed.model[i], observed.difference[i]].map(digits).join(","));
  return [...head, ...rows, ""].join("\n");
}

const digits = (value) => (Number.isNaN(value) ? "" : `${+value.toPrecision(9)}`);

const describe = (labels, velocity) =>
  [...Object.entries(labels), ["rv", velocity]].map(([name, value]) => `${name}=${short(value)}`).join(", ");

/**
 * The Python call that makes the same spectrum. `own` are the model's points, as its header describes
 * them; `known` are first and last of those that the model knows.
 */
export function python({ labels, velocity, medium }, { domain, model, correction, own, known }) {
  const values = domain.telling(labels).map(({ name }) => `${name}=${short(labels[name])}`);
  const options = [];
  if (model !== "default") options.push(`model=${JSON.stringify(model)}`);
  if (correction) options.push(`correction=${JSON.stringify(correction.name)}`);
  if (medium !== "air") options.push(`medium="${medium}"`);
  if (velocity !== 0) options.push(`radial_velocity=${short(velocity)}`);
  const lines = ["import starloom"];
  if (known[0] > 0 || known[1] < own.count - 1) {
    const ends = `${own.first_aa}, ${own.last_aa}, ${own.count}`;
    const axis = `Points("${own.medium}", "${own.spacing}", ${ends}).${medium === own.medium ? "wavelength_aa" : "vacuum_aa"}`;
    const part = `${axis}[${known[0]}:${known[1] + 1}]`;
    const toAir = medium === "air" && own.medium === "vacuum";
    lines.push(`from starloom.wavelength import Points${toAir ? ", air_from_vacuum" : ""}`);
    options.push(`wavelength_aa=${toAir ? `air_from_vacuum(${part})` : part}`);
  }
  const rows = Array.from({ length: Math.ceil(values.length / 3) }, (_, i) => values.slice(3 * i, 3 * i + 3));
  const call = [...rows, ...options.map((option) => [option])];
  return [...lines, "", "spectrum = starloom.generate(", ...call.map((words) => `    ${words.join(", ")},`), ")"].join("\n");
}

/** Both panels under a title and notes {text, style}, as a PNG blob. */
export function png({ flux, difference }, title, notes) {
  const [top, bottom] = [flux.ctx.canvas, difference.ctx.canvas];
  const ratio = devicePixelRatio;
  const margin = Math.round(10 * ratio);
  const canvas = document.createElement("canvas");
  const ctx = canvas.getContext("2d");
  const lines = [{ text: title, style: colour("ink"), size: 14 }, ...notes].flatMap(({ text, style, size = 12 }) => {
    const font = (ctx.font = `${size * ratio}px system-ui, sans-serif`);
    return broken(ctx, text, top.width - 2 * margin).map((line) => ({ line, style, font }));
  });
  const head = Math.round((16 + 18 * lines.length) * ratio);
  canvas.width = top.width + 2 * margin;
  canvas.height = head + top.height + bottom.height + margin;
  ctx.fillStyle = colour("paper");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.textBaseline = "middle";
  lines.forEach(({ line, style, font }, i) => {
    ctx.font = font;
    ctx.fillStyle = style;
    ctx.fillText(line, margin * 2, (20 + 18 * i) * ratio);
  });
  ctx.drawImage(top, margin, head);
  ctx.drawImage(bottom, margin, head + top.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** A text in lines of at most a width, broken behind commas. */
function broken(ctx, text, width) {
  const lines = [];
  for (const word of text.split(/(?<=,) /)) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && ctx.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
