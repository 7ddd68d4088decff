"""Coordinates in which the spectrum is close to linear and the domain, but for its floor, a box.

In the order of the domain's labels, each from 0 to 1 over the label's range, by the label's ``scale``:

- "logarithmic", ln Teff: spectra change with relative steps of temperature;
- "rotation", sqrt(v^2 + a^2) - a for v = v sin i, a = 10 km/s: the spectrum depends on v^2 where rotation is
  slower than the instrument, so the derivative by v vanishes at 0, and a fit in v would never leave it;
- "linear", the others.

The velocity comes last, in units of 100 km/s.

Where the domain has a floor log g has a higher end, which depends on Teff and [M/H]: ``lowest``. Where log g
is held, [M/H] and Teff have lower ends there, which depend on each other: ``highest``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from starloom.inference.derivatives import SLOWEST, parameters
from starloom.labels import Domain

TURN_KMS = 10.0  # a of the module's text
VELOCITY_SCALE_KMS = 100.0
INSIDE = 1e-10


@dataclass(frozen=True)
class Scale:
    """A stretched label: ``ahead`` of the label, ``back``, and the label's derivative by it, at the label."""

    ahead: Callable
    back: Callable
    slope: Callable


def _turned(stretched):
    return np.sqrt(np.maximum((stretched + TURN_KMS) ** 2 - TURN_KMS**2, 0))


def _turned_slope(label):
    label = np.maximum(label, SLOWEST)
    return np.hypot(label, TURN_KMS) / label


SCALES = {
    "linear": Scale(lambda label: label, lambda stretched: stretched, np.ones_like),
    "logarithmic": Scale(np.log, np.exp, lambda label: label),
    "rotation": Scale(lambda label: np.hypot(label, TURN_KMS) - TURN_KMS, _turned, _turned_slope),
}


@dataclass(frozen=True)
class Axis:
    """One coordinate: the stretched label from ``start``, in units of ``span``."""

    scale: Scale
    start: float
    span: float

    @classmethod
    def over(cls, scale: str, low: float, high: float) -> "Axis":
        """From 0 at ``low`` to 1 at ``high``."""
        start, end = (float(SCALES[scale].ahead(label)) for label in (low, high))
        # the logarithm of the ratio is rounded once, the difference of two three times
        span = float(np.log(high / low)) if scale == "logarithmic" else end - start
        return cls(SCALES[scale], start, span or 1.0)

    def place(self, label):
        """The coordinate of a label."""
        return (self.scale.ahead(label) - self.start) / self.span

    def label(self, place):
        """The label of a coordinate."""
        return self.scale.back(self.start + place * self.span)

    def slope(self, label):
        """The label's derivative by the coordinate."""
        return self.scale.slope(label) * self.span


@dataclass(frozen=True)
class Coordinates:
    """Those of a domain's labels and the velocity: arrays have ``names`` on their last axis."""

    domain: Domain

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The domain's labels, and the velocity."""
        return parameters(self.domain)

    def index(self, name: str) -> int:
        """Place of a label or of the velocity, which must be there."""
        return self.names.index(name)

    def among(self, names) -> list[int]:
        """Places of those of some labels that are there."""
        return [self.index(name) for name in names if name in self.names]

    @cached_property
    def rotations(self) -> list[int]:
        """Places of labels whose scale is that of rotation."""
        return [i for i, label in enumerate(self.domain.labels) if label.scale == "rotation"]

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The coordinates one by one."""
        labels = (Axis.over(label.scale, low, high) for label, low, high in self.domain.ranges)
        return (*labels, Axis(SCALES["linear"], 0.0, VELOCITY_SCALE_KMS))

    def _each(self, method: Callable, values: np.ndarray) -> np.ndarray:
        found = np.empty(values.shape)
        for index, axis in enumerate(self.axes):
            found[..., index] = method(axis, values[..., index])
        return found

    def from_parameters(self, parameters: np.ndarray) -> np.ndarray:
        """Coordinates of labels and velocity."""
        return self._each(Axis.place, parameters)

    def to_parameters(self, place: np.ndarray) -> np.ndarray:
        """Labels and velocity of coordinates."""
        found = self._each(Axis.label, place)
        # rounding must not carry a bound out of the domain
        found[..., :-1] = np.clip(found[..., :-1], self.domain.low, self.domain.high)
        return found

    def slopes(self, parameters: np.ndarray) -> np.ndarray:
        """Derivative of each parameter by its own coordinate; it depends on no other.

        That of v sin i, infinite at 0, is taken at SLOWEST or above, like the spectrum's derivative by v sin
        i, so that their product is right.
        """
        return self._each(Axis.slope, parameters)

    @cached_property
    def floored(self) -> tuple[int, int, int]:
        """Places of Teff, log g and [M/H], which the domain's floor relates."""
        return tuple(self.index(name) for name in ("teff", "logg", "mh"))

    def lowest(self, place: np.ndarray) -> np.ndarray:
        """The coordinate of the lowest log g at ``place``: 0 where the domain has no floor."""
        if self.domain.floor is None:
            return np.zeros(place.shape[:-1])
        teff, logg, mh = self.floored
        lowest = self.domain.floor(*(self.axes[i].label(place[..., i]) for i in (teff, mh)))
        return self.axes[logg].place(np.maximum(lowest, self.domain.low[logg]))

    def highest(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The coordinates of the highest Teff and of the highest [M/H] at ``place``, each by the others.

        A little inside, so that rounding leads to no log g below the lowest; minus infinity where there is
        none. The domain must have a floor.
        """
        (teff, logg, mh), floor = self.floored, self.domain.floor
        labels, gravity = self.to_parameters(place), self.axes[logg].label(place[..., logg])
        hottest = np.maximum(floor.highest_teff(gravity, labels[..., mh]), 1e-300)
        richest = floor.highest_mh(labels[..., teff], gravity)
        ends = self.axes[teff].place(hottest), self.axes[mh].place(richest)
        return tuple(np.minimum(end - INSIDE, 1.0) for end in ends)

    def highest_slopes(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of ``highest``: of Teff by [M/H], of [M/H] by Teff; huge at a step."""
        teff, _, mh = self.floored
        step = 1e-6 * np.eye(len(self.names))
        pairs = [
            (self.highest(place + step[i])[which], self.highest(place - step[i])[which])
            for which, i in ((0, mh), (1, teff))
        ]
        return tuple(np.clip((ahead - behind) / 2e-6, -1e9, 0) for ahead, behind in pairs)

    def lowest_slopes(self, place: np.ndarray) -> np.ndarray:
        """Derivatives of ``lowest`` by Teff and [M/H], below and above: ``[2, 2, ...]``."""
        step = 1e-6 * np.eye(len(self.names))
        moved = [place + sign * step[i] for i in self.floored[::2] for sign in (-1, 1)]
        here, *beside = self.lowest(np.stack([place, *moved]))
        pairs = [(here - below, above - here) for below, above in (beside[:2], beside[2:])]
        return np.array(pairs) / 1e-6

    @cached_property
    def kinks(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of Teff and of [M/H] at which the floor has a kink."""
        (teff, _, mh), floor = self.floored, self.domain.floor
        return tuple(self.axes[i].place(np.array(knots)) for i, knots in ((teff, floor.teff), (mh, floor.mh)))
