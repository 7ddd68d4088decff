r"""The formal solution of radiative transfer in a plane-parallel atmosphere.

.. math:: I(\mu) = \int_0^\infty S\, e^{-\tau/\mu}\, d\tau/\mu, \qquad F = 2\pi \int_0^1 I(\mu)\, \mu\, d\mu

Mihalas (1978), chapter 2. cgs: opacities [cm-1], column masses [g cm-2]; intensities in the unit of the
source function.
"""

from functools import lru_cache, partial
from typing import NamedTuple

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
    r"""Nodes mu [angle] and weights [angle] of the flux, :math:`2\pi\int_0^1 I(\mu) \mu d\mu`.

    Abramowitz & Stegun (1964), eq. 25.4.33, k = 1.

    ``angles``: how many.
    """
    order = np.arange(1, angles + 1)
    # Golub-Welsch on the recurrence of the Jacobi polynomials (0, 1), shifted to (0, 1)
    diagonal = np.concatenate([[1 / 3], 1 / ((2 * order[1:] - 1) * (2 * order[1:] + 1))])
    off = np.sqrt(order[:-1] * (order[:-1] + 1.0)) / (2 * order[:-1] + 1)
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return (nodes + 1) / 2, 2 * np.pi * (vectors[0] ** 2 / 2)


class Column(NamedTuple):
    """What the layers of an atmosphere are to the transfer; made by ``column``.

    The layers u = 0, 1, 2, ... are samples of smooth functions of u.
    """

    top: Float[Array, ""]  #: cm: optical depth of the first layer, over its opacity
    growth: Float[Array, "layer"]  #: cm: d tau / du over the opacity
    ratio: Float[Array, "layer"]  #: cm: d tau / d tau_ref over the opacity
    reference: Float[Array, "interval"]  #: growth of the reference optical depth
    shares: Float[Array, "interval near"]  #: its parts that the nearest four layers stand for
    weight: Float[Array, "layer"]  #: of each layer in a quadrature over u


class Source(NamedTuple):
    """Light that the gas emits: Planck's function B, and what scattering adds to it."""

    surface: Float[Array, "wavelength"]  #: B of the first layer
    rise: Float[Array, "layer wavelength"]  #: dB/du
    scattered: Float[Array, "layer wavelength"]  #: sigma (J - B), cm-1 times the unit of B


class Overlying(NamedTuple):
    """What lies above the first layer, where its opacity per gram and source do not just go on."""

    depth: Float[Array, "wavelength"]  #: optical depth of the first layer
    light: Float[Array, "angle wavelength"]  #: of the emission by ``Source.scattered`` there


# the mean opacity ratio of an interval may lie beyond those of its ends by this share
OVERSHOOT = 0.3
# the quadrature over u at either end: Gregory's formula of the fourth order
GREGORY = (3 / 8, 7 / 6, 23 / 24)


@lru_cache
def differences(layers: int) -> np.ndarray:
    """Matrix of d/du at each layer, from the nearest five: the derivative of the quartic through them."""
    matrix = np.zeros((layers, layers))
    for layer in range(layers):
        near = np.clip(layer - 2, 0, layers - 5) + np.arange(5)
        powers = np.vander(near - layer, 5, increasing=True).T
        matrix[layer, near] = np.linalg.solve(powers.astype(float), np.eye(5)[1])
    return matrix


def column(
    mass_per_density: Float[Array, "layer"],
    log_mass: Float[Array, "layer"],
    log_reference: Float[Array, "layer"],
) -> Column:
    r"""The layers of an atmosphere for the transfer, in the precision of the arguments.

    ``mass_per_density`` is column mass over density, m/rho [cm]; the others are natural logarithms of the
    column mass and of a reference optical depth with which the opacity changes slowly (Rosseland's). An
    optical depth grows by :math:`d\tau = \chi \frac{m}{\rho} \frac{d\ln m}{du} du`.

    ``log_mass`` [g cm-2] and ``log_reference``, ``[layer]``.
    """
    slope = differences(len(log_mass))
    # positive, whatever the layers
    steps = jnp.diff(log_mass)
    smaller = jnp.minimum(jnp.append(steps, steps[-1]), jnp.append(steps[0], steps))
    growth = mass_per_density * jnp.maximum(slope @ log_mass, 0.3 * smaller)
    ratio = growth / (slope @ log_reference * jnp.exp(log_reference))
    weight = np.ones(len(log_mass))
    weight[:3], weight[-3:] = GREGORY, GREGORY[::-1]
    reference = jnp.diff(jnp.exp(log_reference))
    return Column(mass_per_density[0], growth, ratio, reference, _shares(log_reference), jnp.asarray(weight))


def _shares(x: Float[Array, "layer"]) -> Float[Array, "interval near"]:
    """Integral over each interval of e^x times Lagrange's polynomials through the layers ``_near`` it."""
    near = x[_near(len(x))]
    nodes, weights = np.polynomial.legendre.leggauss(6)
    width = jnp.diff(x)[:, None]
    at = x[:-1, None] + width * (nodes + 1) / 2  # [interval, node]
    others = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    between = (near[..., None] - near[:, others])[:, :, None]
    factors = (at[:, None, :, None] - near[:, others][:, :, None]) / between  # [interval, near, node, other]
    polynomials = factors[..., 0] * factors[..., 1] * factors[..., 2]  # [interval, near, node]
    return jnp.sum((width / 2 * weights * jnp.exp(at))[:, None] * polynomials, axis=2)


def _near(layers: int) -> np.ndarray:
    """The four layers nearest to each interval [interval, near]."""
    return np.clip(np.arange(layers - 1) - 1, 0, layers - 4)[:, None] + np.arange(4)


def optical_depths(
    opacity: Float[Array, "layer wavelength"], layers: Column
) -> Float[Array, "layer wavelength"]:
    """What the optical depth grows by from each layer to the next, that of the first layer first.

    ``opacity`` is the total absorption coefficient chi [cm-1]; how it grows is told in ``_growth``.
    """
    ratio = opacity * layers.ratio[:, None]
    growth = lax.map(lambda interval: _growth(ratio, interval), _intervals(layers))
    return jnp.concatenate([opacity[:1] * layers.top, growth])


def _intervals(layers: Column):
    """Number, shares and reference of each interval."""
    return jnp.arange(len(layers.reference)), layers.shares, layers.reference


def _growth(ratio: Float[Array, "layer wavelength"], interval) -> Float[Array, "wavelength"]:
    r"""Optical depth of one interval.

    ``ratio``, :math:`d\tau/d\tau_\mathrm{ref}`, changes slowly: it is the cubic in
    :math:`\ln\tau_\mathrm{ref}` through the nearest four layers; its mean over the interval is kept near
    those of the ends, where the cubic overshoots.
    """
    number, shares, reference = interval
    first = jnp.clip(number - 1, 0, ratio.shape[0] - 4)
    near = lax.dynamic_slice_in_dim(ratio, first, 4)
    above, below = lax.dynamic_slice_in_dim(ratio, number, 2)
    low, high = jnp.minimum(above, below), jnp.maximum(above, below)
    growth = jnp.sum(shares[:, None] * near, axis=0)
    return jnp.clip(growth, (1 - OVERSHOOT) * reference * low, (1 + OVERSHOOT) * reference * high)


def emergent_intensities(
    opacity: Float[Array, "layer wavelength"],
    source: Source,
    layers: Column,
    mu: Float[np.ndarray, "angle"],
    above: Overlying | None = None,
) -> Float[Array, "angle wavelength"]:
    r"""Intensity at the surface towards each mu, in the source function's unit.

    ``opacity`` is the total absorption coefficient chi [cm-1]. With :math:`S = B + \sigma (J - B) / \chi`,
    integrated by parts,

    .. math:: I(\mu) = B_0 + \int \left[\frac{dB}{du} + \frac{1}{\mu} \sigma (J - B)
        \frac{d\tau}{\chi\, du}\right] e^{-\tau/\mu}\, du

    in which all but the exponential is smooth in wavelength. Equal weights over equal steps in u, but at the
    ends, are exact to :math:`e^{-\pi^2/h}` for steps h in :math:`\ln\tau` (Trefethen & Weideman 2014, SIAM
    Rev. 56, 385, theorem 5.1: exp(-e^x) is bounded within pi/2 of the real axis). Above the first layer
    opacity per gram and source are constant, unless ``above`` is given; below the last B goes on with its
    last slope.
    """
    single = partial(jnp.asarray, dtype=opacity.dtype)
    layers, inverse_mu = jax.tree.map(single, layers), single(1 / mu)[:, None]
    # the loop reads it, so that it is computed once
    ratio = opacity * layers.ratio[:, None]
    light = layers.weight, layers.weight * layers.growth, source.rise, source.scattered

    def passed(depth, light):
        weight, length, rise, scattered = light
        return jnp.exp(-depth * inverse_mu) * (weight * rise + length * inverse_mu * scattered)

    def add(carry, layer):
        depth, intensity = carry
        interval, light = layer
        depth = depth + _growth(ratio, interval)
        return (depth, intensity + passed(depth, light)), None

    first, last = ratio[0] / layers.ratio[0], ratio[-1] / layers.ratio[-1]
    depth = first * layers.top if above is None else above.depth
    if above is None:
        overlying = source.scattered[0] / first * -jnp.expm1(-depth * inverse_mu)
    else:
        overlying = above.light
    start = depth, source.surface + overlying + passed(depth, [part[0] for part in light])
    deeper = [part[1:] for part in light]
    (depth, intensity), _ = lax.scan(add, start, (_intervals(layers), deeper))
    below = source.rise[-1] / layers.growth[-1] / inverse_mu + source.scattered[-1]
    return intensity + jnp.exp(-depth * inverse_mu) * below / last


def scattered_intensity(
    absorption: Float[Array, "layer wavelength"],
    scattering: Float[Array, "layer wavelength"],
    source: Float[Array, "layer wavelength"],
    layers: Column,
) -> Float[Array, "layer wavelength"]:
    r"""Mean intensity J in an atmosphere that absorbs and scatters coherently, in the source function's unit.

    ``source`` is that of true emission, B.  With Feautrier's equation for every mu (Mihalas 1978, eqs. 6-12,
    6-29, 6-30),

    .. math:: \mu^2 \frac{d^2 u}{d\tau^2} = u - S, \qquad J = \int_0^1 u\, d\mu = \Lambda S, \qquad
        S = (1 - \rho) B + \rho J

    J is linear in S: the operator Lambda is formed, then J solved for.  For the few wavelengths of the
    continuum.

    ``absorption`` and ``scattering`` are coefficients [cm-1].
    """
    step = jnp.maximum(optical_depths(absorption + scattering, layers)[1:], 1e-30)
    nodes, weights = np.polynomial.legendre.leggauss(ANGLES)
    solutions = jax.vmap(_feautrier, (None, 0))(step, (nodes + 1) / 2)
    operator = jnp.tensordot(weights / 2, solutions, axes=1)  # [layer, wavelength, source layer]
    operator = jnp.moveaxis(operator, 1, 0)
    share = (scattering / (absorption + scattering)).T[:, None, :]
    emitted = operator @ ((1 - share) * source.T[:, None, :]).swapaxes(1, 2)
    return jnp.linalg.solve(jnp.eye(len(step) + 1) - operator * share, emitted)[..., 0].T


def _feautrier(
    step: Float[Array, "interval wavelength"], mu: float
) -> Float[Array, "layer wavelength source"]:
    r"""Solutions u of Feautrier's equation for a unit source in each layer in turn, by elimination.

    Hermite's differences of the fourth order (Auer 1976, J. Quant. Spectrosc. Radiat. Transfer 16, 931;
    Mihalas 1978, eqs. 6-33 to 6-35): those of the second order, with :math:`\alpha (u - S)` of the layer
    above and :math:`\gamma (u - S)` of that below beside the layer's own. No light from above, the
    diffusion limit u = S below.
    """
    above, below = step[:-1], step[1:]
    middle = 0.5 * (above + below)
    alpha = (1 - 0.5 * below**2 / (above * middle)) / 6
    gamma = (1 - 0.5 * above**2 / (below * middle)) / 6
    zero, one = jnp.zeros_like(step[:1]), jnp.ones_like(step[:1])
    # what the sources of the neighbours and its own are to a layer; at the surface mu du/dtau = u
    higher = jnp.concatenate([zero, alpha, zero])
    deeper = jnp.concatenate([zero, gamma, zero])
    own = jnp.concatenate([zero, 1 - alpha - gamma, one])
    lower = jnp.concatenate([zero, mu**2 / (middle * above), zero]) - higher
    upper = jnp.concatenate([mu / step[:1], mu**2 / (middle * below), zero]) - deeper
    layers = len(step) + 1
    near = [np.eye(layers, k=k)[:, None, :] for k in (-1, 0, 1)]
    unit = sum(part[..., None] * place for part, place in zip((higher, own, deeper), near, strict=True))
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
