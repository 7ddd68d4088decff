"""Opacity of molecular lines, from cross-sections tabulated on a band's grid.

Whose they are is told in ``data/molecular_opacity``: Plez (1998) for TiO, and others. cgs: wavelengths [cm]
in vacuum, opacities [cm-1].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.fft import next_fast_len
from scipy.interpolate import CubicSpline

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.physics.equilibrium import COMPOSITION, MOLECULE_INDEX, State
from starloom.wavelength import LogGrid

MICROTURBULENCE_KMS = (0.0, 0.6, 1.2, 2.0, 3.0, 4.0, 5.0)  # nodes, chosen for the smallest error in between
THERMAL_KMS = 1.2  # typical thermal width, see ``microturbulence_weights``
ALIGNED = 1e-3  # points by which a grid's points may miss those of the table
CARBON = 5  # index Z - 1
BLOCKS = "molecular_blocks"  # the table that says which blocks of a long grid there are
HALF_LARGEST = 3e4  # of float16, which below it keeps 3 digits over nine decades
EDGE = 65  # points added at either end of the grid, 44 km/s: no profile wraps around


@partial(
    jax.tree_util.register_dataclass,
    meta_fields=["names"],
    data_fields=["theta", "spline", "cross_section", "which", "unit"],
    drop_fields=["grid"],
)
@dataclass(frozen=True)
class MolecularTable:
    """Cross-sections of molecules ready for ``molecular_opacity``.

    ``names``: the molecules in order, as of ``number_density``; ``theta`` [node]: 5040/T of the nodes,
    rising; ``spline`` [power, interval, node]: cubic in theta - theta[interval] that gives every node's
    weight; ``cross_section`` [microturbulence, molecule, node, wavelength]: cm2 per molecule at
    ``MICROTURBULENCE_KMS``, on ``grid``, which JAX's transformations drop.  Of a part of a long grid it is
    float16 in ``unit`` [molecule] and of some molecules alone: ``which`` [molecule] are their places among
    ``names``, which are the same for all parts.
    """

    names: tuple[str, ...]
    theta: Array
    spline: Array
    cross_section: Array
    grid: LogGrid | None = None
    which: Array | None = None
    unit: Array | None = None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "MolecularTable":
        """Unpack a table ``molecular_opacity`` and broaden it to every microturbulence, once.

        Raises ConfigError for a table without molecules, temperatures or wavelengths.

        ``arrays`` by name, as ``tables.load`` gives them.
        """
        if 0 in (shape := np.shape(arrays["packed_log_cross_section"])) or len(shape) != 3:
            told = f"cross-sections of the shape {shape}, expected [molecule, temperature, wavelength]"
            raise ConfigError(f"molecular_opacity: {told}, none of them 0")
        scale, offset = (arrays[key][:, None, None] for key in ("scale", "offset"))
        thermal = 10 ** (offset + scale * arrays["packed_log_cross_section"])
        theta = 5040.0 / arrays["temperature"]
        rising = np.argsort(theta)
        grid = LogGrid(float(arrays["first_vacuum_aa"]), thermal.shape[-1], float(arrays["step_kms"]))
        thermal = thermal[:, rising]
        broadened = np.empty((len(MICROTURBULENCE_KMS), *thermal.shape), np.float32)
        for index in np.ndindex(thermal.shape[:2]):  # row by row: all at once takes five times the memory
            broadened[:, *index] = broaden(thermal[index], MICROTURBULENCE_KMS, grid.step_kms)
        return cls(
            names=tuple(str(name) for name in arrays["name"]),
            theta=jnp.asarray(theta[rising], dtype=jnp.float32),
            spline=jnp.asarray(CubicSpline(theta[rising], np.eye(theta.size)).c, dtype=jnp.float32),
            cross_section=jnp.asarray(broadened, dtype=jnp.float32),
            grid=grid,
        )

    @classmethod
    def blocks_of(cls, index: Mapping[str, np.ndarray], grid: LogGrid) -> tuple[list[int], list[int]]:
        """The blocks of a long grid that a grid touches, and the molecules they have; see ``from_blocks``.

        ``index`` is the table ``molecular_blocks``.
        Raises ConfigError for a grid that is no aligned part of it.
        """
        first, step = float(index["first_vacuum_aa"]), float(index["step_kms"])
        place = np.log(grid.first_aa / first) * SPEED_OF_LIGHT_KMS / step
        start, stretch = round(place), grid.points * (grid.step_kms / step - 1)
        edges = index["edge"]
        inside = edges[0] <= start and start + grid.points <= edges[-1]
        if not inside or max(abs(place - start), abs(stretch)) > ALIGNED:
            raise ConfigError(f"cross-sections of molecules in blocks have no part that is {grid}")
        touched = np.flatnonzero((edges[:-1] < start + grid.points) & (edges[1:] > start))
        return touched.tolist(), np.flatnonzero(index["present"][touched].any(axis=0)).tolist()

    @classmethod
    def from_blocks(
        cls,
        index: Mapping[str, np.ndarray],
        content: Sequence[Mapping[str, np.ndarray]],
        molecules: Sequence[int],
        grid: LogGrid,
        slots: int,
    ) -> "MolecularTable":
        """The table of a grid from blocks of a long one, with place for ``slots`` molecules.

        ``index`` (``BLOCKS``) has the long grid, its blocks' ``edge``s, and which molecules are ``present``
        [block, molecule] in each; ``content`` are the blocks that the grid touches, ``molecules`` those of
        ``blocks_of``.
        """
        theta = 5040.0 / index["temperature"]
        rising = np.argsort(theta)
        broadened = np.zeros((len(MICROTURBULENCE_KMS), slots, len(theta), grid.points), np.float16)
        unit = np.ones(slots)
        more = next_fast_len(grid.points + 2 * EDGE, real=True) - grid.points - 2 * EDGE
        for slot, molecule in enumerate(molecules):
            thermal = _joined(index, content, molecule, grid)[rising]
            unit[slot] = thermal.max() / HALF_LARGEST or 1.0
            for row, values in enumerate(np.pad(thermal, ((0, 0), (0, more)), mode="edge")):
                wide = broaden(values, MICROTURBULENCE_KMS, grid.step_kms)
                broadened[:, slot, row] = wide[:, : grid.points] / unit[slot]
        which = np.zeros(slots, np.int32)
        which[: len(molecules)] = molecules
        return cls(
            names=tuple(str(name) for name in index["name"]),
            theta=jnp.asarray(theta[rising], dtype=jnp.float32),
            spline=jnp.asarray(CubicSpline(theta[rising], np.eye(theta.size)).c, dtype=jnp.float32),
            cross_section=jnp.asarray(broadened),
            grid=grid,
            which=jnp.asarray(which),
            unit=jnp.asarray(unit),
        )

    def on(self, grid: LogGrid) -> "MolecularTable":
        """The cross-sections on a grid that is an aligned part of this table's own; else ``ConfigError``."""
        first = np.log(grid.first_aa / self.grid.first_aa) * SPEED_OF_LIGHT_KMS / self.grid.step_kms
        start, stretch = round(first), grid.points * (grid.step_kms / self.grid.step_kms - 1)
        inside = 0 <= start <= self.grid.points - grid.points
        if not inside or max(abs(first - start), abs(stretch)) > ALIGNED:
            raise ConfigError(f"cross-sections of molecules on {self.grid} have no part that is {grid}")
        if grid.points == self.grid.points:
            return self
        return replace(self, cross_section=self.cross_section[..., start : start + grid.points], grid=grid)


def _joined(
    index: Mapping[str, np.ndarray], content: Sequence[Mapping[str, np.ndarray]], molecule: int, grid: LogGrid
) -> np.ndarray:
    """Thermal cross-section [temperature, wavelength] of a molecule on a grid, 0 in blocks without it."""
    step = float(index["step_kms"])
    start = round(np.log(grid.first_aa / float(index["first_vacuum_aa"])) * SPEED_OF_LIGHT_KMS / step)
    total = np.zeros((len(index["temperature"]), grid.points))
    for block in content:
        first = int(block["first_point"]) - start
        if molecule not in (places := block["molecule"].tolist()):
            continue
        row = places.index(molecule)
        packed = np.cumsum(block["packed_log_cross_section"][row].astype(np.int32), axis=0)
        values = 10 ** (float(block["offset"][row]) + float(block["scale"][row]) * packed)
        low, high = max(first, 0), min(first + values.shape[1], grid.points)
        total[:, low:high] = np.where(packed > 0, values, 0.0)[:, low - first : high - first]
    return total


def number_density(name: str, state: State, carbon_ratio: Array) -> Array:
    """Density [layer] of a molecule in cm-3, or of the part of it that one isotope of carbon makes.

    ``CN`` is all of it, ``12CN`` and ``13CN`` are the molecules all of whose carbon is 12C or 13C: shares
    r/(1+r) and 1/(1+r) for each of its carbon atoms, ``carbon_ratio`` r being 12C/13C. Those with both
    (12C13C, 2 % of C2) have no name.
    """
    molecule = name.removeprefix("12").removeprefix("13")
    density = state.molecule(molecule)
    if molecule == name:
        return density
    share = carbon_ratio / (1 + carbon_ratio) if name.startswith("12") else 1 / (1 + carbon_ratio)
    return density * share ** int(COMPOSITION[MOLECULE_INDEX[molecule], CARBON])


def broaden(
    cross_section: np.ndarray, microturbulence_kms: float | Sequence[float], step_kms: float
) -> np.ndarray:
    r"""Cross-sections [..., wavelength] on a grid of ``step_kms`` with microturbulence added.

    One cross-section may take several microturbulences, along the first axis of the result.

    Doppler widths add in quadrature, so this is the convolution with :math:`e^{-(v/\xi)^2}/(\sqrt\pi\xi)`,
    done as the product with its transform :math:`e^{-(\pi\xi f)^2}`.  A step of 0.676 km/s is 0.9 Doppler
    widths of TiO at 2000 K: its profile, so sampled, comes out 0.4 % wrong at 0.6 km/s; from 1.2 km/s on the
    error is 0.02 % of the peak.

    ``cross_section[..., wavelength]``; ``microturbulence_kms`` [km/s], one or several.
    """
    edges = [(0, 0)] * (cross_section.ndim - 1) + [(EDGE, EDGE)]
    padded = np.pad(cross_section, edges, mode="edge")
    frequency = np.fft.rfftfreq(padded.shape[-1], step_kms)
    damping = np.exp(-((np.pi * np.asarray(microturbulence_kms)[..., None] * frequency) ** 2))
    broadened = np.fft.irfft(np.fft.rfft(padded) * damping, padded.shape[-1])
    return np.maximum(broadened[..., EDGE:-EDGE], 0.0)


def temperature_weights(temperature: Array, table: MolecularTable) -> Array:
    """Weight [layer, node] of each of the table's temperatures: a cubic spline in theta = 5040/T.

    ``temperature`` in K; outside 2000-7000 K the weights of the nearest end.
    """
    theta = jnp.clip(5040.0 / temperature, table.theta[0], table.theta[-1])
    interval = jnp.clip(jnp.searchsorted(table.theta, theta) - 1, 0, table.theta.size - 2)
    step = (theta - table.theta[interval])[:, None]
    cubic, square, slope, value = table.spline[:, interval]
    return ((cubic * step + square) * step + slope) * step + value


def microturbulence_weights(microturbulence_kms: Array) -> Array:
    r"""Weight [microturbulence] of each of ``MICROTURBULENCE_KMS``.

    Lagrange's polynomial in :math:`1/\sqrt{b^2+\xi^2}`: the centre of a line goes as that with its thermal
    width b, and with b = 1.2 km/s every molecule's nearly does. Outside 0-4 km/s the weights of the nearest
    end.

    ``microturbulence_kms`` [km/s].
    """
    xi = jnp.clip(microturbulence_kms, MICROTURBULENCE_KMS[0], MICROTURBULENCE_KMS[-1])
    nodes = 1 / np.hypot(THERMAL_KMS, MICROTURBULENCE_KMS)
    others = [np.delete(nodes, i) for i in range(nodes.size)]
    x = 1 / jnp.sqrt(THERMAL_KMS**2 + xi**2)
    return jnp.stack([jnp.prod((x - rest) / (node - rest)) for node, rest in zip(nodes, others, strict=True)])


def molecular_opacity(
    number_densities: Array, temperature: Array, microturbulence_kms: Array, table: MolecularTable
) -> Array:
    r"""Opacity [cm-1] of molecular lines at every layer [layer, wavelength], on the table's grid.

    .. math:: \kappa_\lambda = \sum_m n_m \sigma_m(\lambda, T, \xi)

    ``number_densities`` [molecule, layer] in cm-3, in the order of ``table.names``; ``temperature`` [layer]
    in K; ``microturbulence_kms`` in km/s, the same at all layers.  Stimulated emission is in the
    cross-sections.  Between nodes the error is below 0.5 % of a molecule's strongest line and 0.2 % of its
    opacity summed over wavelength; where TiO's lines merge, 1 % of what is there (at 99 % of the
    wavelengths).  Outside 2000-7000 K and 0-4 km/s cross-sections stay what they are at that end: at 1900 K
    TiO then sums up 2 % too high, CN and C2 20-30 %; at 7500 K all by 4-30 %, where molecules are gone.
    Never negative. Doppler cores only, Gray (2005), eq. 11.12.
    """
    molecules, nodes, points = table.cross_section.shape[1:]
    if table.which is not None:
        number_densities = number_densities[table.which] * table.unit[:, None]
    weights = microturbulence_weights(microturbulence_kms).astype(jnp.float32)
    broadened = sum(weight * part for weight, part in zip(weights, table.cross_section, strict=True))
    amounts = number_densities.T[:, :, None] * temperature_weights(temperature, table)[:, None, :]
    amounts = amounts.astype(jnp.float32).reshape(-1, molecules * nodes)
    # the highest precision: GPUs would multiply float32 with 10 bits
    total = jnp.matmul(amounts, broadened.reshape(molecules * nodes, points), precision="highest")
    return jnp.maximum(total, 0.0)
