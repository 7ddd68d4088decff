"""The errors that a model will state about itself, from held-out spectra, and whether they are true."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from starloom.errors import ConfigError
from starloom.evaluation.errors import SMALLEST, AbsoluteErrors, Cells, ErrorMap
from starloom.labels import ELEMENTS, Domain
from starloom.networks.generator import Generator
from starloom.networks.stated_error import MEASURES, Correction, StatedError
from starloom.wavelength import Points

WIDTH = 20  # points of a band: 2 A
LEAST = 10  # spectra that a cell needs to be believed
BROAD = 10  # of these bands in one of a correction's
# How far into the domain its ends are felt, as a share of a label's range: errors of networks fall to their
# usual size within a twentieth. Labels of broadening are applied exactly, so that nothing happens at their
# ends.
REACH = 0.05
PURE = 0.85  # weight of a node in the spectra that it is measured on
SCALE = 1e-2  # of ratios, so that they lie amid the sizes that are counted
SHARES = {"p68": 0.6827, "p99": 0.99}  # what one standard deviation of a normal distribution holds; P99


# Edges of cells in what the errors of emulators depend on most: narrow where spectra change fastest, below
# 4600 K, where molecules form, and for slow rotators.
EDGES = {
    "teff": (3500.0, 3800.0, 4100.0, 4600.0, 5500.0, 7000.0, 9000.0, 11500.0),
    "mh": (-1.75, -0.5, 0.25, 0.9),
    "vsini": (20.0, 60.0, 150.0),
}
ELEMENTS_EDGES = (0.0, 0.1, 0.4, 1.0 + 1e-6)  # solar ratios, near them, at random


def default_cells(domain: Domain) -> Cells:
    """Cells of a domain's labels that have EDGES: from the lower end over the edges inside to the upper."""
    edges = {}
    for label, low, high in domain.ranges:
        if label.name in EDGES and low < high:
            inside = [edge for edge in EDGES[label.name] if low < edge < high]
            edges[label.name] = np.array([low, *inside, high])
    if domain.spread:
        edges[ELEMENTS] = np.array(ELEMENTS_EDGES)
    return Cells(domain, edges)


class ErrorStatement:
    """Adds up held-out spectra at a model's points, batch by batch, for the ``StatedError`` of the model.

    An accumulator for ``errors.compare``.

    ``cells`` of labels (default: ``default_cells``), ``width`` of a band in points.
    """

    def __init__(
        self, domain: Domain, points: Points, cells: Cells | None = None, width: int = WIDTH
    ) -> None:
        self.points, self.cells, self.width = points, cells or default_cells(domain), width
        self._errors = ErrorMap(points.count, self.cells, width)
        self._spectra = np.zeros(self.cells.count, int)

    def add(self, labels: np.ndarray, generated: np.ndarray, flux: np.ndarray) -> None:
        """Add spectra ``[spectrum, point]`` with their labels.

        ``flux`` is the truth, ``generated`` what the model makes of ``labels[spectrum, label]``.
        """
        self._errors.add(labels, generated, flux)
        self._spectra += np.bincount(self.cells.of(labels), minlength=self.cells.count)

    @property
    def credible(self) -> bool:
        """Whether a cell has the spectra that a statement needs."""
        return bool((self._spectra >= LEAST).any())

    def result(self) -> StatedError:
        """The statement; ``ConfigError`` where no cell has the 10 spectra that make it credible.

        A cell with fewer states, in every band, the largest size of the credible ones that share its labels
        but the last, or but the two last, and so on: rather too much.
        """
        credible = self._spectra >= LEAST
        if not credible.any():
            raise ConfigError(
                f"{self._spectra.sum()} spectra in {self.cells.count} cells: none has the {LEAST} needed"
            )
        measured = [self._errors.result()[0], *(self._errors.percentile(s) for s in SHARES.values())]
        sizes = np.maximum(np.array(measured), SMALLEST)
        sizes = _widened(np.where(credible[:, None], sizes, np.nan), self.cells.shape)
        spectra = int(self._spectra.sum())
        return StatedError(self.cells.domain, self.cells.edges, sizes, self.points, self.width, spectra)


def _widened(sizes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sizes [measure, cell, band] whose NaN are the largest of cells nearby: along the last label, and on."""
    grid = sizes.reshape(len(sizes), *shape, -1)
    for first in range(len(shape), 0, -1):
        largest = np.fmax.reduce(grid, axis=tuple(range(first, len(shape) + 1)), keepdims=True)
        grid = np.where(np.isnan(grid), largest, grid)
    return grid.reshape(sizes.shape)


class EndCorrection:
    """Adds up held-out spectra, batch by batch, for the ``Correction`` of what a model states already.

    An accumulator for ``errors.compare``. Counts, in each node and band, errors over the stated ones, of the
    spectra that lie at the node or close to it.

    ``reach`` by label: the share of its range over which an end is felt; by default REACH of every label
    that has a range.
    """

    def __init__(self, stated: StatedError, reach: Mapping[str, float] | None = None) -> None:
        # of elements, each of which would triple the nodes, the cells know how far they are off
        domain = stated.domain.intrinsic
        wide = [own.name for own, low, high in domain.ranges if low < high and own.name not in domain.spread]
        reach = reach or dict.fromkeys(wide, REACH)
        self.stated, self.width = replace(stated, ends=None), BROAD * stated.width
        self._band = np.arange(stated.points.count) // self.width
        self.shape = 3 ** len(reach), int(self._band[-1]) + 1
        self._nodes = Correction(reach, np.ones((len(MEASURES), *self.shape)), self.width)
        self._ratios = {measure: AbsoluteErrors(np.prod(self.shape)) for measure in MEASURES}
        self._spectra = np.zeros(self.shape[0], int)
        side = np.indices((3,) * len(reach)).reshape(len(reach), -1).T
        self._ends = np.stack([side == 0, side == 2], axis=-1).astype(float)  # [node, label, lower or upper]

    @classmethod
    def of(cls, generator: Generator) -> "EndCorrection":
        """For a generator; ``ConfigError`` where it states no errors."""
        return cls(_stated(generator))

    def add(self, labels: np.ndarray, generated: np.ndarray, flux: np.ndarray) -> None:
        """Add spectra ``[spectrum, point]`` with their labels.

        ``flux`` is the truth, ``generated`` what the model makes of ``labels[spectrum, label]``.
        """
        weights = self._nodes.weights(self.stated.domain, labels)
        pure = weights.max(axis=1) >= PURE
        node, labels = weights.argmax(axis=1)[pure], labels[pure]
        size = np.abs(generated[pure].astype(np.float64) - flux[pure])
        group = node[:, None] * self.shape[1] + self._band
        for measure, ratios in self._ratios.items():
            ratios.add(group, SCALE * size / self.stated.at(measure, labels, self.stated.points.vacuum_aa))
        self._spectra += np.bincount(node, minlength=self.shape[0])

    def result(self) -> StatedError:
        """The statement with its correction; ``ConfigError`` where too few nodes have spectra.

        A factor is the product of one for each end and one for each pair of them, fitted to the 68 % sizes of
        all nodes, so that each is known from many spectra; and one for the place of the first label (tails
        are heavier in cool stars) and the number of other ends, which makes the sizes hold their shares.
        """
        bands = self.shape[1]
        factors = np.exp(self._fitted())
        number = self._ends[:, 1:].sum(axis=(1, 2)) + self._ends.shape[1] * self._ends[:, 0] @ [1, 2]
        into = np.add.outer(bands * number.astype(int), np.arange(bands)).ravel()
        sizes = []
        for measure, ratios in self._ratios.items():
            pooled = ratios.regrouped(1 / factors.ravel(), into)
            size = pooled.percentile(SHARES[measure]) if measure in SHARES else pooled.result().mean
            size = np.maximum(
                np.where(np.isnan(size), np.nanmax(size), size), SMALLEST
            )  # none there: too much
            sizes.append(factors * size[into].reshape(self.shape) / SCALE)
        spectra = self.stated.spectra + int(self._spectra.sum())
        return replace(self.stated, spectra=spectra, ends=replace(self._nodes, factors=np.array(sizes)))

    def _fitted(self) -> np.ndarray:
        """Logarithms of the factors of 68 % sizes [node, band], linear in ends and their pairs."""
        low_high = self._ends.reshape(len(self._ends), -1)  # [node, end]: 1 where a node lies there
        pairs = [low_high[:, i] * low_high[:, j] for i, j in combinations(range(low_high.shape[1]), 2)]
        columns = np.column_stack([np.ones(len(low_high)), low_high, *pairs])
        columns = columns[:, columns.any(axis=0)]  # no node lies at both ends of a label
        there = self._spectra > 0
        weight = np.sqrt(self._spectra[there])[:, None]
        if not there.any() or np.linalg.matrix_rank(columns[there]) < columns.shape[1]:
            raise ConfigError(
                f"spectra at {there.sum()} of {len(there)} nodes of ends: too few to tell each pair of ends"
            )
        size = self._ratios["p68"].percentile(SHARES["p68"]).reshape(self.shape)[there]
        logarithm = np.log(np.maximum(size, SMALLEST) / SCALE)
        fit = np.linalg.lstsq(weight * columns[there], weight * logarithm, rcond=None)[0]
        return columns @ fit


@dataclass(frozen=True)
class Coverage:
    """Shares of pixels with an error within what the model states, for each name in SHARES.

    ``by_teff`` has the same for each of six equal bins of Teff, NaN where one is empty.

    ``overall`` is the share for all spectra.
    """

    spectra: int
    overall: dict[str, float]
    by_teff: dict[str, tuple[float, ...]]


def coverage(generator: Generator, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> Coverage:
    """How much of ``batches`` (labels, flux at the model's points) lies within the generator's errors.

    ``ConfigError`` where it states none.
    """
    stated = _stated(generator)
    bins = Cells.even(stated.domain, teff=6)
    within = np.zeros((len(SHARES), bins.count))
    spectra = np.zeros(bins.count, int)
    vacuum_aa = stated.points.vacuum_aa
    for labels, flux in batches:
        size = np.abs(generator.model.flux(labels) - flux)
        cell = bins.of(labels)
        for row, measure in enumerate(SHARES):
            share = (size <= stated.at(measure, labels, vacuum_aa)).mean(axis=1)
            within[row] += np.bincount(cell, weights=share, minlength=bins.count)
        spectra += np.bincount(cell, minlength=bins.count)
    by_teff = np.where(spectra, within / np.maximum(spectra, 1), np.nan)
    overall = within.sum(axis=1) / max(spectra.sum(), 1)
    return Coverage(
        int(spectra.sum()),
        dict(zip(SHARES, overall.tolist(), strict=True)),
        {name: tuple(row) for name, row in zip(SHARES, by_teff.tolist(), strict=True)},
    )


def _stated(generator: Generator) -> StatedError:
    if generator.stated is None:
        raise ConfigError(f"model {generator.name} states no errors")
    return generator.stated
