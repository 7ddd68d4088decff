"""Observed spectra: one file, or the rows and files of many, whatever their format.

Whether wavelengths are in air or vacuum, in which frame and unit, is never guessed: the format defines it, or
the caller says it.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from starloom.errors import ConfigError, ParseError, StarloomError
from starloom.files import parsing
from starloom.io import gaia
from starloom.io.many_spectra import read_many
from starloom.io.record import Record, checked, completed
from starloom.io.tables import DAMAGE, HDF5, Columns, content_of, fits_names, is_fits, read_columns
from starloom.spectrum import Spectrum
from starloom.spectrum.csv import TITLE

FORMATS = ("starloom", "gaia", "table", "specutils")
WAVELENGTHS = ("wavelength", "wave", "lambda", "wl", "wlen", "lam", "wavelengths", "spectral_axis", "1")
FLUXES = ("flux", "normalized_flux", "normalised_flux", "flux_norm", "norm_flux", "fluxes", "intensity", "2")
ERRORS = ("error", "flux_error", "flux_err", "err", "e_flux", "sigma", "uncertainty", "stddev", "3")
IVARS = ("ivar", "flux_ivar", "inverse_variance", "invvar", "inv_var")  # 1 / error^2; 0: not to be used
WANTED = "wavelength and flux (names known are wavelength, wave, flux, error, ...; others: columns=...)"
ROWS = {"FLUX", "WAVELENGTH", "LABELS"}  # extensions of a file of ``write_many``
SHOWN = 3  # names of spectra in a message

Make = Callable[[], Spectrum]
Found = tuple[str, Make]


@dataclass(frozen=True, eq=False)
class Observation:
    """A spectrum of a list, or why there is none: ``name`` is its file, and its source where it has many."""

    name: str
    spectrum: Spectrum | None
    fault: str = ""


def read_observed(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    medium: str | None = None,
    frame: str | None = None,
    unit: str | None = None,
    resolution: float | None = None,
    columns: Sequence[str | int] | None = None,
    source: str | int | None = None,
) -> Spectrum:
    """The observed spectrum in a file, checked, with what cannot be used in its mask.

    ``format`` is found from the content, or one of:

    - "starloom": what ``Spectrum.write`` and ``write_many`` make;
    - "gaia": RVS mean spectra as the Gaia archive gives them (FITS, VOTable, CSV, ECSV; see ``gaia``), which
      are in vacuum, in the rest frame, in nm, of R = 11500;
    - "table": columns of wavelength, flux and, if there is a third, its standard deviation, in FITS, VOTable,
      ECSV, CSV or plain text, by name or, without names, in this order; ``columns`` chooses others, by name
      or by number from 1. All may be packed with gzip;
    - "specutils", or "specutils:NAME" with the name of one of its loaders: what specutils reads (extra
      ``starloom[specutils]``), which is also tried for a FITS file without such a table.

    ``medium`` ("air", "vacuum"), ``frame`` ("rest", "barycentric", ...) and ``unit`` of the wavelengths
    ("Angstrom", "nm", "um") are needed where file and format do not tell them. ``resolution``, the resolving
    power, becomes the label of the spectrum. ``source`` names one of many spectra in a file: its source_id,
    or its row number from 1 where the rows have none.

    Pixels without a finite flux, or without a finite and positive error, are masked and, where that is no
    mere gap in the data, counted in ``provenance["notes"]``; so is a reversed order of wavelengths. Raises
    ParseError (path and reason) for a file that is damaged or of no known format, in which no pixel can be
    used, whose wavelengths neither rise nor fall or have no point in the generator's range; ConfigError where
    something needed is not told, or told twice differently.
    """
    path = Path(path)
    given = {"medium": medium, "frame": frame, "unit": unit, "resolution": resolution, "columns": columns}
    found = dict(_spectra_in(path, format, given))
    if source is not None:
        if str(source) not in found:
            raise ConfigError(f"{path}: source = {source!r} is not in it (it has {_shown(found)})")
        return found[str(source)]()
    if len(found) > 1:
        shown = f"{len(found)} spectra ({_shown(found)})"
        raise ConfigError(f"{path}: it has {shown}: name one with source=..., or use read_each")
    return next(iter(found.values()))()


def read_each(paths: str | os.PathLike | Iterable[str | os.PathLike], **options) -> Iterator[Observation]:
    """Every spectrum in every file, one after the other; what cannot be read does not stop the others.

    ``options`` are those of ``read_observed``, for all files alike, except ``source``. A file that holds one
    spectrum is named by its path, the others ``path[source]``.
    """
    form = options.pop("format", None)
    if unknown := set(options) - {"medium", "frame", "unit", "resolution", "columns"}:
        raise TypeError(f"read_each has no option {unknown.pop()!r}")
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        try:
            spectra = iter(_spectra_in(Path(path), form, options))
            first = list(islice(spectra, 2))
        except StarloomError as error:
            yield Observation(str(path), None, str(error))
            continue
        for name, make in chain(first, spectra):
            name = f"{path}[{name}]" if len(first) > 1 else str(path)
            try:
                yield Observation(name, make())
            except StarloomError as error:
                yield Observation(name, None, str(error))


def read_list(path: str | os.PathLike) -> tuple[Path, ...]:
    """The paths in a text file, one in a line, relative to its folder; ``#`` begins a comment.

    Raises ParseError where there are none.
    """
    path = Path(path)
    with parsing(path, ValueError):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not names:
        raise ParseError(f"{path}: no file is named in it")
    return tuple(path.parent / name for name in names)


def _spectra_in(path: Path, form: str | None, given: Mapping[str, Any]) -> Iterator[Found]:
    """Name of each spectrum in a file, and how to make it. Raises ParseError, ConfigError."""
    kind, _, loader = (form or "").partition(":")
    if form is not None and (kind not in FORMATS or (loader and kind != "specutils")):
        raise ConfigError(f"format = {form!r} is not one of {', '.join(FORMATS)}")
    content = content_of(path)
    if kind == "specutils":
        yield "", partial(_by_specutils, path, loader or None, given)
    elif kind == "starloom" or (not kind and _is_own(path, content)):
        yield from _own(path, content, given)
    else:
        yield from _by_columns(path, content, kind, given)


def _by_columns(path: Path, content: bytes, kind: str, given: Mapping[str, Any]) -> Iterator[Found]:
    """The spectra in a file's tables: those of Gaia's RVS where there are any, unless the kind is another."""
    tables = [table for table in read_columns(path, content) if len(table)]
    makers = []
    with parsing(path, *DAMAGE):
        if kind != "table" and not given.get("columns"):
            makers = [gaia.mean_spectra(path, table) for table in tables if gaia.is_mean_spectrum(table)]
        if kind != "gaia" and not makers:
            makers = [
                _rows(table, chosen)
                for table in tables
                if (chosen := _chosen(path, table, given.get("columns")))
            ]
    found = list(chain.from_iterable(makers))
    if not found and is_fits(content) and not kind and find_spec("specutils"):
        yield "", partial(_by_specutils, path, None, given)
        return
    if not found:
        wanted = "RVS mean spectrum: flux, flux_error, 846 to 870 nm by 0.01" if kind == "gaia" else WANTED
        names = "; ".join(", ".join(list(table.cells)[:9]) for table in tables) or "none"
        raise ParseError(f"{path}: no {wanted}, among the columns ({names})")
    for number, (name, make) in enumerate(found, start=1):
        yield name or (str(number) if len(found) > 1 else ""), partial(_made, path, make, given)


def _made(path: Path, make: Callable[[], Record], given: Mapping[str, Any]) -> Spectrum:
    with parsing(path, *DAMAGE):
        record = make()
    return checked(path, completed(path, record, given))


def _is_own(path: Path, content: bytes) -> bool:
    """Whether starloom wrote the file."""
    head = content[:65536]
    if not is_fits(content):
        ecsv = head.startswith(b"# %ECSV") and b"provenance" in head and b"pixels: " in head
        return ecsv or head.startswith((TITLE.encode(), HDF5))
    names = fits_names(path, content)
    return names >= ROWS or ("SPECTRUM" in names and b"CREATOR = 'starloom " in head)


def _own(path: Path, content: bytes, given: Mapping[str, Any]) -> Iterator[Found]:
    """What starloom wrote: one spectrum, or the rows of many."""
    if not (content.startswith(HDF5) or (is_fits(content) and fits_names(path, content) >= ROWS)):
        yield "", partial(_again, path, given, lambda: Spectrum.read(path))
        return
    rows, spectra = read_many(path)
    for index, row in enumerate(rows):
        yield str(row), partial(_again, path, given, partial(spectra.__getitem__, index))


def _again(path: Path, given: Mapping[str, Any], made: Make) -> Spectrum:
    spectrum = made()
    parts = ("error", "mask", "flux_unit", "medium", "frame", "labels", "provenance")
    told = {name: getattr(spectrum, name) for name in parts}
    record = Record(spectrum.wavelength, spectrum.flux, unit="Angstrom", **told)
    return checked(path, completed(path, record, given))


def _chosen(path: Path, table: Columns, wanted: Sequence[str | int] | None) -> tuple[str, ...]:
    """Names of the columns of wavelength, flux and perhaps error; none where the table lacks one."""
    names = list(table.cells)
    if wanted:
        try:
            chosen = tuple(names[int(name) - 1] if str(name).isdigit() else name for name in wanted)
        except IndexError:
            chosen = ()
        return chosen if 2 <= len(chosen) <= 3 and set(chosen) <= set(names) else ()
    if names[0] == "1" and len(names) > 3:
        raise ParseError(f"{path}: {len(names)} columns without names: choose with columns=(1, 2, 3)")
    found = [table.named(*known) for known in (WAVELENGTHS, FLUXES, ERRORS + IVARS)]
    return tuple(filter(None, found)) if found[0] and found[1] else ()


def _rows(table: Columns, names: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], Record]]]:
    """The spectra of a table: one, or one in each row where the cells are arrays."""
    if not table.holds_arrays(names[0]):
        yield "", partial(_record, table, names, None)
        return
    source = table.named("source_id")
    for row in range(len(table)):
        name = str(table.cells[source][row]) if source else ""
        yield name, partial(_record, table, names, row)


def _record(table: Columns, names: tuple[str, ...], row: int | None) -> Record:
    from starloom.spectrum.fits import SPECSYS

    arrays = [table.numbers(name) if row is None else table.array(name, row) for name in names]
    if len(arrays) > 2 and names[2].lower() in IVARS:
        arrays[2] = _error_of(arrays[2])
    frames = {standard: frame for frame, standard in SPECSYS.items()}
    provenance, flux_unit = {"columns": list(names)}, _flux_unit(table.units.get(names[1], ""))
    if flux_unit is None:
        flux_unit, provenance["flux_unit"] = "", f"not known to astropy: {table.units[names[1]]}"
    return Record(
        *arrays[:2],
        error=arrays[2] if len(arrays) > 2 else None,
        unit=table.units.get(names[0]) or None,
        flux_unit=flux_unit,
        frame=frames.get(str(table.about.get("SPECSYS", "")).strip()),
        provenance=provenance,
    )


def _error_of(ivar: np.ndarray) -> np.ndarray:
    """The standard deviation of an inverse variance; NaN, which is masked, where that is not above 0."""
    return 1 / np.sqrt(np.where(ivar > 0, ivar, np.nan))


def _flux_unit(text: str) -> str | None:
    from astropy import units

    try:
        return units.Unit(text).to_string()
    except ValueError:
        return None


def _by_specutils(path: Path, loader: str | None, given: Mapping[str, Any]) -> Spectrum:
    """What a loader of specutils, its own choice unless given, makes of the file."""
    try:
        import specutils
    except ImportError as error:
        raise ConfigError("specutils is not installed: pip install 'starloom[specutils]'") from error
    from astropy.io.registry import IORegistryError

    from starloom.spectrum.specutils import from_specutils

    with parsing(path, *DAMAGE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = specutils.Spectrum.read(path, format=loader)
        except IORegistryError as error:  # goes on with a list of all loaders
            raise ValueError(str(error).partition("\n")[0]) from error
    if theirs.flux.ndim != 1:
        raise ParseError(f"{path}: specutils reads spectra of the shape {theirs.shape} in it, expected one")
    told = {name: theirs.meta.get(name) for name in ("medium", "frame")}
    record = Record(theirs.wavelength, theirs.flux, unit="Angstrom", **told)
    record = completed(path, record, given)
    parts = from_specutils(theirs, record.medium, record.frame)
    parts["labels"] = dict(parts["labels"] or {}) | dict(record.labels)
    parts["provenance"] = {"reader": f"specutils {specutils.__version__}", **parts["provenance"]}
    return checked(path, Record(**parts, unit="Angstrom"))


def _shown(found: Mapping[str, Make]) -> str:
    names = ", ".join(list(found)[:SHOWN])
    return f"{names}, ..." if len(found) > SHOWN else names or "one without a name"
