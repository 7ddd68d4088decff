"""Which pixels of an observed spectrum a fit uses: one rule, whatever the grid; the others are counted."""

import dataclasses
import json

import numpy as np
import pytest

from starloom.broadening import known_range
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference import Settings, fit
from starloom.inference.figure import text
from starloom.inference.observation import FURTHEST, OUTSIDE, observe
from starloom.inference.setup import Setup
from starloom.labels import TABLE_1
from starloom.spectrum import Spectrum
from starloom.wavelength import vacuum_from_air

SUN = (5777.0, 4.44, 8.0, 0.1, 1.2)


def wide(model, wavelength, medium, resolution, velocity=30.0):
    """A noise-free Sun at S/N 100, flat where the model does not know it."""
    labels = np.array([*SUN, resolution])
    vacuum = vacuum_from_air(wavelength) if medium == "air" else wavelength
    low, high = model.model.known(labels, velocity)
    inside = (vacuum > low + 0.01) & (vacuum < high - 0.01)
    view = {"wavelength_aa": wavelength[inside], "medium": medium, "radial_velocity": velocity}
    flux = np.ones(wavelength.size)
    flux[inside] = model.flux(labels, **view)
    about = {"medium": medium, "frame": "barycentric", "labels": {"resolution": resolution}}
    return Spectrum(wavelength, flux, error=np.full(flux.size, 0.01), **about)


@pytest.mark.parametrize(
    ("low", "high", "step", "medium", "resolution", "velocity"),
    [
        (8380.0, 8830.0, 0.05, "vacuum", 11500.0, 30.0),
        (5000.0, 11000.0, 0.13, "air", 11500.0, -480.0),
        (8380.0, 8830.0, 0.31, "vacuum", 5000.0, 480.0),
        (8391.0, 8700.0, 0.17, "air", 5100.0, -30.0),
    ],
)
def test_spectra_wider_than_the_model(model, low, high, step, medium, resolution, velocity):
    spectrum = wide(model, np.arange(low, high, step), medium, resolution, velocity)
    result = fit(spectrum, model, core_kms=0, typical_vmic=False)
    truth = np.array([*SUN, resolution, velocity])
    free = result.bounds > 0
    assert (np.abs(result.values - truth)[free] < 0.15 * result.bounds[free]).all()
    assert result.used.sum() + sum(result.left_out.values()) == spectrum.flux.size
    assert set(result.left_out) == {OUTSIDE}
    # all that entered is known to the model at the star's own velocity
    ends = model.model.known(result.values[: len(TABLE_1.names)], result.velocity)
    seen = spectrum.wavelength[result.pixels][result.used]
    seen = vacuum_from_air(seen) if medium == "air" else seen
    assert ends[0] <= seen[0]
    assert seen[-1] <= ends[1]


@pytest.mark.parametrize("resolution", [5000.0, 5001.0, 8123.0, 11500.0, 14500.0])
def test_the_ends_of_what_is_known_are_reached_and_not_passed(model, resolution):
    """With the coarsest modes that a fit may take for a star of this resolution."""
    finest = min(step for step in Setup(model, Settings()).resolutions if step >= resolution)
    finish = model.model.finish
    low, high = known_range(finish, resolution)
    model.model.seen(np.array([low, 8600.0, high]), finest)
    beyond = known_range(finish, finest)
    # three of the coarsest points further: none is given away
    for ends in ([beyond[0] - 0.9, 8600.0], [8600.0, beyond[1] + 0.9]):
        with pytest.raises(OutOfRangeError):
            model.model.seen(np.array(ends), finest)


@pytest.mark.parametrize("medium", ["air", "vacuum"])
@pytest.mark.parametrize("name", ["sun_fts_disk_centre", "mike_hd140283", "hpf_hr3039"])
def test_real_spectra_at_their_own_points(model, shared, name, medium):
    """Their points, which are uneven and reach beyond the model, and gaps; not smoothed, so no good fit."""
    with np.load(shared / "observed" / f"{name}.npz") as stored:
        wavelength, flux, about = stored["wave_A"], stored["flux"], json.loads(str(stored["meta"]))
    fine = Spectrum(
        wavelength, np.nan_to_num(flux), mask=~np.isfinite(flux), medium=about["medium"], frame="barycentric"
    )
    fine = fine.to_air() if medium == "air" else fine.to_vacuum()
    spectrum = dataclasses.replace(fine, labels={"resolution": 11500.0})
    result = fit(spectrum, model)
    assert result.used.sum() + sum(result.left_out.values()) == wavelength.size
    assert np.isfinite(result.values).all()


@pytest.mark.parametrize("part", ["flux", "error"])
@pytest.mark.parametrize("value", [1e300, -1e300])
def test_numbers_that_no_instrument_measures(observed, model, part, value):
    """Two of them are left out and counted; errors of 1e-300 gave a division by zero."""
    spectrum = observed(seed=1)
    values = getattr(spectrum, part).copy()
    values[[7, 1200]] = [value, value] if part == "flux" else [1e300, 1e-300]
    result = fit(dataclasses.replace(spectrum, **{part: values}), model)
    assert result.left_out[f"{part} no measurement"] == 2
    assert not result.used[[7, 1200]].any()
    clean = fit(spectrum, model)
    assert (np.abs(result.values - clean.values)[:3] < clean.bounds[:3]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"error": 1e-300}, r"error is 1e-300 at 8460 A \(2401 of 2401 used pixels\): that is not within"),
        ({"flux": 1e300}, r"error is 3.2e-15 at 8460 A \(2401 of 2401"),
        ({"error": None, "snr": 1e300}, r"snr is 1e\+300 at 8460 A"),
    ],
)
def test_too_many_of_them_are_one_line(observed, model, change, message):
    snr = change.pop("snr", None)
    spectrum = dataclasses.replace(observed(), error=np.full(2401, 3.2e-15))
    change = {name: value and np.full(2401, value) for name, value in change.items()}
    with pytest.raises(ConfigError, match=message) as caught:
        observe(dataclasses.replace(spectrum, **change), Setup(model, Settings(snr=snr)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [3 / FURTHEST, 1e-6, 1e3, 0.3 * FURTHEST])
def test_all_errors_that_are_let_through_can_be_fitted(observed, model, error):
    """Warnings are errors: nothing overflows."""
    spectrum = observed()
    result = fit(dataclasses.replace(spectrum, error=error * np.abs(spectrum.flux)), model)
    assert np.isfinite(result.values).all()
    assert result.used.all()


def test_each_pixel_is_counted_once(observed, model):
    """Masked, in a window, with a zero error, hit by a cosmic ray: each by its first reason."""
    spectrum = observed(seed=3)
    flux, error, mask = spectrum.flux.copy(), spectrum.error.copy(), np.zeros(2401, bool)
    mask[100:110] = True
    error[105:120] = 0
    flux[500] *= 2
    spoilt = dataclasses.replace(spectrum, flux=flux, error=error, mask=mask)
    result = fit(spoilt, model, windows=((8461.95, 8462.55),))
    counted = dict(result.left_out)
    cosmic = counted.pop("far above the model")
    assert counted == {"masked": 10, "in a window": 6, "error no measurement": 10}
    assert cosmic == 2401 - 26 - result.used.sum()
    assert not result.used[500]
    told = text(result)
    assert f"{result.used.sum()} of 2401 pixels used" in told
    assert "- 10 masked" in told
    assert result.best.provenance["fit"]["left_out"] == result.left_out


@pytest.mark.parametrize("given", ["star.fits", None])
def test_what_is_no_spectrum_is_one_line(model, given):
    with pytest.raises(
        ConfigError, match=rf"^spectrum = {given!r} is none: starloom\.io\.read_observed reads"
    ):
        fit(given, model)
