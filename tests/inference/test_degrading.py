"""Spectra finer than the model, degraded: labels, and whether stated errors are those of the scatter."""

import dataclasses
import json

import numpy as np
import pytest

import starloom
from starloom import cli
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference import degrade, fit, fit_each
from starloom.inference.degrading import noise_correlation
from starloom.inference.observation import FINER, observe
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.spectrum import Spectrum

STAR = np.array((5777.0, 4.44, 8.0, 0.1, 1.2, 14500.0))
VELOCITY = 20.0


@pytest.fixture(scope="module")
def fine(model):
    """A star at the model's finest resolution, at pixels of so many km/s, with the noise of [14, seed]."""
    kept = {}

    def make(seed, spacing=2.0, snr=40.0, gaps=False, error=True):
        if (spacing, gaps) not in kept:
            place = np.arange(0, SPEED_OF_LIGHT_KMS * np.log(8700 / 8460), spacing)
            if gaps:  # of 40 pixels, and uneven
                place += 0.2 * spacing * np.sin(1.3 * np.arange(place.size))
                place = place[np.arange(place.size) % 500 > 40]
            wavelength = 8460 * np.exp(place / SPEED_OF_LIGHT_KMS)
            view = {"wavelength_aa": wavelength, "medium": "vacuum", "radial_velocity": VELOCITY}
            kept[spacing, gaps] = wavelength, model.flux(STAR, **view).astype(float)
        wavelength, flux = kept[spacing, gaps]
        rng, mask = np.random.default_rng([14, seed]), None
        flux = flux + rng.normal(size=flux.size) / snr
        if gaps:
            mask = rng.uniform(size=flux.size) < 0.002
            flux = np.where(mask, 1e3, flux)
        deviation = np.full(flux.size, 1 / snr) if error else None
        about = {"medium": "vacuum", "frame": "barycentric", "labels": {"resolution": 14500.0}}
        return Spectrum(wavelength, flux, error=deviation, mask=mask, **about)

    return make


@pytest.mark.parametrize(
    ("spacing", "snr", "gaps", "resolution"),
    [(2.0, 40.0, True, 7000.0), (9.0, 80.0, False, 13500.0)],  # kernels of ten pixels, and of a third of one
)
def test_stated_errors_are_the_scatter(exact, fine, spacing, snr, gaps, resolution):
    """Of 120 noises: 0.9 to 1.1 over all parameters, which is 3.7 of that ratio's own deviations."""
    spectra = [fine(seed, spacing, snr, gaps) for seed in range(120)]
    results = list(fit_each(spectra, exact, core_kms=0, typical_vmic=False, degrade=resolution))
    free = results[0].bounds > 0
    errors = np.sqrt([np.diag(result.covariance) for result in results])
    off = np.array([result.values - np.append(STAR, VELOCITY) for result in results])
    ratio = off[:, free] / errors[:, free]
    assert 0.9 < np.sqrt((ratio**2).mean()) < 1.1
    assert np.abs(ratio.mean(axis=0)).max() < 0.35
    assert np.mean([result.inflation for result in results]) < 1.02
    assert np.mean([result.reduced_chi2 for result in results]) == pytest.approx(1, abs=0.05)
    assert all(result.values[5] == resolution for result in results)


def test_noise_that_is_taken_for_independent_would_be_underestimated(model, fine):
    """What is told of the correlation matters: without it the bound is a third too small or more."""
    result = fit(fine(1), model, core_kms=0, typical_vmic=False, degrade=7000.0)
    assert result.shared > 2
    forgotten = dataclasses.replace(result.spectrum, provenance={})
    alone = fit(forgotten, model, core_kms=0, typical_vmic=False)
    assert (alone.bounds[:3] < 0.65 * result.bounds[:3]).all()


def test_a_fit_uses_no_more_pixels_than_the_resolution_needs(model, fine):
    spectrum = fine(2, gaps=True)
    result = fit(spectrum, model, degrade=7000.0, core_kms=0, typical_vmic=False)
    step = np.median(np.diff(result.spectrum.wavelength[result.pixels]))
    assert 2.9 < 8580 / 7000 / step < 4
    assert result.left_out[FINER] > 3000
    assert result.used.sum() + sum(result.left_out.values()) == spectrum.flux.size
    assert result.best.flux.size == result.used.size


def test_errors_that_the_spectrum_lacks_are_estimated(model, fine):
    known, estimated = (
        fit(fine(3, error=told), model, degrade=7000.0, core_kms=0, typical_vmic=False)
        for told in (True, False)
    )
    assert "error_estimated" in estimated.flags
    assert estimated.spectrum.error is None
    ratio = [estimated.errors[name] / known.errors[name] for name in known.free]
    assert 0.75 < min(ratio) <= max(ratio) < 1.3


def test_a_window_is_left_out_before(model, fine):
    """What it holds enters no pixel: not by the kernel either."""
    spectrum = fine(4)
    inside = (spectrum.wavelength > 8550) & (spectrum.wavelength < 8553)
    spoilt = dataclasses.replace(spectrum, flux=np.where(inside, 50.0, spectrum.flux))
    window = {"windows": ((8550.0, 8553.0),), "degrade": 7000.0}
    clean, same = (observe(one, Setup(model, Settings(**window))) for one in (spectrum, spoilt))
    assert np.array_equal(clean.flux, same.flux)
    assert np.array_equal(clean.good, same.good)
    near = (clean.vacuum_aa > 8549.8) & (clean.vacuum_aa < 8553.2)
    assert near.sum() > 5
    assert not clean.good[near].any()


def test_degrade_is_a_function_of_the_package(fine, tmp_path):
    spectrum = fine(5)
    found = starloom.degrade(spectrum, 9000.0)
    assert found.labels["resolution"] == 9000
    assert found.provenance["degraded_from"] == 14500
    assert np.array_equal(found.wavelength, spectrum.wavelength)
    assert found.mask.sum() < 30
    assert np.isnan(found.flux[found.mask]).all()
    assert found.error[~found.mask].max() < 0.6 * spectrum.error.max()
    for name in ("a.fits", "a.ecsv", "a.csv"):
        found.write(tmp_path / name)
        assert noise_correlation(Spectrum.read(tmp_path / name)) == noise_correlation(found) > 0
    same = degrade(spectrum, 14500.0)
    assert np.array_equal(same.flux, spectrum.flux)
    assert noise_correlation(same) == 0
    told = degrade(dataclasses.replace(spectrum, labels={}), 9000.0, native_resolution=14500.0)
    np.testing.assert_array_equal(told.flux, found.flux)


@pytest.mark.parametrize(
    ("resolution", "native", "message"),
    [
        (11500.0, None, "resolution: the spectrum does not tell it, so it must be given to degrade it"),
        (11500.0, 9000.0, "degrade = 11500 is above the spectrum's resolution 9000: it cannot be sharpened"),
        (0.0, 9000.0, r"degrade = 0 is outside \[1, 1e\+06\]"),
        (np.nan, 9000.0, r"degrade = nan is outside"),
        (11500.0, -1.0, r"resolution = -1 is outside"),
        (2.0, 1e6, "degrade = 2: no pixel has all of its kernel of 6.37e.04 km/s over good ones"),
    ],
)
def test_what_cannot_be_degraded_says_why(fine, resolution, native, message):
    spectrum = dataclasses.replace(fine(6), labels={})
    with pytest.raises((ConfigError, OutOfRangeError), match=message) as caught:
        degrade(spectrum, resolution, native)
    assert "\n" not in str(caught.value)


def test_the_message_about_finer_spectra_names_the_way(model, fine):
    sharp = dataclasses.replace(fine(7), labels={"resolution": 80000.0})
    with pytest.raises(
        OutOfRangeError, match=r"outside \[5000, 14500\]: .*starloom.degrade.*--degrade 11500"
    ):
        fit(sharp, model)
    with pytest.raises(OutOfRangeError, match=r"degrade = 20000 is outside \[5000, 14500\]"):
        fit(sharp, model, degrade=20000.0)


def test_against_another_convolution(shared):
    """The Sun at R = 350 000 in air, uneven: as its collectors brought it to Gaia's resolution and points."""
    with np.load(shared / "observed" / "sun_fts_disk_centre.npz") as stored:
        wavelength, flux = stored["wave_A"], stored["flux"]
        points, theirs = stored["rvs_wave_vac_A"], stored["rvs_flux"]
        native = float(json.loads(str(stored["meta"]))["R"])
    part = (wavelength > 8445) & (wavelength < 8475)
    spectrum = Spectrum(wavelength[part], flux[part], medium="air", frame="rest")
    found = degrade(spectrum, 11500.0, native).to_vacuum()
    inner = (points > 8461) & (points < 8476)
    ours = np.interp(points[inner], found.wavelength[~found.mask], found.flux[~found.mask])
    assert np.abs(ours - theirs[inner]).max() < 2e-4


MODEL = "--model", "default-2026-lte"


def test_the_command(fine, tmp_path, capsys):
    """Degraded, pixels told of; and what cannot be is one line."""
    fine(8).write(tmp_path / "fine.fits")

    def run(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["starloom", "fit", str(tmp_path / "fine.fits"), *words, *MODEL])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return ended.value.code or 0, capsys.readouterr()

    code, told = run(
        "--degrade", "9000", "--pixel", "2 km/s", "--core", "0", "-o", str(tmp_path / "fit.fits")
    )
    assert code == 0
    assert "R        9000" in told.out
    about = Spectrum.read(tmp_path / "fit.fits").provenance
    assert (about["fit"]["settings"]["degrade"], about["fit"]["settings"]["pixel"]) == (9000, "2 km/s")
    assert about["observed"]["degraded_from"] == 14500
    for words, message in (
        (("--degrade", "14600"), "degrade = 14600 is outside [5000, 14500]"),
        (("--degrade", "9000", "--resolution", "8000"), "it cannot be sharpened"),
        (("--pixel", "wide"), "pixel = 'wide' is neither 'bins' nor a width"),
    ):
        code, told = run(*words)
        assert (code, told.out, told.err.count("\n")) == (2, "", 1)
        assert message in told.err
