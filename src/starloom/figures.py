"""The only way to matplotlib, which is an extra."""

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from starloom import extras
from starloom.errors import ConfigError
from starloom.files import check_target, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")


def check(path: str | os.PathLike) -> None:
    """Raise ConfigError or WriteError where ``save`` could not write ``path``: before the work."""
    check_target(path, FORMATS)
    pyplot()


def pyplot():
    """``matplotlib.pyplot``; ConfigError where it is not installed."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ConfigError(extras.absent("matplotlib")) from error
    return matplotlib.pyplot


def save(figure: "Figure", path: str | os.PathLike, dpi: int = 150) -> Path:
    """Write a figure (.png, .pdf, .svg), whole or not at all, and close it; ConfigError for other formats."""
    content = BytesIO()  # matplotlib leaves a file open where it cannot be written
    try:
        check_target(path, FORMATS)
        figure.savefig(content, format=Path(path).suffix[1:].lower(), dpi=dpi)
        with replacing(path) as temporary:
            temporary.write_bytes(content.getvalue())
    finally:
        pyplot().close(figure)
    return Path(path)
