"""The paper from a store to the report, at tiny size: by the command, killed, continued, unfinished."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("jax")
pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")

from starloom import bands
from starloom.cli import app
from starloom.database import build
from starloom.database import recipe as store_recipes
from starloom.database.batches import open_fixed_set
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.labels import TABLE_1, Domain
from starloom.networks import weights
from starloom.networks.generator import Generator
from starloom.networks.history import read_history
from starloom.paper import recipe as recipes
from starloom.paper.networks import Autoencoder, Estimator, LabelNetwork, estimate

SYNTHESIZE = run_path(str(Path(__file__).with_name("stand_in.py")))["synthesize"]
TRAINED = ("autoencoder", "labels", "estimator-teff")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reproduce") / "store"
    build.build(store_recipes.load("tiny"), folder, SYNTHESIZE, physics="stand-in 1", progress=False)
    return folder


def reproduce(folder, store, *options):
    """What the command prints; its exception is raised."""
    arguments = ["reproduce", "tiny", str(folder), "--store", str(store), *map(str, options)]
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(scope="module")
def unfinished(store, tmp_path_factory):
    """A reproduction with one estimator of six, and the text of its report."""
    folder = tmp_path_factory.mktemp("reproduce") / "whole"
    reproduce(folder, store, "--until", "estimator-teff")
    reproduce(folder, store, "--only", "evaluation", "--only", "report")
    return folder, (folder / "report" / "report.md").read_text()


@pytest.fixture(scope="module")
def whole(unfinished, store):
    """The same reproduction, finished, and what that printed."""
    return unfinished[0], reproduce(unfinished[0], store)


def test_report_of_an_unfinished_reproduction_names_what_is_missing(unfinished):
    text = unfinished[1]
    assert "Not trained yet: logg, mh, vmic, vsini, resolution." in text
    assert "| teff [K] |" in text
    assert "| logg [dex] |" not in text


def test_reproduction_continues_to_the_whole_report(whole, store):
    folder, printed = whole
    assert "autoencoder: finished before" in printed
    assert "estimator-logg: epoch 3 of 3" in printed
    text = (folder / "report" / "report.md").read_text()
    assert "Not trained yet" not in text
    for row in (
        "| MAE | 0.0013 |",
        "| Mean relative error | 0.005 |",
        "| logg [dex] |",
        "| one spectrum | 9 |",
    ):
        assert row in text
    figures = {f"figure_{number}.png" for number in (1, 3, 4, 6, 8, 9)}
    assert {path.name for path in (folder / "report").glob("*.png")} == figures | {"error_by_wavelength.png"}
    assert len((folder / "report" / "report.html").read_bytes()) > 1e5  # the figures are inside
    again = reproduce(folder, store)
    assert again.count("finished before") == 13  # of 14 stages; the store is looked at each time


def test_evaluation_is_that_of_the_written_model(whole, store):
    folder, _ = whole
    found = json.loads((folder / "evaluation.json").read_text())
    assert [row["label"] for row in found["table_5"]] == found["estimators"]
    assert found["spectra"] == {"training": 152, "validation": 20, "test": 20}
    generator = Generator.load(folder / "generator" / "paper.safetensors")
    assert generator.header.recipe == store_recipes.load("tiny").digest
    assert "152 training" in generator.header.card
    labels = np.load(folder / "spectra" / "labels.npy")[-20:]
    flux = np.load(folder / "spectra" / "flux.npy")[-20:] * np.float32(2e-5)
    error = np.abs(generator.flux(labels) - flux).mean()
    # sums in float64 of float32 fluxes
    assert found["end_to_end"]["overall"]["mean"] == pytest.approx(error, rel=1e-5)
    assert found["end_to_end"]["reconstruction"]["mae"] == pytest.approx(error, rel=1e-5)


def changes(*values):
    return tuple(part for value in values for part in ("--set", value))


BETWEEN_COMPONENTS = changes("autoencoder.components=20")


@pytest.fixture(scope="module")
def between_components(whole, store, tmp_path_factory):
    """A reproduction whose autoencoder is between principal components, with the spectra of the other one."""
    folder = tmp_path_factory.mktemp("reproduce") / "components"
    folder.mkdir()
    shutil.copytree(whole[0] / "spectra", folder / "spectra")
    for name in ("store.json", "spectra.json"):
        shutil.copy(whole[0] / name, folder)
    printed = reproduce(folder, store, *BETWEEN_COMPONENTS, "--until", "generator")
    assert "spectra: finished before" in printed
    reproduce(folder, store, *BETWEEN_COMPONENTS, "--only", "evaluation", "--only", "report")
    return folder


def test_generator_is_trained_on_as_one_network(between_components, store, tmp_path):
    folder = tmp_path / "joint"
    shutil.copytree(between_components, folder)
    loss = json.loads((folder / "evaluation.json").read_text())["end_to_end"]["reconstruction"]["mae"]
    options = (*BETWEEN_COMPONENTS, *changes("plans.joint.epochs=30", "plans.joint.patience=30"))
    printed = reproduce(folder, store, *options, "--until", "generator")
    assert "labels: finished before" in printed
    assert "joint: epoch 30 of 30" in printed
    reproduce(folder, store, *options, "--only", "evaluation", "--only", "report")
    found = json.loads((folder / "evaluation.json").read_text())["end_to_end"]["reconstruction"]
    assert found["mae"] < 0.9 * loss
    text = (folder / "report" / "report.md").read_text()
    assert "label network and decoder as one, from labels to flux: " in text
    assert (folder / "report" / "joint.png").exists()
    assert "both as one 30 epochs" in Generator.load(folder / "generator" / "paper.safetensors").header.card
    # without the plan it is the connection again
    reproduce(folder, store, *BETWEEN_COMPONENTS, "--only", "generator")
    assert "both as one" not in Generator.load(folder / "generator" / "paper.safetensors").header.card


def test_no_intrinsic_spectrum_is_in_two_splits(whole):
    folder, _ = whole
    content = json.loads((folder / "spectra" / "manifest.json").read_text())
    intrinsic = np.load(folder / "spectra" / "intrinsic.npy")
    parts = [set(intrinsic[rows]) for rows in content["splits"].values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 48


def test_killed_and_continued_ends_with_the_same_bits(whole, store, tmp_path):
    """Killed by the system in the middle of the autoencoder's training, then run again."""
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "starloom", "reproduce", "tiny", str(folder), "--store", str(store)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        history = folder / "autoencoder" / "history.csv"
        while process.poll() is None and not (history.exists() and len(read_history(history)) >= 2):
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    assert not (folder / "autoencoder.json").exists()
    reproduce(folder, store, "--until", "estimator-teff")
    for stage in TRAINED:
        killed, straight = (each / stage / "model.safetensors" for each in (folder, whole[0]))
        assert killed.read_bytes() == straight.read_bytes()


def test_another_store_adds_to_training(whole, store, tmp_path):
    text = (Path(store_recipes.__file__).parent / "recipes" / "tiny.toml").read_text()
    other, folder = tmp_path / "other.toml", tmp_path / "both"
    other.write_text(text.replace('"tiny"', '"other"').replace("seed = 1", "seed = 2"))
    options = (*changes(f"more=['{other}']"), "--until", "spectra")
    with pytest.raises(StoreError, match="this reproduction needs other"):
        reproduce(folder, store, *options)
    build.build(
        store_recipes.load(other), tmp_path / "extra", SYNTHESIZE, physics="stand-in 1", progress=False
    )
    reproduce(folder, store, "--store", tmp_path / "extra", *options)
    found = json.loads((folder / "spectra.json").read_text())
    assert found["spectra"] == {"train": 304, "validation": 40, "test": 20}
    assert found["intrinsic"] == {"train": 76, "validation": 10, "test": 5}


def test_joint_training_needs_components(store, tmp_path):
    with pytest.raises(ConfigError, match=r"plans\.joint needs autoencoder\.components"):
        reproduce(tmp_path / "joint", store, *changes("plans.joint.epochs=2"))


def test_single_networks_are_those_of_the_reproduction(whole, tmp_path):
    """``starloom train`` on the spectra of a reproduction gives its networks."""
    folder, spectra = whole[0], str(whole[0] / "spectra")
    auto, generator, joint, teff = (str(tmp_path / f"{name}.safetensors") for name in "agjt")
    inner = str(tmp_path / "inner.safetensors")

    def train(*arguments):
        result = CliRunner().invoke(app, ["train", *arguments, "--recipe", "tiny"])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    assert "mean squared flux error" in train("autoencoder", spectra, auto)
    train("labels", spectra, auto, generator)
    assert "mean rms flux error" in train("autoencoder", spectra, inner, *BETWEEN_COMPONENTS)
    options = (*BETWEEN_COMPONENTS, *changes("plans.joint.epochs=2"))
    assert "mean rms flux error" in train("labels", spectra, inner, joint, *options)
    assert "rms error of teff" in train("estimator", spectra, "teff", teff)

    labels = np.load(folder / "spectra" / "labels.npy")[:5]
    flux = [Generator.load(p).flux(labels) for p in (generator, folder / "generator" / "paper.safetensors")]
    np.testing.assert_array_equal(*flux)
    assert np.abs(Generator.load(joint).flux(labels) - flux[0]).max() > 0
    with np.load(folder / "evaluation" / "differences.npz") as arrays:
        expected = arrays["test"][:, 0] + np.load(folder / "spectra" / "labels.npy")[-20:, 0]
    test = np.load(folder / "spectra" / "flux.npy")[-20:] * np.float32(2e-5)
    found = estimate(weights.load(teff), test)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weights_of_all_stages_know_labels_and_band(whole):
    paths = list(whole[0].glob("*/*.safetensors"))
    assert len(paths) == 9
    for path in paths:
        header = weights.load(path).header
        assert (header.domain, header.band) == (TABLE_1, bands.load("rvs"))
        assert header.points == header.band.points


def test_a_fixed_set_of_before_is_the_papers(whole, tmp_path):
    """Its manifest had neither labels nor band."""
    shutil.copytree(whole[0] / "spectra", tmp_path / "spectra")
    path = tmp_path / "spectra" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in content.items() if k not in ("domain", "band")}))
    old, new = (open_fixed_set(folder / "spectra") for folder in (tmp_path, whole[0]))
    assert (old.domain, old.band, old.made_from) == (new.domain, new.band, new.made_from)
    path.write_text(json.dumps({**content, "domain": 3}))
    with pytest.raises(ParseError, match="no fixed set"):
        open_fixed_set(tmp_path / "spectra")


GIANTS = """
name = "giants"
seed = 3
sampling = "sobol"
intrinsic = 48
broadenings = 2
chunk = 24
floor = false
[ranges]
alpha = [-0.2, 0.6]
teff = [3800, 5500]
logg = [0.5, 3.0]
mh = [-1.5, 0.5]
vsini = [0, 100]
[splits]
train = 0.7
validation = 0.15
"""


def test_other_labels_in_another_band(tmp_path, monkeypatch):
    """Five labels without a resolution, two chunks: whatever the recipe of the store has."""
    band = bands.Band.over("toy", 8450.0, 8750.0, count=2)
    monkeypatch.setattr(store_recipes.Recipe, "load_band", lambda recipe: band)

    def synthesize(band, *, alpha, vmic=1.0, **labels):
        return SYNTHESIZE(band, **labels, vmic=vmic + alpha)

    (tmp_path / "giants.toml").write_text(GIANTS)
    recipe = store_recipes.load(tmp_path / "giants.toml")
    build.build(recipe, tmp_path / "store", synthesize, physics="stand-in 1", progress=False)
    store = f"store='{tmp_path / 'giants.toml'}'"
    with pytest.raises(ConfigError, match="label 'vmic' is none of alpha, teff, logg, mh, vsini"):
        reproduce(tmp_path / "all", tmp_path / "store", *changes(store))
    reproduce(
        tmp_path / "two", tmp_path / "store", *changes(store, "estimators=['teff', 'alpha']", "batch=16")
    )
    model = Generator.load(tmp_path / "two" / "generator" / "paper.safetensors")
    assert model.domain == Domain.of({label.name: (low, high) for label, low, high in recipe.domain.ranges})
    assert (model.header.band, model.header.points.count) == (band, 3001)
    assert "5 labels to 6 latents to 3001 points" in model.header.card
    text = (tmp_path / "two" / "report" / "report.md").read_text()
    assert "| alpha [dex] |" in text
    assert "| alpha -0.2 to " in text


def test_other_settings_are_refused(whole, store, tmp_path):
    folder, _ = whole
    with pytest.raises(StoreError, match="labels: made with other settings"):
        reproduce(folder, store, "--set", "plans.labels.epochs=9")
    with pytest.raises(StoreError, match="stage labels needs autoencoder, which is not finished"):
        reproduce(tmp_path, store, "--only", "labels")
    with pytest.raises(StoreError, match="this reproduction needs standard"):
        reproduce(tmp_path, store, "--set", "store='standard'")
    with pytest.raises(ConfigError, match="stage 'decoder' is not one of store, spectra"):
        reproduce(tmp_path, store, "--until", "decoder")


def test_packaged_recipes_have_the_papers_networks():
    for name in ("paper", "short"):
        recipe = recipes.load(name)
        assert (recipe.autoencoder, recipe.labels, recipe.estimator) == (
            Autoencoder(),
            LabelNetwork(),
            Estimator(),
        )
        assert recipe.batch == 512
    plans = recipes.load("paper").plans
    assert {plan.patience for plan in (plans.autoencoder, plans.labels, plans.estimator)} == {15}
    assert [plan.optimiser for plan in (plans.autoencoder, plans.labels)] == ["adam", "adamax"]


def test_recipe_is_changed_and_checked():
    changed = recipes.load("short", ["plans.labels.epochs=3", "labels.dropout=0.0", "copies.test = 2"])
    assert (changed.plans.labels.epochs, changed.labels.dropout, changed.copies.test) == (3, 0.0, 2)
    assert changed.plans.labels.optimiser == "adamax"
    for change, fault in (
        ("labels.depth=3", "short: labels: unknown key depth; known are hidden, dropout"),
        ("plans.decoder.epochs=3", "short: plans: unknown key decoder"),
        ("copies.test=0", "short: copies: test = 0 is below 1"),
        ("estimators=['radius']", "short: estimators: label 'radius' is none of teff"),
        ("batch='512'", "short: batch = '512' is no whole number"),
        ("size=1", "short: recipe: unknown key size"),
    ):
        with pytest.raises(ConfigError, match=fault):
            recipes.load("short", [change])
    with pytest.raises(ParseError, match="--set plans"):
        recipes.load("short", ["plans"])
    with pytest.raises(ConfigError, match="no such file, nor a packaged recipe"):
        recipes.load("other")
