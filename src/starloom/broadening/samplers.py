"""Linear maps from a grid uniform in ln(wavelength) to an observer's points and pixels."""

from dataclasses import dataclass
from functools import cached_property
from math import pi

import numpy as np

from starloom.arrays import array_library, one_line
from starloom.broadening.kernels import instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError

TAPS = 32  # points of the grid that one interpolated value is made of
# Kaiser's parameter for a passband up to 0.645 of the Nyquist frequency with this many points
KAISER_SHAPE = pi * TAPS / 2 * (1 - 0.645)


def uniform_step(wavelength_aa) -> float:
    """Step [km/s] of a grid uniform in ln(wavelength); ``ConfigError`` unless it is so to 1e-3 of a step."""
    logarithm = np.log(np.asarray(wavelength_aa, dtype=float))
    step = (logarithm[-1] - logarithm[0]) / (logarithm.size - 1)
    uneven = np.max(np.abs(logarithm - logarithm[0] - step * np.arange(logarithm.size)))
    if not (step > 0 and uneven < 1e-3 * step):
        raise ConfigError("wavelength: the grid is not uniform in ln(wavelength), as broadening needs it")
    return float(step * SPEED_OF_LIGHT_KMS)


@dataclass(frozen=True, eq=False)
class Sampler:
    """A linear map from a uniform grid to other points: a banded matrix in dense blocks, fast in BLAS.

    Made by ``point_sampler``, ``pixel_sampler`` and ``instrument_sampler``; called with ``flux[..., grid]``
    it gives ``[..., target]``.
    """

    size: int  #: points of the grid
    targets: int  #: points of the result
    columns: np.ndarray  #: [block, window]: the grid points that a block of targets is made of
    weights: np.ndarray  #: [block, window, target of the block]

    __repr__ = one_line

    @cached_property
    def _single(self) -> np.ndarray:
        return self.weights.astype(np.float32)

    def __call__(self, flux):
        """Values at the target points, in the flux's own precision."""
        if flux.shape[-1] != self.size:
            raise ConfigError(f"flux: {flux.shape[-1]} points, the sampler was made for {self.size}")
        weights = self._single if flux.dtype == np.float32 else self.weights
        spectra = flux.reshape(-1, self.size)
        values = array_library(flux).matmul(spectra[:, self.columns].swapaxes(0, 1), weights).swapaxes(0, 1)
        return values.reshape(len(spectra), -1)[:, : self.targets].reshape(*flux.shape[:-1], self.targets)


def point_sampler(grid_aa, wavelength_aa) -> Sampler:
    """Interpolation from a grid uniform in ln(wavelength) to increasing vacuum wavelengths within it.

    A sinc of 32 points in a Kaiser (1974) window, its weights scaled to sum to one: the error is below 1e-7
    of the amplitude for all that varies slower than one cycle in 3.1 points; a constant is exact. Sixteen
    points of margin are needed on either side (``OutOfRangeError``).
    """
    wavelength_aa = np.asarray(wavelength_aa, dtype=float)
    _check_rising(wavelength_aa)
    columns, weights = _sinc_weights(np.asarray(grid_aa, dtype=float), wavelength_aa)
    rows = np.repeat(np.arange(wavelength_aa.size), TAPS)
    return _sampler(len(grid_aa), wavelength_aa.size, rows, columns.ravel(), weights.ravel())


def pixel_sampler(grid_aa, low_aa, high_aa) -> Sampler:
    """Mean flux per unit wavelength in pixels: the interpolated spectrum integrated between their ends.

    ``low_aa`` and ``high_aa`` are the vacuum wavelengths of n pixels' ends, each increasing. Where pixels
    touch, the sum of value times width is the integral over all of them, so flux is conserved. Four
    Gauss-Legendre nodes in each grid step: error below 1e-7.

    ConfigError where an end of a pixel is not above the other.
    """
    grid_aa, low_aa, high_aa = (np.asarray(each, dtype=float) for each in (grid_aa, low_aa, high_aa))
    width = high_aa - low_aa
    if not np.all(width > 0):
        raise ConfigError("pixels: an end is not above the other")
    _check_rising(low_aa)
    _check_rising(high_aa)
    cells = np.ceil(width / np.min(np.diff(grid_aa))).astype(int)
    pixel = np.repeat(np.arange(width.size), cells)
    order = np.arange(pixel.size) - np.repeat(np.cumsum(cells) - cells, cells)
    node, node_weight = np.polynomial.legendre.leggauss(4)
    place = (order[:, None] + (node + 1) / 2) / cells[pixel, None]
    wavelength_aa = low_aa[pixel, None] + width[pixel, None] * place
    columns, weights = _sinc_weights(grid_aa, wavelength_aa.ravel())
    weights = weights * np.broadcast_to(node_weight / 2 / cells[pixel, None], place.shape).reshape(-1, 1)
    rows = np.repeat(np.repeat(pixel, node.size), TAPS)
    return _sampler(grid_aa.size, width.size, rows, columns.ravel(), weights.ravel())


def instrument_sampler(grid_aa, wavelength_aa, resolution) -> Sampler:
    """The spectrum as an instrument of any resolution R(wavelength) sees it at increasing vacuum wavelengths.

    ``resolution`` is a number or an array like ``wavelength_aa``: each point has its own Gaussian of FWHM =
    lambda/R, summed over the grid to 6 sigma. While sigma is at least one step (``OutOfRangeError``
    otherwise) the sum equals the integral to 6e-9, by Poisson's formula; the cut leaves 2e-9.
    """
    grid_aa, wavelength_aa = np.asarray(grid_aa, dtype=float), np.asarray(wavelength_aa, dtype=float)
    _check_rising(wavelength_aa)
    step = uniform_step(grid_aa)
    sigma = np.broadcast_to(np.sqrt(instrument_variance(resolution)) / step, wavelength_aa.shape)
    if np.min(sigma) < 1:
        highest = np.sqrt(instrument_variance(1.0)) / step
        raise OutOfRangeError(
            f"resolution = {np.max(resolution):g} is above {highest:.0f}, too fine for the grid"
        )
    half = int(np.ceil(6 * np.max(sigma)))
    columns, distance = _neighbours(grid_aa, wavelength_aa, half)
    weights = np.exp(-0.5 * (distance / sigma[:, None]) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(wavelength_aa.size), 2 * half)
    return _sampler(grid_aa.size, wavelength_aa.size, rows, columns.ravel(), weights.ravel())


def _check_rising(wavelength_aa: np.ndarray) -> None:
    if not np.all(np.diff(wavelength_aa) > 0):
        raise ConfigError("wavelength: not strictly increasing")


def _neighbours(grid_aa, wavelength_aa, half: int):
    """Indices [target, 2 half] of the grid points around each target, and their distances in steps."""
    if 2 * half > grid_aa.size:
        raise OutOfRangeError(f"a grid of {grid_aa.size} points is too short for a profile of {2 * half}")
    step = np.log(grid_aa[-1] / grid_aa[0]) / (grid_aa.size - 1)
    place = np.log(wavelength_aa / grid_aa[0]) / step
    columns = np.floor(place).astype(int)[:, None] + np.arange(1 - half, half + 1)
    if columns.size and (columns.min() < 0 or columns.max() >= grid_aa.size):
        low, high = grid_aa[half - 1], grid_aa[grid_aa.size - half - 1]
        asked = f"wavelength = {wavelength_aa.min():.3f}..{wavelength_aa.max():.3f} A (vacuum)"
        raise OutOfRangeError(f"{asked} is outside [{low:.3f}, {high:.3f}] A")
    return columns, place[:, None] - columns


def _sinc_weights(grid_aa, wavelength_aa):
    uniform_step(grid_aa)
    columns, distance = _neighbours(grid_aa, wavelength_aa, TAPS // 2)
    window = np.i0(KAISER_SHAPE * np.sqrt(np.maximum(0, 1 - (distance / (TAPS / 2)) ** 2)))
    weights = np.sinc(distance) * window
    return columns, weights / weights.sum(axis=1, keepdims=True)


def _sampler(size: int, targets: int, rows, columns, weights, block: int = 24) -> Sampler:
    """Dense blocks of ``block`` targets each, from the matrix' entries in the order of their rows."""
    entries = [slice(*np.searchsorted(rows, [first, first + block])) for first in range(0, targets, block)]
    window = max((int(np.ptp(columns[entry])) + 1 for entry in entries), default=1)
    starts = np.array([min(columns[entry].min(), size - window) for entry in entries], dtype=int)
    dense = np.zeros((len(entries), window, block))
    np.add.at(dense, (rows // block, columns - starts[rows // block], rows % block), weights)
    # 32 bits, because JAX mixes 64-bit indices badly between its two precisions
    columns = (starts[:, None] + np.arange(window)).astype(np.int32)
    return Sampler(size, targets, columns, dense)
