"""What holds for every spectrum of the domain: positive, at most the continuum, changing as physics says."""

import numpy as np
import pytest

from starloom import bands
from starloom.synthesis import synthesize
from starloom.wavelength import air_from_vacuum

AIR = air_from_vacuum(bands.load("rvs").chunks[0].wavelength_aa)
PASCHEN = 8750.47  # 3-12, air


@pytest.fixture(scope="module")
def normalized(structures):
    """Normalised flux of every place in the domain, vmic 2 km/s."""
    return {name: np.asarray(synthesize(star).normalized) for name, star in structures.items()}


@pytest.fixture(scope="module")
def absorbed(normalized):
    """Equivalent width [Angstrom] of the whole range."""
    return {name: np.trapezoid(1 - flux.astype(float), AIR) for name, flux in normalized.items()}


def test_flux_is_positive_and_at_most_the_continuum(normalized):
    """1.001: float32, and lines formed above a temperature rise."""
    for name, flux in normalized.items():
        assert np.isfinite(flux).all(), name
        assert flux.min() > 0, name
        assert flux.max() <= 1.001, name


def test_metals_absorb(absorbed):
    assert absorbed["cool rich dwarf"] > absorbed["cool poor dwarf"]
    assert absorbed["cool rich giant"] > absorbed["cool poor giant"]
    assert absorbed["hot rich dwarf"] > absorbed["hot poor dwarf"]


def test_paschen_lines_belong_to_hot_stars(normalized):
    """Deeper than 10 % from F to B stars, strongest near 10 000 K; at most a blend in giants of 4750 K."""
    middle = np.abs(AIR - PASCHEN) < 0.3
    depth = {name: 1 - float(flux[middle].max()) for name, flux in normalized.items()}
    assert depth["A star"] > depth["F star"] > depth["poor giant"]
    assert depth["A star"] > 0.2
    assert depth["poor giant"] < 0.05


def test_calcium_triplet(normalized):
    """Among the deepest lines of every cool star (Armandroff & Zinn 1988); ionised away in B stars."""
    core = np.abs(AIR - 8542.09) < 0.1
    for name in ("sun", "F star", "poor giant", "cool rich giant"):
        assert normalized[name][core].min() < 0.5, name
    assert normalized["hot poor dwarf"][core].min() > 0.6


def test_the_same_star_twice(structures, normalized):
    """No hidden state: bit for bit."""
    assert np.array_equal(np.asarray(synthesize(structures["sun"]).normalized), normalized["sun"])
