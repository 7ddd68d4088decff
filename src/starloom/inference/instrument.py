r"""Instruments whose profile is no Gaussian of one resolving power: R(lambda), or a sampled profile.

Either is a sum of Gaussians, of resolving powers :math:`s_k R`, displaced by velocities :math:`u_k`, with
weights for each pixel:

.. math:: F(\lambda) = \sum_k w_k(\lambda) F(\lambda; s_k R, v + u_k)

Of R(lambda) the :math:`s_k` are a few nodes, between which the flux is a polynomial in the variance of the
profile; of a sampled profile the weights are those of non-negative least squares (Lawson & Hanson 1974,
Solving Least Squares Problems, ch. 23). R is the resolution of the fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.files import parsing
from starloom.inference.derivatives import BandDerivatives, Derivatives
from starloom.spectrum import Spectrum
from starloom.wavelength import AIR_RANGE_AA

TABLE, PROFILE = "resolution_table", "line_spread"  # in a provenance, and names of settings
NODES = 4  # of R(lambda), in variance
SAME = 1e-4  # of R: less variation is none
FWHM = 2.3548  # of a Gaussian, in its standard deviations
SCALES = 0.5, 0.65, 0.8, 1.0, 1.25, 1.6  # resolving powers of Gaussians over that of the whole
SHIFTS = -1.0, -0.5, 0.0, 0.5, 1.0  # of Gaussians, in standard deviations of the whole
UNLIKE = 0.03  # of the profile's height: what the Gaussians may miss
FURTHEST_KMS = 100.0  # of a profile's centre
FINE = 400  # points of a profile, at least
SAMPLED_AA = 20.0  # step at which a function R(lambda) is taken


@dataclass(frozen=True, eq=False)
class Instrument:
    """Gaussians of ``scales[k]`` times the resolution, ``shifts_kms[k]``; ``weights[k, pixel]``."""

    scales: np.ndarray
    shifts_kms: np.ndarray
    weights: np.ndarray

    @property
    def key(self) -> tuple[bytes, ...]:
        """Equal for equal instruments."""
        return tuple(part.tobytes() for part in (self.scales, self.shifts_kms, self.weights))


class InstrumentDerivatives:
    """``derivatives``, of one band or several, seen with an instrument."""

    def __init__(self, derivatives: Derivatives | BandDerivatives, instrument: Instrument):
        self.derivatives, self.instrument = derivatives, instrument
        self.emulator = derivatives.emulator

    def __call__(self, labels: np.ndarray, velocity: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
        """As ``Derivatives``."""
        index = self.emulator.domain.index("resolution")
        seen, total = self.instrument, np.zeros(1, np.float32)
        for scale, shift, weight in zip(seen.scales, seen.shifts_kms, seen.weights, strict=True):
            scaled = labels.copy()
            scaled[:, index] *= scale
            found = self.derivatives(scaled, velocity + shift, wanted)
            if index in wanted:
                found[:, 1 + list(wanted).index(index)] *= scale
            total = total + found * weight.astype(np.float32)
        return total


def pairs(name: str, given: Any) -> tuple[tuple[float, float], ...]:
    """A table of two columns as a setting keeps it: of R(lambda), or of a profile's values by velocity.

    ``name`` is that of the setting; ``given`` is such a table in any form, or of R(lambda) a function, which
    is taken every SAMPLED_AA of the range that models can have. Raises ConfigError where it is none.
    """
    if given is None or (isinstance(given, tuple) and not given):
        return ()
    if callable(given):
        wavelength = np.arange(AIR_RANGE_AA[0], AIR_RANGE_AA[1] + SAMPLED_AA, SAMPLED_AA)
        given = [(x, _number(name, given, x)) for x in wavelength]
    try:
        table = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: not a table of numbers") from error
    if table.ndim != 2 or table.shape[1] != 2 or len(table) < 2:
        raise ConfigError(f"{name}: needs two rows or more of two numbers, not {table.shape}")
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise ConfigError(f"{name}: row {row + 1}, {table[row, 0]:g} {table[row, 1]:g}, is not finite")
    if (np.diff(table[:, 0]) <= 0).any():
        raise ConfigError(f"{name}: its first column does not rise")
    return tuple(map(tuple, table.tolist()))


def read_pairs(path: str | PathLike) -> tuple[tuple[float, float], ...]:
    """A table of two columns in a text file: two numbers in a line, ``#`` begins a comment.

    Raises ParseError where a line is none, ConfigError as ``pairs``.
    """
    rows, path = [], Path(path)
    with parsing(path, ValueError):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise ValueError("not a text file") from None
        for number, line in enumerate(lines, start=1):
            words = line.partition("#")[0].replace(",", " ").split()
            if not words:
                continue
            try:
                first, second = map(float, words)
            except ValueError:
                raise ValueError(f"line {number}: not two numbers") from None
            rows.append((first, second))
    return pairs(str(path), rows)


def _number(name: str, function: Callable, wavelength: float) -> float:
    try:
        return float(function(float(wavelength)))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: the function gives no number at {wavelength:g} A") from error


def told(spectrum: Spectrum, asked: dict[str, Any]) -> dict[str, tuple]:
    """Tables by name: what is asked for, else what a spectrum says of itself."""
    if any(asked.values()):
        return asked
    return {name: pairs(name, spectrum.provenance.get(name)) for name in (TABLE, PROFILE)}


def instrument_of(tables: dict[str, tuple], wavelength_aa: np.ndarray) -> tuple[float, Instrument] | None:
    """Resolution and instrument at the pixels of a spectrum; None where there are no ``tables``.

    Raises ConfigError where there are both, or where no sum of Gaussians is the profile.
    """
    if tables[TABLE] and tables[PROFILE]:
        raise ConfigError(f"{TABLE} and {PROFILE}: give one of them")
    if tables[TABLE]:
        return _varying(np.array(tables[TABLE]), wavelength_aa)
    return _sampled(np.array(tables[PROFILE]), wavelength_aa.size) if tables[PROFILE] else None


def _varying(table: np.ndarray, wavelength_aa: np.ndarray) -> tuple[float, Instrument]:
    """Of R(lambda), straight between its points; wavelengths beyond it are refused."""
    first, last = table[[0, -1], 0]
    if not (first <= wavelength_aa[0] and wavelength_aa[-1] <= last):
        ends = f"{wavelength_aa[0]:.1f}..{wavelength_aa[-1]:.1f} A"
        raise ConfigError(f"{TABLE} = {first:.1f}..{last:.1f} A does not cover {ends}")
    # a table in which these pixels lie, however a function goes on elsewhere
    low, high = np.searchsorted(table[:, 0], wavelength_aa[[0, -1]], side="left")
    part = table[max(low - 1, 0) : high + 1]
    if part[:, 1].min() <= 0:
        lowest = part[part[:, 1].argmin()]
        raise ConfigError(f"{TABLE}: R = {lowest[1]:g} at {lowest[0]:g} A is not above 0")
    resolution = np.interp(wavelength_aa, *table.T)
    middle = float(np.median(resolution))
    variance = (middle / resolution) ** 2
    low, high = variance.min(), variance.max()
    if high - low < SAME:
        return middle, Instrument(np.ones(1), np.zeros(1), np.ones((1, wavelength_aa.size)))
    nodes = low + (high - low) * (1 - np.cos(np.pi * np.arange(NODES) / (NODES - 1))) / 2
    return middle, Instrument(nodes**-0.5, np.zeros(NODES), _lagrange(nodes, variance))


def _lagrange(nodes: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Weights ``[node, pixel]`` of the polynomial through values at the nodes."""
    weights = np.ones((len(nodes), at.size))
    for k, node in enumerate(nodes):
        for other in np.delete(nodes, k):
            weights[k] *= (at - other) / (node - other)
    return weights


def _sampled(table: np.ndarray, pixels: int) -> tuple[float, Instrument]:
    """Of a profile's values by velocity [km/s], zero beyond its ends; R is that of its standard deviation."""
    velocity, value = table.T
    if value.min() < -UNLIKE * value.max():
        raise ConfigError(f"{PROFILE}: a profile has no negative values, as {value.min():g}")
    # straight between its points, however few they are
    velocity = np.union1d(velocity, np.linspace(velocity[0], velocity[-1], FINE))
    value = np.interp(velocity, *table.T)
    total = np.trapezoid(value, velocity)
    if total <= 0:
        raise ConfigError(f"{PROFILE}: a profile is above 0 somewhere, not 0 throughout")
    mean = np.trapezoid(value * velocity, velocity) / total
    if abs(mean) > FURTHEST_KMS:
        raise ConfigError(
            f"{PROFILE}: its centre, {mean:g} km/s, is outside [-{FURTHEST_KMS}, {FURTHEST_KMS}] km/s"
        )
    sigma = np.sqrt(np.trapezoid(value * (velocity - mean) ** 2, velocity) / total)
    fine = np.linspace(velocity[0] - 2 * sigma, velocity[-1] + 2 * sigma, 400)
    wanted = np.interp(fine, velocity, value / total, left=0.0, right=0.0)
    kinds = [(scale, mean + shift * sigma) for scale in SCALES for shift in SHIFTS]
    basis = np.array([_gaussian(fine - shift, sigma / scale) for scale, shift in kinds])
    weights, _ = nnls(basis.T, wanted)
    missed = np.abs(weights @ basis - wanted).max() / wanted.max()
    if missed > UNLIKE:
        raise ConfigError(
            f"{PROFILE}: no sum of Gaussians comes nearer to it than {missed:.0%} of its height"
        )
    kept = weights > 1e-3 * weights.sum()
    weights = weights[kept] / weights[kept].sum()
    scales, shifts = np.array(kinds)[kept].T
    # light displaced to the red by the profile looks like a velocity, which is the instrument's
    shape = np.repeat(weights[:, None], pixels, axis=1)
    return float(SPEED_OF_LIGHT_KMS / (FWHM * sigma)), Instrument(scales.copy(), shifts.copy(), shape)


def _gaussian(velocity: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-((velocity / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))


def with_instrument(derivatives: Any, instrument: Instrument | None) -> Any:
    """The derivatives as an instrument shows them."""
    return derivatives if instrument is None else InstrumentDerivatives(derivatives, instrument)
