import sys

import numpy as np
import pytest

from starloom.errors import ConfigError
from starloom.evaluation.errors import FluxErrors
from starloom.labels import TABLE_1, Domain
from starloom.networks.history import Epoch
from starloom.paper import plots
from starloom.wavelength import Points

RNG = np.random.default_rng(9)
LABELS = TABLE_1.from_unit(RNG.uniform(0, 1, (40, 6)))
POINTS = Points("air", "linear", 8400.0, 8799.9, 4000)
LINES = np.array([8498.0, 8542.1, 8662.1])


def spectra():
    depth = 0.8 * np.exp(-(LABELS[:, :1] - 3600) / 8000)
    width = 1 + LABELS[:, 2:3] / 100
    profiles = [np.exp(-0.5 * ((POINTS.wavelength_aa - line) / width) ** 2) for line in LINES]
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
    "figure_3": lambda: plots.learning_curve(HISTORY, 24),
    "figure_4": lambda: plots.figure_4(POINTS, FLUX[0], GENERATED[0], "Teff 5772 K"),
    "figure_8": lambda: plots.figure_8(POINTS, FLUX[:5], GENERATED[:5], TABLE_1, LABELS[:5]),
    "figure_9": lambda: plots.figure_9(
        UNIT * RNG.normal(size=(2000, 6)), 1.1 * UNIT * RNG.normal(size=(2000, 6)), TABLE_1.labels
    ),
    "errors": lambda: plots.error_by_wavelength(POINTS, errors()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_written_with_labelled_axes(name, tmp_path):
    figure = FIGURES[name]()
    path = plots.save(figure, tmp_path / f"{name}.png", dpi=60)
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
    axes = plots.learning_curve(history, 2).axes[0]
    assert [line.get_label() for line in axes.lines] == ["training", "weights kept"]


def test_labels_and_points_are_those_that_are_given():
    domain = Domain.of({"alpha": (-0.2, 0.6), "Ca": (-0.5, 0.5)})
    points = Points("vacuum", "linear", 5000.0, 5100.0, 60)
    flux = np.ones((2, 60))
    shown = plots.figure_8(points, flux, flux, domain, np.array([[0.3, -0.2], [0.0, 0.1]]))
    assert shown.axes[0].get_title() == "[alpha/M] +0.30, [Ca/M] -0.20"
    assert shown.get_supxlabel() == "Wavelength in vacuum [Å]"
    found = plots.figure_9(RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2)), domain.labels)
    assert found.axes[0].get_xlabel() == "$\\Delta$ [alpha/M] [dex]"
    assert found.axes[1].get_xlabel() == "$\\Delta$ [Ca/M] [dex]"
