"""Every public function that takes labels, elements or velocities: a wrong one is one line that names it."""

import numpy as np
import pytest

import starloom
from starloom import Generator, Spectrum
from starloom.broadening import broaden
from starloom.errors import StarloomError
from starloom.labels import TABLE_1

SUN = dict(zip(TABLE_1.names, (5777.0, 4.44, 2.0, 0.0, 1.0, 11500.0), strict=True))
NO_NUMBERS = {"text": "5000", "truth": True, "nothing": None, "letters": "warm", "complex": 1j, "nan": np.nan}
# a function of one wrong value and how the message begins
SPECTRUM = Spectrum([8500.0, 8501.0], [1.0, 1.0], medium="air")


def generator():
    return Generator.load("default-2026-lte")


def labels(value):
    """Six labels, the third of which is ``value``."""
    return [*list(SUN.values())[:2], value, *list(SUN.values())[3:]]


def synthesis():
    pytest.importorskip("jax")
    from starloom import synthesis

    return synthesis


def interpolated(value):
    synthesis()
    from starloom.atmosphere import interpolate

    return interpolate(5777.0, value, 0.0)


def forecast(value):
    pytest.importorskip("jax")
    from starloom.inference import forecast

    return forecast.forecast(generator(), value, forecast.Setting(snr=100.0))


def settings(**options):
    pytest.importorskip("scipy")
    from starloom.inference import Settings
    from starloom.inference.setup import Setup

    return Setup(generator(), Settings(**options))


TAKEN = {
    "generate": ("teff", lambda value: starloom.generate(**{**SUN, "teff": value})),
    "generate, velocity": ("radial_velocity", lambda value: starloom.generate(**SUN, radial_velocity=value)),
    "Generator.flux": ("labels|vsini", lambda value: generator().flux(labels(value))),
    "Generator.error": ("labels|vsini", lambda value: generator().error(labels(value))),
    "Generator.spectra": ("labels|vsini", lambda value: generator().spectra([labels(value)] * 2)),
    "Generator.spectrum": ("labels|vsini", lambda value: generator().spectrum(labels(value))),
    "Generator.spectrum, clip": (
        "labels|vsini",
        lambda value: generator().spectrum(labels(value), outside="clip"),
    ),
    "Generator.jacobian": ("labels|vsini", lambda value: generator().jacobian(labels(value))),
    "Domain.check": ("labels|vsini", lambda value: TABLE_1.check(labels(value))),
    "Spectrum": (
        "label teff|teff",
        lambda value: Spectrum([8500.0], [1.0], medium="air", labels={"teff": value}),
    ),
    "Spectrum.shift": ("velocity", SPECTRUM.shift),
    "synthesize_labels": ("vmic", lambda value: synthesis().synthesize_labels(5777.0, 4.44, 0.0, value)),
    "synthesize_labels, elements": (
        r"\[Fe/M\]|Fe",
        lambda value: synthesis().synthesize_labels(5777.0, 4.44, 0.0, 1.0, elements={"Fe": value}),
    ),
    "interpolate": ("logg", interpolated),
    "forecast": ("labels|vsini", lambda value: forecast(labels(value))),
    "Settings, fixed": ("logg", lambda value: settings(fixed={"logg": value})),
    "Settings, velocity": ("velocity", lambda value: settings(fixed={"velocity": value})),
    "broaden": ("vsini", lambda value: broaden(np.ones(100), 0.7, vsini=value)),
    "broaden, velocity": ("radial_velocity", lambda value: broaden(np.ones(100), 0.7, radial_velocity=value)),
}


@pytest.mark.parametrize("wrong", NO_NUMBERS)
@pytest.mark.parametrize("name", TAKEN)
def test_what_is_no_number_is_named(name, wrong):
    argument, call = TAKEN[name]
    with pytest.raises(StarloomError, match=rf"^(row \d.*: )?({argument})[ :]") as caught:
        call(NO_NUMBERS[wrong])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generator().spectrum([5777.0, 4.44]), r"labels have the shape \(2,\)"),
        (lambda: generator().flux(np.ones((3, 5))), r"labels have the shape \(3, 5\)"),
        (lambda: starloom.generate(**{**SUN, "teff": [5e3, 6e3], "mh": [0, 0, 0]}), "the labels' shapes"),
        (lambda: starloom.generate(**SUN, radial_velocity=[1.0, 2.0]), "radial_velocity has the shape"),
        (lambda: SPECTRUM.shift([1.0, 2.0]), r"velocity = \[1. 2.\] km/s is not one number"),
        (lambda: settings(fixed={"logg": [4.0, 4.1]}), r"logg has the shape \(2,\), expected one number"),
        (lambda: synthesis().synthesize_labels([5e3, 6e3], [4, 4, 4], 0, 1), "the labels' shapes"),
    ],
)
def test_wrong_shapes_are_named(call, message):
    with pytest.raises(StarloomError, match=f"^{message}") as caught:
        call()
    assert "\n" not in str(caught.value)
