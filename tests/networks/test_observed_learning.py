"""What is learned from observed stars, against dense algebra and known truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.fft import idct

import starloom
from starloom.errors import ConfigError, OutOfRangeError, ParseError
from starloom.observed import Learning, ObservedLibrary, learned
from starloom.observed.library import library
from starloom.observed.posterior import Told, next_power, octaves, solved
from starloom.observed.simulation import Distortion, Sky, simulated
from starloom.observed.validation import by_cluster, by_star, crossed

MODEL = "default-2026-lte"
ERRORS = {"teff": 80.0, "logg": 0.15, "mh": 0.08, "vmic": 0.2, "vsini": 2.0}
SKY = Sky(
    {"teff": (4800, 6200), "logg": (3.8, 4.8), "mh": (-0.5, 0.4)},
    ERRORS,
    range_aa=(8430.0, 8770.0),
    resolution=5000.0,
)
QUICK = Learning(rounds=2, draws=12, search=False, continuum_aa=170.0)


@pytest.fixture(scope="module")
def generator():
    return starloom.Generator.load(MODEL)


@pytest.fixture(scope="module")
def world(generator):
    """A hidden distortion of 2 %, 80 stars, and what is learned from them."""
    distortion = Distortion.drawn(generator, 2, amplitude=0.02)
    stars, truth = simulated(generator, SKY, 80, 4, distortion)
    return distortion, stars, truth, learned(generator, stars, QUICK)


def told(seed=0, stars=12, features=3, splines=14, unknowns=2, draws=400):
    """A small problem whose coefficients have unit variance, and its matrix without the prior."""
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((stars, features))
    removed = 0.1 * rng.standard_normal((stars, splines, unknowns))
    own = 2 + rng.random(stars)
    lags = [own[:, None] * size * np.ones(splines) for size in (1.0, 0.4, 0.1, 0.02)]
    whole, noise = np.zeros((features * splines,) * 2), np.zeros((draws + 1, stars, splines))
    truth, right = rng.standard_normal((features, splines)), np.zeros((stars, splines))
    for star in range(stars):
        matrix = sum(
            np.diag(lags[lag][star][: splines - lag], sign * lag) for lag in range(4) for sign in (1, -1)
        )
        matrix -= np.diag(lags[0][star]) + removed[star] @ removed[star].T
        whole += np.kron(np.outer(phi[star], phi[star]), matrix)
        noise[:, star] = rng.standard_normal((draws + 1, splines)) @ np.linalg.cholesky(matrix).T
        right[star] = matrix @ (phi[star] @ truth) + noise[-1, star]
    for lag in range(1, 4):
        lags[lag][:, splines - lag :] = 0
    return Told(phi, np.array(lags), removed, right, noise[:-1]), whole


def test_the_posterior_is_that_of_dense_algebra():
    small, matrix = told()
    features, splines = small.features.shape[1], small.right.shape[1]
    power = np.linspace(2.0, 0.1, splines)
    cosines = idct(np.eye(splines), type=2, norm="ortho", axis=0)
    prior = np.kron(np.eye(features), cosines @ np.diag(1 / power) @ cosines.T)
    covariance = np.linalg.inv(matrix + prior)
    right = (small.features.T @ small.right).ravel()
    found = solved(small, power, np.random.default_rng(3), 1e-6)
    np.testing.assert_allclose(found.mean.ravel(), covariance @ right, atol=1e-4)
    variance = (found.draws**2).mean(axis=0).ravel()
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=0.35)  # 400 draws: 5 deviations
    assert abs(np.mean(variance / np.diag(covariance)) - 1) < 0.1


def test_the_priors_variance_becomes_that_of_the_coefficients():
    small, _ = told(features=12, stars=60)
    power, edges, rng = np.full(14, 0.03), octaves(0, 14), np.random.default_rng(3)
    for _ in range(8):
        power = next_power(solved(small, power, rng), power, edges)
    assert power.mean() == pytest.approx(1, rel=0.3)  # 168 coefficients: 11 %, and what is not told of them
    assert edges[0] == 0
    assert edges[-1] == 14


def test_a_hidden_distortion_is_found_and_its_error_is_stated(generator, world):
    distortion, stars, truth, found = world
    correction, domain = found.correction, generator.domain
    basis, _ = np.linalg.qr(np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, stars.vacuum_aa.size), 2))

    def without(values):
        return values - (values @ basis) @ basis.T

    rest = np.repeat(stars.vacuum_aa[None], len(truth), axis=0)
    hidden = without(distortion(domain, truth, stars.vacuum_aa))
    error = without(correction.log_ratio(domain, truth, rest)) - hidden
    deviation = np.sqrt((without(correction.log_patterns(domain, truth, rest)) ** 2).sum(axis=1))
    assert hidden.std() > 0.012
    assert error.std() < 0.3 * hidden.std()
    assert 0.5 < (np.abs(error) < deviation).mean() < 0.9


def test_where_no_star_is_it_is_0_and_its_error_the_priors(generator, world):
    correction = world[-1].correction
    far = generator.domain.array(teff=13000, logg=3.0, mh=0.0, vmic=1.0, vsini=3.0, resolution=5000.0)[None]
    rest = np.linspace(8460.0, 8590.0, 200)[None]
    near = far.copy()
    near[0, generator.domain.index("teff")], near[0, generator.domain.index("logg")] = 5500.0, 4.4
    size = {
        name: correction.log_ratio(generator.domain, at, rest).std()
        for name, at in (("far", far), ("near", near))
    }
    assert size["far"] < 0.1 * size["near"]
    deviations = [correction.deviation(generator.domain, at, rest).mean() for at in (far, near)]
    assert deviations[0] > 2 * deviations[1]
    assert deviations[0] == pytest.approx(correction.about["prior"], rel=0.5)


def test_label_errors_are_marginalised(generator, world):
    _, stars, truth, found = world
    assert not found.left_out
    for name in ("teff", "mh"):
        own = found.labels[:, found.names.index(name)] - truth[:, generator.domain.index(name)]
        assert own.std() < stars.errors[name].mean()
        assert abs(own.mean()) < 4 * stars.errors[name].mean() / np.sqrt(len(stars))


def test_what_is_the_same_for_all_stars_is_the_librarys(generator, world):
    truth = world[2]
    plain, _ = simulated(generator, SKY, 80, 4)
    wave = 0.02 * np.sin(plain.vacuum_aa / 4.0)
    found = learned(generator, plain.divided(np.exp(-wave)), replace(QUICK, response=True))
    told = np.log(found.response[1])
    inside = np.isin(plain.vacuum_aa, found.response[0])
    assert np.corrcoef(told, wave[inside])[0, 1] > 0.9
    rest = np.repeat(found.response[:1], len(truth), axis=0)
    left = found.correction.log_ratio(generator.domain, truth, rest)
    assert left.std() < 0.3 * wave.std()


def test_held_out_stars_are_told_better(generator, world):
    _, stars, _, _ = world
    parts = by_star(stars, 2)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(len(stars)))
    found = crossed(generator, stars, QUICK, parts[:1])
    before, after = np.median(found.residual, axis=1)
    assert after < before
    assert found.names == tuple(stars.names[row] for row in parts[0])


def test_clusters_are_apart(world):
    stars = world[1]
    parts = by_cluster(stars, QUICK, 3)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(len(stars)))
    assert all(part.size for part in parts)


def small_library(**changed):
    wavelength = np.linspace(8450.0, 8550.0, 200)
    flux = 1 + 0.1 * np.random.default_rng(1).standard_normal((3, 200))
    given = {
        "name": "three",
        "names": ["a", "b", "c"],
        "wavelength_aa": wavelength,
        "flux": flux,
        "labels": {"teff": np.array([5000.0, 5500.0, np.nan])},
        "errors": {"teff": 80.0},
        "resolution": 5000.0,
    }
    return library(**(given | changed))


def test_a_library_is_read_as_it_was_written(tmp_path):
    made = small_library(error=0.1, about={"source": "nobody"})
    made.write(tmp_path / "three.npz")
    found = ObservedLibrary.read(tmp_path / "three.npz")
    assert found.digest == made.digest
    assert (found.names, found.about) == (made.names, made.about)
    np.testing.assert_array_equal(found.labels["teff"], made.labels["teff"])
    (tmp_path / "three.npz").write_bytes((tmp_path / "three.npz").read_bytes()[:-100])
    with pytest.raises(ParseError, match=r"three\.npz"):
        ObservedLibrary.read(tmp_path / "three.npz")


def test_noise_that_is_not_told_is_that_of_the_pixels():
    made = small_library()
    np.testing.assert_allclose(made.inverse_variance**-0.5, 0.1, rtol=0.25)
    assert made.without(["b"]).names == ("a", "c")
    assert made.spectrum(0).labels["teff"] == 5000


def test_bad_libraries_are_refused(generator):
    with pytest.raises(ConfigError, match="twice"):
        small_library(names=["a", "b", "a"])
    with pytest.raises(ConfigError, match="no label"):
        small_library(labels={"colour": np.ones(3)}, errors={"colour": 1.0})
    with pytest.raises(OutOfRangeError, match="error of teff"):
        small_library(errors={"teff": 0.0})
    with pytest.raises(ConfigError, match="10 are needed"):
        learned(generator, small_library(), QUICK)
    with pytest.raises(OutOfRangeError, match="outside"):
        learned(generator, small_library(resolution=1000.0), QUICK)
    with pytest.raises(OutOfRangeError, match="rounds = 0"):
        Learning(rounds=0)
