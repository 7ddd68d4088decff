r"""The formal solution of radiative transfer in a plane-parallel atmosphere.

.. math:: I(\mu) = \int_0^\infty S\, e^{-\tau/\mu}\, d\tau/\mu, \qquad F = 2\pi \int_0^1 I(\mu)\, \mu\, d\mu
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from starloom.constants import BOLTZMANN, PLANCK, SPEED_OF_LIGHT

# Gauss's quadrature for the weight mu on (0, 1), i.e. Gauss-Jacobi (0, 1): flux good to 1e-4 with four angles
ANGLES = 4


def planck(wavelength: Float[Array, "wavelength"], temperature: Float[Array, "layer"]) -> Float[Array, "layer wavelength"]:
    r"""Planck function :math:`B_\lambda(T)` [erg s-1 cm-2 cm-1 sr-1].

    .. math:: B_\lambda = \frac{2hc^2}{\lambda^5} \frac{1}{e^{hc/\lambda kT} - 1}

    ``wavelength`` is in vacuum [cm], ``temperature`` in K.  Rybicki & Lightman (1979), eq. 1.51.
    """
    x = PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * wavelength * temperature[:, None])
    # e^-x / (1 - e^-x) rather than 1 / (e^x - 1), which overflows in the ultraviolet
    return 2 * PLANCK * SPEED_OF_LIGHT**2 / wavelength**5 * jnp.exp(-x) / -jnp.expm1(-x)


def flux_quadrature(angles: int = ANGLES) -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes mu and weights of :math:`\int_0^1 f(\mu) \mu d\mu` (Abramowitz & Stegun 1964, eq. 25.4.33, k = 1)."""
    order = np.arange(1, angles + 1)
    # Golub-Welsch on the recurrence of the Jacobi polynomials (0, 1), shifted to (0, 1)
    diagonal = np.concatenate([[1 / 3], 1 / ((2 * order[1:] - 1) * (2 * order[1:] + 1))])
    off = np.sqrt(order[:-1] * (order[:-1] + 1.0)) / (2 * order[:-1] + 1)
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return (nodes + 1) / 2, vectors[0] ** 2 / 2


def emergent_intensities(
    opacity: Float[Array, "layer wavelength"],
    source: Float[Array, "layer wavelength"],
    mass_per_density: Float[Array, "layer"],
    log_mass: Float[Array, "layer"],
    mu: Float[np.ndarray, "angle"],
) -> Float[Array, "angle wavelength"]:
    r"""Intensity at the surface towards each mu, in the source function's unit.

    ``opacity`` is the total absorption coefficient chi [cm-1], ``mass_per_density`` column mass over density, m/rho [cm],
    ``log_mass`` the natural logarithm of the column mass.  Layer by layer from the top, the optical depth grows by

    .. math:: \Delta\tau = \int \chi \frac{m}{\rho}\, d\ln m

    by trapezoids (the integrand varies like a power of m), and an interval :math:`\delta = \Delta\tau / \mu` in which the
    source is linear in optical depth adds

    .. math:: e^{-\tau/\mu} [S_i (1 - p) + S_{i+1} (p - e^{-\delta})], \qquad p = (1 - e^{-\delta}) / \delta

    (Olson & Kunasz 1987, J. Quant. Spectrosc. Radiat. Transfer 38, 325, eq. 7).  Above the first layer opacity per gram and
    source are constant; below the last the source goes on with its last slope.
    """
    inverse_mu = jnp.asarray(1 / mu, dtype=opacity.dtype)[:, None]
    scale = mass_per_density[:, None]

    def interval(carry, below):
        transmitted, intensity, chi_above, source_above = carry
        chi, source_here, step = below
        delta = 0.5 * step * (chi + chi_above) * inverse_mu
        passed = jnp.exp(-delta)
        # the mean of e^-x over the interval; its series where the difference loses digits
        mean = jnp.where(delta > 1e-2, (1 - passed) / delta, 1 - delta * (0.5 - delta / 6))
        added = source_above * (1 - mean) + source_here * (mean - passed)
        return (transmitted * passed, intensity + transmitted * added, chi, source_here), None

    first = jnp.exp(-opacity[0] * scale[0] * inverse_mu)
    start = (first, (1 - first) * source[0], opacity[0] * scale[0], source[0])
    layers = (opacity[1:] * scale[1:], source[1:], jnp.diff(log_mass))
    (transmitted, intensity, chi, last), _ = lax.scan(interval, start, layers)
    delta = 0.5 * layers[2][-1] * (chi + opacity[-2] * scale[-2]) * inverse_mu
    return intensity + transmitted * (last + (last - source[-2]) / delta)


def emergent_flux(opacity, source, mass_per_density, log_mass, angles: int = ANGLES) -> Float[Array, "wavelength"]:
    r"""Flux leaving the surface, :math:`2\pi\int I \mu d\mu`, in the source function's unit times sr.

    Arguments as of ``emergent_intensities``.
    """
    mu, weights = flux_quadrature(angles)
    intensity = emergent_intensities(opacity, source, mass_per_density, log_mass, mu)
    return jnp.asarray(2 * np.pi * weights, dtype=intensity.dtype) @ intensity
