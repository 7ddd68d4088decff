"""Emergent intensities against the integral of S exp(-tau / mu) over a thousand times as many layers."""

import jax
import numpy as np
import pytest
from scipy.integrate import cumulative_simpson, simpson

from starloom.atmosphere import LAYERS
from starloom.physics.transfer import Source, column, differences, emergent_intensities

MU = np.array([0.07, 0.28, 0.58, 0.86, 1.0])
FINE = 40001


class Gas:
    """Smooth functions of a layer's place, 0 to 1: depth, mass, opacities over six decades, sources."""

    def __init__(self, layers: int):
        rng = np.random.default_rng([3, 4])
        place = np.linspace(0, 1, layers)[:, None]
        self.log_reference = (-15.8 + 18.7 * (place + 0.1 * np.sin(3 * place)))[:, 0]
        self.log_mass = self.log_reference / 2 + 0.3 * np.cos(4 * place[:, 0])
        self.path = np.exp(16 + 2 * place[:, 0])
        rosseland = np.exp(self.log_reference) / self.path
        line = 1 + np.exp(rng.uniform(-3, 12, 6) + rng.uniform(-6, 2, 6) * place)
        self.opacity = rosseland[:, None] * line
        self.source = 1 + rng.uniform(0, 3, 6) * np.exp(3 * (place - 1)) + 0.2 * np.sin(6 * place)
        self.scattered = -0.05 * rosseland[:, None] * np.exp(-3 * place)

    def intensities(self):
        layers = column(self.path, self.log_mass, self.log_reference)
        rise = differences(len(self.path)) @ self.source
        source = Source(self.source[0], rise, self.scattered)
        return np.asarray(emergent_intensities(self.opacity, source, layers, MU))


def intensity_twin(gas: Gas, wavelength: int, mu: float) -> float:
    """Simpson's rule along one ray."""
    growth = gas.opacity[:, wavelength] * gas.path
    depth = growth[0] + cumulative_simpson(growth, x=gas.log_mass, initial=0.0)
    total = gas.source[:, wavelength] + gas.scattered[:, 0] / gas.opacity[:, wavelength]
    light = total[0] * -np.expm1(-depth[0] / mu)
    light += simpson(total * growth * np.exp(-depth / mu) / mu, x=gas.log_mass)
    slope = (gas.source[-1, wavelength] - gas.source[-2, wavelength]) / (depth[-1] - depth[-2])
    return light + np.exp(-depth[-1] / mu) * (total[-1] + slope * mu)


@pytest.fixture(scope="module")
def expected():
    fine = Gas(FINE)
    return np.array([[intensity_twin(fine, j, mu) for j in range(6)] for mu in MU])


@pytest.mark.parametrize(("layers", "error"), [(LAYERS, 1e-3), (2 * LAYERS, 7e-5), (4 * LAYERS, 5e-6)])
def test_against_fine_steps(expected, layers, error):
    """Of the fourth order in the distance of the layers."""
    with jax.enable_x64(True):
        assert Gas(layers).intensities() == pytest.approx(expected, rel=error)
