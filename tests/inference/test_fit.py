"""Fits of stars whose labels are known, and of what cannot be fitted."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starloom import generate
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference import FLAGS, Failure, fit, fit_each
from starloom.inference.coordinates import Coordinates
from starloom.inference.solution import promising
from starloom.labels import TABLE_1
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

PARAMETERS = (*TABLE_1.names, "velocity")
LTE = {"core_kms": 0.0, "typical_vmic": False}  # stars of any microturbulence
SAME = 0.1  # deviations: each minimum is found to 0.03 of them, and not along the same way
STARS = {
    "sun": ((5777.0, 4.44, 8.0, 0.1, 1.2, 11500.0), 35.0),
    "cool giant": ((4100.0, 2.2, 15.0, -0.6, 1.8, 11500.0), -280.0),
    "A star": ((8900.0, 3.9, 160.0, -0.2, 2.5, 11500.0), 120.0),
    "B star": ((14000.0, 3.2, 60.0, 0.3, 1.0, 11500.0), -15.0),
    "at a low resolution": ((6800.0, 4.1, 40.0, -0.9, 2.0, 5200.0), 250.0),
}


def deviations(result, labels, velocity):
    """Distance to the truth in standard deviations of noise alone."""
    truth = np.append(labels, velocity)
    free = [PARAMETERS.index(name) for name in result.free]
    return np.abs(result.values - truth)[free] / result.bounds[free]


@pytest.mark.parametrize("name", STARS)
def test_noise_free_stars_are_found(observed, model, name):
    """To the tolerance of the minimiser: 0.03 of the deviation that S/N 100 allows, and float32."""
    labels, velocity = STARS[name]
    result = fit(observed(labels, velocity), model, **LTE)
    assert deviations(result, labels, velocity).max() < 0.15
    assert result.flags == ()
    assert result.inflation == 1
    assert result.chi2 < 1
    assert result.continuum == pytest.approx([3.2e-13, 0.32e-13], rel=1e-3)


def test_scatter_and_intervals(observed, model):
    """Of 64 noisy copies: the mean square in errors is 1 to 0.71 (4 sigma), 68 % lie within (29..58)."""
    labels, velocity = STARS["sun"]
    spectra = [observed(labels, velocity, snr=60, seed=k) for k in range(64)]
    results = list(fit_each(spectra, model, **LTE))
    truth = np.append(labels, velocity)
    for index, name in enumerate(PARAMETERS):
        if name == "resolution":
            continue
        low, high = np.array([r.intervals[index] for r in results]).T
        assert 29 <= ((low <= truth[index]) & (truth[index] <= high)).sum() <= 58
        if name != "vsini":  # 8 km/s is barely seen at this resolution: not normal
            scaled = [(r.values[index] - truth[index]) / r.errors[name] for r in results]
            assert 0.29 < np.mean(np.square(scaled)) < 1.71
            assert abs(np.mean(scaled)) < 4 / 64**0.5


def test_one_by_one_or_together(observed, model):
    """A star's fit does not depend on its neighbours, nor on the order."""
    spectra = [observed(*STARS[name], seed=k) for k, name in enumerate(list(STARS)[:4])]
    together = list(fit_each(spectra, model))
    alone = [fit(spectrum, model) for spectrum in reversed(spectra)][::-1]
    for one, other in zip(together, alone, strict=True):
        assert (np.abs(one.values - other.values) <= SAME * one.bounds + 1e-9).all()


def test_air_or_vacuum(observed, model):
    labels, velocity = STARS["A star"]
    vacuum = observed(labels, velocity, seed=1)
    one, other = fit(vacuum, model), fit(vacuum.to_air(), model)
    assert (np.abs(one.values - other.values) <= SAME * one.bounds + 1e-9).all()
    assert other.best.medium == "air"


@settings(max_examples=8)
@given(scale=st.floats(-25, 25))
def test_units_of_flux_do_not_matter(observed, model, scale):
    spectrum = observed(seed=2)
    other = dataclasses.replace(
        spectrum, flux=spectrum.flux * 10.0**scale, error=spectrum.error * 10.0**scale
    )
    one, two = fit(spectrum, model), fit(other, model)
    assert (np.abs(one.values - two.values) <= SAME * one.bounds + 1e-9).all()
    assert two.chi2 == pytest.approx(one.chi2, rel=1e-3)
    assert two.model == pytest.approx(one.model * 10.0**scale, rel=1e-3)


def test_input_is_not_changed_and_result_is_frozen(observed, model):
    spectrum = observed(seed=3)
    before = spectrum.flux.copy(), spectrum.error.copy()
    result = fit(spectrum, model)
    assert np.array_equal(spectrum.flux, before[0])
    assert np.array_equal(spectrum.error, before[1])
    assert result.spectrum is spectrum
    with pytest.raises(ValueError, match="read-only"):
        result.values[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.chi2 = 0


def test_whole_range_with_edges(observed, model):
    """At 300 km/s the ends of 8400-8800 A are beyond what the model knows: left out, not guessed."""
    labels, _ = STARS["A star"]
    wavelength = np.arange(8412.0, 8799.0, 0.1)
    result = fit(observed(labels, 300.0, wavelength=wavelength, medium="air"), model, **LTE)
    assert deviations(result, labels, 300.0).max() < 0.15
    longer = Spectrum(
        np.concatenate([np.arange(8000.0, 8412.0, 0.1), result.spectrum.wavelength, [8850.0, 9000.0]]),
        np.concatenate([np.full(4120, 7e-13), result.spectrum.flux, [5e-13, 5e-13]]),
        error=np.concatenate([np.full(4120, 1e-15), result.spectrum.error, [1e-15, 1e-15]]),
        medium="air",
        provenance={"resolution": 11500},
    )
    # pixels that the model does not know at all are not looked at; those that it may not know are left out
    again = fit(longer, model, windows=((8300.0, 8412.0),), **LTE)
    assert deviations(again, labels, 300.0).max() < 0.15
    assert not again.used[:100].any()


def test_masks(observed, model):
    """Spoilt pixels that are masked, by the spectrum or by a window, do not matter."""
    labels, velocity = STARS["sun"]
    spectrum = observed(labels, velocity)
    flux, mask = spectrum.flux.copy(), np.zeros(2401, bool)
    flux[300:400], mask[300:400] = np.nan, True
    flux[1000:1100] = 9e-13
    spoilt = dataclasses.replace(spectrum, flux=flux, mask=mask)
    result = fit(spoilt, model, windows=((8559.99, 8570.0),), clip=0, **LTE)
    assert deviations(result, labels, velocity).max() < 0.15
    assert not result.used[300:400].any()
    assert not result.used[1000:1100].any()
    assert result.used.sum() == 2200


def test_cosmic_rays(observed, model):
    labels, velocity = STARS["sun"]
    spectrum = observed(labels, velocity, seed=4)
    hit = np.random.default_rng([4, 1]).choice(2401, 25, replace=False)
    flux = spectrum.flux.copy()
    flux[hit] *= 1.5
    result = fit(dataclasses.replace(spectrum, flux=flux), model, **LTE)
    assert not result.used[hit].any()
    assert result.used.sum() >= 2401 - 25 - 1
    assert deviations(result, labels, velocity).max() < 5
    untouched = fit(dataclasses.replace(spectrum, flux=flux), model, clip=0, **LTE)
    assert untouched.reduced_chi2 > 5 * result.reduced_chi2


def test_fixed_labels_and_priors(observed, model):
    spectrum = observed(seed=5, snr=40)
    free = fit(spectrum, model, **LTE)
    fixed = fit(spectrum, model, fixed={"logg": 4.44, "velocity": 35.0}, **LTE)
    assert fixed.labels["logg"] == 4.44
    assert fixed.velocity == 35
    assert fixed.errors["logg"] == fixed.errors["velocity"] == 0
    assert fixed.errors["teff"] < free.errors["teff"]
    assert "logg" not in fixed.free
    known = fit(spectrum, model, priors={"logg": (4.9, 0.001)}, **LTE)
    assert known.labels["logg"] == pytest.approx(4.9, abs=0.005)
    assert known.errors["logg"] == pytest.approx(0.001, rel=0.05)
    loose = fit(spectrum, model, priors={"logg": (4.9, 1000.0)}, **LTE)
    assert (np.abs(loose.values - free.values) <= SAME * free.bounds + 1e-9).all()


@pytest.mark.parametrize(
    "fixed",
    [
        {"logg": 2.0},
        {"logg": 2.25},
        {"logg": 2.0, "mh": 0.5},
        {"logg": 2.0, "teff": 9000.0},
        {"logg": 2.5, "mh": 1.5, "velocity": 35.0},
        {"teff": 13000.0, "logg": 2.5, "vsini": 0.0, "vmic": 4.0},
    ],
)
def test_what_is_fixed_does_not_move(observed, model, fixed):
    """Not even in the corner, where log g limits Teff and [M/H]: bit for bit, and inside the domain."""
    spectrum = observed((9000.0, 3.2, 20.0, 0.3, 2.0, 11500.0), 35.0, seed=13)
    result = fit(spectrum, model, fixed=fixed, **LTE)
    found = result.labels | {"velocity": result.velocity}
    assert {name: found[name] for name in fixed} == fixed
    assert all(result.errors[name] == 0 for name in fixed)
    assert TABLE_1.contains(result.values[:6])
    assert dict(result.best.labels)["logg"] == fixed["logg"]
    assert result.chi2 > fit(spectrum, model, **LTE).chi2 - 0.1


@pytest.mark.parametrize(
    "labels",
    [
        (9100.0, 2.25, 20.0, 0.3, 2.0, 11500.0),
        (11600.0, 2.31, 120.0, -0.5, 2.0, 11500.0),
        (8000.0, 2.2, 12.0, 1.1, 2.0, 11500.0),
        (10600.0, 2.7, 12.0, 0.4, 2.0, 11500.0),
    ],
)
def test_a_star_at_the_edge_of_its_fixed_gravity(observed, model, labels):
    """In the narrow parts of the corner, where the highest Teff and [M/H] depend on each other."""
    result = fit(observed(labels, 35.0), model, fixed={"logg": labels[1]}, **LTE)
    assert deviations(result, labels, 35.0).max() < 0.15
    assert result.labels["logg"] == labels[1]


def test_nothing_free(observed, model):
    """All labels and the velocity held: chi2 and continuum, alone and in a list."""
    labels, velocity = STARS["A star"]
    fixed = dict(zip(TABLE_1.names[:5], labels, strict=False)) | {"velocity": velocity}
    result = fit(observed(labels, velocity), model, fixed=fixed, **LTE)
    assert result.free == ()
    assert result.values.tolist() == [*labels, velocity]
    assert result.chi2 < 1e-3
    assert result.dof == 2401 - 2
    assert result.continuum == pytest.approx([3.2e-13, 0.32e-13], rel=1e-3)
    assert not result.covariance.any()
    assert result.flags == ()
    spectra = [observed(labels, velocity, seed=k) for k in range(3)]
    found = list(fit_each(spectra, model, fixed=fixed, **LTE))
    assert all(abs(r.reduced_chi2 - 1) < 5 * (2 / 2399) ** 0.5 for r in found)


@pytest.mark.parametrize(
    ("labels", "snr", "depth", "fixed"),
    [
        ((5800.0, 3.7, 5.0, -1.5, 1.5, 11500.0), 100.0, 0.5, {"mh": -1.5}),
        ((5800.0, 3.7, 5.0, -1.5, 1.5, 11500.0), 100.0, 0.5, {"logg": 5.0}),
        ((7805.0, 2.16, 76.7, -0.2, 3.2, 11500.0), 30.0, 1.7, {"mh": 1.0}),
        ((7805.0, 2.16, 76.7, -0.2, 3.2, 11500.0), 30.0, 1.7, {"logg": 2.0}),
        ((3600.0, 3.66, 134.0, -0.8, 0.0, 11500.0), 100.0, 1.0, {"teff": 3600.0, "vmic": 0.0}),
        ((9000.0, 2.0, 0.0, 0.9, 4.0, 11500.0), 50.0, 1.3, {"vsini": 0.0}),
    ],
)
def test_free_is_not_above_fixed(observed, model, labels, snr, depth, fixed):
    """Beyond the domain, at kinks of its bound, and in a curved valley at its cool end."""
    spectrum = observed(labels, 20.0, snr=snr, seed=14)
    level = 3.2e-13 * (1 + 0.1 * np.linspace(-1, 1, 2401))
    spectrum = dataclasses.replace(spectrum, flux=level + depth * (spectrum.flux - level))
    free = fit(spectrum, model, **LTE)
    assert "not_converged" not in free.flags
    assert free.chi2 < fit(spectrum, model, fixed=fixed, **LTE).chi2 + 0.1


def test_a_hot_star_that_may_rotate_slowly_or_fast(observed, model):
    """Little but hydrogen, in noise: minima at 32 and at 196 km/s, and no template leads to the second."""
    spectrum = observed((15000.0, 5.0, 162.0, -0.58, 3.57, 11500.0), 20.0, snr=20.0, seed=49)
    free = fit(spectrum, model, **LTE)
    assert free.chi2 < fit(spectrum, model, fixed={"vsini": 200.0}, **LTE).chi2 + 0.1


@pytest.mark.parametrize("low", [8402.0, 8405.0, 8500.0, 8785.0])
@pytest.mark.parametrize("velocity", [0.0, -60.0])
def test_few_pixels(observed, model, low, velocity):
    """Of a noise-free Sun seen in 13 A, also at the ends of what the model knows: found, or refused."""
    wavelength = low + 0.1 * np.arange(126)
    spectrum = observed(velocity=velocity, wavelength=wavelength, medium="air")
    (result,) = fit_each([spectrum], model, **LTE)
    if isinstance(result, Failure):
        assert "usable pixels that the model knows at the star's velocity" in result.reason
        return
    assert result.velocity == pytest.approx(velocity, abs=1)
    assert result.chi2 < 0.1
    assert abs(result.labels["teff"] - 5777) < result.errors["teff"]


def test_too_few_pixels_are_refused_alone(observed, model):
    """What the model cannot know at a star's velocity ends that star's fit, not that of its neighbours."""
    wavelength = np.linspace(8391.0, 8401.0, 200)
    low = Spectrum(wavelength, np.ones(200), error=np.full(200, 0.01), medium="air")
    # without a line, every velocity at which the model knows some of it would do as well
    away = {"velocities": (100.0, 500.0), "resolution": 11500.0}
    with pytest.raises(
        ConfigError, match="flux: 0 usable pixels that the model knows at the star's velocity"
    ):
        fit(low, model, **away)
    results = list(fit_each([low, observed(velocity=150.0), low], model, **away))
    assert [isinstance(result, Failure) for result in results] == [True, False, True]


def test_a_model_by_its_name(observed):
    star = observed()
    assert fit(star, "default").labels == fit(star, Generator.load("default")).labels
    with pytest.raises(ConfigError, match="model 'defualt' is not installed"):
        fit(star, "defualt")


@pytest.mark.parametrize(
    ("low", "velocities"),
    [
        (8391.0, (100.0, 500.0)),
        (8391.0, (400.0, 500.0)),
        (8391.0, (1400.0, 1500.0)),
        (8799.0, (-500.0, -400.0)),
        (8799.0, (-1500.0, -1400.0)),
    ],
)
def test_no_velocity_at_which_the_model_knows_a_short_spectrum(model, low, velocities):
    wavelength = np.linspace(low, low + 10.0, 200)
    short = Spectrum(wavelength, np.ones(200), error=np.full(200, 0.01), medium="air")
    with pytest.raises(ConfigError, match="usable pixels that the model knows at the star's velocity"):
        fit(short, model, velocities=velocities, resolution=11500.0)


def test_free_resolution_of_what_does_not_tell(observed, model):
    """Hydrogen lines of a fast rotator do not tell R: its error is of the range, and no bound is above it."""
    labels = (12000.0, 4.0, 250.0, 0.0, 2.0, 8100.0)
    result = fit(observed(labels, 0.0), model, free_resolution=True, **LTE)
    assert (result.bounds <= [result.errors[name] * (1 + 1e-9) for name in PARAMETERS]).all()
    assert 2000 < result.errors["resolution"] < 9500


def test_free_resolution_leaves_out_what_its_lowest_reaches(observed, model):
    """At the ends the broadest profile that may be fitted must be known, not that of the start."""
    labels = (6200.0, 4.2, 4.0, 0.0, 1.3, 11500.0)
    spectrum = observed(labels, 0.0, wavelength=np.arange(8397.0, 8807.0, 0.1))
    held, free = (fit(spectrum, model, free_resolution=option, **LTE) for option in (False, True))
    assert free.used.sum() < held.used.sum()


def test_free_resolution(observed, model):
    labels = (6200.0, 4.2, 4.0, 0.0, 1.3, 8700.0)
    result = fit(observed(labels, 10.0, snr=300), model, free_resolution=True, resolution=11500.0, **LTE)
    assert "resolution" in result.free
    assert abs(result.labels["resolution"] - 8700) < 0.5 * result.errors["resolution"] + 20


@pytest.mark.parametrize("order", [0, 2, 4])
def test_continuum_of_any_order(observed, model, order):
    spectrum = observed(seed=6)
    place = np.linspace(-1, 1, 2401)
    shape = np.polynomial.chebyshev.chebval(place, [1, 0.1, -0.05, 0.02, 0.03][: order + 1])
    straight = spectrum.flux / (1 + 0.1 * place)
    bent = dataclasses.replace(
        spectrum, flux=straight * shape, error=spectrum.error / (1 + 0.1 * place) * shape
    )
    result = fit(bent, model, continuum=order, **LTE)
    assert len(result.continuum) == order + 1
    assert result.reduced_chi2 < 1.1
    assert deviations(result, *STARS["sun"]).max() < 4


def test_without_errors(observed, model):
    labels, velocity = STARS["sun"]
    result = fit(observed(labels, velocity, seed=7, error=False), model, **LTE)
    assert "error_estimated" in result.flags
    assert result.snr == pytest.approx(fit(observed(labels, velocity, seed=7), model).snr, rel=0.1)
    assert deviations(result, labels, velocity).max() < 4
    told = fit(observed(labels, velocity, seed=7, error=False), model, snr=100.0, **LTE)
    assert "error_estimated" not in told.flags
    assert told.reduced_chi2 == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("snr", [50, 200])
def test_noise_is_told_from_the_physics_error_by_what_neighbours_share(snr):
    """A spectrum that fits the model has no physics error, however large it might be."""
    star = generate(teff=5200, logg=3.6, vsini=5, mh=-0.3, vmic=1.2, resolution=11500)
    noise = np.random.default_rng([5, snr]).normal(size=star.flux.size) / snr
    about = {"medium": "air", "provenance": {"resolution": 11500}}
    found = fit(Spectrum(star.wavelength, star.flux + noise, **about))
    assert found.snr == pytest.approx(snr, rel=0.06)
    assert "bad_fit" not in found.flags


def test_ends_of_the_domain(observed, model):
    """No rotation and the lowest metallicity: at the bound, with sensible errors, and not outside."""
    labels = (6500.0, 4.0, 0.0, -1.5, 1.5, 11500.0)
    result = fit(observed(labels, 5.0, seed=8), model, **LTE)
    assert result.labels["vsini"] < 12
    assert result.intervals[TABLE_1.names.index("vsini"), 0] == 0
    assert 0 < result.errors["vsini"] < 15
    assert np.linalg.eigvalsh(result.covariance).min() > -1e-9
    assert "outside_domain" not in result.flags
    assert TABLE_1.contains(result.values[:6])


def test_beyond_the_domain_is_flagged(observed, model):
    """Lines half as deep as at [M/H] = -1.5."""
    spectrum = observed((5800.0, 3.7, 5.0, -1.5, 1.5, 11500.0), 0.0)
    level = 3.2e-13 * (1 + 0.1 * np.linspace(-1, 1, 2401))
    weaker = dataclasses.replace(spectrum, flux=(spectrum.flux + level) / 2)
    result = fit(weaker, model, **LTE)
    assert {"at_bound", "outside_domain"} <= set(result.flags)
    assert "mh" in result.at_bound
    assert TABLE_1.contains(result.values[:6])


def test_the_corner_is_a_bound(observed, model):
    """In the corner the fit stays in the domain and finds a star on its edge."""
    labels = (11600.0, 2.5, 30.0, -0.2, 1.5, 11500.0)
    assert TABLE_1.contains(np.array(labels))
    result = fit(observed(labels, 5.0, seed=9), model, **LTE)
    found = result.values[:6].copy()
    found[1] += 1e-9  # rounding
    assert TABLE_1.contains(found)
    assert deviations(result, labels, 5.0).max() < 5


def test_low_signal_and_bad_fit(observed, model):
    assert "low_snr" in fit(observed(snr=8, seed=10), model).flags
    spectrum = observed(seed=11)
    wavy = spectrum.flux * (1 + 0.05 * np.sin(np.arange(2401) / 20))
    result = fit(dataclasses.replace(spectrum, flux=wavy), model)
    assert "bad_fit" in result.flags
    assert result.inflation > 20  # both larger and correlated
    assert set(result.flags) <= set(FLAGS)


def test_core_floor(observed, model):
    """Cores that are 5 % too deep: with the floor they spoil the labels less."""
    labels, velocity = (5460.0, 4.5, 3.0, 0.0, 1.0, 11500.0), 0.0
    spectrum = observed(labels, velocity)
    flux = spectrum.flux.copy()
    for centre in (8500.36, 8544.44, 8664.52):
        flux[np.abs(spectrum.wavelength - centre) < 0.6] *= 0.9
    spoilt = dataclasses.replace(spectrum, flux=flux)
    with_floor, without = fit(spoilt, model), fit(spoilt, model, **LTE)
    assert deviations(with_floor, labels, velocity).max() < 0.3 * deviations(without, labels, velocity).max()


# What cannot be fitted


def spectrum_with(observed, **changes):
    return dataclasses.replace(observed(seed=0), **changes)


BAD = {
    "zero error": ({"error": np.zeros(2401)}, r"error is 0 at 8460 A \(2401 of 2401 used pixels\)"),
    "all masked": (
        {"mask": np.ones(2401, bool)},
        "flux: 0 usable pixels in the model's range, 100 are needed",
    ),
    "all NaN": ({"flux": np.full(2401, np.nan), "mask": np.ones(2401, bool)}, "flux: 0 usable pixels"),
    "negative": ({"flux": np.full(2401, -1.0)}, "flux: its median is -1, which is not above 0"),
    "other range": (
        {"wavelength": np.linspace(5000, 5100, 2401)},
        r"wavelength = 5000..5100 A \(vacuum\): 0 pixels in 839.*, which the model knows; 100 are needed",
    ),
    "no resolution": ({"provenance": {}}, "does not tell its resolving power: give resolution="),
    "fine resolution": (
        {"provenance": {"resolution": 28000}},
        r"resolution = 28000 is outside \[5000, 14500\]: degrade it",
    ),
    "strange resolution": ({"provenance": {"R": "high"}}, "resolution = 'high' is no number"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_fitted_says_why(observed, model, case):
    changes, message = BAD[case]
    with pytest.raises((ConfigError, OutOfRangeError), match=message) as caught:
        fit(spectrum_with(observed, **changes), model)
    assert "\n" not in str(caught.value)


def test_the_others_are_done(observed, model):
    good = observed(seed=0)
    spectra = [
        good,
        spectrum_with(observed, error=np.zeros(2401)),
        observed(STARS["A star"][0], seed=1),
        good,
    ]
    results = list(fit_each(spectra, model))
    assert [isinstance(result, Failure) for result in results] == [False, True, False, False]
    assert results[1].reason.startswith("error is 0 at 8460 A")
    assert np.array_equal(results[0].values, results[3].values) or np.allclose(
        results[0].values, results[3].values, rtol=1e-3
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"mass": 1.0}}, "mass is not one of teff"),
        ({"fixed": {"teff": 25000.0}}, r"teff = 25000 K is outside \[3600, 15000\] K"),
        (
            {"fixed": {"logg": 2.0, "teff": 12000.0}},
            r"logg = 2 dex is outside \[2.5, 5\] dex at teff = 12000 K, mh = -1.5 dex",
        ),
        (
            {"fixed": {"logg": 2.2, "teff": 9500.0, "mh": 1.0}},
            r"logg = 2.2 dex is outside \[2.5, 5\] dex at teff = 9500 K, mh = 1 dex",
        ),
        ({"fixed": {"logg": 4.0}, "priors": {"logg": (4.0, 0.1)}}, "logg is fixed and has a prior"),
        ({"fixed": {"resolution": 11500.0}}, "resolution is given by resolution="),
        ({"priors": {"mh": (0.0, 0.0)}}, r"prior of mh: 0.0 \+- 0.0 is no mean and deviation"),
        ({"priors": {"mh": (2.0, 0.1)}}, r"prior of mh = 2 dex is outside \[-1.5, 1.5\] dex"),
        ({"fixed": {"alpha": 0.3}}, "alpha is not one of .*; model 'default'.* has alpha"),
        ({"free": "Ca"}, "'Ca' is not one of .*; model 'default' has Ca"),
        ({"resolution": 20000.0}, r"resolution = 20000 is outside \[5000, 14500\]: degrade it"),
        ({"velocities": (100.0, -100.0)}, r"velocities = 100..-100 km/s"),
        ({"continuum": 40}, r"continuum = 40 is outside \[0, 20\]"),
        ({"snr": 0.0}, "snr = 0.0 is not a number above 0"),
        ({"windows": ((8600.0, 8500.0),)}, "window 8600..8500 A"),
        (
            {"windows": ((849.0, 851.0),)},
            r"window 849..851 A: needs low < high, and to reach into 2300..16900 A",
        ),
        ({"floor": -1.0}, "floor = -1 is not a number from 0"),
    ],
)
def test_settings_are_checked(observed, model, options, message):
    with pytest.raises((ConfigError, OutOfRangeError), match=message):
        fit(observed(), model, **options)


def test_other_families_are_refused(observed):
    pytest.importorskip("starloom_paper")
    with pytest.raises(ConfigError, match="family 'emulator'"):
        fit(observed(), Generator.load("paper"))


def test_round_trip_of_the_best_model(observed, model, tmp_path):
    result = fit(observed(seed=12), model)
    result.write(tmp_path / "best.fits")
    back = Spectrum.read(tmp_path / "best.fits")
    assert dict(back.labels) == result.labels
    about = back.provenance["fit"]
    assert about["velocity_kms"] == result.velocity
    assert np.array(about["covariance"]).shape == (7, 7)
    assert (back.mask == ~result.used).all()
    assert np.array_equal(back.flux, result.model)
    assert np.nanmax(np.abs(result.residuals)) < 10 * np.max(result.error)


def test_starts_that_are_close_to_the_best_go_on():
    teff = [4000.0, 5000.0, 6000.0, 7000.0, 8000.0]
    parameters = np.array([[t, 4.0, 50.0, 0.0, 1.0, 11500.0, 0.0] for t in teff])
    chi2 = np.array([[2000.0, 2059.0, 2040.0, 2061.0, 9000.0], [500.0, 900.0, 90.0, 800.0, np.inf]])
    kept = promising(chi2, Coordinates(TABLE_1).from_parameters(np.stack([parameters] * 2)))
    # within 60 of the best; and two at least
    assert kept.tolist() == [[True, True, True, False, False], [True, False, True, False, False]]
