"""A correction of a model's flux: its functions, its file; what generator, fit and forecast make of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import BSpline

import starloom
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.inference.corrected import with_correction
from starloom.inference.derivatives import derivatives_of
from starloom.inference.forecast import Setting, forecast
from starloom.networks import flux_correction
from starloom.networks.flux_correction import FluxCorrection, LabelAxis, SplineGrid, stored

MODEL = "default-2026-lte"
SUN = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0, "vsini": 5.0, "resolution": 11500.0}


@pytest.fixture(scope="module")
def generator():
    return starloom.Generator.load(MODEL)


@pytest.fixture(scope="module")
def correction(generator):
    """Some correction of 2 % with patterns of 0.5 %."""
    axes = (
        LabelAxis.over("teff", 3600, 15000, 0.5),
        LabelAxis.over("logg", 2.0, 5.0, 1.5),
        LabelAxis.over("mh", -1.5, 1.5, 1.5),
    )
    grid = SplineGrid.over(8390.0, 8815.0, 1e-3)
    features = int(np.prod([axis.nodes.size for axis in axes]))
    rng = np.random.default_rng(5)
    mean = 0.02 * rng.standard_normal((features, grid.count))
    patterns = 0.005 / 2 * rng.standard_normal((4, features, grid.count))
    about = {"libraries": [{"name": "made up"}], "stars": 7, "range_aa": [8400.0, 8800.0], "continuum": 1}
    return FluxCorrection(axes, grid, stored(mean), stored(patterns), generator.digest, about)


def rows(generator, *teff):
    return np.array([generator.domain.array(**{**SUN, "teff": each}) for each in teff])


def test_splines_are_those_of_de_boor():
    grid = SplineGrid(np.log(8400.0), 1e-3, 20)
    knots = grid.first + grid.step * np.arange(-3, 21)
    wavelength = np.linspace(8400, 8540, 300)
    expected = BSpline.design_matrix(np.log(wavelength), knots, 3).toarray()
    np.testing.assert_allclose(grid.matrix(wavelength), expected, atol=1e-9)
    coefficients = np.random.default_rng(1).standard_normal((1, 2, 20))
    np.testing.assert_allclose(
        grid(coefficients, wavelength[None])[0], coefficients[0] @ expected.T, atol=1e-9
    )


def test_features_have_the_length_1_and_nearly_the_kernel():
    axis = LabelAxis.over("mh", -2.0, 1.0, 0.5)
    place = np.linspace(-2, 1, 41)
    features = axis.features(place)
    np.testing.assert_allclose((features**2).sum(axis=1), 1)
    kernel = np.exp(-(((place[:, None] - place) / 0.5) ** 2) / 2)
    assert np.abs(features @ features.T - kernel).max() < 0.06  # of the nodes, one scale apart


def test_slopes_are_those_of_differences(generator, correction):
    domain, labels = generator.domain, rows(generator, 5777.0)
    wavelength = np.linspace(8420, 8780, 200)[None]
    wanted = ["logg", "velocity", "teff", "vsini"]
    found = correction.with_slopes(domain, labels, wavelength, wanted)
    np.testing.assert_allclose(found[:, 0], correction.log_ratio(domain, labels, wavelength), rtol=1e-12)
    for place, (name, step) in enumerate((("logg", 1e-3), ("velocity", 0.01), ("teff", 1.0)), start=1):
        sides = []
        for side in (-step, step):
            moved, at = labels.copy(), wavelength
            if name == "velocity":
                at = flux_correction.at_rest(wavelength[0], np.array([side]))
            else:
                moved[0, domain.index(name)] += side
            sides.append(correction.log_ratio(domain, moved, at))
        expected = (sides[1] - sides[0])[0] / (2 * step)
        np.testing.assert_allclose(found[0, place], expected, atol=2e-3 * np.abs(expected).max())
    assert not found[0, 4].any()  # it does not depend on v sin i


def test_a_file_gives_the_same_correction(generator, correction, tmp_path):
    path = tmp_path / "correction.safetensors"
    flux_correction.save(path, correction, generator.domain, generator.header.band)
    found = flux_correction.load(path)
    assert found.digest == correction.digest
    assert found.about == correction.about
    np.testing.assert_array_equal(found.mean, correction.mean)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ParseError, match="altered"):
        flux_correction.load(path)


def test_it_is_refused_for_another_model(generator, correction):
    other = replace(correction, model="another")
    with pytest.raises(StoreError, match="is not for the model"):
        generator.corrected(other)
    with pytest.raises(ConfigError, match="finite"):
        replace(correction, mean=np.full_like(correction.mean, np.nan))


def test_the_generator_multiplies_its_flux_in_the_stars_frame(generator, correction):
    labels, corrected = rows(generator, 5000.0, 6500.0), generator.corrected(correction)
    wavelength = np.linspace(8430.0, 8780.0, 500)
    view = {"wavelength_aa": wavelength, "medium": "vacuum", "radial_velocity": np.array([0.0, 150.0])}
    rest = flux_correction.at_rest(wavelength, view["radial_velocity"])
    expected = generator.flux(labels, **view) * np.exp(correction.log_ratio(generator.domain, labels, rest))
    np.testing.assert_allclose(corrected.flux(labels, **view), expected, rtol=1e-5)
    seen = corrected.spectra(labels, **view)
    deviation = corrected.correction_error(labels, **view)
    own = generator.error(labels, **view)
    np.testing.assert_allclose(seen.error, np.hypot(own, deviation), rtol=1e-5)
    assert correction.digest in seen.provenance["correction"]
    assert generator.spectra(labels, **view).provenance.get("correction") is None


def test_generate_takes_it(generator, correction):
    plain = starloom.generate(model=MODEL, **SUN)
    seen = starloom.generate(model=MODEL, correction=correction, **SUN)
    assert 0.005 < np.std(seen.flux / plain.flux) < 0.05


def test_derivatives_are_those_of_the_corrected_flux(generator, correction):
    labels, vacuum = rows(generator, 5777.0), np.linspace(8430.0, 8780.0, 300)
    domain, velocity = generator.domain, np.array([20.0])
    seen = with_correction(derivatives_of(generator.model.on(vacuum)), correction, domain, vacuum)
    wanted = [domain.index("teff"), domain.index("mh"), domain.index("vsini")]
    found = seen(labels, velocity, wanted)[0].astype(float)
    for place, (index, step) in enumerate(zip(wanted, (5.0, 0.01, 0.05), strict=True), start=1):
        sides = [
            seen(labels + side * np.eye(labels.shape[1])[index], velocity, ())[0, 0] for side in (-step, step)
        ]
        expected = (sides[1].astype(float) - sides[0]) / (2 * step)
        np.testing.assert_allclose(found[place], expected, atol=0.02 * np.abs(expected).max())


def test_the_jacobian_is_that_of_the_corrected_flux(generator, correction):
    pytest.importorskip("jax")
    labels, corrected = rows(generator, 5777.0)[0], generator.corrected(correction)
    view = {"wavelength_aa": np.linspace(8430.0, 8780.0, 300), "medium": "vacuum"}
    found, index = corrected.jacobian(labels, **view), generator.domain.index("teff")
    step = 5.0 * np.eye(labels.size)[index]
    expected = (corrected.flux(labels + step, **view) - corrected.flux(labels - step, **view)) / 10.0
    np.testing.assert_allclose(found[:, index], expected, atol=0.02 * np.abs(expected).max())


def test_a_fit_with_it_finds_labels_that_one_without_misses(generator, correction):
    star = generator.corrected(correction).spectrum(rows(generator, 5777.0)[0])
    star = replace(star, error=np.full(star.flux.shape, 1e-3))
    options = {"trust": False, "typical_vmic": False, "physics_error": False}
    with_it = starloom.fit(star, MODEL, correction=correction, **options)
    without = starloom.fit(star, MODEL, **options)
    assert abs(with_it.labels["teff"] - 5777) < 2 * with_it.errors["teff"]
    assert with_it.chi2 < 0.01 * without.chi2
    exact = replace(correction, patterns=correction.patterns[:0])
    sure = starloom.fit(star, MODEL, correction=exact, **options)
    assert with_it.errors["teff"] > 1.3 * sure.errors["teff"]  # its uncertainty counts
    assert correction.digest in with_it.settings["correction"]
    assert "correction" not in without.settings


def test_a_forecast_counts_its_uncertainty(generator, correction):
    labels, setting = rows(generator, 5777.0)[0], Setting(200.0, physics_error=False)
    bounds = [
        forecast(each, labels, setting).bounds["teff"]
        for each in (
            generator.corrected(replace(correction, patterns=correction.patterns[:0])),
            generator.corrected(correction),
        )
    ]
    assert bounds[1] > 1.05 * bounds[0]
