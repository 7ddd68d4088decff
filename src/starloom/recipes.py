"""Recipes: TOML files read into frozen dataclasses, whose errors name the file and the key."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from importlib.resources import files
from os import PathLike
from pathlib import Path
from sys import float_info
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from starloom.errors import ConfigError
from starloom.files import parsing

Settings = TypeVar("Settings")
NOUNS = {int: "whole number", float: "number", str: "text", bool: "truth value"}


def packaged(package: str) -> list[str]:
    """Names of the recipes that come with a package, in its folder ``recipes``."""
    entries = (files(package) / "recipes").iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))


def read(name_or_path: str | PathLike, package: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a TOML file, or of the recipe of this name in a package, with ``changes`` to it.

    A change is "plans.labels.epochs=25": a key with its tables, and its value as TOML has it. Raises
    ``ConfigError`` where there is no such file, ``ParseError`` where a file or a change is no TOML.
    """
    known = packaged(package)
    found = str(name_or_path) in known
    path = files(package) / "recipes" / f"{name_or_path}.toml" if found else Path(name_or_path)
    if not found and not path.exists():
        raise ConfigError(f"{name_or_path}: no such file, nor a packaged recipe ({', '.join(known)})")
    content = read_file(path, name_or_path)
    for change in changes:
        with parsing(f"--set {change}", tomllib.TOMLDecodeError):
            content = _merged(content, tomllib.loads(change))
    return content


def read_file(path: Any, called: str | PathLike = "") -> dict[str, Any]:
    """The content of a TOML file, which a message calls by its path or as said; ``ParseError``."""
    with parsing(called or path, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))


def load(
    settings: type[Settings], name_or_path: str | PathLike, package: str, changes: Sequence[str] = ()
) -> Settings:
    """The dataclass ``settings`` as a recipe has it: ``built`` of what ``read`` gives."""
    content = read(name_or_path, package, changes)
    with naming(name_or_path):
        return built(settings, content)


@contextmanager
def naming(where: str | PathLike) -> Iterator[None]:
    """Put ``where`` before the message of a ``ConfigError`` of the block."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def built(
    settings: type[Settings], content: Mapping[str, Any], key: str = "", base: Settings | None = None
) -> Settings:
    """The dataclass ``settings`` with the values of ``content`` in place of its defaults, or of ``base``.

    Fields are numbers, texts, truth values, tuples of such, and dataclasses, whose values are tables. Raises
    ``ConfigError`` for an unknown or a missing key, a value of another type, and what the dataclass refuses;
    ``key`` is what the table has in the recipe.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{key} = {content!r} is no table")
    entries = {entry.name: entry for entry in fields(settings)}
    needed = [name for name, entry in entries.items() if base is None and _default(entry) is MISSING]
    check_keys(key, content, entries, needed)
    types = get_type_hints(settings)
    values = {}
    for name, value in content.items():
        default = _default(entries[name]) if base is None else getattr(base, name)
        values[name] = typed(types[name], value, f"{key}.{name}".lstrip("."), default)
    try:
        return settings(**values) if base is None else replace(base, **values)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}" if key else str(error)) from error


def check_keys(key: str, content: Iterable[str], known: Iterable[str], needed: Iterable[str] = ()) -> None:
    """Raise ``ConfigError`` where a table has keys that are not ``known``, or lacks one that is needed."""
    unknown, missing = sorted(set(content) - set(known)), [name for name in needed if name not in content]
    if unknown or missing:
        faults = [f"unknown key {name}" for name in unknown] + [f"missing key {name}" for name in missing]
        told = f"; known are {', '.join(known)}" if unknown else ""
        raise ConfigError(f"{key or 'recipe'}: {', '.join(faults)}{told}")


def typed(kind: Any, value: Any, key: str, default: Any = None) -> Any:
    """``value`` as ``kind``, the type of a field; ``ConfigError`` with the ``key`` where it is another.

    ``default`` has what a table does not say.
    """
    if isinstance(kind, UnionType):  # a dataclass or None
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if is_dataclass(kind):
        given = isinstance(value, kind)
        return value if given else built(kind, value, key, default if isinstance(default, kind) else None)
    several, given = get_origin(kind) is tuple, isinstance(value, list | tuple)
    item = get_args(kind)[0] if several else kind
    items = [_plain(item, each) for each in (value if given else [value])]
    if several != given or None in items:
        expected = f"list of {NOUNS[item]}s" if several else NOUNS[item]
        raise ConfigError(f"{key} = {value!r} is no {expected}")
    return tuple(items) if several else items[0]


def at_least(low: float, **values: float) -> None:
    """Raise ``ConfigError`` for a value, given by name, that is below ``low``."""
    for name, value in values.items():
        if not value >= low:
            raise ConfigError(f"{name} = {value} is below {low}")


def one_of(choices: Iterable[str], **values: str) -> None:
    """Raise ``ConfigError`` for a value, given by name, that is none of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise ConfigError(f"{name} = {value!r} is not one of {', '.join(choices)}")


def _plain(kind: type, value: Any) -> Any:
    """A number, text or truth value of this type, or None where it is of another."""
    if kind is float and type(value) in (int, float):
        return float(value) if abs(value) <= float_info.max else None
    return value if type(value) is kind else None


def _default(entry: Field) -> Any:
    """The default of a field, or MISSING."""
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _merged(content: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` with the leaves of ``change`` in place of its own."""
    merged = dict(content)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
