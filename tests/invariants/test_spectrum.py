"""A spectrum is immutable, whole and convertible, or it is refused."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from starloom import bands, io
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError, ParseError
from starloom.labels import TABLE_1
from starloom.spectrum import Spectrum, finished
from starloom.spectrum.spectra import Spectra
from starloom.wavelength import air_from_vacuum

PAPER_GRID_AA = bands.load("rvs").points.wavelength_aa
SUN = {"teff": 5772.0, "logg": 4.438, "vsini": 1.6, "mh": 0.0, "vmic": 1.0, "resolution": 11500.0}


@pytest.fixture
def spectrum() -> Spectrum:
    flux = 1 - 0.5 * np.exp(-(((bands.load("rvs").points.wavelength_aa - 8542.09) / 2) ** 2))
    return Spectrum(
        bands.load("rvs").points.wavelength_aa,
        flux,
        medium="air",
        error=0.01 * flux,
        labels=SUN,
        provenance={"seed": 1},
    )


def test_repr_says_what_it_is(spectrum):
    assert repr(spectrum).startswith("Spectrum(4000 wavelengths, 8400 to 8799.9")
    assert repr(spectrum).endswith("A in air, rest frame)")
    rounded = Spectrum([8388.000000000002, 8812.000000000002], np.ones(2), medium="air")  # a band's ends
    assert "8388 to 8812 A" in repr(rounded)


def test_nothing_can_be_changed(spectrum):
    for array in (spectrum.wavelength, spectrum.flux, spectrum.error):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        spectrum.flux = spectrum.error
    with pytest.raises(TypeError):
        spectrum.labels["teff"] = 0.0
    with pytest.raises(TypeError):
        spectrum.provenance["seed"] = 2


def test_input_arrays_are_copied():
    flux = np.ones(3)
    spectrum = Spectrum([1.0, 2.0, 3.0], flux, medium="vacuum")
    flux[0] = 7
    assert spectrum.flux[0] == 1


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_keep_everything(spectrum, duplicate):
    twin = duplicate(spectrum)
    assert twin.flux.tobytes() == spectrum.flux.tobytes()
    assert (twin.labels, twin.provenance, twin.medium) == (spectrum.labels, spectrum.provenance, "air")
    assert twin.mask is None
    assert not twin.flux.flags.writeable


GOOD = {"wavelength": [8400.0, 8500.0, 8600.0], "flux": [1.0, 0.5, 1.0], "medium": "air"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"medium": "water"}, "medium = 'water' is not one of air, vacuum"),
        ({"frame": "galactic"}, "frame = 'galactic' is not one of rest, barycentric"),
        ({"wavelength": [], "flux": []}, r"wavelength has the shape \(0,\)"),
        ({"wavelength": np.ones((3, 1))}, r"wavelength has the shape \(3, 1\)"),
        ({"wavelength": [8400.0, np.nan, 8600.0]}, "wavelengths must be finite and positive"),
        ({"wavelength": [-1.0, 8500.0, 8600.0]}, "wavelengths must be finite and positive"),
        ({"wavelength": [8400.0, 8400.0, 8600.0]}, r"wavelengths do not rise at 8400 A \(1 of 3\)"),
        ({"flux": [1.0, 1.0]}, r"flux has the shape \(2,\), the wavelengths \(3,\)"),
        ({"error": [1.0]}, r"error has the shape \(1,\)"),
        ({"mask": [True]}, r"mask has the shape \(1,\)"),
        ({"flux": [1.0, np.nan, np.inf]}, r"flux is not finite at 8500 A \(2 unmasked pixels of 3\)"),
        ({"error": [0.1, -0.1, 0.1]}, r"error is negative or not finite at 8500 A \(1 unmasked"),
        ({"flux": [1, 2, 3] * u.Jy}, "flux has the unit Jy, expected none"),
        ({"flux_unit": "parrots"}, "flux_unit = 'parrots' is no unit"),
        ({"labels": {"colour": 1.0}}, r"label 'colour' is none of teff, logg, .* nor an element's symbol"),
        ({"labels": {"teff": np.nan}}, "label teff = nan is not one finite number"),
        ({"labels": {"teff": 3 * u.km}}, "teff has the unit km, expected K"),
        ({"labels": [1.0, 2.0]}, r"labels have the shape \(2,\), expected \(6,\)"),
        ({"provenance": {"code": object()}}, "provenance cannot be written as JSON"),
        ({"provenance": {"code": np.nan}}, "provenance cannot be written as JSON"),
        ({"provenance": 3}, "provenance cannot be written as JSON"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Spectrum(**GOOD | change)


def test_bad_pixels_may_be_masked():
    spectrum = Spectrum(**GOOD | {"flux": [1.0, np.nan, 1.0], "error": [0.1, np.inf, 0.1], "mask": [0, 1, 0]})
    assert spectrum.mask.tolist() == [False, True, False]


def test_medium_must_be_said():
    with pytest.raises(TypeError, match="medium"):
        Spectrum(GOOD["wavelength"], GOOD["flux"])


def test_labels_from_an_array_or_from_quantities():
    from_array = Spectrum(**GOOD, labels=list(SUN.values()))
    assert dict(from_array.labels) == SUN
    assert tuple(from_array.labels) == TABLE_1.names
    partial = Spectrum(**GOOD, labels={"vsini": 1600 * u.m / u.s, "teff": 5772 * u.K})
    assert dict(partial.labels) == {"teff": 5772.0, "vsini": 1.6}
    assert partial.title == "Teff = 5772 K, v sin i = 1.6 km/s"


def test_labels_of_any_vocabulary_have_one_order():
    one = Spectrum(**GOOD, labels={"Ca": 0.1, "alpha": 0.2, "teff": 5e3, "C": -0.1})
    other = Spectrum(**GOOD, labels={"teff": 5e3, "alpha": 0.2, "C": -0.1, "Ca": 0.1})
    assert list(one.labels) == ["teff", "alpha", "C", "Ca"]
    assert (one, hash(one)) == (other, hash(other))
    assert one.title == "Teff = 5000 K, [alpha/M] = 0.2 dex, [C/M] = -0.1 dex, [Ca/M] = 0.1 dex"
    assert dict(Spectrum(**GOOD, labels={"vmac": 4000 * u.m / u.s}).labels) == {"vmac": 4.0}


def test_quantities_in_and_out():
    flux = [1.0, 2.0, 3.0] * u.Unit("W / (m2 nm)")
    spectrum = Spectrum([840, 850, 860] * u.nm, flux, medium="air", error=flux, flux_unit="W m-2 nm-1")
    np.testing.assert_allclose(spectrum.wavelength, [8400, 8500, 8600], rtol=1e-15)
    assert spectrum.wavelength_quantity.unit == u.AA
    assert (spectrum.flux_quantity == flux).all()
    assert (spectrum.error_quantity == flux).all()
    converted = Spectrum([840, 850, 860] * u.nm, flux, medium="air", flux_unit="erg / (s cm2 Angstrom)")
    np.testing.assert_allclose(converted.flux, flux.to_value("erg / (s cm2 Angstrom)"), rtol=1e-15)
    assert Spectrum(**GOOD).error_quantity is None


def test_air_and_vacuum(spectrum):
    assert spectrum.to_air() is spectrum
    vacuum = spectrum.to_vacuum()
    assert vacuum.medium == "vacuum"
    assert vacuum.to_vacuum() is vacuum
    np.testing.assert_allclose(air_from_vacuum(vacuum.wavelength), spectrum.wavelength, rtol=1e-15)
    np.testing.assert_allclose(vacuum.to_air().wavelength, spectrum.wavelength, rtol=1e-15)
    assert (vacuum.flux == spectrum.flux).all()


def test_no_conversion_where_air_is_not_known():
    lyman_alpha = Spectrum([1215.0, 1216.0], [1.0, 1.0], medium="vacuum")
    with pytest.raises(OutOfRangeError, match=r"wavelength = 1\d+\.\d+ A is outside \[2300, 16900\] A"):
        lyman_alpha.to_air()
    assert lyman_alpha.shift(100.0).medium == "vacuum"


@given(st.floats(-1000, 1000), st.sampled_from(["air", "vacuum"]))
def test_shift_there_and_back(velocity, medium):
    spectrum = Spectrum(bands.load("rvs").points.wavelength_aa, np.ones(4000), medium=medium)
    there = spectrum.shift(velocity)
    assert (there.frame, there.medium) == ("barycentric", medium)
    back = there.shift(-velocity, frame="rest")
    assert back.frame == "rest"
    np.testing.assert_allclose(back.wavelength, spectrum.wavelength, rtol=1e-15)


def test_shift_is_the_relativistic_one():
    spectrum = Spectrum([6562.8, 6563.0], [1.0, 1.0], medium="vacuum")
    factor = spectrum.shift(0.6 * SPEED_OF_LIGHT_KMS).wavelength / spectrum.wavelength
    np.testing.assert_allclose(factor, 2, rtol=1e-14)  # sqrt(1.6 / 0.4)
    slow = spectrum.shift(30 * u.km / u.s).wavelength / spectrum.wavelength - 1
    np.testing.assert_allclose(slow, 30 / SPEED_OF_LIGHT_KMS, rtol=1e-4)  # v / 2c


@pytest.mark.parametrize("velocity", [3e5, -3e5, np.nan, [1.0, 2.0]])
def test_no_shift_beyond_light(spectrum, velocity):
    with pytest.raises(OutOfRangeError, match=r"is not one number inside \(-c, c\)"):
        spectrum.shift(velocity)


def test_plot_shows_flux_error_mask_and_names_its_axes(spectrum):
    mask = np.zeros(4000, bool)
    mask[10:20] = True
    masked = Spectrum(
        bands.load("rvs").points.wavelength_aa,
        spectrum.flux,
        medium="air",
        error=spectrum.error,
        mask=mask,
        labels=SUN,
    )
    axes = masked.plot(color="black")
    drawn = axes.lines[0].get_ydata()
    np.testing.assert_array_equal(np.isnan(drawn), mask)
    np.testing.assert_array_equal(drawn[~mask], spectrum.flux[~mask])
    assert axes.get_xlabel() == "Wavelength in air [Å], rest frame"
    assert axes.get_ylabel() == "Flux / continuum"
    assert axes.get_title().startswith("Teff = 5772 K, log g = 4.438 dex")
    assert len(axes.collections) == 1
    again = Spectrum(**GOOD, flux_unit="Jy").plot(axes)
    assert again is axes
    assert axes.get_ylabel() == "Flux [Jy]"
    axes.figure.clear()


# Many at once


def batch(**change) -> Spectra:
    flux = np.linspace(0.1, 1, 12, dtype=np.float32).reshape(3, 4)
    parts = {"flux": flux, "labels": np.tile(list(SUN.values()), (3, 1)), "error": flux / 10} | change
    return Spectra(np.arange(8400.0, 8404.0), medium="air", provenance={"notes": ["one"]}, **parts)


def test_spectra_do_not_change_with_the_callers_arrays():
    wavelength, flux = np.arange(8400.0, 8404.0), np.ones((2, 4), np.float32)
    labels, notes = np.tile(list(SUN.values()), (2, 1)), ["one"]
    view = flux[:]
    view.flags.writeable = False  # though what it looks at is not
    for one in (flux, view):
        spectra = Spectra(wavelength, one, labels, medium="air", error=one, provenance={"notes": notes})
        before = spectra[1]
        flux[1], labels[1], wavelength[0] = 7, 0, 1
        notes.append("two")
        assert spectra[1] == before
        assert spectra.provenance["notes"] == notes[:1]
        flux[1], labels[1], wavelength[0] = 1, list(SUN.values()), 8400
        del notes[1:]
        for name in ("wavelength", "flux", "labels", "error"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(spectra, name)[0] = 0


def test_large_arrays_of_our_own_are_not_copied():
    flux = np.ones((2, 4), np.float32)
    labels = np.tile(list(SUN.values()), (2, 1))
    kept = Spectra(np.arange(4.0), finished(flux.reshape(2, 4)), labels, medium="air").flux
    assert np.shares_memory(kept, flux)
    with pytest.raises(ValueError, match="read-only"):
        flux[0] = 2
    assert np.shares_memory(Spectra(np.arange(4.0), kept, labels, medium="air")[:1].flux, flux)


def test_equal_are_the_same_numbers_and_the_same_header(spectrum):
    twin = pickle.loads(pickle.dumps(spectrum))
    assert spectrum == twin
    assert hash(spectrum) == hash(twin)
    flux = spectrum.flux.copy()
    flux[7] = np.nextafter(flux[7], 2)
    others = (
        {"flux": flux},
        {"medium": "vacuum"},
        {"error": None},
        {"mask": np.zeros(4000, bool)},
        {"labels": {"teff": 5000}},
        {"provenance": {}},
        {"frame": "barycentric"},
    )
    for change in others:
        assert dataclasses.replace(spectrum, **change) != spectrum, change
    assert spectrum != 1
    assert len({spectrum, twin}) == 1
    masked = {"flux": np.where(np.arange(4000) == 3, np.nan, spectrum.flux), "mask": np.arange(4000) == 3}
    assert dataclasses.replace(spectrum, **masked) == dataclasses.replace(spectrum, **masked)


def test_equal_spectra_of_many():
    one, other = batch(), batch()
    assert one == other
    assert hash(one) == hash(other)
    assert one == pickle.loads(pickle.dumps(one))
    assert one[1] == other[1]
    assert one[1] != one[2]
    assert one[1:] == other[1:] != one
    assert one != batch(error=None)
    assert one != one[1]
    assert batch(flux=one.flux.astype(float)) == one  # the same numbers


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".fits", ".hdf5"])
def test_files_of_many_return_the_same_bits(tmp_path, suffix, kind):
    if suffix == ".hdf5":
        pytest.importorskip("h5py")
    flux = np.random.default_rng([16, 1]).random((3, 4)).astype(kind)
    made = batch(flux=flux, error=flux / 3)
    io.write_many(tmp_path / f"many{suffix}", [io.Portion(np.arange(1, 4), made)])
    read = io.read_many(tmp_path / f"many{suffix}")[1]
    assert read == made
    assert read.flux.dtype == made.flux.dtype
    for one in read:
        one.write(tmp_path / "one.ecsv", overwrite=True)
        assert Spectrum.read(tmp_path / "one.ecsv") == one


GIANT = {"teff": 4500.0, "Co": 0.1, "alpha": 0.3, "Ca": -0.2, "C": 0.4, "resolution": 11500.0}


def giants() -> Spectra:
    return batch(labels=np.tile(list(GIANT.values()), (3, 1)), names=tuple(GIANT))


def test_spectra_of_other_labels():
    made = giants()
    assert dict(made[1].labels) == GIANT
    assert made[1:].names == tuple(GIANT)
    assert made == pickle.loads(pickle.dumps(made)) != batch(names=tuple(SUN))
    for change, message in (
        ({"names": ("teff", "teff", "C", "Ca", "Co", "mh")}, "a label is there twice: teff, teff, C"),
        ({"names": ("teff", "colour")}, "label 'colour' is none of teff"),
        ({"names": ("teff", "logg")}, r"labels has the shape \(3, 6\), expected \(3, 2\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            batch(**change)


@pytest.mark.parametrize("suffix", [".fits", ".hdf5"])
def test_files_of_many_have_the_labels_there_are(tmp_path, suffix):
    """Beside them columns that are called as other labels, or as these but for the case."""
    if suffix == ".hdf5":
        pytest.importorskip("h5py")
    made, path = giants(), tmp_path / f"many{suffix}"
    others = {"ca": np.array([1, 2, 3]), "vmic": np.array([4.0, 5.0, 6.0]), "Row": np.array([7, 8, 9])}
    io.write_many(path, [io.Portion(np.arange(1, 4), made, others=others)])
    rows, read = io.read_many(path)
    assert (rows.tolist(), read) == ([1, 2, 3], made)
    assert read[0].labels == made[0].labels
    found = io.read_others(path)
    names = ["ca_", "vmic", "Row_"] if suffix == ".fits" else sorted(others)
    assert list(found) == names
    assert found["vmic"].tolist() == [4.0, 5.0, 6.0]
    if suffix == ".fits":
        with fits.open(path) as tables:
            assert tables["LABELS"].columns["teff"].unit == "K"
            assert tables["LABELS"].data["Ca"].tolist() == [-0.2] * 3


def test_spectra_of_different_labels_make_no_file(tmp_path):
    parts = [io.Portion(np.arange(1, 4), batch()), io.Portion(np.arange(4, 7), giants())]
    with pytest.raises(ConfigError, match=r"spectra of the labels teff, logg, .* and teff, Co, alpha"):
        io.write_many(tmp_path / "many.fits", parts)
    assert not list(tmp_path.iterdir())


def test_files_of_many_of_the_first_version(tmp_path):
    """They have six labels, and do not say how many; what comes behind them is carried along."""
    made, path = batch(), tmp_path / "many.fits"
    others = {"alpha": np.array([1.0, 2.0, 3.0])}
    io.write_many(path, [io.Portion(np.arange(1, 4), made, others=others)])
    with fits.open(path, mode="update", checksum=True) as tables:
        del tables["LABELS"].header["NLABELS"]
    assert io.read_many(path)[1] == made
    assert io.read_others(path)["alpha"].tolist() == [1.0, 2.0, 3.0]


def grid(**change) -> Spectra:
    """Two temperatures and three rotations."""
    rotations = (0, 30, 90)
    labels = np.array([[[teff, 4, v, 0, 1, 11500.0] for v in rotations] for teff in (5000, 9000)])
    flux = np.linspace(0.1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    parts = {"flux": flux, "labels": labels, "error": flux / 10} | change
    return Spectra(np.arange(8400.0, 8404.0), medium="air", provenance={"notes": ["one"]}, **parts)


@pytest.mark.parametrize("suffix", [".fits", ".hdf5"])
def test_many_are_written_and_read(tmp_path, suffix):
    if suffix == ".hdf5":
        pytest.importorskip("h5py")
    for number, spectra in enumerate((batch(), batch(error=None), grid(), grid()[0, 0:1])):
        path = tmp_path / f"many{number}{suffix}"
        spectra.write(path)
        assert Spectra.read(path) == spectra.flat
        with pytest.raises(ConfigError, match="exists"):
            spectra.write(path)
    assert spectra.flat[0] == spectra[0]
    grid().write(path, overwrite=True)
    assert len(Spectra.read(path)) == 6
    with pytest.raises(ConfigError, match="there are no spectra to write"):
        grid()[:0].write(tmp_path / f"none{suffix}")


def test_files_of_one_and_of_many_spectra_are_told_apart(tmp_path):
    grid().write(tmp_path / "many.fits")
    grid()[0, 0].write(tmp_path / "one.fits")
    with pytest.raises(
        ParseError, match=r"one\.fits: no image FLUX: it holds one spectrum, for Spectrum\.read$"
    ):
        Spectra.read(tmp_path / "one.fits")
    with pytest.raises(
        ParseError, match=r"many\.fits: no table SPECTRUM: it holds many spectra, for Spectra"
    ):
        Spectrum.read(tmp_path / "many.fits")


def test_many_have_units():
    spectra = grid()
    assert spectra.wavelength_quantity.unit == "Angstrom"
    for name in ("flux", "error"):
        quantity = getattr(spectra, f"{name}_quantity")
        assert quantity.unit.is_equivalent("")
        np.testing.assert_array_equal(quantity.value, getattr(spectra, name))
    assert grid(error=None).error_quantity is None


def test_many_as_a_table():
    spectra = grid()
    table = spectra.to_table()
    assert table.colnames == [*SUN, "flux", "error"]
    assert [str(table[name].unit) for name in ("teff", "logg", "vsini")] == ["K", "dex", "km / s"]
    np.testing.assert_array_equal(table["flux"], spectra.flat.flux)
    np.testing.assert_array_equal(table["vsini"], [0, 30, 90, 0, 30, 90])
    np.testing.assert_array_equal(table.meta["wavelength"].value, spectra.wavelength)
    assert (table.meta["medium"], table.meta["frame"]) == ("air", "rest")
    assert table.meta["provenance"] == {"notes": ["one"]}
    assert "error" not in grid(error=None).to_table().colnames


def test_one_as_a_table(spectrum):
    table = spectrum.to_table()
    np.testing.assert_array_equal(table["flux"], spectrum.flux)
    assert table["wavelength"].unit == "Angstrom"
    assert table.meta["labels"] == dict(spectrum.labels)


def test_plot_of_many_names_what_differs():
    axes = grid().plot()
    assert len(axes.lines) == 6
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names[1] == "Teff 5000 K, v sin i 30 km/s"
    assert axes.get_title() == "log g = 4 dex, [M/H] = 0 dex, vmic = 1 km/s, R = 11500"
    np.testing.assert_array_equal(axes.lines[4].get_ydata(), grid()[1, 1].flux)
    axes.figure.clear()
    one = grid()[0, :1].plot(color="black")
    assert one.get_legend() is None
    one.figure.clear()
    with pytest.raises(ConfigError, match="there are no spectra to draw"):
        grid()[:0].plot()
