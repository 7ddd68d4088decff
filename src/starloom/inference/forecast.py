r"""How well a spectrum can tell its labels: the Cramer-Rao bound, before anything is observed.

The pixels :math:`d_i` have independent Gaussian errors :math:`\sigma_i` around the model :math:`m_i =
c(\lambda_i) f(\lambda_i; \theta, v)`: generated flux times a continuum, a Chebyshev polynomial that is 1 at
the truth. The Fisher information of the parameters p (labels, velocity, the polynomial's coefficients) is

.. math:: F_{jk} = \sum_i \sigma_i^{-2}\,\frac{\partial m_i}{\partial p_j}\frac{\partial m_i}{\partial p_k}
          + \frac{\delta_{jk}}{s_j^2}

with Gaussian priors of standard deviation :math:`s_j` where there are any, and no unbiased estimate of
:math:`p_j` has a smaller standard deviation than :math:`\sqrt{(F^{-1})_{jj}}`, which includes not knowing the
others: Kay (1993), Fundamentals of Statistical Signal Processing: Estimation Theory, sections 3.7 and 3.9;
Ting et al. (2017), ApJ 843, 32, section 2 for stellar spectra.

Noise that neighbouring pixels share has its correlations in the place of :math:`\sigma_i^{-2}`, and the
physics error of a model that carries one (``networks.physics_error``) enters as further parameters, the
amplitudes of its patterns, each known to be 0 +- 1.

It is a statement about small errors: the flux is taken as linear in the parameters over the size of the
bound. The generator's own error is not in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from starloom import notebook
from starloom.arrays import one_line
from starloom.constants import ALPHA_ELEMENTS, SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, Option, OutOfRangeError
from starloom.inference.corrected import correction_patterns, unknown_slopes, with_correction
from starloom.inference.degrading import LAGS
from starloom.inference.derivatives import derivatives_of, parameters
from starloom.inference.objective import chebyshev
from starloom.inference.settings import ABUNDANCES, LARGEST_CORRELATION, free_names
from starloom.inference.uncertainty import SHARING, band_edges
from starloom.io.formats.gaia import NOISE_KMS, WAVELENGTH_NM
from starloom.labels import Domain
from starloom.networks.generator import Generator
from starloom.networks.physics_error import ORDERS
from starloom.spectrum.pandas import data_frame
from starloom.units import plain, within
from starloom.wavelength import to_vacuum

HIGHEST_ORDER = 20
PORTION = 64  # stars at once
# parameters whose effects agree to 3e-5 of their size are one: the flux is known to float32
DEGENERATE = 1e-9
WHITE = 1e-2  # of the noise's variance: smoothed noise has next to none at the highest frequencies
NO_INFORMATION = 1e3  # a bound of so many times a label's range is none


@dataclass(frozen=True, eq=False)
class Setting:
    """What is observed and what is known beforehand.

    ``snr``: signal-to-noise ratio of a pixel in the continuum, a number or one for each wavelength (0: a
    pixel that is not used). ``wavelength_aa``: increasing wavelengths [A] in ``medium`` of the pixels; None:
    the 2401 points of Gaia's RVS mean spectra. ``noise_correlation``: standard deviation [km/s] of a Gaussian
    that smoothed their noise, 0: they are independent; None: that of Gaia's points, or 0 at others.
    ``physics_error``: what the model tells of it counts. ``continuum``: order of the polynomial that is
    not known (0: scale, 1: scale and slope); None: it is known. ``fixed``: parameters that are known: labels
    of the model, or "velocity". ``free``: elements that are not known, or "abundances", all of them; those of
    a model that has them around a default are else as far from it as the star's are. ``priors``: standard
    deviations of Gaussian knowledge, by name. Raises ConfigError or OutOfRangeError for what makes no sense.
    """

    snr: float | np.ndarray
    wavelength_aa: np.ndarray | None = None
    medium: str = "vacuum"
    continuum: int | None = 1
    fixed: Iterable[str] = ("resolution",)
    priors: Mapping[str, float] = field(default_factory=dict)
    noise_correlation: float | None = None
    physics_error: bool = True
    free: tuple[str, ...] = ()

    __repr__ = one_line

    def __post_init__(self):
        if self.noise_correlation is None:
            correlation = NOISE_KMS if self.wavelength_aa is None else 0.0
            object.__setattr__(self, "noise_correlation", correlation)
        within("noise_correlation", self.noise_correlation, 0.0, LARGEST_CORRELATION, "km/s")
        if self.wavelength_aa is None:
            object.__setattr__(self, "wavelength_aa", 10 * WAVELENGTH_NM)
            if self.medium != "vacuum":
                raise ConfigError("medium: the points of Gaia's spectra are in vacuum; give wavelength_aa")
        object.__setattr__(self, "wavelength_aa", plain("wavelength", self.wavelength_aa, "Angstrom"))
        object.__setattr__(self, "priors", MappingProxyType(dict(self.priors)))
        object.__setattr__(self, "fixed", tuple(dict.fromkeys(self.fixed)))
        object.__setattr__(self, "free", free_names(self.free, self.fixed))
        snr = plain("snr", self.snr, "")
        if snr.shape not in ((), self.wavelength_aa.shape):
            raise ConfigError(f"snr has the shape {snr.shape}, the wavelengths {self.wavelength_aa.shape}")
        if not (np.isfinite(snr).all() and (snr >= 0).all() and (snr > 0).any()):
            hint = " (0: a pixel not used)" if snr.ndim else ""
            raise OutOfRangeError(f"snr = {self.snr} must be finite and positive{hint}")
        if self.continuum is not None and not 0 <= self.continuum <= HIGHEST_ORDER:
            raise OutOfRangeError(f"continuum = {self.continuum} is outside [0, {HIGHEST_ORDER}]")
        for name, deviation in self.priors.items():
            if name in self.fixed:
                raise ConfigError(f"{name} is fixed and has a prior: give one of them")
            if not 0 < deviation < np.inf:
                raise OutOfRangeError(f"prior of {name} = {deviation} is not a positive standard deviation")

    def unknown(self, domain: Domain) -> tuple[str, ...]:
        """Parameters of a domain that are not known; ConfigError for a name that it does not have."""
        names = parameters(domain)
        if wrong := [name for name in self.free if name not in (ABUNDANCES, *names)]:
            raise ConfigError(f"free: {wrong[0]!r} is not one of {ABUNDANCES}, {', '.join(names)}")
        for name in (*self.fixed, *self.priors):
            # the resolution of a model without such a label is fixed whether that is said or not
            if name not in names and (name in self.priors or name != "resolution"):
                raise ConfigError(f"{name!r} is not one of {', '.join(names)}")
        held = set() if ABUNDANCES in self.free else set(domain.spread) - set(self.free)
        if wrong := held & set(self.priors):
            raise ConfigError(f"{min(wrong)} has a prior, but is not free: ", Option("free", (min(wrong),)))
        return tuple(name for name in names if name not in held and name not in self.fixed)

    def following(self, domain: Domain) -> tuple[str, ...]:
        """Elements that move with [alpha/M]: their difference to it is known."""
        apart = {*self.fixed, *self.unknown(domain)}
        return tuple(name for name in domain.spread if name in ALPHA_ELEMENTS and name not in apart)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Cramer-Rao bounds at ``labels`` (by name) of a ``domain``.

    ``bounds``: the smallest standard deviation of each parameter, in its unit, by name; 0 for a fixed one,
    inf where the spectrum does not constrain it. ``alone``: the same if it were the only unknown.
    ``covariance`` of the free parameters ``names``: float64[n, n], NaN in the rows of those without a bound.
    """

    domain: Domain
    labels: Mapping[str, float]
    names: tuple[str, ...]
    bounds: Mapping[str, float]
    alone: Mapping[str, float]
    covariance: np.ndarray

    __repr__ = one_line

    def to_table(self):
        """An astropy ``Table`` with a row for each parameter: name, value, bound, alone, unit and remark."""
        from astropy.table import Table

        return Table(self._columns)

    def to_pandas(self):
        """The same as a ``pandas.DataFrame`` (extra ``starloom[pandas]``), by name."""
        columns = dict(self._columns)
        return data_frame(columns, {}, index=columns.pop("name"))

    @property
    def _columns(self) -> dict[str, list]:
        units = {label.name: label.unit for label in self.domain.labels} | {"velocity": "km/s"}
        names = parameters(self.domain)
        return {
            "name": list(names),
            "value": [self.labels.get(name, 0.0) for name in names],
            "bound": [self.bounds[name] for name in names],
            "alone": [self.alone[name] for name in names],
            "unit": [units[name] for name in names],
            "remark": [self.remark(name) for name in names],
        }

    def _repr_html_(self) -> str:
        columns = self._columns
        rows = [
            (name, f"{value:.6g}", f"{bound:.3g}", unit, remark)
            for name, value, bound, _, unit, remark in zip(*columns.values(), strict=True)
        ]
        return notebook.table("Forecast", ("label", "value", "bound", "unit", "remark"), rows)

    def remark(self, name: str) -> str:
        """What to know about a bound, in words; empty for a good one."""
        bound = self.bounds[name]
        if name not in self.names:
            return "held" if name in self.domain.spread else "fixed"
        if name not in self.labels:
            return "unconstrained" if np.isinf(bound) else ""
        index, value = self.domain.index(name), self.labels[name]
        rotation = self.domain.labels[index].scale == "rotation"
        if np.isinf(bound):
            return "unconstrained" + (": flux depends on its square here" if rotation and value == 0 else "")
        if rotation and bound > value:
            # the flux is linear in the square of a small v sin i: a variance of 2 v bound
            limit = np.sqrt(value * (value + 2 * bound))
            return f"not told from 0: upper limit {limit:.3g} {self.domain.labels[index].unit} (68 %)"
        length = self.domain.high[index] - self.domain.low[index]
        return "unconstrained: exceeds the label's range" if bound > length else ""


def forecast(generator: Generator, labels, setting: Setting) -> Forecast:
    """Bounds for one star, ``labels`` float[label] in the order and units of the generator's domain.

    Raises OutOfRangeError outside the domain or the generator's wavelengths, ConfigError for labels that it
    does not have.
    """
    labels, domain = plain("labels", labels, ""), generator.domain
    if labels.shape != (expected := (len(domain.labels),)):
        raise ConfigError(f"labels have the shape {labels.shape}, expected {expected}")
    names = setting.unknown(domain)
    if not names:
        raise ConfigError("every parameter is fixed: nothing is left to forecast")
    told = information(generator, labels[None], setting)
    covariance = _covariances(told, domain, names)[0]
    alone = 1 / np.sqrt(np.diag(told[0])[: len(names)].clip(1e-300))
    bounds = np.where(np.isnan(np.diag(covariance)), np.inf, np.sqrt(np.diag(covariance)))
    known = {name: 0.0 for name in parameters(domain) if name not in names}
    return Forecast(
        domain,
        MappingProxyType(dict(zip(domain.names, labels.tolist(), strict=True))),
        names,
        MappingProxyType(dict(zip(names, bounds.tolist(), strict=True)) | known),
        MappingProxyType(dict(zip(names, alone.tolist(), strict=True)) | known),
        covariance,
    )


def covariances(generator: Generator, labels, setting: Setting) -> np.ndarray:
    """Smallest covariance of the free parameters: float64[star, n, n] of ``labels[star, label]``.

    NaN in the rows and columns of a parameter that the spectrum does not constrain.
    """
    told = information(generator, labels, setting)
    return _covariances(told, generator.domain, setting.unknown(generator.domain))


def _covariances(told: np.ndarray, domain: Domain, names: tuple[str, ...]) -> np.ndarray:
    inverse = np.stack([constrained_inverse(one) for one in told])[:, : len(names), : len(names)]
    lengths = dict(zip(domain.names, domain.high - domain.low, strict=True))
    largest = NO_INFORMATION * np.array([lengths.get(name, np.inf) for name in names])
    none = np.diagonal(inverse, axis1=1, axis2=2) > largest**2
    inverse[none[:, :, None] | none[:, None, :]] = np.nan
    return inverse


def information(generator: Generator, labels, setting: Setting) -> np.ndarray:
    """Fisher information of the free parameters, then the continuum's: float64[star, m, m]."""
    derivatives = model_derivatives(generator, labels, setting)
    snr = np.broadcast_to(setting.snr, setting.wavelength_aa.shape)
    used = snr > 0
    told = _Told(to_vacuum(setting.wavelength_aa, setting.medium)[used], setting.noise_correlation)
    total = []
    for star, patterns in zip(derivatives, _patterns(generator, labels, setting), strict=True):
        total.append(told((star[used] * snr[used, None]).T, patterns[:, used] * snr[used]))
    total = np.array(total)
    free = setting.unknown(generator.domain)
    for name, deviation in setting.priors.items():
        place = free.index(name)
        total[:, place, place] += deviation**-2
    return total


@dataclass(frozen=True, eq=False)
class _Told:
    """Fisher information of columns over pixels ``vacuum_aa`` whose noise was ``smoothed`` [km/s]."""

    vacuum_aa: np.ndarray
    smoothed: float

    def __call__(self, columns: np.ndarray, patterns: np.ndarray) -> np.ndarray:
        """That of ``columns[p, pixel]`` in units of the noise, whatever amplitudes the ``patterns`` have."""
        every = np.concatenate([columns, patterns])
        total = every @ self._inverse(every.T)
        count = len(columns)
        own, mixed, unknown = total[:count, :count], total[:count, count:], total[count:, count:]
        return own - mixed @ np.linalg.solve(unknown + np.eye(len(unknown)), mixed.T)

    def _inverse(self, columns: np.ndarray) -> np.ndarray:
        """The inverse of the noise's correlations times ``columns[pixel, p]``."""
        if self.smoothed == 0:
            return columns
        from scipy.linalg import solveh_banded

        return solveh_banded(self._band, columns, lower=True, check_finite=False)

    @cached_property
    def _band(self) -> np.ndarray:
        """The correlations' diagonals ``[lag, pixel]``, with WHITE noise that keeps them apart from 0."""
        velocity, lags = (
            SPEED_OF_LIGHT_KMS * np.log(self.vacuum_aa),
            [np.full(self.vacuum_aa.size, 1 + WHITE)],
        )
        for lag in range(1, velocity.size):
            apart = (velocity[lag:] - velocity[:-lag]) / (2 * self.smoothed)
            if apart.min() > LAGS / 2:
                break
            lags.append(np.append(np.exp(-(apart**2)), np.zeros(lag)))
        return np.array(lags)


def _patterns(generator: Generator, labels, setting: Setting) -> Iterator[np.ndarray]:
    """Patterns ``[pattern, wavelength]`` of each star: of the physics error, and of a correction's own."""
    labels, vacuum = np.asarray(labels, np.float64), to_vacuum(setting.wavelength_aa, setting.medium)
    known = -1 if setting.continuum is None else setting.continuum
    for star, physics in zip(labels, _physics_patterns(generator, labels, setting), strict=True):
        if generator.correction is None:
            yield physics
            continue
        flux = generator.flux(star, wavelength_aa=setting.wavelength_aa, medium=setting.medium)
        at = np.append(star, 0.0)[None]
        own = correction_patterns(generator.correction, generator.domain, at, vacuum)[0]
        slopes = unknown_slopes(generator.correction, vacuum, known)
        yield np.concatenate([physics, own * flux, slopes * flux], dtype=np.float64)


def _physics_patterns(generator: Generator, labels: np.ndarray, setting: Setting) -> Iterator[np.ndarray]:
    """Patterns ``[pattern, wavelength]`` of the physics error of each star, its floor in bands."""
    physics, vacuum = generator.physics if setting.physics_error else None, setting.wavelength_aa
    vacuum = to_vacuum(vacuum, setting.medium)
    if physics is None:
        yield from np.zeros((len(labels), 0, vacuum.size))
        return
    known = -1 if setting.continuum is None else setting.continuum
    polynomials = physics.sizes.continuum * chebyshev(vacuum, ORDERS[1])[max(ORDERS[0], known + 1) :]
    model = generator.model.on(vacuum)
    finest = generator.model.chunks[0].finish.finest_resolution
    for star in labels:
        lines = model.patterns(physics.halves(generator.domain, star[None]), star[None], np.zeros(1))[0]
        resolution = dict(zip(generator.domain.names, star.tolist(), strict=True)).get("resolution", finest)
        edges = band_edges(vacuum, SHARING * SPEED_OF_LIGHT_KMS / resolution)
        band = np.searchsorted(edges, np.arange(vacuum.size), side="right") - 1
        floor = physics.sizes.floor * (band == np.arange(len(edges))[:, None])
        yield np.concatenate([lines, polynomials, floor]).astype(np.float64)


def model_derivatives(generator: Generator, labels, setting: Setting) -> np.ndarray:
    """Derivatives of the observed flux: float64[star, wavelength, parameter], the continuum's last."""
    domain, wavelength, labels = generator.domain, setting.wavelength_aa, np.asarray(labels, np.float64)
    # also a check of labels and wavelengths
    flux = generator.flux(labels, wavelength_aa=wavelength, medium=setting.medium).astype(np.float64)
    vacuum = to_vacuum(wavelength, setting.medium)
    derivatives = derivatives_of(generator.model.on(vacuum), slowest=0.0)
    derivatives = with_correction(derivatives, generator.correction, domain, vacuum)
    names, follow = setting.unknown(domain), ()
    if "alpha" in names:
        follow = setting.following(domain)
    wanted = [parameters(domain).index(name) for name in (*names, *follow)]
    columns = np.empty((*flux.shape, len(wanted)))
    for start in range(0, len(labels), PORTION):
        part = labels[start : start + PORTION]
        found = derivatives(part, np.zeros(len(part)), wanted)[:, 1:]
        columns[start : start + PORTION] = found.swapaxes(1, 2)
    columns, moved = columns[..., : len(names)], columns[..., len(names) :]
    if follow:
        columns[..., names.index("alpha")] += moved.sum(axis=-1)
    if setting.continuum is None:
        return columns
    place = np.interp(wavelength, wavelength[[0, -1]], [-1, 1])
    polynomials = np.polynomial.chebyshev.chebvander(place, setting.continuum)
    return np.concatenate([columns, flux[..., None] * polynomials], axis=-1)


def constrained_inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of an information matrix [n, n]; NaN in the rows and columns that it says nothing about.

    Those are the parameters without information of their own, and those whose effects others can make up
    together: the eigenvectors of almost no information, once every parameter has the unit of its own error.
    """
    inverse = np.full(matrix.shape, np.nan)
    own = np.diag(matrix)
    told = np.flatnonzero(own > 0)
    scale = np.sqrt(own[told])
    values, vectors = np.linalg.eigh(matrix[np.ix_(told, told)] / np.outer(scale, scale))
    good = values > DEGENERATE
    within = (vectors[:, ~good] ** 2).sum(1) < 1e-6
    found = (vectors[:, good] / values[good]) @ vectors[:, good].T / np.outer(scale, scale)
    kept = told[within]
    inverse[np.ix_(kept, kept)] = found[np.ix_(within, within)]
    return inverse
