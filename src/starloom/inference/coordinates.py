"""Coordinates in which the domain of labels is a box and the spectrum close to linear.

The fit works in them, so that every bound, the corner near the radiation limit included, is a bound of one
coordinate. In the order of PARAMETERS, each from 0 to 1 but the last:

- ln Teff, since spectra change with relative steps of temperature;
- the fraction of the way from ``lowest_logg`` to the highest log g;
- sqrt(v^2 + a^2) - a for v = v sin i, a = 10 km/s: the spectrum depends on v^2 where rotation is slower than
  the instrument, so the derivative by v vanishes at 0, and a fit in v would never leave it;
- [M/H], vmic and the resolution, linearly;
- the velocity in units of 100 km/s.
"""

import numpy as np

from starloom.inference.derivatives import PARAMETERS, SLOWEST
from starloom.labels import DOMAIN, NAMES, lowest_logg

TEFF, LOGG, VSINI, MH, VMIC, RESOLUTION, VELOCITY = range(len(PARAMETERS))
TURN_KMS = 10.0  # a of the module's text
VELOCITY_SCALE_KMS = 100.0
LINEAR = (MH, VMIC, RESOLUTION)
_LOW, _SPAN = DOMAIN.low, DOMAIN.high - DOMAIN.low
_LN_LOW, _LN_SPAN = np.log(DOMAIN.low[TEFF]), np.log(DOMAIN.high[TEFF] / DOMAIN.low[TEFF])
_ROTATION_SPAN = np.hypot(DOMAIN.high[VSINI], TURN_KMS) - TURN_KMS


def from_parameters(parameters: np.ndarray) -> np.ndarray:
    """Coordinates ``[..., 7]`` of labels and velocity ``[..., 7]``."""
    place = np.empty(parameters.shape)
    place[..., TEFF] = (np.log(parameters[..., TEFF]) - _LN_LOW) / _LN_SPAN
    lowest = lowest_logg(parameters[..., TEFF], parameters[..., MH])
    place[..., LOGG] = (parameters[..., LOGG] - lowest) / (DOMAIN.high[LOGG] - lowest)
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
    lowest = lowest_logg(parameters[..., TEFF], parameters[..., MH])
    parameters[..., LOGG] = lowest + place[..., LOGG] * (DOMAIN.high[LOGG] - lowest)
    turned = place[..., VSINI] * _ROTATION_SPAN + TURN_KMS
    parameters[..., VSINI] = np.sqrt(np.maximum(turned**2 - TURN_KMS**2, 0))
    parameters[..., VELOCITY] = place[..., VELOCITY] * VELOCITY_SCALE_KMS
    # rounding must not carry a bound out of the domain
    parameters[..., : len(NAMES)] = np.clip(parameters[..., : len(NAMES)], DOMAIN.low, DOMAIN.high)
    return parameters


def slopes(place: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Derivatives of the parameters by the coordinates: ``[..., 7 (parameter), 7 (coordinate)]``.

    ``parameters[..., 7]`` are those of ``place[..., 7]``. The derivative of v sin i, infinite at 0, is taken
    at SLOWEST or above, like the spectrum's derivative by v sin i, so that their product is right.
    """
    matrix = np.zeros((*place.shape, len(PARAMETERS)))
    matrix[..., TEFF, TEFF] = parameters[..., TEFF] * _LN_SPAN
    for index in LINEAR:
        matrix[..., index, index] = _SPAN[index]
    vsini = np.maximum(parameters[..., VSINI], SLOWEST)
    matrix[..., VSINI, VSINI] = np.hypot(vsini, TURN_KMS) / vsini * _ROTATION_SPAN
    matrix[..., VELOCITY, VELOCITY] = VELOCITY_SCALE_KMS
    lowest, by_teff, by_mh = _corner(parameters[..., TEFF], parameters[..., MH])
    matrix[..., LOGG, LOGG] = DOMAIN.high[LOGG] - lowest
    for index, corner in ((TEFF, by_teff), (MH, by_mh)):
        matrix[..., LOGG, index] = (1 - place[..., LOGG]) * corner * matrix[..., index, index]
    return matrix


def _corner(teff: np.ndarray, mh: np.ndarray) -> np.ndarray:
    """``lowest_logg`` and (differences: it is piecewise linear) its derivatives by Teff and [M/H]."""
    steps = np.array([[0, 1.0, -1.0, 0, 0], [0, 0, 0, 1e-3, -1e-3]]).reshape(2, 5, *[1] * teff.ndim)
    here, *around = lowest_logg(teff + steps[0], mh + steps[1])
    return np.stack([here, (around[0] - around[1]) / 2.0, (around[2] - around[3]) / 2e-3])
