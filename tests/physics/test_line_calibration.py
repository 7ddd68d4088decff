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
from starloom.synthesis.band import band_lines, unidentified
from starloom.synthesis.lines import Line, report

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


def test_lines_that_no_list_has_are_not_told_as_iron():
    added = unidentified(CALIBRATED)
    assert np.isin(added, np.asarray(band_lines(CALIBRATED).wavelength)).sum() > 0.9 * added.size > 30
    assert not np.isin(unidentified(CALIBRATED), np.asarray(band_lines(RVS).wavelength)).any()
    assert unidentified(RVS).size == 0
    lines = [Line(name, 8500.0, -1.0, 5.8, 0.1, 0.95) for name in ("?", "Fe I")]
    assert report(lines, (8490, 8510)).splitlines()[-1].startswith("?: seen in the Sun")
    assert "?" not in report(lines[1:], (8490, 8510))


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


PART = RVS.cut("part", 8608.0, 8622.0)


def visible(calibrators, known, least) -> np.ndarray:
    """Lines of the part that the Sun shows well within it."""
    place = calibrators.line_places_aa(known)
    plain = calibrators.Sun(PART, np.zeros(0))
    strength = plain.solved(plain.start, known).strengths
    inside = (place > PART.edges_aa[0] + 2) & (place < PART.edges_aa[1] - 2)
    return np.flatnonzero(inside & (strength > least))


def search_of(calibrate, calibrators, listed, truth):
    """A search where the atlas is what the true lines give."""
    plain = calibrators.Sun(PART, np.zeros(0))
    flux = plain.solved(plain.start, truth).normalized(truth)

    @dataclass(frozen=True, eq=False)
    class Known(calibrators.Sun):
        """The Sun as synthesised."""

        def observed(self, unknowns):
            """What the true lines give."""
            return self.seen(self.start, flux)

    return calibrate.Search(PART, (Known(PART, np.zeros(0)),), listed, calibrate.qualities(PART))


def test_calibration_finds_what_was_changed(calibrate):
    """An atlas synthesised with other strengths gives them back."""
    import calibrators

    listed = LineList(*(np.asarray(column) for column in band_lines(PART)))
    known = calibrate.slotted(listed)
    chosen = visible(calibrators, known, 0.3)
    assert len(chosen) > 3
    change = np.zeros(len(known.charge))
    change[chosen] = np.where(np.arange(len(chosen)) % 2, 0.15, -0.15)
    truth = known._replace(log_gf=known.log_gf + change)
    search = search_of(calibrate, calibrators, listed, truth)
    state = calibrate.Calibration.begun(search.groups(), search.calibrators).fitted(3, lambda text: None)
    found = state.shipped.log_gf - known.log_gf
    # the prior of 0.1-0.3 dex and weaker neighbours take a little of it
    assert np.abs(found - change)[chosen].max() < 0.04
    assert np.array_equal(state.shipped.wavelength, known.wavelength)
    assert np.sqrt(np.mean(state.residual() ** 2)) < 1e-3


def test_line_that_the_sun_has_not(calibrate):
    """One listed far too strong is removed with the reason, as by the plan for bands of many chunks."""
    import calibrators

    listed = LineList(*(np.asarray(column) for column in band_lines(PART)))
    known = calibrate.slotted(listed)
    (wrong,) = visible(calibrators, known, 0.3)[[0]]
    log_gf = known.log_gf.copy()
    log_gf[wrong] = -9.0
    search = search_of(calibrate, calibrators, listed, known._replace(log_gf=log_gf))
    state, refused = replace(search, plan=calibrate.MANY).on_the_sun(report=lambda text: None)
    told = calibrate.rows(state, refused, PART)
    removed = [row for row in told if row["origin"] == "removed"]
    places = [row["wavelength_aa"] for row in removed]
    assert calibrators.air_from_vacuum(calibrators.line_places_aa(known)[wrong]) == pytest.approx(places[0])
    assert all(row["log_gf_change"] == calibrate.REMOVED and row["reason"] for row in removed)
    assert len(removed) == 1
    assert not refused
    assert np.sqrt(np.mean(state.residual() ** 2)) < 2e-3


def test_too_far_is_up_and_too_strong_is_down(calibrate):
    """What is missing cannot be less than what is listed: the two are treated apart."""
    import groups

    lines = LineList(*(np.asarray(column)[:4] for column in band_lines(RVS)))
    quality = np.array(["abo", "abo", "computed", "unidentified"], "<U12")
    made = groups.Groups(lines, np.arange(4), np.full((3, 4), 0.1), np.ones(4), quality)
    change = np.zeros((3, 4))
    change[0] = 0.35, -0.35, 0.25, -1.0
    state = calibrate.Calibration(made, (), change, ())
    assert calibrate.too_far(state) == {0}
    assert calibrate.too_strong(state) == {1}


def test_unidentified_lines_are_not_crowded(calibrate):
    """A chunk's share of a hundred Angstrom is what it shows of it."""
    part = RVS.cut("part", 8490.0, 8730.0)
    hundred, share = calibrate._hundreds(np.array([8495.0, 8550.0, 8650.0, 8720.0]), part)
    assert hundred.tolist() == [84, 85, 86, 87]
    assert share[[1, 2]].tolist() == pytest.approx([1.0, 1.0])
    assert 0.1 < share[0] < 0.35
    assert 0.3 < share[3] < 0.55


def test_masks(calibrate, tmp_path):
    """Ranges and cores in air, as vacuum wavelengths; nothing is learned there."""
    import calibrators

    path = tmp_path / "masks.toml"
    path.write_text("ranges_aa = [[8609, 8611]]\ncores_aa = [[8618.0, 0.5]]\n")
    masked = calibrators.read_masks(path)
    sun = calibrators.Sun(PART, np.zeros(0), masked_aa=masked)
    air = calibrators.air_from_vacuum(sun.wavelength_aa)
    hidden = ((air > 8609) & (air < 8611)) | (np.abs(air - 8618) < 0.5)
    assert np.all(sun.weight[hidden] == 0)
    assert np.all(sun.weight[~hidden & (air > 8612) & (air < 8617)] > 0)


def test_small_changes_are_not_written(calibrate):
    """What differs from the list by less than asked is left out, whatever is not calibrated is kept."""
    rows = [
        {"origin": "calibrated", "log_gf_change": 0.004, "log_waals_change": ""},
        {"origin": "calibrated", "log_gf_change": 0.004, "log_waals_change": 0.05},
        {"origin": "calibrated", "log_gf_change": -0.2, "log_waals_change": ""},
        {"origin": "listed", "log_gf_change": 0.0, "log_waals_change": ""},
    ]
    assert calibrate.changed(rows, 0.01) == rows[1:]
    assert calibrate.changed(rows, 0.0) == rows


def test_the_strongest_of_a_hundred(calibrate):
    """Where two chunks meet the strongest unidentified lines are kept, and every other line."""
    new = [{"origin": "unidentified", "wavelength_aa": 8700.5 + n, "strength": 0.1 * n} for n in range(4)]
    rows = [*new, {"origin": "listed", "wavelength_aa": 8700.0, "strength": ""}]
    assert calibrate.thinned(rows, 2) == rows[2:]
    assert calibrate.thinned(rows, np.inf) == rows
