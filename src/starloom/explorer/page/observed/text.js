// Spectra as text: CSV of any kind, ECSV, and starloom's own CSV.

/** Columns by name: {columns: {name: number[]}, units: {name: text}, about: {medium, frame, pixels}}. */
export function readText(text) {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  const comments = lines.filter((line) => line.startsWith("#"));
  const rows = [];
  lines.forEach((line, index) => {
    if (line.trim() && !line.startsWith("#")) rows.push([index + 1, cells(line)]);
  });
  if (!rows.length) throw new Error("there is no table in it");
  const named = rows[0][1].some((cell) => !isNumeric(cell));
  const names = named ? rows.shift()[1].map((name) => name.replace(/^"|"$/g, "")) : ["wavelength", "flux", "error"];
  if (!rows.length) throw new Error("there are no rows under the column names");
  if (!named && rows[0][1].length < 2) throw new Error(`line ${rows[0][0]}: one column only; a spectrum needs two`);
  const columns = Object.fromEntries(names.map((name) => [name, []]));
  for (const [number, row] of rows) {
    if (row.length < (named ? names.length : 2)) {
      throw new Error(`line ${number}: ${row.length} values, expected ${names.length}`);
    }
    names.forEach((name, i) => columns[name].push(number_(row[i], number, name)));
  }
  return { columns, units: units(comments), about: about(comments) };
}

const cells = (line) => line.trim().split(/\s*[,;\t|]\s*|\s+/);
const isMissing = (cell) => cell === undefined || /^("?"?|null|--|nan|none)$/i.test(cell);
const isNumeric = (cell) => isMissing(cell) || Number.isFinite(number(cell));
const number = (cell) => (cell.trim() === "" ? NaN : Number(cell.replace(/^"|"$/g, "")));

function number_(cell, line, name) {
  if (isMissing(cell)) return NaN;
  if (/^(true|false)$/i.test(cell)) return Number(/^true$/i.test(cell));
  const value = number(cell);
  if (Number.isNaN(value)) {
    // text in other columns, such as an identifier, does not matter
    if (/wave|flux|^lambda|^wl$/i.test(name)) throw new Error(`line ${line}: ${name} = ${cell.slice(0, 20)} is no number`);
    return NaN;
  }
  return value;
}

/** Units of an ECSV header: lines such as `# - {name: wavelength, unit: nm, datatype: float64}`. */
function units(comments) {
  const found = {};
  for (const line of comments) {
    const name = /\{\s*name:\s*["']?([^,"'}]+)/.exec(line)?.[1];
    const unit = /[,{]\s*unit:\s*["']?([^,"'}]+)/.exec(line)?.[1];
    if (name && unit) found[name.trim()] = unit.trim();
  }
  return found;
}

/** What starloom's CSV (`# medium = "air"`) and ECSV (`# - {medium: air}`) say about themselves. */
function about(comments) {
  const text = comments.join("\n");
  const word = (name) => new RegExp(`\\b${name}\\s*[:=]\\s*["']?([A-Za-z0-9]+)`).exec(text)?.[1];
  return { medium: word("medium"), frame: word("frame"), pixels: word("pixels") && Number(word("pixels")) };
}
