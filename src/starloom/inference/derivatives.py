"""A model's flux with its derivatives by labels and velocity, in closed form, on NumPy alone.

The derivatives of an emulator are taken where they are cheap: by the intrinsic labels in the network (forward
mode, a direction for each beside the value), by rotation, macroturbulence, resolution and velocity in the
transfer that multiplies the Fourier modes. Value and derivatives then share one inverse transform and one
interpolation. The same numbers as ``Generator.jacobian`` without compiling anything: half a millisecond of
one core for a spectrum.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import log, pi, sqrt
from typing import Any

import numpy as np
from scipy import fft

from starloom.broadening import (
    chromosphere,
    chromosphere_slope,
    doppler_shift,
    gaussian_transfer,
    instrument_variance,
    macroturbulence_transfer,
)
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator, RotationTable
from starloom.networks.forward import ACTIVATIONS, Affine, Dense, Dropout, Matern, Network, Reciprocal
from starloom.networks.pixels import PixelNetwork

SLOWEST = 0.5  # km/s: a fit takes the derivatives by a rotation, which vanish at 0, here or above
STEP_KMS = 1.0  # of differences by the velocity


def parameters(domain: Domain) -> tuple[str, ...]:
    """Names of what a spectrum depends on, in order: the domain's labels, and the velocity [km/s]."""
    return (*domain.names, "velocity")


def _silu(x, y):
    s = 0.5 * np.tanh(0.5 * x) + 0.5
    return s + y * (1 - s)


def _gelu(x, y):
    c = sqrt(2 / pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x**2)


# slopes of ACTIVATIONS, from the input x and the output y
SLOPES: dict[str, Callable] = {
    "linear": lambda x, y: np.float32(1),
    "relu": lambda x, y: (x > 0).astype(x.dtype),
    "tanh": lambda x, y: 1 - y * y,
    "sigmoid": lambda x, y: y * (1 - y),
    "silu": _silu,
    "gelu": _gelu,
}


def network_derivatives(
    network: Network, inputs: np.ndarray, wanted: Sequence[int] | None = None
) -> np.ndarray:
    """Outputs and their derivatives by the ``wanted`` ones of ``inputs[row, input]``, or by all of them.

    ``[row, 1 + wanted, output]``.
    """
    rows, count = inputs.shape
    directions = np.eye(count)[slice(None) if wanted is None else list(wanted)]
    x = np.zeros((rows, 1 + len(directions), count), network.precision)
    x[:, 0] = inputs
    x[:, 1:] = directions
    for layer, parameters in zip(network.layers, network.parameters, strict=True):
        if isinstance(layer, Affine):
            x[:, 0] -= parameters["offset"]
            x *= parameters["scale"]
        elif isinstance(layer, Dense):
            x = _through(layer, parameters, x)
        elif isinstance(layer, Matern):
            x = _between(layer, parameters, x)
        elif isinstance(layer, Reciprocal):
            inverse = 1 / x[:, :1, layer.component, None]
            added = x[..., layer.component, None] * -(inverse**2)
            added[:, :1] = inverse
            x = np.concatenate([x, added], axis=-1)
        elif not isinstance(layer, Dropout):
            raise ConfigError(f"the derivatives of a layer {type(layer).__name__} are not known")
    return x


def _through(layer: Dense, parameters, x: np.ndarray) -> np.ndarray:
    y = (x.reshape(-1, layer.inputs) @ parameters["weight"]).reshape(*x.shape[:-1], layer.outputs)
    y[:, 0] += parameters["bias"]
    if layer.activation != "linear":
        before = y[:, 0].copy()
        y[:, 0] = ACTIVATIONS[layer.activation](before, np)
        y[:, 1:] *= SLOPES[layer.activation](before, y[:, 0])[:, None]
    return x + y if layer.residual else y


def _between(layer: Matern, parameters, x: np.ndarray) -> np.ndarray:
    """The mean of a Gaussian process: what changes is how near its centres are."""
    centre, here = parameters["centre"], x[:, :1]
    along = (here * x[:, 1:]).sum(-1, keepdims=True) - x[:, 1:] @ centre.T
    y = np.concatenate([layer.covariance(centre, here, np), layer.slope(centre, here, np) * along], axis=1)
    y = y @ parameters["weight"]
    y[:, 0] += parameters["bias"]
    return y


def rotation_slope(table: RotationTable, x: np.ndarray) -> np.ndarray:
    """Derivative of the rotation's transform by x = 2 pi f v sin i."""
    place = x * np.float32(1 / table.step)
    interval = place.astype(np.int32)
    t = place - interval
    first, second, third = (np.take(c, interval, mode="clip") for c in table.coefficients[1:])
    return ((3 * third * t + 2 * second) * t + first) * np.float32(1 / table.step)


class Derivatives:
    """Flux and its derivatives by ``parameters`` of an emulator at its wavelengths; see the module.

    Those by v sin i and macroturbulence, proportional to them where they are small, are the ones at
    ``slowest`` [km/s] where they are below it.
    """

    def __init__(self, emulator: Emulator, slowest: float = SLOWEST):
        self.emulator, self.slowest, self.names = emulator, slowest, parameters(emulator.domain)
        self._inputs = {index: number for number, index in enumerate(emulator.intrinsic.tolist())}
        self._frequency = emulator.finish.frequency.astype(np.float32)

    def __call__(self, labels: np.ndarray, velocity: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
        """``float32[row, 1 + wanted, wavelength]`` for ``labels[row, label]`` and ``velocity[row]`` [km/s].

        ``wanted`` are indices of ``parameters``; labels are not checked. Derivatives are per unit of each.
        """
        intrinsic = [index for index in wanted if index in self._inputs]
        modes = self._modes(labels, [self._inputs[index] for index in intrinsic])
        if "filling" in self.names:
            self._fill(modes, labels, intrinsic)
        rotation, others, phase = self._transfer(labels, velocity)
        common = rotation * others * phase
        finish = self.emulator.finish
        whole = np.zeros((len(labels), 1 + len(wanted), finish.points // 2 + 1), np.complex64)
        out = whole[..., : self._frequency.size]  # the rest of the modes is zero
        np.multiply(modes[:, 0], common, out=out[:, 0])
        for place, index in enumerate(wanted, start=1):
            if index in self._inputs:
                np.multiply(modes[:, 1 + intrinsic.index(index)], common, out=out[:, place])
            elif self.names[index] == "filling":
                out[:, place] = self._by_filling(labels) * common
            elif self.names[index] == "vsini":
                out[:, place] = modes[:, 0] * (self._by_vsini(labels) * others * phase)
            else:
                out[:, place] = out[:, 0] * self._relative(self.names[index], labels, velocity)
        return finish.sampler(fft.irfft(whole, n=finish.points, axis=-1, overwrite_x=True))

    def _modes(self, labels: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
        """Modes and derivatives by ``wanted`` inputs complex64[row, 1 + wanted, mode]: flux times points."""
        network, inputs = self.emulator.network, labels[:, self.emulator.intrinsic]
        halves = network_derivatives(network, inputs, wanted) if wanted else network(inputs)[:, None]
        count = halves.shape[-1] // 2
        modes = np.empty((*halves.shape[:-1], count), np.complex64)
        modes.real, modes.imag = halves[..., :count], halves[..., count:]
        return modes

    def _fill(self, modes: np.ndarray, labels: np.ndarray, intrinsic: Sequence[int]) -> None:
        """Add the emission in the Ca II cores, and its slope by Teff, where that is ``intrinsic`` wanted."""
        filling, teff = (self.emulator.profile(labels, name)[:, None] for name in ("filling", "teff"))
        modes[:, 0] += filling.astype(np.float32) * self._by_filling(labels)
        if (index := self.names.index("teff")) in intrinsic:
            slope = (filling * chromosphere_slope(teff)).astype(np.float32)
            modes[:, 1 + intrinsic.index(index)] += slope * self._emission

    def _by_filling(self, labels: np.ndarray) -> np.ndarray:
        share = chromosphere(self.emulator.profile(labels, "teff")).astype(np.float32)
        return share[:, None] * self._emission

    @cached_property
    def _emission(self) -> np.ndarray:
        halves = self.emulator.emission
        return halves[: self._frequency.size] + 1j * halves[self._frequency.size :]

    def _transfer(self, labels, velocity):
        """Factors of the modes: by rotation, by the other profiles, and by motion."""
        frequency, points = self._frequency, np.float32(self.emulator.finish.points)
        profile = self.emulator.profile
        x = (2 * pi * profile(labels, "vsini")[:, None]).astype(np.float32) * frequency
        left = instrument_variance(profile(labels, "resolution"))
        left = left - instrument_variance(self.emulator.modes_resolution)
        others = gaussian_transfer(frequency, left.astype(np.float32)[:, None]) * points
        if "vmac" in self.names:
            others *= macroturbulence_transfer(frequency, profile(labels, "vmac").astype(np.float32)[:, None])
        shift = (-2 * pi * doppler_shift(velocity)).astype(np.float32)[:, None] * frequency
        phase = np.empty(shift.shape, np.complex64)
        np.cos(shift, out=phase.real)
        np.sin(shift, out=phase.imag)
        return self.emulator.rotation(x), others, phase

    def _by_vsini(self, labels):
        frequency = (2 * pi * self._frequency).astype(np.float32)
        vsini = self.emulator.profile(labels, "vsini")[:, None]
        at = np.maximum(vsini, self.slowest).astype(np.float32)
        return rotation_slope(self.emulator.rotation, at * frequency) * frequency

    def _relative(self, name: str, labels, velocity):
        """Derivative of the logarithm of the modes by the velocity, or a label of a profile."""
        if name == "velocity":
            slope = 1 / (1 - (velocity / SPEED_OF_LIGHT_KMS) ** 2)
            return (-2j * pi * self._frequency * slope[:, None]).astype(np.complex64)
        value = self.emulator.profile(labels, name)[:, None]
        if name == "resolution":
            variance_slope = -2 * (SPEED_OF_LIGHT_KMS / value) ** 2 / (8 * log(2)) / value
            return (-2 * pi**2 * variance_slope * self._frequency**2).astype(np.float32)
        # of ln((1 - exp(-a)) / a), a = (pi zeta f)^2: see broadening.macroturbulence_transfer
        zeta, frequency = np.maximum(value, self.slowest), self._frequency.astype(np.float64)
        exponent = np.clip((pi * zeta * frequency) ** 2, 1e-8, 80.0)
        by_exponent = 1 / np.expm1(exponent) - 1 / exponent
        return (2 * pi**2 * frequency**2 * zeta * by_exponent).astype(np.float32)


class BandDerivatives:
    """As ``Derivatives``, of several chunks: each wavelength as ``BandEmulator.spectrum`` has it."""

    def __init__(self, emulator: BandEmulator, slowest: float = SLOWEST):
        self.emulator, self.slowest = emulator, slowest

    def __call__(self, labels: np.ndarray, velocity: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
        """As ``Derivatives``."""
        found = np.zeros((len(labels), 1 + len(wanted), self.emulator.vacuum_aa.size), np.float32)
        found[:, 0] = 1
        for part, chunk in self.emulator.needed(labels, velocity):
            values = Derivatives(chunk, self.slowest)(labels, velocity, wanted)
            values[:, 0] -= 1
            found[..., part] += values
        return found


class PixelDerivatives:
    """As ``Derivatives``, of a network of pixels; by the velocity from four fluxes around.

    Their error is of fourth order in STEP_KMS over the width of a line, 11 km/s at least: below 1e-4.
    """

    def __init__(self, pixels: PixelNetwork):
        self.pixels = pixels

    def __call__(self, labels: np.ndarray, velocity: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
        """As ``Derivatives``."""
        every = network_derivatives(self.pixels.network, labels)
        places = [1 + index for index in wanted if index < labels.shape[1]]
        found = self.pixels.sampled(every[:, [0, *places]], velocity[:, None])
        if len(places) == len(wanted):
            return found
        moved = {n: self.pixels.sampled(every[:, 0], velocity + n * STEP_KMS) for n in (-2, -1, 1, 2)}
        slope = (8 * (moved[1] - moved[-1]) - (moved[2] - moved[-2])) / (12 * STEP_KMS)
        return np.insert(found, 1 + list(wanted).index(labels.shape[1]), slope, axis=1)


def derivatives_of(model: Any, slowest: float = SLOWEST) -> Callable:
    """The derivatives of a model at its wavelengths: see ``Derivatives``.

    What is none of the package's models must be such a function itself.
    """
    if isinstance(model, Emulator):
        return Derivatives(model, slowest)
    if isinstance(model, BandEmulator):
        return BandDerivatives(model, slowest)
    return PixelDerivatives(model) if isinstance(model, PixelNetwork) else model
