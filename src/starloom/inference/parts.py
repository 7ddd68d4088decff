"""A table of results that grows in parts: each is written once, and all are joined at the end.

The parts lie in a folder beside the table, ``.NAME.parts``, and say which files are done; what a kill can
cost is what was not in a part yet. Rows are NumPy records; joined they are read block by block, so that no
table need fit into memory.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from starloom.errors import ConfigError
from starloom.files import parsing, replacing, writing

BLOCK = 4096  # rows of a joined table held at once
SUFFIX = ".npz"
DAMAGE = (ValueError, KeyError, EOFError, OSError)


def records(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Rows with the same names as one array of records: numbers, and text as wide as it is."""
    return joined({name: np.array([row[name] for row in rows]) for name in rows[0]})


def joined(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Columns of one length as an array of records."""
    kind = [(name, column.dtype) for name, column in columns.items()]
    found = np.empty(len(next(iter(columns.values()))), kind)
    for name, column in columns.items():
        found[name] = column
    return found


def in_common(types: Iterable[np.dtype]) -> np.dtype:
    """The type of records that holds those of all these, whose text may be wider or narrower."""

    def wider(one: np.dtype, other: np.dtype) -> np.dtype:
        if one.names != other.names:
            raise ConfigError("parts of a table have other columns: another version made them")
        pairs = ((name, np.promote_types(one[name], other[name])) for name in one.names)
        return np.dtype(list(pairs))

    return reduce(wider, types)


def stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Records one behind the other."""
    found = np.empty(sum(map(len, parts)), in_common(part.dtype for part in parts))
    start = 0
    for part in parts:
        found[start : start + len(part)] = part
        start += len(part)
    return found


# of a part that says no more than which files are finished
EMPTY = np.dtype([("number", np.int64), ("spectrum", np.int64), ("fault", "U1"), ("name", "U1")])


@dataclass(eq=False)
class Parts:
    """The parts of one table in a ``folder``: which files are ``finished``, which others ``begun``.

    ``begun``: numbers of spectra in their file, by the file's number.
    """

    folder: Path
    finished: set[int] = field(default_factory=set)
    begun: dict[int, set[int]] = field(default_factory=dict)
    rows: int = 0
    faults: int = 0
    paths: list[Path] = field(default_factory=list)

    @classmethod
    def beside(cls, table: Path, digest: str) -> "Parts":
        """The parts of a table that are there; ConfigError where they were made with other settings."""
        parts = cls(cls.folder_of(table))
        about = parts.folder / "about.json"
        if not about.exists():
            return parts
        with parsing(about, ValueError):
            if json.loads(about.read_text()).get("digest") != digest:
                told = "made with other settings: give them again, or another output"
                raise ConfigError(f"{table}: its parts ({parts.folder}) were {told}")
        for path in sorted(parts.folder.glob(f"*{SUFFIX}")):
            with parsing(path, *DAMAGE), np.load(path) as part:
                parts.paths.append(path)
                parts.count(part["rows"], part["finished"].tolist())
        return parts

    @staticmethod
    def folder_of(table: Path) -> Path:
        """Where the parts of a table lie."""
        return table.with_name(f".{table.name}.parts")

    def each(self) -> Iterator[np.ndarray]:
        """The rows of each part."""
        return map(_rows_in, self.paths)

    def count(self, rows: np.ndarray, finished: Iterable[int]) -> None:
        """Take note of rows, and of files that they finish."""
        self.finished.update(finished)
        for number, spectrum in zip(rows["number"].tolist(), rows["spectrum"].tolist(), strict=True):
            self.begun.setdefault(number, set()).add(spectrum)
        for number in self.finished.intersection(self.begun):
            del self.begun[number]
        self.rows += len(rows)
        self.faults += int((rows["fault"] != "").sum())

    def add(self, rows: np.ndarray, finished: Iterable[int], digest: str) -> None:
        """One part more, whole or not at all. Raises WriteError."""
        finished = sorted(finished)
        if not self.paths:
            with writing(self.folder):
                shutil.rmtree(self.folder, ignore_errors=True)  # of another run, which is to be replaced
                self.folder.mkdir()
            with replacing(self.folder / "about.json") as temporary:
                temporary.write_text(json.dumps({"digest": digest}))
        path = self.folder / f"{len(self.paths):07d}{SUFFIX}"
        try:
            with replacing(path) as temporary, temporary.open("wb") as stream:
                np.savez(stream, rows=rows, finished=np.array(finished, np.int64))
        finally:
            if not self.paths and not path.exists():
                self.remove()
        self.paths.append(path)
        self.count(rows, finished)

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows in the order of the files and of the spectra in each, a block after the other.

        The first block has the type of all.
        """
        number, spectrum, part, row, types = [], [], [], [], []
        for index, path in enumerate(self.paths):
            rows = _rows_in(path)
            if not len(rows):
                continue
            number.append(rows["number"]), spectrum.append(rows["spectrum"])
            part.append(np.full(len(rows), index)), row.append(np.arange(len(rows)))
            types.append(rows.dtype)
        if not types:
            return
        keys = [np.concatenate(each) for each in (number, spectrum, part, row)]
        order = np.lexsort((keys[1], keys[0]))
        kind, read = in_common(types), _Recent(self.paths)
        for start in range(0, order.size, BLOCK):
            chosen = order[start : start + BLOCK]
            block = np.empty(chosen.size, kind)
            for index in np.unique(keys[2][chosen]):
                mine = keys[2][chosen] == index
                block[mine] = read(index)[keys[3][chosen][mine]]
            yield block

    def remove(self) -> None:
        """Forget the parts, which are joined."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _rows_in(path: Path) -> np.ndarray:
    with parsing(path, *DAMAGE), np.load(path) as part:
        return part["rows"]


class _Recent:
    """Rows of parts, the most recently asked of them kept."""

    def __init__(self, paths: Sequence[Path], kept: int = 8):
        self.paths, self.kept, self.rows = paths, kept, {}

    def __call__(self, index: int) -> np.ndarray:
        if index not in self.rows:
            self.rows[index] = _rows_in(self.paths[index])
            if len(self.rows) > self.kept:
                del self.rows[next(iter(self.rows))]
        return self.rows[index]
