"""What generation needs at import: NumPy; no JAX, and astropy or matplotlib only when they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

import starloom

BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jax", "jaxlib", "equinox", "optax"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""

GENERATION = [
    "starloom",
    "starloom.labels",
    "starloom.wavelength",
    "starloom.spectrum",
    "starloom.spectrum.fits",
    "starloom.spectrum.ecsv",
    "starloom.spectrum.csv",
    "starloom.cli",
]


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_generation_imports_without_jax():
    imports = "\n".join(f"import {name}" for name in GENERATION)
    assert run(f"{BLOCKED}\n{imports}\nprint('jax' in sys.modules)") == "False\n"


def test_the_block_blocks():
    with pytest.raises(AssertionError, match="No module named 'jax'"):
        run(f"{BLOCKED}\nimport jax")


def test_info_runs_without_jax():
    text = run(f"{BLOCKED}\nsys.argv = ['starloom', 'info']\nfrom starloom.cli import main\nmain()")
    assert "processor (NumPy)" in text


def test_import_stays_light():
    loaded = run("import starloom, sys\nprint(*sys.modules)").split()
    assert not {"astropy", "matplotlib", "jax", "typer", "scipy"} & set(loaded)


def test_layers_are_kept():
    root = Path(starloom.__file__).parents[2]
    if not (root / "pyproject.toml").exists():
        pytest.skip("the installed package carries no contracts")
    pytest.importorskip("importlinter")
    code = "import sys\nfrom importlinter.cli import lint_imports\nsys.exit(lint_imports())"
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
