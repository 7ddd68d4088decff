"""The last step, from a kept spectrum to an observed one: fast, for stores, networks and fits."""

from dataclasses import dataclass
from functools import cache
from math import log, pi

import numpy as np

from starloom.arrays import array_library, one_line
from starloom.bands import Band
from starloom.broadening.convolution import fast_length
from starloom.broadening.kernels import (
    LIMB_DARKENING,
    check_between,
    check_profiles,
    column,
    gaussian_transfer,
    instrument_variance,
    macroturbulence_transfer,
    phase,
    remaining_variance,
    rotation_transfer,
)
from starloom.broadening.samplers import TAPS, Sampler, pixel_sampler, point_sampler
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.wavelength import LogGrid


@dataclass(frozen=True, eq=False)
class Finish:
    """The last step from a kept spectrum to an observed one: rotation, resolution, an observer's points.

    ``modes(kept)`` gives the Fourier coefficients below the frequency beyond which ``finest_resolution``
    passes less than 1e-5 (1287 of 3646 for R = 14500 in the packaged band), ``from_modes`` the flux; calling
    the object does both. ``grid`` and ``kept_resolution`` are those of what is kept. A model that predicts a
    spectrum as a sum of basis spectra may enter with the same sum over the basis' modes. The flux error of
    leaving out the rest is below 2e-6 for a line of 2 km/s width and full depth. Made by ``finish_onto``.
    NumPy is fastest with 32 to 64 spectra a call.
    """

    grid: LogGrid
    kept_resolution: float
    frequency: np.ndarray  # [mode], cycles per km/s
    points: int  # of the uniform grid over the same range that the modes are transformed back to
    sampler: Sampler
    finest_resolution: float

    __repr__ = one_line

    @property
    def known_aa(self) -> tuple[float, float]:
        """First and last vacuum wavelength [A] that can be asked for, whatever the broadening."""
        return _known_aa(self.grid, self.points)

    def modes(self, kept):
        """Fourier coefficients complex[..., mode] of ``kept[..., grid.points]``, in units of flux."""
        array = array_library(kept)
        if kept.shape[-1] != self.grid.points:
            raise ConfigError(f"kept: {kept.shape[-1]} points, {self.grid.points} are needed")
        return array.fft.rfft(kept, axis=-1)[..., : self.frequency.size] / kept.shape[-1]

    def from_modes(
        self,
        modes,
        vsini,
        resolution,
        radial_velocity=0.0,
        limb_darkening=LIMB_DARKENING,
        native_resolution=None,
        macroturbulence=0.0,
    ):
        """Flux[..., target] of spectra given by their ``modes``: see ``broaden`` for the other arguments.

        ``native_resolution`` is that of the modes' spectra, by default the kept one. A velocity moves what
        lies beyond the kept range into view: trust only what started within it.
        """
        native_resolution = self.kept_resolution if native_resolution is None else native_resolution
        check_profiles(vsini, resolution, macroturbulence, limb_darkening, native_resolution)
        check_between("resolution", resolution, 1.0, self.finest_resolution)
        array = array_library(modes, vsini, resolution, radial_velocity, limb_darkening)
        dtype = modes.real.dtype
        frequency = self.frequency.astype(dtype)
        variance = remaining_variance(array, resolution, native_resolution, dtype)
        rotation = rotation_transfer(
            frequency, column(array, vsini, dtype), column(array, limb_darkening, dtype)
        )
        modes = modes * (rotation * gaussian_transfer(frequency, variance) * self.points)
        if not (isinstance(macroturbulence, float | int) and macroturbulence == 0):
            modes = modes * macroturbulence_transfer(frequency, column(array, macroturbulence, dtype))
        if not (isinstance(radial_velocity, float | int) and radial_velocity == 0):
            modes = modes * phase(array, frequency, radial_velocity, dtype)
        return self.sampler(array.fft.irfft(modes, n=self.points, axis=-1))

    def __call__(self, kept, vsini, resolution, **options):
        """Flux[..., target] of kept spectra ``kept[..., grid.points]``; ``options`` as in ``from_modes``."""
        return self.from_modes(self.modes(kept), vsini, resolution, **options)


def finish_onto(
    grid: LogGrid, wavelength_aa, finest_resolution: float, kept_resolution: float, ends_aa=None
) -> Finish:
    """The ``Finish`` from a kept ``grid`` onto rising vacuum wavelengths [A], up to a finest resolution.

    With ``ends_aa``, the first and the last wavelength of each pixel, onto the mean flux in pixels.
    """
    frequency, points = _modes_for(grid, finest_resolution, kept_resolution)
    step = grid.step_kms / SPEED_OF_LIGHT_KMS
    coarse_aa = grid.first_aa * np.exp(np.arange(points) * (grid.points / points) * step)
    sampler = pixel_sampler(coarse_aa, *ends_aa) if ends_aa else point_sampler(coarse_aa, wavelength_aa)
    return Finish(grid, kept_resolution, frequency, points, sampler, finest_resolution)


def known_range(grid: LogGrid, finest_resolution: float, kept_resolution: float) -> tuple[float, float]:
    """First and last vacuum wavelength [A] that ``finish_onto`` takes: narrower where lines are wider."""
    return _known_aa(grid, _modes_for(grid, finest_resolution, kept_resolution)[1])


def _modes_for(grid: LogGrid, finest_resolution: float, kept_resolution: float) -> tuple[np.ndarray, int]:
    """Frequencies [cycles per km/s] that a resolution needs, and the points of their uniform grid."""
    if not 0 < finest_resolution < kept_resolution:
        raise OutOfRangeError(f"resolution = {finest_resolution:g} is outside ]0, {kept_resolution:g}[")
    cutoff = np.sqrt(log(1e5) / (2 * pi**2 * instrument_variance(finest_resolution)))
    count = min(int(np.ceil(cutoff * grid.step_kms * grid.points)) + 1, grid.points // 2 + 1)
    # 3.1 points per cycle of the fastest mode is what the interpolation needs
    return np.fft.rfftfreq(grid.points, grid.step_kms)[:count], fast_length(int(np.ceil(3.1 * count)))


def _known_aa(grid: LogGrid, points: int) -> tuple[float, float]:
    """The grid's range without what interpolation from a uniform grid of so many points needs at its ends."""
    margin = np.exp((TAPS / 2 + 1) * grid.step_kms * grid.points / points / SPEED_OF_LIGHT_KMS)
    return float(grid.first_aa * margin), float(grid.last_aa / margin)


@dataclass(frozen=True, eq=False)
class BandFinish:
    """The last step for all chunks of a band, side by side: kept spectra to the band's own points, at rest.

    Kept spectra ``[..., sum of the chunks' kept points]``, one chunk behind the other. Made by ``finish_of``.
    """

    chunks: tuple[Finish, ...]

    __repr__ = one_line

    def __call__(self, kept, vsini, resolution, **options):
        """Flux[..., point]; ``options`` as in ``Finish.from_modes``, without a velocity."""
        if np.any(options.get("radial_velocity", 0.0)):
            raise ConfigError("radial_velocity: chunks side by side are at rest")
        size = self.chunks[0].grid.points
        if kept.shape[-1] != size * len(self.chunks):
            raise ConfigError(
                f"kept: {kept.shape[-1]} points, {len(self.chunks)} chunks of {size} are needed"
            )
        parts = [kept[..., i * size : (i + 1) * size] for i in range(len(self.chunks))]
        shown = [
            each(part, vsini, resolution, **options) for each, part in zip(self.chunks, parts, strict=True)
        ]
        return shown[0] if len(shown) == 1 else array_library(kept).concatenate(shown, axis=-1)


@cache
def finish_of(band: Band) -> BandFinish:
    """The ``BandFinish`` of a band: each of its points from the chunk between whose edges it lies."""
    vacuum_aa, resolutions = band.points.vacuum_aa, (band.finest_resolution, band.kept_resolution)
    places = np.searchsorted(vacuum_aa, band.edges_aa[1:-1])
    parts = zip(band.kept, np.split(vacuum_aa, places), strict=True)
    return BandFinish(tuple(finish_onto(grid, part, *resolutions) for grid, part in parts))
