"""FITS files, VOTables and ECSV tables that are too long to be held: each as a sequence of short files.

A short file has what stands above the rows, some of the rows, and what stands below them, so that the
readers of short files read it. What cannot be cut so (cells of different lengths, packed VOTables, several
tables in one VOTable) is refused above ``HELD`` bytes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any

from starloom.errors import ParseError
from starloom.io.tables import MOST_PIXELS, is_fits, is_votable, opened, reading

LONG = 2**24  # bytes, unpacked, beyond which a file is read in pieces
PIECE = 2**21  # bytes of rows in one
TEXT = 2**19  # of ECSV, which takes some hundred times as much memory
HELD = 2**27  # bytes beyond which what cannot be cut is refused
BLOCK = 2880  # of FITS
HEAP = re.compile(r"\d*[PQ]")  # the form of a column whose cells lie elsewhere, in different lengths
TABLE, ROWS, ROW_END = re.compile(rb"<TABLE[\s>]"), b"<TABLEDATA>", b"</TR>"
Pieces = Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class LongFile:
    """A file in pieces: its beginning as a short file, and what follows in each of its tables."""

    beginning: bytes
    rest: tuple[Pieces, ...]


def is_long(path: Path, head: bytes) -> bool:
    """Whether a file, which begins with ``head``, is longer than LONG bytes, unpacked. Raises ParseError."""
    if len(head) > LONG:
        return True
    with opened(path) as stream:
        return _skip(stream, LONG + 1) > LONG


def long_file(path: Path, head: bytes) -> LongFile | None:
    """A FITS file or a VOTable in pieces; None where it has to be held. Raises ParseError."""
    if is_fits(head):
        with reading(path, "FITS"):
            return _long_fits(path)
    return _long_votable(path) if is_votable(head) else None


def long_ecsv(path: Path) -> LongFile:
    """An ECSV table in pieces of whole lines. Raises ParseError."""
    return LongFile(next(_lines(path), b""), (partial(_after_first, _lines, path),))


def check_held(path: Path, size: int, what: str) -> None:
    """Raise ParseError where what has to be held is too large."""
    if size > HELD:
        asked = "write it as a table of single numbers (FITS, CSV)"
        raise ParseError(f"{path}: {what} in more than {HELD // 2**20} MB: {asked}")


def _after_first(pieces: Callable, *arguments) -> Iterator[bytes]:
    found = pieces(*arguments)
    next(found, None)
    yield from found


def _lines(path: Path) -> Iterator[bytes]:
    above, named = b"", False
    with opened(path) as stream:
        while not named and (line := stream.readline()):
            above += line
            named = bool(line.strip()) and not line.startswith(b"#")
        while rows := b"".join(stream.readlines(TEXT)):
            yield above + rows
            above = above if above.endswith(b"\n") else above + b"\n"


def _skip(stream: IO[bytes], size: int) -> int:
    """Read so many bytes and forget them; how many there were."""
    left = size
    while left and (content := stream.read(min(left, PIECE))):
        left -= len(content)
    return size - left


@dataclass(frozen=True)
class _Extension:
    """One extension of a FITS file: its header, and where its data lie, unpacked."""

    header: Any
    start: int
    size: int

    @property
    def is_table(self) -> bool:
        return (
            self.header.get("XTENSION", "").strip() in ("BINTABLE", "TABLE") and "ZIMAGE" not in self.header
        )

    @property
    def rows(self) -> int:
        """Rows in a piece."""
        return max(1, PIECE // max(1, self.header["NAXIS1"]))

    def short(self, content: bytes, rows: int) -> bytes:
        """The extension with so many rows."""
        header = self.header.copy()
        for name in ("CHECKSUM", "DATASUM"):  # of all the rows
            header.remove(name, ignore_missing=True)
        header["NAXIS2"] = rows
        return _bytes(header) + content + _filled(content, header)


def _bytes(header: Any) -> bytes:
    return header.tostring().encode("ascii")


def _filled(content: bytes, header: Any) -> bytes:
    """What fills data up to whole blocks: spaces in tables of text."""
    return (b" " if header.get("XTENSION", "").strip() == "TABLE" else b"\0") * (-len(content) % BLOCK)


def _long_fits(path: Path) -> LongFile:
    """All extensions of a FITS file: tables cut behind a piece, no image larger than a spectrum."""
    parts, rest = [], []
    for extension in _extensions(path):
        header, size = extension.header, extension.size
        if not extension.is_table:
            shape = [header[f"NAXIS{axis}"] for axis in range(1, header["NAXIS"] + 1)]
            if size == 0 or prod(shape) <= MOST_PIXELS:
                parts.append(_bytes(header) + _part(path, extension.start, size + -size % BLOCK))
            elif not parts:
                parts.append(_bytes(_dataless(header)))
            continue
        if header.get("PCOUNT", 0) or any(HEAP.match(str(form)) for form in header["TFORM*"].values()):
            check_held(path, size, "cells of different lengths")
            parts.append(_bytes(header) + _part(path, extension.start, size + -size % BLOCK))
            rest.append(lambda: iter(()))
            continue
        pieces = _rows(path, extension)
        parts.append(next(pieces, extension.short(b"", 0)))
        rest.append(partial(_tables_after_first, path, extension))
    return LongFile(b"".join(parts), tuple(rest))


def _dataless(header: Any) -> Any:
    """A primary header without its image."""
    short = header.copy()
    for axis in range(1, short["NAXIS"] + 1):
        del short[f"NAXIS{axis}"]
    short["NAXIS"] = 0
    return short


def _extensions(path: Path) -> Iterator[_Extension]:
    from astropy.io import fits

    with opened(path) as stream:
        place = 0
        while block := stream.read(BLOCK):
            text = block
            while not _ended(text) and (block := stream.read(BLOCK)):
                text += block
            if len(text) % BLOCK or not _ended(text):
                raise ValueError("file may have been truncated in a header")
            header = fits.Header.fromstring(text.decode("ascii", "replace"))
            place += len(text)
            size = header.data_size
            yield _Extension(header, place, size)
            place += size + -size % BLOCK
            if _skip(stream, size) < size:
                raise ValueError("file may have been truncated in its data")
            _skip(stream, -size % BLOCK)


def _ended(header: bytes) -> bool:
    cards = (header[i : i + 80] for i in range(max(0, len(header) - BLOCK), len(header), 80))
    return any(card == b"END".ljust(80) for card in cards)


def _part(path: Path, start: int, size: int) -> bytes:
    with opened(path) as stream:
        _skip(stream, start)
        return stream.read(size)


def _rows(path: Path, extension: _Extension) -> Iterator[bytes]:
    """A table as extensions with some of its rows each."""
    width, left = extension.header["NAXIS1"], extension.header["NAXIS2"]
    with opened(path) as stream:
        _skip(stream, extension.start)
        while left > 0:
            rows = min(left, extension.rows)
            yield extension.short(stream.read(rows * width), rows)
            left -= rows


def _tables_after_first(path: Path, extension: _Extension) -> Iterator[bytes]:
    """What follows the first piece of a table, each piece as a FITS file."""
    from astropy.io import fits

    primary = _bytes(fits.PrimaryHDU().header)
    for piece in _after_first(_rows, path, extension):
        yield primary + piece


def _long_votable(path: Path) -> LongFile | None:
    """The rows of a VOTable that has one table of text; None where another one is small enough to be held."""
    above, tables, size, kept = b"", 0, 0, b""
    with opened(path) as stream:
        while content := stream.read(PIECE):
            size += len(content)
            if len(above) < HELD and ROWS not in above:
                above += content
            content = kept + content
            tables += sum(match.start() < len(content) - 7 for match in TABLE.finditer(content))
            kept = content[-7:]
    above = above[: above.find(ROWS) + len(ROWS)] if ROWS in above else b""
    if tables != 1 or not above:
        check_held(path, size, "several VOTables" if tables > 1 else "a packed VOTable")
        return None
    pieces = partial(_votables, path, above)
    return LongFile(next(pieces()), (partial(_after_first, pieces),))


def _votables(path: Path, above: bytes) -> Iterator[bytes]:
    """A VOTable as VOTables with some of its rows each; what stands below all of them is in each."""
    below = _below(path, above)
    with opened(path) as stream:
        _skip(stream, len(above))
        kept = b""
        while content := stream.read(PIECE):
            content = kept + content
            end = content.rfind(ROW_END) + len(ROW_END)
            if end < len(ROW_END):
                kept = content
                continue
            yield above + content[:end] + below
            kept = content[end:]


def _below(path: Path, above: bytes) -> bytes:
    """What stands below the last row."""
    kept = b""
    with opened(path) as stream:
        _skip(stream, len(above))
        while content := stream.read(PIECE):
            kept += content
            if (end := kept.rfind(ROW_END)) >= 0:
                kept = kept[end + len(ROW_END) :]
            if len(kept) > HELD:
                raise ParseError(f"{path}: no end of a row in {HELD // 2**20} MB")
    return kept
