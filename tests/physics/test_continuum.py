"""Continuous opacities, each against another's number or formula."""

import jax
import numpy as np
import pytest

from starloom import tables
from starloom.constants import (
    ANGSTROM,
    BOLTZMANN,
    BOLTZMANN_EV,
    LINE_CROSS_SECTION,
    PLANCK,
    SPEED_OF_LIGHT,
    THOMSON,
)
from starloom.physics import continuum
from starloom.physics.equilibrium import MOLECULES, State

WAVELENGTH_AA = np.array([8390.0, 8500.0, 8650.0, 8810.0])
WAVELENGTH = WAVELENGTH_AA * ANGSTROM
EDGE_AA = 8205.8  # of the Paschen continuum, vacuum
TRUE_ABSORBERS = (
    continuum.h_minus_bound_free,
    continuum.h_minus_free_free,
    continuum.hydrogen_bound_free,
    continuum.dissolved_paschen,
    continuum.hydrogen_free_free,
    continuum.h2_plus,
    continuum.h2_minus_free_free,
    continuum.helium,
    continuum.metals,
)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def gas(layers=1, *, electrons=1e13, log_partition=0.0, h_minus=0.0, h2=0.0, **atoms):
    """A gas of given densities [cm-3]; atoms by name: h, proton, he."""
    density = np.zeros((92, 4, layers))
    places = {"h": (0, 0), "proton": (0, 1), "he": (1, 0)}
    for name, value in atoms.items():
        density[places[name]] = value
    molecules = np.zeros((len(MOLECULES), layers))
    molecules[MOLECULES.index("H2")] = h2
    ones = np.ones(layers)
    log_q = np.full((92, 4, layers), log_partition)
    return State(electrons * ones, density, molecules, h_minus * ones, log_q, ones, 0 * ones)


def john_bound_free(micron):
    """John (1988, A&A 193, 189), eqs. 4 and 5, fitted to Wishart (1979): cross-section of H- [cm2]."""
    excess = 1 / micron - 1 / 1.6419
    series = [152.519, 49.534, -118.858, 92.536, -34.194, 4.982] @ excess ** (np.arange(6)[:, None] / 2)
    return 1e-18 * micron**3 * excess**1.5 * series


def test_h_minus_photodetachment():
    """McLaughlin et al. (2017) lie 2.3 % below Wishart's numbers, 3.93e-17 cm2 at 8500 Angstrom."""
    temperature = np.array([5000.0])
    found = continuum.h_minus_bound_free(WAVELENGTH, temperature, gas(h_minus=1.0))[0]
    cross_section = found / continuum.stimulated(WAVELENGTH, temperature)[0]
    assert john_bound_free(np.array([0.85]))[0] == pytest.approx(3.93e-17, rel=0.01)
    assert np.asarray(cross_section) == pytest.approx(john_bound_free(WAVELENGTH_AA / 1e4), rel=0.03)


@pytest.mark.parametrize("name", ["sun", "cool rich dwarf", "A star"])
def test_h_minus_per_atom_and_electron_pressure(name, states, structures):
    """John (1988), eq. 3, with no H- as a species: 0.75 T^-5/2 exp(alpha / lambda_0 T) and so on."""
    state, temperature = states[name], np.asarray(structures[name].temperature)[:, None]
    micron, alpha = WAVELENGTH_AA / 1e4, 1.4388e4
    per_pressure = 0.75 * temperature**-2.5 * np.exp(alpha / (1.6419 * temperature))
    per_pressure = per_pressure * -np.expm1(-alpha / (micron * temperature)) * john_bound_free(micron)
    electron_pressure = state.electrons[:, None] * BOLTZMANN * temperature
    expected = per_pressure * electron_pressure * state.atoms[0, 0][:, None]
    found = np.asarray(continuum.h_minus_bound_free(WAVELENGTH, temperature[:, 0], state))
    assert found == pytest.approx(expected, rel=0.035)  # 2.3 % as above, and the affinity: 1 % at 4000 K


def test_helium_minus_free_free():
    """Carbon, Gingerich & Latham (1969) as fitted by Gray (2005), eq. 8.17; John (1994) agrees to 4 %."""
    temperature = np.array([4200.0, 5040.0, 7200.0])
    theta = 5040 / temperature[:, None]
    fit = np.array(
        [
            [9.66736, -71.76242, 105.29576, -56.49259, 10.69206],
            [-10.50614, 48.28802, -70.43363, 37.80099, -7.15445],
            [2.74020, -10.62144, 15.50518, -8.33845, 1.57960],
            [-0.19923, 0.77485, -1.13200, 0.60994, -0.11564],
        ]
    )
    in_theta = theta ** np.arange(5) @ fit.T
    expected = 1e-26 * 10 ** (in_theta @ np.log10(WAVELENGTH_AA) ** np.arange(4)[:, None])
    state = gas(3, electrons=1 / (BOLTZMANN * temperature), he=1.0, log_partition=1e4)  # no photoionisation
    assert np.asarray(continuum.helium(WAVELENGTH, temperature, state)) == pytest.approx(expected, rel=0.04)


def test_gaunt_factors():
    """Menzel & Pekeris (1935) to first order, in Gray (2005), eq. 8.6: the second order is 1-4 % here."""
    per_rydberg = WAVELENGTH_AA * 1.0968e-3
    temperature = np.array([4000.0, 8000.0, 15000.0])
    hydrogen = gas(3, electrons=1.0, h=1.0, proton=1.0)
    found = continuum.hydrogen_free_free(WAVELENGTH, temperature, hydrogen)
    frequency = SPEED_OF_LIGHT / WAVELENGTH
    in_units_of_kramers = found / (3.692e8 / np.sqrt(temperature)[:, None] / frequency**3)
    gaunt = np.asarray(in_units_of_kramers / continuum.stimulated(WAVELENGTH, temperature))
    photon = WAVELENGTH * BOLTZMANN * temperature[:, None] / (PLANCK * SPEED_OF_LIGHT)
    assert gaunt == pytest.approx(1 + 0.3456 / per_rydberg ** (1 / 3) * (photon + 0.5), rel=0.04)


def test_hydrogen_photoionisation_is_the_sum_of_its_levels():
    """7.91e-18 n g (lambda / lambda_n)^3 cm2 from level n; g to first order (Menzel & Pekeris 1935)."""
    temperature = np.array([7000.0, 14000.0])
    state = gas(2, electrons=1e8, h=1.0, log_partition=np.log(2.0))
    per_rydberg = WAVELENGTH_AA * 1.0968e-3
    total = 0.0
    for level in range(4, 41):
        gaunt = 1 - 0.3456 / per_rydberg ** (1 / 3) * (per_rydberg / level**2 - 0.5)
        excitation = 13.598434 * (1 - 1 / level**2)
        population = level**2 * np.exp(-excitation / (BOLTZMANN_EV * temperature))
        total = total + population[:, None] * 7.91e-18 * level * gaunt * (per_rydberg / level**2) ** 3
    total = total * continuum.stimulated(WAVELENGTH, temperature)
    found = np.asarray(continuum.hydrogen_bound_free(WAVELENGTH, temperature, state))
    assert found == pytest.approx(np.asarray(total), rel=0.015)


@pytest.mark.parametrize("level", [2, 3, 5])
def test_boltzmann(level):
    temperature = np.array([6000.0, 12000.0])
    state = gas(2, electrons=1e5, h=1.0, log_partition=np.log(2.0))
    ratio = continuum.level_population(level, temperature, state) / continuum.level_population(
        1, temperature, state
    )
    expected = level**2 * np.exp(-13.598434 * (1 - 1 / level**2) / (BOLTZMANN_EV * temperature))
    # 4e-4 at 6000 K: the energies are Rydberg's formula, 0.15 meV below the measured ones
    assert np.asarray(ratio) == pytest.approx(expected, rel=4e-4)


def holtsmark(beta):
    """Probability of a microfield below beta: the integral of Holtsmark (1919), by quadrature."""
    y = np.linspace(1e-6, 15.0, 60001)
    z = beta[:, None] * y
    return 2 / np.pi * np.trapezoid(np.exp(-(y**1.5)) * (np.sin(z) - z * np.cos(z)) / y, y, axis=1)


def test_occupation_probability_in_an_ideal_plasma():
    """Without correlations w is the chance of a field below the critical one; the fit is good to 0.03."""
    level, electrons = np.linspace(90.0, 400.0, 40), 1e6
    beta = 8.59e14 * 16 * level / (3 * (level + 1) ** 2) / level**4 * electrons ** (-2 / 3)
    found = continuum.occupation_probability(level, np.full(40, 1e9), np.full(40, electrons))
    assert np.asarray(found) == pytest.approx(holtsmark(beta), abs=0.03)
    assert found.min() < 0.01 < 0.99 < found.max()


@pytest.mark.parametrize("log_ne", [12.0, 13.0, 14.0, 15.0])
def test_levels_dissolve_where_lines_merge(log_ne):
    """The last line seen, log ne = 23.26 - 7.5 log n (Inglis & Teller 1939): w falls to 0 around it."""
    last = 10 ** ((23.26 - log_ne) / 7.5)
    column = np.full(2, 10**log_ne)
    found = continuum.occupation_probability(np.array([0.75, 1.25]) * last, np.full(2, 1e4), column)
    assert found[0] > 0.8
    assert found[1] < 0.1


def test_occupation_probability_limits():
    levels = np.arange(1.0, 41.0)
    thin, thick = (
        np.asarray(continuum.occupation_probability(levels, np.full(40, 1e4), np.full(40, ne)))
        for ne in (1e2, 1e19)
    )
    assert thin.min() > 0.99
    assert thick[3:].max() < 0.2
    assert thick[9:].max() < 1e-5
    medium = np.asarray(continuum.occupation_probability(levels, np.full(40, 1e4), np.full(40, 1e14)))
    assert (np.diff(medium) < 0).all()


@pytest.mark.parametrize("log_ne", [13.0, 14.0, 15.0])
def test_dissolved_levels_join_the_paschen_continuum(log_ne):
    """At the edge every level is dissolved: photoionisation of n = 3, 7.91e-18 x 3 x 0.907 cm2."""
    temperature = np.array([10000.0])
    state = gas(electrons=10**log_ne, h=1.0, log_partition=np.log(2.0))
    wavelength = np.array([EDGE_AA, 8400.0, 8600.0, 8800.0]) * ANGSTROM
    found = np.asarray(continuum.dissolved_paschen(wavelength, temperature, state))[0]
    population = continuum.level_population(3, temperature, state)[0]
    at_edge = population * 7.91e-18 * 3 * 0.907 * continuum.stimulated(wavelength, temperature)[0, 0]
    assert found[0] == pytest.approx(float(at_edge), rel=3e-3)
    # redward it falls from lambda^3, where levels are still dissolved, to nothing
    relative = found / found[0] / (wavelength / wavelength[0]) ** 3
    assert (np.diff(relative) < 0).all()


def test_dissolved_levels_vanish_in_thin_gas():
    thin, dense = (gas(electrons=ne, h=1.0, log_partition=np.log(2.0)) for ne in (1e8, 1e16))
    ratio = continuum.dissolved_paschen(WAVELENGTH, np.array([1e4]), thin) / continuum.dissolved_paschen(
        WAVELENGTH, np.array([1e4]), dense
    )
    assert ratio.max() < 1e-5


def test_a_dissolved_level_absorbs_what_its_line_lost():
    r"""Strength is conserved: per unit of frequency 3 -> n holds (pi e^2 / m c) f dn/dnu, dn/dnu = n^3 / 2Rc.

    With the edge's Gaunt factor the pseudo-continuum has 0.4-1.6 % more than the exact strengths (Gordon
    1929) of the lines n = 10-20; SYNSPEC's, nearly 1, makes 5-12 % out of nothing.
    """
    table, levels = tables.load("hydrogen_profiles"), np.arange(10, 21)
    place = np.searchsorted(table["upper_all"], levels)
    per_level = LINE_CROSS_SECTION * 10 ** table["log_gf"][place] / 18
    lost = per_level * levels**3 / (2 * SPEED_OF_LIGHT * continuum.RYDBERG_HYDROGEN)
    wavelength = 1 / (continuum.RYDBERG_HYDROGEN * (1 / 9 - 1 / levels**2))
    temperature, state = np.array([1e4]), gas(electrons=1e14, h=1.0)
    dissolved = 1 - continuum.occupation_probability(levels, temperature, state.electrons)
    population = continuum.level_population(3, temperature, state)[0]
    expected = lost * dissolved * population * continuum.stimulated(wavelength, temperature)[0]
    own, tapered = (
        continuum.dissolved_paschen(wavelength, temperature, state, tapered=flag)[0] / expected - 1
        for flag in (False, True)
    )
    assert ((own > 0.003) & (own < 0.017)).all()
    assert ((tapered > 0.045) & (tapered < 0.125)).all()


def test_tapered_gaunt_factor_is_that_of_the_edge_there_and_one_far_off():
    state = gas(electrons=1e15, h=1.0)
    wavelength = np.array([EDGE_AA, 8800.0]) * ANGSTROM
    own, tapered = (
        np.asarray(continuum.dissolved_paschen(wavelength, np.array([1e4]), state, tapered=flag))[0]
        for flag in (False, True)
    )
    assert tapered / own == pytest.approx([1.0, 1 / 0.907], rel=2e-3)


def test_rayleigh():
    """H: Lee & Kim (2004, MNRAS 347, 802), eq. 18; He, H2: static polarisabilities, 1.383, 5.414 a0^3."""
    wavelength = np.array([8400.0, 8800.0]) * ANGSTROM
    ratio = (911.753 * ANGSTROM / wavelength) ** 2  # (omega / omega_Lyman)^2
    hydrogen = THOMSON * ratio**2 * (1.265625 + 3.738281 * ratio + 8.813931 * ratio**2)
    assert np.asarray(continuum.rayleigh(wavelength, gas(h=1.0)))[0] == pytest.approx(hydrogen, rel=0.005)
    static = 8 * np.pi / 3 * (2 * np.pi / wavelength) ** 4 * (5.29177e-9) ** 6
    helium = np.asarray(continuum.rayleigh(wavelength, gas(he=1.0)))[0]
    assert helium == pytest.approx(static * 1.383**2, rel=0.015)  # dispersion adds 0.7 %
    molecular = np.asarray(continuum.rayleigh(wavelength, gas(h2=1.0)))[0]
    assert molecular == pytest.approx(static * 5.414**2, rel=0.04)  # dispersion adds 2 %, H2 is not round


def test_thomson():
    """8 pi / 3 r_e^2 = 0.6652 barn a electron, at any wavelength."""
    found = np.asarray(continuum.thomson(WAVELENGTH, gas(electrons=2.0)))
    assert found == pytest.approx(2 * 0.66524587e-24 * np.ones((1, 4)), rel=1e-7)


def test_stimulated_emission():
    """1 - exp(-h nu / kT): h nu / kT = 1.4388 cm K / (lambda T)."""
    found = np.asarray(continuum.stimulated(np.array([8500e-8]), np.array([5000.0, 1e9])))[:, 0]
    assert found[0] == pytest.approx(1 - np.exp(-1.438777 / (8500e-8 * 5000)), rel=1e-6)
    assert found[1] == pytest.approx(1.438777 / (8500e-8 * 1e9), rel=1e-4)


@pytest.fixture(scope="module")
def opacities(states, structures):
    """Every absorber and the two sums, in all layers of all test atmospheres [layer, wavelength]."""

    @jax.jit
    def everything(temperature, state):
        parts = {part.__name__: part(WAVELENGTH, temperature, state) for part in TRUE_ABSORBERS}
        parts["absorption"] = continuum.continuous_absorption(WAVELENGTH, temperature, state)
        return {**parts, "scattering": continuum.continuous_scattering(WAVELENGTH, state)}

    with jax.enable_x64(True):
        temperature = np.concatenate([np.asarray(structures[name].temperature) for name in states])
        state = jax.tree.map(lambda *parts: np.concatenate(parts, axis=-1), *states.values())
        return {name: np.asarray(part) for name, part in everything(temperature, state).items()}


def test_every_absorber_is_finite_and_positive_everywhere(opacities, states):
    for name, opacity in opacities.items():
        assert opacity.shape == (68 * len(states), 4)
        assert np.isfinite(opacity).all(), name
        assert (opacity >= 0).all(), name
    parts = [opacities[absorber.__name__] for absorber in TRUE_ABSORBERS]
    assert opacities["absorption"] == pytest.approx(sum(parts), rel=1e-12)
    assert (opacities["absorption"] > 0).all()
    assert (opacities["scattering"] > 0).all()


def test_what_absorbs_where(opacities, states, structures):
    """H- in the Sun (Wildt 1939), 1 % H2+ (Mihalas 1965); hydrogen in A stars. At 8500 A, tau = 1."""

    def share(star, *absorbers):
        layer = int(np.argmin(np.abs(np.asarray(structures[star].log_tau)))) + 68 * list(states).index(star)
        total = opacities["absorption"] + opacities["scattering"]
        return sum(opacities[absorber][layer, 1] for absorber in absorbers) / total[layer, 1]

    h_minus = ("h_minus_bound_free", "h_minus_free_free")
    assert share("sun", *h_minus) > 0.9
    assert 0.003 < share("sun", "h2_plus") < 0.03
    assert share("rich A star", "hydrogen_bound_free", "hydrogen_free_free", "dissolved_paschen") > 0.8
    assert share("hot poor dwarf", *h_minus) < 0.02


def test_negative_hydrogen_molecule_scales_with_its_makers():
    """H2- free-free: proportional to electron pressure and n(H2); like H-'s within a factor of three."""
    temperature = np.array([4000.0])
    one = continuum.h2_minus_free_free(WAVELENGTH, temperature, gas(electrons=1e11, h2=1e15))
    more = continuum.h2_minus_free_free(WAVELENGTH, temperature, gas(electrons=3e11, h2=2e15))
    assert np.asarray(more / one) == pytest.approx(6.0)
    atomic = continuum.h_minus_free_free(WAVELENGTH, temperature, gas(electrons=1e11, h=1e15))
    assert ((one / atomic > 1 / 3) & (one / atomic < 3)).all()


@pytest.mark.parametrize("name", ["sun", "A star"])
def test_wide_sum_is_the_red_one_there(name, states, structures):
    """Redward of RED_AA finer interpolation changes 1 % of H- free-free, 0.3 % of the sum."""
    temperature, state = np.asarray(structures[name].temperature), states[name]
    red, wide = (
        np.asarray(continuum.continuous_absorption(WAVELENGTH, temperature, state, wide=flag))
        for flag in (False, True)
    )
    assert wide == pytest.approx(red, rel=4e-3)


def test_paschen_edge_is_no_jump():
    """Photoionisation blueward of it goes on as absorption into dissolved levels redward: 1 %."""
    state, temperature = gas(h=1.0, electrons=1e14, log_partition=np.log(2.0)), np.array([9000.0])
    edge = 9 / continuum.RYDBERG_HYDROGEN
    wavelength = edge * np.array([1 - 1e-6, 1 + 1e-6, 1 + 0.1])
    total = continuum.hydrogen_bound_free_wide(wavelength, temperature, state)
    total = np.asarray(total + continuum.dissolved(3, wavelength, temperature, state))[0]
    assert total[1] == pytest.approx(total[0], rel=0.01)
    assert total[2] < 0.5 * total[0]  # far from it levels are whole
    assert any(abs(edge / ANGSTROM - place) < 0.5 for place in continuum.EDGES_AA)


def test_hydrides_absorb_in_the_blue_alone():
    """CH at 4300 A and OH at 4000 A; OH's table ends at 6199 A, and nothing of it goes on."""
    wavelength = np.array([4000.0, 4300.0, 6190.0, 6300.0]) * ANGSTROM
    molecules = np.zeros((len(MOLECULES), 1))
    for name, share in (("CH", 0.0), ("OH", 1.0)):
        molecules[MOLECULES.index(name)] = share
    state = gas()._replace(molecules=molecules)
    found = np.asarray(continuum.hydrides(wavelength, np.array([5000.0]), state))[0]
    assert (found[:3] > 0).all()
    assert found[3] == 0
    assert found[0] > 10 * found[2]


def test_h_minus_by_splines_is_its_table_at_the_nodes():
    """And between 4012 and 5001 A, nodes far apart, 0.1-3 % above the chord."""
    table = tables.load("continuum")
    nodes = table["h_minus_bf_wavelength_aa"]
    nodes = nodes[(nodes > 4000) & (nodes < 9500)]
    state, temperature = gas(h_minus=1.0), np.array([5000.0])
    wavelength = np.append(nodes, 4500.0) * ANGSTROM
    fine, linear = (
        np.asarray(function(wavelength, temperature, state))[0]
        for function in (continuum.h_minus_wide, continuum.h_minus_bound_free)
    )
    assert fine[:-1] == pytest.approx(linear[:-1], rel=1e-9)
    assert 1.001 < fine[-1] / linear[-1] < 1.03
