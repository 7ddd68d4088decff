"""Where fits start: every spectrum against a table of templates at all velocities, in a few matrix products.

Templates of quasi-random labels cover the domain. On a grid of CELL km/s the sums over pixels that chi2
is made of are correlations with the templates and their squares, and both are sums of a few principal
components:

    chi2(template, velocity) = sum w y^2 - b A^-1 b,   b_k = sum w y C_k T,   A_kl = sum w C_k C_l T^2

for a continuum of a scale and a slope. So a start depends on the spectrum alone, never on a guess.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.stats import qmc

from starloom.broadening import doppler_shift
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.inference.coordinates import Coordinates
from starloom.inference.setup import Prior
from starloom.labels import Domain
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator

CELL_KMS = 6.0
MARGIN = 40  # cells at the ends of the kept range, which interpolation needs
NARROW = 50  # cells: the parts of them that are worth a table are multiples of it
STRIDE = 2  # cells between the velocities that are tried: half a width of the sharpest profile
TEMPLATES = 2048
SCOUTS = 256  # templates that choose the quarter of all velocities at which the others are compared
COMPONENTS, COMPONENTS_OF_PART = 40, 120
COVERED = 0.5  # of the pixels: what templates must cover at a velocity that is tried
# two minima differ in Teff or rotation: each start of a star is the best of another group of templates
TEFF_BINS = 8
FAST_KMS = 80.0
ROUNDING = 1e-9


@dataclass(frozen=True)
class VelocityCells:
    """Cells uniform in velocity over what a model keeps: ``count`` of CELL_KMS from ``origin_aa`` on."""

    origin_aa: float
    count: int

    @classmethod
    def of(cls, model: Emulator | BandEmulator) -> "VelocityCells":
        """The cells of a model, without MARGIN at either end."""
        first, last = model.chunks[0].finish.grid.first_aa, model.chunks[-1].finish.grid.last_aa
        count = int(SPEED_OF_LIGHT_KMS * np.log(last / first) / CELL_KMS) - 2 * MARGIN
        return cls(first * float(np.exp(MARGIN * CELL_KMS / SPEED_OF_LIGHT_KMS)), count)

    def needed(self, vacuum_aa: np.ndarray, velocities: tuple[float, float]) -> tuple[int, int]:
        """First and last cell that templates need for ``vacuum_aa`` at ``velocities``: of narrow ranges few.

        What the components leave out of the flux averages out over long ranges, not over short ones.
        """
        moved = doppler_shift(np.array(velocities)[::-1])
        ends = SPEED_OF_LIGHT_KMS * np.log(vacuum_aa[[0, -1]] / self.origin_aa) - moved
        first, last = np.floor(ends[0] / CELL_KMS / NARROW), np.ceil(ends[1] / CELL_KMS / NARROW)
        first = int(np.clip(NARROW * first, 0, max(0, self.count - NARROW)))
        last = min(int(max(NARROW * last, first + NARROW)), self.count)
        return (first, last) if last - first < self.count / 2 else (0, self.count)


@dataclass(frozen=True, eq=False)
class Templates:
    """Templates on cells uniform in velocity; made by ``templates``.

    ``parameters[template, p]`` (velocity 0); ``flux`` and ``square``: scores[template, component] and the
    components' transforms [component, frequency], conjugate, of each.
    """

    parameters: np.ndarray
    origin_aa: float
    cells: int
    length: int  # of the transforms
    flux: tuple[np.ndarray, np.ndarray]
    square: tuple[np.ndarray, np.ndarray]
    group: np.ndarray


@lru_cache(maxsize=8)
def templates(
    model: Emulator | BandEmulator,
    resolution: float,
    fixed: tuple[tuple[str, float], ...] = (),
    part: tuple[int, int] | None = None,
) -> Templates:
    """The table at one resolution, on ``part`` of the model's cells, with labels ``fixed`` (name, value)."""
    cells, coordinates = VelocityCells.of(model), Coordinates(model.domain)
    parameters = _drawn(coordinates, {**dict(fixed), "resolution": resolution})
    into_domain(parameters, model.domain, {name for name, _ in fixed})
    first, last = part or (0, cells.count)
    grid = cells.origin_aa * np.exp(np.arange(first, last) * CELL_KMS / SPEED_OF_LIGHT_KMS)
    flux = model.on(grid).spectrum(parameters[:, :-1])
    length = fft.next_fast_len(2 * grid.size, real=True)
    count = COMPONENTS if grid.size == cells.count else min(COMPONENTS_OF_PART, grid.size)
    parts = (_components(array, length, count) for array in (flux, flux**2))
    return Templates(parameters, grid[0], grid.size, length, *parts, _groups(coordinates, parameters))


def _drawn(coordinates: Coordinates, held: dict[str, float]) -> np.ndarray:
    """Quasi-random parameters ``[template, p]`` over the box, at rest, with the ``held`` ones among them."""
    drawn = [i for i, name in enumerate(coordinates.domain.names) if name != "resolution"]
    coordinate = np.zeros((TEMPLATES, len(coordinates.names)))
    sequence = qmc.Sobol(len(drawn), scramble=True, rng=np.random.default_rng(7))
    coordinate[:, drawn] = sequence.random(TEMPLATES)
    # half of the templates rotate slowly: there spectra change fastest
    coordinate[::2, coordinates.rotations] *= 0.2
    parameters = coordinates.to_parameters(coordinate)
    for name in coordinates.names:
        if name in held:
            parameters[:, coordinates.index(name)] = held[name]
    return parameters


def _groups(coordinates: Coordinates, parameters: np.ndarray) -> np.ndarray:
    """Groups of templates by Teff and rotation, as far as the domain has them."""
    group = np.zeros(len(parameters), int)
    for index in coordinates.among(["teff"]):
        group += 2 * (coordinates.axes[index].place(parameters[:, index]) * TEFF_BINS).astype(int)
    for index in coordinates.among(["vsini"]):
        group += parameters[:, index] > FAST_KMS
    return group


def into_domain(parameters: np.ndarray, domain: Domain, held: set[str]) -> None:
    """Out of the corner: log g is raised; where it is held, [M/H] of one row is lowered, Teff of the next."""
    if (floor := domain.floor) is None:
        return
    teff, logg, mh = (parameters[:, domain.index(name)] for name in ("teff", "logg", "mh"))
    if "logg" not in held:
        logg[:] = np.maximum(logg, floor(teff, mh))
        return
    by_mh = np.arange(len(teff)) % 2 == 0
    by_mh = (by_mh & np.isfinite(floor.highest_mh(teff, logg)) & ("mh" not in held)) | ("teff" in held)
    mh[by_mh] = np.minimum(mh, floor.highest_mh(teff, logg) - ROUNDING)[by_mh]
    teff[~by_mh] = np.minimum(teff, floor.highest_teff(logg, mh) - ROUNDING)[~by_mh]


def _components(array: np.ndarray, length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and transformed components; the range is found at random (Halko et al. 2011, algorithm 4.4)."""
    draw = np.random.default_rng(3).standard_normal((array.shape[1], count), dtype=np.float32)
    sketch, _ = np.linalg.qr(array @ draw)
    sketch, _ = np.linalg.qr(array @ (array.T @ sketch))
    return sketch, fft.rfft(sketch.T @ array, n=length, axis=1).conj()


def starting_points(
    table: Templates,
    vacuum_aa: np.ndarray,
    basis: np.ndarray,
    flux: np.ndarray,
    weight: np.ndarray,
    prior: Prior,
    velocities: tuple[float, float],
    count: int,
) -> np.ndarray:
    """The ``count`` best and different parameters ``[star, count, p]`` for ``flux[star, pixel]``.

    ``basis[coefficient, pixel]``: of the continuum, of which scale and slope are used; ``velocities``: range
    [km/s].
    """
    low, high = (round(float(doppler_shift(v)) / CELL_KMS) for v in velocities)
    lags = np.arange(low, high + 1, STRIDE)
    cell = np.rint(SPEED_OF_LIGHT_KMS * np.log(vacuum_aa / table.origin_aa) / CELL_KMS).astype(int)
    inside = (cell >= 0) & (cell < table.cells)
    basis = basis[:2]
    found = np.empty((len(flux), count, table.parameters.shape[1]))
    priors = (prior.terms(table.parameters)[0][:, :-1] ** 2).sum(axis=1)
    for star in range(len(flux)):
        sums = _cell_sums(
            cell[inside], table.cells, basis[:, inside], flux[star, inside], weight[star, inside]
        )
        chi2, lag = _best_velocities(table, lags, sums)
        chosen = _different(table.group, chi2 + priors, count)
        found[star] = table.parameters[chosen]
        found[star, :, -1] = lag[chosen] * CELL_KMS
    return found


def _best_velocities(table: Templates, lags: np.ndarray, sums) -> tuple[np.ndarray, np.ndarray]:
    """The smallest chi2 of each template, and at which lag it is."""
    products = _products(table, lags, *sums[:2])
    total, pixels = (_covered(per_cell, lags) for per_cell in sums[2:])
    # as if the pixels that the templates do not cover at a velocity were as well fitted as those they do
    scale = np.where(pixels >= COVERED * pixels.max(), pixels.max() / np.maximum(pixels, 1), np.inf)
    tried = np.flatnonzero(np.isfinite(scale))
    scouted = (_chi2(table, slice(SCOUTS), _at(products, tried), total[tried]) * scale[tried]).min(axis=0)
    likely = tried[np.argsort(scouted)[: max(1, -(-lags.size // 4))]]
    chi2 = _chi2(table, slice(None), _at(products, likely), total[likely]) * scale[likely]
    best = chi2.argmin(axis=1)
    return chi2[np.arange(len(chi2)), best], lags[likely][best]


def _at(products, lags: np.ndarray):
    return [[product[:, lags] for product in part] for part in products]


def _covered(per_cell: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Sum over the cells that the templates cover when they are moved by each lag."""
    sums = np.concatenate([[0.0], np.cumsum(per_cell)])
    size = per_cell.size  # moved by that much or more, the templates cover nothing
    return sums[size + np.clip(lags, -size, 0)] - sums[np.clip(lags, 0, size)]


def _cell_sums(cell, cells, basis, flux, weight):
    """Sums over the pixels of each cell: w y C_k ``[k, cell]``, w C_k C_l ``[k, l, cell]``, w y^2, 1."""
    count = len(basis)
    linear = np.stack([np.bincount(cell, weight * flux * basis[k], cells) for k in range(count)])
    square = np.empty((count, count, cells))
    for k in range(count):
        for other in range(k + 1):
            square[k, other] = square[other, k] = np.bincount(cell, weight * basis[k] * basis[other], cells)
    return linear, square, np.bincount(cell, weight * flux**2, cells), np.bincount(cell, weight > 0, cells)


def _products(table: Templates, lags: np.ndarray, linear: np.ndarray, square: np.ndarray):
    """Correlations ``[component, lag]`` of the sums with the components of templates and of squares."""
    lower = np.tril_indices(len(linear))
    return [
        [_correlation(transforms, table.length, values, lags) for values in sums]
        for (_, transforms), sums in ((table.flux, linear), (table.square, square[lower]))
    ]


def _correlation(transforms: np.ndarray, length: int, values: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Sum over cells of ``values`` times each component moved by each lag (cyclic: see ``_covered``)."""
    sums = fft.irfft(fft.rfft(values.astype(np.float32), n=length) * transforms, n=length, axis=1)
    return sums[:, lags % length]


def _chi2(table: Templates, part: slice, products, total: np.ndarray) -> np.ndarray:
    """chi2 ``[template, lag]`` with the best scale and slope."""
    right = [table.flux[0][part] @ p for p in products[0]]
    left = [table.square[0][part] @ p for p in products[1]]
    if len(right) == 1:
        return total - right[0] ** 2 / np.maximum(left[0], 1e-30)
    determinant = np.maximum(left[0] * left[2] - left[1] ** 2, 1e-30)
    gained = right[0] ** 2 * left[2] - 2 * right[0] * right[1] * left[1] + right[1] ** 2 * left[0]
    return total - gained / determinant


def _different(group: np.ndarray, chi2: np.ndarray, count: int) -> np.ndarray:
    """The best template of each group, best first; then, where groups are fewer, the next best of all."""
    order = np.argsort(chi2)
    first = order[np.sort(np.unique(group[order], return_index=True)[1])]
    rest = order[~np.isin(order, first)]
    return np.concatenate([first, rest])[:count]
