"""The last step, from a kept spectrum to an observed one: fast, for stores, networks and fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import log, pi
from typing import Any

import numpy as np

from starloom.arrays import array_library, one_line
from starloom.bands import Band, Window
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

ROUNDING_AA = 1e-6  # of air to vacuum and back
ROOM_KMS = 700.0  # beyond a windowed chunk, into which its light spreads: see Finish
COARSEST = 6000.0  # least finest resolution with a window: interpolation on coarser grids takes its room


@dataclass(frozen=True, eq=False)
class Finish:
    """The last step from a kept spectrum to an observed one: rotation, resolution, an observer's points.

    ``modes(kept)`` gives the Fourier coefficients below the frequency beyond which ``finest_resolution``
    passes less than 1e-5 (1287 of 3646 for R = 14500 in the packaged band), ``from_modes`` the flux; calling
    the object does both. ``grid`` and ``kept_resolution`` are those of what is kept. A model that predicts a
    spectrum as a sum of basis spectra may enter with the same sum over the basis' modes. The flux error of
    leaving out the rest is below 2e-6 for a line of 2 km/s width and full depth. Made by ``finish_onto``.
    NumPy is fastest with 32 to 64 spectra a call.

    Of a band of several chunks each has a ``window``: what it keeps of the lines is its share, and beyond is
    room for them to spread. So the chunks' fluxes less 1, however broadened, add up to the whole band's.
    """

    grid: LogGrid
    kept_resolution: float
    frequency: np.ndarray  #: [mode], cycles per km/s
    points: int  #: of the uniform grid over the same range that the modes are transformed back to
    sampler: Sampler
    finest_resolution: float
    window: Window | None = None

    __repr__ = one_line

    @property
    def whole(self) -> LogGrid:
        """The grid that is transformed: what is kept, and the room beside it where there is a window."""
        return _with_room(self.grid, self.window)

    @property
    def known_aa(self) -> tuple[float, float]:
        """First and last vacuum wavelength [A] that can be asked for, whatever the broadening."""
        return _known_aa(self.whole, self.points)

    def onto(self, wavelength_aa, finest_resolution: float, ends_aa=None) -> "Finish":
        """The same onto other vacuum wavelengths [A], or pixels between ``ends_aa``: see ``finish_onto``."""
        given = self._fine(finest_resolution), self.kept_resolution, ends_aa, self.window
        return finish_onto(self.grid, wavelength_aa, *given)

    def _fine(self, finest_resolution: float) -> float:
        """The finest resolution that its modes are kept for where this one is asked for."""
        if self.window is None:
            return finest_resolution
        return max(finest_resolution, min(COARSEST, self.finest_resolution))

    def modes(self, kept):
        """Fourier coefficients complex[..., mode] of ``kept[..., grid.points]``, in units of flux.

        ConfigError for another number of points.
        """
        if self.window is None:
            return self.modes_of_change(kept)
        continuum = array_library(kept).eye(1, self.frequency.size, dtype=kept.dtype)[0]
        return self.modes_of_change(kept - 1) + continuum

    def modes_of_change(self, change):
        """The same of a ``change[..., grid.points]`` of kept spectra: linear, whatever the window.

        ConfigError for another number of points.
        """
        array = array_library(change)
        if change.shape[-1] != self.grid.points:
            raise ConfigError(f"kept: {change.shape[-1]} points, {self.grid.points} are needed")
        if self.window is not None:
            room = (self.whole.points - self.grid.points) // 2
            change = change * self._share.astype(change.dtype)
            change = array.pad(change, [*[(0, 0)] * (change.ndim - 1), (room, room)])
        return array.fft.rfft(change, axis=-1)[..., : self.frequency.size] / change.shape[-1]

    @cached_property
    def _share(self) -> np.ndarray:
        return self.window.share(self.grid.wavelength_aa)

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
    grid: LogGrid,
    wavelength_aa,
    finest_resolution: float,
    kept_resolution: float,
    ends_aa=None,
    window: Window | None = None,
) -> Finish:
    """The ``Finish`` from a kept ``grid`` onto rising vacuum wavelengths [A], up to a finest resolution.

    With ``ends_aa``, the first and the last wavelength of each pixel, onto the mean flux in pixels.
    ``window`` is that of the chunk in a band of several.
    """
    whole = _with_room(grid, window)
    frequency, points = _modes_for(whole, finest_resolution, kept_resolution)
    step = whole.step_kms / SPEED_OF_LIGHT_KMS
    coarse_aa = whole.first_aa * np.exp(np.arange(points) * (whole.points / points) * step)
    sampler = pixel_sampler(coarse_aa, *ends_aa) if ends_aa else point_sampler(coarse_aa, wavelength_aa)
    return Finish(grid, kept_resolution, frequency, points, sampler, finest_resolution, window)


def known_range(finish: Finish, finest_resolution: float) -> tuple[float, float]:
    """First and last vacuum wavelength [A] that ``finish.onto`` takes: narrower where lines are wider."""
    whole, grid = finish.whole, finish.grid
    fine = finish._fine(finest_resolution)
    low, high = _known_aa(whole, _modes_for(whole, fine, finish.kept_resolution)[1])
    return max(low, grid.first_aa), min(high, grid.last_aa)


def _with_room(grid: LogGrid, window: Window | None) -> LogGrid:
    return grid if window is None else grid.widened(int(np.ceil(ROOM_KMS / grid.step_kms)))


@lru_cache(maxsize=64)  # every spectrum that is fitted asks for its range
def _modes_for(grid: LogGrid, finest_resolution: float, kept_resolution: float) -> tuple[np.ndarray, int]:
    """Frequencies [cycles per km/s] that a resolution needs, and the points of their uniform grid."""
    if not 0 < finest_resolution < kept_resolution:
        raise OutOfRangeError(f"resolution = {finest_resolution:g} is outside ]0, {kept_resolution:g}[")
    cutoff = np.sqrt(log(1e5) / (2 * pi**2 * instrument_variance(finest_resolution)))
    count = min(int(np.ceil(cutoff * grid.step_kms * grid.points)) + 1, grid.points // 2 + 1)
    frequency = np.fft.rfftfreq(grid.points, grid.step_kms)[:count]
    frequency.flags.writeable = False
    # 3.1 points per cycle of the fastest mode is what the interpolation needs
    return frequency, fast_length(int(np.ceil(3.1 * count)))


def _known_aa(grid: LogGrid, points: int) -> tuple[float, float]:
    """The grid's range without what interpolation from a uniform grid of so many points needs at its ends."""
    margin = np.exp((TAPS / 2 + 1) * grid.step_kms * grid.points / points / SPEED_OF_LIGHT_KMS)
    return float(grid.first_aa * margin), float(grid.last_aa / margin)


@dataclass(frozen=True, eq=False)
class BandFinish:
    """The last step for all chunks of a band together: kept spectra to the band's own points, at rest.

    Kept spectra ``[..., sum of the chunks' kept points]``, one chunk behind the other; ``parts`` are the
    points that each chunk sees. Made by ``finish_of``.
    """

    chunks: tuple[Finish, ...]
    parts: tuple[slice, ...]
    points: int

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
        own = [kept[..., i * size : (i + 1) * size] for i in range(len(self.chunks))]
        shown = [
            each(part, vsini, resolution, **options) for each, part in zip(self.chunks, own, strict=True)
        ]
        return shown[0] if len(shown) == 1 else summed(shown, self.parts, self.points)


def summed(fluxes: Sequence[Any], parts: Sequence[slice], points: int) -> Any:
    """Flux ``[..., points]`` of a band from ``fluxes`` of its chunks, each at one of the ``parts``."""
    xp = array_library(*fluxes)
    total = xp.ones((*fluxes[0].shape[:-1], points), fluxes[0].dtype)
    for flux, part in zip(fluxes, parts, strict=True):
        if xp is np:
            total[..., part] += flux - 1
        else:
            total = total.at[..., part].add(flux - 1)
    return total


def reached(known_aa: tuple[float, float], low_aa: np.ndarray, high_aa: np.ndarray) -> slice:
    """Which of the rising points from ``low_aa`` to ``high_aa`` [A] each lie within ``known_aa``."""
    first = np.searchsorted(low_aa, known_aa[0] - ROUNDING_AA)
    return slice(int(first), max(int(first), int(np.searchsorted(high_aa, known_aa[1] + ROUNDING_AA))))


def band_finishes(band: Band, finest_resolution: float, vacuum_aa: np.ndarray) -> tuple[Finish, ...]:
    """The ``Finish`` of each of a band's chunks onto those of rising vacuum wavelengths [A] that it sees.

    ``OutOfRangeError`` where the band has not all of them.
    """
    if len(band.chunks) == 1:
        return (finish_onto(band.kept[0], vacuum_aa, finest_resolution, band.kept_resolution),)
    first, last = band.edges_aa[0], band.edges_aa[-1]
    if not first - ROUNDING_AA < vacuum_aa[0] <= vacuum_aa[-1] < last + ROUNDING_AA:
        asked = f"wavelength = {vacuum_aa[0]:.3f}..{vacuum_aa[-1]:.3f} A (vacuum)"
        raise OutOfRangeError(f"{asked} is outside [{first:.3f}, {last:.3f}] A")
    made = []
    for grid, window in zip(band.kept, band.windows, strict=True):
        given = finest_resolution, band.kept_resolution, None, window
        known = finish_onto(grid, grid.wavelength_aa[:1], *given).known_aa
        made.append(finish_onto(grid, vacuum_aa[reached(known, vacuum_aa, vacuum_aa)], *given))
    return tuple(made)


@cache
def finish_of(band: Band) -> BandFinish:
    """The ``BandFinish`` of a band."""
    vacuum_aa = band.points.vacuum_aa
    chunks = band_finishes(band, band.finest_resolution, vacuum_aa)
    parts = tuple(reached(each.known_aa, vacuum_aa, vacuum_aa) for each in chunks)
    return BandFinish(chunks, parts, vacuum_aa.size)
