"""The page with models that are not the packaged ones: any labels, any band, of one chunk or several."""

import json
from dataclasses import replace

import numpy as np
import pytest

from starloom.bands import Band
from starloom.broadening import (
    LIMB_DARKENING,
    Finish,
    doppler_shift,
    finish_of,
    gaussian_transfer,
    instrument_variance,
)
from starloom.constants import SPEED_OF_LIGHT_KMS, SYMBOLS
from starloom.explorer.facts import PRESETS, facts
from starloom.explorer.site import site
from starloom.labels import Domain
from starloom.networks import weights
from starloom.networks.emulator import Emulator, packed
from starloom.networks.forward import Network, linear
from starloom.networks.generator import Generator
from starloom.networks.scaling import label_scaling
from starloom.networks.stated_error import MEASURES, Correction, StatedError, attached
from starloom.wavelength import Points, air_from_vacuum

EIGHT = (  # giants, in two chunks, with nothing known of the band's lines
    Domain.of(
        {
            "teff": (4000.0, 7000.0),
            "logg": (0.5, 3.0),
            "mh": (-2.0, 0.5),
            "alpha": (-0.2, 0.6),
            "Ca": (-0.5, 0.5),
            "filling": (-0.1, 0.5),
            "vsini": (0.0, 50.0),
            "resolution": (5000.0, 14500.0),
        }
    ),
    Band.over("toy", 8450.0, 8750.0, 2),
)
TWO = (
    Domain.of({"vmac": (0.0, 20.0), "mh": (-2.0, 0.5)}),
    Band.over(
        "other toy",
        8445.0,
        8755.0,
        margin_kms=150.0,
        points=Points("vacuum", "logarithmic", 8450.0, 8750.0, 1500),
        tables="starloom.tables.bands.rvs",
    ),
)
VELOCITY_KMS = 400.0

# flux for labels by name, velocity and wavelengths (null: the model's own); null where it is not known
FLUX = """(rows) => rows.map(([labels, velocity, vacuum]) => {
  const { emulator } = explorer;
  const sampler = vacuum ? emulator.at(Float64Array.from(vacuum)) : emulator.sampler;
  return Array.from(emulator.flux(labels, velocity, sampler), (f) => (Number.isNaN(f) ? null : f));
})"""

STATED = """([rows, measure]) => rows.map(([labels, velocity]) => {
  const { stated, sampler } = explorer.emulator;
  return Array.from(stated.at(measure, labels, velocity, new Float64Array(sampler.count)));
})"""


class Toy:
    """A model whose spectra are made-up lines with depths that are linear in the intrinsic labels."""

    def __init__(self, domain: Domain, band: Band, folder):
        self.domain, self.names, self.points = domain, domain.names, band.points
        rng = np.random.default_rng([15, len(domain.names)])
        self.lines_aa = np.sort(rng.uniform(8435, 8770, 60))
        self.depth = rng.uniform(0.02, 0.3, 60)
        self.change = rng.uniform(-1, 1, (len(domain.intrinsic.names), 60)) / 5
        chunks = [
            Emulator(domain, self.network(finish), finish, LIMB_DARKENING, band.finest_resolution)
            for finish in finish_of(band).chunks
        ]
        self.path = folder / f"toy-{len(domain.names)}.safetensors"
        weights.save(self.path, attached(packed(chunks, band), self.stated(rng)))
        self.generator = Generator.load(self.path)

    def network(self, finish: Finish) -> Network:
        """The modes of a chunk by the labels, each of which runs from -1 to 1 over its range."""
        distance = SPEED_OF_LIGHT_KMS * np.log(finish.grid.wavelength_aa / self.lines_aa[:, None])
        lines = self.depth[:, None] * np.exp(-0.5 * (distance / 9) ** 2)
        left = instrument_variance(finish.finest_resolution) - instrument_variance(finish.kept_resolution)
        continuum = finish.modes(1 - lines.sum(0)[None])
        modes = np.concatenate([continuum, finish.modes_of_change(-self.change @ lines)])
        modes *= gaussian_transfer(finish.frequency, left)
        halves = np.concatenate([modes.real, modes.imag], axis=-1)
        return label_scaling(self.domain.intrinsic).then(linear(halves[1:], halves[0]))

    def stated(self, rng: np.random.Generator) -> StatedError:
        """Made-up errors by the last label, in several bands or, of few points, in one; more at two ends."""
        edges = {self.names[-1]: np.linspace(self.domain.low[-1], self.domain.high[-1], 4)}
        width = 200 if self.points.count > 2000 else 2000
        bands, wide = -(-self.points.count // width), -(-self.points.count // (2 * width))
        ends = Correction(
            dict.fromkeys(self.names[:2], 0.2), rng.uniform(0.5, 2, (len(MEASURES), 9, wide)), 2 * width
        )
        sizes = rng.uniform(1e-4, 1e-3, (len(MEASURES), 3, bands))
        return StatedError(self.domain, edges, sizes, self.points, width, 100, ends)

    def stars(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the whole domain and velocities, which are 0 for every second."""
        rng = np.random.default_rng([15, count])
        labels = self.domain.from_unit(rng.uniform(0, 1, (count, len(self.names))))
        return labels, np.where(np.arange(count) % 2, rng.uniform(-1, 1, count) * VELOCITY_KMS, 0.0)

    def row(self, labels: np.ndarray) -> dict[str, float]:
        """Labels by name."""
        return dict(zip(self.names, labels.tolist(), strict=True))

    def flux(self, labels: dict[str, float], velocity: float) -> np.ndarray:
        """By Python at the model's points, known or not."""
        return self.generator.model.spectrum(self.domain.array(**labels)[None], np.array([velocity]))[0]


@pytest.fixture(scope="module", params=[EIGHT, TWO], ids=["eight labels", "two labels"])
def toy(request, tmp_path_factory) -> Toy:
    return Toy(*request.param, tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def toy_content(toy) -> dict[str, bytes]:
    return site(toy.path)


@pytest.fixture(scope="module")
def toy_address(toy_content, serve):
    with serve(toy_content) as address:
        yield address


@pytest.fixture(scope="module")
def kept_toy(opened, toy_address):
    return opened(toy_address)


@pytest.fixture
def shown(kept_toy):
    """The page as it opens, kept from test to test; fails for complaints in the console."""
    page, complaints = kept_toy
    page.evaluate("explorer.observe(null); explorer.open('')")
    page.evaluate("document.getElementById('elements')?.setAttribute('open', '')")
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


def test_the_page_is_told_all_chunks(toy, toy_content):
    told = json.loads(toy_content["facts.json"])
    chunks = toy.generator.header.band.kept
    assert [part["kept_aa"] for part in told["finish"]] == [[own.first_aa, own.last_aa] for own in chunks]
    assert told["floor"] is None
    ranges = [(label["name"], label["low"], label["high"]) for label in told["labels"]]
    assert ranges == [(label.name, low, high) for label, low, high in toy.domain.ranges]
    assert bool(told["lines"]["atoms"]) == bool(toy.generator.header.band.tables)


def test_a_band_whose_tables_are_not_here_names_no_lines(toy):
    header = toy.generator.header
    elsewhere = replace(header, band=replace(header.band, tables="no_such_package.bands.toy"))
    told = facts(elsewhere, getattr(toy.generator.model, "chunks", (toy.generator.model,)))
    assert told["lines"]["atoms"] == told["lines"]["hydrogen"] == []


def test_flux_is_that_of_python(shown, toy):
    labels, velocity = toy.stars(30)
    rows = [[toy.row(star), moving, None] for star, moving in zip(labels, velocity.tolist(), strict=True)]
    found = np.array(shown.evaluate(FLUX, rows), float)
    model, vacuum = toy.generator.model, toy.points.vacuum_aa
    low, high = model.known(labels, velocity)
    known = (vacuum > low[:, None]) & (vacuum < high[:, None])
    np.testing.assert_array_equal(np.isfinite(found), known)
    assert known[velocity == 0].all()
    expected = np.where(velocity[:, None] == 0, model.spectrum(labels), model.spectrum(labels, velocity))
    np.testing.assert_allclose(found[known], expected[known], rtol=0, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.1


def test_stated_errors_are_those_of_python(shown, toy):
    """Also of a model with one band of wavelengths alone."""
    labels, velocity = toy.stars(20)
    labels[10:] = np.choose(
        np.random.default_rng(15).integers(0, 2, labels[10:].shape), [toy.domain.low, toy.domain.high]
    )
    rows = [[toy.row(star), moving] for star, moving in zip(labels, velocity.tolist(), strict=True)]
    for measure in ("p68", "p99"):
        found = shown.evaluate(STATED, [rows, measure])
        expected = toy.generator.error(labels, measure, radial_velocity=velocity)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_chunks_meet_without_a_step(shown, toy):
    """Where lines of the next chunk begin to matter, where both are half, where those of the first end."""
    labels, velocity = toy.stars(40)
    model = toy.generator.model
    for before in getattr(model, "chunks", ())[:-1]:
        fade = before.finish.window.stop
        away = fade.width_kms + before.reach(labels) + np.abs(doppler_shift(velocity))
        for place in (-away, 0 * away, away):
            at = fade.join_aa * np.exp(place / SPEED_OF_LIGHT_KMS)[:, None] + np.array([-1e-6, 1e-6])
            rows = [
                [toy.row(star), *rest]
                for star, *rest in zip(labels, velocity.tolist(), at.tolist(), strict=True)
            ]
            found = np.array(shown.evaluate(FLUX, rows), float)
            assert np.abs(np.diff(found)).max() < 1e-5
            expected = [
                model.on(own).spectrum(star[None], np.array([moving]))[0]
                for star, moving, own in zip(labels, velocity, at, strict=True)
            ]
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_label_has_a_slider_and_moves_what_python_says(shown, toy):
    page = shown
    ids = page.evaluate("Array.from(document.querySelectorAll('.label input[type=number]'), (e) => e.id)")
    assert sorted(ids) == sorted([*toy.names, "rv"])
    for label, low, high in toy.domain.ranges:
        box = page.locator(f".label:has(#{label.name})")
        title = box.get_attribute("title")
        told = title if label.name in SYMBOLS else box.inner_text()
        assert f"{low:g} to {high:g}" in told.replace("−", "-")
        assert title.startswith(label.description)
        before = drawn(page)
        page.fill(f"#{label.name}", str(round(0.7 * low + 0.3 * high, 2)))
        assert np.nanmax(np.abs(drawn(page) - before)) > 1e-4
    page.fill("#rv", "40")
    found, told = drawn(page), state(page)
    known = np.isfinite(found)
    assert known.sum() > 0.95 * toy.points.count
    np.testing.assert_allclose(found[known], toy.flux(told["labels"], 40)[known], atol=1e-5)


def test_all_of_the_domain_and_nothing_else_is_reached(shown, toy):
    """Without a floor log g goes to its lower end everywhere; presets outside the domain are left out."""
    for label, low, high in toy.domain.ranges:
        for end, beyond in ((low, low - 1e4), (high, high + 1e4)):
            shown.evaluate("([name, value]) => explorer.setStar({ [name]: value })", [label.name, beyond])
            assert state(shown)["labels"][label.name] == end
            assert state(shown)["notice"] == ""
    names = shown.locator("#presets button").all_inner_texts()
    assert names == (["Arcturus-like giant"] if "logg" in toy.names else list(PRESETS))


def test_plot_spans_the_models_band_in_both_media(shown, toy):
    page, vacuum = shown, toy.points.vacuum_aa
    for medium, wavelength in (("air", air_from_vacuum(vacuum)), ("vacuum", vacuum)):
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
    i = np.abs(vacuum - 8540.0).argmin()
    assert f"{drawn(page)[i]:.4f}" in page.inner_text("#readout")
    ink = """() => { const { ctx, bbox } = explorer.plots.flux;
      const { data } = ctx.getImageData(bbox.left, bbox.top, bbox.width, bbox.height);
      return data.filter((value, i) => i % 4 === 3 && value > 200).length; }"""
    assert page.evaluate(ink) > 500
    named = page.evaluate("explorer.scene.lines.map((line) => line.species)")
    assert ("Ca II" in named) == bool(named) == bool(toy.generator.header.band.tables)


def test_link_goes_round(shown, visit, toy, toy_address):
    page = shown
    first, last = toy.names[0], toy.names[-1]
    page.fill(f"#{first}", str(toy.domain.high[0]))
    page.click("#pin")
    page.fill(f"#{last}", str(round(0.5 * (toy.domain.low[-1] + toy.domain.high[-1]), 2)))
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
    assert f"is not {len(toy.names) + 1} numbers and is left out" in told
    assert state(other)["pins"] == []


def test_downloads_and_words_name_all_labels(shown, toy, monkeypatch):
    page = shown
    for symbol in set(SYMBOLS) & set(toy.names):
        page.fill(f"#{symbol}", "0.2")  # the call leaves out what is at its default
    for name in toy.names:
        assert f"{name}=" in page.evaluate("explorer.python()")
    assert page.locator("#legend .chip").count() == 1
    with page.expect_download() as waited:
        page.click("#save-csv")
    head = waited.value.path().read_text().split("wavelength,flux")[0]
    labels = json.loads(head.split("# labels = ")[1].splitlines()[0])
    assert labels == state(page)["labels"]
    assert tuple(labels) == toy.names
    monkeypatch.chdir(toy.path.parent)  # the call names the file as the page was given it
    for velocity in ("0", "400"):  # with which some points are not known
        page.fill("#rv", velocity)
        flux, names = drawn(page), {}
        exec(page.evaluate("explorer.python()"), names)
        known = np.isfinite(flux)
        assert known.all() == (velocity == "0")
        np.testing.assert_allclose(names["spectrum"].flux, flux[known], atol=1e-5)
        x = np.array(page.evaluate("Array.from(explorer.scene.x)"))
        np.testing.assert_allclose(names["spectrum"].wavelength, x[known], rtol=1e-13)


def test_an_observed_spectrum_is_overlaid_and_fitted(shown, toy, tmp_path):
    """What Python gives for other labels, scaled: the estimate comes back to it within its rounding."""
    page = shown
    wanted = state(page)["labels"]
    for label, low, high in toy.domain.ranges:
        if label.name != "resolution":
            wanted[label.name] = round(0.4 * low + 0.6 * high, 2)
    if "Ca" in wanted:  # elements are held where they are, which is at their default
        wanted["Ca"] = wanted["alpha"]
    flux = 1.1 * toy.flux(wanted, 3.0)
    path = tmp_path / "star.csv"
    rows = [f"{w!r},{f!r},0.001" for w, f in zip(toy.points.vacuum_aa.tolist(), flux.tolist(), strict=True)]
    path.write_text("wave_vac,flux,error\n" + "\n".join(rows))
    page.set_input_files("#file", path)
    page.wait_for_selector("#overlay:not([hidden])")
    page.click("#fit")
    page.wait_for_function("explorer.estimate", timeout=60_000)
    found = page.evaluate("explorer.estimate")
    assert found["velocity"] == pytest.approx(3.0, abs=0.2)
    for label, low, high in toy.domain.ranges:
        assert found["labels"][label.name] == pytest.approx(wanted[label.name], abs=0.02 * (high - low)), (
            label.name
        )
    rows = page.locator("#fit-result tr")
    assert rows.count() == len(found["deviation"])
    assert set(found["deviation"]) == {"rv", *toy.names} - {"resolution", *SYMBOLS}
    told = page.inner_text("#fit-result")
    assert ("R held at 11500" in told) == ("resolution" in toy.names)
    assert ("single elements held at their default" in told) == ("Ca" in toy.names)
    assert state(page)["own"] == []
    assert found["rms"] < 1e-3


@pytest.mark.parametrize("toy", [EIGHT], indirect=True, ids=["eight labels"])
def test_an_element_that_was_moved_is_held_there_by_a_fit(shown, toy, tmp_path):
    page = shown
    wanted = {**state(page)["labels"], "teff": 5000.0, "mh": -0.5, "alpha": 0.2, "Ca": -0.1}
    rows = [
        f"{w!r},{f!r},0.001"
        for w, f in zip(toy.points.vacuum_aa.tolist(), toy.flux(wanted, 0.0).tolist(), strict=True)
    ]
    path = tmp_path / "star.csv"
    path.write_text("wave_vac,flux,error\n" + "\n".join(rows))
    page.fill("#Ca", "-0.1")
    page.set_input_files("#file", path)
    page.wait_for_selector("#overlay:not([hidden])")
    page.evaluate("explorer.estimate = null")
    page.click("#fit")
    page.wait_for_function("explorer.estimate", timeout=60_000)
    found = page.evaluate("explorer.estimate")
    assert found["labels"]["Ca"] == -0.1
    assert found["labels"]["alpha"] == pytest.approx(0.2, abs=0.02)
    assert state(page)["own"] == ["Ca"]
    assert "[Ca/M] held at -0.1" in page.inner_text("#fit-result")
