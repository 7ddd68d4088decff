"""A band in several chunks: one program for all, and the spectra of the band in one piece."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

from starloom import bands, tables
from starloom.errors import ConfigError, OutOfRangeError
from starloom.physics.continuum import EDGES_AA
from starloom.physics.lines import NONE, line_opacity, line_positions, windows_of
from starloom.synthesis import photosphere, synthesize_labels
from starloom.synthesis.band import WIDE_NODES, band_arrays, continuum_interpolation
from starloom.synthesis.gas import gas
from starloom.synthesis.photosphere import half_widths_seen
from starloom.synthesis.radiation import radiate
from starloom.synthesis.view import View
from starloom.wavelength import LogGrid

RVS = bands.load("rvs")
(GRID,) = RVS.chunks
POINTS, STARTS = (
    8640,
    (0, 6615, 13230),
)  # overlaps of 39 A; strong lines reach over chunks
STARS = np.array([(5777.0, 4.44, 0.0, 1.0), (3700.0, 4.8, 0.5, 1.0), (9000.0, 3.5, -0.5, 2.0)])
CALCIUM = 8544.44  # vacuum, A


def cut(**changes):
    """The packaged band in three chunks."""
    chunks = tuple(GRID.part(start, POINTS) for start in STARTS)
    return replace(RVS, name="three", chunks=chunks, **changes)


@pytest.fixture(scope="module")
def whole():
    return synthesize_labels(*STARS.T)


@pytest.fixture(scope="module")
def three():
    """The stars' spectra in three chunks, and how many programs they took: ``gas`` and ``radiate``."""
    before = gas._cache_size(), radiate._cache_size()
    made = synthesize_labels(*STARS.T, band=cut())
    return made, gas._cache_size() - before[0], radiate._cache_size() - before[1]


@pytest.mark.slow
def test_one_program_for_all_chunks_and_stars(three):
    made, gases, radiations = three
    assert [flux.shape for flux in made.chunk_flux] == [(3, POINTS)] * 3
    assert (gases, radiations) == (1, 1)


@pytest.mark.slow
def test_chunks_are_the_band_in_one_piece(three, whole):
    """Everywhere, not at the joins alone; they differ by the polynomials of the continuum.

    Those of shorter chunks follow it more closely: found 1.4e-5 of the flux, 2.9e-5 of the continuum.
    """
    made = three[0]
    assert made.wavelength_aa == pytest.approx(whole.wavelength_aa, rel=1e-12)
    assert np.abs(made.normalized - whole.normalized).max() < 2e-5
    assert np.abs(made.continuum / whole.continuum - 1).max() < 5e-5
    for number, start in enumerate(STARTS):  # in the overlaps, too
        flux = made.chunk_flux[number] / made.chunk_continuum[number]
        assert np.abs(flux - whole.normalized[:, start : start + POINTS]).max() < 2e-5


@pytest.mark.slow
def test_chunks_meet_at_the_joins(three):
    made = three[0]
    for left, right, edge in zip(range(2), range(1, 3), made.band.edges_aa[1:-1], strict=True):
        place = int(np.searchsorted(GRID.wavelength_aa, edge))
        sides = [
            made.chunk_flux[n][:, place - STARTS[n]] / made.chunk_continuum[n][:, place - STARTS[n]]
            for n in (left, right)
        ]
        assert sides[0] == pytest.approx(sides[1], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("points", [None, RVS.points])
def test_chunks_seen_are_the_band_in_one_piece_seen(three, whole, points):
    """The instrument and a velocity act on each chunk; nothing is masked at the joins."""
    view = View(vsini=20.0, resolution=11500.0, radial_velocity=30.0, points=points)
    one, other = (view.observe(made[0], {}) for made in (three[0], whole))
    assert np.array_equal(one.wavelength, other.wavelength) or points is None
    assert np.array_equal(one.mask, other.mask)
    known = np.ones(one.flux.size, bool) if one.mask is None else ~one.mask
    assert np.abs(one.flux - other.flux)[known].max() < 2e-5


@pytest.mark.slow
def test_a_folder_is_a_band(tmp_path, three):
    """A ``band.toml`` with the tables beside it, found by its path."""
    shutil.copytree(str(tables.folder(RVS.tables)), tmp_path / "mine")
    text = (tmp_path / "mine" / "band.toml").read_text()
    head, rest = text[: text.index("[[chunks]]")], text[text.index("[points]") :]
    chunks = [
        f"[[chunks]]\nfirst_aa = {c.first_aa!r}\npoints = {c.points}\nstep_kms = {c.step_kms!r}\n"
        for c in cut().chunks
    ]
    (tmp_path / "mine" / "band.toml").write_text("\n".join([head, *chunks, rest]))
    mine = bands.load(tmp_path / "mine")
    assert mine.tables == str(tmp_path / "mine")
    made = synthesize_labels(*STARS[0], band=mine)
    assert np.array_equal(made.flux, three[0].flux[0])
    assert View().observe(made, {}).provenance["tables"].keys() >= {"atomic_lines", "continuum"}


compiled = jax.jit(line_opacity, static_argnums=3)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_strong_line_outside_acts_from_where_it_is(structures, side):
    """Ca II 8542 at 2, 10 and 30 A from a chunk's end: the opacity inside is that of the long grid."""
    star = photosphere(structures["sun"], vmic=1.0)
    profile, lines = star.gas.profile, star.arrays.lines
    half = half_widths_seen(star.atmosphere, star.gas, star.arrays)
    calcium = np.abs(np.asarray(lines.wavelength) * 1e8 - CALCIUM) < 0.01
    half = np.where(calcium & (half == half[calcium].max()), half, NONE)
    points = 3000

    def opacity(grid):
        positions = line_positions(lines.wavelength, grid)
        windows = windows_of(half, positions, grid.points)
        return np.asarray(compiled(profile, positions, windows, grid.points, GRID.step_kms * 1e5))

    expected = opacity(GRID)
    for distance in (2.0, 10.0, 30.0):
        place = int(np.searchsorted(GRID.wavelength_aa, CALCIUM + side * distance))
        first = place if side > 0 else place - points
        assert expected[:, place].max() > 0
        found = opacity(GRID.part(first, points))
        assert found == pytest.approx(expected[:, first : first + points], rel=1e-4, abs=1e-14)


def test_what_has_no_tables_is_refused():
    with pytest.raises(ConfigError, match=r"^band three: has no tables, so nothing can be synthesised"):
        synthesize_labels(*STARS[0], band=cut(tables=""))
    far = tuple(LogGrid(9400.0 * 1.01**i, POINTS, GRID.step_kms) for i in range(2))
    with pytest.raises(OutOfRangeError, match=r"is outside \[3700, 9500\] A$") as caught:
        synthesize_labels(*STARS[0], band=replace(RVS, name="far", chunks=far))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first_aa", [4200.0, 6300.0, 7900.0, 8100.0])
def test_polynomials_between_edges_follow_jumps(first_aa):
    """A continuum that jumps at every edge, and bends between them: 1e-5 of it but within one point."""
    grid = LogGrid(first_aa, 23000, 0.676)
    nodes, to_grid = continuum_interpolation(grid, wide=True)
    assert nodes.shape == (WIDE_NODES,)

    def level(wavelength):
        jumps = sum(0.1 * (wavelength >= edge * 1e-8) for edge in EDGES_AA)
        return np.exp(1e4 * (wavelength - 6e-5)) + jumps

    expected = level(grid.wavelength_aa * 1e-8)
    assert np.abs(level(nodes) @ to_grid / expected - 1).max() < 1e-5


def test_lines_of_a_chunk_are_all_that_reach_it(three):
    """Each has its own, as many places for all; a line is in the chunks it lies in."""
    arrays = band_arrays(cut())
    wavelength = np.asarray(arrays.lines.wavelength) * 1e8
    sizes = {len(chunk.own) for chunk in arrays.chunks}
    assert len(sizes) == 1
    assert sizes.pop() < len(wavelength)
    for chunk, grid in zip(arrays.chunks, arrays.band.chunks, strict=True):
        inside = np.flatnonzero((wavelength > grid.first_aa) & (wavelength < grid.last_aa))
        assert set(inside) <= set(np.asarray(chunk.own).tolist())
        calcium = np.flatnonzero(np.abs(wavelength - CALCIUM) < 0.01)
        assert set(calcium) <= set(np.asarray(chunk.own).tolist())  # strong lines from afar, too
