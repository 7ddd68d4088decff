"""Whether the computer has the memory for an answer, asked before the work."""

import os

from starloom.errors import OutOfRangeError


def check(what: str, size: float) -> None:
    """Raise OutOfRangeError where ``what`` needs more bytes, ``size``, than the computer has memory."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system tells
        return
    if size > memory:
        raise OutOfRangeError(
            f"{what} need {size / 1e9:.3g} GB of memory, this computer has {memory / 1e9:.3g} GB: "
            "ask for fewer at once"
        )
