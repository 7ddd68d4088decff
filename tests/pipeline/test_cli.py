"""The command line as a user meets it."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from typer.testing import CliRunner

import starloom
from starloom import cli, tables
from starloom.errors import OutOfRangeError
from starloom.labels import TABLE_1


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_version():
    assert run("--version") == f"starloom {starloom.__version__}\n"


def test_help_names_every_command():
    text = run("--help")
    for command in (
        "labels",
        "info",
        "demo",
        "synthesize",
        "generate",
        "models",
        "evaluate",
        "database",
        "train",
    ):
        assert command in text


def test_help_keeps_units_in_brackets():
    assert "[km/s]" in run("synthesize", "--help")


def test_labels_prints_the_domain():
    lines = run("labels", "--model", "default-2026-lte").splitlines()
    for label in TABLE_1.labels:
        (line,) = [line for line in lines if line.startswith(label.name + " ")]
        assert label.description in line
    assert "teff        Teff     K       3600   15000   effective temperature" in lines
    assert "     11750        2.5          3          3          3" in lines
    (line,) = [line for line in lines if line.startswith("alpha ")]
    assert line.split()[:3] == ["alpha", "[alpha/M]", "dex"]
    assert lines[-1].startswith("Li .. U")
    assert any(line.split()[:2] == ["He", "[He/H]"] for line in lines)


def test_info_prints_versions_devices_tables_and_models():
    lines = dict(line.split(maxsplit=1) for line in run("info").splitlines())
    assert lines["starloom"] == starloom.__version__
    assert lines["numpy"] == np.__version__
    assert "cpu" in lines["devices"] or "cuda" in lines["devices"]
    assert {"python", "astropy", "jax", "tables"} <= lines.keys()


def test_info_names_what_other_packages_publish(monkeypatch):
    names = {"starloom.models": "calcium", "starloom.bands": "triplet"}
    monkeypatch.setattr(tables, "entry_points", lambda group: [EntryPoint(names[group], "theirs", group)])
    lines = dict(line.split(maxsplit=1) for line in run("info").splitlines())
    assert (lines["models"], lines["bands"]) == ("calcium", "triplet")
    assert "gaia" in lines["formats"]


def raising(error: Exception):
    def app():
        raise error

    return app


def test_our_errors_are_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", raising(OutOfRangeError("teff = 25000 K is outside [3600, 15000] K")))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == "starloom: teff = 25000 K is outside [3600, 15000] K\n"


def test_errors_of_the_file_system_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "starloom", "demo", str(tmp_path / "file")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == f"starloom: {tmp_path / 'file'}: is no folder\n"


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("a bug"), OSError("no file involved"), ImportError("a bug", name="starloom.x")],
)
def test_bugs_keep_their_traceback(monkeypatch, error):
    monkeypatch.setattr(cli, "app", raising(error))
    with pytest.raises(type(error)):
        cli.main()


def test_an_absent_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", raising(ImportError("No module named 'h5py'", name="h5py.h5")))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == "starloom: h5py is not installed: pip install 'starloom[database]'\n"
