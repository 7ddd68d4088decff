"""A store of spectra on disk: numbered pairs of ``.npy`` files, and a manifest with their digests.

::

    DIR/manifest.json       recipe, physics, encoding, and the digests of every finished pair
    DIR/manifest-copy.json  the same, should the first be damaged
    DIR/flux-00000.npy      [spectrum, point]: what is kept of each of the band's chunks, one behind the other
    DIR/labels-00000.npy    float64[spectrum, label]: what is stored, in the order of the recipe's domain

Flux is kept in units of 2e-5 as uint16, so that rounding costs at most 1e-5 and the range is 0..1.31; a store
of imported spectra that leave this range keeps float32. The labels are true of what is stored: v sin i = 0
and the kept resolution where the synthesiser made it. Every file is written beside its place and renamed when
it is on disk, the manifest last: a pair counts when the manifest names it, so a build may be killed at any
moment. A reader compares a file's digest before it uses it, once as long as the file's size and time stay.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from starloom.arrays import one_line
from starloom.bands import Band
from starloom.database import recipe as recipes
from starloom.database.recipe import Recipe
from starloom.errors import ConfigError, ParseError, StarloomError, StoreError
from starloom.files import replacing
from starloom.labels import Domain

FORMAT = 1
# what the identity of a store of the packaged band says of its kept grid since format 1
FIRST_GRID = [8390.324146368872, 8814.400032211584, 7290, 40000.0]
FLUX_STEP = 2e-5
HIGHEST_FLUX = FLUX_STEP * np.iinfo(np.uint16).max
KINDS = ("flux", "labels")
NAMES = ("manifest.json", "manifest-copy.json")
UNKNOWN_PHYSICS = "unknown physics (repaired)"


@dataclass(frozen=True)
class Manifest:
    """What a store is made of and how far it is; a value, changed by making a new one and writing it.

    ``digests`` maps the number of each finished chunk to the SHA-256 of its two files; ``band`` is the
    recipe's, by default as it is installed now.

    ``dtype`` of the stored flux: ``uint16`` (steps of 2e-5) or ``float32``. ``physics`` names what made the
    spectra.
    """

    folder: Path
    recipe: Recipe
    physics: str
    dtype: str = "uint16"
    digests: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    band: Band | None = None

    __repr__ = one_line

    def __post_init__(self):
        if self.band is None:
            object.__setattr__(self, "band", self.recipe.load_band())

    @property
    def identity(self) -> str:
        """Digest of all that the spectra depend on: recipe, physics, kept grids and encoding."""
        ends = [
            [grid.first_aa, grid.last_aa, grid.points, self.band.kept_resolution] for grid in self.band.kept
        ]
        steps = [self.band.chunks[0].step_kms, self.band.stride]
        # to rounding, in which the same grid was once computed in another way
        first = len(ends) == 1 and np.allclose(ends[0], FIRST_GRID, rtol=1e-13, atol=0)
        grid = FIRST_GRID if first else [ends, steps]
        content = [FORMAT, self.recipe.digest, self.physics, self.dtype, grid]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def missing(self) -> list[int]:
        """Numbers of the chunks that are not there yet."""
        return [number for number in range(self.recipe.chunks) if number not in self.digests]

    @property
    def spectra(self) -> int:
        """Number of intrinsic spectra that are there."""
        return sum(len(self.recipe.indices(number)) for number in self.digests)

    @property
    def points(self) -> int:
        """Number of points that are kept of a spectrum, over all chunks of the band."""
        return sum(grid.points for grid in self.band.kept)

    @property
    def bytes_on_disk(self) -> int:
        """Size of the finished files."""
        return sum(self.path(kind, number).stat().st_size for kind in KINDS for number in self.digests)

    def path(self, kind: str, number: int) -> Path:
        """Where ``kind`` ("flux" or "labels") of a chunk is."""
        return self.folder / f"{kind}-{number:05d}.npy"

    def with_chunk(self, number: int, flux: np.ndarray, chunk_labels: np.ndarray) -> "Manifest":
        """The manifest after an encoded chunk was written; ``OSError`` leaves the store as it was.

        ``stored`` and ``chunk_labels[star, label]`` are written as chunk ``number``.
        """
        arrays = {"flux": flux, "labels": chunk_labels}
        digests = {kind: _write_array(self.path(kind, number), arrays[kind]) for kind in KINDS}
        after = replace(self, digests={**self.digests, number: digests})
        after.write()
        return after

    def without(self, numbers) -> "Manifest":
        """The manifest after forgetting chunks, which will be made again.

        ``numbers``: those of the chunks.
        """
        after = replace(self, digests={n: value for n, value in self.digests.items() if n not in numbers})
        after.write()
        return after

    def write(self) -> None:
        """Put the manifest on disk in one step."""
        content = {
            "format": FORMAT,
            "identity": self.identity,
            "recipe_digest": self.recipe.digest,
            "recipe": recipes.to_mapping(self.recipe),
            "physics": self.physics,
            "dtype": self.dtype,
            "flux_step": FLUX_STEP if self.dtype == "uint16" else 1.0,
            "medium": "vacuum",
            "band": self.band.mapping,
            "grid_aa": [[grid.first_aa, grid.last_aa, grid.points] for grid in self.band.kept],
            "labels": self.recipe.domain.names,
            "chunks": {str(number): self.digests[number] for number in sorted(self.digests)},
        }
        for name in NAMES:
            with replacing(self.folder / name) as path:
                path.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def array(self, kind: str, number: int) -> np.ndarray:
        """``kind`` of a chunk, memory-mapped; ``StoreError`` where it is damaged."""
        path = self.path(kind, number)
        check_digest(path, self.digests[number][kind])
        return np.load(path, mmap_mode="r")

    def damage(self, progress: bool = False) -> dict[int, str]:
        """What is wrong with finished chunks, by number: a file is missing, or its digest has changed."""
        faults = {}
        for number, digests in tqdm(self.digests.items(), unit=" chunks", disable=not progress):
            for kind in KINDS:
                path = self.path(kind, number)
                if not path.exists():
                    faults[number] = f"{path}: missing"
                elif (found := file_digest(path)) != digests[kind]:
                    faults[number] = f"{path}: SHA-256 is {found[:12]}, expected {digests[kind][:12]}"
        return faults


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a store, finished or not.

    Raises ``StoreError`` where there is none, ``ParseError`` (path, reason) where it cannot be read; what
    then helps is ``repaired``.
    """
    path = Path(folder) / NAMES[0]
    if not path.exists() and not path.with_name(NAMES[1]).exists():
        raise StoreError(f"{folder}: no store there (no manifest.json)")
    return _manifest_in(path, f"; `starloom database repair {folder}` helps")


def repaired(folder: str | Path, recipe: Recipe | None = None) -> Manifest:
    """Write a damaged manifest anew: from its copy, or where that is damaged too from the chunks themselves.

    The latter needs the ``recipe``: a chunk counts where its labels are the recipe's and its flux has the
    right shape. Its physics is ``UNKNOWN_PHYSICS`` then: such a store can be used, but not continued.
    Raises ``StoreError`` where neither is possible.
    """
    path = Path(folder) / NAMES[0]
    with suppress(StarloomError):
        return _manifest_in(path)
    try:
        manifest = _manifest_in(path.with_name(NAMES[1]))
    except StarloomError as error:
        if recipe is None:
            raise StoreError(
                f"{folder}: manifest and copy are damaged: give the recipe too (or import it again)"
            ) from error
        manifest = Manifest(Path(folder), recipe, UNKNOWN_PHYSICS)
        found = {number: _digests_of(manifest, number) for number in manifest.missing}
        if not any(found.values()):
            raise StoreError(f"{folder}: no chunk of recipe {recipe.name} is there") from error
        manifest = replace(manifest, digests={number: pair for number, pair in found.items() if pair})
    manifest.write()
    return manifest


def _digests_of(manifest: Manifest, number: int) -> dict[str, str]:
    """Digests of the two files of a chunk, empty where they are not those of the recipe."""
    indices = manifest.recipe.indices(number)
    flux, kept = (manifest.path(kind, number) for kind in KINDS)
    try:
        stored = np.load(flux, mmap_mode="r")
        expected = manifest.recipe.intrinsic_labels(indices.start, len(indices))
        same = np.array_equal(np.load(kept)[:, manifest.recipe.synthesised], expected)
    except (OSError, ValueError, IndexError):
        return {}
    whole = stored.shape == (len(indices), manifest.points) and stored.dtype == manifest.dtype
    return {"flux": file_digest(flux), "labels": file_digest(kept)} if same and whole else {}


def _manifest_in(path: Path, hint: str = "") -> Manifest:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise StoreError(f"{path}: format {content['format']}, this version reads format {FORMAT}")
        digests = {int(number): value for number, value in content["chunks"].items()}
        recipe = recipes.from_mapping(content["recipe"])
        band = content.get("band") and Band.from_mapping(content["band"])
        manifest = Manifest(path.parent, recipe, content["physics"], content["dtype"], digests, band)
        written = content["identity"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ParseError(f"{path}: no manifest ({type(error).__name__}: {error}){hint}") from error
    if manifest.identity != written:
        raise StoreError(f"{path}: says {written[:12]}, its content has {manifest.identity[:12]}{hint}")
    return manifest


def open_or_create(folder: str | Path, recipe: Recipe, physics: str, dtype: str = "uint16") -> Manifest:
    """The manifest to continue with: the store's own, or a new one in an empty or new folder.

    Raises ``StoreError``, naming both digests, where the folder holds a store of another recipe or other
    physics.

    ``dtype`` is that of a new one (``Manifest``).
    """
    wanted = Manifest(Path(folder), recipe, physics, dtype)
    if any((wanted.folder / name).exists() for name in NAMES):
        found = read_manifest(folder)
        if found.identity != wanted.identity:
            raise StoreError(f"{folder}: {_difference(found, wanted)}")
        return found
    if wanted.folder.exists() and any(path.name != ".lock" for path in wanted.folder.iterdir()):
        raise StoreError(f"{folder}: not empty, and no store: give a new or empty folder")
    wanted.folder.mkdir(parents=True, exist_ok=True)
    wanted.write()
    return wanted


def _difference(found: Manifest, wanted: Manifest) -> str:
    if found.recipe != wanted.recipe:
        return (
            f"made by recipe {found.recipe.name} {found.recipe.digest[:12]}, "
            f"this is recipe {wanted.recipe.name} {wanted.recipe.digest[:12]}"
        )
    ours = f"{wanted.identity[:12]} with {wanted.physics} in {wanted.dtype}"
    made = f"{found.identity[:12]} made with {found.physics} in {found.dtype}"
    return f"{made}, this would be {ours}: it can be used as it is, but continued only by what made it"


@dataclass(frozen=True, eq=False)
class Store:
    """A finished store, memory-mapped. Made by ``open_store``."""

    manifest: Manifest

    def __repr__(self) -> str:
        return f"Store({self.recipe.name!r}, {self.recipe.intrinsic} spectra of {self.domain.extent})"

    @property
    def recipe(self) -> Recipe:
        """What the store was made from."""
        return self.manifest.recipe

    @property
    def domain(self) -> Domain:
        """The labels and their ranges."""
        return self.recipe.domain

    @cached_property
    def band(self) -> Band:
        """The wavelength band, its finest resolution at least the recipe's highest."""
        band, highest = self.manifest.band, self.recipe.finest
        if not band.finest_resolution < highest < band.kept_resolution:
            return band
        return replace(band, finest_resolution=highest)

    def up_to(self, resolution: float) -> "Store":
        """The store seen up to this ``resolution`` alone; itself where its recipe ends before."""
        if self.recipe.finest <= resolution:
            return self
        return Store(replace(self.manifest, recipe=self.recipe.over(resolution=resolution)))

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of all stored spectra: float64[intrinsic, label]."""
        numbers = range(self.recipe.chunks)
        return np.asarray(np.concatenate([self.manifest.array("labels", number) for number in numbers]))

    @cached_property
    def broadened(self) -> np.ndarray:
        """Whether a spectrum came with rotation or low resolution, to be shown as it is: bool[intrinsic]."""
        broadened = np.zeros(len(self.labels), bool)
        for index in self.recipe.broadening:
            value = self.labels[:, index]
            sharp = self.domain.names[index] == "resolution"
            broadened |= value < self.domain.high[index] if sharp else value > 0
        return broadened

    @cached_property
    def splits(self) -> dict[str, np.ndarray]:
        """Indices of intrinsic spectra by split: "train", "validation", "test"."""
        return self.recipe.splits()

    @cached_property
    def _chunks(self) -> dict[int, np.ndarray]:
        return {}

    def _chunk(self, number: int) -> np.ndarray:
        if number not in self._chunks:
            self._chunks[number] = self.manifest.array("flux", number)
        return self._chunks[number]

    def flux(self, indices, chunk: int | None = None) -> np.ndarray:
        """Stored spectra float32[n, point] of the given intrinsic indices, on the grids of ``band.kept``.

        All chunks of the band one behind the other, or one of them alone.

        ``chunk``: its number in the band.
        """
        indices, size = np.atleast_1d(indices), self.band.kept[0].points
        part = slice(None) if chunk is None else slice(chunk * size, (chunk + 1) * size)
        rows = np.empty((indices.size, len(range(self.manifest.points)[part])), dtype=self.manifest.dtype)
        for row, index in zip(rows, indices, strict=True):
            row[:] = self._chunk(index // self.recipe.chunk)[index % self.recipe.chunk, part]
        return decode(rows)


def common(
    stores: Sequence[Store], range_aa: Sequence[float] = (), resolution: float | None = None
) -> tuple[Domain, Band]:
    """The domain that holds those of all stores, and their band; ``ConfigError`` where they differ.

    The band's finest resolution is the highest of theirs, or ``resolution``, where the domain ends then;
    ``range_aa``, two air wavelengths [A], takes the chunks that show them. ``ConfigError`` where the stores
    have not that.
    """
    first, finest = stores[0], max(store.band.finest_resolution for store in stores)
    band = replace(first.band, finest_resolution=finest)
    for other in stores[1:]:
        alike = replace(other.band, finest_resolution=finest).bare == band.bare
        if other.domain.names != first.domain.names or not alike:
            told = [f"{s.recipe.name}: {', '.join(s.domain.names)} in {s.band.name}" for s in (first, other)]
            raise ConfigError(f"stores with different labels or bands: {'; '.join(told)}")
    domain = first.domain.around([store.domain for store in stores])
    if range_aa:
        band = band.within(band.name, *range_aa)
    if resolution is None:
        return domain, band
    if not 0 < resolution <= min(store.recipe.finest for store in stores):
        told = ", ".join(f"{store.recipe.name} up to {store.recipe.finest:g}" for store in stores)
        raise ConfigError(f"resolution = {resolution:g} is none of the stores' ({told}): build them with it")
    return domain.up_to("resolution", resolution), replace(band, finest_resolution=resolution)


def open_store(folder: str | Path) -> Store:
    """A finished store. Raises ``StoreError`` where chunks are missing, else as ``read_manifest``."""
    manifest = read_manifest(folder)
    if manifest.missing:
        done, whole = manifest.spectra, manifest.recipe.intrinsic
        raise StoreError(f"{folder}: {done} of {whole} spectra are there: finish it with the build command")
    return Store(manifest)


def encode(flux: np.ndarray, dtype: str = "uint16") -> np.ndarray:
    """Flux as it is stored. What is below 0 or above 1.31 must have been refused or float32 chosen.

    ``dtype``: ``uint16`` or ``float32``.
    """
    if dtype == "float32":
        return flux.astype(np.float32)
    return np.rint(np.clip(flux, 0, HIGHEST_FLUX) / FLUX_STEP).astype(np.uint16)


def decode(stored: np.ndarray) -> np.ndarray:
    """The inverse of ``encode``, as float32."""
    if stored.dtype == np.uint16:
        return stored * np.float32(FLUX_STEP)
    return stored.astype(np.float32)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_digest(path: Path, expected: str) -> None:
    """Raise ``StoreError`` where a file's bytes are not those that were written; known files cost nothing.

    ``expected``: SHA-256, hexadecimal.
    """
    try:
        state = path.stat()
        found = _known_digest(path.resolve(), state.st_size, state.st_mtime_ns)
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing: run again what made it") from error
    if found != expected:
        reason = f"SHA-256 is {found[:12]}, expected {expected[:12]}"
        raise StoreError(f"{path}: damaged ({reason}): run again what made it")


@lru_cache(maxsize=100_000)
def _known_digest(path: Path, size: int, time_ns: int) -> str:
    return file_digest(path)


def _write_array(path: Path, array: np.ndarray) -> str:
    """Write an array in one step and give the SHA-256 of what was meant to be written."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    content = stream.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
