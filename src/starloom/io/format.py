"""Formats of files with spectra, observed or synthetic, and the registry of those that are known.

A format is one module of ``starloom.io.formats`` with a ``FORMAT``, or one object that another package
publishes by an entry point of the group ``starloom.formats``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache, cached_property, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules

from starloom.arrays import one_line
from starloom.errors import ConfigError, ParseError
from starloom.files import parsing
from starloom.io import formats as packaged
from starloom.io.long_files import LongFile, is_long, long_file
from starloom.io.long_text import is_text, long_table
from starloom.io.parquet import footer, parquet_tables
from starloom.io.record import Record
from starloom.io.tables import (
    DAMAGE,
    HDF5,
    PARQUET,
    ZIP,
    Columns,
    content_of,
    fits_names,
    head_of,
    is_fits,
    read_columns,
)

GROUP = "starloom.formats"
HELD_WHOLE = (HDF5, ZIP, PARQUET)  # how files begin that are not cut into short files
FALLBACK = "table"  # whose reader says what is missing where no format knows a file

Found = tuple[str, Callable[[], Record]]  # name of a spectrum in its file, and how to read it


@dataclass(frozen=True, eq=False)
class File:
    """A file as formats look at it, read and unpacked once, when it is first asked for.

    ``columns`` are those that the caller chose, by name or by number from 1; ``variant`` is what stood behind
    the colon in the format's name. Of a long text without ``whole`` the beginning is looked at alone.
    """

    path: Path
    columns: tuple[str | int, ...] = ()
    variant: str = ""
    whole: bool = True

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked where they were packed with gzip."""
        return head_of(self.path)

    @cached_property
    def is_long(self) -> bool:
        """Whether it is a table too long to be held, and read in pieces."""
        if self.head.startswith(HELD_WHOLE) or not is_long(self.path, self.head):
            return False
        return is_text(self.head) or self._pieces is not None

    @cached_property
    def _pieces(self) -> LongFile | None:
        return long_file(self.path, self.head)

    @property
    def beginning(self) -> "File":
        """The same without what follows the first piece of a long text."""
        return replace(self, whole=False)

    __repr__ = one_line

    @cached_property
    def content(self) -> bytes:
        """All bytes, unpacked where packed with gzip; of a long FITS file or VOTable the beginning.

        Of Parquet the end, which names the columns.
        """
        if self.is_parquet:
            return footer(self.path)
        if self.is_long and not is_text(self.head):
            return self._pieces.beginning
        return content_of(self.path)

    @cached_property
    def is_fits(self) -> bool:
        """Whether it begins as FITS does."""
        return is_fits(self.head)

    @property
    def is_parquet(self) -> bool:
        """Whether it begins as Parquet does."""
        return self.head.startswith(PARQUET)

    @cached_property
    def extensions(self) -> set[str]:
        """Names of the extensions of a FITS file; none for another."""
        return fits_names(self.path, self.content) if self.is_fits else set()

    @cached_property
    def tables(self) -> list[Columns]:
        """Its tables that have rows: FITS, VOTable, ECSV, CSV, text; or the first FITS image as one."""
        if self.is_parquet:
            return parquet_tables(self.path)
        if self.is_long and is_text(self.head):
            table = long_table(self.path)
            return [table if self.whole else table.beginning]
        tables = read_columns(self.path, self.content)
        if self.is_long and self.whole:
            rest = self._pieces.rest
            cut = [partial(_after_first, self.path, len(t), r) for t, r in zip(tables, rest, strict=False)]
            tables[: len(cut)] = [replace(t, rest=r) for t, r in zip(tables, cut, strict=False)]
        return [table for table in tables if len(table)]

    @property
    def shown_columns(self) -> str:
        """The names of its columns, for a message."""
        names = "; ".join(", ".join(list(table.cells)[:9]) for table in self.tables)
        return f"among the columns ({names or 'none'})"


def _after_first(path: Path, rows: int, pieces: Callable[[], Iterator[bytes]]) -> Iterator[Columns]:
    """The columns in the further pieces of a table, the first of which has so many rows."""
    for piece in pieces():
        for columns in read_columns(path, piece)[:1]:
            yield replace(columns, first=rows)
            rows += len(columns)


@dataclass(frozen=True)
class Format:
    """How a kind of file is recognised and read, and what the format defines for all its files.

    ``read(file)`` gives the ``Record`` of a file's spectrum, or for many the name of each and a function that
    reads it. ``recognise(file)``: whether a file is of this format; without it, it is one when the caller
    says so. ``unit``, ``medium`` and ``frame`` of the wavelengths hold where a record tells none; None: the
    caller must say. ``normalise`` is what has to be done with the flux of a grid of models: one of
    ``database.importing.NORMALISATIONS``. A ``general`` format is asked after those that know their files
    better. ``options`` are what it heeds of "columns" and "variant".

    ``description``: a line for lists of formats.
    """

    name: str
    description: str
    read: Callable[[File], Record | Iterable[Found]]
    recognise: Callable[[File], bool] | None = None
    _: KW_ONLY
    general: bool = False
    options: tuple[str, ...] = ()
    unit: str | None = None
    medium: str | None = None
    frame: str | None = None
    normalise: str = "none"

    def spectra(self, file: File) -> Iterator[Found]:
        """Name of each spectrum in a file, and how to read it. Raises ParseError, ConfigError."""
        with parsing(file.path, *DAMAGE):
            found = self.read(file)
            pairs = iter([("", lambda: found)] if isinstance(found, Record) else found)
        while pair := _next(file.path, pairs):
            name, make = pair
            yield name, partial(self._record, file, make)

    def _record(self, file: File, make: Callable[[], Record]) -> Record:
        with parsing(file.path, *DAMAGE):
            record = make()
        told = {name: getattr(self, name) for name in ("unit", "medium", "frame")}
        return replace(record, **{name: v for name, v in told.items() if getattr(record, name) is None})


def _next(path: Path, pairs: Iterator[Found]) -> Found | None:
    with parsing(path, *DAMAGE):
        return next(pairs, None)


registered: dict[str, Format] = {}  # by this program


def register(form: Format) -> None:
    """Make a format known in this program; a package publishes its own by an entry point."""
    registered[form.name] = form
    formats.cache_clear()


@cache
def formats() -> Mapping[str, Format]:
    """All formats that are known, by name: a program's and other packages' before those that come along."""
    modules = iter_modules(packaged.__path__, f"{packaged.__name__}.")
    found = [*registered.values(), *(_published(entry) for entry in entry_points(group=GROUP))]
    found += [import_module(module.name).FORMAT for module in modules]
    names = [form.name for form in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two formats have the name {twice[0]}: one is another package's")
    return dict(zip(names, found, strict=True))


def _published(entry: EntryPoint) -> Format:
    """The format of another package's entry point; ``ConfigError`` where it is none."""
    try:
        form = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the format {entry.name} ({entry.value}) cannot be loaded: {error}") from error
    if not isinstance(form, Format):
        raise ConfigError(f"the format {entry.name} ({entry.value}) is no starloom.io.Format")
    return form


def find(name: str, file: File | None = None) -> Format:
    """The format of this name; ``ConfigError`` for none, and for an option that it does not heed.

    ``file`` is the one to be read, whose ``columns`` and ``variant`` are then checked.
    """
    if name not in formats():
        raise ConfigError(f"format = {name!r} is not one of {', '.join(formats())}")
    form = formats()[name]
    for option in ("columns", "variant"):
        if file and getattr(file, option) and option not in form.options:
            raise ConfigError(f"{file.path}: the format {name} has no {option} to choose")
    return form


def recognised(file: File) -> Format:
    """The format that knows a file. Raises ParseError where one that might could not read it."""
    faults = []
    for form in sorted(formats().values(), key=lambda form: form.general):
        try:
            with parsing(file.path, *DAMAGE):
                if form.recognise and form.recognise(file):
                    return form
        except ParseError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
    return formats()[FALLBACK]
