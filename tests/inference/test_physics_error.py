"""Fits with a physics error, correlated noise, and what is known of resolution and microturbulence."""

from dataclasses import replace

import numpy as np
import pytest

from starloom import bands
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import OutOfRangeError
from starloom.inference import Settings, fit, fit_each, microturbulence
from starloom.inference.derivatives import derivatives_of
from starloom.inference.forecast import Setting, forecast, information, model_derivatives
from starloom.inference.objective import projector
from starloom.inference.observation import observe
from starloom.inference.setup import Setup
from starloom.inference.solution import Stars, objective_of, weighed
from starloom.inference.uncertainty import SHARING, band_edges
from starloom.networks.physics_error import PhysicsError, Sizes

SUN = (5777.0, 4.44, 8.0, 0.1, 1.05, 11500.0)
GAIA_AA = 8460 + 0.1 * np.arange(2401)
ONE = {"teff": np.array([5777.0]), "logg": np.array([4.44]), "mh": np.array([0.0])}


@pytest.fixture(scope="module")
def uncertain(model):
    """The generator with a physics error of three patterns, groups of lines, and no stated error."""
    (grid,), rng = bands.load("rvs").kept, np.random.default_rng([42, 0])
    apart = SPEED_OF_LIGHT_KMS * np.log(grid.wavelength_aa / rng.uniform(8470, 8690, (3, 12, 1)))
    modes = model.model.finish.modes((np.exp(-0.5 * (apart / 12) ** 2)).sum(axis=1))
    basis = np.concatenate([modes.real, modes.imag], axis=-1).astype(np.float32)
    patterns = np.eye(3, dtype=np.float32)[None, None, None]
    physics = PhysicsError(bands.load("rvs").bare, ONE, patterns, (basis,), Sizes(0.05, 0.05, 0.003, 0.002))
    return replace(model, stated=None, physics=physics)


def patterns_of(generator, labels=SUN, velocity=35.0, wavelength=GAIA_AA):
    physics, labels = generator.physics, np.array(labels)[None]
    derivatives = derivatives_of(generator.model.on(wavelength))
    return derivatives.emulator.patterns(
        physics.halves(generator.domain, labels), labels, np.array([velocity])
    )[0]


def test_projector_is_the_inverse_of_the_covariance():
    rng = np.random.default_rng([42, 1])
    patterns, weight = rng.normal(size=(2, 3, 40)).astype(np.float32), rng.uniform(0, 2, (2, 40))
    weight[:, 7] = 0
    for star, found in enumerate(projector(patterns, weight)):
        root, used = np.sqrt(weight[star]), weight[star] > 0
        inverse = root[:, None] * (np.eye(40) - found.T @ found) * root
        covariance = np.diag(1 / weight[star, used]) + patterns[star][:, used].T @ patterns[star][:, used]
        assert np.allclose(inverse[np.ix_(used, used)], np.linalg.inv(covariance), atol=1e-5)


def test_chi2_and_its_slope_are_those_of_the_whole_covariance(uncertain, observed):
    """Against a dense inverse, with the best continuum by it: float32 of chi2 near 2000 is 1e-3."""
    setup = Setup(uncertain, Settings(core_kms=0.0, typical_vmic=False))
    stars = Stars.of(setup, [observe(observed(SUN, seed=1), setup)])
    begin = np.array([[5700.0, 4.4, 9.0, 0.05, 1.0, 11500.0, 34.0]])
    pixels = weighed(stars, stars.good.sum(axis=1), stars.good, stars.noise, begin, np.ones(stars.flux.shape))
    objective, rows = objective_of(stars, pixels, np.zeros(2, int), np.repeat(begin, 2, axis=0)), np.arange(2)
    place = setup.coordinates.from_parameters(objective.fixed)[:, list(setup.free)]
    place[1, 0] += 1e-3
    chi2, slope, _ = objective(rows, place)
    used = pixels.used[0]
    covariance = np.diag(pixels.error[0, used] ** 2)
    covariance += pixels.patterns[0][:, used].T.astype(float) @ pixels.patterns[0][:, used]
    inverse = np.linalg.inv(covariance)
    for row in rows:
        here = objective.linearised(rows[[row]], place[[row]])
        linear = here.columns[0, len(setup.free) :, used].T.astype(float)
        flux = stars.flux[0, used]
        left = flux - np.linalg.solve(linear @ inverse @ linear.T, linear @ inverse @ flux) @ linear
        assert chi2[row] == pytest.approx(left @ inverse @ left, abs=0.02)
    assert np.diff(chi2)[0] == pytest.approx(-2e-3 * slope[:, 0].mean(), rel=0.02)


def test_without_patterns_nothing_changes(uncertain, exact, observed):
    star = observed(SUN, seed=2)
    none = replace(uncertain, physics=uncertain.physics.with_sizes(Sizes(0, 0, 0, 0)))
    plain = fit(star, exact)
    for generator, options in ((none, {}), (uncertain, {"physics_error": False})):
        found = fit(star, generator, **options)
        assert np.allclose(found.values, plain.values, rtol=1e-4, atol=1e-3)
        assert np.allclose(np.diag(found.covariance), np.diag(plain.covariance), rtol=1e-2)


def test_errors_that_patterns_make_are_counted(uncertain, observed):
    """Patterns put in with random amplitudes: labels scatter by their errors; 25 fits know it to 14 %."""
    rng, stars = np.random.default_rng([42, 3]), []
    shown = patterns_of(uncertain)
    for seed in range(25):
        star = observed(SUN, seed=seed, snr=200.0)
        wrong = rng.normal(size=3) @ shown * 3.2e-13
        stars.append(replace(star, flux=star.flux + wrong))
    options = {"core_kms": 0.0, "typical_vmic": False}
    counted = list(fit_each(stars, uncertain, **options))
    ignored = list(fit_each(stars, uncertain, physics_error=False, **options))
    off = [(f.values[3] - SUN[3]) / f.errors["mh"] for f in counted]
    assert np.std(off) < 1.45
    assert np.median([f.reduced_chi2 for f in counted]) == pytest.approx(1, abs=0.2)
    assert np.median([f.reduced_chi2 for f in ignored]) > 1.5


def test_noise_of_neighbours(exact, observed):
    """Given by the option: errors grow by the root of what pixels share, and bounds with them."""
    star = observed(SUN, seed=4)
    plain, found = fit(star, exact), fit(star, exact, noise_correlation=3.7)
    assert plain.shared == 1
    ratio = found.bounds[0] / plain.bounds[0]
    assert ratio == pytest.approx(1.93, abs=0.1)  # root of 1 + 2 (0.80 + 0.41 + 0.13 + 0.03)
    told = replace(star, provenance={**star.provenance, "noise_correlation_kms": 3.7})
    assert np.array_equal(fit(told, exact).values, found.values)
    assert np.array_equal(fit(told, exact, noise_correlation=0.0).values, plain.values)
    with pytest.raises(OutOfRangeError, match="noise_correlation"):
        Settings(noise_correlation=-1.0)


def test_a_resolution_that_is_known_to_an_error(exact, observed):
    star = observed((*SUN[:5], 12000.0), seed=5)
    told = {"resolution": 12400.0, "resolution_error": 500.0}
    star = replace(star, provenance=told)
    found = fit(star, exact)
    assert "resolution" in found.free
    assert found.settings["priors"]["resolution"] == [12400.0, 500.0]
    assert 0 < found.errors["resolution"] < 500
    held, free = fit(star, exact, resolution=12000.0), fit(star, exact, free_resolution=True)
    assert held.labels["resolution"] == 12000
    assert "resolution" not in held.free
    assert free.errors["resolution"] > found.errors["resolution"]
    mixed = list(fit_each([star, replace(star, provenance={"resolution": 12000.0}), star], exact))
    assert [("resolution" in each.free) for each in mixed] == [True, False, True]
    assert np.allclose(mixed[0].values, found.values, rtol=1e-4, atol=1e-3)


def test_dwarfs_have_their_typical_microturbulence():
    assert microturbulence.typical(5500.0, 4.0, 0.0) == pytest.approx(1.05)
    assert microturbulence.typical(4000.0, 4.5, 0.0) == microturbulence.typical(5000.0, 4.5, 0.0)
    known = microturbulence.deviation(np.array([5777, 6500, 6750, 7100, 5000]), np.array([4.4, 4, 4, 4, 3]))
    assert known[:2].tolist() == [0.25, 0.25]
    assert 0.25 < known[2] < np.inf
    assert np.isinf(known[3:]).all()


def test_the_prior_of_vmic_is_on_where_nothing_else_is_said(exact, observed):
    star = observed((*SUN[:4], 2.0, SUN[5]), seed=6, snr=30.0)
    usual, off = fit(star, exact), fit(star, exact, typical_vmic=False)
    own = fit(star, exact, priors={"vmic": (2.0, 0.1)})
    assert usual.settings["priors"]["vmic"][1] == pytest.approx(0.25, abs=0.02)
    assert off.settings["priors"] == {}
    assert own.settings["priors"] == {"vmic": [2.0, 0.1]}
    assert usual.labels["vmic"] < off.labels["vmic"]
    assert usual.errors["vmic"] < off.errors["vmic"]


def test_forecast_with_all_of_it_is_that_of_the_whole_covariance(uncertain):
    """Against a dense inverse at every fourth point, where smoothed noise needs no help to be inverted."""
    wavelength = GAIA_AA[::4]
    setting = Setting(100.0, wavelength, noise_correlation=8.0, fixed=("resolution", "vmic"))
    labels = np.array(SUN)[None]
    found = information(uncertain, labels, setting)[0]
    columns = model_derivatives(uncertain, labels, setting)[0]
    velocity = SPEED_OF_LIGHT_KMS * np.log(wavelength)
    shared = np.exp(-(((velocity[:, None] - velocity) / 16) ** 2)) + 0.01 * np.eye(wavelength.size)
    place = np.linspace(-1, 1, wavelength.size)
    lines = patterns_of(uncertain, velocity=0.0, wavelength=wavelength).astype(float)
    slopes = 0.003 * np.polynomial.chebyshev.chebvander(place, 9).T[2:]
    edges = band_edges(wavelength, SHARING * SPEED_OF_LIGHT_KMS / 11500)
    band = np.searchsorted(edges, np.arange(wavelength.size), side="right")
    floor = 0.002**2 * (band[:, None] == band)
    covariance = shared / 100**2 + lines.T @ lines + slopes.T @ slopes + floor
    wanted = columns.T @ np.linalg.inv(covariance) @ columns
    assert np.allclose(np.sqrt(np.diag(found)), np.sqrt(np.diag(wanted)), rtol=2e-3)


def test_forecast_of_gaias_points_has_their_noise(exact, uncertain):
    bounds = [
        forecast(generator, SUN, Setting(100.0, **options)).bounds["teff"]
        for generator, options in (
            (exact, {"noise_correlation": 0.0}),
            (exact, {}),
            (uncertain, {}),
            (uncertain, {"physics_error": False}),
        )
    ]
    assert bounds[1] / bounds[0] == pytest.approx(1.9, abs=0.1)
    assert bounds[2] > bounds[1]
    assert bounds[3] == bounds[1]
