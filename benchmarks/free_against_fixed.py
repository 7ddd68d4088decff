"""A free fit is never above a constrained one: how often chi2 says otherwise, and by how much.

Each star is fitted with all labels free and with five sets of labels held, most of them near the truth,
where the held fit is hardest to beat. A star is drawn inside the domain, with each label at an end of its
range with probability 0.4, or inside with lines made 0.4 to 1.8 times as deep, which no labels explain; every
second one has no noise. Held values are of a grid, so that fits share the templates of their starts. Each fit
is one call of ``fit``: in ``fit_each`` the neighbours in a batch change roundings, and with them the errors.

    python benchmarks/free_against_fixed.py [--stars 500] [--seed 1] [--core 50]
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from os import cpu_count

import numpy as np

from starloom.database.workers import processes
from starloom.inference import Settings, fit
from starloom.labels import RADIATION_LIMIT, TABLE_1
from starloom.networks.emulator import linear_algebra
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

RVS_AA = np.linspace(8460.0, 8700.0, 2401)  # vacuum, the points of Gaia's mean spectra
RESOLUTION = 11500.0
SNR = (20, 50, 100, 200)
KINDS = ("inside", "at bounds", "beyond")
AT_END = 0.4
DEPTHS = (0.4, 1.8)
ABOVE = 0.1  # in chi2
PART = 10  # stars of a worker at a time
SETS = (("mh",), ("logg",), ("teff", "vmic"), ("vsini",), ("velocity",))
VALUES = {
    "teff": (3600, 4200, 5000, 5800, 6600, 7500, 9000, 10500, 12000, 15000),
    "logg": (2, 2.5, 3, 3.5, 4, 4.5, 5),
    "vsini": (0, 10, 30, 60, 100, 150, 200, 250, 300),
    "mh": (-1.5, -1, -0.5, 0, 0.5, 1, 1.5),
    "vmic": (0, 2, 4),
}


@dataclass(frozen=True, eq=False)
class Star:
    """A spectrum, of which KINDS it is, and the labels and velocity it was made of."""

    spectrum: Spectrum
    kind: str
    noisy: bool
    truth: dict[str, float]


def star(generator: Generator, seed: int, index: int) -> Star:
    """Star ``index``, from its own stream of random numbers."""
    rng = np.random.default_rng([seed, index])
    kind, noisy = KINDS[index % 3], index % 2 == 1
    labels = rng.uniform(TABLE_1.low, TABLE_1.high)
    if kind == "at bounds":
        ends = np.where(rng.random(6) < 0.5, TABLE_1.low, TABLE_1.high)
        labels = np.where(rng.random(6) < AT_END, ends, labels)
    labels[1] = max(labels[1], RADIATION_LIMIT(labels[0], labels[3]))
    labels[5], velocity = RESOLUTION, rng.uniform(-300, 300)
    options = {"wavelength_aa": RVS_AA, "medium": "vacuum", "radial_velocity": velocity}
    flux = generator.flux(labels, **options).astype(float)
    if kind == "beyond":
        flux = 1 + rng.uniform(*DEPTHS) * (flux - 1)
    snr = rng.choice(SNR)
    flux += noisy * rng.normal(size=flux.size) / snr
    level = 1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, flux.size)
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
    truth = dict(zip(TABLE_1.names, labels.tolist(), strict=True)) | {"velocity": velocity}
    return Star(Spectrum(RVS_AA, level * flux, error=level / snr, **about), kind, noisy, truth)


def held(star: Star, names: tuple[str, ...]) -> dict[str, float]:
    """The values of VALUES nearest to the truth; the velocity is the true one."""
    values = {}
    for name in names:
        grid = np.array(VALUES.get(name, [star.truth[name]]))
        values[name] = float(grid[np.abs(grid - star.truth[name]).argmin()])
    return values


def excess(generator: Generator, seed: int, core_kms: float, index: int) -> np.ndarray:
    """How far chi2 of star ``index`` is above that of the fit with each of SETS held."""
    one = star(generator, seed, index)
    # a prior of vmic counts in chi2 where vmic is free alone
    settings = Settings(core_kms=core_kms, typical_vmic=False, trust=False)
    free = fit(one.spectrum, generator, settings).chi2
    fits = (fit(one.spectrum, generator, settings, fixed=held(one, names)) for names in SETS)
    return np.array([free - each.chi2 for each in fits])


def of_part(model: str, seed: int, core_kms: float, indices: range) -> list[np.ndarray]:
    """The same of some stars, alone on one processor."""
    generator = Generator.load(model)
    with linear_algebra().limit(limits=1):
        return [excess(generator, seed, core_kms, index) for index in indices]


def numbered(work: Callable, part: tuple[int, range]) -> tuple[int, np.ndarray]:
    """The number of a part, and what is found in it."""
    return part[0], np.array(work(part[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--core", type=float, default=50.0, help="half width of the Ca II cores [km/s]")
    parser.add_argument("--model", default="default-2026-lte")
    parser.add_argument("--workers", type=int, default=cpu_count())
    arguments = parser.parse_args()
    generator, start = Generator.load(arguments.model), time.perf_counter()
    parts = [range(first, min(first + PART, arguments.stars)) for first in range(0, arguments.stars, PART)]
    work = partial(of_part, arguments.model, arguments.seed, arguments.core)
    # whose workers end with this process, however it ends
    results = processes(arguments.workers)(partial(numbered, work), enumerate(parts))
    found = np.concatenate([each for _, each in sorted(results, key=itemgetter(0))])
    stars = [star(generator, arguments.seed, index) for index in range(arguments.stars)]
    excess = found.T
    print(f"{len(stars)} stars in {time.perf_counter() - start:.0f} s")
    for names, row in zip(SETS, excess, strict=True):
        print(f"{' and '.join(names) + ' held':24}{(row > ABOVE).sum():5} above by more than {ABOVE}", end="")
        print(f" of {row.size}; the largest {row.max():+.3f}")
    kinds, noisy = (np.array([getattr(s, name) for s in stars]) for name in ("kind", "noisy"))
    for kind in KINDS:
        for state, text in ((True, "noisy"), (False, "noise-free")):
            chosen = excess[:, (kinds == kind) & (noisy == state)]
            print(f"{kind + ', ' + text:24}{(chosen > ABOVE).sum():5} of {chosen.size}")
    for place, index in np.argwhere(excess > ABOVE):
        labels = ", ".join(f"{name} {value:.4g}" for name, value in stars[index].truth.items())
        print(f"  star {index} ({kinds[index]}; {labels}), {SETS[place]} held: {excess[place, index]:+.3f}")
    print(
        f"above by more than {ABOVE}: {(excess > ABOVE).sum()} of {excess.size}; largest {excess.max():+.3f}"
    )


if __name__ == "__main__":
    main()
