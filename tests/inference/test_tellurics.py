"""Lines of the Earth's atmosphere: where they are, and fits that leave them out."""

import dataclasses

import numpy as np
import pytest

from starloom import bands, tables
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.inference import Settings, fit
from starloom.inference.observation import observe
from starloom.inference.setup import Setup
from starloom.inference.tellurics import EARTH_KMS, telluric
from starloom.spectrum import Spectrum

RESOLUTION = 11500.0
WAVELENGTH = np.linspace(8460.0, 8700.0, 2401)
# of narrow absorption in a rotator of 290 km/s (HR 3039, A0V): vacuum, barycentric, -14.2 km/s of the Earth
SEEN_AA = (8462.18, 8481.78, 8488.88, 8513.83, 8521.58, 8542.73)


def lines():
    table = tables.load("tellurics", bands.load("rvs").tables)
    return table["vacuum_wavelength_aa"], table["equivalent_width_aa"]


def flat(frame="topocentric", **options):
    about = {"medium": "vacuum", "frame": frame, "provenance": {"resolution": RESOLUTION}} | options
    return Spectrum(WAVELENGTH, np.ones(WAVELENGTH.size), **about)


def vapour(wavelength, velocity):
    """Transmission of 1 cm of water that moves with ``velocity`` [km/s], seen at RESOLUTION."""
    places, widths = lines()
    places = places * (1 + velocity / SPEED_OF_LIGHT_KMS)
    sigma = places / RESOLUTION / 2.3548
    profiles = np.exp(-(((wavelength[:, None] - places) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
    return 1 - profiles @ widths


def test_table_is_of_visible_lines():
    """Depth = width / (1.064 FWHM) above 0.2 % at R = 11500, to the rounding of the widths (0.1 %)."""
    places, widths = lines()
    depth = widths * RESOLUTION / places / 1.0645
    assert np.all(np.diff(places) >= 0)
    assert depth.min() > 0.002 * 0.999
    assert 0.02 < depth.max() < 0.05


def test_lines_seen_in_a_fast_rotator_are_strong_ones_of_the_table():
    """To 0.06 A, one pixel of that instrument."""
    places, widths = lines()
    strong = places[widths > 0.008]
    for seen in SEEN_AA:
        assert np.abs(strong * (1 - 14.2 / SPEED_OF_LIGHT_KMS) - seen).min() < 0.06


@pytest.mark.parametrize(("frame", "reach"), [("topocentric", 0), ("barycentric", 1), ("heliocentric", 1)])
def test_pixels_within_the_width_of_a_line(frame, reach):
    out = telluric(flat(frame), WAVELENGTH, RESOLUTION, bands.load("rvs"))
    apart = np.abs(np.log(WAVELENGTH[:, None] / lines()[0])).min(axis=1)
    limit = 1 / RESOLUTION + reach * EARTH_KMS / SPEED_OF_LIGHT_KMS
    assert np.array_equal(out, apart <= limit)
    assert 0.2 < out.mean() < 0.5


def test_medium_does_not_matter_and_the_mask_stays(model):
    """But for the rounding of wavelengths at a window's end."""
    mask = WAVELENGTH > 8690
    spectrum, settings = flat(mask=mask), Settings(telluric=True)
    setup = Setup(model, settings)
    vacuum, air = observe(spectrum, setup), observe(spectrum.to_air(), setup)
    assert (vacuum.good != air.good).sum() <= 1
    assert not vacuum.good[mask[vacuum.pixels]].any()


@pytest.mark.parametrize(("frame", "velocity"), [("topocentric", 0.0), ("barycentric", -29.0)])
def test_vapour_does_not_matter(observed, model, frame, velocity):
    """3 cm of water, S/N 100: only wings and the minimiser's tolerance (0.03 deviations) move the fit."""
    star = observed(frame=frame)
    wet = dataclasses.replace(star, flux=star.flux * vapour(star.wavelength, velocity) ** 3)
    truth, spoilt = fit(star, model, core_kms=0.0).values, fit(wet, model, core_kms=0.0)
    without = fit(wet, model, core_kms=0.0, telluric=True)
    free = spoilt.bounds > 0
    assert (np.abs(without.values - truth)[free] / spoilt.bounds[free]).max() < 0.3
    assert (np.abs(spoilt.values - truth)[free] / spoilt.bounds[free]).max() > 3


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"frame": "rest"}, "in its star's rest frame telluric lines have no known place"),
        ({"provenance": {"product": "Gaia RVS mean spectrum", "resolution": RESOLUTION}}, "comes from space"),
    ],
)
def test_spectra_without_a_place_for_them_are_refused(model, about, reason):
    with pytest.raises(ConfigError, match=reason):
        observe(flat(**about), Setup(model, Settings(telluric=True)))
    observe(flat(**about), Setup(model, Settings()))
