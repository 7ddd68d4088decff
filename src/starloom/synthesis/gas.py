"""The gas of a star: what its matter is and absorbs, before any fine wavelength grid."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from starloom.atmosphere import Atmosphere
from starloom.errors import ConvergenceError
from starloom.nlte import Departures
from starloom.physics.abundances import Abundance
from starloom.physics.continuum import continuous_absorption, continuous_scattering
from starloom.physics.equilibrium import State, equation_of_state
from starloom.physics.linelist import LineList
from starloom.physics.lines import Profile, line_profiles
from starloom.physics.molecules import number_density
from starloom.physics.transfer import Column, column, planck, scattered_intensity

CONSERVED = 1e-6  # relative; what the equation of state must conserve


class Continuum(NamedTuple):
    """The continuum at the nodes of one chunk."""

    absorption: Float[Array, "layer node"]  # true absorption, cm-1
    scattering: Float[Array, "layer node"]  # cm-1
    mean: Float[Array, "layer node"]  # mean intensity


class Gas(NamedTuple):
    """What the matter of an atmosphere is and absorbs: one for all chunks of a band."""

    state: State
    profile: Profile
    continua: tuple[Continuum, ...]  # of each chunk
    layers: Column
    carbon_ratio: Float[Array, ""]
    departures: Departures | None = None  # of the lines out of LTE; ``profile`` has their opacities

    def molecule(self, name: str) -> Float[Array, "layer"]:
        """Density of a molecule or isotopologue, ``CN`` or ``13CN`` [cm-3]."""
        return number_density(name, self.state, self.carbon_ratio)

    def of_chunk(self, number: int) -> "Gas":
        """This gas with the continuum of one chunk alone."""
        return self._replace(continua=self.continua[number : number + 1])

    def out_of_lte(self, departures: Departures | None) -> "Gas":
        """This gas, or those of several stars, with these departures of lines, in their opacities too."""
        if departures is None:
            return self
        scaled = _scaled if departures.strength.ndim == 2 else jax.vmap(_scaled)
        return self._replace(profile=scaled(self.profile, departures), departures=departures)


@jax.jit
def _scaled(profile: Profile, departures: Departures) -> Profile:
    peak = profile.peak.at[:, departures.lines].multiply(departures.strength.astype(jnp.float32))
    return profile._replace(peak=peak)


@partial(jax.jit, static_argnames=("synspec", "wide"))
def gas(
    atmosphere: Atmosphere,
    abundance: Abundance,
    microturbulence: Float[Array, ""],
    lines: LineList,
    nodes: Float[Array, "chunk node"],
    synspec: bool = False,
    wide: bool = False,
) -> Gas:
    """State of the gas, its continuum at ``nodes`` [cm] and its lines.

    They follow from the structure and what it is made of; ``wide`` as of ``continuous_absorption``.
    """
    temperature, every = atmosphere.temperature, nodes.ravel()
    state = equation_of_state(temperature, atmosphere.gas_pressure, abundance.per_hydrogen)
    absorption = continuous_absorption(every, temperature, state, tapered=synspec, wide=wide)
    scattering = continuous_scattering(every, state)
    layers = column(
        atmosphere.column_mass / state.mass_density,
        jnp.log(atmosphere.column_mass),
        jnp.log(10.0) * atmosphere.log_tau,
    )
    mean = scattered_intensity(absorption, scattering, planck(every, temperature), layers)
    parts = [jnp.split(part, len(nodes), axis=1) for part in (absorption, scattering, mean)]
    continua = tuple(Continuum(*chunk) for chunk in zip(*parts, strict=True))
    profile = line_profiles(lines, temperature, state, microturbulence)
    return Gas(state, profile, continua, layers, abundance.carbon_ratio)


@partial(jax.jit, static_argnames="wide")
def gas_of_each(stars, lines: LineList, nodes: Float[Array, "chunk node"], wide: bool = False) -> Gas:
    """The gas of several stars, one after the other.

    Vectorised, its equation of state would take minutes to compile.
    """
    return jax.lax.map(lambda star: gas(*star, lines, nodes, wide=wide), stars)


def check_converged(state: State, source: str) -> None:
    """Raise ConvergenceError where the equation of state violates conservation; traced values pass."""
    if isinstance(state.residual, jax.core.Tracer):
        return
    residual = np.asarray(state.residual)
    if not (worst := float(np.max(residual))) < CONSERVED:
        raise ConvergenceError(
            f"{source or 'atmosphere'}: the equation of state violates conservation by {worst:.1e} in layer "
            f"{int(np.argmax(residual))}, allowed {CONSERVED:g}"
        )
