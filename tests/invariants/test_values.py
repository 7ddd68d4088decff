"""Labels, domain and band are values that are handed on; few modules know those of the package."""

import ast
from pathlib import Path

import starloom

PACKAGE = Path(starloom.__file__).parent
# the paper's domain, the floor of the packaged structures, the packaged band and what is made of them
PACKAGED = {"TABLE_1", "RADIATION_LIMIT", "UNNAMED"}
BAND = "rvs"
# module, and why it may know one of them
READERS = {
    "atmosphere/grid.py": "the packaged structures, whose floor it is",
    "cli/demo.py": "the star of the paper's figure 1, at the packaged band's points",
    "cli/synthesis.py": "its options name the packaged band",
    "database/batches.py": "fixed sets written before they said their labels and band",
    "database/recipe.py": "recipes without floor or band; the order of the paper's labels in digests",
    "io/many_spectra.py": "files of many spectra written before they named their labels",
    "labels.py": "where the two values are",
    "networks/weights.py": "weights files of format 1",
    "spectrum/__init__.py": "arrays of six labels without names",
    "spectrum/spectra.py": "the same",
    "synthesis/photosphere.py": "the band where none is given",
}


def known(path: Path) -> bool:
    """Whether a module names one of the packaged values."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        if names & PACKAGED or (isinstance(node, ast.Constant) and node.value == BAND):
            return True
    return False


def test_few_modules_know_the_packaged_domain_and_band():
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if known(path)}
    assert found <= set(READERS)
    assert len(READERS) <= 12
