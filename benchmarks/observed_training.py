"""Corrections learned from observed stars: of simulated stars, whose truth is known, of MILES and of STELIB.

``python benchmarks/observed_training.py simulate`` distorts a model's flux by a smooth error that the
learning is not told, and says how much of it is found, what becomes of labels, and how often the stated
deviation covers what is missed. ``learning`` repeats that for numbers of stars, label errors and noise;
``stars LIBRARY`` learns from a library (``data/observed/miles.py`` and ``stelib.py`` make two) and asks
held-out stars, by star and by cluster of labels; ``purely LIBRARY`` sets beside them the paper's networks,
trained on the library alone, and interpolation in it; ``library LEARNED OTHER`` learns from one library and
asks the stars of another. ``--on`` names the model, ``--plot`` a figure.
"""

import argparse
import pickle
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

import starloom
from starloom import figures
from starloom.inference import fit_each
from starloom.networks import flux_correction
from starloom.networks.flux_correction import LABELS, FluxCorrection
from starloom.networks.generator import Generator
from starloom.networks.identity import digest
from starloom.observed import Learning, ObservedLibrary, learned
from starloom.observed.field import Field
from starloom.observed.learning import Learned
from starloom.observed.simulation import WIDEST, Distortion, Sky, drawn, simulated
from starloom.observed.validation import Recovered, by_cluster, by_star, crossed, recovered, residuals
from starloom.observed.validation import robust as robust_left
from starloom.paper.observed import NormalisedStars, ObservedRecipe
from starloom.paper.observed import crossed as crossed_networks

ERRORS = {"teff": 80.0, "logg": 0.15, "mh": 0.08, "vmic": 0.2, "vsini": 2.0}
SKY = Sky({"teff": (4200, 6800), "logg": (2.5, 5.0), "mh": (-1.2, 0.5)}, ERRORS)
ELSEWHERE = {  # where SKY has no stars
    "7500 to 9000 K": {"teff": (7500, 9000), "logg": (3.5, 4.5), "mh": (-0.5, 0.5)},
    "10 000 to 14 000 K": {"teff": (10000, 14000), "logg": (3.5, 4.5), "mh": (-0.5, 0.5)},
    "poorer by 0.2 dex": {"teff": (4500, 6500), "logg": (2.5, 5.0), "mh": (-1.5, -1.4)},
}
BINS = (3000, 4000, 4500, 5000, 5500, 6000, 6500, 7500, 10000, 15000)  # K
NEAREST, RIDGE = 50, 1e-2  # stars of an interpolation, and what keeps its slopes finite
KINDS = {  # of stars whose labels are compared: Teff and log g
    "FGK dwarfs": ((4500, 7000), (3.8, 5.5)),
    "FGK giants": ((4000, 5500), (0.5, 3.8)),
    "hot stars": ((7000, 15000), (2.5, 5.0)),
    "cool stars": ((3000, 4000), (-0.5, 5.5)),
}


def missed(generator: Generator, distortion: Distortion, correction: FluxCorrection, sky: Sky, seed: int):
    """Distortion, error of the correction and its deviation ``[star, pixel]`` at 60 stars of a sky.

    Without the polynomials of a star's continuum, which no correction has.
    """
    domain, truth = generator.domain, drawn(generator.domain, sky, 60, seed)
    low, high = correction.about["range_aa"]
    vacuum = np.linspace(low, high, 600)
    rest = np.repeat(vacuum[None], len(truth), axis=0)
    without = free_of_polynomials(vacuum, correction.about["continuum"])
    true = without(distortion(domain, truth, vacuum))
    error = without(correction.log_ratio(domain, truth, rest)) - true
    patterns = without(correction.log_patterns(domain, truth, rest))
    return true, error, np.sqrt((patterns**2).sum(axis=1))


def free_of_polynomials(vacuum_aa: np.ndarray, order: int):
    """A function that takes polynomials out of values ``[..., pixel]``."""
    basis, _ = np.linalg.qr(np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, vacuum_aa.size), order))
    return lambda values: values - (values @ basis) @ basis.T


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt((values**2).mean()))


def simulate(given: argparse.Namespace) -> None:
    """The simulated stars of docs/observed-training.md."""
    generator, shares = Generator.load(given.on), {name: [] for name in ("same sky", *ELSEWHERE)}
    for seed in range(1, given.seeds + 1):
        distortion = Distortion.drawn(generator, seed)
        library, _ = simulated(generator, SKY, given.stars, 100 + seed, distortion)
        start = time.perf_counter()
        found = learned(generator, library, Learning(), print if given.verbose else lambda text: None)
        print(f"seed {seed}: {given.stars} stars, {time.perf_counter() - start:.0f} s")
        for name, ranges in {"same sky": SKY.ranges, **ELSEWHERE}.items():
            other = Sky(ranges, ERRORS)
            true, error, deviation = missed(generator, distortion, found.correction, other, 500 + seed)
            shares[name].append(np.mean(np.abs(error) < deviation))
            sizes = f"distortion {rms(true):.2%}, missed {rms(error):.2%}, stated {rms(deviation):.2%}"
            print(f"  {name:<20} {sizes}, within the stated {shares[name][-1]:.0%}")
        _labels_of(generator, distortion, found.correction, 900 + seed)
        if seed == 1 and given.plot:
            draw_simulated(generator, distortion, found.correction, given.plot)
    for name, values in shares.items():
        share = np.mean(values)
        print(f"{name}: {share:.0%} within the stated deviation, {len(values)} skies (68 % are due)")


def _labels_of(generator: Generator, distortion: Distortion, correction: FluxCorrection, seed: int) -> None:
    """Print what the distortion does to fits of new stars at S/N 200, without and with the correction."""
    sky = Sky(SKY.ranges, ERRORS, snr=200.0)
    library, truth = simulated(generator, sky, 100, seed, distortion)
    spectra = [library.spectrum(star) for star in range(len(library))]
    for name, one in (("without", None), ("with", correction)):
        fits = list(fit_each(spectra, generator, correction=one, trust=False, typical_vmic=False, threads=1))
        told = []
        for label in LABELS:
            values = np.array([getattr(each, "labels", {}).get(label, np.nan) for each in fits])
            error = np.array([getattr(each, "errors", {}).get(label, np.nan) for each in fits])
            apart = values - truth[:, generator.domain.index(label)]
            within = np.nanmean(np.abs(apart) < error)
            told.append(f"{label} {np.nanmedian(apart):+.3g}, rms {robust(apart):.3g}, {within:.0%} within")
        print(f"  labels {name:<8} " + "; ".join(told))


def robust(values: np.ndarray) -> float:
    """Root mean square of a normal distribution of the same median absolute value."""
    return 1.4826 * float(np.nanmedian(np.abs(values)))


def learning_curve(given: argparse.Namespace) -> None:
    """What is missed by number of stars, label errors and S/N."""
    generator = Generator.load(given.on)
    middle = given.stars[len(given.stars) // 2]
    cases = [(stars, 1.0, 50.0) for stars in given.stars]
    cases += [(middle, size, 50.0) for size in given.sizes]
    cases += [(middle, 1.0, snr) for snr in given.snr]
    print("| stars | label errors x | S/N | missed | stated | within |\n|---|---|---|---|---|---|")
    for stars, size, snr in cases:
        found = []
        for seed in range(1, given.seeds + 1):
            distortion = Distortion.drawn(generator, seed)
            errors = {name: size * error for name, error in ERRORS.items()}
            library, _ = simulated(generator, Sky(SKY.ranges, errors, snr), stars, 100 + seed, distortion)
            learning = Learning(rounds=2, draws=12, scales=WIDEST, search=False)
            correction = learned(generator, library, learning).correction
            _, error, deviation = missed(generator, distortion, correction, SKY, 500 + seed)
            found.append((rms(error), rms(deviation), np.mean(np.abs(error) < deviation)))
        error, deviation, share = np.mean(found, axis=0)
        print(f"| {stars} | {size:g} | {snr:g} | {error:.2%} | {deviation:.2%} | {share:.0%} |", flush=True)


def stars(given: argparse.Namespace) -> None:
    """Held-out stars of a library."""
    generator, library = Generator.load(given.on), _read(given)
    if given.scales:
        kept, scales = usable(generator, library), dict(zip(LABELS, given.scales, strict=True))
    else:
        kept, scales = _whole(generator, library, given)
    learning = few_draws(scales, not given.no_response)
    kinds = {"star": by_star(kept, given.parts), "cluster": by_cluster(kept, learning, given.parts)}
    kinds = {name: parts[: given.asked] for name, parts in kinds.items() if given.by in (name, "both")}
    say = print if given.verbose else lambda text: None
    for name, parts in kinds.items():
        found = crossed(generator, kept, learning, parts, say, remembered(given.keep))
        tell(f"held out by {name}, {len(parts)} parts", found)
        if given.plot and name == "star":
            draw_stars(found, given.plot)


def _read(given: argparse.Namespace) -> ObservedLibrary:
    """The library, in a range of wavelengths where one is given."""
    library = ObservedLibrary.read(given.library)
    return library.between(*given.range) if given.range else library


def _whole(generator: Generator, library: ObservedLibrary, given: argparse.Namespace):
    """The stars of which all together could be learned, and the scales that they asked for."""
    start = time.perf_counter()
    whole = learned(generator, library, Learning(response=not given.no_response), print)
    took = time.perf_counter() - start
    print(f"{whole.correction.title}, {took:.0f} s; {len(whole.left_out)} stars left out")
    print(f"response of the library: {np.log(whole.response[1]).std():.2%} rms")
    if given.output:
        flux_correction.save(given.output, whole.correction, generator.domain, generator.header.band)
    return library.without(list(whole.left_out)), {a.name: a.scale for a in whole.correction.axes}


def usable(generator: Generator, library: ObservedLibrary) -> ObservedLibrary:
    """The stars of a library that a model can learn from."""
    return library.without(list(Field.of(generator, library, Learning().continuum_aa).left_out))


def few_draws(scales: dict[str, float], response: bool) -> Learning:
    """What is learned for held-out stars, of whom what stays uncertain is not asked.

    Few draws then, of which the prior's variances follow.
    """
    return Learning(scales=scales, search=False, rounds=2, draws=4, response=response, seed=2)


def remembered(folder: str):
    """``learned``, whose results are kept in a folder, if one is given, and not sought twice."""

    def learn(generator: Generator, library: ObservedLibrary, learning: Learning, told) -> Learned:
        settings = {**vars(learning), "scales": dict(learning.scales)}
        path = Path(folder) / f"{digest([generator.digest, library.digest, settings])}.pickle"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(learned(generator, library, learning, told)))
        return pickle.loads(path.read_bytes())

    return learn if folder else learned


def purely(given: argparse.Namespace) -> None:
    """Held-out stars by what knows them in four ways, at labels as the library has them."""
    generator, library = Generator.load(given.on), _read(given)
    kept, recipe = usable(generator, library), ObservedRecipe.load(given.recipe, given.set)
    learning = few_draws(dict(zip(LABELS, given.scales, strict=True)), not given.no_response)
    say = print if given.verbose else lambda text: None
    stars = NormalisedStars.of(kept, recipe.stars, recipe.near)
    number = {name: row for row, name in enumerate(stars.names)}
    parts = by_star(kept, given.parts)[: given.asked]
    own = [np.array([number[kept.names[row]] for row in p if kept.names[row] in number]) for p in parts]
    network = crossed_networks(recipe, stars, own, say, estimators=False).generated
    near, far = _interpolated(stars, own)
    physics = np.full((3, len(stars)), np.nan)
    for part, rows in zip(parts, own, strict=True):
        rest = kept.part(np.setdiff1d(np.arange(len(kept)), part))
        taught = remembered(given.keep)(generator, rest, learning, say)
        asked = kept.without(sorted(set(kept.names) - {stars.names[row] for row in rows}))
        asked = asked.between(*taught.response[0, [0, -1]])
        plain = Field.of(generator, asked, learning.continuum_aa)
        field = plain.divided(taught.response[1])
        ways = ((plain, None), (field, None), (field, taught.correction))
        at = [number[name] for name in field.library.names]
        physics[:, at] = [residuals(seen, one, seen.start) for seen, one in ways]
    low, high = taught.response[0, [0, -1]]  # what the model knows of it
    order = round((high - low) / learning.continuum_aa)
    left = [_with_polynomial(stars, made, low, high, order) for made in (near, network)]
    _tell_purely(stars, np.array([*left, *physics]), far)


def _interpolated(stars: NormalisedStars, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Each part's spectra by lines through the near stars of the others, and which are far from them.

    Locally weighted regression, linear in ln Teff, log g and [M/H], of the NEAREST stars with tricube
    weights: Cleveland & Devlin (1988), JASA 83, 596.
    """
    cloud, made = stars.domain.cloud, np.full_like(stars.spectra, np.nan)
    place = stars.labels.copy()
    place[:, 0] = np.log(place[:, 0])
    place /= [scale for _, scale in cloud.scales]
    far = np.zeros(len(stars), bool)
    for part in parts:
        rest = np.setdiff1d(np.arange(len(stars)), part)
        for row in part:
            apart = np.linalg.norm(place[rest] - place[row], axis=1)
            order = np.argsort(apart)[:NEAREST]
            far[row] = apart[order[cloud.count - 1]] > 1
            reach, some = apart[order[-1]], rest[order]
            weight = (1 - (apart[order] / reach) ** 3) ** 3
            lines = np.concatenate([np.ones((NEAREST, 1)), (place[some] - place[row]) / reach], axis=1)
            matrix = (lines.T * weight) @ lines + np.diag([0, *[RIDGE * weight.sum()] * 3])
            made[row] = np.linalg.solve(matrix, (lines.T * weight) @ stars.spectra[some])[0]
    return made, far


def _with_polynomial(stars: NormalisedStars, made: np.ndarray, low: float, high: float, order: int):
    """Residuals of spectra, each times its best polynomial, as those of the physics are taken."""
    inside = (stars.points.vacuum_aa >= low) & (stars.points.vacuum_aa <= high)
    basis = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, inside.sum()), order)
    found = np.full(len(stars), np.nan)
    for row in np.flatnonzero(np.isfinite(made).all(axis=1)):
        flux, own, used = stars.spectra[row], made[row], ~stars.missing[row, inside]
        columns, seen = (basis * own[inside, None])[used], flux[inside][used]
        best = np.linalg.lstsq(columns, seen, rcond=None)[0]
        found[row] = robust_left(1 - columns @ best / seen)
    return found


def _tell_purely(stars: NormalisedStars, left: np.ndarray, far: np.ndarray) -> None:
    """Print median residuals by Teff: interpolation, network, physics plain, without response, corrected."""
    teff = stars.labels[:, LABELS.index("teff")]
    print("| Teff [K] | stars | near stars | network | physics | without response | corrected |")
    print("|---|---|---|---|---|---|---|")
    bins = [(f"{low}-{high}", (teff >= low) & (teff < high)) for low, high in pairwise(BINS)]
    for name, rows in (*bins, ("all", teff > 0), ("far from others", far)):
        rows = rows & np.isfinite(left).all(axis=0)
        if rows.sum() >= 3:
            told = " | ".join(f"{100 * value:.2f}" for value in np.median(left[:, rows], axis=1))
            print(f"| {name} | {rows.sum()} | {told} |")


def other_library(given: argparse.Namespace) -> None:
    """The stars of one library with what another one teaches."""
    generator = Generator.load(given.on)
    first, other = (ObservedLibrary.read(path) for path in (given.library, given.other))
    common = set(first.names) & set(other.names) | _designations(first) & set(other.names)
    if given.apart:
        other = other.without(sorted(common))
    correction = learned(generator, first, Learning(response=True), print).correction
    low, high = first.vacuum_aa[[0, -1]]
    found = recovered(generator, correction, other.between(low, high))
    tell(f"{other.name} by {first.name}, {len(common)} stars in both", found)


def _designations(library: ObservedLibrary) -> set[str]:
    return {name.split(" / ")[0] for name in library.names}


def tell(title: str, found: Recovered) -> None:
    """Print residuals by Teff, and labels by kind of star."""
    print(f"\n{title}: residual of a star (median), without and with the correction")
    for low, high in pairwise(BINS):
        rows = (found.library[:, 0] >= low) & (found.library[:, 0] < high)
        if rows.sum() >= 3:
            before, after = np.median(found.residual[:, rows], axis=1)
            told = f"{before:.2%}  {after:.2%}  {after / before:.2f}"
            print(f"  {low:>6} to {high:<6} K {rows.sum():>4} stars  {told}")
    for kind, (teff, logg) in KINDS.items():
        rows = _between(found.library[:, 0], teff) & _between(found.library[:, 1], logg)
        if rows.sum() < 3:
            continue
        told = []
        for place, label in enumerate(LABELS):
            for values in (found.before, found.after):
                apart = (values - found.library)[rows, place]
                middle = np.nanmedian(apart)
                told.append(f"{label} {middle:+.3g} +- {robust(apart - middle):.3g}")
        print(f"  {kind} ({rows.sum()}): " + ", ".join(told))


def _between(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return (values >= ends[0]) & (values < ends[1])


def draw_simulated(
    generator: Generator, distortion: Distortion, correction: FluxCorrection, path: str
) -> None:
    """Hidden and found distortion of three stars, one of them far from all that were learned from."""
    plot = figures.pyplot()
    figure, axes = plot.subplots(3, 1, figsize=(10, 7), sharex=True, layout="constrained")
    vacuum = np.linspace(*correction.about["range_aa"], 800)
    without = free_of_polynomials(vacuum, correction.about["continuum"])
    for axis, (teff, logg) in zip(axes, ((5777, 4.4), (4600, 2.7), (8200, 4.0)), strict=True):
        star = generator.domain.array(teff=teff, logg=logg, mh=0.0, vmic=1.0, vsini=3.0, resolution=5000.0)[
            None
        ]
        mean, patterns = (
            without(one)
            for one in (
                correction.log_ratio(generator.domain, star, vacuum[None])[0],
                correction.log_patterns(generator.domain, star, vacuum[None])[0],
            )
        )
        deviation = np.sqrt((patterns**2).sum(axis=0))
        axis.fill_between(vacuum, 100 * (mean - deviation), 100 * (mean + deviation), alpha=0.3, lw=0)
        axis.plot(vacuum, 100 * mean, label="correction")
        true = without(distortion(generator.domain, star, vacuum)[0])
        axis.plot(vacuum, 100 * true, "k", lw=0.8, label="hidden")
        axis.set_title(f"Teff = {teff} K, log g = {logg}", fontsize=9)
        axis.set_ylabel("%")
    axes[0].legend(fontsize=8)
    axes[-1].set_xlabel("vacuum wavelength [Å]")
    figures.save(figure, path)


def draw_stars(found: Recovered, path: str) -> None:
    """Residuals by Teff, and labels of held-out stars, without and with the correction."""
    plot = figures.pyplot()
    figure, axes = plot.subplots(2, 2, figsize=(10, 8), layout="constrained")
    teff = found.library[:, 0]
    for values, name in zip(found.residual, ("without", "with"), strict=True):
        axes[0, 0].loglog(teff, 100 * values, ".", ms=3, label=name)
    axes[0, 0].set(xlabel="Teff [K]", ylabel="residual [%]")
    axes[0, 0].legend(fontsize=8)
    rest = zip(axes.flat[1:], LABELS, (500.0, 1.5, 1.0), strict=True)
    for place, (axis, label, limit) in enumerate(rest):
        for values in (found.before, found.after):
            axis.semilogx(teff, (values - found.library)[:, place], ".", ms=3)
        axis.axhline(0, color="k", lw=0.5)
        axis.set(xlabel="Teff [K]", ylabel=f"{label}, found minus library", ylim=(-limit, limit))
    figures.save(figure, path)


def main(words: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", default="default-2026-lte", help="model")
    parser.add_argument("--plot", default="", help="figure to draw")
    parser.add_argument("--verbose", action="store_true")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("simulate")
    one.add_argument("--stars", type=int, default=300)
    one.add_argument("--seeds", type=int, default=1)
    one.set_defaults(run=simulate)
    one = commands.add_parser("learning")
    one.add_argument("--stars", type=int, nargs="*", default=[30, 100, 300, 1000])
    one.add_argument("--sizes", type=float, nargs="*", default=[0.25, 0.5, 2.0, 4.0], help="of label errors")
    one.add_argument("--snr", type=float, nargs="*", default=[10.0, 20.0, 100.0, 200.0])
    one.add_argument("--seeds", type=int, default=1)
    one.set_defaults(run=learning_curve)
    one = commands.add_parser("stars")
    one.add_argument("library")
    one.add_argument("--parts", type=int, default=5)
    one.add_argument(
        "--by", choices=["star", "cluster", "both"], default="both", help="how stars are held out"
    )
    one.add_argument("--no-response", action="store_true", help="take calibration errors for the model's")
    one.add_argument("--output", "-o", default="", help="correction to write")
    one.add_argument(
        "--scales", type=float, nargs=3, help="of ln Teff, log g and [M/H], not sought of all stars first"
    )
    one.add_argument("--keep", default="", help="folder for what is learned, to be used again")
    one.add_argument("--range", type=float, nargs=2, help="vacuum wavelengths [A], both ends")
    one.add_argument("--asked", type=int, help="so many of the parts alone")
    one.set_defaults(run=stars)
    one = commands.add_parser("purely")
    one.add_argument("library")
    one.add_argument("--parts", type=int, default=5)
    one.add_argument("--scales", type=float, nargs=3, default=[0.25, 1.5, 1.0], help="as of stars")
    one.add_argument("--keep", default="", help="as of stars")
    one.add_argument("--range", type=float, nargs=2, help="as of stars")
    one.add_argument("--asked", type=int, help="as of stars")
    one.add_argument("--no-response", action="store_true", help="as of stars")
    one.add_argument("--recipe", default="observed", help="of the networks")
    one.add_argument("--set", action="append", default=[], help="change of the recipe")
    one.set_defaults(run=purely)
    one = commands.add_parser("library")
    one.add_argument("library")
    one.add_argument("other")
    one.add_argument("--apart", action="store_true", help="without stars that are in both")
    one.set_defaults(run=other_library)
    given = parser.parse_args(words)
    if getattr(given, "scales", None) and getattr(given, "output", ""):
        parser.error("--scales learns from parts of the stars: there is no correction for --output")
    print(f"starloom {starloom.__version__}, model {given.on}: {' '.join(sys.argv[1:])}")
    given.run(given)


if __name__ == "__main__":
    main()
