"""Which array library a function works in: taken from its arguments, so that nothing here imports JAX."""

from typing import Any

import numpy as np


def array_library(*values: Any) -> Any:
    """The library that suits all ``values``: ``jax.numpy`` where one is a JAX array, else ``numpy``."""
    for value in values:
        if hasattr(value, "__array_namespace__") and not isinstance(value, np.ndarray | np.generic):
            return value.__array_namespace__()
    return np
