"""Fits of many files: a table of results that grows safely and resumes where it was stopped.

A row for each spectrum, by the number of its file and its own in that, and by name; one that could not be
fitted has the reason in ``fault``. Every few seconds what there is goes into a part (``inference.parts``),
and all parts into the table at the end, also where the run is stopped; after a kill the parts are there to
go on from.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from os import PathLike, cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from starloom.database.workers import Engine, processes
from starloom.database.workers import dask as on_dask
from starloom.errors import ConfigError, StarloomError, WriteError
from starloom.files import check_target, parsing
from starloom.inference import composite
from starloom.inference.abundances import SOLAR_SCALE, abundances, columns
from starloom.inference.abundances import check as check_abundances
from starloom.inference.derivatives import parameters
from starloom.inference.fitting import BATCH, Failure, fit_each
from starloom.inference.joining import FORMATS, TableAbout, pyarrow, write_blocks
from starloom.inference.parts import EMPTY, Parts, joined, records, stacked
from starloom.inference.result import FitResult
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.interruption import outlook
from starloom.io import read_each
from starloom.labels import Domain
from starloom.locks import locked
from starloom.networks.generator import loaded
from starloom.spectrum import Spectrum

MEASURES = ("", "_error", "_low", "_high", "_bound")
QUALITY = ("chi2", "reduced_chi2", "snr", "inflation")
TEXTS = ("name", "flags", "trust_chain", "doubt", "at_bound", "not_measured", "left_out", "fault", "digest")
SECONDS = 10.0  # between two parts: what a kill can cost
LARGE = 2**22  # bytes of a file that has a task for itself, or
FILES_PER_WORKER = (
    4  # where there are fewer for each worker than this, is read here and fitted by all workers
)
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


# number of a file, of a spectrum in it (both from 1), name, and spectrum or why there is none
Item = tuple[int, int, str, Spectrum | Failure]


@dataclass(frozen=True)
class Task:
    """Files to be fitted together, by their numbers in the list, from 1.

    ``paths`` are theirs, in that order.
    """

    numbers: tuple[int, ...]
    paths: tuple[str, ...]

    @property
    def told(self) -> tuple[tuple[int, ...], int]:
        """The files that it finishes, and 0: it is part of none."""
        return self.numbers, 0

    def failed(self, reason: str) -> "FailedFiles":
        """The same files with a reason in the place of their spectra."""
        items = ((n, 1, path, Failure(reason)) for n, path in zip(self.numbers, self.paths, strict=True))
        return FailedFiles(tuple(items), self.numbers)


@dataclass(frozen=True, eq=False)
class SpectraTask:
    """Spectra of one file to be fitted together.

    ``items``: what was read of it.
    """

    items: tuple[Item, ...]

    @property
    def told(self) -> tuple[tuple[int, ...], int]:
        """The files that it finishes, none, and the one that it is part of."""
        return (), self.items[0][0]

    def failed(self, reason: str) -> "SpectraTask":
        """The same with a reason in the place of each spectrum."""
        return SpectraTask(tuple((*item[:3], Failure(reason)) for item in self.items))


@dataclass(frozen=True, eq=False)
class FailedFiles:
    """Files that could not be fitted, and why: ``items`` of them, ``numbers``."""

    items: tuple[Item, ...]
    numbers: tuple[int, ...]

    @property
    def told(self) -> tuple[tuple[int, ...], int]:
        """The files that it finishes, and 0: it is part of none."""
        return self.numbers, 0


def fit_files(
    paths: Sequence[str | PathLike],
    output: str | PathLike,
    settings: Settings,
    *,
    model: str = "default",
    correction: str | PathLike | None = None,
    reading: Mapping[str, Any] | None = None,
    workers: int = 1,
    scales: bool = False,
    progress: Callable[[int], None] = lambda files: None,
    overwrite: bool = False,
    spell: Callable[[StarloomError], str] = str,
    dask: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[int, int]:
    """Fit the spectra in ``paths`` into a table (FORMATS); numbers of fits and of faults in it.

    ``correction`` is the file of one (``Generator.corrected``); ``reading`` are options of
    ``io.read_observed``; with ``scales`` the table has elements as [X/H], [X/Fe] and A(X) too
    (``inference.abundances``). Files that the table has already are not done again; with ``overwrite`` all
    are, and the table is replaced when the first of them are written. ``progress`` is told how many files are
    done; ``spell`` is how the column ``fault`` tells of a file that cannot be read. Raises ConfigError for
    another format or model, and where the table was made with other settings or from another list, WriteError
    where it cannot be written, StoreError where another process writes it: all before the first fit.

    ``output`` is the table's path, ``workers`` the number of processes; ``dask`` is the address of a
    scheduler whose workers fit instead. ``tell`` is given a line with the rate at the end.
    """
    output = Path(output)
    check_table(output)
    setup = Setup(loaded(model, correction), settings)
    if scales:
        check_abundances(setup.labels)
    kind = FitColumns(setup.labels, bool(setup.elements), scales)
    names = [str(path) for path in paths]
    if os.path.realpath(output) in (os.path.realpath(name) for name in names if "\0" not in name):
        raise ConfigError(f"{output} is one of the spectra: give another name")
    about = _about(model, settings, setup.corrected | dict(reading or {}))
    engine = processes(workers) if dask is None else on_dask(dask)
    with locked(output):
        parts = Parts(Parts.folder_of(output)) if overwrite else Parts.beside(output, about["digest"])
        if not overwrite and output.exists():
            _take_over(output, parts, about, names, kind)
        _check_names(output, parts, names)
        waiting = sorted(set(range(1, len(names) + 1)) - parts.finished)
        progress(len(names) - len(waiting))
        run = _Run(parts, _is_ascii(output), progress, about["digest"])
        function = partial(_done, model, settings, dict(reading or {}), spell, kind, correction=correction)
        tasks = run.tasks(waiting, names, dict(reading or {}), spell, workers)
        with outlook(lambda: _saved(output, parts, len(names))), _naming(output, parts.folder):
            run.through(engine, function, tasks, lambda: _join(output, parts, about, kind))
        tell(run.report)
    return parts.rows - parts.faults, parts.faults


def row(result: FitResult, name: str, setup: Setup, scales: bool = False) -> dict[str, Any]:
    """One fit with the names and values that its row in a table has; ``scales`` as in ``fit_files``."""
    kind = FitColumns(setup.labels, bool(setup.elements), scales)
    return row_of(1, name, result, kind)


def rows_of(path: str | PathLike) -> list[dict[str, Any]]:
    """The rows of a table that ``fit_files`` wrote; NaN where there is no number. Raises ParseError."""
    from astropy.table import Table

    path = Path(path)
    with parsing(path, *DAMAGE):
        table = Table.read(path, format=FORMATS[path.suffix.lower()], **_reading(path))
        columns = {name: table[name].tolist() for name in table.colnames}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [{name: _text(value) for name, value in row.items()} for row in rows]


def check_table(path: Path) -> None:
    """Raise what ``fit_files`` would raise about a table's name and place."""
    check_target(path, tuple(FORMATS))


def _saved(output: Path, parts: Parts, files: int) -> str:
    if not parts.finished:
        return f"none of {files} files is done yet; the same command begins again"
    where = f"the parts of {output}" if parts.begun else output
    done = f"{len(parts.finished)} of {files} files are in {where}"
    return f"{done}; the same command continues (without --overwrite)"


@contextmanager
def _naming(output: Path, folder: Path) -> Iterator[None]:
    """A part that cannot be written is the table that cannot: WriteError."""
    try:
        yield
    except WriteError as error:
        if not Path(str(error.filename)).is_relative_to(folder):
            raise
        raise WriteError(error.errno, error.strerror, str(output)) from error


@dataclass(eq=False)
class _Run:
    """The way of all tasks through an engine, and what came back: in parts, every SECONDS."""

    parts: Parts
    ascii: bool
    progress: Callable[[int], None]
    digest: str
    begun: float = field(default_factory=time.monotonic)
    written: float = field(default_factory=time.monotonic)
    fitted: int = 0
    again: list = field(default_factory=list)
    waiting: dict[int, int] = field(default_factory=dict)  # tasks of a file that is read here, by its number
    read: set[int] = field(default_factory=set)  # files that were read here to their end
    found: list[np.ndarray] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)

    def tasks(
        self, waiting: Sequence[int], names: Sequence[str], reading: dict, spell: Callable, workers: int
    ) -> Iterator["Task | SpectraTask"]:
        """Files to be read where they are fitted; of few large ones the spectra, which are read here."""
        large = [number for number in waiting if _size(names[number - 1]) > LARGE]
        here = set(large) if len(large) < FILES_PER_WORKER * workers else set()
        here |= set(self.parts.begun)  # whose spectra were read here before
        small = [number for number in waiting if number not in here.union(large)]
        groups = [small[start : start + BATCH] for start in range(0, len(small), BATCH)]
        groups += [[number] for number in large if number not in here]
        for group in groups:
            yield Task(tuple(group), tuple(names[number - 1] for number in group))
        for number in sorted(here):
            done = self.parts.begun.get(number, set())
            items = _read(reading, spell, Task((number,), (names[number - 1],)), done)
            while seen := tuple(islice(items, BATCH)):
                self.waiting[number] = self.waiting.get(number, 0) + 1
                yield SpectraTask(seen)
            self.read.add(number)

    def through(self, engine: Engine, function: Callable, tasks: Iterable, join: Callable[[], None]) -> None:
        """Have the tasks done, those that fail twice; what there is is kept even if it is stopped.

        Joined it is unless a file that is read here is half done: its parts wait for the rest.
        """
        try:
            for result in engine(partial(_attempted, function), tasks):
                self._take(result)
            if again := list(self.again):
                for result in engine(partial(_attempted, function), iter(again)):
                    self._take(result if isinstance(result, Done) else result.given_up(function))
        finally:
            self._write()
            if not self.parts.begun:
                join()

    def _take(self, result: "Done | Lost") -> None:
        if isinstance(result, Lost):
            self.again.append(result.task)
            return
        self.found.append(result.rows)
        self.fitted += len(result.rows)
        self.ended.update(result.finished)
        if result.part_of:
            self.waiting[result.part_of] -= 1
        if result.finished:
            self.progress(len(result.finished))
        if time.monotonic() - self.written > SECONDS:
            self._write()

    def _write(self) -> None:
        whole = {number for number in self.read if not self.waiting.get(number)} - self.parts.finished
        if whole:
            self.progress(len(whole))
        finished = (self.ended | whole) - self.parts.finished
        if self.found or finished:
            rows = stacked(self.found) if self.found else np.zeros(0, EMPTY)
            self.parts.add(as_ascii(rows) if self.ascii else rows, finished, self.digest)
        self.found, self.ended, self.written = [], set(), time.monotonic()

    @property
    def report(self) -> str:
        """What was done, in a line."""
        seconds = time.monotonic() - self.begun
        rate = f"{self.fitted} spectra in {seconds:.0f} s, {self.fitted / max(seconds, 1e-9):.3g} a second"
        return f"{rate}; {len(self.again)} tasks were tried twice"


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except (OSError, ValueError):
        return 0


@dataclass(frozen=True, eq=False)
class Done:
    """``rows`` of a task; the files that it ``finished``, or the one that it is ``part_of``."""

    rows: np.ndarray
    finished: tuple[int, ...] = ()
    part_of: int = 0


@dataclass(frozen=True, eq=False)
class Lost:
    """A task that failed for a reason that is none of its spectra's."""

    task: "Task | SpectraTask"
    reason: str

    def given_up(self, function: Callable) -> Done:
        """Rows that say why there is nothing: one of each spectrum, or of each file.

        ``function`` makes rows of a task.
        """
        return function(self.task.failed(self.reason))


def _attempted(function: Callable, task: "Task | SpectraTask") -> Done | Lost:
    try:
        return function(task)
    except Exception as error:
        return Lost(task, f"not fitted, twice: {type(error).__name__}: {' '.join(str(error).split())}")


def _done(
    model: str,
    settings: Settings,
    reading: dict,
    spell: Callable[[StarloomError], str],
    kind: FitColumns,
    task: Task | SpectraTask,
    correction: str | PathLike | None = None,
) -> Done:
    """Rows of a task; every file has at least one. A file of many spectra is fitted as it is read."""
    generator, parts = loaded(model, correction), []
    found = _read(reading, spell, task) if isinstance(task, Task) else iter(task.items)
    while seen := list(islice(found, BATCH * (cpu_count() or 1))):
        fits = fit_each((item[3] for item in seen if not isinstance(item[3], Failure)), generator, settings)
        rows = []
        for number, spectrum, name, item in seen:
            result = item if isinstance(item, Failure) else next(fits)
            rows.append(row_of(number, name, result, kind, spectrum))
        parts.append(records(rows))
    return Done(stacked(parts), *task.told)


def _read(
    reading: dict, spell: Callable[[StarloomError], str], task: Task, done: Collection[int] = ()
) -> Iterator[Item]:
    """Each spectrum of a task, or why there is none; those that are ``done`` are left in their file."""
    for number, path in zip(task.numbers, task.paths, strict=True):
        name = "" if not done else path
        for one in read_each(path, **reading, **({"skipped": done} if done else {})):
            name = one.name
            yield number, one.number, name, one.spectrum or Failure(spell(one.error))
        if not name:
            yield number, 1, path, Failure("no spectrum is in it")


def row_of(number: int, name: str, result: FitResult | Failure, kind: FitColumns, spectrum: int = 1) -> dict:
    """A row of the table, of a ``result``; NaN and empty where there is no fit."""
    row: dict[str, Any] = {"number": number, "name": _printable(name), "spectrum": spectrum}
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
    row |= _verdict(None if failed else result)
    row["at_bound"] = "" if failed else " ".join(result.at_bound)
    if kind.elements:
        row["not_measured"] = "" if failed else " ".join(result.not_measured)
    row["left_out"] = "" if failed else ", ".join(f"{n} {why}" for why, n in result.left_out.items())
    row["fault"] = _printable(result.reason) if failed else ""
    return row


def _verdict(result: FitResult | None) -> dict:
    """Columns of how far the labels are to be trusted, and of two stars."""
    judged = result and result.trust
    told = (np.nan, "", "") if judged is None else (judged.value, judged.chain, judged.reason)
    row = dict(zip(("trust", "trust_chain", "doubt"), told, strict=True))
    return row | composite.columns(result and result.composite)


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


def _take_over(
    path: Path, parts: Parts, about: Mapping[str, str], names: Sequence[str], kind: FitColumns
) -> None:
    """What a table made earlier has, as a part; ConfigError where it belongs to other settings."""
    columns = _columns_of(path)
    if not len(columns["number"]):
        return
    wanted = {*parameters(kind.domain), *kind.derived}
    if set(columns.pop("digest", ())) != {about["digest"]} or not wanted <= set(columns):
        raise ConfigError(f"{path}: made with other settings: give them again, or another output")
    rows = joined(_of_today(columns, list(row_of(1, "", Failure(""), kind))))
    known = parts.finished | set(parts.begun)  # a run was killed when the table was just joined
    rows = rows[[number not in known for number in rows["number"].tolist()]]
    _check_rows(path, rows, names)
    numbers = set(rows["number"].tolist())
    if parts.paths or not set(range(1, len(names) + 1)) <= numbers:
        parts.add(as_ascii(rows) if _is_ascii(path) else rows, numbers, about["digest"])
    else:  # nothing is left to do
        parts.count(rows, numbers)


def _check_names(path: Path, parts: Parts, names: Sequence[str]) -> None:
    """ConfigError where parts are of files that the list does not have so."""
    for rows in parts.each():
        _check_rows(path, rows, names)


def _check_rows(path: Path, rows: np.ndarray, names: Sequence[str]) -> None:
    for number, name in zip(rows["number"].tolist(), rows["name"].tolist(), strict=True):
        if not 0 < number <= len(names) or not _ascii(name).startswith(_ascii(names[number - 1])):
            told = f"row {number} is {name}, which is not so in the list"
            raise ConfigError(f"{path}: {told}: give another output")


def _columns_of(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table of results. Raises ParseError."""
    from astropy.table import Table

    with parsing(path, *DAMAGE):
        if path.suffix.lower() == ".parquet":
            found = pyarrow()[1].read_table(path)
            return {name: _column(found[name].to_pylist()) for name in found.column_names}
        table = Table.read(path, format=FORMATS[path.suffix.lower()], **_reading(path))
        return {name: _column(table[name]) for name in table.colnames}


def _column(values: Any) -> np.ndarray:
    values = np.ma.filled(values, "" if np.ma.asarray(values).dtype.kind in "USO" else np.nan)
    if np.asarray(values).dtype.kind in "SUO":
        return np.array([_text(value) for value in np.asarray(values).tolist()], np.str_)
    return np.asarray(values)


def _of_today(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns that tables have today, also those that earlier versions lack."""
    known = dict(columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        known.setdefault("reduced_chi2", known["chi2"] / np.where(known["dof"] > 0, known["dof"], np.nan))
    for name, value in {"left_out": "", **_verdict(None)}.items():
        known.setdefault(name, np.full(len(known["number"]), value))
    if "spectrum" not in known:
        number = np.asarray(known["number"])
        first = np.concatenate([[True], np.diff(number) != 0])
        begin = np.maximum.accumulate(np.where(first, np.arange(number.size), 0))
        known["spectrum"] = np.arange(number.size) - begin + 1
    return {name: known[name] for name in names}


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


def _join(path: Path, parts: Parts, about: Mapping[str, str], kind: FitColumns) -> None:
    """All rows that there are, in the order of the list, as one table."""
    if not parts.paths:
        return
    units = {label.name: label.unit for label in kind.domain.labels} | {"velocity": "km/s"}
    units = {name + measure: unit for name, unit in units.items() for measure in MEASURES}
    units |= {name + end: "dex" for name in kind.derived for end in ("", "_error")}
    scale = {"solar_scale": SOLAR_SCALE} if kind.derived else {}
    scale_fits = {"SOLAR": SOLAR_SCALE} if kind.derived else {}
    told = TableAbout(
        units,
        {**scale, "settings": about["settings"]},
        about["digest"],
        parts.rows,
        {**scale_fits, "SETTINGS": about["settings"]},
    )
    write_blocks(path, parts.blocks(), told)
    parts.remove()


def _is_ascii(path: Path) -> bool:
    """Whether the text of a table is ASCII: of FITS."""
    return path.suffix.lower() == ".fits"


def as_ascii(rows: np.ndarray) -> np.ndarray:
    """``rows``, records ``[row]``, whose text has escapes for what is not ASCII."""
    columns = {name: rows[name] for name in rows.dtype.names}
    for name, column in columns.items():
        if column.dtype.kind == "U" and not "".join(column.tolist()).isascii():
            columns[name] = np.array([_ascii(text) for text in column.tolist()])
    return joined(columns)
