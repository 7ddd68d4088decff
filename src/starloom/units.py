"""Where units are dropped: numbers, arrays and astropy quantities become float64 in the unit asked for."""

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError


def plain(name: str, value, unit: str) -> np.ndarray:
    """Values of ``value`` in ``unit`` as a float64 array; a masked value becomes NaN.

    ``value`` is a number, an array or an astropy quantity or column; without a unit of its own it is taken to
    be in ``unit`` (an astropy unit string, "" for none). Raises ConfigError where it is no number (a text
    that spells one and a truth value are none) or its unit cannot be converted; ``name`` is used in that
    message.
    """
    mask = getattr(value, "mask", None)
    if getattr(value, "unit", None) is not None:
        value = _converted(name, value, unit)
    try:
        # of which NumPy would make numbers: None, texts and truth values
        if value is None or _no_numbers(value):
            raise TypeError
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} = {value!r:.60} is no real number") from error
    if mask is not None and not callable(mask):  # pandas has a method of this name
        array = np.where(mask, np.nan, array)
    return array


def within(name: str, value, low: float, high: float, unit: str = "") -> float:
    """``value`` as one number in ``unit`` from ``low`` to ``high``, ends included.

    Raises ConfigError where it is no number, or more than one, OutOfRangeError outside the range; NaN is.
    """
    number = plain(name, value, unit)
    if number.ndim:
        raise ConfigError(f"{name} has the shape {number.shape}, expected one number")
    unit = f" {unit}".rstrip()
    if not low <= number <= high:
        raise OutOfRangeError(f"{name} = {number:g}{unit} is outside [{low:g}, {high:g}]{unit}")
    return float(number)


def _no_numbers(value) -> bool:
    """Whether a text, a truth value, a time or a complex number is among the values."""
    if not hasattr(value, "dtype"):
        value = np.asarray(value, dtype=object if isinstance(value, list | tuple) else None)
    if value.dtype.kind == "O":
        return any(isinstance(item, str | bytes | bool | np.bool_) for item in np.ravel(value))
    return value.dtype.kind in "SUbmMc"


def _converted(name: str, value, unit: str):
    from astropy import units

    try:
        return units.Quantity(value, subok=True).to_value(units.Unit(unit))
    except units.UnitsError as error:
        # a gravity may carry its acceleration, dex(cm / s2), or be the plain logarithm, dex
        if unit.startswith("dex(") and value.unit == units.dex:
            return value.value
        found = str(value.unit) or "none"
        raise ConfigError(f"{name} has the unit {found}, expected {unit or 'none'}") from error
