import numpy as np
import pytest

from starloom.errors import ConfigError
from starloom.networks import basis as module
from starloom.networks.basis import principal_components

RNG = np.random.default_rng(7)
DATA = (
    RNG.normal(size=(200, 5)) @ RNG.normal(size=(5, 40))
    + RNG.normal(size=40)
    + 0.01 * RNG.normal(size=(200, 40))
)


def batches(data, size):
    return (data[start : start + size] for start in range(0, len(data), size))


def test_streamed_components_are_those_of_the_singular_value_decomposition():
    basis = principal_components(batches(DATA, 33), 6)
    _, singular, rows = np.linalg.svd(DATA - DATA.mean(0), full_matrices=False)
    np.testing.assert_allclose(basis.deviation, singular[:6] / np.sqrt(len(DATA)), rtol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(basis.components[:5] * rows[:5], axis=1)), 1, rtol=1e-9)
    np.testing.assert_allclose(basis.mean, DATA.mean(0), atol=1e-12)
    assert basis.total_variance == pytest.approx(DATA.var(axis=0).sum())
    assert basis.unexplained[4] == pytest.approx(np.sum(singular[5:] ** 2) / np.sum(singular**2))


def test_batches_do_not_matter():
    one, many = principal_components([DATA], 5), principal_components(batches(DATA, 7), 5)
    np.testing.assert_allclose(one.components, many.components, atol=1e-10)


def test_spectra_of_many_points_have_the_same_components(monkeypatch):
    few = [principal_components(batches(DATA, 33), 6), principal_components([DATA], 5)]
    monkeypatch.setattr(module, "WIDE", 15)
    many = [principal_components(batches(DATA, 33), 6, few=True), principal_components([DATA], 5, few=True)]
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(other.mean, one.mean, atol=1e-6)  # of float32
        np.testing.assert_allclose(other.deviation, one.deviation, rtol=1e-5)
        np.testing.assert_allclose(other.components[:5], one.components[:5], atol=1e-5)
        np.testing.assert_allclose(
            other.components @ other.components.T, np.eye(len(one.deviation)), atol=1e-6
        )
        assert other.total_variance == pytest.approx(one.total_variance, rel=1e-6)
    with pytest.raises(ConfigError, match="15 coefficients need more than 3 spectra of 40 points"):
        principal_components([DATA[:3]], 15)
    with pytest.raises(ConfigError, match="span only 2 directions"):
        principal_components([RNG.normal(size=(90, 2)) @ RNG.normal(size=(2, 40))], 12)


def test_encoder_and_decoder_invert_each_other_and_whiten():
    basis = principal_components([DATA], 6)
    coefficients = basis.encoder()(DATA)
    np.testing.assert_allclose(coefficients.std(axis=0), 1, rtol=1e-4)
    # five directions hold all but noise of 0.01 a point
    assert np.sqrt(np.mean((basis.decoder()(coefficients) - DATA) ** 2)) < 0.01
    assert np.array_equal(basis.truncated(2).components, basis.components[:2])


def test_impossible_bases_are_refused():
    with pytest.raises(ConfigError, match="15 coefficients need more than 3 spectra of 40 points"):
        principal_components([DATA[:3]], 15)
    with pytest.raises(ConfigError, match="need more than 0 spectra"):
        principal_components([], 1)
    flat = RNG.normal(size=(9, 2)) @ RNG.normal(size=(2, 4))
    with pytest.raises(ConfigError, match="span only 2 directions"):
        principal_components([flat], 3)
    with pytest.raises(ConfigError, match="coefficients = 7 is outside"):
        principal_components([DATA], 6).truncated(7)


def test_as_many_components_as_are_needed():
    basis = principal_components([DATA], 6)
    left = np.sqrt(basis.total_variance * basis.unexplained)
    asked = (1e9, 1.001 * left[1], 0.999 * left[1], 1e-9, 0)
    assert [len(basis.leaving(rms).deviation) for rms in asked] == [1, 2, 3, 6, 6]
