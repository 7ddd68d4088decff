"""Wavelength bands as values: the grids on which a range is synthesised, kept and shown.

A band is made of *chunks* of one size, so that one compiled program serves all of them. Each is a log-uniform
grid in vacuum that overlaps its neighbours by what broadening mixes in from outside; they meet at
``edges_aa``. Bands are found by the entry points ``starloom.bands``: a package with a file ``band.toml`` and
the band's tables.
"""

import itertools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from math import ceil, log
from os import PathLike
from pathlib import Path

import numpy as np

from starloom import tables
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, ParseError
from starloom.files import replacing
from starloom.wavelength import LogGrid, Points, air_from_vacuum, vacuum_from_air

GROUP = "starloom.bands"
FILE = "band.toml"
LISTED, CALIBRATED = LINES = "listed", "calibrated"  # atomic lines as published, or as stars show them
# bands that come with another distribution of this repository
DISTRIBUTED = dict.fromkeys(
    ("optical", "galah-blue", "galah-green", "galah-red", "galah-infrared", "ges-hr10", "ges-hr21", "rave",
     "lamost-mrs-blue", "lamost-mrs-red", "melchiors"),
    "starloom-optical",
)  # fmt: skip
STEP_KMS = 0.676  # of the synthesis: 2.6 points in the Doppler width of iron at 4000 K
FINEST_KEPT = 400_000.0  # kept resolution where every point of the synthesis is kept
ELEMENT_POINTS = 2.95  # least points of the synthesis in an instrument's full width: R = 150 000 at STEP_KMS
SHOWN_AA = 0.1, 0.05, 0.02, 0.01  # spacings of points, of which two are in a resolution element
MARGIN_KMS = 430.0  # v sin i of 300 km/s, 4 sigma of R = 5000, and 28 km/s of motion


@dataclass(frozen=True)
class Fade:
    """Where a chunk takes over from another: at ``join_aa`` in vacuum, ``width_kms`` to either side."""

    join_aa: float
    width_kms: float

    def rise(self, wavelength_aa: np.ndarray) -> np.ndarray:
        """The share of the later chunk at vacuum wavelengths [A]: 3 t^2 - 2 t^3, from 0 to 1."""
        away = SPEED_OF_LIGHT_KMS * np.log(wavelength_aa / self.join_aa) / self.width_kms
        t = np.clip((away + 1) / 2, 0, 1)
        return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Window:
    """The part that a chunk has in its band: faded in at ``start`` and out at ``stop``, None at the ends."""

    start: Fade | None
    stop: Fade | None

    def reached(self, spread_kms: float) -> tuple[float, float]:
        """First and last vacuum wavelength [A] that its lines reach, spread by ``spread_kms`` either way."""
        first, last = 0.0, np.inf
        if self.start:
            away = (self.start.width_kms + spread_kms) / SPEED_OF_LIGHT_KMS
            first = self.start.join_aa * np.exp(-away)
        if self.stop:
            last = self.stop.join_aa * np.exp((self.stop.width_kms + spread_kms) / SPEED_OF_LIGHT_KMS)
        return first, last

    def share(self, wavelength_aa: np.ndarray) -> np.ndarray:
        """The chunk's share at vacuum wavelengths [A]: from 0 to 1."""
        share = np.ones_like(wavelength_aa)
        if self.start:
            share = share * self.start.rise(wavelength_aa)
        return share * (1 - self.stop.rise(wavelength_aa)) if self.stop else share


@dataclass(frozen=True)
class Band:
    """A wavelength range: chunks of the synthesis, what is kept of them, and the points shown by default.

    Of a synthesised chunk seen at ``kept_resolution`` every ``stride``-th point is kept, from which any
    resolution up to ``finest_resolution`` can be made. ``tables`` is the package or folder of the band's
    lines and cross-sections; "" where nothing is synthesised. ``lines`` says whether its atomic lines are
    those ``listed``, or ``calibrated``.

    ``name`` is how recipes, stores and models call it.
    """

    name: str
    chunks: tuple[LogGrid, ...]
    stride: int
    kept_resolution: float
    finest_resolution: float
    points: Points
    tables: str = ""
    lines: str = LISTED

    def __post_init__(self):
        if self.lines not in LINES:
            raise ConfigError(f"band {self.name}: lines = {self.lines!r} is none of {', '.join(LINES)}")
        if not self.chunks or len({(chunk.points, chunk.step_kms) for chunk in self.chunks}) > 1:
            raise ConfigError(f"band {self.name}: chunks must be at least one, of one size and step")
        if not 0 < self.finest_resolution < self.kept_resolution or self.stride < 1:
            raise ConfigError(
                f"band {self.name}: stride = {self.stride}, finest_resolution = {self.finest_resolution:g}, "
                f"kept_resolution = {self.kept_resolution:g}: not 1 <= stride, 0 < finest < kept"
            )
        for before, after in zip(self.chunks, self.chunks[1:], strict=False):
            if not before.first_aa < after.first_aa < before.last_aa:
                raise ConfigError(f"band {self.name}: the chunk from {after.first_aa:.3f} A does not overlap")

    def __repr__(self) -> str:
        ends = f"{self.points.first_aa:g} to {self.points.last_aa:g} A in {self.points.medium}"
        return f"Band({self.name!r}, chunks={len(self.chunks)}, {ends})"

    @classmethod
    def over(
        cls, name: str, low_aa: float, high_aa: float, count: int = 1, margin_kms: float = MARGIN_KMS, **rest
    ):
        """The band of air wavelengths ``low_aa`` .. ``high_aa`` [A] in ``count`` chunks, 0.1 A shown.

        ``rest`` are further fields of the band; by default those of the packaged band: every third point of
        0.676 km/s, kept at R = 40000 for R up to 14500.

        ``name`` is that of the band.
        """
        low, high = vacuum_from_air(low_aa), vacuum_from_air(high_aa)
        core, margin = log(high / low) / count, margin_kms / SPEED_OF_LIGHT_KMS
        step = STEP_KMS / SPEED_OF_LIGHT_KMS
        points = ceil((core + 2 * margin) / step) + 1
        starts = [low * (high / low) ** (i / count) / (1 + margin) for i in range(count)]
        given = {"stride": 3, "kept_resolution": 40000.0, "finest_resolution": 14500.0}
        given["points"] = _shown(low_aa, high_aa)
        return cls(name, tuple(LogGrid(start, points, STEP_KMS) for start in starts), **{**given, **rest})

    def cut(self, name: str, low_aa: float, high_aa: float, count: int = 1) -> "Band":
        """The part of a band of one chunk at air wavelengths ``low_aa`` .. ``high_aa`` [A], in chunks.

        Its grids are parts of this band's grid, whose tables can serve it. ``ConfigError`` where the part and
        what broadening mixes in do not lie within it.

        ``name`` is that of the part, ``count`` the number of its chunks.
        """
        grid, margin = self.chunks[0], ceil(MARGIN_KMS / self.chunks[0].step_kms)
        ends = np.log(vacuum_from_air(np.array([low_aa, high_aa])) / grid.first_aa)
        first, last = np.floor(ends * SPEED_OF_LIGHT_KMS / grid.step_kms).astype(int)
        core = -(-(last - first) // count)
        starts, points = [int(first) + i * int(core) - margin for i in range(count)], int(core) + 2 * margin
        if starts[0] < 0 or starts[-1] + points > grid.points or len(self.chunks) > 1:
            asked = f"{low_aa:g}..{high_aa:g} A with {MARGIN_KMS:g} km/s beside"
            raise ConfigError(f"band {self.name} has no part of {asked}")
        chunks = tuple(grid.part(start, points) for start in starts)
        return replace(self, name=name, chunks=chunks, points=_shown(low_aa, high_aa))

    def within(self, name: str, low_aa: float, high_aa: float, points: Points | None = None) -> "Band":
        """The chunks that show air wavelengths ``low_aa`` .. ``high_aa`` [A], and the tables of this band.

        ``points`` are shown, every 0.1 A unless given. Raises ``ConfigError`` where the band has not all of
        it.
        """
        low, high = vacuum_from_air(np.array([low_aa, high_aa]))
        if not self.edges_aa[0] <= low < high <= self.edges_aa[-1]:
            first, last = air_from_vacuum(np.array([self.edges_aa[0], self.edges_aa[-1]]))
            asked = f"{low_aa:g}..{high_aa:g} A is not a range"
            raise ConfigError(f"band {self.name}: {asked} within [{first:.0f}, {last:.0f}] A (air)")
        each = zip(self.chunks, self.edges_aa, self.edges_aa[1:], strict=False)
        chosen = tuple(chunk for chunk, start, stop in each if start < high and stop > low)
        return replace(self, name=name, chunks=chosen, points=points or _shown(low_aa, high_aa))

    def resolving(self, resolution: float) -> "Band":
        """The band with all that its spectra must keep to be seen up to a resolving power.

        That is itself up to its ``kept_resolution``; beyond, every point of the synthesis is kept, and the
        points shown are closer, at least two in a resolution element. ``ConfigError`` where the synthesis is
        too coarse: ``resolution`` above 150 000 with points every 0.676 km/s.
        """
        if resolution < self.kept_resolution:
            return self
        highest = SPEED_OF_LIGHT_KMS / ELEMENT_POINTS / self.chunks[0].step_kms
        if not resolution <= highest:
            above = f"resolution = {resolution:g} is above {highest:.0f}"
            coarse = f"too fine for a synthesis every {self.chunks[0].step_kms:g} km/s"
            raise ConfigError(f"band {self.name}: {above}, {coarse}")
        kept = {"stride": 1, "kept_resolution": FINEST_KEPT, "finest_resolution": resolution}
        return replace(self, points=_closer(self.points, resolution), **kept)

    @classmethod
    def from_mapping(cls, content: Mapping) -> "Band":
        """The inverse of ``mapping``; ``ConfigError`` where the content makes no sense."""
        if unknown := set(content) - {field.name for field in fields(cls)}:
            raise ConfigError(f"band: unknown key {', '.join(sorted(unknown))}")
        try:
            chunks = tuple(LogGrid(**chunk) for chunk in content["chunks"])
            return cls(**{**content, "chunks": chunks, "points": Points(**content["points"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"band: {type(error).__name__}: {error}") from error

    @property
    def mapping(self) -> dict:
        """The band as plain data, for the headers of files; without ``lines`` where they are those listed."""
        plain = {**asdict(self), "chunks": [asdict(chunk) for chunk in self.chunks]}
        return {key: value for key, value in plain.items() if (key, value) != ("lines", LISTED)}

    def write(self, folder: str | PathLike) -> None:
        """Write ``band.toml`` into a folder, made if needed, for the band's tables to lie beside it."""
        plain = self.mapping
        chunks, points = plain.pop("chunks"), plain.pop("points")
        plain = plain if self.tables else {**plain, "tables": None}
        parts = [("", plain), *(("\n[[chunks]]\n", chunk) for chunk in chunks), ("\n[points]\n", points)]
        text = "".join(heading + _toml(values) for heading, values in parts)
        Path(folder).mkdir(parents=True, exist_ok=True)
        with replacing(Path(folder) / FILE) as path:
            path.write_text(text, encoding="utf-8")

    @property
    def bare(self) -> "Band":
        """The band without its tables: the same wherever they lie, for what is no longer synthesised."""
        return replace(self, tables="")

    @cached_property
    def kept(self) -> tuple[LogGrid, ...]:
        """What is kept of each chunk: from its second point on, every ``stride``-th."""
        return tuple(chunk.every(self.stride, 1) for chunk in self.chunks)

    @cached_property
    def windows(self) -> "tuple[Window, ...]":
        """What each chunk gives to the whole: together 1 everywhere between the band's ends."""
        joins = self.edges_aa[1:-1]
        halves = [
            SPEED_OF_LIGHT_KMS / 2 * log(before.last_aa / after.first_aa)
            for before, after in zip(self.kept, self.kept[1:], strict=False)
        ]
        fades = [Fade(join, half / 3) for join, half in zip(joins, halves, strict=True)]
        return tuple(Window(*pair) for pair in zip([None, *fades], [*fades, None], strict=True))

    @cached_property
    def edges_aa(self) -> tuple[float, ...]:
        """Vacuum wavelengths [A] between which a chunk is used: the middles of overlaps, and both ends."""
        pairs = zip(self.kept, self.kept[1:], strict=False)
        joins = [(before.last_aa * after.first_aa) ** 0.5 for before, after in pairs]
        return self.kept[0].first_aa, *joins, self.kept[-1].last_aa


def names() -> list[str]:
    """Names of the installed bands, sorted."""
    return tables.published(GROUP)


def window(name: str) -> tuple[np.ndarray, str]:
    """Wavelengths [A] that an installed band shows, or all those called ``name-...``, and their medium.

    So ``galah`` has the points of GALAH's four arms. ``ConfigError`` where none is installed, or where they
    cannot be put one behind the other.
    """
    parts = [each for each in names() if each == name or each.startswith(f"{name}-")]
    if name in parts or not parts:
        parts = [name]
        known = [each for each in DISTRIBUTED if each.startswith(f"{name}-")]
        if known and _installed(name) is None:
            raise ConfigError(f"band {name!r} is not installed: {_instead(known[0])}")
    shown = sorted((load(each).points for each in parts), key=lambda points: points.first_aa)
    if len({points.medium for points in shown}) > 1 or any(
        before.last_aa >= after.first_aa for before, after in itertools.pairwise(shown)
    ):
        raise ConfigError(f"band {name!r}: {', '.join(parts)} overlap or differ in medium: give one of them")
    return np.concatenate([points.wavelength_aa for points in shown]), shown[0].medium


def load(name: str | PathLike, lines: str | None = None) -> Band:
    """The installed band of this name, or the one in a folder with a ``band.toml``.

    ``lines``, one of ``LINES``, replaces its own choice. Raises ``ConfigError`` for an unknown name or
    choice, ``ParseError`` (path) where the file is no band.
    """
    found = _found(name)
    return found if lines is None else replace(found, lines=lines)


def _found(name: str | PathLike) -> Band:
    installed, folder = _installed(str(name)), Path(name)
    if installed is None and folder.parent == Path(".") and not folder.is_dir():
        raise ConfigError(f"band {str(name)!r} is not installed: {_instead(str(name))}")
    return installed or _read(folder / FILE, str(folder.absolute()))


def _instead(name: str) -> str:
    """What to install for a band, or which there are."""
    if name in DISTRIBUTED:
        place = DISTRIBUTED[name].removeprefix("starloom-")
        return f"it comes with {DISTRIBUTED[name]}: pip install ./distributions/{place}"
    return ", ".join(names()) or "none is"


@cache
def _installed(name: str) -> Band | None:
    place = tables.publisher(GROUP, name)
    return None if place is None else _read(tables.folder(place) / FILE, place)


def _shown(low_aa: float, high_aa: float, step_aa: float = SHOWN_AA[0], medium: str = "air") -> Points:
    """Points every 0.1 A between air wavelengths."""
    return Points(medium, "linear", low_aa, high_aa, round((high_aa - low_aa) / step_aa) + 1)


def _closer(points: Points, resolution: float) -> Points:
    """The points, or closer ones of the same range that show a resolving power."""
    element = points.first_aa / resolution
    if np.diff(points.wavelength_aa[:2])[0] <= element / 2:
        return points
    step = next((step for step in SHOWN_AA if step <= element / 2), SHOWN_AA[-1])
    return _shown(points.first_aa, points.last_aa, step, points.medium)


def _toml(values: Mapping) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None)


def _read(path, place: str) -> Band:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return Band.from_mapping({"tables": place, **content})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ConfigError) as error:
        raise ParseError(f"{path}: {error}") from error
