r"""A correction of a model's flux, learned from observed stars, with its error.

It is smooth in labels and wavelength:

.. math:: F_{obs} = F(\theta) e^{c(\theta, \lambda)}, \qquad
          c = \sum_k \sum_m V_{km}\, \varphi_k(\theta)\, B_m(\ln\lambda)

:math:`B_m` are cubic B-splines on knots uniform in the logarithm of the vacuum wavelength in the star's rest
frame. :math:`\varphi_k` are products of features of Teff, log g and [M/H]: those of a Gaussian process with a
squared exponential kernel seen at nodes, :math:`\varphi = L^{-1} k(z, x)` with :math:`L L^T = k(z, z)`
(Quinonero-Candela & Rasmussen 2005, JMLR 6, 1939, section 4), scaled to the length 1, so that the prior is as
wide everywhere. Beside the mean of V there are draws from its distribution, as patterns whose squares add up
to the variance. The correction multiplies flux that is broadened already.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from starloom.arrays import one_line
from starloom.bands import Band
from starloom.broadening import doppler_shift
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, StoreError
from starloom.labels import Domain
from starloom.networks import weights
from starloom.networks.forward import linear
from starloom.networks.identity import digest
from starloom.networks.weights import Header, Model

FAMILY = "flux-correction"
LABELS = ("teff", "logg", "mh")  # on which the correction depends
MEAN, PATTERNS = "correction_mean", "correction_patterns"  # its linear maps in a file
STEP = 1e-3  # of differences by a label, in its scale
JITTER = 1e-6  # of a kernel's matrix, to be inverted
DAMAGE = (KeyError, TypeError, ValueError, AttributeError, ConfigError)


@dataclass(frozen=True, eq=False)
class LabelAxis:
    """Nodes of the label ``name``, rising, and the ``scale`` over which a correction changes.

    Both are of the label, or of the logarithm of Teff. ConfigError where they make no sense.
    """

    name: str
    nodes: np.ndarray
    scale: float

    __repr__ = one_line

    def __post_init__(self):
        if self.nodes.ndim != 1 or not self.nodes.size or not (np.diff(self.nodes) > 0).all():
            raise ConfigError(f"nodes of {self.name}: rising numbers are needed")
        if not 0 < self.scale < np.inf:
            raise ConfigError(f"scale of {self.name} = {self.scale} is not a number above 0")

    @classmethod
    def over(cls, name: str, low: float, high: float, scale: float) -> "LabelAxis":
        """Nodes of the label ``name`` not further apart than the ``scale``, from ``low`` to ``high``."""
        low, high = (float(cls._stretched(name, end)) for end in (low, high))
        return cls(name, np.linspace(low, high, int(np.ceil((high - low) / scale)) + 1), scale)

    def of_scale(self, factor: float) -> "LabelAxis":
        """Over the same range with a scale ``factor`` times as long."""
        ends, scale = self.nodes[[0, -1]], self.scale * factor
        count = int(np.ceil((ends[1] - ends[0]) / scale)) + 1
        return LabelAxis(self.name, np.linspace(*ends, max(2, count)), scale)

    @property
    def logarithmic(self) -> bool:
        """Whether nodes and scale are of the label's logarithm."""
        return self.name == "teff"

    @staticmethod
    def _stretched(name: str, label):
        return np.log(label) if name == "teff" else label

    def features(self, label: np.ndarray, moved: float = 0.0) -> np.ndarray:
        """``[row, node]`` of length 1 at labels ``[row]``, ``moved`` by scales; NaN: amid the nodes."""
        place = np.where(np.isfinite(label), label, np.nan)
        place = np.nan_to_num(self._stretched(self.name, place), nan=float(self.nodes.mean()))
        apart = (place[:, None] - self.nodes) / self.scale + moved
        found = np.exp(-(apart**2) / 2) @ self.inverse.T
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def slopes(self, label: np.ndarray) -> np.ndarray:
        """Derivatives of ``features`` by the label, per unit of it."""
        per_scale = (self.features(label, STEP) - self.features(label, -STEP)) / (2 * STEP * self.scale)
        return per_scale / label[:, None] if self.logarithmic else per_scale

    @cached_property
    def inverse(self) -> np.ndarray:
        """The inverse ``[node, node]`` of the triangle L of the kernel between the nodes; see the module."""
        apart = (self.nodes[:, None] - self.nodes) / self.scale
        kernel = np.exp(-(apart**2) / 2) + JITTER * np.eye(self.nodes.size)
        return np.linalg.inv(np.linalg.cholesky(kernel))


@dataclass(frozen=True)
class SplineGrid:
    """Cubic B-splines on knots uniform in ln(vacuum wavelength): ``count`` of them, ``step`` apart.

    ``first`` is the logarithm of the wavelength [A] at which the first complete interval begins.
    """

    first: float
    step: float
    count: int

    def __post_init__(self):
        if not (np.isfinite(self.first) and self.step > 0 and self.count >= 4):
            raise ConfigError(f"{self}: no grid of at least four splines")

    @classmethod
    def over(cls, low_aa: float, high_aa: float, step: float) -> "SplineGrid":
        """Knots ``step`` apart in the logarithm, so that all from ``low_aa`` to ``high_aa`` is covered."""
        return cls(float(np.log(low_aa)), step, int(np.ceil(np.log(high_aa / low_aa) / step)) + 3)

    def placed(self, vacuum_aa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First of the four splines at each wavelength, and their values ``[..., wavelength, 4]``.

        De Boor (1978), A Practical Guide to Splines; beyond the grid those of its ends.
        """
        place = np.clip((np.log(vacuum_aa) - self.first) / self.step, 0, self.count - 3 - 1e-9)
        index = place.astype(np.int64)
        t = place - index
        values = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
        return index, np.stack(values, axis=-1) / 6

    def matrix(self, vacuum_aa: np.ndarray) -> np.ndarray:
        """The splines at wavelengths: float64[wavelength, spline]."""
        index, values = self.placed(vacuum_aa)
        found = np.zeros((vacuum_aa.size, self.count))
        np.put_along_axis(found, index[:, None] + np.arange(4), values, axis=1)
        return found

    def __call__(self, coefficients: np.ndarray, vacuum_aa: np.ndarray) -> np.ndarray:
        """Sums ``[row, n, wavelength]`` of ``coefficients[row, n, spline]`` at ``[row, wavelength]``."""
        index, values = self.placed(vacuum_aa)
        found = 0.0
        for offset in range(4):
            taken = np.take_along_axis(coefficients, (index + offset)[:, None], axis=-1)
            found = found + taken * values[:, None, :, offset]
        return found


@dataclass(frozen=True, eq=False)
class FluxCorrection:
    """``mean[feature, spline]`` of V, and ``patterns[pattern, feature, spline]`` around it; see the module.

    ``model`` is the digest of the generator that it belongs to (``Generator.digest``); ``about`` what it was
    learned from, as plain data. Features are those of ``axes``, the last label's fastest.
    """

    axes: tuple[LabelAxis, ...]
    grid: SplineGrid
    mean: np.ndarray
    patterns: np.ndarray
    model: str
    about: Mapping[str, Any] = field(default_factory=dict)

    __repr__ = one_line

    def __post_init__(self):
        features = int(np.prod([axis.nodes.size for axis in self.axes]))
        if self.mean.shape != (features, self.grid.count):
            raise ConfigError(f"correction: mean {self.mean.shape}, expected {(features, self.grid.count)}")
        if self.patterns.shape[1:] != self.mean.shape:
            raise ConfigError(f"correction: patterns {self.patterns.shape} beside a mean {self.mean.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.patterns).all()):
            raise ConfigError("correction: its numbers must be finite")

    @cached_property
    def digest(self) -> str:
        """16 digits by which it is known."""
        axes = [[axis.name, axis.nodes, axis.scale] for axis in self.axes]
        grid = [self.grid.first, self.grid.step, self.grid.count]
        return digest([axes, grid, self.mean, self.patterns, self.model])

    @property
    def title(self) -> str:
        """What provenance and results say of it."""
        libraries = ", ".join(each["name"] for each in self.about.get("libraries", ()))
        return f"{self.digest} learned from {self.about.get('stars', 0)} stars of {libraries or 'no library'}"

    def features(self, domain: Domain, labels: np.ndarray) -> np.ndarray:
        """``[row, feature]`` at ``labels[row, label]`` of a ``domain``; what it lacks is amid the nodes."""
        return label_features(self.axes, domain, labels)

    def log_ratio(self, domain: Domain, labels: np.ndarray, vacuum_aa: np.ndarray) -> np.ndarray:
        """c ``[row, wavelength]`` at ``labels[row, label]`` and ``vacuum_aa[row, wavelength]`` at rest."""
        coefficients = self.features(domain, labels) @ self.mean
        return self.grid(coefficients[:, None], vacuum_aa)[:, 0]

    def log_patterns(self, domain: Domain, labels: np.ndarray, vacuum_aa: np.ndarray) -> np.ndarray:
        """Patterns ``[row, pattern, wavelength]`` whose squares add up to the variance of ``log_ratio``."""
        features = self.features(domain, labels)
        coefficients = np.tensordot(features, self.patterns, axes=(1, 1))
        return self.grid(coefficients, vacuum_aa)

    def deviation(self, domain: Domain, labels: np.ndarray, vacuum_aa: np.ndarray) -> np.ndarray:
        """Standard deviation of c ``[row, wavelength]``, as of ``log_ratio``."""
        return np.sqrt((self.log_patterns(domain, labels, vacuum_aa) ** 2).sum(axis=1))

    def with_slopes(
        self, domain: Domain, labels: np.ndarray, vacuum_aa: np.ndarray, wanted: Iterable[str]
    ) -> np.ndarray:
        """c and its derivatives by what is ``wanted``, labels or "velocity": ``[row, 1 + n, wavelength]``."""
        wanted = list(wanted)
        parts = [axis.features(_of(domain, labels, axis.name)) for axis in self.axes]
        coefficients = np.zeros((len(labels), 1 + len(wanted), self.grid.count))
        coefficients[:, 0] = _products(parts) @ self.mean
        for number, axis in enumerate(self.axes):
            if axis.name in wanted and axis.name in domain.names:
                turned = [*parts]
                turned[number] = axis.slopes(_of(domain, labels, axis.name))
                coefficients[:, 1 + wanted.index(axis.name)] = _products(turned) @ self.mean
        found = self.grid(coefficients, vacuum_aa)
        if "velocity" in wanted:
            near = [self.grid(coefficients[:, :1], vacuum_aa * np.exp(side)) for side in (-1e-6, 1e-6)]
            by_log = (near[1] - near[0])[:, 0] / 2e-6
            found[:, 1 + wanted.index("velocity")] = -by_log / SPEED_OF_LIGHT_KMS
        return found


def label_features(axes: Iterable[LabelAxis], domain: Domain, labels: np.ndarray) -> np.ndarray:
    """Features ``[row, k]`` of several axes at ``labels[row, label]`` of a ``domain``; see the module."""
    return _products(axis.features(_of(domain, labels, axis.name)) for axis in axes)


def at_rest(vacuum_aa: np.ndarray, radial_velocity: np.ndarray) -> np.ndarray:
    """Wavelengths ``[row, wavelength]`` in the frame of stars of ``radial_velocity[row]`` [km/s]."""
    return vacuum_aa * np.exp(-doppler_shift(radial_velocity)[:, None] / SPEED_OF_LIGHT_KMS)


def save(path: str | os.PathLike, correction: FluxCorrection, domain: Domain, band: Band | None) -> None:
    """Write a correction to a weights file; ``domain`` and ``band`` are those of its model."""
    axes = [[axis.name, axis.nodes.tolist(), axis.scale] for axis in correction.axes]
    grid = correction.grid
    settings = {
        "axes": axes,
        "grid": [grid.first, grid.step, grid.count],
        "model": correction.model,
        "about": dict(correction.about),
    }
    flat = correction.patterns.reshape(-1, grid.count)
    parts = {MEAN: correction.mean, PATTERNS: flat}
    networks = {name: linear(part, np.zeros(grid.count)) for name, part in parts.items()}
    header = Header(FAMILY, domain, band=band and band.bare, settings=settings)
    weights.save(path, Model(header, networks), "float16")


def load(path: str | os.PathLike) -> FluxCorrection:
    """The correction in a file; ParseError for a damaged one, StoreError for one that is none."""
    model = weights.load(path, FAMILY)
    setting = model.header.settings
    try:
        axes = tuple(
            LabelAxis(n, np.array(nodes, float), float(scale)) for n, nodes, scale in setting["axes"]
        )
        mean, flat = (model.networks[name].parameters[0]["weight"] for name in (MEAN, PATTERNS))
        grid = SplineGrid(*setting["grid"])
        patterns = flat.reshape(-1, *mean.shape)
        return FluxCorrection(axes, grid, mean, patterns, setting["model"], setting["about"])
    except DAMAGE as error:
        raise StoreError(f"{path}: the correction makes no sense: {error}") from error


def stored(values: np.ndarray) -> np.ndarray:
    """The values as a file keeps them, so that what is read from it is the same."""
    return values.astype(np.float16).astype(np.float32)


def _of(domain: Domain, labels: np.ndarray, name: str) -> np.ndarray:
    return labels[:, domain.index(name)] if name in domain.names else np.full(len(labels), np.nan)


def _products(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Products of features ``[row, n]`` of several labels: ``[row, n1 n2 ...]``."""
    found = None
    for part in parts:
        found = part if found is None else (found[:, :, None] * part[:, None]).reshape(len(part), -1)
    return found
