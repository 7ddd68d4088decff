"""The digest of the code that decides the numbers in a store, whatever its layout and its comments."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

# modules and packages of starloom: what draws the labels, makes a spectrum of them and keeps it
DECISIVE = (
    "arrays.py",
    "atmosphere",
    "bands.py",
    "broadening",
    "constants.py",
    "database/recipe.py",
    "labels.py",
    "nlte",
    "physics",
    "recipes.py",
    "sampling.py",
    "synthesis/band.py",
    "synthesis/gas.py",
    "synthesis/photosphere.py",
    "synthesis/radiation.py",
    "synthesis/spectra.py",
    "synthesis/stars.py",
    "tables",
    "wavelength.py",
)


@cache
def source_digest() -> str:
    """SHA-256 of the DECISIVE modules, from their sources in the installed package."""
    sha = hashlib.sha256()
    for name, text in _sources():
        sha.update(f"{name}: {form(text)}\n".encode())
    return sha.hexdigest()


def form(text: str) -> str:
    """The syntax tree of a module as text, without docstrings; the same in every version of Python."""
    return str(_form(ast.parse(text)))


def _sources() -> Iterator[tuple[str, str]]:
    for name in DECISIVE:
        yield from _modules(name, files("starloom").joinpath(name))


def _modules(name: str, place: Traversable) -> Iterator[tuple[str, str]]:
    if place.is_dir():
        for entry in sorted(place.iterdir(), key=lambda each: each.name):
            if entry.is_dir() or entry.name.endswith(".py"):
                yield from _modules(f"{name}/{entry.name}", entry)
    else:
        yield name, place.read_text(encoding="utf-8")


def _form(node: Any) -> Any:
    """Node, fields that are not empty (new versions have new ones), and so on."""
    if isinstance(node, list):
        return [_form(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    content = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
        content["body"] = node.body[1:]
    return [type(node).__name__, {name: _form(value) for name, value in content.items()}]
