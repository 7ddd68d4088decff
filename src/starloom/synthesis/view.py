"""How a synthesised star is seen: rotation, instrument, motion, and the wavelengths of the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from math import inf
from typing import Any

import numpy as np

from starloom import Spectrum, __version__, tables
from starloom.bands import CALIBRATED
from starloom.broadening import broaden, doppler_shift, instrument_variance, point_sampler
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.synthesis.spectra import SyntheticSpectrum, joined, physics_of
from starloom.units import within
from starloom.wavelength import LogGrid, Points, air_from_vacuum

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
    """What lies between the star and the result.

    The result's wavelengths are those of ``points``, or the synthesised ones; ``resolution`` None is the
    light as the star emits it; ``mu`` says whether it is an intensity. Raises OutOfRangeError outside RANGES.
    """

    vsini: float = 0.0  #: km/s
    resolution: float | None = None
    radial_velocity: float = 0.0  #: km/s
    mu: float | None = None
    points: Points | None = None
    physical: bool = False  #: flux in erg, not over the continuum
    between_aa: tuple[float, float] | None = None  #: wavelengths of the result, in its medium; None: all

    def __post_init__(self):
        values = (self.vsini, self.resolution, self.radial_velocity, self.mu)
        for name, value in zip(RANGES, values, strict=True):
            if value is not None:
                within(name, value, *RANGES[name])
        if self.mu is not None and self.vsini > 0:
            raise ConfigError("--mu and --vsini exclude each other: rotation blurs the light of all angles")

    def observe(self, made: SyntheticSpectrum, origin: Mapping[str, Any] | None = None) -> Spectrum:
        """A synthetic spectrum as it is seen; masked where light from outside its range would matter.

        ``origin`` goes into the provenance: where the star comes from.
        """
        flux, known = self._seen(made)
        wavelength = air_from_vacuum(made.wavelength_aa) if self.points is None else self.points.wavelength_aa
        if self.between_aa is not None:
            inside = (wavelength >= self.between_aa[0]) & (wavelength <= self.between_aa[1])
            wavelength, flux, known = wavelength[inside], flux[inside], known[inside]
        given = {"vsini": self.vsini, "resolution": self.resolution}
        return Spectrum(
            wavelength,
            flux,
            medium="air" if self.points is None else self.points.medium,
            mask=None if known.all() else ~known,
            frame="barycentric" if self.radial_velocity else "rest",
            flux_unit=made.unit if self.physical else "",
            labels={**made.labels, **{name: value for name, value in given.items() if value is not None}},
            provenance={**self._provenance(made), **(origin or {})},
        )

    def _seen(self, made: SyntheticSpectrum) -> tuple[np.ndarray, np.ndarray]:
        """The flux after all of it, and whether it is known, at the result's wavelengths.

        Each chunk is blurred on its own grid, and shown between the band's edges.
        """
        band, flux = made.band, made.chunk_flux
        if not self.physical:
            flux = [light / level for light, level in zip(flux, made.chunk_continuum, strict=True)]
        seen = [
            self._blurred(np.asarray(each, dtype=float), grid.step_kms)
            for each, grid in zip(flux, band.chunks, strict=True)
        ]
        known = [self._known(grid.wavelength_aa, grid) for grid in band.chunks]
        if self.points is None:
            return joined(band, seen), joined(band, known)
        vacuum = self.points.vacuum_aa
        parts = np.split(vacuum, np.searchsorted(vacuum, band.edges_aa[1:-1]))
        each = list(zip(parts, band.chunks, strict=True))
        shown = [
            point_sampler(grid.wavelength_aa, part)(chunk)
            for chunk, (part, grid) in zip(seen, each, strict=True)
        ]
        return np.concatenate(shown), np.concatenate([self._known(part, grid) for part, grid in each])

    def _blurred(self, flux: np.ndarray, step_kms: float) -> np.ndarray:
        """The flux after rotation, instrument and motion, on its own grid."""
        return broaden(
            flux,
            step_kms,
            vsini=self.vsini,
            resolution=self.resolution or inf,
            radial_velocity=self.radial_velocity,
            reach_kms=1.5 * self._reach + abs(self.radial_velocity) + 10.0,
        )

    @property
    def _reach(self) -> float:
        """Velocity [km/s] over which light spreads, to either side."""
        return self.vsini + REACH * float(np.sqrt(instrument_variance(self.resolution or inf)))

    def _known(self, vacuum_aa: np.ndarray, grid: LogGrid) -> np.ndarray:
        """Where the result does not rest on what lies beyond the synthesised wavelengths of a chunk."""
        velocity = SPEED_OF_LIGHT_KMS * np.log(vacuum_aa / grid.first_aa)
        velocity = velocity - doppler_shift(self.radial_velocity)
        end = (grid.points - 1) * grid.step_kms
        rounding = 1e-3  # km/s
        return (velocity >= self._reach - rounding) & (velocity <= end - self._reach + rounding)

    def _provenance(self, made: SyntheticSpectrum) -> dict:
        digests = tables.synthesis_digests(made.band.tables, made.band.lines == CALIBRATED)
        return {
            "made by": f"starloom {__version__} synthesize, jax {version('jax')}",
            "physics": f"{physics_of(made)}, plane-parallel layers, one spectrum for the whole disk",
            "quantity": "intensity" if self.mu else "flux",
            "mu": self.mu,
            "lines": made.band.lines,
            "abundances": made.abundances,
            "radial velocity": self.radial_velocity,
            "tables": {name: digest[:12] for name, digest in digests.items()},
        }
