"""Rotation of 5 km/s seen by pixels that average, by R(lambda), and by a profile that is no Gaussian.

    python benchmarks/instruments.py [--stars 20] [--model default]

A Sun at S/N 200, R = 11 500 where it is one; v sin i and its error with the instrument told to the fit and
without it: of the spectrum without noise, and the median of so many draws.
"""

import argparse

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference import fit_each
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

SNR, VSINI, RESOLUTION, FWHM = 200.0, 5.0, 11500.0, 2.3548
SUN = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0, "alpha": 0.0, "vsini": VSINI}
TABLE = ((8400.0, 9800.0), (8800.0, 13200.0))
VELOCITY = np.linspace(-70.0, 70.0, 141)
PARTS = ((8.0, 10.0, 0.0), (3.6, 18.0, 6.0))  # weight, standard deviation, displacement [km/s]
EXACT = {"physics_error": False, "velocities": (-100.0, 100.0), "threads": 1}


def pixels(width_aa: float) -> np.ndarray:
    """Centres of pixels side by side."""
    return np.arange(8460.0, 8700.0, width_aa)


def seen(
    generator: Generator, wavelength: np.ndarray, resolution: float, velocity: float = 0.0
) -> np.ndarray:
    """The Sun at a resolution."""
    names = generator.domain.names
    labels = {name: value for name, value in SUN.items() if name in names} | {"resolution": resolution}
    row, about = generator.domain.array(**labels), {"medium": "vacuum", "radial_velocity": velocity}
    return generator.flux(row, wavelength_aa=wavelength, **about).astype(float)


def averaged(generator: Generator, wavelength: np.ndarray, width: float) -> np.ndarray:
    """Over pixels, by 41 points in each."""
    inside = (np.arange(41) - 20) / 41 * width
    fine = np.sort((wavelength[:, None] + inside).ravel())
    return seen(generator, fine, RESOLUTION).reshape(-1, 41).mean(axis=1)


def varying(generator: Generator, wavelength: np.ndarray) -> np.ndarray:
    """By R(lambda), between spectra of many R."""
    grid = np.linspace(9500, 13500, 81)
    every = np.array([seen(generator, wavelength, each) for each in grid])
    own = np.interp(wavelength, *np.array(TABLE).T)
    return np.array([np.interp(r, grid, column) for r, column in zip(own, every.T, strict=True)])


def profiled(generator: Generator, wavelength: np.ndarray) -> np.ndarray:
    """By a core and a displaced wing."""
    total = sum(weight for weight, _, _ in PARTS)
    fluxes = [
        weight * seen(generator, wavelength, SPEED_OF_LIGHT_KMS / FWHM / sigma, moved)
        for weight, sigma, moved in PARTS
    ]
    return sum(fluxes) / total


def profile() -> list[tuple[float, float]]:
    """The same, sampled."""
    value = sum(w / s * np.exp(-(((VELOCITY - u) / s) ** 2) / 2) for w, s, u in PARTS)
    return list(zip(VELOCITY.tolist(), value.tolist(), strict=True))


def row(title: str, generator: Generator, wavelength, flux, stars: int, **options) -> None:
    """Print what is found of rotation."""
    spectra = []
    for number in range(stars + 1):
        noise = np.random.default_rng([79, number]).normal(size=flux.size) / SNR * (number > 0)
        about = {"medium": "vacuum", "frame": "barycentric"}
        spectra.append(Spectrum(wavelength, flux + noise, error=np.full(flux.size, 1 / SNR), **about))
    fits = list(fit_each(spectra, generator, **EXACT, **options))
    free = fits.pop(0)
    own, error = free.labels["vsini"], free.errors["vsini"]
    values = np.median([each.labels["vsini"] for each in fits])
    errors = np.median([each.errors["vsini"] for each in fits])
    chi2 = np.mean([each.reduced_chi2 for each in fits])
    cells = [f"{own:.2f} ± {error:.2f}", f"{(own - VSINI) / error:+.2f}", f"{values:.2f} ± {errors:.2f}"]
    print(f"| {title} | {' | '.join(cells)} | {chi2:.2f} |", flush=True)


def main() -> None:
    """Print a row for each instrument, told and not told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=10)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    generator, stars = Generator.load(options.model), options.stars
    print("| instrument | without noise | off, in errors | with noise | chi2/dof |\n|---|---|---|---|---|")
    for width in (0.245, 0.37):
        wavelength = pixels(width)
        flux = averaged(generator, wavelength, width)
        for told in (f"{width} A", ""):
            title = f"pixels of {width} A, {'' if told else 'not '}told"
            row(title, generator, wavelength, flux, stars, resolution=RESOLUTION, pixel=told)
    wavelength = pixels(0.1)
    flux = varying(generator, wavelength)
    row("R of 10 300 to 12 400, told", generator, wavelength, flux, stars, resolution_table=TABLE)
    middle = float(np.interp(8580, *np.array(TABLE).T))
    row("its middle alone", generator, wavelength, flux, stars, resolution=middle)
    flux = profiled(generator, wavelength)
    row("core and displaced wing, told", generator, wavelength, flux, stars, line_spread=profile())
    total = sum(weight for weight, _, _ in PARTS)
    sigma = np.sqrt(sum(weight * s**2 for weight, s, _ in PARTS) / total)
    narrow = SPEED_OF_LIGHT_KMS / FWHM / sigma
    row("a Gaussian of its width", generator, wavelength, flux, stars, resolution=narrow)


if __name__ == "__main__":
    main()
