"""Are spectra of two stars found, and single ones left alone?

    python benchmarks/composites.py [--stars 64] [--model default] [--observed FOLDER]

Pairs of dwarfs of 4500 to 6600 K, by flux ratio and difference of velocity; and single stars that are slow,
rotate by 20 to 80 km/s, or are active (Ca II cores filled). All have Gaia's points and the physics error put
in; noise is independent, or as Gaia's (``--noise gaia``). ``--observed``: single spectra of Gaia, and with
themselves shifted added.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from trust import GAIA_AA, RESOLUTION, Mixture, Star

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference import FitResult, fit, fit_each
from starloom.inference.composite import TRIGGER
from starloom.io import read_observed
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

SNRS, RATIOS, APART_KMS = (100.0, 50.0), (1.0, 0.5, 0.2), (20.0, 40.0, 80.0)


class Pairs(Mixture):
    """Single stars and pairs."""

    def dwarf(self, number: int, kind: str) -> Star:
        rng = np.random.default_rng([self.seed, number, 2])
        teff = rng.uniform(4500, 6600)
        logg = (4.3 if teff > 6000 else 4.5) + rng.uniform(-0.15, 0.1)
        labels = {"teff": teff, "logg": logg, "mh": rng.uniform(-0.6, 0.3), "resolution": RESOLUTION}
        labels |= {"vmic": rng.uniform(0.8, 1.5), "vsini": rng.uniform(1, 12), "alpha": 0.0, "filling": 0.0}
        if kind == "rotating":
            labels["vsini"] = rng.uniform(20, 80)
        if kind == "active":
            labels["filling"] = rng.uniform(0.05, 0.3)
        names = self.generator.domain.names
        return Star({k: v for k, v in labels.items() if k in names}, rng.uniform(-60, 60), 100.0)

    def spectrum(self, number: int, star: Star, snr: float, ratio: float, apart: float, options) -> Spectrum:
        rng = np.random.default_rng([self.seed, number, 3])
        flux = self.flux(star.labels, star.velocity)
        if ratio:
            other = star.labels | {"teff": star.labels["teff"] * ratio**0.13, "vsini": rng.uniform(1, 10)}
            other["logg"] = star.labels["logg"] + 0.05 * (ratio < 1) + 0.08 * (ratio < 0.4)
            flux = (flux + ratio * self.flux(other, star.velocity + apart)) / (1 + ratio)
        if not options.exact:
            flux += self._physics(rng, self.row(star.labels), star.velocity)
        white = rng.normal(size=flux.size)
        about: dict = {"resolution": RESOLUTION}
        if options.noise == "gaia":
            white, about["noise_correlation_kms"] = self._smoothed(white, 3.7), 3.7
        level = 1 + rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, flux.size)
        data, error = level * (flux + white / snr), level / snr
        return Spectrum(GAIA_AA, data, error=error, medium="vacuum", frame="barycentric", provenance=about)

    def fits(self, kind: str, snr: float, ratio: float, apart: float, options) -> list[FitResult]:
        stars = [self.dwarf(k, kind) for k in range(options.stars)]
        spectra = [self.spectrum(k, s, snr, ratio, apart, options) for k, s in enumerate(stars)]
        return list(fit_each(spectra, self.generator, threads=1, physics_error=not options.exact))


def row(title: str, fits: list[FitResult]) -> None:
    """Print how many fire, and how well the second star is found."""
    trigger = np.array([each.trust.doubts["companion"].deviations for each in fits])
    pairs = [each.composite for each in fits if each.composite is not None]
    cells = [f"{np.mean(trigger > TRIGGER):.1%}", f"{len(pairs) / len(fits):.1%}"]
    cells.append(" ".join(f"{value:.1f}" for value in np.quantile(trigger, [0.05, 0.5, 0.99])))
    if pairs:
        gains = np.quantile([pair.gain for pair in pairs], [0.05, 0.5])
        cells += [f"{gains[0]:.0f} {gains[1]:.0f}", f"{np.median([abs(p.separation) for p in pairs]):.1f}"]
        cells.append(f"{np.median([pair.light_ratio for pair in pairs]):.2f}")
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


def observed(folder: Path, model: str) -> None:
    """Real stars, alone and with themselves shifted."""
    for path in sorted(folder.glob("gaia_rvs_*.csv")):
        spectrum = read_observed(path)
        row(path.stem, [fit(spectrum, model)])
        for apart in (25, 40, 80):
            for ratio in (1.0, 0.3):
                row(f"+ {ratio:g} at {apart} km/s", [fit(doubled(spectrum, apart, ratio), model)])


def doubled(spectrum: Spectrum, apart: float, ratio: float) -> Spectrum:
    """A spectrum with itself shifted added."""
    there, wavelength = np.isfinite(spectrum.flux), spectrum.wavelength
    moved = wavelength * np.exp(-apart / SPEED_OF_LIGHT_KMS)
    other = np.interp(moved, wavelength[there], spectrum.flux[there])
    error = spectrum.error * np.hypot(1, ratio) / (1 + ratio)
    return replace(spectrum, flux=(spectrum.flux + ratio * other) / (1 + ratio), error=error)


def main() -> None:
    """Print a row for each kind of spectrum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=64)
    parser.add_argument("--model", default="default")
    parser.add_argument("--noise", choices=("independent", "gaia"), default="independent")
    parser.add_argument("--exact", action="store_true", help="no physics error, neither put in nor counted")
    parser.add_argument("--observed", type=Path)
    options = parser.parse_args()
    print("| | trigger | flagged | deviations 5, 50, 99 % | gain 5, 50 % | velocities apart | flux ratio |")
    print("|---|---|---|---|---|---|---|")
    if options.observed is not None:
        observed(options.observed, options.model)
        return
    pairs = Pairs(Generator.load(options.model), 71)
    for snr in SNRS:
        for kind in ("slow", "rotating", "active"):
            row(f"S/N {snr:g}, single, {kind}", pairs.fits(kind, snr, 0.0, 0.0, options))
        for ratio in RATIOS:
            for apart in APART_KMS:
                title = f"S/N {snr:g}, flux ratio {ratio:g}, {apart:g} km/s"
                row(title, pairs.fits("slow", snr, ratio, apart, options))


if __name__ == "__main__":
    main()
