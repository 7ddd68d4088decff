"""Tables of text that are too long to be held: read in pieces, each with the names above the first."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from starloom.errors import ParseError
from starloom.io.tables import COMMENT, HDF5, PARQUET, ZIP, Columns, is_fits, is_votable, opened, read_columns

PIECE = 2**19  # bytes of one; it takes some fifty times as much memory
LONGEST_LINE = 2**26


def is_text(head: bytes) -> bool:
    """Whether a file that begins so may be a table of text."""
    return not (is_fits(head) or is_votable(head) or head.startswith((HDF5, ZIP, PARQUET)))


def long_table(path: Path) -> Columns:
    """The table in a long text: its first piece, and a way to the others. Raises ParseError."""
    return replace(next(_pieces(path)), rest=partial(_after_first, path))


def _after_first(path: Path) -> Iterator[Columns]:
    return islice(_pieces(path), 1, None)


def _pieces(path: Path) -> Iterator[Columns]:
    above, names, lines, rows = b"", None, 0, 0
    with opened(path) as stream:
        for block in _blocks(path, stream):
            if names is None:
                columns = read_columns(path, block)[0]
                top = columns.lines[0] - 1
                above, names = b"".join(block.splitlines(keepends=True)[:top]), list(columns.cells)
            elif _has_lines(block, 1):
                columns = read_columns(path, above + block, lines - top)[0]
                if list(columns.cells) != names:  # text where numbers without names were
                    raise ParseError(f"{path}: line {lines + 1}: no row of {len(names)} numbers")
            else:
                columns = None
            if columns is not None:
                yield replace(columns, first=rows)
                rows += len(columns)
            lines += len(block.splitlines())


def _has_lines(block: bytes, least: int) -> bool:
    """Whether there are so many lines that are no comments."""
    marks = COMMENT.encode()
    used = (1 for line in block.splitlines() if line.strip() and line.lstrip()[0] not in marks)
    return sum(islice(used, least)) == least


def _blocks(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, of about PIECE bytes; the first ones with names and a row."""
    kept, begun = b"", False
    while content := stream.read(PIECE):
        content = kept + content
        end = content.rfind(b"\n") + 1 or content.rfind(b"\r") + 1
        if end and (begun or _has_lines(content[:end], 2)):
            yield content[:end]
            content, begun = content[end:], True
        elif len(content) > LONGEST_LINE:
            raise ParseError(f"{path}: no end of a line in {LONGEST_LINE} bytes, or no row")
        kept = content
    if kept:
        yield kept
