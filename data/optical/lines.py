"""Atomic lines of the band ``optical``: Gaia-ESO first, what VALD has beyond it, He I and Ne I."""

import csv
import io
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from atomic_lines import build as atoms
from atomic_lines.build import Line
from sources import read_member

from starloom.constants import SPEED_OF_LIGHT, SYMBOLS
from starloom.wavelength import air_from_vacuum

LOW_AA, HIGH_AA = 4150.0, 9260.0  # air
GAIA_ESO_AA = (4200.0, 9200.0)  # what that list covers
MASKS = {  # VALD3 extracts for one star each, by type, and their SHA-256: arve 0.8.3
    "F0": "1ae295a99911daad19be1165fd3db58ead33ab0daf4d2c328e5de595e81e19d0",
    "F2": "a34b2cd57029ed454e379fee55676b67244310ca083e169f85186392ee6d2dc3",
    "F5": "44db11572b12882e100d4f0d1865a63a38e40f744697de6ddd020e9cd02d79a6",
    "F8": "38d9cf7e191f4dfac667be09f6e901815fc12b461a8d93df2a97a1348343766a",
    "G0": "7773d5d3c1b01585cf311247ab39a7490c04a7f11b75f64e6768629744ed5f6a",
    "G2": "5caa09bce808428c2c236393df757a94829e4e7c6c848d8ea0241a80387e422f",
    "G5": "0daa42e0c2ded71447837f86563d563b69afcb78502f109984e01ddab6b517fb",
    "G8": "41de67ee1c726ebf40ff9d3f42a0884f41824c97fb2a5e145b867e15698327ab",
    "K0": "199ad01d954e5965c851a9bdde0dc9e0f483544459cb081c22c3328319461a18",
    "K2": "c8483dc7130f2724dfcdc8c13b5ac4f5bab0410c297f03f4e56b1446ce4ce890",
    "K3": "594a10910e153350d203961f024045480f3b452ccdb2d67658e8578271b14404",
    "K5": "7372cbcb8e3373f2605ffc738498468339e99acea6fa287f151c03603b3d5f09",
    "K7": "ad3960349e57ba4c1feed547c1f309a57d2feff0fec1e21c24c86e8dd2826fc2",
    "M0": "9692221257c4f7a61803175fcc2995f729ca37a1cc67005f93afdd3c2120919b",
    "M2": "7f6da65eb80afbc1a22ca461e9842e75886f3c0c110ce92fb12f247326f7563d",
    "M5": "60bec84d2d69852ca09ece64f5adcdb0313805c9e55d57272b2cb2b724d01d42",
}
SOURCES = [*atoms.SOURCES, "VALD3"]
VALD = len(atoms.SOURCES)
# a line of two lists: of one ion, this near in wavelength and in the energy of the lower level
SAME_AA, SAME_EV = 0.05, 0.05
SAME_LEVEL_AA, SAME_LEVEL_EV = 0.15, 0.004  # or, from the very same level, this near
WEAKEST = 1e-5  # of the continuum at solar abundance: what is weaker at all temperatures is left out
HELIUM_LOW = {  # centre of gravity [cm-1] of the levels with n = 2, by multiplicity and l; NIST ASD
    (1, 0): 166277.440, (3, 0): 159855.9745, (1, 1): 171134.897, (3, 1): 169086.9,
}  # fmt: skip


def vald() -> list[Line]:
    """Atomic lines of the VALD3 extracts of all types, each once."""
    found = {}
    for name, sha256 in MASKS.items():
        content = read_member("arve", "0.8.3", f"arve/aux_data/masks/{name}.csv.zip", sha256)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            text = archive.read(f"{name}.csv").decode()
        for row in csv.DictReader(io.StringIO(text)):
            symbol, _, stage = row["species"].partition(" ")
            if symbol in SYMBOLS and stage in ("1", "2") and SYMBOLS.index(symbol) > 1:
                key = (row["species"], row["wave_vald"], row["loggf"], row["E_l"], row["J_l"])
                found.setdefault(key, row)
    lines = (_of_vald(row) for row in found.values())
    return [line for line in lines if LOW_AA <= line.wavelength_aa <= HIGH_AA]


def _of_vald(row: dict[str, str]) -> Line:
    """A line as VALD has it: vacuum; widths log10 [rad s-1], 0 where unknown; ABO packed as by Gaia-ESO."""
    symbol, _, stage = row["species"].partition(" ")
    wavelength = round(float(air_from_vacuum(float(row["wave_vald"]))), 4)
    radiative, stark, waals = (float(row[f"damping_{name}"]) for name in ("rad", "stark", "waals"))
    return Line(
        wavelength,
        SYMBOLS.index(symbol) + 1,
        int(stage) - 1,
        float(row["loggf"]),
        float(row["E_l"]),
        float(f"{10**radiative:.4g}") if radiative else atoms.classical_damping(wavelength),
        waals or atoms.UNSOLD_FACTOR,
        VALD,
        stark or None,
    )


class Known:
    """Lines by ion and wavelength, to ask which of them is a given one."""

    def __init__(self, lines: list[Line]):
        self.lines = lines
        self.by_place = defaultdict(list)
        for number, line in enumerate(lines):
            self.by_place[_ion(line), round(line.wavelength_aa, 1)].append(number)

    def same(self, line: Line) -> list[int]:
        """The lines that are this one, or its components: by the rule at the head of the module."""
        near = round(line.wavelength_aa, 1)
        places = (round(near + 0.1 * step, 1) for step in (-2, -1, 0, 1, 2))
        each = (number for place in places for number in self.by_place.get((_ion(line), place), ()))
        return [number for number in each if _same(line, self.lines[number])]


def _ion(line: Line) -> tuple[int, int]:
    return line.atomic_number, line.charge


def _same(one: Line, other: Line) -> bool:
    apart = abs(one.wavelength_aa - other.wavelength_aa)
    energy = abs(one.energy_low_ev - other.energy_low_ev)
    return (apart < SAME_AA and energy < SAME_EV) or (apart < SAME_LEVEL_AA and energy < SAME_LEVEL_EV)


def joined(first: list[Line], second: list[Line]) -> tuple[list[Line], dict[str, float]]:
    """The lines of the first list, those of the second that it has not, and a report.

    A line of both keeps what the first list says; its Stark width, which that has not, is the second's.
    """
    known, lines, added, differences = Known(first), list(first), [], []
    for line in second:
        same = known.same(line)
        if not same:
            added.append(line)
            continue
        total = np.log10(sum(10 ** first[number].log_gf for number in same))
        differences.append(line.log_gf - total)
        for number in same:
            if line.log_stark is not None:
                lines[number] = replace(lines[number], log_stark=line.log_stark)
    gf = np.abs(differences)
    report = {
        "lines of the first list": len(first),
        "lines of the second list": len(second),
        "of these in the first, too": len(gf),
        "with log gf apart by more than 0.1": int((gf > 0.1).sum()),
        "with log gf apart by more than 0.5": int((gf > 0.5).sum()),
        "added": len(added),
        "with a Stark width": sum(line.log_stark is not None for line in [*lines, *added]),
    }
    return lines + added, report


def every() -> tuple[list[Line], dict[str, float]]:
    """All lines that can matter, and the report of the duplicates."""
    lines, report = joined(list(atoms.gaia_eso(*GAIA_ESO_AA)), vald())
    lines += [*helium(), *atoms.neon(LOW_AA, HIGH_AA)]
    strong = [line for line in lines if atoms.strength(line).max() > WEAKEST]
    return strong, {**report, "weaker than 1e-5 and left out": len(lines) - len(strong)}


def helium() -> Iterator[Line]:
    """Multiplets of He I from n = 2 and 3, with Stark widths where ``helium_widths`` has them."""
    known = helium_widths()
    for line in [*atoms.helium(LOW_AA, HIGH_AA, HELIUM_LOW, 3), *atoms.helium(LOW_AA, HIGH_AA)]:
        width = next((value for place, value in known if abs(place - line.wavelength_aa) < 1.0), None)
        yield replace(line, log_stark=width)


def helium_widths() -> list[tuple[float, float]]:
    """Air wavelength [A] and log10 Stark FWHM [rad s-1] per electron at 1e4 K of He I lines.

    Dimitrijevic & Sahal-Brechot (1984, JQSRT 31, 301), electrons and as many protons, as SYNSPEC's GAMHE has
    them: FWHM [A] at 1e16 cm-3.
    """
    source = atoms.text(atoms.ELEMENTS).split("SUBROUTINE GAMHE")[1]
    electrons, protons = (_numbers(source, name).reshape(20, -1) for name in "WV")
    width = electrons[:, 1] + protons[:, 1]
    place = electrons[:, 4]
    per_electron = 2 * np.pi * SPEED_OF_LIGHT * 1e8 * width / place**2 / 1e16
    rows = zip(place, per_electron, strict=True)
    return [(float(line), round(float(np.log10(value)), 3)) for line, value in rows if value > 0]


def _numbers(source: str, name: str) -> np.ndarray:
    """The numbers of a Fortran statement DATA."""
    block = source.split(f"DATA {name} /")[1].split("/")[0].replace("*", " ")
    return np.array(block.replace(",", " ").split(), dtype=float)


def table() -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The table ``atomic_lines`` and the report."""
    lines, report = every()
    arrays = atoms.table(lines, SOURCES)
    listed = np.array([line.log_stark is not None for line in sorted(lines, key=_order)])
    return {**arrays, "stark_listed": listed}, report


def _order(line: Line) -> tuple[float, int]:
    return line.wavelength_aa, line.atomic_number
