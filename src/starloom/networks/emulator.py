"""An emulator of intrinsic spectra, to which rotation and instrument are applied exactly.

A network maps (teff, logg, mh, vmic) to the coefficients of a linear basis of Fourier modes; the transforms
of the rotation's and the instrument's profiles multiply the modes; one inverse transform and a local
interpolation give the flux. So nothing has to be learned about v sin i and the resolution. Everything is
smooth in the labels and written for NumPy and JAX arrays alike: JAX differentiates it.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from math import ceil, pi
from os import cpu_count
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from starloom.broadening import (
    FINEST_RESOLUTION,
    KEPT_GRID_AA,
    KEPT_RESOLUTION,
    LIMB_DARKENING,
    Finish,
    doppler_shift,
    finish_onto,
    gaussian_transfer,
    instrument_variance,
    paper_finish,
    rotation_transfer,
)
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, StoreError
from starloom.labels import DOMAIN, NAMES
from starloom.networks.basis import Basis, principal_components
from starloom.networks.forward import Network, array_library, dense_layers, linear
from starloom.networks.paper import PAPER_POINTS, label_scaling
from starloom.networks.weights import Header, Model, label_ranges
from starloom.wavelength import PAPER_GRID_AA, vacuum_from_air

FAMILY = "emulator"
INTRINSIC_NAMES = ("teff", "logg", "mh", "vmic")
INTRINSIC = [NAMES.index(name) for name in INTRINSIC_NAMES]
VSINI, RESOLUTION = NAMES.index("vsini"), NAMES.index("resolution")
PORTION = 40  # spectra worked on at once: they stay in the processor's cache


@dataclass(frozen=True)
class CoefficientNetwork:
    """Layers from intrinsic labels to whitened coefficients; ``residual``: hidden layers add their input.

    ``reciprocal``: one over Teff enters beside Teff.
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: str = "silu"
    residual: bool = False
    initialiser: str = "he_normal"
    reciprocal: bool = True

    def initial(self, coefficients: int, seed: int) -> Network:
        """The untrained network: labels ``[..., 4]`` to ``[..., coefficients]`` of about unit variance."""
        entry = label_scaling(INTRINSIC_NAMES, self.reciprocal)
        sizes = (entry.outputs, *self.hidden, coefficients)
        layers = dense_layers(sizes, self.activation, residual=self.residual)
        return entry.then(Network.initial(layers, seed, self.initialiser))


@dataclass(frozen=True, eq=False)
class RotationTable:
    """The rotation profile's transform as piecewise cubics in x = 2 pi f v sin i: four times faster.

    Cubic Hermite interpolation at steps h = 0.1 of ``broadening.rotation_transfer``. Its fourth derivative is
    at most 1/8, so the error is below h^4 / 384 / 8 = 3e-8, less than that of the closed form's own J1.
    """

    step: float
    coefficients: tuple[np.ndarray, ...]  # of t^0 to t^3, float32[interval], t from 0 to 1 within each

    @classmethod
    def up_to(cls, largest: float, limb_darkening: float, step: float = 0.1) -> "RotationTable":
        """The table for x from 0 to ``largest``."""
        knots = step * np.arange(-2, ceil(largest / step) + 5)
        # even in x; 2 pi is in the function's own argument
        value = rotation_transfer(1 / (2 * pi), np.abs(knots), limb_darkening)
        # slopes times the step, by central differences of fourth order: error 0.1 step^5 / 30
        slope = (8 * (value[3:-1] - value[1:-3]) - (value[4:] - value[:-4])) / 12
        here, there = value[2:-3], value[3:-2]
        left, right = slope[:-1], slope[1:]
        cubic = here, left, 3 * (there - here) - 2 * left - right, 2 * (here - there) + left + right
        return cls(step, tuple(coefficient.astype(np.float32) for coefficient in cubic))

    def __call__(self, x: Any) -> Any:
        """The transform at float32 ``x``, from 0 to the table's end (not checked)."""
        xp = array_library(x)
        place = x * np.float32(1 / self.step)
        whole = xp.floor(place)
        interval, t = whole.astype(int), place - whole
        # clipping is faster than the default, which looks for indices out of range
        zeroth, first, second, third = (
            partial(xp.take, xp.asarray(c), mode="clip") for c in self.coefficients
        )
        value = third(interval) * t + second(interval)
        return (value * t + first(interval)) * t + zeroth(interval)


@dataclass(frozen=True, eq=False)
class Emulator:
    """Labels to flux: a network for the modes of the intrinsic spectrum, and the exact broadening.

    ``network`` maps labels ``[..., 4]`` to real parts and then imaginary parts of the modes of ``finish``, of
    spectra seen at ``modes_resolution``, the finest that can be asked for.
    """

    network: Network
    finish: Finish
    limb_darkening: float = LIMB_DARKENING
    modes_resolution: float = FINEST_RESOLUTION

    def __post_init__(self):
        if self.network.inputs != len(INTRINSIC) or self.network.outputs != 2 * self.finish.frequency.size:
            raise ConfigError(
                f"a network of {self.network.inputs} inputs and {self.network.outputs} outputs "
                f"is no emulator: expected {len(INTRINSIC)} and {2 * self.finish.frequency.size}"
            )

    @cached_property
    def rotation(self) -> RotationTable:
        """The rotation's transform for all that the domain of labels allows."""
        largest = 2 * pi * self.finish.frequency[-1] * DOMAIN.high[VSINI]
        return RotationTable.up_to(float(largest), self.limb_darkening)

    def on(self, wavelength_vacuum_aa: np.ndarray) -> "Emulator":
        """The same emulator at other wavelengths: increasing, in vacuum, see ``known``."""
        return replace(self, finish=finish_onto(wavelength_vacuum_aa, self.finish.finest_resolution))

    def known(self, labels: np.ndarray, radial_velocity: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """First and last vacuum wavelength [A] at which the flux of ``labels[..., 6]`` is known.

        Rotation and the instrument mix in what lies v sin i + 4 sigma away, beyond which is less than 1e-5 of
        the flux, and that must come from the kept range; the interpolation needs 16 points on either side.
        """
        sigma = np.sqrt(instrument_variance(labels[..., RESOLUTION]))
        reach = labels[..., VSINI] + 4 * sigma
        low, high = self.finish.known_aa
        moved = doppler_shift(radial_velocity)
        first = KEPT_GRID_AA[0] * np.exp((moved + reach) / SPEED_OF_LIGHT_KMS)
        last = KEPT_GRID_AA[-1] * np.exp((moved - reach) / SPEED_OF_LIGHT_KMS)
        return np.maximum(first, low), np.minimum(last, high)

    def flux(self, labels: np.ndarray, radial_velocity: Any = 0.0, threads: int | None = None) -> np.ndarray:
        """Normalised flux float32[..., wavelength] of ``labels[..., 6]``, in portions on some threads.

        ``radial_velocity`` [km/s] is a number or an array of the labels' leading shape; ``threads`` is by
        default one for each processor. Raises ``OutOfRangeError`` where labels are outside the domain.
        """
        labels = np.asarray(labels, dtype=np.float64)
        DOMAIN.check(labels)
        rows = labels.reshape(-1, len(NAMES))
        velocity = np.broadcast_to(radial_velocity, labels.shape[:-1]).reshape(-1)
        moving = bool(np.any(velocity != 0))
        flux = np.empty((len(rows), self.finish.sampler.targets), np.float32)

        def work(start: int) -> None:
            part = slice(start, start + PORTION)
            flux[part] = self.spectrum(rows[part], velocity[part] if moving else None)

        starts = range(0, len(rows), PORTION)
        # matrix products that start threads of their own would only wait for each other
        with linear_algebra().limit(limits=1):
            if len(starts) == 1:
                work(0)
            else:
                with ThreadPoolExecutor(threads or cpu_count()) as pool:
                    list(pool.map(work, starts))
        return flux.reshape(*labels.shape[:-1], flux.shape[1])

    def spectrum(self, labels: Any, radial_velocity: Any = None) -> Any:
        """Flux ``[..., wavelength]`` as a pure function of ``labels[..., 6]``, which are not checked."""
        xp = array_library(labels)
        frequency = self.finish.frequency.astype(np.float32)
        modes = self.network(labels[..., np.array(INTRINSIC)])
        vsini = (2 * pi * labels[..., VSINI]).astype(np.float32)
        left = instrument_variance(labels[..., RESOLUTION]) - instrument_variance(self.modes_resolution)
        transfer = self.rotation(vsini[..., None] * frequency)
        transfer = transfer * gaussian_transfer(frequency, left.astype(np.float32)[..., None])
        # the inverse transform divides by its length
        modes = _complex(modes, transfer * np.float32(self.finish.points), xp)
        if radial_velocity is not None:
            shift = doppler_shift(radial_velocity).astype(np.float32)[..., None]
            angle = np.float32(2 * pi) * frequency * shift
            modes = modes * xp.exp(-1j * angle)
        return self.finish.sampler(xp.fft.irfft(modes, n=self.finish.points, axis=-1))


@cache
def linear_algebra() -> ThreadpoolController:
    """The linear-algebra libraries' own threads, to be limited."""
    return ThreadpoolController()


def mode_basis(kept: Iterable[np.ndarray], coefficients: int, finish: Finish | None = None) -> Basis:
    """Principal components of the modes of kept spectra ``[spectrum, 7290]`` that arrive in batches.

    The modes are those of spectra seen at R = 14500, the sharpest that is ever asked for, so that nothing is
    spent on detail that no instrument of the domain passes. They are scaled as in ``scaled_modes``.
    """
    finish = finish or paper_finish()
    return principal_components((scaled_modes(batch, finish) for batch in kept), coefficients)


def scaled_modes(kept: np.ndarray, finish: Finish | None = None) -> np.ndarray:
    """Modes ``[spectrum, 2 x mode]``, real parts first, of kept spectra seen at the finest resolution.

    Scaled so that the squared distance of two of them is the mean squared difference of the two spectra over
    the kept range (Parseval): all but the constant mode by sqrt(2).
    """
    finish = finish or paper_finish()
    modes = finish.modes(np.asarray(kept)) * _seen(finish)
    return np.concatenate([modes.real, modes.imag], axis=-1) * _parseval(finish)


def encode(kept: Iterable[np.ndarray], basis: Basis, finish: Finish | None = None) -> np.ndarray:
    """Whitened coefficients ``[spectrum, coefficient]`` of kept spectra that arrive in batches."""
    encoder = basis.encoder()
    return np.concatenate([encoder(scaled_modes(batch, finish)) for batch in kept])


def assembled(network: Network, basis: Basis, finish: Finish | None = None) -> Emulator:
    """The emulator of a network that gives the whitened coefficients of ``basis``."""
    finish = finish or paper_finish()
    decoder = linear(
        basis.components * basis.deviation[:, None] / _parseval(finish), basis.mean / _parseval(finish)
    )
    return Emulator(network.then(decoder), finish)


def packed(emulator: Emulator, recipe: str = "", card: str = "") -> Model:
    """The emulator as a model for a weights file."""
    settings = {
        "limb_darkening": emulator.limb_darkening,
        "modes_resolution": emulator.modes_resolution,
        "kept_resolution": KEPT_RESOLUTION,
    }
    header = Header(FAMILY, label_ranges(), PAPER_POINTS, recipe, card, settings)
    return Model(header, {"modes": emulator.network})


def unpacked(model: Model) -> Emulator:
    """The emulator in a model, at the paper's points; ``StoreError`` where the model is none."""
    settings = model.header.settings
    try:
        network, limb_darkening = model.networks["modes"], float(settings["limb_darkening"])
        finest = float(settings["modes_resolution"])
    except KeyError as error:
        raise StoreError(
            f"a model of the family {model.header.family!r} without {error} is no emulator"
        ) from error
    return Emulator(network, finish_onto(vacuum_from_air(PAPER_GRID_AA), finest), limb_darkening, finest)


def _seen(finish: Finish) -> np.ndarray:
    """What the modes of a kept spectrum are multiplied by to be seen at the finest resolution."""
    left = instrument_variance(finish.finest_resolution) - instrument_variance(KEPT_RESOLUTION)
    return gaussian_transfer(finish.frequency, left).astype(np.float32)


def _parseval(finish: Finish) -> np.ndarray:
    factor = np.full(2 * finish.frequency.size, np.sqrt(np.float32(2)))
    factor[[0, finish.frequency.size]] = 1
    return factor


def _complex(halves: Any, factor: Any, xp: Any) -> Any:
    """Complex numbers from real parts followed by imaginary ones on the last axis, times a real factor."""
    count = halves.shape[-1] // 2
    if xp is not np:
        return (halves[..., :count] + 1j * halves[..., count:]) * factor
    product = np.empty(factor.shape, np.complex64)  # a third of the time of the expression above
    np.multiply(halves[..., :count], factor, out=product.real)
    np.multiply(halves[..., count:], factor, out=product.imag)
    return product
