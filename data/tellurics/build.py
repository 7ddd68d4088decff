"""``tellurics``: lines of water vapour in the Earth's atmosphere, 8388 to 8812 A, from the list of HITRAN."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from molecular_opacity.build import GRID, LIST_WEIGHT, Lines, read_lists
from partition.molecules import exomol
from sources import RVS, main, write_table

from starloom.constants import ANGSTROM, ATOMIC_MASS, BOLTZMANN_EV, LINE_CROSS_SECTION, SPEED_OF_LIGHT
from starloom.wavelength import LogGrid

TEMPERATURE = 280.0  # K, where most of the vapour is
COLUMN = 1.0 / (18.0153 * ATOMIC_MASS)  # molecules per cm2 in 1 cm of precipitable water (1 g per cm2)
RESOLUTION = 11500.0
SHALLOWEST = 0.002  # of the continuum at RESOLUTION
GAUSSIAN = np.sqrt(
    np.pi / (4 * np.log(2))
)  # area of a Gaussian over its height and full width at half maximum


def equivalent_width(lines: Lines) -> np.ndarray:
    r"""Equivalent width [A] of unsaturated lines in COLUMN molecules at TEMPERATURE.

    .. math:: W_\lambda = N \lambda^2 \frac{\pi e^2}{m_e c^2} \frac{gf}{Q} e^{-E/kT}

    Gray (2005), chapter 13. Stimulated emission is 1e-26 of it.
    """
    known, log_q = exomol("H2O")
    partition = LIST_WEIGHT["H2O"] * np.exp(np.interp(TEMPERATURE, known, log_q))
    population = np.exp(-lines.energy / (BOLTZMANN_EV * TEMPERATURE)) / partition
    area = LINE_CROSS_SECTION / SPEED_OF_LIGHT * 10**lines.log_gf * population  # cm per molecule
    return COLUMN * area / lines.wavenumber**2 / ANGSTROM


def vapour(grid: LogGrid = GRID) -> dict[str, np.ndarray]:
    """The lines within a grid; none blueward of 7690 A, where the list begins."""
    none = Lines(*np.zeros((3, 0)))
    lines = read_lists("H2O", 0.0, grid).get("10108.0", none)
    lines = lines[np.argsort(lines.wavenumber)[::-1]]
    width, vacuum = equivalent_width(lines), 1e8 / lines.wavenumber
    deep = width * RESOLUTION / (GAUSSIAN * vacuum) > SHALLOWEST
    return {
        "vacuum_wavelength_aa": np.round(vacuum[deep], 4),
        "equivalent_width_aa": np.round(width[deep], 6),
    }


def build(folder: Path) -> None:
    """Write ``tellurics.npz`` into ``folder``."""
    write_table("tellurics", vapour(), folder)


if __name__ == "__main__":
    main(build, RVS)
