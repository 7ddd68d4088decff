"""Tables of labels in, many spectra out.

A table has a row per star and a column per label: CSV, ECSV, FITS or VOTable. A row that cannot be used does
not stop the others: its number, from 1, and the reason are kept. Many spectra go into a folder with a file
for each, or into one FITS or HDF5 file.
"""

import csv
import json
import os
import warnings
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError, ParseError
from starloom.files import parsing, replacing
from starloom.labels import LABELS, NAMES, Label
from starloom.spectrum.spectra import Spectra

TABLES = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable"}  # by astropy
HDF5 = (".hdf5", ".h5")
MANY = (".fits", *HDF5)
PORTION = 256  # spectra generated and written at once
DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, SyntaxError, Warning)

Portions = Iterable[tuple[np.ndarray, Spectra]]  # rows of the table, and their spectra


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels float64[row, 6] of a table; ``faults``: why a row, by its number from 1, cannot be used."""

    labels: np.ndarray
    faults: Mapping[int, str]

    @property
    def rows(self) -> np.ndarray:
        """Numbers, from 1, of the rows without fault."""
        numbers = np.arange(1, len(self.labels) + 1)
        return numbers[~np.isin(numbers, list(self.faults))]


def read_labels(path: str | os.PathLike, given: Mapping[str, float] | None = None) -> LabelTable:
    """The labels in a table, whose columns have their names or symbols (``teff``, ``Teff``, ``[M/H]`` ...).

    ``given`` has the labels that the table lacks, by name, one value for all. Units of columns are heeded.
    Other columns are left alone. Raises ParseError (path and reason) for a table that cannot be read, has no
    rows or lacks a label, ConfigError for another format or a label that is given twice.
    """
    path, given = Path(path), dict(given or {})
    suffix = path.suffix.lower()
    if suffix != ".csv" and suffix not in TABLES:
        raise ConfigError(f"{path}: the name must end with one of .csv, {', '.join(TABLES)}")
    columns, faults, count = _csv_columns(path) if suffix == ".csv" else _table_columns(path, TABLES[suffix])
    if count == 0:
        raise ParseError(f"{path}: no rows")
    labels = np.empty((count, len(NAMES)))
    found = _label_columns(path, columns)
    if twice := [name for name in found if name in given]:
        raise ConfigError(f"{path}: {twice[0]} is a column and an option: give one of them")
    if missing := [name for name in NAMES if name not in found and name not in given]:
        raise ParseError(
            f"{path}: no column {', '.join(missing)} (there are: {', '.join(columns) or 'none'})"
        )
    for index, label in enumerate(LABELS):
        if label.name in given:
            labels[:, index] = given[label.name]
        else:
            labels[:, index] = _numbers(path, label, columns[found[label.name]], faults)
    return LabelTable(labels, faults)


@dataclass(frozen=True, eq=False)
class Portion:
    """Some rows of a table, done: numbers of the good ones, their spectra (None: no row is good), faults."""

    rows: np.ndarray
    spectra: Spectra | None
    faults: Mapping[int, str] = field(default_factory=dict)


def generate_each(
    table: LabelTable, spectra: Callable[[np.ndarray], Spectra], size: int = PORTION
) -> Iterator[Portion]:
    """Spectra of a table's good rows, in portions; a row that ``spectra(labels)`` refuses becomes a fault."""
    for start in range(0, len(table.rows), size):
        rows = table.rows[start : start + size]
        faults = {}
        try:
            done = spectra(table.labels[rows - 1])
        except OutOfRangeError:
            for row in rows:
                try:
                    spectra(table.labels[row - 1])
                except OutOfRangeError as error:
                    faults[int(row)] = str(error)
            rows = rows[~np.isin(rows, list(faults))]
            done = spectra(table.labels[rows - 1]) if rows.size else None
        yield Portion(rows, done, faults)


def write_each(folder: str | os.PathLike, portions: Portions, overwrite: bool = False) -> int:
    """Write ``000001.fits`` ... by row number into a folder, made if needed; how many were written."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for rows, spectra in portions:
        for row, spectrum in zip(rows, spectra, strict=True):
            spectrum.write(folder / f"{row:06d}.fits", overwrite)
            count += 1
    return count


def write_many(path: str | os.PathLike, portions: Portions, overwrite: bool = False) -> int:
    """Write spectra at common wavelengths into one FITS or HDF5 file; how many were written.

    HDF5 (extra ``starloom[database]``) is written as the spectra come; FITS holds them all in memory first.
    Without any spectrum no file appears. Raises ConfigError for another format, or where ``path`` exists and
    ``overwrite`` is not set.
    """
    path = Path(path)
    if path.suffix.lower() not in MANY:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(MANY)}, or be a folder")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists; overwrite it with overwrite=True")
    portions = iter(portions)
    first = next(portions, None)
    if first is None:
        return 0
    write = _write_fits if path.suffix.lower() == ".fits" else _write_hdf5
    with replacing(path) as temporary:
        return write(temporary, first, portions)


def read_many(path: str | os.PathLike) -> tuple[np.ndarray, Spectra]:
    """Row numbers and spectra in a file of ``write_many``. Raises ParseError, ConfigError."""
    path = Path(path)
    if path.suffix.lower() not in MANY:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(MANY)}")
    read = _read_fits if path.suffix.lower() == ".fits" else _read_hdf5
    with parsing(path, *DAMAGE, ConfigError):
        return read(path)


def _csv_columns(path: Path) -> tuple[dict[str, list], dict[int, str], int]:
    """Columns of text by name, faults by row, and the number of rows; ``#`` begins a comment line."""
    with parsing(path, ValueError, csv.Error):
        text = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        lines = list(csv.reader((line for line in text if line.strip() and line[0] != "#"), strict=True))
    if not lines:
        raise ParseError(f"{path}: empty")
    names = [name.strip() for name in lines[0]]
    if len(set(names)) != len(names):
        raise ParseError(f"{path}: two columns have the same name")
    faults, rows = {}, []
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(names):
            faults[number] = f"{len(line)} cells under {len(names)} names"
            line = [""] * len(names)
        rows.append(line)
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return dict(zip(names, map(list, columns), strict=True)), faults, len(rows)


def _table_columns(path: Path, form: str) -> tuple[dict[str, Any], dict[int, str], int]:
    """Columns by name, no faults, and the number of rows of a table that astropy reads."""
    from astropy.table import Table

    with parsing(path):
        content = path.read_bytes()
    if not content:
        raise ParseError(f"{path}: empty")
    try:
        with _quiet():
            table = Table.read(BytesIO(content), format=form)
    except (OSError, *DAMAGE, *_parsers_errors()) as error:
        kind, reason = form.removeprefix("ascii.").upper(), " ".join(str(error).split())
        raise ParseError(f"{path}: no readable {kind} table: {reason or type(error).__name__}") from error
    return {name: table[name] for name in table.colnames}, {}, len(table)


def _parsers_errors() -> tuple[type[Exception], ...]:
    """What the parsers below astropy raise of their own."""
    from xml.parsers.expat import ExpatError

    from yaml import YAMLError

    return ExpatError, YAMLError


@contextmanager
def _quiet() -> Iterator[None]:
    """Astropy's doubts are not ours, but a file that is cut short is damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*truncated")
        yield


def _label_columns(path: Path, columns: Iterable[str]) -> dict[str, str]:
    """Names of the columns that hold labels, by the label's name."""
    meant = {_letters(text): label.name for label in LABELS for text in (label.name, label.symbol)}
    found: dict[str, str] = {}
    for column in columns:
        name = meant.get(_letters(column))
        if name in found:
            raise ParseError(f"{path}: the columns {found[name]} and {column} are both {name}")
        if name:
            found[name] = column
    return found


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _numbers(path: Path, label: Label, column: Any, faults: dict[int, str]) -> np.ndarray:
    """A column in the label's unit; NaN where a cell is missing or no number, which ``faults`` then says."""
    if getattr(column, "ndim", 1) != 1:
        raise ParseError(f"{path}: column {label.name} has {column.shape[1:]} numbers in a row, expected one")
    if isinstance(column, list) or column.dtype.kind not in "iuf":
        values = np.array([_number(cell) for cell in column])
        missing = [not str(cell).strip() or np.ma.is_masked(cell) for cell in column]
    else:
        with parsing(path, ConfigError):
            values = label.plain(column)
        missing = np.isnan(values)
    for index in np.flatnonzero(~np.isfinite(values)):
        text = "missing" if missing[index] else f"no number: {str(column[index])[:40]!r}"
        faults.setdefault(int(index) + 1, f"{label.name} is {text}")
    return values


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return np.nan


def _write_fits(path: Path, first: tuple[np.ndarray, Spectra], portions: Portions) -> int:
    from astropy.io import fits

    from starloom.spectrum.fits import SPECSYS

    parts = [first, *portions]
    spectra = [part[1] for part in parts]
    flux = fits.ImageHDU(np.concatenate([part.flux for part in spectra]), name="FLUX")
    flux.header["MEDIUM"] = (spectra[0].medium, "wavelengths are in air or in vacuum")
    flux.header["SPECSYS"] = (SPECSYS[spectra[0].frame], "frame of the wavelengths")
    flux.header["PROVENAN"] = json.dumps(dict(ChainMap(*(dict(part.provenance) for part in spectra))))
    tables = [fits.PrimaryHDU(), flux]
    if spectra[0].error is not None:
        tables.append(fits.ImageHDU(np.concatenate([part.error for part in spectra]), name="ERROR"))
    wavelength = fits.Column("wavelength", "D", unit="Angstrom", array=spectra[0].wavelength)
    tables.append(fits.BinTableHDU.from_columns([wavelength], name="WAVELENGTH"))
    rows, labels = np.concatenate([part[0] for part in parts]), np.concatenate([s.labels for s in spectra])
    columns = [fits.Column("row", "K", array=rows)]
    for label, values in zip(LABELS, labels.T, strict=True):
        unit = None if label.unit in ("", "dex") else label.unit  # the FITS standard has no dex
        columns.append(fits.Column(label.name, "D", unit=unit, array=values))
    tables.append(fits.BinTableHDU.from_columns(columns, name="LABELS"))
    fits.HDUList(tables).writeto(path, overwrite=True, checksum=True)
    return len(rows)


def _read_fits(path: Path) -> tuple[np.ndarray, Spectra]:
    from astropy.io import fits

    from starloom.spectrum.fits import SPECSYS

    frames = {standard: frame for frame, standard in SPECSYS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # truncation and wrong checksums are only warnings
        with fits.open(BytesIO(path.read_bytes()), checksum=True) as tables:
            flux, labels = tables["FLUX"], tables["LABELS"].data
            spectra = Spectra(
                tables["WAVELENGTH"].data["wavelength"].astype(np.float64),
                flux.data.astype(np.float32),
                np.stack([labels[name] for name in NAMES], axis=-1).astype(np.float64),
                medium=flux.header["MEDIUM"],
                error=tables["ERROR"].data.astype(np.float32) if "ERROR" in tables else None,
                frame=frames[flux.header["SPECSYS"]],
                provenance=json.loads(flux.header["PROVENAN"]),
            )
            return labels["row"].astype(int), spectra


def _write_hdf5(path: Path, first: tuple[np.ndarray, Spectra], portions: Portions) -> int:
    with _h5py().File(path, "w") as file:
        spectra = first[1]
        file["wavelength"] = spectra.wavelength
        file["wavelength"].attrs.update(unit="Angstrom", medium=spectra.medium, frame=spectra.frame)
        file.attrs["labels"] = json.dumps({label.name: label.unit for label in LABELS})
        provenance: dict[str, Any] = {}
        for rows, part in chain([first], portions):
            _append(file, rows, part)
            provenance |= part.provenance
        file.attrs["provenance"] = json.dumps(provenance)
        return len(file["row"])


def _append(file: Any, rows: np.ndarray, spectra: Spectra) -> None:
    arrays = {"row": rows, "labels": spectra.labels, "flux": spectra.flux, "error": spectra.error}
    for name, array in arrays.items():
        if array is None:
            continue
        if name not in file:
            chunks = (min(len(array), 64), *array.shape[1:])
            file.create_dataset(
                name, (0, *array.shape[1:]), array.dtype, maxshape=(None, *array.shape[1:]), chunks=chunks
            )
        file[name].resize(len(file[name]) + len(array), axis=0)
        file[name][-len(array) :] = array


def _read_hdf5(path: Path) -> tuple[np.ndarray, Spectra]:
    with _h5py().File(path) as file:
        about = file["wavelength"].attrs
        spectra = Spectra(
            file["wavelength"][()],
            file["flux"][()],
            file["labels"][()],
            medium=about["medium"],
            error=file["error"][()] if "error" in file else None,
            frame=about["frame"],
            provenance=json.loads(file.attrs["provenance"]),
        )
        return file["row"][()], spectra


def _h5py():
    try:
        import h5py
    except ImportError as error:
        raise ConfigError("h5py is not installed: pip install 'starloom[database]'") from error
    return h5py
