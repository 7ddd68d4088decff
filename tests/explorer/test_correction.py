"""The page with a correction learned from observed stars: flux and errors are those of Python."""

import json

import numpy as np
import pytest

from starloom import cli
from starloom.errors import StoreError
from starloom.explorer.site import site
from starloom.networks import flux_correction
from starloom.networks.flux_correction import FluxCorrection, LabelAxis, SplineGrid
from starloom.networks.generator import Generator

MODEL = "default-2026-lte"
SUN = {"teff": 5777.0, "logg": 4.44, "vsini": 5.0, "mh": 0.0, "vmic": 1.0, "resolution": 11500.0}
GIANT = {"teff": 4300.0, "logg": 2.1, "vsini": 2.0, "mh": -0.7, "vmic": 1.6, "resolution": 9000.0}
SCENE = """() => {
  const plain = (values) => Array.from(values, (f) => (Number.isNaN(f) ? null : f));
  const { flux, p68, p99 } = explorer.scene;
  return { flux: plain(flux), p68: plain(p68), p99: plain(p99) };
}"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A correction of 2 % with patterns of 0.5 %, of Teff, [M/H] and a label that the model lacks."""
    generator = Generator.load(MODEL)
    axes = (
        LabelAxis.over("teff", 3600, 15000, 0.5),
        LabelAxis.over("mh", -1.5, 1.5, 1.5),
        LabelAxis.over("alpha", -0.2, 0.6, 0.4),
    )
    grid, rng = SplineGrid.over(8390.0, 8815.0, 1e-3), np.random.default_rng(5)
    shape = int(np.prod([axis.nodes.size for axis in axes])), grid.count
    mean, patterns = 0.02 * rng.standard_normal(shape), 0.0025 * rng.standard_normal((4, *shape))
    about = {"libraries": [{"name": "made up"}], "stars": 7}
    correction = FluxCorrection(axes, grid, mean, patterns, generator.digest, about)
    found = tmp_path_factory.mktemp("correction") / "own.safetensors"
    flux_correction.save(found, correction, generator.domain, generator.header.band)
    return found


@pytest.fixture(scope="module")
def address(serve, path):
    with serve(site(MODEL, path)) as found:
        yield found


@pytest.mark.parametrize(("labels", "velocity"), [(SUN, 0.0), (GIANT, 80.0)])
def test_flux_and_errors_are_those_of_python(visit, path, labels, velocity):
    page = visit()
    page.evaluate("([labels, velocity]) => explorer.setStar(labels, velocity)", [labels, velocity])
    scene = {name: np.array(values, float) for name, values in page.evaluate(SCENE).items()}
    corrected, plain = Generator.load(MODEL).corrected(path), Generator.load(MODEL)
    row = corrected.domain.array(**labels)
    known = np.isfinite(scene["flux"])
    wavelength = corrected.header.points.wavelength_aa[known]
    seen = {"wavelength_aa": wavelength, "radial_velocity": velocity}
    assert known.sum() > 3900
    assert np.abs(corrected.flux(row, **seen) - plain.flux(row, **seen)).max() > 0.01
    np.testing.assert_allclose(scene["flux"][known], corrected.flux(row, **seen), atol=5e-6)
    own = corrected.correction_error(row, **seen)
    for size, deviations in (("p68", 1.0), ("p99", 2.576)):
        expected = np.hypot(plain.error(row, size, **seen), deviations * own)
        np.testing.assert_allclose(scene[size][known], expected, rtol=1e-3)


def test_the_page_tells_of_it(visit):
    page = visit()
    assert "learned from 7 stars of made up" in page.inner_text("#about")
    assert 'correction="own.safetensors"' in page.evaluate("explorer.python()")


def test_one_of_another_model_is_refused(path):
    with pytest.raises(StoreError, match="is not for the model default"):
        site("default", path)


def test_the_command_writes_it(tmp_path, path, capsys, monkeypatch):
    words = ["starloom", "explore", "--export", str(tmp_path / "page"), "--model", MODEL]
    monkeypatch.setattr("sys.argv", [*words, "--correction", str(path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    told = json.loads((tmp_path / "page" / "facts.json").read_text())["correction"]
    assert (tmp_path / "page" / told["file"]).stat().st_size == told["bytes"]
    assert told["name"] == "own.safetensors"
