"""The layers of the transfer: a spline through those of a structure, close enough for the light."""

import re
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from starloom.atmosphere import LAYERS, Atmosphere, on_layers
from starloom.atmosphere.layers import DEEPEST, cubic_spline
from starloom.errors import OutOfRangeError
from starloom.synthesis import photosphere, synthesize


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def test_spline():
    """SciPy's, not-a-knot, on nodes at any distance, and beyond neither end."""
    rng = np.random.default_rng(1)
    x, at = np.sort(rng.uniform(0, 1, 30)), rng.uniform(0, 1, 200).clip(0.05, 0.95)
    y = rng.normal(size=(30, 2))
    at = np.append(at.clip(x[0], x[-1]), x[[0, -1]])
    assert np.asarray(cubic_spline(x, y, at)) == pytest.approx(CubicSpline(x, y)(at), rel=1e-9, abs=1e-9)


def test_layers_of_a_structure(structures):
    star = structures["sun"]
    found = on_layers(star)
    x, at = np.asarray(star.log_tau), np.asarray(found.log_tau)
    assert at.shape == (LAYERS,)
    assert (at[0], at[-1]) == pytest.approx((x[0], DEEPEST))
    assert np.diff(at).max() < 0.33
    assert np.diff(at)[at[1:] > -1].max() < 0.18
    for name in ("temperature", "gas_pressure", "column_mass"):
        expected = np.exp(CubicSpline(x, np.log(np.asarray(getattr(star, name))))(at))
        assert np.asarray(getattr(found, name)) == pytest.approx(expected, rel=1e-9)


def test_a_shallow_structure_ends_where_it_ends(structures):
    star = structures["sun"]
    shallow = Atmosphere(
        *(
            np.asarray(getattr(star, name))[8:-8]
            for name in ("log_tau", "column_mass", "temperature", "gas_pressure")
        )
    )
    at = np.asarray(on_layers(shallow).log_tau)
    assert (at[0], at[-1]) == pytest.approx((-5.875, 0.5))


def test_a_structure_that_ends_where_light_comes_from_is_refused(structures):
    """Nothing is known of what lies below: it was guessed from the last layers."""
    star = structures["sun"]
    names = ("log_tau", "column_mass", "temperature", "gas_pressure")
    last = int(np.searchsorted(star.log_tau, 0.7)) - 1
    shallow = Atmosphere(*(np.asarray(getattr(star, n))[: last + 1] for n in names), source="sun.mod")
    told = f"sun.mod: log_tau = {star.log_tau[last]:.2f} in the last layer is above 0.7"
    with pytest.raises(OutOfRangeError, match=re.escape(told)):
        photosphere(shallow, mh=0.0, vmic=1.0)


@pytest.mark.parametrize("name", ["sun", "cool poor giant", "A star", "cool rich dwarf"])
def test_layers_are_enough(structures, name, monkeypatch):
    """Against layers eight times as close: 1.5e-3 at full resolution, 3e-4 (rms), 1e-3 of the continuum."""
    star, given = structures[name], {"mh": float(structures[name].mh), "vmic": 1.0}
    found = synthesize(star, **given)
    module = sys.modules["starloom.synthesis.photosphere"]
    monkeypatch.setattr(module, "on_layers", lambda star: on_layers(star, 8 * LAYERS))
    fine = synthesize(star, **given)
    difference = np.asarray(found.normalized, float) - np.asarray(fine.normalized, float)
    assert np.abs(difference).max() < 1.5e-3
    assert np.sqrt(np.mean(difference**2)) < 1.5e-4
    assert np.asarray(found.continuum) == pytest.approx(np.asarray(fine.continuum), rel=5e-4)


def test_layers_a_user_brings_may_lie_anywhere(structures):
    """Every second and then every layer of a structure: the same spectrum to 2e-3 of the flux."""
    star = structures["sun"]
    chosen = np.r_[0:30:2, 30:68]
    columns = {
        name: np.asarray(getattr(star, name))[chosen]
        for name in ("log_tau", "column_mass", "temperature", "gas_pressure")
    }
    uneven = replace(Atmosphere(**columns), teff=star.teff, logg=star.logg)
    spectra = [synthesize(one, mh=0.0, vmic=1.0).normalized for one in (star, uneven)]
    assert np.asarray(spectra[0]) == pytest.approx(np.asarray(spectra[1]), abs=2e-3)


def test_strengths_are_those_where_the_continuum_forms(structures):
    """Between the two layers around optical depth 2/3."""
    solved = photosphere(structures["sun"], mh=0.0, vmic=1.0)
    log_tau = np.asarray(solved.atmosphere.log_tau)
    below = np.searchsorted(log_tau, np.log10(2 / 3))
    peak = np.asarray(solved.gas.profile.peak)[below - 1 : below + 1]
    nodes = np.asarray(solved.gas.continua[0].absorption + solved.gas.continua[0].scattering)
    ratio = peak / solved.arrays.at_lines([nodes])[below - 1 : below + 1]
    strengths = solved.line_strengths
    assert (strengths >= ratio.min(axis=0) * (1 - 1e-6)).all()
    assert (strengths <= ratio.max(axis=0) * (1 + 1e-6)).all()
