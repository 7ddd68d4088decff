"""The lines of a synthesised spectrum: which are strong, in words and in a figure."""

from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from starloom.constants import ANGSTROM, ELECTRON_MASS, PROTON_MASS, RYDBERG_EV, SPEED_OF_LIGHT_KMS
from starloom.figures import pyplot, save
from starloom.physics import hydrogen
from starloom.physics.species import ion_name
from starloom.synthesis.photosphere import Photosphere
from starloom.synthesis.spectra import SyntheticSpectrum
from starloom.wavelength import air_from_vacuum

# energy of n = 3 above n = 1, by Bohr's formula with the reduced mass
PASCHEN_EV = RYDBERG_EV / (1 + ELECTRON_MASS / PROTON_MASS) * (1 - 1 / 9)
LISTED = 40  # lines of a report
PANELS = 4
NAMED_STRENGTH = 0.3  # weaker lines, some 15 % deep, carry no name in the figure
NAMED_DISTANCE = 1.6  # Angstrom between names in the figure


class Line(NamedTuple):
    """One line of a spectrum."""

    species: str
    air_aa: float
    log_gf: float
    energy_low_ev: float
    strength: float  # opacity at the centre over that of the continuum; nan for hydrogen's blended wings
    flux: float  # over the continuum, at the centre, before any broadening


def listed(star: Photosphere, made: SyntheticSpectrum) -> list[Line]:
    """The lines of a star's spectrum: hydrogen's, then the others with the strongest first."""
    lines, strengths = star.arrays.lines, star.line_strengths
    order = np.argsort(-strengths)
    names = [ion_name(int(lines.element[i]) + 1, int(lines.charge[i])) for i in order]
    columns = (lines.log_gf[order], lines.energy_low[order], strengths[order])
    return _paschen(made) + _inside(made, names, lines.wavelength[order], *columns)


def _paschen(made: SyntheticSpectrum) -> list[Line]:
    log_gf = np.log10(18 * hydrogen.OSCILLATOR_STRENGTH)  # g = 2 n^2 of n = 3
    names = [f"Pa {upper}" for upper in hydrogen.UPPER]
    same = np.ones(len(names))
    return _inside(made, names, hydrogen.WAVELENGTH, log_gf, PASCHEN_EV * same, nan * same)


def _inside(
    made: SyntheticSpectrum, names: list[str], wavelength: np.ndarray, *columns: np.ndarray
) -> list[Line]:
    """Those of the lines at vacuum wavelengths [cm] that the spectrum covers."""
    vacuum_aa, grid = wavelength / ANGSTROM, made.wavelength_aa
    flux = np.interp(vacuum_aa, grid, np.asarray(made.normalized, dtype=float), left=nan, right=nan)
    rows = zip(names, *np.stack([air_from_vacuum(vacuum_aa), *columns, flux]).tolist(), strict=True)
    return [line for row in rows if not np.isnan((line := Line(*row)).flux)]


def report(found: list[Line], window: tuple[float, float]) -> str:
    """A table of the strongest lines in a window of air wavelengths [Angstrom]."""
    inside = [line for line in found if window[0] <= line.air_aa <= window[1]]
    paschen = [line for line in inside if hydrogenic(line)]
    others = [line for line in inside if not hydrogenic(line)]
    rows = [f"{'species':<8}{'air [A]':>10}{'log gf':>9}{'E low [eV]':>12}{'strength':>11}{'flux':>8}"]
    for line in paschen + others[:LISTED]:
        strength = "-" if hydrogenic(line) else f"{line.strength:.3g}"
        rows.append(
            f"{line.species:<8}{line.air_aa:>10.3f}{line.log_gf:>9.3f}{line.energy_low_ev:>12.3f}"
            f"{strength:>11}{line.flux:>8.3f}"
        )
    count = f"{min(len(others), LISTED)} of {len(others)} lines"
    rows.append(f"{count}, hydrogen aside; strength: opacity at the centre over the continuum's")
    return "\n".join(rows)


def draw(spectrum, found: list[Line], radial_velocity: float, path: Path) -> None:
    """Draw a spectrum in rows of a hundred Angstrom and name its lines: hydrogen's below, others above."""
    plt = pyplot()
    figure, panels = plt.subplots(PANELS, figsize=(11, 10), layout="constrained")
    known = spectrum.flux if spectrum.mask is None else spectrum.flux[~spectrum.mask]
    low, high = float(known.min()), float(known.max())
    limits = (low - 0.22 * (high - low), high + 0.3 * (high - low))
    ends = np.linspace(spectrum.wavelength[0], spectrum.wavelength[-1], PANELS + 1)
    named = _named(found, radial_velocity)
    for axes, left, right in zip(panels, ends[:-1], ends[1:], strict=True):
        spectrum.plot(axes, color="black")
        axes.set(xlim=(left, right), ylim=limits, title="", xlabel="")
        for place, line in named:
            if left <= place <= right:
                _name(axes, place, line, low, high)
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
    """Whether the line is one of the Paschen series."""
    return np.isnan(line.strength)


def _name(axes, place: float, line: Line, low: float, high: float) -> None:
    """A line's name and a tick: hydrogen's below the spectrum, another's above it."""
    unit = 0.04 * (high - low)
    if hydrogenic(line):
        start, outwards, style = low, -unit, {"color": "tab:blue", "va": "top"}
    else:
        start, outwards, style = high, unit, {"color": "tab:red", "va": "bottom", "rotation": 90}
    axes.plot([place, place], [start + outwards, start + 2 * outwards], color=style["color"], linewidth=0.6)
    axes.text(place, start + 2.5 * outwards, line.species, fontsize=7, ha="center", clip_on=True, **style)
