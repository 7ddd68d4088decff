"""Tables of results written block by block: ECSV, CSV, FITS, Parquet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from starloom import extras
from starloom.errors import ConfigError
from starloom.files import replacing
from starloom.inference.parts import joined

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".parquet": "parquet"}
CARDS = 2880  # bytes of a block of FITS


@dataclass(frozen=True, eq=False)
class TableAbout:
    """What a table says beside its ``rows``: ``units`` by column, what else by name, and its ``digest``."""

    units: Mapping[str, str]
    meta: Mapping[str, str]
    digest: str
    rows: int
    meta_fits: Mapping[str, str] = field(default_factory=dict)


def write_blocks(path: Path, blocks: Iterator[np.ndarray], about: TableAbout) -> None:
    """Write blocks of records as one table, in the format that the name tells, whole or not at all.

    Raises WriteError, and ConfigError for Parquet where pyarrow is absent.
    """
    first = next(blocks, None)
    if first is None:
        return
    suffix = path.suffix.lower()
    write = {".fits": _fits, ".parquet": _parquet}.get(suffix, _text)
    with replacing(path) as temporary:
        write(temporary, chain([first], blocks), about, FORMATS[suffix])


def _table(block: np.ndarray, about: TableAbout, fits: bool = False):
    """A block as an astropy table."""
    from astropy.table import Table

    table = Table(block, copy=False)
    table["digest"] = about.digest
    for name, unit in about.units.items():
        # the FITS standard has no dex
        table[name].unit = None if unit == "" or (fits and unit == "dex") else unit
    table.meta.update(about.meta_fits if fits else about.meta)
    return table


def _text(path: Path, blocks: Iterator[np.ndarray], about: TableAbout, form: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        for number, block in enumerate(blocks):
            text = StringIO()
            _table(block, about).write(text, format=form)
            lines = text.getvalue()
            while number and (lines.startswith("#") or lines.startswith("number")):
                lines = lines.partition("\n")[2]  # what stands above the first block already
            stream.write(lines)


def _fits(path: Path, blocks: Iterator[np.ndarray], about: TableAbout, form: str) -> None:
    from astropy.io import fits

    size = 0
    with path.open("wb") as stream:
        for number, block in enumerate(blocks):
            packed = _packed(block, about.digest)
            if number == 0:
                header = fits.table_to_hdu(_table(block, about, fits=True)).header
                header["NAXIS1"], header["NAXIS2"] = packed.dtype.itemsize, about.rows
                for index, name in enumerate(packed.dtype.names, start=1):
                    if packed.dtype[name].kind == "S":
                        header[f"TFORM{index}"] = f"{packed.dtype[name].itemsize}A"
                stream.write(fits.PrimaryHDU().header.tostring().encode() + header.tostring().encode())
            size += stream.write(packed.tobytes())
        stream.write(b"\0" * (-size % CARDS))


def _packed(block: np.ndarray, digest: str) -> np.ndarray:
    """A block, whose text is ASCII, as the bytes of a FITS table."""
    columns = {}
    for name in block.dtype.names:
        column = block[name]
        if column.dtype.kind == "U":
            width = max(1, column.dtype.itemsize // 4)  # that of all blocks
            columns[name] = np.char.encode(column, "ascii").astype(f"S{width}")
        else:
            columns[name] = column.astype(column.dtype.newbyteorder(">"))
    columns["digest"] = np.full(len(block), digest.encode())
    return joined(columns)


def _parquet(path: Path, blocks: Iterator[np.ndarray], about: TableAbout, form: str) -> None:
    arrow, parquet = pyarrow()
    fields = {name: {b"unit": unit.encode()} for name, unit in about.units.items() if unit}
    writer = None
    try:
        for block in blocks:
            columns = {name: arrow.array(_plain(block[name])) for name in block.dtype.names}
            columns["digest"] = arrow.array([about.digest] * len(block))
            schema = arrow.schema(
                [arrow.field(name, c.type, metadata=fields.get(name)) for name, c in columns.items()],
                metadata=dict(about.meta),
            )
            writer = writer or parquet.ParquetWriter(path, schema)
            writer.write_table(arrow.table(list(columns.values()), schema=schema))
    finally:
        if writer is not None:
            writer.close()


def _plain(column: np.ndarray) -> Any:
    return column.tolist() if column.dtype.kind == "U" else np.ascontiguousarray(column)


def pyarrow() -> tuple[Any, Any]:
    """The library for Parquet and its part for files; ConfigError where it is absent."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(extras.absent("pyarrow")) from error
    return arrow, parquet
