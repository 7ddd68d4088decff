"""An emulator of intrinsic spectra, to which rotation and instrument are applied exactly.

A network maps the intrinsic labels (Teff, log g, [M/H], ...) to the coefficients of a linear basis of Fourier
modes; the transforms of the rotation's and the instrument's profiles multiply the modes; one inverse
transform and a local interpolation give the flux. So nothing has to be learned about v sin i and the
resolution. Everything is smooth in the labels and written for NumPy and JAX arrays alike: JAX differentiates
it.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from math import ceil, pi
from os import cpu_count
from types import MappingProxyType
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from starloom.arrays import array_library, one_line
from starloom.bands import Band
from starloom.broadening import (
    LIMB_DARKENING,
    Finish,
    band_finishes,
    check_filling,
    chromosphere,
    doppler_shift,
    emission_modes,
    gaussian_transfer,
    instrument_variance,
    known_range,
    macroturbulence_transfer,
    rotation_transfer,
)
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, StarloomError, StoreError
from starloom.labels import Domain
from starloom.networks.basis import Basis, principal_components
from starloom.networks.forward import ACTIVATIONS, INITIALISERS, Network, dense_layers, linear
from starloom.networks.reduction import Reduction
from starloom.networks.scaling import label_scaling
from starloom.networks.weights import Header, Model
from starloom.recipes import at_least, one_of
from starloom.wavelength import LogGrid

FAMILY = "emulator"
PORTION = 40  # spectra worked on at once: they stay in the processor's cache

Ends = tuple[np.ndarray, np.ndarray]  # of pixels [A]


@dataclass(frozen=True)
class CoefficientNetwork:
    """Layers from intrinsic labels to whitened coefficients; ``residual``: hidden layers add their input.

    ``reciprocal``: one over Teff enters beside Teff, where that is a label.

    ``hidden``: sizes of the layers between; ``activation`` and ``initialiser``: names of theirs.
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: str = "silu"
    residual: bool = False
    initialiser: str = "he_normal"
    reciprocal: bool = True

    def __post_init__(self):
        at_least(1, **{"one of hidden": min(self.hidden, default=1)})
        one_of(ACTIVATIONS, activation=self.activation)
        one_of(INITIALISERS, initialiser=self.initialiser)

    def initial(
        self,
        domain: Domain,
        coefficients: int,
        seed: int,
        relevance: Mapping[str, float] = MappingProxyType({}),
    ) -> Network:
        """The untrained network: labels of an intrinsic ``domain`` to coefficients of unit variance.

        ``relevance`` is as of ``label_scaling``.
        """
        entry = label_scaling(domain, self.reciprocal and "teff" in domain.names, relevance)
        sizes = (entry.outputs, *self.hidden, coefficients)
        layers = dense_layers(sizes, self.activation, residual=self.residual)
        return entry.then(Network.initial(layers, seed, self.initialiser))


@dataclass(frozen=True, eq=False)
class RotationTable:
    """The rotation profile's transform as piecewise cubics in x = 2 pi f v sin i: four times faster.

    Cubic Hermite interpolation at steps h = 0.1 of ``broadening.rotation_transfer``. Its fourth derivative is
    at most 1/8, so the error is below h^4 / 384 / 8 = 3e-8, less than that of the closed form's own J1.

    ``step`` is h.
    """

    step: float
    coefficients: tuple[np.ndarray, ...]  #: of t^0 to t^3, float32[interval], t from 0 to 1 within each

    __repr__ = one_line

    @classmethod
    def up_to(cls, largest: float, limb_darkening: float, step: float = 0.1) -> "RotationTable":
        """The table for x from 0 to ``largest``.

        ``step`` is that of x; the error grows with its fourth power.
        """
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
    """Labels to flux in one chunk of a band: a network for the intrinsic spectrum's modes, and broadening.

    ``domain`` has the labels, in the order in which they are given. ``network`` maps its intrinsic ones to
    real parts and then imaginary parts of the modes of ``finish``, of spectra seen at ``modes_resolution``,
    the finest that can be asked for. Labels of broadening that the domain lacks are 0, and this resolution.
    The label ``filling`` is applied exactly too (``broadening.filling``): see ``filled``.
    """

    domain: Domain
    network: Network
    finish: Finish
    limb_darkening: float
    modes_resolution: float

    __repr__ = one_line

    def __post_init__(self):
        expected = len(self.intrinsic), 2 * self.finish.frequency.size
        if (self.network.inputs, self.network.outputs) != expected:
            raise ConfigError(
                f"a network of {self.network.inputs} inputs and {self.network.outputs} outputs "
                f"is no emulator: expected {expected[0]} and {expected[1]}"
            )
        if "filling" in self.domain.names and "teff" not in self.domain.names:
            raise ConfigError(f"label filling needs teff: the labels are {', '.join(self.domain.names)}")

    @property
    def chunks(self) -> "tuple[Emulator]":
        """Itself: a band of one chunk is looked at like one of several."""
        return (self,)

    @cached_property
    def intrinsic(self) -> np.ndarray:
        """Places of the labels that the network takes."""
        return np.array([self.domain.index(name) for name in self.domain.intrinsic.names])

    def filled(self, low: float, high: float) -> "Emulator":
        """The same emulator with the label ``filling`` in this range, the last of its labels.

        ``OutOfRangeError`` outside ``broadening.filling.RANGE``, ``ConfigError`` where it has that label or
        lacks Teff. For a whole model: ``filled``.

        ``low`` and ``high``: its ends.
        """
        check_filling(np.array([low, high]))
        return replace(self, domain=self.domain.with_label("filling", low, high))

    @cached_property
    def emission(self) -> np.ndarray:
        """What unit filling adds to the network's output: real parts, then imaginary parts."""
        modes = emission_modes(self.finish, self.modes_resolution)
        return np.concatenate([modes.real, modes.imag]).astype(np.float32)

    @cached_property
    def rotation(self) -> RotationTable:
        """The rotation's transform for all that the domain of labels allows."""
        fastest = self.domain.only("vsini").high[0] if "vsini" in self.domain.names else 0.0
        largest = 2 * pi * self.finish.frequency[-1] * fastest
        return RotationTable.up_to(float(largest), self.limb_darkening)

    def reduced(self, reduction: Reduction) -> "Emulator":
        """The same emulator as one of fewer labels."""
        network = reduction.network(self.network, self.domain.intrinsic.names)
        return replace(self, domain=reduction.domain, network=network)

    def on(self, wavelength_vacuum_aa: np.ndarray) -> "Emulator":
        """The same emulator at other wavelengths: increasing, in vacuum, see ``known``."""
        return self.seen(wavelength_vacuum_aa, self.finish.finest_resolution)

    def seen(
        self, wavelength_vacuum_aa: np.ndarray, finest_resolution: float, ends_aa: Ends | None = None
    ) -> "Emulator":
        """The same emulator at other wavelengths, faster: for resolutions up to ``finest_resolution``.

        With ``ends_aa``, the first and the last vacuum wavelengths of pixels, their mean flux.
        """
        finest = self.finish.finest_resolution
        if "resolution" in self.domain.names:  # else all are seen at the modes' own
            finest = min(finest_resolution, finest)
        finish = self.finish.onto(wavelength_vacuum_aa, finest, ends_aa)
        return replace(self, network=_with_modes(self.network, finish.frequency.size), finish=finish)

    def known(self, labels: np.ndarray, radial_velocity: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """First and last vacuum wavelength [A] at which the flux of ``labels[..., label]`` is known.

        Rotation, macroturbulence and the instrument mix in what lies v sin i + 4 sigma away, beyond which is
        less than 1e-5 of the flux, and that must come from the kept range; the interpolation needs 16 points
        on either side.
        """
        xp = array_library(labels, radial_velocity)
        reach, (low, high) = self.reach(labels), known_range(self.finish, self.finish.finest_resolution)
        moved, grid = doppler_shift(radial_velocity), self.finish.grid
        first = grid.first_aa * xp.exp((moved + reach) / SPEED_OF_LIGHT_KMS)
        last = grid.last_aa * xp.exp((moved - reach) / SPEED_OF_LIGHT_KMS)
        return xp.maximum(first, low), xp.minimum(last, high)

    def reach(self, labels: Any) -> Any:
        """How far [km/s] rotation, macroturbulence and instrument spread light: see ``known``."""
        sigma = array_library(labels).sqrt(instrument_variance(self.profile(labels, "resolution")))
        # beyond 3 zeta of a profile exp(-v^2/zeta^2) are 2e-5
        return self.profile(labels, "vsini") + 4 * sigma + 3 * self.profile(labels, "vmac")

    def flux(self, labels: np.ndarray, radial_velocity: Any = 0.0, threads: int | None = None) -> np.ndarray:
        """Normalised flux float32[..., wavelength] of ``labels[..., label]``: see ``in_portions``.

        ``threads``: how many work at once; by default one for each processor.
        """
        return in_portions(self, self.finish.sampler.targets, labels, radial_velocity, threads)

    def spectrum(self, labels: Any, radial_velocity: Any = None, blurred: Any = None) -> Any:
        """Flux ``[..., wavelength]`` as a pure function of ``labels[..., label]``, which are not checked.

        ``blurred``: what ``blur`` gives for these labels and ``radial_velocity`` [km/s], where it is known.
        """
        xp = array_library(labels)
        modes = self.network(labels[..., self.intrinsic])
        if "filling" in self.domain.names:
            amount = self.profile(labels, "filling") * chromosphere(self.profile(labels, "teff"))
            modes = modes + xp.asarray(amount).astype(np.float32)[..., None] * self.emission
        factor, phase = blurred or self.blur(labels, radial_velocity)
        modes = _complex(modes, factor, xp)
        if phase is not None:
            modes = modes * phase
        return self.finish.sampler(xp.fft.irfft(modes, n=self.finish.points, axis=-1))

    def blur(self, labels: Any, radial_velocity: Any = None) -> tuple[Any, Any]:
        """What the modes of ``labels[..., label]`` are multiplied by: a real factor, a phase if they move.

        Both are ``[..., mode]``, the same for chunks of the same frequencies.
        ``radial_velocity`` [km/s] is positive away from us.
        """
        xp = array_library(labels)
        # the inverse transform divides by its length
        factor = self._transfer(labels, xp) * np.float32(self.finish.points)
        return factor, None if radial_velocity is None else self._phase(radial_velocity, xp)

    def _transfer(self, labels: Any, xp: Any) -> Any:
        """What rotation, macroturbulence and instrument multiply the modes by: float32[..., mode]."""
        frequency = self.finish.frequency.astype(np.float32)
        vsini = xp.asarray(2 * pi * self.profile(labels, "vsini")).astype(np.float32)
        resolution = self.profile(labels, "resolution")
        left = instrument_variance(resolution) - instrument_variance(self.modes_resolution)
        transfer = self.rotation(vsini[..., None] * frequency)
        transfer = transfer * gaussian_transfer(frequency, xp.asarray(left).astype(np.float32)[..., None])
        if "vmac" in self.domain.names:
            vmac = self.profile(labels, "vmac").astype(np.float32)
            transfer = transfer * macroturbulence_transfer(frequency, vmac[..., None])
        return transfer

    def _phase(self, radial_velocity: Any, xp: Any) -> Any:
        """What a motion multiplies the modes by: complex[..., mode]."""
        shift = doppler_shift(radial_velocity).astype(np.float32)[..., None]
        return xp.exp(-1j * (np.float32(2 * pi) * self.finish.frequency.astype(np.float32) * shift))

    def patterns(
        self, halves: Mapping[LogGrid, np.ndarray], labels: np.ndarray, velocity: np.ndarray
    ) -> np.ndarray:
        """Patterns of the flux seen like the flux of ``labels``: ``float32[row, pattern, wavelength]``.

        ``halves``, by the kept grid of a chunk: real, then imaginary parts of modes ``[row, pattern, half]``.

        ``velocity[row]`` [km/s], positive away from us.
        """
        given, count = halves[self.finish.grid], self.finish.frequency.size
        half = given.shape[-1] // 2
        factor = self._transfer(labels, np) * np.float32(self.finish.points) * self._phase(velocity, np)
        modes = (given[..., :count] + np.complex64(1j) * given[..., half : half + count]) * factor[:, None]
        flux = np.fft.irfft(modes.astype(np.complex64), n=self.finish.points, axis=-1)
        return self.finish.sampler(flux.astype(np.float32))

    def profile(self, labels: Any, name: str) -> Any:
        """A label of broadening of each row: 0, or the modes' resolution, where there is none.

        ``name`` of the label: ``vsini``, ``vmac`` or ``resolution``.
        """
        if name in self.domain.names:
            return labels[..., self.domain.index(name)]
        absent = self.modes_resolution if name == "resolution" else 0.0
        return absent * array_library(labels).ones_like(labels[..., 0])


def _with_modes(network: Network, count: int) -> Network:
    """The network with the first ``count`` of its modes alone."""
    whole = network.outputs // 2
    if count == whole:
        return network
    kept = np.concatenate([np.arange(count), whole + np.arange(count)])  # real and imaginary parts
    (*layers, last), (*parameters, decoder) = network.layers, network.parameters
    decoder = {"weight": np.ascontiguousarray(decoder["weight"][:, kept]), "bias": decoder["bias"][kept]}
    return Network((*layers, replace(last, outputs=2 * count)), (*parameters, decoder))


def in_portions(
    model: Any, points: int, labels: np.ndarray, radial_velocity: Any = 0.0, threads: int | None = None
) -> np.ndarray:
    """Flux float32[..., points] of ``labels[..., label]`` by ``model.spectrum``, in portions on some threads.

    ``radial_velocity`` [km/s] is a number or an array of the labels' leading shape; ``threads`` is by default
    one for each processor. Raises ``OutOfRangeError`` where labels are outside the model's domain.
    """
    labels = np.asarray(labels, dtype=np.float64)
    model.domain.check(labels)
    rows = labels.reshape(-1, labels.shape[-1])
    velocity = np.broadcast_to(radial_velocity, labels.shape[:-1]).reshape(-1)
    moving = bool(np.any(velocity != 0))
    flux = np.empty((len(rows), points), np.float32)

    def work(start: int) -> None:
        part = slice(start, start + PORTION)
        flux[part] = model.spectrum(rows[part], velocity[part] if moving else None)

    starts = range(0, len(rows), PORTION)
    # matrix products that start threads of their own would only wait for each other
    with linear_algebra().limit(limits=1):
        if len(starts) == 1:
            work(0)
        else:
            with ThreadPoolExecutor(threads or cpu_count()) as pool:
                list(pool.map(work, starts))
    return flux.reshape(*labels.shape[:-1], flux.shape[1])


@cache
def linear_algebra() -> ThreadpoolController:
    """The linear-algebra libraries' own threads, to be limited."""
    return ThreadpoolController()


def mode_basis(
    kept: Iterable[np.ndarray], coefficients: int, finish: Finish, spectra: int | None = None
) -> Basis:
    """Principal components of the modes of kept spectra ``[spectrum, point]`` that arrive in batches.

    ``spectra``: how many they are, if that is known; fewer than modes take less time.

    The modes are those of spectra seen at the finest resolution of ``finish``, the sharpest that is ever
    asked for, so that nothing is spent on detail that no instrument of the domain passes. They are scaled as
    in ``scaled_modes``.
    """
    few = spectra is not None and spectra < 2 * finish.frequency.size
    return principal_components((scaled_modes(batch, finish) for batch in kept), coefficients, few)


def scaled_modes(kept: np.ndarray, finish: Finish, change: bool = False) -> np.ndarray:
    """Modes ``[spectrum, 2 x mode]``, real parts first, of kept spectra seen at the finest resolution.

    With ``change``, of differences between such spectra.

    Scaled so that the squared distance of two of them is the mean squared difference of the two spectra over
    the kept range (Parseval): all but the constant mode by sqrt(2).
    """
    modes = (finish.modes_of_change if change else finish.modes)(np.asarray(kept)) * _seen(finish)
    return np.concatenate([modes.real, modes.imag], axis=-1) * _parseval(finish)


def whitened(kept: Iterable[np.ndarray], basis: Basis, finish: Finish) -> np.ndarray:
    """Whitened coefficients ``[spectrum, coefficient]`` of kept spectra that arrive in batches."""
    encoder = basis.encoder()
    return np.concatenate([encoder(scaled_modes(batch, finish)) for batch in kept])


def assembled(
    domain: Domain,
    network: Network,
    basis: Basis,
    finish: Finish,
    filling: tuple[float, float] | None = None,
) -> Emulator:
    """The emulator of a network that gives the whitened coefficients of ``basis`` for the domain's labels.

    ``filling`` is the range of that label, which is added: see ``Emulator.filled``.
    """
    whole = network.then(_mode_decoder(basis, finish))
    made = Emulator(domain, whole, finish, LIMB_DARKENING, finish.finest_resolution)
    return made if filling is None else made.filled(*filling)


def trained_on(emulator: Emulator, network: Network) -> Emulator:
    """The emulator with another network before its basis: one of the outputs of that of ``parted``."""
    _, basis = parted(emulator)
    return replace(emulator, network=network.then(_mode_decoder(basis, emulator.finish)))


def _mode_decoder(basis: Basis, finish: Finish) -> Network:
    """Fixed network: whitened coefficients to modes."""
    weight = basis.components * basis.deviation[:, None]
    return linear(weight / _parseval(finish), basis.mean / _parseval(finish))


def parted(emulator: Emulator) -> tuple[Network, Basis]:
    """The network and the basis that ``assembled`` made an emulator of; it has no more of the variance."""
    (*layers, _), (*parameters, decoder) = emulator.network.layers, emulator.network.parameters
    factor = _parseval(emulator.finish)
    scaled = decoder["weight"] * factor
    deviation = np.linalg.norm(scaled, axis=1)
    basis = Basis(decoder["bias"] * factor, scaled / deviation[:, None], deviation, float(sum(deviation**2)))
    return Network(tuple(layers), tuple(parameters)), basis


def packed(emulators: Sequence[Emulator], band: Band, recipe: str = "", card: str = "") -> Model:
    """The emulators of a band's chunks, in order, as a model for a weights file.

    ``recipe`` is the digest of what it was trained on, ``card`` its model card (Markdown).
    """
    first = emulators[0]
    settings = {"limb_darkening": first.limb_darkening, "modes_resolution": first.modes_resolution}
    header = Header(FAMILY, first.domain, band.points, band.bare, recipe, card, settings)
    names = network_names(len(emulators))
    return Model(header, {name: each.network for name, each in zip(names, emulators, strict=True)})


def filled(model: Model, low: float, high: float) -> Model:
    """A trained model of emulators with the label ``filling`` in this range beside its own.

    What the model states of its errors stays. Errors as of ``Emulator.filled``, and of ``unpacked``.

    ``low`` and ``high``: its ends.
    """
    domain = unpacked(model)[0].filled(low, high).domain
    return replace(model, header=replace(model.header, domain=domain))


def network_names(chunks: int) -> list[str]:
    """Names in a weights file of the networks of a band's chunks."""
    return ["modes"] if chunks == 1 else [f"modes_{number}" for number in range(chunks)]


def unpacked(model: Model) -> tuple[Emulator, ...]:
    """The emulators of the chunks in a model, each at the points of the band between its edges.

    ``StoreError`` where the model is none, or says what cannot be.
    """
    header, settings = model.header, model.header.settings
    if header.band is None or header.points is None:
        raise StoreError(f"a model of the family {header.family!r} without a band and points is no emulator")
    band = header.band
    try:
        networks = [model.networks[name] for name in network_names(len(band.chunks))]
        limb_darkening, finest = float(settings["limb_darkening"]), float(settings["modes_resolution"])
    except KeyError as error:
        raise StoreError(f"a model of the family {header.family!r} without {error} is no emulator") from error
    except (TypeError, ValueError) as error:
        raise StoreError(f"the emulator's header makes no sense: {dict(settings)!r:.80}: {error}") from error
    try:
        finishes = band_finishes(band, finest, header.points.vacuum_aa)
        return tuple(
            Emulator(header.domain, network, finish, limb_darkening, finest)
            for network, finish in zip(networks, finishes, strict=True)
        )
    except StarloomError as error:
        raise StoreError(f"the emulator's header makes no sense: {error}") from error


def _seen(finish: Finish) -> np.ndarray:
    """What the modes of a kept spectrum are multiplied by to be seen at the finest resolution."""
    left = instrument_variance(finish.finest_resolution) - instrument_variance(finish.kept_resolution)
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
