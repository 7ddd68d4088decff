"""Continuous opacity: one function an absorber, and their sum.

Every function gives an absorption coefficient [cm-1] of shape (layer, wavelength), stimulated emission
included, for vacuum wavelengths [cm] in ``RANGE_AA``, temperatures in K and densities in cm-3.
The tables are those of ``data/continuum``, most of them collected by Gustafsson et al. (2008); beyond
their temperatures the end values hold. Redward of ``RED_AA`` the sum is that of the absorbers there;
``wide`` adds what matters blueward of it.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

from starloom.constants import ANGSTROM, ATOMIC_MASS, BOLTZMANN, SPEED_OF_LIGHT, THOMSON
from starloom.physics.equilibrium import State, level_population, occupation_probability, stimulated
from starloom.physics.species import SYMBOLS
from starloom.tables import load

_TABLE = load("continuum")
RANGE_AA = (3700.0, 9500.0)  # Angstrom: between the Balmer edge and the end of the tables
RED_AA = 8250.0  # from here on the Paschen edge and the hydrides' continua do not matter
# vacuum, Angstrom: the Paschen edge, and those of the tables of He I, Si I and Ca I in this range
EDGES_AA = (4891.8, 5436.4, 6336.4, 6573.3, 6713.9, 7421.5, 7942.7, 8074.7, 8205.8, 8288.3, 8366.8)
RYDBERG_HYDROGEN = 1.0967877174307e5  # cm-1
KRAMERS = 2.815e29  # cm2 s-3: sigma = KRAMERS g / (n^5 nu^3), Mihalas (1978), eq. 4-114
LEVELS = np.arange(4, 41)  # hydrogen levels whose ionisation edge lies redward of 9500 A
WIDE_LEVELS = np.arange(3, 41)  # those whose edge lies redward of the Balmer edge
HYDRIDES = (("CH", 13.0186), ("OH", 17.0073))  # with continua per gram; atomic mass units
TABULATED_GAUNT = 15  # the Gaunt factors of higher levels are that of n = 15
METALS = tuple(
    (SYMBOLS.index(symbol), charge, f"{symbol.lower()}_{charge}_bf")
    for symbol in ("C", "N", "O", "Mg", "Al", "Si", "Ca", "Fe")
    for charge in (0, 1)
    if (symbol, charge) != ("Fe", 0)
)
IRON = (SYMBOLS.index("Fe"), 0, "fe_0_bf")  # alone with zeros in its table: not interpolated in logarithms

Opacity = Float[Array, "layer wavelength"]
Layer = Float[Array, "layer"]
Wavelength = Float[Array, "wavelength"]


def _tabulated(names: str | Sequence[str], wavelength: Wavelength, temperature: Layer | None = None) -> Array:
    """A table at these wavelengths and, where it has them, temperatures or theta = 5040 K / T.

    Linear; in the logarithm of the value where two-dimensional tables have no zeros: cross-sections of
    excited levels span decades in temperature. Of several tables at once, which makes a smaller program, the
    first axis is the table.
    """
    nodes, value = _packaged("wavelength_aa", names) * ANGSTROM, _packaged("value", names)
    between = _hat_weights(wavelength, nodes)
    if value.ndim == nodes.ndim:
        return (between @ value[..., None])[..., 0]
    logarithmic = bool((value > 0).all())
    by_wavelength = (np.log(value) if logarithmic else value) @ between.swapaxes(-1, -2)
    by_theta = isinstance(names, str) and f"{names}_theta" in _TABLE
    axis = _packaged("theta" if by_theta else "temperature", names)
    result = _hat_weights(5040.0 / temperature if by_theta else temperature, axis) @ by_wavelength
    return jnp.exp(result) if logarithmic else result


def _packaged(quantity: str, names: str | Sequence[str]) -> np.ndarray:
    """An array of a table, or of several with their end values repeated to the size of the largest."""
    if isinstance(names, str):
        return _TABLE[f"{names}_{quantity}"]
    arrays = [_TABLE[f"{name}_{quantity}"] for name in names]
    size = np.max([array.shape for array in arrays], axis=0)
    missing = [[(0, more) for more in size - array.shape] for array in arrays]
    return np.stack([np.pad(array, more, mode="edge") for array, more in zip(arrays, missing, strict=True)])


def _hat_weights(
    position: Float[Array, "point"], nodes: Float[np.ndarray, "*table node"]
) -> Float[Array, "*table point node"]:
    """Weights of linear interpolation; the end values hold beyond the nodes; the last may be repeated."""
    position, step = jnp.asarray(position), np.diff(nodes)
    from_node = position[:, None] - nodes[..., None, :-1]
    rising = jnp.clip(from_node / np.where(step > 0, step, 1.0)[..., None, :], 0, 1)
    one = jnp.ones_like(rising[..., :1])
    return jnp.concatenate([one, rising], axis=-1) - jnp.concatenate([rising, 0 * one], axis=-1)


def h_minus_bound_free(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Photodetachment of H-: McLaughlin et al. (2017, J. Phys. B 50, 114001); good to 1-2 %."""
    cross_section = _tabulated("h_minus_bf", wavelength)
    return state.h_minus[:, None] * cross_section * stimulated(wavelength, temperature)


def h_minus_free_free(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Free-free absorption of H-: Bell & Berrington (1987, J. Phys. B 20, 801), 2500-10 080 K; 1 %."""
    electron_pressure = state.electrons * BOLTZMANN * temperature
    factor = 1e-26 * electron_pressure * state.atoms[0, 0]
    return factor[:, None] * _tabulated("h_minus_ff", wavelength, temperature)


def h_minus_wide(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """H-, bound-free and free-free: the same tables, their nodes 500-1500 A apart, by cubic splines.

    Linear interpolation is 2 % below the cross-section at 4500 A, and 1 % above the free-free absorption.
    """
    cross_section = _spline_weights(wavelength / ANGSTROM, "h_minus_bf", "wavelength_aa") @ jnp.asarray(
        _smooth("h_minus_bf", "value")
    )
    bound_free = state.h_minus[:, None] * cross_section * stimulated(wavelength, temperature)
    by_theta = _spline_weights(5040.0 / temperature, "h_minus_ff", "theta")
    by_wavelength = _spline_weights(wavelength / ANGSTROM, "h_minus_ff", "wavelength_aa")
    table = by_theta @ jnp.asarray(_smooth("h_minus_ff", "value")) @ by_wavelength.T
    factor = 1e-26 * state.electrons * BOLTZMANN * temperature * state.atoms[0, 0]
    return bound_free + factor[:, None] * table


def _smooth(name: str, quantity: str) -> np.ndarray:
    """An array of a table at its wavelengths from 3000 to 12 000 A, among which a spline does not ring."""
    place = _TABLE[f"{name}_wavelength_aa"]
    array = _TABLE[f"{name}_{quantity}"]
    return array[..., (place > 3000) & (place < 12000)] if quantity != "theta" else array


def _spline_weights(position: Float[Array, "point"], name: str, axis: str) -> Float[Array, "point node"]:
    """Weights of the cubic spline through a table's nodes; the end values hold beyond them."""
    nodes = _smooth(name, axis)
    powers = jnp.asarray(CubicSpline(nodes, np.eye(len(nodes))).c)
    position = jnp.clip(position, nodes[0], nodes[-1])
    interval = jnp.clip(jnp.searchsorted(jnp.asarray(nodes), position) - 1, 0, len(nodes) - 2)
    step = (position - jnp.asarray(nodes)[interval])[:, None]
    cubic, square, slope, value = powers[:, interval]
    return ((cubic * step + square) * step + slope) * step + value


def hydrogen_bound_free_wide(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Photoionisation of hydrogen from levels 3 to 40, each blueward of its edge (Mihalas, eq. 4-114)."""
    frequency, edges = SPEED_OF_LIGHT / wavelength, WIDE_LEVELS**2 / RYDBERG_HYDROGEN
    tabulated = range(WIDE_LEVELS[0], TABULATED_GAUNT + 1)
    gaunt = _tabulated([f"h_bf_gaunt_{level:02d}" for level in tabulated], wavelength)
    gaunt = gaunt[np.minimum(WIDE_LEVELS, TABULATED_GAUNT) - WIDE_LEVELS[0]]
    population = level_population(WIDE_LEVELS[:, None], temperature, state)
    cross_section = KRAMERS * gaunt / (WIDE_LEVELS[:, None] ** 5.0 * frequency**3)
    cross_section = jnp.where(wavelength < edges[:, None], cross_section, 0.0)
    return (population.T @ cross_section) * stimulated(wavelength, temperature)


def dissolved(lower: int, wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Pseudo-continuum redward of the edge of level ``lower``; as ``dissolved_paschen``, 0 blueward."""
    frequency = SPEED_OF_LIGHT / wavelength
    edge = SPEED_OF_LIGHT * RYDBERG_HYDROGEN / lower**2
    effective = jnp.maximum((1 - frequency / edge) / lower**2, 1e-6) ** -0.5
    lost = 1 - occupation_probability(effective, temperature[:, None], state.electrons[:, None])
    name, edge_aa = f"h_bf_gaunt_{lower:02d}", lower**2 / RYDBERG_HYDROGEN / ANGSTROM
    gaunt = float(np.interp(edge_aa - 6, _TABLE[f"{name}_wavelength_aa"], _TABLE[f"{name}_value"]))
    cross_section = jnp.where(frequency < edge, KRAMERS * gaunt / (float(lower) ** 5 * frequency**3), 0.0)
    population = level_population(lower, temperature, state)
    return population[:, None] * cross_section * lost * stimulated(wavelength, temperature)


def hydrides(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Photodissociation of CH and OH: Kurucz, van Dishoeck & Tarafdar (1987, ApJ 322, 992)."""
    total = 0.0
    for name, mass in HYDRIDES:
        last = _TABLE[f"{name.lower()}_continuum_wavelength_aa"][-1] * ANGSTROM
        table = _tabulated(f"{name.lower()}_continuum", wavelength, temperature)
        density = state.molecule(name) * mass * ATOMIC_MASS  # g cm-3
        total = total + density[:, None] * jnp.where(wavelength <= last, table, 0.0)
    return total


def hydrogen_bound_free(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Photoionisation of hydrogen from levels 4 to 40 (Mihalas, eq. 4-114).

    Gaunt factors by Karzas & Latter (1961).

    Levels count with their occupation probability, so that the sum converges.
    """
    frequency = SPEED_OF_LIGHT / wavelength
    tabulated = range(LEVELS[0], TABULATED_GAUNT + 1)
    gaunt = _tabulated([f"h_bf_gaunt_{level:02d}" for level in tabulated], wavelength)
    gaunt = gaunt[np.minimum(LEVELS, TABULATED_GAUNT) - LEVELS[0]]
    population = level_population(LEVELS[:, None], temperature, state)
    cross_section = KRAMERS * gaunt / (LEVELS[:, None] ** 5.0 * frequency**3)
    return (population.T @ cross_section) * stimulated(wavelength, temperature)


def dissolved_paschen(
    wavelength: Wavelength, temperature: Layer, state: State, *, tapered: bool = False
) -> Opacity:
    r"""Pseudo-continuum redward of the Paschen edge: photons that lift n = 3 into a dissolved level.

    .. math:: \sigma = \frac{2.815\times 10^{29}\, g}{3^5 \nu^3} [1 - w(n^*)], \quad
        n^* = (1/9 - \nu/\nu_R)^{-1/2}

    Daeppen, Anderson & Mihalas (1987, ApJ 319, 195), as in Hubeny, Hummer & Lanz (1994), eq. 3.16; the Gaunt
    factor is the edge's.  ``tapered`` takes SYNSPEC's instead: 1 below 0.95 of the edge's frequency, running
    to the edge value.
    """
    frequency = SPEED_OF_LIGHT / wavelength
    edge = SPEED_OF_LIGHT * RYDBERG_HYDROGEN / 9
    effective = jnp.maximum(1 / 9 - frequency / (9 * edge), 1e-6) ** -0.5
    dissolved = 1 - occupation_probability(effective, temperature[:, None], state.electrons[:, None])
    gaunt = edge_gaunt = float(
        np.interp(8200.0, _TABLE["h_bf_gaunt_03_wavelength_aa"], _TABLE["h_bf_gaunt_03_value"])
    )
    if tapered:
        gaunt = 1 + (edge_gaunt - 1) * jnp.clip((frequency / edge - 0.95) / 0.05, 0, 1)
    cross_section = KRAMERS * gaunt / (3.0**5 * frequency**3)
    population = level_population(3, temperature, state)
    return population[:, None] * cross_section * dissolved * stimulated(wavelength, temperature)


def hydrogen_free_free(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Bremsstrahlung at protons, Gaunt factors of Karzas & Latter (1961); Mihalas (1978), eq. 4-122."""
    frequency = SPEED_OF_LIGHT / wavelength
    factor = 3.692e8 * state.electrons * state.atoms[0, 1] / jnp.sqrt(temperature)
    gaunt = _tabulated("h_ff_gaunt", wavelength, temperature)
    return factor[:, None] * gaunt / frequency**3 * stimulated(wavelength, temperature)


def h2_plus(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Bound-free and free-free absorption of H2+ (table after Mihalas 1965).

    It is 1.4 % of the opacity in the Sun.
    """
    factor = 1e-40 * state.atoms[0, 0] * state.atoms[0, 1]
    return (
        factor[:, None] * _tabulated("h2_plus", wavelength, temperature) * stimulated(wavelength, temperature)
    )


def h2_minus_free_free(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Free-free absorption of H2-: John (1975, MNRAS 172, 305)."""
    factor = state.electrons * BOLTZMANN * temperature * state.molecule("H2")
    return factor[:, None] * _tabulated("h2_minus_ff", wavelength, temperature)


def helium(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """He I bound-free (Opacity Project) and He- free-free (John 1994, MNRAS 269, 871)."""
    neutral = state.atoms[1, 0]
    bound_free = _tabulated("he_bf", wavelength, temperature) * stimulated(wavelength, temperature)
    bound_free = (neutral * jnp.exp(-state.log_partition[1, 0]))[:, None] * bound_free
    electron_pressure = state.electrons * BOLTZMANN * temperature
    free_free = (1e-26 * electron_pressure * neutral)[:, None] * _tabulated(
        "he_minus_ff", wavelength, temperature
    )
    return bound_free + free_free


def metals(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    """Photoionisation of C, N, O, Mg, Al, Si, Ca and Fe, neutral and once ionised.

    Opacity Project, Prieto (2003).
    """
    element, charge, names = zip(*METALS, strict=True)
    per_weight = state.atoms * jnp.exp(-state.log_partition)
    others = per_weight[jnp.array(element), jnp.array(charge), :, None]
    total = (others * _tabulated(names, wavelength, temperature)).sum(axis=0)
    total = total + per_weight[IRON[:2]][:, None] * _tabulated(IRON[2], wavelength, temperature)
    return total * stimulated(wavelength, temperature)


def rayleigh(wavelength: Wavelength, state: State) -> Opacity:
    """Rayleigh scattering by H, He and H2.

    Dalgarno (1962) for H and He, Dalgarno & Williams (1962, ApJ 136, 690) for H2.

    Expansions in inverse even powers of the wavelength in Angstrom as in Kurucz (1970), good to 1 % redward
    of 3000 A.
    """
    square = (wavelength / ANGSTROM) ** 2
    hydrogen = (5.799e-13 + 1.422e-6 / square + 2.784 / square**2) / square**2
    helium = 5.484e-14 / square**2 * (1 + (2.44e5 + 5.94e10 / (square - 2.90e5)) / square) ** 2
    molecular = (8.14e-13 + 1.28e-6 / square + 1.61 / square**2) / square**2
    densities = (state.atoms[0, 0], state.atoms[1, 0], state.molecule("H2"))
    return sum(n[:, None] * sigma for n, sigma in zip(densities, (hydrogen, helium, molecular), strict=True))


def thomson(wavelength: Wavelength, state: State) -> Opacity:
    """Scattering by free electrons: Thomson's cross-section, CODATA (2018)."""
    return state.electrons[:, None] * THOMSON * jnp.ones_like(wavelength)


def continuous_absorption(
    wavelength: Wavelength, temperature: Layer, state: State, *, tapered: bool = False, wide: bool = False
) -> Opacity:
    """Sum of all true absorption.

    ``tapered`` is that of ``dissolved_paschen``; ``wide`` for wavelengths blueward of ``RED_AA``, too.
    """
    if wide:
        return _wide_absorption(wavelength, temperature, state)
    return (
        h_minus_bound_free(wavelength, temperature, state)
        + h_minus_free_free(wavelength, temperature, state)
        + hydrogen_bound_free(wavelength, temperature, state)
        + dissolved_paschen(wavelength, temperature, state, tapered=tapered)
        + hydrogen_free_free(wavelength, temperature, state)
        + h2_plus(wavelength, temperature, state)
        + h2_minus_free_free(wavelength, temperature, state)
        + helium(wavelength, temperature, state)
        + metals(wavelength, temperature, state)
    )


def _wide_absorption(wavelength: Wavelength, temperature: Layer, state: State) -> Opacity:
    return (
        h_minus_wide(wavelength, temperature, state)
        + hydrogen_bound_free_wide(wavelength, temperature, state)
        + dissolved(2, wavelength, temperature, state)
        + dissolved(3, wavelength, temperature, state)
        + hydrogen_free_free(wavelength, temperature, state)
        + h2_plus(wavelength, temperature, state)
        + h2_minus_free_free(wavelength, temperature, state)
        + helium(wavelength, temperature, state)
        + metals(wavelength, temperature, state)
        + hydrides(wavelength, temperature, state)
    )


def continuous_scattering(wavelength: Wavelength, state: State) -> Opacity:
    """Sum of all scattering."""
    return rayleigh(wavelength, state) + thomson(wavelength, state)
