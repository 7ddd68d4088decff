"""Bands as values: chunks overlap and meet, parts lie on their band's grid, files return what was written."""

from dataclasses import replace

import numpy as np
import pytest

from starloom import bands, tables
from starloom.bands import Band
from starloom.errors import ConfigError, ParseError

RVS = bands.load("rvs")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_part_lies_on_the_grid_of_its_band(count):
    part, grid = RVS.cut("part", 8480, 8680, count), RVS.chunks[0]
    for chunk in part.chunks:
        place = np.log(chunk.wavelength_aa / grid.first_aa) * 299792.458 / grid.step_kms
        np.testing.assert_allclose(place, np.rint(place), atol=1e-6)
    assert part.tables == RVS.tables
    assert part.edges_aa[0] < part.points.vacuum_aa[0] < part.points.vacuum_aa[-1] < part.edges_aa[-1]
    with pytest.raises(ConfigError, match=r"band rvs has no part of 8390\.\.8500 A"):
        RVS.cut("part", 8390, 8500)


@pytest.mark.parametrize("band", [RVS, Band.over("own", 5000, 5200, 3), RVS.cut("part", 8500, 8600, 2)])
def test_a_band_survives_its_file(tmp_path, band):
    band.write(tmp_path / "band")
    found = bands.load(tmp_path / "band")
    assert found.bare == band.bare
    assert found.tables == (band.tables or str(tmp_path / "band"))
    assert Band.from_mapping(band.mapping) == band


def test_what_is_no_band_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"band 'nowhere' is not installed: .*rvs"):
        bands.load("nowhere")
    (tmp_path / "band.toml").write_text("name = 3")
    with pytest.raises(ParseError, match=r"band\.toml: band: KeyError: 'chunks'"):
        bands.load(tmp_path)
    first, second = Band.over("two", 5000, 5200, 2).chunks
    apart = replace(second, first_aa=second.first_aa + 500)
    with pytest.raises(ConfigError, match=r"the chunk from .* does not overlap"):
        Band("two", (first, apart), 3, 4e4, 14500.0, RVS.points)


def test_a_folder_of_a_packages_name_is_not_the_package(tmp_path, monkeypatch):
    """Nor does a band in a folder depend on where one goes afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / RVS.tables).mkdir()
    assert tables.names(RVS.tables)
    Band.over("own", 5000, 5200).write("own")
    np.savez(tmp_path / "own" / "tellurics.npz", vacuum_wavelength_aa=np.ones(1))
    band = bands.load("own")
    monkeypatch.chdir("/")
    assert tables.names(band.tables) == ["tellurics"]


def test_within_takes_the_chunks_that_show_a_range():
    whole = Band.over("whole", 5000, 6000, 4)
    part = whole.within("part", 5300, 5310)
    assert part.chunks == whole.chunks[1:2]
    assert (part.points.first_aa, part.points.last_aa, part.points.count) == (5300, 5310, 101)
    assert whole.within("part", 5200, 5700).chunks == whole.chunks[:3]
    assert whole.within("part", 5000, 6000).chunks == whole.chunks
    with pytest.raises(
        ConfigError, match=r"^band whole: 5300\.\.6200 A is not a range within \[4993, 6009\] A"
    ):
        whole.within("part", 5300, 6200)


@pytest.mark.parametrize("name", sorted(set(bands.DISTRIBUTED) - set(bands.names())))
def test_a_band_of_another_distribution_says_what_to_install(name):
    with pytest.raises(
        ConfigError, match=r"not installed: it comes with starloom-optical: pip install [^\n]*$"
    ):
        bands.load(name)


def test_a_window_is_that_of_a_band_or_of_its_arms(monkeypatch):
    shown = {
        "s-blue": (4700.0, 4800.0),
        "s-red": (5000.0, 5100.0),
        "t-a": (5000.0, 5100.0),
        "t-b": (5050.0, 5200.0),
    }
    made = {name: bands.Band.over(name, *ends) for name, ends in shown.items()}
    monkeypatch.setattr(bands, "names", lambda: [*made, "rvs"])
    monkeypatch.setattr(bands, "_installed", lambda name: made.get(name))
    wavelength, medium = bands.window("s")
    assert medium == "air"
    expected = np.concatenate([made["s-blue"].points.wavelength_aa, made["s-red"].points.wavelength_aa])
    np.testing.assert_array_equal(wavelength, expected)
    np.testing.assert_array_equal(bands.window("s-red")[0], made["s-red"].points.wavelength_aa)
    with pytest.raises(ConfigError, match="band 't': t-a, t-b overlap or differ in medium: give one of them"):
        bands.window("t")
    with pytest.raises(ConfigError, match="band 'galah' is not installed: it comes with starloom-optical"):
        bands.window("galah")
    with pytest.raises(ConfigError, match="band 'u' is not installed"):
        bands.window("u")


def test_what_is_kept_is_enough_for_a_resolution():
    """Itself as long as that is enough; then all points, and points shown that resolve."""
    for enough in (0.0, 14500.0, 39999.0):
        assert RVS.resolving(enough) is RVS
    fine = RVS.resolving(100_000.0)
    assert (fine.stride, fine.finest_resolution, fine.chunks) == (1, 100_000.0, RVS.chunks)
    assert fine.kept_resolution > 2 * fine.finest_resolution
    assert fine.points.wavelength_aa[[0, 1, -1]] == pytest.approx([8400, 8400.02, 8799.9])
    assert RVS.resolving(40_000.0).points == RVS.points  # 0.1 A of 0.21 A
    with pytest.raises(ConfigError, match=r"^band rvs: resolution = 150400 is above 150333, too fine"):
        RVS.resolving(150_400.0)
