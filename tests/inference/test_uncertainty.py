"""Covariances and intervals against brute force and closed forms."""

import numpy as np
import pytest

from starloom.inference import uncertainty
from starloom.inference.coordinates import Coordinates
from starloom.inference.uncertainty import BAND_KMS, band_edges
from starloom.labels import TABLE_1

COORDINATES = Coordinates(TABLE_1)
VACUUM_AA = np.linspace(8460, 8700, 800)


def test_noise_alone_is_the_inverse_of_the_normal_matrix():
    rng = np.random.default_rng([5, 0])
    columns, noise = rng.normal(size=(4, 800)), rng.uniform(0.5, 2, 800)
    found = uncertainty.covariance(columns, 1 / noise**2, noise, [], np.zeros(4))
    assert np.allclose(found, np.linalg.inv((columns / noise**2) @ columns.T))


def test_wrong_weights_and_common_errors():
    """Scatter of 4000 weighted fits to data with noise and an error common to each band: 5 % is 4 sigma."""
    rng = np.random.default_rng([5, 1])
    columns, noise = rng.normal(size=(3, 800)) + 1, np.full(800, 1.0)
    model_error, weight = rng.uniform(0.2, 0.6, 800), rng.uniform(0.5, 2, 800)
    edges = band_edges(VACUUM_AA)
    found = uncertainty.covariance(columns, weight, noise, [(model_error, edges)], np.zeros(3))
    band = np.searchsorted(edges, np.arange(800), side="right") - 1
    common = rng.normal(size=(4000, len(edges)))[:, band] * model_error
    data = rng.normal(size=(4000, 800)) * noise + common
    fits = np.linalg.solve((columns * weight) @ columns.T, (columns * weight) @ data.T)
    assert np.abs(fits.std(axis=1) / np.sqrt(np.diag(found)) - 1).max() < 0.05


def test_bands():
    edges = band_edges(VACUUM_AA)
    assert edges[0] == 0
    width = 299792.458 * np.log(VACUUM_AA[edges[1:]] / VACUUM_AA[edges[:-1]])
    assert np.abs(width - BAND_KMS).max() < 11  # a pixel


def test_a_prior_and_no_data_give_the_prior():
    columns = 1e-6 * np.ones((1, 800))
    found = uncertainty.covariance(columns, np.ones(800), np.ones(800), [], np.array([25.0]))
    assert found[0, 0] == pytest.approx(0.04)


def test_misfit_does_not_inflate_a_prior():
    columns = 1e-6 * np.ones((1, 800))
    known = {"factor": 9.0, "firm": np.array([25.0])}
    found = uncertainty.covariance(columns, np.ones(800), np.ones(800), [], np.zeros(1), **known)
    assert found[0, 0] == pytest.approx(0.04)


def test_white_noise_is_not_inflated():
    used = np.ones(2400, bool)
    factors = [
        uncertainty.inflation(np.random.default_rng([6, k]).normal(size=2400), used, 2391, np.zeros(8))
        for k in range(300)
    ]
    assert max(factors) == 1  # four standard deviations each


def test_inflation_of_large_and_of_correlated_residuals():
    rng, used = np.random.default_rng([6, 999]), np.ones(24000, bool)
    white = rng.normal(size=24000)
    assert uncertainty.inflation(3 * white, used, 24000, np.zeros(8)) == pytest.approx(9, rel=0.04)
    smooth = np.convolve(white, np.full(4, 0.5), mode="same")  # of unit variance, correlated over 4 pixels
    # the variance of a mean of them is 4 times that of independent ones
    assert uncertainty.inflation(smooth, used, 24000, np.zeros(8)) == pytest.approx(4, rel=0.06)


def test_unused_pixels_do_not_count():
    rng, used = np.random.default_rng([6, 1]), np.ones(3000, bool)
    used[::7] = False
    residual = np.where(used, rng.normal(size=3000), 1e6)
    assert uncertainty.inflation(residual, used, int(used.sum()), np.zeros(8)) == 1


def test_shortest_intervals():
    """Of normal distributions cut off at the ends: they hold 68.27 % and nothing shorter does."""
    stats = pytest.importorskip("scipy.stats")
    centre = np.array([0.5, 0.5, 0.05, -0.2, 1.3, -20.0, 0.5, 0.97])
    size = np.array([0.01, 10, 0.1, 0.1, 0.2, 1.0, 0.4, 0.1])
    low, high = uncertainty._shortest(centre, size, np.zeros(8), np.ones(8))
    for row, (start, end) in enumerate(zip(low, high, strict=True)):
        cut = stats.truncnorm(
            (0 - centre[row]) / size[row], (1 - centre[row]) / size[row], centre[row], size[row]
        )
        assert 0 <= start < end <= 1
        assert cut.cdf(end) - cut.cdf(start) == pytest.approx(0.6827, abs=1e-6)
        for lower in np.linspace(0, 0.3173, 20):
            assert cut.ppf(lower + 0.6827) - cut.ppf(lower) > (end - start) * (1 - 1e-6)


def test_intervals_are_symmetric_inside():
    parameters = np.array([6000, 4.0, 90.0, 0.0, 1.5, 9000.0, 12.0])
    covariance = np.diag([1e-6] * 7)
    ends = uncertainty.intervals(COORDINATES, parameters, covariance, np.zeros(7))
    half = COORDINATES.slopes(parameters) * np.sqrt(np.diag(covariance))
    assert np.allclose(ends.mean(axis=1), parameters, rtol=1e-3)
    assert np.allclose(np.diff(ends, axis=1)[:, 0] / 2, half, rtol=1e-3)


def test_intervals_at_the_ends():
    """At v sin i = 0 and the lowest [M/H]: from the end upwards, shorter where the fit would go beyond it."""
    parameters = np.array([6000, 4.0, 0.0, -1.5, 1.5, 9000.0, 12.0])
    covariance = np.diag(np.square([1e-3, 1e-3, 2e-3, 1e-2, 1e-3, 0, 1e-3]))
    shift = np.zeros(7)
    ends = uncertainty.intervals(COORDINATES, parameters, covariance, shift)
    assert ends[2, 0] == 0
    assert 2 < ends[2, 1] < 5
    assert ends[3] == pytest.approx([-1.5, -1.47], abs=0.002)
    shift[3] = -0.03  # three deviations beyond
    beyond = uncertainty.intervals(COORDINATES, parameters, covariance, shift)
    assert beyond[3, 0] == -1.5
    assert beyond[3, 1] < -1.488
    assert ends[5] == pytest.approx([9000, 9000])  # held


def test_ends_are_knowledge():
    """A label that the spectrum does not tell has the deviation of a uniform distribution, 1 / sqrt(12)."""
    known = uncertainty.domain_information(COORDINATES)
    assert known.tolist() == [12.0] * 6 + [0.0]
    matrix = np.zeros((7, 7))
    matrix[:2, :2] = np.linalg.inv(np.diag([1e4, 1e-6]) + np.diag(known[:2]))
    assert np.sqrt(np.diag(matrix)[:2]) == pytest.approx([0.01, 12**-0.5], rel=1e-3)
    without = np.sqrt(np.diag(uncertainty.without_ends(matrix, known, 1.0)))
    assert without[0] == pytest.approx(0.01, rel=1e-6)
    assert without[1] > 10


def test_beyond_bounds():
    free, low, high = (0, 1, 3), np.zeros(3), np.ones(3)
    normal = np.diag([1e4, 1e4, 1e4])
    place = np.array([0.0, 1.0, 0.4])
    found = uncertainty.beyond_bounds(
        COORDINATES.names, free, place, np.array([-500.0, 50.0, 0]), normal, low, high
    )
    assert found.names == ("teff", "logg")
    assert found.outside  # teff by five standard deviations
    assert found.shift == pytest.approx([-0.05, 0.005, 0, 0, 0, 0, 0])
    found = uncertainty.beyond_bounds(
        COORDINATES.names, free, place, np.array([-50.0, 50.0, 0]), normal, low, high
    )
    assert not found.outside


def test_no_rotation_is_not_outside():
    free, normal = (COORDINATES.index("vsini"),), np.array([[1e4]])
    found = uncertainty.beyond_bounds(
        COORDINATES.names, free, np.zeros(1), np.array([-1e4]), normal, np.zeros(1), np.ones(1)
    )
    assert found.names == ("vsini",)
    assert not found.outside


def test_inverse_where_nothing_is_known():
    found = uncertainty.inverted(np.diag([4.0, 0.0]))
    assert found[0, 0] == pytest.approx(0.25)
    assert found[1, 1] > 1e40
