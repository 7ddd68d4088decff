"""What the page must know beside the weights: taken from the package, so that nothing is written twice.

The page draws whatever labels and band are told here. They are those of the model's own file; what this
module knows beyond it are some stars, and how the labels that they have are shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import floor, inf, log10
from typing import Any

import numpy as np

from starloom import __version__
from starloom.bands import Band, Fade
from starloom.broadening import Finish
from starloom.broadening.filling import CORES_AA, FILLED_K, LABEL, RATIOS, UNFILLED_K, WIDTH_KMS
from starloom.broadening.samplers import KAISER_SHAPE, TAPS
from starloom.constants import ALPHA_ELEMENTS, SPEED_OF_LIGHT_KMS, SYMBOLS
from starloom.io.formats.gaia import FIRST_NM, NOISE_KMS, STEP_NM
from starloom.labels import Domain, Label
from starloom.networks.emulator import Emulator, RotationTable, network_names
from starloom.networks.weights import Header
from starloom.physics.species import ion_name
from starloom.spectrum.lines import NAMED_STRENGTH, atomic_lines, own_hydrogen
from starloom.tables import load
from starloom.wavelength import Points, vacuum_from_air

VELOCITY_KMS = (-400.0, 400.0)  # of the page's slider; the model's range of wavelengths bounds what is drawn
PASCHEN = range(9, 23)  # upper levels of the hydrogen lines that the synthesis has
PASCHEN_TEFF = 6000.0  # K; in cooler stars the Paschen lines are not what one sees
BALMER = {3: "Hα", 4: "Hβ", 5: "Hγ", 6: "Hδ"}  # by upper level
BALMER_TEFF = 4500.0  # K, likewise
NAMING = {"named_log_strength": log10(NAMED_STRENGTH), "hydrogen_from_teff": PASCHEN_TEFF}
WINDOWS = {"Ca II 8498": 8498.02, "8542": 8542.09, "8662": 8662.14}  # air [A], where the page has buttons
# the same of longer ranges; of multiplets the middle
LONG = {"Hγ": 4340.47, "Hβ": 4861.33, "Mg b": 5176.0, "Na D": 5892.94, "Hα": 6562.8, "Ca II": 8542.09}
WINDOW_WIDTH_AA = 40.0

# stars by the labels of the packaged model; Arcturus itself has log g 1.7, below that model's domain
PRESETS: Mapping[str, Mapping[str, float]] = {
    "Sun": {"teff": 5777, "logg": 4.44, "vsini": 2, "mh": 0.0, "vmic": 1.0, "resolution": 11500},
    "Arcturus-like giant": {
        "teff": 4290,
        "logg": 2.0,
        "vsini": 2,
        "mh": -0.5,
        "vmic": 1.7,
        "resolution": 11500,
    },
    "Vega-like A0": {"teff": 9600, "logg": 4.0, "vsini": 22, "mh": -0.5, "vmic": 2.0, "resolution": 11500},
    "B8 dwarf": {"teff": 12000, "logg": 4.0, "vsini": 150, "mh": 0.0, "vmic": 2.0, "resolution": 11500},
    "Figure 1 of Gebran (2024)": {
        "teff": 9950,
        "logg": 3.5,
        "vsini": 2,
        "mh": 0.5,
        "vmic": 1.3,
        "resolution": 11500,
    },
}
# further labels of those stars; Arcturus: about the mean of alpha elements in Ramírez & Allende Prieto (2011)
FURTHER: Mapping[str, Mapping[str, float]] = {"Arcturus-like giant": {"alpha": 0.3}}
SUN = PRESETS["Sun"]
# where the first estimate of an observed spectrum begins, beside the sliders' place, where the model has it
STARTS = (
    {"teff": 4200, "logg": 4.6, "mh": 0, "vmic": 1},
    {"teff": 4500, "logg": 2.4, "mh": -0.3, "vmic": 1.5},
    {"teff": 5800, "logg": 4.3, "mh": 0, "vmic": 1},
    {"teff": 7500, "logg": 4, "mh": 0, "vmic": 2},
    {"teff": 10500, "logg": 4, "mh": 0, "vmic": 2},
    {"teff": 5500, "logg": 3.5, "mh": -2, "vmic": 1.5},
)

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
    "alpha": {"html": "[&alpha;/M]", "step": 0.01, "digits": 2, "words": "[α/M] {}", "letter": "a"},
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


def facts(header: Header, chunks: Sequence[Emulator]) -> dict[str, Any]:
    """Everything of the page's ``facts.json`` but the model's own file, as plain data.

    ``header`` is that of the weights file, whose labels, points and band the page shows; ``chunks`` are the
    emulators of the band's chunks, in order.
    """
    domain, names = header.domain, header.names
    return {
        "version": __version__,
        "labels": [_shown(*each) | _element(each[0], domain) for each in domain.ranges],
        "intrinsic": domain.intrinsic.names,
        "velocity": VELOCITY,
        "roles": _roles(header),
        "floor": domain.mapping["floor"],
        "c_to_o": _carbon(domain),
        "former": tuple(SUN),  # of which links have pins without names
        "speed_of_light_kms": SPEED_OF_LIGHT_KMS,
        "finish": [
            {"network": name, **_finish(chunk.finish)}
            for name, chunk in zip(network_names(len(chunks)), chunks, strict=True)
        ],
        "filling": _filling() if LABEL in names else None,
        "rotation": _rotation(chunks[0].rotation) if "vsini" in names else None,  # chunks are of one step
        "presets": list(_presets(domain)),
        "starts": list(_starts(domain)),
        "gaia": {"first_aa": 10 * FIRST_NM, "step_aa": 10 * STEP_NM, "noise_kms": NOISE_KMS},
        "windows": {"width_aa": WINDOW_WIDTH_AA, "lines": _windows(header.points)},
        "lines": _lines(header.band),
    }


def _shown(label: Label, low: float, high: float) -> dict[str, Any]:
    """A label's range and unit with all that sliders, links, legend and files need."""
    power = floor(log10((high - low or 1.0) / 50))
    return {
        "name": label.name,
        "symbol": label.symbol,
        "unit": label.unit,
        "low": low,
        "high": high,
        "description": label.description,
        "html": None,  # the symbol as it is
        "step": 10.0**power,
        "digits": max(0, -power),
        "words": f"{label.symbol} {{}}",
        "signed": "/" in label.symbol,
        "letter": label.name,
        "aliases": [],
        "default": _usual(label, low, high),
        "fitted": label.name != "resolution" and low < high,
        **SHOWN.get(label.name, {}),
    }


def _element(label: Label, domain: Domain) -> dict[str, Any]:
    """Of an element: what it follows until it is moved, and how far from that it may be; it is not fitted."""
    if label.name not in SYMBOLS:
        return {"element": False}
    follows = "alpha" if label.name in ALPHA_ELEMENTS and "alpha" in domain.names else None
    spread = domain.spread.get(label.name)
    own = {"step": 0.01, "digits": 2, "default": label.default, "fitted": False}
    return {"element": True, "follows": follows, "spread": spread, **own}


def _carbon(domain: Domain) -> dict[str, Any] | None:
    """The highest [C/O] and the labels that it is about; oxygen follows alpha where it is no label itself."""
    if domain.c_to_o == inf:
        return None
    oxygen = next((name for name in ("O", "alpha") if name in domain.names), None)
    return {"carbon": "C", "oxygen": oxygen, "highest": domain.c_to_o}


def _usual(label: Label, low: float, high: float) -> float:
    """The Sun's value, or none of what the label counts, or the middle of the range."""
    wanted = SUN.get(label.name, 0.0)
    return wanted if low <= wanted <= high else (low + high) / 2


def _roles(header: Header) -> dict[str, Any]:
    """The labels that the page treats by their meaning, and the value that holds where a model has none."""
    still = {"vsini": 0.0, "vmac": 0.0, LABEL: 0.0, "resolution": header.settings["modes_resolution"]}
    otherwise = {name: SUN[name] for name in ("teff", "logg", "mh")} | still
    return {
        role: {"label": role if role in header.names else None, "otherwise": value}
        for role, value in otherwise.items()
    }


def _presets(domain: Domain) -> Iterator[dict[str, Any]]:
    """Stars that lie in the domain; what they say nothing about is as usual."""
    for name, own in PRESETS.items():
        known = {**own, **FURTHER.get(name, {})}
        usual = {
            label.name: _usual(label, *ends) for label, *ends in domain.ranges if label.name not in SYMBOLS
        }
        star = {each: known.get(each, value) for each, value in usual.items()}
        row = domain.array(**star)
        if domain.contains(row):
            yield {"name": name, **dict(zip(domain.names, row.tolist(), strict=True))}


def _starts(domain: Domain) -> Iterator[dict[str, float]]:
    """Stars that a fit begins with, by the labels that the model has; not those with fewer metals than it."""
    for start in STARTS:
        if "mh" not in domain.names or start["mh"] >= domain.only("mh").low[0]:
            yield {name: value for name, value in start.items() if name in domain.names}


def _windows(points: Points) -> list[dict[str, Any]]:
    chosen = WINDOWS if points.first_aa > LONG["Hα"] else LONG
    inside = {name: line for name, line in chosen.items() if points.first_aa < line < points.last_aa}
    return [{"name": name, "air_aa": line} for name, line in inside.items()]


def _finish(finish: Finish) -> dict[str, Any]:
    """The numbers of a chunk's broadening: ``broadening.finish_onto``."""
    grid, window = finish.whole, finish.window
    fades = {} if window is None else {"start": _fade(window.start), "stop": _fade(window.stop)}
    return fades | {
        "kept_aa": [finish.grid.first_aa, finish.grid.last_aa],
        "modes": finish.frequency.size,
        "frequency_step": float(finish.frequency[1]),  # cycles per km/s
        "points": finish.points,
        "first_aa": grid.first_aa,
        "last_aa": grid.last_aa,
        "step_kms": grid.step_kms * grid.points / finish.points,
        "taps": TAPS,
        "kaiser_shape": KAISER_SHAPE,
    }


def _fade(fade: Fade | None) -> dict[str, float] | None:
    """Where neighbours take over from each other, None at an end of the band."""
    return fade and asdict(fade)


def _filling() -> dict[str, Any]:
    """The emission in the cores of the Ca II triplet: ``broadening.filling``."""
    return {
        "cores_aa": CORES_AA,
        "ratios": RATIOS,
        "width_kms": WIDTH_KMS,
        "filled_k": FILLED_K,
        "unfilled_k": UNFILLED_K,
    }


def _rotation(table: RotationTable) -> dict[str, Any]:
    coefficients = [coefficient.tolist() for coefficient in table.coefficients]
    return {"step": table.step, "coefficients": coefficients}


def atoms(band: Band) -> list[list[dict[str, Any]]]:
    """Atomic lines that may carry a name, of each of a band's chunks, for what is sent with that chunk."""
    if (table := atomic_lines(band)) is None:
        return [[] for _ in band.chunks]
    chunk = np.searchsorted(band.edges_aa[1:-1], vacuum_from_air(table["wavelength_aa"]), side="right")
    return [_atoms(table, chunk == number) for number in range(len(band.chunks))]


def _lines(band: Band) -> Mapping[str, Any]:
    """Lines that may carry a name: hydrogen's, and of a band of one chunk its atoms by their strength."""
    table = atomic_lines(band)
    if table is None:
        return {"temperatures": [], "atoms": [], "hydrogen": []} | NAMING
    return {
        "temperatures": table["strength_temperature"].tolist(),
        "atoms": _atoms(table, True) if len(band.chunks) == 1 else [],
        "hydrogen": list(_hydrogen(band)),
    } | NAMING


def _atoms(table: Mapping[str, np.ndarray], chosen: np.ndarray | bool) -> list[dict[str, Any]]:
    """The strong ones of some lines, with the logarithms of their strengths at some temperatures."""
    strength = table["strength"]
    return [
        {
            "species": ion_name(int(table["atomic_number"][i]), int(table["charge"][i])),
            "air_aa": float(table["wavelength_aa"][i]),
            "log_gf": float(table["log_gf"][i]),
            "energy_low_ev": float(table["energy_low_ev"][i]),
            "log_strength": np.log10(np.maximum(strength[i], 1e-6)).round(2).tolist(),
        }
        for i in np.flatnonzero((strength.max(axis=1) > NAMED_STRENGTH) & chosen)
    ]


def _hydrogen(band: Band) -> Iterator[dict[str, Any]]:
    """Paschen lines, and the Balmer lines of a band with a table of its own hydrogen lines."""
    own = own_hydrogen(band)
    table = load("hydrogen_profiles") if own is None else own
    upper = table["upper_all" if own is None else "upper"].tolist()
    lower = [3] * len(upper) if own is None else own["lower"].tolist()
    for place, (low, high) in enumerate(zip(lower, upper, strict=True)):
        line = {
            "vacuum_aa": float(table["vacuum_wavelength_aa"][place]),
            "log_gf": float(table["log_gf"][place]),
        }
        if low == 3 and high in PASCHEN:
            yield {"species": f"Pa {high}", **line}
        elif low == 2 and high in BALMER:
            yield {"species": BALMER[high], **line, "lower": 2, "upper": high, "from_teff": BALMER_TEFF}
