"""A FITS table with named columns: wavelength, flux and perhaps continuum."""

import numpy as np

from starloom.io.format import File, Format
from starloom.io.record import Record


def read(file: File) -> Record:
    """Named columns, any case, of the first table; a wavelength column's unit is used where it has one."""
    if not file.tables:
        raise ValueError("no table in it")
    table, wanted = file.tables[0], file.columns or ("wavelength", "flux")
    if missing := [str(name) for name in wanted if not table.chosen([name])]:
        raise ValueError(f"no column {', '.join(missing)}, only {', '.join(table.cells)}")
    names = table.chosen(wanted)
    arrays = [np.ravel(table.numbers(name)) for name in names]
    parts = dict(zip(("wavelength", "flux", "continuum"), arrays, strict=False))
    return Record(**parts, unit=table.units.get(names[0]) or None, flux_unit=table.units.get(names[1], ""))


FORMAT = Format("fits-table", "a FITS table with named columns", read, unit="Angstrom", options=("columns",))
