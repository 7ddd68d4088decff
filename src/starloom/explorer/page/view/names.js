// Which lines are named, and their names above the spectrum.

import uPlot from "../vendor/uPlot.esm.js";
import { interpolate } from "../model/domain.js";
import { airFromVacuum, moved, nearest, vacuumFromAir } from "../model/wavelength.js";

const ROOM = 17; // CSS pixels between names
const DEPTH = 0.012; // of the spectrum at a line's place, below which it has no name
const NEAR = 0.4; // A, within which that depth is looked for
const REACH = 1; // A beyond a view, within which lines are looked for in vain

const withVacuum = (line) => ({ ...line, vacuum_aa: vacuumFromAir(line.air_aa) });

/**
 * Logarithm of the strength that a line must have to be named: the wider the view, the stronger. `least` is that of
 * the narrowest; `x` are the points of all `chunks`.
 */
export function weakest(least, [low, high], { x, chunks }) {
  const share = Math.min(((high - low) * chunks) / (x.at(-1) - x[0]), chunks);
  return least + 0.8 * Math.min(share, 1) + 0.5 * Math.log10(Math.max(share, 1));
}

export class LineList {
  /** From the facts' lines; `meaning(labels, role)` gives temperature and metallicity, `c` is in km/s. */
  constructor({ temperatures, named_log_strength, hydrogen_from_teff, atoms, hydrogen }, meaning, c) {
    Object.assign(this, { temperatures, meaning, c });
    this.least = named_log_strength;
    this.hydrogenFrom = hydrogen_from_teff;
    this.all = [
      ...hydrogen.map((line) => ({ ...line, air_aa: airFromVacuum(line.vacuum_aa), hydrogen: true })),
      ...atoms.map(withVacuum),
    ];
  }

  /** Take the atomic lines of a chunk. */
  add(atoms) {
    this.all.push(...atoms.map(withVacuum));
  }

  /**
   * Lines that a star of these labels may show, the strongest first, each with its place x [A] in `medium`; with a
   * scene those alone that may be named in it.
   */
  of(labels, velocity, medium, scene = null) {
    const [teff, mh] = [this.meaning(labels, "teff"), this.meaning(labels, "mh")];
    const [least, [low, high]] = scene ? [scene.leastNamed, scene.window] : [this.least, [0, Infinity]];
    const reach = scene ? REACH + (high * Math.abs(velocity)) / this.c : 0;
    const found = [];
    for (const line of this.all) {
      const rest = medium === "air" ? line.air_aa : line.vacuum_aa;
      if (rest < low - reach || rest > high + reach) continue;
      // logarithm of the opacity at the centre over the continuum's
      const strength = line.hydrogen ? Infinity : interpolate(teff, this.temperatures, line.log_strength) + mh;
      if (line.hydrogen ? teff < (line.from_teff ?? this.hydrogenFrom) : strength < least) continue;
      found.push({ ...line, rest, strength, x: moved(rest, velocity, this.c, medium) });
    }
    return found.sort((one, other) => other.strength - one.strength);
  }

  /** The line to speak of at a wavelength: the strongest of `lines` within a tolerance. */
  at(lines, wavelength, tolerance) {
    return lines.find((line) => Math.abs(line.x - wavelength) < tolerance && line.strength > this.least) ?? null;
  }
}

/** Draw names with ticks where there is room, the strongest first; returns those drawn, by wavelength. */
export function drawNames(u, { x, flux, lines, leastNamed }, palette) {
  const { ctx, bbox } = u;
  const ratio = uPlot.pxRatio;
  const { min, max } = u.scales.x;
  const perAa = u.over.clientWidth / (max - min);
  const drawn = [];
  for (const line of lines) {
    if (line.x < min || line.x > max || line.strength < leastNamed) continue;
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

/** Depth of the spectrum near a place. */
function deepest(x, flux, place) {
  const last = nearest(x, place + NEAR);
  let depth = 0;
  for (let i = nearest(x, place - NEAR); i <= last; i++) depth = Math.max(depth, 1 - flux[i]);
  return depth;
}
