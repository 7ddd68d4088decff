r"""Mean intensities by Feautrier's method, with the diagonal of their operator: many wavelengths, float64.

Continuous scattering is coherent along each ray, J replaced by the ray's own u: the two are the same in
depths from which little escapes, and where much does the lines that matter absorb.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

ANGLES = 3  # of Gauss-Legendre


def along_rays(
    opacity: Float[Array, "layer *wavelength"],
    emitted: Float[Array, "layer *wavelength"],
    lost: Float[Array, "layer *wavelength"],
    mass_per_density: Float[Array, "layer"],
    log_mass: Float[Array, "layer"],
) -> tuple[Float[Array, "layer *wavelength"], Float[Array, "layer *wavelength"]]:
    """Mean intensities, and how much each grows by with ``emitted`` in its own layer.

    ``opacity`` is in cm-1, ``emitted`` over it, but for scattering; ``lost`` is the share of the opacity that
    does not scatter; ``mass_per_density`` in cm.
    """
    shape, nodes = opacity.shape, np.polynomial.legendre.leggauss(ANGLES)
    growth = opacity.reshape(shape[0], -1) * mass_per_density[:, None]
    root = jnp.sqrt(growth)
    # the integral over ln m of what grows as a power of m, to the fourth order
    mean = (2 * root[1:] * root[:-1] + (growth[1:] + growth[:-1]) / 2) / 3
    step = mean * jnp.diff(log_mass)[:, None]
    rays = [jnp.tile(part.reshape(shape[0], -1), ANGLES) for part in (emitted, lost)]
    inverse = jnp.concatenate([step * (2 / (node + 1)) for node in nodes[0]], axis=1)
    found = [part.reshape(shape[0], ANGLES, -1) for part in feautrier(inverse, *rays)]
    return tuple(jnp.einsum("a,law->lw", nodes[1] / 2, part).reshape(shape) for part in found)


def feautrier(
    step: Float[Array, "interval ray"], emitted: Float[Array, "layer ray"], lost: Float[Array, "layer ray"]
) -> tuple[Float[Array, "layer ray"], Float[Array, "layer ray"]]:
    r"""Solutions u of :math:`\mu^2 u'' = (1 - \rho) u - S`, and how much each grows with S in its layer.

    ``step`` is :math:`\Delta\tau/\mu`, ``emitted`` S, ``lost`` :math:`1 - \rho`. No light falls on the first
    layer, and in the last one u is S over 1 - rho. Rybicki & Hummer (1991), appendix A.
    """
    above, below = step[:-1], step[1:]
    middle = above + below
    zero = jnp.zeros_like(step[:1])
    lower = jnp.concatenate([zero, 2 / (above * middle), zero])
    upper = jnp.concatenate([2 / step[:1] ** 2, 2 / (below * middle), zero])
    own = lost.at[0].add(2 / step[0])

    def down(carry, row):
        ratio, right = carry
        low, up, centre, source = row
        pivot = centre + low * ratio
        inverse = 1 / (up + pivot)
        right = (source + low * right) * inverse
        return (pivot * inverse, right), (ratio, right, up * inverse)

    start = (jnp.zeros_like(step[0]), jnp.zeros_like(step[0]))
    _, (before, rights, passed) = lax.scan(down, start, (lower, upper, own, emitted), unroll=4)

    def back(carry, row):
        deeper, ratio = carry
        low, up, centre, right, share, previous = row
        solution = right + share * deeper
        diagonal = 1 / (centre + low * previous + up * ratio)
        pivot = centre + up * ratio
        return (solution, pivot / (low + pivot)), (solution, diagonal)

    rows = (lower, upper, own, rights, passed, before)
    return lax.scan(back, start, rows, reverse=True, unroll=4)[1]
