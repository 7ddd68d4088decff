"""What a model says about its own error: measured on held-out spectra, shipped in the model's file.

Three numbers for each cell of labels and band of wavelengths: the mean absolute flux error ("expected"), and
the sizes that hold 68 % and 99 % of the errors. Errors of emulators have heavier tails than a normal
distribution, so the 68 % size is what is given as one standard deviation, and P99 is stated beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from starloom.errors import ConfigError, StoreError
from starloom.labels import NAMES
from starloom.networks.forward import linear
from starloom.networks.weights import Model, Points
from starloom.wavelength import air_from_vacuum

MEASURES = ("mean", "p68", "p99")
SETTING = "stated_error"


@dataclass(frozen=True, eq=False)
class StatedError:
    """Absolute flux errors by cell of labels and band of wavelengths, all above 0 and finite.

    ``edges`` divide the domain for some labels; ``sizes`` is [measure, cell, band] in the order of MEASURES,
    cells in the order of their product (last label fastest); a band is ``width`` neighbouring points of
    ``points``. ``spectra`` is how many they come from.
    """

    edges: Mapping[str, np.ndarray]
    sizes: np.ndarray
    points: Points
    width: int
    spectra: int

    def __post_init__(self):
        cells = np.prod([len(edges) - 1 for edges in self.edges.values()], dtype=int)
        shape = len(MEASURES), cells, -(-self.points.count // self.width)
        if self.sizes.shape != shape or set(self.edges) - set(NAMES):
            raise ConfigError(f"stated errors of the shape {self.sizes.shape}, expected {shape}")
        if not (np.isfinite(self.sizes).all() and (self.sizes > 0).all()):
            raise ConfigError("stated errors must be finite and above 0")

    def at(self, measure: str, labels: np.ndarray, vacuum_aa: np.ndarray) -> np.ndarray:
        """Error float32[..., wavelength] for ``labels[..., 6]`` at rest wavelengths [A], in vacuum.

        That of the labels' cell, so that it holds for the share of errors that it names; between the centres
        of bands linear in its logarithm.
        """
        logarithm = np.log(self.sizes[MEASURES.index(measure)]).astype(np.float32)
        by_band = logarithm[self._cell(labels)]
        place = np.interp(self._coordinate(vacuum_aa), self._band_centres, np.arange(by_band.shape[-1]))
        left = np.minimum(place.astype(int), max(by_band.shape[-1] - 2, 0))
        right = np.minimum(left + 1, by_band.shape[-1] - 1)
        fraction = (place - left).astype(np.float32)
        from_left = np.take(by_band, left, axis=-1)
        return np.exp(from_left + (np.take(by_band, right, axis=-1) - from_left) * fraction)

    def _cell(self, labels: np.ndarray) -> np.ndarray:
        """Number of the cell that each of ``labels[..., 6]`` lies in."""
        cell = np.zeros(labels.shape[:-1], int)
        for name, edges in self.edges.items():
            place = np.searchsorted(edges, labels[..., NAMES.index(name)], side="right") - 1
            cell = cell * (len(edges) - 1) + np.clip(place, 0, len(edges) - 2)
        return cell

    def _coordinate(self, vacuum_aa: np.ndarray) -> np.ndarray:
        return air_from_vacuum(vacuum_aa) if self.points.medium == "air" else vacuum_aa

    @cached_property
    def _band_centres(self) -> np.ndarray:
        band = np.arange(self.points.count) // self.width
        return np.bincount(band, weights=self.points.wavelength_aa) / np.bincount(band)

    @property
    def summary(self) -> dict[str, float]:
        """Each of the MEASURES, averaged over cells and bands."""
        return dict(zip(MEASURES, self.sizes.mean(axis=(1, 2), dtype=np.float64).tolist(), strict=True))


def attached(model: Model, stated: StatedError) -> Model:
    """The model with its errors in it: three linear maps from cells to the logarithms in the bands."""
    if model.header.points != stated.points:
        raise ConfigError("the stated errors belong to other points than the model's")
    # a list, since a JSON object does not keep the order, which is that of the cells
    edges = [[name, np.asarray(values, float).tolist()] for name, values in stated.edges.items()]
    setting = {"edges": edges, "width": stated.width, "spectra": stated.spectra}
    header = replace(model.header, settings={**model.header.settings, SETTING: setting})
    bands = np.zeros(stated.sizes.shape[-1])
    maps = {
        f"error_{name}": linear(np.log(sizes), bands)
        for name, sizes in zip(MEASURES, stated.sizes, strict=True)
    }
    return Model(header, {**model.networks, **maps})


def stated_in(model: Model) -> StatedError | None:
    """The errors that a model states, or None; ``StoreError`` where they make no sense."""
    setting = model.header.settings.get(SETTING)
    if setting is None:
        return None
    try:
        logarithms = [model.networks[f"error_{name}"].parameters[0]["weight"] for name in MEASURES]
        edges = {name: np.array(values, float) for name, values in setting["edges"]}
        sizes = np.exp(np.array(logarithms))
        return StatedError(edges, sizes, model.header.points, setting["width"], setting["spectra"])
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise StoreError(f"the model's stated errors make no sense: {error}") from error
