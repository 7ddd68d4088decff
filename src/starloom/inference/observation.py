"""Observed spectra as a fit needs them: pixels the model knows, weights, and reasons where there are none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from starloom.broadening import known_range
from starloom.errors import ConfigError, Option, OutOfRangeError
from starloom.inference.degrading import (
    CORRELATION,
    degrade,
    noise_correlation,
    told_resolution,
    told_resolution_error,
)
from starloom.inference.instrument import PROFILE, TABLE, Instrument, instrument_of, told
from starloom.inference.pixel import ends_of
from starloom.inference.settings import Settings, resolution_within, usual_resolution
from starloom.inference.setup import Setup
from starloom.inference.tellurics import telluric
from starloom.labels import number
from starloom.networks.emulator import Ends
from starloom.spectrum import Spectrum
from starloom.wavelength import from_vacuum, to_vacuum

FEWEST = 100  # pixels, for some seven parameters and a continuum
SAME_RESOLUTION = 0.01
FURTHEST = 1e9  # times the median flux, or one over it: beyond are marks of missing numbers, no measurements
PER_WIDTH = 3  # pixels in a profile's full width at half maximum: more tell nothing more
OUTSIDE, FINER, COSMIC = (
    "outside what the model knows",
    "finer than its resolution",
    "far above the model",
)  # reasons, beside those of ``observe``


@dataclass(frozen=True, eq=False)
class Observation:
    """One spectrum ready to be fitted, at the pixels that a model can know: ``pixels`` of the whole spectrum.

    ``flux`` and ``error`` are in units of ``scale``, the median flux; ``good`` says which pixels can be used,
    ``left_out`` how many of the spectrum's others there are, by reason; ``error`` is None where the spectrum
    has none and no signal-to-noise ratio was given. ``smoothed``: what the noise was smoothed with, standard
    deviation [km/s]; ``ends_aa``: vacuum wavelengths of the ends of pixels that average the flux;
    ``resolution_error``: standard deviation to which the resolution is known, 0 where it is held or free.
    """

    spectrum: Spectrum
    pixels: slice
    vacuum_aa: np.ndarray
    flux: np.ndarray
    error: np.ndarray | None
    good: np.ndarray
    scale: float
    resolution: float
    left_out: Mapping[str, int]
    smoothed: float = 0.0
    ends_aa: Ends | None = None
    resolution_error: float = 0.0
    instrument: Instrument | None = None

    @property
    def sampling(self) -> tuple[bytes, ...]:
        """What decides how a model is seen."""
        return *self.place, *(self.instrument.key if self.instrument else ())

    @property
    def place(self) -> tuple[bytes, ...]:
        """What decides a model's pixels: their wavelengths, and their ends."""
        return tuple(array.tobytes() for array in (self.vacuum_aa, *(self.ends_aa or ())))

    @property
    def kind(self) -> tuple:
        """What observations that are fitted together have in common."""
        return *self.sampling, self.resolution_error > 0

    def without(self, known: np.ndarray, used: np.ndarray) -> dict[str, int]:
        """Pixels that a fit left out, by reason: it knew ``known`` of the good ones, and used ``used``."""
        counts = {OUTSIDE: 0, **self.left_out, COSMIC: int((self.good & known & ~used).sum())}
        counts[OUTSIDE] += int((self.good & ~known).sum())
        return {reason: count for reason, count in counts.items() if count}


def observe(spectrum: Spectrum, setup: Setup) -> Observation:
    """The observation in a spectrum, which is not changed.

    Left out and counted are pixels that the model cannot know at this resolution (what it knows of the others
    depends on rotation and velocity: ``Emulator.known``), that are masked, in a window or telluric, and where
    flux or error lies FURTHEST from the median flux. Raises ConfigError or OutOfRangeError, one line, where
    it cannot be fitted: too few pixels are left, no flux, an unknown resolution.
    """
    if not isinstance(spectrum, Spectrum):
        raise ConfigError(
            f"spectrum = {spectrum!r:.60} is none: starloom.io.read_observed reads one from a file"
        )
    settings, spectrum = setup.settings, _seen(spectrum, setup.settings)
    resolution, instrument = _resolution(spectrum, setup)
    known = from_vacuum(_widest(setup, resolution), spectrum.medium)
    pixels, ends = _known_pixels(spectrum, settings, known, resolution)
    wavelength = spectrum.wavelength[pixels]
    if wavelength.size < FEWEST:
        raise OutOfRangeError(_range_text(spectrum, known, wavelength.size))
    vacuum = to_vacuum(wavelength, spectrum.medium)
    bad = _unusable(spectrum, settings, pixels)
    if settings.telluric:
        bad["telluric"] = telluric(spectrum, vacuum, resolution, setup.generator.header.band)
    good = ~np.any([*bad.values()], axis=0)
    if good.sum() < FEWEST:
        raise ConfigError(f"flux: {good.sum()} usable pixels in the model's range, {FEWEST} are needed")
    scale = float(np.median(spectrum.flux[pixels][good]))
    if not scale > 0:
        raise ConfigError(f"flux: its median is {number(scale)}, which is not above 0")
    flux, error = _scaled(spectrum, settings, pixels, scale)
    far = _no_measurements(flux, error)
    used = good & ~np.any([*far.values()], axis=0)
    outside = spectrum.wavelength.size - (pixels.stop - pixels.start)
    finer = pixels.stop - pixels.start - wavelength.size
    if used.sum() < FEWEST:
        far = {reason: good & out for reason, out in far.items()}
        raise ConfigError(_fault_text(spectrum, settings, pixels, far, good.sum()))
    return Observation(
        spectrum,
        pixels,
        vacuum,
        np.where(used, flux, 1.0),
        None if error is None else np.where(used, error, 1.0),
        used,
        scale,
        resolution,
        {OUTSIDE: outside, FINER: finer, **_counts(bad | far)},
        noise_correlation(spectrum),
        ends and tuple(to_vacuum(end, spectrum.medium) for end in ends),
        0.0 if instrument else _resolution_error(spectrum, setup),
        instrument_of(tables_of(spectrum, settings), wavelength)[1] if instrument else None,
    )


def _known_pixels(spectrum: Spectrum, settings: Settings, known: np.ndarray, resolution: float):
    """Pixels of the spectrum within ``known`` wavelengths, and their ends [A] where they average the flux.

    Of a spectrum whose noise is smoothed those that its resolution needs: PER_WIDTH or more in a width.
    """
    wavelength = spectrum.wavelength
    ends = ends_of(settings.pixel, wavelength)
    low, high = ends or (wavelength, wavelength)
    first, last = int(np.searchsorted(low, known[0])), int(np.searchsorted(high, known[1]))
    step = 1
    if noise_correlation(spectrum) and last - first > 1:
        spacing = np.median(np.diff(wavelength[first:last]))
        step = max(1, int(wavelength[first] / resolution / PER_WIDTH / spacing))
    pixels = slice(first, max(first, last), step)
    return pixels, ends and (low[pixels], high[pixels])


def _range_text(spectrum: Spectrum, ends: np.ndarray, inside: int) -> str:
    low, high = ends
    asked = f"wavelength = {spectrum.wavelength[0]:.6g}..{spectrum.wavelength[-1]:.6g} A ({spectrum.medium})"
    return f"{asked}: {inside} pixels in {low:.1f}..{high:.1f} A, which the model knows; {FEWEST} are needed"


def _widest(setup: Setup, resolution: float) -> np.ndarray:
    """First and last vacuum wavelength [A] that the model can know of spectra of a resolution."""
    first, last = (
        known_range(finish, resolution)
        for finish in (setup.model.chunks[0].finish, setup.model.chunks[-1].finish)
    )
    return np.array([first[0], last[1]])


def _seen(spectrum: Spectrum, settings: Settings) -> Spectrum:
    """The spectrum at the resolution that it is fitted at; what a window leaves out enters no other pixel."""
    if settings.noise_correlation is not None:
        told = {CORRELATION: settings.noise_correlation}
        spectrum = replace(spectrum, provenance={**spectrum.provenance, **told})
    if settings.degrade is None:
        return spectrum
    masked = _in_windows(spectrum.wavelength, settings)
    if spectrum.mask is not None:
        masked |= spectrum.mask
    return degrade(replace(spectrum, mask=masked), settings.degrade, settings.resolution)


def tables_of(spectrum: Spectrum, settings: Settings) -> dict[str, tuple]:
    """R(lambda) and profile, as they are asked for or as a spectrum says."""
    if settings.resolution or settings.degrade:
        return {TABLE: (), PROFILE: ()}
    return told(spectrum, {name: getattr(settings, name) for name in (TABLE, PROFILE)})


def _resolution(spectrum: Spectrum, setup: Setup) -> tuple[float, bool]:
    """The instrument's resolution, asked for or as the spectrum says; and whether it has tables."""
    lowest, highest = setup.resolutions[0], setup.resolutions[-1]
    tables = tables_of(spectrum, setup.settings)
    if any(tables.values()) and lowest == highest:
        raise ConfigError(f"{TABLE}, {PROFILE}: the model has one resolution, and no label for others")
    seen = instrument_of(tables, _within(spectrum, setup))
    value = (
        seen[0] if seen else setup.settings.degrade or setup.settings.resolution or told_resolution(spectrum)
    )
    if value is None and setup.settings.free_resolution:
        value = _usual(setup)
    if value is None:
        raise ConfigError("the spectrum does not tell its resolving power: give ", Option("resolution"))
    if lowest == highest and abs(value / lowest - 1) < SAME_RESOLUTION:
        return lowest, False
    return resolution_within(value, lowest, highest), seen is not None


def _within(spectrum: Spectrum, setup: Setup) -> np.ndarray:
    """The wavelengths that a model can know at its finest."""
    low, high = from_vacuum(_widest(setup, setup.resolutions[-1]), spectrum.medium)
    inside = (spectrum.wavelength >= low) & (spectrum.wavelength <= high)
    return spectrum.wavelength[inside] if inside.any() else spectrum.wavelength


def _resolution_error(spectrum: Spectrum, setup: Setup) -> float:
    """To what standard deviation the spectrum's own resolution is known, where that is the one to be used."""
    settings = setup.settings
    asked = settings.resolution or settings.degrade or settings.free_resolution
    return 0.0 if asked or setup.resolutions[0] == setup.resolutions[-1] else told_resolution_error(spectrum)


def _usual(setup: Setup) -> float:
    return usual_resolution(setup.resolutions[0], setup.resolutions[-1])


def _in_windows(wavelength: np.ndarray, settings: Settings) -> np.ndarray:
    inside = np.zeros(wavelength.size, bool)
    for low, high in settings.windows:
        inside |= (wavelength >= low) & (wavelength <= high)
    return inside


def _unusable(spectrum: Spectrum, settings: Settings, pixels: slice) -> dict[str, np.ndarray]:
    """Pixels that are not to be used, by reason."""
    wavelength, part = spectrum.wavelength[pixels], np.isfinite(spectrum.flux[pixels])
    if spectrum.error is not None:
        part &= np.isfinite(spectrum.error[pixels])
    if spectrum.mask is not None:
        part &= ~spectrum.mask[pixels]
    windows = _in_windows(wavelength, settings)
    return {"in a window": windows, "masked": ~part}


def _scaled(spectrum: Spectrum, settings: Settings, pixels: slice, scale: float):
    """Flux and error in units of ``scale``; None for an error that nobody tells."""
    with np.errstate(over="ignore"):
        flux = spectrum.flux[pixels] / scale
        if spectrum.error is not None:
            return flux, spectrum.error[pixels] / scale
    return flux, None if settings.snr is None else np.full(flux.size, 1 / settings.snr)


def _no_measurements(flux: np.ndarray, error: np.ndarray | None) -> dict[str, np.ndarray]:
    """Pixels whose flux or error, in units of the median flux, no instrument measures."""
    far = {"flux no measurement": ~(np.abs(flux) <= FURTHEST)}
    if error is not None:
        far["error no measurement"] = ~((error >= 1 / FURTHEST) & (error <= FURTHEST))
    return far


def _fault_text(spectrum: Spectrum, settings: Settings, pixels: slice, far: Mapping, used: int) -> str:
    """The first of the pixels that no instrument measures, and how many there are."""
    reason, there = max(far.items(), key=lambda item: item[1].sum())
    first, name = pixels.start + pixels.step * int(there.argmax()), reason.split()[0]
    values = getattr(spectrum, name)
    told = f"snr is {number(settings.snr)}" if values is None else f"{name} is {number(values[first])}"
    where = number(spectrum.wavelength[first])
    return (
        f"{told} at {where} A ({there.sum()} of {used} used pixels): "
        f"that is not within {1 / FURTHEST:g} to {FURTHEST:g} of the median flux"
    )


def _counts(bad: Mapping[str, np.ndarray]) -> dict[str, int]:
    """How many pixels each reason takes from those that are left."""
    left, counts = np.ones(len(next(iter(bad.values()))), bool), {}
    for reason, pixels in bad.items():
        counts[reason] = int((left & pixels).sum())
        left &= ~pixels
    return counts
