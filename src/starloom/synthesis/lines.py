"""The lines of a synthesised spectrum: which are strong, in words and in a figure."""

from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from starloom.constants import ANGSTROM, ELECTRON_MASS, PROTON_MASS, RYDBERG_EV, SPEED_OF_LIGHT_KMS
from starloom.figures import BLACK, pyplot, save, styled
from starloom.physics.hydrogen import HydrogenLines
from starloom.physics.species import ion_name
from starloom.spectrum.lines import mark
from starloom.synthesis.band import unidentified
from starloom.synthesis.photosphere import Photosphere
from starloom.synthesis.spectra import SyntheticSpectrum
from starloom.wavelength import air_from_vacuum

HYDROGEN_EV = RYDBERG_EV / (1 + ELECTRON_MASS / PROTON_MASS)  # Bohr's formula with the reduced mass
SERIES = {2: "Ba", 3: "Pa"}  # Balmer and Paschen, by the lower level
LISTED = 40  # lines of a report
UNIDENTIFIED = "?"
PANELS = 4
NAMED_STRENGTH = 0.3  # weaker lines, some 15 % deep, carry no name in the figure
NAMED_DISTANCE = 1.6  # Angstrom between names in the figure


class Line(NamedTuple):
    """One line of a spectrum."""

    species: str  #: as ``Fe I``
    air_aa: float
    log_gf: float  #: log10 of the oscillator strength times the lower level's weight
    energy_low_ev: float  #: of the lower level [eV]
    strength: float  #: opacity at the centre over that of the continuum; nan for hydrogen's blended wings
    flux: float  #: over the continuum, at the centre, before any broadening


def listed(star: Photosphere, made: SyntheticSpectrum) -> list[Line]:
    """The lines of a star's spectrum: hydrogen's, then the others with the strongest first."""
    lines, strengths = star.arrays.lines, star.line_strengths
    order = np.argsort(-strengths)
    unknown = np.isin(lines.wavelength, unidentified(made.band))
    names = [
        UNIDENTIFIED if unknown[i] else ion_name(int(lines.element[i]) + 1, int(lines.charge[i]))
        for i in order
    ]
    columns = (lines.log_gf[order], lines.energy_low[order], strengths[order])
    return _hydrogen(star.arrays.hydrogen, made) + _inside(made, names, lines.wavelength[order], *columns)


def _hydrogen(lines: HydrogenLines, made: SyntheticSpectrum) -> list[Line]:
    weight = 2 * lines.lower**2
    names = [f"{SERIES[low]} {high}" for low, high in zip(lines.lower.tolist(), lines.upper, strict=True)]
    energy = HYDROGEN_EV * (1 - 1 / lines.lower**2)
    log_gf = np.log10(weight * lines.oscillator_strength)
    return _inside(made, names, lines.wavelength, log_gf, energy, np.full(len(names), nan))


def _inside(
    made: SyntheticSpectrum, names: list[str], wavelength: np.ndarray, *columns: np.ndarray
) -> list[Line]:
    """Those of the lines at vacuum wavelengths [cm] that the spectrum covers."""
    vacuum_aa, grid = wavelength / ANGSTROM, made.wavelength_aa
    flux = np.interp(vacuum_aa, grid, np.asarray(made.normalized, dtype=float), left=nan, right=nan)
    rows = zip(names, *np.stack([air_from_vacuum(vacuum_aa), *columns, flux]).tolist(), strict=True)
    return [line for row in rows if not np.isnan((line := Line(*row)).flux)]


def report(found: list[Line], window: tuple[float, float]) -> str:
    """A table of the strongest lines in a window of air wavelengths [Angstrom].

    ``found`` are lines, the window's ends in Angstrom.
    """
    inside = [line for line in found if window[0] <= line.air_aa <= window[1]]
    hydrogen = [line for line in inside if hydrogenic(line)]
    others = [line for line in inside if not hydrogenic(line)]
    rows = [f"{'species':<8}{'air [A]':>10}{'log gf':>9}{'E low [eV]':>12}{'strength':>11}{'flux':>8}"]
    for line in hydrogen + others[:LISTED]:
        strength = "-" if hydrogenic(line) else f"{line.strength:.3g}"
        rows.append(
            f"{line.species:<8}{line.air_aa:>10.3f}{line.log_gf:>9.3f}{line.energy_low_ev:>12.3f}"
            f"{strength:>11}{line.flux:>8.3f}"
        )
    count = f"{min(len(others), LISTED)} of {len(others)} lines"
    rows.append(f"{count}, hydrogen aside; strength: opacity at the centre over the continuum's")
    if any(line.species == UNIDENTIFIED for line in others[:LISTED]):
        rows.append(f"{UNIDENTIFIED}: seen in the Sun but in no list; taken for a line of Fe I")
    return "\n".join(rows)


@styled
def draw(spectrum, found: list[Line], radial_velocity: float, path: Path) -> None:
    """Draw a spectrum in rows of a hundred Angstrom and name its lines: hydrogen's below, others above.

    ``found`` are the lines to be named, ``spectrum`` a ``Spectrum``.
    """
    plt = pyplot()
    figure, panels = plt.subplots(PANELS, figsize=(11, 10), layout="constrained")
    known = spectrum.flux if spectrum.mask is None else spectrum.flux[~spectrum.mask]
    low, high = float(known.min()), float(known.max())
    limits = (low - 0.36 * (high - low), high + 0.36 * (high - low))
    ends = np.linspace(spectrum.wavelength[0], spectrum.wavelength[-1], PANELS + 1)
    named = _named(found, radial_velocity)
    for axes, left, right in zip(panels, ends[:-1], ends[1:], strict=True):
        spectrum.plot(axes, color=BLACK)
        axes.set(xlim=(left, right), ylim=limits, title="", xlabel="")
        for place, line in named:
            if left <= place <= right:
                mark(axes, place, line.species, low, high, below=hydrogenic(line))
    figure.suptitle(spectrum.title)
    panels[-1].set_xlabel(f"Wavelength in {spectrum.medium} [Å], {spectrum.frame} frame")
    save(figure, path)


def _named(found: list[Line], radial_velocity: float) -> list[tuple[float, Line]]:
    """Lines with a name in the figure, by place: hydrogen's, and the strongest others with room for it."""
    chosen: list[Line] = []
    for line in found:
        others = [other.air_aa for other in chosen if not hydrogenic(other)]
        room = all(abs(line.air_aa - other) > NAMED_DISTANCE for other in others)
        if hydrogenic(line) or (line.strength > NAMED_STRENGTH and room):
            chosen.append(line)
    return [(line.air_aa * (1 + radial_velocity / SPEED_OF_LIGHT_KMS), line) for line in chosen]


def hydrogenic(line: Line) -> bool:
    """Whether the line is one of hydrogen's."""
    return np.isnan(line.strength)
