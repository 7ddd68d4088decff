"""Fits and forecasts by models of other labels, domains and bands than the packaged one's."""

import numpy as np
import pytest

import starloom
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference import Settings, figure, fit, fit_each, table
from starloom.inference.forecast import Setting, forecast
from starloom.inference.setup import Setup
from starloom.inference.starts import templates
from starloom.networks import weights
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

WAVELENGTH_AA = 8458 + 0.1 * np.arange(2880)
STAR = {
    "teff": 4600.0,
    "logg": 1.4,
    "mh": -0.7,
    "alpha": 0.32,
    "Ca": -0.17,
    "vsini": 9.0,
    "resolution": 11500.0,
}


def seen(model, labels, velocity=42.0, snr=100.0, resolution=11500.0):
    """A noise-free spectrum, tilted."""
    row = model.domain.array(**labels)
    flux = model.flux(row, wavelength_aa=WAVELENGTH_AA, medium="vacuum", radial_velocity=velocity)
    level = 2.5 * (1 + 0.1 * np.linspace(-1, 1, WAVELENGTH_AA.size))
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": resolution}}
    return Spectrum(WAVELENGTH_AA, level * flux.astype(float), error=level / snr, **about)


@pytest.fixture(scope="module")
def found(toy):
    return fit(seen(toy, STAR), toy)


@pytest.fixture(scope="module")
def path(toy_of, giants, tmp_path_factory):
    """The toy as a weights file."""
    file = tmp_path_factory.mktemp("toy") / "toy.safetensors"
    weights.save(file, toy_of(giants))
    return file


def test_labels_are_found(toy, found):
    """To the tolerance of the minimiser, 0.03 of the deviation that S/N 100 allows, over both chunks."""
    truth = np.append(toy.domain.array(**STAR), 42.0)
    free = found.bounds > 0
    assert (np.abs(found.values - truth)[free] < 0.15 * found.bounds[free]).all()
    assert found.parameters == (*STAR, "velocity")
    assert found.labels["alpha"] == pytest.approx(0.32, abs=0.01)
    assert found.labels["Ca"] == pytest.approx(-0.17, abs=0.01)
    assert found.free == ("teff", "logg", "mh", "alpha", "Ca", "vsini", "velocity")
    assert (found.flags, found.used.all()) == ((), True)
    assert "[alpha/M] 0.3" in figure.text(found)


def test_labels_can_be_held(toy):
    spectrum = seen(toy, STAR)
    result = fit(spectrum, toy, fixed={"Ca": 0.1, "logg": 0.5}, priors={"alpha": (0.0, 1e-4)})
    assert (result.labels["Ca"], result.labels["logg"]) == (0.1, 0.5)
    assert abs(result.labels["alpha"]) < 0.01
    assert toy.domain.contains(result.values[:-1])


def test_beyond_the_domain(toy):
    """Lines as strong as no giant of the domain has them: the ends of its own labels are bounds."""
    spectrum = seen(toy, STAR)
    level = 2.5 * (1 + 0.1 * np.linspace(-1, 1, WAVELENGTH_AA.size))
    deeper = Spectrum(
        WAVELENGTH_AA,
        level + 1.8 * (spectrum.flux - level),
        error=spectrum.error,
        medium="vacuum",
        provenance={"resolution": 11500},
    )
    result = fit(deeper, toy)
    assert {"at_bound", "outside_domain", "bad_fit"} <= set(result.flags)
    assert toy.domain.contains(result.values[:-1])
    assert set(result.at_bound) <= set(toy.domain.names)


def test_many_at_once(toy):
    """Also at a velocity that brings pixels of one chunk into the other."""
    stars = [STAR, STAR | {"Ca": 0.3, "teff": 5200.0}, STAR | {"mh": -1.2, "alpha": 0.0}]
    spectra = [seen(toy, labels, velocity) for labels, velocity in zip(stars, (-150, 0, 150), strict=True)]
    for result, labels in zip(fit_each(spectra, toy), stars, strict=True):
        truth, free = toy.domain.array(**labels), result.bounds[:-1] > 0
        assert (np.abs(result.values[:-1] - truth)[free] < 0.15 * result.bounds[:-1][free]).all()


def test_templates_cover_the_models_own_domain(toy):
    drawn = templates(toy.model, 11500.0).parameters
    assert toy.domain.contains(drawn[:, :-1]).all()
    logg = drawn[:, toy.domain.index("logg")]
    assert (logg.min() < 0.51, logg.max() > 2.99) == (True, True)


def test_resolutions_of_templates(toy, model):
    assert Setup(model, Settings()).resolutions == (5000.0, 6000.0, 7500.0, 9500.0, 11500.0, 14500.0)
    own = Setup(toy, Settings()).resolutions
    assert own[0] == 6000
    assert own[-1] == 14500
    assert (np.diff(np.log(own)) < np.log(1.35)).all()


def test_a_model_without_profiles(toy_of, giants):
    """No rotation and no resolution among the labels: its spectra are all at R = 14500."""
    bare = Generator.of(toy_of({name: giants[name] for name in ("Ca", "teff", "mh")}), "bare")
    labels = {"Ca": 0.22, "teff": 4300.0, "mh": 0.1}
    spectrum = seen(bare, labels, resolution=14500.0)
    result = fit(spectrum, bare)
    truth = np.append(bare.domain.array(**labels), 42.0)
    assert (np.abs(result.values - truth) < 0.15 * result.bounds).all()
    assert result.free == ("Ca", "teff", "mh", "velocity")
    with pytest.raises(OutOfRangeError, match=r"resolution = 11500 is outside \[14500, 14500\]"):
        fit(spectrum, bare, resolution=11500.0)
    with pytest.raises(ConfigError, match="resolution: the model has no such label"):
        fit(spectrum, bare, free_resolution=True)
    bounds = forecast(bare, bare.domain.array(**labels), Setting(100.0, WAVELENGTH_AA)).bounds
    assert list(bounds.values()) == pytest.approx(result.bounds, rel=0.02)


def test_a_label_of_one_value_is_held(toy_of, giants):
    held = Generator.of(toy_of(giants | {"resolution": (14500.0, 14500.0), "vsini": (9.0, 9.0)}), "held")
    result = fit(seen(held, STAR | {"resolution": 14500.0}, resolution=14500.0), held)
    assert (result.labels["vsini"], result.labels["resolution"]) == (9.0, 14500.0)
    assert "vsini" not in result.free
    assert result.labels["Ca"] == pytest.approx(-0.17, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"fixed": {"vmic": 1.0}},
            "vmic is not one of teff, logg, mh, alpha, Ca, vsini, resolution, velocity",
        ),
        ({"priors": {"Mg": (0.0, 0.1)}}, "Mg is not one of teff"),
        ({"fixed": {"logg": 4.4}}, r"logg = 4.4 dex is outside \[0.5, 3\] dex"),
        ({"telluric": True}, "telluric: the model's band has no table of telluric lines"),
        ({"resolution": 5500.0}, r"resolution = 5500 is outside \[6000, 14500\]"),
    ],
)
def test_settings_are_the_models(toy, options, message):
    with pytest.raises((ConfigError, OutOfRangeError), match=message):
        fit(seen(toy, STAR), toy, **options)


def test_pixels_outside_the_band(toy):
    """What the band does not reach is left out; where it reaches nothing that is said."""
    spectrum = seen(toy, STAR, velocity=0.0)
    longer = np.concatenate([np.arange(8300, 8410, 0.1), WAVELENGTH_AA, np.arange(8790, 8900, 0.1)])
    flux = np.full(longer.size, 2.5)
    flux[1100:-1100] = spectrum.flux
    about = {"medium": "vacuum", "provenance": {"resolution": 11500}}
    result = fit(Spectrum(longer, flux, error=np.full(longer.size, 0.02), **about), toy)
    assert result.left_out == {"outside what the model knows": 2200}
    with pytest.raises(OutOfRangeError, match=r"0 pixels in 84.*, which the model knows; 100 are needed"):
        fit(Spectrum(longer[:1000], flux[:1000], **about), toy)


def test_a_forecast_is_what_a_fit_finds(toy, found):
    """The bounds of noise alone, by the same derivatives: those of a fit are in other coordinates."""
    told = forecast(toy, toy.domain.array(**STAR), Setting(100.0, WAVELENGTH_AA))
    assert told.names == found.free
    for name in told.names:
        bound = found.bounds[found.parameters.index(name)]
        # v sin i of less than the instrument's width: a chord, not a slope
        assert told.bounds[name] == pytest.approx(bound, rel=0.3 if name == "vsini" else 0.02)


def test_a_table_has_the_models_columns(toy, path, tmp_path, monkeypatch):
    pairs = [("star", seen(toy, STAR)), ("other", seen(toy, STAR | {"Ca": 0.2}))]
    for name, spectrum in pairs:
        spectrum.write(tmp_path / f"{name}.fits")
    files, output = [tmp_path / f"{name}.fits" for name, _ in pairs], tmp_path / "out.ecsv"
    assert table.fit_files(files, output, Settings(), model=str(path)) == (2, 0)
    from astropy.table import Table

    rows = Table.read(output)
    assert np.array(rows["Ca"]) == pytest.approx([-0.17, 0.2], abs=0.01)
    assert {"alpha_low", "logg_error", "velocity_bound"} <= set(rows.colnames)
    assert "vmic" not in rows.colnames
    with pytest.raises(ConfigError, match="vmic is not one of teff"):
        table.fit_files(files, tmp_path / "b.ecsv", Settings(fixed={"vmic": 1.0}), model=str(path))


def test_the_posteriors_density(toy, found):
    """The best fit is more probable than its neighbours, also without a floor of log g."""
    util = pytest.importorskip("numpyro.infer.util")
    jax = pytest.importorskip("jax")
    from starloom.inference import posterior

    values = dict(zip(found.parameters, found.values, strict=True))
    with jax.enable_x64(True):
        model = posterior._model(found, toy)
        best, other = (
            float(util.log_density(model, (), {}, {n: (values | change)[n] for n in found.free})[0])
            for change in ({}, {"alpha": values["alpha"] + 3 * found.errors["alpha"]})
        )
    assert best - other > 4


# Commands


@pytest.fixture
def run(command, path):
    def call(*words):
        code, out, err = command(*words, "--model", path)
        return code, out.splitlines(), err

    return call


OPTIONS = ("--teff", 4600, "--logg", 1.4, "--mh", -0.7, "--vsini", 9, "--snr", 100)


def test_forecast_of_any_label(run):
    code, lines, err = run("forecast", *OPTIONS, "--label", "alpha=0.32", "--label", "Ca=-0.17")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert list(rows) == [*STAR, "velocity"]
    assert rows["alpha"][1] == "0.32"
    assert rows["alpha"][3:] == ["dex", "-0.2", "to", "0.6"]
    assert rows["resolution"][-1] == "fixed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--label", "alpha=0.2", "--label", "Ca=0", "--vmic", 1),
            "has no label vmic: it has teff, logg, mh, alpha, Ca",
        ),
        (("--label", "alpha=0.2", "--label", "Mg=0", "--label", "Ca=0"), "has no label Mg: it has teff"),
        (("--label", "alpha=0.2", "--label", "Ca=9"), "Ca = 9 dex is outside [-0.4, 0.4] dex"),
        (("--label", "teff=4000"), "--teff and --label teff=... exclude each other"),
        (("--label", "alpha"), "--label alpha: expected LABEL=NUMBER"),
        (("--label", "alpha=much"), "--label alpha=much: expected LABEL=NUMBER"),
    ],
)
def test_forecast_says_in_one_line_what_is_wrong(run, options, message):
    code, lines, err = run("forecast", *OPTIONS, *options)
    assert (code, lines) == (2, [])
    assert message in err
    assert err.count("\n") == 1


def test_fit_of_any_label(toy, run, tmp_path):
    seen(toy, STAR).write(tmp_path / "star.fits")
    code, lines, _ = run("fit", tmp_path / "star.fits", "--fix", "Ca=-0.17")
    assert code == 0
    assert any(line.startswith("[alpha/M] 0.3") for line in lines)
    assert any(line.startswith("[Ca/M]    -0.17") for line in lines)
    code, _, err = run("fit", tmp_path / "star.fits", "--fix", "vmic=1")
    assert (code, err.count("\n")) == (2, 1)
    assert "vmic is not one of teff, logg, mh, alpha, Ca" in err


# From the top


def test_names_of_the_package(toy, tmp_path):
    seen(toy, STAR).write(tmp_path / "star.ecsv")
    result = starloom.fit(starloom.read(tmp_path / "star.ecsv"), toy)
    assert result.labels["Ca"] == pytest.approx(-0.17, abs=0.01)
