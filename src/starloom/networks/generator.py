"""The generator: labels to spectra with a trained model, at any wavelengths it knows, with its error.

Nothing is extrapolated: labels must lie in the domain (or are clipped into it when asked, with a warning),
and wavelengths, moved to the star's frame, in the range that the model knows for these labels.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, wraps
from inspect import signature
from math import prod
from typing import Any

import numpy as np

from starloom import bands, extras, memory, notebook
from starloom.arrays import one_line
from starloom.broadening import ROUNDING_AA, doppler_shift
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError, StarloomError, StoreError
from starloom.labels import Domain, number
from starloom.networks import emulator, flux_correction, weights
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.flux_correction import FluxCorrection, at_rest
from starloom.networks.identity import digest
from starloom.networks.physics_error import PhysicsError, physics_in
from starloom.networks.pixels import PixelNetwork
from starloom.networks.reduction import Reduction
from starloom.networks.stated_error import MEASURES, StatedError, stated_in
from starloom.networks.weights import Header, Model, model_for
from starloom.recipes import one_of
from starloom.spectrum import Spectrum, finished
from starloom.spectrum.spectra import Spectra
from starloom.units import plain
from starloom.wavelength import AIR_RANGE_AA, MEDIA, from_vacuum, to_vacuum

Generating = Emulator | BandEmulator | PixelNetwork
OUTSIDE = ("error", "clip")
ERRORS = {  # of spectra, and what their provenance says of them
    "emulator": "size that holds 68 % of the errors of held-out spectra near these labels",
    "physics": "standard deviation by the strengths of lines, and a floor",
    "both": "emulator's 68 % size and physics' standard deviation, added in quadrature",
}
CORRECTION_ERROR = "the correction's standard deviation"
PORTION = 64  # Jacobians, or patterns of the physics error, at once


def _telling(method: Callable) -> Callable:
    """The method, which names its arguments where it is given one that it does not have."""
    names = list(signature(method).parameters)[1:]

    @wraps(method)
    def checked(*positional, **given):
        if unknown := [name for name in given if name not in names]:
            raise ConfigError(f"{method.__name__} has no argument {unknown[0]}: it has {', '.join(names)}")
        return method(*positional, **given)

    return checked


class OutsideDomainWarning(UserWarning):
    """Labels were clipped into the domain."""


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """Where a spectrum is looked at: increasing wavelengths [A] in ``medium``, and radial velocity [km/s].

    The velocity (positive: away from us) is a number or an array of the labels' leading shape.
    """

    wavelength_aa: np.ndarray
    medium: str
    radial_velocity: np.ndarray

    __repr__ = one_line

    def __post_init__(self):
        low, high = AIR_RANGE_AA
        wavelength = self.wavelength_aa
        if wavelength.ndim != 1 or wavelength.size == 0 or not (np.diff(wavelength) > 0).all():
            raise ConfigError("wavelength: one axis of increasing wavelengths is needed")
        if not (np.isfinite(wavelength).all() and low <= wavelength[0] and wavelength[-1] <= high):
            raise OutOfRangeError(
                f"wavelength = {wavelength[0]:g}..{wavelength[-1]:g} A is outside [{low:g}, {high:g}] A"
            )
        if not (np.abs(self.radial_velocity) < SPEED_OF_LIGHT_KMS).all():
            raise OutOfRangeError(f"radial_velocity = {self.radial_velocity} km/s is not inside (-c, c)")

    @cached_property
    def vacuum_aa(self) -> np.ndarray:
        """The wavelengths in vacuum."""
        return to_vacuum(self.wavelength_aa, self.medium)

    @property
    def frame(self) -> str:
        """A spectrum that moves is one as seen from the Solar system's barycentre."""
        return "barycentric" if np.any(self.radial_velocity != 0) else "rest"


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained model that turns labels into spectra. Made by ``load``.

    All methods take ``labels[..., label]`` in the order and units of the model's ``domain``, and:

    ``wavelength_aa``: increasing wavelengths [A] in ``medium`` ("air" or "vacuum"); default the model's own
    points (for the model ``default`` 8400.0 to 8799.9 A in air, in steps of 0.1 A);
    ``radial_velocity`` [km/s], positive away from us: a number or an array of the labels' leading shape;
    ``outside``: "error" (OutOfRangeError, the default) or "clip" (into the domain, including the corner near
    the radiation limit, with an OutsideDomainWarning) for labels outside the domain.

    Raises OutOfRangeError where a wavelength, in the star's frame, is one the model does not know.

    ``name`` is how it was asked for, ``stated`` what it says of its errors, ``physics`` what its physics
    leaves uncertain, ``correction`` what it learned from observed stars (``corrected``); None where it
    has none.

    >>> generator = starloom.Generator.load()
    >>> sun = generator.domain.array(teff=5777, logg=4.44, vsini=2, mh=0, vmic=1, resolution=11500)
    >>> generator.flux(sun).shape, generator.flux([sun, sun], wavelength_aa=[8498, 8542, 8662]).shape
    ((4000,), (2, 3))
    """

    name: str
    header: Header
    model: Generating
    stated: StatedError | None = None
    physics: PhysicsError | None = None
    correction: FluxCorrection | None = None

    @classmethod
    def load(cls, name: str | os.PathLike = "default") -> "Generator":
        """The packaged model of this name ("default", "default-2026-lte"), or the one in a weights file.

        Raises ConfigError for an unknown name, ParseError for a file that is damaged, and StoreError for one
        that was made for other labels or is no generator.
        """
        return cls.of(weights.load(weights.find(name)), str(name))

    @classmethod
    def of(cls, model: Model, name: str) -> "Generator":
        """The generator in a model; ``StoreError`` where it is none.

        ``name`` is how messages call it.
        """
        header = model.header
        if header.family == emulator.FAMILY:
            chunks = emulator.unpacked(model)
            own = chunks[0] if len(chunks) == 1 else BandEmulator(chunks, header.points.vacuum_aa)
            return cls(name, header, own, stated_in(model), physics_in(model))
        if header.family == "generator" and "generator" in model.networks and header.points:
            pixels = PixelNetwork(header.domain, model.networks["generator"], header.points)
            return cls(name, header, pixels, stated_in(model))
        raise StoreError(f"{name}: a model of the family {header.family!r} generates no spectra")

    @property
    def domain(self) -> Domain:
        """The labels that the model takes, in order, and the ranges in which it was trained."""
        return self.header.domain

    @cached_property
    def digest(self) -> str:
        """16 digits by which its labels and networks are known; not its name, card or stated errors."""
        chunks = self.model.chunks
        networks = [[chunk.network.architecture, chunk.network.parameters] for chunk in chunks]
        grids = [[chunk.finish.grid.first_aa, chunk.finish.grid.points] for chunk in chunks]
        return digest([self.domain.mapping, grids, networks])

    def corrected(self, correction: FluxCorrection | str | os.PathLike | None) -> "Generator":
        """The same model with a ``correction`` of its flux, or the one in that file; None: without.

        StoreError for one that was learned on another model, ParseError for a file that is damaged,
        ConfigError for a model that is no emulator.
        """
        if correction is None:
            return replace(self, correction=None)
        if not isinstance(self.model, Emulator | BandEmulator):
            raise ConfigError(f"model {self.name} is no emulator: it takes no correction")
        found = correction if isinstance(correction, FluxCorrection) else flux_correction.load(correction)
        if found.model != self.digest:
            told = "it was learned on another model" if found.model else "it is of no model"
            raise StoreError(f"correction {found.digest} is not for the model {self.name}: {told}")
        return replace(self, correction=found)

    def only(self, *names: str) -> "Generator":
        """The same model as a function of these labels alone; every other one has its default.

        [alpha/M] is then 0, an element follows it or is 0, as in ``Domain.defaults``. Raises ConfigError for
        a label that the model does not have, or for one without a default that is missing.

        ``names``: the labels, in the order that they then have.
        """
        return self.reduced(Reduction.of(self.domain, names))

    def reduced(self, reduction: Reduction) -> "Generator":
        """The same model by the labels that a reduction of its domain starts from."""
        return replace(
            self,
            header=replace(self.header, domain=reduction.domain),
            model=self.model.reduced(reduction),
            stated=self.stated and replace(self.stated, reduction=reduction),
        )

    def __repr__(self) -> str:
        ends = f"{self.header.points.first_aa:g} to {self.header.points.last_aa:g} A"
        return f"Generator({self.name!r}, {self.header.family} of {', '.join(self.domain.names)}; {ends})"

    def _repr_html_(self) -> str:
        points = self.header.points
        ends = f"{points.count} points, {points.first_aa:g} to {points.last_aa:g} A in {points.medium}"
        stated = self.stated and f"states its errors, of {self.stated.spectra} held-out spectra"
        rows = [("family", self.header.family), ("wavelengths", ends), ("errors", stated or "not stated")]
        own = notebook.table(f"Generator {self.name!r}", (), rows)
        return f"{own}\n{self.domain._repr_html_()}"

    @_telling
    def flux(
        self, labels, *, wavelength_aa=None, medium: str = "air", radial_velocity=0.0, outside: str = "error"
    ) -> np.ndarray:
        """Normalised flux float32[..., wavelength]."""
        chosen = self._view(wavelength_aa, medium, radial_velocity)
        _check_memory(chosen, labels)
        labels = _inside(self.domain, labels, outside)
        return self._flux(chosen, labels)

    def _flux(self, view: Viewpoint, labels: np.ndarray) -> np.ndarray:
        """The flux of checked labels, corrected where there is a correction."""
        flux = self._model_in(view, labels).flux(labels, view.radial_velocity)
        if self.correction is None:
            return flux
        return flux * np.exp(self._of_correction(self.correction.log_ratio, view, labels))

    def _of_correction(
        self, function: Callable, view: Viewpoint, labels: np.ndarray, *further: int
    ) -> np.ndarray:
        """``function`` of the correction, of domain, labels and wavelengths at rest: ``[..., wavelength]``.

        ``further``: lengths of axes behind the wavelengths.
        """
        return _by_portions(
            lambda rows, velocity: function(self.domain, rows, at_rest(view.vacuum_aa, velocity)),
            labels,
            view.radial_velocity,
            (view.wavelength_aa.size, *further),
        )

    @_telling
    def correction_error(
        self, labels, *, wavelength_aa=None, medium: str = "air", radial_velocity=0.0, outside: str = "error"
    ) -> np.ndarray | None:
        """What the correction leaves uncertain of the flux: float32[..., wavelength], or None without one.

        A standard deviation, correlated from pixel to pixel: small where it was learned, that of the prior
        where no star told it anything.
        """
        chosen = self._view(wavelength_aa, medium, radial_velocity)
        _check_memory(chosen, labels, 2)
        labels = _inside(self.domain, labels, outside)
        if self.correction is None:
            return None
        return self._flux(chosen, labels) * self._of_correction(self.correction.deviation, chosen, labels)

    @_telling
    def error(
        self,
        labels,
        measure: str = "p68",
        *,
        wavelength_aa=None,
        medium: str = "air",
        radial_velocity=0.0,
        outside: str = "error",
    ) -> np.ndarray | None:
        """What the model states about its error: float32[..., wavelength], or None where it says nothing.

        ``measure``: "mean" of the absolute error; "p68" and "p99", the sizes that hold 68 % and 99 % of it.
        Measured on held-out spectra near these labels and wavelengths (``StatedError``).
        """
        one_of(MEASURES, measure=measure)
        chosen = self._view(wavelength_aa, medium, radial_velocity)
        _check_memory(chosen, labels)
        labels = _inside(self.domain, labels, outside)
        _check_shape(chosen, labels)
        if self.stated is None:
            return None
        to_rest = np.exp(-doppler_shift(chosen.radial_velocity) / SPEED_OF_LIGHT_KMS)
        return self.stated.at(measure, labels, chosen.vacuum_aa * to_rest[..., None])

    @_telling
    def physics_error(
        self, labels, *, wavelength_aa=None, medium: str = "air", radial_velocity=0.0, outside: str = "error"
    ) -> np.ndarray | None:
        """What the physics that the model learned leaves uncertain: float32[..., wavelength], or None.

        A standard deviation: by the strengths of lines and a floor (``PhysicsError``), correlated from pixel
        to pixel; None where the model has none.
        """
        chosen = self._view(wavelength_aa, medium, radial_velocity)
        _check_memory(chosen, labels)
        labels = _inside(self.domain, labels, outside)
        model = self._model_in(chosen, labels)
        if self.physics is None:
            return None

        def deviation(rows: np.ndarray, velocity: np.ndarray) -> np.ndarray:
            halves = self.physics.halves(self.domain, rows)
            return self.physics.deviation(model.patterns(halves, rows, velocity))

        return _by_portions(deviation, labels, chosen.radial_velocity, (chosen.wavelength_aa.size,))

    @_telling
    def jacobian(
        self, labels, *, wavelength_aa=None, medium: str = "air", radial_velocity=0.0, outside: str = "error"
    ) -> np.ndarray:
        """Derivatives of the flux by the labels, per unit of each: float32[..., wavelength, label].

        Exact (forward mode) through JAX; ConfigError where it is not installed.
        """
        chosen = self._view(wavelength_aa, medium, radial_velocity)
        _check_memory(chosen, labels, len(self.domain.labels))
        labels = _inside(self.domain, labels, outside)
        model = self._model_in(chosen, labels)
        derivative = _derivative(model)
        single = labels.astype(np.float32), chosen.radial_velocity.astype(np.float32)
        size = (chosen.wavelength_aa.size, labels.shape[-1])
        found = _by_portions(derivative, *single, size)
        if self.correction is None:
            return found
        flux = model.flux(labels, chosen.radial_velocity)[..., None]

        def slopes(domain: Domain, rows: np.ndarray, rest: np.ndarray) -> np.ndarray:
            return self.correction.with_slopes(domain, rows, rest, domain.names).swapaxes(1, 2)

        ratio = self._of_correction(slopes, chosen, labels, 1 + size[1])
        return np.exp(ratio[..., :1]) * (found + flux * ratio[..., 1:])

    @_telling
    def spectra(
        self,
        labels,
        *,
        error: str = "emulator",
        wavelength_aa=None,
        medium: str = "air",
        radial_velocity=0.0,
        outside: str = "error",
    ) -> Spectra:
        """Spectra of many labels at once, with their ``error``, which is said in their provenance.

        "emulator": the 68 % error that the model states; "physics": ``physics_error``; "both": the root of
        the sum of their squares. ConfigError for a model that has no physics error, where that is asked for.
        """
        one_of(ERRORS, error=error)
        chosen = self._view(wavelength_aa, medium, radial_velocity)
        _check_memory(chosen, labels, 1 if self.stated is None else 2)
        wanted = plain("labels", labels, "")
        labels = _inside(self.domain, wanted, outside)
        flux = self._flux(chosen, labels)
        view = {"wavelength_aa": wavelength_aa, "medium": medium, "radial_velocity": radial_velocity}
        found = self._errors(error, labels, view)
        provenance = {"model": self.name, "family": self.header.family, "version": self.header.version}
        if self.header.recipe:
            provenance["recipe"] = self.header.recipe
        if found is not None:
            provenance["error"] = ERRORS[error]
        if self.correction is not None:
            provenance["correction"] = self.correction.title
            provenance["correction_libraries"] = list(self.correction.about.get("libraries", ()))
            provenance["error"] = ", and ".join([ERRORS[error]] * (found is not None) + [CORRECTION_ERROR])
            own = flux * self._of_correction(self.correction.deviation, chosen, labels)
            found = own if found is None else np.hypot(found, own)
        if (labels != wanted).any():
            provenance["clipped"] = "labels outside the domain were moved to its edge"
        return Spectra(
            chosen.wavelength_aa,
            finished(flux),
            labels,
            names=self.domain.names,
            medium=chosen.medium,
            frame=chosen.frame,
            error=None if found is None else finished(found),
            provenance=provenance | _velocity_note(chosen.radial_velocity),
        )

    def _errors(self, error: str, labels: np.ndarray, view: Mapping) -> np.ndarray | None:
        """The errors of one of ERRORS, or None where the model states none."""
        if error != "emulator" and self.physics is None:
            raise ConfigError(f"error = {error!r}: model {self.name} has no physics error")
        own = self.error(labels, **view) if error != "physics" else None
        if error == "emulator":
            return own
        physics = self.physics_error(labels, **view)
        return physics if own is None else np.hypot(own, physics)

    @_telling
    def spectrum(
        self,
        labels,
        *,
        error: str = "emulator",
        wavelength_aa=None,
        medium: str = "air",
        radial_velocity=0.0,
        outside: str = "error",
    ) -> Spectrum:
        """The spectrum of one set of labels, one number each, with its ``error`` as of ``spectra``.

        ConfigError for another number of labels.
        """
        labels = plain("labels", labels, "")
        if labels.shape != (expected := (len(self.domain.labels),)):
            raise ConfigError(f"labels have the shape {labels.shape}, expected {expected}")
        view = {"wavelength_aa": wavelength_aa, "medium": medium, "radial_velocity": radial_velocity}
        return self.spectra(labels, error=error, outside=outside, **view)[()]

    def _view(self, wavelength_aa, medium: str, radial_velocity) -> Viewpoint:
        one_of(MEDIA, medium=medium)
        velocity = plain("radial_velocity", radial_velocity, "km/s")
        if wavelength_aa is not None:
            return Viewpoint(plain("wavelength", wavelength_aa, "Angstrom"), medium, velocity)
        return replace(self._own_views[medium], radial_velocity=velocity)

    @cached_property
    def _own_views(self) -> dict[str, Viewpoint]:
        """The model's own points at rest, by medium."""
        points = self.header.points
        own = {medium: from_vacuum(points.vacuum_aa, medium) for medium in MEDIA}
        own[points.medium] = points.wavelength_aa  # without the rounding of there and back
        return {medium: Viewpoint(wavelength, medium, np.zeros(())) for medium, wavelength in own.items()}

    def _model_in(self, view: Viewpoint, labels: np.ndarray) -> Generating:
        """The model at the view's wavelengths; error where it does not know one of them for the labels."""
        _check_shape(view, labels)
        self._check_range(view, labels)
        if view.wavelength_aa is self._own_views[view.medium].wavelength_aa:
            return self.model
        return _placed(self.model, view.vacuum_aa.tobytes())

    def _check_range(self, view: Viewpoint, labels: np.ndarray) -> None:
        if labels.size == 0:
            return
        ends = [end.ravel() for end in self.model.known(labels, view.radial_velocity)]
        low, high = ends[0].max(), ends[1].min()
        ends = view.wavelength_aa[[0, -1]]
        first, last = to_vacuum(ends, view.medium)
        if low - ROUNDING_AA <= first and last <= high + ROUNDING_AA:
            return
        low, high = (from_vacuum(end, view.medium) for end in (low, high))
        low, high = np.ceil(1e3 * low - 1e-3) / 1e3, np.floor(1e3 * high + 1e-3) / 1e3
        if low > high:
            moved = np.ravel(view.radial_velocity)
            told = f"radial_velocity = {number(moved.min())}..{number(moved.max())} km/s"
            raise OutOfRangeError(f"{told}: of no wavelength the model knows the flux of all")
        asked = f"wavelength = {view.wavelength_aa[0]:.10g}..{view.wavelength_aa[-1]:.10g} A ({view.medium})"
        raise OutOfRangeError(
            f"{asked} is outside [{low:.10g}, {high:.10g}] A, what the model knows for these "
            "labels and radial velocity: give wavelengths within"
        )


def generate(
    *,
    model: str | os.PathLike | None = None,
    error: str = "emulator",
    wavelength_aa=None,
    medium: str = "air",
    band: str | None = None,
    radial_velocity=0.0,
    outside: str = "error",
    correction: FluxCorrection | str | os.PathLike | None = None,
    **labels,
) -> Spectrum | Spectra:
    """The spectrum of a star from its labels, by a trained model: ``default``, unless another is named.

    ``labels`` are those of the model, by name, for ``default``: teff [K], logg [dex], vsini [km/s], mh [dex],
    vmic [km/s], resolution; and, with a default where they are not given (``Domain.defaults``), alpha [dex],
    elements ([X/M], dex) and filling (of the Ca II cores, of the continuum). Each is a number, an array (they
    broadcast against each other) or an astropy quantity. Plain numbers give a ``Spectrum``, arrays
    ``Spectra`` of their common shape. The rest, and what is raised, as in ``Generator``.

    ``outside`` and ``error`` as of ``Generator.spectra``, ``correction`` as of ``Generator.corrected``;
    ConfigError for labels that the model does not have, or that are missing. ``band`` gives the wavelengths
    of an installed band in the place of ``wavelength_aa`` and ``medium``, "galah" those of all its arms; the
    model is then ``optical``, unless named.

    >>> sun = starloom.generate(teff=5777, logg=4.44, vsini=2, mh=0, vmic=1, resolution=11500)
    >>> print(sun)
    Spectrum(4000 wavelengths, 8400 to 8799.9 A in air, rest frame)
    >>> starloom.generate(teff=[5000, 6000], logg=4.5, vsini=2, mh=0, vmic=1, resolution=11500).flux.shape
    (2, 4000)
    """
    generator = loaded(model or model_for(band), correction)
    if band is not None:
        if wavelength_aa is not None:
            raise ConfigError("band and wavelength_aa exclude each other")
        wavelength_aa, medium = bands.window(band)
    try:
        wanted = generator.domain.array(**labels)
    except ConfigError as fault:
        if set(labels) <= set(generator.domain.names):
            raise
        options = "model, error, correction, wavelength_aa, medium, band, radial_velocity and outside"
        others = models_with(set(labels) - set(generator.domain.names))
        raise ConfigError(f"{fault}; further arguments are {options}{others}") from fault
    view = {"wavelength_aa": wavelength_aa, "medium": medium, "radial_velocity": radial_velocity}
    return generator.spectra(wanted, error=error, outside=outside, **view)[()]


def models_with(names: set[str]) -> str:
    """Which installed models have labels of these names, at the end of a message; nothing where none has."""
    known = [each for each in weights.names() if names <= _labels_of(each)]
    return f"; model {' or '.join(map(repr, known))} has {', '.join(sorted(names))}" if known else ""


def _labels_of(model: str) -> set[str]:
    """Labels of an installed model; none where it is damaged or no generator: others tell that."""
    try:
        return set(loaded(model).domain.names)
    except StarloomError:
        return set()


def loaded(
    model: str | os.PathLike = "default", correction: FluxCorrection | str | os.PathLike | None = None
) -> Generator:
    """``Generator.load``, but the same object each time, for as long as the files are the same.

    ``correction``: one of its flux, or the file of one (``Generator.corrected``).
    """
    name = weights.named(model)
    stamp = _stamp(name) if weights.is_path(name) else None
    if correction is None:
        return _loaded(name, stamp)
    if isinstance(correction, FluxCorrection):
        return _loaded(name, stamp).corrected(correction)
    path = os.fspath(correction)
    return _corrected(name, stamp, path, _stamp(path))


def _stamp(path: str) -> tuple | None:
    """What a file is known by; None where there is none."""
    if not os.path.exists(path):
        return None
    about = os.stat(path)
    return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size


@lru_cache(maxsize=8)
def _loaded(name: str, stamp: tuple | None) -> Generator:
    return Generator.load(name)


@lru_cache(maxsize=8)
def _corrected(name: str, stamp: tuple | None, path: str, correction: tuple | None) -> Generator:
    return _loaded(name, stamp).corrected(path)


@lru_cache(maxsize=8)
def _placed(model: Generating, vacuum_aa: bytes) -> Generating:
    """The model at other wavelengths; making it takes longer than one spectrum."""
    return model.on(np.frombuffer(vacuum_aa))


@lru_cache(maxsize=8)
def _derivative(model: Generating) -> Any:
    """Jacobians [spectrum, wavelength, label] of labels and velocities [spectrum, ...], compiled."""
    try:
        import jax
    except ImportError as error:
        raise ConfigError(extras.absent("jax")) from error
    return jax.jit(jax.vmap(jax.jacfwd(model.spectrum)))


def _inside(domain: Domain, labels, outside: str) -> np.ndarray:
    """Labels that are in the domain: checked, or clipped into it with a warning."""
    one_of(OUTSIDE, outside=outside)
    labels = plain("labels", labels, "")
    if outside == "error" or labels.ndim == 0 or labels.shape[-1] != len(domain.labels):
        domain.check(labels)
        return labels
    clipped = domain.clip(labels)
    domain.check(clipped)  # what is not a number stays outside
    try:
        domain.check(labels)
    except OutOfRangeError as fault:
        warnings.warn(f"clipped into the domain: {fault}", OutsideDomainWarning, stacklevel=4)
    return clipped


def _by_portions(
    function: Callable, labels: np.ndarray, radial_velocity: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """``function(labels[row, label], velocity[row])``, float32[row, *shape], of labels with leading axes."""
    rows = labels.reshape(-1, labels.shape[-1])
    velocity = np.broadcast_to(radial_velocity, labels.shape[:-1]).reshape(-1)
    found = np.empty((len(rows), *shape), np.float32)
    for start in range(0, len(rows), PORTION):
        part = slice(start, start + PORTION)
        found[part] = function(rows[part], velocity[part])
    return found.reshape(*labels.shape[:-1], *shape)


def _check_memory(view: Viewpoint, labels, arrays: int = 1) -> None:
    """Raise OutOfRangeError where so many arrays float32[..., wavelength] are more than can be held."""
    count, points = prod(np.shape(labels)[:-1]), view.wavelength_aa.size
    memory.check(f"{count} spectra of {points} wavelengths", 4 * arrays * count * points)


def _check_shape(view: Viewpoint, labels: np.ndarray) -> None:
    try:
        np.broadcast_to(view.radial_velocity, labels.shape[:-1])
    except ValueError as error:
        shapes = f"{view.radial_velocity.shape}, the labels {labels.shape[:-1]}"
        raise ConfigError(f"radial_velocity has the shape {shapes}") from error


def _velocity_note(velocity: np.ndarray) -> dict[str, float]:
    """The velocity for a spectrum's provenance, where it is one for all."""
    return {"radial_velocity_kms": float(velocity)} if velocity.ndim == 0 and velocity != 0 else {}
