r"""What the physics behind a model leaves uncertain, as patterns of the flux that the model's file carries.

.. math:: C = \mathrm{diag}(s_f^2) + s_l^2 \sum_l J_l J_l^T + s_{Ca}^2 J_{Ca} J_{Ca}^T
          + s_c^2 \sum_{k=2}^{9} T_k T_k^T

in units of the continuum: :math:`J_l` are derivatives of the flux by log gf of the lines, of which the model
has the principal components at nodes of its labels, :math:`J_{Ca}` that of the Ca II triplet's three lines
together, :math:`T_k` Chebyshev polynomials over the observed range (the continuum). The patterns are Fourier
modes like those of an emulator, and are broadened and moved like its spectra. They depend on the band alone:
models are retrained without them. Between nodes they are linear in the labels.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import product

import numpy as np

from starloom.arrays import one_line
from starloom.bands import Band
from starloom.errors import ConfigError, OutOfRangeError, StoreError
from starloom.labels import Domain
from starloom.networks.forward import Network, linear
from starloom.networks.weights import Header, Model
from starloom.wavelength import LogGrid

FAMILY = "physics-error"  # of a file that has these patterns alone
SETTING = "physics_error"
PATTERNS, BASIS = "physics_patterns", "physics_basis"  # their linear maps in a file
LABELS = ("teff", "logg", "mh")  # of the nodes
ORDERS = (2, 9)  # of the continuum's polynomials


@dataclass(frozen=True)
class Sizes:
    """Standard deviations: of log gf of ``lines`` and the ``calcium`` triplet [dex], of the flux the rest.

    ``continuum``: of each coefficient of the continuum; ``floor``: of each pixel. All from 0.
    """

    lines: float = 0.12
    calcium: float = 0.06
    continuum: float = 0.003
    floor: float = 0.006

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise OutOfRangeError(f"physics error of {field.name} = {value} is outside [0, 1]")


@dataclass(frozen=True, eq=False)
class PhysicsError:
    """Patterns of a ``band`` at the ``nodes`` of LABELS (rising values by name), and their ``sizes``.

    ``patterns[teff, logg, mh, pattern, component]``, the last that of the Ca II triplet, per dex, in terms of
    ``basis[chunk][component, half]``: real parts of modes, then imaginary parts, as of an ``Emulator``.
    """

    band: Band
    nodes: Mapping[str, np.ndarray]
    patterns: np.ndarray
    basis: tuple[np.ndarray, ...]
    sizes: Sizes = Sizes()

    __repr__ = one_line

    def __post_init__(self):
        counts = tuple(len(self.nodes[name]) for name in LABELS)
        if self.patterns.ndim != 5 or self.patterns.shape[:3] != counts:
            raise ConfigError(f"physics error: patterns {self.patterns.shape} at {counts} nodes")
        if len(self.basis) != len(self.band.chunks):
            raise ConfigError(f"physics error: {len(self.basis)} parts of {len(self.band.chunks)} chunks")
        if wrong := [part.shape for part in self.basis if len(part) != self.patterns.shape[-1]]:
            raise ConfigError(f"physics error: {self.patterns.shape[-1]} components, a basis of {wrong[0]}")
        if not all(np.isfinite(part).all() for part in (self.patterns, *self.basis)):
            raise ConfigError("physics error: patterns must be finite")

    def halves(self, domain: Domain, labels: np.ndarray) -> dict[LogGrid, np.ndarray]:
        """Patterns times their sizes, ``[row, pattern, half]`` by kept grid, at ``labels[row, label]``.

        Beyond the nodes they are those of the nearest; of a label that the ``domain`` lacks, amid them.
        """
        weights = np.ones((len(labels), 1))
        for name in LABELS:
            axis = self.nodes[name]
            given = labels[:, domain.index(name)] if name in domain.names else np.full(len(labels), np.nan)
            own = _hats(np.where(np.isfinite(given), given, axis[len(axis) // 2]), axis)
            weights = (weights[:, :, None] * own[:, None]).reshape(len(labels), -1)
        count, components = self.patterns.shape[3:]
        mixed = (weights.astype(np.float32) @ self._scaled).reshape(len(labels), count, components)
        return {grid: mixed @ part for grid, part in zip(self.band.kept, self.basis, strict=True)}

    def deviation(self, patterns: np.ndarray) -> np.ndarray:
        """Standard deviation of each pixel by ``patterns[..., pattern, wavelength]`` and the floor.

        The errors of a continuum, which come with an observed spectrum, are not in it.
        """
        return np.sqrt((patterns**2).sum(axis=-2) + np.float32(self.sizes.floor**2))

    @cached_property
    def _scaled(self) -> np.ndarray:
        sizes = np.full(self.patterns.shape[3], self.sizes.lines, np.float32)
        sizes[-1] = self.sizes.calcium
        scaled = self.patterns * sizes[:, None]
        return np.ascontiguousarray(scaled.reshape(np.prod(scaled.shape[:3]), -1), np.float32)

    def with_sizes(self, sizes: Sizes) -> "PhysicsError":
        """The same patterns of other sizes."""
        return replace(self, sizes=sizes)


def _hats(values: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Weights ``[row, node]`` of linear interpolation on an ``axis``, held beyond its ends."""
    place = np.interp(values, axis, np.arange(len(axis)))
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(len(axis))))


def aligned(patterns: np.ndarray) -> np.ndarray:
    """Patterns ``[teff, logg, mh, pattern, component]``, each node's turned to its neighbours'.

    A rotation among the patterns of a node leaves their covariance as it is; with the one nearest to what the
    neighbours have (Schonemann 1966) the patterns can be interpolated. From the middle outwards.
    """
    found, done = patterns.copy(), np.zeros(patterns.shape[:3], bool)
    middle = np.array(patterns.shape[:3]) // 2
    nodes = sorted(product(*map(range, done.shape)), key=lambda node: np.abs(np.array(node) - middle).sum())
    for node in nodes:
        near = [at for at in _neighbours(node, done.shape) if done[at]]
        if near:
            wanted = np.mean([found[at] for at in near], axis=0)
            left, _, right = np.linalg.svd(wanted @ found[node].T)
            found[node] = left @ right @ found[node]
        done[node] = True
    return found


def _neighbours(node: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    found = []
    for axis, step in product(range(len(shape)), (-1, 1)):
        if 0 <= node[axis] + step < shape[axis]:
            found.append((*node[:axis], node[axis] + step, *node[axis + 1 :]))
    return found


def attached(model: Model, physics: PhysicsError) -> Model:
    """The model with these patterns in it, in the place of what it had; ConfigError for another band's."""
    if model.header.band is None or model.header.band.bare != physics.band.bare:
        raise ConfigError("the physics error belongs to another band than the model's")
    return Model(_header(model.header, physics), {**_others(model.networks), **_maps(physics)})


def packed(physics: PhysicsError) -> Model:
    """The patterns alone, for a file of the family FAMILY."""
    ranges = {name: (float(nodes[0]), float(nodes[-1])) for name, nodes in physics.nodes.items()}
    header = Header(FAMILY, Domain.of(ranges), band=physics.band.bare)
    return Model(_header(header, physics), _maps(physics))


def physics_in(model: Model) -> PhysicsError | None:
    """The physics error that a model carries, or None; ``StoreError`` where it makes no sense."""
    setting = model.header.settings.get(SETTING)
    if setting is None:
        return None
    try:
        nodes = {name: np.array(setting["nodes"][name], float) for name in LABELS}
        count = tuple(len(values) for values in nodes.values())
        flat = model.networks[PATTERNS].parameters[0]["weight"]
        patterns = flat.reshape(*count, -1, flat.shape[-1])
        chunks = len(model.header.band.chunks)
        basis = tuple(model.networks[name].parameters[0]["weight"] for name in _names(chunks))
        return PhysicsError(model.header.band, nodes, patterns, basis, Sizes(**setting["sizes"]))
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError, OutOfRangeError) as error:
        raise StoreError(f"the model's physics error makes no sense: {error}") from error


def _header(header: Header, physics: PhysicsError) -> Header:
    nodes = {name: np.asarray(values, float).tolist() for name, values in physics.nodes.items()}
    setting = {"nodes": nodes, "sizes": asdict(physics.sizes)}
    return replace(header, settings={**header.settings, SETTING: setting})


def _maps(physics: PhysicsError) -> dict[str, Network]:
    flat = physics.patterns.reshape(-1, physics.patterns.shape[-1])
    parts = [flat, *physics.basis]
    names = [PATTERNS, *_names(len(physics.basis))]
    return {name: linear(part, np.zeros(part.shape[-1])) for name, part in zip(names, parts, strict=True)}


def _names(chunks: int) -> list[str]:
    return [f"{BASIS}_{number}" for number in range(chunks)]


def _others(networks: Mapping[str, Network]) -> dict[str, Network]:
    return {name: network for name, network in networks.items() if not name.startswith("physics_")}
