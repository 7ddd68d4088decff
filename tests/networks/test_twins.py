"""Stars and their twins: what a network learns of weak lines, and what the parts of that loss are."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("scipy.stats")

from starloom.database import build, recipe, store
from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks import emulation
from starloom.networks.emulator import CoefficientNetwork, packed, parted
from starloom.networks.generator import Generator
from starloom.networks.scaling import label_scaling
from starloom.networks.training import Plan, distance_with_twins, weighted_distance
from starloom.networks.twins import Twins, relevance

SPREAD = {"Ca": (-0.4, 0.4), "Ce": (-0.4, 0.4)}
DOMAIN = Domain.of({"teff": (4000, 6000), "alpha": (-0.2, 0.6)}, spread=SPREAD)
RECIPE = {
    **{"name": "twins", "seed": 5, "sampling": "sobol", "intrinsic": 48, "broadenings": 1, "chunk": 10},
    "step": 0.1,
    "ranges": {"teff": [4000, 6000], "alpha": [-0.2, 0.6], "resolution": [5000, 18000]},
    "around": {name: list(ends) for name, ends in SPREAD.items()},
    "splits": {"train": 0.75, "validation": 0.25},
}


def coefficients(labels):
    """A strong answer to Teff and Ca, one a hundred times weaker to Ce."""
    teff, _, calcium, cerium = ((labels - DOMAIN.low) / (DOMAIN.high - DOMAIN.low)).T
    strong = np.stack(
        [np.sin(3 * teff) + calcium * teff, np.cos(2 * teff + calcium), teff * calcium], axis=-1
    )
    weak = np.stack([cerium * (1 - teff), np.exp(cerium) * teff, cerium], axis=-1)
    return (strong + 0.01 * weak).astype(np.float32)


@pytest.fixture(scope="module")
def stars():
    """Labels of stars, each followed by twins with more Ca and with more Ce; and the pairs."""
    random = np.random.default_rng(1)
    own = DOMAIN.from_offsets(random.uniform(*DOMAIN.offset_ends, (400, 4)))
    rows = np.repeat(own[:, None], 3, axis=1)
    rows[:, 1, 2] += 0.1
    rows[:, 2, 3] += 0.1
    first = 3 * np.arange(400)
    pairs = Twins(np.tile(first, 2), np.r_[first + 1, first + 2], np.repeat(["Ca", "Ce"], 400))
    return rows.reshape(-1, 4).astype(np.float32), pairs


def slope_by_cerium(network, labels):
    more = labels.copy()
    more[:, 3] += 0.2
    return network(more) - network(labels)


def test_a_network_learns_weak_lines_from_twins(stars):
    labels, pairs = stars
    made, plan = coefficients(labels), Plan(epochs=60, patience=60, optimiser="adam", learning_rate=3e-3)
    rows, design = (np.arange(900), np.arange(900, 1200)), CoefficientNetwork((32, 32), residual=True)
    errors = []
    for share in (0.0, 0.3):
        fitted = emulation.fit_coefficients(
            design, DOMAIN, labels, made, np.ones(3), *rows, plan, 64, twins=pairs, share=share
        )
        fresh = DOMAIN.from_offsets(np.random.default_rng(2).uniform(*DOMAIN.offset_ends, (300, 4)))
        wanted = slope_by_cerium(coefficients, fresh)
        found = slope_by_cerium(lambda x, f=fitted: np.asarray(f.network(x)), fresh)
        errors.append(np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)))
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.4


def test_twins_to_learn_from_but_none_to_judge_by(stars):
    labels, pairs = stars
    rows = np.arange(900), np.arange(900, 1200)
    known = pairs.within(rows[0])
    options = {"twins": known, "size": 64}
    arrays = labels, coefficients(labels), np.ones(3), *rows, Plan(epochs=1)
    with pytest.raises(ConfigError, match="none in the validation split"):
        emulation.fit_coefficients(CoefficientNetwork((8,)), DOMAIN, *arrays, **options)


def test_the_loss_is_that_of_distances_and_of_differences_in_units_of_the_usual():
    weight = np.array([4.0, 1.0], np.float32)
    inputs = targets = np.zeros((2, 2), np.float32)
    stars, twins = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    arrays = inputs, targets, stars, twins, np.array([[1.0, 0.5]], np.float32), np.array([0.1], np.float32)
    value = distance_with_twins(weight, 0.2)(lambda x: x, arrays)
    alone = weighted_distance(weight)(lambda x: x, (inputs, targets))
    assert float(value - alone) == pytest.approx(0.2 * 0.5 / 0.1, rel=1e-5)


def test_relevance_is_the_root_of_what_spectra_show(stars):
    labels, pairs = stars
    usual = pairs.usual(coefficients(labels), np.ones(3))
    assert usual["Ca"] > 20 * usual["Ce"] > 0
    told = relevance(usual)
    assert told["Ca"] == 1
    assert told["Ce"] == pytest.approx((usual["Ce"] / usual["Ca"]) ** 0.5)
    assert relevance({"Ca": 1.0, "Ce": 1e-9})["Ce"] == 0.05


def test_elements_enter_a_network_by_their_difference_from_the_default():
    ends = DOMAIN.from_offsets(np.array(DOMAIN.offset_ends))
    scaled = label_scaling(DOMAIN, relevance={"Ce": 0.1})
    assert scaled(ends) == pytest.approx(np.array([[-1, -1, -1, -0.1], [1, 1, 1, 0.1]]), abs=1e-6)
    with_inverse = label_scaling(DOMAIN, reciprocal=True)(ends)
    assert with_inverse[:, 4] == pytest.approx([1, -1], abs=1e-5)
    assert with_inverse[:, :4] == pytest.approx(np.array([[-1] * 4, [1] * 4]), abs=1e-6)


def spectra_of(band, *, teff, alpha, Ca, Ce):
    points = np.linspace(0, 1, band.chunks[0].points)
    depth = 0.3 + 0.2 * np.tanh(Ca)[:, None] + 0.01 * Ce[:, None] + 1e-5 * (teff - 5000)[:, None]
    return (1 - depth * np.exp(-(((points - 0.5) / 0.05) ** 2)))[:, None]


def test_a_store_with_twins_makes_a_model(tmp_path):
    """Through the store: its pairs, the resolution that its labels ask for, and the model's own file."""
    wanted = recipe.from_mapping(json.loads(json.dumps(RECIPE)))
    build.build(wanted, tmp_path / "store", spectra_of, physics="toy", progress=False)
    opened = store.open_store(tmp_path / "store")
    assert opened.band.finest_resolution == 18000
    pairs = Twins.among([opened, opened])
    assert len(pairs.star) == 2 * 2 * 16
    changed = opened.labels[pairs.twin[:32] % 48] - opened.labels[pairs.star[:32] % 48]
    assert (np.count_nonzero(changed, axis=1) == 1).all()
    design = emulation.EmulatorRecipe(4, CoefficientNetwork((8,)), Plan(epochs=2), batch=16)
    fitted, trained = emulation.fit_emulator([opened], design)
    generator = Generator.of(packed(fitted, opened.band), "toy")
    assert generator.domain.spread == wanted.domain.spread
    assert generator.model.finish.finest_resolution == 18000
    star = generator.domain.array(teff=5000, alpha=0.2, resolution=18000)
    assert np.isfinite(generator.flux(star)).all()

    before = (replace(fitted[0], domain=generator.domain),)
    (after,), (training,) = emulation.fit_emulator([opened], design, start=before)
    np.testing.assert_allclose(parted(after)[1].components, parted(fitted[0])[1].components, atol=1e-5)
    assert training.history[0].validation_loss < 1.05 * trained[0].best_loss  # where the first had ended
    assert np.abs(after.flux(star) - fitted[0].flux(star)).max() > 0
    other = emulation.EmulatorRecipe(5, CoefficientNetwork((8,)), Plan(epochs=2), batch=16)
    with pytest.raises(ConfigError, match="has 4 coefficients and hidden layers of \\[8\\], the recipe 5"):
        emulation.fit_emulator([opened], other, start=before)
    narrow = (replace(fitted[0], domain=replace(generator.domain, low=generator.domain.low + 1e-3)),)
    with pytest.raises(ConfigError, match="labels outside those of the model"):
        emulation.fit_emulator([opened], design, start=narrow)
