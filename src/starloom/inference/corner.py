"""The curved bound of the domain, near the radiation limit, in coordinates; the others are those of a box.

With log g free it is a floor, ``coordinates.lowest``, that rises with Teff and [M/H]. With log g held it is
an edge that Teff and [M/H] may not pass: ``coordinates.highest``. It is made of ledges (an [M/H] at which the
floor begins to rise), walls (such a Teff) and slopes between them.
"""

import numpy as np

from starloom.inference import coordinates
from starloom.inference.coordinates import LOGG, MH, TEFF
from starloom.inference.derivatives import PARAMETERS
from starloom.labels import CORNER_MH, CORNER_TEFF

EDGE = 1e-9  # of a coordinate: rounding
_LABELS = np.zeros((max(len(CORNER_TEFF), len(CORNER_MH)), len(PARAMETERS)))
_LABELS[:, TEFF] = np.pad(CORNER_TEFF, (0, len(_LABELS) - len(CORNER_TEFF)), "edge")
_LABELS[:, MH] = np.pad(CORNER_MH, (0, len(_LABELS) - len(CORNER_MH)), "edge")
# coordinates at which the floor has a kink
KINKS = coordinates.from_parameters(_LABELS)[:, [TEFF, MH]].T


def inside(place: np.ndarray, free: tuple[int, ...]) -> np.ndarray:
    """Places ``[row, 7]`` with what is outside moved to the bound: log g, or the nearer of Teff and [M/H]."""
    moved = place.copy()
    if LOGG in free:
        moved[:, LOGG] = np.maximum(place[:, LOGG], coordinates.lowest(place))
    elif TEFF in free and MH in free:
        ends = np.stack(coordinates.highest(place), axis=1)
        beyond = place[:, [TEFF, MH]] - ends
        nearer = np.array([TEFF, MH])[beyond.argmin(axis=1)]
        rows = np.flatnonzero((beyond > 0).any(axis=1))
        moved[rows, nearer[rows]] = ends[rows, (nearer[rows] == MH).astype(int)]
    return moved


def on_floor(place: np.ndarray) -> np.ndarray:
    """Whether log g is at the floor, where that is above the box's: bool[row]."""
    lowest = coordinates.lowest(place)
    return (lowest > 0) & (place[:, LOGG] <= lowest + EDGE)


def up_to_kinks(place: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Places with a step along the floor from ``origin`` ended at the first kink: where a minimum may be."""
    moved = place.copy()
    rows = np.flatnonzero(origin[:, LOGG] <= coordinates.lowest(origin) + EDGE)
    for index, kinks in zip((TEFF, MH), KINKS, strict=True):
        here, there = origin[rows, index, None], place[rows, index, None]
        up = np.where((kinks > here) & (kinks < there), kinks, np.inf).min(axis=1)
        down = np.where((kinks < here) & (kinks > there), kinks, -np.inf).max(axis=1)
        moved[rows, index] = np.clip(there[:, 0], down, up)
    return moved


def limits(place: np.ndarray, low: np.ndarray, high: np.ndarray, free: tuple[int, ...]):
    """``low[7]`` and ``high[7]`` with the bound at each place, by each coordinate alone: ``[row, 7]``."""
    low, high = (np.repeat(end[None], len(place), axis=0) for end in (low, high))
    if LOGG in free:
        low[:, LOGG] = coordinates.lowest(place)
    else:
        for index, end in zip((TEFF, MH), coordinates.highest(place), strict=True):
            high[:, index] = np.minimum(high[:, index], end)
    return low, high


def along(place: np.ndarray, slope: np.ndarray, free: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows over whose bound chi2 would fall, with -gradient/2 ``slope[row, 7]``, and how they may move.

    The latter ``[held, 7, 7]``: derivatives of the coordinates by themselves where one follows the bound.
    """
    if LOGG in free:
        return _along_floor(place, slope)
    if TEFF in free and MH in free:
        return _along_edge(place, slope)
    return np.zeros(0, int), np.zeros((0, len(PARAMETERS), len(PARAMETERS)))


def _along_floor(place, slope):
    lowest = coordinates.lowest(place)
    held = np.flatnonzero((place[:, LOGG] <= lowest + EDGE) & (slope[:, LOGG] < 0))
    matrix = np.repeat(np.eye(len(PARAMETERS))[None], len(held), axis=0)
    matrix[:, LOGG, LOGG] = 0
    for index, (behind, ahead) in zip((TEFF, MH), coordinates.lowest_slopes(place[held]), strict=True):
        up, down = (slope[held, index] + slope[held, LOGG] * side for side in (ahead, behind))
        matrix[:, LOGG, index] = np.where(up > 0, ahead, behind)
        # at a kink chi2 may rise both ways: there it stays
        stays = (up <= 0) & (down >= 0)
        matrix[stays, LOGG, index] = matrix[stays, index, index] = 0
    return held, matrix


def _along_edge(place, slope):
    ends = np.stack(coordinates.highest(place), axis=1)
    at = (place[:, [TEFF, MH]] >= ends - EDGE) & (ends < 1 - EDGE)
    if not at.any():
        return np.zeros(0, int), np.zeros((0, len(PARAMETERS), len(PARAMETERS)))
    # how the end of each changes with the other; a step of the edge shows as a steep slope
    by_mh, by_teff = coordinates.highest_slopes(place)
    on_slope = at.all(axis=1) & (np.minimum(np.abs(by_mh), np.abs(by_teff)) <= 1)
    teff_follows = on_slope & (np.abs(by_mh) <= np.abs(by_teff))
    outward = slope[:, [TEFF, MH]] > 0
    pressing = slope[:, TEFF] - np.where(teff_follows, by_mh, 1 / np.minimum(by_teff, -1e-9)) * slope[:, MH]
    blocked = at & np.where(on_slope[:, None], (pressing > 0)[:, None], outward)
    matrix = np.repeat(np.eye(len(PARAMETERS))[None], len(place), axis=0)
    for column, index, other, derivative in ((0, TEFF, MH, by_mh), (1, MH, TEFF, by_teff)):
        follows = on_slope & (teff_follows == (index == TEFF)) & blocked[:, column]
        matrix[follows, index, index], matrix[follows, index, other] = 0, derivative[follows]
        matrix[blocked[:, column] & ~on_slope, index, index] = 0
    held = np.flatnonzero(blocked.any(axis=1))
    return held, matrix[held]
