"""The labels of stellar spectra, and the domains of labels in which there is an answer.

``LABELS`` is the vocabulary: what a label means, in which unit. It has no ranges: those belong to a
``Domain``, which a model, a store and a recipe each carry with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import inf

import numpy as np

from starloom import memory, notebook
from starloom.arrays import one_line
from starloom.constants import ALPHA_ELEMENTS, SYMBOLS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.units import plain


@dataclass(frozen=True)
class Label:
    """One label: its name in code, symbol in text, unit (astropy string) and meaning.

    ``scale`` says in what a spectrum changes evenly: "linear" in the label itself, "logarithmic" in its
    logarithm, "rotation" in its square where it is small (see ``inference.coordinates``). ``default`` is what
    a star has of which nothing else is said; an element's is counted as in ``Domain.offsets``.
    """

    name: str
    symbol: str
    unit: str
    description: str  #: a line of text
    scale: str = "linear"
    default: float | None = None

    def plain(self, value) -> np.ndarray:
        """A number, array or astropy quantity as float64[...] in the label's unit, by ``units.plain``.

        ``value`` is what a user gave.
        """
        return plain(self.name, value, "dex(cm / s2)" if self.name == "logg" else self.unit)

    def shown(self, value: float) -> str:
        """The value behind the symbol, rounded for a figure: ``v sin i 12 km/s``."""
        text = (
            f"{value:.0f}"
            if abs(value) >= 10
            else f"{value:+.2f}"
            if self.symbol.startswith("[")
            else f"{value:.2f}"
        )
        return f"{self.symbol} {text} {self.unit.removesuffix('dex')}".rstrip()

    def outside(self, value: float, low: float, high: float) -> str:
        """The line that says that ``value`` is outside [low, high]."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} = {number(value)}{unit} is outside [{number(low)}, {number(high)}]{unit}"


def _vocabulary() -> Iterator[Label]:
    yield Label("teff", "Teff", "K", "effective temperature", "logarithmic")
    yield Label("logg", "log g", "dex", "decimal logarithm of the surface gravity in cm s-2")
    yield Label("vsini", "v sin i", "km/s", "projected equatorial rotation velocity", "rotation")
    yield Label("mh", "[M/H]", "dex", "abundance of all metals relative to the Sun")
    yield Label("vmic", "vmic", "km/s", "microturbulent velocity")
    yield Label("resolution", "R", "", "resolving power, wavelength / FWHM of the instrument")
    yield Label(
        "alpha",
        "[alpha/M]",
        "dex",
        "abundance of O, Ne, Mg, Si, S, Ar, Ca and Ti relative to the metals",
        default=0.0,
    )
    yield Label("carbon_ratio", "12C/13C", "", "number of 12C nuclei over that of 13C", "logarithmic")
    yield Label("vmac", "vmac", "km/s", "radial-tangential macroturbulence", "rotation", default=0.0)
    yield Label(
        "filling",
        "filling",
        "",
        "emission in the cores of the Ca II triplet, relative to the continuum",
        default=0.0,
    )
    # abundances are counted per hydrogen nucleus; helium is no metal, and [M/H] does not move it
    yield Label("He", "[He/H]", "dex", "abundance of He relative to the Sun", default=0.0)
    for symbol in SYMBOLS[2:]:
        meaning = f"abundance of {symbol} relative to the metals"
        yield Label(symbol, f"[{symbol}/M]", "dex", meaning, default=0.0)


class Vocabulary(dict):
    """Labels by their names."""

    def __repr__(self) -> str:
        return f"the labels {', '.join(name for name in self if name not in SYMBOLS)}, and elements' symbols"


LABELS: Mapping[str, Label] = Vocabulary((label.name, label) for label in _vocabulary())
ELEMENTS = "elements"  # not a label, but how far all elements of a domain are from their default
BROADENING = ("vsini", "vmac", "resolution")  # applied to a spectrum exactly, never synthesised
EXACT = (*BROADENING, "filling")  # so is the filling, which no store samples: what no network learns


def label(name: str) -> Label:
    """The label of this name; ``ConfigError`` where the vocabulary has none."""
    if name not in LABELS:
        known = ", ".join(known for known in LABELS if known not in SYMBOLS)
        raise ConfigError(f"label {name!r} is none of {known}, nor an element's symbol")
    return LABELS[name]


# dex: sums of decimals, and one floor told by other knots, have as many digits in common
ROUNDING = 1e-9


@dataclass(frozen=True)
class Floor:
    """Lowest log g [dex] of an atmosphere: bilinear in Teff and [M/H], constant beyond the table.

    ``logg`` has a row for each of ``teff`` [K] and a column for each of ``mh`` [dex], both increasing.
    """

    teff: tuple[float, ...]
    mh: tuple[float, ...]
    logg: tuple[tuple[float, ...], ...]

    __repr__ = one_line

    def __post_init__(self):
        shape = np.shape(self.logg)
        if shape != (len(self.teff), len(self.mh)) or not np.isfinite(self.logg).all():
            raise ConfigError(f"floor: logg {shape} is no table of {len(self.teff)} teff x {len(self.mh)} mh")
        for name in ("teff", "mh"):
            if not (np.diff(getattr(self, name)) > 0).all():
                raise ConfigError(f"floor: {name} = {getattr(self, name)} does not increase")

    def __call__(self, teff, mh):
        """The lowest log g at ``teff`` and ``mh`` of one shape: numbers, NumPy or JAX arrays."""
        teff, mh = (
            value if hasattr(value, "ndim") else np.asarray(value, np.float64) for value in (teff, mh)
        )
        by_teff = _piecewise_linear(mh[..., None], self.mh, np.array(self.logg))
        return _piecewise_linear(teff, self.teff, by_teff)

    def raised(self, low: float) -> "Floor | None":
        """This floor where it lies above ``low`` [dex], with the knots that this needs; None: nowhere."""
        logg = np.maximum(self.logg, low)
        if (logg == low).all():
            return None
        if np.min(self.logg) >= low:
            return self
        rows, columns = _bends(self.teff, logg), _bends(self.mh, logg.T)
        return Floor(
            tuple(self.teff[i] for i in rows),
            tuple(self.mh[i] for i in columns),
            _tuples(logg[rows][:, columns].tolist()),
        )

    def highest_mh(self, teff, logg) -> np.ndarray:
        """Highest [M/H] [dex] at which there is an atmosphere of ``teff`` [K] and ``logg`` [dex].

        Infinite where there is one of every [M/H], minus infinity where of none.
        """
        at_knots = np.stack([self(teff, np.full(np.shape(teff), mh)) for mh in self.mh], axis=-1)
        return _last_at_most(np.asarray(logg), self.mh, at_knots)

    def highest_teff(self, logg, mh) -> np.ndarray:
        """Highest Teff [K] of an atmosphere of ``logg`` and ``mh`` [dex]; as ``highest_mh``."""
        at_knots = np.stack([self(np.full(np.shape(mh), teff), mh) for teff in self.teff], axis=-1)
        return _last_at_most(np.asarray(logg), self.teff, at_knots)


def _shown(default: float | None) -> str:
    """A default in words; nothing where there is none."""
    return "" if default is None else number(default)


def _bends(knots, rows: np.ndarray) -> np.ndarray:
    """Indices of the knots at which linear interpolation of the rows bends; the first where it never does."""
    slopes = np.diff(rows, axis=0) / np.diff(knots)[:, None]
    level = np.zeros((1, rows.shape[1]))
    bends = np.abs(np.diff(np.concatenate([level, slopes, level]), axis=0)).max(axis=1) > 1e-12
    return np.flatnonzero(bends) if bends.any() else np.array([0])


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
    if knots.size == 1:
        return values[..., 0]
    inside = x[..., None].clip(knots[0], knots[-1])
    fraction = ((inside - knots[:-1]) / np.diff(knots)).clip(0, 1)
    return values[..., 0] + (fraction * (values[..., 1:] - values[..., :-1])).sum(-1)


@dataclass(frozen=True)
class Cloud:
    """Observed stars near which alone a model that learned from them has an answer.

    ``stars`` has a row of labels for each, those of ``scales`` in their order. Labels are inside where the
    ``count``-th nearest star is up to 1 away: Euclidean, in units of the ``scales``, of the natural logarithm
    where a label is logarithmic (Teff).
    """

    scales: tuple[tuple[str, float], ...]
    stars: tuple[tuple[float, ...], ...]
    count: int = 3

    __repr__ = one_line

    def __post_init__(self):
        shape = np.shape(self.stars)
        if len(shape) != 2 or shape[1] != len(self.scales) or not np.isfinite(self.stars).all():
            raise ConfigError(f"cloud: stars {shape} are no table of {len(self.scales)} labels")
        if not 1 <= self.count <= shape[0]:
            raise ConfigError(f"cloud: count = {self.count} is outside [1, {shape[0]}], its stars")
        if not all(scale > 0 for _, scale in self.scales):
            raise ConfigError(f"cloud: scales {dict(self.scales)} are not above 0")

    @classmethod
    def from_mapping(cls, content: Mapping) -> "Cloud":
        """The inverse of ``dataclasses.asdict``: ``content`` is plain data."""
        scales = tuple((str(name), float(scale)) for name, scale in content["scales"])
        return cls(scales, _tuples(content["stars"]), int(content["count"]))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its labels."""
        return tuple(name for name, _ in self.scales)

    def distance(self, labels) -> np.ndarray:
        """How far the ``count``-th nearest star is from each row of ``labels[..., label]``, its own ones."""
        rows, known = (self._scaled(np.asarray(each, np.float64)) for each in (labels, self.stars))
        found = np.full(rows.shape[:-1], inf)
        for row in np.ndindex(found.shape):
            apart = ((rows[row] - known) ** 2).sum(axis=-1)
            found[row] = np.sqrt(np.partition(apart, self.count - 1)[self.count - 1])
        return found

    def _scaled(self, labels: np.ndarray) -> np.ndarray:
        columns = [
            np.log(column) if label(name).scale == "logarithmic" else column
            for name, column in zip(self.names, np.moveaxis(labels, -1, 0), strict=True)
        ]
        return np.stack(columns, axis=-1) / [scale for _, scale in self.scales]

    def outside(self, row: np.ndarray) -> str:
        """The line that says that a ``row`` of its labels is outside."""
        texts = [
            f"{own.name} = {number(x)} {own.unit}" for own, x in zip(map(label, self.names), row, strict=True)
        ]
        units = [
            f"{100 * scale:g} % of {name}"
            if label(name).scale == "logarithmic"
            else f"{number(scale)} {label(name).unit} of {name}"
            for name, scale in self.scales
        ]
        away = f"observed star number {self.count} is {float(self.distance(row)):.3g} away"
        allowed = f"allowed is 1, in units of {', '.join(units)}"
        return f"{', '.join(texts)} is outside the observed stars: {away}, {allowed}"


@dataclass(frozen=True, eq=False)
class Domain:
    """The labels that have an answer: a box, ends included, above the floor of log g where there is one.

    What of the floor lies below the box is left out (``Floor.raised``). With a ``cloud``, near observed stars
    alone.

    ``low`` and ``high`` are float64[label] in the order of ``labels``. A label array has them on its last
    axis, in this order and in their units. Two domains with the same content are equal. ``spread`` has
    (low, high) by label of how far an element may be from its default, which is ``alpha`` where the element
    follows it, else 0. ``c_to_o`` is the highest [C/O] [dex]: towards C/O = 1 the molecules of cool stars
    change from oxides to carbides.

    >>> domain = starloom.Domain.of({"teff": (4000, 7000), "logg": (2, 5)})
    >>> domain.array(teff=[5000, 6000], logg=4).shape, domain.contains([[5000, 4], [8000, 4]])
    ((2, 2), array([ True, False]))
    """

    labels: tuple[Label, ...]
    low: np.ndarray
    high: np.ndarray
    floor: Floor | None = None
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    c_to_o: float = inf
    cloud: Cloud | None = None

    def __post_init__(self):
        if len(set(self.names)) != len(self.labels) or not self.labels:
            raise ConfigError(f"the domain's labels {', '.join(self.names)} are none, or one is there twice")
        for name in ("low", "high"):
            bound = np.array(getattr(self, name), dtype=np.float64)
            if bound.shape != (len(self.labels),) or not np.isfinite(bound).all():
                raise ConfigError(f"the domain's {name} = {bound} is not {len(self.labels)} finite numbers")
            bound.flags.writeable = False
            object.__setattr__(self, name, bound)
        for label, low, high in self.ranges:
            if low > high:
                raise ConfigError(f"the domain of {label.name} is empty: [{number(low)}, {number(high)}]")
        if self.floor is not None:
            low = float(self.low[self.index("logg")])
            object.__setattr__(self, "floor", self.floor.raised(low))
        if not self.c_to_o > -inf:
            raise ConfigError(f"the domain's highest [C/O] = {self.c_to_o} is no number")
        if "C" not in self.names:
            object.__setattr__(self, "c_to_o", inf)
        for name in self.cloud.names if self.cloud else ():
            self.index(name)

    @classmethod
    def of(
        cls,
        ranges: Mapping[str, Sequence[float]],
        floor: Floor | None = None,
        spread: Mapping[str, Sequence[float]] | None = None,
        c_to_o: float = inf,
    ) -> "Domain":
        """The domain of labels by name, each with its (low, high); ``ConfigError`` for an unknown name.

        A floor without Teff, log g and [M/H] among the labels is left out, ``c_to_o`` without C. A label of
        ``spread`` without a range has the widest that its default allows.
        """
        spread = {name: tuple(map(float, ends)) for name, ends in (spread or {}).items()}
        for name, (near, far) in spread.items():
            first, last = ranges.get("alpha", (0.0, 0.0)) if name in ALPHA_ELEMENTS else (0.0, 0.0)
            widest = round(first + near, 9), round(last + far, 9)  # 0.9, not 0.8999999999999999
            ranges = {**ranges, name: ranges.get(name, widest)}
        low, high = np.array(list(ranges.values()), dtype=np.float64).reshape(-1, 2).T
        known = set(ranges) >= FLOORED
        return cls(tuple(label(name) for name in ranges), low, high, floor if known else None, spread, c_to_o)

    @classmethod
    def from_mapping(cls, content: Mapping) -> "Domain":
        """The inverse of ``mapping``; ``ConfigError`` where the content makes no sense."""
        try:
            floor = content.get("floor")
            floor = floor and Floor(**{k: _tuples(v) for k, v in floor.items()})
            spread, c_to_o = dict(content.get("spread", ())), float(content.get("c_to_o", inf))
            cloud = content.get("cloud")
            cloud = cloud and Cloud.from_mapping(cloud)
            return cls.of(dict(content["ranges"]), floor, spread, c_to_o).within(cloud)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"no domain of labels ({type(error).__name__}: {error})") from error

    def within(self, cloud: Cloud | None) -> "Domain":
        """The domain near the stars of a ``cloud`` alone; None: without one.

        ConfigError for a cloud of labels that it does not have.
        """
        return replace(self, cloud=cloud)

    @property
    def mapping(self) -> dict:
        """The domain as plain data (JSON): a list of [name, [low, high]], since their order counts."""
        ranges = [[label.name, [low, high]] for label, low, high in self.ranges]
        floor = self.floor and {"teff": self.floor.teff, "mh": self.floor.mh, "logg": self.floor.logg}
        spread = {"spread": [[name, list(ends)] for name, ends in self.spread.items()]} if self.spread else {}
        c_to_o = {"c_to_o": self.c_to_o} if self.c_to_o < inf else {}
        cloud = {"cloud": asdict(self.cloud)} if self.cloud else {}
        return {"ranges": ranges, "floor": floor, **spread, **c_to_o, **cloud}

    def __repr__(self) -> str:
        c_to_o = f"; [C/O] up to {number(self.c_to_o)}" if self.c_to_o < inf else ""
        cloud = f"; near {len(self.cloud.stars)} observed stars" if self.cloud else ""
        return f"Domain({self.extent}{'; a floor of logg' if self.floor else ''}{c_to_o}{cloud})"

    def _repr_html_(self) -> str:
        head = ("label", "symbol", "unit", "from", "to", "default", "meaning")
        rows = [
            (own.name, own.symbol, own.unit, number(low), number(high), _shown(own.default), own.description)
            for own, low, high in self.ranges
        ]
        told = ("log g begins higher near the radiation limit" if self.floor else "",)
        told += (f"near their default: {', '.join(self.spread)}" if self.spread else "",)
        told += (f"near {len(self.cloud.stars)} observed stars alone" if self.cloud else "",)
        return notebook.table("Domain", head, rows, "; ".join(filter(None, told)))

    def __eq__(self, other) -> bool:
        return isinstance(other, Domain) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    @cached_property
    def _content(self) -> tuple:
        return (
            self.names,
            tuple(self.low.tolist()),
            tuple(self.high.tolist()),
            self.floor,
            tuple(self.spread.items()),
            self.c_to_o,
            self.cloud,
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        return tuple(label.name for label in self.labels)

    @property
    def ranges(self) -> Iterator[tuple[Label, float, float]]:
        """Each label with its low and high end."""
        return zip(self.labels, self.low.tolist(), self.high.tolist(), strict=True)

    @property
    def extent(self) -> str:
        """The labels with their ranges in words: ``teff 3600 to 15000 K, logg 2 to 5 dex``.

        Elements of the ``spread`` are told by how far they may be from their default.
        """
        own = [entry for entry in self.ranges if entry[0].name not in self.spread]
        texts = [f"{label.name} {number(a)} to {number(b)} {label.unit}".rstrip() for label, a, b in own]
        for near in dict.fromkeys(self.spread.values()):
            names = " ".join(name for name, ends in self.spread.items() if ends == near)
            texts.append(f"{names} {number(near[0])} to {number(near[1])} dex from their default")
        return ", ".join(texts)

    def index(self, name: str) -> int:
        """Place of a label; ``ConfigError`` where the domain does not have it.

        ``name`` of the label.
        """
        if name not in self.names:
            raise ConfigError(f"label {name!r} is none of {', '.join(self.names)}")
        return self.names.index(name)

    def only(self, *names: str) -> "Domain":
        """The domain of these labels alone, in this order; a floor stays where all that it needs does.

        ``names`` of the labels.
        """
        ranges = {name: (self.low[i], self.high[i]) for name in names for i in [self.index(name)]}
        # without alpha nothing says how far from it an element is
        known = "alpha" in names or "alpha" not in self.names
        spread = {name: ends for name, ends in self.spread.items() if name in names and known}
        cloud = self.cloud if self.cloud and set(self.cloud.names) <= set(names) else None
        return Domain.of(ranges, self.floor, spread, self.c_to_o if known else inf).within(cloud)

    def around(self, others: "Sequence[Domain]") -> "Domain":
        """The smallest domain that holds these others of the same labels; its floor is this domain's own."""
        low = np.min([other.low for other in others], axis=0)
        high = np.max([other.high for other in others], axis=0)
        names = [name for name in self.spread if all(name in other.spread for other in others)]
        ends = {name: np.array([other.spread[name] for other in others]) for name in names}
        spread = {name: (float(own[:, 0].min()), float(own[:, 1].max())) for name, own in ends.items()}
        c_to_o = max(other.c_to_o for other in others)
        return Domain(self.labels, low, high, self.floor, spread, c_to_o, self.cloud)

    @property
    def intrinsic(self) -> "Domain":
        """The domain of the labels that a network learns: all but those of ``EXACT``."""
        return self.only(*(name for name in self.names if name not in EXACT))

    def with_label(self, name: str, low: float, high: float) -> "Domain":
        """The domain with one more label, the last; ``ConfigError`` where it has that label already.

        ``name`` of the label, with its ends ``low`` and ``high``.
        """
        if name in self.names:
            raise ConfigError(f"label {name} is one of the domain's already: {self.extent}")
        ranges = {own.name: ends for own, *ends in self.ranges} | {name: (low, high)}
        return Domain.of(ranges, self.floor, self.spread, self.c_to_o).within(self.cloud)

    def up_to(self, name: str, high: float) -> "Domain":
        """The domain whose label of this ``name`` ends at ``high``; ``ConfigError`` where nothing is left."""
        ends = self.high.copy()
        ends[self.index(name)] = high
        return replace(self, high=ends)

    def array(self, **values) -> np.ndarray:
        """Labels as float64[..., label], broadcast against each other; not checked.

        Each is a number, an array or an astropy quantity (``logg`` also as a gravity or as dex(cm / s2));
        labels that are not given have their default. Raises ConfigError for a label that is missing or none
        of the domain's, for what is no number, a wrong unit or shapes that do not match.

        ``values`` by name of the label.
        """
        values = {**self.defaults(values), **values}
        unknown, missing = set(values) - set(self.names), [n for n in self.names if n not in values]
        if unknown or missing:
            faults = [f"unknown label {name}" for name in sorted(unknown)] + [
                f"no label {name}" for name in missing
            ]
            raise ConfigError(f"{', '.join(faults)}: the labels are {', '.join(self.names)}")
        columns = [label.plain(values[label.name]) for label in self.labels]
        try:
            columns = np.broadcast_arrays(*columns)
        except ValueError as error:
            shapes = ", ".join(
                f"{name} {column.shape}" for name, column in zip(self.names, columns, strict=True)
            )
            raise ConfigError(f"the labels' shapes do not match: {shapes}") from error
        memory.check(f"the labels of {columns[0].size} spectra", 8 * len(columns) * columns[0].size)
        return np.stack(columns, axis=-1)

    def defaults(self, values: Mapping) -> dict:
        """What labels that ``values`` lacks are by default: those of a domain that have one.

        An element is what [alpha/M] makes of it.
        """
        absent = {own.name: own.default for own in self.labels if own.name not in values}
        known = {name: default for name, default in absent.items() if default is not None}
        if "alpha" in self.names:
            alpha = values.get("alpha", known.get("alpha"))
            known |= {name: alpha for name in ALPHA_ELEMENTS if name in known}
        return known

    def lowest_logg(self, labels):
        """The lowest log g [dex] of the domain at each row of ``labels[..., label]``, whatever its own."""
        low = self.low[self.index("logg")]
        if self.floor is None:
            return np.full(labels.shape[:-1], low)
        return self.floor(*(labels[..., self.index(name)] for name in ("teff", "mh"))).clip(low)

    def contains(self, labels):
        """Whether each row of ``labels[..., label]`` is inside: bool[...]; NaN never is."""
        inside = ((labels >= self.low) & (labels <= self.high)).all(-1)
        if self.spread:
            low, high = self.offset_ends
            offsets = self.offsets(labels)
            inside = inside & ((offsets >= low - ROUNDING) & (offsets <= high + ROUNDING)).all(-1)
        if self.c_to_o < inf:
            inside = inside & (labels[..., self.index("C")] <= self._highest_carbon(labels) + ROUNDING)
        if self.floor is not None:
            inside = inside & (labels[..., self.index("logg")] >= self.lowest_logg(labels) - ROUNDING)
        if self.cloud is None:
            return inside
        near = np.zeros(np.shape(inside), bool)  # what is outside the box may have no logarithm
        near[inside] = self.cloud.distance(self._clouded(np.asarray(labels)[inside])) <= 1 + ROUNDING
        return near

    def _clouded(self, labels: np.ndarray) -> np.ndarray:
        """The labels that the cloud has, ``[..., label]``."""
        return labels[..., [self.index(name) for name in self.cloud.names]]

    def check(self, labels) -> None:
        """Raise OutOfRangeError unless every row of ``labels[..., label]`` is inside.

        The message names every wrong label of the first wrong row with its value, unit and range.

        ConfigError where the last axis is not the domain's.
        """
        labels = plain("labels", labels, "")
        if labels.ndim == 0 or labels.shape[-1] != len(self.labels):
            expected = f"(..., {len(self.labels)}): {', '.join(self.names)}"
            raise ConfigError(f"labels have the shape {labels.shape}, expected {expected}")
        outside = ~self.contains(labels)
        if not outside.any():
            return
        row = tuple(int(index) for index in np.argwhere(outside)[0])
        where = ""
        if outside.size > 1:
            index = row[0] if len(row) == 1 else row
            where = f"row {index} (the first of {outside.sum()} outside, of {outside.size}): "
        raise OutOfRangeError(where + "; ".join(self._faults(labels[row])))

    def _faults(self, row: np.ndarray) -> list[str]:
        """What is wrong with one row of labels that is outside."""
        values = zip(row, self.ranges, strict=True)
        faults = [label.outside(x, low, high) for x, (label, low, high) in values if not low <= x <= high]
        low, high = self.offset_ends
        for name, offset in zip(self.names, self.offsets(row), strict=True):
            near, far = low[self.index(name)], high[self.index(name)]
            if name in self.spread and not (faults or near - ROUNDING <= offset <= far + ROUNDING):
                ends = f"[{number(near)}, {number(far)}] dex"
                faults.append(f"{name} is {offset:g} dex from its default, which is outside {ends}")
        if (
            self.c_to_o < inf
            and row[self.index("C")] > (highest := float(self._highest_carbon(row))) + ROUNDING
        ):
            carbon = f"C = {number(row[self.index('C')])} dex is above {highest:g} dex"
            faults.append(f"{carbon}: [C/O] is at most {number(self.c_to_o)}")
        if faults:
            return faults
        if self.cloud and (self.floor is None or row[self.index("logg")] >= self.lowest_logg(row) - ROUNDING):
            return [self.cloud.outside(self._clouded(row))]
        # the box is kept, so the row lies below the floor
        logg, teff, mh = (self.index(name) for name in ("logg", "teff", "mh"))
        fault = self.labels[logg].outside(row[logg], float(self.lowest_logg(row)), self.high[logg])
        return [
            f"{fault} at teff = {number(row[teff])} K, mh = {number(row[mh])} dex (near the radiation limit)"
        ]

    def text(self, row: np.ndarray) -> str:
        """One row of labels in words: ``teff = 5777 K, logg = 4.44 dex``."""
        pairs = zip(self.labels, row, strict=True)
        return ", ".join(f"{label.name} = {value:.6g} {label.unit}".rstrip() for label, value in pairs)

    def symbols(self, row: np.ndarray) -> str:
        """One row of labels for a figure: ``Teff 5777 K, log g 4.44, [M/H] +0.00``."""
        return ", ".join(label.shown(value) for label, value in zip(self.labels, row, strict=True))

    def clip(self, labels) -> np.ndarray:
        """The nearest labels inside, label by label, log g last; NaN stays, and what is far from a cloud."""
        clipped = np.clip(np.asarray(labels, np.float64), self.low, self.high)
        if self.spread:
            clipped = self.from_offsets(np.clip(self.offsets(clipped), *self.offset_ends))
        if self.c_to_o < inf:
            carbon = self.index("C")
            clipped[..., carbon] = np.minimum(clipped[..., carbon], self._highest_carbon(clipped))
        if self.floor is not None:
            logg = self.index("logg")
            clipped[..., logg] = np.maximum(clipped[..., logg], self.lowest_logg(clipped))
        return clipped

    @property
    def offset_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Low and high ends of ``offsets``: the box in which labels are drawn."""
        ends = [self.spread.get(label.name, (low, high)) for label, low, high in self.ranges]
        return tuple(np.array(ends).T)

    def offsets(self, labels) -> np.ndarray:
        """Labels with those of ``spread`` counted from their default."""
        return labels - self._defaults(labels)

    def from_offsets(self, offsets) -> np.ndarray:
        """Inverse of ``offsets``."""
        labels = offsets + self._defaults(offsets)
        return np.clip(labels, self.low, self.high) if self.spread else labels

    def _defaults(self, labels) -> np.ndarray:
        """What each label of ``spread`` follows, 0 for the others; ``alpha`` itself is none of them."""
        defaults = np.zeros(np.shape(labels))
        if "alpha" in self.names:
            alpha = np.asarray(labels)[..., self.index("alpha")]
            for name in set(self.spread) & set(ALPHA_ELEMENTS):
                defaults[..., self.index(name)] = alpha
        return defaults

    def coordinate(self, name: str, labels) -> np.ndarray:
        """A label of each row of ``labels[..., label]``, or how far its elements are from their default.

        The latter, by the name ELEMENTS: root mean square of their offsets in units of half the ranges.
        """
        if name != ELEMENTS:
            return np.asarray(labels)[..., self.index(name)]
        places = [self.index(symbol) for symbol in self.spread]
        low, high = (end[places] for end in self.offset_ends)
        half = np.where(high > low, (high - low) / 2, 1.0)
        return np.sqrt((((self.offsets(labels)[..., places] - (low + high) / 2) / half) ** 2).mean(axis=-1))

    def _highest_carbon(self, labels):
        """[C/M] [dex] at the highest [C/O]; oxygen follows ``alpha`` where it is no label itself."""
        oxygen = next((name for name in ("O", "alpha") if name in self.names), None)
        return self.c_to_o + (0.0 if oxygen is None else labels[..., self.index(oxygen)])

    def to_unit(self, labels):
        """Labels mapped linearly so that the box becomes [0, 1] on every axis (0 for a width of 0)."""
        return (labels - self.low) / self._width

    def from_unit(self, unit):
        """Inverse of ``to_unit``."""
        return self.low + unit * (self.high - self.low)

    @cached_property
    def _width(self) -> np.ndarray:
        return np.where(self.high > self.low, self.high - self.low, 1.0)


def number(value: float) -> str:
    """Shortest text that reads back as the same number: 3600 rather than 3600.0.

    ``value`` is finite.
    """
    return repr(float(value)).removesuffix(".0")


def _tuples(values):
    return tuple(_tuples(value) for value in values) if isinstance(values, list | tuple) else float(values)


FLOORED = {"teff", "logg", "mh"}  # the labels that a floor needs

# Near the radiation limit no hydrostatic atmosphere exists. It is taken to be where the grids of the packaged
# structures have no more models (data/atmospheres). ATLAS9 ends at the same log g for every [M/H] and alpha;
# C3K, which alone has [M/H] > 0.5, ends earlier, and has no such giants between 4250 and 5750 K. A label
# interpolates between nodes 250 K and 0.5 dex apart, so the limit lies one node further inside, and it is
# linear between the values below.
RADIATION_LIMIT = Floor(
    teff=(
        *(3500.0, 3750.0, 4000.0, 4500.0, 4750.0, 5750.0, 6000.0, 7250.0, 7500.0, 8000.0, 8250.0, 8750.0),
        *(9000.0, 9250.0, 10500.0, 10750.0, 11500.0, 11750.0),
    ),
    mh=(0.0, 0.5, 1.0, 1.25),
    logg=(
        (-0.5, -0.5, 0.5, 0.5),
        (-0.5, 0.0, 1.0, 1.0),
        (0.0, 0.5, 2.0, 2.0),
        (0.0, 0.5, 2.0, 2.0),
        (0.0, 0.5, 2.0, 2.5),
        (0.0, 0.5, 2.0, 2.5),
        (0.5, 0.5, 2.0, 2.5),
        (0.5, 0.5, 2.0, 2.5),
        (1.0, 1.0, 2.0, 2.5),
        (1.0, 1.0, 2.0, 2.5),
        (1.5, 1.5, 2.0, 2.5),
        (1.5, 1.5, 2.0, 2.5),
        (2.0, 2.0, 2.0, 2.5),
        (2.0, 2.5, 2.5, 2.5),
        (2.0, 2.5, 2.5, 2.5),
        (2.0, 3.0, 3.0, 3.0),
        (2.0, 3.0, 3.0, 3.0),
        (2.5, 3.0, 3.0, 3.0),
    ),
)
TABLE_1 = Domain.of(  # Gebran (2024), table 1
    {
        "teff": (3600.0, 15000.0),
        "logg": (2.0, 5.0),
        "vsini": (0.0, 300.0),
        "mh": (-1.5, 1.5),
        "vmic": (0.0, 4.0),
        "resolution": (5000.0, 14500.0),
    },
    RADIATION_LIMIT,
)
