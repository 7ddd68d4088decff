"""Broadening of a whole spectrum on a uniform grid, and what of it a store keeps."""

from functools import cache
from math import inf

import numpy as np

from starloom.arrays import array_library
from starloom.bands import Band
from starloom.broadening.kernels import (
    LIMB_DARKENING,
    check_between,
    check_profiles,
    column,
    gaussian_transfer,
    macroturbulence_transfer,
    phase,
    remaining_variance,
    rotation_transfer,
)
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError


def broaden(
    flux,
    step_kms: float,
    *,
    vsini=0.0,
    resolution=inf,
    macroturbulence=0.0,
    radial_velocity=0.0,
    limb_darkening=LIMB_DARKENING,
    native_resolution=inf,
    reach_kms: float = 600.0,
):
    """Spectra as a rotating, moving star shows them to an instrument, on the grid they are given on.

    ``flux[..., wavelength]`` lies on a grid uniform in ln(wavelength) with ``step_kms`` (see
    ``uniform_step``). The keywords are numbers, or arrays of the flux's leading shape: ``vsini``,
    ``macroturbulence``, ``radial_velocity`` in km/s; ``resolution`` = lambda/FWHM of a Gaussian,
    ``native_resolution`` the one that the flux already has. Beyond its ends the spectrum is continued with
    its end values over ``reach_kms`` (more than v sin i, 5 sigma and the speed together), so results this
    near to an end rest on that. Raises ``OutOfRangeError`` for a negative speed, a resolution above the
    native one, or a limb darkening outside 0..1. Error: that of the rotation's transform, 3e-8.
    """
    check_profiles(vsini, resolution, macroturbulence, limb_darkening, native_resolution)
    check_between("radial_velocity", radial_velocity, -SPEED_OF_LIGHT_KMS, SPEED_OF_LIGHT_KMS, " km/s")
    array = array_library(flux, vsini, resolution, macroturbulence, radial_velocity, limb_darkening)
    flux = array.asarray(flux)
    size = flux.shape[-1]
    padded = _padded(array, flux, fast_length(size + round(3 * reach_kms / step_kms)))
    frequency = np.fft.rfftfreq(padded.shape[-1], step_kms).astype(flux.dtype)
    each = [column(array, value, flux.dtype) for value in (vsini, macroturbulence, limb_darkening)]
    variance = remaining_variance(array, resolution, native_resolution, flux.dtype)
    transfer = rotation_transfer(frequency, each[0], each[2]) * gaussian_transfer(frequency, variance)
    transfer = transfer * macroturbulence_transfer(frequency, each[1])
    modes = array.fft.rfft(padded, axis=-1) * transfer
    if not (isinstance(radial_velocity, float | int) and radial_velocity == 0):
        modes = modes * phase(array, frequency, radial_velocity, flux.dtype)
    return array.fft.irfft(modes, n=padded.shape[-1], axis=-1)[..., :size]


def keep(flux, band: Band):
    """Spectra of one synthesised chunk of a band as a store keeps them: seen at R = 40000, every third point.

    ``flux[..., chunk.points]`` -> ``[..., kept.points]``; resolution and stride are the band's. At R = 40000
    the Gaussian passes 6e-6 at the kept grid's Nyquist frequency, so every later broadening to R <= 14500
    finds the same modes in it as in the original.

    ConfigError for another number of points.
    """
    chunk = band.chunks[0]  # all are alike in size and step
    if flux.shape[-1] != chunk.points:
        raise ConfigError(
            f"flux: {flux.shape[-1]} points, a chunk of the band {band.name} has {chunk.points}"
        )
    return broaden(flux, chunk.step_kms, resolution=band.kept_resolution)[..., 1 :: band.stride]


def _padded(array, flux, length: int):
    """The flux continued flat beyond both ends, with a smooth way back between: no jump in the period."""
    way = np.clip(np.linspace(-1, 2, length - flux.shape[-1]), 0, 1).astype(flux.dtype)
    smooth = way * way * (3 - 2 * way)
    last, first = flux[..., -1:], flux[..., :1]
    return array.concatenate([flux, last + (first - last) * smooth], axis=-1)


@cache
def fast_length(size: int) -> int:
    """The smallest number 2^a 3^b 5^c that is not below ``size``: such transforms are the fast ones."""
    power = range(size.bit_length() + 1)
    return min(n for a in power for b in power for c in power if (n := 2**a * 3**b * 5**c) >= size)
