"""The command line as a user meets it."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import starloom
from starloom import Spectrum, cli
from starloom.errors import OutOfRangeError
from starloom.labels import LABELS


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_version():
    assert run("--version") == f"starloom {starloom.__version__}\n"


def test_help_names_every_command():
    text = run("--help")
    for command in ("labels", "info", "demo"):
        assert command in text


def test_labels_prints_the_domain():
    lines = run("labels").splitlines()
    for label in LABELS:
        (line,) = [line for line in lines if line.startswith(label.name + " ")]
        assert label.description in line
    assert "teff        Teff     K       3600   15000   effective temperature" in lines


def test_info_prints_versions_devices_tables_and_models():
    lines = dict(line.split(maxsplit=1) for line in run("info").splitlines())
    assert lines["starloom"] == starloom.__version__
    assert lines["numpy"] == np.__version__
    assert "cpu" in lines["devices"] or "cuda" in lines["devices"]
    assert {"python", "astropy", "jax", "tables", "models"} <= lines.keys()


def test_demo_writes_what_it_says(tmp_path):
    text = run("demo", str(tmp_path / "new"))
    assert "the same bits" in text
    assert "CHANGED" not in text
    assert (tmp_path / "new" / "demo.png").read_bytes().startswith(b"\x89PNG")
    spectrum = Spectrum.read(tmp_path / "new" / "black_body.fits")
    # Planck: 2 pi h c^2 / lambda^5 / (exp(hc / lambda k T) - 1) at 8600 A in air, 9950 K
    wavelength_cm = spectrum.to_vacuum().wavelength[2000] * 1e-8
    exponent = 1.438776877 / (wavelength_cm * 9950)
    assert spectrum.flux[2000] == pytest.approx(
        3.741771852e-5 / wavelength_cm**5 / np.expm1(exponent) * 1e-8, rel=1e-8
    )


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
    assert result.stderr == f"starloom: {tmp_path / 'file'}: File exists\n"


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), OSError("no file involved")])
def test_bugs_keep_their_traceback(monkeypatch, error):
    monkeypatch.setattr(cli, "app", raising(error))
    with pytest.raises(type(error)):
        cli.main()
