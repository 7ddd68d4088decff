"""``starloom demo``: what exists so far, shown in a minute."""

from pathlib import Path
from typing import Annotated

import typer

from starloom.cli import domain


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the files; made if needed.")] = Path("demo"),
):
    """Print the labels' domain, write a black body as FITS, read it back, and draw both."""
    from starloom import Spectrum

    domain.labels()
    folder.mkdir(parents=True, exist_ok=True)
    spectrum = black_body(9950.0)
    path = folder / "black_body.fits"
    spectrum.write(path, overwrite=True)
    found = Spectrum.read(path)
    same = found.flux.tobytes() == spectrum.flux.tobytes()
    print(
        f"\nwrote {path}: a black body of 9950 K, {found}; read back {'the same bits' if same else 'CHANGED'}"
    )
    draw(found, folder / "demo.png")
    print(f"drew  {folder / 'demo.png'}: the domain and the black body")
    print("There is no model of a star's lines in this demonstration yet.")


def black_body(teff: float):
    """Surface flux [erg s-1 cm-2 A-1] of a black body of ``teff`` [K] on the paper's grid: pi B."""
    import numpy as np
    from astropy import units
    from astropy.modeling.models import BlackBody

    from starloom import Spectrum
    from starloom.wavelength import PAPER_GRID_AA, vacuum_from_air

    unit = units.Unit("erg / (s cm2 Angstrom)")
    planck = BlackBody(teff * units.K, scale=1 * unit / units.sr)
    flux = np.pi * planck(vacuum_from_air(PAPER_GRID_AA) * units.AA).value
    made_by = {"formula": "black body, Planck (1901)"}
    return Spectrum(
        PAPER_GRID_AA, flux, medium="air", flux_unit=unit, labels={"teff": teff}, provenance=made_by
    )


def draw(spectrum, path: Path) -> None:
    """Draw the lowest log g over Teff and [M/H], and a spectrum."""
    import numpy as np

    from starloom.figures import pyplot
    from starloom.labels import DOMAIN, lowest_logg

    figure, (upper, lower) = pyplot().subplots(2, figsize=(9, 7), layout="constrained")
    teff = np.linspace(DOMAIN.low[0], DOMAIN.high[0], 400)
    mh = np.linspace(DOMAIN.low[3], DOMAIN.high[3], 200)
    image = upper.pcolormesh(teff, mh, lowest_logg(*np.meshgrid(teff, mh)), cmap="cividis")
    figure.colorbar(image, ax=upper, label="lowest log g [dex]")
    upper.set(xlabel="Teff [K]", ylabel="[M/H] [dex]", title="Where model atmospheres begin")
    spectrum.plot(lower)
    lower.set_title("Black body, " + lower.get_title(), fontsize="medium")
    figure.savefig(path, dpi=150)
    pyplot().close(figure)
