// Interpolation from a grid uniform in ln(wavelength): a windowed sinc (broadening.point_sampler).

/** Modified Bessel function I_0, by its power series. */
function besselI0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/**
 * Function (values, out, from, to) from the points of the grid to increasing vacuum wavelengths [A], of which it
 * gives those of the indices [from, to).
 *
 * `finish` gives the grid (first_aa, step_kms) and the window (taps, kaiser_shape), `c` the speed of
 * light [km/s]. The weights of one point sum to one. All points must have room for the window.
 */
export function pointSampler(finish, vacuum, c) {
  const { first_aa: first, step_kms: step, taps, kaiser_shape: shape } = finish;
  const half = taps / 2;
  const count = vacuum.length;
  const start = new Int32Array(count);
  const weights = new Float64Array(count * taps);
  for (let i = 0; i < count; i++) {
    const place = (c * Math.log(vacuum[i] / first)) / step;
    const begin = Math.floor(place) + 1 - half;
    start[i] = begin;
    let sum = 0;
    for (let t = 0, at = i * taps; t < taps; t++) {
      const distance = place - (begin + t);
      const sinc = distance === 0 ? 1 : Math.sin(Math.PI * distance) / (Math.PI * distance);
      const weight = sinc * besselI0(shape * Math.sqrt(Math.max(0, 1 - (distance / half) ** 2)));
      weights[at + t] = weight;
      sum += weight;
    }
    for (let at = i * taps; at < (i + 1) * taps; at++) weights[at] /= sum;
  }
  const sample = (values, out, from = 0, to = count) => {
    for (let i = from; i < to; i++) {
      let sum = 0;
      for (let t = 0, at = i * taps, first = start[i]; t < taps; t++) sum += weights[at + t] * values[first + t];
      out[i] = sum;
    }
    return out;
  };
  return Object.assign(sample, { count });
}
