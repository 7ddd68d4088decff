// Spectra as FITS (standard 4.0): binary tables, and images with linear or logarithmic wavelengths.

import { angstroms } from "./units.js";

const BLOCK = 2880;
const OTHERS = /^(FREQ|ENER|WAVN|VRAD|VOPT|ZOPT|VELO|BETA|MULTISPE|PIXEL|\()|-(?!LOG$)/; // kinds of axes
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
const CARD = /^\s*('([^']|'')*'|[TF]|[+-]?(\d+\.?\d*|\.\d+)([ED][+-]?\d+)?|)\s*(\/.*)?$/is;
const UNREADABLE = "(unreadable)"; // the value of a card that is none: no number, and no kind of axis
const STRUCTURE = /^(SIMPLE|XTENSION|EXTEND|BITPIX|NAXIS|[PG]COUNT|TFIELDS|T(TYPE|FORM|UNIT|SCAL|ZERO)|B(SCALE|ZERO))/;
const UNREAD = { P: "of variable length, which is not read here", Q: "of variable length, which is not read here", A: "text" };
const IMAGE = { 8: "B", 16: "I", 32: "J", 64: "K", [-32]: "E", [-64]: "D" };
const MANY = ["FLUX", "WAVELENGTH", "LABELS"]; // extensions of many spectra that starloom wrote

/** Tables as those of readText: the binary tables with rows, and the first image that is a spectrum. */
export function readFits(buffer) {
  const units = readUnits(buffer);
  const named = (name) => units.find(({ header }) => header.EXTNAME === name);
  if (MANY.every(named)) return [firstOfMany(buffer, named)];
  if (`${named("SPECTRUM")?.header.CREATOR}`.startsWith("starloom")) units.forEach((unit) => checkSum(buffer, unit));
  const general = units[0].header;
  const tables = units.filter(({ header }) => /TABLE$/.test(header.XTENSION)).map((unit) => table(buffer, unit, general));
  const found = tables.filter(({ rows }) => rows > 0);
  return [...found, ...imageTable(buffer, units, general, found.length > 0)];
}

/** A table of columns of numbers by name. */
function made(columns, units, header, more = {}) {
  const numbers = (name) => {
    if (typeof columns.get(name) === "string") throw new Error(`the column ${name} is ${columns.get(name)}`);
    return columns.get(name);
  };
  return { columns, units, about: about(header), numbers, ...more };
}

/** The first spectrum in a file of many, whose wavelengths are a table and whose fluxes the rows of an image. */
function firstOfMany(buffer, named) {
  const [flux, wavelength, error] = ["FLUX", "WAVELENGTH", "ERROR"].map(named);
  for (const unit of [flux, wavelength, error].filter(Boolean)) checkSum(buffer, unit);
  const axis = table(buffer, wavelength, {});
  const columns = new Map([
    ["wavelength", axis.numbers("wavelength")],
    ["flux", image(buffer, flux)],
  ]);
  if (error) columns.set("error", image(buffer, error));
  return made(columns, axis.units, flux.header, { count: flux.header.NAXIS2 });
}

/** Wavelength and flux of the first image whose header tells the wavelengths; by name those beside it. */
function imageTable(buffer, units, general, optional) {
  const images = units.filter(({ header }) => header.NAXIS > 0 && !/TABLE$/.test(header.XTENSION));
  let fault = null;
  for (const unit of images) {
    const header = { ...general, ...unit.header };
    const shape = axes(unit.header).filter((size) => size > 1);
    try {
      if (shape.length > 1) throw new Error(severalRows(header, shape));
      const flux = image(buffer, unit);
      const columns = new Map([
        ["wavelength", onWcs(header, flux)],
        ["flux", flux],
      ]);
      for (const other of images) {
        const name = `${other.header.EXTNAME ?? ""}`.toLowerCase();
        if (other !== unit && name && !columns.has(name) && dataCount(other.header) === flux.length)
          columns.set(name, image(buffer, other));
      }
      const wavelength = header.CUNIT1 || "Angstrom";
      return [made(columns, { wavelength }, header)];
    } catch (error) {
      fault ??= error;
    }
  }
  if (optional) return [];
  throw fault ?? new Error("it has neither a table with wavelength and flux nor an image");
}

function severalRows(header, shape) {
  if (`${header.CTYPE1}`.startsWith("MULTISPE")) return `${shape[1]} orders (IRAF multispec): give one of them, as scopy does`;
  return `its image has the shape ${shape.join(" x ")}; a spectrum has one dimension`;
}

/** Headers of the header-data units, each with where its data start. */
function readUnits(buffer) {
  const units = [];
  for (let at = 0; at + BLOCK <= buffer.byteLength;) {
    if (at && isPadding(buffer, at)) break;
    const { header, end } = readHeader(buffer, at);
    const next = end + Math.ceil(dataSize(header) / BLOCK) * BLOCK;
    if (!(next <= buffer.byteLength)) throw new Error("the FITS file is cut off");
    units.push({ header, first: at, start: end, next });
    at = next;
  }
  if (!units.length) throw new Error("the FITS file is cut off in its first header");
  if (!isPadding(buffer, units.at(-1).next)) throw new Error("the FITS file is cut off in a header");
  return units;
}

const isPadding = (buffer, at) => new Uint8Array(buffer, at).every((byte) => byte === 0);

function readHeader(buffer, start) {
  const header = {};
  const text = new TextDecoder("latin1");
  for (let at = start; at + 80 <= buffer.byteLength; at += 80) {
    const card = text.decode(new Uint8Array(buffer, at, 80));
    const name = card.slice(0, 8).trim();
    if (name === "END") return { header, end: start + Math.ceil((at + 80 - start) / BLOCK) * BLOCK };
    if (card.slice(8, 10) !== "= ") continue;
    const readable = CARD.test(card.slice(10));
    if (!readable && STRUCTURE.test(name)) throw new Error(`the FITS header's card ${name} cannot be read`);
    header[name] ??= readable ? cardValue(card.slice(10)) : UNREADABLE;
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

const dataCount = (header) => axes(header).reduce((product, n) => product * n, 1);
const axes = (header) => Array.from({ length: header.NAXIS }, (_, i) => header[`NAXIS${i + 1}`]);

function dataSize(header) {
  if (!header.NAXIS) return 0;
  return (Math.abs(header.BITPIX) / 8) * (header.GCOUNT ?? 1) * ((header.PCOUNT ?? 0) + dataCount(header));
}

/** The columns of a table; of those of arrays the first row. What cannot be read is a text that says why. */
function table(buffer, { header, start }, general) {
  const view = new DataView(buffer);
  const columns = new Map();
  const units = {};
  let [offset, count] = [0, 1];
  for (let i = 1; i <= header.TFIELDS; i++) {
    const [, repeatText, type] = /^(\d*)([A-Z])/.exec(header[`TFORM${i}`]) ?? [];
    const repeat = repeatText ? Number(repeatText) : 1;
    const name = header[`TTYPE${i}`] ?? `col${i}`;
    if (header.XTENSION === "TABLE") columns.set(name, "in a FITS table of text, which is not read here");
    else if (!READ[type] || !repeat) columns.set(name, UNREAD[type] ?? "of no numbers");
    else columns.set(name, column(view, header, i, { first: start + offset, type, repeat }));
    if (READ[type] && repeat > 1) count = header.NAXIS2;
    if (header[`TUNIT${i}`]) units[name] = header[`TUNIT${i}`];
    offset += Math.ceil(repeat * WIDTH[type]);
  }
  return made(columns, units, { ...general, ...header }, { rows: header.NAXIS2, count });
}

function column(view, header, i, { first, type, repeat }) {
  const [size, step] = repeat > 1 ? [repeat, WIDTH[type]] : [header.NAXIS2, header.NAXIS1];
  const [scale, zero] = [header[`TSCAL${i}`] ?? 1, header[`TZERO${i}`] ?? 0];
  return Array.from({ length: header.NAXIS2 && size }, (_, row) => READ[type](view, first + row * step) * scale + zero);
}

/** The sum that starloom's own files carry: of all 32-bit words of a unit, by the FITS standard 4.0, appendix J. */
function checkSum(buffer, { header, first, next }) {
  if (!header.CHECKSUM) return;
  const view = new DataView(buffer);
  let sum = 0;
  for (let at = first; at < next; at += 4) sum += view.getUint32(at);
  while (sum > 0xffffffff) sum = (sum % 2 ** 32) + Math.floor(sum / 2 ** 32);
  if (sum !== 0xffffffff) throw new Error("its checksum is wrong: it was changed or damaged");
}

/** The first row of an image. */
function image(buffer, { header, start }) {
  const view = new DataView(buffer);
  const read = READ[IMAGE[header.BITPIX]];
  if (!read) throw new Error(`FITS images with BITPIX = ${header.BITPIX} are not known`);
  const width = Math.abs(header.BITPIX) / 8;
  const scale = header.BSCALE ?? 1;
  const zero = header.BZERO ?? 0;
  const blank = header.BITPIX > 0 ? header.BLANK : undefined;
  return Array.from({ length: header.NAXIS1 }, (_, i) => {
    const value = read(view, start + i * width);
    return value === blank ? NaN : value * scale + zero;
  });
}

/**
 * The wavelengths that the header's world coordinates give (Greisen et al. 2006, or IRAF's DC-FLAG); the same as
 * Python's spectrum/axis.py.
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
  return along.map(wavelength);
}

/** What a header says of medium and frame; `axis`: the medium that the kind of the axis suggests. */
function about(header) {
  const axis = { AWAV: "air", WAVE: "vacuum" }[`${header.CTYPE1 ?? ""}`.slice(0, 4)];
  const frame = { SOURCE: "rest", BARYCENT: "barycentric", HELIOCEN: "heliocentric", TOPOCENT: "topocentric" };
  const text = (name) => (header[name] === undefined ? undefined : `${header[name]}`);
  return { medium: text("MEDIUM"), airorvac: text("AIRORVAC"), vacuum: text("VACUUM"), frame: frame[header.SPECSYS], axis };
}
