// An observed spectrum from a file: its columns found, its wavelengths in Angstrom and its faults named.

import { airFromVacuum, vacuumFromAir } from "../model/wavelength.js";
import { readFits } from "./fits.js";
import { readText } from "./text.js";
import { angstroms } from "./units.js";

const NAMES = {
  wavelength: /^(wave(length)?s?|wav|lambda|lam|wl|wave_?air|wave_?vac\w*)([_ (\[].*)?$/i,
  flux: /^(norm\w*_)?(flux|spec|spectrum|intensity|f_lambda)([ (\[].*)?$/i,
  error: /^((flux|f)_?(err(or)?|unc\w*|sigma|std)|e_flux|error|err|sigma|stdev|uncertainty)([ (\[].*)?$/i,
  ivar: /^((flux|f)_?)?(ivar|inv_?var|inverse_?variance)([ (\[].*)?$/i,
  mask: /^mask$/i,
};
const FEWEST = 20; // points in the model's range
const MOST = 8000; // more are averaged by neighbours

/**
 * The spectrum in a File: {name, vacuum, flux, error | null, medium, assumed, notes}.
 *
 * `range` is the model's range of vacuum wavelengths [A]. Throws an Error with the reason, in one sentence.
 */
export async function readSpectrum(file, range) {
  const buffer = await unpacked(await file.arrayBuffer());
  if (!buffer.byteLength) throw new Error("the file is empty");
  const bytes = new Uint8Array(buffer);
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 80));
  if (start.startsWith("SIMPLE  =")) return spectrum(file.name, readFits(buffer), range);
  if (bytes.subarray(0, 4096).includes(0)) throw new Error("it is neither text nor FITS");
  if (/^\s*</.test(start)) throw new Error("XML and VOTable are not read; choose CSV, ECSV or FITS");
  return spectrum(file.name, readText(new TextDecoder().decode(buffer)), range);
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

function spectrum(name, { columns, units, about }, range) {
  const find = (kind) => Object.keys(columns).find((key) => NAMES[kind].test(key.trim()));
  const names = { wavelength: find("wavelength"), flux: find("flux") };
  const missing = Object.keys(names).find((kind) => !names[kind]);
  if (missing) throw new Error(`no column is a ${missing}; there are ${Object.keys(columns).join(", ") || "none"}`);
  const wavelength = columns[names.wavelength];
  if (about.pixels && about.pixels !== wavelength.length) {
    throw new Error(`cut off: ${wavelength.length} rows, its header says ${about.pixels}`);
  }
  const unit = units[names.wavelength] ?? unitInName(names.wavelength);
  const factor = unit ? angstroms(unit) : likeliest(wavelength, range);
  const medium = about.medium ?? mediumInName(names.wavelength) ?? (factor === 10 ? "vacuum" : "air");
  const rows = ordered(wavelength.map((value) => value * factor));
  const flux = columns[names.flux];
  const [told, mask] = [columns[find("error")], columns[find("mask")]];
  const ivar = told ? null : columns[find("ivar")];
  const error = told ?? ivar?.map((value) => 1 / Math.sqrt(value));
  const wanted = medium === "air" ? range.map(airFromVacuum) : range;
  const used = rows.filter(({ aa }) => aa > wanted[0] && aa < wanted[1]);
  if (used.length < FEWEST) {
    const ends = `${rows[0].aa.toFixed(1)} to ${rows.at(-1).aa.toFixed(1)} Å`;
    throw new Error(`its wavelengths run from ${ends}; the model covers ${wanted.map((w) => w.toFixed(0)).join(" to ")} Å`);
  }
  const good = (i) => (mask?.[i] || (ivar && !(ivar[i] > 0)) ? NaN : flux[i]);
  const sigma = (i) => (error && error[i] > 0 ? error[i] : NaN);
  const made = {
    name,
    given: Float64Array.from(used, ({ aa }) => aa),
    flux: Float64Array.from(used, ({ i }) => good(i)),
    error: error ? Float64Array.from(used, ({ i }) => sigma(i)) : null,
    frame: about.frame,
    notes: about.note ? [about.note] : [],
  };
  if (made.error && made.error.filter(Number.isFinite).length < FEWEST) {
    made.error = null;
    made.notes.push("no usable errors");
  }
  const finite = made.flux.filter(Number.isFinite);
  if (finite.length < FEWEST) throw new Error("hardly any of its flux values are numbers");
  if (finite.every((value) => value === 0)) throw new Error("all of its flux values are zero");
  const known = about.medium ?? mediumInName(names.wavelength);
  return { ...inMedium(thinned(made), medium), assumed: !known };
}

/** How many Angstrom the unit is in which most wavelengths lie in the model's range; else all are nearest to it. */
function likeliest(wavelength, [low, high]) {
  const known = wavelength.filter((value) => value > 0);
  const middle = known[Math.floor(known.length / 2)] ?? 1;
  const inside = (factor) => known.filter((value) => value * factor > low && value * factor < high).length;
  const distance = (factor) => Math.abs(Math.log((middle * factor) / Math.sqrt(low * high)));
  return [1, 10, 1e4].sort((one, other) => inside(other) - inside(one) || distance(one) - distance(other))[0];
}

const unitInName = (name) => /[_ (\[](nm|aa|angstrom|um|micron)\b/i.exec(name)?.[1];
const mediumInName = (name) => {
  const word = /(air|vac)/i.exec(name)?.[1]?.toLowerCase();
  return word && (word === "air" ? "air" : "vacuum");
};

/** Rows by rising wavelength, each with its place in the file. */
function ordered(wavelength) {
  const rows = wavelength.map((aa, i) => ({ aa, i })).filter(({ aa }) => Number.isFinite(aa) && aa > 0);
  if (rows.length < FEWEST) throw new Error(`only ${rows.length} rows have a wavelength`);
  const falls = rows.filter(({ aa }, k) => k > 0 && aa < rows[k - 1].aa).length;
  if (falls > rows.length / 2) rows.reverse();
  const fall = rows.findIndex(({ aa }, k) => k > 0 && aa <= rows[k - 1].aa);
  if (fall > 0) throw new Error(`wavelengths do not rise at ${rows[fall].aa.toFixed(2)} Å (row ${rows[fall].i + 1})`);
  return rows;
}

/** Means of neighbouring points where there are too many. */
function thinned(made) {
  const size = Math.ceil(made.given.length / MOST);
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
