"""The recipe as a user sees it: derivatives, intensities, single elements, and what is refused."""

import pickle
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starloom import Spectrum, bands
from starloom.atmosphere import interpolate
from starloom.broadening import keep
from starloom.database import build
from starloom.database import recipe as recipes
from starloom.database.store import open_store
from starloom.errors import ConfigError, OutOfRangeError, StoreError
from starloom.physics import lines as atomic
from starloom.synthesis import (
    domain,
    line_strengths,
    line_windows,
    normalised,
    photosphere,
    synthesize,
    synthesize_labels,
    synthesize_together,
)
from starloom.synthesis.band import band_lines
from starloom.synthesis.lines import listed
from starloom.wavelength import air_from_vacuum, vacuum_from_air

RVS = bands.load("rvs")
VACUUM = RVS.chunks[0].wavelength_aa
AIR = air_from_vacuum(VACUUM)
TRIPLET = (8498.02, 8542.09, 8662.14)  # Ca II, air


@pytest.fixture(scope="module")
def sun(structures):
    return structures["sun"]


@pytest.fixture(scope="module")
def windows(sun):
    return line_windows(sun, mh=0.0, vmic=1.0)


@pytest.fixture(scope="module")
def spectrum(sun, windows):
    return synthesize(sun, mh=0.0, vmic=1.0, windows=windows)


def deficit(synthetic):
    """1 - normalised flux, the absorption of every pixel."""
    return 1 - np.asarray(synthetic.normalized, float)


def test_shape_and_labels(spectrum):
    assert spectrum.flux.shape == spectrum.continuum.shape == VACUUM.shape
    assert spectrum.labels == {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0}
    assert repr(spectrum).startswith(
        "SyntheticSpectrum(chunk_flux=tuple of 1, chunk_continuum=tuple of 1, band=Band"
    )
    public = spectrum.spectrum()
    assert public.medium == "air"
    assert public.labels["teff"] == 5777.0


def test_flux_of_the_sun(spectrum):
    """0.98 W m-2 nm-1 at 860 nm above the air (ASTM E490, 2000; 3 %), at 215.03 solar radii."""
    middle = np.abs(AIR - 8600) < 20
    assert np.asarray(spectrum.flux)[middle].mean() == pytest.approx(98 * 215.03**2, rel=0.05)


def central_difference(function, point, direction, step):
    up, down = (np.asarray(function(point + sign * step * direction), float) for sign in (1, -1))
    return (up - down) / (2 * step)


LABELLED = {  # of the derivatives: where, and the steps of differences that are smooth in float32
    "teff": (5777.0, 10.0),
    "heating": (0.0, 6e-3),
    "vmic": (1.0, 0.03),
    "mh": (0.0, 0.02),
    "alpha": (0.1, 0.02),
    "Ca": (0.0, 0.02),
}


@pytest.mark.slow
def test_derivatives(sun, windows):
    """jvp against central differences, 1e-3 of the largest change.

    The error of a difference grows with the square of its step, and with a small step float32 shows: that of
    two steps, extrapolated to none (Richardson), leaves 4e-4 at most. ``benchmarks/scan_abundances.py`` has
    more elements and stars.
    """
    layer = int(np.argmin(np.abs(np.asarray(sun.log_tau) + 1.0)))

    def normalized(point):
        star = dict(zip(LABELLED, point, strict=True))
        structure = interpolate(star.pop("teff"), 4.44, 0.0)
        warmer = structure.temperature * (1 + star.pop("heating") * (jnp.arange(68) == layer))
        structure = replace(structure, temperature=warmer)
        elements = {"Ca": star.pop("Ca")}
        return synthesize(structure, **star, elements=elements, windows=windows).normalized

    point, steps = np.array(list(LABELLED.values())).T
    with jax.enable_x64(True):
        for direction, step in zip(np.eye(len(point)), steps, strict=True):
            exact = np.asarray(jax.jvp(normalized, (jnp.asarray(point),), (jnp.asarray(direction),))[1])
            fine, coarse = (central_difference(normalized, point, direction, n * step) for n in (1, 2))
            numerical = (4 * fine - coarse) / 3
            assert np.isfinite(exact).all()
            error = np.abs(exact - numerical) / np.abs(numerical).max()
            assert error.max() < 1e-3, (direction, error.max())


def test_flux_is_the_integral_of_intensities(sun, windows, spectrum):
    """2 pi int I mu dmu by five nodes of Gauss and Legendre, not the flux's own, to 0.2 %."""
    nodes, weights = np.polynomial.legendre.leggauss(5)
    mu, weights = (nodes + 1) / 2, weights / 2
    beams = [synthesize(sun, mh=0.0, vmic=1.0, windows=windows, mu=m) for m in mu]
    assert beams[0].unit == "erg s-1 cm-2 Angstrom-1 sr-1"
    intensity = np.array([beam.flux for beam in beams], float)
    flux = 2 * np.pi * (weights * mu) @ intensity
    assert np.abs(flux / np.asarray(spectrum.flux) - 1).max() < 2e-3
    continuum = np.array([beam.continuum for beam in beams], float)[:, 10000]
    assert (np.diff(continuum) > 0).all()  # darkened towards the limb
    # red light is darkened less than all light together, 0.7 at mu = 0.5 (Eddington)
    assert 0.7 < continuum[2] / continuum[4] < 0.9


def test_calcium_alone(sun, windows, spectrum):
    """{'Ca': +0.3} deepens calcium's lines and, by its electrons, changes others by less than 0.004."""
    richer = synthesize(sun, mh=0.0, vmic=1.0, windows=windows, elements={"Ca": 0.3})
    change = deficit(richer) - deficit(spectrum)
    listed = band_lines(RVS)
    calcium = listed.wavelength[listed.element == 19] * 1e8
    near = (np.abs(AIR - np.array(TRIPLET)[:, None]) < 40).any(axis=0)
    for line in calcium:
        near |= np.abs(VACUUM - line) < 0.5
    assert np.abs(change[~near]).max() < 4e-3
    for line in TRIPLET:
        wing = np.abs(np.abs(AIR - line) - 2.0) < 0.05
        assert change[wing].min() > 0.02


@pytest.mark.parametrize("charge", [0, 1])
def test_iron_deepens_with_iron(sun, windows, spectrum, charge):
    listed = band_lines(RVS)
    strengths = line_strengths(sun, mh=0.0, vmic=1.0)
    iron = (listed.element == 25) & (listed.charge == charge)
    strongest = np.argmax(np.where(iron, strengths, 0.0))
    pixel = int(np.argmin(np.abs(VACUUM - listed.wavelength[strongest] * 1e8)))
    poorer = synthesize(sun, mh=0.0, vmic=1.0, windows=windows, elements={"Fe": -0.3})
    assert deficit(poorer)[pixel] < deficit(spectrum)[pixel] - 0.005


def test_strong_lines_have_names(sun):
    """The three strongest lines of the solar list are the Ca II triplet."""
    strengths = line_strengths(sun, mh=0.0, vmic=1.0)
    strongest = np.sort(band_lines(RVS).wavelength[np.argsort(strengths)[-3:]] * 1e8)
    assert strongest == pytest.approx(vacuum_from_air(np.array(TRIPLET)), abs=0.02)


def test_every_line_over_wide_windows(sun, spectrum, monkeypatch):
    """What windows and negligible lines leave out of the Sun: below 1e-3 anywhere, 1e-4 in the mean."""
    monkeypatch.setattr(atomic, "NEGLIGIBLE", 1e-7)
    monkeypatch.setattr(atomic, "CUT", 1e-6)
    wide = line_windows(sun, mh=0.0, vmic=1.0)
    change = deficit(synthesize(sun, mh=0.0, vmic=1.0, windows=wide)) - deficit(spectrum)
    assert np.abs(change).max() < 1e-3
    assert np.abs(change).mean() < 1e-4


def test_more_turbulence_stronger_lines(sun, windows, spectrum):
    """Saturated lines absorb more (Struve & Elvey 1934); the whole equivalent width grows."""
    faster = synthesize(sun, mh=0.0, vmic=3.0)
    assert deficit(faster).sum() > 1.02 * deficit(spectrum).sum()


def test_one_and_many():
    """``synthesize_labels`` for one star is ``synthesize`` of its structure; shapes broadcast."""
    many = synthesize_labels(5777.0, [4.44, 3.0], 0.0, 1.0)
    one = synthesize_labels(5777.0, 4.44, 0.0, 1.0)
    assert many.flux.shape == (2, len(AIR))
    assert np.array_equal(many.flux[0], one.flux)
    assert np.asarray(one.labels["teff"]) == 5777.0


def test_each_star_of_many_has_its_labels():
    many = synthesize_labels(5777.0, [[4.44], [3.0]], 0.0, 1.0, elements={"Ca": [[-0.5], [0.2]]})
    assert {name: values.shape for name, values in many.labels.items()} == dict.fromkeys(many.labels, (2, 1))
    with pytest.raises(ConfigError, match=r"shape \(2, 1\): take one"):
        many.spectrum()
    for (star,), logg, calcium in zip(many, (4.44, 3.0), (-0.5, 0.2), strict=True):
        assert star.labels == {"teff": 5777.0, "logg": logg, "mh": 0.0, "vmic": 1.0, "Ca": calcium}
        public = star.spectrum()
        assert dict(public.labels) == star.labels
        assert public.provenance["abundances"]["[Ca/M]"] == calcium
    assert np.array_equal(many[1, 0].flux, many.flux[1, 0])
    together = synthesize_together(np.array([[5777.0, 3.0, 0.0, 1.0, 0.2]]), abundances=["Ca"])
    assert together[0].labels == many[1, 0].labels
    assert np.array_equal(together[0].flux, many[1, 0].flux)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".csv"])
def test_abundances_survive_files(sun, windows, tmp_path, suffix):
    given = {"elements": {"Ca": 0.25, "Fe": -1.5}, "carbon_ratio": 12.0}
    made = synthesize(sun, mh=0.0, alpha=0.4, vmic=1.0, windows=windows, **given)
    made.spectrum().write(tmp_path / f"star{suffix}")
    again = Spectrum.read(tmp_path / f"star{suffix}")
    usual = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0}
    assert dict(again.labels) == {**usual, "alpha": 0.4, "Ca": 0.25, "Fe": -1.5, "carbon_ratio": 12.0}
    assert again.provenance["abundances"] == {
        "the Sun's": "Grevesse & Sauval (1998)",
        "[M/H]": 0.0,
        "[alpha/M]": 0.4,
        "[Ca/M]": 0.25,
        "[Fe/M]": -1.5,
        "12C/13C": 12.0,
    }


@pytest.mark.slow
def test_stars_together_are_those_one_by_one():
    """A line ends where it does in its own star, and float32 sums in another order differ by 3e-7."""
    teff, logg, mh, vmic = np.array(
        [(3700.0, 4.8, 0.5, 1.0), (4600.0, 2.0, -1.0, 2.0), (5777.0, 4.44, 0.0, 1.0), (9500.0, 3.5, 0.3, 2.5)]
    ).T
    together, each = (synthesize_labels(teff, logg, mh, vmic, together=n) for n in (4, 1))
    assert together.flux.shape == (4, len(AIR))
    difference = np.abs(together.normalized - each.normalized)
    assert difference.max() < 1e-6
    assert np.abs(together.continuum / each.continuum - 1).max() < 1e-6


def wrong(star, message, **options):
    options = {"mh": 0.0, "vmic": 1.0, **options}
    with pytest.raises(OutOfRangeError, match=message) as caught:
        synthesize(star, **options)
    assert "\n" not in str(caught.value)


def changed(star, name, layer, value):
    column = np.array(getattr(star, name))
    column[layer] = value
    return replace(star, source="my.mod", **{name: column})


def test_what_is_impossible_is_refused(sun):
    wrong(sun, r"^element = 'Xx' is not one of", elements={"Xx": 0.1})
    wrong(sun, r"^element = 'H' has no", elements={"H": 0.1})
    wrong(sun, r"^\[C/M\] = 8.43 dex is outside \[-10, 3\] dex; if A\(C\) = 8.43 is", elements={"C": 8.43})
    wrong(sun, r"^alpha = nan dex is outside \[-2, 2\] dex$", alpha=np.nan)
    wrong(sun, r"^carbon_ratio = 0.5 is outside \[1, 10000\]$", carbon_ratio=0.5)
    wrong(sun, r"^mh = nan dex is outside \[-5, 1.5\] dex$", mh=np.nan)
    wrong(sun, r"^mu = nan is outside", mu=np.nan)
    wrong(sun, r"^vmic = -1 km/s is outside \[0, 20\] km/s$", vmic=-1.0)
    wrong(sun, r"^vmic = 21 km/s is outside", vmic=21.0)
    wrong(sun, r"^mu = 0 is outside \(0, 1\]$", mu=0.0)
    wrong(sun, r"^mu = 1\.5 is outside", mu=1.5)
    wrong(
        changed(sun, "temperature", 5, -5000.0),
        r"^my\.mod: temperature = -5000 K in layer 5 is not positive$",
    )
    mass = float(sun.column_mass[9])
    wrong(
        changed(sun, "column_mass", 10, 0.9 * mass),
        r"^my\.mod: column_mass = .* in layer 10 does not increase",
    )
    wrong(
        changed(sun, "gas_pressure", 3, np.nan),
        r"^my\.mod: gas_pressure = nan dyn cm-2 in layer 3 is not finite$",
    )


def test_missing_labels_are_named(sun):
    unknown = replace(sun, mh=None, vmic=None, source="my.mod")
    with pytest.raises(
        OutOfRangeError, match=r"^mh is not given, and the atmosphere \(my\.mod\) does not say it$"
    ):
        synthesize(unknown)
    with pytest.raises(OutOfRangeError, match=r"^vmic is not given, and the atmosphere \(my\.mod\)"):
        synthesize(unknown, mh=0.0)


def test_labels_outside_are_refused():
    with pytest.raises(OutOfRangeError, match=r"^together = 0 is below 1 star$"):
        synthesize_labels(5777.0, 4.0, 0.0, 2.0, together=0)
    with pytest.raises(OutOfRangeError, match=r"^teff = 25000 K is outside \[3200, 16000\] K") as caught:
        synthesize_labels(25000.0, 4.0, 0.0, 2.0)
    assert "\n" not in str(caught.value)
    with pytest.raises(OutOfRangeError, match=r"^vmic = 6 km/s is outside \[0, 5\] km/s$"):
        synthesize_labels(5777.0, 4.0, 0.0, 6.0)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ({"alpha": 0.9}, OutOfRangeError, r"^alpha = 0.9 dex is outside"),
        ({"alpha": np.nan}, OutOfRangeError, r"^alpha = nan dex is outside"),
        ({"carbon_ratio": -1}, OutOfRangeError, r"^carbon_ratio = -1 is outside \[1, 10000\]$"),
        ({"vsini": 5.0}, ConfigError, r"^label vsini cannot be synthesised: not intrinsic$"),
        ({"Xx": 0.0}, ConfigError, r"^label 'Xx' is none of"),
        ({"H": 0.0}, ConfigError, r"^label 'H' is none of"),
        (
            {"Ca": 9.0},
            OutOfRangeError,
            r"^\[Ca/M\] = 9 dex is outside \[-10, 3\] dex; if A\(Ca\) = 9 is meant",
        ),
        (
            {"Ca": [0.0, 2.8]},
            OutOfRangeError,
            r"^\[Ca/M\] = 2.8 dex at mh = 0.5 dex: \[Ca/H\] = 3.3 dex is above",
        ),
        (
            {"Ca": 0.1, "elements": {"Ca": 0.1}},
            ConfigError,
            r"^Ca is given twice: in elements, and as a label$",
        ),
        ({"elements": {"Xx": 0.1}}, OutOfRangeError, r"^element = 'Xx' is not one of"),
        ({"elements": {"alpha": 0.1}}, ConfigError, r"^alpha is no element: give alpha="),
        ({"elements": {"H": [0.1]}}, OutOfRangeError, r"^element = 'H' has no \[X/M\]"),
        ({"elements": {"Ca": np.nan}}, OutOfRangeError, r"^\[Ca/M\] = nan dex is outside"),
        ({"elements": ["Ca"]}, ConfigError, r"^elements = \['Ca'\] is no mapping"),
    ],
)
def test_abundances_that_are_none_are_refused(labels, error, message):
    with pytest.raises(error, match=message) as caught:
        synthesize_labels(5777.0, 4.0, 0.5, 2.0, **labels)
    assert "\n" not in str(caught.value)


def test_abundance_as_a_label_is_relative_to_the_metals():
    """Star by star, as a label or among the elements; 0 is what is not given."""
    made = synthesize_labels(5777.0, 4.44, -0.5, 1.0, Ca=[0.3, 0.0])
    (apart,) = synthesize_labels(5777.0, 4.44, -0.5, 1.0, elements={"Ca": [0.3]})
    assert np.array_equal(made.flux[0], apart.flux)
    assert np.array_equal(made.flux[1], synthesize_labels(5777.0, 4.44, -0.5, 1.0).flux)
    assert made.labels["Ca"].tolist() == [0.3, 0.0]
    assert made[0].labels["Ca"] == 0.3
    assert domain("Ca", "Fe").names == ("teff", "logg", "mh", "vmic", "Ca", "Fe")


def test_alpha_is_its_elements_and_an_element_its_own(sun, windows):
    """What [alpha/M] does to opacity and electrons its eight elements do; one given does not follow it."""
    moved = ("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Ti")
    star = {"mh": 0.0, "vmic": 1.0, "windows": windows}
    alpha = synthesize(sun, alpha=0.3, **star)
    each = synthesize(sun, elements=dict.fromkeys(moved, 0.3), **star)
    assert np.array_equal(alpha.flux, each.flux)
    apart = synthesize(sun, alpha=0.3, elements={"Ca": 0.0}, **star)
    but_calcium = synthesize(sun, elements=dict.fromkeys(set(moved) - {"Ca"}, 0.3), **star)
    assert np.array_equal(apart.flux, but_calcium.flux)
    assert apart.labels["alpha"] == 0.3
    # a structure says its own [alpha/M]
    own = synthesize(replace(sun, alpha=0.3), **star)
    assert np.array_equal(own.flux, alpha.flux)
    assert own.labels == alpha.labels


def test_heavy_carbon_matters_where_there_is_cn():
    """12C/13C = 5 instead of 89 changes a giant by more than 0.01, a dwarf of 6500 K not at all."""
    flux = [
        synthesize_labels([4500.0, 6500.0], [2.0, 4.5], 0.0, 2.0, carbon_ratio=ratio).normalized
        for ratio in (89.4, 5.0)
    ]
    giant, dwarf = np.abs(flux[1] - flux[0]).max(axis=-1)
    assert giant > 0.01
    assert dwarf < 1e-3
    usual = synthesize_labels(4500.0, 2.0, 0.0, 2.0)
    assert np.array_equal(usual.normalized, flux[0][0])
    assert "carbon_ratio" not in usual.labels


def test_what_a_store_keeps_of():
    """Labels by name, in any order, through a pickle as other processes get it."""
    labels = {"logg": np.array([4.44, 4.0]), "Ca": np.array([0.2, 0.0]), "mh": np.zeros(2)}
    labels |= {"vmic": np.ones(2), "teff": np.array([5777.0, 5777.0])}
    flux = pickle.loads(pickle.dumps(partial(normalised, RVS)))(**labels)
    assert (flux.shape, flux.dtype) == ((2, 1, len(AIR)), np.float32)
    assert np.array_equal(flux[0, 0], synthesize_labels(5777.0, 4.44, 0.0, 1.0, Ca=0.2).normalized)
    with pytest.raises(ConfigError, match=r"^no label vmic: synthesis needs teff, logg, mh, vmic$"):
        normalised(RVS, **{name: labels[name] for name in ("teff", "logg", "mh")})


def test_a_store_of_alpha_and_elements(tmp_path):
    """Stopped after a chunk and continued: each star has its own [alpha/M], [Ca/M] and [Fe/M]."""
    alpha = min(0.4, float(domain("alpha").only("alpha").high[0]))
    ranges = {"teff": [5500, 6000], "logg": [4, 4.5], "mh": [-0.5, 0], "vmic": [1, 1.5], "alpha": [0, alpha]}
    content = recipes.to_mapping(recipes.load("tiny")) | {"intrinsic": 3, "chunk": 2, "ranges": ranges}
    wanted = recipes.from_mapping(content | {"around": {"Ca": [-0.2, 0.2], "Fe": [-0.1, 0.1]}})
    build.check_synthesis(wanted)
    asked = []

    def once(band, **labels):
        asked.append(labels)
        if len(asked) == 2:
            raise OutOfRangeError("stopped here")
        return build.radiative_transfer(band, **labels)

    making = {"physics": "tested", "progress": False}
    with pytest.raises(StoreError, match="stopped here"):
        build.build(wanted, tmp_path / "store", once, **making)
    build.build(wanted, tmp_path / "store", once, **making)
    assert [len(labels["Ca"]) for labels in asked] == [2, 1, 1]
    made = open_store(tmp_path / "store")
    assert made.domain.names == (*ranges, "Ca", "Fe")
    assert np.ptp(made.labels[:, -1]) > 0.01
    expected = synthesize_labels(**dict(zip(made.domain.names, made.labels.T, strict=True))).normalized
    assert np.abs(made.flux(np.arange(3)) - keep(expected[:, None], RVS)[:, 0]).max() < 2e-5


def test_one_gas_for_the_spectrum_and_its_lines(sun, spectrum):
    star = photosphere(sun, mh=0.0, vmic=1.0)
    assert np.array_equal(star.spectrum().flux, spectrum.flux)
    assert np.array_equal(star.line_strengths, line_strengths(sun, mh=0.0, vmic=1.0))
    strongest = [line for line in listed(star, spectrum) if not np.isnan(line.strength)][:3]
    assert sorted(round(line.air_aa, 1) for line in strongest) == [8498.0, 8542.1, 8662.1]
