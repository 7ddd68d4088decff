"""Where units are dropped: numbers, arrays and astropy quantities become float64 in the unit asked for."""

import numpy as np

from starloom.errors import ConfigError


def plain(name: str, value, unit: str) -> np.ndarray:
    """Values of ``value`` in ``unit`` as a float64 array; a masked value becomes NaN.

    ``value`` is a number, an array or an astropy quantity or column; without a unit of its own it is taken to
    be in ``unit`` (an astropy unit string, "" for none). Raises ConfigError where it is no number or its unit
    cannot be converted; ``name`` is used in that message.
    """
    mask = getattr(value, "mask", None)
    if getattr(value, "unit", None) is not None:
        value = _converted(name, value, unit)
    try:
        if value is None:  # which NumPy would read as NaN
            raise TypeError
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} = {value!r:.60} is no real number") from error
    if mask is not None and not callable(mask):  # pandas has a method of this name
        array = np.where(mask, np.nan, array)
    return array


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
