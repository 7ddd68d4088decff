"""``starloom explore``: the page that draws spectra in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from starloom.cli.generation import Correction, ModelName


def explore(
    export: Annotated[
        Path | None, typer.Option(help="Write the page as static files into this folder instead.")
    ] = None,
    model: ModelName = "default",
    correction: Correction = None,
    port: Annotated[int, typer.Option(help="Port on this machine; 0: a free one.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Draw spectra in the browser: a page on this machine, or static files for any web server."""
    from starloom.explorer.server import Server
    from starloom.explorer.site import export as write
    from starloom.explorer.site import site

    if export is not None:
        size = write(export, model, overwrite, correction)
        print(f"wrote {size / 1e6:.1f} MB to {export}; any web server shows it, e.g.")
        print(f"  python -m http.server --bind 127.0.0.1 --directory {export}")
        return
    with Server(site(model, correction), port) as server:
        print(f"the explorer is at {server.address} (Ctrl+C ends it)", flush=True)
        if browser:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
