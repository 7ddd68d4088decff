"""Spectra a second of the generators' forward passes at the paper's 4000 points, and the time for one.

The packaged models against the paper's networks; these untrained, since speed does not depend on what the
weights are.
``processor`` is the processor time of one spectrum summed over threads: on a busy machine it says more than
the rate.

    python benchmarks/bench_generate.py [--seconds 1]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from starloom.labels import TABLE_1
from starloom.networks.generator import loaded
from starloom.paper.networks import Autoencoder, LabelNetwork, generator, plain_basis

BATCHES = (1, 32, 512, 8192)


def draw(count: int) -> np.ndarray:
    labels = TABLE_1.from_unit(np.random.default_rng(0).uniform(0, 1, (count, 6)))
    labels[:, 1] = np.maximum(labels[:, 1], 3.5)  # above the corner without atmospheres
    return labels


def paper() -> Callable[[np.ndarray], np.ndarray]:
    latents = np.random.default_rng(0).normal(size=(100, 10))
    decoding = Autoencoder().initial(0, plain_basis(4000))
    return generator(LabelNetwork().initial(TABLE_1, latents, 0), decoding)


def timed(function: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Shortest wall and processor time [s] of a call, repeated for some seconds."""
    function()
    wall = processor = np.inf
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start, start_processor = time.perf_counter(), time.process_time()
        function()
        wall = min(wall, time.perf_counter() - start)
        processor = min(processor, time.process_time() - start_processor)
    return wall, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each line")
    seconds = parser.parse_args().seconds
    models = [loaded(name) for name in ("default", "default-2026-lte")]
    cases = {each.name: (each.flux, each.domain) for each in models}
    cases["the paper's networks"] = paper(), TABLE_1
    print(f"{'generator':36} {'batch':>6} {'ms a call':>10} {'spectra/s':>10} {'processor':>12}")
    for name, (generate, domain) in cases.items():
        for count in BATCHES:
            labels = domain.array(**dict(zip(TABLE_1.names, draw(count).T, strict=True)))
            wall, processor = timed(lambda g=generate, rows=labels: g(rows), seconds)
            rate, each = count / wall, 1e6 * processor / count
            print(f"{name:36} {count:6} {1e3 * wall:10.3f} {rate:10.0f} {each:9.1f} us")


if __name__ == "__main__":
    main()
