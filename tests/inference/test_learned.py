"""Starts that a network has learned: what it sees, what it tells, and that no fit depends on its luck."""

from dataclasses import replace

import numpy as np
import pytest

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, StoreError
from starloom.inference import Settings, fit, fit_each, solving
from starloom.inference.learned import cells as binning
from starloom.inference.learned import lags, network
from starloom.inference.observation import observe
from starloom.inference.setup import Setup
from starloom.inference.solution import Stars
from starloom.networks import weights
from starloom.networks.forward import Network, dense_layers
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

CELLS = binning.Bins(8460.0, 600)
PIXELS_AA = 8455 + 0.1 * np.arange(2150)


def binned(wavelength=PIXELS_AA, flux=None, noise=0.01, good=None, rows=1):
    flux = np.ones((rows, wavelength.size)) if flux is None else flux
    good = np.ones(flux.shape, bool) if good is None else good
    return binning.binned(CELLS, wavelength, flux, np.full(flux.shape, noise), good)


@pytest.mark.parametrize("step", [0.05, 0.1, 0.5, 1.3])
def test_cells_are_means_whatever_the_pixels(step):
    """Of a straight line, pixels narrower than a cell of 0.34 A or wider, the flux at the cell's centre."""
    wavelength = np.arange(8450.0, 8680.0, step)
    line = 1 + (wavelength - 8500) / 500
    seen = binned(wavelength, line[None])
    assert seen.covered.all()
    assert np.allclose(seen.flux, 1 + (CELLS.centres_aa - 8500) / 500, atol=0.5 * step / 500 + 1e-6)


def test_the_noise_of_a_cell_is_that_of_white_noise():
    noise = 0.02 * np.random.default_rng(1).normal(size=(20, PIXELS_AA.size))
    seen = binned(flux=1 + noise, noise=0.02)
    assert np.std(seen.flux[:, 20:580]) == pytest.approx(seen.noise[0], rel=0.1)


def test_gaps_are_empty_cells():
    good = np.ones((1, PIXELS_AA.size), bool)
    good[:, 1000:1100] = False
    seen = binned(good=good, flux=np.where(good, 2.0, np.pi))
    assert 25 <= (~seen.covered).sum() <= 33
    assert np.allclose(seen.flux[seen.covered], 2)
    values = binning.straightened(seen.flux, seen.covered)
    assert np.abs(values).max() < 1e-5
    assert (values[~seen.covered] == 0).all()


def test_rough_noise_is_that_of_the_pixels():
    flux = 1 + 0.05 * np.random.default_rng(2).normal(size=(3, 2000))
    found = binning.rough_noise(flux, np.ones(flux.shape, bool))
    assert found == pytest.approx(0.05, rel=0.1)
    assert binning.rough_noise(flux[:1], np.zeros((1, 2000), bool)) == pytest.approx(1.21, rel=0.01)


def lines(seed, count=3):
    """Fluxes with lines of their own."""
    centres = np.random.default_rng(seed).uniform(40, 560, (count, 12, 1))
    return 1 - 0.6 * np.exp(-0.5 * ((np.arange(600) - centres) / 1.5) ** 2).sum(axis=1).clip(0, 1)


@pytest.mark.parametrize("covered", [slice(None), slice(100, 420)])
def test_a_moved_template_is_found_where_it_is(covered):
    flux = lines(3).astype(np.float32)
    bank = lags.Bank.of(flux)
    seen = np.zeros(flux.shape, bool)
    seen[:, covered] = True
    moved = np.array([-30, 7, 25])
    values = binning.straightened(lags.aligned(flux, -moved), seen & lags.aligned(seen | True, -moved))
    found = bank.lags(values, seen, (-500.0, 500.0))
    assert found.tolist() == moved.tolist()
    assert np.abs(lags.aligned(values, found)[:, 200:350]).max() > 0.3
    with pytest.raises(AssertionError):  # outside the range it cannot be
        assert bank.lags(values, seen, (-100.0, 100.0)).tolist() == moved.tolist()


def test_a_mixture_is_sorted_and_inside():
    outputs = np.zeros((1, 2 * (1 + 2 * 3)), np.float32)
    outputs[0, :2] = [0.0, np.log(3.0)]
    outputs[0, 2:8] = [0.2, 0.3, 0.1, 1.7, -0.4, -0.2]
    outputs[0, 8:] = [0, 0, 0, -9, 9, np.log(0.5)]
    found = network.mixture(outputs, 3, np.array([10]))
    assert found.share[0] == pytest.approx([0.75, 0.25])
    assert found.place[0, 0] == pytest.approx([1 - network.INNER, network.INNER, 1.2 - 0.2], abs=1e-6)
    ends = np.exp([network.SMALLEST, network.LARGEST])
    assert found.deviation[0, 0] == pytest.approx([*ends, 0.5], rel=1e-6)


def test_what_a_network_tells():
    names = network.learned_labels(Generator.load("default").domain).names
    assert names == ("teff", "logg", "mh", "alpha", "vmic", "vsini", "filling")


# With a toy model and its start in files


@pytest.fixture(scope="module")
def saved(toy_of, giants, tmp_path_factory):
    """A toy model in a file, with a start network that knows nothing, and is sure of it, beside it."""
    path = tmp_path_factory.mktemp("toy") / "toy.safetensors"
    weights.save(path, toy_of(giants))
    generator = Generator.load(path)
    weights.save(network.file_of(path), network.packed(generator, ignorant(generator)))
    return path


def ignorant(generator):
    cells, told = binning.Bins.of(generator.model), network.learned_labels(generator.domain)
    sizes = network.inputs_of(cells, True), 8, network.outputs_of(told, 2)
    made = Network.initial(dense_layers(sizes, "silu"), 3)
    *others, last = made.parameters
    bias = np.full(sizes[-1], -4.0, np.float32)
    bias[: sizes[-1] // 2] = 0.5
    made = Network(made.layers, (*others, {"weight": last["weight"] * 0, "bias": bias}))
    bank = network.templates(generator.model, generator.domain, cells)
    return network.StartNetwork(made, told, cells, bank, True)


def giants_seen(generator, count=4, snr=200.0, wavelength=None):
    wavelength = 8480 + 0.15 * np.arange(1500) if wavelength is None else wavelength
    domain, rng = generator.domain, np.random.default_rng(8)
    place = rng.uniform(0.2, 0.8, (count, len(domain.names)))
    labels = domain.low + place * (domain.high - domain.low)
    labels[:, domain.index("resolution")] = 11500.0
    flux = generator.flux(labels, wavelength_aa=wavelength, medium="vacuum", radial_velocity=50.0)
    error = np.full(wavelength.size, 1 / snr)
    noisy = flux + rng.normal(size=flux.shape) / snr
    about = {"medium": "vacuum", "provenance": {"resolution": 11500.0}}
    return labels, [Spectrum(wavelength, row, error=error, **about) for row in noisy]


def test_a_minimum_that_the_network_does_not_expect_is_searched(saved, monkeypatch):
    """So a network that is wrong and sure of it costs time, but no label."""
    generator, asked = Generator.load(saved), []
    search = solving.searched
    monkeypatch.setattr(
        solving, "searched", lambda stars, *beside: asked.append(len(stars.flux)) or search(stars, *beside)
    )
    _, spectra = giants_seen(generator)
    found = list(fit_each(spectra, generator, threads=1))
    assert asked == [4]
    expected = list(fit_each(spectra, generator, threads=1, learned_start=False))
    for one, other in zip(found, expected, strict=True):
        # both descents end within 0.06 of their errors
        assert (np.abs(one.values - other.values) <= 0.06 * np.sqrt(np.diag(other.covariance))).all()
        assert one.settings["learned_start"] is not other.settings["learned_start"]


def test_a_start_of_another_model_is_refused(saved, toy_of, giants, tmp_path):
    other = tmp_path / "other.safetensors"
    weights.save(other, toy_of({**giants, "teff": (3900.0, 5500.0)}))
    network.file_of(other).write_bytes(network.file_of(saved).read_bytes())
    with pytest.raises(StoreError, match=r"other\.start\.safetensors: a start network for another model"):
        network.start_of(Generator.load(other))
    with pytest.raises(StoreError, match="holds a model of the family 'start'"):
        weights.load(network.file_of(saved), "emulator")


def test_a_model_without_one_is_searched(toy):
    assert network.start_of(toy) is None


def test_a_range_too_wide_is_refused(toy, monkeypatch):
    monkeypatch.setattr(binning, "MOST_CELLS", 100)
    with pytest.raises(ConfigError, match="a start network takes up to 100 cells"):
        binning.Bins.of(toy.model)


@pytest.mark.parametrize(
    ("settings", "uses"),
    [
        (Settings(), True),
        (Settings(learned_start=False), False),
        (Settings(fixed={"logg": 2.0}), False),
        (Settings(priors={"mh": (0.0, 0.1)}), False),
        (Settings(fixed={"velocity": 0.0}), False),
    ],
)
def test_what_is_known_beforehand_is_searched(saved, settings, uses):
    generator = Generator.load(saved)
    setup = Setup(generator, settings)
    stars = Stars.of(setup, [observe(giants_seen(generator, 1)[1][0], setup)])
    assert (solving.learned_start(stars) is not None) == uses


def test_what_covers_too_little_is_searched(saved, monkeypatch):
    generator, asked = Generator.load(saved), []
    search = solving.searched
    monkeypatch.setattr(
        solving, "searched", lambda stars, *beside: asked.append(len(stars.flux)) or search(stars, *beside)
    )
    monkeypatch.setattr(network.StartNetwork, "__call__", lambda *_: pytest.fail("the network is asked"))
    _, spectra = giants_seen(generator, 1, wavelength=8600 + 0.15 * np.arange(200))
    assert len(list(fit_each(spectra, generator, threads=1))) == 1
    assert asked == [1]


def test_a_trained_start_leads_to_the_minimum(saved, monkeypatch, tmp_path):
    """Trained for seconds it points near enough: no search, and the minimum that the search finds."""
    pytest.importorskip("jax")
    from starloom.inference.learned.training import Plan, StartRecipe, fit_start

    generator = replace(Generator.load(saved), name=str(tmp_path / "toy.safetensors"))
    plan = Plan(epochs=5, patience=5, learning_rate=3e-3, schedule="cosine")
    start, training = fit_start(generator, StartRecipe(2000, (48,), 2, 200, plan))
    assert training.history[-1].validation_loss < training.history[0].validation_loss - 1
    path = network.file_of(generator.name)
    weights.save(path, network.packed(generator, start), "float16")
    assert network.start_of(generator) is not None
    labels, spectra = giants_seen(generator, 12)
    monkeypatch.setattr(solving, "UNEXPECTED", np.inf)
    monkeypatch.setattr(solving, "searched", lambda stars: pytest.fail("searched"))
    found = list(fit_each(spectra, generator, threads=1))
    free = [generator.domain.index(name) for name in found[0].free[:-1]]
    offs = np.array([one.values[free] - truth[free] for one, truth in zip(found, labels, strict=True)])
    errors = np.array([[one.errors[name] for name in one.free[:-1]] for one in found])
    assert np.median(np.abs(offs / errors).max(axis=1)) < 4


@pytest.mark.parametrize("name", weights.names())
def test_packaged_starts_are_of_their_models(name):
    if not network.file_of(name).exists():
        pytest.skip(f"{name} has no start network")
    start = network.start_of(Generator.load(name))
    assert start.domain.names == network.learned_labels(Generator.load(name).domain).names
    assert network.file_of(name).stat().st_size < 1.6e6
    speed = SPEED_OF_LIGHT_KMS * np.log(start.cells.edges_aa[-1] / start.cells.edges_aa[0])
    assert speed == pytest.approx(start.cells.count * binning.CELL_KMS)


def test_what_is_beyond_the_model_is_searched():
    """Lines 0.45 times as deep in a hot giant: the network leads to a minimum that is far from the lowest."""
    model = Generator.load("default-2026-lte")
    labels = np.array([13400.0, 2.5, 86.0, -0.4, 2.4, 11500.0])
    wavelength = np.linspace(8460, 8700, 2401)
    flux = 1 + 0.45 * (model.flux(labels, wavelength_aa=wavelength, medium="vacuum").astype(float) - 1)
    flux += np.random.default_rng(0).normal(size=flux.size) / 50
    about = {"medium": "vacuum", "provenance": {"resolution": 11500}}
    weak = Spectrum(wavelength, flux, error=np.full(flux.size, 0.02), **about)
    learned, searched = (fit(weak, model, learned_start=start, trust=False) for start in (True, False))
    assert "outside_domain" in searched.flags
    assert learned.chi2 < searched.chi2 + 1  # each with weights of its own, which differ by where they began


def test_a_misfit_below_the_stated_noise_is_searched():
    """A hot star with lines of other depths, without noise: the network's minimum was above by 46 in chi2."""
    generator = Generator.load("default-2026-lte")
    star = generator.domain.array(teff=8712, logg=3.29, vsini=126, mh=-0.67, vmic=3.29, resolution=11500)
    wavelength = np.linspace(8460.0, 8700.0, 2401)
    flux = generator.flux(star, wavelength_aa=wavelength, medium="vacuum", radial_velocity=-244.2)
    about = {"medium": "vacuum", "provenance": {"resolution": 11500.0}}
    for factor in (0.7, 1.3):
        other = 1 + factor * (flux.astype(float) - 1)
        spectrum = Spectrum(wavelength, other, error=np.full(other.size, 0.01), **about)
        learned, searched = (
            fit(spectrum, generator, learned_start=start, typical_vmic=False, trust=False)
            for start in (True, False)
        )
        assert 50 < learned.chi2 < searched.chi2 + 1


@pytest.mark.parametrize("labels", [(5138.0, 3.9, 230.0, 0.72, 3.4), (4540.0, 3.8, 243.0, 0.57, 0.3)])
def test_a_minimum_on_the_other_side_of_the_candidates_is_found(labels):
    """Fast rotators with lines half as deep as of any labels: cool, poor stars explain them, and hotter ones.

    The network points between the two; the free fit was above the constrained one by 65 and 33 in chi2.
    """
    generator = Generator.load("default-2026-lte")
    wavelength = np.linspace(8460.0, 8700.0, 2401)
    flux = generator.flux(np.array([*labels, 11500.0]), wavelength_aa=wavelength, medium="vacuum")
    flux = 1 + 0.5 * (flux.astype(float) - 1) + np.random.default_rng(0).normal(size=flux.size) / 100
    about = {"medium": "vacuum", "provenance": {"resolution": 11500.0}}
    spectrum = Spectrum(wavelength, flux, error=np.full(flux.size, 0.01), **about)
    settings = Settings(typical_vmic=False, trust=False)
    free = fit(spectrum, generator, settings)
    assert free.chi2 < fit(spectrum, generator, settings, fixed={"vsini": 250.0}).chi2 + 0.1
