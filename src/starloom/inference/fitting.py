"""Fits of observed spectra, one or a batch at common wavelengths."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from os import PathLike, cpu_count

import numpy as np

from starloom.errors import ConfigError, StarloomError
from starloom.inference.composite import TRIGGER, Composite, Pair, two_stars
from starloom.inference.objective import Linearised
from starloom.inference.observation import FEWEST, Observation, observe
from starloom.inference.probes import Probes
from starloom.inference.result import BAD_CHI2, FLAGS, LOW_SNR, FitResult
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.inference.solution import Pixels, Solution, Stars, objective_of
from starloom.inference.solving import solved
from starloom.inference.trust import Trust, trust
from starloom.inference.uncertainty import (
    Bounds,
    Neighbourhood,
    Uncertainty,
    beyond_bounds,
    uncertain_each,
)
from starloom.networks.emulator import linear_algebra
from starloom.networks.flux_correction import FluxCorrection
from starloom.networks.generator import Generator, loaded
from starloom.spectrum import Spectrum

BATCH = 128  # spectra fitted together


@dataclass(frozen=True)
class Failure:
    """A spectrum that could not be fitted, and why, in one line."""

    reason: str  #: what could not be used, with value, unit and range


def fit(
    spectrum: Spectrum,
    generator: Generator | str | None = None,
    settings: Settings | None = None,
    *,
    correction: FluxCorrection | str | PathLike | None = None,
    **options,
) -> FitResult:
    """Labels, radial velocity and continuum of one observed spectrum.

    ``generator`` may be the name of a model or the path of its file, too; ``default`` if it is not given.
    ``options`` are fields of ``Settings``. Raises ConfigError or OutOfRangeError where the spectrum
    cannot be fitted.

    ``settings`` are those of the fit, the default ones if not given; ``correction`` is one of the model's
    flux, or its file (``Generator.corrected``).

    >>> star = starloom.generate(teff=5777, logg=4.44, vsini=9, mh=0, vmic=1, resolution=11500)
    >>> result = starloom.fit(star)
    >>> abs(result.labels["teff"] - 5777) < 3 * result.errors["teff"]
    True
    """
    setup = Setup(model_of(generator, correction), replace(settings or Settings(), **options))
    # matrix products of one spectrum are too small for threads of their own
    with linear_algebra().limit(limits=1):
        result = _results(setup, [observe(spectrum, setup)])[0]
    if isinstance(result, Failure):
        raise ConfigError(result.reason)
    return result


def fit_each(
    spectra: Iterable[Spectrum],
    generator: Generator | str | None = None,
    settings: Settings | None = None,
    threads: int | None = None,
    *,
    correction: FluxCorrection | str | PathLike | None = None,
    **options,
) -> Iterator[FitResult | Failure]:
    """Fits of many spectra, in their order; what cannot be fitted is a ``Failure``, and the others are done.

    Neighbours at the same wavelengths are fitted together, which is several times faster, and as many such
    batches at once as there are ``threads`` (default: processors).

    ``generator``, ``settings``, ``correction`` and ``options`` are those of ``fit``.
    """
    setup = Setup(model_of(generator, correction), replace(settings or Settings(), **options))
    threads = threads or cpu_count() or 1
    waiting = _batches(_observed(spectrum, setup) for spectrum in spectra)
    with ThreadPoolExecutor(threads) as pool:
        while ready := list(islice(waiting, threads)):
            # matrix products that start threads of their own would only wait for each other
            with linear_algebra().limit(limits=1):
                done = list(pool.map(partial(_results, setup), ready))
            for results in done:
                yield from results


def model_of(
    given: Generator | str | None, correction: FluxCorrection | str | PathLike | None = None
) -> Generator:
    """The model of that name, in that file, or the given one; with a correction, where one is given."""
    if not isinstance(given, Generator):
        return loaded("default" if given is None else given, correction)
    return given if correction is None else given.corrected(correction)


def _batches(observed: Iterable[Observation | Failure]) -> Iterator[list[Observation | Failure]]:
    """Neighbours of one kind, at most BATCH of them; failures apart."""
    for _, group in groupby(observed, key=_kind):
        while batch := list(islice(group, BATCH)):
            yield batch


def _observed(spectrum: Spectrum, setup: Setup) -> Observation | Failure:
    try:
        return observe(spectrum, setup)
    except StarloomError as error:
        return Failure(str(error))


def _kind(item: Observation | Failure):
    return None if isinstance(item, Failure) else item.kind


def _results(setup: Setup, items: Sequence) -> Sequence[FitResult | Failure]:
    """Fits of observations at common wavelengths; or failures as they are."""
    if isinstance(items[0], Failure):
        return items
    setup = setup.with_free_resolution if items[0].resolution_error else setup
    stars = Stars.of(setup, items)
    pixels, solution = solved(stars)
    stars, setup = replace(stars, setup=setup.last), setup.last
    at, rows, free = solution.minima.at, np.arange(len(items)), list(setup.free)
    objective = objective_of(stars, pixels, rows, at)
    place = setup.coordinates.from_parameters(at)[:, free]
    here, chi2, slope, normal = objective.whole(rows, place)
    low, high = (end[:, free] for end in setup.corner.limits(objective.place(rows, place), *setup.box))
    probes = Probes(stars, here)
    fitted = [star for star in rows if pixels.usable[star] >= FEWEST]
    arounds = [
        neighbourhood(stars, pixels, here, star, float(chi2[star]), solution.rivals[star]) for star in fitted
    ]
    names = setup.coordinates.names
    bounds = [
        beyond_bounds(names, setup.free, *(each[star] for each in (place, slope, normal, low, high)))
        for star in fitted
    ]
    known = uncertain_each(arounds, [each.shift for each in bounds])
    results = {
        star: _result(stars, pixels, solution, here, star, around, own, each, probes)
        for star, around, own, each in zip(fitted, arounds, known, bounds, strict=True)
    }
    return [results.get(star) or _too_few(pixels.usable[star]) for star in rows]


def _too_few(count: int) -> Failure:
    reason = f"flux: {count} usable pixels that the model knows at the star's velocity"
    return Failure(f"{reason}, {FEWEST} are needed")


def _result(
    stars: Stars,
    pixels: Pixels,
    solution: Solution,
    here: Linearised,
    star: int,
    around: Neighbourhood,
    known: Uncertainty,
    bounds: Bounds,
    probes: Probes,
) -> FitResult:
    """The fit of one of the stars."""
    setup, observation = stars.setup, stars.observations[star]
    used, noise, dof, chi2 = around.used, around.noise, around.dof, around.chi2
    judged = trust(around, known, bounds, probes.of(star)) if setup.settings.trust else None
    composite = _composite(stars, pixels, here, star, chi2, known.shared, judged)
    priors = pixels.prior[star].known(setup.coordinates.names, setup.free)
    from_default = {name: priors.pop(name) for name in setup.offsets if name in priors}
    counted = {"priors_from_default": from_default} if from_default else {}
    snr = float(np.median(stars.flux[star][used] / noise[used]))
    values = setup.given(here.parameters[star])
    state = _state(stars, solution, star, bounds) | {
        "bad_fit": chi2 / dof > BAD_CHI2,
        "low_snr": snr < LOW_SNR,
        "held_alpha": judged is not None and judged.asks_for("alpha"),
        "not_measured": bool(known.not_measured),
        "composite": composite is not None,
    }
    # the fit's own domain has no highest [C/O], and no ends of elements whose prior is of [X/M]
    state["outside_domain"] |= bool(setup.labels.spread) and not setup.labels.contains(values[:-1])
    return FitResult(
        spectrum=observation.spectrum,
        domain=setup.labels,
        values=values,
        covariance=known.covariance,
        bounds=known.bounds,
        intervals=known.intervals,
        inflation=known.inflation,
        shared=known.shared,
        free=setup.free_names,
        continuum=here.continuum[star] * observation.scale,
        chi2=chi2,
        dof=dof,
        snr=snr,
        pixels=observation.pixels,
        model=here.model[star] * observation.scale,
        error=pixels.error[star] * observation.scale,
        used=used,
        flags=tuple(name for name in FLAGS if state[name]),
        at_bound=bounds.names,
        not_measured=known.not_measured,
        iterations=int(solution.minima.iterations[star]),
        settings={
            "model": setup.generator.name,
            **setup.corrected,
            **setup.settings.about,
            "priors": priors,
            **counted,
        },
        patterns=pixels.patterns[star] * observation.scale,
        left_out=observation.without(pixels.known[star], used),
        trust=judged,
        composite=composite,
    )


def _composite(
    stars: Stars,
    pixels: Pixels,
    here: Linearised,
    star: int,
    chi2: float,
    shared: float,
    judged: Trust | None,
) -> Composite | None:
    """The two stars of a spectrum, where a second one is suspected and credible."""
    if (
        judged is None
        or judged.doubts["companion"].deviations < TRIGGER
        or "velocity" not in stars.setup.free_names
    ):
        return None
    found = two_stars(Pair(stars, pixels, star, here.parameters[star]), chi2, shared)
    return found if found.credible else None


def neighbourhood(
    stars: Stars, pixels: Pixels, here: Linearised, star: int, chi2: float, rivals: np.ndarray | None = None
) -> Neighbourhood:
    """What the uncertainty of one of the stars follows from; without ``rivals`` there are none."""
    used, size = pixels.used[star], here.parameters.shape[1]
    return Neighbourhood(
        stars.setup,
        here.parameters[star],
        here.columns[star],
        stars.flux[star] - here.model[star],
        used,
        pixels.noise[star],
        pixels.floor[star],
        pixels.model_error[star],
        stars.vacuum_aa,
        int(used.sum()) - here.columns.shape[1],
        np.zeros((size, size)) if rivals is None else rivals,
        stars.observations[star].smoothed,
        pixels.physics_floor[star],
        pixels.patterns[star],
        pixels.prior.mean[star],
        pixels.prior.deviation[star],
        chi2,
    )


def _state(stars: Stars, solution: Solution, star: int, bounds: Bounds) -> dict[str, bool]:
    """Flags that are known before the errors."""
    return {
        "at_bound": bool(bounds.names),
        "outside_domain": bounds.outside,
        "not_converged": not solution.minima.converged[star],
        "ambiguous": bool(solution.rivals[star].any()),
        "error_estimated": bool(stars.estimated[star]),
    }
