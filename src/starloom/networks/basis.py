"""Linear bases of spectra: principal components, found in one or two passes over a stream of batches."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from starloom.arrays import one_line
from starloom.errors import ConfigError
from starloom.networks.forward import Network, affine, linear

WIDE = 8000  # points of all spectra that are worked on at once


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

    def leaving(self, rms: float) -> "Basis":
        """The first components that leave no more than ``rms`` of the set; all of them where they leave more.

        ``rms``: root of the variance, summed over points, that is left.
        """
        needed = int(np.sum(self.total_variance * self.unexplained > rms**2)) + 1 if rms > 0 else np.inf
        return self.truncated(min(needed, len(self.deviation)))

    @property
    def unexplained(self) -> np.ndarray:
        """Fraction of the variance that is left after the first 1, 2, ... components."""
        return 1 - np.cumsum(self.deviation**2) / self.total_variance


def principal_components(batches: Iterable[np.ndarray], coefficients: int, few: bool = False) -> Basis:
    """Principal components (Pearson 1901) of batches of spectra ``[spectrum, point]``, in one pass.

    The covariance is summed in float64 around the first batch's mean (so that nothing cancels) and
    diagonalised: time grows as spectra x points^2 + points^3, memory as points^2. Where they are
    ``few``, less than points, all spectra are held and their products diagonalised instead (Sirovich 1987),
    with the roles of points and spectra exchanged. Signs: the largest entry of each is positive. Raises
    ``ConfigError`` where there are fewer spectra or points than coefficients.
    """
    found = _by_spectra if few else _by_points
    mean, total, variance, components = found(map(np.asarray, batches), coefficients)
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    if variance[-1] <= 1e-14 * variance[0]:
        rank = int(np.sum(variance > 1e-14 * variance[0]))
        raise ConfigError(f"coefficients = {coefficients}, but the spectra span only {rank} directions")
    return Basis(mean, components * np.sign(largest), np.sqrt(variance), total)


def _by_points(batches: Iterable[np.ndarray], coefficients: int) -> tuple:
    """Mean, whole variance, variances and components of spectra, by the covariance of their points."""
    count, origin, total, square = 0, 0.0, 0.0, 0.0
    for batch in batches:
        if count == 0 and len(batch):
            origin = batch.mean(axis=0, dtype=np.float64)
        difference = batch - origin
        count += len(batch)
        total = total + difference.sum(axis=0)
        square = square + difference.T @ difference
    _check_enough(coefficients, count, len(square) if count else 0)
    covariance = square / count - np.outer(total / count, total / count)
    variance, vectors = _highest(covariance, coefficients)
    return origin + total / count, float(np.trace(covariance)), variance, vectors.T


def _by_spectra(batches: Iterable[np.ndarray], coefficients: int) -> tuple:
    """The same by the products of spectra: of those that have many more points than there are spectra."""
    spectra = np.concatenate([batch.astype(np.float32) for batch in batches])
    count, points = spectra.shape
    _check_enough(coefficients, count, points)
    mean, products = spectra.mean(axis=0, dtype=np.float64), 0.0
    parts = [slice(start, start + WIDE) for start in range(0, points, WIDE)]
    for part in parts:
        difference = spectra[:, part] - mean[part]
        products = products + difference @ difference.T
    variance, vectors = _highest(products / count, coefficients)
    weight = vectors.T / np.sqrt(count * np.maximum(variance, np.finfo(float).tiny))[:, None]
    components = np.concatenate([weight @ (spectra[:, part] - mean[part]) for part in parts], axis=1)
    return mean, float(np.trace(products) / count), variance, components


def _check_enough(coefficients: int, count: int, points: int) -> None:
    if coefficients > min(count - 1, points):
        raise ConfigError(f"{coefficients} coefficients need more than {count} spectra of {points} points")


def _highest(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The highest eigenvalues of a symmetric matrix, falling, and their vectors ``[row, vector]``."""
    from scipy.linalg import eigh  # here, since generating needs a basis' networks but no scipy

    values, vectors = eigh(matrix, subset_by_index=[len(matrix) - count, len(matrix) - 1])
    return values[::-1], vectors[:, ::-1]
