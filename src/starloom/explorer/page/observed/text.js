// Spectra as text: CSV of any kind, ECSV, and starloom's own; the same as Python's io/tables.py.

const TITLE = "# starloom spectrum; wavelength in Angstrom";
const OWN = ["medium", "frame", "flux_unit", "labels", "provenance", "pixels", "names"]; // what its header says
const COMMENT = "#!%"; // a line that begins with one of these is none of the table's
const MISSING = ["", "null", "none", "na", "n/a", "--"]; // cells that hold no number
const UNIT_BEHIND = /^(.+?)\s*[[(](?!air|vac)(.*)[\])]$/i; // wavelength [nm]
const UNIT_IN_NAME = /^((?:wa?v|wl|lam).*)[_ ](aa|a|angstroms?|nm|um)$/i; // wave_nm
const SAID = /^([a-z]\w*)\s*[:=]\s*["']?(.*?)["']?$/i; // a comment: medium = air
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const ENDLESS = /^([+-]?)inf(inity)?$/i;
const FORTRAN = /^([+-]?\d*\.\d*|[+-]?\d+(?=d))(?:d|(?=[+-]\d{3}$))([+-]?\d+)$/i; // 1.5D+03, 1.5-103
const DECIMAL_COMMA = /^[+-]?\d+(,\d+)?([ed][+-]?\d+)?$/i;

/** Whether starloom wrote the text, so that its header says how many rows there must be. */
const isOwn = (text) => text.startsWith(TITLE) || (text.startsWith("# %ECSV") && /provenance/.test(text) && /pixels: /.test(text));

/** A table {columns: Map of texts by name, units, about, numbers(name)} of a text. */
export function readText(text) {
  const lines = text.split(/\r\n|\n|\r/);
  const used = lines.map((line, index) => [index + 1, line]).filter(([, line]) => line.trim() && !COMMENT.includes(line.trim()[0]));
  if (!used.length) throw new Error("there is no table in it");
  const above = lines.slice(0, used[0][0] - 1);
  const ecsv = /%ECSV/.test(lines[0]);
  const delimiter = (ecsv && ecsvDelimiter(above)) || delimiterOf(used[0][1]);
  const rows = used.map(([number, line]) => [number, cells(line, delimiter, number)]);
  const { names, units, headed } = columnNames(rows[0][1], above, delimiter);
  if (headed) rows.shift();
  if (!rows.length) throw new Error("there are no rows under the column names");
  const ragged = rows.find(([, row]) => row.length !== names.length);
  if (ragged) throw new Error(`line ${ragged[0]}: ${ragged[1].length} cells under ${names.length} names`);
  const columns = new Map(names.map((name, i) => [name, rows.map(([, row]) => row[i])]));
  const about = ecsv ? ecsvAbout(above) : said(above);
  if (isOwn(text)) checkWhole(text, { ...about, names: headed || undefined }, rows.length);
  const numbers = (name, other = () => undefined) => columns.get(name).map((cell, i) => numeral(cell, other, rows[i][0], name));
  return { columns, units: { ...units, ...(ecsv && ecsvUnits(above)) }, about, numbers, own: isOwn(text) };
}

function checkWhole(text, about, rows) {
  const missing = text.startsWith(TITLE) && OWN.find((name) => about[name] === undefined);
  if (missing) throw new Error(`its header lacks ${missing}`);
  const told = Number(about.pixels);
  if (told !== rows || !/[\r\n]$/.test(text)) throw new Error(`cut off: ${rows} rows, its header says ${about.pixels}`);
}

/** The number in a cell, NaN where it says that there is none; `other(cell)` is what else a cell may be. */
function numeral(cell, other, line, name) {
  if (MISSING.includes(cell.toLowerCase()) || /^[+-]?nan$/i.test(cell)) return NaN;
  const number = known(cell) ?? other(cell);
  if (number === undefined) throw new Error(`line ${line}: ${name} = ${cell.slice(0, 40)} is no number`);
  return number;
}

function known(cell) {
  const text = cell.replace(FORTRAN, "$1e$2");
  if (NUMBER.test(text)) return Number(text);
  const endless = ENDLESS.exec(cell);
  return endless ? (endless[1] === "-" ? -Infinity : Infinity) : undefined;
}

const isNumber = (cell) => MISSING.includes(cell.toLowerCase()) || /^[+-]?nan$/i.test(cell) || known(cell) !== undefined;

/** What separates cells: a comma does not where it is in the numbers. */
function delimiterOf(line) {
  const words = line.trim().split(/\s+/);
  const commas = words.length > 1 && words.every((word) => DECIMAL_COMMA.test(word));
  const bare = line.replace(/"[^"]*"/g, "");
  return (commas ? ["\t"] : [";", ",", "\t", "|"]).find((mark) => bare.includes(mark)) ?? " ";
}

/** The cells of a line; one in quotes may hold the delimiter. */
function cells(line, delimiter, number) {
  const text = delimiter === " " ? line.trim().split(/\s+/).join(" ") : line;
  const mark = delimiter === "|" ? "\\|" : delimiter;
  const field = new RegExp(` *(?:"((?:[^"]|"")*)"([^${mark}]*)|([^${mark}]*))(${mark}|$)`, "y");
  const found = [];
  for (let more = true; more;) {
    const [, quoted, rest, plain, end] = field.exec(text);
    if (plain?.startsWith('"')) throw new Error(`line ${number}: a quote does not end in its line`);
    const cell = (plain ?? quoted.replaceAll('""', '"') + rest).trim();
    found.push(delimiter !== "," && DECIMAL_COMMA.test(cell) ? cell.replace(",", ".") : cell);
    more = end !== "";
  }
  return found;
}

/** The columns' names and the units in them, and whether the names are the first line or a comment above it. */
function columnNames(first, above, delimiter) {
  const headed = !first.every(isNumber);
  const bare = (line) => line.replace(/^[#!% ]+/, "");
  const comment = above.filter((line) => line.replace(/^[#!% ]+|[#!% ]+$/g, "")).at(-1);
  const told = headed ? first : comment && comment.split('"').length % 2 ? cells(bare(comment), delimiter) : [];
  if (!headed && !(told.length === first.length && told.some((name) => /flux/i.test(name)))) {
    return { names: first.map((_, i) => `${i + 1}`), units: {}, headed };
  }
  const found = told.map((name) => UNIT_BEHIND.exec(name) ?? UNIT_IN_NAME.exec(name) ?? [name, name]);
  const names = found.map(([, name]) => name);
  if (new Set(names).size !== names.length) throw new Error("two columns have the same name");
  return { names, units: Object.fromEntries(found.filter(([, , unit]) => unit).map(([, name, unit]) => [name, unit])), headed };
}

/** What comments such as `# medium = air` say, by name. */
function said(comments) {
  const found = comments.map((line) => SAID.exec(line.replace(/^[#!% \t]+|[#!% \t]+$/g, ""))).filter(Boolean);
  return Object.fromEntries(found.map(([, name, value]) => [name.toLowerCase(), value]));
}

const ecsvDelimiter = (comments) => /^# ?delimiter: *['"]?([^'"\n])['"]?$/m.exec(comments.join("\n"))?.[1];

/** Units of an ECSV header, whose columns are lines such as `# - {name: wavelength, unit: nm}` or lines for each. */
function ecsvUnits(comments) {
  const found = {};
  let name = null;
  for (const line of comments) {
    name = /\bname:\s*["']?([^,"'}]+)/.exec(line)?.[1].trim() ?? name;
    const unit = /\bunit:\s*["']?([^,"'}]+)/.exec(line)?.[1];
    if (name !== null && unit) found[name] = unit.trim();
  }
  return found;
}

function ecsvAbout(comments) {
  const text = comments.join("\n");
  const word = (name) => new RegExp(`\\b${name}: *["']?([A-Za-z0-9]+)`, "i").exec(text)?.[1];
  return Object.fromEntries(["medium", "airorvac", "vacuum", "frame", "specsys", "pixels"].map((name) => [name, word(name)]));
}
