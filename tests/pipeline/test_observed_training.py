"""From a folder of observed spectra to a correction, and to spectra and fits with it, by commands."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import starloom
from starloom import cli
from starloom.observed import ObservedLibrary
from starloom.observed.importing import import_library
from starloom.observed.simulation import Distortion, Sky, simulated

MODEL = "default-2026-lte"
SKY = Sky(
    {"teff": (5000, 6200), "logg": (4.0, 4.8), "mh": (-0.5, 0.4)},
    {"teff": 80.0, "logg": 0.15, "mh": 0.08},
    range_aa=(8450.0, 8650.0),
)
STAR = ["--teff", "5700", "--logg", "4.4", "--mh", "0", "--vmic", "1", "--vsini", "3", "--resolution", "5000"]


def run(*words, code=0):
    found = CliRunner().invoke(cli.app, list(map(str, words)))
    assert found.exit_code == code, (found.output, found.exception)
    return found


@pytest.fixture(scope="module")
def sky():
    generator = starloom.Generator.load(MODEL)
    return simulated(generator, SKY, 24, 3, Distortion.drawn(generator, 2, 0.03))[0]


def written(folder, stars):
    """Files of the stars, and the table of their labels."""
    rows = []
    for star, name in enumerate(stars.names):
        spectrum = stars.spectrum(star)
        spectrum.write(folder / f"{name}.fits")
        row = {"file": f"{name}.fits", "name": name}
        for label, values in stars.labels.items():
            row[label], row[f"{label}_err"] = values[star], stars.errors[label][star]
        rows.append(row)
    with open(folder / "stars.csv", "w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder / "stars.csv"


def test_files_become_a_library(tmp_path, sky):
    few = sky.part(range(3))
    table = written(tmp_path, few)
    found = import_library(tmp_path, table, "few")
    np.testing.assert_allclose(found.flux, few.flux, rtol=1e-5)
    np.testing.assert_allclose(found.inverse_variance, few.inverse_variance, rtol=1e-5)
    np.testing.assert_allclose(found.labels["teff"], few.labels["teff"])
    assert found.names == few.names
    assert found.resolution.tolist() == [5000.0] * 3


def test_spectra_at_other_wavelengths_are_brought_to_common_ones(tmp_path, sky):
    few = sky.part(range(2))
    table = written(tmp_path, few)
    first = few.spectrum(0)
    finer = np.linspace(first.wavelength[5], first.wavelength[-5], 2 * first.wavelength.size)
    flux = np.interp(finer, first.wavelength, first.flux)
    mask = (finer > 8500) & (finer < 8502)
    error = np.full(finer.size, np.median(first.error))
    replace(first, wavelength=finer, flux=flux, error=error, mask=mask).write(
        tmp_path / f"{few.names[0]}.fits", overwrite=True
    )
    found = import_library(tmp_path, table, "few")
    assert np.ptp(np.diff(np.log(found.vacuum_aa))) < 1e-12
    used = found.inverse_variance[0] > 0
    expected = np.interp(found.vacuum_aa, first.wavelength, first.flux)
    np.testing.assert_allclose(found.flux[0][used], expected[used], atol=0.03 * np.median(expected))
    assert not used[(found.vacuum_aa > 8500.1) & (found.vacuum_aa < 8501.9)].any()
    assert not used[found.vacuum_aa < first.wavelength[4]].any()


def test_what_is_missing_in_a_table_is_told(tmp_path, sky):
    table = written(tmp_path, sky.part(range(2)))
    text = table.read_text()
    table.write_text(text.replace("logg_err", "other"))
    with pytest.raises(starloom.errors.ParseError, match="no column logg_err"):
        import_library(tmp_path, table, "few")
    table.write_text(text.replace("star-0001.fits", "absent.fits"))
    with pytest.raises(starloom.errors.StoreError, match=r"1 of 2 files are bad.*absent\.fits"):
        import_library(tmp_path, table, "few")
    assert len(import_library(tmp_path, table, "few", skip_bad=True)) == 1


def test_commands_from_files_to_a_fit(tmp_path, sky, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "spectra"
    folder.mkdir()
    table = written(folder, sky)
    told = run("database", "import-observed", folder, table, "library.npz", "--name", "mine").output
    assert "24 stars" in told
    assert ObservedLibrary.read("library.npz").name == "mine"
    quick = ["--rounds", "1", "--draws", "4", "--fixed-scales"]
    (tmp_path / "out.txt").write_text("star-0003  # for a test\n")
    learning = ["train", "observed", "library.npz", "--on", MODEL, "-o", "correction.safetensors", *quick]
    told = run(*learning, "--leave-out", "out.txt").output
    assert "learned from 23 stars of mine" in told
    corrected = ["--model", MODEL, "--correction", "correction.safetensors"]
    run("generate", *STAR, *corrected, "-o", "star.fits")
    run("generate", *STAR, "--model", MODEL, "-o", "plain.fits")
    ratio = starloom.read("star.fits").flux / starloom.read("plain.fits").flux
    assert 0.005 < ratio.std() < 0.1
    told = run("fit", "star.fits", *corrected, "-o", "fit.fits", "--no-trust")
    assert "cite its library" in run("cite", "fit.fits").output
    assert "correction" in run("forecast", "--snr", 100, *STAR, *corrected, "--range", "8460:8640").output
    (tmp_path / "epochs.csv").write_text("path,star\nstar.fits,a\nstar.fits,a\n")
    run("fit", "--from", "epochs.csv", "--group-by", "star", *corrected, "-o", "stars.ecsv")
    assert "learned from 23 stars of mine" in (tmp_path / "stars.ecsv").read_text()
    again = run(*learning, code=1)
    assert "exists" in str(again.exception)
    other = run("generate", *STAR, "--correction", "correction.safetensors", "-o", "no.fits", code=1)
    assert "is not for the model default" in str(other.exception)
