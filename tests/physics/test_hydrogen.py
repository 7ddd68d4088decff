"""Paschen lines: normalised profiles, their wings, microturbulence, and the strength of a whole line."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from starloom import bands
from starloom.constants import (
    ANGSTROM,
    BOLTZMANN,
    ELECTRON_CHARGE,
    ELECTRON_MASS,
    SPEED_OF_LIGHT,
    SPEED_OF_LIGHT_KMS,
)
from starloom.physics import hydrogen
from starloom.physics.species import MASSES
from starloom.wavelength import LogGrid

LOG_NE = (13.0, 14.0, 14.6, 15.3, 16.0)
TEMPERATURES = (5000.0, 9000.0, 14000.0)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def profiles():
    """Profiles [line, layer, detuning] at every electron density and temperature."""
    with jax.enable_x64(True):
        log_ne, temperature = (x.ravel() for x in np.meshgrid(LOG_NE, TEMPERATURES, indexing="ij"))
        return np.asarray(hydrogen.stark_profile(temperature, 10**log_ne))


def fine(profile):
    """Detunings [A] and the profile between those tabulated, by a cubic spline of its logarithm."""
    number = np.arange(len(hydrogen.DETUNING))
    between = np.linspace(0, number[-1], 4000)
    return CubicSpline(number, hydrogen.DETUNING)(between), np.exp(
        CubicSpline(number, np.log(profile))(between)
    )


def test_profiles_integrate_to_one(profiles):
    """At log ne = 14 to 16 within 1 % to n = 15, 0.5 % in the mean; 2 % above, dissolved there."""
    dense = np.flatnonzero(np.repeat(LOG_NE, len(TEMPERATURES)) >= 14)
    integral = np.empty((len(hydrogen.PASCHEN.upper), len(dense)))
    for line in range(len(hydrogen.PASCHEN.upper)):
        for column, layer in enumerate(dense):
            detuning, profile = fine(profiles[line, layer])
            integral[line, column] = 2 * np.trapezoid(profile, detuning)
    low = hydrogen.PASCHEN.upper <= 15
    assert np.abs(integral[low] - 1).max() < 0.01
    assert np.abs(integral[low].mean() - 1) < 0.005
    assert np.abs(integral[~low] - 1).max() < 0.02


def test_wings_fall_as_holtsmark(profiles):
    """As detuning^-5/2, the field of the nearest ion, for low lines; up to 0.3 steeper for higher ones."""
    far = (hydrogen.DETUNING > 150) & (hydrogen.DETUNING < 400)
    slope = np.diff(np.log(profiles[..., far]), axis=-1) / np.diff(np.log(hydrogen.DETUNING[far]))
    moderate = np.repeat(LOG_NE, len(TEMPERATURES)) <= 14
    assert np.abs(slope[:3, moderate] + 2.5).max() < 0.06
    assert np.abs(slope[:, moderate] + 2.5).max() < 0.3


def test_wings_grow_with_density(profiles):
    """Holtsmark's wing is proportional to the density of ions (Gray 2005, section 11)."""
    far = int(np.argmin(np.abs(hydrogen.DETUNING - 300.0)))
    cool = profiles[:, :: len(TEMPERATURES), far]
    assert cool[:, 1] / cool[:, 0] == pytest.approx(10.0, rel=0.15)


def test_microturbulence_is_added_as_temperature():
    """Against the convolution with the Gaussian of 4 km/s: 1 % of the peak at log ne = 13 and 14, 8000 K."""
    turbulence, temperature = 4e5, 8000.0
    warmer = temperature + MASSES[0] * turbulence**2 / (2 * BOLTZMANN)
    column = np.array([1e13, 1e14])
    cool = np.asarray(hydrogen.stark_profile(np.full(2, temperature), column))
    warm = np.asarray(hydrogen.stark_profile(np.full(2, warmer), column))
    number = np.arange(len(hydrogen.DETUNING))
    grid = np.linspace(-6.0, 6.0, 1201)
    for line in (3, 7):  # Paschen 12 and 16
        width = turbulence / SPEED_OF_LIGHT * hydrogen.PASCHEN.wavelength[line] * 1e8
        kernel = np.exp(-((grid / width) ** 2))
        for layer in range(2):
            position = np.interp(np.abs(grid), hydrogen.DETUNING, number)
            profile = np.interp(position, number, cool[line, layer])
            convolved = np.convolve(profile, kernel / kernel.sum(), mode="same")
            expected = np.interp(position, number, warm[line, layer])
            middle = np.abs(grid) < 3
            assert np.abs(convolved - expected)[middle].max() < 0.01 * profile.max()


def opacity(grid: LogGrid, temperature, state, microturbulence) -> np.ndarray:
    """Opacity [layer, wavelength] of all lines on a grid."""
    (weights,) = hydrogen.grid_weights(grid)
    return np.asarray(hydrogen.hydrogen_opacity(weights, grid.points, temperature, state, microturbulence))


def between(low_aa: float, high_aa: float, points: int) -> LogGrid:
    return LogGrid(low_aa, points, SPEED_OF_LIGHT_KMS * np.log(high_aa / low_aa) / (points - 1))


def test_strength_of_a_line(hydrogen_gas):
    """Paschen 12 alone: the integral over frequency is pi e^2 / (m c) f n_3.

    f is Kramers' 32 / (3 sqrt(3) pi) (1/9 - 1/144)^-3 / (3^5 12^3) times a Gaunt factor of 0.89-0.90 (Menzel
    & Pekeris 1935); at log ne = 12 the wings end before the neighbours'. 4 % in all.
    """
    temperature, centre = 9000.0, 8752.878e-8
    grid = between(8716.0, 8790.0, 3741)
    (found,) = opacity(grid, np.array([temperature]), hydrogen_gas(np.array([1e12])), 0.0)
    area = np.trapezoid(found, -SPEED_OF_LIGHT / (grid.wavelength_aa * ANGSTROM))
    excited = 9 * np.exp(-13.59829 * (8 / 9) / (8.617333e-5 * temperature))
    stimulated = 1 - np.exp(-1.438777 / (centre * temperature))
    strength = np.pi * ELECTRON_CHARGE**2 / (ELECTRON_MASS * SPEED_OF_LIGHT) * excited * stimulated
    kramers = 32 / (3 * np.sqrt(3) * np.pi) * (1 / 9 - 1 / 144) ** -3 / (3**5 * 12**3)
    assert area / strength == pytest.approx(0.895 * kramers, rel=0.04)


def test_opacity_is_finite_and_positive(states, structures):
    """Also where cubic interpolation undershoots, and nothing else might absorb."""
    (grid,) = bands.load("rvs").chunks
    for name in ("sun", "rich A star"):
        temperature, state = np.asarray(structures[name].temperature), states[name]
        found = opacity(grid, temperature, state, 2e5)
        assert found.shape == (68, grid.points)
        assert np.isfinite(found).all()
        assert (found >= 0).all(), name


def test_lines_of_dissolved_levels_vanish(hydrogen_gas):
    """At log ne = 17 the levels from n = 14 are gone (by Inglis & Teller 1939 from n = 7)."""
    grid = between(8600.0, 8640.0, 2001)
    alive, dissolved = opacity(grid, np.full(2, 1e4), hydrogen_gas(np.array([1e14, 1e17])), 0.0)
    assert dissolved.max() < 3e-3 * alive.max()


def test_a_part_of_a_grid_has_the_same_opacity(hydrogen_gas):
    """Between other coarse points: 2e-3 of the largest, by cubic interpolation over 2.7 km/s."""
    (grid,) = bands.load("rvs").chunks
    whole = opacity(grid, np.array([9000.0]), hydrogen_gas(np.array([1e13])), 2e5)
    part = opacity(grid.part(7001, 6002), np.array([9000.0]), hydrogen_gas(np.array([1e13])), 2e5)
    assert np.abs(part - whole[:, 7001:13003]).max() < 2e-3 * whole.max()


BALMER = replace(
    hydrogen.PASCHEN,
    lower=np.full(3, 2),
    upper=np.array([3, 4, 9]),
    wavelength=np.array([6564.6, 4862.7, 3836.5]) * ANGSTROM,
)


def neutral(density: float, layers: int = 1):
    """A gas of hydrogen atoms alone [cm-3]."""
    atoms = np.zeros((1, 1, layers))
    atoms[0, 0] = density
    return SimpleNamespace(atoms=atoms)


def test_self_broadening_is_that_of_its_authors():
    """Where the mean speed is 10 km/s half a width is sigma v times (4/pi)^(alpha/2) Gamma(2 - alpha/2).

    That factor is 0.979 for H alpha, 0.977 for H beta; sigma 1180 and 2320 squared Bohr radii.
    """
    temperature = np.array([np.pi * 1e12 * MASSES[0] / (16 * BOLTZMANN)])
    for upper, expected in ((3, 0.9788 * 1180), (4, 0.9766 * 2320)):
        sigma, alpha = hydrogen.SELF_BROADENING[2, upper]
        found = float(hydrogen.self_width(sigma, alpha, temperature, neutral(1.0))[0])
        assert 2 * np.pi * found == pytest.approx(expected * 2.8003e-17 * 1e6, rel=2e-3)


def test_self_broadening_adds_wings_and_keeps_the_area():
    """A Gaussian of 10 km/s: the area stays within 1 %, far off it is Lorentz's wing, nowhere negative."""
    detuning = hydrogen.DETUNING * ANGSTROM * SPEED_OF_LIGHT / BALMER.wavelength[:, None] ** 2
    width = 1e6 / BALMER.wavelength[:, None]
    narrow = np.exp(-((detuning / width) ** 2))[:, None, :] / (np.sqrt(np.pi) * width[:, None])
    temperature, gas = np.array([6000.0]), neutral(1e17)
    found = np.asarray(hydrogen.self_broadened(narrow, BALMER, temperature, gas))
    assert np.array_equal(found[2], narrow[2])  # no cross-section for this line
    assert (found >= 0).all()
    for line, levels in enumerate(((2, 3), (2, 4))):
        half = float(hydrogen.self_width(*hydrogen.SELF_BROADENING[levels], temperature, gas)[0])
        fine_nu = np.linspace(0, 60 * width[line, 0], 400001)
        area = 2 * np.trapezoid(np.interp(fine_nu, detuning[line], found[line, 0]), fine_nu)
        missing = 2 * half / np.pi / fine_nu[-1]  # of the wing beyond
        assert area + missing == pytest.approx(1.0, abs=0.01)
        far = (detuning[line] > 20 * width[line, 0]) & (detuning[line] < 200 * width[line, 0])
        assert found[line, 0, far] == pytest.approx(half / np.pi / detuning[line, far] ** 2, rel=0.01)
