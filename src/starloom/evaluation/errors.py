"""How large flux errors are: mean, percentiles and maximum, overall, by wavelength and by cell of labels.

Percentiles come from counts in logarithmic bins of the absolute error, 100 a decade, so memory does not grow
with the number of spectra and each is right to half a bin, 1.2 %. Means and maxima are exact.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import ELEMENTS, Domain

# cells along a label: more where spectra change most
CELLS = {"teff": 6, "vsini": 6, "vmic": 4, "resolution": 4}
FEWER = 3
SMALLEST, LARGEST, PER_DECADE = 1e-7, 10.0, 100
BINS = PER_DECADE * 8 + 2  # one more on either side


@dataclass(frozen=True, eq=False)
class Distribution:
    """Absolute errors of each group: arrays ``[group]``, NaN where a group is empty."""

    count: np.ndarray  #: of pixels
    mean: np.ndarray
    p50: np.ndarray  #: the size that holds half of them
    p95: np.ndarray  #: 95 % of them
    p99: np.ndarray  #: 99 % of them
    largest: np.ndarray  #: of all


class AbsoluteErrors:
    """Absolute errors in a fixed number of groups, counted batch by batch."""

    def __init__(self, groups: int) -> None:
        self.counts = np.zeros((groups, BINS), np.uint32)
        self.sums = np.zeros(groups)
        self.maxima = np.zeros(groups)

    def add(self, group: np.ndarray, size: np.ndarray) -> None:
        """Count ``size`` (absolute errors, any shape) in ``group`` (integers that broadcast to it)."""
        bins = _bin(size).ravel()
        group = np.broadcast_to(group, size.shape).ravel()
        # of the counts' own type: a cast takes ten times as long
        np.add.at(self.counts.reshape(-1), group * BINS + bins, np.uint32(1))
        self.sums += np.bincount(group, weights=size.ravel(), minlength=len(self.sums))
        np.maximum.at(self.maxima, group, size.ravel())

    def merge(self, other: "AbsoluteErrors", into: np.ndarray) -> None:
        """Add what ``other`` has counted, each group of it to the group ``into[group]``."""
        np.add.at(self.counts, into, other.counts)
        np.add.at(self.sums, into, other.sums)
        np.maximum.at(self.maxima, into, other.maxima)

    def result(self) -> Distribution:
        """The distributions of all that was added."""
        count = self.counts.sum(axis=1)
        filled = count > 0
        mean = np.where(filled, self.sums / np.maximum(count, 1), np.nan)
        largest = np.where(filled, self.maxima, np.nan)
        return Distribution(count, mean, *(self.percentile(share) for share in (0.5, 0.95, 0.99)), largest)

    def percentile(self, share: float) -> np.ndarray:
        """The size ``[group]`` below which ``share`` of each group lies: its bin's middle, in logarithm.

        At most the largest size; NaN where a group is empty.
        """
        count = self.counts.sum(axis=1)
        reached = np.cumsum(self.counts, axis=1) >= np.ceil(share * count)[:, None]
        middle = SMALLEST * 10 ** ((reached.argmax(axis=1) - 0.5) / PER_DECADE)
        return np.where(count > 0, np.minimum(middle, self.maxima), np.nan)

    def regrouped(self, factor: np.ndarray, into: np.ndarray) -> "AbsoluteErrors":
        """The errors times ``factor[group]``, to half a bin, added up in the groups ``into[group]``."""
        found = AbsoluteErrors(int(into.max()) + 1)
        shift = np.rint(np.log10(factor) * PER_DECADE).astype(int)
        for counts, by, group in zip(self.counts, shift, into, strict=True):
            np.add.at(found.counts[group], np.clip(np.arange(BINS) + by, 0, BINS - 1), counts)
        np.add.at(found.sums, into, self.sums * factor)
        np.maximum.at(found.maxima, into, self.maxima * factor)
        return found


@dataclass(frozen=True, eq=False)
class Cells:
    """A division of a domain: ascending edges for some of its labels; cells are their product.

    One may be ``labels.ELEMENTS``.
    """

    domain: Domain
    edges: Mapping[str, np.ndarray]

    def __post_init__(self):
        for name, edges in self.edges.items():
            known = name in self.domain.names or (name == ELEMENTS and self.domain.spread)
            if not known or len(edges) < 2 or not np.all(np.diff(edges) > 0):
                raise ConfigError(f"cells of {name}: needs a label's name and ascending edges, got {edges}")

    @classmethod
    def even(cls, domain: Domain, **numbers: int) -> "Cells":
        """Cells of equal width over the domain: ``Cells.even(domain, teff=6, logg=3)``.

        ``numbers`` of cells by label; ``ConfigError`` for a label that the domain does not have.
        """
        if unknown := set(numbers) - set(domain.names):
            raise ConfigError(f"cells of {', '.join(sorted(unknown))}: no such label")
        ends = {name: (domain.low[i], domain.high[i]) for name in numbers for i in [domain.index(name)]}
        return cls(domain, {name: np.linspace(*ends[name], count + 1) for name, count in numbers.items()})

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of cells along each label."""
        return tuple(len(edges) - 1 for edges in self.edges.values())

    @cached_property
    def count(self) -> int:
        """Number of cells."""
        return int(np.prod(self.shape))

    def of(self, labels: np.ndarray) -> np.ndarray:
        """Number of the cell of each row of ``labels[spectrum, label]``; error outside the edges.

        ``OutOfRangeError`` outside them.
        """
        cell = np.zeros(len(labels), int)
        for name, edges in self.edges.items():
            values = self.domain.coordinate(name, labels)
            outside = ~((values >= edges[0]) & (values <= edges[-1]))
            if outside.any():
                raise OutOfRangeError(
                    f"{name} = {values[outside][0]:g} is outside [{edges[0]:g}, {edges[-1]:g}]"
                )
            place = np.minimum(np.searchsorted(edges, values, side="right") - 1, len(edges) - 2)
            cell = cell * (len(edges) - 1) + place
        return cell


class FluxErrors:
    """Errors labels -> flux: overall, by wavelength, by cells of labels, and the worst spectrum.

    ``cells`` are named divisions, such as ``{"teff": Cells.even(domain, teff=6)}``.

    ``points``: how many wavelengths a spectrum has.
    """

    def __init__(self, points: int, cells: Mapping[str, Cells]) -> None:
        self.points, self.cells = points, dict(cells)
        self._overall = AbsoluteErrors(1)
        self._by_wavelength = AbsoluteErrors(points)
        self._by_cell = {name: AbsoluteErrors(division.count) for name, division in self.cells.items()}
        self.spectra = 0
        self.worst_error = -1.0
        self.worst_labels: np.ndarray | None = None

    def add(self, labels: np.ndarray, generated: np.ndarray, flux: np.ndarray) -> None:
        """Add spectra ``[spectrum, wavelength]`` with their labels; ``OutOfRangeError`` where not finite.

        ``flux[spectrum, wavelength]`` is the truth at ``labels[spectrum, label]``; ``ConfigError`` for
        other shapes.
        """
        if generated.shape != flux.shape or flux.shape != (len(labels), self.points):
            raise ConfigError(
                f"spectra of shapes {generated.shape} and {flux.shape}: "
                f"expected {(len(labels), self.points)} for both"
            )
        size = np.abs(generated.astype(np.float64) - flux)
        if not np.isfinite(size).all():
            row = int(np.argmin(np.isfinite(size).all(axis=1)))
            raise OutOfRangeError(f"flux is not finite for the labels {labels[row]}")
        by_spectrum = AbsoluteErrors(len(labels))
        by_spectrum.add(np.arange(len(labels))[:, None], size)
        self._overall.merge(by_spectrum, np.zeros(len(labels), int))
        self._by_wavelength.add(np.arange(self.points), size)
        for name, division in self.cells.items():
            self._by_cell[name].merge(by_spectrum, division.of(labels))
        mean = size.mean(axis=1)
        if mean.max() > self.worst_error:
            self.worst_error, self.worst_labels = float(mean.max()), labels[mean.argmax()].copy()
        self.spectra += len(labels)

    @property
    def overall(self) -> Distribution:
        """One group: all spectra and wavelengths."""
        return self._overall.result()

    @property
    def by_wavelength(self) -> Distribution:
        """A group for each wavelength."""
        return self._by_wavelength.result()

    def by_cell(self, name: str) -> Distribution:
        """A group for each cell of one of the divisions.

        ``name`` of the division in ``cells``.
        """
        return self._by_cell[name].result()


class ErrorMap:
    """Expected and P99 flux error by cell of labels and band of ``width`` neighbouring wavelengths.

    ``points``: how many wavelengths a spectrum has.
    """

    def __init__(self, points: int, cells: Cells, width: int = 10) -> None:
        self.cells, self.points = cells, points
        self.band = np.arange(points) // width
        self.shape = cells.count, int(self.band[-1]) + 1
        self._errors = AbsoluteErrors(self.shape[0] * self.shape[1])

    def add(self, labels: np.ndarray, generated: np.ndarray, flux: np.ndarray) -> None:
        """Add spectra ``[spectrum, wavelength]`` with their labels."""
        group = self.cells.of(labels)[:, None] * self.shape[1] + self.band
        self._errors.add(group, np.abs(generated.astype(np.float64) - flux))

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and P99 of the absolute error, each ``[cell, band]``; NaN where no spectrum fell."""
        distribution = self._errors.result()
        return distribution.mean.reshape(self.shape), distribution.p99.reshape(self.shape)

    def percentile(self, share: float) -> np.ndarray:
        """The size below which ``share`` of the errors lies: ``[cell, band]``, NaN where no spectrum fell."""
        return self._errors.percentile(share).reshape(self.shape)


def compare(
    generate: Callable[[np.ndarray], np.ndarray],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *accumulators: FluxErrors | ErrorMap,
) -> None:
    """Generate the spectra of batches ``(labels, flux)`` and add them to every accumulator.

    ``generate(labels)`` gives flux ``[spectrum, wavelength]``; ``accumulators`` are ``FluxErrors``,
    ``ErrorMap`` and others with their ``add``.
    """
    for labels, flux in batches:
        generated = np.asarray(generate(labels))
        for accumulator in accumulators:
            accumulator.add(labels, generated, flux)


def label_cells(domain: Domain) -> dict[str, Cells]:
    """A one-dimensional division for each label of a domain that has more than one value."""
    names = [label.name for label, low, high in domain.ranges if low < high]
    return {name: Cells.even(domain, **{name: CELLS.get(name, FEWER)}) for name in names}


def _bin(size: np.ndarray) -> np.ndarray:
    """Bin of each absolute error: 0 below the smallest, the last above the largest."""
    place = np.log10(np.maximum(size, SMALLEST / 2) / SMALLEST) * PER_DECADE
    return np.clip(np.floor(place).astype(np.int64) + 1, 0, BINS - 1)
