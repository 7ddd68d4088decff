import json
from dataclasses import replace

import numpy as np
import pytest

from starloom.errors import ConfigError, ParseError, StoreError
from starloom.labels import NAMES
from starloom.networks import weights
from starloom.networks.forward import Network, affine, dense_layers
from starloom.networks.weights import Header, Model, Points, label_ranges
from starloom.wavelength import PAPER_GRID_AA

RNG = np.random.default_rng(2)
POINTS = Points("air", "linear", 8400.0, 8799.9, 4000)


def model(names=NAMES):
    scaling = affine(RNG.uniform(1000, 9000, len(names)), np.full(len(names), 1e-4))
    network = scaling.then(Network.initial(dense_layers((len(names), 16, 4), "silu"), seed=1))
    header = Header(
        "generator", label_ranges(names), POINTS, "a1b2", "# A card\nwith text", {"limb_darkening": 0.6}
    )
    return Model(header, {"generator": network, "other": network.part(1)})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    weights.save(path, model())
    return path


def test_float32_returns_what_was_written(tmp_path):
    written = model()
    weights.save(tmp_path / "m.safetensors", written)
    read = weights.load(tmp_path / "m.safetensors", family="generator")
    assert read.header == written.header
    assert read.size == written.size
    for name, network in written.networks.items():
        assert read.networks[name].layers == network.layers
        for ours, theirs in zip(read.networks[name].parameters, network.parameters, strict=True):
            assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)


def test_float16_halves_matrices_and_leaves_vectors(tmp_path):
    written = model()
    for precision in weights.PRECISIONS:
        weights.save(tmp_path / precision, written, precision)
    read = weights.load(tmp_path / "float16").networks["generator"]
    given = written.networks["generator"]
    np.testing.assert_array_equal(read.parameters[0]["offset"], given.parameters[0]["offset"])
    # half precision has 11 bits
    np.testing.assert_allclose(
        read.parameters[1]["weight"], given.parameters[1]["weight"], rtol=2**-11, atol=1e-7
    )
    assert read.precision == np.float32
    saved = (tmp_path / "float32").stat().st_size - (tmp_path / "float16").stat().st_size
    assert saved == pytest.approx(2 * 2 * (6 * 16 + 16 * 4), abs=16)  # two networks; the header's digits


def test_same_model_same_bytes(tmp_path):
    same = model()
    weights.save(tmp_path / "a", same)
    weights.save(tmp_path / "b", same)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_truncated_file(path, fraction):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(ParseError, match=r"^\S*model.safetensors: [^\n]+$"):
        weights.load(path)


def test_every_altered_byte_is_noticed(path):
    content = bytearray(path.read_bytes())
    for position in RNG.integers(0, len(content), 60):
        altered = content.copy()
        altered[position] ^= 0x10
        path.write_bytes(altered)
        with pytest.raises((ParseError, StoreError), match=r"^\S*model.safetensors: [^\n]+$"):
            weights.load(path)


def test_missing_file_and_foreign_files(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(ParseError, match=r"none\.safetensors: No such file"):
        weights.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("these are no weights")
    with pytest.raises(ParseError, match=r"text\.safetensors: "):
        weights.load(tmp_path / "text.safetensors")
    save_file({"a": np.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ParseError, match="no entry 'starloom'"):
        weights.load(tmp_path / "foreign.safetensors")


def test_made_for_something_else(tmp_path, path):
    other = tmp_path / "four"
    weights.save(other, model(("teff", "logg", "mh", "vmic")))
    with pytest.raises(
        StoreError, match="four: made for the labels teff, logg, mh, vmic, not teff, logg, vsini"
    ):
        weights.load(other)
    assert weights.load(other, labels=None).header.names == ("teff", "logg", "mh", "vmic")
    with pytest.raises(StoreError, match="family 'generator', not 'estimator'"):
        weights.load(path, family="estimator")


def rewritten(path, change):
    """The file with its description changed by ``change`` and its hash made to fit again."""
    from safetensors.numpy import load, save

    content = path.read_bytes()
    tensors = load(content)
    description = weights._description(content)
    del description["hash"]
    change(description)
    text = json.dumps({**description, "hash": weights.content_hash(description, tensors)})
    path.write_bytes(save(tensors, metadata={weights.KEY: text}))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda d: d.update(format=2), StoreError, "format 2, this version reads format 1"),
        (lambda d: d.pop("header"), ParseError, "'header'"),
        (lambda d: d["header"].update(colour="red"), ParseError, "unknown fields in the header: colour"),
        (lambda d: d["header"]["points"].update(medium="water"), ParseError, "'water'"),
        (lambda d: d["networks"]["other"][0].update(inputs=7), ParseError, "layer 0"),
        (lambda d: d["networks"].update(third=d["networks"]["other"]), ParseError, "third/0/weight"),
    ],
)
def test_inconsistent_description(path, change, error, message):
    rewritten(path, change)
    with pytest.raises(error, match=message):
        weights.load(path)


def test_failed_write_leaves_the_old_file(path):
    before = path.read_bytes()
    broken = model()
    broken.networks["generator"].parameters[1]["weight"][0, 0] = np.nan
    with pytest.raises(ConfigError, match="generator/1/weight are not finite in float32"):
        weights.save(path, broken)
    broken.networks["generator"].parameters[1]["weight"][0, 0] = 1e6
    with pytest.raises(ConfigError, match="not finite in float16"):
        weights.save(path, broken, "float16")
    with pytest.raises(ConfigError, match="'float8'"):
        weights.save(path, broken, "float8")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_points_describe_a_grid():
    points = Points.of(PAPER_GRID_AA, "air")
    assert (points.medium, points.spacing, points.count) == ("air", "linear", 4000)
    np.testing.assert_allclose(points.wavelength_aa, PAPER_GRID_AA, atol=1e-9)
    logarithmic = Points.of(np.geomspace(8390, 8810, 500), "vacuum")
    assert logarithmic.spacing == "logarithmic"
    with pytest.raises(ConfigError, match="uniform neither"):
        Points.of(np.array([1.0, 2.0, 4.0, 9.0]), "air")
    with pytest.raises(ConfigError, match="make no grid"):
        replace(points, count=1)


def test_models_are_found_by_name_or_path(tmp_path, monkeypatch):
    weights.save(tmp_path / "paper.safetensors", model())
    (tmp_path / "README.md").write_text("not a model")
    monkeypatch.setattr(weights, "_folder", lambda: tmp_path)
    assert weights.names() == ["paper"]
    assert weights.load(weights.find("paper")).header.recipe == "a1b2"
    assert weights.find(tmp_path / "own.safetensors") == tmp_path / "own.safetensors"
    with pytest.raises(ConfigError, match="model 'best' is not packaged: paper; or give a path"):
        weights.find("best")


def test_unknown_labels_are_refused():
    with pytest.raises(ConfigError, match="labels colour are not among teff"):
        label_ranges(("teff", "colour"))
