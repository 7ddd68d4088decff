"""The page with a model of single elements: sliders around a default that follows alpha; smaller files."""

import base64
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from starloom import Generator, Spectrum, bands
from starloom.broadening import finish_of
from starloom.database import recipe
from starloom.errors import StoreError
from starloom.explorer import reduced, site
from starloom.explorer.facts import PRESETS, STARTS
from starloom.labels import ELEMENTS
from starloom.networks import emulator, weights
from starloom.networks.basis import Basis
from starloom.networks.emulator import CoefficientNetwork
from starloom.networks.stated_error import MEASURES, StatedError, attached

DOMAIN = recipe.load("stars").domain  # of the second generation
BAND = replace(bands.load("rvs", "calibrated"), finest_resolution=20000.0)
SYMBOLS = tuple(DOMAIN.spread)
OLD = "teff=6100&logg=3.9&vsini=33&mh=-0.4&vmic=1.3&resolution=7000&rv=0&medium=air"  # of six labels
FLUX = """(rows) => {
  const { emulator } = explorer, { sampler } = emulator, size = sampler.count;
  const out = new Float64Array(rows.length * size);
  rows.forEach((labels, i) => emulator.flux(labels, 0, sampler, out.subarray(size * i, size * (i + 1))));
  const bytes = new Uint8Array(out.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}"""
STATED = """(rows) => rows.map((labels) => {
  const { stated, sampler } = explorer.emulator;
  return Array.from(stated.at("p68", labels, 0, new Float64Array(sampler.count)));
})"""


def basis(finish) -> Basis:
    """256 made-up components, of which the last have a thousandth of the first's size, around a continuum."""
    rng = np.random.default_rng([21, 7])
    modes = finish.frequency.size
    components = np.linalg.qr(rng.normal(size=(2 * modes, 256)))[0].T
    mean = np.zeros(2 * modes)
    mean[0] = 1
    deviation = 0.1 / np.arange(1, 257) ** 1.2
    return Basis(mean, components, deviation, float((deviation**2).sum()))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A model of the second generation's labels and sizes, untrained, with errors by how far elements are."""
    finish = finish_of(BAND).chunks[0]
    network = CoefficientNetwork(hidden=(256,) * 4, residual=True).initial(DOMAIN.intrinsic, 256, 7)
    model = emulator.packed([emulator.assembled(DOMAIN, network, basis(finish), finish)], BAND)
    edges = {"teff": np.array([3300.0, 6000.0, 15000.0]), ELEMENTS: np.array([0.0, 0.3, 0.6, 1.0])}
    sizes = np.random.default_rng(21).uniform(1e-4, 1e-3, (len(MEASURES), 6, 20))
    stated = StatedError(DOMAIN, edges, sizes, BAND.points, 200, 100)
    path = tmp_path_factory.mktemp("elements") / "elements.safetensors"
    weights.save(path, attached(model, stated))
    return path


@pytest.fixture(scope="module")
def generator(path) -> Generator:
    return Generator.load(path)


@pytest.fixture(scope="module")
def small(path) -> dict[str, bytes]:
    """The site as it is for a file that is too large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "LARGEST", 1_000_000)
        return site.site(path)


@pytest.fixture(scope="module")
def address(path, serve):
    with serve(site.site(path)) as address:
        yield address


@pytest.fixture
def page(kept):
    """The page as it opens, with the elements behind their switch; fails for complaints in the console."""
    page, complaints = kept
    page.evaluate("document.getElementById('elements').open = false; document.activeElement?.blur()")
    page.evaluate("explorer.open('')")
    yield page
    assert complaints == []


def stars(count: int) -> np.ndarray:
    """Labels of the whole domain, elements around their default."""
    low, high = DOMAIN.offset_ends
    unit = np.random.default_rng([21, count]).uniform(0, 1, (count, len(low)))
    return DOMAIN.clip(DOMAIN.from_offsets(low + unit * (high - low)))


def rows(labels: np.ndarray) -> list[dict[str, float]]:
    return [dict(zip(DOMAIN.names, row, strict=True)) for row in labels.tolist()]


def opened(page):
    page.evaluate("document.getElementById('elements').open = true")
    return page


def state(page) -> dict:
    page.wait_for_function("!explorer.frame")
    return page.evaluate("explorer.state")


def ends(page, name: str) -> tuple[float, float]:
    return tuple(
        page.evaluate(
            "name => ['min', 'max'].map((e) => +document.getElementById(name)[e])", f"{name}-slider"
        )
    )


def settled(page) -> str:
    same = "decodeURIComponent(location.hash.slice(1)) === decodeURIComponent(explorer.link().split('#')[1])"
    page.wait_for_function(same)
    return page.evaluate("decodeURIComponent(location.hash)")


def check_flux(page, generator, atol: float) -> None:
    """Of the page against Python's, where the model knows it; else there is none."""
    labels = stars(60)
    found = np.frombuffer(base64.b64decode(page.evaluate(FLUX, rows(labels)))).reshape(60, -1)
    expected = generator.model.spectrum(labels)
    assert expected.std(axis=0).max() > 0.05
    low, high = generator.model.known(labels)
    vacuum = BAND.points.vacuum_aa
    known = (vacuum > low[:, None]) & (vacuum < high[:, None])
    np.testing.assert_array_equal(np.isfinite(found), known)
    np.testing.assert_allclose(found[known], expected[known], rtol=0, atol=atol)


def test_flux_is_that_of_python(page, generator):
    check_flux(page, generator, 1e-5)


def test_flux_of_a_smaller_file_is_that_of_python(visit, serve, small, generator):
    with serve(small) as address:
        check_flux(visit(at=address), generator, 2e-5)


def test_a_large_file_is_sent_smaller(path, small, tmp_path):
    """Below 6 MB, with its own hash and that of the model's file, and no model for Python."""
    about = json.loads(small["facts.json"])["model"]
    content, own = small[about["file"]], path.read_bytes()
    assert len(content) == about["bytes"] < 0.7 * len(own) < reduced.LARGEST
    assert about["sha256"] == hashlib.sha256(content).hexdigest()
    assert about["source"] == hashlib.sha256(own).hexdigest()
    (tmp_path / "sent.safetensors").write_bytes(content)
    with pytest.raises(StoreError, match="format 'page'"):
        weights.load(tmp_path / "sent.safetensors")
    whole = json.loads(site.site(path)["facts.json"])["model"]
    assert whole["sha256"] == whole["source"] == about["source"]


def test_what_the_page_does_not_run_is_not_sent(generator, path):
    model = weights.load(path)
    patterns = {"physics_basis": model.networks["error_p68"], "physics_patterns": model.networks["error_p68"]}
    content = reduced.reduced(replace(model, networks={**model.networks, **patterns}))
    assert b"physics_" not in content
    assert b"error_p68/0/weight" in content


def test_integers_are_right_to_half_of_a_unit():
    rng = np.random.default_rng(21)
    matrix = (rng.normal(size=(50, 7)) / np.arange(1, 51)[:, None]).astype(np.float32)
    matrix[:, 3] = 0
    parts = reduced.integers("modes", matrix)
    rebuilt = np.vstack([parts["modes.first"], parts["modes"] * parts["modes.unit"]])
    np.testing.assert_array_equal(rebuilt[: reduced.WHOLE], matrix[: reduced.WHOLE])
    assert (np.abs(rebuilt - matrix) <= 0.51 * parts["modes.unit"]).all()
    assert parts["modes"].dtype == np.int16


def test_stated_errors_follow_how_far_elements_are(page, generator):
    labels = stars(20)
    labels[10:] = DOMAIN.array(**dict(zip(DOMAIN.names[:7], labels[10:, :7].T, strict=True)))
    labels[10:] = DOMAIN.clip(labels[10:])
    np.testing.assert_allclose(page.evaluate(STATED, rows(labels)), generator.error(labels), rtol=1e-5)


def test_the_nearest_labels_inside_are_those_of_python(page):
    """Also of labels that are far outside, or on the edge of what [C/O] allows."""
    rng = np.random.default_rng(21)
    wanted = DOMAIN.from_unit(rng.uniform(-0.2, 1.2, (200, len(DOMAIN.names))))
    found = page.evaluate(
        "rows => rows.map((row) => Object.values(explorer.domain.inside(row)))", rows(wanted)
    )
    np.testing.assert_allclose(found, DOMAIN.clip(wanted), rtol=0, atol=2e-9)
    assert DOMAIN.contains(np.array(found)).all()


def test_elements_without_a_value_are_at_their_default(page):
    given = {"teff": 5000.0, "logg": 2.0, "mh": -1.0, "vmic": 1.5, "vsini": 3.0, "resolution": 11500.0}
    for alpha in (-0.2, 0.0, 0.37):
        found = page.evaluate("row => explorer.domain.inside(row)", {**given, "alpha": alpha})
        np.testing.assert_allclose([*found.values()], DOMAIN.array(**given, alpha=alpha), atol=1e-12)


def test_elements_are_behind_a_switch_and_follow_alpha_until_they_are_moved(page):
    assert not page.is_visible("#Ca")
    assert page.is_visible("#alpha")
    page.click("#elements summary")
    for name in SYMBOLS:
        assert page.is_visible(f"#{name}")
        assert f"[{name}/M]" in page.locator(f".label:has(#{name})").inner_text()
    page.fill("#alpha", "0.3")
    found = state(page)["labels"]
    assert [found[name] for name in ("Ca", "O", "C", "Ni")] == [0.3, 0.3, 0, 0]
    page.focus("#Ca-slider")
    page.keyboard.press("ArrowRight")
    page.fill("#alpha", "0.1")
    found = state(page)
    assert (found["labels"]["Ca"], found["labels"]["Mg"], found["own"]) == (0.31, 0.1, ["Ca"])
    assert page.inner_text("#elements-own") == "Ca"
    page.get_by_label("[Ca/M] back to its default").click()
    assert (state(page)["labels"]["Ca"], state(page)["own"]) == (0.1, [])
    page.fill("#Ca", "0.1")  # at its default, but no longer because of it
    page.fill("#Ni", "-0.2")
    page.fill("#alpha", "0.2")
    assert (state(page)["labels"]["Ca"], state(page)["labels"]["Ni"]) == (0.1, -0.2)
    page.click("#elements-reset")
    assert (state(page)["labels"]["Ca"], state(page)["labels"]["Ni"], state(page)["own"]) == (0.2, 0, [])
    assert page.is_disabled("#elements-reset")


def test_ranges_move_with_alpha_and_what_they_held_comes_back(page):
    opened(page)
    assert ends(page, "Ca") == (-0.5, 0.5)
    page.fill("#Ca", "0.5")
    page.fill("#alpha", "-0.2")
    assert ends(page, "Ca") == (-0.7, 0.3)
    assert ends(page, "Cr") == (-0.5, 0.5)
    assert state(page)["labels"]["Ca"] == 0.3
    assert "[Ca/M] is held at 0.30: the model knows it from -0.70 to 0.30" in page.inner_text("#notice")
    page.fill("#alpha", "0.4")
    assert ends(page, "Ca") == (-0.1, 0.9)
    assert state(page)["labels"]["Ca"] == 0.5
    assert page.inner_text("#notice") == ""
    page.fill("#Ca", "2")
    page.keyboard.press("Enter")
    assert state(page)["labels"]["Ca"] == 0.9


def test_carbon_ends_where_oxygen_says(page):
    """Also where nobody has moved carbon; the part of its slider that cannot be reached is hatched."""
    opened(page)
    assert page.is_visible(".label:has(#C) .barred.above")  # [C/O] is at most 0.2
    page.fill("#O", "-0.4")
    assert state(page)["labels"]["C"] == pytest.approx(-0.2, abs=1e-9)
    assert state(page)["own"] == ["O"]
    assert "[C/M] is held at -0.20: the model knows no stars with [C/O] above 0.2" in page.inner_text(
        "#notice"
    )
    page.focus("#C-slider")
    page.keyboard.press("End")
    assert state(page)["labels"]["C"] == pytest.approx(-0.2, abs=1e-9)
    page.get_by_label("[O/M] back to its default").click()
    page.fill("#alpha", "0.3")
    assert not page.is_visible(".label:has(#C) .barred.above")
    page.fill("#C", "0.5")
    assert state(page)["labels"]["C"] == 0.5


def test_the_link_says_which_elements_are_their_own(page, visit, address):
    opened(page)
    page.fill("#alpha", "0.3")
    page.fill("#Mg", "0.1")
    page.click("#pin")
    page.fill("#Mg", "0.2")
    page.fill("#alpha", "0.2")
    link = settled(page)
    assert "&Mg=0.2" in link
    assert ",Mg:0.1" in link
    assert "Ca" not in link
    other = visit(link, at=address)
    keep = ("labels", "own", "velocity", "pins")
    assert {name: state(other)[name] for name in keep} == {name: state(page)[name] for name in keep}
    assert not other.is_visible("#Mg")
    assert other.inner_text("#elements-own") == "Mg"
    other.fill("#alpha", "0")
    assert (state(other)["labels"]["Mg"], state(other)["labels"]["Ca"]) == (0.2, 0)
    other.get_by_label("Show pinned spectrum A with the sliders").click()
    found = state(other)
    assert (found["own"], found["labels"]["alpha"], found["labels"]["Ca"]) == (["Mg"], 0.3, 0.3)


def test_a_link_says_nothing_of_what_it_does_not_give(page):
    page.evaluate("explorer.open('#O=-0.4')")
    assert state(page)["labels"]["C"] == pytest.approx(-0.2, abs=1e-9)
    assert (state(page)["own"], page.inner_text("#notice")) == (["O"], "")


def test_a_link_of_six_labels_still_opens(page):
    page.evaluate("link => explorer.open(link)", f"#{OLD}&pinA=4290,2,2,-0.5,1.7,11500,7")
    found = state(page)
    six = {"teff": 6100, "logg": 3.9, "vsini": 33, "mh": -0.4, "vmic": 1.3, "resolution": 7000}
    assert found["labels"] == {**dict.fromkeys(DOMAIN.names, 0), **six}
    giant = {"teff": 4290, "logg": 2, "vsini": 2, "mh": -0.5, "vmic": 1.7, "resolution": 11500}
    (pin,) = found["pins"]
    assert (pin["labels"], pin["velocity"]) == ({**dict.fromkeys(DOMAIN.names, 0), **giant}, 7)
    assert page.inner_text("#notice") == ""


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("#Ca=much", "Ca = much is no number"),
        ("#Ca=3", "Ca = 3 is outside -0.7 to 1.1"),
        ("#Ca=0.9&alpha=0.1", "Ca = 0.9 is outside -0.4 to 0.6, near its default"),
        ("#C=0.4&O=0.1", "C = 0.4 is above 0.3, where [C/O] is 0.2"),
        ("#Fe=0.1", "Fe is not known here"),
        ("#pinA=teff:5000,Fe:0.1", f"is not {len(DOMAIN.names) + 1} numbers and is left out"),
        ("#pinA=teff:5000,3", "numbers and is left out"),
        ("#pinA=teff:5000,Ca:", "numbers and is left out"),
        ("#pinA=1,2,3", "numbers and is left out"),
    ],
)
def test_a_wrong_link_is_told_and_changed(page, link, reason):
    page.evaluate("link => explorer.open(link)", link)
    assert reason in page.inner_text("#notice")
    found = state(page)
    assert DOMAIN.contains(DOMAIN.array(**found["labels"]))
    assert found["pins"] == []


def test_words_and_files_name_the_elements_that_are_moved(page, generator, path, monkeypatch, tmp_path):
    monkeypatch.chdir(path.parent)
    opened(page)
    page.fill("#alpha", "0.3")
    page.click("#pin")
    page.fill("#Ca", "0.45")
    found = state(page)["labels"]
    legend = page.locator("#legend .chip").all_inner_texts()
    assert "[α/M] +0.3" in legend[0]
    assert "[Ca/M] +0.45" in legend[0]
    assert "[Mg/M]" not in legend[0]
    assert legend[1].split("\n")[1].strip() == "[Ca/M] +0.3"
    page.click("#unpin")
    call = page.evaluate("explorer.python()")
    assert "Ca=0.45" in call
    assert "Mg" not in call
    names: dict = {}
    exec(call, names)
    flux = np.array(page.evaluate("Array.from(explorer.scene.flux)"))
    np.testing.assert_allclose(names["spectrum"].flux, flux, atol=1e-5)
    with page.expect_download() as waited:
        page.click("#save-csv")
    assert "a0.30" in waited.value.suggested_filename
    assert "Ca0.45" in waited.value.suggested_filename
    waited.value.save_as(tmp_path / "star.csv")
    spectrum = Spectrum.read(tmp_path / "star.csv")
    assert dict(spectrum.labels) == found
    page.set_input_files("#file", tmp_path / "star.csv")
    page.wait_for_selector("#overlay:not([hidden])")
    page.wait_for_function("explorer.scene.observed")
    left = page.evaluate("Math.max(...explorer.scene.observed.difference.map(Math.abs))")
    assert left < 1e-6
    page.click("#overlay-remove")


def test_presets_know_alpha_and_let_elements_follow(page):
    opened(page)
    page.fill("#Ca", "-0.3")
    page.click("#presets button:has-text('Arcturus')")
    found = state(page)
    assert (found["labels"]["alpha"], found["labels"]["Ca"], found["labels"]["Ni"], found["own"]) == (
        0.3,
        0.3,
        0,
        [],
    )
    button = page.locator("#presets button", has_text="Arcturus")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#presets button").count() == len(PRESETS)
    assert page.evaluate("explorer.domain.starts.length") == len(STARTS)


def test_keyboard(page):
    """Elements are reached by Tab where their switch is open, and it opens by a key."""
    focus = "[document.activeElement.id, document.activeElement.matches(':focus-visible')]"
    wanted = {f"{name}{end}" for name in SYMBOLS for end in ("", "-slider")}

    def reached() -> set[str]:
        page.focus("#vmic-slider")
        seen = set()
        for _ in range(3 * len(SYMBOLS) + 5):
            page.keyboard.press("Tab")
            name, visible = page.evaluate(focus)
            if name in wanted:
                assert visible
            seen.add(name)
        return seen

    assert not reached() & wanted
    page.focus("#plot")
    page.keyboard.press("e")
    assert page.is_visible("#Ca")
    assert wanted <= reached()
    page.focus("#plot")
    page.keyboard.press("e")
    assert not page.is_visible("#Ca")
    page.keyboard.press("?")
    assert "Single elements" in page.inner_text("#help")
    page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_sticks_out(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    opened(page)
    page.fill("#Ca", "0.2")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    out = """() => { const right = (element) => element.getBoundingClientRect().right;
      const inner = Array.from(document.querySelectorAll("#elements *"), right);
      return Math.max(...inner) - right(document.getElementById("star")); }"""
    assert page.evaluate(out) <= 0
    page.set_viewport_size({"width": 1280, "height": 800})
