"""A stand-in for synthesis: spectra on the kept grid that are smooth in the labels and cost nothing."""

import numpy as np
import pytest

from starloom.broadening import KEPT_GRID_AA, KEPT_RESOLUTION
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.labels import DOMAIN

LINES_AA = np.array([8452.0, 8500.4, 8520.9, 8544.4, 8582.0, 8600.8, 8664.5, 8690.2, 8752.9, 8782.3])
EXCITATION = np.linspace(-2.0, 2.5, LINES_AA.size)


def spectra(labels: np.ndarray) -> np.ndarray:
    """Flux float32[spectrum, 7290]: Gaussian lines; depth and width vary with teff, logg, mh, vmic."""
    teff, logg, mh, vmic = labels[:, [0, 1, 3, 4]].T[..., None]
    hotness = np.log(teff / 7000.0)
    depth = 0.7 / (1 + np.exp(-(EXCITATION * hotness + 0.5 * mh - 0.5)))
    instrument = SPEED_OF_LIGHT_KMS / KEPT_RESOLUTION / 2.355
    width = np.sqrt(instrument**2 + (4 + vmic) ** 2 + (3 * (logg - 1) * np.exp(hotness)) ** 2)
    velocity = SPEED_OF_LIGHT_KMS * np.log(KEPT_GRID_AA / LINES_AA[:, None])
    profiles = np.exp(-0.5 * (velocity / width[..., None]) ** 2)
    return (1 - np.einsum("sl,slw->sw", depth, profiles)).clip(0).astype(np.float32)


def draw(count: int, seed: int) -> np.ndarray:
    """Labels float64[count, 6] inside the domain; log g stays above its corner."""
    labels = DOMAIN.unscale(np.random.default_rng(seed).uniform(-1, 1, (count, 6)))
    labels[:, 1] = 3.0 + (labels[:, 1] - 2.0) / 1.5
    return labels


@pytest.fixture(scope="session")
def stand_in():
    return spectra


@pytest.fixture(scope="session")
def draw_labels():
    return draw
