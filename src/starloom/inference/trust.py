r"""Whether the labels of a fit are to be believed: what the residuals ask for that the fit did not allow.

Each candidate (``probes``) is a column a beside the columns E of what was free, the patterns of the physics
error among them. Made orthogonal to those, in the metric of the weights W,

.. math:: b = W (a - E^T c), \qquad c = (E W E^T + I)^{-1} E W a, \qquad
          t = \frac{b^T r}{\sqrt{b^T \Sigma b + c^T I c}}

with the residual r, the knowledge I of priors, and the covariance :math:`\Sigma` of noise and of what
neighbours have in common (``uncertainty``), it gives a number t that is normally distributed if all is well:
Rao's score test (1948, Proc. Cambridge Phil. Soc. 44, 50). What a residual of unknown origin adds is taken
out by the root of the inflation that is left when the candidate is granted. The best of n candidates of a
cause is the deviation that is as improbable as it is among n (Sidak 1967, J. Am. Stat. Assoc. 62, 626).

Granted the candidate, each label moves by c times its amplitude :math:`b^T r / b^T a`: the ``shift`` that the
cause implies, in units of the stated errors. ``TrustChain`` grades both, in the manner of the flags of Gaia's
GSP-Spec (Recio-Blanco et al. 2023, A&A 674, A29, table 2), and ``trust`` is a probability learnt from stars
of which the truth is known (``benchmarks/trust.py calibrate``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from scipy.special import log_ndtr, ndtri, ndtri_exp

from starloom import tables
from starloom.inference.probes import CAUSES, Probe
from starloom.inference.uncertainty import Bounds, Neighbourhood, Uncertainty, inflation

PLACE = "starloom.inference"
TABLE = "trust"
FIRED = 2.5  # standard deviations from which on a cause is taken for real
BELIEVED = ("teff", "logg", "mh", "alpha")  # labels whose shifts count
UNTOLD = 1e-5  # of a candidate's square: what is no larger of it is new for float32 alone
SMALL, LARGE = 1.0, 3.0  # stated errors: shifts from which on a grade is 2, and 9


@dataclass(frozen=True)
class Doubt:
    """What speaks for one of ``CAUSES``.

    ``name`` of its best candidate; ``deviations``: how improbable it is without the cause, in standard
    deviations; ``shift``: the largest shift of a label that it implies, in stated errors; ``amplitude`` of
    the candidate.
    """

    cause: str
    name: str = ""
    deviations: float = 0.0
    shift: float = 0.0
    amplitude: float = 0.0

    @property
    def fired(self) -> bool:
        """Whether the cause is taken for real."""
        return self.deviations > FIRED

    @property
    def grade(self) -> int:
        """0: nothing; 1: there, but it hardly moves labels; 2: by more than SMALL errors; 9: than LARGE."""
        if not self.fired:
            return 0
        return 1 if self.shift < SMALL else 2 if self.shift < LARGE else 9


@dataclass(frozen=True, repr=False)
class Trust:
    """``value``: the probability that the labels are right within their errors; ``doubts`` by cause."""

    value: float
    doubts: Mapping[str, Doubt]

    def __repr__(self) -> str:
        reason = f", {self.reason}" if self.reason else ""
        return f"Trust({self.value:.2f}, {self.chain}{reason})"

    @property
    def chain(self) -> str:
        """The grades of all causes, a digit each, in the order of ``CAUSES``."""
        return "".join(str(doubt.grade) for doubt in self.doubts.values())

    def asks_for(self, name: str) -> bool:
        """Whether the spectrum asks for another value of the label ``name``, which is held."""
        return self.doubts["held"].fired and self.doubts["held"].name == name

    @property
    def worst(self) -> Doubt | None:
        """Of the causes that fired the one that moves labels most."""
        fired = [doubt for doubt in self.doubts.values() if doubt.fired]
        return max(fired, key=lambda doubt: (doubt.grade, doubt.deviations), default=None)

    @property
    def reason(self) -> str:
        """The worst cause in words, empty where none fired."""
        worst = self.worst
        return "" if worst is None else f"{worst.cause} {worst.name}".strip()

    @property
    def about(self) -> dict:
        """As JSON holds it."""
        doubts = {doubt.cause: [doubt.name, doubt.deviations, doubt.shift] for doubt in self.doubts.values()}
        return {"value": self.value, "chain": self.chain, "name_deviations_shift": doubts}

    @property
    def text(self) -> list[str]:
        """Lines that tell it: the probability, and each cause that fired."""
        fired = [doubt for doubt in self.doubts.values() if doubt.fired]
        told = [
            f"? {doubt.cause} {doubt.name}".rstrip() + f": {doubt.deviations:.1f} sigma, grade {doubt.grade}"
            for doubt in fired
        ]
        return [f"trust {self.value:.2f} ({self.chain})", *told]


def trust(star: Neighbourhood, known: Uncertainty, bounds: Bounds, probes: Iterable[Probe]) -> Trust:
    """What is to be thought of a fitted star, with candidates of what may be wrong."""
    doubts = {cause: Doubt(cause) for cause in CAUSES}
    doubts["range"] = beyond(bounds)
    doubts["residuals"] = _residuals(star)
    scores = Scores(star, known, bounds)
    for probe in probes:
        doubts[probe.cause] = scores.doubt(probe)
    return Trust(probability(doubts), doubts)


def among(deviation: float, trials: float) -> float:
    """The deviation (one-sided) that is as improbable as one of so many trials being beyond ``deviation``."""
    none = trials * log_ndtr(deviation)  # log of P(none beyond)
    if none < -0.5:
        return float(ndtri_exp(none))
    if none < -1e-9:
        return float(-ndtri(-np.expm1(none)))
    return float(-ndtri_exp(log_ndtr(-deviation) + np.log(trials)))


def trials(cause: str, candidates: int) -> float:
    """How many independent candidates there are among so many of a cause, which overlap."""
    table = tables.load(TABLE, PLACE)
    share = dict(zip(table["causes"].tolist(), table["independent"].tolist(), strict=True))[cause]
    return max(1.0, share * candidates)


@dataclass(frozen=True, eq=False)
class Scores:
    """What candidates of causes are worth for a star; see the module."""

    star: Neighbourhood
    known: Uncertainty
    bounds: Bounds

    def doubt(self, probe: Probe) -> Doubt:
        """The best candidate of a cause: chosen by the weights, judged by all that is known of noise."""
        rough = self._rough(probe.columns)
        best = int((rough if probe.positive else np.abs(rough)).argmax())
        taken, left = self._apart(probe.columns[best].astype(np.float64))
        moved = left * self._weight
        found, size = self._found(taken, moved), float(moved @ left + taken**2 @ self._information)
        if rough[best] == 0:
            return Doubt(probe.cause, probe.names[best])
        amplitude = found / size
        deviation = found / sqrt(self._variance(taken, moved) * self._inflation(amplitude, left, found))
        deviation, sides = (deviation, 1) if probe.positive else (abs(deviation), 2)
        count = sides * trials(probe.cause, len(probe.names))
        shift = self._shift(taken * amplitude)
        return Doubt(probe.cause, probe.names[best], among(deviation, count), shift, amplitude)

    @cached_property
    def _weight(self) -> np.ndarray:
        return np.where(self.star.used, 1 / self.star.error**2, 0.0)

    @cached_property
    def _active(self) -> np.ndarray:
        """Rows of the free parameters that no bound holds, and of the continuum."""
        names = self.star.setup.free_names
        free = [row for row, name in enumerate(names) if name not in self.bounds.names]
        return np.append(free, np.arange(len(names), len(self.star.columns))).astype(int)

    @cached_property
    def _every(self) -> np.ndarray:
        return np.concatenate([self.star.columns[self._active].astype(np.float64), self.star.patterns])

    @cached_property
    def _seen(self) -> np.ndarray:
        return self._every * self._weight

    @cached_property
    def _information(self) -> np.ndarray:
        """What is known of the columns' parameters: 1 / variance."""
        free = list(self.star.setup.free)
        firm = np.zeros(len(self.star.columns))
        firm[: len(free)] = 1 / self.star.prior_deviation[free] ** 2
        return np.append(firm[self._active], np.ones(len(self.star.patterns)))

    @cached_property
    def _prior_slope(self) -> np.ndarray:
        """Half of what chi2 of the priors falls by, by the columns' parameters; patterns are at 0."""
        apart = (self.star.prior_mean - self.star.parameters)[list(self.star.setup.free)]
        whole = np.append(apart, np.zeros(len(self.star.columns) - len(apart)))[self._active]
        return np.append(whole, np.zeros(len(self.star.patterns))) * self._information

    @cached_property
    def _inverse(self) -> np.ndarray:
        normal = self._seen @ self._every.T + np.diag(self._information)
        scale = 1 / np.sqrt(np.maximum(np.diag(normal), 1e-30))
        scaled = normal * scale * scale[:, None] + 1e-10 * np.eye(len(scale))
        return np.linalg.inv(scaled) * scale * scale[:, None]

    def _rough(self, columns: np.ndarray) -> np.ndarray:
        """t of candidates ``columns[row, pixel]`` by the weights alone; 0 where nothing of one is new."""
        weighted = columns * self._weight.astype(np.float32)
        products = weighted @ self._every.T.astype(np.float32)
        taken = products @ self._inverse
        whole = np.einsum("rp,rp->r", weighted, columns)
        size = whole - (taken * products).sum(axis=1)
        found = weighted @ self.star.residual.astype(np.float32)
        found = found - taken @ (self._seen @ self.star.residual + self._prior_slope)
        return np.where(size > UNTOLD * whole, found / np.sqrt(np.maximum(size, 1e-30)), 0.0)

    def _apart(self, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """c of the module's text, and what of the column is new."""
        taken = self._inverse @ (self._seen @ column)
        return taken, column - taken @ self._every

    def _found(self, taken: np.ndarray, moved: np.ndarray) -> float:
        return float(moved @ self.star.residual - taken @ self._prior_slope)

    def _variance(self, taken: np.ndarray, moved: np.ndarray) -> float:
        noise = (moved * self.star.pixel_error)[None]
        variance = float((noise * self.star.correlate(noise)).sum() + taken**2 @ self._information)
        for size, edges in self.star.common:
            variance += float((np.add.reduceat(moved * size, edges) ** 2).sum())
        return variance

    @cached_property
    def _residual(self) -> np.ndarray:
        return self.star.without_patterns(self._weight)

    @cached_property
    def _expected(self) -> np.ndarray:
        return self.star.expected(self.star.profile_pixels)

    def _inflation(self, amplitude: float, left: np.ndarray, found: float) -> float:
        """That of the residuals which are left when a candidate is granted."""
        residual = (self._residual - amplitude * left) / self.star.error
        chi2 = self.star.chi2 - amplitude * found
        return inflation(residual, self.star.used, self.star.dof, self._expected, chi2)

    def _shift(self, moved: np.ndarray) -> float:
        """The largest shift of one of the labels BELIEVED, of ``moved[column]``, in stated errors."""
        free, names = self.star.setup.free, self.star.setup.free_names
        errors = np.sqrt(np.diag(self.known.covariance))
        shifts = [
            abs(moved[column]) / errors[free[place]]
            for column, place in enumerate(self._active)
            if place < len(free) and names[place] in BELIEVED
        ]
        return float(max(shifts, default=0.0))


def beyond(bounds: Bounds) -> Doubt:
    """The label that would go furthest beyond the end of its range: by so many errors it is off."""
    name = max(bounds.pulls, key=lambda name: bounds.pulls[name], default="")
    pulled = bounds.pulls.get(name, 0.0)
    return Doubt("range", name, pulled, pulled)


def _residuals(star: Neighbourhood) -> Doubt:
    """How much larger and more correlated the residuals are than the errors allow."""
    weight = np.where(star.used, 1 / star.error**2, 0.0)
    left = np.where(star.used, star.without_patterns(weight) / star.error, 0.0)
    reach = star.profile_pixels
    expected, total = star.expected(reach), max(float((left**2).sum()), 1e-30)
    larger = (star.chi2 / star.dof - 1) / sqrt(2 * (1 + 2 * (expected**2).sum()) / star.dof)
    length = 1 + 2 * sum((left[:-k] * left[k:]).sum() for k in range(1, reach + 1)) / total
    longer = (length / (1 + 2 * expected.sum()) - 1) / (2 * sqrt(reach / star.dof))
    name, most = max(("chi2", larger), ("correlation", float(longer)), key=lambda pair: pair[1])
    return Doubt("residuals", name, among(most, 2) if most > -5 else -5.0)


def probability(doubts: Mapping[str, Doubt]) -> float:
    """That the labels are right within their errors, by what was learnt; ``doubts`` by cause."""
    table = tables.load(TABLE, PLACE)
    raw = float(features(doubts) @ table["weights"] + table["bias"])
    return float(np.interp(raw, table["raw"], table["probability"]))


def features(doubts: Mapping[str, Doubt]) -> np.ndarray:
    """What ``trust`` is learnt from, ``[2 * cause]``: of ``doubts`` the deviations, then the shifts."""
    size = np.array([max(doubts[cause].deviations, 0.0) for cause in CAUSES])
    shift = np.array([doubts[cause].shift for cause in CAUSES])
    evidence = np.log1p(np.minimum(size, 100.0) ** 2 / 4)
    return np.concatenate([evidence, np.log1p(np.minimum(shift, 100.0)) * np.minimum(size / FIRED, 1.0)])
