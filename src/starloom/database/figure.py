"""A store to look at: the paper's figure 1, and how the spectra are spread over the labels."""

from pathlib import Path
from textwrap import fill

import numpy as np

from starloom.database.batches import Draws, drawn_spectra, draws
from starloom.database.recipe import SPLITS
from starloom.database.store import Store
from starloom.figures import BLACK, BLUE, check, pyplot, save, styled

# the star of the paper's figure 1
EXAMPLE = {"teff": 9950.0, "logg": 3.5, "vsini": 2.0, "mh": 0.5, "vmic": 1.3, "resolution": 11500.0}
# air wavelengths [Angstrom] of the NIST Atomic Spectra Database (Ca II, N I) and of Paschen's series
# (Rydberg)
LINES = {
    "Ca II": (8498.02, 8542.09, 8662.14),
    "Pa": (8438.0, 8467.3, 8502.5, 8545.4, 8598.4, 8665.0, 8750.5),
    "N I": (8680.28, 8703.25, 8718.84),
}
LINE_STYLES = {"Ca II": "-", "Pa": "--", "N I": ":"}


@styled
def figure_one(store: Store, path: str | Path, sample: int = 600) -> None:
    """Draw a sample of observed spectra as a colour map, sorted by Teff, and one labelled spectrum.

    The spectrum is the stored one nearest to that of the paper's figure (Teff 9950 K, log g 3.5, [M/H] 0.5,
    vmic 1.3 km/s), seen with its v sin i = 2 km/s and R = 11 500.
    """
    check(path)
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(13, 5), layout="constrained")
    _colour_map(figure, left, store, sample)
    _example(right, store)
    save(figure, path)


def _colour_map(figure, axes, store: Store, sample: int) -> None:
    everything = draws(store, "train", 0)
    shown = Draws(everything.intrinsic[:sample], everything.labels[:sample])
    first = store.domain.index("teff") if "teff" in store.domain.names else 0
    order = np.argsort(shown.labels[:, first])
    shown = Draws(shown.intrinsic[order], shown.labels[order])
    flux = drawn_spectra(store, shown, slice(None)).flux
    points, label = store.band.points, store.domain.labels[first]
    edges = (points.first_aa, points.last_aa, 0, len(flux))
    image = axes.imshow(flux, aspect="auto", origin="lower", extent=edges, interpolation="nearest")
    ticks, places = _round_ticks(shown.labels[:, first])
    axes.set_yticks(places, [f"{tick:.6g}" for tick in ticks])
    unit = f" [{label.unit}]" if label.unit else ""
    title = f"{len(flux)} spectra sorted by {label.symbol}"
    axes.set(xlabel=f"Wavelength in {points.medium} [Å]", ylabel=label.symbol + unit, title=title)
    figure.colorbar(image, ax=axes, label="Normalised flux")


def _round_ticks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round numbers within rising values, and where they lie among the rows that the values are of."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(6).tick_values(values[0], values[-1])
    ticks = ticks[(ticks >= values[0]) & (ticks <= values[-1])]
    return ticks, np.interp(ticks, values, np.arange(len(values)) + 0.5)


def _example(axes, store: Store) -> None:
    domain, points, columns = store.domain, store.band.points, store.recipe.broadening
    wanted = domain.clip([EXAMPLE.get(name, 0.0) for name in domain.names])
    distance = (domain.to_unit(store.labels) - domain.to_unit(wanted))[:, store.recipe.synthesised]
    nearest = int(np.argmin(np.sum(distance**2, axis=-1)))
    chosen = store.labels[nearest].copy()
    if not store.broadened[nearest]:
        chosen[columns] = wanted[columns]
    flux = drawn_spectra(store, Draws(np.array([nearest]), chosen[None]), slice(None)).flux[0]
    axes.plot(points.wavelength_aa, flux, color=BLACK, linewidth=0.8)
    for name, places in LINES.items():
        inside = [place for place in places if points.first_aa < place < points.last_aa]
        for number, place in enumerate(inside):
            label = {"Pa": "H I Paschen"}.get(name, name) if number == 0 else None
            axes.axvline(
                place, color=BLUE, linestyle=LINE_STYLES[name], linewidth=0.7, alpha=0.7, label=label
            )
    axes.set_title(fill(domain.symbols(chosen), 60), fontsize="medium")
    axes.set(xlabel=f"Wavelength in {points.medium} [Å]", ylabel="Normalised flux")
    axes.set_xlim(points.first_aa, points.last_aa)
    if axes.get_legend_handles_labels()[0]:  # a band may have none of the lines
        axes.legend(loc="lower right")


def statistics(store: Store, bins: int = 5) -> str:
    """A table of the intrinsic spectra by label bin: how many in each split, mean and lowest flux."""
    mean, lowest = _mean_and_lowest(store)
    split = np.empty(store.recipe.intrinsic, dtype=int)
    for number, name in enumerate(SPLITS):
        split[store.splits[name]] = number
    rows = [_row("label", "bin", *SPLITS, "mean flux", "lowest")]
    for column in store.recipe.synthesised:
        edges = np.linspace(store.domain.low[column], store.domain.high[column], bins + 1)
        place = np.clip(np.searchsorted(edges, store.labels[:, column], side="right") - 1, 0, bins - 1)
        for number in range(bins):
            inside = place == number
            counts = np.bincount(split[inside], minlength=len(SPLITS))
            flux = (f"{mean[inside].mean():.4f}", f"{lowest[inside].min():.4f}") if inside.any() else ("", "")
            interval = f"{edges[number]:.5g}..{edges[number + 1]:.5g}"
            rows.append(_row(store.domain.names[column], interval, *counts, *flux))
    return "\n".join(rows)


def _row(label, interval, train, validation, test, mean, lowest) -> str:
    return f"{label:<6} {interval:>16} {train:>7} {validation:>10} {test:>7} {mean:>10} {lowest:>7}"


def _mean_and_lowest(store: Store) -> tuple[np.ndarray, np.ndarray]:
    size = store.recipe.intrinsic
    mean, lowest = np.empty(size), np.empty(size)
    for first in range(0, size, 512):
        part = np.arange(first, min(first + 512, size))
        flux = store.flux(part)
        mean[part], lowest[part] = flux.mean(axis=-1), flux.min(axis=-1)
    return mean, lowest
