"""The Cramer-Rao bound against brute force, closed forms and its own laws."""

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from starloom import Generator
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference.forecast import (
    Setting,
    constrained_inverse,
    covariances,
    forecast,
    information,
    model_derivatives,
)
from starloom.io.formats.gaia import NOISE_KMS
from starloom.labels import TABLE_1

PARAMETERS = (*TABLE_1.names, "velocity")
SUN = [5777.0, 4.44, 8.0, 0.0, 1.0, 11500.0]
STARS = np.array([SUN, [9500, 4.0, 100, 0.0, 2.0, 11500], [4500, 2.5, 20, -0.5, 1.5, 9000]])
GAIA_AA = 8460 + 0.1 * np.arange(2401)


@dataclass
class Linear:
    """A generator whose flux is linear in labels and velocity, over a flux that is 1 at the truth."""

    slopes: np.ndarray  # [wavelength, 7]
    truth: np.ndarray = field(default_factory=lambda: np.array(SUN))
    domain = TABLE_1
    physics = None
    correction = None

    def flux(self, labels, **_):
        return 1 + (labels - self.truth) @ self.slopes[:, :6].T

    @property
    def model(self):
        return self

    def on(self, _):
        return self

    def __call__(self, labels, velocity, wanted):
        """As ``derivatives.Derivatives``; the flux, which comes first, is not asked for."""
        return np.repeat(self.slopes.T[None, [0, *wanted]], len(labels), axis=0)


@pytest.fixture(scope="module")
def generator():
    return replace(Generator.load("default-2026-lte"), physics=None)


@pytest.fixture(scope="module")
def toy():
    """Slopes that make every label's bound about a hundredth of its range."""
    slopes = np.random.default_rng([2, 0]).normal(size=(120, 7))
    return Linear(slopes / [*(TABLE_1.high - TABLE_1.low), 30.0])


# Against brute force


def test_scatter_of_linear_least_squares(toy):
    """2000 noisy spectra solved by linear least squares scatter as the bound says, to 4 sigma of it (6 %)."""
    setting = Setting(np.linspace(20, 200, 120), np.linspace(8460, 8700, 120), continuum=2, fixed=())
    bounds = forecast(toy, SUN, setting).bounds
    matrix = np.concatenate(
        [toy.slopes, np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, 120), 2)], axis=1
    )
    noise = np.random.default_rng([2, 1]).normal(size=(120, 2000))
    found = np.linalg.lstsq(matrix * setting.snr[:, None], noise, rcond=None)[0]
    np.testing.assert_allclose(found[:7].std(axis=1), list(bounds.values()), rtol=4 / np.sqrt(2 * 2000))


def test_scatter_of_fits_to_generated_spectra(generator):
    """Nonlinear fits of noisy spectra, with derivatives of their own, scatter as the bound says.

    80 fits know their scatter to 8 %; 30 % is four times that.
    """
    optimize = pytest.importorskip("scipy.optimize")
    setting = Setting(200.0, GAIA_AA[::4], fixed=("resolution", "vmic", "vsini"))
    found = forecast(generator, SUN, setting)
    place = np.linspace(-1, 1, setting.wavelength_aa.size)
    scale = np.array([*(found.bounds[name] for name in found.names), 0.001, 0.001])
    names = [PARAMETERS.index(name) for name in found.names[:-1]]

    def model(x):
        labels = np.array(SUN)
        labels[names] += (x * scale)[:-3]
        view = {"medium": "vacuum", "radial_velocity": float((x * scale)[-3])}
        flux = generator.flux(labels, wavelength_aa=setting.wavelength_aa, **view)
        return flux * (1 + (x * scale)[-2] + (x * scale)[-1] * place)

    truth, estimates = model(np.zeros(6)), []
    for seed in range(80):
        noise = np.random.default_rng([2, 2, seed]).normal(size=truth.size)
        residuals = lambda x, noise=noise: (model(x) - truth) * 200 - noise  # noqa: E731
        # steps of a tenth of the bound: far above the rounding of float32
        estimates.append(optimize.least_squares(residuals, np.ones(6), diff_step=0.1, max_nfev=8).x)
    np.testing.assert_allclose(np.std(estimates, axis=0)[:4], 1, atol=0.3)
    np.testing.assert_allclose(np.mean(estimates, axis=0)[:4], 0, atol=4 / np.sqrt(80))


def test_velocity_of_one_line(generator):
    """Everything else known: 1 / sigma^2 is the sum of (S/N df/dv)^2, here from the slope in wavelength."""
    fixed = TABLE_1.names
    found = forecast(generator, SUN, Setting(100.0, GAIA_AA, continuum=None, fixed=fixed))
    fine = np.arange(8459, 8701, 0.01)
    flux = generator.flux(np.array(SUN), wavelength_aa=fine, medium="vacuum").astype(float)
    slope = np.interp(GAIA_AA, fine, np.gradient(flux, fine)) * GAIA_AA / 299792.458
    # second differences of a line of 0.3 A on 0.01 A are good to 1e-3
    assert found.bounds["velocity"] == pytest.approx(0.01 / np.sqrt((slope**2).sum()), rel=2e-3)


def test_derivatives_are_those_of_the_flux(generator):
    """Central differences of the flux, over steps in which curvature and rounding stay below 1 %."""
    steps = np.array([10, 0.02, 0.5, 0.02, 0.1, 100])
    setting = Setting(1.0, GAIA_AA, fixed=(), continuum=0)
    columns = model_derivatives(generator, STARS, setting)
    assert columns.shape == (3, 2401, 8)
    for number in range(6):
        step = steps * (np.arange(6) == number)
        ends = [
            generator.flux(STARS + s, wavelength_aa=GAIA_AA, medium="vacuum").astype(float)
            for s in (step, -step)
        ]
        slope = (ends[0] - ends[1]) / (2 * steps[number])
        size = np.abs(slope).max(axis=1, keepdims=True)
        np.testing.assert_allclose(columns[..., number] / size, slope / size, atol=0.01)
    flux = generator.flux(STARS, wavelength_aa=GAIA_AA, medium="vacuum")
    np.testing.assert_array_equal(columns[..., 7], flux)


def test_without_jax_as_with_it(generator):
    """The bounds by automatic derivatives, to 1e-3 of them, also where v sin i is nearly nothing."""
    pytest.importorskip("jax")
    stars = np.concatenate([STARS, [[5777, 4.44, 0.2, 0, 1, 11500]]])
    setting = Setting(50.0, GAIA_AA)
    automatic = generator.jacobian(stars, wavelength_aa=GAIA_AA, medium="vacuum")
    ours = model_derivatives(generator, stars, setting)
    theirs = ours.copy()
    theirs[..., :5] = automatic[..., :5]
    for one, other in zip(ours, theirs, strict=True):
        bounds = [np.sqrt(np.diag(constrained_inverse(2500.0 * each.T @ each))) for each in (one, other)]
        np.testing.assert_allclose(bounds[0], bounds[1], rtol=1e-3)


def test_networks_of_pixels():
    """The paper's generator, whose derivatives are its network's own."""
    pytest.importorskip("starloom_paper")
    pytest.importorskip("jax")
    paper, setting = Generator.load("paper"), Setting(50.0, GAIA_AA, fixed=(), continuum=None)
    ours = model_derivatives(paper, STARS, setting)
    automatic = paper.jacobian(STARS, wavelength_aa=GAIA_AA, medium="vacuum")
    for index in range(6):
        size = np.abs(automatic[..., index]).max(axis=1, keepdims=True)
        np.testing.assert_allclose(ours[..., index] / size, automatic[..., index] / size, atol=1e-3)


# Laws


@pytest.fixture(scope="module")
def free(generator):
    return covariances(generator, STARS, Setting(50.0, fixed=()))


def test_twice_the_signal_halves_the_bound(generator, free):
    twice = covariances(generator, STARS, Setting(100.0, fixed=()))
    np.testing.assert_allclose(free, 4 * twice, rtol=1e-6)


def test_knowing_less_never_helps(generator, free):
    """Fixing a parameter, a prior, a known continuum and more pixels can only lower the others' bounds."""
    worst = np.diagonal(free, axis1=1, axis2=2)
    alone = information(generator, STARS, Setting(50.0, fixed=()))
    assert (1 / np.diagonal(alone, axis1=1, axis2=2)[:, :7] <= worst * (1 + 1e-9)).all()
    for name in PARAMETERS:
        setting = Setting(50.0, fixed=(name,))
        kept = [PARAMETERS.index(other) for other in setting.unknown(TABLE_1)]
        known = np.diagonal(covariances(generator, STARS, setting), axis1=1, axis2=2)
        assert (known <= worst[:, kept] * (1 + 1e-6)).all()
        prior = covariances(generator, STARS, Setting(50.0, fixed=(), priors={name: 0.1}))
        assert (np.diagonal(prior, axis1=1, axis2=2) <= worst * (1 + 1e-6)).all()
    orders = [None, 0, 1, 3, 8]
    by_order = [
        np.diagonal(covariances(generator, STARS, Setting(50.0, fixed=(), continuum=order)), axis1=1, axis2=2)
        for order in orders
    ]
    for less, more in itertools.pairwise(by_order):
        assert (less <= more * (1 + 1e-6)).all()
    half = Setting(np.where(GAIA_AA < 8600, 50.0, 0.0), GAIA_AA, fixed=(), noise_correlation=NOISE_KMS)
    assert (worst <= np.diagonal(covariances(generator, STARS, half), axis1=1, axis2=2) * (1 + 1e-6)).all()


def test_a_prior_adds_its_information(toy):
    """A label that no other resembles: 1/bound^2 = 1/alone^2 + 1/prior^2."""
    only = Linear(np.eye(120, 7) / 100)
    found = forecast(only, SUN, Setting(50.0, np.linspace(8460, 8700, 120), continuum=None, fixed=()))
    assert found.bounds["logg"] == pytest.approx(2.0)
    setting = Setting(
        50.0, np.linspace(8460, 8700, 120), continuum=None, fixed=(), priors={"logg": 1.0, "velocity": 0.5}
    )
    found = forecast(only, SUN, setting)
    assert found.bounds["logg"] == pytest.approx((1 / 4 + 1) ** -0.5)
    assert found.bounds["velocity"] == pytest.approx((1 / 4 + 4) ** -0.5)
    assert found.bounds["mh"] == pytest.approx(2.0)


def test_many_stars_are_as_one_by_one(generator, free):
    for star, covariance in zip(STARS, free, strict=True):
        one = forecast(generator, star, Setting(50.0, fixed=()))
        # batches of another size round otherwise, in float32: correlations to 1e-2
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        np.testing.assert_allclose(one.covariance / scale, covariance / scale, atol=1e-2)
        np.testing.assert_allclose(list(one.bounds.values()), np.sqrt(np.diag(one.covariance)))


# What cannot be known


def test_degenerate_labels_have_no_bound():
    """Two labels of the same effect: no bound on either, and the others are as if one were fixed."""
    slopes = np.random.default_rng([2, 3]).normal(size=(120, 7)) / [*(TABLE_1.high - TABLE_1.low), 30.0]
    slopes[:, 4] = slopes[:, 1] * 0.7
    grid = np.linspace(8460, 8700, 120)
    found = forecast(Linear(slopes), SUN, Setting(50.0, grid, fixed=()))
    assert np.isinf([found.bounds["logg"], found.bounds["vmic"]]).all()
    assert found.remark("logg") == "unconstrained"
    fixed = forecast(Linear(slopes), SUN, Setting(50.0, grid, fixed=("vmic",)))
    for name in ("teff", "vsini", "mh", "resolution", "velocity"):
        assert found.bounds[name] == pytest.approx(fixed.bounds[name], rel=1e-6)
    assert np.isfinite(fixed.bounds["logg"])
    prior = forecast(Linear(slopes), SUN, Setting(50.0, grid, fixed=(), priors={"vmic": 0.1}))
    assert fixed.bounds["logg"] < prior.bounds["logg"] < np.inf


def test_a_label_without_effect_has_no_bound():
    slopes = np.random.default_rng([2, 4]).normal(size=(120, 7)) / [*(TABLE_1.high - TABLE_1.low), 30.0]
    slopes[:, 2] = 0
    found = forecast(Linear(slopes), [*SUN[:2], 0.0, *SUN[3:]], Setting(50.0, np.linspace(8460, 8700, 120)))
    assert np.isinf(found.bounds["vsini"])
    assert found.remark("vsini") == "unconstrained: flux depends on its square here"
    assert np.isnan(found.covariance[2]).all()
    assert np.isfinite(found.bounds["teff"])


def test_fewer_pixels_than_parameters(toy):
    found = forecast(Linear(toy.slopes[:4]), SUN, Setting(100.0, GAIA_AA[:4]))
    assert np.isinf([found.bounds[name] for name in found.names]).all()


def test_inverse_of_a_good_matrix():
    made = np.random.default_rng([2, 5]).normal(size=(9, 5)) * 10.0 ** np.arange(-4, 6, 2)
    matrix = made.T @ made
    identity = constrained_inverse(matrix) @ matrix
    np.testing.assert_allclose(
        identity / np.sqrt(np.outer(1 / np.diag(matrix), np.diag(matrix))), np.eye(5), atol=1e-9
    )


def test_remarks(generator):
    found = forecast(generator, [5777, 4.44, 2, 0, 1, 11500], Setting(10.0))
    assert found.remark("resolution") == "fixed"
    assert found.remark("vsini").startswith("not told from 0: upper limit ")
    assert found.remark("teff") == ""
    weak = forecast(generator, SUN, Setting(0.05))
    assert weak.remark("mh") == "unconstrained: exceeds the label's range"


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"snr": 0.0}, OutOfRangeError, "snr = 0.0 must be finite and positive$"),
        ({"snr": np.zeros(2401)}, OutOfRangeError, r"must be finite and positive \(0: a pixel not used\)$"),
        ({"snr": np.nan}, OutOfRangeError, "snr = nan must be"),
        ({"snr": np.ones(3)}, ConfigError, r"snr has the shape \(3,\), the wavelengths \(2401,\)"),
        ({"priors": {"resolution": 5.0}}, ConfigError, "resolution is fixed and has a prior"),
        ({"priors": {"teff": -5.0}}, OutOfRangeError, "prior of teff = -5.0 is not a positive"),
        ({"continuum": 99}, OutOfRangeError, r"continuum = 99 is outside \[0, 20\]"),
        ({"medium": "air"}, ConfigError, "the points of Gaia's spectra are in vacuum"),
    ],
)
def test_settings_that_make_no_sense(options, error, reason):
    with pytest.raises(error, match=reason):
        Setting(**{"snr": 50.0} | options)


def test_questions_that_make_no_sense(generator):
    with pytest.raises(ConfigError, match="every parameter is fixed"):
        forecast(generator, SUN, Setting(50.0, fixed=PARAMETERS))
    with pytest.raises(ConfigError, match=r"labels have the shape \(5,\), expected \(6,\)"):
        forecast(generator, SUN[:5], Setting(50.0))
    with pytest.raises(ConfigError, match="'age' is not one of teff, logg"):
        forecast(generator, SUN, Setting(50.0, fixed=("age",)))
    with pytest.raises(OutOfRangeError, match="teff = 3000 K is outside"):
        forecast(generator, [3000, *SUN[1:]], Setting(50.0))
    with pytest.raises(OutOfRangeError, match="what the model knows"):
        forecast(generator, SUN, Setting(50.0, GAIA_AA + 500))


# The command


@pytest.fixture
def run(command):
    def call(*words):
        star = ("--teff", "5777", "--logg", "4.44", "--vsini", "2", "--mh", "0", "--vmic", "1")
        code, out, err = command("forecast", "--model", "default-2026-lte", *star, *words)
        return code, out.splitlines(), err

    return call


def test_command(run):
    code, lines, err = run("--resolution", 11500, "--snr", 50)
    assert (code, err) == (0, "")
    points = "2401 pixels, noise smoothed by 3.7 km/s, 8460 to 8700 A (vacuum)"
    assert lines[0].startswith(f"S/N 50 in {points}, continuum of order 1")
    alone = run("--resolution", 11500, "--snr", 50, "--noise-correlation", 0, "--no-physics-error")[1]
    assert alone[0] == "S/N 50 in 2401 independent pixels, 8460 to 8700 A (vacuum), continuum of order 1"
    assert float(alone[2].split()[2]) < float(lines[2].split()[2])
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert set(rows) == set(PARAMETERS)
    assert 10 < float(rows["teff"][2]) < 200
    assert rows["teff"][3:] == ["K", "3600", "to", "15000"]
    assert rows["resolution"][2] == "-"
    assert rows["resolution"][-1] == "fixed"
    assert "upper limit" in lines[4]


def test_options_of_the_command(run):
    given = ("--snr", 50, "--range", "8500:8600:0.25", "--fix", "vsini,vmic", "--fix", "velocity")
    code, lines, err = run(*given, "--prior", "logg=0.001", "--continuum", -1, "--free-resolution")
    assert (code, err) == (0, "")
    head = "S/N 50 in 401 independent pixels, 8500 to 8600 A (vacuum), known continuum"
    assert lines[0].startswith(head)
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert [name for name in rows if rows[name][2] == "-"] == ["vsini", "vmic", "velocity"]
    assert float(rows["logg"][2]) <= 0.001


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--snr", 0), "snr = 0.0 must be finite and positive"),
        (("--snr", 50, "--range", "8500"), "--range 8500:0.1: expected LOW:HIGH:STEP"),
        (("--snr", 50, "--prior", "logg"), "--prior logg: expected NAME=SIGMA"),
        (("--snr", 50, "--fix", "age"), "'age' is not one of teff"),
        (("--snr", 50, "--fix", "vsini,logg=4.4"), "--fix logg=4.4: expected NAME alone, for the value is"),
        (("--snr", 50, "--continuum", -2), "--continuum -2: expected -1 (it is known), or an order from 0"),
        (("--snr", 50, "--resolution", 80000), "starloom: resolution = 80000 is outside [5000, 14500]"),
        (("--snr", 50, "--range", "8000:8100"), "is outside"),
    ],
)
def test_one_line_for_a_wrong_option(run, arguments, reason):
    code, lines, err = run(*arguments)
    assert (code, lines) == (2, [])
    assert reason in err
    assert err.count("\n") == 1
