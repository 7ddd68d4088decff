// The labels that have an answer (starloom/labels.py); every name and number comes from the page's facts.

import { meaning } from "./roles.js";

export class Domain {
  constructor({ labels, intrinsic, roles, floor, velocity, starts, gaia }) {
    this.labels = labels;
    this.names = labels.map((label) => label.name);
    this.star = labels.filter((label) => intrinsic.includes(label.name));
    this.seen = labels.filter((label) => !intrinsic.includes(label.name));
    this.velocity = velocity;
    this.starts = starts; // of a fit
    this.gaia = gaia; // the points of its spectra, and their noise
    this.roles = roles;
    this.floor = floor;
    this.gravity = floor && roles.logg.label; // the label that the floor bounds
    this.meaning = meaning(roles);
  }

  /** Lowest log g at which an atmosphere exists: bilinear in the floor's table, constant beyond it. */
  lowestLogg(teff, mh) {
    const { teff: rows, mh: columns, logg } = this.floor;
    return interpolate(
      teff,
      rows,
      logg.map((row) => interpolate(mh, columns, row)),
    );
  }

  /** Lowest value of a label beside the others: of log g the floor, else the end of its range. */
  lowest({ name, low }, labels) {
    if (name !== this.gravity) return low;
    return Math.max(low, this.lowestLogg(this.meaning(labels, "teff"), this.meaning(labels, "mh")));
  }

  /** Places in the domain by name: 0 at each label's lower end, that of log g at these labels, 1 at the upper. */
  places(labels) {
    const places = {};
    for (const label of this.labels) {
      const lowest = this.lowest(label, labels);
      places[label.name] = (labels[label.name] - lowest) / (label.high - lowest);
    }
    return places;
  }

  /** The nearest labels inside: into the box, then out of what lies below the floor by raising log g. */
  inside(wanted) {
    const labels = {};
    for (const { name, low, high } of this.labels) labels[name] = clamp(wanted[name], low, high);
    for (const label of this.labels) labels[label.name] = Math.max(labels[label.name], this.lowest(label, labels));
    return labels;
  }

  /** The nearest velocity that the page draws. */
  moving(velocity) {
    return clamp(velocity, this.velocity.low, this.velocity.high);
  }
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Linear between knots and constant beyond them. */
export function interpolate(x, knots, values) {
  if (x <= knots[0]) return values[0];
  const right = knots.findIndex((knot) => knot >= x);
  if (right < 0) return values.at(-1);
  const fraction = (x - knots[right - 1]) / (knots[right] - knots[right - 1]);
  return values[right - 1] + fraction * (values[right] - values[right - 1]);
}
