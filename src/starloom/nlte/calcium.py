"""What a spectrum needs of the populations: opacity and emission of the lines, and how far to trust them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from starloom.atmosphere import Atmosphere
from starloom.constants import BOLTZMANN, SPEED_OF_LIGHT
from starloom.errors import ConfigError, ConvergenceError, Option, OutOfRangeError
from starloom.nlte import atom, background
from starloom.nlte.layers import ADDED, DECADES, RATE, Above, extended, extended_state
from starloom.nlte.populations import TOLERANCE, Conditions, Equilibrium, equilibrium
from starloom.nlte.rates import NODES, boltzmann_saha, collisions, continua
from starloom.physics.equilibrium import State
from starloom.physics.linelist import LineList
from starloom.physics.lines import line_profiles, line_width, voigt
from starloom.physics.species import MASSES
from starloom.physics.transfer import column, planck, scattered_intensity

IONS = ("Ca II",)
# K: out of LTE up to the first, in LTE from the second on
TRUSTED, ABANDONED = 7000.0, 8000.0
# of the half profiles, Doppler widths: equal steps in the core, equal ratios in the wing
CORE, WING, CORE_POINTS, WING_POINTS = 5.0, 1500.0, 13, 17
WAVELENGTHS = np.concatenate([atom.WAVELENGTH, NODES])  # vacuum, cm: where the background is needed


class Background(NamedTuple):
    """What else absorbs and scatters at ``WAVELENGTHS``."""

    absorption: Float[Array, "layer wavelength"]  #: cm-1
    scattering: Float[Array, "layer wavelength"]  #: cm-1


class Departures(NamedTuple):
    """Lines out of LTE, layer by layer, as a spectrum takes them."""

    lines: Int[Array, "line"]  #: their places in the list of lines
    strength: Float[Array, "layer line"]  #: opacity over that in LTE
    excess: Float[Array, "layer line"]  #: of the source function over Planck's, erg s-1 cm-2 cm-1 sr-1
    above: Above


def checked_ions(ions: Sequence[str]) -> tuple[str, ...]:
    """The ions that are out of LTE; ConfigError for one that has no model atom, or a string."""
    if isinstance(ions, str):
        raise ConfigError(f"nlte = {ions!r} is no sequence of ions, as ({ions!r},)")
    for ion in ions:
        if ion not in IONS:
            raise ConfigError(f"{ion!r} has no model atom, give ", Option("nlte", (IONS,)))
    return tuple(dict.fromkeys(ions))


def shown_ions(ions: Sequence[str], lines: LineList) -> tuple[str, ...]:
    """Those of the ``ions`` out of LTE that have one of the ``lines``: of the others nothing would be seen.

    ``ConfigError`` for an ion without a model atom.
    """
    return checked_ions(ions) if atom.is_in(lines) else ()


def trust(teff: float | Float[Array, ""]):
    """How much of the departures is believed: 1 to 7000 K, 0 from 8000 K, between them 1 - 3 t^2 + 2 t^3."""
    t = jnp.clip((teff - TRUSTED) / (ABANDONED - TRUSTED), 0, 1)
    return 1 - t**2 * (3 - 2 * t)


def departures(
    atmosphere: Atmosphere,
    microturbulence: Float[Array, ""],
    state: State,
    lines: LineList,
    *,
    teff: float | Float[Array, ""] | None,
    source: str = "",
    around: Background | None = None,
) -> Departures | None:
    """Ca II of an atmosphere on the layers of the transfer, in float64; None from ``ABANDONED`` on.

    ``microturbulence`` is in cm s-1, ``teff`` in K; ``source`` names the atmosphere in messages;
    ``around`` is the background on the ``layers.extended`` atmosphere, the package's own unless given. Raises
    ConvergenceError where the populations do not settle, OutOfRangeError without ``teff``, ConfigError where
    the list lacks a line of the triplet.
    """
    if teff is None:
        raise OutOfRangeError(
            f"teff is not given by the atmosphere ({source}): nlte = 'Ca II' is trusted by it"
        )
    places = atom.triplet_in(lines)
    if not isinstance(teff, jax.core.Tracer) and teff >= ABANDONED:
        return None
    found, made = _solved((atmosphere, microturbulence, state), lines, places, teff, around)
    _check(found, source)
    return made


def together(each: Sequence[Departures | None]) -> Departures | None:
    """Departures of several stars, along a leading axis; of those in LTE, which are None, without effect.

    ``each``: ``Departures`` or None, a star each.
    """
    if (one := next((found for found in each if found is not None), None)) is None:
        return None
    without = one._replace(strength=jnp.ones_like(one.strength), excess=jnp.zeros_like(one.excess))
    nothing = {name: jnp.zeros_like(getattr(one.above, name)) for name in ("peak", "excess")}
    without = without._replace(above=one.above._replace(**nothing))
    filled = [without if found is None else found for found in each]
    return jax.tree.map(lambda *parts: jnp.stack(parts), *filled)


def _check(found: Equilibrium, source: str) -> None:
    if isinstance(found.change, jax.core.Tracer):
        return
    if not (change := float(found.change)) < TOLERANCE:
        raise ConvergenceError(
            f"{source or 'atmosphere'}: the populations of Ca II still change by {change:.1e} after "
            f"{int(found.iterations)} iterations, allowed {TOLERANCE:g}"
        )


@jax.jit
def _solved(star, lines: LineList, places: Int[Array, "triplet"], teff, around: Background | None):
    """Equilibrium, and departures, their logarithms times ``trust``."""
    atmosphere, microturbulence, state = star
    layers, state = extended(atmosphere), extended_state(state)
    triplet = jax.tree.map(lambda part: jnp.asarray(part)[places], lines)
    five = atom.with_resonance(triplet)
    around = surroundings(layers.temperature, state) if around is None else around
    found = equilibrium(conditions(layers, state, microturbulence, five, around))
    made = of_lines(layers, state, microturbulence, triplet, trust(teff) * found.log_departure)
    return found, made._replace(lines=places)


def surroundings(temperature: Float[Array, "layer"], state: State) -> Background:
    """The background by the package's own opacities."""
    absorption = background.absorption(WAVELENGTHS, temperature, state)
    return Background(absorption, background.scattering(WAVELENGTHS, state))


def conditions(
    layers: Atmosphere,
    state: State,
    microturbulence: Float[Array, ""],
    lines: LineList,
    around: Background,
) -> Conditions:
    """What the populations of Ca II in these layers hang on; ``lines`` are those of the atom."""
    temperature, electrons = layers.temperature, state.electrons
    total = state.atoms[atom.ELEMENT, atom.CHARGE] + state.atoms[atom.ELEMENT, atom.CHARGE + 1]
    lte = boltzmann_saha(temperature, electrons, total)
    depth, log_mass = layers.column_mass / state.mass_density, jnp.log(layers.column_mass)
    at_lines, at_nodes = (jax.tree.map(lambda part, s=s: part[:, s], around) for s in _LINES_AND_NODES)
    transfer = column(depth, log_mass, jnp.log(10.0) * layers.log_tau)
    mean = scattered_intensity(*at_nodes, planck(NODES, temperature), transfer)
    profile, share, mutual = _profiles(lines, temperature, state, microturbulence)
    return Conditions(
        lte=lte,
        rates=collisions(temperature, electrons, lte) + continua(temperature, mean, lte),
        gf=10.0**lines.log_gf,
        profile=profile,
        share=share,
        mutual=mutual,
        absorption=at_lines.absorption,
        scattering=at_lines.scattering,
        planck=planck(atom.WAVELENGTH, temperature),
        mass_per_density=depth,
        log_mass=log_mass,
    )


_LINES_AND_NODES = slice(None, atom.LINES), slice(atom.LINES, None)


def half_profile() -> Float[np.ndarray, "frequency"]:
    """Detunings, in Doppler widths of the first layer."""
    ratios = (WING / CORE) ** (np.arange(1, WING_POINTS + 1) / WING_POINTS)
    return np.concatenate([np.linspace(0, CORE, CORE_POINTS), CORE * ratios])


def _profiles(lines: LineList, temperature, state: State, microturbulence):
    """Profile [per Hz], shares in a mean over it, and the resonance lines' profiles in each other."""
    doppler = jnp.sqrt(2 * BOLTZMANN * temperature / MASSES[atom.ELEMENT] + microturbulence**2)[:, None]
    gamma = line_width(lines, temperature, state).astype(temperature.dtype)
    detuning = doppler[0, 0] * half_profile()
    damping = gamma * atom.WAVELENGTH / (4 * jnp.pi * doppler)
    shape = voigt(damping[:, :, None], detuning / doppler[:, :, None], terms=24)
    profile = shape * atom.WAVELENGTH[:, None] / (jnp.sqrt(jnp.pi) * doppler[:, :, None])
    steps = jnp.diff(detuning)
    weights = jnp.append(steps, 0) / 2 + jnp.append(0, steps) / 2
    share = shape * weights
    apart = SPEED_OF_LIGHT * np.diff(1 / atom.WAVELENGTH[atom.RESONANCE])
    mutual = gamma[:, atom.RESONANCE] / (2 * jnp.pi * apart) ** 2
    return profile, share / share.sum(axis=-1, keepdims=True), mutual


def of_lines(
    layers: Atmosphere, state: State, microturbulence, triplet: LineList, log_departure
) -> Departures:
    r"""Opacity over that in LTE, and what the source function is more than Planck's.

    .. math:: \frac{b_l - b_u e^{-x}}{1 - e^{-x}}, \qquad
        S - B = B \frac{1 - b_l/b_u}{b_l/b_u - e^{-x}}, \qquad x = \frac{hc}{\lambda kT}
    """
    lower, upper = (jnp.take(log_departure, end[atom.TRIPLET], axis=1) for end in (atom.LOWER, atom.UPPER))
    wavelength = atom.WAVELENGTH[atom.TRIPLET]
    boltzmann = jnp.exp(-atom.PER_KELVIN / (wavelength * layers.temperature[:, None]))
    strength = (jnp.exp(lower) - jnp.exp(upper) * boltzmann) / (1 - boltzmann)
    ratio = lower - upper
    excess = planck(wavelength, layers.temperature) * -jnp.expm1(ratio) / (jnp.exp(ratio) - boltzmann)
    top = slice(None, ADDED + 1)
    profile = line_profiles(
        triplet, layers.temperature[top], jax.tree.map(lambda part: part[..., top], state), microturbulence
    )
    length = layers.column_mass[top] / state.mass_density[top]
    above = Above(
        peak=profile.peak * strength[top],
        damping=profile.damping,
        doppler=profile.doppler,
        excess=excess[top],
        growth=length * RATE,
        mass=jnp.asarray(10.0**-DECADES),
        rate=jnp.asarray(RATE),
    )
    own = slice(ADDED, None)
    return Departures(jnp.arange(len(atom.TRIPLET)), strength[own], excess[own], above)
