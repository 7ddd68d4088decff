"""A spectrum: what is made, written, read, plotted and compared."""

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from textwrap import fill
from types import MappingProxyType

import numpy as np

from starloom import notebook
from starloom.constants import ALPHA_ELEMENTS, SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.figures import pyplot, styled
from starloom.files import check_target, parsing, replacing
from starloom.labels import LABELS, TABLE_1, label, number
from starloom.recipes import one_of
from starloom.units import plain
from starloom.wavelength import AIR_RANGE_AA, MEDIA, air_from_vacuum, vacuum_from_air

FRAMES = ("rest", "barycentric", "heliocentric", "topocentric")
FORMATS = (".fits", ".ecsv", ".csv")  # each is read and written by the module of that name
PLACES = {name: place for place, name in enumerate(LABELS)}
TITLE_WIDTH = 110  # letters of a line
GAP = 5.0  # times the usual step: no line is drawn across it
UNNAMED = TABLE_1.names  # what labels mean that come as an array without names


class Quantities:
    """What has wavelengths, flux and error, and they as astropy quantities."""

    @property
    def wavelength_quantity(self):
        """Wavelengths as an astropy Quantity."""
        return _quantity(self.wavelength, "Angstrom")

    @property
    def flux_quantity(self):
        """Flux as an astropy Quantity."""
        return _quantity(self.flux, self.flux_unit)

    @property
    def error_quantity(self):
        """Error as an astropy Quantity, or None."""
        return None if self.error is None else _quantity(self.error, self.flux_unit)


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Quantities):
    """Flux against wavelength, with what is needed to understand it; immutable.

    ``wavelength`` [Angstrom] must rise; ``flux``, ``error`` (standard deviation) and ``mask`` (True where a
    pixel must not be used) have its length; flux and error are finite wherever the mask is not set.
    ``medium`` is one of MEDIA, ``frame`` one of FRAMES. ``flux_unit`` is an astropy unit string, "" for flux
    divided by the continuum. ``labels`` are the star's, as far as known, by their names in ``LABELS``; an
    array is taken for the paper's six. ``provenance`` is anything JSON can hold. Astropy quantities are
    converted. All numbers are copied, to float64. Equal are spectra with the same numbers and the same
    header. Raises ConfigError where the parts do not fit together.

    >>> star = starloom.Spectrum([8500.0, 8500.1, 8500.2], [1.0, 0.9, 1.0], medium="air", frame="rest")
    >>> print(star.to_vacuum().wavelength.round(3))
    [8502.336 8502.436 8502.536]
    """

    wavelength: np.ndarray
    flux: np.ndarray
    _: KW_ONLY
    medium: str
    error: np.ndarray | None = None
    mask: np.ndarray | None = None
    frame: str = "rest"
    flux_unit: str = ""
    labels: Mapping[str, float] | np.ndarray | None = None
    provenance: Mapping = field(default_factory=dict)

    def __post_init__(self):
        one_of(MEDIA, medium=self.medium)
        one_of(FRAMES, frame=self.frame)
        unit = _unit_string(self.flux_unit)
        parts = {
            "flux_unit": unit,
            "wavelength": plain("wavelength", self.wavelength, "Angstrom"),
            "flux": plain("flux", self.flux, unit),
            "error": None if self.error is None else plain("error", self.error, unit),
            "mask": None if self.mask is None else np.array(self.mask, dtype=bool),
            "labels": MappingProxyType(_labels_by_name(self.labels)),
            "provenance": MappingProxyType(json_copy(self.provenance)),
        }
        for name, value in parts.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        """Raise ConfigError where the arrays do not fit together."""
        size = self.wavelength.size
        if self.wavelength.ndim != 1 or size == 0:
            raise ConfigError(f"wavelength has the shape {self.wavelength.shape}, expected (n,) with n > 0")
        if not (np.isfinite(self.wavelength).all() and self.wavelength[0] > 0):
            raise ConfigError("wavelengths must be finite and positive")
        if (fall := np.diff(self.wavelength) <= 0).any():
            where = number(self.wavelength[1:][fall][0])
            raise ConfigError(f"wavelengths do not rise at {where} A ({fall.sum()} of {size})")
        for name in ("flux", "error", "mask"):
            array = getattr(self, name)
            if array is not None and array.shape != (size,):
                raise ConfigError(f"{name} has the shape {array.shape}, the wavelengths ({size},)")
        self._check_values("flux", np.isfinite(self.flux), "not finite")
        if self.error is not None:
            self._check_values("error", np.isfinite(self.error) & (self.error >= 0), "negative or not finite")

    def _check_values(self, name: str, good: np.ndarray, fault: str) -> None:
        bad = ~good if self.mask is None else ~good & ~self.mask
        if bad.any():
            where = number(self.wavelength[bad][0])
            raise ConfigError(f"{name} is {fault} at {where} A ({bad.sum()} unmasked pixels of {bad.size})")

    def __repr__(self) -> str:
        low, high = (number(round(end, 6)) for end in self.wavelength[[0, -1]])
        ends = f"{low} to {high} A in {self.medium}"
        return f"Spectrum({self.wavelength.size} wavelengths, {ends}, {self.frame} frame)"

    def _repr_html_(self) -> str:
        shown = self.flux if self.mask is None else np.where(self.mask, np.nan, self.flux)
        rows = [
            (LABELS[name].symbol, f"{value:.6g}", LABELS[name].unit) for name, value in self.labels.items()
        ]
        rows += [("flux", self.flux_unit or "divided by the continuum", "")]
        rows += [] if self.mask is None else [("masked", f"{self.mask.sum()} of {self.mask.size} pixels", "")]
        return notebook.table(repr(self), (), rows) + notebook.curve(self.wavelength, shown)

    def __eq__(self, other) -> bool:
        return same(self, other) if isinstance(other, Spectrum) else NotImplemented

    def __hash__(self) -> int:
        ends = float(self.wavelength[0]), float(self.wavelength[-1])
        return hash((self.medium, self.frame, self.wavelength.size, *ends, *self.labels.values()))

    def __reduce__(self):
        # a read-only mapping cannot be pickled; the constructor makes it again
        return _rebuild, (self._parts(),)

    def _parts(self) -> dict:
        """What the constructor takes."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return parts | {"labels": dict(self.labels), "provenance": dict(self.provenance)}

    def to_air(self) -> "Spectrum":
        """The same spectrum at wavelengths in air; OutOfRangeError where the index of air is not known."""
        if self.medium == "air":
            return self
        return replace(self, wavelength=_in_air_range(air_from_vacuum(self.wavelength)), medium="air")

    def to_vacuum(self) -> "Spectrum":
        """The same spectrum at wavelengths in vacuum; OutOfRangeError where the index of air is not known."""
        if self.medium == "vacuum":
            return self
        return replace(self, wavelength=vacuum_from_air(_in_air_range(self.wavelength)), medium="vacuum")

    def shift(self, velocity_kms, frame: str = "barycentric") -> "Spectrum":
        r"""The spectrum of a source that recedes with ``velocity_kms`` (negative: approaches), in ``frame``.

        .. math:: \lambda' = \lambda \sqrt{(1 + v/c) / (1 - v/c)}

        in vacuum (Einstein 1905). Back to the star: ``shift(-velocity_kms, frame="rest")``. The flux is not
        rescaled, nor resampled. Raises OutOfRangeError unless -c < v < c.
        """
        velocity = plain("velocity", velocity_kms, "km/s")
        if velocity.ndim or not abs(velocity) < SPEED_OF_LIGHT_KMS:
            raise OutOfRangeError(f"velocity = {velocity} km/s is not one number inside (-c, c)")
        beta = velocity / SPEED_OF_LIGHT_KMS
        vacuum = self.to_vacuum()
        wavelength = vacuum.wavelength * np.sqrt((1 + beta) / (1 - beta))
        shifted = replace(vacuum, wavelength=wavelength, frame=frame)
        return shifted.to_air() if self.medium == "air" else shifted

    @classmethod
    def read(cls, path: str | PathLike) -> "Spectrum":
        """The spectrum in a file that ``write`` made: FITS, ECSV or CSV, told by the name's end.

        Raises ParseError with the path and the reason.
        """
        reader = _format(path)
        with parsing(path, ConfigError):
            return cls(**reader.read(Path(path)))

    def write(self, path: str | PathLike, overwrite: bool = False) -> None:
        """Write a file from which ``read`` returns the same bits: FITS, ECSV or CSV, told by the name's end.

        The file appears whole or not at all. Raises ConfigError for another format, or where ``path`` exists
        and ``overwrite`` is not set; WriteError where it cannot be written.
        """
        writer = _format(path)
        check_target(path, FORMATS, overwrite)
        with replacing(path) as temporary:
            writer.write(temporary, self._parts())

    def to_table(self):
        """The same as an astropy ``Table``: wavelength, flux, error and mask, the rest in its meta."""
        return import_module("starloom.spectrum.ecsv").table(self._parts())

    def to_pandas(self):
        """The same as a ``pandas.DataFrame`` (extra ``starloom[pandas]``), the rest in its attrs."""
        columns = {name: getattr(self, name) for name in ("wavelength", "flux", "error", "mask")}
        about = {name: getattr(self, name) for name in ("medium", "frame", "flux_unit")}
        about |= {"labels": dict(self.labels), "provenance": dict(self.provenance)}
        columns = {name: values for name, values in columns.items() if values is not None}
        return import_module("starloom.spectrum.pandas").data_frame(columns, about)

    def to_specutils(self):
        """The same as a ``specutils.Spectrum`` (extra ``starloom[specutils]``), the rest in its meta."""
        return import_module("starloom.spectrum.specutils").to_specutils(self._parts())

    @classmethod
    def from_specutils(cls, spectrum, medium: str | None = None, frame: str | None = None) -> "Spectrum":
        """From a one-dimensional ``specutils.Spectrum``.

        ``medium`` and ``frame`` are needed where its meta does not tell them. Raises ConfigError.
        """
        exchange = import_module("starloom.spectrum.specutils")
        return cls(**exchange.from_specutils(spectrum, medium, frame))

    def plot(self, axes=None, **style):
        """Draw flux against wavelength with matplotlib, the error as a band, without masked pixels and gaps.

        ``axes`` are those of a new figure unless given; ``style`` goes to their ``plot``. Returns the axes.
        """
        axes = new_axes() if axes is None else axes
        flux = self.flux if self.mask is None else np.where(self.mask, np.nan, self.flux)
        (line,) = axes.plot(*broken(self.wavelength, flux), **{"linewidth": 0.8} | style)
        if self.error is not None:
            band = broken(self.wavelength, flux - self.error, flux + self.error)
            axes.fill_between(*band, color=line.get_color(), alpha=0.3, linewidth=0)
        name_axes(axes, self, self.labels)
        return axes

    @property
    def title(self) -> str:
        """The labels in words: ``Teff = 5772 K, log g = 4.438 dex``."""
        return title(self.labels)


@styled
def new_axes():
    """Axes of a new figure, for a spectrum."""
    return pyplot().subplots(figsize=(10, 4), layout="constrained")[1]


def broken(wavelength: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Wavelengths and what belongs to them, to be drawn: NaN in gaps, so that no line crosses them.

    ``wavelength`` rises; ``arrays`` have its shape.
    """
    steps = np.diff(wavelength)
    gaps = 1 + np.flatnonzero(steps > GAP * np.median(steps)) if steps.size else []
    return [np.insert(array, gaps, np.nan) for array in (wavelength, *arrays)]


def title(labels: Mapping[str, float]) -> str:
    """Labels in words: ``Teff = 5772 K, log g = 4.438 dex``; but for those that have their default.

    ``labels`` by name.
    """
    usual = dict.fromkeys(ALPHA_ELEMENTS, labels.get("alpha", 0.0))
    known = (
        (LABELS[name], value)
        for name, value in labels.items()
        if value != usual.get(name, LABELS[name].default)
    )
    return ", ".join(f"{label.symbol} = {value:.6g} {label.unit}".rstrip() for label, value in known)


def star_of(about: Mapping) -> str:
    """Which star the provenance ``about`` tells of, by its file and number in it, as matplotlib writes it.

    A dollar would begin a formula.
    """
    names = Path(str(about.get("file", ""))).name, str(about.get("source_id", ""))
    return ", ".join(name for name in names if name).replace("$", "\\$")


def name_axes(axes, spectrum, labels: Mapping[str, float]) -> None:
    """Write around axes what a spectrum, or several with these labels in common, shows."""
    told = filter(None, (star_of(spectrum.provenance), title(labels)))
    axes.set_title(fill(", ".join(told), TITLE_WIDTH, break_long_words=False), fontsize="medium")
    axes.set_xlabel(f"Wavelength in {spectrum.medium} [Å], {spectrum.frame} frame")
    axes.set_ylabel(f"Flux [{spectrum.flux_unit}]" if spectrum.flux_unit else "Flux / continuum")


def _rebuild(parts: dict) -> Spectrum:
    return Spectrum(**parts)


def _format(path: str | PathLike):
    """The module that reads and writes the format of ``path``."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(FORMATS)}")
    return import_module(f"starloom.spectrum.{suffix[1:]}")


def _in_air_range(wavelength_aa: np.ndarray) -> np.ndarray:
    low, high = AIR_RANGE_AA
    for end in wavelength_aa[[0, -1]]:
        if not low <= end <= high:
            raise OutOfRangeError(
                f"wavelength = {number(end)} A is outside [{number(low)}, {number(high)}] A, "
                "where the refractive index of air is known"
            )
    return wavelength_aa


def _unit_string(unit) -> str:
    """Astropy's generic spelling of a unit, the same however it was spelled."""
    if unit == "":  # no need to load astropy
        return ""
    from astropy import units

    try:
        return units.Unit(unit).to_string()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"flux_unit = {unit!r} is no unit that astropy knows") from error


def _quantity(values: np.ndarray, unit: str):
    from astropy import units

    return units.Quantity(values, unit)


def _labels_by_name(labels) -> dict[str, float]:
    """Labels as {name: float} in the order of ``LABELS``, so that equal ones look the same."""
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        values = plain("labels", labels, "")
        if values.shape != (len(UNNAMED),):
            raise ConfigError(f"labels have the shape {values.shape}, expected ({len(UNNAMED)},)")
        labels = dict(zip(UNNAMED, values, strict=True))
    values = {name: label(name).plain(value) for name, value in labels.items()}
    for name, value in values.items():
        if value.ndim or not np.isfinite(value):
            raise ConfigError(f"label {name} = {value} is not one finite number")
    return {name: float(values[name]) for name in sorted(values, key=PLACES.__getitem__)}


def same(one, other) -> bool:
    """Whether two of a kind have the same numbers, also where they are NaN, and the same header.

    ``one`` and ``other``: two ``Spectrum``, or two ``Spectra``.
    """
    for part in fields(one):
        mine, theirs = getattr(one, part.name), getattr(other, part.name)
        if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
            if not np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"):
                return False
        elif isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray) or mine != theirs:
            return False
    return True


def finished(array: np.ndarray) -> np.ndarray:
    """An array of any shape, our own, that nobody writes to any more: ``Spectra`` need not copy it."""
    owner = array
    while isinstance(owner, np.ndarray):
        owner.flags.writeable = False
        owner = owner.base
    return array


def read_only(array) -> np.ndarray:
    """The array, of any shape, where nothing can be written to it or to what it is a view of, else a copy."""
    owner = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            array = np.array(array)
            break
        owner = owner.base
    else:
        if owner is not None:  # memory of another library
            array = np.array(array)
    array.flags.writeable = False
    return array


def json_copy(provenance: Mapping) -> dict:
    """A deep copy as JSON would give it back, so that every file format can hold it.

    ConfigError where it is none.
    """
    try:
        return json.loads(json.dumps(dict(provenance), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"provenance cannot be written as JSON: {error}") from error
