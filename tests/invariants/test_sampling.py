"""Laws of the samples: the same whatever the count, inside the domain, evenly spread."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starloom import sampling
from starloom.errors import ConfigError
from starloom.labels import TABLE_1

pytest.importorskip("scipy.stats")
LOW, HIGH = np.array([3600.0, 2.0, -1.5, 0.0]), np.array([15000.0, 5.0, 1.5, 4.0])
BOTH = pytest.mark.parametrize("draw", [sampling.uniform, sampling.sobol])


def in_domain(points):
    """teff, logg, mh, vmic without rotation, at a middling resolution."""
    teff, logg, mh, vmic = points.T
    nothing = np.zeros_like(teff)
    return TABLE_1.contains(np.stack([teff, logg, nothing, mh, vmic, nothing + 1e4], axis=-1))


@BOTH
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), first=st.integers(0, 100), count=st.integers(1, 40))
def test_a_point_depends_on_its_index_alone(draw, seed, first, count):
    everything = draw(seed, 0, 150, LOW, HIGH, in_domain)
    assert np.array_equal(draw(seed, first, count, LOW, HIGH, in_domain), everything[first : first + count])


@BOTH
def test_points_are_inside_and_the_corner_is_empty(draw):
    points = draw(1, 0, 2000, LOW, HIGH, in_domain)
    assert in_domain(points).all()
    free = draw(1, 0, 2000, LOW, HIGH)
    assert not in_domain(free).all()
    assert np.unique(points, axis=0).shape == points.shape


@BOTH
def test_seeds_differ(draw):
    assert not np.array_equal(draw(1, 0, 5, LOW, HIGH), draw(2, 0, 5, LOW, HIGH))


def test_uniform_points_are_uniform():
    points = sampling.uniform(5, 0, 4000, LOW, HIGH)
    for column, low, high in zip(points.T, LOW, HIGH, strict=True):
        counts = np.histogram(column, bins=20, range=(low, high))[0]
        # chi2 of 19 degrees of freedom: 43.8 is exceeded in one of a thousand samples
        assert np.sum((counts - 200) ** 2 / 200) < 43.8


def test_sobol_points_are_more_even_than_random_ones():
    from scipy.stats import qmc

    unit = np.zeros(4), np.ones(4)
    even = qmc.discrepancy(sampling.sobol(5, 0, 1024, *unit))
    assert even < 0.1 * qmc.discrepancy(sampling.uniform(5, 0, 1024, *unit))


@BOTH
def test_ranges_without_a_domain_are_refused(draw):
    with pytest.raises(ConfigError, match="almost none"):
        draw(1, 0, 5, LOW, HIGH, lambda points: np.zeros(len(points), dtype=bool))
    with pytest.raises(ConfigError, match="no box"):
        draw(1, 0, 5, HIGH, LOW)
