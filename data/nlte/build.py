"""``calcium_ii``: the model atom of Ca II with five levels, and Ca III's ground level."""

import ast
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import main, read_member, write_table

ATOMS = (
    "lightweaver",
    "0.17.0",
    "lightweaver/rh_atoms.py",
    "99982a90746acaf293bcdb48ddab6e46c5fe30407e177735c0f255829379731f",
)
ATOM = "CaII_CRD_atom"
PER_CUBIC_METRE, PER_SQUARE_METRE, PER_NANOMETRE = 1e6, 1e4, 10.0  # to cm3, cm2, Angstrom
# of H and K, by hydrogen: cross-section in atomic units at 10 km/s and its exponent of the speed
WAALS_SIGMA, WAALS_ALPHA = 234.0, 0.223
BOHR_RADIUS, ATOMIC_MASS, BOLTZMANN = 5.29177210903e-9, 1.66053906660e-24, 1.380649e-16
HYDROGEN, CALCIUM = 1.008, 40.078  # unified atomic mass units
STARK = -6.0  # log10 of the width per electron [rad s-1 cm3]: no better value at hand


def waals_width(sigma: float, alpha: float) -> float:
    r"""log10 of the full width [rad s-1] per hydrogen atom cm-3 at 10 000 K.

    .. math:: w = (4/\pi)^{\alpha/2} \Gamma(2 - \alpha/2) v_0 \sigma (\bar v/v_0)^{1-\alpha}

    is the half width; Anstee & O'Mara (1995, MNRAS 276, 859), eq. 3.
    """
    reduced = HYDROGEN * CALCIUM / (HYDROGEN + CALCIUM) * ATOMIC_MASS
    speed, reference = math.sqrt(8 * BOLTZMANN * 1e4 / (math.pi * reduced)), 1e6
    gamma = math.gamma(2 - alpha / 2)
    half = (4 / math.pi) ** (alpha / 2) * gamma * reference * sigma * BOHR_RADIUS**2
    return math.log10(2 * half * (speed / reference) ** (1 - alpha))


def read_atom(text: str, name: str) -> dict:
    """Keywords of the atom's constructor, those of its parts as nested dictionaries."""
    start = text.index(f"\n{name} = lambda")
    tree = ast.parse(text[start : text.index("\n\n", start)].strip())
    return _value(tree.body[0].value.body)


def _value(node: ast.expr):
    if isinstance(node, ast.Call):
        named = {word.arg: _value(word.value) for word in node.keywords}
        return {"kind": ast.unparse(node.func), "given": [_value(part) for part in node.args], **named}
    if isinstance(node, ast.List):
        return [_value(part) for part in node.elts]
    if isinstance(node, ast.Attribute):
        return ast.unparse(node)
    return ast.literal_eval(node)


def levels_and_lines(atom: dict) -> dict[str, np.ndarray]:
    """Levels, and the lines in the atom's order; widths by collisions are those of H and K."""
    lines = atom["lines"]
    return {
        "energy_cm1": np.array([level["E"] for level in atom["levels"]]),
        "weight": np.array([float(level["g"]) for level in atom["levels"]]),
        "charge": np.array([level["stage"] for level in atom["levels"]]),
        "line_lower": np.array([line["i"] for line in lines]),
        "line_upper": np.array([line["j"] for line in lines]),
        "oscillator_strength": np.array([line["f"] for line in lines]),
        "gamma_radiative": np.array([line["broadening"]["natural"][0]["gamma"] for line in lines]),
        "resonance_log_gamma_stark": np.array(STARK),
        "resonance_log_gamma_waals": np.round(waals_width(WAALS_SIGMA, WAALS_ALPHA), 6),
        "resonance_waals_exponent": np.array((1 - WAALS_ALPHA) / 2),
    }


def continua(atom: dict) -> dict[str, np.ndarray]:
    """Photoionisation cross-sections [cm2] of each level over wavelength [A], up to its edge."""
    arrays = {}
    for each in atom["continua"]:
        name = f"photoionisation_{each['i']}"
        arrays[f"{name}_wavelength_aa"] = np.round(np.array(each["wavelengthGrid"]) * PER_NANOMETRE, 6)
        arrays[f"{name}_cm2"] = np.array(each["alphaGrid"]) * PER_SQUARE_METRE
    return arrays


def collisions(atom: dict) -> dict[str, np.ndarray]:
    """Effective collision strengths over temperature, and rates of ionisation by electrons."""
    strengths = [each for each in atom["collisions"] if each["kind"] == "Omega"]
    ionisation = [each for each in atom["collisions"] if each["kind"] == "CI"]
    if any(len(set(each["rates"])) > 1 for each in ionisation):
        raise ValueError("rates of ionisation that change with temperature are not provided for")
    return {
        "collision_lower": np.array([each["i"] for each in strengths]),
        "collision_upper": np.array([each["j"] for each in strengths]),
        "collision_temperature": np.array(strengths[0]["temperature"]),
        "collision_strength": np.array([each["rates"] for each in strengths]),
        "ionisation_level": np.array([each["i"] for each in ionisation]),
        "ionisation_rate": np.array([each["rates"][0] * PER_CUBIC_METRE for each in ionisation]),
    }


def build(folder: Path) -> None:
    """Write ``calcium_ii`` into ``folder``."""
    atom = read_atom(read_member(*ATOMS).decode(), ATOM)
    write_table("calcium_ii", levels_and_lines(atom) | continua(atom) | collisions(atom), folder)


if __name__ == "__main__":
    main(build)
