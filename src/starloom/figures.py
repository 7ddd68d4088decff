"""The only way to matplotlib, which is an extra; one style for all figures.

The colours are those of Okabe & Ito (2008), "Color Universal Design", made for colour-blind readers.
"""

import os
from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from starloom import extras
from starloom.errors import ConfigError
from starloom.files import check_target, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
BLACK, ORANGE, BLUE, GREEN = "#000000", "#D55E00", "#0072B2", "#009E73"
COLOURS = (BLACK, ORANGE, BLUE, GREEN, "#CC79A7", "#E69F00", "#56B4E9")  # of several curves
STYLE = {
    "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
    "axes.linewidth": 0.8,
    "axes.titlesize": "medium",
    "font.size": 10,
    "image.cmap": "viridis",
    "legend.frameon": False,
    "legend.fontsize": "small",
    "lines.linewidth": 0.8,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.fonttype": "none",
    **{f"{axis}tick.direction": "in" for axis in "xy"},
    **{f"{axis}tick.minor.visible": True for axis in "xy"},
    "xtick.top": True,
    "ytick.right": True,
}


def styled(draw: Callable) -> Callable:
    """A function that makes figures, in our style; the caller's own settings of matplotlib stay."""

    @wraps(draw)
    def drawn(*positional, **given):
        # a notebook's backend, which is chosen at the first call of it, tells figures to be shown
        pyplot().draw_if_interactive()
        with pyplot().rc_context(STYLE):
            return draw(*positional, **given)

    return drawn


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
