"""The page's files: what is packaged, a model's weights, and the facts that go with them."""

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from starloom.errors import ConfigError
from starloom.explorer.facts import facts
from starloom.explorer.reduced import LARGEST, reduced
from starloom.files import check_folder, filling, parsing
from starloom.networks import weights
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.generator import Generator

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


def site(model: str | os.PathLike = "default") -> dict[str, bytes]:
    """The static site with a packaged model, or the one in a weights file: content by path.

    A file above ``LARGEST`` is sent ``reduced``.
    Raises ConfigError for an unknown name or a model of another family than ``emulator``, ParseError and
    StoreError for a weights file that is damaged or no generator.
    """
    path = weights.find(model)
    generator = Generator.load(path)
    if not isinstance(generator.model, Emulator | BandEmulator):
        raise ConfigError(f"model {model}: family {generator.header.family!r}, the page runs an 'emulator'")
    with parsing(path):
        content = path.read_bytes()
    source = hashlib.sha256(content).hexdigest()
    if len(content) > LARGEST:
        content = reduced(weights.load(path))
    digest = hashlib.sha256(content).hexdigest()
    name = f"model-{digest[:12]}{weights.SUFFIX}"
    sent = {"file": name, "sha256": digest, "bytes": len(content)}
    told = facts(generator.header, generator.model.chunks)
    told |= {"model": {"name": Path(model).name, "source": source, **sent}}
    text = json.dumps(told, allow_nan=False, separators=(",", ":"))
    return dict(_packaged(files("starloom.explorer") / "page")) | {name: content, "facts.json": text.encode()}


def export(folder: str | os.PathLike, model: str | os.PathLike = "default", overwrite: bool = False) -> int:
    """Write the site into ``folder``, made if needed; the number of bytes written.

    All files appear, or none. Raises ConfigError where the folder has something in it and ``overwrite`` is
    not set, WriteError where they cannot be written, else as ``site``.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ConfigError(f"{folder} exists and is not empty: --overwrite replaces the page's files in it")
    check_folder(folder)
    content = site(model)
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
