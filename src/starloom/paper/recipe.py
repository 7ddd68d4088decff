"""What a reproduction is made of: a recipe, read from TOML, that decides data, networks and trainings."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike

from starloom import recipes
from starloom.errors import ConfigError
from starloom.labels import label
from starloom.networks.training import Plan
from starloom.networks.weights import PRECISIONS
from starloom.paper import published
from starloom.paper.networks import Autoencoder, Estimator, LabelNetwork

PAPER_PLANS = {
    "autoencoder": Plan(epochs=200, patience=15, optimiser="adam"),
    "labels": Plan(epochs=200, patience=15, optimiser="adamax"),
    "estimator": Plan(epochs=200, patience=15, optimiser="adamax"),
}


@dataclass(frozen=True)
class Copies:
    """How many broadenings of each intrinsic spectrum of a split there are."""

    train: int = 10
    validation: int = 10
    test: int = 10

    def __post_init__(self):
        recipes.at_least(1, **asdict(self))


@dataclass(frozen=True)
class Plans:
    """How each kind of network is trained; by default as the paper says.

    ``joint``, which the paper has not, is for label network and decoder as one, from where they stand on; it
    needs an autoencoder between principal components.
    """

    autoencoder: Plan = PAPER_PLANS["autoencoder"]
    labels: Plan = PAPER_PLANS["labels"]
    estimator: Plan = PAPER_PLANS["estimator"]
    joint: Plan | None = None


class NetworkRecipe:
    """What recipes of the paper's networks have in common, those of observed stars too."""

    @property
    def components(self) -> int:
        """Number of principal components that are found: what the networks need that need the most."""
        return max(self.autoencoder.components, self.estimator.coefficients)

    def check_networks(self) -> None:
        """Raise ``ConfigError`` for a batch, a precision or plans that make no sense."""
        recipes.at_least(1, batch=self.batch)
        recipes.one_of(PRECISIONS, precision=self.precision)
        if self.plans.joint and not self.autoencoder.components:
            raise ConfigError("plans.joint needs autoencoder.components above 0")


@dataclass(frozen=True)
class PaperRecipe(NetworkRecipe):
    """A reproduction: the name of the store's recipe, the spectra made of it, the networks, their plans.

    ``more`` names the recipes of stores that add to the spectra for training and validation.
    ``batch`` spectra a step; ``estimators`` are the labels that get a network of table 4, in this order;
    ``synthesis`` says whether the time of one synthesis is measured beside that of the generator, whose file
    is written in ``precision``.
    """

    name: str
    store: str
    more: tuple[str, ...] = ()
    batch: int = 512
    estimators: tuple[str, ...] = published.LABELS
    synthesis: bool = True
    precision: str = "float16"
    copies: Copies = field(default_factory=Copies)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    labels: LabelNetwork = field(default_factory=LabelNetwork)
    estimator: Estimator = field(default_factory=Estimator)
    plans: Plans = field(default_factory=Plans)

    def __post_init__(self):
        with recipes.naming("estimators"):
            for name in self.estimators:
                label(name)
        self.check_networks()


def packaged() -> list[str]:
    """Names of the recipes that come with the package."""
    return recipes.packaged(__package__)


def load(name_or_path: str | PathLike, changes: Sequence[str] = ()) -> PaperRecipe:
    """The recipe of a TOML file, or the packaged one of this name; ``changes`` as in ``recipes.read``."""
    return recipes.load(PaperRecipe, name_or_path, __package__, changes)
