"""A star that no calibration has seen, with lines as listed and as calibrated: HD 34411 of STELIB.

``python benchmarks/optical_star.py [--band optical]`` needs the folder ``shared`` beside the repository and
astropy. Rms of observed over synthesised, less a polynomial of order 6, by range; the velocity is the best.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.io import fits

from starloom import bands
from starloom.broadening import broaden
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.synthesis import structure, synthesize
from starloom.wavelength import air_from_vacuum

SHARED = Path(__file__).resolve().parents[2] / "shared"
SPECTRUM = SHARED / "cases" / "STELIB_v3.2_HD034411.fits"
LABELS = {"teff": 5880.0, "logg": 4.22, "mh": 0.08, "vmic": 1.1}  # G1 V
RESOLUTION, ORDER = 1800.0, 6
RANGES_AA = ((4250, 4800), (4800, 5400), (5400, 5850), (6000, 6270), (6330, 6540), (6590, 6850))
VELOCITIES_KMS = np.arange(-250, 251, 10.0)


def observed() -> tuple[np.ndarray, np.ndarray]:
    """Air wavelengths [A] and flux."""
    image = fits.open(SPECTRUM)[0]
    flux = image.data.astype(float).squeeze()
    return image.header["CRVAL1"] + image.header["CDELT1"] * np.arange(flux.size), flux


def synthesised(band) -> tuple[np.ndarray, np.ndarray]:
    """Air wavelengths [A] and flux at the star's labels."""
    made = synthesize(structure(**LABELS), band=band, mh=LABELS["mh"], vmic=LABELS["vmic"])
    places, fluxes = [], []
    for number, grid in enumerate(band.chunks):
        low, high = band.edges_aa[number : number + 2]
        shown = (grid.wavelength_aa >= low) & (grid.wavelength_aa < high)
        seen = broaden(np.asarray(made.chunk_flux[number], float), grid.step_kms, resolution=RESOLUTION)
        places.append(air_from_vacuum(grid.wavelength_aa[shown]))
        fluxes.append(seen[shown])
    return np.concatenate(places), np.concatenate(fluxes)


def rms(ends, star, made) -> float:
    """The least rms of a range over velocities."""
    (place, flux), (air, light) = star, made
    inside = (place > ends[0]) & (place < ends[1]) & (flux > 0)
    x = 2 * (place[inside] - ends[0]) / (ends[1] - ends[0]) - 1
    found = []
    for velocity in VELOCITIES_KMS:
        ratio = flux[inside] / np.interp(place[inside], air * (1 + velocity / SPEED_OF_LIGHT_KMS), light)
        trend = np.polynomial.chebyshev.chebval(x, np.polynomial.chebyshev.chebfit(x, ratio, ORDER))
        found.append(np.std(ratio / trend - 1))
    return float(min(found))


def main() -> None:
    """Print one row for each range."""
    if not SPECTRUM.exists():
        print("no folder 'shared' beside the repository: nothing to compare with")
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--band", default="optical")
    name, star = parser.parse_args().band, observed()
    made = {lines: synthesised(bands.load(name, lines)) for lines in bands.LINES}
    print("| from [A] | to | " + " | ".join(made) + " |\n|---|---|" + "---|" * len(made))
    for ends in RANGES_AA:
        cells = " | ".join(f"{rms(ends, star, each):.4f}" for each in made.values())
        print(f"| {ends[0]} | {ends[1]} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
