"""Models whose elements lie around a default, as models of fewer labels; fits with and without elements."""

import numpy as np
import pytest

from starloom.constants import SYMBOLS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference import Settings, abundances, figure, fit, table
from starloom.inference.derivatives import derivatives_of
from starloom.inference.forecast import Setting, forecast, model_derivatives
from starloom.inference.setup import Setup
from starloom.labels import Domain
from starloom.networks import weights
from starloom.networks.generator import Generator
from starloom.networks.stated_error import StatedError, attached
from starloom.spectrum import Spectrum

WAVELENGTH_AA = 8465 + 0.15 * np.arange(1800)
RANGES = {
    "teff": (3800.0, 5500.0),
    "logg": (0.5, 3.0),
    "mh": (-1.5, 0.5),
    "alpha": (-0.2, 0.6),
    "vsini": (0.0, 60.0),
    "resolution": (6000.0, 14500.0),
}
AROUND = dict.fromkeys(("C", "O", "Ca", "Ni"), (-0.5, 0.5))
STAR = {"teff": 4600.0, "logg": 1.4, "mh": -0.7, "alpha": 0.3, "vsini": 9.0, "resolution": 11500.0}
LABELS = tuple(RANGES)


@pytest.fixture(scope="module")
def packed(toy_of):
    """The model, with an error that it states by cells of Ca: larger above its middle."""
    model = toy_of(RANGES, spread=AROUND, c_to_o=0.2)
    points = model.header.points
    sizes = np.repeat([[[1e-5], [2e-5]]], 3, axis=0) * np.ones(-(-points.count // 50))
    stated = StatedError(model.header.domain, {"Ca": np.array([-0.7, 0.2, 1.1])}, sizes, points, 50, 9)
    return attached(model, stated)


@pytest.fixture(scope="module")
def stars(packed):
    return Generator.of(packed, "stars")


@pytest.fixture(scope="module")
def path(packed, tmp_path_factory):
    file = tmp_path_factory.mktemp("stars") / "stars.safetensors"
    weights.save(file, packed)
    return file


def seen(generator, seed=None, snr=100.0, **labels):
    """The star in motion, tilted; with noise of a seed."""
    row = generator.domain.array(**{**STAR, **labels})
    options = {"wavelength_aa": WAVELENGTH_AA, "medium": "vacuum", "radial_velocity": 42.0}
    flux = generator.flux(row, **options).astype(float)
    if seed is not None:
        flux += np.random.default_rng([12, seed]).normal(size=flux.size) / snr
    level = 2.5 * (1 + 0.1 * np.linspace(-1, 1, flux.size))
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": 11500}}
    return Spectrum(WAVELENGTH_AA, level * flux, error=level / snr, **about)


# A model of fewer labels


def test_it_is_the_whole_one_at_the_defaults(stars):
    few = stars.only(*LABELS)
    rows = few.domain.array(**{**STAR, "alpha": [-0.2, 0.1, 0.6], "teff": [3900.0, 5000.0, 5500.0]})
    every = stars.domain.array(**dict(zip(LABELS, rows.T, strict=True)))
    assert every[:, stars.domain.index("Ca")] == pytest.approx(rows[:, 3])
    assert few.domain.names == LABELS
    assert np.abs(few.flux(rows) - stars.flux(every)).max() < 1e-6
    assert few.error(rows) == pytest.approx(stars.error(every), rel=1e-6)
    assert few.error(rows)[0].max() < few.error(rows)[2].max()  # by the calcium that follows alpha
    assert few.spectrum(rows[0]).labels["alpha"] == pytest.approx(-0.2)


def test_its_derivative_by_alpha_moves_what_follows(stars):
    rows = stars.domain.array(**{**STAR, "alpha": [0.1, 0.4]})
    few, still = stars.only(*LABELS), np.zeros(2)
    every = derivatives_of(stars.model)(rows, still, range(len(stars.domain.names)))[:, 1:]
    places = [stars.domain.index(name) for name in ("alpha", "O", "Ca")]
    found = derivatives_of(few.model)(rows[:, : len(LABELS)], still, [LABELS.index("alpha")])[:, 1]
    assert np.abs(every[:, places].sum(axis=1) - found).max() < 1e-5


def test_elements_keep_their_place_around_the_default(stars):
    some = stars.only(*LABELS, "C", "Ca")
    assert dict(some.domain.spread) == {"C": (-0.5, 0.5), "Ca": (-0.5, 0.5)}
    assert some.domain.c_to_o == 0.2
    with pytest.raises(OutOfRangeError, match=r"Ca is 0\.6 dex from its default"):
        some.flux(some.domain.array(**STAR, Ca=0.9))
    without = stars.only("teff", "logg", "mh", "vsini", "resolution", "Ca")
    assert (without.domain.low[-1], without.domain.high[-1]) == (-0.5, 0.5)


def test_labels_without_a_default_stay(stars):
    with pytest.raises(ConfigError, match="label logg has no default"):
        stars.only("teff", "mh", "vsini", "resolution")
    with pytest.raises(ConfigError, match="label 'Mg' is none of teff, logg"):
        stars.only(*LABELS, "Mg")


def test_a_default_must_be_inside(toy):
    """Where the range of [Ca/M] ends at 0.4 and [alpha/M] goes on to 0.6."""
    with pytest.raises(OutOfRangeError, match="the default of Ca lies outside the model's domain"):
        toy.only(*(name for name in toy.domain.names if name != "Ca"))


# Fits


def within(result, deviations, **truth):
    off = {name: result.labels[name] - value for name, value in truth.items()}
    return all(abs(off[name]) < deviations * result.errors[name] for name in truth)


def test_elements_are_held_unless_named(stars):
    result = fit(seen(stars), stars)
    assert result.free == ("teff", "logg", "mh", "alpha", "vsini", "velocity")
    assert result.domain.names == LABELS
    assert within(result, 0.15, teff=4600.0, logg=1.4, mh=-0.7, alpha=0.3)


def test_named_elements_are_found(stars):
    """To what the prior of 0.3 dex around the default pulls of 0.2 dex, here 0.2 of a deviation."""
    result = fit(seen(stars, Ca=0.1, Ni=0.15), stars, free=("Ca", "Ni"))
    assert result.free == (*LABELS[:5], "Ca", "Ni", "velocity")
    assert within(result, 0.3, Ca=0.1, Ni=0.15, alpha=0.3, teff=4600.0)
    assert (result.flags, result.not_measured) == ((), ())
    low, high = result.intervals[result.parameters.index("Ca")]
    assert low < 0.1 < high
    assert result.settings["priors_from_default"] == {"Ca": [0.0, 0.3], "Ni": [0.0, 0.3]}
    assert "[Ca/M]" in figure.text(result)


def test_errors_are_those_of_noise(stars):
    """Of 24 spectra 68 % +- 10 % of [alpha/M], [Ca/M], [Ni/M] lie within their errors: here 50 to 85 %."""
    found = [fit(seen(stars, seed, Ca=0.2, Ni=0.05), stars, free="Ca,Ni", starts=2) for seed in range(24)]
    pulls = np.array(
        [
            [(r.labels[n] - v) / r.errors[n] for n, v in (("alpha", 0.3), ("Ca", 0.2), ("Ni", 0.05))]
            for r in found
        ]
    )
    assert 0.5 < (np.abs(pulls) < 1).mean() < 0.85
    assert (np.abs(pulls.mean(axis=0)) < 0.8).all()


def test_what_the_spectrum_does_not_tell_is_said(stars):
    """At a signal-to-noise ratio of 3 the prior alone speaks: its deviation is the error."""
    result = fit(seen(stars, snr=3.0), stars, free="abundances")
    assert "not_measured" in result.flags
    assert set(result.not_measured) <= set(AROUND)
    name = result.not_measured[0]
    # with [alpha/M] in it where the element follows that
    size = result.errors[name] if name in "C Ni" else 0.3
    assert 0.8 * 0.3 < size < 1.1 * 0.3
    assert "not measured" in figure.text(result)


def test_held_elements_hold_alpha_near(stars):
    """[Ca/M] = -0.2 lets [alpha/M] go up to 0.3."""
    result = fit(seen(stars, alpha=0.5), stars, fixed={"Ca": -0.2})
    assert result.labels["Ca"] == -0.2
    assert result.labels["alpha"] <= 0.3 + 1e-9
    assert "Ca" not in result.free
    assert result.domain.contains(result.values[:-1])
    held = fit(seen(stars, Ca=0.1), stars, fixed={"alpha": 0.3, "Ca": 0.1})
    assert within(held, 0.15, teff=4600.0, logg=1.4)
    assert held.labels["alpha"] == 0.3


def test_a_prior_of_ones_own_is_of_the_abundance(stars):
    known = {"Ca": (0.1, 1e-4)}
    result = fit(seen(stars, Ca=0.1), stars, free="Ca", priors=known)
    assert result.labels["Ca"] == pytest.approx(0.1, abs=3e-4)
    assert within(result, 0.15, alpha=0.3, teff=4600.0)
    assert result.settings["priors"] == {"Ca": [0.1, 1e-4]}


def test_too_much_carbon_is_outside(stars):
    """The fit's box has no highest [C/O]; what lies beyond is flagged: here a carbon of twice that."""
    rich = seen(stars.only(*LABELS, "C", "Ca"), alpha=0.0, C=0.2)
    result = fit(rich, stars, free="C", priors={"C": (0.45, 1e-3)})
    assert result.labels["C"] - result.labels["alpha"] > 0.2
    assert "outside_domain" in result.flags


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"free": "Mg"}, "free: 'Mg' is not one of abundances, teff, logg, mh, alpha, vsini, C, O, Ca, Ni"),
        ({"free": "Ca", "fixed": {"Ca": 0.1}}, "Ca is fixed and free: give one of them"),
        ({"priors": {"Ca": (0.0, 0.1)}}, r"Ca has a prior, but is held at its default: free='Ca'"),
        (
            {"fixed": {"Ca": 1.0, "alpha": 0.0}},
            r"Ca is 1 dex from its default, which is outside \[-0.5, 0.5\]",
        ),
        ({"fixed": {"Ca": 1.0, "O": -0.6}}, "O is -1.1 dex from its default|Ca is 1.1 dex from its default"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(stars, options, message):
    with pytest.raises((ConfigError, OutOfRangeError), match=message):
        fit(seen(stars), stars, **options)


def test_a_model_without_elements_has_none(toy):
    with pytest.raises(ConfigError, match="free: the model has no elements around a default"):
        Setup(toy, Settings(free="abundances"))
    assert Setup(toy, Settings()).reduced is toy
    assert "free" not in Settings().about


@pytest.mark.parametrize(("snr", "alpha", "flagged"), [(100.0, 0.0, 0), (100.0, 0.2, 10), (1000.0, 0.0, 0)])
def test_an_alpha_held_where_it_is_not_is_flagged(stars, snr, alpha, flagged):
    """Three standard deviations: one false alarm in 370, none missed of 0.2 dex, known to 0.02."""
    options = {"fixed": {"alpha": 0.0}, "starts": 2}
    found = [fit(seen(stars, seed, snr, alpha=alpha), stars, **options) for seed in range(10)]
    assert sum("held_alpha" in result.flags for result in found) == flagged


def test_the_posterior_has_elements_around_their_default(stars):
    """The best fit is more probable than its neighbours, and the sampler starts where it is."""
    util = pytest.importorskip("numpyro.infer.util")
    jax = pytest.importorskip("jax")
    from starloom.inference import posterior

    result = fit(seen(stars, Ca=0.1), stars, free="Ca", starts=2)
    start = posterior._inner(result)
    assert start["Ca_offset"] == pytest.approx(-0.2, abs=0.02)
    values = {name: start[name] for name in start if name != "logg_part"}
    with jax.enable_x64(True):
        model = posterior._model(result, stars)
        best, other = (
            float(util.log_density(model, (), {}, values | change)[0])
            for change in ({}, {"Ca_offset": -0.2 + 4 * result.errors["Ca"]})
        )
    assert best - other > 4


# Other scales


def test_abundances_on_other_scales(stars):
    result = fit(seen(stars, Ca=0.1), stars, free="Ca")
    found, place = abundances.abundances(result), result.parameters.index
    assert tuple(found) == abundances.columns(result.domain) == ("ca_h", "ca_fe", "a_ca")
    calcium, metals = result.labels["Ca"], result.labels["mh"]
    assert found["ca_fe"] == pytest.approx((calcium, result.errors["Ca"]))
    covariance = result.covariance[np.ix_(*2 * [[place("Ca"), place("mh")]])]
    assert found["ca_h"] == pytest.approx((calcium + metals, covariance.sum() ** 0.5))
    # Grevesse & Sauval (1998), table 1: A(Ca) = 6.36
    assert found["a_ca"][0] == pytest.approx(6.36 + calcium + metals, abs=1e-6)
    assert SYMBOLS[19] == "Ca"


# Forecasts


def test_a_forecast_is_what_a_fit_finds(stars):
    """Of noise alone; [alpha/M] moves the elements that are held at their default."""
    result = fit(seen(stars), stars, free="Ni")
    told = forecast(stars, stars.domain.array(**STAR), Setting(100.0, WAVELENGTH_AA, free=("Ni",)))
    assert told.names == result.free
    for name in ("teff", "logg", "mh", "alpha", "Ni"):
        bound = result.bounds[result.parameters.index(name)]
        assert told.bounds[name] == pytest.approx(bound, rel=0.03)
    assert told.remark("Ca") == "held"
    assert told.bounds["Ca"] == 0


def test_a_forecast_of_a_star_with_its_own_calcium(stars):
    """What is known of an element is its difference to [alpha/M]; by name, its [X/M]."""
    row = stars.domain.array(**STAR, Ca=0.1)
    follows, known = (
        model_derivatives(stars, row[None], Setting(100.0, WAVELENGTH_AA, fixed=("resolution", *names)))[0]
        for names in ((), ("Ca",))
    )
    every = model_derivatives(stars, row[None], Setting(100.0, WAVELENGTH_AA, free="abundances"))[0]
    names = Setting(100.0, free="abundances").unknown(stars.domain)
    alpha, calcium, oxygen = (every[:, names.index(name)] for name in ("alpha", "Ca", "O"))
    assert np.abs(follows[:, 3] - alpha - calcium - oxygen).max() < 1e-6
    assert np.abs(known[:, 3] - alpha - oxygen).max() < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"free": ("Mg",)}, "free: 'Mg' is not one of abundances, teff"),
        ({"free": ("Ca",), "fixed": ("Ca",)}, "Ca is fixed and free"),
        ({"priors": {"Ca": 0.1}}, "Ca has a prior, but is not free"),
    ],
)
def test_a_forecast_says_what_is_wrong(stars, options, message):
    with pytest.raises(ConfigError, match=message):
        Setting(100.0, **options).unknown(stars.domain)


# Tables and commands


@pytest.fixture
def files(stars, tmp_path):
    for name, calcium in (("star", 0.1), ("other", 0.35)):
        seen(stars, Ca=calcium).write(tmp_path / f"{name}.fits")
    return [tmp_path / "star.fits", tmp_path / "other.fits"]


def test_a_table_has_columns_of_elements(path, files, tmp_path):
    from astropy.table import Table

    for ending in ("ecsv", "fits"):
        output, options = tmp_path / f"out.{ending}", {"model": str(path), "scales": True}
        settings = Settings(free="Ca", starts=2)
        assert table.fit_files(files, output, settings, **options) == (2, 0)
        rows = Table.read(output)
        assert np.array(rows["Ca"]) == pytest.approx([0.1, 0.35], abs=0.02)
        assert np.array(rows["ca_h"]) == pytest.approx(np.array(rows["Ca"]) + np.array(rows["mh"]))
        assert {"Ca_error", "Ca_low", "ca_fe_error", "a_ca", "not_measured", "alpha"} <= set(rows.colnames)
        assert "Ni" not in rows.colnames
        assert "Grevesse & Sauval (1998)" in rows.meta.values()
        assert table.fit_files(files, output, settings, **options) == (2, 0)  # continued: nothing to do
    with pytest.raises(ConfigError, match="made with other settings"):
        table.fit_files(files, output, Settings(starts=2), model=str(path))


def test_a_table_without_elements_is_as_before(path, files, tmp_path):
    from astropy.table import Table

    table.fit_files(files, tmp_path / "out.ecsv", Settings(starts=2), model=str(path))
    names = Table.read(tmp_path / "out.ecsv").colnames
    assert not {"not_measured", "Ca", "ca_h"} & set(names)
    with pytest.raises(ConfigError, match="abundances: no element is fitted"):
        table.fit_files(files, tmp_path / "b.ecsv", Settings(), model=str(path), scales=True)


def test_commands(command, path, files):
    options = ("--free", "Ca,Ni", "--abundances", "--model", path)
    code, out, err = command("fit", files[0], *options)
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert float(rows["[Ca/M]"][1]) == pytest.approx(0.1, abs=0.02)
    assert {"ca_h", "a_ni", "[Ni/M]"} <= set(rows)
    code, out, err = command("fit", files[0], "--free", "Mg", "--model", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "free: 'Mg' is not one of abundances" in err
    code, _, err = command("fit", files[0], "--prior", "Ca=0:0.1", "--model", path)
    assert "held at its default: --free Ca" in err
    star = [word for name in LABELS[:5] for word in ("--label", f"{name}={STAR[name]}")]
    code, out, err = command("forecast", "--snr", 100, *star, "--free", "Ca", "--model", path)
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split() for line in out.splitlines()[2:]}
    assert list(rows) == [*LABELS, "Ca", "velocity"]
    assert float(rows["Ca"][2]) > 0


def test_settings_know_their_domain():
    domain = Domain.of(
        {"teff": (4000, 8000), "alpha": (-0.2, 0.6)}, spread={"C": (-0.4, 0.1), "Ca": (-0.3, 0.3)}
    )
    assert Settings(free="abundances", fixed={"C": 0.0}).elements(domain) == ("Ca",)
    assert Settings(fixed={"Ca": 0.0}).alpha_ends(domain) == (-0.2, 0.3)
    assert Settings().core_width(domain) == 50
    assert Settings().core_width(Domain.of({"teff": (4000, 8000), "filling": (0, 0.4)})) == 0
