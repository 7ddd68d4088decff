r"""Rates that do not change with the populations: collisions with electrons, and the continua.

A matrix of rates [layer, level, level] has in row i and column j what goes from level i to level j, s-1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from starloom.constants import ANGSTROM, PLANCK, SPEED_OF_LIGHT
from starloom.nlte import atom
from starloom.physics.equilibrium import log_saha_factor

# where the continua are integrated, vacuum, A: either side of the edges of Ca II and hydrogen
_SMOOTH = (500, 580, 660, 740, 820, 900, 930, 957, 985, 1012, 1035, 1050, 1075, 1100, 1110, 1130, 1160, 1190)
_SMOOTH += (1215, 1225, 1245, 1265, 1285, 1305, 1325, 1345, 1365, 1385, 1405)
_EDGES = (911.75, *(atom.EDGE / ANGSTROM).tolist())
NODES = np.unique([*_SMOOTH, *(edge + side for edge in _EDGES for side in (-0.01, 0.01))]) * ANGSTROM
ELECTRON_RATE = 8.629e-6  # cm3 s-1 K^1/2: of collision strengths, Osterbrock & Ferland (2006), eq. 3.20

Layer = Float[Array, "layer"]
Matrix = Float[Array, "layer level level"]


def boltzmann_saha(temperature: Layer, electrons: Layer, total: Layer) -> Float[Array, "layer level"]:
    """Populations [cm-3] in LTE of an atom of which there are ``total`` [cm-3] in all of its levels."""
    relative = atom.WEIGHT * jnp.exp(-atom.ENERGY_K / temperature[:, None])
    ionised = jnp.exp(log_saha_factor(temperature)) / electrons
    relative = relative.at[:, atom.ION].multiply(ionised)
    return relative / relative.sum(axis=1, keepdims=True) * total[:, None]


def collisions(temperature: Layer, electrons: Layer, lte: Float[Array, "layer level"]) -> Matrix:
    r"""Excitation and ionisation by electrons, and what undoes them in detailed balance.

    .. math:: C_{ul} = 8.629\times 10^{-6} \frac{n_e \Omega}{g_u \sqrt T}, \qquad
        C_{ic} = R_i n_e \sqrt T e^{-\chi_i/kT}
    """
    root, (lower, upper) = jnp.sqrt(temperature)[:, None], atom.COLLIDING
    down = ELECTRON_RATE / root * atom.collision_strengths(temperature).T / atom.WEIGHT[upper]
    needed = (atom.ENERGY_K[atom.ION] - atom.ENERGY_K[atom.IONISED]) / temperature[:, None]
    ionisation = atom.IONISATION_RATE * root * jnp.exp(-needed)
    rates = jnp.zeros((len(temperature), atom.LEVELS, atom.LEVELS))
    rates = rates.at[:, upper, lower].add(down)
    rates = rates.at[:, lower, upper].add(down * lte[:, upper] / lte[:, lower])
    rates = rates.at[:, atom.IONISED, atom.ION].add(ionisation)
    rates = rates.at[:, atom.ION, atom.IONISED].add(ionisation * lte[:, atom.IONISED] / lte[:, [atom.ION]])
    return rates * electrons[:, None, None]


def continua(
    temperature: Layer, mean: Float[Array, "layer node"], lte: Float[Array, "layer level"]
) -> Matrix:
    r"""Photoionisation and recombination for the mean intensity J at ``NODES`` [erg s-1 cm-2 cm-1 sr-1].

    .. math:: R_{ic} = 4\pi \int \frac{\lambda}{hc} \sigma_i J_\lambda d\lambda, \quad
        R_{ci} = \frac{n_i^*}{n_c^*}\, 4\pi \int \frac{\lambda}{hc} \sigma_i
        \left(\frac{2hc^2}{\lambda^5} + J_\lambda\right) e^{-hc/\lambda kT} d\lambda

    Mihalas (1978), eqs. 5-65 and 5-66.
    """
    widths, levels = np.diff(NODES), np.arange(atom.ION)
    weight = np.append(widths, 0) / 2 + np.append(0, widths) / 2
    cross_section = np.stack([atom.photoionisation(level, NODES) for level in levels], axis=1)
    photons = 4 * np.pi * (NODES / (PLANCK * SPEED_OF_LIGHT) * weight)[:, None] * cross_section
    boltzmann = jnp.exp(-atom.PER_KELVIN / (NODES * temperature[:, None]))
    spontaneous = 2 * PLANCK * SPEED_OF_LIGHT**2 / NODES**5
    down = ((spontaneous + mean) * boltzmann) @ photons * lte[:, levels] / lte[:, [atom.ION]]
    rates = jnp.zeros((len(temperature), atom.LEVELS, atom.LEVELS))
    return rates.at[:, levels, atom.ION].add(mean @ photons).at[:, atom.ION, levels].add(down)
