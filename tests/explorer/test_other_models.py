"""The page with models that are not the packaged ones: any labels in any order, any band and points."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from starloom.broadening import (
    FINEST_RESOLUTION,
    LIMB_DARKENING,
    doppler_shift,
    gaussian_transfer,
    instrument_variance,
    point_sampler,
    rotation_transfer,
    uniform_step,
)
from starloom.explorer.facts import facts
from starloom.networks import weights
from starloom.networks.emulator import RotationTable
from starloom.networks.forward import linear
from starloom.networks.weights import Header, LabelRange, Model, Points
from starloom.wavelength import air_from_vacuum, log_grid

MODES, GRID, KEPT = 650, 2160, 4320
KEPT_AA = log_grid(8440.0, 8760.0, KEPT)  # vacuum
SEVEN = (
    LabelRange("alpha", "dex", -0.2, 0.6),
    LabelRange("teff", "K", 4000.0, 7000.0),
    LabelRange("resolution", "", 3000.0, 14000.0),
    LabelRange("logg", "dex", 2.0, 5.0),
    LabelRange("Ca", "dex", -0.5, 0.5),
    LabelRange("mh", "dex", -2.0, 0.5),
    LabelRange("vsini", "km/s", 0.0, 50.0),
)
TWO = (LabelRange("mh", "dex", -2.0, 0.5), LabelRange("n_lines", "", 1.0, 9.0))
POINTS = Points("vacuum", "logarithmic", 8450.0, 8750.0, 1500)


class Toy:
    """A linear network of random modes, and its spectra by numpy."""

    def __init__(self, labels: tuple[LabelRange, ...]):
        self.labels = labels
        self.names = [label.name for label in labels]
        learned = [label for label in labels if label.name not in ("vsini", "resolution")]
        self.learned = [label.name for label in learned]
        span = np.array([label.high - label.low for label in learned])
        rng = np.random.default_rng([14, len(labels)])
        weight = rng.normal(0, 2e-3, (len(learned), 2 * MODES)) / span[:, None]
        weight[:, [0, MODES]] = 0
        bias = rng.normal(0, 2e-3, 2 * MODES)
        bias[[0, MODES]] = 0.95, 0
        self.network = linear(weight, bias)
        self.step = uniform_step(KEPT_AA)
        self.frequency = np.fft.rfftfreq(KEPT, self.step)[:MODES]
        x = 2 * np.pi * self.frequency[-1] * max(label.high for label in labels if label.unit != "K")
        rotation = RotationTable.up_to(float(x), LIMB_DARKENING) if "vsini" in self.names else None
        self.emulator = SimpleNamespace(
            finish=SimpleNamespace(frequency=self.frequency, points=GRID), rotation=rotation
        )
        self.header = Header(
            "emulator", labels, POINTS, settings={"modes_resolution": FINEST_RESOLUTION}, version="0"
        )

    def flux(self, labels: dict[str, float], velocity: float = 0.0) -> np.ndarray:
        values = np.array([labels[name] for name in self.learned])
        halves = self.network(values).astype(float)
        modes = halves[:MODES] + 1j * halves[MODES:]
        if "vsini" in labels:
            modes = modes * rotation_transfer(self.frequency, labels["vsini"])
        if "resolution" in labels:
            left = instrument_variance(labels["resolution"]) - instrument_variance(FINEST_RESOLUTION)
            modes = modes * gaussian_transfer(self.frequency, left)
        modes = modes * np.exp(-2j * np.pi * self.frequency * doppler_shift(velocity))
        values = np.fft.irfft(modes * GRID, GRID)
        uniform = KEPT_AA[0] * np.exp(self.step * KEPT / GRID * np.arange(GRID) / 299792.458)
        return point_sampler(uniform, POINTS.wavelength_aa)(values)

    def content(self, packaged: dict[str, bytes], folder) -> dict[str, bytes]:
        """The page's files with this model."""
        path = folder / f"toy-{len(self.labels)}.safetensors"
        weights.save(path, Model(self.header, {"modes": self.network}))
        body = path.read_bytes()
        about = {"name": "toy", "file": path.name, "bytes": len(body)}
        about["sha256"] = hashlib.sha256(body).hexdigest()
        told = json.dumps(facts(self.emulator, self.header, KEPT_AA) | {"model": about}, allow_nan=False)
        return {**packaged, path.name: body, "facts.json": told.encode()}


@pytest.fixture(scope="module", params=[SEVEN, TWO], ids=["seven labels", "two labels"])
def toy(request) -> Toy:
    return Toy(request.param)


@pytest.fixture(scope="module")
def toy_address(toy, serve, content, tmp_path_factory):
    with serve(toy.content(content, tmp_path_factory.mktemp("toy"))) as address:
        yield address


@pytest.fixture(scope="module")
def kept_toy(opened, toy_address):
    return opened(toy_address)


@pytest.fixture
def shown(kept_toy):
    """The page as it opens, kept from test to test; fails for complaints in the console."""
    page, complaints = kept_toy
    page.evaluate("explorer.observe(null); explorer.open('')")
    yield page
    assert complaints == []


def drawn(page) -> np.ndarray:
    page.wait_for_function("!explorer.frame")
    flux = page.evaluate("Array.from(explorer.scene.flux, (f) => Number.isNaN(f) ? null : f)")
    return np.array(flux, float)


def state(page) -> dict:
    page.wait_for_function("!explorer.frame")
    return page.evaluate("explorer.state")


def settled(page) -> str:
    same = "decodeURIComponent(location.hash.slice(1)) === decodeURIComponent(explorer.link().split('#')[1])"
    page.wait_for_function(same)
    return page.evaluate("location.hash")


def test_every_label_has_a_slider_and_moves_what_numpy_says(shown, toy):
    page = shown
    ids = page.evaluate("Array.from(document.querySelectorAll('.label input[type=number]'), (e) => e.id)")
    assert sorted(ids) == sorted([*toy.names, "rv"])
    for label in toy.labels:
        box = page.locator(f".label:has(#{label.name})")
        assert f"{label.low:g} to {label.high:g}" in box.inner_text().replace("−", "-")
        before = drawn(page)
        page.fill(f"#{label.name}", str(round(0.7 * label.low + 0.3 * label.high, 2)))
        assert np.nanmax(np.abs(drawn(page) - before)) > 1e-4
    page.fill("#rv", "40")
    found, told = drawn(page), state(page)
    known = np.isfinite(found)
    assert known.sum() > 1400
    np.testing.assert_allclose(found[known], toy.flux(told["labels"], 40)[known], atol=1e-5)


def test_plot_spans_the_models_band_in_both_media(shown):
    page = shown
    own = POINTS.wavelength_aa
    for medium, wavelength in (("air", air_from_vacuum(own)), ("vacuum", own)):
        page.locator("#medium label", has_text=medium).click()
        state(page)
        np.testing.assert_allclose(page.evaluate("Array.from(explorer.scene.x)"), wavelength, rtol=1e-13)
        low, high = page.evaluate("[explorer.plots.flux.scales.x.min, explorer.plots.flux.scales.x.max]")
        assert low == pytest.approx(wavelength[0], abs=1)
        assert high == pytest.approx(wavelength[-1], abs=1)
    names = page.locator("#windows button").all_inner_texts()
    assert names == ["All", "Ca II 8498", "8542", "8662"]
    page.click("#windows button:has-text('8542')")
    page.evaluate("explorer.plots.pointAt(8540.0)")
    i = np.abs(own - 8540.0).argmin()
    assert f"{drawn(page)[i]:.4f}" in page.inner_text("#readout")
    ink = """() => { const { ctx, bbox } = explorer.plots.flux;
      const { data } = ctx.getImageData(bbox.left, bbox.top, bbox.width, bbox.height);
      return data.filter((value, i) => i % 4 === 3 && value > 200).length; }"""
    assert page.evaluate(ink) > 500


def test_link_goes_round(shown, visit, toy, toy_address):
    page = shown
    first, last = toy.labels[0], toy.labels[-1]
    page.fill(f"#{first.name}", str(first.high))
    page.click("#pin")
    page.fill(f"#{last.name}", str(round(0.5 * (last.low + last.high), 2)))
    page.fill("#rv", "-12.5")
    page.click("#windows button:has-text('8662')")
    other = visit(settled(page), at=toy_address)
    keep = ("labels", "velocity", "medium", "pins")
    assert {name: state(other)[name] for name in keep} == {name: state(page)[name] for name in keep}
    np.testing.assert_allclose(state(other)["window"], state(page)["window"], atol=1e-3)
    assert len(state(other)["pins"]) == 1
    np.testing.assert_array_equal(drawn(other), drawn(page))
    assert other.inner_text("#notice") == ""
    other.evaluate("location.hash = '#vmic=2&pinA=5777,4.44,2,0,1,11500,0'")
    other.wait_for_function("document.getElementById('notice').textContent")
    told = other.inner_text("#notice")
    assert "vmic is not known here" in told
    assert f"is not {len(toy.labels) + 1} numbers and is left out" in told
    assert state(other)["pins"] == []


def test_downloads_and_words_name_all_labels(shown, toy):
    page = shown
    for name in toy.names:
        assert f"{name}=" in page.evaluate("explorer.python()")
    assert page.locator("#legend .chip").count() == 1
    with page.expect_download() as waited:
        page.click("#save-csv")
    head = waited.value.path().read_text().split("wavelength,flux")[0]
    labels = json.loads(head.split("# labels = ")[1].splitlines()[0])
    assert labels == state(page)["labels"]
    assert list(labels) == toy.names
    page.fill("#rv", "400")  # so that some points are not known
    drawn(page)
    call = page.evaluate("explorer.python()")
    assert "from numpy import geomspace\nfrom starloom.wavelength import air_from_vacuum\n" in call
    assert "wavelength_aa=air_from_vacuum(geomspace(8450.0, 8750.0, 1500)[" in call


def test_an_observed_spectrum_is_overlaid_and_fitted(shown, toy, tmp_path):
    """What numpy gives for other labels, scaled: the estimate comes back to it within its rounding."""
    page = shown
    star = state(page)["labels"]
    wanted = {label.name: star[label.name] for label in toy.labels}
    for label in toy.labels:
        if label.name != "resolution":
            wanted[label.name] = round(0.4 * label.low + 0.6 * label.high, 2)
    flux = 1.1 * toy.flux(wanted, 3.0)
    path = tmp_path / "star.csv"
    rows = [f"{w!r},{f!r},0.001" for w, f in zip(POINTS.wavelength_aa.tolist(), flux.tolist(), strict=True)]
    path.write_text("wave_vac,flux,error\n" + "\n".join(rows))
    page.set_input_files("#file", path)
    page.wait_for_selector("#overlay:not([hidden])")
    page.click("#fit")
    page.wait_for_function("explorer.estimate", timeout=60_000)
    found = page.evaluate("explorer.estimate")
    assert found["velocity"] == pytest.approx(3.0, abs=0.2)
    for label in toy.labels:
        assert found["labels"][label.name] == pytest.approx(
            wanted[label.name], abs=0.02 * (label.high - label.low)
        ), label.name
    rows = page.locator("#fit-result tr")
    assert rows.count() == len(found["deviation"])
    assert ("R held at 11500" in page.inner_text("#fit-result")) == ("resolution" in toy.names)
    assert found["rms"] < 1e-3
