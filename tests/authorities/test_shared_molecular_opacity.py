"""The packaged molecular cross-sections against an independent summation of nearly the same lists."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from starloom import bands, tables
from starloom.physics.molecules import MolecularTable, molecular_opacity
from starloom.wavelength import air_from_vacuum

SHARED = (
    Path(__file__).resolve().parents[2].parent
    / "shared"
    / "data"
    / "physics"
    / "mol_cross_sections_8390_8810.npz"
)


@pytest.fixture(scope="module")
def compared():
    """Per molecule: our and the other cross-section [temperature, wavelength] at the other's temperatures.

    Under ``air`` the wavelengths.
    """
    if not SHARED.exists():
        pytest.skip("the cross-sections to compare with are not here")
    with np.load(SHARED) as archive:
        other = {key: archive[key] for key in archive.files}
    table = MolecularTable.from_arrays(tables.load("molecular_opacity", bands.load("rvs").tables))
    air = air_from_vacuum(table.grid.wavelength_aa)
    inside = (air > 8391) & (air < 8809)
    pairs = {"air": air[inside]}
    for name in ("TiO", "CN", "FeH", "C2", "H2O"):
        # an atom of carbon in 89 is 13C there; of C2 with one the list has no lines
        share = {name: 1.0, f"12{name}": (89 / 90) ** (2 if name == "C2" else 1), f"13{name}": 1 / 90}
        amounts = np.array([1e10 * share.get(each, 0.0) * np.ones(other["T"].size) for each in table.names])
        opacity = molecular_opacity(jnp.asarray(amounts), jnp.asarray(other["T"]), 1.5, table)
        theirs = np.array([np.interp(air[inside], other["wavelength_air"], row) for row in other[name]])
        pairs[name] = np.asarray(opacity, dtype=float)[:, inside] / 1e10, theirs
    return pairs


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        # the other list of 48TiO lacks lines: 1 % at 2500 K, 5 % at 6000 K and 4-8 % longward of 8700 A,
        # where 47TiO's partners lay outside its range; here 48TiO's lines sum up like those of 46TiO and
        # 47TiO within 1 %
        ("TiO", 1.005, 1.05),
        # partition function of Barklem & Collet (2016) at all temperatures, there only above 3000 K
        ("CN", 0.995, 1.02),
        # three lines that the list has twice (both parities) are there counted once
        ("FeH", 1.005, 1.015),
        ("C2", 0.998, 1.002),
        ("H2O", 0.998, 1.002),
    ],
)
def test_summed_over_wavelength(compared, name, low, high):
    ours, theirs = compared[name]
    ratio = ours.sum(axis=1) / theirs.sum(axis=1)
    assert low < ratio.min() <= ratio.max() < high


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # rms difference over mean, in steps of 0.02 A of the other grid: its interpolation costs 3-7 % of a
    # line's slope; FeH: the lines counted once
    [("TiO", 0.08), ("CN", 0.08), ("FeH", 0.5), ("C2", 0.07), ("H2O", 0.2)],
)
def test_wavelength_by_wavelength(compared, name, tolerance):
    ours, theirs = compared[name]
    assert np.all(np.sqrt(np.mean((ours - theirs) ** 2, axis=1)) < tolerance * theirs.mean(axis=1))


def test_iron_hydride_away_from_the_doubled_lines(compared):
    # shortward of 8690 A nothing is doubled: 4-6 % rms, from the other grid's interpolation, as for CN and C2
    ours, theirs = compared["FeH"]
    blue = compared["air"] < 8690
    difference = np.sqrt(np.mean((ours - theirs)[:, blue] ** 2, axis=1))
    assert np.all(difference < 0.07 * theirs[:, blue].mean(axis=1))
