"""How far an interpolated structure is from a computed one; the tables of docs/physics.md.

``python benchmarks/atmosphere_errors.py`` downloads the models once; ``--plot FILE`` draws structures.
"""

import argparse
import importlib.util
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import jax
import numpy as np
from scipy.interpolate import CubicSpline, make_interp_spline

from starloom import labels, tables
from starloom.atmosphere import interpolate

ROOT = Path(__file__).resolve().parents[1]
AXES = ("teff", "logg", "mh")
RANGES = ((3500, 4500), (4500, 7000), (7000, 9000), (9000, 13001), (13001, 16001))
SEEN = (-4.0, 1.0)  # log tau
MARCS = (
    "Fraunhofer",
    "1.0.3",
    "fraunhofer/data/marcs_data.pkl",
    "233fd838fb8d2b0412777921fcbff533a08116d82a60cd3e602de562cc0dc0a9",
)


@dataclass(frozen=True)
class Pairs:
    """Structures computed (``truth``) and interpolated (``estimate``), log10 of the table's columns.

    ``places`` [pair, 3] in the order of AXES; ``truth`` and ``estimate`` [pair, layer, column].
    """

    name: str
    places: np.ndarray
    truth: np.ndarray
    estimate: np.ndarray


def leave_out(axis: int) -> Pairs:
    """Every second node of one axis left out and interpolated from the others, at twice the spacing."""
    table = tables.load("atmospheres")
    nodes = table[AXES[axis]]
    values = np.moveaxis(table["structures"].astype(float), axis, 0)
    valid = np.moveaxis(table["valid"] & (table["logg"] >= 2.0)[:, None], axis, 0)
    grid = np.moveaxis(np.stack(np.meshgrid(*[table[name] for name in AXES], indexing="ij"), -1), axis, 0)
    places, truth, estimate = [], [], []
    for first in (0, 1):
        kept = np.arange(first, len(nodes), 2)
        dropped = np.arange(kept[0] + 1, kept[-1], 2)
        spline = make_interp_spline(nodes[kept], values[kept], k=3, axis=0)
        good = valid[dropped] & valid[dropped - 1] & valid[dropped + 1]
        places.append(grid[dropped][good])
        truth.append(values[dropped][good])
        estimate.append(spline(nodes[dropped])[good])
    return Pairs(AXES[axis], *map(np.concatenate, (places, truth, estimate)))


def sources():
    """The module that builds the table."""
    path = ROOT / "data" / "atmospheres" / "build.py"
    specification = importlib.util.spec_from_file_location("atmospheres_build", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def two_grids(low: float, high: float) -> Pairs:
    """ATLAS9 as truth, C3K without its constant difference as estimate, at the nodes of a range of Teff."""
    build = sources()
    castelli, network = build.castelli_grid(), build.c3k_grid()[:, :, build.MH <= 0.5]
    network = network + build.constant_difference(castelli, network)
    grid = np.stack(np.meshgrid(build.TEFF, build.LOGG, build.MH[build.MH <= 0.5], indexing="ij"), -1)
    teff, logg = grid[..., 0], grid[..., 1]
    chosen = (low <= teff) & (teff <= high) & (logg >= 2) & np.isfinite(castelli[..., 0, 0])
    return Pairs("C3K - ATLAS9", grid[chosen], castelli[chosen], network[chosen])


class PlainUnpickler(pickle.Unpickler):
    """Reads lists of text and nothing else."""

    def find_class(self, module: str, name: str):
        """Refused."""
        raise pickle.UnpicklingError(f"{module}.{name}")


def marcs_models() -> Iterator[tuple[tuple[float, float, float], np.ndarray]]:
    """Places and rows [lgTauR, T, Pg + Pturb] of the spherical MARCS giants with solar ratios and 2 km/s."""
    sources()
    from sources import read_member

    for lines in PlainUnpickler(BytesIO(read_member(*MARCS))).load():
        if "_a+0.00_c+0.00" not in lines[0]:
            continue
        start = next(i for i, line in enumerate(lines) if line.startswith(" k lgTauR")) + 1
        header = {
            name: line.split()[0]
            for line in lines[:start]
            for name in ("Teff", "gravity", "[Fe/H]")
            if name in line
        }
        rows = np.array([line.split() for line in lines[start : start + 56]], dtype=float)
        logg = round(np.log10(float(header["gravity"])), 2)
        yield (
            (float(header["Teff"]), logg, float(header["[Fe/H]"])),
            np.stack([rows[:, 1], rows[:, 4], rows[:, 6] + rows[:, 8]], axis=-1),
        )


def against_marcs() -> Pairs:
    """The interpolated grid against MARCS, an independent code, wherever both have a model."""
    log_tau = tables.load("atmospheres")["log_tau"]
    places, truth = [], []
    for place, rows in marcs_models():
        if place[0] <= 8000 and labels.TABLE_1.contains(np.array([*place[:2], 0, place[2], 2, 10000])):
            places.append(place)
            truth.append(CubicSpline(rows[:, 0], np.log10(rows[:, 1:]))(log_tau))
    places = np.array(places)
    atmospheres = interpolate(*places.T)
    estimate = np.stack([np.log10(atmospheres.temperature), np.log10(atmospheres.gas_pressure)], axis=-1)
    return Pairs("grid - MARCS", places, np.array(truth), estimate)


def response(pairs: Pairs, rich: float) -> Pairs:
    """The change from [M/H] = 0.5 to ``rich`` in both, at the same Teff and log g."""
    index = {tuple(place): i for i, place in enumerate(pairs.places)}
    both = [(i, index[*place[:2], 0.5]) for i, place in enumerate(pairs.places)
            if place[2] == rich and (*place[:2], 0.5) in index]  # fmt: skip
    high, low = np.array(both).T
    change = (array[high] - array[low] for array in (pairs.truth, pairs.estimate))
    return Pairs(f"response to [M/H] {rich}", pairs.places[high], *change)


def report(pairs: Pairs, order: int = 1) -> None:
    """Median, 95 % and largest |error| in T and P [%] over SEEN, by range of Teff; also over ``order``."""
    log_tau = tables.load("atmospheres")["log_tau"]
    seen = (log_tau >= SEEN[0]) & (log_tau <= SEEN[1])
    error = 100 * np.abs(10 ** (pairs.estimate - pairs.truth)[:, seen, :2] - 1)
    for low, high in RANGES:
        chosen = (low <= pairs.places[:, 0]) & (pairs.places[:, 0] < high)
        if not chosen.any():
            continue
        quantiles = [np.percentile(error[chosen][..., column], (50, 95, 100)) / order for column in (0, 1)]
        text = " | ".join(
            f"{value:.3f}" if value < 1 else f"{value:.1f}" for value in np.concatenate(quantiles)
        )
        print(f"| {pairs.name} | {low}-{high} | {chosen.sum()} | {text} |")


def by_place(pairs: Pairs, axis: int) -> None:
    """Median and 95 % of |error| in T [%] by the value of one label."""
    log_tau = tables.load("atmospheres")["log_tau"]
    seen = (log_tau >= SEEN[0]) & (log_tau <= SEEN[1])
    error = 100 * np.abs(10 ** (pairs.estimate - pairs.truth)[:, seen, 0] - 1)
    for value in np.unique(pairs.places[:, axis]):
        median, most = np.percentile(error[pairs.places[:, axis] == value], (50, 95))
        print(f"  {pairs.name} left out, {AXES[axis]} {value:5.1f}: {median:.3f} {most:.3f}")


def scan(axis: int, step: float) -> None:
    """Largest second difference of ln T along one label, and its largest change from one step to the next."""
    random = np.random.default_rng([5, axis])
    low, high = labels.TABLE_1.low[[0, 1, 3]], labels.TABLE_1.high[[0, 1, 3]]
    points = low + (high - low) * random.random((40, 3))
    log_tau = tables.load("atmospheres")["log_tau"]
    seen = (log_tau >= SEEN[0]) & (log_tau <= SEEN[1])
    worst = (0.0,)
    for point in points:
        line = np.tile(point, (int((high[axis] - low[axis]) / step) + 1, 1))
        line[:, axis] = low[axis] + step * np.arange(len(line))
        line = line[line[:, 1] >= labels.RADIATION_LIMIT(line[:, 0], line[:, 2])]
        with jax.enable_x64(True):
            ln_t = np.log(np.asarray(interpolate(*line.T).temperature))[:, seen]
        second = np.diff(ln_t, 2, axis=0)
        change = np.abs(np.diff(second, axis=0)).max()
        layer = np.unravel_index(np.abs(second).argmax(), second.shape)
        worst = max(worst, (np.abs(second).max(), change, *line[layer[0] + 1], log_tau[seen][layer[1]]))
    print(
        f"{AXES[axis]} in steps of {step}: largest second difference of ln T {worst[0]:.1e} (change from "
        f"step to step {worst[1]:.1e}) at teff {worst[2]:.0f} logg {worst[3]:.2f} mh {worst[4]:.2f}, "
        f"log tau {worst[5]:.2f}"
    )


def plot(path: str) -> None:
    """T(log tau) across the domain, its edges included."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(16, 6), sharex=True)
    cuts = {
        "log g 4, [M/H] 0": [(t, 4.0, 0.0) for t in (3600, 4000, 4500, 5777, 7000, 8500, 11000, 15000)],
        "edges of log g": [(t, g, 0.0) for t in (3600, 5000, 8000, 15000) for g in (2.0, 5.0)],
        "edges of [M/H]": [(t, 3.5, m) for t in (3600, 5500, 8000, 15000) for m in (-1.5, 0.5, 1.5)],
    }
    for panel, (title, places) in zip(panels, cuts.items(), strict=True):
        for teff, logg, mh in places:
            logg = max(logg, float(labels.RADIATION_LIMIT(teff, mh)))
            atmosphere = interpolate(teff, logg, mh)
            panel.semilogy(atmosphere.log_tau, atmosphere.temperature, label=f"{teff} {logg:.1f} {mh:+.1f}")
        panel.set(title=title, xlabel="log tau (Rosseland)", ylabel="T [K]")
        panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", help="PNG of a dozen structures")
    arguments = parser.parse_args()
    print("| what | Teff [K] | models | T: median | 95 % | max [%] | P: median | 95 % | max [%] |")
    print("|---|---|---|---|---|---|---|---|---|")
    left_out = [leave_out(axis) for axis in range(3)]
    for pairs in left_out:
        report(pairs)
    print("the same over 16, for the true spacing (cubic interpolation: fourth order)")
    for pairs in left_out:
        report(pairs, order=16)
    for low, high in ((4250, 4250), (4500, 4500), (4750, 5000), (5250, 7000), (7250, 9000), (9250, 13000)):
        report(two_grids(low, high))
    marcs = against_marcs()
    report(marcs)
    for rich in (0.75, 1.0):
        report(response(marcs, rich))
    for axis in (1, 2):
        by_place(left_out[0], axis)
    for axis, step in enumerate((10.0, 0.02, 0.02)):
        scan(axis, step)
    if arguments.plot:
        plot(arguments.plot)


if __name__ == "__main__":
    sys.exit(main())
