"""A store to look at: the paper's figure 1, and how the spectra are spread over the labels."""

from pathlib import Path

import numpy as np

from starloom import labels
from starloom.database.batches import Draws, draws, observe
from starloom.database.recipe import INTRINSIC, SPLITS
from starloom.database.store import Store
from starloom.figures import check, pyplot, save
from starloom.wavelength import PAPER_GRID_AA

# the star of the paper's figure 1: teff, logg, vsini, mh, vmic, resolution
EXAMPLE = np.array([9950.0, 3.5, 2.0, 0.5, 1.3, 11500.0])
# air wavelengths [Angstrom] of the NIST Atomic Spectra Database (Ca II, N I) and of Paschen's series
# (Rydberg)
LINES = {
    "Ca II": (8498.02, 8542.09, 8662.14),
    "Pa": (8438.0, 8467.3, 8502.5, 8545.4, 8598.4, 8665.0, 8750.5),
    "N I": (8680.28, 8703.25, 8718.84),
}
LINE_STYLES = {"Ca II": "-", "Pa": "--", "N I": ":"}


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
    order = np.argsort(shown.labels[:, 0])
    shown = Draws(shown.intrinsic[order], shown.labels[order])
    flux = observe(store, shown, slice(None)).flux
    edges = (PAPER_GRID_AA[0], PAPER_GRID_AA[-1], 0, len(flux))
    image = axes.imshow(flux, aspect="auto", origin="lower", extent=edges, interpolation="nearest")
    places = np.linspace(0, len(flux) - 1, 6).astype(int)
    axes.set_yticks(places + 0.5, [f"{shown.labels[place, 0]:.0f}" for place in places])
    axes.set(xlabel="Wavelength in air [Å]", ylabel="Teff [K]", title=f"{len(flux)} spectra sorted by Teff")
    figure.colorbar(image, ax=axes, label="Normalised flux")


def _example(axes, store: Store) -> None:
    scaled = labels.DOMAIN.scale(store.labels) - labels.DOMAIN.scale(EXAMPLE)
    nearest = int(np.argmin(np.sum(scaled[:, INTRINSIC] ** 2, axis=-1)))
    chosen = store.labels[nearest].copy()
    if not store.broadened[nearest]:
        chosen[[2, 5]] = EXAMPLE[[2, 5]]
    flux = observe(store, Draws(np.array([nearest]), chosen[None]), slice(None)).flux[0]
    axes.plot(PAPER_GRID_AA, flux, color="black", linewidth=0.8)
    for name, places in LINES.items():
        for number, place in enumerate(places):
            label = {"Pa": "H I Paschen"}.get(name, name) if number == 0 else None
            axes.axvline(
                place, color="C0", linestyle=LINE_STYLES[name], linewidth=0.7, alpha=0.7, label=label
            )
    teff, logg, vsini, mh, vmic, resolution = chosen
    title = f"Teff {teff:.0f} K, log g {logg:.2f}, v sin i {vsini:.0f} km/s, [M/H] {mh:+.2f}, "
    axes.set_title(f"{title}vmic {vmic:.1f} km/s, R {resolution:.0f}", fontsize="medium")
    axes.set(xlabel="Wavelength in air [Å]", ylabel="Normalised flux", xlim=(8400, 8800))
    axes.legend(loc="lower right")


def statistics(store: Store, bins: int = 5) -> str:
    """A table of the intrinsic spectra by label bin: how many in each split, mean and lowest flux."""
    mean, lowest = _mean_and_lowest(store)
    split = np.empty(store.recipe.intrinsic, dtype=int)
    for number, name in enumerate(SPLITS):
        split[store.splits[name]] = number
    rows = [_row("label", "bin", *SPLITS, "mean flux", "lowest")]
    for column in INTRINSIC:
        edges = np.linspace(*store.recipe.ranges[column], bins + 1)
        place = np.clip(np.searchsorted(edges, store.labels[:, column], side="right") - 1, 0, bins - 1)
        for number in range(bins):
            inside = place == number
            counts = np.bincount(split[inside], minlength=len(SPLITS))
            flux = (f"{mean[inside].mean():.4f}", f"{lowest[inside].min():.4f}") if inside.any() else ("", "")
            interval = f"{edges[number]:.5g}..{edges[number + 1]:.5g}"
            rows.append(_row(labels.NAMES[column], interval, *counts, *flux))
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
