"""Parquet files as tables that are read piece by piece; by pyarrow, which comes with an extra."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from starloom import extras
from starloom.errors import ConfigError
from starloom.files import parsing
from starloom.io.tables import DAMAGE, Columns

ROWS = 256  # of one piece where cells are arrays, else
NARROW_ROWS = 2**16
END = 8  # bytes: the length of the footer, and the mark


def footer(path: Path) -> bytes:
    """The end of a file, which tells its columns. Raises ParseError."""
    with parsing(path, *DAMAGE), path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - END))
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, size - END - length))
        return stream.read(length)


def parquet_tables(path: Path) -> list[Columns]:
    """The table of a file, as its first piece and a way to the others; none where it has no rows.

    Raises ParseError, and ConfigError where pyarrow is absent.
    """
    pieces = _pieces(path)
    first = next(pieces, None)
    pieces.close()
    return [] if first is None else [_with_rest(first, path)]


def _with_rest(first: Columns, path: Path) -> Columns:
    return Columns(first.cells, first.units, first.about, rest=partial(_after_first, path))


def _after_first(path: Path) -> Iterator[Columns]:
    pieces = _pieces(path)
    next(pieces, None)
    yield from pieces


def _pieces(path: Path) -> Iterator[Columns]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(f"{path}: {extras.absent('pyarrow')}") from error
    with parsing(path, arrow.ArrowException, *DAMAGE), parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        wide = any(arrow.types.is_list(each.type) or _is_fixed(arrow, each.type) for each in schema)
        units = {each.name: (each.metadata or {}).get(b"unit", b"").decode() for each in schema}
        about = {name.decode(): text.decode() for name, text in (schema.metadata or {}).items()}
        rows = 0
        for batch in file.iter_batches(ROWS if wide else NARROW_ROWS):
            cells = {name: _cells(arrow, batch.column(name)) for name in schema.names}
            yield Columns(cells, units, about, first=rows)
            rows += batch.num_rows


def _is_fixed(arrow: Any, kind: Any) -> bool:
    return arrow.types.is_fixed_size_list(kind) or arrow.types.is_large_list(kind)


def _cells(arrow: Any, column: Any) -> Any:
    """A column as NumPy has it: numbers, an array of numbers in each, or texts."""
    kind = column.type
    if arrow.types.is_list(kind) or _is_fixed(arrow, kind):
        found = [np.asarray(cell.values.to_numpy(zero_copy_only=False)) for cell in column]
        return np.array(found) if len({cell.size for cell in found}) == 1 else found
    if arrow.types.is_string(kind) or arrow.types.is_large_string(kind):
        return ["" if text is None else text for text in column.to_pylist()]
    if column.null_count and arrow.types.is_integer(kind):  # which floats would round
        return ["" if value is None else str(value) for value in column.to_pylist()]
    return column.to_numpy(zero_copy_only=False)
