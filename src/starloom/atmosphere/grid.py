"""The packaged grid of structures, interpolated by cubic splines in Teff, log g and [M/H]."""

from dataclasses import dataclass
from functools import cache
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import BSpline, make_interp_spline

from starloom import tables
from starloom.atmosphere.structure import Atmosphere
from starloom.labels import RADIATION_LIMIT, Domain

VMIC = 2.0  # km/s, of every model of the grid
AXES = ("teff", "logg", "mh")


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
    """The labels that have a structure: the table's but for a node or two at its ends, above the floor."""
    ranges = {"teff": (3600.0, 15000.0), "logg": (2.0, 5.0), "mh": (-1.5, 1.5), "alpha": (0.0, 0.0)}
    return Domain.of(ranges, RADIATION_LIMIT)


@cache
def splines() -> tuple[tuple[SplineAxis, SplineAxis, SplineAxis], np.ndarray]:
    """The three axes and the coefficients [teff, logg, mh, layer, column] of log10 of the columns."""
    table = tables.load("atmospheres")
    coefficients = table["structures"].astype(np.float64)
    axes = []
    for number, name in enumerate(AXES):
        spline = make_interp_spline(table[name], np.eye(len(table[name])), k=3)
        coefficients = np.moveaxis(np.tensordot(spline.c, coefficients, (1, number)), 0, number)
        axes.append(SplineAxis.through(spline.t))
    return tuple(axes), coefficients


def interpolate(teff, logg, mh, alpha=0.0) -> Atmosphere:
    """Structure at the labels, from the packaged grid (data/atmospheres): twice continuously differentiable.

    ``teff`` [K], ``logg``, ``mh`` and ``alpha`` [dex] are numbers, arrays that broadcast (columns are then
    [..., layer]) or astropy quantities; microturbulence 2 km/s. log10 of each column is a tensor product of
    cubic splines over nodes 250 K (1000 K above 13000 K), 0.5 dex and 0.5 dex apart, at the same log tau.

    Raises OutOfRangeError outside ``domain()``. Inside a JAX transformation the labels have no
    values to check: check them before. float64 where JAX has it enabled, else float32. The errors of the
    interpolation are in docs/physics.md; typically 0.01 % in T, 0.1 % in pressure above 5000 K.
    """
    if not any(isinstance(label, jax.core.Tracer) for label in (teff, logg, mh, alpha)):
        labels = domain().array(teff=teff, logg=logg, mh=mh, alpha=alpha)
        domain().check(labels)
        teff, logg, mh, alpha = np.moveaxis(labels, -1, 0)
    return _interpolate(teff, logg, mh, alpha)


@jax.jit
def _interpolate(teff: jax.Array, logg: jax.Array, mh: jax.Array, alpha: jax.Array) -> Atmosphere:
    table = tables.load("atmospheres")
    teff, logg, mh, alpha = (jnp.asarray(label, jnp.result_type(float)) for label in (teff, logg, mh, alpha))
    columns = jnp.vectorize(_columns, signature="(),(),()->(layer,column)")(teff, logg, mh)
    structure = {name: 10 ** columns[..., i] for i, name in enumerate(table["columns"].tolist())}
    log_tau = jnp.broadcast_to(jnp.asarray(table["log_tau"], teff.dtype), columns.shape[:-1])
    vmic = jnp.full(columns.shape[:-2], VMIC, teff.dtype)
    return Atmosphere(log_tau, **structure, teff=teff, logg=logg, mh=mh, alpha=alpha, vmic=vmic)


def _columns(teff: jax.Array, logg: jax.Array, mh: jax.Array) -> jax.Array:
    """log10 of the columns [layer, column] at one place: 4 x 4 x 4 coefficients, weighted."""
    axes, coefficients = splines()
    (i, a), (j, b), (k, c) = (axis.weights(x) for axis, x in zip(axes, (teff, logg, mh), strict=True))
    start = (i, j, k, *[jnp.zeros_like(i)] * 2)
    near = jax.lax.dynamic_slice(
        jnp.asarray(coefficients, teff.dtype), start, (4, 4, 4, *coefficients.shape[3:])
    )
    return jnp.einsum("i,j,k,ijklc->lc", a, b, c, near, precision="highest")
