"""The closed-form derivatives against automatic and numerical ones."""

import numpy as np
import pytest

from starloom.errors import ConfigError
from starloom.inference.derivatives import PARAMETERS, SLOWEST, Derivatives, at_most, network_derivatives
from starloom.labels import DOMAIN
from starloom.networks.forward import ACTIVATIONS, Dense, Dropout, Network, Reciprocal
from starloom.networks.paper import label_scaling
from starloom.networks.pixels import PixelNetwork

WAVELENGTH_AA = np.linspace(8470, 8690, 601)
LABELS = np.array(
    [[5777, 4.4, 20, 0, 1, 11500], [9000, 3.5, 120, -1, 2, 7000], [4000, 4.5, 3, 0.5, 0.5, 14000.0]]
)
VELOCITY = np.array([20.0, -100.0, 250.0])
ALL = tuple(range(len(PARAMETERS)))


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


def test_network_with_label_scaling():
    """The entry of emulators: labels and one over Teff, scaled."""
    network = label_scaling(("teff", "logg", "mh", "vmic"), reciprocal=True)
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
    fewer = at_most(model.model, WAVELENGTH_AA, resolution)
    assert fewer.finish.frequency.size <= model.model.finish.frequency.size * resolution / 14500 + 2
    found, whole = fewer.spectrum(labels), model.model.on(WAVELENGTH_AA).spectrum(labels)
    assert np.abs(found - whole).max() < 3e-6


def test_other_families_are_refused():
    network = Network.initial((Dense(6, 10),), seed=0)
    from starloom.networks.weights import Points

    pixels = PixelNetwork(network, Points("air", "linear", 8400.0, 8800.0, 10))
    with pytest.raises(ConfigError, match="family 'emulator'"):
        at_most(pixels, WAVELENGTH_AA, DOMAIN.high[5])
