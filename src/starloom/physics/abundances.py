"""Abundances: the Sun's scaled by [M/H], with single elements set apart."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from starloom.errors import OutOfRangeError
from starloom.physics.species import ELEMENTS, atomic_number
from starloom.tables import load

HYDROGEN, HELIUM = 0, 1  # index Z - 1
SOLAR = load("abundances")["grevesse_sauval_1998"]  # log10 of the number per hydrogen atom, plus 12


def per_hydrogen(
    mh: float | Float[Array, ""], elements: Mapping[str, float | Float[Array, ""]] | None = None
) -> Float[Array, "element"]:
    """Nuclei of each element per hydrogen nucleus.

    All elements heavier than helium are the Sun's times 10^[M/H] (Gebran 2024, section 2.1; solar values of
    Grevesse & Sauval 1998, Space Sci. Rev. 85, 161, the scale of the ATLAS9 grid too).  ``elements`` gives
    [X/H] by symbol in dex, instead of [M/H] for that element; for H it has no meaning and is refused with any
    unknown symbol.
    """
    metal = jnp.arange(ELEMENTS) > HELIUM
    log_abundance = jnp.asarray(SOLAR) + jnp.where(metal, mh, 0.0)
    for symbol, x_h in (elements or {}).items():
        index = atomic_number(symbol) - 1
        if index == HYDROGEN:
            raise OutOfRangeError(
                "element = 'H' has no [X/H] to set: abundances are counted per hydrogen nucleus"
            )
        log_abundance = log_abundance.at[index].set(SOLAR[index] + x_h)
    return 10.0 ** (log_abundance - 12.0)
