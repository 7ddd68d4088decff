"""Spectra of starloom beside those of other codes and of real stars; the tables of docs/validation.md.

``python benchmarks/compare_references.py OUTPUT`` prints Markdown tables and writes figures into the folder
OUTPUT.  It needs the extra ``benchmarks`` (pandas and pyarrow), the folder ``shared`` beside the repository,
and the internet once, for ionisation energies.
"""

import argparse
import itertools
import math
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from unittest import mock

import atmosphere_errors
import jax
import jax.numpy as jnp
import numpy as np
import references
from printing import table
from references import AIR_GRID_AA, Reference, seen, seen_elsewhere
from scipy.optimize import least_squares

from starloom import bands, figures, tables
from starloom.atmosphere import Atmosphere, interpolate
from starloom.constants import KMS, SPEED_OF_LIGHT_KMS
from starloom.labels import TABLE_1
from starloom.physics import continuum
from starloom.physics.abundances import Mixture
from starloom.physics.continuum import h_minus_bound_free
from starloom.physics.hydrogen import PASCHEN
from starloom.physics.linelist import LineList
from starloom.physics.molecules import MolecularTable
from starloom.physics.species import ion_name
from starloom.physics.transfer import flux_quadrature
from starloom.synthesis import line_strengths, photosphere, radiation, synthesize, synthesize_labels
from starloom.synthesis.band import band_lines, band_molecules
from starloom.synthesis.gas import gas
from starloom.wavelength import air_from_vacuum

RVS = bands.load("rvs", bands.LISTED)  # other codes have these lines too
PAPER_GRID_AA = RVS.points.wavelength_aa
COOL = 7000.0  # K; the targets differ above
TARGETS = {"cool": (0.0015, 0.010), "hot": (0.003, 0.015)}  # mean and largest difference of normalised flux
CONTINUUM_TARGET, SLOPE_TARGET = 0.01, 0.005
EXPLAINED = 0.006  # larger features are explained
SEPARATION_AA = 3.0  # between features
CALCIUM_AA = (8498.02, 8542.09, 8662.14)
MODELS = ("t3800g50", "sun5777", "t8000g40", "t10000g40", "t14000g40")
GRAVITATIONAL_REDSHIFT = 0.636  # km/s, of the Sun


@dataclass(frozen=True)
class Conventions:
    """SYNSPEC's choices, each of which can be put in the place of ours."""

    waals: bool = field(default=False, metadata={"text": "van der Waals as T^0.45"})
    hidden_hydrogen: bool = field(default=False, metadata={"text": "H in H2 perturbs too"})
    tapered: bool = field(default=False, metadata={"text": "Gaunt factor 1 of dissolved levels"})
    linear_stark: bool = field(default=False, metadata={"text": "linear Stark tables"})
    wishart: bool = field(default=False, metadata={"text": "H- of Wishart (+2.3 %)"})
    iron_hydride: bool = field(default=False, metadata={"text": "FeH of Tsuji (-0.08 dex)"})


def names_of(conventions: type) -> dict[str, str]:
    """What each of SYNSPEC's choices is, in words."""
    return {item.name: item.metadata["text"] for item in fields(conventions)}


def switched(
    reference: Reference, lines: LineList, molecules: MolecularTable, conventions: Conventions
) -> np.ndarray:
    """Normalised flux at R = 11500 of a reference's structure with some of SYNSPEC's choices."""
    if conventions.iron_hydride:
        scale = np.where(np.array(molecules.names) == "FeH", 10**-0.076, 1.0).astype(np.float32)
        molecules = replace(molecules, cross_section=molecules.cross_section * scale[:, None, None])
    if conventions.waals:
        lines = lines._replace(waals_exponent=np.full(len(lines.charge), 0.45))
    known = reference.atmosphere
    solved = photosphere(known, mh=reference.mh, vmic=reference.vmic, lines=lines, molecules=molecules)
    (chunk,), (windows,) = solved.arrays.chunks, solved.windows
    with jax.enable_x64(True):
        columns = (known.log_tau, known.column_mass, known.temperature, known.gas_pressure)
        star = Atmosphere(*(jnp.asarray(column, jnp.float64) for column in columns))
        vmic = jnp.asarray(reference.vmic * KMS, jnp.float64)
        abundance = Mixture(reference.mh).abundance
        matter = gas(star, abundance, vmic, lines, solved.arrays.nodes, conventions.tapered)
        if conventions.wishart:
            more = 0.023 * h_minus_bound_free(chunk.nodes, star.temperature, matter.state)
            (nodes,) = matter.continua
            matter = matter._replace(continua=(nodes._replace(absorption=nodes.absorption + more),))
        if conventions.hidden_hydrogen:
            matter = matter._replace(profile=with_hidden_hydrogen(matter, star.temperature, lines))
        angles, weights = flux_quadrature()
        line, continuum = radiation.radiate(
            star, vmic, matter, chunk, windows, angles, conventions.linear_stark
        )
        return seen((weights @ np.asarray(line, float)) / (weights @ np.asarray(continuum, float)))


def with_hidden_hydrogen(matter, temperature, lines: LineList):
    """Line profiles whose van der Waals widths count the two atoms of each H2 as well."""
    exponent = lines.waals_exponent * np.log10(np.asarray(temperature) / 1e4)[:, None]
    widths = 2 * matter.state.molecule("H2")[:, None] * 10.0 ** (lines.log_gamma_waals + exponent)
    profile = matter.profile
    more = widths * lines.wavelength / (4 * math.pi * profile.doppler)
    return profile._replace(damping=profile.damping + more.astype(jnp.float32))


@dataclass(frozen=True, eq=False)
class Namer:
    """Names what makes a feature of the spectrum of one star."""

    lines: LineList
    strength: np.ndarray
    teff: float

    def strongest(self, place_aa: float, within_aa: float = 0.35) -> tuple[float, int]:
        """Strength, weighted by nearness, and index of the line that counts most at an air wavelength."""
        distance = air_from_vacuum(np.asarray(self.lines.wavelength) * 1e8) - place_aa
        weight = np.minimum(self.strength, 30) * np.exp(-0.5 * (distance / within_aa) ** 2)
        return float(weight.max()), int(weight.argmax())

    def __call__(self, place_aa: float) -> str:
        weight, index = self.strongest(place_aa)
        line = air_from_vacuum(self.lines.wavelength[index] * 1e8)
        ion = ion_name(self.lines.element[index] + 1, self.lines.charge[index])
        if weight > 0.05:
            return f"{ion} {line:.2f}"
        calcium = CALCIUM_AA[int(np.argmin(np.abs(np.array(CALCIUM_AA) - place_aa)))]
        if self.teff < 7500 and abs(place_aa - calcium) < 12:
            return f"wing of Ca II {calcium:.0f}"
        paschen = air_from_vacuum(PASCHEN.wavelength * 1e8)
        nearest = int(np.argmin(np.abs(paschen - place_aa)))
        if self.teff > 6500:
            return f"Pa {PASCHEN.upper[nearest]} {place_aa - paschen[nearest]:+.1f} A"
        return f"near {ion} {line:.2f}" if weight > 0.005 else "no line in the list"


def worst_features(difference: np.ndarray, count: int, allowed=None, separation=SEPARATION_AA) -> list[int]:
    """Pixels of the paper's grid where the difference is largest, ``separation`` [A] apart."""
    size = np.abs(difference) if allowed is None else np.where(allowed, np.abs(difference), 0)
    chosen: list[int] = []
    for pixel in np.argsort(-size):
        if all(abs(PAPER_GRID_AA[pixel] - PAPER_GRID_AA[other]) > separation for other in chosen):
            chosen.append(int(pixel))
        if len(chosen) == count:
            break
    return chosen


def row(*cells) -> None:
    """A row of a Markdown table; flux differences to four digits."""
    print("| " + " | ".join(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


def verdict(teff: float, mean: float, largest: float) -> str:
    """Whether mean and largest difference meet the target."""
    allowed = TARGETS["cool" if teff <= COOL else "hot"]
    return "/".join(
        "pass" if found <= most else "MISS" for found, most in zip((mean, largest), allowed, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Compared:
    """One SYNSPEC reference beside three syntheses of its structure: normalised flux at R = 11500."""

    reference: Reference
    molecules: MolecularTable
    seen: dict[str, np.ndarray]
    continuum_ratio: np.ndarray  # on the synthesis grid, of our own physics

    def difference(self, setting: str) -> np.ndarray:
        """Ours less SYNSPEC's, of the synthesis called ``setting``."""
        return self.seen[setting] - self.reference.seen


OWN, SYNSPEC, PACKAGED = "our physics, their lines", "SYNSPEC's conventions", "packaged lines"


def compare_synspec(lines: LineList) -> list[Compared]:
    """Synthesise the eight structures in three settings and print the differences."""
    table(
        "SYNSPEC on given ATLAS9 structures: |difference| of normalised flux at R = 11500, 8400-8800 A",
        *("case", "setting", "mean", "largest", "target"),
    )
    compared = []
    as_synspec = lines._replace(waals_exponent=np.full(len(lines.charge), 0.45))
    for reference in references.synspec_references():
        molecules = references.shared_molecules(reference.vmic)
        given = {"mh": reference.mh, "vmic": reference.vmic}
        own = synthesize(reference.atmosphere, lines=lines, molecules=molecules, **given)
        theirs = synthesize(
            reference.atmosphere, lines=as_synspec, molecules=molecules, synspec=True, **given
        )
        packaged = synthesize(reference.atmosphere, band=RVS, **given)
        ratio = np.asarray(own.continuum) / np.interp(
            AIR_GRID_AA, reference.wavelength_aa, reference.continuum
        )
        spectra = {
            name: seen(s.normalized)
            for name, s in zip((OWN, SYNSPEC, PACKAGED), (own, theirs, packaged), strict=True)
        }
        compared.append(Compared(reference, molecules, spectra, ratio))
        for name in spectra:
            size = np.abs(compared[-1].difference(name))
            mean, largest = float(size.mean()), float(size.max())
            row(reference.name, name, mean, largest, verdict(reference.atmosphere.teff, mean, largest))
    return compared


def compare_continua(compared: list[Compared]) -> None:
    """Print ratio and slope of the continua."""
    table(
        "Continuum flux, ours over SYNSPEC's at 8600 A; slope: that at 8800 A over that at 8400 A, less 1",
        *("case", "ratio", "slope", "target (1 %, 0.5 %)"),
    )
    for case in compared:
        blue, middle, red = np.interp((8400.0, 8600.0, 8800.0), AIR_GRID_AA, case.continuum_ratio)
        slope = red / blue - 1
        fits = (abs(middle - 1) <= CONTINUUM_TARGET, abs(slope) <= SLOPE_TARGET)
        row(
            case.reference.name,
            float(middle),
            float(slope),
            "/".join("pass" if good else "MISS" for good in fits),
        )


def explain(compared: list[Compared], lines: LineList) -> None:
    """Print how the largest features change as SYNSPEC's choices take the place of ours one by one."""
    wanted = names_of(Conventions)
    settings = {"ours": Conventions()} | {text: Conventions(**{name: True}) for name, text in wanted.items()}
    settings["all six"] = Conventions(**dict.fromkeys(wanted, True))
    table(
        "Signed differences (ours - SYNSPEC) at features above 0.006, one convention switched at a time",
        *("case", "feature", *settings, "mostly"),
    )
    for case in compared:
        reference = case.reference
        spectra = [
            switched(reference, lines, case.molecules, setting) - reference.seen
            for setting in settings.values()
        ]
        row(reference.name, "mean of all", *(float(np.abs(part).mean()) for part in spectra), "")
        row("", "largest of all", *(float(np.abs(part).max()) for part in spectra), "")
        strength = line_strengths(reference.atmosphere, mh=reference.mh, vmic=reference.vmic, lines=lines)
        namer = Namer(lines, strength, float(reference.atmosphere.teff))
        for pixel in worst_features(spectra[0], 10):
            values = [float(part[pixel]) for part in spectra]
            if abs(values[0]) <= EXPLAINED:
                break
            place = PAPER_GRID_AA[pixel]
            cause = list(settings)[1 + int(np.argmin(np.abs(values[1:-1])))]
            row("", f"{place:.1f} {namer(place)}", *(f"{value:+.4f}" for value in values), cause)


def explain_lines(compared: list[Compared], lines: LineList) -> None:
    """Print where the packaged lines differ most from the references', and whose oscillator strengths."""
    own = band_lines(RVS)
    table(
        "What the packaged line list changes (packaged - theirs), the largest of the eight cases",
        *("feature", "difference", "case", "log gf packaged", "log gf theirs"),
    )
    changes = np.array([case.seen[PACKAGED] - case.seen[OWN] for case in compared])
    largest = np.abs(changes).max(axis=0)
    for pixel in worst_features(largest, 12, separation=1.0):
        case = compared[int(np.abs(changes[:, pixel]).argmax())].reference
        strength = line_strengths(case.atmosphere, mh=case.mh, vmic=case.vmic, lines=own)
        namer = Namer(own, strength, float(case.atmosphere.teff))
        place = PAPER_GRID_AA[pixel]
        _, index = namer.strongest(place)
        change = float(changes[np.abs(changes[:, pixel]).argmax(), pixel])
        same = (np.asarray(lines.element) == own.element[index]) & (lines.charge == own.charge[index])
        near = same & (np.abs(lines.wavelength - own.wavelength[index]) < 0.1e-8)
        theirs = "/".join(f"{value:.2f}" for value in lines.log_gf[near]) or "none"
        row(f"{place:.1f} {namer(place)}", f"{change:+.4f}", case.name, f"{own.log_gf[index]:.2f}", theirs)


def plot_synspec(compared: list[Compared], output: Path) -> None:
    """One figure a case, and one of all differences."""
    pyplot = figures.pyplot()
    for case in compared:
        figure, (top, below) = pyplot.subplots(
            2, 1, figsize=(12, 6), sharex=True, height_ratios=(2, 1), layout="constrained"
        )
        top.plot(PAPER_GRID_AA, case.reference.seen, "k", lw=1.2, label="SYNSPEC")
        top.plot(PAPER_GRID_AA, case.seen[OWN], "C1", lw=0.8, label=OWN)
        top.set(title=case.reference.name, ylabel="normalised flux, R = 11500")
        top.legend()
        _plot_differences(below, case)
        figure.savefig(output / f"synspec_{case.reference.name}.png", dpi=80)
        pyplot.close(figure)
    figure, panels = pyplot.subplots(8, 1, figsize=(12, 14), sharex=True, layout="constrained")
    for panel, case in zip(panels, compared, strict=True):
        _plot_differences(panel, case)
        panel.set_xlabel("")
        panel.set_title(case.reference.name, loc="left", fontsize=9, pad=2)
    panels[-1].set_xlabel("wavelength in air [Å]")
    panels[0].legend(ncols=3, fontsize=8, loc="lower right")
    figure.savefig(output / "synspec_differences.png", dpi=60)
    pyplot.close(figure)


def _plot_differences(panel, case: Compared) -> None:
    for name, colour in ((PACKAGED, "0.75"), (OWN, "C1"), (SYNSPEC, "C0")):
        panel.plot(PAPER_GRID_AA, case.difference(name), color=colour, lw=0.8, label=name)
    panel.axhline(0, color="k", lw=0.4)
    panel.set(
        ylim=(-0.016, 0.016), xlim=(8400, 8800), xlabel="wavelength in air [Å]", ylabel="ours - SYNSPEC"
    )


def compare_codes(lines: LineList, output: Path) -> None:
    """Our difference to each of three codes beside the differences between them."""
    columns = ("model", "SYNSPEC", "Turbospectrum", "PySME")
    within = ("between the codes", "pixels inside their spread ± 0.001", "largest excess")
    table(
        "Three codes, one line list, mean / largest |difference| at R = 11500: ours to each",
        *columns,
        *within,
    )
    inside = (PAPER_GRID_AA > 8401.5) & (PAPER_GRID_AA < 8798.5)  # their spectra end at 8400 and 8800 A
    kept = {}
    for model in MODELS:
        found = references.three_codes(model)
        kept[model] = _against(found, lines, inside, model)
    _plot_codes(kept, inside, output)
    table("The same with metal lines only (no hydrogen lines, no dissolved levels)", *columns, *within)
    with no_hydrogen():
        for model in MODELS[1:]:
            _against(references.three_codes(model, metals_only=True), lines, inside, model)


def compare_wide(lines: LineList) -> None:
    """The same for dwarfs and giants, one of them alpha-enhanced; atoms only."""
    columns = ("star", "SYNSPEC", "Turbospectrum", "PySME")
    within = ("between the codes", "pixels inside their spread ± 0.001", "largest excess")
    table("Other structures, three codes: ours to each", *columns, *within)
    inside = (PAPER_GRID_AA > 8401.5) & (PAPER_GRID_AA < 8798.5)
    for star in references.WIDE:
        found, alpha = references.wide(star)
        _against(found, lines, inside, found["synspec"].name.removesuffix("_W7"), alpha)


def _against(found: dict[str, Reference], lines: LineList, inside: np.ndarray, model: str, alpha=0.0):
    """Print one model's row; our spectrum and theirs at R = 11500."""
    one = next(iter(found.values()))
    molecules = references.without_molecules(band_molecules(RVS))
    given = {"mh": one.mh, "alpha": alpha, "vmic": one.vmic}
    ours = seen(synthesize(one.atmosphere, lines=lines, molecules=molecules, **given).normalized)
    theirs = {code: reference.seen for code, reference in found.items()}

    def pair(a, b) -> str:
        size = np.abs(a - b)[inside]
        return f"{size.mean():.4f} / {size.max():.3f}"

    to_each = [
        pair(ours, theirs[code]) if code in theirs else "" for code in ("synspec", "turbospectrum", "pysme")
    ]
    between = ", ".join(pair(a, b) for a, b in itertools.combinations(theirs.values(), 2))
    stack = np.array(list(theirs.values()))
    excess = np.maximum(np.maximum(ours - stack.max(0), stack.min(0) - ours), 0)[inside]
    worst = PAPER_GRID_AA[inside][excess.argmax()]
    share = f"{100 * (excess <= 0.001).mean():.0f} %"
    row(model, *to_each, between, share, f"{excess.max():.3f} at {worst:.1f}")
    return ours, theirs


@contextmanager
def no_hydrogen():
    """Synthesis without hydrogen lines and dissolved levels: there is no such option, it is only for here."""

    def nothing(grid, temperature, *_, **__):
        return jnp.zeros((len(temperature), len(grid)), jnp.float32)

    def no_lines(weights, pixels, temperature, *_, **__):
        return jnp.zeros((len(temperature), pixels), jnp.float32)

    with (
        mock.patch.object(radiation, "hydrogen_opacity", no_lines),
        mock.patch.object(continuum, "dissolved_paschen", nothing),
    ):
        jax.clear_caches()
        yield
    jax.clear_caches()


def _plot_codes(kept: dict, inside: np.ndarray, output: Path) -> None:
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(len(kept), 2, figsize=(12, 10), sharex=True, layout="constrained")
    colours = {"synspec": "k", "turbospectrum": "C0", "pysme": "C2"}
    for (model, (ours, theirs)), (left, right) in zip(kept.items(), panels, strict=True):
        for code, flux in theirs.items():
            left.plot(PAPER_GRID_AA[inside], flux[inside], colours[code], lw=0.8, label=code)
            right.plot(PAPER_GRID_AA[inside], (flux - ours)[inside], colours[code], lw=0.8)
        left.plot(PAPER_GRID_AA[inside], ours[inside], "C1", lw=0.8, label="starloom")
        left.set_ylabel(model)
    panels[0, 0].legend(fontsize=8)
    panels[0, 0].set_title("normalised flux, R = 11500")
    panels[0, 1].set_title("code - starloom")
    for panel in panels[-1]:
        panel.set_xlabel("wavelength in air [Å]")
    figure.savefig(output / "three_codes.png", dpi=52)
    pyplot.close(figure)


def compare_labels() -> None:
    """The extra difference of a structure interpolated from labels, at the eight nodes."""
    table(
        "From labels against the given structure (packaged lines): |difference| at R = 11500",
        *("case", "mean", "largest", "at", "continuum ratio"),
    )
    for reference in references.synspec_references():
        known = reference.atmosphere
        given = synthesize(known, band=RVS, mh=reference.mh, vmic=reference.vmic)
        labels = float(known.teff), float(known.logg), reference.mh, reference.vmic
        made = synthesize_labels(*labels, band=RVS)
        difference = seen(made.normalized) - seen(given.normalized)
        worst = int(np.abs(difference).argmax())
        ratio = float(np.median(np.asarray(made.continuum) / np.asarray(given.continuum)))
        size = np.abs(difference)
        row(reference.name, float(size.mean()), float(size.max()), f"{PAPER_GRID_AA[worst]:.1f}", ratio)


def leave_out_nodes() -> None:
    """What interpolation costs in flux: every second node left out, so at twice the grid's spacing."""
    table(
        "Every second node of the grid left out and interpolated (cubic: a sixteenth at the true spacing)",
        *(
            "label",
            "structures",
            "mean: median",
            "mean: largest",
            "largest: median",
            "largest of all",
            "where",
        ),
    )
    columns = tables.load("atmospheres")["columns"].tolist()
    log_tau = tables.load("atmospheres")["log_tau"].astype(float)
    for axis in range(3):
        pairs = atmosphere_errors.leave_out(axis)
        inside = np.array([TABLE_1.contains(np.array([*p[:2], 0, p[2], 2, 1e4])) for p in pairs.places])
        chosen = np.random.default_rng([3, axis]).choice(np.flatnonzero(inside), 20, replace=False)
        errors = []
        for i in chosen:
            both = [
                Atmosphere(log_tau, **{name: 10.0 ** part[i][:, j] for j, name in enumerate(columns)})
                for part in (pairs.truth, pairs.estimate)
            ]
            true, made = (seen(synthesize(a, mh=pairs.places[i, 2], vmic=2.0).normalized) for a in both)
            errors.append((np.abs(made - true).mean(), np.abs(made - true).max()))
        mean, largest = np.array(errors).T
        worst = "/".join(f"{value:g}" for value in pairs.places[chosen[largest.argmax()]])
        figures_of = (np.median(mean), mean.max(), np.median(largest), largest.max())
        row(pairs.name, len(chosen), *(f"{value:.5f}" for value in figures_of), worst)


def compare_sun(output: Path) -> None:
    """Centre of the Sun's disk against the FTS atlas: rms and the worst features."""
    atlas = references.observed("sun_fts_disk_centre")
    rest = atlas.wavelength_aa / (1 + GRAVITATIONAL_REDSHIFT / SPEED_OF_LIGHT_KMS)
    with jax.enable_x64(True):
        atmosphere = interpolate(5777.0, 4.44, 0.0)
    spectrum = synthesize(atmosphere, band=RVS, vmic=1.0, mu=1.0)
    ours = seen(spectrum.normalized)
    vapour = telluric_transmission(atlas.wavelength_aa, atlas.flux, rest, spectrum.normalized)
    wanted = seen_elsewhere(rest, atlas.flux / vapour)
    calcium = np.min(np.abs(PAPER_GRID_AA[:, None] - CALCIUM_AA), axis=1) < 6
    free = ~calcium
    scale = float((ours @ (wanted * free)) / (wanted @ (wanted * free)))
    difference = ours - scale * wanted
    rms, in_calcium = (float(np.sqrt((difference[part] ** 2).mean())) for part in (free, calcium))
    print("\n### The Sun's disk centre against the FTS atlas, R = 11500\n")
    met, median = "pass" if rms <= 0.010 else "MISS", float(np.median(np.abs(difference[free])))
    print(f"scale {scale:.4f}; rms outside Ca II +-6 A {rms:.4f} (target 0.010: {met}),")
    print(f"median |difference| {median:.4f}; rms in Ca II +-6 A {in_calcium:.4f}")
    lines = band_lines(RVS)
    namer = Namer(lines, line_strengths(atmosphere, vmic=1.0, lines=lines), 5777.0)
    table("Ten worst features (ours less atlas)", "wavelength", "difference", "name", "probable cause")
    for pixel in worst_features(difference, 10, separation=1.5):
        place = float(PAPER_GRID_AA[pixel])
        row(
            f"{place:.1f}",
            f"{difference[pixel]:+.3f}",
            namer(place),
            solar_cause(place, difference[pixel], namer),
        )
    _plot_sun(ours, scale * wanted, output)


def telluric_transmission(wavelength_aa, flux, rest_aa, normalized) -> np.ndarray:
    """What water vapour lets through of an atlas at its own air wavelengths, by the packaged lines.

    One column, one shift and one Lorentzian width for all lines, fitted to the ratio of the atlas and a
    synthesised spectrum within half an Angstrom of the lines.
    """
    lines = tables.load("tellurics", RVS.tables)
    centre = air_from_vacuum(lines["vacuum_wavelength_aa"].astype(float))
    width = lines["equivalent_width_aa"].astype(float)
    resolving = 90_000.0  # about that of lines broadened by the Sun's macroturbulence
    expected = np.interp(rest_aa, AIR_GRID_AA, seen(normalized, AIR_GRID_AA, resolving))
    near = np.min(np.abs(wavelength_aa[:, None] - centre), axis=1) < 0.5

    def transmission(parameters, wavelength_aa):
        column, shift_kms, half = parameters
        place = centre * (1 + shift_kms / SPEED_OF_LIGHT_KMS)
        profile = half / np.pi / ((wavelength_aa[:, None] - place) ** 2 + half**2)
        return np.exp(-column * profile @ width)

    def residual(parameters):
        *line, scale = parameters
        return scale * expected[near] * transmission(line, wavelength_aa[near]) - flux[near]

    fit = least_squares(residual, (0.3, 0.0, 0.05, 1.0), loss="soft_l1", f_scale=0.01)
    column, shift, half, _ = fit.x
    print(f"\nwater vapour: {column:.2f} cm along the ray, {shift:+.2f} km/s, half width {half:.3f} A")
    return transmission(fit.x[:3], wavelength_aa)


def solar_cause(place_aa: float, difference: float, namer: Namer) -> str:
    """Why a synthetic line is too weak (difference > 0) or too strong, as far as the line list tells."""
    calcium = min(abs(place_aa - line) for line in CALCIUM_AA)
    if calcium < 2.5:
        return "Ca II " + (
            "core: NLTE, chromosphere" if calcium < 0.7 else "inner wing: NLTE, upper photosphere"
        )
    strength, _ = namer.strongest(place_aa)
    if difference > 0 and strength < 0.05:
        return "line missing from the list"
    excess = "too small" if difference > 0 else "too large"
    return f"line data: log gf {excess} (line-centre strength {strength:.1f})"


def _plot_sun(ours: np.ndarray, wanted: np.ndarray, output: Path) -> None:
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(4, 1, figsize=(13, 11), layout="constrained")
    for number, panel in enumerate(panels):
        panel.plot(PAPER_GRID_AA, wanted, "k", lw=1.0, label="FTS atlas, mu = 1")
        panel.plot(PAPER_GRID_AA, ours, "C1", lw=0.8, label="starloom 5777/4.44/0, vmic 1 km/s")
        panel.plot(PAPER_GRID_AA, ours - wanted, "C0", lw=0.7, label="difference")
        panel.set(xlim=(8400 + 100 * number, 8500 + 100 * number), ylim=(-0.1, 1.05))
    panels[0].legend(ncols=3, fontsize=8, loc="center left")
    panels[-1].set_xlabel("wavelength in air [Å]")
    figure.savefig(output / "sun.png", dpi=75)
    pyplot.close(figure)


def compare_stars() -> None:
    """Two stars as spectrographs saw them: a solar-type dwarf by Gaia, a metal-poor subgiant by MIKE."""
    table(
        "Observed stars at R = 11500, scale and slope free",
        *("star", "labels", "rms", "rms outside Ca II +-6 A", "median |difference|"),
    )
    dwarf = references.observed("gaia_rvs_kepler-409")
    ours = synthesize_labels(5460.0, 4.50, 0.08, 1.0, band=RVS)
    inner = slice(50, -50)  # the edges of Gaia's band
    place = dwarf.wavelength_aa[inner]
    _fitted(
        "Kepler-409, Gaia RVS",
        "5460/4.50/+0.08, 1 km/s",
        place,
        dwarf.flux[inner],
        seen(ours.normalized, place),
    )
    poor = references.observed("mike_hd140283")
    with jax.enable_x64(True):
        atmosphere = interpolate(5787.0, 3.66, -1.5)
    ours = synthesize(atmosphere, band=RVS, mh=-2.39, alpha=0.3, vmic=1.5)
    wanted = seen_elsewhere(poor.wavelength_aa, poor.flux, native=poor.about["R"])
    _fitted(
        "HD 140283, MIKE (2 % fringes)",
        "5787/3.66, structure of -1.5 (the domain's edge), abundances -2.39, alpha +0.3, 1.5 km/s",
        PAPER_GRID_AA,
        wanted,
        seen(ours.normalized),
    )


def _fitted(name: str, labels: str, wavelength_aa, flux, ours) -> None:
    """Print how well a spectrum fits an observed one times a straight line."""
    x = (wavelength_aa - 8600) / 200
    calcium = np.min(np.abs(wavelength_aa[:, None] - CALCIUM_AA), axis=1) < 6
    design = np.stack([flux, x * flux], axis=1)
    coefficients = np.linalg.lstsq(design[~calcium], ours[~calcium], rcond=None)[0]
    difference = ours - design @ coefficients
    rms = (float(np.sqrt((part**2).mean())) for part in (difference, difference[~calcium]))
    row(name, labels, *rms, float(np.median(np.abs(difference))))


GALLERY = {  # teff, logg, mh, vmic, vsini
    "metal-poor giant": (4700.0, 2.0, -1.5, 2.0),
    "solar giant": (4700.0, 2.5, 0.0, 2.0),
    "metal-rich giant": (4500.0, 2.5, 0.5, 2.0),
    "metal-poor dwarf": (5777.0, 4.5, -1.5, 1.0),
    "solar dwarf": (5777.0, 4.44, 0.0, 1.0),
    "metal-rich dwarf": (5500.0, 4.4, 0.5, 1.0),
    "A0 dwarf": (9700.0, 4.0, 0.0, 2.0),
    "M dwarf": (3600.0, 5.0, 0.0, 1.0),
}
MARKED = {  # air wavelength [A] of lines to label, by the kind of star
    "cool": {
        8468.4: "Fe I", 8498.0: "Ca II", 8514.1: "Fe I", 8542.1: "Ca II", 8662.1: "Ca II", 8688.6: "Fe I",
        8736.0: "Mg I", 8752.0: "Si I", 8435.0: "Ti I", 8611.8: "Fe I", 8582.3: "Fe I",
    },
    "hot": {
        8446.4: "O I", 8498.0: "Ca II", 8542.1: "Ca II", 8662.1: "Ca II", 8680.3: "N I", 8703.2: "N I",
        8467.3: "Pa 17", 8502.5: "Pa 16", 8545.4: "Pa 15", 8598.4: "Pa 14", 8665.0: "Pa 13", 8750.5: "Pa 12",
        8413.3: "Pa 20", 8437.9: "Pa 18",
    },
    "coolest": {
        8412.4: "Ti I", 8426.5: "Ti I", 8435.0: "Ti I", 8442.0: "TiO", 8452.0: "TiO", 8498.0: "Ca II",
        8542.1: "Ca II", 8662.1: "Ca II", 8688.6: "Fe I", 8692.5: "FeH", 8674.8: "Fe I", 8514.1: "Fe I",
    },
}  # fmt: skip


def plot_gallery(output: Path) -> None:
    """Eight stars with their main lines."""
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(8, 1, figsize=(12, 16), sharex=True, layout="constrained")
    for panel, (name, labels) in zip(panels, GALLERY.items(), strict=True):
        flux = seen(synthesize_labels(*labels).normalized)
        panel.plot(PAPER_GRID_AA, flux, "k", lw=0.8)
        kind = "hot" if labels[0] > 7500 else "coolest" if labels[0] < 4000 else "cool"
        for place, text in MARKED[kind].items():
            panel.annotate(text, (place, 1.03), ha="center", fontsize=9, rotation=90, va="bottom")
            panel.plot([place, place], [1.0, 1.02], "C1", lw=0.8)
        teff, logg, mh, vmic = labels
        panel.set_title(
            f"{name}: {teff:.0f} K, log g {logg}, [M/H] {mh:+.1f}, vmic {vmic:.0f} km/s",
            loc="left",
            fontsize=9,
        )
        panel.set(xlim=(8400, 8800), ylim=(min(0.2, flux.min()), 1.35))
    panels[-1].set_xlabel("wavelength in air [Å], R = 11500, normalised flux")
    figure.savefig(output / "gallery.png", dpi=56)
    pyplot.close(figure)


def main() -> None:
    """Print every table and write every figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for the figures")
    output = parser.parse_args().output
    if not references.present():
        return
    output.mkdir(parents=True, exist_ok=True)
    lines = references.synspec_lines()
    compared = compare_synspec(lines)
    compare_continua(compared)
    explain(compared, lines)
    explain_lines(compared, lines)
    plot_synspec(compared, output)
    compare_labels()
    leave_out_nodes()
    compare_sun(output)
    compare_stars()
    plot_gallery(output)
    compare_codes(references.common_lines(), output)
    compare_wide(lines)


if __name__ == "__main__":
    sys.exit(main())
