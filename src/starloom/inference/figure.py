"""A fit to look at: data, model and residuals, what was left out, and labels with their uncertainties."""

from os import PathLike
from textwrap import fill

import numpy as np

from starloom.bands import Band
from starloom.figures import BLACK, BLUE, ORANGE, check, pyplot, save, styled
from starloom.inference.abundances import SOLAR_SCALE, abundances
from starloom.inference.objective import chebyshev
from starloom.inference.result import FitResult, rounded
from starloom.spectrum import broken, star_of
from starloom.spectrum.lines import name_lines
from starloom.wavelength import to_vacuum

DATA, MODEL = BLACK, ORANGE
SHOWN_SIGMA = 6.0
SHALLOW = 0.5  # of the highest flux: where no line is deeper, the axis does not begin at 0
TITLE_WIDTH = 125  # letters of a line


def draw(result: FitResult, path: str | PathLike, band: Band | None = None) -> None:
    """Draw a fit (.png, .pdf, .svg), with the strongest lines named where the model's ``band`` is given.

    Raises ConfigError for a format that matplotlib does not write.
    """
    check(path)
    save(figure_of(result, band), path, dpi=140)


@styled
def figure_of(result: FitResult, band: Band | None = None):
    """A figure of data, model and residuals in per cent of the continuum, star and labels in the title.

    The strongest lines are named where the model's ``band`` is given.
    """
    figure, (top, bottom) = pyplot().subplots(
        2, 1, figsize=(11, 6), sharex=True, layout="constrained", height_ratios=(2.6, 1)
    )
    _spectrum(top, result)
    name_lines(top, result.best, band, result.labels.get("teff"), result.velocity)
    _residuals(bottom, result)
    # above the axes, for in them it would lie over names of lines
    handles, names = (
        a + b for a, b in zip(*(x.get_legend_handles_labels() for x in (top, bottom)), strict=True)
    )
    shown = dict(zip(names, handles, strict=True))
    figure.legend(shown.values(), shown.keys(), loc="outside lower right", ncols=4)
    figure.suptitle(_title(result), fontsize="medium")
    return figure


def _title(result: FitResult) -> str:
    """Star and quality in the first line, labels with their errors below."""
    quality = f"S/N {result.snr:.0f}, $\\chi^2$/dof {result.reduced_chi2:.2f}"
    quality += f", errors times {result.inflation**0.5:.2f}"
    first = ", ".join(filter(None, (star_of(result.spectrum.provenance), quality)))
    flags = ", ".join(flag.replace("_", " ") for flag in result.flags)
    told = [*(label.symbol for label in result.domain.labels), "velocity"]
    units = [*(label.unit for label in result.domain.labels), "km/s"]
    shown = []
    for name, symbol, value, unit in zip(result.parameters, told, result.values, units, strict=True):
        free = " ± ".join(rounded(value, result.errors[name])) if name in result.free else f"{value:.6g}"
        shown.append(f"{symbol} = {free} {unit}".rstrip().replace(" ", "\N{NO-BREAK SPACE}"))
    lines = fill(", ".join(shown), TITLE_WIDTH, break_on_hyphens=False, break_long_words=False)
    return "\n".join(filter(None, (first, lines, f"! {flags}" if flags else "")))


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
    lines += [] if result.trust is None else result.trust.text
    lines += [] if result.composite is None else result.composite.text
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


def _limits(flux: np.ndarray) -> tuple[float, float]:
    """From 0 where lines are deep; above shallow ones alone it would leave most of the axes empty."""
    low, high = float(flux.min()), float(flux.max())
    span = high - low
    return (low - 0.2 * span if low > SHALLOW * high else min(0.0, 1.05 * low)), high + 0.05 * max(
        span, high * SHALLOW
    )


def _residuals(axes, result: FitResult) -> None:
    """Observed less model, in per cent of the fitted continuum, with the errors as a band."""
    wavelength = result.spectrum.wavelength[result.pixels]
    vacuum = to_vacuum(wavelength, result.spectrum.medium)
    level = 0.01 * result.continuum @ chebyshev(vacuum, len(result.continuum) - 1)
    error = np.where(result.used, result.error / level, np.nan)
    half = SHOWN_SIGMA * float(np.nanmedian(error))
    shown = np.where(result.used, np.clip(result.residuals / level, -half, half), np.nan)
    axes.plot(*broken(wavelength, shown), color=DATA, linewidth=0.6)
    band = broken(wavelength, -error, error)
    axes.fill_between(*band, color=MODEL, alpha=0.25, linewidth=0, label="error")
    axes.axhline(0, color=MODEL, linewidth=0.8)
    _left_out(axes, wavelength, result.used)
    axes.set_ylim(-half, half)
    axes.set_ylabel("Residual [%]")
    axes.set_xlabel(f"Wavelength in {result.spectrum.medium} [Å], {result.spectrum.frame} frame")
    axes.margins(x=0.01)


def _left_out(axes, wavelength: np.ndarray, used: np.ndarray) -> None:
    """Bands over the pixels that did not enter the fit."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~used, [0]]).astype(int)))
    step = np.median(np.diff(wavelength)) / 2
    for number, (first, end) in enumerate(edges.reshape(-1, 2)):
        label = "left out" if number == 0 else None
        low, high = wavelength[first] - step, wavelength[end - 1] + step
        axes.axvspan(low, high, color=BLUE, alpha=0.18, linewidth=0, label=label)
