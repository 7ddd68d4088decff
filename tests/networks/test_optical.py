"""The model ``optical`` of this repository: what it knows, its joins, a spectrum by radiative transfer."""

from pathlib import Path

import numpy as np
import pytest

import starloom
from starloom import bands
from starloom.errors import OutOfRangeError
from starloom.networks.generator import Generator
from starloom.wavelength import Points, air_from_vacuum

DISTRIBUTIONS = Path(__file__).resolve().parents[2] / "distributions"
FILE = DISTRIBUTIONS / "optical-model" / "src" / "starloom_optical_model" / "optical.safetensors"
TABLES = DISTRIBUTIONS / "optical" / "src" / "starloom_optical"
SUN = {"teff": 5777, "logg": 4.44, "mh": 0.0, "alpha": 0.0, "vmic": 1.0, "vsini": 2.0}


@pytest.fixture(scope="module")
def model():
    return Generator.load(FILE)


def test_it_knows_the_whole_optical_and_states_its_errors(model):
    assert model.domain.names == ("teff", "logg", "mh", "alpha", "vmic", "vsini", "resolution")
    sun = starloom.generate(model=FILE, **SUN, resolution=11500)
    assert sun.wavelength[[0, -1]].tolist() == [4200.0, 9200.0]
    assert np.isfinite(sun.flux).all()
    assert 0 < sun.error.min() < sun.error.mean() < 3e-3
    with pytest.raises(OutOfRangeError, match=r"resolution = 25000 is outside \[1000, 20000\]"):
        starloom.generate(model=FILE, **SUN, resolution=25000)


@pytest.mark.parametrize(("vsini", "resolution"), [(2.0, 20000.0), (250.0, 5000.0), (100.0, 1000.0)])
def test_a_part_is_what_the_whole_has_there(model, vsini, resolution):
    """Also across a join of chunks, where a part asks two networks and the whole all."""
    labels = model.domain.array(**SUN | {"vsini": vsini, "resolution": resolution})
    wavelength = model.header.points.wavelength_aa[200:-200]  # the ends need what is beyond
    whole = model.flux(labels, wavelength_aa=wavelength)
    for join in air_from_vacuum(np.array(model.header.band.edges_aa[3:8:2])):
        part = np.abs(wavelength - join) < 10
        found = model.flux(labels, wavelength_aa=wavelength[part])
        np.testing.assert_allclose(found, whole[part], atol=3e-5)


def test_low_resolution_is_a_blurred_high_one(model):
    """Seen at R = 20 000 and blurred to 2000 by another way, over joins of chunks."""
    high, low = (
        starloom.generate(model=FILE, **SUN, resolution=resolution, wavelength_aa=np.arange(*ends))
        for resolution, ends in ((20000, (4900.0, 5800.0, 0.05)), (2000, (5000.0, 5700.0, 0.5)))
    )
    blurred = starloom.degrade(high, 2000)
    seen = np.interp(low.wavelength, blurred.wavelength, blurred.flux)
    np.testing.assert_allclose(low.flux, seen, atol=2e-4)


def test_the_sun_by_radiative_transfer():
    pytest.importorskip("jax")
    from starloom.synthesis.view import View

    window = bands.load(TABLES, "calibrated").within("Mg b", 5150.0, 5200.0)
    made = starloom.synthesize(teff=5777, logg=4.44, mh=0.0, vmic=1.0, band=window)
    points = Points("air", "linear", 5150.0, 5200.0, 1001)
    expected = View(vsini=2.0, resolution=11500.0, points=points).observe(made)
    found = starloom.generate(model=FILE, **SUN, resolution=11500, wavelength_aa=points.wavelength_aa)
    assert np.abs(found.flux - expected.flux).mean() < 2e-3
