// Names of columns, and which of a table's are the spectrum: the same as Python's io/formats/table.py.

const STEMS = ["wavelength", "wave", "lambda", "wl", "wlen", "lam", "wavelengths", "waveobs", "lamb", "wav", "wvl"];
const MEDIA = ["air", "vac", "vacuum"];
const LOGARITHMS = ["loglam", "loglambda", "logwave", "logwavelength", "logwl"]; // decimal, of Angstrom (SDSS)
const WAVELENGTHS = [
  ...STEMS,
  ...["waves", "spectralaxis", "λ"],
  ...MEDIA.flatMap((medium) => STEMS.map((stem) => stem + medium)),
  ...MEDIA.flatMap((medium) => STEMS.map((stem) => medium + stem)),
  ...LOGARITHMS,
  "1",
];
const FLUXES = [
  "flux",
  "normalizedflux",
  "normalisedflux",
  "fluxnorm",
  "normflux",
  "fluxes",
  "intensity",
  "spec",
  "spectrum",
  "flambda",
  "flam",
  "2",
];
const ERRORS = [
  "error",
  "fluxerror",
  "fluxerr",
  "err",
  "eflux",
  "sigma",
  "uncertainty",
  "stddev",
  "std",
  "stdev",
  "ferr",
  "fluxsigma",
  "fluxstd",
  "fluxunc",
];
const MORE_ERRORS = ["fluxuncertainty", "sig", "errors", "3"];
const IVARS = ["ivar", "fluxivar", "inversevariance", "invvar", "fluxinversevariance"]; // 1 / error^2; 0: not usable
const TRUTH = { true: 1, false: 0 };

const letters = (name) => name.toLowerCase().replace(/[^a-z0-9λ]/g, "");

/** The first column that is called by one of the known names, the earlier known the better. */
function named(names, known) {
  const spelled = Object.fromEntries([...names].reverse().map((name) => [letters(name), name]));
  return known.filter((name) => Object.hasOwn(spelled, name)).map((name) => spelled[name])[0];
}

/** Names of the columns {wavelength, flux, error, mask} of a table; null where it lacks wavelength or flux. */
export function spectrumColumns({ columns }) {
  const names = [...columns.keys()];
  if (names[0] === "1" && names.length > 3) {
    throw new Error(`${names.length} columns without names; name them in a line above: wavelength, flux, error`);
  }
  const find = (...known) => named(names, known.flat());
  const found = { wavelength: find(WAVELENGTHS), flux: find(FLUXES), error: find(ERRORS, MORE_ERRORS, IVARS), mask: find(["mask"]) };
  return found.wavelength !== undefined && found.flux !== undefined ? found : null;
}

/** The numbers of these columns: {wavelength, unit, flux, error, mask}; error and mask may be undefined. */
export function spectrumNumbers(table, names) {
  const numbers = (name) => (name === undefined ? undefined : table.numbers(name));
  const logarithmic = LOGARITHMS.includes(letters(names.wavelength));
  const wavelength = numbers(names.wavelength);
  const error = numbers(names.error);
  return {
    wavelength: logarithmic ? wavelength.map((value) => 10 ** value) : wavelength,
    unit: logarithmic ? "Angstrom" : table.units[names.wavelength],
    flux: numbers(names.flux),
    error: error && IVARS.includes(letters(names.error)) ? error.map((value) => (value > 0 ? 1 / Math.sqrt(value) : NaN)) : error,
    mask: names.mask === undefined ? undefined : table.numbers(names.mask, (cell) => TRUTH[cell.toLowerCase()]).map((value) => value !== 0),
  };
}

/** Air or vacuum by the name of the wavelengths' column, or by the header; undefined: neither tells it. */
export function mediumOf(column, about) {
  const told = /air|vac/i.exec(column)?.[0] ?? about.medium ?? about.airorvac ?? "";
  const medium = { air: "air", vac: "vacuum" }[told.slice(0, 3).toLowerCase()];
  return medium ?? { true: "vacuum", false: "air" }[(about.vacuum ?? "").toLowerCase()];
}
