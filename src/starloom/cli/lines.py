"""The lines of a synthesised spectrum: which are strong, in words and in a figure."""

from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from starloom.constants import ANGSTROM, SPEED_OF_LIGHT_KMS
from starloom.figures import pyplot
from starloom.physics import hydrogen
from starloom.physics.continuum import IONIZATION_HYDROGEN_EV
from starloom.physics.linelist import packaged_lines
from starloom.physics.species import ion_name
from starloom.wavelength import air_from_vacuum

LISTED = 40  # lines of a report
PANELS = 4
NAMED_DEPTH = 0.1  # of the continuum: shallower lines carry no name in the figure
NAMED_DISTANCE = 1.6  # Angstrom between names in the figure


class Line(NamedTuple):
    """One line of a spectrum."""

    species: str
    air_aa: float
    log_gf: float
    energy_low_ev: float
    strength: float  # opacity at the centre over that of the continuum; nan for hydrogen's blended wings
    flux: float  # over the continuum, at the centre, before any broadening


def listed(made, strengths: np.ndarray) -> list[Line]:
    """The lines of a ``SyntheticSpectrum``, hydrogen's first and then the strongest first.

    ``strengths`` are those of ``packaged_lines`` (``synthesis.line_strengths``).
    """
    lines, grid = packaged_lines(), made.wavelength_aa
    normalized = np.asarray(made.normalized, dtype=float)
    paschen = hydrogen.WAVELENGTH / ANGSTROM
    found = [
        Line(
            f"Pa {upper}",
            air_from_vacuum(wavelength),
            float(np.log10(18 * strength)),  # g = 2 n^2 of n = 3
            IONIZATION_HYDROGEN_EV * (1 - 1 / 9),
            nan,
            float(np.interp(wavelength, grid, normalized)),
        )
        for upper, wavelength, strength in zip(
            hydrogen.UPPER, paschen, hydrogen.OSCILLATOR_STRENGTH, strict=True
        )
        if grid[0] <= wavelength <= grid[-1]
    ]
    wavelengths = lines.wavelength / ANGSTROM
    flux = np.interp(wavelengths, grid, normalized)
    inside = (wavelengths >= grid[0]) & (wavelengths <= grid[-1])
    for i in np.argsort(-strengths):
        if inside[i]:
            name = ion_name(int(lines.element[i]) + 1, int(lines.charge[i]))
            numbers = (air_from_vacuum(wavelengths[i]), lines.log_gf[i], lines.energy_low[i], strengths[i])
            found.append(Line(name, *map(float, numbers), float(flux[i])))
    return found


def report(found: list[Line], window: tuple[float, float]) -> str:
    """A table of the strongest lines in a window of air wavelengths [Angstrom]."""
    inside = [line for line in found if window[0] <= line.air_aa <= window[1]]
    hydrogens = [line for line in inside if hydrogenic(line)]
    others = [line for line in inside if not hydrogenic(line)]
    rows = [f"{'species':<8}{'air [A]':>10}{'log gf':>9}{'E low [eV]':>12}{'strength':>11}{'flux':>8}"]
    for line in hydrogens + others[:LISTED]:
        strength = "-" if hydrogenic(line) else f"{line.strength:.3g}"
        rows.append(
            f"{line.species:<8}{line.air_aa:>10.3f}{line.log_gf:>9.3f}{line.energy_low_ev:>12.3f}"
            f"{strength:>11}{line.flux:>8.3f}"
        )
    rows.append(
        f"{min(len(others), LISTED)} of {len(others)} lines, by opacity at the centre over the continuum's"
    )
    return "\n".join(rows)


def draw(spectrum, found: list[Line], radial_velocity: float, path: Path) -> None:
    """Draw a spectrum of ``found`` lines in rows of a hundred Angstrom; hydrogen is named below, the rest above."""
    plt = pyplot()
    figure, panels = plt.subplots(PANELS, figsize=(11, 10), layout="constrained")
    ends = np.linspace(spectrum.wavelength[0], spectrum.wavelength[-1], PANELS + 1)
    known = spectrum.flux if spectrum.mask is None else spectrum.flux[~spectrum.mask]
    low, high = float(known.min()), float(known.max())
    named = _named(found, 1 + radial_velocity / SPEED_OF_LIGHT_KMS)
    for axes, left, right in zip(panels, ends[:-1], ends[1:], strict=True):
        spectrum.plot(axes, color="black")
        axes.set(
            xlim=(left, right),
            ylim=(low - 0.2 * (high - low), high + 0.4 * (high - low)),
            title="",
            xlabel="",
        )
        for place, line in named:
            if left <= place <= right:
                _name(axes, place, line, low, high)
    figure.suptitle(spectrum.title)
    panels[-1].set_xlabel(f"Wavelength in {spectrum.medium} [Å], {spectrum.frame} frame")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _named(found: list[Line], shift: float) -> list[tuple[float, Line]]:
    """Hydrogen's lines, and of the others the strongest that are deep and have room for a name, by place."""
    chosen: list[tuple[float, Line]] = []
    for line in found:
        room = all(
            abs(line.air_aa - other.air_aa) > NAMED_DISTANCE for _, other in chosen if not hydrogenic(other)
        )
        if hydrogenic(line) or (room and line.flux < 1 - NAMED_DEPTH):
            chosen.append((line.air_aa * shift, line))
    return chosen


def hydrogenic(line: Line) -> bool:
    """Whether the line is one of the Paschen series."""
    return np.isnan(line.strength)


def _name(axes, place: float, line: Line, low: float, high: float) -> None:
    """A line's name and a tick: hydrogen's below the spectrum, another's above it."""
    span, size = high - low, 7
    if hydrogenic(line):
        start, end, colour, vertical = low - 0.04 * span, low - 0.08 * span, "tab:blue", "top"
    else:
        start, end, colour, vertical = high + 0.03 * span, high + 0.07 * span, "tab:red", "bottom"
    axes.plot([place, place], [start, end], color=colour, linewidth=0.6)
    rotation = 0 if hydrogenic(line) else 90
    axes.text(
        place, end, line.species, color=colour, fontsize=size, rotation=rotation, ha="center", va=vertical
    )
