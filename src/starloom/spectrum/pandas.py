"""Exchange with pandas, which is an extra."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from starloom import extras
from starloom.errors import ConfigError


def data_frame(columns: Mapping[str, Any], about: Mapping[str, Any], index: Any = None):
    """A ``pandas.DataFrame`` of columns, with ``about`` in its attrs. ConfigError without pandas."""
    try:
        import pandas
    except ImportError as error:
        raise ConfigError(extras.absent("pandas")) from error
    made = pandas.DataFrame({name: _native(values) for name, values in columns.items()}, index=index)
    made.attrs.update(about)
    return made


def indexed_by(names: tuple[str, ...], values: np.ndarray):
    """A ``pandas.MultiIndex`` of rows ``values[row, name]``. ConfigError without pandas."""
    try:
        import pandas
    except ImportError as error:
        raise ConfigError(extras.absent("pandas")) from error
    return pandas.MultiIndex.from_arrays(list(values.T), names=names)


def _native(values: Any) -> Any:
    """Numbers in this computer's order of bytes, as pandas wants them, and copied."""
    array = np.array(values)
    return array.astype(array.dtype.newbyteorder("="))
