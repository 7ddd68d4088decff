import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gamma, kv

from starloom.errors import ConfigError
from starloom.networks.forward import (
    ACTIVATIONS,
    Affine,
    Dense,
    Dropout,
    Matern,
    Network,
    Reciprocal,
    affine,
    dense_layers,
    forward,
    layers_from,
    linear,
)

RNG = np.random.default_rng(1)


def network(activation="silu", dropout=0.0):
    layers = (Affine(4), *dense_layers((4, 8, 8, 3), activation, dropout=dropout, dropout_after=1))
    return Network.initial(layers, seed=3)


def by_hand(x, net):
    """Slow twin: neuron by neuron, relu."""
    scale, first, second, last = net.parameters
    x = [(value - o) * s for value, o, s in zip(x, scale["offset"], scale["scale"], strict=True)]
    for index, parameters in enumerate((first, second, last)):
        y = []
        for j in range(len(parameters["bias"])):
            total = sum(x[i] * parameters["weight"][i, j] for i in range(len(x))) + parameters["bias"][j]
            y.append(total if index == 2 else max(total, 0.0))
        x = y
    return x


def test_forward_pass_equals_the_sum_neuron_by_neuron():
    net = network("relu")
    x = RNG.normal(size=4).astype(np.float32)
    # both sum at most eight float32 products of order one
    np.testing.assert_allclose(net(x), by_hand(x, net), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_numpy_and_jax_agree(activation):
    net = network(activation)
    x = RNG.normal(size=(7, 5, 4)).astype(np.float32) * 3
    jax_output = jax.jit(net)(jnp.asarray(x))
    assert isinstance(net(x), np.ndarray)
    assert isinstance(jax_output, jax.Array)
    np.testing.assert_allclose(net(x), jax_output, atol=2e-6)  # rounding of float32


def test_activations_follow_their_definitions():
    x = np.linspace(-200, 200, 4001)
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(ACTIVATIONS["sigmoid"](x, np), sigmoid, atol=1e-15)
    np.testing.assert_allclose(ACTIVATIONS["silu"](x, np), x * sigmoid, atol=1e-13)
    # the tanh form is within 5e-4 of x Phi(x): Hendrycks & Gimpel (2016)
    exact = x * np.asarray(jax.scipy.stats.norm.cdf(x))
    np.testing.assert_allclose(ACTIVATIONS["gelu"](x, np), exact, atol=5e-4)


def test_composition_is_one_after_the_other():
    first, second = network(), linear(RNG.normal(size=(3, 6)), RNG.normal(size=6))
    x = RNG.normal(size=(5, 4))
    np.testing.assert_array_equal(first.then(second)(x), second(first(x)))
    np.testing.assert_array_equal(first.then(second).part(0, 4)(x), first(x))


def test_residual_layer_adds_its_input():
    plain = Network.initial((Dense(5, 5, "tanh"),), seed=0)
    added = Network((Dense(5, 5, "tanh", residual=True),), plain.parameters)
    x = RNG.normal(size=(2, 5)).astype(np.float32)
    np.testing.assert_array_equal(added(x), x + plain(x))


def test_reciprocal_is_appended():
    net = Network((Reciprocal(3, 1),), ({},)).then(affine(np.zeros(4), np.ones(4)))
    x = np.array([[1.0, 4.0, -2.0]], np.float32)
    np.testing.assert_array_equal(net(x), [[1.0, 4.0, -2.0, 0.25]])
    np.testing.assert_array_equal(jax.jit(net)(jnp.asarray(x)), net(x))
    assert layers_from(net.architecture) == net.layers
    with pytest.raises(ConfigError, match=r"component = 3 is outside \[0, 2\]"):
        Reciprocal(3, 3)


def test_dropout_acts_only_when_asked():
    net = network(dropout=0.5)
    x = RNG.normal(size=(2, 4)).astype(np.float32)
    seen = []
    silenced = forward(net.layers, net.parameters, x, lambda h, rate, i: (seen.append((rate, i)), 0 * h)[1])
    assert seen == [(0.5, 2)]
    bare = Network(
        tuple(layer for layer in net.layers if not isinstance(layer, Dropout)),
        tuple(
            p for p, layer in zip(net.parameters, net.layers, strict=True) if not isinstance(layer, Dropout)
        ),
    )
    np.testing.assert_array_equal(net(x), bare(x))
    assert not np.array_equal(silenced, net(x))


def test_architecture_describes_itself():
    net = network(dropout=0.3).then(linear(np.ones((3, 2)), np.zeros(2)))
    assert layers_from(net.architecture) == net.layers


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ([], "at least one layer"),
        ([{"layer": "Convolution"}], "layer 0: 'Convolution' is not one of Dense"),
        ([{"layer": "Dense", "inputs": 1, "outputs": 2, "colour": 3}], "Dense has no field colour"),
        ([{"layer": "Dense", "inputs": 1}], "layer 0: .*outputs"),
        (
            [{"layer": "Dense", "inputs": 1, "outputs": 2, "activation": "step"}],
            "'step' is not one of linear",
        ),
        ([{"layer": "Dense", "inputs": 0, "outputs": 2}], "at least 1"),
        ([{"layer": "Dense", "inputs": 1, "outputs": 2, "residual": True}], "residual"),
        ([{"layer": "Dropout", "inputs": 1, "rate": 1.0}], "rate = 1.0"),
        (
            [{"layer": "Dense", "inputs": 1, "outputs": 2}, {"layer": "Affine", "inputs": 3}],
            "layer 1 takes 3 inputs, layer 0 gives 2",
        ),
    ],
)
def test_impossible_architectures_are_refused(architecture, message):
    with pytest.raises(ConfigError, match=message):
        layers_from(architecture)


def test_parameters_must_fit():
    net = network()
    with pytest.raises(ConfigError, match="layer 0: parameters"):
        Network(net.layers, net.parameters[::-1])
    with pytest.raises(ConfigError, match="4 layers but parameters for 3"):
        Network(net.layers, net.parameters[:3])
    with pytest.raises(ConfigError, match="input has 5 components, the network takes 4"):
        net(np.zeros(5))


@pytest.mark.parametrize(
    ("initialiser", "deviation"),
    [("glorot_uniform", np.sqrt(2 / 500)), ("he_normal", np.sqrt(2 / 300)), ("random_normal", 0.05)],
)
def test_initial_weights_have_the_published_spread(initialiser, deviation):
    net = Network.initial((Dense(300, 200),), seed=5, initialiser=initialiser)
    weight = net.parameters[0]["weight"]
    # 60 000 draws: the spread is known to 0.3 %, the mean to 0.4 % of it
    assert weight.std() == pytest.approx(deviation, rel=0.015)
    assert abs(weight.mean()) < 0.02 * deviation
    assert not net.parameters[0]["bias"].any()


def test_initial_weights_depend_on_seed_and_layer_alone():
    same = Network.initial((Dense(3, 3), Dense(3, 3)), seed=5)
    again = Network.initial((Dense(3, 3), Dense(3, 3)), seed=5)
    np.testing.assert_array_equal(same.parameters[1]["weight"], again.parameters[1]["weight"])
    assert not np.array_equal(same.parameters[0]["weight"], same.parameters[1]["weight"])
    with pytest.raises(ConfigError, match="'zeros' is not one of"):
        Network.initial((Dense(3, 3),), seed=5, initialiser="zeros")


def test_precision_and_fixed_layers():
    net = affine(np.array([1.0, 2.0]), np.array([2.0, 3.0])).then(Network.initial((Dense(2, 2),), seed=0))
    np.testing.assert_array_equal(net.part(0, 1)(np.array([2.0, 3.0])), [2.0, 3.0])
    assert net.with_precision(np.float64)(np.ones(2)).dtype == np.float64
    assert [layer.trained for layer in net.layers] == [False, True]
    assert [layer.trained for layer in net.fixed().layers] == [False, False]
    assert net.size == 10


def process(inputs=3, centres=6, outputs=2):
    shapes = Matern(inputs, centres, outputs).shapes
    arrays = {name: RNG.normal(size=shape) for name, shape in shapes.items()}
    return Network((Matern(inputs, centres, outputs),), (arrays,))


def test_a_gaussian_process_is_the_sum_over_its_centres():
    """Against SciPy's Bessel functions: Rasmussen & Williams (2006), eq. 4.14 with smoothness 7/2."""
    net, x = process(), RNG.normal(size=(5, 3))
    (arrays,) = net.parameters
    distance = np.sqrt(7) * np.linalg.norm(x[:, None] - arrays["centre"], axis=-1)
    alike = 2**-2.5 / gamma(3.5) * distance**3.5 * kv(3.5, distance)
    np.testing.assert_allclose(net(x), alike @ arrays["weight"] + arrays["bias"], rtol=1e-12)


def test_a_gaussian_process_at_its_centres():
    net = process()
    (arrays,) = net.parameters
    covariance = Matern.covariance(arrays["centre"], arrays["centre"], np)
    np.testing.assert_allclose(np.diag(covariance), 1, atol=1e-12)
    single = net.with_precision(np.float32)
    slope = jax.grad(lambda x: single(x).sum())(jnp.asarray(arrays["centre"][0], np.float32))
    assert np.isfinite(slope).all()


def test_a_gaussian_process_by_numpy_and_jax():
    net, x = process().with_precision(np.float32), RNG.normal(size=(7, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(net(x), jax.jit(net)(jnp.asarray(x)), atol=2e-6)  # rounding of float32


def test_a_gaussian_process_of_nothing():
    with pytest.raises(ConfigError, match="3 inputs, 0 centres and 2 outputs: each must be at least 1"):
        Matern(3, 0, 2)
