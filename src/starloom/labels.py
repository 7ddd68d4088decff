"""The six labels of a spectrum and the domain in which they have an answer (Gebran 2024, table 1)."""

from dataclasses import dataclass

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError
from starloom.units import plain


@dataclass(frozen=True)
class Label:
    """One label: its name in code, symbol in text, unit (astropy string) and range, ends included."""

    name: str
    symbol: str
    unit: str
    low: float
    high: float
    description: str

    def plain(self, value) -> np.ndarray:
        """A number, array or astropy quantity as float64 in the label's unit, by ``units.plain``."""
        return plain(self.name, value, "dex(cm / s2)" if self.name == "logg" else self.unit)


LABELS = (
    Label("teff", "Teff", "K", 3600.0, 15000.0, "effective temperature"),
    Label("logg", "log g", "dex", 2.0, 5.0, "decimal logarithm of the surface gravity in cm s-2"),
    Label("vsini", "v sin i", "km/s", 0.0, 300.0, "projected equatorial rotation velocity"),
    Label("mh", "[M/H]", "dex", -1.5, 1.5, "abundance of all metals relative to the Sun"),
    Label("vmic", "vmic", "km/s", 0.0, 4.0, "microturbulent velocity"),
    Label("resolution", "R", "", 5000.0, 14500.0, "resolving power, wavelength / FWHM of the instrument"),
)
NAMES = tuple(label.name for label in LABELS)

# Near the radiation limit no hydrostatic atmosphere exists. The structures of the C3K grid (nodes every 250
# K, 0.5 dex, 0.25 dex) fail at log g 2.0 from 14750 K up; from 11000 K where [M/H] >= 1; from 5000 K where
# [M/H] = 1.5; and at log g 2.5 from 12750 K where [M/H] >= 1.25. A label interpolates between nodes, so the
# limit lies one node further inside, and it is linear between the values below.
CORNER_TEFF = (4500.0, 4750.0, 9000.0, 9250.0, 10500.0, 10750.0, 11500.0, 11750.0)  # K
CORNER_MH = (0.0, 0.5, 1.0, 1.25)  # dex
CORNER_LOGG = (  # a row per Teff, a column per [M/H]
    (2.0, 2.0, 2.0, 2.0),
    (2.0, 2.0, 2.0, 2.5),
    (2.0, 2.0, 2.0, 2.5),
    (2.0, 2.5, 2.5, 2.5),
    (2.0, 2.5, 2.5, 2.5),
    (2.0, 3.0, 3.0, 3.0),
    (2.0, 3.0, 3.0, 3.0),
    (2.5, 3.0, 3.0, 3.0),
)


def lowest_logg(teff, mh):
    """Lowest log g [dex] at which an atmosphere exists, for ``teff`` [K] and ``mh`` [dex] of one shape.

    Bilinear in the corner's table and constant beyond its edges, so continuous everywhere. Takes numbers,
    NumPy and JAX arrays (traced ones too).
    """
    teff, mh = (value if hasattr(value, "ndim") else np.asarray(value, np.float64) for value in (teff, mh))
    by_teff = _piecewise_linear(mh[..., None], CORNER_MH, np.array(CORNER_LOGG))
    return _piecewise_linear(teff, CORNER_TEFF, by_teff)


def highest_mh(teff, logg) -> np.ndarray:
    """Highest [M/H] [dex] at which there is an atmosphere of ``teff`` [K] and ``logg`` [dex].

    Infinite where there is one of every [M/H], minus infinity where of none.
    """
    at_knots = np.stack([lowest_logg(teff, np.full(np.shape(teff), mh)) for mh in CORNER_MH], axis=-1)
    return _last_at_most(np.asarray(logg), CORNER_MH, at_knots)


def highest_teff(logg, mh) -> np.ndarray:
    """Highest Teff [K] at which there is an atmosphere of ``logg`` and ``mh`` [dex]; as ``highest_mh``."""
    at_knots = np.stack([lowest_logg(np.full(np.shape(mh), teff), mh) for teff in CORNER_TEFF], axis=-1)
    return _last_at_most(np.asarray(logg), CORNER_TEFF, at_knots)


def _last_at_most(limit, knots, values):
    """The largest x at which ``values[..., knot]``, interpolated, are up to ``limit``; they never fall."""
    knots, count = np.asarray(knots), (values <= limit[..., None]).sum(-1)
    left = np.clip(count - 1, 0, len(knots) - 2)[..., None]
    low, high = (np.take_along_axis(values, left + k, axis=-1)[..., 0] for k in (0, 1))
    fraction = (limit - low) / np.where(high > low, high - low, 1.0)
    found = knots[left[..., 0]] + fraction * np.diff(knots)[left[..., 0]]
    return np.where(count == 0, -np.inf, np.where(count == len(knots), np.inf, found))


def _piecewise_linear(x, knots, values):
    """Linear interpolation of ``values[..., knot]`` at ``x``, constant outside the knots."""
    knots = np.asarray(knots)
    inside = x[..., None].clip(knots[0], knots[-1])
    fraction = ((inside - knots[:-1]) / np.diff(knots)).clip(0, 1)
    return values[..., 0] + (fraction * (values[..., 1:] - values[..., :-1])).sum(-1)


@dataclass(frozen=True, eq=False)
class Domain:
    """The labels that have an answer: a box, ends included, without the corner below ``lowest_logg``.

    ``low`` and ``high`` are float64[6] in the order and units of LABELS, and the bounds for sampling.
    """

    low: np.ndarray
    high: np.ndarray

    def __post_init__(self):
        for name in ("low", "high"):
            bound = np.array(getattr(self, name), dtype=np.float64)
            if bound.shape != (len(NAMES),) or not np.isfinite(bound).all():
                raise ConfigError(f"the domain's {name} = {bound} is not {len(NAMES)} finite numbers")
            bound.flags.writeable = False
            object.__setattr__(self, name, bound)
        for name, low, high in zip(NAMES, self.low, self.high, strict=True):
            if low >= high:
                raise ConfigError(f"the domain of {name} is empty: [{number(low)}, {number(high)}]")

    def contains(self, labels):
        """Whether each row of ``labels`` [..., 6] is inside: bool[...]; NaN never is."""
        inside = ((labels >= self.low) & (labels <= self.high)).all(-1)
        return inside & (labels[..., 1] >= lowest_logg(labels[..., 0], labels[..., 3]))

    def check(self, labels) -> None:
        """Raise OutOfRangeError unless every row of ``labels`` [..., 6] is inside.

        The message names every wrong label of the first wrong row with its value, unit and range.
        """
        labels = plain("labels", labels, "")
        if labels.ndim == 0 or labels.shape[-1] != len(NAMES):
            raise ConfigError(
                f"labels have the shape {labels.shape}, expected (..., {len(NAMES)}): {', '.join(NAMES)}"
            )
        outside = ~self.contains(labels)
        if not outside.any():
            return
        row = tuple(int(index) for index in np.argwhere(outside)[0])
        where = ""
        if labels.ndim > 1:
            index = row[0] if len(row) == 1 else row
            where = f"row {index} (the first of {outside.sum()} outside, of {outside.size}): "
        raise OutOfRangeError(where + "; ".join(self._faults(labels[row])))

    def _faults(self, row: np.ndarray) -> list[str]:
        """What is wrong with one row of labels that is outside."""
        faults = []
        for label, value, low, high in zip(LABELS, row, self.low, self.high, strict=True):
            if not low <= value <= high:
                faults.append(_outside(label, value, low, high))
        if not faults:  # the box is kept, so the row lies in the corner
            lowest = float(lowest_logg(row[0], row[3]))
            place = f"at teff = {number(row[0])} K, mh = {number(row[3])} dex (near the radiation limit)"
            faults.append(f"{_outside(LABELS[1], row[1], lowest, self.high[1])} {place}")
        return faults

    def scale(self, labels):
        """Labels [..., 6] mapped linearly so that the box becomes [-1, 1] on every axis; not checked."""
        return 2 * (labels - self.low) / (self.high - self.low) - 1

    def unscale(self, scaled):
        """Inverse of ``scale``."""
        return self.low + (scaled + 1) * (self.high - self.low) / 2


DOMAIN = Domain(np.array([label.low for label in LABELS]), np.array([label.high for label in LABELS]))


def as_array(*, teff, logg, vsini, mh, vmic, resolution) -> np.ndarray:
    """Labels as float64[..., 6] in the order of NAMES, broadcast against each other; not checked.

    Each is a number, an array or an astropy quantity: teff in K, logg and mh in dex (``logg`` also as a
    gravity or as dex(cm / s2)), vsini and vmic in km/s. Raises ConfigError for what is no number, a wrong
    unit or shapes that do not match.
    """
    values = (teff, logg, vsini, mh, vmic, resolution)
    columns = [label.plain(value) for label, value in zip(LABELS, values, strict=True)]
    try:
        return np.stack(np.broadcast_arrays(*columns), axis=-1)
    except ValueError as error:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in zip(NAMES, columns, strict=True))
        raise ConfigError(f"the labels' shapes do not match: {shapes}") from error


def number(value: float) -> str:
    """Shortest text that reads back as the same number: 3600 rather than 3600.0."""
    return repr(float(value)).removesuffix(".0")


def _outside(label: Label, value: float, low: float, high: float) -> str:
    unit = f" {label.unit}" if label.unit else ""
    return f"{label.name} = {number(value)}{unit} is outside [{number(low)}, {number(high)}]{unit}"
