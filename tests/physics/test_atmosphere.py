"""Structures from labels: the grid's nodes, smoothness, equilibrium, and what cannot be an atmosphere."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import make_interp_spline

from starloom import sampling, tables
from starloom.atmosphere import Atmosphere, domain, grid, hydrostatic_residual, interpolate, read_atlas9
from starloom.errors import OutOfRangeError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
COLUMNS = ("temperature", "gas_pressure", "column_mass", "electron_density")
PLACES = [
    (3200.0, -0.5, -3.0, 0.6),
    (4100.0, 4.7, 0.3, 0.1),
    (5777.0, 4.44, 0.0, 0.0),
    (8123.0, 3.3, 1.2, -0.2),
    (16000.0, 5.5, 1.5, 0.35),
]


@pytest.fixture(scope="module")
def nodes():
    """log10 of the columns at the table's nodes."""
    return grid.nodes()


def stacked(atmosphere):
    return jnp.stack([jnp.log(getattr(atmosphere, name)) for name in COLUMNS], axis=-1)


def ln_columns(*place):
    with jax.enable_x64(True):
        return np.asarray(stacked(interpolate(*place)))


@pytest.mark.parametrize("node", [(2, 1, 3, 4), (11, 11, 7, 1), (25, 10, 10, 2), (43, 13, 1, 3)])
def test_nodes_are_reproduced(nodes, node):
    """An interpolating spline passes through its nodes; its coefficients have 24 bits."""
    table = tables.load("atmospheres")
    assert tuple(table["columns"]) == COLUMNS
    place = [float(table[name][i]) for name, i in zip(grid.AXES, node, strict=True)]
    np.testing.assert_allclose(ln_columns(*place), np.log(10) * nodes[node], atol=3e-6)


@pytest.mark.parametrize("place", PLACES)
def test_slow_twin(nodes, place):
    """Against scipy's splines through the whole table, one axis after the other; in every ninth layer."""
    table, values = tables.load("atmospheres"), nodes[..., ::9, :]
    for name, x in zip(grid.AXES, place, strict=True):
        values = make_interp_spline(table[name], values, k=3, axis=0)(x)
    np.testing.assert_allclose(ln_columns(*place)[::9], np.log(10) * values, atol=3e-6)


@pytest.mark.parametrize("place", PLACES)
def test_single_precision(place):
    """float32 labels and coefficients: 3e-6 of log10 up to 18, that is 1e-5 in T, 5e-5 in density."""
    single = np.asarray(stacked(interpolate(*place)))
    assert single.dtype == np.float32
    difference = np.abs(single - ln_columns(*place)).max(axis=0)
    assert (difference < [1e-5, 5e-5, 5e-5, 5e-5]).all(), difference


@pytest.mark.parametrize("label", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "place", [(5750.0, 4.0, 0.0, 0.0), (5777.0, 4.44, 0.1, 0.3), (4250.0, 2.5, 0.5, 0.2)]
)
def test_derivatives(place, label):
    """jacfwd against central differences; their error h^2 f'''/6 is below 1e-5 of the largest change."""
    step = (1.0, 1e-3, 1e-3, 1e-3)[label]
    with jax.enable_x64(True):
        exact = np.asarray(jax.jacfwd(lambda *x: stacked(interpolate(*x)), argnums=label)(*place))
    up, down = (ln_columns(*np.add(place, sign * step * np.eye(4)[label])) for sign in (1, -1))
    numerical = (up - down) / (2 * step)
    assert np.isfinite(exact).all()
    np.testing.assert_allclose(exact, numerical, atol=1e-5 * np.abs(numerical).max())


@pytest.mark.parametrize(("label", "knot"), [(0, 4250.0), (0, 13000.0), (1, 3.0), (2, 0.5), (3, 0.2)])
def test_no_kink_at_a_node(label, knot):
    """The second derivative is continuous: it changes over a millionth of the axis by its slope only."""
    place = np.array([5777.0, 4.2, 0.2, 0.1])
    width = (1e-3, 1e-6, 1e-6, 1e-6)[label]

    def second(x):
        with jax.enable_x64(True):
            labels_at = place.copy()
            labels_at[label] = x
            inner = jax.jacfwd(lambda *x: stacked(interpolate(*x)), argnums=label)
            return np.asarray(jax.jacfwd(inner, argnums=label)(*labels_at))

    below, above = second(knot - width), second(knot + width)
    np.testing.assert_allclose(below, above, atol=1e-3 * np.abs(below).max())


def test_many_labels_at_once():
    """Arrays broadcast; vmap gives the same; both equal one by one."""
    teff = np.array([4000.0, 6000.0, 9000.0])
    together = interpolate(teff, 4.0, 0.0)
    mapped = jax.vmap(lambda t: interpolate(t, 4.0, 0.0))(teff)
    for i, t in enumerate(teff):
        alone = interpolate(t, 4.0, 0.0)
        for name in ("log_tau", *COLUMNS):
            np.testing.assert_allclose(getattr(together, name)[i], getattr(alone, name), rtol=5e-5)
            np.testing.assert_allclose(getattr(mapped, name)[i], getattr(alone, name), rtol=5e-5)


def sample(number):
    """Labels of the domain, uniform; a tenth of each at an end of its range, a twentieth at the floor."""
    box = domain()
    points = sampling.uniform(3, 0, number, box.low, box.high, box.contains)
    chance = np.random.default_rng([3, number]).random(points.shape)
    points = box.clip(sampling.at_ends(points, chance, 0.1, box.low, box.high))
    points[::20, 1] = box.lowest_logg(points[::20])
    return points


def test_everywhere_an_atmosphere():
    """Finite, heavier inwards, hotter inwards where light comes from, no pressure above the weight g m."""
    stars = sample(5000)
    all_of_them = jax.tree.map(np.asarray, interpolate(*stars.T))
    for name in COLUMNS:
        assert np.isfinite(getattr(all_of_them, name)).all(), name
    assert (np.diff(all_of_them.column_mass) > 0).all()
    seen = np.abs(all_of_them.log_tau[0]) < 0.6
    assert (np.diff(all_of_them.temperature[:, seen]) > 0).all()
    # 6 %: above 8500 K the metal-rich pressures and column masses come from two networks
    weight = 10 ** stars[:, [1]] * all_of_them.column_mass
    assert (all_of_them.gas_pressure < 1.06 * weight).all()


def test_temperature_where_light_comes_from():
    """T(tau = 2/3) is Teff in the grey Eddington approximation; lines raise it by 13 %, molecules by 20."""
    stars = sample(500)
    models = interpolate(*stars.T)
    ratio = [np.interp(np.log10(2 / 3), models.log_tau[0], t) for t in np.asarray(models.temperature)]
    ratio /= stars[:, 0]
    assert ratio.min() > 0.96
    assert ratio.max() < 1.22
    assert ratio[stars[:, 0] > 3900].max() < 1.13


def test_hydrostatic_equilibrium_of_cool_stars():
    """Radiation bears nothing in cool dwarfs: dP/dm = g within the 1 % noise of four-digit pressures."""
    for teff, mh in [(3700.0, 0.5), (4000.0, 0.0), (5777.0, 0.0), (5250.0, -1.5), (4600.0, 1.2)]:
        with jax.enable_x64(True):
            atmosphere = jax.tree.map(np.asarray, interpolate(teff, 4.5, mh))
        inside = (atmosphere.log_tau > -4) & (atmosphere.log_tau < 1)
        assert np.abs(hydrostatic_residual(atmosphere)[inside]).max() < 0.01


def test_hydrostatic_residual_of_an_isothermal_layer():
    """P = (g - g_rad) m exactly has no residual, and 1 % more gravity has -1 % of the pressure's share."""
    column_mass = np.geomspace(1e-6, 1e2, 60)
    atmosphere = Atmosphere(
        log_tau=np.log10(column_mass),
        column_mass=column_mass,
        temperature=np.full(60, 6000.0),
        gas_pressure=(1e4 - 100) * column_mass,
        radiative_acceleration=np.full(60, 100.0),
        logg=4.0,
    )
    np.testing.assert_allclose(hydrostatic_residual(atmosphere), 0, atol=1e-12)
    heavier = replace(atmosphere, logg=4.0 + np.log10(1.01))
    np.testing.assert_allclose(hydrostatic_residual(heavier), 1 / 1.01 - 1, atol=1e-12)
    with pytest.raises(OutOfRangeError, match="logg is None"):
        hydrostatic_residual(replace(atmosphere, logg=None))


@pytest.mark.parametrize(
    "place",
    [
        (3199.0, 4.0, 0.0),
        (5777.0, 5.6, 0.0),
        (5777.0, 4.0, 1.6),
        (14900.0, 2.0, 1.5),
        (5777.0, 4.0, 0.0, 0.7),
    ],
)
def test_outside_the_domain(place):
    with pytest.raises(OutOfRangeError, match=r"= .* is outside \["):
        interpolate(*place)


@pytest.mark.parametrize(
    ("name", "layer", "value", "message"),
    [
        ("column_mass", 30, 1e-9, "column_mass = 1e-09 g cm-2 in layer 30 does not increase inwards"),
        ("temperature", 7, -5000.0, "temperature = -5000 K in layer 7 is not positive"),
        ("gas_pressure", 0, np.nan, "gas_pressure = nan dyn cm-2 in layer 0 is not finite"),
        ("log_tau", 67, -3.0, "log_tau = -3 in layer 67 does not increase inwards"),
    ],
)
def test_impossible_structures(name, layer, value, message):
    atmosphere = interpolate(5777.0, 4.44, 0.0)
    column = np.array(getattr(atmosphere, name))
    column[layer] = value
    with pytest.raises(OutOfRangeError, match=message):
        replace(atmosphere, **{name: column}).check()


def test_too_few_layers_and_shapes():
    atmosphere = jax.tree.map(np.asarray, interpolate(5777.0, 4.44, 0.0))
    assert atmosphere.check() is atmosphere
    short = replace(atmosphere, **{name: getattr(atmosphere, name)[:5] for name in ("log_tau", *COLUMNS)})
    with pytest.raises(OutOfRangeError, match="5 layers, at least 10"):
        short.check()
    with pytest.raises(OutOfRangeError, match=r"column_mass has the shape \(66,\), expected \(68,\)"):
        replace(atmosphere, column_mass=atmosphere.column_mass[2:]).check()


@pytest.mark.skipif(not SHARED.exists(), reason="the shared reference data are not here")
@pytest.mark.parametrize(
    ("name", "largest"),
    [
        # nodes of the grid: the four digits of P in the files
        ("t5750g45m+0.0v1", 6e-4),
        ("t5250g45m+0.5v1", 6e-4),
        ("t10000g40m+0.5v2", 6e-4),
        ("t13000g40m+0.0v0", 6e-4),
    ],
)
def test_original_models(name, largest):
    original = read_atlas9(SHARED / "reference" / "synspec_atlas9" / f"{name}.mod")
    ours = interpolate(original.teff, original.logg, round(original.mh, 4))
    for column in COLUMNS[:3]:
        np.testing.assert_allclose(getattr(ours, column), getattr(original, column)[:68], rtol=largest)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared reference data are not here")
def test_whole_original_grid(nodes):
    """Every Castelli-Kurucz model from 4500 K up is a node: half a quantum in log10."""
    original = np.load(SHARED / "data" / "atmospheres" / "ck03_atlas9.npz")
    table = tables.load("atmospheres")
    own = original["teff"] >= 4500
    places = [np.searchsorted(table[name], original[name][own]) for name in ("teff", "logg", "mh")]
    places.append(np.full(own.sum(), np.flatnonzero(table["alpha"] == 0)[0]))
    assert table["valid"][*places].all()
    error = nodes[*places] - np.log10(original["data"][own][:, :68, [1, 2, 0, 3]])
    assert (np.abs(error).max(axis=(0, 1)) < 0.5 * table["quanta"] + 2e-6).all()  # theirs are float32


def test_the_domain_rests_on_models():
    """On and above lowest_logg every node of the cell around a label has a model."""
    table, places = tables.load("atmospheres"), sample(30000)
    cells = []
    for x, name in zip(places.T, grid.AXES, strict=True):
        nodes = table[name]
        cells.append(np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2))
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4)
    rests = np.all([table["valid"][*(np.array(cells) + corner[:, None])] for corner in corners], axis=0)
    assert rests.all(), places[~rests][:3]
