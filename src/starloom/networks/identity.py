"""What a training is: digests of everything that its result depends on, by which its checkpoint is known."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from functools import partial
from inspect import getclosurevars
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from starloom.networks.batches import Batch, Batches
from starloom.networks.forward import Network


def identity(
    network: Network, loss: Callable, training: Batches, validation: Batches | None, plan: Any
) -> dict[str, str]:
    """Digests by ingredient; two trainings with the same ones end with the same network.

    ``network``: layers, initial and fixed parameters. ``loss``: its code and the values that it holds, by
    which it also depends on Python's version. ``plan``: all of it but the checkpoints' times, so seed and
    optimiser. The training data are those of the epoch behind the last: every row in an order that the seed
    decides, and of batches that are made anew a sample of how they are made.
    """
    settings = {name: value for name, value in asdict(plan).items() if name != "checkpoint_minutes"}
    held = () if validation is None else validation.epoch(0)
    return {
        "network": digest([network.architecture, network.parameters]),
        "loss": digest(loss),
        "plan": digest(settings),
        "training data": _data_digest(len(training), training.epoch(plan.epochs)),
        "validation data": _data_digest(validation is not None, held),
    }


def digest(value: Any) -> str:
    """SHA-256 (16 digits) of a value: numbers, texts, arrays, functions, and what holds such."""
    sha = hashlib.sha256()
    for part in _parts(value, ()):
        sha.update(part)
    return sha.hexdigest()[:16]


def _data_digest(count: int, batches: Iterator[Batch] | tuple[()]) -> str:
    sha = hashlib.sha256(str(count).encode())
    for batch in batches:
        for part in _parts([batch.indices, *batch.arrays], ()):
            sha.update(part)
    return sha.hexdigest()[:16]


def _parts(value: Any, outer: tuple[int, ...]) -> Iterator[bytes]:
    """A value as bytes; ``outer`` are the ids of what it is in, where a circle would begin."""
    kind = type(value)
    if id(value) in outer:
        return
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield f"{kind.__name__}:{value!r}".encode()
    elif hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        yield f"{array.dtype.str}{array.shape}".encode()
        yield array.view(np.uint8).data if array.size and array.ndim else array.tobytes()
    else:
        yield f"{kind.__module__}.{kind.__qualname__}:".encode()
        for item in _content(value):
            yield from _parts(item, (*outer, id(value)))
    yield b";"


def _content(value: Any) -> Sequence[Any]:
    """What a value consists of."""
    if isinstance(value, Mapping):
        return [item for key in sorted(value, key=repr) for item in (key, value[key])]
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, Sequence):
        return value
    if isinstance(value, CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, FunctionType):
        return _function(value)
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if is_dataclass(value) and not isinstance(value, type):
        return [item for field in fields(value) for item in (field.name, getattr(value, field.name))]
    return [getattr(value, "__qualname__", getattr(value, "__name__", "")), getattr(value, "__dict__", None)]


def _function(function: FunctionType) -> list[Any]:
    """Code and defaults, what is enclosed, and the plain values among the globals that it names."""
    found = getclosurevars(function)
    plain = bool | int | float | complex | str | np.ndarray
    named = {name: value for name, value in found.globals.items() if isinstance(value, plain)}
    defaults = function.__defaults__, function.__kwdefaults__
    return [function.__module__, function.__qualname__, function.__code__, defaults, found.nonlocals, named]
