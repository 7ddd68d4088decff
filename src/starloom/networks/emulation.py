"""The fits: an untrained network, its loss and its batches, given to the one trainer.

Losses are taken in the scaled values that a network works with (labels in [-1, 1], latents of unit
variance), or in flux; what the fitted networks give is in the labels' and latents' own units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from starloom import recipes
from starloom.broadening import Finish, check_filling, finish_of
from starloom.database.store import Store, common
from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks.batches import WithTwins, array_batches
from starloom.networks.emulator import CoefficientNetwork, Emulator, assembled, mode_basis, whitened
from starloom.networks.forward import Network
from starloom.networks.training import Loss, Plan, Training, distance_with_twins, train, weighted_distance
from starloom.networks.twins import Twins, relevance

TWINS = 4  # spectra of a batch for each pair of a star and its twin


def fit_coefficients(
    design: CoefficientNetwork,
    domain: Domain,
    labels: np.ndarray,
    coefficients: np.ndarray,
    deviation: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    plan: Plan,
    size: int = 512,
    twins: Twins | None = None,
    share: float = 1e-3,
    **options: Any,
) -> Training:
    """Train an emulator's network from ``labels[spectrum, label]`` to whitened ``coefficients``.

    ``deviation[coefficient]`` is what one unit of each coefficient is in flux (root mean square over the
    range), so the loss is the root mean square flux error of a spectrum, before rotation and instrument; the
    mean over spectra. With ``twins`` it also contains ``share`` times the relative error of differences;
    ConfigError where stars with twins are in the training rows, but none in the others.
    """
    weight, arrays = deviation.astype(np.float32) ** 2, (labels, coefficients)
    rows = training, validation
    pairs = [] if twins is None else [twins.within(own) for own in rows]
    if not pairs or not len(pairs[0].star):
        network = design.initial(domain, len(deviation), plan.seed)
        return fit_rows(network, weighted_distance(weight), arrays, rows, plan, size, **options)
    if not len(pairs[1].star):
        raise ConfigError("stars with twins are in the training split, but none in the validation split")
    usual = pairs[0].usual(coefficients, deviation)
    network = design.initial(domain, len(deviation), plan.seed, relevance(usual))
    batches = (
        WithTwins(array_batches(arrays, own, size, seed), each.arrays(*arrays, usual), size // TWINS)
        for own, each, seed in zip(rows, pairs, (plan.seed, None), strict=True)
    )
    return train(network, distance_with_twins(weight, share), *batches, plan, **options)


def fit_rows(
    network: Network,
    loss: Loss,
    arrays: Sequence[np.ndarray],
    rows: tuple[np.ndarray, np.ndarray],
    plan: Plan,
    size: int = 512,
    **options: Any,
) -> Training:
    """Train on the first of ``rows`` of ``arrays``, in batches of ``size``, watching the second.

    ``options`` (folder, device, progress, report) go to ``training.train``.
    """
    training, validation = rows
    batches = array_batches(arrays, training, size, plan.seed), array_batches(arrays, validation, size)
    return train(network, loss, *batches, plan, **options)


@dataclass(frozen=True)
class EmulatorRecipe:
    """How an emulator is made from a store: the size of its basis, its network and how that is trained.

    ``share``: how much the loss is of differences between stars and their twins, where there are some.
    ``filling`` is the range of the label that it has beside the store's, which nothing has to learn.
    """

    coefficients: int
    network: CoefficientNetwork = field(default_factory=CoefficientNetwork)
    plan: Plan = field(default_factory=Plan)
    batch: int = 512
    share: float = 1e-3
    filling: tuple[float, float] | None = None

    def __post_init__(self):
        recipes.at_least(1, coefficients=self.coefficients, batch=self.batch)
        recipes.at_least(0, share=self.share)
        if self.filling is not None:
            check_filling(np.array(self.filling))
            if len(self.filling) != 2 or not self.filling[0] < self.filling[1]:
                raise ConfigError(f"filling = {list(self.filling)}: expected its lowest and highest value")

    @classmethod
    def load(cls, name_or_path: str | PathLike = "default") -> "EmulatorRecipe":
        """The recipe in a TOML file, or the packaged one of this name; errors as in ``recipes.load``."""
        return recipes.load(cls, name_or_path, __package__)


def fit_emulator(
    stores: Sequence[Store], recipe: EmulatorRecipe, folder: str | PathLike | None = None, **options: Any
) -> tuple[tuple[Emulator, ...], tuple[Training, ...]]:
    """The emulators of stores, one for each chunk of their band, and their trainings.

    Basis and network come from the stores' training splits; stopping is judged on their validation splits;
    their test splits are not touched. Labels are those of the first store, ranges hold those of all;
    ``ConfigError`` where others differ in labels or band. ``folder`` is for checkpoints; ``options`` go to
    ``training.train``.
    """
    domain, band = common(stores)
    fits = []
    for number, finish in enumerate(finish_of(band).chunks):
        own = folder if folder is None or len(band.chunks) == 1 else Path(folder) / f"chunk-{number}"
        fits.append(_fit_chunk(stores, domain, recipe, finish, number, folder=own, **options))
    return tuple(zip(*fits, strict=True))


def _fit_chunk(stores, domain: Domain, recipe: EmulatorRecipe, finish: Finish, number: int, **options):
    """Emulator of one chunk of the band, and its training."""
    basis = mode_basis(_portions(stores, number, "train"), recipe.coefficients, finish)
    first = np.cumsum([0] + [len(store.labels) for store in stores])
    rows = {
        split: np.concatenate(
            [store.splits[split] + start for store, start in zip(stores, first, strict=False)]
        )
        for split in ("train", "validation")
    }
    intrinsic = [domain.index(name) for name in domain.intrinsic.names]
    fitted = fit_coefficients(
        recipe.network,
        domain.intrinsic,
        np.concatenate([store.labels[:, intrinsic] for store in stores]).astype(np.float32),
        whitened(_portions(stores, number), basis, finish).astype(np.float32),
        basis.deviation,
        rows["train"],
        rows["validation"],
        recipe.plan,
        recipe.batch,
        Twins.among(stores),
        recipe.share,
        **options,
    )
    return assembled(domain, fitted.network, basis, finish, recipe.filling), fitted


def _portions(
    stores: Sequence[Store], chunk: int, split: str | None = None, size: int = 1000
) -> Iterator[np.ndarray]:
    """Kept spectra in one chunk of the band, of a split of the stores or all of them, in order."""
    for store in stores:
        indices = np.arange(len(store.labels)) if split is None else store.splits[split]
        for start in range(0, len(indices), size):
            yield store.flux(indices[start : start + size], chunk)
