r"""A model as a function of some of its labels: the others have their defaults.

.. math:: \theta = \theta' A + b

``weight`` A has a row for each of the chosen labels and a column for each of the model's, ``bias`` b the
defaults. An element that is not chosen follows [alpha/M] as ``Domain`` says, which is linear.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from starloom.arrays import one_line
from starloom.constants import ALPHA_ELEMENTS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import ROUNDING, Domain
from starloom.networks.forward import Network, linear


@dataclass(frozen=True, eq=False)
class Reduction:
    """From labels of ``domain`` to those of the ``whole`` one; see the module."""

    whole: Domain
    domain: Domain
    weight: np.ndarray
    bias: np.ndarray

    __repr__ = one_line

    @classmethod
    def of(cls, whole: Domain, names: Sequence[str], offsets: Collection[str] | None = None) -> "Reduction":
        """The labels ``names`` alone, in this order; elements ``offsets`` are counted from their default.

        With ``offsets``, be they none, the domain is a box but for its floor.

        Raises ConfigError for names that the domain does not have and for labels without a default that are
        missing, OutOfRangeError where a default lies outside the domain.
        """
        domain = _domain(whole, names, offsets)
        weight, bias = np.zeros((len(names), len(whole.names))), np.zeros(len(whole.names))
        for column, label in enumerate(whole.labels):
            if label.name in names:
                weight[names.index(label.name), column] = 1
            elif label.default is None:
                raise ConfigError(f"label {label.name} has no default: it cannot be left out of {names}")
            else:
                bias[column] = label.default
            if label.name in ALPHA_ELEMENTS and "alpha" in names:
                follows = label.name not in names or label.name in (offsets or ())
                weight[names.index("alpha"), column] = follows
        reduction = cls(whole, domain, weight, bias)
        reduction._check_defaults([name for name in whole.names if name not in names])
        return reduction

    def _check_defaults(self, absent: list[str]) -> None:
        """Raise OutOfRangeError where an absent label can have a default outside the whole domain."""
        corners = np.array([self.domain.low, self.domain.high])
        found = np.stack([corners.min(axis=0) @ self.weight, corners.max(axis=0) @ self.weight]) + self.bias
        for name in absent:
            index, (near, far) = self.whole.index(name), self.whole.spread.get(name, (0.0, 0.0))
            low, high = self.whole.low[index] - ROUNDING, self.whole.high[index] + ROUNDING
            if not (low <= found[0, index] and found[1, index] <= high and near <= 0 <= far):
                raise OutOfRangeError(f"the default of {name} lies outside the model's domain: choose it too")

    def __call__(self, labels: np.ndarray) -> np.ndarray:
        """All labels ``[..., whole]`` of chosen ones ``[..., label]``."""
        return labels @ self.weight + self.bias

    def network(self, network: Network, inputs: Sequence[str]) -> Network:
        """A network of the labels ``inputs`` of the whole domain as one of those that are chosen of them."""
        rows = [self.domain.index(name) for name in self.domain.names if name in inputs]
        columns = [self.whole.index(name) for name in inputs]
        return linear(self.weight[np.ix_(rows, columns)], self.bias[columns]).then(network)


def _domain(whole: Domain, names: Sequence[str], offsets: Collection[str] | None) -> Domain:
    """The domain of the chosen labels: of elements around their default, or of their ``offsets``."""
    ranges: dict[str, Any] = {}
    for name in names:
        index = whole.index(name)
        ranges[name] = float(whole.low[index]), float(whole.high[index])
        if name in (offsets or ()) or (name in whole.spread and "alpha" not in names):
            ranges[name] = whole.spread[name]  # its default is 0
    if offsets is not None:
        return Domain.of(ranges, whole.floor).within(whole.cloud)
    spread = {name: ends for name, ends in whole.spread.items() if name in names}
    return Domain.of(ranges, whole.floor, spread, whole.c_to_o).within(whole.cloud)
