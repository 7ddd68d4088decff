"""Files written whole or not at all, and read with one kind of error."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starloom.errors import ParseError


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    Where the block raises, the temporary file is removed and ``path`` stays as it was. Its name keeps the
    suffix, from which some writers tell the format.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        _synchronise(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def parsing(path: str | os.PathLike, *errors: type[Exception]) -> Iterator[None]:
    """Turn ``errors`` and OSError of the block into a ParseError that gives the path and the reason."""
    try:
        yield
    except (OSError, *errors) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ParseError(f"{path}: {' '.join(reason.split())}") from error


def _synchronise(path: Path) -> None:
    """Have the content on disk before the name points to it."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
