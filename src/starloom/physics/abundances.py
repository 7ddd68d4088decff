"""Abundances: the Sun's scaled by [M/H] and [alpha/M], with single elements set apart; carbon's isotopes.

The Sun is that of Grevesse & Sauval (1998, Space Sci. Rev. 85, 161). Numbers are of nuclei, differences in
dex.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from starloom.arrays import array_library
from starloom.constants import ALPHA_ELEMENTS, SYMBOLS
from starloom.errors import ConfigError, Option, OutOfRangeError
from starloom.physics.species import ELEMENTS, atomic_number
from starloom.tables import load
from starloom.units import plain, within

HYDROGEN, HELIUM = 0, 1  # index Z - 1
SOLAR = load("abundances")["grevesse_sauval_1998"]  # log10 of the number per hydrogen atom, plus 12
MIXTURE = "Grevesse & Sauval (1998)"
METAL = np.arange(ELEMENTS) > HELIUM  # what [M/H] scales
ALPHA = np.isin(SYMBOLS, ALPHA_ELEMENTS)  # what [alpha/M] scales
LOWEST, HIGHEST = -10.0, 3.0  # dex, of [X/M]: an abundance relative to the metals, not A(X)
CARBON_RATIO = 89.4  # 12C/13C of the Sun: Asplund et al. (2009), table 3
# what synthesis can do, with the unit; the labels' domain is narrower
RANGES = {"mh": (-5.0, 1.5, "dex"), "alpha": (-2.0, 2.0, "dex"), "carbon_ratio": (1.0, 1e4, "")}


class Abundance(NamedTuple):
    """What a gas is made of: nuclei of each element per hydrogen nucleus, and 12C/13C."""

    per_hydrogen: Float[Array, "element"]  #: by number
    carbon_ratio: Float[Array, ""]


class Mixture(NamedTuple):
    """A star's composition by its labels: [M/H], [alpha/M] and [X/M] by symbol in dex, and 12C/13C.

    [alpha/M] moves O, Ne, Mg, Si, S, Ar, Ca and Ti; an element of ``elements`` follows nothing but [M/H].
    """

    mh: float | Float[Array, ""]
    alpha: float | Float[Array, ""] = 0.0
    elements: Mapping[str, float | Float[Array, ""]] | None = None
    carbon_ratio: float | Float[Array, ""] = CARBON_RATIO

    def checked(self) -> "Mixture":
        """This mixture of plain numbers, each inside RANGES; what JAX traces passes, it has no value.

        Raises OutOfRangeError outside, and as ``checked_elements``.
        """
        own = {name: _number(name, getattr(self, name), *RANGES[name]) for name in RANGES}
        return Mixture(elements=checked_elements(self.elements, own["mh"]), **own)

    @property
    def abundance(self) -> Abundance:
        """The mixture as a gas has it, in double precision, or JAX's where JAX traces it."""
        ratio = self.carbon_ratio
        ratio = ratio if isinstance(ratio, jax.core.Tracer) else np.float64(ratio)
        return Abundance(per_hydrogen(self.mh, self.alpha, self.elements), ratio)


def checked_elements(elements: Mapping[str, float | Float[Array, ""]] | None, mh=None) -> dict:
    """[X/M] in dex by symbol, each one finite number of [-10, 3]; what JAX traces passes, it has no value.

    Raises ConfigError for what is no mapping or no number, OutOfRangeError for an unknown symbol, for H,
    whose abundance relative to itself has no meaning, outside the range, as A(X) (8.52 of carbon) is, and
    where ``mh`` [dex], if it is given, makes [X/H] more than 3 dex.
    """
    if elements is None:
        return {}
    if not isinstance(elements, Mapping):
        raise ConfigError(f"elements = {elements!r:.60} is no mapping of symbols to [X/M]")
    return {symbol: _checked(symbol, value, mh) for symbol, value in elements.items()}


def _checked(symbol: str, x_m, mh):
    if symbol == "alpha":
        raise ConfigError("alpha is no element: give ", Option("alpha"))
    index = atomic_number(symbol) - 1
    if index == HYDROGEN:
        raise OutOfRangeError(
            "element = 'H' has no [X/M] to set: abundances are counted per hydrogen nucleus"
        )
    name = relative(symbol)
    mh = None if isinstance(mh, jax.core.Tracer) else mh
    try:
        value = _number(name, x_m, LOWEST, HIGHEST, "dex")
    except OutOfRangeError as error:
        absolute = _absolute(index, float(plain(name, x_m, "dex")), mh)
        raise OutOfRangeError(f"{error}{absolute}") from error
    known = METAL[index] and mh is not None and not isinstance(value, jax.core.Tracer)
    if known and value + mh > HIGHEST:
        found = f"[{symbol}/H] = {value + mh:g} dex is above {HIGHEST:g} dex"
        raise OutOfRangeError(f"{name} = {value:g} dex at mh = {mh:g} dex: {found}")
    return value


def relative(symbol: str) -> str:
    """What an element's number is: ``[Ca/M]``; ``[He/H]``, since helium does not follow the metals.

    ``symbol`` of the element.
    """
    return f"[{symbol}/{'M' if METAL[atomic_number(symbol) - 1] else 'H'}]"


def _absolute(index: int, value: float, mh: float | None) -> str:
    """What A(X) would have been as [X/M], where the value may have been one."""
    base = SOLAR[index] + (mh or 0.0) * METAL[index]
    if mh is None or not HIGHEST < value < 12 or not LOWEST <= value - base <= HIGHEST:
        return ""
    symbol = SYMBOLS[index]
    meant = f"{relative(symbol)} = {value - base:.2f} dex at mh = {mh:g} dex"
    return f"; if A({symbol}) = {value:g} is meant, that is {meant}"


def _number(name: str, value, low: float, high: float, unit: str):
    return value if isinstance(value, jax.core.Tracer) else within(name, value, low, high, unit)


def per_hydrogen(
    mh: float | Float[Array, ""],
    alpha: float | Float[Array, ""] = 0.0,
    elements: Mapping[str, float | Float[Array, ""]] | None = None,
) -> Float[Array, "element"]:
    """Nuclei of each element per hydrogen nucleus.

    All elements heavier than helium are the Sun's times 10^[M/H] (Gebran 2024, section 2.1; solar values of
    Grevesse & Sauval 1998, Space Sci. Rev. 85, 161, the scale of the ATLAS9 grid too), O, Ne, Mg, Si, S, Ar,
    Ca and Ti times 10^[alpha/M] besides (as in ATLAS9's models; Castelli & Kurucz 2003).  ``elements`` gives
    [X/M] by symbol, instead of ``alpha`` for that element ([He/H] of helium); all in dex.
    """
    elements, number = checked_elements(elements), np.arange(ELEMENTS)
    library = array_library(mh, alpha, *elements.values())
    offset = library.where(ALPHA, alpha, 0.0)
    for symbol, x_m in elements.items():
        offset = library.where(number == atomic_number(symbol) - 1, x_m, offset)
    return 10.0 ** (SOLAR + library.where(METAL, mh, 0.0) + offset - 12.0)
