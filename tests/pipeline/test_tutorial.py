"""docs/tutorial.md does what it says: its Python and its commands run, in order, in an empty folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot
import pytest
from typer.testing import CliRunner

import starloom
from starloom import cli
from starloom.networks import weights

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
STARS = "teff,logg,vsini,mh,vmic\n5000,4.5,3,0,1\n6000,4.2,8,-0.5,1.2\n9000,4,90,0.2,2\n"


def blocks(*languages: str) -> list[tuple[str, str]]:
    """Language and text of the document's blocks of code in these languages."""
    found = re.findall(
        r"^```(\w+)\n(.*?)^```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [(language, text) for language, text in found if language in languages]


def test_the_tutorial_runs(tmp_path, monkeypatch):
    if "default" not in weights.names():
        pytest.skip("no default model is packaged")
    pytest.importorskip("specutils")
    pytest.importorskip("jax")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(starloom.__file__).resolve().parents[1]))
    Path("stars.csv").write_text(STARS)
    space: dict = {}
    for number, (language, text) in enumerate(blocks("python", "sh")):
        if language == "python":
            exec(compile(text, f"tutorial block {number}", "exec"), space)
            continue
        for line in text.splitlines():
            command = [sys.executable, "-m", *shlex.split(line)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    matplotlib.pyplot.close("all")
    assert {"star.fits", "two_stars.png", "hot.png", "stars.fits"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_the_commands_for_training_exist():
    (text,) = [text for _, text in blocks("console")]
    for line in text.splitlines():
        words = shlex.split(line)[1:]
        path = words[: 1 + (words[0] in ("database", "train"))]
        result = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, [*path, "--help"])
        assert result.exit_code == 0, line
        for option in (word for word in words if word.startswith("-")):
            assert option in result.output, f"{line}: {option}"
