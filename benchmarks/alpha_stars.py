"""Stars with [alpha/M] = +0.3 fitted with a model that knows it: bias over 50 draws of noise.

The four stars are synthesised as the model's stars were, rotated and seen at R = 11500 with a signal-to-noise
ratio of 100; each fit has alpha free, and is done again with alpha held at 0.

    python benchmarks/alpha_stars.py [--model default] [--draws 50]
"""

import argparse
import sys

import numpy as np

from starloom import bands
from starloom.broadening import finish_onto, keep
from starloom.inference import fit_each
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum
from starloom.synthesis import synthesize_labels

STARS = ((5777, 4.44, -0.5), (4750, 2.5, -0.5), (6200, 4.1, -0.5), (4300, 2.0, -1.0))
ALPHA, VMIC, VSINI, RESOLUTION, SNR = 0.3, 1.2, 5.0, 11500.0, 100.0
RVS_AA = np.linspace(8460.0, 8700.0, 2401)  # vacuum, the points of Gaia's mean spectra
SHOWN = ("teff", "logg", "mh", "alpha", "vmic", "vsini")
TRUTH = {"alpha": ALPHA, "vmic": VMIC, "vsini": VSINI}


def observed(star: tuple, draws: int) -> list[Spectrum]:
    """The synthesised star as seen, with so many draws of noise."""
    band = bands.load("rvs", "calibrated")
    made = synthesize_labels(*star, VMIC, alpha=ALPHA, nlte=("Ca II",), band=band)
    kept = keep(np.asarray(made.normalized, np.float32)[None, None], band)[0]
    finish = finish_onto(band.kept[0], RVS_AA, band.finest_resolution, band.kept_resolution)
    flux = finish(kept, np.float32(VSINI), np.float32(RESOLUTION))[0].astype(float)
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
    noise = [np.random.default_rng([18, draw]).normal(size=flux.size) / SNR for draw in range(draws)]
    return [Spectrum(RVS_AA, flux + each, error=np.full(flux.size, 1 / SNR), **about) for each in noise]


def compare(generator: Generator, star: tuple, draws: int) -> None:
    """Print how far the mean of the fits is from the truth, in the labels' units and in stated errors."""
    spectra, truth = observed(star, draws), dict(zip(("teff", "logg", "mh"), star, strict=True)) | TRUTH
    for fixed in ({}, {"alpha": 0.0}):
        # the truth has neither a chromosphere nor another list of lines
        options = {
            "core_floor": 0.0,
            "velocities": (-50.0, 50.0),
            "physics_error": False,
            "typical_vmic": False,
        }
        fits = list(fit_each(spectra, generator, fixed={**fixed, "filling": 0.0}, **options))
        cells = []
        for name in SHOWN:
            place = fits[0].domain.index(name)
            if name in fixed:
                cells.append("held at 0")
                continue
            off = np.mean([each.values[place] for each in fits]) - truth[name]
            error = np.mean([np.sqrt(each.covariance[place, place]) for each in fits])
            cells.append(f"{off:+.3g} ± {error:.2g} ({off / error:+.2f})")
        chi2 = np.mean([each.reduced_chi2 for each in fits])
        flags = sorted({flag for each in fits for flag in each.flags})
        print(
            f"| {'/'.join(f'{x:g}' for x in star)} | {' | '.join(cells)} | {chi2:.2f} | {' '.join(flags)} |"
        )


def main() -> None:
    """Fit, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--draws", type=int, default=50)
    options = parser.parse_args()
    generator = Generator.load(options.model)
    print(f"mean of {options.draws} fits less the truth ± mean stated error (ratio)\n")
    print(f"| star | {' | '.join(SHOWN)} | chi2/dof | flags |\n|{'---|' * (len(SHOWN) + 3)}")
    for star in STARS:
        compare(generator, star, options.draws)


if __name__ == "__main__":
    sys.exit(main())
