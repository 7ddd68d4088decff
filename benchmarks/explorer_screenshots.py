"""The pictures of docs/explorer.md, taken of the page in Chromium.

python benchmarks/explorer_screenshots.py docs/figures
"""

import argparse
import shutil
import threading
from pathlib import Path

from bench_explorer import FLAGS
from playwright.sync_api import sync_playwright

from starloom.explorer.server import Server
from starloom.explorer.site import site

FIGURE_1 = "teff=9950&logg=3.5&vsini=2&mh=0.5&vmic=1.3&resolution=11500"
GIANT = "pinA=4290,2,2,-0.5,1.7,11500,0"
PINS = f"{GIANT}&pinB=9600,4,22,-0.5,2,11500,0&pinC=12000,4,150,0,2,11500,0&pinD=7000,4,50,0,2,11500,0"
WIDE = {"viewport": {"width": 1440, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
# name: the page's state, the browser, a wavelength [A] that the cursor points at
PICTURES = {
    "explorer_wide": (f"#teff=5777&{GIANT}&view=8480,8570", WIDE, 8542.09),
    "explorer_dark": (
        f"#{FIGURE_1}&{PINS}",
        {"viewport": {"width": 1180, "height": 740}, "color_scheme": "dark"},
        None,
    ),
    "explorer_phone": ("#teff=5777", PHONE, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with Server(site()) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (state, options, cursor) in PICTURES.items():
            page = browser.new_page(**options)
            page.goto(server.address + state)
            page.wait_for_selector("[data-ready]", state="attached")
            if cursor:
                page.evaluate("wavelength => explorer.plots.pointAt(wavelength)", cursor)
            page.wait_for_timeout(500)
            page.screenshot(path=folder / f"{name}.png")
            page.close()
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
