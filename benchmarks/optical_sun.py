"""The Sun's disk centre from 4200 to 9200 A against the FTS atlas, every 100 A: table and figures.

``python benchmarks/optical_sun.py --atlas FILE [--band optical] [--lines calibrated] [--range 5000:5400]
[--folder DIR]``. The file is an npz with ``wave_air_A``, ``intensity_20000`` (intensity over continuum times
20000) and the atlas' continuum (``continuum_wave_A``, ``continuum_SI`` [W m-2 sr-1 Hz-1]): Neckel (1999,
Solar Phys. 184, 421).

Labels 5777, 4.44, 0 and microturbulence 1 km/s, macroturbulence a Gaussian of 1.3 km/s; one free scale each
100 A. Masked: the Earth's atmosphere, Ca II (6 A), the cores (2 A) of Balmer lines, Na D and Mg b.
"""

import argparse
from pathlib import Path

import numpy as np

from starloom import bands
from starloom.broadening import broaden
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.figures import pyplot, save
from starloom.synthesis import structure, synthesize
from starloom.wavelength import air_from_vacuum

LABELS = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0}
REDSHIFT_KMS = 0.636  # the Sun's gravity, in the atlas
MACRO_KMS = 1.3
WINDOW_AA = 100.0
RESOLUTIONS = (11500, 50000)
TELLURIC_AA = (
    (5870, 5990), (6276, 6320), (6860, 7060), (7160, 7400), (7580, 7720), (8100, 8400), (8900, 9300),
)  # fmt: skip
CORES_AA = {4340.47: 2.0, 4861.34: 2.0, 6562.80: 2.0, 5889.95: 2.0, 5895.92: 2.0, 5167.32: 2.0}
CORES_AA |= {5172.68: 2.0, 5183.60: 2.0, 8498.02: 6.0, 8542.09: 6.0, 8662.14: 6.0, 4226.73: 2.0}
UNIDENTIFIED = 0.05  # at R = 50000: deeper in the Sun than synthesised by that


def main() -> None:
    """Compare, print the table and draw the figures."""
    options = _options()
    band = bands.load(options.band, options.lines)
    if options.range:
        band = band.within("part", *map(float, options.range.split(":")))
    made = synthesize(structure(**LABELS), band=band, mh=LABELS["mh"], vmic=LABELS["vmic"], mu=1.0)
    rows = []
    for air, sun, seen, ratio in compared(made, options.atlas):
        rows += windows(air, sun, seen, ratio)
    print(table(rows))
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(options.folder / "optical_sun.npz", rows=[_numbers(row) for row in rows])
        for number, part in enumerate(compared(made, options.atlas)):
            draw(part, options.lines, options.folder / f"optical_sun_{number:02d}.png")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atlas", type=Path, required=True)
    parser.add_argument("--band", default="optical")
    parser.add_argument("--lines", default="listed", choices=bands.LINES)
    parser.add_argument("--range", help="air wavelengths [A], as 5000:5400")
    parser.add_argument("--folder", type=Path, help="for figures")
    return parser.parse_args()


def compared(made, atlas: Path):
    """For each chunk, where it is shown: air wavelengths, atlas and synthesis by resolution, continuum ratio.

    The ratio is of intensities, synthesised over the atlas'.
    """
    with np.load(atlas) as data:
        place, sun = data["wave_air_A"], data["intensity_20000"] / 20000.0
        continuum = data["continuum_wave_A"], data["continuum_SI"]
    place = place * (1 - REDSHIFT_KMS / SPEED_OF_LIGHT_KMS)
    band, macro = made.band, MACRO_KMS * np.sqrt(8 * np.log(2))  # as a width of the instrument
    for number, grid in enumerate(band.chunks):
        air, level = air_from_vacuum(grid.wavelength_aa), np.asarray(made.chunk_continuum[number], float)
        light = np.asarray(made.chunk_flux[number], float) / level
        own = np.interp(air, place, sun)
        shown = (grid.wavelength_aa >= band.edges_aa[number]) & (
            grid.wavelength_aa < band.edges_aa[number + 1]
        )
        seen, observed = {}, {}
        for resolution in RESOLUTIONS:
            width = SPEED_OF_LIGHT_KMS / resolution
            observed[resolution] = broaden(own, grid.step_kms, resolution=resolution)[shown]
            blurred = SPEED_OF_LIGHT_KMS / np.hypot(width, macro)
            seen[resolution] = broaden(light, grid.step_kms, resolution=blurred)[shown]
        # erg s-1 cm-2 A-1 sr-1 against W m-2 sr-1 Hz-1
        per_hertz = level * grid.wavelength_aa**2 * 1e-16 / SPEED_OF_LIGHT_KMS
        ratio = per_hertz / np.interp(air, *continuum)
        yield air[shown], observed, seen, ratio[shown]


def trusted(air: np.ndarray) -> np.ndarray:
    """Where neither the Earth's atmosphere nor a core that LTE does not make is."""
    good = np.ones(air.shape, bool)
    for low, high in TELLURIC_AA:
        good &= (air < low) | (air > high)
    for centre, half in CORES_AA.items():
        good &= np.abs(air - centre) > half
    return good


def scale(seen: np.ndarray, sun: np.ndarray, good: np.ndarray) -> float:
    """The factor that brings the synthesis onto the atlas at its high points, found robustly."""
    high = good & (seen > 0.9)
    if not high.any():
        high = good
    ratio = sun[high] / seen[high]
    middle = float(np.median(ratio))
    for _ in range(6):
        near = np.abs(ratio - middle) < 3 * 1.4826 * np.median(np.abs(ratio - middle)) + 1e-6
        middle = float(np.median(ratio[near]))
    return middle


def windows(air, sun, seen, ratio) -> list[dict]:
    """One row for each hundred Angstrom: pixels, rms and median of the differences, depths, continuum."""
    rows = []
    for low in np.arange(np.floor(air[0] / WINDOW_AA) * WINDOW_AA, air[-1], WINDOW_AA):
        inside = (air >= low) & (air < low + WINDOW_AA)
        good = inside & trusted(air)
        row = {
            "low": low,
            "pixels": int(good.sum()),
            "of": int(inside.sum()),
            "ratio": np.median(ratio[inside]),
        }
        for resolution in RESOLUTIONS:
            if good.sum() < 100:
                continue
            factor = scale(seen[resolution], sun[resolution], good)
            off = (factor * seen[resolution] - sun[resolution])[good]
            row |= {f"sum{resolution}": float((off**2).sum()), f"off{resolution}": off}
        row["deep"] = _features(row.get(f"off{RESOLUTIONS[1]}"), +1)
        row["shallow"] = _features(row.get(f"off{RESOLUTIONS[1]}"), -1)
        rows.append(row)
    return rows


def _features(off: np.ndarray | None, sign: int) -> int:
    """How many times the difference goes over ``UNIDENTIFIED``."""
    if off is None:
        return 0
    over = sign * off > UNIDENTIFIED
    return int((over[1:] & ~over[:-1]).sum() + over[0])


def _numbers(row: dict) -> list[float]:
    return [float(row[key]) for key in ("low", "pixels", "of", "ratio", "deep", "shallow")]


def merged(rows: list[dict]) -> list[dict]:
    """The rows with those of one hundred Angstrom that two chunks share in one."""
    together: dict[float, dict] = {}
    for row in rows:
        kept = together.setdefault(
            row["low"], {**row, "deep": 0, "shallow": 0, "pixels": 0, "of": 0, "each": []}
        )
        for key in ("deep", "shallow", "pixels", "of"):
            kept[key] += row[key]
        kept["each"].append(row)
    return [together[low] for low in sorted(together)]


def table(rows: list[dict]) -> str:
    """The table, one line for each hundred Angstrom that has enough pixels, and the issue's ranges."""
    lines = [
        "  from [A]  used  rms 11500  median  rms 50000  median  missing  too deep  continuum",
    ]
    for row in merged(rows):
        cells = []
        for resolution in RESOLUTIONS:
            off = [part[f"off{resolution}"] for part in row["each"] if f"off{resolution}" in part]
            if off:
                off = np.concatenate(off)
                cells.append(f"{np.sqrt((off**2).mean()):11.4f}{np.median(np.abs(off)):8.4f}")
            else:
                cells.append(" " * 19)
        used = row["pixels"] / row["of"]
        lines.append(
            f"{row['low']:10.0f}{used:6.2f}{''.join(cells)}{row['deep']:9d}{row['shallow']:10d}{row['ratio']:11.3f}"
        )
    for low, high in ((4200, 4800), (4800, 5400), (5400, 9200), (4200, 9200)):
        inside = [row for row in rows if low <= row["low"] < high]
        for resolution in RESOLUTIONS:
            off = [row[f"off{resolution}"] for row in inside if f"off{resolution}" in row]
            if off:
                off = np.concatenate(off)
                rms, middle = np.sqrt((off**2).mean()), np.median(np.abs(off))
                lines.append(f"{low}-{high}, R = {resolution}: rms {rms:.4f}, median {middle:.4f}")
    return "\n".join(lines)


def draw(part, lines: str, path: Path) -> None:
    """The atlas and the synthesis of one chunk in four rows, at the higher resolution; grey is masked."""
    air, sun, seen, _ = part
    plt = pyplot()
    figure, panels = plt.subplots(4, figsize=(14, 11), layout="constrained")
    ends = np.linspace(air[0], air[-1], 5)
    good = trusted(air)
    factor = scale(seen[RESOLUTIONS[1]], sun[RESOLUTIONS[1]], good if good.any() else ~good)
    for axes, low, high in zip(panels, ends[:-1], ends[1:], strict=True):
        here = (air >= low) & (air <= high)
        axes.fill_between(air[here], 0, 1.1, where=~good[here], color="0.9", linewidth=0)
        axes.plot(air[here], sun[RESOLUTIONS[1]][here], color="black", linewidth=0.7, label="FTS atlas")
        axes.plot(
            air[here], factor * seen[RESOLUTIONS[1]][here], color="tab:red", linewidth=0.7, label="starloom"
        )
        off = factor * seen[RESOLUTIONS[0]][here] - sun[RESOLUTIONS[0]][here]
        axes.plot(air[here], off, color="tab:blue", linewidth=0.7, label="difference at R = 11500")
        axes.set(xlim=(low, high), ylim=(-0.2, 1.08))
        axes.axhline(0, color="0.7", linewidth=0.5)
    panels[0].legend(loc="lower right", fontsize=8, ncols=3)
    panels[-1].set_xlabel("Wavelength in air [Å]")
    figure.suptitle(f"The Sun's disk centre, R = {RESOLUTIONS[1]}, lines as {lines}")
    save(figure, path)


if __name__ == "__main__":
    main()
