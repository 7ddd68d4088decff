"""Abundances: the Sun's, scaled, and single elements apart."""

import re

import jax
import numpy as np
import pytest

from starloom.constants import SYMBOLS
from starloom.errors import OutOfRangeError, StarloomError
from starloom.physics.abundances import CARBON_RATIO, Mixture, checked_elements, per_hydrogen


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


def ratio_to_the_sun(*composition):
    """[X/H] in dex of every element that the Sun has; NaN of the others."""
    found, solar = (np.asarray(per_hydrogen(*each)) for each in (composition, (0.0,)))
    return np.log10(np.where(solar > 1e-18, found, np.nan) / np.maximum(solar, 1e-18))


def places(*symbols):
    return [SYMBOLS.index(symbol) for symbol in symbols]


def test_alpha_moves_eight_elements():
    """O, Ne, Mg, Si, S, Ar, Ca and Ti, as in the alpha-enhanced models of ATLAS9; C and N do not follow."""
    moved = ratio_to_the_sun(-1.0, 0.4)
    alpha = places("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Ti")
    assert moved[alpha] == pytest.approx(-0.6)
    assert moved[:2] == pytest.approx(0.0, abs=1e-12)
    others = np.setdiff1d(np.flatnonzero(np.isfinite(moved)), [0, 1, *alpha])
    assert moved[others] == pytest.approx(-1.0)


def test_an_element_apart():
    """[X/M] counts from [M/H], and for that element alone there is no [alpha/M]; helium follows nothing."""
    apart = ratio_to_the_sun(-1.0, 0.4, {"Ca": 0.3, "Fe": 0.2, "He": 0.1})
    assert apart[places("Ca", "Fe", "He")] == pytest.approx([-0.7, -0.8, 0.1])
    others = np.setdiff1d(np.arange(92), places("Ca", "Fe", "He"))
    assert np.array_equal(apart[others], ratio_to_the_sun(-1.0, 0.4)[others], equal_nan=True)
    # what follows by default is what may be said
    said = per_hydrogen(-1.0, 0.4, {"O": 0.4, "C": 0.0})
    assert np.array_equal(said, per_hydrogen(-1.0, 0.4))


def test_metals_of_a_model_with_alpha(shared):
    """The mixture in the header of ATLAS9's models: log of the number among all nuclei, rounded to 0.01."""
    header = (shared / "reference/wide/S8_t5500g45m-1.0a+0.4v1.mod").read_text().split("READ DECK")[0]
    listed = re.findall(r"(\d+)\s+(-\d+\.\d+)", header.split("ABUNDANCE SCALE")[1])
    found = np.asarray(per_hydrogen(-1.0, 0.4))
    there = {int(number): float(log) for number, log in listed if float(log) > -19 and int(number) > 2}
    ours = np.log10(found[[number - 1 for number in there]] / found.sum())
    assert len(there) > 75
    assert ours == pytest.approx(np.array(list(there.values())) - 1.0, abs=0.011)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Fe": np.nan}, r"\[Fe/M\] = nan dex is outside \[-10, 3\] dex$"),
        ({"Fe": -np.inf}, r"\[Fe/M\] = -inf dex is outside"),
        ({"Fe": "0.1"}, r"\[Fe/M\] = '0.1' is no real number"),
        ({"Fe": True}, r"\[Fe/M\] = True is no real number"),
        ({"Fe": None}, r"\[Fe/M\] = None is no real number"),
        ({"Fe": [0.1, 0.2]}, r"\[Fe/M\] has the shape \(2,\), expected one number"),
        ({"fe": 0.1}, "element = 'fe' is not one of"),
        ({26: 0.1}, "element = 26 is not one of"),
        ({"alpha": 0.1}, "alpha is no element: give alpha="),
        ({"H": 0.1}, r"element = 'H' has no \[X/M\]"),
        ({"Zz": 0.1}, "element = 'Zz' is not one of"),
        ("Fe", "elements = 'Fe' is no mapping"),
    ],
)
def test_elements_are_offsets_within_reason(elements, message):
    with pytest.raises(StarloomError, match=f"^{message}") as caught:
        per_hydrogen(0.0, 0.0, elements)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("elements", "mh", "message"),
    [
        # the Sun's A(C) of Asplund et al. (2009) on the scale of Grevesse & Sauval (1998), 8.52
        ({"C": 8.43}, 0.0, r"3\] dex; if A\(C\) = 8.43 is meant, that is \[C/M\] = -0.09 dex at mh = 0 dex$"),
        (
            {"Ca": 6.3},
            -1.0,
            r"3\] dex; if A\(Ca\) = 6.3 is meant, that is \[Ca/M\] = 0.94 dex at mh = -1 dex$",
        ),
        ({"He": 10.93}, -1.0, r"if A\(He\) = 10.93 is meant, that is \[He/H\] = 0.00 dex at mh = -1 dex$"),
        ({"Ca": 63.0}, 0.0, r"^\[Ca/M\] = 63 dex is outside \[-10, 3\] dex$"),
        ({"Ca": 6.3}, None, r"^\[Ca/M\] = 6.3 dex is outside \[-10, 3\] dex$"),
        ({"C": 2.8}, 0.5, r"^\[C/M\] = 2.8 dex at mh = 0.5 dex: \[C/H\] = 3.3 dex is above 3 dex$"),
    ],
)
def test_absolute_abundances_are_refused_with_what_was_meant(elements, mh, message):
    with pytest.raises(OutOfRangeError, match=message) as caught:
        checked_elements(elements, mh)
    assert "\n" not in str(caught.value)


def test_a_mixture_is_checked_label_by_label():
    assert Mixture(0.0).checked() == Mixture(0.0, 0.0, {}, CARBON_RATIO)
    with pytest.raises(OutOfRangeError, match=r"^alpha = nan dex is outside \[-2, 2\] dex$"):
        Mixture(0.0, np.nan).checked()
    with pytest.raises(OutOfRangeError, match=r"^carbon_ratio = 0 is outside \[1, 10000\]$"):
        Mixture(0.0, carbon_ratio=0.0).checked()


def test_elements_may_be_traced():
    """The number of nuclei is 10^[X/M] times that of the metals: its derivative is ln 10 times itself."""
    found = jax.jacfwd(lambda x_m: per_hydrogen(0.0, 0.0, {"Ca": x_m})[19])(0.3)
    assert found == pytest.approx(np.log(10) * float(per_hydrogen(0.0, 0.0, {"Ca": 0.3})[19]), rel=1e-9)
