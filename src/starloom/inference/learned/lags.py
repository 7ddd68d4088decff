"""The velocity of a binned spectrum to a cell: the templates' highest correlation, in one matrix product."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from starloom.broadening import doppler_shift
from starloom.inference.learned.cells import CELL_KMS, straightened


@dataclass(frozen=True, eq=False)
class Bank:
    """``templates[template, cell]``, straightened fluxes at rest."""

    templates: np.ndarray

    @classmethod
    def of(cls, flux: np.ndarray) -> "Bank":
        """The bank of fluxes ``[template, cell]``."""
        return cls(straightened(flux, np.ones(flux.shape, bool)))

    def lags(self, values: np.ndarray, covered: np.ndarray, velocities: tuple[float, float]) -> np.ndarray:
        """Cells by which each of the straightened ``values[star, cell]`` is moved, within ``velocities``."""
        tried = lags_within(velocities)
        seen = covered.any(axis=0)
        matrix = _moved(self, tried, seen.tobytes())
        best = (values[:, seen] @ matrix).argmax(axis=1)
        return np.array(tried)[best % len(tried)]


def lags_within(velocities: tuple[float, float]) -> tuple[int, ...]:
    """All whole cells within a range of velocities [km/s]."""
    low, high = (round(float(doppler_shift(v)) / CELL_KMS) for v in velocities)
    return tuple(range(low, high + 1))


@lru_cache(maxsize=2)
def _moved(bank: Bank, lags: tuple[int, ...], seen: bytes) -> np.ndarray:
    """The templates at each lag, where it is ``seen``, without straight line and of unit length.

    ``float32[cell, template * lag]``.
    """
    cells = np.flatnonzero(np.frombuffer(seen, bool))
    count = bank.templates.shape[1]
    place = np.linspace(-1, 1, count)[cells]
    line, _ = np.linalg.qr(np.stack([np.ones(cells.size), place], axis=1))
    moved = np.empty((len(bank.templates), len(lags), cells.size), np.float32)
    for number, lag in enumerate(lags):
        moved[:, number] = aligned(bank.templates, np.full(len(bank.templates), -lag))[:, cells]
    moved = moved.reshape(-1, cells.size)
    moved -= ((moved @ line) @ line.T).astype(np.float32)
    size = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.ascontiguousarray((moved / np.maximum(size, 1e-3 * size.max(initial=1e-9))).T)


def aligned(values: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Each of ``values[star, cell]`` moved back by its lag; 0 (or False) where nothing comes in."""
    index = np.arange(values.shape[1]) + lags[:, None]
    inside = (index >= 0) & (index < values.shape[1])
    found = np.take_along_axis(values, np.clip(index, 0, values.shape[1] - 1), axis=1)
    return np.where(inside, found, np.zeros((), values.dtype))
