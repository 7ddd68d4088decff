"""Labels found again from synthesised (not generated) noisy spectra: scatter, bias, coverage, failures.

Spectra of a store are rotated, moved, seen at a resolution in the Gaia RVS range, tilted and given noise;
then fitted. Printed for each label: the scatter over the Cramer-Rao bound and the median bias in bounds, where
the bound is small against the label's range; the share of 68 % intervals that hold the truth; and the failures.
With ``--estimator`` the networks of the paper's table 4 are given the same stars next to the fit.

    python benchmarks/compare_fits.py STORE [--stars 2000] [--estimator WEIGHTS] [--model default]
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from starloom.broadening import Finish, finish_onto
from starloom.database.store import Store, open_store
from starloom.database.workers import processes
from starloom.inference import Failure, FitResult, Settings, fit_each
from starloom.inference.derivatives import PARAMETERS
from starloom.labels import DOMAIN, NAMES
from starloom.networks.generator import Generator
from starloom.networks.paper import estimate
from starloom.networks.weights import load
from starloom.spectrum import Spectrum
from starloom.wavelength import PAPER_GRID_AA, vacuum_from_air

SNR = (20, 50, 100, 200)
RVS_AA = np.linspace(8460.0, 8700.0, 2401)  # vacuum, the points of Gaia's mean spectra
RESOLUTION = 11500.0
VELOCITY_KMS = 300.0
SMALL = 0.1  # of the label's range: bounds below it count as small
SHOWN = tuple(name for name in PARAMETERS if name != "resolution")
SPAN = dict(zip(NAMES, DOMAIN.high - DOMAIN.low, strict=True)) | {"velocity": 2 * VELOCITY_KMS}
# a failure is further off than this and than 5 of its stated errors: Teff relative, the others in their units
FAR = {"teff": 0.1, "logg": 0.5, "vsini": 30.0, "mh": 0.4, "velocity": 30.0}
ERRORS = 5.0
TEFF_BINS = (3600, 4600, 5500, 7000, 9000, 11500, 15000)
PORTION = 64


@dataclass(frozen=True, eq=False)
class Star:
    """A test star: the truth in the order of PARAMETERS, its signal-to-noise ratio, and what is observed."""

    truth: np.ndarray
    snr: int
    spectrum: Spectrum


def star(store: Store, finish: Finish, index: int, seed: int = 12) -> Star:
    """Star ``index`` has the store's spectrum of that number, and its own stream of random numbers."""
    rng = np.random.default_rng([seed, index])
    truth = np.append(store.labels[index], rng.uniform(-VELOCITY_KMS, VELOCITY_KMS))
    truth[NAMES.index("vsini")] = rng.uniform(DOMAIN.low[2], DOMAIN.high[2])
    truth[NAMES.index("resolution")] = RESOLUTION
    vsini, velocity = truth[[2, 6]].astype(np.float32)
    flux = finish(store.flux(index), vsini, np.float32(RESOLUTION), radial_velocity=velocity)[0].astype(float)
    level = rng.uniform(0.5, 2) * (1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, flux.size))
    snr = SNR[index % len(SNR)]
    noisy = level * (flux + rng.normal(size=flux.size) / snr)
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
    seen = Spectrum(RVS_AA, noisy, error=level / snr, **about)
    return Star(truth, snr, seen)


def finish_wavelengths() -> np.ndarray:
    return RVS_AA


def fitted(path: Path, model: str, settings: Settings, indices: Sequence[int]) -> list[tuple]:
    """Truth, S/N, values, errors, bounds, intervals, flags and seconds of some stars."""
    store, finish, generator = Store(path), finish_onto(RVS_AA), Generator.load(model)
    sample = [star(store, finish, index) for index in indices]
    start = time.process_time()
    results = list(fit_each((s.spectrum for s in sample), generator, settings))
    seconds = (time.process_time() - start) / len(sample)
    return [_row(index, s, found, seconds) for index, s, found in zip(indices, sample, results, strict=True)]


def _row(index: int, star: Star, found: FitResult | Failure, seconds: float) -> tuple:
    if isinstance(found, Failure):
        raise SystemExit(f"star {index}: {found.reason}")
    error = np.sqrt(np.diag(found.covariance))
    about = found.flags, found.at_bound, found.reduced_chi2, found.inflation
    return index, star.truth, star.snr, found.values, error, found.bounds, found.intervals, about, seconds
