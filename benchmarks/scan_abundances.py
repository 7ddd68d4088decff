"""Whether spectra follow abundances smoothly, and whether their derivatives are the differences.

``python benchmarks/scan_abundances.py [--only walks | derivatives] [--stars NAME ...]`` compares derivatives
by alpha, through the structure too, and by six elements with differences, then walks along alpha, Ca, C and
12C/13C from end to end and looks for jumps.
"""

import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np
from scan_labels import GRID, bend

from starloom import synthesis
from starloom.atmosphere import interpolate
from starloom.broadening import broaden
from starloom.constants import ALPHA_ELEMENTS
from starloom.synthesis import line_windows, synthesize, synthesize_labels
from starloom.wavelength import air_from_vacuum

STARS = {  # teff, logg, mh, vmic
    "dwarf": (5777.0, 4.44, 0.0, 1.0),
    "giant": (4500.0, 2.0, -0.5, 2.0),
    "cool dwarf": (4000.0, 4.5, 0.0, 1.0),
}
ELEMENTS = ("Ca", "C", "Mg", "O", "Fe", "Ti")
ALPHA = 0.1  # dex, inside the structures
STEP = 0.02  # dex: of smaller ones float32 shows
ALPHA_DOMAIN = synthesis.domain("alpha").only("alpha")
WALKS = {  # ends, and steps
    "alpha": (float(ALPHA_DOMAIN.low[0]), float(ALPHA_DOMAIN.high[0]), 40),
    "Ca": (-3.0, 2.0, 50),
    "C": (-3.0, 1.0, 40),
    "carbon_ratio": (1.0, 101.0, 40),
}
ZOOM = 10  # times finer steps where the coarse walk bends most


def seen(flux) -> np.ndarray:
    """Spectra at R = 11500."""
    return broaden(np.asarray(flux, float), GRID.step_kms, resolution=11500.0)


def derivatives(name: str, star: tuple) -> None:
    """Print by label how far derivatives are from differences, over the largest change."""
    teff, logg, mh, vmic = star
    alpha = min(ALPHA, WALKS["alpha"][1])
    usual = interpolate(teff, logg, mh, alpha)
    windows = line_windows(usual, mh=mh, vmic=vmic)

    def normalized(point):
        structure = interpolate(teff, logg, mh, point[0])
        # an element given does not follow alpha by itself
        default = {each: point[0] if each in ALPHA_ELEMENTS else 0.0 for each in ELEMENTS}
        elements = {each: default[each] + own for each, own in zip(ELEMENTS, point[1:], strict=True)}
        return synthesize(structure, mh=mh, vmic=vmic, elements=elements, windows=windows).normalized

    point = np.array([alpha, *[0.0] * len(ELEMENTS)])
    with jax.enable_x64(True):
        along = jax.jit(lambda direction: jax.jvp(normalized, (jnp.asarray(point),), (direction,))[1])
        at = jax.jit(normalized)
        for number, label in enumerate(("alpha", *ELEMENTS)):
            direction = np.eye(len(point))[number]
            steps = [1, 2]
            if label == "alpha" and WALKS["alpha"][0] == WALKS["alpha"][1]:
                continue
            exact = np.asarray(along(jnp.asarray(direction)), float)
            fine, coarse = (_difference(at, point, direction, STEP * step) for step in steps)
            numerical = (4 * fine - coarse) / 3  # Richardson: their errors grow with the square of the step
            size = np.abs(numerical).max()
            error = np.abs(exact - numerical).max() / size
            print(f"| {name} | {label} | {size:.3f} | {error:.1e} |", flush=True)


def _difference(function, point, direction, step) -> np.ndarray:
    up, down = (np.asarray(function(jnp.asarray(point + s * step * direction)), float) for s in (1, -1))
    return (up - down) / (2 * step)


def scan(name: str, star: tuple, label: str) -> None:
    """Walk along one label, then again finely where it bends most, and print the second differences."""
    low, high, steps = WALKS[label]
    values = np.linspace(low, high, steps + 1)
    coarse = seen(synthesize_labels(*star, **{label: values}).normalized)
    largest, step, pixel = bend(coarse)
    first = max(low, values[step] - (values[1] - values[0]) * steps / 2 / ZOOM)
    near = np.linspace(first, first + (values[1] - values[0]) * steps / ZOOM, steps + 1)
    near = near[near <= high]
    flux = synthesize_labels(*star, **{label: near}).normalized
    fine = seen(flux)
    single, double = bend(fine)[0], bend(fine, 2)[0]
    change = np.abs(np.diff(coarse, axis=0)).max()
    print(
        f"| {name} | {label} | {values[1] - values[0]:.3g} | {change:.3f} | {largest:.1e} | "
        f"{values[step]:.3g} | "
        f"{air_from_vacuum(GRID.wavelength_aa[pixel]):.1f} | {single:.1e} | {double / single:.2f} | "
        f"{largest / single:.0f} |",
        flush=True,
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("derivatives", "walks"))
    parser.add_argument("--stars", nargs="*", choices=list(STARS), default=list(STARS))
    options = parser.parse_args()
    if options.only != "walks":
        print("| star | by | largest derivative per dex | error over it |\n|---|---|---|---|")
        for name in options.stars:
            derivatives(name, STARS[name])
    if options.only != "derivatives":
        walks(options.stars)


def walks(names: list[str]) -> None:
    """Print the table of the walks."""
    columns = "star | label | step h | largest step | second difference | at | wavelength | at h/10"
    columns += " | 2h' over h' | h over h'"
    print(f"\n| {columns} |\n|" + "---|" * 10)
    for name in names:
        for label in WALKS:
            if WALKS[label][0] < WALKS[label][1]:
                scan(name, STARS[name], label)


if __name__ == "__main__":
    sys.exit(main())
