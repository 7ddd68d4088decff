"""The page with a model of a long range, in five chunks: what of it is sent, loaded, computed and drawn."""

import hashlib
import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from starloom import bands
from starloom.bands import Band
from starloom.broadening import LIMB_DARKENING, Finish, finish_of, gaussian_transfer, instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ParseError, StoreError
from starloom.explorer import site
from starloom.explorer.facts import atoms, facts
from starloom.labels import Domain
from starloom.networks import weights
from starloom.networks.emulator import CoefficientNetwork, Emulator, packed
from starloom.networks.forward import Network, linear
from starloom.networks.generator import Generator
from starloom.networks.scaling import label_scaling
from starloom.networks.stated_error import MEASURES, StatedError, attached
from starloom.spectrum.lines import atomic_lines
from starloom.wavelength import vacuum_from_air

DOMAIN = Domain.of({"teff": (4000, 7000), "mh": (-2.0, 0.5), "vsini": (0, 100), "resolution": (5000, 14500)})
BAND = Band.over("long", 6000.0, 7000.0, 5)
LOADED = "explorer.scene.waiting.length === 0"
SUN = {"teff": 5777.0, "mh": 0.0, "vsini": 2.0, "resolution": 11500.0}
WITHIN = "#view=6210,6260"  # of the second chunk
JOIN = float(
    np.round(np.sqrt(BAND.kept[1].last_aa * BAND.kept[2].first_aa))
)  # about, of the second and the third
STAR = {"teff": 5200.0, "mh": -0.6, "vsini": 20.0, "resolution": 11500.0}

FLUX = """(rows) => rows.map(([labels, velocity]) =>
  Array.from(explorer.emulator.flux(labels, velocity), (f) => (Number.isNaN(f) ? null : f)))"""
SCENE = """() => {
  const plain = (values) => Array.from(values, (f) => (Number.isNaN(f) ? null : f));
  const { flux, p68, part, pins, waiting } = explorer.scene;
  return { flux: plain(flux), p68: plain(p68), part, waiting, pins: pins.map((pin) => plain(pin.flux)) };
}"""
DRAWN = """() => {
  const plain = (values) => Array.from(values, (f) => (Number.isNaN(f) ? null : f));
  const { x, flux, pins, shade } = explorer.plots.drawn;
  const columns = Math.round(explorer.plots.flux.over.clientWidth * devicePixelRatio);
  const differences = pins.map(({ difference }) => plain(difference));
  const { window } = explorer.scene;
  const extremes = shade && shade.flux.map(plain);
  return { x: plain(x), flux: plain(flux), columns, window, differences, shade: extremes };
}"""


def made_up(finish: Finish) -> Network:
    """The modes of lines whose depths change with Teff and [M/H]."""
    rng = np.random.default_rng(24)
    centres, depth, change = (
        rng.uniform(5980, 7020, 200),
        rng.uniform(0.02, 0.3, 200),
        rng.uniform(-1, 1, (2, 200)),
    )
    distance = SPEED_OF_LIGHT_KMS * np.log(finish.grid.wavelength_aa / centres[:, None])
    lines = depth[:, None] * np.exp(-0.5 * (distance / 9) ** 2)
    left = instrument_variance(finish.finest_resolution) - instrument_variance(finish.kept_resolution)
    continuum = finish.modes(1 - lines.sum(0)[None])
    modes = np.concatenate([continuum, finish.modes_of_change(-0.2 * change @ lines)])
    modes *= gaussian_transfer(finish.frequency, left)
    halves = np.concatenate([modes.real, modes.imag], axis=-1)
    return label_scaling(DOMAIN.intrinsic).then(linear(halves[1:], halves[0]))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    chunks = [
        Emulator(DOMAIN, made_up(finish), finish, LIMB_DARKENING, BAND.finest_resolution)
        for finish in finish_of(BAND).chunks
    ]
    sizes = np.random.default_rng(24).uniform(1e-3, 2e-3, (len(MEASURES), 2, 51))
    stated = StatedError(DOMAIN, {"teff": np.array([4000.0, 5500, 7000])}, sizes, BAND.points, 200, 100)
    found = tmp_path_factory.mktemp("long") / "long.safetensors"
    weights.save(found, attached(packed(chunks, BAND), stated))
    return found


@pytest.fixture(scope="module")
def model(path) -> Generator:
    return Generator.load(path)


@pytest.fixture(scope="module")
def long(path) -> dict[str, bytes]:
    """The site with that model."""
    return site.site(path)


@pytest.fixture(scope="module")
def place(long, serve):
    with serve(long) as address:
        yield address


@pytest.fixture
def look(browser, place):
    """Function that opens the page, with routes to its files; it has a list of the chunks it asks for."""
    contexts, complaints = [], []

    def looked(link: str = "", routes: dict | None = None, complains: bool = False, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        if not complains:
            page.on(
                "console", lambda said: said.type in ("error", "warning") and complaints.append(said.text)
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.asked = []
        page.on("request", lambda one: "/chunk-" in one.url and page.asked.append(number(one.url)))
        for pattern, answer in (routes or {}).items():
            page.route(pattern, answer)
        page.goto(place + link)
        page.wait_for_selector("[data-ready]", state="attached")
        return page

    yield looked
    for context in contexts:
        context.close()
    assert complaints == []


def number(url: str) -> int:
    return int(url.split("/chunk-")[1][:2])


def state(page) -> dict:
    page.wait_for_function(f"!explorer.frame && {LOADED}")
    return page.evaluate("explorer.state")


def scene(page) -> dict:
    state(page)
    found = page.evaluate(SCENE)
    return found | {name: np.array(found[name], float) for name in ("flux", "p68", "pins")}


def flux_of(model: Generator, star: dict[str, float], velocity: float = 0.0) -> np.ndarray:
    """By Python at the model's points, known or not."""
    return model.model.spectrum(DOMAIN.array(**star)[None], np.array([velocity]))[0]


def header_of(content: bytes) -> dict:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


def test_a_model_of_several_chunks_is_sent_in_pieces(path, long, tmp_path):
    about = json.loads(long["facts.json"])["model"]
    names = [about["file"], *(chunk["file"] for chunk in about["chunks"])]
    assert len(names) == 1 + len(BAND.chunks)
    whole = weights.load(path)
    told = [json.loads(header_of(long[name])["__metadata__"][weights.KEY]) for name in names]
    assert told[0]["header"] == json.loads(json.dumps(whole.header.mapping))
    assert set(told[0]["networks"]) == {"error_p68", "error_p99"}
    assert [list(each["networks"]) for each in told[1:]] == [[f"modes_{i}"] for i in range(5)]
    for entry in (about, *about["chunks"]):
        content = long[entry["file"]]
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])
    assert about["source"] == hashlib.sha256(path.read_bytes()).hexdigest()
    part = tmp_path / "part.safetensors"
    part.write_bytes(long[names[1]])
    with pytest.raises((ParseError, StoreError)):
        weights.load(part)


def test_pieces_of_a_large_model_are_smaller_and_give_its_flux(model, browser, serve, tmp_path, monkeypatch):
    """Decoders of 64 rows, of which 32 are sent as integers of 16 bits."""
    found = tmp_path / "large.safetensors"
    rng = np.random.default_rng(7)
    mixing = CoefficientNetwork((16,)).initial(DOMAIN.intrinsic, 64, 7)
    chunks = []
    for chunk in model.model.chunks:
        mean, points = chunk.network.parameters[-1]["bias"], chunk.finish.grid.points
        modes = chunk.finish.modes_of_change(
            rng.normal(size=(64, points)) * (0.05 / np.arange(1, 65)[:, None])
        )
        rows = np.concatenate([modes.real, modes.imag], axis=-1)
        chunks.append(replace(chunk, network=mixing.then(linear(rows, mean))))
    weights.save(found, packed(chunks, BAND))
    monkeypatch.setattr(site, "LARGEST", 0)
    content = site.site(found)
    sent = [part["bytes"] for part in json.loads(content["facts.json"])["model"]["chunks"]]
    assert sum(sent) < 0.85 * found.stat().st_size
    labels = DOMAIN.from_unit(rng.uniform(0, 1, (20, len(DOMAIN.names))))
    rows = [[dict(zip(DOMAIN.names, star.tolist(), strict=True)), 0] for star in labels]
    with serve(content) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_function(f"globalThis.explorer && {LOADED}")
        flux = np.array(page.evaluate(FLUX, rows), float)
        page.close()
    expected = Generator.load(found).model.spectrum(labels)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(flux, expected, rtol=0, atol=1e-5)


def test_each_chunk_comes_with_its_own_lines():
    band = bands.load("rvs").cut("parts", 8450, 8750, 3)
    found = atoms(band)
    whole = json.loads(site.site("default-2026-lte")["facts.json"])["lines"]["atoms"]
    assert sorted(line["air_aa"] for part in found for line in part) == sorted(
        line["air_aa"] for line in whole
    )
    for part, low, high in zip(found[1:-1], band.edges_aa[1:], band.edges_aa[2:], strict=False):
        places = vacuum_from_air(np.array([line["air_aa"] for line in part]))
        assert places.size
        assert ((places >= low) & (places <= high)).all()


def test_balmer_lines_are_named_where_the_band_has_them(tmp_path, model):
    tables = tmp_path / "tables"
    tables.mkdir()
    np.savez(tables / "atomic_lines.npz", **atomic_lines(bands.load("rvs")))
    own = {
        "lower": [2, 2, 3],
        "upper": [3, 12, 11],
        "vacuum_wavelength_aa": [6564.6, 3751.2, 8865.2],
        "log_gf": [0.7, -1, 0],
    }
    np.savez(tables / "hydrogen_profiles.npz", **{name: np.array(values) for name, values in own.items()})
    header = replace(model.header, band=replace(BAND, tables=str(tables)))
    told = facts(header, model.model.chunks)
    assert [line["species"] for line in told["lines"]["hydrogen"]] == ["Hα", "Pa 11"]
    assert told["lines"]["hydrogen"][0]["from_teff"] == 4500
    assert told["lines"]["atoms"] == []
    assert [window["name"] for window in told["windows"]["lines"]] == ["Hα"]


def test_only_what_is_looked_at_is_loaded(look):
    page = look(WITHIN)
    state(page)
    page.fill("#teff", "6000")
    state(page)
    assert page.asked == [1]
    page.evaluate("explorer.setWindow([6300, 6500])")
    state(page)
    assert sorted(page.asked) == [1, 2]
    page.focus("#plot")
    page.keyboard.press("0")
    state(page)
    assert sorted(page.asked) == [0, 1, 2, 3, 4]
    assert page.inner_text("#notice").startswith("A wide view")


def test_the_overview_asks_for_chunks_in_their_order(look):
    page = look()
    assert page.is_visible("#plot canvas")
    state(page)
    assert page.asked == [0, 1, 2, 3, 4]


def test_flux_is_that_of_python_also_where_chunks_meet(look, model):
    page = look()
    state(page)
    rng = np.random.default_rng(6)
    labels = DOMAIN.from_unit(rng.uniform(0, 1, (20, len(DOMAIN.names))))
    velocity = np.where(np.arange(20) % 2, rng.uniform(-400, 400, 20), 0.0)
    rows = [
        [dict(zip(DOMAIN.names, star.tolist(), strict=True)), v]
        for star, v in zip(labels, velocity.tolist(), strict=True)
    ]
    found = np.array(page.evaluate(FLUX, rows), float)
    low, high = model.model.known(labels, velocity)
    vacuum = BAND.points.vacuum_aa
    known = (vacuum > low[:, None]) & (vacuum < high[:, None])
    np.testing.assert_array_equal(np.isfinite(found), known)
    expected = np.where(
        velocity[:, None] == 0, model.model.spectrum(labels), model.model.spectrum(labels, velocity)
    )
    np.testing.assert_allclose(found[known], expected[known], rtol=0, atol=1e-5)


@pytest.mark.parametrize("velocity", [0, -150])
def test_only_what_is_in_view_is_computed_and_it_is_right(look, model, velocity):
    page = look(
        f"#teff=5200&mh=-0.6&vsini=20&rv={velocity}&view={JOIN - 40},{JOIN + 30}&pinA=6500,0.2,60,9000,120"
    )
    found = scene(page)
    assert sorted(page.asked) == [1, 2]
    first, last = found["part"]
    inside = np.zeros(BAND.points.count, bool)
    inside[first:last] = True
    assert 690 < inside.sum() < 710
    np.testing.assert_array_equal(np.isfinite(found["flux"]), inside)
    np.testing.assert_allclose(found["flux"][inside], flux_of(model, STAR, velocity)[inside], atol=1e-5)
    pin = {"teff": 6500.0, "mh": 0.2, "vsini": 60.0, "resolution": 9000.0}
    np.testing.assert_allclose(found["pins"][0][inside], flux_of(model, pin, 120.0)[inside], atol=1e-5)
    errors = model.error(DOMAIN.array(**STAR), "p68", radial_velocity=velocity)
    np.testing.assert_allclose(found["p68"][inside], errors[inside], rtol=1e-5)


def test_a_wide_view_draws_extremes_and_means_of_columns(look, model):
    page = look("#pinA=6500,0.2,60,9000,0")
    found = scene(page)
    drawn = page.evaluate(DRAWN)
    low, high = drawn["window"]
    x, columns = BAND.points.wavelength_aa, drawn["columns"]
    column = np.floor((x - low) / (high - low) * columns).astype(int)
    parts = [np.flatnonzero(column == each) for each in range(columns)]
    assert min(map(len, parts[1:-1])) > 4
    least, most = drawn["shade"]
    for part, *pair, mean, difference in zip(
        parts, least, most, drawn["flux"], drawn["differences"][0], strict=True
    ):
        if part.size:
            own = found["flux"][part]
            np.testing.assert_allclose(pair, [own.min(), own.max()])
            np.testing.assert_allclose(mean, own.mean())
            np.testing.assert_allclose(difference, (found["pins"][0][part] - own).mean(), atol=1e-12)
    page.evaluate("explorer.setWindow([6210, 6260])")
    state(page)
    narrow = page.evaluate(DRAWN)
    assert narrow["shade"] is None
    np.testing.assert_array_equal(
        narrow["x"], np.array(page.evaluate("Array.from(explorer.scene.x)"))[slice(*scene(page)["part"])]
    )


def test_the_view_is_in_the_link(look):
    page = look(WITHIN)
    page.evaluate("explorer.setWindow([6700.5, 6755.25])")
    state(page)
    page.wait_for_function("location.hash.includes('view=6700.500,6755.250')")
    other = look(page.evaluate("location.hash"))
    assert state(other)["window"] == [6700.5, 6755.25]
    assert other.asked == [4] or other.asked == [3]


def test_what_is_not_loaded_is_marked_and_what_is_looked_at_next_comes_first(look):
    """The third chunk is held back, and with it what would come after it."""
    held = []
    page = look(routes={"**/chunk-02-*": lambda route: held.append(route)})
    page.wait_for_function("explorer.scene.waiting.length === 3")
    waiting = page.evaluate("explorer.scene.waiting")
    assert [part["number"] for part in waiting] == [2, 3, 4]
    assert waiting[0]["low"] < 6500 < waiting[1]["low"] < waiting[0]["high"]
    assert "3 of 5 parts to come" in page.inner_text("#notice")
    flux = np.array(page.evaluate(SCENE)["flux"], float)
    assert np.isfinite(flux).sum() == pytest.approx(0.4 * BAND.points.count, rel=0.08)
    page.click("#save-csv")
    assert "would have gaps" in page.inner_text("#notice")
    page.fill("#teff", "6000")  # the page goes on
    page.evaluate("explorer.setWindow([6850, 6900])")
    page.wait_for_function(LOADED)
    assert page.asked == [0, 1, 2, 4]
    page.evaluate("explorer.setWindow(null)")
    held[0].continue_()
    assert np.isfinite(scene(page)["flux"]).all()


def test_a_chunk_that_does_not_come_is_told_and_asked_for_again(look):
    answers = [lambda route: route.fulfill(status=503)]
    page = look(
        routes={"**/chunk-03-*": lambda route: answers.pop()(route) if answers else route.continue_()},
        complains=True,
    )
    page.wait_for_function("document.getElementById('notice').textContent.includes('503')")
    told = page.inner_text("#notice")
    assert "could not be loaded" in told
    (waiting,) = page.evaluate("explorer.scene.waiting")
    assert waiting["fault"]
    page.evaluate("explorer.loader.pause = 0")
    page.fill("#teff", "6000")
    assert np.isfinite(scene(page)["flux"]).all()


def test_a_chunk_that_was_changed_is_refused(look):
    damaged = {"**/chunk-01-*": lambda route: route.fulfill(body=b"x" * 100)}
    page = look(WITHIN, routes=damaged, complains=True)
    assert page.get_attribute("html", "data-ready") == "failed"
    assert "do not have the hash" in page.inner_text("#notice")


@pytest.fixture
def star(model, tmp_path):
    """A file with what the model gives for a star in the whole range, scaled."""
    flux = 1.1 * flux_of(model, STAR, 12.0)
    keep = np.isfinite(flux)
    rows = [
        f"{w!r},{f!r},0.001"
        for w, f in zip(BAND.points.vacuum_aa[keep].tolist(), flux[keep].tolist(), strict=True)
    ]
    found = tmp_path / "star.csv"
    found.write_text("wave_vac,flux,error\n" + "\n".join(rows))
    return found


def test_an_observed_spectrum_is_compared_where_it_is_looked_at(look, star):
    page = look(f"#teff=5200&mh=-0.6&vsini=20&rv=12&view={JOIN - 40},{JOIN + 30}")
    page.set_input_files("#file", star)
    page.wait_for_selector("#overlay:not([hidden])")
    state(page)
    left, scale, size = page.evaluate(
        "(({ difference, line, x }) => [Math.max(...difference.map(Math.abs)), line.a, x.length])"
        "(explorer.scene.observed)"
    )
    assert left < 1e-5
    assert scale == pytest.approx(1.1, abs=1e-4)
    assert 690 < size < 710  # not means of neighbours
    assert sorted(page.asked) == [1, 2]
    assert "of what is in view" in page.inner_text("#overlay-about")
    page.evaluate("explorer.setWindow(null)")
    state(page)
    assert page.evaluate("Math.max(...explorer.scene.observed.difference.map(Math.abs))") < 1e-5
    page.evaluate("explorer.observe(null)")


def test_a_fit_takes_the_points_in_view(look, star):
    page = look(f"#teff=5700&view={JOIN - 60},{JOIN + 60}")
    page.set_input_files("#file", star)
    page.wait_for_selector("#overlay:not([hidden])")
    page.click("#fit")
    page.wait_for_function("explorer.estimate", timeout=60_000)
    found = page.evaluate("explorer.estimate")
    assert found["velocity"] == pytest.approx(12, abs=0.2)
    assert found["labels"]["teff"] == pytest.approx(5200, abs=20)
    assert found["labels"]["mh"] == pytest.approx(-0.6, abs=0.02)
    assert 1190 < found["count"] < 1210
    assert "points in view" in page.inner_text("#fit-result")


def test_a_fit_of_too_much_says_so_in_a_line(look, star):
    page = look(WITHIN)
    page.set_input_files("#file", star)
    page.wait_for_selector("#overlay:not([hidden])")
    page.evaluate("explorer.setWindow(null)")
    state(page)
    page.click("#fit")
    page.wait_for_function("document.getElementById('fault').textContent")
    told = page.inner_text("#fault")
    assert "at most 3 of the model's 5 parts" in told
    assert "need 5: zoom in, or take the command starloom fit" in told
    assert page.is_enabled("#fit")


def test_csv_and_python_are_of_what_they_say(look, model, path, monkeypatch):
    """The CSV has the points in view, the Python call makes all that is known."""
    page = look(f"{WITHIN}&teff=5200&mh=-0.6&vsini=20&rv=12")
    found = scene(page)
    with page.expect_download() as waited:
        page.click("#save-csv")
    lines = [line for line in waited.value.path().read_text().splitlines() if not line.startswith("#")]
    table = np.array([line.split(",") for line in lines[1:]], float)
    assert len(table) == np.subtract(*found["part"][::-1])
    np.testing.assert_allclose(table[:, 1], flux_of(model, STAR, 12.0)[slice(*found["part"])], atol=1e-5)
    monkeypatch.chdir(path.parent)
    names: dict = {}
    exec(page.evaluate("explorer.python()"), names)
    assert names["spectrum"].flux.size > 0.99 * BAND.points.count


def test_a_phone_shows_it_without_sideways_scrolling(look):
    page = look(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark")
    state(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("explorer.plots.drawn.shade !== null")
