"""What the step of the synthesis, 0.676 km/s, costs at high resolution: against half of it.

    python benchmarks/synthesis_step.py [--range LOW HIGH]

Atoms alone, in one chunk of the band ``optical``, on its grid and on one twice as fine, seen at R = 150 000
and less without rotation: mean and largest difference of normalised flux. The narrowest lines, of heavy atoms
without microturbulence, have three points in their Doppler width at 4000 K.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from printing import row, table

from starloom import bands, tables
from starloom.broadening import broaden
from starloom.synthesis import synthesize_labels
from starloom.wavelength import LogGrid

STARS = ((3800, 4.5, 0.0, 0.0), (4500, 1.5, 0.0, 1.0), (5777, 4.44, 0.0, 0.0), (5777, 4.44, 0.0, 1.0),
         (8000, 4.0, 0.0, 0.0), (12000, 4.0, 0.0, 0.0))  # fmt: skip
RESOLUTIONS = (50000.0, 100000.0, 150000.0)
LINKED = ("atomic_lines", "hydrogen_profiles", "line_calibration")


def without_molecules(folder, band, grid):
    """The band on another grid, with the same atoms and one molecule that absorbs nothing."""
    folder.mkdir()
    for name in LINKED:
        np.savez(folder / f"{name}.npz", **tables.load(name, band.tables))
    temperature = np.geomspace(1000.0, 10000.0, 8)
    np.savez(
        folder / "molecular_opacity.npz",
        packed_log_cross_section=np.zeros((1, temperature.size, grid.points), np.float32),
        scale=np.ones(1),
        offset=np.full(1, -40.0),
        first_vacuum_aa=np.array(grid.first_aa),
        step_kms=np.array(grid.step_kms),
        temperature=temperature,
        name=np.array(["CN"]),
    )
    return replace(band, chunks=(grid,), tables=str(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--range", type=float, nargs=2, default=(5120.0, 5355.0))
    given = parser.parse_args()
    band = bands.load("optical").within("step", *given.range)
    (usual,) = band.chunks
    half = LogGrid(usual.first_aa, 2 * usual.points - 1, usual.step_kms / 2)
    table("difference", "star", "R", "mean", "largest")
    with tempfile.TemporaryDirectory() as place:
        both = [
            without_molecules(Path(place) / name, band, grid)
            for name, grid in {"usual": usual, "half": half}.items()
        ]
        for star in STARS:
            labels = dict(zip(("teff", "logg", "mh", "vmic"), star, strict=True))
            flux = [
                np.asarray(synthesize_labels(**labels, band=own).normalized, float).ravel() for own in both
            ]
            for resolution in RESOLUTIONS:
                coarse, fine = (
                    broaden(own, grid.step_kms, resolution=resolution)
                    for own, grid in zip(flux, (usual, half), strict=True)
                )
                away = np.abs(coarse - fine[::2])[1000:-1000]
                row(star, f"{resolution:.0f}", f"{away.mean():.1e}", f"{away.max():.1e}")


if __name__ == "__main__":
    main()
