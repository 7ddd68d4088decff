"""What the page must know beside the weights: taken from the package, so that nothing is written twice."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from starloom import __version__
from starloom.broadening import (
    KAISER_SHAPE,
    KEPT_GRID_AA,
    KEPT_RESOLUTION,
    TAPS,
    uniform_step,
)
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.labels import CORNER_LOGG, CORNER_MH, CORNER_TEFF, LABELS, NAMES
from starloom.networks.emulator import INTRINSIC_NAMES, Emulator
from starloom.physics.species import ion_name
from starloom.tables import load
from starloom.wavelength import AIR_RANGE_AA

VELOCITY_KMS = (-400.0, 400.0)  # of the page's slider; the model's range of wavelengths bounds what is drawn
NAMED_STRENGTH = 0.3  # opacity of a line's centre over the continuum's, below which it is not named
PASCHEN = range(9, 23)  # upper levels of the hydrogen lines that the synthesis has
PASCHEN_TEFF = 6000.0  # K; in cooler stars the Paschen lines are not what one sees

# teff [K], logg, vsini [km/s], mh, vmic [km/s], resolution; Arcturus has log g 1.7, below the domain
PRESETS = {
    "Sun": (5777, 4.44, 2, 0.0, 1.0, 11500),
    "Arcturus-like giant": (4290, 2.0, 2, -0.5, 1.7, 11500),
    "Vega-like A0": (9600, 4.0, 22, -0.5, 2.0, 11500),
    "B8 dwarf": (12000, 4.0, 150, 0.0, 2.0, 11500),
    "Figure 1 of Gebran (2024)": (9950, 3.5, 2, 0.5, 1.3, 11500),
}


def facts(emulator: Emulator) -> dict[str, Any]:
    """Everything of the page's ``facts.json`` but the model's own file, as plain data."""
    return {
        "version": __version__,
        "labels": [vars(label) for label in LABELS],
        "intrinsic": list(INTRINSIC_NAMES),
        "velocity": {"low": VELOCITY_KMS[0], "high": VELOCITY_KMS[1]},
        "corner": {"teff": CORNER_TEFF, "mh": CORNER_MH, "logg": CORNER_LOGG},
        "speed_of_light_kms": SPEED_OF_LIGHT_KMS,
        "air_range_aa": AIR_RANGE_AA,
        "finish": _finish(emulator),
        "presets": [{"name": name, **dict(zip(NAMES, row, strict=True))} for name, row in PRESETS.items()],
        "lines": _lines(),
    }


def _finish(emulator: Emulator) -> dict[str, Any]:
    """The broadening's numbers: ``broadening.finish_onto`` and ``emulator.RotationTable``."""
    finish, rotation = emulator.finish, emulator.rotation
    return {
        "modes": finish.frequency.size,
        "frequency_step": float(finish.frequency[1]),  # cycles per km/s
        "points": finish.points,
        "first_aa": float(KEPT_GRID_AA[0]),
        "last_aa": float(KEPT_GRID_AA[-1]),
        "step_kms": uniform_step(KEPT_GRID_AA) * KEPT_GRID_AA.size / finish.points,
        "kept_resolution": KEPT_RESOLUTION,
        "taps": TAPS,
        "kaiser_shape": KAISER_SHAPE,
        "rotation": {
            "step": rotation.step,
            "coefficients": [coefficient.tolist() for coefficient in rotation.coefficients],
        },
    }


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
