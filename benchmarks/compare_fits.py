"""Labels found again from synthesised (not generated) noisy spectra: scatter, bias, coverage, failures.

Spectra of a store are rotated, moved, seen at a resolution in the Gaia RVS range, tilted and given noise;
then fitted. Printed for each label: the scatter over the Cramer-Rao bound and the median bias in bounds,
where the bound is small against the label's range; the share of 68 % intervals that hold the truth; and
the failures. With ``--reproduction`` the networks of the paper's table 4 are given the same stars next to
the fit.

    python benchmarks/compare_fits.py STORE [--stars 2000] [--reproduction DIR] [--model default]
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from recover_labels import packed_table_4

from starloom import bands
from starloom.broadening import Finish, finish_onto
from starloom.database.store import Store, open_store
from starloom.database.workers import processes
from starloom.inference import Failure, Settings, fit, fit_each
from starloom.inference.derivatives import parameters
from starloom.labels import TABLE_1
from starloom.networks.generator import Generator
from starloom.paper.networks import estimate
from starloom.spectrum import Spectrum

PARAMETERS = parameters(TABLE_1)
SNR = (20, 50, 100, 200)
RVS_AA = np.linspace(8460.0, 8700.0, 2401)  # vacuum, the points of Gaia's mean spectra
RESOLUTION = 11500.0
VELOCITY_KMS = 300.0
SMALL = 0.1  # of the label's range: bounds below it count as small
SHOWN = tuple(name for name in PARAMETERS if name != "resolution")
SPAN = dict(zip(TABLE_1.names, TABLE_1.high - TABLE_1.low, strict=True)) | {"velocity": 2 * VELOCITY_KMS}
# a failure is further off than this and than 5 of its stated errors: Teff relative, the others in their units
FAR = {"teff": 0.1, "logg": 0.5, "vsini": 30.0, "mh": 0.4, "velocity": 30.0}
ERRORS = 5.0
FAR_PRIOR = {
    "teff": 300.0,
    "logg": 0.2,
    "vsini": 10.0,
    "mh": 0.2,
    "velocity": 10.0,
}  # what leads back to the truth
HELD = ("teff", "logg", "vsini", "mh", "vmic")
SAME_CHI2 = 3.0  # differences below it say nothing
TEFF_BINS = (3600, 4600, 5500, 7000, 9000, 11500, 15000)
PORTION = 64


@dataclass(frozen=True, eq=False)
class Star:
    """A test star: the truth in the order of PARAMETERS, its signal-to-noise ratio, and what is observed."""

    truth: np.ndarray
    snr: int
    spectrum: Spectrum


def onto(wavelength_aa: np.ndarray) -> Finish:
    """From what a store keeps of the band to vacuum wavelengths."""
    band = bands.load("rvs")
    return finish_onto(band.kept[0], wavelength_aa, band.finest_resolution, band.kept_resolution)


def star(store: Store, finish: Finish, index: int, seed: int = 12) -> Star:
    """Star ``index`` has the store's spectrum of that number, and its own stream of random numbers."""
    rng = np.random.default_rng([seed, index])
    truth = np.append(store.labels[index], rng.uniform(-VELOCITY_KMS, VELOCITY_KMS))
    truth[TABLE_1.names.index("vsini")] = rng.uniform(TABLE_1.low[2], TABLE_1.high[2])
    truth[TABLE_1.names.index("resolution")] = RESOLUTION
    vsini, velocity = truth[[2, 6]].astype(np.float32)
    flux = finish(store.flux(index), vsini, np.float32(RESOLUTION), radial_velocity=velocity)[0].astype(float)
    level = rng.uniform(0.5, 2) * (1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, flux.size))
    snr = SNR[index % len(SNR)]
    noisy = level * (flux + rng.normal(size=flux.size) / snr)
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
    seen = Spectrum(RVS_AA, noisy, error=level / snr, **about)
    return Star(truth, snr, seen)


@dataclass(frozen=True, eq=False)
class Fits:
    """Fits of many stars: arrays along the star axis; PARAMETERS are the second."""

    index: np.ndarray
    truth: np.ndarray
    snr: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    bounds: np.ndarray
    intervals: np.ndarray
    chi2: np.ndarray
    flags: np.ndarray

    def column(self, name: str) -> int:
        return PARAMETERS.index(name)


def fitted(path: Path, model: str, settings: Settings, indices: Sequence[int]) -> Fits:
    """Some of the stars, made and fitted."""
    store, finish = open_store(path), onto(RVS_AA)
    sample = [star(store, finish, index) for index in indices]
    results = list(fit_each((s.spectrum for s in sample), Generator.load(model), settings))
    if failed := [r.reason for r in results if isinstance(r, Failure)]:
        raise SystemExit(f"not fitted: {failed[0]}")
    return Fits(
        np.array(indices),
        np.array([s.truth for s in sample]),
        np.array([s.snr for s in sample]),
        *(np.array([getattr(r, name) for r in results]) for name in ("values",)),
        np.array([np.sqrt(np.diag(r.covariance)) for r in results]),
        *(np.array([getattr(r, name) for r in results]) for name in ("bounds", "intervals", "reduced_chi2")),
        np.array([" ".join(r.flags) for r in results]),
    )


def together(parts: Sequence[Fits]) -> Fits:
    """Parts in the order of the stars."""
    order = np.argsort(np.concatenate([part.index for part in parts]))
    names = [field.name for field in fields(Fits)]
    return Fits(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in names))


def print_rows(fits: Fits, chosen: np.ndarray, title: str) -> None:
    """A line for each label: scatter over bound and bias where the bound is small, and coverage."""
    print(f"\n{title}: {chosen.sum()} stars")
    print(
        f"{'':10}{'small':>7}{'scatter/bound':>15}{'bias/error':>12}{'holds truth':>12}{'all':>8}{'bound':>9}"
    )
    for name in SHOWN:
        column = fits.column(name)
        off = fits.values[:, column] - fits.truth[:, column]
        low, high = fits.intervals[:, column].T
        holds = (fits.truth[:, column] >= low) & (fits.truth[:, column] <= high)
        small = chosen & (fits.bounds[:, column] < SMALL * SPAN[name])
        if not small.any():
            continue
        scatter = np.quantile(np.abs(off / fits.bounds[:, column])[small], 0.6827)
        bias = np.median((off / fits.errors[:, column])[small])
        bound = np.median(fits.bounds[small, column])
        shares = f"{holds[small].mean():12.1%}{holds[chosen].mean():8.1%}"
        print(f"{name:10}{small.sum():7}{scatter:15.2f}{bias:+12.3f}{shares}{bound:9.3g}")


def failures(fits: Fits) -> np.ndarray:
    """Stars whose labels are far off and further than their errors say: bool[star]."""
    far = np.zeros(len(fits.index), bool)
    for name, limit in FAR.items():
        column = fits.column(name)
        off = np.abs(fits.values[:, column] - fits.truth[:, column])
        limits = limit * (fits.truth[:, column] if name == "teff" else 1)
        far |= (off > limits) & (off > ERRORS * fits.errors[:, column])
    return far


def why(above_near: float, above_truth: float) -> str:
    """The cause of a failure, from how far its chi2 is above that of a fit led to the truth, and held there.

    Where the former ends no lower, though the truth does fit better, the way there is closed: both fits are
    stuck, as at the corner without atmospheres.
    """
    if above_near >= SAME_CHI2:
        return f"a local minimum, chi2 higher by {above_near:.0f}"
    if above_truth >= SAME_CHI2:
        return f"stuck, with chi2 higher by {above_truth:.0f} than at the truth"
    return "the noise prefers it"


def print_failures(path: Path, fits: Fits, model: str, settings: Settings) -> None:
    """Each failure with its cause: ``why``, after a fit that starts near the truth and one held there."""
    far = failures(fits)
    print(f"\ncatastrophic: {far.sum()} of {far.size} ({far.mean():.2%})")
    store, finish, generator = open_store(path), onto(RVS_AA), Generator.load(model)
    for row in np.flatnonzero(far):
        made = star(store, finish, int(fits.index[row]))
        near = {
            name: (made.truth[k], FAR_PRIOR[name]) for k, name in enumerate(PARAMETERS) if name in FAR_PRIOR
        }
        there = fit(made.spectrum, generator, replace(settings, priors=near))
        gap = fits.chi2[row] * there.dof - there.chi2
        held = {name: float(made.truth[k]) for k, name in enumerate(PARAMETERS) if name in HELD}
        true = fit(made.spectrum, generator, replace(settings, fixed=held))
        cause = why(gap, fits.chi2[row] * true.dof - true.chi2)
        names = ", ".join(
            f"{name} {fits.truth[row, k]:.4g} -> {fits.values[row, k]:.4g}"
            for k, name in enumerate(PARAMETERS)
            if name in SHOWN
        )
        print(f"  star {fits.index[row]}, S/N {fits.snr[row]}: {names}; {cause}; {fits.flags[row]}")


def print_networks(path: Path, reproduction: Path, fits: Fits) -> None:
    """Root mean square and 68 % differences of the networks of table 4 next to those of the fit, by S/N.

    The networks need the paper's 4000 points at rest, over a continuum that is known: they are given
    that, with noise of the same S/N, while the fit finds velocity and continuum itself in a range of 2401
    points.
    """
    model, store = packed_table_4(reproduction), open_store(path)
    finish = onto(bands.load("rvs").points.vacuum_aa)
    flux = np.empty((len(fits.index), bands.load("rvs").points.wavelength_aa.size), np.float32)
    for row, index in enumerate(fits.index):
        vsini, resolution = fits.truth[row, [2, 5]].astype(np.float32)
        rng = np.random.default_rng([13, int(index)])
        flux[row] = (
            finish(store.flux(index), vsini, resolution)[0] + rng.normal(size=flux.shape[1]) / fits.snr[row]
        )
    found = estimate(model, flux)
    print("\n68 % of the differences are within, fit / networks of table 4")
    print(f"{'':10}" + "".join(f"{f'S/N {snr}':>22}" for snr in SNR))
    for place, name in enumerate(model.header.names):
        if name not in SHOWN:
            continue
        column = fits.column(name)
        texts = []
        for snr in SNR:
            chosen = fits.snr == snr
            pair = (fits.values[chosen, column], found[chosen, place])
            sizes = [np.quantile(np.abs(p - fits.truth[chosen, column]), 0.6827) for p in pair]
            texts.append(f"{f'{sizes[0]:.3g} / {sizes[1]:.3g}':>22}")
        print(f"{name:10}" + "".join(texts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--stars", type=int, default=2000)
    parser.add_argument("--model", default="default-2026-lte")
    parser.add_argument("--reproduction", type=Path, help="folder of `starloom reproduce`")
    parser.add_argument("--workers", type=int, default=1)
    # the spectra are synthesised in LTE, so the cores of their Ca II lines are as good as the rest
    parser.add_argument("--core", type=float, default=0.0, help="half width of the Ca II cores [km/s]")
    parser.add_argument("--save", type=Path, help="write the fits to this .npz")
    arguments = parser.parse_args()
    # nor do lines differ from the model's, and vmic is anything
    settings = Settings(core_kms=arguments.core, physics_error=False, typical_vmic=False)
    parts = [range(i, min(i + PORTION, arguments.stars)) for i in range(0, arguments.stars, PORTION)]
    task = partial(fitted, arguments.store, arguments.model, settings)
    start, processor = time.perf_counter(), time.process_time()
    fits = together(list(processes(arguments.workers)(task, parts)))
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    print(f"{len(fits.index)} stars in {seconds:.0f} s, with making them ({processor:.0f} s of this process)")
    if arguments.save:
        np.savez(arguments.save, **{field.name: getattr(fits, field.name) for field in fields(Fits)})
    everything = np.ones(len(fits.index), bool)
    print_rows(fits, everything, "all")
    for snr in SNR:
        print_rows(fits, fits.snr == snr, f"S/N {snr}")
    teff = fits.truth[:, fits.column("teff")]
    for low, high in pairwise(TEFF_BINS):
        print_rows(fits, (teff >= low) & (teff < high), f"Teff {low} to {high} K")
    print_failures(arguments.store, fits, arguments.model, settings)
    if arguments.reproduction:
        print_networks(arguments.store, arguments.reproduction, fits)


if __name__ == "__main__":
    main()
