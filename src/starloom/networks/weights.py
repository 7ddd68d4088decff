"""Weights files: safetensors with a JSON header that says what they are, for which labels, and from what.

A file holds named networks.  Its header carries their layers, the labels with units and range, the points
of the spectrum, the digest of the training recipe, versions and the text of the model card, and a hash over
all of it. Matrices may be kept in float16; vectors (biases, label scales) stay float32, where half
precision would cost accuracy and save nothing, and so do Gaussian processes, whose sums cancel.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as tensor_bytes

import starloom
from starloom import bands, tables
from starloom.arrays import one_line
from starloom.bands import Band
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.files import parsing, replacing
from starloom.labels import RADIATION_LIMIT, Domain
from starloom.networks.forward import Matern, Network, layers_from
from starloom.recipes import one_of
from starloom.wavelength import Points

FORMAT = 2
READABLE = (1, 2)
GROUP = "starloom.models"  # entry points: a package with a file <name>.safetensors
KEY = "starloom"
SUFFIX = ".safetensors"
PRECISIONS = ("float16", "float32")
DAMAGE = (KeyError, TypeError, ValueError, ConfigError)  # what a header that makes no sense raises
# models of the project's further distributions, and how to get them
KNOWN = {
    "paper": "the distribution starloom-paper (distributions/paper of the repository)",
    "optical": "the distribution starloom-optical-model (distributions/optical-model of the repository)",
}


@dataclass(frozen=True)
class Header:
    """What a weights file says about itself.

    ``family`` names the kind of model (``generator``, ``autoencoder``, ``estimator``, ``emulator``);
    ``domain`` has the labels that it was trained on; ``points`` are those of its spectrum, ``band`` the
    wavelength band of its training spectra; ``settings`` are its own numbers, such as a limb darkening;
    ``card`` is the model card in Markdown.

    ``version`` is that of the starloom that wrote it, ``recipe`` the digest of what it was trained on.
    """

    family: str
    domain: Domain
    points: Points | None = None
    band: Band | None = None
    recipe: str = ""
    card: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = starloom.__version__

    __repr__ = one_line

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        return self.domain.names

    @property
    def mapping(self) -> dict[str, Any]:
        """The header as plain data (JSON)."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        parts = {"domain": self.domain.mapping, "points": self.points and asdict(self.points)}
        return {**plain, **parts, "band": self.band and self.band.mapping, "settings": dict(self.settings)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Header":
        """The inverse of ``mapping``; ValueError, KeyError or TypeError where it makes no sense.

        ``values``: plain data, as read from JSON.
        """
        if unknown := set(values) - {entry.name for entry in fields(cls)}:
            raise ValueError(f"unknown fields in the header: {', '.join(sorted(unknown))}")
        points, band = values["points"], values["band"]
        grid = None if points is None else Points(**points)
        parts = {"domain": Domain.from_mapping(values["domain"]), "points": grid}
        if not isinstance(values.get("settings", {}), Mapping):
            raise TypeError("settings are no mapping")
        return cls(**{**values, **parts, "band": None if band is None else Band.from_mapping(band)})


@dataclass(frozen=True, eq=False)
class Model:
    """A header and the networks that it describes, by name."""

    header: Header
    networks: Mapping[str, Network]

    __repr__ = one_line

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(network.size for network in self.networks.values())


def save(path: str | os.PathLike, model: Model, precision: str = "float32") -> None:
    """Write ``model`` to ``path``, whole or not at all.

    ``precision`` (``float16`` or ``float32``) is that of the matrices; see the module.  Raises
    ``ConfigError`` for another precision and for values that are not finite or overflow float16.
    """
    one_of(PRECISIONS, precision=precision)
    tensors = dict(_tensors(model, precision))
    description = {
        "format": FORMAT,
        "header": model.header.mapping,
        "networks": {name: network.architecture for name, network in model.networks.items()},
    }
    # sorted, so that the same model gives the same bytes
    text = json.dumps({**description, "hash": content_hash(description, tensors)}, sort_keys=True)
    with replacing(path) as temporary:
        temporary.write_bytes(tensor_bytes(tensors, metadata={KEY: text}))


def load(path: str | os.PathLike, family: str | None = None) -> Model:
    """The model in a weights file, with float32 parameters.

    ``family`` is the kind of model that is wanted (None: any).  Raises ``ParseError`` for a file that is
    missing, truncated, altered or no weights file, and ``StoreError`` for one of another format or family.
    """
    with parsing(path, SafetensorError, ValueError):
        content = Path(path).read_bytes()
        tensors = read_tensors(content)
        description = _description(content)
    if not isinstance(description, dict):
        raise ParseError(f"{path}: no starloom weights file: its metadata have no entry {KEY!r}")
    if description.get("format") not in READABLE:
        formats = " and ".join(map(str, READABLE))
        raise StoreError(f"{path}: format {description.get('format')!r}, this version reads {formats}")
    expected = description.pop("hash", None)
    if content_hash(description, tensors) != expected:
        raise ParseError(f"{path}: altered: its content does not have the hash that its header gives")
    with parsing(f"{path}: header", *DAMAGE):
        header = (_first_header if description["format"] == 1 else Header.from_mapping)(description["header"])
    with parsing(f"{path}: networks", *DAMAGE):
        if not isinstance(architectures := description["networks"], Mapping):
            raise TypeError(f"{architectures!r} is no mapping")
        networks = {name: _network(name, layers, tensors) for name, layers in architectures.items()}
    if family is not None and header.family != family:
        raise StoreError(f"{path}: holds a model of the family {header.family!r}, not {family!r}")
    return Model(header, networks)


def named(model: str | os.PathLike) -> str:
    """The name of a model or path of its file as text; ``ConfigError`` where it is neither."""
    if not isinstance(model, str | os.PathLike):
        raise ConfigError(f"model = {model!r:.60} is neither the name of a model nor the path of its file")
    return os.fspath(model)


def is_path(name: str | os.PathLike) -> bool:
    """Whether it is the path of a file, not the name of an installed model: it has a folder or a suffix."""
    path = Path(name)
    return path.suffix == SUFFIX or path.parent != Path(".")


def find(name: str | os.PathLike) -> Path:
    """Path of a weights file: an installed model by its name, or ``name`` itself where it is a path.

    What has a folder or a suffix in it counts as a path.  Raises ``ConfigError`` for an unknown name.
    """
    path = Path(named(name))
    if is_path(path):
        return path
    place = tables.publisher(GROUP, str(name))
    if place is None:
        told = f"model {str(name)!r} is not installed (there are: {', '.join(names()) or 'none'})"
        hint = f"{KNOWN[str(name)]} has it" if str(name) in KNOWN else f"give a name, or a file *{SUFFIX}"
        raise ConfigError(f"{told}: {hint}")
    return Path(str(tables.folder(place) / f"{name}{SUFFIX}"))


def model_for(band: str | None) -> str:
    """The model that knows a ``band``, where none is named: ``default`` its own, ``optical`` all others."""
    return "default" if band in (None, "rvs") else "optical"


def names() -> list[str]:
    """Names of the installed models, sorted."""
    return tables.published(GROUP)


def content_hash(description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the description and every tensor's name, type, shape and bytes.

    ``tensors``: arrays by name.
    """
    sha = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _tensors(model: Model, precision: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, network in model.networks.items():
        for index, (layer, parameters) in enumerate(zip(network.layers, network.parameters, strict=True)):
            own = "float32" if isinstance(layer, Matern) else precision
            for key, array in parameters.items():
                yield (path := f"{name}/{index}/{key}"), _stored(path, np.asarray(array), own)


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


def _first_header(values: Mapping[str, Any]) -> Header:
    """The header of format 1, which was all for the packaged band and the floor of its structures."""
    labels = {label["name"]: (label["low"], label["high"]) for label in values["labels"]}
    units = {label["name"]: label["unit"] for label in values["labels"]}
    settings = dict(values["settings"])
    domain = Domain.of(labels, RADIATION_LIMIT)
    if wrong := [label.name for label in domain.labels if label.unit != units[label.name]]:
        raise ValueError(f"labels {', '.join(wrong)} in other units")
    band = bands.load("rvs")
    kept, finest = settings.pop("kept_resolution", None), settings.get("modes_resolution")
    band = replace(
        band,
        kept_resolution=band.kept_resolution if kept is None else float(kept),
        finest_resolution=band.finest_resolution if finest is None else float(finest),
    )
    rest = {key: value for key, value in values.items() if key != "labels"}
    plain = {"domain": domain.mapping, "band": band.mapping, "settings": settings}
    return Header.from_mapping({**rest, **plain})


def _network(
    name: str, architecture: Sequence[Mapping[str, Any]], tensors: Mapping[str, np.ndarray]
) -> Network:
    layers = layers_from(architecture)
    parameters = tuple(
        {key: tensors[f"{name}/{index}/{key}"].astype(np.float32) for key in layer.shapes}
        for index, layer in enumerate(layers)
    )
    return Network(layers, parameters)
