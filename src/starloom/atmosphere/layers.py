"""The layers on which a spectrum is computed: a structure between its own, where the light is made."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from starloom.atmosphere.structure import Atmosphere

LAYERS = 44
DEEPEST = 1.25  # log10 of the Rosseland optical depth of the last layer, below which e^-18 gets out
NEEDED = ("column_mass", "temperature", "gas_pressure")


def on_layers(atmosphere: Atmosphere, layers: int = LAYERS) -> Atmosphere:
    """The structure on so many layers, in float64 where JAX has it enabled.

    The logarithms of column mass, temperature and pressure are cubic splines of log tau through all layers of
    the atmosphere. Those returned reach from its first layer to its last or ``DEEPEST``, and lie closest,
    0.16 dex apart, where continuum and wings come from, and near the surface, which cores of strong lines
    show: what the transfer makes of them is exact to 1e-4 (docs/physics.md). Columns that the synthesis does
    not need are left out.
    """
    columns = [jnp.asarray(getattr(atmosphere, name), float) for name in NEEDED]
    log_tau, columns = _resampled(jnp.asarray(atmosphere.log_tau, float), columns, layers)
    return Atmosphere(log_tau, **dict(zip(NEEDED, columns, strict=True)))


@partial(jax.jit, static_argnames="layers")
def _resampled(log_tau: Float[Array, "layer"], columns: list[Float[Array, "layer"]], layers: int):
    first, last = log_tau[0], jnp.minimum(log_tau[-1], DEEPEST)
    fine = jnp.linspace(first, last, 50 * layers)
    count = _layers_above(fine, first)
    places = jnp.interp(jnp.linspace(count[0], count[-1], layers), count, fine)
    logarithms = cubic_spline(log_tau, jnp.log(jnp.stack(columns, axis=-1)), places)
    return places, list(jnp.exp(logarithms.T))


def _layers_above(log_tau: Float[Array, "point"], first: Float[Array, ""]) -> Float[Array, "point"]:
    """Number of layers above a depth, but for a factor and a constant.

    They are three times as dense at the surface as at log tau = -4, 1.7 times as dense below -2.5.
    """
    surface = -2 * 0.6 * jnp.exp((first - log_tau) / 0.6)
    return log_tau + surface + 0.7 * 0.5 * jnp.logaddexp(0.0, (log_tau + 2.5) / 0.5)


def cubic_spline(
    x: Float[Array, "node"], y: Float[Array, "node column"], at: Float[Array, "point"]
) -> Float[Array, "point column"]:
    """The cubic spline through nodes, not-a-knot at both ends, by its slopes at them.

    de Boor (1978), A Practical Guide to Splines, chapter IV; SciPy's cannot be differentiated by JAX.
    """
    step, secant = jnp.diff(x), jnp.diff(y, axis=0) / jnp.diff(x)[:, None]
    before, after = step[:-1], step[1:]
    inner = 3 * (after[:, None] * secant[:-1] + before[:, None] * secant[1:])
    two = before[0] + after[0], before[-1] + after[-1]
    head = ((before[0] + 2 * two[0]) * after[0] * secant[0] + before[0] ** 2 * secant[1]) / two[0]
    tail = (after[-1] ** 2 * secant[-2] + (2 * two[1] + after[-1]) * before[-1] * secant[-1]) / two[1]
    diagonal = jnp.concatenate([after[:1], 2 * (before + after), before[-1:]])
    above = jnp.concatenate([two[0][None], before])
    below = jnp.concatenate([after, two[1][None]])
    matrix = jnp.diag(diagonal) + jnp.diag(above, 1) + jnp.diag(below, -1)
    slope = jnp.linalg.solve(matrix, jnp.concatenate([head[None], inner, tail[None]]))
    left = jnp.clip(jnp.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    h, u = step[left][:, None], ((at - x[left]) / step[left])[:, None]
    bend = slope[left] + slope[left + 1] - 2 * secant[left]
    return y[left] + h * u * (slope[left] + u * (secant[left] - slope[left] - bend * (1 - u)))
