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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from math import pi, sqrt

import numpy as np
from scipy.special import ndtr, ndtri

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference.coordinates import Coordinates
from starloom.inference.degrading import correlated
from starloom.inference.instrument import FWHM
from starloom.inference.minimise import is_held
from starloom.inference.setup import Setup

# Errors of the model `default` against held-out spectra: their correlation halves within 3 A for slow and
# 8 A for fast rotators; what is common to longer ranges the continuum takes up.
BAND_KMS = 200.0
# of a profile's full width: bands of it average what a Gaussian of that profile has smoothed as it does
SHARING = 2 * sqrt(pi) / FWHM
HEAVY_TAILS = 1.15  # rms over 68 % size of the same errors
SIGNIFICANT = 4.0  # standard deviations beyond which a misfit is taken for real
PORTION = 16  # stars at once: their arrays stay in the processor's cache
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
    ``physics_floor`` and ``patterns[pattern, pixel]``: of the physics error; ``prior_mean[p]`` and
    ``prior_deviation[p]``; ``chi2`` with all of them.
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
    prior_mean: np.ndarray
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
        return max(1, round(self.profile_kms / _pixel_kms(self.vacuum_aa.tobytes())))

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


@lru_cache(maxsize=8)
def _pixel_kms(vacuum_aa: bytes) -> float:
    """The median width of pixels."""
    wavelengths = np.frombuffer(vacuum_aa)
    return float(SPEED_OF_LIGHT_KMS * np.median(np.diff(wavelengths)) / np.median(wavelengths))


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Of a fit, as ``FitResult`` explains it."""

    covariance: np.ndarray
    bounds: np.ndarray
    intervals: np.ndarray
    inflation: float
    shared: float
    not_measured: tuple[str, ...] = ()


def uncertain_each(stars: Sequence[Neighbourhood], shifts: Sequence[np.ndarray]) -> list[Uncertainty]:
    """How well the parameters of each star are known, of one setup at common wavelengths, several at once.

    ``shifts[p]`` of each star as for ``intervals``.
    """
    found: dict[int, Uncertainty] = {}
    order = sorted(range(len(stars)), key=lambda row: stars[row].smoothed)
    for _, group in groupby(order, key=lambda row: stars[row].smoothed):
        rows = list(group)
        for start in range(0, len(rows), PORTION):
            part = rows[start : start + PORTION]
            own = [stars[row] for row in part]
            found |= zip(part, _uncertainties(own, np.array([shifts[row] for row in part])), strict=True)
    return [found[row] for row in range(len(stars))]


def _matrices(stars: Sequence[Neighbourhood]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of stars with one correlation of noise: covariance and bound of the coordinates that are free.

    ``[star, p, p]``, by how much shared noise enlarges the latter, and the factor of the former for misfit.
    """
    first, setup = stars[0], stars[0].setup
    free, count = list(setup.free), len(setup.free)
    slopes = np.array([setup.coordinates.slopes(star.parameters)[free] for star in stars])
    columns = np.array([star.columns for star in stars], np.float64)
    columns[:, :count] *= slopes[..., None]
    patterns = np.array([star.patterns for star in stars], np.float64)
    every = np.concatenate([columns, patterns], axis=1)
    information = np.zeros(every.shape[:2])
    information[:, :count] = _ends(setup)[free]
    information[:, columns.shape[1] :] = 1
    firm = np.zeros(every.shape[:2])
    firm[:, :count] = (slopes / np.array([star.prior_deviation[free] for star in stars])) ** 2
    used = np.array([star.used for star in stars])
    weight = np.where(used, 1 / np.array([star.error for star in stars]) ** 2, 0.0)
    noise_weight = np.where(used, 1 / np.array([star.noise for star in stars]) ** 2, 0.0)
    factor = np.array([_factor(star, own) for star, own in zip(stars, weight, strict=True)])
    pixel_error = np.array([star.pixel_error for star in stars])
    common = [(HEAVY_TAILS * np.array([star.model_error for star in stars]), band_edges(first.vacuum_aa))]
    own = np.array([_physics_floor(star, w, c) for star, w, c in zip(stars, weight, every, strict=True)])
    known = {"correlate": first.correlate, "factor": factor[:, None, None], "firm": firm, "shared": own}
    matrix = covariance(every, weight, pixel_error, common, information, **known)
    bound, shared = inverted((columns * noise_weight[:, None]) @ columns.swapaxes(1, 2)), np.ones(len(stars))
    if first.smoothed:
        moved = columns * np.sqrt(noise_weight)[:, None]
        alone = bound @ moved @ first.correlate(moved).swapaxes(1, 2) @ bound
        ratio = np.einsum("rpp->rp", alone) / np.einsum("rpp->rp", bound)
        bound, shared = alone, ratio[:, :count].mean(axis=1)
    return matrix, bound, shared, factor


def _ends(setup: Setup) -> np.ndarray:
    """What the ends of ranges tell of each coordinate; nothing of elements, of which the prior tells more."""
    ends = domain_information(setup.coordinates)
    ends[setup.coordinates.among(setup.elements)] = 0
    return ends


def _factor(star: Neighbourhood, weight: np.ndarray) -> float:
    left = star.without_patterns(weight) / star.error
    return inflation(left, star.used, star.dof, star.expected(star.profile_pixels), star.chi2)


def _physics_floor(star: Neighbourhood, weight: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The middle's part by the physics floor, whose bands are as wide as the star's own profile."""
    if not star.physics_floor.any():
        return np.zeros(2 * (len(columns),))
    edges = band_edges(star.vacuum_aa, SHARING * star.profile_kms)
    shared = np.add.reduceat(columns * (weight * star.physics_floor), edges, axis=-1)
    return shared @ shared.T


def _uncertainties(stars: Sequence[Neighbourhood], shifts: np.ndarray) -> list[Uncertainty]:
    """Of stars with one correlation of noise; ``shifts[star, p]``."""
    matrix, bound, shared, factor = _matrices(stars)
    setup, coordinates = stars[0].setup, stars[0].setup.coordinates
    parameters, rivals = (np.array([getattr(s, name) for s in stars]) for name in ("parameters", "rivals"))
    matrix, bound = (_widened(setup, block) for block in (matrix, bound))
    alone = without_ends(matrix, _ends(setup), factor[:, None]) + rivals
    total, bound = (in_parameters(coordinates, parameters, each) for each in (matrix + rivals, bound))
    found = intervals(coordinates, parameters, alone, shifts)
    untold = [_untold(star, own) for star, own in zip(stars, total, strict=True)]
    if setup.offsets:
        every = zip(stars, found, alone, shifts, strict=True)
        found = np.array([_element_intervals(*each) for each in every])
        total, bound = (setup.to_labels @ each @ setup.to_labels.T for each in (total, bound))
    # what noise leaves unknown the ends and priors may tell: no bound is above the whole
    bounds = np.sqrt(np.minimum(_diagonal(bound), _diagonal(total)))
    columns = total, bounds, found, factor.tolist(), shared.tolist(), untold
    return [Uncertainty(*each) for each in zip(*columns, strict=True)]


def _widened(setup: Setup, block: np.ndarray) -> np.ndarray:
    """The parts of matrices that belong to the free parameters as ones of all: ``[star, p, p]``."""
    free, count = np.array(setup.free, int), len(setup.coordinates.names)
    matrix = np.zeros((len(block), count, count))
    matrix[:, free[:, None], free] = block[:, : free.size, : free.size]
    return matrix


def _diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.einsum("...pp->...p", matrix)


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
    how far each coordinate would go beyond its end, alone; ``pulls``: by how many deviations, of labels that
    tell another kind of star.
    """

    names: tuple[str, ...]
    outside: bool
    shift: np.ndarray
    pulls: Mapping[str, float]


def beyond_bounds(names: tuple[str, ...], free: tuple[int, ...], place, slope, normal, low, high) -> Bounds:
    """What is at a bound of the free coordinates ``place``, where chi2 has ``slope`` and ``normal``.

    ``names`` are those of all parameters, of which ``free`` are the places of the free ones.
    """
    shift, pulls = np.zeros(len(names)), {}
    at = (place <= low + 1e-9) | (place >= high - 1e-9)
    held = is_held(place[None], slope[None], low + 1e-9, high - 1e-9)[0]
    for index in np.flatnonzero(held):
        released = np.flatnonzero(~held | (np.arange(len(free)) == index))
        row = int(np.flatnonzero(released == index)[0])
        # where nothing is known, rounding may leave it below zero
        variance = max(float(inverted(normal[np.ix_(released, released)])[row, row]), 0.0)
        shift[free[index]] = variance * slope[index]
        if place[index] > 0.5 or names[free[index]] not in WIDTHS:
            pulls[names[free[index]]] = float(abs(slope[index]) * sqrt(variance))
    outside = max(pulls.values(), default=0.0) > FAR
    return Bounds(tuple(names[free[index]] for index in np.flatnonzero(at)), outside, shift, pulls)


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
    factor: np.ndarray | float = 1.0,
    firm: np.ndarray | float = 0.0,
    shared: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Covariance ``[..., p, p]`` of the columns' parameters.

    ``columns[..., p, pixel]`` are derivatives, ``weight`` and ``noise`` (standard deviation) are per pixel,
    as are the standard deviations of what is ``common`` to bands, each with the bands' first pixels;
    ``information[..., p]`` is known beforehand (1 / variance). ``correlate`` multiplies ``[..., p, pixel]``
    by the correlations of the noise; by default there are none. All is multiplied by ``factor``, but not
    what is ``firm[..., p]``, further knowledge of the parameters. ``shared[..., p, p]`` adds to the middle.
    """
    weighted, own = columns * weight[..., None, :], np.eye(columns.shape[-2])
    known = own * (information + firm)[..., None, :]
    normal = weighted @ columns.swapaxes(-1, -2) + known
    moved = weighted * noise[..., None, :]
    middle = moved @ correlate(moved).swapaxes(-1, -2) + own * information[..., None, :] + shared
    for size, edges in common:
        of_band = np.add.reduceat(weighted * size[..., None, :], edges, axis=-1)
        middle += of_band @ of_band.swapaxes(-1, -2)
    inverse = np.linalg.inv(normal)
    firmly = own * (np.zeros_like(information) + firm)[..., None, :]
    return inverse @ (factor * middle + firmly) @ inverse


def domain_information(coordinates: Coordinates) -> np.ndarray:
    """What the ends tell of each coordinate: 12 / range^2, as a uniform distribution; nothing of velocity."""
    return np.append(np.full(len(coordinates.names) - 1, 12.0), 0.0)


def without_ends(matrix: np.ndarray, ends: np.ndarray, inflated: np.ndarray | float) -> np.ndarray:
    """A covariance ``[..., p, p]`` of coordinates, each variance without what its own ``ends`` tell."""
    # of a normal matrix with 12 added to one diagonal element: Sherman & Morrison (1950)
    left = np.maximum(1 - _diagonal(matrix) * ends / inflated, 1e-4)
    scale = 1 / np.sqrt(left)
    return matrix * scale[..., None, :] * scale[..., None]


def inverted(normal: np.ndarray) -> np.ndarray:
    """Inverses of normal matrices, the Cramer-Rao bounds; huge, not infinite, where nothing is known."""
    scale = np.sqrt(np.maximum(np.einsum("...pp->...p", normal), 1e-30))
    scaled = normal / scale[..., None, :] / scale[..., None] + 1e-12 * np.eye(normal.shape[-1])
    return np.linalg.inv(scaled) / scale[..., None, :] / scale[..., None]


def in_parameters(coordinates: Coordinates, parameters: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A covariance ``[..., p, p]`` of coordinates as one of the ``parameters[..., p]``.

    v sin i is a root of its coordinate near 0, so its slope is that of the chord over one standard deviation.
    """
    place, slopes = coordinates.from_parameters(parameters), coordinates.slopes(parameters)
    for index in coordinates.rotations:
        deviation = np.sqrt(matrix[..., index, index])
        ends = np.clip(place[..., index] + np.multiply.outer((-1, 1), deviation), 0, 1)
        low, high = coordinates.axes[index].label(ends)
        known = ends[1] > ends[0]
        chord = (high - low) / np.where(known, ends[1] - ends[0], 1.0)
        slopes[..., index] = np.where(known, chord, slopes[..., index])
    return slopes[..., None] * matrix * slopes[..., None, :]


def correlations(
    size: np.ndarray, used: np.ndarray, vacuum_aa: np.ndarray, smoothed: float, reach: int
) -> np.ndarray:
    """Correlation by noise of a ``used`` pixel with its first to ``reach``-th neighbour: ``[reach]``.

    ``size[pixel]`` is what of a pixel's error is noise, ``smoothed`` as in ``Neighbourhood``.
    """
    found = np.zeros(reach)
    if not smoothed or not size.any():
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
    """68 % intervals ``[..., p, 2]`` within the domain; ``covariance`` of coordinates, without own ends.

    Each is the shortest of a normal distribution cut off at the ends of the range: symmetric where they
    are far, and one-sided at an end. Its centre is the value plus ``shift[p]``, by which a coordinate
    held at an end would leave it. For v sin i that is so in its coordinate, for the others in the
    parameter itself.
    """
    domain, slopes = coordinates.domain, coordinates.slopes(parameters)
    variance = _diagonal(covariance)
    size = slopes * np.sqrt(variance)
    low, high = np.append(domain.low, -np.inf), np.append(domain.high, np.inf)
    low = np.broadcast_to(low, parameters.shape).copy()
    if domain.floor is not None:
        low[..., domain.index("logg")] = domain.lowest_logg(parameters[..., :-1])
    ends = np.stack(_shortest(parameters + slopes * shift, size, low, high), axis=-1)
    for index in coordinates.rotations:
        axis, deviation = coordinates.axes[index], np.sqrt(variance[..., index])
        centre = axis.place(parameters[..., index]) + shift[..., index]
        found = axis.label(np.stack(_shortest(centre, deviation, 0.0, 1.0), axis=-1))
        ends[..., index, :] = np.clip(found, domain.low[index], domain.high[index])
    return np.where((variance > 0)[..., None], ends, parameters[..., None])


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
