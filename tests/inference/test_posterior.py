"""The posterior: its density is that of the fit, and the sampler finds it."""

import numpy as np
import pytest

from starloom.errors import ConfigError
from starloom.inference import fit, posterior
from starloom.inference.observation import observe
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.inference.solution import Pixels, Stars, objective_of
from starloom.labels import RADIATION_LIMIT, TABLE_1

LABELS = (5777.0, 4.44, 8.0, 0.1, 1.2, 11500.0)


@pytest.fixture(scope="module")
def star(observed, model):
    """Only Teff and the velocity are free, which is quick to sample.

    Noise counts more than the model's errors, of which the sampler does not know what pixels share.
    """
    fixed = {"logg": 4.44, "vsini": 8.0, "mh": 0.1, "vmic": 1.2}
    return fit(observed(LABELS, seed=0, snr=30.0), model, fixed=fixed, core_kms=0.0)


def test_density_is_the_fits_chi2(star, model):
    """Differences of the log density are minus half those of chi2: to 0.02 in float32."""
    jax = pytest.importorskip("jax")
    util = pytest.importorskip("numpyro.infer.util")
    setup = Setup(model, Settings(core_kms=0.0, fixed=star.settings["fixed"]))
    stars = Stars.of(setup, [observe(star.spectrum, setup)])
    stated = np.sqrt(np.maximum(0, (star.error / stars.observations[0].scale) ** 2 - stars.noise**2))
    usable = stars.good.sum(axis=1)
    none = np.zeros_like(stars.noise)
    patterns, prior = np.zeros((1, 0, none.shape[1]), np.float32), setup.prior.repeated(1)
    pixels = Pixels(usable, stars.good, stars.good, stars.noise, none, stated, none, patterns, prior)
    at = np.repeat(star.values[None], 3, axis=0)
    at[1, 0] += 20.0
    at[2, 6] -= 1.0
    objective = objective_of(stars, pixels, np.zeros(3, int), at)
    place = setup.coordinates.from_parameters(at)[:, list(setup.free)]
    chi2 = objective(np.arange(3), place)[0]
    with jax.enable_x64(True):
        density = [
            float(
                util.log_density(posterior._model(star, model), (), {}, {"teff": v[0], "velocity": v[6]})[0]
            )
            for v in at
        ]
    assert np.diff(density) == pytest.approx(-0.5 * np.diff(chi2), abs=0.05)


def test_draws_agree_with_the_covariance(star, model):
    """150 draws: mean and deviation to 4 of their own errors; JAX stays as it was."""
    jax = pytest.importorskip("jax")
    pytest.importorskip("numpyro")
    drawn = posterior.sample(star, model, draws=150, warmup=60)
    assert jax.numpy.zeros(1).dtype == np.float32
    assert drawn.names == ("teff", "velocity")
    assert drawn.draws.shape == (150, 2)
    assert drawn.divergences == 0
    for column, (name, index) in enumerate((("teff", 0), ("velocity", 6))):
        values, error = drawn.draws[:, column], star.errors[name]
        independent = max(30.0, drawn.effective[column])
        assert abs(values.mean() - star.values[index]) < 4 * error / independent**0.5 + 0.1 * error
        assert values.std() == pytest.approx(error, rel=4 / (2 * independent) ** 0.5 + 0.05)
    assert "posterior" in posterior.text(drawn)


def test_corner_plot(star, tmp_path):
    pytest.importorskip("corner")
    draws = np.random.default_rng([9, 0]).normal(size=(400, 2)) * [10, 0.2] + star.values[[0, 6]]
    drawn = posterior.Posterior(star, ("teff", "velocity"), draws, 3, np.full(2, 400.0))
    posterior.corner(drawn, tmp_path / "corner.png")
    assert (tmp_path / "corner.png").stat().st_size > 5000
    assert "3 of 400 transitions diverged" in posterior.text(drawn)
    with pytest.raises(ConfigError, match=r"corner\.xyz"):
        posterior.corner(drawn, tmp_path / "corner.xyz")


def test_the_sampler_starts_inside(observed, model):
    """Also for a fit at the ends of its ranges."""
    result = fit(observed((12000.0, 3.0, 0.0, 1.0, 0.0, 11500.0), seed=1, snr=20), model)
    inner = posterior._inner(result)
    assert 0 < inner["logg_part"] < 1
    assert 0 < inner["vsini"] < TABLE_1.high[2]
    assert RADIATION_LIMIT(inner["teff"], inner["mh"]) < 5
