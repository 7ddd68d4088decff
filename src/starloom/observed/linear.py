"""Spectra of stars as linear functions of label errors, continuum and correction, and what they tell."""

import numpy as np
from scipy import sparse

from starloom.networks.flux_correction import (
    LabelAxis,
    SplineGrid,
    at_rest,
    label_features,
)
from starloom.observed.field import Field
from starloom.observed.library import ESTIMATED
from starloom.observed.posterior import Told

BLOCK = 32  # stars linearised at once
CONTINUUM = 1.0  # deviation of the coefficients of a polynomial, in units of the continuum
LEAST_NOISE = 0.2  # over an estimate that counts lines as noise
RESPONSE = 3.0  # size of a library's response over that of a correction, beforehand
LAGS = 30  # pixels within which residuals are correlated


class Linear:
    """The stars' spectra as linear functions of label errors, continuum and correction, at labels ``at``."""

    def __init__(self, stars: Field, correction, weight, at, grid: SplineGrid, axes, rng, response=False):
        self.stars, self.weight, self.at, self.rng = stars, weight, at, rng
        self.correction, self.grid, self.axes = correction, grid, axes
        self.objective = stars.objective(correction, weight, at)
        self.response = response
        self.features = self.features_of(axes)
        self.placed = grid.placed(at_rest(stars.library.vacuum_aa, at[:, -1]))
        self.ratio = np.zeros(stars.flux.shape)
        if correction is not None:
            own = label_features(correction.axes, stars.setup.domain, at[:, :-1])
            self.ratio = self.at_pixels(own @ correction.mean)

    def at_pixels(self, coefficients: np.ndarray) -> np.ndarray:
        """Sums ``[star, pixel]`` of ``coefficients[star, spline]``, each star at its velocity."""
        index, values = self.placed
        return sum(
            np.take_along_axis(coefficients, index + offset, axis=1) * values[..., offset]
            for offset in range(4)
        )

    def splines(self, star: int, factor: np.ndarray) -> sparse.csr_array:
        """The splines ``[pixel, spline]`` times a ``factor[pixel]``, at a star's velocity."""
        index, values = (part[star] for part in self.placed)
        pixels = np.arange(0, 4 * index.size + 1, 4)
        content = (values * factor[:, None]).ravel(), (index[:, None] + np.arange(4)).ravel(), pixels
        return sparse.csr_array(content, shape=(index.size, self.grid.count))

    def features_of(self, axes: tuple[LabelAxis, ...]) -> np.ndarray:
        """Features ``[star, k]`` of the stars' labels, the last one that of a response, if one is sought."""
        own = label_features(axes, self.stars.setup.domain, self.at[:, :-1])
        return np.concatenate([own, np.full((len(own), int(self.response)), RESPONSE)], axis=1)

    def star_by_star(self):
        """Rows, model, U and y of the ``posterior``'s text, in units of the noise, a block at a time."""
        setup, prior, stars = self.stars.setup, self.stars.prior, self.stars
        place = setup.coordinates.from_parameters(self.at)[:, list(setup.free)]
        free = list(setup.free)
        for start in range(0, len(self.at), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(self.at)))
            here = self.objective.linearised(rows, place[rows])
            root = np.sqrt(self.weight[rows])
            apart = prior.mean[rows][:, free] - here.parameters[:, free]
            residual = stars.flux[rows] - here.model + here.model * self.ratio[rows]
            residual -= np.einsum("rp,rpw->rw", apart, here.columns[:, : len(free)])
            sizes = np.full(here.columns.shape[:2], CONTINUUM)
            sizes[:, : len(free)] = prior.deviation[rows][:, free]
            unknown = here.columns * sizes[..., None] * root[:, None]
            yield rows, here.model * root, unknown, residual * root

    def told(self, draws: int) -> Told:
        """What the stars tell of the coefficients, with noise for ``draws``."""
        splines = self.grid.count
        stars, unknowns = len(self.at), len(self.stars.setup.free) + len(self.stars.basis)
        diagonals = np.zeros((4, stars, splines), np.float32)
        removed = np.zeros((stars, splines, unknowns), np.float32)
        right, noise = np.zeros((stars, splines)), np.zeros((draws, stars, splines), np.float32)
        for rows, model, unknown, residual in self.star_by_star():
            z = _projector(unknown)
            for number, row in enumerate(rows):
                seen = self.splines(row, model[number])
                product = seen.T @ seen
                for lag in range(4):
                    diagonals[lag, row, : splines - lag] = product.diagonal(lag)
                removed[row] = seen.T @ z[number].T
                right[row] = seen.T @ _without(z[number], residual[number])
                own = self.rng.standard_normal((draws, model.shape[1]))
                own += self.rng.standard_normal((draws, unknowns)) @ unknown[number]
                noise[:, row] = (seen.T @ _without(z[number], own).T).T
        return Told(self.features, diagonals, removed, right, noise)

    def left(self, mean: np.ndarray, clip: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Noise of stars over the library's, factors on weights of pixels, and how many share residuals."""
        noise, factors = np.ones(len(self.at)), np.ones(self.weight.shape)
        ratio, correlations = self.at_pixels(self.features @ mean), []
        least = LEAST_NOISE if self.stars.library.about.get(ESTIMATED) else 1.0
        base = np.sqrt(self.stars.weight)
        for rows, model, unknown, residual in self.star_by_star():
            left = residual - model * ratio[rows]
            left = np.array([_without(z, one) for z, one in zip(_projector(unknown), left, strict=True)])
            with np.errstate(divide="ignore", invalid="ignore"):
                left *= np.where(self.weight[rows] > 0, base[rows] / np.sqrt(self.weight[rows]), 0)
            for row, own in zip(rows, left, strict=True):
                used = self.weight[row] > 0
                noise[row] = max(least, 1.4826 * float(np.median(np.abs(own[used]))))
                scaled = np.abs(own) / noise[row]
                factors[row] = np.minimum(1, clip / np.maximum(scaled, 1e-9)) / noise[row] ** 2
                correlations.append(_correlation(np.clip(own / noise[row], -clip, clip) * used))
        return noise, factors, _shared(np.mean(correlations, axis=0))


def _projector(unknown: np.ndarray) -> np.ndarray:
    """Z of ``posterior``'s text, ``[row, u, pixel]``."""
    inner = np.eye(unknown.shape[1]) + unknown @ unknown.swapaxes(1, 2)
    return np.linalg.solve(np.linalg.cholesky(inner), unknown)


def _without(z: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(1 - Z^T Z) times ``values[..., pixel]``, which is also what the best amplitudes of U leave of them."""
    return values - (values @ z.T) @ z


def _correlation(left: np.ndarray) -> np.ndarray:
    """Correlations of a star's residuals at lags 1 to LAGS."""
    total = float((left**2).mean()) or 1.0
    return np.array([(left[lag:] * left[:-lag]).mean() / total for lag in range(1, LAGS + 1)])


def _shared(correlation: np.ndarray) -> float:
    """How many pixels count as one: 1 + 2 times the sum of correlations as far as they are positive."""
    low = np.flatnonzero(correlation < 0.05)
    return float(1 + 2 * correlation[: low[0] if low.size else None].sum())
