"""The site in Chromium: bytes of the landing page, time to its explorer, complaints, screenshots.

Pages are looked at in a wide and a phone's window, light and dark; what the console complains of, what is
asked of another server and what is wider than the window is told for each.

    make docs; python benchmarks/bench_site.py build/site [--pictures DIR]
"""

import argparse
import functools
import http.server
import shutil
import threading
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ["--disable-gpu", "--disable-quic"]
PAGES = (
    "docs/index.html",
    "docs/tutorials/first_spectrum.html",
    "docs/tutorials/gaia_star.html",
    "docs/tutorials/survey.html",
    "docs/tutorials/optical.html",
    "docs/trust.html",
    "docs/reference/starloom.html",
    "docs/reference/commands.html",
    "docs/physics.html",
    "docs/fitting.html",
    "search.html?q=resolution",
)
WINDOWS = {"wide": (1440, 900), "phone": (390, 844)}
READY = "() => document.querySelector('iframe')?.contentDocument?.documentElement?.dataset?.ready"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files, without a line for each."""

    def log_message(self, *_: object) -> None:
        pass


def opened(browser: Browser, address: str, window: str, scheme: str) -> tuple[Page, list[str]]:
    """A page, and the list to which its complaints are added."""
    width, height = WINDOWS[window]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    told: list[str] = []
    page.on("console", lambda line: told.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on(
        "request",
        lambda one: None if one.url.startswith((address, "data:", "blob:")) else told.append(one.url),
    )
    page.on("response", lambda one: told.append(f"{one.status} {one.url}") if one.status >= 400 else None)
    return page, told


def landing(browser: Browser, address: str, window: str, scheme: str, pictures: Path | None) -> None:
    """Bytes before the explorer is opened, and the time from the click until it is ready."""
    page, told = opened(browser, address, window, scheme)
    sizes: list[int] = []
    page.on("response", lambda one: sizes.append(len(one.body())))
    page.goto(f"{address}/docs/index.html", wait_until="networkidle")
    before, files = sum(sizes), len(sizes)
    page.evaluate(
        "() => { performance.mark('asked'); document.querySelector('button[data-explorer]').click(); }"
    )
    page.wait_for_function(READY)
    took = page.evaluate("() => performance.now() - performance.getEntriesByName('asked')[0].startTime")
    page.wait_for_timeout(300)
    print(
        f"landing {window:5} {scheme:5} {before / 1e6:.2f} MB in {files} files before the explorer; "
        f"ready {took:.0f} ms after the click; {'; '.join(told) or 'no complaints'}"
    )
    if pictures:
        page.locator(".explorer").scroll_into_view_if_needed()
        page.screenshot(path=pictures / f"explorer-{window}-{scheme}.png")
    page.close()


def look(browser: Browser, address: str, path: str, window: str, scheme: str, pictures: Path | None) -> None:
    """One page: its complaints, and whether it is wider than the window."""
    page, told = opened(browser, address, window, scheme)
    page.goto(f"{address}/{path}", wait_until="networkidle")
    over = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    wide = f"{over} px wider than the window; " if over > 0 else ""
    print(f"{path:40} {window:5} {scheme:5} {wide}{'; '.join(told) or 'no complaints'}")
    if pictures:
        name = path.partition("?")[0].removesuffix(".html").replace("/", "-")
        page.screenshot(path=pictures / f"{name}-{window}-{scheme}.png")
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(Quiet, directory=options.site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for window in WINDOWS:
            for scheme in ("light", "dark"):
                landing(browser, address, window, scheme, options.pictures)
                for path in PAGES:
                    look(browser, address, path, window, scheme, options.pictures)
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
