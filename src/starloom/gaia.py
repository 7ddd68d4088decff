"""RVS mean spectra from the Gaia archive, by source id: fetched by astroquery, kept in the user's cache.

The archive's DataLink service gives a table for each source (``retrieval_type`` RVS, structure INDIVIDUAL).
What is fetched once is not asked for again; requests are some seconds apart and are repeated, later and
later, while the archive cannot be reached.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from itertools import islice
from logging import getLogger
from os import PathLike
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from starloom import extras, places
from starloom.errors import ArchiveError, ConfigError, StarloomError
from starloom.files import parsing, replacing
from starloom.io import read_observed
from starloom.io.formats.gaia import IN_FILE_NAME
from starloom.spectrum import Spectrum

log = getLogger("starloom")

PRODUCTS = {"Gaia DR3": "RVS", "Gaia DR4": "MEAN_SPECTRUM_RVS"}  # by release, as the archive calls it
BATCH = 500  # sources of one request; the archive takes 5000
TRIES, PAUSE, APART = 4, 5.0, 1.0  # of a request; s before the second, doubled; s between requests
ANEW = (408, 425, 429)  # of the codes from 400 to 499, those that may pass
COLUMNS = ("wavelength", "flux", "flux_error")
HIGHEST = 2**63 - 1
SPELLED = re.compile(r"(?:Gaia\s+(?:E?DR\d)\s+)?(\d+)")


def spectra(ids: Any, *, release: str = "Gaia DR3") -> list[Spectrum]:
    """The mean spectra [vacuum, rest frame] of sources, in their order, as ``io.read_observed`` has them.

    ``ids`` are whole numbers or texts, one or several, ``release`` one of PRODUCTS. Raises ConfigError for
    what is no source id, for another release and without astroquery (extra ``starloom[gaia]``), ArchiveError
    where the archive cannot be reached or has no spectrum of a source: what it has is then in the cache, all
    the same.
    """
    found = fetch(ids, release=release)
    if missing := [source for source, path in found.items() if path is None]:
        raise ArchiveError(none_of(missing, release))
    return [read_observed(found[source]) for source in source_ids(ids)]


def none_of(missing: Sequence[str], release: str = "Gaia DR3") -> str:
    """The line for ``missing`` sources, of which the archive's ``release`` has no spectrum."""
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return f"{release}: no RVS mean spectrum of {', '.join(missing[:3])}{more} in the archive"


def fetch(
    ids: Any, *, release: str = "Gaia DR3", progress: Any = lambda sources: None
) -> dict[str, Path | None]:
    """The file in the cache of each source, None where the archive has none.

    ``ids`` and ``release`` are as in ``spectra``, and so are ConfigError and ArchiveError, which is raised
    where the archive cannot be reached alone. ``progress`` is told how many sources are done.
    """
    if release not in PRODUCTS:
        raise ConfigError(f"release = {release!r} is not one of {', '.join(PRODUCTS)}")
    places_of = {source: _kept(source, release) for source in source_ids(ids)}
    waiting = iter([source for source, path in places_of.items() if not path.exists()])
    progress(sum(path.exists() for path in places_of.values()))
    asked = -np.inf
    while batch := list(islice(waiting, BATCH)):
        sleep(max(0.0, asked + APART - monotonic()))
        asked = monotonic()
        try:
            answer = _asked(batch, release)
        except ArchiveError as error:
            kept = sum(path.exists() for path in places_of.values())
            told = f"{error}; {kept} of {len(places_of)} spectra are in the cache: try again later"
            raise ArchiveError(told) from error
        for source, table in _tables_in(answer):
            if source in places_of:
                _keep(table, places_of[source])
        progress(len(batch))
    return {source: path if path.exists() else None for source, path in places_of.items()}


def source_ids(ids: Any) -> list[str]:
    """Source ``ids`` as text, in order, from one or several whole numbers or texts ("Gaia DR3 123" too).

    Raises ConfigError for what is none: a float among them, which does not have the digits.
    """
    several = isinstance(ids, Iterable) and not isinstance(ids, str | bytes)
    found = [_source_id(one) for one in (ids if several else [ids])]
    if not found:
        raise ConfigError("source ids: none is given")
    return found


def ids_in(path: str | PathLike) -> list[str]:
    """The source ids in a text file at ``path``, the first word of each line; ``#`` begins a comment.

    Commas end words, and a first line of names is left out. Raises ParseError, ConfigError.
    """
    with parsing(path, UnicodeDecodeError):
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    words = [re.split(r"[,;\t]", line.partition("#")[0])[0].strip().strip("\"'") for line in lines]
    words = [word for word in words if word]
    if words and not any(letter.isdigit() for letter in words[0]):
        words = words[1:]
    try:
        return source_ids(words)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _source_id(one: Any) -> str:
    whole = isinstance(one, int | np.integer) and not isinstance(one, bool)
    text = SPELLED.fullmatch(str(one).strip()) if whole or isinstance(one, str) else None
    if text is None or not 0 < int(text[1]) <= HIGHEST:
        hint = ": floats lose digits" if isinstance(one, float | np.floating) else ""
        raise ConfigError(f"source id {one!r} is no whole number of up to 19 digits{hint}")
    return str(int(text[1]))


def _kept(source: str, release: str) -> Path:
    """Where a spectrum is kept; its name tells the reader of the format what it is."""
    return _folder() / f"{PRODUCTS[release]}-{release} {source}.fits"


def _folder() -> Path:
    try:
        return places.cache_folder() / "gaia"
    except RuntimeError as error:
        raise ConfigError("no folder to keep spectra in: set XDG_CACHE_HOME, or a home") from error


def archive() -> Any:
    """Astroquery's door to the archive; ConfigError where it is not installed."""
    try:
        with redirect_stdout(sys.stderr):  # it prints the server's messages
            from astroquery.gaia import Gaia
    except ImportError as error:
        raise ConfigError(extras.absent("astroquery")) from error
    return Gaia


def _asked(sources: Sequence[str], release: str) -> Mapping[str, Any]:
    """What the archive answers, tables by names of files; ArchiveError after the last try."""
    door = archive()
    options = {"data_release": release, "retrieval_type": PRODUCTS[release], "data_structure": "INDIVIDUAL"}
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(TRIES):
        try:
            log.info(f"asking the Gaia archive for {len(sources)} spectra of {release}")
            # it unpacks in the present folder, which need not be one to write to
            with chdir(folder), redirect_stdout(sys.stderr):
                return door.load_data(ids=list(sources), **options)
        except OSError as error:  # and so are those of requests
            reason, last = _reason(error), number == TRIES - 1 or not _may_pass(error)
            if last:
                tried = f" after {number + 1} tries" if number else ""
                raise ArchiveError(f"the Gaia archive cannot be reached{tried}: {reason}") from error
            wait = PAUSE * 2**number
            log.warning(f"the Gaia archive does not answer ({reason}); again in {wait:.0f} s")
            sleep(wait)
    raise AssertionError  # the last try returns or raises


def _may_pass(error: OSError) -> bool:
    """Whether it may help to ask again: not where the request itself is refused."""
    code = getattr(getattr(error, "response", None), "status_code", None) or 500
    return not 400 <= code < 500 or code in ANEW


def _reason(error: OSError) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


def _tables_in(answer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Source and table of each product that has the columns of a mean spectrum."""
    for name, products in answer.items():
        for table in products if isinstance(products, list | tuple) else [products]:
            table = table if hasattr(table, "colnames") else table.to_table()
            told = IN_FILE_NAME.search(name)
            source = told[3] if told else _source_in(table)
            if source and set(COLUMNS) <= set(table.colnames):
                yield source, table
            else:
                log.warning(f"the Gaia archive's {name} is no RVS mean spectrum of one source")


def _source_in(table: Any) -> str:
    """The source that all rows of a table tell; nothing where they tell none, or several."""
    told = {str(one) for one in table["source_id"]} if "source_id" in table.colnames else set()
    return told.pop() if len(told) == 1 else ""


def _keep(table: Any, path: Path) -> None:
    """Write a spectrum to the cache if it can be read from there: NaN where a value is masked."""
    from astropy.table import Table

    kept = Table()
    for name in COLUMNS:
        values = np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)
        kept[name] = values if name == "wavelength" else values.astype(np.float32)
    kept["wavelength"].unit = "nm"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        kept.write(temporary, format="fits")
    try:
        read_observed(path, format="gaia")
    except StarloomError as error:
        path.unlink()
        log.warning(f"the Gaia archive's spectrum cannot be used: {error}")
