"""What a reproduction is made of: a recipe, read from TOML, that decides data, networks and trainings."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from starloom.errors import ConfigError
from starloom.files import parsing
from starloom.labels import NAMES
from starloom.networks.configuration import configured
from starloom.networks.fitting import PAPER_PLANS
from starloom.networks.paper import Autoencoder, Estimator, LabelNetwork
from starloom.networks.training import Plan
from starloom.networks.weights import PRECISIONS

# the resolution last: the paper gives no value for it
ORDER = ("teff", "logg", "mh", "vmic", "vsini", "resolution")


@dataclass(frozen=True)
class Copies:
    """How many broadenings of each intrinsic spectrum of a split there are."""

    train: int = 10
    validation: int = 10
    test: int = 10


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


@dataclass(frozen=True)
class Recipe:
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
    estimators: tuple[str, ...] = ORDER
    synthesis: bool = True
    precision: str = "float16"
    copies: Copies = field(default_factory=Copies)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    labels: LabelNetwork = field(default_factory=LabelNetwork)
    estimator: Estimator = field(default_factory=Estimator)
    plans: Plans = field(default_factory=Plans)

    @property
    def components(self) -> int:
        """Number of principal components that are found: what the networks need that need the most."""
        return max(self.autoencoder.components, self.estimator.coefficients)

    def __post_init__(self):
        if unknown := [name for name in self.estimators if name not in NAMES]:
            raise ConfigError(f"estimators: {', '.join(unknown)} are not among {', '.join(NAMES)}")
        for name, number in (("batch", self.batch), *asdict(self.copies).items()):
            if number < 1:
                raise ConfigError(f"{name} = {number} is below 1")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision = {self.precision!r} is not one of {', '.join(PRECISIONS)}")
        if self.plans.joint and not self.autoencoder.components:
            raise ConfigError("plans.joint needs autoencoder.components above 0")


def packaged() -> list[str]:
    """Names of the recipes that come with the package."""
    entries = (files(__package__) / "recipes").iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))


def load(name_or_path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a TOML file, or the packaged one of this name, with ``changes`` to it.

    A change is "plans.labels.epochs=25": a key with its tables, and its value as TOML has it. Raises
    ``ParseError`` where a file or a change is no TOML, ``ConfigError`` for unknown keys and wrong values.
    """
    name = str(name_or_path)
    if name in packaged():
        path = Path(str(files(__package__) / "recipes" / f"{name}.toml"))
    elif not (path := Path(name)).exists():
        raise ConfigError(f"{name}: no such file, nor a packaged recipe ({', '.join(packaged())})")
    with parsing(path, tomllib.TOMLDecodeError, UnicodeDecodeError):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    for change in changes:
        with parsing(f"--set {change}", tomllib.TOMLDecodeError):
            content = _merged(content, tomllib.loads(change))
    return from_mapping(content, name)


def from_mapping(content: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from the nested content of its TOML file; ``where`` is named in the ``ConfigError``."""
    known = {entry.name for entry in fields(Recipe)}
    if unknown := sorted(set(content) - known):
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    for key, kind in (("name", str), ("store", str), ("batch", int), ("synthesis", bool), ("precision", str)):
        if key in content and type(content[key]) is not kind:
            raise ConfigError(f"{where}: {key} = {content[key]!r} is not of the type {kind.__name__}")
    if missing := [key for key in ("name", "store") if key not in content]:
        raise ConfigError(f"{where}: missing {', '.join(missing)}")
    values = dict(content)
    tables = {"copies": Copies, "autoencoder": Autoencoder, "labels": LabelNetwork, "estimator": Estimator}
    for key, kind in tables.items():
        values[key] = configured(kind, content.get(key, {}), f"{where}: {key}")
    plans = content.get("plans", {})
    known = {entry.name for entry in fields(Plans)}
    if unknown := sorted(set(plans) - known):
        raise ConfigError(
            f"{where}: unknown plans {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    defaults = {key: asdict(plan) for key, plan in PAPER_PLANS.items()}
    merged = _merged(defaults, plans)
    values["plans"] = Plans(**{key: configured(Plan, merged[key], f"{where}: plans.{key}") for key in merged})
    for key, default in (("estimators", ORDER), ("more", ())):
        values[key] = tuple(content.get(key, default))
    return Recipe(**values)


def _merged(content: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` with the leaves of ``change`` in place of its own."""
    merged = dict(content)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
