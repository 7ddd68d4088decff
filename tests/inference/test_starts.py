"""The table of templates and what it finds."""

import numpy as np
import pytest

from starloom.inference import starts
from starloom.inference.objective import chebyshev
from starloom.inference.setup import Prior
from starloom.labels import TABLE_1

NOTHING = Prior(np.zeros(7), np.full(7, np.inf))
WAVELENGTH_AA = 8460 + 0.1 * np.arange(2401)


@pytest.fixture(scope="module")
def table(model):
    return starts.templates(model.model, 11500.0)


def found(table, flux, count=3, weight=None, velocities=(-500.0, 500.0), prior=NOTHING):
    weight = np.full(flux.shape, 1e4) if weight is None else weight
    basis = chebyshev(WAVELENGTH_AA, 1)
    return starts.starting_points(table, WAVELENGTH_AA, basis, flux, weight, prior, velocities, count)


def test_templates_are_in_the_domain(table):
    assert TABLE_1.contains(table.parameters[:, :6]).all()
    assert (table.parameters[:, 5] == 11500).all()
    assert 0.4 < (table.parameters[:, 2] < 80).mean() < 0.8


@pytest.mark.parametrize(("row", "velocity"), [(5, 126.0), (100, -294.0), (777, 6.0)])
def test_a_template_finds_one_like_itself(table, model, row, velocity):
    """The components leave out 1 % of the flux, so the best of 2048 may be a neighbour that looks alike."""
    labels = table.parameters[row, :6]
    flux = model.flux(labels, wavelength_aa=WAVELENGTH_AA, medium="vacuum", radial_velocity=velocity)
    tilted = flux * (2 + 0.3 * np.linspace(-1, 1, flux.size))
    best = found(table, tilted[None])[0, 0]
    alike = model.flux(best[:6], wavelength_aa=WAVELENGTH_AA, medium="vacuum", radial_velocity=best[6])
    columns = (chebyshev(WAVELENGTH_AA, 1) * alike).T
    difference = tilted - columns @ np.linalg.lstsq(columns, tilted)[0]
    assert difference.std() < 0.02 * tilted.mean()
    assert abs(best[6] - velocity) <= starts.STRIDE * starts.CELL_KMS


def test_starts_are_of_different_groups(table, model):
    flux = model.flux(table.parameters[5, :6], wavelength_aa=WAVELENGTH_AA, medium="vacuum")
    points = found(table, flux[None], count=8)[0]
    rows = [int(np.flatnonzero((table.parameters[:, :6] == point[:6]).all(axis=1))[0]) for point in points]
    assert len(set(table.group[rows])) == 8


def test_unused_pixels_do_not_matter(table, model):
    flux = model.flux(table.parameters[5, :6], wavelength_aa=WAVELENGTH_AA, medium="vacuum")[None].astype(
        float
    )
    weight = np.full(flux.shape, 1e4)
    weight[:, 500:700] = 0
    spoilt = flux.copy()
    spoilt[:, 500:700] = 40.0
    assert np.array_equal(found(table, flux, weight=weight), found(table, spoilt, weight=weight))


def test_velocities_stay_in_range(table, model):
    flux = model.flux(
        table.parameters[5, :6], wavelength_aa=WAVELENGTH_AA, medium="vacuum", radial_velocity=300.0
    )
    points = found(table, flux[None], velocities=(-50.0, 50.0))
    assert np.abs(points[..., 6]).max() <= 50 + starts.STRIDE * starts.CELL_KMS


def test_priors_choose(table, model):
    """A prior on Teff that excludes everything below 8000 K excludes it from the starts."""
    flux = model.flux(table.parameters[5, :6], wavelength_aa=WAVELENGTH_AA, medium="vacuum")
    mean, deviation = np.zeros(7), np.full(7, np.inf)
    mean[0], deviation[0] = 12000.0, 1.0
    points = found(table, flux[None], count=1, prior=Prior(mean, deviation))
    assert abs(points[0, 0, 0] - 12000) < 100


def test_fixed_labels(model):
    table = starts.templates(model.model, 9500.0, (("teff", 6000.0), ("mh", -0.3)))
    assert (table.parameters[:, 0] == 6000).all()
    assert (table.parameters[:, 3] == -0.3).all()
    assert TABLE_1.contains(table.parameters[:, :6]).all()


@pytest.mark.parametrize("logg", [2.0, 2.25, 2.5])
@pytest.mark.parametrize("others", [(), (("teff", 9100.0),), (("mh", 0.6),)])
def test_a_fixed_gravity_in_the_corner(model, logg, others):
    """It stays, and Teff and [M/H] go where it has an atmosphere, up to the bound of either."""
    fixed = (("logg", logg), *others)
    table = starts.templates(model.model, 9500.0, fixed)
    for name, value in fixed:
        assert (table.parameters[:, TABLE_1.index(name)] == value).all()
    assert TABLE_1.contains(table.parameters[:, :6]).all()


def test_few_pixels_at_the_end_of_the_range(model):
    """125 pixels that no template covers at all velocities: those at which they are covered decide."""
    wavelength = np.arange(8404.3, 8416.8, 0.1)
    labels = np.array([5777.0, 4.44, 8.0, 0.1, 1.2, 11500.0])
    flux = model.flux(labels, wavelength_aa=wavelength, medium="vacuum")[None].astype(float)
    limits = (-500.0, 500.0)
    cells = starts.VelocityCells.of(model.model)
    part = cells.needed(wavelength, limits)
    table = starts.templates(model.model, 11500.0, (), part)
    assert table.cells == part[1] - part[0] < cells.count / 2
    basis = chebyshev(wavelength, 1)
    points = starts.starting_points(
        table, wavelength, basis, flux, np.full(flux.shape, 1e4), NOTHING, limits, 3
    )
    assert np.abs(points[0, 0, 6]) <= starts.STRIDE * starts.CELL_KMS
    assert abs(points[0, 0, 0] - 5777) < 800


def test_long_ranges_need_all_cells(model):
    cells = starts.VelocityCells.of(model.model)
    assert cells.needed(WAVELENGTH_AA, (-500.0, 500.0)) == (0, cells.count)
