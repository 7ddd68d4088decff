"""The packaged model ``default``: against synthesis, and what its labels do when they are not given."""

import numpy as np
import pytest

import starloom
from starloom import bands
from starloom.errors import ConfigError, OutOfRangeError
from starloom.io import open_labels
from starloom.networks.generator import Generator, loaded

SUN = {"teff": 5777, "logg": 4.44, "vsini": 3, "mh": 0.0, "vmic": 1.0, "resolution": 11500}


@pytest.fixture(scope="module")
def stars():
    return loaded()


def test_a_call_of_six_labels_has_solar_ratios_and_no_chromosphere():
    plain, told = (starloom.generate(**SUN, **given) for given in ({}, {"alpha": 0, "Ca": 0, "filling": 0}))
    assert np.array_equal(plain.flux, told.flux)
    assert plain.labels["Ca"] == plain.labels["alpha"] == plain.labels["filling"] == 0
    before = starloom.generate(model="default-2026-lte", **SUN)
    # another list of lines, Ca II out of LTE: near each other, but not the same
    assert 5e-4 < np.abs(plain.flux - before.flux).mean() < 6e-3


def test_elements_follow_alpha_and_fill_the_cores(stars):
    rich = starloom.generate(**SUN, alpha=0.3)
    assert rich.labels["Mg"] == 0.3
    assert rich.labels["Ni"] == 0
    filled = starloom.generate(**SUN, filling=0.1)
    plain = starloom.generate(**SUN)
    rise = filled.flux - plain.flux
    core = np.abs(plain.wavelength - 8542.09).argmin()
    assert 0.06 < rise[core] < 0.1
    assert rise[np.abs(plain.wavelength - 8600).argmin()] == pytest.approx(0, abs=1e-5)


def test_what_is_outside_is_said(stars):
    with pytest.raises(OutOfRangeError, match=r"^C = 0.4 dex is above 0.2 dex: \[C/O\] is at most 0.2$"):
        starloom.generate(**SUN, C=0.4)
    with pytest.raises(OutOfRangeError, match=r"^Ca is 0.6 dex from its default"):
        starloom.generate(**SUN, Ca=0.6)
    with pytest.raises(ConfigError, match=r"unknown label alpha: .*; model 'default' has alpha$"):
        starloom.generate(model="default-2026-lte", **SUN, alpha=0.3)


def test_it_states_errors_and_those_of_its_physics(stars):
    labels = stars.domain.array(**SUN)
    own, physics = stars.error(labels), stars.physics_error(labels)
    assert 2e-5 < own.mean() < 1e-3 < physics.mean() < 2e-2
    metal_poor = stars.error(stars.domain.array(**{**SUN, "teff": 3400, "mh": 1.2}))
    assert metal_poor.mean() > 3 * own.mean()


@pytest.mark.parametrize(
    ("labels", "most"),
    [
        ({**SUN}, 4e-4),
        ({**SUN, "teff": 4500, "logg": 1.2, "mh": -2.0, "vmic": 2.0, "alpha": 0.4, "Ca": 0.6}, 1e-3),
    ],
)
def test_it_is_near_the_synthesis_that_it_learned(labels, most):
    """Mean difference at its own points; Ca II out of LTE, lines as calibrated."""
    synthesis = pytest.importorskip("starloom.synthesis")
    from starloom.broadening import finish_of, keep

    band = bands.load("rvs", "calibrated")
    known = {name: value for name, value in labels.items() if name not in ("vsini", "resolution")}
    made = synthesis.normalised(
        band, nlte=("Ca II",), **{name: np.array([float(value)]) for name, value in known.items()}
    )
    kept = keep(made, band).reshape(1, -1)
    wanted = finish_of(band)(kept, np.array([3.0]), np.array([11500.0]))[0]
    found = starloom.generate(**labels).flux
    assert np.abs(found - wanted).mean() < most


def test_a_column_ca_is_told_to_be_no_label(stars, tmp_path):
    """Only as ``Ca`` is it an abundance; what is not taken is said."""
    (tmp_path / "stars.csv").write_text(
        "teff,logg,vsini,mh,vmic,resolution,alpha,ca,kind\n5777,4.4,2,0,1,9000,0.3,0.2,1\n"
    )
    table = open_labels(tmp_path / "stars.csv", stars.domain, {}, complete=False)
    assert table.unknown == ["ca"]
    (part,) = table.parts()
    assert part.labels[0, stars.domain.index("Ca")] == 0.3


def test_fewer_labels_are_the_same_model(stars):
    few = stars.only("teff", "logg", "mh", "vmic", "vsini", "resolution", "alpha")
    labels = few.domain.array(**SUN, alpha=0.2)
    assert isinstance(few, Generator)
    np.testing.assert_allclose(few.flux(labels), stars.flux(stars.domain.array(**SUN, alpha=0.2)), atol=3e-6)
