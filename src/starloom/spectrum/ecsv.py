"""A spectrum as ECSV: text columns with units under a YAML header (Astropy Proposal for Enhancement 6)."""

import warnings
from pathlib import Path

import yaml
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from starloom.files import parsing

META = ("medium", "frame", "labels", "provenance")
DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    yaml.YAMLError,
    AstropyWarning,
    UserWarning,
)


def write(path: Path, parts: dict) -> None:
    """Write the parts of a Spectrum."""
    whole = table(parts)
    whole.meta["pixels"] = len(whole)
    whole.write(path, format="ascii.ecsv", overwrite=True)


def table(parts: dict) -> Table:
    """The parts of a Spectrum as a table."""
    table = Table({"wavelength": parts["wavelength"], "flux": parts["flux"]}, meta={})
    for name in ("error", "mask"):
        if parts[name] is not None:
            table[name] = parts[name]
    table["wavelength"].unit = "Angstrom"
    for name in ("flux", "error"):
        if name in table.colnames:
            table[name].unit = parts["flux_unit"] or None
    table.meta = {name: parts[name] for name in META}
    return table


def read(path: Path) -> dict:
    """Parts of the Spectrum in ``path``; ParseError where it is damaged or lacks one."""
    with parsing(path, *DAMAGE), warnings.catch_warnings():
        for doubt in (AstropyWarning, UserWarning):
            warnings.simplefilter("error", doubt)
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("cut off in the middle of a line, or empty")
        table = Table.read(path, format="ascii.ecsv")
        needed = [name for name in ("wavelength", "flux") if name not in table.colnames]
        if missing := needed + [name for name in (*META, "pixels") if name not in table.meta]:
            raise ValueError(f"{missing[0]} is missing")
        if table.meta["pixels"] != len(table):
            raise ValueError(f"cut off: {len(table)} rows, its header says {table.meta['pixels']}")
        parts = {name: table.meta[name] for name in META}
        parts |= {name: table[name].data for name in ("error", "mask") if name in table.colnames}
        unit = table["flux"].unit
        return parts | {
            "wavelength": table["wavelength"].data,
            "flux": table["flux"].data,
            "flux_unit": "" if unit is None else unit.to_string(),
        }
