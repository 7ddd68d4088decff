"""Symbols, numbers and masses of the elements."""

import pytest

from starloom.constants import ATOMIC_MASS
from starloom.errors import OutOfRangeError
from starloom.physics.species import ELEMENTS, MASSES, SYMBOLS, atomic_number, ion_name


@pytest.mark.parametrize(("symbol", "number"), [("H", 1), ("Ca", 20), ("Fe", 26), ("U", 92)])
def test_numbers(symbol, number):
    assert atomic_number(symbol) == number
    assert SYMBOLS[number - 1] == symbol


def test_every_symbol_once():
    assert len(set(SYMBOLS)) == ELEMENTS == 92


def test_spectroscopic_names():
    assert ion_name(20, 1) == "Ca II"
    assert ion_name(2, 0) == "He I"


@pytest.mark.parametrize(("number", "weight"), [(1, 1.008), (2, 4.0026), (20, 40.078), (26, 55.845)])
def test_masses(number, weight):
    """Standard atomic weights (Prohaska et al. 2022, Pure Appl. Chem. 94, 573)."""
    assert MASSES[number - 1] / ATOMIC_MASS == pytest.approx(weight, rel=2e-4)


@pytest.mark.parametrize("symbol", ["Xx", "fe", "", "Np"])
def test_unknown_element(symbol):
    with pytest.raises(OutOfRangeError, match=r"^element = .* is not one of H, He, ... U \(Z = 1 to 92\)$"):
        atomic_number(symbol)
