"""The kernel that adds atomic lines against a plain sum of Voigt functions in float64."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy.special import wofz

from starloom.physics import lines as atomic

STEP = 0.676e5  # cm s-1
PIXELS = 9000
LAYERS = 3


def line_sum(profile, position):
    """Absorption [layer, wavelength] of all lines at all wavelengths, without windows."""
    total = np.zeros((LAYERS, PIXELS))
    for line, centre in enumerate(position):
        peak, damping, doppler = (part[:, line, None] for part in profile)
        x = (np.arange(PIXELS) - centre) * STEP / doppler
        total += peak * wofz(x + 1j * damping).real
    return total


@pytest.fixture(scope="module")
def profile():
    """48 lines from far too weak to wider than the grid; widths of metals in stars, 1-3 km/s."""
    rng = np.random.default_rng([3, 2])
    peak = 10 ** np.linspace(-5.5, 4.5, 48) * np.array([[0.4], [1.0], [0.7]])
    damping = 10 ** rng.uniform(-2.5, -0.5, 48) * np.array([[0.5], [0.8], [1.0]])
    doppler = rng.uniform(1e5, 3e5, 48) * np.array([[0.9], [1.0], [1.1]])
    return atomic.Profile(peak, damping, doppler)


@pytest.fixture(scope="module")
def position():
    """Of the centres, in pixels: in a mixed order over the grid, one at either end and beyond either end."""
    rng = np.random.default_rng([3, 3])
    position = rng.uniform(0, PIXELS - 1, 48)
    position[[30, 33, 44, 40]] = [0.0, PIXELS - 1.0, -700.25, PIXELS + 300.5]
    # beyond FAR: of the whole grid, and cut off within it
    position[[47, 41, 42]] = [-6000.5, -2500.25, PIXELS + 1999.75]
    return position


def pixels_of(position) -> atomic.Positions:
    pixel = np.rint(position)
    return atomic.Positions(pixel.astype(np.int32), (position - pixel).astype(np.float32))


def chosen(profile, position, pixels=PIXELS):
    half = atomic.half_widths(profile, np.ones((LAYERS, 48)), STEP)
    return atomic.windows_of(half, pixels_of(position), pixels)


@pytest.fixture(scope="module")
def windows(profile, position):
    return chosen(profile, position)


@pytest.fixture(scope="module")
def kernel(profile, position):
    """The kernel's opacity, by the windows it is given."""
    compiled = jax.jit(partial(atomic.line_opacity, pixels=PIXELS, step=STEP))
    return lambda windows: np.asarray(compiled(profile, pixels_of(position), windows))


def test_every_class_is_used(windows):
    assert (windows.counts > 0).all()
    assert windows.counts[:5].sum() < 48


def test_against_the_plain_sum(profile, position, windows, kernel):
    expected = line_sum(profile, position)
    # per line at most CUT of the continuum (here 1) outside its window and NEGLIGIBLE if it is left out;
    # float32 Voigt functions: 1e-6 of a peak (4e-6 of weaker ones); wings outside the core: 1e-3 relative
    # (x > 14 there)
    left_out = 48 * 1.05 * atomic.CUT + 3e-5 * (48 - windows.counts[:5].sum())
    error = np.abs(kernel(windows) - expected)
    assert (error < left_out + 1e-3 * expected + 2e-6 * profile.peak.max()).all()
    near_lines = expected > 1.0
    assert (error / expected)[near_lines].max() < 2e-3


def test_no_windows_no_lines(windows, kernel):
    assert not kernel(windows._replace(counts=np.zeros(9, np.int32))).any()


def test_wide_windows_change_nothing_more_than_stated(profile, position, windows, kernel, monkeypatch):
    """Every line, cut off where it has 1e-8 of the continuum, against the usual windows."""
    monkeypatch.setattr(atomic, "CUT", 1e-8)
    monkeypatch.setattr(atomic, "NEGLIGIBLE", 0.0)
    everything = chosen(profile, position)
    change = kernel(everything) - kernel(windows)
    weak = 48 - windows.counts[:5].sum()
    assert np.abs(change).max() < 48 * 1.05e-5 + weak * 3e-5 + 1e-6 * profile.peak.max()


def test_common_windows_keep_each_line_to_its_own(profile, position, windows, kernel):
    """With every line's window the whole grid and its own half width given: rounding of float32 only."""
    half = atomic.half_widths(profile, np.ones((LAYERS, 48)), STEP)
    whole = np.full_like(half, atomic.WHOLE)
    everywhere = atomic.windows_of(whole, pixels_of(position), PIXELS)._replace(own=half)
    assert everywhere.counts[-1] == 48
    assert np.abs(kernel(everywhere) - kernel(windows)).max() < 1e-6 * profile.peak.max()


@pytest.mark.parametrize("first", [1000, 4000, 7000])
def test_a_part_of_the_grid_has_the_opacity_of_the_whole(profile, windows, kernel, position, first):
    """Lines outside act from where they are: only float32's order of sums differs."""
    points = 1500
    place = pixels_of(position)
    shifted = place._replace(pixel=place.pixel - first)
    part = atomic.windows_of(windows.half, shifted, points)
    assert part.counts[:8].sum() < windows.counts[:8].sum()
    found = jax.jit(partial(atomic.line_opacity, pixels=points, step=STEP))(profile, shifted, part)
    expected = kernel(windows)[:, first : first + points]
    assert np.asarray(found) == pytest.approx(expected, rel=2e-5, abs=1e-7)
