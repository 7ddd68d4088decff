"""Observed spectra as a fit needs them: pixels the model knows, weights, and reasons where there are none."""

from dataclasses import dataclass

import numpy as np

from starloom.broadening import KEPT_GRID_AA, TAPS, uniform_step
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference.settings import Settings
from starloom.inference.tellurics import telluric
from starloom.labels import DOMAIN, NAMES, number
from starloom.spectrum import Spectrum
from starloom.wavelength import air_from_vacuum, vacuum_from_air

FEWEST = 100  # pixels, for up to seven parameters and a continuum
RESOLUTION_KEYS = ("resolution", "R", "resolving_power")
_MARGIN = np.exp((TAPS / 2 + 2) * uniform_step(KEPT_GRID_AA) * 1.9 / SPEED_OF_LIGHT_KMS)
KNOWN_AA = KEPT_GRID_AA[0] * _MARGIN, KEPT_GRID_AA[-1] / _MARGIN  # vacuum, what an emulator can be asked for


@dataclass(frozen=True, eq=False)
class Observation:
    """One spectrum ready to be fitted, at its pixels that the model knows (``pixels`` of the whole spectrum).

    ``flux`` and ``error`` are in units of ``scale``, the median flux; ``good`` says which pixels are used;
    ``error`` is None where the spectrum has none and no signal-to-noise ratio was given.
    """

    spectrum: Spectrum
    pixels: slice
    vacuum_aa: np.ndarray
    flux: np.ndarray
    error: np.ndarray | None
    good: np.ndarray
    scale: float
    resolution: float


def observe(spectrum: Spectrum, settings: Settings) -> Observation:
    """The observation in a spectrum, which is not changed.

    Raises ConfigError or OutOfRangeError, one line, where it cannot be fitted: nothing in the model's
    range, too few pixels, no flux, errors that are zero, an unknown resolution.
    """
    vacuum = vacuum_from_air(spectrum.wavelength) if spectrum.medium == "air" else spectrum.wavelength
    first, last = np.searchsorted(vacuum, KNOWN_AA)
    pixels = slice(int(first), int(last))
    if last - first < FEWEST:
        raise OutOfRangeError(_range_text(spectrum, int(last - first)))
    resolution = _resolution(spectrum, settings)
    good = _good(spectrum, settings)[pixels]
    if settings.telluric:
        good &= ~telluric(spectrum, vacuum[pixels], resolution)
    if good.sum() < FEWEST:
        raise ConfigError(f"flux: {good.sum()} usable pixels in the model's range, {FEWEST} are needed")
    flux = spectrum.flux[pixels]
    scale = float(np.median(flux[good]))
    if not scale > 0:
        raise ConfigError(f"flux: its median is {number(scale)}, which is not above 0")
    error = _error(spectrum, settings, pixels, good, scale)
    flux = np.where(good, flux, scale) / scale
    return Observation(spectrum, pixels, vacuum[pixels], flux, error, good, scale, resolution)


def _range_text(spectrum: Spectrum, inside: int) -> str:
    low, high = air_from_vacuum(np.array(KNOWN_AA)) if spectrum.medium == "air" else KNOWN_AA
    asked = f"wavelength = {spectrum.wavelength[0]:.6g}..{spectrum.wavelength[-1]:.6g} A ({spectrum.medium})"
    return f"{asked}: {inside} pixels in {low:.1f}..{high:.1f} A, which the model knows; {FEWEST} are needed"


def _resolution(spectrum: Spectrum, settings: Settings) -> float:
    """The instrument's resolution: asked for, or what the spectrum says of itself."""
    index = NAMES.index("resolution")
    found = settings.resolution or spectrum.labels.get("resolution")
    for key in RESOLUTION_KEYS:
        found = found or spectrum.provenance.get(key)
    if found is None and settings.free_resolution:
        found = 11500.0
    if found is None:
        raise ConfigError("resolution: the spectrum does not tell it, so it must be given")
    try:
        value = float(found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"resolution = {found!r} is no number") from error
    low, high = DOMAIN.low[index], DOMAIN.high[index]
    if not low <= value <= high:
        raise OutOfRangeError(
            f"resolution = {number(value)} is outside [{number(low)}, {number(high)}]"
            + (": smooth the spectrum first" if value > high else "")
        )
    return value


def _good(spectrum: Spectrum, settings: Settings) -> np.ndarray:
    good = np.isfinite(spectrum.flux)
    if spectrum.mask is not None:
        good &= ~spectrum.mask
    if spectrum.error is not None:
        good &= np.isfinite(spectrum.error)
    for low, high in settings.windows:
        good &= ~((spectrum.wavelength >= low) & (spectrum.wavelength <= high))
    return good


def _error(spectrum, settings, pixels, good, scale) -> np.ndarray | None:
    if spectrum.error is None:
        return None if settings.snr is None else np.full(good.size, 1 / settings.snr)
    error = spectrum.error[pixels] / scale
    if (zero := good & (error <= 0)).any():
        where = number(spectrum.wavelength[pixels][zero][0])
        raise ConfigError(f"error is 0 at {where} A ({zero.sum()} of {good.sum()} used pixels): mask them")
    return np.where(good, error, 1.0)
