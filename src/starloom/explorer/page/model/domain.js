// The labels that have an answer (starloom/labels.py); every name and number comes from the page's facts.

import { meaning } from "./roles.js";

const ELEMENTS = "elements"; // not a label, but how far all elements are from their default
const DIGITS = 9; // behind the point: sums of decimals have no more
const ROUNDING = 1e-9; // within which an element is at its default

export class Domain {
  constructor({ labels, intrinsic, roles, floor, c_to_o: limit, velocity, starts, gaia, former }) {
    this.labels = labels;
    this.names = labels.map((label) => label.name);
    this.elements = labels.filter((label) => label.element);
    this.main = labels.filter((label) => !label.element);
    this.star = this.main.filter((label) => intrinsic.includes(label.name));
    this.seen = this.main.filter((label) => !intrinsic.includes(label.name));
    this.velocity = velocity;
    this.starts = starts; // of a fit
    this.gaia = gaia; // the points of its spectra, and their noise
    this.roles = roles;
    this.floor = floor;
    this.limit = limit; // {carbon, oxygen, highest}: of [C/O]; or null
    this.former = former; // labels of links whose pins are numbers alone
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

  /** What an element is until it is moved: [alpha/M] where it follows that, else 0. */
  usual({ follows, default: otherwise }, labels) {
    return follows ? labels[follows] : otherwise;
  }

  /** Ends of a label's range beside the others: of an element those around its default. */
  ends(label, labels) {
    const { low, high, spread } = label;
    if (!spread) return [low, high];
    return spread.map((offset) => clamp(decimal(this.usual(label, labels) + offset), low, high));
  }

  /** Lowest value of a label beside the others: of log g the floor, else the end of its range. */
  lowest(label, labels) {
    const [low] = this.ends(label, labels);
    if (label.name !== this.gravity) return low;
    return Math.max(low, this.lowestLogg(this.meaning(labels, "teff"), this.meaning(labels, "mh")));
  }

  /** Highest value of a label beside the others: of carbon what [C/O] allows, else the end of its range. */
  highest(label, labels) {
    const [, high] = this.ends(label, labels);
    if (label.name !== this.limit?.carbon) return high;
    const { oxygen, highest } = this.limit;
    return Math.min(high, decimal(highest + (oxygen === null ? 0 : labels[oxygen])));
  }

  /** Places in the domain by name: 0 at each label's lower end, that of log g at these labels, 1 at the upper. */
  places(labels) {
    const places = {};
    for (const { name, low, high } of this.labels) {
      const lowest = name === this.gravity ? this.lowest({ name, low, high }, labels) : low;
      places[name] = high > low ? (labels[name] - lowest) / (high - lowest) : 0.5;
    }
    return places;
  }

  /** A label, or how far elements are from their default: root mean square in halves of their ranges. */
  coordinate(name, labels) {
    if (name !== ELEMENTS) return labels[name];
    const near = this.elements.filter((label) => label.spread);
    const offsets = near.map((label) => {
      const [low, high] = label.spread;
      const half = high > low ? (high - low) / 2 : 1;
      return (labels[label.name] - this.usual(label, labels) - (low + high) / 2) / half;
    });
    return Math.sqrt(offsets.reduce((sum, offset) => sum + offset * offset, 0) / near.length);
  }

  /** Whether an element is not at its default. */
  deviates(label, labels) {
    return label.element && Math.abs(labels[label.name] - this.usual(label, labels)) > ROUNDING;
  }

  /** The labels that say all of a star: without the elements that are at their default. */
  telling(labels) {
    return this.labels.filter((label) => !label.element || this.deviates(label, labels));
  }

  /** Labels as `inside` takes them: elements but those of `own`, which do not follow, have no value. */
  wanted(labels, own) {
    const follows = (label) => label.element && !own.includes(label.name);
    return Object.fromEntries(this.labels.map((label) => [label.name, follows(label) ? undefined : labels[label.name]]));
  }

  /** What is asked for, where no label would limit another: each in its range, elements without a value at their default. */
  asked(wanted) {
    const labels = Object.fromEntries(this.names.map((name) => [name, wanted[name]]));
    for (const { name, low, high } of this.main) labels[name] = clamp(wanted[name], low, high);
    for (const label of this.elements) labels[label.name] = clamp(wanted[label.name] ?? this.usual(label, labels), label.low, label.high);
    return labels;
  }

  /** The nearest labels inside: into the box, elements near their default, carbon below oxygen, log g above the floor. */
  inside(wanted) {
    const labels = this.asked(wanted);
    for (const label of this.elements) labels[label.name] = clamp(labels[label.name], ...this.ends(label, labels));
    for (const label of this.labels) labels[label.name] = Math.min(labels[label.name], this.highest(label, labels));
    for (const label of this.main) labels[label.name] = Math.max(labels[label.name], this.lowest(label, labels));
    return labels;
  }

  /** The nearest velocity that the page draws. */
  moving(velocity) {
    return clamp(velocity, this.velocity.low, this.velocity.high);
  }
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const decimal = (value) => +value.toFixed(DIGITS);

/** Linear between knots and constant beyond them. */
export function interpolate(x, knots, values) {
  if (x <= knots[0]) return values[0];
  const right = knots.findIndex((knot) => knot >= x);
  if (right < 0) return values.at(-1);
  const fraction = (x - knots[right - 1]) / (knots[right] - knots[right - 1]);
  return values[right - 1] + fraction * (values[right] - values[right - 1]);
}
