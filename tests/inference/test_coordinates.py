"""The coordinates in which the domain is a box, but for its corner."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from starloom.inference.coordinates import Coordinates
from starloom.labels import RADIATION_LIMIT, TABLE_1, Domain

COORDINATES = Coordinates(TABLE_1)
TEFF, LOGG, VSINI, MH = (COORDINATES.index(name) for name in ("teff", "logg", "vsini", "mh"))
OTHERS = Coordinates(
    Domain.of(
        {
            "Ca": (-1, 1),
            "vmac": (0, 20),
            "logg": (0.5, 3),
            "teff": (3500, 6000),
            "vsini": (5, 80),
            "mh": (-3, 0),
        }
    )
)
PLACES = arrays(float, (7,), elements=st.floats(0, 1))
CORNER = np.array([11600.0, 2.3, 30.0, 0.3, 1.0, 9000.0, 20.0])


@given(PLACES)
def test_the_box_is_the_domain(place):
    labels = COORDINATES.to_parameters(place)[:6]
    assert ((labels >= TABLE_1.low) & (labels <= TABLE_1.high)).all()
    raised = place.copy()
    raised[LOGG] = max(place[LOGG], COORDINATES.lowest(place) + 1e-9)
    assert TABLE_1.contains(COORDINATES.to_parameters(raised)[:6])


@given(PLACES)
def test_there_and_back(place):
    back = COORDINATES.from_parameters(COORDINATES.to_parameters(place))
    # v sin i near 0 is a root: its square, not itself, is kept to rounding
    assert np.abs(back - place).max() < 1e-7


@given(arrays(float, (7,), elements=st.floats(0.01, 0.99)))
def test_slopes(place):
    found = COORDINATES.slopes(COORDINATES.to_parameters(place))
    step = 1e-6
    numerical = (COORDINATES.to_parameters(place + step) - COORDINATES.to_parameters(place - step)) / (
        2 * step
    )
    # second differences of the root in v sin i at 0.01 of its range
    assert np.abs(numerical / found - 1).max() < 1e-4


def test_lowest_is_that_of_the_domain():
    place = COORDINATES.from_parameters(CORNER)
    place[LOGG] = COORDINATES.lowest(place)
    assert abs(COORDINATES.to_parameters(place)[1] - RADIATION_LIMIT(CORNER[0], CORNER[3])) < 1e-12


def test_slopes_of_the_corner():
    """Inside a cell of the corner's table the edge is linear in Teff and [M/H]; a kink has two slopes."""
    place = COORDINATES.from_parameters(CORNER)
    slopes = COORDINATES.lowest_slopes(place)
    for index, sides in zip((TEFF, MH), slopes, strict=True):
        for side, slope in zip((-1, 1), sides, strict=True):
            moved = place.copy()
            moved[index] += side * 1e-5
            change = COORDINATES.lowest(moved) - COORDINATES.lowest(place)
            assert abs(change - side * 1e-5 * slope) < 1e-9
            assert slope > 0.1
    kink = COORDINATES.from_parameters(np.array([8000.0, 2.0, 30.0, 1.0, 1.5, 11500.0, 0.0]))
    below, above = COORDINATES.lowest_slopes(kink)[1]
    assert abs(below) < 1e-8
    assert abs(above - 2) < 1e-6  # 0.5 dex in 0.25 dex; both ranges are 3 dex


def test_highest_is_the_edge_of_the_domain():
    """A place is in the domain where Teff is up to its highest, and [M/H] up to its own."""
    rng = np.random.default_rng([9, 0])
    low, high = np.append(TABLE_1.low, 0.0), np.append(TABLE_1.high, 0.0)
    parameters = rng.uniform(low, high, (5000, 7))
    parameters[:, 1] = rng.uniform(2, 3, 5000)
    place = COORDINATES.from_parameters(parameters)
    teff, mh = COORDINATES.highest(place)
    inside = TABLE_1.contains(parameters[:, :6])
    assert 0.2 < inside.mean() < 0.8
    assert ((place[:, TEFF] <= teff) == inside).all()
    assert ((place[:, MH] <= mh) == inside).all()


def test_rotation_leaves_zero():
    """Away from v sin i = 0 the coordinate is linear in it, at 0 quadratic."""
    parameters = np.repeat(CORNER[None], 3, axis=0)
    parameters[:, VSINI] = 1.0, 2.0, 300.0
    place = COORDINATES.from_parameters(parameters)[:, VSINI]
    assert 3.9 < place[1] / place[0] < 4.0
    assert place[2] == 1


@given(arrays(float, (7,), elements=st.floats(0, 1)))
def test_any_domain(place):
    """Labels of any number and order; without a floor the box is the whole domain."""
    found = OTHERS.to_parameters(place)
    assert OTHERS.names == ("Ca", "vmac", "logg", "teff", "vsini", "mh", "velocity")
    assert OTHERS.domain.contains(found[:-1])
    # the square of a macroturbulence near 0 is kept to rounding, as that of v sin i
    assert np.abs(OTHERS.from_parameters(found) - place).max() < 1e-7
    assert OTHERS.lowest(place) == 0
    assert OTHERS.rotations == [1, 4]


def test_scales_belong_to_labels():
    """Half way: the geometric mean of temperatures, the mean of what is linear; rotation is in between."""
    ends = OTHERS.to_parameters(np.stack([np.zeros(7), np.ones(7)]))
    assert ends[:, :-1] == pytest.approx(np.stack([OTHERS.domain.low, OTHERS.domain.high]))
    middle = OTHERS.to_parameters(np.full(7, 0.5))
    assert middle[3] == pytest.approx((3500 * 6000) ** 0.5)
    assert middle[[0, 2, 5]] == pytest.approx([0, 1.75, -1.5])
    assert np.hypot(middle[4], 10) == pytest.approx((np.hypot(5, 10) + np.hypot(80, 10)) / 2)


def test_a_range_above_the_floor():
    """The lowest log g is the higher of the floor and the domain's own."""
    names = {label.name: [low, high] for label, low, high in TABLE_1.ranges} | {"logg": [2.4, 5.0]}
    domain = Domain.of(names, RADIATION_LIMIT)
    coordinates = Coordinates(domain)
    place = coordinates.from_parameters(np.stack([CORNER, CORNER]))
    place[0, TEFF] = 0
    place[:, LOGG] = coordinates.lowest(place)
    assert coordinates.to_parameters(place)[:, LOGG] == pytest.approx([2.4, domain.floor(11600.0, 0.3)])
