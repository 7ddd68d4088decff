r"""The Gaussian posterior of a correction's coefficients, of many stars, by conjugate gradients.

Of a star s a whitened spectrum tells :math:`y_s = X_s V^T \varphi_s + U_s \delta_s + n`, with splines times
the model's flux in :math:`X_s`, and directions :math:`U_s` (label errors, continuum) whose amplitudes have
unit variance and are marginalised. By Woodbury (1950) it brings to the normal equations

.. math:: A_s = X_s^T (1 - Z_s^T Z_s) X_s = G_s - R_s R_s^T, \qquad h_s = X_s^T (1 - Z_s^T Z_s) y_s

with G of few diagonals and R of few columns. The prior is independent for the features, and stationary in
wavelength: of variances ``power`` of the cosines of the splines' coefficients. In units of them the matrix is
:math:`1 + \sum_s \varphi_s \varphi_s^T \otimes A_s`, preconditioned by stars without R that have all the same
G up to a factor. Draws of the posterior solve the same equations with noise on the right (Papandreou & Yuille
2010, NIPS 23, section 2).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import fft

from starloom.arrays import one_line
from starloom.errors import ConfigError

MOST = 400  # iterations
BLOCK = 64  # stars worked on at once
SURE = 3.0  # deviations
NEGLIGIBLE = (
    1e-2  # of the prior's information: directions of the features of which stars tell less have the prior
)


@dataclass(frozen=True, eq=False)
class Told:
    """What stars tell, one after another: see the module.

    ``features[star, k]``, ``diagonals[d, star, m]`` of G (the d-th from the main one, zeros at its end),
    ``removed[star, m, u]`` R, ``right[star, m]`` h, and ``noise[draw, star, m]``: draws of covariance A.
    """

    features: np.ndarray
    diagonals: np.ndarray
    removed: np.ndarray
    right: np.ndarray
    noise: np.ndarray

    __repr__ = one_line

    def part(self, rows: np.ndarray) -> "Told":
        """What some of the stars tell: ``rows`` are their numbers."""
        own = self.diagonals[:, rows], self.removed[rows], self.right[rows], self.noise[:, rows]
        return Told(self.features[rows], *own)

    def times(self, coefficients: np.ndarray) -> np.ndarray:
        """The sum over the stars, times ``coefficients[draw, k, m]``."""
        known = self.known
        seen = coefficients[..., known]
        draws, count, splines = seen.shape
        turned = np.ascontiguousarray(seen.swapaxes(0, 1), np.float32).reshape(count, -1)
        summed = np.zeros((count, draws * splines), np.float32)
        for start in range(0, len(self.features), BLOCK):
            part = slice(start, start + BLOCK)
            own = (self.features[part] @ turned).reshape(-1, draws, splines)
            told = self._star_by_star(part, own)
            summed += self.features[part].T @ told.reshape(len(own), -1)
        found = np.zeros(coefficients.shape, np.float32)
        found[..., known] = summed.reshape(count, draws, splines).swapaxes(0, 1)
        return found

    @cached_property
    def known(self) -> slice:
        """The splines of which stars tell something: those in the library's range of wavelengths."""
        told = np.flatnonzero(self.diagonals[0].any(axis=0))
        return slice(int(told[0]), int(told[-1]) + 1) if told.size else slice(0, 0)

    def _star_by_star(self, part: slice, own: np.ndarray) -> np.ndarray:
        """A times ``own[star, draw, m]`` of a part of the stars, of the ``known`` splines."""
        diagonals, removed = self.diagonals[:, part, self.known], self.removed[part, self.known]
        told = diagonals[0][:, None] * own
        for lag in range(1, len(diagonals)):
            band = diagonals[lag, :, :-lag][:, None]
            told[..., :-lag] += band * own[..., lag:]
            told[..., lag:] += band * own[..., :-lag]
        return told - (own @ removed) @ removed.swapaxes(1, 2)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """``mean[k, m]`` of the coefficients and ``draws[draw, k, m]`` around it; ``cosines`` of both."""

    mean: np.ndarray
    draws: np.ndarray
    iterations: int

    __repr__ = one_line

    @property
    def cosines(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and draws in terms of cosines along the splines."""
        return _cosines(self.mean), _cosines(self.draws)


def solved(told: Told, power: np.ndarray, rng: np.random.Generator, tolerance: float = 1e-4) -> Coefficients:
    """The posterior with prior variances ``power[m]`` of the cosines (0: left out).

    ``rng`` draws the prior's part of as many draws as ``told`` has noise for; ``tolerance`` is that of the
    equations' residual over their right side. Raises ConfigError where they are not solved.
    """
    root, seen, (size, vectors) = np.sqrt(power), *_typical(told, power)
    apart = size * float((seen * power).max()) > NEGLIGIBLE  # of which stars tell something
    apart[size.argmax()] = True
    turned = replace(told, features=(told.features @ vectors[:, apart]).astype(np.float32))
    right = np.stack([turned.features.T @ each for each in (told.right, *told.noise)])
    right = _cosines(right) * root
    prior = rng.standard_normal((len(told.noise), len(size), power.size))
    prior[:, apart] += right[1:]
    right = np.concatenate([right[:1], prior[:, apart]])

    def matrix(x: np.ndarray) -> np.ndarray:
        return x + root * _cosines(turned.times(_splines(x * root)))

    inverse = 1 / (1 + size[apart, None] * seen * power)
    found, count = _conjugate_gradients(matrix, right, lambda x: inverse * x, tolerance)
    whole = np.concatenate([np.zeros((1, *prior.shape[1:])), prior])
    whole[:, apart] = found
    every = vectors @ _splines(whole * root)
    return Coefficients(every[0], every[1:], count)


def evidence(told: Told, power: np.ndarray, found: Coefficients) -> float:
    """Logarithm of the probability of what stars tell with a prior, up to a constant, about.

    Its determinant is that of typical stars without R, by which the equations are preconditioned: what label
    errors and continua take of it is taken as the same for all priors.
    """
    seen, (size, _) = _typical(told, power)
    explained = float(((told.features @ found.mean) * told.right).sum())
    return explained / 2 - float(np.log1p(size[:, None] * seen * power).sum()) / 2


def _typical(told: Told, power: np.ndarray):
    """What a typical star tells of each cosine, and by how much stars tell each direction of the features."""
    shape = told.diagonals.mean(axis=(1, 2))
    angle = np.pi * np.arange(power.size) / power.size
    seen = shape[0] + 2 * sum(shape[lag] * np.cos(lag * angle) for lag in range(1, len(shape)))
    weight = told.diagonals[0].mean(axis=1) / shape[0]
    values, vectors = np.linalg.eigh((told.features * weight[:, None]).T @ told.features)
    return np.maximum(seen, 0), (np.maximum(values, 0), vectors)


def next_power(found: Coefficients, power: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Variances by which the posterior is more probable, the same between ``edges`` of the cosines.

    MacKay (1992), Neural Computation 4, 415, eq. 4.9: the mean's squares over the number of coefficients that
    are told. Where that is too small to be known from a few draws a variance stays, but not above that of the
    smoother cosines before it.
    """
    mean, draws = found.cosines
    wanted, limit = power.copy(), np.inf
    for first, end in pairwise(edges):
        here = slice(first, end)
        count = mean[:, here].size
        told = count * (1 - (draws[..., here] ** 2).mean() / power[first])
        if told > SURE * np.sqrt(2 * count / len(draws)):
            ratio = (mean[:, here] ** 2).sum() / told / power[first]
            wanted[here] = limit = power[first] * np.clip(ratio, 1e-2, 1e2) ** 0.75
        else:
            wanted[here] = min(power[first], limit)
    return wanted


def octaves(first: int, count: int) -> np.ndarray:
    """Edges of bands of cosines from ``first`` to ``count``, each half as wide again as its start."""
    edges = [first]
    while edges[-1] < count:
        edges.append(min(count, max(edges[-1] + 2, int(edges[-1] * 1.5))))
    return np.array(edges)


def _cosines(coefficients: np.ndarray) -> np.ndarray:
    return fft.dct(coefficients, type=2, norm="ortho", axis=-1)


def _splines(cosines: np.ndarray) -> np.ndarray:
    return fft.idct(cosines, type=2, norm="ortho", axis=-1)


def _conjugate_gradients(matrix, right: np.ndarray, precondition, tolerance: float):
    """Solutions of the rows of ``right[row, ...]``, each by its own steps, and the iterations.

    Hestenes & Stiefel (1952), J. Res. NBS 49, 409.
    """

    def dot(a, b):
        return (a * b).sum(axis=(1, 2), keepdims=True)

    x, residual = np.zeros(right.shape), right.copy()
    ahead = precondition(residual)
    step, size = ahead.copy(), dot(residual, ahead)
    goal = tolerance**2 * dot(right, right)
    for count in range(1, MOST + 1):
        moved = matrix(step)
        length = size / np.maximum(dot(step, moved), 1e-300)
        x += length * step
        residual -= length * moved
        if (dot(residual, residual) <= goal).all():
            return x, count
        ahead = precondition(residual)
        last, size = size, dot(residual, ahead)
        step = ahead + (size / np.maximum(last, 1e-300)) * step
    worst = float(np.sqrt((dot(residual, residual) / np.maximum(dot(right, right), 1e-300)).max()))
    if worst > 100 * tolerance:
        raise ConfigError(
            f"the correction's equations are not solved: residual {worst:.1e} after {MOST} steps"
        )
    return x, MOST
