"""The Voigt function, widths and strengths of atomic lines, and the windows over which they are added."""

import jax
import numpy as np
import pytest
from scipy.special import gamma as gamma_function
from scipy.special import wofz

from starloom import bands
from starloom.constants import (
    ATOMIC_MASS,
    BOHR_RADIUS,
    BOLTZMANN,
    BOLTZMANN_EV,
    ELECTRON_CHARGE,
    ELECTRON_MASS,
    PLANCK,
    SPEED_OF_LIGHT,
)
from starloom.physics import lines as atomic
from starloom.physics.species import MASSES
from starloom.synthesis.band import band_lines
from starloom.wavelength import LogGrid

RVS = bands.load("rvs")
STEP = 0.676e5  # of the synthesis grid, cm s-1
POINTS = 20000
DAMPING = 10.0 ** np.linspace(-6, 1, 29)[:, None]
X = np.linspace(0.0, 60.0, 6001)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def faddeeva():
    return wofz(X + 1j * DAMPING).real


def test_voigt(faddeeva):
    """1e-5 relative from a damping of 1e-6 to 10; 3e-6 found."""
    assert np.abs(atomic.voigt(DAMPING, X) / faddeeva - 1).max() < 1e-5


@pytest.mark.parametrize(("terms", "error"), [(atomic.TERMS, 1e-6), (atomic.FEW_TERMS, 5e-6)])
def test_voigt_in_single_precision(faddeeva, terms, error):
    """Errors in units of the peak; in the far wings 1e-5 relative."""
    found = np.asarray(atomic.voigt(DAMPING.astype(np.float32), X.astype(np.float32), terms=terms))
    assert found.dtype == np.float32
    assert np.abs(found - faddeeva).max() < error
    assert np.abs(found / faddeeva - 1)[:, X > 7.01].max() < 1e-5


def test_voigt_is_even():
    assert np.asarray(atomic.voigt(0.3, -X)) == pytest.approx(np.asarray(atomic.voigt(0.3, X)), rel=1e-9)


@pytest.mark.parametrize("damping", [1e-6, 0.01, 0.3, 2.0])
def test_voigt_keeps_its_area(damping):
    """The integral of H is sqrt(pi); beyond x = 400 the wings hold 2 a / (sqrt(pi) 400)."""
    x = np.linspace(-400.0, 400.0, 320001)
    area = np.trapezoid(atomic.voigt(damping, x), x) + 2 * damping / (np.sqrt(np.pi) * 400)
    assert area == pytest.approx(np.sqrt(np.pi), rel=2e-6)


@pytest.mark.parametrize("damping", [300.0, 1e5])
def test_strongly_damped_voigt_in_single_precision(damping):
    """A Lorentz profile a / (sqrt(pi) (x^2 + a^2)), its derivatives too: nothing overflows."""
    x = np.array([0.0, 10.0, 100.0], np.float32)
    value, slope = jax.jvp(lambda a: atomic.voigt(a, x, 20), (np.float32(damping),), (np.float32(1.0),))
    lorentz = damping / np.sqrt(np.pi) / (x**2 + damping**2)
    assert np.asarray(value) == pytest.approx(lorentz, rel=3e-5)
    assert np.asarray(slope) == pytest.approx(
        lorentz * (1 / damping - 2 * damping / (x**2 + damping**2)), rel=1e-3
    )


def test_wings_are_those_of_the_voigt_function(faddeeva):
    """Relative error of order x^-4 (1.1e-3 found at x = 10, 7e-5 at 20), for damping below 1."""
    weak = DAMPING[:, 0] < 1
    found = np.asarray(atomic.wings(DAMPING, X))
    for least, error in ((10.0, 2e-3), (20.0, 1e-4), (40.0, 1e-5)):
        far = np.ix_(weak, least < X)
        assert np.abs(found[far] / faddeeva[far] - 1).max() < error


def test_wings_are_finite_at_the_centre():
    assert np.asarray(atomic.wings(np.array([1e-6, 5.0]), 0.0)) == pytest.approx(
        [1e-6 / np.sqrt(np.pi), 5 / np.sqrt(np.pi)]
    )


@pytest.fixture(scope="module")
def calcium():
    """The Ca II line at 8542.09 Angstrom (air; 8544.44 in vacuum)."""
    listed = band_lines(RVS)
    here = (listed.element == 19) & (listed.charge == 1) & (np.abs(listed.wavelength - 8544.44e-8) < 0.1e-8)
    (index,) = np.flatnonzero(here)
    return listed.take(np.array([index]))


def test_natural_width_of_calcium(calcium):
    """4p 2P3/2 decays by 3934, 8498 and 8542 Angstrom: 1.47e8 + 1.11e6 + 9.9e6 s-1 (NIST; 10 % each)."""
    assert calcium.gamma_radiative[0] == pytest.approx(1.58e8, rel=0.1)


def test_van_der_waals_width_of_calcium(calcium):
    """Barklem & O'Mara (1998, MNRAS 300, 863): sigma = 291 a0^2, alpha = 0.275; eq. 3."""
    alpha, sigma, reference = 0.275, 291 * BOHR_RADIUS**2, 1e6
    reduced = 1 / (1 / MASSES[0] + 1 / MASSES[19])
    for temperature in (5000.0, 1e4):
        speed = np.sqrt(8 * BOLTZMANN * temperature / (np.pi * reduced))
        shape = 2 * (4 / np.pi) ** (alpha / 2) * gamma_function(2 - alpha / 2)
        expected = shape * speed * sigma * (speed / reference) ** -alpha
        found = 10 ** calcium.log_gamma_waals[0] * (temperature / 1e4) ** calcium.waals_exponent[0]
        assert found == pytest.approx(expected, rel=0.01)


def test_width_is_the_sum_of_its_causes(calcium, states, structures):
    """Perturbers H + 0.42 He + 0.85 H2; float32."""
    state, temperature = states["cool rich dwarf"], np.asarray(structures["cool rich dwarf"].temperature)
    neutrals = state.atoms[0, 0] + 0.42 * state.atoms[1, 0] + 0.85 * state.molecule("H2")
    waals = 10 ** calcium.log_gamma_waals[0] * (temperature / 1e4) ** 0.3625
    expected = (
        calcium.gamma_radiative[0] + 10 ** calcium.log_gamma_stark[0] * state.electrons + waals * neutrals
    )
    found = np.asarray(atomic.line_width(calcium, temperature, state))[:, 0]
    assert found == pytest.approx(expected, rel=1e-4)


def test_strength_and_doppler_width(calcium, states, structures):
    """In float64: b^2 = 2kT/m + xi^2, a = gamma lambda / (4 pi b), and Boltzmann's law."""
    state, temperature = states["sun"], np.asarray(structures["sun"].temperature)
    profile = jax.tree.map(np.asarray, atomic.line_profiles(calcium, temperature, state, 1.5e5))
    wavelength = calcium.wavelength[0]
    doppler = np.sqrt(2 * BOLTZMANN * temperature / (40.078 * ATOMIC_MASS) + 1.5e5**2)
    assert profile.doppler[:, 0] == pytest.approx(doppler, rel=1e-5)
    lower = state.atoms[19, 1] * np.exp(-state.log_partition[19, 1] - 1.7 / (BOLTZMANN_EV * temperature))
    stimulated = 1 - np.exp(-PLANCK * SPEED_OF_LIGHT / (wavelength * BOLTZMANN * temperature))
    area = (
        np.pi
        * ELECTRON_CHARGE**2
        / (ELECTRON_MASS * SPEED_OF_LIGHT)
        * 10 ** calcium.log_gf[0]
        * lower
        * stimulated
    )
    # the area in frequency of peak x H is peak sqrt(pi) b / lambda; 2e-3: the level is at 1.700 eV to 0.0001
    assert profile.peak[:, 0] * np.sqrt(np.pi) * doppler / wavelength == pytest.approx(area, rel=2e-3)
    width = np.asarray(atomic.line_width(calcium, temperature, state))[:, 0]
    assert profile.damping[:, 0] == pytest.approx(width * wavelength / (4 * np.pi * doppler), rel=1e-5)


@pytest.fixture(scope="module")
def many():
    """Profiles of 3000 lines of every strength, damping and width in three layers; the continuum is 1."""
    rng = np.random.default_rng([3, 1])
    peak = 10 ** rng.uniform(-6, 5, 3000) * np.array([[0.3], [1.0], [0.6]])
    damping = 10 ** rng.uniform(-4, 0, 3000) * np.array([[0.5], [0.8], [1.0]])
    doppler = rng.uniform(1e5, 4e5, 3000) * np.array([[1.0], [1.02], [1.1]])
    return atomic.Profile(peak, damping, doppler)


MIDDLE = atomic.Positions(np.full(3000, POINTS // 2, np.int32), np.zeros(3000, np.float32))


def chosen(profile, continuum):
    """Windows of lines in the middle of a grid."""
    return atomic.windows_of(atomic.half_widths(profile, continuum, STEP), MIDDLE, POINTS)


HALF = {
    "thin": atomic.THIN,
    "slim": atomic.SLIM,
    "narrow": atomic.NARROW,
    "core": atomic.CORE,
    "near": atomic.NEAR,
    "far": atomic.FAR,
    "broad": atomic.BROAD,
}


def members(windows):
    """Indices of the lines in each class."""
    return {
        name: getattr(windows, name)[:count]
        for name, count in zip(windows._fields, windows.counts, strict=False)
    }


def test_every_line_is_in_one_class_or_negligible(many):
    windows = members(chosen(many, np.ones((3, 3000))))
    cores = np.concatenate([windows[name] for name in ("thin", "slim", "narrow", "core", "winged")])
    assert len(np.unique(cores)) == len(cores)
    kept = many.peak.max(axis=0) > atomic.NEGLIGIBLE
    assert np.array_equal(np.sort(cores), np.flatnonzero(kept))
    around = np.concatenate([windows[name] for name in ("near", "far", "broad", "whole")])
    assert np.array_equal(np.sort(around), np.sort(windows["winged"]))
    assert all(len(windows[name]) > 10 for name in windows)


def test_what_windows_leave_out(many):
    """At the edge of its window no line has more than CUT of the continuum left (1.05: a damping near 1)."""
    windows = members(chosen(many, np.ones((3, 3000))))
    for name, half in HALF.items():
        peak, damping, doppler = (part[:, windows[name]] for part in many)
        left = peak * wofz(half * STEP / doppler + 1j * damping).real
        assert left.max() < 1.05 * atomic.CUT, name


def test_windows_do_not_depend_on_units(many):
    once = chosen(many, np.ones((3, 3000)))
    scaled = chosen(many._replace(peak=1e-8 * many.peak), np.full((3, 3000), 1e-8))
    for one, other in zip(once, scaled, strict=True):
        assert np.array_equal(one, other)


def test_positions():
    """Nearest pixel and offset on a log-uniform grid, also far beyond it."""
    grid = LogGrid(8400.0, 1001, 1.0)
    wavelength = np.exp(np.log(8400e-8) + np.array([500.0, 10.3, -60000.0, 30000.25]) / 299792.458)
    positions = atomic.line_positions(wavelength, grid)
    assert positions.pixel.tolist() == [500, 10, -60000, 30000]
    assert positions.offset == pytest.approx([0.0, 0.3, 0.0, 0.25], abs=1e-4)


def test_lines_outside_are_left_out_unless_they_reach():
    """Those beyond FAR that reach are added to the whole grid, up to their own half width."""
    beyond = np.array([31, 33, 1000, 1030, 1030, 4000, 4100, 9000])
    half = np.array([32, 32, 1024, 1024, 4096, 4096, 4096, atomic.WHOLE], np.int32)
    for pixel in (-beyond, POINTS - 1 + beyond):
        positions = atomic.Positions(pixel.astype(np.int32), np.zeros(8, np.float32))
        windows = atomic.windows_of(half, positions, POINTS)
        found = {name: lines.tolist() for name, lines in members(windows).items() if len(lines)}
        assert found == {"narrow": [0], "winged": [2], "far": [2], "whole": [4, 5, 7]}
        assert np.array_equal(windows.half, half)
