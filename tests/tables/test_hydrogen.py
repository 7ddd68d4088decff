"""Paschen lines: profiles, wavelengths and strengths."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline, make_interp_spline

from starloom import tables

LEMKE = tables.load("hydrogen_profiles")
TREMBLAY = tables.load("hydrogen_profiles_tremblay")


@pytest.mark.parametrize("table", [LEMKE, TREMBLAY], ids=["Lemke", "Tremblay"])
def test_profiles_integrate_to_one(table):
    """Twice the integral of S over alpha > 0: cubic spline in log alpha, constant within the first point."""
    integral = np.empty(table["log_profile"].shape[:3])
    for i, log_alpha in enumerate(table["log_alpha"]):
        fine = np.linspace(log_alpha[0], log_alpha[-1], 1000)
        log_s = CubicSpline(log_alpha, table["log_profile"][i].astype(float), axis=-1)(fine)
        product = 10 ** (log_s + fine)
        integral[i] = 2 * (product[..., 0] + np.trapezoid(product, fine, axis=-1) * np.log(10))
    used = np.ix_(table["upper"] >= 10, table["log_electron_density"] >= 12.0, range(7))
    # the sources' accuracy: points are 0.2 dex apart, and at low density the Doppler core falls between two
    assert np.abs(integral[used] - 1).max() < 0.04
    assert np.abs(integral - 1).max() < 0.075


def test_wings_fall_as_holtsmark():
    slope = (LEMKE["log_profile"][..., -1] - LEMKE["log_profile"][..., -2]) / 0.2
    # the last points of a line that is not continued, to their four decimals
    assert np.abs(slope + 2.5).max() < 0.02


@pytest.mark.parametrize("table", [LEMKE, TREMBLAY], ids=["Lemke", "Tremblay"])
def test_cubic_interpolation_finds_left_out_points(table):
    """Every second alpha left out: linear interpolation, as other codes do, comes out 0.04 dex too low.

    Means weighted by the absorption at each point, lines 10-18, log ne = 12-16, 4000-20 000 K.  At the true
    spacing a quarter of that is left of the linear error, 2 % of a profile, a sixteenth of the cubic one.
    """
    lines = np.flatnonzero((table["upper"] >= 10) & (table["upper"] <= 18))
    errors = {"linear": [], "cubic": []}
    for line in lines:
        alpha, log_s = table["log_alpha"][line], table["log_profile"][line, 4:13, 1:4].astype(float)
        kept, dropped = slice(0, None, 2), slice(1, -1, 2)
        absorbs = 10 ** (log_s[..., dropped] + alpha[dropped])
        absorbs /= absorbs.sum(axis=-1, keepdims=True)
        for name, degree in (("linear", 1), ("cubic", 3)):
            made = make_interp_spline(alpha[kept], log_s[..., kept], k=degree, axis=-1)(alpha[dropped])
            errors[name].append(((made - log_s[..., dropped]) * absorbs).sum(axis=-1))
    assert np.mean(errors["linear"]) == pytest.approx(-0.043, abs=0.004)
    assert np.mean(errors["cubic"]) == pytest.approx(0.0, abs=0.003)


def test_axes():
    for table in (LEMKE, TREMBLAY):
        assert table["upper"].tolist() == list(range(4, 23))
        lines, densities, temperatures = (
            table[key] for key in ("log_alpha", "log_electron_density", "log_temperature")
        )
        assert table["log_profile"].shape == (19, len(densities), len(temperatures), lines.shape[1])
        assert np.isfinite(table["log_profile"]).all()
        assert np.allclose(np.diff(lines), 0.2)
        assert densities[[0, -1]].tolist() == [10.0, 18.0]
        assert 10 ** temperatures[[0, -1]] == pytest.approx([2500.0, 160000.0], rel=1e-4)


def test_theories_differ_in_the_wing_of_3_12():
    """Tremblay & Bergeron (2009) lie 0.3 dex below Lemke (1997) at 40-80 A, ne = 1e14 cm-3, T = 10000 K."""
    f0 = 1.25e-9 * 10 ** (14 * 2 / 3)
    log_alpha = np.log10(np.array([40.0, 80.0]) / f0)
    values = []
    for table in (LEMKE, TREMBLAY):
        i = table["upper"].tolist().index(12)
        density = table["log_electron_density"].tolist().index(14.0)
        temperature = np.abs(table["log_temperature"] - 4.0).argmin()
        values.append(
            np.interp(log_alpha, table["log_alpha"][i], table["log_profile"][i, density, temperature])
        )
    assert values[0] - values[1] == pytest.approx([0.3, 0.3], abs=0.05)


@pytest.mark.parametrize(
    ("upper", "vacuum"),
    # levels of NIST's Atomic Spectra Database (Kramida 2010), each averaged with weights 2j + 1
    [(4, 18756.13), (5, 12821.58), (6, 10941.09)],
)
def test_measured_wavelengths(upper, vacuum):
    i = LEMKE["upper_all"].tolist().index(upper)
    assert LEMKE["vacuum_wavelength_aa"][i] == pytest.approx(vacuum, abs=0.02)


def test_wavelength_of_3_12_in_air():
    """8750.47 A; refractive index of standard air there 1.00027462 (Ciddor 1996)."""
    i = LEMKE["upper_all"].tolist().index(12)
    assert LEMKE["vacuum_wavelength_aa"][i] / 1.00027462 == pytest.approx(8750.47, abs=0.01)


@pytest.mark.parametrize(("upper", "f"), [(4, 0.8421), (5, 0.1506), (6, 0.05584), (7, 0.02768), (8, 0.01604)])
def test_oscillator_strengths(upper, f):
    """Wiese, Smith & Glennon (1966), table of hydrogen: four digits."""
    i = LEMKE["upper_all"].tolist().index(upper)
    assert 10 ** LEMKE["log_gf"][i] / 18 == pytest.approx(f, rel=5e-4)


def test_strengths_join_the_continuum():
    """f n^3 of high lines tends to a constant (Menzel & Pekeris 1935): within 1 % between n = 50 and 60."""
    n = LEMKE["upper_all"].astype(float)
    product = 10 ** LEMKE["log_gf"] * n**3
    assert product[-1] == pytest.approx(product[-11], rel=0.01)
