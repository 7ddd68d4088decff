// What the address bar holds, so that a view can be shared as a link.

export const MEDIA = ["air", "vacuum"];
export const LETTERS = "ABCD"; // of the pins

/** A number without the noise of binary fractions. */
export const short = (value) => `${+value.toPrecision(9)}`;

/** The state as the part of an address behind "#": only what a reader can have changed. */
export function toHash({ labels, velocity, medium, window, closeUp, pins }, domain) {
  const parts = domain.names.map((name) => [name, short(labels[name])]);
  parts.push([domain.velocity.name, short(velocity)], ["medium", medium]);
  if (window) parts.push(["view", window.map((value) => value.toFixed(3)).join(",")]);
  if (closeUp) parts.push(["flux", "fit"]);
  for (const pin of pins) {
    const values = [...domain.names.map((name) => pin.labels[name]), pin.velocity];
    parts.push([`pin${LETTERS[pin.slot]}`, values.map(short).join(",")]);
  }
  return parts.map(([key, value]) => `${key}=${value}`).join("&");
}

/**
 * The state in an address, with what it lacks taken from `other`; {state, faults}, a sentence for each value
 * that makes no sense, is left out or was moved into the domain.
 */
export function fromHash(hash, domain, other) {
  const values = new Map(new URLSearchParams(hash.replace(/^#/, "")));
  const faults = [];
  /** What stands under a key, and then no longer: what is left in the end is unknown. */
  const take = (key) => {
    const text = values.get(key);
    values.delete(key);
    return text;
  };
  /** The text under a key where it is one of a few words, or what holds without it. */
  const choice = (key, words, otherwise) => {
    const text = take(key);
    if (text === undefined || words.includes(text)) return text ?? otherwise;
    faults.push(`${key} = ${text} is not ${words.join(" or ")}`);
    return otherwise;
  };
  const star = readStar(({ name, aliases }) => [name, ...aliases].map(take).find((text) => text !== undefined), domain, other, faults);
  const state = {
    ...other,
    ...star,
    medium: choice("medium", MEDIA, other.medium),
    window: readWindow(take("view"), faults),
    closeUp: choice("flux", ["fit"], "") === "fit",
    pins: [...LETTERS].map((letter, slot) => readPin(`pin${letter}`, take(`pin${letter}`), slot, domain, other, faults)).filter(Boolean),
  };
  for (const key of values.keys()) faults.push(`${key} is not known here`);
  return { state, faults };
}

/** Labels and velocity whose texts `at(quantity, index)` gives, each inside its range. */
function readStar(at, domain, other, faults) {
  const read = (quantity, index, otherwise) => {
    const { name, low, high } = quantity;
    const text = at(quantity, index);
    if (text === undefined) return otherwise;
    const value = number(text);
    if (!Number.isFinite(value)) faults.push(`${name} = ${text} is no number`);
    else if (value < low || value > high) faults.push(`${name} = ${text} is outside ${low} to ${high}`);
    return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : otherwise;
  };
  const wanted = Object.fromEntries(domain.labels.map((label, i) => [label.name, read(label, i, other.labels[label.name])]));
  const labels = domain.inside(wanted);
  for (const { name } of domain.labels) {
    if (labels[name] > wanted[name])
      faults.push(`${name} = ${short(wanted[name])} has no atmosphere there; ${short(labels[name])} is the lowest`);
  }
  return { labels, velocity: read(domain.velocity, domain.labels.length, other.velocity) };
}

/** A pinned spectrum: labels in their order and the velocity, all of them; else null, and the reason said. */
function readPin(key, text, slot, domain, other, faults) {
  if (text === undefined) return null;
  const texts = text.split(",");
  const count = domain.labels.length + 1;
  if (texts.length !== count || !texts.map(number).every(Number.isFinite)) {
    faults.push(`${key} = ${text} is not ${count} numbers and is left out`);
    return null;
  }
  return { slot, ...readStar((_, i) => texts[i], domain, other, faults) };
}

function readWindow(text, faults) {
  if (text === undefined) return null;
  const ends = text.split(",").map(number);
  if (ends.length === 2 && ends.every(Number.isFinite) && ends[1] > ends[0]) return ends;
  faults.push(`view = ${text} is not two rising wavelengths`);
  return null;
}

const number = (text) => (text.trim() === "" ? NaN : Number(text));
