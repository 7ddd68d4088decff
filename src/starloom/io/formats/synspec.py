"""SYNSPEC, and TLUSTY's grids: text of wavelength and flux, with the continuum in a file beside it."""

from dataclasses import replace

import numpy as np

from starloom.io.format import File, Format
from starloom.io.formats.ascii import numbers
from starloom.io.record import Record

SUFFIXES = {".7": ".17", ".spec": ".cont"}  # the continuum's, at its own few wavelengths


def read(file: File) -> Record:
    """The two columns, and the continuum interpolated to their wavelengths."""
    record = numbers(file, file.columns or (1, 2))
    suffix = SUFFIXES.get(file.path.suffix)
    beside = file.path.with_suffix(suffix) if suffix else None
    if beside is None or not beside.exists():
        found = beside.name if beside else "suffix is not .7 or .spec"
        raise ValueError(f"no continuum beside it ({found})")
    coarse = numbers(File(beside), (1, 2))
    return replace(record, continuum=np.interp(record.wavelength, coarse.wavelength, coarse.flux))


FORMAT = Format(
    "synspec",
    "SYNSPEC or TLUSTY: .7 with .17, or .spec with .cont",
    read,
    unit="Angstrom",
    medium="air",
    frame="rest",
    normalise="continuum",
    options=("columns",),
)
