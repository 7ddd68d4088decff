"""The coordinates in which the domain is a box, but for its corner."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from starloom.inference import coordinates
from starloom.labels import DOMAIN, lowest_logg

PLACES = arrays(float, (7,), elements=st.floats(0, 1))
CORNER = np.array([11600.0, 2.3, 30.0, 0.3, 1.0, 9000.0, 20.0])


@given(PLACES)
def test_the_box_is_the_domain(place):
    labels = coordinates.to_parameters(place)[:6]
    assert ((labels >= DOMAIN.low) & (labels <= DOMAIN.high)).all()
    raised = place.copy()
    raised[coordinates.LOGG] = max(place[coordinates.LOGG], coordinates.lowest(place) + 1e-9)
    assert DOMAIN.contains(coordinates.to_parameters(raised)[:6])


@given(PLACES)
def test_there_and_back(place):
    back = coordinates.from_parameters(coordinates.to_parameters(place))
    # v sin i near 0 is a root: its square, not itself, is kept to rounding
    assert np.abs(back - place).max() < 1e-7


@given(arrays(float, (7,), elements=st.floats(0.01, 0.99)))
def test_slopes(place):
    found = coordinates.slopes(coordinates.to_parameters(place))
    step = 1e-6
    numerical = (coordinates.to_parameters(place + step) - coordinates.to_parameters(place - step)) / (
        2 * step
    )
    # second differences of the root in v sin i at 0.01 of its range
    assert np.abs(numerical / found - 1).max() < 1e-4


def test_lowest_is_that_of_the_domain():
    place = coordinates.from_parameters(CORNER)
    place[coordinates.LOGG] = coordinates.lowest(place)
    assert abs(coordinates.to_parameters(place)[1] - lowest_logg(CORNER[0], CORNER[3])) < 1e-12


def test_slopes_of_the_corner():
    """Inside a cell of the corner's table the edge is linear in Teff and [M/H]; a kink has two slopes."""
    place = coordinates.from_parameters(CORNER)
    slopes = coordinates.lowest_slopes(place)
    for index, sides in zip((coordinates.TEFF, coordinates.MH), slopes, strict=True):
        for side, slope in zip((-1, 1), sides, strict=True):
            moved = place.copy()
            moved[index] += side * 1e-5
            change = coordinates.lowest(moved) - coordinates.lowest(place)
            assert abs(change - side * 1e-5 * slope) < 1e-9
            assert slope > 0.1
    kink = coordinates.from_parameters(np.array([8000.0, 2.0, 30.0, 1.0, 1.5, 11500.0, 0.0]))
    below, above = coordinates.lowest_slopes(kink)[1]
    assert abs(below) < 1e-8
    assert abs(above - 2) < 1e-6  # 0.5 dex in 0.25 dex; both ranges are 3 dex


def test_highest_is_the_edge_of_the_domain():
    """A place is in the domain where Teff is up to its highest, and [M/H] up to its own."""
    rng = np.random.default_rng([9, 0])
    low, high = np.append(DOMAIN.low, 0.0), np.append(DOMAIN.high, 0.0)
    parameters = rng.uniform(low, high, (5000, 7))
    parameters[:, 1] = rng.uniform(2, 3, 5000)
    place = coordinates.from_parameters(parameters)
    teff, mh = coordinates.highest(place)
    inside = DOMAIN.contains(parameters[:, :6])
    assert 0.2 < inside.mean() < 0.8
    assert ((place[:, coordinates.TEFF] <= teff) == inside).all()
    assert ((place[:, coordinates.MH] <= mh) == inside).all()


def test_rotation_leaves_zero():
    """Away from v sin i = 0 the coordinate is linear in it, at 0 quadratic."""
    parameters = np.repeat(CORNER[None], 3, axis=0)
    parameters[:, coordinates.VSINI] = 1.0, 2.0, 300.0
    place = coordinates.from_parameters(parameters)[:, coordinates.VSINI]
    assert 3.9 < place[1] / place[0] < 4.0
    assert place[2] == 1
