"""The paper's networks trained on a fixed set of broadened spectra, as a recipe says."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from starloom.database.batches import FixedSet
from starloom.evaluation.reproduction.recipe import Recipe
from starloom.networks.basis import Basis, principal_components
from starloom.networks.batches import RowBatches
from starloom.networks.fitting import (
    fit_autoencoder,
    fit_estimator,
    fit_label_network,
    fit_to_components,
)
from starloom.networks.forward import Network
from starloom.networks.training import Plan, Training

PORTION = 1000  # spectra at once


def portions(spectra: FixedSet, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The flux of these rows, some at a time."""
    for start in range(0, len(rows), PORTION):
        yield spectra.flux(rows[start : start + PORTION])


def applied(function: Callable[[np.ndarray], np.ndarray], spectra: FixedSet) -> np.ndarray:
    """``function`` of the flux of all spectra, such as an encoder: its results in one array."""
    return np.concatenate([function(flux) for flux in portions(spectra, np.arange(len(spectra.labels)))])


def components(recipe: Recipe, spectra: FixedSet) -> Basis:
    """Principal components of the training spectra: as many as the networks need that need the most."""
    return principal_components(portions(spectra, spectra.splits["train"]), recipe.components)


def autoencoder(
    recipe: Recipe, spectra: FixedSet, basis: Basis, coefficients: np.ndarray | None, **options: Any
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


def label_network(recipe: Recipe, spectra: FixedSet, latents: np.ndarray, **options: Any) -> Training:
    """Train table 3 on the latents of all spectra."""
    rows = spectra.splits["train"], spectra.splits["validation"]
    arrays = spectra.labels, latents
    return fit_label_network(recipe.labels, *arrays, *rows, recipe.plans.labels, recipe.batch, **options)


def joint(
    recipe: Recipe,
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
    recipe: Recipe, label: str, spectra: FixedSet, coefficients: np.ndarray, **options: Any
) -> Training:
    """Train table 4 for one label on the principal components' ``coefficients`` of all spectra."""
    rows = spectra.splits["train"], spectra.splits["validation"]
    arrays = coefficients, spectra.labels
    plan = recipe.plans.estimator
    return fit_estimator(recipe.estimator, label, *arrays, *rows, plan, recipe.batch, **options)


def first(coefficients: np.ndarray, number: int) -> np.ndarray:
    """The first of the coefficients, in memory: batches are drawn from them at random."""
    return np.ascontiguousarray(coefficients[:, :number])
