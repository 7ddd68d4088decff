"""What a store is made from: a recipe, read from TOML, that determines every number in it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from pathlib import Path
from types import MappingProxyType

import numpy as np

from starloom import bands, recipes, sampling
from starloom.bands import Band
from starloom.constants import SYMBOLS
from starloom.errors import ConfigError
from starloom.labels import BROADENING, EXACT, FLOORED, RADIATION_LIMIT, TABLE_1, Domain

SPLITS = ("train", "validation", "test")
IMPORTED = "imported"  # the sampling of a store whose labels came with its spectra
DRAW = {"uniform": sampling.uniform, "sobol": sampling.sobol}
OPTIONAL = {"ends": 0.0, "step": 0.0, "band": "rvs", "nlte": (), "lines": bands.LISTED, "range_aa": ()}
TABLES = ("ranges", "splits")  # of the file; what they hold are other fields here
SHAPE = ("around", "c_to_o", "floor")  # of the domain, beside its ranges
# Third word of a random stream's seed. It is never zero, as a shorter seed would be filled up with zeros.
SPLIT_STREAM, BROADENING_STREAM, SHUFFLE_STREAM, ENDS_STREAM = 1, 2, 3, 4


@dataclass(frozen=True)
class Splits:
    """Shares of the intrinsic spectra for training and validation; the rest is for testing.

    ``train`` and ``validation`` lie in 0..1, and so does their sum.
    """

    train: float
    validation: float


@dataclass(frozen=True)
class Recipe:
    """Labels, their sampling and their division: with the physics' version, all that a store depends on.

    ``intrinsic`` spectra are synthesised, ``broadenings`` observed ones made of each; ``chunk`` of them share
    a file. ``domain`` has the labels and their ranges, and elements of its ``spread`` are drawn around their
    default; ``band`` is the name of the wavelength band, or a folder with one, of which ``range_aa``, two
    air wavelengths [A], takes the chunks that show them; ``lines`` which of its atomic lines are taken
    (``bands.LINES``). ``train`` and ``validation`` are the shares of intrinsic spectra in
    those splits.
    ``ends`` is the probability with which each label lies at an end of its range, log g's lower one at the
    domain's floor where that is higher. Where ``step`` [dex] is not 0, every star that is drawn is followed
    by its twins: one for each element of the ``spread``, which is higher by the step, or lower where that
    would be outside; none is split from its twins. ``nlte`` are the ions out of LTE, as ``"Ca II"``.
    Raises ``ConfigError`` for what makes no sense.
    """

    name: str
    seed: int
    sampling: str
    intrinsic: int
    broadenings: int
    chunk: int
    domain: Domain
    train: float
    validation: float
    ends: float = OPTIONAL["ends"]
    step: float = OPTIONAL["step"]
    band: str = OPTIONAL["band"]
    nlte: tuple[str, ...] = OPTIONAL["nlte"]
    lines: str = OPTIONAL["lines"]
    range_aa: tuple[float, ...] = OPTIONAL["range_aa"]

    def __post_init__(self):
        _check_choice("sampling", self.sampling, (*DRAW, IMPORTED))
        _check_choice("lines", self.lines, bands.LINES)
        _check_whole("seed", self.seed, 0)
        for name in ("intrinsic", "broadenings", "chunk"):
            _check_whole(name, getattr(self, name), 1)
        if not (0 <= self.train <= 1 and 0 <= self.validation <= 1 - self.train + 1e-12):
            shares = f"train = {self.train:g}, validation = {self.validation:g}"
            raise ConfigError(f"{shares}: not shares of a whole")
        if len(self.range_aa) not in (0, 2):
            raise ConfigError(f"range_aa = {list(self.range_aa)} is no pair [low, high]")
        if not 0 <= self.ends <= 1:
            raise ConfigError(f"ends = {self.ends:g} is no probability")
        if self.step and not self.domain.spread:
            raise ConfigError(f"step = {self.step:g} dex, but no element is drawn around its default")
        widest = min((high - low for low, high in self.domain.spread.values()), default=0.0) / 2
        if not 0 <= self.step <= widest:
            limit = f"[0, {widest:g}] dex, half of the narrowest spread"
            raise ConfigError(f"step = {self.step:g} dex is outside {limit}")
        if added := [name for name in EXACT if name not in BROADENING and name in self.domain.names]:
            raise ConfigError(f"label {added[0]} cannot be synthesised: not intrinsic, a model gets it after")
        if self.intrinsic % self.family:
            raise ConfigError(
                f"intrinsic = {self.intrinsic} is no multiple of {self.family}, a star and its twins"
            )

    def load_band(self) -> Band:
        """The wavelength band, or its part, kept as finely as the recipe's highest resolution asks for.

        ``ConfigError`` where the band is not installed, has not the range, or its synthesis is too coarse.
        """
        band = bands.load(self.band, None if self.lines == bands.LISTED else self.lines)
        if self.range_aa:
            band = band.within(band.name, *self.range_aa)
        return band.resolving(self.finest)

    @property
    def finest(self) -> float:
        """The highest resolving power of its spectra; 0 where they have no label for it."""
        domain = self.domain
        return float(domain.high[domain.index("resolution")]) if "resolution" in domain.names else 0.0

    def over(self, range_aa: tuple[float, ...] = (), resolution: float | None = None) -> "Recipe":
        """The recipe for another ``range_aa`` of its band [A, air], or up to another resolving power.

        ``ConfigError`` without a label for the ``resolution``, or one below its range.
        """
        domain = self.domain if resolution is None else self.domain.up_to("resolution", resolution)
        return replace(self, domain=domain, range_aa=range_aa or self.range_aa)

    @property
    def broadening(self) -> list[int]:
        """Places among the labels of those of the broadening."""
        return [index for index, name in enumerate(self.domain.names) if name in BROADENING]

    @property
    def synthesised(self) -> list[int]:
        """Places among the labels of those of the intrinsic spectrum."""
        return [index for index, name in enumerate(self.domain.names) if name not in BROADENING]

    @property
    def family(self) -> int:
        """How many stars follow each other that differ by one element: a star and its twins, or 1."""
        return 1 + len(self.domain.spread) if self.step else 1

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe's content, whatever its layout and comments."""
        return hashlib.sha256(json.dumps(_content(self), sort_keys=True).encode()).hexdigest()

    @property
    def chunks(self) -> int:
        """Number of chunks, the last of which may be smaller."""
        return -(-self.intrinsic // self.chunk)

    def indices(self, number: int) -> range:
        """The intrinsic spectra of chunk ``number``."""
        return range(number * self.chunk, min((number + 1) * self.chunk, self.intrinsic))

    def intrinsic_labels(self, first: int, count: int) -> np.ndarray:
        """Labels of the intrinsic spectra ``first .. first + count - 1``: float64[count, label]."""
        families = range(first // self.family, -(-(first + count) // self.family))
        stars = self._drawn(families.start, len(families))
        if self.family == 1:
            return stars
        start = first - self.family * families.start
        return self._with_twins(stars).reshape(-1, stars.shape[-1])[start : start + count]

    def _with_twins(self, stars: np.ndarray) -> np.ndarray:
        """Each star, followed by its twins: float64[star, 1 + element, label]."""
        domain = self.domain.intrinsic
        together = np.repeat(stars[:, None], self.family, axis=1)
        for twin, name in enumerate(domain.spread, start=1):
            own = together[:, twin]
            own[:, domain.index(name)] += self.step
            own[~domain.contains(own), domain.index(name)] -= 2 * self.step
        return together

    def _drawn(self, first: int, count: int) -> np.ndarray:
        """Labels of stars ``first .. first + count - 1`` without twins."""
        domain = self.domain.intrinsic
        low, high = domain.offset_ends

        def inside(points: np.ndarray) -> np.ndarray:
            return domain.contains(domain.from_offsets(points))

        points = DRAW[self.sampling](self.seed, first, count, low, high, inside)
        if self.ends == 0:
            return domain.from_offsets(points)
        streams = ([self.seed, index, ENDS_STREAM] for index in range(first, first + count))
        chance = np.array([np.random.default_rng(stream).random(low.size) for stream in streams])
        points = sampling.at_ends(points, chance.reshape(points.shape), self.ends, low, high)
        points = domain.from_offsets(points)
        return domain.clip(points)

    def broadening_labels(self, epoch: int, copies: int = 1) -> np.ndarray:
        """Labels of the broadening: float64[intrinsic, copies, label], uniform in their ranges or at ends.

        Those of one spectrum depend on the seed, the epoch and its index. Epoch 0 is that of the fixed set.
        """
        low, high = self.domain.low[self.broadening], self.domain.high[self.broadening]
        random = np.random.default_rng([self.seed, epoch, BROADENING_STREAM])
        shape = self.intrinsic, copies, low.size
        drawn = low + (high - low) * random.random(shape)
        return sampling.at_ends(drawn, random.random(shape), self.ends, low, high) if self.ends else drawn

    def splits(self) -> dict[str, np.ndarray]:
        """Indices of the intrinsic spectra by split, ascending; no spectrum is in two of them."""
        families = self.intrinsic // self.family
        order = np.random.default_rng([self.seed, 0, SPLIT_STREAM]).permutation(families)
        ends = np.rint(np.cumsum([self.train, self.validation]) * families).astype(int)
        members = np.arange(self.intrinsic).reshape(families, self.family)
        parts = np.split(order, ends)
        return {name: members[np.sort(part)].ravel() for name, part in zip(SPLITS, parts, strict=True)}


def packaged() -> list[str]:
    """Names of the recipes that come with the package."""
    return recipes.packaged(__package__)


def load(name_or_path: str | Path) -> Recipe:
    """The recipe of a TOML file, or the packaged one of this name.

    Raises ``ParseError`` (path, line) where it is no TOML, ``ConfigError`` (path, key) where it is no recipe.
    """
    content = recipes.read(name_or_path, __package__)
    with recipes.naming(name_or_path):
        return from_mapping(content)


def from_mapping(content: Mapping) -> Recipe:
    """A recipe from the nested content of its TOML file. Raises ``ConfigError``, also for unknown keys."""
    own = [each.name for each in fields(Recipe) if each.name not in ("domain", "train", "validation")]
    needed = [name for name in (*own, *TABLES) if name not in OPTIONAL]
    recipes.check_keys("", content, (*own, *TABLES, *SHAPE), needed)
    for name in ("ranges", "around"):
        if not isinstance(content.get(name, {}), Mapping):
            raise ConfigError(f"{name} = {content[name]!r} is no table")
    shape = {key: content[key] for key in SHAPE if key in content}
    domain = _domain(content["ranges"], **shape)
    shares = recipes.built(Splits, content["splits"], "splits")
    flat = {name: content[name] for name in own if name in content}
    return recipes.built(Recipe, {**flat, "domain": domain, **asdict(shares)})


def _domain(
    ranges: Mapping,
    around: Mapping = MappingProxyType({}),
    c_to_o: float | None = None,
    floor: Mapping | bool | None = None,
) -> Domain:
    """The domain of the ranges, its floor a table, none (false), or that of the packaged structures.

    ``around`` has the elements that are drawn around their default, which a range of their own would undo;
    ``c_to_o`` is the highest [C/O].
    """
    for name in around:
        if name not in SYMBOLS or name in ranges:
            reason = "has a range too" if name in ranges else "is no element"
            raise ConfigError(f"around: {name} {reason}")
    # those of the paper in its order, however they are written down
    order = TABLE_1.names if set(ranges) == set(TABLE_1.names) else tuple(ranges)
    bounds = [[name, _pair("ranges", name, ranges[name])] for name in order]
    spread = [[name, _pair("around", name, ends)] for name, ends in around.items()]
    if floor is None:
        floor = asdict(RADIATION_LIMIT)
    try:
        content = {"ranges": bounds, "floor": floor or None, "spread": spread}
        if c_to_o is not None:
            content["c_to_o"] = recipes.typed(float, c_to_o, "c_to_o")
        return Domain.from_mapping(content)
    except ConfigError as error:
        raise ConfigError(f"ranges: {error}") from error


def to_mapping(recipe: Recipe) -> dict:
    """The inverse of ``from_mapping``, ready for JSON."""
    flat = {field.name: getattr(recipe, field.name) for field in fields(Recipe)}
    splits = {name: flat.pop(name) for name in ("train", "validation")}
    told = {key: value for key, value in flat.items() if key != "domain" and OPTIONAL.get(key) != value}
    spread = recipe.domain.spread
    ranges = {
        label.name: [low, high] for label, low, high in recipe.domain.ranges if label.name not in spread
    }
    around = {"around": {name: list(ends) for name, ends in spread.items()}} if spread else {}
    c_to_o = {"c_to_o": recipe.domain.c_to_o} if recipe.domain.c_to_o < inf else {}
    packaged = set(ranges) >= FLOORED and recipe.domain.floor == Domain.of(ranges, RADIATION_LIMIT).floor
    floor = {} if packaged else {"floor": recipe.domain.mapping["floor"] or False}
    return {**told, "ranges": ranges, **around, **c_to_o, **floor, "splits": splits}


def _content(recipe: Recipe) -> dict:
    """All that the recipe says; of the paper's labels as recipes said it before they could have others."""
    told = to_mapping(recipe)
    ranges, splits = told.pop("ranges"), told.pop("splits")
    first = recipe.domain.names == TABLE_1.names
    return {**told, **splits, "ranges": list(ranges.values() if first else ranges.items())}


def _pair(table: str, name: str, value) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ConfigError(f"{table}: {name} = {value!r} is no pair [low, high]")
    return recipes.typed(tuple[float, ...], value, f"{table}.{name}")


def _check_whole(name: str, value, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ConfigError(f"{name} = {value!r} is no whole number from {low} up")


def _check_choice(name: str, value, choices) -> None:
    if value not in choices:
        raise ConfigError(f"{name} = {value!r} is none of {', '.join(choices)}")
