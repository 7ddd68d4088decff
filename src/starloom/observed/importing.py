"""A folder of observed spectra and a table of their labels become an ``ObservedLibrary``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, Option, ParseError, StarloomError, StoreError
from starloom.io import read_observed
from starloom.io.label_tables import read_labels
from starloom.labels import LABELS, Domain
from starloom.observed.library import ObservedLibrary, library
from starloom.spectrum import Spectrum
from starloom.wavelength import to_vacuum

FILE, NAME, VELOCITY, ERROR = "file", "name", "velocity", "_err"  # columns of a table, and an ending of them
SAME = 1e-9  # of a wavelength
HOTTEST = (1.0, 1e6)  # K: a table's Teff is not judged here


def import_library(
    files: str | Path,
    table: str | Path,
    name: str,
    *,
    snr: float | None = None,
    skip_bad: bool = False,
    source: str = "",
    **reading,
) -> ObservedLibrary:
    """The library of spectra in the folder ``files`` with labels in ``table`` (CSV, ECSV, FITS or VOTable).

    The table has a column ``file``, ``teff``, further labels by name, of each its standard deviation
    (``teff_err`` [K]), and where there are such ``name``, ``velocity`` [km/s] (of a star that is not at rest)
    and ``resolution``. An empty cell is a label that is not known. ``reading`` are options of
    ``io.read_observed``; ``snr`` is that of spectra without errors, whose noise is else taken from their
    pixels. Spectra at other wavelengths than the first are brought to steps uniform in the logarithm, once.
    Bad files are listed in a StoreError; with ``skip_bad`` they are left out. ``source``: whom to cite.
    Raises ParseError for a table without what is needed, ConfigError where a file leaves something open.
    """
    given = read_labels(table, Domain.of({"teff": HOTTEST}))
    if FILE not in given.others:
        raise ParseError(f"{table}: no column {FILE}")
    paths = given.others[FILE].astype(str)
    velocity = _column(given.others, VELOCITY, len(paths))
    faults, spectra = (
        {number - 1: f"{table}, row {number}: {why}" for number, why in given.faults.items()},
        {},
    )
    for row, path in enumerate(paths):
        if row in faults:
            continue
        try:
            spectra[row] = _at_rest(read_observed(Path(files) / path, **reading), velocity[row])
        except ConfigError:  # of what was asked for, not of one file
            raise
        except StarloomError as error:
            faults[row] = str(error)
    if not spectra or (faults and not skip_bad):
        raise StoreError(
            f"{len(faults)} of {len(paths)} files are bad: " + "; ".join([*faults.values()][:20])
        )
    rows = [*spectra]
    columns = {"teff": given.labels[:, 0], **given.others}
    labels, errors = _labels(str(table), columns, rows)
    names = columns[NAME].astype(str)[rows] if NAME in columns else [Path(paths[row]).stem for row in rows]
    vacuum, flux, error = _common([*spectra.values()], snr)
    resolution = [_resolution(spectra[row], columns, row, paths[row]) for row in rows]
    about = {"source": source, "left_out": len(faults)}
    return library(name, names, vacuum, flux, labels, errors, resolution, error=error, about=about)


def _column(columns, name: str, rows: int) -> np.ndarray:
    """A column of numbers, NaN where a cell has none."""
    if name not in columns:
        return np.full(rows, np.nan)
    return np.array([_number(cell) for cell in columns[name]])


def _number(cell) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return np.nan


def _labels(table: str, columns, rows: Sequence[int]) -> tuple[dict, dict]:
    """Labels and errors by name, of some rows."""
    labels, errors = {}, {}
    for name in LABELS:
        if name not in columns or name == "resolution":
            continue
        labels[name] = _column(columns, name, 0)[rows]
        if name + ERROR not in columns:
            raise ParseError(f"{table}: no column {name}{ERROR}, the standard deviation of {name}")
        errors[name] = _column(columns, name + ERROR, 0)[rows]
        if (bad := np.isfinite(labels[name]) & ~(errors[name] > 0)).any():
            row = rows[int(bad.argmax())] + 1
            raise ParseError(f"{table}, row {row}: {name}{ERROR} is no number above 0")
    return labels, errors


def _at_rest(spectrum: Spectrum, velocity: float) -> Spectrum:
    """The spectrum, whose frame must be the star's unless its velocity is given."""
    from dataclasses import replace

    vacuum = to_vacuum(spectrum.wavelength, spectrum.medium)
    if np.isfinite(velocity):
        vacuum = vacuum * np.exp(-np.arctanh(velocity / SPEED_OF_LIGHT_KMS))
    elif spectrum.frame != "rest":
        told = f"frame = {spectrum.frame}: spectra at rest are needed, or a column {VELOCITY}, or "
        raise ConfigError(told, Option("frame", ("rest",)))
    return replace(spectrum, wavelength=vacuum, medium="vacuum", frame="rest")


def _resolution(spectrum: Spectrum, columns, row: int, path: str) -> float:
    own = _column(columns, "resolution", 0)[row] if "resolution" in columns else np.nan
    found = own if np.isfinite(own) else (spectrum.labels or {}).get("resolution", np.nan)
    if not np.isfinite(found):
        raise ConfigError(
            f"{path}: its resolving power is not known: a column resolution, or ", Option("resolution")
        )
    return float(found)


def _common(spectra: Sequence[Spectrum], snr: float | None):
    """Common wavelengths, flux and errors ``[star, wavelength]``; errors None where there are none."""
    first = spectra[0].wavelength
    same = all(
        s.wavelength.shape == first.shape and np.allclose(s.wavelength, first, SAME, 0) for s in spectra
    )
    wavelength = first if same else _grid(spectra)
    seen = [_placed(spectrum, wavelength, same) for spectrum in spectra]
    flux = np.array([each[0] for each in seen])
    told = [each[1] is not None for each in seen]
    if not any(told):
        return wavelength, flux, None if snr is None else 1 / snr
    if not all(told):
        raise ConfigError(f"{told.count(False)} of {len(told)} spectra have no errors, the others have")
    return wavelength, flux, np.array([each[1] for each in seen])


def _grid(spectra: Sequence[Spectrum]) -> np.ndarray:
    """Wavelengths uniform in their logarithm, with the median step, over all that the spectra cover."""
    ends = [spectrum.wavelength[[0, -1]] for spectrum in spectra]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    step = float(np.median([np.median(np.diff(np.log(spectrum.wavelength))) for spectrum in spectra]))
    return low * np.exp(step * np.arange(int(np.log(high / low) / step) + 1))


def _placed(spectrum: Spectrum, wavelength: np.ndarray, same: bool):
    """Flux and error at the wavelengths, NaN where a pixel on either side is masked or there is none."""
    bad = (
        ~np.isfinite(spectrum.flux) if spectrum.mask is None else spectrum.mask | ~np.isfinite(spectrum.flux)
    )
    flux = np.where(bad, np.nan, spectrum.flux)
    if same:
        return flux, spectrum.error
    ends = {"left": np.nan, "right": np.nan}
    error = spectrum.error
    if error is not None:
        error = np.interp(wavelength, spectrum.wavelength, error, **ends)
    return np.interp(wavelength, spectrum.wavelength, flux, **ends), error
