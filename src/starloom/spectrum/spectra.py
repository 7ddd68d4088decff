"""Many spectra at the same wavelengths."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from importlib import import_module
from math import prod
from os import PathLike
from types import MappingProxyType

import numpy as np

from starloom import notebook
from starloom.errors import ConfigError
from starloom.figures import COLOURS, pyplot
from starloom.labels import LABELS, label
from starloom.spectrum import (
    UNNAMED,
    Quantities,
    Spectrum,
    json_copy,
    name_axes,
    new_axes,
    read_only,
    same,
)

NAMED = 12  # spectra that a legend has room for


@dataclass(frozen=True, eq=False, repr=False)
class Spectra(Quantities):
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

    @property
    def flat(self) -> "Spectra":
        """The same spectra along one axis, in the order of their indices."""
        flux, labels = (array.reshape(-1, array.shape[-1]) for array in (self.flux, self.labels))
        error = None if self.error is None else self.error.reshape(flux.shape)
        return replace(self, flux=flux, labels=labels, error=error)

    @property
    def flux_unit(self) -> str:
        """As of a ``Spectrum``: "", for the flux is divided by the continuum."""
        return ""

    @classmethod
    def read(cls, path: str | PathLike) -> "Spectra":
        """The spectra in a file that ``write`` or ``io.write_many`` made. Raises ParseError, ConfigError."""
        return import_module("starloom.io").read_many(path)[1]

    def write(self, path: str | PathLike, overwrite: bool = False) -> None:
        """Write all into one file, a row for each of ``flat``: FITS, or HDF5 (extra ``starloom[database]``).

        ``Spectra.read`` returns ``flat``, to the bit. Raises ConfigError for another format, where there is
        no spectrum, or where ``path`` exists and ``overwrite`` is not set; WriteError where it cannot be
        written.
        """
        rows = self.flat
        if not len(rows):
            raise ConfigError(f"{path}: there are no spectra to write")
        # the one format of many spectra is that of tables of labels too, which lie above this module
        io = import_module("starloom.io")
        io.write_many(path, [io.Portion(np.arange(1, len(rows) + 1), rows)], overwrite)

    def to_table(self):
        """An astropy ``Table`` with a row for each of ``flat``: labels with units, flux and error as arrays.

        Its meta has the wavelengths, what they are in, and the provenance.
        """
        from astropy.table import Column, Table

        rows = self.flat
        columns = {
            name: Column(column, unit=LABELS[name].unit or None)
            for name, column in zip(self.names, rows.labels.T, strict=True)
        }
        columns |= {name: array for name in ("flux", "error") if (array := getattr(rows, name)) is not None}
        meta = {"wavelength": self.wavelength_quantity, "medium": self.medium, "frame": self.frame}
        return Table(columns, meta=meta | {"provenance": dict(self.provenance)})

    def to_pandas(self):
        """A ``pandas.DataFrame`` of flux (extra ``starloom[pandas]``), a row for each of ``flat``.

        Its columns are the wavelengths, its index the labels; the rest is in its attrs, without ``error``.
        """
        pandas, rows = import_module("starloom.spectrum.pandas"), self.flat
        about = {"medium": self.medium, "frame": self.frame, "provenance": dict(self.provenance)}
        index = pandas.indexed_by(self.names, rows.labels)
        columns = dict(zip(self.wavelength.tolist(), rows.flux.T, strict=True))
        return pandas.data_frame(columns, about, index)

    def to_specutils(self):
        """The same as one ``specutils.Spectrum`` (extra ``starloom[specutils]``), the rest in its meta."""
        parts = {name: getattr(self, name) for name in ("wavelength", "flux", "error", "medium", "frame")}
        labels = dict(zip(self.names, np.moveaxis(self.labels, -1, 0), strict=True))
        parts |= {"mask": None, "flux_unit": "", "labels": labels, "provenance": dict(self.provenance)}
        return import_module("starloom.spectrum.specutils").to_specutils(parts)

    def plot(self, axes=None, **style):
        """Draw all with matplotlib; up to twelve are named by the labels in which they differ.

        ``axes`` are those of a new figure unless given; ``style`` goes to their ``plot``. Returns the axes.
        Raises ConfigError where there is no spectrum.
        """
        rows = self.flat
        if not len(rows):
            raise ConfigError("there are no spectra to draw")
        axes = new_axes() if axes is None else axes
        differ = {name for name, column in zip(self.names, rows.labels.T, strict=True) if np.ptp(column) > 0}
        if len(rows) > len(COLOURS):  # from dark to light, for no colour may come twice
            axes.set_prop_cycle(color=pyplot().get_cmap("viridis")(np.linspace(0, 0.85, len(rows))))
        for flux, labels in zip(rows.flux, rows.labels.tolist(), strict=True):
            named = zip(self.names, labels, strict=True)
            text = ", ".join(LABELS[name].shown(value) for name, value in named if name in differ)
            axes.plot(self.wavelength, flux, **{"linewidth": 0.8, "label": text} | style)
        if differ and len(rows) <= NAMED:
            axes.legend(fontsize="small")
        common = dict(zip(self.names, rows.labels[0].tolist(), strict=True))
        name_axes(axes, self, {name: value for name, value in common.items() if name not in differ})
        return axes

    def _repr_html_(self) -> str:
        head = [f"{LABELS[name].symbol} [{LABELS[name].unit}]".removesuffix(" []") for name in self.names]
        rows = self.flat
        shown = [[f"{value:.6g}" for value in row] for row in rows.labels[:NAMED].tolist()]
        more = f"and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
        return notebook.table(repr(self), head, shown, more)

    def __repr__(self) -> str:
        ends = f"{self.wavelength[0]:g} to {self.wavelength[-1]:g} A in {self.medium}"
        return f"Spectra({self.shape}, {self.wavelength.size} wavelengths, {ends}, {self.frame} frame)"


def _rebuild(parts: dict) -> Spectra:
    return Spectra(**parts)
