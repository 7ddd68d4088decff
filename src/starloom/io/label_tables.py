"""Tables of labels: a row per star and a column per label of a domain, in CSV, ECSV, FITS or VOTable.

A row that cannot be used does not stop the others: its number, from 1, and the reason are kept. Long tables
are read in pieces, twice: first to see what their columns hold, so that any length needs the same memory.
"""

import csv
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from starloom.arrays import one_line
from starloom.constants import SYMBOLS
from starloom.errors import ConfigError, ParseError
from starloom.files import parsing
from starloom.io.long_files import is_long, long_ecsv, long_file
from starloom.io.tables import content_of, head_of, read_table
from starloom.labels import LABELS, Domain, Label

IDENTIFIERS = ("id", "source_id", "sourceid", "star_id", "name", "star", "object")
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
REAL = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?|[+-]?(nan|inf)", re.IGNORECASE)
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{,79}")  # a name of a file on every system
STELLAR = {"rv", "vrad", "radialvelocity", "velocity", "metallicity", "feh"}  # what is in no vocabulary
ELEMENT = re.compile(r"\[([A-Za-z]{1,2})/?M\]|([A-Za-z]{1,2})[/_ ]M", re.IGNORECASE)  # our [X/M]
ABUNDANCE = re.compile(r"\[?([A-Za-z]{1,2})[/_ ]?(H|M|Fe)\]?", re.IGNORECASE)
ALPHA_TO_IRON = ("alphafe", "afe", "am")  # [alpha/Fe], a_Fe, [a/M] of libraries' tables
PART = 4096  # rows at once
FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable"}  # by astropy


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels float64[row, label] of a table; ``faults``: why a row, by its number, cannot be used.

    ``others``: the columns that are none of the labels, by name, an array [row, ...] each; ``units`` of those
    that have one. ``first`` is the number of the first row: 1, or more in a part of a longer table.
    """

    labels: np.ndarray
    faults: Mapping[int, str]
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    first: int = 1

    __repr__ = one_line

    @property
    def rows(self) -> np.ndarray:
        """Numbers of the rows without fault."""
        numbers = self.first + np.arange(len(self.labels))
        return numbers[~np.isin(numbers, list(self.faults))]

    def part(self, rows: slice) -> "LabelTable":
        """Some of the rows, which keep their numbers; not those of a negative place."""
        numbers = range(self.first, self.first + len(self.labels))[rows]
        faults = {row: why for row, why in self.faults.items() if row in numbers}
        others = {name: column[rows] for name, column in self.others.items()}
        first = numbers[0] if numbers else self.first
        return replace(self, labels=self.labels[rows], faults=faults, others=others, first=first)


@dataclass(frozen=True, eq=False)
class LabelFile:
    """A table of labels in a file, whose columns are known, and whose rows are read when they are asked for.

    ``labels``: the column of each label; ``given``: the value of each that has none, where it is not its
    default; ``others``: what the other columns hold. Made by ``open_labels``.
    """

    path: Path
    domain: Domain
    count: int  #: of rows
    labels: Mapping[str, str]
    given: Mapping[str, float]
    others: Mapping[str, np.dtype]
    pieces: Callable[[int], Iterator["Piece"]]

    @property
    def unknown(self) -> list[str]:
        """Columns that look like labels of a star, but are none of the model's: ``ca`` is none of calcium."""
        names = self.domain.names
        return [each for each in self.others if _looks_like_label(each) or each.strip().capitalize() in names]

    def parts(self, size: int = PART) -> Iterator[LabelTable]:
        """The table in parts of so many rows. Raises ParseError where it was changed meanwhile.

        ``size``: how many.
        """
        first = 1
        for piece in self.pieces(size):
            faults = {first + row: why for row, why in piece.faults.items()}
            told = {name: np.full(piece.count, value) for name, value in self.given.items()}
            for label in self.domain.labels:
                if label.name in self.labels:
                    column = piece.columns[self.labels[label.name]]
                    told[label.name] = _numbers(self.path, label, column, faults, first)
            told |= self.domain.defaults(told)
            labels = np.empty((piece.count, len(self.domain.labels)))
            for index, name in enumerate(self.domain.names):
                labels[:, index] = told[name]
            with parsing(self.path, ValueError, OverflowError):
                others = {name: _plain(piece.columns[name], kind) for name, kind in self.others.items()}
            units = {
                name: str(unit) for name in others if (unit := getattr(piece.columns[name], "unit", None))
            }
            yield LabelTable(labels, faults, others, units, first)
            first += piece.count
        if first != self.count + 1:
            raise ParseError(f"{self.path}: it had {self.count} rows and now has {first - 1}")

    @property
    def identifiers(self) -> list[str]:
        """Columns that are called after identifiers of stars, whatever is in them."""
        spelled = {name.lower(): name for name in reversed(self.others)}
        return [spelled[name] for name in IDENTIFIERS if name in spelled]

    @property
    def identifier(self) -> str | None:
        """The column that can name a file for each row: identifiers, all different and safe; None for none.

        It reads the table once more, and holds eight bytes a row.
        """
        seen = {name: array("q") for name in self.identifiers}
        for table in self.parts() if seen else ():
            for name in tuple(seen):
                names = [str(value) for value in table.others[name].tolist()]
                if all(map(SAFE.fullmatch, names)):
                    seen[name].extend(hash(one.lower()) for one in names)
                else:
                    del seen[name]
        return next((name for name, hashes in seen.items() if np.unique(hashes).size == len(hashes)), None)


@dataclass(frozen=True, eq=False)
class Piece:
    """Columns of ``count`` rows by name, texts or an array, and why some rows, from 0, cannot be used."""

    count: int
    columns: Mapping[str, Any]
    faults: Mapping[int, str] = field(default_factory=dict)


def open_labels(
    path: str | os.PathLike,
    domain: Domain,
    given: Mapping[str, float] | None = None,
    defaults: Mapping[str, float] | None = None,
    complete: bool = True,
) -> LabelFile:
    """The labels of a domain in a table, whose columns have their names or symbols (``teff``, ``[M/H]`` ...).

    ``given`` has the labels that the table lacks, by name, one value for all; ``defaults`` are for those that
    neither has. Labels that are told nowhere are refused, or, unless it must be ``complete``, have the
    default that the vocabulary gives some (``Domain.defaults``). Units of columns are heeded; whether a label
    is inside the domain is not judged. Other columns come along as they are, in ``others``. Raises ParseError
    (path and reason) for a table that cannot be read, has no rows or lacks a label, ConfigError for another
    format, a label that is given twice or is none of the domain's.
    """
    path, given = Path(path), dict(given or {})
    for name in given:
        domain.index(name)
    names, kind, pieces = _opened(path)
    found = _label_columns(path, domain, names)
    if twice := [name for name in found if name in given]:
        raise ConfigError(f"{path}: {twice[0]} is a column and an option: give one of them")
    given = {**(defaults or {}), **given}
    _check_complete(path, domain, names, {*found, *given, *(() if complete else domain.defaults({}))})
    kinds = {name: kind() for name in names if name not in found.values()}
    if (count := _survey(pieces(PART), kinds)) == 0:
        raise ParseError(f"{path}: no rows")
    kinds = {name: kind.dtype for name, kind in kinds.items()}
    return LabelFile(path, domain, count, found, given, kinds, pieces)


def _opened(path: Path) -> tuple[list[str], type, Callable[[int], Iterator["Piece"]]]:
    """Names of a table's columns, the class that tells their kinds, and a way to read its rows."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _csv_names(path), _TextKind, partial(_csv_pieces, path)
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: the name must end with one of .csv, {', '.join(FORMATS)}")
    tables = _tables(path, FORMATS[suffix])
    return tables.first.colnames, _ArrayKind, partial(_table_pieces, tables)


def _check_complete(path: Path, domain: Domain, names: Sequence[str], told: set[str]) -> None:
    """Raise ParseError where a label of the domain is not told."""
    if missing := [name for name in domain.names if name not in told]:
        there = ", ".join(names) or "none"
        if len(names) == 1 and len(re.split(r"[;|\s]+", names[0])) > 1:
            there += "; only commas separate columns"
        raise ParseError(f"{path}: no column {', '.join(missing)} (there are: {there})")


def read_labels(path: str | os.PathLike, domain: Domain, *options, **named) -> LabelTable:
    """The whole table at once: as ``open_labels``, which has the options and says what is raised.

    ``named``: options of ``open_labels``.
    """
    file = open_labels(path, domain, *options, **named)
    labels = np.empty((file.count, len(domain.labels)))
    faults, others, units = {}, {}, {}
    for table in file.parts():
        rows = slice(table.first - 1, table.first - 1 + len(table.labels))
        labels[rows] = table.labels
        faults |= table.faults
        units |= table.units
        for name, column in table.others.items():
            if name not in others:
                others[name] = np.empty((file.count, *column.shape[1:]), column.dtype)
            others[name][rows] = column
    return LabelTable(labels, faults, others, units)


def _plain(column: Any, kind: np.dtype) -> np.ndarray:
    """A column that is no label, of a kind; NaN or empty where a cell is missing."""
    if isinstance(column, list):
        texts = [cell.strip() for cell in column]
        if kind.kind == "f":
            texts = [float(text) if text else np.nan for text in texts]
        return np.array([int(text) for text in texts] if kind.kind == "i" else texts, dtype=kind)
    values, missing = np.asarray(column), np.ma.getmaskarray(np.ma.asarray(column))
    if kind.kind == "U":
        return np.array(_texts(values, missing), dtype=kind)
    return np.where(missing, np.nan, values) if kind.kind == "f" else values


@dataclass(eq=False)
class _ArrayKind:
    """What a column that astropy reads holds: numbers where all are, else text as wide as FITS needs."""

    number: np.dtype | None = None
    text: bool = False
    width: int = 1

    def see(self, column: Any) -> None:
        """Take in further cells."""
        values, missing = np.asarray(column), np.ma.getmaskarray(np.ma.asarray(column))
        self.number = values.dtype
        if values.dtype.kind == "f":
            return
        self.text |= values.dtype.kind not in "iub" or bool(missing.any())
        # numbers before the first that is missing become texts, too
        texts = _texts(values, missing) if self.text else map(str, _ends(values))
        self.width = max([self.width, *map(_width, texts)])

    @property
    def dtype(self) -> np.dtype:
        """The kind of numbers or text that holds all of them."""
        return np.dtype(f"U{self.width}") if self.text or self.number is None else self.number


def _ends(values: np.ndarray) -> tuple:
    """The lowest and highest number, the longest to write; none of no numbers."""
    return (values.min(), values.max()) if values.size else ()


def _texts(values: np.ndarray, missing: np.ndarray) -> list[str]:
    return ["" if gone.all() else _text(value) for value, gone in zip(values, missing, strict=True)]


def _width(text: str) -> int:
    """Letters of a text in ASCII, in which other ones are escaped."""
    return len(text) if text.isascii() else len(text.encode("ascii", "backslashreplace"))


@dataclass(eq=False)
class _TextKind:
    """What the cells of a column of text hold, as far as they were seen.

    Whole numbers and others only where they are written as such: 007 is a name.
    """

    whole: bool = True
    real: bool = True
    finite: bool = False
    width: int = 1

    def see(self, cells: list[str]) -> None:
        """Take in further cells."""
        texts = [cell.strip() for cell in cells]
        self.whole = self.whole and all(WHOLE.fullmatch(text) and abs(int(text)) < 2**63 for text in texts)
        self.real = self.real and all(REAL.fullmatch(text) for text in texts if text)
        numbers = (_number(text) for text in texts if text) if self.real else ()
        self.finite = self.finite or any(map(np.isfinite, numbers))
        self.width = max(self.width, *map(_width, texts))

    @property
    def dtype(self) -> np.dtype:
        """The kind of numbers or text that holds all of them."""
        number = np.int64 if self.whole else np.float64 if self.real and self.finite else None
        return np.dtype(number or f"U{self.width}")


def _survey(pieces: Iterable[Piece], kinds: Mapping[str, Any]) -> int:
    """Show the columns to their kinds; the number of rows."""
    count = 0
    for piece in pieces:
        count += piece.count
        for name, kind in kinds.items():
            kind.see(piece.columns[name])
    return count


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _looks_like_label(column: str) -> bool:
    """Whether a star's label might be called so: vmac, alpha, Ca, [Mg/Fe], rv."""
    letters = _letters(column)
    if letters in STELLAR or re.fullmatch("(alpha|a)(h|m|fe)", letters) or _label_meant(column):
        return True
    element = ABUNDANCE.fullmatch(column.strip())
    return bool(element and element[1].capitalize() in SYMBOLS)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV file, the names first; ``#`` begins a comment line."""
    with parsing(path, ValueError, csv.Error), path.open(encoding="utf-8-sig") as stream:
        yield from csv.reader((line for line in stream if line.strip() and line[0] != "#"), strict=True)


def _csv_names(path: Path) -> list[str]:
    names = [name.strip() for name in next(_csv_rows(path), ())]
    if not names:
        raise ParseError(f"{path}: empty")
    if len(set(names)) != len(names):
        raise ParseError(f"{path}: two columns have the same name")
    return names


def _csv_pieces(path: Path, size: int) -> Iterator[Piece]:
    """The rows below the names, so many at once."""
    rows = _csv_rows(path)
    names = [name.strip() for name in next(rows)]
    while lines := list(islice(rows, size)):
        faults = {}
        for row, line in enumerate(lines):
            if len(line) != len(names):
                faults[row] = f"{len(line)} cells under {len(names)} names"
                lines[row] = [""] * len(names)
        columns = dict(zip(names, map(list, zip(*lines, strict=True)), strict=True))
        yield Piece(len(lines), columns, faults)


@dataclass(frozen=True)
class _Tables:
    """A table that astropy reads: its first rows, and a way to the others."""

    path: Path
    form: str
    first: Any
    rest: Callable[[], Iterator[bytes]]

    def __iter__(self) -> Iterator[Any]:
        yield self.first
        for content in self.rest():
            yield read_table(self.path, content, self.form)


def _tables(path: Path, form: str) -> _Tables:
    head, pieces = head_of(path), None
    if is_long(path, head):
        pieces = long_ecsv(path) if form == FORMATS[".ecsv"] else long_file(path, head)
    if pieces is None:
        return _Tables(path, form, read_table(path, content_of(path), form), tuple)
    rest = pieces.rest[0] if pieces.rest else tuple
    return _Tables(path, form, read_table(path, pieces.beginning, form), rest)


def _table_pieces(tables: _Tables, size: int) -> Iterator[Piece]:
    for table in tables:
        for start in range(0, len(table), size):
            rows = slice(start, min(start + size, len(table)))
            yield Piece(rows.stop - start, {name: table[name][rows] for name in table.colnames})


def _label_columns(path: Path, domain: Domain, columns: Iterable[str]) -> dict[str, str]:
    """Names of the columns that hold labels of the domain, by the label's name."""
    found: dict[str, str] = {}
    for column in columns:
        name = _label_meant(column)
        # where no label says otherwise Fe is one of the metals that [alpha/M] is counted from
        if name is None and "Fe" not in domain.names and _letters(column) in ALPHA_TO_IRON:
            name = "alpha"
        if name in found:
            raise ParseError(f"{path}: the columns {found[name]} and {column} are both {name}")
        if name in domain.names:
            found[name] = column
    return found


def _label_meant(column: str) -> str | None:
    """The label of the vocabulary that a column is called after; an element's is Ca, [Ca/M] or Ca_M.

    That of helium, which is relative to hydrogen, is He.
    """
    if (name := column.strip()) in SYMBOLS:  # as it is written: a column co is none of cobalt
        return name
    element = ELEMENT.fullmatch(name)
    symbol = element and (element[1] or element[2]).capitalize()
    return symbol if symbol in RELATIVE else MEANT.get(_letters(name))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


RELATIVE = [symbol for symbol in SYMBOLS if symbol in LABELS and LABELS[symbol].symbol.endswith("/M]")]
# what columns of labels other than the elements' may be called
MEANT = {
    _letters(text): label.name
    for label in LABELS.values()
    if label.name not in SYMBOLS
    for text in (label.name, label.symbol)
}


def _numbers(path: Path, label: Label, column: Any, faults: dict[int, str], first: int) -> np.ndarray:
    """A column in the label's unit; NaN where a cell is missing or no number, which ``faults`` then says.

    ``first`` is the number of its first row.
    """
    if getattr(column, "ndim", 1) != 1:
        raise ParseError(f"{path}: column {label.name} has {column.shape[1:]} numbers in a row, expected one")
    if isinstance(column, list) or column.dtype.kind not in "iuf":
        values = np.array([_number(cell) for cell in column])
        missing = [not str(cell).strip() or np.ma.is_masked(cell) for cell in column]
    else:
        with parsing(path, ConfigError):
            values = label.plain(column)
        missing = np.isnan(values)
    unusable = ~np.isfinite(values)
    if label.name == "resolution":  # infinite where no instrument has seen the star
        unusable &= values != np.inf
    for index in np.flatnonzero(unusable):
        text = "missing" if missing[index] else f"no number: {str(column[index])[:40]!r}"
        faults.setdefault(first + int(index), f"{label.name} is {text}")
    return values


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return np.nan
