// Weights files: safetensors with starloom's description in the header (starloom/networks/weights.py).

const KEY = "starloom";
const FORMATS = [1, 2, "page"];
const WIDTH = { I16: 2, F16: 2, F32: 4, F64: 8 };

/** The file's description and tensors: {description, tensors: {name: Float32Array | Float64Array}}. */
export function readWeights(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8) throw new Error("the weights file is cut off");
  const length = Number(view.getBigUint64(0, true));
  if (8 + length > buffer.byteLength) throw new Error("the weights file is cut off in its header");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const text = header.__metadata__?.[KEY];
  if (!text) throw new Error(`the weights file has no entry ${KEY} in its header`);
  const description = JSON.parse(text);
  if (!FORMATS.includes(description.format)) {
    throw new Error(`weights of format ${description.format}, this page reads the formats ${FORMATS.join(", ")}`);
  }
  const tensors = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name !== "__metadata__") tensors[name] = tensor(view, 8 + length, name, entry);
  }
  for (const name of Object.keys(tensors)) if (`${name}.unit` in tensors) tensors[name] = joined(name, tensors);
  return { description, tensors };
}

/** A matrix whose first rows are floats and the others integers, in units by column (starloom/explorer/reduced.py). */
function joined(name, tensors) {
  const [first, unit, integers] = [tensors[`${name}.first`], tensors[`${name}.unit`], tensors[name]];
  const values = new Float32Array(first.length + integers.length);
  values.set(first);
  const size = unit.length;
  for (let row = 0, at = first.length; row < integers.length; row += size) {
    for (let i = 0; i < size; i++, at++) values[at] = integers[row + i] * unit[i];
  }
  return values;
}

function tensor(view, base, name, { dtype, shape, data_offsets: [start, end] }) {
  const width = WIDTH[dtype];
  const size = shape.reduce((product, n) => product * n, 1);
  if (!width) throw new Error(`tensor ${name} is of the type ${dtype}, not one of ${Object.keys(WIDTH)}`);
  if (end - start !== size * width || base + end > view.byteLength) throw new Error(`tensor ${name} is cut off`);
  // copied, since it may begin anywhere; every machine that browsers run on has the file's order of bytes
  const bytes = view.buffer.slice(base + start, base + end);
  if (dtype === "F16") return Float32Array.from(new Uint16Array(bytes), half);
  return new { I16: Int16Array, F32: Float32Array, F64: Float64Array }[dtype](bytes);
}

/** A number from the 16 bits of an IEEE 754 half. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
