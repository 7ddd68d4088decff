import numpy as np
import pytest

from starloom.errors import ConfigError, OutOfRangeError
from starloom.evaluation.errors import (
    AbsoluteErrors,
    Cells,
    ErrorMap,
    FluxErrors,
    compare,
    label_cells,
)
from starloom.labels import DOMAIN

RNG = np.random.default_rng(6)
LABELS = DOMAIN.unscale(RNG.uniform(-1, 1, (400, 6)))
FLUX = RNG.uniform(0.5, 1, (400, 50)).astype(np.float32)
# errors that grow with Teff and with wavelength
SCALE = 1e-4 * (LABELS[:, :1] / 3600) ** 2 * np.linspace(1, 3, 50)
ERROR = SCALE * RNG.normal(size=FLUX.shape)


def generate(labels):
    rows = [int(np.flatnonzero((label == LABELS).all(axis=1))[0]) for label in labels]
    return FLUX[rows].astype(float) + ERROR[rows]


def batches(size=64):
    return ((LABELS[s : s + size], FLUX[s : s + size]) for s in range(0, 400, size))


@pytest.fixture(scope="module")
def errors():
    found = FluxErrors(50, label_cells())
    compare(generate, batches(), found)
    return found


def assert_distribution(found, group, sizes):
    assert found.count[group] == sizes.size
    assert found.mean[group] == pytest.approx(sizes.mean(), rel=1e-9)
    assert found.largest[group] == pytest.approx(sizes.max(), rel=1e-9)
    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        # half a bin of a hundred a decade
        exact = np.quantile(sizes, share, method="inverted_cdf")
        assert value[group] == pytest.approx(exact, rel=0.0117)


def test_overall_and_by_wavelength(errors):
    assert errors.spectra == 400
    assert_distribution(errors.overall, 0, np.abs(ERROR))
    for column in (0, 20, 49):
        assert_distribution(errors.by_wavelength, column, np.abs(ERROR[:, column]))


def test_by_label_cell(errors):
    teff = LABELS[:, 0]
    for cell in range(6):
        inside = (teff >= 3600 + cell * 1900) & (teff < 3600 + (cell + 1) * 1900)
        assert_distribution(errors.by_cell("teff"), cell, np.abs(ERROR[inside]))
    assert errors.by_cell("resolution").count.sum() == FLUX.size


def test_worst_spectrum(errors):
    mean = np.abs(ERROR).mean(axis=1)
    assert errors.worst_error == pytest.approx(mean.max(), rel=1e-6)
    np.testing.assert_array_equal(errors.worst_labels, LABELS[mean.argmax()])


def test_error_map():
    cells = Cells.even(teff=3, vsini=2)
    found = ErrorMap(50, cells, width=20)
    compare(generate, batches(), found)
    mean, p99 = found.result()
    assert mean.shape == p99.shape == (6, 3)
    inside = cells.of(LABELS) == 5  # hottest, fastest
    band = np.abs(ERROR[inside][:, 40:])
    assert mean[5, 2] == pytest.approx(band.mean(), rel=1e-9)
    assert p99[5, 2] == pytest.approx(np.quantile(band, 0.99, method="inverted_cdf"), rel=0.0117)


def test_percentiles_of_the_smallest_and_largest_errors():
    errors = AbsoluteErrors(2)
    errors.add(np.array([0, 0, 0]), np.array([0.0, 1e-9, 50.0]))
    found = errors.result()
    assert found.p50[0] < 1e-7
    assert found.p99[0] == pytest.approx(10, rel=0.02)
    assert found.largest[0] == 50
    assert found.count[1] == 0
    assert np.isnan([found.mean[1], found.p99[1], found.largest[1]]).all()


def test_regrouped_errors_are_those_of_the_scaled_ones():
    rng = np.random.default_rng(4)
    size, group = 10 ** rng.normal(-3, 0.5, 3000), rng.integers(0, 3, 3000)
    factor, into = np.array([2.0, 0.1, 5.0]), np.array([1, 0, 1])
    before, after = AbsoluteErrors(3), AbsoluteErrors(2)
    before.add(group, size)
    after.add(into[group], size * factor[group])
    found, expected = before.regrouped(factor, into).result(), after.result()
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.largest, expected.largest, rtol=1e-12)
    # the factors' rounding to a bin of a hundred a decade
    np.testing.assert_allclose(found.p95, expected.p95, rtol=0.03)


def test_cells_hold_their_ends():
    cells = Cells.even(teff=2, mh=3)
    corners = np.stack([DOMAIN.low, DOMAIN.high])
    assert cells.of(corners).tolist() == [0, 5]
    assert (cells.shape, cells.count) == ((2, 3), 6)


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="cells of colour: no such label"):
        Cells.even(colour=2)
    with pytest.raises(ConfigError, match="cells of teff: needs"):
        Cells({"teff": np.array([5000.0, 4000.0])})
    outside = LABELS[:1].copy()
    outside[0, 0] = 20000
    with pytest.raises(OutOfRangeError, match=r"teff = 20000 is outside \[3600, 15000\]"):
        Cells.even(teff=2).of(outside)
    errors = FluxErrors(50, {})
    with pytest.raises(ConfigError, match=r"expected \(400, 50\) for both"):
        errors.add(LABELS, FLUX[:, 1:], FLUX[:, 1:])
    spoiled = FLUX.copy()
    spoiled[7, 7] = np.nan
    with pytest.raises(OutOfRangeError, match="flux is not finite for the labels"):
        errors.add(LABELS, spoiled, FLUX)
