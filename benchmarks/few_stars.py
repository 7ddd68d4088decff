"""A few thousand stars of few labels: networks beside Gaussian processes, linear and in a learned space.

    python benchmarks/few_stars.py STORE [STORE ...] [--steps 4000]

Spectra of R = 11 500 without rotation; 400 components for all. A tenth of the stars is held out. Told are the
mean absolute errors of flux on these, and minutes of the run.
"""

import argparse
import time
from itertools import pairwise

import numpy as np
import range_law
from printing import row, table
from range_law import by_network

from starloom.networks.processes import ProcessPlan, fit_process

COMPONENTS = 400
TEMPERATURES = (3500, 4000, 5000, 6000, 8000, 10000, 15001)
NETWORKS = {"128-128-128": (128,) * 3, "256-256-256-256": (256,) * 4}
PROCESSES = {
    "of labels, linearly": ProcessPlan(hidden=(6,), dimensions=6),
    "in a learned space": ProcessPlan(),
}


def by_process(plan, domain, labels, coefficients, deviation, training):
    """A Gaussian process."""
    return fit_process(plan, domain, labels, coefficients, deviation, training, training[:1]).network


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--steps", type=int, nargs="+", default=[4000, 9000], help="of the networks")
    given = parser.parse_args()
    spectra = range_law.Spectra.of(given.stores)
    order = np.random.default_rng(24).permutation(len(spectra.labels))
    test, training = order[: len(order) // 10], order[len(order) // 10 :]
    range_law.COMPONENTS = COMPONENTS
    mean, basis, deviation = range_law.components(spectra.flux[training])
    scale, labels = np.sqrt(spectra.flux.shape[1]) * deviation, spectra.labels.astype(np.float32)
    coefficients = ((spectra.flux - mean) @ basis.T / scale).astype(np.float32)
    data = spectra.domain, labels, coefficients, deviation.astype(np.float32), training
    columns = [f"{low}-{high - high % 10} K" for low, high in pairwise(TEMPERATURES)]
    table(f"{len(training)} stars", "", "mean", "median", *columns, "minutes")

    def tell(name, make, *how):
        started = time.monotonic()
        wrong = np.abs(mean + make(*how, *data)(labels[test]) * scale @ basis - spectra.flux[test])
        minutes, teff = (time.monotonic() - started) / 60, labels[test, 0]
        parts = [wrong[(teff >= low) & (teff < high)].mean() for low, high in pairwise(TEMPERATURES)]
        row(name, *(f"{value:.1e}" for value in (wrong.mean(), np.median(wrong), *parts)), f"{minutes:.1f}")

    for name, hidden in NETWORKS.items():
        for steps in given.steps:
            tell(f"network {name}, {steps} steps", by_network, hidden, steps)
    for name, plan in PROCESSES.items():
        tell(f"process {name}", by_process, plan)


if __name__ == "__main__":
    main()
