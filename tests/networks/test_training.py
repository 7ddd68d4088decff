import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from starloom.errors import ConfigError, ConvergenceError, ParseError, StoreError
from starloom.networks.batches import Batch, array_batches, mapped, split
from starloom.networks.forward import Network, affine, dense_layers, linear
from starloom.networks.history import Epoch, read_history, write_history
from starloom.networks.training import (
    Plan,
    mean_squared_error,
    reconstruction_error,
    train,
    weighted_distance,
    weighted_squared_error,
)
from starloom.recipes import built

RNG = np.random.default_rng(4)
X = RNG.uniform(-1, 1, (300, 2)).astype(np.float32)
Y = np.stack([np.sin(3 * X[:, 0]) * X[:, 1], X[:, 0] ** 2], axis=1)
PLAN = Plan(epochs=5, optimiser="adamax", learning_rate=5e-3, checkpoint_minutes=0.0, seed=11)


def network(dropout=0.3):
    layers = dense_layers((2, 24, 16, 2), "relu", dropout=dropout, dropout_after=1)
    return affine(np.zeros(2), np.full(2, 2.0)).then(Network.initial(layers, 0))


def data(rows=slice(0, 240), seed=3):
    return array_batches((X, Y), np.arange(300)[rows], size=60, seed=seed)


VALIDATION = data(slice(240, 300), None)


class Interrupted(Exception):
    pass


class Interrupting:
    """Batches that fail once, at a batch of an epoch, as a killed process would."""

    def __init__(self, batches, epoch, step):
        self.batches, self.where = batches, (epoch, step)

    def __len__(self):
        return len(self.batches)

    def epoch(self, number):
        for step, batch in enumerate(self.batches.epoch(number)):
            if (number, step) == self.where:
                raise Interrupted
            yield batch


def same_weights(one, two):
    return all(
        np.array_equal(a[key], b[key])
        for a, b in zip(one.network.parameters, two.network.parameters, strict=True)
        for key in a
    )


def timeless(history):
    return [replace(row, seconds=0.0, rate=0.0) for row in history]


# minutes: a checkpoint after every step (0), or after every epoch
@pytest.mark.parametrize(
    ("epoch", "step", "minutes", "optimiser"),
    [(0, 2, 0.0, "adamax"), (2, 1, 10.0, "adam"), (3, 3, 0.0, "adam"), (1, 2, 0.0, "muon")],
)
def test_interrupted_training_ends_with_the_same_bits(tmp_path, epoch, step, minutes, optimiser):
    plan = replace(
        PLAN, checkpoint_minutes=minutes, optimiser=optimiser, schedule="cosine", weight_decay=1e-3
    )
    whole = train(network(), mean_squared_error, data(), VALIDATION, plan)
    with pytest.raises(Interrupted):
        train(network(), mean_squared_error, Interrupting(data(), epoch, step), VALIDATION, plan, tmp_path)
    resumed = train(network(), mean_squared_error, data(), VALIDATION, plan, tmp_path)
    assert same_weights(resumed, whole)
    assert timeless(resumed.history) == timeless(whole.history)
    assert (resumed.best_epoch, resumed.best_loss) == (whole.best_epoch, whole.best_loss)


def test_finished_training_is_not_repeated(tmp_path):
    first = train(network(), mean_squared_error, data(), VALIDATION, PLAN, tmp_path)
    again = train(network(), mean_squared_error, Interrupting(data(), 0, 0), VALIDATION, PLAN, tmp_path)
    assert same_weights(first, again)
    assert read_history(tmp_path / "history.csv") == first.history


def test_checkpoint_of_another_training_is_refused(tmp_path):
    train(network(), mean_squared_error, data(), VALIDATION, replace(PLAN, epochs=1), tmp_path)
    with pytest.raises(StoreError, match="checkpoint of another training"):
        train(network(), mean_squared_error, data(), VALIDATION, PLAN, tmp_path)
    content = (tmp_path / "checkpoint").read_bytes()
    for broken in (b"", b"no json\n", content[: len(content) // 2]):
        (tmp_path / "checkpoint").write_bytes(broken)
        with pytest.raises(ParseError, match="checkpoint: "):
            train(network(), mean_squared_error, data(), VALIDATION, replace(PLAN, epochs=1), tmp_path)


def shifted(weight, power=2):
    def loss(predict, arrays):
        inputs, targets = arrays
        return (weight * abs(predict(inputs) - targets) ** power).mean()

    return loss


ONE = np.float32([1.0, 1.0])
START = network()


def changed_data(**arrays):
    values = {"x": X, "y": Y, "rows": np.arange(240), "size": 60, "seed": 3, **arrays}
    return array_batches((values["x"], values["y"]), values["rows"], values["size"], values["seed"])


def nudged(array, place):
    other = array.copy()
    other[place] = np.nextafter(other[place], np.inf, dtype=array.dtype)
    return other


def nudged_layer(start, index, name):
    parameters = list(start.parameters)
    parameters[index] = parameters[index] | {name: nudged(parameters[index][name], 0)}
    return replace(start, parameters=tuple(parameters))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"network": nudged_layer(START, 1, "bias")}, "network"),  # an initial value
        ({"network": nudged_layer(START, 0, "offset")}, "network"),  # a fixed one
        ({"network": network(dropout=0.2)}, "network"),
        ({"loss": mean_squared_error}, "loss"),
        ({"loss": shifted(nudged(ONE, 1))}, "loss"),
        ({"loss": shifted(ONE, power=1)}, "loss"),
        ({"training": changed_data(x=nudged(X, (7, 1)))}, "training data"),
        ({"training": changed_data(y=nudged(Y, (239, 0)))}, "training data"),
        ({"training": changed_data(rows=np.r_[0:239, 250])}, "training data"),
        ({"training": changed_data(seed=4)}, "training data"),
        ({"training": changed_data(size=59)}, "training data"),
        ({"validation": changed_data(y=nudged(Y, (250, 1)), rows=np.arange(240, 300))}, "validation data"),
        ({"validation": None}, "validation data"),
        ({"plan": replace(PLAN, seed=12)}, "plan"),
        ({"plan": replace(PLAN, optimiser="adam")}, "plan"),
        ({"plan": replace(PLAN, patience=14)}, "plan"),
        ({"plan": replace(PLAN, learning_rate=6e-3)}, "plan"),
    ],
)
def test_each_ingredient_alone_makes_another_training(tmp_path, change, named):
    validation = changed_data(rows=np.arange(240, 300), seed=None)
    mine = {"network": START, "loss": shifted(ONE), "training": changed_data(), "validation": validation}
    mine["plan"] = PLAN
    train(**mine, folder=tmp_path)
    before = (tmp_path / "checkpoint").read_bytes()
    with pytest.raises(
        StoreError, match=rf"of another training \(another {named}\): give another folder, or"
    ):
        train(**mine | change, folder=tmp_path)
    assert (tmp_path / "checkpoint").read_bytes() == before
    # times of checkpoints change no number; equal values made anew are the same training
    again = mine | {"loss": shifted(ONE.copy()), "plan": replace(PLAN, checkpoint_minutes=9.0)}
    train(**again, folder=tmp_path)


def test_checkpoints_that_do_not_name_their_data_are_refused(tmp_path):
    train(network(), mean_squared_error, data(), VALIDATION, PLAN, tmp_path)
    path = tmp_path / "checkpoint"
    head, _, rest = path.read_bytes().partition(b"\n")
    numbers = json.loads(head)
    del numbers["identity"]
    path.write_bytes(json.dumps({"digest": "0123456789abcdef", **numbers}).encode() + b"\n" + rest)
    with pytest.raises(StoreError, match=r"checkpoint of an older version, .*: give another folder, or move"):
        train(network(), mean_squared_error, data(), VALIDATION, PLAN, tmp_path)


def test_training_learns_and_keeps_fixed_layers():
    start = network(dropout=0.0).then(linear(np.eye(2), np.array([0.5, 0.0])))
    plan = replace(PLAN, epochs=60, learning_rate=1e-2, optimiser="adam")
    result = train(start, mean_squared_error, data(), VALIDATION, plan)
    # the targets' variance is 0.1; a network of 500 weights explains most of it
    assert result.best_loss < 0.01
    assert result.best_loss == min(row.validation_loss for row in result.history)
    for index in (0, -1):
        for key, array in start.parameters[index].items():
            np.testing.assert_array_equal(result.network.parameters[index][key], array)
    assert not np.array_equal(result.network.parameters[1]["weight"], start.parameters[1]["weight"])


def test_early_stopping_restores_the_best_weights():
    # a rate this large makes the loss wander, so the last epoch is not the best
    plan = Plan(epochs=200, patience=4, learning_rate=0.2, optimiser="adam")
    result = train(network(0.0), mean_squared_error, data(), VALIDATION, plan)
    assert len(result.history) == result.best_epoch + 1 + 4 < 200
    inputs, targets = VALIDATION.read(VALIDATION.rows)
    # float32 sums over 60 rows
    assert np.mean((result.network(inputs) - targets) ** 2) == pytest.approx(result.best_loss, rel=1e-4)


def test_without_validation_the_training_loss_is_watched():
    result = train(network(0.0), mean_squared_error, data(), None, replace(PLAN, epochs=3))
    assert result.best_loss == min(row.training_loss for row in result.history)
    assert all(np.isnan(row.validation_loss) for row in result.history)


def test_one_step_of_adam_is_that_of_kingma_and_ba():
    start = Network.initial(dense_layers((2, 2), "linear"), 1)
    plan = Plan(epochs=1, optimiser="adam", learning_rate=0.01)
    result = train(start, mean_squared_error, array_batches((X, Y), size=300), None, plan)
    residual = start(X) - Y
    gradient = X.T @ residual * 2 / residual.size
    # the first step of algorithm 1 is the learning rate along the gradient's sign, up to epsilon
    expected = start.parameters[0]["weight"] - 0.01 * gradient / (np.abs(gradient) + 1e-7)
    np.testing.assert_allclose(result.network.parameters[0]["weight"], expected, atol=1e-6)


def test_batch_with_bad_data_is_named():
    spoiled = X.copy()
    spoiled[[17, 42]] = np.nan
    batches = array_batches((spoiled, Y), size=300)
    with pytest.raises(
        ConvergenceError, match=r"loss = nan in epoch 0, batch 0: rows 17, 42, whose data are not"
    ):
        train(network(), mean_squared_error, batches, None, PLAN)
    with pytest.raises(ConvergenceError, match="validation after epoch 0, batch 0: rows 17, 42"):
        train(network(), mean_squared_error, data(), batches, PLAN)


def test_diverging_training_stops():
    plan = Plan(epochs=40, optimiser="sgd", learning_rate=1e6)
    with pytest.raises(
        ConvergenceError, match=r"in epoch \d+, batch \d+: rows .*, \.\.\., .* step was too large"
    ):
        train(network(0.0), mean_squared_error, data(), VALIDATION, plan)


def test_learning_rate_schedules():
    plan = Plan(epochs=10, learning_rate=2.0, warmup=2.0, final_fraction=0.1)
    assert plan.rate(1.0) == pytest.approx(1.0, rel=1e-3)
    assert plan.rate(5.0) == 2.0
    cosine = replace(plan, schedule="cosine")
    assert cosine.rate(2.0) == 2.0
    assert cosine.rate(6.0) == pytest.approx(2.0 * 0.55)
    assert cosine.rate(10.0) == pytest.approx(0.2)
    assert replace(plan, schedule="exponential").rate(6.0) == pytest.approx(2.0 * 0.1**0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimiser": "newton"}, "'newton' is not one of adam"),
        ({"schedule": "steps"}, "'steps' is not one of constant"),
        ({"patience": 0}, "patience = 0 is below 1"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0 must be above 0"),
        ({"epochs": 2.5}, "plan.epochs = 2.5 is no whole number"),
        ({"colour": 1}, "plan: unknown key colour; known are"),
    ],
)
def test_bad_plans_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        built(Plan, values, "plan")


def test_unknown_device():
    with pytest.raises(ConfigError, match="device = 'abacus'"):
        train(network(), mean_squared_error, data(), None, PLAN, device="abacus")


def test_batches_cover_each_row_once_in_an_order_set_by_seed_and_epoch():
    batches = data()
    first, second = ([b.indices for b in batches.epoch(number)] for number in (0, 1))
    assert [len(b) for b in first] == [60, 60, 60, 60]
    assert [len(b.indices) for b in array_batches((X,), size=140).epoch(0)] == [140, 140, 20]
    assert sorted(np.concatenate(first)) == list(range(240))
    assert not np.array_equal(first[0], second[0])
    again = next(data().epoch(1))
    assert isinstance(again, Batch)
    np.testing.assert_array_equal(again.indices, second[0])
    np.testing.assert_array_equal(again.arrays[1], Y[second[0]])


def test_batches_need_rows_and_one_length():
    with pytest.raises(ConfigError, match="0 rows in batches of 512"):
        array_batches((X[:0],))
    with pytest.raises(ConfigError, match=r"arrays of \[299, 300\] rows"):
        array_batches((X, Y[1:]))


def test_split_is_a_partition():
    training, validation = split(100, 0.2, seed=1)
    assert (len(training), len(validation)) == (80, 20)
    assert sorted([*training, *validation]) == list(range(100))
    with pytest.raises(ConfigError, match="fraction = 1"):
        split(100, 1.0, seed=1)


def test_mapped_equals_one_call():
    np.testing.assert_array_equal(mapped(lambda x, y: x * y, (X, Y), size=77), X * Y)


def test_losses_follow_their_definitions():
    predictions = X + 0.5
    assert float(reconstruction_error(lambda x: x + 0.5, (X,))) == pytest.approx(0.25, rel=1e-5)
    weight = np.array([1.0, 3.0], np.float32)
    expected = np.mean(np.sum(weight * (predictions - Y) ** 2, axis=1))
    assert float(weighted_squared_error(weight)(lambda x: x + 0.5, (X, Y))) == pytest.approx(
        expected, rel=1e-5
    )
    distances = np.sqrt(np.sum(weight * (predictions - Y) ** 2, axis=1))
    found = weighted_distance(weight)(lambda x: x + 0.5, (X, Y))
    assert float(found) == pytest.approx(distances.mean(), rel=1e-5)
    # of the largest weight, under the root: finite where nothing is left to learn
    slope = jax.grad(lambda shift: weighted_distance(weight)(lambda y: y + shift, (Y, Y)))(0.0)
    assert float(weighted_distance(weight)(lambda y: y, (Y, Y))) == pytest.approx(np.sqrt(3e-8), rel=1e-5)
    assert np.isfinite(slope)


def test_history_file_errors(tmp_path):
    row = Epoch(0, 0.5, float("nan"), 1e-3, 2.0, 100.0)
    write_history(tmp_path / "h.csv", [row])
    (read,) = read_history(tmp_path / "h.csv")
    assert np.isnan(read.validation_loss)
    assert replace(read, validation_loss=0.0) == replace(row, validation_loss=0.0)
    (tmp_path / "h.csv").write_text("epoch,colour\n0,red\n")
    with pytest.raises(ParseError, match=r"h\.csv: "):
        read_history(tmp_path / "h.csv")


def test_progress_and_report(capsys):
    rows = []
    plan = replace(PLAN, epochs=2)
    train(network(), mean_squared_error, data(), VALIDATION, plan, progress=True, report=rows.append)
    shown = capsys.readouterr().err
    assert "batches/s" in shown
    assert "loss=" in shown
    assert [row.epoch for row in rows] == [0, 1]
    assert all(row.rate > 0 for row in rows)
