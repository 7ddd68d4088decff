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

It is a statement about small errors: the flux is taken as linear in the parameters over the size of the
bound. The generator's own error and the correlation of resampled pixels are not in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError
from starloom.io.gaia import WAVELENGTH_NM
from starloom.labels import DOMAIN, LABELS, NAMES
from starloom.networks.generator import Generator
from starloom.units import plain

PARAMETERS = (*NAMES, "velocity")
VELOCITY_STEP_KMS = 1.0
HIGHEST_ORDER = 20
# parameters whose effects agree to 3e-5 of their size are one: the flux is known to float32
DEGENERATE = 1e-9
NO_INFORMATION = 1e3  # a bound of so many times a label's range is none


@dataclass(frozen=True, eq=False)
class Setting:
    """What is observed and what is known beforehand.

    ``snr``: signal-to-noise ratio of a pixel in the continuum, a number or one for each wavelength (0: a
    pixel that is not used). ``wavelength_aa``: increasing wavelengths [A] in ``medium`` of independent
    pixels; None: the 2401 points of Gaia's RVS mean spectra. ``continuum``: order of the polynomial that is
    not known (0: scale, 1: scale and slope); None: it is known. ``fixed``: parameters that are known, of
    PARAMETERS. ``priors``: standard deviations of Gaussian knowledge, by name. Raises ConfigError or
    OutOfRangeError for what makes no sense.
    """

    snr: float | np.ndarray
    wavelength_aa: np.ndarray | None = None
    medium: str = "vacuum"
    continuum: int | None = 1
    fixed: Iterable[str] = ("resolution",)
    priors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        if self.wavelength_aa is None:
            object.__setattr__(self, "wavelength_aa", 10 * WAVELENGTH_NM)
            if self.medium != "vacuum":
                raise ConfigError("medium: the points of Gaia's spectra are in vacuum; give wavelength_aa")
        object.__setattr__(self, "wavelength_aa", plain("wavelength", self.wavelength_aa, "Angstrom"))
        object.__setattr__(self, "priors", MappingProxyType(dict(self.priors)))
        object.__setattr__(self, "fixed", tuple(dict.fromkeys(self.fixed)))
        snr = plain("snr", self.snr, "")
        if snr.shape not in ((), self.wavelength_aa.shape):
            raise ConfigError(f"snr has the shape {snr.shape}, the wavelengths {self.wavelength_aa.shape}")
        if not (np.isfinite(snr).all() and (snr >= 0).all() and (snr > 0).any()):
            raise OutOfRangeError(f"snr = {self.snr} must be finite and positive (0: a pixel not used)")
        if self.continuum is not None and not 0 <= self.continuum <= HIGHEST_ORDER:
            raise OutOfRangeError(f"continuum = {self.continuum} is outside [0, {HIGHEST_ORDER}]")
        for name in (*self.fixed, *self.priors):
            if name not in PARAMETERS:
                raise ConfigError(f"{name!r} is not one of {', '.join(PARAMETERS)}")
        for name, deviation in self.priors.items():
            if name in self.fixed:
                raise ConfigError(f"{name} is fixed and has a prior: give one of them")
            if not 0 < deviation < np.inf:
                raise OutOfRangeError(f"prior of {name} = {deviation} is not a positive standard deviation")

    @property
    def free(self) -> tuple[str, ...]:
        """Parameters that are not fixed, in the order of PARAMETERS."""
        return tuple(name for name in PARAMETERS if name not in self.fixed)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Cramer-Rao bounds at ``labels`` (by name).

    ``bounds``: the smallest standard deviation of each parameter, in its unit, by name; 0 for a fixed one,
    inf where the spectrum does not constrain it. ``alone``: the same if it were the only unknown.
    ``covariance`` of the free parameters ``names``: float64[n, n], NaN in the rows of those without a bound.
    """

    labels: Mapping[str, float]
    names: tuple[str, ...]
    bounds: Mapping[str, float]
    alone: Mapping[str, float]
    covariance: np.ndarray

    def remark(self, name: str) -> str:
        """What to know about a bound, in words; empty for a good one."""
        bound = self.bounds[name]
        if name not in self.names:
            return "fixed"
        if name not in NAMES:
            return "unconstrained" if np.isinf(bound) else ""
        label = LABELS[NAMES.index(name)]
        if np.isinf(bound):
            only_square = name == "vsini" and self.labels[name] == 0
            return "unconstrained" + (": flux depends on its square here" if only_square else "")
        if name == "vsini" and bound > self.labels[name]:
            # the flux is linear in the square of a small v sin i: a variance of 2 v bound
            limit = np.sqrt(self.labels[name] * (self.labels[name] + 2 * bound))
            return f"not told from 0: upper limit {limit:.3g} {label.unit} (68 %)"
        return "unconstrained: exceeds the label's range" if bound > label.high - label.low else ""


def forecast(generator: Generator, labels, setting: Setting) -> Forecast:
    """Bounds for one star, ``labels`` float[6] in the order and units of LABELS.

    Raises OutOfRangeError outside the domain or the generator's wavelengths, ConfigError where JAX, from
    which the derivatives come, is not installed.
    """
    labels = plain("labels", labels, "")
    if labels.shape != (len(NAMES),):
        raise ConfigError(f"labels have the shape {labels.shape}, expected ({len(NAMES)},)")
    names = setting.free
    if not names:
        raise ConfigError("every parameter is fixed: nothing is left to forecast")
    covariance = covariances(generator, labels[None], setting)[0]
    alone = 1 / np.sqrt(np.diag(information(generator, labels[None], setting)[0])[: len(names)].clip(1e-300))
    bounds = np.where(np.isnan(np.diag(covariance)), np.inf, np.sqrt(np.diag(covariance)))
    known = dict.fromkeys(setting.fixed, 0.0)
    return Forecast(
        MappingProxyType(dict(zip(NAMES, labels.tolist(), strict=True))),
        names,
        MappingProxyType(dict(zip(names, bounds.tolist(), strict=True)) | known),
        MappingProxyType(dict(zip(names, alone.tolist(), strict=True)) | known),
        covariance,
    )


def covariances(generator: Generator, labels, setting: Setting) -> np.ndarray:
    """Smallest covariance of the free parameters: float64[star, n, n] of ``labels[star, 6]``.

    NaN in the rows and columns of a parameter that the spectrum does not constrain.
    """
    inverse = np.stack([constrained_inverse(one) for one in information(generator, labels, setting)])
    count = len(setting.free)
    inverse = inverse[:, :count, :count]
    lengths = np.array([*(DOMAIN.high - DOMAIN.low), np.inf])
    largest = NO_INFORMATION * lengths[[PARAMETERS.index(name) for name in setting.free]]
    none = np.diagonal(inverse, axis1=1, axis2=2) > largest**2
    inverse[none[:, :, None] | none[:, None, :]] = np.nan
    return inverse


def information(generator: Generator, labels, setting: Setting) -> np.ndarray:
    """Fisher information of the free parameters, then the continuum's: float64[star, m, m]."""
    derivatives = model_derivatives(generator, labels, setting)
    weighted = derivatives * np.broadcast_to(setting.snr, setting.wavelength_aa.shape)[:, None]
    total = weighted.swapaxes(-1, -2) @ weighted
    for name, deviation in setting.priors.items():
        place = setting.free.index(name)
        total[:, place, place] += deviation**-2
    return total


def model_derivatives(generator: Generator, labels, setting: Setting) -> np.ndarray:
    """Derivatives of the observed flux: float64[star, wavelength, parameter], the continuum's last.

    By the labels exactly, by the velocity from four fluxes around rest (error of fourth order in 1 km/s over
    the width of a line, which is 11 km/s at least: below 1e-4).
    """
    view = {"wavelength_aa": setting.wavelength_aa, "medium": setting.medium}
    labels = np.asarray(labels, np.float64)
    columns = generator.jacobian(labels, **view).astype(np.float64)
    if "velocity" in setting.free:
        columns = np.concatenate([columns, _by_velocity(generator, labels, view)[..., None]], axis=-1)
    columns = columns[..., [PARAMETERS.index(name) for name in setting.free]]
    if setting.continuum is None:
        return columns
    place = np.interp(setting.wavelength_aa, setting.wavelength_aa[[0, -1]], [-1, 1])
    polynomials = np.polynomial.chebyshev.chebvander(place, setting.continuum)
    flux = generator.flux(labels, **view).astype(np.float64)
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


def _by_velocity(generator: Generator, labels: np.ndarray, view: dict) -> np.ndarray:
    """Derivative of the flux [star, wavelength] by the radial velocity, per km/s."""
    step = VELOCITY_STEP_KMS
    fluxes = {
        n: generator.flux(labels, radial_velocity=n * step, **view).astype(np.float64) for n in (-2, -1, 1, 2)
    }
    return (8 * (fluxes[1] - fluxes[-1]) - (fluxes[2] - fluxes[-2])) / (12 * step)
