"""Partition functions against sums over measured levels, limits and other tables."""

import numpy as np
import pytest

from starloom import tables

ATOMS = tables.load("partition_functions")
MOLECULES = tables.load("molecular_partition_functions")
TEMPERATURE, LOG_Q = ATOMS["temperature"], ATOMS["log_q"]
PER_CM_IN_K = 1.438776877  # h c / k, cm K

# statistical weight and energy [cm-1] of the lowest levels, NIST Atomic Spectra Database
LEVELS = {
    (11, 0): [(2, 0.0), (2, 16956.17), (4, 16973.37), (2, 25739.99), (10, 29172.85), (6, 30270.0)],
    (12, 1): [
        (2, 0.0),
        (6, 35730.0),
        (2, 69804.95),
        (10, 71490.6),
        (6, 80640.0),
        (2, 92790.0),
        (24, 93600.0),
    ],
    (20, 1): [
        (2, 0.0),
        (4, 13650.19),
        (6, 13710.88),
        (2, 25191.51),
        (4, 25414.40),
        (2, 52166.93),
        (10, 56850.0),
    ],
}


def q(z, charge, temperature):
    return np.exp(np.interp(np.log(temperature), np.log(TEMPERATURE), LOG_Q[z - 1, charge]))


@pytest.mark.parametrize("ion", LEVELS)
@pytest.mark.parametrize("temperature", [2500.0, 3500.0, 4500.0])
def test_sum_over_levels(ion, temperature):
    weight, energy = np.array(LEVELS[ion]).T
    direct = (weight * np.exp(-PER_CM_IN_K * energy / temperature)).sum()
    # levels left out of the sum and interpolation of a table with 1000 K between its temperatures: 1 %
    assert q(*ion, temperature) == pytest.approx(direct, rel=0.01)


@pytest.mark.parametrize("temperature", [11000.0, 13000.0, 16000.0])
def test_mg_ii_above_barklem_and_collet(temperature):
    """Kurucz's table is wrong by up to 7e3 here; the sum lacks the levels above 95000 cm-1."""
    weight, energy = np.array(LEVELS[12, 1]).T
    direct = (weight * np.exp(-PER_CM_IN_K * energy / temperature)).sum()
    assert direct * 0.99 < q(12, 1, temperature) < direct * 1.03


def test_iron_at_6000_kelvin():
    assert q(26, 0, 6000.0) == pytest.approx(31.74, rel=2e-3)  # Barklem & Collet (2016), table 8


@pytest.mark.parametrize(
    ("z", "charge", "weight"),
    [
        (1, 0, 2),
        (1, 1, 1),
        (2, 0, 1),
        (2, 1, 2),
        (2, 2, 1),
        (3, 3, 1),
        (11, 0, 2),
        (12, 0, 1),
        (14, 0, 9),
        (26, 0, 9),
    ],
)
def test_cold_limit_is_the_weight_of_the_ground_term(z, charge, weight):
    log_q = LOG_Q[z - 1, charge, 0]
    # at 1000 K: 9 for the ground term of Si I and level of Fe I, whose fine structure is excited in part
    assert np.log(weight) - 0.6 < log_q < np.log(weight) + 0.6
    if weight < 9:
        assert np.exp(log_q) == pytest.approx(weight, abs=1e-5)


def test_exactly_the_existing_ions_have_values():
    exists = np.arange(1, 93)[:, None] >= np.arange(4)
    assert np.array_equal(np.isfinite(LOG_Q).all(axis=-1), exists)
    assert np.array_equal(np.isnan(LOG_Q).all(axis=-1), ~exists)


def test_grows_with_temperature_and_never_jumps():
    step = np.diff(LOG_Q, axis=-1)
    # Kurucz changes formula in Na III at 19500 K (-1.5 %), Ne II and K III (-0.1 %)
    assert np.nanmin(step) > -0.016
    # the steepest below 20000 K is a hot neutral gas with its high levels: d ln Q / d ln T = 9
    assert np.nanmax(step[..., TEMPERATURE[1:] < 20000.0]) < 9 * np.log(10) * 0.01


@pytest.mark.parametrize(("temperature", "value"), [(3000.0, 3652.0), (4000.0, 6081.0), (6000.0, 13674.0)])
def test_cn(temperature, value):
    """Barklem & Collet (2016), table 6; their table has 1000 K between its temperatures: 1 %."""
    i = MOLECULES["name"].tolist().index("CN")
    at = MOLECULES["temperature"].tolist().index(temperature)
    assert np.exp(MOLECULES["log_q_barklem_collet"][i, at]) == pytest.approx(value, rel=0.015)


def test_exomol_without_nuclear_spin_agrees_with_barklem_and_collet():
    """At 2000 K, where both are complete; TiH's and CH's levels differ by more."""
    at = MOLECULES["temperature"].tolist().index(2000.0)
    difference = MOLECULES["log_q"][:, at] - MOLECULES["log_q_barklem_collet"][:, at]
    worst = dict(zip(MOLECULES["name"].tolist(), np.abs(difference), strict=True))
    assert {name for name, value in worst.items() if value > 0.05} == {"CH", "TiH"}
    assert worst["CH"] < 0.12
    assert worst["TiH"] < 0.08


def test_water_without_nuclear_spin():
    """Rigid rotor and harmonic oscillators, symmetry number 2 (Herzberg 1945), within 10 % at 2000 K."""
    temperature = 2000.0
    rotation = np.sqrt(np.pi * (temperature / PER_CM_IN_K) ** 3 / (27.88 * 14.51 * 9.285)) / 2
    vibration = np.prod(
        [1 / -np.expm1(-PER_CM_IN_K * nu / temperature) for nu in (3657.05, 1594.75, 3755.93)]
    )
    i = MOLECULES["name"].tolist().index("H2O")
    at = MOLECULES["temperature"].tolist().index(temperature)
    assert np.exp(MOLECULES["log_q"][i, at]) == pytest.approx(rotation * vibration, rel=0.1)
