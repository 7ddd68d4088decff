// An observed spectrum from a file: its columns found, its wavelengths in Angstrom and its faults named.

import { airFromVacuum, vacuumFromAir } from "../model/wavelength.js";
import { mediumOf, spectrumColumns, spectrumNumbers } from "./columns.js";
import { readFits } from "./fits.js";
import { readText } from "./text.js";
import { angstroms } from "./units.js";

const FEWEST = 20; // points in the model's range
const MOST = 8000; // or as many as the model has; more are averaged by neighbours
const NO_TEXT = /[\x00-\x08\x0e-\x1f]/; // characters that are in no table
const ELSEWHERE = "; the command starloom fit reads it";
const KINDS = [
  ["SIMPLE  =", null],
  ["\x89HDF", `HDF5 is not read here${ELSEWHERE}`],
  ["PK\x03\x04", "it is a zip archive: unpack it and choose a file in it"],
];

/**
 * The spectrum in a File: {name, vacuum, flux, error | null, medium, assumed, notes}; flux and error are NaN where
 * they cannot be used.
 *
 * `range` is the model's range of vacuum wavelengths [A], in which it has `points`. Throws an Error with the reason, in
 * one sentence.
 */
export async function readSpectrum(file, range, points = 0) {
  const buffer = await unpacked(await file.arrayBuffer());
  return spectrum(file.name, tablesIn(buffer), range, Math.max(points, MOST));
}

/** The same spectrum if its wavelengths are in another medium. */
export function inMedium(observed, medium) {
  const given = observed.given;
  return { ...observed, medium, assumed: false, vacuum: medium === "air" ? given.map(vacuumFromAir) : given };
}

async function unpacked(buffer) {
  const [first, second] = new Uint8Array(buffer.slice(0, 2));
  if (first !== 0x1f || second !== 0x8b) return buffer;
  try {
    return await new Response(new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  } catch {
    throw new Error("the gzip file is damaged");
  }
}

function tablesIn(buffer) {
  const bytes = new Uint8Array(buffer);
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 4096));
  const kind = KINDS.find(([mark]) => start.startsWith(mark));
  if (kind?.[1]) throw new Error(kind[1]);
  if (kind) return readFits(buffer);
  if (/<VOTABLE/i.test(start)) throw new Error(`VOTable is not read here${ELSEWHERE}; or choose CSV, ECSV or FITS`);
  const text = decoded(bytes);
  if (!text.trim()) throw new Error("the file is empty");
  if (NO_TEXT.test(text)) throw new Error("it is neither text nor FITS");
  return [readText(text)];
}

/** The bytes as text: UTF-8, UTF-16 by its mark, or Latin-1. */
function decoded(bytes) {
  const marked = { "255,254": "utf-16le", "254,255": "utf-16be" }[bytes.subarray(0, 2).join()];
  if (marked) return new TextDecoder(marked).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}

function spectrum(name, tables, range, most) {
  const chosen = tables.map((table) => [table, spectrumColumns(table)]).filter(([, names]) => names);
  if (!chosen.length) {
    const cells = tables.flatMap(({ columns }) => [...columns.values()].map(([first]) => `${first}`));
    if (cells.some((cell) => cell.startsWith("["))) throw new Error(`arrays in the cells of a text are not read here${ELSEWHERE}`);
    const there = tables.map(({ columns }) => [...columns.keys()].slice(0, 9).join(", ")).join("; ");
    throw new Error(`no columns are wavelength and flux; there are ${there || "none"}`);
  }
  const [table, names] = chosen[0];
  const { unit, ...arrays } = spectrumNumbers(table, names);
  const sizes = Object.entries(arrays).filter(([, values]) => values && values.length !== arrays.flux.length);
  if (sizes.length) throw new Error(`${arrays.flux.length} fluxes, but ${sizes[0][1].length} of ${sizes[0][0]}`);
  const factor = unit ? angstroms(unit) : likeliest(arrays.wavelength, range);
  const known = mediumOf(names.wavelength, table.about);
  const medium = known ?? table.about.axis ?? (factor === 10 ? "vacuum" : "air");
  const ends = medium === "air" ? range.map(airFromVacuum) : range;
  const [first, count] = sources(table, chosen.length);
  const rows = inRange(ordered(arrays.wavelength.slice(0, first).map((value) => value * factor)), ends);
  const made = {
    name,
    given: Float64Array.from(rows, ({ aa }) => aa),
    ...usable(arrays, rows, table.own),
    frame: table.about.frame,
    notes: count > 1 ? [`first of ${count} spectra`] : [],
  };
  return { ...inMedium(thinned(made, most), medium), assumed: !known };
}

/** How many rows the first spectrum of a table has, and how many spectra there are. */
function sources(table, tables) {
  const ids = [...table.columns].find(([name]) => name.toLowerCase() === "source_id")?.[1];
  const starts = Array.isArray(ids) ? ids.flatMap((id, i) => (i && id !== ids[i - 1] ? [i] : [])) : [];
  return [starts[0], Math.max(tables, table.count ?? 1, starts.length + 1)];
}

/** Flux and error of the rows, NaN in both where one of them or the mask says that they cannot be used. */
function usable({ flux, error, mask }, rows, own) {
  if (own && rows.some(({ i }) => !Number.isFinite(flux[i]) && !mask?.[i])) throw new Error("a flux is not finite, and not masked");
  const numbers = rows.filter(({ i }) => Number.isFinite(flux[i]));
  if (numbers.length < FEWEST) throw new Error("hardly any of its flux values are numbers");
  const sure = numbers.filter(({ i }) => !error || (Number.isFinite(error[i]) && error[i] > 0));
  if (sure.length < FEWEST) throw new Error("hardly any of its errors are numbers above 0");
  const good = new Set(sure.filter(({ i }) => !mask?.[i]).map(({ i }) => i));
  if (good.size < FEWEST) throw new Error("hardly any of its points are left by its mask");
  const pick = (values) => Float64Array.from(rows, ({ i }) => (good.has(i) ? values[i] : NaN));
  const made = { flux: pick(flux), error: error ? pick(error) : null };
  if (made.flux.every((value) => value === 0 || Number.isNaN(value))) throw new Error("all of its flux values are zero");
  return made;
}

/** How many Angstrom the unit is in which most wavelengths lie in the model's range; else all are nearest to it. */
function likeliest(wavelength, [low, high]) {
  const known = wavelength.filter((value) => value > 0);
  const middle = known[Math.floor(known.length / 2)] ?? 1;
  const inside = (factor) => known.filter((value) => value * factor > low && value * factor < high).length;
  const distance = (factor) => Math.abs(Math.log((middle * factor) / Math.sqrt(low * high)));
  return [1, 10, 1e4].sort((one, other) => inside(other) - inside(one) || distance(one) - distance(other))[0];
}

/** Rows by rising wavelength, each with its place in the file. */
function ordered(wavelength) {
  const rows = wavelength.map((aa, i) => ({ aa, i }));
  const wrong = rows.find(({ aa }) => !(Number.isFinite(aa) && aa > 0));
  if (wrong) throw new Error(`wavelengths must be finite and positive: that of row ${wrong.i + 1} is ${wrong.aa}`);
  if (rows.length > 1 && rows.every(({ aa }, k) => k === 0 || aa < rows[k - 1].aa)) rows.reverse();
  const fall = rows.findIndex(({ aa }, k) => k > 0 && aa <= rows[k - 1].aa);
  if (fall > 0) throw new Error(`wavelengths do not rise at ${rows[fall].aa.toFixed(2)} Å (row ${rows[fall].i + 1})`);
  return rows;
}

function inRange(rows, ends) {
  const used = rows.filter(({ aa }) => aa > ends[0] && aa < ends[1]);
  if (used.length >= FEWEST) return used;
  const run = rows.length ? `run from ${rows[0].aa.toFixed(1)} to ${rows.at(-1).aa.toFixed(1)} Å` : "are none";
  throw new Error(`its wavelengths ${run}; the model covers ${ends.map((end) => end.toFixed(0)).join(" to ")} Å`);
}

/** Means of neighbouring points where there are too many. */
function thinned(made, most) {
  const size = Math.ceil(made.given.length / most);
  if (size === 1) return made;
  const count = Math.floor(made.given.length / size);
  const mean = (values) =>
    Float64Array.from({ length: count }, (_, k) => {
      return values.subarray(k * size, (k + 1) * size).reduce((sum, value) => sum + value, 0) / size;
    });
  const error = made.error && mean(made.error).map((value) => value / Math.sqrt(size));
  const notes = [...made.notes, `means of ${size} points`];
  return { ...made, given: mean(made.given), flux: mean(made.flux), error, notes };
}
