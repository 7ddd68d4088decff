// Units of wavelengths.

const UNITS = [
  [/^(a|aa|å|ang|[aå]ngstr(o|ö|oe)ms?|0\.1 ?nm|(1e|10\*\*)-10 ?m)$/i, 1],
  [/^(nm|nanomet(er|re)s?)$/i, 10],
  [/^([uµμ]m|microns?|micromet(er|re)s?)$/i, 1e4],
  [/^pm$/, 0.01],
  [/^mm$/, 1e7],
  [/^cm$/, 1e8],
  [/^(m|met(er|re)s?)$/, 1e10],
];

/** How many Angstrom a unit is. Throws an Error for one that is not known. */
export function angstroms(unit) {
  const known = UNITS.find(([pattern]) => pattern.test(unit.trim()));
  if (!known) throw new Error(`wavelengths in ${unit} are not known; use Angstrom or nm`);
  return known[1];
}
