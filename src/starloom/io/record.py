"""What a file tells of one observed spectrum, before it is checked and becomes a ``Spectrum``."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import numpy as np

from starloom.arrays import one_line
from starloom.errors import ConfigError, Option, OutOfRangeError, ParseError
from starloom.files import parsing
from starloom.labels import number
from starloom.spectrum import FRAMES, MEDIA, Spectrum
from starloom.spectrum.axis import angstroms
from starloom.wavelength import AIR_RANGE_AA

UNITS = ("Angstrom", "nm", "um")
CHOICES = {"unit": UNITS, "medium": MEDIA, "frame": FRAMES}


@dataclass(frozen=True, eq=False)
class Record:
    """Numbers of one spectrum as they are in a file; None is what the file does not tell.

    ``wavelength`` in ``unit``; flux, error (standard deviation) and continuum in ``flux_unit``, as the file
    spells it; NaN where there is none.

    ``mask`` is true where a pixel is not to be used.

    ``labels``: what the file tells of the star, by name.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    _: KW_ONLY
    error: np.ndarray | None = None
    mask: np.ndarray | None = None
    continuum: np.ndarray | None = None
    unit: str | None = None
    flux_unit: str = ""
    medium: str | None = None
    frame: str | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    __repr__ = one_line

    def __post_init__(self):
        for name in ("wavelength", "flux", "error", "continuum"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.asarray(values, np.float64))

    def arrays(self, path: Any) -> dict[str, np.ndarray]:
        """What there is beside the wavelengths; ParseError where shapes differ, or have not one dimension."""
        names = [name for name in ("flux", "error", "mask", "continuum") if getattr(self, name) is not None]
        for name in names:
            shape = np.shape(getattr(self, name))
            if shape != self.wavelength.shape or len(shape) != 1:
                raise ParseError(
                    f"{path}: {name} has the shape {shape}, the wavelengths {self.wavelength.shape}"
                )
        return {name: getattr(self, name) for name in names}


def completed(path: Any, record: Record, given: Mapping[str, Any]) -> Record:
    """The record with what the caller gives of unit, medium, frame and resolution.

    Raises ConfigError where one of the first three is told by nobody, or differently by file and caller.

    ``given`` has them by name, None where the caller says nothing. OutOfRangeError for a resolution that is
    not positive.
    """
    wanted = {name: given[name] for name in CHOICES if given.get(name) is not None}
    for name, value in wanted.items():
        told = getattr(record, name)
        if told is not None and (
            _unit(path, value) != _unit(path, told) if name == "unit" else value != told
        ):
            raise ConfigError(
                f"{path}: {name} = {value!r} is given, but file and format tell {told!r} "
                "(if the file is of another format: ",
                Option("format"),
                ")",
            )
    record = replace(record, **wanted)
    if missing := [name for name in CHOICES if getattr(record, name) is None]:
        how = [part for name in missing for part in (", ", Option(name, CHOICES[name]))][1:]
        raise ConfigError(f"{path}: the file does not tell its {', '.join(missing)}: give ", *how)
    resolution = given.get("resolution")
    if resolution is None:
        return record
    if not 0 < resolution < np.inf:
        raise OutOfRangeError(f"resolution = {resolution} is not a positive number")
    provenance = {name: value for name, value in record.provenance.items() if name != "resolution_error"}
    return replace(record, labels={**record.labels, "resolution": resolution}, provenance=provenance)


def checked(path: Any, record: Record) -> Spectrum:
    """The spectrum of a completed record, its unusable pixels masked.

    A pixel is masked where flux or error is not finite or the error is not positive; ``provenance["notes"]``
    counts those, and says where a decreasing order of wavelengths was turned around or the flux divided by a
    continuum. Raises ParseError where no pixel is left, wavelengths neither rise nor fall, or all are ones
    that no file in this unit would have.
    """
    wavelength, notes = record.wavelength * _unit(path, record.unit), []
    arrays = record.arrays(path)
    if (continuum := arrays.pop("continuum", None)) is not None:
        notes.append("divided by the file's own continuum")
        record = replace(record, flux_unit="")
        with np.errstate(divide="ignore", invalid="ignore"):  # such pixels are masked
            arrays |= {name: arrays[name] / continuum for name in ("flux", "error") if name in arrays}
    _check_positive(path, wavelength)
    if wavelength.size > 1 and (np.diff(wavelength) < 0).all():
        wavelength = wavelength[::-1]
        arrays = {name: array[::-1] for name, array in arrays.items()}
        notes.append("wavelengths decreased and were turned around")
    _check_wavelengths(path, wavelength, record)
    arrays["mask"] = _mask(path, arrays, notes)
    flux_unit, unknown = _flux_unit(record.flux_unit)
    provenance = {"file": str(path), **record.provenance, **unknown}
    return Spectrum(
        wavelength,
        **arrays,
        medium=record.medium,
        frame=record.frame,
        flux_unit=flux_unit,
        labels=record.labels,
        provenance=provenance | ({"notes": notes} if notes else {}),
    )


def _unit(path: Any, name: str) -> float:
    """Angstroms in the unit of this name. Raises ParseError where it is no length."""
    with parsing(path, ConfigError):
        return angstroms(name)


def _flux_unit(text: Any) -> tuple[str, dict[str, str]]:
    """The unit as astropy spells it, none where it knows none; and what then is to be said."""
    from astropy import units

    try:
        return units.Unit(text).to_string(), {}
    except ValueError:
        return "", {"flux_unit": f"not known to astropy: {text}"}


def _check_positive(path: Any, wavelength: np.ndarray) -> None:
    """Raise ParseError unless there are wavelengths, all finite and positive."""
    if not wavelength.size:
        raise ParseError(f"{path}: it has no wavelengths")
    if (wrong := ~(np.isfinite(wavelength) & (wavelength > 0))).any():
        place = f"that of pixel {np.argmax(wrong) + 1} is {number(float(wavelength[wrong][0]))} A"
        raise ParseError(f"{path}: wavelengths must be finite and positive: {place}")


def _check_wavelengths(path: Any, wavelength: np.ndarray, record: Record) -> None:
    """Raise ParseError unless they rise, and have a point where the index of air is known.

    All others show a wrong unit; which pixels a model knows is for the fit to judge.
    """
    if (fall := np.diff(wavelength) <= 0).any():
        where = number(round(float(wavelength[1:][fall][0]), 4))
        raise ParseError(
            f"{path}: wavelengths neither rise nor fall throughout: at {where} A ({fall.sum()} places)"
        )
    low, high = AIR_RANGE_AA
    if not ((wavelength >= low) & (wavelength <= high)).any():
        raise ParseError(
            f"{path}: its wavelengths {wavelength[0]:.6g} to {wavelength[-1]:.6g} A (read as {record.unit}) "
            f"have no point in {low:.0f} to {high:.0f} A: another unit?"
        )


def _mask(path: Any, arrays: dict[str, np.ndarray], notes: list[str]) -> np.ndarray | None:
    """True where flux or error cannot be used; None where all can."""
    bad = ~np.isfinite(arrays["flux"])
    if bad.all():
        raise ParseError(f"{path}: no flux is finite ({bad.size} pixels)")
    if "error" in arrays:
        error = arrays["error"]
        unknown, wrong = ~np.isfinite(error) & ~bad, (error <= 0) & ~bad
        if (unknown | wrong | bad).all():
            raise ParseError(
                f"{path}: no error is finite and positive ({wrong.sum()} of {bad.size} zero or negative): "
                "choose wavelength and flux alone with ",
                Option("columns"),
            )
        for pixels, what in ((unknown, "no finite error"), (wrong, "a zero or negative error")):
            if pixels.any():
                notes.append(f"{pixels.sum()} pixels with {what} are masked")
        bad = bad | unknown | wrong
    if "mask" in arrays:
        bad = bad | np.asarray(arrays["mask"], dtype=bool)
        if bad.all():
            asked = "choose wavelength, flux and error without the mask by "
            raise ParseError(f"{path}: every pixel is masked ({bad.size}): {asked}", Option("columns"))
    if not arrays["flux"][~bad].any():
        raise ParseError(f"{path}: every flux is 0 ({(~bad).sum()} pixels)")
    return bad if bad.any() else None
