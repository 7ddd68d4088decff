"""Radiative transfer against closed forms: linear sources, grey atmospheres, scattering."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import exp1

from starloom.atmosphere import LAYERS
from starloom.physics.transfer import (
    OVERSHOOT,
    Source,
    column,
    differences,
    emergent_intensities,
    flux_quadrature,
    optical_depths,
    planck,
    scattered_intensity,
)

MU = np.array([0.1, 0.3, 0.5, 0.8, 1.0])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def atmosphere(first=1e-7, last=50.0, layers=LAYERS):
    """Opacity 1 at density 1, so that optical depth is column mass: opacity, layers and tau."""
    tau = np.geomspace(first, last, layers)
    return np.ones((layers, 1)), column(tau, np.log(tau), np.log(tau)), tau


def thermal(source):
    """A source that does not scatter."""
    return Source(source[0], differences(len(source)) @ source, np.zeros_like(source))


def intensities(source, **grid):
    opacity, layers, tau = atmosphere(**grid)
    return np.asarray(emergent_intensities(opacity, thermal(source(tau)[:, None]), layers, MU))[:, 0]


def emergent_flux(opacity, source, layers):
    mu, weights = flux_quadrature()
    return weights @ np.asarray(emergent_intensities(opacity, thermal(source), layers, mu))


def test_quadrature_is_exact_for_polynomials():
    """Gauss with n nodes integrates mu times a polynomial up to the power 2n - 1: 2 pi / (k + 2)."""
    for angles in (1, 2, 4, 7):
        mu, weights = flux_quadrature(angles)
        assert ((mu > 0) & (mu < 1)).all()
        for power in range(2 * angles):
            assert weights @ mu**power == pytest.approx(2 * np.pi / (power + 2), rel=1e-12)


def test_planck():
    """Wien's displacement, the Stefan-Boltzmann law, the Rayleigh-Jeans limit 2ckT / lambda^4."""
    wavelength = np.geomspace(500e-8, 1.0, 40000)
    radiance = np.asarray(planck(wavelength, np.array([5777.0, 12000.0])))
    assert wavelength[radiance.argmax(axis=1)] == pytest.approx(
        [0.28977720 / 5777, 0.28977720 / 12000], rel=3e-4
    )
    flux = np.pi * np.trapezoid(radiance, wavelength, axis=1)
    stefan_boltzmann = 5.670374419e-5  # erg s-1 cm-2 K-4, CODATA 2018
    assert flux == pytest.approx(stefan_boltzmann * np.array([5777.0, 12000.0]) ** 4, rel=1e-4)
    assert radiance[0, -1] == pytest.approx(2 * 2.99792458e10 * 1.380649e-16 * 5777, rel=2e-4)


def test_isothermal():
    """A black body whatever the opacity: I = S."""
    _, layers, tau = atmosphere()
    opacity = np.geomspace(1e-6, 1e6, 5) * (1 + tau[:, None])
    found = emergent_intensities(opacity, thermal(np.full((LAYERS, 5), 3.0)), layers, MU)
    assert_allclose(found, 3.0, rtol=1e-12)


def test_linear_source():
    """Eddington & Barbier: S = a + b tau gives I(mu) = a + b mu, and the flux pi (a + 2b/3).

    With layers h = 0.57 apart in ln tau the slope of tau itself is off by h^4 / 30.
    """
    assert intensities(lambda tau: 2 + 3 * tau) == pytest.approx(2 + 3 * MU, rel=3e-3)
    assert intensities(lambda tau: 2 + 3 * tau, layers=2 * LAYERS) == pytest.approx(2 + 3 * MU, rel=2e-4)
    assert intensities(lambda tau: 2 + 3 * tau, layers=2000) == pytest.approx(2 + 3 * MU, rel=1e-6)
    opacity, layers, tau = atmosphere(layers=2000)
    flux = emergent_flux(opacity, (2 + 3 * tau)[:, None], layers)
    assert flux == pytest.approx([np.pi * (2 + 2)], rel=1e-6)


def test_exponential_source():
    """S = exp(-c tau): I(mu) = 1 / (1 + c mu), Laplace's transform."""
    found = intensities(lambda tau: np.exp(-2 * tau), layers=72)
    assert found == pytest.approx(1 / (1 + 2 * MU), rel=3e-4)


def test_grey_atmosphere():
    """Eddington's B = (3/4)(tau + 2/3) B_eff sends out pi B_eff, darkened as (2 + 3 mu) / 5."""
    opacity, layers, tau = atmosphere(layers=300)
    source = 0.75 * (tau + 2 / 3)[:, None]
    assert emergent_flux(opacity, source, layers) == pytest.approx([np.pi], rel=2e-6)
    found = np.asarray(emergent_intensities(opacity, thermal(source), layers, MU))[:, 0]
    assert found / found[-1] == pytest.approx((2 + 3 * MU) / 5, rel=2e-6)


def test_opaque_and_transparent_limits():
    """Where the first layer is opaque its source is seen; where all are transparent, none of them."""
    source = np.linspace(1.0, 2.0, LAYERS)[:, None] * np.ones(2)
    _, layers, _ = atmosphere(first=1e-3, last=1.0)
    opacity = np.array([1e7, 1e-9]) * np.ones((LAYERS, 1))
    found = np.asarray(emergent_intensities(opacity, thermal(source), layers, MU))
    assert found[:, 0] == pytest.approx(1.0, abs=1e-3)
    assert (found[:, 1] > 2.0).all()  # the source goes on below the last layer with its last slope


def test_opacity_may_vary_with_depth():
    """chi = m: tau = m^2 / 2, seen through I(mu) = a + b mu all the same; a line over it as well."""
    mass = np.geomspace(1e-4, 12.0, 300)
    opacity = mass[:, None] * np.array([1.0, 30.0])
    source = 1 + opacity * mass[:, None] / 2
    layers = column(mass, np.log(mass), np.log(mass))
    found = np.asarray(emergent_intensities(opacity, thermal(source), layers, MU))
    assert found == pytest.approx((1 + MU)[:, None] * np.ones(2), rel=2e-5)


def test_scattered_light_comes_from_where_it_is_emitted():
    """An emission that goes as the opacity adds its constant ratio: S = B + s, so I = B + s."""
    opacity, layers, tau = atmosphere()
    opacity = opacity * (1 + tau[:, None])
    source = thermal(np.ones((LAYERS, 1)))._replace(scattered=-0.3 * opacity)
    assert_allclose(emergent_intensities(opacity, source, layers, MU), 0.7, rtol=3e-3)


def test_depths_of_a_power_of_the_reference():
    """d tau / d tau_ref = tau_ref^p gives tau_ref^(p + 1) / (p + 1), within 6e-3 at h = 0.57."""
    tau = np.geomspace(1e-7, 50.0, LAYERS)
    layers, power = column(tau, np.log(tau), np.log(tau)), np.array([-0.5, 0.0, 0.3, 1.0])
    found = np.cumsum(np.asarray(optical_depths(tau[:, None] ** power, layers))[1:], axis=0)[5:]
    expected = (tau[6:, None] ** (power + 1) - tau[0] ** (power + 1)) / (power + 1)
    assert found == pytest.approx(expected, rel=6e-3)
    assert found[:, 1] == pytest.approx(expected[:, 1], rel=1e-12)


def test_opacity_may_jump():
    """A million times more or less in the next layer: depths grow by what lies between."""
    opacity, layers, tau = atmosphere()
    jumps = np.random.default_rng(5).uniform(-3, 3, (LAYERS, 200))
    opacity = opacity * 10**jumps
    growth = np.asarray(optical_depths(opacity, layers))[1:]
    between = np.sort([opacity[1:], opacity[:-1]], axis=0) * np.diff(tau)[:, None]
    assert (growth >= (1 - OVERSHOOT) * between[0] * (1 - 1e-9)).all()
    assert (growth <= (1 + OVERSHOOT) * between[1] * (1 + 1e-9)).all()
    found = np.asarray(emergent_intensities(opacity, thermal(1 + np.log1p(tau)[:, None]), layers, MU))
    assert np.isfinite(found).all()
    assert (found > 0.9).all()


def test_single_precision_is_enough():
    """float32 against float64: 2e-6, what 36 additions of it lose."""
    opacity, layers, tau = atmosphere()
    source = thermal((1 + tau)[:, None])
    single = jax.tree.map(lambda part: np.asarray(part, np.float32), source)
    found = emergent_intensities(opacity.astype(np.float32), single, layers, MU)
    assert found.dtype == np.float32
    assert_allclose(found, emergent_intensities(opacity, source, layers, MU), rtol=5e-6)


def mean_intensity(share, source, layers=200):
    """J of a semi-infinite atmosphere with that share of scattering and tau from 1e-6 to 1e3."""
    opacity, grid, tau = atmosphere(first=1e-6, last=1e3, layers=layers)
    scattered = scattered_intensity((1 - share) * opacity, share * opacity, source(tau)[:, None], grid)
    return np.asarray(scattered)[:, 0], tau


@pytest.mark.parametrize("epsilon", [0.5, 0.1, 0.01])
def test_square_root_of_epsilon(epsilon):
    """S(0) = sqrt(epsilon) B where a share 1 - epsilon is scattered, B constant (Mihalas 1978, chapter 6)."""
    mean, _ = mean_intensity(1 - epsilon, np.ones_like)
    surface = (1 - epsilon) * mean[0] + epsilon
    assert surface == pytest.approx(np.sqrt(epsilon), rel=0.02)
    assert mean[-20:] == pytest.approx(1.0, abs=1e-3)  # thermal below


def test_mean_intensity_at_the_surface():
    """Without scattering J = Lambda B: for B = a + b tau J(0) = a/2 + b/4, and J = B deep (Mihalas 1978)."""
    mean, tau = mean_intensity(0.0, lambda tau: 1 + 2 * tau)
    assert mean[0] == pytest.approx(1.0, rel=0.01)
    deep = (tau > 10) & (tau < 500)
    assert mean[deep] == pytest.approx((1 + 2 * tau)[deep], rel=0.01)


def test_scattering_keeps_the_light_in():
    """J lies between 0 and the largest B, and more scattering of the same gas makes the surface darker."""
    pure, some, much = (mean_intensity(share, np.ones_like)[0] for share in (0.0, 0.5, 0.9))
    for mean in (pure, some, much):
        assert ((mean > 0) & (mean < 1 + 1e-9)).all()
    assert pure[0] > some[0] > much[0]


def lambda_twin(tau, source):
    """J by the Lambda transform on 20 000 points: 1/2 int S(t) E1(|t - tau|) dt (Schwarzschild 1906)."""
    fine = np.geomspace(1e-8, 60.0, 20001)
    middle, width = np.sqrt(fine[1:] * fine[:-1]), np.diff(fine)
    kernel = exp1(np.abs(middle - tau[:, None]))
    return 0.5 * (kernel * width) @ source(middle)


def test_against_the_lambda_transform():
    """Four angles and 200 layers to 1 %."""

    def source(tau):
        return 1 + tau / (1 + tau)

    mean, tau = mean_intensity(0.0, source)
    here = np.flatnonzero((tau > 1e-4) & (tau < 10))[::8]
    assert mean[here] == pytest.approx(lambda_twin(tau[here], source), rel=0.01)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_mean_intensity_is_of_the_fourth_order(share):
    """J on layers 0.17 dex apart against eight times as many; of the second order it lost 3e-4 to 6e-4."""
    coarse, tau = mean_intensity(share, lambda tau: 1 + 2 * tau / (1 + tau / 30), layers=55)
    fine, _ = mean_intensity(share, lambda tau: 1 + 2 * tau / (1 + tau / 30), layers=8 * 54 + 1)
    seen = tau < 3
    assert_allclose(coarse[seen], fine[::8][seen], rtol=1.5e-4)
