"""Frozen dataclasses from plain mappings, such as the tables of a TOML file; errors name the field."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from starloom.errors import ConfigError

Settings = TypeVar("Settings")


def configured(settings: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """The dataclass ``settings`` with ``values`` in place of its defaults.

    Fields are numbers, texts, truth values or tuples of integers. ``where`` is the table's name in the
    message of the ``ConfigError`` for an unknown field or a value of another type.
    """
    known = {field.name for field in fields(settings)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    types = get_type_hints(settings)
    return settings(**{name: _typed(f"{where}.{name}", types[name], value) for name, value in values.items()})


def _typed(name: str, kind: Any, value: Any) -> Any:
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    if kind == tuple[int, ...] and isinstance(value, list | tuple) and all(type(v) is int for v in value):
        return tuple(value)
    expected = "list of integers" if kind == tuple[int, ...] else kind.__name__
    raise ConfigError(f"{name} = {value!r} is not of the type {expected}")
