"""Fits of many files: a table of results that grows safely and resumes where it was stopped.

A row for each spectrum, by its number and name; one that could not be fitted has the reason in ``fault``. The
table is written anew every few seconds, beside its place, and renamed: it is whole at any moment.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from os import PathLike, cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from starloom.database.workers import processes
from starloom.errors import ConfigError, StarloomError
from starloom.files import check_target, parsing, replacing
from starloom.inference.abundances import SOLAR_SCALE, abundances, columns
from starloom.inference.abundances import check as check_abundances
from starloom.inference.derivatives import parameters
from starloom.inference.fitting import BATCH, Failure, fit_each
from starloom.inference.result import FitResult
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.interruption import outlook
from starloom.io import read_each
from starloom.labels import Domain
from starloom.locks import locked
from starloom.networks.generator import loaded
from starloom.spectrum import Spectrum

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}
MEASURES = ("", "_error", "_low", "_high", "_bound")
QUALITY = ("chi2", "reduced_chi2", "snr", "inflation")
TEXTS = ("name", "flags", "at_bound", "not_measured", "left_out", "fault", "digest")
SECONDS = 10.0  # between two writings of the table: what a kill can cost
DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError)


@dataclass(frozen=True, eq=False)
class FitColumns:
    """What decides a table's columns: labels of the fits, and whether ``elements`` or ``abundances`` are."""

    domain: Domain
    elements: bool = False
    abundances: bool = False

    @property
    def derived(self) -> tuple[str, ...]:
        """Columns of abundances on other scales, each followed by its error."""
        return columns(self.domain) if self.abundances else ()


@dataclass(frozen=True)
class Task:
    """Files to be fitted together, by their numbers in the list, from 1."""

    numbers: tuple[int, ...]
    paths: tuple[str, ...]


def fit_files(
    paths: Sequence[str | PathLike],
    output: str | PathLike,
    settings: Settings,
    *,
    model: str = "default",
    reading: Mapping[str, Any] | None = None,
    workers: int = 1,
    scales: bool = False,
    progress: Callable[[int], None] = lambda files: None,
    overwrite: bool = False,
    spell: Callable[[StarloomError], str] = str,
) -> tuple[int, int]:
    """Fit the spectra in ``paths`` into a table (.ecsv, .csv, .fits); numbers of fits and of faults in it.

    ``reading`` are options of ``io.read_observed``; with ``scales`` the table has elements as [X/H], [X/Fe]
    and A(X) too (``inference.abundances``). Files that the table has already are not done again;
    with ``overwrite`` all are, and the table is replaced when the first of them are written. ``progress``
    is told how many files are done; ``spell`` is how the column ``fault`` tells of a file that cannot be
    read. Raises ConfigError for another format or model, and where the table was made with other settings
    or from another list, WriteError where it cannot be written, StoreError where another process writes
    it: all before the first fit.
    """
    output = Path(output)
    check_table(output)
    setup = Setup(loaded(model), settings)
    if scales:
        check_abundances(setup.labels)
    kind = FitColumns(setup.labels, bool(setup.elements), scales)
    names = [str(path) for path in paths]
    if os.path.realpath(output) in (os.path.realpath(name) for name in names if "\0" not in name):
        raise ConfigError(f"{output} is one of the spectra: give another name")
    about = _about(model, settings, reading or {})
    with locked(output):
        rows = _rows_in(output, about, names, kind) if output.exists() and not overwrite else []
        waiting = sorted(set(range(1, len(names) + 1)) - {row["number"] for row in rows})
        progress(len(names) - len(waiting))
        parts = [tuple(waiting[start : start + BATCH]) for start in range(0, len(waiting), BATCH)]
        tasks = (Task(part, tuple(names[number - 1] for number in part)) for part in parts)
        results = processes(workers)(partial(_done, model, settings, dict(reading or {}), spell, kind), tasks)
        with outlook(lambda: _saved(output, rows, len(names))):
            _extend(partial(_write, output, about, kind), rows, results, progress)
    faults = sum(bool(row["fault"]) for row in rows)
    return len(rows) - faults, faults


def check_table(path: Path) -> None:
    """Raise what ``fit_files`` would raise about a table's name and place."""
    check_target(path, tuple(FORMATS))


def _extend(
    write: Callable[[list[dict]], None],
    rows: list[dict],
    results: Iterable[list[dict]],
    progress: Callable[[int], None],
) -> None:
    """Add the results to the table as they come; those that there are are written even if it is stopped."""
    written = time.monotonic()
    try:
        for found in results:
            rows += found
            progress(len({row["number"] for row in found}))
            if time.monotonic() - written > SECONDS:
                write(rows)
                written = time.monotonic()
    finally:
        write(rows)


def _saved(output: Path, rows: Sequence[dict], files: int) -> str:
    done = len({row["number"] for row in rows})
    return f"{done} of {files} files are in {output}; the same command continues (without --overwrite)"


def _done(
    model: str,
    settings: Settings,
    reading: dict,
    spell: Callable[[StarloomError], str],
    kind: FitColumns,
    task: Task,
) -> list[dict]:
    """Rows of a task; every file has at least one. A file of many spectra is fitted as it is read."""
    generator, rows, found = loaded(model), [], _read(reading, spell, task)
    while seen := list(islice(found, BATCH * (cpu_count() or 1))):
        fits = fit_each((item[2] for item in seen if not isinstance(item[2], Failure)), generator, settings)
        for number, name, item in seen:
            result = item if isinstance(item, Failure) else next(fits)
            rows.append(_row(number, name, result, kind))
    return rows


def _read(
    reading: dict, spell: Callable[[StarloomError], str], task: Task
) -> Iterator[tuple[int, str, Spectrum | Failure]]:
    """Number of the file, name, and spectrum or why there is none, of each spectrum of a task."""
    for number, path in zip(task.numbers, task.paths, strict=True):
        name = ""
        for one in read_each(path, **reading):
            name = one.name
            yield number, name, one.spectrum or Failure(spell(one.error))
        if not name:
            yield number, path, Failure("no spectrum is in it")


def _row(number: int, name: str, result: FitResult | Failure, kind: FitColumns) -> dict:
    """A row of the table; NaN and empty where there is no fit."""
    row: dict[str, Any] = {"number": number, "name": _printable(name)}
    failed = isinstance(result, Failure)
    for index, parameter in enumerate(parameters(kind.domain)):
        values = (np.nan,) * 5
        if not failed:
            error = np.sqrt(result.covariance[index, index])
            values = result.values[index], error, *result.intervals[index], result.bounds[index]
        row |= {parameter + measure: float(v) for measure, v in zip(MEASURES, values, strict=True)}
    told = {} if failed or not kind.abundances else abundances(result)
    for name in kind.derived:
        row[name], row[f"{name}_error"] = told.get(name, (np.nan, np.nan))
    row |= {name: np.nan if failed else float(getattr(result, name)) for name in QUALITY}
    row["dof"] = 0 if failed else result.dof
    row["flags"] = "" if failed else " ".join(result.flags)
    row["at_bound"] = "" if failed else " ".join(result.at_bound)
    if kind.elements:
        row["not_measured"] = "" if failed else " ".join(result.not_measured)
    row["left_out"] = "" if failed else ", ".join(f"{n} {why}" for why, n in result.left_out.items())
    row["fault"] = _printable(result.reason) if failed else ""
    return row


def _printable(text: str) -> str:
    """The text with an escape for what no table can hold, such as NUL and the end of a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _ascii(text: str) -> str:
    return _printable(text).encode("ascii", "backslashreplace").decode()


def _about(model: str, settings: Settings, reading: Mapping[str, Any]) -> dict[str, str]:
    """What the rows depend on besides their files, as the table's header keeps it."""
    content = {"model": model, **settings.about, **{name: value for name, value in reading.items() if value}}
    text = json.dumps(content, sort_keys=True, default=str)
    return {"settings": text, "digest": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _rows_in(path: Path, about: Mapping[str, str], names: Sequence[str], kind: FitColumns) -> list[dict]:
    """The rows of a table made earlier; ConfigError where it belongs to other settings or another list."""
    from astropy.table import Table

    with parsing(path, *DAMAGE):
        table = Table.read(path, format=FORMATS[path.suffix.lower()], **_reading(path))
        columns = {name: table[name].tolist() for name in table.colnames}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        rows = [{name: _text(value) for name, value in row.items()} for row in rows]
        digests = {row.pop("digest") for row in rows}
        rows = [_of_today(row) for row in rows]
    wanted = {*parameters(kind.domain), *kind.derived}
    if rows and (digests != {about["digest"]} or not wanted <= set(rows[0])):
        raise ConfigError(f"{path}: made with other settings: give them again, or another output")
    for row in rows:
        number, name = row["number"], row["name"]
        if not 0 < number <= len(names) or not _ascii(name).startswith(_ascii(names[number - 1])):
            raise ConfigError(
                f"{path}: row {number} is {name}, which is not so in the list: give another output"
            )
    return rows


def _of_today(row: dict) -> dict:
    """A row with the columns that tables of earlier versions lack."""
    fault = row.pop("fault")
    row.setdefault("reduced_chi2", row["chi2"] / row["dof"] if row["dof"] else np.nan)
    row.setdefault("left_out", "")
    return row | {"fault": fault}


def _text(value: Any) -> Any:
    value = value.decode() if isinstance(value, bytes) else value
    return "" if value is None else value.strip() if isinstance(value, str) else value


def _reading(path: Path) -> dict[str, Any]:
    """Options with which astropy leaves empty text and NaN as they are."""
    if path.suffix.lower() == ".fits":
        return {"mask_invalid": False}
    if path.suffix.lower() == ".csv":
        return {"converters": {name: [_as_text()] for name in TEXTS}, "fill_values": []}
    return {}


def _as_text():
    from astropy.io.ascii import convert_numpy

    return convert_numpy(str)


def _write(path: Path, about: Mapping[str, str], kind: FitColumns, rows: Iterable[dict]) -> None:
    """The whole table in one step, in the order of the list."""
    from astropy.table import Table

    rows = sorted(rows, key=lambda row: row["number"])
    if not rows:
        return
    table = Table({name: [row[name] for row in rows] for name in rows[0]})
    if path.suffix.lower() == ".fits":  # whose text is ASCII
        for name in ("name", "fault"):
            table[name] = [_ascii(text) for text in table[name]]
    table["digest"] = about["digest"]
    fits = path.suffix.lower() == ".fits"
    units = {label.name: label.unit for label in kind.domain.labels} | {"velocity": "km/s"}
    for name, unit in units.items():
        for measure in MEASURES:
            # the FITS standard has no dex
            table[name + measure].unit = unit if unit not in ("", "dex") else None
    for name in kind.derived:
        table[name].unit = table[f"{name}_error"].unit = None if fits else "dex"
    if kind.derived:
        table.meta["SOLAR" if fits else "solar_scale"] = SOLAR_SCALE
    table.meta["SETTINGS" if fits else "settings"] = about["settings"]
    with replacing(path) as temporary:
        table.write(temporary, format=FORMATS[path.suffix.lower()], overwrite=True)
