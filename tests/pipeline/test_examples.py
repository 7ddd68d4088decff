"""Example stars: what is written, that it can be read and fitted, and that nothing is lost to it."""

import csv

import numpy as np
import pytest

from starloom import examples
from starloom.io import read_each, read_list, read_observed
from starloom.networks.generator import Generator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples") / "example"
    examples.write(folder)
    return folder


def test_the_list_has_ten_stars_that_can_be_read(folder):
    stars = list(read_each(read_list(folder / "list.txt")))
    assert [star.fault for star in stars] == [""] * 10
    assert len({"".join(star.name.partition(".")[2:]) for star in stars}) >= 6  # endings
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 400_000


@pytest.mark.parametrize("star", examples.STARS, ids=lambda star: star.file)
def test_a_star_is_what_the_truth_says_with_the_noise_that_it_states(star, folder):
    lines = [line for line in (folder / "truth.csv").read_text().splitlines() if not line.startswith("#")]
    (row,) = [row for row in csv.DictReader(lines) if row["file"] == star.file]
    seen, generator = read_observed(folder / star.file), Generator.load()
    given = {name: float(row[name]) for name in (*examples.LABELS, "resolution")}
    labels = generator.domain.array(**generator.domain.defaults(given) | given)
    view = {"medium": seen.medium, "radial_velocity": float(row["velocity"])}
    good = slice(None) if seen.mask is None else ~seen.mask
    flux = generator.flux(labels, wavelength_aa=seen.wavelength, **view)
    pulls = ((seen.flux - flux) / seen.error)[good]
    assert seen.error[good] == pytest.approx(1 / float(row["snr"]), rel=1e-3)
    assert seen.labels["resolution"] == float(row["resolution"])
    assert pulls.std() == pytest.approx(1.0, abs=0.15)
    # Gaia's neighbours share noise (docs/observed.md); other pixels do not
    assert np.corrcoef(pulls[1:], pulls[:-1])[0, 1] == pytest.approx(0.8 if star.gaia else 0.0, abs=0.12)


def test_gaps_are_masked_and_files_say_that_they_are_no_stars(folder):
    star = read_observed(folder / "a_star.csv")
    assert star.mask.sum() == 71 + 41 + 51
    for name in ("star.fits", "a_star.csv", "stars/03.vot", "stars/04.ecsv", "stars/07.ecsv", "list.txt"):
        assert b"no star of the sky" in (folder / name).read_bytes(), name


def test_the_same_model_writes_the_same_stars(folder, tmp_path):
    for path in examples.write(tmp_path):
        there = folder / path.relative_to(tmp_path)
        if path.suffix == ".fits":  # whose checksums have a date
            assert np.array_equal(read_observed(path).flux, read_observed(there).flux, equal_nan=True), path
        else:
            assert path.read_bytes() == there.read_bytes(), path


def test_nothing_is_overwritten_unasked(command, tmp_path):
    (tmp_path / "truth.csv").write_text("mine")
    code, out, err = command("example", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"starloom: {tmp_path / 'truth.csv'} exists; overwrite it with --overwrite\n"
    assert [path.name for path in tmp_path.iterdir()] == ["truth.csv"]
    code, out, _ = command("example", tmp_path, "--overwrite")
    assert code == 0
    assert f"next: starloom fit {tmp_path / 'star.fits'}" in out
    assert (tmp_path / "truth.csv").read_text().startswith("# no star of the sky")
