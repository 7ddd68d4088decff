"""A model's flux with a correction learned from observed stars: derivatives, and what it leaves uncertain."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from starloom.inference.derivatives import parameters
from starloom.inference.objective import chebyshev
from starloom.labels import Domain
from starloom.networks.flux_correction import FluxCorrection, at_rest

MOST_PATTERNS = 160  # of a star


class CorrectedDerivatives:
    """``derivatives`` of a model of a ``domain`` at ``vacuum_aa``, with a correction."""

    def __init__(self, derivatives: Any, correction: FluxCorrection, domain: Domain, vacuum_aa: np.ndarray):
        self.derivatives, self.correction = derivatives, correction
        self.domain, self.vacuum_aa, self.names = domain, vacuum_aa, parameters(domain)

    @property
    def emulator(self) -> Any:
        """That of the model, without the correction."""
        return self.derivatives.emulator

    def __call__(self, labels: np.ndarray, velocity: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
        """As ``Derivatives``."""
        found = self.derivatives(labels, velocity, wanted)
        rest, names = at_rest(self.vacuum_aa, velocity), [self.names[index] for index in wanted]
        ratio = self.correction.with_slopes(self.domain, labels, rest, names)
        found[:, 1:] += found[:, :1] * ratio[:, 1:].astype(np.float32)
        return found * np.exp(ratio[:, :1]).astype(np.float32)


def with_correction(
    derivatives: Any, correction: FluxCorrection | None, domain: Domain, vacuum_aa: np.ndarray
) -> Any:
    """The derivatives as a correction, if there is one, changes them."""
    if correction is None:
        return derivatives
    return CorrectedDerivatives(derivatives, correction, domain, vacuum_aa)


def correction_patterns(
    correction: FluxCorrection, domain: Domain, parameters: np.ndarray, vacuum_aa: np.ndarray
) -> np.ndarray:
    """What a correction leaves uncertain of the flux over the model's, as patterns ``[row, pattern, pixel]``.

    ``parameters[row, p]`` are labels and velocity. The draws that a correction has are fewer than what may be
    wrong with it, and a fit would look for what none of them changes: so each is cut into windows whose
    squares add up to 1, by which parts that are far apart are uncertain independently. Hamill et al. (2001),
    Monthly Weather Review 129, 2776 (localisation of a covariance).
    """
    rest = at_rest(vacuum_aa, parameters[:, -1])
    whole = correction.log_patterns(domain, parameters[:, :-1], rest)
    rows, draws, pixels = whole.shape
    windows = _windows(vacuum_aa, max(1, MOST_PATTERNS // max(1, draws)))
    return (whole[:, :, None] * windows).reshape(rows, -1, pixels).astype(np.float32)


def unknown_slopes(correction: FluxCorrection, vacuum_aa: np.ndarray, order: int) -> np.ndarray:
    """Patterns ``[polynomial, pixel]`` of the continuum that a correction does not know, beyond an ``order``.

    A star that it was learned from had a polynomial of its own. What of the same degrees per Angstrom a fit
    does not free is as uncertain as the correction where no star is.
    """
    low, high = correction.about.get("range_aa", vacuum_aa[[0, -1]])
    share = (vacuum_aa[-1] - vacuum_aa[0]) / (high - low)
    highest = int(np.ceil(correction.about.get("continuum", 0) * share))
    return correction.about.get("prior", 0.0) * chebyshev(vacuum_aa, max(highest, order))[order + 1 :]


def _windows(vacuum_aa: np.ndarray, count: int) -> np.ndarray:
    """``[window, pixel]`` of which the squares are hats that add up to 1; a single one is 1."""
    if count == 1:
        return np.ones((1, vacuum_aa.size))
    place = np.interp(np.log(vacuum_aa), np.log(vacuum_aa[[0, -1]]), [0, count - 1])
    return np.sqrt(np.maximum(0, 1 - np.abs(place - np.arange(count)[:, None])))
