"""Labels and velocities of stars with several noisy spectra: fitted together, stacked, and one by one.

    python benchmarks/epochs.py [--stars 20] [--epochs 20] [--model default] [--together]

Five kinds of stars, generated, with velocities of +-30 km/s, tilted continua and S/N of 5 to 20 in each
epoch. Errors are in units of the bounds that the noise of all epochs allows. ``stack``: the spectra at the
velocities of their own fits, continua divided out, interpolated and averaged, twice. ``mean``: of single
fits, weighted by their errors. Scatter is that of 68 %.
"""

import argparse

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference import EpochsResult, FitResult, fit, fit_each, fit_epochs
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

GAIA_AA = 8460 + 0.1 * np.arange(2401)  # vacuum
RESOLUTION, LOWEST, HIGHEST = 11500.0, 5.0, 20.0
STARS = {
    "Sun": (5777, 4.44, 5, 0.0, 1.0),
    "K dwarf": (4500, 4.6, 5, -0.2, 1.0),
    "K giant": (4750, 2.5, 5, -0.3, 1.5),
    "F dwarf": (6800, 4.3, 37, 0.0, 1.6),
    "A dwarf": (9000, 4.2, 100, 0.0, 2.0),
}
NAMES = ("teff", "logg", "vsini", "mh", "vmic")
EXACT = {"physics_error": False, "typical_vmic": False, "velocities": (-300.0, 300.0)}


def observed(generator: Generator, labels: np.ndarray, rng, epochs: int) -> tuple[list[Spectrum], np.ndarray]:
    """Spectra of a star, and their true velocities."""
    snr, velocities = rng.uniform(LOWEST, HIGHEST, epochs), rng.normal(0, 30, epochs)
    rows = np.repeat(labels[None], epochs, axis=0)
    options = {"wavelength_aa": GAIA_AA, "medium": "vacuum", "radial_velocity": velocities}
    spectra, about = (
        [],
        {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}},
    )
    for each, ratio in zip(generator.flux(rows, **options), snr, strict=True):
        level = 1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, GAIA_AA.size)
        data = level * (each + rng.normal(size=GAIA_AA.size) / ratio)
        spectra.append(Spectrum(GAIA_AA, data, error=level / ratio, **about))
    return spectra, velocities


def stacked(spectra: list[Spectrum], velocities: np.ndarray) -> Spectrum:
    """The mean of the spectra at rest."""
    total, weights = np.zeros(GAIA_AA.size), np.zeros(GAIA_AA.size)
    for spectrum, velocity in zip(spectra, velocities, strict=True):
        rest = GAIA_AA * np.exp(-velocity / SPEED_OF_LIGHT_KMS)
        level = np.polyval(np.polyfit(GAIA_AA - 8580, spectrum.flux, 1), GAIA_AA - 8580)
        flux, error = (
            np.interp(GAIA_AA, rest, each / level, left=np.nan, right=np.nan)
            for each in (spectrum.flux, spectrum.error)
        )
        there = np.isfinite(flux)
        total[there] += flux[there] / error[there] ** 2
        weights[there] += 1 / error[there] ** 2
    there = weights > 0
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": RESOLUTION}}
    error = 1 / np.sqrt(weights[there])
    return Spectrum(GAIA_AA[there], total[there] / weights[there], error=error, **about)


def stack_then_fit(generator: Generator, spectra: list[Spectrum], singles: list[FitResult]) -> FitResult:
    """Twice, the second time with velocities from the labels of the first."""
    found = fit(stacked(spectra, np.array([each.velocity for each in singles])), generator, **EXACT)
    held = {name: value for name, value in found.labels.items() if name != "resolution"}
    again = list(fit_each(spectra, generator, fixed=held, threads=1, **EXACT))
    return fit(stacked(spectra, np.array([each.velocity for each in again])), generator, **EXACT)


def mean(singles: list[FitResult], index: int) -> float:
    """Of single fits, weighted by their errors."""
    values = np.array([each.values[index] for each in singles])
    weights = 1 / np.array([max(each.covariance[index, index], 1e-12) for each in singles])
    return float((weights * values).sum() / weights.sum())


def compare(generator: Generator, name: str, options) -> None:
    """Print the rows of one kind of star."""
    given = dict(zip(NAMES, STARS[name], strict=True)) | {"resolution": RESOLUTION, "alpha": 0.0}
    domain = generator.domain
    labels = domain.array(**{key: value for key, value in given.items() if key in domain.names})
    off: dict[str, list] = {"together": [], "stack": [], "mean": []}
    moved: dict[str, list] = {"together": [], "one by one": []}
    covered, names = [], ()
    for number in range(options.stars):
        rng = np.random.default_rng([75, number])
        spectra, velocities = observed(generator, labels, rng, options.epochs)
        joint: EpochsResult = fit_epochs(spectra, generator, **EXACT)
        names = [each for each in (*NAMES, "alpha") if each in joint.free]
        places = [domain.index(each) for each in names]
        own = [joint.parameters.index(each) for each in names]
        truth, bound = labels[places], joint.bounds[own]
        off["together"].append((joint.values[own] - truth) / bound)
        covered.append(np.abs(joint.values[own] - truth) <= [joint.errors[each] for each in names])
        moved["together"].append((joint.velocities - velocities) / joint.velocity_bounds)
        if options.together:
            continue
        singles = list(fit_each(spectra, generator, threads=1, **EXACT))
        stack = stack_then_fit(generator, spectra, singles)
        off["stack"].append((stack.values[own] - truth) / bound)
        off["mean"].append((np.array([mean(singles, index) for index in own]) - truth) / bound)
        one = np.array([each.velocity for each in singles])
        moved["one by one"].append((one - velocities) / joint.velocity_bounds)
    for kind, rows in off.items():
        if not rows:
            continue
        bias, scatter = np.mean(rows, axis=0), np.quantile(np.abs(rows), 0.6827, axis=0)
        cells = [f"{b:+.2f} ({s:.2f})" for b, s in zip(bias, scatter, strict=True)]
        print(f"| {name}, {kind} | {' | '.join(cells)} |", flush=True)
    within = " ".join(
        f"{each} {share:.0%}" for each, share in zip(names, np.mean(covered, axis=0), strict=True)
    )
    done = {kind: np.abs(rows) for kind, rows in moved.items() if rows}
    shown = [f"{kind} {np.quantile(sizes, 0.6827):.2f}" for kind, sizes in done.items()]
    wild = [f"{kind} {np.mean(sizes > 10):.1%}" for kind, sizes in done.items()]
    print(
        f"  within one error: {within}; velocities: {', '.join(shown)}; beyond 10: {', '.join(wild)}",
        flush=True,
    )


def main() -> None:
    """Compare, for each kind of star."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--model", default="default")
    parser.add_argument("--together", action="store_true", help="neither stacks nor single fits")
    options = parser.parse_args()
    generator = Generator.load(options.model)
    print(f"bias (scatter) over bound of {options.epochs} epochs: {', '.join(NAMES)}, alpha")
    for name in STARS:
        compare(generator, name, options)


if __name__ == "__main__":
    main()
