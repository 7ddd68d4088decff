"""Observed spectra in the formats of the Gaia archive and in those of others; every file is made here."""

import gzip
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits, votable
from astropy.table import Table

from starloom import Spectrum
from starloom.errors import ConfigError, Option, OutOfRangeError, ParseError
from starloom.io import Portion, read_each, read_list, read_observed, write_many
from starloom.io.formats import gaia
from starloom.labels import TABLE_1
from starloom.spectrum.spectra import Spectra
from starloom.wavelength import air_from_vacuum

SOURCE = "2128215909315876352"
FACTS = {"solution_id": 1636148068921376768, "ra": 293.68, "dec": 46.85, "combined_transits": 16}
PLAIN = {"unit": "Angstrom", "medium": "vacuum", "frame": "rest"}


def star(seed: int = 0) -> dict[str, np.ndarray]:
    """Flux and error of an RVS mean spectrum, float32, with NaN at the edges."""
    rng = np.random.default_rng([1, seed])
    line = np.exp(-0.5 * ((gaia.WAVELENGTH_NM - 854.44) / 0.15) ** 2)
    flux = (0.97 - 0.5 * line + 0.01 * rng.normal(size=gaia.POINTS)).astype(np.float32)
    error = np.full(gaia.POINTS, 0.01, np.float32)
    flux[:6] = error[:6] = flux[-4:] = error[-4:] = np.nan
    return {"flux": flux, "flux_error": error}


def table(seed: int = 0) -> Table:
    """One spectrum as the archive's table of it."""
    made = Table({"wavelength": gaia.WAVELENGTH_NM, **star(seed)})
    made["wavelength"].unit = "nm"
    return made


def bracketed(values) -> str:
    return "[" + ",".join("NaN" if np.isnan(v) else repr(float(v)) for v in values) + "]"


def bulk_text(sources, header: str = "") -> str:
    """A file ``RvsMeanSpectrum_*.csv``: a row of arrays for each source."""
    rows = [
        f'{source},{FACTS["solution_id"]},1.5,null,"{bracketed(star(n)["flux"])}","'
        f'{bracketed(star(n)["flux_error"])}",16'
        for n, source in enumerate(sources)
    ]
    names = "source_id,solution_id,ra,dec,flux,flux_error,combined_transits"
    return "\n".join([header + names, *rows]) + "\n"


BULK_HEADER = "".join(
    f"# {line}\n"
    for line in (
        "%ECSV 1.0",
        "---",
        "delimiter: ','",
        "datatype:",
        "-",
        "  name: source_id",
        "  datatype: int64",
        "-",
        "  name: flux",
        "  datatype: string",
        "  subtype: float32[null]",
    )
)


def write_fits(path):
    hdu = fits.BinTableHDU(table())
    hdu.header["HIERARCH source_id"] = SOURCE
    hdu.writeto(path)


def write_votable(path):
    file = votable.from_table(table())
    element = next(file.iter_tables())
    given = {"datatype": "long", "ID": "source_id"}
    element.params.append(votable.tree.Param(file, name="source_id", value=int(SOURCE), **given))
    file.to_xml(str(path), tabledata_format="binary2")


def write_ecsv(path):
    made = table()
    made.meta["source_id"] = int(SOURCE)
    made.write(path, format="ascii.ecsv", delimiter=",")


def write_csv(path):
    table().write(path, format="csv")


def write_bulk(path):
    path.write_bytes(gzip.compress(bulk_text([SOURCE], BULK_HEADER).encode()))


def write_raw_csv(path):
    path.write_text(bulk_text([SOURCE]))


def write_raw(path):
    arrays = {name: [values] for name, values in star().items()}
    form = {".fits": "fits", ".xml": "votable", ".ecsv": "ascii.ecsv"}[path.suffix]
    Table({"source_id": [int(SOURCE)], **arrays, "combined_transits": [16]}).write(path, format=form)


ARCHIVE = {
    f"RVS-Gaia DR3 {SOURCE}.fits": write_fits,
    f"RVS-Gaia DR3 {SOURCE}.xml": write_votable,
    "one.ecsv": write_ecsv,
    f"RVS-Gaia DR3 {SOURCE}.csv": write_csv,
    f"MEAN_SPECTRUM_RVS-Gaia DR4 {SOURCE}.csv": write_csv,
    f"RVS_MEAN_SPECTRUM-Gaia DR4 {SOURCE}.csv": write_csv,
    "RvsMeanSpectrum_000000-003111.csv.gz": write_bulk,
    "RVS_RAW.csv": write_raw_csv,
    "RVS_RAW.fits": write_raw,
    "RVS_RAW.xml": write_raw,
    "RVS_RAW.ecsv": write_raw,
}


# Gaia


@pytest.mark.parametrize("name", ARCHIVE)
def test_every_shape_of_the_archive_gives_the_same_spectrum(tmp_path, name):
    ARCHIVE[name](tmp_path / name)
    spectrum = read_observed(tmp_path / name)
    assert (spectrum.medium, spectrum.frame, spectrum.flux_unit) == ("vacuum", "rest", "")
    assert dict(spectrum.labels) == {"resolution": 12400.0}
    assert spectrum.provenance["resolution_error"] == 500
    assert spectrum.provenance["noise_correlation_kms"] == 3.7
    given = read_observed(tmp_path / name, resolution=11500)
    assert (dict(given.labels), "resolution_error" in given.provenance) == ({"resolution": 11500}, False)
    # what two texts of a wavelength can differ by
    np.testing.assert_allclose(spectrum.wavelength, 8460 + 0.1 * np.arange(2401), rtol=1e-14)
    np.testing.assert_array_equal(spectrum.flux.astype(np.float32), star()["flux"])
    np.testing.assert_array_equal(spectrum.error.astype(np.float32), star()["flux_error"])
    assert np.flatnonzero(spectrum.mask).tolist() == [*range(6), *range(2397, 2401)]
    about = spectrum.provenance
    assert about["source_id"] == SOURCE  # as text: a JSON number of 19 digits is rounded by many readers
    assert about["product"] == "Gaia RVS mean spectrum"
    assert about["median_flux"] == pytest.approx(0.97, abs=0.002)
    assert "notes" not in about  # missing edges are no fault
    if "DR" in name:
        assert f"{about['retrieval_type']}-{about['release']}" in name


def test_what_the_archive_tells_of_a_source_is_kept(tmp_path):
    write_bulk(tmp_path / "bulk.csv.gz")
    about = read_observed(tmp_path / "bulk.csv.gz").provenance
    assert about["solution_id"] == str(FACTS["solution_id"])
    assert about["combined_transits"] == "16"
    assert "dec" not in about  # null


def write_combined_votable(path):
    file = votable.tree.VOTableFile()
    resource = votable.tree.Resource()
    file.resources.append(resource)
    for seed, source in enumerate((11, 12, 13)):
        element = next(votable.from_table(table(seed)).iter_tables())
        element.params.append(votable.tree.Param(file, name="source_id", value=source, datatype="long"))
        resource.tables.append(element)
    file.to_xml(str(path))


def write_long_csv(path):
    lines = ["source_id,wavelength,flux,flux_error"]
    for seed, source in enumerate((11, 12, 13)):
        arrays = zip(gaia.WAVELENGTH_NM, *star(seed).values(), strict=True)
        lines += [f"{source},{w:.2f},{f!r},{e!r}" for w, f, e in (map(float, row) for row in arrays)]
    path.write_text("\n".join(lines))


def write_many_rows(path):
    path.write_text(bulk_text([11, 12, 13], BULK_HEADER))


@pytest.mark.parametrize(
    ("name", "write"),
    [("RVS_COMBINED.xml", write_combined_votable), ("l.csv", write_long_csv), ("b.csv", write_many_rows)],
)
def test_many_in_one_file(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    found = list(read_each(path))
    assert [one.name for one in found] == [f"{path}[{source}]" for source in (11, 12, 13)]
    for seed, one in enumerate(found):
        np.testing.assert_array_equal(one.spectrum.flux.astype(np.float32), star(seed)["flux"])
        assert one.spectrum.provenance["source_id"] == str(11 + seed)
    np.testing.assert_array_equal(read_observed(path, source=12).flux, found[1].spectrum.flux)
    with pytest.raises(ConfigError, match=r"it has 3 spectra \(11, 12, 13\): name one with source="):
        read_observed(path)
    with pytest.raises(ConfigError, match="source = 14 is not in it"):
        read_observed(path, source=14)


def test_one_bad_row_does_not_stop_the_others(tmp_path):
    text = bulk_text([11, 12, 13]).splitlines()
    text[2] = text[2].replace("[NaN,", "[NaN,x,", 1)
    (tmp_path / "b.csv").write_text("\n".join(text))
    found = list(read_each([tmp_path / "absent.fits", tmp_path / "b.csv"]))
    assert [one.spectrum is None for one in found] == [True, False, True, False]
    assert found[0].fault.endswith("absent.fits: No such file or directory")
    assert "could not convert string to float: 'x'" in found[2].fault


def test_shortened_printouts_are_refused(tmp_path):
    """What astroquery's arrays become in a csv file of pandas (astroquery issue 3481)."""
    (tmp_path / "s.csv").write_text(
        'source_id,flux,flux_error\n1,"[nan nan ... nan nan]","[nan nan ... nan nan]"\n'
    )
    with pytest.raises(ParseError, match="flux of row 1 is a shortened printout"):
        read_observed(tmp_path / "s.csv", format="gaia")


def test_gaia_cannot_be_told_otherwise(tmp_path):
    path = tmp_path / "g.csv"
    write_csv(path)
    with pytest.raises(ConfigError, match="medium = 'air' is given, but file and format tell 'vacuum'"):
        read_observed(path, medium="air")
    assert read_observed(path, medium="vacuum", unit="nm", resolution=11000).labels["resolution"] == 11000
    spectrum = read_observed(path, format="table", medium="air", frame="barycentric", unit="nm")
    assert (spectrum.medium, spectrum.frame) == ("air", "barycentric")
    with pytest.raises(OutOfRangeError, match="resolution = -1 is not a positive number"):
        read_observed(path, resolution=-1)


@pytest.mark.parametrize("step", [0.025, 0.02])
def test_other_wavelengths_are_no_mean_spectrum(tmp_path, step):
    """DR4's epoch spectra have steps of 0.025 nm and are barycentric: their frame must be said."""
    wavelength = np.arange(846, 870, step)
    flux = np.ones(wavelength.size)
    Table({"wavelength": wavelength, "flux": flux, "flux_error": flux}).write(tmp_path / "e.csv")
    with pytest.raises(ConfigError, match="does not tell its unit, medium, frame: give unit='Angstrom'"):
        read_observed(tmp_path / "e.csv")
    with pytest.raises(ParseError, match="no RVS mean spectrum"):
        read_observed(tmp_path / "e.csv", format="gaia")


# Others


def rows(**change) -> np.ndarray:
    wavelength = np.linspace(8460, 8700, 50)
    columns = {"wavelength": wavelength, "flux": wavelength / 8500, "error": np.full(50, 0.01)} | change
    return np.stack(list(columns.values()), axis=-1)


@pytest.mark.parametrize(
    ("header", "delimiter", "unit"),
    [
        ("", " ", "Angstrom"),
        ("", "\t", "A"),
        ("wavelength,flux,error\n", ",", "Angstrom"),
        ("wavelength [Angstrom],flux,flux_err\n", ",", None),
        ("wave_A;flux;sigma\n", ";", None),
        ("# a remark\n# wave(A) flux err\n", " ", None),
    ],
)
def test_plain_text(tmp_path, header, delimiter, unit):
    lines = [delimiter.join(map(repr, row)) for row in rows().tolist()]
    (tmp_path / "star.txt").write_text(header + "\n".join(lines))
    spectrum = read_observed(
        tmp_path / "star.txt", medium="air", frame="heliocentric", unit=unit, resolution=9000
    )
    np.testing.assert_array_equal(np.stack([spectrum.wavelength, spectrum.flux, spectrum.error], -1), rows())
    assert (spectrum.medium, spectrum.frame, spectrum.mask) == ("air", "heliocentric", None)
    assert spectrum.labels["resolution"] == 9000


@pytest.mark.parametrize(("unit", "factor"), [("nm", 10), ("um", 1e4), ("Angstrom", 1)])
@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".vot"])
@pytest.mark.filterwarnings("ignore:The unit 'Angstrom' has been deprecated in the VOUnit standard")
def test_units_of_columns(tmp_path, unit, factor, suffix):
    made = Table({"WAVE": rows()[:, 0] / factor, "FLUX": rows()[:, 1]})
    made["WAVE"].unit, made["FLUX"].unit = unit, "Jy"
    made.write(tmp_path / f"t{suffix}", format="votable" if suffix == ".vot" else None)
    spectrum = read_observed(tmp_path / f"t{suffix}", medium="vacuum", frame="rest")
    np.testing.assert_allclose(spectrum.wavelength, rows()[:, 0], rtol=1e-14)
    assert (spectrum.flux_unit, spectrum.error) == ("Jy", None)


def test_arrays_in_a_row_and_the_frame_of_a_header(tmp_path):
    """As ESO's phase 3 has them: one row, and the frame by the FITS standard's keyword."""
    made = Table({name: [rows()[:, n]] for n, name in enumerate(("WAVE", "FLUX", "ERR"))})
    made["WAVE"].unit = "Angstrom"
    made.meta["SPECSYS"] = "BARYCENT"
    made.write(tmp_path / "p3.fits")
    spectrum = read_observed(tmp_path / "p3.fits", medium="vacuum")
    assert spectrum.frame == "barycentric"
    np.testing.assert_array_equal(spectrum.error, rows()[:, 2])


def test_columns_can_be_chosen(tmp_path):
    np.savetxt(tmp_path / "four.dat", np.insert(rows(), 1, -1.0, axis=1))
    with pytest.raises(ParseError, match="4 columns without names: choose with columns="):
        read_observed(tmp_path / "four.dat", **PLAIN)
    spectrum = read_observed(tmp_path / "four.dat", columns=(1, 3, 4), **PLAIN)
    np.testing.assert_array_equal(spectrum.flux, rows()[:, 1])
    Table(rows(), names=["x", "y", "z"]).write(tmp_path / "xyz.csv")
    with pytest.raises(ParseError, match=r"no wavelength and flux .* among the columns \(x, y, z\)"):
        read_observed(tmp_path / "xyz.csv", **PLAIN)
    assert read_observed(tmp_path / "xyz.csv", columns=("x", "y"), **PLAIN).error is None


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".csv"])
def test_our_own_files(tmp_path, suffix):
    mask = np.arange(50) == 3
    made = Spectrum(
        rows()[:, 0], rows()[:, 1], medium="air", mask=mask, frame="barycentric", labels={"resolution": 7000}
    )
    made.write(tmp_path / f"own{suffix}")
    spectrum = read_observed(tmp_path / f"own{suffix}")
    assert (spectrum.medium, spectrum.frame, dict(spectrum.labels)) == (
        "air",
        "barycentric",
        {"resolution": 7000},
    )
    np.testing.assert_array_equal(spectrum.mask, mask)
    with pytest.raises(ConfigError, match="medium = 'vacuum' is given, but file and format tell 'air'"):
        read_observed(tmp_path / f"own{suffix}", medium="vacuum")


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
def test_rows_of_our_own_files(tmp_path, suffix):
    if suffix == ".h5":
        pytest.importorskip("h5py")
    labels = np.tile([5777.0, 4.44, 2.0, 0.0, 1.0, 11500.0], (3, 1))
    flux = np.stack([rows()[:, 1] * (n + 1) for n in range(3)]).astype(np.float32)
    spectra = Spectra(rows()[:, 0], flux, labels, medium="air")
    write_many(tmp_path / f"m{suffix}", [Portion(np.array([1, 2, 5]), spectra)])
    found = list(read_each(tmp_path / f"m{suffix}"))
    assert [one.name.partition("[")[2] for one in found] == ["1]", "2]", "5]"]
    spectrum = read_observed(tmp_path / f"m{suffix}", source=5)
    np.testing.assert_array_equal(spectrum.flux, flux[2])
    assert tuple(spectrum.labels) == TABLE_1.names


def test_what_specutils_reads(tmp_path):
    pytest.importorskip("specutils")
    image = fits.PrimaryHDU(rows()[:, 1])
    step = float(np.diff(rows()[:, 0])[0])
    image.header.update(CRVAL1=8460.0, CDELT1=step, CRPIX1=1, CTYPE1="WAVE", CUNIT1="Angstrom", BUNIT="Jy")
    image.writeto(tmp_path / "image.fits")
    with pytest.raises(ConfigError, match="does not tell its medium, frame: give medium='air'"):
        read_observed(tmp_path / "image.fits")
    for form in (None, "specutils", "specutils:wcs1d-fits"):
        spectrum = read_observed(tmp_path / "image.fits", format=form, medium="air", frame="rest")
        np.testing.assert_allclose(spectrum.wavelength, rows()[:, 0], rtol=1e-12)
        np.testing.assert_array_equal(spectrum.flux, rows()[:, 1])
        assert spectrum.flux_unit == "Jy"
    with pytest.raises(
        ParseError, match=r"image.fits: No reader defined for format 'no such loader'[^\n]{,99}$"
    ):
        read_observed(tmp_path / "image.fits", format="specutils:no such loader", medium="air", frame="rest")


# What is wrong with a spectrum


def written(folder, **change):
    np.savetxt(folder / "star.txt", rows(**change))
    return folder / "star.txt"


def test_decreasing_wavelengths_are_turned_around(tmp_path):
    spectrum = read_observed(written(tmp_path, wavelength=rows()[::-1, 0]), **PLAIN)
    np.testing.assert_array_equal(spectrum.flux, rows()[::-1, 1])
    np.testing.assert_array_equal(spectrum.wavelength, rows()[:, 0])
    assert spectrum.provenance["notes"] == ["wavelengths decreased and were turned around"]


def test_unusable_pixels_are_masked_and_counted(tmp_path):
    flux, error = rows()[:, 1].copy(), np.full(50, 0.01)
    flux[:3], error[:4], error[10], error[20], error[30] = np.nan, np.nan, 0, -1, np.inf
    spectrum = read_observed(written(tmp_path, flux=flux, error=error), **PLAIN)
    assert np.flatnonzero(spectrum.mask).tolist() == [0, 1, 2, 3, 10, 20, 30]
    assert spectrum.provenance["notes"] == [
        "2 pixels with no finite error are masked",
        "2 pixels with a zero or negative error are masked",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"flux": np.full(50, np.nan)}, r"no flux is finite \(50 pixels\)"),
        ({"error": np.zeros(50)}, r"no error is finite and positive \(50 of 50 zero or negative\)"),
        ({"error": np.full(50, np.nan)}, r"no error is finite and positive \(0 of 50"),
        ({"wavelength": np.tile([8500.0, 8501.0], 25)}, r"neither rise nor fall throughout: at 8500 A \(24"),
        ({"wavelength": np.full(50, 8500.0)}, r"neither rise nor fall throughout: at 8500 A \(49 places"),
        ({"wavelength": np.r_[np.nan, rows()[1:, 0]]}, "must be finite and positive"),
        (
            {"wavelength": np.linspace(17000, 18000, 50)},
            r"17000 to 18000 A \(read as Angstrom\) have no point in 2300 to 16900 A",
        ),
        (
            {"wavelength": np.linspace(846, 870, 50)},
            r"846 to 870 A \(read as Angstrom\) have no point in 2300 to 16900 A: another unit",
        ),
    ],
)
def test_one_line_for_what_cannot_be_used(tmp_path, change, reason):
    path = written(tmp_path, **change)
    with pytest.raises(ParseError, match=reason) as caught:
        read_observed(path, **PLAIN)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert [one.fault for one in read_each([path], **PLAIN)] == [str(caught.value)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"# only a remark\n", "no rows"),
        (b"wavelength,flux\n", "no rows"),
        (b"8500 1\n8501 1 1\n", "line 2: 3 cells under 2 names"),
        (b"wavelength,flux\n8500,1\n\n8501,bright\n", "line 4: flux = 'bright' is no number"),
        (b"flux,flux\n1,1\n", "two columns have the same name"),
        (b"\x89PNG\r\n\x1a\n\x00\x01", "no readable text table"),
        (b"PK\x03\x04rest", "a zip archive: unpack it"),
        (b"\x1f\x8b\x08\x00cut", "end-of-stream|cut|Compressed|incomplete|invalid|Error"),
        (b"<?xml version='1.0'?><VOTABLE><RESOURCE>", "no readable VOTABLE table"),
    ],
)
def test_one_line_for_files_that_are_none(tmp_path, content, reason):
    path = tmp_path / "star.dat"
    path.write_bytes(content)
    with pytest.raises(ParseError, match=reason) as caught:
        read_observed(path, **PLAIN)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.7, 0.99])
def test_fits_cut_short(tmp_path, share):
    write_fits(tmp_path / "whole.fits")
    content = (tmp_path / "whole.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ParseError, match=r"cut.fits: "):
        read_observed(tmp_path / "cut.fits")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "miles"}, "format = 'miles' is not one of ambre, ascii, fits-image"),
        ({"format": "gaia:1"}, "the format gaia has no variant to choose"),
        ({"format": "phoenix", "columns": (1, 2)}, "the format phoenix has no columns to choose"),
        ({"medium": "water"}, "medium = 'water' is not one of air, vacuum"),
        ({"frame": "mine"}, "frame = 'mine' is not one of rest, barycentric"),
        ({"unit": "Jy"}, "'Jy' is no unit of a wavelength, such as Angstrom, nm, um"),
        (
            {"unit": None, "frame": None},
            "does not tell its unit, frame: give unit='Angstrom' | 'nm' | 'um', frame=",
        ),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, reason):
    path = written(tmp_path)
    with pytest.raises((ConfigError, ParseError)) as caught:
        read_observed(path, **PLAIN | options)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("content", "given", "python", "command"),
    [
        (
            b"wave flux\n8500 1\n",
            {},
            "give unit='Angstrom' | 'nm' | 'um', medium=",
            "give --unit Angstrom|nm|um, --medium air|",
        ),
        (b"x y\n8500 1\n", PLAIN, "others: columns=...), among", "others: --columns), among"),
        (b"1 2 3 4\n", PLAIN, "choose with columns=(1, 2, 3)", "choose with --columns 1,2,3"),
        (b"wave_air flux\n8500 1\n", PLAIN, "another format: format=...)", "another format: --format)"),
        (b"wave flux err\n8500 1 0\n", PLAIN, "alone with columns=...", "alone with --columns"),
    ],
)
def test_messages_speak_the_language_of_their_caller(tmp_path, content, given, python, command):
    (tmp_path / "star.txt").write_bytes(content)
    with pytest.raises((ConfigError, ParseError)) as caught:
        read_observed(tmp_path / "star.txt", **given)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert python in str(error)
        assert command in error.in_command
        assert "=" not in error.in_command.replace("medium = ", "")


def test_an_option_in_both_languages():
    asked = {
        Option("medium", ("air", "vacuum")): ("medium='air' | 'vacuum'", "--medium air|vacuum"),
        Option("columns", ((1, 2),)): ("columns=(1, 2)", "--columns 1,2"),
        Option("overwrite", (True,)): ("overwrite=True", "--overwrite"),
        Option("source"): ("source=...", "--source"),
    }
    for option, spelled in asked.items():
        assert (str(option), option.in_command) == spelled


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"columns": ("wave", "fluxx")}, r"no column fluxx, among the columns \(wave, flux, 3\)"),
        ({"columns": ("wave",)}, "columns wave: two or three are wanted"),
        ({"columns": (1, 2, 3, 1)}, "columns 1, 2, 3, 1: two or three are wanted"),
        ({"columns": (1, 1)}, "columns 1, 1: two or three are wanted, .*, all different"),
        ({"columns": (1, 2, "flux")}, "columns 1, 2, flux: two or three are wanted"),
        (
            {"columns": ("wave", "flux"), "format": "ascii"},
            "columns wave, flux: wanted are two or three numbers",
        ),
        ({"columns": (0, 1), "format": "ascii"}, "columns 0, 1: wanted are two or three numbers, from 1"),
        ({"columns": (1, 2, 3, 1), "format": "ascii"}, "columns 1, 2, 3, 1: wanted are two or three"),
    ],
)
def test_columns_that_cannot_be_chosen(tmp_path, options, reason):
    (tmp_path / "star.txt").write_text("wave flux 3\n8500 1 2\n8501 1 2\n")
    with pytest.raises(ParseError, match=reason):
        read_observed(tmp_path / "star.txt", **PLAIN | options)


def test_hdf5_of_others_is_one_line(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["wave"] = file["flux"] = [1.0]
    with pytest.raises(
        ParseError, match=r"x.h5: HDF5 of another program: it has flux, wave, not wavelength, l"
    ):
        read_observed(tmp_path / "x.h5", **PLAIN)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "x.h5").read_bytes()[:900])
    with pytest.raises(ParseError, match=r"cut.h5: damaged or cut off: HDF5 cannot open it$"):
        read_observed(tmp_path / "cut.h5", **PLAIN)


def test_a_mask_that_is_not_chosen_is_not_used(tmp_path):
    """So there is a way to read a file whose mask is 1 where pixels are good."""
    mask = np.ones(50)
    mask[7] = 0
    np.savetxt(tmp_path / "m.csv", rows(mask=mask), delimiter=",", header="wave,flux,err,mask", comments="")
    spectrum = read_observed(tmp_path / "m.csv", **PLAIN)
    assert np.flatnonzero(~spectrum.mask).tolist() == [7]
    assert read_observed(tmp_path / "m.csv", columns=("wave", "flux", "err"), **PLAIN).mask is None


def test_unknown_options_of_a_list():
    with pytest.raises(TypeError, match="no option 'sauce'"):
        next(read_each("a.fits", sauce=3))


def test_lists_of_files(tmp_path):
    (tmp_path / "list.txt").write_text("# mine\na.fits\n\n  sub/b star.csv\n/c.fits\n")
    names = read_list(tmp_path / "list.txt")
    assert [str(name) for name in names] == [f"{tmp_path}/a.fits", f"{tmp_path}/sub/b star.csv", "/c.fits"]
    (tmp_path / "list.txt").write_text("# none\n")
    with pytest.raises(ParseError, match="no file is named in it"):
        read_list(tmp_path / "list.txt")


def test_quotes_and_patterns_in_lists(tmp_path):
    for name in ("b 1.csv", "a1.csv", "a2.csv", "odd[1].csv", "sub/c1.csv", '"own"'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")

    def named(line: str, **how) -> list[str]:
        (tmp_path / "list.txt").write_text(line + "\n", **how)
        return [str(path.relative_to(tmp_path)) for path in read_list(tmp_path / "list.txt")]

    assert named('"b 1.csv"') == named("'b 1.csv'") == named("b 1.csv") == ["b 1.csv"]
    assert named('"own"') == ['"own"']
    assert named("a*.csv") == named('"a?.csv"') == ["a1.csv", "a2.csv"]
    assert named("**/c1.csv") == ["sub/c1.csv"]
    assert named("odd[1].csv") == ["odd[1].csv"]
    assert named("none*.csv\r\n# no\na1.csv") == ["none*.csv", "a1.csv"]
    assert named("a1.csv", encoding="utf-16") == named("a1.csv", encoding="utf-8-sig") == ["a1.csv"]


def test_a_spectrum_is_no_list(tmp_path):
    Spectrum([8500.0, 8501.0], [1.0, 1.0], medium="air").write(tmp_path / "star.fits")
    with pytest.raises(ParseError, match=r"star\.fits: a FITS file, not a list of files$"):
        read_list(tmp_path / "star.fits")


def test_a_name_that_is_none_costs_one_row_of_a_list(tmp_path):
    written(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"star.txt\nsta\0r.txt\n\xff\xe9.txt\nstar.txt\n")
    found = list(read_each(read_list(tmp_path / "list.txt"), **PLAIN))
    assert [one.spectrum is None for one in found] == [False, True, True, False]
    (tmp_path / "star.txt").rename(read_list(tmp_path / "list.txt")[2])
    assert [one.spectrum is None for one in read_each(read_list(tmp_path / "list.txt"), **PLAIN)][2] is False


# Real stars


def observed(shared, name: str) -> dict:
    with np.load(shared / "observed" / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored} | {"meta": json.loads(str(stored["meta"]))}


@pytest.mark.parametrize("write", ["fits", "votable", "ecsv", "csv", "bulk"])
def test_kepler_409_in_the_formats_of_the_archive(shared, tmp_path, write):
    real = observed(shared, "gaia_rvs_kepler-409")
    path = tmp_path / f"RVS-Gaia DR3 {real['meta']['gaia_source_id']}.{write}"
    arrays = {"flux": real["flux"].astype(np.float32), "flux_error": real["flux_err"].astype(np.float32)}
    if write == "bulk":
        cells = ",".join(f'"{bracketed(values)}"' for values in arrays.values())
        path.write_text(f"source_id,flux,flux_error\n{real['meta']['gaia_source_id']},{cells}\n")
    else:
        made = Table({"wavelength": real["wave_A"] / 10, **arrays})
        made["wavelength"].unit = None if write == "csv" else "nm"
        made.write(path, format={"ecsv": "ascii.ecsv"}.get(write, write))
    spectrum = read_observed(path)
    np.testing.assert_allclose(spectrum.wavelength, real["wave_A"], rtol=1e-12)
    np.testing.assert_array_equal(spectrum.flux.astype(np.float32), arrays["flux"])
    assert spectrum.mask.sum() == real["meta"]["n_nan"]
    assert spectrum.provenance["source_id"] == real["meta"]["gaia_source_id"]
    # a bright star: continuum slightly below one
    assert 0.9 < spectrum.provenance["median_flux"] < 1


@pytest.mark.parametrize("name", ["sun_fts_disk_centre", "mike_hd140283", "hpf_hr3039"])
def test_real_stars_as_text(shared, tmp_path, name):
    real = observed(shared, name)
    columns = [real["wave_A"], real["flux"], *([real["flux_err"]] if "flux_err" in real else [])]
    np.savetxt(
        tmp_path / "star.txt",
        np.stack(columns, -1),
        header=" ".join(["wave[A]", "flux", "err"][: len(columns)]),
    )
    about = {"medium": real["meta"]["medium"], "frame": "barycentric", "resolution": real["meta"]["R"]}
    spectrum = read_observed(tmp_path / "star.txt", unit="Angstrom", **about)
    np.testing.assert_array_equal(spectrum.flux, real["flux"])
    air = spectrum.wavelength if spectrum.medium == "air" else air_from_vacuum(spectrum.wavelength)
    np.testing.assert_allclose(air, real["wave_air_A"], atol=2e-3)  # their index of air: 0.002 A


@pytest.mark.parametrize("name", ["sun_fts_disk_centre", "mike_hd140283", "hpf_hr3039"])
def test_real_stars_as_gaia_would_see_them(shared, tmp_path, name):
    real = observed(shared, name)
    flux = real["rvs_flux"].astype(np.float32)
    made = Table({"wavelength": real["rvs_wave_vac_A"] / 10, "flux": flux, "flux_error": flux / 100})
    made["wavelength"].unit = "nm"
    made.write(tmp_path / "star.xml", format="votable")
    spectrum = read_observed(tmp_path / "star.xml")
    np.testing.assert_array_equal(spectrum.flux.astype(np.float32), flux)
    masked = 0 if spectrum.mask is None else spectrum.mask.sum()
    assert masked == np.isnan(flux).sum()  # hpf_hr3039 has gaps
    assert (spectrum.medium, spectrum.labels["resolution"]) == ("vacuum", 12400)


def test_a_masked_pixel_stays_one_when_written_again(tmp_path):
    write_csv(tmp_path / "g.csv")
    spectrum = read_observed(tmp_path / "g.csv")
    replace(spectrum, labels=None).write(tmp_path / "again.fits")
    again = read_observed(tmp_path / "again.fits")
    np.testing.assert_array_equal(again.mask, spectrum.mask)
    np.testing.assert_array_equal(again.flux, spectrum.flux)


@pytest.mark.parametrize(
    ("name", "given", "medium", "first"),
    [
        ("STELIB_v3.2_HD034411.fits", {"medium": "air", "frame": "rest"}, "air", 3198.748),
        ("spec-0266-51602-0031.fits", {"frame": "heliocentric"}, "vacuum", 3800.1426),
        ("star_g2v.fits", {"medium": "vacuum", "frame": "rest"}, "vacuum", 900.0),
    ],
)
def test_files_of_surveys(shared, name, given, medium, first):
    """A flux unit in words, a card that is damaged; SDSS' logarithms and inverse variances; a model."""
    spectrum = read_observed(shared / "cases" / name, **given)
    assert spectrum.medium == medium
    assert spectrum.wavelength[0] == pytest.approx(first, abs=1e-4)
    assert (spectrum.error is None) == (not name.startswith("spec"))
    assert spectrum.provenance["columns"][1] == "flux"
