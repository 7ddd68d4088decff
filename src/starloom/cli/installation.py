"""``starloom info``: what is installed and what was found, for a report of a fault."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starloom import __version__, bands, extras, places, tables
from starloom.cli import console


def info(as_json: console.Json = False) -> None:
    """Print versions, devices, and the tables, bands, models and formats found."""
    from starloom.io.format import formats

    found = {"tables": tables.names(), "bands": bands.names(), "models": tables.published("starloom.models")}
    found = {name: list(names) for name, names in found.items()} | {"formats": list(formats())}
    if as_json:
        console.print_json(_versions() | {"devices": _devices().split(", "), **found})
        return
    print(f"{'starloom':<12}{__version__}")
    print(f"{'python':<12}{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in extras.PACKAGES:
        print(f"{package:<12}{_version(package) or extras.absent(package).removeprefix(package + ' is ')}")
    print(f"{'devices':<12}{_devices()}")
    for name, names in found.items():
        print(f"{name:<12}{', '.join(names) or 'none'}")
    print(f"{'config':<12}{places.configuration_file() or 'none'}")


def _versions() -> dict[str, Any]:
    """Versions by package, None for what is not installed, and the computer's kind."""
    system = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    path = places.configuration_file()
    system["config"] = path and str(path)
    return {"starloom": __version__, **system, "packages": {each: _version(each) for each in extras.PACKAGES}}


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
