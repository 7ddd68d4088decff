"""How other grids lay out their files, and the reading of one: wavelength, flux, continuum if it has one.

Where a grid's authors say whether wavelengths are in air or vacuum, its layout says so; elsewhere the user
must. The columns of each layout may be given anew, since grids have changed them between releases.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starloom.errors import ConfigError, ParseError
from starloom.files import parsing
from starloom.spectrum.axis import angstroms, image_wavelengths

MEDIA = ("air", "vacuum")
NORMALISATIONS = ("none", "continuum", "envelope")
# SYNSPEC and TLUSTY's grids have the continuum in a file of its own, at its own few wavelengths
CONTINUUM_SUFFIXES = {".7": ".17", ".spec": ".cont"}
PHOENIX_WAVELENGTHS = "WAVE_PHOENIX-ACES-AGSS-COND-2011.fits"


@dataclass(frozen=True, eq=False)
class Raw:
    """What a file holds: wavelength [Angstrom] in the file's own medium, flux and perhaps continuum."""

    wavelength_aa: np.ndarray
    flux: np.ndarray
    continuum: np.ndarray | None = None


@dataclass(frozen=True)
class Layout:
    """How files are read, their columns (wavelength, flux[, continuum]), and what must be done with the flux.

    ``medium`` is "air", "vacuum", or None where the user has to say; ``normalise`` one of ``NORMALISATIONS``.
    """

    read: Callable[[Path, tuple], Raw]
    columns: tuple
    medium: str | None
    normalise: str
    description: str


def read_ascii(path: Path, columns: tuple[int, ...]) -> Raw:
    """Columns of numbers, counted from 1; lines that begin with # or hold words are skipped at the top only.

    Fortran's numbers are read too: 1.5D+03, and 1.5-103 where the exponent left no room for its letter.
    """
    with parsing(path, UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").splitlines()
    rows, begun = [], False
    for number, line in enumerate(lines, start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            rows.append([_fortran_number(words[column - 1]) for column in columns])
            begun = True
        except (ValueError, IndexError) as error:
            if begun:
                raise ParseError(
                    f"{path}, line {number}: no columns {columns} of numbers: {line[:60]!r}"
                ) from error
    if not rows:
        raise ParseError(f"{path}: no line with numbers in columns {columns}")
    return Raw(*np.array(rows).T)


def read_synspec(path: Path, columns: tuple[int, ...]) -> Raw:
    """SYNSPEC's two columns, and the continuum from the file beside it (.17 to .7, .cont to .spec)."""
    raw = read_ascii(path, columns)
    suffix = CONTINUUM_SUFFIXES.get(path.suffix)
    beside = path.with_suffix(suffix) if suffix else None
    if beside is None or not beside.exists():
        raise ParseError(
            f"{path}: no continuum beside it ({beside.name if beside else 'suffix is not .7 or .spec'})"
        )
    coarse = read_ascii(beside, (1, 2))
    return Raw(raw.wavelength_aa, raw.flux, np.interp(raw.wavelength_aa, coarse.wavelength_aa, coarse.flux))


def read_phoenix(path: Path, columns: tuple) -> Raw:
    """Flux in the first image; the wavelengths of all files in one, in the same folder or the one above."""
    for folder in (path.parent, path.parent.parent):
        if (folder / PHOENIX_WAVELENGTHS).exists():
            return Raw(_image(folder / PHOENIX_WAVELENGTHS)[0], _image(path)[0])
    raise ParseError(f"{path}: {PHOENIX_WAVELENGTHS} is neither beside it nor one folder above")


def read_fits_image(path: Path, columns: tuple) -> Raw:
    """Flux in the first image, wavelengths from its header: see ``image_wavelengths``."""
    flux, header = _image(path)
    with parsing(path, ConfigError):
        return Raw(image_wavelengths(header, flux.size), flux)


def read_fits_table(path: Path, columns: tuple[str, ...]) -> Raw:
    """Named columns, any case, of the first table; a wavelength column's unit is used where it has one."""
    from astropy.io import fits

    with parsing(path, OSError, ValueError, TypeError), fits.open(path) as hdus:
        table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)), None)
        if table is None:
            raise ParseError(f"{path}: no table in it")
        found = {name.lower(): name for name in table.columns.names}
        if missing := [name for name in columns if name.lower() not in found]:
            raise ParseError(f"{path}: no column {', '.join(missing)}, only {', '.join(table.columns.names)}")
        values = [np.ravel(np.array(table.data[found[name.lower()]], dtype=float)) for name in columns]
        unit = table.columns[found[columns[0].lower()]].unit or "Angstrom"
    with parsing(path, ConfigError):
        return Raw(values[0] * angstroms(unit), *values[1:])


LAYOUTS = {
    "pollux": Layout(
        read_ascii, (1, 3), None, "none", "POLLUX (Palacios et al. 2010): wavelength, flux, normalised"
    ),
    "ambre": Layout(
        read_ascii, (1, 2), "air", "none", "AMBRE (de Laverny et al. 2012): wavelength, normalised, flux"
    ),
    "phoenix": Layout(
        read_phoenix, (), "vacuum", "envelope", "PHOENIX (Husser et al. 2013): one file of wavelengths"
    ),
    "synspec": Layout(
        read_synspec, (1, 2), "air", "continuum", "SYNSPEC or TLUSTY: .7 with .17, or .spec with .cont"
    ),
    "ascii": Layout(
        read_ascii, (1, 2), None, "none", "any columns of numbers: wavelength, flux[, continuum]"
    ),
    "fits-table": Layout(
        read_fits_table, ("wavelength", "flux"), None, "none", "a FITS table with named columns"
    ),
    "fits-image": Layout(read_fits_image, (), None, "none", "a FITS image with wavelengths in its header"),
}


def layout(name: str) -> Layout:
    """The layout of this name; ``ConfigError`` names those that exist."""
    if name not in LAYOUTS:
        raise ConfigError(f"layout = {name!r} is none of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def _fortran_number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float(re.sub(r"(?<=[0-9.])[dD]?([+-]\d+)$", r"e\1", word))


def _image(path: Path):
    from astropy.io import fits

    with parsing(path, OSError, ValueError, TypeError), fits.open(path) as hdus:
        image = next((hdu for hdu in hdus if hdu.data is not None and hdu.is_image), None)
        if image is None or np.squeeze(image.data).ndim != 1:
            raise ParseError(f"{path}: no spectrum of one dimension in it")
        return np.squeeze(image.data).astype(float), image.header.copy()
