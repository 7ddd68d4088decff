"""Atomic lines as listed and as calibrated: what differs, what may not; a calibration finds the truth."""

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from starloom import bands, tables
from starloom.bands import Band
from starloom.database import recipe
from starloom.errors import ConfigError
from starloom.physics.linelist import LineList, calibrated
from starloom.synthesis.band import band_lines

RVS, CALIBRATED = bands.load("rvs"), bands.load("rvs", "calibrated")
DATA = Path(__file__).resolve().parents[2] / "data" / "atomic_lines"


@pytest.fixture(scope="module")
def listed():
    """The packaged table of lines."""
    return tables.load("atomic_lines", RVS.tables)


@pytest.fixture(scope="module")
def calibration():
    """What calibrating made of it."""
    return tables.load("line_calibration", RVS.tables)


@pytest.fixture(scope="module")
def calibrate():
    """The script that calibrates."""
    sys.path.insert(0, str(DATA))
    try:
        yield importlib.import_module("calibrate")
    finally:
        sys.path.remove(str(DATA))


def test_listed_is_the_default():
    """Nothing changes for who does not ask."""
    assert RVS.lines == "listed"
    assert "lines" not in RVS.mapping
    assert bands.load("rvs", "listed") == RVS
    assert Band.from_mapping(RVS.mapping) == RVS


def test_choice_travels():
    """A calibrated band says so in its mapping, in recipes, and in what its spectra depend on."""
    assert Band.from_mapping(CALIBRATED.mapping) == CALIBRATED != RVS
    tiny = recipe.load("tiny")
    other = replace(tiny, lines="calibrated")
    assert other.load_band() == CALIBRATED
    assert tiny.load_band() == RVS
    assert recipe.from_mapping(recipe.to_mapping(other)) == other
    assert other.digest != tiny.digest
    assert "lines" not in recipe.to_mapping(tiny)
    plain, more = (tables.synthesis_digests(RVS.tables, which) for which in (False, True))
    assert set(more) - set(plain) == {"line_calibration"}


@pytest.mark.parametrize("make", [lambda: bands.load("rvs", "best"), lambda: replace(RVS, lines="best")])
def test_unknown_choice(make):
    """Only what there is can be chosen."""
    with pytest.raises(ConfigError, match="lines = 'best' is none of listed, calibrated"):
        make()


def test_band_without_calibration(tmp_path, listed):
    """A band that has only listed lines says so."""
    np.savez(tmp_path / "atomic_lines.npz", **listed)
    with pytest.raises(ConfigError, match="not calibrated"):
        band_lines(replace(CALIBRATED, tables=str(tmp_path)))


def test_calibration_of_other_lines(listed, calibration):
    """A calibration is not put on a list that has changed since."""
    other = {**listed, "log_gf": listed["log_gf"] + 0.01}
    with pytest.raises(ConfigError, match="not made for these"):
        calibrated(other, calibration)


def test_what_stays(listed, calibration):
    """Ca II, what the Sun does not show, and lines that would move too far are as listed."""
    calcium = (listed["atomic_number"] == 20) & (listed["charge"] == 1) & (listed["log_gf"] > -2)
    names = calibration["origin_name"][calibration["origin"]]
    assert calcium.sum() >= 3
    still = calcium | (names == "not calibrated") | (names == "listed")
    for key in ("log_gf_change", "log_waals_change"):
        assert np.all(calibration[key][still] == 0.0)


def test_changes_are_expected_ones(calibration):
    """No change beyond three sigma of the widest prior (log gf 0.3, width 0.1 dex); each has an error."""
    done = calibration["origin"] == list(calibration["origin_name"]).index("calibrated")
    assert done.sum() > 500
    assert np.abs(calibration["log_gf_change"]).max() <= 0.9
    assert np.all(calibration["log_gf_error"][done] <= 0.3)
    assert np.abs(calibration["log_waals_change"]).max() <= 0.3


def test_unidentified_lines(calibration):
    """At most 45, apart from each other, Fe I-like, and in the calibrated list alone."""
    place = calibration["added_wavelength_aa"]
    assert 0 < len(place) <= 45
    assert np.diff(np.sort(place)).min() > 0.15
    assert np.all(calibration["added_energy_low_ev"] == 5.8)
    ours, theirs = band_lines(CALIBRATED), band_lines(RVS)
    assert len(ours.charge) == len(theirs.charge) + len(place)
    assert np.all(np.diff(ours.wavelength) >= 0)


class Asked(Exception):
    """Synthesis got as far as its band."""


def test_synthesize_takes_the_choice(monkeypatch):
    """``lines="calibrated"`` is the band's own choice."""
    from starloom.synthesis import photosphere, structure, synthesize

    def asked(band):
        raise Asked(band)

    monkeypatch.setattr(sys.modules[photosphere.__module__], "band_arrays", asked)
    sun = structure(5777.0, 4.44, 0.0, 1.0)
    for lines, band in (("calibrated", CALIBRATED), ("listed", RVS), (None, RVS)):
        with pytest.raises(Asked) as found:
            synthesize(sun, vmic=1.0, lines=lines)
        assert found.value.args == (band,)
    with pytest.raises(ConfigError, match="lines = 'best' is none of"):
        synthesize(sun, vmic=1.0, lines="best")


@pytest.mark.parametrize("band", [RVS, CALIBRATED])
def test_spectra_say_which_lines_they_have(band):
    """In their provenance, with the table's digest where it matters."""
    from starloom.synthesis import SyntheticSpectrum
    from starloom.synthesis.view import View

    ones = (np.ones(band.chunks[0].points),)
    told = View().observe(SyntheticSpectrum(ones, ones, band, {})).provenance
    assert told["lines"] == band.lines
    assert ("line_calibration" in told["tables"]) == (band is CALIBRATED)


def test_sets_do_not_overlap(calibrate):
    """Groups that are varied at once leave each other alone, and each is in one set."""
    random = np.random.default_rng([7, 1])
    place, reach = np.sort(random.uniform(8400, 8500, 60)), random.choice([1.2, 2.2, 4.0], 60)
    sets = calibrate.coloured(place, reach)
    assert sorted(np.concatenate(sets).tolist()) == list(range(60))
    for one in sets:
        gaps = np.abs(place[one, None] - place[one]) - (reach[one, None] + reach[one])
        assert np.all(gaps[~np.eye(len(one), dtype=bool)] > 0)


def test_calibration_finds_what_was_changed(calibrate):
    """An atlas synthesised with other strengths gives them back."""
    import calibrators

    part = RVS.cut("part", 8608.0, 8622.0)
    listed = LineList(*(np.asarray(column) for column in band_lines(part)))
    known = calibrate.slotted(listed)
    place = calibrators.line_places_aa(known)
    plain = calibrators.Sun(part, np.zeros(0))
    strength = plain.solved(plain.start, known).strengths
    inside = (place > part.edges_aa[0] + 2) & (place < part.edges_aa[1] - 2)
    chosen = np.flatnonzero(inside & (strength > 0.3))
    assert len(chosen) > 3
    change = np.zeros(len(place))
    change[chosen] = np.where(np.arange(len(chosen)) % 2, 0.15, -0.15)
    truth = known._replace(log_gf=known.log_gf + change)
    flux = plain.solved(plain.start, truth).normalized(truth)

    @dataclass(frozen=True, eq=False)
    class Known(calibrators.Sun):
        """The Sun as synthesised."""

        def observed(self, unknowns):
            """What the true lines give."""
            return self.seen(self.start, flux)

    search = calibrate.Search(part, (Known(part, np.zeros(0)),), listed, calibrate.qualities(part))
    state = calibrate.Calibration.begun(search.groups(), search.calibrators).fitted(3, lambda text: None)
    found = state.shipped.log_gf - known.log_gf
    # the prior of 0.1-0.3 dex and weaker neighbours take a little of it
    assert np.abs(found - change)[chosen].max() < 0.04
    assert np.array_equal(state.shipped.wavelength, known.wavelength)
    assert np.sqrt(np.mean(state.residual() ** 2)) < 1e-3
