"""The strongest lines in a star's spectrum, by their band's list, and their names in a figure; no JAX."""

from collections.abc import Mapping

import numpy as np

from starloom import bands
from starloom.bands import Band
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.figures import BLUE, ORANGE
from starloom.physics.species import ion_name
from starloom.tables import load
from starloom.wavelength import from_vacuum, vacuum_from_air

NAMED_STRENGTH = 0.3  # opacity of a line's centre over the continuum's; weaker lines carry no name
ROOM = 0.02  # between names, of the range that is shown
TICK = 0.03  # length of a tick, of the height of the axes without names
MARGIN = 0.24  # of the height of the axes, for the names at either end
PASCHEN = range(11, 19)  # upper levels of the hydrogen lines with a name
PASCHEN_TEFF = 7000.0  # K: below, other lines hide them


def atomic_lines(band: Band | None) -> Mapping[str, np.ndarray] | None:
    """The band's line list, or None where it has none, or is not installed here.

    A band that does not say where its tables are, as that of a model, has those of the installed one of its
    name.

    Arrays ``[line]`` by name.
    """
    return _table(band, "atomic_lines")


def own_hydrogen(band: Band | None) -> Mapping[str, np.ndarray] | None:
    """The table of a band's own hydrogen lines, or None where it has none: arrays ``[line]`` by name.

    ``band`` is as of ``atomic_lines``.
    """
    return _table(band, "hydrogen_profiles")


def _table(band: Band | None, name: str) -> Mapping[str, np.ndarray] | None:
    if band is None:
        return None
    try:
        tables = band.tables or (bands.load(band.name).tables if band.name in bands.names() else "")
        return load(name, tables) if tables else None
    except (ConfigError, FileNotFoundError):
        return None


def strongest(band: Band | None, teff: float, low_aa: float, high_aa: float) -> list[tuple[str, float]]:
    """Names and vacuum wavelengths [A] of a star's strongest lines of ``band``, as far apart as names need.

    ``teff`` [K]; hydrogen's lines come last, in hot stars alone.
    """
    if (table := atomic_lines(band)) is None:
        return []
    strength = table["strength"][:, np.abs(table["strength_temperature"] - teff).argmin()]
    vacuum_aa = vacuum_from_air(table["wavelength_aa"])
    chosen: list[tuple[str, float]] = []
    for i in np.argsort(-strength):
        place = float(vacuum_aa[i])
        room = all(abs(place - other) > ROOM * (high_aa - low_aa) for _, other in chosen)
        if strength[i] > NAMED_STRENGTH and low_aa < place < high_aa and room:
            chosen.append((ion_name(int(table["atomic_number"][i]), int(table["charge"][i])), place))
    if teff >= PASCHEN_TEFF:
        hydrogen = load("hydrogen_profiles")
        places = dict(zip(hydrogen["upper_all"].tolist(), hydrogen["vacuum_wavelength_aa"], strict=True))
        named = ((f"Pa {upper}", float(places[upper])) for upper in PASCHEN)
        chosen += [(name, place) for name, place in named if low_aa < place < high_aa]
    return chosen


def name_lines(axes, spectrum, band: Band | None, teff: float | None, velocity_kms: float = 0.0) -> None:
    """Name the strongest lines in axes that show ``spectrum``: metals above it, hydrogen below.

    The star moves with ``velocity_kms`` in the spectrum's frame; without a ``teff`` [K] nothing is named.
    """
    if teff is None:
        return
    factor = np.sqrt((1 + velocity_kms / SPEED_OF_LIGHT_KMS) / (1 - velocity_kms / SPEED_OF_LIGHT_KMS))
    ends = spectrum.to_vacuum().wavelength[[0, -1]] / factor
    low, high = axes.get_ylim()
    named = strongest(band, teff, *ends)
    for name, vacuum_aa in named:
        place = from_vacuum(vacuum_aa * factor, spectrum.medium)
        mark(axes, float(place), name, low, high, below=name.startswith("Pa"))
    room = MARGIN * (high - low)
    below = any(name.startswith("Pa") for name, _ in named)
    axes.set_ylim(low - room * below, high + room * bool(named))


def mark(axes, place: float, name: str, low: float, high: float, below: bool) -> None:
    """A tick and a ``name`` in axes at a line's ``place`` [A], above ``high`` or ``below`` ``low`` [flux]."""
    outwards = TICK * (high - low) * (-1 if below else 1)
    start, colour, side = (low, BLUE, "top") if below else (high, ORANGE, "bottom")
    axes.plot([place, place], [start, start + outwards], color=colour, linewidth=0.8, clip_on=True)
    style = {"fontsize": 7, "ha": "center", "rotation": 90, "clip_on": True}
    axes.text(place, start + 1.5 * outwards, name, color=colour, va=side, **style)
