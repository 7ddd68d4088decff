"""The band of the distribution ``starloom-optical``, where its tables lie in the checkout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from starloom import bands, tables
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.wavelength import vacuum_from_air

pytest.importorskip("jax")

FOLDER = Path(__file__).resolve().parents[2] / "distributions" / "optical" / "src" / "starloom_optical"
if not (FOLDER / "band.toml").exists():
    pytest.skip("the distribution starloom-optical is not in the checkout", allow_module_level=True)
PLACE = str(FOLDER)
OPTICAL = bands.load(FOLDER)
SUN = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0}


def test_tables_are_those_released_and_small():
    expected = tables.expected_digests(PLACE)
    assert sorted(expected) == tables.names(PLACE)
    for name in ("atomic_lines", "hydrogen_profiles", "molecular_blocks", "molecular_opacity_07"):
        assert tables.digest(tables.load(name, PLACE)) == expected[name]
    sizes = [path.stat().st_size for path in FOLDER.glob("*.npz")]
    assert max(sizes) < 3e6
    assert sum(sizes) < 40e6


def test_the_band_is_whole_and_its_chunks_lie_on_one_grid():
    assert len(OPTICAL.chunks) == 16
    assert OPTICAL.edges_aa[0] < vacuum_from_air(4200.0) < vacuum_from_air(9200.0) < OPTICAL.edges_aa[-1]
    index = tables.load("molecular_blocks", PLACE)
    first, step = float(index["first_vacuum_aa"]), float(index["step_kms"])
    for chunk in OPTICAL.chunks:
        place = np.log(chunk.first_aa / first) * SPEED_OF_LIGHT_KMS / step
        assert place == pytest.approx(round(place), abs=1e-4)
        assert index["edge"][0] <= round(place)
        assert round(place) + chunk.points <= index["edge"][-1]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/band.toml")), ids=lambda path: path.parent.name)
def test_windows_of_surveys_are_chunks_of_the_band(path):
    text = path.read_text()
    assert 'tables = "starloom_optical"' in text
    view = bands.load(path.parent)
    assert view.name in bands.DISTRIBUTED
    assert set(view.chunks) <= set(OPTICAL.chunks)
    assert view.edges_aa[0] < view.points.vacuum_aa[0] < view.points.vacuum_aa[-1] < view.edges_aa[-1]


def test_every_line_has_its_source_and_none_is_there_twice():
    """A line of VALD stands only where no other of its ion is within 0.05 A and 0.05 eV."""
    table = tables.load("atomic_lines", PLACE)
    names = [str(name) for name in table["source_name"]]
    assert set(table["source"]) <= set(range(len(names)))
    assert {"Gaia-ESO", "VALD3"} <= {names[source] for source in set(table["source"].tolist())}
    assert (np.diff(table["wavelength_aa"]) >= 0).all()
    gaia_eso = np.flatnonzero(table["source"] == names.index("Gaia-ESO"))
    place = table["wavelength_aa"][gaia_eso]
    for line in np.flatnonzero(table["source"] == names.index("VALD3")):
        low, high = np.searchsorted(place, table["wavelength_aa"][line] + np.array([-0.05, 0.05]))
        near = gaia_eso[low:high]
        same = (table["atomic_number"][near] == table["atomic_number"][line]) & (
            table["charge"][near] == table["charge"][line]
        )
        energies = table["energy_low_ev"][near[same]] - table["energy_low_ev"][line]
        assert (np.abs(energies) > 0.049).all(), table["wavelength_aa"][line]


@pytest.mark.slow
def test_where_both_bands_are_they_agree():
    """8500-8600 A in the Sun: other blocks, chunk, continua, and no corrections of the list."""
    from starloom.synthesis import synthesize_labels

    part = OPTICAL.within("part", 8500, 8600)
    assert len(part.chunks) == 1
    made = synthesize_labels(**SUN, band=part)
    rvs = synthesize_labels(**SUN)
    grid = rvs.wavelength_aa[(rvs.wavelength_aa > 8502) & (rvs.wavelength_aa < 8602)]
    here = np.interp(grid, made.wavelength_aa, made.normalized)
    there = np.interp(grid, rvs.wavelength_aa, rvs.normalized)
    assert np.isfinite(made.normalized).all()
    assert np.median(np.abs(here - there)) < 1e-3
    level = np.interp(grid, made.wavelength_aa, made.continuum)
    assert level == pytest.approx(np.interp(grid, rvs.wavelength_aa, rvs.continuum), rel=3e-3)


def test_calibrated_lines():
    """Changes and removals, no more than ten unidentified lines in 100 A, and nothing where it is masked."""
    from starloom.synthesis.band import band_lines

    band = bands.load(FOLDER, "calibrated")
    table, found = (tables.load(name, PLACE) for name in ("atomic_lines", "line_calibration"))
    assert (FOLDER / "line_calibration.npz").stat().st_size < 1e6
    origin = found["origin_name"][found["origin"]]
    assert np.all(found["log_gf_change"][np.isin(origin, ["not calibrated", "listed"])] == 0)
    assert np.all(found["log_gf_change"][origin == "removed"] < -5)
    assert np.abs(found["log_gf_change"][np.isin(origin, ["calibrated", "contradicted"])]).max() <= 1.5
    hundred = np.floor(found["added_wavelength_aa"] / 100)
    assert np.bincount(hundred.astype(int)).max() <= 10
    sodium = np.abs(table["wavelength_aa"] - 5889.95) < 2
    assert np.all(origin[sodium] == "not calibrated")
    lines = len(band_lines(replace(band, chunks=band.chunks[7:8])).charge)
    listed = len(band_lines(replace(OPTICAL, chunks=band.chunks[7:8])).charge)
    assert 0 < lines - listed <= 45
