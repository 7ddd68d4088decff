"""What rotation, macroturbulence, motion and the instrument do to a spectrum: convolutions in Fourier space.

On a grid uniform in :math:`\\ln\\lambda` every one of these kernels is the same at all wavelengths, and the
velocity :math:`u = c \\ln(\\lambda/\\lambda_0)` is the relativistic radial velocity to :math:`v^3/3c^2` (1e-4
km/s at 300 km/s). A spectrum's transform is multiplied by the kernel's own transform in closed form, never by
that of a sampled kernel: a rotation far below the pixel is as exact as a fast one. Wavelengths are in vacuum
[Angstrom], velocities in km/s, frequencies in cycles per km/s. NumPy and JAX arrays are accepted alike,
float32 or float64; what comes back is of the flux's own kind. ``filling`` is what a chromosphere
adds before all that.
"""

from starloom.broadening.convolution import broaden, keep
from starloom.broadening.degrading import Degraded, degraded, kernel_width, pixel_ends
from starloom.broadening.filling import (
    check_filling,
    chromosphere,
    chromosphere_slope,
    emission,
    emission_modes,
)
from starloom.broadening.finish import (
    COARSEST,
    ROUNDING_AA,
    BandFinish,
    Finish,
    band_finishes,
    finish_of,
    finish_onto,
    known_range,
    reached,
    summed,
)
from starloom.broadening.kernels import (
    LIMB_DARKENING,
    doppler_shift,
    gaussian_transfer,
    instrument_variance,
    macroturbulence_transfer,
    rotation_transfer,
)
from starloom.broadening.samplers import (
    TAPS,
    Sampler,
    instrument_sampler,
    pixel_sampler,
    point_sampler,
    uniform_step,
)

__all__ = [
    "COARSEST",
    "LIMB_DARKENING",
    "ROUNDING_AA",
    "TAPS",
    "BandFinish",
    "Degraded",
    "Finish",
    "Sampler",
    "band_finishes",
    "broaden",
    "check_filling",
    "chromosphere",
    "chromosphere_slope",
    "degraded",
    "doppler_shift",
    "emission",
    "emission_modes",
    "finish_of",
    "finish_onto",
    "gaussian_transfer",
    "instrument_sampler",
    "instrument_variance",
    "keep",
    "kernel_width",
    "known_range",
    "macroturbulence_transfer",
    "pixel_ends",
    "pixel_sampler",
    "point_sampler",
    "reached",
    "rotation_transfer",
    "summed",
    "uniform_step",
]
