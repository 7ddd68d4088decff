"""Stars and their twins, which differ by one element: what a network learns of weak lines from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from starloom.arrays import one_line
from starloom.database.store import Store


@dataclass(frozen=True, eq=False)
class Twins:
    """Rows of pairs among stars: ``star[pair]``, ``twin[pair]``, and the name of their ``element[pair]``."""

    star: np.ndarray
    twin: np.ndarray
    element: np.ndarray

    __repr__ = one_line

    @classmethod
    def among(cls, stores: Sequence[Store]) -> "Twins":
        """The pairs in stores whose recipes have twins; rows count through all stores, one after another."""
        parts, first = [], 0
        for store in stores:
            family = store.recipe.family
            stars = np.arange(first, first + len(store.labels), family)
            for place, name in enumerate(store.domain.spread if family > 1 else (), start=1):
                parts.append(cls(stars, stars + place, np.full(len(stars), name)))
            first += len(store.labels)
        none = np.zeros(0, int)
        return cls(*(np.concatenate([getattr(p, n) for p in parts] or [none]) for n in cls.__match_args__))

    def within(self, rows: np.ndarray) -> "Twins":
        """Those whose star is among ``rows``."""
        chosen = np.isin(self.star, rows)
        return Twins(self.star[chosen], self.twin[chosen], self.element[chosen])

    def usual(self, coefficients: np.ndarray, deviation: np.ndarray) -> dict[str, float]:
        """By element, the mean root mean square difference in flux between a star and its twin."""
        apart = self.differences(coefficients) * deviation
        size = np.sqrt((apart**2).sum(axis=-1))
        return {str(name): float(size[self.element == name].mean()) for name in np.unique(self.element)}

    def differences(self, coefficients: np.ndarray) -> np.ndarray:
        """Twin minus star of ``coefficients[row, coefficient]``: [pair, coefficient]."""
        return coefficients[self.twin] - coefficients[self.star]

    def arrays(
        self, labels: np.ndarray, coefficients: np.ndarray, usual: dict[str, float]
    ) -> tuple[np.ndarray, ...]:
        """What ``training.distance_with_twins`` takes of each pair."""
        size = np.array([usual[name] for name in self.element], np.float32)
        return labels[self.star], labels[self.twin], self.differences(coefficients), size


def relevance(usual: dict[str, float]) -> dict[str, float]:
    """How wide the inputs of elements are beside each other: root of how much spectra answer to them.

    So that a network does not spend itself on what hardly shows; at least 0.05.
    """
    largest = max(usual.values())
    return {name: max((size / largest) ** 0.5, 0.05) for name, size in usual.items()}
