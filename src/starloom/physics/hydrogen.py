r"""Paschen lines: Stark profiles by Lemke's tables, levels dissolving towards the series limit.

.. math:: \alpha = \frac{\pi e^2}{m_e c}\, f\, n_3 w_n\, \phi_\nu\, (1 - e^{-h\nu/kT}), \qquad
    \phi_\nu = \frac{\lambda_0^2}{c} \frac{S(\alpha)}{F_0}, \quad \alpha = \frac{\Delta\lambda}{F_0}, \quad
    F_0 = 1.25\times 10^{-9} n_e^{2/3}

Lemke (1997, A&AS 122, 285); occupation probabilities w of Hummer & Mihalas (1988), see ``continuum``.  The
tables hold the thermal Doppler width; microturbulence enters as the temperature that gives the same total
width.
"""

from functools import cache, lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.interpolate import CubicSpline

from starloom.constants import (
    ANGSTROM,
    BOLTZMANN,
    LINE_CROSS_SECTION,
    SPEED_OF_LIGHT,
    SPEED_OF_LIGHT_KMS,
)
from starloom.physics.equilibrium import State, level_population, occupation_probability, stimulated
from starloom.physics.species import MASSES
from starloom.tables import load
from starloom.wavelength import LogGrid

_TABLE = load("hydrogen_profiles")
UPPER = np.arange(9, 23)  # those whose wings reach 8388-8812 A and that Lemke tabulates
_PROFILES = np.searchsorted(_TABLE["upper"], UPPER)
_LEVELS = np.searchsorted(_TABLE["upper_all"], UPPER)
WAVELENGTH = _TABLE["vacuum_wavelength_aa"][_LEVELS] * ANGSTROM  # vacuum, cm
OSCILLATOR_STRENGTH = 10.0 ** _TABLE["log_gf"][_LEVELS] / 18  # absorption, g = 2 n^2 of n = 3
# detunings [A] at which profiles are evaluated; between them they are interpolated cubically
DETUNING = np.concatenate([[0.0], 0.04 * np.sinh(0.14 * np.arange(1, 77)) / np.sinh(0.14)])
COARSE = 4  # every so many pixels of the grid: 2.7 km/s, a quarter of hydrogen's thermal width at 4000 K


# times as many table points, by cubic splines: linear interpolation alone loses 2 % of a profile's integral
REFINED = 4


class Profiles(NamedTuple):
    """Nodes log n_e, log T and log alpha [line, alpha], and log profile [line, n_e, T, alpha]."""

    log_electrons: Float[Array, "electrons"]
    log_temperature: Float[Array, "temperature"]
    log_alpha: Float[Array, "line alpha"]
    log_profile: Float[Array, "line electrons temperature alpha"]


@cache
def profiles(refine: bool = True) -> Profiles:
    """The packaged table refined, or, as SYNSPEC takes it, as it is."""
    log_ne, log_t = _TABLE["log_electron_density"], _TABLE["log_temperature"]
    alpha, profile = _TABLE["log_alpha"][_PROFILES], _TABLE["log_profile"][_PROFILES]
    if not refine:
        return Profiles(log_ne, log_t, alpha, profile)
    fine_ne, fine_t = refined(log_ne), refined(log_t)
    fine_alpha = np.stack([refined(row) for row in alpha])
    to_ne, to_t = _spline_weights(log_ne, fine_ne), _spline_weights(log_t, fine_t)
    fine = np.empty((len(alpha), len(fine_ne), len(fine_t), fine_alpha.shape[1]), np.float32)
    for line, to_alpha in enumerate(map(_spline_weights, alpha, fine_alpha)):
        fine[line] = to_t @ np.tensordot(to_ne, profile[line], 1) @ to_alpha.T
    return Profiles(fine_ne, fine_t, fine_alpha, fine)


def _spline_weights(nodes: Float[np.ndarray, "node"], at: Float[np.ndarray, "point"]) -> np.ndarray:
    """Weights [point, node] of the values at the nodes in their cubic spline."""
    return CubicSpline(nodes, np.eye(len(nodes)))(at)


def refined(nodes: Float[np.ndarray, "node"]) -> Float[np.ndarray, "point"]:
    """The nodes with ``REFINED`` equal steps between neighbours."""
    return np.interp(np.arange(REFINED * (len(nodes) - 1) + 1) / REFINED, np.arange(len(nodes)), nodes)


def stark_profile(
    temperature: Float[Array, "layer"], electrons: Float[Array, "layer"], tables: Profiles | None = None
) -> Float[Array, "line layer detuning"]:
    """Profiles of the lines ``UPPER`` per Angstrom at the detunings ``DETUNING``.

    ``temperature`` is in K, ``electrons`` in cm-3.

    Linear in the logarithms of ``tables``, which are those of ``profiles()`` unless given.
    """
    log_ne, log_t, log_alpha, table = profiles() if tables is None else tables
    t, t_weight = _bracket(jnp.log10(temperature), log_t)
    n, n_weight = _bracket(jnp.log10(electrons), log_ne)
    table = jnp.asarray(table)
    low = table[:, n, t] * (1 - t_weight)[:, None] + table[:, n, t + 1] * t_weight[:, None]
    high = table[:, n + 1, t] * (1 - t_weight)[:, None] + table[:, n + 1, t + 1] * t_weight[:, None]
    profile = low * (1 - n_weight)[:, None] + high * n_weight[:, None]
    field = 1.25e-9 * electrons ** (2 / 3)
    position = jnp.log10(np.maximum(DETUNING, 1e-6) / field[:, None])
    by_layer = jax.vmap(jnp.interp, in_axes=(0, None, 0))
    by_line = jax.vmap(by_layer, in_axes=(None, 0, 0))
    return 10.0 ** by_line(position, jnp.asarray(log_alpha), profile) / field[:, None]


def _bracket(position: Array, nodes: np.ndarray) -> tuple[Array, Array]:
    """Index of the node below and the weight of the node above, held at the ends of the table."""
    lower = jnp.clip(jnp.searchsorted(nodes, position, side="right") - 1, 0, len(nodes) - 2)
    nodes = jnp.asarray(nodes)
    weight = jnp.clip((position - nodes[lower]) / (nodes[lower + 1] - nodes[lower]), 0, 1)
    return lower, weight


def cubic_weights(position: Float[np.ndarray, "point"], nodes: Float[np.ndarray, "node"]) -> np.ndarray:
    """Weights [node, point] of local cubic (four-point Lagrange) interpolation."""
    first = np.clip(np.searchsorted(nodes, position, side="right") - 2, 0, len(nodes) - 4)
    weights = np.zeros((len(nodes), len(position)))
    for i in range(4):
        product = np.ones_like(position)
        for j in range(4):
            if j != i:
                product = product * (position - nodes[first + j]) / (nodes[first + i] - nodes[first + j])
        weights[first + i, np.arange(len(position))] = product
    return weights


class GridWeights(NamedTuple):
    """Weights from the profiles' detunings to every ``COARSE``-th point of a grid."""

    used: Int[np.ndarray, "pair"]  # of the pairs of line and detuning, counted through, those that matter
    weights: Float[np.ndarray, "pair coarse"]
    profiles: Profiles  # an argument, too: of 16 MB, it would make a compiled program as large


def grid_weights(*grids: LogGrid) -> tuple[GridWeights, ...]:
    """What ``hydrogen_opacity`` takes of each grid; the pairs are those that matter in any of them."""
    each = [_grid_weights(grid).reshape(len(UPPER) * len(DETUNING), -1) for grid in grids]
    used = np.flatnonzero(np.any([weights.any(axis=1) for weights in each], axis=0))
    tables = jax.tree.map(jnp.asarray, profiles())  # one copy for all grids
    return tuple(GridWeights(used, weights[used], tables) for weights in each)


def _grid_weights(grid: LogGrid) -> Float[np.ndarray, "line detuning coarse"]:
    steps = COARSE * np.arange(-(-grid.points // COARSE) + 3) - COARSE
    coarse = grid.first_aa * ANGSTROM * np.exp(grid.step_kms / SPEED_OF_LIGHT_KMS * steps)
    # equal frequency offsets: a detuning d nu is d lambda = lambda_0^2 d nu / c in the tables' sense
    detuning = np.abs(coarse - WAVELENGTH[:, None]) * WAVELENGTH[:, None] / coarse / ANGSTROM
    detuning = np.minimum(detuning, DETUNING[-1])
    return np.stack([cubic_weights(row, DETUNING) for row in detuning]).astype(np.float32)


@lru_cache
def _refinement() -> np.ndarray:
    """Weights [4, COARSE] of cubic interpolation from four coarse points to the pixels after the second."""
    return cubic_weights(1 + np.arange(COARSE) / COARSE, np.arange(4.0)).astype(np.float32)


def hydrogen_opacity(
    grid: GridWeights,
    pixels: int,
    temperature: Float[Array, "layer"],
    state: State,
    microturbulence: Float[Array, ""],
    refine: bool = True,
) -> Float[Array, "layer wavelength"]:
    """Absorption coefficient [cm-1] of Paschen 9 to 22 on a grid of ``pixels`` points; float32.

    ``grid`` is made by ``grid_weights``. Lines of higher levels are dissolved or add nothing here.
    Outside log n_e = 10-18 and T = 2500-160 000 K the tables' end values hold, where the gas has too little
    excited hydrogen to matter.
    """
    turbulent = temperature + MASSES[0] * microturbulence**2 / (2 * BOLTZMANN)
    profile = (
        stark_profile(turbulent, state.electrons, grid.profiles if refine else profiles(refine))
        / ANGSTROM
        * WAVELENGTH[:, None, None] ** 2
        / SPEED_OF_LIGHT
    )
    survive = occupation_probability(UPPER[:, None], temperature, state.electrons)
    factor = (
        LINE_CROSS_SECTION * OSCILLATOR_STRENGTH[:, None] * survive * level_population(3, temperature, state)
    )
    factor = factor * stimulated(WAVELENGTH, temperature).T
    strength = (profile * factor[..., None]).astype(jnp.float32)
    pairs = jnp.moveaxis(strength, 1, 0).reshape(temperature.shape[0], -1)
    coarse = pairs[:, jnp.asarray(grid.used)] @ jnp.asarray(grid.weights)
    blocks = coarse.shape[1] - 3
    fine = sum(coarse[:, i : i + blocks, None] * weight for i, weight in enumerate(_refinement()))
    return fine.reshape(fine.shape[0], -1)[:, :pixels]
