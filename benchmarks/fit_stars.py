"""Labels of stars as they are found again: scatter, bias, coverage and failures, by a model with [alpha/M].

Spectra of a store (recipe ``stars-alpha``, or ``stars-near`` with ``--free``) are rotated, moved, seen at R =
11 500 in the range of the Gaia RVS, tilted, given noise of S/N 20 to 200, and fitted; the physics error is
switched off, since the stars have the model's own. Printed for each label: the scatter over the stated error
and the median bias in stated errors, the share of 68 % intervals that hold the truth; and gross failures.

    python benchmarks/fit_stars.py STORE [--model default] [--stars 1000] [--free Ca,Si] [--fix alpha=0]
"""

import argparse
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from starloom.broadening import finish_onto
from starloom.database.store import open_store
from starloom.database.workers import processes
from starloom.inference import Failure, Settings, fit_each
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

SNR = (20, 50, 100, 200)
RVS_AA = np.linspace(8460.0, 8700.0, 2401)  # vacuum, the points of Gaia's mean spectra
RESOLUTION, VELOCITY_KMS, FASTEST_KMS = 11500.0, 300.0, 100.0
# gross: further off than this and than 5 stated errors; Teff relative
FAR = {"teff": 0.1, "logg": 0.5, "vsini": 30.0, "mh": 0.4, "alpha": 0.3, "velocity": 30.0}
ERRORS = 5.0
BINS = (3300, 4000, 5000, 6000, 8000, 10000, 15001)  # K
PORTION = 50


@dataclass(frozen=True, eq=False)
class Found:
    """One fit: truth, values, errors and 68 % intervals by name; flags."""

    truth: dict[str, float]
    values: dict[str, float]
    errors: dict[str, float]
    holds: dict[str, bool]
    flags: tuple[str, ...]


def observed(store, index: int) -> tuple[dict[str, float], Spectrum]:
    """Star ``index`` with its own random numbers: its labels and velocity, and the spectrum as seen."""
    rng, band = np.random.default_rng([21, index]), store.band
    truth = dict(zip(store.domain.names, store.labels[index].tolist(), strict=True))
    truth |= {"vsini": rng.uniform(0, FASTEST_KMS), "velocity": rng.uniform(-VELOCITY_KMS, VELOCITY_KMS)}
    finish = finish_onto(band.kept[0], RVS_AA, band.finest_resolution, band.kept_resolution)
    seen = (np.float32(truth["vsini"]), np.float32(RESOLUTION))
    flux = finish(store.flux(index), *seen, radial_velocity=np.float32(truth["velocity"]))[0].astype(float)
    level = rng.uniform(0.5, 2) * (1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, flux.size))
    snr = SNR[index % len(SNR)]
    noisy = level * (flux + rng.normal(size=flux.size) / snr)
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
    return truth, Spectrum(RVS_AA, noisy, error=level / snr, **about)


def fitted(path: Path, model: str, settings: Settings, indices) -> list[Found]:
    """Some of the stars, made and fitted."""
    store = open_store(path)
    stars = [observed(store, index) for index in indices]
    results = fit_each((spectrum for _, spectrum in stars), Generator.load(model), settings)
    found = []
    for (truth, _), result in zip(stars, results, strict=True):
        if isinstance(result, Failure):
            raise SystemExit(f"not fitted: {result.reason}")
        names = [name for name in result.parameters if name in truth and name != "resolution"]
        place = {name: result.parameters.index(name) for name in names}
        low, high = np.asarray(result.intervals).T
        found.append(
            Found(
                {name: truth[name] for name in names},
                {name: float(result.values[place[name]]) for name in names},
                {name: float(np.sqrt(result.covariance[place[name], place[name]])) for name in names},
                {name: bool(low[place[name]] <= truth[name] <= high[place[name]]) for name in names},
                tuple(result.flags),
            )
        )
    return found


def gross(star: Found) -> bool:
    """Whether a label is far off and further than its error says."""
    off = {name: abs(star.values[name] - star.truth[name]) for name in FAR if name in star.truth}
    limits = {name: FAR[name] * (star.truth["teff"] if name == "teff" else 1) for name in off}
    return any(off[name] > max(limits[name], ERRORS * star.errors[name]) for name in off)


def print_table(stars: list[Found], title: str) -> None:
    """A row for each label that was fitted."""
    bad = [gross(star) for star in stars]
    print(f"\n{title}: {len(stars)} stars, {sum(bad)} gross failures ({np.mean(bad):.2%})")
    print(f"{'':10}{'scatter/error':>14}{'bias/error':>12}{'68 % holds':>12}{'error (median)':>16}")
    for name in stars[0].values:
        error = np.array([star.errors[name] for star in stars])
        if not (error > 0).any():
            continue
        pull = np.array([star.values[name] - star.truth[name] for star in stars]) / error
        holds = np.mean([star.holds[name] for star in stars])
        scatter = np.nanquantile(np.abs(pull), 0.6827)
        print(f"{name:10}{scatter:14.2f}{np.nanmedian(pull):+12.2f}{holds:12.1%}{np.nanmedian(error):16.3g}")


def main() -> None:
    """Fit and print tables, of all stars and by Teff."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--stars", type=int, default=1000)
    parser.add_argument("--free", default="")
    parser.add_argument("--fix", nargs="*", default=[])
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    fixed = {name: float(value) for name, value in (text.split("=") for text in options.fix)}
    settings = Settings(
        fixed={"filling": 0.0, **fixed},  # the stars have none
        free=tuple(word for word in options.free.split(",") if word),
        core_floor=0.0,
        physics_error=False,
        typical_vmic=False,
    )
    portions = [range(i, min(i + PORTION, options.stars)) for i in range(0, options.stars, PORTION)]
    work = partial(fitted, options.store, options.model, settings)
    stars = [star for part in processes(options.processes)(work, portions) for star in part]
    print_table(stars, f"{options.model} on {options.store.name}")
    for low, high in pairwise(BINS):
        if some := [star for star in stars if low <= star.truth["teff"] < high]:
            print_table(some, f"{low} to {high} K")
    flags = sorted({flag for star in stars for flag in star.flags})
    print("\nflags: " + ", ".join(f"{flag} {sum(flag in s.flags for s in stars)}" for flag in flags))


if __name__ == "__main__":
    main()
