"""Fits of observed spectra, one or a batch at common wavelengths."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby, islice
from os import cpu_count

import numpy as np

from starloom.broadening import doppler_shift
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, StarloomError
from starloom.inference import coordinates, corner, starts
from starloom.inference.derivatives import PARAMETERS, VELOCITY, Derivatives, at_most
from starloom.inference.minimise import Minimum, is_held, minimise
from starloom.inference.objective import Linearised, Objective, chebyshev
from starloom.inference.observation import FEWEST, Observation, observe
from starloom.inference.result import BAD_CHI2, FLAGS, LOW_SNR, FitResult
from starloom.inference.settings import CALCIUM_AA, Settings
from starloom.inference.uncertainty import Neighbourhood, beyond_bounds, inverted, uncertain
from starloom.labels import DOMAIN, NAMES, highest_mh, highest_teff
from starloom.networks.emulator import Emulator, linear_algebra
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum
from starloom.wavelength import vacuum_from_air

BATCH = 64  # spectra fitted together
FIRST_ITERATIONS = 5  # of every start, before the best go on
FINALISTS = 2  # as many as that, and those within CLOSE of the best in chi2
CLOSE = 60.0
ROUGH = 0.05  # tolerance in chi2 up to there; the best is then refined
SAME = 0.03  # of the box: what is nearer than this goes to the same minimum
APART = 0.1  # of the box: what is further apart in Teff, log g, [M/H] or v sin i is another kind of star
SIDES = (-2.0, -1.0, 1.0, 2.0)
UNKNOWN = 0.08  # of the box: a deviation of v sin i beyond which it may have another minimum
TELLING = [coordinates.TEFF, coordinates.LOGG, coordinates.MH, coordinates.VSINI]
ROUNDS = 4  # of weights and rejected pixels after the first fit
SHARE = 0.8  # of the pixels that are known at the best start's velocity: what another start must leave
LEEWAY_KMS = 60.0  # around the starts' velocities, within which all used pixels are known to the model
TEMPLATES_APART = 1e-3  # of the flux, at least: no smaller error chooses between them, and float32 overflows
RIVAL = 9.0  # difference of chi2 below which another minimum is a rival
ROUNDING = 1e-12
TABLE_RESOLUTIONS = (5000.0, 6000.0, 7500.0, 9500.0, 11500.0, 14500.0)


@dataclass(frozen=True)
class Failure:
    """A spectrum that could not be fitted, and why, in one line."""

    reason: str


def fit(
    spectrum: Spectrum, generator: Generator | None = None, settings: Settings | None = None, **options
) -> FitResult:
    """Labels, radial velocity and continuum of one observed spectrum.

    ``options`` are fields of ``Settings``. Raises ConfigError or OutOfRangeError where the spectrum
    cannot be fitted.
    """
    settings = replace(settings or Settings(), **options)
    generator = generator or _default()
    result = _Batch(generator, settings, [observe(spectrum, settings)]).results()[0]
    if isinstance(result, Failure):
        raise ConfigError(result.reason)
    return result


def fit_each(
    spectra: Iterable[Spectrum],
    generator: Generator | None = None,
    settings: Settings | None = None,
    threads: int | None = None,
    **options,
) -> Iterator[FitResult | Failure]:
    """Fits of many spectra, in their order; what cannot be fitted is a ``Failure``, and the others are done.

    Neighbours at the same wavelengths are fitted together, which is several times faster, and as many such
    batches at once as there are ``threads`` (default: processors).
    """
    settings = replace(settings or Settings(), **options)
    generator = generator or _default()
    threads = threads or cpu_count() or 1
    waiting = _batches(_observed(spectrum, settings) for spectrum in spectra)
    with ThreadPoolExecutor(threads) as pool:
        while ready := list(islice(waiting, threads)):
            # matrix products that start threads of their own would only wait for each other
            with linear_algebra().limit(limits=1):
                done = list(pool.map(partial(_results, generator, settings), ready))
            for results in done:
                yield from results


def _batches(observed: Iterable[Observation | Failure]) -> Iterator[list[Observation | Failure]]:
    """Neighbours at the same wavelengths, at most BATCH of them; failures apart."""
    for _, group in groupby(observed, key=_wavelengths):
        while batch := list(islice(group, BATCH)):
            yield batch


def _observed(spectrum: Spectrum, settings: Settings) -> Observation | Failure:
    try:
        return observe(spectrum, settings)
    except StarloomError as error:
        return Failure(str(error))


def _wavelengths(item: Observation | Failure):
    return None if isinstance(item, Failure) else item.vacuum_aa.tobytes()


def _results(generator, settings, items: Sequence) -> Sequence[FitResult | Failure]:
    if isinstance(items[0], Failure):
        return items
    return _Batch(generator, settings, items).results()


@lru_cache(maxsize=1)
def _default() -> Generator:
    return Generator.load()


@lru_cache(maxsize=4)
def _derivatives(emulator: Emulator, vacuum_aa: bytes, resolution: float) -> Derivatives:
    return Derivatives(at_most(emulator, np.frombuffer(vacuum_aa), resolution))


def _box(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest coordinates ``[7]``, each where the labels that are held allow it."""
    low, high = np.append(DOMAIN.low, settings.velocities[0]), np.append(DOMAIN.high, settings.velocities[1])
    if "logg" in settings.fixed:
        teff, logg, _, mh, *_ = (settings.fixed.get(name, end) for name, end in zip(NAMES, low, strict=False))
        ends = highest_teff(logg, np.array(mh)) * (1 - ROUNDING), highest_mh(np.array(teff), logg) - ROUNDING
        for index, end in zip((coordinates.TEFF, coordinates.MH), ends, strict=True):
            high[index] = min(high[index], end)
    return coordinates.from_parameters(low), coordinates.from_parameters(high)


class _Batch:
    """Observations at common wavelengths on their way to results."""

    def __init__(self, generator: Generator, settings: Settings, observations: Sequence[Observation]):
        self.generator, self.settings, self.observations = generator, settings, observations
        self.vacuum_aa = observations[0].vacuum_aa
        finest = DOMAIN.high[coordinates.RESOLUTION]
        if not settings.free_resolution:
            finest = min(
                step for step in TABLE_RESOLUTIONS if step >= max(o.resolution for o in observations)
            )
        self.derivatives = _derivatives(generator.model, self.vacuum_aa.tobytes(), finest)
        self.basis = chebyshev(self.vacuum_aa, settings.continuum)
        self.flux = np.array([o.flux for o in observations])
        self.good = np.array([o.good for o in observations])
        self.estimated = np.array([o.error is None for o in observations])
        flat = np.full(self.vacuum_aa.size, 0.01)
        self.noise = np.array([flat if o.error is None else o.error for o in observations])
        self.free, self.prior = settings.free, settings.prior
        self.box = _box(settings)
        self.low, self.high = (end[list(self.free)] for end in self.box)

    def results(self) -> list[FitResult | Failure]:
        if self.settings.fixed:
            return self._held_results()
        return self._all_results(*self._free())

    def _free(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """PARAMETERS of the minima, whether converged, and after how many steps; the errors there."""
        begin = self._starts()
        self._leave_out(begin)
        self.allowed = self.good.copy()
        self._estimate_errors(begin[:, 0], np.ones(self.flux.shape))
        return self._refined(*self._best_of(begin))

    def _held_results(self) -> list[FitResult | Failure]:
        """With the errors and pixels of the fit that holds nothing: so chi2 of all fits of a star compare."""
        free = _Batch(self.generator, replace(self.settings, fixed={}), self.observations)
        free._free()
        for name in ("noise", "floor", "model_error", "good", "usable", "allowed"):
            setattr(self, name, getattr(free, name))
        at, _, rough = self._best_of(self._starts())
        found, at = self._minimised(np.arange(len(at)), at)
        return self._all_results(at, found.converged, rough + found.iterations)

    def _best_of(self, begin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As ``_free``, of the lowest minimum that the starts lead to; how far away its rivals are."""
        found, every = self._from_starts(begin)
        chi2, converged, iterations = (
            part.reshape(begin.shape[:2]) for part in (found.chi2, found.converged, found.iterations)
        )
        self._look_further(every, chi2, converged)
        best, rows = chi2.argmin(axis=1), np.arange(len(chi2))
        self.rivals = self._rivals(chi2, every, best)
        return every[rows, best], converged[rows, best], iterations[rows, best]

    def _look_further(self, every: np.ndarray, chi2: np.ndarray, converged: np.ndarray) -> None:
        """Further starts of stars whose minimum may not be the only one; a lower one replaces the worst."""
        at = every[np.arange(len(chi2)), chi2.argmin(axis=1)]
        place = coordinates.from_parameters(at)
        further = [*self._across_rotation(at, place), *self._along_kinks(place)]
        if not further:
            return
        owner, begin = (np.array(part) for part in zip(*further, strict=True))
        begin = coordinates.to_parameters(begin)
        held = [index for index in range(len(PARAMETERS)) if index not in self.free]
        begin[:, held] = at[owner][:, held]
        found, there = self._minimised(owner, begin, tolerance=ROUGH)
        for number, star in enumerate(owner):
            if found.chi2[number] < chi2[star].min():
                worst = chi2[star].argmax()
                every[star, worst], chi2[star, worst] = there[number], found.chi2[number]
                converged[star, worst] = found.converged[number]

    def _across_rotation(self, at: np.ndarray, place: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Where v sin i is hardly known: one and two deviations to either side, with what goes along."""
        if coordinates.VSINI not in self.free:
            return []
        free, found = np.array(self.free), []
        _, slope, normal = self._objective(np.arange(len(at)), at)(np.arange(len(at)), place[:, free])
        loose = ~is_held(place[:, free], slope, self.low, self.high) | (free == coordinates.VSINI)
        for star, left in enumerate(loose):
            row = np.flatnonzero(free[left] == coordinates.VSINI)[0]
            ridge = inverted(normal[star][np.ix_(left, left)])[row]
            deviation = np.sqrt(ridge[row])
            for side in SIDES if deviation > UNKNOWN else ():
                moved = place[star].copy()
                moved[free[left]] += side * ridge / deviation
                found.append((star, np.clip(moved, *self.box)))
        return found

    def _along_kinks(self, place: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """At the corner's floor: lower [M/H] at its kinks, with the lowest log g there is."""
        if not {coordinates.LOGG, coordinates.MH} <= set(self.free):
            return []
        found = []
        for star in np.flatnonzero(corner.on_floor(place)):
            for kink in np.unique(corner.KINKS[1]):
                moved = place[star].copy()
                moved[[coordinates.LOGG, coordinates.MH]] = 0, kink
                found.append((star, moved))
        return found

    def weight(self) -> np.ndarray:
        """1 / variance of each pixel, 0 where it is not used."""
        return np.where(self.good, 1 / self._error() ** 2, 0.0)

    def _starts(self) -> np.ndarray:
        """PARAMETERS ``[star, start, 7]`` from the tables of templates."""
        settings = self.settings
        fixed = tuple((NAMES.index(n), float(v)) for n, v in settings.fixed.items() if n in NAMES)
        weight = np.where(self.good, 1 / np.maximum(self.noise, TEMPLATES_APART) ** 2, 0.0)
        resolution = np.array([o.resolution for o in self.observations])
        table_of = np.abs(np.log(resolution[:, None] / np.array(TABLE_RESOLUTIONS))).argmin(axis=1)
        found = np.empty((len(self.flux), settings.starts, len(PARAMETERS)))
        velocities = settings.velocities
        if "velocity" in settings.fixed:
            velocities = (settings.fixed["velocity"],) * 2
        used = self.vacuum_aa[self.good.any(axis=0)]
        part = starts.needed_cells(used, velocities)
        for index in np.unique(table_of):
            chosen = table_of == index
            table = starts.templates(self.generator.model, TABLE_RESOLUTIONS[index], fixed, part)
            found[chosen] = starts.starting_points(
                table,
                self.vacuum_aa,
                self.basis,
                self.flux[chosen],
                weight[chosen],
                self.prior,
                velocities,
                settings.starts,
            )
        found[..., coordinates.RESOLUTION] = resolution[:, None]
        if "velocity" in settings.fixed:
            found[..., VELOCITY] = settings.fixed["velocity"]
        return found

    def _leave_out(self, begin: np.ndarray) -> None:
        """Leave out what the model does not know at the velocities of the starts.

        A start at whose velocity it knows too little of what it does at the best is replaced by the best.
        """
        labels = np.zeros((*begin.shape[:2], len(NAMES)))
        labels[..., coordinates.VSINI] = DOMAIN.high[coordinates.VSINI]
        labels[..., coordinates.RESOLUTION] = begin[..., coordinates.RESOLUTION]
        if self.settings.free_resolution:  # as far as the profile may come to reach
            labels[..., coordinates.RESOLUTION] = DOMAIN.low[coordinates.RESOLUTION]
        velocity, known = begin[..., VELOCITY], self.generator.model.known
        first = known(labels, velocity + LEEWAY_KMS)[0][..., None]
        last = known(labels, velocity - LEEWAY_KMS)[1][..., None]
        inside = (self.vacuum_aa >= first) & (self.vacuum_aa <= last)
        good = self.good & inside[:, 0]
        enough = SHARE * good.sum(axis=1)
        for number in range(1, begin.shape[1]):
            both = good & inside[:, number]
            fits = both.sum(axis=1) >= enough
            good[fits], begin[~fits, number] = both[fits], begin[~fits, 0]
        self.usable = good.sum(axis=1)
        self.good = np.where((self.usable >= FEWEST)[:, None], good, self.good)

    def _estimate_errors(self, parameters: np.ndarray, level: np.ndarray) -> None:
        """What the generator states about its error, and what else the settings say, in the observed unit."""
        velocity = parameters[:, VELOCITY, None]
        rest = self.vacuum_aa * np.exp(-doppler_shift(velocity) / SPEED_OF_LIGHT_KMS)
        self.model_error, stated = np.zeros(self.flux.shape), self.generator.stated
        if stated is not None:
            rows = zip(parameters[:, : len(NAMES)], rest, strict=True)
            self.model_error = level * np.array([stated.at("p68", labels, star) for labels, star in rows])
        centres = vacuum_from_air(np.array(CALCIUM_AA))
        apart = SPEED_OF_LIGHT_KMS * np.abs(np.log(rest[:, None] / centres[:, None])).min(axis=1)
        core = np.where(apart < self.settings.core_kms, self.settings.core_floor, 0.0)
        self.floor = np.hypot(core, self.settings.floor) * level

    def _error(self) -> np.ndarray:
        """Noise, floor and the generator's error together."""
        return np.sqrt(self.noise**2 + self.floor**2 + self.model_error**2)

    def _objective(self, owner: np.ndarray, fixed: np.ndarray) -> Objective:
        return Objective(
            self.derivatives, self.basis, self.flux, self.weight(), owner, fixed, self.free, self.prior
        )

    def _minimised(self, owner: np.ndarray, begin: np.ndarray, **options) -> tuple[Minimum, np.ndarray]:
        """``minimise`` from PARAMETERS ``begin[row, 7]`` of the stars ``owner[row]``, and where it ends."""
        objective = self._objective(owner, begin)
        start = coordinates.from_parameters(begin)[:, list(self.free)]
        found = minimise(objective, start, self.low, self.high, project=objective.project, **options)
        return found, objective.parameters(np.arange(len(begin)), found.at)

    def _from_starts(self, begin: np.ndarray) -> tuple[Minimum, np.ndarray]:
        """A minimum for each start, its PARAMETERS ``[star, start, 7]``; only promising ones to the end."""
        stars, count = begin.shape[:2]
        owner = np.repeat(np.arange(stars), count)
        rough = {"tolerance": ROUGH}
        found, parameters = self._minimised(
            owner, begin.reshape(-1, len(PARAMETERS)), most=FIRST_ITERATIONS, **rough
        )
        kept = self._promising(found.chi2.reshape(stars, count), parameters.reshape(begin.shape)).ravel()
        rows = np.flatnonzero(kept & ~found.converged)
        if rows.size:
            final, parameters[rows] = self._minimised(owner[rows], parameters[rows], **rough)
            found.chi2[rows], found.converged[rows] = final.chi2, final.converged
            found.iterations[rows] += final.iterations
        return found, parameters.reshape(begin.shape)

    def _promising(self, chi2: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """The best start of each star, and the next best that are not on their way to the same minimum."""
        place = coordinates.from_parameters(parameters)[..., list(self.free)]
        kept, left = np.zeros(chi2.shape, bool), chi2.copy()
        rows = np.arange(len(chi2))
        highest = chi2.min(axis=1) + CLOSE
        for number in range(chi2.shape[1]):
            best = left.argmin(axis=1)
            lowest = left[rows, best]
            kept[rows, best] |= np.isfinite(lowest) & ((number < FINALISTS) | (lowest < highest))
            left[(np.abs(place - place[rows, best][:, None]) < SAME).all(axis=-1)] = np.inf
        return kept

    def _rivals(self, chi2: np.ndarray, parameters: np.ndarray, best: np.ndarray) -> np.ndarray:
        """What other minima add to the covariance of the coordinates ``[star, 7, 7]``, by their likelihood.

        Of a mixture of them, around the best; 0 where none is within RIVAL of it in chi2 and APART.
        """
        place = coordinates.from_parameters(parameters)
        added = np.zeros((len(chi2), len(PARAMETERS), len(PARAMETERS)))
        for star, first in enumerate(best):
            seen, sum_of_weights = [place[star, first]], 1.0
            for other in np.argsort(chi2[star]):
                apart = place[star, other] - place[star, first]
                new = all(np.abs(place[star, other] - known).max() > SAME for known in seen)
                above = chi2[star, other] - chi2[star, first]
                if new and above < RIVAL and np.abs(apart[TELLING]).max() > APART:
                    seen.append(place[star, other])
                    weight = np.exp(-above / 2)
                    sum_of_weights += weight
                    added[star] += weight * np.outer(apart, apart)
            added[star] /= sum_of_weights
        return added

    def _refined(self, at: np.ndarray, converged: np.ndarray, iterations: np.ndarray):
        """New weights at the solution, and cosmic rays out, until nothing changes any more."""
        rows = np.arange(len(at))
        for turn in range(ROUNDS):
            here = self._objective(rows, at).linearised(
                rows, coordinates.from_parameters(at)[:, list(self.free)]
            )
            before = self.good.copy()
            self._weigh_anew(here, rows)
            changed = rows if turn == 0 else rows[(self.good[rows] != before[rows]).any(axis=1)]
            if not changed.size:
                break
            found, parameters = self._minimised(changed, at[changed])
            at[changed], converged[changed] = parameters, found.converged
            iterations[changed] += found.iterations
        return at, converged, iterations

    def _weigh_anew(self, here: Linearised, rows: np.ndarray) -> None:
        """Errors at the present model, and the pixels that a cosmic ray has hit."""
        residual = self.flux - here.model
        for star in rows[self.estimated[rows]]:
            self.noise[star] = _robust(residual[star, self.allowed[star]])
        self._estimate_errors(here.parameters, here.continuum @ self.basis)
        if self.settings.clip > 0:
            scaled = residual / self._error()
            scale = np.array([max(1.0, _robust(r[ok])) for r, ok in zip(scaled, self.allowed, strict=True)])
            self.good = self.allowed & (scaled < self.settings.clip * scale[:, None])

    def _all_results(
        self, at: np.ndarray, converged: np.ndarray, iterations: np.ndarray
    ) -> list[FitResult | Failure]:
        rows = np.arange(len(at))
        objective = self._objective(rows, at)
        place = coordinates.from_parameters(at)[:, list(self.free)]
        chi2, slope, normal = objective.plain(rows, place)
        ends = corner.limits(objective.place(rows, place), *self.box, self.free)
        low, high = (end[:, list(self.free)] for end in ends)
        here = objective.linearised(rows, place)
        results = []
        for star in rows:
            if self.usable[star] < FEWEST:
                text = f"flux: {self.usable[star]} usable pixels that the model knows at the star's velocity"
                results.append(Failure(f"{text}, {FEWEST} are needed"))
                continue
            bounds = beyond_bounds(place[star], slope[star], normal[star], self.free, low[star], high[star])
            state = {
                "outside_domain": bounds.outside,
                "not_converged": not converged[star],
                "ambiguous": bool(self.rivals[star].any()),
                "error_estimated": self.estimated[star],
            }
            about = {"iterations": int(iterations[star]), "at_bound": bounds.names}
            results.append(self._result(star, here, float(chi2[star]), bounds.shift, state, about))
        return results

    def _result(
        self, star: int, here: Linearised, chi2: float, shift: np.ndarray, state: dict, about: dict
    ) -> FitResult:
        observation, used, noise = self.observations[star], self.good[star], self.noise[star]
        dof = int(used.sum()) - here.columns.shape[1]
        known = uncertain(
            Neighbourhood(
                here.parameters[star],
                here.columns[star],
                self.flux[star] - here.model[star],
                used,
                noise,
                self.floor[star],
                self.model_error[star],
                self.vacuum_aa,
                self.free,
                self.prior,
                dof,
                self.rivals[star],
            ),
            shift,
        )
        snr = float(np.median(self.flux[star][used] / noise[used]))
        state |= {
            "at_bound": bool(about["at_bound"]),
            "bad_fit": chi2 / dof > BAD_CHI2,
            "low_snr": snr < LOW_SNR,
        }
        return FitResult(
            spectrum=observation.spectrum,
            values=here.parameters[star],
            covariance=known.covariance,
            bounds=known.bounds,
            intervals=known.intervals,
            inflation=known.inflation,
            free=tuple(PARAMETERS[index] for index in self.free),
            continuum=here.continuum[star] * observation.scale,
            chi2=chi2,
            dof=dof,
            snr=snr,
            pixels=observation.pixels,
            model=here.model[star] * observation.scale,
            error=self._error()[star] * observation.scale,
            used=used,
            flags=tuple(name for name in FLAGS if state[name]),
            settings={"model": self.generator.name, **self.settings.about},
            left_out=observation.without(self.allowed[star], used),
            **about,
        )


def _robust(values: np.ndarray) -> float:
    """Standard deviation of a normal distribution with the same median absolute value."""
    return 1.4826 * float(np.median(np.abs(values)))
