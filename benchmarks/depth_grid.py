"""Errors of the layers on which spectra are computed: against eight times as many.

``python benchmarks/depth_grid.py`` prints, for 16 stars over the domain and four of its corners, the largest
and the root mean square difference of the normalised flux at full resolution, the largest at R = 11500, the
largest relative one of the continuum, and the same of intensities towards mu = 1, 0.3 and 0.1, as a Markdown
table. A second argument, ``--layers N``, tries another number of layers.
"""

import argparse
import sys
from functools import partial

import jax
import numpy as np
from scipy.ndimage import gaussian_filter1d

from starloom import bands
from starloom.atmosphere import LAYERS, interpolate, on_layers
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.synthesis import synthesize

FINER = 8
RESOLUTION = 11500
MU = (None, 1.0, 0.3, 0.1)
# Teff, log g, [M/H], vmic: structures are of the packaged grid's nodes and between them
STARS = [
    (3600, 4.5, 0.0, 1.0),
    (3600, 2.0, 0.0, 2.0),
    (4000, 2.0, -0.5, 2.0),
    (4250, 4.5, 0.5, 1.0),
    (4750, 2.5, -1.0, 2.0),
    (5250, 4.5, -1.5, 1.0),
    (5777, 4.44, 0.0, 1.0),
    (6500, 4.0, 0.0, 2.0),
    (7000, 4.0, -1.0, 3.0),
    (8000, 4.0, 0.0, 2.0),
    (8500, 3.5, 0.0, 2.0),
    (9500, 4.0, 0.5, 2.0),
    (10000, 2.5, 0.0, 2.0),
    (11000, 4.0, -1.0, 1.0),
    (13000, 3.0, 0.0, 2.0),
    (15000, 4.5, 0.5, 2.0),
    # corners
    (3600, 5.0, 1.5, 0.0),
    (3600, 2.0, 1.5, 4.0),
    (3600, 5.0, -1.5, 0.0),
    (15000, 5.0, 1.5, 0.0),
]


def spectra(star: tuple[float, ...], layers: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Normalised flux or intensity, and continuum, of a star on so many layers, for each of ``MU``."""
    teff, logg, mh, vmic = map(float, star)
    sys.modules["starloom.synthesis.photosphere"].on_layers = partial(on_layers, layers=layers)
    with jax.enable_x64(True):
        known = interpolate(teff, logg, mh)
    made = [synthesize(known, mh=mh, vmic=vmic, mu=mu) for mu in MU]
    return [(np.asarray(one.normalized, float), np.asarray(one.continuum, float)) for one in made]


def errors(star: tuple[float, ...], layers: int) -> list[tuple[float, ...]]:
    """Full resolution: largest and rms; R = 11500: largest; continuum: largest; for each of ``MU``."""
    step = bands.load("rvs").chunks[0].step_kms
    width = SPEED_OF_LIGHT_KMS / RESOLUTION / np.sqrt(8 * np.log(2)) / step
    found = []
    for (flux, continuum), (exact, truth) in zip(
        spectra(star, layers), spectra(star, FINER * LAYERS), strict=True
    ):
        difference = flux - exact
        seen = np.abs(gaussian_filter1d(difference, width)).max()
        rms = np.sqrt(np.mean(difference**2))
        found.append((np.abs(difference).max(), rms, seen, np.abs(continuum / truth - 1).max()))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=LAYERS)
    layers = parser.parse_args().layers
    print(f"{layers} layers against {FINER * LAYERS}\n")
    print("| star | full | rms | R = 11500 | continuum | mu = 1: full, R, continuum | 0.3 | 0.1 |")
    print("|" + "---|" * 8)
    for star in STARS:
        flux, *beams = errors(star, layers)
        cells = [f"{value:.1e}" for value in flux]
        cells += [", ".join(f"{beam[i]:.1e}" for i in (0, 2, 3)) for beam in beams]
        print(f"| {'/'.join(f'{label:g}' for label in star)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
