"""What generation needs at import: NumPy; no JAX, and the rest only when it is used."""

import ast
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import starloom
from starloom import extras

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


def test_jax_is_loaded_by_what_the_document_says():
    """docs/architecture.md: physics but species, atmosphere, synthesis, training and what trains with it."""
    names = [found.name for found in pkgutil.walk_packages(starloom.__path__, "starloom.")]
    code = f"""
import sys
from importlib import import_module
sys.modules.update(jax=None, jaxlib=None)
for name in {names}:
    try:
        import_module(name)
    except ImportError as error:
        print(name, error.name)
"""
    lines = [line.split() for line in run(code).splitlines()]
    loading = {name for name, package in lines if package.partition(".")[0] == "jax"}
    layers = {name for name in names if name.split(".")[1] in ("physics", "atmosphere", "nlte", "synthesis")}
    assert layers - loading == {"starloom.physics", "starloom.physics.species"}
    rest = loading - layers
    assert {name for name in rest if not name.startswith("starloom.paper.")} == {
        "starloom.networks.training",
        "starloom.networks.processes",
        "starloom.networks.emulation",
        "starloom.inference.learned.training",
        "starloom.evaluation.line_errors",
    }


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


@pytest.mark.parametrize("command", ["fit", "forecast --snr 50"])
def test_fits_and_forecasts_ask_for_no_more_than_they_need(tmp_path, command):
    labels = "teff=5777, logg=4.44, vsini=2, mh=0, vmic=1, resolution=11500"
    run(f"import starloom\nstarloom.generate({labels}).write({str(tmp_path / 'star.fits')!r})")
    words = command.split() + ([str(tmp_path / "star.fits")] if command == "fit" else [])
    blocked = "import sys; sys.modules.update(scipy=None, jax=None)"
    told = r"scipy is not installed: pip install 'starloom\[fit\]'"
    with pytest.raises(AssertionError, match=f"starloom: {told}"):
        run(f"{blocked}\nsys.argv = {['starloom', *words]}\nfrom starloom.cli import main\nmain()")
    with pytest.raises(AssertionError, match=f"ImportError: {told}"):
        run(f"{blocked}\nimport starloom\nstarloom.fit")


def test_each_package_comes_with_the_smallest_extra_that_has_it():
    """By the requirements of the package as it is declared, not as it happens to be installed."""
    path = Path(starloom.__file__).parents[2] / "pyproject.toml"
    if not path.exists():
        pytest.skip("the installed package has no declaration beside it")
    project = tomllib.loads(path.read_text())["project"]

    def brought(extra: str) -> set[str]:
        found = set()
        for line in project["optional-dependencies"][extra]:
            name, *inner = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", line).groups()
            parts = inner[0].split(",") if inner[0] else []
            found |= {name, *parts} if name != "starloom" else set().union(*map(brought, parts))
        return found

    extras_of = {extra: brought(extra) for extra in project["optional-dependencies"]}
    for package, wanted in extras.PACKAGES.items():
        if wanted == "starloom":
            assert any(line.startswith(package) for line in project["dependencies"])
            continue
        holding = {extra: len(all_) for extra, all_ in extras_of.items() if package in all_}
        assert wanted == f"starloom[{min(holding, key=holding.get)}]", package


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


def test_no_two_classes_have_one_name():
    """One word means one thing."""
    package = Path(starloom.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")]
    found = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in found.items() if count > 1] == []


def test_public_names_are_shown():
    assert set(starloom.__all__) <= set(dir(starloom))


def test_the_package_is_typed():
    assert (Path(starloom.__file__).parent / "py.typed").is_file()
