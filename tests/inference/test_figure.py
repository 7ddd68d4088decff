"""Figures of fits: which star, which lines, nothing where nothing was seen, digits that mean something."""

import numpy as np
import pytest

from starloom import bands
from starloom.inference import figure, fit, posterior
from starloom.inference.result import rounded
from starloom.io import read_observed
from starloom.spectrum import Spectrum

pyplot = pytest.importorskip("matplotlib.pyplot")
pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def result(observed, model, tmp_path_factory):
    """A star with a gap of 40 A and masked pixels, read from a file."""
    star = observed(seed=3)
    kept = (star.wavelength < 8570) | (star.wavelength > 8610)
    path = tmp_path_factory.mktemp("figure") / "HD 1.fits"
    mask = np.zeros(star.wavelength.size, bool)
    mask[100:120] = True
    parts = {"error": star.error[kept], "mask": mask[kept], "labels": {"resolution": 11500.0}}
    Spectrum(star.wavelength[kept], star.flux[kept], medium=star.medium, **parts).write(path)
    return fit(read_observed(path), model)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, instead of files."""
    figures = []
    for module in (figure, posterior):
        monkeypatch.setattr(module, "save", lambda made, *_, **__: figures.append(made))
    yield figures
    pyplot.close("all")


def test_the_figure_of_a_fit_tells_star_and_lines(result, drawn):
    figure.draw(result, "fit.png", bands.load("rvs"))
    flux, _, residuals, _ = drawn[0].axes
    assert flux.get_title() == "HD 1.fits"
    assert flux.get_ylim()[0] == 0
    names = [text.get_text() for text in flux.texts]
    assert names.count("Ca II") == 3
    assert "Fe I" in names
    places = [text.get_position()[0] for text in flux.texts if text.get_text() == "Ca II"]
    # NIST, moved to vacuum and by the star's velocity of 0.1 A at most
    np.testing.assert_allclose(sorted(places), [8500.35, 8544.44, 8664.52], atol=0.3 + 8544 * 60 / 3e5)
    assert flux.get_legend() is None  # it would lie over the names of hydrogen's lines
    (legend,) = (axes.get_legend() for axes in drawn[0].axes if axes.get_legend())
    assert [text.get_text() for text in legend.get_texts()] == ["observed", "model", "left out"]
    for line in (*flux.lines[:2], residuals.lines[0]):
        x, y = line.get_data()
        seen = x[np.isfinite(x) & np.isfinite(y)]
        assert np.isnan(x).sum() == 1  # a line ends before the gap and begins anew behind it
        assert seen.max() > 8610
        assert not ((seen > 8570) & (seen < 8610)).any()
    x, y = residuals.lines[0].get_data()
    left_out = result.spectrum.wavelength[result.pixels][~result.used]
    assert np.isnan(y[np.isin(x, left_out)]).all()


def test_a_spectrum_is_not_drawn_across_a_gap(result):
    x, _ = result.spectrum.plot().lines[0].get_data()
    assert np.isnan(x).sum() == 1
    pyplot.close("all")


def test_the_text_of_a_fit_is_whole(result):
    text = figure.text(result)
    assert "±: all uncertainties\n(): what noise alone allows\n" in text
    assert "R        11500 (given)\n" in text


@pytest.mark.parametrize(
    ("value", "errors", "told"),
    [
        (7.1, [2.0], ["7.1", "2.0"]),
        (35.15, [0.2], ["35.15", "0.20"]),
        (5777.4, [42.0], ["5777", "42"]),
        (5777.4, [1234.0], ["5777", "1234"]),
        (0.5, [0.0996], ["0.50", "0.10"]),
        (-0.123456, [0.0042, 0.031], ["-0.1235", "0.0042", "0.0310"]),
        (1.0, [0.0], ["1.0000000000", "0.0000000000"]),
    ],
)
def test_a_value_is_rounded_to_its_error(value, errors, told):
    assert rounded(value, *errors) == told


def test_what_a_fit_says_of_itself_is_rounded(result):
    texts = repr(result).removeprefix("FitResult(").partition(";")[0].split(", ")
    for text in texts:
        value, error = text.partition(" = ")[2].split(" +- ")
        assert len(value.partition(".")[2]) == len(error.partition(".")[2])


@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_labels_of_a_corner_plot_do_not_collide(result, drawn, count):
    names = tuple(result.free)[:count]
    index = [result.parameters.index(name) for name in names]
    covariance = result.covariance[np.ix_(index, index)]
    draws = np.random.default_rng(1).multivariate_normal(result.values[index], covariance, 300)
    posterior.corner(posterior.Posterior(result, names, draws, 0, np.full(count, 300.0)), "corner.png")
    canvas = drawn[0].canvas
    canvas.draw()
    renderer = canvas.get_renderer()
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["posterior (curve: 68 %)", "fit (68 %)"]
    labels = [each.label for axes in drawn[0].axes for each in (axes.xaxis, axes.yaxis)]
    ticks = [tick for axes in drawn[0].axes for tick in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    boxes = [text.get_window_extent(renderer) for text in (*labels, *ticks) if text.get_text()]
    labels = boxes[: sum(bool(text.get_text()) for text in labels)]
    for number, box in enumerate(labels):
        others = labels[number + 1 :] + boxes[len(labels) :]
        assert not any(box.overlaps(other) for other in others)
        assert drawn[0].bbox.x0 <= box.x0 <= box.x1 <= drawn[0].bbox.x1
