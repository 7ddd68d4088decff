"""The bounded minimiser against closed forms and scipy."""

import numpy as np
import pytest

from starloom.inference.minimise import _secant, is_held, minimise


def linear(matrix, data):
    """Problems chi2 = |data - matrix x|^2, one for each row of ``data``."""

    def evaluate(rows, at):
        residual = data[rows] - at @ matrix.T
        normal = np.broadcast_to(matrix.T @ matrix, (len(rows), *[matrix.shape[1]] * 2))
        return (residual**2).sum(axis=1), residual @ matrix, normal.copy()

    return evaluate


@pytest.fixture
def problem():
    rng = np.random.default_rng([8, 0])
    return rng.normal(size=(30, 5)), 0.5 * rng.normal(size=(40, 30))


def test_linear_problem_without_bounds(problem):
    matrix, data = problem
    found = minimise(
        linear(matrix, data), np.zeros((40, 5)), np.full(5, -9.0), np.full(5, 9.0), tolerance=1e-12
    )
    assert found.converged.all()
    assert np.abs(found.at - np.linalg.lstsq(matrix, data.T)[0].T).max() < 1e-6


def test_linear_problem_with_bounds(problem):
    optimize = pytest.importorskip("scipy.optimize")
    matrix, data = problem
    low, high = np.array([-0.05, -9, 0.0, -0.1, -9]), np.array([0.05, 0.02, 9, 0.1, 0.0])
    found = minimise(linear(matrix, data), np.zeros((40, 5)), low, high, tolerance=1e-10)
    assert found.converged.all()
    at_bound = 0
    for row, values in enumerate(data):
        best = optimize.lsq_linear(matrix, values, (low, high), tol=1e-12)
        assert found.chi2[row] == pytest.approx(2 * best.cost, abs=1e-6)
        assert np.abs(found.at[row] - best.x).max() < 1e-4
        at_bound += (best.active_mask != 0).sum()
    assert at_bound > 60  # the bounds matter


def test_curved_valley():
    """Rosenbrock's function (1960) as least squares, from two starts at once."""

    def evaluate(rows, at):
        x, y = at.T
        residual = np.stack([10 * (y - x**2), 1 - x], axis=1)
        columns = np.zeros((len(rows), 2, 2))  # of the model, so minus those of the residual
        columns[:, 0, 0], columns[:, 0, 1], columns[:, 1, 0] = 20 * x, -10, 1
        slope = np.einsum("rip,ri->rp", columns, residual)
        return (residual**2).sum(axis=1), slope, np.einsum("rip,riq->rpq", columns, columns)

    found = minimise(
        evaluate, np.array([[-1.2, 1.0], [0.5, -0.5]]), np.full(2, -2.0), np.full(2, 2.0), 1e-12, 200
    )
    assert found.converged.all()
    assert np.abs(found.at - 1).max() < 1e-5


def test_what_does_not_matter_stays():
    """A parameter on which nothing depends does not move, and does not break the others."""

    def evaluate(rows, at):
        residual = 0.3 - at[:, 0]
        normal = np.zeros((len(rows), 2, 2))
        normal[:, 0, 0] = 1
        return residual**2, np.stack([residual, 0 * residual], axis=1), normal

    found = minimise(evaluate, np.array([[0.0, 0.7]]), np.zeros(2), np.ones(2), 1e-12)
    assert found.at[0] == pytest.approx([0.3, 0.7], abs=1e-5)


def test_unfinished_rows_say_so(problem):
    matrix, data = problem
    found = minimise(
        linear(matrix, 100 * data), np.zeros((40, 5)), np.full(5, -99.0), np.full(5, 99.0), most=1
    )
    assert not found.converged.any()
    assert (found.iterations == 1).all()


def test_a_wrong_matrix_is_learnt():
    """Where the normal matrix is 100 times too small along one axis, the minimum is found all the same."""
    curvature = np.array([100.0, 1.0])

    def evaluate(rows, at):
        apart = 0.3 - at
        normal = np.broadcast_to(np.eye(2), (len(rows), 2, 2))
        return (curvature * apart**2).sum(axis=1), curvature * apart, normal.copy()

    found = minimise(evaluate, np.zeros((1, 2)), np.zeros(2), np.ones(2), 1e-8, 60)
    assert found.converged.all()
    assert found.chi2[0] < 1e-8


def test_a_matrix_that_keeps_its_promise_stays_however_large_it_is():
    matrix, step = np.array([np.eye(2) * 1e12]), np.ones((1, 2))
    np.testing.assert_allclose(_secant(matrix, step, step * 1e12), matrix, rtol=1e-12)


def test_a_hill_between_two_minima_is_no_minimum():
    """Near its top the slope is small, and a matrix whose promises were not kept before is not believed."""

    def evaluate(rows, at):
        x = at[:, 0]
        residual = np.stack([0.6 * x, 3.7 * np.sin(13.5 * x) - 2.8], axis=1)  # of the data minus the model
        columns = -np.stack([np.full(len(x), 0.6), 3.7 * 13.5 * np.cos(13.5 * x)], axis=1)
        slope = (columns * residual).sum(axis=1)
        return (residual**2).sum(axis=1), slope[:, None], (columns**2).sum(axis=1)[:, None, None]

    found = minimise(evaluate, np.array([[0.3]]), np.full(1, -1.0), np.ones(1), 1e-3, 60)
    assert found.converged.all()
    assert found.chi2[0] < 0.01  # 0.81 on the hill


def test_where_no_step_goes_down_it_looks_around():
    """A gradient that points up is not taken for a minimum: the next lower place is where it goes on."""

    def evaluate(rows, at):
        apart = 0.3 - at
        wrong = np.where(at < 0.1, -apart, apart)  # uphill near the start
        return 1e4 * (apart**2)[:, 0], 1e4 * wrong, np.full((len(rows), 1, 1), 1e4)

    found = minimise(evaluate, np.array([[0.09]]), np.full(1, -1.0), np.ones(1), 1e-3, 60)
    assert found.converged.all()
    assert found.at[0, 0] == pytest.approx(0.3, abs=1e-3)


def test_at_a_kink_it_ends():
    """Where chi2 rises in every direction without a vanishing gradient, the iteration says it is done."""

    def evaluate(rows, at):
        apart = at[:, 0] - 0.4
        return 50 * np.abs(apart), -25 * np.sign(apart)[:, None], np.full((len(rows), 1, 1), 10.0)

    found = minimise(evaluate, np.array([[0.9]]), np.zeros(1), np.ones(1), 1e-2, 60)
    assert found.converged.all()
    assert found.at[0, 0] == pytest.approx(0.4, abs=1e-3)


def test_nothing_to_minimise():
    found = minimise(
        lambda rows, at: (np.full(len(rows), 7.0), at, np.zeros((len(rows), 0, 0))),
        np.zeros((3, 0)),
        np.zeros(0),
        np.zeros(0),
    )
    assert found.converged.all()
    assert (found.chi2 == 7).all()
    assert not found.iterations.any()


def test_held():
    low, high = np.zeros(3), np.ones(3)
    at, slope = np.array([[0.0, 1.0, 0.5]]), np.array([[-1.0, 1.0, 1.0]])
    assert is_held(at, slope, low, high).tolist() == [[True, True, False]]
    assert not is_held(at, -slope, low, high).any()
