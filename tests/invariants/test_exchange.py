"""Results in notebooks and as tables: escaped, complete, with a clear word where pandas is absent."""

import sys
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from starloom import Generator, Spectrum, notebook
from starloom.errors import ConfigError
from starloom.inference.forecast import Setting, forecast
from starloom.labels import TABLE_1

SUN = (5777.0, 4.44, 2.0, 0.0, 1.0, 11500.0)


@pytest.fixture(scope="module")
def generator():
    return Generator.load("default")


@pytest.fixture(scope="module")
def labels(generator):
    given = dict(zip(TABLE_1.names, SUN, strict=True))
    return generator.domain.array(**generator.domain.defaults(given) | given)


@pytest.fixture(scope="module")
def star(generator, labels):
    made = generator.spectrum(labels)
    return replace(made, mask=np.arange(made.flux.size) < 10)


@pytest.fixture(scope="module")
def result(star, generator):
    pytest.importorskip("scipy")
    from starloom import fit

    return fit(
        replace(star, provenance={}, error=np.full(star.flux.size, 0.01)), generator, fixed={"logg": 4.44}
    )


@pytest.fixture(scope="module")
def bounds(generator, labels):
    pytest.importorskip("scipy")
    return forecast(generator, labels, Setting(100.0))


class Page(HTMLParser):
    """The words of a page; every element that is opened must be closed."""

    def __init__(self, text: str):
        super().__init__()
        self.words, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_notebooks_show_what_there_is(generator, labels, star, result, bounds):
    spectra = generator.spectra(np.stack([labels] * 20))
    shown = {
        generator: ("Generator 'default'", "Teff", "effective temperature"),
        generator.domain: ("Domain", "teff", "K"),
        star: ("5777", "10 of 4000 pixels", "divided by the continuum"),
        spectra: ("Spectra((20,)", "and 8 more", "Teff [K]"),
        result: ("4.44 (given)", "K", "logg"),
        bounds: ("Forecast", "bound", "velocity"),
    }
    for thing, wanted in shown.items():
        html = thing._repr_html_()
        assert len(html) < 20_000
        text = " ".join(Page(html).words)
        assert [word for word in wanted if word not in text] == []
    assert "<svg" in star._repr_html_()


def test_what_is_shown_is_escaped():
    html = notebook.table("<b>", ("<script>",), [("a & b", "<img onerror=x>")], "</p>")
    assert "<script>" not in html
    assert "<img" not in html
    assert Page(html).words.count("<script>") == 1


def test_a_curve_has_every_peak_and_nothing_that_is_not_finite():
    y = np.ones(5000)
    y[2500], y[7] = 0.0, np.nan
    points = notebook.curve(np.arange(5000.0), y).partition('points="')[2].partition('"')[0].split()
    heights = np.array([point.split(",") for point in points], float)[:, 1]
    assert (heights.min(), heights.max()) == (2, notebook.HEIGHT - 2)
    assert len(points) <= 2 * notebook.COLUMNS
    assert notebook.curve(np.arange(3.0), np.ones(3)) == ""
    assert notebook.curve(np.arange(3.0), np.full(3, np.nan)) == ""


def test_a_fit_as_a_table_has_all_parameters_with_units(result):
    table = result.to_table()
    assert list(table["name"]) == list(result.parameters)
    assert np.array_equal(table["value"], result.values)
    assert np.array_equal(table["error"], list(result.errors.values()))
    assert np.array_equal(np.stack([table["low"], table["high"]], axis=1), result.intervals)
    by_name = dict(zip(table["name"], table, strict=True))
    assert (by_name["teff"]["unit"], by_name["velocity"]["unit"]) == ("K", "km/s")
    assert (by_name["logg"]["free"], by_name["logg"]["error"]) == (False, 0)
    assert table.meta["reduced_chi2"] == result.reduced_chi2


def test_a_forecast_as_a_table(bounds):
    table = bounds.to_table()
    found = dict(zip(table["name"], table["bound"], strict=True))
    assert found == dict(bounds.bounds)
    assert dict(zip(table["name"], table["value"], strict=True))["velocity"] == 0


def test_pandas_has_the_same(star, result, bounds, generator, labels):
    pytest.importorskip("pandas")
    frame = star.to_pandas()
    assert list(frame.columns) == ["wavelength", "flux", "error", "mask"]
    assert np.array_equal(frame["flux"], star.flux)
    assert frame.attrs["labels"]["teff"] == 5777
    hotter = labels.copy()
    hotter[generator.domain.index("teff")] += 100
    spectra = generator.spectra(np.stack([labels, hotter]))
    many = spectra.to_pandas()
    assert many.shape == spectra.flux.shape
    assert many.index.get_level_values("teff").tolist() == [5777, 5877]
    assert many.columns[0] == spectra.wavelength[0]
    assert result.to_pandas().loc["teff", "value"] == result.labels["teff"]
    assert bounds.to_pandas().loc["velocity", "bound"] == bounds.bounds["velocity"]


def test_pandas_gets_columns_and_the_rest_as_attrs(monkeypatch, star, result):
    made = []

    class DataFrame:
        def __init__(self, columns, index=None):
            self.columns, self.index, self.attrs = columns, index, {}
            made.append(self)

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=DataFrame))
    frame = star.to_pandas()
    assert list(frame.columns) == ["wavelength", "flux", "error", "mask"]
    assert frame.columns["flux"].flags.writeable
    assert frame.attrs["medium"] == "air"
    assert result.to_pandas().index == list(result.parameters)


def test_the_absence_of_pandas_is_one_line(monkeypatch, star, result, bounds, generator, labels):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for thing in (star, result, bounds, generator.spectra(labels[None])):
        with pytest.raises(ConfigError, match=r"^pandas is not installed: pip install 'starloom\[pandas\]'$"):
            thing.to_pandas()


def test_a_spectrum_without_labels_is_shown():
    plain = Spectrum([8500.0, 8501.0, 8502.0], [1.0, 0.5, 1.0], medium="air", flux_unit="erg s-1 cm-2 AA-1")
    assert "erg" in plain._repr_html_()
