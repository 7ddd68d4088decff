"""Tables of labels to files of spectra, and the commands around them."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from typer.testing import CliRunner

from starloom import Generator, Spectrum, bands, cli, io
from starloom.broadening import LIMB_DARKENING, finish_of
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.database import build, recipe, workers
from starloom.errors import ConfigError, ParseError, StarloomError
from starloom.labels import TABLE_1, Domain
from starloom.networks import emulator as emulation
from starloom.networks import weights
from starloom.networks.emulator import CoefficientNetwork, Emulator
from starloom.networks.forward import linear
from starloom.networks.scaling import label_scaling
from starloom.networks.stated_error import StatedError

STAR = {"teff": 9950, "logg": 3.5, "vsini": 2, "mh": 0.5, "vmic": 1.3, "resolution": 11500}
OPTIONS = [text for name, value in STAR.items() for text in (f"--{name}", str(value))]


RVS = bands.load("rvs")
GIANTS = Domain.of(
    {
        "teff": (3800.0, 5500.0),
        "logg": (0.5, 3.0),
        "mh": (-2.5, 0.5),
        "alpha": (-0.2, 0.6),
        "Ca": (-0.5, 0.5),
        "vsini": (0.0, 100.0),
        "resolution": (5000.0, 14500.0),
    }
)
GIANT = {"teff": 4500, "logg": 1.2, "mh": -1, "alpha": 0.3, "Ca": -0.2, "vsini": 6, "resolution": 11500}


def untrained(domain: Domain, band: bands.Band) -> weights.Model:
    """Emulators of a band's chunks: flux near 1 everywhere."""
    made = []
    for finish in finish_of(band).chunks:
        size = finish.frequency.size
        rng = np.random.default_rng(0)
        modes = 1e-4 * rng.normal(size=(8, 2 * size)) * np.tile(np.exp(-np.arange(size) / 300), 2)
        entry = CoefficientNetwork((16,)).initial(domain.intrinsic, 8, seed=0)
        network = entry.then(linear(modes, np.eye(2 * size)[0]))
        made.append(Emulator(domain, network, finish, LIMB_DARKENING, band.finest_resolution))
    return emulation.packed(made, band, card="# Stand-in\n\nUntrained.")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A weights file of an untrained emulator of the paper's labels."""
    path = tmp_path_factory.mktemp("model") / "stand_in.safetensors"
    weights.save(path, untrained(TABLE_1, RVS))
    return path


@pytest.fixture(scope="session")
def giants(tmp_path_factory):
    """A weights file of other labels and another band, of two chunks."""
    path = tmp_path_factory.mktemp("model") / "giants.safetensors"
    weights.save(path, untrained(GIANTS, bands.Band.over("two", 8450.0, 8750.0, 2)))
    return path


@pytest.fixture
def run(model, command):
    """The command line with that model; gives exit code, standard output and standard error."""

    def call(*words, with_model=True):
        return command(*words, *(["--model", model] if with_model else []))

    return call


@pytest.fixture
def table():
    """Five stars; the third is too hot."""
    columns = {name: np.full(5, float(value)) for name, value in STAR.items()}
    columns["teff"] = np.array([5000.0, 9950.0, 99500.0, 7000.0, 12000.0])
    return Table(columns)


# One star


def test_one_star(run, tmp_path):
    code, out, err = run("generate", *OPTIONS, "-o", tmp_path / "star.fits", "--plot", tmp_path / "star.png")
    assert (code, err) == (0, "")
    assert "Teff = 9950 K" in out
    assert "ms; it states no errors" in out
    spectrum = Spectrum.read(tmp_path / "star.fits")
    assert dict(spectrum.labels) == STAR
    assert spectrum.provenance["family"] == "emulator"
    assert (tmp_path / "star.png").read_bytes().startswith(b"\x89PNG")


def test_grid_medium_and_velocity(run, model, tmp_path):
    path = tmp_path / "star.ecsv"
    view = ["--grid", "8500:8600:0.25", "--medium", "vacuum", "--rv", "-30"]
    assert run("generate", *OPTIONS, *view, "-o", path)[0] == 0
    spectrum = Spectrum.read(path)
    np.testing.assert_allclose(spectrum.wavelength, np.arange(401) * 0.25 + 8500, rtol=1e-14)
    assert (spectrum.medium, spectrum.frame) == ("vacuum", "barycentric")
    generator = Generator.load(model)
    direct = generator.spectrum(
        list(STAR.values()), wavelength_aa=spectrum.wavelength, medium="vacuum", radial_velocity=-30
    )
    np.testing.assert_array_equal(direct.flux, spectrum.flux)


def test_what_exists_is_not_replaced(run, tmp_path):
    path = tmp_path / "star.csv"
    path.write_text("precious")
    code, _, err = run("generate", *OPTIONS, "-o", path)
    assert (code, err) == (2, f"starloom: {path} exists: --overwrite replaces it\n")
    assert path.read_text() == "precious"
    assert run("generate", *OPTIONS, "-o", path, "--overwrite")[0] == 0
    assert Spectrum.read(path).wavelength.size == 4000


def test_a_folder_is_no_place_for_one_spectrum(run, tmp_path):
    (tmp_path / "precious").touch()
    code, _, err = run("generate", *OPTIONS, "-o", tmp_path)
    assert (code, err) == (2, f"starloom: {tmp_path}: the name must end with one of .fits, .ecsv, .csv\n")


def test_clipping_is_asked_for_and_told(run, tmp_path):
    hot = [*OPTIONS, "--teff", "25000", "-o", tmp_path / "star.fits"]
    code, _, err = run("generate", *hot)
    assert (code, err) == (2, "starloom: teff = 25000 K is outside [3600, 15000] K\n")
    code, _, err = run("generate", *hot, "--clip")
    assert (code, err) == (
        0,
        "starloom: clipped into the domain: teff = 25000 K is outside [3600, 15000] K\n",
    )
    assert Spectrum.read(tmp_path / "star.fits").labels["teff"] == 15000


def test_rows_that_are_clipped_are_told_by_their_numbers_in_the_table(run, tmp_path):
    rows = [GOOD] * 300
    rows[1], rows[3] = "x" + GOOD, GOOD.replace("5000", "1000")
    rows[280] = GOOD.replace("5000", "2000")
    (tmp_path / "t.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    code, _, err = run("generate", "--from", tmp_path / "t.csv", "-o", tmp_path / "out.fits", "--clip")
    assert code == 1
    assert sorted(line for line in err.splitlines() if "clipped" in line) == [
        "starloom: row 281: clipped into the domain: teff = 2000 K is outside [3600, 15000] K",
        "starloom: row 4: clipped into the domain: teff = 1000 K is outside [3600, 15000] K",
    ]
    rows, spectra = io.read_many(tmp_path / "out.fits")
    assert spectra.labels[rows == 281, 0] == 3600
    assert "clipped" in spectra.provenance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (OPTIONS, "nowhere to write to: give -o FILE or --plot FILE"),
        (
            ["--teff", "5000", "-o", "x.fits"],
            "labels are missing: --logg, --vsini, --mh, --vmic, --resolution",
        ),
        ([*OPTIONS, "-o", "x.txt"], "x.txt: the name must end with one of .fits, .ecsv, .csv"),
        ([*OPTIONS, "--plot", "x.docx"], "x.docx: the name must end with one of .png, .pdf, .svg"),
        ([*OPTIONS, "-o", "x.fits", "--grid", "8500"], "--grid 8500: expected LOW:HIGH:STEP in Angstrom"),
        ([*OPTIONS, "-o", "x.fits", "--grid", "8500:8400:1"], "--grid 8500:8400:1: needs 0 < LOW < HIGH"),
        ([*OPTIONS, "-o", "x.fits", "--grid", "8500:8600:0"], "--grid 8500:8600:0: needs 0 < LOW < HIGH"),
        ([*OPTIONS, "-o", "x.fits", "--grid", "8000:8600:1"], "wavelength = 8000..8600 A (air) is outside"),
        ([*OPTIONS, "-o", "x.fits", "--rv", "nan"], "radial_velocity = nan km/s is not inside (-c, c)"),
        ([*OPTIONS, "-o", "x.fits", "--teff", "nan"], "teff = nan K is outside [3600, 15000] K"),
        (["--from", "t.csv"], "nowhere to write to: give -o FILE"),
        (["--from", "t.csv", "-o", "x.fits", "--plot", "x.png"], "--plot draws one star"),
        (["--from", "t.csv", "-o", "x.fits"], "t.csv: No such file or directory"),
        ([*OPTIONS, "-o", "no/where/x.fits"], "no/where/x.fits: folder no/where does not exist"),
    ],
)
def test_bad_options_are_one_line(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("generate", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"starloom: {message}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_one_line(run, tmp_path):
    code, _, err = run("generate", *OPTIONS, "-o", tmp_path / "x.fits", "--model", "none", with_model=False)
    assert code == 2
    assert err.startswith("starloom: model 'none' is not installed (there are: ")
    assert err.count("\n") == 1


# Other labels


def options_of(star: dict, *without: str) -> list[str]:
    names = [name for name in star if name not in without]
    usual = [name for name in names if name not in ("alpha", "Ca")]
    words = [word for name in usual for word in (f"--{name}", star[name])]
    others = [name for name in names if name not in usual]
    return words + [word for name in others for word in ("--label", f"{name}={star[name]}")]


def test_labels_are_the_models(run, giants, tmp_path):
    path = tmp_path / "star.fits"
    code, out, err = run("generate", *options_of(GIANT), "-o", path, "--model", giants, with_model=False)
    assert (code, err) == (0, "")
    assert "[alpha/M] = 0.3 dex, [Ca/M] = -0.2 dex" in out
    spectrum = Spectrum.read(path)
    assert dict(spectrum.labels) == GIANT
    assert spectrum.wavelength.size == 3001
    expected = Generator.load(giants).flux(GIANTS.array(**GIANT))
    np.testing.assert_array_equal(spectrum.flux, expected)


@pytest.mark.parametrize(
    ("without", "labels"), [(["Ca"], {"Ca": 0.3}), (["alpha", "Ca"], {"alpha": 0, "Ca": 0})]
)
def test_labels_have_their_default(run, giants, tmp_path, without, labels):
    """[alpha/M] is 0 where it is not given, an element follows it."""
    path, options = tmp_path / "star.fits", options_of(GIANT, *without)
    code, _, err = run("generate", *options, "-o", path, "--model", giants, with_model=False)
    assert (code, err) == (0, "")
    assert dict(Spectrum.read(path).labels) == GIANT | labels


def test_labels_of_a_table_have_their_default(run, giants, tmp_path):
    (tmp_path / "t.csv").write_text("teff,logg,mh,alpha\n4500,1.2,-1,0.3\n4400,1.2,-1,0.1\n")
    arguments = ["--from", tmp_path / "t.csv", "--vsini", "6", "--label", "resolution=11500"]
    output = tmp_path / "out.fits"
    code, _, err = run("generate", *arguments, "-o", output, "--model", giants, with_model=False)
    assert (code, err) == (0, "")
    assert io.read_many(output)[1].labels[:, GIANTS.index("Ca")].tolist() == [0.3, 0.1]
    with pytest.raises(ParseError, match="no column Ca, vsini, resolution"):
        io.open_labels(tmp_path / "t.csv", GIANTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (options_of(GIANT, "mh", "Ca"), "labels are missing: --mh (or give a table: --from)"),
        ([*options_of(GIANT), "--vmic", "2"], "has no label vmic: it has teff, logg, mh, alpha, Ca, v"),
        ([*options_of(GIANT), "--label", "Mg=0"], "has no label Mg: it has teff"),
        ([*options_of(GIANT), "--label", "alpha=0"], "--label alpha is given twice"),
        ([*options_of(GIANT), "--label", "teff=0"], "--teff and --label teff=... exclude each other"),
        ([*options_of(GIANT), "--label", "mh"], "--label mh: expected LABEL=NUMBER"),
        ([*options_of(GIANT), "--logg", "4"], "logg = 4 dex is outside [0.5, 3] dex"),
    ],
)
def test_wrong_labels_are_one_line(run, giants, tmp_path, arguments, message):
    path = tmp_path / "x.fits"
    code, out, err = run("generate", *arguments, "-o", path, "--model", giants, with_model=False)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not path.exists()


@pytest.mark.parametrize("output", ["out.fits", "out.hdf5", "out"])
def test_tables_of_other_labels(run, giants, tmp_path, output):
    """Columns by name and symbol; what is another label comes along and is named."""
    if output == "out.hdf5":
        pytest.importorskip("h5py")
    (tmp_path / "t.csv").write_text(
        "id,Teff,logg,[M/H],[alpha/M],Ca_M,vmic,co,[Ca/H],C\n"
        "a,4500,1.2,-1,0.3,-0.2,1,5,9,0.1\nb,4400,9,-1,0.3,-0.2,1,6,9,0.1\nc,4300,1,-1,0,0.1,1,7,9,0.1\n"
    )
    arguments = ["--from", tmp_path / "t.csv", "--vsini", "6", "--label", "resolution=11500"]
    code, out, err = run("generate", *arguments, "-o", tmp_path / output, "--model", giants, with_model=False)
    assert (code, out) == (1, f"wrote 2 spectra of 3 rows to {tmp_path / output}\n")
    lines = err.splitlines()
    told = "no labels of the model, only carried along: vmic, [Ca/H], C"
    assert lines[0] == f"starloom: {tmp_path}/t.csv: {told}"
    assert lines[1] == "starloom: row 2: logg = 9 dex is outside [0.5, 3] dex"
    rows = np.array([list(GIANT.values()), [4300, 1, -1, 0, 0.1, 6, 11500]])
    if output == "out":
        spectra = [Spectrum.read(tmp_path / output / f"{name}.fits") for name in "ac"]
        found = [[spectrum.labels[name] for name in GIANTS.names] for spectrum in spectra]
    else:
        spectra = io.read_many(tmp_path / output)[1]
        assert spectra.names == GIANTS.names
        found = spectra.labels
        others = io.read_others(tmp_path / output)
        assert (others["co"].tolist(), others["C"].tolist()) == ([5, 7], [0.1, 0.1])
    np.testing.assert_array_equal(found, rows)


# Many stars


@pytest.mark.parametrize("name", ["t.csv", "t.ecsv", "t.fits", "t.vot"])
@pytest.mark.parametrize("output", ["out", "out.fits", "out.hdf5"])
def test_tables_in_and_spectra_out(run, model, table, tmp_path, name, output):
    path, written = tmp_path / name, tmp_path / output
    table.write(path, **({"format": "votable"} if name == "t.vot" else {}))
    code, out, err = run("generate", "--from", path, "-o", written)
    assert (code, out) == (1, f"wrote 4 spectra of 5 rows to {written}\n")
    assert err == "starloom: row 3: teff = 99500 K is outside [3600, 15000] K\n"
    if output == "out":
        names = sorted(file.name for file in written.iterdir())
        assert names == [f"00000{row}.fits" for row in (1, 2, 4, 5)]
        spectra = [Spectrum.read(written / name) for name in names]
    else:
        rows, spectra = io.read_many(written)
        assert rows.tolist() == [1, 2, 4, 5]
        assert spectra.provenance["family"] == "emulator"
    expected = Generator.load(model)
    for row, spectrum in zip((1, 2, 4, 5), spectra, strict=True):
        labels = [table[name][row - 1] for name in TABLE_1.names]
        assert list(spectrum.labels.values()) == labels
        np.testing.assert_allclose(spectrum.flux, expected.flux(labels), atol=3e-6)


def with_others(table: Table) -> Table:
    """The table with identifiers, text, numbers and a missing cell beside the labels."""
    made = table.copy()
    made["source_id"] = 2**62 + np.arange(5)
    made["ID"] = ["HD1", "HD-2", "3", "a_4", "b"]
    made["parallax"] = MaskedColumn([1.5, 2.25, 3.0, 4.0, 5.0], mask=[0, 1, 0, 0, 0], unit="mas")
    made["remark"] = ["é, x", "", "007", "b", "c"]
    made["row"] = [10, 20, 30, 40, 50]
    return made


@pytest.mark.parametrize("name", ["t.csv", "t.ecsv", "t.fits", "t.vot"])
def test_what_is_no_label_comes_along(run, table, tmp_path, name):
    made, path = with_others(table), tmp_path / name
    if name in ("t.fits", "t.vot"):
        made.replace_column("remark", ["e, x", "", "007", "b", "c"])
    made.write(path, **({"format": "votable"} if name == "t.vot" else {}))
    first = made["remark"][0]
    for output in ("out.fits", "out.hdf5"):
        code, _, err = run("generate", "--from", path, "-o", tmp_path / output)
        assert code == 1
        assert err.count("\n") == 1  # of the third row: nothing looks like a label
        found = io.read_others(tmp_path / output)
        assert found["source_id"].tolist() == [2**62 + n for n in (0, 1, 3, 4)]
        assert found["ID"].tolist() == ["HD1", "HD-2", "a_4", "b"]
        np.testing.assert_array_equal(found["parallax"], [1.5, np.nan, 4.0, 5.0])
        assert found["remark"].tolist()[1:] == ["", "b", "c"]
        assert found["remark"][0] in (first, r"\xe9, x")  # FITS knows ASCII alone
        given = found["row_"] if output == "out.fits" else found["row"]
        assert given.tolist() == [10, 20, 40, 50]
        assert io.read_many(tmp_path / output)[0].tolist() == [1, 2, 4, 5]
    assert run("generate", "--from", path, "-o", tmp_path / "out")[0] == 1
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["HD-2.fits", "HD1.fits", "a_4.fits", "b.fits"]
    told = Spectrum.read(tmp_path / "out" / "HD-2.fits").provenance
    assert (told["row"], told["columns"]["source_id"]) == (2, 2**62 + 1)
    assert told["columns"]["parallax"] is None
    if name != "t.csv":
        with fits.open(tmp_path / "out.fits") as written:
            assert written["LABELS"].columns["parallax"].unit == "mas"


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["a", "b", "A"], ["000001", "000002", "000003"]),  # the same file where case does not count
        (["a", "../b", "c"], ["000001", "000002", "000003"]),
        (["a", "", "c"], ["000001", "000002", "000003"]),
        ([7, 8, 9], ["7", "8", "9"]),
        (["007", "8", "9"], ["007", "8", "9"]),
    ],
)
def test_files_are_named_by_identifiers_that_are_unique_and_safe(tmp_path, ids, names):
    lines = [f"{GOOD},{one}" for one in ids]
    (tmp_path / "t.csv").write_text("\n".join([f"{HEADER},id", *lines]) + "\n")
    found = io.open_labels(tmp_path / "t.csv", TABLE_1)
    column = found.identifier
    rows = found.parts(2)
    told = [str(name) for part in rows for name in part.others[column]] if column else None
    assert told == (None if names[0] == "000001" else names)


def test_files_that_are_not_named_by_the_identifiers_say_so(run, tmp_path):
    lines = [f"{GOOD},{one}" for one in ("a", "a")]
    (tmp_path / "t.csv").write_text("\n".join([f"{HEADER},source_id", *lines]) + "\n")
    code, _, err = run("generate", "--from", tmp_path / "t.csv", "-o", tmp_path / "out")
    told = "files are numbered by row: not every row has its own name in source_id"
    assert (code, err) == (0, f"starloom: {tmp_path / 't.csv'}: {told}\n")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["000001.fits", "000002.fits"]


@pytest.mark.parametrize("separator", [";", "\t", " ", "|"])
def test_other_separators_than_commas_are_named(tmp_path, separator):
    text = f"{HEADER}\n{GOOD}\n".replace(",", separator)
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ParseError, match=r"; only commas separate columns\)$"):
        io.open_labels(tmp_path / "t.csv", TABLE_1)


def test_columns_that_look_like_labels_are_named(run, tmp_path):
    columns = "alpha,Ca,[Mg/Fe],c_h,vmac,rv,id,Gmag,snr,ra,No,plate"
    (tmp_path / "t.csv").write_text(f"{HEADER},{columns}\n{GOOD},.4,0,.4,0,3,9,1,2,3,4,5,6\n")
    code, _, err = run("generate", "--from", tmp_path / "t.csv", "-o", tmp_path / "out.fits")
    told = "no labels of the model, only carried along: alpha, Ca, [Mg/Fe], c_h, vmac, rv"
    assert (code, err) == (0, f"starloom: {tmp_path}/t.csv: {told}\n")
    found = io.read_others(tmp_path / "out.fits")
    assert (found["alpha"].tolist(), found["_Mg_Fe_"].tolist()) == ([0.4], [0.4])
    assert io.read_many(tmp_path / "out.fits")[0].tolist() == [1]


def test_good_tables_exit_with_0_and_errors_travel(table, tmp_path, model):
    edges = {"teff": np.array([3600.0, 15000.0])}
    stated = StatedError(TABLE_1, edges, np.full((3, 1, 2), 1e-3), RVS.points, 2000, 9)
    generator = replace(Generator.load(model), stated=stated)
    table.remove_row(2)
    table.write(tmp_path / "t.ecsv")
    read = io.read_labels(tmp_path / "t.ecsv", TABLE_1)
    for name in ("out.fits", "out.h5"):
        done = list(io.generate_each([read], generator.spectra, size=3))
        assert io.write_many(tmp_path / name, done) == 4
        rows, spectra = io.read_many(tmp_path / name)
        assert rows.tolist() == [1, 2, 3, 4]
        np.testing.assert_allclose(spectra.error, 1e-3, rtol=1e-6)
        with pytest.raises(ConfigError, match="exists"):
            io.write_many(tmp_path / name, done)


def test_labels_that_the_table_lacks_are_options(run, table, tmp_path):
    table.remove_columns(["resolution", "vmic"])
    table.remove_row(2)
    table.write(tmp_path / "t.csv")
    arguments = ["--from", tmp_path / "t.csv", "-o", tmp_path / "out.fits"]
    assert run("generate", *arguments)[2].startswith(
        f"starloom: {tmp_path}/t.csv: no column vmic, resolution"
    )
    assert run("generate", *arguments, "--resolution", "7000", "--vmic", "2")[0] == 0
    assert io.read_many(tmp_path / "out.fits")[1].labels[:, 4:].tolist() == [[2.0, 7000.0]] * 4
    twice = run("generate", *arguments, "--resolution", "7000", "--vmic", "2", "--mh", "0", "--overwrite")
    assert twice[2].endswith("t.csv: mh is a column and an option: give one of them\n")


def test_each_bad_row_has_its_reason(tmp_path):
    (tmp_path / "t.csv").write_text(
        "# stars\nname,Teff,log g,v sin i,[M/H],vmic,R\n"
        "a,5000,4,5,0,1,9000\nb,hot,4,5,0,1,9000\nc,5000,4,5,0,1\n\nd,,4,5,0,1,9000\ne,5000,4,5,inf,1,9000\n"
        '"f,g",6000,4,5,0,1,9000\n'
    )
    found = io.read_labels(tmp_path / "t.csv", TABLE_1)
    assert found.rows.tolist() == [1, 6]
    assert found.faults == {
        2: "teff is no number: 'hot'",
        3: "6 cells under 7 names",
        4: "teff is missing",
        5: "mh is no number: 'inf'",
    }
    assert found.labels[5].tolist() == [6000, 4, 5, 0, 1, 9000]


def test_units_and_masks_are_heeded(tmp_path):
    table = QTable({name: np.full(3, float(value)) for name, value in STAR.items()})
    table["teff"] = [9.95, 5, 6] * units.kK
    table["vsini"] = [2000, 3000, 4000] * units.m / units.s
    table["logg"] = MaskedColumn([3.5, 4, 4], mask=[False, True, False])
    table.write(tmp_path / "t.ecsv")
    found = io.read_labels(tmp_path / "t.ecsv", TABLE_1)
    assert found.labels[0].tolist() == list(STAR.values())
    assert found.faults == {2: "logg is missing"}
    table["teff"] = [1, 2, 3] * units.km
    table.write(tmp_path / "t.fits")
    with pytest.raises(ParseError, match=r"t\.fits: teff has the unit km, expected K"):
        io.read_labels(tmp_path / "t.fits", TABLE_1)


def test_without_a_good_row_nothing_is_written(run, table, tmp_path):
    table[2:3].write(tmp_path / "t.csv")
    for output in ("out.fits", "out.hdf5"):
        code, out, err = run("generate", "--from", tmp_path / "t.csv", "-o", tmp_path / output)
        assert (code, out) == (1, "wrote nothing\n")
        assert err.startswith("starloom: row 1: teff")
        assert not (tmp_path / output).exists()


HEADER = ",".join(TABLE_1.names)
GOOD = "5000,4,5,0,1,9000"
MALFORMED = {
    "empty.csv": ("", "empty"),
    "comment.csv": ("# nothing\n\n", "empty"),
    "header.csv": (HEADER + "\n", "no rows"),
    "two.csv": (f"{HEADER},teff\n{GOOD},1\n", "two columns have the same name"),
    "alias.csv": (f"{HEADER},Teff\n{GOOD},1\n", "the columns teff and Teff are both teff"),
    "column.csv": (f"{HEADER[5:]}\n{GOOD[5:]}\n", "no column teff (there are: logg, vsini"),
    "binary.csv": (b"\xff\xfe\x00\x01", "'utf-8' codec can't decode"),
    "quote.csv": (f'{HEADER}\n"5000,4,5,0,1,9000\n', "unexpected end of data"),
    "empty.ecsv": ("", "empty"),
    "csv.ecsv": (f"{HEADER}\n{GOOD}\n", "ECSV header line"),
    "yaml.ecsv": ("# %ECSV 1.0\n# ---\n# datatype: [\nteff\n1\n", "unable to parse yaml"),
    "empty.fits": ("", "empty"),
    "text.fits": (f"{HEADER}\n{GOOD}\n", ""),
    "empty.vot": ("", "empty"),
    "text.vot": (f"{HEADER}\n{GOOD}\n", ""),
    "html.vot": ("<html><body>404</body></html>", ""),
    "table.txt": (GOOD, "the name must end with one of .csv, .ecsv, .fits, .vot, .xml"),
    "table": (GOOD, "the name must end with one of"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_tables_are_one_line(run, tmp_path, name):
    content, reason = MALFORMED[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = run("generate", "--from", path, "-o", tmp_path / "out.fits")
    assert (code, out) == (2, "")
    assert err.startswith(f"starloom: {path}: ")
    assert reason.lower() in err.lower()
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["t.csv", "t.ecsv", "t.fits", "t.vot"])
def test_damaged_tables_are_read_or_one_line(table, tmp_path, name):
    """Sixty of each format, cut short or with changed bytes: what was not read says why, in one line."""
    good, path = tmp_path / name, tmp_path / f"bad-{name}"
    table.write(good, **({"format": "votable"} if name == "t.vot" else {}))
    content = good.read_bytes()
    refused = []
    for seed in range(60):
        path.write_bytes(damaged(content, seed))
        try:
            found = io.read_labels(path, TABLE_1)
        except StarloomError as error:
            refused.append(str(error))
        else:
            assert np.isfinite(found.labels[found.rows - 1]).all()
    assert len(refused) > 20
    for line in refused:
        assert "\n" not in line
        assert line.startswith(f"{path}: ")
        assert len(line) > len(f"{path}: empt")


def damaged(content: bytes, seed: int) -> bytes:
    """Cut at a random place, or with 1 to 20 random bytes in the first 3000 changed."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        return content[: rng.integers(len(content))]
    changed = bytearray(content)
    for place in rng.integers(min(len(content), 3000), size=rng.integers(1, 21)):
        changed[place] = rng.integers(256)
    return bytes(changed)


@pytest.mark.parametrize("name", ["out.fits", "out.hdf5"])
def test_damaged_files_of_spectra_are_refused(table, model, tmp_path, name):
    table.remove_row(2)
    table.write(tmp_path / "t.csv")
    generator = Generator.load(model)
    parts = io.open_labels(tmp_path / "t.csv", TABLE_1).parts()
    io.write_many(tmp_path / name, io.generate_each(parts, generator.spectra))
    content = (tmp_path / name).read_bytes()
    for share in (0, 0.1, 0.5, 0.95):
        (tmp_path / f"cut-{name}").write_bytes(content[: round(share * len(content))])
        with pytest.raises(ParseError, match=f"cut-{name}: "):
            io.read_many(tmp_path / f"cut-{name}")


# Models and their errors


def test_models_lists_what_is_installed(run, model, giants, monkeypatch):
    paths = {"giants": giants, "stand_in": model}
    monkeypatch.setattr(weights, "names", lambda: list(paths))
    monkeypatch.setattr(weights, "find", paths.get)
    code, out, _ = run("models", with_model=False)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("giants: emulator, ")
    assert lines[0].endswith(" MB")
    assert lines[1:4] == [
        "  Stand-in",
        "  labels: teff 3800 to 5500 K, logg 0.5 to 3 dex, mh -2.5 to 0.5 dex, alpha -0.2 to 0.6 dex, "
        "Ca -0.5 to 0.5 dex, vsini 0 to 100 km/s, resolution 5000 to 14500",
        "  band two, 3001 points, 8450 to 8750 A (air)",
    ]
    assert lines[4].startswith("stand_in: ")
    assert lines[-1] == "  band rvs, 4000 points, 8400 to 8799.9 A (air)"
    monkeypatch.setattr(weights, "names", list)
    assert run("models", with_model=False)[1] == "no model is packaged\n"


def synthesize(band, *, teff, logg, mh, vmic):
    """A few lines that follow the labels."""
    depth = (0.3 * (1 + np.tanh((teff - 8000) / 4000)) * (2 + mh) / 3.5)[:, None]
    flux = []
    for grid in band.chunks:
        velocity = SPEED_OF_LIGHT_KMS * np.log(grid.wavelength_aa / 8544.4)
        flux.append(1 - depth * np.exp(-0.5 * (velocity / (3 + vmic + 5 * logg)[:, None]) ** 2))
    return np.stack(flux, axis=1)


def built(content, folder):
    options = {"physics": "stand-in", "engine": workers.processes(1), "progress": False}
    build.build(content, folder, synthesize, **options)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    pytest.importorskip("scipy.stats")
    return built(recipe.load("tiny"), tmp_path_factory.mktemp("store") / "store")


def test_evaluate_asks_at_the_models_points_and_in_its_order(run, store, tmp_path):
    points = replace(RVS.points, first_aa=8450.0, last_aa=8700.0, count=501)
    order = TABLE_1.only("resolution", "mh", "teff", "logg", "vmic", "vsini")
    weights.save(tmp_path / "m.safetensors", untrained(order, replace(RVS, points=points)))
    code, out, err = run("evaluate", tmp_path / "m.safetensors", store, "--copies", "4", with_model=False)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split()[:2] == ["20", "spectra"]
    worst = re.search("worst spectrum: .* at resolution = ([0-9.]+), mh = .*, teff = ([0-9.]+),", out)
    assert 5000 <= float(worst[1]) <= 14500
    arguments = [tmp_path / "m.safetensors", store, "--copies", "4", "--json"]
    found = json.loads(run("evaluate", *arguments, with_model=False)[1])
    assert (found["spectra"], found["all"]["count"]) == (20, 20 * 501)
    assert f"{found['all']['mean']:.1e}" == out.splitlines()[1].split()[1]
    assert len(found["teff"]) == 6
    assert sum(cell["count"] for cell in found["teff"]) == 20 * 501
    assert found["worst"]["resolution"] == pytest.approx(float(worst[1]), rel=1e-5)


def test_evaluate_of_a_filled_model_takes_stores_for_unfilled(run, model, store, tmp_path):
    plain = run("evaluate", model, store, "--copies", "4", with_model=False)[1]
    weights.save(tmp_path / "filled.safetensors", emulation.filled(weights.load(model), -0.1, 0.5))
    code, out, err = run(
        "evaluate", tmp_path / "filled.safetensors", store, "--copies", "4", with_model=False
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == plain.splitlines()[:2]
    assert re.search("worst spectrum: .* filling = 0", out)


def test_evaluate_refuses_a_store_of_other_labels(run, giants, store):
    code, _, err = run("evaluate", giants, store, with_model=False)
    assert code == 2
    assert err.endswith("the model's are teff, logg, mh, alpha, Ca, vsini, resolution\n")


def test_evaluate_attaches_what_it_measured(run, model, store, tmp_path):
    path = tmp_path / "stating.safetensors"
    arguments = ["evaluate", model, store, "--copies", "60"]
    code, out, err = run(*arguments, "--attach", path, with_model=False)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["300", "spectra", "mean", "P50", "P95", "P99", "max"]
    assert lines[1].startswith("all ")
    assert sum(line.startswith("teff ") for line in lines) == 6
    assert lines[-1] == f"wrote {path}, which states the errors of these 300 spectra"
    (worst,) = [line for line in lines if line.startswith("worst spectrum: mean ")]
    assert "resolution = " in worst
    code, out, _ = run("evaluate", path, store, "--copies", "60", with_model=False)
    # the same spectra: what lies within is at least the share, for cells with few are stated to be worse
    share = float(re.search(r"p68 \(68% is due\): ([0-9.]+)%", out)[1])
    assert 60 < share <= 100
    assert float(re.search(r"p99 \(99% is due\): ([0-9.]+)%", out)[1]) > 95
    star = [*OPTIONS, "-o", tmp_path / "star.fits", "--model", path]
    assert (
        "68 % of its flux errors near these labels are within" in run("generate", *star, with_model=False)[1]
    )
    assert Spectrum.read(tmp_path / "star.fits").error.min() > 0


def test_too_few_spectra_state_nothing(run, model, store, tmp_path):
    path = tmp_path / "stating.safetensors"
    code, _, err = run("evaluate", model, store, "--copies", "1", "--attach", path, with_model=False)
    assert code == 2
    assert err == "starloom: 5 spectra in 128 cells: none has the 10 needed\n"
    assert not path.exists()


def test_evaluate_corrects_what_is_stated_at_the_ends(run, model, store, tmp_path):
    few = replace(recipe.load("ends"), intrinsic=160, broadenings=1)
    stating, path, ends = tmp_path / "stating", tmp_path / "true", built(few, tmp_path / "ends")
    run("evaluate", model, store, "--copies", "60", "--attach", stating, with_model=False)
    code, out, err = run("evaluate", stating, ends, "--ends", path, with_model=False)
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"wrote {path}, which states the errors of \d+ spectra", out.splitlines()[-1])
    corrected, before = (Generator.load(name).stated for name in (path, stating))
    # float32 logarithms of them are what is kept
    np.testing.assert_allclose(corrected.sizes, before.sizes, rtol=1e-6)
    assert corrected.spectra > before.spectra == 300
    out = run("evaluate", path, ends, with_model=False)[1]
    assert 64 < float(re.search(r"p68 \(68% is due\): ([0-9.]+)%", out)[1]) < 73
    assert run("models", with_model=False)[0] == 0
    for arguments, message in (
        ([model, ends, "--ends", path], f"model {model} states no errors"),
        ([stating, store, "--ends", path], "spectra at 1 of 81 nodes of ends: too few"),
        ([stating, ends, "--ends", path, "--attach", path], "--attach and --ends exclude each other"),
    ):
        code, _, err = run("evaluate", *arguments, with_model=False)
        assert code == 2
        assert err.startswith(f"starloom: {message}")


def test_estimators_are_no_generators(tmp_path, run):
    network = label_scaling(TABLE_1)
    header = weights.Header("autoencoder", TABLE_1, RVS.points)
    weights.save(tmp_path / "m.safetensors", weights.Model(header, {"autoencoder": network}))
    options = [*OPTIONS, "-o", tmp_path / "x.fits", "--model", tmp_path / "m.safetensors"]
    code, _, err = run("generate", *options, with_model=False)
    assert code == 2
    assert err.endswith("a model of the family 'autoencoder' generates no spectra\n")


def test_import_of_the_commands_is_light():
    code = "import sys, starloom.cli.generation; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "matplotlib", "astropy", "h5py"} & set(done.stdout.split())


def test_help_names_the_commands():
    text = CliRunner().invoke(cli.app, ["--help"]).output
    assert all(command in text for command in ("generate", "models", "evaluate"))


def test_evaluate_says_where_there_is_no_spectrum(run, model, store, tmp_path):
    stating = tmp_path / "stating.safetensors"
    run("evaluate", model, store, "--copies", "60", "--attach", stating, with_model=False)
    _, out, _ = run("evaluate", stating, store, "--split", "validation", with_model=False)
    assert "nan" not in out
    assert re.search(r"^teff .* no spectrum$", out, re.MULTILINE)
    assert re.search(r"within the stated p68 .* by Teff: .*-", out)


def test_evaluate_of_a_split_without_spectra_is_refused(run, model, tmp_path):
    store = built(replace(recipe.load("tiny"), train=1.0, validation=0.0), tmp_path / "store")
    code, _, err = run("evaluate", model, store, with_model=False)
    assert (code, err) == (2, f"starloom: {store}: no spectrum is in the split 'test'\n")


def test_the_figure_names_lines_where_they_are_seen(run, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    drawn = []
    monkeypatch.setattr("starloom.figures.save", lambda figure, path: drawn.append(figure))
    for velocity in (0, 100):
        run("generate", *OPTIONS, "--plot", tmp_path / "x.png", "--rv", velocity, "--overwrite")
    rest, moving = (
        [text.get_position()[0] for text in figure.axes[0].texts if text.get_text() == "Ca II"]
        for figure in drawn
    )
    np.testing.assert_allclose(rest, [8542.09, 8662.14, 8498.02], atol=0.05)  # NIST
    np.testing.assert_allclose(np.array(moving) / rest, 1 + 100 / 299792.458, rtol=1e-6)


def test_demo_writes_what_it_says(tmp_path):
    result = CliRunner().invoke(cli.app, ["demo", str(tmp_path / "new")], catch_exceptions=False)
    folder = tmp_path / "new"
    assert (folder / "spectra.png").read_bytes().startswith(b"\x89PNG")
    star = Spectrum.read(folder / "star.fits")
    assert (star.labels["teff"], star.labels["resolution"]) == (9950, 11500)
    rows, sequence = io.read_many(folder / "main_sequence.fits")
    assert list(rows) == list(range(1, len(sequence) + 1))
    assert f"{1 + len(sequence)} spectra in" in result.output
    assert result.output.count("expected flux error") == 1 + len(sequence)
