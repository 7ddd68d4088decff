"""The emission of a chromosphere in the Ca II cores: its shape, its weight, and how a spectrum gets it."""

from dataclasses import replace

import numpy as np
import pytest

from starloom import bands, broadening
from starloom.broadening import filling
from starloom.constants import ANGSTROM, SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError

RVS = bands.load("rvs")
(GRID,) = RVS.chunks
FINISH = broadening.finish_of(RVS).chunks[0]
STRONGEST = int(np.argmax(filling.RATIOS))


def core(spectrum, line: int) -> float:
    """At the centre of a line, on the synthesis' grid."""
    return float(np.interp(filling.CORES_AA[line], GRID.wavelength_aa, spectrum))


def test_unit_filling_is_one_in_the_core_of_8542():
    made = broadening.emission(GRID.wavelength_aa)
    for line, ratio in enumerate(filling.RATIOS):
        # to the other lines are 40 widths or more; linear between points of 0.7 km/s: 0.1 (0.7 / width)^2
        assert core(made, line) == pytest.approx(ratio, abs=1e-3)
    assert filling.RATIOS[1] == 1
    far = (
        np.abs(np.log(GRID.wavelength_aa[:, None] / filling.CORES_AA)).min(axis=1)
        > 6 * filling.WIDTH_KMS / 3e5
    )
    assert made[far].max() < 1e-7


def test_an_instrument_is_a_convolution():
    variance = broadening.instrument_variance(11500.0)
    seen = broadening.broaden(broadening.emission(GRID.wavelength_aa), GRID.step_kms, resolution=11500.0)
    np.testing.assert_allclose(broadening.emission(GRID.wavelength_aa, variance), seen, atol=1e-6)


def test_modes_are_those_of_the_emission_broadened_on_a_fine_grid():
    kept = broadening.keep(broadening.emission(GRID.wavelength_aa), RVS)
    amount = 0.6
    for vsini, resolution, velocity in ((0.0, 14500.0, 0.0), (30.0, 11500.0, 80.0), (200.0, 5000.0, -150.0)):
        view = {"vsini": vsini, "resolution": resolution}
        seen = FINISH.from_modes(
            amount * broadening.emission_modes(FINISH, 14500.0),
            **view,
            native_resolution=14500.0,
            radial_velocity=velocity,
        )
        fine = amount * broadening.emission(GRID.wavelength_aa)
        fine = broadening.broaden(fine, GRID.step_kms, **view, radial_velocity=velocity)
        exact = broadening.point_sampler(GRID.wavelength_aa, RVS.points.vacuum_aa)(fine)
        np.testing.assert_allclose(seen, exact, atol=1e-5)
        np.testing.assert_allclose(amount * FINISH(kept, **view, radial_velocity=velocity), exact, atol=1e-5)


def test_hot_stars_have_none_as_they_are_in_lte():
    pytest.importorskip("jax")
    from starloom.nlte import trust

    teff = np.array([3500.0, 7000.0, 7250.0, 7500.0, 7900.0, 8000.0, 15000.0])
    np.testing.assert_allclose(broadening.chromosphere(teff), trust(teff), atol=1e-6)
    assert broadening.chromosphere(teff)[[0, 1, 3, 5, 6]].tolist() == [1, 1, 0.5, 0, 0]
    ahead, behind = (broadening.chromosphere(teff + step) for step in (0.5, -0.5))
    np.testing.assert_allclose(broadening.chromosphere_slope(teff), ahead - behind, atol=2e-6)


def test_cores_are_where_the_atom_has_them():
    pytest.importorskip("jax")
    from starloom.nlte import atom

    found = np.sort(atom.WAVELENGTH[atom.TRIPLET]) / ANGSTROM
    assert SPEED_OF_LIGHT_KMS * np.abs(np.log(found / filling.CORES_AA)).max() < 0.05  # km/s


def spectra(teff, shape=()):
    """Made-up spectra of a flat continuum, of one Teff or several."""
    pytest.importorskip("jax")
    from starloom.synthesis import SyntheticSpectrum

    flux = np.full((*shape, GRID.points), 0.5, np.float32)
    return SyntheticSpectrum((flux,), (4 * flux,), RVS, {"teff": teff}, nlte=("Ca II",))


def test_a_spectrum_is_filled_by_its_continuum():
    made = spectra(5777.0)
    full = made.filled(0.3)
    np.testing.assert_allclose(
        full.normalized - made.normalized, 0.3 * broadening.emission(GRID.wavelength_aa), atol=1e-6
    )
    assert full.labels == {"teff": 5777.0, "filling": 0.3}
    assert full.spectrum().provenance["physics"].startswith("LTE but Ca II, Ca II cores filled (")
    half = spectra(7500.0).filled(0.3)
    np.testing.assert_allclose(half.normalized - 0.25, (full.normalized - 0.25) / 2, atol=1e-6)


def test_no_filling_and_no_chromosphere_leave_the_bits():
    for made, amount in ((spectra(5777.0), 0.0), (spectra(8000.0), 0.5)):
        full = made.filled(amount)
        np.testing.assert_array_equal(full.chunk_flux[0], made.chunk_flux[0])
        assert full.chunk_flux[0].dtype == np.float32
        assert full.labels["filling"] == amount


def test_several_stars_and_several_fillings():
    several = spectra(np.array([5000.0, 9000.0]), (2,)).filled([0.1, 0.2])
    assert several.labels["filling"].tolist() == [0.1, 0.2]
    assert core(several[0].normalized, 1) == pytest.approx(0.35, abs=1e-3)
    assert core(several[1].normalized, 1) == 0.25
    one = spectra(5000.0).filled([0.0, 0.1, 0.2])
    assert one.flux.shape == one.continuum.shape == (3, GRID.points)
    assert one[2].labels == {"teff": 5000.0, "filling": 0.2}


def test_what_cannot_be_filled():
    made = spectra(5777.0)
    for wrong in (-0.11, 0.61, np.nan):
        with pytest.raises(OutOfRangeError, match=r"^filling = \S+ is outside \[-0.1, 0.6\]$"):
            made.filled(wrong)
    from starloom.synthesis import synthesize_labels

    with pytest.raises(OutOfRangeError, match=r"^filling = 0.7 is outside"):
        synthesize_labels(5777, 4.44, 0, 1, filling=[0.1, 0.7])
    with pytest.raises(ConfigError, match="filling = 'much' is no real number"):
        made.filled("much")
    with pytest.raises(ConfigError, match=r"filling = 0.1: the spectrum has one already"):
        made.filled(0.1).filled(0.1)
    with pytest.raises(OutOfRangeError, match="teff is not given by the atmosphere: filling goes by it"):
        replace(made, labels={}).filled(0.1)
