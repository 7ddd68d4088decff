"""Tables as files hold them: FITS, VOTable, ECSV and plain text, told by their content, not by their name."""

import codecs
import csv
import gzip
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from io import BufferedReader, BytesIO, RawIOBase
from itertools import repeat
from pathlib import Path
from typing import IO, Any

import numpy as np

from starloom.arrays import one_line
from starloom.errors import ConfigError, ParseError
from starloom.files import parsing
from starloom.spectrum.axis import image_wavelengths, is_of_wavelengths

DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, SyntaxError, Warning)
ZIP, GZIP, HDF5, PARQUET = b"PK\x03\x04", b"\x1f\x8b", b"\x89HDF", b"PAR1"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HEAD = 2**16  # bytes by which files are told apart
MOST_PIXELS = 2_500_000  # of a spectrum: R = 1 000 000 from 3000 to 10 000 A, two pixels in a width
NARROW = 4  # columns of a table that are read together
COMMENT = "#!%"  # a line that begins with one of these is none of the table's
MISSING = {"", "null", "none", "na", "n/a", "--"}  # cells that hold no number
UNIT_BEHIND = re.compile(r"^(.+?)\s*[\[(](?!air|vac)(.*)[\])]$", re.IGNORECASE)  # wavelength [nm]
UNIT_IN_NAME = re.compile(r"^((?:wa?v|wl|lam).*)[_ ](aa|a|angstroms?|nm|um)$", re.IGNORECASE)  # wave_nm
NO_ROW = re.compile(r"^[#!%\s]", re.MULTILINE)  # how lines begin that may be none of the rows
PLAIN = {",": '" \t', ";": '" \t,', "|": '" \t,', "\t": '" ,'}  # what is no part of plain cells
LINE_END = re.compile(r"\r\n|\n|\r")
NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f]")  # characters that are in no table
SAID = re.compile(r"""^([a-z]\w*)\s*[:=]\s*["']?(.*?)["']?$""", re.IGNORECASE)  # a comment: medium = air
FORTRAN = re.compile(r"([+-]?\d*\.\d*|[+-]?\d+(?=[dD]))(?:[dD]|(?=[+-]\d{3}$))([+-]?\d+)")  # 1.5D+03, 1.5-103
DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?([eEdD][+-]?\d+)?")
ARRAY_MARKS = str.maketrans("", "", "[](){}\"'")


@dataclass(frozen=True, eq=False)
class Columns:
    """A table's columns and their units by name, and what its header says by keyword.

    ``cells[name]`` is an array (numbers, or a row of numbers in each) or a list of texts, whose lines in the
    file are ``lines``. Of a table that is too long to be held they are those of its first piece, and ``rest``
    reads the others; ``first`` counts the rows before a piece.
    """

    cells: Mapping[str, Sequence]
    units: Mapping[str, str]
    about: Mapping[str, Any]
    lines: Sequence[int] = ()
    first: int = 0
    rest: "Callable[[], Iterator[Columns]] | None" = None

    __repr__ = one_line

    def __len__(self) -> int:
        return len(next(iter(self.cells.values()), ()))

    def part(self, rows: slice) -> "Columns":
        """Some of the rows of the piece, from one of them on."""
        cells, first = {n: c[rows] for n, c in self.cells.items()}, self.first + (rows.start or 0)
        return replace(self, cells=cells, lines=self.lines[rows], first=first, rest=None)

    @property
    def beginning(self) -> "Columns":
        """The first piece alone."""
        return self if self.rest is None else replace(self, rest=None)

    def pieces(self) -> "Iterator[Columns]":
        """All rows, a piece after the other; of most tables there is one."""
        yield self.beginning
        if self.rest is not None:
            yield from self.rest()

    def followed_by(self, other: "Columns") -> "Columns":
        """The rows of a piece and of the next one."""
        cells = {name: _joined(column, other.cells[name]) for name, column in self.cells.items()}
        return replace(self, cells=cells, lines=[*self.lines, *other.lines])

    def named(self, *names: str) -> str | None:
        """The first column that has one of these names, whatever its case."""
        spelled = {name.lower(): name for name in reversed(self.cells)}
        return next((spelled[name] for name in names if name in spelled), None)

    def chosen(self, wanted: Sequence[str | int]) -> tuple[str, ...]:
        """Columns that are given by name or by number from 1; none where one of them is missing."""
        names, found = list(self.cells), []
        for one in map(str, wanted):
            place = one.isdigit() and 0 < int(one) <= len(names)
            found.append(names[int(one) - 1] if place else one if one in names else self.named(one.lower()))
        return () if None in found else tuple(found)

    def holds_arrays(self, name: str) -> bool:
        """Whether a cell of the column holds many numbers."""
        first = self.cells[name][0]
        return first.lstrip()[:1] in ("[", "(", "{") if isinstance(first, str) else np.ndim(first) > 0

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers as float64; NaN where one is missing. Raises ValueError."""
        if self.rest is not None:
            return self._of_all_pieces(name)
        if name not in self.cells:
            raise ValueError(f"no column {name}, only {', '.join(self.cells)}")
        if name not in self._read:
            self._read[name] = self._numbers_in(name)
        return self._read[name].copy()

    @cached_property
    def _read(self) -> dict[str, np.ndarray]:
        return {}

    def _numbers_in(self, name: str) -> np.ndarray:
        cells = self.cells[name]
        if not isinstance(cells, list):
            return _plain(cells, name)
        with suppress(ValueError):  # most columns hold nothing else; of others each cell is looked at
            if "_" not in "".join(cells):  # which Python takes for a mark of thousands
                told = cells if "" not in cells else [cell or "nan" for cell in cells]
                return np.fromiter(map(float, told), np.float64, len(cells))
        numbers = np.empty(len(cells))
        for index, text in enumerate(cells):
            try:
                numbers[index] = numeral(text)
            except ValueError as error:
                where = f"line {self.lines[index]}: {name}"
                raise ValueError(f"{where} = {text.strip()[:40]!r} is no number") from error
        return numbers

    def _of_all_pieces(self, name: str) -> np.ndarray:
        """The numbers of all pieces, unless they are more than a spectrum has; of narrow tables at once."""
        if name not in self._gathered:
            wanted = list(self.cells) if len(self.cells) <= NARROW else [name]
            self._gathered.update(_gathered(self, wanted))
        if isinstance(found := self._gathered[name], ValueError):
            raise found
        return found

    @cached_property
    def _gathered(self) -> dict[str, np.ndarray | ValueError]:
        return {}

    def array(self, name: str, row: int) -> np.ndarray:
        """The numbers in one cell as float64; NaN where one is missing. Raises ValueError."""
        cell = self.cells[name][row]
        if not isinstance(cell, str):
            return _plain(cell, name)
        if "..." in cell:  # what NumPy prints of a long array, and csv then writes
            raise ValueError(f"{name} of row {self.first + row + 1} is a shortened printout, not the numbers")
        texts = cell.translate(ARRAY_MARKS).replace(",", " ").split()
        with suppress(ValueError):  # as in ``numbers``
            if "_" not in cell:
                told = texts if "null" not in cell else ["nan" if text == "null" else text for text in texts]
                return np.fromiter(map(float, told), np.float64, len(texts))
        try:
            return np.array([numeral(text) for text in texts])
        except ValueError as error:
            raise ValueError(f"{name} of row {self.first + row + 1}: {error}") from error


def _joined(cells: Sequence, others: Sequence) -> Sequence:
    return [*cells, *others] if isinstance(cells, list) else np.ma.concatenate([cells, others])


def _gathered(table: Columns, names: Sequence[str]) -> dict[str, np.ndarray | ValueError]:
    """Numbers in columns of all pieces of a table, or why there are none."""
    parts: dict[str, list] = {name: [] for name in names}
    faults, count = {}, 0
    for piece in table.pieces():
        for name in tuple(parts):
            try:
                parts[name].append(piece.numbers(name))
            except ValueError as error:
                faults[name] = error
                del parts[name]
        if (count := count + len(piece)) > MOST_PIXELS:
            raise ValueError(f"more than {MOST_PIXELS} rows: no spectrum has so many pixels")
    return {name: np.concatenate(parts.pop(name)) for name in tuple(parts)} | faults


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file as a stream, unpacked where it was packed with gzip. Raises ParseError."""
    with parsing(path, EOFError, zlib.error, UnicodeError), path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if packed else file
        marked = stream.read(2) in UTF16
        stream.seek(0)
        yield BufferedReader(_AsUtf8(stream)) if marked else stream


class _AsUtf8(RawIOBase):
    """A stream of UTF-16 as one of UTF-8."""

    def __init__(self, stream: IO[bytes]):
        self._stream, self._kept = stream, b""
        self._decoder = codecs.getincrementaldecoder("utf-16")()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._kept:
            content = self._stream.read(HEAD)
            self._kept = self._decoder.decode(content, final=not content).encode()
            if not content:
                break
        size = min(len(buffer), len(self._kept))
        buffer[:size], self._kept = self._kept[:size], self._kept[size:]
        return size


def head_of(path: Path) -> bytes:
    """The first HEAD bytes of what ``content_of`` gives. Raises ParseError."""
    with opened(path) as stream:
        return stream.read(HEAD)


def numeral(text: str) -> float:
    """The number in a text, NaN where it says that there is none; ValueError where it is another text.

    Fortran's are read too: 1.5D+03, and 1.5-103 where the exponent left no room for its letter.
    """
    try:
        return float(text.replace("_", "?"))  # which Python would take for a mark of thousands
    except ValueError:
        text = text.strip()
        if text.lower() in MISSING:
            return np.nan
        if found := FORTRAN.fullmatch(text):
            return float(f"{found[1]}e{found[2]}")
        raise


def text_of(content: bytes) -> str:
    """The content as text: UTF-8, UTF-16 by its mark, or Latin-1. ValueError where it is binary."""
    if content.startswith(UTF16):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    if found := NO_TEXT.search(text):
        line = len(LINE_END.findall(text, 0, found.start())) + 1
        raise ValueError(f"line {line}: {found[0]!r} is in no text")
    return text


def content_of(path: Path) -> bytes:
    """What is in a file, unpacked where it was packed with gzip. Raises ParseError."""
    with parsing(path, EOFError, zlib.error):
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
    if not content.strip():
        raise ParseError(f"{path}: empty")
    if content.startswith(ZIP):
        if b".npy" in content[:HEAD]:
            asked = "write wavelength and flux as a table (CSV, FITS)"
            raise ParseError(f"{path}: an archive of NumPy arrays (.npz): {asked}")
        raise ParseError(f"{path}: a zip archive: unpack it and give the files in it")
    return content


def is_fits(content: bytes) -> bool:
    """Whether the content begins as FITS does."""
    return content.startswith(b"SIMPLE  =")


def is_votable(content: bytes) -> bool:
    """Whether the content begins as a VOTable does."""
    return b"<VOTABLE" in content[:4096].upper()


def fits_names(path: Path, content: bytes) -> set[str]:
    """Names of the extensions of a FITS file. Raises ParseError."""
    from astropy.io import fits

    with reading(path, "FITS"), fits.open(BytesIO(content)) as tables:
        return {table.name for table in tables}


def fits_image(path: Path, content: bytes) -> tuple[np.ndarray, Mapping[str, Any]]:
    """Flux and header of the first image in a FITS file; ParseError unless it is of one dimension."""
    from astropy.io import fits

    with reading(path, "FITS"), fits.open(BytesIO(content)) as tables:
        image = next((table for table in tables if table.data is not None and table.is_image), None)
        if image is None or np.squeeze(image.data).ndim != 1:
            raise ParseError(f"{path}: no spectrum of one dimension in it")
        return np.squeeze(image.data).astype(float), _cards(image.header)


def read_columns(path: Path, content: bytes, skipped: int = 0) -> list[Columns]:
    """The tables in a file of any format that has rows and columns. Raises ParseError.

    ``skipped``: lines of a text that are left out between the names and the first row.
    """
    if is_fits(content):
        return _fits_columns(path, content)
    if is_votable(content):
        return _votable_columns(path, content)
    return [_text_columns(path, content, skipped)]


def read_table(path: Path, content: bytes, form: str):
    """An astropy table of the content, in one of astropy's formats. Raises ParseError."""
    from astropy.table import Table

    with reading(path, form.removeprefix("ascii.").upper()):
        return Table.read(BytesIO(content), format=form)


def _fits_columns(path: Path, content: bytes) -> list[Columns]:
    """Its tables, and the first image that is a spectrum of one dimension."""
    from astropy.io import fits

    found, images = [], []
    with reading(path, "FITS"), fits.open(BytesIO(content)) as tables:
        general = _cards(tables[0].header)
        for table in tables:
            about = general | _cards(table.header)
            if isinstance(table, fits.BinTableHDU | fits.TableHDU):
                units = {column.name: column.unit or "" for column in table.columns}
                cells = {name: np.array(table.data[name]) for name in units}
                found.append(Columns(cells, units, about))
            elif table.data is not None:
                images.append((table.name.lower(), np.squeeze(table.data), about))
    spectrum, fault = _image_columns(images)
    if fault and not found + spectrum:
        raise ParseError(f"{path}: {fault}")
    return found + spectrum


def _cards(header: Any) -> dict[str, Any]:
    """The values in a header by keyword; of damaged cards a text that is no number and no kind of axis."""
    from astropy.io import fits

    found = {}
    for card in header.cards:
        try:
            found.setdefault(card.keyword, card.value)
        except (fits.VerifyError, ValueError):
            found.setdefault(card.keyword, "(unreadable)")
    return found


def _image_columns(
    images: list[tuple[str, np.ndarray, Mapping[str, Any]]],
) -> tuple[list[Columns], str]:
    """Wavelength and flux of the first image whose header tells the wavelengths; by name those beside it.

    And what is wrong with an earlier one, whose header tells of wavelengths what cannot be.
    """
    fault = ""
    for _, flux, header in images:
        try:
            wavelength = _axis(flux, header)
        except ConfigError as error:
            fault, wavelength = fault or str(error), None
        if wavelength is None:
            continue
        beside = {name: data for name, data, _ in images if name and data is not flux}
        cells = beside | {"wavelength": wavelength, "flux": np.array(flux, float)}
        units = {"wavelength": "Angstrom", "flux": str(header.get("BUNIT", ""))}
        return [Columns({n: c for n, c in cells.items() if c.shape == flux.shape}, units, header)], fault
    return [], fault


def _axis(flux: np.ndarray, header: Mapping[str, Any]) -> np.ndarray | None:
    """Wavelengths of an image; None where its header tells of none. ConfigError where they cannot be."""
    if flux.ndim == 2 and str(header.get("CTYPE1", "")).startswith("MULTISPE"):
        raise ConfigError(f"{len(flux)} orders (IRAF multispec): give one of them, as scopy does")
    if flux.ndim != 1 or "CRVAL1" not in header or not is_of_wavelengths(header):
        return None
    return image_wavelengths(header, flux.size)


def _votable_columns(path: Path, content: bytes) -> list[Columns]:
    from astropy.io import votable

    found = []
    with reading(path, "VOTABLE"):
        for resource in votable.parse(BytesIO(content), verify="ignore").resources:
            for element in resource.tables:
                said = (*resource.infos, *resource.params, *element.infos, *element.params)
                table = element.to_table(use_names_over_ids=True)
                units = {name: str(table[name].unit or "") for name in table.colnames}
                cells = {name: table[name] for name in table.colnames}
                found.append(Columns(cells, units, {item.name: item.value for item in said}))
    return found


def _text_columns(path: Path, content: bytes, skipped: int) -> Columns:
    """Columns of text, by the names in the first line or in the last comment above it, or by number."""
    with reading(path, "text"):
        text = text_of(content)
        lines = LINE_END.split(text) if "\r" in text else text.split("\n")
        used = _rows_among(text, lines)
        if not used:
            raise ValueError("no rows")
        above = lines[: used[0]]
        units, about, delimiter = _ecsv_header(above) if "%ECSV" in lines[0] else ({}, _said(above), None)
        delimiter = delimiter or _delimiter(lines[used[0]])
        told_in = [lines[n] for n in used]
        columns = _even_columns(told_in, delimiter)
        rows = _split(told_in, delimiter) if columns is None else [[column[0] for column in columns]]
        names, told, headed = _names(rows[0], above, delimiter)
        numbers = [n + 1 + skipped for n in used[headed:]]
        if not numbers:
            raise ValueError("no rows")
        if columns is None:
            _check_even(rows[headed:], names, numbers)
            columns = map(list, zip(*rows[headed:], strict=True))
        else:
            columns = [column[headed:] for column in columns]
        cells = dict(zip(names, columns, strict=True))
        return Columns(cells, told | units, about, numbers)


def _rows_among(text: str, lines: list[str]) -> Sequence[int]:
    """Numbers of the lines that are no comments and not empty."""
    if not NO_ROW.search(text):
        return range(len(lines) - (lines[-1] == ""))
    return [n for n, line in enumerate(lines) if (bare := line.lstrip()) and bare[0] not in COMMENT]


def _check_even(rows: list[list[str]], names: list[str], numbers: list[int]) -> None:
    if set(map(len, rows)) != {len(names)}:
        wrong = next(n for n, row in enumerate(rows) if len(row) != len(names))
        raise ValueError(f"line {numbers[wrong]}: {len(rows[wrong])} cells under {len(names)} names")


def _even_columns(lines: list[str], delimiter: str) -> list[list[str]] | None:
    """Columns of lines that have the same cells, without quotes, spaces and other commas; else None."""
    joined = delimiter.join(lines)
    if delimiter == " " or not joined.isascii() or any(mark in joined for mark in PLAIN[delimiter]):
        return None
    count = lines[0].count(delimiter) + 1
    if set(map(str.count, lines, repeat(delimiter))) != {count - 1}:
        return None
    cells = joined.split(delimiter)
    return [cells[number::count] for number in range(count)]


def _ecsv_header(lines: list[str]) -> tuple[dict[str, str], dict, str]:
    from astropy.table.meta import get_header_from_yaml

    header = get_header_from_yaml([line.removeprefix("#").removeprefix(" ") for line in lines[1:]])
    units = {column["name"]: str(column["unit"]) for column in header["datatype"] if column.get("unit")}
    return units, dict(header.get("meta") or {}), header.get("delimiter", " ")


def _said(comments: list[str]) -> dict[str, str]:
    """What comments such as ``# medium = air`` say, by name."""
    found = (SAID.match(line.strip(COMMENT + " \t")) for line in comments)
    return {match[1]: match[2] for match in found if match}


def _delimiter(line: str) -> str:
    """What separates cells: a comma does not where it is in the numbers."""
    words = line.split()
    commas = len(words) > 1 and all(map(DECIMAL_COMMA.fullmatch, words))
    marks = ("\t",) if commas else (";", ",", "\t", "|")
    bare = re.sub('"[^"]*"', "", line)
    return next((mark for mark in marks if mark in bare), " ")


def _split(lines: list[str], delimiter: str) -> list[list[str]]:
    if delimiter == " ":
        lines = [" ".join(line.split()) for line in lines]
    form = {"delimiter": delimiter, "skipinitialspace": True}
    rows = list(csv.reader(lines, **form))
    joined = "".join(lines)
    if " " in joined or "\t" in joined or not joined.isascii():
        rows = [[cell.strip() for cell in row] for row in rows]
    for line in lines if len(rows) != len(lines) else lines[-1:]:
        next(csv.reader([line], **form, strict=True))  # which finds the quote that does not end
    if delimiter != "," and "," in joined:
        rows = [[_with_point(cell) for cell in row] for row in rows]
    return rows


def _with_point(cell: str) -> str:
    """A cell, with a decimal point in the place of a decimal comma."""
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell


def _names(first: list[str], above: list[str], delimiter: str) -> tuple[list[str], dict[str, str], bool]:
    """The columns' names, the units in them, and whether the names are the first line."""
    if headed := not all(map(_is_number, first)):
        return *_units_in(first), headed
    comment = [line.lstrip(COMMENT + " ") for line in above if line.strip(COMMENT + " ")][-1:]
    names = _split(comment, delimiter)[0] if comment and comment[0].count('"') % 2 == 0 else []
    if len(names) == len(first) and any("flux" in name.lower() for name in names):
        return *_units_in(names), headed
    return [str(number) for number in range(1, len(first) + 1)], {}, headed


def _is_number(text: str) -> bool:
    try:
        numeral(text)
    except ValueError:
        return False
    return True


def _units_in(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Names without the unit behind them, as in ``wavelength [nm]`` and ``wave_A``; and those units."""
    found = [UNIT_BEHIND.match(name) or UNIT_IN_NAME.match(name) for name in names]
    bare = [match[1] if match else name for match, name in zip(found, names, strict=True)]
    if len(set(bare)) != len(bare):
        raise ValueError("two columns have the same name")
    return bare, {match[1]: match[2] for match in found if match}


def _plain(values: Any, name: str) -> np.ndarray:
    values = np.ma.asarray(values)
    if values.dtype.kind in "SU":
        raise ValueError(f"{name} is text, not numbers")
    return np.ma.filled(values.astype(np.float64), np.nan)


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """What parsers raise becomes a ParseError; astropy's doubts are not ours, but a file cut short is."""
    from xml.parsers.expat import ExpatError

    from astropy.io.fits import VerifyError
    from astropy.table.meta import YamlParseError
    from yaml import YAMLError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*truncated|Error validating header")
            yield
    except ParseError:
        raise
    except (OSError, csv.Error, ExpatError, YAMLError, YamlParseError, VerifyError, *DAMAGE) as error:
        reason = " ".join(str(error).split())
        raise ParseError(f"{path}: no readable {kind} table: {reason or type(error).__name__}") from error
