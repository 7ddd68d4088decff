"""FITS files, VOTables, ECSV tables and texts in UTF-16 that are read in pieces: the same as held whole."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from starloom.errors import ParseError
from starloom.io import File, long_files, long_text, read_labels, read_list, read_observed
from starloom.labels import TABLE_1

ROWS = 3000
GIVEN = {"medium": "vacuum", "frame": "rest"}


@pytest.fixture
def small_pieces(monkeypatch):
    """Files of more than 20 kB are long, and read some 10 kB at a time."""
    for module, name, size in (
        (long_files, "LONG", 20_000),
        (long_files, "PIECE", 10_000),
        (long_files, "TEXT", 10_000),
        (long_text, "PIECE", 10_000),
    ):
        monkeypatch.setattr(module, name, size)


def table_of_labels() -> Table:
    """Labels, and other columns of each kind; a number, a whole one and a text are missing late."""
    rng = np.random.default_rng(3)
    table = Table({name: rng.uniform(1, 2, ROWS) for name in TABLE_1.names})
    table["teff"] = 5000 + np.arange(ROWS)
    missing = np.arange(ROWS) == ROWS - 7
    table["source_id"] = 2**60 + np.arange(ROWS)
    table["runs"] = MaskedColumn(rng.integers(0, 5, ROWS), mask=missing)
    table["note"] = [f"star {n}" * (1 + (n == ROWS - 3)) for n in range(ROWS)]
    table["seen"] = rng.random(ROWS) > 0.5
    table["parallax"] = MaskedColumn(rng.random(ROWS), mask=missing, unit="mas")
    return table


@pytest.mark.parametrize("name", ["t.fits", "t.fits.gz", "t.vot", "t.ecsv"])
def test_labels_in_pieces_are_those_of_the_whole_table(tmp_path, request, name):
    path = tmp_path / name.removesuffix(".gz")
    table_of_labels().write(path, **({"format": "votable"} if name == "t.vot" else {}))
    if name.endswith(".gz"):  # astropy and we tell it by the content
        path.write_bytes(gzip.compress(path.read_bytes()))
    whole = read_labels(path, TABLE_1)
    request.getfixturevalue("small_pieces")
    pieces = read_labels(path, TABLE_1)
    assert pieces.labels.tobytes() == whole.labels.tobytes()
    assert (pieces.faults, pieces.units) == (whole.faults, whole.units)
    for column, values in whole.others.items():
        assert pieces.others[column].dtype.kind == values.dtype.kind
        np.testing.assert_array_equal(pieces.others[column], values)


def spectrum() -> Table:
    wavelength = 850 + 0.005 * np.arange(ROWS)
    flux = 1 - 0.1 * np.sin(wavelength)
    table = Table({"wavelength": wavelength, "flux": flux, "error": np.full(ROWS, 0.01)})
    table["wavelength"].unit = "nm"
    return table


@pytest.mark.parametrize("name", ["s.fits", "s.fits.gz", "s.vot", "s.ecsv", "utf16.csv"])
def test_a_spectrum_in_pieces_is_that_of_the_whole_file(tmp_path, request, name):
    path = tmp_path / name.removesuffix(".gz")
    if name == "utf16.csv":
        rows = "".join(f"{w!r},{f!r}\r\n" for w, f, _ in spectrum().as_array().tolist())
        path.write_text("wavelength [nm],flux\r\n" + rows, encoding="utf-16", newline="")
    else:
        spectrum().write(path, **({"format": "votable"} if name == "s.vot" else {}))
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    whole = read_observed(path, **GIVEN)
    request.getfixturevalue("small_pieces")
    file = File(path)
    assert file.is_long
    assert len(list(file.tables[0].pieces())) > 2
    assert read_observed(path, **GIVEN) == whole


def test_an_image_beside_a_long_table(tmp_path, small_pieces):
    """And a second table: each has its own rows."""
    path, short = tmp_path / "s.fits", fits.table_to_hdu(Table({"a": [1.0, 2.0]}))
    image = fits.PrimaryHDU(np.zeros((9, 9), np.float32))
    fits.HDUList([image, short, fits.table_to_hdu(spectrum())]).writeto(path)
    assert len(File(path).tables[0]) == 2
    assert sum(len(piece) for piece in File(path).tables[1].pieces()) == ROWS
    assert read_observed(path, **GIVEN).flux.size == ROWS


@pytest.mark.parametrize("name", ["s.fits", "s.vot", "utf16.csv"])
def test_a_long_file_cut_short(tmp_path, small_pieces, name):
    path = tmp_path / name
    if name == "utf16.csv":
        path.write_text("wavelength,flux\n" + "8500.5,1.0\n" * ROWS, encoding="utf-16")
    else:
        spectrum().write(path, **({"format": "votable"} if name == "s.vot" else {}))
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3 | 1])
    with pytest.raises(ParseError, match=str(path)):
        read_observed(path, unit="Angstrom" if name == "utf16.csv" else None, **GIVEN)


@pytest.mark.parametrize("form", ["binary2", "heap"])
def test_what_cannot_be_cut_is_refused_by_its_size(tmp_path, small_pieces, monkeypatch, form):
    if form == "heap":
        path, cells = tmp_path / "h.fits", np.empty(ROWS, object)
        cells[:] = [np.arange(1.0 + n % 3) for n in range(ROWS)]
        column = fits.Column("flux", "PD()", array=cells)
        fits.BinTableHDU.from_columns([column]).writeto(path)
        told = "cells of different lengths in more than 0 MB"
    else:
        path = tmp_path / "b.vot"
        spectrum().write(path, format="votable", tabledata_format="binary2")
        assert read_observed(path, **GIVEN).flux.size == ROWS
        told = "a packed VOTable in more than 0 MB"
    monkeypatch.setattr(long_files, "HELD", 25_000)
    with pytest.raises(ParseError, match=told):
        read_observed(path, **GIVEN)


@pytest.mark.parametrize("content", ["wavelength,flux\n8500.1,1.0\n", "8500.1 1.0\n8500.2 0.9\n"])
def test_a_spectrum_in_the_place_of_a_list_is_told_once(tmp_path, content):
    """It made a fault of each line."""
    (tmp_path / "star.csv").write_text(content)
    with pytest.raises(ParseError, match="is a row of numbers, not the name of a file: a spectrum is given"):
        read_list(tmp_path / "star.csv")
    (tmp_path / "list.txt").write_text("1 2\n")
    (tmp_path / "1 2").write_text(content)
    assert read_list(tmp_path / "list.txt") == (tmp_path / "1 2",)


def test_an_archive_of_numpy_is_named(tmp_path):
    np.savez(tmp_path / "star.npz", wavelength=np.arange(3.0), flux=np.ones(3))
    with pytest.raises(ParseError, match=r"an archive of NumPy arrays \(\.npz\): write wavelength and flux"):
        read_observed(tmp_path / "star.npz", unit="Angstrom", **GIVEN)
