"""docs/extending.md does what it says: its recipes, Python and commands run, in order, in an empty folder."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import starloom
from starloom.io import format as formats

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


@pytest.fixture
def own_formats(monkeypatch):
    """A registry that forgets what the page makes known."""
    with monkeypatch.context() as patch:
        patch.setattr(formats, "registered", dict(formats.registered))
        yield
    formats.formats.cache_clear()


def test_every_recipe_of_the_page_runs(tmp_path, monkeypatch, own_formats):
    pytest.importorskip("jax")
    pytest.importorskip("scipy.stats")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(starloom.__file__).resolve().parents[1]))
    text = PAGE.read_text(encoding="utf-8")
    space: dict = {}
    for number, (language, block) in enumerate(
        re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ):
        if language == "python":
            exec(compile(block, f"block {number}", "exec"), space)
        elif language == "toml":
            tomllib.loads(block)
        else:
            for line in block.splitlines():
                done = subprocess.run(
                    [sys.executable, "-m", *shlex.split(line)], capture_output=True, text=True
                )
                assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert space["model"].domain.names == ("teff", "logg", "mh", "vmic", "Ca", "vsini", "resolution")
    assert space["spectrum"].wavelength[0] == pytest.approx(8500.0)
    assert space["spectrum"].medium == "air"
