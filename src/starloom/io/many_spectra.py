"""Many spectra: into a folder with a file for each, or into one FITS or HDF5 file."""

import json
import os
import re
import warnings
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from starloom import hdf5
from starloom.errors import ConfigError, Option, OutOfRangeError
from starloom.files import check_target, filling, parsing, replacing
from starloom.io.label_tables import LabelTable
from starloom.io.tables import DAMAGE
from starloom.labels import LABELS
from starloom.spectrum import UNNAMED, finished
from starloom.spectrum.spectra import Spectra

HDF5 = (".hdf5", ".h5")
MANY = (".fits", *HDF5)
PORTION = 256  # spectra generated and written at once

Portions = Iterable[tuple[np.ndarray, Spectra]]  # rows of the table, and their spectra


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


def write_each(
    folder: str | os.PathLike, portions: Portions, overwrite: bool = False, table: LabelTable | None = None
) -> int:
    """Write ``NAME.fits`` for each row into a folder, made if needed; how many were written.

    The names are those of the ``table``, where it is given, else row numbers: 000001. The provenance of each
    spectrum has the table's other columns. All files appear or none. Raises ConfigError where one exists and
    ``overwrite`` is not set, WriteError where they cannot be written.
    """
    names = table.names if table else None
    count = 0
    with filling(folder) as temporary:
        for rows, spectra in portions:
            for row, spectrum in zip(rows, spectra, strict=True):
                name = f"{names[row - 1] if names else f'{row:06d}'}.fits"
                if (path := Path(folder) / name).exists() and not overwrite:
                    raise ConfigError(f"{path} exists; overwrite it with ", Option("overwrite", (True,)))
                if table and table.others:
                    about = {"row": int(row), "columns": _json_row(table, row - 1)}
                    spectrum = replace(spectrum, provenance=dict(spectrum.provenance) | about)
                spectrum.write(temporary / name)
                count += 1
    return count


def _json_row(table: LabelTable, index: int) -> dict[str, Any]:
    """The other columns of a row as JSON holds them, where what is not finite is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return {name: plain(column[index].tolist()) for name, column in table.others.items()}


def write_many(
    path: str | os.PathLike, portions: Portions, overwrite: bool = False, table: LabelTable | None = None
) -> int:
    """Write spectra at common wavelengths into one FITS or HDF5 file; how many were written.

    The other columns of the ``table`` stand beside the labels (FITS), in the group ``columns`` (HDF5).

    HDF5 (extra ``starloom[database]``) is written as the spectra come; FITS holds them all in memory first.
    Without any spectrum no file appears. Raises ConfigError for another format, or where ``path`` exists and
    ``overwrite`` is not set, WriteError where it cannot be written; both before the first portion is asked
    for.
    """
    path = Path(path)
    check_many(path, overwrite)
    portions = iter(portions)
    first = next(portions, None)
    if first is None:
        return 0
    write = _write_fits if path.suffix.lower() == ".fits" else _write_hdf5
    with replacing(path) as temporary:
        return write(temporary, _alike(chain([first], portions)), table or LabelTable(np.empty((0, 0)), {}))


def read_others(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The columns that were no labels, row by row of ``read_many``, in a file of ``write_many``."""
    path = Path(path)
    with parsing(path, *DAMAGE, ConfigError):
        if path.suffix.lower() in HDF5:
            with hdf5.h5py().File(path) as file:
                columns = file.get("columns", {})
                return {
                    name: array.asstr()[()].astype(str) if array.dtype.kind == "O" else array[()]
                    for name, array in columns.items()
                }
        from astropy.io import fits

        with fits.open(BytesIO(path.read_bytes())) as tables:
            data, names = tables["LABELS"].data, ("row", *_label_names(tables["LABELS"]))
            return {name: np.array(data[name]) for name in data.names if name not in names}


def check_many(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Raise what ``write_many`` raises before it writes."""
    suffix = Path(path).suffix.lower()
    if suffix not in MANY:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(MANY)}, or be a folder")
    check_target(path, MANY, overwrite)
    if suffix in HDF5:
        hdf5.h5py()


def read_many(path: str | os.PathLike) -> tuple[np.ndarray, Spectra]:
    """Row numbers and spectra in a file of ``write_many``. Raises ParseError, ConfigError."""
    path = Path(path)
    if path.suffix.lower() not in MANY:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(MANY)}")
    read = _read_fits if path.suffix.lower() == ".fits" else _read_hdf5
    with parsing(path, *DAMAGE, ConfigError):
        return read(path)


def _alike(portions: Portions) -> Iterator[tuple[np.ndarray, Spectra]]:
    """The portions; ConfigError where one has other labels than the first."""
    names = None
    for rows, spectra in portions:
        names = names or spectra.names
        if spectra.names != names:
            raise ConfigError(f"spectra of the labels {', '.join(names)} and {', '.join(spectra.names)}")
        yield rows, spectra


def _write_fits(path: Path, portions: Portions, table: LabelTable) -> int:
    from astropy.io import fits

    from starloom.spectrum.fits import SPECSYS, label_column

    parts = list(portions)
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
    names = spectra[0].names
    columns += [label_column(LABELS[name], values) for name, values in zip(names, labels.T, strict=True)]
    columns += _fits_columns(table, rows, names)
    tables.append(fits.BinTableHDU.from_columns(columns, name="LABELS"))
    tables[-1].header["NLABELS"] = (len(names), "columns behind the first that are labels")
    fits.HDUList(tables).writeto(path, overwrite=True, checksum=True)
    return len(rows)


def _label_names(table: Any) -> tuple[str, ...]:
    """Names of the labels in the table LABELS; files of earlier versions all have the paper's six."""
    return tuple(table.columns.names[1 : 1 + table.header.get("NLABELS", len(UNNAMED))])


def _fits_columns(table: LabelTable, rows: np.ndarray, labels: tuple[str, ...]) -> list:
    """The other columns of a table's rows; FITS knows no case and few letters in names: others become _."""
    from astropy.io import fits
    from astropy.table import Column, Table

    made, taken = Table(), {"row", *map(str.lower, labels)}
    for name, column in table.others.items():
        safe = re.sub("[^A-Za-z0-9_]", "_", name)
        while safe.lower() in taken:
            safe += "_"
        taken.add(safe.lower())
        values = column[rows - 1]
        if values.dtype.kind == "U":
            values = np.char.encode(values, "ascii", "backslashreplace")
        made[safe] = Column(values, unit=_fits_unit(table.units.get(name, "")))
    return list(fits.table_to_hdu(made).columns) if len(made.columns) else []


def _fits_unit(text: str) -> str | None:
    """A unit that the FITS standard has; None for others, such as dex."""
    from astropy import units

    try:
        return units.Unit(text).to_string("fits") or None
    except ValueError:
        return None


def _read_fits(path: Path) -> tuple[np.ndarray, Spectra]:
    from astropy.io import fits

    from starloom.spectrum.fits import FRAMES_BY_KEYWORD

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # truncation and wrong checksums are only warnings
        with fits.open(BytesIO(path.read_bytes()), checksum=True) as tables:
            flux, labels, names = tables["FLUX"], tables["LABELS"].data, _label_names(tables["LABELS"])
            spectra = Spectra(
                tables["WAVELENGTH"].data["wavelength"].astype(np.float64),
                _native(flux.data),
                np.stack([labels[name] for name in names], axis=-1).astype(np.float64),
                names=names,
                medium=flux.header["MEDIUM"],
                error=_native(tables["ERROR"].data) if "ERROR" in tables else None,
                frame=FRAMES_BY_KEYWORD[flux.header["SPECSYS"]],
                provenance=json.loads(flux.header["PROVENAN"]),
            )
            return labels["row"].astype(int), spectra


def _native(array: np.ndarray) -> np.ndarray:
    """The same numbers in the processor's byte order."""
    return finished(array.astype(array.dtype.newbyteorder("=")))


def _write_hdf5(path: Path, portions: Portions, table: LabelTable) -> int:
    portions = iter(portions)
    first = next(portions)
    with hdf5.created(path) as (file, check):
        spectra = first[1]
        file["wavelength"] = spectra.wavelength
        file["wavelength"].attrs.update(unit="Angstrom", medium=spectra.medium, frame=spectra.frame)
        file.attrs["labels"] = json.dumps({name: LABELS[name].unit for name in spectra.names})
        provenance: dict[str, Any] = {}
        for rows, part in chain([first], portions):
            _append(file, rows, part)
            check()
            provenance |= part.provenance
        file.attrs["provenance"] = json.dumps(provenance)
        for name, column in table.others.items():
            values = column[file["row"][()] - 1]
            # a slash in a name would be a group
            place = file.create_group("columns") if "columns" not in file else file["columns"]
            text = values.dtype.kind == "U"
            made = place.create_dataset(
                name.replace("/", "_"),
                data=values.astype(object) if text else values,
                dtype=hdf5.h5py().string_dtype() if text else None,
            )
            made.attrs["unit"] = table.units.get(name, "")
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
    with hdf5.opened(path) as file:
        if missing := [name for name in ("wavelength", "flux", "labels", "row") if name not in file]:
            has = ", ".join(file) or "nothing"
            raise ValueError(f"HDF5 of another program: it has {has}, not {', '.join(missing)}")
        about = file["wavelength"].attrs
        spectra = Spectra(
            file["wavelength"][()],
            finished(file["flux"][()]),
            file["labels"][()],
            names=tuple(json.loads(file.attrs["labels"])),
            medium=about["medium"],
            error=finished(file["error"][()]) if "error" in file else None,
            frame=about["frame"],
            provenance=json.loads(file.attrs["provenance"]),
        )
        return file["row"][()], spectra
