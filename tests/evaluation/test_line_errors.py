"""Groups of lines for the derivatives of the flux, and the nodes at which they are taken."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("jax")

from starloom import bands
from starloom.evaluation.line_errors import BLEND_AA, NODES, apart, blends, compressed, is_triplet, node_stars
from starloom.synthesis import domain
from starloom.synthesis.band import band_lines


@pytest.fixture(scope="module")
def lines():
    return band_lines(bands.load("rvs"))


def test_the_triplet_is_three_lines(lines):
    found = 1e8 * np.asarray(lines.wavelength)[is_triplet(lines)]
    assert np.allclose(np.sort(found), [8500.36, 8544.44, 8664.52], atol=0.05)  # vacuum


def test_blends_are_of_one_ion_and_near(lines):
    chosen = np.arange(0, len(lines.wavelength), 3)
    groups = blends(lines, chosen)
    assert np.array_equal(np.sort(np.concatenate(groups)), chosen)
    for group in groups:
        assert np.ptp(1e8 * np.asarray(lines.wavelength)[group]) <= BLEND_AA
        assert len({(int(lines.element[k]), int(lines.charge[k])) for k in group}) == 1


def test_what_moves_together_is_apart():
    rng = np.random.default_rng([43, 0])
    centres, reach = rng.uniform(8400, 8800, 300), rng.choice([1.2, 2.2, 4.0], 300)
    colours = apart(centres, reach)
    assert sorted(k for colour in colours for k in colour) == list(range(300))
    for colour in colours:
        order = sorted(colour, key=lambda k: centres[k])
        for left, right in pairwise(order):
            assert centres[right] - centres[left] > reach[left] + reach[right] - 1e-9


def test_nodes_have_atmospheres():
    stars = node_stars(NODES)
    assert len(stars) == np.prod([len(values) for values in NODES.values()])
    domain().check(stars)


def test_a_basis_that_is_large_enough_keeps_the_covariance():
    rng, nodes = np.random.default_rng([43, 1]), {name: np.arange(2.0) for name in NODES}
    basis = rng.normal(size=(6, 40))
    patterns = rng.normal(size=(8, 4, 6)) @ basis
    found = compressed(bands.load("rvs"), nodes, patterns, components=6)
    factor = np.full(40, np.sqrt(2))
    factor[[0, 20]] = 1
    for node, own in zip(np.ndindex(2, 2, 2), patterns, strict=True):
        back = (found.patterns[node] @ found.basis[0]) * factor
        assert np.allclose(back[:-1].T @ back[:-1], own[:-1].T @ own[:-1], atol=1e-3)
        assert np.allclose(back[-1], own[-1], atol=1e-4)
