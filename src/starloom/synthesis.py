"""From a model atmosphere to an intrinsic spectrum: the recipe, on one screen, and its public faces."""

from collections.abc import Mapping
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from starloom.constants import ANGSTROM, KMS, SPEED_OF_LIGHT
from starloom.physics.abundances import per_hydrogen
from starloom.physics.continuum import continuous_absorption, continuous_scattering
from starloom.physics.equilibrium import State, equation_of_state
from starloom.physics.hydrogen import hydrogen_opacity
from starloom.physics.linelist import packaged_lines
from starloom.physics.lines import (
    Profile,
    Windows,
    all_windows,
    choose_windows,
    line_opacity,
    line_positions,
    line_profiles,
)
from starloom.physics.transfer import emergent_flux, planck
from starloom.wavelength import SYNTHESIS_GRID_AA

GRID = SYNTHESIS_GRID_AA * ANGSTROM  # vacuum, cm
STEP = SPEED_OF_LIGHT * float(np.log(GRID[-1] / GRID[0])) / (len(GRID) - 1)  # cm s-1
LINES = packaged_lines()
POSITIONS = line_positions(LINES.wavelength, GRID)
CONTINUUM_NODES = 12  # Chebyshev nodes: the continuum varies smoothly, its polynomial through them is exact to 1e-5


class Gas(NamedTuple):
    """What the matter of an atmosphere is and absorbs, before any wavelength grid: float64."""

    state: State
    absorption: Float[Array, "layer node"]  # true continuous absorption, cm-1
    scattering: Float[Array, "layer node"]  # cm-1
    profile: Profile


@cache
def _continuum_interpolation() -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev nodes [cm] and the weights [node, wavelength] of the polynomial through them."""
    x = np.cos(np.pi * (np.arange(CONTINUUM_NODES) + 0.5) / CONTINUUM_NODES)
    nodes = GRID[0] + (GRID[-1] - GRID[0]) * (x + 1) / 2
    position = 2 * (GRID - GRID[0]) / (GRID[-1] - GRID[0]) - 1
    to_nodes = np.polynomial.chebyshev.chebvander(x, CONTINUUM_NODES - 1)
    to_grid = np.polynomial.chebyshev.chebvander(position, CONTINUUM_NODES - 1)
    return nodes, np.linalg.solve(to_nodes.T, to_grid.T)


@jax.jit
def gas(temperature, gas_pressure, abundance, microturbulence) -> Gas:
    state = equation_of_state(temperature, gas_pressure, abundance)
    nodes, _ = _continuum_interpolation()
    return Gas(
        state=state,
        absorption=continuous_absorption(nodes, temperature, state),
        scattering=continuous_scattering(nodes, state),
        profile=line_profiles(LINES, temperature, state, microturbulence),
    )


@jax.jit
def radiate(column_mass, temperature, microturbulence, gas: Gas, windows: Windows, molecular=0.0):
    nodes, to_grid = _continuum_interpolation()
    single = partial(jnp.asarray, dtype=jnp.float32)
    continuum_nodes = gas.absorption + gas.scattering
    lines = line_opacity(gas.profile, POSITIONS, windows, len(GRID), STEP)
    hydrogen = hydrogen_opacity(GRID, temperature, gas.state, microturbulence)
    total = single(continuum_nodes) @ single(to_grid) + lines + hydrogen + molecular
    path, log_mass = single(column_mass / gas.state.mass_density), single(jnp.log(column_mass))
    source_nodes = single(planck(nodes, temperature))
    source = source_nodes @ single(to_grid)
    flux = emergent_flux(total, source, path, log_mass)
    continuum = emergent_flux(single(continuum_nodes), source_nodes, path, log_mass) @ single(to_grid)
    return flux * ANGSTROM, continuum * ANGSTROM


def synthesize_structure(column_mass, temperature, gas_pressure, mh, vmic):
    with jax.enable_x64(True):
        xi = vmic * KMS
        g = gas(jnp.asarray(temperature), jnp.asarray(gas_pressure), per_hydrogen(mh), xi)
        to_grid = _continuum_interpolation()[1]
        at_lines = np.asarray(g.absorption) @ to_grid[:, np.clip(POSITIONS.pixel, 0, len(GRID) - 1)]
        w = choose_windows(g.profile, at_lines, STEP)
        return radiate(jnp.asarray(column_mass), jnp.asarray(temperature), xi, g, w), g, w
