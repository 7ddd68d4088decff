r"""Hydrogen lines: Stark profiles by Lemke's tables, levels dissolving towards the series limit.

.. math:: \alpha = \frac{\pi e^2}{m_e c}\, f\, n_l w_n\, \phi_\nu\, (1 - e^{-h\nu/kT}), \qquad
    \phi_\nu = \frac{\lambda_0^2}{c} \frac{S(\alpha)}{F_0}, \quad \alpha = \frac{\Delta\lambda}{F_0}, \quad
    F_0 = 1.25\times 10^{-9} n_e^{2/3}

Lemke (1997, A&AS 122, 285); occupation probabilities w of Hummer & Mihalas (1988), see ``continuum``. The
tables hold the thermal Doppler width; microturbulence enters as the temperature that gives the same total
width. Balmer lines are broadened by hydrogen atoms, too: ``self_broadening``. cgs: wavelengths [cm] in
vacuum, opacities [cm-1].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.interpolate import CubicSpline

from starloom.constants import (
    ANGSTROM,
    BOHR_RADIUS,
    BOLTZMANN,
    LINE_CROSS_SECTION,
    SPEED_OF_LIGHT,
    SPEED_OF_LIGHT_KMS,
)
from starloom.physics.equilibrium import State, level_population, occupation_probability, stimulated
from starloom.physics.species import MASSES
from starloom.tables import load
from starloom.wavelength import LogGrid

# detunings [A] at which profiles are evaluated; between them they are interpolated cubically
DETUNING = np.concatenate([[0.0], 0.04 * np.sinh(0.14 * np.arange(1, 77)) / np.sinh(0.14)])
COARSE = 4  # every so many pixels of the grid: 2.7 km/s, a quarter of hydrogen's thermal width at 4000 K


# times as many table points, by cubic splines: linear interpolation alone loses 2 % of a profile's integral
REFINED = 4


class Profiles(NamedTuple):
    """Nodes log n_e, log T and log alpha [line, alpha], and log profile [line, n_e, T, alpha].

    ``log_electrons``, ``log_temperature`` and ``log_alpha`` are the nodes, ``log_profile`` the values; log10
    of n_e [cm-3], T [K] and alpha.
    """

    log_electrons: Float[Array, "electrons"]
    log_temperature: Float[Array, "temperature"]
    log_alpha: Float[Array, "line alpha"]
    log_profile: Float[Array, "line electrons temperature alpha"]


@dataclass(frozen=True, eq=False)
class HydrogenLines:
    """Lines of hydrogen: ``lower`` and ``upper`` levels, vacuum wavelength [cm], and profiles.

    ``oscillator_strength`` is that of absorption.
    """

    lower: Int[np.ndarray, "line"]
    upper: Int[np.ndarray, "line"]
    wavelength: Float[np.ndarray, "line"]
    oscillator_strength: Float[np.ndarray, "line"]
    tabulated: Profiles

    @classmethod
    def from_arrays(
        cls, table: Mapping[str, np.ndarray], uppers: np.ndarray | None = None
    ) -> "HydrogenLines":
        """Those of a table ``hydrogen_profiles``; of one of Paschen lines, those to ``uppers``."""
        uppers = table["upper"].astype(int) if uppers is None else uppers
        if "lower" in table:
            place = level = np.arange(len(uppers))
            lower = table["lower"].astype(int)
        else:
            place, level = (np.searchsorted(table[key], uppers) for key in ("upper", "upper_all"))
            lower = np.full(len(uppers), 3)
        return cls(
            lower=lower,
            upper=uppers,
            wavelength=table["vacuum_wavelength_aa"][level] * ANGSTROM,
            oscillator_strength=10.0 ** table["log_gf"][level] / (2 * lower**2),
            tabulated=Profiles(
                table["log_electron_density"],
                table["log_temperature"],
                table["log_alpha"][place],
                table["log_profile"][place],
            ),
        )

    @cached_property
    def refined(self) -> Profiles:
        """The table refined by cubic splines."""
        log_ne, log_t, alpha, profile = self.tabulated
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


# those whose wings reach 8388-8812 A and that Lemke tabulates: what a band without a table of its own has
PASCHEN = HydrogenLines.from_arrays(load("hydrogen_profiles"), np.arange(9, 23))


def stark_profile(
    temperature: Float[Array, "layer"], electrons: Float[Array, "layer"], tables: Profiles | None = None
) -> Float[Array, "line layer detuning"]:
    """Profiles of hydrogen lines per Angstrom at the detunings ``DETUNING``.

    ``temperature`` is in K, ``electrons`` in cm-3.

    Linear in the logarithms of ``tables``, the refined ones of ``PASCHEN`` unless given.
    """
    log_ne, log_t, log_alpha, table = PASCHEN.refined if tables is None else tables
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
    """Weights [node, point] of local cubic (four-point Lagrange) interpolation.

    ``nodes`` rise; ``position`` beyond their ends is extrapolated.
    """
    first = np.clip(np.searchsorted(nodes, position, side="right") - 2, 0, len(nodes) - 4)
    weights = np.zeros((len(nodes), len(position)))
    for i in range(4):
        product = np.ones_like(position)
        for j in range(4):
            if j != i:
                product = product * (position - nodes[first + j]) / (nodes[first + i] - nodes[first + j])
        weights[first + i, np.arange(len(position))] = product
    return weights


@partial(
    jax.tree_util.register_dataclass,
    meta_fields=["lines"],
    data_fields=["used", "weights", "profiles"],
)
@dataclass(frozen=True)
class GridWeights:
    """Weights from the profiles' detunings to every ``COARSE``-th point of a grid."""

    used: Int[np.ndarray, "pair"]  #: of the pairs of line and detuning, counted through, those that matter
    weights: Float[np.ndarray, "pair coarse"]  #: of each of those at every point
    profiles: Profiles  #: an argument, too: of 16 MB, it would make a compiled program as large
    lines: HydrogenLines = PASCHEN  #: whose they are


def grid_weights(*grids: LogGrid, lines: HydrogenLines = PASCHEN) -> tuple[GridWeights, ...]:
    """What ``hydrogen_opacity`` takes of each grid: as many pairs for all, the first again without weight."""
    tables = jax.tree.map(jnp.asarray, lines.refined)  # one copy for all grids
    pairs = (_grid_weights(grid, lines).reshape(len(lines.upper) * len(DETUNING), -1) for grid in grids)
    used = [np.flatnonzero(weights.any(axis=1)) for weights in pairs]
    size = max(map(len, used))
    made = []
    for grid, chosen in zip(grids, used, strict=True):  # one by one: all at once takes three times the memory
        weights = _grid_weights(grid, lines).reshape(len(lines.upper) * len(DETUNING), -1)[chosen]
        more = size - len(chosen)
        weights = jnp.asarray(np.pad(weights, ((0, more), (0, 0))))
        made.append(GridWeights(np.pad(chosen, (0, more)), weights, tables, lines))
    return tuple(made)


def _grid_weights(grid: LogGrid, lines: HydrogenLines) -> Float[np.ndarray, "line detuning coarse"]:
    steps = COARSE * np.arange(-(-grid.points // COARSE) + 3) - COARSE
    coarse = grid.first_aa * ANGSTROM * np.exp(grid.step_kms / SPEED_OF_LIGHT_KMS * steps)
    # equal frequency offsets: a detuning d nu is d lambda = lambda_0^2 d nu / c in the tables' sense
    detuning = np.abs(coarse - lines.wavelength[:, None]) * lines.wavelength[:, None] / coarse / ANGSTROM
    detuning = np.minimum(detuning, DETUNING[-1])
    return np.stack([cubic_weights(row, DETUNING).astype(np.float32) for row in detuning])


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
    """Absorption coefficient [cm-1] of hydrogen's lines on a grid of ``pixels`` points; float32.

    ``grid`` is made by ``grid_weights``, of Paschen 9 to 22 unless told others. Lines of higher levels are
    dissolved or add nothing here.
    Outside log n_e = 10-18 and T = 2500-160 000 K the tables' end values hold, where the gas has too little
    excited hydrogen to matter.

    ``refine=False`` interpolates the tables as SYNSPEC does.
    """
    lines = grid.lines
    turbulent = temperature + MASSES[0] * microturbulence**2 / (2 * BOLTZMANN)
    profile = (
        stark_profile(turbulent, state.electrons, grid.profiles if refine else lines.tabulated)
        / ANGSTROM
        * lines.wavelength[:, None, None] ** 2
        / SPEED_OF_LIGHT
    )
    profile = self_broadened(profile, lines, temperature, state)
    survive = occupation_probability(lines.upper[:, None], temperature, state.electrons)
    populations = {int(n): level_population(int(n), temperature, state) for n in np.unique(lines.lower)}
    low = (
        jnp.stack([populations[n] for n in lines.lower.tolist()]) if len(populations) > 1 else populations[3]
    )
    factor = LINE_CROSS_SECTION * lines.oscillator_strength[:, None] * survive * low
    factor = factor * stimulated(lines.wavelength, temperature).T
    strength = (profile * factor[..., None]).astype(jnp.float32)
    pairs = jnp.moveaxis(strength, 1, 0).reshape(temperature.shape[0], -1)
    coarse = pairs[:, jnp.asarray(grid.used)] @ jnp.asarray(grid.weights)
    blocks = coarse.shape[1] - 3
    fine = sum(coarse[:, i : i + blocks, None] * weight for i, weight in enumerate(_refinement()))
    # cubic interpolation undershoots beside a narrow core, where next to nothing else may absorb
    return jnp.maximum(fine.reshape(fine.shape[0], -1)[:, :pixels], 0.0)


# Balmer alpha, beta, gamma: cross-section [a0^2] at 10 km/s and velocity parameter, Barklem, Piskunov &
# O'Mara (2000, A&A 363, 1091), table 3
SELF_BROADENING = {(2, 3): (1180.0, 0.677), (2, 4): (2320.0, 0.455), (2, 5): (4208.0, 0.380)}
REFERENCE_SPEED = 1e6  # cm s-1


def self_width(
    sigma: float, alpha: float, temperature: Float[Array, "layer"], state: State
) -> Float[Array, "layer"]:
    r"""Half width at half maximum [Hz] of a hydrogen line by collisions with hydrogen atoms.

    .. math:: 2\pi\Gamma = (4/\pi)^{\alpha/2}\,\Gamma(2-\alpha/2)\, n_H v_0 \sigma (\bar v/v_0)^{1-\alpha}

    Anstee & O'Mara (1995, MNRAS 276, 859), eq. 1, with the mean relative speed of two hydrogen atoms.
    """
    speed = jnp.sqrt(16 * BOLTZMANN * temperature / (math.pi * MASSES[0]))
    constant = (4 / math.pi) ** (alpha / 2) * math.gamma(2 - alpha / 2) * sigma * BOHR_RADIUS**2
    half = constant * REFERENCE_SPEED * (speed / REFERENCE_SPEED) ** (1 - alpha)
    return half * state.atoms[0, 0] / (2 * math.pi)


def self_broadened(
    profile: Float[Array, "line layer detuning"],
    lines: HydrogenLines,
    temperature: Float[Array, "layer"],
    state: State,
) -> Float[Array, "line layer detuning"]:
    r"""``profile`` per Hz with the collisions with hydrogen atoms, where ``SELF_BROADENING`` has them.

    .. math:: \phi + \frac{\Gamma}{\pi} \frac{1}{\Delta\nu^2 + c^2}
        - \frac{\Gamma}{c}\, \phi_0 e^{-\pi\phi_0^2 \Delta\nu^2}, \qquad c^2 = \Gamma^2 + 1/(\pi\phi_0^2)

    instead of the convolution: Lorentz's wings, which add, and as much less in the core, whose height
    :math:`\phi_0` tells its width; the area stays what it is. In the core itself good to Gamma/c, 5 % in the
    Sun.
    """
    transitions = list(zip(lines.lower.tolist(), lines.upper.tolist(), strict=True))
    if SELF_BROADENING.keys().isdisjoint(transitions):
        return profile
    broadened = []
    for line, levels in enumerate(transitions):
        own = profile[line]
        if levels in SELF_BROADENING:
            width = self_width(*SELF_BROADENING[levels], temperature, state)[:, None]
            detuning = DETUNING * ANGSTROM * SPEED_OF_LIGHT / lines.wavelength[line] ** 2
            core = own[:, :1]
            square = width**2 + 1 / (math.pi * core**2)
            lorentz = width / math.pi / (detuning**2 + square)
            gaussian = core * jnp.exp(-math.pi * (core * detuning) ** 2)
            own = own + lorentz - width / jnp.sqrt(square) * gaussian
        broadened.append(own)
    return jnp.stack(broadened)
