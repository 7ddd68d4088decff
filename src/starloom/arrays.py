"""Arrays: which library one belongs to, taken from it, so that nothing here imports JAX; and one in words."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

LONGEST = 60  # characters of one field's text


def array_library(*values: Any) -> Any:
    """The library that suits all ``values``: ``jax.numpy`` where one is a JAX array, else ``numpy``."""
    for value in values:
        if hasattr(value, "__array_namespace__") and not isinstance(value, np.ndarray | np.generic):
            return value.__array_namespace__()
    return np


def one_line(self) -> str:
    """The ``__repr__`` of a dataclass that holds arrays: each is told by its type and shape."""
    parts = (f"{field.name}={_brief(getattr(self, field.name))}" for field in fields(self))
    return f"{type(self).__name__}({', '.join(parts)})"


def _brief(value: Any) -> str:
    if hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}" if value.shape else str(value)
    name = type(value).__name__
    if isinstance(value, Mapping | tuple | list):
        name = f"{name} of {len(value)}"
        items = value.values() if isinstance(value, Mapping) else value
        if not all(isinstance(item, str | int | float | None) for item in items):
            return name
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]!r}..."
    text = repr(value)
    return text if len(text) <= LONGEST and "\n" not in text else name
