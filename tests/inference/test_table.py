"""Tables of fits: whole at any moment, resumed, and complete where something cannot be fitted."""

import dataclasses
import resource

import numpy as np
import pytest
from astropy.table import Table

from starloom import cli
from starloom.errors import ConfigError, WriteError
from starloom.inference import Settings, figure, fit, table
from starloom.inference.result import BAD_CHI2
from starloom.io import Observed, read_list
from starloom.networks import weights
from starloom.networks.generator import Generator
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
    assert "the spectrum does not tell its resolving power" in faults[4]
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

    def stopping(*options, **named):
        task = options[-1]
        asked.append(task.numbers)
        if task.numbers == (5, 6) and len(asked) == 3:
            raise KeyboardInterrupt
        return done(*options, **named)

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


@pytest.mark.parametrize("suffix", FORMATS)
def test_how_good_a_fit_is_stands_in_the_table(observed, tmp_path, suffix):
    """chi2/dof, the inflation and what was left out: the same numbers as of the fit alone."""
    spectrum = observed(seed=3)
    wavy = spectrum.flux * (1 + 0.02 * np.sin(np.arange(2401) / 20))
    mask = np.arange(2401) < 30
    bad = dataclasses.replace(spectrum, flux=wavy, mask=mask)
    bad.write(tmp_path / "wavy.fits")
    table.fit_files([tmp_path / "wavy.fits"], tmp_path / f"out{suffix}", Settings())
    (row,), result = rows(tmp_path / f"out{suffix}"), fit(bad)
    assert row["reduced_chi2"] == pytest.approx(row["chi2"] / row["dof"])
    assert row["reduced_chi2"] == pytest.approx(result.reduced_chi2, rel=1e-3)
    assert row["inflation"] == pytest.approx(result.inflation, rel=1e-2)
    assert result.reduced_chi2 > BAD_CHI2
    assert "bad_fit" in str(row["flags"]).split()
    assert "30 masked" in str(row["left_out"])
    told = figure.text(result)
    assert f"chi2 / dof = {result.reduced_chi2:.2f}" in told
    assert f"errors times {result.inflation**0.5:.2f} for misfit" in told


@pytest.mark.parametrize("suffix", FORMATS)
def test_tables_without_the_newer_columns_are_continued(folder, tmp_path, suffix):
    paths, output = read_list(folder / "list.txt")[:2], tmp_path / f"out{suffix}"
    table.fit_files(paths, output, Settings())
    older = rows(output)
    older.remove_columns(["reduced_chi2", "left_out"])
    older.write(output, format=table.FORMATS[suffix], overwrite=True)
    paths = read_list(folder / "list.txt")[:3]
    assert table.fit_files(paths, output, Settings()) == (2, 1)
    found = rows(output)
    assert found["reduced_chi2"][0] == found["chi2"][0] / found["dof"][0]
    assert np.isfinite(found["reduced_chi2"]).tolist() == [True, False, True]


@pytest.mark.parametrize("suffix", FORMATS)
def test_names_of_any_bytes(folder, tmp_path, suffix):
    """Each has its row, whatever the table can hold; and the table is continued."""
    names = [
        b"star0.fits",
        b"no\0ne.fits",
        b"\xff\xe9.fits",
        "\u00e9toile\u2028.fits".encode(),
        b"star1.fits",
    ]
    (folder / "odd.txt").write_bytes(b"\n".join(names))
    output = tmp_path / f"out{suffix}"
    assert table.fit_files(read_list(folder / "odd.txt"), output, Settings()) == (2, 3)
    written = output.read_bytes()
    assert table.fit_files(read_list(folder / "odd.txt"), output, Settings()) == (2, 3)
    assert rows(output)["number"].tolist() == [1, 2, 3, 4, 5]
    assert [str(text).split("/")[-1] for text in rows(output)["name"]][1:3] == [
        r"no\x00ne.fits",
        r"\udcff\udce9.fits",
    ]
    assert all("such file" in str(fault) or "null" in str(fault) for fault in rows(output)["fault"][1:4])
    assert len(written) == len(output.read_bytes())


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
    """Exit code of ``starloom fit`` with these words, by the model that made the stars."""
    words = words if "--model" in words else (*words, "--model", "default-2026-lte")
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


def test_a_ratio_that_is_not_used_is_told(folder, tmp_path, capsys):
    dataclasses.replace(Spectrum.read(folder / "star0.fits"), error=None).write(tmp_path / "bare.fits")
    for name, told in ((tmp_path / "bare.fits", False), (folder / "star0.fits", True)):
        assert run(name, "--resolution", "11500", "--snr", "50") == 0
        assert ("--snr is for spectra without errors; this one's are used" in capsys.readouterr().err) == told


def test_command_chooses_columns_and_format(folder, tmp_path, capsys):
    spectrum = Spectrum.read(folder / "star0.fits")
    columns = [spectrum.wavelength, np.ones_like(spectrum.flux), spectrum.flux, spectrum.error]
    np.savetxt(tmp_path / "four.txt", np.transpose(columns), fmt="%.17g")
    about = f"--medium {spectrum.medium} --frame {spectrum.frame} --unit Angstrom"
    plain = [*about.split(), "--resolution", "11500"]
    assert run(folder / "star0.fits") == 0
    expected = capsys.readouterr().out
    assert run(tmp_path / "four.txt", *plain) == 2
    assert "4 columns without names: choose with --columns 1,2,3" in capsys.readouterr().err
    assert run(tmp_path / "four.txt", *plain, "--columns", "1, 3,4") == 0
    assert capsys.readouterr().out == expected
    assert run(tmp_path / "four.txt", *plain, "--columns", "1,3", "--format", "ascii") == 0
    assert "error estimated" in capsys.readouterr().out
    assert run(tmp_path / "four.txt", *plain[2:], "--columns", "1,3,4") == 2
    assert "the file does not tell its medium: give --medium air|vacuum" in capsys.readouterr().err
    (tmp_path / "list.txt").write_text("four.txt\n")
    listed = ["--from", tmp_path / "list.txt", "-o", tmp_path / "out.csv"]
    assert run(*listed, *plain, "--columns", "1,3,4") == 0
    assert np.isfinite(rows(tmp_path / "out.csv")["teff"]).all()
    assert run(*listed, *plain, "--overwrite") == 1
    assert "choose with --columns 1,2,3" in rows(tmp_path / "out.csv")["fault"][0]


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
        (["x.fits", "--prior", "logg"], "--prior logg: expected NAME=MEAN:SIGMA"),
        (["x.fits", "--prior", "logg=4"], "--prior logg=4: expected two numbers with a colon"),
        (["x.fits", "--prior", "logg=4:1", "--prior", "logg=3:1"], "--prior logg is given twice"),
        (["x.fits", "--velocities", "a:b"], "--velocities a:b: 'a' is no number"),
        (["x.fits"], "x.fits: No such file or directory"),
        (["--from", "x.txt"], "many spectra need -o FILE"),
    ],
)
def test_command_errors_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


# What is lost, and what is not


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("precious.txt", [], "precious.txt: the name must end with one of .ecsv, .csv, .fits"),
        ("table.ecsv", ["--model", "nope"], "model 'nope' is not installed"),
        ("table.ecsv", ["--workers", "0"], "workers = 0 is below 1"),
        ("table.ecsv", ["--fix", "logg=9"], "logg = 9 dex is outside [2, 5] dex"),
        ("none/table.ecsv", [], "table.ecsv: folder"),
    ],
)
def test_overwriting_loses_nothing_before_the_first_fit(folder, tmp_path, capsys, name, words, message):
    output = tmp_path / name
    if output.parent.is_dir():
        output.write_text("precious")
    assert run("--from", folder / "list.txt", "-o", output, "--overwrite", *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"] * output.parent.is_dir()


def test_neither_list_nor_spectrum_is_replaced_by_the_table(folder, tmp_path, capsys):
    star = tmp_path / "star.fits"
    star.write_bytes((folder / "star0.fits").read_bytes())
    (tmp_path / "list.csv").write_text("star.fits\n")
    before = star.read_bytes()
    assert run("--from", tmp_path / "list.csv", "-o", star, "--overwrite") == 2
    assert "star.fits is one of the spectra" in capsys.readouterr().err
    assert run("--from", tmp_path / "list.csv", "-o", tmp_path / "list.csv", "--overwrite") == 2
    assert "list.csv is what is read" in capsys.readouterr().err
    assert run(star, "-o", star, "--overwrite") == 2
    assert "star.fits is what is read" in capsys.readouterr().err
    assert star.read_bytes() == before
    assert (tmp_path / "list.csv").read_text() == "star.fits\n"


@pytest.mark.parametrize("suffix", FORMATS)
def test_full_disk_keeps_the_table(folder, tmp_path, suffix):
    paths, output = [folder / "star0.fits"], tmp_path / f"out{suffix}"
    table.fit_files(paths, output, Settings())
    before = output.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(WriteError, match=f"^{output}: "):
            table.fit_files(paths, output, Settings(continuum=2), overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert output.read_bytes() == before
    assert list(tmp_path.iterdir()) == [output]
    table.fit_files(paths, output, Settings(continuum=2), overwrite=True)
    assert output.read_bytes() != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "out.txt"], "out.txt: the name must end with one of .fits, .ecsv, .csv"),
        (["-o", "no/x.fits"], "no/x.fits: folder no does not exist"),
        (["--plot", "no/x.png"], "no/x.png: folder no does not exist"),
        (["--plot", "x.gif"], "x.gif: the name must end with one of .png, .pdf, .svg"),
        (["--posterior", "no/x.png"], "no/x.png: folder no does not exist"),
        (["--posterior", "x.gif"], "x.gif: the name must end with one of .png, .pdf, .svg"),
        (["--plot", "x.png", "--posterior", "x.png"], "x.png is named twice"),
    ],
)
def test_outputs_are_checked_before_the_fit(folder, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Generator, "load", lambda name: pytest.fail("the work has begun"))
    assert run(folder / "star0.fits", *words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_fit_is_written_whatever_the_terminal(folder, tmp_path, monkeypatch):
    with open(tmp_path / "out", "w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert run(folder / "star0.fits", "-o", tmp_path / "fit.fits") == 0
    assert " +- " in (tmp_path / "out").read_text()
    assert Spectrum.read(tmp_path / "fit.fits").labels["logg"] == pytest.approx(4.44, abs=0.3)


def test_command_does_not_overwrite(folder, tmp_path, capsys):
    taken = tmp_path / "taken.fits"
    taken.write_text("")
    assert run(folder / "star0.fits", "-o", taken) == 2
    assert "taken.fits exists: --overwrite replaces it" in capsys.readouterr().err


def test_the_model_is_read_once(folder, tmp_path, monkeypatch):
    """So that what is made of it for the first task serves the others."""
    monkeypatch.setattr(table, "BATCH", 1)
    read, path = [], tmp_path / "own.safetensors"
    path.write_bytes(weights.find("default").read_bytes())
    load = weights.load
    monkeypatch.setattr(weights, "load", lambda *given: read.append(given) or load(*given))
    stars = [folder / f"star{number}.fits" for number in range(3)]
    assert table.fit_files(stars, tmp_path / "out.ecsv", Settings(), model=str(path)) == (3, 0)
    assert len(read) == 1


def test_a_file_of_many_spectra_is_fitted_as_it_is_read(monkeypatch):
    """Of 9 spectra no more are read than are fitted together, before their rows are there."""
    read, fitted = [], []

    def many(path):
        for number in range(9):
            read.append(number)
            told = (None, "made up") if number == 4 else (f"spectrum {number}",)
            yield Observed(f"{path}[{number}]", *told)

    def each(spectra, *_):
        for spectrum in spectra:
            fitted.append(len(read))
            yield table.Failure(f"fit of {spectrum}")

    monkeypatch.setattr(table, "read_each", many)
    monkeypatch.setattr(table, "fit_each", each)
    monkeypatch.setattr(table, "BATCH", 2)
    monkeypatch.setattr(table, "cpu_count", lambda: 1)
    columns = table.FitColumns(Generator.load("default-2026-lte").domain)
    rows = table._done("default", Settings(), {}, str, columns, table.Task((3,), ("many.csv",))).rows
    assert [row["name"] for row in rows] == [f"many.csv[{number}]" for number in range(9)]
    assert [row["fault"] for row in rows] == [
        "made up" if number == 4 else f"fit of spectrum {number}" for number in range(9)
    ]
    assert fitted == [2, 2, 4, 4, 6, 8, 8, 9]
