"""Solar mixtures and ionisation energies against their publications."""

import numpy as np
import pytest

from starloom import tables

ABUNDANCES = tables.load("abundances")
SYMBOLS = ABUNDANCES["symbol"].tolist()


def log_eps(mixture, symbol):
    return ABUNDANCES[mixture][SYMBOLS.index(symbol)]


@pytest.mark.parametrize(
    ("mixture", "iron", "oxygen", "helium"),
    [
        ("grevesse_sauval_1998", 7.50, 8.83, 10.93),  # their table 1
        ("asplund_2009", 7.50, 8.69, 10.93),  # their table 1
        ("asplund_2021", 7.46, 8.69, 10.914),  # their table 2
    ],
)
def test_published_abundances(mixture, iron, oxygen, helium):
    assert log_eps(mixture, "H") == 12.0
    assert log_eps(mixture, "Fe") == iron
    assert log_eps(mixture, "O") == oxygen
    assert log_eps(mixture, "He") == helium


@pytest.mark.parametrize(
    ("mixture", "ratio"),
    [("grevesse_sauval_1998", 0.0231), ("asplund_2009", 0.0181), ("asplund_2021", 0.0187)],
)
def test_published_ratio_of_metals_to_hydrogen_by_mass(mixture, ratio):
    mass = 10 ** (ABUNDANCES[mixture] - 12.0) * ABUNDANCES["standard_atomic_weight"]
    # published to two or three digits
    assert mass[2:].sum() / mass[0] == pytest.approx(ratio, abs=1.5e-4)


def test_elements_are_in_order():
    assert [SYMBOLS[z - 1] for z in (1, 2, 26, 57, 92)] == ["H", "He", "Fe", "La", "U"]
    weight = ABUNDANCES["standard_atomic_weight"]
    # the four places where weight falls as atomic number grows
    assert [SYMBOLS[i] for i in np.flatnonzero(np.diff(weight) < 0)] == ["Ar", "Co", "Te", "Th"]
    assert weight[25] == 55.845


def test_elements_without_stable_isotopes_have_no_abundance():
    for mixture in ("grevesse_sauval_1998", "asplund_2009", "asplund_2021"):
        assert {SYMBOLS[i] for i in np.flatnonzero(np.isinf(ABUNDANCES[mixture]))} == {
            *("Tc", "Pm", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Pa")
        }


def test_ionisation_energies():
    energy = tables.load("ionization_energies")["energy_ev"]
    assert energy[0, 0] == 13.598434599702  # Horbatsch & Hessels (2016)
    assert energy[25, 0] == 7.9024681  # Schoenfeld et al. (1995)
    assert energy[1, 1] == pytest.approx(4 * 13.6057 * (1 - 1 / 7294.3), rel=1e-4)  # Z^2 Rydberg, He-4
    exists = np.arange(1, 93)[:, None] > np.arange(4)
    assert np.array_equal(np.isfinite(energy), exists)
    assert (np.diff(energy, axis=1)[exists[:, 1:]] > 0).all()
