"""Opacity of molecular lines from the packaged table: conservation, limits and where molecules absorb."""

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest

from starloom import bands, tables
from starloom.errors import ConfigError
from starloom.physics.molecules import (
    MICROTURBULENCE_KMS,
    MolecularTable,
    broaden,
    molecular_opacity,
    number_density,
)
from starloom.wavelength import LogGrid, air_from_vacuum

RVS = bands.load("rvs")
(GRID,) = RVS.chunks


@pytest.fixture(scope="module")
def table() -> MolecularTable:
    return MolecularTable.from_arrays(tables.load("molecular_opacity", RVS.tables))


def cross_section(table, name, temperature, microturbulence_kms):
    """Cross-section [wavelength] of one molecule, through the public function."""
    amounts = np.zeros((len(table.names), 1))
    amounts[table.names.index(name)] = 1e10
    opacity = molecular_opacity(jnp.asarray(amounts), jnp.array([temperature]), microturbulence_kms, table)
    return np.asarray(opacity[0], dtype=float) / 1e10


def test_shapes(table):
    assert table.names == ("TiO", "12CN", "13CN", "FeH", "12C2", "H2O")
    assert table.cross_section.shape == (
        len(MICROTURBULENCE_KMS),
        len(table.names),
        table.theta.size,
        GRID.points,
    )


def test_opacity_is_finite_and_not_negative(table):
    temperature = jnp.array([1000.0, 2000.0, 3300.0, 4700.0, 7000.0, 14000.0])
    for microturbulence_kms in (0.0, 0.3, 1.7, 4.0):
        opacity = molecular_opacity(jnp.full((6, 6), 1e8), temperature, microturbulence_kms, table)
        assert np.all(np.isfinite(opacity))
        assert opacity.min() >= 0


def test_no_molecules_no_opacity(table):
    assert not np.any(molecular_opacity(jnp.zeros((6, 2)), jnp.array([3000.0, 5000.0]), 2.0, table))


@pytest.mark.parametrize("name", ["TiO", "12CN", "13CN", "FeH", "12C2", "H2O"])
def test_microturbulence_conserves_absorption(table, name):
    # a line's area in velocity does not depend on its width; 0.2 % is the stated error of interpolation
    areas = [cross_section(table, name, 3500.0, xi).sum() for xi in (0.0, 0.7, 1.5, 2.6, 4.0)]
    assert areas == pytest.approx([areas[0]] * 5, rel=2e-3)


def test_broadening_a_narrow_line_gives_a_gaussian():
    # a Gaussian of width 1 km/s at the grid's middle, made 3 km/s wider in quadrature
    velocity = GRID.step_kms * (np.arange(GRID.points) - 10935)
    narrow = np.exp(-(velocity**2))
    wide = np.exp(-(velocity**2) / 10) / np.sqrt(10)
    assert broaden(narrow, 3.0, GRID.step_kms) == pytest.approx(wide, abs=2e-4)


def test_a_table_without_molecules_is_told_in_one_line():
    arrays = {"packed_log_cross_section": np.empty((0, 11, GRID.points)), "scale": [], "offset": []}
    with pytest.raises(ConfigError, match=r"molecular_opacity: cross-sections of the shape \(0, 11, 21870\)"):
        MolecularTable.from_arrays(arrays)


def test_several_microturbulences_at_once(table):
    rows = np.asarray(table.cross_section[0, :2, 0], float)
    several = broaden(rows[0], (0.6, 3.0), GRID.step_kms)
    assert several == pytest.approx(np.stack([broaden(rows, xi, GRID.step_kms)[0] for xi in (0.6, 3.0)]))


def test_titanium_oxide_bands(table):
    # band head at 8432 A, degraded to the red (Kirkpatrick, Henry & McCarthy 1991, table 5)
    air = air_from_vacuum(GRID.wavelength_aa)
    opacity = cross_section(table, "TiO", 3000.0, 2.0)
    before = opacity[(air > 8424) & (air < 8429)].mean()
    after = opacity[(air > 8433) & (air < 8443)].mean()
    assert after > 1.5 * before


def test_iron_hydride_weakens_with_temperature(table):
    # FeH's lower level is its ground state: a molecule absorbs as 1/Q, and Q rises about fivefold
    ratio = cross_section(table, "FeH", 2500.0, 1.0).sum() / cross_section(table, "FeH", 6000.0, 1.0).sum()
    assert 3 < ratio < 10


def test_isotopologues_of_carbon(states):
    """All CN is 12CN and 13CN; of C2 the rest, 2 r / (1 + r)^2, has one atom of either."""
    state, ratio = states["sun"], 4.0
    light, heavy = (number_density(name, state, ratio) for name in ("12CN", "13CN"))
    assert light + heavy == pytest.approx(number_density("CN", state, ratio))
    assert light == pytest.approx(4 * heavy)
    c2 = state.molecule("C2")
    assert np.array_equal(number_density("C2", state, ratio), c2)
    assert number_density("12C2", state, ratio) == pytest.approx(0.64 * c2)
    assert number_density("13C2", state, ratio) == pytest.approx(0.04 * c2)


def test_heavy_carbon_shifts_cn(table):
    """Lines of 13CN are as strong as those of 12CN, elsewhere: levels go as the root of the reduced mass."""
    light, heavy = (cross_section(table, name, 4500.0, 2.0) for name in ("12CN", "13CN"))
    assert heavy.sum() == pytest.approx(light.sum(), rel=0.35)  # the red system's band heads move as well
    overlap = (light * heavy).sum() / np.sqrt((light**2).sum() * (heavy**2).sum())
    assert overlap < 0.5


def test_a_part_of_the_grid_takes_its_slice(table):
    part = table.on(GRID.part(1234, 5000))
    assert np.array_equal(part.cross_section, table.cross_section[..., 1234:6234])
    assert part.grid == GRID.part(1234, 5000)
    assert table.on(GRID) is table


@pytest.mark.parametrize(
    "other",
    [
        LogGrid(GRID.first_aa * (1 + 1e-7), 5000, GRID.step_kms),  # between the points
        LogGrid(GRID.first_aa, 5000, GRID.step_kms * (1 + 1e-5)),  # another step
        LogGrid(float(GRID.wavelength_aa[-4000]), 5000, GRID.step_kms),  # over the end
    ],
)
def test_another_grid_is_refused(table, other):
    with pytest.raises(ConfigError, match=r"have no part that is LogGrid\(first_aa=8") as caught:
        table.on(other)
    assert "\n" not in str(caught.value)


def blocks(arrays, edges):
    """The RVS table as blocks of a long grid, and their index; the second block lacks FeH."""
    packed = np.rint(arrays["packed_log_cross_section"] * arrays["scale"][:, None, None] / 1e-3).astype(int)
    names, content = [str(name) for name in arrays["name"]], []
    for number, (start, stop) in enumerate(pairwise(edges)):
        molecules = [m for m, name in enumerate(names) if (number, name) != (1, "FeH")]
        part = packed[molecules, :, start:stop]
        content.append(
            {
                "first_point": np.array(start),
                "molecule": np.array(molecules),
                "offset": arrays["offset"][molecules],
                "scale": np.full(len(molecules), 1e-3),
                "packed_log_cross_section": np.diff(part, axis=1, prepend=0).astype(np.int16),
            }
        )
    present = np.array([np.isin(np.arange(len(names)), block["molecule"]) for block in content])
    index = {"name": arrays["name"], "edge": np.array(edges), "present": present}
    return index | {key: arrays[key] for key in ("first_vacuum_aa", "step_kms", "temperature")}, content


def test_blocks_are_the_table_in_one_piece(table):
    """Float16 and steps of 1e-3 dex: 2e-3 of the opacity; a block without a molecule has none of it."""
    index, content = blocks(tables.load("molecular_opacity", RVS.tables), [0, 9000, 15000, GRID.points])
    part = GRID.part(7000, 9500)
    touched, molecules = MolecularTable.blocks_of(index, part)
    assert (touched, molecules) == ([0, 1, 2], [0, 1, 2, 3, 4, 5])
    assert MolecularTable.blocks_of(index, GRID.part(9100, 500)) == ([1], [0, 1, 2, 4, 5])
    made = MolecularTable.from_blocks(index, content, molecules, part, 7)
    inner = slice(200, 1700)  # before the block without FeH
    for name in ("TiO", "12CN", "FeH"):
        whole = cross_section(table, name, 3300.0, 1.7)[7000:16500]
        found = cross_section(made, name, 3300.0, 1.7)
        assert np.abs(found - whole)[inner].max() < 2e-3 * whole.max(), name
    assert cross_section(made, "FeH", 3300.0, 1.7)[2300:7700].max() < 1e-9 * whole.max()
    with pytest.raises(ConfigError, match="in blocks have no part that is LogGrid"):
        MolecularTable.blocks_of(index, LogGrid(GRID.first_aa * 0.99, 1000, GRID.step_kms))
