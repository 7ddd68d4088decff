"""The paper's networks trained: from arrays, and on a fixed set of broadened spectra as a recipe says.

Losses are taken in the scaled values that a network works with (labels in [-1, 1], latents of unit
variance), or in flux; what the trained networks give is in the labels' and latents' own units.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from starloom.database.batches import FixedSet
from starloom.labels import Domain
from starloom.networks.basis import Basis, principal_components
from starloom.networks.batches import Batches, RowBatches
from starloom.networks.emulation import fit_rows
from starloom.networks.forward import Network
from starloom.networks.scaling import standard
from starloom.networks.training import (
    Plan,
    Training,
    reconstruction_error,
    row_weighted_squared_error,
    train,
    weighted_distance,
    weighted_squared_error,
)
from starloom.paper.networks import Autoencoder, Estimator, LabelNetwork
from starloom.paper.recipe import PaperRecipe

PORTION = 1000  # spectra at once


def fit_autoencoder(
    design: Autoencoder,
    training: Batches,
    validation: Batches,
    plan: Plan,
    basis: Basis,
    **options: Any,
) -> Training:
    """Train table 2, without ``components``, on batches of ``(flux,)``, float32[spectrum, point].

    ``basis`` is that of the training spectra: where the network starts. Loss: mean squared flux error in
    units of its ``spread``^2, so that its gradients stay above Adam's epsilon.
    """
    network = design.initial(plan.seed, basis)

    def loss(predict, arrays):
        return reconstruction_error(predict, arrays) / basis.spread**2

    return train(network, loss, training, validation, plan, **options)


def fit_label_network(
    design: LabelNetwork,
    domain: Domain,
    labels: np.ndarray,
    latents: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    plan: Plan,
    size: int = 512,
    **options: Any,
) -> Training:
    """Train table 3 from ``labels[spectrum, label]``, those of ``domain``, to ``latents[spectrum, latent]``.

    ``training`` and ``validation`` are the rows to use. Loss: mean squared error of the latents in units of
    their variance over the training rows.
    """
    network = design.initial(domain, latents[training], plan.seed)
    weight = 1 / standard(latents[training])[1] ** 2 / latents.shape[1]
    loss = weighted_squared_error(weight.astype(np.float32))
    return fit_rows(network, loss, (labels, latents), (training, validation), plan, size, **options)


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
    trained = network.part(first, -1)
    fitted = fit_rows(trained, loss, arrays, (training, validation), plan, size, **options)
    layers, parameters = network.layers, network.parameters
    whole = Network(
        (*layers[:first], *fitted.network.layers, layers[-1]),
        (*parameters[:first], *fitted.network.parameters, parameters[-1]),
    )
    return replace(fitted, network=whole)


def fit_estimator(
    design: Estimator,
    domain: Domain,
    label: str,
    coefficients: np.ndarray,
    labels: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    plan: Plan,
    size: int = 512,
    **options: Any,
) -> Training:
    """Train table 4 for one label of a domain from standardised PCA ``coefficients[spectrum, 15]``.

    Loss: mean squared error of the label where its range is scaled to [-1, 1].
    """
    index = domain.index(label)
    scale = 2 / (domain.high[index] - domain.low[index] or np.inf)
    weight = np.full((len(labels), 1), scale**2, np.float32)
    arrays = coefficients, labels[:, index : index + 1], weight
    network = design.initial(domain, label, plan.seed)
    loss, rows = row_weighted_squared_error, (training, validation)
    return fit_rows(network, loss, arrays, rows, plan, size, **options)


def portions(spectra: FixedSet, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The flux of these rows, some at a time."""
    for start in range(0, len(rows), PORTION):
        yield spectra.flux(rows[start : start + PORTION])


def applied(function: Callable[[np.ndarray], np.ndarray], spectra: FixedSet) -> np.ndarray:
    """``function`` of the flux of all spectra, such as an encoder: its results in one array."""
    return np.concatenate([function(flux) for flux in portions(spectra, np.arange(len(spectra.labels)))])


def components(recipe: PaperRecipe, spectra: FixedSet) -> Basis:
    """Principal components of the training spectra: as many as the networks need that need the most."""
    rows = spectra.splits["train"]
    few = len(rows) < spectra.band.points.count
    return principal_components(portions(spectra, rows), recipe.components, few)


def autoencoder(
    recipe: PaperRecipe, spectra: FixedSet, basis: Basis, coefficients: np.ndarray | None, **options: Any
) -> Training:
    """Train table 2: on flux, or where it is between components on the ``coefficients`` of all spectra.

    ``options`` here and below go to ``training.train``.
    """
    design, plan = recipe.autoencoder, recipe.plans.autoencoder
    if design.components:
        rows = spectra.splits["train"], spectra.splits["validation"]
        known, kept = first(coefficients, design.components), basis.truncated(design.components)
        network, start = design.initial(plan.seed, kept), len(kept.encoder().layers)
        return fit_to_components(network, known, known, *rows, plan, kept, recipe.batch, start, **options)

    def read(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        return (spectra.flux(rows),)

    return fit_autoencoder(
        design,
        RowBatches(spectra.splits["train"], read, recipe.batch, plan.seed),
        RowBatches(spectra.splits["validation"], read, recipe.batch),
        plan,
        basis,
        **options,
    )


def label_network(recipe: PaperRecipe, spectra: FixedSet, latents: np.ndarray, **options: Any) -> Training:
    """Train table 3 on the latents of all spectra."""
    rows = spectra.splits["train"], spectra.splits["validation"]
    arrays = spectra.labels, latents
    design, plan = recipe.labels, recipe.plans.labels
    return fit_label_network(design, spectra.domain, *arrays, *rows, plan, recipe.batch, **options)


def joint(
    recipe: PaperRecipe,
    spectra: FixedSet,
    basis: Basis,
    coefficients: np.ndarray,
    network: Network,
    plan: Plan,
    **options: Any,
) -> Training:
    """Train the generator ``network``, decoder(NN(labels)), on from labels to flux.

    ``coefficients`` are those of all spectra in the ``basis``.
    """
    basis = basis.truncated(recipe.autoencoder.components)
    rows = spectra.splits["train"], spectra.splits["validation"]
    arrays = spectra.labels.astype(np.float32), first(coefficients, len(basis.deviation))
    return fit_to_components(network, *arrays, *rows, plan, basis, recipe.batch, **options)


def estimator(
    recipe: PaperRecipe, label: str, spectra: FixedSet, coefficients: np.ndarray, **options: Any
) -> Training:
    """Train table 4 for one label on the principal components' ``coefficients`` of all spectra."""
    rows = spectra.splits["train"], spectra.splits["validation"]
    arrays = coefficients, spectra.labels
    plan = recipe.plans.estimator
    known = recipe.estimator, spectra.domain, label
    return fit_estimator(*known, *arrays, *rows, plan, recipe.batch, **options)


def first(coefficients: np.ndarray, number: int) -> np.ndarray:
    """The first of the coefficients, in memory: batches are drawn from them at random."""
    return np.ascontiguousarray(coefficients[:, :number])
