"""Tables of any length need the memory of a piece: labels in, spectra out."""

import gzip
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from astropy.io import fits

from starloom import io
from starloom.errors import ConfigError, ParseError
from starloom.io import File, label_tables, long_files, long_text, read_each, read_observed, tables
from starloom.io.formats import gaia
from starloom.labels import TABLE_1
from starloom.spectrum.spectra import Spectra

HEADER = "source_id," + ",".join(TABLE_1.names) + ",gmag,remark"


@contextmanager
def peak():
    """The most memory [bytes] that was held at once, as the only item of a list."""
    found = []
    tracemalloc.start()
    yield found
    found.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()


def long_csv(path, rows, last=""):
    with path.open("w") as stream:
        stream.write(f"# stars\n{HEADER}\n")
        for row in range(rows):
            teff = "hot" if row % 1000 == 999 else 5000 + row % 100
            stream.write(f"{2**60 + row},{teff},4,5,0,1,9000,{row % 7},r{row}\n")
        stream.write(last)
    return path


def test_a_long_table_of_labels_is_read_in_parts(tmp_path, monkeypatch):
    """Three times as long: the same memory."""
    monkeypatch.setattr(label_tables, "PART", 500)
    most = []
    for rows in (3000, 9000):
        table = long_csv(tmp_path / f"{rows}.csv", rows)
        with peak() as held:
            file = io.open_labels(table, TABLE_1)
            parts = [(len(part.labels), len(part.rows), len(part.faults)) for part in file.parts(500)]
        assert (file.count, *np.sum(parts, axis=0)) == (rows, rows, rows - rows // 1000, rows // 1000)
        most += held
    assert most[1] < 1.2 * most[0] < 3e6


def test_the_whole_table_is_its_parts(tmp_path):
    """Of which the last row alone says that two columns are no whole numbers."""
    path = long_csv(tmp_path / "t.csv", 5000, "007,6000,4,5,0,1,9000,0.5,é\n")
    file, whole = io.open_labels(path, TABLE_1), io.read_labels(path, TABLE_1)
    parts = list(file.parts(777))
    assert [part.first for part in parts] == list(range(1, 5002, 777))
    assert np.array_equal(np.concatenate([part.labels for part in parts]), whole.labels, equal_nan=True)
    assert {row: why for part in parts for row, why in part.faults.items()} == whole.faults
    assert whole.faults[1000] == "teff is no number: 'hot'"
    assert [*whole.others] == ["source_id", "gmag", "remark"]
    for name, column in whole.others.items():
        assert {part.others[name].dtype for part in parts} == {column.dtype}
        assert np.concatenate([part.others[name] for part in parts]).tolist() == column.tolist()
    assert [column.dtype.kind for column in whole.others.values()] == ["U", "f", "U"]
    assert whole.others["source_id"][-1] == "007"
    assert file.identifier == "source_id"
    assert np.concatenate([part.rows for part in parts]).tolist() == whole.rows.tolist()


def test_a_column_that_is_missing_is_known_from_the_names(tmp_path, monkeypatch):
    path = long_csv(tmp_path / "t.csv", 10)
    path.write_text(path.read_text().replace("logg", "colour"))
    monkeypatch.setattr(label_tables, "_csv_pieces", lambda *_: pytest.fail("it was looked at"))
    with pytest.raises(ParseError, match="no column logg"):
        io.open_labels(path, TABLE_1)


def test_a_table_that_changes_while_it_is_read(tmp_path):
    path = long_csv(tmp_path / "t.csv", 5000)
    file = io.open_labels(path, TABLE_1)
    long_csv(path, 4999)
    with pytest.raises(ParseError, match=r"t.csv: it had 5000 rows and now has 4999"):
        list(file.parts())


def portions(count, wide=400, text="name"):
    """Portions of 256 spectra with errors and two other columns."""
    wavelength = 8500 + np.arange(wide)
    for number in range(count):
        rows = 256 * number + np.arange(1, 257)
        flux = np.random.default_rng([17, number]).random((256, wide)).astype(np.float32)
        spectra = Spectra(
            wavelength, flux, np.tile([5777, 4.44, 2, 0, 1, 9000.0], (256, 1)), medium="air", error=flux
        )
        others = {"id": rows + 2**60, "remark": np.array([f"{text} {row:07d}" for row in rows])}
        yield io.Portion(rows, spectra, others=others)


@pytest.mark.parametrize("name", ["many.fits", "many.hdf5"])
def test_spectra_are_written_as_they_come(tmp_path, name):
    """33 MB of them in the memory of some portions, 0.8 MB each; FITS held them all, and copies."""
    if name == "many.hdf5":
        pytest.importorskip("h5py")
    io.write_many(tmp_path / name, portions(1))
    with peak() as held:
        assert io.write_many(tmp_path / name, portions(40), overwrite=True) == 10240
    assert held[0] < 9e6
    rows, spectra = io.read_many(tmp_path / name)
    assert np.array_equal(rows, np.arange(1, 10241))
    expected = list(portions(40))
    assert np.array_equal(spectra.flux, np.concatenate([each.spectra.flux for each in expected]))
    assert np.array_equal(spectra.error, spectra.flux)
    others = io.read_others(tmp_path / name)
    for column, values in others.items():
        assert values.tolist() == np.concatenate([each.others[column] for each in expected]).tolist()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("wide", [1, 719, 720, 721])
def test_checksums_are_those_of_astropy(tmp_path, wide):
    """Which warns where they are wrong, and warnings are errors; of data that end with a block, and else."""
    io.write_many(tmp_path / "m.fits", portions(3, wide))
    with fits.open(tmp_path / "m.fits", checksum=True) as tables:
        for table in tables[1:]:
            told = table.header["DATASUM"], table.header["CHECKSUM"]
            assert len(told[1]) == 16
            table.verify("exception")
            table.add_checksum()
            assert table.header["DATASUM"] == told[0]
    content = bytearray((tmp_path / "m.fits").read_bytes())
    content[-2880] ^= 1
    (tmp_path / "m.fits").write_bytes(content)
    with pytest.raises(ParseError, match=r"m.fits: .*[Cc]hecksum"):
        io.read_many(tmp_path / "m.fits")


def test_portions_that_do_not_go_together(tmp_path):
    """What would be cut to the first portion's width, or lost, is refused."""
    first, second = next(portions(1)), next(portions(1, text="a longer name"))
    other = {
        "column remark: <U21 does not fit into the first portion's <U12": second,
        "columns id, remark and nothing": io.Portion(first.rows, first.spectra),
        "spectra at other wavelengths": next(portions(1, wide=300)),
    }
    for message, portion in other.items():
        with pytest.raises(ConfigError, match=message):
            io.write_many(tmp_path / "m.fits", [first, portion])
    assert not list(tmp_path.iterdir())


# Tables of observed spectra


@pytest.fixture
def small_pieces(monkeypatch):
    """Texts of more than 20 kB are long, and read 15 kB at a time."""
    monkeypatch.setattr(long_files, "LONG", 20_000)
    monkeypatch.setattr(long_text, "PIECE", 15_000)


def rvs_csv(path, sources=6, bad=None, header="source_id,wavelength,flux,flux_error", points=gaia.POINTS):
    """Gaia's long list: a row for each pixel of each source; as bytes, packed where the name says so."""
    lines = [header]
    for source in range(1, sources + 1):
        flux = np.round(np.random.default_rng([18, source]).uniform(0.5, 1, points), 4)
        rows = zip(gaia.WAVELENGTH_NM[:points], flux, strict=True)
        lines += [f"{2**60 + source},{wavelength:.2f},{value},0.01" for wavelength, value in rows]
    if bad is not None:
        lines[bad - 1] = lines[bad - 1][:-6]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.csv.gz"])
def test_a_list_in_pieces_gives_the_same_spectra(tmp_path, request, name):
    path = rvs_csv(tmp_path / name)
    whole = list(read_each(path))
    request.getfixturevalue("small_pieces")
    assert File(path).is_long
    pieces = list(read_each(path))
    assert [one.name for one in pieces] == [f"{path}[{2**60 + source}]" for source in range(1, 7)]
    assert all(one.spectrum == other.spectrum for one, other in zip(pieces, whole, strict=True))
    assert read_observed(path, source=2**60 + 4) == whole[3].spectrum
    with pytest.raises(
        ConfigError, match=r"it has more than 3 spectra \(\d+7, \d+8, \d+9, \.\.\.\): name one with"
    ):
        read_observed(path)
    with pytest.raises(ConfigError, match=r"source = 7 is not in it \(it has 1"):
        read_observed(path, source=7)


def test_arrays_in_rows_in_pieces(tmp_path, small_pieces):
    """The archive's other shape: a row with arrays for each source. One line is longer than a piece."""
    rows = ["source_id,flux,flux_error"]
    for source in range(1, 5):
        values = np.round(np.random.default_rng([18, source]).uniform(0.5, 1, gaia.POINTS), 4)
        rows.append(f'{source},"[{",".join(map(str, values))}]","[{",".join(["0.01"] * gaia.POINTS)}]"')
    rows[3] = rows[3].replace("0.01", "what", 1)
    (tmp_path / "raw.csv").write_text("\n".join(rows))
    found = list(read_each(tmp_path / "raw.csv"))
    assert [one.spectrum is None for one in found] == [False, False, True, False]
    assert "flux_error of row 3: " in found[2].fault
    assert "'what'" in found[2].fault


def test_damage_costs_what_follows_it(tmp_path, small_pieces):
    """And its line is named; what was read before is given."""
    path = rvs_csv(tmp_path / "list.csv", bad=2 + 3 * gaia.POINTS + 700)
    *good, last = read_each(path)
    assert len(good) >= 2
    assert all(one.spectrum is not None for one in good)
    assert last.name == str(path)
    assert f"line {2 + 3 * gaia.POINTS + 700}: 3 cells under 4 names" in last.fault
    cut = tmp_path / "list.csv.gz"
    cut.write_bytes(rvs_csv(tmp_path / "whole.csv.gz").read_bytes()[:-30_000])
    *good, last = read_each(cut)
    assert good
    assert "end-of-stream" in last.fault


@pytest.mark.parametrize("name", ["flat.csv", "flat.csv.gz"])
def test_a_unit_that_is_missing_is_known_from_the_beginning(tmp_path, small_pieces, monkeypatch, name):
    """30 million rows were read to say so."""
    path = tmp_path / name
    content = ("wavelength,flux\n" + "".join(f"{8400 + 0.001 * n:.3f},1.0\n" for n in range(60_000))).encode()
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    read = []
    blocks = long_text._blocks
    monkeypatch.setattr(
        long_text, "_blocks", lambda *of: (read.append(len(block)) or block for block in blocks(*of))
    )
    with pytest.raises(ConfigError, match="the file does not tell its unit, medium, frame"):
        read_observed(path)
    assert sum(read) < 0.1 * len(content)
    spectrum = read_observed(path, unit="Angstrom", medium="air", frame="rest")
    np.testing.assert_allclose(spectrum.wavelength, 8400 + 0.001 * np.arange(60_000), atol=1e-9)
    monkeypatch.setattr(tables, "MOST_PIXELS", 50_000)
    with pytest.raises(ParseError, match="more than 50000 rows: no spectrum has so many pixels"):
        read_observed(path, unit="Angstrom", medium="air", frame="rest")


def test_texts_in_a_long_table(tmp_path, small_pieces):
    """Comments, blank lines and missing cells anywhere; a bad number has its line; columns without names."""
    lines = [
        "# a comment",
        "wavelength [nm],flux,note",
        *(f"{840 + 0.001 * n:.3f},{n % 9},x" for n in range(3000)),
    ]
    lines[1500] = "# another, of another kind"
    lines[1501] = ""
    lines[2000] = "841.998,null,x"
    path, given = tmp_path / "t.csv", {"medium": "air", "frame": "rest"}
    path.write_text("\n".join(lines))
    spectrum = read_observed(path, **given)
    assert (spectrum.wavelength.size, spectrum.mask.sum()) == (2998, 1)
    path.write_text("\n".join(lines).replace("842.500,", "842.500,?"))
    with pytest.raises(ParseError, match=r"line 2503: flux = '\?7' is no number"):
        read_observed(path, **given)
    path.write_text("\n".join(line for line in lines[2:1400]).replace(",x", ""))
    assert read_observed(path, unit="nm", **given).flux.size == 1398
    path.write_text("\n".join(line for line in lines[2:1400]).replace(",x", "") + "\nthe,end\n")
    with pytest.raises(ParseError, match=r"line \d+: "):
        read_observed(path, unit="nm", **given)


def test_memory_does_not_grow_with_a_list(tmp_path, monkeypatch):
    """Four times as many spectra: the same."""
    monkeypatch.setattr(long_files, "LONG", 2**18)
    monkeypatch.setattr(long_text, "PIECE", 2**16)
    list(read_each(rvs_csv(tmp_path / "first.csv", 30, points=400)))
    most = []
    for sources in (30, 90):
        path = rvs_csv(tmp_path / f"{sources}.csv", sources, points=400)
        with peak() as held:
            assert sum(one.spectrum is not None for one in read_each(path)) == sources
        most += held
    assert most[1] < 1.2 * most[0] < 8e6
