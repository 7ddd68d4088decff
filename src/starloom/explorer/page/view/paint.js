// What the panels are painted with: traces, bands, letters and captions on uPlot's canvas.

import uPlot from "../vendor/uPlot.esm.js";
import { rank } from "../model/wavelength.js";
import { LETTERS } from "../state/link.js";

const TOLERANCE = 0.2; // CSS pixels
const HATCH = 8; // CSS pixels between lines

/** First and last index of what lies in a window, and one point more on either side. */
export function visible(x, [low, high]) {
  return [Math.max(rank(x, low) - 1, 0), Math.min(rank(x, high), x.length - 1)];
}

function clipped(u, draw) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw(ctx);
  ctx.restore();
}

/** The points as one path: smoother than uPlot's own, which keeps the extremes of each pixel. */
export function curve(u, index, first, last) {
  const [x, y] = [u.data[0], u.data[index]];
  const stroke = new Path2D();
  trace(stroke, u, x, y, Math.max(first - 1, 0), Math.min(last + 1, x.length - 1));
  return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 1 };
}

/**
 * Draw through the points, leaving out those nearer than TOLERANCE to the line that is drawn without them.
 *
 * A point is kept where no straight line from the last kept one passes all since then: most points of a cool
 * star's spectrum, a sixth of a hot one's.
 */
function trace(path, u, x, y, first, last) {
  const [toX, toY] = positions(u);
  const tolerance = TOLERANCE * uPlot.pxRatio;
  let pen = false;
  let [fromX, fromY, lastX, lastY, least, most] = [0, 0, 0, 0, -Infinity, Infinity];
  for (let i = first; i <= last; i++) {
    const value = y[i];
    if (value === null || Number.isNaN(value)) {
      if (pen) path.lineTo(lastX, lastY);
      pen = false;
      continue;
    }
    const [nextX, nextY] = [toX(x[i]), toY(value)];
    if (!pen) path.moveTo(nextX, nextY);
    const slope = (nextY - fromY) / (nextX - fromX);
    if (pen && slope >= least && slope <= most) {
      const room = tolerance / (nextX - fromX);
      least = Math.max(least, slope - room);
      most = Math.min(most, slope + room);
    } else {
      if (pen) path.lineTo(lastX, lastY);
      [fromX, fromY] = pen ? [lastX, lastY] : [nextX, nextY];
      const width = nextX - fromX;
      [least, most] = pen ? [(nextY - fromY - tolerance) / width, (nextY - fromY + tolerance) / width] : [-Infinity, Infinity];
      pen = true;
    }
    [lastX, lastY] = [nextX, nextY];
  }
  if (pen) path.lineTo(lastX, lastY);
}

/** A band of half-width `size` around `middle`. */
export function band(u, x, middle, size, fillStyle) {
  if (!size) return;
  const [first, last] = visible(x, [u.scales.x.min, u.scales.x.max]);
  const [toX, toY] = positions(u);
  clipped(u, (ctx) => {
    ctx.beginPath();
    for (let i = first; i <= last; i++) if (!Number.isNaN(middle[i])) ctx.lineTo(toX(x[i]), toY(middle[i] + size[i]));
    for (let i = last; i >= first; i--) if (!Number.isNaN(middle[i])) ctx.lineTo(toX(x[i]), toY(middle[i] - size[i]));
    ctx.fillStyle = fillStyle;
    ctx.fill();
  });
}

/** A shade between the extremes of columns of pixels with their middles at `x`, far sooner painted than a curve through all. */
export function shade(u, x, [least, most], fillStyle) {
  const [toX, toY] = positions(u);
  const width = Math.max(Math.round(toX(x[1]) - toX(x[0])), 1);
  clipped(u, (ctx) => {
    ctx.fillStyle = fillStyle;
    for (let i = 0; i < x.length; i++) {
      if (Number.isNaN(least[i])) continue;
      const [top, bottom] = [toY(most[i]), toY(least[i])];
      ctx.fillRect(Math.round(toX(x[i]) - width / 2), top, width, Math.max(bottom - top, 1));
    }
  });
}

export function polyline(u, x, y, strokeStyle, width = 1.2) {
  const [first, last] = visible(x, [u.scales.x.min, u.scales.x.max]);
  clipped(u, (ctx) => {
    ctx.beginPath();
    trace(ctx, u, x, y, first, last);
    ctx.strokeStyle = strokeStyle;
    ctx.lineWidth = width * uPlot.pxRatio;
    ctx.lineJoin = "round";
    ctx.stroke();
  });
}

/** Functions from values to canvas pixels: linear, so faster than u.valToPos for each point. */
function positions(u) {
  const { x, y } = u.scales;
  const { left, top, width, height } = u.bbox;
  const [perX, perY] = [width / (x.max - x.min), height / (y.max - y.min)];
  return [(value) => left + (value - x.min) * perX, (value) => top + (y.max - value) * perY];
}

export function caption(u, text, style) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.font = `${11 * uPlot.pxRatio}px system-ui, sans-serif`;
  ctx.fillStyle = style;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  const [left, top] = [bbox.left, bbox.top - 3 * uPlot.pxRatio];
  ctx.fillText(text, left, top, ctx.canvas.width - left); // squeezed where it is too long
  ctx.restore();
}

/** What is not loaded: hatched from `low` to `high` [A], with a word where there is room. */
export function veil(u, { low, high }, palette, text = "") {
  const { top, height } = u.bbox;
  const ratio = uPlot.pxRatio;
  const [toX] = positions(u);
  const [left, right] = [toX(Math.max(low, u.scales.x.min)), toX(Math.min(high, u.scales.x.max))];
  clipped(u, (ctx) => {
    ctx.beginPath();
    ctx.rect(left, top, right - left, height);
    ctx.clip();
    ctx.beginPath();
    const step = HATCH * ratio;
    for (let at = left - (left % step) - Math.ceil(height / step) * step; at < right; at += step) {
      ctx.moveTo(at, top + height);
      ctx.lineTo(at + height, top);
    }
    ctx.strokeStyle = palette.line;
    ctx.lineWidth = ratio;
    ctx.stroke();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    if (ctx.measureText(text).width + 8 * ratio > right - left) return;
    ctx.fillStyle = palette.muted;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(text, (left + right) / 2, top + height / 2);
  });
}

/** The pins' letters at the right ends of their curves, so that colour is not all that tells them apart. */
export function letters(u, x, pins, palette) {
  const { ctx, bbox } = u;
  const apart = 11 * uPlot.pxRatio;
  const [, last] = visible(x, [u.scales.x.min, u.scales.x.max]);
  const [, toY] = positions(u);
  const places = pins.map(({ slot, flux }) => {
    let at = last;
    while (at > 0 && (Number.isNaN(flux[at]) || x[at] > u.scales.x.max)) at--;
    return { slot, y: toY(flux[at]) };
  });
  places.sort((one, other) => one.y - other.y);
  places.forEach((place, i) => i && (place.y = Math.max(place.y, places[i - 1].y + apart)));
  ctx.save();
  ctx.font = `600 ${11 * uPlot.pxRatio}px system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const { slot, y } of places) {
    ctx.fillStyle = palette[`pin-${slot}`];
    ctx.fillText(LETTERS[slot], bbox.left + bbox.width + 5 * uPlot.pxRatio, y);
  }
  ctx.restore();
}
