"""The packaged tables against tables made independently; each difference is stated with its reason.

Skipped where those tables are not beside the repository.
"""

import csv
import json

import numpy as np
import pytest

from starloom import tables

SYMBOLS = tables.load("abundances")["symbol"].tolist()


def rows(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


# elements of GS98 for which ATLAS9, which is packaged, and the other collection took different meteorites
OTHER_METEORITES = {"Se", "Kr", "Xe", "Cs", "Tb", "Ta", "Re", "Hg", "Th", "U"}


@pytest.mark.parametrize(
    ("mixture", "key", "differ"),
    [
        ("grevesse_sauval_1998", "GS98", OTHER_METEORITES),
        ("asplund_2009", "AGSS09", set()),
        ("asplund_2021", "AAG21", set()),
    ],
)
def test_abundances(expected, mixture, key, differ):
    other = json.loads((expected / "solar_abundances.json").read_text())[key]
    packaged = dict(zip(SYMBOLS, tables.load("abundances")[mixture].tolist(), strict=True))
    # the other collection writes -12 for "none"
    unequal = {symbol for symbol, value in other.items() if value > -12 and packaged[symbol] != value}
    assert unequal == differ
    assert all(abs(packaged[symbol] - other[symbol]) < 0.5 for symbol in unequal)


def test_ionisation_energies(expected):
    energy = tables.load("ionization_energies")["energy_ev"]
    compared = 0
    for row in rows(expected / "ionization_energies.csv"):
        z, charge = int(row["Z"]), int(row["charge"])
        if z <= 92 and charge < 4:
            assert energy[z - 1, charge] == float(row["E_eV"]), row
            compared += 1
    assert compared == np.isfinite(energy).sum()


def test_atoms_of_barklem_and_collet(expected):
    other = np.load(expected / "partition_atoms_bc16.npz")
    packaged = tables.load("partition_functions")
    nodes = other["T"][(other["T"] >= 1000.0)]
    difference = []
    for z, symbol in enumerate(SYMBOLS, start=1):
        for charge, stage in enumerate(("I", "II", "III")[: min(z + 1, 3)]):
            q = other["Q"][other["species"] == f"{symbol}_{stage}", -len(nodes) :].squeeze()
            mine = np.interp(np.log(nodes), np.log(packaged["temperature"]), packaged["log_q"][z - 1, charge])
            difference.append(np.abs(mine - np.log(q)).max())
    # at their own temperatures, between points of the packaged grid: interpolation only
    assert max(difference) < 2e-3


def test_atoms_of_kurucz_above_10000_kelvin(expected):
    """The packaged ln Q is Kurucz's plus a constant, but for ions where that constant would exceed ln 1.5."""
    other = np.load(expected / "partition_kurucz_lightweaver.npz")
    packaged = tables.load("partition_functions")
    hot = (packaged["temperature"] > 10000.0) & (packaged["temperature"] < 90000.0)
    x = np.log(packaged["temperature"][hot])
    differ = set()
    for z in range(2, 93):
        for charge in range(min(4, z, len(other[f"Z{z}"]))):
            dense = np.interp(x, np.log(other["T"]), np.log(other[f"Z{z}"][charge]))
            shift = packaged["log_q"][z - 1, charge, hot] - dense
            if np.ptp(shift) > 0.02:
                differ.add((SYMBOLS[z - 1], charge))
    light = {(symbol, charge) for symbol, charge in differ if SYMBOLS.index(symbol) < 30}
    assert light == {("Mg", 1), ("Al", 0), ("Si", 1), ("K", 0)}
    heavy = {symbol for symbol, _ in differ - light}
    assert heavy <= set(SYMBOLS[40:92])


def test_molecular_partition_functions(expected):
    table = rows(expected / "partition_molecules_exomol.csv")
    spin, table = table[0], table[1:]
    packaged = tables.load("molecular_partition_functions")
    # the nuclear-spin weight of two protons is 4, where the other collection took 2 and 1
    factor = {"H2O": 4 / 2, "H2S": 4 / 1}
    for name, log_q in zip(packaged["name"].tolist(), packaged["log_q"], strict=True):
        temperature = np.array([float(row["T"]) for row in table])
        other = np.array([float(row[name] or "nan") for row in table]) / factor.get(name, 1.0)
        here = np.isin(temperature, packaged["temperature"]) & np.isfinite(other)
        at = np.searchsorted(packaged["temperature"], temperature[here])
        assert here.sum() >= 10, name
        assert np.exp(log_q[at]) == pytest.approx(other[here], rel=2e-5), (name, spin[name])


# molecules whose log10 Kp at 3500 K is more than 0.05 dex from the independent thermochemistry (JANAF and
# others); 0.04 eV in the dissociation energy are 0.06 dex
OTHER_THERMOCHEMISTRY = {
    "C2",  # D0 6.2476 eV (Borsovszky et al. 2021) here, near 6.15 (JANAF's review of 1969) there
    "CN",  # D0 7.724 eV here, near 7.78 there
    "VO",  # D0 6.437 eV here, near 6.53 there
    "TiO",  # ExoMol's partition function and D0 6.87 eV here, near 6.91 there
    "HCN",  # enthalpy of formation 6 kJ/mol below JANAF's here
    "CH",  # D0 3.465 eV here, near 3.51 there
    "AlH",  # D0 2.99 eV here, near 2.93 there
    "YO",  # D0 7.413 eV (Pedley & Marshall 1983) here, near 7.36 there
}


def test_equilibrium_constants(expected):
    table = tables.load("equilibrium_constants")
    names = table["name"].tolist()
    polynomials = dict(zip(names, table["coefficients"], strict=True))
    differ = {}
    for row in rows(expected / "equilibrium_compare.csv"):
        name = {"HS": "SH"}.get(row["molecule"], row["molecule"])
        other = float(row["log10Kp_fastchem4"])
        if row["T"] == "3500" and np.isfinite(other):
            mine = np.polynomial.Polynomial(polynomials[name])(5040 / 3500)
            differ[name] = mine - other
    assert len(differ) > 30
    assert {name for name, value in differ.items() if abs(value) > 0.05} == OTHER_THERMOCHEMISTRY
    assert max(map(abs, differ.values())) < 0.2


@pytest.mark.parametrize(
    ("name", "file"),
    [("hydrogen_profiles", "hprof_lemke.npz"), ("hydrogen_profiles_tremblay", "hprof_tremblay.npz")],
)
def test_hydrogen_profiles(expected, name, file):
    packaged, other = tables.load(name), np.load(expected / file)
    for upper, log_alpha, profile in zip(
        packaged["upper"], packaged["log_alpha"], packaged["log_profile"], strict=True
    ):
        log_s = other[f"3_{upper}_logS"]
        densities, _, points = log_s.shape
        assert np.allclose(log_alpha[:points], other[f"3_{upper}_logalpha"], atol=1e-6)
        assert np.array_equal(profile[:densities, :, :points], log_s)


def test_hydrogen_wavelengths_and_strengths(expected):
    """The other list has the wavelengths of the non-relativistic Rydberg formula: 0.046-0.053 A redder."""
    packaged = tables.load("hydrogen_profiles")
    for row in rows(expected.parent / "lines" / "hydrogen_paschen.csv"):
        i = packaged["upper_all"].tolist().index(int(row["n_up"]))
        assert 0.040 < float(row["wavelength_vac"]) - packaged["vacuum_wavelength_aa"][i] < 0.055
        # its Gaunt factor is a fit, good to 0.4 %
        assert float(row["loggf"]) == pytest.approx(packaged["log_gf"][i], abs=0.002)


def test_continuum(expected):
    packaged, other = tables.load("continuum"), np.load(expected / "continuum_jonabs.npz")
    for entry, name in zip(json.loads(str(other["meta"])), packaged["name"].tolist(), strict=True):
        key = f"{entry['idx']:02d}"
        assert np.array_equal(other[f"{key}_wl"], packaged[f"{name}_wavelength_aa"])
        assert np.array_equal(np.squeeze(other[f"{key}_K"]), packaged[f"{name}_value"])
        if entry["nt"] > 1:
            axis = "theta" if entry["T_is_theta"] else "temperature"
            assert np.array_equal(other[f"{key}_T"], packaged[f"{name}_{axis}"])
