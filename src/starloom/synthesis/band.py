"""What synthesis takes of a band: its lines and cross-sections, and the arrays of its chunks' grids."""

from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from starloom import bands
from starloom.bands import CALIBRATED, Band
from starloom.constants import ANGSTROM, KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.physics.continuum import RANGE_AA
from starloom.physics.hydrogen import GridWeights, grid_weights
from starloom.physics.linelist import LineList
from starloom.physics.lines import Positions, line_positions
from starloom.physics.molecules import MolecularTable
from starloom.tables import CALIBRATION, load, names
from starloom.wavelength import LogGrid

CONTINUUM_NODES = 12  # Chebyshev nodes: the polynomial through them follows the continuum to 1e-5


class ChunkArrays(NamedTuple):
    """What is computed of a chunk's grid: an argument of ``radiate``, whose program so serves all chunks."""

    nodes: Float[Array, "node"]  # of the continuum, vacuum, cm
    to_grid: Float[Array, "node wavelength"]  # weights of the polynomial through the nodes
    step: Float[Array, ""]  # cm s-1
    hydrogen: GridWeights
    positions: Positions
    molecules: MolecularTable


@dataclass(frozen=True, eq=False)
class BandArrays:
    """A band as synthesis computes with it; ``to_lines`` takes all chunks' nodes to the lines."""

    band: Band
    lines: LineList
    chunks: tuple[ChunkArrays, ...]
    nodes: Float[Array, "chunk node"]
    to_lines: Float[np.ndarray, "chunk_node line"]

    def with_lines(self, lines: LineList) -> "BandArrays":
        """The band with other lines."""
        places = [line_positions(np.asarray(lines.wavelength), chunk) for chunk in self.band.chunks]
        chunks = [c._replace(positions=place) for c, place in zip(self.chunks, places, strict=True)]
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
    molecules = band_molecules(band)
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        hydrogen = grid_weights(*band.chunks)
        each = zip(band.chunks, hydrogen, strict=True)
        chunks = tuple(_chunk_arrays(*chunk, molecules) for chunk in each)
        nodes = jnp.stack([chunk.nodes for chunk in chunks])
        empty = BandArrays(band, None, chunks, nodes, None)
        made = empty.with_lines(band_lines(band))
        return replace(made, chunks=jax.tree.map(jnp.asarray, made.chunks))


def _chunk_arrays(grid: LogGrid, hydrogen: GridWeights, molecules: MolecularTable) -> ChunkArrays:
    nodes, to_grid = continuum_interpolation(grid)
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
    if band.lines != CALIBRATED:
        return _made(LineList.from_arrays, "atomic_lines", band)
    if band.tables and CALIBRATION not in names(band.tables):
        raise ConfigError(f"band {band.name}: its lines are not calibrated; they are there as listed")
    calibrated = partial(LineList.from_arrays, calibration=load(CALIBRATION, band.tables))
    return _made(calibrated, "atomic_lines", band)


@lru_cache(maxsize=4)
def band_molecules(band: Band) -> MolecularTable:
    """The cross-sections of molecules of a band, from its table ``molecular_opacity``, unpacked."""
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        return _made(MolecularTable.from_arrays, "molecular_opacity", band)


def _made(from_arrays, name: str, band: Band):
    if not band.tables:
        raise ConfigError(f"band {band.name}: has no tables, so nothing can be synthesised in it")
    try:
        return from_arrays(load(name, band.tables))
    except KeyError as error:
        raise ConfigError(f"band {band.name}: table {name} of {band.tables} has no {error}") from error


def continuum_interpolation(grid: LogGrid) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev nodes [cm] of a grid and the weights [node, wavelength] of the polynomial through them."""
    wavelength = grid.wavelength_aa * ANGSTROM
    first, width = wavelength[0], wavelength[-1] - wavelength[0]
    x = np.cos(np.pi * (np.arange(CONTINUUM_NODES) + 0.5) / CONTINUUM_NODES)
    to_nodes = np.polynomial.chebyshev.chebvander(x, CONTINUUM_NODES - 1)
    to_grid = np.polynomial.chebyshev.chebvander(2 * (wavelength - first) / width - 1, CONTINUUM_NODES - 1)
    return first + width * (x + 1) / 2, np.linalg.solve(to_nodes.T, to_grid.T)


def _continuum_at_lines(band: Band, wavelength: np.ndarray, places: list[Positions]) -> np.ndarray:
    """Weights [chunk's node, line] of the continuum at the lines, each taken from the chunk that shows it."""
    chunk_of = np.searchsorted(band.edges_aa[1:-1], wavelength / ANGSTROM)
    weights = np.zeros((len(band.chunks), CONTINUUM_NODES, wavelength.size))
    for number, (grid, place) in enumerate(zip(band.chunks, places, strict=True)):
        here = chunk_of == number
        point = np.clip(place.pixel[here], 0, grid.points - 1)
        weights[number][:, here] = continuum_interpolation(grid)[1][:, point]
    return weights.reshape(-1, wavelength.size)
