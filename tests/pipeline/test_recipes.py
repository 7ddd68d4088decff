"""Recipes of stores, emulators and reproductions: one reader, and one line with file and key."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("jax")
pytest.importorskip("scipy.stats")

from starloom import recipes
from starloom.cli import app
from starloom.database import recipe as store_recipe
from starloom.errors import ConfigError, ParseError, StarloomError
from starloom.networks import emulation
from starloom.networks.emulation import EmulatorRecipe
from starloom.paper import recipe as paper_recipe

EMULATOR = "coefficients = 40\nbatch = 64\n[network]\nhidden = [64, 64]\n[plan]\nepochs = 120\n"


def packaged(module, name):
    return (Path(module.__file__).parent / "recipes" / f"{name}.toml").read_text()


READERS = {
    "store": (store_recipe.load, packaged(store_recipe, "tiny")),
    "emulator": (EmulatorRecipe.load, EMULATOR),
    "reproduction": (paper_recipe.load, packaged(paper_recipe, "tiny")),
}
WRONG = [
    ("store", "seed = 1", 'seed = "one"', "seed = 'one' is no whole number"),
    ("store", "seed = 1", "seed = true", "seed = True is no whole number"),
    ("store", "seed = 1", "seed = 1\nends = nan", "ends = nan is no number"),
    ("store", "seed = 1", "seed = 1\ntrain = 0.5", "recipe: unknown key train; known are name, seed"),
    ("store", "seed = 1", "seed = 1\nband = 3", "band = 3 is no text"),
    ("store", "train = 0.8", "", "splits: missing key train"),
    ("store", "[splits]", "[shares]", "recipe: unknown key shares, missing key splits; known are"),
    ("store", "[3600, 15000]", '["3600", "15000"]', "ranges.teff = .* is no list of numbers"),
    ("store", "[3600, 15000]", "[3600]", r"ranges: teff = \[3600\] is no pair"),
    ("store", "[ranges]", "[ranges]\nwarmth = [1, 2]", "ranges: label 'warmth' is none of"),
    ("store", "[ranges]", "[around]\nalpha = [-1, 1]\n[ranges]", "around: alpha is no element"),
    ("store", "[ranges]", "[around]\nCa = [-1, 1]\n[ranges]\nCa = [0, 1]", "around: Ca has a range too"),
    ("store", "[ranges]", "[around]\nCa = 0.4\n[ranges]", "around: Ca = 0.4 is no pair"),
    ("store", "[ranges]", "[around]\nCa = [1, -1]\n[ranges]", "ranges: the domain of Ca is empty"),
    ("store", "seed = 1", "seed = 1\naround = 3", "around = 3 is no table"),
    ("emulator", "coefficients = 40", "", "recipe: missing key coefficients"),
    ("emulator", "coefficients = 40", 'coefficients = "40"', "coefficients = '40' is no whole number"),
    ("emulator", "coefficients = 40", "coefficients = 0", "coefficients = 0 is below 1"),
    ("emulator", "[network]\nhidden = [64, 64]", "network = 3", "network = 3 is no table"),
    ("emulator", "[64, 64]", "64", "network.hidden = 64 is no list of whole numbers"),
    ("emulator", "[64, 64]", '[64, "x"]', r"network.hidden = \[64, 'x'\] is no list of whole numbers"),
    ("emulator", "[64, 64]", "[64, 0]", "network: one of hidden = 0 is below 1"),
    ("emulator", "[64, 64]", '[64]\nactivation = "step"', "network: activation = 'step' is not one of"),
    ("emulator", "epochs = 120", "epochs = 0", "plan: epochs = 0 is below 1"),
    ("emulator", "epochs = 120", 'learning_rate = "1e-2"', "plan.learning_rate = '1e-2' is no number"),
    ("emulator", "batch = 64", "size = 64", "recipe: unknown key size; known are coefficients, network"),
    ("reproduction", 'store = "tiny"', "", "recipe: missing key store"),
    ("reproduction", "hidden = [32, 16]\nlatent = 6", "latent = 0", "autoencoder: latent = 0 is below 1"),
    ("reproduction", "[labels]", "[labels]\ndropout = 1.5", "labels: dropout rate = 1.5 is outside"),
    ("reproduction", "epochs = 3", "epochs = 2.5", "plans.estimator.epochs = 2.5 is no whole number"),
    ("reproduction", "batch = 32", 'batch = 32\nmore = "cool"', "more = 'cool' is no list of texts"),
    ("reproduction", "batch = 32", 'batch = 32\nprecision = "half"', "precision = 'half' is not one of"),
]


@pytest.mark.parametrize(("kind", "old", "new", "message"), WRONG)
def test_a_wrong_recipe_says_file_and_key(tmp_path, kind, old, new, message):
    read, text = READERS[kind]
    assert old in text
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=f"wrong.toml: {message}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", READERS)
def test_no_file_no_toml_no_text(tmp_path, kind):
    read = READERS[kind][0]
    with pytest.raises(ConfigError, match=r"absent.toml: no such file, nor a packaged recipe \("):
        read(tmp_path / "absent.toml")
    for content in (b"seed = ", b"name = '\xff'"):
        path = tmp_path / "broken.toml"
        path.write_bytes(content)
        with pytest.raises(ParseError, match=r"broken\.toml: "):
            read(path)
    with pytest.raises(ParseError, match="Is a directory"):
        read(tmp_path)


def test_the_command_prints_one_line(tmp_path):
    """Before anything is opened or made."""
    path = tmp_path / "wrong.toml"
    path.write_text("coefficients = 4\nnetwork = 3")
    absent = [str(tmp_path / "absent"), str(tmp_path / "model.safetensors"), "--recipe", str(path)]
    for arguments, message in (
        (["train", "emulator", *absent], f"{path}: network = 3 is no table"),
        (["reproduce", "tiny", str(tmp_path / "dir"), "--set", "labels=3"], "tiny: labels = 3 is no table"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, ConfigError)
        assert str(result.exception) == message
    assert list(tmp_path.iterdir()) == [path]


def test_defaults_stay_where_a_table_is_silent():
    @dataclass(frozen=True)
    class Inner:
        first: int = 1
        second: tuple[str, ...] = ("a",)

    @dataclass(frozen=True)
    class Outer:
        needed: float
        inner: Inner = field(default_factory=lambda: Inner(first=7))
        maybe: Inner | None = None

    found = recipes.built(Outer, {"needed": 2, "inner": {"second": ["b", "c"]}})
    assert found == Outer(2.0, Inner(7, ("b", "c")))
    assert type(found.needed) is float
    assert recipes.built(Outer, {"needed": 2, "maybe": {}}).maybe == Inner()


DIGESTS = {  # of the recipes of the first release: the stores made by them are told by these
    "benchmark": "74a6e5ccd0f60d3291310a15a381e04f39d73781aaa969d4910c586359b0fc1c",
    "cool": "4b4c0559311355c40b009e5a66ae13ed2b618d74cc9e8db6efc3de19096719fc",
    "edge": "71975a938790f6ddc0f7db55117543bcc2ebb7265de4d2c9f9da127c8487d27b",
    "paper": "0acc7899d01cab00767b28d51da46dd9fc8bc02bafe25a91d129d1037541237d",
    "standard": "7c77879a8743f5c86ff76d4cb8bc5a4d6ef649ffc95a1deec841636f38bb0535",
    "tiny": "1feeb4c1cc1fa0988ce95e6e174fbe62ff6e12e958a5e21520ec6795697b3f4c",
}


def test_packaged_recipes_are_what_they_were():
    assert {name: store_recipe.load(name).digest for name in DIGESTS} == DIGESTS
    default = EmulatorRecipe.load()
    assert (default.coefficients, default.plan.epochs, default.plan.optimiser) == (192, 1700, "muon")
    emulators = ["default", "optical", "stars", "stars-more", "tiny"]
    assert recipes.packaged(emulation.__package__) == emulators
    assert paper_recipe.packaged() == ["improved", "observed", "paper", "short", "tiny"]


def test_the_filling_of_an_emulator(tmp_path):
    path = tmp_path / "filled.toml"
    path.write_text("coefficients = 6\nfilling = [-0.1, 0.5]\n")
    assert EmulatorRecipe.load(path).filling == (-0.1, 0.5)
    assert EmulatorRecipe.load().filling is None
    for told, message in (
        ("[0.1, 0.7]", r"filling = 0.7 is outside \[-0.1, 0.6\]"),
        ("[0.1, 0.1]", r"filling = \[0.1, 0.1\]: expected its lowest and highest value"),
        ("[0.1]", r"filling = \[0.1\]: expected its lowest and highest value"),
        ("0.1", "filling = 0.1 is no list of numbers"),
    ):
        path.write_text(f"coefficients = 6\nfilling = {told}\n")
        with pytest.raises(StarloomError, match=message):
            EmulatorRecipe.load(path)


@pytest.mark.parametrize("kind", READERS)
def test_a_mark_of_the_byte_order_is_no_part_of_a_recipe(tmp_path, kind):
    """As editors on Windows put it before UTF-8."""
    read, text = READERS[kind]
    (tmp_path / "plain.toml").write_text(text, encoding="utf-8")
    (tmp_path / "marked.toml").write_text(text, encoding="utf-8-sig")
    assert read(tmp_path / "marked.toml") == read(tmp_path / "plain.toml")
