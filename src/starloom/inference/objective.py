r"""What a fit minimises: the weighted distance of observed spectra to the emulator times a free continuum.

.. math:: \chi^2(\theta) = \min_a r^T C^{-1} r + \sum_p \Big(\frac{\theta_p - \mu_p}{s_p}\Big)^2, \quad
          r_i = y_i - \sum_k a_k C_k(\lambda_i) F_i(\theta), \quad C = W^{-1} + U U^T

W are the weights of the pixels, U the few patterns of the physics error, which enter by
:math:`C^{-1} = W^{1/2} (1 - Z^T Z) W^{1/2}` (Woodbury 1950; ``projector``). The coefficients a of the
continuum are solved for exactly at every step, and taken out of the normal matrix by its Schur complement:
variable projection (Golub & Pereyra 1973) with the Jacobian of Kaufman (1975).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from starloom.inference.derivatives import BandDerivatives, Derivatives
from starloom.inference.setup import Prior, Setup

PORTION = 24  # rows evaluated at once: their arrays stay in the processor's cache


def chebyshev(wavelength_aa: np.ndarray, order: int) -> np.ndarray:
    """Chebyshev polynomials of degree 0 to ``order`` over the wavelengths: ``[order + 1, wavelength]``."""
    low, high = wavelength_aa[[0, -1]]
    place = 2 * (wavelength_aa - low) / max(high - low, 1e-12) - 1
    return np.polynomial.chebyshev.chebvander(place, order).T.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Linearised:
    """A model and its derivatives at ``parameters[row, p]``.

    ``model[row, wavelength]`` with the continuum in it, ``continuum[row, coefficient]``; ``columns[row,
    free + coefficient, wavelength]``: derivatives by the free parameters, then by the continuum's
    coefficients.
    """

    parameters: np.ndarray
    model: np.ndarray
    continuum: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, parts: "Sequence[Linearised]") -> "Linearised":
        """The rows of several, one behind the other."""
        names = ("parameters", "model", "continuum", "columns")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, eq=False)
class Objective:
    """Problems at common wavelengths: ``flux`` and ``weight`` (0: not used) of stars ``[star, wavelength]``.

    ``projector[star, pattern, wavelength]`` is Z of the module's text. ``owner[row]`` is the star of each row
    (each start), ``fixed[row, p]`` the values of the parameters that are not free; ``prior`` has a row for
    each star.
    """

    setup: Setup
    derivatives: Derivatives | BandDerivatives
    basis: np.ndarray
    flux: np.ndarray
    weight: np.ndarray
    projector: np.ndarray
    prior: Prior
    owner: np.ndarray
    fixed: np.ndarray

    @property
    def free(self) -> tuple[int, ...]:
        """Places of the free parameters."""
        return self.setup.free

    @cached_property
    def _fixed_place(self) -> np.ndarray:
        return self.setup.coordinates.from_parameters(self.fixed)

    def place(self, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        """All coordinates ``[row, p]`` from the free ones ``at[row, free]``."""
        place = self._fixed_place[rows]
        place[:, self.free] = at
        return place

    def parameters(self, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Parameters ``[row, p]`` at coordinates of the free ones ``at[row, free]``."""
        found = self.setup.coordinates.to_parameters(self.place(rows, at))
        held = [index for index in range(found.shape[1]) if index not in self.free]
        found[:, held] = self.fixed[rows][:, held]
        if self.setup.corner.is_floor:  # rounding must not carry it out of the domain
            logg = self.setup.domain.index("logg")
            found[:, logg] = np.maximum(found[:, logg], self.setup.domain.lowest_logg(found[:, :-1]))
        return found

    def project(self, rows: np.ndarray, at: np.ndarray, origin: np.ndarray | None = None) -> np.ndarray:
        """The free coordinates, moved out of the corner; ``origin``: where a step began."""
        place, corner = self.place(rows, at), self.setup.corner
        if origin is not None:
            place = corner.up_to_kinks(place, self.place(rows, origin))
        return corner.inside(place)[:, self.free]

    def __call__(self, rows: np.ndarray, at: np.ndarray):
        """What ``minimise`` asks for: chi2, half of minus its gradient, and the normal matrix.

        Where chi2 would fall beyond the corner's bound, all three are along it.
        """
        chi2, slope, normal = self.plain(rows, at)
        whole = np.zeros((len(rows), self.fixed.shape[1]))
        whole[:, self.free] = slope
        held, along = self.setup.corner.along(self.place(rows, at), whole)
        if held.size:
            along = along[:, self.free][:, :, self.free]
            turned = along.swapaxes(1, 2)
            slope[held] = (turned @ slope[held, :, None])[..., 0]
            normal[held] = turned @ normal[held] @ along
        return chi2, slope, normal

    def plain(self, rows: np.ndarray, at: np.ndarray):
        """As ``__call__``, but by each coordinate alone everywhere."""
        count = len(self.free)
        chi2, slope = np.empty(len(rows)), np.empty((len(rows), count))
        normal = np.empty((len(rows), count, count))
        for start in range(0, len(rows), PORTION):
            part = slice(start, start + PORTION)
            chi2[part], slope[part], normal[part] = self._portion(rows[part], at[part])
        return chi2, slope, normal

    def whole(self, rows: np.ndarray, at: np.ndarray):
        """The ``Linearised`` model at each row, and what ``plain`` gives."""
        parts = []
        for start in range(0, len(rows), PORTION):
            part = slice(start, start + PORTION)
            here = self.linearised(rows[part], at[part])
            parts.append((here, *self._summed(rows[part], here)))
        models, *sums = zip(*parts, strict=True)
        return Linearised.of(models), *(np.concatenate(each) for each in sums)

    def _portion(self, rows, at):
        return self._summed(rows, self.linearised(rows, at))

    def _summed(self, rows, here: Linearised):
        star, count = self.owner[rows], len(self.free)
        root = np.sqrt(self.weight[star])
        residual = (self.flux[star] - here.model) * root
        # float32 moves a minimum by 1e-4 of a standard deviation
        columns = here.columns * root[:, None].astype(np.float32)
        products = (columns @ columns.swapaxes(1, 2)).astype(np.float64)
        right = (columns @ residual[..., None].astype(np.float32))[..., 0].astype(np.float64)
        chi2 = (residual**2).sum(axis=1)
        if self.projector.shape[1]:
            told = self._projected(star, columns)
            left = self._projected(star, residual[:, None].astype(np.float32))[:, 0]
            products -= told @ told.swapaxes(1, 2)
            right -= (told @ left[..., None])[..., 0]
            chi2 -= (left**2).sum(axis=1)
        mixed, linear = products[:, :count, count:], products[:, count:, count:]
        normal = products[:, :count, :count] - mixed @ np.linalg.solve(linear, mixed.swapaxes(1, 2))
        apart, inverse = (part[:, list(self.free)] for part in self.prior[star].terms(here.parameters))
        slope = right[:, :count] + apart * inverse
        normal[:, range(count), range(count)] += inverse**2
        chi2 = chi2 + (apart**2).sum(axis=1)
        scale = self.setup.coordinates.slopes(here.parameters)[:, list(self.free)]
        return chi2, scale * slope, scale[:, None] * normal * scale[..., None]

    def linearised(self, rows: np.ndarray, at: np.ndarray, wanted: Sequence[int] | None = None) -> Linearised:
        """The model with its best continuum (float64), and derivatives by what is free, or by ``wanted``."""
        parameters = self.parameters(rows, at)
        wanted = self.free if wanted is None else wanted
        found = self.derivatives(parameters[:, :-1], parameters[:, -1], wanted)
        star = self.owner[rows]
        weight = self.weight[star]
        linear = (self.basis * found[:, :1]).astype(np.float64)
        weighted = linear * weight[:, None]
        right = weighted @ self.flux[star][..., None]
        normal = weighted @ linear.swapaxes(1, 2)
        continuum = np.linalg.solve(normal, right)[..., 0]
        if self.projector.shape[1]:
            continuum += self._moved_continuum(star, linear, continuum, normal)
        level = (continuum.astype(np.float32) @ self.basis)[:, None]
        columns = np.concatenate([found[:, 1:] * level, linear], axis=1, dtype=np.float32)
        return Linearised(parameters, (continuum[:, None] @ linear)[:, 0], continuum, columns)

    def _moved_continuum(self, star, linear, continuum, normal) -> np.ndarray:
        """What the patterns change of the best ``continuum[row, coefficient]`` by the weights alone."""
        root = np.sqrt(self.weight[star])
        residual = self.flux[star] - (continuum[:, None] @ linear)[:, 0]
        seen = np.concatenate([linear, residual[:, None]], axis=1) * root[:, None]
        told = self._projected(star, seen.astype(np.float32))
        told, left = told[:, :-1], told[:, -1, :, None]
        return np.linalg.solve(normal - told @ told.swapaxes(1, 2), -(told @ left))[..., 0]

    def _projected(self, star: np.ndarray, weighted: np.ndarray) -> np.ndarray:
        """``weighted[row, n, wavelength]`` on the patterns of the rows' stars: float64[row, n, pattern]."""
        found = np.empty((*weighted.shape[:2], self.projector.shape[1]))
        ends = np.flatnonzero(np.diff(star, append=-1)) + 1
        for first, end in zip([0, *ends[:-1]], ends, strict=True):
            rows = weighted[first:end].reshape(-1, weighted.shape[-1])
            product = rows @ self.projector[star[first]].T
            found[first:end] = product.reshape(end - first, weighted.shape[1], -1)
        return found


def projector(patterns: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Z of the module's text, float32[star, pattern, wavelength], of ``patterns`` U and weights.

    With L the Cholesky factor of :math:`1 + U^T W U`, it is :math:`L^{-1} U^T W^{1/2}`.
    """
    if not patterns.shape[1]:
        return np.zeros(patterns.shape, np.float32)
    seen = patterns * np.sqrt(weight)[:, None].astype(np.float32)
    factor = np.linalg.cholesky((seen @ seen.swapaxes(1, 2)).astype(np.float64) + np.eye(seen.shape[1]))
    return np.linalg.inv(factor).astype(np.float32) @ seen
