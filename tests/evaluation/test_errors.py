import numpy as np
import pytest

from starloom.errors import ConfigError, OutOfRangeError
from starloom.evaluation.error_map import EndCorrection, default_cells
from starloom.evaluation.errors import (
    AbsoluteErrors,
    Cells,
    ErrorMap,
    FluxErrors,
    compare,
    label_cells,
)
from starloom.labels import TABLE_1, Domain
from starloom.networks.stated_error import StatedError, places
from starloom.wavelength import Points

RNG = np.random.default_rng(6)
LABELS = TABLE_1.from_unit(RNG.uniform(0, 1, (400, 6)))
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
    found = FluxErrors(50, label_cells(TABLE_1))
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
    cells = Cells.even(TABLE_1, teff=3, vsini=2)
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
    cells = Cells.even(TABLE_1, teff=2, mh=3)
    corners = np.stack([TABLE_1.low, TABLE_1.high])
    assert cells.of(corners).tolist() == [0, 5]
    assert (cells.shape, cells.count) == ((2, 3), 6)


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="cells of colour: no such label"):
        Cells.even(TABLE_1, colour=2)
    with pytest.raises(ConfigError, match="cells of teff: needs"):
        Cells(TABLE_1, {"teff": np.array([5000.0, 4000.0])})
    outside = LABELS[:1].copy()
    outside[0, 0] = 20000
    with pytest.raises(OutOfRangeError, match=r"teff = 20000 is outside \[3600, 15000\]"):
        Cells.even(TABLE_1, teff=2).of(outside)
    errors = FluxErrors(50, {})
    with pytest.raises(ConfigError, match=r"expected \(400, 50\) for both"):
        errors.add(LABELS, FLUX[:, 1:], FLUX[:, 1:])
    spoiled = FLUX.copy()
    spoiled[7, 7] = np.nan
    with pytest.raises(OutOfRangeError, match="flux is not finite for the labels"):
        errors.add(LABELS, spoiled, FLUX)


def test_a_label_that_is_the_same_for_all_stars_divides_nothing():
    domain = Domain.of({"teff": (4000.0, 4000.0), "mh": (-1.0, 1.0), "vmic": (1.0, 1.0)})
    labels = np.array([[4000.0, -0.9, 1.0], [4000.0, 0.9, 1.0]])
    assert list(label_cells(domain)) == ["mh"]
    assert default_cells(domain).of(labels).tolist() == [0, 3]
    assert default_cells(domain.only("vmic")).of(labels[:, 2:]).tolist() == [0, 0]


def test_a_label_of_one_value_divides_nothing():
    """A store of giants at one vmic: no cells along it, and it lies at neither end."""
    bounds = dict(TABLE_1.mapping["ranges"]) | {"vmic": (2.0, 2.0), "vsini": (5.0, 5.0)}
    domain = Domain.of(bounds, TABLE_1.floor)
    assert set(label_cells(domain)) == set(TABLE_1.names) - {"vmic", "vsini"}
    assert set(default_cells(domain).edges) == {"teff", "mh"}
    labels = domain.from_unit(np.full((3, 6), 0.5))
    assert places(domain, labels)[0, [2, 4]].tolist() == [0.5, 0.5]
    points, edges = Points("air", "linear", 8400.0, 8409.9, 100), {"teff": np.array([3600.0, 15000.0])}
    stated = StatedError(domain, edges, np.full((3, 1, 5), 1e-4), points, 20, 10)
    assert EndCorrection(stated).shape[0] == 3**3  # ends of teff, logg and mh


def test_without_divided_labels_there_is_one_cell():
    domain = Domain.of({"logg": (1.0, 3.0), "alpha": (0.0, 0.4)})
    cells = default_cells(domain)
    assert (cells.count, cells.of(domain.from_unit(np.full((3, 2), 0.5))).tolist()) == (1, [0, 0, 0])
