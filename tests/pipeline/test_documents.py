"""What the documents say is so: their Python and commands run, in order, each document in an empty folder.

What takes hours is run with the recipes ``tiny``. A block with a name behind its language is a file of that
name; other files that a reader brings are made here. A block of text behind commands is what the last of them
prints.
"""

import ast
import re
import shlex
import shutil
import tomllib
from importlib.resources import files
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import starloom
from starloom import bands, cli, recipes
from starloom.database import build
from starloom.database import recipe as store_recipes
from starloom.io.formats import gaia

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
DOCUMENTS.remove("docs/extending.md")  # test_extending.py
STAND_IN = run_path(str(Path(__file__).with_name("stand_in.py")))
SERVERS = ("starloom explore", "python -m http.server")  # they run until they are stopped


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_links_lead_somewhere(readme):
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", readme)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == starloom.__version__
    assert citation["license"] == "BSD-3-Clause"
    assert {"cff-version", "message", "title", "authors", "type"} <= citation.keys()


# Commands and Python


def blocks(document: str) -> list[tuple[str, str, str]]:
    """Language, name of a file or "", and text of a document's blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(*f"{head} ".split(" ", 1), body) for head, body in found]


def commands(text: str) -> list[str]:
    """The lines of a block of commands, without remarks."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.join(shlex.split(line, comments=True)) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """The store ``tiny``, by the README's command."""
    folder = tmp_path_factory.mktemp("documents") / "store"
    invoke(["database", "build", "tiny", str(folder)])
    return folder


@pytest.fixture(scope="module")
def done(store, tmp_path_factory) -> dict[str, Path]:
    """What the recipes ``tiny`` make: a store, and a reproduction with it, in which the store lies too."""
    folder = tmp_path_factory.mktemp("documents") / "reproduction"
    shutil.copytree(store, folder / "store")
    invoke(["reproduce", "tiny", str(folder)])
    return {"store": store, "reproduction": folder}


def invoke(words: list[str]) -> str:
    """What a command prints; whatever it raises is raised here."""
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert result.exit_code == 0, f"{words}: {result.output}"
    return result.stdout


def run(line: str, done: dict[str, Path]) -> str:
    """Run a document's line, or look whether it could be run; what it prints."""
    words = shlex.split(line)
    if (" ".join(words[:2]) in SERVERS and len(words) == 2) or words[:3] == ["python", "-m", "http.server"]:
        return ""
    if words[0] == "starloom":
        return invoke(at_tiny_size(words[1:], done))
    if words[0] == "pip":
        extras = re.findall(r"[\w]+", "".join(re.findall(r"\[(.*?)\]", line)))
        assert set(extras) <= set(project()["optional-dependencies"])
        return ""
    if words[0] == "make":
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
        return ""
    assert words[0] == "python", f"{line}: it is not known how to try this"
    script = (ROOT / words[1]).read_text()
    for option in (word for word in words[2:] if word.startswith("-")):
        assert f'"{option}"' in script, line
    return ""


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def at_tiny_size(words: list[str], done: dict[str, Path]) -> list[str]:
    """A command with the recipe ``tiny`` where it would take hours; what that makes is there already."""
    if words[:2] == ["database", "build"] and words[2] in recipes.packaged("starloom.database"):
        if words[2] == "ends":
            return ["database", "status", stars_at_ends(words[3])]
        shutil.copytree(done["store"], words[3])
        return [*words[:2], "tiny", words[3]]
    if words[0] == "reproduce":
        if not Path(words[2]).exists():
            shutil.copytree(done["reproduction"], words[2])
        return ["reproduce", "tiny", *words[2:]]
    if words[0] == "train" and words[1] != "observed":
        given = words.index("--recipe") if "--recipe" in words else len(words)
        own = given < len(words) and words[given + 1].endswith(".toml")
        return words if own else [*words[:given], "--recipe", "tiny", *words[given + 2 :]]
    return words


def stars_at_ends(folder: str) -> str:
    """A store of made-up stars of the recipe ``ends``, of which 48 are too few."""
    recipe = store_recipes.load("ends")
    build.build(recipe, folder, STAND_IN["synthesize"], physics="stand-in 1", progress=False)
    return folder


def same_text(found: str, told: str) -> bool:
    """Whether two texts are the same, but for numbers that differ by rounding on another machine."""
    pairs = list(zip(found.split(), told.split(), strict=False))
    numbers = re.compile(r"[-+]?\d*\.?\d+(e[-+]?\d+)?$")
    if len(found.split()) != len(told.split()):
        return False
    return all(
        float(a) == pytest.approx(float(b), rel=0.02) if numbers.match(a) and numbers.match(b) else a == b
        for a, b in pairs
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_does_what_it_says(document, done, tmp_path, monkeypatch, own_formats):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for make in BROUGHT.get(document, ()):
        make(done)
    space, printed = {}, ""
    for number, (language, name, text) in enumerate(blocks(document)):
        place = f"{document}, block {number + 1}"
        assert language in {"python", "sh", "toml", "text", "csv"}, place
        if name.strip():
            Path(name.strip()).write_text(text)
        elif language == "python":
            exec(compile(text, place, "exec"), space)
        elif language == "toml":
            tomllib.loads(text)
        elif language == "sh":
            printed = [run(line, done) for line in commands(text)][-1]
        else:
            assert same_text(printed, text), f"{place}: it prints\n{printed}"
    if after := AFTER.get(document):
        after(space)


# What a reader brings


def atmosphere(_) -> None:
    """An ATLAS9 model of the Sun."""
    lines = run_path(str(Path(__file__).with_name("test_atmosphere_files.py")))["atlas9_lines"]()
    Path("model.mod").write_text("\n".join(lines) + "\n")


def grid_of_spectra(suffix: str, *columns: str) -> None:
    """Made-up spectra over the labels: a text file for each, and a table with these columns."""
    rng = np.random.default_rng(1)
    ranges = {"teff": (4000, 12000), "logg": (3.5, 4.5), "mh": (-1, 0.5), "vmic": (2, 2)}
    labels = {name: rng.uniform(*ends, 60) for name, ends in ranges.items()}
    vacuum = bands.load("rvs").chunks[0].wavelength_aa
    vacuum = np.linspace(vacuum[0] - 1, vacuum[-1] + 1, 12000)
    air = starloom.Spectrum(vacuum, np.ones(vacuum.size), medium="vacuum").to_air().wavelength
    Path("spectra").mkdir()
    rows = [",".join(["file", *columns])]
    for index, flux in enumerate(STAND_IN["on_grid"](vacuum, **labels)):
        np.savetxt(f"spectra/star{index}{suffix}", np.stack([air, flux, flux]).T, fmt="%.6f")
        values = [f"{labels[name][index]:.4f}" for name in columns]
        rows.append(",".join([f"star{index}{suffix}", *values]))
    Path("labels.csv").write_text("\n".join(rows) + "\n")


def archive(_) -> None:
    """A mean spectrum as Gaia's archive gives it, one as text, and a list of both."""
    from astropy.table import Table

    table = Table({"wavelength": gaia.WAVELENGTH_NM, "flux": np.ones(gaia.POINTS, np.float32)})
    table["flux_error"] = np.full(gaia.POINTS, 0.01, np.float32)
    table["wavelength"].unit = "nm"
    name = "RVS-Gaia DR3 2128215909315876352.fits"
    table.write(name)
    np.savetxt("star.txt", [(8400 + 0.1 * index, 1, 0.01) for index in range(4000)])
    Path("list.txt").write_text(f"{name}\nabsent.fits\n")


def a_store(done) -> None:
    """A store that is there."""
    shutil.copytree(done["store"], "STORE")


BROUGHT = {
    "docs/observed.md": (archive,),
    "docs/physics.md": (atmosphere,),
    "docs/reproduction.md": (a_store,),
    "docs/tutorial.md": (lambda _: grid_of_spectra(".txt", "teff", "logg", "mh"),),
}


# What is there in the end


def made(*names: str):
    def check(_: dict) -> None:
        assert {name for name in names if not Path(name).exists()} == set()

    return check


def first_steps(space: dict) -> None:
    made("a.png", "spectra.fits", "star_fit.png", "results.ecsv", "sun.png", "many.fits")(space)
    assert starloom.Spectrum.read("hot.fits").error.max() < 0.02
    assert starloom.Spectrum.read("star.fits").medium == "vacuum"
    whole = bands.load("rvs").chunks[0].points
    for name in ("intrinsic.fits", "sun.fits"):
        assert starloom.Spectrum.read(name).wavelength.size == whole


AFTER = {
    "README.md": first_steps,
    "docs/benchmark.md": made("default-2026-lte.safetensors"),
    "docs/explorer.md": made("page/index.html"),
    "docs/reproduction.md": made("DIR/report/report.html", "teff.safetensors"),
    "docs/tutorial.md": made("star.fits", "two_stars.png", "hot.png", "stars.fits", "mine.fits"),
}


def test_recipes_are_listed_where_they_are_chosen():
    for words, package in (
        (["database", "build"], "starloom.database"),
        (["train", "emulator"], "starloom.networks"),
        (["reproduce"], "starloom.paper"),
    ):
        text = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, [*words, "--help"]).output
        assert [name for name in recipes.packaged(package) if name not in text] == []


def test_every_recipe_has_a_line_that_says_what_it_is():
    for package in ("starloom.database", "starloom.networks", "starloom.paper"):
        for name in recipes.packaged(package):
            assert (files(package) / "recipes" / f"{name}.toml").read_text().startswith("# ")


def test_the_first_line_of_a_docstring_says_what_it_is():
    """No summary goes on in a second line, as an automatic re-wrap leaves it."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    long = []
    for path in sorted(Path(starloom.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, kinds) else None
            if text and "\n" in text.partition("\n\n")[0]:
                long.append(f"{path.name}: {text.splitlines()[0]}")
    assert long == []
