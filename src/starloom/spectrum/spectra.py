"""Many spectra at the same wavelengths."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from math import prod
from types import MappingProxyType

import numpy as np

from starloom.errors import ConfigError
from starloom.labels import label
from starloom.spectrum import UNNAMED, Spectrum, json_copy, read_only, same


@dataclass(frozen=True, eq=False, repr=False)
class Spectra:
    """Normalised flux [..., wavelength] of many labels [..., label] at common wavelengths [A]; immutable.

    ``names`` are those of the labels, in order, by default the paper's six. ``error`` has the flux's shape,
    or is None; the rest is as in ``Spectrum``. Flux and error keep their precision, float32 from a generator;
    a ``Spectrum`` has the same numbers in float64. An array that can still be written to is copied; one that
    is read-only throughout is taken as it is. Equal are ``Spectra`` with the same numbers and the same
    header. Indexing gives a ``Spectrum``, or ``Spectra`` where more than one is left; iterating goes along
    the first axis. Raises ConfigError where the parts do not fit together or something is not finite.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    labels: np.ndarray
    _: KW_ONLY
    medium: str
    names: tuple[str, ...] = UNNAMED
    error: np.ndarray | None = None
    frame: str = "rest"
    provenance: Mapping = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "provenance", MappingProxyType(json_copy(self.provenance)))
        object.__setattr__(self, "names", tuple(label(name).name for name in self.names))
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"a label is there twice: {', '.join(self.names)}")
        for name in ("wavelength", "flux", "labels", "error"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name)))
        expected = {"labels": (*self.shape, len(self.names)), "flux": (*self.shape, self.wavelength.size)}
        if self.error is not None:
            expected["error"] = expected["flux"]
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ConfigError(f"{name} has the shape {array.shape}, expected {shape}")
            if not np.isfinite(array).all():
                raise ConfigError(f"{name} of {prod(self.shape)} spectra is not finite everywhere")

    def __eq__(self, other) -> bool:
        return same(self, other) if isinstance(other, Spectra) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.medium, self.frame, self.flux.shape))

    def __reduce__(self):
        # a read-only mapping cannot be pickled; the constructor makes it again
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return _rebuild, (parts | {"provenance": dict(self.provenance)},)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels without their last axis."""
        return self.flux.shape[:-1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index) -> "Spectrum | Spectra":
        labels, flux = self.labels[index], self.flux[index]
        error = None if self.error is None else self.error[index]
        about = {"medium": self.medium, "frame": self.frame, "error": error, "provenance": self.provenance}
        if labels.ndim == 1:
            named = dict(zip(self.names, labels.tolist(), strict=True))
            return Spectrum(self.wavelength, flux, labels=named, **about)
        return Spectra(self.wavelength, flux, labels, names=self.names, **about)

    def __iter__(self) -> "Iterator[Spectrum | Spectra]":
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        ends = f"{self.wavelength[0]:g} to {self.wavelength[-1]:g} A in {self.medium}"
        return f"Spectra({self.shape}, {self.wavelength.size} wavelengths, {ends}, {self.frame} frame)"


def _rebuild(parts: dict) -> Spectra:
    return Spectra(**parts)
