"""Pixels that average the flux: told of them, a fit finds the rotation that it would else take them for."""

import numpy as np
import pytest
from astropy import units

from starloom.broadening import known_range, pixel_ends
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference import Settings, fit, fit_each
from starloom.inference.observation import observe
from starloom.inference.pixel import LARGEST, ends_of
from starloom.inference.setup import Setup
from starloom.spectrum import Spectrum

STAR = np.array((5777.0, 4.44, 5.0, 0.1, 1.2, 11500.0))
NODES = 15  # of a pixel's mean, by the midpoint rule: its error is 1e-5 of a line's depth


@pytest.fixture(scope="module")
def averaged(model):
    """A star whose pixels of so many A average the flux, at S/N 200 with the noise of [15, seed]."""
    kept = {}

    def make(width, seed=None):
        if width not in kept:
            centres = np.arange(8460, 8700, width)
            fine = centres[:, None] + width * ((np.arange(NODES) + 0.5) / NODES - 0.5)
            view = {"wavelength_aa": fine.ravel(), "medium": "vacuum", "radial_velocity": 20.0}
            kept[width] = centres, model.flux(STAR, **view).astype(float).reshape(-1, NODES).mean(axis=1)
        centres, flux = kept[width]
        if seed is not None:
            flux = flux + np.random.default_rng([15, seed]).normal(size=flux.size) / 200
        about = {"medium": "vacuum", "frame": "barycentric", "labels": {"resolution": 11500.0}}
        return Spectrum(centres, flux, error=np.full(flux.size, 1 / 200), **about)

    return make


@pytest.mark.parametrize("width", [0.245, 0.37])
def test_a_slow_rotator_is_recovered(exact, averaged, width):
    """Of 40 noises; not told of the pixels, a fit takes them for 2 and 4 km/s more."""
    spectra = [averaged(width, seed) for seed in range(40)]
    told = list(fit_each(spectra, exact, core_kms=0, typical_vmic=False, pixel=width))
    off = np.array([result.labels["vsini"] - 5.0 for result in told])
    inside = [result.intervals[2, 0] <= 5 <= result.intervals[2, 1] for result in told]
    assert np.mean(inside) == pytest.approx(0.6827, abs=0.2)  # 2.7 deviations
    errors = np.array([result.errors["vsini"] for result in told])
    assert (np.abs(off) < 4 * errors).all()
    assert np.abs(np.median(off)) < 0.3 * np.median(errors)
    ratio = [
        (result.values - np.append(STAR, 20.0))[[0, 1, 3, 6]]
        / np.sqrt(np.diag(result.covariance))[[0, 1, 3, 6]]
        for result in told
    ]
    assert np.sqrt(np.mean(np.square(ratio))) == pytest.approx(1, abs=0.2)
    alone = fit(spectra[0], exact, core_kms=0, typical_vmic=False)
    assert alone.labels["vsini"] > 5 + 2 * alone.errors["vsini"]


def test_without_noise_it_is_exact(model, averaged):
    for pixel in (0.37, "0.37 A", "bins", 0.037 * units.nm):
        result = fit(averaged(0.37), model, core_kms=0, typical_vmic=False, pixel=pixel, snr=200.0)
        assert result.labels["vsini"] == pytest.approx(5.0, abs=0.05)
        assert result.chi2 < 1e-3


def test_the_same_in_velocity(model, averaged):
    """A width of 12.92 km/s is 0.37 A at 8585 A, and 1.4 % more or less at the ends."""
    result = fit(averaged(0.37), model, core_kms=0, typical_vmic=False, pixel="12.92 km/s")
    assert result.labels["vsini"] == pytest.approx(5.0, abs=0.1)
    assert result.settings["pixel"] == "12.92 km/s"


def test_several_chunks(toy, giants):
    """A band of two chunks averages as one alone does: by many points of each pixel."""
    centres = np.arange(8480.0, 8720.0, 0.3)
    labels = np.array([[(low + high) / 2 for low, high in giants.values()]])
    model = toy.model.seen(centres, 14500.0, (centres - 0.15, centres + 0.15))
    fine = (centres[:, None] + 0.3 * ((np.arange(NODES) + 0.5) / NODES - 0.5)).ravel()
    mean = toy.model.seen(fine, 14500.0).spectrum(labels).reshape(-1, NODES).mean(axis=1)
    np.testing.assert_allclose(model.spectrum(labels)[0], mean, atol=2e-5)


def test_only_pixels_within_what_the_model_knows(model):
    """The ends of pixels, not their centres."""
    wavelength = np.arange(8380.0, 8830.0, 0.5)
    spectrum = Spectrum(wavelength, np.ones(wavelength.size), medium="vacuum", labels={"resolution": 11500.0})
    alone, wide = (observe(spectrum, Setup(model, Settings(pixel=pixel))) for pixel in ("", "1.7 A"))
    known = known_range(model.model.finish, 11500.0)
    for seen, half in ((alone, 0.0), (wide, 0.85)):
        kept = wavelength[seen.pixels]
        assert known[0] <= kept[0] - half < known[0] + 0.5
        assert known[1] - 0.5 < kept[-1] + half <= known[1]


def test_bins_are_half_way_to_the_neighbours():
    wavelength = np.array([8500.0, 8500.2, 8500.5, 8500.7])
    assert ends_of("", wavelength) is None
    for found, expected in zip(ends_of("bins", wavelength), pixel_ends(wavelength), strict=True):
        np.testing.assert_array_equal(found, expected)
    low, high = ends_of("30 km/s", wavelength)
    np.testing.assert_allclose(np.log(high / low) * 299792.458, 30.0)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, ""),
        ("", ""),
        ("Bins", "bins"),
        (0.37, "0.37 A"),
        ("0.37", "0.37 A"),
        ("0.37A", "0.37 A"),
        (" .5 Angstrom ", "0.5 A"),
        ("9 km/s", "9 km/s"),
        ("9km/s", "9 km/s"),
        (0.037 * units.nm, "0.37 A"),
        (9000 * units.m / units.s, "9 km/s"),
    ],
)
def test_how_a_pixel_is_given(given, kept):
    assert Settings(pixel=given).pixel == kept
    assert Settings(pixel=kept).pixel == kept


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("wide", r"pixel = 'wide' is neither 'bins' nor a width, as '0.37 A' or '9 km/s'"),
        ("1.2.3", "pixel = '1.2.3' is neither"),
        ("0.37 nm", "pixel = '0.37 nm' is neither"),
        (0.0, rf"pixel = 0 A is outside \[0.001, {LARGEST['A']}\] A"),
        (-1, "pixel = -1 A is outside"),
        (np.nan, "pixel = nan A is outside"),
        ("200 km/s", r"pixel = 200 km/s is outside \[0.001, 60\] km/s"),
        (2 * units.s, "pixel has the unit s, expected km/s"),
        ([0.3, 0.3], r"pixel has the shape \(2,\), expected one number"),
    ],
)
def test_what_is_no_pixel(given, message):
    with pytest.raises((ConfigError, OutOfRangeError), match=message) as caught:
        Settings(pixel=given)
    assert "\n" not in str(caught.value)
