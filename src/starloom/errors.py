"""The errors a user can meet: each message gives name, value, unit and allowed range, or path and reason."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """An option that a message asks for: ``name=value`` to a caller in Python, ``--name value`` in a shell.

    ``values`` are those that it may have; none where any.
    """

    name: str
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}={' | '.join(map(repr, self.values)) or '...'}"

    @property
    def in_command(self) -> str:
        """The option as the command line has it."""
        return " ".join(filter(None, (f"--{self.name}", "|".join(map(_word, self.values)))))


def _word(value: Any) -> str:
    """A value as a word of the command line; True is none: such an option is given or not."""
    return "" if value is True else ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


class StarloomError(Exception):
    """Base of every error that starloom raises on purpose; the command line prints it as one line.

    The message may be given in several parts, of which an ``Option`` is one that its reader may set.
    """

    def __str__(self) -> str:
        return "".join(map(str, self.parts))

    @property
    def parts(self) -> tuple[Any, ...]:
        """What the message is put together from."""
        return self.args

    @property
    def in_command(self) -> str:
        """The message as the command line says it."""
        return "".join(part.in_command if isinstance(part, Option) else str(part) for part in self.parts)


class ConfigError(StarloomError):
    """A configuration or an option that does not make sense."""


class OutOfRangeError(StarloomError, ValueError):
    """A value outside the range in which the answer is known."""


class ParseError(StarloomError, ValueError):
    """A file that cannot be read: the message gives its path, the line where known, and the reason."""


class WriteError(StarloomError, OSError):
    """A file that cannot be written: the message gives its path and the reason. Made as an OSError is."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Its path and the reason."""
        return (f"{self.filename}: {self.strerror}",)


class ArchiveError(StarloomError):
    """An archive that cannot be reached, or has not what is asked for."""


class ConvergenceError(StarloomError):
    """An iteration that did not reach its tolerance."""


class StoreError(StarloomError):
    """A training store that is incomplete, damaged or made by another recipe."""
