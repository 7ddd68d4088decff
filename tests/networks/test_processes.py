"""Gaussian processes in a learned space: what they solve for, and that the space is worth learning."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("scipy.stats")

import jax

from starloom.database import build, recipe, store
from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks import emulation
from starloom.networks.emulator import packed
from starloom.networks.forward import Matern
from starloom.networks.generator import Generator
from starloom.networks.processes import LARGEST, ProcessPlan, conditioned, fit_process, learned_space

DOMAIN = Domain.of({"teff": (3500, 7000), "logg": (1, 5)})
PLAN = ProcessPlan(hidden=(16, 16), dimensions=3, steps=150, stars=60, coefficients=2, learning_rate=0.02)


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and coefficients of unit size that change ten times faster below 4000 K than above 5000 K."""
    labels = np.random.default_rng(seed).uniform(DOMAIN.low, DOMAIN.high, (count, 2)).astype(np.float32)
    fast = np.exp((4500 - labels[:, 0]) / 300)
    shallow = np.tanh(0.3 * fast) + 0.2 * labels[:, 1]
    return labels, np.stack([np.sin(2 * shallow), np.cos(3 * shallow), 0.1 * np.sin(shallow)], axis=1)


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt((difference**2).mean()))


@pytest.fixture(scope="module")
def space():
    labels, values = drawn(120, 1)
    return learned_space(PLAN, DOMAIN, labels, values)


def test_the_space_is_worth_learning(space):
    """The same process in the untrained space misses other stars by three times as much, or more."""
    (labels, values), (others, truth) = drawn(120, 1), drawn(400, 2)
    untrained = learned_space(replace(PLAN, steps=1, learning_rate=1e-9), DOMAIN, labels, values)
    missed = [
        rms(conditioned(each, labels, values, PLAN.noise)[0](others) - truth) for each in (space, untrained)
    ]
    assert missed[0] < missed[1] / 3
    assert missed[0] < 0.05


def test_a_process_goes_through_its_stars(space):
    labels, values = drawn(120, 1)
    network, _ = conditioned(space, labels, values, 1e-5)
    assert rms(network(labels) - values) < 0.1 * rms(values - values.mean(axis=0))
    (*_, last), (*_, arrays) = network.layers, network.parameters
    assert last == Matern(3, 120, 3)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_stars_left_out_are_solved_without(space):
    """The formula against the solution without the star; the mean of the coefficients is that of all."""
    labels, values = drawn(120, 1)
    values = values - values.mean(axis=0)
    _, missed = conditioned(space, labels, values, 1e-3)
    for star in (0, 40, 80):
        rest = np.delete(np.arange(120), star)
        shifted = values[rest] - values[rest].mean(axis=0)
        alone, _ = conditioned(space, labels[rest], shifted, 1e-3)
        alone = alone.parameters[-1]
        place = space(labels).astype(float)
        covariance = Matern.covariance(place[rest], place[rest], np) + 1e-3 * np.eye(119)
        here = Matern.covariance(place[rest], place[star], np)
        expected = here @ np.linalg.solve(covariance, values[rest]) - values[star]
        np.testing.assert_allclose(missed[star], expected, atol=1e-6)


def test_what_a_training_tells():
    labels, values = drawn(150, 3)
    deviation, rows = np.array([0.1, 0.05, 0.01]), (np.arange(120), np.arange(120, 150))
    training = fit_process(PLAN, DOMAIN, labels, values, deviation, *rows)
    found = training.network(labels[rows[1]]) - values[rows[1]]
    expected = np.sqrt((found.astype(float) ** 2 * deviation**2).sum(axis=1)).mean()
    assert training.best_loss == pytest.approx(expected, rel=1e-6)
    assert training.history[0].training_loss == pytest.approx(training.best_loss, rel=1.5)
    alone = fit_process(PLAN, DOMAIN, labels, values, deviation, rows[0], rows[1][:0])
    assert np.isnan(alone.best_loss)
    assert not jax.config.jax_enable_x64


def test_what_is_no_process():
    for values, message in (
        ({"noise": 0.0}, r"noise = 0.0 is outside \]0, 1\["),
        ({"learning_rate": 2.0}, r"learning_rate = 2.0 is outside \]0, 1\["),
        ({"hidden": ()}, "one of hidden = 0"),
        ({"dimensions": 0}, "dimensions = 0"),
        ({"stars": 1}, "stars = 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            ProcessPlan(**values)
    labels, values = np.zeros((1, 2)), np.zeros((1, 3))
    with pytest.raises(ConfigError, match=f"1 training stars: a process takes 2 to {LARGEST}"):
        fit_process(PLAN, DOMAIN, labels, values, np.ones(3), np.array([0]), np.array([0]))


def spectra_of(band, *, teff, logg):
    """A line at each of three places, of depths that go their own ways."""
    points = np.linspace(0, 1, band.chunks[0].points)
    hot = (teff - 3500) / 3500
    depths = np.stack([0.3 + 0.2 * np.tanh(4 * hot - 1), 0.1 * logg * (1 - hot), 0.05 * logg], axis=1)
    lines = np.array([np.exp(-(((points - place) / 0.02) ** 2)) for place in (0.3, 0.5, 0.7)])
    return (1 - depths @ lines)[:, None]


RECIPE = {
    **{"name": "toy", "seed": 5, "sampling": "sobol", "intrinsic": 80, "broadenings": 1, "chunk": 20},
    "ranges": {"teff": [3500, 7000], "logg": [1, 5], "resolution": [5000, 18000]},
    "splits": {"train": 0.8, "validation": 0.2},
}


def test_a_store_makes_a_model_with_a_process(tmp_path):
    build.build(recipe.from_mapping(RECIPE), tmp_path / "store", spectra_of, physics="toy", progress=False)
    opened = store.open_store(tmp_path / "store")
    design = emulation.EmulatorRecipe(10, process=replace(PLAN, steps=60), left=1e-5)
    fitted, (training,) = emulation.fit_emulator([opened], design)
    assert training.best_loss < 1e-3
    generator = Generator.of(packed(fitted, opened.band), "toy")
    assert isinstance(generator.model.network.layers[-2], Matern)
    assert generator.model.network.layers[-2].outputs == 3  # that many directions there are
    rows, finish = opened.splits["validation"], fitted[0].finish
    labels = opened.labels[rows].astype(float)
    labels[:, 2] = 18000  # of the finest resolution, without rotation
    expected = finish(opened.flux(rows, 0), np.zeros(len(rows), np.float32), labels[:, 2].astype(np.float32))
    np.testing.assert_allclose(generator.flux(labels), expected, atol=2e-3)
    for given in ({"start": fitted}, {"folder": tmp_path / "checkpoints"}):
        with pytest.raises(ConfigError, match="takes neither a start nor checkpoints"):
            emulation.fit_emulator([opened], design, **given)
