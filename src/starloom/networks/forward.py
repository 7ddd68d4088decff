"""A network as data, and its forward pass: one pure function for NumPy and JAX arrays alike.

A :class:`Network` is a tuple of layers (frozen dataclasses: sizes and activations) beside a tuple of
parameters (one dictionary of arrays per layer).  The array library is taken from the arrays themselves, so
nothing here imports JAX.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from math import pi, sqrt
from typing import Any, ClassVar, Self

import numpy as np

from starloom.arrays import array_library, one_line
from starloom.errors import ConfigError
from starloom.recipes import one_of

Parameters = Mapping[str, Any]
Drop = Callable[[Any, float, int], Any]


def _linear(x, xp):
    return x


def _relu(x, xp):
    return xp.maximum(x, 0)


def _tanh(x, xp):
    return xp.tanh(x)


def _sigmoid(x, xp):
    # 1 / (1 + e^-x) overflows in float32 below -88
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def _silu(x, xp):
    half = 0.5 * x
    return half * xp.tanh(half) + half


def _gelu(x, xp):
    half = 0.5 * x
    return half * xp.tanh(sqrt(2 / pi) * (x + 0.044715 * (x * x * x))) + half


ACTIVATIONS: dict[str, Callable] = {
    "linear": _linear,
    "relu": _relu,  # Fukushima (1969)
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "silu": _silu,  # x sigmoid(x): Elfwing et al. (2018), Neural Networks 107, 3
    "gelu": _gelu,  # tanh form: Hendrycks & Gimpel (2016), arXiv:1606.08415, section 2
}


@dataclass(frozen=True)
class Dense:
    """Fully connected layer: ``activation(x @ weight + bias)``, added to ``x`` itself where ``residual``.

    ``trained=False`` marks constants, such as the principal components of a linear basis.
    """

    inputs: int  #: number of components that come in
    outputs: int  #: number that go out
    activation: str = "linear"
    residual: bool = False
    trained: bool = True

    def __post_init__(self):
        one_of(ACTIVATIONS, activation=self.activation)
        if self.inputs < 1 or self.outputs < 1:
            raise ConfigError(
                f"layer of {self.inputs} inputs and {self.outputs} outputs: both must be at least 1"
            )
        if self.residual and self.inputs != self.outputs:
            raise ConfigError(f"residual layer needs outputs = inputs, got {self.outputs} and {self.inputs}")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of parameters, by name."""
        return {"weight": (self.inputs, self.outputs), "bias": (self.outputs,)}

    def apply(self, parameters: Parameters, x: Any, xp: Any) -> Any:
        """What comes out for ``x[..., inputs]``, by NumPy or JAX as ``xp`` is."""
        y = ACTIVATIONS[self.activation](xp.matmul(x, parameters["weight"]) + parameters["bias"], xp)
        return x + y if self.residual else y


@dataclass(frozen=True)
class Affine:
    """Fixed scaling of each component, ``(x - offset) * scale``: of labels or of latents."""

    inputs: int  #: number of components, in and out
    trained: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        """Number of components that go out."""
        return self.inputs

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of parameters, by name."""
        return {"offset": (self.inputs,), "scale": (self.inputs,)}

    def apply(self, parameters: Parameters, x: Any, xp: Any) -> Any:
        """What comes out for ``x[..., inputs]``, by NumPy or JAX as ``xp`` is."""
        return (x - parameters["offset"]) * parameters["scale"]


@dataclass(frozen=True)
class Reciprocal:
    """Its inputs, followed by one over one of them: populations are exponential in one over temperature."""

    inputs: int
    component: int = 0  #: which of them, from 0
    trained: ClassVar[bool] = False
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {}

    def __post_init__(self):
        if not 0 <= self.component < self.inputs:
            raise ConfigError(f"component = {self.component} is outside [0, {self.inputs - 1}]")

    @property
    def outputs(self) -> int:
        """Number of components that go out."""
        return self.inputs + 1

    def apply(self, parameters: Parameters, x: Any, xp: Any) -> Any:
        """What comes out for ``x[..., inputs]``, by NumPy or JAX as ``xp`` is."""
        return xp.concatenate([x, 1 / x[..., self.component : self.component + 1]], axis=-1)


@dataclass(frozen=True)
class Dropout:
    """Random silencing of a fraction ``rate`` of its inputs while training; nothing at all afterwards."""

    inputs: int
    rate: float
    trained: ClassVar[bool] = False
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {}

    def __post_init__(self):
        if not 0 <= self.rate < 1:
            raise ConfigError(f"dropout rate = {self.rate} is outside [0, 1)")

    @property
    def outputs(self) -> int:
        """Number of components that go out."""
        return self.inputs


@dataclass(frozen=True)
class Matern:
    """Mean of a Gaussian process of Matern's covariance, smoothness 7/2, given its values at some centres.

    With r the distance of an input to a centre and a = sqrt(7) r, its covariance is
    (1 + a + 2 a^2 / 5 + a^3 / 15) exp(-a): Rasmussen & Williams (2006), eq. 4.16. The weights are large and
    of both signs (their sum cancels), so they lose too much in float16.
    """

    inputs: int  #: number of components that come in, in units of the covariance's length
    centres: int  #: number of places where the process is known
    outputs: int  #: number of components that go out, each a process of its own
    trained: ClassVar[bool] = False

    def __post_init__(self):
        if min(self.inputs, self.centres, self.outputs) < 1:
            raise ConfigError(
                f"process of {self.inputs} inputs, {self.centres} centres and {self.outputs} outputs: "
                "each must be at least 1"
            )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of parameters, by name."""
        centre, weight = (self.centres, self.inputs), (self.centres, self.outputs)
        return {"centre": centre, "weight": weight, "bias": (self.outputs,)}

    def apply(self, parameters: Parameters, x: Any, xp: Any) -> Any:
        """What comes out for ``x[..., inputs]``, by NumPy or JAX as ``xp`` is."""
        alike = self.covariance(parameters["centre"], x, xp)
        return xp.matmul(alike, parameters["weight"]) + parameters["bias"]

    @classmethod
    def covariance(cls, centre: Any, x: Any, xp: Any) -> Any:
        """Covariance ``[..., centre]`` of ``x[..., inputs]`` with each ``centre[centre, inputs]``.

        ``xp``: NumPy or JAX.
        """
        a = cls.distance(centre, x, xp)
        return (1 + a * (1 + a * (2 / 5 + a / 15))) * xp.exp(-a)

    @classmethod
    def slope(cls, centre: Any, x: Any, xp: Any) -> Any:
        """Derivative of ``covariance`` by x over (x - centre): one number for each centre.

        ``centre``, ``x`` and ``xp`` are as there.
        """
        a = cls.distance(centre, x, xp)
        return -7 / 15 * (3 + a * (3 + a)) * xp.exp(-a)

    @staticmethod
    def distance(centre: Any, x: Any, xp: Any) -> Any:
        """sqrt(7) times the distance ``[..., centre]``; at least 1e-6, where derivatives are still finite.

        ``centre``, ``x`` and ``xp`` are as of ``covariance``.
        """
        square = (x * x).sum(-1)[..., None] + (centre * centre).sum(-1) - 2 * xp.matmul(x, centre.T)
        return xp.sqrt(7 * xp.maximum(square, 1e-13))


Layer = Dense | Affine | Reciprocal | Dropout | Matern
LAYERS: dict[str, type] = {cls.__name__: cls for cls in (Dense, Affine, Reciprocal, Dropout, Matern)}


def forward(
    layers: Sequence[Layer], parameters: Sequence[Parameters], x: Any, drop: Drop | None = None
) -> Any:
    """Output of the layers, one after the other, for inputs ``x`` of shape ``[..., inputs]``.

    ``drop(x, rate, index)`` silences at random while training; without it dropout layers do nothing.
    """
    xp = array_library(x, *(next(iter(p.values())) for p in parameters if p))
    for index, (layer, layer_parameters) in enumerate(zip(layers, parameters, strict=True)):
        if not isinstance(layer, Dropout):
            x = layer.apply(layer_parameters, x, xp)
        elif drop is not None:
            x = drop(x, layer.rate, index)
    return x


@dataclass(frozen=True, eq=False)
class Network:
    """Layers and their parameters; called, it is the forward pass.

    Raises ``ConfigError`` where layers do not fit each other or parameters do not fit their layer.
    """

    layers: tuple[Layer, ...]
    parameters: tuple[Parameters, ...]

    __repr__ = one_line

    def __post_init__(self):
        check_layers(self.layers)
        if len(self.layers) != len(self.parameters):
            raise ConfigError(f"{len(self.layers)} layers but parameters for {len(self.parameters)}")
        for index, (layer, parameters) in enumerate(zip(self.layers, self.parameters, strict=True)):
            found = {name: tuple(np.shape(array)) for name, array in parameters.items()}
            if found != layer.shapes:
                raise ConfigError(f"layer {index}: parameters {found} do not fit {layer}: {layer.shapes}")

    def __call__(self, x: Any) -> Any:
        """Outputs ``[..., outputs]`` for inputs ``[..., inputs]``, in the precision of the parameters."""
        if x.shape[-1] != self.inputs:
            raise ConfigError(f"input has {x.shape[-1]} components, the network takes {self.inputs}")
        return forward(self.layers, self.parameters, x.astype(self.precision))

    @property
    def inputs(self) -> int:
        """Number of components that come in."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of components that go out."""
        return self.layers[-1].outputs

    @cached_property
    def precision(self) -> np.dtype:
        """Floating-point type of the parameters."""
        return np.dtype(next(array.dtype for parameters in self.parameters for array in parameters.values()))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(int(np.size(array)) for parameters in self.parameters for array in parameters.values())

    def then(self, other: "Network") -> "Network":
        """The composition ``other(self(x))`` as one network."""
        return Network(self.layers + other.layers, self.parameters + other.parameters)

    def part(self, start: int, stop: int | None = None) -> "Network":
        """The network of the layers ``start:stop`` alone, e.g. the decoder of an autoencoder."""
        return Network(self.layers[start:stop], self.parameters[start:stop])

    def with_precision(self, dtype: Any) -> "Network":
        """The same network with its parameters as NumPy arrays of another floating-point type.

        ``dtype``: "float32" or "float64".
        """
        parameters = tuple({k: np.asarray(v).astype(dtype) for k, v in p.items()} for p in self.parameters)
        return Network(self.layers, parameters)

    def fixed(self) -> "Network":
        """The same network with every layer marked as not to be trained."""
        layers = tuple(
            Dense(**{**asdict(layer), "trained": False}) if isinstance(layer, Dense) else layer
            for layer in self.layers
        )
        return Network(layers, self.parameters)

    @property
    def architecture(self) -> list[dict[str, Any]]:
        """The layers as plain data (JSON), from which :func:`layers_from` makes them again."""
        return [{"layer": type(layer).__name__, **asdict(layer)} for layer in self.layers]

    @classmethod
    def initial(cls, layers: Sequence[Layer], seed: int, initialiser: str = "glorot_uniform") -> Self:
        """Untrained float32 network: weights drawn by ``initialiser`` from ``[seed, layer]``, biases zero.

        ``glorot_uniform``: Glorot & Bengio (2010), eq. 16; ``he_normal``: He et al. (2015), eq. 10;
        ``random_normal``: standard deviation 0.05, the "Random Normal" of Keras.
        """
        one_of(INITIALISERS, initialiser=initialiser)
        draw = INITIALISERS[initialiser]
        parameters = []
        for index, layer in enumerate(layers):
            arrays = {
                name: np.full(shape, name == "scale", np.float32) for name, shape in layer.shapes.items()
            }
            if isinstance(layer, Dense):
                rng = np.random.default_rng([seed, index])
                arrays["weight"] = draw(rng, layer.inputs, layer.outputs).astype(np.float32)
            parameters.append(arrays)
        return cls(tuple(layers), tuple(parameters))


INITIALISERS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "glorot_uniform": lambda rng, n, m: rng.uniform(-1, 1, (n, m)) * sqrt(6 / (n + m)),
    "he_normal": lambda rng, n, m: rng.normal(size=(n, m)) * sqrt(2 / n),
    "random_normal": lambda rng, n, m: rng.normal(size=(n, m)) * 0.05,
}


def check_layers(layers: Sequence[Layer]) -> None:
    """Raise ``ConfigError`` where there is no layer or a layer does not take what the one before it gives."""
    if not layers:
        raise ConfigError("a network needs at least one layer")
    for index, (before, after) in enumerate(pairwise(layers)):
        if before.outputs != after.inputs:
            raise ConfigError(
                f"layer {index + 1} takes {after.inputs} inputs, layer {index} gives {before.outputs}"
            )


def layers_from(architecture: Sequence[Mapping[str, Any]]) -> tuple[Layer, ...]:
    """The layers that :attr:`Network.architecture` describes; ``ConfigError`` where it makes no sense."""
    layers = []
    for index, description in enumerate(architecture):
        values = dict(description)
        name = values.pop("layer", None)
        if name not in LAYERS:
            raise ConfigError(f"layer {index}: {name!r} is not one of {', '.join(LAYERS)}")
        known = {field.name for field in fields(LAYERS[name])}
        if unknown := set(values) - known:
            raise ConfigError(f"layer {index}: {name} has no field {', '.join(sorted(unknown))}")
        try:
            layers.append(LAYERS[name](**values))
        except TypeError as error:
            raise ConfigError(f"layer {index}: {error}") from error
    check_layers(layers)
    return tuple(layers)


def dense_layers(
    sizes: Sequence[int],
    activation: str,
    last: str = "linear",
    dropout: float = 0.0,
    dropout_after: int = 0,
    residual: bool = False,
) -> tuple[Layer, ...]:
    """Dense layers through ``sizes`` (inputs first); dropout behind the first ``dropout_after`` of them.

    ``residual``: those whose outputs are as many as their inputs add these to them, but for the last one.

    ``activation``: a key of ``ACTIVATIONS``.
    """
    layers: list[Layer] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        is_last = index == len(sizes) - 2
        adds = residual and inputs == outputs and not is_last
        layers.append(Dense(inputs, outputs, last if is_last else activation, adds))
        if dropout > 0 and index < dropout_after:
            layers.append(Dropout(outputs, dropout))
    return tuple(layers)


def affine(offset: np.ndarray, scale: np.ndarray) -> Network:
    """The fixed scaling ``(x - offset) * scale`` as a float32 network."""
    arrays = {"offset": np.asarray(offset, np.float32), "scale": np.asarray(scale, np.float32)}
    return Network((Affine(len(arrays["offset"])),), (arrays,))


def linear(weight: np.ndarray, bias: np.ndarray) -> Network:
    """The fixed map ``x @ weight + bias`` as a float32 network, e.g. the decoder of a linear basis."""
    arrays = {"weight": np.asarray(weight, np.float32), "bias": np.asarray(bias, np.float32)}
    return Network((Dense(*arrays["weight"].shape, trained=False),), (arrays,))
