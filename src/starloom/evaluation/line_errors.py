"""How flux answers to errors of the line list: its derivatives by the strength of each line, synthesised.

Groups of lines that blend (same ion, within BLEND_AA) move together. Those that do not reach each other are
moved in one synthesis, so that a star's hundreds of derivatives cost some twenty spectra. Of each node of the
labels their principal components remain: the patterns of a ``PhysicsError``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt

import numpy as np

from starloom.bands import Band
from starloom.broadening import finish_of, keep
from starloom.constants import ANGSTROM
from starloom.networks.emulator import scaled_modes
from starloom.networks.physics_error import LABELS, PhysicsError, aligned
from starloom.physics.linelist import LineList
from starloom.synthesis import Photosphere, domain, photosphere, structure

SEEN = 3e-3  # of the continuum's opacity: lines below it change the flux by 0.0003 for 0.1 dex
BLEND_AA = 0.06
STEP_DEX = 0.06
CALCIUM = 19  # of the line list's elements: atomic number - 1
PATTERNS = 12  # of lines, of each node
COMPONENTS = 64  # of which all nodes' patterns are made up
NODES = {
    "teff": np.array([3300.0, 3700, 4200, 4900, 5700, 6700, 8000, 10000, 12500, 15000]),
    "logg": np.array([0.0, 2.0, 3.5, 5.0]),
    "mh": np.array([-3.0, -1.5, -0.5, 0.4, 1.5]),
}
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


def physics_error(
    band: Band,
    nodes: Mapping[str, np.ndarray] = NODES,
    progress: Callable[[], None] = lambda: None,
) -> PhysicsError:
    """The physics error of a band, synthesised at ``nodes``; ``progress`` is called after each of them."""
    stars = node_stars(nodes)
    found = []
    for star in stars:
        found.append(node_patterns(line_response(star, band), band))
        progress()
    return compressed(band, nodes, np.array(found))


def node_stars(nodes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Labels ``[node, label]`` as ``line_response`` takes them, with log g where there is an atmosphere.

    ``nodes`` by label: where the patterns are synthesised.
    """
    stars = np.array([[*place, 0.0] for place in product(*(nodes[name] for name in LABELS))])
    stars[:, 1] = np.maximum(stars[:, 1], domain().lowest_logg(stars) + 1e-6)
    teff, logg = stars[:, :2].T
    stars[:, 3] = np.where(teff > 6500, 2.0, np.where(logg >= 4, 1.0, 1.5))
    return stars


def node_patterns(response: LineResponse, band: Band, count: int = PATTERNS) -> np.ndarray:
    """The ``count`` principal components of a star's lines, then the triplet: float32[count + 1, half].

    Modes of all chunks, one behind the other, scaled as in ``scaled_modes``.
    """
    lines = np.concatenate([_scaled(band, response.lines, number) for number in _chunks(band)], axis=1)
    calcium = [_scaled(band, response.calcium[None], number) for number in _chunks(band)]
    _, vectors = np.linalg.eigh(lines.astype(float) @ lines.T.astype(float))
    strongest = vectors[:, : -count - 1 : -1].T @ lines
    missing = np.zeros((count - len(strongest), lines.shape[1]))
    return np.concatenate([strongest, missing, np.concatenate(calcium, axis=1)]).astype(np.float32)


def compressed(
    band: Band, nodes: Mapping[str, np.ndarray], patterns: np.ndarray, components: int = COMPONENTS
) -> PhysicsError:
    """Patterns ``[node, pattern, half]`` in terms of a common basis, those of neighbours alike.

    ``nodes`` by label, ``components`` of the common basis.
    """
    flat = patterns.reshape(-1, patterns.shape[-1])
    values, vectors = np.linalg.eigh(flat.astype(float) @ flat.T)
    strongest = slice(None, -components - 1, -1)
    basis = (vectors[:, strongest] / np.sqrt(values[strongest])).T @ flat
    parts = (flat @ basis.T).reshape(*(len(nodes[name]) for name in LABELS), patterns.shape[1], -1)
    parts[..., :-1, :] = aligned(parts[..., :-1, :])
    halves = np.split(basis, len(band.chunks), axis=1)
    return PhysicsError(band, nodes, parts.astype(np.float32), tuple(_unscaled(part) for part in halves))


def _chunks(band: Band) -> range:
    return range(len(band.chunks))


def _scaled(band: Band, kept: np.ndarray, chunk: int) -> np.ndarray:
    """Scaled modes of ``kept[row, chunk, point]`` in one of the band's chunks, at its finest resolution."""
    finish = finish_of(band).chunks[chunk]
    return scaled_modes(kept[:, chunk], finish, change=True)


def _unscaled(basis: np.ndarray) -> np.ndarray:
    """Modes as an emulator has them: without the scale of all but the constant one."""
    factor = np.full(basis.shape[1], 1 / sqrt(2))
    factor[[0, basis.shape[1] // 2]] = 1
    return (basis * factor).astype(np.float32)


def line_response(labels: Sequence[float], band: Band) -> LineResponse:
    """The response of a star with ``labels`` teff [K], logg, mh [dex], vmic [km/s]."""
    teff, logg, mh, vmic = labels
    star = photosphere(structure(teff, logg, mh, vmic), band=band, mh=mh, vmic=vmic)
    strengths, lines = star.line_strengths, star.arrays.lines
    wavelength = np.asarray(lines.wavelength) / ANGSTROM
    triplet = is_triplet(lines)
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


def is_triplet(lines: LineList) -> np.ndarray:
    """Which of the lines are those of the Ca II triplet, 3d - 4p of 1.7 eV: bool[line]."""
    calcium = (np.asarray(lines.element) == CALCIUM) & (np.asarray(lines.charge) == 1)
    return calcium & (np.asarray(lines.energy_low) < 2.0)


def blends(lines: LineList, chosen: np.ndarray) -> list[np.ndarray]:
    """The ``chosen`` lines (numbers, int[line]) in groups of one ion within BLEND_AA of their first."""
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
    """Groups whose lines do not reach each other, as few as come of taking them from the blue to the red.

    ``centres[line]`` and ``reach[line]`` [A].
    """
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
    """Normalised flux ``[chunk, point]`` with each line's log gf moved by so much, as a store keeps it.

    ``moved_dex[line]`` [dex].
    """
    gas, band = star.gas, star.arrays.band
    peak = np.asarray(gas.profile.peak) * 10.0**moved_dex
    moved = replace(star, gas=gas._replace(profile=gas.profile._replace(peak=peak)))
    made = moved.spectrum(windows=star.windows)
    chunks = zip(made.chunk_flux, made.chunk_continuum, strict=True)
    return np.stack([keep(np.asarray(f) / np.asarray(c), band) for f, c in chunks])
