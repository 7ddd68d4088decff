"""Bounded least squares by Levenberg-Marquardt for many problems at once.

Marquardt (1963), J. SIAM 11, 431, with the scale of each parameter from the diagonal of the normal matrix;
bounds by an active set: a parameter at its bound is held there while the gradient points outwards.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# rows and their parameters [row, p] to chi2 [row], -gradient/2 [row, p] and normal matrix [row, p, p]
Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]

# rows, their parameters [row, p] and those a step began at (None: no step) to parameters inside all bounds
Project = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]

FIRST_DAMPING, LEAST_DAMPING, LARGEST_DAMPING = 1e-2, 1e-7, 1e4
CURVED = 1.0  # damping from which a step that fails shows a curved model
AROUND = (0.3, 1.0, 3.0)  # of a step that changes chi2 by 1
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
    project: Project = lambda rows, at, origin: at,
    damping: float = FIRST_DAMPING,
    believed: float = 0.0,
) -> Minimum:
    """Minimise chi2 from ``start[row, p]`` within ``low[p]`` and ``high[p]``.

    ``project`` moves what a step brings out of any further bound back onto it; ``evaluate`` must then give
    slopes along that bound. ``damping`` is that of the first step: less where the start is near.
    Where no step goes down, a promise below ``believed`` is enough, without the look around, which takes 6
    evaluations for each parameter: chi2 is known to some 1e-3.

    A row has converged where its projected gradient promises a decrease of chi2 below ``tolerance`` (so it is
    within 0.03 standard deviations of the minimum), by a matrix that keeps its promises; or where no step,
    or after ``most`` iterations none but a short one, goes down and, a little away along each axis of the
    matrix, nothing is lower by ``tolerance``: at a kink of a bound no gradient vanishes. It then takes part
    in no further evaluation.
    """
    descent = _Descent(evaluate, project, low, high, start, damping)
    converged = np.zeros(len(start), bool)
    iterations = np.zeros(len(start), int)
    rows = np.arange(len(start))
    for _ in range(most):
        converged[rows] = descent.promised(rows) < tolerance
        rows = rows[~converged[rows]]
        if not rows.size:
            break
        iterations[rows] += 1
        descent.step(rows)
        stuck = rows[descent.damping[rows] > LARGEST_DAMPING]
        if stuck.size:
            converged[stuck] = descent.ended(stuck, tolerance, believed)
            rows = rows[~converged[rows]]
    # at a kink steps may also get shorter and shorter, each a little lower
    creeping = rows[descent.damping[rows] > CURVED]
    if creeping.size:
        converged[creeping] = descent.ended(creeping, tolerance, believed)
    return Minimum(descent.at, descent.chi2, converged, iterations)


class _Descent:
    """Rows on their way down."""

    def __init__(self, evaluate: Evaluate, project: Project, low, high, start: np.ndarray, damping: float):
        self.evaluate, self.project, self.low, self.high = evaluate, project, low, high
        rows = np.arange(len(start))
        self.at = project(rows, np.clip(start, low, high), None)
        self.chi2, self.slope, self.matrix = evaluate(rows, self.at)
        self.damping = np.full(len(start), damping)
        # rows whose normal matrix promises what no step keeps: it leaves out the model's second derivatives
        self.curved = np.zeros(len(start), bool)
        self.kept = np.ones(len(start), bool)

    def promised(self, rows: np.ndarray) -> np.ndarray:
        """Decrease of chi2 by an undamped step of what no bound holds; infinite where promises are broken."""
        slope, matrix = self.slope[rows], self.matrix[rows]
        step = _solve(slope, matrix, is_held(self.at[rows], slope, self.low, self.high), np.zeros(len(rows)))
        return np.where(self.kept[rows], (slope * step).sum(axis=1), np.inf)

    def step(self, rows: np.ndarray) -> None:
        """A damped step, taken where chi2 falls."""
        at, slope, matrix, damping = (x[rows] for x in (self.at, self.slope, self.matrix, self.damping))
        held = is_held(at, slope, self.low, self.high)
        step = _step(slope, matrix, held, damping, at, self.low, self.high)
        tried = self.project(rows, np.clip(at + step, self.low, self.high), at)
        chi2, new_slope, normal = self.evaluate(rows, tried)
        gain = (self.chi2[rows] - chi2) / np.maximum(_promise(slope, matrix, step), 1e-300)
        good = np.isfinite(chi2) & (chi2 < self.chi2[rows])
        self.curved[rows] |= ~good & (damping >= CURVED)
        curved = self.curved[rows]
        self.kept[rows] = ~curved | (good & (gain > 0.25))
        fresh = np.where(good[:, None, None], normal, matrix)
        learnt = _secant(matrix, tried - at, slope - new_slope)
        self.matrix[rows] = np.where(curved[:, None, None], learnt, fresh)
        better = rows[good]
        self.at[better], self.chi2[better], self.slope[better] = tried[good], chi2[good], new_slope[good]
        factor = np.where(good, np.where(gain > 0.75, 0.1, np.where(gain < 0.25, 3.0, 1.0)), 10.0)
        self.damping[rows] = np.maximum(damping * factor, LEAST_DAMPING)

    def ended(self, rows: np.ndarray, tolerance: float, believed: float) -> np.ndarray:
        """Whether rows that no step brings down are at the lowest place around, or believed to be."""
        ended = self.promised(rows) < believed
        if not ended.all():
            ended[~ended] = self.look_around(rows[~ended]) < tolerance
        return ended

    def look_around(self, rows: np.ndarray) -> np.ndarray:
        """Go to the lowest of the places AROUND along the axes of the matrix; by how much it is lower."""
        size, axes = np.linalg.eigh(self.matrix[rows])
        steps = axes.swapaxes(1, 2) / np.sqrt(np.maximum(size, 1.0))[..., None]
        steps = np.concatenate([sign * scale * steps for sign in (-1, 1) for scale in AROUND], axis=1)
        owner = np.repeat(rows, steps.shape[1])
        place = (self.at[rows][:, None] + steps).reshape(len(owner), -1)
        place = self.project(owner, np.clip(place, self.low, self.high), None)
        chi2, slope, normal = self.evaluate(owner, place)
        best = chi2.reshape(len(rows), -1).argmin(axis=1) + steps.shape[1] * np.arange(len(rows))
        gained = self.chi2[rows] - chi2[best]
        rows, best = rows[gained > 0], best[gained > 0]
        self.at[rows], self.chi2[rows], self.slope[rows] = place[best], chi2[best], slope[best]
        self.matrix[rows], self.damping[rows] = normal[best], FIRST_DAMPING
        self.curved[rows], self.kept[rows] = False, True
        return gained


def _secant(matrix: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """BFGS, damped as by Powell (1978), eqs. 5.7-5.9; ``change`` of gradient/2 is what a step has shown."""
    along = np.einsum("rpq,rq->rp", matrix, step)
    expected, seen = (step * along).sum(axis=1), (step * change).sum(axis=1)
    low, short = seen < 0.2 * expected, np.maximum(expected - seen, 1e-300)
    mixed = np.divide(0.8 * expected, short, out=np.ones_like(expected), where=low)
    change = mixed[:, None] * change + (1 - mixed)[:, None] * along
    seen = np.maximum((step * change).sum(axis=1), 1e-300)
    found = matrix - along[:, :, None] * along[:, None] / np.maximum(expected, 1e-300)[:, None, None]
    return np.where(
        (expected > 1e-12)[:, None, None],
        found + change[:, :, None] * change[:, None] / seen[:, None, None],
        matrix,
    )


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
