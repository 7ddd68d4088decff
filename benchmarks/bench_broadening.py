"""Rates of the broadenings; run it with OMP_NUM_THREADS=1, as it brings its own threads."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from starloom import bands, broadening
from starloom.constants import SPEED_OF_LIGHT_KMS

SPECTRA = 512


def forest(count: int) -> np.ndarray:
    """Spectra with 100 lines each."""
    random = np.random.default_rng(1)
    velocity = SPEED_OF_LIGHT_KMS * np.log(
        bands.load("rvs").chunks[0].wavelength_aa / bands.load("rvs").chunks[0].wavelength_aa[0]
    )
    flux = np.ones((count, velocity.size))
    for row in flux:
        for centre in random.uniform(0, velocity[-1], 100):
            row *= 1 - random.uniform(0, 0.8) * np.exp(
                -0.5 * ((velocity - centre) / random.uniform(1.5, 4)) ** 2
            )
    return flux


def rate(function, count: int, seconds: float = 3.0) -> float:
    """Spectra a second of a function that does ``count`` of them."""
    function()
    rounds, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        function()
        rounds += 1
    return rounds * count / (time.perf_counter() - start)


def main() -> None:
    """Print the rates."""
    random = np.random.default_rng(2)
    flux = forest(32)
    print(f"keep (21870 -> 7290 points, float64)        {rate(lambda: broadening.keep(flux), 32):8.0f} /s")
    kept = np.repeat(broadening.keep(flux).astype(np.float32), SPECTRA // 32, axis=0)
    vsini = random.uniform(0, 300, SPECTRA).astype(np.float32)
    resolution = random.uniform(5000, 14500, SPECTRA).astype(np.float32)
    modes = broadening.paper_finish().modes(kept)
    parts = [slice(first, first + 32) for first in range(0, SPECTRA, 32)]

    def from_spectra(part):
        return broadening.finish(kept[part], vsini[part], resolution[part])

    def from_modes(part):
        return broadening.paper_finish().from_modes(modes[part], vsini[part], resolution[part])

    for name, function in (("finish", from_spectra), ("finish from modes", from_modes)):
        found = rate(lambda f=function: f(slice(0, 1)), 1)
        print(f"{name:<18} one spectrum a call, 1 thread(s) {found:8.0f} /s")
        for threads in (1, 2):
            with ThreadPoolExecutor(threads) as pool:
                found = rate(lambda f=function, p=pool: list(p.map(f, parts)), SPECTRA)
            print(f"{name:<18} 32 spectra a call, {threads} thread(s) {found:8.0f} /s")


if __name__ == "__main__":
    main()
