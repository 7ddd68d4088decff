"""Rates of a store: made, read in batches of 512, exported.

``python benchmarks/bench_database.py [--spectra N] [--workers N] [--stand-in]``: with ``--stand-in`` spectra
of a few made-up lines show what the store itself costs; without, the synthesiser's rate decides.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from starloom import bands
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.database import batches, build, recipe, store, workers


def stand_in(band, *, teff, logg, mh, vmic):
    """Three lines that follow the labels."""
    flux = np.ones((len(teff), bands.load("rvs").chunks[0].wavelength_aa.size))
    for centre in (8500.4, 8544.4, 8664.5):
        velocity = SPEED_OF_LIGHT_KMS * np.log(bands.load("rvs").chunks[0].wavelength_aa / centre)
        width = (20 + 5 * (logg + vmic))[:, None]
        flux -= (0.2 * (mh + 2) * 5000 / teff)[:, None] * np.exp(-0.5 * (velocity / width) ** 2)
    return np.clip(flux, 0, 1)


def timed(name: str, function, spectra: int, size: float) -> None:
    """Run a function once and print its rates."""
    start = time.perf_counter()
    function()
    seconds = time.perf_counter() - start
    print(f"{name:<28}{seconds:9.1f} s {spectra / seconds:10.1f} spectra/s {size / seconds / 1e6:8.1f} MB/s")


def main() -> None:
    """Print the rates, and the hours that the paper's recipe would take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectra", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--stand-in", action="store_true")
    options = parser.parse_args()
    rvs = bands.load("rvs")
    using = (
        (stand_in, "stand-in") if options.stand_in else (build.radiative_transfer, build.physics_version(rvs))
    )
    chosen = replace(recipe.load("paper"), intrinsic=options.spectra)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "store"
        start = time.perf_counter()
        engine = workers.processes(options.workers)
        manifest = build.build(chosen, folder, using[0], physics=using[1], engine=engine)
        seconds = time.perf_counter() - start
        rate, written = options.spectra / seconds, manifest.bytes_on_disk
        print(f"made: {rate:.1f} intrinsic spectra/s, {written / seconds / 1e6:.2f} MB/s")
        print(
            f"recipe paper: {20500 / rate / 3600:.2f} h; with 205000 intrinsic {205000 / rate / 3600:.2f} h"
        )
        opened = store.open_store(folder)
        observed = len(opened.splits["train"]) * 10
        for threads in (1, 2):
            with_threads = {"epoch": 1, "copies": 10, "threads": threads}
            timed(
                f"batches of 512, {threads} thread(s)",
                lambda o=with_threads: sum(len(b.flux) for b in batches.batches(opened, "train", **o)),
                observed,
                observed * 16e3,
            )
        every = options.spectra * chosen.broadenings
        for dtype, size in (("float32", 16e3), ("uint16", 8e3)):
            path = Path(parent) / dtype
            timed(
                f"fixed set, {dtype}",
                lambda p=path, d=dtype: batches.export_fixed_set(opened, p, d),
                every,
                every * size,
            )
        timed("verify", manifest.damage, options.spectra, written)


if __name__ == "__main__":
    main()
