"""Fits of observed spectra, one or a batch at common wavelengths."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from os import cpu_count

import numpy as np

from starloom.errors import ConfigError, StarloomError
from starloom.inference.objective import Linearised
from starloom.inference.observation import FEWEST, Observation, observe
from starloom.inference.result import BAD_CHI2, FLAGS, LOW_SNR, FitResult
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.inference.solution import Pixels, Solution, Stars, objective_of, solved
from starloom.inference.uncertainty import PULLED, Bounds, Neighbourhood, beyond_bounds, pull, uncertain
from starloom.networks.emulator import linear_algebra
from starloom.networks.generator import Generator, loaded
from starloom.spectrum import Spectrum

BATCH = 64  # spectra fitted together


@dataclass(frozen=True)
class Failure:
    """A spectrum that could not be fitted, and why, in one line."""

    reason: str


def fit(
    spectrum: Spectrum, generator: Generator | str | None = None, settings: Settings | None = None, **options
) -> FitResult:
    """Labels, radial velocity and continuum of one observed spectrum.

    ``generator`` may be the name of a model or the path of its file, too; ``default`` if it is not given.
    ``options`` are fields of ``Settings``. Raises ConfigError or OutOfRangeError where the spectrum
    cannot be fitted.
    """
    setup = Setup(_model(generator), replace(settings or Settings(), **options))
    result = _results(setup, [observe(spectrum, setup)])[0]
    if isinstance(result, Failure):
        raise ConfigError(result.reason)
    return result


def fit_each(
    spectra: Iterable[Spectrum],
    generator: Generator | str | None = None,
    settings: Settings | None = None,
    threads: int | None = None,
    **options,
) -> Iterator[FitResult | Failure]:
    """Fits of many spectra, in their order; what cannot be fitted is a ``Failure``, and the others are done.

    Neighbours at the same wavelengths are fitted together, which is several times faster, and as many such
    batches at once as there are ``threads`` (default: processors).
    """
    setup = Setup(_model(generator), replace(settings or Settings(), **options))
    threads = threads or cpu_count() or 1
    waiting = _batches(_observed(spectrum, setup) for spectrum in spectra)
    with ThreadPoolExecutor(threads) as pool:
        while ready := list(islice(waiting, threads)):
            # matrix products that start threads of their own would only wait for each other
            with linear_algebra().limit(limits=1):
                done = list(pool.map(partial(_results, setup), ready))
            for results in done:
                yield from results


def _model(given: Generator | str | None) -> Generator:
    """The model of that name, in that file, or the given one."""
    if isinstance(given, Generator):
        return given
    return loaded() if given is None else loaded(given)


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
    chi2, slope, normal = objective.plain(rows, place)
    low, high = (end[:, free] for end in setup.corner.limits(objective.place(rows, place), *setup.box))
    pulls = _pulls_of_alpha(stars, pixels, at)
    here, results = objective.linearised(rows, place), []
    for star in rows:
        if (count := pixels.usable[star]) < FEWEST:
            reason = f"flux: {count} usable pixels that the model knows at the star's velocity"
            results.append(Failure(f"{reason}, {FEWEST} are needed"))
            continue
        names = setup.coordinates.names
        bounds = beyond_bounds(
            names, setup.free, place[star], slope[star], normal[star], low[star], high[star]
        )
        results.append(_result(stars, pixels, solution, here, star, float(chi2[star]), bounds, pulls[star]))
    return results


def _pulls_of_alpha(stars: Stars, pixels: Pixels, at: np.ndarray) -> np.ndarray:
    """How many deviations of noise [alpha/M] is held away from what each spectrum asks for; 0 where free."""
    freed, rows = stars.setup.with_free_alpha, np.arange(len(at))
    if freed is None:
        return np.zeros(len(at))
    objective = objective_of(replace(stars, setup=freed), pixels, rows, at)
    index = freed.free_names.index("alpha")
    place = freed.coordinates.from_parameters(at)[:, list(freed.free)]
    _, slope, normal = objective.plain(rows, place)
    return np.array([pull(index, *each, *freed.ends) for each in zip(place, slope, normal, strict=True)])


def _result(
    stars: Stars,
    pixels: Pixels,
    solution: Solution,
    here: Linearised,
    star: int,
    chi2: float,
    bounds: Bounds,
    pulled: float,
) -> FitResult:
    """The fit of one of the stars."""
    setup, observation = stars.setup, stars.observations[star]
    around = _around(stars, pixels, solution, here, star, chi2)
    used, noise, dof = around.used, around.noise, around.dof
    known = uncertain(around, bounds.shift)
    priors = pixels.prior[star].known(setup.coordinates.names, setup.free)
    from_default = {name: priors.pop(name) for name in setup.offsets if name in priors}
    counted = {"priors_from_default": from_default} if from_default else {}
    snr = float(np.median(stars.flux[star][used] / noise[used]))
    values = setup.given(here.parameters[star])
    state = _state(stars, solution, star, bounds) | {
        "bad_fit": chi2 / dof > BAD_CHI2,
        "low_snr": snr < LOW_SNR,
        "held_alpha": abs(pulled) > PULLED * np.sqrt(known.inflation * known.shared),
        "not_measured": bool(known.not_measured),
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
        settings={"model": setup.generator.name, **setup.settings.about, "priors": priors, **counted},
        patterns=pixels.patterns[star] * observation.scale,
        left_out=observation.without(pixels.known[star], used),
    )


def _around(
    stars: Stars, pixels: Pixels, solution: Solution, here: Linearised, star: int, chi2: float
) -> Neighbourhood:
    """What the uncertainty of one of the stars follows from."""
    used = pixels.used[star]
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
        solution.rivals[star],
        stars.observations[star].smoothed,
        pixels.physics_floor[star],
        pixels.patterns[star],
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
