"""Columns of numbers: wavelength, flux and perhaps continuum, as grids of models have them."""

from collections.abc import Callable

import numpy as np

from starloom.io.format import File, Format
from starloom.io.record import Record
from starloom.io.tables import LINE_END, numeral, text_of


def columns(*default: int) -> Callable[[File], Record]:
    """The reader of these columns, counted from 1, where the caller chose no others."""
    return lambda file: numbers(file, file.columns or default)


def numbers(file: File, columns: tuple[int, ...]) -> Record:
    """Wavelength, flux and perhaps continuum; lines that are # or words are skipped, at the top only."""
    rows: list[list[float]] = []
    for number, line in enumerate(LINE_END.split(text_of(file.content)), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            rows.append([numeral(words[int(column) - 1]) for column in columns])
        except (ValueError, IndexError) as error:
            if rows:
                raise ValueError(f"line {number}: no columns {columns} of numbers: {line[:60]!r}") from error
    if not rows:
        raise ValueError(f"no line with numbers in columns {columns}")
    return Record(**dict(zip(("wavelength", "flux", "continuum"), np.array(rows).T, strict=False)))


FORMAT = Format(
    "ascii",
    "any columns of numbers: wavelength, flux[, continuum]",
    columns(1, 2),
    unit="Angstrom",
    options=("columns",),
)
