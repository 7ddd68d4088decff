"""How well a correction serves stars that it was not learned from: by star, by cluster, by library."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from starloom.arrays import one_line
from starloom.networks.emulator import linear_algebra
from starloom.networks.flux_correction import LABELS, FluxCorrection
from starloom.networks.generator import Generator
from starloom.observed.field import Field, found_labels
from starloom.observed.learning import Learned, Learning, learned
from starloom.observed.library import ObservedLibrary

UNTOLD = 1e6  # errors of a label of which nothing is to be known
TURNS = 100  # of the search for clusters


@dataclass(frozen=True, eq=False)
class Recovered:
    """Stars ``names``: Teff, log g and [M/H] of the library, and as spectra tell ``before`` and ``after``.

    All ``[star, label]``, NaN where the library has none. ``residual`` (before, after) is the robust root
    mean square of each star's residuals with labels that the library knows, over the flux: ``[2, star]``.
    """

    names: tuple[str, ...]
    library: np.ndarray
    before: np.ndarray
    after: np.ndarray
    residual: np.ndarray

    __repr__ = one_line

    @classmethod
    def of(cls, parts: "Sequence[Recovered]") -> "Recovered":
        """The stars of several ``parts``, one behind the other."""
        arrays = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("library", "before", "after")
        )
        names = tuple(name for part in parts for name in part.names)
        return cls(names, *arrays, np.concatenate([part.residual for part in parts], axis=1))

    def part(self, rows: np.ndarray) -> "Recovered":
        """Some of the stars, by a mask ``rows``."""
        names = tuple(name for name, kept in zip(self.names, rows, strict=True) if kept)
        return Recovered(
            names, self.library[rows], self.before[rows], self.after[rows], self.residual[:, rows]
        )


def recovered(
    generator: Generator,
    correction: FluxCorrection,
    library: ObservedLibrary,
    learning: Learning | None = None,
) -> Recovered:
    """Labels and residuals of a library's stars without and with a correction.

    Labels are found in the spectra, as nobody knew Teff, log g and [M/H], from where the library has them;
    residuals are those with labels as the library knows them, within its errors. Stars that cannot be used
    are left out. ``learning`` is that of the correction.
    """
    with linear_algebra().limit(limits=1):
        stars = Field.of(generator, library, (learning or Learning()).continuum_aa)
        known = stars.library.labels
        errors = stars.library.errors
        nothing = {name: np.full(len(stars.library), UNTOLD) for name in LABELS if name in errors}
        loose = {**errors, **nothing}
        free = replace(stars, library=replace(stars.library, errors=loose))
        places = [stars.setup.coordinates.index(name) for name in LABELS]
        labels, residual = [], []
        for one in (None, correction):
            at = found_labels(stars, one, stars.weight, stars.start)
            residual.append(residuals(stars, one, at))
            labels.append(found_labels(free, one, stars.weight, at)[:, places])
    told = np.stack([known.get(name, np.full(len(stars.library), np.nan)) for name in LABELS], axis=1)
    return Recovered(stars.library.names, told, *labels, np.array(residual))


def crossed(
    generator: Generator,
    library: ObservedLibrary,
    learning: Learning,
    parts: Sequence[np.ndarray],
    told: Callable[[str], None] = lambda text: None,
    learn: Callable[..., Learned] = learned,
) -> Recovered:
    """As ``recovered``, each of the ``parts`` (numbers of stars) with what the others teach.

    Both without and with the correction their flux is divided by the response that the others tell, where one
    is sought. ``told`` gets lines on the way; ``learn`` is what learns.
    """
    found = []
    for number, part in enumerate(parts, start=1):
        rest = np.setdiff1d(np.arange(len(library)), part)
        told(f"part {number} of {len(parts)}: {len(part)} stars by {len(rest)} others")
        taught = learn(generator, library.part(rest), learning, told)
        asked = library.part(part).between(*taught.response[0, [0, -1]])
        asked = asked.divided(taught.response[1])
        found.append(recovered(generator, taught.correction, asked, learning))
    return Recovered.of(found)


def by_star(library: ObservedLibrary, count: int, seed: int = 1) -> list[np.ndarray]:
    """The stars in ``count`` random parts, numbers ``int[star]`` of each; ``seed`` is that of the draw."""
    order = np.random.default_rng([seed, 3]).permutation(len(library))
    return [np.sort(part) for part in np.array_split(order, count)]


def by_cluster(library: ObservedLibrary, learning: Learning, count: int, seed: int = 1) -> list[np.ndarray]:
    """The stars in ``count`` parts ``int[star]``, apart in their labels in units of ``learning.scales``.

    Lloyd (1982), IEEE Trans. Inf. Theory 28, 129; ``seed`` is that of the stars it begins with.
    """
    columns = [library.labels.get(name, np.zeros(len(library))) for name in LABELS]
    columns[0] = np.log(columns[0])
    scales = [learning.scales[name] for name in LABELS]
    place = np.stack([np.nan_to_num(c) / s for c, s in zip(columns, scales, strict=True)], axis=1)
    centres = place[np.random.default_rng([seed, 4]).permutation(len(place))[:count]]
    for _ in range(TURNS):
        nearest = ((place[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
        members = [place[nearest == number] for number in range(count)]
        centres = np.array([m.mean(axis=0) if len(m) else c for m, c in zip(members, centres, strict=True)])
    parts = [np.flatnonzero(nearest == number) for number in range(count)]
    return [part for part in parts if part.size]


def residuals(stars: Field, correction: FluxCorrection | None, at: np.ndarray) -> np.ndarray:
    """Robust root mean square ``[star]`` of residuals over the flux, each star with a polynomial of its own.

    ``at[star, p]``: labels and velocity, as ``stars.start`` has them.
    """
    objective = stars.objective(correction, stars.weight, at)
    place = stars.setup.coordinates.from_parameters(at)[:, list(stars.setup.free)]
    found = np.empty(len(at))
    for row in range(len(at)):
        here = objective.linearised(np.array([row]), place[[row]], wanted=())
        used = stars.weight[row] > 0
        found[row] = robust(((stars.flux[row] - here.model[0]) / stars.flux[row])[used])
    return found


def robust(left: np.ndarray) -> float:
    """Root mean square of a normal distribution with the median absolute deviation of ``left``."""
    return 1.4826 * float(np.median(np.abs(left - np.median(left))))
