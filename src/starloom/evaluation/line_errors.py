"""How flux answers to errors of the line list: its derivatives by the strength of each line, synthesised.

Groups of lines that blend (same ion, within BLEND_AA) move together. Those that do not reach each other are
moved in one synthesis, so that a star's hundreds of derivatives cost some twenty spectra.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from starloom.bands import Band
from starloom.broadening import keep
from starloom.constants import ANGSTROM
from starloom.physics.linelist import LineList
from starloom.synthesis import Photosphere, photosphere, structure

SEEN = 3e-3  # of the continuum's opacity: lines below it change the flux by 0.0003 for 0.1 dex
BLEND_AA = 0.06
STEP_DEX = 0.06
CALCIUM = 19  # of the line list's elements: atomic number - 1
STRONG = 100.0  # over the continuum's opacity: the Ca II triplet, not the ion's weak lines
# half width [A] that a group is given, by its strength over the continuum's opacity
REACHES_AA = ((3.0, 4.0), (0.3, 2.2), (0.0, 1.2))


@dataclass(frozen=True, eq=False)
class LineResponse:
    """Derivatives of normalised flux by log gf [1/dex] of one star, as a store keeps spectra.

    ``flux[chunk, point]``; ``lines[group, chunk, point]``: of each group of lines but the Ca II triplet;
    ``calcium[chunk, point]``: of the triplet's lines together.
    """

    flux: np.ndarray
    lines: np.ndarray
    calcium: np.ndarray


def line_response(labels: Sequence[float], band: Band) -> LineResponse:
    """The response of a star with ``labels`` teff [K], logg, mh [dex], vmic [km/s]."""
    teff, logg, mh, vmic = labels
    star = photosphere(structure(teff, logg, mh, vmic), band=band, mh=mh, vmic=vmic)
    strengths, lines = star.line_strengths, star.arrays.lines
    wavelength = np.asarray(lines.wavelength) / ANGSTROM
    triplet = is_triplet(lines, strengths)
    seen = (strengths > SEEN) & ~triplet
    seen &= (wavelength > band.chunks[0].first_aa) & (wavelength < band.chunks[-1].last_aa)
    groups = blends(lines, np.flatnonzero(seen))
    centres = np.array([wavelength[group].mean() for group in groups])
    total = np.array([strengths[group].sum() for group in groups])
    reach = np.select([total > least for least, _ in REACHES_AA], [width for _, width in REACHES_AA])
    base = kept_flux(star, np.zeros(len(strengths)))
    found = np.zeros((len(groups), *base.shape), np.float32)
    grids = np.array([grid.wavelength_aa for grid in band.kept])
    for colour in apart(centres, reach):
        moved = np.zeros(len(strengths))
        moved[np.concatenate([groups[k] for k in colour])] = STEP_DEX
        difference = (kept_flux(star, moved) - base) / STEP_DEX
        for k in colour:
            near = np.abs(grids - centres[k]) < reach[k]
            found[k][near] = difference[near]
    calcium = (kept_flux(star, STEP_DEX * triplet) - base) / STEP_DEX
    return LineResponse(base, found, calcium)


def is_triplet(lines: LineList, strengths: np.ndarray) -> np.ndarray:
    """Which of the lines are those of the Ca II triplet, the ion's strongest in their range: bool[line]."""
    calcium = (np.asarray(lines.element) == CALCIUM) & (np.asarray(lines.charge) == 1)
    return calcium & (np.asarray(lines.log_gf) > -1.5) & (np.asarray(lines.energy_low) < 2.0)


def blends(lines: LineList, chosen: np.ndarray) -> list[np.ndarray]:
    """The ``chosen`` lines in groups of one ion within BLEND_AA of their first."""
    wavelength = np.asarray(lines.wavelength) / ANGSTROM
    ion = 10 * np.asarray(lines.element) + np.asarray(lines.charge)
    groups: list[list[int]] = []
    last: dict[int, list[int]] = {}  # the latest group of each ion
    for line in chosen[np.argsort(wavelength[chosen])].tolist():
        group = last.get(int(ion[line]))
        if group is None or wavelength[line] - wavelength[group[0]] > BLEND_AA:
            group = last[int(ion[line])] = []
            groups.append(group)
        group.append(line)
    return [np.array(group) for group in groups]


def apart(centres: np.ndarray, reach: np.ndarray) -> list[list[int]]:
    """Groups whose lines do not reach each other, as few as come of taking them from the blue to the red."""
    colours: list[list[int]] = []
    for k in np.argsort(centres - reach).tolist():
        for colour in colours:
            if centres[k] - reach[k] > max(centres[j] + reach[j] for j in colour[-3:]):
                colour.append(k)
                break
        else:
            colours.append([k])
    return colours


def kept_flux(star: Photosphere, moved_dex: np.ndarray) -> np.ndarray:
    """Normalised flux ``[chunk, point]`` with each line's log gf moved by so much, as a store keeps it."""
    gas, band = star.gas, star.arrays.band
    peak = np.asarray(gas.profile.peak) * 10.0**moved_dex
    moved = replace(star, gas=gas._replace(profile=gas.profile._replace(peak=peak)))
    made = moved.spectrum(windows=star.windows)
    chunks = zip(made.chunk_flux, made.chunk_continuum, strict=True)
    return np.stack([keep(np.asarray(f) / np.asarray(c), band) for f, c in chunks])
