"""Spectra at their own pixels, uneven and with gaps, as an instrument of lower resolution sees them."""

from dataclasses import dataclass

import numpy as np

from starloom.broadening.kernels import instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS

GAP = 1.9  # times the spacing around: wider ones are gaps between pixels
AROUND = 15  # spacings that are around one
QUARTER = 0.75  # of them are no wider than the usual one: so in orders whose pixels coincide in pairs too
DEGREE = 8  # of the polynomials that are smoothed exactly, whatever the pixels
FEWEST = DEGREE + 3  # pixels that a sum is made of
REACH = 6.0  # of the kernel, in its standard deviations
LARGEST_LOSS = 0.02  # share of the kernel over gaps and bad pixels that a good pixel may have
LITTLE_LOSS = 1e-3  # beyond it a polynomial of high degree would make more of the other side than there is
LARGEST_SUM = 3.0  # of the weights' sizes: theirs is 1, and 1.5 where a kernel is a third of a pixel
RIDGE = 1e-11
PORTION = 1024  # pixels at once


@dataclass(frozen=True, eq=False)
class Degraded:
    r"""Flux, variance and whether it can be used, of each pixel; not-a-number where it cannot.

    Noise is correlated between pixels as if smoothed by a Gaussian of the standard deviation
    ``smoothed_kms`` = s: by :math:`\exp(-v^2 / 4 s^2)`.

    ``good`` is true where a pixel can be used; ``variance`` is that of its noise.
    """

    flux: np.ndarray
    variance: np.ndarray
    good: np.ndarray
    smoothed_kms: float


def pixel_ends(wavelength_aa) -> tuple[np.ndarray, np.ndarray]:
    """First and last wavelength [A] of pixels with increasing centres: half way to their neighbours.

    Beside a gap, a spacing more than GAP times the usual one around, it is half of that. One pixel alone has
    no width.
    """
    wavelength_aa = np.asarray(wavelength_aa, dtype=float)
    spacing = np.diff(wavelength_aa)
    if spacing.size == 0:
        return wavelength_aa, wavelength_aa
    many = min(AROUND, spacing.size)
    padded = np.pad(spacing, (many // 2, (many - 1) // 2), mode="edge")
    usual = np.quantile(
        np.lib.stride_tricks.sliding_window_view(padded, many), QUARTER, axis=-1, method="lower"
    )
    half = np.where(spacing > GAP * usual, usual, spacing) / 2
    return wavelength_aa - np.append(half[:1], half), wavelength_aa + np.append(half, half[-1:])


def kernel_width(native_resolution: float, resolution: float) -> float:
    """Standard deviation [km/s] of the Gaussian that brings a resolution to a lower one."""
    return float(np.sqrt(instrument_variance(resolution) - instrument_variance(native_resolution)))


def degraded(wavelength_aa, flux, variance, good, width_kms: float, smoothed_kms: float = 0.0) -> Degraded:
    """Pixels convolved with a Gaussian in velocity of standard deviation ``width_kms``.

    A pixel is a weighted sum of the ``good`` ones around. The weights are those of the Gaussian, times the
    polynomial that makes their moments up to DEGREE those of the Gaussian: so the convolution is exact for
    polynomials up to that degree on any pixels, and where pixels are fine, for all. A kernel narrower than
    a pixel is made of weights a pixel wide. Pixels that are not good, and those that lose more than
    LARGEST_LOSS of their kernel to such and to gaps and ends, are not good afterwards; of those that lose
    more than LITTLE_LOSS only mean and slope are exact, and where the kernel is narrow none is good.

    The noise of pixels is taken for independent, or for smoothed before by ``smoothed_kms``. A spectrum of
    wavelengths in air may stay there: its velocities are those in vacuum to 1e-5 of themselves.

    ``flux``, ``variance`` (of its noise) and ``good`` (whether it can be used) are arrays ``[pixel]``.
    """
    velocity, low, high = (
        SPEED_OF_LIGHT_KMS * np.log(each) for each in (wavelength_aa, *pixel_ends(wavelength_aa))
    )
    base = np.maximum(width_kms, high - low)
    first, last = (np.searchsorted(velocity, velocity + side * REACH * base) for side in (-1, 1))
    pixels, flux, variance = (np.where(good, values, 0.0) for values in (high - low, flux, variance))
    found, widths = np.full((2, velocity.size), np.nan), [np.zeros(0)]
    for start in range(0, velocity.size, PORTION):
        rows = np.arange(start, min(start + PORTION, velocity.size))
        columns = first[rows, None] + np.arange((last - first)[rows].max())
        inside = columns < last[rows, None]
        columns = np.minimum(columns, velocity.size - 1)
        inside &= good[columns]
        share = _share(low[columns], high[columns], velocity[rows, None], base[rows, None])
        loss = 1 - (share * inside).sum(axis=1)
        kept = good[rows] & (loss <= np.where(base[rows] > width_kms, LITTLE_LOSS, LARGEST_LOSS))
        kept &= inside.sum(axis=1) >= FEWEST
        rows, columns, inside, loss = rows[kept], columns[kept], inside[kept], loss[kept]
        if not rows.size:
            continue
        distance = (velocity[columns] - velocity[rows, None]) / base[rows, None]
        weights = pixels[columns] * inside * np.exp(-0.5 * distance**2)
        for degree, mine in ((1, loss > LITTLE_LOSS), (DEGREE, loss <= LITTLE_LOSS)):
            scaled = width_kms / base[rows[mine]]
            weights[mine] = _with_moments(weights[mine], distance[mine], scaled, degree)
        sound = np.abs(weights).sum(axis=1) < LARGEST_SUM
        rows, columns, weights = rows[sound], columns[sound], weights[sound]
        power = (weights if smoothed_kms else weights**2) * variance[columns]
        found[:, rows] = (weights * flux[columns]).sum(axis=1), power.sum(axis=1)
        widths.append(_smoothing(weights, columns[:, 0], velocity[rows]))
    if smoothed_kms:  # of noise that is smooth already less is averaged away
        width = float(np.hypot(smoothed_kms, width_kms))
        found[1] *= smoothed_kms / width
    else:
        told = np.concatenate(widths)
        width = float(np.median(told)) if told.size else width_kms
    return Degraded(*found, np.isfinite(found[0]), width)


def _smoothing(weights: np.ndarray, first: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """The width [km/s] of a Gaussian that correlates each row with the next as their ``weights`` do.

    ``weights[row, pixel]`` are of pixels from ``first[row]`` on. Rows that coincide tell none.
    """
    later = np.diff(first)[:, None] + np.arange(weights.shape[1])
    there = later < weights.shape[1]
    beside = np.take_along_axis(weights[:-1], np.where(there, later, 0), axis=1) * there
    norm = np.sqrt((weights**2).sum(axis=1))
    correlation = (beside * weights[1:]).sum(axis=1) / (norm[1:] * norm[:-1])
    telling = (correlation > 1e-9) & (correlation < 1 - 1e-6)
    return np.diff(velocity)[telling] / (2 * np.sqrt(-np.log(correlation[telling])))


def _share(low, high, velocity, width) -> np.ndarray:
    """What of each kernel lies over each pixel."""
    from scipy.special import ndtr

    return ndtr((high - velocity) / width) - ndtr((low - velocity) / width)


def _with_moments(weights: np.ndarray, distance: np.ndarray, width: np.ndarray, degree: int) -> np.ndarray:
    """The weights ``[row, pixel]`` times polynomials, which make their moments those of a Gaussian.

    ``width[row]`` is its standard deviation, in the unit of the distances.
    """
    weights = weights / weights.sum(axis=1, keepdims=True)
    order, moment, moments = np.arange(degree + 1), weights, []
    for _ in range(2 * degree + 1):
        moments.append(moment.sum(axis=1))
        moment = moment * distance
    # pixels in too few places would make it singular: their weights are LARGEST_SUM or more
    own = np.stack(moments, axis=-1)[:, order[:, None] + order] + RIDGE * np.eye(degree + 1)
    wanted = np.zeros((len(width), degree + 1))
    for even in order[::2]:  # 1, s^2, 3 s^4, 15 s^6, 105 s^8
        wanted[:, even] = np.prod(np.arange(1, even, 2)) * width**even
    factors = np.linalg.solve(own, wanted[..., None])
    polynomial = factors[:, -1]
    for power in order[-2::-1]:
        polynomial = polynomial * distance + factors[:, power]
    return weights * polynomial
