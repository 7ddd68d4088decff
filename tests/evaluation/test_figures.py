import sys

import numpy as np
import pytest

from starloom.errors import ConfigError
from starloom.evaluation import figures
from starloom.evaluation.errors import FluxErrors
from starloom.labels import DOMAIN
from starloom.networks.history import Epoch
from starloom.wavelength import PAPER_GRID_AA

RNG = np.random.default_rng(9)
LABELS = DOMAIN.unscale(RNG.uniform(-1, 1, (40, 6)))
LINES = np.array([8498.0, 8542.1, 8662.1])


def spectra():
    depth = 0.8 * np.exp(-(LABELS[:, :1] - 3600) / 8000)
    width = 1 + LABELS[:, 2:3] / 100
    profiles = [np.exp(-0.5 * ((PAPER_GRID_AA - line) / width) ** 2) for line in LINES]
    return (1 - depth * sum(profiles)).clip(0)


FLUX = spectra()
GENERATED = FLUX + 0.003 * np.cumsum(RNG.normal(size=FLUX.shape), axis=1) / 60
HISTORY = [Epoch(n, 1e-2 * 0.8**n + 1e-5, 1.1e-2 * 0.8**n + 2e-5, 1e-3, 1.0, 500.0) for n in range(30)]


def errors():
    found = FluxErrors(4000, {})
    found.add(LABELS, GENERATED, FLUX)
    return found.by_wavelength


UNIT = np.array([100, 0.03, 5, 0.1, 0.2, 300])
FIGURES = {
    "figure_3": lambda: figures.learning_curve(HISTORY, 24),
    "figure_4": lambda: figures.figure_4(PAPER_GRID_AA, FLUX[0], GENERATED[0], LABELS[0]),
    "figure_8": lambda: figures.figure_8(PAPER_GRID_AA, FLUX[:5], GENERATED[:5], LABELS[:5]),
    "figure_9": lambda: figures.figure_9(
        UNIT * RNG.normal(size=(2000, 6)), 1.1 * UNIT * RNG.normal(size=(2000, 6))
    ),
    "errors": lambda: figures.error_by_wavelength(PAPER_GRID_AA, errors()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_written_with_labelled_axes(name, tmp_path):
    figure = FIGURES[name]()
    path = figures.save(figure, tmp_path / f"{name}.png", dpi=60)
    assert path.read_bytes().startswith(b"\x89PNG")
    shared = figure.get_supxlabel() and figure.get_supylabel()
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert visible
    assert shared or any(axes.get_xlabel() for axes in visible)
    assert all(axes.get_ylabel() or shared for axes in visible)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ConfigError, match="starloom"):
        FIGURES["figure_4"]()


def test_learning_curve_without_validation():
    history = [Epoch(n, 1.0 / (n + 1), float("nan"), 1e-3, 1.0, 500.0) for n in range(3)]
    axes = figures.learning_curve(history, 2).axes[0]
    assert [line.get_label() for line in axes.lines] == ["training", "weights kept"]


def test_description_names_all_labels():
    text = figures.describe(np.array([9950, 3.5, 2, 0.5, 1.3, 11500]))
    for part in ("9950 K", "3.50", "2 km", "+0.50", "1.3 km", "11500"):
        assert part in text
