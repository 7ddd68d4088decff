"""What the page must know beside the weights: taken from the package, so that nothing is written twice.

The page draws whatever labels and band are told here; this is the only place that knows today's.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import floor, log10
from typing import Any

import numpy as np

from starloom import __version__
from starloom.broadening import KAISER_SHAPE, KEPT_GRID_AA, TAPS, uniform_step
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.labels import CORNER_LOGG, CORNER_MH, CORNER_TEFF, LABELS, NAMES
from starloom.networks.emulator import Emulator, RotationTable
from starloom.networks.paper import PAPER_POINTS
from starloom.networks.weights import Header, LabelRange, Points
from starloom.physics.species import ion_name
from starloom.tables import load

VELOCITY_KMS = (-400.0, 400.0)  # of the page's slider; the model's range of wavelengths bounds what is drawn
NAMED_STRENGTH = 0.3  # opacity of a line's centre over the continuum's, below which it is not named
PASCHEN = range(9, 23)  # upper levels of the hydrogen lines that the synthesis has
PASCHEN_TEFF = 6000.0  # K; in cooler stars the Paschen lines are not what one sees
WINDOWS = {"Ca II 8498": 8498.02, "8542": 8542.09, "8662": 8662.14}  # air [A], where the page has buttons
WINDOW_WIDTH_AA = 40.0

# teff [K], logg, vsini [km/s], mh, vmic [km/s], resolution; Arcturus has log g 1.7, below the domain
PRESETS = {
    "Sun": (5777, 4.44, 2, 0.0, 1.0, 11500),
    "Arcturus-like giant": (4290, 2.0, 2, -0.5, 1.7, 11500),
    "Vega-like A0": (9600, 4.0, 22, -0.5, 2.0, 11500),
    "B8 dwarf": (12000, 4.0, 150, 0.0, 2.0, 11500),
    "Figure 1 of Gebran (2024)": (9950, 3.5, 2, 0.5, 1.3, 11500),
}
SUN = dict(zip(NAMES, PRESETS["Sun"], strict=True))
# where the first estimate of an observed spectrum begins, beside the sliders' place
STARTS = (
    {"teff": 4200, "logg": 4.6, "mh": 0, "vmic": 1},
    {"teff": 4500, "logg": 2.4, "mh": -0.3, "vmic": 1.5},
    {"teff": 5800, "logg": 4.3, "mh": 0, "vmic": 1},
    {"teff": 7500, "logg": 4, "mh": 0, "vmic": 2},
    {"teff": 10500, "logg": 4, "mh": 0, "vmic": 2},
)
BROADENING = ("vsini", "resolution")  # the labels that are applied exactly; a network learns the others

# How a label is shown: symbol in HTML, step of its slider, digits of an estimate, its value in words, its
# letter in file names, other names in links. What is not here is worked out from the label by `_shown`.
SHOWN: Mapping[str, Mapping[str, Any]] = {
    "teff": {
        "html": "<i>T</i><sub>eff</sub>",
        "step": 10,
        "digits": 0,
        "words": "{} K",
        "letter": "t",
        "aliases": ["Teff"],
    },
    "logg": {"html": "log <i>g</i>", "step": 0.01, "digits": 2, "letter": "g"},
    "vsini": {"html": "<i>v</i> sin <i>i</i>", "step": 1, "digits": 1, "letter": "v"},
    "mh": {"step": 0.01, "digits": 2, "letter": "m"},
    "vmic": {"html": "<i>v</i><sub>mic</sub>", "step": 0.05, "digits": 2, "letter": None},
    "resolution": {"html": "<i>R</i>", "step": 100, "digits": 0, "letter": None, "aliases": ["R"]},
}
VELOCITY = {
    "name": "rv",
    "symbol": "radial velocity",
    "html": "RV",
    "unit": "km/s",
    "low": VELOCITY_KMS[0],
    "high": VELOCITY_KMS[1],
    "description": "radial velocity, positive away from us",
    "default": 0.0,
    "step": 1,
    "digits": 1,
    "words": "RV {}",
    "signed": False,
    "aliases": ["radial_velocity"],
}


def facts(emulator: Emulator, header: Header, kept_aa: np.ndarray = KEPT_GRID_AA) -> dict[str, Any]:
    """Everything of the page's ``facts.json`` but the model's own file, as plain data.

    ``header`` is that of the weights file, whose labels and points the page shows; ``kept_aa`` the grid,
    uniform in ln(wavelength), whose modes the network gives.
    """
    names = header.names
    corner = {"teff", "logg", "mh"} <= set(names)
    return {
        "version": __version__,
        "labels": [_shown(label) for label in header.labels],
        "intrinsic": [name for name in names if name not in BROADENING],
        "velocity": VELOCITY,
        "roles": _roles(header),
        "corner": {"teff": CORNER_TEFF, "mh": CORNER_MH, "logg": CORNER_LOGG} if corner else None,
        "speed_of_light_kms": SPEED_OF_LIGHT_KMS,
        "finish": _finish(emulator, kept_aa, "vsini" in names),
        "python_points": _python_points(header.points),
        "presets": list(_presets(header.labels)),
        "starts": [{name: start[name] for name in start if name in names} for start in STARTS],
        "windows": {"width_aa": WINDOW_WIDTH_AA, "lines": _windows(header.points)},
        "lines": _lines(),
    }


def _shown(label: LabelRange) -> dict[str, Any]:
    """A label's range and unit with all that sliders, links, legend and files need."""
    known = next((vars(each) for each in LABELS if each.name == label.name), {})
    symbol = known.get("symbol", label.name)
    step = 10.0 ** floor(log10((label.high - label.low) / 50))
    return {
        "symbol": symbol,
        "description": known.get("description", label.name),
        "html": None,  # the symbol as it is
        "step": step,
        "digits": max(0, -floor(log10(step))),
        "words": f"{symbol} {{}}",
        "signed": label.unit == "dex" and label.low < 0 < label.high,
        "letter": label.name,
        "aliases": [],
        "default": _usual(label),
        "fitted": label.name != "resolution",
        **vars(label),
        **SHOWN.get(label.name, {}),
    }


def _usual(label: LabelRange) -> float:
    """The Sun's value, or none of what the label counts, or the middle of the range."""
    wanted = SUN.get(label.name, 0.0)
    return wanted if label.low <= wanted <= label.high else (label.low + label.high) / 2


def _roles(header: Header) -> dict[str, Any]:
    """The labels that the page treats by their meaning, and the value that holds where a model has none."""
    finest = header.settings["modes_resolution"]
    otherwise = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vsini": 0.0, "resolution": finest}
    return {
        role: {"label": role if role in header.names else None, "otherwise": value}
        for role, value in otherwise.items()
    }


def _presets(labels: Sequence[LabelRange]) -> Iterator[dict[str, Any]]:
    """Stars that lie in the ranges; what they say nothing about is as usual."""
    for name, row in PRESETS.items():
        known = dict(zip(NAMES, row, strict=True))
        star = {label.name: known.get(label.name, _usual(label)) for label in labels}
        if all(label.low <= star[label.name] <= label.high for label in labels):
            yield {"name": name, **star}


def _windows(points: Points) -> list[dict[str, Any]]:
    first, last = points.first_aa, points.last_aa
    return [{"name": name, "air_aa": line} for name, line in WINDOWS.items() if first < line < last]


def _python_points(points: Points) -> dict[str, str]:
    """How a Python call names the model's points: what it imports, and the expression."""
    if points == PAPER_POINTS:
        return {"module": "starloom.wavelength", "imports": "PAPER_GRID_AA", "points": "PAPER_GRID_AA"}
    space = "linspace" if points.spacing == "linear" else "geomspace"
    call = f"{space}({points.first_aa!r}, {points.last_aa!r}, {points.count})"
    return {"module": "numpy", "imports": space, "points": call}


def _finish(emulator: Emulator, kept_aa: np.ndarray, rotates: bool) -> dict[str, Any]:
    """The broadening's numbers: ``broadening.finish_onto`` and ``emulator.RotationTable``."""
    finish = emulator.finish
    return {
        "modes": finish.frequency.size,
        "frequency_step": float(finish.frequency[1]),  # cycles per km/s
        "points": finish.points,
        "first_aa": float(kept_aa[0]),
        "last_aa": float(kept_aa[-1]),
        "step_kms": uniform_step(kept_aa) * kept_aa.size / finish.points,
        "taps": TAPS,
        "kaiser_shape": KAISER_SHAPE,
        "rotation": _rotation(emulator.rotation) if rotates else None,
    }


def _rotation(table: RotationTable) -> dict[str, Any]:
    coefficients = [coefficient.tolist() for coefficient in table.coefficients]
    return {"step": table.step, "coefficients": coefficients}


def _lines() -> Mapping[str, Any]:
    """Lines that may carry a name: atoms by their strength at some temperatures, and hydrogen's."""
    table, hydrogen = load("atomic_lines"), load("hydrogen_profiles")
    strength = table["strength"]
    atoms = [
        {
            "species": ion_name(int(table["atomic_number"][i]), int(table["charge"][i])),
            "air_aa": float(table["wavelength_aa"][i]),
            "log_gf": float(table["log_gf"][i]),
            "energy_low_ev": float(table["energy_low_ev"][i]),
            "log_strength": np.log10(np.maximum(strength[i], 1e-6)).round(2).tolist(),
        }
        for i in np.flatnonzero(strength.max(axis=1) > NAMED_STRENGTH)
    ]
    paschen = [
        {
            "species": f"Pa {upper}",
            "vacuum_aa": float(hydrogen["vacuum_wavelength_aa"][place]),
            "log_gf": float(hydrogen["log_gf"][place]),
        }
        for place, upper in enumerate(hydrogen["upper_all"].tolist())
        if upper in PASCHEN
    ]
    return {
        "temperatures": table["strength_temperature"].tolist(),
        "named_log_strength": float(np.log10(NAMED_STRENGTH)),
        "hydrogen_from_teff": PASCHEN_TEFF,
        "atoms": atoms,
        "hydrogen": paschen,
    }
