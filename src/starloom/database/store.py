"""A store of spectra on disk: numbered pairs of ``.npy`` files, and a manifest with their digests.

::

    DIR/manifest.json       recipe, physics, encoding, and the digests of every finished pair
    DIR/flux-00000.npy      [spectrum, 7290]: spectra on ``broadening.KEPT_GRID_AA``, seen at R = 40000
    DIR/labels-00000.npy    float64[spectrum, 6]: what is stored, in the order and units of ``labels.NAMES``

Flux is kept in units of 2e-5 as uint16, so that rounding costs at most 1e-5 and the range is 0..1.31; a store
of imported spectra that leave this range keeps float32. The labels are true of what is stored: v sin i = 0
and R = 40000 where the synthesiser made it. Every file is written beside its place and renamed when it is on
disk, the manifest last: a pair counts when the manifest names it, so a build may be killed at any moment.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from starloom import labels
from starloom.broadening import KEPT_GRID_AA, KEPT_RESOLUTION
from starloom.database import recipe as recipes
from starloom.database.recipe import Recipe
from starloom.errors import ParseError, StoreError
from starloom.files import replacing

FORMAT = 1
FLUX_STEP = 2e-5
HIGHEST_FLUX = FLUX_STEP * np.iinfo(np.uint16).max
KINDS = ("flux", "labels")


@dataclass(frozen=True)
class Manifest:
    """What a store is made of and how far it is; a value, changed by making a new one and writing it.

    ``digests`` maps the number of each finished chunk to the SHA-256 of its two files.
    """

    folder: Path
    recipe: Recipe
    physics: str
    dtype: str = "uint16"
    digests: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Digest of all that the spectra depend on: recipe, physics, kept grid and encoding."""
        grid = [KEPT_GRID_AA[0], KEPT_GRID_AA[-1], KEPT_GRID_AA.size, KEPT_RESOLUTION]
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
    def bytes_on_disk(self) -> int:
        """Size of the finished files."""
        return sum(self.path(kind, number).stat().st_size for kind in KINDS for number in self.digests)

    def path(self, kind: str, number: int) -> Path:
        """Where ``kind`` ("flux" or "labels") of a chunk is."""
        return self.folder / f"{kind}-{number:05d}.npy"

    def with_chunk(self, number: int, flux: np.ndarray, chunk_labels: np.ndarray) -> "Manifest":
        """The manifest after an encoded chunk was written; ``OSError`` leaves the store as it was."""
        arrays = {"flux": flux, "labels": chunk_labels}
        digests = {kind: _write_array(self.path(kind, number), arrays[kind]) for kind in KINDS}
        after = replace(self, digests={**self.digests, number: digests})
        after.write()
        return after

    def without(self, numbers) -> "Manifest":
        """The manifest after forgetting chunks, which will be made again."""
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
            "grid_aa": [KEPT_GRID_AA[0], KEPT_GRID_AA[-1], KEPT_GRID_AA.size],
            "labels": labels.NAMES,
            "chunks": {str(number): self.digests[number] for number in sorted(self.digests)},
        }
        with replacing(self.folder / "manifest.json") as path:
            path.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def damage(self) -> dict[int, str]:
        """What is wrong with finished chunks, by number: a file is missing, or its digest has changed."""
        faults = {}
        for number, digests in self.digests.items():
            for kind in KINDS:
                path = self.path(kind, number)
                if not path.exists():
                    faults[number] = f"{path}: missing"
                elif (found := file_digest(path)) != digests[kind]:
                    faults[number] = f"{path}: SHA-256 is {found[:12]}, expected {digests[kind][:12]}"
        return faults


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a store, finished or not.

    Raises ``StoreError`` where there is none, ``ParseError`` (path, reason) where it cannot be read.
    """
    path = Path(folder) / "manifest.json"
    if not path.exists():
        raise StoreError(f"{folder}: no store there (no manifest.json)")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise StoreError(f"{path}: format {content['format']}, this version reads format {FORMAT}")
        digests = {int(number): value for number, value in content["chunks"].items()}
        recipe = recipes.from_mapping(content["recipe"])
        manifest = Manifest(Path(folder), recipe, content["physics"], content["dtype"], digests)
        written = content["identity"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParseError(f"{path}: no manifest ({type(error).__name__}: {error})") from error
    if manifest.identity != written:
        raise StoreError(f"{path}: says {written[:12]}, its content has {manifest.identity[:12]}")
    return manifest


def open_or_create(folder: str | Path, recipe: Recipe, physics: str, dtype: str = "uint16") -> Manifest:
    """The manifest to continue with: the store's own, or a new one in an empty or new folder.

    Raises ``StoreError``, naming both digests, where the folder holds a store of another recipe or other
    physics.
    """
    wanted = Manifest(Path(folder), recipe, physics, dtype)
    if (wanted.folder / "manifest.json").exists():
        found = read_manifest(folder)
        if found.identity != wanted.identity:
            raise StoreError(f"{folder}: {_difference(found, wanted)}")
        return found
    if wanted.folder.exists() and any(wanted.folder.iterdir()):
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
    return f"{found.identity[:12]} made with {found.physics} in {found.dtype}, this would be {ours}"


@dataclass(frozen=True, eq=False)
class Store:
    """A finished store, memory-mapped. Made by ``open_store``."""

    manifest: Manifest

    @property
    def recipe(self) -> Recipe:
        """What the store was made from."""
        return self.manifest.recipe

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of all stored spectra: float64[intrinsic, 6]."""
        numbers = range(self.recipe.chunks)
        return np.concatenate([np.load(self.manifest.path("labels", number)) for number in numbers])

    @cached_property
    def broadened(self) -> np.ndarray:
        """Whether a spectrum came with rotation or low resolution, to be shown as it is: bool[intrinsic]."""
        vsini, resolution = self.labels[:, recipes.BROADENING].T
        return (vsini > 0) | (resolution < self.recipe.ranges[recipes.BROADENING[1]][1])

    @cached_property
    def splits(self) -> dict[str, np.ndarray]:
        """Indices of intrinsic spectra by split: "train", "validation", "test"."""
        return self.recipe.splits()

    @cached_property
    def _chunks(self) -> list[np.ndarray]:
        numbers = range(self.recipe.chunks)
        return [np.load(self.manifest.path("flux", number), mmap_mode="r") for number in numbers]

    def flux(self, indices) -> np.ndarray:
        """Stored spectra float32[n, 7290] of the given intrinsic indices, on ``broadening.KEPT_GRID_AA``."""
        indices = np.atleast_1d(indices)
        rows = np.empty((indices.size, KEPT_GRID_AA.size), dtype=self.manifest.dtype)
        for row, index in zip(rows, indices, strict=True):
            row[:] = self._chunks[index // self.recipe.chunk][index % self.recipe.chunk]
        return decode(rows)


def open_store(folder: str | Path) -> Store:
    """A finished store. Raises ``StoreError`` where chunks are missing, else as ``read_manifest``."""
    manifest = read_manifest(folder)
    if manifest.missing:
        done, whole = manifest.spectra, manifest.recipe.intrinsic
        raise StoreError(f"{folder}: {done} of {whole} spectra are there: finish it with the build command")
    return Store(manifest)


def encode(flux: np.ndarray, dtype: str = "uint16") -> np.ndarray:
    """Flux as it is stored. What is below 0 or above 1.31 must have been refused or float32 chosen."""
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


def _write_array(path: Path, array: np.ndarray) -> str:
    """Write an array in one step and give the SHA-256 of what was meant to be written."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    content = stream.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
