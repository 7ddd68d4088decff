"""Stellar spectra from stellar labels: by radiative transfer, and by networks trained on it."""

from importlib import import_module

from starloom import extras

__version__ = "0.1.0"
__all__ = [
    "LABELS",
    "TABLE_1",
    "Domain",
    "Generator",
    "Spectrum",
    "degrade",
    "fit",
    "fit_epochs",
    "generate",
    "read",
    "synthesize",
]
PLACES = {
    "Domain": "labels",
    "TABLE_1": "labels",
    "LABELS": "labels",
    "Spectrum": "spectrum",
    "Generator": "networks.generator",
    "generate": "networks.generator",
    "degrade": "inference",
    "fit": "inference",
    "fit_epochs": "inference",
    "read": "io:read_observed",
    "synthesize": "synthesis:synthesize_labels",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str):
    """What ``PLACES`` has is loaded when it is first used, so that a command is awake before NumPy is."""
    if name in PLACES:
        module, _, attribute = PLACES[name].partition(":")
        try:
            return getattr(import_module(f"{__name__}.{module}"), attribute or name)
        except ImportError as error:
            if line := extras.told(error):
                raise ImportError(line, name=error.name) from error
            raise
    if name in PLACES.values() or name in ("gaia", "io"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
