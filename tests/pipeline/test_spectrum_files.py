"""Every file format gives back the same bits, and a damaged file one clear error."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from starloom.errors import ConfigError, ParseError
from starloom.labels import LABELS
from starloom.spectrum import FORMATS, FRAMES, MEDIA, Spectrum

UNITS = [
    "",
    "Jy",
    "erg / (s cm2 Angstrom)",
    "W m-2 nm-1",
    "adu",
    "ct / s",
    "10**-17 erg / (s cm2 Angstrom)",
]
finite = st.floats(allow_nan=False, allow_infinity=False)
# what JSON and every format can hold; surrogates are no text
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | finite | text
json_values = st.recursive(
    leaves, lambda kids: st.lists(kids, max_size=3) | st.dictionaries(text, kids, max_size=3)
)


@st.composite
def spectra(draw) -> Spectrum:
    size = draw(st.integers(1, 12))
    wavelengths = arrays(np.float64, size, elements=st.floats(1e-3, 1e7), unique=True).map(np.sort)
    mask = draw(st.none() | arrays(bool, size))
    flux = draw(arrays(np.float64, size, elements=finite))
    error = draw(st.none() | arrays(np.float64, size, elements=st.floats(0, 1e300)))
    if mask is not None:
        flux[mask] = np.nan
    return Spectrum(
        draw(wavelengths),
        flux,
        medium=draw(st.sampled_from(MEDIA)),
        error=error,
        mask=mask,
        frame=draw(st.sampled_from(FRAMES)),
        flux_unit=draw(st.sampled_from(UNITS)),
        labels=draw(st.dictionaries(st.sampled_from(list(LABELS)), finite)),
        provenance=draw(st.dictionaries(text, json_values, max_size=4)),
    )


def assert_same_bits(one: Spectrum, other: Spectrum) -> None:
    for name in ("wavelength", "flux", "error", "mask"):
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) == (right is None), name
        if left is not None:
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes(), name
    for name in ("medium", "frame", "flux_unit", "provenance"):
        assert getattr(one, name) == getattr(other, name), name
    assert list(one.labels.items()) == list(other.labels.items())


def example() -> Spectrum:
    return Spectrum(
        [8400.0, 8400.1, 8400.2],
        [1.0, 0.5, 1 / 3],
        medium="air",
        error=[0.1, 0.1, 0.1],
        mask=[False, True, False],
        flux_unit="Jy",
        labels={"teff": 5772.0, "logg": 4.438, "resolution": 11500.0},
        provenance={"code": "starloom", "note": "it's " * 40, "seed": [1, 2]},
    )


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spectrum=spectra())
def test_write_and_read_return_the_same_bits(tmp_path, suffix, spectrum):
    path = tmp_path / f"star{suffix}"
    spectrum.write(path, overwrite=True)
    assert_same_bits(Spectrum.read(path), spectrum)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_fits_has_units_and_a_full_header(tmp_path):
    path = tmp_path / "star.fits"
    example().write(path)
    with fits.open(path) as tables:
        table, labels = tables["SPECTRUM"], tables["LABELS"]
        assert table.columns.units == ["Angstrom", "Jy", "Jy", ""]
        assert table.header["MEDIUM"] == "air"
        assert table.header["SPECSYS"] == "SOURCE"
        assert table.header["CREATOR"].startswith("starloom ")
        assert "CHECKSUM" in table.header
        assert labels.columns.names == ["teff", "logg", "resolution"]
        assert labels.columns.units == ["K", "", ""]  # the FITS standard has no dex
    assert Table.read(path, hdu="SPECTRUM")["flux"].unit == "Jy"


def test_names_of_elements_are_different_columns(tmp_path):
    """FITS takes no notice of case in names: of all labels no two differ in case alone."""
    assert len({name.lower() for name in LABELS}) == len(LABELS)
    labels = {name: 0.01 * number for number, name in enumerate(LABELS)}
    for suffix in FORMATS:
        made = Spectrum([8400.0, 8400.1], [1.0, 0.5], medium="air", labels=labels)
        made.write(tmp_path / f"all{suffix}")
        found = Spectrum.read(tmp_path / f"all{suffix}")
        assert list(found.labels.items()) == list(labels.items())
    with fits.open(tmp_path / "all.fits") as tables:
        table = tables["LABELS"]
        assert [table.data[name][0] for name in ("C", "Ca", "Co")] == [labels[n] for n in ("C", "Ca", "Co")]
        assert table.columns["vmac"].unit == "km/s"
        number = table.columns.names.index("Ca") + 1
        assert table.header.comments[f"TTYPE{number}"] == "abundance of Ca relative to the metals"


def test_tables_open_with_the_tools_of_the_field(tmp_path):
    example().write(tmp_path / "star.ecsv")
    table = Table.read(tmp_path / "star.ecsv")
    assert table["wavelength"].unit == "Angstrom"
    assert table.meta["labels"]["teff"] == 5772.0
    example().write(tmp_path / "star.csv")
    values = np.loadtxt(tmp_path / "star.csv", delimiter=",", comments="#", skiprows=8)
    np.testing.assert_array_equal(values[:, 1], example().flux)


@pytest.mark.parametrize("suffix", FORMATS)
def test_existing_file_is_kept_unless_asked(tmp_path, suffix):
    path = tmp_path / f"star{suffix}"
    path.write_text("precious")
    with pytest.raises(ConfigError, match=f"star{suffix} exists"):
        example().write(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("suffix", FORMATS)
def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"star{suffix}"
    path.write_text("precious")

    def full_disk(self, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        example().write(path, overwrite=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_unit_that_fits_does_not_know_is_refused(tmp_path):
    spectrum = Spectrum([1.0], [1.0], medium="vacuum", flux_unit="electron / s")
    with pytest.raises(ConfigError, match="the flux unit electron / s cannot be written to FITS"):
        spectrum.write(tmp_path / "star.fits")
    assert not list(tmp_path.iterdir())


def test_unknown_format_is_refused(tmp_path):
    for name in ("star.txt", "star"):
        with pytest.raises(ConfigError, match=r"the name must end with one of .fits, .ecsv, .csv"):
            example().write(tmp_path / name)
        with pytest.raises(ConfigError, match=r"the name must end with one of .fits, .ecsv, .csv"):
            Spectrum.read(tmp_path / name)


def assert_one_clear_line(path) -> None:
    with pytest.raises(ParseError) as caught:
        Spectrum.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message) > len(f"{path}: ") + 3
    assert "\n" not in message


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"hello\n", b"SIMPLE  =                    T", b"\xff\xfe,1\n"]
)
def test_other_content_is_one_clear_line(tmp_path, suffix, content):
    path = tmp_path / f"star{suffix}"
    path.write_bytes(content)
    assert_one_clear_line(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_file_and_folder_are_one_clear_line(tmp_path, suffix):
    path = tmp_path / f"star{suffix}"
    assert_one_clear_line(path)
    path.mkdir()
    assert_one_clear_line(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_file_cut_off_anywhere_is_one_clear_line(tmp_path, suffix):
    path = tmp_path / f"star{suffix}"
    example().write(path)
    content = path.read_bytes()
    # FITS is cut at every card of 80 bytes, and so at every block; text at every byte
    for size in range(0, len(content), 80 if suffix == ".fits" else 1):
        path.write_bytes(content[:size])
        assert_one_clear_line(path)


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_byte_is_one_clear_line_or_still_a_spectrum(tmp_path, suffix, data):
    path = tmp_path / f"star{suffix}"
    example().write(path, overwrite=True)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        found = Spectrum.read(path)
    except ParseError:
        assert_one_clear_line(path)
    else:
        assert found.wavelength.size == 3  # text has no checksum: another digit is another number
        if suffix == ".fits":
            assert_same_bits(found, example())  # only bytes that carry nothing may differ


@pytest.mark.parametrize(
    ("line", "replacement", "message"),
    [
        (1, "# another", "line 1: expected '# starloom spectrum"),
        (2, "# medium: air", "line 2: expected '# name = value'"),
        (2, "# medium = air", "line 2: medium: Expecting value"),
        (2, '# medium = "water"', "medium = 'water' is not one of"),
        (7, "# pixels = 4", "line 12: cut off, or another number of rows than line 7 says"),
        (2, '# colour = "red"', "medium is missing"),
        (8, "wavelength,colour,error,mask", "colour is missing or not known"),
        (8, "flux,error,mask", "line 9: 4 values, expected 3"),
        (10, "8400.1,x,0.1,0", "line 10: could not convert string to float: 'x'"),
        (10, "8400.1,nan,0.1,0", "flux is not finite at 8400.1 A"),
        (10, "8300.1,1,0.1,0", "wavelengths do not rise at 8300.1 A"),
    ],
)
def test_damaged_csv_names_the_line_and_the_reason(tmp_path, line, replacement, message):
    path = tmp_path / "star.csv"
    example().write(path)
    lines = path.read_text().split("\n")
    lines[line - 1] = replacement
    path.write_text("\n".join(lines))
    with pytest.raises(ParseError, match=message):
        Spectrum.read(path)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_table_without_a_needed_column_is_refused(tmp_path, suffix):
    path = tmp_path / f"star{suffix}"
    meta = {"medium": "air", "frame": "rest", "labels": {}, "provenance": {}}
    Table({"wavelength": [1.0, 2.0]}, meta=meta if suffix == ".ecsv" else None).write(path)
    assert_one_clear_line(path)
