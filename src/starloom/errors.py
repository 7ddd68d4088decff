"""The errors a user can meet: each message gives name, value, unit and allowed range, or path and reason."""


class StarloomError(Exception):
    """Base of every error that starloom raises on purpose; the command line prints it as one line."""


class ConfigError(StarloomError):
    """A configuration or an option that does not make sense."""


class OutOfRangeError(StarloomError, ValueError):
    """A value outside the range in which the answer is known."""


class ParseError(StarloomError, ValueError):
    """A file that cannot be read: the message gives its path, the line where known, and the reason."""


class WriteError(StarloomError, OSError):
    """A file that cannot be written: the message gives its path and the reason. Made as an OSError is."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class ConvergenceError(StarloomError):
    """An iteration that did not reach its tolerance."""


class StoreError(StarloomError):
    """A training store that is incomplete, damaged or made by another recipe."""
