"""The networks of Gebran (2024), tables 2 to 4, as configuration, and how inputs and outputs are scaled.

What the paper leaves open is decided here and explained in docs/reproduction.md. Nothing here needs JAX.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from starloom.labels import DOMAIN, NAMES
from starloom.networks.basis import Basis
from starloom.networks.forward import Network, Reciprocal, affine, dense_layers
from starloom.networks.weights import Header, Model, Points, label_ranges
from starloom.wavelength import PAPER_GRID_AA

PAPER_POINTS = Points("air", "linear", 8400.0, 8799.9, PAPER_GRID_AA.size)


@dataclass(frozen=True)
class Autoencoder:
    """Table 2: the encoder's hidden layers, the latent space, and the decoder as the encoder's mirror image.

    The output is linear, as the table's "-" says; ``latent_activation`` is the table's relu. A relu whose sum
    is negative for all spectra never learns, which befalls half of the latents where their biases start at
    zero; so they start at ``latent_bias``. ``components`` above 0 are principal components at both ends, not
    trained: the layers between them then have so many inputs and outputs, and learn several times faster.
    ``residual``: layers that follow one of their own size add its output to theirs (He et al. 2016).
    """

    points: int = 4000
    hidden: tuple[int, ...] = (1024, 512, 256, 64, 32)
    latent: int = 10
    activation: str = "relu"
    latent_activation: str = "relu"
    latent_bias: float = 1.0
    initialiser: str = "glorot_uniform"
    components: int = 0
    residual: bool = False

    def initial(self, seed: int, basis: Basis | None = None) -> Network:
        """The untrained network for spectra with this ``basis``; encoder and decoder are its two halves.

        The mean spectrum and the spread are taken off on the way in and put back on the way out. That could
        be folded into the outer layers' weights, so the network is still that of table 2, but it starts at
        the mean spectrum. Without a basis the mean is 0 and the spread 1.
        """
        basis = basis or _plain_basis(self.points)
        ends = self.components or self.points
        down = dense_layers(
            (ends, *self.hidden, self.latent),
            self.activation,
            self.latent_activation,
            residual=self.residual,
        )
        sizes = (self.latent, *reversed(self.hidden), ends)
        up = dense_layers(sizes, self.activation, residual=self.residual)
        middle = Network.initial(down + up, seed, self.initialiser)
        middle.parameters[len(down) - 1]["bias"][:] = self.latent_bias
        if self.components:
            kept = basis.truncated(self.components)
            return kept.encoder().then(middle).then(kept.decoder())
        scaled = affine(basis.mean, np.full(self.points, 1 / basis.spread)).then(middle)
        return scaled.then(unscaling(basis.mean, np.full(self.points, basis.spread)))


def _plain_basis(points: int) -> Basis:
    """No components; mean 0, spread 1."""
    return Basis(np.zeros(points), np.zeros((0, points)), np.zeros(0), float(points))


def encoder(autoencoder: Network) -> Network:
    """The first half of an autoencoder: spectrum to latent space."""
    return autoencoder.part(0, _latent(autoencoder))


def decoder(autoencoder: Network) -> Network:
    """The second half of an autoencoder: latent space to spectrum."""
    return autoencoder.part(_latent(autoencoder))


def _latent(autoencoder: Network) -> int:
    """Number of layers down to the latent space: half of the trained ones, and what is before them."""
    trained = [index for index, layer in enumerate(autoencoder.layers) if layer.trained]
    return trained[len(trained) // 2]


@dataclass(frozen=True)
class LabelNetwork:
    """Table 3: labels to latent space, with dropout behind all hidden layers but the last.

    Labels enter scaled to [-1, 1] over table 1; the network is trained on latents scaled to zero mean and
    unit variance, and what it gives is scaled back, so its output is the latent space itself. ``residual`` as
    in ``Autoencoder``; ``reciprocal``: one over Teff enters beside Teff.
    """

    hidden: tuple[int, ...] = (5000, 2000, 512, 32)
    dropout: float = 0.3
    activation: str = "relu"
    initialiser: str = "glorot_uniform"
    residual: bool = False
    reciprocal: bool = False

    def initial(self, latents: np.ndarray, seed: int) -> Network:
        """The untrained network for ``latents[spectrum, latent]`` of the training spectra."""
        entry = label_scaling(NAMES, self.reciprocal)
        sizes = (entry.outputs, *self.hidden, latents.shape[-1])
        layers = dense_layers(
            sizes, self.activation, "linear", self.dropout, len(self.hidden) - 1, self.residual
        )
        middle = Network.initial(layers, seed, self.initialiser)
        return entry.then(middle).then(unscaling(*standard(latents)))


@dataclass(frozen=True)
class Estimator:
    """Table 4: principal components of a spectrum to one label; the same layers for each label.

    Components enter with unit variance. The label is trained in [-1, 1] over table 1 and scaled back.
    """

    coefficients: int = 15
    hidden: tuple[int, ...] = (5000, 2000, 1000, 512, 64)
    activation: str = "relu"
    initialiser: str = "random_normal"

    def initial(self, label: str, seed: int) -> Network:
        """The untrained network for one label: standardised coefficients to its value in its own unit."""
        index = NAMES.index(label)
        layers = dense_layers((self.coefficients, *self.hidden, 1), self.activation)
        half = (DOMAIN.high[index] - DOMAIN.low[index]) / 2
        middle = (DOMAIN.high[index] + DOMAIN.low[index]) / 2
        network = Network.initial(layers, seed, self.initialiser)
        return network.then(unscaling(np.array([middle]), np.array([half])))


def label_scaling(names=NAMES, reciprocal: bool = False) -> Network:
    """Fixed network: the labels ``names`` to [-1, 1] over their ranges.

    ``reciprocal``: followed by one over the first of them (Teff), to [-1, 1] as well.
    """
    index = [NAMES.index(name) for name in names]
    low, high = DOMAIN.low[index], DOMAIN.high[index]
    if not reciprocal:
        return affine((low + high) / 2, 2 / (high - low))
    low, high = np.append(low, 1 / high[0]), np.append(high, 1 / low[0])
    inverse = Network((Reciprocal(len(index)),), ({},))
    return inverse.then(affine((low + high) / 2, 2 / (high - low)))


def standard(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, the latter at least a thousandth of the largest.

    So the rare spikes of a relu latent that is almost dead do not count like a living one's whole range; 1
    where nothing varies.
    """
    deviation = values.std(axis=0, dtype=np.float64)
    least = 1e-3 * deviation.max() or 1.0
    return values.mean(axis=0, dtype=np.float64), np.maximum(deviation, least)


def unscaling(mean: np.ndarray, deviation: np.ndarray) -> Network:
    """Fixed network: zero mean and unit variance back to the values they stand for."""
    return affine(-mean / deviation, deviation)


def generator(label_network: Network, autoencoder: Network) -> Network:
    """The paper's generator, decoder(NN(labels)): labels ``[..., 6]`` to flux ``[..., 4000]``."""
    return label_network.then(decoder(autoencoder))


def packed_generator(network: Network, recipe: str = "", card: str = "") -> Model:
    """A network from six labels to the paper's 4000 points as a model for a weights file."""
    header = Header("generator", label_ranges(), PAPER_POINTS, recipe, card)
    return Model(header, {"generator": network})


def packed_autoencoder(network: Network, recipe: str = "", card: str = "") -> Model:
    """An autoencoder as a model for a weights file."""
    header = Header("autoencoder", label_ranges(), PAPER_POINTS, recipe, card)
    return Model(header, {"autoencoder": network})


def packed_estimators(
    basis: Basis, estimators: Mapping[str, Network], recipe: str = "", card: str = ""
) -> Model:
    """The principal components and the networks of table 4, by label, as a model for a weights file."""
    header = Header("estimator", label_ranges(tuple(estimators)), PAPER_POINTS, recipe, card)
    return Model(header, {"components": basis.encoder(), **estimators})


def estimate(model: Model, flux: np.ndarray) -> np.ndarray:
    """Labels ``[..., label]`` in the model's order of spectra ``flux[..., 4000]``, by table 4's networks."""
    coefficients = model.networks["components"](flux)
    return np.concatenate([model.networks[name](coefficients) for name in model.header.names], axis=-1)
