"""Layers above an atmosphere, where the strongest lines still have large optical depths."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from starloom.atmosphere import Atmosphere
from starloom.physics.equilibrium import State

ADDED = 10
_UP = np.arange(ADDED, -1, -1)
# dex of column mass from the first layer up: steps that grow from the atmosphere's own, four decades in all
DECADES = 0.05 * _UP + 0.035 * _UP**2
# d ln m / du, u the layer's number; of the added layers and the atmosphere's first
RATE = (0.05 + 0.07 * _UP) * np.log(10)


class Above(NamedTuple):
    """Lines in the added layers, the atmosphere's first layer last, as the transfer takes them."""

    peak: Float[Array, "layer line"]  #: cm-1, absorption where H(a, x) = 1
    damping: Float[Array, "layer line"]  #: a
    doppler: Float[Array, "layer line"]  #: cm s-1
    excess: Float[Array, "layer line"]  #: of the line's source function over Planck's
    growth: Float[Array, "layer"]  #: cm: d tau / du over the opacity
    mass: Float[Array, "layer"]  #: column mass over that of the first layer
    rate: Float[Array, "layer"]  #: d ln m / du


def extended_state(state: State) -> State:
    """The gas with that of the added layers: as the first layer's, in proportion to the pressure.

    The electrons come from metals that stay ionised; that hydrogen would be ionised higher up, in LTE, is not
    believed.
    """
    share = jnp.asarray(10.0 ** -DECADES[:ADDED])
    constant = {"log_partition", "residual"}

    def above(name: str, values):
        return values[..., :1] * (jnp.ones_like(share) if name in constant else share)

    joined = {
        name: jnp.concatenate([above(name, values), values], axis=-1)
        for name, values in state._asdict().items()
    }
    return State(**joined)


def extended(atmosphere: Atmosphere) -> Atmosphere:
    """The atmosphere with ``ADDED`` layers of its first one's temperature above, P as the column mass."""
    share = jnp.asarray(10.0 ** -DECADES[:ADDED])

    def scaled(values):
        return jnp.concatenate([values[0] * share, values])

    return Atmosphere(
        log_tau=jnp.concatenate([atmosphere.log_tau[0] - DECADES[:ADDED], atmosphere.log_tau]),
        column_mass=scaled(atmosphere.column_mass),
        temperature=jnp.concatenate([atmosphere.temperature[:1].repeat(ADDED), atmosphere.temperature]),
        gas_pressure=scaled(atmosphere.gas_pressure),
    )
