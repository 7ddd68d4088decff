"""How many training stars, components and weights a range of wavelengths needs: the paper's open question.

    python benchmarks/range_law.py OUT STORE [STORE ...] [--labels STORE ...]
    python benchmarks/range_law.py DIR --recipes        # writes those of --labels, for database build

STORES of one band are read together: spectra of R = 11 500 without rotation, cut to ranges of WIDTHS at
several places. Of each, principal components and a small network are trained on some numbers of stars, and
tried on a tenth of the stars that none of them saw. From the errors with fewer stars follows with which power
of their number it falls, where the training (``--steps``, ``--hidden``) is long enough. ``--labels`` are
stores with other numbers of labels, each alone, over the whole of its range.

Writes OUT/range_law.csv, OUT/range_law.png and the fitted laws.
"""

import argparse
import csv
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from printing import row, table
from scipy.linalg import eigh

from starloom import bands
from starloom.broadening import finish_of
from starloom.database.store import open_store
from starloom.networks.emulation import fit_rows
from starloom.networks.emulator import CoefficientNetwork
from starloom.networks.training import Plan, weighted_distance
from starloom.wavelength import Points, air_from_vacuum

RESOLUTION, STEP_KMS = 11500.0, 8.7  # three pixels in a resolution element
WIDTHS = (50, 100, 200, 400, 800, 1600, 3200, 5000)  # A
PLACES = (3, 3, 3, 2, 2, 2, 1, 1)
SHARES = (1.0, 0.4)  # of the training stars
COMPONENTS, BATCH = 128, 128
TARGET, LEFT = 1e-3, 3e-4  # mean over stars of the rms error; what the components may leave of it
LIGHT_KMS = 299792.458
LABELS = {  # beside Teff, log g, [M/H] and vmic, in one chunk of the optical
    4: ("", ()),
    5: ("alpha", ()),
    8: ("alpha", ("C", "Mg", "Ti")),
    16: ("alpha", ("C", "N", "O", "Na", "Mg", "Al", "Si", "Ca", "Ti", "Cr", "Ni")),
}
CHUNK_AA, STARS, AROUND = (5120.0, 5350.0), 1000, 0.3
RECIPE = """name = "labels-{count}"
seed = 2424
sampling = "sobol"
intrinsic = {stars}
broadenings = 1
chunk = 50
band = {band}
lines = "calibrated"
{limit}[ranges]
teff = [3500, 15000]
logg = [0, 5.5]
mh = [-2.5, 1]
{alpha}vmic = [0, 5]
vsini = [0, 300]
resolution = [1000, 20000]
{around}[splits]
train = 0.9
validation = 0.03
"""


@dataclass(frozen=True, eq=False)
class Spectra:
    """Stars: their domain, ``labels[star, label]``, ``flux[star, pixel]`` at air ``wavelength_aa``."""

    domain: object
    labels: np.ndarray
    flux: np.ndarray
    wavelength_aa: np.ndarray

    @classmethod
    def of(cls, folders):
        """All spectra of stores of one band."""
        stores = [open_store(folder) for folder in folders]
        first = stores[0]
        low, high = first.band.points.vacuum_aa[[0, -1]]
        count = int(LIGHT_KMS * np.log(high / low) / STEP_KMS)
        points = Points("vacuum", "logarithmic", float(low), float(high), count)
        finish = finish_of(replace(first.band, finest_resolution=RESOLUTION, points=points))
        labels, flux = [], []
        widest = max((store.domain for store in stores), key=lambda d: float(d.high[0] - d.low[0]))
        for store in stores:
            intrinsic = [store.domain.index(name) for name in store.domain.intrinsic.names]
            labels.append(store.labels[:, intrinsic])
            for start in range(0, len(store.labels), 50):
                kept = store.flux(np.arange(start, min(start + 50, len(store.labels))))
                zero = np.zeros(len(kept), np.float32)
                flux.append(finish(kept, zero, zero + np.float32(RESOLUTION)))
        wavelength = air_from_vacuum(points.vacuum_aa)
        return cls(widest.intrinsic, np.concatenate(labels), np.concatenate(flux), wavelength)

    def between(self, low_aa, high_aa):
        """The same in a part of the range."""
        inside = (self.wavelength_aa >= low_aa) & (self.wavelength_aa < high_aa)
        return replace(self, flux=self.flux[:, inside], wavelength_aa=self.wavelength_aa[inside])


def write_recipes(folder):
    """A band of one chunk, and a recipe for each number of LABELS."""
    whole = bands.load("optical")
    whole.within("law", *CHUNK_AA).write(folder / "law")
    for count, (alpha, elements) in LABELS.items():
        around = "".join(f"{name} = [{-AROUND}, {AROUND}]\n" for name in elements)
        text = RECIPE.format(
            count=count,
            stars=STARS,
            limit="c_to_o = 0.2\n" if elements else "",
            band=json.dumps(str((folder / "law").absolute())),
            alpha="alpha = [-0.2, 0.6]\n" if alpha else "",
            around=f"[around]\n{around}" if around else "",
        )
        (folder / f"labels-{count}.toml").write_text(text)


def places(spectra, widths):
    """Ranges [low, high] in A, by width, spread evenly in the logarithm."""
    low, high = spectra.wavelength_aa[[0, -1]]
    for width, count in zip(WIDTHS, PLACES, strict=True):
        if width > 1.01 * (high - low) or width not in widths:
            continue
        last = max(high - width, low)
        for start in np.geomspace(low, last, count) if count > 1 else [low]:
            yield width, float(start), float(start + width)


def components(flux):
    """Mean, components and deviations of spectra, through the matrix of their products."""
    mean = flux.mean(axis=0)
    away = flux - mean
    count = min(COMPONENTS, len(flux) - 1)
    products = away.astype(float) @ away.T.astype(float)
    values, vectors = eigh(products, subset_by_index=[len(flux) - count, len(flux) - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    basis = (vectors / np.sqrt(values)).T @ away
    return mean, basis.astype(np.float32), np.sqrt(values / len(flux) / flux.shape[1])


def rms(difference):
    """Root mean square of each row."""
    return np.sqrt((difference.astype(float) ** 2).mean(axis=1))


def trial(spectra, training, test, effort):
    """Errors of a network trained on some stars: of components alone, of all; components needed; seconds."""
    mean, basis, deviation = components(spectra.flux[training])
    scale = np.sqrt(spectra.flux.shape[1]) * deviation
    coefficients = ((spectra.flux - mean) @ basis.T / scale).astype(np.float32)
    left = [
        rms(spectra.flux[test] - mean - (coefficients[test, :k] * scale[:k]) @ basis[:k]).mean()
        for k in (8, 16, 32, 64, 96, COMPONENTS)
        if k <= len(scale)
    ]
    epochs = max(1, round(effort.steps * BATCH / len(training)))
    plan = Plan(epochs, epochs, "muon", 1.5e-2, "cosine", warmup=epochs / 100, final_fraction=1e-4, seed=1)
    design = CoefficientNetwork((effort.hidden,) * 3, "silu", residual=True)
    network = design.initial(spectra.domain, len(scale), plan.seed)
    arrays, loss = (spectra.labels.astype(np.float32), coefficients), weighted_distance(deviation**2)
    started = time.monotonic()
    fitted = fit_rows(network, loss, arrays, (training, training[:1]), plan, BATCH).network
    seconds = time.monotonic() - started
    found = fitted(arrays[0][test]) * scale
    needed = float(
        np.interp(-np.log(LEFT), -np.log(left), np.log([8, 16, 32, 64, 96, COMPONENTS][: len(left)]))
    )
    error = rms(mean + found @ basis - spectra.flux[test]).mean()
    return {"left": left[-1], "error": error, "components": np.exp(needed), "seconds": seconds}


def stars_needed(counts, errors):
    """Number of stars for TARGET by a power law through the errors, and its exponent."""
    slope, level = np.polyfit(np.log(counts), np.log(errors), 1)
    return float(np.exp((np.log(TARGET) - level) / slope)), float(slope)


def measure(spectra, rows, about, effort):
    """One row for each number of stars at one place; and what the target needs."""
    random = np.random.default_rng(24)
    order = random.permutation(len(spectra.labels))
    test, rest = order[: len(order) // 10], order[len(order) // 10 :]
    tried = []
    for share in SHARES:
        training = rest[: int(share * len(rest))]
        made = trial(spectra, training, test, effort)
        tried.append((len(training), made["error"]))
        rows.append({**about, "stars": len(training), **{key: float(f"{v:.4g}") for key, v in made.items()}})
        print(rows[-1], flush=True)
    needed, slope = stars_needed(*zip(*tried, strict=True))
    best = rows[-len(SHARES)]
    return {
        **about,
        "needed": needed,
        "slope": slope,
        **{k: best[k] for k in ("components", "seconds", "error")},
    }


def law(results, key):
    """Exponents of width and wavelength, the value at 400 A and 6000 A, and the scatter [dex]."""
    width = np.log10([each["width"] / 400 for each in results])
    middle = np.log10([(each["low"] + each["high"]) / 2 / 6000 for each in results])
    values = np.log10([each[key] for each in results])
    design = np.stack([np.ones_like(width), width, middle], axis=1)
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    return 10 ** solution[0], solution[1], solution[2], float(np.std(values - design @ solution))


def draw(path, results):
    """Error of the same stars and network, and components needed, against the range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), constrained_layout=True)
    colour = [(each["low"] + each["high"]) / 2 for each in results]
    for axis, key, label in zip(
        axes,
        ("error", "components"),
        ("mean rms error of flux", "components that leave 3e-4"),
        strict=True,
    ):
        shown = axis.scatter(
            [each["width"] for each in results], [each[key] for each in results], c=colour, cmap="viridis"
        )
        axis.set(xscale="log", yscale="log", xlabel="range [Angstrom]", ylabel=label)
    figure.colorbar(shown, label="middle of the range [Angstrom]")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("stores", nargs="*", type=Path)
    parser.add_argument("--labels", nargs="*", type=Path, default=[])
    parser.add_argument("--recipes", action="store_true")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, help="some of them [A]")
    parser.add_argument("--steps", type=int, default=2000, help="of a training")
    parser.add_argument("--hidden", type=int, default=128, help="width of the three hidden layers")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.recipes:
        write_recipes(given.out)
        return
    rows, results = [], []
    spectra = Spectra.of(given.stores) if given.stores else None
    for width, low, high in places(spectra, given.widths) if given.stores else ():
        about = {"labels": len(spectra.domain.names), "width": width, "low": round(low), "high": round(high)}
        results.append(measure(spectra.between(low, high), rows, about, given))
    by_labels = []
    for folder in given.labels:
        own = Spectra.of([folder])
        low, high = own.wavelength_aa[[0, -1]]
        about = {
            "labels": len(own.domain.names),
            "width": round(high - low),
            "low": round(low),
            "high": round(high),
        }
        by_labels.append(measure(own, rows, about, given))
    with open(given.out / "range_law.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    names = ("labels", "width", "low", "high", "needed", "slope", "components", "error", "seconds")
    table(f"for a mean rms error of {TARGET:g}", *names)
    for each in results + by_labels:
        row(*(f"{each[name]:.3g}" if name not in ("low", "high") else each[name] for name in names))
    if not results:
        return
    for key in ("error", "components"):
        level, by_width, by_place, scatter = law(results, key)
        print(
            f"{key} = {level:.3g} (range / 400 A)^{by_width:.2f} (wavelength / 6000 A)^{by_place:.2f}, "
            f"scatter {scatter:.2f} dex"
        )
    draw(given.out / "range_law.png", results)


if __name__ == "__main__":
    main()
