"""Linear bases of spectra: principal components, found in one or two passes over a stream of batches."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from starloom.arrays import one_line
from starloom.errors import ConfigError
from starloom.networks.forward import Network, affine, linear


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal components of a set of spectra: ``spectrum = mean + coefficients @ components``.

    ``deviation`` is the standard deviation of each coefficient over the set, largest first;
    ``total_variance`` is the variance of the spectra summed over their points.
    """

    mean: np.ndarray  # [point]
    components: np.ndarray  # [coefficient, point]
    deviation: np.ndarray  # [coefficient]
    total_variance: float

    __repr__ = one_line

    @property
    def spread(self) -> float:
        """Root mean square of the set around its mean, over spectra and points."""
        return float(np.sqrt(self.total_variance / len(self.mean)))

    def encoder(self) -> Network:
        """Fixed network: spectra ``[..., point]`` to coefficients of unit variance over the set."""
        weight = (self.components / self.deviation[:, None]).T
        return affine(self.mean, np.ones_like(self.mean)).then(linear(weight, np.zeros(len(self.deviation))))

    def decoder(self) -> Network:
        """Fixed network: coefficients of unit variance to spectra; inverts :meth:`encoder` in the basis."""
        return linear(self.components * self.deviation[:, None], self.mean)

    def truncated(self, coefficients: int) -> "Basis":
        """The basis of the first ``coefficients`` components alone."""
        if not 1 <= coefficients <= len(self.deviation):
            raise ConfigError(f"coefficients = {coefficients} is outside [1, {len(self.deviation)}]")
        keep = slice(coefficients)
        return Basis(self.mean, self.components[keep], self.deviation[keep], self.total_variance)

    @property
    def unexplained(self) -> np.ndarray:
        """Fraction of the variance that is left after the first 1, 2, ... components."""
        return 1 - np.cumsum(self.deviation**2) / self.total_variance


def components_of_few(spectra: np.ndarray, coefficients: int) -> Basis:
    """The ``principal_components`` of ``spectra[spectrum, point]``, fewer than points: by singular values.

    Time grows as spectra^2 x points. ConfigError where there are fewer spectra than coefficients.
    """
    if coefficients > min(len(spectra) - 1, spectra.shape[1]):
        raise ConfigError(f"{coefficients} coefficients need more than {len(spectra)} spectra")
    mean = spectra.mean(axis=0, dtype=np.float64)
    _, sizes, components = np.linalg.svd(spectra - mean, full_matrices=False)
    components, count = components[:coefficients], len(spectra)
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    deviation = sizes[:coefficients] / np.sqrt(count)
    return Basis(mean, components * np.sign(largest), deviation, float((sizes**2).sum() / count))


def principal_components(batches: Iterable[np.ndarray], coefficients: int) -> Basis:
    """Principal components (Pearson 1901) of batches of spectra ``[spectrum, point]``, in one pass.

    The covariance is summed in float64 around the first batch's mean (so that nothing cancels) and
    diagonalised: time grows as spectra x points^2 + points^3, memory as points^2.  Signs: the largest entry
    of each is positive. Raises ``ConfigError`` where there are fewer spectra or points than coefficients.
    """
    from scipy.linalg import eigh  # here, since generating needs a basis' networks but no scipy

    count, origin, total, square = 0, None, 0.0, 0.0
    for batch in batches:
        batch = np.asarray(batch)
        if origin is None:
            origin = batch.mean(axis=0, dtype=np.float64)
        difference = batch - origin
        count += len(batch)
        total = total + difference.sum(axis=0)
        square = square + difference.T @ difference
    if origin is None or coefficients > min(count - 1, len(origin)):
        points = 0 if origin is None else len(origin)
        raise ConfigError(f"{coefficients} coefficients need more than {count} spectra of {points} points")
    covariance = square / count - np.outer(total / count, total / count)
    size = len(covariance)
    variance_kept, vectors = eigh(covariance, subset_by_index=[size - coefficients, size - 1])
    variance_kept, components = variance_kept[::-1], vectors[:, ::-1].T
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    if variance_kept[-1] <= 1e-14 * variance_kept[0]:
        rank = int(np.sum(variance_kept > 1e-14 * variance_kept[0]))
        raise ConfigError(f"coefficients = {coefficients}, but the spectra span only {rank} directions")
    return Basis(
        origin + total / count,
        components * np.sign(largest),
        np.sqrt(variance_kept),
        float(np.trace(covariance)),
    )
