r"""What a model learns from observed stars: a correction of its flux, with label errors marginalised.

A star's spectrum is :math:`a(\lambda) F(\theta) e^{c(\theta, \lambda)}` plus noise, with a polynomial a of
its own. Its labels are known to be those of the library within their errors; what a library does not tell is
known to be in the model's domain. In turns (1) each star's labels are found with the present correction, from
its spectrum and what is known of them; (2) there the flux is linear in labels, polynomial and c, the first
two are marginalised, and c is a Gaussian posterior (``posterior``); (3) the prior's variances follow from it,
and weights of pixels and stars from what is left (Huber 1964, Ann. Math. Stat. 35, 73).

What label errors and a correction explain alike is decided by both priors: an offset that all stars' labels
share is as probable as the errors over the square root of the number of stars within a scale. The polynomials
of the stars' continua are not in c.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError
from starloom.networks.emulator import linear_algebra
from starloom.networks.flux_correction import LABELS, FluxCorrection, LabelAxis, SplineGrid, stored
from starloom.networks.generator import Generator
from starloom.observed.field import Field, found_labels
from starloom.observed.library import ObservedLibrary
from starloom.observed.linear import RESPONSE, Linear
from starloom.observed.posterior import Coefficients, Told, evidence, next_power, octaves, solved

KNOTS = 1.0  # per full width at half maximum of the library's profile
SMALLEST_POWER = 1e-12
FEW_DRAWS = 8  # while the prior is sought
ROUGH = 1e-2  # tolerance of the equations there
MOST_SEARCHED = 300  # stars of which scales are sought
WIDER, LEAST_SCALE, LARGEST_SCALE = 1.5, 0.6, 4.0  # steps of a search for scales, and its ends


@dataclass(frozen=True)
class Learning:
    """How a correction is learned.

    ``scales``: over which it changes, of ln Teff, log g and [M/H]; with ``search`` those nearby with
    which what the stars tell is most probable. ``amplitude``: of the correction, to begin
    with. ``continuum_aa``: a star's polynomial has an order for each of so many Angstrom. ``rounds`` of
    labels and correction; ``draws`` of its posterior; ``clip``: residuals, in deviations, beyond which a
    pixel counts less. With ``response`` a function of wavelength alone, the same for all stars, is the
    library's own (its calibration) and not in the correction. ``knots``: splines in a full width of the
    library's profile. ``seed`` of the draws.
    """

    scales: Mapping[str, float] = field(default_factory=lambda: {"teff": 0.25, "logg": 1.5, "mh": 1.0})
    amplitude: float = 0.01
    continuum_aa: float = 200.0
    rounds: int = 3
    draws: int = 32
    clip: float = 3.0
    knots: float = KNOTS
    search: bool = True
    response: bool = False
    seed: int = 1

    def __post_init__(self):
        object.__setattr__(self, "scales", MappingProxyType(dict(self.scales)))
        if set(self.scales) != set(LABELS) or not all(value > 0 for value in self.scales.values()):
            raise ConfigError(f"scales of {', '.join(self.scales)}: those of {', '.join(LABELS)}, above 0")
        for name, low, high in (
            ("amplitude", 1e-5, 1.0),
            ("continuum_aa", 20.0, 1e5),
            ("rounds", 1, 50),
            ("draws", 4, 500),
            ("clip", 1.0, 100.0),
            ("knots", 0.05, 4.0),
        ):
            if not low <= (value := getattr(self, name)) <= high:
                raise OutOfRangeError(f"{name} = {value:g} is outside [{low:g}, {high:g}]")


@dataclass(frozen=True, eq=False)
class Learned:
    """What ``learned`` found: the ``correction``, and why stars were ``left_out``, by name.

    ``response[2, wavelength]``: vacuum wavelengths [A], and what the library's flux was divided by.
    ``labels[star, label]``, of the ``names``, are those of the stars with it. ``noise[star]``: factors on the
    library's errors; ``shared``: pixels that residuals have in common; ``power[cosine]``: the prior's
    variances.
    """

    correction: FluxCorrection
    names: tuple[str, ...]
    labels: np.ndarray
    noise: np.ndarray
    shared: float
    power: np.ndarray
    left_out: Mapping[str, str]
    response: np.ndarray


def learned(
    generator: Generator,
    library: ObservedLibrary,
    learning: Learning | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> Learned:
    """The correction of a generator's flux that a library asks for.

    ``learning`` says how, by default as a ``Learning`` does. Stars whose labels are outside the model's
    domain, or that have too few pixels, are left out. ``told`` gets a line after each round. Raises
    ConfigError where too few stars or pixels are left.
    """
    learning = learning or Learning()
    with linear_algebra().limit(limits=1):
        field_of_stars = Field.of(generator, library, learning.continuum_aa)
        return _in_rounds(field_of_stars, learning, told)


def _in_rounds(stars: Field, learning: Learning, told: Callable[[str], None]) -> Learned:
    """Labels, correction, prior and weights in turns: see the module."""
    grid, axes = _splines(stars, learning.knots), _axes(stars, learning.scales)
    edges = octaves(stars.setup.settings.continuum + 1, grid.count)
    power = np.zeros(grid.count)
    power[edges[0] :] = learning.amplitude**2
    at, correction, factors, shared = stars.start, None, np.ones(stars.flux.shape), 1.0
    rng, response = np.random.default_rng([learning.seed, 0]), np.ones(stars.library.vacuum_aa.size)
    for turn in range(learning.rounds):
        last = turn == learning.rounds - 1
        weight = stars.weight * factors / shared
        at = found_labels(stars, correction, weight, at)
        own = np.random.default_rng([learning.seed, turn + 1])
        here = Linear(stars, correction, weight, at, grid, axes, own, learning.response)
        seen = here.told(learning.draws if last else FEW_DRAWS)
        if not last:
            power = _settled(seen, power, edges, rng)
        if turn == 0 and learning.search:
            axes, power = _searched(here, seen, power, edges, rng)
            here.axes, seen = axes, replace(seen, features=here.features_of(axes))
            here.features = seen.features
        posterior = solved(seen, power, rng, 1e-4)
        correction = _correction(stars, grid, axes, posterior, power)
        noise, factors, shared = here.left(posterior.mean, learning.clip)
        if learning.response:
            own = np.exp(grid.matrix(stars.library.vacuum_aa) @ (RESPONSE * posterior.mean[-1]))
            stars, response = stars.divided(own), response * own
        size = float(np.sqrt((seen.features @ posterior.mean).var()))
        told(
            f"round {turn + 1}: correction {size:.2%} rms at the stars, prior {np.sqrt(power.mean()):.2%}, "
            f"noise x {np.median(noise):.2f} (median), residuals shared by {shared:.1f} pixels, scales "
            + ", ".join(f"{axis.name} {axis.scale:.2g}" for axis in axes)
        )
    names = stars.setup.coordinates.names
    seen = np.stack([stars.library.vacuum_aa, response])
    return Learned(correction, names, at, noise, shared, power, stars.left_out, seen)


def _settled(seen: Told, power: np.ndarray, edges: np.ndarray, rng, turns: int = 4) -> np.ndarray:
    """The prior's variances after some turns of ``next_power``."""
    for _ in range(turns):
        fresh = next_power(solved(seen, power, rng, ROUGH), power, edges)
        power = np.where(power > 0, np.maximum(fresh, SMALLEST_POWER), 0.0)
    return power


def _searched(here: "Linear", seen: Told, power: np.ndarray, edges: np.ndarray, rng):
    """Scales with which what the stars tell is most probable, label by label, and their variances."""

    some = rng.permutation(len(seen.features))[:MOST_SEARCHED]

    def judged(axes) -> tuple[float, np.ndarray]:
        whole = replace(seen, features=here.features_of(axes)).part(some)
        own = _settled(whole, power, edges, rng, 1)
        return evidence(whole, own, solved(whole, own, rng, ROUGH)), own

    best = (*judged(here.axes), here.axes)
    for place in range(len(here.axes)):
        for factor in (WIDER, 1 / WIDER):
            while True:
                axes = (*best[2][:place], best[2][place].of_scale(factor), *best[2][place + 1 :])
                if not LEAST_SCALE <= axes[place].scale / here.axes[place].scale <= LARGEST_SCALE:
                    break
                found = (*judged(axes), axes)
                if found[0] <= best[0]:
                    break
                best = found
    return best[2], _settled(replace(seen, features=here.features_of(best[2])), best[1], edges, rng, 3)


def _splines(stars: Field, knots: float) -> SplineGrid:
    """Splines as fine as the library resolves, over all that the model knows."""
    library, chunks = stars.library, stars.setup.model.chunks
    finest = float(np.median(library.resolution)) * float(np.median(library.relative))
    low, high = chunks[0].finish.grid.first_aa, chunks[-1].finish.grid.last_aa
    return SplineGrid.over(low, high, 1 / (finest * knots))


def _axes(stars: Field, scales: Mapping[str, float]) -> tuple[LabelAxis, ...]:
    """Nodes over the model's domain of the labels on which a correction depends."""
    domain = stars.setup.domain
    ends = {label.name: (low, high) for label, low, high in domain.ranges}
    return tuple(LabelAxis.over(name, *ends[name], scales[name]) for name in LABELS if name in ends)


def _correction(
    stars: Field, grid: SplineGrid, axes, posterior: Coefficients, power: np.ndarray
) -> FluxCorrection:
    """The posterior, but for a response, as a correction of the model that it is for."""
    features = int(np.prod([axis.nodes.size for axis in axes]))
    library, patterns = stars.library, posterior.draws / np.sqrt(max(1, len(posterior.draws)))
    told = {"name": library.name, "digest": library.digest, "stars": len(library), **library.about}
    about = {
        "stars": len(library),
        "libraries": [told],
        "range_aa": [float(end) for end in library.vacuum_aa[[0, -1]]],
        "resolution": float(np.median(library.resolution)),
        "continuum": stars.setup.settings.continuum,
        "prior": float(np.sqrt(power.mean())),
    }
    model = stars.setup.generator.digest
    return FluxCorrection(
        axes, grid, stored(posterior.mean[:features]), stored(patterns[:, :features]), model, about
    )
