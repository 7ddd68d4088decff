"""The paper's networks on observed stars alone, against stars whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("jax")
pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")

import starloom
from starloom import cli
from starloom.errors import ConfigError, OutOfRangeError, StoreError
from starloom.labels import Cloud, Domain
from starloom.networks.basis import principal_components
from starloom.observed.simulation import Sky, simulated
from starloom.paper import observed
from starloom.paper.observed import NormalisedStars, ObservedRecipe

SKY = Sky(
    {"teff": (4800, 6500), "logg": (3.0, 4.8), "mh": (-0.8, 0.4)},
    {"teff": 40.0, "logg": 0.08, "mh": 0.04},
    snr=100.0,
    resolution=5000.0,
    range_aa=(8450.0, 8700.0),
)
QUICK = (
    "parts=2",
    "batch=8",
    "autoencoder.components=12",
    "autoencoder.latent=4",
    "autoencoder.hidden=[16]",
    "labels.hidden=[16]",
    "near.teff=0.03",
    "near.logg=0.3",
    "near.mh=0.2",
    "estimator.coefficients=8",
    "estimator.hidden=[16]",
    *(f"plans.{kind}.epochs=30" for kind in ("autoencoder", "labels", "joint", "estimator")),
)


@pytest.fixture(scope="module")
def library():
    return simulated(starloom.Generator.load("default-2026-lte"), SKY, 120, 3)[0]


@pytest.fixture(scope="module")
def recipe():
    return ObservedRecipe.load("observed", QUICK)


@pytest.fixture(scope="module")
def stars(library, recipe):
    return NormalisedStars.of(library, recipe.stars, recipe.near)


@pytest.fixture(scope="module")
def folder(library, tmp_path_factory):
    """What the command leaves in a folder."""
    place = tmp_path_factory.mktemp("observed")
    library.write(place / "stars.npz")
    changes = [word for change in QUICK for word in ("--set", change)]
    words = ["reproduce", "observed", str(place / "out"), "--observed", str(place / "stars.npz"), *changes]
    found = CliRunner().invoke(cli.app, words)
    assert found.exit_code == 0, (found.output, found.exception)
    return place / "out"


def test_a_smooth_response_and_a_unit_are_not_in_normalised_spectra(library):
    plain = observed.normalised(library, 100.0)
    slope = 3e-15 * np.exp(0.05 * np.linspace(-1, 1, library.vacuum_aa.size))
    other = replace(library, flux=library.flux * slope.astype(np.float32))
    # 0.04 in L, times the lines' imbalance to either side; a mean alone would be off by 0.023 at the ends
    np.testing.assert_allclose(observed.normalised(other, 100.0), plain, atol=0.018)
    assert abs(np.mean(plain) - 1) < 0.01


def test_missing_pixels_are_interpolated_and_do_not_count(library):
    lacking = library.inverse_variance.copy()
    lacking[0, 100:103] = 0
    wild = library.flux.copy()
    wild[0, 100:103] = 1e6
    holed = replace(library, inverse_variance=lacking, flux=wild)
    found = observed.filled(observed.normalised(holed, 100.0), lacking == 0)
    plain = observed.normalised(library, 100.0)
    np.testing.assert_allclose(found[0, :100], plain[0, :100], atol=2e-3)
    assert found[0, 101] == pytest.approx((found[0, 99] + found[0, 103]) / 2, rel=1e-5)


def test_stars_that_cannot_be_used_are_told(library, recipe):
    mh = library.labels["mh"].copy()
    mh[3] = np.nan
    lacking = library.inverse_variance.copy()
    lacking[5, :200] = 0
    holed = replace(library, labels={**library.labels, "mh": mh}, inverse_variance=lacking)
    found = NormalisedStars.of(holed, recipe.stars, recipe.near)
    assert found.left_out.keys() == {library.names[3], library.names[5]}
    assert "mh = nan is outside [-2.5, 1]" in found.left_out[library.names[3]]
    with pytest.raises(ConfigError, match="0 usable stars, 20 are needed: teff = "):
        NormalisedStars.of(library, replace(recipe.stars, teff=(7000.0, 8000.0)), recipe.near)


def test_held_out_stars_are_generated_better_than_by_their_mean(folder, stars):
    with np.load(folder / "generated.npz") as arrays:
        error = (arrays["generated"] - arrays["flux"]).std()
    spread = (stars.spectra - stars.spectra.mean(axis=0)).std()
    noise = 0.01  # S/N 100
    assert error**2 - noise**2 < 0.3 * (spread**2 - noise**2)
    told = json.loads((folder / "evaluation.json").read_text())
    assert told["autoencoder"]["test"]["spectra"] == len(stars)
    teff = told["table_5"][0]
    assert teff["label"] == "teff"
    assert teff["rms"][2] < 0.5 * stars.labels[:, 0].std()


def test_the_command_makes_a_generator_that_knows_where_stars_were(folder, stars):
    told = json.loads((folder / "evaluation.json").read_text())
    assert sorted(star for part in told["parts"] for star in part) == list(range(len(stars)))
    text = (folder / "report" / "report.md").read_text()
    for row in ("| MAE | 0.0013 |", "| teff [K] |", "| teff 4"):
        assert row in text
    model = folder / "generator" / "observed.safetensors"
    generator = starloom.Generator.load(model)
    row = generator.domain.cloud.distance(stars.labels).argmin()
    own = dict(zip(("teff", "logg", "mh"), map(float, stars.labels[row]), strict=True))
    spectrum = starloom.generate(model=model, **own)
    assert np.abs(spectrum.flux - stars.spectra[row]).mean() < 0.02
    assert (spectrum.error > 0).all()
    empty = {"teff": float(stars.labels[:, 0].max()), "logg": float(stars.labels[:, 1].min()), "mh": -0.7}
    line = r"teff = .* K, logg = .* dex, mh = -0\.7 dex is outside the observed stars: .* allowed is 1"
    with pytest.raises(OutOfRangeError, match=line):
        starloom.generate(model=model, **empty)
    with pytest.raises(OutOfRangeError, match="outside the observed stars"):
        starloom.generate(model=model, **empty, outside="clip")
    assert generator.domain == Domain.from_mapping(json.loads(json.dumps(generator.domain.mapping)))


def test_a_folder_or_an_option_that_does_not_fit_is_refused(folder, library):
    stars = folder.parent / "stars.npz"
    again = CliRunner().invoke(cli.app, ["reproduce", "observed", str(folder), "--observed", str(stars)])
    assert isinstance(again.exception, StoreError)
    new = str(folder.parent / "new")
    for words, line in (
        (["observed", new], "give --observed"),
        (["observed", new, "--observed", str(stars), "--only", "report"], "no stages"),
        (["short", new, "--observed", str(stars)], "unknown key"),
        (["observed", new, "--observed", str(stars), "--set", 'precision="float8"'], "precision = 'float8'"),
    ):
        found = CliRunner().invoke(cli.app, ["reproduce", *words])
        assert line in str(found.exception)


def test_components_of_few_spectra_are_those_of_many(stars):
    few = principal_components([stars.spectra], 6, few=True)
    whole = principal_components([stars.spectra], 6)
    np.testing.assert_allclose(few.components, whole.components, atol=1e-4)
    np.testing.assert_allclose(few.deviation, whole.deviation, rtol=1e-5)
    assert few.total_variance == pytest.approx(whole.total_variance)


def test_a_cloud_is_as_near_as_its_stars():
    cloud = Cloud((("teff", 0.1), ("logg", 0.5)), ((5000.0, 4.0), (5000.0, 4.5), (8000.0, 4.0)), count=2)
    found = cloud.distance([[5000.0, 4.0], [5000.0 * np.exp(0.1), 4.25], [8000.0, 4.0]])
    np.testing.assert_allclose(found, [1, np.hypot(1, 0.5), np.log(1.6) / 0.1])
    domain = Domain.of({"logg": (3, 5), "teff": (4000, 9000), "vsini": (0, 9)}).within(cloud)
    inside = domain.contains(
        [[4.25, 5000.0, 3.0], [4.25, 5900.0, 3.0], [np.nan, 5000.0, 3.0], [4.2, 3000.0, 3.0]]
    )
    assert inside.tolist() == [True, False, False, False]
    with pytest.raises(OutOfRangeError, match=r"teff = 3000\.0? ?K is outside|teff = 3000 K is outside"):
        domain.check([4.2, 3000.0, 3.0])
    assert domain.only("teff", "logg").cloud == cloud
    assert domain.only("teff").cloud is None
    assert domain != domain.within(None)
    with pytest.raises(ConfigError, match="is none of"):
        Domain.of({"teff": (4000, 9000)}).within(cloud)
    with pytest.raises(ConfigError, match="count = 4"):
        replace(cloud, count=4)
