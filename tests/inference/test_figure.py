"""Figures of fits: which star, which lines, nothing where nothing was seen, digits that mean something."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from starloom import bands
from starloom.errors import ConfigError
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
    flux, residuals = drawn[0].axes
    star, labels = drawn[0].get_suptitle().split("\n")[:2]
    assert star.startswith("HD 1.fits, S/N ")
    assert labels.replace("\N{NO-BREAK SPACE}", " ").startswith(f"Teff = {result.values[0]:.0f} ± ")
    assert flux.get_ylim()[0] == 0
    names = [text.get_text() for text in flux.texts]
    assert names.count("Ca II") == 3
    assert "Fe I" in names
    places = [text.get_position()[0] for text in flux.texts if text.get_text() == "Ca II"]
    # NIST, moved to vacuum and by the star's velocity of 0.1 A at most
    np.testing.assert_allclose(sorted(places), [8500.35, 8544.44, 8664.52], atol=0.3 + 8544 * 60 / 3e5)
    assert flux.get_legend() is None  # it would lie over the names of hydrogen's lines
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["observed", "model", "left out", "error"]
    assert residuals.get_ylabel() == "Residual [%]"
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


def test_residuals_are_per_cent_of_the_continuum(result, drawn):
    figure.draw(result, "fit.png")
    _, residuals = drawn[0].axes
    x, y = residuals.lines[0].get_data()
    used = result.spectrum.wavelength[result.pixels][result.used]
    wanted = dict(zip(used, result.residuals[result.used], strict=True))
    # the continuum is 3.2e-13, tilted by a tenth to either side
    level = 3.2e-13 * (1 + 0.1 * (2 * (x - 8460) / 240 - 1))
    seen = np.isfinite(y) & (np.abs(y) < residuals.get_ylim()[1])
    told = np.array([wanted[place] for place in x[seen]])
    np.testing.assert_allclose(y[seen], 100 * told / level[seen], rtol=0.03, atol=1e-3)


def test_names_of_lines_have_ticks_where_the_lines_are(result, drawn):
    figure.draw(result, "fit.png", bands.load("rvs"))
    flux, _ = drawn[0].axes
    ticks = {line.get_xdata()[0]: line.get_ydata() for line in flux.lines if len(line.get_xdata()) == 2}
    assert sorted(ticks) == sorted(text.get_position()[0] for text in flux.texts)
    top = result.spectrum.flux[result.pixels][result.used].max()
    assert all(ends.min() > top for ends in ticks.values())


def test_a_name_with_a_dollar_is_drawn_as_it_is(result, tmp_path):
    about = {**result.spectrum.provenance, "file": "$x_1$ a_b^c.fits"}
    made = replace(result, spectrum=replace(result.spectrum, provenance=about)).plot()
    made.savefig(tmp_path / "star.png")
    assert made.get_suptitle().startswith("\\$x_1\\$ a_b^c.fits, S/N")
    pyplot.close("all")


def test_the_style_is_ours_alone(result):
    before = dict(pyplot.rcParams)
    result.plot()
    assert dict(pyplot.rcParams) == before
    assert all(tick.tick2line.get_visible() for tick in pyplot.gcf().axes[0].xaxis.get_major_ticks())
    pyplot.close("all")


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_corner_plot_tells_all_and_its_labels_do_not_collide(result, drawn, count):
    pytest.importorskip("corner")
    names = tuple(result.free)[:count]
    index = [result.parameters.index(name) for name in names]
    covariance = result.covariance[np.ix_(index, index)]
    draws = np.random.default_rng(1).multivariate_normal(result.values[index], covariance, 300)
    made = posterior.Posterior(result, names, draws, 0, np.full(count, 300.0))
    posterior.corner(made, "corner.png")
    panels = np.array(drawn[0].axes).reshape(count, count)
    for number, panel in enumerate(panels.diagonal()):
        low, middle, high = made.intervals[number]
        assert panel.get_title() == "${}^{{+{}}}_{{-{}}}$".format(
            *rounded(middle, high - middle, middle - low)
        )
        assert result.values[index][number] in panel.lines[0].get_xdata()
    canvas = drawn[0].canvas
    canvas.draw()
    renderer = canvas.get_renderer()
    legends = [[text.get_text() for text in legend.get_texts()] for legend in drawn[0].legends]
    assert legends == ([["posterior (68 and 95 %)", "fit"]] if count > 1 else [])
    shown = [panels[row, column] for row in range(count) for column in range(row + 1)]
    labels = [each.label for axes in shown for each in (axes.xaxis, axes.yaxis)] + [
        axes.title for axes in shown
    ]
    boxes = [text.get_window_extent(renderer) for text in labels if text.get_text()]
    assert len(boxes) == 3 * count - 1
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
        assert drawn[0].bbox.x0 <= box.x0 <= box.x1 <= drawn[0].bbox.x1


def test_the_absence_of_corner_is_told_before_a_fit(monkeypatch, tmp_path):
    pytest.importorskip("numpyro")
    monkeypatch.setitem(sys.modules, "corner", None)
    with pytest.raises(ConfigError, match=r"^corner is not installed: pip install 'starloom\[inference\]'$"):
        posterior.check(tmp_path / "corner.png")
