"""Fits of many stars of several spectra each: a table of stars, and one of their spectra's velocities."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from starloom.errors import ConfigError, ParseError, StarloomError
from starloom.files import check_target, parsing, replacing
from starloom.inference.epochs import EpochsResult, fit_epochs
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.io import read_each, read_list
from starloom.networks.generator import loaded
from starloom.spectrum import Spectrum

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}
LISTS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".vot": "votable"}
PATHS = ("path", "file")  # columns of a list that is a table


@dataclass(frozen=True)
class EpochFile:
    """A file of a star: its number in the list, from 1, and path."""

    number: int
    path: Path


def groups_in(path: str | PathLike, key: str, reading: Mapping[str, Any]) -> dict[str, list[EpochFile]]:
    """The files of each star, by what the list says of them in the column ``key``.

    The list is a table (.csv, .ecsv, .fits, .vot) with that column and one of PATHS; or, of any other name, a
    text file with a path in each line, of spectra that tell ``key`` themselves (their provenance). Raises
    ParseError where neither is so.
    """
    path = Path(path)
    if path.suffix.lower() in LISTS:
        pairs = _from_table(path, key)
    else:
        pairs = [(_told(each, key, reading), each) for each in read_list(path)]
    found: dict[str, list[EpochFile]] = {}
    for number, (star, file) in enumerate(pairs, start=1):
        found.setdefault(star, []).append(EpochFile(number, file))
    return found


def _from_table(path: Path, key: str) -> list[tuple[str, Path]]:
    from astropy.table import Table

    with parsing(path, ValueError, KeyError, TypeError):
        table = Table.read(path, format=LISTS[path.suffix.lower()])
    column = next((name for name in PATHS if name in table.colnames), None)
    if missing := [name for name in (key, column) if name not in table.colnames]:
        wanted = " or ".join(PATHS) if missing[0] is None else missing[0]
        raise ParseError(f"{path}: no column {wanted} among {', '.join(table.colnames)}")
    return [(_as_text(star), path.parent / _as_text(file)) for star, file in table[key, column].iterrows()]


def _as_text(value: Any) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _told(path: Path, key: str, reading: Mapping[str, Any]) -> str:
    """What the spectrum in a file says of itself."""
    first = next(iter(read_each(path, **reading)), None)
    if first is None or first.spectrum is None:
        reason = "no spectrum is in it" if first is None else str(first.error)
        raise ParseError(f"{path}: {key} is not known: {reason}")
    if (value := first.spectrum.provenance.get(key)) is None:
        raise ParseError(f"{path}: its header has no {key}; a list that is a table may have it as a column")
    return _as_text(value)


def fit_groups(
    groups: Mapping[str, Sequence[EpochFile]],
    output: str | PathLike,
    key: str,
    settings: Settings,
    *,
    model: str = "default",
    correction: str | PathLike | None = None,
    reading: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda files: None,
    overwrite: bool = False,
) -> tuple[int, int, int]:
    """Fit the spectra of each star together, into a table of stars.

    Told are the numbers of fits, of stars without one, and of spectra left out.

    Beside it, in ``velocities_of(output)``, is a row for each spectrum. ``progress`` is told how many files
    are done; ``correction`` is the file of one (``Generator.corrected``). Raises ConfigError where the tables
    exist, or have another ending, and StoreError for a correction of another model.
    """
    output = Path(output)
    for path in (output, velocities_of(output)):
        check_target(path, tuple(FORMATS), overwrite)
    generator = loaded(model, correction)
    setup, stars, spectra = Setup(generator, settings), [], []
    try:
        for star, files in groups.items():
            row, rows = _fitted(star, files, setup, key, reading or {})
            stars.append(row)
            spectra += rows
            progress(len(files))
    finally:  # what is done is not lost where the rest is not
        if stars:
            _write(output, stars, setup, model)
            _write(velocities_of(output), spectra, setup, model)
    faults = sum(bool(row["fault"]) for row in stars)
    return len(stars) - faults, faults, sum(bool(row["fault"]) for row in spectra)


def velocities_of(output: Path) -> Path:
    """The table of the spectra beside that of the stars."""
    return output.with_name(f"{output.stem}_velocities{output.suffix}")


def _fitted(
    star: str, files: Sequence[EpochFile], setup: Setup, key: str, reading: Mapping
) -> tuple[dict, list]:
    """The row of a star, and those of its spectra."""
    found = [(epoch.number, each) for epoch in files for each in read_each(epoch.path, **reading)]
    names = [(number, each.name) for number, each in found]
    spectra = [each.spectrum for _, each in found]
    unread = {k: str(each.error) for k, (_, each) in enumerate(found) if each.spectrum is None}
    try:
        result = _together([each for each in spectra if each is not None], setup)
        fault = ""
    except StarloomError as error:
        result, fault = None, str(error)
    read = [k for k, each in enumerate(spectra) if each is not None]
    rows = [{key: star, "number": number, "name": name, **_velocity()} for number, name in names]
    for k, reason in unread.items():
        rows[k]["fault"] = reason
    for place, number in enumerate(result.numbers if result else ()):
        rows[read[number]] |= _velocity(result, place)
    for number, reason in (result.failures if result else {}).items():
        rows[read[number]]["fault"] = reason
    return {key: star, **_star(result, setup), "fault": fault}, rows


def _together(spectra: list[Spectrum], setup: Setup) -> EpochsResult:
    if not spectra:
        raise ConfigError("none of its files has a spectrum that can be read")
    return fit_epochs(spectra, setup.generator, setup.settings)


def _velocity(result: EpochsResult | None = None, place: int = 0) -> dict[str, Any]:
    """Columns of one of the spectra."""
    if result is None:
        return dict.fromkeys(("velocity", "velocity_error", "snr", "reduced_chi2"), np.nan) | {"fault": ""}
    return {
        "velocity": float(result.velocities[place]),
        "velocity_error": float(result.velocity_errors[place]),
        "snr": float(result.snr[place]),
        "reduced_chi2": float(result.chi2[place] / result.dof[place]),
    }


def _star(result: EpochsResult | None, setup: Setup) -> dict[str, Any]:
    """Columns of a star."""
    row: dict[str, Any] = {"epochs": 0 if result is None else len(result.velocities)}
    for index, name in enumerate((*setup.labels.names, "velocity")):
        values = np.full(5, np.nan)
        if result is not None:
            error, ends = result.errors[name], result.intervals[index]
            values = np.array([result.values[index], error, *ends, result.bounds[index]])
        row |= dict(
            zip((name + m for m in ("", "_error", "_low", "_high", "_bound")), values.tolist(), strict=True)
        )
    measures = (
        "velocity_chi2",
        "constant_probability",
        "velocity_amplitude",
        "velocity_scatter",
        "reduced_chi2",
    )
    row |= {name: np.nan if result is None else getattr(result, name) for name in (*measures, "inflation")}
    row["flags"] = "" if result is None else " ".join(result.flags)
    return row | {"at_bound": "" if result is None else " ".join(result.at_bound)}


def _write(path: Path, rows: Sequence[dict], setup: Setup, model: str) -> None:
    from astropy.table import Table

    table = Table({name: [row[name] for row in rows] for name in rows[0]})
    fits = path.suffix.lower() == ".fits"
    units = {label.name: label.unit for label in setup.labels.labels} | {"velocity": "km/s"}
    for name, unit in units.items():
        for measure in ("", "_error", "_low", "_high", "_bound"):
            if name + measure in table.colnames and unit not in ("", "dex"):
                table[name + measure].unit = unit
    if fits:  # whose text is ASCII
        for name in table.colnames:
            if table[name].dtype.kind == "U":
                table[name] = [text.encode("ascii", "backslashreplace").decode() for text in table[name]]
    about = {"model": str(model), **setup.settings.about, **setup.corrected}
    table.meta["SETTINGS" if fits else "settings"] = json.dumps(about)
    with replacing(path) as temporary:
        table.write(temporary, format=FORMATS[path.suffix.lower()], overwrite=True)
