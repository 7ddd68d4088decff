"""The networks of Gebran (2024), tables 2 to 4, as configuration, and how inputs and outputs are scaled.

What the paper leaves open is decided here and explained in docs/reproduction.md. Nothing here needs JAX.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from starloom.bands import Band
from starloom.labels import Domain
from starloom.networks.basis import Basis
from starloom.networks.forward import ACTIVATIONS, INITIALISERS, Dropout, Network, affine, dense_layers
from starloom.networks.scaling import label_scaling, standard, unscaling
from starloom.networks.weights import Header, Model
from starloom.recipes import at_least, one_of


@dataclass(frozen=True)
class Autoencoder:
    """Table 2: the encoder's hidden layers, the latent space, and the decoder as the encoder's mirror image.

    The output is linear, as the table's "-" says; ``latent_activation`` is the table's relu. A relu whose sum
    is negative for all spectra never learns, which befalls half of the latents where their biases start at
    zero; so they start at ``latent_bias``. ``components`` above 0 are principal components at both ends, not
    trained: the layers between them then have so many inputs and outputs, and learn several times faster.
    ``residual``: layers that follow one of their own size add its output to theirs (He et al. 2016).
    """

    hidden: tuple[int, ...] = (1024, 512, 256, 64, 32)
    latent: int = 10
    activation: str = "relu"
    latent_activation: str = "relu"
    latent_bias: float = 1.0
    initialiser: str = "glorot_uniform"
    components: int = 0
    residual: bool = False

    def __post_init__(self):
        _check(self.hidden, self.activation, self.initialiser)
        one_of(ACTIVATIONS, latent_activation=self.latent_activation)
        at_least(1, latent=self.latent)
        at_least(0, components=self.components)

    def initial(self, seed: int, basis: Basis) -> Network:
        """The untrained network for spectra with this ``basis``; encoder and decoder are its two halves.

        The mean spectrum and the spread are taken off on the way in and put back on the way out. That could
        be folded into the outer layers' weights, so the network is still that of table 2, but it starts at
        the mean spectrum.
        """
        points = len(basis.mean)
        ends = self.components or points
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
        scaled = affine(basis.mean, np.full(points, 1 / basis.spread)).then(middle)
        return scaled.then(unscaling(basis.mean, np.full(points, basis.spread)))


def plain_basis(points: int) -> Basis:
    """The basis of spectra of which nothing is known: no components, mean 0, spread 1."""
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

    Labels enter scaled to [-1, 1] over their ranges; the network is trained on latents scaled to zero mean
    and unit variance, and what it gives is scaled back, so its output is the latent space itself.
    ``residual`` as in ``Autoencoder``; ``reciprocal``: one over Teff enters beside Teff.
    """

    hidden: tuple[int, ...] = (5000, 2000, 512, 32)
    dropout: float = 0.3
    activation: str = "relu"
    initialiser: str = "glorot_uniform"
    residual: bool = False
    reciprocal: bool = False

    def __post_init__(self):
        _check(self.hidden, self.activation, self.initialiser)
        Dropout(1, self.dropout)  # refuses what is no share

    def initial(self, domain: Domain, latents: np.ndarray, seed: int) -> Network:
        """The untrained network from a domain's labels to ``latents[spectrum, latent]`` for training."""
        entry = label_scaling(domain, self.reciprocal)
        sizes = (entry.outputs, *self.hidden, latents.shape[-1])
        layers = dense_layers(
            sizes, self.activation, "linear", self.dropout, len(self.hidden) - 1, self.residual
        )
        middle = Network.initial(layers, seed, self.initialiser)
        return entry.then(middle).then(unscaling(*standard(latents)))


@dataclass(frozen=True)
class Estimator:
    """Table 4: principal components of a spectrum to one label; the same layers for each label.

    Components enter with unit variance. The label is trained in [-1, 1] over its range and scaled back.
    """

    coefficients: int = 15
    hidden: tuple[int, ...] = (5000, 2000, 1000, 512, 64)
    activation: str = "relu"
    initialiser: str = "random_normal"

    def __post_init__(self):
        _check(self.hidden, self.activation, self.initialiser)
        at_least(1, coefficients=self.coefficients)

    def initial(self, domain: Domain, label: str, seed: int) -> Network:
        """The untrained network for one label: standardised coefficients to its value in its own unit."""
        low, high = (end[domain.index(label)] for end in (domain.low, domain.high))
        layers = dense_layers((self.coefficients, *self.hidden, 1), self.activation)
        half, middle = (high - low) / 2 or 1.0, (high + low) / 2
        network = Network.initial(layers, seed, self.initialiser)
        return network.then(unscaling(np.array([middle]), np.array([half])))


def _check(hidden: tuple[int, ...], activation: str, initialiser: str) -> None:
    at_least(1, **{"one of hidden": min(hidden, default=1)})
    one_of(ACTIVATIONS, activation=activation)
    one_of(INITIALISERS, initialiser=initialiser)


def generator(label_network: Network, autoencoder: Network) -> Network:
    """The paper's generator, decoder(NN(labels)): labels ``[..., label]`` to flux ``[..., point]``."""
    return label_network.then(decoder(autoencoder))


def packed_generator(network: Network, domain: Domain, band: Band, recipe: str = "", card: str = "") -> Model:
    """A network from a domain's labels to the flux at a band's points as a model for a weights file."""
    return Model(Header("generator", domain, band.points, band, recipe, card), {"generator": network})


def packed_autoencoder(
    network: Network, domain: Domain, band: Band, recipe: str = "", card: str = ""
) -> Model:
    """An autoencoder of spectra at a band's points as a model for a weights file."""
    return Model(Header("autoencoder", domain, band.points, band, recipe, card), {"autoencoder": network})


def packed_estimators(
    basis: Basis,
    estimators: Mapping[str, Network],
    domain: Domain,
    band: Band,
    recipe: str = "",
    card: str = "",
) -> Model:
    """The principal components and the networks of table 4, by label, as a model for a weights file."""
    header = Header("estimator", domain.only(*estimators), band.points, band, recipe, card)
    return Model(header, {"components": basis.encoder(), **estimators})


def estimate(model: Model, flux: np.ndarray) -> np.ndarray:
    """Labels ``[..., label]`` in the model's order of spectra ``flux[..., point]``, by table 4's networks."""
    coefficients = model.networks["components"](flux)
    return np.concatenate([model.networks[name](coefficients) for name in model.header.names], axis=-1)
