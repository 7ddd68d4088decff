"""Pixels at a lower resolution, against the exact convolution of the grid that they were taken from."""

import numpy as np
import pytest

from starloom import broadening
from starloom.broadening import degraded, kernel_width, pixel_ends
from starloom.constants import SPEED_OF_LIGHT_KMS

pytest.importorskip("scipy")
STEP_KMS = 0.3
GRID_AA = 8400 * np.exp(np.arange(2**15) * STEP_KMS / SPEED_OF_LIGHT_KMS)


@pytest.fixture(scope="module")
def intrinsic():
    """Sixty deep, narrow lines."""
    rng = np.random.default_rng([41, 0])
    centres, depths, widths = (rng.uniform(*ends, (60, 1)) for ends in ((8420, 8650), (0.2, 0.8), (4, 9)))
    away = SPEED_OF_LIGHT_KMS * np.log(GRID_AA / centres) / widths
    return 1 - (depths * np.exp(-0.5 * away**2)).sum(axis=0)


def pixels(spacing_kms, uneven=0.15):
    place = np.arange(1000, (GRID_AA.size - 3000) * STEP_KMS, spacing_kms)
    place += uneven * spacing_kms * np.sin(0.9 * np.arange(place.size))
    return 8400 * np.exp(place / SPEED_OF_LIGHT_KMS)


def seen(intrinsic, resolution, wavelength):
    exact = broadening.broaden(intrinsic, STEP_KMS, resolution=resolution)
    return broadening.point_sampler(GRID_AA, wavelength)(exact)


@pytest.mark.parametrize(
    ("native", "resolution", "spacing", "tolerance"),
    # pixels that sample the native profile twice are the coarsest that any instrument has
    [
        (80000, 11500, 1.2, 4e-4),
        (40000, 11500, 3.7, 1e-3),
        (20000, 14500, 7.0, 1e-3),
        (16000, 14500, 9.0, 1.5e-3),
    ],
)
def test_it_is_the_exact_convolution(intrinsic, native, resolution, spacing, tolerance):
    wavelength = pixels(spacing)
    before, exact = (seen(intrinsic, each, wavelength) for each in (native, resolution))
    everywhere = np.ones(wavelength.size, bool)
    found = degraded(wavelength, before, everywhere * 1.0, everywhere, kernel_width(native, resolution))
    inner = slice(60, -60)  # away from the ends of the spectrum
    assert found.good[inner].all()
    assert np.abs(found.flux - exact)[inner].max() < tolerance < 0.05 * np.abs(before - exact).max()


def test_constants_and_slopes_stay(intrinsic):
    wavelength = pixels(5.0, uneven=0.4)
    flux = 3 + 0.01 * (wavelength - 8500)
    found = degraded(wavelength, flux, flux, flux > 0, 11.0)
    # a slope in wavelength is bent by 1e-4 of itself in velocity
    np.testing.assert_allclose(found.flux[found.good], flux[found.good], rtol=1e-6)


@pytest.mark.parametrize("spacing", [1.5, 4.0, 9.0])
@pytest.mark.parametrize("width", [3.5, 11.0])
def test_errors_and_their_correlation_are_those_of_noise(spacing, width):
    """Variance and correlation with five neighbours of 400 noises; 3 % is 5 of their own deviations."""
    wavelength = pixels(spacing)[:1200]
    deviation = np.linspace(0.5, 2.0, wavelength.size)
    rng, found = np.random.default_rng([41, 1]), []
    for _ in range(400):
        noise = rng.normal(size=wavelength.size) * deviation
        found.append(degraded(wavelength, noise, deviation**2, deviation > 0, width))
    told = found[0]
    scaled = np.array([each.flux for each in found])[:, told.good] / np.sqrt(told.variance[told.good])
    assert np.std(scaled) == pytest.approx(1, abs=0.03)
    velocity = SPEED_OF_LIGHT_KMS * np.log(wavelength[told.good])
    for lag in range(1, 6):
        expected = np.exp(-(((velocity[lag:] - velocity[:-lag]) / (2 * told.smoothed_kms)) ** 2)).mean()
        assert np.mean(scaled[:, lag:] * scaled[:, :-lag]) == pytest.approx(expected, abs=0.06)


def test_a_second_time(intrinsic):
    """Two steps are one: flux, errors and correlation."""
    wavelength = pixels(1.5)
    variance, everywhere = np.full(wavelength.size, 0.01), np.ones(wavelength.size, bool)
    before = seen(intrinsic, 80000, wavelength)
    once = degraded(wavelength, before, variance, everywhere, kernel_width(80000, 8000))
    first = degraded(wavelength, before, variance, everywhere, kernel_width(80000, 14500))
    width = kernel_width(14500, 8000)
    twice = degraded(wavelength, first.flux, first.variance, first.good, width, first.smoothed_kms)
    assert twice.smoothed_kms == pytest.approx(once.smoothed_kms, rel=1e-3)
    inner = twice.good & (np.abs(wavelength - 8530) < 90)
    np.testing.assert_allclose(twice.flux[inner], once.flux[inner], atol=1e-5)
    np.testing.assert_allclose(twice.variance[inner], once.variance[inner], rtol=0.01)


def test_bad_pixels_and_gaps_reach_no_good_pixel(intrinsic):
    """Whatever stands in bad pixels; what is near many of them, or a gap, is not good afterwards."""
    wavelength = pixels(1.2)
    wavelength = np.delete(wavelength, slice(2000, 2100))  # a gap of 120 km/s
    good = np.ones(wavelength.size, bool)
    good[[500, 3000]] = False  # 4 % of the kernel of what is beside them
    good[1000:1020] = False
    before, exact = (seen(intrinsic, each, wavelength) for each in (80000, 11500))
    found = [
        degraded(wavelength, np.where(good, before, value), np.where(good, 1.0, value), good, 11.05)
        for value in (1e9, np.nan)
    ]
    assert np.array_equal(found[0].flux, found[1].flux, equal_nan=True)
    assert np.array_equal(found[0].variance, found[1].variance, equal_nan=True)
    assert not found[0].good[~good].any()
    assert not found[0].good[[499, 501, 2999, 3001, 999, 1020, 1999, 2000]].any()
    assert found[0].good[[480, 520, 965, 1050, 1960, 2040]].all()
    inner = found[0].good & (np.arange(good.size) > 60) & (np.arange(good.size) < good.size - 60)
    assert np.abs(found[0].flux - exact)[inner].max() < 0.013


def test_few_pixels_give_none():
    assert not degraded(np.array([8500.0]), np.ones(1), np.ones(1), np.ones(1, bool), 10.0).good.any()
    few = 8500 + 0.1 * np.arange(6)
    assert not degraded(few, np.ones(6), np.ones(6), np.ones(6, bool), 1.0).good.any()


def test_ends_of_pixels():
    low, high = pixel_ends([1.0, 2.0, 3.1, 4.1, 9.0, 10.0, 11.0])
    np.testing.assert_allclose(low, [0.5, 1.5, 2.55, 3.6, 8.5, 9.5, 10.5])
    np.testing.assert_allclose(high, [1.5, 2.55, 3.6, 4.6, 9.5, 10.5, 11.5])


@pytest.mark.parametrize("apart", [1e-9, 1e-4, 0.3])
def test_pixels_in_pairs(intrinsic, apart):
    """Of two orders whose pixels all but coincide: half as many places, from which nothing is made up."""
    wavelength = pixels(7.0, uneven=0.0)
    wavelength = np.sort(np.concatenate([wavelength, wavelength * (1 + apart / SPEED_OF_LIGHT_KMS)]))
    before, exact = (seen(intrinsic, each, wavelength) for each in (16000, 14500))
    everywhere = np.ones(wavelength.size, bool)
    found = degraded(wavelength, before, everywhere * 1.0, everywhere, kernel_width(16000, 14500))
    off = np.abs(found.flux - exact)[found.good]
    assert off.max(initial=0.0) < 0.02
    assert found.variance[found.good].max(initial=0.0) < 3
    fine = degraded(wavelength, before, everywhere * 1.0, everywhere, 30.0)
    assert fine.good[100:-100].all()
    assert fine.smoothed_kms == pytest.approx(30.0, rel=0.01)
