// What the address bar holds, so that a view can be shared as a link.

export const MEDIA = ["air", "vacuum"];
export const LETTERS = "ABCD"; // of the pins

/** A number without the noise of binary fractions. */
export const short = (value) => `${+value.toPrecision(9)}`;

/** The state as the part of an address behind "#": only what a reader can have changed, so no element that follows. */
export function toHash({ labels, velocity, own, medium, window, closeUp, pins }, domain) {
  const main = domain.main.map(({ name }) => name);
  const parts = [...main, ...own].map((name) => [name, short(labels[name])]);
  parts.push([domain.velocity.name, short(velocity)], ["medium", medium]);
  if (window) parts.push(["view", window.map((value) => value.toFixed(3)).join(",")]);
  if (closeUp) parts.push(["flux", "fit"]);
  for (const pin of pins) parts.push([`pin${LETTERS[pin.slot]}`, pinned(pin, domain)]);
  return parts.map(([key, value]) => `${key}=${value}`).join("&");
}

/** Numbers in the labels' order, and with names where elements are left out that follow their default. */
function pinned({ labels, velocity, own }, { main, elements, velocity: moving }) {
  const names = [...main.map(({ name }) => name), moving.name, ...own];
  const values = { ...labels, [moving.name]: velocity };
  return names.map((name) => (elements.length ? `${name}:` : "") + short(values[name])).join(",");
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

/** Labels, velocity and elements that do not follow, whose texts `at(quantity)` gives, each inside its range. */
function readStar(at, domain, other, faults) {
  const read = (quantity, otherwise) => {
    const { name, low, high } = quantity;
    const text = at(quantity);
    if (text === undefined) return otherwise;
    const value = number(text);
    if (!Number.isFinite(value)) faults.push(`${name} = ${text} is no number`);
    else if (value < low || value > high) faults.push(`${name} = ${text} is outside ${low} to ${high}`);
    return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : otherwise;
  };
  const first = domain.wanted(other.labels, other.own);
  const wanted = Object.fromEntries(domain.labels.map((label) => [label.name, read(label, first[label.name])]));
  const own = domain.elements.map(({ name }) => name).filter((name) => wanted[name] !== undefined);
  const [asked, labels] = [domain.asked(wanted), domain.inside(wanted)];
  const given = domain.labels.filter(({ name }) => wanted[name] !== undefined && labels[name] !== asked[name]);
  for (const label of given) faults.push(moved(label, asked, labels, domain));
  return { labels, own, velocity: read(domain.velocity, other.velocity) };
}

/** What is to be said of a label that others do not let be what was asked for. */
function moved(label, asked, labels, domain) {
  const [was, is] = [asked, labels].map((values) => short(values[label.name]));
  const told = `${label.name} = ${was}`;
  if (!label.element) return `${told} has no atmosphere there; ${is} is the lowest`;
  const [low, high] = domain.ends(label, labels);
  if (labels[label.name] < Math.min(high, asked[label.name])) return `${told} is above ${is}, where [C/O] is ${domain.limit.highest}`;
  return `${told} is outside ${low} to ${high}, near its default`;
}

/**
 * A pinned spectrum: labels in their order and the velocity, all of them, or some by name as in `teff:5777`; else
 * null, and the reason said.
 */
function readPin(key, text, slot, domain, other, faults) {
  if (text === undefined) return null;
  const names = [...domain.names, domain.velocity.name];
  const parts = text.split(",").map((part) => part.split(":"));
  const named = parts.some((part) => part.length > 1);
  const order = named ? [] : ordered(parts.length, names, domain);
  const values = new Map(named ? parts : parts.map(([value], i) => [order[i], value]));
  const complete = named ? [...values.keys()].every((name) => names.includes(name)) : parts.length === order.length;
  if (!complete || ![...values.values()].map((value = "") => number(value)).every(Number.isFinite)) {
    faults.push(`${key} = ${text} is not ${names.length} numbers and is left out`);
    return null;
  }
  return { slot, ...readStar(({ name }) => values.get(name), domain, other, faults) };
}

/** Names of numbers without names: those of the model, or of the labels that links had before there were others. */
function ordered(count, names, { former, velocity }) {
  const before = [...former, velocity.name];
  return count !== names.length && count === before.length && before.every((name) => names.includes(name)) ? before : names;
}

function readWindow(text, faults) {
  if (text === undefined) return null;
  const ends = text.split(",").map(number);
  if (ends.length === 2 && ends.every(Number.isFinite) && ends[1] > ends[0]) return ends;
  faults.push(`view = ${text} is not two rising wavelengths`);
  return null;
}

const number = (text) => (text.trim() === "" ? NaN : Number(text));
