"""Wavelengths of a FITS image's pixels from its header (Greisen et al. 2006, and two habits beside it)."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from starloom.errors import ConfigError

# how files spell them, in any case; astropy knows the others
SPELLINGS = (
    (re.compile("a|aa|å|ang|[aå]ngstr(o|ö|oe)ms?", re.IGNORECASE), 1.0),
    (re.compile("nm|nanomet(er|re)s?", re.IGNORECASE), 10.0),
    (re.compile("[uµμ]m|microns?|micromet(er|re)s?", re.IGNORECASE), 1e4),
)
# other kinds of axes, and what is no kind
OTHERS = re.compile("^(FREQ|ENER|WAVN|VRAD|VOPT|ZOPT|VELO|BETA|MULTISPE|PIXEL|\\()|-(?!LOG$)")
SHORTEST_AA = 100.0  # a -LOG axis that begins below it gives the logarithm of its first wavelength


def angstroms(unit: str) -> float:
    """How many Angstrom a unit of wavelength is; A is no ampere. ConfigError where it is no length."""
    from astropy import units

    if known := [factor for spelling, factor in SPELLINGS if spelling.fullmatch(unit.strip())]:
        return known[0]
    try:
        factor = units.Unit(unit).to("Angstrom")
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{unit!r} is no unit of a wavelength, such as Angstrom, nm, um") from error
    return float(f"{factor:.12g}")  # astropy's factor of nm is 9.999999999999998


def is_of_wavelengths(header: Mapping[str, Any]) -> bool:
    """Whether the header's first axis is none of another kind, such as frequency or velocity."""
    return not OTHERS.search(_kind(header))


def _kind(header: Mapping[str, Any]) -> str:
    return str(header.get("CTYPE1", "")).strip().upper()


def image_wavelengths(header: Mapping[str, Any], pixels: int) -> np.ndarray:
    r"""Wavelengths [Angstrom], in the file's medium, of the pixels p = 1, 2, ... of the header's first axis.

    With :math:`w = s (p - p_0)`, where :math:`\lambda_0` is CRVAL1, :math:`p_0` CRPIX1 (default 0) and s
    CD1_1, or CDELT1 times PC1_1, in CUNIT1 (default Angstrom): :math:`\lambda = \lambda_0 + w`; for CTYPE1
    ending in -LOG :math:`\lambda = \lambda_0 \exp(w / \lambda_0)`, Greisen et al. (2006), A&A 446, 747, eq.
    5. Beside the standard: DC-FLAG = 1 means :math:`\lambda = 10^{\lambda_0 + w}` (IRAF), and a -LOG axis
    from below 100 A :math:`\lambda = \exp(\lambda_0 + w)` (PHOENIX, Husser et al. 2013). Raises ConfigError
    for another kind of axis.
    """
    kind, unit = _kind(header), angstroms(header.get("CUNIT1") or "Angstrom")
    if not is_of_wavelengths(header):
        raise ConfigError(f"CTYPE1 = {kind!r} is no axis of wavelengths")
    value, pixel, step = (_number(header, name) for name in ("CRVAL1", "CRPIX1", "CDELT1"))
    step = _number(header, "CD1_1") or step * (_number(header, "PC1_1") or 1.0)
    if "CRVAL1" not in header or not step:
        raise ConfigError("no CRVAL1 and CDELT1 or CD1_1 in its header")
    along = step * (np.arange(1, pixels + 1) - pixel)
    with np.errstate(over="ignore"):  # what is not finite is refused with the spectrum
        if kind.endswith("-LOG"):
            natural = value * unit < SHORTEST_AA
            return (np.exp(value + along) if natural else value * np.exp(along / value)) * unit
        return (10 ** (value + along) if _number(header, "DC-FLAG") == 1 else value + along) * unit


def _number(header: Mapping[str, Any], name: str) -> float:
    """A header's number; 0, the standard's default of CRPIX1, where it has none."""
    value = header.get(name, 0.0)
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise ConfigError(f"{name} = {value!r} is no number")
    return float(value)
