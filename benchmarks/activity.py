"""The emission of a chromosphere as an index, and the labels of active stars.

    python benchmarks/activity.py [--stars 48] [--model default]
    python benchmarks/activity.py --observed FOLDER

Cool dwarfs (4200 to 6300 K, v sin i of 1 to 15 km/s) at S/N 100 at Gaia's points, with emission in the cores
of Ca II and the model's physics error put in (not with ``--exact``). Printed are the mean of filling less the
truth and its scatter over the stated error, the mean error, and of log g, Teff and [M/H] the median of what
they are off and 68 % of it. ``--observed``: how many errors the filling of real stars is.
"""

import argparse
from pathlib import Path

import numpy as np
from trust import GAIA_AA, RESOLUTION, Mixture

from starloom.broadening.filling import CORES_AA, RATIOS
from starloom.broadening.kernels import instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference import fit, fit_each
from starloom.io import read_observed
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

WIDTHS_KMS, HEIGHTS, SNR = (15.0, 20.0, 30.0, 40.0), (0.0, 0.1, 0.2), 100.0


class Active(Mixture):
    """Dwarfs with emission of any width."""

    def labels(self, number: int) -> dict[str, float]:
        rng = np.random.default_rng([self.seed, number, 4])
        labels = {
            "teff": rng.uniform(4200, 6300),
            "logg": rng.uniform(4.2, 4.7),
            "mh": rng.uniform(-0.5, 0.3),
        }
        labels |= {"vsini": rng.uniform(1, 15), "vmic": rng.uniform(0.8, 1.5), "alpha": 0.0, "filling": 0.0}
        return labels | {"resolution": RESOLUTION}

    def spectrum(self, number: int, height: float, width: float, exact: bool) -> Spectrum:
        rng, labels = np.random.default_rng([self.seed, number, 5]), self.labels(number)
        velocity = rng.uniform(-60, 60)
        variance = width**2 + instrument_variance(RESOLUTION) + labels["vsini"] ** 2 / 4
        away = SPEED_OF_LIGHT_KMS * np.log(GAIA_AA / np.array(CORES_AA)[:, None]) - velocity
        lines = np.array(RATIOS) @ np.exp(-(away**2) / (2 * variance))
        flux = self.flux(labels, velocity) + height * width / np.sqrt(variance) * lines
        if not exact:
            flux += self._physics(rng, self.row(labels), velocity)
        flux += rng.normal(size=flux.size) / SNR
        about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
        return Spectrum(GAIA_AA, flux, error=np.full(flux.size, 1 / SNR), **about)


def compare(active: Active, options) -> None:
    """A row for each width and height."""
    print(
        "| width | height | filling - truth | scatter / error | error | log g | Teff | [M/H] |\n|"
        + "---|" * 8
    )
    for width in WIDTHS_KMS:
        for height in HEIGHTS:
            spectra = [active.spectrum(k, height, width, options.exact) for k in range(options.stars)]
            fits = list(fit_each(spectra, active.generator, threads=1))
            off = np.array([each.labels["filling"] - height for each in fits])
            error = np.array([each.errors["filling"] for each in fits])
            cells = [
                f"{np.mean(off):+.3f}",
                f"{np.quantile(np.abs(off / error), 0.6827):.2f}",
                f"{error.mean():.3f}",
            ]
            for name, digits in (("logg", 3), ("teff", 0), ("mh", 3)):
                shift = np.array([each.labels[name] - active.labels(k)[name] for k, each in enumerate(fits)])
                cells.append(
                    f"{np.median(shift):+.{digits}f} ({np.quantile(np.abs(shift), 0.6827):.{digits}f})"
                )
            print(f"| {width:g} | {height:g} | {' | '.join(cells)} |", flush=True)


def observed(folder: Path, model: str) -> None:
    """A row for each real star."""
    for path in sorted(folder.glob("gaia_rvs_*.csv")):
        found = fit(read_observed(path), model)
        value, error = found.labels["filling"], found.errors["filling"]
        told = ", ".join(
            f"{name} {found.labels[name]:.2f} ± {found.errors[name]:.2f}" for name in ("teff", "logg", "mh")
        )
        print(f"| {path.stem} | {value:.3f} ± {error:.3f} | {value / error:.1f} | {told} |")


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=24)
    parser.add_argument("--model", default="default")
    parser.add_argument("--exact", action="store_true", help="no physics error put in, though counted")
    parser.add_argument("--observed", type=Path)
    options = parser.parse_args()
    if options.observed is not None:
        observed(options.observed, options.model)
        return
    compare(Active(Generator.load(options.model), 77), options)


if __name__ == "__main__":
    main()
