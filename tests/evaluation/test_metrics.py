import numpy as np
import pytest

from starloom.errors import ConfigError, OutOfRangeError
from starloom.evaluation.metrics import ReconstructionSums

RNG = np.random.default_rng(3)
FLUX = (0.95 + 0.05 * RNG.uniform(-1, 1, (90, 30))).astype(np.float32)
OTHER = (FLUX + 0.002 + 0.003 * RNG.normal(size=FLUX.shape)).astype(np.float32)


def summed(reconstructed, flux, size=17):
    sums = ReconstructionSums()
    for start in range(0, len(flux), size):
        sums.add(reconstructed[start : start + size], flux[start : start + size])
    return sums.result()


def test_streamed_measures_follow_their_definitions():
    found = summed(OTHER, FLUX)
    error, flux = OTHER.astype(float) - FLUX, FLUX.astype(float)
    assert found.spectra == 90
    assert found.mse == pytest.approx(np.mean(error**2), rel=1e-12)
    assert found.mae == pytest.approx(np.mean(np.abs(error)), rel=1e-12)
    assert found.relative_error == pytest.approx(np.mean(np.abs(error) / flux), rel=1e-12)
    # sklearn.metrics.explained_variance_score and r2_score, multioutput="uniform_average"
    explained = 1 - np.var(error, axis=0) / np.var(flux, axis=0)
    r2 = 1 - np.sum(error**2, axis=0) / np.sum((flux - flux.mean(0)) ** 2, axis=0)
    assert found.variance_score == pytest.approx(explained.mean(), rel=1e-10)
    assert found.r2 == pytest.approx(r2.mean(), rel=1e-10)


def test_perfect_and_constant_reconstructions():
    perfect = summed(FLUX, FLUX)
    assert (perfect.mse, perfect.mae, perfect.r2, perfect.variance_score) == (0, 0, 1, 1)
    mean = np.broadcast_to(FLUX.mean(axis=0, dtype=float), FLUX.shape)
    assert summed(mean, FLUX).r2 == pytest.approx(0, abs=1e-9)
    # an offset costs R2 but not the variance score
    shifted = summed(FLUX.astype(float) + 0.01, FLUX)
    assert shifted.variance_score == pytest.approx(1, abs=1e-9)
    assert shifted.r2 < 0.95


def test_wavelength_without_variance():
    flat = FLUX.copy()
    flat[:, :15] = 1
    half_right = flat.copy()
    half_right[:, 0] = 0.9
    assert summed(half_right, flat, size=90).r2 == pytest.approx(29 / 30)


def test_unusable_spectra_are_refused():
    sums = ReconstructionSums()
    with pytest.raises(ConfigError, match="0 spectra are too few"):
        sums.result()
    with pytest.raises(ConfigError, match=r"\(90, 30\) and \(90, 29\)"):
        sums.add(FLUX, FLUX[:, 1:])
    for bad in (0.0, np.nan, -1.0):
        spoiled = FLUX.copy()
        spoiled[3, 4] = bad
        with pytest.raises(OutOfRangeError, match="above 0"):
            sums.add(FLUX, spoiled)
