"""Whether spectra are finite, in range and smooth all over the domain of the labels.

``python benchmarks/scan_labels.py [--spectra N] [--store DIR]`` looks at N random stars, or at a store
(seen at R = 40000), then walks along each label and looks for jumps.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from starloom import bands, sampling, synthesis
from starloom.broadening import broaden
from starloom.database.store import decode, read_manifest
from starloom.labels import RADIATION_LIMIT
from starloom.synthesis import synthesize_each
from starloom.wavelength import air_from_vacuum

(GRID,) = bands.load("rvs").chunks
DOMAIN = synthesis.domain()
NAMES = DOMAIN.names
STARS = {
    "cool dwarf": (4000.0, 4.5, 0.0, 1.5),
    "solar giant": (5200.0, 3.0, 0.0, 2.0),
    "A star": (9000.0, 4.0, 0.0, 2.0),
}
STEPS = 60
ZOOM = 10  # times finer steps where the coarse walk bends most
HIGHEST = 1.001


def random_stars(count: int) -> np.ndarray:
    """Labels teff, logg, mh, vmic of random stars of the domain."""
    return sampling.uniform(7, 0, count, DOMAIN.low, DOMAIN.high, DOMAIN.contains)


def stored(folder: Path):
    """Labels and spectra of the finished chunks of a store, one after the other."""
    manifest = read_manifest(folder)
    columns = [manifest.recipe.domain.index(name) for name in NAMES]
    for number in sorted(manifest.digests):
        rows = np.load(manifest.path("labels", number))[:, columns]
        yield from zip(rows, decode(np.load(manifest.path("flux", number))), strict=True)


def synthesized(stars: np.ndarray):
    """Labels and normalised spectra on the synthesis grid, one after the other."""
    for star, spectrum in zip(stars, synthesize_each(stars), strict=True):
        yield star, np.asarray(spectrum.normalized, float)


def look(spectra) -> None:
    """Print extremes of all spectra, and how many break 0 < flux <= 1.001."""
    count = broken = 0
    lowest, highest = (np.inf, None), (-np.inf, None)
    for star, flux in spectra:
        count += 1
        broken += not (np.isfinite(flux).all() and flux.min() > 0 and flux.max() <= HIGHEST)
        lowest = min(lowest, (float(flux.min()), tuple(star)), key=lambda item: item[0])
        highest = max(highest, (float(flux.max()), tuple(star)), key=lambda item: item[0])
    print(f"{count} spectra, {broken} not finite or outside 0 < flux <= {HIGHEST}")
    for name, (value, star) in (("lowest", lowest), ("highest", highest)):
        print(
            f"  {name} flux {value:.6f} at "
            + ", ".join(f"{n} {x:.4g}" for n, x in zip(NAMES, star, strict=True))
        )


def walk(
    star: tuple, axis: int, low: float, high: float, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of one label, and the spectra there at full resolution and at R = 11500."""
    values = np.linspace(low, high, steps + 1)
    stars = np.tile(star, (steps + 1, 1))
    stars[:, axis] = values
    inside = stars[:, 1] >= RADIATION_LIMIT(stars[:, 0], stars[:, 2])
    full = np.array([flux for _, flux in synthesized(stars[inside])])
    return values[inside], full, broaden(full, GRID.step_kms, resolution=11500.0)


def bend(flux: np.ndarray, stride: int = 1) -> tuple[float, int, int]:
    """Largest |second difference| over every ``stride``-th spectrum, its step and its pixel."""
    second = np.abs(flux[2 * stride :] - 2 * flux[stride:-stride] + flux[: -2 * stride])
    step, pixel = np.unravel_index(second.argmax(), second.shape)
    return float(second.max()), int(step) + stride, int(pixel)


def scan(name: str, star: tuple, axis: int) -> None:
    """Walk along one label, then again finely where it bends most, and print the second differences."""
    lowest, highest = DOMAIN.low[axis], DOMAIN.high[axis]
    values, full, seen = walk(star, axis, lowest, highest, STEPS)
    coarse, step, pixel = bend(seen)
    fine_step = (values[1] - values[0]) / ZOOM
    low = max(lowest, values[step] - fine_step * STEPS / 2)
    high = min(highest, low + fine_step * STEPS)
    _, fine_full, fine = walk(star, axis, low, high, round((high - low) / fine_step))
    single, double = bend(fine)[0], bend(fine, 2)[0]
    print(
        f"| {name} | {NAMES[axis]} | {values[1] - values[0]:.4g} | {bend(full)[0]:.1e} | {coarse:.1e} | "
        f"{values[step]:.5g} | {air_from_vacuum(GRID.wavelength_aa[pixel]):.1f} | {fine_step:.3g} | "
        f"{bend(fine_full)[0]:.1e} | {single:.1e} | {double / single:.2f} | {coarse / single:.0f} |",
        flush=True,
    )


def main() -> None:
    """Print extremes and the table of the walks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=200)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--stars", nargs="*", choices=list(STARS), default=list(STARS))
    options = parser.parse_args()
    look(stored(options.store) if options.store else synthesized(random_stars(options.spectra)))
    columns = (
        "star",
        "label",
        "step h",
        "full",
        "R = 11500",
        "at",
        "wavelength",
        "step h'",
        "full",
        "R = 11500",
    )
    print("\n| " + " | ".join((*columns, "2h' over h'", "h over h'")) + " |\n|" + "---|" * (len(columns) + 2))
    for name in options.stars:
        for axis in range(len(NAMES)):
            scan(name, STARS[name], axis)


if __name__ == "__main__":
    sys.exit(main())
