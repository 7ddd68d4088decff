"""What is to be cited: every source that is named has an entry, and a file's are those that it rests on."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import starloom
from starloom import citation, examples, tables
from starloom.inference import fit
from starloom.io import read_observed
from starloom.networks import weights
from starloom.spectrum import Spectrum

DATA = Path(__file__).resolve().parents[2] / "data"
# of READMEs: software and notes that no table's numbers come from
OTHERS = {"Seaton", "Wishart"}


def keys(path=None) -> set[str]:
    return set(citation.cited(path).reasons)


def pairs(text: str) -> set[tuple[str, str]]:
    """First authors with years that a text of citations names: "Bell & Berrington 1987, J. Phys. ..."."""
    found = set()
    for part in re.split(r";|\bby way of\b", re.sub(r"\s+", " ", text)):
        names = re.findall(r"\b(?:[A-Z]\. )?([A-Z][A-Za-z'-]{2,})", part)
        years = re.findall(r"\b(1[89]\d\d|20[0-3]\d)\b", part)
        found |= {(names[0], year) for year in years[:1] if names}
    return found


def known() -> set[tuple[str, str]]:
    """First authors, and all others, with years in the bibliography."""
    entries = citation.bibliography().values()
    words = (
        (re.findall(r"[A-Z][A-Za-z'-]{2,}", each["author"]), str(each.get("year", ""))) for each in entries
    )
    return {(name, year) for names, year in words for name in names}


@pytest.mark.parametrize("readme", sorted(DATA.glob("*/README.md")), ids=lambda path: path.parent.name)
def test_every_source_that_a_table_s_readme_cites_has_an_entry(readme):
    paragraphs = readme.read_text(encoding="utf-8").split("\n\n")
    cited = [part for part in paragraphs if re.search(r"\b(Citations?:|Cite )", part)]
    told = " ".join(re.split(r"Citations?:|Cite ", part, maxsplit=1)[1] for part in cited)
    missing = {pair for pair in pairs(told) - known() if pair[0] not in OTHERS}
    assert missing == set()
    if readme.parent.name not in ("atmospheres", "physics_error"):  # which cite in a table
        assert pairs(told) or "Citation" in told or "NIST" in told


def test_every_packaged_table_has_sources_and_every_key_an_entry():
    packaged = {*tables.names(), *tables.names("starloom.tables.bands.rvs")}
    assert packaged == set(citation.used_by("tables"))
    used = {
        key
        for kind in ("tables", "formats", "features")
        for all_ in citation.used_by(kind).values()
        for key in all_
    }
    assert used | {"starloom"} == set(citation.bibliography())


def test_entries_are_bibtex():
    text = citation.bibtex(citation.cited())
    assert len(re.findall(r"^@\w+\{\w+,$", text, re.MULTILINE)) == len(citation.bibliography())
    for entry in re.split(r"\n\n", text):
        lines = entry.splitlines()
        assert lines[0].startswith("% ")
        assert lines[-1] == "}"
        assert entry.count("{") == entry.count("}")
        for line in lines[2:-1]:
            assert re.fullmatch(r"  [a-z]+ = \{.+\},", line), line
    assert f"version = {{{starloom.__version__}}}" in text
    for fields in citation.bibliography().values():
        assert "author" in fields
        assert re.fullmatch(r"10\.\d{4,5}/\S+", fields.get("doi", "10.1000/1"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A generated star, a fit of Gaia's and a synthesised one."""
    pytest.importorskip("scipy")
    folder = tmp_path_factory.mktemp("cite")
    examples.write(folder)
    starloom.generate(teff=6000, logg=4, vsini=5, mh=0, vmic=1, resolution=11500).write(folder / "made.ecsv")
    fit(read_observed(folder / "star.fits")).write(folder / "fit.fits")
    return folder


def test_a_file_s_are_those_that_it_rests_on(files):
    always = {"starloom", "gebran2024"}
    gaia = set(citation.used_by("formats")["gaia"])
    synthesis = {"heiter2021", "castelli2003", "barklem2016", "lemke1997", "plez1998"}
    assert set(citation.cited(files / "star.fits").reasons) == always
    assert "an example of this program" in citation.cited(files / "stars/07.ecsv").notes[0]
    content = (files / "a_star.csv").read_bytes().partition(b"\n")[2]
    (files / "theirs.csv").write_bytes(content)
    assert keys(files / "theirs.csv") == always | gaia
    made = keys(files / "made.ecsv")
    assert made >= always | synthesis
    assert not made & {"cropper2018", "tremblay2009"}
    assert keys(files / "fit.fits") == made | gaia
    own = Spectrum([8500.0, 8501.0], [1.0, 1.0], medium="air", labels={"resolution": 1e4})
    own.write(files / "own.fits")
    found = citation.cited(files / "own.fits")
    assert set(found.reasons) == always
    assert "does not tell where it comes from" in found.notes[0]


def test_a_synthesised_spectrum_names_its_tables(tmp_path):
    about = {
        "made by": "starloom 0.1.0 synthesize, jax 0.10",
        "lines": "listed",
        "physics": "LTE, plane-parallel",
    }
    about["tables"] = dict.fromkeys(["abundances", "atomic_lines", "calcium_ii", "theirs"], "0123")
    star = Spectrum([8500.0, 8501.0], [1.0, 1.0], medium="air", provenance=about)

    def found(**changes):
        path = tmp_path / "star.fits"
        replace(star, provenance=about | changes).write(path, overwrite=True)
        return citation.cited(path)

    lte = found()
    assert set(lte.reasons) == {
        "starloom",
        "gebran2024",
        *citation.used_by("tables")["abundances"],
        *citation.used_by("tables")["atomic_lines"],
    }
    assert lte.notes == ["table theirs: not of this program: cite its source"]
    assert "uitenbroek2001" in found(physics="LTE but Ca II, plane-parallel").reasons
    assert "cite its grid" in found(**{"atmosphere": "m.mod", "atmosphere sha256": "00"}).notes[-1]


def test_a_table_of_fits_names_its_model_and_options(command, files):
    table = files / "results.ecsv"
    assert command("fit", files / "stars/06.fits", files / "stars/09.fits", "-o", table, "--telluric")[0] == 0
    found = citation.cited(table)
    assert found.reasons["gordon2022"] == ["table molecular_opacity", "table tellurics"]
    assert found.notes == ["the spectra that were fitted: cite their survey or instrument"]
    command("fit", files / "a_star.csv", files / "star.fits", "-o", files / "results.csv")
    code, out, err = command("cite", files / "results.csv")
    assert (code, out) == (2, "")
    assert "does not tell its settings" in err


def test_models_and_what_is_not_known_of_them(command, files, tmp_path):
    found = citation.cited(weights.find("default"))
    assert found.notes == []
    assert "heiter2021" in found.reasons
    star = Spectrum([8500.0, 8501.0], [1.0, 1.0], medium="air", provenance={"model": "gone.safetensors"})
    star.write(tmp_path / "star.csv")
    code, out, err = command("cite", tmp_path / "star.csv")
    assert (code, err) == (0, "")
    assert out.startswith(
        "% model gone.safetensors: not found here: cite what it was trained on\n\n% this program"
    )
    assert command("cite", tmp_path / "absent.fits")[0] == 2
    (tmp_path / "noise.fits").write_bytes(np.random.default_rng(0).bytes(100))
    code, out, err = command("cite", tmp_path / "noise.fits")
    assert (code, out, err.count("\n")) == (2, "", 1)
