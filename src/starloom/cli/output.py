"""Standard output and error as they are found: of any encoding, closed by the reader, or on a full disk."""

import codecs
import io
import os
import sys

SPELLED = {"\N{PLUS-MINUS SIGN}": "+-", "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": "A"}


def survive_any_encoding() -> None:
    """From now on a character that the terminal's encoding lacks is spelled out, and no error."""
    codecs.register_error("starloom", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="starloom")


def flush() -> None:
    """Write what is printed; nothing where the program was started without standard output."""
    if sys.stdout is not None:
        sys.stdout.flush()


def fault() -> str:
    """The name of standard output where it cannot be written to, else nothing and one empty line more."""
    try:
        print(flush=True)
    except OSError:
        abandon()
        return "standard output"
    return ""


def abandon() -> None:
    """Let what is still to be printed go nowhere; Python would complain of it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    letters = (SPELLED.get(letter, ascii(letter)[1:-1]) for letter in unknown)
    return "".join(letters), error.end
