r"""The covariance of fitted parameters: noise, the generator's own error, and misfit.

Around the minimum the estimate moves by :math:`N^{-1} J^T W \epsilon` when the data move by
:math:`\epsilon`, with the weights W of the fit and :math:`N = J^T W J`, so

.. math:: C = N^{-1} (J^T W \Sigma W J) N^{-1}, \qquad \Sigma = \mathrm{diag}(\sigma^2) + M .

Where the noise of pixels is smoothed, as ``starloom.degrade`` tells, its part has correlations between them.
M, the covariance of the generator's error, has the size that the model states. The error is correlated
between neighbouring pixels: it counts as common to all pixels within BAND_KMS, and as independent between
bands; so does the floor of the physics error, within a width of the instrument's profile. The amplitudes of
the patterns of the physics error are further parameters, each known to be 0 +- 1. Priors and the ends of the
labels' ranges are knowledge too: each adds to N and to the middle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from scipy.special import ndtr, ndtri

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference.coordinates import Coordinates
from starloom.inference.degrading import correlated
from starloom.inference.minimise import is_held
from starloom.inference.setup import Setup

# Errors of the model `default` against held-out spectra: their correlation halves within 3 A for slow and
# 8 A for fast rotators; what is common to longer ranges the continuum takes up.
BAND_KMS = 200.0
FWHM = 2.3548  # of a Gaussian, in its standard deviations
# of a profile's full width: bands of it average what a Gaussian of that profile has smoothed as it does
SHARING = 2 * sqrt(pi) / FWHM
HEAVY_TAILS = 1.15  # rms over 68 % size of the same errors
SIGNIFICANT = 4.0  # standard deviations beyond which a misfit is taken for real
PULLED = 3.0  # standard deviations of what is asked for [alpha/M] to be another than the one held
UNTOLD = 0.8  # of the prior's standard deviation: above it an element is said not to be measured
FAR = 3.0  # standard deviations beyond a bound at which the domain is said to be left
# lines sharper than the instrument's, or than thermal ones, are no sign of another kind of star
WIDTHS = ("vsini", "vmac", "vmic", "resolution", "velocity")


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A fitted star around its minimum; arrays without a name for their axis are per pixel.

    ``parameters[p]``; ``columns[free + coefficient, pixel]``: derivatives of the model; ``residual``:
    observed minus model; ``used``; ``noise``, ``floor`` (as ``Settings`` asks for) and ``model_error`` (of
    the generator): standard deviations; ``dof``: degrees of freedom; ``rivals[p, p]``: what other minima add
    to the covariance of the coordinates; ``smoothed``: what the noise was smoothed with [km/s];
    ``physics_floor`` and ``patterns[pattern, pixel]``: of the physics error; ``prior_deviation[p]``;
    ``chi2`` with all of them.
    """

    setup: Setup
    parameters: np.ndarray
    columns: np.ndarray
    residual: np.ndarray
    used: np.ndarray
    noise: np.ndarray
    floor: np.ndarray
    model_error: np.ndarray
    vacuum_aa: np.ndarray
    dof: int
    rivals: np.ndarray
    smoothed: float
    physics_floor: np.ndarray
    patterns: np.ndarray
    prior_deviation: np.ndarray
    chi2: float

    @property
    def error(self) -> np.ndarray:
        """Noise, floors and the generator's error together."""
        return np.sqrt(self.pixel_error**2 + self.model_error**2 + self.physics_floor**2)

    @property
    def pixel_error(self) -> np.ndarray:
        """Noise and floor: what is independent from pixel to pixel, or smoothed."""
        return np.hypot(self.noise, self.floor)

    def correlate(self, values: np.ndarray) -> np.ndarray:
        """``values[p, pixel]`` times the correlations of the noise between pixels."""
        return correlated(values, self.vacuum_aa, self.smoothed)

    @property
    def profile_kms(self) -> float:
        """Full width at half maximum of the instrument's profile."""
        return float(SPEED_OF_LIGHT_KMS / self.setup.resolution(self.parameters))

    @property
    def profile_pixels(self) -> int:
        """Pixels in a width of the instrument's profile."""
        step = SPEED_OF_LIGHT_KMS * np.median(np.diff(self.vacuum_aa)) / np.median(self.vacuum_aa)
        return max(1, round(float(self.profile_kms / step)))

    @property
    def common(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Errors that neighbours share: standard deviations, and the first pixel of each band that does."""
        shared = [(HEAVY_TAILS * self.model_error, band_edges(self.vacuum_aa))]
        if self.physics_floor.any():
            shared.append((self.physics_floor, band_edges(self.vacuum_aa, SHARING * self.profile_kms)))
        return shared

    def without_patterns(self, weight: np.ndarray) -> np.ndarray:
        """The residual less the patterns with their likeliest amplitudes."""
        seen = self.patterns * weight
        normal = seen @ self.patterns.T + np.eye(len(seen))
        return self.residual - np.linalg.solve(normal, seen @ self.residual) @ self.patterns

    def expected(self, reach: int) -> np.ndarray:
        """Correlation of a pixel's error with that of its first to ``reach``-th neighbour, as it is known."""
        found, wide = np.zeros(reach), self.profile_kms / FWHM
        for size, smoothed in ((self.pixel_error, self.smoothed), (self.physics_floor, wide)):
            found += correlations(size / self.error, self.used, self.vacuum_aa, smoothed, reach)
        return found

    def widened(self, block: np.ndarray) -> np.ndarray:
        """The part of a matrix that belongs to the free parameters as one of all: ``[p, p]``."""
        free = self.setup.free
        matrix = np.zeros(2 * self.parameters.shape)
        matrix[np.ix_(free, free)] = block[: len(free), : len(free)]
        return matrix


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Of a fit, as ``FitResult`` explains it."""

    covariance: np.ndarray
    bounds: np.ndarray
    intervals: np.ndarray
    inflation: float
    shared: float
    not_measured: tuple[str, ...] = ()


def uncertain(star: Neighbourhood, shift: np.ndarray) -> Uncertainty:
    """How well the parameters are known; ``shift[p]`` as for ``intervals``."""
    coordinates, free = star.setup.coordinates, list(star.setup.free)
    slopes = coordinates.slopes(star.parameters)[free]
    columns = star.columns.astype(np.float64)
    columns[: len(free)] *= slopes[:, None]
    ends = domain_information(coordinates)
    ends[coordinates.among(star.setup.elements)] = 0  # of which the prior tells more
    information = np.zeros(len(columns))
    information[: len(free)] = ends[free]
    information = np.append(information, np.ones(len(star.patterns)))
    firm = np.zeros(len(information))
    firm[: len(free)] = (slopes / star.prior_deviation[free]) ** 2
    weight, noise_weight = (np.where(star.used, 1 / error**2, 0.0) for error in (star.error, star.noise))
    left = star.without_patterns(weight) / star.error
    factor = inflation(left, star.used, star.dof, star.expected(star.profile_pixels), star.chi2)
    every, errors = np.concatenate([columns, star.patterns]), (star.pixel_error, star.common)
    matrix = star.widened(covariance(every, weight, *errors, information, star.correlate, factor, firm))
    bound, shared = inverted((columns * noise_weight) @ columns.T), 1.0
    if star.smoothed:
        moved = columns * np.sqrt(noise_weight)
        alone = bound @ moved @ star.correlate(moved).T @ bound
        shared = float((np.diag(alone) / np.diag(bound))[: len(free)].mean())
        bound = alone
    bound = star.widened(bound)
    alone = without_ends(matrix, ends, factor) + star.rivals
    total, bound = (
        in_parameters(coordinates, star.parameters, each) for each in (matrix + star.rivals, bound)
    )
    found, untold = intervals(coordinates, star.parameters, alone, shift), _untold(star, total)
    if star.setup.offsets:
        found = _element_intervals(star, found, alone, shift)
        total, bound = (star.setup.to_labels @ each @ star.setup.to_labels.T for each in (total, bound))
    # what noise leaves unknown the ends and priors may tell: no bound is above the whole
    bound = np.minimum(np.diag(bound), np.diag(total))
    return Uncertainty(total, np.sqrt(bound), found, factor, shared, untold)


def _untold(star: Neighbourhood, covariance: np.ndarray) -> tuple[str, ...]:
    """Elements that are known hardly better than beforehand, by a ``covariance`` of the fit's parameters."""
    names = star.setup.coordinates.names
    told = np.sqrt(np.diag(covariance)) <= UNTOLD * star.prior_deviation
    return tuple(name for name in star.setup.elements if not told[names.index(name)])


def _element_intervals(
    star: Neighbourhood, found: np.ndarray, covariance: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """The intervals ``found[p, 2]`` with those of [X/M] for elements that are counted from their default.

    They end where the domain does at the best labels; else as ``intervals``.
    """
    setup, found, slopes = star.setup, found.copy(), star.setup.coordinates.slopes(star.parameters)
    size = np.sqrt(np.diag((setup.to_labels * slopes) @ covariance @ (setup.to_labels * slopes).T))
    at = setup.given(star.parameters)
    for index in setup.coordinates.among(setup.offsets):
        ends = np.array([setup.domain.low[index], setup.domain.high[index]])
        ends += at[index] - star.parameters[index]
        centre = at[index] + slopes[index] * shift[index]
        found[index] = np.ravel(_shortest(np.array([centre]), size[[index]], ends[:1], ends[1:]))
    return found


@dataclass(frozen=True, eq=False)
class Bounds:
    """Free parameters at an end of their range.

    ``names``; whether the spectrum asks for labels more than FAR deviations ``outside``; ``shift[p]``:
    how far each coordinate would go beyond its end, alone.
    """

    names: tuple[str, ...]
    outside: bool
    shift: np.ndarray


def beyond_bounds(names: tuple[str, ...], free: tuple[int, ...], place, slope, normal, low, high) -> Bounds:
    """What is at a bound of the free coordinates ``place``, where chi2 has ``slope`` and ``normal``.

    ``names`` are those of all parameters, of which ``free`` are the places of the free ones.
    """
    shift, outside = np.zeros(len(names)), False
    at = (place <= low + 1e-9) | (place >= high - 1e-9)
    held = is_held(place[None], slope[None], low + 1e-9, high - 1e-9)[0]
    for index in np.flatnonzero(held):
        released = np.flatnonzero(~held | (np.arange(len(free)) == index))
        row = int(np.flatnonzero(released == index)[0])
        variance = inverted(normal[np.ix_(released, released)])[row, row]
        shift[free[index]] = variance * slope[index]
        telling = place[index] > 0.5 or names[free[index]] not in WIDTHS
        outside |= telling and bool(abs(slope[index]) * sqrt(variance) > FAR)
    return Bounds(tuple(names[free[index]] for index in np.flatnonzero(at)), outside, shift)


def pull(index: int, place, slope, normal, low, high) -> float:
    """Standard deviations by which chi2 asks one of the free coordinates ``place`` to change.

    That of its ``slope``, which the other coordinates have at 0 or against a bound, with these free: Rao's
    score test (1948, Proc. Cambridge Phil. Soc. 44, 50); it is the projection of the weighted residual on the
    derivative by this coordinate, less what the others can do.
    """
    others = ~is_held(place[None], slope[None], low + 1e-9, high - 1e-9)[0]
    others[index] = True
    row = int(others[:index].sum())
    variance = inverted(normal[np.ix_(others, others)])[row, row]
    return float(slope[index] * sqrt(variance))


def band_edges(vacuum_aa: np.ndarray, width_kms: float = BAND_KMS) -> np.ndarray:
    """First pixel of each band of a width."""
    band = np.floor(SPEED_OF_LIGHT_KMS * np.log(vacuum_aa / vacuum_aa[0]) / width_kms).astype(int)
    return np.concatenate([[0], np.flatnonzero(np.diff(band)) + 1])


def covariance(
    columns: np.ndarray,
    weight: np.ndarray,
    noise: np.ndarray,
    common: Sequence[tuple[np.ndarray, np.ndarray]],
    information,
    correlate: Callable[[np.ndarray], np.ndarray] = np.asarray,
    factor: float = 1.0,
    firm: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Covariance ``[p, p]`` of the columns' parameters.

    ``columns[p, pixel]`` are derivatives, ``weight`` and ``noise`` (standard deviation) are per pixel, as are
    the standard deviations of what is ``common`` to bands, each with the bands' first pixels;
    ``information[p]`` is known beforehand (1 / variance). ``correlate`` multiplies ``[p, pixel]`` by the
    correlations of the noise; by default there are none. All is multiplied by ``factor``, but not what is
    ``firm[p]``, further knowledge of the parameters.
    """
    weighted, own = columns * weight, np.eye(len(columns))
    normal = weighted @ columns.T + own * (information + firm)
    moved = weighted * noise
    middle = moved @ correlate(moved).T + own * information
    for size, edges in common:
        shared = np.add.reduceat(weighted * size, edges, axis=1)
        middle += shared @ shared.T
    inverse = np.linalg.inv(normal)
    return inverse @ (factor * middle + own * firm) @ inverse


def domain_information(coordinates: Coordinates) -> np.ndarray:
    """What the ends tell of each coordinate: 12 / range^2, as a uniform distribution; nothing of velocity."""
    return np.append(np.full(len(coordinates.names) - 1, 12.0), 0.0)


def without_ends(matrix: np.ndarray, ends: np.ndarray, inflated: float) -> np.ndarray:
    """A covariance ``[p, p]`` of coordinates, each variance as it were without what its own ``ends`` tell."""
    # of a normal matrix with 12 added to one diagonal element: Sherman & Morrison (1950)
    left = np.maximum(1 - np.diag(matrix) * ends / inflated, 1e-4)
    scale = 1 / np.sqrt(left)
    return matrix * scale * scale[:, None]


def inverted(normal: np.ndarray) -> np.ndarray:
    """The inverse of a normal matrix, the Cramer-Rao bound; huge, not infinite, where nothing is known."""
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    scaled = normal / scale / scale[:, None] + 1e-12 * np.eye(len(normal))
    return np.linalg.inv(scaled) / scale / scale[:, None]


def in_parameters(coordinates: Coordinates, parameters: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A covariance ``[p, p]`` of coordinates as one of the ``parameters``.

    v sin i is a root of its coordinate near 0, so its slope is that of the chord over one standard deviation.
    """
    place, slopes = coordinates.from_parameters(parameters), coordinates.slopes(parameters)
    for index in coordinates.rotations:
        deviation = sqrt(matrix[index, index])
        if deviation > 0:
            ends = np.clip(place[index] + np.array([-1, 1]) * deviation, 0, 1)
            low, high = coordinates.axes[index].label(ends)
            slopes[index] = (high - low) / (ends[1] - ends[0])
    return slopes[:, None] * matrix * slopes


def correlations(
    size: np.ndarray, used: np.ndarray, vacuum_aa: np.ndarray, smoothed: float, reach: int
) -> np.ndarray:
    """Correlation by noise of a ``used`` pixel with its first to ``reach``-th neighbour: ``[reach]``.

    ``size[pixel]`` is what of a pixel's error is noise, ``smoothed`` as in ``Neighbourhood``.
    """
    found = np.zeros(reach)
    if not smoothed:
        return found
    velocity, size = SPEED_OF_LIGHT_KMS * np.log(vacuum_aa), np.where(used, size, 0.0)
    for k in range(1, min(reach, size.size - 1) + 1):
        shared = np.exp(-(((velocity[k:] - velocity[:-k]) / (2 * smoothed)) ** 2))
        found[k - 1] = (size[k:] * size[:-k] * shared).sum() / max(used.sum(), 1)
    return found


def inflation(
    residual: np.ndarray, used: np.ndarray, dof: int, expected: np.ndarray, chi2: float | None = None
) -> float:
    """Factor >= 1 of the covariance for misfit: reduced chi2 times the correlation of the residuals.

    The correlation length is 1 + 2 sum rho_k over a width of the instrument's profile: what it is that makes
    neighbouring pixels fail together; over that of the rho_k ``expected[k]`` of the noise. Both factors count
    only where they are SIGNIFICANT. ``chi2`` is what the residuals' squares add up to, unless given.
    """
    reach = len(expected)
    r = np.where(used, residual, 0.0)
    total = float((r**2).sum())
    if total == 0:
        return 1.0
    reduced = (total if chi2 is None else chi2) / dof
    length = float(1 + 2 * sum((r[:-k] * r[k:]).sum() for k in range(1, reach + 1)) / total)
    length /= 1 + 2 * expected.sum()
    # the variance of chi2 is 2 dof, or more where noise is shared, that of each rho_k of white noise 1 / dof
    scatter = sqrt(2 * (1 + 2 * (expected**2).sum()) / dof)
    reduced = reduced if abs(reduced - 1) > SIGNIFICANT * scatter else 1.0
    length = length if length - 1 > SIGNIFICANT * 2 * sqrt(reach / dof) else 1.0
    return max(1.0, reduced * length)


def intervals(
    coordinates: Coordinates, parameters: np.ndarray, covariance: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """68 % intervals ``[p, 2]`` within the domain; ``covariance`` of coordinates, without their own ends.

    Each is the shortest of a normal distribution cut off at the ends of the range: symmetric where they
    are far, and one-sided at an end. Its centre is the value plus ``shift[p]``, by which a coordinate
    held at an end would leave it. For v sin i that is so in its coordinate, for the others in the
    parameter itself.
    """
    domain, slopes = coordinates.domain, coordinates.slopes(parameters)
    size = slopes * np.sqrt(np.diag(covariance))
    low, high = np.append(domain.low, -np.inf), np.append(domain.high, np.inf)
    if domain.floor is not None:
        low[domain.index("logg")] = domain.lowest_logg(parameters[:-1])
    ends = np.stack(_shortest(parameters + slopes * shift, size, low, high), axis=-1)
    for index in coordinates.rotations:
        axis, deviation = coordinates.axes[index], np.sqrt(covariance[[index], [index]])
        centre = axis.place(parameters[[index]]) + shift[index]
        found = axis.label(np.ravel(_shortest(centre, deviation, np.zeros(1), np.ones(1))))
        ends[index] = np.clip(found, domain.low[index], domain.high[index])
    return np.where((np.diag(covariance) > 0)[:, None], ends, parameters[:, None])


def _shortest(centre, size, low, high, share: float = 0.6827) -> tuple[np.ndarray, np.ndarray]:
    """The shortest intervals that hold ``share`` of normal distributions cut off at ``low`` and ``high``."""
    size = np.maximum(size, 1e-12)
    # beyond 30 deviations the tail is an exponential that no float64 distinguishes from the one at 30
    left, right = np.clip((low - centre) / size, -30, 30), np.clip((high - centre) / size, -30, 30)
    whole = ndtr(right) - ndtr(left)
    # in the tails, from the side where nothing cancels
    whole = np.where(left > 0, ndtr(-left) - ndtr(-right), whole)
    half = ndtri(0.5 + share * whole / 2)
    start, end = -half, half
    at_low = (left > -half) | (left > 0)
    at_high = ~at_low & (right < half)
    with np.errstate(invalid="ignore"):
        end = np.where(
            at_low,
            np.where(left > 0, -ndtri(ndtr(-left) - share * whole), ndtri(ndtr(left) + share * whole)),
            end,
        )
        start = np.where(
            at_high,
            np.where(right < 0, ndtri(ndtr(right) - share * whole), -ndtri(ndtr(-right) + share * whole)),
            start,
        )
    start, end = np.where(at_low, left, start), np.where(at_high, right, end)
    return np.maximum(centre + start * size, low), np.minimum(centre + end * size, high)
