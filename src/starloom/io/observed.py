"""Observed spectra: one file, or the rows and files of many, whatever their format.

Whether wavelengths are in air or vacuum, in which frame and unit, is never guessed: the format defines it, or
the caller says it.
"""

import codecs
import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from logging import getLogger
from pathlib import Path
from typing import Any

from starloom.errors import ConfigError, Option, ParseError, StarloomError
from starloom.files import parsing
from starloom.io.format import File, Format, find, recognised
from starloom.io.record import Record, checked, completed
from starloom.io.tables import GZIP, HDF5, ZIP, head_of, is_fits, is_votable, numeral
from starloom.spectrum import Spectrum

ENDINGS = (".fits", ".fit", ".fts", ".ecsv", ".csv", ".vot", ".xml", ".txt", ".dat", ".asc", ".spec")
TEXTS = (".csv", ".txt", ".dat", ".asc", ".spec")
COLUMN = re.compile("flux|wav|lam|intensity", re.IGNORECASE)
SHOWN = 3  # names of spectra in a message
NO_LIST = {  # what a list of files is not, by how a file begins
    "FITS file": is_fits,
    "VOTable": is_votable,
    "packed file": lambda content: content.startswith((GZIP, ZIP)),
    "HDF5 file": lambda content: content.startswith(HDF5),
}

log = getLogger("starloom")
Make = Callable[[], Spectrum]
Found = tuple[str, Make]


@dataclass(frozen=True, eq=False)
class Observed:
    """A spectrum of a list, or why there is none: ``name`` is its file, and its source where it has many.

    ``error`` is the reason, as it was raised; ``number`` the spectrum's own in its file, from 1.
    """

    name: str
    spectrum: Spectrum | None
    error: StarloomError | None = None
    number: int = 1

    @property
    def fault(self) -> str:
        """Why there is no spectrum; empty where there is one."""
        return "" if self.error is None else str(self.error)


def read_observed(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    medium: str | None = None,
    frame: str | None = None,
    unit: str | None = None,
    resolution: float | None = None,
    columns: Sequence[str | int] | None = None,
    source: str | int | None = None,
) -> Spectrum:
    """The observed spectrum in a file, checked, with what cannot be used in its mask.

    ``format`` is found from the content, or the name of one of ``io.formats``, each described in its module;
    further packages may bring others. "specutils:NAME" names one of the loaders of specutils. ``columns`` of
    wavelength, flux and error are chosen by name or by number from 1, where the format leaves them open, and
    are then all that is read. Any file may be packed with gzip.

    ``medium`` ("air", "vacuum"), ``frame`` ("rest", "barycentric", ...) and ``unit`` of the wavelengths
    ("Angstrom", "nm", "um") are needed where file and format do not tell them. ``resolution``, the resolving
    power, becomes the label of the spectrum. ``source`` names one of many spectra in a file: its source_id,
    or its row number from 1 where the rows have none.

    Pixels without a finite flux, or without a finite and positive error, are masked and, where that is no
    mere gap in the data, counted in ``provenance["notes"]``; so is a reversed order of wavelengths. Raises
    ParseError (path and reason) for a file that is damaged or of no known format, in which no pixel can be
    used, or whose wavelengths neither rise nor fall; ConfigError where something needed is not told, or told
    twice differently.

    >>> sun = starloom.generate(teff=5777, logg=4.44, vsini=2, mh=0, vmic=1, resolution=11500)
    >>> sun.write("sun.fits")
    >>> starloom.read("sun.fits").labels["logg"]
    4.44
    """
    path = Path(path)
    given = {"medium": medium, "frame": frame, "unit": unit, "resolution": resolution, "columns": columns}
    found, names = _spectra_in(path, format, given), []
    if source is not None:
        for name, make in found:
            if name == str(source):
                return make()
            names += [name] if len(names) <= SHOWN else []
        raise ConfigError(f"{path}: source = {source!r} is not in it (it has {_shown(names)})")
    first = list(islice(found, SHOWN + 1))
    if len(first) > 1:
        count = len(first) if len(first) <= SHOWN else f"more than {SHOWN}"
        shown = f"{count} spectra ({_shown([name for name, _ in first])})"
        raise ConfigError(f"{path}: it has {shown}: name one with ", Option("source"))
    for _, make in first:
        return make()
    raise ParseError(f"{path}: no spectrum is in it")


def read_each(
    paths: str | os.PathLike | Iterable[str | os.PathLike], *, skipped: Collection[int] = (), **options
) -> Iterator[Observed]:
    """Every spectrum in every file, one after the other; what cannot be read does not stop the others.

    ``options`` are those of ``read_observed``, for all files alike, except ``source``. A file that holds one
    spectrum is named by its path, the others ``path[source]``. ``skipped``: numbers of spectra in each file,
    from 1, that are left out.

    ``paths``: one path, or many. TypeError for another option.
    """
    form = options.pop("format", None)
    if unknown := set(options) - {"medium", "frame", "unit", "resolution", "columns"}:
        raise TypeError(f"read_each has no option {unknown.pop()!r}")
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        try:
            spectra = iter(_spectra_in(Path(path), form, options))
            first = list(islice(spectra, 2))
        except StarloomError as error:
            yield Observed(str(path), None, error)
            continue
        for number, (name, make) in enumerate(_to_the_end(chain(first, spectra)), start=1):
            if number in skipped:
                continue
            name = f"{path}[{name}]" if name and len(first) > 1 else str(path)
            try:
                yield Observed(name, make(), number=number)
            except StarloomError as error:
                yield Observed(name, None, error, number)


def _to_the_end(spectra: Iterator[Found]) -> Iterator[Found]:
    """The spectra; what ends those of a long table too early is one more, which cannot be made."""

    def refused() -> Spectrum:
        raise fault

    try:
        yield from spectra
    except StarloomError as error:
        fault = error
        yield "", refused


def read_list(path: str | os.PathLike) -> tuple[Path, ...]:
    """The paths in a text file, one in a line, relative to its folder; ``#`` begins a comment.

    A name may stand in quotes. One with ``*``, ``?`` or ``[...]`` that is no file's means all files of such
    names, sorted; where there are none it stays, for the reader to say so. Bytes that are no UTF-8 stay as
    they are in names of files. Raises ParseError where there is no name.
    """
    path = Path(path)
    with parsing(path, ValueError):
        content = path.read_bytes()
        if kind := next((kind for kind, begins in NO_LIST.items() if begins(content)), None):
            raise ValueError(f"a {kind}, not a list of files")
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16") if utf16 else content.decode("utf-8-sig", "surrogateescape")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise ParseError(f"{path}: no file is named in it")
    for name in names[:2]:  # the first may be the names of columns
        if _is_row(name) and not _exists(path.parent / name):
            told = f"{name[:40]!r} is a row of numbers, not the name of a file"
            raise ParseError(f"{path}: {told}: a spectrum is given by itself, not as a list of files")
    return tuple(found for name in names for found in _meant(path.parent, name))


def spectra_in(folder: str | os.PathLike) -> list[Path]:
    """The files in a folder whose names end as those of spectra do (ENDINGS, packed or not), sorted.

    Hidden files and folders in it are not looked at, and a text is left out, with a warning, that names no
    column of a spectrum and has no row of numbers. Raises ConfigError where there is none.
    """
    folder = Path(folder)
    ending = [path for path in sorted(folder.iterdir()) if path.is_file() and _ending(path) in ENDINGS]
    if not ending:
        raise ConfigError(f"{folder}: no file in it ends with one of {', '.join(ENDINGS)}")
    found = [path for path in ending if _ending(path) not in TEXTS or _may_be_spectrum(path)]
    if others := [path.name for path in ending if path not in found]:
        log.warning(f"{folder}: left out, since no spectrum is in it: {', '.join(others)}")
    if not found:
        raise ConfigError(f"{folder}: no spectrum is in it")
    return found


def _ending(path: Path) -> str:
    """The ending of a name, of a packed file the one before; none of a hidden file."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return "" if path.name.startswith(".") else plain.suffix.lower()


def _may_be_spectrum(path: Path) -> bool:
    """Whether the beginning of a text has a word or a row as spectra have; what cannot be read may."""
    try:
        text = head_of(path).replace(b"\0", b"").decode("latin-1")
    except (OSError, EOFError, ValueError):
        return True
    return bool(COLUMN.search(text)) or any(map(_is_row, text.splitlines()))


def _is_row(line: str) -> bool:
    """Whether a line of text is numbers, two at least."""
    words = re.split(r"[;,|\s]+", line.strip())
    try:
        return len([numeral(word) for word in words]) > 1
    except ValueError:
        return False


def _meant(folder: Path, name: str) -> list[Path]:
    """The files that a line of a list means."""
    if len(name) > 2 and name[0] == name[-1] and name[0] in "\"'" and not _exists(folder / name):
        name = name[1:-1]
    if not glob.has_magic(name) or "\0" in name or _exists(folder / name):
        return [folder / name]
    found = glob.glob(name, root_dir=folder, recursive=True)
    return [folder / one for one in sorted(found)] or [folder / name]


def _exists(path: Path) -> bool:
    return "\0" not in str(path) and path.exists()


def _spectra_in(path: Path, form: str | None, given: Mapping[str, Any]) -> Iterator[Found]:
    """Name of each spectrum in a file, and how to make it. Raises ParseError, ConfigError."""
    name, _, variant = (form or "").partition(":")
    file = File(path, tuple(given.get("columns") or ()), variant)
    reader = recognised(file) if form is None else find(name, file)
    if path.is_file() and file.is_long:
        _check_told(path, reader, file, given)
    found = reader.spectra(file)
    first = list(islice(found, 2))
    for number, (name, make) in enumerate(chain(first, found), start=1):
        yield name or (str(number) if len(first) > 1 else ""), partial(_made, path, make, given)


def _check_told(path: Path, reader: Format, file: File, given: Mapping[str, Any]) -> None:
    """Raise ConfigError where a long text does not tell what is needed: known from its first piece."""
    with suppress(ParseError):  # which belongs to one spectrum
        for _, make in islice(reader.spectra(file.beginning), 1):
            completed(path, make(), given)


def _made(path: Path, make: Callable[[], Record], given: Mapping[str, Any]) -> Spectrum:
    return checked(path, completed(path, make(), given))


def _shown(found: Sequence[str]) -> str:
    names = ", ".join(found[:SHOWN])
    return f"{names}, ..." if len(found) > SHOWN else names or "one without a name"
