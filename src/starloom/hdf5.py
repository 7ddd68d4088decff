"""The only way to h5py, which is an extra."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

from starloom import extras
from starloom.errors import ConfigError, ParseError


def h5py():
    """The module ``h5py``; ConfigError where it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(extras.absent("h5py")) from error
    return h5py


@contextmanager
def opened(path: str | os.PathLike) -> Iterator:
    """An HDF5 file to read; ParseError where it is damaged."""
    module = h5py()
    try:
        file = module.File(path)
    except OSError as error:
        if error.errno is not None:  # not HDF5's own story of what is wrong inside
            raise
        raise ParseError(f"{path}: damaged or cut off: HDF5 cannot open it") from error
    with file:
        yield file


@contextmanager
def created(path: str | os.PathLike) -> Iterator:
    """A new HDF5 file, and a function that raises the first OSError of writing it, to be called on the way.

    HDF5 cannot close a file to which a write failed, and crashes when the program ends. So it writes to a
    stream that seems to take everything; the error is raised by that function, or when the block ends.
    """
    with _Stream(path, "w+b") as stream:
        with h5py().File(stream, "w") as file:
            yield file, stream.check
        stream.check()


class _Stream(io.FileIO):
    """A file that keeps its first error to itself until it is asked."""

    fault: OSError | None = None

    def check(self) -> None:
        """Raise the error."""
        if self.fault is not None:
            raise self.fault

    def write(self, content) -> int:
        rest = memoryview(content).cast("B")
        size = rest.nbytes
        try:
            while rest and self.fault is None:
                rest = rest[super().write(rest) :]  # a nearly full disk takes a part
        except OSError as error:
            self.fault = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.fault = self.fault or error
            return size or 0
