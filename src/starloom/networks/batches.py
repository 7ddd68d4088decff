"""Batches for training: rows with their indices, in an order that the seed and the epoch decide."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from starloom.errors import ConfigError


class Batch(NamedTuple):
    """Some rows of the training data: their indices, and the arrays that the loss takes."""

    indices: np.ndarray
    arrays: tuple[np.ndarray, ...]


class Batches(Protocol):
    """What the trainer reads: anything that yields the same batches for the same epoch each time."""

    def __len__(self) -> int:
        """Number of batches in an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch ``number``, any from 0 up."""


@dataclass(frozen=True, eq=False)
class RowBatches:
    """Batches of ``size`` of the ``rows`` (the last one smaller), whose arrays ``read(indices)`` gives.

    Shuffled by ``[seed, epoch]``, or in the order of ``rows`` where ``seed`` is ``None`` (validation).
    """

    rows: np.ndarray
    read: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    size: int = 512
    seed: int | None = None

    def __post_init__(self):
        if len(self.rows) == 0 or self.size < 1:
            raise ConfigError(f"{len(self.rows)} rows in batches of {self.size}: both must be at least 1")

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def epoch(self, number: int) -> Iterator[Batch]:
        rows = self.rows
        if self.seed is not None:
            rows = np.random.default_rng([self.seed, number]).permutation(rows)
        for start in range(0, len(rows), self.size):
            indices = rows[start : start + self.size]
            yield Batch(indices, self.read(indices))


@dataclass(frozen=True, eq=False)
class WithTwins:
    """Each batch of ``rows``, its arrays followed by those of ``count`` pairs of a star and its twin.

    Which pairs depends on ``[seed, epoch, batch]``.
    """

    rows: RowBatches
    pairs: tuple[np.ndarray, ...]
    count: int

    def __len__(self) -> int:
        return len(self.rows)

    def epoch(self, number: int) -> Iterator[Batch]:
        for index, batch in enumerate(self.rows.epoch(number)):
            random = np.random.default_rng([self.rows.seed or 0, number, index])
            chosen = random.integers(len(self.pairs[0]), size=self.count)
            yield Batch(batch.indices, (*batch.arrays, *(array[chosen] for array in self.pairs)))


def array_batches(
    arrays: Sequence[np.ndarray], rows: np.ndarray | None = None, size: int = 512, seed: int | None = None
) -> RowBatches:
    """Batches of the ``rows`` (default: all) of arrays of one length, in memory or memory-mapped."""
    if len(lengths := {len(array) for array in arrays}) != 1:
        raise ConfigError(f"arrays of {sorted(lengths)} rows: they need one length")
    chosen = np.arange(len(arrays[0])) if rows is None else rows
    return RowBatches(chosen, lambda indices: tuple(array[indices] for array in arrays), size, seed)


def split(count: int, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of training and validation rows: a random fraction ``validation`` of ``count`` apart.

    For rows that are independent; copies of one intrinsic spectrum must be split by spectrum instead.
    """
    if not 0 < validation < 1:
        raise ConfigError(f"validation fraction = {validation} is outside ]0, 1[")
    order = np.random.default_rng(seed).permutation(count)
    held = round(count * validation)
    return np.sort(order[held:]), np.sort(order[:held])


def mapped(function, arrays: Sequence[np.ndarray], size: int = 1024) -> np.ndarray:
    """``function`` of the arrays' rows, ``size`` rows at a time: results stacked in one array."""
    count = len(arrays[0])
    return np.concatenate(
        [np.asarray(function(*(a[start : start + size] for a in arrays))) for start in range(0, count, size)]
    )
