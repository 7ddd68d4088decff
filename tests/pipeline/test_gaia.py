"""The Gaia archive by source id: answers as astroquery gives them, written here; nothing of a network."""

import sys
from io import BytesIO

import numpy as np
import pytest
from astropy.io import votable
from astropy.table import Table

import starloom
from starloom import examples, gaia
from starloom.errors import ArchiveError, ConfigError
from starloom.io import read_observed
from starloom.networks.generator import Generator

SUN, COOL, NONE = "2128215909315876352", "4294967297", "5"


class HTTPError(OSError):
    """As requests has it."""

    def __init__(self, code: int):
        super().__init__(f"Error {code}: the archive is tired")
        self.response = type("Response", (), {"status_code": code})()


class Archive:
    """A stand-in for ``astroquery.gaia.Gaia``: answers of two sources, failures first where wanted."""

    def __init__(self, *failures: OSError):
        self.failures, self.asked = list(failures), []
        generator = Generator.load()
        self.stars = {
            source: examples.observed(star, generator, seed=number)
            for number, (source, star) in enumerate(zip((SUN, COOL), examples.STARS, strict=False))
        }

    def load_data(self, ids, **options):
        assert isinstance(ids, list)
        print("a message of the server")
        self.asked.append((ids, options))
        if self.failures:
            raise self.failures.pop(0)
        return {f"RVS-Gaia DR3 {one}.xml": [self.answer(one)] for one in ids if one in self.stars}

    def answer(self, source: str) -> Table:
        """A table as it comes out of a VOTable, flux masked where there is none."""
        star, stream = self.stars[source], BytesIO()
        table = Table({"wavelength": np.round(star.wavelength / 10, 2)})
        table["wavelength"].unit = "nm"
        for name, values in (("flux", star.flux), ("flux_error", star.error)):
            table[name] = np.ma.masked_invalid(values.astype(np.float32))
        votable.from_table(table).to_xml(stream)
        stream.seek(0)
        return votable.parse_single_table(stream).to_table()


@pytest.fixture
def waits(monkeypatch, tmp_path):
    """What was waited, instead of waiting; a cache and a folder of the test's own."""
    waited = []
    monkeypatch.setattr(gaia, "sleep", waited.append)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return waited


@pytest.fixture
def archive(monkeypatch, waits):
    door = Archive()
    monkeypatch.setattr(gaia, "archive", lambda: door)
    return door


def test_spectra_by_source_id_are_kept(archive, capsys):
    first, second, again = gaia.spectra([int(SUN), f"Gaia DR3 {COOL}", SUN])
    assert np.array_equal(first.flux, archive.stars[SUN].flux.astype(np.float32), equal_nan=True)
    assert first == again
    assert (first.medium, first.frame, first.labels["resolution"]) == ("vacuum", "rest", 12400)
    assert first.provenance["source_id"] == SUN
    assert first.provenance["release"] == "Gaia DR3"
    assert second.mask.sum() == 163  # NaN where the archive has masked values
    assert [ids for ids, _ in archive.asked] == [[SUN, COOL]]
    options = archive.asked[0][1]
    assert options == {"data_release": "Gaia DR3", "retrieval_type": "RVS", "data_structure": "INDIVIDUAL"}
    assert gaia.spectra(SUN) == [first]
    assert len(archive.asked) == 1
    assert capsys.readouterr().out == ""  # what the server says is no result


def test_a_source_without_a_spectrum_is_told_and_the_others_are_kept(archive):
    with pytest.raises(ArchiveError, match=rf"^Gaia DR3: no RVS mean spectrum of {NONE} in the archive$"):
        gaia.spectra([NONE, SUN])
    assert gaia.fetch([SUN, NONE])[NONE] is None
    assert [ids for ids, _ in archive.asked] == [[NONE, SUN], [NONE]]


def test_many_are_asked_for_in_batches_with_a_pause_between(archive, waits, monkeypatch):
    monkeypatch.setattr(gaia, "BATCH", 1)
    monkeypatch.setattr(gaia, "monotonic", lambda: 100.0)
    told = []
    gaia.fetch([SUN, COOL, NONE], progress=told.append)
    assert [ids for ids, _ in archive.asked] == [[SUN], [COOL], [NONE]]
    assert waits == [0, gaia.APART, gaia.APART]
    assert told == [0, 1, 1, 1]


def test_it_is_asked_again_later_and_later(archive, waits):
    archive.failures = [ConnectionError("no route to host"), HTTPError(503), TimeoutError()]
    assert gaia.spectra(SUN)[0].provenance["source_id"] == SUN
    assert waits[1:] == [5, 10, 20]


@pytest.mark.parametrize(
    ("failures", "told", "asked"),
    [
        ([ConnectionError("no route to host")] * 4, "cannot be reached after 4 tries: no route to host", 4),
        ([HTTPError(404)], "cannot be reached: Error 404: the archive is tired", 1),
        ([HTTPError(429)] * 4, "after 4 tries: Error 429", 4),
    ],
)
def test_what_is_lasting_is_one_line(archive, failures, told, asked):
    gaia.spectra(COOL)
    archive.failures, archive.asked = list(failures), []
    with pytest.raises(ArchiveError, match=told) as caught:
        gaia.spectra([COOL, SUN])
    assert str(caught.value).endswith("; 1 of 2 spectra are in the cache: try again later")
    assert len(archive.asked) == asked


@pytest.mark.parametrize("source", ["x", "12.0", 1.5, 2.1e18, np.float64(3), 0, -4, True, None, "9" * 20, ""])
def test_what_is_no_source_id(source):
    with pytest.raises(ConfigError, match="is no whole number of up to 19 digits"):
        gaia.spectra([source])


def test_other_mistakes(waits, monkeypatch):
    with pytest.raises(ConfigError, match="release = 'DR2' is not one of Gaia DR3, Gaia DR4"):
        gaia.spectra(5, release="DR2")
    with pytest.raises(ConfigError, match="none is given"):
        gaia.spectra([])
    monkeypatch.setitem(sys.modules, "astroquery", None)
    monkeypatch.setitem(sys.modules, "astroquery.gaia", None)
    with pytest.raises(ConfigError, match=r"^astroquery is not installed: pip install 'starloom\[gaia\]'$"):
        gaia.spectra(5)
    assert starloom.gaia is gaia


def test_what_cannot_be_used_is_not_kept(archive, caplog):
    archive.stars[SUN] = archive.stars[COOL]
    table = archive.answer(SUN)
    table["flux"].mask = True
    archive.answer = lambda source: table
    assert gaia.fetch(SUN) == {SUN: None}
    assert "cannot be used" in caplog.text
    assert [path.name for path in (gaia.places.cache_folder() / "gaia").iterdir()] == []


def test_lists_of_source_ids(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text('source_id,g\n# two stars\n12,10.5\n\n"13", 9 # bright\n')
    assert gaia.ids_in(path) == ["12", "13"]
    path.write_text("12\nstar\n")
    with pytest.raises(ConfigError, match=r"ids.csv: source id 'star' is no whole number"):
        gaia.ids_in(path)


def test_the_command_fits_by_source_id(archive, command, tmp_path):
    pytest.importorskip("scipy")
    code, out, err = command("fit", "--gaia", SUN, "--plot", tmp_path / "fit.png")
    assert (code, err) == (0, "a message of the server\n")
    assert out.startswith("Teff")
    (tmp_path / "ids.txt").write_text(f"{SUN}\n{NONE}\n{COOL}\n")
    code, out, err = command("fit", "--gaia", "--from", tmp_path / "ids.txt", "--json")
    assert code == 1
    assert len(out.splitlines()) == 2
    assert f"starloom: Gaia DR3: no RVS mean spectrum of {NONE} in the archive\n" in err
    code, out, err = command("fit", "--gaia", NONE)
    assert (code, out) == (2, "")
    assert command("fit", "--gaia", "star.fits")[0] == 2
    assert command("fit", "--gaia", SUN, COOL)[0] == 2  # a table is needed
    assert read_observed(gaia.fetch(SUN)[SUN]).provenance["retrieval_type"] == "RVS"
