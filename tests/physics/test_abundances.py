"""Abundances: the Sun's, scaled, and single elements apart."""

import jax
import numpy as np
import pytest

from starloom.errors import OutOfRangeError
from starloom.physics.abundances import per_hydrogen


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("number", "abundance"), [(1, 12.0), (2, 10.93), (6, 8.52), (8, 8.83), (20, 6.36), (26, 7.50)]
)
def test_solar(number, abundance):
    """Grevesse & Sauval (1998), table 1, as ATLAS9 holds it (He 10.93)."""
    assert np.log10(per_hydrogen(0.0)[number - 1]) + 12 == pytest.approx(abundance, abs=0.006)


def test_metals_scale_and_helium_does_not():
    ratio = np.asarray(per_hydrogen(0.5)) / np.maximum(per_hydrogen(0.0), 1e-40)
    assert ratio[:2] == pytest.approx(1.0)
    there = np.asarray(per_hydrogen(0.0)) > 0
    assert ratio[2:][there[2:]] == pytest.approx(10**0.5)


def test_an_element_apart():
    """[X/H] counts from the Sun, not from [M/H]; every other element keeps [M/H]."""
    apart, scaled, solar = (
        np.asarray(x)
        for x in (per_hydrogen(-1.0, {"Ca": 0.3, "He": 0.1}), per_hydrogen(-1.0), per_hydrogen(0.0))
    )
    assert apart[[1, 19]] / solar[[1, 19]] == pytest.approx([10**0.1, 10**0.3])
    others = np.setdiff1d(np.arange(92), [1, 19])
    assert np.array_equal(apart[others], scaled[others])


def test_what_has_no_meaning_is_refused():
    with pytest.raises(OutOfRangeError, match=r"^element = 'H' has no \[X/H\]"):
        per_hydrogen(0.0, {"H": 0.1})
    with pytest.raises(OutOfRangeError, match=r"^element = 'Zz' is not one of"):
        per_hydrogen(0.0, {"Zz": 0.1})
