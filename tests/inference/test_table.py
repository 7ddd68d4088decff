"""Tables of fits: whole at any moment, resumed, and complete where something cannot be fitted."""

import numpy as np
import pytest
from astropy.table import Table

from starloom import cli
from starloom.errors import ConfigError
from starloom.inference import Settings, table
from starloom.io import read_list
from starloom.spectrum import Spectrum

FORMATS = (".ecsv", ".csv", ".fits")


@pytest.fixture(scope="module")
def folder(observed, tmp_path_factory):
    """Three stars, a file that is none, one that is missing, and one without resolution; and their list."""
    folder = tmp_path_factory.mktemp("stars")
    for number in range(3):
        observed(seed=number).write(folder / f"star{number}.fits")
    (folder / "text.txt").write_text("no spectrum\n")
    spectrum = observed(seed=9)
    Spectrum(spectrum.wavelength, spectrum.flux, medium="vacuum", error=spectrum.error).write(
        folder / "bare.ecsv"
    )
    names = ["star0.fits", "text.txt", "star1.fits", "missing.fits", "bare.ecsv", "star2.fits"]
    (folder / "list.txt").write_text("# stars\n" + "\n".join(names) + "\n")
    return folder


def rows(path):
    options = {"mask_invalid": False} if path.suffix == ".fits" else {}
    return Table.read(path, format=table.FORMATS[path.suffix], **options)


@pytest.mark.parametrize("suffix", FORMATS)
def test_all_rows_are_there(folder, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    counted = []
    found = table.fit_files(read_list(folder / "list.txt"), output, Settings(), progress=counted.append)
    assert found == (3, 3)
    assert sum(counted) == 6
    result = rows(output)
    assert list(result["number"]) == [1, 2, 3, 4, 5, 6]
    assert np.isfinite(result["teff"]).tolist() == [True, False, True, False, False, True]
    assert abs(result["teff"][0] - 5777) < 5 * result["teff_error"][0]
    assert result["teff_low"][0] < result["teff"][0] < result["teff_high"][0]
    assert 0 < result["teff_bound"][0] <= result["teff_error"][0] * 1.01
    faults = [str(text) for text in result["fault"]]
    assert "resolution: the spectrum does not tell it" in faults[4]
    assert "missing.fits" in faults[3]
    assert faults[1].startswith(str(folder / "text.txt"))


def test_formats_agree(folder, tmp_path):
    paths = read_list(folder / "list.txt")[:2]
    tables = []
    for suffix in FORMATS:
        table.fit_files(paths, tmp_path / f"out{suffix}", Settings())
        tables.append(rows(tmp_path / f"out{suffix}"))
    for other in tables[1:]:
        assert other.colnames == tables[0].colnames
        assert np.array_equal(other["teff"], tables[0]["teff"], equal_nan=True)
    assert str(tables[0]["teff"].unit) == str(tables[2]["vsini"].unit).replace("km / s", "K")


@pytest.mark.parametrize("suffix", FORMATS)
def test_resumed_where_it_was_stopped(folder, tmp_path, monkeypatch, suffix):
    """Stopped after two of three tasks: what was written stays, and only the rest is done."""
    monkeypatch.setattr(table, "BATCH", 2)
    monkeypatch.setattr(table, "SECONDS", 0.0)
    paths, output = read_list(folder / "list.txt"), tmp_path / f"out{suffix}"
    done, asked = table._done, []

    def stopping(model, settings, reading, task):
        asked.append(task.numbers)
        if task.numbers == (5, 6) and len(asked) == 3:
            raise KeyboardInterrupt
        return done(model, settings, reading, task)

    monkeypatch.setattr(table, "_done", stopping)
    with pytest.raises(KeyboardInterrupt):
        table.fit_files(paths, output, Settings())
    first = rows(output)
    assert list(first["number"]) == [1, 2, 3, 4]
    assert table.fit_files(paths, output, Settings()) == (3, 3)
    assert asked == [(1, 2), (3, 4), (5, 6), (5, 6)]
    whole = rows(output)
    assert list(whole["number"]) == [1, 2, 3, 4, 5, 6]
    assert np.array_equal(whole["teff"][:4], first["teff"], equal_nan=True)
    before = output.read_bytes() if suffix != ".fits" else None
    table.fit_files(paths, output, Settings())
    assert before in (None, output.read_bytes())
    assert not list(tmp_path.glob(".out*"))  # no temporary file is left


def test_other_settings_or_another_list_are_refused(folder, tmp_path):
    paths, output = read_list(folder / "list.txt")[:1], tmp_path / "out.ecsv"
    table.fit_files(paths, output, Settings())
    with pytest.raises(ConfigError, match=r"out\.ecsv: made with other settings"):
        table.fit_files(paths, output, Settings(continuum=2))
    with pytest.raises(ConfigError, match=r"row 1 is .*star0.fits, which is not so in the list"):
        table.fit_files([folder / "star2.fits"], output, Settings())
    with pytest.raises(ConfigError, match=r"must end with one of \.ecsv, \.csv, \.fits"):
        table.fit_files(paths, tmp_path / "out.txt", Settings())


def test_damaged_table(folder, tmp_path):
    output = tmp_path / "out.ecsv"
    output.write_text("# %ECSV 1.0\n# ---\nnonsense")
    with pytest.raises(Exception, match=r"out\.ecsv"):
        table.fit_files(read_list(folder / "list.txt"), output, Settings())


def test_workers_give_the_same(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "BATCH", 2)
    paths = read_list(folder / "list.txt")[1:5]
    table.fit_files(paths, tmp_path / "one.ecsv", Settings())
    table.fit_files(paths, tmp_path / "two.ecsv", Settings(), workers=2)
    one, two = (Table.read(tmp_path / f"{name}.ecsv") for name in ("one", "two"))
    assert one.colnames == two.colnames
    for name in one.colnames:
        if one[name].dtype.kind == "f":
            # products of matrices by one thread or by two are summed in another order, in float32
            np.testing.assert_allclose(one[name], two[name], rtol=2e-3, atol=1e-3, err_msg=name)
        else:
            assert list(one[name]) == list(two[name])


def test_interrupted_it_keeps_what_is_done(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "BATCH", 1)
    paths, output = read_list(folder / "list.txt")[1:5], tmp_path / "out.ecsv"
    told = []

    def interrupt(files):
        told.append(files)
        if len(told) == 3:  # what there was, one file, another one
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.fit_files(paths, output, Settings(), progress=interrupt)
    assert len(Table.read(output)) == 2
    assert list(tmp_path.iterdir()) == [output]
    told.clear()
    table.fit_files(paths, output, Settings(), progress=lambda files: told.append(files))
    assert told == [2, 1, 1]


# The command


def run(*words) -> int:
    """Exit code of ``starloom fit`` with these words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["starloom", "fit", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return ended.value.code or 0


def test_command_for_one_star(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    model, plot = tmp_path / "fit.fits", tmp_path / "fit.png"
    assert run(folder / "star0.fits", "-o", model, "--plot", plot) == 0
    text = capsys.readouterr().out
    assert "Teff     5" in text
    assert "what noise alone allows" in text
    assert "R        11500" in text
    assert Spectrum.read(model).labels["logg"] == pytest.approx(4.44, abs=0.3)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_command_options(folder, capsys):
    words = ["--fix", "logg=4.44", "--prior", "mh=0.1:0.05", "--continuum", "2", "--mask", "8500:8505"]
    assert run(folder / "bare.ecsv", "--resolution", "11500", "--core", "0", *words) == 0
    assert "log g    4.44" in capsys.readouterr().out


def test_command_leaves_telluric_lines_out(folder, capsys):
    assert run(folder / "star0.fits", "--telluric") == 0
    assert "Teff     5" in capsys.readouterr().out
    assert run(folder / "bare.ecsv", "--resolution", "11500", "--telluric") == 2
    assert "starloom: telluric: in a spectrum in its star's rest frame" in capsys.readouterr().err


def test_command_for_a_list(folder, tmp_path, capsys):
    output = tmp_path / "out.csv"
    assert run("--from", folder / "list.txt", "-o", output) == 1
    assert f"{output}: 3 fits, 3 without" in capsys.readouterr().out
    assert len(rows(output)) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give the file of a spectrum, or --from with a list of them"),
        (["x.fits", "--fix", "logg"], "--fix logg: expected NAME=VALUE"),
        (["x.fits", "--prior", "logg=4"], "--prior 4: expected two numbers with a colon"),
        (["x.fits", "--velocities", "a:b"], "--velocities a:b: 'a' is no number"),
        (["x.fits"], "x.fits: No such file or directory"),
        (["--from", "x.txt"], "--from needs -o FILE"),
    ],
)
def test_command_errors_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_command_does_not_overwrite(folder, tmp_path, capsys):
    taken = tmp_path / "taken.fits"
    taken.write_text("")
    assert run(folder / "star0.fits", "-o", taken) == 2
    assert "taken.fits exists: --overwrite replaces it" in capsys.readouterr().err
