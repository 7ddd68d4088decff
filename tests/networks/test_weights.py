import json
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from starloom import bands, tables
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.labels import TABLE_1, Domain
from starloom.networks import weights
from starloom.networks.forward import Network, affine, dense_layers
from starloom.networks.weights import Header, Model
from starloom.wavelength import Points

RNG = np.random.default_rng(2)
POINTS = Points("air", "linear", 8400.0, 8799.9, 4000)


def model(names=TABLE_1.names):
    scaling = affine(RNG.uniform(1000, 9000, len(names)), np.full(len(names), 1e-4))
    network = scaling.then(Network.initial(dense_layers((len(names), 16, 4), "silu"), seed=1))
    about = "a1b2", "# A card\nwith text", {"limb_darkening": 0.6}
    header = Header("generator", TABLE_1.only(*names), POINTS, bands.load("rvs"), *about)
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


def test_labels_ranges_and_band_are_those_of_the_file(tmp_path, path):
    other, own = tmp_path / "four", Domain.of({"alpha": (-0.2, 0.6), "teff": (4000, 5000)})
    written = model()
    header = replace(written.header, domain=own, band=bands.Band.over("own", 5000, 5100, 3))
    weights.save(other, Model(header, written.networks))
    read = weights.load(other).header
    assert read == header
    assert read.names == ("alpha", "teff")
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
        (lambda d: d.update(format=3), StoreError, "format 3, this version reads 1 and 2"),
        (lambda d: d.pop("header"), ParseError, r"\.safetensors: header: 'header' is missing"),
        (lambda d: d["header"].pop("points"), ParseError, "header: 'points' is missing"),
        (lambda d: d["header"].update(points={}), ParseError, "header: Points.* missing"),
        (lambda d: d["header"].update(band=[]), ParseError, "header: "),
        (lambda d: d["header"].update(domain=3), ParseError, "header: no domain of labels"),
        (lambda d: d["header"]["points"].update(count=float("inf")), ParseError, "header: points from"),
        (lambda d: d["header"]["points"].update(count=2.5), ParseError, "header: points from"),
        (lambda d: d.update(header=[]), ParseError, "header: "),
        (lambda d: d.update(networks=[]), ParseError, r"networks: \[\] is no mapping"),
        (lambda d: d.update(networks=None), ParseError, "networks: None is no mapping"),
        (lambda d: d.pop("networks"), ParseError, "networks: 'networks' is missing"),
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


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "[1", "{}"])
def test_metadata_that_are_no_description(path, text):
    from safetensors.numpy import load, save

    path.write_bytes(save(load(path.read_bytes()), metadata={weights.KEY: text}))
    with pytest.raises((ParseError, StoreError), match=str(path)) as caught:
        weights.load(path)
    assert "\n" not in str(caught.value)


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
    grid = 8400.0 + 0.1 * np.arange(4000)
    points = Points.of(grid, "air")
    assert (points.medium, points.spacing, points.count) == ("air", "linear", 4000)
    np.testing.assert_array_equal(points.wavelength_aa, grid)
    logarithmic = Points.of(np.geomspace(8390, 8810, 500), "vacuum")
    assert logarithmic.spacing == "logarithmic"
    with pytest.raises(ConfigError, match="uniform neither"):
        Points.of(np.array([1.0, 2.0, 4.0, 9.0]), "air")
    with pytest.raises(ConfigError, match="make no grid"):
        replace(points, count=1)


def test_models_are_found_by_name_or_path(tmp_path, monkeypatch):
    """By the entry points of whatever distribution has them: a package with the file."""
    package = tmp_path / "my_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    weights.save(package / "mine.safetensors", model())
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("mine", "my_models", weights.GROUP)
    monkeypatch.setattr(tables, "entry_points", lambda group: [entry] if group == weights.GROUP else [])
    assert weights.names() == ["mine"]
    assert weights.load(weights.find("mine")).header.recipe == "a1b2"
    assert weights.find(tmp_path / "own.safetensors") == tmp_path / "own.safetensors"
    gone = EntryPoint("gone", "no_such_package", weights.GROUP)
    monkeypatch.setattr(tables, "entry_points", lambda group: [entry, gone])
    with pytest.raises(ConfigError, match=r"'gone' of starloom\.models: 'no_such_package' is neither a"):
        weights.find("gone")
    monkeypatch.setattr(tables, "entry_points", lambda group: [entry])
    with pytest.raises(
        ConfigError, match=r"'best' is not installed \(there are: mine\): give a name, or a file \*\.saf"
    ):
        weights.find("best")
    with pytest.raises(ConfigError, match=r"'paper' is not installed \(there are: mine\): the distribution"):
        weights.find("paper")
    monkeypatch.setattr(tables, "entry_points", lambda group: [entry, EntryPoint("mine", "theirs", group)])
    with pytest.raises(
        ConfigError, match=r"'mine' of starloom\.models is in several packages, my_models, th"
    ):
        weights.find("mine")


class TestFirstFormat:
    """Files of before say labels with ranges, and nothing of a band: it is the packaged one."""

    def first(self, path):
        def change(description):
            header = description["header"]
            ranges = header.pop("domain")["ranges"]
            units = {label.name: label.unit for label in TABLE_1.labels}
            header["labels"] = [{"name": n, "unit": units[n], "low": a, "high": b} for n, (a, b) in ranges]
            header["settings"]["kept_resolution"] = 40000.0
            del header["band"]
            description["format"] = 1

        rewritten(path, change)
        return path

    def test_is_read(self, path):
        header = weights.load(self.first(path)).header
        assert header.domain == TABLE_1
        assert header.domain.floor == TABLE_1.floor
        assert header.band == bands.load("rvs")
        assert header.points == POINTS
        assert header.settings == {"limb_darkening": 0.6}

    def test_its_ranges_are_obeyed(self, path):
        def narrower(description):
            description["header"]["labels"][0].update(high=4600.0)

        rewritten(self.first(path), narrower)
        assert weights.load(path).header.domain.high[0] == 4600.0

    def test_other_units_are_refused(self, path):
        rewritten(self.first(path), lambda d: d["header"]["labels"][2].update(unit="m/s"))
        with pytest.raises(ParseError, match="labels vsini in other units"):
            weights.load(path)
