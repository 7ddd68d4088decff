"""Start networks made from generated spectra of any resolution, velocity, range, gaps and noise. Needs JAX.

Each spectrum is drawn once; its window, gaps, velocity and signal-to-noise ratio in REALISATIONS ways, and
the noise anew in each epoch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from starloom.constants import ALPHA_ELEMENTS
from starloom.inference.coordinates import VELOCITY_SCALE_KMS, Coordinates
from starloom.inference.learned.cells import CELL_KMS, Binned, Bins, straightened
from starloom.inference.learned.lags import Bank, aligned, lags_within
from starloom.inference.learned.network import (
    LARGEST,
    SMALLEST,
    SNR,
    StartNetwork,
    cell_flux,
    features,
    inputs_of,
    is_resolved,
    learned_labels,
    outputs_of,
    templates,
)
from starloom.inference.starts import into_domain
from starloom.labels import Domain
from starloom.networks.batches import Batch, split
from starloom.networks.forward import Network, dense_layers
from starloom.networks.generator import Generator
from starloom.networks.training import Plan, Training, train
from starloom.recipes import at_least

REALISATIONS = 2
VELOCITIES = (-500.0, 500.0)
USUAL_RESOLUTION, USUAL_SHARE, USUAL_WIDTH = 11500.0, 0.5, 0.12  # half of the spectra: Gaia's, within 12 %
GAIA_AA, GAIA_SHARE = (8460.0, 8700.0), 0.5  # half of the spectra have its range, where the model has
NARROWEST = 0.25  # of the cells: a window
GAPS = 3  # at most, each up to 3 % of the cells; a third of the spectra has some
ELEMENTS_DEX = 0.1
FILLING = 0.1  # of the exponential distribution of its size
FURTHEST = 4.0  # of what velocity is left after the correlation, in 100 km/s
PORTION = 512


@dataclass(frozen=True)
class StartRecipe:
    """How a start network is made: how many ``spectra``, its layers, its Gaussians, and how it is trained."""

    spectra: int = 120_000
    hidden: tuple[int, ...] = (384, 256, 256)
    candidates: int = 3
    batch: int = 500
    plan: Plan = field(
        default_factory=lambda: Plan(
            epochs=14, patience=14, learning_rate=2e-3, schedule="cosine", warmup=0.3, seed=1
        )
    )

    def __post_init__(self):
        at_least(1, candidates=self.candidates, batch=self.batch)
        at_least(100, spectra=self.spectra)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Generated spectra: ``flux[row, cell]`` in float16, at rest but for ``rest_kms``; ``labels`` and R."""

    flux: np.ndarray
    rest_kms: np.ndarray
    place: np.ndarray
    resolution: np.ndarray


def draw(generator: Generator, told: Domain, cells: Bins, recipe: StartRecipe) -> Drawn:
    """Random stars of a model's domain and their spectra."""
    rng = np.random.default_rng([recipe.plan.seed, 1])
    labels = draw_labels(generator.domain, recipe.spectra, rng)
    rest = rng.uniform(-0.5, 0.5, len(labels)) * CELL_KMS
    flux = np.empty((len(labels), cells.count), np.float16)
    for start in range(0, len(labels), PORTION):
        part = slice(start, start + PORTION)
        flux[part] = cell_flux(generator.model, cells, labels[part], rest[part])
    columns = [generator.domain.index(name) for name in told.names]
    coordinates = Coordinates(told)
    parameters = np.concatenate([labels[:, columns], np.zeros((len(labels), 1))], axis=1)
    place = coordinates.from_parameters(parameters)[:, :-1]
    resolution = np.full(len(labels), USUAL_RESOLUTION)
    if is_resolved(generator.domain):
        resolution = labels[:, generator.domain.index("resolution")]
    return Drawn(flux, rest, place.astype(np.float32), resolution)


def draw_labels(domain: Domain, count: int, rng: np.random.Generator) -> np.ndarray:
    """Labels ``[row, label]``, even in their coordinates; half rotate slowly, elements near their default."""
    coordinates = Coordinates(domain)
    place = np.append(rng.random((count, len(domain.names))), np.zeros((count, 1)), axis=1)
    place[::2, coordinates.rotations] *= 0.2
    labels = coordinates.to_parameters(place)[:, :-1]
    for name, (low, high) in domain.spread.items():
        default = labels[:, domain.index("alpha")] if _follows(name, domain) else 0.0
        offset = rng.normal(0, ELEMENTS_DEX, count).clip(low, high)
        labels[:, domain.index(name)] = default + offset
    if is_resolved(domain):
        index = domain.index("resolution")
        low, high = domain.low[index], domain.high[index]
        labels[:, index] = _resolutions(rng, count, low, high)
    if "filling" in domain.names:
        index = domain.index("filling")
        amount = rng.exponential(FILLING, count) * np.where(rng.random(count) < 0.2, -0.3, 1)
        labels[:, index] = amount.clip(domain.low[index], domain.high[index])
    labels = labels.clip(domain.low, domain.high)
    into_domain(labels, domain, set())
    _at_defaults(labels, domain)
    return labels


def _at_defaults(labels: np.ndarray, domain: Domain) -> None:
    """Elements of rows that are outside, by their [C/O], as they are by default."""
    outside = ~domain.contains(labels)
    for name in domain.spread:
        default = labels[outside, domain.index("alpha")] if _follows(name, domain) else 0.0
        labels[outside, domain.index(name)] = default


def _follows(name: str, domain: Domain) -> bool:
    return name in ALPHA_ELEMENTS and "alpha" in domain.names


def _resolutions(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Half over the whole range, half as usual spectra have it, where that is within."""
    found = np.exp(rng.uniform(np.log(low), np.log(high), count))
    usual = USUAL_RESOLUTION * (1 + USUAL_WIDTH * rng.uniform(-1, 1, count))
    chosen = (rng.random(count) < USUAL_SHARE) & (usual >= low) & (usual <= high)
    return np.where(chosen, usual, found)


@dataclass(frozen=True, eq=False)
class Realised:
    """How each spectrum is seen: cells ``moved``, ``first`` and last cell, ``gaps``, ``noise`` of a cell.

    ``lag[row]``: what the correlation with templates finds.
    """

    moved: np.ndarray
    covered: np.ndarray  # bits of bool[row, cell], packed
    noise: np.ndarray
    lag: np.ndarray


def realise(drawn: Drawn, cells: Bins, bank: Bank, seed: int) -> Realised:
    """A way in which each spectrum is seen, and its lag with noise of its own."""
    rng, count = np.random.default_rng([seed, 2]), len(drawn.flux)
    lags = lags_within(VELOCITIES)
    moved = rng.integers(lags[0], lags[-1] + 1, count)
    covered = _windows(rng, count, cells)
    noise = np.exp(-rng.uniform(*np.log(SNR), count))
    lag = np.empty(count, int)
    for start in range(0, count, PORTION):
        part = slice(start, start + PORTION)
        seen = observed(drawn.flux[part], moved[part], covered[part], noise[part], rng)
        covered[part] = seen.covered
        lag[part] = bank.lags(straightened(seen.flux, seen.covered), np.ones_like(seen.covered), VELOCITIES)
    return Realised(moved, np.packbits(covered, axis=1), noise, lag)


def _windows(rng: np.random.Generator, count: int, cells: Bins) -> np.ndarray:
    """Cells that spectra cover: bool[row, cell]."""
    width = (cells.count * rng.uniform(NARROWEST, 1, count)).astype(int)
    first = (rng.random(count) * (cells.count - width)).astype(int)
    last = first + width
    ends = np.searchsorted(cells.centres_aa, GAIA_AA)
    if ends[1] - ends[0] > NARROWEST * cells.count:
        usual = rng.random(count) < GAIA_SHARE
        first, last = np.where(usual, ends[0], first), np.where(usual, ends[1], last)
    place = np.arange(cells.count)
    covered = (place >= first[:, None]) & (place < last[:, None])
    for _ in range(GAPS):
        begin = rng.integers(0, cells.count, count)
        end = begin + 1 + (rng.random(count) * 0.03 * cells.count).astype(int)
        there = (rng.random(count) < 0.15)[:, None]
        covered &= ~(there & (place >= begin[:, None]) & (place < end[:, None]))
    return covered


def observed(
    flux: np.ndarray, moved: np.ndarray, covered: np.ndarray, noise: np.ndarray, rng: np.random.Generator
) -> Binned:
    """Spectra as they are seen; cells into which the motion brings what the model does not know are empty."""
    known = aligned(np.ones(flux.shape, bool), -moved)
    seen = aligned(flux.astype(np.float32), -moved)
    random = rng.standard_normal(flux.shape, dtype=np.float32) * noise[:, None].astype(np.float32)
    return Binned(seen + random, covered & known, noise)


@dataclass(frozen=True, eq=False)
class NoisyBatches:
    """Batches of inputs and targets, of rows in an order and with noise that seed and epoch decide."""

    drawn: Drawn
    realised: tuple[Realised, ...]
    rows: np.ndarray
    size: int
    seed: int
    resolved: bool

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch ``number``: another realisation of each spectrum in each."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(self.rows)
        way = self.realised[number % len(self.realised)]
        for start in range(0, len(order), self.size):
            rows = np.sort(order[start : start + self.size])
            yield Batch(rows, self._arrays(rows, way, rng))

    def _arrays(self, rows: np.ndarray, way: Realised, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        drawn, count = self.drawn, self.drawn.flux.shape[1]
        covered = np.unpackbits(way.covered[rows], axis=1, count=count).astype(bool)
        seen = observed(drawn.flux[rows], way.moved[rows], covered, way.noise[rows], rng)
        lag = way.lag[rows]
        values = straightened(seen.flux, seen.covered)
        inputs = features(values, seen, lag, drawn.resolution[rows] if self.resolved else None)
        left = drawn.rest_kms[rows] + CELL_KMS * (way.moved[rows] - lag)
        velocity = (left / VELOCITY_SCALE_KMS).clip(-FURTHEST, FURTHEST)
        return inputs, np.concatenate([drawn.place[rows], velocity[:, None]], axis=1, dtype=np.float32)


def mixture_loss(candidates: int, count: int) -> Any:
    """Minus the logarithm of the mixture's density at the targets, the mean over a batch."""

    def loss(predict: Any, arrays: tuple[Any, ...]) -> Any:
        inputs, targets = arrays
        found = predict(inputs)
        shares = jax.nn.log_softmax(found[:, :candidates])
        place, size = jnp.moveaxis(found[:, candidates:].reshape(-1, 2, candidates, count), 1, 0)
        size = jnp.clip(size, SMALLEST, LARGEST)
        apart = (place - targets[:, None]) * jnp.exp(-size)
        density = shares - (0.5 * apart**2 + size).sum(axis=-1)
        return -jnp.mean(jax.scipy.special.logsumexp(density, axis=1))

    return loss


def fit_start(generator: Generator, recipe: StartRecipe, **options: Any) -> tuple[StartNetwork, Training]:
    """The start network of a model, and its training; ``options`` go to ``networks.training.train``.

    Raises ConfigError for a model whose range is too wide for one.
    """
    cells, told = Bins.of(generator.model), learned_labels(generator.domain)
    resolved = is_resolved(generator.domain)
    bank = templates(generator.model, generator.domain, cells)
    drawn = draw(generator, told, cells, recipe)
    ways = tuple(realise(drawn, cells, bank, recipe.plan.seed + n) for n in range(REALISATIONS))
    rows, held = split(recipe.spectra, 0.02, recipe.plan.seed)
    batches = NoisyBatches(drawn, ways, rows, recipe.batch, recipe.plan.seed, resolved)
    watched = NoisyBatches(drawn, ways[:1], held, recipe.batch, recipe.plan.seed + 1, resolved)
    sizes = (inputs_of(cells, resolved), *recipe.hidden, outputs_of(told, recipe.candidates))
    network = Network.initial(dense_layers(sizes, "silu"), recipe.plan.seed, "he_normal")
    loss = mixture_loss(recipe.candidates, len(told.names) + 1)
    training = train(_begun(network, recipe.candidates, told), loss, batches, watched, recipe.plan, **options)
    return StartNetwork(training.network, told, cells, bank, resolved), training


def _begun(network: Network, candidates: int, told: Domain) -> Network:
    """The network whose candidates begin in the middle of the box, at different places, all as likely."""
    *others, last = network.parameters
    count = len(told.names) + 1
    place = np.full((candidates, count), 0.5)
    place[:, 0] = (np.arange(candidates) + 1) / (candidates + 1)
    place[:, -1] = 0
    bias = np.concatenate([np.zeros(candidates), place.ravel(), np.full(candidates * count, -1.0)])
    weight = 0.1 * np.asarray(last["weight"])
    return Network(network.layers, (*others, {"weight": weight, "bias": bias.astype(np.float32)}))


def card(generator: Generator, recipe: StartRecipe) -> str:
    """What a start network's file says of it."""
    return (
        f"Start network of the model {generator.name!r}: from spectra in cells of {CELL_KMS:g} km/s to a "
        f"mixture of {recipe.candidates} sets of labels and velocity; trained on {recipe.spectra} generated "
        f"spectra in {recipe.plan.epochs} epochs."
    )
