"""The minimum of each star: from a learned start where the model has one, else by the search.

A learned start (``inference.learned``) names the likeliest labels of a spectrum and how well it knows them.
One minimisation from there is the fit, or a few, where the network names more than one kind of star; the
search from templates is made only where the minimum is one that the network did not expect, or does not fit.
"""

from dataclasses import replace

import numpy as np

from starloom.inference.learned.cells import binned, rough_noise
from starloom.inference.learned.network import Candidates, StartNetwork, among, start_of
from starloom.inference.solution import (
    SAME,
    TELLING,
    Minima,
    Pixels,
    Solution,
    Stars,
    from_starts,
    known_at,
    looked_further,
    minima_of,
    minimised,
    objective_of,
    refined,
    rivals_of,
    settled,
    starting,
    weighed,
)
from starloom.inference.uncertainty import beyond_bounds

LIKELY = 0.03  # of the network's candidates: those that are more likely are starts
APART = 2.0  # deviations of both together: candidates that are nearer lead to the same minimum
FIRST = 1e-3  # damping of the first step from the candidates
END = {"tolerance": 4e-3, "believed": 0.05}  # to 0.06 sigma
LAST = {"damping": 1e-4, **END}  # from what is a minimum nearly
MOST, TOLERANCE = 8, 0.2  # iterations and promise of chi2 before the weights are known
NEARBY = 12.0  # in chi2: what is further above the lowest minimum does not become it with the last weights
ASIDE = 2.5  # deviations of the network from every likely candidate: there may be a minimum on its other side
UNEXPECTED = 5.0  # deviations of the network from every candidate: a minimum there is not believed
BAD = 4.0  # deviations by which chi2 may exceed its degrees of freedom, and
BAD_SHARE = 0.05  # share of them by which it must
NEAR_END = 1e-6  # of a range
LOOKS = 3  # for lower minima, from those that were found
LEAST_SHARE = 1e-3  # of a candidate that may explain a minimum


def solved(stars: Stars) -> tuple[Pixels, Solution]:
    """The minimum of each star, with the pixels and errors that belong to it; see ``_with_elements``."""
    pixels, solution = _at_defaults(stars)
    return _with_elements(stars, pixels, solution) if stars.setup.elements else (pixels, solution)


def _at_defaults(stars: Stars) -> tuple[Pixels, Solution]:
    """The minimum of each star with the elements held.

    Pixels and errors of a fit that holds labels are those of one that holds nothing: so chi2 of a star's fits
    compare.
    """
    if stars.setup.holds:
        pixels, _ = solved(replace(stars, setup=stars.setup.released))
        every = minima_of(stars, pixels, starting(stars, pixels.used, pixels.noise))
        return pixels, Solution(settled(stars, pixels, every.lowest, every), rivals_of(stars, every))
    start = learned_start(stars)
    return searched(stars) if start is None else _learned(stars, start)


def searched(stars: Stars, beside: np.ndarray | None = None) -> tuple[Pixels, Solution]:
    """The minimum of each star by the search from templates, and from parameters ``beside[star, p]``."""
    starts = starting(stars, stars.good, stars.noise)
    if beside is not None:
        starts = np.concatenate([starts, beside[:, None]], axis=1)
    begin, usable, known = known_at(stars, starts)
    pixels = weighed(stars, usable, known, stars.noise, begin[:, 0], np.ones(stars.flux.shape))
    every = minima_of(stars, pixels, begin)
    pixels, minima = refined(stars, pixels, every.lowest)
    minima = settled(stars, pixels, minima, every)
    if beside is not None:  # however far above it was with the first errors
        minima = minima.beside(minimised(stars, pixels, np.arange(len(beside)), beside)).lowest
    return pixels, Solution(_lowest_of_all(stars, pixels, minima), rivals_of(stars, every))


def _lowest_of_all(stars: Stars, pixels: Pixels, minima: Minima) -> Minima:
    """The minima, or lower ones beside them with the weights that were found: those move minima."""
    rows = np.arange(len(stars.flux))
    for _ in range(LOOKS):
        lower = looked_further(stars.part(rows), pixels.part(rows), minima[rows][:, None]).lowest
        found = lower.chi2 < minima.chi2[rows]
        rows, lower = rows[found], lower[found]
        if not rows.size:
            break
        minima = minima.followed(rows, minimised(stars, pixels, rows, lower.at))
    return minima


def learned_start(stars: Stars) -> StartNetwork | None:
    """The model's start network; None where it has none, or where a fit holds or knows what that does not."""
    setup = stars.setup
    known = {*setup.settings.fixed, *setup.settings.priors} - set(setup.elements)
    if known or not setup.settings.learned_start:
        return None
    return start_of(setup.generator)


def _learned(stars: Stars, start: StartNetwork) -> tuple[Pixels, Solution]:
    """The minimum of each star by the network's candidates; by the search where that is needed."""
    noise = stars.noise.copy()
    told = stars.estimated
    noise[told] = rough_noise(stars.flux[told], stars.good[told])[:, None]
    seen = binned(start.cells, stars.vacuum_aa, stars.flux, noise, stars.good)
    knows = start.knows(seen)
    if not knows.any():
        return searched(stars)
    resolution = np.array([each.resolution for each in stars.observations])
    found = start(seen, resolution, stars.setup.settings.velocities)
    pixels, solution = _from_candidates(stars, start, found)
    again = np.flatnonzero(~knows | _doubtful(stars, pixels, solution, start, found))
    if not again.size:
        return pixels, solution
    others, lower = searched(stars.part(again), solution.minima.at[again])
    return pixels.replaced(again, others), solution.replaced(again, lower)


def _from_candidates(stars: Stars, start: StartNetwork, found: Candidates) -> tuple[Pixels, Solution]:
    begin, usable, known = known_at(stars, _begin(stars, start, found))
    pixels = weighed(stars, usable, known, stars.noise, begin[:, 0], np.ones(stars.flux.shape))
    every = from_starts(stars, pixels, begin, MOST, TOLERANCE, damping=FIRST, believed=np.inf)
    pixels, minima = refined(stars, pixels, every.lowest, whole=False, **LAST)
    minima = settled(stars, pixels, minima, every, NEARBY, whole=False, **LAST)
    solution = Solution(minima, rivals_of(stars, every))
    return pixels, _across_candidates(stars, pixels, solution, start, found)


def _across_candidates(
    stars: Stars, pixels: Pixels, solution: Solution, start: StartNetwork, found: Candidates
) -> Solution:
    """The solution, or lower minima on the other side of candidates, with what both add to the covariance.

    A candidate is the mean of a Gaussian: of spectra that have either of two minima it lies between them. So
    a minimum ASIDE of every likely candidate is reflected at the nearest.
    """
    aside = _deviations(stars, solution, start, found, LIKELY)
    rows, setup = np.flatnonzero(aside.min(axis=1) > ASIDE), stars.setup
    if not rows.size:
        return solution
    place = setup.coordinates.from_parameters(solution.minima.at[rows])
    columns = among(setup.coordinates.names, start.domain)
    place[:, columns] = 2 * found.place[rows, aside[rows].argmin(axis=1)] - place[:, columns]
    begin = setup.coordinates.to_parameters(place.clip(*setup.box))
    both = solution.minima[rows].beside(minimised(stars, pixels, rows, begin, **END))
    rivals = solution.rivals[rows] + rivals_of(stars.part(rows), both)
    return solution.replaced(rows, Solution(both.lowest, rivals))


def _begin(stars: Stars, start: StartNetwork, found: Candidates) -> np.ndarray:
    """Parameters ``[star, start, p]`` of the candidates; repetitions of the first are none."""
    setup = stars.setup
    coordinates = setup.coordinates
    low, high = setup.box
    place = np.zeros((*found.place.shape[:2], len(coordinates.names)))
    columns = among(coordinates.names, start.domain)
    place[..., columns] = found.place
    place = place.clip(low, high)
    begin = coordinates.to_parameters(place)
    for name, value in setup.held.items():
        if name not in start.domain.names and name in coordinates.names:
            begin[..., coordinates.index(name)] = value
    for index in coordinates.among(["resolution"]):
        begin[..., index] = np.array([each.resolution for each in stars.observations])[:, None]
    apart = APART * np.hypot(found.deviation, found.deviation[:, :1])
    far = (np.abs(found.place - found.place[:, :1]) > np.maximum(apart, SAME)).any(axis=-1)
    return np.where(((found.share >= LIKELY) & far)[..., None], begin, begin[:, :1])


def _doubtful(
    stars: Stars, pixels: Pixels, solution: Solution, start: StartNetwork, found: Candidates
) -> np.ndarray:
    """Stars whose minimum is not one that the network expects, or does not fit: bool[star]."""
    apart = _deviations(stars, solution, start, found, LEAST_SHARE)
    due = _chi2_due(stars, pixels)
    above = solution.minima.chi2 - due
    bad = (above > BAD * np.sqrt(2.0 * due)) & (above > BAD_SHARE * due)
    return (apart.min(axis=1) > UNEXPECTED) | bad | _beyond(stars, pixels, solution)


def _deviations(
    stars: Stars, solution: Solution, start: StartNetwork, found: Candidates, least_share: float
) -> np.ndarray:
    """How many deviations [star, candidate] minima are from candidates; infinite where those are unlikely."""
    coordinates = stars.setup.coordinates
    place = coordinates.from_parameters(solution.minima.at)[:, among(coordinates.names, start.domain)]
    apart = np.abs(place[:, None] - found.place) / found.deviation
    return np.where(found.share >= least_share, apart.max(axis=-1), np.inf)


def _chi2_due(stars: Stars, pixels: Pixels) -> np.ndarray:
    """What chi2 of a good fit is: the degrees of freedom, or what the pixels' scatter makes of them.

    The latter where that is less than half of the noise that is told, as in spectra without noise: errors
    that large hide any misfit. Noise that pixels share does not show between them, and counts as told.
    """
    dof = pixels.used.sum(axis=1) - len(stars.setup.free) - len(stars.basis)
    scatter = rough_noise(stars.flux, stars.good)[:, None]
    less = (scatter < pixels.noise / 2) & np.array([[each.smoothed == 0] for each in stars.observations])
    share = np.where(pixels.used & less, (scatter / pixels.error) ** 2, pixels.used)
    return dof * share.sum(axis=1) / np.maximum(pixels.used.sum(axis=1), 1)


def _beyond(stars: Stars, pixels: Pixels, solution: Solution) -> np.ndarray:
    """Stars that ask for labels beyond an end of their range: those have minima of their own; bool[star]."""
    setup, found = stars.setup, np.zeros(len(stars.flux), bool)
    free, names = list(setup.free), setup.coordinates.names
    place = setup.coordinates.from_parameters(solution.minima.at)
    low, high = setup.corner.limits(place, *setup.box)
    telling = [index for index in setup.coordinates.among(TELLING) if index in free]
    at_end = (place <= low + NEAR_END) | (place >= high - NEAR_END)
    rows = np.flatnonzero(at_end[:, telling].any(axis=1))
    if rows.size:
        objective = objective_of(stars, pixels, rows, solution.minima.at[rows])
        at, low, high = (each[rows][:, free] for each in (place, low, high))
        _, slope, normal = objective.plain(np.arange(len(rows)), at)
        each = zip(at, slope, normal, low, high, strict=True)
        found[rows] = [beyond_bounds(names, setup.free, *parts).outside for parts in each]
    return found


def _with_elements(stars: Stars, pixels: Pixels, solution: Solution) -> tuple[Pixels, Solution]:
    """The second step: from each minimum on with the elements free, and the errors that belong to that.

    One linear step, which damping only shortens where the model is curved, comes nearly there.
    """
    stars, rows = replace(stars, setup=stars.setup.last), np.arange(len(stars.flux))
    minima = minimised(stars, pixels, rows, solution.minima.at)
    if not stars.setup.holds:  # else the pixels have been found so
        pixels, minima = refined(stars, pixels, minima)
    return pixels, replace(solution, minima=solution.minima.followed(rows, minima))
