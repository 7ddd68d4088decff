"""A fit's settings together with the model that they are for: what is free, and within which bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, log

import numpy as np

from starloom.errors import ConfigError
from starloom.inference.coordinates import Coordinates
from starloom.inference.corner import Corner
from starloom.inference.settings import Settings
from starloom.labels import Domain
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.generator import Generator
from starloom.networks.physics_error import PhysicsError

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

    Raises ConfigError or OutOfRangeError where the model's derivatives are not those of an emulator, and
    where the settings name labels or values that it does not have.
    """

    generator: Generator
    settings: Settings

    def __post_init__(self):
        if not isinstance(self.generator.model, Emulator | BandEmulator):
            raise ConfigError("a fit needs a model of the family 'emulator', whose derivatives are known")
        self.settings.check(self.domain)

    @property
    def model(self) -> Emulator | BandEmulator:
        """The generator's emulator."""
        return self.generator.model

    @property
    def domain(self) -> Domain:
        """The model's labels and their ranges."""
        return self.generator.model.domain

    @cached_property
    def coordinates(self) -> Coordinates:
        """The coordinates of the domain."""
        return Coordinates(self.domain)

    @property
    def physics(self) -> PhysicsError | None:
        """The model's physics error, where it has one and the settings ask for it."""
        return self.generator.physics if self.settings.physics_error else None

    @cached_property
    def with_free_resolution(self) -> "Setup":
        """The same with the resolution free."""
        return Setup(self.generator, replace(self.settings, free_resolution=True))

    @cached_property
    def released(self) -> "Setup":
        """The same with no label held."""
        return Setup(self.generator, replace(self.settings, fixed={}))

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Places of the parameters that are fitted; a label of a single value is held."""
        held = {*self.settings.fixed, *(label.name for label, low, high in self.domain.ranges if low == high)}
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
        return Prior.of(self.coordinates.names, self.settings.priors)

    @cached_property
    def corner(self) -> Corner:
        """The bound by the domain's floor."""
        return Corner(self.coordinates, self.free)

    @cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and highest coordinates, each where the labels that are held allow it."""
        velocities, fixed = self.settings.velocities, self.settings.fixed
        low, high = np.append(self.domain.low, velocities[0]), np.append(self.domain.high, velocities[1])
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
