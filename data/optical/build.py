"""The tables of the distribution ``starloom-optical``: lines, hydrogen and molecules from 4150 to 9260 A."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from atomic_lines import build as atoms
from hydrogen import build as paschen
from optical import lines, molecules
from sources import main, read_member, write_table

from starloom.bands import Band
from starloom.wavelength import Points, air_from_vacuum

DISTRIBUTION = Path(__file__).resolve().parents[2] / "distributions" / "optical" / "src" / "starloom_optical"
CALIBRATED = Path(__file__).resolve().parent / "calibration.csv"  # made by ../atomic_lines/calibrate.py
LOW_AA, HIGH_AA, CHUNKS = 4200.0, 9200.0, 16
WHOLE = Band.over("whole", LOW_AA - 2, HIGH_AA + 3)  # the long grid, of which the chunks are parts
SERIES = {2: range(3, 13), 3: range(7, 23)}  # upper levels of the lines whose wings are seen, by lower level


# windows of surveys: what they show, as they give it, and the highest resolving power they reach
SURVEYS = {
    "galah-blue": (Points("air", "linear", 4713.0, 4903.0, 4131), 28000),
    "galah-green": (Points("air", "linear", 5648.0, 5873.0, 4092), 28000),
    "galah-red": (Points("air", "linear", 6478.0, 6737.0, 4048), 28000),
    "galah-infrared": (Points("air", "linear", 7585.0, 7887.0, 4082), 28000),
    "ges-hr10": (Points("air", "linear", 5339.0, 5619.0, 5601), 21500),
    "ges-hr21": (Points("air", "linear", 8484.0, 9001.0, 10341), 18000),
    "rave": (Points("air", "linear", 8410.0, 8795.0, 1027), 8500),
    "lamost-mrs-blue": (Points("vacuum", "logarithmic", 4951.0, 5351.0, 3377), 7500),
    "lamost-mrs-red": (Points("vacuum", "logarithmic", 6301.0, 6801.0, 3318), 7500),
    "melchiors": (Points("air", "linear", 4200.0, 9000.0, 240001), 85000),
}
KEPT = ((14500, 3, 40000.0), (30000, 2, 80000.0), (90000, 1, 200000.0))  # up to R, stride, kept resolution


def optical() -> Band:
    """The band ``optical``."""
    return WHOLE.cut("optical", LOW_AA, HIGH_AA, CHUNKS)


def views() -> list[Band]:
    """The windows of surveys in the band: the chunks that show them."""
    made = []
    for name, (points, resolution) in SURVEYS.items():
        _, stride, kept = next(row for row in KEPT if resolution <= row[0])
        ends = air_from_vacuum(points.vacuum_aa[[0, -1]])
        view = optical().within(name, *ends.tolist(), points)
        finest = {"stride": stride, "kept_resolution": kept, "finest_resolution": float(resolution)}
        made.append(replace(view, tables="starloom_optical", **finest))
    return made


def write_bands(folder: Path) -> None:
    """Write the ``band.toml`` of the band into a folder, and those of the surveys into packages in it."""
    optical().write(folder)
    for view in views():
        place = folder / view.name.replace("-", "_")
        view.write(place)
        told = f'"""The window ``{view.name}`` of the band ``optical``."""\n'
        (place / "__init__.py").write_text(told, encoding="utf-8")


def hydrogen() -> dict[str, np.ndarray]:
    """Balmer and Paschen lines with Lemke's profiles."""
    content = read_member(*paschen.LEMKE).decode()
    found = {lower: paschen.profiles(content, lower) for lower in SERIES}
    chosen = [(lower, upper) for lower, uppers in SERIES.items() for upper in uppers]
    each = {pair: found[pair[0]][pair[1]] for pair in chosen}
    wavelength = [1e8 / (paschen.mean_level(lower) - paschen.mean_level(upper)) for lower, upper in chosen]
    return {
        "lower": np.array([lower for lower, _ in chosen], np.int16),
        "upper": np.array([upper for _, upper in chosen], np.int16),
        **paschen.on_one_size(each),
        "vacuum_wavelength_aa": np.round(wavelength, 4),
        "log_gf": np.round([paschen.log_gf(*pair) for pair in chosen], 5),
    }


def write_calibration(table: Mapping[str, np.ndarray], folder: Path) -> None:
    """Write ``line_calibration`` of the table ``atomic_lines``."""
    write_table("line_calibration", atoms.calibration(CALIBRATED, table), folder)


def build(folder: Path) -> None:
    """Write all tables of the band into ``folder``."""
    write_bands(folder)
    write_table("hydrogen_profiles", hydrogen(), folder)
    table, report = lines.table()
    print(*(f"{value:8d} {name}" for name, value in report.items()), sep="\n", flush=True)
    write_table("atomic_lines", table, folder)
    write_calibration(table, folder)
    (grid,) = WHOLE.chunks
    edges = np.linspace(0, grid.points, CHUNKS + 1).astype(int).tolist()
    molecules.write(grid, edges, folder)


if __name__ == "__main__":
    main(build, DISTRIBUTION)
