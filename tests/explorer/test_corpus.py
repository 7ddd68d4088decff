"""A corpus of small files as people have them, good and damaged, through Python, the command and the page.

All three give the same verdict, and of a good file the same numbers. The page differs by intention, each
time in one line: it leaves VOTable, HDF5, columns of variable length, FITS tables of text and arrays
without wavelengths to the command, wants 20 points in the model's range, draws the first of many spectra,
and takes the likeliest unit and medium where nobody tells them.
"""

import gzip
import io
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.units import UnitsWarning
from typer.testing import CliRunner

from starloom import Generator, Spectrum
from starloom.cli import app
from starloom.errors import ConfigError, StarloomError
from starloom.io import read_each, read_observed
from starloom.io.formats import gaia, table

PIXELS = 400
WAVELENGTH = 8460 + 0.6 * np.arange(PIXELS)
ERROR = np.full(PIXELS, 0.01)
FREE = 8  # of a fit: five labels, the velocity, scale and slope
LABELS = [5500.0, 4.3, 8.0, -0.2, 1.2, 11500.0]
PLAIN = {"unit": "Angstrom", "medium": "air", "frame": "rest"}
IMAGE = {"CRVAL1": 8460.0, "CDELT1": 0.6, "CRPIX1": 1.0, "CTYPE1": "LINEAR"}


def star(wavelength_aa, medium="air") -> np.ndarray:
    """The flux that is in all files."""
    return (
        Generator.load("default-2026-lte").spectrum(LABELS, wavelength_aa=wavelength_aa, medium=medium).flux
    )


FLUX = star(WAVELENGTH)


@dataclass(frozen=True, eq=False)
class Case:
    """A file, what a caller must say of it, and what is then in it."""

    content: bytes
    given: dict = field(default_factory=dict)  # besides PLAIN; None: the file tells it
    medium: str = "air"
    bad: tuple[int, ...] = ()
    wavelength: np.ndarray = field(default_factory=lambda: WAVELENGTH)
    flux: np.ndarray = field(default_factory=lambda: FLUX)
    error: np.ndarray | None = None
    rtol: float = 1e-13

    @property
    def options(self) -> dict:
        """What is said of it."""
        return {name: value for name, value in (PLAIN | self.given).items() if value is not None}


def columns(**change) -> dict[str, np.ndarray]:
    return {"wavelength": WAVELENGTH, "flux": FLUX} | change


def lines(delimiter=",", spell=repr, **change) -> list[str]:
    return [
        delimiter.join(map(spell, row)) for row in zip(*map(list, columns(**change).values()), strict=True)
    ]


def text(header="", delimiter=",", end="\n", code="utf-8", spell=repr, **change) -> bytes:
    rows = ([header] if header else []) + lines(delimiter, lambda v: spell(float(v)), **change)
    return (end.join(rows) + end).encode(code)


def fits_file(*extensions) -> bytes:
    """Behind a primary unit without data where the first is no such unit."""
    first = [] if isinstance(extensions[0], fits.PrimaryHDU) else [fits.PrimaryHDU()]
    stream = io.BytesIO()
    fits.HDUList([*first, *extensions]).writeto(stream)
    return stream.getvalue()


def fits_table(header=(), units=("Angstrom",), kind=np.float64, **change) -> fits.BinTableHDU:
    made = Table({name: np.asarray(values).astype(kind) for name, values in columns(**change).items()})
    for name, unit in zip(made.colnames, units, strict=False):
        made[name].unit = unit
    hdu = fits.table_to_hdu(made)
    hdu.header.update(dict(header))
    return hdu


def image(data=FLUX, kind=fits.PrimaryHDU, **header):
    hdu = kind(np.asarray(data))
    hdu.header.update({name: value for name, value in (IMAGE | header).items() if value is not None})
    return hdu


def own(suffix, folder, **change) -> bytes:
    made = Spectrum(**columns(error=ERROR) | change, medium="air", frame="rest", labels={"resolution": 11500})
    made.write(folder / f"own{suffix}", overwrite=True)
    return (folder / f"own{suffix}").read_bytes()


def astropy_text(form, units=("Angstrom",), meta=(), **change) -> bytes:
    made = Table(columns(**change), meta=dict(meta))
    for name, unit in zip(made.colnames, units, strict=False):
        made[name].unit = unit
    stream = io.StringIO()
    made.write(stream, **form)
    return stream.getvalue().encode()


def comma(value) -> str:
    return repr(value).replace(".", ",")


def fortran(value) -> str:
    return f"{value:.16e}".replace("e", "D")


def changed(array, **at) -> np.ndarray:
    array = array.copy()
    for place, value in at.items():
        array[int(place[1:])] = value
    return array


def damaged_card() -> bytes:
    """A card without a value that could be read, as IRAF left it in the spectra of STELIB."""
    content = fits_file(image(APNUM1="x" * 8, BUNIT="erg /s /cm2 /angstroms"))
    return content.replace(b"APNUM1  = 'xxxxxxxx'", b"APNUM1  = 1 0       ")


def good_text() -> dict[str, Case]:
    """Text that people have, with what must be said of it."""
    spoilt = changed(FLUX, _3=np.inf, _7=np.nan, _9=-np.inf)
    errors = changed(ERROR, _3=0.0, _5=-1.0, _9=np.inf, _11=np.nan)
    seen = Case(text("wavelength,flux,error", error=ERROR), error=ERROR)
    told, nm = {"unit": None}, {"wavelength": WAVELENGTH / 10}
    vacuum = {"medium": None}
    latin = "# in Å\nwavelength [Å],flux"
    masked = np.isin(np.arange(PIXELS), [2, 3])
    rows = lines(spell=lambda v: repr(float(v)))
    return {
        "named.csv": seen,
        "unit.csv": Case(text("wavelength [Angstrom],flux,flux_err", error=ERROR), told, error=ERROR),
        "nm.csv": Case(text("wavelength [nm],flux", **nm), {"unit": None, "medium": "vacuum"}, "vacuum"),
        "um.csv": Case(text("wavelength [um],flux", wavelength=WAVELENGTH / 1e4), told),
        "nm_in_name.csv": Case(text("lambda_nm,flux", **nm), {"unit": None, "medium": "vacuum"}, "vacuum"),
        "nm_behind.csv": Case(text("wavelength nm,flux", **nm), {"unit": None, "medium": "vacuum"}, "vacuum"),
        "microns.csv": Case(text("wave (Microns),flux", wavelength=WAVELENGTH / 1e4), told),
        "semicolon.csv": Case(text("wave_A;flux;sigma", ";", error=ERROR), told, error=ERROR),
        "spaces.txt": Case(text("wavelength flux error", "   ", error=ERROR), error=ERROR),
        "indented.txt": Case(text("  wave  flux", "  ").replace(b"\n8", b"\n   8")),
        "bare3.txt": Case(text("", " ", error=ERROR), error=ERROR),
        "bare2.txt": Case(text("", "  ")),
        "bare.csv": Case(text("")),
        "tabs.txt": Case(text("", "\t")),
        "bars.txt": Case(text("wavelength|flux", "|")),
        "lamb_air.txt": Case(text("lamb_air, flux"), vacuum),
        "waveobs.txt": Case(
            text("waveobs\tflux\terr", "\t", **nm, error=ERROR),
            {"unit": "nm", "medium": "vacuum"},
            "vacuum",
            error=ERROR,
        ),
        "wave_vac.txt": Case(text("wave_vac flux", " "), vacuum, "vacuum"),
        "vacuum_before.csv": Case(text("vacuum wavelength,flux"), vacuum, "vacuum"),
        "in_brackets.csv": Case(text("wavelength (air),normalized flux"), vacuum),
        "greek.csv": Case(text("λ,flux")),
        "capitals.csv": Case(text("WAVE,FLUX,ERR", error=ERROR), error=ERROR),
        "comment_names.txt": Case(text("# a star\n# wave(A) flux err", " ", error=ERROR), told, error=ERROR),
        "comment_medium.txt": Case(text("# medium = vacuum\nwave flux", " "), vacuum, "vacuum"),
        "comment_frame.txt": Case(
            text("# frame: rest\n! medium: air\nwave flux", " "), {"medium": None, "frame": None}
        ),
        "remarks.txt": Case(b"# one\n! two\n% three\n\n" + text("wave flux", " ") + b"# end\n"),
        "slit.txt": Case(b'# flux through a slit of 1"\n' + text("", " ")),
        "with_a_quote.csv": Case(
            ("star,wave,flux\n" + "\n".join(f'5" north,{row}' for row in rows)).encode()
        ),
        "blank_lines.csv": Case(text("wavelength,flux", end="\n\n")),
        "no_last_end.csv": Case(text("wavelength,flux").rstrip()),
        "decimal_commas.csv": Case(text("wave;flux", ";", spell=comma)),
        "decimal_commas_bare.csv": Case(text("", ";", spell=comma)),
        "decimal_commas_tabs.txt": Case(text("wave\tflux", "\t", spell=comma)),
        "decimal_commas_spaces.txt": Case(text("", " ", spell=comma)),
        "fortran.txt": Case(text("", "  ", spell=fortran)),
        "fortran_named.txt": Case(text("wave flux", "  ", spell=fortran)),
        "no_letter.txt": Case(text("wave flux", " ", spell=lambda v: f"{v!r}+000")),
        "signs.csv": Case(text("wave,flux", spell=lambda v: f"+{v!r}")),
        "quoted.csv": Case(text('"wavelength","flux"', spell=lambda v: f'"{v!r}"')),
        "quoted_names.csv": Case(text('"wavelength" , "flux"')),
        "after_commas.csv": Case(text("wavelength, flux", ", ")),
        "windows.csv": Case(text("wavelength,flux", end="\r\n")),
        "old_mac.csv": Case(text("wavelength,flux", end="\r")),
        "marked.csv": Case(text("wavelength,flux", code="utf-8-sig")),
        "utf16.csv": Case(text("wavelength,flux", code="utf-16")),
        "utf16_other.csv": Case("\ufeff".encode("utf-16-be") + text("wavelength,flux", code="utf-16-be")),
        "latin.csv": Case(text(latin, code="latin-1"), told),
        "utf8.csv": Case(text(latin), told),
        "packed.csv.gz": Case(gzip.compress(seen.content), error=ERROR),
        "endless.txt": Case(text("wave flux", " ", flux=spoilt), bad=(3, 7, 9), flux=spoilt),
        "missing.csv": Case(
            text("wave,flux", flux=changed(FLUX, _1=np.nan, _2=np.nan))
            .replace(b"nan", b"", 1)
            .replace(b"nan", b"null", 1),
            bad=(1, 2),
        ),
        "no_errors_here.csv": Case(text("wave,flux,err", error=errors), bad=(3, 5, 9, 11), error=errors),
        "ivar.csv": Case(
            text("wave,flux,ivar", ivar=changed(ERROR**-2, _4=0.0, _6=-1.0)), bad=(4, 6), error=ERROR
        ),
        "mask.csv": Case(text("wave,flux,mask", mask=masked), bad=(2, 3)),
        "mask_in_words.csv": Case(
            (
                "wave,flux,mask\n" + "\n".join(f"{row},{m}" for row, m in zip(rows, masked, strict=True))
            ).encode(),
            bad=(2, 3),
        ),
        "falling.csv": Case(text("wave,flux", wavelength=WAVELENGTH[::-1], flux=FLUX[::-1])),
        "with_a_name.csv": Case(
            ("star,wavelength,flux\n" + "\n".join(f"Sun 1,{row}" for row in rows)).encode()
        ),
        "logarithms.csv": Case(
            text("loglam,flux,ivar", wavelength=np.log10(WAVELENGTH), ivar=ERROR**-2), told, error=ERROR
        ),
        "astropy.ecsv": Case(astropy_text({"format": "ascii.ecsv"}), told),
        "commas.ecsv": Case(
            astropy_text({"format": "ascii.ecsv", "delimiter": ","}, ("nm",), **nm),
            {"unit": None, "medium": "vacuum"},
            "vacuum",
        ),
        "medium.ecsv": Case(
            astropy_text({"format": "ascii.ecsv"}, meta={"medium": "vacuum"}),
            {"unit": None, "medium": None},
            "vacuum",
        ),
        "fixed.txt": Case(astropy_text({"format": "ascii.commented_header"})),
    }


def good_fits(folder) -> dict[str, Case]:
    """FITS tables and images, and our own files."""
    told, ours = {"unit": None}, {"unit": None, "medium": None, "frame": None}
    nothing = fits.table_to_hdu(Table({"place": [1, 2], "name": ["a", "b"]}))
    errors, mask = (
        fits.ImageHDU(ERROR, name="ERROR"),
        fits.ImageHDU(np.eye(1, PIXELS, 4, dtype="u1")[0], name="MASK"),
    )
    small = FLUX.astype("f4")
    scaled = image(np.round(FLUX * 1e4).astype("i2"), BSCALE=1e-4, BZERO=0.0)
    sdss = {"wavelength": np.log10(WAVELENGTH), "ivar": ERROR**-2}
    names = ("flux", "loglam", "ivar")
    table_of = {"flux": FLUX, "loglam": sdss["wavelength"], "ivar": sdss["ivar"]}
    row = fits.table_to_hdu(Table({name: [values] for name, values in columns(error=ERROR).items()}))
    row.header["TUNIT1"] = "Angstrom"
    step = np.log10(WAVELENGTH[1] / WAVELENGTH[0])
    logarithmic = 10 ** (np.log10(8460.0) + step * np.arange(PIXELS))
    masked = fits_table(mask=np.eye(1, PIXELS, 5)[0])
    return {
        "table.fits": Case(fits_file(fits_table(error=ERROR)), told, error=ERROR),
        "table_nm.fits": Case(
            fits_file(fits_table(units=("nm",), wavelength=WAVELENGTH / 10)),
            told | {"medium": "vacuum"},
            "vacuum",
        ),
        "single.fits": Case(
            fits_file(fits_table(kind=np.float32)), told, wavelength=WAVELENGTH.astype("f4"), flux=small
        ),
        "row.fits": Case(fits_file(row), told, error=ERROR),
        "packed.fits.gz": Case(gzip.compress(fits_file(fits_table())), told),
        "loglam.fits": Case(
            fits_file(fits.table_to_hdu(Table({name: table_of[name] for name in names}))), told, error=ERROR
        ),
        "in_vacuum.fits": Case(
            fits_file(fits_table({"VACUUM": True})), {"unit": None, "medium": None}, "vacuum"
        ),
        "airorvac.fits": Case(
            fits_file(fits_table({"AIRORVAC": "vac", "SPECSYS": "BARYCENT"})), ours, "vacuum"
        ),
        "mask.fits": Case(fits_file(masked), told, bad=(5,)),
        "third.fits": Case(fits_file(nothing, fits_table()), told),
        "image.fits": Case(fits_file(image()), told),
        "image_single.fits": Case(fits_file(image(small)), told, flux=small),
        "image_in_an_extension.fits": Case(fits_file(image(kind=fits.ImageHDU)), told),
        "image_beside_a_table.fits": Case(fits_file(image(), nothing), told),
        "image_of_one_row.fits": Case(fits_file(image(FLUX[None])), told),
        "image_of_integers.fits": Case(  # which astropy scales in single precision
            fits_file(scaled), told, flux=np.round(FLUX * 1e4) * 1e-4, rtol=1e-7
        ),
        "image_with_errors.fits": Case(fits_file(image(), errors), told, error=ERROR),
        "image_with_a_mask.fits": Case(fits_file(image(), mask), told, bad=(4,)),
        "image_nm.fits": Case(
            fits_file(image(CRVAL1=846.0, CDELT1=0.06, CUNIT1="nm")), told | {"medium": "vacuum"}, "vacuum"
        ),
        "image_iraf.fits": Case(
            fits_file(image(star(logarithmic), **{"CRVAL1": np.log10(8460.0), "CDELT1": step, "DC-FLAG": 1})),
            told,
            wavelength=logarithmic,
            flux=star(logarithmic),
            rtol=1e-12,
        ),
        "image_damaged_card.fits": Case(damaged_card(), told),
        "image_vacuum.fits": Case(
            fits_file(image(CTYPE1="WAVE", AIRORVAC="vac")), ours | {"frame": "rest"}, "vacuum"
        ),
        "own.csv": Case(own(".csv", folder), ours, error=ERROR),
        "own.ecsv": Case(own(".ecsv", folder), ours, error=ERROR),
        "own.fits": Case(own(".fits", folder), ours, error=ERROR),
        "own_masked.csv": Case(own(".csv", folder, mask=np.arange(PIXELS) == 8), ours, bad=(8,), error=ERROR),
    }


def good_gaia() -> dict[str, Case]:
    """Shapes of the archive that have wavelengths."""
    wavelength = gaia.WAVELENGTH_NM
    flux = star(10 * wavelength, "vacuum").astype("f4")
    flux[:3] = np.nan
    error = np.where(np.isnan(flux), np.nan, np.float32(0.01)).astype("f4")
    found = {
        "medium": "vacuum",
        "bad": (0, 1, 2),
        "wavelength": 10 * wavelength,
        "flux": flux,
        "error": error,
    }
    made = Table({"wavelength": wavelength, "flux": flux, "flux_error": error})
    stream = io.StringIO()
    made.write(stream, format="csv")
    made["wavelength"].unit = "nm"
    ours = {"unit": None, "medium": None, "frame": None}
    rows = stream.getvalue().replace("nan", "").splitlines()
    sourced = "\n".join(["source_id," + rows[0], *(f"4295806720,{row}" for row in rows[1:])])
    return {
        "gaia.csv": Case(stream.getvalue().encode(), ours, **found),
        "gaia_sources.csv": Case(sourced.encode(), ours, **found),
        "gaia.fits": Case(fits_file(fits.table_to_hdu(made)), ours, **found),
    }


def good_names() -> dict[str, Case]:
    """A file for every name that a column may have."""
    cases = {}
    for name in table.WAVELENGTHS[:-1]:
        told = "vac" in name or "air" in name
        medium = "vacuum" if "vac" in name else "air"
        log = name in table.LOGARITHMS
        content = text(f"{name},flux", wavelength=np.log10(WAVELENGTH) if log else WAVELENGTH)
        given = {"medium": None} if told else {}
        cases[f"name_{name}.csv"] = Case(content, given | ({"unit": None} if log else {}), medium)
    for name in table.FLUXES[:-1]:
        cases[f"flux_{name}.csv"] = Case(text(f"wavelength,{name}"))
    for name in table.ERRORS[:-1]:
        cases[f"error_{name}.csv"] = Case(text(f"wavelength,flux,{name}", error=ERROR), error=ERROR)
    for name in table.IVARS:
        cases[f"ivar_{name}.csv"] = Case(text(f"wavelength,flux,{name}", ivar=ERROR**-2), error=ERROR)
    return cases


def cut(content: bytes, name: str, parts: int) -> dict[str, bytes]:
    """Beginnings of a file."""
    stem, suffix = name.split(".", 1)
    ends = np.linspace(0.03, 0.97, parts) * len(content)
    return {f"cut{n}_{stem}.{suffix}": content[: int(end)] for n, end in enumerate(ends)}


def damaged_text() -> dict[str, bytes]:
    """Text with one fault in a row, in its names, or in what it means."""
    whole = text("wave,flux,err", error=ERROR).decode().splitlines()
    cells = {
        "word": "{0},deep,{2}",
        "no_wave": "here,{1},{2}",
        "one_less": "{0},{1}",
        "one_more": "{0},{1},{2},4",
        "two_marks": "{0},,{1},{2}",
        "inner_quote": '{0},"{1}",{2}"x"y"',
        "open_quote": '{0},"{1},{2}',
        "nul": "{0},{1}\0,{2}",
        "bell": "{0},{1},{2}\7",
        "other_mark": "{0};{1};{2}",
        "hexadecimal": "{0},0x10,{2}",
        "thousands": "8_500,{1},{2}",
        "two_points": "{0}.1,{1},{2}",
        "two_signs": "{0},--1,{2}",
        "exponent": "{0},1e,{2}",
        "units": "{0} A,{1},{2}",
        "no_error": "{0},{1},bad",
        "empty_wave": ",{1},{2}",
        "nan_wave": "nan,{1},{2}",
        "endless_wave": "inf,{1},{2}",
        "zero_wave": "0,{1},{2}",
        "negative_wave": "-{0},{1},{2}",
        "low_wave": "5000,{1},{2}",
    }
    found = {}
    for name, form in cells.items():
        for place in (2, 200, 399):
            rows = list(whole)
            rows[place] = form.format(*rows[place].split(","))
            found[f"{name}_{place}.csv"] = "\n".join(rows).encode() + b"\n"
    body = "\n".join(lines(spell=lambda v: repr(float(v))))
    four = text("", " ", error=ERROR, more=ERROR)
    headers = {
        "no_flux": "wave,magnitude",
        "no_wave": "time,flux",
        "neither": "time,magnitude",
        "twice": "flux,flux",
        "twice_with_units": "wave [nm],wave [A]",
        "one_name": "wave",
        "three_names": "wave,flux,err",
        "pixels": "wave [pix],flux",
        "seconds": "wave [s],flux",
        "hertz": "wave [Hz],flux",
        "kelvin": "wave (K),flux",
    }
    found |= {f"names_{name}.csv": f"{header}\n{body}\n".encode() for name, header in headers.items()}
    waves = {
        "equal": np.full(PIXELS, 8500.0),
        "zigzag": np.tile([8500.0, 8501.0], PIXELS // 2),
        "twice": np.repeat(WAVELENGTH[::2], 2),
        "two_arms": np.r_[WAVELENGTH[:200], WAVELENGTH[:200]],
        "padded": np.r_[WAVELENGTH[:-3], 0, 0, 0],
        "nanometres": WAVELENGTH / 10,  # under the name of Angstrom
        "far": WAVELENGTH + 20000,
    }
    found |= {f"waves_{name}.csv": text("wave [A],flux", wavelength=values) for name, values in waves.items()}
    found["waves_no_logarithms.csv"] = text("loglam,flux")
    for name, value in (("nan", np.nan), ("inf", np.inf), ("zero", 0.0), ("empty", np.nan)):
        found[f"flux_{name}.csv"] = text("wave,flux", flux=np.full(PIXELS, value))
        found[f"error_{name}.csv"] = text("wave,flux,err", error=np.full(PIXELS, value))
    found["error_negative.csv"] = text("wave,flux,err", error=-ERROR)
    found["ivar_zero.csv"] = text("wave,flux,ivar", ivar=np.zeros(PIXELS))
    found["mask_all.csv"] = text("wave,flux,mask", mask=np.ones(PIXELS))
    found["mask_word.csv"] = text("wave,flux,mask", mask=np.ones(PIXELS)).replace(b"1.0\n", b"maybe\n")
    return found | {
        "empty.csv": b"",
        "blank.csv": b" \n\n\t\n",
        "comments.csv": b"# wave flux\n# nothing\n",
        "names_alone.csv": b"wavelength,flux\n",
        "four_columns.txt": four,
        "one_column.txt": b"\n".join(line.split(b",")[0] for line in text("").splitlines()),
        "no_end_utf16.csv": text("wave,flux", code="utf-16")[:-1],
        "utf16_without_mark.csv": text("wave,flux", code="utf-16-le"),
        "utf32.csv": text("wave,flux", code="utf-32"),
        "spaces_in_numbers.csv": text("wave,flux").replace(b".", b". "),
        "thousands_in_quotes.csv": text("wave,flux").replace(b"8", b'"8,').replace(b".", b'".'),
    }


def damaged_others(folder) -> dict[str, bytes]:
    """What is no spectrum, or no spectrum any more, and FITS that says what cannot be."""
    seen = fits_file(fits_table(error=ERROR))
    found = {"picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100)}
    for name, start in (
        ("photograph.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("paper.pdf", b"%PDF-1.7\n\xe2\xe3\xcf\xd3\n\0\0"),
        ("archive.zip", b"PK\x03\x04\x14\0"),
        ("array.npy", b"\x93NUMPY\x01\0v\0{'descr': '<f8'}"),
        ("columns.parquet", b"PAR1\x15\x04\x15\0"),
        ("other.h5", b"\x89HDF\r\n\x1a\n\0\0"),
        ("program", b"\x7fELF\x02\x01\x01\0"),
        ("packed.gz", b"\x1f\x8b\x08\0cut"),
    ):
        found[name] = start + bytes(range(256))
    for name, content in (
        ("page.html", "<html><body>Not found</body></html>"),
        ("facts.json", '{"wavelength": [8500, 8501], "flux": [1, 1]}'),
        ("table.tex", "\\begin{tabular}{cc}\n8500 & 1 \\\\\n\\end{tabular}"),
        ("readme.md", "# Spectra\n\nHere are some spectra.\n"),
        ("recipe.toml", "name = 'star'\n[plan]\nepochs = 3\n"),
        ("star.xml", "<?xml version='1.0'?><VOTABLE><RESOURCE>"),
    ):
        found[name] = content.encode()
    found |= cut(seen, "table.fits", 9) | cut(fits_file(image()), "image.fits", 6)
    found |= cut(gzip.compress(seen), "packed.fits.gz", 5)
    found |= {
        name: part
        for suffix in (".csv", ".fits")
        for name, part in cut(own(suffix, folder), f"own{suffix}", 9).items()
    }
    found |= cut(own(".ecsv", folder), "own.ecsv", 7)
    for place in (2884, 6000, 9000, 13000, 17000):
        content = bytearray(own(".fits", folder))
        content[place] ^= 1
        found[f"flipped_{place}.fits"] = bytes(content)
    rows = own(".csv", folder).decode().splitlines(keepends=True)
    for line in range(1, 8):
        found[f"own_without_line_{line}.csv"] = "".join(rows[:line] + rows[line + 1 :]).encode()
    found["own_longer.csv"] = "".join([*rows, rows[-1].replace("8699", "8700")]).encode()
    nothing = fits.table_to_hdu(Table({"place": [1, 2], "name": ["a", "b"]}))
    cards = {
        "frequency": image(CTYPE1="FREQ"),
        "velocity": image(CTYPE1="VELO-LSR"),
        "one_order": image(CTYPE1="MULTISPE"),
        "no_wavelengths": image(CRVAL1=None, CDELT1=None),
        "no_step": image(CDELT1=None),
        "step_in_words": image(CDELT1="small"),
        "zero_step": image(CDELT1=0.0),
        "unit_of_time": image(CUNIT1="s"),
        "negative": image(CRVAL1=-8460.0),
        "flux_nan": image(np.full(PIXELS, np.nan)),
        "flux_zero": image(np.zeros(PIXELS)),
        "no_image": fits.PrimaryHDU(),
        "no_rows": fits.table_to_hdu(Table({"wavelength": np.zeros(0), "flux": np.zeros(0)})),
        "no_spectrum": nothing,
        "no_flux": fits.table_to_hdu(Table({"wavelength": WAVELENGTH})),
        "pixels": fits_table(units=("pix",)),
        "seconds": fits_table(units=("s",)),
        "nan": fits_table(wavelength=changed(WAVELENGTH, _7=np.nan)),
        "zigzag": fits_table(wavelength=np.tile([8500.0, 8501.0], PIXELS // 2)),
        "errors_zero": fits_table(error=np.zeros(PIXELS)),
        "mask_all": fits_table(mask=np.ones(PIXELS)),
        "lengths": fits.BinTableHDU.from_columns(
            [
                fits.Column("wavelength", "400D", array=[WAVELENGTH]),
                fits.Column("flux", "300D", array=[FLUX[:300]]),
            ]
        ),
        "words": fits.table_to_hdu(Table({"wavelength": WAVELENGTH, "flux": np.full(PIXELS, "one")})),
    }
    found |= {f"fits_{name}.fits": fits_file(hdu) for name, hdu in cards.items()}
    orders = image(np.stack([FLUX] * 3), CTYPE1="MULTISPE", CTYPE2="MULTISPE", CDELT1=1.0, CRVAL1=1.0)
    found["fits_orders.fits"] = fits_file(orders)
    pixel = b"CRPIX1  =                  1.0"
    found["fits_damaged_card.fits"] = fits_file(image()).replace(pixel, pixel.replace(b" 1.0", b"10 0"))
    junk = fits_file(image(), nothing)
    found["fits_cut_in_a_later_header.fits"] = junk[: -(2880 + 1440)]
    for name, old, new in (
        ("bits", b"BITPIX  =                    8", b"BITPIX  =                    7"),
        ("length", b"NAXIS2  =                  400", b"NAXIS2  =               400000"),
        ("no_axes", b"NAXIS   =                    2", b"NAXES   =                    2"),
        ("kind", b"TFORM1  = 'D       '", b"TFORM1  = 'Z       '"),
        ("fields", b"TFIELDS =                    3", b"TFIELDS =                 many"),
    ):
        before, after = seen[:2880], seen[2880:]
        assert old in after
        found[f"fits_{name}.fits"] = before + after.replace(old, new)
    return found


def one_in_a_row(values) -> np.ndarray:
    made = np.empty(1, dtype=object)
    made[0] = np.array(values)
    return made


def generated(path, count: int) -> bytes:
    """A file of many spectra, as the command writes it."""
    table = path.with_suffix(".stars.csv")
    names = ("teff", "logg", "vsini", "mh", "vmic", "resolution")
    table.write_text("\n".join([",".join(names), *[",".join(map(str, LABELS))] * count]))
    CliRunner().invoke(app, ["generate", "--from", str(table), "-o", str(path)])
    return path.read_bytes()


def elsewhere(folder) -> dict[str, tuple[bytes, dict, str]]:
    """Good files that the page does not read: what is said of them, and what the page says."""
    made = Table({name: values.astype("f8") for name, values in columns().items()})
    made["wavelength"].unit = "Angstrom"
    votable = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # Angstrom is deprecated there
        made.write(votable, format="votable")
    lengths = [
        fits.Column(
            name, "PD()", unit="Angstrom" if name == "wavelength" else None, array=one_in_a_row(values)
        )
        for name, values in columns().items()
    ]
    words = fits.TableHDU.from_columns(
        [fits.Column("wavelength", "F10.3", array=WAVELENGTH), fits.Column("flux", "E15.7", array=FLUX)]
    )
    arrays = ["[" + ",".join(map(repr, np.full(gaia.POINTS, value).tolist())) + "]" for value in (1.0, 0.01)]
    raw = f'source_id,flux,flux_error\n1,"{arrays[0]}","{arrays[1]}"\n'
    told = {"medium": "air", "frame": "rest"}
    found = {
        "table.vot": (votable.getvalue(), told, "VOTable is not read here; the command"),
        "of_lengths.fits": (fits_file(fits.BinTableHDU.from_columns(lengths)), told, "of variable length"),
        "in_words.fits": (fits_file(words), PLAIN, "in a FITS table of text, which is not read here"),
        "gaia_raw.csv": (raw.encode(), {}, "arrays in the cells of a text are not read here; the command"),
        "far.csv": (text("wave [nm],flux", wavelength=WAVELENGTH / 20), told, "the model covers 83"),
        "few.csv": (b"wave,flux\n" + b"8500,1\n8501,1\n", PLAIN, "the model covers 83"),
    }
    if find_spec("h5py"):
        found["many.h5"] = (generated(folder / "many.h5", 1), {}, "HDF5 is not read here; the command")
    return found


def test_what_the_page_leaves_to_the_command(read, tmp_path):
    """It says so in one line."""
    cases = elsewhere(tmp_path)
    for name, (content, _, _) in cases.items():
        (tmp_path / name).write_bytes(content)
    read_there = read(*(tmp_path / name for name in cases))
    for name, (_, given, words) in cases.items():
        assert words in read_there[str(tmp_path / name)].get("fault", ""), (name, read_there)
        assert read_observed(tmp_path / name, **given).flux.size > 1


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict:
    """The good files by name, and the folder that they are in."""
    folder = tmp_path_factory.mktemp("good")
    cases = good_text() | good_fits(tmp_path_factory.mktemp("own")) | good_gaia() | good_names()
    for name, case in cases.items():
        (folder / name).write_bytes(case.content)
    return {folder / name: case for name, case in cases.items()}


def compare(path, case, wavelength, flux, error):
    """With what is in a good file; NaN, or a mask, where a pixel cannot be used."""
    use = ~np.isin(np.arange(case.wavelength.size), case.bad)
    np.testing.assert_allclose(wavelength, case.wavelength, rtol=case.rtol, err_msg=path.name)
    np.testing.assert_allclose(flux[use], case.flux[use], rtol=case.rtol, err_msg=path.name)
    assert np.isnan(flux[~use]).all(), path.name
    assert (error is None) == (case.error is None), path.name
    if error is not None:
        np.testing.assert_allclose(error[use], case.error[use], rtol=1e-12, err_msg=path.name)


def check_each(cases: dict, check) -> None:
    """Check every file, and say of all what is wrong."""
    wrong = {}
    for path, case in cases.items():
        try:
            check(path, case)
        except (AssertionError, StarloomError, LookupError, ValueError) as error:
            wrong[path.name] = f"{type(error).__name__}: {error}"
    assert wrong == {}, "\n".join(f"{name}: {fault}" for name, fault in wrong.items())


def test_good_files_in_python(good):
    assert len(good) > 60

    def check(path, case):
        spectrum = read_observed(path, **case.options)
        flux = np.where(False if spectrum.mask is None else spectrum.mask, np.nan, spectrum.flux)
        compare(path, case, spectrum.wavelength, flux, spectrum.error)
        assert spectrum.medium == case.medium

    check_each(good, check)


def test_good_files_on_the_page(good, read):
    read_there = read(*good)

    def check(path, case):
        found = read_there[str(path)]
        assert "fault" not in found, found
        flux, error = (
            None if found[name] is None else np.array(found[name], float) for name in ("flux", "error")
        )
        compare(path, case, found["wavelength"], flux, error)
        assert found["medium"] == case.medium

    check_each(good, check)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("damaged")
    cases = damaged_text() | damaged_others(tmp_path_factory.mktemp("own"))
    for name, content in cases.items():
        (folder / name).write_bytes(content)
    return {folder / name: PLAIN for name in cases}


def test_damaged_files_in_python(damaged):
    assert len(damaged) >= 200

    def check(path, given):
        (found,) = read_each(path, **given)
        assert found.spectrum is None
        assert found.fault.startswith(f"{path}: ")
        assert "\n" not in found.fault
        assert len(found.fault) < len(str(path)) + 300, found.fault

    check_each(damaged, check)


def test_damaged_files_on_the_page(damaged, read):
    read_there = read(*damaged)

    def check(path, given):
        fault = read_there[str(path)].get("fault", "")
        assert fault
        assert "\n" not in fault
        assert len(fault) < 300, fault

    check_each(damaged, check)


def test_what_the_page_takes_for_likely(read, tmp_path):
    """A unit and a medium that nobody tells, and the first of many spectra: it says so; the command asks."""
    generated(tmp_path / "many.fits", 3)
    (tmp_path / "no_unit.csv").write_bytes(text("wavelength,flux"))
    (tmp_path / "no_medium.csv").write_bytes(text("wavelength [A],flux"))
    (tmp_path / "two.fits").write_bytes(fits_file(fits_table(), fits_table()))
    rows = fits.table_to_hdu(Table({name: np.tile(values, (3, 1)) for name, values in columns().items()}))
    (tmp_path / "rows.fits").write_bytes(fits_file(rows))
    asked = {
        "many.fits": ("source", {}),
        "two.fits": ("source", PLAIN),
        "rows.fits": ("source", PLAIN),
        "no_unit.csv": ("unit", {"medium": "air", "frame": "rest"}),
        "no_medium.csv": ("medium", {"frame": "rest"}),
    }
    read_there = read(*(tmp_path / name for name in asked))
    for name, (option, given) in asked.items():
        with pytest.raises(ConfigError) as caught:
            read_observed(tmp_path / name, **given)
        assert f"{option}=" in str(caught.value)
        assert f"--{option}" in caught.value.in_command
        found = read_there[str(tmp_path / name)]
        many = {
            "many.fits": ["first of 3 spectra"],
            "rows.fits": ["first of 3 spectra"],
            "two.fits": ["first of 2 spectra"],
        }
        assert found["notes"] == many.get(name, [])
        assert found["assumed"] == (name != "many.fits")


def options_of(given: dict) -> list[str]:
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def fitted_by_command(folder, paths, given) -> Table:
    """The table of results of a list, in the order of the list."""
    (folder / "list.txt").write_text("".join(f'"{path}"\n' for path in paths))
    output = folder / "fits.ecsv"
    words = [
        "fit",
        "--from",
        str(folder / "list.txt"),
        "-o",
        str(output),
        "--resolution",
        "11500",
        "--overwrite",
        "--no-vmic-prior",
        "--noise-correlation",
        "0",
        "--model",
        "default-2026-lte",
    ]
    CliRunner().invoke(app, [*words, *options_of(given)])
    return Table.read(output)


def test_good_files_by_the_command(good, tmp_path):
    """A fit finds the labels of the star that is in all of them, from every pixel that can be used."""
    pytest.importorskip("scipy")
    groups, names = defaultdict(list), good_names()
    for path, case in good.items():
        if path.name not in names:
            groups[tuple(case.options.items())].append(path)
    assert sum(map(len, groups.values())) > 60
    for given, paths in groups.items():
        found = fitted_by_command(tmp_path, paths, dict(given))
        assert list(found["name"]) == list(map(str, paths))
        assert not any(found["fault"]), list(found["fault"])
        for row, case in zip(found, map(good.get, paths), strict=True):
            # without noise the errors are the model's; the Ca II cores count less, so it is no exact fit
            np.testing.assert_allclose(row["teff"], LABELS[0], atol=5.0, err_msg=row["name"])
            np.testing.assert_allclose(row["logg"], LABELS[1], atol=0.05, err_msg=row["name"])
            assert row["dof"] == case.wavelength.size - len(case.bad) - FREE, row["name"]


def test_damaged_files_by_the_command(damaged, tmp_path):
    """A row for each with the reason, in the command's own words; alone the same in one line."""
    pytest.importorskip("scipy")
    found = fitted_by_command(tmp_path, damaged, PLAIN)
    for path, fault in zip(damaged, found["fault"], strict=True):
        (seen,) = read_each(path, **PLAIN)
        assert fault == seen.error.in_command
        assert "columns=" not in fault
    for name in ("names_neither.csv", "cut3_table.fits", "four_columns.txt"):
        path = next(path for path in damaged if path.name == name)
        result = CliRunner().invoke(app, ["fit", str(path), *options_of(PLAIN)])
        (seen,) = read_each(path, **PLAIN)
        assert str(result.exception) == str(seen.error)


def mutants(cases: dict, count: int) -> dict:
    """Good texts with a character exchanged, taken out or put in, or a line twice or no more."""
    rng = np.random.default_rng([16, 1])
    names = [
        path for path in cases if path.suffix not in (".gz", ".fits", ".ecsv") and "own" not in path.name
    ]
    letters = np.frombuffer(b"0123456789.,;:-+eEdD \t\n\r\"'#!%|/abcxyz_[](){}\0\xff\xe9NnAaIi", "u1")
    made = {}
    for number in range(count):
        path = names[rng.integers(len(names))]
        content, kind = bytearray(cases[path].content), rng.integers(5)
        place = int(rng.integers(min(len(content), 300 if rng.random() < 0.4 else len(content))))
        letter = bytes([rng.choice(letters)])
        if kind < 3:
            content[place : place + (kind < 2)] = letter if kind else b""
        else:
            rows = bytes(content).split(b"\n")
            row = int(rng.integers(min(len(rows), 12)))
            rows[row : row + 1] = [rows[row]] * (2 if kind == 3 else 0)
            content = b"\n".join(rows)
        made[f"{number}_{path.name}"] = (bytes(content), cases[path])
    return made


def test_the_same_verdict_on_whatever_text(good, read, tmp_path):
    """But where nobody tells what the page takes for likely, and for what has too few points for it."""
    made = mutants(good, 300)
    for name, (content, _) in made.items():
        (tmp_path / name).write_bytes(content)
    read_there, verdicts = read(*(tmp_path / name for name in made)), []
    for name, (_, case) in made.items():
        found = read_there[str(tmp_path / name)]
        (seen, *more) = read_each(tmp_path / name, **case.options)
        verdicts.append(not seen.fault)
        if seen.fault:
            assert "does not tell its" in seen.fault or more or "fault" in found, (name, seen.fault)
        elif (spectrum := seen.spectrum).flux.size >= 20 and not more:
            assert "fault" not in found, (name, found["fault"])
            flux = np.where(False if spectrum.mask is None else spectrum.mask, np.nan, spectrum.flux)
            inside = (spectrum.wavelength > 8400) & (spectrum.wavelength < 8800)
            np.testing.assert_allclose(
                np.array(found["flux"], float)[-inside.sum() :], flux[inside], rtol=1e-12
            )
    assert 60 < sum(verdicts) < 240
