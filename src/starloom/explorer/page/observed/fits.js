// Spectra as FITS (standard 4.0): binary tables, and images with linear or logarithmic wavelengths.

import { angstroms } from "./units.js";

const BLOCK = 2880;
const OTHERS = /^(FREQ|ENER|WAVN|VRAD|VOPT|ZOPT|VELO|BETA|MULTISPE|PIXEL)|-(?!LOG$)/; // kinds of axes
const SHORTEST = 100; // Angstrom: a -LOG axis that begins below it gives the logarithm of its first wavelength
const WIDTH = { L: 1, X: 0.125, B: 1, I: 2, J: 4, K: 8, A: 1, E: 4, D: 8, C: 8, M: 16, P: 8, Q: 16 };

const READ = {
  L: (view, at) => (view.getUint8(at) === 84 ? 1 : 0),
  B: (view, at) => view.getUint8(at),
  I: (view, at) => view.getInt16(at),
  J: (view, at) => view.getInt32(at),
  K: (view, at) => Number(view.getBigInt64(at)),
  E: (view, at) => view.getFloat32(at),
  D: (view, at) => view.getFloat64(at),
};
const IMAGE = { 8: "B", 16: "I", 32: "J", 64: "K", [-32]: "E", [-64]: "D" };

/** Columns by name, as in readText, from the first table or image that looks like a spectrum. */
export function readFits(buffer) {
  const units = readUnits(buffer);
  const tables = units.filter(({ header }) => header.XTENSION === "BINTABLE").map((unit) => table(buffer, unit));
  const whole = tables.find(({ columns }) => hasColumn(columns, /^(wave|lambda|wl|loglam)/i) && hasColumn(columns, /flux/i));
  if (whole) return whole;
  const images = units.filter(({ header }) => header.NAXIS > 0 && header.XTENSION !== "BINTABLE");
  const flux = images.find(({ header }) => header.EXTNAME === "FLUX") ?? images[0];
  if (!flux) throw new Error("it has neither a table with wavelength and flux nor an image");
  const values = image(buffer, flux);
  const axis = tables.find(({ columns }) => columns.wavelength?.length === values.length);
  const columns = axis ? { wavelength: axis.columns.wavelength, flux: values } : onWcs(flux.header, values);
  const error = images.find(({ header }) => header.EXTNAME === "ERROR");
  if (error) columns.error = image(buffer, error);
  const wavelength = axis ? axis.units.wavelength : flux.header.CUNIT1;
  const note = flux.header.NAXIS > 1 && flux.header.NAXIS2 > 1 ? `first of ${flux.header.NAXIS2} spectra` : "";
  return { columns, units: { wavelength }, about: { ...about(flux.header), note } };
}

const hasColumn = (columns, pattern) => Object.keys(columns).some((name) => pattern.test(name));

/** Headers of the header-data units, each with where its data start. */
function readUnits(buffer) {
  const units = [];
  for (let at = 0; at + BLOCK <= buffer.byteLength;) {
    const { header, end } = readHeader(buffer, at);
    const size = dataSize(header);
    if (end + size > buffer.byteLength) throw new Error("the FITS file is cut off");
    units.push({ header, start: end });
    at = end + Math.ceil(size / BLOCK) * BLOCK;
  }
  if (!units.length) throw new Error("the FITS file is cut off in its first header");
  return units;
}

function readHeader(buffer, start) {
  const header = {};
  const text = new TextDecoder("latin1");
  for (let at = start; at + 80 <= buffer.byteLength; at += 80) {
    const card = text.decode(new Uint8Array(buffer, at, 80));
    const name = card.slice(0, 8).trim();
    if (name === "END") return { header, end: start + Math.ceil((at + 80 - start) / BLOCK) * BLOCK };
    if (card.slice(8, 10) === "= ") header[name] ??= cardValue(card.slice(10));
  }
  throw new Error("the FITS file is cut off in a header");
}

function cardValue(text) {
  const quoted = /^\s*'((?:[^']|'')*)'/.exec(text);
  if (quoted) return quoted[1].replace(/''/g, "'").trim();
  const word = text.split("/")[0].trim();
  if (word === "T" || word === "F") return word === "T";
  return Number(word.replace(/D/i, "e"));
}

const axes = (header) => Array.from({ length: header.NAXIS }, (_, i) => header[`NAXIS${i + 1}`]);

function dataSize(header) {
  if (!header.NAXIS) return 0;
  const elements = axes(header).reduce((product, n) => product * n, 1);
  return (Math.abs(header.BITPIX) / 8) * (header.GCOUNT ?? 1) * ((header.PCOUNT ?? 0) + elements);
}

/** The numeric columns of a table; one of a single row with an array in each cell is read along the array. */
function table(buffer, { header, start }) {
  const view = new DataView(buffer);
  const columns = {};
  const units = {};
  let offset = 0;
  for (let i = 1; i <= header.TFIELDS; i++) {
    const [, repeatText, type] = /^(\d*)([A-Z])/.exec(header[`TFORM${i}`]) ?? [];
    const repeat = repeatText === "" ? 1 : Number(repeatText);
    const name = header[`TTYPE${i}`] ?? `column ${i}`;
    const read = READ[type];
    const along = header.NAXIS2 === 1;
    if (read && repeat > 0 && (repeat === 1 || along)) {
      const step = along ? WIDTH[type] : header.NAXIS1;
      const scale = header[`TSCAL${i}`] ?? 1;
      const zero = header[`TZERO${i}`] ?? 0;
      columns[name] = Array.from({ length: along ? repeat : header.NAXIS2 }, (_, row) => {
        return read(view, start + offset + row * step) * scale + zero;
      });
      if (header[`TUNIT${i}`]) units[name] = header[`TUNIT${i}`];
    }
    offset += Math.ceil(repeat * WIDTH[type]);
  }
  return { columns, units, about: about(header) };
}

/** The first row of an image. */
function image(buffer, { header, start }) {
  const view = new DataView(buffer);
  const read = READ[IMAGE[header.BITPIX]];
  if (!read) throw new Error(`FITS images with BITPIX = ${header.BITPIX} are not known`);
  const width = Math.abs(header.BITPIX) / 8;
  const scale = header.BSCALE ?? 1;
  const zero = header.BZERO ?? 0;
  return Array.from({ length: header.NAXIS1 }, (_, i) => read(view, start + i * width) * scale + zero);
}

/**
 * The wavelengths that the header's world coordinates give (Greisen et al. 2006, or IRAF's DC-FLAG), and their
 * unit; the same as Python's spectrum/axis.py.
 */
function onWcs(header, flux) {
  const { CRVAL1: value, CRPIX1: pixel = 0, PC1_1: scale = 1 } = header;
  const kind = `${header.CTYPE1 ?? ""}`.trim().toUpperCase();
  if (OTHERS.test(kind)) throw new Error(`CTYPE1 = ${kind} is no axis of wavelengths`);
  const step = header.CD1_1 || header.CDELT1 * (scale || 1);
  if (!Number.isFinite(value) || !step) throw new Error("the FITS image says nothing about wavelengths (CRVAL1, CDELT1)");
  const along = flux.map((_, i) => step * (i + 1 - pixel));
  const unit = header.CUNIT1 ? angstroms(header.CUNIT1) : 1;
  let wavelength = (w) => value + w;
  if (/-LOG$/.test(kind)) {
    // the standard's, or the logarithm itself as in PHOENIX (Husser et al. 2013)
    wavelength = value * unit < SHORTEST ? (w) => Math.exp(value + w) : (w) => value * Math.exp(w / value);
  } else if (header["DC-FLAG"] === 1) wavelength = (w) => 10 ** (value + w);
  return { wavelength: along.map(wavelength), flux };
}

function about(header) {
  const said = `${header.MEDIUM ?? header.AIRORVAC ?? ""}`.toLowerCase();
  const byAxis = { AWAV: "air", WAVE: "vacuum" }[`${header.CTYPE1 ?? ""}`.slice(0, 4)];
  const medium = said.startsWith("vac") ? "vacuum" : said.startsWith("air") ? "air" : byAxis;
  const frame = { SOURCE: "rest", BARYCENT: "barycentric", HELIOCEN: "heliocentric", TOPOCENT: "topocentric" };
  return { medium, frame: frame[header.SPECSYS] };
}
