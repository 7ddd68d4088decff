"""The closed-form derivatives against automatic and numerical ones."""

import numpy as np
import pytest

from starloom.errors import ConfigError
from starloom.inference.derivatives import (
    SLOWEST,
    Derivatives,
    derivatives_of,
    network_derivatives,
    parameters,
)
from starloom.labels import TABLE_1, Domain
from starloom.networks import emulator, weights
from starloom.networks.forward import ACTIVATIONS, Dense, Dropout, Matern, Network, Reciprocal, linear
from starloom.networks.generator import Generator
from starloom.networks.pixels import PixelNetwork
from starloom.networks.scaling import label_scaling
from starloom.wavelength import Points

WAVELENGTH_AA = np.linspace(8470, 8690, 601)
LABELS = np.array(
    [[5777, 4.4, 20, 0, 1, 11500], [9000, 3.5, 120, -1, 2, 7000], [4000, 4.5, 3, 0.5, 0.5, 14000.0]]
)
VELOCITY = np.array([20.0, -100.0, 250.0])
ALL = tuple(range(len(parameters(TABLE_1))))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network(activation):
    layers = (
        Reciprocal(4, 1),
        Dense(5, 7, activation),
        Dropout(7, 0.2),
        Dense(7, 7, activation, residual=True),
        Dense(7, 3),
    )
    network = Network.initial(layers, seed=3, initialiser="he_normal").with_precision(np.float64)
    inputs = np.random.default_rng([1, 0]).uniform(0.5, 2, (6, 4))
    found = network_derivatives(network, inputs)
    assert np.allclose(found[:, 0], network(inputs))
    for index, step in enumerate(1e-5 * np.eye(4)):
        numerical = (network(inputs + step) - network(inputs - step)) / 2e-5
        # central differences in float64: 1e-10 of truncation, 1e-11 of rounding
        assert np.abs(found[:, 1 + index] - numerical).max() < 1e-8


def test_gaussian_process():
    rng = np.random.default_rng([1, 1])
    arrays = {name: rng.normal(size=shape) for name, shape in Matern(4, 9, 3).shapes.items()}
    before = Network.initial((Dense(4, 4, "tanh"),), seed=1).with_precision(np.float64)
    network = before.then(Network((Matern(4, 9, 3),), (arrays,)))
    inputs = rng.normal(size=(6, 4))
    found = network_derivatives(network, inputs, [2, 0])
    assert np.allclose(found[:, 0], network(inputs))
    for place, index in enumerate((2, 0), start=1):
        step = 1e-5 * np.eye(4)[index]
        numerical = (network(inputs + step) - network(inputs - step)) / 2e-5
        assert np.abs(found[:, place] - numerical).max() < 1e-8


def test_network_with_label_scaling():
    """The entry of emulators: labels and one over Teff, scaled."""
    network = label_scaling(TABLE_1.intrinsic, reciprocal=True)
    inputs = np.array([[5000.0, 4.0, 0.1, 1.0]])
    found = network_derivatives(network, inputs)
    scale = network.parameters[1]["scale"]
    assert np.allclose(found[0, 1], [scale[0], 0, 0, 0, -scale[4] / 5000**2])


def test_unknown_layer():
    class Strange:
        inputs = outputs = 2

    network = type("Any", (), {"layers": (Strange(),), "parameters": ({},), "precision": np.dtype(float)})()
    with pytest.raises(ConfigError, match="layer Strange are not known"):
        network_derivatives(network, np.ones((1, 2)))


def test_flux_is_the_generators(model):
    found = Derivatives(model.model.on(WAVELENGTH_AA))(LABELS, VELOCITY, ())
    flux = model.flux(LABELS, wavelength_aa=WAVELENGTH_AA, medium="vacuum", radial_velocity=VELOCITY)
    assert found.shape == (3, 1, 601)
    # float32, another order of the same sums
    assert np.abs(found[:, 0] - flux).max() < 2e-6


def test_labels_against_automatic_derivatives(model):
    pytest.importorskip("jax")
    found = Derivatives(model.model.on(WAVELENGTH_AA))(LABELS, VELOCITY, ALL)
    options = {"wavelength_aa": WAVELENGTH_AA, "medium": "vacuum", "radial_velocity": VELOCITY}
    automatic = model.jacobian(LABELS, **options)
    for index in range(6):
        ours, theirs = found[:, 1 + index], automatic[..., index]
        # float32 through four layers and a transform: 1e-4 of the largest derivative of a star
        assert (np.abs(ours - theirs).max(axis=1) < 1e-4 * np.abs(theirs).max(axis=1)).all()


def test_filling_against_automatic_derivatives(model):
    """By the filling, and by Teff where it goes out."""
    pytest.importorskip("jax")
    filled = Generator.of(
        emulator.filled(weights.load(weights.find("default-2026-lte")), -0.1, 0.5), "filled"
    )
    labels = np.column_stack([LABELS, [0.1, 0.3, 0.5]])
    labels[1, 0] = 7300
    every = range(len(parameters(filled.domain)))
    found = Derivatives(filled.model.on(WAVELENGTH_AA))(labels, VELOCITY, every)
    options = {"wavelength_aa": WAVELENGTH_AA, "medium": "vacuum", "radial_velocity": VELOCITY}
    assert np.abs(found[:, 0] - filled.flux(labels, **options)).max() < 2e-6
    automatic = filled.jacobian(labels, **options)
    for index in range(7):
        ours, theirs = found[:, 1 + index], automatic[..., index]
        # as in the test of the other labels
        assert (np.abs(ours - theirs).max(axis=1) < 1e-4 * np.abs(theirs).max(axis=1)).all()


def test_velocity_against_differences(model):
    found = Derivatives(model.model.on(WAVELENGTH_AA))(LABELS, VELOCITY, ALL)[:, -1]
    options = {"wavelength_aa": WAVELENGTH_AA, "medium": "vacuum"}
    ahead, behind = (model.flux(LABELS, radial_velocity=VELOCITY + step, **options) for step in (0.5, -0.5))
    # the third derivative: (0.5 / 11)^2 / 6 of the first for lines as sharp as the instrument's profile
    assert np.abs(found - (ahead - behind)).max() < 1e-3 * np.abs(found).max()


def test_only_what_is_wanted(model):
    derivatives = Derivatives(model.model.on(WAVELENGTH_AA))
    every = derivatives(LABELS, VELOCITY, ALL)
    some = derivatives(LABELS, VELOCITY, (6, 2))
    # float32 sums in another order
    assert np.abs(some - every[:, [0, 7, 3]]).max() < 2e-6


def test_slow_rotators(model):
    """Below SLOWEST the derivative is the one there: it is proportional to v sin i."""
    labels = np.repeat(LABELS[:1], 3, axis=0)
    labels[:, 2] = 0.0, SLOWEST, 2 * SLOWEST
    found = Derivatives(model.model.on(WAVELENGTH_AA))(labels, np.zeros(3), (2,))[:, 1]
    assert np.array_equal(found[0], found[1])
    assert np.abs(found[2] - 2 * found[1]).max() < 0.02 * np.abs(found[2]).max()


@pytest.mark.parametrize("resolution", [5000.0, 9500.0, 14500.0])
def test_fewer_modes_at_lower_resolution(model, resolution):
    """The modes left out pass less than 1e-5, and the flux has less than a tenth of that."""
    labels = LABELS.copy()
    labels[:, 5] = resolution
    fewer = model.model.seen(WAVELENGTH_AA, resolution)
    assert fewer.finish.frequency.size <= model.model.finish.frequency.size * resolution / 14500 + 2
    found, whole = fewer.spectrum(labels), model.model.on(WAVELENGTH_AA).spectrum(labels)
    assert np.abs(found - whole).max() < 3e-6


def test_a_rotation_as_small_as_it_is(model):
    """Without SLOWEST: proportional to v sin i, and 0 where it is."""
    labels = np.repeat(LABELS[:1], 3, axis=0)
    labels[:, 2] = 0.0, 0.25, 0.5
    found = Derivatives(model.model.on(WAVELENGTH_AA), slowest=0.0)(labels, np.zeros(3), (2,))[:, 1]
    assert not found[0].any()
    assert np.abs(2 * found[1] - found[2]).max() < 0.02 * np.abs(found[2]).max()


def test_networks_of_pixels():
    """In another medium and spacing than the points': against differences of the flux."""
    domain = Domain.of({"mh": (-1, 1), "teff": (4000, 6000)})
    points = Points("air", "linear", 8500.0, 8520.0, 201)
    lines = np.exp(-(((points.wavelength_aa - np.linspace(8502, 8519, 9)[:, None]) / 0.5) ** 2))
    network = label_scaling(domain).then(Network.initial((Dense(2, 9, "tanh"),), seed=5))
    network = network.then(linear(-0.3 * lines, np.ones(201)))
    pixels = PixelNetwork(domain, network.with_precision(np.float64), points)
    pixels = pixels.on(np.linspace(8504, 8518, 101))
    labels, velocity = np.array([[0.3, 5100.0], [-0.2, 4500.0]]), np.array([20.0, -35.0])
    found = derivatives_of(pixels)(labels, velocity, (2, 1, 0))
    assert np.allclose(found[:, 0], pixels.spectrum(labels, velocity))
    steps = {1: ([0.0, 0, 1e-2], 1e-2), 2: ([0, 1.0, 0], 1.0), 3: ([1e-4, 0, 0], 1e-4)}
    for place, (step, size) in steps.items():
        ends = [
            pixels.spectrum(labels + sign * np.array(step[:2]), velocity + sign * step[2]) for sign in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / (2 * size)
        assert np.abs(found[:, place] - slope).max() < 1e-4 * np.abs(slope).max()


def test_macroturbulence(toy_of, giants):
    """A model with vmac among its labels, over two chunks: derivatives against differences of the flux."""
    toy = Generator.of(toy_of(giants | {"vmac": (0.0, 20.0)}), "toy")
    names = toy.domain.names
    labels = toy.domain.array(
        teff=[4500.0, 5000.0],
        logg=1.5,
        mh=-0.5,
        alpha=0.1,
        Ca=0.0,
        vsini=9.0,
        vmac=[4.0, 15.0],
        resolution=9e3,
    )
    model = toy.model.on(np.linspace(8490.0, 8710.0, 900))
    velocity, steps = np.array([30.0, -80.0]), dict.fromkeys(names, 0.02) | {"teff": 10.0, "resolution": 50.0}
    found = derivatives_of(model)(labels, velocity, tuple(range(len(names) + 1)))
    assert np.abs(found[:, 0] - model.spectrum(labels, velocity)).max() < 2e-6
    for index, name in enumerate(names):
        step = steps[name] * (np.arange(len(names)) == index)
        ahead, behind = (model.spectrum(labels + sign * step, velocity).astype(float) for sign in (1, -1))
        slope = (ahead - behind) / (2 * steps[name])
        # float32: 1e-7 of the flux over a step that changes it by 1e-3 and more
        assert np.abs(found[:, 1 + index] - slope).max() < 0.02 * np.abs(slope).max(), name
    ahead, behind = (model.spectrum(labels, velocity + sign * 0.5).astype(float) for sign in (1, -1))
    assert np.abs(found[:, -1] - (ahead - behind)).max() < 0.01 * np.abs(found[:, -1]).max()
