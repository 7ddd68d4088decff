"""What leaves a star: the formal solution over the fine grid of one chunk of a band."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from starloom.atmosphere import Atmosphere
from starloom.constants import ANGSTROM, KMS
from starloom.nlte.emission import excess_emission, overlying
from starloom.physics.hydrogen import hydrogen_opacity
from starloom.physics.lines import Windows, line_opacity
from starloom.physics.molecules import molecular_opacity
from starloom.physics.transfer import Source, differences, emergent_intensities, planck
from starloom.synthesis.band import ChunkArrays
from starloom.synthesis.gas import Gas


@partial(jax.jit, static_argnames="synspec")
def radiate(
    atmosphere: Atmosphere,
    microturbulence: Float[Array, ""],
    gas: Gas,
    chunk: ChunkArrays,
    windows: Windows,
    mu: Float[Array, "angle"],
    synspec: bool = False,
):
    """Intensities [angle, wavelength] with lines, and of the continuum alone: float32.

    In erg s-1 cm-2 cm-1 sr-1.

    ``gas`` is that of this chunk, by ``Gas.of_chunk``. Chunks of one size and stars share one compiled
    program.
    """
    single = partial(jnp.asarray, dtype=jnp.float32)
    to_grid, temperature, (nodes,) = chunk.to_grid, atmosphere.temperature, gas.continua
    pixels = to_grid.shape[-1]
    continuum = single(nodes.absorption + nodes.scattering)
    molecular = jnp.stack([gas.molecule(name) for name in chunk.molecules.names])
    hydrogen = hydrogen_opacity(
        chunk.hydrogen, pixels, temperature, gas.state, microturbulence, refine=not synspec
    )
    others = (
        continuum @ to_grid
        + hydrogen
        + molecular_opacity(molecular, temperature, microturbulence / KMS, chunk.molecules)
    )
    own, places = chunk.of_own_lines((gas.profile, chunk.positions))
    total = line_opacity(own, places, windows, pixels, chunk.step, others)
    # coherent scattering of the continuum's light alone: lines absorb
    emitted = planck(chunk.nodes, temperature)
    rise, scattered = differences(len(temperature)) @ emitted, nodes.scattering * (nodes.mean - emitted)
    source = jax.tree.map(single, Source(emitted[0], rise, scattered))
    on_grid, above = jax.tree.map(lambda part: part @ to_grid, source), None
    if (departed := gas.departures) is not None:
        emitted = excess_emission(departed, gas.profile, chunk.positions, chunk.step, on_grid.scattered)
        on_grid = on_grid._replace(scattered=emitted)
        first = total[0], emitted[0], gas.layers.top
        above = overlying(departed, chunk.positions, chunk.step, first, mu)
    # where a core's source function falls to nothing the quadrature's error, 4e-4, may be below zero
    with_lines = jnp.maximum(emergent_intensities(total, on_grid, gas.layers, mu, above), 0.0)
    return with_lines, emergent_intensities(continuum, source, gas.layers, mu) @ to_grid


# of all the windows only the lines' own half widths differ from star to star
_BY_STAR = Windows(*[None] * len(Windows._fields))._replace(own=0)
radiate_together = jax.jit(jax.vmap(radiate, in_axes=(0, 0, 0, None, _BY_STAR, None)))


def per_angstrom(weights, intensities: Float[Array, "... angle wavelength"]):
    """Weighted sum over angles, per cm of wavelength made per Angstrom; float32."""
    return jnp.asarray(weights * ANGSTROM, jnp.float32) @ intensities
