"""Continuous opacities against published fits and values."""

import numpy as np
import pytest

from starloom import tables

TABLE = tables.load("continuum")
NAMES = TABLE["name"].tolist()

# John (1988, A&A 193, 189), table 3a: H- free-free for wavelengths above 0.3645 micron, 1e-29 cm4 dyn-1
JOHN = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [2483.3460, 285.8270, -2054.2910, 2827.7760, -1341.5370, 208.9520],
        [-3449.8890, -1158.3820, 8746.5230, -11485.6320, 5303.6090, -812.9390],
        [2200.0400, 2427.7190, -13651.1050, 16755.5240, -7510.4940, 1132.7380],
        [-696.2710, -1841.4000, 8624.9700, -10051.5300, 4400.0670, -655.0200],
        [88.2830, 444.5170, -1863.8640, 2095.2880, -901.7880, 132.9850],
    ]
)


def h_minus_free_free(wavelength_aa, theta):
    micron = wavelength_aa / 1e4
    in_wavelength = JOHN @ micron ** np.array([2.0, 0.0, -1.0, -2.0, -3.0, -4.0])
    return 1e-29 * (theta ** (np.arange(2, 8) / 2)) @ in_wavelength


@pytest.mark.parametrize("wavelength", [5064.41, 7597.09, 9115.50])
@pytest.mark.parametrize("theta", [0.6, 1.0, 1.4])
def test_h_minus_free_free(wavelength, theta):
    i = TABLE["h_minus_ff_theta"].tolist().index(theta)
    j = TABLE["h_minus_ff_wavelength_aa"].tolist().index(wavelength)
    # John fits Bell & Berrington (1987) to 1 % and gives cm4 dyn-1 as the table's unit says; table: 3 digits
    assert 1e-26 * TABLE["h_minus_ff_value"][i, j] == pytest.approx(
        h_minus_free_free(wavelength, theta), rel=0.02
    )


def test_h_minus_bound_free():
    wavelength, value = TABLE["h_minus_bf_wavelength_aa"], TABLE["h_minus_bf_value"]
    visible = (wavelength > 4000) & (wavelength < 16500)
    peak = value[visible].argmax()
    # Wishart (1979): 3.93e-17 cm2 at 8500 A; McLaughlin et al. (2017) agree to 3 %
    assert value[visible][peak] == pytest.approx(3.93e-17, rel=0.03)
    assert 8200 < wavelength[visible][peak] < 8700
    assert wavelength[-1] == pytest.approx(12398.42 / 0.754204, abs=5.0)  # threshold: affinity 0.754204 eV


@pytest.mark.parametrize(("n", "at_edge"), [(1, 0.797), (2, 0.876), (3, 0.907), (4, 0.925)])
def test_gaunt_factors_at_the_edges(n, at_edge):
    """Karzas & Latter (1961); for n > 1 near 1 - 0.1728 n^-2/3 (Menzel & Pekeris 1935, first order)."""
    name = f"h_bf_gaunt_{n:02d}"
    assert TABLE[f"{name}_value"][-1] == pytest.approx(at_edge, abs=1e-3)
    # the edges are written to 0.1 A, in vacuum
    assert TABLE[f"{name}_wavelength_aa"][-1] == pytest.approx(911.7633 * n**2, rel=5e-4)
    if n > 1:
        assert TABLE[f"{name}_value"][-1] == pytest.approx(1 - 0.1728 * n ** (-2 / 3), abs=0.02)


def test_axes_and_signs():
    for name in NAMES:
        value, wavelength = TABLE[f"{name}_value"], TABLE[f"{name}_wavelength_aa"]
        assert (np.diff(wavelength) > 0).all(), name
        assert (value >= 0).all(), name
        axes = [TABLE[key] for key in (f"{name}_theta", f"{name}_temperature") if key in TABLE]
        assert value.shape == (*(len(axis) for axis in axes), len(wavelength)), name
        assert all((np.diff(axis) > 0).all() for axis in axes), name


def test_every_absorber_says_its_unit_and_interpolation():
    assert len(NAMES) == len(TABLE["units"]) == len(TABLE["interpolation"]) == len(set(NAMES))
    assert all(TABLE["units"])
    keys = {f"{name}_{part}" for name in NAMES for part in ("value", "wavelength_aa", "theta", "temperature")}
    assert set(TABLE) <= keys | {"name", "units", "interpolation"}


def test_only_oh_ends_below_the_rvs_range():
    ends = {name for name in NAMES if TABLE[f"{name}_wavelength_aa"][-1] < 8820.0}
    assert ends == {"oh_continuum", "h_bf_gaunt_01", "h_bf_gaunt_02", "h_bf_gaunt_03"}
    starts = {name for name in NAMES if TABLE[f"{name}_wavelength_aa"][0] > 8380.0}
    assert starts == {"h2o_minus_ff"}
