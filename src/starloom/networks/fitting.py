"""The fits: an untrained network, its loss and its batches, given to the one trainer.

Losses are taken in the scaled values that a network works with (labels in [-1, 1], latents of unit
variance), or in flux; what the fitted networks give is in the labels' and latents' own units.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from starloom.database.store import Store
from starloom.errors import ConfigError
from starloom.files import parsing
from starloom.labels import DOMAIN, NAMES
from starloom.networks.basis import Basis
from starloom.networks.batches import Batches, array_batches
from starloom.networks.configuration import configured
from starloom.networks.emulator import INTRINSIC, CoefficientNetwork, Emulator, assembled, encode, mode_basis
from starloom.networks.forward import Network
from starloom.networks.paper import Autoencoder, Estimator, LabelNetwork, standard
from starloom.networks.training import (
    Loss,
    Plan,
    Training,
    reconstruction_error,
    train,
    weighted_distance,
    weighted_squared_error,
)

DEFAULT_RECIPE = Path(__file__).with_name("recipes") / "default.toml"
Options = Mapping[str, Any]  # folder, device, progress, report: passed on to ``training.train``

PAPER_PLANS = {
    "autoencoder": Plan(epochs=200, patience=15, optimiser="adam"),
    "labels": Plan(epochs=200, patience=15, optimiser="adamax"),
    "estimator": Plan(epochs=200, patience=15, optimiser="adamax"),
}


def fit_autoencoder(
    design: Autoencoder,
    training: Batches,
    validation: Batches,
    plan: Plan,
    basis: Basis,
    **options: Any,
) -> Training:
    """Train table 2, without ``components``, on batches of ``(flux,)``, float32[spectrum, 4000].

    ``basis`` is that of the training spectra: where the network starts. Loss: mean squared flux error in
    units of its ``spread``^2, so that its gradients stay above Adam's epsilon.
    """
    network = design.initial(plan.seed, basis)

    def loss(predict, arrays):
        return reconstruction_error(predict, arrays) / basis.spread**2

    return train(network, loss, training, validation, plan, **options)


def fit_label_network(
    design: LabelNetwork,
    labels: np.ndarray,
    latents: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    plan: Plan,
    size: int = 512,
    **options: Any,
) -> Training:
    """Train table 3 from ``labels[spectrum, 6]`` to ``latents[spectrum, latent]``.

    ``training`` and ``validation`` are the rows to use. Loss: mean squared error of the latents in units of
    their variance over the training rows.
    """
    network = design.initial(latents[training], plan.seed)
    weight = 1 / standard(latents[training])[1] ** 2 / latents.shape[1]
    loss = weighted_squared_error(weight.astype(np.float32))
    return _fit(network, loss, (labels, latents), training, validation, plan, size, options)


def fit_to_components(
    network: Network,
    inputs: np.ndarray,
    coefficients: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    plan: Plan,
    basis: Basis,
    size: int = 512,
    first: int = 0,
    **options: Any,
) -> Training:
    """Train a network whose last layer is the fixed components of ``basis``, from its layer ``first`` on.

    ``inputs[spectrum, ...]`` are those of layer ``first``: the coefficients themselves for an autoencoder
    between components, labels for decoder(NN(labels)). ``coefficients[spectrum, component]`` have unit
    variance over the training rows. Loss: root mean square flux error of a spectrum in units of the basis'
    ``spread``, without what its components leave out; the mean over spectra.
    """
    weight = basis.deviation**2 / len(basis.mean) / basis.spread**2
    loss, arrays = weighted_distance(weight.astype(np.float32)), (inputs, coefficients)
    fitted = _fit(network.part(first, -1), loss, arrays, training, validation, plan, size, options)
    layers, parameters = network.layers, network.parameters
    whole = Network(
        (*layers[:first], *fitted.network.layers, layers[-1]),
        (*parameters[:first], *fitted.network.parameters, parameters[-1]),
    )
    return replace(fitted, network=whole)


def fit_estimator(
    design: Estimator,
    label: str,
    coefficients: np.ndarray,
    labels: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    plan: Plan,
    size: int = 512,
    **options: Any,
) -> Training:
    """Train table 4 for one label from standardised PCA ``coefficients[spectrum, 15]``.

    Loss: mean squared error of the label where its range is scaled to [-1, 1].
    """
    index = NAMES.index(label)
    loss = weighted_squared_error(np.float32([(2 / (DOMAIN.high[index] - DOMAIN.low[index])) ** 2]))
    arrays = coefficients, labels[:, index : index + 1]
    network = design.initial(label, plan.seed)
    return _fit(network, loss, arrays, training, validation, plan, size, options)


def fit_coefficients(
    design: CoefficientNetwork,
    labels: np.ndarray,
    coefficients: np.ndarray,
    deviation: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    plan: Plan,
    size: int = 512,
    **options: Any,
) -> Training:
    """Train an emulator's network from intrinsic ``labels[spectrum, 4]`` to whitened ``coefficients``.

    ``deviation[coefficient]`` is what one unit of each coefficient is in flux (root mean square over the
    range), so the loss is the root mean square flux error of a spectrum, before rotation and instrument; the
    mean over spectra.
    """
    network = design.initial(len(deviation), plan.seed)
    loss = weighted_distance(deviation.astype(np.float32) ** 2)
    return _fit(network, loss, (labels, coefficients), training, validation, plan, size, options)


def _fit(
    network: Network, loss: Loss, arrays, training, validation, plan: Plan, size: int, options: Options
) -> Training:
    """Train on the rows ``training`` of ``arrays``, watching the rows ``validation``."""
    batches = array_batches(arrays, training, size, plan.seed), array_batches(arrays, validation, size)
    return train(network, loss, *batches, plan, **options)


@dataclass(frozen=True)
class EmulatorRecipe:
    """How an emulator is made from a store: the size of its basis, its network and how that is trained."""

    coefficients: int
    network: CoefficientNetwork
    plan: Plan
    batch: int = 512

    @classmethod
    def read(cls, path: str | PathLike) -> "EmulatorRecipe":
        """The recipe in a TOML file; ``ParseError`` or ``ConfigError`` where it is none."""
        with parsing(path, tomllib.TOMLDecodeError, UnicodeDecodeError), open(path, "rb") as stream:
            values = tomllib.load(stream)
        network = configured(CoefficientNetwork, values.pop("network", {}), "network")
        plan = configured(Plan, values.pop("plan", {}), "plan")
        if unknown := sorted(set(values) - {"coefficients", "batch"}):
            raise ConfigError(f"{path}: unknown {', '.join(unknown)}; known are coefficients, batch")
        return cls(int(values["coefficients"]), network, plan, int(values.get("batch", 512)))


def fit_emulator(
    stores: Sequence[Store], recipe: EmulatorRecipe, **options: Any
) -> tuple[Emulator, Training]:
    """The emulator of the intrinsic spectra of stores: basis and network from their training splits.

    Stopping is judged on their validation splits; their test splits are not touched.  ``options`` go to
    ``training.train``: a folder for checkpoints, progress.
    """
    basis = mode_basis(_portions(stores, "train"), recipe.coefficients)
    first = np.cumsum([0] + [len(store.labels) for store in stores])
    rows = {
        split: np.concatenate(
            [store.splits[split] + start for store, start in zip(stores, first, strict=False)]
        )
        for split in ("train", "validation")
    }
    fitted = fit_coefficients(
        recipe.network,
        np.concatenate([store.labels[:, INTRINSIC] for store in stores]).astype(np.float32),
        encode(_portions(stores), basis).astype(np.float32),
        basis.deviation,
        rows["train"],
        rows["validation"],
        recipe.plan,
        recipe.batch,
        **options,
    )
    return assembled(fitted.network, basis), fitted


def _portions(stores: Sequence[Store], split: str | None = None, size: int = 1000) -> Iterator[np.ndarray]:
    """Kept spectra of a split of the stores, or all of them, in order."""
    for store in stores:
        indices = np.arange(len(store.labels)) if split is None else store.splits[split]
        for start in range(0, len(indices), size):
            yield store.flux(indices[start : start + size])
