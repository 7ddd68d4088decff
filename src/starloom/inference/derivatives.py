"""The emulator's flux with its derivatives by labels and velocity, in closed form, on NumPy alone.

The derivatives are taken where they are cheap: by the four intrinsic labels in the network (forward mode,
four directions beside the value), by v sin i, resolution and velocity in the transfer that multiplies the
Fourier modes. Value and derivatives then share one inverse transform and one interpolation. The same
numbers as ``Generator.jacobian`` without compiling anything: half a millisecond of one core for a
spectrum.
"""

from collections.abc import Callable
from dataclasses import replace
from math import log, pi, sqrt

import numpy as np
from scipy import fft

from starloom.broadening import doppler_shift, finish_onto, gaussian_transfer, instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.labels import NAMES
from starloom.networks.emulator import INTRINSIC, RESOLUTION, VSINI, Emulator, RotationTable
from starloom.networks.forward import ACTIVATIONS, Affine, Dense, Dropout, Network, Reciprocal

PARAMETERS = (*NAMES, "velocity")
VELOCITY = PARAMETERS.index("velocity")
SLOWEST = 0.5  # km/s: the derivative by v sin i is proportional to it below, and is taken here or above


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


def network_derivatives(network: Network, inputs: np.ndarray) -> np.ndarray:
    """Outputs and their derivatives by each of ``inputs[row, input]``: ``[row, 1 + input, output]``."""
    rows, count = inputs.shape
    x = np.zeros((rows, 1 + count, count), network.precision)
    x[:, 0] = inputs
    x[:, 1:] = np.eye(count)
    for layer, parameters in zip(network.layers, network.parameters, strict=True):
        if isinstance(layer, Affine):
            x[:, 0] -= parameters["offset"]
            x *= parameters["scale"]
        elif isinstance(layer, Dense):
            x = _through(layer, parameters, x)
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


def rotation_slope(table: RotationTable, x: np.ndarray) -> np.ndarray:
    """Derivative of the rotation's transform by x = 2 pi f v sin i."""
    place = x * np.float32(1 / table.step)
    interval = place.astype(np.int32)
    t = place - interval
    first, second, third = (np.take(c, interval, mode="clip") for c in table.coefficients[1:])
    return ((3 * third * t + 2 * second) * t + first) * np.float32(1 / table.step)


def at_most(emulator: Emulator, wavelength_vacuum_aa: np.ndarray, resolution: float) -> Emulator:
    """The emulator at other wavelengths with no more modes than ``resolution`` needs: good up to it."""
    if not isinstance(emulator, Emulator):
        raise ConfigError("a fit needs a model of the family 'emulator', whose derivatives are known")
    finish = finish_onto(wavelength_vacuum_aa, min(resolution, emulator.finish.finest_resolution))
    whole, count = emulator.finish.frequency.size, finish.frequency.size
    kept = np.concatenate([np.arange(count), whole + np.arange(count)])  # real and imaginary parts
    *layers, last = emulator.network.layers
    *parameters, decoder = emulator.network.parameters
    decoder = {"weight": np.ascontiguousarray(decoder["weight"][:, kept]), "bias": decoder["bias"][kept]}
    network = Network((*layers, replace(last, outputs=2 * count)), (*parameters, decoder))
    return replace(emulator, network=network, finish=finish)


class Derivatives:
    """Flux and its derivatives by PARAMETERS of an emulator at its wavelengths; see the module."""

    def __init__(self, emulator: Emulator):
        self.emulator = emulator
        self._frequency = emulator.finish.frequency.astype(np.float32)

    def __call__(self, labels: np.ndarray, velocity: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
        """``float32[row, 1 + wanted, wavelength]`` for ``labels[row, 6]`` and ``velocity[row]`` [km/s].

        ``wanted`` are indices of PARAMETERS; labels are not checked. Derivatives are per unit of each;
        that by v sin i is the one at SLOWEST where v sin i is below it.
        """
        modes = self._modes(labels, any(index in INTRINSIC for index in wanted))
        rotation, instrument, phase = self._transfer(labels, velocity)
        common = rotation * instrument * phase
        finish = self.emulator.finish
        whole = np.zeros((len(labels), 1 + len(wanted), finish.points // 2 + 1), np.complex64)
        out = whole[..., : self._frequency.size]  # the rest of the modes is zero
        np.multiply(modes[:, 0], common, out=out[:, 0])
        for place, index in enumerate(wanted, start=1):
            if index in INTRINSIC:
                np.multiply(modes[:, 1 + INTRINSIC.index(index)], common, out=out[:, place])
            elif index == VSINI:
                out[:, place] = modes[:, 0] * (self._by_vsini(labels) * instrument * phase)
            elif index == RESOLUTION:
                out[:, place] = out[:, 0] * self._by_resolution(labels)
            else:
                slope = 1 / (1 - (velocity / SPEED_OF_LIGHT_KMS) ** 2)
                out[:, place] = out[:, 0] * (-2j * pi * self._frequency * slope[:, None]).astype(np.complex64)
        return finish.sampler(fft.irfft(whole, n=finish.points, axis=-1, overwrite_x=True))

    def _modes(self, labels: np.ndarray, derivatives: bool) -> np.ndarray:
        """Modes complex64[row, 1 (+ 4), mode], in units of flux times points."""
        network, inputs = self.emulator.network, labels[:, INTRINSIC]
        halves = network_derivatives(network, inputs) if derivatives else network(inputs)[:, None]
        count = halves.shape[-1] // 2
        modes = np.empty((*halves.shape[:-1], count), np.complex64)
        modes.real, modes.imag = halves[..., :count], halves[..., count:]
        return modes

    def _transfer(self, labels, velocity):
        frequency, points = self._frequency, np.float32(self.emulator.finish.points)
        x = (2 * pi * labels[:, VSINI, None]).astype(np.float32) * frequency
        left = instrument_variance(labels[:, RESOLUTION]) - instrument_variance(
            self.emulator.modes_resolution
        )
        instrument = gaussian_transfer(frequency, left.astype(np.float32)[:, None]) * points
        shift = (-2 * pi * doppler_shift(velocity)).astype(np.float32)[:, None] * frequency
        phase = np.empty(shift.shape, np.complex64)
        np.cos(shift, out=phase.real)
        np.sin(shift, out=phase.imag)
        return self.emulator.rotation(x), instrument, phase

    def _by_vsini(self, labels):
        frequency = (2 * pi * self._frequency).astype(np.float32)
        at = np.maximum(labels[:, VSINI, None], SLOWEST).astype(np.float32)
        return rotation_slope(self.emulator.rotation, at * frequency) * frequency

    def _by_resolution(self, labels):
        resolution = labels[:, RESOLUTION]
        variance_slope = -2 * (SPEED_OF_LIGHT_KMS / resolution) ** 2 / (8 * log(2)) / resolution
        return (-2 * pi**2 * variance_slope[:, None] * self._frequency**2).astype(np.float32)
