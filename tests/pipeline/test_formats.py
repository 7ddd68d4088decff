"""The registry of formats: those that come with the package, and one that another package brings."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from starloom.database import importing, recipe, store
from starloom.errors import ConfigError
from starloom.io import find_format, read_each, read_observed
from starloom.io.format import GROUP, formats

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "observed.md"


def documented() -> str:
    """The module of the document's example: with an entry point it is all that a package needs."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Another survey's format")[2]
    return re.search(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Function that installs a package whose module of formats has this text."""
    folder = tmp_path / "site-packages"
    about = folder / "surveys-1.0.dist-info"
    about.mkdir(parents=True)

    def install(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: surveys\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{GROUP}]\nany = {name}:FORMAT\n")
        formats.cache_clear()

    monkeypatch.syspath_prepend(str(folder))
    yield install
    formats.cache_clear()


def text_file(path, header="waveobs flux err", factor=0.1):
    wavelength = np.arange(8395.0, 8805.0, 0.02)
    rows = np.stack([wavelength * factor, 1 - 0.1 * np.cos(wavelength), np.full_like(wavelength, 0.01)], -1)
    np.savetxt(path, rows, fmt="%.9f", header=header, comments="")
    return wavelength, rows


def test_a_survey_is_one_module(package, tmp_path):
    wavelength, rows = text_file(tmp_path / "star.txt")
    with pytest.raises(ConfigError, match="does not tell its unit, medium: give unit="):
        read_observed(tmp_path / "star.txt", frame="rest")
    package("ispec_a", documented())
    spectrum = read_observed(tmp_path / "star.txt", frame="rest")
    np.testing.assert_allclose(spectrum.wavelength, wavelength, rtol=1e-12)
    np.testing.assert_allclose(spectrum.flux, rows[:, 1], atol=1e-9)
    assert spectrum.medium == "air"
    with pytest.raises(ConfigError, match="does not tell its frame: give frame="):
        read_observed(tmp_path / "star.txt")
    with pytest.raises(ConfigError, match="medium = 'vacuum' is given, but file and format tell 'air'"):
        read_observed(tmp_path / "star.txt", format="waveobs", frame="rest", medium="vacuum")
    with pytest.raises(ConfigError, match=r"format = 'weaveobs' is not one of waveobs, ambre, ascii, "):
        read_observed(tmp_path / "star.txt", format="weaveobs")
    (tmp_path / "cut.txt").write_text("waveobs flux\n846.0 1.0\n")
    (fault,) = [one.fault for one in read_each(tmp_path / "cut.txt", frame="rest")]
    assert fault == f"{tmp_path}/cut.txt: no column err, only waveobs, flux"


def test_a_grid_of_models_is_imported_in_that_format(package, tmp_path):
    package("ispec_b", documented())
    (tmp_path / "files").mkdir()
    for name in "ab":
        text_file(tmp_path / "files" / name)
    Table({"file": ["a", "b"], "teff": [5e3, 6e3], "logg": [4.0, 4.0], "mh": [0.0, 0.0]}).write(
        tmp_path / "labels.csv"
    )
    plain = dataclasses.replace(
        recipe.load("tiny"), domain=recipe.load("tiny").domain.only("teff", "logg", "mh")
    )
    how = importing.Import(find_format("waveobs"), fill_margin=True, recipe=plain)
    importing.import_grid(
        tmp_path / "files", tmp_path / "labels.csv", tmp_path / "store", how, progress=False
    )
    assert store.open_store(tmp_path / "store").domain.names == ("teff", "logg", "mh")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FORMAT = 3\n", r"the format any \(broken_0:FORMAT\) is no starloom.io.Format"),
        ("import no_such_module\n", r"the format any \(broken_1:FORMAT\) cannot be loaded: No module named"),
        ("", r"the format any \(broken_2:FORMAT\) cannot be loaded: .*FORMAT"),
        (
            "from starloom.io.formats.gaia import FORMAT\n",
            "two formats have the name gaia: one is another pa",
        ),
    ],
)
def test_a_package_whose_format_is_none_is_one_line(package, tmp_path, text, reason):
    name = {"FORMAT = 3\n": "broken_0", "import no_such_module\n": "broken_1", "": "broken_2"}
    package(name.get(text, "broken_3"), text)
    text_file(tmp_path / "star.txt")
    with pytest.raises(ConfigError, match=reason):
        read_observed(tmp_path / "star.txt", frame="rest")


def test_every_format_says_what_it_is():
    for name, form in formats().items():
        assert name == form.name
        assert form.description
        assert form.normalise in importing.NORMALISATIONS
        assert form.options in ((), ("columns",), ("variant",))


def test_grids_of_models_are_read_as_spectra_too(tmp_path):
    """Divided by their own continuum where they have one; a pixel where that is 0 is masked."""
    wavelength = np.linspace(8460, 8700, 50)
    np.savetxt(tmp_path / "star.7", np.stack([wavelength, 3e5 * wavelength], -1))
    np.savetxt(tmp_path / "star.17", [[8460.0, 0.0], [8464.0, 6e5], [8700.0, 6e5]])
    spectrum = read_observed(tmp_path / "star.7", format="synspec")
    assert (spectrum.medium, spectrum.frame, spectrum.flux_unit) == ("air", "rest", "")
    assert spectrum.provenance["notes"] == ["divided by the file's own continuum"]
    np.testing.assert_allclose(spectrum.flux[1:], wavelength[1:] / 2, rtol=1e-12)
    assert np.flatnonzero(spectrum.mask).tolist() == [0]
    np.savetxt(tmp_path / "star.spec", np.stack([wavelength, wavelength, wavelength / 1e4], -1))
    spectrum = read_observed(tmp_path / "star.spec", format="pollux", medium="air")
    np.testing.assert_array_equal(spectrum.flux, wavelength / 1e4)


@pytest.mark.parametrize("name", ["optical.txt", "optical.fits"])
def test_any_range_is_read(tmp_path, name):
    """What a model knows is judged by the fit."""
    wavelength = np.linspace(3800.0, 6900.0, 500)
    Table({"wave": wavelength, "flux": wavelength / 5000}, units={"wave": "Angstrom"}).write(
        tmp_path / name, format="fits" if name.endswith(".fits") else "ascii.ecsv"
    )
    spectrum = read_observed(tmp_path / name, medium="air", frame="rest")
    np.testing.assert_array_equal(spectrum.wavelength, wavelength)


def test_an_image_says_the_unit_of_its_flux(tmp_path):
    header = {"CTYPE1": "WAVE", "CRVAL1": 8500.0, "CDELT1": 0.5, "CRPIX1": 1, "BUNIT": "Jy"}
    fits.PrimaryHDU(np.ones(40), fits.Header(header)).writeto(tmp_path / "i.fits")
    told = {"medium": "air", "frame": "rest"}
    assert read_observed(tmp_path / "i.fits", format="fits-image", **told).flux_unit == "Jy"
    assert read_observed(tmp_path / "i.fits", **told).flux_unit == "Jy"
