// The two panels: flux with its error band and line names, and differences from the spectrum shown.

import uPlot from "../vendor/uPlot.esm.js";
import { LETTERS } from "../state/link.js";
import { drawn } from "./fewer.js";
import { drawNames } from "./names.js";
import { band, caption, curve, letters, polyline, shade, veil, visible } from "./paint.js";
import { minus } from "./words.js";

const PINS = LETTERS.length;
const AXIS = 50; // CSS pixels left of both panels for numbers such as 0.9995 or −0.05; titles lie beyond
const RIGHT = 20; // CSS pixels right of them, where pins have their letters
const HEADROOM = 50; // CSS pixels above the flux for line names
const SMALL = 0.01; // steps below this are told in thousandths, so that the numbers stay short
const STEPS = Array.from({ length: 9 }, (_, i) => [1, 2, 5].map((digit) => +`${digit}e${i - 7}`)).flat();
const FAINT = "40"; // of FF, how much of a shade's colour is seen
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

const FLUX = { label: "Flux / continuum", values: (_, splits) => fixed(splits), space: 30 };
const DIFFERENCE = {
  label: (_, __, step) => (step < SMALL ? "Difference [10⁻³]" : "Difference"),
  values: (_, splits, __, ___, step) => fixed(step < SMALL ? splits.map((value) => 1e3 * value) : splits),
  incrs: STEPS,
  space: 18,
};

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class Plots {
  /** Panels in two elements; `onHover(wavelength | null)` follows the cursor. */
  constructor(top, bottom, onHover) {
    this.elements = [top, bottom];
    this.onHover = onHover;
    this.scene = null;
    this.palette = {};
    this.columns = Array.from({ length: 2 + PINS }, () => []);
    this.differences = Array.from({ length: 1 + PINS }, () => []);
    this.readPalette();
    this.flux = this.#panel(top, FLUX, [{ stroke: () => this.palette.ink, width: 1.4 }], (u, when) => this.#overFlux(u, when));
    this.difference = this.#panel(bottom, DIFFERENCE, [], (u, when) => this.#overDifference(u, when), true);
    const observer = new ResizeObserver(() => this.resize());
    this.elements.forEach((element) => observer.observe(element));
    this.resize();
  }

  readPalette() {
    const names = ["ink", "muted", "faint", "line", "grid", "paper", "band", "band-wide", "observed", "accent"];
    for (const name of [...names, ...Array.from({ length: PINS }, (_, i) => `pin-${i}`)]) this.palette[name] = colour(name);
  }

  resize() {
    [this.flux, this.difference].forEach((u, i) => {
      const { clientWidth: width, clientHeight: height } = this.elements[i];
      if (!width || !height || (u.width === width && u.height === height)) return;
      u.setSize({ width, height });
      this.onHover(null); // what it told was elsewhere
    });
    if (this.scene) this.draw(this.scene);
  }

  /**
   * Draw a scene at once: {x, medium, flux, p68, p99, pins: [{slot, flux}], observed: {x, flux, difference} | null,
   * lines, leastNamed, part: [first, last] of the points, waiting, window: [low, high], closeUp, highlight}.
   */
  draw(scene) {
    this.scene = scene;
    const { closeUp, window } = scene;
    this.drawn = drawn(scene, Math.max(Math.round(this.flux.over.clientWidth * devicePixelRatio), 1));
    const { x, flux, pins } = this.drawn;
    const [first, last] = visible(x, window);
    fill(this.columns[0], x);
    fill(this.columns[1], flux);
    for (let slot = 0; slot < PINS; slot++) {
      const pin = pins.find((each) => each.slot === slot);
      fill(this.columns[2 + slot], pin?.flux, x.length);
      fill(this.differences[1 + slot], pin?.difference, x.length);
    }
    fill(this.differences[0], x);
    const [min, max] = window;
    set(this.flux, this.columns, { min, max }, this.#fluxRange({ ...this.drawn, closeUp, window }, first, last));
    set(this.difference, this.differences, { min, max }, this.#differenceRange({ ...this.drawn, window }, first, last));
  }

  /** Show a wavelength under the cursor in both panels, as a pointer would. */
  pointAt(wavelength) {
    const left = this.flux.valToPos(wavelength, "x");
    this.flux.setCursor({ left, top: this.flux.over.clientHeight / 2 });
  }

  #panel(element, y, series, over, xTitle = false) {
    const axis = {
      stroke: () => this.palette.muted,
      font: FONT,
      ticks: { show: false },
      grid: { stroke: () => this.palette.grid, width: 1 },
    };
    const options = {
      width: 300,
      height: 150,
      padding: [xTitle ? 18 : 6, RIGHT, 4, 0],
      legend: { show: false },
      pxAlign: 0,
      scales: {
        x: { time: false, auto: false, range: (_, min, max) => [min, max] },
        y: { auto: false, range: (_, min, max) => [min, max] },
      },
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: false, y: false, setScale: false },
        sync: { key: "wavelength" },
        bind: { mousedown: () => null, mouseup: () => null, dblclick: () => null },
      },
      axes: [
        {
          ...axis,
          size: xTitle ? 26 : 4,
          gap: 4,
          values: xTitle ? labels : () => [],
          label: xTitle ? () => this.#wavelengthTitle() : undefined,
          labelFont: FONT,
          labelSize: 20,
          labelGap: 0,
          space: 60,
        },
        { ...axis, ...y, size: AXIS, labelFont: FONT, labelSize: 16 },
      ],
      series: [{}, ...series, ...Array.from({ length: PINS }, (_, i) => ({ stroke: () => this.#pinColour(i), width: 1.4 }))].map(
        (each) => ({ ...each, paths: curve, points: { show: false }, auto: false }),
      ),
      hooks: {
        drawAxes: [(u) => this.scene && over(u, "under")],
        draw: [(u) => this.scene && over(u, "over")],
        setCursor: [(u) => u === this.flux && this.onHover(u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null)],
      },
    };
    return new uPlot(options, series.length ? this.columns : this.differences, element);
  }

  #pinColour(slot) {
    const { highlight } = this.scene ?? {};
    const fades = highlight !== null && highlight !== undefined && highlight !== slot;
    return this.palette[`pin-${slot}`] + (fades ? "55" : "");
  }

  /** Between which extremes curves run, where those drawn are means: of the "flux" or the "difference". */
  #shades(u, name) {
    const { x, shade: own, pins, observed } = this.drawn;
    const { shade: other } = observed ?? {};
    if (other) shade(u, observed.x, other[name], this.palette.observed + FAINT);
    if (!own) return;
    // several in one place would hide each other
    if (name === "flux") shade(u, x, own.flux, this.palette.ink + FAINT);
    else pins.forEach(({ slot }, i) => shade(u, x, own.pins[i].difference, this.palette[`pin-${slot}`] + FAINT));
  }

  #wavelengthTitle() {
    return `Wavelength in ${this.scene?.medium ?? "air"} [Å]`;
  }

  #overFlux(u, when) {
    const { x, flux, p99, p68, observed, pins } = this.drawn;
    if (when === "under") {
      for (const part of together(this.scene.waiting)) veil(u, part, this.palette, part.fault ? "not loaded" : "loading");
      this.#shades(u, "flux");
      band(u, x, flux, p99, this.palette["band-wide"]);
      band(u, x, flux, p68, this.palette.band);
      if (observed) polyline(u, observed.x, observed.flux, this.palette.observed);
      return;
    }
    this.names = drawNames(u, this.scene, this.palette);
    letters(u, x, pins, this.palette);
  }

  #overDifference(u, when) {
    const { x, zero, p99, p68, observed } = this.drawn;
    if (when === "over") return caption(u, this.#differenceCaption(), this.palette.faint);
    for (const part of together(this.scene.waiting)) veil(u, part, this.palette);
    this.#shades(u, "difference");
    band(u, x, zero, p99, this.palette["band-wide"]);
    band(u, x, zero, p68, this.palette.band);
    polyline(u, x, zero, this.palette.faint, 1);
    if (observed) polyline(u, observed.x, observed.difference, this.palette.observed);
  }

  #differenceCaption() {
    const { pins, observed, p68 } = this.scene;
    const others = [pins.length && "pinned", observed && "observed"].filter(Boolean).join(" and ");
    const stated = p68 ? "stated error of the model: 68 %, 99 %" : "";
    return others ? `${others} − shown` : stated;
  }

  #fluxRange({ flux, pins, shade, observed, closeUp, window }, first, last) {
    const curves = [...(shade?.flux ?? [flux]), ...pins.map((pin) => pin.flux)];
    let [low, high] = closeUp ? extent(curves, first, last) : [0, 1];
    if (observed && closeUp) {
      const [from, to] = visible(observed.x, window);
      const [least, most] = extent(observed.shade?.flux ?? [observed.flux], from, to);
      [low, high] = [Math.min(low, least), Math.max(high, most)];
    }
    const span = Math.max(high - low, 2e-3);
    const room = HEADROOM / Math.max(this.flux.over.clientHeight, 120);
    return { min: low - 0.05 * span, max: low + (1.05 * span) / (1 - room) };
  }

  /** Wide enough for the stated errors and for nearly all differences, symmetric. */
  #differenceRange({ p99, p68, window, shade, observed }, first, last) {
    let high = p99 ? Math.max(1.15 * extent([p99], first, last)[1], 3 * extent([p68], first, last)[1]) : 1e-3;
    const extremes = shade ? shade.pins.flatMap((pin) => pin.difference) : this.differences.slice(1);
    for (const column of extremes) high = Math.max(high, 1.1 * largest(column, first, last));
    if (observed) {
      const [from, to] = visible(observed.x, window);
      const sizes = observed.difference
        .slice(from, to + 1)
        .map(Math.abs)
        .filter(Number.isFinite)
        .sort();
      high = Math.max(high, 1.25 * (sizes[Math.floor(0.99 * sizes.length)] ?? 0));
    }
    return { min: -high, max: high };
  }
}

/** What is not loaded, neighbours as one where both have failed or neither. */
function together(waiting) {
  const found = [];
  for (const { low, high, fault } of [...waiting].sort((one, other) => one.low - other.low)) {
    const before = found.at(-1);
    if (before?.high === low && !before.fault === !fault) before.high = high;
    else found.push({ low, high, fault });
  }
  return found;
}

function set(u, data, x, y) {
  u.batch(() => {
    u.setData(data, false);
    u.setScale("x", x);
    u.setScale("y", y);
  });
}

/** Copy into a plain array, whose gaps are null. */
function fill(column, values, size = values.length) {
  column.length = size;
  for (let i = 0; i < size; i++) {
    const value = values ? values[i] : NaN;
    column[i] = Number.isNaN(value) ? null : value;
  }
}

function extent(columns, first, last) {
  let [low, high] = [Infinity, -Infinity];
  for (const column of columns) {
    for (let i = first; i <= last; i++) {
      if (column[i] < low) low = column[i];
      if (column[i] > high) high = column[i];
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

function largest(column, first, last) {
  let most = 0;
  for (let i = first; i <= last; i++) if (Math.abs(column[i]) > most) most = Math.abs(column[i]);
  return most;
}

const labels = (_, splits) => splits.map((value) => `${+value.toFixed(3)}`);

/** Axis labels with the same number of digits. */
function fixed(splits) {
  const step = splits[1] - splits[0];
  let digits = 0;
  while (digits < 8 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits++;
  return splits.map((value) => minus(value.toFixed(digits)));
}
