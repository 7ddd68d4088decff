"""The Sun and stars with lines as listed and as calibrated; the tables of docs/validation.md.

``python benchmarks/calibrated_lines.py OUTPUT`` prints Markdown tables and writes figures into the folder
OUTPUT. It needs the folder ``shared`` beside the repository and the solar atlas' package (data/atomic_lines).
``--anew`` also repeats the calibration on the Sun alone, without each star, and without a fifth of the lines:
half an hour.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data" / "atomic_lines"))

from calibrate import FOLDER, NO_LINE, Calibration, Search, seen_with, slotted
from calibrators import GAIA_CORRELATION, HIDDEN_AA, RESOLUTION, Star, Sun, read_spectrum, read_stars
from groups import joined
from printing import rms, row, table

from starloom import bands, figures
from starloom.broadening import broaden
from starloom.physics.linelist import LineList
from starloom.synthesis.band import band_lines

RVS = bands.load("rvs")
SPECTRA = Path(__file__).resolve().parents[2] / "shared" / "observed"
VERIFIED = {"active star": "gaia_rvs_active_3174658066485297152.csv"}  # in no calibration
VISIBLE = 0.03  # strength of lines that the Sun shows at R = 70000
PRIORS = {"teff": 300.0, "logg": 0.3, "mh": 0.3, "vmic": 0.25}  # sigma of labels that are refitted


def filled(lines: LineList, listed: LineList) -> LineList:
    """A list with as many lines as ``listed`` has when its places for unidentified ones are filled up."""
    size = len(slotted(listed).charge)
    rest = LineList(*(np.asarray(column)[-1:].repeat(size - len(lines.charge)) for column in lines))
    return joined(lines, rest._replace(log_gf=np.full(len(rest.charge), NO_LINE)))


def stars(untouched_aa: np.ndarray) -> list[Star]:
    """The calibrating stars and one that never is, labels all but free."""
    found = read_stars(FOLDER / "calibrators.toml", SPECTRA, RVS, untouched_aa)
    loose = [{name: (value, PRIORS[name]) for name, (value, _) in star.labels.items()} for star in found]
    found = [replace(star, labels=labels) for star, labels in zip(found, loose, strict=True)]
    for name, file in VERIFIED.items():
        vacuum, flux, error = read_spectrum(SPECTRA / file)
        labels = dict(zip(PRIORS, zip((5300.0, 4.5, 0.0, 1.0), PRIORS.values(), strict=True), strict=True))
        spectrum = {"vacuum_aa": vacuum, "flux": flux, "error": GAIA_CORRELATION * error}
        found.append(Star(RVS, untouched_aa, name, **spectrum, labels=labels, resolution=(12_400.0, 500.0)))
    return found


def compare_sun(sun: Sun, lists: dict[str, LineList]) -> dict[str, np.ndarray]:
    """The Sun's residuals at R = 70000 and 11500 by list; printed outside Ca II +-6 A."""
    table("The Sun, mu = 1, outside Ca II +-6 A", "lines", "R = 70000", "R = 11500", "R = 11500, one scale")
    kept, free = {}, sun.weight >= sun.weight.max()
    for name, lines in lists.items():
        unknowns, _, residual = seen_with(sun, lines)
        kept[name] = np.where(free, seen_at(sun, residual), np.nan)
        plain = unknowns.copy()
        plain[-len(sun.series) :] = 0.0
        model = seen_at(sun, sun.seen(plain, sun.solved(plain, lines).normalized(lines)))
        wanted = seen_at(sun, sun.observed(unknowns))
        scale = (model[free] @ wanted[free]) / (wanted[free] @ wanted[free])
        row(name, *(f"{rms(part[free]):.4f}" for part in (residual, kept[name], model - scale * wanted)))
    return kept


def seen_at(sun: Sun, spectrum: np.ndarray) -> np.ndarray:
    """A spectrum of R = 70000 at 11500."""
    return broaden(
        spectrum, sun.grid.step_kms, resolution=11_500.0, native_resolution=RESOLUTION, reach_kms=200.0
    )


def compare_star(star: Star, lists: dict[str, LineList]) -> np.ndarray:
    """A star's residuals by list, labels refitted, without and with the continuum's prior; the last stay."""
    kept, use, noise = [], star.weight > 0, star.error / GAIA_CORRELATION
    for name, lines in lists.items():
        for each, continuum in ((replace(star, continuum=0.0), "line"), (star, "prior")):
            unknowns, _, residual = seen_with(each, lines)
            pairs = zip(unknowns, (0, 2, 2, 2), strict=False)
            labels = "/".join(f"{value:.{digits}f}" for value, digits in pairs)
            sizes = f"{rms(residual[use]):.4f}", f"{rms(noise[use]):.4f}"
            row(star.name, name, continuum, labels, *sizes)
        kept.append(np.where(use, residual, np.nan))
    return np.array(kept)


def correlate(places: dict[str, np.ndarray], residuals: dict[str, np.ndarray], names) -> None:
    """Correlation of the residuals of two stars, list by list, on the pixels of the first."""
    table("Correlation of residuals between stars", "stars", *names)
    every = list(residuals)
    for number, one in enumerate(every):
        for other in every[number + 1 :]:
            found = []
            for ours, theirs in zip(residuals[one], residuals[other], strict=True):
                there = np.interp(places[one], places[other], theirs, np.nan, np.nan)
                both = np.isfinite(ours) & np.isfinite(there)
                found.append(f"{np.corrcoef(ours[both], there[both])[0, 1]:+.2f}")
            row(f"{one}, {other}", *found)


def hold_out(search: Search, full: LineList) -> None:
    """What a random fifth of the lines gains from a calibration of the rest; ``full`` is that of all."""
    every, sun = search.groups(), search.calibrators[0]
    random = np.random.default_rng([19, 5])
    chosen = random.permutation(every.count)[: every.count // 5]
    fifth = np.isin(every.of_line, chosen)
    hidden = replace(sun, hidden_aa=every.place_aa[chosen])
    rest = replace(search, calibrators=(hidden,))
    state, _ = rest.on_the_sun(frozenset(np.flatnonzero(fifth).tolist()))
    change = np.zeros(every.count)
    for ion in set(zip(every.lines.element.tolist(), every.lines.charge.tolist(), strict=True)):
        change[_of(every, ion)] = _mean(state, ion)
    mean = state.shipped.log_gf + np.where(fifth, change[every.of_line], 0.0)
    lists = {"listed": slotted(search.listed), "the rest calibrated": state.shipped}
    lists |= {"and the mean change of the ion": state.shipped._replace(log_gf=mean), "all calibrated": full}
    strong = every.place_aa[chosen][every.strength[chosen] > VISIBLE]
    near = np.abs(sun.wavelength_aa[:, None] - strong).min(axis=1) < HIDDEN_AA
    near &= sun.weight >= sun.weight.max()
    table(f"{len(strong)} visible lines of a fifth left out, the Sun within 0.4 A", "lines", "rms, R = 70000")
    for name, lines in lists.items():
        row(name, f"{rms(seen_with(sun, lines)[2][near]):.4f}")


def _of(groups, ion) -> np.ndarray:
    first = np.array([np.flatnonzero(groups.of_line == number)[0] for number in range(groups.count)])
    return (groups.lines.element[first] == ion[0]) & (groups.lines.charge[first] == ion[1])


def _mean(state: Calibration, ion) -> float:
    """Mean change of log gf of an ion's lines, by the inverse variance of change and prior."""
    own = _of(state.groups, ion) & ~state.groups.unidentified & (state.groups.sigma[0] > 0)
    if not own.any():
        return 0.0
    weight = 1 / (state.error[0, own] ** 2 + 0.15**2)
    return float((weight @ state.change[0, own]) / weight.sum())


def leave_out(search: Search) -> dict[str, LineList]:
    """The lines calibrated on the Sun alone, on all calibrators, and without each star."""
    state, refused = search.on_the_sun()
    found = {"Sun alone": state.shipped, "all": search.joint(state, refused)[0].shipped}
    for star in search.calibrators[1:]:
        rest = tuple(each for each in search.calibrators if each is not star)
        found[f"without {star.name}"] = replace(search, calibrators=rest).joint(state, refused)[0].shipped
    return found


def draw(sun: Sun, kept: dict, observed: list[Star], residuals: dict, output: Path) -> None:
    """Residuals at R = 11500 of the Sun and the stars, as listed and as calibrated."""
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(1 + len(observed), 1, figsize=(15, 3 * (1 + len(observed))), sharex=True)
    each = [(sun.name, sun.wavelength_aa, list(kept.values()))]
    each += [(star.name, star.wavelength_aa, list(residuals[star.name])) for star in observed]
    for panel, (name, place, values) in zip(panels, each, strict=True):
        for one, label, colour in zip(values, kept, ("C1", "C0"), strict=False):
            panel.plot(place, one, colour, lw=0.7, label=label)
        panel.set(ylim=(-0.05, 0.05), xlim=(8392, 8812), ylabel=name)
        panel.axhline(0, color="k", lw=0.3)
    panels[0].legend(ncols=2)
    panels[-1].set_xlabel("wavelength in vacuum [Å]; observed less synthesised")
    figure.tight_layout()
    figure.savefig(output / "calibrated_lines.png", dpi=65)
    pyplot.close(figure)


def main() -> None:
    """Print every table and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for the figure")
    parser.add_argument("--anew", action="store_true", help="calibrate again, with parts left out")
    given = parser.parse_args()
    if not SPECTRA.exists():
        print("no folder 'shared' beside the repository: nothing to compare with")
        return
    given.output.mkdir(parents=True, exist_ok=True)
    search = Search.of(RVS, FOLDER / "calibrators.toml", SPECTRA)
    packaged = {name: band_lines(bands.load("rvs", name)) for name in bands.LINES}
    lists = {name: filled(lines, search.listed) for name, lines in packaged.items()}
    if given.anew:
        lists |= leave_out(search)
    sun = search.calibrators[0]
    kept = compare_sun(sun, lists)
    observed = stars(sun.untouched_aa)
    table("Stars, labels refitted, outside Ca II +-3 A", *COLUMNS)
    residuals = {star.name: compare_star(star, lists) for star in observed}
    at_pixels = {sun.name: list(kept.values()), **residuals}
    correlate({each.name: each.wavelength_aa for each in (sun, *observed)}, at_pixels, lists)
    draw(sun, kept, observed, residuals, given.output)
    if given.anew:
        hold_out(search, lists["Sun alone"])


COLUMNS = ("star", "lines", "continuum", "Teff/log g/[M/H]/vmic", "rms", "noise")

if __name__ == "__main__":
    main()
