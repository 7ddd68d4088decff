r"""Two stars in one spectrum: born together, each with its own temperature, gravity, rotation and velocity.

.. math:: F = (1 - q) F_1(\lambda) + q F_2(\lambda)

with q the second star's share of the continuum in the range. All labels but OWN are common. What a fit
minimises is as in ``objective``, with the coordinates of the first star, those OWN of the second, and q.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from starloom.inference.minimise import minimise
from starloom.inference.probes import companion
from starloom.inference.setup import Setup
from starloom.inference.solution import Pixels, Stars
from starloom.inference.uncertainty import inverted

OWN = ("teff", "logg", "vsini", "velocity")  # of each star; the others are common
SHARES = 0.02, 0.75  # of the second star's light; the stars are sorted afterwards
STARTS_KMS = -100.0, -60.0, -30.0, 30.0, 60.0, 100.0  # velocities of the second star, less the first's
SLOW_KMS = 10.0  # v sin i of both stars at the start, at most: one star that is fitted to two rotates
FASTEST_KMS = 30.0  # v sin i of both: a broad second star would explain wings that a model has wrong
TRIGGER = 3.5  # deviations of a companion in ``trust`` from which on two stars are tried
GAINED = 60.0  # in chi2: what the misfit of real single stars is not worth
CLOSEST_KMS = 15.0  # velocities that are nearer are no sign of two stars
FIRST_SHARE, COOLER = 0.35, 0.93  # at the start
FIRST_ITERATIONS, ITERATIONS, FINALISTS = 8, 40, 2
ROUGH, TOLERANCE = 0.1, 0.02
PORTION = 8


@dataclass(frozen=True)
class Component:
    """One of the stars: ``labels``, ``velocity`` [km/s], and ``errors``, of what is its own."""

    labels: dict[str, float]
    velocity: float
    errors: dict[str, float]


@dataclass(frozen=True)
class Composite:
    """The two stars that explain a spectrum best: ``components``, the brighter first.

    ``light_ratio``: of the second star's continuum to the first's, ``light_ratio_error`` its error;
    ``gain``: how much lower chi2 is than that of one star, over what the misfit that is left enlarges
    variances by; ``reduced_chi2``.
    """

    components: tuple[Component, Component]
    light_ratio: float
    light_ratio_error: float
    gain: float
    reduced_chi2: float

    @property
    def separation(self) -> float:
        """Velocity of the second star less that of the first [km/s]."""
        return self.components[1].velocity - self.components[0].velocity

    @property
    def text(self) -> list[str]:
        """Lines that tell it."""
        lines = [f"two stars, flux ratio {self.light_ratio:.2f} ± {self.light_ratio_error:.2f}"]
        for number, star in enumerate(self.components, start=1):
            own = {name: star.labels[name] for name in OWN if name in star.labels}
            shown = ", ".join(f"{name} {value:.{0 if name == 'teff' else 2}f}" for name, value in own.items())
            lines.append(f"{number}: {shown}, {star.velocity:.1f} km/s")
        return lines

    @property
    def about(self) -> dict:
        """As JSON holds it."""
        stars = [vars(each) for each in self.components]
        rest = {
            name: getattr(self, name) for name in ("light_ratio", "light_ratio_error", "gain", "reduced_chi2")
        }
        return {"components": stars, **rest}

    @property
    def credible(self) -> bool:
        """Whether it is more than a second star that makes up for what the model has wrong."""
        fastest = max(each.labels.get("vsini", 0.0) for each in self.components)
        apart = abs(self.separation) >= CLOSEST_KMS
        return self.gain > GAINED and apart and fastest < FASTEST_KMS - 0.1


def columns(found: Composite | None) -> dict[str, float]:
    """Of a table: of both stars ``found`` their OWN labels with errors, flux ratio and gain; NaN for None."""
    row = dict.fromkeys(("composite_ratio", "composite_ratio_error", "composite_gain"), np.nan)
    if found is not None:
        row = dict(zip(row, (found.light_ratio, found.light_ratio_error, found.gain), strict=True))
    for number in (1, 2):
        star = found and found.components[number - 1]
        for name in OWN:
            value = np.nan if star is None else {**star.labels, "velocity": star.velocity}.get(name, np.nan)
            row[f"composite_{name}_{number}"] = value
            row[f"composite_{name}_{number}_error"] = np.nan if star is None else star.errors.get(name, 0.0)
    return row


@dataclass(frozen=True, eq=False)
class Pair:
    """One star's spectrum as that of two: what ``minimise`` asks for. Rows are starts.

    ``star`` is its row among ``stars``; ``fixed[p]`` has the parameters of the fit with one.
    """

    stars: Stars
    pixels: Pixels
    star: int
    fixed: np.ndarray = field(repr=False)

    @property
    def setup(self) -> Setup:
        """That of the fit with one star."""
        return self.stars.setup

    @cached_property
    def own(self) -> list[int]:
        """Places of the free parameters that each star has its own of, among the free ones."""
        return [row for row, name in enumerate(self.setup.free_names) if name in OWN]

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest place, ``[place]`` each."""
        low, high = (end.copy() for end in self.setup.ends)
        for index in set(self.setup.coordinates.rotations) & set(self.setup.free):
            fastest = self.setup.coordinates.axes[index].place(FASTEST_KMS)
            high[self.setup.free.index(index)] = min(high[self.setup.free.index(index)], fastest)
        ends = zip((low, high), SHARES, strict=True)
        return tuple(np.concatenate([end, end[self.own], [share]]) for end, share in ends)

    @cached_property
    def _weighing(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weight = self.pixels.weight[self.star]
        root = np.sqrt(weight)
        return root, self.stars.flux[self.star] * root, self.pixels.projector[self.star].astype(np.float64)

    def parameters(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of both stars ``[row, p]``, from places ``at[row, :]``."""
        coordinates, free = self.setup.coordinates, list(self.setup.free)
        place = np.repeat(coordinates.from_parameters(self.fixed)[None], len(at), axis=0)
        place[:, free] = at[:, : len(free)]
        other = place.copy()
        other[:, [free[row] for row in self.own]] = at[:, len(free) : -1]
        return tuple(self._inside(each) for each in (place, other))

    def _inside(self, place: np.ndarray) -> np.ndarray:
        found = self.setup.coordinates.to_parameters(place)
        held = [index for index in range(place.shape[1]) if index not in self.setup.free]
        found[:, held] = self.fixed[held]
        return found

    def project(self, rows: np.ndarray, at: np.ndarray, origin: np.ndarray | None = None) -> np.ndarray:
        """Places ``at[row, place]`` with both stars' log g at the floor or above.

        ``rows`` and ``origin`` do not matter.
        """
        names, domain = self.setup.free_names, self.setup.domain
        if domain.floor is None or "logg" not in names:
            return at
        at, row = at.copy(), names.index("logg")
        logg = self.setup.coordinates.index("logg")
        columns = row, len(names) + self.own.index(row)
        for column, parameters in zip(columns, self.parameters(at), strict=True):
            lowest = domain.lowest_logg(parameters[:, :-1])
            at[:, column] = np.maximum(at[:, column], self.setup.coordinates.axes[logg].place(lowest))
        return at

    def __call__(self, rows: np.ndarray, at: np.ndarray):
        """chi2, half of minus its gradient, and the normal matrix."""
        parts = [self._portion(at[first : first + PORTION]) for first in range(0, len(at), PORTION)]
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))

    def _portion(self, at: np.ndarray):
        (model, columns), parameters = self.linearised(at), self.parameters(at)
        root, flux, projector = self._weighing
        linear = self.stars.basis * model[:, None]
        level = self._continuum(linear * root) @ self.stars.basis
        residual = flux - level * model * root
        every = np.concatenate([columns * level[:, None], linear], axis=1) * root
        told, left = every @ projector.T, residual @ projector.T
        products = every @ every.swapaxes(1, 2) - told @ told.swapaxes(1, 2)
        right = (every @ residual[..., None] - told @ left[..., None])[..., 0]
        chi2, count = (residual**2).sum(axis=1) - (left**2).sum(axis=1), columns.shape[1]
        mixed = products[:, :count, count:]
        normal = products[:, :count, :count] - mixed @ np.linalg.solve(
            products[:, count:, count:], mixed.swapaxes(1, 2)
        )
        slope = right[:, :count]
        free = list(self.setup.free)
        apart, inverse = (part[:, free] for part in self._prior(parameters[0]))
        scale = self.setup.coordinates.slopes(parameters[0])[:, free]
        slope[:, : len(free)] += scale * apart * inverse
        normal[:, range(len(free)), range(len(free))] += (scale * inverse) ** 2
        return chi2 + (apart**2).sum(axis=1), slope, normal

    def _prior(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        apart, inverse = self.pixels.prior[[self.star] * len(parameters)].terms(parameters)
        return apart, inverse

    def _continuum(self, weighted: np.ndarray) -> np.ndarray:
        """The best coefficients ``[row, coefficient]``."""
        _, flux, projector = self._weighing
        told, left = weighted @ projector.T, projector @ flux
        normal = weighted @ weighted.swapaxes(1, 2) - told @ told.swapaxes(1, 2)
        return np.linalg.solve(normal, (weighted @ flux - told @ left)[..., None])[..., 0]

    def linearised(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flux over continuum ``[row, pixel]`` at places ``at``, its derivatives ``[row, place, pixel]``."""
        free, share = list(self.setup.free), at[:, -1, None]
        fluxes, slopes = [], []
        for parameters in self.parameters(at):
            found = self.stars.derivatives(parameters[:, :-1], parameters[:, -1], free).astype(np.float64)
            fluxes.append(found[:, 0])
            slopes.append(found[:, 1:] * self.setup.coordinates.slopes(parameters)[:, free, None])
        first, second = (1 - share)[..., None] * slopes[0], share[..., None] * slopes[1]
        common = [row for row in range(len(free)) if row not in self.own]
        first[:, common] += second[:, common]
        difference = (fluxes[1] - fluxes[0])[:, None]
        model = (1 - share) * fluxes[0] + share * fluxes[1]
        return model, np.concatenate([first, second[:, self.own], difference], axis=1)


def starts(pair: Pair) -> np.ndarray:
    """Places of starts ``[row, place]``: the star itself and a cooler one, apart by STARTS_KMS."""
    setup, found = pair.setup, []
    coordinates, free = setup.coordinates, list(setup.free)
    for apart in STARTS_KMS:
        star = pair.fixed.copy()
        for index in coordinates.rotations:
            star[index] = min(star[index], SLOW_KMS)
        other = np.append(companion(setup, star[None, :-1], COOLER)[0], star[-1] + (1 - FIRST_SHARE) * apart)
        star[-1] -= FIRST_SHARE * apart
        places = coordinates.from_parameters(np.array([star, other]))[:, free]
        found.append(np.concatenate([places[0], places[1, pair.own], [FIRST_SHARE]]))
    return np.array(found)


def two_stars(pair: Pair, chi2: float, inflated: float) -> Composite:
    """The best two stars for a spectrum whose fit as one has ``chi2``.

    ``inflated``: factor of the variances that noise common to pixels brings.
    """
    first = minimise(pair, starts(pair), *pair.ends, ROUGH, FIRST_ITERATIONS, pair.project)
    best = np.argsort(first.chi2)[:FINALISTS]
    last = minimise(pair, first.at[best], *pair.ends, TOLERANCE, ITERATIONS, pair.project)
    row = last.chi2.argmin()
    return _composite(pair, last.at[[row]], chi2, inflated)


def _composite(pair: Pair, at: np.ndarray, one_chi2: float, inflated: float) -> Composite:
    """What a place ``at[1, :]`` says of both stars."""
    setup, free = pair.setup, list(pair.setup.free)
    chi2, _, normal = pair(np.zeros(1, int), at)
    held = ((at <= pair.ends[0] + 1e-9) | (at >= pair.ends[1] - 1e-9))[0]
    dof = int(pair.pixels.used[pair.star].sum()) - at.shape[1] - len(pair.stars.basis)
    reduced = float(chi2[0]) / dof
    factor = inflated * max(1.0, reduced)
    loose = np.flatnonzero(~held)
    variance = np.zeros(at.shape[1])
    variance[loose] = np.diag(inverted(normal[0][np.ix_(loose, loose)])) * factor
    parameters, count = pair.parameters(at), len(free)
    sizes = np.sqrt(variance[:count]), np.sqrt(variance[:count])
    sizes[1][pair.own] = np.sqrt(variance[count:-1])
    components = [
        Component(
            dict(zip(setup.domain.names, each[0, :-1].tolist(), strict=True)),
            float(each[0, -1]),
            dict(
                zip(setup.free_names, (size * setup.coordinates.slopes(each)[0, free]).tolist(), strict=True)
            ),
        )
        for each, size in zip(parameters, sizes, strict=True)
    ]
    share, error = float(at[0, -1]), float(np.sqrt(variance[-1]))
    ratio = share / (1 - share)
    error /= (1 - share) ** 2
    if ratio > 1:
        components.reverse()
        ratio, error = 1 / ratio, error / ratio**2
    return Composite(tuple(components), ratio, error, (one_chi2 - float(chi2[0])) / factor, reduced)
