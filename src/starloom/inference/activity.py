"""The shape of a chromosphere's emission, which is not known: patterns of what other shapes change of it.

The label ``filling`` is a height; the model's emission has one width and one ratio of its three lines, and
stars have others (``data/filling``). Emission of standard deviations over WIDTHS_KMS, of the same height, and
of lines that are UNEVEN differs from the model's by what a few principal components span. Times the filling
they are patterns like those of the physics error: each has an amplitude of 0 +- 1, so that filling and labels
have the uncertainty of the shape in them, and a star without emission has none of it.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from starloom.broadening.filling import CORES_AA, LABEL, RATIOS, WIDTH_KMS, chromosphere
from starloom.broadening.kernels import instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.labels import Domain
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.wavelength import LogGrid

WIDTHS_KMS = 12.0, 45.0
UNEVEN = 0.15  # of a line, independent of the others: rms of the stars of data/filling, 0.05, 0.05 and 0.22
STEPS, COMPONENTS = 24, 5


def shape_patterns(
    model: Emulator | BandEmulator, domain: Domain, labels: np.ndarray
) -> Mapping[LogGrid, np.ndarray]:
    """Modes' halves ``[row, pattern, half]`` by kept grid, at ``labels[row, label]``."""
    amount = np.abs(labels[:, domain.index(LABEL)])
    if "teff" in domain.names:
        amount = amount * chromosphere(labels[:, domain.index("teff")])
    amount = amount[:, None, None].astype(np.float32)
    return {grid: amount * components for grid, components in _components(model).items()}


@lru_cache(maxsize=4)
def _components(model: Emulator | BandEmulator) -> dict[LogGrid, np.ndarray]:
    """Of each chunk the halves ``[pattern, half]`` of a filling of 1."""
    chunks = [_differences(chunk) for chunk in model.chunks]
    left = np.linalg.svd(np.concatenate(chunks, axis=1), full_matrices=False)[0]
    mixing = left[:, :COMPONENTS].T
    return {
        chunk.finish.grid: (mixing @ each).astype(np.float32)
        for chunk, each in zip(model.chunks, chunks, strict=True)
    }


def _differences(chunk: Emulator) -> np.ndarray:
    """Halves ``[shape, half]`` of what other widths and each line alone change: a root of the variance."""
    own = _halves(chunk, WIDTH_KMS)
    widths = [
        _halves(chunk, width).sum(axis=0) - own.sum(axis=0) for width in np.geomspace(*WIDTHS_KMS, STEPS)
    ]
    return np.concatenate([np.array(widths) / np.sqrt(STEPS), UNEVEN * own])


def _halves(chunk: Emulator, width_kms: float) -> np.ndarray:
    """Each line of the emission of unit filling and a width, as a chunk has its modes: ``[line, half]``."""
    variance = width_kms**2 + instrument_variance(chunk.modes_resolution)
    away = SPEED_OF_LIGHT_KMS * np.log(chunk.finish.grid.wavelength_aa / np.array(CORES_AA)[:, None])
    heights = np.array(RATIOS) * width_kms / np.sqrt(variance)
    modes = chunk.finish.modes_of_change(heights[:, None] * np.exp(-(away**2) / (2 * variance)))
    return np.concatenate([modes.real, modes.imag], axis=-1)
