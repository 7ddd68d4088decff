"""A fit to look at: data, model and residuals, what was left out, and the labels with their uncertainties."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from starloom.bands import Band
from starloom.figures import check, pyplot, save
from starloom.inference.abundances import SOLAR_SCALE, abundances
from starloom.inference.result import FitResult, rounded
from starloom.spectrum import broken
from starloom.spectrum.lines import name_lines

DATA, MODEL = "0.25", "#c8102e"
SHOWN_SIGMA = 8.0
SHALLOW = 0.5  # of the highest flux: where no line is deeper, the axis does not begin at 0


def draw(result: FitResult, path: str | PathLike, band: Band | None = None) -> None:
    """Draw a fit (.png, .pdf, .svg), with the strongest lines named where the model's ``band`` is given.

    Raises ConfigError for a format that matplotlib does not write.
    """
    check(path)
    figure, axes = pyplot().subplots(
        2,
        2,
        figsize=(13, 6),
        sharex="col",
        layout="constrained",
        height_ratios=(2.6, 1),
        width_ratios=(3.3, 1),
    )
    _spectrum(axes[0, 0], result)
    name_lines(axes[0, 0], result.best, band, result.labels.get("teff"), result.velocity)
    _residuals(axes[1, 0], result)
    for empty in axes[:, 1]:
        empty.axis("off")
    # beside the axes, for in them it would lie over names of lines
    axes[1, 1].legend(
        *axes[0, 0].get_legend_handles_labels(), loc="lower left", frameon=False, fontsize="small"
    )
    axes[0, 1].text(0, 1, text(result), va="top", family="monospace", fontsize=8.5)
    save(figure, path, dpi=140)


def text(result: FitResult, scales: bool = False) -> str:
    """The labels as lines: value, standard deviation, and in brackets the one that noise alone allows.

    With ``scales`` those of ``inference.abundances`` follow.
    """
    lines = []
    symbols = [*((label.symbol, label.unit) for label in result.domain.labels), ("velocity", "km/s")]
    width = max(9, *(len(symbol) + 1 for symbol, _ in symbols))
    for index, (name, (symbol, unit)) in enumerate(zip(result.parameters, symbols, strict=True)):
        value = result.values[index]
        if name not in result.free:
            lines.append(" ".join(filter(None, (f"{symbol:<{width}}{value:.6g}", unit, "(given)"))))
            continue
        shown, error = rounded(value, result.errors[name])
        note = " at bound" if name in result.at_bound else ""
        note += " not measured" if name in result.not_measured else ""
        numbers = f"{shown} ± {error} {unit}".rstrip()
        lines.append(f"{symbol:<{width}}{numbers} ({result.bounds[index]:.2g}){note}")
    for name, (value, error) in abundances(result).items() if scales else ():
        lines.append("{:<{}}{} ± {}".format(name, width, *rounded(value, error)))
    if scales:
        lines.append(f"[X/Fe]: of [M/H]; A(X): {SOLAR_SCALE}")
    lines.append("")
    lines.append("±: all uncertainties")
    lines.append("(): what noise alone allows")
    lines.append(f"chi2 / dof = {result.reduced_chi2:.2f} ({result.dof}), S/N {result.snr:.0f}")
    lines.append(f"errors times {result.inflation**0.5:.2f} for misfit")
    lines.append(f"{result.used.sum()} of {result.spectrum.flux.size} pixels used")
    lines += [f"- {count} {reason}" for reason, count in result.left_out.items()]
    lines += [f"! {flag.replace('_', ' ')}" for flag in result.flags]
    return "\n".join(lines)


def _spectrum(axes, result: FitResult) -> None:
    wavelength = result.spectrum.wavelength[result.pixels]
    shown = result.spectrum.flux[result.pixels]
    axes.plot(*broken(wavelength, shown), color=DATA, linewidth=0.7, label="observed")
    axes.plot(*broken(wavelength, result.model), color=MODEL, linewidth=0.9, label="model")
    _left_out(axes, wavelength, result.used)
    unit = result.spectrum.flux_unit
    axes.set_ylabel(f"Flux [{unit}]" if unit else "Flux")
    # of the pixels that count: one that is wrong would press all others together
    axes.set_ylim(*_limits(shown[result.used]))
    axes.set_title(_star(result.spectrum.provenance), fontsize="medium")


def _limits(flux: np.ndarray) -> tuple[float, float]:
    """From 0 where lines are deep; above shallow ones alone it would leave most of the axes empty."""
    low, high = float(flux.min()), float(flux.max())
    span = high - low
    return (low - 0.2 * span if low > SHALLOW * high else min(0.0, 1.05 * low)), high + 0.05 * max(
        span, high * SHALLOW
    )


def _star(about: Mapping) -> str:
    """Which star it is, by the file and the number in it."""
    names = Path(str(about.get("file", ""))).name, str(about.get("source_id", ""))
    return ", ".join(name for name in names if name)


def _residuals(axes, result: FitResult) -> None:
    wavelength = result.spectrum.wavelength[result.pixels]
    scaled = np.clip(result.residuals / result.error, -SHOWN_SIGMA, SHOWN_SIGMA)
    shown = np.where(result.used, scaled, np.nan)
    axes.plot(*broken(wavelength, shown), color=DATA, linewidth=0.6)
    axes.axhline(0, color=MODEL, linewidth=0.8)
    axes.axhspan(-1, 1, color=MODEL, alpha=0.12, linewidth=0)
    _left_out(axes, wavelength, result.used)
    axes.set_ylim(-SHOWN_SIGMA, SHOWN_SIGMA)
    axes.set_ylabel("Residual / error")
    axes.set_xlabel(f"Wavelength in {result.spectrum.medium} [Å], {result.spectrum.frame} frame")
    axes.margins(x=0.01)


def _left_out(axes, wavelength: np.ndarray, used: np.ndarray) -> None:
    """Bands over the pixels that did not enter the fit."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~used, [0]]).astype(int)))
    for number, (first, end) in enumerate(edges.reshape(-1, 2)):
        step = np.median(np.diff(wavelength)) / 2
        label = "left out" if number == 0 else None
        axes.axvspan(
            wavelength[first] - step,
            wavelength[end - 1] + step,
            color="tab:blue",
            alpha=0.18,
            linewidth=0,
            label=label,
        )
