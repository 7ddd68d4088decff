"""Files written whole or not at all, and read and written with one kind of error each."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from starloom.errors import ConfigError, Option, ParseError, WriteError

unfinished: set[Path] = set()  # temporary files and folders, and locks, of this process


def check_target(path: str | os.PathLike, suffixes: Sequence[str] = (), overwrite: bool = True) -> None:
    """See that ``path`` can be written in the end: asked before the work, not after it.

    Raises ConfigError for a name that ends with none of ``suffixes``, for what exists unless ``overwrite`` is
    set and for a folder, WriteError where the folder to write to is missing or takes no file.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path}: the name must end with one of {', '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists; overwrite it with ", Option("overwrite", (True,)))
    if path.is_dir():
        raise ConfigError(f"{path} is a folder")
    with writing(path), TemporaryFile(dir=path.parent):
        pass


def check_folder(folder: str | os.PathLike) -> None:
    """See that files can be written into ``folder``, or that it can be made; WriteError with the reason."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise WriteError(errno.ENOTDIR, "is no folder", str(folder))
    with writing(folder), TemporaryFile(dir=_nearest(folder)):
        pass


@contextmanager
def writing(path: str | os.PathLike, *places: Path) -> Iterator[None]:
    """Turn an OSError of the block into a WriteError that gives ``path``, no temporary name, and the reason.

    Where ``places`` are given, an error about a file that is in none of them (one that the block reads) stays
    what it is.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        found = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        if places and found and not any(place in (found, *found.parents) for place in places):
            raise
        raise WriteError(error.errno, _reason(error, Path(path)), str(path)) from error


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    Where the block raises, the temporary file is removed and ``path`` stays as it was; what the file system
    refuses is a WriteError. The temporary name keeps the suffix, from which some writers tell the format.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    with writing(path, temporary, path):
        unfinished.add(temporary)
        try:
            yield temporary
            _synchronise(temporary)
            temporary.replace(path)
        finally:
            _remove(temporary)
            unfinished.discard(temporary)


@contextmanager
def filling(folder: str | os.PathLike) -> Iterator[Path]:
    """A temporary folder to write files to; when the block ends well they move into ``folder``.

    ``folder`` is made if needed, though not for no file at all, and keeps what else is in it. Where the block
    raises, or a folder is where a file should go, it stays as it was.
    """
    folder = Path(folder)
    check_folder(folder)
    temporary = _nearest(folder) / f".{uuid.uuid4().hex}"
    with writing(folder, temporary, folder):
        unfinished.add(temporary)
        try:
            temporary.mkdir()
            yield temporary
            if folder.exists():
                _move(temporary, folder)
            elif any(temporary.iterdir()):
                folder.parent.mkdir(parents=True, exist_ok=True)
                temporary.rename(folder)
        except WriteError as error:
            if not (path := Path(error.filename)).is_relative_to(temporary):
                raise
            place = str(folder / path.relative_to(temporary))
            raise WriteError(error.errno, error.strerror, place) from error
        finally:
            _remove(temporary)
            unfinished.discard(temporary)


def abandon() -> None:
    """Remove all temporary files and locks of this process, which is about to end."""
    for path in tuple(unfinished):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def allocate(path: str | os.PathLike) -> None:
    """Take the disk space of a file with holes, such as a new memory map, now.

    Otherwise a disk that fills up later ends the program by a signal, not by an OSError.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with open(path, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)


@contextmanager
def parsing(path: str | os.PathLike, *errors: type[Exception]) -> Iterator[None]:
    """Turn ``errors`` and OSError of the block into a ParseError that gives the path and the reason."""
    try:
        yield
    except ParseError:  # which has its path
        raise
    except (OSError, *errors) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, KeyError) and " " not in reason:  # it says no more than the key
            reason = f"{reason} is missing"
        raise ParseError(f"{path}: {' '.join(reason.split())}") from error


def _move(source: Path, folder: Path) -> None:
    """Move the files in ``source`` and its folders into ``folder``, after a look at each place."""
    written = sorted(path for path in source.rglob("*") if path.is_file())
    moves = [(path, folder / path.relative_to(source)) for path in written]
    for _, target in moves:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise WriteError(errno.EISDIR, "is a folder", str(target))
    for path, target in moves:
        path.replace(target)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _reason(error: OSError, path: Path) -> str:
    if not path.parent.exists():
        return f"folder {path.parent} does not exist"
    if not path.parent.is_dir():
        return f"{path.parent} is no folder"
    # HDF5 has an errno and a story; others have only a text, such as how many bytes were not written
    if error.errno:
        return os.strerror(error.errno)
    return f"could not be written whole: {' '.join(str(error).split())}"


def _synchronise(path: Path) -> None:
    """Have the content on disk before the name points to it."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
