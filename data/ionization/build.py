"""``ionization_energies``: the first four ionisation energies of Z = 1..92 from NIST."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import main, read_member, write_table

ELEMENTS, CHARGES = 92, 4
NIST = (
    "exojax",
    "2.6.0",
    "data/atom/NIST_Atomic_Ionization_Energies.txt",
    "f01db474ba40f8f72f24ffb256c0aef0a155ca88756c336f1ddb87a474620e9a",
)


def ionization_energies(table: str) -> np.ndarray:
    """Energies [92, 4] in eV from charge 0..3 to the next; nan where the ion has no electron left."""
    energy = np.full((ELEMENTS, CHARGES), np.nan)
    for line in table.splitlines():
        field = [text.strip() for text in line.split("|")]
        if len(field) < 7 or not field[0].isdigit():
            continue
        z, charge = int(field[0]), int(field[2])
        if z <= ELEMENTS and charge < CHARGES:
            # round brackets: theoretical; square brackets: interpolated or extrapolated along the sequence
            energy[z - 1, charge] = float(field[4].strip("()[]"))
    return energy


def build(folder: Path) -> None:
    """Write ``ionization_energies`` into ``folder``."""
    write_table(
        "ionization_energies", {"energy_ev": ionization_energies(read_member(*NIST).decode())}, folder
    )


if __name__ == "__main__":
    main(build)
