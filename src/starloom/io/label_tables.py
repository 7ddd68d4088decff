"""Tables of labels: a row per star and a column per label of a domain, in CSV, ECSV, FITS or VOTable.

A row that cannot be used does not stop the others: its number, from 1, and the reason are kept.
"""

import csv
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from starloom.arrays import one_line
from starloom.constants import SYMBOLS
from starloom.errors import ConfigError, ParseError
from starloom.files import parsing
from starloom.io.tables import read_table
from starloom.labels import LABELS, Domain, Label

IDENTIFIERS = ("id", "source_id", "sourceid", "star_id", "name", "star", "object")
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
REAL = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?|[+-]?(nan|inf)", re.IGNORECASE)
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{,79}")  # a name of a file on every system
STELLAR = {"rv", "vrad", "radialvelocity", "velocity", "metallicity", "feh"}  # what is in no vocabulary
ELEMENT = re.compile(r"\[([A-Za-z]{1,2})/?M\]|([A-Za-z]{1,2})[/_ ]M", re.IGNORECASE)  # our [X/M]
ABUNDANCE = re.compile(r"\[?([A-Za-z]{1,2})[/_ ]?(H|M|Fe)\]?", re.IGNORECASE)
FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable"}  # by astropy


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels float64[row, label] of a table; ``faults``: why a row, by its number from 1, cannot be used.

    ``others``: the columns that are none of the labels, by name, an array [row, ...] each; ``units`` of those
    that have one.
    """

    labels: np.ndarray
    faults: Mapping[int, str]
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    __repr__ = one_line

    @property
    def names(self) -> list[str]:
        """A name for a file of each row: its identifier where all are different and safe, else its number."""
        wanted = {name.lower(): name for name in reversed(self.others)}
        for column in (wanted[name] for name in IDENTIFIERS if name in wanted):
            names = [str(value) for value in self.others[column]]
            if all(map(SAFE.fullmatch, names)) and len({name.lower() for name in names}) == len(names):
                return names
        return [f"{row:06d}" for row in range(1, len(self.labels) + 1)]

    @property
    def unknown(self) -> list[str]:
        """Columns that look like labels of a star, but are none of the model's."""
        return [name for name in self.others if _looks_like_label(name)]

    @property
    def rows(self) -> np.ndarray:
        """Numbers, from 1, of the rows without fault."""
        numbers = np.arange(1, len(self.labels) + 1)
        return numbers[~np.isin(numbers, list(self.faults))]


def read_labels(
    path: str | os.PathLike,
    domain: Domain,
    given: Mapping[str, float] | None = None,
    defaults: Mapping[str, float] | None = None,
) -> LabelTable:
    """The labels of a domain in a table, whose columns have their names or symbols (``teff``, ``[M/H]`` ...).

    ``given`` has the labels that the table lacks, by name, one value for all; ``defaults`` are for those that
    neither has. Units of columns are heeded; whether a label is inside the domain is not judged. Other
    columns come along as they are, in ``others``. Raises ParseError (path and reason) for a table that cannot
    be read, has no rows or lacks a label, ConfigError for another format, a label that is given twice or is
    none of the domain's.
    """
    path, given = Path(path), dict(given or {})
    for name in given:
        domain.index(name)
    suffix = path.suffix.lower()
    if suffix != ".csv" and suffix not in FORMATS:
        raise ConfigError(f"{path}: the name must end with one of .csv, {', '.join(FORMATS)}")
    columns, faults, count = _csv_columns(path) if suffix == ".csv" else _table_columns(path, FORMATS[suffix])
    if count == 0:
        raise ParseError(f"{path}: no rows")
    found = _label_columns(path, domain, columns)
    if twice := [name for name in found if name in given]:
        raise ConfigError(f"{path}: {twice[0]} is a column and an option: give one of them")
    given = {**(defaults or {}), **given}
    if missing := [name for name in domain.names if name not in found and name not in given]:
        raise ParseError(
            f"{path}: no column {', '.join(missing)} (there are: {', '.join(columns) or 'none'})"
        )
    labels = np.empty((count, len(domain.labels)))
    for index, label in enumerate(domain.labels):
        if label.name in found:
            labels[:, index] = _numbers(path, label, columns[found[label.name]], faults)
        else:
            labels[:, index] = given[label.name]
    others = {name: column for name, column in columns.items() if name not in found.values()}
    units = {name: str(column.unit) for name, column in others.items() if getattr(column, "unit", None)}
    return LabelTable(labels, faults, {name: _plain(column) for name, column in others.items()}, units)


def _plain(column: Any) -> np.ndarray:
    """A column that is no label: numbers where all are, else text; NaN or empty where a cell is missing."""
    if isinstance(column, list):
        return _from_text(column)
    values, missing = np.asarray(column), np.ma.getmaskarray(np.ma.asarray(column))
    if values.dtype.kind == "f":
        return np.where(missing, np.nan, values)
    if values.dtype.kind in "iub" and not missing.any():
        return values
    texts = ["" if gone.all() else _text(value) for value, gone in zip(values, missing, strict=True)]
    return np.array(texts, dtype=str)


def _from_text(cells: list[str]) -> np.ndarray:
    """Whole numbers and others only where they are written as such: 007 is a name."""
    texts = [cell.strip() for cell in cells]
    if all(WHOLE.fullmatch(text) and abs(int(text)) < 2**63 for text in texts):
        return np.array([int(text) for text in texts])
    numbers = np.array([_number(text) if text else np.nan for text in texts])
    if all(REAL.fullmatch(text) for text in texts if text) and np.isfinite(numbers).any():
        return numbers
    return np.array(texts, dtype=str)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _looks_like_label(column: str) -> bool:
    """Whether a star's label might be called so: vmac, alpha, Ca, [Mg/Fe], rv."""
    letters = _letters(column)
    if letters in STELLAR or re.fullmatch("(alpha|a)(h|m|fe)", letters) or _label_meant(column):
        return True
    element = ABUNDANCE.fullmatch(column.strip())
    return bool(element and element[1].capitalize() in SYMBOLS)


def _csv_columns(path: Path) -> tuple[dict[str, list], dict[int, str], int]:
    """Columns of text by name, faults by row, and the number of rows; ``#`` begins a comment line."""
    with parsing(path, ValueError, csv.Error):
        text = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        lines = list(csv.reader((line for line in text if line.strip() and line[0] != "#"), strict=True))
    if not lines:
        raise ParseError(f"{path}: empty")
    names = [name.strip() for name in lines[0]]
    if len(set(names)) != len(names):
        raise ParseError(f"{path}: two columns have the same name")
    faults, rows = {}, []
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(names):
            faults[number] = f"{len(line)} cells under {len(names)} names"
            line = [""] * len(names)
        rows.append(line)
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return dict(zip(names, map(list, columns), strict=True)), faults, len(rows)


def _table_columns(path: Path, form: str) -> tuple[dict[str, Any], dict[int, str], int]:
    """Columns by name, no faults, and the number of rows of a table that astropy reads."""
    with parsing(path):
        content = path.read_bytes()
    if not content:
        raise ParseError(f"{path}: empty")
    table = read_table(path, content, form)
    return {name: table[name] for name in table.colnames}, {}, len(table)


def _label_columns(path: Path, domain: Domain, columns: Iterable[str]) -> dict[str, str]:
    """Names of the columns that hold labels of the domain, by the label's name."""
    found: dict[str, str] = {}
    for column in columns:
        name = _label_meant(column)
        if name in found:
            raise ParseError(f"{path}: the columns {found[name]} and {column} are both {name}")
        if name in domain.names:
            found[name] = column
    return found


def _label_meant(column: str) -> str | None:
    """The label of the vocabulary that a column is called after; an element's is Ca, [Ca/M] or Ca_M."""
    if (name := column.strip()) in SYMBOLS:  # as it is written: a column co is none of cobalt
        return name
    element = ELEMENT.fullmatch(name)
    symbol = element and (element[1] or element[2]).capitalize()
    return symbol if symbol in SYMBOLS else MEANT.get(_letters(name))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


# what columns of labels other than the elements' may be called
MEANT = {
    _letters(text): label.name
    for label in LABELS.values()
    if label.name not in SYMBOLS
    for text in (label.name, label.symbol)
}


def _numbers(path: Path, label: Label, column: Any, faults: dict[int, str]) -> np.ndarray:
    """A column in the label's unit; NaN where a cell is missing or no number, which ``faults`` then says."""
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
        faults.setdefault(int(index) + 1, f"{label.name} is {text}")
    return values


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return np.nan
