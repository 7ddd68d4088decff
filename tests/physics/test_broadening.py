"""Kernels against closed forms, published numbers and limits; samplers against functions known everywhere."""

from math import log, sqrt

import numpy as np
import pytest

from starloom import bands, broadening
from starloom.broadening import kernels
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.wavelength import vacuum_from_air

RVS = bands.load("rvs")
SYNTHESIS_GRID_AA, PAPER_GRID_AA = RVS.chunks[0].wavelength_aa, RVS.points.wavelength_aa
STEP_KMS = broadening.uniform_step(SYNTHESIS_GRID_AA)
finish = broadening.finish_of(RVS)
VELOCITY_KMS = SPEED_OF_LIGHT_KMS * np.log(SYNTHESIS_GRID_AA / SYNTHESIS_GRID_AA[10935])
INNER = slice(700, -700)  # 8397.2-8802.7 A in air: what the paper's grid needs


def gaussian_line(centre_kms=0.0, sigma_kms=2.0, depth=0.8, velocity_kms=VELOCITY_KMS):
    return 1 - depth * np.exp(-0.5 * ((velocity_kms - centre_kms) / sigma_kms) ** 2)


def forest(lines=200, seed=3):
    random = np.random.default_rng(seed)
    flux = np.ones_like(VELOCITY_KMS)
    for centre in random.uniform(-7400, 7400, lines):
        flux *= gaussian_line(centre, random.uniform(1.5, 4), random.uniform(0, 0.9))
    return flux


def test_the_bessel_function_is_as_close_as_its_authors_say():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(1e-3, 1500, 300_001)
    assert np.max(np.abs(kernels._bessel_j1_over_x(x) - special.j1(x) / x)) < 3e-8


def test_both_sides_of_the_series_limit_agree():
    x = np.array([1 - 1e-9, 1 + 1e-9])
    below, above = kernels._spherical_j1_over_x(x)
    assert abs(below - above) < 3e-9  # the first term of the series left out is 2e-9


@pytest.mark.parametrize("limb_darkening", [0.0, 0.6, 1.0])
def test_rotation_is_the_cosine_transform_of_grays_profile(limb_darkening):
    frequency, vsini = np.array([0.0, 1e-4, 0.003, 0.01, 0.05]), 100.0
    node, weight = np.polynomial.legendre.leggauss(400)
    # w = sin(t) takes the square root's branch point away, so that the quadrature converges
    angle, weight = node * np.pi / 2, weight * np.pi / 2
    w = np.sin(angle)
    profile = 2 * (1 - limb_darkening) * np.sqrt(1 - w**2) + np.pi / 2 * limb_darkening * (1 - w**2)
    profile /= np.pi * (1 - limb_darkening / 3)
    expected = np.sum(
        weight * np.cos(angle) * profile * np.cos(2 * np.pi * frequency[:, None] * vsini * w), axis=1
    )
    assert broadening.rotation_transfer(frequency, vsini, limb_darkening) == pytest.approx(expected, abs=3e-8)


def test_the_first_zero_of_the_rotation_transform_is_where_it_is_published():
    # Dravins, Lindegren & Torkelsson (1990, A&A 237, 137): first zero at 0.610 + 0.062 e + 0.027 e^2 +
    # 0.012 e^3 + 0.004 e^4 cycles per v sin i, an expansion to 1e-3
    frequency = np.linspace(0.55, 0.75, 20_001)
    for e in (0.0, 0.3, 0.6, 1.0):
        transfer = broadening.rotation_transfer(frequency, 1.0, e)
        zero = frequency[np.argmax(transfer < 0)]
        assert zero == pytest.approx(0.610 + 0.062 * e + 0.027 * e**2 + 0.012 * e**3 + 0.004 * e**4, abs=1e-3)


def test_macroturbulence_is_the_transform_of_grays_profile():
    # Gray (2005), chapter 17, as an integral over the disk of radial and tangential Gaussians, half each
    zeta, frequency = 5.0, np.array([0.0, 0.001, 0.02, 0.1, 0.2])
    node, weight = np.polynomial.legendre.leggauss(200)
    mu, weight = (node + 1) / 2, weight / 2
    square = (np.pi * frequency[:, None] * zeta) ** 2
    expected = np.sum(weight * mu * (np.exp(-square * mu**2) + np.exp(-square * (1 - mu**2))), axis=1)
    assert broadening.macroturbulence_transfer(frequency, zeta) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("resolution", [5000.0, 11500.0, 14500.0, 40000.0])
def test_the_instrument_profile_has_the_width_it_should(resolution):
    impulse = np.zeros(SYNTHESIS_GRID_AA.size)
    impulse[10935] = 1.0
    profile = broadening.broaden(impulse, STEP_KMS, resolution=resolution)
    # ln of a Gaussian is a parabola: its curvature, over the core, gives the width
    core = profile > 0.3 * profile.max()
    curvature = np.polynomial.Polynomial.fit(VELOCITY_KMS[core], np.log(profile[core]), 2).convert().coef[2]
    width_kms = 2 * sqrt(log(2) / -curvature)
    assert width_kms == pytest.approx(SPEED_OF_LIGHT_KMS / resolution, rel=1e-4)


def test_no_rotation_and_infinite_resolution_change_nothing():
    flux = forest()
    assert np.max(np.abs(broadening.broaden(flux, STEP_KMS) - flux)) < 1e-13


def test_broadenings_commute():
    flux = forest()
    fast = {"vsini": 70.0}
    seen = {"resolution": 8000.0, "macroturbulence": 6.0}
    one = broadening.broaden(broadening.broaden(flux, STEP_KMS, **fast), STEP_KMS, **seen)
    other = broadening.broaden(broadening.broaden(flux, STEP_KMS, **seen), STEP_KMS, **fast)
    both = broadening.broaden(flux, STEP_KMS, **fast, **seen)
    assert np.max(np.abs(one - other)[INNER]) < 1e-7
    assert np.max(np.abs(one - both)[INNER]) < 1e-7


def test_two_gaussians_make_one():
    flux = forest()
    twice = broadening.broaden(
        broadening.broaden(flux, STEP_KMS, resolution=40000.0), STEP_KMS, resolution=9000.0
    )
    variance = broadening.instrument_variance(40000.0) + broadening.instrument_variance(9000.0)
    once = broadening.broaden(flux, STEP_KMS, resolution=SPEED_OF_LIGHT_KMS / sqrt(8 * log(2) * variance))
    assert np.max(np.abs(twice - once)[INNER]) < 1e-7


@pytest.mark.parametrize(
    "how",
    [
        {"vsini": 0.1},
        {"vsini": 30.0},
        {"vsini": 300.0},
        {"resolution": 5000.0},
        {"macroturbulence": 20.0},
    ],
)
def test_equivalent_widths_are_conserved(how):
    flux = gaussian_line(sigma_kms=3.0)
    before = np.trapezoid(1 - flux, SYNTHESIS_GRID_AA)
    after = np.trapezoid(1 - broadening.broaden(flux, STEP_KMS, **how), SYNTHESIS_GRID_AA)
    # the kernels are symmetric in ln(wavelength), so the width in Angstrom grows by <v^2>/2c^2 < 1e-6
    assert after == pytest.approx(before, rel=1e-5)


def test_rotation_far_below_the_pixel_widens_by_its_variance():
    # the variance of the limb-darkened profile is (v sin i)^2 (1/4 - 2e/15 + ... ): (1 - e)/4 + e 2/15, over
    # 1 - e/3
    flux, vsini, e = gaussian_line(), 0.1, 0.6
    kernel_variance = vsini**2 * ((1 - e) / 4 + e * 2 / 15) / (1 - e / 3)
    sigma = sqrt(4.0 + kernel_variance)
    expected = gaussian_line(sigma_kms=sigma, depth=0.8 * 2 / sigma)
    assert np.max(np.abs(broadening.broaden(flux, STEP_KMS, vsini=vsini) - expected)) < 1e-7
    assert np.max(np.abs(flux - expected)) > 1e-4  # so that the change is really seen


@pytest.mark.parametrize("velocity", [-250.0, 0.1, 33.3, 500.0])
def test_a_velocity_shifts_the_spectrum_relativistically(velocity):
    beta = velocity / SPEED_OF_LIGHT_KMS
    moved = broadening.broaden(gaussian_line(), STEP_KMS, radial_velocity=velocity)
    at_rest = VELOCITY_KMS - SPEED_OF_LIGHT_KMS * 0.5 * np.log((1 + beta) / (1 - beta))
    assert np.max(np.abs(moved - gaussian_line(velocity_kms=at_rest))) < 1e-9


def test_nothing_comes_round_from_the_other_end():
    flux = np.where(VELOCITY_KMS < 0, 1.0, 0.5) * gaussian_line(-7380.0)  # a line and a step at the ends
    seen = broadening.broaden(flux, STEP_KMS, vsini=300.0, resolution=5000.0)
    assert np.max(np.abs(seen[-600:] - 0.5)) < 1e-6
    assert np.max(np.abs(seen[1400:9000] - 1.0)) < 1e-6


def test_one_spectrum_or_many_with_their_own_broadening():
    flux = np.stack([forest(seed=1), forest(seed=2)])
    vsini, resolution = np.array([0.0, 120.0]), np.array([14500.0, 5000.0])
    together = broadening.broaden(flux, STEP_KMS, vsini=vsini, resolution=resolution)
    for i in range(2):
        alone = broadening.broaden(flux[i], STEP_KMS, vsini=vsini[i], resolution=resolution[i])
        assert np.max(np.abs(together[i] - alone)) < 1e-13


def test_kept_spectra_finish_as_if_broadened_at_once():
    flux = np.stack([forest(seed=seed) for seed in range(5)])
    vsini = np.array([0.0, 0.1, 5.0, 60.0, 300.0])
    resolution = np.array([14500.0, 14500.0, 11500.0, 14500.0, 5000.0])
    seen = broadening.broaden(flux, STEP_KMS, vsini=vsini, resolution=resolution)
    expected = broadening.point_sampler(SYNTHESIS_GRID_AA, vacuum_from_air(PAPER_GRID_AA))(seen)
    kept = broadening.keep(flux, RVS)
    assert kept.shape == (5, 7290)
    assert np.max(np.abs(finish(kept, vsini, resolution) - expected)) < 2e-6
    single = finish(kept.astype(np.float32), vsini, resolution)
    assert single.dtype == np.float32
    assert np.max(np.abs(single - expected)) < 4e-6


def test_a_finer_instrument_needs_its_own_plan():
    flux, target = forest(), np.linspace(8420.0, 8780.0, 3000)
    plan = broadening.finish_onto(RVS.kept[0], target, 30000.0, RVS.kept_resolution)
    seen = broadening.broaden(flux, STEP_KMS, vsini=4.0, resolution=30000.0)
    expected = broadening.point_sampler(SYNTHESIS_GRID_AA, target)(seen)
    # at R = 30000 the kept grid's own Nyquist frequency, where R = 40000 passes 6e-6, is what limits
    assert np.max(np.abs(plan(broadening.keep(flux, RVS), 4.0, 30000.0) - expected)) < 1e-5
    with pytest.raises(OutOfRangeError, match="resolution = 50000 is outside"):
        broadening.finish_onto(RVS.kept[0], target, 50000.0, RVS.kept_resolution)


def test_a_sum_of_modes_finishes_as_the_sum_of_spectra():
    kept = broadening.keep(np.stack([forest(seed=seed) for seed in range(3)]), RVS)
    plan, share = finish.chunks[0], np.array([0.2, 0.5, 0.3])
    summed = plan.from_modes(share @ plan.modes(kept), 20.0, 10000.0)
    assert summed == pytest.approx(share @ plan(kept, np.full(3, 20.0), np.full(3, 10000.0)), abs=1e-12)


def test_finish_moves_a_star():
    kept = broadening.keep(gaussian_line(), RVS)
    moved = finish.chunks[0](kept, 0.0, 10000.0, radial_velocity=100.0)
    seen = broadening.broaden(gaussian_line(), STEP_KMS, resolution=10000.0, radial_velocity=100.0)
    expected = broadening.point_sampler(SYNTHESIS_GRID_AA, vacuum_from_air(PAPER_GRID_AA))(seen)
    assert np.max(np.abs(moved - expected)) < 2e-6


def wave(wavelength_aa, points_per_cycle=3.2, grid_aa=SYNTHESIS_GRID_AA):
    step = broadening.uniform_step(grid_aa)
    return 1 + np.cos(
        2 * np.pi * SPEED_OF_LIGHT_KMS * np.log(wavelength_aa / 8500) / (step * points_per_cycle)
    )


def test_interpolation_is_exact_up_to_its_band():
    target = np.sort(np.random.default_rng(1).uniform(8400, 8800, 500))
    found = broadening.point_sampler(SYNTHESIS_GRID_AA, target)(wave(SYNTHESIS_GRID_AA))
    assert np.max(np.abs(found - wave(target))) < 1e-7
    ones = broadening.point_sampler(SYNTHESIS_GRID_AA, target)(np.ones(SYNTHESIS_GRID_AA.size))
    assert np.max(np.abs(ones - 1)) < 1e-14


def test_pixels_hold_the_integral():
    random = np.random.default_rng(2)
    edges = 8420 + np.cumsum(random.uniform(0.003, 0.9, 400))
    flux = wave(SYNTHESIS_GRID_AA, 40.0)
    found = broadening.pixel_sampler(SYNTHESIS_GRID_AA, edges[:-1], edges[1:])(flux)
    node, weight = np.polynomial.legendre.leggauss(60)
    width = np.diff(edges)
    at = edges[:-1, None] + width[:, None] * (node + 1) / 2
    expected = np.sum(weight / 2 * wave(at, 40.0), axis=1)
    assert np.max(np.abs(found - expected)) < 1e-7
    # conserved: the same total from any other pixels between the same ends
    coarse = np.linspace(edges[0], edges[-1], 30)
    total = np.sum(
        broadening.pixel_sampler(SYNTHESIS_GRID_AA, coarse[:-1], coarse[1:])(flux) * np.diff(coarse)
    )
    assert np.sum(found * width) == pytest.approx(total, rel=1e-8)


def test_a_constant_resolution_is_the_same_summed_or_transformed():
    flux, target = forest(), vacuum_from_air(PAPER_GRID_AA)
    summed = broadening.instrument_sampler(SYNTHESIS_GRID_AA, target, 11500.0)(flux)
    seen = broadening.broaden(flux, STEP_KMS, resolution=11500.0)
    expected = broadening.point_sampler(SYNTHESIS_GRID_AA, target)(seen)
    assert np.max(np.abs(summed - expected)) < 1e-7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"vsini": -1.0}, r"vsini = -1 km/s is outside \[0, inf\] km/s"),
        ({"vsini": np.nan}, "vsini = nan km/s"),
        ({"resolution": 0.0}, r"resolution = 0 is outside \[1, inf\]"),
        (
            {"resolution": 50000.0, "native_resolution": 40000.0},
            r"resolution = 50000 is outside \[1, 40000\]",
        ),
        ({"limb_darkening": 1.2}, r"limb_darkening = 1.2 is outside \[0, 1\]"),
        ({"macroturbulence": -2.0}, "macroturbulence = -2 km/s"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(OutOfRangeError, match=message):
        broadening.broaden(np.ones(100), 1.0, **call)


def test_grids_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="not uniform"):
        broadening.uniform_step(PAPER_GRID_AA)
    with pytest.raises(OutOfRangeError, match=r"8300.000..8500.000 A \(vacuum\) is outside \[83"):
        broadening.point_sampler(SYNTHESIS_GRID_AA, np.array([8300.0, 8500.0]))
    with pytest.raises(ConfigError, match="not strictly increasing"):
        broadening.point_sampler(SYNTHESIS_GRID_AA, np.array([8500.0, 8500.0]))
    with pytest.raises(OutOfRangeError, match="resolution = 500000 is above"):
        broadening.instrument_sampler(SYNTHESIS_GRID_AA, np.array([8500.0]), 5e5)
    with pytest.raises(OutOfRangeError, match=r"resolution = 20000 is outside \[1, 14500\]"):
        finish(np.ones(7290), 0.0, 20000.0)
    with pytest.raises(ConfigError, match="100 points"):
        broadening.keep(np.ones(100), RVS)


class TestJax:
    def test_the_same_numbers_come_from_jax(self):
        jax = pytest.importorskip("jax")
        flux, vsini, resolution = (
            np.stack([forest()] * 2),
            np.array([3.0, 150.0]),
            np.array([14500.0, 6000.0]),
        )
        kept = broadening.keep(flux, RVS)
        expected = finish(kept, vsini, resolution)
        with jax.enable_x64(True):
            found = jax.jit(finish)(jax.numpy.asarray(kept), vsini, resolution)
        assert found.dtype == np.float64
        assert np.max(np.abs(np.asarray(found) - expected)) < 1e-12
        single = jax.jit(finish)(jax.numpy.asarray(kept, dtype="float32"), vsini, resolution)
        assert single.dtype == np.float32
        assert np.max(np.abs(np.asarray(single) - expected)) < 4e-6

    @pytest.mark.parametrize("vsini", [0.0, 0.1, 20.0, 250.0])
    def test_derivatives_agree_with_differences(self, vsini):
        jax = pytest.importorskip("jax")
        kept = broadening.keep(forest(), RVS)
        weight = np.random.default_rng(4).normal(size=4000)

        def observed(speed, resolution, velocity):
            plan = finish.chunks[0]
            return plan(kept, speed, resolution, radial_velocity=velocity) @ weight

        point, steps = (vsini, 10000.0, 12.0), (1e-3, 1.0, 1e-3)
        with jax.enable_x64(True):
            found = jax.jit(jax.grad(observed, argnums=(0, 1, 2)))(*point)
        for i, step in enumerate(steps):
            up = [value + step * (i == k) for k, value in enumerate(point)]
            # at v sin i = 0 only one side exists; the function is even there and its slope is zero
            down = [max(value - step * (i == k), 0.0) for k, value in enumerate(point)]
            slope = (observed(*up) - observed(*down)) / (up[i] - down[i])
            assert np.isfinite(found[i])
            assert float(found[i]) == pytest.approx(slope, rel=1e-4, abs=2e-4 * (i == 0))
