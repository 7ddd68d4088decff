"""The fits: an untrained network, its loss and its batches, given to the one trainer.

Losses are taken in the scaled values that a network works with (labels in [-1, 1], latents of unit
variance), or in flux; what the fitted networks give is in the labels' and latents' own units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from starloom import recipes
from starloom.bands import Band
from starloom.broadening import Finish, check_filling, finish_of
from starloom.database.store import Store, common, open_store
from starloom.database.workers import processes
from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks.batches import WithTwins, array_batches
from starloom.networks.emulator import (
    CoefficientNetwork,
    Emulator,
    assembled,
    mode_basis,
    parted,
    trained_on,
    whitened,
)
from starloom.networks.forward import Network
from starloom.networks.processes import ProcessPlan, fit_process
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
    start: Network | None = None,
    **options: Any,
) -> Training:
    """Train an emulator's network from ``labels[spectrum, label]`` to whitened ``coefficients``.

    ``start``: the network to begin with, else the untrained one of the ``design``.
    ``deviation[coefficient]`` is what one unit of each coefficient is in flux (root mean square over the
    range), so the loss is the root mean square flux error of a spectrum, before rotation and instrument; the
    mean over spectra. With ``twins`` it also contains ``share`` times the relative error of differences;
    ConfigError where stars with twins are in the training rows, but none in the others.

    ``training`` and ``validation`` are numbers of rows, ``size`` that of a batch; ``options`` go to
    ``training.train``.
    """
    weight, arrays = deviation.astype(np.float32) ** 2, (labels, coefficients)
    rows = training, validation
    pairs = [] if twins is None else [twins.within(own) for own in rows]
    if not pairs or not len(pairs[0].star):
        network = start or design.initial(domain, len(deviation), plan.seed)
        return fit_rows(network, weighted_distance(weight), arrays, rows, plan, size, **options)
    if not len(pairs[1].star):
        raise ConfigError("stars with twins are in the training split, but none in the validation split")
    usual = pairs[0].usual(coefficients, deviation)
    network = start or design.initial(domain, len(deviation), plan.seed, relevance(usual))
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

    ``coefficients``: how many components the basis has, at most, where they leave less than ``left`` of the
    training spectra (rms of flux over all of them, at the finest resolution); ``batch``: spectra in a step of
    the training. With a ``process`` this is learned, in place of the network, its plan and batches.
    """

    coefficients: int
    network: CoefficientNetwork = field(default_factory=CoefficientNetwork)
    plan: Plan = field(default_factory=Plan)
    batch: int = 512
    share: float = 1e-3
    filling: tuple[float, float] | None = None
    process: ProcessPlan | None = None
    left: float = 0.0

    def __post_init__(self):
        recipes.at_least(1, coefficients=self.coefficients, batch=self.batch)
        recipes.at_least(0, share=self.share, left=self.left)
        if self.filling is not None:
            check_filling(np.array(self.filling))
            if len(self.filling) != 2 or not self.filling[0] < self.filling[1]:
                raise ConfigError(f"filling = {list(self.filling)}: expected its lowest and highest value")

    @classmethod
    def load(cls, name_or_path: str | PathLike = "default") -> "EmulatorRecipe":
        """The recipe in a TOML file, or the packaged one of this name; errors as in ``recipes.load``."""
        return recipes.load(cls, name_or_path, __package__)


def fit_emulator(
    stores: Sequence[Store],
    recipe: EmulatorRecipe,
    folder: str | PathLike | None = None,
    start: Sequence[Emulator] | None = None,
    workers: int = 1,
    what: tuple[Domain, Band] | None = None,
    **options: Any,
) -> tuple[tuple[Emulator, ...], tuple[Training, ...]]:
    """The emulators of stores, one for each chunk of their band, and their trainings.

    Basis and network come from the stores' training splits; stopping is judged on their validation splits;
    their test splits are not touched. Labels are those of the first store, ranges hold those of all;
    ``ConfigError`` where others differ in labels or band. ``what`` is learnt instead of all that they have:
    a domain and a part of their band, as ``database.store.common`` gives them. With ``start``, emulators of
    the same band, basis and labels are theirs, and their networks are trained on; ``ConfigError`` where
    stores or recipe do not fit to them. ``folder`` is for checkpoints; ``options`` go to ``training.train``.
    So many ``workers``, processes of this machine, each train one chunk after another.
    """
    domain, band = what or common(stores)
    if recipe.process is not None and (start is not None or folder is not None):
        raise ConfigError("a process is learned anew, in minutes: it takes neither a start nor checkpoints")
    if start is not None:
        _check_start(start, domain, finish_of(band).chunks, recipe)
    folders = [store.manifest.folder for store in stores]
    fit = partial(_fit_numbered, folders, domain, band, recipe, folder, start, options)
    fits = dict(processes(min(workers, len(band.chunks)))(fit, range(len(band.chunks))))
    return tuple(zip(*(fits[number] for number in sorted(fits)), strict=True))


def _fit_numbered(
    folders, domain: Domain, band: Band, recipe: EmulatorRecipe, folder, start, options, number: int
):
    """The number of a chunk, and what ``_fit_chunk`` makes of it: what every worker runs."""
    stores = [open_store(each) for each in folders]
    own = folder if folder is None or len(band.chunks) == 1 else Path(folder) / f"chunk-{number}"
    before, finish = None if start is None else start[number], finish_of(band).chunks[number]
    place = stores[0].band.chunks.index(band.chunks[number])
    return number, _fit_chunk(stores, domain, recipe, finish, place, before, folder=own, **options)


def _check_start(
    start: Sequence[Emulator], domain: Domain, finishes: Sequence[Finish], recipe: EmulatorRecipe
) -> None:
    """Refuse to train emulators on with stores of other labels or bands, or by a recipe of other networks."""
    own = start[0].domain
    names = [name for name in own.names if name != "filling"]
    if names != list(domain.names):
        raise ConfigError(
            f"labels of the model are {', '.join(names)}, of the stores {', '.join(domain.names)}"
        )
    low, high = (np.array(ends)[[own.index(name) for name in names]] for ends in (own.low, own.high))
    if np.any(domain.low < low) or np.any(domain.high > high):
        raise ConfigError(f"the stores have labels outside those of the model: {own}")
    grids = [(each.grid, each.finest_resolution) for each in finishes]
    if grids != [(each.finish.grid, each.finish.finest_resolution) for each in start]:
        raise ConfigError("band or finest resolution of the stores are not the model's")
    for network, basis in map(parted, start):
        hidden = [layer.outputs for layer in network.layers if layer.trained][:-1]
        count = len(basis.deviation)
        same = count == recipe.coefficients or (recipe.left > 0 and count < recipe.coefficients)
        if not same or tuple(hidden) != tuple(recipe.network.hidden):
            raise ConfigError(
                f"the model has {count} coefficients and hidden layers of {hidden}, "
                f"the recipe {recipe.coefficients} and {list(recipe.network.hidden)}"
            )


def _fit_chunk(
    stores,
    domain: Domain,
    recipe: EmulatorRecipe,
    finish: Finish,
    number: int,
    start: Emulator | None,
    **options,
):
    """Emulator of one chunk of the band, and its training."""
    if start is None:
        spectra = sum(len(store.splits["train"]) for store in stores)
        kept = _portions(stores, number, "train")
        network, basis = None, mode_basis(kept, recipe.coefficients, finish, spectra).leaving(recipe.left)
    else:
        network, basis = parted(start)
    first = np.cumsum([0] + [len(store.labels) for store in stores])
    rows = {
        split: np.concatenate(
            [store.splits[split] + start for store, start in zip(stores, first, strict=False)]
        )
        for split in ("train", "validation")
    }
    intrinsic = [domain.index(name) for name in domain.intrinsic.names]
    data = (
        domain.intrinsic,
        np.concatenate([store.labels[:, intrinsic] for store in stores]).astype(np.float32),
        whitened(_portions(stores, number), basis, finish).astype(np.float32),
        basis.deviation,
        rows["train"],
        rows["validation"],
    )
    if recipe.process is not None:
        fitted = fit_process(recipe.process, *data, progress=options.get("progress", False))
    else:
        twins = Twins.among(stores)
        own = recipe.plan, recipe.batch, twins, recipe.share
        fitted = fit_coefficients(recipe.network, *data, *own, start=network, **options)
    if start is not None:
        return trained_on(start, fitted.network), fitted
    return assembled(domain, fitted.network, basis, finish, recipe.filling), fitted


def _portions(
    stores: Sequence[Store], chunk: int, split: str | None = None, size: int = 1000
) -> Iterator[np.ndarray]:
    """Kept spectra in one chunk of the band, of a split of the stores or all of them, in order."""
    for store in stores:
        indices = np.arange(len(store.labels)) if split is None else store.splits[split]
        for start in range(0, len(indices), size):
            yield store.flux(indices[start : start + size], chunk)
