"""Columns of numbers: wavelength, flux and perhaps continuum, as grids of models have them."""

import re
from collections.abc import Callable

import numpy as np

from starloom.io.format import File, Format
from starloom.io.record import Record


def columns(*default: int) -> Callable[[File], Record]:
    """The reader of these columns, counted from 1, where the caller chose no others."""
    return lambda file: numbers(file, file.columns or default)


def numbers(file: File, columns: tuple[int, ...]) -> Record:
    """Wavelength, flux and perhaps continuum; lines that are # or words are skipped, at the top only.

    Fortran's numbers are read too: 1.5D+03, and 1.5-103 where the exponent left no room for its letter.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(file.content.decode("utf-8").splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            rows.append([_fortran_number(words[int(column) - 1]) for column in columns])
        except (ValueError, IndexError) as error:
            if rows:
                raise ValueError(f"line {number}: no columns {columns} of numbers: {line[:60]!r}") from error
    if not rows:
        raise ValueError(f"no line with numbers in columns {columns}")
    return Record(**dict(zip(("wavelength", "flux", "continuum"), np.array(rows).T, strict=False)))


def _fortran_number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float(re.sub(r"(?<=[0-9.])[dD]?([+-]\d+)$", r"e\1", word))


FORMAT = Format(
    "ascii",
    "any columns of numbers: wavelength, flux[, continuum]",
    columns(1, 2),
    unit="Angstrom",
    options=("columns",),
)
