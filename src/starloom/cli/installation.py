"""``starloom info``: what is installed and what was found, for a report of a fault."""

import platform
from importlib.metadata import PackageNotFoundError, version

from starloom import __version__, bands, extras, tables


def info() -> None:
    """Print versions, devices, and the tables, bands, models and formats found."""
    from starloom.io.format import formats

    print(f"{'starloom':<12}{__version__}")
    print(f"{'python':<12}{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in extras.PACKAGES:
        print(f"{package:<12}{_version(package) or extras.absent(package).removeprefix(package + ' is ')}")
    print(f"{'devices':<12}{_devices()}")
    print(f"{'tables':<12}{', '.join(tables.names()) or 'none'}")
    print(f"{'bands':<12}{', '.join(bands.names()) or 'none'}")
    print(f"{'models':<12}{', '.join(tables.published('starloom.models')) or 'none'}")
    print(f"{'formats':<12}{', '.join(formats())}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> str:
    """What JAX computes on; without it NumPy has the processor."""
    try:
        import jax
    except ImportError:
        return "processor (NumPy)"
    return ", ".join(f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices())
