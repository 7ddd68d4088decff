"""What is handed on: versions agree, recipes name the package's dependencies, scripts find what is wrong."""

import json
import re
import tomllib
import zipfile
from pathlib import Path
from runpy import run_path

import pytest
import yaml

import starloom

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ARCHIVE = json.loads((ROOT / ".zenodo.json").read_text())
RECIPE = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text())
CONDA = {"astropy": "astropy-base", "matplotlib": "matplotlib-base"}  # without their graphical parts


def test_versions_agree():
    told = CITATION["version"], ARCHIVE["version"], RECIPE["context"]["version"]
    assert told == (starloom.__version__,) * 3


def test_the_archive_is_told_what_is_cited():
    for key in ("title", "license", "keywords"):
        assert ARCHIVE[key] == CITATION[key]
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert ARCHIVE["related_identifiers"][0]["identifier"] == CITATION["references"][0]["doi"]
    assert [author["name"] for author in CITATION["authors"]] == [
        each["name"] for each in ARCHIVE["creators"]
    ]


def conda(requirement: str) -> str:
    """A requirement as conda spells it."""
    name, versions = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
    return f"{CONDA.get(name, name)} {versions}"


def test_the_recipe_of_conda_has_the_dependencies():
    wanted = {conda(each) for each in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["fit"]]}
    run = set(RECIPE["requirements"]["run"])
    assert {each for each in run if not each.startswith("python ")} == wanted
    extras = {
        conda(each)
        for extra in PROJECT["optional-dependencies"].values()
        for each in extra
        if "[" not in each
    }
    assert set(RECIPE["requirements"]["run_constraints"]) <= extras
    assert PROJECT["requires-python"] == f">={RECIPE['context']['python_min']}"


@pytest.mark.parametrize(
    "path", ["CITATION.cff", ".pre-commit-config.yaml", ".github/ISSUE_TEMPLATE/config.yml"]
)
def test_files_for_others_are_read(path):
    assert yaml.safe_load((ROOT / path).read_text())


def test_hooks_are_what_lint_checks():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text()
    for hook in hooks:
        words = hook["entry"].removeprefix(".venv/bin/").split()
        assert f"$(BIN)/{' '.join(word for word in words if word != '--force-exclude')}" in lint


def test_what_does_not_belong_into_a_wheel_is_told(tmp_path, capsys):
    content = run_path(str(ROOT / "packaging/content.py"))
    names = [
        "starloom/__init__.py",
        "starloom/models/default.safetensors",
        "starloom/tables/a.npz",
        "starloom_paper/x",
    ]
    with zipfile.ZipFile(tmp_path / "starloom-1-py3-none-any.whl", "w") as wheel:
        for name in names:
            wheel.writestr(name, "x")
    assert content["main"](str(tmp_path)) == 1
    told = capsys.readouterr().err
    for fault in ("py.typed is not in it", "/LICENSE is not in it", "starloom_paper/x does not belong there"):
        assert fault in told


def test_the_sdist_is_from_the_root():
    sdist = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    assert all(name.startswith("/") and (ROOT / name[1:]).exists() for name in sdist["include"])


class Cluster:
    """A scheduler that is not there."""

    scheduler_address = "tcp://127.0.0.1:1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True


def test_a_store_is_built_by_the_workers_of_a_cluster(monkeypatch):
    """The script of docs/clusters.md; test_database.py builds with a real scheduler."""
    script, ran = run_path(str(ROOT / "packaging/cluster/build_store.py")), []
    space = script["main"].__globals__
    monkeypatch.setattr("sys.argv", ["build_store.py", "tiny", "STORE", "--local", "2"])
    monkeypatch.setitem(space, "local", lambda options: Cluster() if options.local == 2 else None)
    monkeypatch.setattr(
        "subprocess.run", lambda words: ran.append(words) or type("Done", (), {"returncode": 3})
    )
    assert script["main"]() == 3
    assert ran[0][1:] == [
        "-m",
        "starloom",
        "database",
        "build",
        "tiny",
        "STORE",
        "--dask",
        "tcp://127.0.0.1:1",
    ]


def test_a_job_of_the_queue_has_a_process_for_each_core():
    pytest.importorskip("dask_jobqueue")
    script = run_path(str(ROOT / "packaging/cluster/build_store.py"))
    options = script["parsed"](
        ["tiny", "STORE", "--cores", "4", "--hours", "1.5", "--directive=--account=stars"]
    )
    with script["queued"](options) as cluster:
        text = cluster.job_script()
    for part in (
        "--cpus-per-task=4",
        "-t 01:30:00",
        "--account=stars",
        "--nworkers 4",
        "--nthreads 1",
        "NPROC=1",
    ):
        assert part in text
