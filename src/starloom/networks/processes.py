"""Gaussian processes in a learned space: for some thousand spectra of few labels.

A small network takes the labels into a space where the coefficients of spectra are stationary processes of
one covariance (deep kernels: Wilson et al. 2016, arXiv:1511.02222). Its weights are those of the highest
marginal likelihood (Rasmussen & Williams 2006, eq. 5.8, with the variance of each coefficient at its own
best) of subsets of the stars. The process is then known at all stars, and its mean (eq. 2.25) is a layer of a
network. What is learned is a shape of few numbers; the spectra themselves are only solved for.
"""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.linalg import cho_factor, cho_solve
from tqdm import tqdm

from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks.forward import Dense, Matern, Network, forward
from starloom.networks.history import Epoch
from starloom.networks.scaling import label_scaling
from starloom.networks.training import Training
from starloom.recipes import at_least

LARGEST = 8000  # stars: the matrix of their covariances is 0.5 GB, and each is a centre of the model
SPREAD = 0.3  # of stars in each dimension of the untrained space, in lengths of the covariance


@dataclass(frozen=True)
class ProcessPlan:
    """How the space of a process is learned.

    ``hidden``: sizes of the layers between labels and the ``dimensions`` of the space. ``noise``: variance
    that each star has of its own, as a fraction of the process': below it, rounding of float32 counts. Each
    of ``steps`` is taken on the likelihood of ``stars`` drawn at random and the first ``coefficients`` of
    their spectra; the ``learning_rate`` (Adam) falls to zero as a cosine. ``seed``: of all that is drawn.
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    dimensions: int = 12
    noise: float = 3e-5
    steps: int = 600
    stars: int = 600
    coefficients: int = 40
    learning_rate: float = 0.02
    seed: int = 1

    def __post_init__(self):
        at_least(1, **{"one of hidden": min(self.hidden, default=0)})
        at_least(1, dimensions=self.dimensions, steps=self.steps, coefficients=self.coefficients)
        at_least(2, stars=self.stars)
        at_least(0, seed=self.seed)
        for name in ("noise", "learning_rate"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)} is outside ]0, 1[")


def fit_process(
    plan: ProcessPlan,
    domain: Domain,
    labels: np.ndarray,
    coefficients: np.ndarray,
    deviation: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    progress: bool = False,
) -> Training:
    """Learn the space from the ``training`` rows of labels and whitened coefficients, and solve for these.

    ``deviation[coefficient]`` is what one unit of each is in flux. The one row of the learning curve has the
    mean over spectra of the rms error of flux: of training stars each left out of the solution (Rasmussen &
    Williams 2006, eq. 5.12), and of the ``validation`` rows. ``ConfigError`` for more than ``LARGEST`` stars.

    ``labels[row, label]`` of an intrinsic ``domain``; ``progress`` shows a bar.
    """
    if not 2 <= len(training) <= LARGEST:
        raise ConfigError(f"{len(training)} training stars: a process takes 2 to {LARGEST}")
    started = time.monotonic()
    values = coefficients[training].astype(float)
    space = learned_space(plan, domain, labels[training], values, progress)
    network, left_out = conditioned(space, labels[training], values, plan.noise)
    found = network(labels[validation])
    losses = [_rms(missed, deviation) for missed in (left_out, found - coefficients[validation])]
    seconds, samples = time.monotonic() - started, plan.steps * min(plan.stars, len(training))
    row = Epoch(0, *losses, plan.learning_rate, seconds, samples / seconds)
    return Training(network, (row,), 0, losses[1])


def _rms(missed: np.ndarray, deviation: np.ndarray) -> float:
    """Mean over spectra of the rms error of flux; not a number where there are none."""
    each = np.sqrt(missed.astype(float) ** 2 @ deviation.astype(float) ** 2)
    return float(each.mean()) if len(each) else float("nan")


def learned_space(
    plan: ProcessPlan, domain: Domain, labels: np.ndarray, values: np.ndarray, progress: bool = False
) -> Network:
    """The network from labels to the space in which ``values[star, coefficient]`` are most probable.

    ``plan``, ``domain`` and ``labels[star, label]`` are as of ``fit_process``; ``progress`` shows a bar.
    """
    entry = label_scaling(domain, "teff" in domain.names)
    inputs, watched = entry(labels), values[:, : plan.coefficients]
    untrained, random = _untrained(plan, inputs), np.random.default_rng([plan.seed, 1])
    optimiser = optax.adam(optax.cosine_decay_schedule(plan.learning_rate, plan.steps))
    with jax.enable_x64(True):
        step = _step(untrained.layers, optimiser, plan.noise)
        parameters = jax.tree.map(lambda array: jnp.asarray(array, float), untrained.parameters)
        state = optimiser.init(parameters)
        for _ in tqdm(range(plan.steps), unit=" steps", disable=not progress):
            drawn = random.choice(len(inputs), min(plan.stars, len(inputs)), replace=False)
            parameters, state = step(parameters, state, inputs[drawn], watched[drawn])
        trained = Network(untrained.layers, parameters).with_precision(np.float32)
    return entry.then(trained)


def conditioned(
    space: Network, labels: np.ndarray, values: np.ndarray, noise: float
) -> tuple[Network, np.ndarray]:
    """The process of a ``space`` given ``values[star, coefficient]``, and by how much each star is missed.

    The latter by what all the others say of it: ``[star, coefficient]``.

    ``labels[star, label]``; ``noise`` is as of ``ProcessPlan``.
    """
    centre = space(labels)
    exact = centre.astype(float)
    covariance = Matern.covariance(exact, exact, np)
    covariance[np.diag_indices_from(covariance)] += noise
    mean = values.mean(axis=0)
    inverse = cho_solve(cho_factor(covariance), np.eye(len(exact)))
    weight = inverse @ (values - mean)
    arrays = {"centre": centre, "weight": weight.astype(np.float32), "bias": mean.astype(np.float32)}
    layer = Matern(centre.shape[1], len(centre), values.shape[1])
    return space.then(Network((layer,), (arrays,))), -weight / np.diag(inverse)[:, None]


def _untrained(plan: ProcessPlan, inputs: np.ndarray) -> Network:
    """Layers from scaled labels to the space: the first linear, those between residual."""
    between = (Dense(n, m, "tanh", residual=n == m) for n, m in pairwise(plan.hidden))
    first, last = Dense(inputs.shape[1], plan.hidden[0]), Dense(plan.hidden[-1], plan.dimensions)
    layers = (first, *between, last)
    network = Network.initial(layers, plan.seed)
    spread = network(inputs).std(axis=0).mean()
    *others, end = network.parameters
    return Network(layers, (*others, {**end, "weight": end["weight"] * (SPREAD / spread)}))


def _step(layers: tuple, optimiser: optax.GradientTransformation, noise: float) -> Any:
    """One step of the optimiser, compiled."""

    def improbable(parameters, inputs, values):
        place = forward(layers, parameters, inputs)
        covariance = Matern.covariance(place, place, jnp) + noise * jnp.eye(len(place))
        factor = jnp.linalg.cholesky(covariance)
        white = jax.scipy.linalg.solve_triangular(factor, values - values.mean(axis=0), lower=True)
        # a coefficient's own variance at its best is the mean of white^2
        return 0.5 * jnp.log((white**2).mean(axis=0)).mean() + jnp.log(jnp.diag(factor)).mean()

    @jax.jit
    def step(parameters, state, inputs, values):
        change, state = optimiser.update(jax.grad(improbable)(parameters, inputs, values), state)
        return optax.apply_updates(parameters, change), state

    return step
