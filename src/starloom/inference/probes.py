"""What may be wrong with a fit, as changes of the flux that the fit did not allow: candidates for ``trust``.

Each ``Probe`` is a column beside those of the free labels: the derivative of the flux by a label that is held
or by an element that has its default, emission in lines, the light of a second star, a continuum of higher
order, another resolution.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log10

import numpy as np

from starloom.broadening import instrument_variance, known_range
from starloom.broadening.filling import CORES_AA, RATIOS, WIDTH_KMS
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference.objective import Linearised, chebyshev
from starloom.inference.setup import Setup
from starloom.inference.solution import Stars

CAUSES = {
    "held": "a label that is held has another value",
    "elements": "an element that has its default has another abundance",
    "range": "a label lies beyond the end of its range",
    "emission": "lines of Ca II or hydrogen are in emission as the model has none",
    "companion": "there is the light of a second star",
    "continuum": "the continuum has more shape than the polynomial",
    "resolution": "the resolving power is another one",
    "residuals": "the residuals are larger than the errors or correlated, of whatever cause",
}
CORE_WIDTHS_KMS = 8.0, WIDTH_KMS, 40.0  # standard deviations of emission in the Ca II cores
HYDROGEN_KMS = 60.0, 150.0
PASCHEN = range(11, 19)  # upper levels of Paschen lines in the range
RYDBERG = 109677.58  # of hydrogen [cm-1]
ORDERS = 10  # of the continuum, beyond the fitted one
STEP_KMS = 3.0  # of a companion's spectrum
NEAREST_KMS, FURTHEST_KMS, BETWEEN_KMS = 18.0, 126.0, 9.0  # a companion's velocities on either side
KINDS = 1.0, 0.9, 0.8  # Teff of a companion over the star's: 12 * 2 velocities of each
BROADEST_KMS = 8.0  # v sin i of a companion at most


@dataclass(frozen=True, eq=False)
class Probe:
    """Candidates of a cause: ``columns[row, pixel]`` by ``names``, changes of the flux with its continuum.

    ``positive``: only amplitudes above 0 make sense.
    """

    cause: str
    names: Sequence[str]
    columns: np.ndarray
    positive: bool = False


@dataclass(frozen=True, eq=False)
class Probes:
    """The candidates of stars at their fits ``here``."""

    stars: Stars
    here: Linearised

    def of(self, star: int) -> Iterator[Probe]:
        """All candidates of one of the stars."""
        yield from self._labels(star)
        names, columns = self._by_elements
        if names:
            yield Probe("elements", names, columns[star])
        yield self._emission(star)
        yield self._companions_of(star)
        yield self._orders(star)

    @property
    def _setup(self) -> Setup:
        return self.stars.setup

    @cached_property
    def level(self) -> np.ndarray:
        """The continuum ``[star, pixel]``."""
        return self.here.continuum @ self.stars.basis.astype(np.float64)

    @cached_property
    def held(self) -> tuple[str, ...]:
        """Labels of the fit that are not free: fixed ones, and the resolution."""
        ends = zip(self._setup.domain.names, self._setup.domain.low, self._setup.domain.high, strict=True)
        return tuple(n for n, low, high in ends if n not in self._setup.free_names and low < high)

    @cached_property
    def _by_labels(self) -> np.ndarray:
        wanted = [self._setup.coordinates.index(name) for name in self.held]
        at = self.here.parameters
        return self.stars.derivatives(at[:, :-1], at[:, -1], wanted)[:, 1:] * self.level[:, None]

    def _labels(self, star: int) -> Iterator[Probe]:
        for cause, names in (("held", self._fixed), ("resolution", self._by_instrument)):
            if names:
                rows = [self.held.index(name) for name in names]
                yield Probe(cause, names, self._by_labels[star][rows])

    @property
    def _fixed(self) -> tuple[str, ...]:
        """Those that are held but belong to other causes: the filling is emission."""
        return tuple(name for name in self.held if name not in ("resolution", "filling"))

    @property
    def _by_instrument(self) -> tuple[str, ...]:
        return tuple(name for name in self.held if name == "resolution")

    @cached_property
    def _by_elements(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Elements that have their default, and derivatives ``[star, element, pixel]`` by them."""
        setup, at = self._setup, self.here.parameters
        absent = tuple(name for name in setup.generator.domain.spread if name not in setup.names)
        if not absent:
            return (), np.zeros((len(at), 0, 1))
        free = tuple(dict.fromkeys((*setup.settings.free, *absent)))
        every = replace(setup, settings=replace(setup.settings, free=free))
        whole = np.zeros((len(at), len(every.coordinates.names)))
        whole[:, [every.coordinates.index(name) for name in setup.coordinates.names]] = at
        wanted = [every.coordinates.index(name) for name in absent]
        found = self.stars.derivatives_with(every.model)(whole[:, :-1], whole[:, -1], wanted)
        return absent, found[:, 1:] * self.level[:, None]

    def _emission(self, star: int) -> Probe:
        filled, names, columns = "filling" in self._setup.free_names, [], []
        for width in CORE_WIDTHS_KMS:
            if not (filled and width == WIDTH_KMS):
                names.append(f"Ca II {width:g} km/s")
                columns.append(self._lines(star, CORES_AA, RATIOS, width))
        centres = [1e8 / (RYDBERG * (1 / 9 - 1 / n**2)) for n in PASCHEN]
        for width in HYDROGEN_KMS:
            names.append(f"Paschen {width:g} km/s")
            columns.append(self._lines(star, centres, np.ones(len(centres)), width))
        return Probe("emission", names, np.array(columns, np.float32), True)

    def _lines(self, star: int, centres, heights, width_kms: float) -> np.ndarray:
        """Gaussian lines as the instrument shows them, at the star's velocity; rotation widens them."""
        at, setup = self.here.parameters[star], self._setup
        variance = instrument_variance(float(setup.resolution(at))) + width_kms**2
        variance += sum((at[index] / 2) ** 2 for index in setup.coordinates.rotations)
        away = SPEED_OF_LIGHT_KMS * np.log(self.stars.vacuum_aa / np.array(centres)[:, None]) - at[-1]
        return np.array(heights) @ np.exp(-(away**2) / (2 * variance)) * self.level[star]

    def _orders(self, star: int) -> Probe:
        first = self._setup.settings.continuum + 1
        columns = self._polynomials[first:] * self.here.model[star].astype(np.float32)
        return Probe("continuum", [f"order {first + k}" for k in range(len(columns))], columns)

    @cached_property
    def _polynomials(self) -> np.ndarray:
        return chebyshev(self.stars.vacuum_aa, self._setup.settings.continuum + ORDERS)

    def _companions_of(self, star: int) -> Probe:
        first, share = self._places
        flux, steps = self._companions[star], _steps()
        first = np.clip(first - np.array(steps)[:, None], 0, flux.shape[-1] - 2)
        moved = flux.take(first, axis=1)
        moved += (flux[:, 1:].take(first, axis=1) - moved) * share
        level, itself = (x.astype(np.float32) for x in (self.level[star], self.here.model[star]))
        columns = (moved * level - itself).reshape(-1, level.size)
        names = [f"{kind:g} Teff, {step * STEP_KMS:+g} km/s" for kind in KINDS for step in steps]
        return Probe("companion", names, columns, True)

    @cached_property
    def _grid_aa(self) -> np.ndarray:
        """Around the pixels by the furthest companion's motion, a step apart, where the model knows them."""
        step, finest = STEP_KMS / SPEED_OF_LIGHT_KMS, self.stars.finest
        ends = [self._setup.model.chunks[end].finish for end in (0, -1)]
        known = [known_range(each, finest) for each in ends]
        low, high = np.log(self.stars.vacuum_aa[[0, -1]])
        beyond = int(FURTHEST_KMS / STEP_KMS) + 2
        grid = np.exp(low + np.arange(-beyond, (high - low) / step + beyond) * step)
        return grid[(grid > known[0][0]) & (grid < known[1][1])]

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        away = SPEED_OF_LIGHT_KMS * np.log(self.stars.vacuum_aa / self._grid_aa[0]) / STEP_KMS
        return away.astype(int), (away - away.astype(int)).astype(np.float32)

    @cached_property
    def _companions(self) -> np.ndarray:
        """Flux of companions of each of KINDS at the star's velocity: ``[star, kind, point]``."""
        at, domain = self.here.parameters, self._setup.domain
        kinds = np.stack([companion(self._setup, at[:, :-1], kind) for kind in KINDS], axis=1)
        seen = self.stars.derivatives_with(self._setup.model, self._grid_aa)
        rows = kinds.reshape(-1, len(domain.names))
        flux = seen(rows, np.repeat(at[:, -1], len(KINDS)), ())[:, 0]
        return flux.reshape(len(at), len(KINDS), -1)


def companion(setup: Setup, labels: np.ndarray, kind: float) -> np.ndarray:
    """Labels ``[row, label]`` of a star born with another one, ``kind`` times as hot: slowly rotating."""
    domain, found = setup.domain, labels.copy()
    for index in setup.coordinates.rotations:
        found[:, index] = np.minimum(found[:, index], BROADEST_KMS)
    if "teff" in domain.names:
        teff = domain.index("teff")
        found[:, teff] *= kind
        if "logg" in domain.names:  # of dwarfs: radii as masses, luminosities as their fourth power
            found[:, domain.index("logg")] -= 2 * log10(kind)
    if "filling" in domain.names:
        found[:, domain.index("filling")] = 0.0
    return domain.clip(found)


def _steps() -> Sequence[int]:
    side = np.arange(NEAREST_KMS, FURTHEST_KMS, BETWEEN_KMS) / STEP_KMS
    return [int(steps) for steps in np.concatenate([-side[::-1], side])]
