"""Instruments whose profile is no Gaussian of one resolving power."""

import numpy as np
import pytest

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, ParseError
from starloom.inference import Settings, fit
from starloom.inference.instrument import instrument_of, pairs, read_pairs
from starloom.spectrum import Spectrum

WAVELENGTH_AA = 8465 + 0.2 * np.arange(1350)
STAR = {"teff": 4600.0, "logg": 1.4, "mh": -0.5, "alpha": 0.1, "Ca": 0.1, "vsini": 5.0}
ENDS = ((8440.0, 8500.0), (8760.0, 12500.0))
VELOCITY = np.linspace(-70, 70, 141)
CORE, WING, MOVED = 11.0, 20.0, 6.0  # km/s
PROFILE = 0.8 * np.exp(-((VELOCITY / CORE) ** 2) / 2) + 0.2 * np.exp(-(((VELOCITY - MOVED) / WING) ** 2) / 2)
NONE = {"resolution_table": (), "line_spread": ()}


def seen(toy, resolution, velocity=0.0):
    row = toy.domain.array(**STAR, resolution=resolution)
    return toy.flux(row, wavelength_aa=WAVELENGTH_AA, medium="vacuum", radial_velocity=velocity).astype(float)


def spectrum(flux, **about):
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": about}
    return Spectrum(WAVELENGTH_AA, flux, error=np.full(flux.size, 1 / 200), **about)


def varying(toy):
    """Each pixel from spectra at resolutions around its own."""
    grid = np.linspace(8400, 12600, 85)
    every = np.array([seen(toy, each) for each in grid])
    resolution = np.interp(WAVELENGTH_AA, *np.array(ENDS).T)
    return np.array([np.interp(r, grid, column) for r, column in zip(resolution, every.T, strict=True)])


def sampled(toy):
    """A core and a displaced wing, as the model shows Gaussians of their widths."""
    parts = [(0.8 * CORE, CORE, 0.0), (0.2 * WING, WING, MOVED)]
    fluxes = [w * seen(toy, SPEED_OF_LIGHT_KMS / 2.3548 / sigma, v) for w, sigma, v in parts]
    return sum(fluxes) / sum(w for w, _, _ in parts)


def test_a_resolution_that_varies(toy):
    """Rotation of 5 km/s is found to a tenth; with one resolution for all chi2 is larger."""
    result = fit(spectrum(varying(toy)), toy, starts=2, resolution_table=ENDS)
    assert result.labels["vsini"] == pytest.approx(5, abs=0.5)
    assert result.labels["teff"] == pytest.approx(4600, abs=3)
    assert result.chi2 < 0.5
    told = fit(spectrum(varying(toy), resolution_table=[list(pair) for pair in ENDS]), toy, starts=2)
    assert told.labels == result.labels
    one = fit(spectrum(varying(toy), resolution=10500.0), toy, starts=2)
    assert one.chi2 > 5 * result.chi2
    function = fit(spectrum(varying(toy)), toy, starts=2, resolution_table=lambda x: 8500 + 12.5 * (x - 8440))
    assert function.labels["vsini"] == pytest.approx(result.labels["vsini"], abs=0.05)


def test_a_sampled_profile(toy):
    result = fit(spectrum(sampled(toy)), toy, starts=2, line_spread=list(zip(VELOCITY, PROFILE, strict=True)))
    assert result.labels["vsini"] == pytest.approx(5, abs=2.5)
    assert result.labels["teff"] == pytest.approx(4600, abs=10)
    assert abs(result.velocity) < 0.1
    sigma = SPEED_OF_LIGHT_KMS / 2.3548 / result.labels["resolution"]
    assert sigma == pytest.approx(np.sqrt((0.8 * CORE**3 + 0.2 * WING * (WING**2 + 36)) / 12.8), rel=0.02)


def test_the_gaussians_are_the_profile():
    """To a hundredth of its height, with weights of one in all."""
    resolution, found = instrument_of(
        {**NONE, "line_spread": pairs("x", np.stack([VELOCITY, PROFILE], 1))}, WAVELENGTH_AA
    )
    sigma = SPEED_OF_LIGHT_KMS / 2.3548 / resolution / found.scales[:, None]
    each = np.exp(-(((VELOCITY - found.shifts_kms[:, None]) / sigma) ** 2) / 2) / sigma
    made = found.weights[:, 0] @ each
    assert np.abs(made / made.max() - PROFILE / PROFILE.max()).max() < 0.02
    assert found.weights.sum(axis=0) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution_table": [(8500, 1e4)]}, "resolution_table: needs two rows or more"),
        ({"resolution_table": [(8500, 1e4), (8400, 1e4)]}, "its first column does not rise"),
        ({"resolution_table": [(8400, 1e4), (8500, np.nan)]}, "row 2, 8500 nan, is not finite"),
        ({"resolution_table": "R"}, "resolution_table: not a table of numbers"),
        ({"resolution_table": ENDS, "resolution": 11500.0}, "give one of them"),
        ({"resolution_table": ENDS, "line_spread": [(0, 1), (1, 1)]}, "give one of them"),
    ],
)
def test_what_is_no_instrument(options, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution_table": [(8500, 1e4), (8600, 1e4)]}, r"8500.0..8600.0 A does not cover"),
        ({"resolution_table": [(8400, -1e4), (8900, 1e3)]}, r"R = -10000 at 8400 A is not above 0"),
        ({"resolution_table": [(8400, 1e4), (8900, -5)]}, r"is not above 0"),
        ({"line_spread": [(-20, 1), (-19, 0), (19, 0), (20, 1)]}, "no sum of Gaussians"),
        ({"line_spread": [(-20, 0), (0, -1), (20, 1)]}, "no negative values"),
        ({"line_spread": [(-20, 0), (20, 0)]}, "above 0 somewhere"),
        ({"line_spread": [(-20, 0), (0, 1), (20, 0)]}, "no sum of Gaussians"),
        ({"line_spread": [(500, 0), (510, 1), (520, 0)]}, r"510 km/s, is outside \[-100"),
    ],
)
def test_instruments_that_spectra_cannot_have(toy, options, message):
    with pytest.raises(ConfigError, match=message):
        fit(spectrum(np.ones(WAVELENGTH_AA.size)), toy, **options)


def test_tables_of_two_columns(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("# wavelength, R\n8400, 9800\n8800 13200  # the red end\n\n")
    assert read_pairs(path) == ((8400.0, 9800.0), (8800.0, 13200.0))
    path.write_text("8400 1\n8500\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with pytest.raises(ParseError, match="not a text file"):
        read_pairs(tmp_path / "binary")
    with pytest.raises(ParseError, match="line 2: not two numbers"):
        read_pairs(path)
