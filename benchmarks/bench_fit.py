"""Fits a second in a batch and the time of one, next to scipy's least squares with finite differences.

The stars are generated over the domain with noise, velocity and slope; what is timed is the fit alone, after
one to warm up. scipy gets the best of the same starts, the same model, bounds and continuum. ``processor`` is
the processor time over all threads: on a busy machine it says more than the rate; the time of a generated
spectrum, printed first, tells how busy it is.

    python benchmarks/bench_fit.py [--stars 256] [--workers 2]
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import least_squares

from starloom.database.workers import processes
from starloom.inference import Settings, fit, fit_each
from starloom.inference.observation import observe
from starloom.inference.setup import Setup
from starloom.inference.solution import Stars, known_at, objective_of, starting, weighed
from starloom.labels import TABLE_1
from starloom.networks.generator import Generator
from starloom.sampling import uniform
from starloom.spectrum import Spectrum

RVS_AA = 8460 + 0.1 * np.arange(2401)
SNR = (20, 50, 100, 200)


def stars(count: int) -> list[Spectrum]:
    generator = Generator.load("default-2026-lte")
    labels = uniform(21, 0, count, TABLE_1.low, TABLE_1.high, TABLE_1.contains)
    labels[:, 5] = 11500.0
    rng = np.random.default_rng(22)
    flux = generator.flux(
        labels, wavelength_aa=RVS_AA, medium="vacuum", radial_velocity=rng.uniform(-300, 300, count)
    )
    made = []
    for number, row in enumerate(flux):
        level = 1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, RVS_AA.size)
        snr = SNR[number % len(SNR)]
        noisy = level * (row + rng.normal(size=row.size) / snr)
        about = {"medium": "vacuum", "provenance": {"resolution": 11500}}
        made.append(Spectrum(RVS_AA, noisy, error=level / snr, **about))
    return made


def general(spectrum: Spectrum, generator: Generator) -> None:
    """scipy's trust region with differences, from the best start, with the same variable projection."""
    setup = Setup(generator, Settings())
    stars = Stars.of(setup, [observe(spectrum, setup)])
    begin, usable, known = known_at(stars, starting(stars, stars.good, stars.noise))
    pixels = weighed(stars, usable, known, stars.noise, begin[:, 0], np.ones(stars.flux.shape))
    objective = objective_of(stars, pixels, np.zeros(1, int), begin[0, :1])
    root, row = np.sqrt(pixels.weight[0]), np.zeros(1, int)

    def residual(at: np.ndarray) -> np.ndarray:
        parameters = objective.parameters(row, at[None])
        flux = stars.derivatives(parameters[:, :-1], parameters[:, -1], ())[0]
        columns = (stars.basis * flux).astype(float) * root
        right = stars.flux[0] * root
        return right - np.linalg.lstsq(columns.T, right)[0] @ columns

    place, (low, high) = setup.coordinates.from_parameters(begin[0, 0])[list(setup.free)], setup.ends
    start = np.clip(place, low + 1e-3, high - 1e-3)
    least_squares(residual, start, bounds=(low, high), diff_step=1e-4)


def portion(spectra: Sequence[Spectrum]) -> int:
    return sum(1 for _ in fit_each(spectra, Generator.load("default-2026-lte")))


def timed(name: str, count: int, function: Callable[[], object]) -> None:
    start, processor = time.perf_counter(), time.process_time()
    function()
    wall, processor = time.perf_counter() - start, time.process_time() - processor
    rate, each = count / wall, 1e3 * processor / count
    print(f"{name:44}{1e3 * wall / count:10.1f} ms{rate:10.1f} /s{each:12.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    spectra, generator = stars(arguments.stars), Generator.load("default-2026-lte")
    list(fit_each(spectra[:2], generator))
    few = spectra[:16]
    labels = np.repeat([[5777.0, 4.44, 8.0, 0.1, 1.2, 11500.0]], 512, axis=0)
    start = time.process_time()
    generator.flux(labels)
    print(f"a generated spectrum: {1e6 * (time.process_time() - start) / 512:.0f} us of processor time")
    print(f"{'':44}{'wall':>13}{'rate':>12}{'processor':>15}")
    timed("one after the other", len(few), lambda: [fit(s, generator) for s in few])
    timed(
        "in batches, one process, a thread a core", len(spectra), lambda: list(fit_each(spectra, generator))
    )
    parts = [spectra[i : i + 32] for i in range(0, len(spectra), 32)]
    engine = processes(arguments.workers)
    name = f"in batches, {arguments.workers} processes, their start included"
    timed(name, len(spectra), lambda: list(engine(portion, parts)))
    timed(
        "scipy least_squares, differences, best start", len(few), lambda: [general(s, generator) for s in few]
    )


if __name__ == "__main__":
    main()
