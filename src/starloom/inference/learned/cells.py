"""Spectra of any pixels in cells uniform in velocity, over a straight line: what a start network sees."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator

CELL_KMS = 12.0
MARGIN_KMS = 240.0  # at either end of what a model keeps: rotation mixes in what lies beyond
MOST_CELLS = 4000
COVERED = 0.3  # of a cell: by less good pixels it is empty
LOWEST, HIGHEST = -1.5, 1.0  # of the flux over the line, less 1: beyond are no stars
FAINTEST = 1e-3  # of the median flux: the line is not allowed below it


@dataclass(frozen=True)
class Bins:
    """``count`` cells of CELL_KMS from ``origin_aa`` on, the centre of the first, in vacuum."""

    origin_aa: float
    count: int

    @classmethod
    def of(cls, model: Emulator | BandEmulator) -> "Bins":
        """The cells of what a model knows; ConfigError where they are more than a network takes."""
        first, last = model.chunks[0].finish.grid.first_aa, model.chunks[-1].finish.grid.last_aa
        width = SPEED_OF_LIGHT_KMS * float(np.log(last / first)) - 2 * MARGIN_KMS
        count = int(width / CELL_KMS)
        if not 0 < count <= MOST_CELLS:
            raise ConfigError(
                f"a start network takes up to {MOST_CELLS} cells, this model's range is {count}"
            )
        return cls(first * float(np.exp((MARGIN_KMS + CELL_KMS / 2) / SPEED_OF_LIGHT_KMS)), count)

    @cached_property
    def edges_aa(self) -> np.ndarray:
        """Edges of the cells, one more than there are cells."""
        place = np.arange(self.count + 1) - 0.5
        return self.origin_aa * np.exp(place * CELL_KMS / SPEED_OF_LIGHT_KMS)

    @cached_property
    def centres_aa(self) -> np.ndarray:
        """Centres of the cells."""
        return self.origin_aa * np.exp(np.arange(self.count) * CELL_KMS / SPEED_OF_LIGHT_KMS)


@dataclass(frozen=True, eq=False)
class Binned:
    """Spectra in cells: ``flux[star, cell]``, which of them are ``covered``, ``noise[star]`` of one."""

    flux: np.ndarray
    covered: np.ndarray
    noise: np.ndarray


def binned(
    cells: Bins, vacuum_aa: np.ndarray, flux: np.ndarray, noise: np.ndarray, good: np.ndarray
) -> Binned:
    """Spectra ``[star, pixel]`` of common wavelengths as means over cells; narrower cells share a pixel.

    The noise is that of white noise as dense as the pixels': of a cell, whatever a pixel's width.
    """
    ends = np.concatenate([vacuum_aa[:1], (vacuum_aa[1:] + vacuum_aa[:-1]) / 2, vacuum_aa[-1:]])
    ends[0], ends[-1] = 2 * ends[0] - ends[1], 2 * ends[-1] - ends[-2]
    width = np.diff(ends)
    place = np.interp(cells.edges_aa, ends, np.arange(ends.size))  # beyond the ends: at them
    share = np.where(good, width, 0.0)
    seen, size = _within(share, place), np.diff(cells.edges_aa)
    covered = seen > COVERED * size
    found = _within(share * flux, place) / np.where(covered, seen, 1.0)
    of_cell = np.sqrt(SPEED_OF_LIGHT_KMS * width / vacuum_aa / CELL_KMS)
    told = np.where(good, noise * of_cell, np.nan)
    return Binned(np.where(covered, found, 0.0).astype(np.float32), covered, np.nanmedian(told, axis=1))


def _within(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Sums of ``values[star, pixel]`` between the places, in pixels, that follow each other."""
    whole = np.minimum(place.astype(int), values.shape[1] - 1)
    sums = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return np.diff(sums[:, whole] + (place - whole) * values[:, whole], axis=1)


def straightened(flux: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Flux over the straight line that fits it best, less 1: float32[star, cell], 0 where nothing covers."""
    shape = np.linspace(-1, 1, flux.shape[1], dtype=np.float32)
    used = covered.astype(np.float32)
    sums = [(used * shape**power).sum(axis=1, dtype=np.float64) for power in range(3)]
    right = [(flux * used * shape**power).sum(axis=1, dtype=np.float64) for power in range(2)]
    determinant = np.maximum(sums[0] * sums[2] - sums[1] ** 2, 1e-9)
    level = (right[0] * sums[2] - right[1] * sums[1]) / determinant
    slope = (right[1] * sums[0] - right[0] * sums[1]) / determinant
    line = level[:, None].astype(np.float32) + slope[:, None].astype(np.float32) * shape
    over = flux / np.maximum(line, FAINTEST) - 1
    return np.where(covered, over.clip(LOWEST, HIGHEST), np.float32(0))


def rough_noise(flux: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Noise of a pixel ``[star]`` from how far pixels are from the mean of their neighbours, in the median.

    Lines add to it where pixels do not oversample them. Where no three good pixels follow each other, 1.
    """
    apart = flux[:, 1:-1] - (flux[:, :-2] + flux[:, 2:]) / 2
    whole = good[:, 1:-1] & good[:, :-2] & good[:, 2:]
    sizes = [np.median(np.abs(a[ok])) if ok.any() else 1.0 for a, ok in zip(apart, whole, strict=True)]
    return 1.4826 * np.sqrt(2 / 3) * np.array(sizes)
