"""Abundances: the Sun's, scaled, and single elements apart."""

import jax
import numpy as np
import pytest

from starloom.errors import OutOfRangeError, StarloomError
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


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"C": 8.43}, r"\[C/H\] = 8.43 dex is outside \[-10, 3\] dex"),
        ({"Fe": np.nan}, r"\[Fe/H\] = nan dex is outside \[-10, 3\] dex"),
        ({"Fe": -np.inf}, r"\[Fe/H\] = -inf dex is outside"),
        ({"Fe": "0.1"}, r"\[Fe/H\] = '0.1' is no real number"),
        ({"Fe": True}, r"\[Fe/H\] = True is no real number"),
        ({"Fe": None}, r"\[Fe/H\] = None is no real number"),
        ({"Fe": [0.1, 0.2]}, r"\[Fe/H\] has the shape \(2,\), expected one number"),
        ({"fe": 0.1}, "element = 'fe' is not one of"),
        ({26: 0.1}, "element = 26 is not one of"),
        ("Fe", "elements = 'Fe' is no mapping"),
    ],
)
def test_elements_are_offsets_within_reason(elements, message):
    with pytest.raises(StarloomError, match=f"^{message}") as caught:
        per_hydrogen(0.0, elements)
    assert "\n" not in str(caught.value)


def test_elements_may_be_traced():
    """The number of nuclei is 10^[X/H] times the Sun's: its derivative is ln 10 times itself."""
    found = jax.jacfwd(lambda x_h: per_hydrogen(0.0, {"Ca": x_h})[19])(0.3)
    assert found == pytest.approx(np.log(10) * float(per_hydrogen(0.0, {"Ca": 0.3})[19]), rel=1e-9)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(OutOfRangeError, match=r"^element = 'H' has no \[X/H\]"):
        per_hydrogen(0.0, {"H": 0.1})
    with pytest.raises(OutOfRangeError, match=r"^element = 'Zz' is not one of"):
        per_hydrogen(0.0, {"Zz": 0.1})
