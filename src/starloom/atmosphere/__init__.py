"""Structures of stellar atmospheres: from labels by interpolation, from a user's file, and their check."""

from starloom.atmosphere.grid import domain, interpolate
from starloom.atmosphere.layers import LAYERS, on_layers
from starloom.atmosphere.readers import read_atlas9, read_marcs
from starloom.atmosphere.structure import Atmosphere, hydrostatic_residual

__all__ = [
    "LAYERS",
    "Atmosphere",
    "domain",
    "hydrostatic_residual",
    "interpolate",
    "on_layers",
    "read_atlas9",
    "read_marcs",
]
