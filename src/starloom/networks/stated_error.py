"""What a model says about its own error: measured on held-out spectra, shipped in the model's file.

Three numbers for each cell of labels and band of wavelengths: the mean absolute flux error ("expected"), and
the sizes that hold 68 % and 99 % of the errors. Errors of emulators have heavier tails than a normal
distribution, so the 68 % size is what is given as one standard deviation, and P99 is stated beside it.
A correction follows the labels to the ends of their ranges, where a model is worse than between them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from starloom.arrays import one_line
from starloom.errors import ConfigError, StoreError
from starloom.labels import ELEMENTS, Domain
from starloom.networks.forward import Network, linear
from starloom.networks.reduction import Reduction
from starloom.networks.weights import Model
from starloom.wavelength import Points, from_vacuum

MEASURES = ("mean", "p68", "p99")
SETTING = "stated_error"
PORTION = 64  # spectra worked on at once: they stay in the processor's cache
_NAMES = {f"{prefix}_{name}" for prefix in ("error", "ends") for name in MEASURES}  # of their linear maps


@dataclass(frozen=True, eq=False)
class Correction:
    """Factors on stated errors by how near to its ends each of some labels of a domain lies.

    ``reach`` says, for each of them, how far an end is felt, as a share of the label's range up to 1/2.
    ``factors`` is [measure, node, band], all above 0 and finite: nodes are the products of (lower end,
    between, upper end) over the labels, the last fastest; a band is ``width`` points.
    """

    reach: Mapping[str, float]
    factors: np.ndarray
    width: int

    __repr__ = one_line

    def __post_init__(self):
        if not all(0 < share <= 0.5 for share in self.reach.values()):
            raise ConfigError(f"reach of ends: {dict(self.reach)} is not within (0, 0.5]")

    def weights(self, domain: Domain, labels: np.ndarray) -> np.ndarray:
        """Weight of each node for ``labels[..., label]``: float64[..., node], sum 1, linear in each."""
        place = places(domain, labels)
        weights = np.ones((*place.shape[:-1], 1))
        for name, share in self.reach.items():
            u = place[..., domain.index(name)]
            ends = [(1 - end / share).clip(0, 1) for end in (u, 1 - u)]
            each = np.stack([ends[0], 1 - ends[0] - ends[1], ends[1]], axis=-1)
            weights = (weights[..., None] * each[..., None, :]).reshape(*place.shape[:-1], -1)
        return weights


@dataclass(frozen=True, eq=False)
class StatedError:
    """Absolute flux errors by cell of labels and band of wavelengths, all above 0 and finite.

    ``edges`` divide the ``domain`` for some labels, or ``labels.ELEMENTS``; ``sizes`` is [measure, cell,
    band] in the order of MEASURES, cells in the order of their product (last label fastest); a band is
    ``width`` neighbouring points of ``points``. ``ends`` corrects them, in bands of a multiple of that width.
    ``spectra`` is how many they come from. With a ``reduction`` they are asked for by the labels that it
    starts from.
    """

    domain: Domain
    edges: Mapping[str, np.ndarray]
    sizes: np.ndarray
    points: Points
    width: int
    spectra: int
    ends: Correction | None = None
    reduction: Reduction | None = None

    __repr__ = one_line

    def __post_init__(self):
        cells = np.prod([len(edges) - 1 for edges in self.edges.values()], dtype=int)
        self._check("stated errors", self.edges, self.sizes, cells, self.width)
        if (ends := self.ends) is not None:
            self._check("their correction", ends.reach, ends.factors, 3 ** len(ends.reach), ends.width)

    def _check(self, what: str, labels: Iterable[str], sizes: np.ndarray, cells: int, width: int) -> None:
        shape = len(MEASURES), cells, -(-self.points.count // width)
        known = {*self.domain.names, *([ELEMENTS] if self.domain.spread else [])}
        if sizes.shape != shape or set(labels) - known:
            raise ConfigError(f"{what} of the shape {sizes.shape}, expected {shape}")
        if width % self.width:
            raise ConfigError(f"{what} in bands of {width} points: no multiple of {self.width}")
        if not (np.isfinite(sizes).all() and (sizes > 0).all()):
            raise ConfigError(f"{what} must be finite and above 0")

    def at(self, measure: str, labels: np.ndarray, vacuum_aa: np.ndarray) -> np.ndarray:
        """Error float32[..., wavelength] for ``labels[..., label]`` at rest wavelengths [A], in vacuum.

        The wavelengths are one axis for all labels, or [..., wavelength]. The error is that of the labels'
        cells, so that it holds for the share of errors that it names; between the centres of bands linear in
        its logarithm.
        """
        last = len(self._band_centres) - 1
        place = np.interp(self._coordinate(vacuum_aa), self._band_centres, np.arange(last + 1))
        left = np.minimum(place.astype(int), max(last - 1, 0))
        fraction = (place - left).astype(np.float32)
        shape = np.broadcast_shapes(labels.shape[:-1], place.shape[:-1])
        found = np.empty((*shape, place.shape[-1]), np.float32)
        rows = found.reshape(-1, place.shape[-1])
        labels = np.broadcast_to(labels, (*shape, labels.shape[-1])).reshape(len(rows), labels.shape[-1])
        if place.ndim > 1:
            left, fraction = (
                np.broadcast_to(part, found.shape).reshape(rows.shape) for part in (left, fraction)
            )
        for start in range(0, len(rows), PORTION):
            part = slice(start, start + PORTION)
            mine = (left[part], fraction[part]) if place.ndim > 1 else (left, fraction)
            _between(self.by_band(measure, labels[part]), *mine, out=rows[part])
        return found

    def by_band(self, measure: str, labels: np.ndarray) -> np.ndarray:
        """Natural logarithm of the error in each band: float32[..., band]."""
        row = MEASURES.index(measure)
        labels = labels if self.reduction is None else self.reduction(labels)
        by_band = self._logarithms[row][self._cell(labels)]
        if self.ends is None:
            return by_band
        factors = self.ends.weights(self.domain, labels) @ np.log(self.ends.factors[row])
        wide = np.repeat(factors, self.ends.width // self.width, axis=-1)
        return by_band + wide[..., : by_band.shape[-1]].astype(np.float32)

    def _cell(self, labels: np.ndarray) -> np.ndarray:
        """Number of the cell that each row of ``labels[..., label]`` lies in."""
        cell = np.zeros(labels.shape[:-1], int)
        for name, ends in self.edges.items():
            place = np.searchsorted(ends, self.domain.coordinate(name, labels), side="right") - 1
            cell = cell * (len(ends) - 1) + np.clip(place, 0, len(ends) - 2)
        return cell

    @cached_property
    def _logarithms(self) -> np.ndarray:
        return np.log(self.sizes).astype(np.float32)

    def _coordinate(self, vacuum_aa: np.ndarray) -> np.ndarray:
        return from_vacuum(vacuum_aa, self.points.medium)

    @cached_property
    def _band_centres(self) -> np.ndarray:
        band = np.arange(self.points.count) // self.width
        return np.bincount(band, weights=self.points.wavelength_aa) / np.bincount(band)

    @property
    def summary(self) -> dict[str, float]:
        """Each of the MEASURES, averaged over bands and the cells' centres (other labels amid the domain)."""
        whole = replace(self, reduction=None)
        middles = [(edges[1:] + edges[:-1]) / 2 for edges in self.edges.values()]
        offsets = np.tile(np.mean(self.domain.offset_ends, axis=0), (*map(len, middles), 1))
        half = np.diff(self.domain.offset_ends, axis=0)[0] / 2
        for name, middle in zip(self.edges, np.meshgrid(*middles, indexing="ij"), strict=True):
            for place in map(self.domain.index, self.domain.spread if name == ELEMENTS else ()):
                offsets[..., place] += middle * half[place]
            if name != ELEMENTS:
                offsets[..., self.domain.index(name)] = middle
        labels = self.domain.from_offsets(offsets)
        return {name: float(np.exp(whole.by_band(name, labels), dtype=float).mean()) for name in MEASURES}


def places(domain: Domain, labels: np.ndarray) -> np.ndarray:
    """Where ``labels[..., label]`` lie: 0 at a lower end (of log g: there), 1 at an upper one."""
    low = np.broadcast_to(domain.low, labels.shape).copy()
    if domain.floor is not None:
        low[..., domain.index("logg")] = domain.lowest_logg(labels)
    # a label of one value lies amid its range
    return np.where(
        domain.high > low, (labels - low) / np.where(domain.high > low, domain.high - low, 1), 0.5
    )


def _between(by_band: np.ndarray, left: np.ndarray, fraction: np.ndarray, out: np.ndarray) -> None:
    """Exponentials ``out[row, wavelength]`` of what lies a ``fraction`` from the ``left`` band to the next.

    Both are for each wavelength, or ``[row, wavelength]``.
    """
    steps = np.diff(by_band, axis=-1, append=by_band[:, -1:])
    if left.ndim == 1:  # mode: clipping is faster than a check
        from_left, step = (np.take(part, left, axis=-1, mode="clip") for part in (by_band, steps))
    else:
        from_left, step = (np.take_along_axis(part, left, axis=-1) for part in (by_band, steps))
    step *= fraction
    step += from_left
    np.exp(step, out=out)


def attached(model: Model, stated: StatedError) -> Model:
    """The model with its errors in it: linear maps from cells, or nodes, to the logarithms in the bands.

    ConfigError where they belong to other points than the model's.
    """
    if model.header.points != stated.points:
        raise ConfigError("the stated errors belong to other points than the model's")
    # lists, since a JSON object does not keep the order, which is that of the cells
    edges = [[name, np.asarray(values, float).tolist()] for name, values in stated.edges.items()]
    setting = {"edges": edges, "width": stated.width, "spectra": stated.spectra}
    maps = _maps("error", stated.sizes)
    if stated.ends is not None:
        reach = [[name, float(share)] for name, share in stated.ends.reach.items()]
        setting["ends"] = {"reach": reach, "width": stated.ends.width}
        maps |= _maps("ends", stated.ends.factors)
    others = {name: network for name, network in model.networks.items() if name not in _NAMES}
    header = replace(model.header, settings={**model.header.settings, SETTING: setting})
    return Model(header, {**others, **maps})


def stated_in(model: Model) -> StatedError | None:
    """The errors that a model states, or None; ``StoreError`` where they make no sense."""
    setting = model.header.settings.get(SETTING)
    if setting is None:
        return None
    try:
        edges = {name: np.array(values, float) for name, values in setting["edges"]}
        ends = None
        if entry := setting.get("ends"):
            ends = Correction(dict(entry["reach"]), _sizes(model, "ends"), entry["width"])
        sizes, width, spectra = _sizes(model, "error"), setting["width"], setting["spectra"]
        return StatedError(model.header.domain, edges, sizes, model.header.points, width, spectra, ends)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise StoreError(f"the model's stated errors make no sense: {error}") from error


def _maps(prefix: str, sizes: np.ndarray) -> dict[str, Network]:
    logarithms = zip(MEASURES, np.log(sizes), strict=True)
    return {f"{prefix}_{name}": linear(part, np.zeros(part.shape[-1])) for name, part in logarithms}


def _sizes(model: Model, prefix: str) -> np.ndarray:
    return np.exp(np.array([model.networks[f"{prefix}_{m}"].parameters[0]["weight"] for m in MEASURES]))
