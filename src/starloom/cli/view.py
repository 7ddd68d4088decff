"""How a synthesised star is seen: rotation, instrument, motion, and the wavelengths of the result."""

from dataclasses import dataclass
from importlib.metadata import version
from math import inf

import numpy as np

from starloom import Spectrum, __version__, tables
from starloom.broadening import broaden, doppler_shift, instrument_variance, point_sampler, uniform_step
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.units import within
from starloom.wavelength import PAPER_GRID_AA, air_from_vacuum, vacuum_from_air

# what broadening can do; the labels' domain is narrower
RANGES = {
    "vsini": (0.0, 300.0, "km/s"),
    "resolution": (1000.0, 1e6, ""),
    "rv": (-1000.0, 1000.0, "km/s"),
    "mu": (0.01, 1.0, ""),
}
REACH = 4  # standard deviations of the instrument's profile, beyond which lies 6e-5 of it


@dataclass(frozen=True)
class View:
    """What lies between the star and the result: the options of ``starloom synthesize`` that say so."""

    vsini: float  # km/s
    resolution: float | None  # None: as the star emits it
    radial_velocity: float  # km/s
    mu: float | None
    paper_grid: bool
    physical: bool

    def __post_init__(self):
        values = (self.vsini, self.resolution, self.radial_velocity, self.mu)
        for name, value in zip(RANGES, values, strict=True):
            if value is not None:
                within(name, value, *RANGES[name])
        if self.mu is not None and self.vsini > 0:
            raise ConfigError("--mu and --vsini exclude each other: rotation blurs the light of all angles")

    def observe(self, made, origin: dict) -> Spectrum:
        """A ``SyntheticSpectrum`` as it is seen; masked where light from outside its range would matter."""
        grid = made.wavelength_aa
        flux = self._blurred(np.asarray(made.flux if self.physical else made.normalized, dtype=float), grid)
        air = air_from_vacuum(grid)
        if self.paper_grid:
            air, flux = PAPER_GRID_AA, point_sampler(grid, vacuum_from_air(PAPER_GRID_AA))(flux)
        unknown = self._unknown(air, grid)
        given = {"vsini": self.vsini, "resolution": self.resolution}
        return Spectrum(
            air,
            flux,
            medium="air",
            mask=unknown if unknown.any() else None,
            frame="barycentric" if self.radial_velocity else "rest",
            flux_unit=made.unit if self.physical else "",
            labels={**made.labels, **{name: value for name, value in given.items() if value is not None}},
            provenance={**self._provenance(), **origin},
        )

    def _blurred(self, flux: np.ndarray, grid: np.ndarray) -> np.ndarray:
        """The flux after rotation, instrument and motion, on its own grid."""
        return broaden(
            flux,
            uniform_step(grid),
            vsini=self.vsini,
            resolution=self.resolution or inf,
            radial_velocity=self.radial_velocity,
            reach_kms=1.5 * self._reach + abs(self.radial_velocity) + 10.0,
        )

    @property
    def _reach(self) -> float:
        """Velocity [km/s] over which light spreads, to either side."""
        return self.vsini + REACH * float(np.sqrt(instrument_variance(self.resolution or inf)))

    def _unknown(self, air: np.ndarray, grid: np.ndarray) -> np.ndarray:
        """Where the result rests on what lies beyond the synthesised wavelengths."""
        velocity = SPEED_OF_LIGHT_KMS * np.log(vacuum_from_air(air) / grid[0]) - doppler_shift(
            self.radial_velocity
        )
        end = SPEED_OF_LIGHT_KMS * np.log(grid[-1] / grid[0])
        rounding = 1e-3  # km/s
        return (velocity < self._reach - rounding) | (velocity > end - self._reach + rounding)

    def _provenance(self) -> dict:
        return {
            "made by": f"starloom {__version__} synthesize, jax {version('jax')}",
            "physics": "LTE, plane-parallel layers, one spectrum for the whole disk",
            "quantity": "intensity" if self.mu else "flux",
            "mu": self.mu,
            "radial velocity": self.radial_velocity,
            "tables": {name: digest[:12] for name, digest in tables.synthesis_digests().items()},
        }
