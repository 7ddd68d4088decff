"""What generation needs at import: NumPy; no JAX, and the rest only when it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

import starloom

# None in sys.modules is what Python itself takes for a module that cannot be imported
EXTRAS = ["jax", "jaxlib", "equinox", "optax", "matplotlib", "specutils"]
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}))"

GENERATION = [
    "starloom",
    "starloom.labels",
    "starloom.wavelength",
    "starloom.spectrum",
    "starloom.spectrum.fits",
    "starloom.spectrum.ecsv",
    "starloom.spectrum.csv",
    "starloom.io",
    "starloom.cli",
]


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_generation_imports_without_jax():
    imports = "\n".join(f"import {name}" for name in GENERATION)
    assert run(f"{BLOCKED}\n{imports}\nprint(sys.modules['jax'])") == "None\n"


def test_the_block_blocks():
    with pytest.raises(AssertionError, match="import of jax halted"):
        run(f"{BLOCKED}\nimport jax")


def test_info_runs_without_jax():
    text = run(f"{BLOCKED}\nsys.argv = ['starloom', 'info']\nfrom starloom.cli import main\nmain()")
    assert "processor (NumPy)" in text


def test_absent_extras_are_named():
    make = "from starloom import Spectrum\nspectrum = Spectrum([1.0], [1.0], medium='air')"
    for call, extra in (("plot", "plot"), ("to_specutils", "specutils")):
        with pytest.raises(AssertionError, match=rf"ConfigError: .* pip install 'starloom\[{extra}\]'"):
            run(f"{BLOCKED}\n{make}\nspectrum.{call}()")


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


def test_every_public_name_is_there():
    pytest.importorskip("jax")
    for name in starloom.__all__:
        assert getattr(starloom, name) is not None
    assert starloom.synthesize.__name__ == "synthesize_labels"


def test_public_names_are_shown():
    assert set(starloom.__all__) <= set(dir(starloom))


def test_the_package_is_typed():
    assert (Path(starloom.__file__).parent / "py.typed").is_file()
