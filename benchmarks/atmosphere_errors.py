"""How far an interpolated structure is from a computed one; the tables of docs/physics.md.

``python benchmarks/atmosphere_errors.py`` downloads the models once; ``--flux N`` synthesises N stars an axis
instead, ``--sphere`` compares with MARCS' spherical models; ``--plot FILE`` draws structures.
"""

import argparse
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from scipy.interpolate import BarycentricInterpolator, make_interp_spline
from scipy.ndimage import gaussian_filter1d

from starloom import bands, sampling, tables
from starloom.atmosphere import Atmosphere, domain, interpolate
from starloom.atmosphere.grid import AXES, VMIC, nodes
from starloom.constants import SPEED_OF_LIGHT_KMS

ROOT = Path(__file__).resolve().parents[1]
RANGES = ((3200, 4500), (4500, 7000), (7000, 9000), (9000, 13001), (13001, 16001))
SEEN = (-4.0, 1.0)  # log tau
RESOLUTION = 11500
MARCS_TEFF = (*np.arange(3200.0, 3901.0, 100.0), *np.arange(3750.0, 8001.0, 250.0))
GRAVITIES = ((-0.5, 0.5), (1.0, 2.0), (2.5, 3.0), (3.5, 5.0), (5.5, 5.5))
MARCS_RANGES = ((3200, 3450), (3450, 3950), (3950, 4450), (4450, 5450), (5450, 6950), (6950, 8001))


@dataclass(frozen=True)
class Pairs:
    """Structures computed (``truth``) and interpolated (``estimate``), log10 of the table's columns.

    ``places`` [pair, 4] in the order of AXES; ``truth`` and ``estimate`` [pair, layer, column].
    """

    name: str
    places: np.ndarray
    truth: np.ndarray
    estimate: np.ndarray

    def some(self, chosen) -> "Pairs":
        """Those of an index."""
        return Pairs(self.name, self.places[chosen], self.truth[chosen], self.estimate[chosen])


def leave_out(axis: int) -> Pairs:
    """Each inner node of one axis left out alone, and interpolated from all others of the axis."""
    table, values = tables.load("atmospheres"), np.moveaxis(nodes(), axis, 0)
    x = table[AXES[axis]]
    inner = np.arange(1, len(x) - 1)
    others = [np.delete(np.arange(len(x)), i) for i in inner]
    weights = np.zeros((len(inner), len(x)))
    for row, i, kept in zip(weights, inner, others, strict=True):
        row[kept] = make_interp_spline(x[kept], np.eye(len(kept)), k=3)(x[i])
    places = np.stack(np.meshgrid(*[table[name] for name in AXES], indexing="ij"), -1)
    places, valid = np.moveaxis(places, axis, 0), np.moveaxis(table["valid"], axis, 0)
    good = valid[:-2] & valid[1:-1] & valid[2:] & domain().contains(places[1:-1])
    return Pairs(
        AXES[axis], places[1:-1][good], values[1:-1][good], np.tensordot(weights, values, axes=1)[good]
    )


def higher_order(axis: int, places: np.ndarray) -> Pairs:
    """Cubic splines against those of fifth degree along one axis (alpha: one polynomial), at places."""
    table, values = tables.load("atmospheres"), nodes()

    def at(place, changed):
        found = values
        for number, (name, x) in enumerate(zip(AXES, place, strict=True)):
            knots, unit = table[name], np.eye(len(table[name]))
            if number != changed:
                weight = make_interp_spline(knots, unit, k=3)(x)
            elif name == "alpha":
                weight = BarycentricInterpolator(knots, unit)(x)
            else:
                weight = make_interp_spline(knots, unit, k=5)(x)
            found = np.tensordot(weight, found, axes=1)
        return found

    pairs = [(at(place, axis), at(place, None)) for place in places]
    return Pairs(AXES[axis], places, *map(np.array, zip(*pairs, strict=True)))


def sources():
    """The module that builds the table."""
    path = ROOT / "data" / "atmospheres" / "build.py"
    specification = importlib.util.spec_from_file_location("atmospheres_build", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def two_grids() -> list[Pairs]:
    """ATLAS9 as truth, C3K without its constant difference as estimate; then their answers to alpha 0.4."""
    build = sources()
    castelli = build.castelli_grid()
    labels = build.node_labels()[:, :, build.CASTELLI_MH][:, :, :, build.CASTELLI_ALPHA]
    network = build.c3k_grid(labels)
    network = network + build.constant_difference(castelli, network)
    known = np.isfinite(castelli[..., 0, 0]).all(axis=3)
    known &= (build.TEFF >= 4000)[:, None, None] & (build.TEFF <= 13000)[:, None, None]
    solar, rich = (grid[known][:, 0] for grid in (castelli, network))
    answers = [(grid[:, :, :, 1] - grid[:, :, :, 0])[known] for grid in (castelli, network)]
    places = labels[known][:, 1]
    return [Pairs("C3K - ATLAS9", places, solar, rich), Pairs("answer to alpha 0.4", places, *answers)]


def against_marcs(shape: str) -> Pairs:
    """The interpolated grid against MARCS, an independent code, wherever both have a model."""
    models = dict(sources().marcs_models(shape, MARCS_TEFF))
    places = np.array([(*place, 0.0) for place in models])
    inside = domain().contains(places)
    places, truth = places[inside], np.array(list(models.values()))[inside]
    atmospheres = interpolate(*places.T)
    columns = [
        np.log10(getattr(atmospheres, name)) for name in ("temperature", "gas_pressure", "column_mass")
    ]
    return Pairs("grid - MARCS", places, truth[..., :3], np.stack(columns, axis=-1))


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


def by_gravity(pairs: Pairs) -> None:
    """By log g and Teff, [M/H] <= 0.5: mean difference in T [%] at log tau -3, -1 and 0; |T| and |P|."""
    log_tau = tables.load("atmospheres")["log_tau"]
    seen = (log_tau >= SEEN[0]) & (log_tau <= SEEN[1])
    error = 100 * (10 ** (pairs.estimate - pairs.truth) - 1)
    teff, logg, mh, _ = pairs.places.T
    for first, last in GRAVITIES:
        for low, high in MARCS_RANGES:
            chosen = (first <= logg) & (logg <= last) & (low <= teff) & (teff < high) & (mh <= 0.5)
            if chosen.any():
                mean = " | ".join(f"{error[chosen][:, log_tau == x, 0].mean():+.1f}" for x in (-3, -1, 0))
                sizes = [np.percentile(np.abs(error[chosen][:, seen, c]), (50, 95)) for c in (0, 1)]
                sizes = " | ".join(f"{size:.2f}" for size in np.concatenate(sizes))
                print(f"| {first} - {last} | {low}-{high} | {chosen.sum()} | {mean} | {sizes} |")


def normalised(columns: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Normalised flux at R = 11500 of log10 of a structure's columns [layer, column]."""
    from starloom.synthesis import synthesize

    table = tables.load("atmospheres")
    structure = dict(zip(table["columns"].tolist(), 10**columns.T, strict=True))
    labels = dict(zip(AXES, place.tolist(), strict=True))
    made = synthesize(Atmosphere(table["log_tau"], **structure, **labels, vmic=VMIC))
    width = SPEED_OF_LIGHT_KMS / RESOLUTION / np.sqrt(8 * np.log(2)) / bands.load("rvs").chunks[0].step_kms
    return gaussian_filter1d(np.asarray(made.normalized, float), width)


def report_flux(pairs: Pairs, what: str) -> None:
    """|Error| of the flux: of all pixels median, 95 %; of the stars' means median, 95 %; the worst star."""
    error = [
        np.abs(normalised(estimate, place) - normalised(truth, place))
        for place, truth, estimate in zip(pairs.places, pairs.truth, pairs.estimate, strict=True)
    ]
    means, largest = np.mean(error, axis=1), np.max(error, axis=1)
    worst = pairs.places[means.argmax()]
    cells = [*np.percentile(error, (50, 95)), *np.percentile(means, (50, 95)), means.max(), largest.max()]
    text = " | ".join(f"{value:.1e}" for value in cells)
    name = ", ".join(f"{value:.6g}" for value in worst)
    print(f"| {what} | {pairs.name} | {len(error)} | {text} | {name} |", flush=True)
    hot = pairs.places[:, 0] >= 4500
    for chosen, where in ((~hot, "below 4500 K"), (hot, "from 4500 K")):
        if chosen.any():
            median, most = np.percentile(means[chosen], (50, 95))
            print(f"|  | {where} | {chosen.sum()} | | | {median:.1e} | {most:.1e} | | | |", flush=True)


def flux_errors(count: int) -> None:
    """The table of flux errors, ``count`` stars an axis, at the seams' Teff too."""
    print(
        "| what | axis | stars | pixels: median | 95 % | stars: median | 95 % | max | largest | worst star |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    box = domain()
    places = sampling.sobol(11, 0, count, box.low, box.high, box.contains)
    seams = places.copy()
    seams[:, 0] = 4000 + 500 * np.arange(count) / count  # between the grids
    seams = box.clip(seams)
    for axis, name in enumerate(AXES):
        report_flux(higher_order(axis, places), "true spacing")
        if name == "teff":
            report_flux(higher_order(axis, seams), "4000-4500 K")
    for axis in range(len(AXES)):
        pairs = leave_out(axis)
        chosen = np.random.default_rng([11, axis]).choice(len(pairs.places), count, replace=False)
        report_flux(pairs.some(chosen), "left out")


def sphere() -> None:
    """Flux of MARCS' spherical models, taken as plane-parallel, minus that of the grid: mean and largest."""
    for place, columns in dict(sources().marcs_models("s", (3500.0, 4000.0, 5000.0))).items():
        labels = np.array([*place, 0.0])
        if place[2] in (-1.5, 0.0) and domain().contains(labels):
            with jax.enable_x64(True):
                ours = interpolate(*labels)
            table = tables.load("atmospheres")["columns"].tolist()
            ours = np.stack([np.log10(np.asarray(getattr(ours, name))) for name in table], axis=-1)
            error = np.abs(normalised(columns, labels) - normalised(ours, labels))
            print(f"{place}: mean {error.mean():.4f}, largest {error.max():.4f}", flush=True)


def scan(axis: int, step: float) -> None:
    """Largest second difference of ln T along one label, and its largest change from one step to the next."""
    random, box = np.random.default_rng([5, axis]), domain()
    points = box.low + (box.high - box.low) * random.random((40, 4))
    log_tau = tables.load("atmospheres")["log_tau"]
    seen = (log_tau >= SEEN[0]) & (log_tau <= SEEN[1])
    worst = (0.0,)
    for point in points:
        line = np.tile(point, (int((box.high[axis] - box.low[axis]) / step) + 1, 1))
        line[:, axis] = box.low[axis] + step * np.arange(len(line))
        line = line[box.contains(line)]
        if len(line) < 4:
            continue
        with jax.enable_x64(True):
            ln_t = np.log(np.asarray(interpolate(*line.T).temperature))[:, seen]
        second = np.diff(ln_t, 2, axis=0)
        change = np.abs(np.diff(second, axis=0)).max()
        layer = np.unravel_index(np.abs(second).argmax(), second.shape)
        worst = max(worst, (np.abs(second).max(), change, *line[layer[0] + 1], log_tau[seen][layer[1]]))
    print(
        f"{AXES[axis]} in steps of {step}: largest second difference of ln T {worst[0]:.1e} (change from "
        f"step to step {worst[1]:.1e}) at teff {worst[2]:.0f} logg {worst[3]:.2f} mh {worst[4]:.2f} "
        f"alpha {worst[5]:.2f}, log tau {worst[6]:.2f}"
    )


def plot(path: str) -> None:
    """T(log tau) across the domain, its edges included."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 4, figsize=(20, 6), sharex=True)
    teffs = (3200, 3600, 4000, 4500, 5777, 7000, 8500, 11000, 16000)
    cuts = {
        "log g 4, [M/H] 0": [(t, 4.0, 0.0, 0.0) for t in teffs],
        "edges of log g": [(t, g, 0.0, 0.0) for t in (3200, 4000, 5000, 8000, 16000) for g in (-0.5, 5.5)],
        "edges of [M/H]": [(t, 3.5, m, 0.0) for t in (3200, 5500, 8000, 16000) for m in (-3.0, 0.5, 1.5)],
        "edges of alpha": [(t, 3.5, m, a) for t in (3500, 5500, 8000) for m in (-2, 0) for a in (-0.2, 0.6)],
    }
    for panel, (title, places) in zip(panels, cuts.items(), strict=True):
        for place in domain().clip(np.array(places)):
            atmosphere = interpolate(*place)
            panel.semilogy(
                atmosphere.log_tau,
                atmosphere.temperature,
                label="{:.0f} {:.1f} {:+.1f} {:+.1f}".format(*place),
            )
        panel.set(title=title, xlabel="log tau (Rosseland)", ylabel="T [K]")
        panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", help="PNG of structures, and no tables")
    parser.add_argument("--flux", type=int, help="flux errors of so many stars an axis, and no other tables")
    parser.add_argument("--sphere", action="store_true", help="fluxes of spherical MARCS models alone")
    arguments = parser.parse_args()
    if arguments.sphere:
        return sphere()
    if arguments.flux:
        return flux_errors(arguments.flux)
    if arguments.plot:
        return plot(arguments.plot)
    print("| what | Teff [K] | models | T: median | 95 % | max [%] | P: median | 95 % | max [%] |")
    print("|---|---|---|---|---|---|---|---|---|")
    for axis in range(len(AXES)):
        report(leave_out(axis))
    for pairs in two_grids():
        report(pairs)
    for shape in ("p", "s"):
        marcs = against_marcs(shape)
        report(marcs)
        by_gravity(marcs)
    for axis, step in enumerate((10.0, 0.02, 0.02, 0.01)):
        scan(axis, step)
    return None


if __name__ == "__main__":
    sys.exit(main())
