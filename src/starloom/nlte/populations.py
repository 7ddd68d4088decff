r"""Statistical equilibrium by multilevel accelerated lambda iteration, and its derivatives.

In each layer what enters a level leaves it,

.. math:: n_i \sum_j P_{ij} = \sum_j n_j P_{ji}, \qquad \sum_i n_i = n,

with the lines' radiative rates preconditioned by the diagonal of the lambda operator (Rybicki & Hummer 1991,
A&A 245, 171, section 2). The total of the atom in each layer is fixed, as are the
electrons: it is a trace element. Lines have complete redistribution, and half profiles, symmetric.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from starloom.constants import LINE_CROSS_SECTION, PLANCK, SPEED_OF_LIGHT
from starloom.nlte import atom
from starloom.nlte.rays import along_rays

TOLERANCE = 1e-4  # largest relative change of a population in the last iteration
ITERATIONS = 200
# extrapolation by Ng (1974): from an iteration on, every so many, up to where it might go in circles
NG_FIRST, NG_EVERY, NG_LAST = 6, 5, 41
TANGENTS = 24  # columns of the Jacobian at once

_EMISSION = 2 * PLANCK * SPEED_OF_LIGHT**2 / atom.WAVELENGTH**5
_RATIO = atom.WEIGHT[atom.UPPER] / atom.WEIGHT[atom.LOWER]
_FREQUENCY = SPEED_OF_LIGHT / atom.WAVELENGTH


class Conditions(NamedTuple):
    """What of an atmosphere and its radiation does not change with the populations."""

    lte: Float[Array, "layer level"]  # cm-3
    rates: Float[Array, "layer level level"]  # collisions and continua, s-1
    gf: Float[Array, "line"]
    profile: Float[Array, "layer line frequency"]  # per Hz
    share: Float[Array, "layer line frequency"]  # of each frequency in a mean over the profile
    mutual: Float[Array, "layer 2"]  # per Hz: profile of each resonance line at the other's centre
    absorption: Float[Array, "layer line"]  # of all else, cm-1
    scattering: Float[Array, "layer line"]  # cm-1
    planck: Float[Array, "layer line"]
    mass_per_density: Float[Array, "layer"]  # cm
    log_mass: Float[Array, "layer"]


class Equilibrium(NamedTuple):
    """Departure coefficients and how the iteration ended."""

    log_departure: Float[Array, "layer level"]  # ln of the population over that in LTE
    iterations: Int[Array, ""]
    change: Float[Array, ""]  # largest, of a logarithm, in the last iteration


def improved(log_departure: Float[Array, "layer level"], given: Conditions) -> Float[Array, "layer level"]:
    """One iteration: radiation of these populations, and the populations for that radiation."""
    population = given.lte * jnp.exp(log_departure)
    lower, upper = population[:, atom.LOWER], population[:, atom.UPPER]
    strength = LINE_CROSS_SECTION * given.gf / atom.WEIGHT[atom.LOWER] * (lower - upper / _RATIO)
    source = _EMISSION / (lower / upper * _RATIO - 1)
    mean, diagonal = mean_intensities(strength, source, given)
    beyond = mean - diagonal * source
    einstein = 8 * np.pi * _FREQUENCY**2 / SPEED_OF_LIGHT**2 * LINE_CROSS_SECTION
    einstein = einstein * given.gf / atom.WEIGHT[atom.UPPER]
    up = einstein * _RATIO / _EMISSION * beyond
    down = einstein * (1 - diagonal + beyond / _EMISSION)
    rates = given.rates.at[:, atom.LOWER, atom.UPPER].add(up).at[:, atom.UPPER, atom.LOWER].add(down)
    return balanced(rates, given.lte)


def mean_intensities(strength, source, given: Conditions):
    """Mean intensity over each line's profile, and the diagonal of its operator on the line's source.

    ``strength`` [layer, line] is the opacity over the profile, cm-1 Hz.
    """
    line = strength[:, :, None] * given.profile
    other = given.absorption + _crossed(strength, given)
    emission = given.absorption * given.planck + _crossed(strength, given, source)
    opacity = line + (other + given.scattering)[:, :, None]
    emitted = (line * source[:, :, None] + emission[:, :, None]) / opacity
    lost = 1 - given.scattering[:, :, None] / opacity
    light, diagonal = along_rays(opacity, emitted, lost, given.mass_per_density, given.log_mass)
    return (given.share * light).sum(axis=-1), (given.share * diagonal * line / opacity).sum(axis=-1)


def _crossed(strength, given: Conditions, source=1.0) -> Float[Array, "layer line"]:
    """Opacity of each resonance line in the other, times ``source``; the profile is constant there."""
    one, other = atom.RESONANCE
    wing = strength[:, atom.RESONANCE] * given.mutual * (source * jnp.ones_like(strength))[:, atom.RESONANCE]
    return jnp.zeros_like(strength).at[:, one].set(wing[:, 1]).at[:, other].set(wing[:, 0])


def balanced(rates: Float[Array, "layer level level"], lte: Float[Array, "layer level"]):
    """Logarithms of the departures with which every level keeps its population."""
    levels = lte.shape[1]
    leaving = rates.sum(axis=2)
    flow = (jnp.swapaxes(rates, 1, 2) - leaving[:, :, None] * jnp.eye(levels)) * lte[:, None, :]
    flow = flow / jnp.abs(flow).max(axis=2, keepdims=True)
    total = lte.sum(axis=1, keepdims=True)
    flow = flow.at[:, 0, :].set(lte / total)
    right = jnp.zeros_like(lte).at[:, 0].set(1.0)
    return jnp.log(jnp.linalg.solve(flow, right[..., None])[..., 0])


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def equilibrium(given: Conditions, tolerance: float = TOLERANCE, iterations: int = ITERATIONS) -> Equilibrium:
    """The populations that are in equilibrium with their own radiation, from LTE on.

    Whoever calls it checks ``change``. Derivatives are those of the implicit function.
    """

    def unfinished(carry):
        number, _, _, change = carry
        return (number < iterations) & ~(change < tolerance)

    def iterate(carry):
        number, log_departure, history, _ = carry
        new = improved(log_departure, given)
        change = jnp.max(jnp.abs(new - log_departure))
        history = jnp.concatenate([history[1:], new[None]])
        since = number - NG_FIRST
        due = (since >= 0) & (since % NG_EVERY == 0) & (number < NG_LAST)
        new = lax.cond(due, _extrapolated, lambda history: history[-1], history)
        return number + 1, new, history, change

    start = jnp.zeros_like(given.lte)
    history = jnp.zeros((4, *start.shape))
    number, log_departure, _, change = lax.while_loop(unfinished, iterate, (0, start, history, jnp.inf))
    return Equilibrium(log_departure, number, change)


def _extrapolated(history: Float[Array, "4 layer level"]) -> Float[Array, "layer level"]:
    """Ng's (1974, J. Chem. Phys. 61, 2680) acceleration of the second order, at most a factor of two."""
    oldest, older, old, new = jnp.exp(history)
    first, second, third = new - 2 * old + older, new - old - older + oldest, new - old
    weight = 1 / new**2
    a11, a12, a22 = ((weight * p * q).sum() for p, q in ((first, first), (first, second), (second, second)))
    b1, b2 = ((weight * p * third).sum() for p in (first, second))
    determinant = a11 * a22 - a12**2
    x, y = (b1 * a22 - b2 * a12) / determinant, (b2 * a11 - b1 * a12) / determinant
    share = ((1 - x - y) * new + x * old + y * older) / new
    return history[-1] + jnp.log(jnp.clip(jnp.where(jnp.isfinite(share), share, 1.0), 0.5, 2.0))


@equilibrium.defjvp
def _implicit(tolerance, iterations, primals, tangents):
    r"""From :math:`x = F(x, p)` follows :math:`dx = (1 - F_x)^{-1} F_p\, dp`."""
    (given,), (change,) = primals, tangents
    found = equilibrium(given, tolerance, iterations)
    fixed = lax.stop_gradient(found.log_departure)
    _, pushed = jax.jvp(lambda conditions: improved(fixed, conditions), (given,), (change,))
    still = lax.stop_gradient(given)
    _, linear = jax.linearize(lambda flat: improved(flat.reshape(fixed.shape), still).ravel(), fixed.ravel())
    columns = lax.map(linear, jnp.eye(fixed.size), batch_size=TANGENTS)
    tangent = jnp.linalg.solve(jnp.eye(fixed.size) - columns.T, pushed.ravel()).reshape(fixed.shape)
    return found, Equilibrium(tangent, np.zeros((), jax.dtypes.float0), jnp.zeros_like(found.change))
