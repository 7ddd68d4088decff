"""Many spectra: into a folder with a file for each, or into one FITS or HDF5 file."""

import json
import os
import re
import warnings
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
from starloom.io.fits_extensions import growing
from starloom.io.label_tables import LabelTable
from starloom.io.tables import DAMAGE
from starloom.labels import LABELS
from starloom.spectrum import UNNAMED, finished
from starloom.spectrum.spectra import Spectra

HDF5 = (".hdf5", ".h5")
MANY = (".fits", *HDF5)
PORTION = 256  # spectra generated and written at once


@dataclass(frozen=True, eq=False)
class Portion:
    """Some spectra, and the rows of a table that they are of.

    ``rows``: their numbers; ``spectra``, None where no row is good; ``faults``: why other rows are not;
    ``others``: what else the table says of ``rows``, an array [row, ...] by name; ``units`` of those that
    have one.
    """

    rows: np.ndarray
    spectra: Spectra | None
    faults: Mapping[int, str] = field(default_factory=dict)
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def generate_each(
    tables: Iterable[LabelTable], spectra: Callable[[np.ndarray], Spectra], size: int = PORTION
) -> Iterator[Portion]:
    """Spectra of the good rows of tables, or of a table's parts, in portions.

    A row that ``spectra(labels)`` refuses becomes a fault.

    ``size``: spectra in a portion.
    """
    for table in tables:
        for start in range(0, len(table.labels), size):
            yield _generated(table.part(slice(start, start + size)), spectra)


def _generated(table: LabelTable, spectra: Callable[[np.ndarray], Spectra]) -> Portion:
    rows, faults = table.rows, dict(table.faults)
    labels = table.labels[rows - table.first]
    try:
        done = spectra(labels) if rows.size else None
    except OutOfRangeError:
        for row, one in zip(rows, labels, strict=True):
            try:
                spectra(one)
            except OutOfRangeError as error:
                faults[int(row)] = str(error)
        rows = rows[~np.isin(rows, list(faults))]
        done = spectra(table.labels[rows - table.first]) if rows.size else None
    others = {name: column[rows - table.first] for name, column in table.others.items()}
    return Portion(rows, done, faults, others, table.units)


def write_each(
    folder: str | os.PathLike, portions: Iterable[Portion], overwrite: bool = False, named: str | None = None
) -> int:
    """Write ``NAME.fits`` for each spectrum into a folder, made if needed; how many were written.

    The names are those in the column ``named`` (``LabelFile.identifier``), else row numbers: 000001. The
    provenance of each spectrum has the table's other columns. All files appear or none. Raises ConfigError
    where one exists and ``overwrite`` is not set, WriteError where they cannot be written.

    ``portions``: those of ``generate_each``.
    """
    count = 0
    with filling(folder) as temporary:
        for portion in portions:
            others = {name: column.tolist() for name, column in portion.others.items()}
            for place, (row, spectrum) in enumerate(zip(portion.rows, portion.spectra or (), strict=True)):
                name = f"{others[named][place] if named else f'{row:06d}'}.fits"
                if (path := Path(folder) / name).exists() and not overwrite:
                    raise ConfigError(f"{path} exists; overwrite it with ", Option("overwrite", (True,)))
                if others:
                    told = {name: _json(column[place]) for name, column in others.items()}
                    about = {"row": int(row), "columns": told}
                    spectrum = replace(spectrum, provenance=dict(spectrum.provenance) | about)
                spectrum.write(temporary / name)
                count += 1
    return count


def _json(value: Any) -> Any:
    """A value as JSON holds it, where what is not finite is null."""
    if isinstance(value, list):
        return [_json(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_many(path: str | os.PathLike, portions: Iterable[Portion], overwrite: bool = False) -> int:
    """Write spectra at common wavelengths into one FITS or HDF5 file; how many were written.

    What the portions say else of each row stands beside the labels (FITS), in the group ``columns`` (HDF5).

    Both are written as the spectra come: HDF5 (extra ``starloom[database]``) in its place, FITS by way of
    temporary files of the same size. Without any spectrum no file appears. Raises ConfigError for another
    format, or where ``path`` exists and ``overwrite`` is not set, WriteError where it cannot be written; both
    before the first portion is asked for; and ConfigError where a portion does not go with the first.
    """
    path = Path(path)
    check_many(path, overwrite)
    portions = (portion for portion in portions if portion.spectra is not None)
    first = next(portions, None)
    if first is None:
        return 0
    write = _write_fits if path.suffix.lower() == ".fits" else _write_hdf5
    with replacing(path) as temporary:
        return write(temporary, _alike(first, chain([first], portions)))


def read_others(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Columns ``[spectrum]`` that are no labels, row by row of ``read_many``, in a file of ``write_many``."""
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
    """Raise what ``write_many`` raises before it writes.

    ConfigError and WriteError.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in MANY:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(MANY)}, or be a folder")
    check_target(path, MANY, overwrite)
    if suffix in HDF5:
        hdf5.h5py()


def read_many(path: str | os.PathLike) -> tuple[np.ndarray, Spectra]:
    """Row numbers int[spectrum] and spectra in a file of ``write_many``. Raises ParseError, ConfigError."""
    path = Path(path)
    if path.suffix.lower() not in MANY:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(MANY)}")
    read = _read_fits if path.suffix.lower() == ".fits" else _read_hdf5
    with parsing(path, *DAMAGE, ConfigError):
        return read(path)


def _alike(first: Portion, portions: Iterable[Portion]) -> Iterator[Portion]:
    """The portions; ConfigError where one has other labels, wavelengths or columns than the first."""
    one = first.spectra
    for portion in portions:
        other = portion.spectra
        if other.names != one.names:
            raise ConfigError(f"spectra of the labels {', '.join(one.names)} and {', '.join(other.names)}")
        if not np.array_equal(other.wavelength, one.wavelength) or (other.error is None) != (
            one.error is None
        ):
            raise ConfigError(
                "spectra at other wavelengths, or with errors and without, make no file together"
            )
        if portion.others.keys() != first.others.keys():
            told = (", ".join(each.others) or "nothing" for each in (first, portion))
            raise ConfigError("columns {} and {}".format(*told))
        yield replace(portion, others={name: _as(name, portion, first) for name in first.others})


def _as(name: str, portion: Portion, first: Portion) -> np.ndarray:
    """A column of a portion as the first one has it; ConfigError where its values do not fit."""
    column, kind = portion.others[name], first.others[name].dtype
    if not np.can_cast(column.dtype, kind, "safe"):
        raise ConfigError(f"column {name}: {column.dtype} does not fit into the first portion's {kind}")
    return column.astype(kind, copy=False)


def _write_fits(path: Path, portions: Iterable[Portion]) -> int:
    from astropy.io import fits

    from starloom.spectrum.fits import SPECSYS

    portions = iter(portions)
    first = next(portions)
    spectra, names, provenance = first.spectra, first.spectra.names, {}
    with growing(path.parent, "FLUX", "ERROR", "WAVELENGTH", "LABELS") as parts:
        alone = fits.Column("wavelength", "D", unit="Angstrom", array=spectra.wavelength)
        parts["WAVELENGTH"].append(fits.BinTableHDU.from_columns([alone]))
        for portion in chain([first], portions):
            parts["FLUX"].append(fits.ImageHDU(portion.spectra.flux))
            if spectra.error is not None:
                parts["ERROR"].append(fits.ImageHDU(portion.spectra.error))
            parts["LABELS"].append(fits.BinTableHDU.from_columns(_fits_columns(portion, names)))
            provenance = dict(portion.spectra.provenance) | provenance
        flux, labels = parts["FLUX"].header, parts["LABELS"].header
        flux["MEDIUM"] = (spectra.medium, "wavelengths are in air or in vacuum")
        flux["SPECSYS"] = (SPECSYS[spectra.frame], "frame of the wavelengths")
        flux["PROVENAN"] = json.dumps(provenance)
        labels["NLABELS"] = (len(names), "columns behind the first that are labels")
        with path.open("wb") as stream:
            fits.HDUList([fits.PrimaryHDU()]).writeto(stream, checksum=True)
            for part in parts.values():
                if part.count:
                    part.write(stream)
        return parts["LABELS"].count


def _label_names(table: Any) -> tuple[str, ...]:
    """Names of the labels in the table LABELS; files of earlier versions all have the paper's six."""
    return tuple(table.columns.names[1 : 1 + table.header.get("NLABELS", len(UNNAMED))])


def _fits_columns(portion: Portion, labels: tuple[str, ...]) -> list:
    """Rows, labels and other columns; FITS knows no case and few letters in names: others become _."""
    from astropy.io import fits
    from astropy.table import Column, Table

    from starloom.spectrum.fits import label_column

    columns = [fits.Column("row", "K", array=portion.rows)]
    values = zip(labels, portion.spectra.labels.T, strict=True)
    columns += [label_column(LABELS[name], array) for name, array in values]
    made, taken = Table(), {"row", *map(str.lower, labels)}
    for name, column in portion.others.items():
        safe = re.sub("[^A-Za-z0-9_]", "_", name)
        while safe.lower() in taken:
            safe += "_"
        taken.add(safe.lower())
        made[safe] = Column(_fits_text(column), unit=_fits_unit(portion.units.get(name, "")))
    return columns + (list(fits.table_to_hdu(made).columns) if len(made.columns) else [])


def _fits_text(column: np.ndarray) -> np.ndarray:
    """Text in ASCII, as wide as the column is or as it needs; others are as they are."""
    if column.dtype.kind != "U":
        return column
    encoded = np.char.encode(column, "ascii", "backslashreplace")
    return encoded.astype(f"S{max(encoded.dtype.itemsize, column.dtype.itemsize // 4)}")


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
            if "FLUX" not in tables:
                one = "SPECTRUM" in tables
                raise ValueError("no image FLUX" + one * ": it holds one spectrum, for Spectrum.read")
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


def _write_hdf5(path: Path, portions: Iterable[Portion]) -> int:
    portions = iter(portions)
    first = next(portions)
    with hdf5.created(path) as (file, check):
        spectra = first.spectra
        file["wavelength"] = spectra.wavelength
        file["wavelength"].attrs.update(unit="Angstrom", medium=spectra.medium, frame=spectra.frame)
        file.attrs["labels"] = json.dumps({name: LABELS[name].unit for name in spectra.names})
        provenance: dict[str, Any] = {}
        for portion in chain([first], portions):
            part = portion.spectra
            arrays = {"row": portion.rows, "labels": part.labels, "flux": part.flux, "error": part.error}
            for name, array in arrays.items():
                if array is not None:
                    _append(file, name, array)
            for name, column in portion.others.items():
                # a slash in a name would be a group
                place = _append(file, f"columns/{name.replace('/', '_')}", column)
                place.attrs["unit"] = first.units.get(name, "")
            check()
            provenance |= part.provenance
        file.attrs["provenance"] = json.dumps(provenance)
        return len(file["row"])


def _append(file: Any, name: str, array: np.ndarray) -> Any:
    """The data set of this name, made if needed, with further rows."""
    text = array.dtype.kind == "U"
    if name not in file:
        rows = 64 if array.ndim > 1 else PORTION
        file.create_dataset(
            name,
            (0, *array.shape[1:]),
            hdf5.h5py().string_dtype() if text else array.dtype,
            maxshape=(None, *array.shape[1:]),
            chunks=(min(len(array), rows), *array.shape[1:]),
        )
    found = file[name]
    found.resize(len(found) + len(array), axis=0)
    found[-len(array) :] = array.astype(object) if text else array
    return found


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
