"""The model atom: five levels of Ca II, the ground level of Ca III, five lines and five continua.

The triplet's strengths and widths are those of the line list in use; of H and K they are the table's.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from starloom.constants import ANGSTROM, BOLTZMANN, BOLTZMANN_EV, PLANCK, SPEED_OF_LIGHT
from starloom.errors import ConfigError
from starloom.physics.linelist import LineList
from starloom.tables import load

_TABLE = load("calcium_ii")
ELEMENT, CHARGE = 19, 1  # atomic number less one
ENERGY_K = _TABLE["energy_cm1"] * PLANCK * SPEED_OF_LIGHT / BOLTZMANN  # of each level, in K
WEIGHT = _TABLE["weight"]
LEVELS = len(WEIGHT)
ION = LEVELS - 1  # the level of Ca III
LOWER, UPPER = _TABLE["line_lower"], _TABLE["line_upper"]
WAVELENGTH = 1 / (_TABLE["energy_cm1"][UPPER] - _TABLE["energy_cm1"][LOWER])  # of the lines, vacuum, cm
LINES = len(WAVELENGTH)
RESONANCE, TRIPLET = np.flatnonzero(LOWER == 0), np.flatnonzero(LOWER > 0)
SAME = 0.1 * ANGSTROM  # what lies closer to a line is that line
PER_KELVIN = PLANCK * SPEED_OF_LIGHT / BOLTZMANN  # cm K: hc/k
EDGE = 1 / (_TABLE["energy_cm1"][ION] - _TABLE["energy_cm1"][:ION])  # of the continua, vacuum, cm


def is_in(lines: LineList) -> bool:
    """Whether a list of ``lines`` has any of ``TRIPLET``: else its departures show nowhere."""
    ion = (np.asarray(lines.element) == ELEMENT) & (np.asarray(lines.charge) == CHARGE)
    away = np.abs(np.asarray(lines.wavelength)[ion][:, None] - WAVELENGTH[TRIPLET])
    return bool(np.any(away < SAME))


def triplet_in(lines: LineList) -> Int[np.ndarray, "triplet"]:
    """Where a line list has the lines ``TRIPLET``; ConfigError where it has not each of them once."""
    ion = (np.asarray(lines.element) == ELEMENT) & (np.asarray(lines.charge) == CHARGE)
    found = []
    for wavelength in WAVELENGTH[TRIPLET]:
        near = np.flatnonzero(ion & (np.abs(np.asarray(lines.wavelength) - wavelength) < SAME))
        if near.size != 1:
            raise ConfigError(
                f"nlte = 'Ca II': the line list has {near.size} lines of Ca II at "
                f"{wavelength / ANGSTROM:.2f} A (vacuum), expected one"
            )
        found.append(near[0])
    return np.array(found)


def with_resonance(triplet: LineList) -> LineList:
    """The lines of the atom, in its order, of its own H and K and of the triplet as the list has it."""
    own = _TABLE["line_lower"][RESONANCE]
    ones = np.ones(len(own))
    log_gf = np.log10(_TABLE["oscillator_strength"][RESONANCE] * WEIGHT[own])
    resonance = LineList(
        wavelength=WAVELENGTH[RESONANCE],
        element=np.full(len(own), ELEMENT),
        charge=np.full(len(own), CHARGE),
        log_gf=log_gf,
        energy_low=ENERGY_K[own] * BOLTZMANN_EV,
        gamma_radiative=_TABLE["gamma_radiative"][RESONANCE],
        log_gamma_stark=ones * _TABLE["resonance_log_gamma_stark"],
        log_gamma_waals=ones * _TABLE["resonance_log_gamma_waals"],
        waals_exponent=ones * _TABLE["resonance_waals_exponent"],
    )
    order = np.argsort(np.concatenate([RESONANCE, TRIPLET]))
    return LineList(*(jnp.concatenate([a, b])[order] for a, b in zip(resonance, triplet, strict=True)))


def photoionisation(level: int, wavelength: Float[np.ndarray, "w"]) -> Float[np.ndarray, "w"]:
    """Cross-section [cm2] of a level at vacuum wavelengths [cm]; none redward of its edge."""
    nodes, values = (_TABLE[f"photoionisation_{level}_{key}"] for key in ("wavelength_aa", "cm2"))
    inside = wavelength <= EDGE[level]
    return np.interp(wavelength / ANGSTROM, nodes, values, left=0.0) * inside


def collision_strengths(temperature: Float[Array, "layer"]) -> Float[Array, "pair layer"]:
    """Effective collision strengths of ``COLLIDING``; the end values hold beyond 3000 and 100 000 K."""
    nodes = _TABLE["collision_temperature"]
    return jnp.stack([jnp.interp(temperature, nodes, row) for row in _TABLE["collision_strength"]])


COLLIDING = _TABLE["collision_lower"], _TABLE["collision_upper"]
IONISED, IONISATION_RATE = _TABLE["ionisation_level"], _TABLE["ionisation_rate"]  # cm3 s-1 K^-1/2
