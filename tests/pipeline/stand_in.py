"""A synthesiser for tests: a few lines that follow the labels. Run as a script, it builds a store.

``python stand_in.py RECIPE DIR [--workers N | --dask N] [--delay S]``
"""

import argparse
import time

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS

CENTRES_AA = (8450.0, 8500.4, 8544.4, 8600.8, 8664.5, 8690.9, 8752.9)
DELAY = 0.0


def synthesize(band, *, teff, logg, mh, vmic):
    """Normalised flux[n, chunk, point] of made-up stars: smooth in the labels, between 0 and 1."""
    time.sleep(DELAY * len(teff))
    chunks = [on_grid(chunk.wavelength_aa, teff, logg, mh, vmic) for chunk in band.chunks]
    return np.stack(chunks, axis=1)


def on_grid(vacuum_aa, teff, logg, mh, vmic):
    """The same on any grid of wavelengths."""
    flux = np.ones((len(teff), vacuum_aa.size))
    for number, centre in enumerate(CENTRES_AA):
        velocity = SPEED_OF_LIGHT_KMS * np.log(vacuum_aa / centre)
        heat = np.tanh((teff[:, None] - 8000) / 4000) * (-1) ** number
        width = (3 + vmic + 5 * (logg - 1) * (number % 3))[:, None]
        depth = 0.45 * (1 + heat) * (2 + mh[:, None]) / 3.5
        flux -= 0.9 * depth * np.exp(-0.5 * (velocity / width) ** 2)
    return flux


def main():
    """Build a store with this synthesiser."""
    from starloom.database import build, recipe, workers

    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--dask", type=int)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    global DELAY
    DELAY = options.delay
    made = {"physics": "stand-in 1", "progress": False}
    if options.dask is None:
        engine = workers.processes(options.workers)
        build.build(recipe.load(options.recipe), options.folder, synthesize, engine=engine, **made)
        return
    from distributed import LocalCluster

    with LocalCluster(n_workers=options.dask, threads_per_worker=1, dashboard_address=None) as cluster:
        engine = workers.dask(cluster.scheduler_address)
        build.build(recipe.load(options.recipe), options.folder, synthesize, engine=engine, **made)


if __name__ == "__main__":
    main()
