// Zooming and moving along the wavelengths with a pointer, fingers, a wheel or keys.

const CLICK = 4; // CSS pixels that a drag must exceed

/** Window after zooming by a factor about a place, or after moving by a share of its width. */
export const zoomed = ([low, high], factor, about = (low + high) / 2) => [about + (low - about) * factor, about + (high - about) * factor];
export const shifted = ([low, high], share) => [low + share * (high - low), high + share * (high - low)];

/**
 * Watch a panel: `view.get()` gives the window, `view.set(window | null)` changes it (null: all).
 *
 * A drag selects what to zoom to; with shift, the middle button or a finger it moves; two fingers pinch.
 */
export function watch(u, view) {
  const over = u.over;
  const pointers = new Map();
  let begin = null;

  const place = (event) => event.clientX - over.getBoundingClientRect().left;
  const value = (pixels, [low, high] = view.get()) => low + (pixels / over.clientWidth) * (high - low);
  const spread = () => {
    const [one, other] = [...pointers.values()];
    return { middle: (one + other) / 2, width: Math.max(Math.abs(one - other), 20) };
  };

  over.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    pointers.set(event.pointerId, place(event));
    over.setPointerCapture(event.pointerId);
    const moves = event.pointerType === "touch" || event.shiftKey || event.button === 1;
    begin = { at: place(event), window: view.get(), moves };
    if (pointers.size === 2) begin = { ...spread(), window: view.get() };
    if (moves) event.preventDefault();
  });

  over.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 2) {
      const { middle, width } = spread();
      const about = value(begin.middle, begin.window);
      const window = zoomed(begin.window, begin.width / width, about);
      view.set(shifted(window, -(middle - begin.middle) / over.clientWidth));
    } else if (begin?.moves) {
      over.classList.add("panning");
      view.set(shifted(begin.window, -(place(event) - begin.at) / over.clientWidth));
    } else if (begin) {
      const [left, right] = [begin.at, place(event)].sort((one, other) => one - other);
      const width = right - left > CLICK ? right - left : 0;
      u.setSelect({ left, width, top: 0, height: over.clientHeight }, false);
    }
  });

  const end = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    over.classList.remove("panning");
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    const [left, right] = [begin?.at ?? 0, place(event)].sort((one, other) => one - other);
    if (event.type === "pointerup" && begin && !begin.moves && begin.at !== undefined && right - left > CLICK) {
      view.set([value(Math.max(left, 0)), value(Math.min(right, over.clientWidth))]);
    }
    begin = null;
  };
  over.addEventListener("pointerup", end);
  over.addEventListener("pointercancel", end);
  over.addEventListener("dblclick", () => view.set(null));
  over.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const along = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (along || event.shiftKey) view.set(shifted(view.get(), (event.deltaX || event.deltaY) / 1500));
      else view.set(zoomed(view.get(), Math.exp(event.deltaY / 500), value(place(event))));
    },
    { passive: false },
  );
}

/** Keys of the panel in focus; true where the key was one of them. */
export function pressed(key, view) {
  const act = {
    ArrowLeft: () => view.set(shifted(view.get(), -0.1)),
    ArrowRight: () => view.set(shifted(view.get(), 0.1)),
    "+": () => view.set(zoomed(view.get(), 0.6)),
    "=": () => view.set(zoomed(view.get(), 0.6)),
    "-": () => view.set(zoomed(view.get(), 1 / 0.6)),
    0: () => view.set(null),
  }[key];
  act?.();
  return Boolean(act);
}
