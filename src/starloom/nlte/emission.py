"""What lines out of LTE emit on the fine grid of a chunk, in the atmosphere and above it; float32."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from starloom.nlte.atom import TRIPLET
from starloom.nlte.calcium import Departures
from starloom.nlte.layers import Above
from starloom.physics.lines import CORE, FAR, TERMS, Positions, Profile, Windows, line_opacity, voigt
from starloom.physics.transfer import GREGORY, Overlying

# pixels either side of a centre: where a line's source function departs from Planck's (690 km/s), and where
# light from above the atmosphere is seen (43 km/s)
EMITTING, SHOWN = FAR, CORE
_EACH = np.arange(len(TRIPLET), dtype=np.int32)
_NONE = np.zeros_like(_EACH)
_CORES_AND_WINGS = Windows(
    *(_NONE, _NONE, _NONE, _NONE, _EACH, _NONE, _EACH, _NONE, _NONE),
    counts=np.array([0, 0, 0, 0, _EACH.size, 0, _EACH.size, 0, 0], np.int32),
    half=np.full_like(_EACH, EMITTING),
)


def excess_emission(
    departures: Departures,
    profile: Profile,
    positions: Positions,
    step: Float[Array, ""],
    others: Float[Array, "layer wavelength"],
) -> Float[Array, "layer wavelength"]:
    r"""What lines out of LTE emit beyond it, :math:`\sum \chi_l (S_l - B)`, and ``others``.

    ``profile`` and ``positions`` are those of all lines, ``step`` the grid's [cm s-1].
    """
    places, near = _places(departures, positions, others.shape[1], EMITTING)
    own = jax.tree.map(lambda part: part[:, departures.lines], profile)
    own = own._replace(peak=own.peak * departures.excess.astype(jnp.float32) * near)
    return line_opacity(own, places, _CORES_AND_WINGS, others.shape[1], step, others)


def overlying(
    departures: Departures,
    positions: Positions,
    step: Float[Array, ""],
    first: tuple[Float[Array, "wavelength"], Float[Array, "wavelength"], Float[Array, ""]],
    mu: Float[np.ndarray, "angle"],
) -> Overlying:
    """What lies above the first layer, of whose opacity, emission and length m/rho ``first`` consists.

    Its opacity per gram and source go on as they are but near the centres of the lines, where the layers that
    were added are integrated.
    """
    single = partial(jnp.asarray, dtype=jnp.float32)
    above, inverse_mu = jax.tree.map(single, departures.above), single(1 / mu)[:, None]
    opacity, emission, length = map(single, first)
    depth = opacity * length
    light = emission / opacity * -jnp.expm1(-depth * inverse_mu)
    places, near = _places(departures, positions, len(opacity), SHOWN)
    offsets = jnp.arange(-SHOWN, SHOWN, dtype=jnp.float32)
    rows = jnp.concatenate([opacity[None], depth[None], light])
    rows = jnp.pad(rows, ((0, 0), (2 * SHOWN, 2 * SHOWN)), mode="edge")
    for line in _EACH:
        x = (offsets - places.offset[line]) * (step / above.doppler[:, line, None])
        own = above.peak[:, line, None] * voigt(above.damping[:, line, None], x, TERMS)
        corner = jnp.int32(0), places.pixel[line] + SHOWN
        seen = lax.dynamic_slice(rows, corner, (len(rows), len(offsets)))
        others = jnp.maximum(seen[0] - own[-1], 0) * length
        passed = _through(own, above.excess[:, line, None], others, above, inverse_mu)
        # far from this chunk nothing changes
        made = jnp.concatenate([seen[:1], near[line] * passed + (1 - near[line]) * seen[1:]])
        rows = lax.dynamic_update_slice(rows, made, corner)
    inside = slice(2 * SHOWN, 2 * SHOWN + len(opacity))
    return Overlying(rows[1, inside], rows[2:, inside])


def _through(line, excess, others: Float[Array, "wavelength"], above: Above, inverse_mu):
    """Optical depth of the added layers, and the light of a line towards each angle: [1 + angle, wavelength].

    ``others`` is the optical depth of all else above the first layer.
    """
    layers = len(above.mass)
    growth = line * above.growth[:, None] + others * (above.mass * above.rate)[:, None]
    root = jnp.sqrt(growth)
    steps = (2 * root[1:] * root[:-1] + (growth[1:] + growth[:-1]) / 2) / 3
    depth = jnp.cumsum(jnp.concatenate([growth[:1] / above.rate[0], steps]), axis=0)
    weights = np.ones(layers, np.float32)
    weights[:3], weights[-3:] = GREGORY, GREGORY[::-1]
    emitted = weights[:, None] * line * above.growth[:, None] * excess
    light = (emitted[:, None] * inverse_mu * jnp.exp(-depth[:, None] * inverse_mu)).sum(axis=0)
    return jnp.concatenate([depth[-1:], light])


def _places(departures: Departures, positions: Positions, pixels: int, half: int) -> tuple[Positions, Array]:
    """Positions of the lines, and 1 where one is so near to the grid, 0 where it is not."""
    chosen = jax.tree.map(lambda part: jnp.asarray(part)[departures.lines], positions)
    pixel = jnp.clip(chosen.pixel, -half, pixels - 1 + half)
    return Positions(pixel, chosen.offset), (pixel == chosen.pixel).astype(jnp.float32)
