"""``starloom demo``: what exists so far, shown in a minute."""

from pathlib import Path
from typing import Annotated

import typer

from starloom.cli import domain, synthesis

SUN = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0}


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the files; made if needed.")] = Path("demo"),
):
    """Synthesise the Sun, as a FITS file, a figure and a list of lines, and print the labels' domain."""
    from starloom import Spectrum

    folder.mkdir(parents=True, exist_ok=True)
    print("The Sun as the Gaia RVS sees it, by radiative transfer:")
    path = folder / "sun.fits"
    synthesis.synthesize(
        **SUN,
        vsini=2.0,
        resolution=11500.0,
        grid=synthesis.Grid.PAPER,
        output=path,
        plot=folder / "sun.png",
        line_report="8540:8550",
        overwrite=True,
    )
    found = Spectrum.read(path)
    place, flux = found.wavelength[found.flux.argmin()], found.flux.min()
    print(f"read {path}: deepest at {place:.1f} A, {flux:.3f} of the continuum\n")
    domain.labels()
