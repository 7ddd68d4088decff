"""Which labels to draw: uniform random points or a scrambled Sobol sequence, within the domain.

Point i is the same however many points are asked for, so a store can grow and a chunk can be made anywhere.
"""

from collections.abc import Callable

import numpy as np

from starloom.errors import ConfigError

Accept = Callable[[np.ndarray], np.ndarray]
LARGEST_REJECTION = 1000  # draws per point: below an acceptance of 1 in 1000 the ranges are a mistake


def uniform(seed: int, first: int, count: int, low, high, accept: Accept | None = None) -> np.ndarray:
    """Independent uniform points ``first .. first + count - 1`` in the box: float64[count, dimension].

    ``low`` and ``high`` are the box's corners; ``accept`` takes points [n, dimension] and says which are in
    the domain (bool[n]). Point i comes from the random stream [seed, i], its first accepted draw. Raises
    ``ConfigError`` where almost nothing in the box is accepted.
    """
    low, high = _box(low, high)
    points = np.empty((count, low.size))
    for row in range(count):
        points[row] = _first_accepted(np.random.default_rng([seed, first + row]), low, high, accept)
    return points


def sobol(seed: int, first: int, count: int, low, high, accept: Accept | None = None) -> np.ndarray:
    """Points ``first .. first + count - 1`` of a scrambled Sobol sequence: float64[count, dimension].

    Owen (1998) scrambling of the sequence of Joe & Kuo (2008), by ``scipy.stats.qmc``; points outside the
    domain are skipped, so that point i is the i-th accepted one. Arguments and errors as for ``uniform``.

    ``low`` and ``high`` are the box's corners, ``accept`` says which points are in the domain. ConfigError
    for ranges that are no box, and where almost nothing is accepted.
    """
    from scipy.stats import qmc  # here, since scipy comes with an extra

    low, high = _box(low, high)
    size = first + count
    # the sequence is balanced in blocks of powers of two; more than is needed is drawn, for those not
    # accepted
    for power in range(max(4, int(size).bit_length()), 31):
        drawn = qmc.Sobol(low.size, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)
        points = low + (high - low) * drawn
        inside = points if accept is None else points[accept(points)]
        if len(inside) >= size:
            return inside[first:size]
        if len(points) > LARGEST_REJECTION * (len(inside) + 1):
            break
    raise ConfigError("ranges: almost none of the points drawn in them is inside the domain")


def at_ends(points: np.ndarray, chance: np.ndarray, share: float, low, high) -> np.ndarray:
    """Points [..., dimension] with each coordinate at an end of its range with the probability ``share``.

    ``chance``, uniform in [0, 1) and of the points' shape, decides: the lowest half of ``share`` puts a
    coordinate at ``low``, the highest at ``high``.
    """
    return np.where(chance < share / 2, low, np.where(chance >= 1 - share / 2, high, points))


def _box(low, high) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(low <= high)):
        raise ConfigError(f"ranges: {low.tolist()} .. {high.tolist()} is no box")
    return low, high


def _first_accepted(random, low, high, accept) -> np.ndarray:
    for _ in range(LARGEST_REJECTION):
        point = random.uniform(low, high)
        if accept is None or accept(point[None])[0]:
            return point
    raise ConfigError("ranges: almost none of the points drawn in them is inside the domain")
