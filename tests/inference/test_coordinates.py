"""The coordinates in which the domain is a box."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from starloom.inference import coordinates
from starloom.labels import DOMAIN

PLACES = arrays(float, (7,), elements=st.floats(0, 1))


@given(PLACES)
def test_the_box_is_the_domain(place):
    parameters = coordinates.to_parameters(place)
    labels = parameters[:6]
    # log g at the corner's edge to rounding
    labels[1] += 1e-9 * (labels[1] < 4)
    assert DOMAIN.contains(labels)


@given(PLACES)
def test_there_and_back(place):
    back = coordinates.from_parameters(coordinates.to_parameters(place))
    # v sin i near 0 is a root: its square, not itself, is kept to rounding
    assert np.abs(back - place).max() < 1e-7


@given(arrays(float, (7,), elements=st.floats(0.01, 0.99)))
def test_slopes(place):
    parameters = coordinates.to_parameters(place)
    matrix = coordinates.slopes(place, parameters)
    for index, step in enumerate(1e-6 * np.eye(7)):
        ahead, behind = coordinates.to_parameters(place + step), coordinates.to_parameters(place - step)
        numerical = (ahead - behind) / 2e-6
        scale = np.abs(np.diag(matrix))
        # kinks of the corner's table may lie between the two points, or within a step of the derivative
        if np.abs(numerical - matrix[:, index]).max() > 0:
            off = np.abs(numerical - matrix[:, index]) / scale
            assert np.delete(off, coordinates.LOGG).max() < 1e-4


def test_slopes_of_the_corner():
    """Where the lowest log g depends on Teff and [M/H], inside a cell of its table."""
    parameters = np.array([11600.0, 3.5, 30.0, 0.3, 1.0, 9000.0, 20.0])
    place = coordinates.from_parameters(parameters)
    matrix = coordinates.slopes(place, parameters)
    for index, step in enumerate(1e-5 * np.eye(7)):
        numerical = (coordinates.to_parameters(place + step) - coordinates.to_parameters(place - step)) / 2e-5
        assert np.allclose(numerical, matrix[:, index], rtol=1e-3, atol=1e-6)
    assert abs(matrix[coordinates.LOGG, coordinates.TEFF]) > 0.1


def test_rotation_leaves_zero():
    """Away from v sin i = 0 the coordinate is linear in it, at 0 quadratic."""
    vsini = np.zeros((3, 7))
    vsini[:] = [6000, 4, 0, 0, 1, 9000, 0]
    vsini[:, coordinates.VSINI] = 1.0, 2.0, 300.0
    place = coordinates.from_parameters(vsini)[:, coordinates.VSINI]
    assert 3.9 < place[1] / place[0] < 4.0
    assert place[2] == 1
