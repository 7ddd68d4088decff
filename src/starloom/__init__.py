"""Stellar spectra from stellar labels: by radiative transfer, and by networks trained on it."""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["DOMAIN", "LABELS", "Generator", "Spectrum", "generate"]
PLACES = {
    "DOMAIN": "labels",
    "LABELS": "labels",
    "Spectrum": "spectrum",
    "Generator": "networks.generator",
    "generate": "networks.generator",
}


def __getattr__(name: str):
    """What ``PLACES`` has is loaded when it is first used, so that a command is awake before NumPy is."""
    if name in PLACES:
        return getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
    if name in PLACES.values():
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
