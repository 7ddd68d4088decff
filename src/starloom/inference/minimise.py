"""Bounded least squares by Levenberg-Marquardt for many problems at once.

Marquardt (1963), J. SIAM 11, 431, with the scale of each parameter from the diagonal of the normal matrix;
bounds by an active set: a parameter at its bound is held there while the gradient points outwards.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# rows and their parameters [row, p] to chi2 [row], -gradient/2 [row, p] and normal matrix [row, p, p]
Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]

FIRST_DAMPING, LEAST_DAMPING, LARGEST_DAMPING = 1e-2, 1e-7, 1e7
LONGEST_STEP = 0.25  # in parameters whose range is about 1


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the iteration ended: ``at`` [row, p], ``chi2``, ``converged``, and after how many steps."""

    at: np.ndarray
    chi2: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray


def minimise(
    evaluate: Evaluate,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    tolerance: float = 1e-3,
    most: int = 40,
) -> Minimum:
    """Minimise chi2 from ``start[row, p]`` within ``low[p]`` and ``high[p]``.

    A row has converged where the model promises a decrease of chi2 below ``tolerance`` (so it is within 0.03
    standard deviations of the minimum); it takes part in no further evaluation. ``most`` iterations.
    """
    at = np.clip(start, low, high)
    rows = np.arange(len(at))
    chi2, slope, normal = evaluate(rows, at)
    damping = np.full(len(at), FIRST_DAMPING)
    converged = np.zeros(len(at), bool)
    iterations = np.zeros(len(at), int)
    for _ in range(most):
        held = is_held(at, slope, low, high)
        promised = _promise(slope, normal, _step(slope, normal, held, 0.0, at, low, high))
        converged[rows] |= (promised < tolerance)[rows]
        rows = rows[~converged[rows]]
        if not rows.size:
            break
        iterations[rows] += 1
        step = _step(slope[rows], normal[rows], held[rows], damping[rows], at[rows], low, high)
        tried = at[rows] + step
        new_chi2, new_slope, new_normal = evaluate(rows, tried)
        gain = (chi2[rows] - new_chi2) / np.maximum(_promise(slope[rows], normal[rows], step), 1e-300)
        good = np.isfinite(new_chi2) & (new_chi2 < chi2[rows])
        better = rows[good]
        at[better], chi2[better] = tried[good], new_chi2[good]
        slope[better], normal[better] = new_slope[good], new_normal[good]
        factor = np.where(good, np.where(gain > 0.75, 0.1, np.where(gain < 0.25, 3.0, 1.0)), 10.0)
        damping[rows] = np.maximum(damping[rows] * factor, LEAST_DAMPING)
        # no step, however short, goes down any more: the precision of float32 is reached
        converged[rows] |= damping[rows] > LARGEST_DAMPING
    return Minimum(at, chi2, converged, iterations)


def is_held(at: np.ndarray, slope: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Parameters at a bound over which chi2 would fall: bool[row, p]."""
    return ((at <= low) & (slope < 0)) | ((at >= high) & (slope > 0))


def _step(slope, normal, held, damping, at, low, high):
    """The damped step, no longer than LONGEST_STEP; what would cross a bound goes to it, the rest adapts."""
    step = _solve(slope, normal, held, damping)
    step *= np.minimum(1, LONGEST_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
    inside = np.clip(at + step, low, high) - at
    crossing = inside != step
    if crossing.any():
        bound = np.where(crossing, inside, 0.0)
        adapted = slope - np.einsum("rpq,rq->rp", normal, bound)
        step = np.where(crossing, inside, _solve(adapted, normal, held | crossing, damping))
        step *= np.minimum(1, LONGEST_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        inside = np.clip(at + step, low, high) - at
    return inside


def _solve(slope, normal, held, damping):
    diagonal = np.einsum("rpp->rp", normal)
    scale = np.sqrt(np.where(held | (diagonal <= 0), 1.0, diagonal))
    scaled = normal / scale[:, :, None] / scale[:, None, :]
    scaled = np.where(held[:, :, None] | held[:, None, :], 0.0, scaled)
    index = np.arange(slope.shape[1])
    # 1e-10: parameters on which nothing depends stay where they are
    free = scaled[:, index, index] * (1 + np.asarray(damping)[..., None]) + 1e-10
    scaled[:, index, index] = np.where(held, 1.0, free)
    return np.linalg.solve(scaled, np.where(held, 0.0, slope / scale)[..., None])[..., 0] / scale


def _promise(slope, normal, step):
    """Decrease of chi2 by ``step`` in the quadratic model."""
    return 2 * (slope * step).sum(axis=1) - np.einsum("rp,rpq,rq->r", step, normal, step)
