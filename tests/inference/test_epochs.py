"""Spectra of one star fitted together: common labels, own velocities, and whether these vary."""

import json

import numpy as np
import pytest
from astropy.table import Table

from starloom.errors import ConfigError, ParseError
from starloom.inference import fit, fit_epochs
from starloom.inference.epoch_table import fit_groups, groups_in, velocities_of
from starloom.inference.settings import Settings
from starloom.networks import weights
from starloom.spectrum import Spectrum

WAVELENGTH_AA = 8465 + 0.2 * np.arange(1350)
OTHER_AA = 8470 + 0.25 * np.arange(1000)
STAR = {"teff": 4600.0, "logg": 1.8, "mh": -0.4, "alpha": 0.2, "Ca": 0.1, "vsini": 8.0, "resolution": 11500.0}
VELOCITIES = np.array([-40.0, 5.0, 22.0, -3.0, 61.0, 12.0])


def observed(toy, velocity, seed, snr=25.0, wavelength=WAVELENGTH_AA, resolution=11500.0, **about):
    """The star at one epoch, tilted, with noise."""
    row = toy.domain.array(**{**STAR, "resolution": resolution})
    flux = toy.flux(row, wavelength_aa=wavelength, medium="vacuum", radial_velocity=velocity).astype(float)
    rng = np.random.default_rng([24, seed])
    level = 2 * (1 + rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, flux.size))
    data = level * (flux + rng.normal(size=flux.size) / snr)
    provenance = {"resolution": resolution, **about}
    told = {"medium": "vacuum", "frame": "barycentric", "provenance": provenance}
    return Spectrum(wavelength, data, error=level / snr, **told)


@pytest.fixture(scope="module")
def epochs(toy):
    """The last two with another instrument: other pixels, another resolution."""
    own = [observed(toy, velocity, seed) for seed, velocity in enumerate(VELOCITIES[:4])]
    others = [
        observed(toy, velocity, 9 + seed, wavelength=OTHER_AA, resolution=9000.0)
        for seed, velocity in enumerate(VELOCITIES[4:])
    ]
    return [*own, *others]


@pytest.fixture(scope="module")
def together(toy, epochs):
    return fit_epochs(epochs, toy, starts=2)


def test_labels_and_velocities_are_found(together):
    """Each within four of its errors, which are those of all spectra together."""
    for name, truth in STAR.items():
        if name in together.free:
            assert abs(together.labels[name] - truth) < 4 * together.errors[name]
    off = (together.velocities - VELOCITIES) / together.velocity_errors
    assert np.abs(off).max() < 4
    assert np.all(together.velocity_errors < 3)
    assert together.numbers == tuple(range(6))
    assert together.reduced_chi2 == pytest.approx(1, abs=0.1)


def test_more_spectra_tell_more(toy, epochs, together):
    """Four equal ones halve the bound of one: here six, two of another kind."""
    one = fit(epochs[0], toy, starts=2)
    index = toy.domain.index("teff")
    assert 0.3 < together.bounds[index] / one.bounds[index] < 0.6
    assert together.errors["teff"] < 0.7 * one.errors["teff"]


def test_one_epoch_is_a_fit(toy, epochs):
    """The same minimum and nearly the same errors as of the fit alone."""
    alone, found = fit(epochs[0], toy, starts=2), fit_epochs(epochs[:1], toy, starts=2)
    place = [alone.parameters.index(name) for name in alone.free]
    assert np.abs((found.values - alone.values)[place] / alone.bounds[place]).max() < 0.1
    errors = np.sqrt(np.diag(found.covariance) / np.diag(alone.covariance).clip(1e-30))[place]
    assert errors == pytest.approx(1, abs=0.1)
    assert found.constant_probability == 1
    assert found.velocity_amplitude == 0


def test_whether_velocities_vary(toy, together):
    assert "variable_velocity" in together.flags
    assert together.constant_probability < 1e-6
    assert together.velocity_amplitude == pytest.approx(101, abs=8)
    assert together.velocity_scatter == pytest.approx(VELOCITIES.std(ddof=1), rel=0.15)
    calm = fit_epochs([observed(toy, 10.0, seed) for seed in range(4)], toy, starts=2)
    assert calm.constant_probability > 1e-3
    assert "variable_velocity" not in calm.flags
    assert calm.velocity_scatter < 2
    assert "epochs, chi2 / dof" in calm.text


def test_what_cannot_be_fitted_is_said(toy, epochs):
    short = Spectrum(WAVELENGTH_AA[:20], np.ones(20), medium="vacuum", provenance={"resolution": 11500.0})
    found = fit_epochs([short, epochs[0]], toy, starts=2)
    assert found.numbers == (1,)
    assert "100 are needed" in found.failures[0]
    with pytest.raises(ConfigError, match="100 are needed"):
        fit_epochs([short], toy)
    with pytest.raises(ConfigError, match="spectra: there are none"):
        fit_epochs([], toy)
    with pytest.raises(ConfigError, match="velocity is held"):
        fit_epochs(epochs, toy, fixed={"velocity": 0.0})


@pytest.fixture
def folder(toy, toy_of, giants, tmp_path):
    """Two stars of two spectra each, one file that is none, the model, and lists of both kinds."""
    weights.save(tmp_path / "toy.safetensors", toy_of(giants))
    names, stars = [], ["a", "b", "a", "b"]
    for number, star in enumerate(stars):
        names.append(f"epoch{number}.fits")
        observed(toy, 10.0 * number, number, source_id=star).write(tmp_path / names[-1])
    (tmp_path / "list.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "none.txt").write_text("no spectrum\n")
    table = Table({"path": [*names, "none.txt"], "source_id": [*stars, "b"]})
    table.write(tmp_path / "list.csv", format="ascii.csv")
    return tmp_path


def test_groups_are_told_by_list_or_header(folder):
    by_list = groups_in(folder / "list.csv", "source_id", {})
    assert {star: [each.number for each in files] for star, files in by_list.items()} == {
        "a": [1, 3],
        "b": [2, 4, 5],
    }
    by_header = groups_in(folder / "list.txt", "source_id", {})
    assert {star: len(files) for star, files in by_header.items()} == {"a": 2, "b": 2}
    with pytest.raises(ParseError, match="no column star among path, source_id"):
        groups_in(folder / "list.csv", "star", {})
    with pytest.raises(ParseError, match="its header has no star"):
        groups_in(folder / "list.txt", "star", {})


def test_a_list_by_stars(folder, capsys, exit_code):
    output, model = folder / "stars.ecsv", str(folder / "toy.safetensors")
    words = ["--from", folder / "list.csv", "--group-by", "source_id", "--model", model]
    assert exit_code("fit", *words, "-o", output) == 1
    assert "2 stars, 0 without" in (told := capsys.readouterr().out)
    assert "5 files, 1 spectra left out" in told
    assert json.loads(Table.read(output).meta["settings"])["model"] == model
    stars, spectra = Table.read(output), Table.read(velocities_of(output))
    assert stars["epochs"].tolist() == [2, 2]
    assert np.all(np.abs(stars["teff"] - STAR["teff"]) < 5 * stars["teff_error"])
    assert spectra["number"].tolist() == [1, 3, 2, 4, 5]
    assert np.abs(spectra["velocity"][:4] - [0, 20, 10, 30]).max() < 8
    assert np.isnan(spectra["velocity"][4])
    assert spectra["fault"][4]
    assert exit_code("fit", *words, "-o", output) == 2
    assert "exists" in capsys.readouterr().err


def test_a_star_without_spectra_has_its_reason(folder):
    groups = {"c": groups_in(folder / "list.csv", "source_id", {})["b"][-1:]}
    found = fit_groups(groups, folder / "c.csv", "source_id", Settings(), model=folder / "toy.safetensors")
    assert found == (0, 1, 1)
    assert "none of its files" in Table.read(folder / "c.csv", format="ascii.csv")["fault"][0]
