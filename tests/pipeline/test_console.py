"""What a user is told: JSON alone on standard output, the log on standard error, defaults of one's own."""

import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import typer

from starloom import cli, examples, places
from starloom.cli import configuration, console
from starloom.errors import ConfigError
from starloom.inference.table import rows_of
from starloom.io import spectra_in
from starloom.labels import LABELS
from starloom.networks import weights

SUN = ("--teff", 5777, "--logg", 4.44, "--vsini", 0, "--mh", 0, "--vmic", 1)


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    examples.write(folder)
    return folder


@pytest.fixture
def defaults(tmp_path, monkeypatch):
    """Writes a user's file of defaults; gives its path."""

    def write(text: str):
        path = tmp_path / "mine" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        monkeypatch.setenv("STARLOOM_CONFIG", str(path))
        return path

    return write


def parsed(text: str) -> list[dict]:
    """Lines of JSON, by a reader that refuses what is not in the standard, such as NaN."""

    def refuse(word):
        raise ValueError(word)

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


# JSON


def test_labels_info_and_models_as_json(command):
    domain = weights.load(weights.find("default")).header.domain
    code, out, err = command("labels", "--json")
    (found,) = parsed(out)
    assert (code, err) == (0, "")
    assert [label["name"] for label in found["labels"]] == list(domain.names)
    for label, low, high in zip(found["labels"], domain.low, domain.high, strict=True):
        assert (label["low"], label["high"]) == (low, high)
        assert label["unit"] == LABELS[label["name"]].unit
    (about,) = parsed(command("info", "--json")[1])
    assert about["packages"]["numpy"] == np.__version__
    assert "gaia" in about["formats"]
    models = parsed(command("models", "--json")[1])
    assert [model["name"] for model in models] == list(weights.names())
    assert models[0]["bytes"] == weights.find(models[0]["name"]).stat().st_size


def test_a_forecast_as_json_has_null_where_there_is_no_bound(command):
    code, out, err = command("forecast", *SUN, "--snr", 50, "--json")
    (found,) = parsed(out)
    assert (code, err) == (0, "")
    assert found["teff"] == 5777
    assert 50 < found["teff_bound"] < 200
    assert found["vsini_bound"] is None
    assert "square" in found["vsini_remark"]
    assert found["velocity"] == 0


def test_one_fit_is_one_object_with_the_columns_of_a_table(command, stars, tmp_path):
    code, out, err = command("fit", stars / "star.fits", "--json", "-o", tmp_path / "best.fits")
    (one,) = parsed(out)
    assert (code, err) == (0, "")
    assert (tmp_path / "best.fits").exists()
    table = tmp_path / "table.csv"
    code, out, _ = command("fit", stars / "star.fits", stars / "absent.fits", "--json", "-o", table)
    first, second = parsed(out)
    assert code == 1
    assert first.keys() - {"digest"} == one.keys()
    assert first["teff"] == pytest.approx(one["teff"], abs=0.02 * one["teff_error"])
    assert (second["number"], second["teff"], second["flags"]) == (2, None, "")
    assert "absent.fits" in second["fault"]
    assert [row["name"] for row in rows_of(table)] == [first["name"], second["name"]]


def test_many_files_folders_and_lists_are_the_same(command, stars, tmp_path):
    some = tmp_path / "some"
    some.mkdir()
    for name in ("09.fits", "08.csv"):
        (some / name).write_bytes((stars / "stars" / name).read_bytes())
    (some / "notes.md").write_text("no spectrum")
    code, out, err = command("fit", some, "--json")
    rows = parsed(out)
    assert (code, err) == (0, "")
    assert [row["name"] for row in rows] == [str(some / "08.csv"), str(some / "09.fits")]
    code, out, err = command("fit", *sorted(some.glob("0*")), "-o", tmp_path / "two.ecsv")
    assert (code, out) == (0, f"{tmp_path / 'two.ecsv'}: 2 fits, 0 without\n")
    assert [row["teff"] for row in rows_of(tmp_path / "two.ecsv")] == [row["teff"] for row in rows]


def test_of_a_folder_what_is_no_spectrum_is_left_out_and_told(stars, tmp_path, caplog):
    assert [path.name for path in spectra_in(stars)] == ["a_star.csv", "star.fits"]
    assert f"{stars}: left out, since no spectrum is in it: list.txt, truth.csv" in caplog.text
    (tmp_path / "plain.txt").write_text("# a star\n8500.0 0.99\n8500.1 0.98\n")
    (tmp_path / "spoiled.csv.gz").write_bytes(b"\x1f\x8b no such thing")
    assert len(spectra_in(tmp_path)) == 2  # what cannot be read has a row that says so
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "notes.txt").write_text("two words\n")
    with pytest.raises(ConfigError, match="words: no spectrum is in it"):
        spectra_in(tmp_path / "words")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give the file of a spectrum"),
        (("star.fits", "--from", "list.txt"), "give the file of a spectrum"),
        (("star.fits", "a_star.csv"), "many spectra need -o FILE for a table, or --json"),
        (("stars",), "many spectra need -o FILE"),
        (("stars", "--json", "--plot", "x.png"), "go with neither --plot"),
        (("list.txt",), "list.txt: a list of files, which --from is for"),
        (("truth.csv",), "truth.csv: no wavelength and flux"),
        (("empty", "--json"), "empty: no file in it ends with one of .fits"),
    ],
)
def test_what_cannot_be_fitted_is_told(command, stars, monkeypatch, words, told):
    monkeypatch.chdir(stars)
    (stars / "empty").mkdir(exist_ok=True)
    code, out, err = command("fit", *words)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_json_has_no_type_and_no_number_that_the_standard_lacks(capsys):
    console.print_json({"a": np.float32(0.5), "b": np.array([1.0, np.inf]), "c": "\udcff", 1: (np.nan, True)})
    out = capsys.readouterr().out
    assert parsed(out) == [{"a": 0.5, "b": [1.0, None], "c": "\udcff", "1": [None, True]}]
    assert out.isascii()


# The log


def test_more_and_less_is_said_before_or_behind_a_command(command, stars):
    star = stars / "star.fits"
    for words in (("-v", "fit", star), ("fit", star, "--verbose")):
        code, out, err = command(*words)
        assert code == 0
        assert out.startswith("Teff")
        assert f"starloom: {star}: Spectrum(2401 wavelengths" in err
    _, out, err = command("fit", star, "--snr", 50)
    assert err == f"starloom: {star}: --snr is for spectra without errors; this one's are used\n"
    assert command("fit", star, "--snr", 50, "-q") == (0, out, "")
    code, out, err = command("-q", "fit", stars / "absent.fits")
    assert (code, out) == (2, "")
    assert err.startswith("starloom: ")  # errors are said all the same


def test_without_a_standard_error_nothing_is_said_on_standard_output(monkeypatch, capsys):
    console.speak()
    monkeypatch.setattr(console.sys, "stderr", None)
    console.log.warning("a warning")
    assert cli._refuse("a reason") == 2
    assert not console.shows_bars()
    assert capsys.readouterr().out == ""


def test_where_an_error_was_raised_is_said_when_asked(command):
    code, _, err = command("-vv", "labels", "--model", "none")
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("starloom: ")
    assert "Traceback" not in command("labels", "--model", "none")[2]


def test_the_log_is_python_s_own(caplog, command, stars):
    with caplog.at_level(logging.INFO, logger="starloom"):
        command("-v", "fit", stars / "star.fits")
    assert any(record.name == "starloom" and "Gaia RVS" in record.message for record in caplog.records)


def test_bars_are_shown_in_a_terminal_alone_and_not_if_unwanted(monkeypatch):
    monkeypatch.setattr(console.sys, "stderr", SimpleNamespace(isatty=lambda: True))
    console.speak()
    assert console.shows_bars()
    console.speak(quiet=True)
    assert not console.shows_bars()
    console.speak(progress=False)
    assert not console.shows_bars()
    monkeypatch.setattr(console.sys, "stderr", SimpleNamespace(isatty=lambda: False))
    console.speak()
    assert not console.shows_bars()


# Defaults


def test_defaults_of_a_user_are_those_of_options_and_give_way_to_them(command, defaults):
    path = defaults('model = "absent.safetensors"\nworkers = 3\n')
    code, _, err = command("labels")
    assert code == 2
    assert "absent.safetensors" in err
    assert command("labels", "--model", "default")[0] == 0
    code, out, err = command("config", "-v")
    assert (code, err.splitlines()[-1].count("absent.safetensors")) == (2, 1)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}
    assert lines["file"] == str(path)
    assert lines["model"].split() == ['"absent.safetensors"', "file"]
    assert lines["continuum"].split() == ["1", "built", "in"]
    assert f"defaults from {path}: model, workers" in err
    (found,) = parsed(command("config", "--json")[1])
    assert (found["workers"], found["exists"], found["cache"]) == (3, True, True)


def test_defaults_that_do_not_fit_give_way(command, defaults, stars):
    """Abundances where no element is fitted, workers where spectra are fitted together."""
    defaults("abundances = true\nworkers = 2\n")
    assert command("fit", stars / "star.fits")[0] == 0
    code, _, err = command(
        "fit", "--from", stars / "list.txt", "--group-by", "absent", "-o", stars / "g.ecsv"
    )
    assert (code, "absent" in err) == (2, True)
    assert command("fit", stars / "star.fits", "--abundances")[0] == 2
    code, _, err = command("fit", stars / "star.fits", "--dask", "tcp://nowhere:1")
    assert (code, "--dask is for many spectra" in err) == (2, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("modle = 1", "unknown key modle; known are model, workers"),
        ("workers = 0", "workers = 0 is below 1"),
        ('workers = "two"', "workers = 'two' is no whole number"),
        ("continuum = 21", "continuum = 21 is outside [0, 20]"),
        ("model = ", "Invalid value"),
    ],
)
def test_what_is_wrong_in_it_is_told_with_path_and_key(command, defaults, text, told):
    path = defaults(text)
    code, out, err = command("labels")
    assert (code, out) == (2, "")
    assert err.startswith(f"starloom: {path}: ")
    assert told in err


def test_arguments_of_the_same_name_are_left_alone():
    tree = configuration.defaults(typer.main.get_command(cli.app), {"model": "mine", "workers": 2})
    assert tree["fit"] == {"model": "mine", "workers": 2}
    assert tree["evaluate"] == {}
    assert tree["database"]["build"] == {"workers": 2}


def test_the_file_is_where_the_platform_has_such_files(monkeypatch, tmp_path):
    monkeypatch.delenv("STARLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert places.configuration_file() == tmp_path / "starloom" / "config.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.configuration_file() == tmp_path / ".config" / "starloom" / "config.toml"
    monkeypatch.setenv("STARLOOM_CONFIG", "")
    assert places.configuration_file() is None
