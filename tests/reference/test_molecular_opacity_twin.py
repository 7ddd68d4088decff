"""Molecular opacity against a slow twin that sums a handful of lines at any temperature, microturbulence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starloom import bands
from starloom.constants import ATOMIC_MASS, BOLTZMANN, BOLTZMANN_EV, KMS, SPEED_OF_LIGHT
from starloom.physics.molecules import MICROTURBULENCE_KMS, MolecularTable, molecular_opacity

(GRID,) = bands.load("rvs").chunks
NODES = 5040.0 / np.linspace(5040 / 2000, 5040 / 7000, 11)
DECADES = 7.0
LINES = {  # molecule: (mass, [(vacuum wavelength A, lower energy eV, strength cm2 cm-1)])
    "heavy": (63.9, [(8450.0, 0.1, 1e-12), (8450.4, 1.2, 3e-12), (8600.0, 2.0, 2e-12)]),
    "light": (18.0, [(8500.0, 0.3, 1e-12), (8500.2, 0.9, 1e-12)]),
}


def line_sum(molecule: str, temperature: float, microturbulence_kms: float) -> np.ndarray:
    """Cross-section [wavelength] from the lines themselves; partition function taken as T^1.5."""
    mass, lines = LINES[molecule]
    speed = np.sqrt(2 * BOLTZMANN * temperature / (mass * ATOMIC_MASS) + (microturbulence_kms * KMS) ** 2)
    total = np.zeros(GRID.points)
    for centre, energy, strength in lines:
        velocity = SPEED_OF_LIGHT * np.log(GRID.wavelength_aa / centre)
        profile = np.exp(-((velocity / speed) ** 2)) / (np.sqrt(np.pi) * speed)
        total += strength * np.exp(-energy / (BOLTZMANN_EV * temperature)) / temperature**1.5 * profile
    return total


@pytest.fixture(scope="module")
def table() -> MolecularTable:
    """The same lines at the nodes, packed as the packaged table is."""
    thermal = np.array([[line_sum(molecule, node, 0.0) for node in NODES] for molecule in LINES])
    offset = np.log10(thermal.max(axis=(1, 2))) - DECADES
    logarithm = np.log10(np.maximum(thermal, 10 ** offset[:, None, None]))
    scale = np.full(len(LINES), DECADES / 65535)
    packed = np.rint((logarithm - offset[:, None, None]) / scale[:, None, None]).astype(np.uint16)
    arrays = {"name": np.array(list(LINES)), "temperature": NODES, "scale": scale, "offset": offset}
    arrays |= {"first_vacuum_aa": np.array(GRID.first_aa), "step_kms": np.array(GRID.step_kms)}
    return MolecularTable.from_arrays({**arrays, "packed_log_cross_section": packed})


@pytest.mark.parametrize("microturbulence_kms", [0.0, 0.3, 0.9, 1.6, 2.5, 3.5, 4.0])
def test_against_the_sum_of_lines(table, microturbulence_kms):
    # the stated error: 0.5 % of the strongest line, from interpolation, sampling and packing
    temperature = np.array([2100.0, 2700.0, 3300.0, 4100.0, 5200.0, 6500.0])
    amounts = np.array([[1e10, 1e9, 1e11, 1e10, 1e8, 1e10], [1e12, 1e10, 1e9, 1e10, 1e11, 1e8]])
    opacity = np.asarray(
        molecular_opacity(jnp.asarray(amounts), jnp.asarray(temperature), microturbulence_kms, table)
    )
    for layer, (t, densities) in enumerate(zip(temperature, amounts.T, strict=True)):
        parts = [n * line_sum(m, t, microturbulence_kms) for n, m in zip(densities, LINES, strict=True)]
        assert opacity[layer] == pytest.approx(sum(parts), abs=5e-3 * sum(part.max() for part in parts))


@pytest.mark.parametrize("microturbulence_kms", MICROTURBULENCE_KMS)
def test_nodes_are_reproduced(table, microturbulence_kms):
    # packing costs 2.5e-4; sampling 2e-4, but 4e-3 where neither microturbulence (0.6 km/s) nor heat widen a
    # profile
    tolerance = 4e-3 if microturbulence_kms == 0.6 else 1e-3
    opacity = molecular_opacity(jnp.ones((2, NODES.size)), jnp.asarray(NODES), microturbulence_kms, table)
    for row, node in zip(np.asarray(opacity), NODES, strict=True):
        expected = sum(line_sum(molecule, node, microturbulence_kms) for molecule in LINES)
        assert row == pytest.approx(expected, abs=tolerance * expected.max())


def test_gradients_agree_with_differences(table):
    # of the total opacity, whose scale is removed, so that float32 is enough: step 1e-2, tolerance 1 %
    def total(log_density, log_temperature, microturbulence_kms):
        densities = jnp.exp(log_density) * jnp.full((2, 3), 1e10)
        temperature = jnp.exp(log_temperature) * jnp.array([2500.0, 3700.0, 5400.0])
        opacity = molecular_opacity(densities, temperature, microturbulence_kms, table)
        return 1e10 * jnp.sum(opacity**2) / jnp.max(jnp.asarray(scale)) ** 2

    scale = molecular_opacity(jnp.full((2, 1), 1e10), jnp.array([3700.0]), 1.5, table).max()
    point = (0.0, 0.0, 1.5)
    gradients = jax.grad(total, argnums=(0, 1, 2))(*point)
    for argument, gradient in enumerate(gradients):
        shifted = [list(point), list(point)]
        shifted[0][argument] += 1e-2
        shifted[1][argument] -= 1e-2
        difference = (total(*shifted[0]) - total(*shifted[1])) / 2e-2
        assert float(gradient) == pytest.approx(float(difference), rel=1e-2)


def test_ends_are_held(table):
    # beyond the table cross-sections are those of its end, by statement
    inside = molecular_opacity(jnp.ones((2, 2)), jnp.array([2000.0, 7000.0]), 5.0, table)
    beyond = molecular_opacity(jnp.ones((2, 2)), jnp.array([1500.0, 9000.0]), 6.0, table)
    assert np.asarray(beyond) == pytest.approx(np.asarray(inside), rel=1e-5, abs=1e-6 * float(inside.max()))
