// Scale and slope of an observed spectrum, and a first estimate of its labels by least squares.

const VELOCITY_SCALE = 20; // km/s, that counts as much as the whole range of a label
const LEAST_VSINI = 5; // km/s, that a fit starts from
const STEP = 1e-3; // of a scaled parameter, for derivatives
const SHORT = 4; // steps with each start
const LONG = 40; // steps at most with the best

/**
 * Scale a and slope b of flux = (a + b t) model by weighted least squares; t from -1 to 1 over the points.
 *
 * Returns {a, b, count, chi}: chi is the mean square of what is left, times the weights.
 */
export function scaleAndSlope(flux, model, weight) {
  const size = flux.length;
  let [s0, s1, s2, y0, y1, yy, count] = [0, 0, 0, 0, 0, 0, 0];
  for (let i = 0; i < size; i++) {
    const m = model[i];
    const w = weight[i];
    if (!(w > 0) || Number.isNaN(m)) continue;
    const t = (2 * i) / (size - 1) - 1;
    const wm = w * m;
    s0 += wm * m;
    s1 += wm * m * t;
    s2 += wm * m * t * t;
    y0 += wm * flux[i];
    y1 += wm * flux[i] * t;
    yy += w * flux[i] * flux[i];
    count++;
  }
  const determinant = s0 * s2 - s1 * s1;
  const a = (y0 * s2 - y1 * s1) / determinant;
  const b = (y1 * s0 - y0 * s1) / determinant;
  return { a, b, count, chi: (yy - a * y0 - b * y1) / count };
}

/** Weights 1 / error^2, with the model's own error in it; equal ones where the file gives no errors. */
export function weights(observed, modelError = 0) {
  const typical = median(observed.flux.filter(Number.isFinite));
  return observed.flux.map((flux, i) => {
    if (!Number.isFinite(flux)) return 0;
    if (!observed.error) return 1 / typical ** 2;
    const variance = observed.error[i] ** 2 + (modelError * typical) ** 2;
    return variance > 0 ? 1 / variance : 0;
  });
}

/**
 * By how much noise that neighbours share enlarges variances: at Gaia's points, finer than its pixels, it is as if
 * smoothed by a Gaussian of `noise_kms` (docs/fitting.md); 1 for other spectra.
 */
export function sharedNoise(vacuum, gaia, c) {
  const places = Array.from(vacuum, (aa) => (aa - gaia.first_aa) / gaia.step_aa);
  const theirs = places.every((place, i) => Math.abs(place - Math.round(place)) < 0.05 && (i === 0 || place - places[i - 1] < 1.1));
  if (!theirs) return 1;
  const step = (c * gaia.step_aa) / vacuum[Math.floor(vacuum.length / 2)];
  let sum = 1;
  for (let lag = 1; lag < 20; lag++) sum += 2 * Math.exp(-((lag * step) ** 2) / (2 * gaia.noise_kms) ** 2);
  return sum;
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.floor(sorted.length / 2)];
}

/**
 * First estimate of labels and radial velocity of an observed spectrum; labels that are not fitted stay at `start`, and
 * elements without a value there at their default.
 *
 * Levenberg (1944) and Marquardt (1963) with derivatives by differences, scale and slope solved for at every
 * step, from the given labels and the domain's other stars, each at the best of a row of velocities. Resolves to
 * {labels, velocity, deviation, a, b, rms, count, atLimit, steps}. `progress(text)` is told how far it is.
 */
export async function firstEstimate({ emulator, domain, observed, start, velocity, modelError, progress }) {
  const problem = new Problem(emulator, domain, observed, start, modelError);
  const { count } = problem.residuals(problem.scaled(start, velocity));
  const wanted = problem.limits.length + 1;
  if (count <= wanted) throw new Error(`the model knows ${count} of its points, which is too little for ${wanted} quantities`);
  const candidates = [];
  const stars = [start, ...domain.starts];
  for (const [index, star] of stars.entries()) {
    progress(`start ${index + 1} of ${stars.length}`);
    const labels = domain.inside({ ...start, ...star, ...turning(start, domain) });
    const first = problem.scaled(labels, problem.bestVelocity(labels, velocity));
    candidates.push(await minimise(problem, first, SHORT));
  }
  candidates.sort((one, other) => one.chi - other.chi);
  const finished = [];
  for (const candidate of candidates.slice(0, 2)) {
    finished.push(await minimise(problem, candidate.place, LONG, (step) => progress(`step ${step}`)));
  }
  finished.sort((one, other) => one.chi - other.chi);
  return problem.result(finished[0]);
}

/** The rotation to start with: at none, nothing would tell where to go. */
function turning(start, { roles }) {
  const { label } = roles.vsini;
  return label === null ? {} : { [label]: Math.max(start[label], LEAST_VSINI) };
}

class Problem {
  constructor(emulator, domain, observed, start, modelError) {
    Object.assign(this, { emulator, domain, observed, start });
    this.sampler = emulator.at(observed.vacuum);
    this.weight = weights(observed, modelError);
    this.model = new Float64Array(observed.vacuum.length);
    this.limits = domain.labels.filter((label) => label.fitted);
  }

  /** Labels and velocity as numbers of about one range each. */
  scaled(labels, velocity) {
    const own = this.limits.map(({ name, low, high }) => (labels[name] - low) / (high - low));
    return [...own, velocity / VELOCITY_SCALE];
  }

  /** The nearest allowed place: inside the domain, at velocities that the page knows. */
  inside(place) {
    const labels = this.labels(place);
    return this.scaled(labels, this.domain.moving(this.velocity(place)));
  }

  labels(place) {
    const wanted = Object.fromEntries(this.limits.map(({ name, low, high }, i) => [name, low + place[i] * (high - low)]));
    return this.domain.inside({ ...this.start, ...wanted });
  }

  velocity = (place) => place[this.limits.length] * VELOCITY_SCALE;

  /** Mean square of what is left, and the residuals themselves. */
  residuals(place, out) {
    const { observed, model, weight } = this;
    this.emulator.flux(this.labels(place), this.velocity(place), this.sampler, model);
    const found = scaleAndSlope(observed.flux, model, weight);
    if (out) {
      const size = model.length;
      for (let i = 0; i < size; i++) {
        const line = found.a + found.b * ((2 * i) / (size - 1) - 1);
        out[i] = weight[i] > 0 && !Number.isNaN(model[i]) ? Math.sqrt(weight[i]) * (observed.flux[i] - line * model[i]) : 0;
      }
    }
    return found;
  }

  bestVelocity(labels, near) {
    const { low, high } = this.domain.velocity;
    let best = { velocity: near, chi: this.residuals(this.scaled(labels, near)).chi };
    for (let velocity = low; velocity <= high; velocity += 8) {
      const { chi } = this.residuals(this.scaled(labels, velocity));
      if (chi < best.chi) best = { velocity, chi };
    }
    return best.velocity;
  }

  result({ place, steps }) {
    const left = new Float64Array(this.model.length);
    const found = this.residuals(place, left);
    const { normal } = equations(this, place, left);
    const inverse = invert(normal);
    const widths = [...this.limits.map(({ low, high }) => high - low), VELOCITY_SCALE];
    const { domain, emulator, observed } = this;
    const shared = observed.error ? sharedNoise(observed.vacuum, domain.gaia, emulator.c) : 1;
    const deviation = widths.map((width, i) => width * Math.sqrt(inverse[i][i] * found.chi * shared));
    const labels = this.labels(place);
    for (const { name, digits } of this.limits) labels[name] = +labels[name].toFixed(digits);
    const atLimit = this.limits.filter((label) => labels[label.name] <= domain.lowest(label, labels) || labels[label.name] >= label.high);
    const fitted = Object.fromEntries(this.limits.map(({ name }) => [name, labels[name]]));
    const names = [...this.limits, domain.velocity].map(({ name }) => name);
    return {
      labels: domain.inside({ ...this.start, ...fitted }),
      velocity: +this.velocity(place).toFixed(domain.velocity.digits),
      deviation: Object.fromEntries(names.map((name, i) => [name, deviation[i]])),
      rms: this.scatter(found),
      count: found.count,
      reducedChi: this.observed.error ? found.chi : null,
      atLimit: atLimit.map(({ name }) => name),
      steps,
    };
  }

  /** Root mean square of the normalised difference. */
  scatter({ a, b }) {
    const { observed, model, weight } = this;
    let [sum, count] = [0, 0];
    for (let i = 0; i < model.length; i++) {
      if (!(weight[i] > 0) || Number.isNaN(model[i])) continue;
      sum += (observed.flux[i] / (a + b * ((2 * i) / (model.length - 1) - 1)) - model[i]) ** 2;
      count++;
    }
    return Math.sqrt(sum / count);
  }
}

async function minimise(problem, first, most, progress = () => {}) {
  const left = new Float64Array(problem.model.length);
  let place = problem.inside(first);
  let { chi } = problem.residuals(place, left);
  let damping = 1e-2;
  let steps = 0;
  for (; steps < most && damping < 1e8; steps++) {
    progress(steps + 1);
    await new Promise((resume) => setTimeout(resume)); // the page stays alive
    const { normal, gradient } = equations(problem, place, left);
    const before = chi;
    for (; damping < 1e8; damping *= 8) {
      const damped = normal.map((row, i) => row.map((value, j) => (i === j ? value * (1 + damping) + 1e-12 : value)));
      const step = solve(damped, gradient);
      const next = problem.inside(place.map((value, i) => value - Math.min(Math.max(step[i], -0.3), 0.3)));
      const tried = problem.residuals(next).chi;
      if (!(tried < chi)) continue;
      place = next;
      chi = tried;
      damping = Math.max(damping / 10, 1e-9);
      break;
    }
    problem.residuals(place, left);
    if (before - chi < 1e-6 * before) break;
  }
  return { place, chi, steps };
}

/** Normal equations at a place: matrix and right-hand side, per point, with derivatives by differences. */
function equations(problem, place, left) {
  const size = place.length;
  const columns = place.map((value, i) => {
    const up = i === size - 1 || value + STEP <= 1 ? STEP : -STEP;
    const there = new Float64Array(left.length);
    problem.residuals(
      place.map((other, j) => (i === j ? other + up : other)),
      there,
    );
    return there.map((after, k) => (after - left[k]) / up);
  });
  const dot = (x, y) => x.reduce((sum, value, k) => sum + value * y[k], 0);
  return { normal: columns.map((x) => columns.map((y) => dot(x, y))), gradient: columns.map((x) => dot(x, left)) };
}

/** Solution of a small linear system by Gauss' elimination with pivots. */
function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  return eliminate(rows).map((row) => row[matrix.length]);
}

function invert(matrix) {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => Number(i === j))]);
  return eliminate(rows).map((row) => row.slice(size));
}

function eliminate(rows) {
  const size = rows.length;
  for (let i = 0; i < size; i++) {
    let pivot = i;
    for (let k = i + 1; k < size; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[pivot][i])) pivot = k;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    const head = rows[i][i];
    rows[i] = rows[i].map((value) => value / head);
    for (let k = 0; k < size; k++) {
      if (k === i || rows[k][i] === 0) continue;
      const factor = rows[k][i];
      rows[k] = rows[k].map((value, j) => value - factor * rows[i][j]);
    }
  }
  return rows;
}
