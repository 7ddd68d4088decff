"""What is told: results to standard output, as text or JSON; warnings and bars to standard error.

Both as they are found: of any encoding, closed by the reader, or on a full disk.
"""

import codecs
import io
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

log = logging.getLogger("starloom")
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)  # by how often -v is given
Json = Annotated[bool, typer.Option("--json", help="Print JSON, a line for each result, and nothing else.")]
SPELLED = {"\N{PLUS-MINUS SIGN}": "+-", "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": "A"}


class ToStandardError(logging.Handler):
    """Lines of the log, between bars, to the standard error of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if sys.stderr is None:  # the program was started without: print would take standard output
            return
        line = self.format(record)
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)


def speak(verbose: int = 0, quiet: bool = False, progress: bool = True) -> None:
    """Have the logger "starloom" say as much as is asked for."""
    if not any(isinstance(handler, ToStandardError) for handler in log.handlers):
        handler = ToStandardError()
        handler.setFormatter(logging.Formatter("starloom: %(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.ERROR if quiet else LEVELS[min(verbose, len(LEVELS) - 1)])
    global _bars
    _bars = progress and not quiet


_bars = True


def shows_bars() -> bool:
    """Whether bars are wanted, and standard error is a terminal that can show them."""
    return _bars and sys.stderr is not None and sys.stderr.isatty()


def bar(total: int | None, unit: str, **options: Any):
    """A bar with count, rate and time left, where bars are shown."""
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}", disable=not shows_bars(), dynamic_ncols=True, **options)


def told(as_json: bool) -> Callable[[str], None]:
    """How a command says what it has written: beside JSON, which stands alone, in the log."""
    return log.info if as_json else print


def print_json(content: Mapping[str, Any]) -> None:
    """Print one object as a line of JSON (RFC 8259), in ASCII; what is no finite number is null."""
    print(json.dumps(_plain(content), allow_nan=False))


def _plain(value: Any) -> Any:
    """A value of types that JSON has."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


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
