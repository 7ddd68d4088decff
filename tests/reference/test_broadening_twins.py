"""Slow twins of the kernels: a star's disk summed point by point, convolutions as integrals over velocity."""

from math import log, sqrt

import numpy as np
import pytest

from starloom import bands, broadening
from starloom.constants import SPEED_OF_LIGHT_KMS

STEP_KMS = broadening.uniform_step(bands.load("rvs").chunks[0].wavelength_aa)
CENTRE_AA = bands.load("rvs").chunks[0].wavelength_aa[10935]


def spectrum(wavelength_aa):
    """Three lines, one of them blended, as a function defined at every wavelength."""
    velocity = SPEED_OF_LIGHT_KMS * np.log(wavelength_aa / CENTRE_AA)
    deep = 0.9 * np.exp(-0.5 * (velocity / 2.0) ** 2)
    blend = 0.3 * np.exp(-0.5 * ((velocity - 9.0) / 3.0) ** 2)
    broad = 0.2 / (1 + ((velocity + 60.0) / 12.0) ** 2)
    return 1 - deep - blend - broad


def seen_from_a_disk(wavelength_aa, vsini, limb_darkening, columns, rows):
    """The disk's light, each point of it with its own Doppler shift and brightness.

    Gauss-Legendre in the two angles of x = sin(a), y = cos(a) sin(b), which makes the integrand smooth at the
    limb.
    """
    angle, weight = np.polynomial.legendre.leggauss(columns)
    other, other_weight = np.polynomial.legendre.leggauss(rows)
    total, brightness = np.zeros_like(wavelength_aa), 0.0
    for a, wa in zip(angle * np.pi / 2, weight, strict=True):
        beta = vsini * np.sin(a) / SPEED_OF_LIGHT_KMS
        moved = spectrum(wavelength_aa * sqrt((1 - beta) / (1 + beta)))
        for b, wb in zip(other * np.pi / 2, other_weight, strict=True):
            mu = np.cos(a) * np.cos(b)
            light = wa * wb * np.cos(a) ** 2 * np.cos(b) * (1 - limb_darkening + limb_darkening * mu)
            total += light * moved
            brightness += light
    return total / brightness


@pytest.mark.parametrize(("vsini", "columns"), [(0.1, 8), (2.0, 24), (10.0, 60), (60.0, 200), (300.0, 700)])
@pytest.mark.parametrize("limb_darkening", [0.0, 0.6])
def test_rotation_is_the_sum_over_a_disk(vsini, columns, limb_darkening):
    near = np.flatnonzero(
        np.abs(bands.load("rvs").chunks[0].wavelength_aa / CENTRE_AA - 1) * SPEED_OF_LIGHT_KMS < vsini + 20
    )
    near = near[:: max(1, near.size // 100)]
    expected = seen_from_a_disk(
        bands.load("rvs").chunks[0].wavelength_aa[near], vsini, limb_darkening, columns, 12
    )
    found = broadening.broaden(
        spectrum(bands.load("rvs").chunks[0].wavelength_aa),
        STEP_KMS,
        vsini=vsini,
        limb_darkening=limb_darkening,
    )
    # J1 is good to 1.4e-8; the Lorentzian wing is cut off at the grid's ends by 1e-6 of the continuum
    assert np.max(np.abs(found[near] - expected)) < 1e-6


@pytest.mark.parametrize("resolution", [5000.0, 11500.0, 100000.0])
def test_the_instrument_is_an_integral_over_velocity(resolution):
    sigma = SPEED_OF_LIGHT_KMS / resolution / (2 * sqrt(2 * log(2)))
    offset = np.linspace(-9 * sigma, 9 * sigma, 2001)
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    profile /= profile.sum()
    near = slice(10935 - 300, 10935 + 300, 5)
    shifted = bands.load("rvs").chunks[0].wavelength_aa[near, None] * np.exp(-offset / SPEED_OF_LIGHT_KMS)
    expected = spectrum(shifted) @ profile
    found = broadening.broaden(
        spectrum(bands.load("rvs").chunks[0].wavelength_aa), STEP_KMS, resolution=resolution
    )
    assert np.max(np.abs(found[near] - expected)) < 1e-8


def test_a_resolution_that_varies_is_an_integral_at_each_wavelength():
    target = np.linspace(CENTRE_AA - 4, CENTRE_AA + 4, 60)
    resolution = np.linspace(5000.0, 14500.0, 60)
    sigma = SPEED_OF_LIGHT_KMS / resolution / (2 * sqrt(2 * log(2)))
    offset = np.linspace(-8, 8, 4001)
    profile = np.exp(-0.5 * offset**2)
    expected = (
        spectrum(target[:, None] * np.exp(-offset * sigma[:, None] / SPEED_OF_LIGHT_KMS))
        @ profile
        / profile.sum()
    )
    found = broadening.instrument_sampler(bands.load("rvs").chunks[0].wavelength_aa, target, resolution)(
        spectrum(bands.load("rvs").chunks[0].wavelength_aa)
    )
    assert np.max(np.abs(found - expected)) < 1e-8


def test_radial_tangential_macroturbulence_is_a_sum_over_a_disk():
    # equal areas move radially and tangentially (Gray 1975); mu = cos(theta) weighted with its projected area
    zeta, near = 15.0, slice(10935 - 120, 10935 + 120, 8)
    velocity = SPEED_OF_LIGHT_KMS * np.log(bands.load("rvs").chunks[0].wavelength_aa[near] / CENTRE_AA)
    node, weight = np.polynomial.legendre.leggauss(80)
    angle, weight = (node + 1) * np.pi / 4, weight * np.pi / 4
    expected = np.zeros_like(velocity)
    for theta, w in zip(angle, weight, strict=True):
        for speed in (zeta * np.cos(theta), zeta * np.sin(theta)):
            offset = np.linspace(-6, 6, 601) * speed
            profile = np.exp(-((offset / speed) ** 2))
            moved = spectrum(CENTRE_AA * np.exp((velocity[:, None] - offset) / SPEED_OF_LIGHT_KMS))
            expected += w * np.sin(theta) * np.cos(theta) * (moved @ profile) / profile.sum()
    found = broadening.broaden(
        spectrum(bands.load("rvs").chunks[0].wavelength_aa), STEP_KMS, macroturbulence=zeta
    )
    assert np.max(np.abs(found[near] - expected)) < 1e-6
