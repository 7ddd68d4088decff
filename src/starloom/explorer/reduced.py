"""What the page needs of a model whose file is large: fewer bytes, the same flux to 1e-5.

Most of a model's numbers are those of its decoder, the linear map from coefficients to modes. Its rows fall
off as the components of its basis do. All but the first are kept as integers of 16 bits in units of their
column's largest: the error of the flux is at most 1e-5, where numbers of float16 leave 2e-4. What a file
has in float16 stays so.

A model of several chunks is sent in pieces, so that a page loads the chunks that are looked at alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import save as tensor_bytes

from starloom.networks.emulator import network_names
from starloom.networks.forward import Network
from starloom.networks.weights import KEY, Model

LARGEST = 6_000_000  # bytes of a file that is sent as it is
FORMAT = "page"  # no file of weights.load, which says so
WHOLE = 32  # rows of a decoder that stay float32
STEPS = 2**15 - 1
UNUSED = "physics_"  # networks of fits
MEAN = "_mean"  # stated errors that the page does not draw


def reduced(model: Model) -> bytes:
    """The page's own file of an emulator: safetensors as ``weights.save``, with decoders of 16 bits.

    A matrix ``name`` of these is ``name.first`` (float32, the first rows), ``name`` (int16, the others) and
    ``name.unit`` (float32, by column, of the integers).
    """
    names = [name for name in model.networks if not name.startswith(UNUSED)]
    return _file(model, names, True, header=model.header.mapping)


def head(model: Model) -> bytes:
    """Of an emulator of several chunks what all of them share: its header and the errors that it states."""
    others = [name for name in model.networks if name not in _decoded(model)]
    names = [name for name in others if not name.startswith(UNUSED) and not name.endswith(MEAN)]
    return _file(model, names, False, header=model.header.mapping)


def parts(model: Model, smaller: bool, atoms: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[bytes]:
    """Files of the chunks of an emulator, in order: the network of each, and the lines that it shows.

    ``smaller``: with decoders as in ``reduced``. ``atoms``: of each chunk, see ``facts.atoms``.
    """
    for name, own in zip(_decoded(model), atoms, strict=True):
        yield _file(model, [name], smaller, atoms=own)


def _decoded(model: Model) -> list[str]:
    return network_names(len(model.header.band.chunks))


def _file(model: Model, names: Sequence[str], smaller: bool, **told: Any) -> bytes:
    """Some of a model's networks, and what is told beside them."""
    networks, decoded = {name: model.networks[name] for name in names}, _decoded(model) if smaller else ()
    tensors = dict(part for name in names for part in _tensors(name, networks[name], name in decoded))
    architectures = {name: network.architecture for name, network in networks.items()}
    text = json.dumps({"format": FORMAT, "networks": architectures, **told}, sort_keys=True)
    return tensor_bytes(tensors, metadata={KEY: text})


def _tensors(name: str, network: Network, smaller: bool) -> Iterator[tuple[str, np.ndarray]]:
    last = len(network.layers) - 1
    for index, parameters in enumerate(network.parameters):
        for key, array in parameters.items():
            own, values = f"{name}/{index}/{key}", np.ascontiguousarray(array, np.float32)
            if (half := _half(values)) is not None:
                yield own, half
            elif smaller and index == last and key == "weight":
                yield from integers(own, values).items()
            else:
                yield own, values


def _half(values: np.ndarray) -> np.ndarray | None:
    """The same numbers in float16, where they are: those of a file that was written so."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half, values) else None


def integers(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of a matrix of which all rows but the first are integers: right to half of a unit."""
    first, others = matrix[:WHOLE], matrix[WHOLE:]
    unit = np.abs(others).max(axis=0, initial=0.0) / STEPS
    whole = np.rint(others / np.where(unit > 0, unit, 1)).astype(np.int16)
    return {f"{name}.first": first, name: whole, f"{name}.unit": unit.astype(np.float32)}
