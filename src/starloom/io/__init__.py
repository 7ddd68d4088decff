"""Tables of labels in, many spectra out, observed spectra in: each a module of its own."""

from starloom.io.label_tables import LabelTable, read_labels
from starloom.io.many_spectra import (
    HDF5,
    MANY,
    PORTION,
    Portion,
    Portions,
    generate_each,
    read_many,
    read_others,
    write_each,
    write_many,
)
from starloom.io.observed import Observation, read_each, read_list, read_observed

__all__ = [
    "HDF5",
    "MANY",
    "PORTION",
    "LabelTable",
    "Observation",
    "Portion",
    "Portions",
    "generate_each",
    "read_each",
    "read_labels",
    "read_list",
    "read_many",
    "read_observed",
    "read_others",
    "write_each",
    "write_many",
]
