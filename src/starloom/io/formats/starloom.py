"""What ``Spectrum.write`` and ``write_many`` make: one spectrum, or the rows of many."""

from collections.abc import Iterator
from functools import partial

from starloom.io.format import File, Format, Found
from starloom.io.many_spectra import read_many
from starloom.io.record import Record
from starloom.io.tables import HDF5
from starloom.spectrum import Spectrum
from starloom.spectrum.csv import TITLE
from starloom.spectrum.spectra import Spectra

ROWS = {"FLUX", "WAVELENGTH", "LABELS"}  # extensions of a file of ``write_many``
TOLD = ("wavelength", "flux", "error", "mask", "flux_unit", "medium", "frame", "labels", "provenance")


def recognise(file: File) -> bool:
    """Whether starloom wrote the file."""
    head = file.head
    if file.is_fits:
        return file.extensions >= ROWS or ("SPECTRUM" in file.extensions and b"CREATOR = 'starloom " in head)
    ecsv = head.startswith(b"# %ECSV") and b"provenance" in head and b"pixels: " in head
    return ecsv or head.startswith((TITLE.encode(), HDF5))


def read(file: File) -> Record | Iterator[Found]:
    """The spectrum, or those of many by their numbers of rows."""
    if not (file.head.startswith(HDF5) or file.extensions >= ROWS):
        return _record(Spectrum.read(file.path))
    rows, spectra = read_many(file.path)
    return ((str(row), partial(_row, spectra, index)) for index, row in enumerate(rows))


def _row(spectra: Spectra, index: int) -> Record:
    return _record(spectra[index])


def _record(spectrum: Spectrum) -> Record:
    return Record(**{name: getattr(spectrum, name) for name in TOLD}, unit="Angstrom")


FORMAT = Format("starloom", "files of Spectrum.write and write_many", read, recognise)
