"""Measure the shape of ``broadening.filling`` on two active stars: ratios of the three lines, and the width.

``python data/filling/measure.py [--spectra FOLDER]`` prints them star by star and their means. Ca II out of
LTE and lines as calibrated; labels with priors, resolution, rotation, velocity and continuum are fitted
together with the heights of the emission in the three cores and its width.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "atomic_lines"))

from calibrators import GAIA_CORRELATION, LABELS, read_spectrum

from starloom import bands
from starloom.broadening import broaden
from starloom.broadening.filling import CORES_AA, RATIOS, WIDTH_KMS
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.nlte import IONS
from starloom.synthesis import structure, synthesize

BAND = bands.load("rvs", "calibrated")
(GRID,) = BAND.chunks
VELOCITY_KMS = SPEED_OF_LIGHT_KMS * np.log(GRID.wavelength_aa[:, None] / np.array(CORES_AA))
STEPS = {"teff": 60.0, "logg": 0.1, "mh": 0.05, "vmic": 0.25}
USED_AA = 8430.0, 8790.0  # vacuum
EDGE_AA = 3.0  # of a spectrum, left out
FREE, FIXED, NONE = "three heights and width", "height", "none"  # of the emission
START = {FREE: (0.05, 0.05, 0.05, 20.0), FIXED: (0.05,), NONE: ()}
SCALE = {FREE: (0.05, 0.05, 0.05, 5.0), FIXED: (0.05,), NONE: ()}
NO_WEIGHT = 1e-9
ROUNDS = 2  # of labels around which spectra are linear


@dataclass(frozen=True, eq=False)
class Star:
    """An observed star; ``labels`` and ``resolution`` are [value, sigma] of priors, ``alpha`` [alpha/M].

    The continuum is a Chebyshev series to ``order`` with the prior ``continuum`` on all coefficients but
    scale and slope; ``floor`` is the synthesis' own error of a pixel.
    """

    name: str
    file: str
    labels: Mapping[str, tuple[float, float]]
    resolution: tuple[float, float] = (12_400.0, 500.0)
    alpha: float = 0.0
    order: int = 9
    continuum: float = 0.003
    floor: float = 0.005

    @property
    def start(self) -> np.ndarray:
        """Centres of the priors: labels, resolution, v sin i, velocity."""
        return np.array([*(value for value, _ in self.labels.values()), self.resolution[0], 3.0, 0.0])

    @property
    def sigma(self) -> np.ndarray:
        """Their widths."""
        return np.array([*(sigma for _, sigma in self.labels.values()), self.resolution[1], 30.0, 10.0])


def _labels(teff, logg, mh, vmic) -> dict[str, tuple[float, float]]:
    return dict(zip(LABELS, (teff, logg, mh, vmic), strict=True))


ACTIVE = (  # parameters not known: centres from fits in LTE (docs/fitting.md, docs/validation.md)
    Star(
        "active star",
        "gaia_rvs_active_3174658066485297152.csv",
        _labels((5440, 300), (4.5, 0.15), (-0.15, 0.3), (0.8, 0.25)),
    ),
    Star(
        "binary",
        "gaia_rvs_binary_1535964555128078720.csv",
        _labels((4216, 300), (4.6, 0.15), (-0.05, 0.3), (0.8, 0.25)),
    ),
)
QUIET = (  # labels of data/atomic_lines/calibrators.toml, where their sources are
    Star(
        "Kepler-409",
        "gaia_rvs_kepler-409.csv",
        _labels((5460, 75), (4.50, 0.02), (0.08, 0.06), (1.0, 0.25)),
    ),
    Star(
        "HD 140283",
        "mike_hd140283.npz",
        _labels((5787, 60), (3.66, 0.05), (-2.39, 0.10), (1.5, 0.3)),
        resolution=(25_000, 3_000),
        alpha=0.3,
        order=20,
        continuum=0.01,
        floor=0.02,
    ),
)


@dataclass(frozen=True, eq=False)
class Fit:
    """A star fitted: pixels, observed flux over the fitted continuum, what was synthesised, and parameters.

    ``values`` are the four labels, resolution, v sin i, velocity and those of the emission, with ``errors``.
    """

    vacuum_aa: np.ndarray
    observed: np.ndarray
    synthesised: np.ndarray
    values: np.ndarray
    errors: np.ndarray

    @property
    def emission(self) -> tuple[np.ndarray, np.ndarray]:
        """Values of the emission, and their errors."""
        return self.values[7:], self.errors[7:]

    def rms(self, reach_aa: float) -> float:
        """Root mean square residual within so much of the three cores."""
        return rms_near(self.vacuum_aa, self.observed - self.synthesised, reach_aa)


def rms_near(vacuum_aa: np.ndarray, residual: np.ndarray, reach_aa: float) -> float:
    """Root mean square within so many Angstrom of the three cores."""
    near = np.abs(vacuum_aa[:, None] - np.array(CORES_AA)).min(axis=1) < reach_aa
    return float(np.sqrt((residual[near] ** 2).mean()))


def emission(parameters: np.ndarray) -> np.ndarray:
    """On the grid: of one height by the package's shape, of three heights and a width, or none."""
    if len(parameters) == 0:
        return np.zeros(GRID.points)
    one = len(parameters) == 1
    heights, width = (parameters * RATIOS, WIDTH_KMS) if one else (parameters[:3], parameters[3])
    return np.exp(-(VELOCITY_KMS**2) / (2 * width**2)) @ np.asarray(heights)


@dataclass(frozen=True, eq=False)
class Problem:
    """The least squares of one star, with spectra linear in the labels around ``middle``."""

    star: Star
    spectra: Path
    ions: tuple[str, ...]
    kind: str
    middle: np.ndarray  # labels
    masked_kms: float = 0.0  # around the cores

    @cached_property
    def pixels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vacuum wavelengths [A], flux and one over its error of the pixels used."""
        vacuum, flux, error = read_spectrum(self.spectra / self.star.file)
        error = GAIA_CORRELATION * error if "gaia" in self.star.file else error
        good = np.isfinite(flux) & np.isfinite(error)
        low, high = vacuum[good][[0, -1]] + np.array([1, -1]) * EDGE_AA
        good &= (vacuum > max(low, USED_AA[0])) & (vacuum < min(high, USED_AA[1]))
        weight = 1 / np.hypot(error, self.star.floor)
        far = np.abs(np.log(vacuum[:, None] / np.array(CORES_AA))).min(axis=1) * SPEED_OF_LIGHT_KMS
        weight = np.where(far < self.masked_kms, NO_WEIGHT, weight)
        return vacuum[good], flux[good], weight[good]

    @cached_property
    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Spectrum at ``middle``, and its derivatives by the labels."""
        base = self._synthesised(self.middle)
        steps = np.diag(list(STEPS.values()))
        slopes = [(self._synthesised(self.middle + step) - base) / step.sum() for step in steps]
        return base, np.array(slopes)

    def _synthesised(self, labels: np.ndarray) -> np.ndarray:
        teff, logg, mh, vmic = labels.tolist()
        alpha = self.star.alpha
        given = {"band": BAND, "mh": mh, "alpha": alpha, "vmic": vmic, "nlte": self.ions}
        return np.asarray(synthesize(structure(teff, logg, mh, vmic, alpha), **given).normalized, float)

    @cached_property
    def series(self) -> tuple[np.ndarray, np.ndarray]:
        """Chebyshev polynomials [order, pixel] of the continuum, and the widths of their priors."""
        vacuum = self.pixels[0]
        x = 2 * (vacuum - vacuum[0]) / (vacuum[-1] - vacuum[0]) - 1
        widths = np.array([1.0, 0.05] + [self.star.continuum] * (self.star.order - 1))
        return np.polynomial.chebyshev.chebvander(x, self.star.order).T, widths

    def seen(self, values: np.ndarray) -> np.ndarray:
        """The star at the pixels, over its continuum."""
        base, slopes = self.linear
        flux = base + (values[:4] - self.middle) @ slopes + emission(values[7:])
        resolution, vsini, velocity = values[4:7].tolist()
        options = {"resolution": resolution, "vsini": vsini, "radial_velocity": velocity}
        shown = broaden(flux, GRID.step_kms, **options, reach_kms=300.0)
        return np.interp(self.pixels[0], GRID.wavelength_aa, shown)

    def continuum(self, seen: np.ndarray) -> np.ndarray:
        """Coefficients of the likeliest continuum of what is seen, less one."""
        (_, flux, weight), (series, widths) = self.pixels, self.series
        design = (series * seen * weight).T
        normal = design.T @ design + np.diag(widths**-2.0)
        return np.linalg.solve(normal, design.T @ ((flux - seen) * weight))

    def residual(self, values: np.ndarray) -> np.ndarray:
        """Weighted residuals, those of the priors behind."""
        seen = self.seen(values)
        coefficients = self.continuum(seen)
        (_, flux, weight), (series, widths) = self.pixels, self.series
        own = (flux - seen * (1 + coefficients @ series)) * weight
        priors = (values[:7] - self.star.start) / self.star.sigma
        return np.concatenate([own, priors, coefficients / widths])

    def solved(self, start: np.ndarray) -> Fit:
        """The likeliest values from a start on."""
        scale = np.array([100, 0.1, 0.1, 0.1, 500, 5, 1, *SCALE[self.kind]])
        low = np.array([*[-np.inf] * 4, 6_000, 0, -40, *(-0.3, -0.3, -0.3, 3.0)][: scale.size])
        high = np.array([*[np.inf] * 4, 40_000, 80, 40, *(1.5, 1.5, 1.5, 80.0)][: scale.size])
        found = least_squares(
            lambda unit: self.residual(unit * scale),
            np.clip(start, low + 1e-3 * scale, high) / scale,
            bounds=(low / scale, high / scale),
            diff_step=1e-4,
            max_nfev=25,
        )
        values = found.x * scale
        errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac))) * scale
        seen = self.seen(values)
        observed = self.pixels[1] / (1 + self.continuum(seen) @ self.series[0])
        return Fit(self.pixels[0], observed, seen, values, errors)


def fitted(
    star: Star, spectra: Path, kind: str, ions: tuple[str, ...] = IONS, masked_kms: float = 0.0
) -> Fit:
    """A star fitted with an emission of this kind; labels beyond the structures stay at their edge."""
    problem = Problem(star, spectra, ions, kind, star.start[:4], masked_kms)
    found = problem.solved(np.array([*star.start, *START[kind]]))
    for _ in range(ROUNDS - 1):
        middle = np.clip(found.values[:4], [3600, 2.0, -2.45, 0.2], [7400, 4.85, 0.4, 4.0])
        found = replace(problem, middle=middle).solved(found.values)
    return found


def main() -> None:
    """Print ratios and width of each active star, and their means by inverse variance."""
    shared = Path(__file__).resolve().parents[2].parent / "shared" / "observed"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=Path, default=shared)
    spectra = parser.parse_args().spectra
    rows = []
    for star in ACTIVE:
        values, errors = fitted(star, spectra, FREE).emission
        ratios = values[[0, 2]] / values[1]
        of_ratios = ratios * np.hypot(errors[[0, 2]] / values[[0, 2]], errors[1] / values[1])
        rows.append((np.array([*ratios, values[3]]), np.array([*of_ratios, errors[3]])))
        print(star.name, f"height {values[1]:.3f}", *_told(*rows[-1]), flush=True)
    values, errors = np.array(rows).swapaxes(0, 1)
    weight = errors**-2.0
    print("mean", *_told((weight * values).sum(0) / weight.sum(0), weight.sum(0) ** -0.5))


def _told(values: np.ndarray, errors: np.ndarray) -> list[str]:
    names = "8498/8542", "8662/8542", "width [km/s]"
    return [f"{n} {v:.3f} ± {e:.3f}" for n, v, e in zip(names, values, errors, strict=True)]


if __name__ == "__main__":
    main()
