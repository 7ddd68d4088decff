"""AMBRE, a grid of models: text of wavelength in air, normalised flux and flux. de Laverny et al. (2012)."""

from starloom.io.format import Format
from starloom.io.formats.ascii import columns

FORMAT = Format(
    "ambre",
    "AMBRE (de Laverny et al. 2012): wavelength, normalised, flux",
    columns(1, 2),
    unit="Angstrom",
    medium="air",
    frame="rest",
    options=("columns",),
)
