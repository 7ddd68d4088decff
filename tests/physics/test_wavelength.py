"""Air and vacuum against published indices and another published formula; the grids."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starloom import bands
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.wavelength import LogGrid, Points, air_from_vacuum, refractive_index, vacuum_from_air

RVS = bands.load("rvs")
CHUNK_AA = RVS.chunks[0].wavelength_aa
OWN_AA = RVS.points.wavelength_aa

# Ciddor (1996), Applied Optics 35, 1566: dry air, 450 ppm CO2, vacuum wavelength 6330 A
PUBLISHED_INDEX = [  # temperature [C], pressure [Pa], 1e8 (n - 1)
    (20, 80e3, 21458.0),
    (20, 100e3, 26824.4),
    (20, 120e3, 32191.6),
    (10, 100e3, 27774.7),
    (30, 100e3, 25937.2),
]


def compressibility(celsius: float, pascal: float) -> float:
    """Compressibility of dry air, Ciddor (1996), eq. 12."""
    ratio = pascal / (celsius + 273.15)
    linear = 1.58123e-6 - 2.9331e-8 * celsius + 1.1043e-10 * celsius**2
    return 1 - ratio * linear + 1.83e-11 * ratio**2


def density(celsius: float, pascal: float) -> float:
    """Density of dry air relative to that at 15 C and 101325 Pa."""
    standard = 101325 / 288.15 / compressibility(15, 101325)
    return pascal / (celsius + 273.15) / compressibility(celsius, pascal) / standard


@pytest.mark.parametrize(("celsius", "pascal", "published"), PUBLISHED_INDEX)
def test_refractive_index_is_the_published_one(celsius, pascal, published):
    refractivity = 1e8 * (refractive_index(6330.0) - 1) * density(celsius, pascal)
    assert refractivity == pytest.approx(published, abs=0.06)  # the last printed digit


def birch_and_downs(vacuum_aa):
    """Refractive index of standard air, Birch & Downs (1994) in Morton (2000), ApJS 130, 403, eq. 8."""
    squared = (1e4 / vacuum_aa) ** 2
    return 1 + 8.34254e-5 + 2.406147e-2 / (130 - squared) + 1.5998e-4 / (38.9 - squared)


def test_birch_and_downs_differ_by_the_stated_error():
    difference = refractive_index(CHUNK_AA) - birch_and_downs(CHUNK_AA)
    assert np.abs(difference).max() < 3e-9  # 1 m/s
    wide = np.linspace(2300, 16900, 1000)
    assert np.abs(refractive_index(wide) - birch_and_downs(wide)).max() < 1e-8  # 3 m/s


@pytest.mark.parametrize(
    ("air", "vacuum"),
    [(8498.02, 8500.35), (8542.09, 8544.44), (8662.14, 8664.52)],  # Ca II, Gaia DR3 documentation and NIST
)
def test_calcium_triplet(air, vacuum):
    assert vacuum_from_air(air) == pytest.approx(vacuum, abs=0.006)  # both are printed to 0.01 A


@given(st.floats(2300, 16900))
def test_air_and_vacuum_are_inverse(wavelength_aa):
    assert vacuum_from_air(air_from_vacuum(wavelength_aa)) == pytest.approx(wavelength_aa, rel=1e-15)
    assert air_from_vacuum(vacuum_from_air(wavelength_aa)) == pytest.approx(wavelength_aa, rel=1e-15)


def test_jax_arrays_stay_jax_arrays():
    air = air_from_vacuum(jnp.array([8500.0, 8600.0]))
    assert isinstance(air, jnp.ndarray)
    np.testing.assert_allclose(air, air_from_vacuum(np.array([8500.0, 8600.0])), rtol=2e-7)  # float32


def test_points_of_the_packaged_band_are_the_papers():
    assert OWN_AA.shape == (4000,)
    assert OWN_AA[0] == 8400.0
    assert OWN_AA[-1] == pytest.approx(8799.9, abs=1e-9)
    np.testing.assert_array_equal(OWN_AA, 8400.0 + 0.1 * np.arange(4000))
    np.testing.assert_array_equal(RVS.points.vacuum_aa, vacuum_from_air(OWN_AA))


def test_synthesis_grid_is_uniform_in_velocity_and_covers_its_range():
    air = air_from_vacuum(CHUNK_AA)
    np.testing.assert_allclose(air[[0, -1]], [8388.0, 8812.0], rtol=1e-15)
    steps = SPEED_OF_LIGHT_KMS * np.diff(np.log(CHUNK_AA))
    assert RVS.chunks[0].step_kms == pytest.approx(0.676, abs=5e-4)
    np.testing.assert_allclose(steps, RVS.chunks[0].step_kms, atol=1e-9)  # rounding of the logarithm
    assert np.diff(CHUNK_AA).max() < 0.02


def test_a_grid_keeps_its_ends():
    grid = LogGrid(100.0, 3, SPEED_OF_LIGHT_KMS * np.log(10) / 2)
    np.testing.assert_allclose(grid.wavelength_aa, [100.0, 100 * np.sqrt(10), 1000.0], rtol=1e-15)
    assert grid.last_aa == pytest.approx(1000.0, rel=1e-15)


def test_parts_of_a_grid_are_its_points():
    grid = LogGrid(8400.0, 1000, 0.7)
    every = grid.every(3, 1)
    np.testing.assert_allclose(every.wavelength_aa, grid.wavelength_aa[1::3], rtol=1e-15)
    assert every.last_aa == pytest.approx(grid.wavelength_aa[1::3][-1], rel=1e-15)
    part = grid.part(20, 50)
    np.testing.assert_allclose(part.wavelength_aa, grid.wavelength_aa[20:70], rtol=1e-15)


@pytest.mark.parametrize("fault", [{"first_aa": 0.0}, {"points": 1}, {"step_kms": -0.7}])
def test_what_is_no_grid_is_refused(fault):
    with pytest.raises(ConfigError, match="no grid of at least two rising wavelengths"):
        LogGrid(**{"first_aa": 8400.0, "points": 10, "step_kms": 0.7, **fault})


@pytest.mark.parametrize("spacing", ["linear", "logarithmic"])
def test_points_keep_their_ends_and_medium(spacing):
    points = Points("vacuum", spacing, 5000.0, 5100.0, 1001)
    np.testing.assert_allclose(points.wavelength_aa[[0, -1]], [5000.0, 5100.0], rtol=1e-12)
    assert points.vacuum_aa is points.wavelength_aa
    assert Points.of(points.wavelength_aa, "vacuum").spacing == spacing


def test_grids_cannot_be_changed():
    for grid in (OWN_AA, CHUNK_AA, RVS.points.vacuum_aa):
        with pytest.raises(ValueError, match="read-only"):
            grid[0] = 0.0
