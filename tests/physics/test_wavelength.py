"""Air and vacuum against published indices and another published formula; the grids."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.wavelength import (
    PAPER_GRID_AA,
    SYNTHESIS_GRID_AA,
    air_from_vacuum,
    log_grid,
    refractive_index,
    vacuum_from_air,
    velocity_step,
)

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
    difference = refractive_index(SYNTHESIS_GRID_AA) - birch_and_downs(SYNTHESIS_GRID_AA)
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


def test_paper_grid():
    assert PAPER_GRID_AA.shape == (4000,)
    assert PAPER_GRID_AA[0] == 8400.0
    assert PAPER_GRID_AA[-1] == pytest.approx(8799.9, abs=1e-9)


def test_synthesis_grid_is_uniform_in_velocity_and_covers_its_range():
    air = air_from_vacuum(SYNTHESIS_GRID_AA)
    np.testing.assert_allclose(air[[0, -1]], [8388.0, 8812.0], rtol=1e-15)
    steps = SPEED_OF_LIGHT_KMS * np.diff(np.log(SYNTHESIS_GRID_AA))
    assert velocity_step(SYNTHESIS_GRID_AA) == pytest.approx(0.676, abs=5e-4)
    np.testing.assert_allclose(
        steps, velocity_step(SYNTHESIS_GRID_AA), atol=1e-9
    )  # rounding of the logarithm
    assert np.diff(SYNTHESIS_GRID_AA).max() < 0.02


def test_log_grid_keeps_its_ends():
    grid = log_grid(100.0, 1000.0, 3)
    np.testing.assert_allclose(grid, [100.0, 100 * np.sqrt(10), 1000.0], rtol=1e-15)


def test_grids_cannot_be_changed():
    for grid in (PAPER_GRID_AA, SYNTHESIS_GRID_AA):
        with pytest.raises(ValueError, match="read-only"):
            grid[0] = 0.0
