"""The page's readers of observed spectra, run by node, against Python's and astropy's; skips without node."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from starloom.io import File, find_format, read_observed
from starloom.labels import TABLE_1
from starloom.spectrum import Spectrum
from starloom.wavelength import vacuum_from_air

PIXELS, FIRST_AA, STEP_AA = 60, 8500.0, 0.7


def axes() -> dict[str, tuple[dict, np.ndarray]]:
    """Headers of the whole family, and the wavelengths [A] that they mean."""
    made = {}
    kinds = ("WAVE", "AWAV", "WAVE-LOG", "AWAV-LOG", "LINEAR", "LAMBDA", "")
    units = {"Angstrom": 1.0, "nm": 10.0, "m": 1e10, "um": 1e4, "": 1.0}
    for kind, unit, step, pixel in product(kinds, units, ("CDELT1", "CD1_1"), (None, 1.0, -20.5)):
        if unit == "" and kind.startswith(("WAVE", "AWAV")):
            continue  # astropy takes metres for a missing unit
        header = {"CTYPE1": kind, "CUNIT1": unit, "CRVAL1": FIRST_AA / units[unit], "CRPIX1": pixel}
        header[step] = STEP_AA / units[unit]
        header = {name: value for name, value in header.items() if value not in (None, "")}
        made[f"{len(made)} {kind} {unit}"] = header, expected(header, units[unit])
    for kind, pixel in product(("LINEAR", "LAMBDA", ""), (None, 1.0)):
        header = {"CTYPE1": kind, "CRVAL1": np.log10(FIRST_AA), "CDELT1": 4e-5, "DC-FLAG": 1, "CRPIX1": pixel}
        header = {name: value for name, value in header.items() if value not in (None, "")}
        places = np.arange(1, PIXELS + 1) - header.get("CRPIX1", 0)
        made[f"{len(made)} {kind} DC-FLAG"] = header, 10 ** (np.log10(FIRST_AA) + 4e-5 * places)
    natural = {"CTYPE1": "WAVE-LOG", "CRVAL1": np.log(FIRST_AA), "CDELT1": 1e-4, "CRPIX1": 1.0}
    made["PHOENIX"] = natural, FIRST_AA * np.exp(1e-4 * np.arange(PIXELS))
    return made


def expected(header: dict, factor: float) -> np.ndarray:
    """By astropy.wcs, which gives metres where there is a unit."""
    world = WCS(fits.Header(header), naxis=1)
    values = world.all_pix2world(np.arange(1, PIXELS + 1), 1)[0]
    return values * (1e10 if str(world.wcs.cunit[0]) == "m" else factor)


def images(folder: Path) -> dict[Path, np.ndarray]:
    flux = np.linspace(0.5, 1.5, PIXELS)
    made = {}
    for number, (header, wavelength) in enumerate(axes().values()):
        path = folder / f"image{number}.fits"
        fits.PrimaryHDU(flux, fits.Header(header)).writeto(path)
        made[path] = wavelength
    return made


def test_axes_by_the_standard_in_python(tmp_path):
    """Of imports and of observed spectra; rounding leaves 1e-13."""
    for path, wavelength in images(tmp_path).items():
        imported = find_format("fits-image").read(File(path)).wavelength
        np.testing.assert_allclose(imported, wavelength, rtol=1e-12, err_msg=str(fits.getheader(path)))
        seen = read_observed(path, medium="air", frame="rest").wavelength
        np.testing.assert_allclose(seen, wavelength, rtol=1e-12)


def test_axes_by_the_standard_on_the_page(read, tmp_path):
    made = images(tmp_path)
    found = read(*made)
    for path, wavelength in made.items():
        told = fits.getheader(path)
        assert "fault" not in found[str(path)], (found[str(path)], told)
        np.testing.assert_allclose(found[str(path)]["wavelength"], wavelength, rtol=1e-12, err_msg=str(told))


@pytest.mark.parametrize("kind", ["FREQ", "VELO", "WAVE-F2W", "MULTISPE"])
def test_other_axes_are_refused(read, tmp_path, kind):
    header = fits.Header({"CTYPE1": kind, "CRVAL1": 8500.0, "CDELT1": 0.7})
    path = tmp_path / "other.fits"
    fits.PrimaryHDU(np.ones(PIXELS), header).writeto(path)
    assert f"CTYPE1 = {kind} is no axis of wavelengths" in read(path)[str(path)]["fault"]
    with pytest.raises(Exception, match=f"CTYPE1 = '{kind}' is no axis of wavelengths"):
        find_format("fits-image").read(File(path))


def ivar_table() -> Table:
    ivar = np.full(PIXELS, 1e4)
    ivar[[3, 10]] = 0.0
    ivar[20:30] = 400.0
    wavelength = FIRST_AA + STEP_AA * np.arange(PIXELS)
    return Table({"WAVELENGTH": wavelength, "FLUX": np.linspace(0.5, 1.5, PIXELS), "IVAR": ivar})


def ivar_files(folder: Path) -> list[Path]:
    made = ivar_table()
    made["WAVELENGTH"].unit = "Angstrom"
    made.write(folder / "table.fits")
    Table({name: [made[name]] for name in made.colnames}, units={"WAVELENGTH": "Angstrom"}).write(
        folder / "row.fits"
    )
    made.write(folder / "table.ecsv")
    made.write(folder / "table.csv")
    text = "\n".join(" ".join(map(repr, row)) for row in np.array([*made.columns.values()]).T.tolist())
    (folder / "table.txt").write_text("wavelength flux inverse_variance\n" + text + "\n")
    return sorted(folder.glob("*.*"))


def test_inverse_variances_in_python(tmp_path):
    made = ivar_table()
    for path in ivar_files(tmp_path):
        spectrum = read_observed(path, medium="vacuum", frame="rest", unit="Angstrom")
        assert np.flatnonzero(spectrum.mask).tolist() == [3, 10], path
        good = ~spectrum.mask
        np.testing.assert_allclose(spectrum.error[good], 1 / np.sqrt(made["IVAR"][good]), rtol=1e-12)
        assert spectrum.provenance["notes"] == ["2 pixels with no finite error are masked"]


def test_inverse_variances_on_the_page(read, tmp_path):
    made = ivar_table()
    for path, found in read(*ivar_files(tmp_path)).items():
        assert [n for n, value in enumerate(found["flux"]) if value is None] == [3, 10], path
        error = np.array(found["error"], float)
        good = made["IVAR"] > 0
        np.testing.assert_allclose(error[good], 1 / np.sqrt(made["IVAR"][good]), rtol=1e-12)
        assert np.isnan(error[~good]).all()


def test_an_error_goes_before_an_inverse_variance(read, tmp_path):
    made = ivar_table()
    made["ERROR"] = 0.02
    made.write(tmp_path / "both.csv")
    assert set(read(tmp_path / "both.csv").popitem()[1]["error"]) == {0.02}
    seen = read_observed(tmp_path / "both.csv", medium="vacuum", frame="rest", unit="Angstrom")
    assert set(seen.error) == {0.02}


def test_the_same_media_and_numbers_as_our_own_files(read, tmp_path):
    wavelength = FIRST_AA + STEP_AA * np.arange(PIXELS)
    made = Spectrum(
        wavelength, np.ones(PIXELS), medium="air", labels=dict(zip(TABLE_1.names[:1], [5000.0], strict=True))
    )
    made.write(tmp_path / "own.fits")
    found = read(tmp_path / "own.fits").popitem()[1]
    assert found["medium"] == "air"
    np.testing.assert_array_equal(vacuum_from_air(np.array(found["wavelength"])), made.to_vacuum().wavelength)


@pytest.mark.parametrize(
    "range_aa", [(1900.0, 2100.0), (3800.0, 5200.0), (8392.0, 8812.0), (22000.0, 25000.0)]
)
@pytest.mark.parametrize("ends", [(0.999, 1.001), (0.3, 2.5)])
def test_a_unit_that_is_not_said_is_the_one_of_the_models_range(read, tmp_path, range_aa, ends):
    """Of a spectrum that covers the range just so, or much more of the spectrum than it."""
    wavelength = np.linspace(range_aa[0] * ends[0], range_aa[1] * ends[1], 2000)
    # without the ends, which lie elsewhere in air
    inside = wavelength[(wavelength > 1.0004 * range_aa[0]) & (wavelength < 0.9996 * range_aa[1])]
    for unit in (1.0, 10.0, 1e4):
        path = tmp_path / f"{unit:g}.csv"
        Table({"wavelength": wavelength / unit, "flux": np.ones(2000)}).write(path)
        found = read(path, range_aa=range_aa)[str(path)]
        assert found.get("fault") is None
        own = np.array(found["wavelength"])
        np.testing.assert_allclose(own[(own >= inside[0] - 0.01) & (own <= inside[-1] + 0.01)], inside)


def test_files_of_surveys(shared, read):
    """The same as in Python, of what lies in the range; of STELIB that is nothing but zeros."""
    cases = shared / "cases"
    found = read(*cases.glob("*.fits"))
    assert "all of its flux values are zero" in found[str(cases / "STELIB_v3.2_HD034411.fits")]["fault"]
    sdss = found[str(cases / "spec-0266-51602-0031.fits")]
    seen = read_observed(cases / "spec-0266-51602-0031.fits", frame="heliocentric")
    inside = (seen.wavelength > 8392) & (seen.wavelength < 8812)
    np.testing.assert_allclose(sdss["wavelength"], seen.wavelength[inside], rtol=1e-12)
    np.testing.assert_allclose(sdss["error"], seen.error[inside], rtol=1e-12)
    assert (sdss["medium"], sdss["assumed"]) == ("vacuum", False)
    assert len(found[str(cases / "star_g2v.fits")]["flux"]) > 800
