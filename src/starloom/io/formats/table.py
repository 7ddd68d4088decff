"""Any table of wavelength, flux and perhaps error: FITS, VOTable, ECSV, CSV, text; a FITS image as one.

Columns are told by their names, or without names by their order, or chosen by the caller.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from starloom.errors import Option, ParseError
from starloom.io.format import File, Format, Found
from starloom.io.formats import fits_image
from starloom.io.record import Record
from starloom.io.tables import Columns
from starloom.spectrum import FRAMES
from starloom.spectrum.fits import FRAMES_BY_KEYWORD

# what columns may be called, in small letters and digits alone; the explorer's page has the same
STEMS = ("wavelength", "wave", "lambda", "wl", "wlen", "lam", "wavelengths", "waveobs", "lamb", "wav", "wvl")
BY_MEDIUM = tuple(stem + end for end in ("air", "vac", "vacuum") for stem in STEMS)
BEFORE = tuple(medium + stem for medium in ("air", "vac", "vacuum") for stem in STEMS)
LOGARITHMS = ("loglam", "loglambda", "logwave", "logwavelength", "logwl")  # log10 of Angstrom (SDSS)
WAVELENGTHS = (*STEMS, "waves", "spectralaxis", "λ", *BY_MEDIUM, *BEFORE, *LOGARITHMS, "1")
FLUXES = ("flux", "normalizedflux", "normalisedflux", "fluxnorm", "normflux", "fluxes", "intensity", "spec")
FLUXES += ("spectrum", "flambda", "flam", "2")
ERRORS = ("error", "fluxerror", "fluxerr", "err", "eflux", "sigma", "uncertainty", "stddev", "std", "stdev")
ERRORS += ("ferr", "fluxsigma", "fluxstd", "fluxunc", "fluxuncertainty", "sig", "errors", "3")
IVARS = ("ivar", "fluxivar", "inversevariance", "invvar", "fluxinversevariance")  # 1 / error^2; 0: not usable
MASKS = ("mask",)  # not 0: not usable
NEITHER = re.compile("[^a-z0-9λ]")
MEDIUM = re.compile("air|vac", re.IGNORECASE)
MEDIA = {"air": "air", "vac": "vacuum"}  # by the first letters of what a header says
TRUTH = {"true": "1", "false": "0"}
VACUUM = {"true": "vacuum", "false": "air"}


def recognise(file: File) -> bool:
    """Whether a table of the file has wavelength and flux."""
    return any(_chosen(file, table) for table in file.tables)


def read(file: File) -> Iterator[Found]:
    """The spectra of all its tables that have wavelength and flux."""
    chosen = [(table, names) for table in file.tables if (names := _chosen(file, table))]
    if chosen:
        for table, names in chosen:
            mask = None if file.columns else _named(list(table.cells), MASKS)
            yield from _rows(table, names, mask)
    else:
        if file.is_fits and not file.tables:
            fits_image.read(file)  # which says why its image is none
        if file.columns:
            raise ParseError(_not_chosen(file))
        raise ParseError(
            f"{file.path}: no wavelength and flux ",
            "(names known are wavelength, wave, flux, error, ...; others: ",
            Option("columns"),
            f"), {file.shown_columns}",
        )


def _not_chosen(file: File) -> str:
    """Why the caller's columns are none of a spectrum."""
    told = ", ".join(map(str, file.columns))
    missing = [str(one) for one in file.columns if not any(table.chosen([one]) for table in file.tables)]
    if missing:
        return f"{file.path}: no column {', '.join(missing)}, {file.shown_columns}"
    wanted = "two or three are wanted, wavelength, flux and perhaps error, all different"
    return f"{file.path}: columns {told}: {wanted}"


def _chosen(file: File, table: Columns) -> tuple[str, ...]:
    """Names of the columns of wavelength, flux and perhaps error; none where the table lacks one."""
    names = list(table.cells)
    if file.columns:
        chosen = table.chosen(file.columns)
        return chosen if 2 <= len(chosen) <= 3 and len(set(chosen)) == len(chosen) else ()
    if names[0] == "1" and len(names) > 3:
        told = f"{file.path}: {len(names)} columns without names: choose with "
        raise ParseError(told, Option("columns", ((1, 2, 3),)))
    found = [_named(names, known) for known in (WAVELENGTHS, FLUXES, ERRORS + IVARS)]
    return tuple(filter(None, found)) if found[0] and found[1] else ()


def _named(names: Sequence[str], known: Sequence[str]) -> str | None:
    """The first column that is called by one of the known names, the earlier known the better."""
    spelled = {_letters(name): name for name in reversed(names)}
    return next((spelled[name] for name in known if name in spelled), None)


def _letters(name: str) -> str:
    return NEITHER.sub("", name.lower())


def _rows(
    table: Columns, names: tuple[str, ...], mask: str | None
) -> Iterator[tuple[str, Callable[[], Record]]]:
    """The spectra of a table: one, or one in each row where the cells are arrays."""
    if not table.holds_arrays(names[0]):
        yield "", partial(_record, table, names, mask, None)
        return
    source = table.named("source_id")
    for piece in table.pieces():
        for row in range(len(piece)):
            yield str(piece.cells[source][row]) if source else "", partial(_record, piece, names, mask, row)


def _record(table: Columns, names: tuple[str, ...], mask: str | None, row: int | None) -> Record:
    arrays = [_array(table, name, row) for name in names]
    if len(arrays) > 2 and _letters(names[2]) in IVARS:
        arrays[2] = _error_of(arrays[2])
    unit = table.units.get(names[0]) or None
    if _letters(names[0]) in LOGARITHMS:
        with np.errstate(over="ignore"):  # what is not finite is refused with the spectrum
            arrays[0], unit = 10 ** arrays[0], "Angstrom"
    about = {name.lower(): str(value).strip() for name, value in table.about.items()}
    return Record(
        *arrays[:2],
        error=arrays[2] if len(arrays) > 2 else None,
        mask=None if mask is None else _masked(table, mask, row),
        unit=unit,
        flux_unit=table.units.get(names[1], ""),
        medium=_medium(names[0], about),
        frame=_frame(about),
        provenance={"columns": list(names)},
    )


def _array(table: Columns, name: str, row: int | None) -> np.ndarray:
    return table.numbers(name) if row is None else table.array(name, row)


def _masked(table: Columns, name: str, row: int | None) -> np.ndarray:
    """Where a mask is not 0, or not false."""
    pieces = table.pieces() if row is None else [table]
    return np.concatenate([_array(_in_numbers(piece, name), name, row) for piece in pieces]) != 0


def _in_numbers(table: Columns, name: str) -> Columns:
    """A column of true and false as one of numbers."""
    cells = table.cells[name]
    if isinstance(cells, list):
        cells = [TRUTH.get(cell.strip().lower(), cell) for cell in cells]
    return replace(table, cells={name: cells})


def _medium(column: str, about: Mapping[str, str]) -> str | None:
    """Air or vacuum by the name of the wavelengths' column, or by the header; None: neither tells it."""
    found = MEDIUM.search(column)
    told = found[0] if found else about.get("medium") or about.get("airorvac", "")
    return MEDIA.get(told[:3].lower()) or VACUUM.get(about.get("vacuum", "").lower())


def _frame(about: Mapping[str, str]) -> str | None:
    """The frame by the standard's keyword SPECSYS, or by our own."""
    told = about.get("frame", "")
    return FRAMES_BY_KEYWORD.get(about.get("specsys", "")) or (told if told in FRAMES else None)


def _error_of(ivar: np.ndarray) -> np.ndarray:
    """The standard deviation of an inverse variance; NaN, which is masked, where that is not above 0."""
    return 1 / np.sqrt(np.where(ivar > 0, ivar, np.nan))


FORMAT = Format(
    "table",
    "a table of wavelength, flux and perhaps error; or a FITS image",
    read,
    recognise,
    general=True,
    options=("columns",),
)
