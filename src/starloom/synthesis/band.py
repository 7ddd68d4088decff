"""What synthesis takes of a band: its lines and cross-sections, and the arrays of its chunks' grids."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from starloom import bands
from starloom.bands import CALIBRATED, Band
from starloom.constants import ANGSTROM, KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.physics.continuum import EDGES_AA, RANGE_AA, RED_AA
from starloom.physics.hydrogen import PASCHEN, GridWeights, HydrogenLines, grid_weights
from starloom.physics.linelist import LineList, calibrated, kept, reach_aa
from starloom.physics.lines import Positions, line_positions
from starloom.physics.molecules import BLOCKS, MolecularTable
from starloom.tables import CALIBRATION, load, names
from starloom.wavelength import LogGrid, vacuum_from_air

CONTINUUM_NODES = 12  # Chebyshev nodes: the polynomial through them follows the continuum to 1e-5
WIDE_NODES = 36  # of a chunk where there are edges: a polynomial between each two
LEAST_NODES = 5  # of one of these
RAMP_AA = 1.0  # half of the width over which the tables' edges are drawn, out of which nodes keep
BENDS_AA = (8225.0, 8265.0)  # no edges, but more nodes near the Paschen edge
HYDROGEN = "hydrogen_profiles"  # a band's own table of hydrogen lines


class ChunkArrays(NamedTuple):
    """What is computed of a chunk's grid: an argument of ``radiate``, whose program so serves all chunks."""

    nodes: Float[Array, "node"]  #: of the continuum, vacuum, cm
    to_grid: Float[Array, "node wavelength"]  #: weights of the polynomial through the nodes
    step: Float[Array, ""]  #: cm s-1
    hydrogen: GridWeights
    positions: Positions  # of all lines of the band
    molecules: MolecularTable
    own: Int[Array, "own"] | None = None  #: the lines that may reach the grid, filled up with -1; None: all

    def of_own_lines(self, per_line, fill=None):
        """Of ``per_line``, columns [..., line], those of this chunk's lines; ``fill`` where there is none."""
        if self.own is None:
            return per_line
        chosen = jax.tree.map(lambda column: column[..., self.own], per_line)
        return chosen if fill is None else np.where(np.asarray(self.own) < 0, fill, chosen)


@dataclass(frozen=True, eq=False)
class BandArrays:
    """A band as synthesis computes with it.

    ``to_lines`` are, for each chunk, the lines that it shows and the weights of its nodes at them.
    """

    band: Band
    lines: LineList
    chunks: tuple[ChunkArrays, ...]
    nodes: Float[Array, "chunk node"]
    to_lines: tuple[tuple[Int[np.ndarray, "shown"], Float[np.ndarray, "node shown"]], ...]

    @property
    def hydrogen(self) -> HydrogenLines:
        """The hydrogen lines."""
        return self.chunks[0].hydrogen.lines

    @property
    def wide(self) -> bool:
        """Whether the band has the absorbers and edges blueward of ``RED_AA``."""
        return _wide(self.band)

    def at_lines(self, nodes: list[Float[np.ndarray, "layer node"]]) -> Float[np.ndarray, "layer line"]:
        """What is known at each chunk's nodes, at the lines."""
        found = np.empty((len(nodes[0]), sum(len(lines) for lines, _ in self.to_lines)))
        for values, (lines, weights) in zip(nodes, self.to_lines, strict=True):
            found[:, lines] = values @ weights
        return found

    def with_lines(self, lines: LineList) -> "BandArrays":
        """The band with other lines."""
        places = [line_positions(np.asarray(lines.wavelength), chunk) for chunk in self.band.chunks]
        chunks = [c._replace(positions=place, own=None) for c, place in zip(self.chunks, places, strict=True)]
        to_lines = _continuum_at_lines(self.band, np.asarray(lines.wavelength), places)
        return replace(self, lines=lines, chunks=tuple(chunks), to_lines=to_lines)

    def with_molecules(self, molecules: MolecularTable) -> "BandArrays":
        """The band with other cross-sections."""
        each = zip(self.chunks, self.band.chunks, strict=True)
        return replace(self, chunks=tuple(c._replace(molecules=molecules.on(grid)) for c, grid in each))


def given(band: Band | None, lines: str | None = None) -> Band:
    """The band, that of the Gaia RVS where there is none, with the choice of ``lines`` if there is one."""
    band = band or bands.load("rvs")
    return band if lines is None else replace(band, lines=lines)


@lru_cache(maxsize=4)  # some 50 MB a chunk
def band_arrays(band: Band) -> BandArrays:
    """The arrays of a band with its own tables.

    Raises ConfigError for a band without tables, or with a table that does not fit; OutOfRangeError outside
    the wavelengths of the continuous absorbers.
    """
    for grid in band.chunks:
        if grid.first_aa < RANGE_AA[0] or grid.last_aa > RANGE_AA[1]:
            asked = f"band {band.name}: {grid.first_aa:.1f}..{grid.last_aa:.1f} A (vacuum)"
            raise OutOfRangeError(f"{asked} is outside [{RANGE_AA[0]:g}, {RANGE_AA[1]:g}] A")
    molecules = [band_molecules(band)] * len(band.chunks) if not _blocks(band) else _molecules_by_chunk(band)
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        hydrogen = grid_weights(*band.chunks, lines=_hydrogen(band.tables))
        each = zip(band.chunks, hydrogen, molecules, strict=True)
        chunks = tuple(_chunk_arrays(*chunk, _wide(band)) for chunk in each)
        nodes = jnp.stack([chunk.nodes for chunk in chunks])
        empty = BandArrays(band, None, chunks, nodes, None)
        made = empty.with_lines(band_lines(band))
        chunks = zip(made.chunks, _own_lines(band), strict=True)
        made = replace(made, chunks=tuple(chunk._replace(own=own) for chunk, own in chunks))
        return replace(made, chunks=jax.tree.map(jnp.asarray, made.chunks))


def _wide(band: Band) -> bool:
    """Whether a band goes beyond the absorbers of the red: static, so that theirs is a program of its own."""
    return band.chunks[0].first_aa < RED_AA or _blocks(band)


def _blocks(band: Band) -> bool:
    return bool(band.tables) and BLOCKS in names(band.tables)


@cache
def _hydrogen(place: str) -> HydrogenLines:
    """The hydrogen lines of a band's tables, or the packaged ones of the red."""
    return HydrogenLines.from_arrays(load(HYDROGEN, place)) if HYDROGEN in names(place) else PASCHEN


def _molecules_by_chunk(band: Band) -> list[MolecularTable]:
    """Cross-sections of each chunk, from blocks of a long grid, of as many molecules each."""
    index = load(BLOCKS, band.tables)
    chosen = [MolecularTable.blocks_of(index, grid) for grid in band.chunks]
    slots = max(len(molecules) for _, molecules in chosen)
    tables = []
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        for grid, (blocks, molecules) in zip(band.chunks, chosen, strict=True):
            content = [load(f"molecular_opacity_{number:02d}", band.tables) for number in blocks]
            tables.append(MolecularTable.from_blocks(index, content, molecules, grid, slots))
    return tables


def _own_lines(band: Band) -> list[np.ndarray | None]:
    """Lines that may reach each chunk, as many for all: filled up with -1; None for a band of one chunk."""
    if len(band.chunks) == 1:
        return [None]
    table = line_table(band)
    chosen = kept(table)
    place, reach = vacuum_from_air(table["wavelength_aa"][chosen]), reach_aa(table)[chosen]
    near = [
        np.flatnonzero((place > grid.first_aa - reach) & (place < grid.last_aa + reach))
        for grid in band.chunks
    ]
    size = max(map(len, near))
    return [np.pad(lines, (0, size - len(lines)), constant_values=-1).astype(np.int32) for lines in near]


def _chunk_arrays(grid: LogGrid, hydrogen: GridWeights, molecules: MolecularTable, wide: bool) -> ChunkArrays:
    nodes, to_grid = continuum_interpolation(grid, wide)
    return ChunkArrays(
        nodes=jnp.asarray(nodes),
        to_grid=jnp.asarray(to_grid, jnp.float32),
        step=jnp.asarray(grid.step_kms * KMS, jnp.float32),
        hydrogen=hydrogen,
        positions=None,
        molecules=molecules.on(grid),
    )


@cache
def band_lines(band: Band) -> LineList:
    """The lines of a band, by its table ``atomic_lines``; those calibrated also by ``line_calibration``."""
    return _told(lambda: LineList.from_arrays(line_table(band)), "atomic_lines", band)


@cache
def line_table(band: Band) -> Mapping[str, np.ndarray]:
    """The table ``atomic_lines`` of a band; of a table that serves a longer one the lines that reach it.

    Those calibrated by ``line_calibration``, too.
    """
    if band.lines == CALIBRATED and band.tables and CALIBRATION not in names(band.tables):
        raise ConfigError(f"band {band.name}: its lines are not calibrated; they are there as listed")
    table = _table("atomic_lines", band)
    if band.lines == CALIBRATED:
        table = calibrated(table, load(CALIBRATION, band.tables))
    if not _wide(band):
        return table
    place, reach = vacuum_from_air(table["wavelength_aa"]), reach_aa(table)
    near = (place > band.chunks[0].first_aa - reach) & (place < band.chunks[-1].last_aa + reach)
    return {key: column[near] for key, column in table.items() if len(column) == len(near)}


def unidentified(band: Band) -> np.ndarray:
    """Vacuum wavelengths [cm] of the lines of a band that stars show and no list has."""
    if band.lines != CALIBRATED:
        return np.zeros(0)
    return vacuum_from_air(load(CALIBRATION, band.tables)["added_wavelength_aa"]) * ANGSTROM


@lru_cache(maxsize=4)
def band_molecules(band: Band) -> MolecularTable:
    """The cross-sections of molecules of a band, from its table ``molecular_opacity``, unpacked."""
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        made = partial(MolecularTable.from_arrays, _table("molecular_opacity", band))
        return _told(made, "molecular_opacity", band)


def _table(name: str, band: Band) -> Mapping[str, np.ndarray]:
    if not band.tables:
        raise ConfigError(f"band {band.name}: has no tables, so nothing can be synthesised in it")
    return load(name, band.tables)


def _told(make: Callable, name: str, band: Band):
    try:
        return make()
    except KeyError as error:
        raise ConfigError(f"band {band.name}: table {name} of {band.tables} has no {error}") from error


def continuum_interpolation(grid: LogGrid, wide: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev nodes [cm] of a grid and the weights [node, wavelength] of the polynomial through them.

    Of a ``wide`` band, of the polynomials between the edges of the continuum.
    """
    wavelength = grid.wavelength_aa * ANGSTROM
    if not wide:
        return _chebyshev(wavelength, wavelength[0], wavelength[-1], CONTINUUM_NODES)
    inside = [edge * ANGSTROM for edge in (*EDGES_AA, *BENDS_AA) if grid.first_aa < edge < grid.last_aa]
    inside = sorted(inside)
    ends = np.array([wavelength[0], *inside, wavelength[-1]])
    counts = _shares(np.diff(ends))
    nodes, weights = [], np.zeros((WIDE_NODES, len(wavelength)))
    for number, count in enumerate(counts.tolist()):
        low, high = ends[number : number + 2]
        here = np.flatnonzero((wavelength >= low) & ((wavelength < high) | (number + 1 == len(counts))))
        places, part = _chebyshev(
            wavelength[here], low + RAMP_AA * ANGSTROM, high - RAMP_AA * ANGSTROM, count
        )
        weights[len(nodes) : len(nodes) + count, here] = part
        nodes.extend(places)
    return np.array(nodes), weights


def _shares(widths: np.ndarray) -> np.ndarray:
    """How many of ``WIDE_NODES`` each interval gets: by its width, ``LEAST_NODES`` at least."""
    spare = WIDE_NODES - LEAST_NODES * len(widths)
    counts = LEAST_NODES + np.floor(spare * widths / widths.sum()).astype(int)
    counts[np.argmax(widths)] += WIDE_NODES - counts.sum()
    return counts


def _chebyshev(
    wavelength: np.ndarray, first: float, last: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    width = last - first
    x = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    to_nodes = np.polynomial.chebyshev.chebvander(x, count - 1)
    to_grid = np.polynomial.chebyshev.chebvander(2 * (wavelength - first) / width - 1, count - 1)
    return first + width * (x + 1) / 2, np.linalg.solve(to_nodes.T, to_grid.T)


def _continuum_at_lines(band: Band, wavelength: np.ndarray, places: list[Positions]) -> tuple:
    """For each chunk the lines that it shows, and the weights [node, line] of its continuum at them."""
    chunk_of = np.searchsorted(band.edges_aa[1:-1], wavelength / ANGSTROM)
    shown = []
    for number, (grid, place) in enumerate(zip(band.chunks, places, strict=True)):
        here = np.flatnonzero(chunk_of == number)
        point = np.clip(place.pixel[here], 0, grid.points - 1)
        shown.append((here, continuum_interpolation(grid, _wide(band))[1][:, point]))
    return tuple(shown)
