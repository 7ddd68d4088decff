"""``starloom database``, as a user meets it; the synthesiser's place is taken by ``stand_in.py``."""

import subprocess
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from astropy.table import Table
from typer.testing import CliRunner

from starloom import cli
from starloom.database import build, store
from starloom.database.recipe import from_mapping as read_recipe
from starloom.database.recipe import to_mapping
from starloom.errors import ConfigError, StarloomError, StoreError

pytest.importorskip("scipy.stats")
synthesize = run_path(str(Path(__file__).with_name("stand_in.py")))["synthesize"]


def run(*arguments):
    result = CliRunner().invoke(cli.app, ["database", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def built(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "radiative_transfer", synthesize)
    monkeypatch.setattr(build, "physics_version", lambda band: "stand-in 1")
    assert "48 spectra" in run("build", "tiny", tmp_path / "tiny")
    return tmp_path / "tiny"


def test_build_status_verify(built):
    assert "spectra   48 of 48, each seen 4 times" in run("status", built)
    assert "splits    train 38, validation 5, test 5" in run("status", built)
    assert "6 chunks are undamaged" in run("verify", built)
    path = built / "flux-00002.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="1 of 6 chunks are damaged: build it again"):
        run("verify", built)
    assert "made again" in run("build", "tiny", built)
    assert "6 chunks are undamaged" in run("verify", built)


def test_other_stars_of_the_same_recipe(built, tmp_path):
    assert "20 spectra" in run("build", "tiny", tmp_path / "more", "--seed", 7, "--intrinsic", 20)
    usual, more = (store.open_store(folder) for folder in (built, tmp_path / "more"))
    assert (more.recipe.seed, more.recipe.name) == (7, usual.recipe.name)
    assert not np.isin(more.labels[:, 0], usual.labels[:, 0]).any()
    with pytest.raises(ConfigError, match="seed = -1"):
        run("build", "tiny", tmp_path / "x", "--seed", -1)


def test_a_part_of_the_band_at_another_resolution(built, tmp_path):
    run("build", "tiny", tmp_path / "fine", "--range", "8480:8520", "--resolution", 150_000)
    fine, usual = store.open_store(tmp_path / "fine"), store.open_store(built)
    assert (fine.band.stride, fine.band.finest_resolution, usual.band.stride) == (1, 150_000, 3)
    assert fine.domain.high[fine.domain.index("resolution")] == 150_000
    assert fine.band.points.wavelength_aa[[0, 1, -1]] == pytest.approx([8480, 8480.02, 8520])
    assert not fine.broadened.any()
    np.testing.assert_array_equal(fine.labels[:, :2], usual.labels[:, :2])
    assert fine.recipe == read_recipe(to_mapping(fine.recipe))
    with pytest.raises(ConfigError, match=r"^band rvs: resolution = 200000 is above 150333, too fine for"):
        run("build", "tiny", tmp_path / "x", "--resolution", 200_000)
    with pytest.raises(ConfigError, match=r"^band rvs: 100\.\.8520 A is not a range within"):
        run("build", "tiny", tmp_path / "x", "--range", "100:8520")
    with pytest.raises(ConfigError, match=r"^the domain of resolution is empty: \[5000, 10\]"):
        run("build", "tiny", tmp_path / "x", "--resolution", 10)
    with pytest.raises(ConfigError, match=r"^range_aa = \[8480\.0\] is no pair"):
        read_recipe(to_mapping(fine.recipe) | {"range_aa": [8480.0]})
    assert not (tmp_path / "x").exists()


def test_export_fixed_set_and_show(built, tmp_path):
    assert "wrote" in run("export", built, tmp_path / "tiny.h5", "--observed")
    assert "192 spectra" in run("fixed-set", built, tmp_path / "fixed", "--dtype", "uint16")
    text = run("show", built, "--plot", tmp_path / "one.png", "--sample", 20)
    assert text.startswith("label")
    assert (tmp_path / "one.png").exists()


def test_import(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    grid = np.arange(8380.0, 8825.0, 0.05)
    for name in ("a", "b"):
        np.savetxt(files / name, np.stack([grid, np.ones_like(grid)]).T)
    (files / "c").write_text("nothing")
    Table({"file": ["a", "b", "c"], "teff": [5e3, 6e3, 7e3], "logg": [4.0] * 3, "mh": [0.0] * 3}).write(
        tmp_path / "labels.csv"
    )
    command = ("import", files, tmp_path / "labels.csv", tmp_path / "store", "--layout", "ascii")
    text = run(*command, "--medium", "vacuum", "--columns", "1,2", "--set", "vmic=2", "--skip-bad")
    assert "2 spectra, 1 files skipped" in text
    assert np.all(store.open_store(tmp_path / "store").flux([0, 1]) == pytest.approx(1.0, abs=1e-5))
    with pytest.raises(ConfigError, match="--set vmic: expected LABEL=NUMBER"):
        run(*command, "--set", "vmic")


def test_options_that_exclude_each_other(tmp_path):
    with pytest.raises(ConfigError, match="--workers and --dask exclude each other"):
        run("build", "tiny", tmp_path / "x", "--workers", 2, "--dask", "tcp://localhost:1")


def test_what_synthesis_cannot_do_is_refused_before_there_is_a_store(tmp_path):
    from starloom.database import recipe

    text = (Path(recipe.__file__).parent / "recipes" / "tiny.toml").read_text()
    path, folder = tmp_path / "mine.toml", tmp_path / "store"
    for old, new, message in (
        ("vmic = [0, 4] ", "alpha = [0, 0.4]", "recipe tiny: no label vmic, which synthesis needs"),
        ("vmic = [0, 4] ", "vmic = [0, 4]\nalpha = [0, 0.9]", r"alpha = \S+ dex is outside"),
        ("[3600, 15000]", "[3600, 25000]", r"teff = \S+ K is outside \[\d+, \d+\] K"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(StarloomError, match=message):
            run("build", path, folder)
        assert not folder.exists()


def test_without_jax_no_store_is_begun(tmp_path):
    arguments = ["database", "build", "tiny", str(tmp_path / "x")]
    code = f"import sys; sys.modules['jax'] = None; sys.argv[1:] = {arguments!r}"
    command = [sys.executable, "-c", f"{code}; from starloom.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "starloom: jax is not installed: pip install 'starloom[synthesis]'\n"
    assert list(tmp_path.iterdir()) == []
