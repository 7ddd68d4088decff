"""Stellar spectra from stellar labels: by radiative transfer, and by networks trained on it."""

from importlib import import_module

from starloom.labels import DOMAIN, LABELS
from starloom.spectrum import Spectrum

__version__ = "0.1.0"
__all__ = ["DOMAIN", "LABELS", "Generator", "Spectrum", "generate"]


def __getattr__(name: str):
    """``Generator`` and ``generate`` load the networks when they are first used."""
    if name not in ("Generator", "generate"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("starloom.networks.generator"), name)
