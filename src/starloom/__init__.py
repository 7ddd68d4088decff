"""Stellar spectra from stellar labels: by radiative transfer, and by networks trained on it."""

__version__ = "0.1.0"
