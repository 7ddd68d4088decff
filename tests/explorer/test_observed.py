"""Observed spectra dropped on the page: good files are overlaid and fitted, bad ones named."""

import base64
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from starloom import Generator, Spectrum, io
from starloom.labels import TABLE_1
from starloom.wavelength import air_from_vacuum

STAR = {"teff": 6300.0, "logg": 4.1, "vsini": 12.0, "mh": -0.3, "vmic": 1.4, "resolution": 11500.0}
VELOCITY = 35.0
RVS_NM = 846 + 0.01 * np.arange(2401)  # the Gaia archive's points, in vacuum
DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }
}"""


def drop(page, path: Path) -> None:
    """Drop a file and wait until the page has taken or refused it."""
    page.evaluate("explorer.observe(null); document.getElementById('fault').textContent = ''")
    page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])
    page.wait_for_function("explorer.observed || document.getElementById('fault').textContent")


def overlaid(page) -> dict:
    assert page.inner_text("#fault") == ""
    page.wait_for_function("explorer.scene.observed")
    return page.evaluate(
        """(({ medium, assumed, vacuum, error, notes, line }, { difference }) => ({
          medium, assumed, notes, line, count: vacuum.length, error: Boolean(error), first: vacuum[0],
          rms: Math.hypot(...difference.filter(Number.isFinite)) / Math.sqrt(vacuum.length),
        }))(explorer.observed, explorer.scene.observed)"""
    )


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.load("default-2026-lte")


@pytest.fixture(scope="module")
def star(generator) -> Spectrum:
    return generator.spectrum(list(STAR.values()))


@pytest.fixture(scope="module")
def rvs(generator) -> Table:
    """What the Gaia archive gives for a star that moves: scaled, sloped and noisy, without its ends."""
    flux = generator.flux(
        list(STAR.values()), wavelength_aa=10 * RVS_NM, medium="vacuum", radial_velocity=VELOCITY
    )
    rng = np.random.default_rng([8, 1])
    flux = flux * (1.02 + 0.01 * np.linspace(-1, 1, flux.size)) + rng.normal(0, 0.005, flux.size)
    error = np.full(flux.size, 0.005)
    flux[:5] = error[:5] = flux[-5:] = error[-5:] = np.nan
    return Table(
        {"wavelength": RVS_NM, "flux": flux.astype("f4"), "flux_error": error.astype("f4")},
        units={"wavelength": "nm"},
    )


@pytest.fixture
def here(page):
    """The page with the sliders where the star is."""
    page.evaluate("link => explorer.open(link)", "&".join(f"{name}={value}" for name, value in STAR.items()))
    return page


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits"])
@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_starlooms_own_files(here, star, tmp_path, suffix, medium):
    path = tmp_path / f"star{suffix}"
    (star if medium == "air" else star.to_vacuum()).write(path)
    drop(here, path)
    found = overlaid(here)
    assert (found["medium"], found["assumed"], found["error"], found["count"]) == (medium, False, True, 4000)
    assert found["rms"] < 1e-5
    assert found["line"]["a"] == pytest.approx(1, abs=1e-5)


def rvs_file(rvs: Table, path: Path) -> Path:
    """The same spectrum in another form, told by the name."""
    kind = path.name.split(".", 1)[1]
    if kind == "image.fits":
        header = fits.Header(
            {"CTYPE1": "WAVE", "CUNIT1": "nm", "CRVAL1": 846.0, "CRPIX1": 1.0, "CDELT1": 0.01}
        )
        fits.PrimaryHDU(np.array(rvs["flux"]), header).writeto(path)
    elif kind == "row.fits":
        Table({name: [np.array(rvs[name])] for name in rvs.colnames}, units={"wavelength": "nm"}).write(path)
    elif kind == "fits.gz":
        plain = path.with_name("plain.fits")
        rvs.write(plain)
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif kind == "txt":
        np.savetxt(
            path,
            np.array([10 * rvs["wavelength"], rvs["flux"], rvs["flux_error"]]).T,
            header="wavelength flux error",
        )
    elif kind == "null.csv":
        lines = [
            f"{w!r},{f!r},{e!r}" for w, f, e in zip(*(rvs[n].tolist() for n in rvs.colnames), strict=True)
        ]
        path.write_text("wavelength,flux,flux_error\n" + "\n".join(lines).replace("nan", "null") + "\n")
    else:
        rvs.write(path)
    return path


@pytest.mark.parametrize(
    "name", ["a.fits", "a.row.fits", "a.image.fits", "a.fits.gz", "a.csv", "a.null.csv", "a.ecsv", "a.txt"]
)
def test_gaia_rvs_and_other_files(here, rvs, tmp_path, name):
    drop(here, rvs_file(rvs, tmp_path / name))
    found = overlaid(here)
    assert found["count"] == 2401
    if name.endswith(".txt"):
        # nothing says what it is in; the reader can
        assert (found["medium"], found["assumed"]) == ("air", True)
        assert "air assumed" in here.inner_text("#overlay-about")
        here.locator("#overlay-medium label", has_text="vacuum").click()
    here.fill("#rv", str(VELOCITY))
    here.wait_for_function("!explorer.frame")
    found = overlaid(here)
    assert found["medium"] == "vacuum"
    assert found["first"] == pytest.approx(8460, abs=1e-6)
    assert found["rms"] == pytest.approx(0.005, rel=0.1)
    assert found["line"]["a"] == pytest.approx(1.02, abs=1e-3)
    assert found["line"]["b"] == pytest.approx(0.01, abs=1e-3)


def test_the_first_of_many_spectra(here, generator, tmp_path):
    path = tmp_path / "many.fits"
    labels = np.array([list(STAR.values())] * 3)
    labels[1:, 0] = 9000
    io.write_many(path, [io.Portion(np.arange(1, 4), generator.spectra(labels))])
    drop(here, path)
    found = overlaid(here)
    assert found["notes"] == ["first of 3 spectra"]
    assert found["rms"] < 1e-5


def test_what_the_page_gave_comes_back(here, tmp_path):
    with here.expect_download() as waited:
        here.click("#save-csv")
    path = tmp_path / "back.csv"
    waited.value.save_as(path)
    drop(here, path)
    assert overlaid(here)["rms"] < 1e-7


def test_scale_and_slope_can_be_left_out(here, star, tmp_path):
    path = tmp_path / "scaled.csv"
    Spectrum(star.wavelength, 1.2 * star.flux, medium="air").write(path)
    drop(here, path)
    assert overlaid(here)["rms"] < 1e-5
    here.uncheck("#normalise")
    here.wait_for_function("explorer.scene.observed.line.a === 1")
    assert overlaid(here)["rms"] > 0.1
    here.click("#overlay-remove")
    assert not here.is_visible("#overlay")


def bad_files(star: Spectrum, folder: Path) -> dict[str, bytes]:
    """Files that are no spectrum of the range, by name."""
    whole = folder / "whole.fits"
    star.write(whole)
    table = folder / "cut.csv"
    star.write(table)
    far = folder / "far.csv"
    Table({"wavelength": np.linspace(4000, 5000, 500), "flux": np.ones(500)}).write(far)
    image = folder / "bare.fits"
    fits.PrimaryHDU(np.ones((50, 50))).writeto(image)
    errors = folder / "errors.csv"
    Spectrum(star.wavelength, star.flux, medium="air", error=np.zeros(4000)).write(errors)
    return {
        "empty.csv": b"",
        "errors.csv": errors.read_bytes(),
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100),
        "cut.fits": whole.read_bytes()[:30_000],
        "cut.csv": "".join(table.read_text().splitlines(keepends=True)[:2000]).encode(),
        "columns.csv": b"time,magnitude\n" + b"1,2\n" * 50,
        "words.csv": b"wavelength,flux\n" + b"8500,1\n8501,deep\n" * 50,
        "falling.csv": b"wavelength,flux\n" + b"8500,1\n8501,1\n8499,1\n" * 30,
        "far.csv": far.read_bytes(),
        "bare.fits": image.read_bytes(),
        "damaged.fits.gz": gzip.compress(whole.read_bytes())[:1000],
        "table.vot": b"<?xml version='1.0'?><VOTABLE></VOTABLE>",
        "zero.csv": b"wavelength,flux\n"
        + b"".join(b"%d,0\n" % wavelength for wavelength in range(8450, 8550)),
    }


REASONS = {
    "empty.csv": "the file is empty",
    "picture.png": "neither text nor FITS",
    "cut.fits": "cut off",
    "cut.csv": "cut off",
    "errors.csv": "hardly any of its errors are numbers above 0",
    "columns.csv": "no columns are wavelength and flux; there are time, magnitude",
    "words.csv": "line 3: flux = deep is no number",
    "falling.csv": "wavelengths do not rise at 8499.00 Å (row 3)",
    "far.csv": "run from 4000.0 to 5000.0 Å; the model covers 8388 to 8812 Å",
    "bare.fits": "its image has the shape 50 x 50; a spectrum has one dimension",
    "damaged.fits.gz": "the gzip file is damaged",
    "table.vot": "VOTable",
    "zero.csv": "all of its flux values are zero",
}


def test_bad_files_are_named_and_the_page_lives(here, star, tmp_path):
    for name, content in bad_files(star, tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        drop(here, path)
        told = here.inner_text("#fault")
        assert told.startswith(f"{name}: ")
        assert REASONS[name] in told
        assert not here.is_visible("#overlay")
    here.fill("#teff", "7000")
    assert here.evaluate("explorer.state.labels.teff") == 7000
    good = tmp_path / "good.csv"
    star.write(good)
    drop(here, good)
    assert overlaid(here)["count"] == 4000


def estimate(page) -> dict:
    page.evaluate("explorer.estimate = null")
    page.click("#fit")
    page.wait_for_function("explorer.estimate", timeout=60_000)
    return page.evaluate("({...explorer.estimate})")


def test_first_estimate_finds_the_star(page, rvs, tmp_path):
    """From the Sun's labels; within five formal deviations and some room for the noise's correlations."""
    drop(page, rvs_file(rvs, tmp_path / "star.fits"))
    found = estimate(page)
    for name in ("teff", "logg", "vsini", "mh", "vmic"):
        assert abs(found["labels"][name] - STAR[name]) < 5 * found["deviation"][name], name
    assert found["labels"]["teff"] == pytest.approx(STAR["teff"], abs=100)
    assert found["velocity"] == pytest.approx(VELOCITY, abs=0.5)
    assert found["rms"] == pytest.approx(0.005, rel=0.1)
    assert 0.8 < found["reducedChi"] < 1.2
    told = page.inner_text("#fit-result")
    assert "A first estimate by least squares, not a measurement" in told
    assert page.evaluate("explorer.state.labels") == found["labels"]
    with page.expect_download() as waited:
        page.click("#overlay-save")
    rows = [row for row in Path(waited.value.path()).read_text().splitlines() if not row.startswith("#")]
    assert rows[0] == "wavelength,flux,model,difference"
    assert len(rows) == 1 + len(RVS_NM)


def test_a_fit_that_fails_is_one_line(page, rvs, tmp_path):
    drop(page, rvs_file(rvs, tmp_path / "star.fits"))
    page.evaluate("() => { explorer.emulator.at = () => { throw new Error('there is no memory'); }; }")
    page.click("#fit")
    page.wait_for_function("document.getElementById('fault').textContent")
    assert page.inner_text("#fault") == "The fit has failed: there is no memory."
    assert page.inner_text("#fit-result") == ""
    assert page.is_enabled("#fit")
    page.evaluate("delete explorer.emulator.at")  # the class's own again
    assert estimate(page)["labels"]
    assert page.inner_text("#fault") == ""


def test_first_estimate_of_a_real_star(page, shared, tmp_path):
    """Kepler-409 in Gaia DR3: 5460 K, log g 4.50 (seismic), [Fe/H] +0.08; see the folder's README."""
    with np.load(shared / "observed" / "gaia_rvs_kepler-409.npz", allow_pickle=True) as stored:
        assert json.loads(str(stored["meta"]))["medium"] == "vacuum"
        columns = {
            "wavelength": stored["wave_A"] / 10,
            "flux": stored["flux"],
            "flux_error": stored["flux_err"],
        }
        np.testing.assert_allclose(air_from_vacuum(stored["wave_A"]), stored["wave_air_A"], atol=0.01)
    path = tmp_path / "kepler-409.fits"
    Table(columns, units={"wavelength": "nm"}).write(path)
    drop(page, path)
    found = estimate(page)
    # LTE and a continuum that is Gaia's: a first estimate
    assert found["labels"]["teff"] == pytest.approx(5460, abs=250)
    assert found["labels"]["logg"] == pytest.approx(4.5, abs=0.4)
    assert found["labels"]["mh"] == pytest.approx(0.08, abs=0.3)
    assert found["velocity"] == pytest.approx(0, abs=3)
    assert list(found["labels"]) == list(TABLE_1.names)
