"""Columns of numbers: wavelength, flux and perhaps continuum, as grids of models have them."""

from collections.abc import Callable

import numpy as np

from starloom.io.format import File, Format
from starloom.io.record import Record
from starloom.io.tables import LINE_END, numeral, text_of


def columns(*default: int) -> Callable[[File], Record]:
    """The reader of these columns, counted from 1, where the caller chose no others."""
    return lambda file: numbers(file, file.columns or default)


def _places(columns: tuple[str | int, ...]) -> list[int]:
    """Where the chosen columns are in a line, from 0. Raises ValueError."""
    texts = [str(column) for column in columns]
    if not (2 <= len(texts) <= 3 and all(text.isdecimal() and int(text) > 0 for text in texts)):
        raise ValueError(f"columns {', '.join(texts)}: wanted are two or three numbers, from 1")
    return [int(text) - 1 for text in texts]


def numbers(file: File, columns: tuple[int, ...]) -> Record:
    """Wavelength, flux and perhaps continuum; lines that are # or words are skipped, at the top only."""
    rows: list[list[float]] = []
    places = _places(columns)
    for number, line in enumerate(LINE_END.split(text_of(file.content)), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            rows.append([numeral(words[place]) for place in places])
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
