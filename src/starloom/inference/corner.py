"""The curved bound of a domain with a floor of log g, in coordinates; the other bounds are those of a box.

With log g free it is a floor, ``Coordinates.lowest``, that rises with Teff and [M/H]. With log g held it is
an edge that Teff and [M/H] may not pass: ``Coordinates.highest``. It is made of ledges (an [M/H] at which the
floor begins to rise), walls (such a Teff) and slopes between them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from starloom.inference.coordinates import Coordinates

EDGE = 1e-9  # of a coordinate: rounding


@dataclass(frozen=True)
class Corner:
    """The bound by a floor where the coordinates ``free`` may move; nothing where the domain has no floor."""

    coordinates: Coordinates
    free: tuple[int, ...]

    @cached_property
    def is_floor(self) -> bool:
        """Whether the bound is one of log g."""
        return self.coordinates.domain.floor is not None and self.coordinates.index("logg") in self.free

    @cached_property
    def is_edge(self) -> bool:
        """Whether the bound is one of Teff and [M/H] together, at a held log g."""
        if self.coordinates.domain.floor is None or self.is_floor:
            return False
        teff, _, mh = self.coordinates.floored
        return teff in self.free and mh in self.free

    def inside(self, place: np.ndarray) -> np.ndarray:
        """Places with what is outside moved to the bound: log g, or the nearer of Teff and [M/H]."""
        moved = place.copy()
        if self.is_floor:
            logg = self.coordinates.index("logg")
            moved[:, logg] = np.maximum(place[:, logg], self.coordinates.lowest(place))
        elif self.is_edge:
            teff, _, mh = self.coordinates.floored
            ends = np.stack(self.coordinates.highest(place), axis=1)
            beyond = place[:, [teff, mh]] - ends
            nearer = np.array([teff, mh])[beyond.argmin(axis=1)]
            rows = np.flatnonzero((beyond > 0).any(axis=1))
            moved[rows, nearer[rows]] = ends[rows, (nearer[rows] == mh).astype(int)]
        return moved

    def on_floor(self, place: np.ndarray) -> np.ndarray:
        """Whether log g is at the floor, where that is above the box's: bool[row]."""
        if not self.is_floor:
            return np.zeros(len(place), bool)
        lowest = self.coordinates.lowest(place)
        return (lowest > 0) & (place[:, self.coordinates.index("logg")] <= lowest + EDGE)

    def up_to_kinks(self, place: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """Places with a step along the floor from ``origin`` ended at the first kink: it may be a minimum."""
        if not self.is_floor:
            return place
        moved, (teff, logg, mh) = place.copy(), self.coordinates.floored
        rows = np.flatnonzero(origin[:, logg] <= self.coordinates.lowest(origin) + EDGE)
        for index, kinks in zip((teff, mh), self.coordinates.kinks, strict=True):
            here, there = origin[rows, index, None], place[rows, index, None]
            up = np.where((kinks > here) & (kinks < there), kinks, np.inf).min(axis=1)
            down = np.where((kinks < here) & (kinks > there), kinks, -np.inf).max(axis=1)
            moved[rows, index] = np.clip(there[:, 0], down, up)
        return moved

    def limits(self, place: np.ndarray, low: np.ndarray, high: np.ndarray):
        """``low[p]`` and ``high[p]`` with the bound at each place, by each coordinate alone: ``[row, p]``."""
        low, high = (np.repeat(end[None], len(place), axis=0) for end in (low, high))
        if self.is_floor:
            low[:, self.coordinates.index("logg")] = self.coordinates.lowest(place)
        elif self.coordinates.domain.floor is not None:
            teff, _, mh = self.coordinates.floored
            for index, end in zip((teff, mh), self.coordinates.highest(place), strict=True):
                high[:, index] = np.minimum(high[:, index], end)
        return low, high

    def along(self, place: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows over whose bound chi2 would fall, with -gradient/2 ``slope[row, p]``, and how they may move.

        The latter ``[held, p, p]``: derivatives of the coordinates by themselves where one follows the bound.
        """
        if self.is_floor:
            return self._along_floor(place, slope)
        if self.is_edge:
            return self._along_edge(place, slope)
        return np.zeros(0, int), self._unmoved(0)

    def _unmoved(self, rows: int) -> np.ndarray:
        return np.repeat(np.eye(len(self.coordinates.names))[None], rows, axis=0)

    def _along_floor(self, place, slope):
        teff, logg, mh = self.coordinates.floored
        lowest = self.coordinates.lowest(place)
        held = np.flatnonzero((place[:, logg] <= lowest + EDGE) & (slope[:, logg] < 0))
        matrix = self._unmoved(len(held))
        matrix[:, logg, logg] = 0
        sides = self.coordinates.lowest_slopes(place[held])
        for index, (behind, ahead) in zip((teff, mh), sides, strict=True):
            up, down = (slope[held, index] + slope[held, logg] * side for side in (ahead, behind))
            matrix[:, logg, index] = np.where(up > 0, ahead, behind)
            # at a kink chi2 may rise both ways: there it stays
            stays = (up <= 0) & (down >= 0)
            matrix[stays, logg, index] = matrix[stays, index, index] = 0
        return held, matrix

    def _along_edge(self, place, slope):
        teff, _, mh = self.coordinates.floored
        ends = np.stack(self.coordinates.highest(place), axis=1)
        at = (place[:, [teff, mh]] >= ends - EDGE) & (ends < 1 - EDGE)
        if not at.any():
            return np.zeros(0, int), self._unmoved(0)
        # how the end of each changes with the other; a step of the edge shows as a steep slope
        by_mh, by_teff = self.coordinates.highest_slopes(place)
        on_slope = at.all(axis=1) & (np.minimum(np.abs(by_mh), np.abs(by_teff)) <= 1)
        teff_follows = on_slope & (np.abs(by_mh) <= np.abs(by_teff))
        outward = slope[:, [teff, mh]] > 0
        follow = np.where(teff_follows, by_mh, 1 / np.minimum(by_teff, -1e-9))
        pressing = slope[:, teff] - follow * slope[:, mh]
        blocked = at & np.where(on_slope[:, None], (pressing > 0)[:, None], outward)
        matrix = self._unmoved(len(place))
        for column, index, other, derivative in ((0, teff, mh, by_mh), (1, mh, teff, by_teff)):
            follows = on_slope & (teff_follows == (index == teff)) & blocked[:, column]
            matrix[follows, index, index], matrix[follows, index, other] = 0, derivative[follows]
            matrix[blocked[:, column] & ~on_slope, index, index] = 0
        held = np.flatnonzero(blocked.any(axis=1))
        return held, matrix[held]
