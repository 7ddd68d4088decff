"""A stand-in for a trained model of the whole optical, for the explorer's size and speed.

Its spectra look like a star's: lines of the band's list whose depths follow their strength, in networks of
the trained models' size (three hidden layers of 256, whose weights are random but for the last). They are no
spectra of stars. It needs the distribution ``starloom-optical``.

    python benchmarks/explorer_stand_in.py build/stand-in.safetensors [--coefficients 256]
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from starloom import bands
from starloom.broadening import LIMB_DARKENING, Finish, finish_of, gaussian_transfer, instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.labels import Domain
from starloom.networks import weights
from starloom.networks.emulator import CoefficientNetwork, Emulator, packed
from starloom.networks.forward import Network, linear
from starloom.networks.stated_error import MEASURES, StatedError, attached
from starloom.spectrum.lines import atomic_lines
from starloom.wavelength import vacuum_from_air

RANGES = {
    "teff": (3500.0, 15000.0),
    "logg": (0.5, 5.0),
    "mh": (-2.5, 0.75),
    "alpha": (-0.2, 0.6),
    "vmic": (0.0, 4.0),
    "vsini": (0.0, 300.0),
    "resolution": (5000.0, 20000.0),
}
DOPPLER_KMS = 4.0
STARS = 300
HYDROGEN_AA = (4341.68, 4862.68, 6564.61)  # vacuum


def lines_in(table, finish: Finish) -> tuple[np.ndarray, ...]:
    """Of a chunk's lines vacuum wavelengths [A], logarithms of strength [line, temperature]; temperatures."""
    vacuum = vacuum_from_air(table["wavelength_aa"])
    grid = finish.grid
    mine = (vacuum > grid.first_aa) & (vacuum < grid.last_aa) & (table["strength"].max(1) > 0.1)
    return vacuum[mine], np.log(np.maximum(table["strength"][mine], 1e-6)), table["strength_temperature"]


def spectra(finish: Finish, table, stars: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Made-up normalised flux [star, point] on a chunk's grid."""
    vacuum, strength, temperatures = lines_in(table, finish)
    teff, mh, vmic = (stars[:, names.index(name)] for name in ("teff", "mh", "vmic"))
    logarithm = (
        np.array([np.interp(teff, temperatures, row) for row in strength]).T + np.log(10) * mh[:, None]
    )
    grid, lattice = finish.grid, finish.grid.wavelength_aa
    depth = np.zeros((len(stars), lattice.size))
    for i, centre in enumerate(vacuum):
        place = int(SPEED_OF_LIGHT_KMS * np.log(centre / grid.first_aa) / grid.step_kms)
        part = slice(max(place - 15, 0), place + 16)
        speed = SPEED_OF_LIGHT_KMS * np.log(lattice[part] / centre)
        width = DOPPLER_KMS + vmic[:, None]
        depth[:, part] += np.exp(logarithm[:, i])[:, None] * np.exp(-0.5 * (speed / width) ** 2)
    for centre in HYDROGEN_AA:
        speed = SPEED_OF_LIGHT_KMS * np.log(lattice / centre)
        strong = 3 * np.exp(-(((teff - 9500) / 3500) ** 2))[:, None] + 0.3
        depth += strong / (1 + (speed / 300) ** 2) ** 1.25
    return 0.05 + 0.95 * np.exp(-depth / (1 + 0.08 * depth))


def network_of(finish: Finish, domain: Domain, table, coefficients: int, seed: int) -> Network:
    """Random hidden layers, and a last one by least squares from them to the modes of made-up spectra."""
    hidden = CoefficientNetwork(hidden=(256,) * 3, residual=True).initial(
        domain.intrinsic, coefficients, seed
    )
    stars = domain.intrinsic.from_unit(np.random.default_rng([24, seed]).uniform(0, 1, (STARS, 5)))
    stars = np.clip(stars, domain.intrinsic.low, domain.intrinsic.high)
    left = instrument_variance(finish.finest_resolution) - instrument_variance(finish.kept_resolution)
    modes = finish.modes(spectra(finish, table, stars, domain.intrinsic.names))
    modes = modes * gaussian_transfer(finish.frequency, left)
    halves = np.concatenate([modes.real, modes.imag], axis=-1)
    inner = np.asarray(hidden(stars), float)
    mean = halves.mean(0)
    solved = np.linalg.solve(inner.T @ inner + 1e-3 * np.eye(coefficients), inner.T @ (halves - mean))
    return hidden.then(linear(solved, mean))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--coefficients", type=int, default=256, help="inputs of the last layer")
    options = parser.parse_args()
    band = replace(bands.load("optical"), finest_resolution=RANGES["resolution"][1])
    domain, table = Domain.of(RANGES), atomic_lines(band)
    chunks = [
        Emulator(
            domain,
            network_of(finish, domain, table, options.coefficients, seed),
            finish,
            LIMB_DARKENING,
            band.finest_resolution,
        )
        for seed, finish in enumerate(finish_of(band).chunks)
    ]
    rng = np.random.default_rng(24)
    edges = {"teff": np.array([3500.0, 5000.0, 8000.0, 15000.0])}
    stated = StatedError(
        domain,
        edges,
        rng.uniform(1e-3, 3e-3, (len(MEASURES), 3, -(-band.points.count // 200))),
        band.points,
        200,
        100,
    )
    options.file.parent.mkdir(parents=True, exist_ok=True)
    weights.save(options.file, attached(packed(chunks, band), stated))
    print(f"{options.file}: {options.file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
