"""Six windows from 4300 to 7800 A against SYNSPEC, Turbospectrum and PySME, on their structures and lines.

``python benchmarks/optical_windows.py [--band optical]``; needs the folder ``shared`` beside the repository
and the distribution ``starloom-optical``. Normalised flux, atoms alone; mean and largest absolute difference
at R = 11 500, the place of the largest, and the ratio of continua. Rare earths, Y and Zr are masked.
"""

import argparse

import jax.numpy as jnp
import numpy as np
import pandas as pd
import references

from starloom import bands, tables
from starloom.atmosphere import read_atlas9
from starloom.bands import Band
from starloom.broadening import broaden
from starloom.constants import ANGSTROM, SPEED_OF_LIGHT_KMS
from starloom.physics.linelist import UNSOLD_EXPONENT, LineList
from starloom.physics.molecules import BLOCKS, MolecularTable
from starloom.synthesis import photosphere
from starloom.synthesis.band import band_arrays
from starloom.synthesis.view import View
from starloom.wavelength import LogGrid, vacuum_from_air

FOLDER = references.SHARED / "reference" / "wide"
WINDOWS = {"W1": (4300, 4380), "W2": (4820, 4900), "W3": (5150, 5220), "W4": (5860, 5910), "W5": (6520, 6610)}
WINDOWS |= {"W6": (7750, 7800)}
EDGE_AA = 1.0  # of a window, left out
CODES = ("synspec", "turbospectrum", "pysme")
MASKED = (39, 40, *range(57, 72), 90)  # atomic numbers
MASKED_STRENGTH, MASKED_AA = 0.02, 0.25
RESOLUTION = 11500.0


def main() -> None:
    """Print one row for each window and star."""
    if not references.present():
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--band", default="optical")
    band = bands.load(parser.parse_args().band)
    heads = "".join(f"{code:>30}" for code in CODES)
    print(f"{'':6}{heads}\n{'':6}" + f"{'mean':>8}{'largest':>9}{'at':>7}{'cont':>6}" * len(CODES))
    for window, ends in WINDOWS.items():
        for star in references.WIDE:
            print(f"{window} {star} " + compared(band, window, ends, star), flush=True)


def compared(band: Band, window: str, ends: tuple[float, float], star: str) -> str:
    """The numbers of one window and star, for each code."""
    cells = []
    own = None
    for code in CODES:
        (path,) = (FOLDER / code).glob(f"{star}_*_{window}.npz")
        with np.load(path) as data:
            if own is None:
                own = synthesised(band.within(window, *ends), window, data)
            cells.append(_difference(own, data, ends))
    return "".join(cells)


def synthesised(band: Band, window: str, data):
    """Air wavelengths, normalised flux at ``RESOLUTION``, continuum, and what is not masked, of our own."""
    atmosphere = read_atlas9(FOLDER / str(data["structure"]))
    lines = listed(window)
    labels = {"mh": float(data["mh"]), "alpha": float(data["alpha_m"]), "vmic": float(data["vmic"])}
    star = photosphere(atmosphere, band=band, lines=lines, molecules=no_molecules(band), **labels)
    made = star.spectrum()
    seen = View(resolution=RESOLUTION).observe(made)
    strong = np.isin(np.asarray(lines.element) + 1, MASKED) & (star.line_strengths > MASKED_STRENGTH)
    good = np.ones(seen.flux.shape, bool)
    for place in np.asarray(lines.wavelength)[strong] / ANGSTROM:
        good &= np.abs(made.wavelength_aa - place) > MASKED_AA
    return seen.wavelength, seen.flux, np.asarray(made.continuum, float), good


def _difference(own, data, ends: tuple[float, float]) -> str:
    wavelength, flux, continuum, good = own
    inside = good & (wavelength > ends[0] + EDGE_AA) & (wavelength < ends[1] - EDGE_AA)
    off = np.abs(flux - seen_elsewhere(data["wave_air_A"], data["flux_norm"], wavelength))[inside]
    ratio = np.median((continuum / np.interp(wavelength, data["wave_air_A"], data["continuum"]))[inside])
    return f"{off.mean():8.4f}{off.max():9.4f}{wavelength[inside][off.argmax()]:7.0f}{ratio:6.3f}"


def seen_elsewhere(air: np.ndarray, flux: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Another code's spectrum at ``RESOLUTION``."""
    step = 0.3
    vacuum = vacuum_from_air(air)
    count = int(np.log(vacuum[-1] / vacuum[0]) * SPEED_OF_LIGHT_KMS / step)
    grid = LogGrid(float(vacuum[0]), count, step)
    fine = broaden(np.interp(grid.wavelength_aa, vacuum, flux), step, resolution=RESOLUTION)
    return np.interp(vacuum_from_air(onto), grid.wavelength_aa, fine)


def listed(window: str) -> LineList:
    """The lines of a window, every width given."""
    table = pd.read_parquet(FOLDER / "lines" / f"lines_{window}.parquet").sort_values("wavelength_air_A")
    abo = (table["vdw_type"] == "ABO").to_numpy()
    return LineList(
        wavelength=vacuum_from_air(table["wavelength_air_A"].to_numpy()) * ANGSTROM,
        element=table["Z"].to_numpy().astype(int) - 1,
        charge=table["ion"].to_numpy().astype(int) - 1,
        log_gf=table["log_gf"].to_numpy(),
        energy_low=table["E_low_eV"].to_numpy(),
        gamma_radiative=table["gamma_rad"].to_numpy(),
        log_gamma_stark=table["gamma_stark"].to_numpy(),
        log_gamma_waals=table["log_gamma6_1e4K"].to_numpy(),
        waals_exponent=np.where(abo, (1 - table["abo_alpha"].to_numpy()) / 2, UNSOLD_EXPONENT),
    )


def no_molecules(band: Band) -> MolecularTable:
    """Cross-sections of nothing on the long grid of a band's tables."""
    one = band_arrays(band).chunks[0].molecules
    index = tables.load(BLOCKS, band.tables)
    grid = LogGrid(float(index["first_vacuum_aa"]), int(index["edge"][-1]), float(index["step_kms"]))
    shape = (len(one.cross_section), 1, len(one.theta), grid.points)
    return MolecularTable(("CN",), one.theta, one.spline, jnp.zeros(shape, jnp.float16), grid)


if __name__ == "__main__":
    main()
