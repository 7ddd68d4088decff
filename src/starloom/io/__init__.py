"""Tables of labels in, many spectra out, spectra of any format in: each a module of its own."""

from starloom.io.format import File, Format
from starloom.io.format import find as find_format
from starloom.io.label_tables import LabelFile, LabelTable, open_labels, read_labels
from starloom.io.many_spectra import (
    HDF5,
    MANY,
    PORTION,
    Portion,
    check_many,
    generate_each,
    read_many,
    read_others,
    write_each,
    write_many,
)
from starloom.io.observed import Observed, read_each, read_list, read_observed, spectra_in
from starloom.io.record import Record

__all__ = [
    "HDF5",
    "MANY",
    "PORTION",
    "File",
    "Format",
    "LabelFile",
    "LabelTable",
    "Observed",
    "Portion",
    "Record",
    "check_many",
    "find_format",
    "generate_each",
    "open_labels",
    "read_each",
    "read_labels",
    "read_list",
    "read_many",
    "read_observed",
    "read_others",
    "spectra_in",
    "write_each",
    "write_many",
]
