"""Emergent intensities against the integral of S exp(-tau / mu) on a fine grid."""

import jax
import numpy as np
import pytest

from starloom.physics.transfer import emergent_intensities

MU = np.array([0.07, 0.28, 0.58, 0.86, 1.0])
LAYERS, WAVELENGTHS = 68, 6
PER_INTERVAL = 400


def intensity_twin(opacity, source, path, log_mass, mu):
    """One wavelength and angle: opacity times m/rho linear in ln m, source linear in tau, in fine steps."""
    growth = opacity * path
    depth = growth[0]  # above the first layer opacity per gram is constant
    total = source[0] * (1 - np.exp(-depth / mu))
    for i in range(LAYERS - 1):
        step = 0.5 * (growth[i] + growth[i + 1]) * (log_mass[i + 1] - log_mass[i])
        tau = np.linspace(0.0, step, PER_INTERVAL + 1)
        here = np.interp(tau, [0.0, step], [source[i], source[i + 1]])
        weight = np.exp(-(depth + 0.5 * (tau[1:] + tau[:-1])) / mu) * 2 * np.sinh(np.diff(tau) / (2 * mu))
        total += (weight * 0.5 * (here[1:] + here[:-1])).sum()
        depth += step
    slope = (source[-1] - source[-2]) / step
    return total + np.exp(-depth / mu) * (source[-1] + slope * mu)


@pytest.fixture(scope="module")
def gas():
    """Opacities over six decades that vary with depth, sources that rise, fall and turn."""
    rng = np.random.default_rng([3, 4])
    log_mass = np.linspace(np.log(1e-4), np.log(30.0), LAYERS)
    depth = (log_mass - log_mass[0]) / (log_mass[-1] - log_mass[0])
    opacity = np.exp(rng.uniform(-7, 7, WAVELENGTHS) + rng.uniform(-3, 3, WAVELENGTHS) * depth[:, None])
    source = 1 + rng.uniform(0, 3, WAVELENGTHS) * depth[:, None] ** 2 + np.sin(6 * depth)[:, None] ** 2
    return opacity, source, np.exp(log_mass), log_mass


def test_against_fine_steps(gas):
    """1e-5: second order in steps a 400th of an interval."""
    opacity, source, path, log_mass = gas
    with jax.enable_x64(True):
        found = np.asarray(emergent_intensities(opacity, source, path, log_mass, MU))
    for i, mu in enumerate(MU):
        for j in range(WAVELENGTHS):
            expected = intensity_twin(opacity[:, j], source[:, j], path, log_mass, mu)
            assert found[i, j] == pytest.approx(expected, rel=1e-5)
