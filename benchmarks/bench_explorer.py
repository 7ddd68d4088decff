"""The explorer's page in Chromium: how soon it is ready and a moved slider is drawn, how much is loaded.

``drawn``: from the slider's event to the end of the drawing of both panels; ``frame``: until the second frame
after it begins, when it is on the screen (33 ms at least, at 60 frames a second). ``page`` is the processor
time of the page's own thread for one update, ``all`` that of all of Chromium: on a busy machine they say more
than the others. Of a model of several chunks the page is ready with the first one, and sliders are moved in a
view of one chunk and in that of all.

    python benchmarks/bench_explorer.py [--updates 200] [--model default] [--beside default]
"""

import argparse
import shutil
import statistics
import threading
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from starloom.explorer.server import Server
from starloom.explorer.site import site

FLAGS = ["--disable-gpu", "--disable-quic"]  # Playwright has those that keep Chromium from calling home

# moves a slider by an event as the browser makes it, and waits for the frame that shows the result
MOVES = """async ([name, updates]) => {
  const slider = document.getElementById(`${name}-slider`);
  const { low, high } = explorer.sliders.find((each) => each.name === name);
  const shown = [];
  explorer.timings.length = 0;
  for (let i = 0; i < updates; i++) {
    slider.valueAsNumber = low + (0.1 + 0.8 * (i / updates)) * (high - low);
    const start = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    // the frame after the one that draws begins when that is on the screen
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    shown.push(performance.now() - start);
  }
  return { drawn: explorer.timings.slice(), shown };
}"""
FLUX = """(updates) => {
  const { emulator, state } = explorer, out = new Float64Array(emulator.sampler.count);
  return Array.from({ length: updates }, (_, i) => {
    const start = performance.now();
    emulator.flux({ ...state.labels, teff: 4000 + 10 * i }, 0, emulator.sampler, out);
    return performance.now() - start;
  });
}"""
DRAW = """(updates) => Array.from({ length: updates }, (_, i) => {
  explorer.state.labels = { ...explorer.state.labels, teff: 4000 + 10 * i };
  const start = performance.now();
  explorer.draw();
  return performance.now() - start;
})"""
# bytes of what had come when the first spectrum was drawn, and the time until nothing in view was missing
FIRST = """async () => {
  const { startTime } = performance.getEntriesByName("ready")[0];
  const files = performance.getEntriesByType("resource").filter((file) => file.responseEnd <= startTime);
  while (explorer.scene.waiting.length) await new Promise((done) => setTimeout(done, 5));
  const page = performance.getEntriesByType("navigation")[0].encodedBodySize;
  return [startTime, performance.now(), files.reduce((sum, { encodedBodySize: size }) => sum + size, page)];
}"""
PINS = "".join(
    f"&pin{letter}={star},11500,0"
    for letter, star in zip(
        "ABCD",
        ["9600,4,22,-0.5,2", "12000,4,150,0,2", "7500,4,20,0,2", "4290,2,2,-0.5,1.7"],
        strict=True,
    )
)
VIEWS = ("", PINS)
VIEWS_IN_PARTS = ("&view=5400,5600", f"&view=5400,5600{PINS}", "", PINS)


def processor_ms() -> tuple[float, float]:
    """Processor time [ms] of the pages' own threads and of all of Chromium, from Linux' process table."""
    own = everything = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            threads = {path.parent.name: path.read_text() for path in process.glob("task/*/schedstat")}
        except OSError:  # it has ended meanwhile
            continue
        if b"chromium" in command.split(b"\0")[0]:
            times = {thread: int(text.split()[0]) / 1e6 for thread, text in threads.items()}
            everything += sum(times.values())
            own += times.get(process.name, 0.0) if b"--type=renderer" in command else 0.0
    return own, everything


def line(name: str, times: list[float], spent: tuple[float, ...] = ()) -> None:
    ordered = sorted(times)
    extra = "".join(f"{each / len(times):10.1f}" for each in spent)
    print(f"{name:40}{statistics.median(times):10.1f}{ordered[int(0.95 * len(times))]:10.1f}{extra}")


def started(page: Page, addresses: dict[str, str], times: int = 10) -> None:
    """Tell how soon pages, started in turn, are ready and complete, and how much is loaded when they are."""
    found: dict[str, list] = {name: [] for name in addresses}
    for _ in range(times):
        for name, address in addresses.items():
            page.goto("about:blank")
            page.goto(address)
            page.wait_for_selector("[data-ready]", state="attached")
            found[name].append(page.evaluate(FIRST))
    for name, rows in found.items():
        ready, complete, sizes = zip(*rows, strict=True)
        line(f"{name}: ready after navigation", list(ready))
        line(f"{name}: all in view there", list(complete))
        print(f"{name}: loaded for the first spectrum {statistics.median(sizes) / 1e6:.2f} MB")


def title(view: str) -> str:
    return (", zoom" if "view" in view else "") + (", four pins" if "pin" in view else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200, help="moves of each slider")
    parser.add_argument("--model", default="default", help="name of a packaged model, or a weights file")
    parser.add_argument("--beside", help="another model, whose page is started in turn with it")
    options = parser.parse_args()
    content = site(options.model)
    print(f"transferred: {sum(map(len, content.values())) / 1e6:.2f} MB in {len(content)} files")
    beside = site(options.beside) if options.beside else {}
    with Server(content) as server, Server(beside) as other, sync_playwright() as playwright:
        for each in (server, other):
            threading.Thread(target=each.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 860})
        print(f"{'ms':40}{'median':>10}{'P95':>10}{'page':>10}{'all':>10}")
        pages = {Path(options.model).stem: server.address}
        started(page, pages | ({options.beside: other.address} if options.beside else {}))
        in_parts = any(name.startswith("chunk-") for name in content)
        for view in VIEWS_IN_PARTS if in_parts else VIEWS:
            page.goto("about:blank")
            page.goto(f"{server.address}#teff=5777{view}")
            page.wait_for_selector("[data-ready]", state="attached")
            page.wait_for_function("explorer.scene.waiting.length === 0")
            for name in ("teff", "vsini", "rv"):
                page.evaluate(MOVES, [name, 20])  # the browser compiles what runs often
                before = processor_ms()
                found = page.evaluate(MOVES, [name, options.updates])
                spent = tuple(after - start for after, start in zip(processor_ms(), before, strict=True))
                line(f"{name}{title(view)}: slider to drawn", found["drawn"], spent)
                line(f"{name}{title(view)}: slider to frame", found["shown"])
        line("flux of one spectrum", page.evaluate(FLUX, options.updates))
        line("drawing with four pins", page.evaluate(DRAW, options.updates))
        browser.close()
        server.shutdown()
        other.shutdown()


if __name__ == "__main__":
    main()
