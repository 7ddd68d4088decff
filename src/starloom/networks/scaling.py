"""Fixed layers between the units of labels and spectra and what networks are trained on."""

from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType

import numpy as np

from starloom.labels import Domain
from starloom.networks.forward import Network, Reciprocal, affine, linear


def label_scaling(
    domain: Domain, reciprocal: bool = False, relevance: Mapping[str, float] = MappingProxyType({})
) -> Network:
    """Fixed network: the labels of a domain to [-1, 1] over its ranges.

    Elements of the domain's ``spread`` are counted from their default. ``relevance``: by label, 1 elsewhere,
    the half width of its range instead of 1. ``reciprocal``: followed by one over Teff, to [-1, 1] as well.
    """
    low, high = domain.offset_ends
    half = np.array([relevance.get(name, 1.0) for name in domain.names])
    parts = [_offsets(domain)] if domain.spread else []
    if reciprocal:
        teff = domain.index("teff")
        low, high = np.append(low, 1 / high[teff]), np.append(high, 1 / low[teff])
        half = np.append(half, half[teff])
        parts.append(Network((Reciprocal(len(domain.labels), teff),), ({},)))
    return reduce(Network.then, [*parts, affine((low + high) / 2, half * _scale(low, high))])


def _offsets(domain: Domain) -> Network:
    """Fixed network: labels to ``domain.offsets``, which are linear in them."""
    return linear(domain.offsets(np.eye(len(domain.labels))), np.zeros(len(domain.labels)))


def _scale(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """2 over the widths of ranges; 0 for a label that is the same in all spectra."""
    return 2 / np.where(high > low, high - low, np.inf)


def standard(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, the latter at least a thousandth of the largest.

    So the rare spikes of a relu latent that is almost dead do not count like a living one's whole range; 1
    where nothing varies.
    """
    deviation = values.std(axis=0, dtype=np.float64)
    least = 1e-3 * deviation.max() or 1.0
    return values.mean(axis=0, dtype=np.float64), np.maximum(deviation, least)


def unscaling(mean: np.ndarray, deviation: np.ndarray) -> Network:
    """Fixed network: zero mean and unit variance back to the values they stand for."""
    return affine(-mean / deviation, deviation)
