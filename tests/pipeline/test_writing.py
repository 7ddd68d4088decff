"""Every command that writes: refused before the work, or done whole, whatever the disk and the terminal."""

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryFile
from types import SimpleNamespace

import numpy as np
import pytest

from starloom import Generator, bands, cli, files
from starloom.database import build
from starloom.errors import StarloomError, WriteError
from starloom.labels import TABLE_1

pytest.importorskip("matplotlib")
pytest.importorskip("scipy.stats")
h5py = pytest.importorskip("h5py")
synthesize = run_path(str(Path(__file__).with_name("stand_in.py")))["synthesize"]

STAR = dict(zip(TABLE_1.names, (9950, 3.5, 2, 0.5, 1.3, 11500), strict=True))
OPTIONS = [text for name, value in STAR.items() for text in (f"--{name}", str(value))]
SUN = ["--teff", "5777", "--logg", "4.44", "--mh", "0", "--vmic", "1"]
IMPORT = ["--layout", "ascii", "--medium", "vacuum", "--columns", "1,2", "--set", "vmic=2"]
OVERWRITE = "--overwrite"

# words of a command that writes the file TARGET; TABLE, STORE, FILES and LABELS are made by the fixture
FILES = {
    "generate fits": ("star.fits", ["generate", *OPTIONS, "-o", "TARGET", OVERWRITE]),
    "generate ecsv": ("star.ecsv", ["generate", *OPTIONS, "-o", "TARGET", OVERWRITE]),
    "generate csv": ("star.csv", ["generate", *OPTIONS, "-o", "TARGET", OVERWRITE]),
    "generate png": ("star.png", ["generate", *OPTIONS, "--plot", "TARGET", OVERWRITE]),
    "generate pdf": ("star.pdf", ["generate", *OPTIONS, "--plot", "TARGET", OVERWRITE]),
    "generate svg": ("star.svg", ["generate", *OPTIONS, "--plot", "TARGET", OVERWRITE]),
    "generate --from fits": ("stars.fits", ["generate", "--from", "TABLE", "-o", "TARGET", OVERWRITE]),
    "generate --from hdf5": ("stars.hdf5", ["generate", "--from", "TABLE", "-o", "TARGET", OVERWRITE]),
    "synthesize": ("sun.fits", ["synthesize", *SUN, "-o", "TARGET", OVERWRITE]),
    "synthesize --plot": ("sun.png", ["synthesize", *SUN, "--plot", "TARGET", OVERWRITE]),
    "database export": ("store.h5", ["database", "export", "STORE", "TARGET"]),
    "database show": ("store.png", ["database", "show", "STORE", "--plot", "TARGET"]),
}
MODELS = {
    "evaluate": ("m.safetensors", ["evaluate", "default", "STORE", "--attach", "TARGET"]),
    "emulator": ("m.safetensors", ["train", "emulator", "no store", "TARGET"]),
    "autoencoder": ("m.safetensors", ["train", "autoencoder", "no spectra", "TARGET"]),
    "labels": ("m.safetensors", ["train", "labels", "no spectra", "no model", "TARGET"]),
    "estimator": ("m.safetensors", ["train", "estimator", "no spectra", "teff", "TARGET"]),
}
FOLDERS = {
    "generate --from": ["generate", "--from", "TABLE", "-o", "TARGET", OVERWRITE],
    "demo": ["demo", "TARGET"],
    "explore": ["explore", "--export", "TARGET", OVERWRITE],
    "database build": ["database", "build", "tiny", "TARGET"],
    "database fixed-set": ["database", "fixed-set", "STORE", "TARGET"],
    "database import": ["database", "import", "FILES", "LABELS", "TARGET", *IMPORT],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A finished store."""
    from starloom.database.recipe import load

    folder = tmp_path_factory.mktemp("store") / "tiny"
    build.build(load("tiny"), folder, synthesize, physics="stand-in 1", progress=False)
    return folder


@pytest.fixture
def run(store, tmp_path_factory, monkeypatch, command):
    """A command with its TARGET; gives exit code, standard output and standard error."""
    given = tmp_path_factory.mktemp("given")
    row = ",".join(map(str, STAR.values()))
    (given / "table.csv").write_text("\n".join([",".join(TABLE_1.names), *[row] * 3, ""]))
    (given / "files").mkdir()
    grid = np.arange(8380.0, 8825.0, 0.05)
    np.savetxt(given / "files" / "a", np.stack([grid, np.ones_like(grid)]).T)
    (given / "labels.csv").write_text("file,teff,logg,mh\na,5000,4,0\n")
    monkeypatch.setattr(build, "radiative_transfer", synthesize)
    monkeypatch.setattr(build, "physics_version", lambda band: "stand-in 1")
    places = {"TABLE": given / "table.csv", "STORE": store, "FILES": given / "files"}

    def call(words, target):
        named = places | {"LABELS": given / "labels.csv", "TARGET": target}
        return command(*(named.get(word, word) for word in words))

    return call


@pytest.fixture
def quick(monkeypatch):
    """Radiative transfer without its minute of compilation: a wave."""
    synthesis = pytest.importorskip("starloom.synthesis")
    from starloom.physics.hydrogen import PASCHEN
    from starloom.synthesis.band import band_lines

    band = bands.load("rvs")
    wavy = 1 - 0.5 * np.sin(np.linspace(0, 99, band.chunks[0].points)) ** 2
    made = synthesis.SyntheticSpectrum((wavy,), (np.ones_like(wavy),), band, {"teff": 5777.0})
    lines = band_lines(band)
    star = SimpleNamespace(
        spectrum=lambda **options: made,
        arrays=SimpleNamespace(lines=lines, hydrogen=PASCHEN),
        line_strengths=np.ones(lines.wavelength.size),
    )
    monkeypatch.setattr(synthesis, "photosphere", lambda *structure, **options: star)


@contextmanager
def largest_file(size: int):
    """No file may grow beyond ``size`` bytes: what a full disk does, by another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def everything(folder: Path) -> dict:
    """Content by path."""
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def one_line(found, *parts: str) -> None:
    code, out, err = found
    assert (code, out.strip(), err.count("\n")) == (2, "", 1), found
    assert err.startswith("starloom: ")
    for part in parts:
        assert part in err


# A full disk


@pytest.mark.parametrize("name", FILES)
def test_full_disk(run, quick, tmp_path, name):
    target, words = FILES[name]
    if OVERWRITE in words:
        (tmp_path / target).write_text("precious")
    before = everything(tmp_path)
    with largest_file(100):
        found = run(words, tmp_path / target)
    one_line(found, f"{tmp_path / target}: ")
    assert everything(tmp_path) == before
    assert run(words, tmp_path / target)[0] == 0


@pytest.mark.parametrize("name", FOLDERS)
def test_full_disk_for_a_folder(run, tmp_path, name):
    target = tmp_path / "new" / "made"
    with largest_file(100):
        found = run(FOLDERS[name], target)
    one_line(found, str(target))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    assert not any(path.name.startswith(".") for path in tmp_path.rglob("*"))
    assert run(FOLDERS[name], target)[0] == 0


def test_full_disk_for_a_model(tmp_path):
    from starloom.networks import weights

    model = weights.load(weights.find("default-2026-lte"))
    with largest_file(100), pytest.raises(WriteError, match=f"^{tmp_path}/m.safetensors: File too large$"):
        weights.save(tmp_path / "m.safetensors", model)
    assert list(tmp_path.iterdir()) == []


def test_hdf5_outlives_a_full_disk(tmp_path):
    """HDF5 itself crashes when the program ends after a write that failed."""
    code = f"""
import resource, sys
import numpy as np
from starloom import Generator, io
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
spectra = Generator.load("default-2026-lte").spectra(np.tile({list(STAR.values())}, (40, 1)))
try:
    io.write_many({str(tmp_path / "x.hdf5")!r}, [io.Portion(np.arange(40), spectra)] * 3)
except OSError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == f"{tmp_path / 'x.hdf5'}: File too large\n"
    assert list(tmp_path.iterdir()) == []


# Places that take no file: known before the work


@pytest.fixture
def no_work(monkeypatch):
    def loaded(name):
        pytest.fail("the work has begun")

    monkeypatch.setattr(Generator, "load", loaded)


@pytest.mark.parametrize("name", {**FILES, **MODELS})
def test_missing_folder(run, no_work, tmp_path, name):
    target, words = {**FILES, **MODELS}[name]
    found = run(words, tmp_path / "none" / target)
    one_line(found, f"{tmp_path / 'none' / target}: folder {tmp_path / 'none'} does not exist")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", {**FILES, **MODELS})
def test_a_folder_where_the_file_should_go(run, no_work, tmp_path, name):
    target, words = {**FILES, **MODELS}[name]
    (tmp_path / target).mkdir()
    one_line(run(words, tmp_path / target), str(tmp_path / target))
    assert list(tmp_path.rglob("*")) == [tmp_path / target]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_the_folder_should_go(run, no_work, tmp_path, name):
    for target in (tmp_path / "file", tmp_path / "file" / "in it"):
        (tmp_path / "file").write_text("precious")
        one_line(run(FOLDERS[name], target), str(tmp_path / "file"))
        assert everything(tmp_path) == {tmp_path / "file": b"precious"}


@pytest.fixture
def closed(tmp_path):
    """A folder that takes no file: root may write anywhere but into some of the system's."""
    (tmp_path / "closed").mkdir(mode=0o500)
    for folder in (tmp_path / "closed", Path("/sys")):
        try:
            with TemporaryFile(dir=folder):
                pass
        except OSError:
            return folder
    pytest.skip("this user may write everywhere")


@pytest.mark.parametrize("name", {**FILES, **MODELS})
def test_read_only_folder(run, no_work, closed, name):
    target, words = {**FILES, **MODELS}[name]
    one_line(run(words, closed / target), f"{closed / target}: ")


@pytest.mark.parametrize("name", FOLDERS)
def test_read_only_place_of_a_folder(run, no_work, closed, name):
    one_line(run(FOLDERS[name], closed / "new"), f"{closed / 'new'}: ")


@pytest.mark.parametrize("name", [name for name, (_, words) in FILES.items() if OVERWRITE in words])
def test_a_wrong_ending_loses_nothing(run, no_work, tmp_path, name):
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    one_line(run(FILES[name][1], target), f"{target}: the name must end with one of")
    assert everything(tmp_path) == {target: b"precious"}


@pytest.mark.parametrize("name", ["generate png", "synthesize --plot", "demo", "database show"])
def test_without_matplotlib_nothing_begins(run, no_work, monkeypatch, tmp_path, name):
    target, words = FILES.get(name) or ("folder", FOLDERS[name])
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    also = ["-o", str(tmp_path / "x.fits")] if name == "generate png" else []
    found = run([*words, *also], tmp_path / target)
    one_line(found, "matplotlib is not installed: pip install 'starloom[plot]'")
    assert list(tmp_path.iterdir()) == []


def test_what_is_read_is_not_replaced(run, no_work, tmp_path):
    table = tmp_path / "t.fits"
    table.write_text("precious")
    one_line(run(["generate", "--from", "TARGET", "-o", "TARGET", OVERWRITE], table), "is what is read")
    assert table.read_text() == "precious"


# The doors themselves


def test_replacing_keeps_errors_of_what_is_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), files.replacing(tmp_path / "x"):
        (tmp_path / "other").read_bytes()
    assert list(tmp_path.iterdir()) == []


def fill(folder: Path, *names: str, fault: Exception | None = None) -> None:
    with files.filling(folder) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text("c")
        if fault:
            raise fault


def test_filling_is_all_or_nothing(tmp_path):
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    with pytest.raises(WriteError, match=r"folder/b: is a folder"):
        fill(folder, "a", "b")
    assert list(folder.iterdir()) == [folder / "b"]
    with pytest.raises(ZeroDivisionError):
        fill(tmp_path / "new" / "one", "a", fault=ZeroDivisionError())
    assert list(tmp_path.iterdir()) == [folder]
    fill(folder, "b/c")
    assert (folder / "b" / "c").read_text() == "c"
    assert list(folder.iterdir()) == [folder / "b"]
    fill(tmp_path / "empty")
    assert list(tmp_path.iterdir()) == [folder]


# Standard output


def starloom(path: Path, stdout, buffered: str) -> subprocess.CompletedProcess:
    """``generate`` in a process of its own, with an output to write to."""
    command = [sys.executable, "-m", "starloom", "generate", *OPTIONS, "-o", str(path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": buffered}
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=environment)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_standard_output_on_a_full_disk(tmp_path, buffered):
    with open("/dev/full", "wb") as full:
        found = starloom(tmp_path / "x.fits", full, buffered)
    assert found.stderr == b"starloom: standard output: No space left on device\n"
    assert found.returncode == 2
    assert (tmp_path / "x.fits").exists()


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_has_seen_enough(tmp_path, buffered):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        found = starloom(tmp_path / "x.fits", pipe, buffered)
    assert (found.returncode, found.stderr) == (1, b"")
    assert (tmp_path / "x.fits").exists()


def test_letters_that_the_terminal_lacks(monkeypatch, tmp_path):
    def app():
        print("5777 ± 12 K, 8500 Å, \N{GREEK SMALL LETTER PI}, \udcff")

    with open(tmp_path / "out", "w", encoding="ascii") as stream:
        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr(sys, "stdout", stream)
        cli.main()
    assert (tmp_path / "out").read_text() == "5777 +- 12 K, 8500 A, \\u03c0, \\udcff\n"


def test_an_error_is_of_both_kinds(tmp_path):
    """A caller may catch ours or the system's."""
    for kind in (StarloomError, OSError):
        with pytest.raises(kind, match=f"^{tmp_path}/none/x: folder {tmp_path}/none does not exist$"):
            files.check_target(tmp_path / "none" / "x")
