"""Abundances: the Sun's scaled by [M/H], with single elements set apart."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array, Float

from starloom.arrays import array_library
from starloom.errors import ConfigError, OutOfRangeError
from starloom.physics.species import ELEMENTS, atomic_number
from starloom.tables import load
from starloom.units import within

HYDROGEN, HELIUM = 0, 1  # index Z - 1
SOLAR = load("abundances")["grevesse_sauval_1998"]  # log10 of the number per hydrogen atom, plus 12
LOWEST, HIGHEST = -10.0, 3.0  # dex, of [X/H]: an abundance relative to the Sun's, not log epsilon


def checked_elements(elements: Mapping[str, float | Float[Array, ""]] | None) -> dict:
    """[X/H] in dex by symbol, each one finite number of [-10, 3]; what JAX traces passes, it has no value.

    Raises ConfigError for what is no mapping or no number, OutOfRangeError for an unknown symbol, for H,
    whose abundance relative to itself has no meaning, and outside the range, as log epsilon (8.43 of carbon)
    is.
    """
    if elements is None:
        return {}
    if not isinstance(elements, Mapping):
        raise ConfigError(f"elements = {elements!r:.60} is no mapping of symbols to [X/H]")
    return {symbol: _checked(symbol, value) for symbol, value in elements.items()}


def _checked(symbol: str, x_h):
    if atomic_number(symbol) - 1 == HYDROGEN:
        raise OutOfRangeError(
            "element = 'H' has no [X/H] to set: abundances are counted per hydrogen nucleus"
        )
    if isinstance(x_h, jax.core.Tracer):
        return x_h
    return within(f"[{symbol}/H]", x_h, LOWEST, HIGHEST, "dex")


def per_hydrogen(
    mh: float | Float[Array, ""], elements: Mapping[str, float | Float[Array, ""]] | None = None
) -> Float[Array, "element"]:
    """Nuclei of each element per hydrogen nucleus.

    All elements heavier than helium are the Sun's times 10^[M/H] (Gebran 2024, section 2.1; solar values of
    Grevesse & Sauval 1998, Space Sci. Rev. 85, 161, the scale of the ATLAS9 grid too).  ``elements`` gives
    [X/H] by symbol in dex, instead of [M/H] for that element, and is judged by ``checked_elements``.
    """
    elements, number = checked_elements(elements), np.arange(ELEMENTS)
    library = array_library(mh, *elements.values())
    log_abundance = SOLAR + library.where(number > HELIUM, mh, 0.0)
    for symbol, x_h in elements.items():
        index = atomic_number(symbol) - 1
        log_abundance = library.where(number == index, SOLAR[index] + x_h, log_abundance)
    return 10.0 ** (log_abundance - 12.0)
