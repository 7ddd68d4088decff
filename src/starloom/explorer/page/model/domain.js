// The labels that have an answer (starloom/labels.py); every number comes from the page's facts.

export class Domain {
  constructor({ labels, corner, velocity }) {
    this.labels = labels;
    this.names = labels.map((label) => label.name);
    this.corner = corner;
    this.velocity = velocity;
  }

  /** Lowest log g at which an atmosphere exists: bilinear in the corner's table. */
  lowestLogg(teff, mh) {
    const { teff: rows, mh: columns, logg } = this.corner;
    return interpolate(teff, rows, logg.map((row) => interpolate(mh, columns, row)));
  }

  /** Places in the domain by name: 0 at each label's lower end, that of log g at these labels, 1 at the upper. */
  places(labels) {
    const places = {};
    for (const { name, low, high } of this.labels) {
      const lowest = name === "logg" ? Math.max(low, this.lowestLogg(labels.teff, labels.mh)) : low;
      places[name] = (labels[name] - lowest) / (high - lowest);
    }
    return places;
  }

  /** The nearest labels inside: into the box, then out of the corner by raising log g. */
  inside(wanted) {
    const labels = {};
    for (const { name, low, high } of this.labels) labels[name] = Math.min(Math.max(wanted[name], low), high);
    labels.logg = Math.max(labels.logg, this.lowestLogg(labels.teff, labels.mh));
    return labels;
  }
}

function interpolate(x, knots, values) {
  if (x <= knots[0]) return values[0];
  const right = knots.findIndex((knot) => knot >= x);
  if (right < 0) return values.at(-1);
  const fraction = (x - knots[right - 1]) / (knots[right] - knots[right - 1]);
  return values[right - 1] + fraction * (values[right] - values[right - 1]);
}
