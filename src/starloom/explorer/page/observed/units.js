// Units of wavelengths.

const UNITS = [
  [/^(a|aa|å|[aå]ngstr[oö]ms?|0\.1 ?nm)$/i, 1],
  [/^(nm|nanomet(er|re)s?)$/i, 10],
  [/^(um|µm|μm|microns?|micromet(er|re)s?)$/i, 1e4],
  [/^(m|met(er|re)s?)$/i, 1e10],
];

/** How many Angstrom a unit is. Throws an Error for one that is not known. */
export function angstroms(unit) {
  const known = UNITS.find(([pattern]) => pattern.test(unit.trim()));
  if (!known) throw new Error(`wavelengths in ${unit} are not known; use Angstrom or nm`);
  return known[1];
}
