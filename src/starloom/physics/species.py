"""The chemical elements, hydrogen to uranium: symbols, numbers and masses."""

from starloom.constants import ATOMIC_MASS, SYMBOLS
from starloom.errors import OutOfRangeError
from starloom.tables import load

ELEMENTS = len(SYMBOLS)
ATOMIC_NUMBER: dict[str, int] = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)}
MASSES = load("abundances")["standard_atomic_weight"] * ATOMIC_MASS  # g, index Z - 1
ROMAN = ("I", "II", "III", "IV")


def atomic_number(symbol: str) -> int:
    """Atomic number of an element; ``OutOfRangeError`` where starloom does not know the symbol."""
    try:
        return ATOMIC_NUMBER[symbol]
    except (KeyError, TypeError):
        raise OutOfRangeError(
            f"element = {symbol!r} is not one of H, He, ... U (Z = 1 to {ELEMENTS})"
        ) from None


def ion_name(number: int, charge: int) -> str:
    """Spectroscopic name, e.g. ``Fe II`` for iron once ionised.

    ``number`` is the atomic number, ``charge`` that of the ion.
    """
    return f"{SYMBOLS[number - 1]} {ROMAN[charge]}"
