"""How many training stars, components and weights a range of wavelengths needs: the paper's open question.

    python benchmarks/range_law.py OUT STORE [STORE ...]
    python benchmarks/range_law.py DIR --recipes        # writes those of the next, for database build
    python benchmarks/range_law.py OUT --stars STORE --labels STORE [STORE ...] [--steps 4000]

STORES of one band are read together: spectra of R = 11 500 without rotation, cut to ranges of WIDTHS at
several places. Of each, principal components and a small network are trained, and tried on a tenth of the
stars that none of them saw. With ``--stars`` and ``--labels`` on shares of the stars too, whose errors tell
with which power of their number they fall where the training (``--steps``, ``--hidden``) is long enough:
``--stars`` is one store, cut to some ranges, ``--labels`` are stores with other numbers of labels, each over
the whole of its range, ``--before`` tables of earlier runs.

Writes OUT/range_law.csv, OUT/range_law.png and the fitted laws; OUT/star_law.csv and OUT/star_law.png.
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
PLACES = {50: 3, 100: 3, 200: 3, 400: 2, 800: 2, 1600: 2, 3200: 1, 5000: 1}  # by width [A]
STAR_PLACES = {50: 1, 200: 1, 750: 1}
SHARES = (1.0, 0.4, 0.16)  # of the training stars
COMPONENTS, BATCH = 128, 128
LEFT = 3e-4  # what the components may leave of the mean over stars of the rms error
LIGHT_KMS = 299792.458
LABELS = {  # beside Teff, log g, [M/H] and vmic, in one chunk of the optical
    4: ("", ()),
    5: ("alpha", ()),
    8: ("alpha", ("C", "Mg", "Ti")),
    16: ("alpha", ("C", "N", "O", "Na", "Mg", "Al", "Si", "Ca", "Ti", "Cr", "Ni")),
}
CHUNK_AA, STARS, AROUND = (5120.0, 5350.0), 600, 0.3
MANY_AA, MANY = (4870.0, 5630.0), 1000  # three chunks, for the law of the number of stars
RECIPE = """name = "{name}"
seed = 2424
sampling = "sobol"
intrinsic = {stars}
broadenings = 1
chunk = 40
band = {band}
lines = "calibrated"
{limit}[ranges]
teff = {teff}
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
    """A recipe for each number of LABELS, of one chunk, and one of MANY warmer stars of three."""
    for name, ends in {"one": CHUNK_AA, "three": MANY_AA}.items():
        bands.load("optical").within(name, *ends).write(folder / name)
    for count, (alpha, elements) in LABELS.items():
        write_recipe(folder, f"labels-{count}", "one", STARS, [3500, 15000], alpha, elements)
    write_recipe(folder, "stars-4", "three", MANY, [4500, 10000])


def write_recipe(folder, name, band, stars, teff, alpha="", elements=()):
    """A recipe NAME.toml of stars in a band of the folder."""
    around = "".join(f"{element} = [{-AROUND}, {AROUND}]\n" for element in elements)
    text = RECIPE.format(
        name=name,
        stars=stars,
        teff=teff,
        limit="c_to_o = 0.2\n" if elements else "",
        band=json.dumps(str((folder / band).absolute())),
        alpha="alpha = [-0.2, 0.6]\n" if alpha else "",
        around=f"[around]\n{around}" if around else "",
    )
    (folder / f"{name}.toml").write_text(text)


def places(spectra, counts):
    """Ranges [low, high] in A, by width, spread evenly in the logarithm."""
    low, high = spectra.wavelength_aa[[0, -1]]
    for width, count in counts.items():
        if width > 1.01 * (high - low):
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


def by_network(hidden, steps, domain, labels, coefficients, deviation, training):
    """A residual network from labels to whitened coefficients, trained for some steps on some rows."""
    epochs = max(1, round(steps * BATCH / len(training)))
    plan = Plan(epochs, epochs, "muon", 1.5e-2, "cosine", warmup=epochs / 100, final_fraction=1e-4, seed=1)
    design = CoefficientNetwork(hidden, "silu", residual=True)
    network, loss = design.initial(domain, len(deviation), plan.seed), weighted_distance(deviation**2)
    return fit_rows(network, loss, (labels, coefficients), (training, training[:1]), plan, BATCH).network


def trial(spectra, training, test, effort):
    """Errors of a network trained on some stars: of components alone, of all; components needed; seconds."""
    mean, basis, deviation = components(spectra.flux[training])
    scale = np.sqrt(spectra.flux.shape[1]) * deviation
    coefficients = ((spectra.flux - mean) @ basis.T / scale).astype(np.float32)
    labels = spectra.labels.astype(np.float32)
    left = [
        rms(spectra.flux[test] - mean - (coefficients[test, :k] * scale[:k]) @ basis[:k]).mean()
        for k in (8, 16, 32, 64, 96, COMPONENTS)
        if k <= len(scale)
    ]
    started, data = time.monotonic(), (spectra.domain, labels, coefficients, deviation, training)
    fitted = by_network((effort.hidden,) * 3, effort.steps, *data)
    seconds = time.monotonic() - started
    found = fitted(labels[test]) * scale
    needed = float(
        np.interp(-np.log(LEFT), -np.log(left), np.log([8, 16, 32, 64, 96, COMPONENTS][: len(left)]))
    )
    error = rms(mean + found @ basis - spectra.flux[test]).mean()
    return {"left": left[-1], "error": error, "components": np.exp(needed), "seconds": seconds}


def measure(spectra, about, effort, shares=(1.0,)):
    """A row for each share of the stars at one place."""
    random = np.random.default_rng(24)
    order = random.permutation(len(spectra.labels))
    test, rest = order[: len(order) // 10], order[len(order) // 10 :]
    low, high = spectra.wavelength_aa[[0, -1]]
    place = {"labels": len(spectra.domain.names), "range": round(high - low), "low": round(low)}
    for share in shares:
        training = rest[: round(share * len(rest))]
        made = trial(spectra, training, test, effort)
        sizes = {key: float(f"{value:.4g}") for key, value in made.items()}
        yield {"about": about, **place, "high": round(high), "stars": len(training), **sizes}


def law(rows, key, **terms):
    """Exponents of columns over a value each, the level there, and the scatter [dex].

    Each set of rows (``about``) has a level of its own; told is that of the last.
    """
    sets = list(dict.fromkeys(each["about"] for each in rows))
    levels = [[float(each["about"] == one) for each in rows] for one in sets]
    slopes = [[np.log10(each[name] / unit) for each in rows] for name, unit in terms.items()]
    design, values = np.array(levels + slopes).T, np.log10([each[key] for each in rows])
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    scatter = float(np.std(values - design @ solution))
    formula = " ".join(
        f"({name} / {unit})^{power:.2f}"
        for (name, unit), power in zip(terms.items(), solution[len(sets) :], strict=True)
    )
    return f"{key} = {10 ** solution[len(sets) - 1]:.3g} {formula}, scatter {scatter:.2f} dex"


def powers(rows):
    """With which power of the number of stars the error of each place falls: rows of a table."""
    for key in dict.fromkeys((each["about"], each["labels"], each["low"], each["high"]) for each in rows):
        own = [each for each in rows if (each["about"], each["labels"], each["low"], each["high"]) == key]
        stars, errors = (np.array([each[name] for each in own]) for name in ("stars", "error"))
        if len(own) == 1:
            continue
        power, _ = np.polyfit(np.log(stars), np.log(errors), 1)
        told = ", ".join(f"{each['stars']}: {each['error']:.1e}" for each in own)
        yield (*key, told, f"{power:.2f}")


def draw(path, rows):
    """Error of the same stars and network, and components needed, against the range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), constrained_layout=True)
    ranges, colour = ([each[name] for each in rows] for name in ("range", "middle"))
    labels = {"error": "mean rms error of flux", "components": "components that leave 3e-4"}
    for axis, (key, label) in zip(axes, labels.items(), strict=True):
        shown = axis.scatter(ranges, [each[key] for each in rows], c=colour, cmap="viridis")
        axis.set(xscale="log", yscale="log", xlabel="range [Angstrom]", ylabel=label)
    figure.colorbar(shown, label="middle of the range [Angstrom]")
    figure.savefig(path, dpi=150)


def draw_stars(path, rows):
    """Error against the number of training stars, by range and by number of labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), constrained_layout=True, sharey=True)
    for axis, about, key, unit in (
        (axes[0], "stars", "range", " Angstrom"),
        (axes[1], "labels", "labels", " labels"),
    ):
        own = [each for each in rows if each["about"] == about]
        values = sorted({each[key] for each in own})
        for place in dict.fromkeys((each[key], each["low"]) for each in own):
            line = [each for each in own if (each[key], each["low"]) == place]
            stars, errors = ([each[name] for each in line] for name in ("stars", "error"))
            colour = f"C{values.index(place[0])}"
            axis.plot(stars, errors, "o-", color=colour, label=f"{place[0]}{unit}")
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.legend(handles.values(), handles.keys(), frameon=False)
        axis.set(xscale="log", yscale="log", xlabel="training stars")
    axes[0].set_ylabel("mean rms error of flux")
    figure.savefig(path, dpi=150)


def write_table(path, rows):
    """A CSV file."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_table(path):
    """Rows of a CSV file, numbers as such."""
    with open(path, newline="", encoding="utf-8") as stream:
        for each in csv.DictReader(stream):
            numbers = {key: float(value) for key, value in each.items() if key != "about"}
            whole = {key: int(numbers[key]) for key in ("labels", "range", "low", "high", "stars")}
            yield {**each, **numbers, **whole}


def told(rows):
    """The rows as they come, each printed."""
    found = []
    for each in rows:
        found.append({**each, "middle": (each["low"] + each["high"]) / 2})
        print(found[-1], flush=True)
    return found


def by_range(given):
    """The same stars in ranges of all widths."""
    spectra, rows = Spectra.of(given.stores), []
    counts = {width: PLACES[width] for width in given.widths}
    for _, low, high in places(spectra, counts):
        rows += told(measure(spectra.between(low, high), "ranges", given))
    write_table(given.out / "range_law.csv", rows)
    for key in ("error", "components"):
        print(law(rows, key, range=400, middle=6000))
    draw(given.out / "range_law.png", rows)


def by_stars(given):
    """Fewer and fewer stars, in some ranges and with other numbers of labels."""
    rows = [each for path in given.before for each in read_table(path)]
    if given.stars:
        spectra = Spectra.of([given.stars])
        for _, low, high in places(spectra, STAR_PLACES):
            rows += told(measure(spectra.between(low, high), "stars", given, SHARES))
    for folder in given.labels:
        rows += told(measure(Spectra.of([folder]), "labels", given, SHARES[:2]))
    write_table(given.out / "star_law.csv", rows)
    report_stars(rows)
    draw_stars(given.out / "star_law.png", rows)


def report_stars(rows):
    """Powers place by place, and the laws."""
    table("errors", "set", "labels", "from [A]", "to [A]", "stars: error", "power of the number")
    for each in powers(rows):
        row(*each)
    sets = {about: [each for each in rows if each["about"] == about] for about in ("stars", "labels")}
    if own := sets["stars"]:
        print(law(own, "error", stars=1000, range=400))
    if len({each["labels"] for each in sets["labels"]}) > 1:
        print(law(sets["labels"], "error", stars=1000, labels=5))
        if own:
            print(law(rows, "error", stars=1000, range=400, labels=5))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("stores", nargs="*", type=Path)
    parser.add_argument("--stars", type=Path)
    parser.add_argument("--labels", nargs="*", type=Path, default=[])
    parser.add_argument("--before", nargs="*", type=Path, default=[])
    parser.add_argument("--recipes", action="store_true")
    parser.add_argument("--widths", type=int, nargs="+", default=tuple(PLACES), help="some of them [A]")
    parser.add_argument("--steps", type=int, default=2000, help="of a training")
    parser.add_argument("--hidden", type=int, default=128, help="width of the three hidden layers")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.recipes:
        write_recipes(given.out)
    if given.stores:
        by_range(given)
    if given.stars or given.labels or given.before:
        by_stars(given)


if __name__ == "__main__":
    main()
