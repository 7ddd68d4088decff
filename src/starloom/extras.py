"""What the package's extras bring, and the line that says how to install what is missing."""

# distribution, named like its module -> what brings it
PACKAGES = {
    "numpy": "starloom",
    "astropy": "starloom",
    "matplotlib": "starloom[plot]",
    "scipy": "starloom[fit]",
    "jax": "starloom[synthesis]",
    "jaxtyping": "starloom[synthesis]",
    "equinox": "starloom[synthesis]",
    "optax": "starloom[synthesis]",
    "dask": "starloom[database]",
    "distributed": "starloom[database]",
    "h5py": "starloom[database]",
    "numpyro": "starloom[inference]",
    "corner": "starloom[inference]",
    "specutils": "starloom[specutils]",
    "astroquery": "starloom[gaia]",
    "pandas": "starloom[pandas]",
    "pyarrow": "starloom[parquet]",
}


def absent(package: str) -> str:
    """The line for a package that is not installed.

    Where starloom is installed, from the index or a checkout, pip takes its extras from there.
    """
    return f"{package} is not installed: pip install {PACKAGES[package]!r}"


def told(error: ImportError) -> str | None:
    """The same for an import that failed for want of one of the packages; None where it failed otherwise."""
    package = (error.name or "").partition(".")[0]
    return absent(package) if package in PACKAGES else None
