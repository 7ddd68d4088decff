"""Any table of wavelength, flux and perhaps error: FITS, VOTable, ECSV, CSV, text; a FITS image as one.

Columns are told by their names, or without names by their order, or chosen by the caller.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from starloom.io.format import File, Format, Found
from starloom.io.record import Record
from starloom.io.tables import Columns
from starloom.spectrum.fits import FRAMES_BY_KEYWORD

WAVELENGTHS = ("wavelength", "wave", "lambda", "wl", "wlen", "lam", "wavelengths", "spectral_axis", "1")
FLUXES = ("flux", "normalized_flux", "normalised_flux", "flux_norm", "norm_flux", "fluxes", "intensity", "2")
ERRORS = ("error", "flux_error", "flux_err", "err", "e_flux", "sigma", "uncertainty", "stddev", "3")
IVARS = ("ivar", "flux_ivar", "inverse_variance", "invvar", "inv_var")  # 1 / error^2; 0: not to be used
WANTED = "wavelength and flux (names known are wavelength, wave, flux, error, ...; others: columns=...)"


def recognise(file: File) -> bool:
    """Whether a table of the file has wavelength and flux."""
    return any(_chosen(table, file.columns) for table in file.tables)


def read(file: File) -> Iterator[Found]:
    """The spectra of all its tables that have wavelength and flux."""
    chosen = [(table, names) for table in file.tables if (names := _chosen(table, file.columns))]
    if not chosen:
        raise ValueError(f"no {WANTED}, {file.shown_columns}")
    for table, names in chosen:
        yield from _rows(table, names)


def _chosen(table: Columns, wanted: tuple[str | int, ...]) -> tuple[str, ...]:
    """Names of the columns of wavelength, flux and perhaps error; none where the table lacks one."""
    names = list(table.cells)
    if wanted:
        chosen = table.chosen(wanted)
        return chosen if 2 <= len(chosen) <= 3 else ()
    if names[0] == "1" and len(names) > 3:
        raise ValueError(f"{len(names)} columns without names: choose with columns=(1, 2, 3)")
    found = [table.named(*known) for known in (WAVELENGTHS, FLUXES, ERRORS + IVARS)]
    return tuple(filter(None, found)) if found[0] and found[1] else ()


def _rows(table: Columns, names: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], Record]]]:
    """The spectra of a table: one, or one in each row where the cells are arrays."""
    if not table.holds_arrays(names[0]):
        yield "", partial(_record, table, names, None)
        return
    source = table.named("source_id")
    for piece in table.pieces():
        for row in range(len(piece)):
            yield str(piece.cells[source][row]) if source else "", partial(_record, piece, names, row)


def _record(table: Columns, names: tuple[str, ...], row: int | None) -> Record:
    arrays = [table.numbers(name) if row is None else table.array(name, row) for name in names]
    if len(arrays) > 2 and names[2].lower() in IVARS:
        arrays[2] = _error_of(arrays[2])
    return Record(
        *arrays[:2],
        error=arrays[2] if len(arrays) > 2 else None,
        unit=table.units.get(names[0]) or None,
        flux_unit=table.units.get(names[1], ""),
        frame=FRAMES_BY_KEYWORD.get(str(table.about.get("SPECSYS", "")).strip()),
        provenance={"columns": list(names)},
    )


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
