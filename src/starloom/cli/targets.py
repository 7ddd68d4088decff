"""What a command will write: looked at before any work, so that nothing is lost at its end."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from starloom.errors import ConfigError
from starloom.files import check_folder, check_target

Check = Callable[[Path], None]


def check_targets(
    targets: Iterable[tuple[Path | None, Check]], overwrite: bool, read: Iterable[Path | None] = ()
) -> None:
    """Raise ConfigError or WriteError where one of a command's files could not be written in the end.

    Each target has a check of its own, of ending and place. None may exist unless ``overwrite`` is set (an
    empty folder may), be one of those that the command reads, or be named twice.
    """
    taken = {os.path.realpath(path): "is what is read" for path in read if path is not None}
    for path, check in targets:
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise ConfigError(f"{path} {taken[place]}: give another name")
        check(path)
        if path.exists() and not overwrite and not _empty_folder(path):
            raise ConfigError(f"{path} exists: --overwrite replaces it")
        taken[place] = "is named twice"


def _empty_folder(path: Path) -> bool:
    return not path.suffix and path.is_dir() and not any(path.iterdir())


def spectrum(path: Path) -> None:
    """The check of one spectrum's file."""
    from starloom.spectrum import FORMATS

    check_target(path, FORMATS)


def spectra(path: Path) -> None:
    """The check of what holds many spectra: a file, or without an ending a folder."""
    from starloom import io

    if path.suffix:
        io.check_many(path, overwrite=True)
    else:
        check_folder(path)


def figure(path: Path) -> None:
    """The check of a figure's file."""
    from starloom.figures import check

    check(path)
