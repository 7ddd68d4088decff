"""What a spectrum of the band ``optical`` costs, and whether it is whole everywhere.

    python benchmarks/optical_cost.py [--stars 100]

Processor time of one star, warm, in turns with the band ``rvs``; the largest memory of the process. Then
--stars random labels of the whole domain of synthesis: whether the flux is finite, its largest and smallest,
and how far apart two chunks are where they meet.
"""

import argparse
import resource
import time

import numpy as np

import starloom
from starloom import bands
from starloom.sampling import uniform
from starloom.synthesis import SyntheticSpectrum
from starloom.synthesis.stars import domain

STARS = (
    {"teff": 4000, "logg": 4.5, "mh": 0.0, "vmic": 1.0},
    {"teff": 5777, "logg": 4.44, "mh": 0.0, "vmic": 1.0},
    {"teff": 8000, "logg": 4.0, "mh": 0.0, "vmic": 2.0},
    {"teff": 12000, "logg": 4.0, "mh": 0.0, "vmic": 2.0},
)
ROUNDS = 5


def seconds(star: dict, band: bands.Band) -> float:
    """Processor time of a spectrum."""
    start = time.process_time()
    starloom.synthesize(**star, band=band)
    return time.process_time() - start


def apart(band: bands.Band, made: SyntheticSpectrum) -> float:
    """Largest difference of the flux over the continuum of two chunks at the edges between them, of any."""
    flux = [np.asarray(f / c) for f, c in zip(made.chunk_flux, made.chunk_continuum, strict=True)]
    largest = 0.0
    for number, edge in enumerate(band.edges_aa[1:-1]):
        pair = zip(band.chunks[number : number + 2], flux[number : number + 2], strict=True)
        left, right = (np.interp(np.log(edge), np.log(grid.wavelength_aa), each) for grid, each in pair)
        largest = max(largest, float(abs(left - right)))
    return largest


def look(band: bands.Band, count: int) -> None:
    """Random labels."""
    box = domain("alpha")
    highest, lowest, joint = 0.0, 1.0, 0.0
    for row in uniform(23, 0, count, box.low, box.high, box.contains):
        made = starloom.synthesize(**dict(zip(box.names, row.tolist(), strict=True)), band=band)
        flux = np.asarray(made.flux / made.continuum)
        assert np.isfinite(flux).all(), row
        highest, lowest = max(highest, float(flux.max())), min(lowest, float(flux.min()))
        joint = max(joint, apart(band, made))
    print(f"{count} stars: flux from {lowest:.2g} to {highest:.5f}, at joins of chunks apart by {joint:.1e}")


def main() -> None:
    """Time, then look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=100)
    stars = parser.parse_args().stars
    wide, rvs = bands.load("optical"), bands.load("rvs")
    for band in (rvs, wide):
        starloom.synthesize(**STARS[1], band=band)
    for star in STARS:
        pairs = [(seconds(star, rvs), seconds(star, wide)) for _ in range(ROUNDS)]
        short, long = np.median(pairs, axis=0)
        print(
            f"{star['teff']} K: rvs {short:.3f} s, optical {long:.3f} s, {long / short:.1f} times", flush=True
        )
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB", flush=True)
    look(wide, stars)


if __name__ == "__main__":
    main()
