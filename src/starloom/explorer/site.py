"""The page's files: what is packaged, a model's weights, and the facts that go with them."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from starloom.errors import ConfigError
from starloom.explorer.facts import atoms, facts
from starloom.explorer.reduced import LARGEST, head, parts, reduced
from starloom.files import check_folder, filling, parsing
from starloom.networks import weights
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.generator import Generator
from starloom.networks.weights import Model

# by suffix, since what the system believes of .js may be wrong
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".safetensors": "application/octet-stream",
    ".LICENSE": "text/plain; charset=utf-8",
}


def site(
    model: str | os.PathLike = "default", correction: str | os.PathLike | None = None
) -> dict[str, bytes]:
    """The static site with a packaged model, or the one in a weights file: content by path.

    A file above ``LARGEST`` is sent ``reduced``, and a model of several chunks in ``parts``. ``correction``
    is the file of one of the model's flux. Raises ConfigError for an unknown name or a model of another
    family than ``emulator``, ParseError and StoreError for a file that is damaged or no generator, and
    StoreError for a correction of another model.
    """
    path = weights.find(model)
    generator = Generator.load(model)
    if not isinstance(generator.model, Emulator | BandEmulator):
        raise ConfigError(f"model {model}: family {generator.header.family!r}, the page runs an 'emulator'")
    with parsing(path):
        content = path.read_bytes()
    told = facts(generator.header, generator.model.chunks)
    about = {"name": Path(model).name, "source": hashlib.sha256(content).hexdigest()}
    if len(generator.model.chunks) == 1:
        whole = reduced(weights.load(path)) if len(content) > LARGEST else content
        sent, entry = _named("model", whole)
        told |= {"model": {**about, **entry}}
    else:
        sent, entry, chunks = _pieces(weights.load(path), len(content) > LARGEST)
        told |= {"model": {**about, **entry, "chunks": chunks}}
    if correction is not None:
        more, told["correction"] = _correction(Path(correction), generator)
        sent |= more
    text = json.dumps(told, allow_nan=False, separators=(",", ":"))
    return dict(_packaged(files("starloom.explorer") / "page")) | sent | {"facts.json": text.encode()}


def _pieces(model: Model, smaller: bool) -> tuple[dict[str, bytes], dict[str, Any], list[dict[str, Any]]]:
    """Files of a model of several chunks by path, and what is told of its head's and of the chunks'."""
    sent, entry = _named("model", head(model))
    chunks = []
    for number, content in enumerate(parts(model, smaller, atoms(model.header.band))):
        more, about = _named(f"chunk-{number:02d}", content)
        sent |= more
        chunks.append({**about, "bytes": len(content)})
    return sent, entry, chunks


def _correction(path: Path, generator: Generator) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The file of a correction by its path, and what is told of it."""
    known = generator.corrected(path).correction
    axes = [
        {
            "label": axis.name,
            "nodes": axis.nodes.tolist(),
            "scale": axis.scale,
            "logarithmic": axis.logarithmic,
            "inverse": axis.inverse.tolist(),
        }
        for axis in known.axes
    ]
    with parsing(path):
        sent, entry = _named("correction", path.read_bytes())
    told = {"name": path.name, "title": known.title, "axes": axes, "grid": asdict(known.grid)}
    return sent, told | entry


def _named(stem: str, content: bytes) -> tuple[dict[str, bytes], dict[str, Any]]:
    """A file of weights by its path, with a digest in it so that none is taken for another, and its facts."""
    digest = hashlib.sha256(content).hexdigest()
    name = f"{stem}-{digest[:12]}{weights.SUFFIX}"
    return {name: content}, {"file": name, "sha256": digest, "bytes": len(content)}


def export(
    folder: str | os.PathLike,
    model: str | os.PathLike = "default",
    overwrite: bool = False,
    correction: str | os.PathLike | None = None,
) -> int:
    """Write the site into ``folder``, made if needed; the number of bytes written.

    ``model`` and ``correction`` are those of ``site``. All files appear, or none. Raises ConfigError where
    the folder has something in it and ``overwrite`` is not set, WriteError where they cannot be written, else
    as ``site``.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ConfigError(f"{folder} exists and is not empty: --overwrite replaces the page's files in it")
    check_folder(folder)
    content = site(model, correction)
    with filling(folder) as temporary:
        for name, text in content.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(text)
    return sum(map(len, content.values()))


def _packaged(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _packaged(entry, f"{prefix}{entry.name}/")
        elif Path(entry.name).suffix in MEDIA_TYPES:
            yield prefix + entry.name, entry.read_bytes()
