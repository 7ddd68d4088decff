"""A spectrum as FITS: the binary tables SPECTRUM and LABELS, both with units and checksums.

Each label is a column of its name. FITS takes no notice of case in names of columns; no two names in
``labels.LABELS`` differ in case alone.
"""

import json
import sys
import warnings
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from starloom import __version__
from starloom.errors import ConfigError
from starloom.files import parsing
from starloom.labels import Label, label

# FITS standard 4.0, table 27: names of the spectral reference frames
SPECSYS = {
    "rest": "SOURCE",
    "barycentric": "BARYCENT",
    "heliocentric": "HELIOCEN",
    "topocentric": "TOPOCENT",
}
FRAMES_BY_KEYWORD = {standard: frame for frame, standard in SPECSYS.items()}
DAMAGE = (ValueError, TypeError, KeyError, IndexError, EOFError, fits.VerifyError, AstropyWarning)


def write(path: Path, parts: dict) -> None:
    """Write the parts of a Spectrum."""
    unit = _fits_unit(parts["flux_unit"])
    columns = [
        fits.Column("wavelength", "D", unit="Angstrom", array=parts["wavelength"]),
        fits.Column("flux", "D", unit=unit, array=parts["flux"]),
    ]
    if parts["error"] is not None:
        columns.append(fits.Column("error", "D", unit=unit, array=parts["error"]))
    if parts["mask"] is not None:
        columns.append(fits.Column("mask", "L", array=parts["mask"]))
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    table.header["MEDIUM"] = (parts["medium"], "wavelengths are in air or in vacuum")
    table.header["SPECSYS"] = (SPECSYS[parts["frame"]], "frame of the wavelengths")
    table.header["CREATOR"] = (f"starloom {__version__}", "program that wrote this file")
    table.header["NLABELS"] = (len(parts["labels"]), "columns of the table LABELS")
    table.header["PROVENAN"] = json.dumps(parts["provenance"])
    tables = [fits.PrimaryHDU(), table]
    if parts["labels"]:
        tables.append(_labels_table(parts["labels"]))
    content = BytesIO()  # astropy would not say why a file cannot be written
    fits.HDUList(tables).writeto(content, checksum=True)
    path.write_bytes(content.getvalue())
    if "specutils" in sys.modules:
        import_module("starloom.spectrum.specutils").register()


def _labels_table(labels) -> fits.BinTableHDU:
    """One row, a column per label: a header's floating-point number would lose digits."""
    columns = [label_column(label(name), np.array([value])) for name, value in labels.items()]
    table = fits.BinTableHDU.from_columns(columns, name="LABELS")
    for number, name in enumerate(labels, start=1):
        table.header.comments[f"TTYPE{number}"] = label(name).description[:45]
    return table


def label_column(label: Label, values: np.ndarray) -> fits.Column:
    """A column of a label's values, with its unit where the FITS standard has it: there is no dex."""
    return fits.Column(label.name, "D", unit=None if label.unit in ("", "dex") else label.unit, array=values)


def _fits_unit(unit: str) -> str | None:
    if not unit:
        return None
    try:
        return units.Unit(unit).to_string("fits")
    except ValueError as error:
        raise ConfigError(f"the flux unit {unit} cannot be written to FITS: {error}") from error


def read(path: Path) -> dict:
    """Parts of the Spectrum in ``path``; ParseError where it is damaged (a checksum fails) or lacks one."""
    with parsing(path, *DAMAGE), warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)  # truncation and wrong checksums are only warnings
        with fits.open(BytesIO(path.read_bytes()), checksum=True) as tables:
            return _parts(tables)


def _parts(tables: fits.HDUList) -> dict:
    if "SPECTRUM" not in tables:
        many = "FLUX" in tables and "WAVELENGTH" in tables
        raise ValueError("no table SPECTRUM" + many * ": it holds many spectra, for Spectra.read")
    table = tables["SPECTRUM"]
    names = [name for name in ("wavelength", "flux", "error", "mask") if name in table.columns.names]
    unit = table.columns["flux"].unit
    labels = tables["LABELS"] if table.header["NLABELS"] else None
    return {name: table.data[name] for name in names} | {
        "flux_unit": units.Unit(unit, format="fits").to_string() if unit else "",
        "medium": table.header["MEDIUM"],
        "frame": FRAMES_BY_KEYWORD.get(table.header["SPECSYS"], table.header["SPECSYS"]),
        "labels": {name: labels.data[name][0] for name in labels.columns.names} if labels else None,
        "provenance": json.loads(table.header["PROVENAN"]),
    }
