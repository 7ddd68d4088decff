"""The page in a real browser: its numbers are Python's, and every control does what it says."""

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import starloom
from starloom import Generator, Spectrum, bands
from starloom.explorer.facts import PRESETS, VELOCITY_KMS
from starloom.explorer.site import site
from starloom.labels import TABLE_1
from starloom.networks import emulator, weights
from starloom.networks.forward import Dense, Dropout, Matern, Network, linear
from starloom.networks.scaling import label_scaling
from starloom.wavelength import air_from_vacuum, vacuum_from_air

RANGES = {label.name: (low, high) for label, low, high in TABLE_1.ranges} | {"rv": VELOCITY_KMS}
GIANT = "4290,2,2,-0.5,1.7,11500,0"
SUN = PRESETS["Sun"]
PAPER = bands.load("rvs").points

# flux or error by the page for rows of labels and velocity, as the bytes of float64[row, wavelength]
ROWS = """([rows, what]) => {
  const { emulator, domain } = explorer;
  const out = new Float64Array(rows.length * 4000);
  rows.forEach((row, i) => {
    const labels = Object.fromEntries(domain.names.map((name, k) => [name, row[k]]));
    const part = out.subarray(4000 * i, 4000 * (i + 1));
    if (what === "flux") emulator.flux(labels, row[6], emulator.sampler, part);
    else emulator.stated.at(what, labels, row[6], part);
  });
  const bytes = new Uint8Array(out.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}"""
CONTROLS = """Array.from(
  document.querySelectorAll("main input, main button:not(:disabled), header button"), (element) => element.id
).filter((id) => id && !/overlay|fit|normalise/.test(id))"""
FOCUSED = """(() => {
  const element = document.activeElement;
  const name = element.labels?.[0]?.textContent || element.ariaLabel || element.textContent.trim();
  return [element.id, element.matches(":focus-visible"), name];
})()"""
CALL = "async ([path, name, values]) => (await import(path))[name](...values)"


def draw(count: int) -> np.ndarray:
    """Rows of labels of the whole domain and a radial velocity, which is 0 for every second."""
    rng = np.random.default_rng([8, 200])
    labels = TABLE_1.from_unit(rng.uniform(0, 1, (2 * count, 6)))
    labels = labels[TABLE_1.contains(labels)][:count]
    velocity = np.where(np.arange(count) % 2, rng.uniform(*VELOCITY_KMS, count), 0)
    return np.column_stack([labels, velocity])


def rows_of(page, rows, what="flux") -> np.ndarray:
    content = page.evaluate(ROWS, [np.asarray(rows).tolist(), what])
    return np.frombuffer(base64.b64decode(content)).reshape(len(rows), 4000)


def number(page, name: str) -> float:
    return float(page.input_value(f"#{name}"))


def state(page) -> dict:
    """The page's state, after what is due has been drawn."""
    page.wait_for_function("!explorer.frame")
    return page.evaluate("({...explorer.state, pins: explorer.state.pins.length, all: explorer.window})")


def shown(page) -> np.ndarray:
    page.wait_for_function("!explorer.frame")
    return np.array(
        page.evaluate("Array.from(explorer.scene.flux, (f) => Number.isNaN(f) ? null : f)"), float
    )


def settled(page) -> str:
    """The address once it has followed the state."""
    page.wait_for_function(
        "decodeURIComponent(location.hash) === '#' + decodeURIComponent(explorer.link().split('#')[1])"
    )
    return page.url


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.load("default-2026-lte")


def test_flux_is_that_of_python(page, generator):
    """To 1e-5 over the domain; beyond what the model knows at a velocity the page draws nothing."""
    rows = draw(200)
    labels, velocity = rows[:, :6], rows[:, 6]
    found = rows_of(page, rows)
    vacuum = PAPER.vacuum_aa
    low, high = generator.model.known(labels, velocity)
    known = (vacuum > low[:, None]) & (vacuum < high[:, None])
    np.testing.assert_array_equal(np.isfinite(found), known)
    # float64 against float32; 1e-6 is usual
    still = velocity == 0
    assert known[still].all()
    np.testing.assert_allclose(found[still], generator.flux(labels[still]), rtol=0, atol=1e-5)
    # the function that Generator.flux calls once it has checked that all wavelengths are known
    expected = generator.model.spectrum(labels, velocity)
    np.testing.assert_allclose(found[known], expected[known], rtol=0, atol=1e-5)


def test_stated_errors_are_those_of_python(page, generator):
    """In the domain and at its ends, which a correction follows."""
    rows = draw(40)
    ends = np.random.default_rng(8).integers(-1, 2, (20, 6))
    rows[20:, :6] = np.choose(ends + 1, [TABLE_1.low, rows[20:, :6], TABLE_1.high])
    rows[20:, 1] = np.maximum(rows[20:, 1], TABLE_1.floor(rows[20:, 0], rows[20:, 3]))
    assert generator.stated.ends is not None
    for what in ("p68", "p99"):
        expected = [generator.error(row[:6], what, radial_velocity=row[6]) for row in rows]
        np.testing.assert_allclose(rows_of(page, rows, what), expected, rtol=1e-5)


def other_model(path, generator, network, rng) -> None:
    """A file in float16 of the model with another network, to 12 coefficients, and a made-up decoder."""
    modes = 2 * generator.model.finish.frequency.size
    decoder = linear(1e-2 * rng.normal(size=(12, modes)) / (1 + np.arange(modes) % 1287), np.eye(modes)[0])
    entry = label_scaling(TABLE_1.intrinsic, reciprocal=True)
    made = replace(generator.model, network=entry.then(network).then(decoder))
    weights.save(path, emulator.packed([made], generator.header.band), "float16")


def check_flux(visit, serve, path) -> None:
    """The page shows the flux that Python has of the model in a file."""
    rows = draw(10)
    rows[:, 6] = 0
    with serve(site(path)) as address:
        found = rows_of(visit(at=address), rows)
    expected = Generator.load(path).flux(rows[:, :6])
    assert np.abs(expected - 1).max() > 1e-2
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_any_network_of_the_family_runs(visit, serve, generator, tmp_path):
    """Other layers, activations and precision, read from the file's header alone; no stated errors."""
    sizes = [(5, 24, "gelu"), (24, 24, "tanh"), (24, 24, "sigmoid"), (24, 24, "relu"), (24, 12, "silu")]
    layers = [Dense(n, m, activation, residual=n == m) for n, m, activation in sizes]
    layers.insert(2, Dropout(24, 0.1))
    path = tmp_path / "other.safetensors"
    other_model(path, generator, Network.initial(layers, seed=1), np.random.default_rng(8))
    check_flux(visit, serve, path)


def test_a_gaussian_process_runs(visit, serve, generator, tmp_path):
    """Its sums cancel: they are kept in float32 whatever the precision of the file."""
    rng, layer = np.random.default_rng(9), Matern(5, 40, 12)
    arrays = {key: rng.normal(size=shape).astype(np.float32) for key, shape in layer.shapes.items()}
    path = tmp_path / "process.safetensors"
    other_model(path, generator, Network((layer,), (arrays,)), rng)
    read = weights.load(path).networks["modes"].parameters[-2]
    assert all(np.array_equal(read[key], arrays[key]) for key in arrays)
    check_flux(visit, serve, path)


@pytest.mark.parametrize("points", [4000, 3645, 60, 14])
def test_transform_of_any_length(page, points):
    """Even and odd lengths, with factors 2, 3, 5 and another, against NumPy's."""
    count = points // 3
    rng = np.random.default_rng(points)
    modes = rng.normal(size=count) + 1j * rng.normal(size=count)
    script = """async ([n, re, im]) => {
      const { inverseRealTransform } = await import("/model/fourier.js");
      return Array.from(inverseRealTransform(n, re.length)(re, im, new Float64Array(n)));
    }"""
    found = page.evaluate(script, [points, modes.real.tolist(), modes.imag.tolist()])
    np.testing.assert_allclose(found, np.fft.irfft(modes, points) * points, atol=1e-10)


@pytest.mark.parametrize("size", [0, 55, 56, 64, 1000])
def test_hash_where_the_browser_has_none(page, size):
    content = bytes(i % 251 for i in range(size))
    found = page.evaluate(
        "async (values) => Array.from((await import('/model/sha256.js')).digest(Uint8Array.from(values)))",
        list(content),
    )
    assert bytes(found) == hashlib.sha256(content).digest()


def test_air_vacuum_and_motion_are_those_of_python(page):
    air = np.linspace(8390, 8810, 7)
    for name, function in (("vacuumFromAir", vacuum_from_air), ("airFromVacuum", air_from_vacuum)):
        found = [page.evaluate(CALL, ["/model/wavelength.js", name, [value]]) for value in air.tolist()]
        np.testing.assert_allclose(found, function(air), rtol=1e-14)
    spectrum = Spectrum(air, np.ones(7), medium="air").shift(250.0)
    found = [
        page.evaluate(CALL, ["/model/wavelength.js", "moved", [value, 250, 299792.458, "air"]])
        for value in air.tolist()
    ]
    np.testing.assert_allclose(found, spectrum.wavelength, rtol=1e-12)


def test_works_below_any_folder(visit, serve, content):
    with serve({f"stars/page/{name}": body for name, body in content.items()}) as address:
        assert visit("stars/page/index.html", at=address).get_attribute("html", "data-ready") == "true"


def test_altered_weights_are_refused(visit, serve, content):
    name = next(name for name in content if name.startswith("model-"))
    altered = content[name][:-1] + bytes([content[name][-1] ^ 1])
    with serve({**content, name: altered}) as address:
        page = visit(at=address, complains=True)
    assert page.get_attribute("html", "data-ready") == "failed"
    assert "do not have the hash" in page.inner_text("#notice")


@pytest.mark.parametrize("name", RANGES)
def test_each_slider_and_box_moves_the_spectrum(page, name):
    before, start = shown(page), number(page, name)
    page.focus(f"#{name}-slider")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    slid = shown(page)
    assert number(page, name) > start
    assert np.nanmax(np.abs(slid - before)) > 1e-5
    low, high = RANGES[name]
    typed = round(0.6 * low + 0.4 * high, 1)
    page.fill(f"#{name}", str(typed))
    found = state(page)
    assert (found["velocity"] if name == "rv" else found["labels"][name]) == typed
    page.fill(f"#{name}", str(high + 1000))
    page.keyboard.press("Enter")
    state(page)
    assert number(page, name) == high


def test_labels_show_unit_and_range(page):
    for label, low, high in TABLE_1.ranges:
        text = page.locator(f".label:has(#{label.name})").inner_text().replace("−", "-")
        assert label.unit in text
        assert f"{low:g} to {high:g}" in text


def test_corner_without_atmospheres_cannot_be_reached(page):
    page.fill("#logg", "2")
    page.fill("#mh", "1")
    page.fill("#teff", "12000")
    assert number(page, "logg") == pytest.approx(float(TABLE_1.floor(12000.0, 1.0))) == 3
    assert "no atmosphere exists below" in page.inner_text("#notice")
    page.focus("#logg-slider")
    page.keyboard.press("Home")
    state(page)
    assert number(page, "logg") == 3
    assert page.is_visible(".label:has(#logg) .barred")
    page.fill("#teff", "5000")
    page.fill("#mh", "0")
    assert state(page)["labels"]["logg"] == 2  # what was asked for comes back
    rows = [
        [teff, 3.0, 0, mh, 1, 9000]
        for teff in (3600, 9100, 10600, 11600, 15000)
        for mh in (-1, 0.3, 0.7, 1.1, 1.5)
    ]
    found = page.evaluate("rows => rows.map((row) => explorer.domain.lowestLogg(row[0], row[3]))", rows)
    np.testing.assert_allclose(found, [TABLE_1.floor(row[0], row[3]) for row in rows], rtol=1e-14)


def test_air_and_vacuum(page):
    page.locator("#medium label", has_text="vacuum").click()
    assert state(page)["medium"] == "vacuum"
    x = page.evaluate("Array.from(explorer.scene.x)")
    np.testing.assert_allclose(x, PAPER.vacuum_aa, rtol=1e-14)
    assert "medium=vacuum" in settled(page)


@pytest.mark.parametrize("name", PRESETS)
def test_presets(page, name):
    button = page.locator("#presets button", has_text=name)
    button.click()
    assert state(page)["labels"] == PRESETS[name]
    assert button.get_attribute("aria-pressed") == "true"


def test_zoom_and_pan(page):
    all_of_it = state(page)["all"]
    box = page.locator("#plot .u-over").bounding_box()
    middle = box["y"] + box["height"] / 2

    def drag(start, end):
        page.mouse.move(box["x"] + start * box["width"], middle)
        page.mouse.down()
        page.mouse.move(box["x"] + end * box["width"], middle, steps=3)
        page.mouse.up()
        return state(page)["all"]

    low, high = drag(0.25, 0.5)
    span = all_of_it[1] - all_of_it[0]
    assert (low - all_of_it[0]) / span == pytest.approx(0.25, abs=0.01)
    assert (high - low) / span == pytest.approx(0.25, abs=0.01)
    page.keyboard.down("Shift")
    moved = drag(0.5, 0.3)
    page.keyboard.up("Shift")
    assert moved[0] == pytest.approx(low + 0.2 * (high - low), abs=0.5)
    page.mouse.wheel(0, -200)
    assert np.diff(state(page)["all"]) < np.diff(moved)
    page.mouse.dblclick(box["x"] + 50, middle)
    assert state(page)["all"] == all_of_it
    page.locator("#windows button", has_text="8542").click()
    assert state(page)["all"] == pytest.approx([8522.09, 8562.09])
    for button, change in (("zoom-in", 0.6), ("zoom-out", 1 / 0.6)):
        before = np.diff(state(page)["all"])[0]
        page.click(f"#{button}")
        assert np.diff(state(page)["all"])[0] == pytest.approx(before * change)
    before = state(page)["all"]
    page.click("#pan-right")
    assert state(page)["all"][0] == pytest.approx(before[0] + 10)
    page.click("#pan-left")
    assert state(page)["all"] == pytest.approx(before)


def test_flux_axis_fits_what_is_visible(page):
    page.check("#close-up")
    state(page)
    low, high = page.evaluate("[explorer.plots.flux.scales.y.min, explorer.plots.flux.scales.y.max]")
    assert 0.2 < low < np.min(shown(page)) < 1 < high < 1.3


def test_lines_are_named_and_told(page):
    page.evaluate("explorer.setWindow([8530, 8555])")
    state(page)
    page.evaluate("explorer.plots.pointAt(8542.09)")
    told = page.inner_text("#tip")
    assert "Ca II 8542.09 Å in air" in told
    assert re.search(r"\d\.\d{4} ± 0\.\d{4}", page.inner_text("#readout"))
    page.click("#lines summary")
    page.locator("#lines", has_text="8542.09 Å").wait_for()  # the list is filled once it is open
    page.evaluate("explorer.setStar({}, 100); explorer.draw()")
    place = page.evaluate("explorer.plots.names.find((line) => line.rest.toFixed(2) === '8542.09').x")
    assert place == pytest.approx(8542.09 * (1 + 100 / 299792.458), abs=0.01)
    page.click("#presets button:has-text('Vega')")
    page.click("#windows button:has-text('All')")
    state(page)
    assert {"Pa 12", "Pa 14"} <= set(page.evaluate("explorer.plots.names.map((line) => line.species)"))


def test_pins_and_their_differences(page):
    spectra = {}
    for slot, name in enumerate(["Vega", "B8", "Figure 1", "Arcturus"]):
        page.click(f"#presets button:has-text('{name}')")
        spectra[slot] = shown(page)
        page.click("#pin")
    page.click("#presets button:has-text('Sun')")
    sun = shown(page)
    assert page.locator(".chip.pin").count() == 4
    for slot, flux in spectra.items():
        found = page.evaluate(f"explorer.plots.differences[{slot + 1}]")
        np.testing.assert_allclose(found, flux - sun, atol=1e-12)
    page.click("#pin")
    assert "Four spectra are pinned" in page.inner_text("#notice")
    page.get_by_label("Show pinned spectrum B with the sliders").click()
    assert state(page)["labels"]["teff"] == PRESETS["B8 dwarf"]["teff"]
    page.get_by_label("Remove pinned spectrum A").click()
    assert state(page)["pins"] == 3
    assert [text.strip()[0] for text in page.locator(".chip.pin").all_inner_texts()] == ["B", "C", "D"]
    page.click("#unpin")
    assert state(page)["pins"] == 0
    assert page.is_disabled("#unpin")


def test_the_link_shows_the_same(visit, page):
    page.click("#presets button:has-text('Figure 1')")
    page.click("#pin")
    page.fill("#teff", "6543.21")
    page.fill("#rv", "-12.5")
    page.locator("#medium label", has_text="vacuum").click()
    page.click("#windows button:has-text('8662')")
    page.check("#close-up")
    address = settled(page)
    assert address == page.evaluate("explorer.link()")
    other = visit(address.removeprefix(page.evaluate("location.origin + '/'")))
    keep = ("labels", "velocity", "medium", "closeUp", "pins")
    assert {k: state(other)[k] for k in keep} == {k: state(page)[k] for k in keep}
    np.testing.assert_allclose(state(other)["all"], state(page)["all"], atol=1e-3)
    np.testing.assert_array_equal(shown(other), shown(page))
    other.evaluate("location.hash = '#teff=4000&pinC=4100,4,5,0,1,9000,7'")
    other.wait_for_function("explorer.state.labels.teff === 4000")
    assert other.locator(".chip.pin b").inner_text() == "C"


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("#teff=hot", "teff = hot is no number"),
        ("#teff=99999", "teff = 99999 is outside 3600 to 15000"),
        ("#teff=12000&mh=1&logg=2", "logg = 2 has no atmosphere there; 3 is the lowest"),
        ("#rv=1e9&pinA=1,2&view=x&medium=water", "rv = 1e9 is outside"),
        ("#pinA=1,2", "pinA = 1,2 is not 7 numbers and is left out"),
        ("#pinB=5777,4.44,2,0,1,11500,", "pinB = 5777,4.44,2,0,1,11500, is not 7 numbers and is left out"),
        ("#pinC=5777,4.44,2,hot,1,11500,0", "is not 7 numbers and is left out"),
        ("#pinD=99999,4.44,2,0,1,11500,0", "teff = 99999 is outside 3600 to 15000"),
        ("#view=8500,8500", "view = 8500,8500 is not two rising wavelengths"),
        ("#medium=water", "medium = water is not air or vacuum"),
        ("#tef=5000", "tef is not known here"),
    ],
)
def test_a_wrong_link_is_told_and_changed(page, link, reason):
    page.evaluate("link => explorer.open(link)", link)
    assert reason in page.inner_text("#notice")
    assert np.isfinite(shown(page)).any()
    assert state(page)["pins"] == ("left out" not in reason and "pinD" in link)


def test_names_of_labels_in_links_have_aliases(page):
    page.evaluate("explorer.open('#Teff=6100&R=7000&radial_velocity=5')")
    found = state(page)
    assert (found["labels"]["teff"], found["labels"]["resolution"], found["velocity"]) == (6100, 7000, 5)
    assert page.inner_text("#notice") == ""


@pytest.mark.parametrize(
    "link", ["", "#teff=12000&logg=4.5&vsini=100&view=8600,8604&flux=fit", f"#pinA={GIANT}"]
)
def test_numbers_of_the_axes_leave_room_for_their_titles(page, link):
    page.evaluate("link => explorer.open(link)", link)
    shown(page)
    script = """() => ["flux", "difference"].map((name) => {
      const { ctx, axes } = explorer.plots[name], { font, _values, gap, labelSize, _size } = axes[1];
      ctx.font = font[0];
      const width = Math.max(..._values.map((text) => ctx.measureText(text).width)) / devicePixelRatio;
      return _size - gap - width;
    })"""
    assert min(page.evaluate(script)) > 0


def download(page, button: str) -> Path:
    with page.expect_download() as waited:
        page.click(button)
    return Path(waited.value.path()).rename(
        Path(waited.value.path()).with_name(waited.value.suggested_filename)
    )


def test_csv_is_a_spectrum_that_starloom_reads(page, generator):
    page.fill("#rv", "200")  # so that some points are not known
    state(page)
    spectrum = Spectrum.read(download(page, "#save-csv"))
    assert (spectrum.medium, spectrum.frame, dict(spectrum.labels)) == ("air", "barycentric", SUN)
    view = {"wavelength_aa": spectrum.wavelength, "radial_velocity": 200}
    np.testing.assert_allclose(spectrum.flux, generator.flux(list(SUN.values()), **view), atol=1e-5)
    np.testing.assert_allclose(spectrum.error, generator.error(list(SUN.values()), **view), rtol=1e-4)


def test_csv_with_pins_has_a_column_for_each(page):
    flux = shown(page)
    page.click("#pin")
    page.click("#presets button:has-text('Vega')")
    lines = download(page, "#save-csv").read_text().splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    assert rows[0] == "wavelength,flux,error,error_p99,flux_A"
    table = np.array([row.split(",") for row in rows[1:]], float)
    np.testing.assert_allclose(table[:, 0], PAPER.wavelength_aa, rtol=1e-8)
    np.testing.assert_allclose(table[:, 4], flux, atol=1e-8)


def test_png_holds_both_panels(page):
    content = download(page, "#save-png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert width > 600
    assert height > 400


@pytest.mark.parametrize("velocity", [0, -250])
@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_the_python_call_makes_the_same_spectrum(page, velocity, medium):
    link = f"#teff=6100&logg=3.9&vsini=33&mh=-0.4&vmic=1.3&resolution=7000&rv={velocity}&medium={medium}"
    page.evaluate("link => explorer.open(link)", link)
    flux = shown(page)
    names: dict = {}
    exec(page.evaluate("explorer.python()"), names)
    made = names["spectrum"]
    known = np.isfinite(flux)
    assert (made.medium, made.wavelength.size) == (medium, known.sum())
    np.testing.assert_allclose(
        made.wavelength, np.array(page.evaluate("Array.from(explorer.scene.x)"))[known]
    )
    np.testing.assert_allclose(made.flux, flux[known], atol=1e-5)


def test_copying(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.click("#copy-python")
    page.wait_for_function("document.getElementById('notice').textContent.includes('copied')")
    assert page.evaluate("navigator.clipboard.readText()") == page.evaluate("explorer.python()")
    page.click("#share")
    page.wait_for_function("document.getElementById('notice').textContent.includes('link')")
    assert page.evaluate("navigator.clipboard.readText()") == page.evaluate("explorer.link()")


def test_light_and_dark(visit):
    page = visit(color_scheme="dark")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.click("#theme")
    assert page.get_attribute("html", "data-theme") == "light"
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert page.get_attribute("html", "data-theme") == "light"
    page.click("#theme")
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("html[data-theme=light]", state="attached")


def test_keyboard_alone(page):
    """Every control is reached by Tab, has a name and a visible focus; the plot and the page have keys."""
    wanted = set(page.evaluate(CONTROLS))
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        element = page.evaluate(FOCUSED)
        if element[0]:
            assert element[1], f"{element[0]} shows no focus"
            assert element[2], f"{element[0]} has no name"
        seen.add(element[0])
    assert wanted - seen == set()
    page.focus("#plot")
    page.keyboard.press("+")
    zoomed = state(page)["all"]
    page.keyboard.press("ArrowRight")
    assert state(page)["all"][0] > zoomed[0]
    page.keyboard.press("0")
    assert state(page)["window"] is None
    page.keyboard.press("p")
    page.keyboard.press("f")
    page.keyboard.press("v")
    found = state(page)
    assert (found["pins"], found["closeUp"], found["medium"]) == (1, True, "vacuum")
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


def test_fingers_move_and_pinch(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.evaluate("explorer.setWindow([8500, 8600])")
    state(page)
    script = """(events) => { const over = explorer.plots.flux.over, box = over.getBoundingClientRect();
      over.setPointerCapture = () => {};
      for (const [type, pointerId, share] of events) over.dispatchEvent(new PointerEvent(type, {
        pointerId, pointerType: "touch", bubbles: true,
        clientX: box.left + share * box.width, clientY: box.top + 40 }));
    }"""
    page.evaluate(script, [["pointerdown", 1, 0.5], ["pointermove", 1, 0.3], ["pointerup", 1, 0.3]])
    assert state(page)["all"] == pytest.approx([8520, 8620], abs=0.1)
    page.evaluate(
        script,
        [["pointerdown", 1, 0.4], ["pointerdown", 2, 0.6], ["pointermove", 1, 0.3], ["pointermove", 2, 0.7]],
    )
    assert np.diff(state(page)["all"])[0] == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize(("width", "height"), [(320, 640), (360, 800), (768, 800), (1000, 800), (1920, 800)])
def test_nothing_sticks_out(page, width, height):
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("explorer.plots.flux.width === document.getElementById('plot').clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate("explorer.plots.pointAt(8542.09)")
    below = """() => { const bottom = (element) => element.getBoundingClientRect().bottom;
      const stage = document.getElementById("stage");
      return Math.max(...Array.from(stage.children, bottom)) - bottom(stage); }"""
    assert page.evaluate(below) <= 0
    size = page.evaluate(
        "[explorer.plots.flux.width, explorer.plots.flux.height, explorer.plots.difference.height]"
    )
    assert size[0] > 0.55 * min(width, 1000)
    assert size[1] > 120
    assert size[2] > 90
    page.set_viewport_size({"width": 1280, "height": 800})


def test_all_comes_from_its_own_server(visit, address, content):
    asked = []
    page = visit()
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(address)] == []
    assert starloom.__version__ in page.inner_text("#about")
