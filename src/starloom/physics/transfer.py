r"""The formal solution of radiative transfer in a plane-parallel atmosphere.

.. math:: I(\mu) = \int_0^\infty S\, e^{-\tau/\mu}\, d\tau/\mu, \qquad F = 2\pi \int_0^1 I(\mu)\, \mu\, d\mu
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from starloom.constants import BOLTZMANN, PLANCK, SPEED_OF_LIGHT

# Gauss's quadrature for the weight mu on (0, 1), i.e. Gauss-Jacobi (0, 1): flux good to 1e-4 with four angles
ANGLES = 4


def planck(
    wavelength: Float[Array, "wavelength"], temperature: Float[Array, "layer"]
) -> Float[Array, "layer wavelength"]:
    r"""Planck function :math:`B_\lambda(T)` [erg s-1 cm-2 cm-1 sr-1].

    .. math:: B_\lambda = \frac{2hc^2}{\lambda^5} \frac{1}{e^{hc/\lambda kT} - 1}

    ``wavelength`` is in vacuum [cm], ``temperature`` in K.  Rybicki & Lightman (1979), eq. 1.51.
    """
    x = PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * wavelength * temperature[:, None])
    # e^-x / (1 - e^-x) rather than 1 / (e^x - 1), which overflows in the ultraviolet
    return 2 * PLANCK * SPEED_OF_LIGHT**2 / wavelength**5 * jnp.exp(-x) / -jnp.expm1(-x)


def flux_quadrature(angles: int = ANGLES) -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes mu and weights of the flux, :math:`2\pi\int_0^1 I(\mu) \mu d\mu`.

    Abramowitz & Stegun (1964), eq. 25.4.33, k = 1.
    """
    order = np.arange(1, angles + 1)
    # Golub-Welsch on the recurrence of the Jacobi polynomials (0, 1), shifted to (0, 1)
    diagonal = np.concatenate([[1 / 3], 1 / ((2 * order[1:] - 1) * (2 * order[1:] + 1))])
    off = np.sqrt(order[:-1] * (order[:-1] + 1.0)) / (2 * order[:-1] + 1)
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return (nodes + 1) / 2, 2 * np.pi * (vectors[0] ** 2 / 2)


def emergent_intensities(
    opacity: Float[Array, "layer wavelength"],
    source: Float[Array, "layer wavelength"],
    mass_per_density: Float[Array, "layer"],
    log_mass: Float[Array, "layer"],
    mu: Float[np.ndarray, "angle"],
) -> Float[Array, "angle wavelength"]:
    r"""Intensity at the surface towards each mu, in the source function's unit.

    ``opacity`` is the total absorption coefficient chi [cm-1], ``mass_per_density`` column mass over density,
    m/rho [cm], ``log_mass`` the natural logarithm of the column mass.  Layer by layer from the top, the
    optical depth grows by

    .. math:: \Delta\tau = \int \chi \frac{m}{\rho}\, d\ln m

    by trapezoids (the integrand varies like a power of m), and an interval :math:`\delta = \Delta\tau / \mu`
    in which the source is linear in optical depth adds

    .. math:: e^{-\tau/\mu} [S_i (1 - p) + S_{i+1} (p - e^{-\delta})], \qquad p = (1 - e^{-\delta}) / \delta

    (Olson & Kunasz 1987, J. Quant. Spectrosc. Radiat. Transfer 38, 325, eq. 7).  Above the first layer
    opacity per gram and source are constant; below the last the source goes on with its last slope.
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


def scattered_intensity(
    absorption: Float[Array, "layer wavelength"],
    scattering: Float[Array, "layer wavelength"],
    source: Float[Array, "layer wavelength"],
    mass_per_density: Float[Array, "layer"],
    log_mass: Float[Array, "layer"],
) -> Float[Array, "layer wavelength"]:
    r"""Mean intensity J in an atmosphere that absorbs and scatters coherently, in the source function's unit.

    ``source`` is that of true emission, B.  With Feautrier's equation for every mu (Mihalas 1978, eqs. 6-12,
    6-29, 6-30),

    .. math:: \mu^2 \frac{d^2 u}{d\tau^2} = u - S, \qquad J = \int_0^1 u\, d\mu = \Lambda S, \qquad
        S = (1 - \rho) B + \rho J

    J is linear in S: the operator Lambda is formed, then J solved for.  For the few wavelengths of the
    continuum.
    """
    opacity = (absorption + scattering) * mass_per_density[:, None]
    step = jnp.maximum(0.5 * jnp.diff(log_mass)[:, None] * (opacity[1:] + opacity[:-1]), 1e-30)
    nodes, weights = np.polynomial.legendre.leggauss(ANGLES)
    solutions = jax.vmap(_feautrier, (None, 0))(step, (nodes + 1) / 2)
    operator = jnp.tensordot(weights / 2, solutions, axes=1)  # [layer, wavelength, source layer]
    operator = jnp.moveaxis(operator, 1, 0)
    share = (scattering / (absorption + scattering)).T[:, None, :]
    emitted = operator @ ((1 - share) * source.T[:, None, :]).swapaxes(1, 2)
    return jnp.linalg.solve(jnp.eye(len(log_mass)) - operator * share, emitted)[..., 0].T


def _feautrier(
    step: Float[Array, "interval wavelength"], mu: float
) -> Float[Array, "layer wavelength source"]:
    """Solutions u of Feautrier's equation for a unit source in each layer in turn, by elimination.

    No light from above, the diffusion limit u = S below.
    """
    above, below = step[:-1], step[1:]
    middle = 0.5 * (above + below)
    zero, one = jnp.zeros_like(step[:1]), jnp.ones_like(step[:1])
    lower = jnp.concatenate([zero, mu**2 / (middle * above), zero])
    upper = jnp.concatenate([mu / step[:1], mu**2 / (middle * below), zero])  # at the surface mu du/dtau = u
    own = jnp.concatenate([zero, one.repeat(len(middle), axis=0), one])
    layers = len(step) + 1
    unit = own[..., None] * jnp.eye(layers)[:, None, :]
    diagonal = 1 + lower + upper

    def eliminate(carry, row):
        ratio, right = carry
        low, diag, up, unit_source = row
        pivot = 1 / (diag - low * ratio)
        ratio, right = up * pivot, (unit_source + low[:, None] * right) * pivot[:, None]
        return (ratio, right), (ratio, right)

    start = (jnp.zeros_like(step[0]), jnp.zeros_like(unit[0]))
    _, (ratios, rights) = lax.scan(eliminate, start, (lower, diagonal, upper, unit))

    def substitute(deeper, row):
        ratio, right = row
        solution = right + ratio[:, None] * deeper
        return solution, solution

    return lax.scan(substitute, jnp.zeros_like(unit[0]), (ratios, rights), reverse=True)[1]
