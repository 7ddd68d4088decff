"""Profiles of rotation, macroturbulence, motion and the instrument, as transforms in closed form.

Frequencies are in cycles per km/s, velocities in km/s. NumPy and JAX arrays are accepted alike.
"""

from math import inf, log, pi

import numpy as np

from starloom.arrays import array_library
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import OutOfRangeError
from starloom.units import plain

LIMB_DARKENING = 0.6  # the fixed value of SYNSPEC's ROTIN, with which the paper's spectra were made


def instrument_variance(resolution):
    r"""Variance [km2 s-2] of a Gaussian profile with FWHM = lambda / R: :math:`(c/R)^2 / (8 \ln 2)`."""
    return (SPEED_OF_LIGHT_KMS / resolution) ** 2 / (8 * log(2))


def doppler_shift(radial_velocity):
    r"""Shift of :math:`c \ln\lambda` [km/s] by a velocity [km/s] away from us: c artanh(v/c).

    Relativistic and radial: :math:`\lambda'/\lambda = \sqrt{(1+\beta)/(1-\beta)}` (Einstein 1905).
    """
    array = array_library(radial_velocity)
    return SPEED_OF_LIGHT_KMS * array.arctanh(array.asarray(radial_velocity) / SPEED_OF_LIGHT_KMS)


def rotation_transfer(frequency, vsini, limb_darkening=LIMB_DARKENING):
    r"""Transform of the profile of a rigidly rotating sphere with linear limb darkening :math:`\epsilon`.

    .. math:: \left[(1-\epsilon)\frac{2J_1(x)}{x} + 2\epsilon\frac{\sin x - x\cos x}{x^3}\right]
              \left(1-\frac{\epsilon}{3}\right)^{-1}, \qquad x = 2\pi f\, v\sin i

    which is the cosine transform of :math:`[2(1-\epsilon)\sqrt{1-w^2} + \tfrac{\pi}{2}\epsilon(1-w^2)] /
    [\pi(1-\epsilon/3)]`, w = v / (v sin i): Gray (2005), eq. 18.14; the transform goes back to Carroll
    (1933). The spectrum is assumed the same over the disk but for its brightness. Absolute error below 3e-8.

    ``frequency`` [s/km].
    """
    x = 2 * pi * frequency * vsini
    uniform = 2 * _bessel_j1_over_x(x)
    darkened = 2 * _spherical_j1_over_x(x)
    return ((1 - limb_darkening) * uniform + limb_darkening * darkened) / (1 - limb_darkening / 3)


def gaussian_transfer(frequency, variance):
    r"""Transform of a Gaussian: :math:`\exp(-2\pi^2\sigma^2 f^2)`, ``variance`` = sigma^2 [km2 s-2].

    ``frequency`` [s/km].
    """
    array = array_library(frequency, variance)
    # below e-80 the float32 result would be a denormal number, a hundred times slower to multiply
    return array.exp(array.maximum(-2 * pi**2 * frequency**2 * variance, -80.0))


def macroturbulence_transfer(frequency, macroturbulence):
    r"""Transform of radial-tangential macroturbulence: :math:`(1 - e^{-a}) / a, a = (\pi\zeta f)^2`.

    Half of the surface moves radially, half tangentially, each with a Gaussian of most probable speed zeta,
    so that the line-of-sight Gaussian is exp(-v^2 / (zeta cos theta)^2) or exp(-v^2 / (zeta sin theta)^2);
    weighting its transform with the projected area 2 mu dmu gives the same closed form for both. The profile
    is that of Gray (2005), chapter 17 (Gray 1975); limb darkening and the coupling with rotation are left
    out, as in the convolution used there.

    ``frequency`` [s/km], ``macroturbulence`` zeta [km/s].
    """
    array = array_library(frequency, macroturbulence)
    exponent = (pi * macroturbulence * frequency) ** 2
    safe = array.where(exponent > 1e-4, exponent, 1.0)
    return array.where(exponent > 1e-4, -array.expm1(-safe) / safe, 1 - exponent / 2)


def remaining_variance(array, resolution, native_resolution, dtype):
    """What is left to convolve with [km2 s-2], for each spectrum: Gaussians add in variance."""
    variance = instrument_variance(array.asarray(resolution)) - instrument_variance(
        array.asarray(native_resolution)
    )
    return column(array, variance, dtype)


def phase(array, frequency, radial_velocity, dtype):
    """The transform's factor of a motion: a shift of ln(wavelength)."""
    shift = column(array, doppler_shift(radial_velocity), dtype)
    return array.exp(-2j * pi * frequency * shift)


def column(array, value, dtype):
    """A value for each spectrum, to be combined with what has a frequency on its last axis."""
    return array.asarray(value, dtype=dtype)[..., None]


def check_profiles(vsini, resolution, macroturbulence, limb_darkening, native_resolution) -> None:
    """Raise ``OutOfRangeError`` for a negative speed, too fine a resolution, a wrong limb darkening."""
    check_between("vsini", vsini, 0.0, inf, " km/s")
    check_between("macroturbulence", macroturbulence, 0.0, inf, " km/s")
    check_between("limb_darkening", limb_darkening, 0.0, 1.0)
    if array_library(native_resolution) is np:
        check_between("resolution", resolution, 1.0, np.asarray(native_resolution))


def check_between(name: str, value, low: float, high, unit: str = "") -> None:
    """Raise for the first value outside; JAX arrays, which may be traced, are let through."""
    if array_library(value) is not np:
        return
    value, high = np.broadcast_arrays(plain(name, value, ""), high)
    outside = ~((value >= low) & (value <= high))
    if np.any(outside):
        wrong, limit = value[outside][0], high[outside][0]
        raise OutOfRangeError(f"{name} = {wrong:g}{unit} is outside [{low:g}, {limit:g}]{unit}")


def _bessel_j1_over_x(x):
    """J1(x)/x for x >= 0: Abramowitz & Stegun (1964), 9.4.4 and 9.4.6, absolute error below 3e-8."""
    array = array_library(x)
    near = array.minimum(x, 3.0) / 3
    inner = (0.5, -0.56249985, 0.21093573, -0.03954289, 0.00443319, -0.00031761, 0.00001109)
    far = array.maximum(x, 3.0)
    ratio = 3 / far
    size = (0.79788456, 0.00000156, 0.01659667, 0.00017105, -0.00249511, 0.00113653, -0.00020033)
    turn = (-2.35619449, 0.12499612, 0.00005650, -0.00637879, 0.00074348, 0.00079824, -0.00029166)
    outer = _polynomial(size, ratio) * array.cos(far + _polynomial(turn, ratio)) / (far * array.sqrt(far))
    return array.where(x < 3, _polynomial(inner, near * near), outer)


def _spherical_j1_over_x(x):
    """(sin x - x cos x) / x^3 for x >= 0; below 1 by its power series, whose first term left out is 2e-9."""
    array = array_library(x)
    near, far = array.minimum(x, 1.0), array.maximum(x, 1.0)
    series = (1 / 3, -1 / 30, 1 / 840, -1 / 45360, 1 / 3991680)
    closed = (array.sin(far) - far * array.cos(far)) / far**3
    return array.where(x < 1, _polynomial(series, near * near), closed)


def _polynomial(coefficients, x):
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value
