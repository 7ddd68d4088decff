r"""What absorbs and scatters beside the ion's own lines, from 500 A to the Paschen continuum.

The absorbers are those of ``physics.continuum`` at any wavelength; hydrogen's levels are all of those whose
edge lies redward. Beyond its ends a table's end value holds. There is no line blanketing: below 1421 A, where
Ca II is ionised, this is why nothing is claimed above 8000 K.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from starloom.constants import ANGSTROM, SPEED_OF_LIGHT, THOMSON
from starloom.physics import continuum
from starloom.physics.equilibrium import State, level_population, stimulated
from starloom.tables import load

HIGHEST_LEVEL = 40
# below it the expansions of physics.continuum do not hold, and hydrogen alone scatters, by its Lyman lines
EXPANDED_AA = 2000.0
# Lyman alpha to delta and the continuum as one line: oscillator strengths, wavenumbers over Rydberg's
LYMAN_STRENGTH = np.array([0.4162, 0.0791, 0.0290, 0.0139, 0.4618])
LYMAN_ENERGY = np.array([3 / 4, 8 / 9, 15 / 16, 24 / 25, 1.395])
CLOSEST = 2e-3  # to a Lyman line, of its squared frequency: nearer, the sum would diverge

Wavelength = Float[np.ndarray, "wavelength"]  # numbers, never traced
Opacity = Float[Array, "layer wavelength"]


def absorption(wavelength: Wavelength, temperature: Float[Array, "layer"], state: State) -> Opacity:
    """True absorption [cm-1] at vacuum wavelengths [cm]."""
    absorbers = (
        continuum.h_minus_bound_free,
        continuum.h_minus_free_free,
        hydrogen_bound_free,
        continuum.hydrogen_free_free,
        continuum.h2_plus,
        continuum.h2_minus_free_free,
        continuum.helium,
        continuum.metals,
    )
    return sum(absorber(wavelength, temperature, state) for absorber in absorbers)


def scattering(wavelength: Wavelength, state: State) -> Opacity:
    """Rayleigh's and Thomson's scattering [cm-1] at vacuum wavelengths [cm]."""
    far = wavelength < EXPANDED_AA * ANGSTROM
    expanded = continuum.rayleigh(np.maximum(wavelength, EXPANDED_AA * ANGSTROM), state)
    by_lines = state.atoms[0, 0][:, None] * THOMSON * lyman_response(wavelength)
    return jnp.where(far, by_lines, expanded) + continuum.thomson(wavelength, state)


def lyman_response(wavelength: Wavelength) -> Float[np.ndarray, "wavelength"]:
    r"""Rayleigh scattering by hydrogen over Thomson's.

    .. math:: \left[\sum_k \frac{f_k}{(\omega_k/\omega)^2 - 1}\right]^2

    Kramers and Heisenberg's formula with real frequencies, as Lee & Kim (2004, MNRAS 347, 802); for long
    waves it gives the polarisability of 4.50 cubic Bohr radii.
    """
    square = (LYMAN_ENERGY[:, None] * continuum.RYDBERG_HYDROGEN * wavelength) ** 2
    detuning = square - 1
    detuning = np.where(np.abs(detuning) < CLOSEST, CLOSEST, detuning)
    return (LYMAN_STRENGTH[:, None] / detuning).sum(axis=0) ** 2


def hydrogen_bound_free(wavelength: Wavelength, temperature: Float[Array, "layer"], state: State) -> Opacity:
    """Photoionisation of hydrogen from every level to 40; as ``physics.continuum.hydrogen_bound_free``."""
    levels, table = np.arange(1, HIGHEST_LEVEL + 1), load("continuum")
    names = [f"h_bf_gaunt_{min(level, continuum.TABULATED_GAUNT):02d}" for level in levels]
    place = wavelength / ANGSTROM
    gaunt = [np.interp(place, table[f"{name}_wavelength_aa"], table[f"{name}_value"]) for name in names]
    ionising = wavelength * continuum.RYDBERG_HYDROGEN <= levels[:, None] ** 2
    frequency = SPEED_OF_LIGHT / wavelength
    cross_section = continuum.KRAMERS * np.array(gaunt) * ionising / (levels[:, None] ** 5.0 * frequency**3)
    population = level_population(levels[:, None], temperature, state)
    return (population.T @ cross_section) * stimulated(wavelength, temperature)
