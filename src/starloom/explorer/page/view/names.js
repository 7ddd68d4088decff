// Which lines are named, and their names above the spectrum.

import uPlot from "../vendor/uPlot.esm.js";
import { airFromVacuum, moved, vacuumFromAir } from "../model/wavelength.js";

const ROOM = 17; // CSS pixels between names
const DEPTH = 0.012; // of the spectrum at a line's place, below which it has no name

export class LineList {
  constructor({ temperatures, named_log_strength, hydrogen_from_teff, atoms, hydrogen }, c) {
    this.temperatures = temperatures;
    this.least = named_log_strength;
    this.hydrogenFrom = hydrogen_from_teff;
    this.c = c;
    this.all = [
      ...hydrogen.map((line) => ({ ...line, air_aa: airFromVacuum(line.vacuum_aa), hydrogen: true })),
      ...atoms.map((line) => ({ ...line, vacuum_aa: vacuumFromAir(line.air_aa) })),
    ];
  }

  /** Lines that a star of these labels may show, the strongest first, each with its place x [A] in `medium`. */
  of({ teff, mh }, velocity, medium) {
    const found = [];
    for (const line of this.all) {
      if (line.hydrogen ? teff < this.hydrogenFrom : this.#strength(line, teff) + mh < this.least) continue;
      const rest = medium === "air" ? line.air_aa : line.vacuum_aa;
      const strength = line.hydrogen ? Infinity : this.#strength(line, teff) + mh;
      found.push({ ...line, rest, strength, x: moved(rest, velocity, this.c, medium) });
    }
    return found.sort((one, other) => other.strength - one.strength);
  }

  /** Logarithm of the opacity at the centre over the continuum's, linear between the list's temperatures. */
  #strength({ log_strength: values }, teff) {
    const knots = this.temperatures;
    if (teff <= knots[0]) return values[0];
    const right = knots.findIndex((knot) => knot >= teff);
    if (right < 0) return values.at(-1);
    const fraction = (teff - knots[right - 1]) / (knots[right] - knots[right - 1]);
    return values[right - 1] + fraction * (values[right] - values[right - 1]);
  }
}

/** Draw names with ticks where there is room, the strongest first; returns those drawn, by wavelength. */
export function drawNames(u, lines, { x, flux }, palette) {
  const { ctx, bbox } = u;
  const ratio = uPlot.pxRatio;
  const { min, max } = u.scales.x;
  const perAa = u.over.clientWidth / (max - min);
  // the wider the view, the stronger a line must be
  const least = Math.log10(0.3) + 0.8 * Math.min((max - min) / 400, 1);
  const drawn = [];
  for (const line of lines) {
    if (line.x < min || line.x > max || line.strength < least) continue;
    if (drawn.some((other) => Math.abs(other.x - line.x) * perAa < ROOM)) continue;
    if (!(deepest(x, flux, line.x) > DEPTH)) continue;
    drawn.push(line);
  }
  ctx.save();
  ctx.font = `${10.5 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const line of drawn) {
    const place = bbox.left + (line.x - min) * perAa * ratio;
    ctx.strokeStyle = ctx.fillStyle = line.hydrogen ? palette.accent : palette.muted;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(place, bbox.top + 34 * ratio);
    ctx.lineTo(place, bbox.top + 41 * ratio);
    ctx.stroke();
    ctx.save();
    ctx.translate(place, bbox.top + 31 * ratio);
    ctx.rotate(-Math.PI / 2);
    ctx.fillText(line.species, 0, 0);
    ctx.restore();
  }
  ctx.restore();
  return drawn.sort((one, other) => one.x - other.x);
}

/** Depth of the spectrum within 0.4 A of a place. */
function deepest(x, flux, place) {
  const step = (x[x.length - 1] - x[0]) / (x.length - 1);
  const middle = Math.round((place - x[0]) / step);
  let depth = 0;
  for (let i = Math.max(middle - 4, 0); i <= Math.min(middle + 4, x.length - 1); i++) depth = Math.max(depth, 1 - flux[i]);
  return depth;
}

/** The line to speak of at a wavelength: the strongest within some pixels. */
export function lineAt(lines, wavelength, tolerance) {
  return lines.find((line) => Math.abs(line.x - wavelength) < tolerance && line.strength > Math.log10(0.3)) ?? null;
}
