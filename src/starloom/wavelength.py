"""Wavelength grids, and the refractive index of air between air and vacuum wavelengths."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError

AIR_RANGE_AA = (2300.0, 16900.0)  # where Ciddor (1996) gives the refractive index of air
MEDIA = ("air", "vacuum")
SPACINGS = ("linear", "logarithmic")


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


def _fixed(grid: np.ndarray) -> np.ndarray:
    grid.flags.writeable = False
    return grid


def to_vacuum(wavelength_aa, medium: str):
    """Vacuum wavelength [Angstrom] of a wavelength in ``medium``, one of MEDIA."""
    return vacuum_from_air(wavelength_aa) if medium == "air" else wavelength_aa


def from_vacuum(vacuum_aa, medium: str):
    """Wavelength [Angstrom] in ``medium``, one of MEDIA, of a vacuum wavelength."""
    return air_from_vacuum(vacuum_aa) if medium == "air" else vacuum_aa


@dataclass(frozen=True)
class LogGrid:
    """Vacuum wavelengths uniform in their logarithm, so in velocity: ``points`` from ``first_aa`` [A] on.

    .. math:: \\lambda_i = \\lambda_0 \\exp(i \\Delta / c), \\qquad \\Delta = \\mathrm{step\\_kms}
    """

    first_aa: float
    points: int
    step_kms: float

    def __post_init__(self):
        if not (self.first_aa > 0 and self.points >= 2 and self.step_kms > 0):
            raise ConfigError(f"{self}: no grid of at least two rising wavelengths")

    @cached_property
    def wavelength_aa(self) -> np.ndarray:
        """The wavelengths [A] in vacuum: float64[points], read-only."""
        return _fixed(self.first_aa * np.exp(np.arange(self.points) * (self.step_kms / SPEED_OF_LIGHT_KMS)))

    @property
    def last_aa(self) -> float:
        """The last wavelength [A]."""
        return float(self.first_aa * np.exp((self.points - 1) * (self.step_kms / SPEED_OF_LIGHT_KMS)))

    def every(self, stride: int, start: int) -> "LogGrid":
        """The grid of every ``stride``-th point from the one of index ``start`` on."""
        first = float(self.first_aa * np.exp(start * (self.step_kms / SPEED_OF_LIGHT_KMS)))
        return LogGrid(first, len(range(start, self.points, stride)), self.step_kms * stride)

    def widened(self, points: int) -> "LogGrid":
        """The grid with so many ``points`` more at either end."""
        first = float(self.first_aa * np.exp(-points * (self.step_kms / SPEED_OF_LIGHT_KMS)))
        return LogGrid(first, self.points + 2 * points, self.step_kms)

    def part(self, first: int, points: int) -> "LogGrid":
        """The grid of ``points`` of its points from the one of index ``first`` on."""
        return LogGrid(float(self.wavelength_aa[first]), points, self.step_kms)


@dataclass(frozen=True)
class Points:
    """The points of a spectrum: ``count`` of them from ``first_aa`` to ``last_aa``, ends included.

    ``medium`` is one of MEDIA; ``spacing`` one of SPACINGS, uniform in wavelength or in its logarithm.
    """

    medium: str
    spacing: str
    first_aa: float
    last_aa: float
    count: int

    def __post_init__(self):
        if self.medium not in MEDIA or self.spacing not in SPACINGS:
            raise ConfigError(
                f"points in {self.medium!r}, {self.spacing!r}: {' or '.join(MEDIA)}, {' or '.join(SPACINGS)}"
            )
        if not (0 < self.first_aa < self.last_aa < np.inf and self.count >= 2 and self.count % 1 == 0):
            raise ConfigError(
                f"points from {self.first_aa} to {self.last_aa} A: {self.count} of them make no grid"
            )

    @classmethod
    def of(cls, wavelength_aa: np.ndarray, medium: str) -> "Points":
        """The description of a grid that is uniform in wavelength or in its logarithm to 1e-6 of a step.

        ConfigError where they are evenly spaced neither in wavelength nor in its logarithm.
        """
        for spacing, function in zip(SPACINGS, (np.asarray, np.log), strict=True):
            steps = np.diff(function(wavelength_aa))
            if np.ptp(steps) < 1e-6 * np.abs(steps).mean():
                ends = float(wavelength_aa[0]), float(wavelength_aa[-1])
                return cls(medium, spacing, *ends, len(wavelength_aa))
        raise ConfigError("wavelengths are uniform neither in wavelength nor in its logarithm")

    @cached_property
    def wavelength_aa(self) -> np.ndarray:
        """The wavelengths [Angstrom] in ``medium``, read-only."""
        if self.spacing == "logarithmic":
            return _fixed(np.geomspace(self.first_aa, self.last_aa, self.count))
        # to 12 digits, so that a step of 0.1 is one whatever the rounding of the ends' difference
        step = float(f"{(self.last_aa - self.first_aa) / (self.count - 1):.12g}")
        return _fixed(self.first_aa + step * np.arange(self.count))

    @cached_property
    def vacuum_aa(self) -> np.ndarray:
        """The wavelengths [Angstrom] in vacuum, read-only."""
        return _fixed(to_vacuum(self.wavelength_aa, self.medium))
