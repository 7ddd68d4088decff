r"""Spectra of one star at several epochs, fitted together: common labels, a velocity and continuum for each.

chi2 is the sum of those of the spectra (``objective``); what is known of the labels beforehand counts once.
With the labels' coordinates first and a velocity for each epoch behind them the normal matrix is an
arrowhead:

.. math:: N = \begin{pmatrix} \sum_e A_e & B_1 \cdots B_E \\ B_e^T & D_e \end{pmatrix}

Each epoch keeps its own pixels, noise, continuum and instrument. Whether the velocities vary is the chi2 of
their scatter around one velocity, with the covariance that they have by the common labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike

import numpy as np
from scipy.special import gammaincc

from starloom.errors import ConfigError, StarloomError
from starloom.inference.derivatives import parameters as parameter_names
from starloom.inference.fitting import fit_each, model_of, neighbourhood
from starloom.inference.minimise import minimise
from starloom.inference.objective import PORTION, Objective
from starloom.inference.observation import Observation, observe
from starloom.inference.result import LOW_SNR, FitResult, rounded
from starloom.inference.settings import Settings
from starloom.inference.setup import Prior, Setup
from starloom.inference.solution import Pixels, Stars, known_at, objective_of, weighed, weighed_anew
from starloom.inference.uncertainty import (
    Neighbourhood,
    domain_information,
    in_parameters,
    inflation,
    intervals,
    inverted,
)
from starloom.labels import Domain
from starloom.networks.flux_correction import FluxCorrection
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

CANDIDATES = 4  # single fits whose labels are tried for all
STEP_KMS = 6.0  # between velocities that are tried
ROUNDS = 3  # of weights and rejected pixels
VARIABLE = 1e-3  # probability of a constant velocity below which it is flagged as variable


@dataclass(frozen=True, eq=False, repr=False)
class EpochsResult:
    """One star's labels from all of its spectra, and a velocity for each; arrays as of ``FitResult``.

    - ``values[p]``, ``covariance[p, p]``, ``bounds[p]``, ``intervals[p, 2]``: labels, and the mean velocity;
    - ``velocities[epoch]``, ``velocity_errors[epoch]``, ``velocity_bounds[epoch]`` [km/s]: of the spectra, in
      their frames; ``velocity_covariance``;
    - ``snr``, ``chi2``, ``dof`` of each epoch; ``numbers``: which of the given spectra they are, from 0;
      ``failures``: why others are none of them, by number;
    - ``inflation``, ``free``, ``flags`` and ``at_bound`` as of ``FitResult``.
    """

    domain: Domain
    values: np.ndarray
    covariance: np.ndarray
    bounds: np.ndarray
    intervals: np.ndarray
    free: tuple[str, ...]
    velocities: np.ndarray
    velocity_covariance: np.ndarray
    velocity_bounds: np.ndarray
    snr: np.ndarray
    chi2: np.ndarray
    dof: np.ndarray
    numbers: tuple[int, ...]
    failures: dict[int, str]
    inflation: float
    flags: tuple[str, ...]
    at_bound: tuple[str, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the labels, and "velocity"."""
        return parameter_names(self.domain)

    @property
    def labels(self) -> dict[str, float]:
        """The common labels by name."""
        return dict(zip(self.domain.names, self.values[:-1].tolist(), strict=True))

    @property
    def errors(self) -> dict[str, float]:
        """Standard deviations by name, 0 for what was held."""
        return dict(zip(self.parameters, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    @property
    def velocity_errors(self) -> np.ndarray:
        """Standard deviations of the velocities [km/s]."""
        return np.sqrt(np.diag(self.velocity_covariance))

    @property
    def reduced_chi2(self) -> float:
        """chi2 of all over the degrees of freedom."""
        return float(self.chi2.sum() / self.dof.sum())

    @cached_property
    def velocity_chi2(self) -> float:
        """Of the velocities around their mean, with their covariance: E - 1 degrees of freedom."""
        apart = self.velocities - self.values[-1]
        return float(apart @ np.linalg.solve(self.velocity_covariance, apart))

    @property
    def constant_probability(self) -> float:
        """That a constant velocity scatters as much or more: small where it varies; 1 for one epoch."""
        count = len(self.velocities) - 1
        return float(gammaincc(count / 2, self.velocity_chi2 / 2)) if count else 1.0

    @property
    def velocity_amplitude(self) -> float:
        """Largest velocity less the smallest [km/s], as Gaia's rv_amplitude is."""
        return float(np.ptp(self.velocities))

    @property
    def velocity_scatter(self) -> float:
        """Standard deviation of the velocities beyond what their errors explain [km/s]: DerSimonian & Laird.

        (1986), Controlled Clinical Trials 7, 177.
        """
        weight = 1 / self.velocity_errors**2
        mean = (weight * self.velocities).sum() / weight.sum()
        excess = (weight * (self.velocities - mean) ** 2).sum() - (len(weight) - 1)
        scale = weight.sum() - (weight**2).sum() / weight.sum()
        return float(np.sqrt(max(excess / scale, 0.0))) if scale > 0 else 0.0

    @property
    def text(self) -> str:
        """What was found, in lines."""
        lines = []
        for name, value in zip(self.parameters, self.values, strict=True):
            if name in self.free:
                lines.append(f"{name:<12}{' ± '.join(rounded(value, self.errors[name]))}")
        lines += ["", f"{len(self.velocities)} epochs, chi2 / dof {self.reduced_chi2:.2f}"]
        lines.append(f"velocities: chi2 {self.velocity_chi2:.1f} of {len(self.velocities) - 1}")
        lines.append(f"probability of a constant one: {self.constant_probability:.2g}")
        lines.append(f"largest less smallest {self.velocity_amplitude:.2f} km/s")
        lines += [f"spectrum {number + 1}: {reason}" for number, reason in self.failures.items()]
        return "\n".join([*lines, *(f"! {flag.replace('_', ' ')}" for flag in self.flags)])

    def __repr__(self) -> str:
        pairs = zip(self.parameters, self.values, strict=True)
        errors = self.errors
        texts = [f"{n} = {' +- '.join(rounded(value, errors[n]))}" for n, value in pairs if n in self.free]
        return f"EpochsResult({len(self.velocities)} epochs: {', '.join(texts)})"


def fit_epochs(
    spectra: Sequence[Spectrum],
    generator: Generator | str | None = None,
    settings: Settings | None = None,
    *,
    correction: FluxCorrection | str | PathLike | None = None,
    **options,
) -> EpochsResult:
    """Common labels of spectra of one star, and the velocity of each.

    ``generator``, ``settings``, ``correction`` and ``options`` (fields of ``Settings``) are those of ``fit``.
    What a correction leaves uncertain is that of one star: it does not average out. Spectra that cannot be
    fitted are ``failures``. Raises ConfigError where none can, or where ``velocity`` is held; OutOfRangeError
    for what no spectrum can have.
    """
    setup = Setup(model_of(generator, correction), replace(settings or Settings(), **options))
    if "velocity" in setup.settings.fixed:
        raise ConfigError("velocity is held: epochs are fitted for their velocities")
    observations, failures = _observed(spectra, setup)
    if all(each.resolution_error for each in observations.values()):
        setup = setup.with_free_resolution
    groups = _groups(setup, observations)
    brightest = sorted(observations, key=lambda number: -_signal(observations[number]))[:CANDIDATES]
    singles = fit_each([spectra[number] for number in brightest], setup.generator, setup.settings)
    tried = [each for each in singles if isinstance(each, FitResult)]
    if not tried:
        raise ConfigError("spectra: none has enough pixels that the model knows")
    begin = _begin(setup, groups, tried)
    joint, at, converged = _together(groups, begin)
    if setup.elements:
        joint, at, converged = _together([group.with_setup(setup.last) for group in joint.groups], at)
    return _result(joint, at, converged, failures)


def _observed(spectra: Sequence[Spectrum], setup: Setup) -> tuple[dict[int, Observation], dict[int, str]]:
    found, failures = {}, {}
    for number, spectrum in enumerate(spectra):
        try:
            found[number] = observe(spectrum, setup)
        except StarloomError as error:
            failures[number] = str(error)
    if not found:
        raise ConfigError(next(iter(failures.values()), "spectra: there are none"))
    return found, failures


def _signal(observation: Observation) -> float:
    """A typical signal-to-noise ratio; 0 where errors are not told."""
    if observation.error is None:
        return 0.0
    return float(np.median((observation.flux / observation.error)[observation.good]))


@dataclass(frozen=True, eq=False)
class Group:
    """Epochs at common wavelengths: their ``numbers`` among the spectra, and how their pixels count."""

    numbers: tuple[int, ...]
    stars: Stars
    pixels: Pixels | None = None

    def with_setup(self, setup: Setup) -> "Group":
        """The same for another step of the fit."""
        return replace(self, stars=replace(self.stars, setup=setup))

    def parameters(self, labels: np.ndarray, velocities: np.ndarray) -> np.ndarray:
        """``[epoch, p]`` of common ``labels[p]``, with each epoch's resolution where that is held."""
        found = np.repeat(labels[None], len(self.numbers), axis=0)
        found[:, -1] = velocities
        setup = self.stars.setup
        if "resolution" in setup.domain.names and "resolution" not in setup.free_names:
            found[:, setup.domain.index("resolution")] = [each.resolution for each in self.stars.observations]
        return found


def _groups(setup: Setup, observations: dict[int, Observation]) -> list[Group]:
    by_kind: dict[tuple, list[int]] = {}
    for number, each in observations.items():
        by_kind.setdefault(each.sampling, []).append(number)
    return [
        Group(tuple(numbers), Stars.of(setup, [observations[number] for number in numbers]))
        for numbers in by_kind.values()
    ]


@dataclass(frozen=True, eq=False)
class Joint:
    """All epochs as one problem, whose place is the labels' coordinates and a velocity for each epoch.

    ``groups`` of epochs, their ``objectives``, and their ``rows`` among all epochs.
    """

    groups: list[Group]
    objectives: list[Objective]
    rows: list[np.ndarray]

    @property
    def setup(self) -> Setup:
        """That of all epochs."""
        return self.groups[0].stars.setup

    @property
    def labels(self) -> int:
        """How many labels are free: the velocity is the last of the free parameters."""
        return len(self.setup.free) - 1

    @property
    def epochs(self) -> int:
        """How many there are."""
        return sum(len(rows) for rows in self.rows)

    def each(self, place: np.ndarray) -> Iterator[tuple[Objective, np.ndarray, np.ndarray]]:
        """Objective, rows among the epochs and free coordinates ``[row, free]`` of each group."""
        for objective, rows in zip(self.objectives, self.rows, strict=True):
            common = np.repeat(place[None, : self.labels], len(rows), axis=0)
            yield objective, rows, np.concatenate([common, place[self.labels + rows, None]], axis=1)

    def __call__(self, _, places: np.ndarray):
        """What ``minimise`` asks for."""
        found = [self.summed(place) for place in places]
        return tuple(np.array(part) for part in zip(*found, strict=True))

    def summed(self, place: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """chi2, half of minus its gradient ``[p]``, and the arrowhead ``[p, p]``, at a ``place[p]``."""
        count = self.labels
        chi2, slope = 0.0, np.zeros(count + self.epochs)
        normal = np.zeros((slope.size, slope.size))
        for objective, rows, at in self.each(place):
            own, slopes, normals = objective.plain(np.arange(len(rows)), at)
            chi2 += float(own.sum())
            slope[:count] += slopes[:, :count].sum(axis=0)
            slope[count + rows] = slopes[:, count]
            normal[:count, :count] += normals[:, :count, :count].sum(axis=0)
            normal[:count, count + rows] = normals[:, :count, count].T
            normal[count + rows, :count] = normals[:, count, :count]
            normal[count + rows, count + rows] = normals[:, count, count]
        return chi2, slope, normal

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest place, ``[p]`` each."""
        return tuple(np.append(end[:-1], np.full(self.epochs, end[-1])) for end in self.setup.ends)

    def project(self, rows: np.ndarray, places: np.ndarray, origin: np.ndarray | None = None) -> np.ndarray:
        """``places[row, p]`` with the labels inside the corner; ``rows`` and ``origin`` do not matter."""
        places = places.copy()
        for place in places:
            objective, _, at = next(self.each(place))
            place[: self.labels] = objective.project(np.zeros(1, int), at[:1])[0, : self.labels]
        return places

    def parameters(self, place: np.ndarray) -> np.ndarray:
        """``[epoch, p]``, in the order of the epochs."""
        found = np.empty((self.epochs, len(self.setup.coordinates.names)))
        for objective, rows, at in self.each(place):
            found[rows] = objective.parameters(np.arange(len(rows)), at)
        return found


def _joint(groups: list[Group], at: np.ndarray) -> Joint:
    """The problem at parameters ``at[epoch, p]``, with priors in the first epoch alone."""
    rows, first, objectives = _rows(groups), True, []
    for group, mine in zip(groups, rows, strict=True):
        prior = group.pixels.prior
        deviation = prior.deviation.copy()
        deviation[int(first) :] = np.inf
        pixels, first = replace(group.pixels, prior=Prior(prior.mean, deviation)), False
        objectives.append(objective_of(group.stars, pixels, np.arange(len(mine)), at[mine]))
    return Joint(groups, objectives, rows)


def _rows(groups: list[Group]) -> list[np.ndarray]:
    """Each group's places among all epochs, which are in the order of their numbers."""
    numbers = sorted(number for group in groups for number in group.numbers)
    return [np.array([numbers.index(number) for number in group.numbers]) for group in groups]


def _begin(setup: Setup, groups: list[Group], singles: list[FitResult]) -> np.ndarray:
    """Parameters ``[epoch, p]`` to begin with: of some single fits the labels that suit all epochs best."""
    best, lowest = np.zeros(0), np.inf
    for single in singles:
        labels = setup.from_given(single.values)
        total, found = 0.0, np.empty((sum(len(group.numbers) for group in groups), labels.size))
        for group, rows in zip(groups, _rows(groups), strict=True):
            chi2, velocities = _velocities(group, labels)
            found[rows], total = group.parameters(labels, velocities), total + chi2
        if total < lowest:
            best, lowest = found, total
    return best


def _velocities(group: Group, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """chi2 and the best velocity of each epoch, of those STEP_KMS apart, for one set of labels."""
    stars = group.stars
    low, high = stars.setup.settings.velocities
    tried = np.arange(low, high + STEP_KMS, STEP_KMS)
    rows = np.repeat(labels[None, :-1], len(tried), axis=0)
    parts = [slice(first, first + PORTION) for first in range(0, len(tried), PORTION)]
    flux = np.concatenate([stars.derivatives(rows[part], tried[part], ())[:, 0] for part in parts])
    weight = np.where(stars.good, 1 / stars.noise**2, 0.0)
    chi2 = np.empty((len(tried), len(weight)))
    for k, each in enumerate(flux):
        linear = (stars.basis * each).astype(np.float64)
        normal = (linear[None] * weight[:, None]) @ linear.T
        right = (weight * stars.flux) @ linear.T
        chi2[k] = -(right * np.linalg.solve(normal, right[..., None])[..., 0]).sum(axis=1)
    best = chi2.argmin(axis=0)
    whole = (weight * stars.flux**2).sum()
    return float(whole + chi2.min(axis=0).sum()), tried[best]


def _together(groups: list[Group], at: np.ndarray) -> tuple[Joint, np.ndarray, bool]:
    """The common minimum, with weights that belong to it: the problem, and parameters ``[epoch, p]``."""
    rows = _rows(groups)
    weighted = []
    for group, mine in zip(groups, rows, strict=True):
        stars = group.stars
        begin, usable, known = known_at(stars, at[mine, None])
        if group.pixels is None:
            level = np.ones(stars.flux.shape)
            pixels = weighed(stars, usable, known, stars.noise, begin[:, 0], level)
            group = replace(group, pixels=pixels)
        weighted.append(group)
    groups, converged = weighted, False
    for turn in range(ROUNDS):
        joint = _joint(groups, at)
        setup = joint.setup
        own = setup.coordinates.from_parameters(at)[:, list(setup.free)]
        start = np.append(own[0, :-1], own[:, -1])
        found = minimise(joint, start[None], *joint.ends, project=joint.project)
        at, converged = joint.parameters(found.at[0]), bool(found.converged[0])
        before = groups
        groups = [
            _anew(*each) for each in zip(groups, joint.objectives, joint.each(found.at[0]), strict=True)
        ]
        if all((a.pixels.used == b.pixels.used).all() for a, b in zip(before, groups, strict=True)) and turn:
            break
    return _joint(groups, at), at, converged


def _anew(group: Group, objective: Objective, here: tuple) -> Group:
    """A group with its pixels weighed at the present minimum."""
    _, rows, place = here
    linear = objective.linearised(np.arange(len(rows)), place)
    return replace(group, pixels=weighed_anew(group.stars, group.pixels, linear, None))


@dataclass(frozen=True, eq=False)
class Moments:
    """How well a place of ``Joint`` is known, and how well each epoch is fitted there.

    ``covariance`` of the place and its ``bound`` by noise alone. Errors of the model (patterns of the physics
    error, its floor, the generator's own) are those of one star, so they have the same sign in all epochs.
    ``inflation`` is the epochs' mean; ``snr``, ``chi2`` and ``dof`` are of each.
    """

    covariance: np.ndarray
    bound: np.ndarray
    inflation: float
    snr: np.ndarray
    chi2: np.ndarray
    dof: np.ndarray

    @classmethod
    def of(cls, joint: Joint, place: np.ndarray) -> "Moments":
        """Those at a place."""
        count, epochs, size = joint.labels, joint.epochs, place.size
        own, noisy = Sums.empty(size), Sums.empty(size)
        snr, chi2, dof, inflated = (np.zeros(epochs) for _ in range(4))
        setup = joint.setup
        for group, (objective, rows, at) in zip(joint.groups, joint.each(place), strict=True):
            here = objective.linearised(np.arange(len(rows)), at)
            each_chi2 = objective.plain(np.arange(len(rows)), at)[0]
            for star, row in enumerate(rows):
                around = neighbourhood(group.stars, group.pixels, here, star, float(each_chi2[star]))
                places = np.append(np.arange(count), count + row)
                columns = around.columns.astype(np.float64)
                columns[: count + 1] *= setup.coordinates.slopes(around.parameters)[list(setup.free), None]
                own.add(around, columns, places, around.error, model=True)
                noisy.add(around, columns, places, around.noise, model=False)
                left = around.without_patterns(np.where(around.used, 1 / around.error**2, 0.0)) / around.error
                expected = around.expected(around.profile_pixels)
                inflated[row] = inflation(left, around.used, around.dof, expected, around.chi2)
                snr[row] = np.median((group.stars.flux[star] / around.noise)[around.used])
                chi2[row], dof[row] = around.chi2, around.dof
        ends = np.zeros(size)
        ends[:count] = domain_information(setup.coordinates)[list(setup.free[:-1])]
        ends[[k for k, name in enumerate(setup.free_names[:-1]) if name in setup.elements]] = 0
        firm, factor = np.zeros(size), float(inflated.mean())
        prior = joint.objectives[0].prior.deviation[0, list(setup.free[:-1])]
        slopes = setup.coordinates.slopes(joint.parameters(place)[:1])[0, list(setup.free[:-1])]
        firm[:count] = (slopes / prior) ** 2
        return cls(own.covariance(ends, firm, factor), noisy.covariance(), factor, snr, chi2, dof)


@dataclass(frozen=True, eq=False)
class Sums:
    """Of all epochs: ``normal[p, p]``, the ``middle[p, p]`` of noise, ``common`` errors ``[error][p]``."""

    normal: np.ndarray
    middle: np.ndarray
    common: dict[tuple[str, int], np.ndarray]

    @classmethod
    def empty(cls, size: int) -> "Sums":
        """Of none, for ``size`` parameters."""
        return cls(np.zeros((size, size)), np.zeros((size, size)), {})

    def add(self, star: Neighbourhood, columns: np.ndarray, places: np.ndarray, error, model: bool) -> None:
        """Add an epoch, whose first ``columns`` are those of the ``places``, the others its continuum's.

        ``error``: what its pixels are weighted with; ``model``: whether errors of the model count.
        """
        weight, count = np.where(star.used, 1 / error**2, 0.0), len(places)
        patterns = star.patterns if model else star.patterns[:0]
        others = np.concatenate([columns[count:], patterns])
        known = np.append(np.zeros(len(columns) - count), np.ones(len(patterns)))
        seen = others * weight
        taken = np.linalg.solve(seen @ others.T + np.diag(known), seen @ columns[:count].T).T
        moved = (columns[:count] - taken @ others) * weight
        block = np.ix_(places, places)
        self.normal[block] += moved @ columns[:count].T
        noise = moved * (star.pixel_error if model else star.noise)
        self.middle[block] += noise @ star.correlate(noise).T
        if not model:
            return
        self._share("pattern", places, moved @ patterns.T)
        for number, (size, edges) in enumerate(star.common):
            self._share(f"band {number}", places, np.add.reduceat(moved * size, edges, axis=1))

    def _share(self, name: str, places: np.ndarray, amounts: np.ndarray) -> None:
        """Add amounts ``[p, error]`` of errors that all epochs have in common."""
        for number, amount in enumerate(amounts.T):
            whole = self.common.setdefault((name, number), np.zeros(len(self.normal)))
            whole[places] += amount

    def covariance(
        self, ends: np.ndarray | float = 0.0, firm: np.ndarray | float = 0.0, factor: float = 1.0
    ) -> np.ndarray:
        """That of the place ``[p, p]``; ``ends`` and ``firm`` knowledge as in ``uncertainty.covariance``.

        ``factor`` enlarges what is the noise's.
        """
        own = np.eye(len(self.normal))
        middle = self.middle + own * ends
        for whole in self.common.values():
            middle = middle + np.outer(whole, whole)
        inverse = inverted(self.normal + own * (ends + firm))
        return inverse @ (factor * middle + own * firm) @ inverse


def _result(joint: Joint, at: np.ndarray, converged: bool, failures: dict[int, str]) -> EpochsResult:
    """What the minimum says, and how well it is known."""
    setup, count = joint.setup, joint.labels
    coordinates, free = setup.coordinates, list(setup.free)
    own = coordinates.from_parameters(at)[:, free]
    place = np.append(own[0, :-1], own[:, -1])
    moments = Moments.of(joint, place)
    total, bound = moments.covariance, moments.bound
    low, high = joint.ends
    bounded = ((place <= low + 1e-9) | (place >= high - 1e-9))[:count]
    # the mean velocity is the one that the velocities' covariance makes best
    scale = coordinates.slopes(at[:1])[0, -1]
    velocity_covariance = total[count:, count:] * scale**2
    weights = np.linalg.solve(velocity_covariance, np.ones(joint.epochs))
    weights /= weights.sum()
    values = at[0].copy()
    values[-1] = weights @ at[:, -1]
    mixing = np.zeros((len(free), place.size))
    mixing[:count, :count] = np.eye(count)
    mixing[count, count:] = weights
    matrices = []
    for each in (total, bound):
        matrix = np.zeros((values.size, values.size))
        matrix[np.ix_(free, free)] = mixing @ each @ mixing.T
        matrices.append(matrix)
    covariance = in_parameters(coordinates, values, matrices[0])
    known = np.diag(in_parameters(coordinates, values, matrices[1]))
    bounds = np.sqrt(np.minimum(known, np.diag(covariance)))  # priors may tell what noise leaves unknown
    found = intervals(coordinates, values, matrices[0], np.zeros(values.size))
    names = tuple(setup.free_names[row] for row in np.flatnonzero(bounded))
    numbers = tuple(sorted(number for group in joint.groups for number in group.numbers))
    result = EpochsResult(
        domain=setup.labels,
        values=setup.given(values),
        covariance=setup.to_labels @ covariance @ setup.to_labels.T,
        bounds=bounds,
        intervals=found,
        free=setup.free_names,
        velocities=at[:, -1],
        velocity_covariance=velocity_covariance,
        velocity_bounds=np.sqrt(np.diag(bound)[count:]) * scale,
        snr=moments.snr,
        chi2=moments.chi2,
        dof=moments.dof,
        numbers=numbers,
        failures=failures,
        inflation=moments.inflation,
        flags=(),
        at_bound=names,
    )
    state = {
        "at_bound": bool(names),
        "variable_velocity": result.constant_probability < VARIABLE,
        "low_snr": float(np.sqrt((moments.snr**2).sum())) < LOW_SNR,
        "not_converged": not converged,
    }
    return replace(result, flags=tuple(name for name, there in state.items() if there))
