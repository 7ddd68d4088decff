"""The trainer, one for all networks: gradient steps, early stopping, checkpoints, learning curves.

This is the only module of the networks that needs JAX. What is drawn at random (the order of the batches,
dropout) is drawn from ``[seed, epoch, step]``, so a training that was interrupted and goes on from its
checkpoint ends with the same bits as one that was not.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from math import cos, inf, isfinite, pi
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from starloom.arrays import one_line
from starloom.errors import ConfigError, ConvergenceError, StoreError
from starloom.files import parsing, replacing
from starloom.interruption import outlook
from starloom.locks import locked
from starloom.networks.batches import Batch, Batches
from starloom.networks.forward import Network, forward
from starloom.networks.history import Epoch, write_history
from starloom.networks.identity import identity
from starloom.recipes import at_least, one_of

Predict = Callable[[Any], Any]
Loss = Callable[[Predict, tuple[Any, ...]], Any]


def _muon() -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for hidden matrices, Adam for all else; scaled as in Liu et al. (2025).

    The momentum of a matrix is replaced by the nearest orthogonal one (five Newton-Schulz steps), times 0.2
    sqrt(largest side), arXiv:2502.16982, eq. 4: the size of Adam's steps.
    """

    def hidden(parameters: Any) -> Any:
        matrix = optax.contrib.MuonDimensionNumbers()
        return jax.tree.map(
            lambda p: matrix if p.ndim == 2 and p.shape[0] == p.shape[1] else None, parameters
        )

    # -1: the trainer takes off what an optimiser gives, times the rate. With Adam's usual memory, 1000 steps,
    # the loss jumps a thousandfold at the rates that suit Muon
    return optax.contrib.muon(-1.0, consistent_rms=0.2, adam_b2=0.99, muon_weight_dimension_numbers=hidden)


# Keras' numerical constant, 1e-7, because the paper used Keras; optax has 1e-8
OPTIMISERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": partial(optax.scale_by_adam, eps=1e-7),  # Kingma & Ba (2014), arXiv:1412.6980, algorithm 1
    "adamax": partial(optax.scale_by_adamax, eps=1e-7),  # the same, algorithm 2
    "sgd": optax.identity,
    "muon": _muon,
}
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": lambda done, final: 1.0,
    "cosine": lambda done, final: final + (1 - final) * 0.5 * (1 + cos(pi * done)),
    "exponential": lambda done, final: final**done,
}


@dataclass(frozen=True)
class Plan:
    """How to train. The learning rate rises linearly over ``warmup`` epochs and then follows ``schedule``.

    ``schedule``: ``constant``, or ``cosine`` or ``exponential`` from ``learning_rate`` down to
    ``final_fraction`` of it at the last of ``epochs``. ``patience``: epochs without a lower loss after
    which training stops. ``weight_decay``: decoupled, Loshchilov & Hutter (2017), arXiv:1711.05101.

    ``optimiser``: "adam" or "muon"; ``checkpoint_minutes``: between two checkpoints.
    """

    epochs: int = 200
    patience: int = 15
    optimiser: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup: float = 0.0
    final_fraction: float = 0.01
    weight_decay: float = 0.0
    seed: int = 0
    checkpoint_minutes: float = 10.0

    def __post_init__(self):
        one_of(OPTIMISERS, optimiser=self.optimiser)
        one_of(SCHEDULES, schedule=self.schedule)
        at_least(1, epochs=self.epochs, patience=self.patience)
        at_least(0, warmup=self.warmup, weight_decay=self.weight_decay, seed=self.seed)
        at_least(0, checkpoint_minutes=self.checkpoint_minutes)
        if not (self.learning_rate > 0 and 0 < self.final_fraction <= 1):
            raise ConfigError(
                f"learning_rate = {self.learning_rate} must be above 0, "
                f"final_fraction = {self.final_fraction} in ]0, 1]"
            )

    def rate(self, epoch: float) -> float:
        """Learning rate at a fractional number of epochs."""
        if epoch < self.warmup:
            return self.learning_rate * (epoch + 1e-3) / (self.warmup + 1e-3)
        done = min(1.0, (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9))
        return self.learning_rate * SCHEDULES[self.schedule](done, self.final_fraction)


@dataclass(frozen=True, eq=False)
class Training:
    """What a training gave: the network of its best epoch, and the learning curve.

    ``history`` has an ``Epoch`` for each; ``best_epoch`` is the one with the lowest validation loss,
    ``best_loss``.
    """

    network: Network
    history: tuple[Epoch, ...]
    best_epoch: int
    best_loss: float

    __repr__ = one_line


def mean_squared_error(predict: Predict, arrays: tuple[Any, ...]) -> Any:
    """Mean of (prediction - target)^2 over a batch of inputs and targets.

    ``predict(inputs)`` is the network, ``arrays`` the batch.
    """
    inputs, targets = arrays
    return jnp.mean((predict(inputs) - targets) ** 2)


def reconstruction_error(predict: Predict, arrays: tuple[Any, ...]) -> Any:
    """Mean of (prediction - input)^2: what an autoencoder makes small.

    ``predict(inputs)`` is the network, ``arrays`` the batch.
    """
    (inputs,) = arrays
    return jnp.mean((predict(inputs) - inputs) ** 2)


def weighted_squared_error(weight: np.ndarray) -> Loss:
    """Sum over components of ``weight`` (prediction - target)^2, averaged over the batch."""

    def loss(predict: Predict, arrays: tuple[Any, ...]) -> Any:
        inputs, targets = arrays
        return jnp.mean(jnp.sum(weight * (predict(inputs) - targets) ** 2, axis=-1))

    return loss


def row_weighted_squared_error(predict: Predict, arrays: tuple[Any, ...]) -> Any:
    """The same with the weights as a third of the ``arrays``: one program whatever they are.

    ``predict`` is the network.
    """
    inputs, targets, weight = arrays
    return jnp.mean(jnp.sum(weight * (predict(inputs) - targets) ** 2, axis=-1))


def weighted_distance(weight: np.ndarray) -> Loss:
    """Root of the sum over components of ``weight`` (prediction - target)^2, averaged over the batch.

    So the worst of the batch do not drown the others, as they do in a mean of squares. A floor under the
    root, 1e-8 of the largest weight, keeps its slope finite where prediction and target agree.
    """
    floor = 1e-8 * weight.max()

    def loss(predict: Predict, arrays: tuple[Any, ...]) -> Any:
        inputs, targets = arrays
        return jnp.mean(jnp.sqrt(jnp.sum(weight * (predict(inputs) - targets) ** 2, axis=-1) + floor))

    return loss


def distance_with_twins(weight: np.ndarray, share: float) -> Loss:
    """``weighted_distance``, plus ``share`` times that of differences between stars and their twins.

    A difference is counted in units of what is usual for the element in which the twins differ: those of weak
    lines, which the distance alone is blind to, count like those of strong ones.

    ``weight[component]``: of each squared difference.
    """
    distance, floor = weighted_distance(weight), 1e-10 * weight.max()

    def loss(predict: Predict, arrays: tuple[Any, ...]) -> Any:
        inputs, targets, stars, twins, differences, usual = arrays
        # one pass through the network for all
        count, each = inputs.shape[0], stars.shape[0]
        found = predict(jnp.concatenate([inputs, stars, twins]))
        off = found[count + each :] - found[count : count + each] - differences
        relative = jnp.sqrt(jnp.sum(weight * off**2, axis=-1) + floor) / usual
        return distance(lambda _: found[:count], (inputs, targets)) + share * jnp.mean(relative)

    return loss


def train(
    network: Network,
    loss: Loss,
    training: Batches,
    validation: Batches | None,
    plan: Plan,
    folder: str | Path | None = None,
    *,
    device: str | None = None,
    progress: bool = False,
    report: Callable[[Epoch], None] | None = None,
) -> Training:
    """Make ``loss`` small over the ``training`` batches, from ``network`` on; the best epoch's network.

    The loss that is watched is that of ``validation`` (without dropout), or of training where there is
    none. In ``folder`` go ``checkpoint`` (after each epoch and every ``plan.checkpoint_minutes``), from
    which a later call goes on, and ``history.csv``. ``device`` is ``cpu`` or ``gpu`` (default: JAX's own
    choice); ``progress`` shows a bar; ``report`` is called with each row of the learning curve.

    Raises ``ConvergenceError`` naming the batch where the loss is not finite, ``StoreError`` where another
    process trains in ``folder`` and where the checkpoint in it is of another training (see ``identity``).

    ConfigError where there is nothing to train on.
    """
    if len(training) == 0:
        raise ConfigError("no batches to train on")
    checkpoint = None if folder is None else Path(folder) / "checkpoint"
    with _on(device), _of_one(checkpoint):
        trainer = _Trainer(network, loss, training, validation, plan)
        state = trainer.initial_state()
        if checkpoint is not None and checkpoint.exists():
            state = trainer.restore(checkpoint, state)
        with tqdm(total=plan.epochs * len(training), unit=" batches", disable=not progress) as bar:
            while not state.finished(plan):
                state = trainer.run_epoch(state, checkpoint, bar)
                if checkpoint is not None:
                    trainer.save(checkpoint, state)
                    write_history(checkpoint.with_name("history.csv"), state.history)
                if report is not None:
                    report(state.history[-1])
        return trainer.result(state)


@dataclass(frozen=True, eq=False)
class _State:
    """Everything that a training is at a moment: arrays, and what of the current epoch is done."""

    trained: Any
    moments: Any
    best: Any
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    samples: int = 0
    seconds: float = 0.0
    best_loss: float = inf
    best_epoch: int = -1
    history: tuple[Epoch, ...] = field(default=())

    def finished(self, plan: Plan) -> bool:
        return self.epoch >= plan.epochs or self.epoch - 1 - self.best_epoch >= plan.patience > 0

    @property
    def numbers(self) -> dict[str, Any]:
        """All but the arrays, as plain data."""
        names = ("epoch", "step", "loss_sum", "samples", "seconds", "best_loss", "best_epoch")
        values = {name: getattr(self, name) for name in names}
        return {**values, "history": [asdict(row) for row in self.history]}

    @property
    def arrays(self) -> dict[str, Any]:
        return {"trained": self.trained, "moments": self.moments, "best": self.best}


class _Trainer:
    """The compiled step and the loop around it."""

    def __init__(
        self, network: Network, loss: Loss, training: Batches, validation: Batches | None, plan: Plan
    ):
        self.network, self.loss, self.plan = network, loss, plan
        self.training, self.validation = training, validation
        layers = network.layers
        chain = [OPTIMISERS[plan.optimiser]()]
        if plan.weight_decay > 0:
            chain.append(optax.add_decayed_weights(plan.weight_decay))
        self.optimiser = optax.chain(*chain)
        self.fixed = _chosen(network, trained=False)
        self.key = jax.random.key(plan.seed)

        def objective(trained, fixed, arrays, drop):
            parameters = [{**a, **b} for a, b in zip(trained, fixed, strict=True)]
            return loss(lambda x: forward(layers, parameters, x, drop), arrays)

        # the old weights and moments are not needed again: their memory is used for the new ones
        @partial(jax.jit, donate_argnums=(0, 1))
        def step(trained, moments, fixed, arrays, rate, key):
            value, gradient = jax.value_and_grad(objective)(trained, fixed, arrays, _dropout(key))
            change, moments = self.optimiser.update(gradient, moments, trained)
            return jax.tree.map(lambda p, c: p - rate * c, trained, change), moments, value

        self.step = step
        self.evaluate = jax.jit(lambda trained, fixed, arrays: objective(trained, fixed, arrays, None))

    def initial_state(self) -> _State:
        trained = _chosen(self.network, trained=True)
        return _State(trained, self.optimiser.init(trained), _copied(trained))

    def run_epoch(self, state: _State, checkpoint: Path | None, bar: tqdm) -> _State:
        """The rest of an epoch, its validation, and the judgement whether it was the best."""
        saved = started = time.monotonic()
        before = state.seconds
        pending: tuple[Batch, Any] | None = None
        bar.n = state.epoch * len(self.training) + state.step
        for batch in self._remaining(state):
            rate = self.plan.rate(state.epoch + state.step / len(self.training))
            key = jax.random.fold_in(jax.random.fold_in(self.key, state.epoch), state.step)
            trained, moments, value = self.step(
                state.trained, state.moments, self.fixed, _on_device(batch), np.float32(rate), key
            )
            # the loss of the step before is looked at only now, so that reading and computing overlap
            state = _counted(state, pending)
            pending = batch, value
            state = replace(state, trained=trained, moments=moments, step=state.step + 1)
            bar.update()
            now = time.monotonic()
            if checkpoint is not None and now - saved >= 60 * self.plan.checkpoint_minutes:
                state, pending, saved = _counted(state, pending), None, now
                self.save(checkpoint, replace(state, seconds=before + now - started))
        state = _counted(state, pending)
        state = replace(state, seconds=before + time.monotonic() - started)
        state = self._judged(state)
        last = state.history[-1]
        bar.set_postfix(epoch=last.epoch, loss=last.training_loss, validation=last.validation_loss)
        return state

    def _remaining(self, state: _State) -> Iterator[Batch]:
        """The batches of the epoch that are not done yet."""
        for index, batch in enumerate(self.training.epoch(state.epoch)):
            if index >= state.step:
                yield batch

    def _judged(self, state: _State) -> _State:
        """The state after an epoch: a row more in the history, and the best weights so far."""
        training_loss = state.loss_sum / state.samples
        validation_loss = self._validation_loss(state)
        watched = training_loss if self.validation is None else validation_loss
        rate = self.plan.rate(state.epoch + 1)
        speed = state.samples / max(state.seconds, 1e-9)
        row = Epoch(state.epoch, training_loss, validation_loss, rate, state.seconds, speed)
        if watched < state.best_loss:
            state = replace(state, best=_copied(state.trained), best_loss=watched, best_epoch=state.epoch)
        history = (*state.history, row)
        return replace(
            state, epoch=state.epoch + 1, step=0, loss_sum=0.0, samples=0, seconds=0.0, history=history
        )

    def _validation_loss(self, state: _State) -> float:
        if self.validation is None:
            return float("nan")
        total, count = 0.0, 0
        for number, batch in enumerate(self.validation.epoch(0)):
            value = float(self.evaluate(state.trained, self.fixed, _on_device(batch)))
            _require_finite(value, batch, f"validation after epoch {state.epoch}, batch {number}")
            total, count = total + value * len(batch.indices), count + len(batch.indices)
        return total / count

    @cached_property
    def identity(self) -> dict[str, str]:
        """What must agree for a checkpoint to be continued: everything that the result depends on."""
        return identity(self.network, self.loss, self.training, self.validation, self.plan)

    def save(self, path: Path, state: _State) -> None:
        """Write a checkpoint, whole or not at all: a line of JSON, then the arrays."""
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            stream.write(json.dumps({"identity": self.identity, **state.numbers}).encode() + b"\n")
            eqx.tree_serialise_leaves(stream, state.arrays)

    def restore(self, path: Path, like: _State) -> _State:
        """The state in a checkpoint; ``StoreError`` where it is another training's, ``ParseError`` if bad."""
        with (
            parsing(path, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError),
            open(path, "rb") as stream,
        ):
            numbers = json.loads(stream.readline())
            if fault := self._difference(numbers):
                raise StoreError(f"{path}: {fault}: give another folder, or move this one away to begin anew")
            del numbers["identity"]
            arrays = eqx.tree_deserialise_leaves(stream, like.arrays)
            history = tuple(Epoch(**row) for row in numbers.pop("history"))
            return _State(**arrays, **numbers, history=history)

    def _difference(self, numbers: dict[str, Any]) -> str:
        """Why a checkpoint cannot be continued, empty where it can."""
        if "identity" not in numbers and "digest" in numbers:
            return "checkpoint of an older version, which does not say of which data and loss it is"
        other = [name for name, digest in self.identity.items() if numbers["identity"].get(name) != digest]
        return f"checkpoint of another training (another {', another '.join(other)})" if other else ""

    def result(self, state: _State) -> Training:
        best = [{k: np.asarray(v) for k, v in parameters.items()} for parameters in state.best]
        parameters = tuple({**old, **new} for old, new in zip(self.network.parameters, best, strict=True))
        network = Network(self.network.layers, parameters)
        return Training(network, state.history, state.best_epoch, state.best_loss)


@contextmanager
def _of_one(checkpoint: Path | None) -> Iterator[None]:
    """Keep other processes from the folder of the checkpoint, if there is one."""
    if checkpoint is None:
        yield
        return
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with locked(checkpoint.parent), outlook(lambda: "the same command goes on from the last checkpoint"):
        yield


@contextmanager
def _on(device: str | None) -> Iterator[None]:
    """Run on a device, with matrix products in full float32 (a GPU would otherwise round them to 10 bits)."""
    with ExitStack() as stack:
        stack.enter_context(jax.default_matmul_precision("float32"))
        if device is not None:
            try:
                stack.enter_context(jax.default_device(jax.devices(device)[0]))
            except RuntimeError as error:
                raise ConfigError(f"device = {device!r}: {str(error).splitlines()[0]}") from error
        yield


def _chosen(network: Network, trained: bool) -> list[dict[str, jax.Array]]:
    """The trained, or the fixed, parameters of each layer, as JAX arrays of their own."""
    return [
        {name: jnp.array(array, jnp.float32) for name, array in parameters.items()}
        if layer.trained is trained
        else {}
        for layer, parameters in zip(network.layers, network.parameters, strict=True)
    ]


def _copied(tree: Any) -> Any:
    """NumPy copies: a view would be overwritten when its buffer is used for the next step."""
    return jax.tree.map(lambda array: np.array(array, copy=True), tree)


def _dropout(key: jax.Array) -> Callable[[Any, float, int], Any]:
    """Inverted dropout, Srivastava et al. (2014), JMLR 15, 1929: what is kept grows by 1 / (1 - rate)."""

    def drop(x: Any, rate: float, index: int) -> Any:
        kept = jax.random.bernoulli(jax.random.fold_in(key, index), 1 - rate, x.shape)
        return jnp.where(kept, x / (1 - rate), 0)

    return drop


def _on_device(batch: Batch) -> tuple[Any, ...]:
    return tuple(jnp.asarray(array, jnp.float32) for array in batch.arrays)


def _counted(state: _State, pending: tuple[Batch, Any] | None) -> _State:
    """The state with the loss of the last step added to the epoch's mean."""
    if pending is None:
        return state
    batch, value = pending[0], float(pending[1])
    _require_finite(value, batch, f"epoch {state.epoch}, batch {state.step - 1}")
    rows = len(batch.indices)
    return replace(state, loss_sum=state.loss_sum + value * rows, samples=state.samples + rows)


def _require_finite(value: float, batch: Batch, where: str) -> None:
    if isfinite(value):
        return
    wrong = np.zeros(len(batch.indices), bool)
    for array in batch.arrays:
        wrong |= ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    rows = batch.indices[wrong] if wrong.any() else batch.indices
    names = ", ".join(str(row) for row in rows[:8]) + (", ..." if len(rows) > 8 else "")
    reason = "whose data are not finite" if wrong.any() else "whose data are finite: the step was too large"
    raise ConvergenceError(f"loss = {value} in {where}: rows {names}, {reason}")
