"""Every public name says what it is: parameters, units, shapes, what it raises, and in physics its source.

Public is what the pages of ``docs/reference`` have. A parameter is told in the docstring of its function,
class or module, by a comment ``#:`` behind a field, by a type of the package, or in the table of words that
mean the same everywhere, which docs/reference/index.md has.
"""

import ast
import doctest
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

import pytest

import starloom

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
MODULES = [
    name
    for page in sorted(REFERENCE.glob("*.md"))
    for name in re.findall(r"automodule:: (\S+)", page.read_text())
]
# what is behind the names of the reference, and calls it: nobody else has to
INTERNAL = {
    "starloom.__main__": "the command",
    "starloom.cli": "the command: docs/reference/commands.md",
    "starloom.paper": "the command `reproduce`: docs/reproduction.md",
    "starloom.explorer": "the command `explore`: docs/explorer.md",
    "starloom.tables": "packaged numbers: data/README.md",
    "starloom.models": "packaged numbers",
    "starloom.io": "behind its own names, and a module for each format",
    "starloom.inference": "behind its own names: docs/fitting.md",
    "starloom.atmosphere": "behind its own names",
    "starloom.broadening": "behind its own names",
    "starloom.nlte": "behind its own names",
    "starloom.synthesis": "behind its own names: docs/architecture.md",
    "starloom.networks": "behind generator, emulator and training",
    "starloom.database": "behind build and store",
    "starloom.evaluation": "behind errors and report",
    "starloom.observed": "behind library and learning",
    "starloom.spectrum": "behind Spectrum: its columns and files",
    "starloom.physics": "its own package",
    **dict.fromkeys(
        [f"starloom.{name}" for name in ("arrays", "constants", "compilation", "extras", "figures", "files")],
        "door",
    ),
    **dict.fromkeys(
        [f"starloom.{name}" for name in ("hdf5", "interruption", "locks", "memory", "recipes", "units")],
        "door",
    ),
    "starloom.notebook": "what objects show of themselves",
    "starloom.places": "door",
}
YEAR = re.compile(r"\b(1[89]|20)\d\d\b")
UNIT = re.compile(
    r"\[(cm|g |g\]|s-|s\]|K|erg|eV|dex|km|A\]|Angstrom|pixels|dyn)|\bin (K|cm|dex|km/s|Angstrom|pixels)\b"
    r"|\bcgs\b|_(aa|kms)\b"
)


class Name:
    """A public function, method or class, and all that is told of it."""

    def __init__(self, path: str, thing, above: str):
        self.path, self.thing, self.above = path, thing, above

    @cached_property
    def own(self) -> str:
        text = self.thing.__doc__ or ""
        return "" if text.startswith(f"{self.thing.__name__}(") else text  # what dataclasses make

    @property
    def told(self) -> str:
        return " ".join(f"{self.own} {self.above} {self.fields}".split())

    @cached_property
    def source(self) -> str:
        return inspect.getsource(inspect.unwrap(self.thing))

    @cached_property
    def fields(self) -> str:
        """Names of fields with a comment ``#:`` behind them."""
        found = (
            re.findall(r"^ +(\w+): .*  #: \S", self.source, re.MULTILINE)
            if inspect.isclass(self.thing)
            else []
        )
        return " ".join(found)

    @property
    def parameters(self) -> Iterator[inspect.Parameter]:
        if inspect.isclass(self.thing) and issubclass(self.thing, Exception):
            return
        try:
            given = inspect.signature(self.thing).parameters.values()
        except (TypeError, ValueError):  # an enumeration, a protocol
            return
        yield from (
            each for each in given if each.name not in ("self", "cls") and not each.name.startswith("_")
        )

    @property
    def raised(self) -> set[str]:
        """Errors of the package that its own lines raise."""
        if inspect.isclass(self.thing):
            return set()
        tree = ast.walk(ast.parse(textwrap.dedent(self.source)))
        calls = [
            each.exc.func for each in tree if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call)
        ]
        names = {getattr(each, "id", "") for each in calls}
        return {name for name in names if issubclass(getattr(starloom.errors, name, str), Exception)}


def public(module: ModuleType) -> list[str]:
    """Names of a module: those of its ``__all__``, or what it defines."""
    own = (
        name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__
    )
    return getattr(module, "__all__", None) or [name for name in own if not name.startswith("_")]


def methods(kind: type) -> Iterator[tuple[str, object]]:
    """Its own public methods and properties, as functions."""
    for name, thing in vars(kind).items():
        thing = (
            getattr(thing, "fget", None) or getattr(thing, "__func__", None) or getattr(thing, "func", thing)
        )
        if not name.startswith("_") and inspect.isfunction(thing):
            yield name, thing


def names_of(module_name: str) -> Iterator[Name]:
    module = import_module(module_name)
    for name in public(module):
        thing = getattr(module, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        above = f"{module.__doc__} {import_module(thing.__module__).__doc__}"
        yield Name(f"{module_name}.{name}", thing, above)
        if inspect.isclass(thing):
            for method, function in methods(thing):
                yield Name(f"{module_name}.{name}.{method}", function, f"{thing.__doc__} {above}")


@pytest.fixture(scope="module")
def names() -> list[Name]:
    pytest.importorskip("jax")
    pytest.importorskip("h5py")
    return [name for module in MODULES for name in names_of(module)]


@pytest.fixture(scope="module")
def everywhere() -> set[str]:
    """The words that mean the same everywhere."""
    rows = re.findall(r"^\| (`.*?) \|", (REFERENCE / "index.md").read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_module_is_in_the_reference_or_behind_it():
    found = {module.name for module in walk_packages(starloom.__path__, "starloom.")}
    behind = {name for name in found if any(name == one or name.startswith(f"{one}.") for one in INTERNAL)}
    assert found - behind - set(MODULES) == set()
    assert set(MODULES) - found == {"starloom"}


def test_what_the_package_offers_has_a_place_of_its_own():
    page = (REFERENCE / "starloom.md").read_text()
    assert set(re.findall(r":: starloom\.(\w+)", page)) == set(starloom.__all__)


def test_every_name_has_a_docstring(names):
    assert len(names) > 500
    assert [name.path for name in names if not name.own.strip()] == []


def test_every_parameter_is_told(names, everywhere):
    silent = []
    for name in names:
        words = set(re.findall(r"\w+", name.told)) | everywhere
        for each in name.parameters:
            of_the_package = getattr(each.annotation, "__module__", "").startswith("starloom")
            if each.name not in words and not of_the_package:
                silent.append(f"{name.path}: {each.name}")
    assert silent == []


def test_what_is_raised_is_told(names):
    assert [
        f"{name.path}: {error}" for name in names for error in name.raised if error not in name.told
    ] == []


def test_arrays_have_a_shape(names):
    """In the annotation, or in brackets in the text: ``[..., wavelength]``, ``float64[label]``."""
    shape = re.compile(r"\w*\[[^\]]*\]|shape")
    plain = [
        name
        for name in names
        if "ndarray" in str(getattr(name.thing, "__annotations__", {}).get("return", ""))
    ]
    assert len(plain) > 50
    silent = [
        name.path
        for name in plain
        if "Float[" not in str(name.thing.__annotations__) and not shape.search(name.told)
    ]
    assert silent == []


def test_physics_has_sources_and_units(names):
    """But the names of elements, which have neither."""
    physics = [name for name in names if name.path.startswith("starloom.physics.")]
    physics = [name for name in physics if not name.path.startswith("starloom.physics.species.")]
    assert len(physics) > 60
    assert [name.path for name in physics if not YEAR.search(name.told)] == []
    assert [name.path for name in physics if not UNIT.search(name.told)] == []


@pytest.mark.parametrize("name", ["generate", "fit", "read", "degrade", "Generator", "Spectrum", "Domain"])
def test_examples_give_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = getattr(starloom, name)
    finder = doctest.DocTestFinder(recurse=False)
    examples = finder.find(thing, name, globs={"starloom": starloom})
    assert sum(len(each.examples) for each in examples) > 0
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert [runner.run(each).failed for each in examples] == [0]
