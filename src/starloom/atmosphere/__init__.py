"""Structures of stellar atmospheres: from labels by interpolation, from a user's file, and their check."""

from starloom.atmosphere.grid import domain, interpolate
from starloom.atmosphere.readers import read_atlas9, read_marcs
from starloom.atmosphere.structure import Atmosphere, hydrostatic_residual

__all__ = ["Atmosphere", "domain", "hydrostatic_residual", "interpolate", "read_atlas9", "read_marcs"]
