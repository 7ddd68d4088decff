"""Physics are known by their sources: by what they compute, not by how they are written."""

import ast
import shutil
from pathlib import Path
from runpy import run_path

import pytest

import starloom
from starloom import bands
from starloom.database import build, recipe, sources, store
from starloom.errors import StoreError

PACKAGE = Path(starloom.__file__).parent
# what synthesis imports and no number depends on
NEUTRAL = {"errors", "figures", "files", "memory", "notebook", "spectrum", "units"}
TEXT = '''
"""Module."""
def planck(x: float) -> float:
    """Law."""
    return 2 * x ** 3  # Planck (1900)
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Module.", "A module.", True),
        ("Law.", "The law.", True),
        ("# Planck (1900)", "", True),
        ("2 * x ** 3", "(2*x**3)", True),
        ("2 *", "3 *", False),
        ("2 *", "2.0 *", False),
        ("x ** 3", "x * 3", False),
        ("return 2", "return -2", False),
    ],
)
def test_form_is_what_is_computed(old, new, same):
    assert old in TEXT
    assert (sources.form(TEXT) == sources.form(TEXT.replace(old, new))) == same


def imported(path):
    """Modules of starloom that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("starloom"):
            module = node.module.removeprefix("starloom").strip(".")
            yield from [module] if module else [alias.name for alias in node.names]


def test_everything_that_synthesis_imports_counts():
    decisive = {name.removesuffix(".py").replace("/", ".") for name in sources.DECISIVE}
    for name in sources.DECISIVE:
        place = PACKAGE / name
        for path in place.rglob("*.py") if place.is_dir() else [place]:
            for module in imported(path):
                covered = any(module == each or module.startswith(f"{each}.") for each in decisive)
                assert covered or module.partition(".")[0] in NEUTRAL, f"{path} imports {module}"


def test_a_store_of_edited_physics_is_read_but_not_continued(tmp_path, monkeypatch):
    synthesize = run_path(str(Path(__file__).with_name("stand_in.py")))["synthesize"]
    folder, copy = tmp_path / "store", tmp_path / "starloom"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.npz", "*.safetensors", "__pycache__"))
    monkeypatch.setattr(sources, "files", lambda name: copy)

    def version():
        sources.source_digest.cache_clear()
        return build.physics_version(bands.load("rvs"))

    def made():
        tiny = recipe.load("tiny")
        return build.build(tiny, folder, synthesize, physics=version(), progress=False)

    before = version()
    made()
    path = copy / "physics" / "continuum.py"
    path.write_text("# a comment\n" + path.read_text())
    assert version() == before
    made()
    path.write_text(path.read_text() + "\nMORE = 1\n")
    assert version() != before
    with pytest.raises(StoreError, match=r"sources .*, this would be .*: it can be used as it is, but cont"):
        made()
    assert store.open_store(folder).flux(3).shape == (1, 7290)
    assert build.finished(recipe.load("tiny"), folder)
    sources.source_digest.cache_clear()
