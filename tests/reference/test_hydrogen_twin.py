"""Paschen lines evaluated at every wavelength from the table, against their fast interpolation to pixels."""

import jax
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from starloom import bands, tables
from starloom.constants import ELECTRON_CHARGE, ELECTRON_MASS, SPEED_OF_LIGHT
from starloom.physics.continuum import level_population, occupation_probability, stimulated
from starloom.physics.hydrogen import PASCHEN, grid_weights, hydrogen_opacity

TABLE = tables.load("hydrogen_profiles")
NODES = [(14.0, 3.699), (15.0, 4.0), (16.0, 4.0)]  # log ne and the nearest log T of the table


def opacity_twin(grid, density_node, temperature_node, temperature, state):
    """Sum over lines, each a cubic spline through its row of the table, at every wavelength."""
    field = 1.25e-9 * 10 ** (2 / 3 * TABLE["log_electron_density"][density_node])
    total = np.zeros_like(grid)
    for upper in PASCHEN.upper:
        row, level = (TABLE[key].tolist().index(upper) for key in ("upper", "upper_all"))
        centre = TABLE["vacuum_wavelength_aa"][level]
        # equal frequency offsets on either side
        detuning = np.abs(grid * 1e8 - centre) * centre / (grid * 1e8)
        log_alpha = np.maximum(np.log10(np.maximum(detuning, 1e-9) / field), TABLE["log_alpha"][row, 0])
        log_profile = TABLE["log_profile"][row, density_node, temperature_node]
        profile = 10 ** CubicSpline(TABLE["log_alpha"][row], log_profile)(log_alpha) / field  # per Angstrom
        per_frequency = profile * 1e8 * (centre * 1e-8) ** 2 / SPEED_OF_LIGHT
        strength = (
            np.pi * ELECTRON_CHARGE**2 / (ELECTRON_MASS * SPEED_OF_LIGHT) * 10 ** TABLE["log_gf"][level] / 18
        )
        survive = occupation_probability(upper, temperature, state.electrons)[0]
        emission = stimulated(np.array([centre * 1e-8]), temperature)[0, 0]
        total += (
            float(strength * survive * level_population(3, temperature, state)[0] * emission) * per_frequency
        )
    return total


@pytest.mark.parametrize(("log_ne", "log_t"), NODES)
def test_against_direct_evaluation(hydrogen_gas, log_ne, log_t):
    """1 %: the table is refined fourfold and then linear, and pixels lie between coarser points."""
    density_node = TABLE["log_electron_density"].tolist().index(log_ne)
    temperature_node = int(np.argmin(np.abs(TABLE["log_temperature"] - log_t)))
    (grid,) = bands.load("rvs").chunks
    with jax.enable_x64(True):
        temperature = 10.0 ** np.array([TABLE["log_temperature"][temperature_node]])
        state = hydrogen_gas(np.array([10**log_ne]))
        found = np.asarray(hydrogen_opacity(*grid_weights(grid), grid.points, temperature, state, 0.0))[0]
        expected = opacity_twin(grid.wavelength_aa * 1e-8, density_node, temperature_node, temperature, state)
    assert np.abs(found / expected - 1).max() < 0.01
    assert np.abs(found / expected - 1).mean() < 0.002
