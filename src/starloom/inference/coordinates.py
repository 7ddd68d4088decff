"""Coordinates in which the spectrum is close to linear and the domain, but for its corner, a box.

In the order of PARAMETERS, each from 0 to 1 but the last:

- ln Teff, since spectra change with relative steps of temperature;
- sqrt(v^2 + a^2) - a for v = v sin i, a = 10 km/s: the spectrum depends on v^2 where rotation is slower than
  the instrument, so the derivative by v vanishes at 0, and a fit in v would never leave it;
- log g, [M/H], vmic and the resolution, linearly;
- the velocity in units of 100 km/s.

In the corner near the radiation limit log g has a higher end, which depends on Teff and [M/H]: ``lowest``.
Where log g is held there, [M/H] and Teff have lower ends, which depend on each other: ``highest``.
"""

import numpy as np

from starloom.inference.derivatives import PARAMETERS, SLOWEST
from starloom.labels import DOMAIN, NAMES, highest_mh, highest_teff, lowest_logg

TEFF, LOGG, VSINI, MH, VMIC, RESOLUTION, VELOCITY = range(len(PARAMETERS))
TURN_KMS = 10.0  # a of the module's text
VELOCITY_SCALE_KMS = 100.0
LINEAR = (LOGG, MH, VMIC, RESOLUTION)
INSIDE = 1e-10
_LOW, _SPAN = DOMAIN.low, DOMAIN.high - DOMAIN.low
_LN_LOW, _LN_SPAN = np.log(DOMAIN.low[TEFF]), np.log(DOMAIN.high[TEFF] / DOMAIN.low[TEFF])
_ROTATION_SPAN = np.hypot(DOMAIN.high[VSINI], TURN_KMS) - TURN_KMS


def from_parameters(parameters: np.ndarray) -> np.ndarray:
    """Coordinates ``[..., 7]`` of labels and velocity ``[..., 7]``."""
    place = np.empty(parameters.shape)
    place[..., TEFF] = (np.log(parameters[..., TEFF]) - _LN_LOW) / _LN_SPAN
    place[..., VSINI] = (np.hypot(parameters[..., VSINI], TURN_KMS) - TURN_KMS) / _ROTATION_SPAN
    for index in LINEAR:
        place[..., index] = (parameters[..., index] - _LOW[index]) / _SPAN[index]
    place[..., VELOCITY] = parameters[..., VELOCITY] / VELOCITY_SCALE_KMS
    return place


def to_parameters(place: np.ndarray) -> np.ndarray:
    """Labels and velocity ``[..., 7]`` of coordinates ``[..., 7]``."""
    parameters = np.empty(place.shape)
    parameters[..., TEFF] = np.exp(_LN_LOW + place[..., TEFF] * _LN_SPAN)
    for index in LINEAR:
        parameters[..., index] = _LOW[index] + place[..., index] * _SPAN[index]
    turned = place[..., VSINI] * _ROTATION_SPAN + TURN_KMS
    parameters[..., VSINI] = np.sqrt(np.maximum(turned**2 - TURN_KMS**2, 0))
    parameters[..., VELOCITY] = place[..., VELOCITY] * VELOCITY_SCALE_KMS
    # rounding must not carry a bound out of the domain
    parameters[..., : len(NAMES)] = np.clip(parameters[..., : len(NAMES)], DOMAIN.low, DOMAIN.high)
    return parameters


def slopes(parameters: np.ndarray) -> np.ndarray:
    """Derivative of each of ``parameters[..., 7]`` by its own coordinate; it depends on no other.

    That of v sin i, infinite at 0, is taken at SLOWEST or above, like the spectrum's derivative by v sin i,
    so that their product is right.
    """
    found = np.empty(parameters.shape)
    found[..., TEFF] = parameters[..., TEFF] * _LN_SPAN
    for index in LINEAR:
        found[..., index] = _SPAN[index]
    vsini = np.maximum(parameters[..., VSINI], SLOWEST)
    found[..., VSINI] = np.hypot(vsini, TURN_KMS) / vsini * _ROTATION_SPAN
    found[..., VELOCITY] = VELOCITY_SCALE_KMS
    return found


def lowest(place: np.ndarray) -> np.ndarray:
    """The coordinate of the lowest log g at ``place[..., 7]``."""
    teff = np.exp(_LN_LOW + place[..., TEFF] * _LN_SPAN)
    return (lowest_logg(teff, _LOW[MH] + place[..., MH] * _SPAN[MH]) - _LOW[LOGG]) / _SPAN[LOGG]


def highest(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates of the highest Teff and of the highest [M/H] at ``place[..., 7]``, each by the others.

    A little inside, so that rounding leads to no log g below the lowest; minus infinity where there is none.
    """
    parameters = to_parameters(place)
    logg = _LOW[LOGG] + place[..., LOGG] * _SPAN[LOGG]
    teff = np.log(np.maximum(highest_teff(logg, parameters[..., MH]), 1e-300))
    mh = highest_mh(parameters[..., TEFF], logg)
    ends = (teff - _LN_LOW) / _LN_SPAN, (mh - _LOW[MH]) / _SPAN[MH]
    return tuple(np.minimum(end - INSIDE, 1.0) for end in ends)


def highest_slopes(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of ``highest``: of Teff by [M/H], of [M/H] by Teff, in coordinates; huge at a step."""
    step = 1e-6 * np.eye(len(PARAMETERS))
    pairs = [
        (highest(place + step[i])[which], highest(place - step[i])[which])
        for which, i in ((0, MH), (1, TEFF))
    ]
    return tuple(np.clip((ahead - behind) / 2e-6, -1e9, 0) for ahead, behind in pairs)


def lowest_slopes(place: np.ndarray) -> np.ndarray:
    """Derivatives of ``lowest`` by Teff and [M/H], in coordinates, below and above: ``[2, 2, ...]``."""
    step, here = 1e-6 * np.eye(len(PARAMETERS)), lowest(place)
    pairs = [(here - lowest(place - step[i]), lowest(place + step[i]) - here) for i in (TEFF, MH)]
    return np.array(pairs) / 1e-6
