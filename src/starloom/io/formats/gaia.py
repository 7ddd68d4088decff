"""Mean spectra of Gaia's Radial Velocity Spectrometer as the archive gives them.

Gaia DR3's table ``rvs_mean_spectrum`` (documentation of DR3, section 20.12.1): normalised flux and its error
from 846 to 870 nm in vacuum in steps of 0.01 nm, 2401 points, in the star's rest frame, NaN where no transit
contributed (mostly at the edges). The resolving power in the spectra, pixels included, is taken as 12 400 +-
500: spectra of bright stars show 12 300 to 12 700, 11 500 is the nominal one (Cropper et al. 2018).

The points are finer than the instrument's pixels (0.245 A), so neighbours share their noise: as if smoothed
by a Gaussian of 3.7 km/s, correlations of 0.80, 0.41 and 0.13 at 1 to 3 points. Measured where the instrument
passes no spectrum (periods of 3 to 7 points) in residuals of the three DR3 spectra of docs/fitting.md.

The archive serves them in four shapes: a table of ``wavelength``, ``flux``, ``flux_error`` for each source
(DataLink, "INDIVIDUAL"), all of those in one VOTable ("COMBINED"), a row with arrays for each source and no
wavelengths ("RAW", and the files ``RvsMeanSpectrum_*.csv.gz``), and one long table with a ``source_id`` in
each row. DR3 calls the product ``RVS``, DR4 ``MEAN_SPECTRUM_RVS`` in the archive's own client (astroquery
0.4.11); the spelling ``RVS_MEAN_SPECTRUM`` was used in between. DR4's mean spectra are not public yet: a file
that names it is read where it keeps DR3's columns and wavelengths, and refused otherwise.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from starloom.io.format import File, Format, Found
from starloom.io.record import Record
from starloom.io.tables import Columns

FIRST_NM, STEP_NM, POINTS = 846.0, 0.01, 2401
WAVELENGTH_NM = FIRST_NM + STEP_NM * np.arange(POINTS)
MOST_ROWS = 20 * POINTS  # of one source in a table that is read in pieces
RESOLUTION, RESOLUTION_ERROR = 12400.0, 500.0
NOISE_KMS = 3.7
PRODUCTS = ("MEAN_SPECTRUM_RVS", "RVS_MEAN_SPECTRUM", "RVS")
IN_FILE_NAME = re.compile(rf"({'|'.join(PRODUCTS)})-Gaia[ _](E?DR\d) (\d+)")
FACTS = ("solution_id", "ra", "dec", "combined_transits", "combined_ccds", "deblended_ccds")
CONTINUUM = (
    "one of three conventions (Gaia DR3 documentation, 14.2.7): median 1 for GRVS > 12, slightly below 1 for "
    "brighter stars, not flattened for the coolest: fit its scale and slope"
)
# what a fit asks a provenance for
INSTRUMENT = {
    "continuum": CONTINUUM,
    "resolution_error": RESOLUTION_ERROR,
    "noise_correlation_kms": NOISE_KMS,
}


def recognise(file: File) -> bool:
    """Whether a table of the file has the columns and the wavelengths of RVS mean spectra."""
    content = file.head if file.is_long else file.content
    named = b"flux_error" in content.lower()  # else not worth taking the tables apart
    return named and not file.columns and any(map(_is_mean_spectrum, file.tables))


def read(file: File) -> Iterator[Found]:
    """The source of each spectrum in its tables, and how to read it: ``ValueError`` where it is damaged."""
    tables = [table for table in file.tables if _is_mean_spectrum(table)]
    if not tables:
        wanted = "RVS mean spectrum: flux, flux_error, 846 to 870 nm by 0.01"
        raise ValueError(f"no {wanted}, {file.shown_columns}")
    for table in tables:
        yield from _mean_spectra(file.path, table)


def _is_mean_spectrum(columns: Columns) -> bool:
    flux = columns.named("flux")
    if flux is None or columns.named("flux_error") is None or len(columns) == 0:
        return False
    wavelength = columns.named("wavelength")
    if wavelength is None:
        arrays = columns.named("source_id") is not None and columns.holds_arrays(flux)
        return arrays and any(columns.array(flux, row).size == POINTS for row in range(min(len(columns), 9)))
    if columns.units.get(wavelength, "") not in ("", "nm") or columns.holds_arrays(wavelength):
        return False
    return _on_grid(columns.beginning.numbers(wavelength)[:POINTS])


def _mean_spectra(path: Path, columns: Columns) -> Iterator[Found]:
    names = [columns.named(name) for name in ("flux", "flux_error", "wavelength")]
    source = columns.named("source_id")
    if names[2] is None:
        for piece in columns.pieces():
            for row, cell in enumerate(piece.cells[source]):
                yield _text(cell), partial(_from_arrays, path, piece, row)
        return
    if source is None:
        yield _about(path, columns, None).get("source_id", ""), partial(_from_rows, path, columns, None)
        return
    begun = None
    for piece in columns.pieces():
        if begun is not None:
            if len(begun) > MOST_ROWS:
                raise ValueError(f"source_id {_text(cells[-1])} has more than {MOST_ROWS} rows")
            piece = begun.followed_by(piece)
        cells = piece.cells[source]
        starts = [0, *(row for row in range(1, len(cells)) if cells[row] != cells[row - 1])]
        for first, end in pairwise(starts):
            yield _text(cells[first]), partial(_from_rows, path, piece, slice(first, end))
        begun = piece.part(slice(starts[-1], len(cells)))  # the last may go on in the next piece
    yield _text(cells[-1]), partial(_from_rows, path, begun, slice(0, len(begun)))


def _from_arrays(path: Path, columns: Columns, row: int) -> Record:
    arrays = [columns.array(columns.named(name), row) for name in ("flux", "flux_error")]
    if wrong := [array.size for array in arrays if array.size != POINTS]:
        raise ValueError(f"row {columns.first + row + 1}: {wrong[0]} fluxes or errors, expected {POINTS}")
    return _record(path, columns, row, WAVELENGTH_NM, *arrays)


def _from_rows(path: Path, columns: Columns, rows: slice | None) -> Record:
    part = columns if rows is None else columns.part(rows)
    numbers = [part.numbers(part.named(name)) for name in ("wavelength", "flux", "flux_error")]
    if not _on_grid(numbers[0]):
        raise ValueError(f"wavelengths are not {FIRST_NM:g} to 870 nm by {STEP_NM:g}")
    return _record(path, part, None if rows is None else 0, *numbers)


def _on_grid(wavelength_nm: np.ndarray) -> bool:
    place = (wavelength_nm - FIRST_NM) / STEP_NM
    if place.size < 2 or not np.isfinite(place).all() or place.min() < -0.1 or place.max() > POINTS - 0.9:
        return False
    return bool((np.abs(place - np.round(place)) < 0.05).all() and np.median(np.abs(np.diff(place))) < 1.1)


def _record(path: Path, columns: Columns, row: int | None, wavelength, flux, error) -> Record:
    about = _about(path, columns, row)
    finite = flux[np.isfinite(flux)]
    if finite.size:
        about["median_flux"] = round(float(np.median(finite)), 4)
    return Record(
        wavelength=wavelength,
        flux=flux,
        error=error,
        labels={"resolution": RESOLUTION},
        provenance=about | INSTRUMENT,
    )


def _about(path: Path, columns: Columns, row: int | None) -> dict[str, Any]:
    """Product, release, source and what else is told of it by the table, its header or the file's name."""
    facts: dict[str, Any] = {"product": "Gaia RVS mean spectrum"}
    if found := IN_FILE_NAME.search(path.name):
        facts |= {"retrieval_type": found[1], "release": f"Gaia {found[2]}", "source_id": found[3]}
    header = {name.lower(): value for name, value in columns.about.items()}
    for name in ("source_id", *FACTS):
        column = columns.named(name)
        value = header.get(name) if column is None or row is None else columns.cells[column][row]
        if value is not None and (text := _text(value)):
            facts[name] = text
    return facts


def _text(value: Any) -> str:
    """A fact as text: identifiers of 19 digits survive every reader of JSON."""
    if np.ma.is_masked(value) or isinstance(value, Mapping):
        return ""
    text = str(value).strip()
    return "" if text.lower() in ("null", "nan") else text


FORMAT = Format(
    "gaia",
    "RVS mean spectra as the Gaia archive gives them (R = 12400)",
    read,
    recognise,
    unit="nm",
    medium="vacuum",
    frame="rest",
)
