"""The packaged grid of structures, interpolated by cubic splines in Teff, log g, [M/H] and [alpha/M]."""

from dataclasses import dataclass
from functools import cache, partial
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import BSpline, make_interp_spline

from starloom import tables
from starloom.atmosphere.structure import Atmosphere
from starloom.labels import RADIATION_LIMIT, Domain

VMIC = 2.0  # km/s, of every model of the grid
AXES = ("teff", "logg", "mh", "alpha")


@dataclass(frozen=True)
class SplineAxis:
    """Cubic B-splines over the nodes of one label, not-a-knot at both ends: a cubic in each interval, C2."""

    left: np.ndarray
    """Start of each interval, in the label's unit."""
    width: np.ndarray
    polynomials: np.ndarray
    """[interval, power, spline]: the four B-splines that differ from zero, in powers of 0 <= u < 1."""

    @classmethod
    def through(cls, knots: np.ndarray) -> "SplineAxis":
        """The splines of a knot vector whose ends are repeated four times."""
        breaks = knots[3:-3]
        width = np.diff(breaks)
        splines = BSpline(knots, np.eye(len(knots) - 4), 3)
        powers = np.arange(4)
        taylor = np.stack(
            [splines(breaks[:-1], nu=n) * width[:, None] ** n / factorial(n) for n in powers], axis=1
        )
        intervals = np.arange(len(width))[:, None, None]
        return cls(breaks[:-1], width, taylor[intervals, powers[:, None], intervals + powers])

    def weights(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Interval of ``x`` and the values there of its four B-splines."""
        # in x's type explicitly: JAX would keep the constants' first type when enable_x64 changes
        left, width, polynomials = (
            jnp.asarray(a, x.dtype) for a in (self.left, self.width, self.polynomials)
        )
        interval = jnp.clip(jnp.searchsorted(left, x, side="right") - 1, 0, len(left) - 1)
        u = (x - left[interval]) / width[interval]
        constant, linear, square, cube = polynomials[interval]
        return interval, ((cube * u + square) * u + linear) * u + constant


@cache
def domain() -> Domain:
    """The labels that have a structure: the table's but for a node at its ends, above the floor."""
    ranges = {"teff": (3200.0, 16000.0), "logg": (-0.5, 5.5), "mh": (-3.0, 1.5), "alpha": (-0.2, 0.6)}
    return Domain.of(ranges, RADIATION_LIMIT)


def nodes() -> np.ndarray:
    """log10 of the columns at the table's nodes: float64[teff, logg, mh, alpha, layer, column].

    The table has them in quanta, each as the difference from its neighbour; data/atmospheres/build.py.
    """
    table = tables.load("atmospheres")
    code = sum(part.astype(np.uint32) << 8 * number for number, part in enumerate(table["structures"]))
    whole = (code >> 1).astype(np.int32) ^ -(code & 1).astype(np.int32)
    for axis in table["differences_along"]:
        np.cumsum(whole, axis=axis, out=whole)
    return whole * table["quanta"]


@cache
def splines() -> tuple[tuple[SplineAxis, ...], np.ndarray]:
    """The axes and the coefficients float32[teff, logg, mh, alpha, layer, column] of log10 of the columns."""
    table, coefficients, axes = tables.load("atmospheres"), nodes(), []
    for number, name in enumerate(AXES):
        x = table[name]
        spline = make_interp_spline(x, np.eye(len(x)), k=3)  # of every unit vector: a matrix
        coefficients = np.moveaxis(np.tensordot(spline.c, coefficients, axes=(1, number)), 0, number)
        axes.append(SplineAxis.through(spline.t))
    return tuple(axes), coefficients.astype(np.float32)


def interpolate(teff, logg, mh, alpha=0.0) -> Atmosphere:
    """Structure at the labels, from the packaged grid (data/atmospheres): twice continuously differentiable.

    ``teff`` [K], ``logg``, ``mh`` and ``alpha`` [dex] are numbers, arrays that broadcast (columns are then
    [..., layer]) or astropy quantities; microturbulence 2 km/s. log10 of each column is a tensor product of
    cubic splines over nodes 250 K (1000 K above 13000 K), 0.5, 0.5 and 0.2 dex apart, at the same log tau.

    Raises OutOfRangeError outside ``domain()``. Inside a JAX transformation the labels have no
    values to check: check them before. float64 where JAX has it enabled, else float32. The errors of the
    interpolation are in docs/physics.md; typically 0.01 % in T, 0.1 % in pressure above 5000 K.
    """
    if not any(isinstance(label, jax.core.Tracer) for label in (teff, logg, mh, alpha)):
        labels = domain().array(teff=teff, logg=logg, mh=mh, alpha=alpha)
        domain().check(labels)
        teff, logg, mh, alpha = np.moveaxis(labels, -1, 0)
    return _interpolate(_coefficients(), teff, logg, mh, alpha)


@cache
def _coefficients() -> jax.Array:
    with jax.ensure_compile_time_eval():  # of no transformation that happens to be the first to ask
        return jnp.asarray(splines()[1])


@jax.jit
def _interpolate(coefficients: jax.Array, *labels: jax.Array) -> Atmosphere:
    table = tables.load("atmospheres")
    labels = jnp.broadcast_arrays(*(jnp.asarray(label, jnp.result_type(float)) for label in labels))
    columns = jnp.vectorize(partial(_columns, coefficients), signature="(label)->(layer,column)")(
        jnp.stack(labels, axis=-1)
    )
    structure = {name: 10 ** columns[..., i] for i, name in enumerate(table["columns"].tolist())}
    log_tau = jnp.broadcast_to(jnp.asarray(table["log_tau"], columns.dtype), columns.shape[:-1])
    vmic = jnp.full(columns.shape[:-2], VMIC, columns.dtype)
    return Atmosphere(log_tau, **structure, **dict(zip(AXES, labels, strict=True)), vmic=vmic)


def _columns(coefficients: jax.Array, labels: jax.Array) -> jax.Array:
    """log10 of the columns [layer, column] at one place: 4 x 4 x 4 x 4 coefficients, weighted."""
    axes, _ = splines()
    start, weights = zip(*(axis.weights(x) for axis, x in zip(axes, labels, strict=True)), strict=True)
    near = jax.lax.dynamic_slice(
        coefficients, (*start, *[jnp.zeros_like(start[0])] * 2), (4, 4, 4, 4, *coefficients.shape[4:])
    )
    for weight in weights:
        near = jnp.tensordot(weight, near.astype(weight.dtype), axes=1, precision="highest")
    return near
