"""Pixels over which an instrument averages the flux, as a fit is told of them."""

import re

import numpy as np

from starloom.broadening import pixel_ends
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.labels import number
from starloom.units import plain, within

BINS = "bins"
# a pixel as wide as a profile of R = 5000: wider ones reach beyond what the models know around a line
LARGEST = {"km/s": 60.0, "A": 1.7}
TEXT = re.compile(r"\s*([^\s]*?[0-9.])\s*(a|aa|å|angstroms?|km/s)?\s*", re.IGNORECASE)


def pixel_text(given) -> str:
    """A pixel as one text: "" for none, "bins", or a width as "0.37 A" or "9 km/s".

    ``given`` is None, such a text, a number [Angstrom] or an astropy quantity, a length or a speed. Raises
    ConfigError where it is none of these, OutOfRangeError for widths outside ]0, LARGEST].
    """
    if given is None or (isinstance(given, str) and given.strip().lower() in ("", BINS)):
        return given.strip().lower() if given else ""
    unit, value = "A", given
    if isinstance(given, str):
        if not (match := TEXT.fullmatch(given)):
            raise _none(given)
        unit = "km/s" if (match[2] or "").lower() == "km/s" else "A"
        try:
            value = float(match[1])
        except ValueError as error:
            raise _none(given) from error
    elif getattr(given, "unit", None) is not None:
        try:
            value = plain("pixel", given, "Angstrom")
        except ConfigError:
            unit, value = "km/s", plain("pixel", given, "km/s")
    smallest = 1e-3  # of either unit; no instrument has finer ones
    width = within("pixel", value, smallest, LARGEST[unit], unit)
    return f"{number(float(f'{width:.12g}'))} {unit}"  # without the rounding of other units


def _none(given: str) -> ConfigError:
    return ConfigError(f"pixel = {given!r} is neither {BINS!r} nor a width, as '0.37 A' or '9 km/s'")


def ends_of(pixel: str, wavelength_aa: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First and last wavelength [A] of each pixel of a whole spectrum; None where they do not average.

    ``pixel`` as ``pixel_text`` spells it; "bins": half way from each wavelength to its neighbours.
    """
    if not pixel:
        return None
    if pixel == BINS:
        return pixel_ends(wavelength_aa)
    width, unit = pixel.split()
    half = float(width) / 2
    if unit == "km/s":
        factor = np.exp(half / SPEED_OF_LIGHT_KMS)
        return wavelength_aa / factor, wavelength_aa * factor
    return wavelength_aa - half, wavelength_aa + half
