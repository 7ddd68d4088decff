r"""The covariance of fitted parameters: noise, the generator's own error, and misfit.

Around the minimum the estimate moves by :math:`N^{-1} J^T W \epsilon` when the data move by :math:`\epsilon`, with
the weights W of the fit and :math:`N = J^T W J`, so

.. math:: C = N^{-1} (J^T W \Sigma W J) N^{-1}, \qquad \Sigma = \mathrm{diag}(\sigma^2) + M .

M, the covariance of the generator's error, has the size that the model states. The error is correlated between
neighbouring pixels: it counts as common to all pixels within BAND_KMS, and as independent between bands.
Priors and the ends of the labels' ranges are knowledge too: each adds to N and to the middle.
"""

from math import sqrt

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference import coordinates
from starloom.inference.derivatives import PARAMETERS
from starloom.inference.objective import Prior

# Errors of the model `default` against held-out spectra: their correlation falls to a half within 3 A for slow and
# 8 A for fast rotators; what is common to longer ranges the continuum takes up.
BAND_KMS = 200.0
HEAVY_TAILS = 1.15  # rms over 68 % size of the same errors
SIGNIFICANT = 4.0  # standard deviations beyond which a misfit is taken for real


def band_edges(vacuum_aa: np.ndarray) -> np.ndarray:
    """First pixel of each band of BAND_KMS."""
    band = np.floor(SPEED_OF_LIGHT_KMS * np.log(vacuum_aa / vacuum_aa[0]) / BAND_KMS).astype(int)
    return np.concatenate([[0], np.flatnonzero(np.diff(band)) + 1])


def covariance(
    columns: np.ndarray,
    weight: np.ndarray,
    noise: np.ndarray,
    model_error: np.ndarray,
    edges: np.ndarray,
    information,
) -> np.ndarray:
    """Covariance ``[p, p]`` of the columns' parameters.

    ``columns[p, pixel]`` are derivatives, ``weight``, ``noise`` (standard deviation) and ``model_error`` are per
    pixel, ``information[p]`` is known beforehand (1 / variance).
    """
    weighted = columns * weight
    normal = weighted @ columns.T + np.diag(information)
    moved = weighted * noise
    common = np.add.reduceat(weighted * (HEAVY_TAILS * model_error), edges, axis=1)
    middle = moved @ moved.T + common @ common.T + np.diag(information)
    inverse = np.linalg.inv(normal)
    return inverse @ middle @ inverse


def domain_information(free: tuple[int, ...]) -> np.ndarray:
    """What the ends of the ranges tell of the free coordinates: 12 / range^2, that of a uniform distribution."""
    return np.array([0.0 if index == coordinates.VELOCITY else 12.0 for index in free])


def without_ends(matrix: np.ndarray, free: tuple[int, ...], inflated: float) -> np.ndarray:
    """A covariance ``[7, 7]`` of coordinates where each variance is as it were without that coordinate's own ends."""
    known = np.zeros(len(matrix))
    known[list(free)] = domain_information(free)
    # of a normal matrix with 12 added to one diagonal element: Sherman & Morrison (1950)
    left = np.maximum(1 - np.diag(matrix) * known / inflated, 1e-4)
    scale = 1 / np.sqrt(left)
    return matrix * scale * scale[:, None]


def prior_information(prior: Prior, free: tuple[int, ...]) -> np.ndarray:
    """1 / variance of the priors of the free parameters."""
    return (1 / prior.deviation**2)[list(free)]


def bound(normal: np.ndarray) -> np.ndarray:
    """The inverse of a normal matrix, the Cramer-Rao bound; huge, not infinite, where nothing is known."""
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scaled = normal / scale / scale[:, None] + 1e-12 * np.eye(len(normal))
    return np.linalg.inv(scaled) / scale / scale[:, None]


def in_parameters(matrix: np.ndarray, place: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """A covariance ``[7, 7]`` of coordinates as one of the parameters.

    v sin i is a root of its coordinate near 0, so its slope is that of the chord over one standard deviation.
    """
    index = coordinates.VSINI
    slopes = slopes.copy()
    deviation = sqrt(matrix[index, index])
    if deviation > 0:
        ends = np.repeat(place[None], 2, axis=0)
        ends[:, index] = np.clip(place[index] + np.array([-1, 1]) * deviation, 0, 1)
        low, high = coordinates.to_parameters(ends)[:, index]
        slopes[index, index] = (high - low) / (ends[1, index] - ends[0, index])
    return slopes @ matrix @ slopes.T


def inflation(residual: np.ndarray, used: np.ndarray, dof: int, reach: int) -> float:
    """Factor >= 1 of the covariance for misfit: reduced chi2 times the correlation of ``residual`` (over errors).

    Each counts only where it is SIGNIFICANT. The correlation length is 1 + 2 sum rho_k over ``reach`` pixels, a
    width of the instrument's profile: what it is that makes neighbouring pixels fail together.
    """
    r = np.where(used, residual, 0.0)
    reduced = float((r**2).sum()) / dof
    factor = reduced if reduced > 1 + SIGNIFICANT * sqrt(2 / dof) else 1.0
    total = (r**2).sum()
    pairs = [(r[:-k] * r[k:]).sum() / total for k in range(1, reach + 1)]
    length = 1 + 2 * sum(pairs)
    # each rho_k of white noise has the variance 1 / n
    return factor * (length if length > 1 + SIGNIFICANT * 2 * sqrt(reach / dof) else 1.0)
