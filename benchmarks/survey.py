"""Fits by the learned start against the search from templates, in turns in one run: time and accuracy.

Stars are made by the model itself, over its whole domain (or below 7000 K with --cool), with S/N 20 to 200,
velocities of +-300 km/s and a sloping continuum, as Gaia's RVS sees them. Both ways fit the same batches, one
after the other, in one thread. Printed: processor time a star of each, and for each the scatter over the
Cramer-Rao bound (the size that holds 68 %, where the bound is below a tenth of a label's range), the share of
68 % intervals that hold the truth, gross failures, and how often chi2 of one is lower by 3.

    python benchmarks/survey.py [MODEL] [--stars 1000] [--cool] [--physics] [--only learned] [--trust]
        [--former CHECKOUT]

CHECKOUT is that of a former version, whose model ``default`` fits the same batches in a process of its own,
in turns with the others: commit 37c7213 is the last one before there were elements.
"""

import argparse
import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np

from starloom.inference import FitResult, Settings, fit_each
from starloom.networks.generator import Generator
from starloom.sampling import uniform
from starloom.spectrum import Spectrum

RVS_AA = 8460 + 0.1 * np.arange(2401)
SNR = (20, 50, 100, 200)
RESOLUTION, FASTEST = 11500.0, 300.0
BATCH = 128
# gross: further off than this (Teff relative) and than 5 errors
FAR = {"teff": 0.1, "logg": 0.5, "vsini": 30.0, "mh": 0.4, "velocity": 30.0}
ERRORS = 5.0


def draw(generator: Generator, count: int, cool: bool, seed: int = 31) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the whole domain, elements at their default, and velocities."""
    domain = generator.domain
    names = [name for name in domain.names if name not in (*domain.spread, "filling")]
    box = domain.only(*names)
    high = box.high.copy()
    if cool:
        high[box.index("teff")] = 7000.0
    drawn = uniform(seed, 0, count, box.low, high, box.contains)
    drawn[:, box.index("resolution")] = RESOLUTION
    labels = domain.array(**dict(zip(names, drawn.T, strict=True)))
    return labels, np.random.default_rng(seed + 1).uniform(-FASTEST, FASTEST, count)


def observed(generator: Generator, labels: np.ndarray, velocity: np.ndarray, first: int) -> list[Spectrum]:
    """Noisy spectra of stars, whose numbers begin with ``first``."""
    flux = generator.flux(labels, wavelength_aa=RVS_AA, medium="vacuum", radial_velocity=velocity)
    made = []
    for number, row in enumerate(flux.astype(float), start=first):
        rng, snr = np.random.default_rng([33, number]), SNR[number % len(SNR)]
        level = 1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, RVS_AA.size)
        noisy = level * (row + rng.normal(size=row.size) / snr)
        about = {"medium": "vacuum", "provenance": {"resolution": RESOLUTION}}
        made.append(Spectrum(RVS_AA, noisy, error=level / snr, **about))
    return made


@dataclass(eq=False)
class Way:
    """A way to fit, its processor time, and what it found: arrays ``[star, p]``, chi2."""

    settings: Settings
    seconds: float = 0.0
    results: list[dict] = field(default_factory=list)

    def fit(self, spectra: list[Spectrum], generator: Generator) -> None:
        """Fit a batch."""
        start = time.process_time()
        found = list(fit_each(spectra, generator, self.settings, threads=1))
        self.seconds += time.process_time() - start
        self.results += [_kept(result) for result in found]

    def column(self, name: str) -> np.ndarray:
        """What the fits have of this name."""
        return np.array([result[name] for result in self.results])


# what a former version runs: batches of wavelengths, flux, errors and resolution in, seconds and fits out
SERVE = """
import pickle, sys, time
import numpy as np
from starloom.inference import fit_each, Settings
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum
generator, answers = Generator.load("default"), sys.stdout.buffer
sys.stdout = sys.stderr
while True:
    try:
        wavelength, flux, error, resolution = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    about = {"medium": "vacuum", "provenance": {"resolution": resolution}}
    spectra = [Spectrum(wavelength, f, error=e, **about) for f, e in zip(flux, error)]
    start = time.process_time()
    found = list(fit_each(spectra, generator, Settings(core_kms=0.0), threads=1))
    seconds, rows = time.process_time() - start, []
    for each in found:
        errors = np.sqrt(np.diag(each.covariance))
        rows.append({"values": each.values, "errors": errors, "bounds": each.bounds, "ends": each.intervals,
                     "chi2": each.chi2, "dof": each.dof, "flags": each.flags})
    pickle.dump((seconds, rows), answers)
    answers.flush()
"""


class Former(Way):
    """The fit of a former version, of the same model, in a process of its own."""

    def __init__(self, settings: Settings, checkout: str):
        super().__init__(settings)
        environment = os.environ | {"PYTHONPATH": os.path.join(checkout, "src")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
        self.process = subprocess.Popen([sys.executable, "-c", SERVE], **pipes)

    def fit(self, spectra: list[Spectrum], generator: Generator) -> None:
        """Fit a batch there."""
        flux, error = (np.array([getattr(each, name) for each in spectra]) for name in ("flux", "error"))
        pickle.dump((RVS_AA, flux, error, RESOLUTION), self.process.stdin)
        self.process.stdin.flush()
        seconds, rows = pickle.load(self.process.stdout)
        self.seconds += seconds
        self.results += rows


def _kept(result: FitResult) -> dict:
    errors = np.sqrt(np.diag(result.covariance))
    arrays = {"values": result.values, "errors": errors, "bounds": result.bounds, "ends": result.intervals}
    return arrays | {"chi2": result.chi2, "dof": result.dof, "flags": result.flags}


def gross(way: Way, truth: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Stars with a label that is far off, further than its error says."""
    off, errors = np.abs(way.column("values") - truth), way.column("errors")
    found = np.zeros(len(truth), bool)
    for name, limit in FAR.items():
        if name in names:
            index = names.index(name)
            least = limit * (truth[:, index] if name == "teff" else 1)
            found |= (off[:, index] > least) & (off[:, index] > ERRORS * errors[:, index])
    return found


def report(name: str, way: Way, truth: np.ndarray, names: tuple[str, ...], spans: np.ndarray, bounds) -> None:
    """Scatter over bound and coverage of each label that is told, and gross failures."""
    values, ends = way.column("values"), way.column("ends")
    cells = []
    for index, label in enumerate(names):
        told = (bounds[:, index] > 0) & (bounds[:, index] < 0.1 * spans[index])
        if not told.any():
            continue
        off = np.abs(values - truth)[told, index] / bounds[told, index]
        holds = (ends[:, index, 0] <= truth[:, index]) & (truth[:, index] <= ends[:, index, 1])
        cells.append(f"{label} {np.quantile(off, 0.6827):.3f} {holds[told].mean():.1%}")
    bad = gross(way, truth, names)
    print(f"{name:9}gross {bad.mean():.2%} ({bad.sum()}); scatter/bound, coverage: {', '.join(cells)}")


def main() -> None:
    """Fit in both ways and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="default-2026-lte")
    parser.add_argument("--stars", type=int, default=1000)
    parser.add_argument("--cool", action="store_true", help="below 7000 K alone")
    parser.add_argument("--physics", action="store_true", help="with the physics error")
    parser.add_argument("--trust", action="store_true", help="ask each fit how far to trust it")
    parser.add_argument("--only", choices=("learned", "search"))
    parser.add_argument("--former", metavar="CHECKOUT", help="of a former version, to fit beside")
    parser.add_argument("--save", help="npz file for what was found")
    options = parser.parse_args()
    generator = Generator.load(options.model)
    settings = Settings(physics_error=options.physics, core_kms=0.0, typical_vmic=False)
    settings = replace(settings, trust=options.trust)
    ways = {"learned": Way(settings), "search": Way(replace(settings, learned_start=False))}
    ways = {name: way for name, way in ways.items() if options.only in (None, name)}
    labels, velocity = draw(generator, options.stars, options.cool)
    if options.former:
        ways["former"] = Former(settings, options.former)
    for way in ways.values():  # tables and networks are made once
        way.fit(observed(generator, labels[:2], velocity[:2], 0), generator)
        way.seconds, way.results = 0.0, []
    for start in range(0, options.stars, BATCH):
        part = slice(start, start + BATCH)
        spectra = observed(generator, labels[part], velocity[part], start)
        for way in ways.values():
            way.fit(spectra, generator)
    names = (*[n for n in generator.domain.names if n not in generator.domain.spread], "velocity")
    columns = [generator.domain.index(name) for name in names[:-1]]
    truth = np.concatenate([labels[:, columns], velocity[:, None]], axis=1)
    spans = np.append((generator.domain.high - generator.domain.low)[columns], 2 * FASTEST)
    about = "with the physics error" if options.physics else "without physics error"
    domain = "below 7000 K" if options.cool else "whole domain"
    print(f"{options.model}: {options.stars} stars, {domain}, {about}")
    bounds = next(reversed(ways.values())).column("bounds")
    for name, way in ways.items():
        print(f"{name:9}{1e3 * way.seconds / options.stars:.2f} ms of processor time a star")
        report(name, way, truth, names, spans, bounds)
    if options.save:
        kept = {
            f"{n}_{k}": way.column(k) for n, way in ways.items() for k in ("values", "errors", "chi2", "dof")
        }
        np.savez(options.save, truth=truth, **kept)
    for name, way in list(ways.items())[1:]:
        print(f"{name} beside {next(iter(ways))}:")
        compare(next(iter(ways.values())), way)


def compare(learned: Way, search: Way) -> None:
    """How much faster one is, and how often it ends higher."""
    apart = learned.column("chi2") - search.column("chi2")
    same = learned.column("dof") == search.column("dof")
    print(f"ratio {search.seconds / learned.seconds:.2f}; of {same.mean():.1%} with the same pixels chi2 is")
    print(f"higher by 3 in {(apart[same] > 3).mean():.2%}, lower by 3 in {(apart[same] < -3).mean():.2%}")


if __name__ == "__main__":
    main()
