"""Smallest errors of labels over the Kiel diagram, by the generator of six labels: docs/figures/forecast.png.

``python benchmarks/forecast_figure.py [--model NAME] [--output FILE]`` draws the Cramer-Rao bound of five
labels at four signal-to-noise ratios for Gaia's RVS mean spectra, and prints it for the stars of a table.
``--check`` compares those with bounds from synthesised spectra instead (minutes).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from starloom import Generator, bands
from starloom.broadening import finish_onto, keep
from starloom.figures import pyplot, save
from starloom.inference.derivatives import parameters
from starloom.inference.forecast import Setting, covariances
from starloom.labels import LABELS, RADIATION_LIMIT, TABLE_1

PARAMETERS = parameters(TABLE_1)
SNR = (20, 50, 100, 200)
# edges of the classes of each label, in its unit; the last one ends at the length of the label's range
CLASSES = {
    "teff": (0, 20, 50, 100, 200, 500, 1000),
    "logg": (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
    "vsini": (0, 0.5, 1, 2, 5, 10, 20),
    "mh": (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    "vmic": (0, 0.05, 0.1, 0.2, 0.5, 1, 2),
}
TEFF = np.geomspace(3600, 15000, 49)
LOGG = np.linspace(2, 5, 25)
# Teff [K] and log g of solar-metallicity dwarfs and of the giant branch, rounded: where stars are
DWARFS = np.array(
    [[3600, 4.8], [4500, 4.63], [5772, 4.44], [7000, 4.3], [9500, 4.2], [12000, 4.15], [15000, 4.1]]
)
GIANTS = np.array([[6000, 4.1], [5200, 3.7], [5000, 3.2], [4750, 2.5], [4450, 2.0]])
STARS = {  # Teff, log g
    "K dwarf": (4500, 4.63),
    "Sun": (5772, 4.44),
    "F dwarf": (6800, 4.3),
    "A dwarf": (9000, 4.2),
    "B dwarf": (13000, 4.1),
    "K giant": (4750, 2.5),
    "G giant": (5500, 2.5),
    "A giant": (9000, 2.5),
    "B giant": (12500, 3.0),
}


CHECKED = ("K dwarf", "Sun", "A dwarf", "B dwarf", "K giant", "A giant")
STEPS = np.array([40.0, 0.05, 0.5, 0.05, 0.1, 100.0, 1.0])  # of labels, and of the velocity


def typical(teff, logg) -> np.ndarray:
    """Labels [..., 6] of stars as they usually are, with solar metals.

    v sin i is 5 km/s for cool stars and rises to 100 km/s at 8000 K, across the Kraft break near 6500 K; vmic
    is 1 km/s for dwarfs and 2 km/s for giants and hot stars.
    """
    vsini = np.interp(teff, [6200, 8000], [5.0, 100.0]) + 0 * logg
    vmic = np.maximum(np.interp(logg, [2.5, 4.5], [2.0, 1.0]), np.interp(teff, [6000, 8000], [1.0, 2.0]))
    return np.stack(np.broadcast_arrays(teff, logg, vsini, 0.0, vmic, 11500.0), axis=-1)


def bounds(generator: Generator, labels: np.ndarray, snr: float) -> np.ndarray:
    """Bounds [star, parameter] without the resolution, which is known; NaN where there is none."""
    setting = Setting(snr, noise_correlation=0.0, physics_error=False)
    parts = [labels[start : start + 64] for start in range(0, len(labels), 64)]
    covariance = np.concatenate([covariances(generator, part, setting) for part in parts])
    return np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))


def draw(size: np.ndarray):
    """Maps of ``size[teff, logg, parameter]``, the bounds at a signal-to-noise ratio of 100."""
    figure = pyplot().figure(figsize=(10.5, 12), layout="constrained")
    grid = figure.subplots(len(CLASSES), len(SNR), sharex=True, sharey=True)
    free = [name for name in PARAMETERS if name != "resolution"]
    colours = pyplot().get_cmap("viridis_r", 7)
    for row, (name, edges) in zip(grid, CLASSES.items(), strict=True):
        values = size[..., free.index(name)]
        for axes, snr in zip(row, SNR, strict=True):
            classes = np.digitize(values * 100 / snr, edges[1:]).astype(float)
            classes[np.isnan(values)] = np.nan
            image = axes.pcolormesh(
                TEFF, LOGG, classes.T, cmap=colours, vmin=-0.5, vmax=6.5, shading="nearest", rasterized=True
            )
            for line in (DWARFS, GIANTS):
                axes.plot(*line.T, color="white", linewidth=2.4)
                axes.plot(*line.T, color="black", linewidth=1)
            axes.set_facecolor("0.85")
        bar = figure.colorbar(image, ax=row, ticks=np.arange(-0.5, 6.5), aspect=12, pad=0.01)
        bar.set_ticklabels([f"{edge:g}" for edge in edges])
        bar.set_label(f"{LABELS[name].symbol} [{LABELS[name].unit}]")
        row[0].set_ylabel(r"$\log g$")
    for line, text, shift in ((DWARFS, "dwarfs", (-28, 8)), (GIANTS, "giants", (-36, -2))):
        place = line[len(line) // 2]
        grid[0, 0].annotate(text, place, shift, textcoords="offset points", color="white", fontsize="small")
    _frame(grid)
    return figure


def _frame(grid) -> None:
    """Axes of a Kiel diagram: hot on the left, giants on top."""
    first = grid[0, 0]
    first.set_xscale("log")
    first.set_xlim(TEFF[-1], TEFF[0])
    first.set_ylim(LOGG[-1], LOGG[0])
    ticks = [4000, 6000, 9000, 14000]
    for axes in grid[-1]:
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], [], minor=True)
        axes.set_xlabel(r"$T_\mathrm{eff}$ [K]")
    for axes, snr in zip(grid[0], SNR, strict=True):
        axes.set_title(f"S/N = {snr} per pixel", fontsize="medium")


class Synthesised:
    """Flux and derivatives by synthesis, as far as a forecast asks a generator for them."""

    domain = TABLE_1

    def __init__(self):
        self.kept: dict[tuple, np.ndarray] = {}

    def flux(self, labels, *, wavelength_aa, radial_velocity=0.0, **_) -> np.ndarray:
        """Flux [star, wavelength] at vacuum wavelengths."""
        finish = finish_onto(wavelength_aa)
        stars = [(self._intrinsic(tuple(row[[0, 1, 3, 4]])), row[2], row[5]) for row in labels]
        return np.stack([finish(*star, radial_velocity=float(radial_velocity)) for star in stars])

    @property
    def model(self) -> "Synthesised":
        """Itself: flux and derivatives at any wavelengths."""
        return self

    def on(self, vacuum_aa: np.ndarray) -> Callable:
        """Central differences over STEPS: as ``inference.derivatives.Derivatives``."""

        def derivatives(labels, velocity, wanted) -> np.ndarray:
            every = []
            for step in np.diag(STEPS)[list(wanted)]:
                ends = [self._moved(labels, velocity, vacuum_aa, sign * step) for sign in (1, -1)]
                every.append((ends[0] - ends[1]) / (2 * step.sum()))
            return np.stack([self._moved(labels, velocity, vacuum_aa, 0 * STEPS), *every], axis=1)

        return derivatives

    def _moved(self, labels, velocity, vacuum_aa, step) -> np.ndarray:
        return self.flux(labels + step[:6], wavelength_aa=vacuum_aa, radial_velocity=velocity[0] + step[6])

    def _intrinsic(self, star: tuple) -> np.ndarray:
        if star not in self.kept:
            from starloom.synthesis import synthesize_each

            (made,) = synthesize_each(np.array([star]))
            self.kept[star] = keep(np.asarray(made.normalized, dtype=np.float64), bands.load("rvs"))
        return self.kept[star]


def check(generator: Generator) -> None:
    """Print the generator's bounds over those from synthesis, at S/N = 100."""
    labels = np.stack([typical(*STARS[name]) for name in CHECKED])
    ratio = bounds(generator, labels, 100) / bounds(Synthesised(), labels, 100)
    print(f"{'generated / synthesised':<28}" + "".join(f"{n:>10}" for n in PARAMETERS if n != "resolution"))
    for name, row in zip(CHECKED, ratio, strict=True):
        print(f"{name:<28}" + "".join(f"{value:>10.3f}" for value in row))


def report(generator: Generator) -> None:
    """Print the bounds of STARS at S/N = 100, and the factor by which not knowing the others raises each."""
    labels = np.stack([typical(*star) for star in STARS.values()])
    size = bounds(generator, labels, 100)
    free = [name for name in PARAMETERS if name != "resolution"]
    print(f"{'S/N = 100':<10}{'Teff':>7}{'log g':>7}{'vsini':>7}" + "".join(f"{name:>10}" for name in free))
    for name, star, row in zip(STARS, labels, size, strict=True):
        print(
            f"{name:<10}{star[0]:>7.0f}{star[1]:>7.2f}{star[2]:>7.0f}" + "".join(f"{v:>10.3g}" for v in row)
        )
    for order in (None, 8):
        setting = Setting(100, continuum=order, noise_correlation=0.0, physics_error=False)
        ratio = np.sqrt(np.diagonal(covariances(generator, labels, setting), axis1=1, axis2=2)) / size
        print(f"\nbounds with a {'known continuum' if order is None else 'continuum of order 8'} over these:")
        for name, row in zip(STARS, ratio, strict=True):
            print(f"{name:<31}" + "".join(f"{value:>10.2f}" for value in row))
    for fixed in ("teff", "logg", "mh", "vmic", "velocity"):
        setting = Setting(100, fixed=("resolution", fixed), noise_correlation=0.0, physics_error=False)
        known = np.sqrt(np.diagonal(covariances(generator, labels, setting), axis1=1, axis2=2))
        rest = [n for n, other in enumerate(free) if other != fixed]
        print(f"\nbounds over those with a known {fixed}:")
        for name, ratio in zip(STARS, size[:, rest] / known, strict=True):
            print(f"{name:<31}" + "".join(f"{free[n]:>10} {v:.2f}" for n, v in zip(rest, ratio, strict=True)))


def main() -> None:
    """Compute, draw and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default-2026-lte")
    parser.add_argument("--output", type=Path, default=Path("docs/figures/forecast.png"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    generator = Generator.load(options.model)
    if options.check:
        check(generator)
        return
    report(generator)
    teff, logg = (axis.ravel() for axis in np.meshgrid(TEFF, LOGG, indexing="ij"))
    inside = logg >= RADIATION_LIMIT(teff, np.zeros_like(teff))
    size = np.full((teff.size, len(PARAMETERS) - 1), np.nan)
    size[inside] = bounds(generator, typical(teff[inside], logg[inside]), 100)
    figure = draw(size.reshape(TEFF.size, LOGG.size, -1))
    save(figure, options.output, dpi=90)
    lengths = ", ".join(
        f"{label.name} {high - low:g}" for label, low, high in TABLE_1.ranges if label.name in CLASSES
    )
    print(f"\nwrote {options.output}; lengths of the ranges: {lengths}")


if __name__ == "__main__":
    main()
