"""Saha, Guldberg & Waage and what must be conserved, by closed forms and over the whole domain."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from starloom.atmosphere import read_atlas9
from starloom.constants import BOLTZMANN, BOLTZMANN_EV
from starloom.physics.abundances import per_hydrogen
from starloom.physics.equilibrium import (
    CHARGE,
    COMPOSITION,
    IONIZATION_EV,
    LOG_KP,
    MOLECULES,
    equation_of_state,
    log_saha_factor,
)
from starloom.physics.partition import EXISTS
from starloom.physics.species import MASSES

LAYERS = 68  # of every call, so that one compiled program serves all


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def solve(temperature, gas_pressure, abundance):
    """The state in one layer after the other, NumPy arrays; numbers are repeated."""
    columns = (np.resize(np.asarray(x, float), LAYERS) for x in (temperature, gas_pressure))
    return jax.tree.map(np.asarray, equation_of_state(*columns, abundance))


def pure_hydrogen():
    return np.eye(92)[0]


def conservation(state, gas_pressure, temperature, abundance):
    """Largest relative violations of the conservation of nuclei, charge and particles, and of mass."""
    bound = np.einsum("me,ml->el", COMPOSITION, state.molecules)
    nuclei = state.atoms.sum(axis=1) + bound
    nuclei[0] += state.h_minus
    share = abundance / abundance.sum()
    present = share > 1e-30
    elements = nuclei[present] / nuclei.sum(axis=0) / share[present, None] - 1
    positive = (state.atoms * np.arange(4)[:, None]).sum(axis=(0, 1)) + CHARGE.clip(0) @ state.molecules
    negative = state.electrons + state.h_minus + (-CHARGE).clip(0) @ state.molecules
    particles = state.atoms.sum(axis=(0, 1)) + state.molecules.sum(axis=0) + state.h_minus + state.electrons
    ideal_gas = particles * BOLTZMANN * temperature / gas_pressure - 1
    mass = MASSES @ nuclei / state.mass_density - 1
    return [np.abs(x).max() for x in (elements, positive / negative - 1, ideal_gas, mass)]


def test_saha_factor():
    """2 (2 pi m k T / h^2)^(3/2) = 4.8294e15 T^1.5 cm-3 (Gray 2005, eq. 1.20 in pressures: 0.6667 T^2.5)."""
    temperature = np.array([3000.0, 10000.0])
    assert np.exp(log_saha_factor(temperature)) == pytest.approx(4.82937e15 * temperature**1.5, rel=1e-5)
    in_pressure = np.exp(log_saha_factor(temperature)) * BOLTZMANN * temperature
    assert in_pressure == pytest.approx(0.6667 * temperature**2.5, rel=2e-4)


@pytest.mark.parametrize("temperature", [6000.0, 9000.0, 12000.0, 20000.0])
def test_pure_hydrogen(temperature):
    """x^2 / (1 - x^2) = S kT / P, S = 2.4147e15 T^1.5 exp(-13.5984 eV / kT); H-, H2 below 1e-5 here."""
    state = solve(temperature, 1.0, pure_hydrogen())
    saha = 2.41468e15 * temperature**1.5 * np.exp(-13.598434 / (BOLTZMANN_EV * temperature))
    k = saha * BOLTZMANN * temperature
    nuclei = state.atoms[0].sum(axis=0)[0]
    # 3e-4: the partition function of H I is 2.00001 at 10 000 K, 2.0006 at 20 000 K
    assert state.electrons[0] / nuclei == pytest.approx(np.sqrt(k / (1 + k)), rel=3e-4)
    assert state.electrons[0] == pytest.approx(state.atoms[0, 1, 0], rel=1e-5)


def test_saha_for_every_ion(states, structures):
    for name in ("sun", "rich A star"):
        state, temperature = states[name], np.asarray(structures[name].temperature)
        q = np.exp(state.log_partition)
        for charge in range(3):
            there = EXISTS[:, charge + 1] & (state.atoms[:, charge + 1].min(axis=1) > 0)
            ratio = state.atoms[there, charge + 1] * state.electrons / state.atoms[there, charge]
            boltzmann = np.exp(-IONIZATION_EV[there, charge, None] / (BOLTZMANN_EV * temperature))
            weight = q[there, charge + 1] / q[there, charge]
            expected = 4.82937e15 * temperature**1.5 * weight * boltzmann
            assert ratio == pytest.approx(expected, rel=1e-5)


def test_guldberg_and_waage(states, structures):
    state, temperature = states["cool rich dwarf"], np.asarray(structures["cool rich dwarf"].temperature)
    pressure = state.atoms[:, 0] * BOLTZMANN * temperature
    electron_pressure = state.electrons * BOLTZMANN * temperature
    for name in ("H2", "CO", "TiO", "H2O", "FeH", "CN"):
        i = MOLECULES.index(name)
        kp = 10 ** (LOG_KP[i] @ (5040 / temperature) ** np.arange(5)[:, None])
        product = np.prod(pressure ** COMPOSITION[i][:, None], axis=0) * electron_pressure ** -CHARGE[i]
        assert product / (state.molecule(name) * BOLTZMANN * temperature) == pytest.approx(kp, rel=1e-8)


def test_nuclei_charge_and_particles_are_conserved(states, structures):
    for name, state in states.items():
        star = structures[name]
        abundance = np.asarray(per_hydrogen(float(star.mh)))
        found = conservation(state, np.asarray(star.gas_pressure), np.asarray(star.temperature), abundance)
        assert max(found) < 1e-6, (name, found)


def test_nuclei_charge_and_particles_in_model_files(shared):
    for path in sorted(shared.glob("reference/*/*.mod")):
        star = read_atlas9(path)
        temperature, pressure = star.temperature[-LAYERS:], star.gas_pressure[-LAYERS:]
        abundance = np.asarray(per_hydrogen(star.mh))
        state = solve(temperature, pressure, abundance)
        assert max(conservation(state, pressure, temperature, abundance)) < 1e-6, path.name


def composition(path):
    """Nuclei per hydrogen nucleus, by the [M/H] and [alpha/M] in a model file's name."""
    mh, alpha = (re.search(rf"{letter}([+-][\d.]+\d)", path.stem) for letter in "ma")
    mh, alpha = (float(found[1]) if found else 0.0 for found in (mh, alpha))
    return per_hydrogen(mh, alpha)


def test_electron_density_of_atlas9(shared):
    """ATLAS9's own equation of state: 3.6 % at most, high in the Sun where metals give the electrons."""
    paths = [path for path in shared.glob("reference/*/*.mod") if not path.stem.endswith(".ts")]
    for path in sorted(paths):  # in those left out another code's electrons were written
        star = read_atlas9(path)
        state = solve(star.temperature[-LAYERS:], star.gas_pressure[-LAYERS:], composition(path))
        assert state.electrons == pytest.approx(star.electron_density[-LAYERS:], rel=0.04), path.name


def test_hydrogen_becomes_molecules():
    """H2 takes all hydrogen in a cool dense gas, and vanishes from a hot thin one."""
    state = solve([2300.0, 8000.0], [1e7, 1e2], per_hydrogen(0.0))
    hydrogen = state.atoms[0].sum(axis=0) + 2 * state.molecule("H2")
    assert 2 * state.molecule("H2")[0] / hydrogen[0] > 0.98
    assert 2 * state.molecule("H2")[1] / hydrogen[1] < 1e-7


def test_dissociation_of_h2():
    """p(H)^2 / p(H2) = 10^-1.60 bar at 3000 K: JANAF (Chase 1998), log Kf of H = -0.801; 5 % of 0.02 dex."""
    state = solve(3000.0, 1e5, pure_hydrogen())
    ratio = state.atoms[0, 0, 0] ** 2 / state.molecule("H2")[0] * BOLTZMANN * 3000.0
    assert np.log10(ratio / 1e6) == pytest.approx(-1.602, abs=0.02)


@pytest.mark.parametrize(("elements", "scarce"), [({}, 5), ({"C": 0.6}, 7)], ids=["O > C", "C > O"])
def test_carbon_monoxide_takes_the_scarcer_of_its_elements(elements, scarce):
    """Russell (1934): with 11 eV CO is the most strongly bound; 5 % are left to SiO, H2O or C2, HCN."""
    abundance = np.asarray(per_hydrogen(0.0, 0.0, elements))
    state = solve([2800.0, 9000.0], [1e4, 1e4], abundance)
    nuclei = abundance[scarce] * state.mass_density / (abundance @ MASSES)
    fraction = state.molecule("CO") / nuclei
    assert 0.95 < fraction[0] <= 1.0
    assert fraction[1] < 1e-4


def test_metals_give_the_electrons_of_cool_gas():
    """At 4000 K hydrogen is neutral: electrons follow the metals, and their ratio is below 10 in 1 dex."""
    poor, rich = (solve(4000.0, 1e4, per_hydrogen(mh)).electrons[0] for mh in (0.0, 1.0))
    assert 2 < rich / poor < 10


@hypothesis_settings(max_examples=20)
@given(
    arrays(float, LAYERS, elements=st.floats(2300.0, 40000.0)),
    arrays(float, LAYERS, elements=st.floats(0.0, 7.0)),
    st.floats(-2.0, 2.0),
)
def test_any_gas_has_a_state(temperature, log_pressure, mh):
    with jax.enable_x64(True):
        abundance = np.asarray(per_hydrogen(mh))
        state = solve(temperature, 10**log_pressure, abundance)
    assert state.residual.max() < 1e-6
    for part in state:
        assert np.isfinite(part).all()
    for part in (state.electrons, state.atoms, state.molecules, state.h_minus, state.mass_density):
        assert (part >= 0).all()
    assert max(conservation(state, 10**log_pressure, temperature, abundance)) < 1e-6
