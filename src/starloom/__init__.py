"""Stellar spectra from stellar labels: by radiative transfer, and by networks trained on it."""

from starloom.labels import DOMAIN, LABELS
from starloom.spectrum import Spectrum

__version__ = "0.1.0"
__all__ = ["DOMAIN", "LABELS", "Spectrum"]
