"""Observed spectra finer than a model, brought to a resolution that it knows."""

from dataclasses import replace

import numpy as np

from starloom.broadening import degraded, kernel_width
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import number
from starloom.spectrum import Spectrum
from starloom.units import within

RESOLUTION_KEYS = ("resolution", "R", "resolving_power")
FINEST = 1e6  # of any instrument
RESOLUTION_ERROR = "resolution_error"  # in a provenance
CORRELATION = "noise_correlation_kms"  # in a provenance
LAGS = 6.0  # standard deviations of a smoothing beyond which its noise is independent: exp(-9)


def told_resolution(spectrum: Spectrum) -> float | None:
    """The resolution that a spectrum says it has, None where it says none; ConfigError for no number."""
    found = spectrum.labels.get("resolution")
    for key in RESOLUTION_KEYS:
        found = found or spectrum.provenance.get(key)
    try:
        return None if found is None else float(found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"resolution = {found!r} is no number") from error


def told_resolution_error(spectrum: Spectrum) -> float:
    """The standard deviation to which a spectrum says that its resolution is known; 0: it says none."""
    return float(spectrum.provenance.get(RESOLUTION_ERROR, 0.0))


def degrade(spectrum: Spectrum, resolution: float, native_resolution: float | None = None) -> Spectrum:
    """The spectrum as an instrument of a lower resolution (lambda / FWHM) sees it, at its own pixels.

    It is convolved with the Gaussian whose variance is the difference of the two profiles'
    (``broadening.degraded``). ``native_resolution`` is that of the spectrum, by default what it says of
    itself; ``resolution`` becomes its label. Masked are pixels that were so, and those with more than 2 % of
    their kernel over masked ones, gaps and ends. Errors are propagated; since neighbouring pixels now share
    their noise, the provenance tells a fit how far (``noise_correlation_kms``). Raises ConfigError where the
    resolution is not known, OutOfRangeError where it is below the one that is asked for, or no pixel is left.

    >>> star = starloom.generate(teff=5777, logg=4.44, vsini=2, mh=0, vmic=1, resolution=11500)
    >>> starloom.degrade(star, 8000).labels["resolution"]
    8000.0
    """
    known = native_resolution if native_resolution is not None else told_resolution(spectrum)
    if known is None:
        raise ConfigError("resolution: the spectrum does not tell it, so it must be given to degrade it")
    native = within("resolution", known, 1.0, FINEST)
    wanted = within("degrade", resolution, 1.0, FINEST)
    if wanted > native:
        raise OutOfRangeError(
            f"degrade = {number(wanted)} is above the spectrum's resolution {number(native)}: "
            "it cannot be sharpened"
        )
    if wanted == native:
        return replace(spectrum, labels={**spectrum.labels, "resolution": wanted})
    width, before = kernel_width(native, wanted), noise_correlation(spectrum)
    good = np.ones(spectrum.flux.size, bool) if spectrum.mask is None else ~spectrum.mask
    error = np.zeros(good.size) if spectrum.error is None else spectrum.error
    found = degraded(spectrum.wavelength, spectrum.flux, error**2, good, width, before)
    if not found.good.any():
        raise OutOfRangeError(
            f"degrade = {number(wanted)}: no pixel has all of its kernel of {width:.3g} km/s over good ones"
        )
    note = {"degraded_from": native, CORRELATION: found.smoothed_kms}
    return replace(
        spectrum,
        flux=found.flux,
        error=None if spectrum.error is None else np.sqrt(found.variance),
        mask=None if found.good.all() else ~found.good,
        labels={**spectrum.labels, "resolution": wanted},
        provenance={**spectrum.provenance, **note},
    )


def noise_correlation(spectrum: Spectrum) -> float:
    """Standard deviation [km/s] of what the noise was smoothed with; 0: pixels are independent."""
    return float(spectrum.provenance.get(CORRELATION, 0.0))


def shared_pixels(used: np.ndarray, vacuum_aa: np.ndarray, width_kms: float) -> float:
    """How many of the ``used`` pixels share the noise of one: the sum of its correlations, on average."""
    return float(correlated(used, vacuum_aa, width_kms)[used].mean()) if used.any() else 1.0


def correlated(values: np.ndarray, vacuum_aa: np.ndarray, width_kms: float) -> np.ndarray:
    r"""``values[..., pixel]`` times the correlations of smoothed noise, :math:`\exp(-v^2 / 4 s^2)`.

    ``width_kms`` is the s of the smoothing; 0: the values.
    """
    found = values.astype(np.float64)
    if width_kms == 0:
        return found
    velocity = SPEED_OF_LIGHT_KMS * np.log(vacuum_aa)
    for lag in range(1, velocity.size):
        apart = velocity[lag:] - velocity[:-lag]
        if apart.min() > LAGS * width_kms:
            break
        shared = np.exp(-((apart / (2 * width_kms)) ** 2))
        found[..., lag:] += values[..., :-lag] * shared
        found[..., :-lag] += values[..., lag:] * shared
    return found
