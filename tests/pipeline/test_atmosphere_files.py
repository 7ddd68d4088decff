"""Model files of ATLAS9 and MARCS: what they hold comes back, and a damaged one is refused with its line."""

from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starloom.atmosphere import hydrostatic_residual, interpolate, read_atlas9, read_marcs
from starloom.constants import BOLTZMANN
from starloom.errors import ParseError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def solar():
    return jax.tree.map(np.asarray, interpolate(5777.0, 4.44, 0.0))


def atlas9_lines():
    """The solar structure in the layout of ATLAS9."""
    sun = solar()
    # gradient of log tau: kappa = d tau / dm
    opacity = np.gradient(10**sun.log_tau, sun.column_mass, edge_order=2)
    rows = [
        f" {m:14.8E} {t:8.1f} {p:9.3E} {n:9.3E} {k:9.3E} {0.05:9.3E} {1e5:9.3E} {0:9.3E} {0:9.3E} {1e6:9.3E}"
        for m, t, p, n, k in zip(
            sun.column_mass, sun.temperature, sun.gas_pressure, sun.electron_density, opacity, strict=True
        )
    ]
    return [
        "TEFF   5777.  GRAVITY 4.44000 LTE ",
        "TITLE  [-0.3] VTURB=1  L/H=1.25 NOVER NEW ODF",
        " OPACITY IFOP 1 1 1 1 1 1 1 1 1 1 1 1 1 0 1 0 0 0 0 0",
        "ABUNDANCE SCALE   0.50119 ABUNDANCE CHANGE 1 0.92040 2 0.07834",
        " ABUNDANCE CHANGE  3 -10.94  4 -10.64  5  -9.49  6  -3.52  7  -4.12  8  -3.21",
        f"READ DECK6 {len(rows)} RHOX,T,P,XNE,ABROSS,ACCRAD,VTURB, FLXCNV,VCONV,VELSND",
        *rows,
        "PRADK 1.4000E+00",
        "BEGIN                    ITERATION  15 COMPLETED",
    ]


def marcs_lines():
    """The solar structure in the layout of MARCS."""
    sun = solar()
    pe = sun.electron_density * BOLTZMANN * sun.temperature
    upper, lower = [], []
    for k in range(len(sun.temperature)):
        tau = f"{k + 1:3d} {sun.log_tau[k]:6.3f}"
        upper.append(
            f"{tau} {sun.log_tau[k]:7.4f} {-1e7:10.3E} {sun.temperature[k]:7.1f} {pe[k]:11.4E} "
            f"{sun.gas_pressure[k]:11.4E} {0.5:11.4E} {0:11.4E}"
        )
        lower.append(
            f"{tau} {0.1:11.4E} {1e-9:11.4E} {1.25:5.3f} {0:9.3E} {0:8.5f} {sun.column_mass[k]:14.6E}"
        )
    return [
        "p5777_g+4.4_m0.0_t01_st_z-0.30_a+0.10_c+0.00_n+0.00_o+0.10_r+0.00_s+0.00",
        "  5777.      Teff [K].         Last iteration; yyyymmdd=20240101",
        "  6.3156E+10 Flux [erg/cm2/s]",
        "  2.7542E+04 Surface gravity [cm/s2]",
        "  1.0        Microturbulence parameter [km/s]",
        "  0.0        No mass for plane-parallel models",
        " -0.30 +0.10 Metallicity [Fe/H] and [alpha/Fe]",
        "Logarithmic chemical number abundances, H always 12.00",
        "  12.00  10.93   1.05   1.38   2.70   8.39   7.78   8.66   4.56   7.84",
        f" {len(upper):3d} Number of depth points",
        "Model structure",
        " k lgTauR  lgTau5    Depth     T        Pe          Pg         Prad       Pturb",
        *upper,
        " k lgTauR    KappaRoss   Density   Mu      Vconv   Mconv/M      RHOX",
        *lower,
        "Assorted logarithmic partial pressures",
        " k  lgPgas   H I    H-     H2     H2+    H2O",
    ]


LAYOUTS = {"atlas9": (read_atlas9, atlas9_lines()), "marcs": (read_marcs, marcs_lines())}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_what_was_written_comes_back(layout, tmp_path):
    """To the digits of the format: T to 0.1 K, P to four or five digits."""
    read, lines = layout
    atmosphere, sun = read(write(tmp_path / "sun.mod", lines)), solar()
    assert (atmosphere.teff, atmosphere.vmic) == (5777.0, 1.0)
    assert atmosphere.logg == pytest.approx(4.44, abs=1e-5)
    assert atmosphere.mh == pytest.approx(-0.3, abs=1e-5)
    assert atmosphere.alpha == (0.1 if read is read_marcs else 0.0)  # ATLAS9's is in its abundances alone
    np.testing.assert_allclose(atmosphere.temperature, sun.temperature, atol=0.051)
    np.testing.assert_allclose(atmosphere.column_mass, sun.column_mass, rtol=1e-6)
    np.testing.assert_allclose(atmosphere.gas_pressure, sun.gas_pressure, rtol=6e-4)
    np.testing.assert_allclose(atmosphere.electron_density, sun.electron_density, rtol=6e-4)
    # ATLAS9: integrated from opacities of four digits that were differences here
    np.testing.assert_allclose(atmosphere.log_tau, sun.log_tau, atol=0.03)


def test_acceleration_of_constant_radiation_pressure(tmp_path):
    """A constant Prad pushes nothing."""
    atmosphere = read_marcs(write(tmp_path / "sun.mod", marcs_lines()))
    np.testing.assert_array_equal(atmosphere.radiative_acceleration, 0)
    assert atmosphere.alpha == 0.1


@pytest.mark.parametrize("number", range(100))
def test_a_damaged_file_is_refused(number, tmp_path):
    """A hundred kinds of damage, each at another place: ParseError with the path, nothing else, no answer."""
    random = np.random.default_rng([11, number])
    name = ("atlas9", "marcs")[number % 2]
    read, lines = LAYOUTS[name]
    damage = (truncate, drop_row, drop_word, misprint, join_words, turn_sign, insert_row, not_text)[
        number // 2 % 8
    ]
    path = tmp_path / "model.mod"
    path.write_bytes(damage(list(lines), random))
    with pytest.raises(ParseError, match=r"model\.mod"):
        read(path)


def layer_rows(lines):
    return [i for i, line in enumerate(lines) if line.count("E") >= 3 and line.split()[0][0].isdigit()]


def as_bytes(lines):
    return "".join(f"{line}\n" for line in lines).encode()


def truncate(lines, random):
    """Cut anywhere before the line that closes the layers."""
    end = as_bytes(lines[: layer_rows(lines)[-1] + 1])
    return end[: random.integers(0, len(end) + 1)]


def drop_row(lines, random):
    del lines[random.choice(layer_rows(lines))]
    return as_bytes(lines)


def insert_row(lines, random):
    row = random.choice(layer_rows(lines))
    return as_bytes([*lines[:row], lines[row], *lines[row:]])


def change_word(lines, random, change):
    """The lines with one number of one layer changed."""
    row = random.choice(layer_rows(lines))
    words = lines[row].split()
    column = random.integers(len(words))
    lines[row] = " ".join([*words[:column], *change(words[column]), *words[column + 1 :]])
    return as_bytes(lines)


def drop_word(lines, random):
    return change_word(lines, random, lambda word: [])


def misprint(lines, random):
    wrong = random.choice(["********", "NaN", "Infinity", "1.0-300", "1,5E+00", "0x1F", "1.0E", "12O.5"])
    return change_word(lines, random, lambda word: [wrong])


def join_words(lines, random):
    row = random.choice(layer_rows(lines))
    first, *rest = lines[row].split()
    lines[row] = " ".join([first + rest[0], *rest[1:]])
    return as_bytes(lines)


def turn_sign(lines, random):
    """A column mass that is negative in one layer."""
    row = random.choice(layer_rows(lines)[-60:])
    words = lines[row].split()
    column = 0 if lines[0].startswith("TEFF") else -1
    words[column] = "-" + words[column]
    lines[row] = " ".join(words)
    return as_bytes(lines)


def not_text(lines, random):
    content = bytearray(as_bytes(lines))
    content[random.integers(len(content))] = 0xE9
    return bytes(content)


@given(st.binary(max_size=400))
def test_noise_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "noise.mod"
    path.write_bytes(content)
    for read in (read_atlas9, read_marcs):
        with pytest.raises(ParseError):
            read(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("READ DECK6 68 RHOX,T", "READ DECK6 68 T,RHOX", "columns T,RHOX.* found, RHOX,T,P"),
        ("READ DECK6 68", "READ DECK6 5", "5 layers announced, at least 10"),
        ("READ DECK6 68", "READ DECK6 60", "line 67: .* found where 'PRADK' is expected"),
        ("GRAVITY 4.44", "GRAVITY x.44", "line 1: 'x.44000' is not a number"),
        ("SCALE   0.5", "SCALE  -0.5", "line 4: the abundance scale is -0.50119, not positive"),
    ],
)
def test_the_reason_is_told(old, new, message, tmp_path):
    path = write(tmp_path / "model.mod", [line.replace(old, new) for line in atlas9_lines()])
    with pytest.raises(ParseError, match=message):
        read_atlas9(path)


def test_a_missing_file(layout, tmp_path):
    with pytest.raises(ParseError, match=r"absent\.mod: No such file"):
        layout[0](tmp_path / "absent.mod")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared reference data are not here")
@pytest.mark.parametrize(
    "name", ["t10000g40m+0.5v2", "t13000g40m+0.0v0", "t4000g45m+0.0v2", "t8500g35m+0.0v2"]
)
def test_original_models_are_in_equilibrium(name):
    """Hydrostatic equilibrium within 1 % in every layer, optical depths of the original within 0.001 dex."""
    atmosphere = read_atlas9(SHARED / "reference" / "synspec_atlas9" / f"{name}.mod")
    assert np.abs(hydrostatic_residual(atmosphere)).max() < 0.01
    np.testing.assert_allclose(atmosphere.log_tau, -6.875 + 0.125 * np.arange(72), atol=0.001)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared reference data are not here")
@pytest.mark.parametrize(
    ("name", "alpha"), [("S8_t5500g45m-1.0a+0.4v1", 0.4), ("S2_t4500g20m-0.5a+0.0v2", 0.0)]
)
def test_alpha_of_original_models_is_that_of_their_mixture(name, alpha):
    assert read_atlas9(SHARED / "reference" / "wide" / f"{name}.mod").alpha == alpha
