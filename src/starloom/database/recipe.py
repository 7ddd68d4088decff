"""What a store is made from: a recipe, read from TOML, that determines every number in it."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path

import numpy as np

from starloom import labels, sampling
from starloom.errors import ConfigError, ParseError

INTRINSIC = tuple(labels.NAMES.index(name) for name in ("teff", "logg", "mh", "vmic"))
BROADENING = tuple(labels.NAMES.index(name) for name in ("vsini", "resolution"))
SPLITS = ("train", "validation", "test")
IMPORTED = "imported"  # the sampling of a store whose labels came with its spectra
DRAW = {"uniform": sampling.uniform, "sobol": sampling.sobol}
# Third word of a random stream's seed. It is never zero, as a shorter seed would be filled up with zeros.
SPLIT_STREAM, BROADENING_STREAM, SHUFFLE_STREAM, ENDS_STREAM = 1, 2, 3, 4


@dataclass(frozen=True)
class Recipe:
    """Labels, their sampling and their division: with the physics' version, all that a store depends on.

    ``intrinsic`` spectra are synthesised, ``broadenings`` observed ones made of each; ``chunk`` of them share
    a file. ``ranges`` are (low, high) in the order and units of ``labels.NAMES``; ``train`` and
    ``validation`` the shares of intrinsic spectra in those splits. ``ends`` is the probability with which
    each label lies at an end of its range, log g's lower one at ``lowest_logg`` where that is higher. Raises
    ``ConfigError`` for what makes no sense.
    """

    name: str
    seed: int
    sampling: str
    intrinsic: int
    broadenings: int
    chunk: int
    ranges: tuple[tuple[float, float], ...]
    train: float
    validation: float
    ends: float = 0.0

    def __post_init__(self):
        _check_choice("sampling", self.sampling, (*DRAW, IMPORTED))
        _check_whole("seed", self.seed, 0)
        for name in ("intrinsic", "broadenings", "chunk"):
            _check_whole(name, getattr(self, name), 1)
        for label, bounds in zip(labels.LABELS, self.ranges, strict=True):
            _check_range(label, bounds, self.sampling == IMPORTED)
        if not (0 <= self.train <= 1 and 0 <= self.validation <= 1 - self.train + 1e-12):
            shares = f"train = {self.train:g}, validation = {self.validation:g}"
            raise ConfigError(f"{shares}: not shares of a whole")
        if not 0 <= self.ends <= 1:
            raise ConfigError(f"ends = {self.ends:g} is no probability")

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
        """teff, logg, mh, vmic of spectra ``first .. first + count - 1``: float64[count, 4]."""
        low, high = np.array(self.ranges)[list(INTRINSIC)].T
        points = DRAW[self.sampling](self.seed, first, count, low, high, in_domain)
        if self.ends == 0:
            return points
        streams = ([self.seed, index, ENDS_STREAM] for index in range(first, first + count))
        chance = np.array([np.random.default_rng(stream).random(len(INTRINSIC)) for stream in streams])
        points = sampling.at_ends(points, chance.reshape(points.shape), self.ends, low, high)
        points[:, 1] = np.maximum(points[:, 1], labels.lowest_logg(points[:, 0], points[:, 2]))
        return points

    def broadening_labels(self, epoch: int, copies: int = 1) -> np.ndarray:
        """vsini [km/s] and resolution: float64[intrinsic, copies, 2], uniform in their ranges or at the ends.

        Those of one spectrum depend on the seed, the epoch and its index. Epoch 0 is that of the fixed set.
        """
        low, high = np.array(self.ranges)[list(BROADENING)].T
        random = np.random.default_rng([self.seed, epoch, BROADENING_STREAM])
        shape = self.intrinsic, copies, len(BROADENING)
        drawn = low + (high - low) * random.random(shape)
        return sampling.at_ends(drawn, random.random(shape), self.ends, low, high) if self.ends else drawn

    def splits(self) -> dict[str, np.ndarray]:
        """Indices of the intrinsic spectra by split, ascending; no spectrum is in two of them."""
        order = np.random.default_rng([self.seed, 0, SPLIT_STREAM]).permutation(self.intrinsic)
        ends = np.rint(np.cumsum([self.train, self.validation]) * self.intrinsic).astype(int)
        return {name: np.sort(part) for name, part in zip(SPLITS, np.split(order, ends), strict=True)}


def in_domain(points: np.ndarray) -> np.ndarray:
    """Whether teff, logg, mh, vmic [n, 4] have an atmosphere: bool[n]."""
    everything = np.tile((labels.DOMAIN.low + labels.DOMAIN.high) / 2, (len(points), 1))
    everything[:, INTRINSIC] = points
    return labels.DOMAIN.contains(everything)


def packaged() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = files(__package__) / "recipes"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load(name_or_path: str | Path) -> Recipe:
    """The recipe of a TOML file, or the packaged one of this name.

    Raises ``ParseError`` (path, line) where it is no TOML, ``ConfigError`` (path, key) where it is no recipe.
    """
    if str(name_or_path) in packaged():
        source = files(__package__) / "recipes" / f"{name_or_path}.toml"
    else:
        source = Path(name_or_path)
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(packaged())
        raise ConfigError(f"{name_or_path}: no such file, nor a packaged recipe ({known})") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParseError(f"{name_or_path}: {error}") from error
    try:
        return from_mapping(content)
    except ConfigError as error:
        raise ConfigError(f"{name_or_path}: {error}") from error


def from_mapping(content: Mapping) -> Recipe:
    """A recipe from the nested content of its TOML file. Raises ``ConfigError``, also for unknown keys."""
    flat = {key: value for key, value in content.items() if key not in ("ranges", "splits")}
    ranges, splits = _table(content, "ranges"), _table(content, "splits")
    _check_keys("ranges", ranges, labels.NAMES)
    _check_keys("splits", splits, ("train", "validation"))
    flat.setdefault("ends", 0.0)
    named = [field.name for field in fields(Recipe) if field.name not in ("ranges", "train", "validation")]
    _check_keys("recipe", flat, named)
    flat["ends"] = _share("ends", flat["ends"])
    bounds = tuple(_pair(name, ranges[name]) for name in labels.NAMES)
    return Recipe(
        ranges=bounds, **flat, **{name: _share(f"splits: {name}", value) for name, value in splits.items()}
    )


def to_mapping(recipe: Recipe) -> dict:
    """The inverse of ``from_mapping``, ready for JSON."""
    flat = _content(recipe)
    ranges = dict(zip(labels.NAMES, (list(pair) for pair in flat.pop("ranges")), strict=True))
    splits = {name: flat.pop(name) for name in ("train", "validation")}
    return {**flat, "ranges": ranges, "splits": splits}


def _content(recipe: Recipe) -> dict:
    """All that the recipe says; without ``ends`` where there are none, as recipes were before it."""
    return {key: value for key, value in asdict(recipe).items() if key != "ends" or value}


def _table(content: Mapping, key: str) -> Mapping:
    if not isinstance(content.get(key), Mapping):
        raise ConfigError(f"{key}: missing, or not a table")
    return content[key]


def _check_keys(where: str, found: Mapping, expected) -> None:
    unknown, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    if unknown or missing:
        faults = [f"unknown key {key}" for key in unknown] + [f"missing key {key}" for key in missing]
        raise ConfigError(f"{where}: {', '.join(faults)}")


def _pair(name: str, value) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"ranges: {name} = {value!r} is no pair [low, high]") from error
    return low, high


def _share(name: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name} = {value!r} is no number")
    return float(value)


def _check_whole(name: str, value, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ConfigError(f"{name} = {value!r} is no whole number from {low} up")


def _check_choice(name: str, value, choices) -> None:
    if value not in choices:
        raise ConfigError(f"{name} = {value!r} is none of {', '.join(choices)}")


def _check_range(label: labels.Label, bounds: tuple[float, float], imported: bool) -> None:
    low, high = bounds
    inside = imported or (label.low <= low and high <= label.high)
    if not (np.isfinite(low) and np.isfinite(high) and low <= high and inside):
        unit = f" {label.unit}" if label.unit else ""
        allowed = f"[{label.low:g}, {label.high:g}]{unit}"
        raise ConfigError(f"ranges: {label.name} = [{low:g}, {high:g}]{unit} is no interval within {allowed}")
