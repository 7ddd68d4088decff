"""``starloom info``: what is installed and what was found, for a report of a fault."""

import platform
from importlib.metadata import PackageNotFoundError, version

from starloom import __version__, bands, tables

# distribution, named like its module -> what brings it
PACKAGES = {
    "numpy": "",
    "astropy": "",
    "matplotlib": "starloom[plot]",
    "jax": "starloom[synthesis]",
    "jaxtyping": "starloom[synthesis]",
    "scipy": "starloom[synthesis]",
    "equinox": "starloom[synthesis]",
    "optax": "starloom[synthesis]",
    "dask": "starloom[database]",
    "distributed": "starloom[database]",
    "h5py": "starloom[database]",
    "numpyro": "starloom[inference]",
    "specutils": "starloom[specutils]",
}


def info() -> None:
    """Print versions, devices, and the tables, bands, models and formats found."""
    from starloom.io.format import formats

    print(f"{'starloom':<12}{__version__}")
    print(f"{'python':<12}{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package, extra in PACKAGES.items():
        print(f"{package:<12}{_version(package) or f'not installed: pip install {extra!r}'}")
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
