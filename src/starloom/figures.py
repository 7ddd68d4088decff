"""The only way to matplotlib, which is an extra."""

from starloom.errors import ConfigError


def pyplot():
    """``matplotlib.pyplot``; ConfigError where it is not installed."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ConfigError("matplotlib is not installed: pip install 'starloom[plot]'") from error
    return matplotlib.pyplot
