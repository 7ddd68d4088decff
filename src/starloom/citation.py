"""What to cite: this program, the paper whose method it is, and the data that rest behind a file, as BibTeX.

What was used is read from the file's provenance; the bibliography is ``references.toml`` beside this module.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

from starloom import __version__, bands, tables
from starloom.database import recipe as recipes
from starloom.database.store import read_manifest
from starloom.errors import ConfigError, StarloomError
from starloom.io import read_each
from starloom.io.format import File, recognised
from starloom.io.formats import gaia
from starloom.io.tables import DAMAGE
from starloom.networks import flux_correction, weights

USED = "used by "
EXAMPLE = b"no star of the sky"  # in the headers of ``examples``
# of what is packaged, that which spectra rest on only where they say so
CALCIUM, CALIBRATION, OTHER_HYDROGEN = "calcium_ii", tables.CALIBRATION, "hydrogen_profiles_tremblay"
OPTICAL = "molecular_blocks"  # a table that the band of starloom-optical alone has
PROGRAM = {
    "kind": "software",
    "author": "{The starloom developers}",
    "title": "starloom: stellar spectra from stellar labels",
    "version": __version__,
    "license": "BSD-3-Clause",
}


@cache
def bibliography() -> dict[str, dict[str, Any]]:
    """Every reference by its key: BibTeX fields, and ``kind``, its type."""
    content = _content()
    found = {key: fields for key, fields in content.items() if not key.startswith(USED)}
    return {"starloom": PROGRAM, **found}


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads((files("starloom") / "references.toml").read_text(encoding="utf-8"))


def used_by(kind: str) -> dict[str, list[str]]:
    """Keys by what rests on them, of a ``kind``: "tables", "formats" or "features"."""
    return _content()[USED + kind]


@dataclass
class Sources:
    """Keys of references with the ``reasons`` to cite each, and ``notes`` on what could not be told."""

    reasons: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, keys: Iterable[str], reason: str) -> None:
        """Cite ``keys`` for a ``reason``."""
        for key in keys:
            told = self.reasons.setdefault(key, [])
            told += [reason] if reason not in told else []

    def table(self, name: str) -> None:
        """Cite what the packaged table ``name`` rests on; a note for one that is of another package."""
        if name in used_by("tables"):
            self.add(used_by("tables")[name], f"table {name}")
        else:
            self.notes.append(f"table {name}: not of this program: cite its source")

    def note(self, text: str) -> None:
        """Say in a ``text`` what is left to the reader, once."""
        self.notes += [text] if text not in self.notes else []


def cited(path: str | PathLike | None = None) -> Sources:
    """What to cite for the file at ``path``, spectra, a table of fits, a store or a model; without: for all.

    Raises ConfigError for a file that does not tell how it was made, ParseError for one that is damaged.
    """
    found = Sources()
    found.add(["starloom"], "this program")
    found.add(used_by("features")["paper"], "the method")
    if path is None:
        for kind in ("tables", "formats", "features"):
            for name, keys in used_by(kind).items():
                found.add(keys, f"{kind.removesuffix('s')} {name}")
        return found
    path = Path(path)
    if path.is_dir():
        _of_store(path, found)
    elif path.suffix == ".safetensors":
        _of_model(path, found)
    else:
        _of_file(path, found)
    return found


def bibtex(found: Sources) -> str:
    """The references ``found`` as BibTeX, each with a line that says what it is cited for."""
    parts = [f"% {note}" for note in found.notes]
    for key, reasons in found.reasons.items():
        entry = dict(bibliography()[key])
        lines = [f"@{entry.pop('kind', 'article')}{{{key},"]
        lines += [f"  {name} = {{{value}}}," for name, value in entry.items()]
        parts.append("\n".join([f"% {', '.join(reasons)}", *lines, "}"]))
    return "\n\n".join(parts)


def _of_file(path: Path, found: Sources) -> None:
    """A table of fits, or spectra."""
    if (settings := _settings_in(path)) is not None:
        _of_settings(settings, found)
        found.note("the spectra that were fitted: cite their survey or instrument")
        return
    star = next(read_each(path), None)
    if star is None or star.error:
        raise star.error if star else ConfigError(f"{path}: no spectrum is in it")
    if EXAMPLE in File(path).head:
        found.note(f"{path}: an example of this program, no star of the sky")
        return
    before = len(found.reasons) + len(found.notes)
    _of_provenance(star.spectrum.provenance, found)
    if (name := recognised(File(path)).name) in used_by("formats"):
        found.add(used_by("formats")[name], f"spectra of {name}")
    if len(found.reasons) + len(found.notes) == before:
        found.note(f"{path}: it does not tell where it comes from: cite its survey or instrument")


def _settings_in(path: Path) -> dict[str, Any] | None:
    """The settings in the header of a table of fits; None for another file."""
    head, ending = File(path).head, path.suffix.lower()
    if ending == ".csv" and head.startswith(b"number,name,"):
        raise ConfigError(f"{path}: a table as CSV does not tell its settings: cite its .ecsv or .fits")
    if b"SETTINGS" not in head and b"settings" not in head:
        return None
    with suppress(*DAMAGE):  # what is no such table, the reader of spectra judges
        meta = _table_header(path, ending)
        return json.loads(meta.get("SETTINGS", meta.get("settings")))
    return None


def _table_header(path: Path, ending: str) -> Mapping[str, Any]:
    from astropy.io import fits
    from astropy.table import Table

    return fits.getheader(path, 1) if ending == ".fits" else Table.read(path, format="ascii.ecsv").meta


def _of_provenance(about: Mapping[str, Any], found: Sources) -> None:
    """What a spectrum says of itself, and of what it was fitted to."""
    synthesised = str(about.get("made by", "")).startswith("starloom")
    if synthesised:
        physics, lines = str(about.get("physics", "")), str(about.get("lines", ""))
        own = list(about.get("tables", ())) or _packaged(_usual_tables())
        _of_synthesis(own, "LTE but" in physics, lines, found)
        if "atmosphere sha256" in about:
            found.note(f"model atmosphere {about.get('atmosphere')}: cite its grid")
        if "filling" in physics or "filled" in physics:
            found.add(used_by("features")["filling"], "filled cores of Ca II")
    elif "model" in about:
        _of_model(about["model"], found)
    if "correction" in about:
        _of_correction(str(about["correction"]), found)
    if "fit" in about:
        _of_settings(about["fit"]["settings"], found)
        _of_provenance(about.get("observed", {}), found)
    if str(about.get("product", "")).startswith("Gaia"):
        found.add(used_by("formats")[gaia.FORMAT.name], "spectra of gaia")


def _of_settings(settings: Mapping[str, Any], found: Sources) -> None:
    """What a fit used."""
    _of_model(settings.get("model", "default"), found)
    if correction := settings.get("correction"):
        _of_correction(str(correction), found)
    if settings.get("telluric"):
        found.table("tellurics")
    if (name := str(settings.get("format") or "")) in used_by("formats"):
        found.add(used_by("formats")[name], f"spectra of {name}")


def _of_model(model: str | PathLike, found: Sources) -> None:
    """What a model was trained on, as far as it is known by its recipes."""
    try:
        header = weights.load(weights.find(model)).header
    except StarloomError:
        found.note(f"model {model}: not found here: cite what it was trained on")
        return
    if header.family == flux_correction.FAMILY:
        _of_correction(flux_correction.load(model).title, found)
        return
    known = _packaged_recipes()
    trained = [known.get(digest) for digest in header.recipe.split()]
    if None in trained or not trained:
        found.note(f"model {model}: if it was not trained on our own synthesis, cite what it was trained on")
    place = header.band.tables if header.band and header.band.tables else _usual_tables()
    nlte = any(recipe and recipe.nlte for recipe in trained)
    lines = "calibrated" if any(recipe and recipe.lines == "calibrated" for recipe in trained) else ""
    _of_synthesis(_packaged(place), nlte, lines, found)
    if "filling" in header.domain.names:
        found.add(used_by("features")["filling"], "filled cores of Ca II")


def _of_correction(title: str, found: Sources) -> None:
    """The libraries that a correction was learned from, by its title."""
    known = [name for name in ("miles", "stelib") if name in title.lower()]
    for name in known:
        found.add(used_by("features")[name], f"stars of {name.upper()}")
    if not known:
        found.note(f"correction {title}: cite its library")


def _usual_tables() -> str:
    """Those of the band of the model that is used where none is named."""
    return bands.load(weights.load(weights.find("default")).header.band.name).tables


def _of_store(folder: Path, found: Sources) -> None:
    """What the spectra of a store were made with."""
    manifest = read_manifest(folder)
    if manifest.physics.startswith("imported"):
        found.note(f"{folder}: {manifest.physics}: cite their grid")
        return
    recipe = manifest.recipe
    _of_synthesis(_packaged(manifest.band.tables), bool(recipe.nlte), recipe.lines, found)


def _of_synthesis(names: Iterable[str], nlte: bool, lines: str, found: Sources) -> None:
    """The tables that a synthesis used, of those that there are."""
    # tables of a long band are cut into parts, whose sources are those of the whole
    unused = {OTHER_HYDROGEN} | (set() if nlte else {CALCIUM})
    unused |= set() if lines == "calibrated" else {CALIBRATION}
    for name in names:
        if name == OPTICAL:
            found.add(used_by("features")["optical"], "band optical")
        elif name not in unused:
            found.table(re.sub(r"_\d\d$", "", name))


def _packaged(place: str) -> list[str]:
    """Names of the tables that a band's spectra depend on."""
    return list(tables.synthesis_digests(place, calibrated=True))


@cache
def _packaged_recipes() -> dict[str, Any]:
    """The packaged recipes by their digests."""
    return {recipe.digest: recipe for recipe in map(recipes.load, recipes.packaged())}
