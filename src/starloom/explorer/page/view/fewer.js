// What is drawn of a scene: the points in view, and of very many the means and extremes in each column of pixels.

const MOST = 5000; // points that are drawn as they are, or
const PER_COLUMN = 4; // for each column of pixels

/**
 * The curves of a scene for plots so many pixels wide: {x, flux, p68, p99, zero, pins: [{slot, flux, difference}],
 * observed: {x, flux, difference} | null}, and `shade` where they are means: of flux, pins and observed the extremes
 * [least, greatest].
 */
export function drawn({ x, flux, p68, p99, zero, pins, part, window, observed }, columns) {
  const inView = (values) => values.subarray(...part);
  const names = Object.entries({ flux, p68, p99, zero }).filter(([, values]) => values);
  const curves = {
    ...Object.fromEntries(names.map(([name, values]) => [name, inView(values)])),
    pins: pins.map((pin) => ({ slot: pin.slot, flux: inView(pin.flux), difference: less(pin.flux, flux, part) })),
  };
  const seen = observed && fewer(observed.x, { flux: observed.flux, difference: observed.difference }, window, columns);
  return { ...fewer(inView(x), curves, window, columns), observed: seen };
}

function less(values, others, [first, last]) {
  return Float64Array.from({ length: last - first }, (_, i) => values[first + i] - others[first + i]);
}

/** Points and curves as they are with no shade, or where these are too many the means with the extremes as shade. */
function fewer(x, curves, window, columns) {
  if (x.length <= Math.max(MOST, PER_COLUMN * columns)) return { x, ...curves, shade: null };
  const starts = startsOf(x, window, columns);
  const [low, high] = window;
  const middles = Float64Array.from({ length: columns }, (_, i) => low + ((i + 0.5) * (high - low)) / columns);
  const { flux, difference, pins } = curves;
  const shade = each({ flux, difference, pins }, (values) => extremes(values, starts));
  return { x: middles, ...each(curves, (values) => means(values, starts)), shade };
}

/** The same structure with all arrays turned into something else. */
function each(curves, act) {
  if (ArrayBuffer.isView(curves)) return act(curves);
  if (Array.isArray(curves)) return curves.map((one) => each(one, act));
  if (typeof curves !== "object") return curves;
  return Object.fromEntries(Object.entries(curves).map(([name, one]) => [name, each(one, act)]));
}

/** The first point of each column of pixels of a window, and of what is behind it. */
function startsOf(x, [low, high], columns) {
  const starts = new Int32Array(columns + 1);
  for (let column = 0, i = 0; column <= columns; column++) {
    while (i < x.length && x[i] < low + ((high - low) * column) / columns) i++;
    starts[column] = i;
  }
  return starts;
}

/** The mean of each column; not a number where one of its points is none, or there is none. */
function means(values, starts) {
  return Float64Array.from({ length: starts.length - 1 }, (_, column) => {
    let sum = 0;
    for (let i = starts[column]; i < starts[column + 1]; i++) sum += values[i];
    return sum / (starts[column + 1] - starts[column]);
  });
}

/** The least and the greatest number of each column. */
function extremes(values, starts) {
  const [least, most] = [new Float64Array(starts.length - 1).fill(NaN), new Float64Array(starts.length - 1).fill(NaN)];
  for (let column = 0; column < least.length; column++) {
    let [low, high] = [Infinity, -Infinity];
    for (let i = starts[column]; i < starts[column + 1]; i++) {
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    if (low <= high) [least[column], most[column]] = [low, high];
  }
  return [least, most];
}
