"""Opacity of molecular lines, from cross-sections tabulated on a band's grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.interpolate import CubicSpline

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.physics.equilibrium import COMPOSITION, MOLECULE_INDEX, State
from starloom.wavelength import LogGrid

MICROTURBULENCE_KMS = (0.0, 0.6, 1.2, 2.0, 3.0, 4.0, 5.0)  # nodes, chosen for the smallest error in between
THERMAL_KMS = 1.2  # typical thermal width, see ``microturbulence_weights``
ALIGNED = 1e-3  # points by which a grid's points may miss those of the table
CARBON = 5  # index Z - 1
EDGE = 65  # points added at either end of the grid, 44 km/s: no profile wraps around


@partial(
    jax.tree_util.register_dataclass,
    meta_fields=["names"],
    data_fields=["theta", "spline", "cross_section"],
    drop_fields=["grid"],
)
@dataclass(frozen=True)
class MolecularTable:
    """Cross-sections of molecules ready for ``molecular_opacity``.

    ``names``: the molecules in order, as of ``number_density``; ``theta`` [node]: 5040/T of the nodes,
    rising; ``spline`` [power, interval, node]: cubic in theta - theta[interval] that gives every node's
    weight; ``cross_section`` [microturbulence, molecule, node, wavelength]: cm2 per molecule at
    ``MICROTURBULENCE_KMS``, on ``grid``, which JAX's transformations drop.
    """

    names: tuple[str, ...]
    theta: Array
    spline: Array
    cross_section: Array
    grid: LogGrid | None = None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "MolecularTable":
        """Unpack a table ``molecular_opacity`` and broaden it to every microturbulence, once.

        Raises ConfigError for a table without molecules, temperatures or wavelengths.
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
    weights = microturbulence_weights(microturbulence_kms).astype(jnp.float32)
    broadened = sum(weight * part for weight, part in zip(weights, table.cross_section, strict=True))
    amounts = number_densities.T[:, :, None] * temperature_weights(temperature, table)[:, None, :]
    amounts = amounts.astype(jnp.float32).reshape(-1, molecules * nodes)
    # the highest precision: GPUs would multiply float32 with 10 bits
    total = jnp.matmul(amounts, broadened.reshape(molecules * nodes, points), precision="highest")
    return jnp.maximum(total, 0.0)
