"""A fit's settings together with the model that they are for: what is free, and within which bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import ceil, log

import numpy as np

from starloom.constants import ALPHA_ELEMENTS
from starloom.errors import ConfigError
from starloom.inference.coordinates import Coordinates
from starloom.inference.corner import Corner
from starloom.inference.settings import ELEMENT_DEX, FILLING, Settings
from starloom.labels import Domain
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.flux_correction import FluxCorrection
from starloom.networks.generator import Generator
from starloom.networks.physics_error import PhysicsError
from starloom.networks.reduction import Reduction
from starloom.networks.stated_error import StatedError

ROUNDING = 1e-12
LARGEST_STEP = 1.25  # of the resolution, from table to table


@dataclass(frozen=True, eq=False)
class Prior:
    """Gaussian knowledge of parameters: ``mean[..., p]`` and ``deviation[..., p]``, inf: none."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, names: tuple[str, ...], known: Mapping[str, tuple[float, float]]) -> "Prior":
        """The priors ``known``, by name, among the parameters ``names``."""
        nothing = (0.0, np.inf)
        return cls(*np.array([known.get(name, nothing) for name in names], dtype=np.float64).T)

    def terms(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Differences to the mean ``[row, p]`` in units of the deviation, and 1 / deviation ``[..., p]``."""
        inverse = 1 / self.deviation
        return (self.mean - parameters) * inverse, inverse

    def known(self, names: tuple[str, ...], free: tuple[int, ...]) -> dict[str, list[float]]:
        """Mean and deviation by name, of the ``free`` ones of which there is knowledge: one star's."""
        told = [index for index in free if np.isfinite(self.deviation[index])]
        return {names[index]: [float(self.mean[index]), float(self.deviation[index])] for index in told}

    def __getitem__(self, rows) -> "Prior":
        return Prior(self.mean[rows], self.deviation[rows])

    def repeated(self, count: int) -> "Prior":
        """The same in each of so many rows."""
        return Prior(*(np.repeat(part[None], count, axis=0) for part in (self.mean, self.deviation)))


@dataclass(frozen=True, eq=False)
class Setup:
    """A generator and the settings of a fit by it.

    A model with elements around a default is fitted as a ``reduced`` one, without those that have theirs;
    elements that are free are counted from their default, so that its ``domain`` is a box, but for the floor.
    They are ``elements_free`` in a fit's second step; in the first they are held there. ``labels`` are the
    same as one gives them.

    Raises ConfigError or OutOfRangeError where the model's derivatives are not those of an emulator, and
    where the settings name labels or values that it does not have.
    """

    generator: Generator
    settings: Settings
    elements_free: bool = False

    def __post_init__(self):
        if not isinstance(self.generator.model, Emulator | BandEmulator):
            raise ConfigError("a fit needs a model of the family 'emulator', whose derivatives are known")
        self.settings.check(self.generator.domain)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Elements that the settings free."""
        return self.settings.elements(self.generator.domain)

    @cached_property
    def offsets(self) -> tuple[str, ...]:
        """Those of them that are counted from their default; of others a prior of [X/M] is known."""
        return tuple(name for name in self.elements if name not in self.settings.priors)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels of the fit: all but elements that have their default."""
        domain = self.generator.domain
        chosen = {*self.settings.fixed, *self.elements}
        return tuple(name for name in domain.names if name not in domain.spread or name in chosen)

    @cached_property
    def reduced(self) -> Generator:
        """The model of these labels, as it is fitted."""
        return _reduced(self.generator, self.names, self.offsets)

    @cached_property
    def labels(self) -> Domain:
        """The labels of the fit as they are given, and where the model knows them."""
        whole = self.generator.domain
        return Reduction.of(whole, self.names).domain if whole.spread else whole

    @cached_property
    def to_labels(self) -> np.ndarray:
        """Labels and velocity as they are given, from those of the fit: a matrix ``[p, p]``."""
        matrix = np.eye(len(self.coordinates.names))
        if "alpha" in self.names:
            for name in set(self.offsets) & set(ALPHA_ELEMENTS):
                matrix[self.coordinates.index(name), self.coordinates.index("alpha")] = 1
        return matrix

    def given(self, parameters: np.ndarray) -> np.ndarray:
        """Labels and velocity as they are given, of ``parameters[p]`` of the fit."""
        if not self.offsets:
            return parameters
        found = self.to_labels @ parameters
        found[:-1] = np.clip(found[:-1], self.labels.low, self.labels.high)  # rounding
        return found

    def from_given(self, values: np.ndarray) -> np.ndarray:
        """Parameters of the fit, of labels and velocity as they are given."""
        return np.linalg.solve(self.to_labels, values) if self.offsets else values.copy()

    @property
    def model(self) -> Emulator | BandEmulator:
        """The emulator that is fitted."""
        return self.reduced.model

    @property
    def stated(self) -> StatedError | None:
        """What the model states about its error."""
        return self.reduced.stated

    @property
    def domain(self) -> Domain:
        """The labels of the fit and their ranges, elements as differences from their default."""
        return self.reduced.domain

    @cached_property
    def coordinates(self) -> Coordinates:
        """The coordinates of the domain."""
        return Coordinates(self.domain)

    @property
    def physics(self) -> PhysicsError | None:
        """The model's physics error, where it has one and the settings ask for it."""
        return self.generator.physics if self.settings.physics_error else None

    @property
    def correction(self) -> FluxCorrection | None:
        """The correction of the model's flux, where one is asked for."""
        return self.generator.correction

    @property
    def corrected(self) -> dict[str, str]:
        """What results say of the correction: nothing where there is none."""
        return {} if self.correction is None else {"correction": self.correction.title}

    @cached_property
    def with_free_resolution(self) -> "Setup":
        """The same with the resolution free."""
        return replace(self, settings=replace(self.settings, free_resolution=True))

    @property
    def holds(self) -> bool:
        """Whether labels are held that a fit without ``fixed`` would not hold."""
        return bool(set(self.settings.fixed) - set(self.generator.domain.spread))

    @cached_property
    def released(self) -> "Setup":
        """The same with no label held but elements, which hardly move how pixels count."""
        spread = self.generator.domain.spread
        kept = {name: value for name, value in self.settings.fixed.items() if name in spread}
        return replace(self, settings=replace(self.settings, fixed=kept))

    @cached_property
    def last(self) -> "Setup":
        """That of the last step of the fit: the one with the elements free."""
        return replace(self, elements_free=True) if self.elements else self

    @cached_property
    def held(self) -> dict[str, float]:
        """What all starts have: fixed labels, elements at their default or as they are known, no filling."""
        rest = {"filling": 0.0} if "filling" in self.names else {}
        known = {name: self.settings.priors[name][0] for name in self.elements if name not in self.offsets}
        return {**rest, **self.settings.fixed, **dict.fromkeys(self.offsets, 0.0), **known}

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Places of the parameters that are fitted; a label of a single value is held."""
        held = {*self.settings.fixed, *(label.name for label, low, high in self.domain.ranges if low == high)}
        if not self.elements_free:
            held.update(self.elements)
        if not self.settings.free_resolution:
            held.add("resolution")
        return tuple(index for index, name in enumerate(self.coordinates.names) if name not in held)

    @property
    def free_names(self) -> tuple[str, ...]:
        """Names of the parameters that are fitted."""
        return tuple(self.coordinates.names[index] for index in self.free)

    @cached_property
    def prior(self) -> Prior:
        """The priors of all parameters."""
        known = {**dict.fromkeys(self.offsets, (0.0, ELEMENT_DEX)), "filling": (0.0, FILLING)}
        return Prior.of(self.coordinates.names, {**known, **self.settings.priors})

    @cached_property
    def corner(self) -> Corner:
        """The bound by the domain's floor."""
        return Corner(self.coordinates, self.free)

    @cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and highest coordinates, each where the labels that are held allow it."""
        velocities, fixed = self.settings.velocities, self.settings.fixed
        low, high = np.append(self.domain.low, velocities[0]), np.append(self.domain.high, velocities[1])
        if "alpha" in self.domain.names:
            index = self.coordinates.index("alpha")
            low[index], high[index] = self.settings.alpha_ends(self.generator.domain)
        if (floor := self.domain.floor) is not None and "logg" in fixed:
            teff, _, mh = self.coordinates.floored
            coolest, poorest = fixed.get("teff", low[teff]), fixed.get("mh", low[mh])
            hottest = floor.highest_teff(fixed["logg"], np.array(poorest)) * (1 - ROUNDING)
            richest = floor.highest_mh(np.array(coolest), fixed["logg"]) - ROUNDING
            high[teff], high[mh] = min(high[teff], hottest), min(high[mh], richest)
        return self.coordinates.from_parameters(low), self.coordinates.from_parameters(high)

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The box of the free coordinates."""
        low, high = (end[list(self.free)] for end in self.box)
        return low, high

    @cached_property
    def resolutions(self) -> tuple[float, ...]:
        """Resolutions of tables of templates: the model's ends, and steps between them; or its only one.

        The steps are of LARGEST_STEP at most, rounded to tenths of the lowest.
        """
        if "resolution" not in self.domain.names:
            return (self.model.chunks[0].finish.finest_resolution,)
        index = self.domain.index("resolution")
        low, high = float(self.domain.low[index]), float(self.domain.high[index])
        if low == high:
            return (low,)
        steps = ceil(log(high / low) / log(LARGEST_STEP))
        between = np.round(10 * (high / low) ** (np.arange(1, steps) / steps)) * low / 10
        return low, *between.tolist(), high

    def resolution(self, parameters: np.ndarray) -> np.ndarray:
        """The resolution of ``parameters[..., p]``."""
        if "resolution" in self.domain.names:
            return parameters[..., self.coordinates.index("resolution")]
        return np.full(parameters.shape[:-1], self.resolutions[0])

    def broadest(self, parameters: np.ndarray) -> np.ndarray:
        """Labels whose profiles reach as far as any that the fit may come to from ``parameters[..., p]``."""
        labels = np.zeros((*parameters.shape[:-1], len(self.domain.names)))
        for index in self.coordinates.rotations:
            labels[..., index] = self.domain.high[index]
        for index in self.coordinates.among(["resolution"]):
            lowest = self.domain.low[index] if self.settings.free_resolution else parameters[..., index]
            labels[..., index] = lowest
        return labels


@lru_cache(maxsize=8)
def _reduced(generator: Generator, names: tuple[str, ...], offsets: tuple[str, ...]) -> Generator:
    """The generator of these labels, always the same one: tables of templates belong to it."""
    if not generator.domain.spread:
        return generator
    return generator.reduced(Reduction.of(generator.domain, names, offsets))
