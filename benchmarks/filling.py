"""The Ca II cores of the Sun and stars in LTE, out of it, and filled by a chromosphere.

``python benchmarks/filling.py OUTPUT`` prints Markdown and draws the cores into the folder OUTPUT. Needs the
folder ``shared``. Lines as calibrated; ``data/filling/measure.py`` has the fit and the priors.
"""

import argparse
import sys
from pathlib import Path

import compare_references
import numpy as np
import references
from printing import row
from references import FINE_GRID, RESOLUTION, SHARED

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data" / "filling"))

from measure import ACTIVE, BAND, FIXED, GRID, NONE, QUIET, Fit, Star, emission, fitted
from scipy.optimize import least_squares

from starloom import figures
from starloom.broadening import broaden
from starloom.broadening.filling import CORES_AA
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.nlte import IONS
from starloom.synthesis import structure, synthesize
from starloom.wavelength import vacuum_from_air

SPECTRA = SHARED / "observed"
MASKED_KMS = 50.0
WAYS = {"LTE": ((), NONE), "NLTE": (IONS, NONE), "NLTE + filling": (IONS, FIXED)}
SUN = (5777.0, 4.44, 0.0, 1.0)
LESS_CALCIUM = -0.08  # [Ca/M] at which the wings of the Sun's centre fit
SUN_ERROR, SERIES = 0.005, np.array([1.0, 0.05] + [0.003] * 5)
USED = slice(1200, -1200)  # of the grid, away from its ends
REACHES_AA = 1.0, 6.0


def head(title: str, *cells: str) -> None:
    """Head of a table."""
    print(f"\n### {title}\n")
    row(*cells)
    row(*["---"] * len(cells))


def compare_sun() -> list[tuple[str, Fit]]:
    """The Sun's centre by each way and with less calcium; all that is fitted is how it is seen."""
    atlas = references.observed("sun_fts_disk_centre")
    rest = atlas.wavelength_aa / (1 + compare_references.GRAVITATIONAL_REDSHIFT / SPEED_OF_LIGHT_KMS)
    made = {key: _centre(*key) for key in (((), 0.0), (IONS, 0.0), (IONS, LESS_CALCIUM))}
    vapour = compare_references.telluric_transmission(atlas.wavelength_aa, atlas.flux, rest, made[(), 0.0])
    fine = np.interp(FINE_GRID.wavelength_aa, vacuum_from_air(rest), atlas.flux / vapour)
    observed = broaden(fine, FINE_GRID.step_kms, resolution=RESOLUTION)[::2]
    head("The Sun, mu = 1, R = 11500: rms near the cores", "physics", "[Ca/M]", "1 A", "6 A", "filling")
    found = []
    for calcium in (0.0, LESS_CALCIUM):
        for name, (ions, kind) in WAYS.items():
            if (ions, calcium) in made:
                fit = _seen_sun(made[ions, calcium], observed, kind)
                row(name, calcium, *(f"{fit.rms(reach):.4f}" for reach in REACHES_AA), _filling(fit))
                found += [(name, fit)] if calcium == 0 else []
    return found


def _centre(ions: tuple[str, ...], calcium: float) -> np.ndarray:
    given = {"band": BAND, "mh": SUN[2], "vmic": SUN[3], "elements": {"Ca": calcium}}
    return np.asarray(synthesize(structure(*SUN), **given, nlte=ions, mu=1.0).normalized, float)


def _seen_sun(made: np.ndarray, observed: np.ndarray, kind: str) -> Fit:
    """Velocity, Gaussian macroturbulence, continuum and filling fitted to the atlas."""
    x = np.linspace(-1, 1, GRID.points)
    series = np.polynomial.chebyshev.chebvander(x, len(SERIES) - 1).T

    def seen(values):
        velocity, speed = values[:2].tolist()
        resolution = (1 / RESOLUTION**2 + 4 * np.log(2) * speed**2 / SPEED_OF_LIGHT_KMS**2) ** -0.5
        flux = made + emission(values[2:])
        return broaden(flux, GRID.step_kms, resolution=resolution, radial_velocity=velocity)

    def scaled(values):
        shown = seen(values)
        design = (series * shown)[:, USED].T / SUN_ERROR
        right = design.T @ ((observed - shown)[USED] / SUN_ERROR)
        coefficients = np.linalg.solve(design.T @ design + np.diag(SERIES**-2.0), right)
        return shown, 1 + coefficients @ series

    def residual(values):
        shown, factor = scaled(values)
        return (observed - shown * factor)[USED] / SUN_ERROR

    start = np.array([0.0, 1.8, *([0.05] if kind == FIXED else [])])
    found = least_squares(residual, start, diff_step=1e-4, max_nfev=30)
    shown, factor = scaled(found.x)
    errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)))
    padding = np.zeros(5)  # of labels, resolution and rotation
    values, errors = (np.concatenate([padding, part]) for part in (found.x, errors))
    return Fit(GRID.wavelength_aa[USED], (observed / factor)[USED], shown[USED], values, errors)


def compare_star(star: Star) -> list[tuple[str, Fit]]:
    """A star by each way: residuals, filling and labels; and in LTE with its cores masked."""
    found = [(name, fitted(star, SPECTRA, kind, ions)) for name, (ions, kind) in WAYS.items()]
    masked = fitted(star, SPECTRA, NONE, (), MASKED_KMS)
    for name, fit in (*found, ("LTE, cores masked", masked)):
        rest = np.abs(fit.vacuum_aa[:, None] - np.array(CORES_AA)).min(axis=1) > REACHES_AA[1]
        outside = np.sqrt(((fit.observed - fit.synthesised)[rest] ** 2).mean())
        sizes = [f"{size:.4f}" for size in (*map(fit.rms, REACHES_AA), outside)]
        pairs = zip(fit.values, fit.errors, (0, 2, 2, 2, 0, 1), strict=False)
        row(star.name, name, *sizes, _filling(fit), *(f"{v:.{d}f} ± {e:.{d}f}" for v, e, d in pairs))
    return found


def _filling(fit: Fit) -> str:
    values, errors = fit.emission
    return f"{values[0]:.3f} ± {errors[0]:.3f}" if len(values) else ""


def draw(rows: list[tuple[str, list[tuple[str, Fit]]]], output: Path) -> None:
    """The three cores, each star in a row, residuals below zero."""
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(len(rows), 3, figsize=(14, 3.4 * len(rows)), layout="constrained")
    for (name, fits), own in zip(rows, panels, strict=True):
        for panel, line in zip(own, CORES_AA, strict=True):
            panel.plot(fits[-1][1].vacuum_aa, fits[-1][1].observed, "k", lw=1.0)
            for (way, fit), colour in zip(fits, ("C0", "C1", "C2"), strict=True):
                residual = fit.observed - fit.synthesised
                panel.plot(fit.vacuum_aa, fit.synthesised, colour, lw=0.9, label=way)
                panel.plot(fit.vacuum_aa, 0.1 + residual, colour, lw=0.7)
            panel.axhline(0.1, color="k", lw=0.3)
            panel.set(xlim=(line - 6, line + 6), ylim=(0, 1.05), title=f"{name}, {line:.1f} A (vacuum)")
    panels[0, 0].legend(loc="center right")
    figure.savefig(output / "filling.png", dpi=50)
    pyplot.close(figure)


def main() -> None:
    """Everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    if not references.present():
        return
    output.mkdir(parents=True, exist_ok=True)
    rows = [("the Sun, mu = 1", compare_sun())]
    columns = "star", "physics", "1 A", "6 A", "outside", "filling"
    head("Stars", *columns, "Teff", "log g", "[M/H]", "vmic", "R", "v sin i")
    rows += [(star.name, compare_star(star)) for star in (*QUIET, *ACTIVE)]
    draw(rows, output)


if __name__ == "__main__":
    main()
