"""A start network: from binned spectra to a few likely sets of labels and velocity, with their sizes.

Its outputs are a mixture of Gaussians with diagonal covariances over the coordinates of the labels
(``inference.coordinates``) and the velocity that the correlation with templates leaves over (Bishop 1994,
Mixture density networks, NCRG/94/004): spectra of hot stars have more than one likely explanation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from starloom.errors import ConfigError, StoreError
from starloom.inference.coordinates import Coordinates
from starloom.inference.learned.cells import Binned, Bins, straightened
from starloom.inference.learned.lags import Bank, aligned
from starloom.labels import Domain
from starloom.networks import weights
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.forward import Network
from starloom.networks.generator import Generator
from starloom.networks.weights import Header, Model
from starloom.sampling import uniform

FAMILY = "start"
SUFFIX = ".start.safetensors"  # in the place of the model's own
SEGMENTS = 32  # of the cells: how much of each is covered
DEPTH = 5.0  # times it straightened flux enters
SNR = (3.0, 500.0)  # of a cell, within which networks learn
FEWEST = 0.2  # of the cells: spectra that cover less have other starts
TEMPLATES = 32
SMALLEST, LARGEST = -5.5, 1.0  # of the logarithm of a standard deviation
INNER = 3e-3  # of the box: candidates lie inside by that much


@dataclass(frozen=True, eq=False)
class Candidates:
    """``place[star, candidate, p]``: coordinates of labels, then velocity; their ``deviation``; ``share``.

    ``share[star, candidate]``: how likely each is, likeliest first, sum 1.
    """

    place: np.ndarray
    deviation: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, eq=False)
class StartNetwork:
    """A trained network and what it belongs to: ``cells`` of a model's range, and labels of its ``domain``.

    ``bank``: templates for the velocity. ``resolved``: whether the resolution enters.
    """

    network: Network
    domain: Domain
    cells: Bins
    bank: Bank
    resolved: bool

    @cached_property
    def coordinates(self) -> Coordinates:
        """The coordinates of its labels."""
        return Coordinates(self.domain)

    def knows(self, seen: Binned) -> np.ndarray:
        """Which of the spectra cover enough of its cells: bool[star]."""
        return (seen.covered.mean(axis=1) >= FEWEST) & np.isfinite(seen.noise) & (seen.noise > 0)

    def __call__(self, seen: Binned, resolution: np.ndarray, velocities: tuple[float, float]) -> Candidates:
        """The candidates of each spectrum; velocities searched are those of a range [km/s]."""
        values = straightened(seen.flux, seen.covered)
        lags = self.bank.lags(values, seen.covered, velocities)
        found = self.network(features(values, seen, lags, resolution if self.resolved else None))
        return mixture(found, len(self.coordinates.names), lags)


def features(values: np.ndarray, seen: Binned, lags: np.ndarray, resolution: np.ndarray | None) -> np.ndarray:
    """What enters the network: float32[star, input]; ``resolution`` None where it is always the same."""
    covered = aligned(seen.covered, lags)
    segments = np.array_split(covered, SEGMENTS, axis=1)
    low, high = np.log10(SNR)
    snr = (np.log10(1 / np.maximum(seen.noise, 1e-9)).clip(low, high) - low) / (high - low)
    numbers = [snr, lags / 40.0]
    numbers += [] if resolution is None else [np.log(resolution / 11500.0)]
    parts = [DEPTH * aligned(values, lags), *(part.mean(axis=1, keepdims=True) for part in segments)]
    return np.concatenate([*parts, np.stack(numbers, axis=1)], axis=1, dtype=np.float32)


def inputs_of(cells: Bins, resolved: bool) -> int:
    """How many numbers ``features`` has."""
    return cells.count + SEGMENTS + 2 + resolved


def mixture(outputs: np.ndarray, count: int, lags: np.ndarray) -> Candidates:
    """The candidates in a network's outputs: logarithms of shares, places, logarithms of deviations."""
    from starloom.inference.coordinates import VELOCITY_SCALE_KMS
    from starloom.inference.learned.cells import CELL_KMS

    kinds = outputs.shape[1] // (1 + 2 * count)
    logits = outputs[:, :kinds]
    place, size = outputs[:, kinds:].astype(np.float64).reshape(len(outputs), 2, kinds, count).swapaxes(0, 1)
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    place = place.copy()
    place[..., :-1] = place[..., :-1].clip(INNER, 1 - INNER)
    place[..., -1] += (lags * CELL_KMS / VELOCITY_SCALE_KMS)[:, None]
    deviation = np.exp(size.clip(SMALLEST, LARGEST))
    order = np.argsort(-share, axis=1)
    sorted_parts = (np.take_along_axis(part, order[..., None], axis=1) for part in (place, deviation))
    return Candidates(*sorted_parts, np.take_along_axis(share, order, axis=1))


def outputs_of(domain: Domain, candidates: int) -> int:
    """How many numbers a network for some labels gives."""
    return candidates * (1 + 2 * (len(domain.names) + 1))


def learned_labels(domain: Domain) -> Domain:
    """The labels that a start network tells: not the resolution, which is known, nor elements with a default.

    Those are near it; a label of a single value needs no telling.
    """
    told = [
        label.name
        for label, low, high in domain.ranges
        if label.name != "resolution" and label.name not in domain.spread and low < high
    ]
    return domain.only(*told)


def templates(model: Emulator | BandEmulator, domain: Domain, cells: Bins) -> Bank:
    """The bank of a model: TEMPLATES random places of its domain, half of them slow rotators."""
    labels = uniform(17, 0, TEMPLATES, domain.low, domain.high, domain.contains)
    for index in Coordinates(domain).rotations:
        labels[::2, index] *= 0.1
    return Bank.of(cell_flux(model, cells, labels))


def cell_flux(model: Emulator | BandEmulator, cells: Bins, labels: np.ndarray, velocity=None) -> np.ndarray:
    """Mean flux of labels in the cells: float32[row, cell]; labels are not checked."""
    finest = model.chunks[0].finish.finest_resolution
    ends = cells.edges_aa[:-1], cells.edges_aa[1:]
    return model.seen(cells.centres_aa, finest, ends).spectrum(labels, velocity)


def model_digest(generator: Generator) -> str:
    """What a start network is for: see ``Generator.digest``."""
    return generator.digest


def packed(generator: Generator, start: StartNetwork, card: str = "") -> Model:
    """A start network of a model for a weights file."""
    settings = {"model": model_digest(generator)}
    header = Header(FAMILY, start.domain, band=generator.header.band, card=card, settings=settings)
    return Model(header, {"start": start.network})


def unpacked(path: Path, generator: Generator) -> StartNetwork:
    """The start network in a file; StoreError where it is for another model."""
    model = weights.load(path, FAMILY)
    if model.header.settings.get("model") != model_digest(generator):
        asked = "make it anew: starloom train start"
        raise StoreError(f"{path}: a start network for another model than {generator.name}: {asked}")
    cells = Bins.of(generator.model)
    resolved = is_resolved(generator.domain)
    network, domain = model.networks.get("start"), model.header.domain
    kinds = 0 if network is None else network.outputs // (1 + 2 * (len(domain.names) + 1))
    if network is None or (network.inputs, network.outputs) != (
        inputs_of(cells, resolved),
        outputs_of(domain, kinds),
    ):
        raise StoreError(f"{path}: no start network for {generator.name}: its inputs or outputs do not fit")
    bank = templates(generator.model, generator.domain, cells)
    return StartNetwork(network, domain, cells, bank, resolved)


def is_resolved(domain: Domain) -> bool:
    """Whether the resolution is a label with a range."""
    if "resolution" not in domain.names:
        return False
    index = domain.index("resolution")
    return bool(domain.low[index] < domain.high[index])


def file_of(model: str | Path) -> Path:
    """Where the start network of a model lies: beside its weights file."""
    path = weights.find(model)
    return path.with_name(path.name.removesuffix(weights.SUFFIX) + SUFFIX)


@lru_cache(maxsize=8)
def start_of(generator: Generator) -> StartNetwork | None:
    """The start network beside a model's file; None where there is none.

    Raises ParseError for one that is damaged, StoreError for one that is for another model.
    """
    try:
        path = file_of(generator.name)
    except ConfigError:  # a model of no file
        return None
    return unpacked(path, generator) if path.exists() else None


def among(names: Sequence[str], domain: Domain) -> list[int]:
    """Places of the labels of a domain, and of the velocity, among the ``names`` of parameters."""
    return [names.index(name) for name in (*domain.names, "velocity")]
