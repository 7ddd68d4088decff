"""Emission of chromospheres of other shapes than the model's: the filling and its error."""

import numpy as np
import pytest

from starloom.broadening.filling import CORES_AA, RATIOS, WIDTH_KMS
from starloom.broadening.kernels import instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference import fit
from starloom.inference.activity import COMPONENTS, UNEVEN, shape_patterns
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

WAVELENGTH_AA = 8465 + 0.2 * np.arange(1350)
RANGES = {
    "teff": (3800.0, 5500.0),
    "logg": (0.5, 3.0),
    "mh": (-1.5, 0.5),
    "vsini": (0.0, 60.0),
    "resolution": (6000.0, 14500.0),
    "filling": (-0.1, 0.6),
}
STAR = {"teff": 4600.0, "logg": 1.4, "mh": -0.5, "vsini": 0.0, "resolution": 11500.0, "filling": 0.0}
HEIGHT, VELOCITY, SNR = 0.2, 20.0, 150.0


@pytest.fixture(scope="module")
def cool(toy_of):
    return Generator.of(toy_of(RANGES), "cool")


def emission(width, heights=RATIOS):
    """Lines of a height and width as an instrument of R = 11500 shows them."""
    away = SPEED_OF_LIGHT_KMS * np.log(WAVELENGTH_AA / np.array(CORES_AA)[:, None]) - VELOCITY
    seen = width**2 + instrument_variance(11500.0)
    return np.array(heights) * width / np.sqrt(seen) @ np.exp(-(away**2) / (2 * seen))


def seen(generator, emitted):
    row = generator.domain.array(**STAR)
    options = {"wavelength_aa": WAVELENGTH_AA, "medium": "vacuum", "radial_velocity": VELOCITY}
    flux = generator.flux(row, **options).astype(float) + emitted
    flux += np.random.default_rng([25, 0]).normal(size=flux.size) / SNR
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": 11500.0}}
    return Spectrum(WAVELENGTH_AA, flux, error=np.full(flux.size, 1 / SNR), **about)


@pytest.mark.parametrize("width", [15.0, 17.0, 25.0, 40.0])
def test_the_height_is_found_whatever_the_width(cool, width):
    """Within three of its errors, which for the model's own width are larger than noise allows."""
    result = fit(seen(cool, HEIGHT * emission(width)), cool, starts=2)
    assert abs(result.labels["filling"] - HEIGHT) < 3 * result.errors["filling"]
    assert abs(result.labels["logg"] - STAR["logg"]) < 3 * result.errors["logg"]
    assert result.errors["filling"] > 1.5 * result.bounds[result.parameters.index("filling")]


def test_lines_may_be_uneven(cool):
    """By more than a deviation in each line."""
    uneven = [ratio * (1 + UNEVEN * sign * 1.3) for ratio, sign in zip(RATIOS, (1, -1, 1), strict=True)]
    result = fit(seen(cool, HEIGHT * emission(WIDTH_KMS, uneven)), cool, starts=2)
    assert abs(result.labels["filling"] - HEIGHT) < 3 * result.errors["filling"]


def test_a_quiet_star_has_no_patterns(cool):
    """So that its filling is known as well as noise allows."""
    result = fit(seen(cool, 0.0), cool, starts=2)
    assert abs(result.labels["filling"]) < 3 * result.errors["filling"]
    assert result.errors["filling"] < 1.2 * result.bounds[result.parameters.index("filling")]


@pytest.mark.parametrize("width", [13.0, 30.0, 44.0])
def test_the_components_span_the_shapes(cool, width):
    """Emission of any width between the ends differs from the model's by them, to 4 % of its height."""
    labels = cool.domain.array(**{**STAR, "filling": 1.0})[None]
    model = cool.model.on(WAVELENGTH_AA)
    halves = shape_patterns(cool.model, cool.domain, labels)
    patterns = model.patterns(halves, labels, np.array([VELOCITY]))[0]
    assert patterns.shape == (COMPONENTS, WAVELENGTH_AA.size)
    wanted = emission(width) - emission(WIDTH_KMS)
    found = np.linalg.lstsq(patterns.T, wanted, rcond=None)[0]
    assert np.abs(found @ patterns - wanted).max() < 0.04
    assert np.abs(wanted).max() > 0.1
    assert not any(each.any() for each in shape_patterns(cool.model, cool.domain, 0 * labels).values())
