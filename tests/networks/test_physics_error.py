"""Patterns of the physics error: in files, between nodes, and turned to their neighbours."""

from dataclasses import replace

import numpy as np
import pytest

from starloom import bands
from starloom.errors import ConfigError, OutOfRangeError, StoreError
from starloom.labels import TABLE_1
from starloom.networks import weights
from starloom.networks.generator import Generator
from starloom.networks.physics_error import (
    PATTERNS,
    PhysicsError,
    Sizes,
    aligned,
    attached,
    packed,
    physics_in,
)

NODES = {"teff": np.array([4000.0, 6000.0]), "logg": np.array([2.0, 5.0]), "mh": np.array([-1.0, 0.0, 1.0])}


@pytest.fixture(scope="module")
def physics():
    rng = np.random.default_rng([41, 0])
    patterns, basis = rng.normal(size=(2, 2, 3, 4, 5)), rng.normal(size=(5, 2574))
    return PhysicsError(
        bands.load("rvs").bare, NODES, patterns.astype(np.float32), (basis.astype(np.float32),)
    )


def labels(teff, logg, mh):
    return TABLE_1.array(teff=teff, logg=logg, mh=mh, vsini=5.0, vmic=1.0, resolution=11500.0)[None]


def test_a_file_keeps_them(physics, tmp_path):
    weights.save(tmp_path / "patterns.safetensors", packed(physics))
    found = physics_in(weights.load(tmp_path / "patterns.safetensors", "physics-error"))
    assert found.sizes == physics.sizes
    assert found.band == physics.band
    assert np.array_equal(found.patterns, physics.patterns)
    assert np.array_equal(found.basis[0], physics.basis[0])
    assert found.nodes["mh"].tolist() == [-1, 0, 1]


def test_a_model_carries_them_and_generates_the_same(physics, tmp_path):
    model = weights.load(weights.find("default-2026-lte"))
    weights.save(tmp_path / "with.safetensors", attached(model, physics.with_sizes(Sizes(lines=0.2))))
    generator, plain = Generator.load(tmp_path / "with.safetensors"), Generator.load("default-2026-lte")
    assert generator.physics.sizes == Sizes(lines=0.2)
    sun = labels(5777, 4.44, 0.0)
    assert np.array_equal(generator.flux(sun), plain.flux(sun))
    assert np.array_equal(generator.error(sun), plain.error(sun))
    again = attached(weights.load(tmp_path / "with.safetensors"), physics)
    assert physics_in(again).sizes == physics.sizes


def test_a_model_without_says_so(physics):
    model = attached(weights.load(weights.find("default-2026-lte")), physics)
    settings = {name: value for name, value in model.header.settings.items() if name != "physics_error"}
    assert physics_in(replace(model, header=replace(model.header, settings=settings))) is None


def test_what_makes_no_sense_is_refused(physics):
    model = weights.load(weights.find("default-2026-lte"))
    other = replace(physics, band=replace(physics.band, name="other"))
    with pytest.raises(ConfigError, match="another band"):
        attached(model, other)
    with pytest.raises(OutOfRangeError, match=r"lines = -0\.1"):
        Sizes(lines=-0.1)
    whole = attached(model, physics)
    networks = {name: net for name, net in whole.networks.items() if name != PATTERNS}
    with pytest.raises(StoreError, match="makes no sense"):
        physics_in(replace(whole, networks=networks))


def test_between_nodes_they_are_linear_and_held_beyond(physics):
    sized = physics.with_sizes(Sizes(lines=0.1, calcium=0.05))
    (grid,) = sized.band.kept
    at = [sized.halves(TABLE_1, labels(*place))[grid][0] for place in ((4000, 2, 0), (6000, 2, 0))]
    between = sized.halves(TABLE_1, labels(4500, 2, 0))[grid][0]
    assert np.allclose(between, 0.75 * at[0] + 0.25 * at[1], atol=1e-5)
    factor = np.array([0.1, 0.1, 0.1, 0.05])[:, None]
    assert np.allclose(at[0], factor * (physics.patterns[0, 0, 1] @ physics.basis[0]), atol=1e-5)
    beyond = sized.halves(TABLE_1, labels(9000, 2, 0))[grid][0]
    assert np.allclose(beyond, at[1])


def test_turning_keeps_the_covariance_and_makes_neighbours_alike():
    """Nodes that differ by a rotation of their patterns alone become the same."""
    rng = np.random.default_rng([41, 1])
    patterns = np.empty((2, 2, 3, 4, 5))
    same = rng.normal(size=(4, 5))
    for node in np.ndindex(2, 2, 3):
        patterns[node] = np.linalg.qr(rng.normal(size=(4, 4)))[0] @ same
    found = aligned(patterns)
    for node in np.ndindex(2, 2, 3):
        assert np.allclose(found[node].T @ found[node], same.T @ same)
        assert np.allclose(found[node], found[1, 1, 1])
