"""Wavelength grids, and the refractive index of air between air and vacuum wavelengths."""

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS

AIR_RANGE_AA = (2300.0, 16900.0)  # where Ciddor (1996) gives the refractive index of air


def refractive_index(vacuum_aa):
    r"""Refractive index of standard air at the vacuum wavelength ``vacuum_aa`` [Angstrom], any shape.

    .. math:: 10^8 (n - 1) = \frac{5792105}{238.0185 - \sigma^2} + \frac{167917}{57.362 - \sigma^2}

    with :math:`\sigma = 1/\lambda_{vac}` in 1/micrometre; dry air at 15 C, 101325 Pa and 450 ppm CO2. Ciddor
    (1996), Applied Optics 35, 1566, eq. 1. Valid in AIR_RANGE_AA. Its standard error is 2e-8 to 5e-8 (15
    m/s); Birch & Downs (1994), as given by Morton (2000), differs by 3e-9 (1 m/s) in 8390-8810 A.
    """
    squared = (1e4 / vacuum_aa) ** 2
    return 1 + 1e-8 * (5792105 / (238.0185 - squared) + 167917 / (57.362 - squared))


def air_from_vacuum(vacuum_aa):
    """Wavelength in standard air [Angstrom] of a vacuum wavelength [Angstrom]; see ``refractive_index``."""
    return vacuum_aa / refractive_index(vacuum_aa)


def vacuum_from_air(air_aa):
    """Vacuum wavelength [Angstrom] of an air wavelength [Angstrom]: the inverse of ``air_from_vacuum``.

    Fixed-point iteration; each step reduces the error at least 2e4-fold above 2300 A, from 3e-4, so three
    reach the rounding of float64.
    """
    vacuum_aa = air_aa
    for _ in range(3):
        vacuum_aa = air_aa * refractive_index(vacuum_aa)
    return vacuum_aa


def log_grid(low_aa: float, high_aa: float, points: int) -> np.ndarray:
    """Wavelengths [Angstrom] uniform in their logarithm, so in velocity, both ends included."""
    return np.geomspace(low_aa, high_aa, points)


def velocity_step(grid_aa) -> float:
    """Mean step [km/s] of a log-uniform grid [Angstrom]: c times its step in ln(wavelength)."""
    return SPEED_OF_LIGHT_KMS * float(np.log(grid_aa[-1] / grid_aa[0])) / (len(grid_aa) - 1)


def _fixed(grid: np.ndarray) -> np.ndarray:
    grid.flags.writeable = False
    return grid


PAPER_GRID_AA = _fixed(8400.0 + 0.1 * np.arange(4000))  # air; Gebran (2024), section 2.1
SYNTHESIS_GRID_AA = _fixed(
    log_grid(vacuum_from_air(8388.0), vacuum_from_air(8812.0), 21870)
)  # vacuum, 0.676 km/s
