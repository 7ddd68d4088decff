"""What a chromosphere adds to the cores of the Ca II triplet: emission of a fixed shape, told by one number.

The label ``filling`` is the height of the emission in the core of Ca II 8542, in units of the continuum, of
light as the star emits it: rotation, macroturbulence and the instrument act on it as on all light.
``data/filling`` has how the shape was measured.
"""

import numpy as np

from starloom.arrays import array_library
from starloom.broadening.finish import Finish
from starloom.broadening.kernels import check_between, instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS

LABEL = "filling"
RANGE = -0.1, 0.6
CORES_AA = 8500.358, 8544.438, 8664.520  # vacuum
RATIOS = 0.93, 1.0, 0.99  # of 8498, 8542, 8662: data/filling
WIDTH_KMS = 17.0  # standard deviation, from there too
TOLD = f"Ca II cores filled ({':'.join(f'{ratio:g}' for ratio in RATIOS)}, sigma {WIDTH_KMS:g} km/s)"
FILLED_K, UNFILLED_K = 7000.0, 8000.0


def emission(wavelength_aa, variance: float = 0.0):
    r"""Emission at vacuum wavelengths [A] of unit ``filling``, in units of the continuum.

    .. math:: \sum_i r_i \frac{\sigma}{s} \exp\left(-\frac{v_i^2}{2 s^2}\right), \qquad
        v_i = c \ln\frac{\lambda}{\lambda_i}, \qquad s^2 = \sigma^2 + \mathrm{variance}

    with the ``RATIOS`` :math:`r_i` of the three lines and :math:`\sigma` = ``WIDTH_KMS``. ``variance`` [km2
    s-2] is that of a Gaussian instrument through which it is seen.
    """
    array = array_library(wavelength_aa)
    velocity = SPEED_OF_LIGHT_KMS * array.log(wavelength_aa[..., None] / np.array(CORES_AA))
    width = WIDTH_KMS**2 + variance
    each = np.array(RATIOS) * array.exp(-(velocity**2) / (2 * width))
    return (WIDTH_KMS / np.sqrt(width)) * each.sum(-1)


def emission_modes(finish: Finish, resolution: float) -> np.ndarray:
    """Fourier modes complex[mode] of ``emission`` as ``finish.modes`` has them, seen at a resolution."""
    return finish.modes_of_change(emission(finish.grid.wavelength_aa, instrument_variance(resolution)))


def chromosphere(teff):
    """How much of its filling a star of ``teff`` [K] shows: 1 to 7000 K, 0 from 8000 K, 1 - 3 t^2 + 2 t^3.

    Hotter stars have no chromosphere; it goes as trust in Ca II out of LTE does (``nlte.trust``).
    """
    t = array_library(teff).clip((teff - FILLED_K) / (UNFILLED_K - FILLED_K), 0.0, 1.0)
    return 1 - t**2 * (3 - 2 * t)


def chromosphere_slope(teff):
    """Derivative of ``chromosphere`` by Teff, per K."""
    t = array_library(teff).clip((teff - FILLED_K) / (UNFILLED_K - FILLED_K), 0.0, 1.0)
    return -6 * t * (1 - t) / (UNFILLED_K - FILLED_K)


def check_filling(filling) -> None:
    """Raise ``OutOfRangeError`` for a filling outside RANGE; what JAX traces is let through."""
    check_between(LABEL, filling, *RANGE)
