"""Weights files: safetensors with a JSON header that says what they are, for which labels, and from what.

A file holds named networks.  Its header carries their layers, the labels with units and range, the points
of the spectrum, the digest of the training recipe, versions and the text of the model card, and a hash over
all of it. Matrices may be kept in float16; vectors (biases, label scales) stay float32, where half
precision would cost accuracy and save nothing.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as tensor_bytes

import starloom
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.files import parsing, replacing
from starloom.labels import LABELS, NAMES
from starloom.networks.forward import Network, layers_from

FORMAT = 1
KEY = "starloom"
SUFFIX = ".safetensors"
PRECISIONS = ("float16", "float32")


@dataclass(frozen=True)
class LabelRange:
    """Name, unit and trained range of one label."""

    name: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Points:
    """The points of a spectrum: ``count`` of them from ``first_aa`` to ``last_aa``, ends included.

    ``medium`` is ``air`` or ``vacuum``; ``spacing`` is ``linear`` or ``logarithmic`` in wavelength.
    """

    medium: str
    spacing: str
    first_aa: float
    last_aa: float
    count: int

    def __post_init__(self):
        if self.medium not in ("air", "vacuum") or self.spacing not in ("linear", "logarithmic"):
            raise ConfigError(
                f"points in {self.medium!r}, {self.spacing!r}: air or vacuum, linear or logarithmic"
            )
        if not (0 < self.first_aa < self.last_aa and self.count >= 2):
            raise ConfigError(
                f"points from {self.first_aa} to {self.last_aa} A: {self.count} of them make no grid"
            )

    @classmethod
    def of(cls, wavelength_aa: np.ndarray, medium: str) -> "Points":
        """The description of a grid that is uniform in wavelength or in its logarithm to 1e-6 of a step."""
        for spacing, function in (("linear", np.asarray), ("logarithmic", np.log)):
            steps = np.diff(function(wavelength_aa))
            if np.ptp(steps) < 1e-6 * np.abs(steps).mean():
                ends = float(wavelength_aa[0]), float(wavelength_aa[-1])
                return cls(medium, spacing, *ends, len(wavelength_aa))
        raise ConfigError("wavelengths are uniform neither in wavelength nor in its logarithm")

    @property
    def wavelength_aa(self) -> np.ndarray:
        """The wavelengths [Angstrom]."""
        space = np.linspace if self.spacing == "linear" else np.geomspace
        return space(self.first_aa, self.last_aa, self.count)


@dataclass(frozen=True)
class Header:
    """What a weights file says about itself.

    ``family`` names the kind of model (``generator``, ``autoencoder``, ``estimator``, ``emulator``);
    ``settings`` are its own numbers, such as a limb darkening; ``card`` is the model card in Markdown.
    """

    family: str
    labels: tuple[LabelRange, ...]
    points: Points | None = None
    recipe: str = ""
    card: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = starloom.__version__

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        return tuple(label.name for label in self.labels)


@dataclass(frozen=True, eq=False)
class Model:
    """A header and the networks that it describes, by name."""

    header: Header
    networks: Mapping[str, Network]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(network.size for network in self.networks.values())


def label_ranges(names: Sequence[str] = NAMES) -> tuple[LabelRange, ...]:
    """The package's labels of these names with their units and ranges."""
    known = {label.name: LabelRange(label.name, label.unit, label.low, label.high) for label in LABELS}
    if missing := [name for name in names if name not in known]:
        raise ConfigError(f"labels {', '.join(missing)} are not among {', '.join(known)}")
    return tuple(known[name] for name in names)


def save(path: str | os.PathLike, model: Model, precision: str = "float32") -> None:
    """Write ``model`` to ``path``, whole or not at all.

    ``precision`` (``float16`` or ``float32``) is that of the matrices; vectors are float32.  Raises
    ``ConfigError`` for another precision and for values that are not finite or overflow float16.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision = {precision!r} is not one of {', '.join(PRECISIONS)}")
    tensors = {name: _stored(name, array, precision) for name, array in _tensors(model)}
    description = {
        "format": FORMAT,
        "header": asdict(model.header),
        "networks": {name: network.architecture for name, network in model.networks.items()},
    }
    # sorted, so that the same model gives the same bytes
    text = json.dumps({**description, "hash": content_hash(description, tensors)}, sort_keys=True)
    with replacing(path) as temporary:
        temporary.write_bytes(tensor_bytes(tensors, metadata={KEY: text}))


def load(path: str | os.PathLike, labels: Sequence[str] | None = NAMES, family: str | None = None) -> Model:
    """The model in a weights file, with float32 parameters.

    ``labels`` are the names that the caller will give, in order (``None``: any), ``family`` the kind of
    model that is wanted.  Raises ``ParseError`` for a file that is missing, truncated, altered or no
    weights file, and ``StoreError`` for one of another format, made for other labels or of another family.
    """
    with parsing(path, SafetensorError, ValueError):
        content = Path(path).read_bytes()
        tensors = read_tensors(content)
        description = _description(content)
    if description is None:
        raise ParseError(f"{path}: no starloom weights file: its metadata have no entry {KEY!r}")
    if description.get("format") != FORMAT:
        raise StoreError(f"{path}: format {description.get('format')!r}, this version reads format {FORMAT}")
    expected = description.pop("hash", None)
    if content_hash(description, tensors) != expected:
        raise ParseError(f"{path}: altered: its content does not have the hash that its header gives")
    with parsing(path, KeyError, TypeError, ValueError, ConfigError):
        header = _header(description["header"])
        networks = {name: _network(name, layers, tensors) for name, layers in description["networks"].items()}
    _check_purpose(path, header, labels, family)
    return Model(header, networks)


def find(name: str | os.PathLike) -> Path:
    """Path of a weights file: a packaged model by its name, or ``name`` itself where it is a path.

    What has a folder or a suffix in it counts as a path.  Raises ``ConfigError`` for an unknown name.
    """
    path = Path(name)
    if path.suffix == SUFFIX or path.parent != Path("."):
        return path
    if str(name) not in names():
        raise ConfigError(
            f"model {str(name)!r} is not packaged: {', '.join(names()) or 'none is'}; or give a path"
        )
    return Path(str(_folder() / f"{name}{SUFFIX}"))


def names() -> list[str]:
    """Names of the packaged models, sorted."""
    folder = _folder()
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(entry.name.removesuffix(SUFFIX) for entry in entries if entry.name.endswith(SUFFIX))


def content_hash(description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the description and every tensor's name, type, shape and bytes."""
    sha = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _folder():
    return files("starloom") / "models"


def _tensors(model: Model) -> Iterator[tuple[str, np.ndarray]]:
    for name, network in model.networks.items():
        for index, parameters in enumerate(network.parameters):
            for key, array in parameters.items():
                yield f"{name}/{index}/{key}", np.asarray(array)


def _stored(name: str, array: np.ndarray, precision: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # an overflow to infinity is reported below
        stored = np.ascontiguousarray(array, dtype=precision if array.ndim > 1 else "float32")
    if not np.isfinite(stored).all():
        raise ConfigError(f"parameters {name} are not finite in {stored.dtype}")
    return stored


def _description(content: bytes) -> dict[str, Any] | None:
    """Our JSON in the file's own header, whose length is its first 8 bytes (safetensors' format)."""
    length = int.from_bytes(content[:8], "little")
    text = json.loads(content[8 : 8 + length]).get("__metadata__", {}).get(KEY)
    return None if text is None else json.loads(text)


def _header(values: Mapping[str, Any]) -> Header:
    known = {entry.name for entry in fields(Header)}
    if unknown := set(values) - known:
        raise ValueError(f"unknown fields in the header: {', '.join(sorted(unknown))}")
    labels = tuple(LabelRange(**label) for label in values["labels"])
    points = values["points"] and Points(**values["points"])
    return Header(**{**values, "labels": labels, "points": points})


def _network(
    name: str, architecture: Sequence[Mapping[str, Any]], tensors: Mapping[str, np.ndarray]
) -> Network:
    layers = layers_from(architecture)
    parameters = tuple(
        {key: tensors[f"{name}/{index}/{key}"].astype(np.float32) for key in layer.shapes}
        for index, layer in enumerate(layers)
    )
    return Network(layers, parameters)


def _check_purpose(path, header: Header, labels: Sequence[str] | None, family: str | None) -> None:
    if labels is not None and header.names != tuple(labels):
        raise StoreError(f"{path}: made for the labels {', '.join(header.names)}, not {', '.join(labels)}")
    if family is not None and header.family != family:
        raise StoreError(f"{path}: holds a model of the family {header.family!r}, not {family!r}")
