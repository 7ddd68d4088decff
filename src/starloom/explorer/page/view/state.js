// What the address bar holds, so that a view can be shared as a link.

export const MEDIA = ["air", "vacuum"];
const MOST_PINS = 4;

/** The state as the part of an address behind "#": only what a reader can have changed. */
export function toHash({ labels, velocity, medium, window, closeUp, pins }, names) {
  const parts = names.map((name) => `${name}=${short(labels[name])}`);
  parts.push(`rv=${short(velocity)}`, `medium=${medium}`);
  if (window) parts.push(`view=${window.map((value) => value.toFixed(3)).join(",")}`);
  if (closeUp) parts.push("flux=fit");
  for (const pin of pins) parts.push(`pin${"ABCD"[pin.slot]}=${[...names.map((name) => pin.labels[name]), pin.velocity].map(short).join(",")}`);
  return parts.join("&");
}

/**
 * The state in an address, with what it lacks taken from `other`; {state, faults}, a sentence for each value
 * that makes no sense or was moved into the domain.
 */
export function fromHash(hash, domain, other) {
  const values = new URLSearchParams(hash.replace(/^#/, ""));
  const faults = [];
  const read = (name, text, fallback, low, high) => {
    if (text === null || text === undefined) return fallback;
    const value = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(value)) faults.push(`${name} = ${text} is no number`);
    else if (value < low || value > high) faults.push(`${name} = ${text} is outside ${low} to ${high}`);
    return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : fallback;
  };
  const star = (at, fallback) => {
    const wanted = Object.fromEntries(
      domain.labels.map(({ name, low, high }, i) => [name, read(name, at(name, i), fallback.labels[name], low, high)]),
    );
    const labels = domain.inside(wanted);
    if (labels.logg > wanted.logg) faults.push(`logg = ${wanted.logg} has no atmosphere there; ${short(labels.logg)} is the lowest`);
    const { low, high } = domain.velocity;
    return { labels, velocity: read("rv", at("rv", domain.labels.length), fallback.velocity, low, high) };
  };
  const pins = [...values.keys()]
    .map((key) => [key, "ABCD".indexOf(key.slice(3))])
    .filter(([key, slot]) => /^pin[A-D]$/.test(key) && slot < MOST_PINS)
    .map(([key, slot]) => {
      const numbers = values.get(key).split(",");
      return { slot, ...star((_, i) => numbers[i], other) };
    });
  const view = values.get("view")?.split(",").map(Number);
  const state = {
    ...star((name) => values.get(name), other),
    medium: MEDIA.includes(values.get("medium")) ? values.get("medium") : other.medium,
    window: view?.length === 2 && view.every(Number.isFinite) && view[1] > view[0] ? view : null,
    closeUp: values.get("flux") === "fit",
    pins,
  };
  return { state, faults };
}

/** A number without the noise of binary fractions. */
export const short = (value) => `${+value.toPrecision(9)}`;
