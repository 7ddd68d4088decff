"""POLLUX, a grid of models: text of wavelength, flux and normalised flux. Palacios et al. (2010)."""

from starloom.io.format import Format
from starloom.io.formats.ascii import columns

FORMAT = Format(
    "pollux",
    "POLLUX (Palacios et al. 2010): wavelength, flux, normalised",
    columns(1, 3),
    unit="Angstrom",
    frame="rest",
    options=("columns",),
)
