"""Options of several words: NAME=NUMBER, NAME=MEAN:SIGMA, LOW:HIGH, columns; one line for what is wrong."""

from collections.abc import Iterator
from typing import Annotated

import typer

Repeated = list[str] | None
Range = Annotated[
    str | None,
    typer.Option("--range", help="Air wavelengths LOW:HIGH [A]: only the chunks that show them."),
]


def air_range(text: str | None) -> tuple[float, ...]:
    """Both ends [A] of ``--range``; none where it is not given."""
    return () if text is None else pair("--range", text)


def numbers(option: str, texts: Repeated, expected: str = "LABEL=NUMBER") -> dict[str, float]:
    """Numbers by name of a repeatable option."""
    from starloom.errors import ConfigError

    found: dict[str, float] = {}
    for text, name, value in named(option, texts, expected):
        if name in found:
            raise ConfigError(f"{option} {name} is given twice")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise ConfigError(f"{option} {text}: expected {expected}") from error
    return found


def named(option: str, texts: Repeated, expected: str) -> Iterator[tuple[str, str, str]]:
    """The texts of a repeatable option, each with its name and what it is given."""
    from starloom.errors import ConfigError

    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigError(f"{option} {text}: expected {expected}")
        yield text, name, value


def words(texts: Repeated) -> list[str]:
    """The words of a repeatable option that may have several in one, with commas between."""
    return [word.strip() for text in texts or () for word in text.split(",") if word.strip()]


def places(text: str) -> tuple[str | int, ...]:
    """Columns by their numbers or names, with commas between."""
    return tuple(int(word) if word.isdecimal() else word for word in words((text,)))


def pairs(option: str, texts: Repeated, expected: str) -> dict[str, tuple[float, float]]:
    """Two numbers by name of a repeatable option."""
    from starloom.errors import ConfigError

    found: dict[str, tuple[float, float]] = {}
    for _, name, value in named(option, texts, expected):
        if name in found:
            raise ConfigError(f"{option} {name} is given twice")
        found[name] = pair(option, value, f"{name}=")
    return found


def pair(option: str, text: str, before: str = "") -> tuple[float, float]:
    """Two numbers with a colon between them; ``before`` is what stands before them on the command line."""
    from starloom.errors import ConfigError

    option = f"{option} {before}{text}"
    first, colon, second = text.partition(":")
    if not colon:
        raise ConfigError(f"{option}: expected two numbers with a colon between them")
    try:
        return float(first), float(second)
    except ValueError as error:
        wrong = str(error).partition(": ")[2]
        raise ConfigError(f"{option}: {wrong} is no number") from error
