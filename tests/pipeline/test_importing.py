"""Other grids' files, written here in their layouts, become stores that hold the same spectra."""

import dataclasses

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from starloom import bands, cli
from starloom.bands import Band
from starloom.broadening import broaden, keep
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.database import batches, importing, recipe, store
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.io import File, find_format, read_labels
from starloom.io.format import formats
from starloom.io.formats.ascii import numbers
from starloom.io.formats.phoenix import WAVELENGTHS as PHOENIX_WAVELENGTHS
from starloom.labels import Domain
from starloom.wavelength import air_from_vacuum

pytest.importorskip("scipy.interpolate")
RVS = bands.load("rvs")
(GRID,) = RVS.chunks
SYNTHESIS_GRID_AA = GRID.wavelength_aa
CENTRES_AA = (8440.0, 8500.4, 8544.4, 8601.0, 8664.5, 8752.9)  # vacuum
STARS = ((5000.0, 4.0, 0.0), (5500.0, 4.5, -0.5), (6000.0, 3.5, 0.5))


def spectrum(vacuum_aa, teff):
    """Normalised flux of a made-up star at any vacuum wavelength."""
    flux = np.ones_like(vacuum_aa)
    for number, centre in enumerate(CENTRES_AA):
        velocity = SPEED_OF_LIGHT_KMS * np.log(vacuum_aa / centre)
        flux -= 0.7 * (teff / 7000) * np.exp(-0.5 * (velocity / (3 + 2 * number)) ** 2)
    return flux


def continuum(vacuum_aa, teff):
    """A flux level with a slope, in some unit."""
    return teff / 5000 * 1e6 * (1 - (vacuum_aa - 8600) / 3000)


GRID_AA = np.arange(8380.0, 8825.0, 0.02)  # vacuum


def write_pollux(path, teff):
    rows = np.stack([air_from_vacuum(GRID_AA), spectrum(GRID_AA, teff) * continuum(GRID_AA, teff)])
    rows = np.vstack([rows, spectrum(GRID_AA, teff)]).T
    header = f"SPECTRUM POLLUX\nTeff = {teff}\nwavelength flux normalised"
    np.savetxt(path, rows, fmt="%12.4f %15.8E %12.9f", header=header)


def write_ambre(path, teff):
    relative = spectrum(GRID_AA, teff)
    rows = np.stack([air_from_vacuum(GRID_AA), relative, relative * continuum(GRID_AA, teff)])
    np.savetxt(path, rows.T, fmt="%10.4f %12.9f %13.6E")


def write_synspec(path, teff):
    def fortran(value):
        return f"{value:.8E}".replace("E", "D")

    air, flux = air_from_vacuum(GRID_AA), spectrum(GRID_AA, teff) * continuum(GRID_AA, teff)
    path.write_text("".join(f"{a:11.4f} {fortran(f)}\n" for a, f in zip(air, flux, strict=True)))
    few = np.array([8300.0, 8600.0, 8900.0])  # the continuum is linear in vacuum wavelength
    lines = [
        f"{a:11.4f} {fortran(c)}\n" for a, c in zip(air_from_vacuum(few), continuum(few, teff), strict=True)
    ]
    path.with_suffix(".17").write_text("".join(lines))


def write_phoenix(path, teff):
    flux = spectrum(GRID_AA, teff) * continuum(GRID_AA, teff)
    fits.PrimaryHDU(flux).writeto(path)
    fits.PrimaryHDU(GRID_AA).writeto(path.with_name(PHOENIX_WAVELENGTHS), overwrite=True)


def write_table(path, teff):
    columns = {"WAVE": GRID_AA / 10, "FLUX": spectrum(GRID_AA, teff)}
    Table(columns, units={"WAVE": "nm"}).write(path, format="fits")


def write_image(path, teff):
    step = 1.5e-6
    grid = np.exp(np.log(8380.0) + step * np.arange(34000))
    header = fits.Header({"CTYPE1": "WAVE-LOG", "CRVAL1": np.log(8380.0), "CDELT1": step, "CRPIX1": 1})
    fits.PrimaryHDU(spectrum(grid, teff), header).writeto(path)


def write_ascii(path, teff):
    np.savetxt(path, np.stack([GRID_AA, spectrum(GRID_AA, teff)]).T)


# layout -> (writer, suffix, what the user says, the largest difference). Wavelengths in text have four
# decimals, 0.002 km/s, on lines of 0.15 per km/s; an envelope is no exact continuum.
CASES = {
    "pollux": (write_pollux, ".spec", {"medium": "air"}, 1e-4),
    "ambre": (write_ambre, ".AMBRE", {}, 1e-4),
    "synspec": (write_synspec, ".7", {}, 1e-4),
    "phoenix": (write_phoenix, ".fits", {}, 2e-3),
    "fits-table": (write_table, ".fits", {"medium": "vacuum", "columns": ("wave", "flux")}, 2e-5),
    "fits-image": (write_image, ".fits", {"medium": "vacuum"}, 2e-5),
    "ascii": (write_ascii, ".txt", {"medium": "vacuum"}, 2e-5),
}


def folder_of(tmp_path, writer, suffix):
    """Three stars' files and their table; the last column of the domain, vmic, is left to the user."""
    files = tmp_path / "files"
    files.mkdir()
    names = [f"star{number}{suffix}" for number in range(len(STARS))]
    for name, star in zip(names, STARS, strict=True):
        writer(files / name, star[0])
    table = Table(rows=STARS, names=("teff", "logg", "mh"), units=("K", "dex(cm / s2)", "dex"))
    table["file"] = names
    table.write(tmp_path / "labels.ecsv")
    return files, tmp_path / "labels.ecsv"


def how(name, **options):
    return importing.Import(find_format(name), given={"vmic": 2.0}, **options)


def imported(tmp_path, files, table, do, **options):
    return importing.import_grid(files, table, tmp_path / "store", do, progress=False, **options)


@pytest.mark.parametrize("name", CASES)
def test_every_layout_gives_the_spectra_written(tmp_path, name):
    writer, suffix, options, tolerance = CASES[name]
    done = imported(tmp_path, *folder_of(tmp_path, writer, suffix), how(name, **options), chunk=2)
    assert done.skipped == ()
    found = store.open_store(tmp_path / "store")
    expected = keep(np.stack([spectrum(SYNTHESIS_GRID_AA, star[0]) for star in STARS]), RVS)
    # rounding in the store (1e-5), the digits of the files, and the spline's error at 0.02 A
    assert np.max(np.abs(found.flux(np.arange(3)) - expected)) < tolerance
    assert found.labels[:, [0, 1, 3]] == pytest.approx(np.array(STARS))
    assert np.array_equal(found.labels[:, [2, 4, 5]], np.tile([0.0, 2.0, 40000.0], (3, 1)))
    assert not done.manifest.damage()


def test_all_formats_of_grids_are_tested():
    observed = {"starloom", "gaia", "table", "specutils"}  # by test_observed_files
    assert set(CASES) == set(formats()) - observed


def test_an_imported_store_is_read_like_any_other(tmp_path):
    imported(tmp_path, *folder_of(tmp_path, write_ascii, ".txt"), how("ascii", medium="vacuum"))
    found = store.open_store(tmp_path / "store")
    batch = next(batches.batches(found, "train", epoch=1))
    assert batch.flux.shape == (len(found.splits["train"]), 4000)
    assert np.all(batch.labels[:, 5] <= 14500)


def test_what_an_instrument_has_seen_is_shown_as_it_is(tmp_path):
    def seen(path, teff):
        flux = broaden(spectrum(SYNTHESIS_GRID_AA, teff), GRID.step_kms, resolution=11500.0)
        np.savetxt(path, np.stack([SYNTHESIS_GRID_AA, flux]).T[2:-2])

    do = how("ascii", medium="vacuum", resolution=11500.0, fill_margin=True)
    imported(tmp_path, *folder_of(tmp_path, seen, ".txt"), do)
    found = store.open_store(tmp_path / "store")
    assert found.broadened.all()
    batch = next(batches.batches(found, "train", epoch=3, shuffle=False))
    assert np.all(batch.labels[:, [2, 5]] == [0.0, 11500.0])
    direct = importing.kept_spectrum(
        tmp_path / "files" / "star0.txt", np.array([5e3, 4, 0, 0, 2, 11500.0]), do, RVS
    )[0]
    flux = broaden(spectrum(SYNTHESIS_GRID_AA, 5e3), GRID.step_kms, resolution=11500.0)
    # the mean over a point, which is not corrected here, and the digits of the file
    assert np.max(np.abs(direct - flux[1::3])) < 1e-4


def test_flux_is_conserved_from_any_points():
    random = np.random.default_rng(1)
    grid = np.sort(random.uniform(8375, 8828, 90000))
    step = np.diff(grid)
    grid = grid[np.concatenate([[True], step > 1e-3])]
    flux = importing.onto_grid("x", GRID, grid, spectrum(grid, 6000.0), 40000.0, False)
    fine = np.linspace(SYNTHESIS_GRID_AA[0], SYNTHESIS_GRID_AA[-1], 400_001)
    width = np.trapezoid(1 - spectrum(fine, 6000.0), fine)
    assert np.trapezoid(1 - flux, SYNTHESIS_GRID_AA) == pytest.approx(width, rel=1e-5)


def test_a_short_spectrum_is_refused_or_filled(tmp_path):
    def short(path, teff):
        grid = np.arange(8401.0, 8803.5, 0.02)
        np.savetxt(path, np.stack([grid, spectrum(grid, teff)]).T)

    files, table = folder_of(tmp_path, short, ".txt")
    with pytest.raises(
        StoreError, match=r"3 of 3 files are bad: .*star0.txt: covers 8401.00-8803.\d+ A .vacuum., 8390"
    ):
        imported(tmp_path, files, table, how("ascii", medium="vacuum"))
    imported(tmp_path, files, table, how("ascii", medium="vacuum", fill_margin=True))
    kept = store.open_store(tmp_path / "store").flux(0)[0]
    expected = keep(spectrum(SYNTHESIS_GRID_AA, 5000.0), RVS)
    assert np.max(np.abs(kept - expected)) < 2e-5
    assert RVS.kept[0].first_aa < 8391


BAD = {
    "empty": ("", "empty"),
    "words": ("8400 1.0\n8401 one\n", r"line 2: no columns"),
    "one column": ("8400\n8401\n", "no line with numbers"),
    "other range": ("".join(f"{w} 1.0\n" for w in range(5000, 5200)), "0 points in 8370-8830 A"),
    "falling": ("".join(f"{w / 10} 1.0\n" for w in range(88250, 83800, -1)), "wavelengths do not rise"),
    "not a number": ("".join(f"{w / 50} nan\n" for w in range(419000, 441250)), "flux is not finite"),
    "negative": ("".join(f"{w / 50} -1.0\n" for w in range(419000, 441250)), "not finite, or negative"),
    "coarse": (
        "".join(f"{w / 2} 1.0\n" for w in range(16740, 17660)),
        r"17.\d+ km/s apart, R = 40000 needs 3.75",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_files_are_listed_and_skipped_only_if_asked(tmp_path, fault):
    content, message = BAD[fault]
    files, table = folder_of(tmp_path, write_ascii, ".txt")
    (files / "star1.txt").write_text(content)
    with pytest.raises(StoreError, match=f"1 of 3 files are bad: .*star1.txt.*{message}"):
        imported(tmp_path, files, table, how("ascii", medium="vacuum"))
    assert not list(tmp_path.glob("store*"))
    done = imported(tmp_path, files, table, how("ascii", medium="vacuum", skip_bad=True))
    assert len(done.skipped) == 1
    assert np.array_equal(store.open_store(tmp_path / "store").labels[:, 0], [5000.0, 6000.0])


def test_files_that_are_not_there_or_no_fits(tmp_path):
    files, table = folder_of(tmp_path, write_table, ".fits")
    (files / "star0.fits").unlink()
    (files / "star2.fits").write_bytes(b"SIMPLE  = broken")
    do = how("fits-table", medium="vacuum", columns=("wave", "intensity"))
    with pytest.raises(
        StoreError, match=r"3 of 3 .*star0.fits: No such file.*star1.fits: no column intensity.*star2.fits: "
    ):
        imported(tmp_path, files, table, do)


def test_synspec_without_its_continuum(tmp_path):
    files, table = folder_of(tmp_path, write_synspec, ".7")
    (files / "star1.17").unlink()
    with pytest.raises(StoreError, match=r"1 of 3 .*star1.7: no continuum beside it \(star1.17\)"):
        imported(tmp_path, files, table, how("synspec"))


def test_fortran_exponents_without_a_letter(tmp_path):
    (tmp_path / "small").write_text("8400.0 1.5-103\n8400.1 2.5D-02\n")
    raw = numbers(File(tmp_path / "small"), (1, 2))
    assert np.array_equal(raw.flux, [1.5e-103, 2.5e-2])


def test_label_tables_say_what_is_missing(tmp_path):
    do = importing.Import(find_format("ascii"), medium="air")
    Table({"file": ["a"], "teff": [5000.0], "logg": [4.0]}).write(tmp_path / "few.csv")
    with pytest.raises(ParseError, match=r"few.csv: no column mh, vmic \(there are: file, teff, logg"):
        importing.labels_of_files(tmp_path / "few.csv", do)
    Table({"star": ["a"], "teff": [5000.0], "logg": [4.0], "mh": [0.0], "vmic": [1.0]}).write(
        tmp_path / "none.csv"
    )
    with pytest.raises(ParseError, match=r"none.csv: no column file, only star$"):
        importing.labels_of_files(tmp_path / "none.csv", do)
    with pytest.raises(ParseError, match=r"absent.csv: "):
        importing.labels_of_files(tmp_path / "absent.csv", do)


def test_what_is_not_said_is_asked_for():
    with pytest.raises(ConfigError, match="medium = 'water' is none of air, vacuum"):
        importing.Import(find_format("pollux"), medium="water")
    with pytest.raises(ConfigError, match="normalise = 'some' is none of none, continuum, envelope"):
        importing.Import(find_format("ambre"), normalise="some")
    with pytest.raises(ConfigError, match="label 'feh' is none of"):
        importing.Import(find_format("ambre"), given={"feh": 0.0})
    with pytest.raises(ConfigError, match="format = 'marcs' is not one of ambre, ascii"):
        find_format("marcs")


def test_the_envelope_lies_on_the_continuum():
    level = continuum(GRID_AA, 6000.0)
    found = importing.envelope(GRID_AA, level * spectrum(GRID_AA, 6000.0))
    assert np.max(np.abs(found / level - 1)) < 2e-3


TOY = Domain.of(
    {
        "teff": (3600, 9000),
        "logg": (0.5, 3.0),
        "mh": (-1, 1),
        "alpha": (-0.5, 0.5),
        "Ca": (-0.5, 0.5),
        "vsini": (0, 60),
        "resolution": (5000, 14500),
    }
)
WIDE = Band.over("wide", 8450.0, 8750.0, 2)


@pytest.fixture
def wide(tmp_path):
    """A folder with the band of two chunks, as a package has it."""
    folder = tmp_path / "wide"
    WIDE.write(folder)
    assert bands.load(folder).kept == WIDE.kept
    return folder


def test_other_labels_and_a_band_of_two_chunks(tmp_path, wide):
    """Each chunk is what the one of the packaged band would be there; element labels by name and symbol."""
    files, _ = folder_of(tmp_path, write_ascii, ".txt")
    table = Table({"file": [f"star{n}.txt" for n in range(3)], "teff": [5000.0, 5500.0, 6000.0]})
    table["logg"], table["[Ca/M]"], table["Co"] = [1.0, 2.0, 0.5], [0.1, 0.2, 0.3], [9.0, 9.0, 9.0]
    table.write(tmp_path / "toy.csv")
    toy = recipe.load("tiny")
    toy = dataclasses.replace(toy, domain=TOY, band=str(wide))
    do = importing.Import(find_format("ascii"), medium="vacuum", given={"mh": 0.0, "alpha": 0.2}, recipe=toy)
    imported(tmp_path, files, tmp_path / "toy.csv", do, chunk=2)
    found = store.open_store(tmp_path / "store")
    assert found.domain.names == TOY.names
    assert found.domain.only("vsini") == TOY.only("vsini")
    assert found.domain.only("Ca") == Domain.of({"Ca": (0.1, 0.3)})
    assert found.labels[1].tolist() == [5500.0, 2.0, 0.0, 0.2, 0.2, 0.0, 40000.0]
    for number, grid in enumerate(WIDE.chunks):
        expected = keep(np.stack([spectrum(grid.wavelength_aa, star[0]) for star in STARS]), WIDE)
        difference = np.abs(found.flux(np.arange(3), number) - expected)
        # a line lies on the first chunk's end, where both continue the flux in their own way
        assert np.max(difference[:, 10:-10]) < 2e-5
    batch = next(batches.batches(found, "train", epoch=1))
    assert batch.flux.shape[1] == WIDE.points.count


def test_a_resolution_that_no_label_can_tell_is_refused(tmp_path):
    files, table = folder_of(tmp_path, write_ascii, ".txt")
    plain = dataclasses.replace(recipe.load("tiny"), domain=TOY.only("teff", "logg", "mh"))
    do = importing.Import(find_format("ascii"), medium="vacuum", resolution=9000.0, recipe=plain)
    with pytest.raises(StoreError, match=r"resolution = 9000 is below R = 14500, and the recipe has no"):
        imported(tmp_path, files, table, do)


def test_a_medium_that_nobody_tells_stops_at_the_first_file(tmp_path):
    files, table = folder_of(tmp_path, write_pollux, ".spec")
    with pytest.raises(
        ConfigError, match=r"star0.spec: the file does not tell its medium: give medium='air'"
    ):
        imported(tmp_path, files, table, how("pollux", skip_bad=True))


def test_the_command_takes_recipe_and_band(tmp_path, wide):
    files, _ = folder_of(tmp_path, write_ascii, ".txt")
    lines = [f"star{n}.txt,{t},2,inf,{t / 1e5}" for n, t in enumerate((5000, 5500, 6000))]
    (tmp_path / "t.csv").write_text("\n".join(["file,teff,logg,R,Ca", *lines]) + "\n")
    ranges = "\n".join(f"{label.name} = [{low}, {high}]" for label, low, high in TOY.ranges)
    settings = 'name = "toy"\nsampling = "sobol"\nseed = 5\nintrinsic = 9\nbroadenings = 1\nchunk = 5\n'
    (tmp_path / "toy.toml").write_text(
        f"{settings}floor = false\n[ranges]\n{ranges}\n[splits]\ntrain = 0.8\nvalidation = 0.1\n"
    )
    words = [
        "import",
        files,
        tmp_path / "t.csv",
        tmp_path / "store",
        "--layout",
        "ascii",
        "--medium",
        "vacuum",
    ]
    words += ["--recipe", tmp_path / "toy.toml", "--band", wide, "--set", "mh=0", "--set", "alpha=0.1"]
    done = CliRunner().invoke(cli.app, ["database", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = store.open_store(tmp_path / "store")
    assert found.labels[2].tolist() == [6000.0, 2.0, 0.0, 0.1, 0.06, 0.0, 40000.0]
    assert (found.band.kept, found.domain.floor) == (WIDE.kept, None)
    words[3] = tmp_path / "other"
    missing = CliRunner().invoke(cli.app, ["database", *map(str, words[:-2])])
    assert "no column alpha" in str(missing.exception)


@pytest.mark.parametrize("column", ["alpha", "[alpha/M]", "[alpha/Fe]", "alpha_fe", "[a/Fe]"])
def test_alpha_by_the_names_of_libraries(tmp_path, column):
    """Fe is one of the metals, unless it is a label of its own: then [alpha/Fe] is another number."""
    path = tmp_path / "stars.csv"
    path.write_text(f"teff,{column},Fe\n5000,0.3,0.1\n")
    metals = Domain.of({"teff": (4000, 6000), "alpha": (-0.2, 0.6)})
    assert read_labels(path, metals).labels.tolist() == [[5000.0, 0.3]]
    apart = Domain.of({"teff": (4000, 6000), "alpha": (-0.2, 0.6), "Fe": (-0.2, 0.2)})
    if "Fe" in column or "fe" in column:
        with pytest.raises(ParseError, match="no column alpha"):
            read_labels(path, apart)
    else:
        assert read_labels(path, apart).labels.tolist() == [[5000.0, 0.3, 0.1]]
