"""Stars with [alpha/M] = +0.3 fitted with a quick emulator that knows it: bias over 50 draws of noise.

The four stars are synthesised, rotated and seen at R = 11500 with a signal-to-noise ratio of 100; each fit
has alpha free, and is done again with alpha held at 0. FOLDER keeps the store of the recipe ``alpha`` and the
emulator; what is there is not made again.

    python benchmarks/alpha_stars.py FOLDER [--spectra 2500] [--epochs 400] [--draws 50] [--workers 2]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from starloom import bands
from starloom.broadening import finish_onto, keep
from starloom.database import build, recipe, workers
from starloom.database.store import open_store
from starloom.inference import fit_each
from starloom.networks import weights
from starloom.networks.emulation import EmulatorRecipe, fit_emulator
from starloom.networks.emulator import CoefficientNetwork, packed
from starloom.networks.generator import Generator
from starloom.networks.training import Plan
from starloom.spectrum import Spectrum
from starloom.synthesis import synthesize_labels

STARS = ((5777, 4.44, -0.5), (4750, 2.5, -0.5), (6200, 4.1, -0.5), (4300, 2.0, -1.0))
ALPHA, VMIC, VSINI, RESOLUTION, SNR = 0.3, 1.2, 5.0, 11500.0, 100.0
RVS_AA = np.linspace(8460.0, 8700.0, 2401)  # vacuum, the points of Gaia's mean spectra
SHOWN = ("teff", "logg", "mh", "alpha", "vmic", "vsini")
TRUTH = {"alpha": ALPHA, "vmic": VMIC, "vsini": VSINI}


def emulator(folder: Path, spectra: int, epochs: int, processes: int) -> Generator:
    """The emulator of the recipe ``alpha`` with so many spectra, made where it is not there."""
    path, band = folder / f"alpha-{spectra}-{epochs}.safetensors", bands.load("rvs")
    if path.exists():
        return Generator.load(path)
    wanted = replace(recipe.load("alpha"), intrinsic=spectra)
    engine = workers.here if processes == 1 else workers.processes(processes)
    physics = build.physics_version(band)
    build.build(wanted, folder / f"store-{spectra}", build.radiative_transfer, physics=physics, engine=engine)
    store = open_store(folder / f"store-{spectra}")
    plan = {"epochs": epochs, "patience": epochs, "optimiser": "muon", "learning_rate": 1.5e-2}
    design = EmulatorRecipe(
        coefficients=min(128, spectra // 4),
        network=CoefficientNetwork(hidden=(256, 256, 256), activation="silu", residual=True),
        plan=Plan(**plan, schedule="cosine", warmup=6, final_fraction=1e-4, seed=1),
        batch=256,
    )
    fitted, (training,) = fit_emulator([store], design)
    print(
        f"{path.name}: mean rms error {training.best_loss:.2e} on {len(store.splits['validation'])} spectra"
    )
    card = f"A trial: {spectra} stars of the recipe alpha."
    weights.save(path, packed(fitted, band, store.recipe.digest, card))
    return Generator.load(path)


def observed(star: tuple, draws: int) -> list[Spectrum]:
    """The synthesised star as seen, with so many draws of noise."""
    made, band = synthesize_labels(*star, VMIC, alpha=ALPHA), bands.load("rvs")
    kept = keep(np.asarray(made.normalized, np.float32)[None, None], band)[0]
    finish = finish_onto(RVS_AA)
    flux = finish(kept, np.float32(VSINI), np.float32(RESOLUTION))[0].astype(float)
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
    noise = [np.random.default_rng([18, draw]).normal(size=flux.size) / SNR for draw in range(draws)]
    return [Spectrum(RVS_AA, flux + each, error=np.full(flux.size, 1 / SNR), **about) for each in noise]


def compare(generator: Generator, star: tuple, draws: int) -> None:
    """Print how far the mean of the fits is from the truth, in the labels' units and in stated errors."""
    spectra, truth = observed(star, draws), dict(zip(("teff", "logg", "mh"), star, strict=True)) | TRUTH
    for fixed in ({}, {"alpha": 0.0}):
        fits = list(fit_each(spectra, generator, core_floor=0.0, velocities=(-50.0, 50.0), fixed=fixed))
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
    """Make what is needed, fit, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spectra", type=int, default=2500)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    generator = emulator(options.folder, options.spectra, options.epochs, options.workers)
    print(f"mean of {options.draws} fits less the truth ± mean stated error (ratio)\n")
    print(f"| star | {' | '.join(SHOWN)} | chi2/dof | flags |\n|{'---|' * (len(SHOWN) + 3)}")
    for star in STARS:
        compare(generator, star, options.draws)


if __name__ == "__main__":
    sys.exit(main())
