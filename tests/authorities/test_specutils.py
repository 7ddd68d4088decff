"""Exchange with specutils, and its own conversion between air and vacuum."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from starloom import bands
from starloom.errors import ConfigError
from starloom.spectrum import Spectrum
from starloom.spectrum.spectra import Spectra
from starloom.wavelength import refractive_index

specutils = pytest.importorskip("specutils")


def example(**change) -> Spectrum:
    parts = {
        "wavelength": bands.load("rvs").chunks[0].wavelength_aa[:100],
        "flux": np.linspace(0.5, 1, 100),
        "medium": "vacuum",
        "error": np.full(100, 0.01),
        "mask": np.arange(100) % 7 == 0,
        "flux_unit": "Jy",
        "labels": {"teff": 5772.0},
        "provenance": {"code": "test"},
    }
    return Spectrum(**parts | change)


@pytest.mark.parametrize("change", [{}, {"error": None, "mask": None, "flux_unit": "", "labels": None}])
def test_there_and_back(change):
    spectrum = example(**change)
    theirs = spectrum.to_specutils()
    assert isinstance(theirs, specutils.Spectrum)
    assert theirs.spectral_axis.unit == u.AA
    back = Spectrum.from_specutils(theirs)
    for name in ("wavelength", "flux", "error", "mask"):
        np.testing.assert_array_equal(getattr(back, name), getattr(spectrum, name))
    for name in ("medium", "frame", "flux_unit", "labels", "provenance"):
        assert getattr(back, name) == getattr(spectrum, name)


def test_many_are_one_of_theirs():
    rotations = (0, 30, 90)
    labels = np.array([[[teff, 4, v, 0, 1, 11500.0] for v in rotations] for teff in (5000, 9000)])
    flux = np.linspace(0.1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    for shape in ((2, 3), (2,)):
        index = (slice(None),) if len(shape) == 2 else (slice(None), 0)
        parts = flux[index], labels[index]
        spectra = Spectra(np.arange(8400.0, 8404.0), *parts, medium="air", error=flux[index] / 10)
        theirs = spectra.to_specutils()
        assert theirs.shape == (*shape, 4)
        np.testing.assert_array_equal(theirs.flux.value, spectra.flux)
        np.testing.assert_array_equal(theirs.uncertainty.array, spectra.error)
        np.testing.assert_array_equal(theirs.wavelength.to_value("AA"), spectra.wavelength)
        np.testing.assert_array_equal(theirs.meta["labels"]["teff"], spectra.labels[..., 0])
        assert theirs.meta["medium"] == "air"


def test_frequencies_become_rising_wavelengths():
    frequency = np.linspace(3.5e14, 3.6e14, 5) * u.Hz
    theirs = specutils.Spectrum(spectral_axis=frequency, flux=np.arange(5.0) * u.Jy)
    spectrum = Spectrum.from_specutils(theirs, medium="vacuum", frame="barycentric")
    np.testing.assert_allclose(spectrum.wavelength, frequency[::-1].to_value(u.AA, u.spectral()), rtol=1e-15)
    assert spectrum.flux.tolist() == [4, 3, 2, 1, 0]
    assert spectrum.flux_unit == "Jy"


def test_what_is_not_told_must_be_given():
    theirs = specutils.Spectrum(spectral_axis=[8400, 8500] * u.AA, flux=[1, 1] * u.one)
    with pytest.raises(ConfigError, match="does not tell its medium: give medium="):
        Spectrum.from_specutils(theirs)
    with pytest.raises(ConfigError, match="does not tell its frame: give frame="):
        Spectrum.from_specutils(theirs, medium="air")


@pytest.mark.parametrize(
    ("method", "tolerance"), [("Ciddor1996", 1e-15), ("Morton2000", 3e-9), ("PeckReeder1972", 2e-8)]
)
def test_refractive_index_agrees(method, tolerance):
    """The same formula to rounding; others within Ciddor's error of 2e-8 (6 m/s)."""
    from specutils.utils.wcs_utils import refraction_index

    theirs = refraction_index(bands.load("rvs").chunks[0].wavelength_aa * u.AA, method=method)
    np.testing.assert_allclose(
        refractive_index(bands.load("rvs").chunks[0].wavelength_aa),
        np.asarray(theirs),
        atol=tolerance,
        rtol=0,
    )


@pytest.mark.parametrize("change", [{}, {"flux_unit": ""}, {"error": None, "mask": None, "labels": None}])
def test_they_read_our_fits(tmp_path, change):
    spectrum = example(**change)
    spectrum.write(tmp_path / "star.fits")
    for read in (specutils.Spectrum.read, lambda path: specutils.SpectrumList.read(path)[0]):
        theirs = read(str(tmp_path / "star.fits"))
        assert theirs.flux.unit == u.Unit(spectrum.flux_unit)
        assert Spectrum.from_specutils(theirs) == spectrum


def test_they_still_read_other_tables(tmp_path):
    """A table that we did not write is left to their own reader."""
    example().write(tmp_path / "star.fits")
    table = Table({"wavelength": [8400.0, 8500.0] * u.AA, "flux": [1.0, 2.0] * u.Jy})
    table.write(tmp_path / "other.fits")
    assert "header" in specutils.Spectrum.read(str(tmp_path / "other.fits")).meta
    theirs = specutils.Spectrum.read(str(tmp_path / "star.fits"), format="tabular-fits")
    assert "header" in theirs.meta
