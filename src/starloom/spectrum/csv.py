"""A spectrum as CSV: lines ``# name = value`` in JSON, a line of column names, then a row per wavelength."""

import json
from pathlib import Path

import numpy as np

from starloom.files import parsing

TITLE = "# starloom spectrum; wavelength in Angstrom"
META = ("medium", "frame", "flux_unit", "labels", "provenance", "pixels")
COLUMNS = ("wavelength", "flux", "error", "mask")
DAMAGE = (ValueError, TypeError, KeyError, IndexError)


def write(path: Path, parts: dict) -> None:
    """Write the parts of a Spectrum; numbers are the shortest text that reads back as the same bits."""
    names = [name for name in COLUMNS if parts[name] is not None]
    rows = zip(*(parts[name].astype(np.float64).tolist() for name in names), strict=True)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        print(TITLE, file=stream)
        for name in META:
            value = parts["wavelength"].size if name == "pixels" else parts[name]
            print(f"# {name} = {json.dumps(value)}", file=stream)
        print(",".join(names), file=stream)
        stream.writelines(",".join(map(repr, row)) + "\n" for row in rows)


def read(path: Path) -> dict:
    """Parts of the Spectrum in ``path``; ParseError with the line where it is damaged or lacks one."""
    with parsing(path, *DAMAGE):
        lines = path.read_text(encoding="utf-8").split("\n")
        if lines[0] != TITLE:
            raise ValueError(f"line 1: expected '{TITLE}'")
        head = 1 + len(META)
        parts = dict(_meta(number, line) for number, line in enumerate(lines[1:head], start=2))
        names = lines[head].split(",")
        if wrong := [name for name in META if name not in parts] or [n for n in names if n not in COLUMNS]:
            raise ValueError(f"lines 2 to {head + 1}: {wrong[0]} is missing or not known")
        rows = [
            _row(number, line, len(names)) for number, line in enumerate(lines[head + 1 : -1], start=head + 2)
        ]
        if lines[-1] or len(rows) != parts.pop("pixels"):
            raise ValueError(f"line {len(lines)}: cut off, or another number of rows than line {head} says")
        return parts | dict(zip(names, np.array(rows, dtype=np.float64).T, strict=True))


def _meta(number: int, line: str) -> tuple[str, object]:
    name, equals, value = line.removeprefix("# ").partition(" = ")
    if not equals:
        raise ValueError(f"line {number}: expected '# name = value'")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ValueError(f"line {number}: {name}: {error}") from error


def _row(number: int, line: str, size: int) -> list[float]:
    try:
        row = [float(text.replace("_", "?")) for text in line.split(",")]  # Python's mark of thousands
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    if len(row) != size:
        raise ValueError(f"line {number}: {len(row)} values, expected {size}")
    return row
