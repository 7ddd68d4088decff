r"""Opacity of atomic lines.

.. math:: \alpha_\lambda = \frac{\pi e^2}{m_e c}\, g f\, \frac{n}{Q} e^{-E/kT} (1 - e^{-hc/\lambda kT})
    \frac{\lambda_0}{\sqrt\pi\, b} H(a, x), \quad x = \frac{c\,(\lambda - \lambda_0)}{\lambda_0 b},
    \quad a = \frac{\gamma \lambda_0}{4 \pi b}, \quad b^2 = \frac{2kT}{m} + \xi^2

Mihalas (1978), eqs. 4-33, 9-34.  A line is added pixel by pixel in two parts: far wings, a rational function
that is cheap over thousands of pixels, and a core of the full Voigt function less those wings. cgs:
wavelengths [cm] in vacuum, opacities [cm-1].
"""

import math
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from starloom.constants import (
    ANGSTROM,
    BOLTZMANN,
    BOLTZMANN_EV,
    LINE_CROSS_SECTION,
    PLANCK,
    SPEED_OF_LIGHT,
    SPEED_OF_LIGHT_KMS,
)
from starloom.physics.equilibrium import State
from starloom.physics.linelist import LineList
from starloom.physics.species import MASSES
from starloom.wavelength import LogGrid

# of the Voigt functions in float32: errors of 1e-6 of the peak in strong lines, 4e-6 in lines without wings
TERMS, FEW_TERMS = 16, 12
ROOT_PI = math.sqrt(math.pi)  # a Python float, which leaves float32 arrays float32
PERTURBERS = (
    1.0,
    0.42,
    0.85,
)  # H I, He I and H2, weighted by polarisability and speed as SYNSPEC and Turbospectrum do


class Profile(NamedTuple):
    """What a line's absorption is made of, layer by layer."""

    peak: Float[Array, "layer line"]  #: cm-1, absorption where H(a, x) = 1
    damping: Float[Array, "layer line"]  #: a
    doppler: Float[Array, "layer line"]  #: b, cm s-1


@lru_cache
def _weideman(terms: int) -> tuple[float, tuple[float, ...]]:
    """Scale L and coefficients of Weideman's (1994) expansion of the Faddeeva function."""
    scale = np.sqrt(terms / np.sqrt(2))
    points = 2 * terms
    t = scale * np.tan(np.arange(-points + 1, points) * np.pi / (2 * points))
    f = np.concatenate([[0], np.exp(-(t**2)) * (scale**2 + t**2)])
    coefficients = np.real(np.fft.fft(np.fft.fftshift(f)))[1 : terms + 1] / (2 * points)
    return float(scale), tuple(float(value) for value in coefficients)


def voigt(damping: Array, x: Array, terms: int = 32) -> Array:
    r"""Voigt function :math:`H(a, x)`, the real part of :math:`w(x + ia)`, with :math:`H(0, 0) = 1`.

    Weideman (1994, SIAM J. Numer. Anal. 31, 1497, eq. 38-I) within abs(x) < 7, else the continued fraction of
    Humlicek (1982) to four terms.  With 32 terms in float64 the relative error is below 1e-5 for damping down
    to 1e-6 (3e-6 found); 16 terms in float32 give 1e-6 of the peak, 12 terms 4e-6.
    """
    scale, coefficients = _weideman(terms)
    real, imaginary = scale + damping, -x  # L - iz
    inverse = 1 / (real * real + imaginary * imaginary)
    u, v = real * inverse, -imaginary * inverse  # 1 / (L - iz)
    z_real, z_imaginary = (scale - damping) * u - x * v, (scale - damping) * v + x * u
    # a polynomial with real coefficients at a complex point: Clenshaw's recursion needs no complex arithmetic
    p, q = 2 * z_real, -(z_real * z_real + z_imaginary * z_imaginary)
    b1, b2 = jnp.zeros_like(x), jnp.zeros_like(x)
    for coefficient in coefficients[:0:-1]:
        b1, b2 = coefficient + p * b1 + q * b2, b1
    sum_real, sum_imaginary = coefficients[0] + z_real * b1 + q * b2, z_imaginary * b1
    near = 2 * (sum_real * (u * u - v * v) - sum_imaginary * 2 * u * v) + u / ROOT_PI
    return jnp.where(x * x < 49.0, near, _far_voigt(damping, x))


def _far_voigt(damping: Array, x: Array) -> Array:
    r"""Real part of :math:`\frac{i}{\sqrt\pi} \frac{z (z^2 - 5/2)}{z^2 (z^2 - 3) + 3/4}`, for abs(x) > 7.

    In powers of 1/z: powers of z overflow in float32, their derivatives from a damping of 250 on.
    """
    inverse = 1 / (jnp.maximum(x * x, 49.0) + damping * damping)
    u, v = x * inverse, -damping * inverse  # 1 / z
    s, t = u * u - v * v, 2 * u * v  # 1 / z^2
    n_real, n_imaginary = u * (1 - 2.5 * s) + 2.5 * v * t, v * (1 - 2.5 * s) - 2.5 * u * t
    d_real, d_imaginary = 1 - 3 * s + 0.75 * (s * s - t * t), 1.5 * s * t - 3 * t
    norm = d_real * d_real + d_imaginary * d_imaginary
    return (n_real * d_imaginary - n_imaginary * d_real) / (ROOT_PI * norm)


def wings(damping: Array, x: Array) -> Array:
    r"""Far wings of the Voigt function, finite and smooth at the centre.

    .. math:: W = \frac{a}{\sqrt\pi} \frac{x^2 + 4}{x^4 + (a^2 + 5/2) x^2 + 4}
        = \frac{a}{\sqrt\pi x^2} \left[1 + \frac{3/2 - a^2}{x^2} + O(x^{-4})\right]

    which is the asymptotic expansion (Mihalas 1978, eq. 9-36) to its second term.

    ``damping`` is a, ``x`` the distance from the centre in Doppler widths.
    """
    square = x * x
    return damping / ROOT_PI * (square + 4) / (square * (square + damping * damping + 2.5) + 4)


def line_profiles(
    lines: LineList, temperature: Float[Array, "layer"], state: State, microturbulence: Float[Array, ""]
) -> Profile:
    """Strength, damping and Doppler width [cm s-1] of each line in each layer.

    ``microturbulence`` is in cm s-1.
    """
    single = partial(jnp.asarray, dtype=jnp.float32)
    lines = jax.tree.map(lambda part: part if part.dtype.kind == "i" else part.astype(np.float32), lines)
    column = single(temperature)[:, None]
    doppler = jnp.sqrt(single(2 * BOLTZMANN / MASSES)[lines.element] * column + single(microturbulence) ** 2)
    # the density per statistical weight, in float64 since Q and n span more decades than float32 has
    per_weight = single(state.atoms * jnp.exp(-state.log_partition))[lines.element, lines.charge].T
    boltzmann = jnp.exp(-lines.energy_low / (BOLTZMANN_EV * column))
    stimulated = -jnp.expm1(-PLANCK * SPEED_OF_LIGHT / BOLTZMANN / (lines.wavelength * column))
    strength = LINE_CROSS_SECTION * 10.0**lines.log_gf * per_weight * boltzmann * stimulated
    gamma = line_width(lines, temperature, state)
    return Profile(
        peak=strength * lines.wavelength / (ROOT_PI * doppler),
        damping=gamma * lines.wavelength / (4 * math.pi * doppler),
        doppler=doppler,
    )


def line_width(
    lines: LineList, temperature: Float[Array, "layer"], state: State
) -> Float[Array, "layer line"]:
    """Full width at half maximum [rad s-1]: radiative, and by collisions.

    These are with electrons and with the neutral perturbers H I, He I and H2.
    """
    hydrogen, helium, molecular = PERTURBERS
    neutrals = hydrogen * state.atoms[0, 0] + helium * state.atoms[1, 0] + molecular * state.molecule("H2")
    log_temperature = jnp.log10(temperature / 1e4).astype(jnp.float32)
    waals = 10.0 ** (lines.log_gamma_waals + lines.waals_exponent * log_temperature[:, None])
    stark = 10.0**lines.log_gamma_stark
    electrons, neutrals = state.electrons.astype(jnp.float32), neutrals.astype(jnp.float32)
    return lines.gamma_radiative + electrons[:, None] * stark + neutrals[:, None] * waals


class Windows(NamedTuple):
    """Which lines are added, and over how many pixels either side of their centre.

    Each array lists line indices first and is filled up to the number of all lines; ``counts`` says how many
    of each count.  The arrays' shapes never change, so that one compiled program serves every star.

    ``own``: of several stars at once, the half width of each line in the one star; else None.
    """

    thin: Int[Array, "line"]  #: Voigt function over THIN pixels
    slim: Int[Array, "line"]  #: Voigt function over SLIM pixels
    narrow: Int[Array, "line"]  #: Voigt function over NARROW pixels
    core: Int[Array, "line"]  #: Voigt function over CORE pixels
    winged: Int[Array, "line"]  #: Voigt function less wings over CORE pixels
    near: Int[Array, "line"]  #: wings over NEAR pixels
    far: Int[Array, "line"]  #: wings over FAR pixels
    broad: Int[Array, "line"]  #: wings over BROAD pixels
    whole: Int[Array, "line"]  #: wings over the whole grid, from a centre that may lie far outside
    counts: Int[Array, "9"]
    half: Int[Array, "line"]  #: half widths [pixels]: where a line over the whole grid ends, too
    # several stars at once have common windows, and here the half width of each line in the one star
    own: Int[Array, "line"] | None = None


# half widths [pixels]; a window has its first pixel, and ends before its last: whole vectors of the processor
THIN, SLIM, NARROW, CORE, NEAR, FAR, BROAD, WHOLE = 8, 16, 32, 64, 256, 1024, 4096, 1 << 20
VOIGT = (THIN, SLIM, NARROW, CORE)
NONE = -1  # of a line that is left out
NEGLIGIBLE = (
    3e-5  # of the continuous opacity: weaker lines are left out; together they depress the Sun by < 5e-5
)
CUT = 1e-5  # of the continuous opacity: where a line is cut off


def half_widths(
    profile: Profile, continuum: Float[np.ndarray, "layer line"], step: float
) -> Int[np.ndarray, "line"]:
    """Half width [pixels] of the narrowest window at whose edge each line is below ``CUT`` of the continuum.

    ``continuum`` is the continuous opacity at the lines [cm-1], ``step`` the grid's step [cm s-1].  Runs on
    numbers, not on traced arrays.
    """
    peak, damping, doppler = (np.asarray(part) for part in profile)
    ratio = peak / continuum
    # H = a / (sqrt(pi) (x^2 - 3/2)) + exp(-x^2) is CUT / ratio at the edge, the second term a tenth of it
    wing = ratio * damping / (ROOT_PI * CUT) + 1.5
    gaussian = np.log(np.maximum(10 * ratio / CUT, 1.0))
    reach = (np.sqrt(np.maximum(wing, gaussian)) * doppler).max(axis=0) / step
    reach = reach + 0.5  # of the centre from a pixel
    sizes = (*VOIGT, NEAR, FAR, BROAD)
    cases = [~(ratio.max(axis=0) > NEGLIGIBLE), *(reach < half for half in sizes)]
    return np.select(cases, [NONE, *sizes], WHOLE).astype(np.int32)


class Positions(NamedTuple):
    """Where the lines lie on a log-uniform grid, also outside of it."""

    pixel: Int[Array, "line"]  #: nearest
    offset: Float[Array, "line"]  #: of the centre from it, in pixels


def line_positions(wavelength: Float[np.ndarray, "line"], grid: LogGrid) -> Positions:
    """Positions of vacuum wavelengths [cm] on a grid, in float64.

    ``wavelength`` in vacuum [cm].
    """
    step = grid.step_kms / SPEED_OF_LIGHT_KMS
    position = np.log(wavelength / (grid.first_aa * ANGSTROM)) / step
    pixel = np.rint(position)
    return Positions(pixel.astype(np.int32), (position - pixel).astype(np.float32))


def windows_of(half: Int[np.ndarray, "line"], positions: Positions, pixels: int) -> Windows:
    """Windows of lines by their half widths [pixels] and their places on a grid of ``pixels`` points.

    A line whose window does not reach the grid is left out; one further out than ``FAR`` that does reach it
    is added to the whole grid up to its own half width.
    """
    pixel = np.asarray(positions.pixel)
    outside = np.maximum(-pixel, pixel - (pixels - 1))  # pixels from the nearer end; negative inside
    size, distant = np.where(outside > half, NONE, half), outside > FAR
    chosen = [
        *(size == half for half in VOIGT),
        (size > CORE) & ~distant,
        size == NEAR,
        size == FAR,
        (size == BROAD) & ~distant,
        (size == WHOLE) | ((size == BROAD) & distant),
    ]
    index = [np.pad(np.flatnonzero(mask), (0, size.size - mask.sum())).astype(np.int32) for mask in chosen]
    return Windows(*index, np.array([mask.sum() for mask in chosen], np.int32), half.astype(np.int32))


PAD = BROAD + FAR  # pixels added either side of the grid, so that no window leaves it


def line_opacity(
    profile: Profile,
    positions: Positions,
    windows: Windows,
    pixels: int,
    step: float | Float[Array, ""],
    others: Float[Array, "layer wavelength"] | None = None,
) -> Float[Array, "layer wavelength"]:
    """Absorption coefficient [cm-1] of all lines on a log-uniform grid, and of ``others``.

    It has ``pixels`` points, ``step`` [cm s-1] apart.

    float32; detunings are taken in velocity, v = c (ln lambda - ln lambda_0), against c (lambda/lambda_0 - 1)
    an error of v^2/2c, 5 % of a pixel 150 km/s from a line's centre.
    """
    peak, damping, doppler = (part.T.astype(jnp.float32)[..., None] for part in profile)
    inverse = step / doppler  # pixels to Doppler widths
    positions, windows = jax.tree.map(jnp.asarray, (positions, windows))

    def within(half: Array | None, line: Array, offsets: Array) -> Array:
        """The line's peak, 0 beyond its half width."""
        if half is None:
            return peak[line]
        return jnp.where((offsets >= -half[line]) & (offsets < half[line]), peak[line], 0.0)

    def add(total: Array, chosen: Array, count: Array, half: int, shape) -> Array:
        offsets = jnp.arange(-half, half, dtype=jnp.float32)

        def body(i, total):
            line = chosen[i]
            x = (offsets - positions.offset[line]) * inverse[line]
            corner = (jnp.int32(0), positions.pixel[line] + PAD - half)
            window = lax.dynamic_slice(total, corner, (total.shape[0], len(offsets)))
            return lax.dynamic_update_slice(
                total, window + within(windows.own, line, offsets) * shape(damping[line], x), corner
            )

        return lax.fori_loop(0, count, body, total)

    def whole(i, total):
        line = windows.whole[i]
        # whole pixels first, which is exact; pixel plus offset, in float32, is off by up to 1e-3 pixels
        offsets = jnp.arange(-PAD, pixels + PAD, dtype=jnp.float32) - positions.pixel[line]
        x = (offsets - positions.offset[line]) * inverse[line]
        half = windows.half if windows.own is None else windows.own
        return total + within(half, line, offsets) * wings(damping[line], x)

    counts = windows.counts
    others = jnp.zeros((peak.shape[1], pixels), jnp.float32) if others is None else others
    total = jnp.pad(others, ((0, 0), (PAD, PAD)))
    for kind, half in enumerate(VOIGT):
        total = add(total, windows[kind], counts[kind], half, partial(voigt, terms=FEW_TERMS))
    total = add(total, windows.winged, counts[4], CORE, lambda a, x: voigt(a, x, TERMS) - wings(a, x))
    total = add(total, windows.near, counts[5], NEAR, wings)
    total = add(total, windows.far, counts[6], FAR, wings)
    total = add(total, windows.broad, counts[7], BROAD, wings)
    total = lax.fori_loop(0, counts[8], whole, total)
    return total[:, PAD : PAD + pixels]
