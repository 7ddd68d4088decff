"""Partition functions between the nodes of the table: Boltzmann's sums in closed form, and the ends."""

import jax
import numpy as np
import pytest

from starloom.constants import BOLTZMANN_EV
from starloom.physics.partition import EXISTS, LOG_Q, LOG_TEMPERATURE, log_partition

TEMPERATURE = np.array([3070.0, 5040.0, 7777.0])

# weights and energies [eV] of the lowest levels, NIST Atomic Spectra Database (Kramida et al. 2022)
LEVELS = {
    (11, 0): [(2, 0.0), (2, 2.1023), (4, 2.1044), (2, 3.1914)],
    (12, 1): [(2, 0.0), (2, 4.4224), (4, 4.4338)],
    (20, 1): [(2, 0.0), (4, 1.6924), (6, 1.6999), (2, 3.1233), (4, 3.1510)],
    (1, 0): [(2, 0.0), (8, 10.1988)],
    (2, 0): [(1, 0.0)],
}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(("number", "charge"), LEVELS)
def test_boltzmann_sums(number, charge):
    """Q = sum of g exp(-E/kT); higher levels add less than 1 % here, below 5100 K for Na I."""
    temperature = TEMPERATURE[:2] if number == 11 else TEMPERATURE
    levels = LEVELS[number, charge]
    expected = sum(g * np.exp(-energy / (BOLTZMANN_EV * temperature)) for g, energy in levels)
    assert np.exp(log_partition(temperature)[number - 1, charge]) == pytest.approx(expected, rel=0.01)


def test_linear_between_nodes():
    """3e-5: the nodes are written in K to six digits, so not quite equidistant."""
    middle = 0.3 * LOG_TEMPERATURE[:-1] + 0.7 * LOG_TEMPERATURE[1:]
    found = np.asarray(log_partition(np.exp(middle)))
    assert found == pytest.approx(0.3 * LOG_Q[..., :-1] + 0.7 * LOG_Q[..., 1:], abs=3e-5)
    assert np.asarray(log_partition(np.exp(LOG_TEMPERATURE))) == pytest.approx(LOG_Q, abs=3e-5)


def test_ends_hold_and_ions_that_do_not_exist():
    found = np.asarray(log_partition(np.array([500.0, 3e5])))
    assert found[..., 0] == pytest.approx(LOG_Q[..., 0], abs=1e-12)
    assert found[..., 1] == pytest.approx(LOG_Q[..., -1], abs=1e-12)
    assert not EXISTS[0, 2]
    assert not EXISTS[1, 3]
    assert found[0, 1] == pytest.approx(0.0)  # the proton


def test_q_rises_with_temperature():
    """Q is a sum of terms that rise; to 9500 K (beyond, Na III falls by 1 %), 1e-3 for the tables' noise."""
    found = np.asarray(log_partition(np.geomspace(2000.0, 9500.0, 100)))
    assert np.diff(found, axis=-1).min() > -1e-3
