"""``partition_functions`` of atoms and ions, and ``molecular_partition_functions``."""

import struct
import sys
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from partition.molecules import (
    BARKLEM_COLLET_CODES,
    EXOMOL,
    LAST_FITTED,
    evaluate,
    exomol,
    species_polynomials,
)
from sources import main, read_member, write_table

ELEMENTS, CHARGES = 92, 4
STAGES = ("I", "II", "III", "IV")
TEMPERATURE = np.round(np.geomspace(1e3, 1e5, 201), 3)  # K, steps of 0.01 dex as Kurucz

BARKLEM_COLLET = (
    "exojax",
    "2.6.0",
    "data/atom/barklem_collet_2016_pff.txt",
    "6c7910298838addf3c366f5d86985f1a64c866cef5ce65613e9a126fef312650",
)
# the table's last 13 of 42 temperatures, K (Barklem & Collet 2016, table 8)
BARKLEM_COLLET_TEMPERATURE = np.array([5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100]) * 100.0

KURUCZ = (
    "lightweaver",
    "0.17.0",
    "Data/pf_Kurucz.input",
    "a7d15b25406b2736331253b6457d8ef4cfa3f3ef2275462120999121b8a734a8",
)
# (atomic number, charge) whose Kurucz values are wrong by factors up to 1e5: Irwin's polynomials instead
KURUCZ_WRONG = {(12, 1), (13, 0), (14, 1), (19, 0)}
LAST_IRWIN = 16000.0  # K; Irwin (1981, ApJS 45, 621)
AGREEMENT = np.log(1.5)  # ln Q at 10000 K; a larger disagreement: the hotter table is not used for the ion


def barklem_collet(table: str) -> dict[str, np.ndarray]:
    """ln Q at ``BARKLEM_COLLET_TEMPERATURE`` by species name (``Fe_I``)."""
    rows = (line.split() for line in table.splitlines())
    count = len(BARKLEM_COLLET_TEMPERATURE)
    return {row[0]: np.log(np.array(row[-count:], dtype=float)) for row in rows}


def kurucz(content: bytes) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Temperatures [T] and, by atomic number, ln Q [stage, T] of Kurucz's table (big-endian XDR)."""
    (count,) = struct.unpack_from(">i", content, 0)
    temperature = np.frombuffer(content, ">f8", count, 4)
    position, log_q = 4 + 8 * count, {}
    while position < len(content):
        z, stages = struct.unpack_from(">ii", content, position)
        position += 8
        q = np.frombuffer(content, ">f8", stages * count, position).reshape(stages, count)
        position += 8 * stages * count + 8 * stages  # the ionisation energies follow
        log_q[z] = np.log(q)
    return temperature.astype(float), log_q


def ion_log_q(measured: np.ndarray | None, dense: np.ndarray | None) -> np.ndarray:
    """ln Q at ``TEMPERATURE``: ``measured`` (Barklem & Collet) to 10000 K, ``dense`` scaled to meet it above.

    Either may be missing. Where they disagree at 10000 K, ``measured`` goes on with its last slope in ln T.
    """
    if measured is None:
        return dense
    cool = TEMPERATURE <= 10000.0
    x, nodes = np.log(TEMPERATURE), np.log(BARKLEM_COLLET_TEMPERATURE)
    log_q = np.empty(TEMPERATURE.shape)
    log_q[cool] = PchipInterpolator(nodes, measured)(x[cool])
    step = np.inf if dense is None else measured[-1] - np.interp(nodes[-1], x, dense)
    if abs(step) < AGREEMENT:
        log_q[~cool] = dense[~cool] + step
    else:
        slope = (measured[-1] - measured[-2]) / (nodes[-1] - nodes[-2])
        log_q[~cool] = measured[-1] + slope * (x[~cool] - nodes[-1])
    return log_q


def atoms() -> np.ndarray:
    """ln Q [92, 4, T] of the neutral atom to the triply charged ion; nan where there is no such ion."""
    measured = barklem_collet(read_member(*BARKLEM_COLLET).decode())
    symbols = list(dict.fromkeys(name.split("_")[0] for name in measured if "_" in name and name[:2] != "D_"))
    irwin = species_polynomials()
    dense_temperature, dense = kurucz(read_member(*KURUCZ))
    x, dense_x = np.log(TEMPERATURE), np.log(dense_temperature)
    log_q = np.full((ELEMENTS, CHARGES, len(TEMPERATURE)), np.nan)
    for z, symbol in enumerate(symbols[:ELEMENTS], start=1):
        for charge, stage in enumerate(STAGES[: min(CHARGES, z)]):
            if (z, charge) in KURUCZ_WRONG:
                hot = evaluate(irwin[f"{z}.{charge:02d}"], TEMPERATURE, LAST_IRWIN)
            elif charge < len(dense[z]):
                hot = PchipInterpolator(dense_x, dense[z][charge])(x)
            else:
                hot = log_q[z - 2, charge - 1]  # no source: the isoelectronic ion one charge lower
            log_q[z - 1, charge] = ion_log_q(measured.get(f"{symbol}_{stage}"), hot)
        if z < CHARGES:
            log_q[z - 1, z] = 0.0  # the bare nucleus
    return log_q


def molecules() -> dict[str, np.ndarray]:
    """``name`` [m], ``temperature`` [T], ``log_q`` [m, T] of ExoMol and ``log_q_barklem_collet`` [m, T]."""
    temperature = np.concatenate([np.arange(100.0, 1000.0, 50.0), np.arange(1000.0, 10001.0, 100.0)])
    polynomials = species_polynomials()
    log_q = np.full((len(EXOMOL), len(temperature)), np.nan)
    fitted = np.full_like(log_q, np.nan)
    for i, name in enumerate(EXOMOL):
        known, values = exomol(name)
        log_q[i] = np.interp(temperature, known, values, right=np.nan)
        if name in BARKLEM_COLLET_CODES:
            warm = temperature >= 1000.0
            polynomial = polynomials[BARKLEM_COLLET_CODES[name]]
            fitted[i, warm] = evaluate(polynomial, temperature[warm], LAST_FITTED)
    return {
        "name": np.array(list(EXOMOL), dtype="U8"),
        "temperature": temperature,
        "log_q": np.round(log_q, 6),
        "log_q_barklem_collet": np.round(fitted, 6),
    }


def build(folder: Path) -> None:
    """Write both tables into ``folder``."""
    atomic = {"temperature": TEMPERATURE, "log_q": np.round(atoms(), 6)}
    write_table("partition_functions", atomic, folder)
    write_table("molecular_partition_functions", molecules(), folder)


if __name__ == "__main__":
    main(build)
