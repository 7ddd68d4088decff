"""A network that gives the flux at fixed points, such as the paper's, made to serve other wavelengths."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from starloom.arrays import array_library, one_line
from starloom.broadening import doppler_shift
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks.forward import Network
from starloom.networks.reduction import Reduction
from starloom.wavelength import Points, from_vacuum, to_vacuum

PORTION = 512  # spectra at once
NODES = 8  # points that one interpolated value is made of


@dataclass(frozen=True, eq=False)
class PixelNetwork:
    """Labels to flux at ``points``, and between them at ``vacuum_aa`` [A] (None: at the points themselves).

    Between the points by Lagrange's polynomial through the nearest eight: at 0.1 A and R <= 14500, where a
    line has 2.5 points in a standard deviation or more, to 1e-6 of its depth.
    """

    domain: Domain
    network: Network
    points: Points
    vacuum_aa: np.ndarray | None = None

    __repr__ = one_line

    def __post_init__(self):
        if self.points.count < NODES:
            raise ConfigError(f"a generator of {self.points.count} points: at least {NODES} are needed")
        if (self.network.inputs, self.network.outputs) != (len(self.domain.labels), self.points.count):
            raise ConfigError(
                f"a network of {self.network.inputs} inputs and {self.network.outputs} outputs is no "
                f"generator of {self.points.count} points from {len(self.domain.labels)} labels"
            )

    def reduced(self, reduction: Reduction) -> "PixelNetwork":
        """The same network as one of fewer labels."""
        network = reduction.network(self.network, self.domain.names)
        return replace(self, domain=reduction.domain, network=network)

    def on(self, wavelength_vacuum_aa: np.ndarray) -> "PixelNetwork":
        """The same network at other wavelengths [A], in vacuum."""
        return replace(self, vacuum_aa=wavelength_vacuum_aa)

    def known(self, labels: np.ndarray, radial_velocity: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """First and last vacuum wavelength [A] that can be asked for; each of the velocity's shape."""
        ends = to_vacuum(np.array([self.points.first_aa, self.points.last_aa]), self.points.medium)
        factor = np.exp(doppler_shift(radial_velocity) / SPEED_OF_LIGHT_KMS)
        return ends[0] * factor, ends[1] * factor

    def flux(self, labels: np.ndarray, radial_velocity: Any = 0.0) -> np.ndarray:
        """Flux float32[..., wavelength] of ``labels[..., label]``; ``OutOfRangeError`` outside the domain."""
        labels = np.asarray(labels, dtype=np.float64)
        self.domain.check(labels)
        rows = labels.reshape(-1, labels.shape[-1])
        velocity = np.broadcast_to(radial_velocity, labels.shape[:-1]).reshape(-1)
        size = self.points.count if self.vacuum_aa is None else self.vacuum_aa.size
        flux = np.empty((len(rows), size), np.float32)
        for start in range(0, len(rows), PORTION):
            part = slice(start, start + PORTION)
            flux[part] = self.spectrum(rows[part], velocity[part] if np.any(velocity) else None)
        return flux.reshape(*labels.shape[:-1], size)

    def spectrum(self, labels: Any, radial_velocity: Any = None) -> Any:
        """Flux ``[..., wavelength]`` as a pure function of ``labels[..., label]``, which are not checked."""
        return self.sampled(self.network(labels), radial_velocity)

    def sampled(self, flux: Any, radial_velocity: Any = None) -> Any:
        """``flux[..., point]``, moved, at the network's wavelengths."""
        if self.vacuum_aa is None and radial_velocity is None:
            return flux
        xp = array_library(flux)
        own = self.points.vacuum_aa if self.vacuum_aa is None else self.vacuum_aa
        velocity = xp.zeros(flux.shape[:-1]) if radial_velocity is None else xp.asarray(radial_velocity)
        shift = doppler_shift(velocity)[..., None] / SPEED_OF_LIGHT_KMS
        return _lagrange(flux, self._place(own, shift, xp), xp)

    def _place(self, vacuum_aa: np.ndarray, shift: Any, xp: Any) -> Any:
        """Places among the points [..., wavelength], in steps, of what is seen at ``vacuum_aa``.

        Written as the place at rest and its change by the ``shift`` of ln(wavelength), so that float32 does.
        """
        first = self.points.first_aa
        at_rest = from_vacuum(vacuum_aa, self.points.medium)
        change = at_rest * xp.expm1(-shift)
        if self.points.spacing == "linear":
            step = (self.points.last_aa - first) / (self.points.count - 1)
            return (at_rest - first) / step + change / step
        step = np.log(self.points.last_aa / first) / (self.points.count - 1)
        return np.log(at_rest / first) / step - shift / step


def _lagrange(flux: Any, place: Any, xp: Any) -> Any:
    """Values of ``flux[..., point]`` at places [..., wavelength]: Abramowitz & Stegun (1964), eq. 25.2.2."""
    start = xp.clip(xp.floor(place).astype(int) - (NODES // 2 - 1), 0, flux.shape[-1] - NODES)
    distance = place - start
    value = 0.0
    for node in range(NODES):
        others = [other for other in range(NODES) if other != node]
        weight = 1.0
        for other in others:
            weight = weight * (distance - other) / (node - other)
        value = value + weight.astype(flux.dtype) * xp.take_along_axis(flux, start + node, axis=-1)
    return value
