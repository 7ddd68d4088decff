// Air and vacuum, and motion (starloom/wavelength.py, starloom/broadening.py).

/** Refractive index of standard air at a vacuum wavelength [A]: Ciddor (1996), Applied Optics 35, 1566, eq. 1. */
function refractiveIndex(vacuum) {
  const squared = (1e4 / vacuum) ** 2;
  return 1 + 1e-8 * (5792105 / (238.0185 - squared) + 167917 / (57.362 - squared));
}

export const airFromVacuum = (vacuum) => vacuum / refractiveIndex(vacuum);

/** By fixed-point iteration; three steps reach the rounding of numbers. */
export function vacuumFromAir(air) {
  let vacuum = air;
  for (let step = 0; step < 3; step++) vacuum = air * refractiveIndex(vacuum);
  return vacuum;
}

/** Shift of c ln(lambda) [km/s] by a velocity [km/s] away from us: c artanh(v / c). */
export const dopplerShift = (velocity, c) => c * Math.atanh(velocity / c);

/** The wavelength at which a moving star shows what lies at `rest` [A], in one medium, air or vacuum. */
export function moved(rest, velocity, c, medium) {
  if (velocity === 0) return rest;
  const factor = Math.exp(dopplerShift(velocity, c) / c);
  return medium === "air" ? airFromVacuum(vacuumFromAir(rest) * factor) : rest * factor;
}

/** First index of a rising axis that is not below a value; its length where all are. */
export function rank(x, value) {
  let [from, to] = [0, x.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (x[middle] < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Index of the point of a rising axis that is nearest to a value. */
export function nearest(x, value) {
  const right = Math.min(Math.max(rank(x, value), 1), x.length - 1);
  return value - x[right - 1] < x[right] - value ? right - 1 : right;
}
