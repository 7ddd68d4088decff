"""``starloom synthesize`` as a user meets it: spectra, which share what JAX compiles, and wrong questions."""

import subprocess
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from astropy import units
from typer.testing import CliRunner

from starloom import Spectrum, bands, cli, tables
from starloom.broadening import emission
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError, ParseError, StarloomError
from starloom.wavelength import air_from_vacuum

pytest.importorskip("jax")
atlas9_lines = run_path(str(Path(__file__).with_name("test_atmosphere_files.py")))["atlas9_lines"]

RVS = bands.load("rvs")
SYNTHESIS_GRID_AA = RVS.chunks[0].wavelength_aa
PAPER_GRID_AA = RVS.points.wavelength_aa
SUN = ("--teff", 5777, "--logg", 4.44, "--mh", 0, "--vmic", 1)
CALCIUM = 8542.091  # air, Angstrom; NIST Atomic Spectra Database


def run(*arguments) -> str:
    result = CliRunner().invoke(cli.app, ["synthesize", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def sun(tmp_path_factory):
    """The Sun's spectrum as emitted, the folder of its files and what was printed."""
    folder = tmp_path_factory.mktemp("sun")
    text = run(*SUN, "-o", folder / "sun.fits", "--plot", folder / "sun.png", "--line-report", "8540:8546")
    return Spectrum.read(folder / "sun.fits"), folder, text


def test_file_says_what_it_is(sun):
    spectrum, _, text = sun
    assert np.array_equal(spectrum.wavelength, air_from_vacuum(SYNTHESIS_GRID_AA))
    assert (spectrum.medium, spectrum.frame, spectrum.flux_unit) == ("air", "rest", "")
    assert dict(spectrum.labels) == {"teff": 5777, "logg": 4.44, "vsini": 0, "mh": 0, "vmic": 1}
    digests = tables.synthesis_digests(RVS.tables)
    assert spectrum.provenance["tables"] == {name: digest[:12] for name, digest in digests.items()}
    assert spectrum.mask is None
    assert "sun.fits: Spectrum(21870 wavelengths" in text


def test_calcium_is_the_deepest_line_at_its_place(sun):
    spectrum, _, _ = sun
    deepest = spectrum.wavelength[spectrum.flux.argmin()]
    assert abs(deepest - CALCIUM) < 0.02  # one step of the grid
    assert 0.1 < spectrum.flux.min() < 0.3  # 0.20 in the solar atlas, whose core is no LTE
    assert spectrum.flux.max() < 1.001


def test_report_lists_the_strongest_lines_of_the_window(sun):
    rows = [line.split() for line in sun[2].splitlines()]
    (calcium,) = [row for row in rows if row[:2] == ["Ca", "II"]]
    assert [float(x) for x in calcium[2:5]] == pytest.approx([CALCIUM, -0.463, 1.700], abs=1e-3)
    strengths = [float(row[5]) for row in rows if len(row) == 7 and row[0] != "Pa"]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == float(calcium[5]) > 1e4
    # Rydberg, R_H = 109677.58 cm-1; the fine structure of n = 3 moves the mean line by 0.07 cm-1
    (paschen,) = [row for row in rows if row[0] == "Pa"]
    rydberg = air_from_vacuum(1e8 / (109677.58 * (1 / 9 - 1 / 15**2)))
    assert paschen[1] == "15"
    assert float(paschen[2]) == pytest.approx(rydberg, abs=0.06)
    assert float(paschen[4]) == pytest.approx(12.09, abs=0.005)


def test_figure_is_drawn(sun):
    assert (sun[1] / "sun.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def model(tmp_path):
    """A file of the Sun's structure that states another metallicity, -0.3."""
    path = tmp_path / "sun.mod"
    path.write_text("\n".join(atlas9_lines()) + "\n")
    return path


def test_model_file_is_the_same_star(sun, model, tmp_path):
    run("--atmosphere", model, "--mh", 0, "--vmic", 1, "-o", tmp_path / "again.csv")
    again = Spectrum.read(tmp_path / "again.csv")
    assert np.abs(again.flux - sun[0].flux).max() < 1e-4  # the file's digits
    assert again.provenance["atmosphere"] == "sun.mod"
    assert dict(again.labels) == dict(sun[0].labels)


def test_less_calcium_seen_by_an_instrument(sun, model, tmp_path):
    options = ("--vsini", 5, "--resolution", 11500, "--rv", 30, "--grid", "paper", "--element", "Ca=-1")
    run("--atmosphere", model, "--mh", 0, "--vmic", 1, *options, "-o", tmp_path / "seen.ecsv")
    seen = Spectrum.read(tmp_path / "seen.ecsv")
    assert np.array_equal(seen.wavelength, PAPER_GRID_AA)
    assert seen.frame == "barycentric"
    assert (seen.labels["vsini"], seen.labels["resolution"]) == (5, 11500)
    assert seen.labels["Ca"] == -1
    assert seen.provenance["abundances"]["[Ca/M]"] == -1
    solar = view(5, 11500, 30, paper_grid=True).observe(made_of(sun[0].flux), {})
    near = np.abs(PAPER_GRID_AA - CALCIUM * (1 + 30 / SPEED_OF_LIGHT_KMS)) < 10
    # the width of a damped line grows as the root of the abundance, but for its core and its neighbours
    ratio = (1 - solar.flux[near]).sum() / (1 - seen.flux[near]).sum()
    assert 2 < ratio < np.sqrt(10)


def test_filled_cores(sun, tmp_path):
    run(*SUN, "--filling", 0.1, "-o", tmp_path / "filled.fits")
    filled = Spectrum.read(tmp_path / "filled.fits")
    assert dict(filled.labels) == {**sun[0].labels, "filling": 0.1}
    assert "Ca II cores filled (" in filled.provenance["physics"]
    assert "filled" not in sun[0].provenance["physics"]
    added = 0.1 * emission(SYNTHESIS_GRID_AA)
    assert np.abs(filled.flux - sun[0].flux - added).max() < 1e-6  # float32
    assert added.max() > 0.099


def made_of(normalized: np.ndarray):
    """A ``SyntheticSpectrum`` of this flux over its continuum."""
    from starloom.synthesis import SyntheticSpectrum

    continuum = np.full(normalized.shape, 1e6)
    unit = "erg s-1 cm-2 Angstrom-1 sr-1"
    return SyntheticSpectrum((continuum * normalized,), (continuum,), RVS, {}, unit)


def view(vsini=0.0, resolution=None, velocity=0.0, mu=None, paper_grid=False, physical=False):
    from starloom.synthesis.view import View

    return View(vsini, resolution, velocity, mu, RVS.points if paper_grid else None, physical)


def gaussian_line():
    """A line of 10 km/s standard deviation at 8600 A in vacuum."""
    velocity = SPEED_OF_LIGHT_KMS * np.log(SYNTHESIS_GRID_AA / 8600.0)
    return made_of(1 - 0.5 * np.exp(-0.5 * (velocity / 10.0) ** 2))


@pytest.mark.parametrize("paper_grid", [False, True])
def test_view_moves_and_blurs(paper_grid):
    seen = (
        view(resolution=11500, velocity=-50.0, paper_grid=paper_grid).observe(gaussian_line(), {}).to_vacuum()
    )
    depth = 1 - seen.flux
    centre = (depth * seen.wavelength).sum() / depth.sum()
    beta = -50.0 / SPEED_OF_LIGHT_KMS
    # the mean over wavelength, not over its logarithm, lies sigma^2 / c^2 = 2e-9 away
    assert centre == pytest.approx(8600.0 * np.sqrt((1 + beta) / (1 - beta)), rel=1e-7)
    sigma = SPEED_OF_LIGHT_KMS / 11500 / np.sqrt(8 * np.log(2))
    assert depth.max() == pytest.approx(0.5 * 10 / np.hypot(10, sigma), rel=1e-3)  # between two points


def test_view_keeps_what_nothing_changes():
    seen = view().observe(gaussian_line(), {})
    assert np.abs(seen.flux - gaussian_line().normalized).max() < 1e-12
    assert seen.mask is None


def test_view_masks_what_rests_on_light_from_outside():
    flux = np.ones(SYNTHESIS_GRID_AA.size)
    seen = view(vsini=100.0, velocity=20.0).observe(made_of(flux), {})
    known = seen.to_vacuum().wavelength[~seen.mask]
    low, high = (SPEED_OF_LIGHT_KMS * np.log(known[[0, -1]] / SYNTHESIS_GRID_AA[[0, -1]])).round(0)
    assert (low, high) == (120, -80)
    # the broadest of the labels' domain still leaves the paper's grid whole
    assert view(vsini=300.0, resolution=5000.0, paper_grid=True).observe(made_of(flux), {}).mask is None


def test_view_of_an_intensity():
    seen = view(mu=1.0, physical=True).observe(gaussian_line(), {})
    assert units.Unit(seen.flux_unit) == units.Unit("erg s-1 cm-2 Angstrom-1 sr-1")
    assert (seen.provenance["quantity"], seen.provenance["mu"]) == ("intensity", 1.0)
    assert seen.flux.max() == pytest.approx(1e6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (("--teff", 5777, "--mh", 0), ConfigError, "--logg, --vmic missing: give all four"),
        (("--teff", 25000, *SUN[2:]), OutOfRangeError, r"teff = 25000 K is outside \[3200, 16000\] K"),
        (("--teff", 14900, "--logg", 2, *SUN[4:]), OutOfRangeError, "near the radiation limit"),
        ((*SUN[:6], "--vmic", "nan"), OutOfRangeError, r"vmic = nan km/s is outside \[0, 5\] km/s"),
        ((*SUN, "--element", "Xx=1"), OutOfRangeError, "element = 'Xx' is not one of H, He"),
        ((*SUN, "--element", "Ca"), ConfigError, "--element Ca: expected SYMBOL=NUMBER"),
        ((*SUN, "--element", "Ca=6.3"), OutOfRangeError, r"\[Ca/M\] = 6.3 dex .*; if A\(Ca\) = 6.3 is meant"),
        ((*SUN, "--element", "H=1"), OutOfRangeError, "counted per hydrogen nucleus"),
        ((*SUN, "--element", "Ca=nan"), OutOfRangeError, r"\[Ca/M\] = nan dex is outside \[-10, 3\] dex"),
        ((*SUN, "--element", "alpha=0.4"), ConfigError, "alpha is no element: give "),
        ((*SUN, "--alpha", "nan"), OutOfRangeError, "alpha = nan dex is outside"),
        ((*SUN, "--alpha", "0.9"), OutOfRangeError, "alpha = 0.9 dex is outside"),
        ((*SUN, "--carbon-ratio", "0"), OutOfRangeError, r"carbon_ratio = 0 is outside \[1, 10000\]"),
        ((*SUN, "--element", "Ca=1", "--element", "Ca=2"), ConfigError, "--element Ca is given twice"),
        ((*SUN, "--vsini", -1), OutOfRangeError, r"vsini = -1 km/s is outside \[0, 300\] km/s"),
        ((*SUN, "--resolution", 10), OutOfRangeError, "resolution = 10 is outside"),
        ((*SUN, "--rv", "inf"), OutOfRangeError, r"rv = inf km/s is outside \[-1000, 1000\] km/s"),
        ((*SUN, "--mu", 0), OutOfRangeError, r"mu = 0 is outside \[0.01, 1\]"),
        ((*SUN, "--filling", "0.7"), OutOfRangeError, r"^filling = 0.7 is outside \[-0.1, 0.6\]$"),
        ((*SUN, "--filling", "nan"), OutOfRangeError, "filling = nan is outside"),
        ((*SUN, "--mu", 1, "--vsini", 2), ConfigError, "--mu and --vsini exclude each other"),
        ((*SUN, "--line-report", "8540"), ConfigError, "--line-report 8540: expected LOW:HIGH"),
        ((*SUN, "--line-report", "2:1"), ConfigError, "--line-report 2:1: the window is empty"),
        (
            (*SUN, "--range", "6000:6100"),
            ConfigError,
            r"^band rvs: 6000\.\.6100 A is not a range within \[8388",
        ),
        ((*SUN, "--range", "8500"), ConfigError, r"^--range 8500: expected LOW:HIGH in Angstrom$"),
        ((*SUN, "--band", "nowhere"), ConfigError, r"^band 'nowhere' is not installed: "),
        ((*SUN, "--line-report", "6000:6100"), ConfigError, r"6000:6100: it is outside \[8388, 8812\] A"),
        ((*SUN, "--atmosphere", "x"), ConfigError, "--teff and --atmosphere exclude each other"),
        (("--atmosphere", "no such file"), FileNotFoundError, "no such file"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, error, message, tmp_path):
    with pytest.raises(error, match=message) as caught:
        run(*options, "-o", tmp_path / "star.fits")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_make():
    with pytest.raises(ConfigError, match="give --output, --plot or --line-report"):
        run(*SUN)


def test_files_are_checked_before_the_work(tmp_path):
    (tmp_path / "is.fits").write_text("mine")
    (tmp_path / "folder.fits").mkdir()
    for name, reason in (
        ("is.fits", "is.fits exists: --overwrite replaces it"),
        ("folder.fits", "folder.fits is a folder"),
        ("star.txt", "must end with one of .fits, .ecsv, .csv"),
        ("none/star.fits", "star.fits: folder .*none does not exist"),
        ("is.fits/star.fits", "star.fits: .*is.fits is no folder"),
    ):
        with pytest.raises(StarloomError, match=reason):
            run(*SUN, "-o", tmp_path / name)
    with pytest.raises(ConfigError, match=r"folder.fits is a folder"):
        run(*SUN, "-o", tmp_path / "folder.fits", "--overwrite")
    with pytest.raises(ConfigError, match=r"must end with one of .png, .pdf, .svg"):
        run(*SUN, "--plot", tmp_path / "star.gif")
    assert (tmp_path / "is.fits").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: ["nothing", "like it"], "neither an ATLAS9 model .* nor a MARCS one"),
        (lambda lines: lines[:20], "line 20: the file ends before layer"),
        (lambda lines: [*lines[:6], lines[7], lines[6], *lines[8:]], "RHOX does not increase inwards"),
        (lambda lines: [*lines[:6], lines[6][:16] + "  -100.0" + lines[6][24:], *lines[7:]], "temperature"),
    ],
)
def test_model_files_are_refused_in_one_line(change, reason, tmp_path):
    model = tmp_path / "model"
    model.write_text("\n".join(change(atlas9_lines())) + "\n")
    with pytest.raises(ParseError, match=reason) as caught:
        run("--atmosphere", model, "--mh", 0, "--vmic", 1, "-o", tmp_path / "star.fits")
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)


@pytest.mark.parametrize(
    ("absent", "extra"), [("jax", "synthesis"), ("scipy", "fit"), ("jaxtyping", "synthesis")]
)
def test_without_the_extra_it_says_what_to_install(absent, extra, tmp_path):
    options = [*map(str, SUN), "-o", str(tmp_path / "star.fits")]
    code = (
        f"import sys; sys.modules[{absent!r}] = None; sys.argv = ['starloom', 'synthesize', *{options}]\n"
        "from starloom.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == f"starloom: {absent} is not installed: pip install 'starloom[{extra}]'\n"


def test_range_is_a_part_of_the_band(sun, tmp_path):
    run(*SUN, "--range", "8540:8545", "-o", tmp_path / "part.fits")
    part, whole = Spectrum.read(tmp_path / "part.fits"), sun[0]
    inside = (whole.wavelength >= 8540) & (whole.wavelength <= 8545)
    assert np.array_equal(part.wavelength, whole.wavelength[inside])
    assert np.array_equal(part.flux, whole.flux[inside])
