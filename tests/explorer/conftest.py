"""A real browser for the page, and node for its readers; what needs one skips where it is not installed."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from starloom.explorer.server import Server
from starloom.explorer.site import site

FLAGS = ["--disable-gpu", "--disable-quic"]  # Playwright has those that keep Chromium from calling home
RESET = """() => {
  document.getElementById("help").close();
  document.activeElement?.blur();
  document.getElementById("normalise").checked = true;
  document.getElementById("lines").open = false;
  explorer.observe(null);
  explorer.open("");
}"""
READ = """
import { readFileSync } from "node:fs";
import { readSpectrum } from "./page/observed/spectrum.js";
const found = {};
const range = JSON.parse(process.argv[2]);
for (const path of process.argv.slice(3)) {
  const file = { name: path, arrayBuffer: async () => new Uint8Array(readFileSync(path)).buffer };
  try {
    const { given, flux, error, medium, assumed, notes } = await readSpectrum(file, range);
    const plain = (values) => values && Array.from(values, (v) => (Number.isNaN(v) ? null : v));
    const arrays = { wavelength: plain(given), flux: plain(flux), error: plain(error) };
    found[path] = { ...arrays, medium, assumed, notes };
  } catch (fault) {
    found[path] = { fault: fault.message };
  }
}
console.log(JSON.stringify(found));
"""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Function that gives what the page reads of files, by path."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node is installed")
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(files("starloom.explorer") / "page", folder / "page")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "read.js").write_text(READ)

    def found(*paths: Path, range_aa: tuple[float, float] = (8392, 8812)) -> dict:
        words = [node, str(folder / "read.js"), json.dumps(range_aa), *map(str, paths)]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    return found


@contextmanager
def serving(content: dict[str, bytes]) -> Iterator[str]:
    """The address of a site while it is served."""
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    """The files of the page with the packaged model of the paper's labels."""
    return site("default-2026-lte")


@pytest.fixture(scope="module")
def serve():
    """Context manager that serves a site and gives its address."""
    return serving


@pytest.fixture(scope="module")
def address(content) -> Iterator[str]:
    with serving(content) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; a module's own, so that no event loop stays behind."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=FLAGS, headless=True)
        yield started
        started.close()


@pytest.fixture(scope="module")
def opened(browser) -> Iterator[Callable]:
    """Function that opens the page in a context of its own: the page, and its console's complaints."""
    contexts = []

    def open_page(address: str, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page, complaints = context.new_page(), []
        page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_selector("[data-ready]", state="attached")
        page.wait_for_function("!globalThis.explorer || explorer.scene.waiting.length === 0")
        return page, complaints

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def visit(opened, address) -> Iterator[Callable]:
    """Function that opens the page anew; fails for complaints in the console."""
    made = []

    def visited(link: str = "", at: str = address, complains: bool = False, **options):
        page, complaints = opened(at + link, **options)
        if not complains:
            made.append(complaints)
        return page

    yield visited
    assert [complaints for complaints in made if complaints] == []


@pytest.fixture(scope="module")
def kept(opened, address):
    return opened(address)


@pytest.fixture
def page(kept):
    """The page as it opens, kept from test to test; fails for complaints in the console."""
    page, complaints = kept
    page.evaluate(RESET)
    yield page
    assert complaints == []
