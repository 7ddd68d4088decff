"""The paper's figures 3, 4, 6, 8 and 9 drawn from our data, and the error by wavelength.

Figure 1 shows the database and is drawn by ``database.figure``. Each function gives a matplotlib ``Figure``
and draws to no screen; ``save`` writes it. Wavelengths are those of
``points``.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from starloom import figures
from starloom.evaluation.errors import Distribution
from starloom.figures import BLACK, BLUE, GREEN, ORANGE, pyplot, styled
from starloom.labels import Domain, Label
from starloom.networks.history import Epoch
from starloom.wavelength import Points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: "Figure", path: str | os.PathLike, dpi: int = 200) -> Path:
    """Write a figure to ``path`` (PNG, PDF or SVG by its suffix), whole or not at all."""
    return figures.save(figure, path, dpi)


@styled
def learning_curve(history: Sequence[Epoch], best_epoch: int, loss: str = "mean squared error") -> "Figure":
    """Training and validation loss by epoch (figures 3 and 6), with the epoch whose weights are kept."""
    figure = _figure(6, 4)
    axes = figure.subplots()
    epochs = [row.epoch + 1 for row in history]
    axes.semilogy(epochs, [row.training_loss for row in history], color=BLUE, label="training")
    validation = [row.validation_loss for row in history]
    if np.isfinite(validation).any():
        axes.semilogy(epochs, validation, color=ORANGE, linestyle="--", label="validation")
    axes.axvline(best_epoch + 1, color=BLACK, linewidth=0.8, linestyle=":", label="weights kept")
    axes.set(xlabel="Epoch", ylabel=f"Loss ({loss})")
    axes.legend(frameon=False)
    return figure


@styled
def figure_4(points: Points, flux: np.ndarray, reconstructed: np.ndarray, star: str) -> "Figure":
    """The spectrum of a ``star``, its reconstruction by the autoencoder, and their difference."""
    figure, wavelength_aa = _figure(9, 4.5), points.wavelength_aa
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _pair(top, wavelength_aa, flux, reconstructed, "original", "reconstructed")
    top.set(ylabel="Normalised flux")
    top.set_title(star, fontsize=9)
    top.legend(frameon=False, loc="lower right", ncols=2)
    bottom.plot(wavelength_aa, reconstructed - flux, color=GREEN, linewidth=0.8)
    bottom.axhline(0, color=BLACK, linewidth=0.5)
    bottom.set(xlabel=_axis(points), ylabel="Difference", xlim=(points.first_aa, points.last_aa))
    return figure


@styled
def figure_8(
    points: Points,
    flux: np.ndarray,
    generated: np.ndarray,
    domain: Domain,
    labels: np.ndarray,
    truth: str = "synthesised",
    top: float = 1.1,
) -> "Figure":
    """Generated spectra over synthesised ones, a panel for each, with the difference at its true zero.

    ``flux`` and ``generated`` are ``[spectrum, point]``, ``labels[spectrum, label]`` those of ``domain``;
    ``truth`` is how the former are called, ``top`` where the panels end.
    """
    count, wavelength_aa = len(flux), points.wavelength_aa
    columns = 2 if count > 1 else 1
    rows = -(-count // columns)
    figure = _figure(5.5 * columns, 2.4 * rows + 0.6)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, ours, theirs, row in zip(panels, generated, flux, labels, strict=False):
        _pair(panel, wavelength_aa, theirs, ours, truth, "generated")
        panel.plot(wavelength_aa, ours - theirs, color=GREEN, linewidth=0.7, label="difference")
        panel.set_title(domain.symbols(row), fontsize=7)
    for panel in panels[count:]:
        panel.set_visible(False)
    for panel in panels[max(0, count - columns) : count]:
        panel.tick_params(labelbottom=True)
    panels[0].set(xlim=(points.first_aa, points.last_aa), ylim=(-0.1, top))
    figure.supxlabel(_axis(points))
    figure.supylabel("Normalised flux")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    return figure


@styled
def figure_9(
    test: np.ndarray, generated: np.ndarray, labels: Sequence[Label], truth: str = "synthesised"
) -> "Figure":
    """Densities of found minus true labels, for synthesised test spectra and for generated ones.

    Both are ``differences[spectrum, label]``; each panel spans the central 99 % of the test spectra's.
    ``truth`` is how the former are called.
    """
    rows = -(-len(labels) // 3)
    figure = _figure(10, 2.8 * rows)
    panels = figure.subplots(rows, 3, squeeze=False).ravel()
    for panel in panels[len(labels) :]:
        panel.set_visible(False)
    for axes, label, ours, theirs in zip(panels, labels, generated.T, test.T, strict=False):
        half = max(np.quantile(np.abs(theirs), 0.99), 1e-12)
        edges = np.linspace(-half, half, 61)
        axes.hist(theirs, edges, density=True, histtype="step", color=BLACK, label=f"{truth} (test)")
        axes.hist(ours, edges, density=True, histtype="step", color=ORANGE, linestyle="--", label="generated")
        axes.axvline(0, color=BLACK, linewidth=0.5)
        unit = f" [{label.unit}]" if label.unit else ""
        axes.set(xlabel=f"$\\Delta$ {label.symbol}{unit}", ylabel="Density", xlim=(-half, half))
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    return figure


@styled
def error_by_wavelength(points: Points, errors: Distribution) -> "Figure":
    """Median, P95 and P99 of the absolute flux error at each wavelength."""
    figure = _figure(9, 3.6)
    axes = figure.subplots()
    curves = (("P99", errors.p99, ORANGE), ("P95", errors.p95, BLUE), ("median", errors.p50, BLACK))
    for name, values, colour in curves:
        axes.semilogy(points.wavelength_aa, values, color=colour, linewidth=0.8, label=name)
    axes.set(xlabel=_axis(points), ylabel="Absolute flux error", xlim=(points.first_aa, points.last_aa))
    axes.legend(frameon=False, ncols=3)
    return figure


def _figure(width: float, height: float) -> "Figure":
    """An empty figure [inches] that no window or global list holds; ``ConfigError`` without matplotlib."""
    pyplot()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _axis(points: Points) -> str:
    return f"Wavelength in {points.medium} [Å]"


def _pair(axes, wavelength_aa, flux, other, name: str, other_name: str) -> None:
    axes.plot(wavelength_aa, other, color=ORANGE, linewidth=1.6, label=other_name)
    axes.plot(wavelength_aa, flux, color=BLACK, linewidth=0.7, linestyle="--", label=name)
