"""Statistical equilibrium of Ca II: its laws, a closed form, what it does to a spectrum, what is refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starloom import bands
from starloom.broadening import broaden
from starloom.constants import BOLTZMANN, LINE_CROSS_SECTION, PLANCK, SPEED_OF_LIGHT, THOMSON
from starloom.errors import ConfigError, ConvergenceError, OutOfRangeError
from starloom.nlte import IONS, atom, background, checked_ions, shown_ions, trust
from starloom.nlte import calcium as module
from starloom.nlte.layers import ADDED, extended
from starloom.nlte.populations import Conditions, Equilibrium, balanced, equilibrium
from starloom.nlte.rates import NODES, boltzmann_saha, collisions, continua
from starloom.nlte.rays import feautrier
from starloom.physics.continuum import rayleigh
from starloom.physics.transfer import planck
from starloom.synthesis import photosphere, synthesize
from starloom.synthesis.band import band_lines

RVS = bands.load("rvs")
(GRID,) = RVS.chunks
K = int(atom.RESONANCE[1])  # the line from the ground level
UPPER = int(atom.UPPER[K])


@pytest.fixture(autouse=True)
def double():
    """The populations are solved in float64."""
    with jax.enable_x64(True):
        yield


def test_radiation_of_planck_keeps_lte():
    """Collisions and continua in detailed balance: with J = B every level has its population of LTE."""
    temperature, electrons = jnp.array([4000.0, 6000.0, 8000.0]), jnp.array([1e10, 1e12, 1e14])
    lte = boltzmann_saha(temperature, electrons, jnp.array([1e5, 1e6, 1e7]))
    rates = collisions(temperature, electrons, lte) + continua(temperature, planck(NODES, temperature), lte)
    assert np.abs(balanced(rates, lte)).max() < 1e-9


def test_ionisation_follows_saha():
    """n(Ca III) n_e / n(Ca II) of levels alone, Mihalas (1978), eq. 5-14."""
    temperature, electrons = 7000.0, 1e13
    lte = np.asarray(boltzmann_saha(jnp.array([temperature]), jnp.array([electrons]), jnp.array([1.0])))[0]
    thermal = (2 * np.pi * 9.1093837e-28 * BOLTZMANN * temperature / PLANCK**2) ** 1.5
    energy = np.exp(-95785.47 * PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * temperature))
    assert lte.sum() == pytest.approx(1.0)
    assert lte[5] * electrons / lte[0] == pytest.approx(2 * thermal * (1 / 2) * energy, rel=1e-6)


def test_lifetime_of_the_resonance_levels():
    """A of H and K, 1.4e8 and 1.47e8 s-1 (NIST), to 4 %."""
    f = 10 ** np.asarray(_five_lines().log_gf)[atom.RESONANCE] / atom.WEIGHT[atom.UPPER[atom.RESONANCE]]
    frequency = SPEED_OF_LIGHT / atom.WAVELENGTH[atom.RESONANCE]
    einstein = 8 * np.pi * frequency**2 / SPEED_OF_LIGHT**2 * LINE_CROSS_SECTION * f
    assert einstein == pytest.approx([1.4e8, 1.47e8], rel=0.04)


def _five_lines():
    lines = band_lines(RVS)
    places = atom.triplet_in(lines)
    return atom.with_resonance(jax.tree.map(lambda part: jnp.asarray(part[places]), lines))


def test_scattering_by_hydrogen():
    """A polarisability of 4.50 cubic Bohr radii for long waves; the expansion's 1 % at 3000 A."""
    wavelength = np.array([1e-2])
    slow = 2 * np.pi * SPEED_OF_LIGHT / 1e-2 / 4.134137e16  # atomic units
    assert np.sqrt(background.lyman_response(wavelength)) == pytest.approx(4.50 * slow**2, rel=2e-3)
    state = _hydrogen()
    expanded = np.asarray(rayleigh(np.array([3e-5]), state))[0]
    assert THOMSON * background.lyman_response(np.array([3e-5])) == pytest.approx(expanded, rel=0.02)


def _hydrogen():
    class State:
        atoms = np.zeros((2, 1, 1))

        def molecule(self, _name):
            return np.zeros(1)

    state = State()
    state.atoms[0, 0] = 1.0
    return state


def test_feautrier_and_its_diagonal():
    """Against the matrix of the equations, inverted."""
    random = np.random.default_rng(1)
    step, emitted = np.exp(random.normal(0, 1, (7, 3))), random.random((8, 3))
    lost = 0.2 + 0.8 * random.random((8, 3))
    light, diagonal = map(np.asarray, feautrier(*map(jnp.asarray, (step, emitted, lost))))
    for ray in range(3):
        matrix, d = np.diag(lost[:, ray]), step[:, ray]
        matrix[0, :2] += [2 / d[0] + 2 / d[0] ** 2, -2 / d[0] ** 2]
        for i in range(1, 7):
            below, above = 2 / (d[i] * (d[i - 1] + d[i])), 2 / (d[i - 1] * (d[i - 1] + d[i]))
            matrix[i, i - 1 : i + 2] += [-above, above + below, -below]
        inverse = np.linalg.inv(matrix)
        assert light[:, ray] == pytest.approx(inverse @ emitted[:, ray])
        assert diagonal[:, ray] == pytest.approx(np.diag(inverse))


def two_levels(log_epsilon) -> Conditions:
    """An isothermal, infinitely deep gas in which nothing but K is out of equilibrium.

    C / A = epsilon of its upper level.
    """
    temperature, layers = 6000.0, 80
    log_mass = jnp.linspace(np.log(1e-4), np.log(1e9), layers)
    lte = np.full((layers, atom.LEVELS), 1e-20)
    x = PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * temperature * atom.WAVELENGTH[K])
    lte[:, 0], lte[:, UPPER] = 1.0, 2 * np.exp(-x)
    gf = np.full(atom.LINES, 1e-30)
    gf[K] = 1.0
    frequency = SPEED_OF_LIGHT / atom.WAVELENGTH[K]
    einstein = 8 * np.pi * frequency**2 / SPEED_OF_LIGHT**2 * LINE_CROSS_SECTION / atom.WEIGHT[UPPER]
    down = jnp.ones(atom.LEVELS).at[UPPER].set(jnp.exp(log_epsilon) * einstein)
    rates = jnp.zeros((layers, atom.LEVELS, atom.LEVELS))
    rates = rates.at[:, 1:, 0].set(down[1:]).at[:, 0, 1:].set(down[1:] * lte[:, 1:] / lte[:, :1])
    offset = np.linspace(0, 4.5, 19)
    profile = np.exp(-(offset**2)) / LINE_CROSS_SECTION
    share = profile * np.append(0.5, np.append(np.ones(17), 0.5))
    shape = (layers, atom.LINES, offset.size)
    none = jnp.full((layers, atom.LINES), 1e-20)
    return Conditions(
        lte=jnp.asarray(lte),
        rates=rates,
        gf=jnp.asarray(gf),
        profile=jnp.broadcast_to(profile, shape),
        share=jnp.broadcast_to(share / share.sum(), shape),
        mutual=jnp.zeros((layers, 2)),
        absorption=none,
        scattering=jnp.zeros_like(none),
        planck=planck(atom.WAVELENGTH, jnp.full(layers, temperature)),
        mass_per_density=jnp.exp(log_mass),
        log_mass=log_mass,
    )


def test_two_levels_at_the_surface():
    r"""Source :math:`\sqrt{\epsilon} B` (Avrett & Hummer 1965, MNRAS 130, 295), and its derivative."""

    def surface(log_epsilon):
        found = equilibrium(two_levels(log_epsilon), 1e-7, 400)
        upper, lower = found.log_departure[0, UPPER], found.log_departure[0, 0]
        x = PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * 6000.0 * atom.WAVELENGTH[K])
        return jnp.log(jnp.expm1(x) / (jnp.exp(x + lower - upper) - 1)), found.change

    with_slope = jax.jit(lambda point: jax.jvp(surface, (point,), (jnp.ones(()),)))
    point, step = jnp.log(1e-3), 0.02
    (source, change), (slope, _) = with_slope(point)
    assert change < 1e-7
    boltzmann = np.exp(-PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * 6000.0 * atom.WAVELENGTH[K]))
    share = 1e-3 * (1 - boltzmann)
    assert source == pytest.approx(0.5 * np.log(share / (1 + share)), abs=0.02)
    (above, _), (below, _) = (with_slope(point + way * step)[0] for way in (1, -1))
    assert slope == pytest.approx(float(above - below) / (2 * step), rel=1e-3)
    assert slope == pytest.approx(0.5, abs=0.01)


def test_layers_above(structures):
    """Constant temperature, pressure as the column mass, the atmosphere itself unchanged below."""
    sun = jax.tree.map(jnp.asarray, replace(structures["sun"], **dict.fromkeys(("electron_density",))))
    made = extended(sun)
    assert np.all(np.diff(made.column_mass) > 0)
    assert made.column_mass[0] / sun.column_mass[0] == pytest.approx(1e-4)
    assert np.ptp(made.gas_pressure[: ADDED + 1] / made.column_mass[: ADDED + 1]) == pytest.approx(
        0, abs=1e-6
    )
    assert np.array_equal(made.temperature[ADDED:], sun.temperature)


def test_trust():
    """Whole to 7000 K, half at 7500, none from 8000 K; smooth."""
    assert [float(trust(teff)) for teff in (5000.0, 7000.0, 7500.0, 8000.0, 9000.0)] == [1, 1, 0.5, 0, 0]
    assert [float(jax.grad(trust)(teff)) for teff in (7000.0, 8000.0)] == [0, 0]


@pytest.mark.parametrize(
    ("ions", "said"),
    [
        ("Ca II", "nlte = 'Ca II' is no sequence of ions, as ('Ca II',)"),
        (("Fe I",), "'Fe I' has no model atom, give nlte=('Ca II',)"),
    ],
)
def test_other_ions_are_refused(ions, said):
    with pytest.raises(ConfigError) as refused:
        checked_ions(ions)
    assert str(refused.value) == said


def test_an_ion_without_a_line_is_not_shown():
    lines = band_lines(RVS)
    assert shown_ions(("Ca II",), lines) == ("Ca II",)
    assert shown_ions(("Ca II",), lines._replace(wavelength=lines.wavelength + 1e-7)) == ()
    assert shown_ions((), lines) == ()


def test_what_cannot_be_solved_is_refused(monkeypatch, structures):
    sun, lines = structures["sun"], band_lines(RVS)
    with pytest.raises(OutOfRangeError, match=r"^teff is not given by the atmosphere \(mine\)"):
        module.departures(sun, 1e5, None, lines, teff=None, source="mine")
    elsewhere = lines._replace(wavelength=lines.wavelength + 1e-7)
    with pytest.raises(
        ConfigError, match=r"^nlte = 'Ca II': the line list has 0 lines of Ca II at 8664\.52 A"
    ):
        module.departures(sun, 1e5, None, elsewhere, teff=5777.0)
    unsettled = Equilibrium(jnp.zeros(1), jnp.asarray(200), jnp.asarray(0.3)), None
    monkeypatch.setattr(module, "_solved", lambda *_: unsettled)
    with pytest.raises(ConvergenceError, match=r"^mine: the populations of Ca II still change by 3\.0e-01"):
        module.departures(sun, 1e5, None, lines, teff=5777.0, source="mine")


@pytest.mark.slow
def test_the_triplet_of_the_sun(structures):
    """Cores deeper than in LTE by 0.026, 0.039 and 0.036 at R = 11500 (lightweaver), nothing else changed."""
    sun = structures["sun"]
    with jax.enable_x64(False):
        lte, nlte = (synthesize(sun, mh=0.0, vmic=1.0, nlte=ions) for ions in ((), IONS))
    seen = [
        broaden(np.asarray(one.normalized, float), GRID.step_kms, resolution=11500.0) for one in (lte, nlte)
    ]
    change = seen[1] - seen[0]
    cores = [change[np.argmin(np.abs(GRID.wavelength_aa - line))] for line in (8500.358, 8544.438, 8664.520)]
    assert cores == pytest.approx([-0.026, -0.039, -0.036], abs=0.003)
    far = (np.abs(GRID.wavelength_aa[:, None] - atom.WAVELENGTH * 1e8) > 20).all(axis=1)
    assert np.abs(np.asarray(nlte.flux)[far] / np.asarray(lte.flux)[far] - 1).max() < 1e-4
    assert nlte.spectrum().provenance["physics"] == "LTE but Ca II, plane-parallel"


def test_hot_stars_are_in_lte(structures):
    """From 8000 K on the gas is that of LTE, bit for bit."""
    star = structures["A star"]
    lte, nlte = (photosphere(star, mh=0.0, vmic=2.0, nlte=ions) for ions in ((), IONS))
    assert nlte.gas.departures is None
    assert np.array_equal(lte.gas.profile.peak, nlte.gas.profile.peak)
