"""Two stars in one spectrum are found, and one star is left alone."""

from dataclasses import replace

import numpy as np
import pytest

from starloom.inference import figure, fit, table
from starloom.inference.composite import Component, Composite, columns
from starloom.io import read_observed
from starloom.spectrum import Spectrum

WAVELENGTH_AA = 8465 + 0.2 * np.arange(1350)
SNR, APART_KMS, RATIO = 100.0, 50.0, 0.4
FIRST = {
    "teff": 4800.0,
    "logg": 2.0,
    "mh": -0.3,
    "alpha": 0.1,
    "Ca": 0.1,
    "vsini": 5.0,
    "resolution": 11500.0,
}
SECOND = {**FIRST, "teff": 4400.0, "logg": 2.3, "vsini": 9.0}


def observed(toy, ratio=0.0, seed=1, **labels):
    """A star, and another one whose light is ``ratio`` of its, with noise."""
    options = {"wavelength_aa": WAVELENGTH_AA, "medium": "vacuum"}
    flux = toy.flux(toy.domain.array(**{**FIRST, **labels}), radial_velocity=-15.0, **options).astype(float)
    other = toy.flux(toy.domain.array(**SECOND), radial_velocity=APART_KMS - 15.0, **options)
    flux = (flux + ratio * other) / (1 + ratio)
    flux += np.random.default_rng([23, seed]).normal(size=flux.size) / SNR
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": 11500.0}}
    return Spectrum(WAVELENGTH_AA, flux, error=np.full(flux.size, 1 / SNR), **about)


@pytest.fixture(scope="module")
def pair(toy):
    return fit(observed(toy, RATIO), toy, starts=2)


def test_two_stars_are_found(pair):
    """Within four of their errors, but for labels that both have in common with others hardly told."""
    found = pair.composite
    assert "composite" in pair.flags
    first, second = found.components
    assert second.velocity - first.velocity == pytest.approx(APART_KMS, abs=1.5)
    assert found.separation == second.velocity - first.velocity
    assert abs(found.light_ratio - RATIO) < 4 * found.light_ratio_error < 0.4
    for star, truth in ((first, FIRST), (second, SECOND)):
        for name in ("teff", "logg"):
            assert abs(star.labels[name] - truth[name]) < 4 * star.errors[name]
    assert first.labels["mh"] == second.labels["mh"]
    assert found.gain > 300


@pytest.mark.parametrize("vsini", [0.0, 45.0])
def test_one_star_is_one(toy, vsini):
    for seed in range(3):
        result = fit(observed(toy, 0.0, seed, vsini=vsini), toy, starts=2)
        assert result.composite is None
        assert "composite" not in result.flags


def test_it_stands_in_text_file_and_table(pair, tmp_path):
    found = pair.composite
    assert f"two stars, flux ratio {found.light_ratio:.2f}" in figure.text(pair)
    pair.write(tmp_path / "pair.ecsv")
    told = Spectrum.read(tmp_path / "pair.ecsv").provenance["fit"]["composite"]
    assert told["components"][1]["velocity"] == found.components[1].velocity
    row = table.row_of(1, "pair", pair, table.FitColumns(pair.domain))
    assert row["composite_teff_2"] == found.components[1].labels["teff"]
    assert row["composite_velocity_1_error"] == found.components[0].errors["velocity"] > 0
    assert set(columns(None)) == set(columns(found))
    assert np.isnan(list(columns(None).values())).all()


def test_what_makes_up_for_a_model_is_no_star():
    """Too little gained, at the velocity of the first, or as fast as it may be."""
    stars = tuple(Component({"teff": 5000.0, "vsini": 5.0}, velocity, {}) for velocity in (0.0, 40.0))
    good = Composite(stars, 0.5, 0.1, 200.0, 1.0)
    assert good.credible
    assert not replace(good, gain=30.0).credible
    assert not replace(good, components=(stars[0], replace(stars[1], velocity=5.0))).credible
    fast = replace(stars[1], labels={"teff": 5000.0, "vsini": 30.0})
    assert not replace(good, components=(stars[0], fast)).credible


def test_real_stars_and_their_doubles(shared):
    """Kepler-409, quiet and single; with itself 40 km/s away."""
    spectrum = read_observed(shared / "observed" / "gaia_rvs_kepler-409.csv")
    assert fit(spectrum).composite is None
    there = np.isfinite(spectrum.flux)
    moved = spectrum.wavelength * np.exp(-40 / 299792.458)
    other = np.interp(moved, spectrum.wavelength[there], spectrum.flux[there])
    double = replace(spectrum, flux=(spectrum.flux + 0.5 * other) / 1.5, error=spectrum.error * 0.75)
    found = fit(double).composite
    assert abs(found.separation) == pytest.approx(40, abs=3)
    assert found.light_ratio == pytest.approx(0.5, abs=0.1)
