"""The packaged list of atomic lines: laws it must obey and published values it must hold."""

import numpy as np
import pytest

from starloom import bands, tables
from starloom.wavelength import vacuum_from_air


@pytest.fixture(scope="module")
def lines():
    return tables.load("atomic_lines", bands.load("rvs").tables)


def select(lines, number, charge, low, high):
    """Indices of one ion's lines between two wavelengths [A, air]."""
    wavelength = lines["wavelength_aa"]
    ion = (lines["atomic_number"] == number) & (lines["charge"] == charge)
    return np.flatnonzero(ion & (wavelength > low) & (wavelength < high))


def test_every_line_is_complete_and_in_order(lines):
    count = lines["wavelength_aa"].size
    assert np.all(np.diff(lines["wavelength_aa"]) >= 0)
    assert 8380 <= lines["wavelength_aa"][0] < lines["wavelength_aa"][-1] <= 8820
    for key in ("log_gf", "energy_low_ev", "gamma_radiative", "log_gamma_stark", "log_gamma_waals"):
        assert lines[key].shape == (count,)
        assert np.all(np.isfinite(lines[key])), key
    assert lines["strength"].shape == (count, lines["strength_temperature"].size)
    assert np.all(np.isfinite(lines["strength"]) & (lines["strength"] >= 0))
    assert np.array_equal(np.isnan(lines["abo_sigma"]), np.isnan(lines["abo_alpha"]))


def test_widths_are_physical(lines):
    # natural widths: 1e3 (forbidden) to 1e10 s-1 (autoionising); van der Waals widths per atom at 1e4 K:
    # 100 to 1e5 a0^2 times 1e6 cm/s
    assert 1e3 < lines["gamma_radiative"].min() <= lines["gamma_radiative"].max() < 1e10
    assert -9 < lines["log_gamma_waals"].min() <= lines["log_gamma_waals"].max() < -4.5
    assert -8.1 < lines["log_gamma_stark"].min() <= lines["log_gamma_stark"].max() < -1


def test_calcium_triplet(lines):
    # wavelengths: Edlen & Risberg (1956); lower levels 13650.19 and 13710.88 cm-1 (NIST); log10 of the full
    # width per hydrogen atom at 1e4 K = -7.68: Barklem & O'Mara (1998)
    triplet = [index for index in select(lines, 20, 1, 8490, 8670) if lines["energy_low_ev"][index] < 2]
    assert lines["wavelength_aa"][triplet] == pytest.approx([8498.02, 8542.09, 8662.14], abs=0.005)
    assert lines["energy_low_ev"][triplet] == pytest.approx([1.6924, 1.6999, 1.6924], abs=0.0006)
    assert lines["log_gamma_waals"][triplet] == pytest.approx([-7.68] * 3, abs=0.01)


def test_sulphur_multiplet_obeys_the_sum_rule(lines):
    # in LS coupling the lines from each level of 4p 5P (J = 1, 2, 3; weights 3, 5, 7) sum to a gf in
    # proportion to the weight; 0.02 dex is the rounding of three two-decimal values
    indices = [i for i in select(lines, 16, 0, 8670, 8695) if lines["source"][i] == 1]
    assert len(indices) == 9
    levels = np.round(lines["energy_low_ev"][indices], 3)
    sums = [np.log10(np.sum(10 ** lines["log_gf"][indices][levels == level])) for level in np.unique(levels)]
    assert np.subtract(sums, np.log10([3, 5, 7])) == pytest.approx(
        np.full(3, np.mean(sums) - np.log10(105) / 3), abs=0.02
    )


def test_neon_lines_share_an_upper_level(lines):
    # four lines end on 3d' [3/2] 1 at 162435.677 cm-1 (Saloman & Sansonetti 2004); 0.1 cm-1 are the 1e-5 eV
    # to which energies are rounded
    indices = [select(lines, 10, 0, w - 0.01, w + 0.01)[0] for w in (8571.353, 8635.318, 8679.494, 8771.656)]
    upper = lines["energy_low_ev"][indices] / 1.239841984e-4 + 1e8 / vacuum_from_air(
        lines["wavelength_aa"][indices]
    )
    assert upper == pytest.approx(162435.677, abs=0.1)


def test_helium_wavelengths(lines):
    # 3p 3P - 9d 3D: NIST ASD gives 8776.6-8776.8 for its components; n = 10 and 11 follow towards the limit
    helium = select(lines, 2, 0, 8380, 8820)
    strongest = helium[np.argsort(lines["log_gf"][helium])[-3:]]
    assert np.sort(lines["wavelength_aa"][strongest]) == pytest.approx([8444.5, 8582.6, 8776.75], abs=0.1)


def test_strengths_rank_lines_as_stars_do(lines):
    # strongest: Ca II 8542 at every temperature up to 12000 K; O I 8446 beats Fe I 8688 from 8000 K on
    strongest = lines["wavelength_aa"][lines["strength"].argmax(axis=0)]
    assert strongest[:5] == pytest.approx(8542.09, abs=0.01)
    iron = select(lines, 26, 0, 8688.5, 8688.8)
    oxygen = select(lines, 8, 0, 8446.3, 8446.8)
    hotter = lines["strength"][oxygen].max(axis=0) > lines["strength"][iron].max(axis=0)
    assert not hotter[lines["strength_temperature"] <= 5000].any()
    assert hotter[lines["strength_temperature"] >= 8000].all()
