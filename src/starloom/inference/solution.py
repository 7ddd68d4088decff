"""From observed spectra to the lowest minimum of each: a chain of states, none of which changes.

``Stars`` are what was observed; ``Pixels`` how each pixel counts, by what is known of the star so far;
``Minima`` where minimisations ended; ``Solution`` the best of them, and what its rivals add.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import exp

import numpy as np

from starloom.broadening import doppler_shift
from starloom.broadening.filling import LABEL
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference import microturbulence
from starloom.inference.activity import shape_patterns
from starloom.inference.corrected import correction_patterns, unknown_slopes, with_correction
from starloom.inference.degrading import shared_pixels
from starloom.inference.derivatives import BandDerivatives, Derivatives, derivatives_of
from starloom.inference.instrument import FWHM, Instrument, with_instrument
from starloom.inference.minimise import is_held, minimise
from starloom.inference.objective import Linearised, Objective, chebyshev, projector
from starloom.inference.observation import FEWEST, Observation
from starloom.inference.settings import CALCIUM_AA
from starloom.inference.setup import Prior, Setup
from starloom.inference.starts import VelocityCells, starting_points, templates
from starloom.inference.uncertainty import inverted
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.physics_error import ORDERS
from starloom.wavelength import vacuum_from_air

HOT = 6500.0  # K, of the best template: spectra of hotter stars have more than one minimum, and get
HOT_STARTS = 16  # starts at least
FIRST_ITERATIONS = 5  # of every start, before the best go on
FINALISTS, HOT_FINALISTS = 2, 4  # as many as that, and those within CLOSE of the best in chi2
CLOSE = 60.0
MOST_ITERATIONS = 40  # of the promising ones
ROUGH = 0.05  # tolerance in chi2 up to there; the best is then refined
SAME = 0.03  # of the box: what is nearer than this goes to the same minimum
APART = 0.1  # of the box: what is further apart in a label that is TELLING is another kind of star
TELLING = ("teff", "logg", "mh", "vsini")
KIND = ("teff", "logg", "mh", "vmic")  # labels of which some tell what the microturbulence is typically
SIDES = (-2.0, -1.0, 1.0, 2.0)
UNKNOWN = 0.08  # of the box: a deviation of v sin i beyond which it may have another minimum
POOR = 1.2  # chi2 over pixels beyond which starts with other ROTATIONS are tried, of hot stars the fastest
ROTATIONS = (0.1, 0.4, 0.9)  # of the box
TEMPERATURES = (0.2, 0.5)  # of the box, likewise
METALLICITY = 0.3  # of the box: tried in hot stars, whose few lines are as deep by microturbulence or gravity
TURBULENCE = 0.3  # of the box: tried where a minimum has none
ROUNDS = 4  # of weights and rejected pixels after the first fit
SHARE = 0.8  # of the pixels that are known at the best start's velocity: what another start must leave
LEEWAY_KMS = 60.0  # around the starts' velocities, within which all used pixels are known to the model
TEMPLATES_APART = 1e-3  # of the flux, at least: no smaller error chooses between them, and float32 overflows
RIVAL = 9.0  # difference of chi2 below which another minimum is a rival
TOLD_APART = 0.2  # correlations of neighbours that must differ for errors to be told apart by them
UNTOLD_ERROR = 0.01  # of a spectrum without errors, until its residuals tell


@dataclass(frozen=True, eq=False)
class Stars:
    """Observations at common wavelengths ``vacuum_aa``, as arrays ``[star, pixel]``.

    ``noise`` is UNTOLD_ERROR for stars whose errors are to be ``estimated``; ``good`` pixels may be used.
    ``shared[star]``: pixels that the noise of one is in.
    """

    setup: Setup
    observations: Sequence[Observation]
    vacuum_aa: np.ndarray
    derivatives: Derivatives | BandDerivatives
    basis: np.ndarray
    flux: np.ndarray
    noise: np.ndarray
    good: np.ndarray
    estimated: np.ndarray
    shared: np.ndarray

    @classmethod
    def of(cls, setup: Setup, observations: Sequence[Observation]) -> "Stars":
        """The observations, to be fitted with a model as fine as their resolution asks for."""
        vacuum_aa, finest = observations[0].vacuum_aa, setup.resolutions[-1]
        if not setup.settings.free_resolution:
            seen = observations[0].instrument
            sharper = 1.0 if seen is None else max(1.0, seen.scales.max())
            highest = min(setup.resolutions[-1], sharper * max(each.resolution for each in observations))
            finest = min(step for step in setup.resolutions if step >= highest)
        untold = np.full(vacuum_aa.size, UNTOLD_ERROR)
        good = np.array([each.good for each in observations])
        smoothed = [each.smoothed for each in observations]
        return cls(
            setup,
            observations,
            vacuum_aa,
            _seen(setup, setup.model, observations[0].place, finest, observations[0].instrument),
            chebyshev(vacuum_aa, setup.settings.continuum),
            flux=np.array([each.flux for each in observations]),
            noise=np.array([untold if each.error is None else each.error for each in observations]),
            good=good,
            estimated=np.array([each.error is None for each in observations]),
            shared=np.array(
                [shared_pixels(ok, vacuum_aa, width) for ok, width in zip(good, smoothed, strict=True)]
            ),
        )

    def part(self, rows: np.ndarray) -> "Stars":
        """Some of the stars."""
        arrays = {
            name: getattr(self, name)[rows] for name in ("flux", "noise", "good", "estimated", "shared")
        }
        return replace(self, observations=[self.observations[row] for row in rows], **arrays)

    def derivatives_with(
        self, model: Emulator | BandEmulator, vacuum_aa: np.ndarray | None = None
    ) -> Derivatives | BandDerivatives:
        """Those of another model at the same pixels, or at other wavelengths."""
        place = self.observations[0].place if vacuum_aa is None else (vacuum_aa.tobytes(),)
        seen = self.observations[0].instrument if vacuum_aa is None else None
        return _seen(self.setup, model, place, self.finest, seen)

    @property
    def finest(self) -> float:
        """The resolution up to which the derivatives hold."""
        return self.derivatives.emulator.chunks[0].finish.finest_resolution


def _seen(
    setup: Setup,
    model: Emulator | BandEmulator,
    place: tuple[bytes, ...],
    finest: float,
    instrument: Instrument | None,
):
    """Derivatives of a model at some pixels, with the correction that is asked for."""
    found = with_instrument(_derivatives(model, place, finest), instrument)
    return with_correction(found, setup.correction, model.domain, np.frombuffer(place[0]))


@lru_cache(maxsize=8)
def _derivatives(model: Emulator | BandEmulator, place: tuple[bytes, ...], resolution: float):
    vacuum_aa, *ends = map(np.frombuffer, place)
    return derivatives_of(model.seen(vacuum_aa, resolution, tuple(ends) or None))


@dataclass(frozen=True, eq=False)
class Pixels:
    """How each pixel of some stars counts: arrays ``[star, pixel]``.

    ``known``: good, and known to the model at the star's velocity; ``used`` of those; standard deviations:
    ``noise``, ``floor`` (as ``Settings`` asks for), ``model_error`` (of the generator) and ``physics_floor``.
    ``usable[star]``: how many are good and known; where they are fewer than FEWEST, all good ones count as
    ``known``. ``patterns[star, pattern, pixel]``: of the physics error; ``prior``: a row for each star.
    """

    usable: np.ndarray
    known: np.ndarray
    used: np.ndarray
    noise: np.ndarray
    floor: np.ndarray
    model_error: np.ndarray
    physics_floor: np.ndarray
    patterns: np.ndarray
    prior: Prior

    @cached_property
    def error(self) -> np.ndarray:
        """Noise, floors and the generator's error together."""
        return np.sqrt(self.noise**2 + self.floor**2 + self.model_error**2 + self.physics_floor**2)

    @cached_property
    def weight(self) -> np.ndarray:
        """1 / variance of each pixel, 0 where it is not used."""
        return np.where(self.used, 1 / self.error**2, 0.0)

    @cached_property
    def projector(self) -> np.ndarray:
        """The patterns as an ``Objective`` takes them."""
        return projector(self.patterns, self.weight)

    def part(self, rows: np.ndarray) -> "Pixels":
        """Those of some of the stars."""
        arrays = {name: getattr(self, name)[rows] for name in PER_STAR}
        return replace(self, prior=self.prior[rows], **arrays)

    def replaced(self, rows: np.ndarray, others: "Pixels") -> "Pixels":
        """These with those of other stars in the place of some."""
        parts = {name: _with(getattr(self, name), rows, getattr(others, name)) for name in PER_STAR}
        mean = _with(self.prior.mean, rows, others.prior.mean)
        deviation = _with(self.prior.deviation, rows, others.prior.deviation)
        return replace(self, prior=Prior(mean, deviation), **parts)


PER_STAR = ("usable", "known", "used", "noise", "floor", "model_error", "physics_floor", "patterns")


def _with(array: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[rows] = others
    return array


@dataclass(frozen=True, eq=False)
class Minima:
    """Where minimisations ended: parameters ``at[..., p]``, ``chi2``, and after how many ``iterations``."""

    at: np.ndarray
    chi2: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray

    @property
    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.at, self.chi2, self.converged, self.iterations

    def __getitem__(self, rows) -> "Minima":
        return Minima(*(part[rows] for part in self._parts))

    @property
    def lowest(self) -> "Minima":
        """Of the minima ``[star, start]`` the lowest of each star."""
        return self[np.arange(len(self.chi2)), self.chi2.argmin(axis=1)]

    def replaced(self, rows, others: "Minima") -> "Minima":
        """These with others in the place of some."""
        parts = tuple(part.copy() for part in self._parts)
        for part, other in zip(parts, others._parts, strict=True):
            part[rows] = other
        return Minima(*parts)

    def beside(self, others: "Minima") -> "Minima":
        """Of these and others of the same stars the minima ``[star, 2]``."""
        return Minima(*(np.stack(pair, axis=1) for pair in zip(self._parts, others._parts, strict=True)))

    def followed(self, rows: np.ndarray, later: "Minima") -> "Minima":
        """These with some rows that went on from here."""
        return self.replaced(rows, replace(later, iterations=self.iterations[rows] + later.iterations))


@dataclass(frozen=True, eq=False)
class Solution:
    """The lowest minimum of each star; ``rivals[star, p, p]``: what others add to the covariance.

    That of the coordinates, by the likelihood of each in a mixture of them around the best; 0 where none is
    within RIVAL of it in chi2 and APART.
    """

    minima: Minima
    rivals: np.ndarray

    def replaced(self, rows: np.ndarray, others: "Solution") -> "Solution":
        """This with that of other stars in the place of some."""
        rivals = _with(self.rivals, rows, others.rivals)
        return Solution(self.minima.replaced(rows, others.minima), rivals)


def starting(stars: Stars, good: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Parameters ``[star, start, p]`` from the tables of templates; repetitions of the first are none."""
    setup, settings = stars.setup, stars.setup.settings
    fixed = tuple((name, float(value)) for name, value in setup.held.items() if name != "velocity")
    weight = np.where(good, 1 / np.maximum(noise, TEMPLATES_APART) ** 2, 0.0)
    resolution = np.array([each.resolution for each in stars.observations])
    table_of = np.abs(np.log(resolution[:, None] / np.array(setup.resolutions))).argmin(axis=1)
    count = max(settings.starts, HOT_STARTS if "teff" in setup.domain.names else 0)
    found = np.empty((len(stars.flux), count, len(setup.coordinates.names)))
    held = settings.fixed.get("velocity")
    velocities = settings.velocities if held is None else (held, held)
    part = VelocityCells.of(setup.model).needed(stars.vacuum_aa[good.any(axis=0)], velocities)
    for index in np.unique(table_of):
        chosen = table_of == index
        table = templates(setup.model, setup.resolutions[index], fixed, part)
        found[chosen] = starting_points(
            table,
            stars.vacuum_aa,
            stars.basis,
            stars.flux[chosen],
            weight[chosen],
            setup.prior,
            velocities,
            count,
        )
    for index in setup.coordinates.among(["teff"]):
        cool = found[:, 0, index] < HOT
        found[cool, settings.starts :] = found[cool, :1]
    for index in setup.coordinates.among(["resolution"]):
        found[..., index] = resolution[:, None]
    if held is not None:
        found[..., -1] = held
    return found


def known_at(stars: Stars, begin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, usable pixels [star], and good pixels that the model knows at the velocities of the starts.

    A start at whose velocity it knows too little of what it does at the best is replaced by the best.
    """
    labels, velocity, ends = stars.setup.broadest(begin), begin[..., -1], stars.setup.model.known
    first = ends(labels, velocity + LEEWAY_KMS)[0][..., None]
    last = ends(labels, velocity - LEEWAY_KMS)[1][..., None]
    inside = (stars.vacuum_aa >= first) & (stars.vacuum_aa <= last)
    begin, good = begin.copy(), stars.good & inside[:, 0]
    enough = SHARE * good.sum(axis=1)
    for number in range(1, begin.shape[1]):
        both = good & inside[:, number]
        fits = both.sum(axis=1) >= enough
        good[fits], begin[~fits, number] = both[fits], begin[~fits, 0]
    usable = good.sum(axis=1)
    return begin, usable, np.where((usable >= FEWEST)[:, None], good, stars.good)


def weighed(
    stars: Stars,
    usable: np.ndarray,
    known: np.ndarray,
    noise: np.ndarray,
    parameters: np.ndarray,
    level: np.ndarray,
    patterns: np.ndarray | None = None,
) -> Pixels:
    """All known pixels, with the errors that the generator states and the settings ask for.

    ``parameters[star, p]`` and ``level[star, pixel]``, the continuum, are those of the present model;
    ``patterns`` of the physics error those at its parameters, unless given.
    """
    settings, stated, physics = stars.setup.settings, stars.setup.stated, stars.setup.physics
    rest = stars.vacuum_aa * np.exp(-doppler_shift(parameters[:, -1, None]) / SPEED_OF_LIGHT_KMS)
    model_error = np.zeros(stars.flux.shape)
    if stated is not None:
        model_error = level * stated.at("p68", parameters[:, :-1], rest)
    centres = vacuum_from_air(np.array(CALCIUM_AA))
    apart = SPEED_OF_LIGHT_KMS * np.abs(np.log(rest[:, None] / centres[:, None])).min(axis=1)
    core = np.where(apart < settings.core_width(stars.setup.domain), settings.core_floor, 0.0)
    floor = np.hypot(core, settings.floor) * level
    physics_floor = np.zeros(level.shape) if physics is None else physics.sizes.floor * level
    patterns = physics_patterns(stars, parameters, level) if patterns is None else patterns
    prior = prior_of(stars, parameters)
    return Pixels(usable, known, known, noise, floor, model_error, physics_floor, patterns, prior)


def physics_patterns(stars: Stars, parameters: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The patterns of the physics error at ``parameters[star, p]``: float32[star, pattern, pixel].

    Those of lines as the model sees them; of the continuum the polynomials beyond the order that is free;
    those of emission whose shape is not known; and what a correction leaves uncertain, over the continuum.
    """
    physics, settings = stars.setup.physics, stars.setup.settings
    labels, velocity = parameters[:, :-1], parameters[:, -1]
    seen, found = stars.derivatives.emulator.patterns, []
    if physics is not None:
        found.append(seen(physics.halves(stars.setup.domain, labels), labels, velocity))
        slopes = chebyshev(stars.vacuum_aa, ORDERS[1])[max(ORDERS[0], settings.continuum + 1) :]
        found.append(np.repeat(physics.sizes.continuum * slopes[None], len(parameters), axis=0))
    if LABEL in stars.setup.free_names:
        shapes = shape_patterns(stars.setup.model, stars.setup.domain, labels)
        found.append(seen(shapes, labels, velocity))
    if (correction := stars.setup.correction) is not None:
        found.append(correction_patterns(correction, stars.setup.domain, parameters, stars.vacuum_aa))
        slopes = unknown_slopes(correction, stars.vacuum_aa, settings.continuum)
        found.append(np.repeat(slopes[None], len(parameters), axis=0))
    if not found:
        return np.zeros((len(parameters), 0, level.shape[-1]), np.float32)
    return np.concatenate(found, axis=1) * level[:, None].astype(np.float32)


def prior_of(stars: Stars, parameters: np.ndarray) -> Prior:
    """What is known of each star: by the settings, by its spectrum of the resolution, by its kind of vmic."""
    setup, settings = stars.setup, stars.setup.settings
    coordinates = setup.coordinates
    prior = setup.prior.repeated(len(parameters))
    mean, deviation = prior.mean, prior.deviation
    for index in coordinates.among(["resolution"]):
        for star, observation in enumerate(stars.observations):
            if observation.resolution_error and "resolution" not in settings.priors:
                mean[star, index] = observation.resolution
                deviation[star, index] = observation.resolution_error
    among = {name: coordinates.index(name) for name in KIND if name in coordinates.names}
    if settings.typical_vmic and len(among) == len(KIND) and "vmic" not in settings.priors:
        teff, logg, mh = (parameters[:, among[name]] for name in ("teff", "logg", "mh"))
        mean[:, among["vmic"]] = microturbulence.typical(teff, logg, mh)
        deviation[:, among["vmic"]] = microturbulence.deviation(teff, logg)
    return prior


def minima_of(stars: Stars, pixels: Pixels, begin: np.ndarray) -> Minima:
    """The minima ``[star, start]`` that the starts ``begin[star, start, p]`` lead to."""
    return looked_further(stars, pixels, from_starts(stars, pixels, begin))


def settled(
    stars: Stars,
    pixels: Pixels,
    minima: Minima,
    every: Minima,
    close: float = CLOSE,
    whole: bool = True,
    **options,
) -> Minima:
    """From the minimum of each star, and from its rivals among ``every``, to the lowest with these errors.

    The errors belong to one minimum, and with them another one may be the lower: rivals are ``close`` in
    chi2. Unless it is the ``whole`` of the stars, the minima have these errors, and their rivals alone go on.
    """
    place = stars.setup.coordinates.from_parameters
    apart = np.abs(place(every.at) - place(minima.at)[:, None]) > SAME
    near = apart.any(axis=-1) & (every.chi2 < every.chi2.min(axis=1, keepdims=True) + close)
    if not whole:  # what became the minimum is no rival
        near[np.arange(len(near)), every.chi2.argmin(axis=1)] = False
    rows = np.flatnonzero(near.any(axis=1) | whole)
    owner, begin = np.nonzero(near)[0], every.at[near]
    if whole:
        owner, begin = np.concatenate([rows, owner]), np.concatenate([minima.at, begin])
    if not rows.size:
        return minima
    found = minimised(stars, pixels, owner, begin, **options)
    order = np.lexsort((found.chi2, owner))
    best = found[order[np.searchsorted(owner[order], rows)]]
    lower = np.flatnonzero(whole | (best.chi2 < minima.chi2[rows]))
    return minima.followed(rows[lower], best[lower])


def objective_of(stars: Stars, pixels: Pixels, owner: np.ndarray, fixed: np.ndarray) -> Objective:
    """The ``Objective`` of rows that belong to the stars ``owner[row]``, with what is held from ``fixed``."""
    return Objective(
        stars.setup,
        stars.derivatives,
        stars.basis,
        stars.flux,
        pixels.weight,
        pixels.projector,
        pixels.prior,
        owner,
        fixed,
    )


def minimised(stars: Stars, pixels: Pixels, owner: np.ndarray, begin: np.ndarray, **options) -> Minima:
    """``minimise`` from parameters ``begin[row, p]`` of the stars ``owner[row]``."""
    objective, setup = objective_of(stars, pixels, owner, begin), stars.setup
    start = setup.coordinates.from_parameters(begin)[:, list(setup.free)]
    found = minimise(objective, start, *setup.ends, project=objective.project, **options)
    at = objective.parameters(np.arange(len(begin)), found.at)
    return Minima(at, found.chi2, found.converged, found.iterations)


def from_starts(
    stars: Stars,
    pixels: Pixels,
    begin: np.ndarray,
    most: int = MOST_ITERATIONS,
    tolerance: float = ROUGH,
    **options,
) -> Minima:
    """A minimum ``[star, start]`` for each start; only promising ones to the end, or ``most`` iterations."""
    shape, own = begin.shape[:2], (begin != begin[:, :1]).any(axis=-1)
    own[:, 0] = True
    none = Minima(begin, np.full(shape, np.inf), np.zeros(shape, bool), np.zeros(shape, int))
    first = minimised(
        stars, pixels, np.nonzero(own)[0], begin[own], most=FIRST_ITERATIONS, tolerance=tolerance, **options
    )
    found = none.replaced(own, first)
    place = stars.setup.coordinates.from_parameters(found.at)[..., list(stars.setup.free)]
    hot = own.sum(axis=1) > stars.setup.settings.starts
    finalists = np.where(hot, HOT_FINALISTS, FINALISTS)
    kept = promising(found.chi2, place, finalists) & ~found.converged
    if not kept.any():
        return found
    options = {name: value for name, value in options.items() if name != "damping"}
    later = minimised(
        stars, pixels, np.nonzero(kept)[0], found.at[kept], most=most, tolerance=tolerance, **options
    )
    return found.followed(kept, later)


def promising(chi2: np.ndarray, place: np.ndarray, finalists: np.ndarray | int = FINALISTS) -> np.ndarray:
    """The best start of each star, and the next best that are not on their way to the same minimum.

    ``chi2[star, start]``, free coordinates ``place[star, start, free]``; ``finalists`` go on at least.
    """
    kept, left = np.zeros(chi2.shape, bool), chi2.copy()
    rows = np.arange(len(chi2))
    highest = chi2.min(axis=1) + CLOSE
    for number in range(chi2.shape[1]):
        best = left.argmin(axis=1)
        lowest = left[rows, best]
        kept[rows, best] |= np.isfinite(lowest) & ((number < finalists) | (lowest < highest))
        left[(np.abs(place - place[rows, best][:, None]) < SAME).all(axis=-1)] = np.inf
    return kept


def looked_further(stars: Stars, pixels: Pixels, found: Minima) -> Minima:
    """With further starts of stars whose minimum may not be the only one: lower ones replace the worst."""
    setup, at = stars.setup, found.lowest.at
    place = setup.coordinates.from_parameters(at)
    poor = found.lowest.chi2 > POOR * pixels.used.sum(axis=1)
    hot = (at[:, setup.coordinates.among(["teff"])] > HOT).any(axis=1)
    further = [*_across_rotation(stars, pixels, at, place), *_along_kinks(setup, place)]
    still = (place[:, setup.coordinates.among(["vmic"])] < SAME).any(axis=1)
    # broad lines may explain deep ones, and hydrogen alone hardly tells them from narrow ones
    further += _elsewhere(setup, poor, place, "vsini", *ROTATIONS)
    further += _elsewhere(setup, poor, place, "teff", *TEMPERATURES)
    further += _elsewhere(setup, hot & ~poor, place, "vsini", ROTATIONS[-1])
    further += _elsewhere(setup, hot, place, "mh", METALLICITY)
    further += _elsewhere(setup, still, place, "vmic", TURBULENCE)
    if not further:
        return found
    owner, begin = (np.array(part) for part in zip(*further, strict=True))
    begin = setup.coordinates.to_parameters(begin)
    held = [index for index in range(begin.shape[1]) if index not in setup.free]
    begin[:, held] = at[owner][:, held]
    there = minimised(stars, pixels, owner, begin, tolerance=ROUGH)
    for number, star in enumerate(owner):
        if there.chi2[number] < found.chi2[star].min():
            found = found.replaced((star, found.chi2[star].argmax()), there[number])
    return found


def _across_rotation(stars: Stars, pixels: Pixels, at: np.ndarray, place: np.ndarray) -> list:
    """Stars whose v sin i is hardly known: one and two deviations to either side, with what goes along."""
    setup, free, found = stars.setup, np.array(stars.setup.free), []
    if "vsini" not in setup.free_names:
        return []
    rotation = setup.coordinates.index("vsini")
    rows = np.arange(len(at))
    _, slope, normal = objective_of(stars, pixels, rows, at)(rows, place[:, free])
    loose = ~is_held(place[:, free], slope, *setup.ends) | (free == rotation)
    for star, left in enumerate(loose):
        row = np.flatnonzero(free[left] == rotation)[0]
        ridge = inverted(normal[star][np.ix_(left, left)])[row]
        # rounding may leave a variance below 0 where there is next to no information: still along the ridge
        deviation = np.sqrt(abs(ridge[row]))
        for side in SIDES if deviation > UNKNOWN else ():
            moved = place[star].copy()
            moved[free[left]] += side * ridge / deviation
            found.append((star, np.clip(moved, *setup.box)))
    return found


def _elsewhere(setup: Setup, chosen: np.ndarray, place: np.ndarray, name: str, *values: float) -> list:
    """The stars ``chosen[star]`` at other values [of the box] of a label, where that is free."""
    if name not in setup.free_names:
        return []
    found, index = [], setup.coordinates.index(name)
    for star in np.flatnonzero(chosen):
        for value in values:
            moved = place[star].copy()
            moved[index] = value
            found.append((star, moved))
    return found


def _along_kinks(setup: Setup, place: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Stars at the corner's floor: lower [M/H] at its kinks, with the lowest log g there is."""
    found, on_floor = [], np.flatnonzero(setup.corner.on_floor(place))
    if on_floor.size and setup.coordinates.index("mh") in setup.free:
        _, logg, mh = setup.coordinates.floored
        for star in on_floor:
            for kink in np.unique(setup.coordinates.kinks[1]):
                moved = place[star].copy()
                moved[[logg, mh]] = 0, kink
                found.append((star, moved))
    return found


def rivals_of(stars: Stars, found: Minima) -> np.ndarray:
    """As ``Solution`` has them, of all minima ``[star, start]``."""
    setup = stars.setup
    place, telling = setup.coordinates.from_parameters(found.at), setup.coordinates.among(TELLING)
    added = np.zeros((len(place), *2 * place.shape[2:]))
    independent = found.chi2 / stars.shared[:, None]
    for star, (chi2, places) in enumerate(zip(independent, place, strict=True)):
        best = places[chi2.argmin()]
        seen, sum_of_weights = [best], 1.0
        for other in np.argsort(chi2):
            apart, above = places[other] - best, chi2[other] - chi2.min()
            new = all(np.abs(places[other] - known).max() > SAME for known in seen)
            if new and above < RIVAL and np.abs(apart[telling]).max(initial=0) > APART:
                seen.append(places[other])
                weight = np.exp(-above / 2)
                sum_of_weights += weight
                added[star] += weight * np.outer(apart, apart)
        added[star] /= sum_of_weights
    return added


def refined(
    stars: Stars, pixels: Pixels, minima: Minima, whole: bool = True, **options
) -> tuple[Pixels, Minima]:
    """New weights at the minimum of each star, and cosmic rays out, until nothing changes any more.

    Unless it is the ``whole`` of the stars each time, those alone are looked at again whose pixels changed.
    """
    seen = np.arange(len(stars.flux))
    for turn in range(ROUNDS):
        part, own = stars.part(seen), pixels.part(seen)
        fresh = weighed_anew(part, own, _here(part, own, minima[seen]), own.patterns if turn else None)
        other = (fresh.used != own.used).any(axis=1)
        pixels, changed = pixels.replaced(seen, fresh), seen if turn == 0 else seen[other]
        if not changed.size:
            break
        minima = minima.followed(changed, minimised(stars, pixels, changed, minima.at[changed], **options))
        seen = seen if whole else seen[other | (part.estimated & (turn == 0))]
        if not seen.size:
            break
    return pixels, minima


def _here(stars: Stars, pixels: Pixels, minima: Minima) -> Linearised:
    """The model at the minima, without derivatives."""
    rows, setup = np.arange(len(minima.at)), stars.setup
    place = setup.coordinates.from_parameters(minima.at)[:, list(setup.free)]
    return objective_of(stars, pixels, rows, minima.at).linearised(rows, place, wanted=())


def weighed_anew(stars: Stars, pixels: Pixels, here: Linearised, patterns: np.ndarray | None) -> Pixels:
    """Errors at the present model, without the pixels that a cosmic ray has hit."""
    residual, noise = stars.flux - here.model, pixels.noise.copy()
    for star in np.flatnonzero(stars.estimated):
        noise[star] = _untold(residual[star], stars, pixels, star)
    level = here.continuum @ stars.basis
    fresh = weighed(stars, pixels.usable, pixels.known, noise, here.parameters, level, patterns)
    if stars.setup.settings.clip == 0:
        return fresh
    scaled = residual / fresh.error
    scale = np.array([max(1.0, _robust(r[ok])) for r, ok in zip(scaled, fresh.known, strict=True)])
    return replace(fresh, used=fresh.known & (scaled < stars.setup.settings.clip * scale[:, None]))


def _untold(residual: np.ndarray, stars: Stars, pixels: Pixels, star: int) -> float:
    """The noise of a star without errors: what the physics error leaves of its residuals, half at least.

    That error is counted as far as it allows and as neighbours share the residuals.
    """
    known = pixels.known[star]
    variance = _robust(residual[known]) ** 2
    explained = pixels.physics_floor[star] ** 2 + (pixels.patterns[star] ** 2).sum(axis=0)
    wide = _as_wide_as_profile(residual, variance, stars, known, star)
    shared = min(float(np.median(explained[known])), wide)
    return float(np.sqrt(max(variance - shared, variance / 4)))


def _as_wide_as_profile(
    residual: np.ndarray, variance: float, stars: Stars, known: np.ndarray, star: int
) -> float:
    """What of the residuals' variance neighbours have in common, as errors of the model's lines.

    Those are as wide as the instrument's profile, noise is as it was smoothed: two variances, told by that of
    the residuals and that of their steps from pixel to pixel. All of it where pixels are too coarse for that.
    """
    pairs = np.flatnonzero(known[1:] & known[:-1])
    apart = SPEED_OF_LIGHT_KMS * float(np.median(np.diff(np.log(stars.vacuum_aa))[pairs]))
    seen = stars.observations[star]
    profile = SPEED_OF_LIGHT_KMS / (FWHM * seen.resolution)
    lines, noise = (exp(-((apart / (2 * s)) ** 2)) if s else 0.0 for s in (profile, seen.smoothed))
    if lines - noise < TOLD_APART:
        return variance
    steps = _robust(np.diff(residual)[pairs]) ** 2 / 2
    return max(0.0, (variance * (1 - noise) - steps) / (lines - noise))


def _robust(values: np.ndarray) -> float:
    """Standard deviation of a normal distribution with the same median absolute value."""
    return 1.4826 * float(np.median(np.abs(values)))
