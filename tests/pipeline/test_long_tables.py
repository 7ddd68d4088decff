"""Tables of any length need the memory of a piece: labels in, spectra out."""

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from astropy.io import fits

from starloom import io
from starloom.errors import ConfigError, ParseError
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


def test_a_long_table_of_labels_is_read_in_parts(tmp_path):
    """Three times as long: the same memory. The whole would be 15 MB of text."""
    most = []
    for rows in (20_000, 60_000):
        table = long_csv(tmp_path / f"{rows}.csv", rows)
        with peak() as held:
            file = io.open_labels(table, TABLE_1)
            parts = [(len(part.labels), len(part.rows), len(part.faults)) for part in file.parts()]
        assert (file.count, *np.sum(parts, axis=0)) == (rows, rows, rows - rows // 1000, rows // 1000)
        most += held
    assert most[1] < 1.1 * most[0] < 12e6


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
    """49 MB of them in the memory of some portions, 0.8 MB each; FITS held them all, and copies."""
    if name == "many.hdf5":
        pytest.importorskip("h5py")
    io.write_many(tmp_path / name, portions(1))
    with peak() as held:
        assert io.write_many(tmp_path / name, portions(60), overwrite=True) == 15360
    assert held[0] < 9e6
    rows, spectra = io.read_many(tmp_path / name)
    assert np.array_equal(rows, np.arange(1, 15361))
    expected = list(portions(60))
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
