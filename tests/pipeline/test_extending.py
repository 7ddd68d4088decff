"""docs/extending.md does what it says: its recipes, Python and commands run, in order, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import starloom

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


def install(project: dict, number: int, folder: Path) -> None:
    """The entry points of a ``pyproject.toml``, as they lie beside installed packages."""
    about = folder / f"page{number}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: page{number}\nVersion: 1.0\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in points.items()) for group, points in groups]
    (about / "entry_points.txt").write_text("".join(lines))


def run(line: str) -> str:
    """Standard output of a command in a process of its own."""
    done = subprocess.run([sys.executable, "-m", *shlex.split(line)], capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def test_every_recipe_of_the_page_runs(tmp_path, monkeypatch, own_formats):
    pytest.importorskip("jax")
    pytest.importorskip("scipy.stats")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    places = (Path(starloom.__file__).resolve().parents[1], tmp_path, tmp_path / "installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, places)))
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    space: dict = {}
    for number, (language, block) in enumerate(blocks):
        if language == "python":
            exec(compile(block, f"block {number}", "exec"), space)
        elif language == "sh":
            told = [run(line) for line in block.splitlines()][-1]
        elif "project" in (found := tomllib.loads(block)):
            install(found["project"], number, tmp_path / "installed")
    known = dict(line.split(maxsplit=1) for line in told.splitlines())
    assert known["bands"] == "rvs, triplet"
    assert "calcium" in known["models"].split(", ")
    assert "waveobs" in known["formats"].split(", ")
    assert space["model"].domain.names == ("teff", "logg", "mh", "vmic", "Ca", "vsini", "resolution")
    assert space["spectrum"].wavelength[0] == pytest.approx(8490.0)
    assert space["spectrum"].medium == "air"
