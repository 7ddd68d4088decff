"""The paper's networks trained on observed stars alone: a library's spectra, normalised, and nothing else.

The labels are those that a library of observed stars knows: Teff, log g and [M/H]. Everything is asked of
stars that nothing was learned from: the library is divided in parts, each asked of networks that the others
trained.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from starloom import recipes
from starloom.arrays import one_line
from starloom.errors import ConfigError
from starloom.evaluation.metrics import Reconstruction, ReconstructionSums
from starloom.labels import Cloud, Domain
from starloom.networks.basis import Basis, principal_components
from starloom.networks.forward import Network
from starloom.observed import ObservedLibrary
from starloom.observed.validation import by_star
from starloom.paper import trainings
from starloom.paper.networks import Autoencoder, Estimator, LabelNetwork, encoder
from starloom.paper.networks import generator as connected
from starloom.paper.published import SETS
from starloom.paper.recipe import NetworkRecipe, Plans
from starloom.paper.recovery import differences
from starloom.wavelength import Points, from_vacuum

LABELS = ("teff", "logg", "mh")
FEWEST = 20  # stars
SEED = 1  # of the parts and of the stars for validation
WHAT = ("autoencoder", "components", "labels")  # is measured


@dataclass(frozen=True)
class Selection:
    """Which stars and pixels of a library are used, and how they are normalised.

    Of each label its (lowest, highest), of ``wavelength_aa`` the vacuum wavelengths [A], both ends; a star
    with more than the share ``missing`` of its pixels missing is left out. ``continuum_aa`` is L [A] of
    ``normalised``.
    """

    teff: tuple[float, ...] = (3000.0, 15000.0)
    logg: tuple[float, ...] = (-0.5, 5.5)
    mh: tuple[float, ...] = (-2.5, 1.0)
    wavelength_aa: tuple[float, ...] = (2300.0, 16900.0)
    missing: float = 0.01
    continuum_aa: float = 100.0

    def __post_init__(self):
        for name in (*LABELS, "wavelength_aa"):
            ends = getattr(self, name)
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise ConfigError(f"{name} = {list(ends)}: expected its lowest and highest value")
        recipes.at_least(0, missing=self.missing)
        recipes.at_least(1, continuum_aa=self.continuum_aa)


@dataclass(frozen=True)
class Near:
    """How near observed stars have to be for labels to have an answer: see ``labels.Cloud``.

    ``teff`` is of its natural logarithm, ``logg`` and ``mh`` in dex; ``count`` says which of the nearest
    stars must lie within these.
    """

    teff: float = 0.08
    logg: float = 0.5
    mh: float = 0.4
    count: int = 3

    def __post_init__(self):
        recipes.at_least(1, count=self.count)
        recipes.at_least(1e-3, **{name: getattr(self, name) for name in LABELS})


@dataclass(frozen=True)
class ObservedRecipe(NetworkRecipe):
    """The paper's networks on observed stars: how they are prepared and divided, the networks, their plans.

    ``parts`` of the cross-validation; the share ``validation`` of the stars of a training ends it;
    ``batch`` spectra a step.
    """

    name: str
    parts: int = 5
    validation: float = 0.1
    batch: int = 64
    precision: str = "float32"
    stars: Selection = field(default_factory=Selection)
    near: Near = field(default_factory=Near)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    labels: LabelNetwork = field(default_factory=LabelNetwork)
    estimator: Estimator = field(default_factory=Estimator)
    plans: Plans = field(default_factory=Plans)

    estimators = LABELS

    def __post_init__(self):
        recipes.at_least(2, parts=self.parts)
        self.check_networks()
        if not 0 < self.validation < 1:
            raise ConfigError(f"validation = {self.validation:g} is outside ]0, 1[")

    @classmethod
    def load(cls, name_or_path, changes: Sequence[str] = ()) -> "ObservedRecipe":
        """The recipe in a TOML file, or the packaged one of this name; ``changes`` as in ``recipes.read``."""
        return recipes.load(cls, name_or_path, __package__, changes)


@dataclass(frozen=True, eq=False)
class NormalisedStars:
    """Stars ``names`` as networks see them: ``spectra[star, point]`` with ``labels[star, label]``.

    ``missing[star, point]`` is true where a pixel was missing and is interpolated; ``left_out`` says why
    others are, by name. ``splits`` are the numbers of the stars for training and validation.
    """

    names: tuple[str, ...]
    domain: Domain
    labels: np.ndarray
    points: Points
    spectra: np.ndarray
    missing: np.ndarray
    left_out: Mapping[str, str]
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)

    __repr__ = one_line

    @classmethod
    def of(cls, library: ObservedLibrary, settings: Selection, near: Near) -> "NormalisedStars":
        """Those of a library that can be used; ConfigError where they are too few."""
        seen = library.between(*settings.wavelength_aa)
        reasons = _left_out(seen, settings)
        kept = seen.without(list(reasons))
        if len(kept) < FEWEST:
            why = f": {next(iter(reasons.values()))}" if reasons else ""
            raise ConfigError(f"library {library.name}: {len(kept)} usable stars, {FEWEST} are needed{why}")
        labels = np.stack([kept.labels[name] for name in LABELS], axis=1)
        cloud = Cloud(tuple((name, getattr(near, name)) for name in LABELS), _tuples(labels), near.count)
        ranges = dict(zip(LABELS, zip(labels.min(axis=0), labels.max(axis=0), strict=True), strict=True))
        missing = kept.inverse_variance == 0
        spectra = filled(normalised(kept, settings.continuum_aa), missing)
        domain = Domain.of(ranges).within(cloud)
        return cls(kept.names, domain, labels, points_of(kept), spectra, missing, reasons)

    def __len__(self) -> int:
        return len(self.names)

    def flux(self, rows: np.ndarray) -> np.ndarray:
        """Spectra of these stars, float32[star, point]."""
        return self.spectra[rows]

    def divided(self, taught: np.ndarray, share: float) -> "NormalisedStars":
        """The same stars, those ``taught`` (numbers) split: a ``share`` of them is for validation."""
        order = np.random.default_rng([SEED, 5]).permutation(taught)
        count = max(1, round(share * len(order)))
        splits = {"train": np.sort(order[count:]), "validation": np.sort(order[:count])}
        return replace(self, splits=splits)


def normalised(library: ObservedLibrary, continuum_aa: float) -> np.ndarray:
    r"""Spectra ``[star, wavelength]`` over a pseudo-continuum: themselves, smoothed by a Gaussian.

    At pixel i the pseudo-continuum is that of a line through the pixels j that are not masked, of weights

    .. math:: w_{ij} = e^{-(\lambda_i - \lambda_j)^2 / L^2}

    with L = ``continuum_aa``: amid the range the weighted mean of Ho et al. (2017), ApJ 836, 5, with the same
    noise for a star's pixels; at its ends without a mean's bias (Cleveland 1979, JASA 74, 829). What is
    wider than L is not in the spectra: no flux calibration, no reddening.
    """
    apart = (library.vacuum_aa[:, None] - library.vacuum_aa) / continuum_aa
    weight = np.exp(-(apart**2)).astype(np.float32)
    first = weight * apart.astype(np.float32)
    used = (library.inverse_variance > 0).astype(np.float32)
    flux = library.flux * used
    sums = [(used @ each, flux @ each) for each in (weight, first)]
    second = used @ (first * apart.astype(np.float32))
    (count, total), (lever, slope) = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return library.flux * (count * second - lever**2) / (second * total - lever * slope)


def filled(spectra: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Spectra whose ``missing`` pixels lie on a line between their neighbours: float32[star, pixel]."""
    found, place = np.array(spectra, np.float32), np.arange(spectra.shape[1])
    for row in np.flatnonzero(missing.any(axis=1)):
        known = ~missing[row]
        found[row] = np.interp(place, place[known], found[row, known])
    return found


def points_of(library: ObservedLibrary) -> Points:
    """The wavelengths of a library as points of a model; ConfigError where they are not evenly spaced."""
    try:
        return Points.of(library.vacuum_aa, "vacuum")
    except ConfigError:
        return Points.of(from_vacuum(library.vacuum_aa, "air"), "air")


def _left_out(library: ObservedLibrary, settings: Selection) -> dict[str, str]:
    """Stars that cannot be used, and why."""
    found, lacking = {}, (library.inverse_variance == 0).mean(axis=1)
    if absent := [name for name in LABELS if name not in library.labels]:
        raise ConfigError(f"library {library.name}: it has no label {absent[0]}")
    for row, name in enumerate(library.names):
        if lacking[row] > settings.missing:
            found[name] = f"missing = {lacking[row]:.3g} of its pixels is above {settings.missing:g}"
        for label in LABELS:
            (low, high), value = getattr(settings, label), library.labels[label][row]
            if not low <= value <= high:
                found[name] = f"{label} = {value:g} is outside [{low:g}, {high:g}]"
    return found


@dataclass(frozen=True, eq=False)
class Networks:
    """What a training gives: autoencoder, generator, estimators by label, and the latters' components."""

    basis: Basis
    autoencoder: Network
    generator: Network
    estimators: Mapping[str, Network]

    __repr__ = one_line

    def made(self, flux: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Spectra by what made them, one of WHAT: of the ``flux`` itself, or of the ``labels``."""
        by_components = self.basis.encoder().then(self.basis.decoder())
        spectra = self.autoencoder(flux), by_components(flux), self.generator(labels)
        return dict(zip(WHAT, spectra, strict=True))

    def found(self, flux: np.ndarray) -> np.ndarray:
        """Labels ``[star, label]`` of spectra by the networks of table 4."""
        coefficients = self.basis.encoder()(flux)
        return np.concatenate([network(coefficients) for network in self.estimators.values()], axis=1)


def trained(
    recipe: ObservedRecipe, stars: NormalisedStars, estimators: bool = True, **options: Any
) -> Networks:
    """The networks of a recipe by the stars of ``splits``; ``options`` go to ``training.train``.

    Without ``estimators`` there are none.
    """
    basis = principal_components([stars.flux(stars.splits["train"])], recipe.components, few=True)
    coefficients = trainings.applied(basis.encoder(), stars).astype(np.float32)
    auto = trainings.autoencoder(recipe, stars, basis, coefficients, **options).network
    latents = trainings.applied(encoder(auto), stars)
    whole = connected(trainings.label_network(recipe, stars, latents, **options).network, auto)
    if recipe.plans.joint:
        known = stars, basis, coefficients, whole
        whole = trainings.joint(recipe, *known, recipe.plans.joint, **options).network
    fewer = basis.truncated(recipe.estimator.coefficients)
    first = trainings.first(coefficients, recipe.estimator.coefficients)
    each = {
        name: trainings.estimator(recipe, name, stars, first, **options).network
        for name in (recipe.estimators if estimators else ())
    }
    return Networks(fewer, auto, whole, each)


@dataclass(frozen=True, eq=False)
class Crossed:
    """What networks make of stars that they were not trained on: ``generated[star, point]`` from labels.

    ``measures`` by what was reconstructed ("autoencoder", "components", "labels") and set ("training",
    "validation", "test"); ``apart`` by set, and "generated": labels found minus known, ``[star, label]``.
    ``parts`` are the numbers of the stars of each part.
    """

    parts: Sequence[np.ndarray]
    generated: np.ndarray
    measures: Mapping[str, Mapping[str, Reconstruction]]
    apart: Mapping[str, np.ndarray]

    __repr__ = one_line


def crossed(
    recipe: ObservedRecipe,
    stars: NormalisedStars,
    parts: Sequence[np.ndarray] | None = None,
    say: Callable[[str], None] = lambda text: None,
    estimators: bool = True,
    **options: Any,
) -> Crossed:
    """Each of the ``parts`` (numbers of stars; by default the recipe's, at random) asked of the others.

    ``say`` gets lines on the way; ``estimators`` and ``options`` as of ``trained``.
    """
    parts = by_star(stars, recipe.parts) if parts is None else parts
    generated = np.full(stars.spectra.shape, np.nan, np.float32)
    sums = {what: {name: ReconstructionSums() for name in SETS[:3]} for what in WHAT}
    apart: dict[str, list[np.ndarray]] = {name: [] for name in SETS}
    for number, part in enumerate(parts, start=1):
        own = stars.divided(np.setdiff1d(np.arange(len(stars)), part), recipe.validation)
        say(f"part {number} of {len(parts)}: {len(part)} stars by {len(own.splits['train'])} others")
        networks = trained(recipe, own, estimators, **options)
        generated[part] = networks.generator(stars.labels[part])
        rows_of = {"training": own.splits["train"], "validation": own.splits["validation"], "test": part}
        for name, rows in rows_of.items():
            flux, labels = stars.spectra[rows], stars.labels[rows]
            for what, made in networks.made(flux, labels).items():
                sums[what][name].add(made, flux)
            if estimators:
                apart[name].append(differences(networks.found(flux), labels, LABELS))
        if estimators:
            found = networks.found(generated[part])
            apart["generated"].append(differences(found, stars.labels[part], LABELS))
    measures = {what: {name: each.result() for name, each in own.items()} for what, own in sums.items()}
    return Crossed(parts, generated, measures, {n: np.concatenate(rows) for n, rows in apart.items() if rows})


def _tuples(labels: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, labels.tolist()))
