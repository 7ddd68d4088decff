"""Labels, domain and band are values that are handed on; few modules know those of the package."""

import ast
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

import starloom
from starloom import bands
from starloom.io import LabelTable, Record
from starloom.labels import TABLE_1
from starloom.networks import weights
from starloom.networks.generator import Viewpoint

PACKAGE = Path(starloom.__file__).parent
# the paper's domain, the floor of the packaged structures, the packaged band and what is made of them
PACKAGED = {"TABLE_1", "RADIATION_LIMIT", "UNNAMED"}
BAND = "rvs"
# and under no name at all: ends and number of points of the band's grids, ranges that only table 1 has
GRIDS = (*bands.load(BAND).chunks, *bands.load(BAND).kept)
NUMBERS = {number for grid in GRIDS for number in (grid.first_aa, grid.last_aa, grid.points)}
RANGES = [[low, high] for label, low, high in TABLE_1.ranges if label.name in ("teff", "resolution")]
# module, and why it may know one of them
READERS = {
    "atmosphere/grid.py": "the packaged structures, whose floor it is",
    "cli/physics_error.py": "its option names the packaged band",
    "cli/synthesis.py": "its options name the packaged band",
    "database/batches.py": "fixed sets written before they said their labels and band",
    "database/store.py": "the identity of stores of format 1, which named the kept grid by its numbers",
    "database/recipe.py": "recipes without floor or band; the order of the paper's labels in digests",
    "io/many_spectra.py": "files of many spectra written before they named their labels",
    "labels.py": "where the two values are",
    "networks/weights.py": "weights files of format 1",
    "spectrum/__init__.py": "arrays of six labels without names",
    "spectrum/spectra.py": "the same",
    "synthesis/band.py": "the band where none is given",
}


def names_in(node: ast.AST) -> set[str]:
    """What is imported by name, and what is taken out of a module."""
    imported = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
    return imported | ({node.attr} if isinstance(node, ast.Attribute) else set())


def is_packaged(node: ast.AST) -> bool:
    """Whether a constant or a pair of them is one of the packaged values."""
    if isinstance(node, ast.Tuple):
        return [getattr(part, "value", None) for part in node.elts] in RANGES
    value = getattr(node, "value", None)
    if isinstance(value, int | float):
        return any(abs(value - number) < 1e-6 for number in NUMBERS)
    return value == BAND


def known(path: Path) -> bool:
    """Whether a module names one of the packaged values, or spells it."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return any(names_in(node) & PACKAGED or is_packaged(node) for node in nodes)


def test_few_modules_know_the_packaged_domain_and_band():
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if known(path)}
    assert found == set(READERS)
    assert len(READERS) <= 12


def dataclasses_in(value) -> Iterator:
    """The value and the dataclasses that its fields lead to."""
    yield value
    for field in fields(value) if is_dataclass(value) else ():
        inner = getattr(value, field.name)
        inner = list(inner.values()) if isinstance(inner, dict) else inner
        for item in inner if isinstance(inner, list | tuple) else [inner]:
            if is_dataclass(item):
                yield from dataclasses_in(item)


def test_what_a_user_holds_is_told_in_one_short_line():
    pytest.importorskip("scipy")
    from starloom.inference.forecast import Setting, forecast

    generator = starloom.Generator.load()
    spectra = starloom.generate(teff=[5777, 6000], logg=4.44, vsini=2, mh=0, vmic=1, resolution=11500)
    setting = Setting(snr=50)
    held = [
        generator,
        starloom.LABELS,
        weights.load(weights.find("default-2026-lte")),
        spectra,
        spectra[0],
        starloom.fit(spectra[0], generator),
        setting,
        forecast(generator, spectra.labels[0], setting),
        Viewpoint(np.arange(8450.0, 8600.0), "air", np.zeros(())),
        Record(spectra.wavelength, spectra[0].flux),
        LabelTable(spectra.labels, {}),
    ]
    for value in (inner for outer in held for inner in dataclasses_in(outer)):
        text = repr(value)
        assert len(text) <= 400, type(value)
        assert "\n" not in text, type(value)
        assert "array(" not in text, type(value)
    assert repr(generator).startswith("Generator('default', emulator of teff, logg, mh, alpha")
    assert repr(generator.domain).startswith("Domain(teff 3300 to 15000 K, logg -0.5 to 5.5 dex")
    assert "sizes=float32[3, 540, 200]" in repr(generator.stated)
    assert repr(starloom.LABELS).startswith("the labels teff, logg, vsini")
