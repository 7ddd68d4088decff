"""The fits: an untrained network, its loss and its batches, given to the one trainer.

Losses are taken in the scaled values that a network works with (labels in [-1, 1], latents of unit
variance), or in flux; what the fitted networks give is in the labels' and latents' own units.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from starloom.labels import DOMAIN, NAMES
from starloom.networks.batches import Batches, array_batches
from starloom.networks.emulator import CoefficientNetwork
from starloom.networks.paper import Autoencoder, Estimator, LabelNetwork, standard
from starloom.networks.training import (
    Plan,
    Training,
    reconstruction_error,
    train,
    weighted_squared_error,
)

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
    mean: np.ndarray | None = None,
    spread: float = 1.0,
    **options: Any,
) -> Training:
    """Train table 2 on batches of ``(flux,)``, float32[spectrum, 4000]; loss: mean squared flux error.

    ``mean[point]`` and ``spread`` (one number) of the training spectra are where the network starts.
    """
    network = design.initial(plan.seed, mean, spread)
    return train(network, reconstruction_error, training, validation, plan, **options)


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
    return _fit(network, weight, (labels, latents), training, validation, plan, size, options)


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
    weight = np.array([(2 / (DOMAIN.high[index] - DOMAIN.low[index])) ** 2])
    arrays = coefficients, labels[:, index : index + 1]
    network = design.initial(label, plan.seed)
    return _fit(network, weight, arrays, training, validation, plan, size, options)


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
    range), so the loss is the mean squared flux error of the spectrum, before rotation and instrument.
    """
    network = design.initial(len(deviation), plan.seed)
    return _fit(network, deviation**2, (labels, coefficients), training, validation, plan, size, options)


def _fit(network, weight, arrays, training, validation, plan, size, options: Options) -> Training:
    return train(
        network,
        weighted_squared_error(np.asarray(weight, np.float32)),
        array_batches(arrays, training, size, plan.seed),
        array_batches(arrays, validation, size),
        plan,
        **options,
    )
