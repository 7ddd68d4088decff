"""Other labels, another domain and another band, from a recipe to a fit, without a change of the package.

Giants with [alpha/M] and [Ca/M], log g 0.5 to 3, in a band of two chunks that a folder describes; a stand-in
for synthesis.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from starloom import Generator, bands
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.database import build, recipe, store
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference import fit
from starloom.inference.forecast import Setting, forecast
from starloom.labels import Domain

pytest.importorskip("jax")
pytest.importorskip("scipy.stats")

BAND = bands.Band.over("toy", 8450.0, 8750.0, count=2)
RANGES = {
    "teff": (3800.0, 5500.0),
    "logg": (0.5, 3.0),
    "mh": (-2.5, 0.5),
    "alpha": (-0.2, 0.6),
    "Ca": (-0.5, 0.5),
    "vsini": (0.0, 100.0),
    "resolution": (5000.0, 14500.0),
}
STAR = {
    "teff": 4500.0,
    "logg": 1.2,
    "mh": -1.0,
    "alpha": 0.3,
    "Ca": -0.2,
    "vsini": 6.0,
    "resolution": 11500.0,
}
# centre [A, vacuum], species, excitation
LINES = [
    (8456.0 + 292.0 * place / 39, ("Ca", "alpha", "metal")[place % 3], (place * 7 % 11) / 5 - 1)
    for place in range(40)
]


def synthesize(band, *, teff, logg, mh, alpha, Ca):
    """Normalised flux[star, chunk, point]: lines of calcium, other alpha elements and other metals."""
    abundance = {"Ca": mh + Ca, "alpha": mh + alpha, "metal": mh}
    cool = 4500.0 / teff - 1
    chunks = []
    for chunk in band.chunks:
        flux = np.ones((len(teff), chunk.points))
        for centre, species, excitation in LINES:
            velocity = SPEED_OF_LIGHT_KMS * np.log(chunk.wavelength_aa / centre)
            depth = 0.6 / (1 + np.exp(-(abundance[species] + 4 * excitation * cool - 0.2 * logg)))
            width = 5 + 2 * excitation + logg + 3 * (1 + np.tanh(abundance[species]))
            flux -= depth[:, None] * np.exp(-0.5 * (velocity / width[:, None]) ** 2)
        chunks.append(flux.clip(0.02))
    return np.stack(chunks, axis=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The band as a folder, and a recipe that names it."""
    folder = tmp_path_factory.mktemp("toy")
    BAND.write(folder / "band")
    text = [
        *('name = "toy"', "seed = 5", 'sampling = "sobol"', "intrinsic = 400", "broadenings = 1"),
        *("chunk = 100", f"band = {json.dumps(str(folder / 'band'))}", "floor = false"),
        *("[splits]", "train = 0.7", "validation = 0.15"),
        *("[ranges]", *(f"{name} = [{low}, {high}]" for name, (low, high) in RANGES.items())),
    ]
    (folder / "toy.toml").write_text("\n".join(text))
    (folder / "emulator.toml").write_text(
        "coefficients = 40\nbatch = 64\n[network]\nhidden = [64, 64]\n"
        '[plan]\nepochs = 120\npatience = 120\nlearning_rate = 1e-2\nschedule = "cosine"\n'
    )
    return folder


@pytest.fixture(scope="module")
def spectra(folder):
    return build.build(
        recipe.load(folder / "toy.toml"), folder / "store", synthesize, physics="toy", progress=False
    )


@pytest.fixture(scope="module")
def model(folder, spectra, exit_code):
    """Trained by the command, on the store, and with its errors stated by the command."""
    path, known = folder / "toy.safetensors", folder / "known.safetensors"
    arguments = ["--recipe", str(folder / "emulator.toml")]
    assert exit_code("train", "emulator", spectra.folder, path, *arguments) == 0
    assert exit_code("evaluate", path, spectra.folder, "--split", "train", "--attach", known) == 0
    return known


@pytest.fixture(scope="module")
def generator(model):
    return Generator.load(model)


def test_the_store_has_the_recipes_labels_and_band(spectra):
    opened = store.open_store(spectra.folder)
    assert opened.domain == Domain.of(RANGES)
    assert opened.band.chunks == BAND.chunks
    assert opened.labels.shape == (400, 7)
    assert opened.labels[:, opened.domain.index("logg")].min() < 0.6  # no floor of the packaged structures


def test_the_model_knows_what_it_was_trained_on(generator):
    assert generator.domain == Domain.of(RANGES)
    assert generator.header.band.chunks == BAND.chunks
    assert generator.header.points == BAND.points
    with pytest.raises(OutOfRangeError, match=r"logg = 4 dex is outside \[0.5, 3\] dex"):
        generator.flux(generator.domain.array(**STAR | {"logg": 4.0}))
    with pytest.raises(ConfigError, match="unknown label vmic"):
        generator.domain.array(**STAR, vmic=1.0)


def test_spectra_follow_the_synthesiser(generator):
    labels = generator.domain.array(**STAR)
    kept = {name: np.array([value]) for name, value in STAR.items() if name not in ("vsini", "resolution")}
    made = synthesize(BAND, **kept)[0]
    from starloom.broadening import broaden, point_sampler

    flux = generator.flux(labels)
    seen = broaden(made, BAND.chunks[0].step_kms, vsini=6.0, resolution=11500.0)
    vacuum_aa, edge = BAND.points.vacuum_aa, np.searchsorted(BAND.points.vacuum_aa, BAND.edges_aa[1])
    parts = zip(BAND.chunks, seen, (vacuum_aa[:edge], vacuum_aa[edge:]), strict=True)
    exact = np.concatenate([point_sampler(grid.wavelength_aa, there)(one) for grid, one, there in parts])
    assert np.abs(flux - exact).mean() < 5e-3  # 280 stars and seconds of training; the lines are 0.3 deep
    stated = generator.error(labels, "p99")
    assert (np.abs(flux - exact) < stated).mean() > 0.8


def test_the_chunks_join(generator):
    """Continuous to 1e-5: values just left and right of the join continue each other."""
    labels = generator.domain.array(**STAR)
    for velocity in (0.0, -250.0, 250.0):
        around = BAND.edges_aa[1] * (1 + (velocity + np.linspace(-40, 40, 801)) / SPEED_OF_LIGHT_KMS)
        flux = generator.flux(labels, wavelength_aa=around, medium="vacuum", radial_velocity=velocity).astype(
            float
        )
        steps = np.diff(flux, 2)
        # a jump would stand out of the second differences; steps of 0.1 km/s leave 1e-6 and float32
        assert np.abs(steps).max() < 1e-5


def test_a_fit_finds_the_labels(generator):
    labels = generator.domain.array(**STAR)
    seen = generator.spectrum(labels, radial_velocity=31.0)
    found = fit(seen, generator, resolution=11500.0, snr=200.0)
    assert found.labels["alpha"] == pytest.approx(0.3, abs=0.01)
    assert found.labels["Ca"] == pytest.approx(-0.2, abs=0.01)
    assert found.labels["teff"] == pytest.approx(4500.0, abs=10)
    assert found.velocity == pytest.approx(31.0, abs=0.1)


def test_a_forecast_knows_the_labels(generator):
    labels = generator.domain.array(**STAR)
    found = forecast(generator, labels, Setting(snr=100.0))
    assert {"alpha", "Ca"} <= set(found.bounds)
    assert all(0 < bound < 10 for name, bound in found.bounds.items() if name in ("alpha", "Ca", "mh"))


def test_commands_take_the_models_labels(model, tmp_path, command):
    options = [f"--label={name}={value}" for name, value in STAR.items() if name in ("alpha", "Ca")]
    others = [f"--{name}={value}" for name, value in STAR.items() if name not in ("alpha", "Ca")]
    out = tmp_path / "star.fits"
    assert command("generate", "--model", model, *others, *options, "-o", out)[0] == 0
    code, told, _ = command("fit", out, "--model", model, "--resolution", "11500", "--snr", "100")
    assert (code, "alpha" in told) == (0, True)
    assert command("generate", "--model", model, *others, "-o", tmp_path / "plain.fits")[0] == 0
    cool = [option for option in others if not option.startswith("--mh")]
    code, _, fault = command("generate", "--model", model, *cool, "-o", tmp_path / "b.fits")
    assert code != 0
    assert "labels are missing: --mh" in fault


@pytest.fixture(scope="module")
def fine(folder, exit_code):
    """Half of the band, kept up to R = 150 000 and learnt up to 100 000, with its errors stated."""
    wanted = recipe.load(folder / "toy.toml").over((8640.0, 8720.0), 150e3)
    wanted = replace(wanted, intrinsic=200)
    made = build.build(wanted, folder / "fine", synthesize, physics="toy", progress=False)
    path, known = folder / "fine.safetensors", folder / "fine-known.safetensors"
    arguments = ["--recipe", str(folder / "emulator.toml"), "--resolution", "100000"]
    assert exit_code("train", "emulator", made.folder, path, *arguments) == 0
    assert exit_code("evaluate", path, made.folder, "--split", "train", "--attach", known) == 0
    return Generator.load(known)


def test_one_chunk_at_high_resolution(fine):
    assert fine.header.band.chunks == BAND.chunks[1:]
    assert fine.domain == Domain.of(RANGES | {"resolution": (5000.0, 100e3)})
    assert fine.header.points.count == 4001  # 0.02 A: two in a resolution element of 0.086 A
    star = STAR | {"vsini": 2.0, "resolution": 100e3}
    labels = fine.domain.array(**star)
    kept = {name: np.array([value]) for name, value in STAR.items() if name not in ("vsini", "resolution")}
    made = synthesize(fine.header.band, **kept)[0, 0]
    from starloom.broadening import broaden, point_sampler

    (chunk,) = fine.header.band.chunks
    seen = broaden(made, chunk.step_kms, vsini=2.0, resolution=100e3)
    exact = point_sampler(chunk.wavelength_aa, fine.header.points.vacuum_aa)(seen)
    assert np.abs(fine.flux(labels) - exact).mean() < 5e-3
    assert (np.abs(fine.flux(labels) - exact) < fine.error(labels, "p99")).mean() > 0.8
    found = fit(fine.spectrum(labels, radial_velocity=31.0), fine, resolution=100e3, snr=200.0)
    assert found.labels["vsini"] == pytest.approx(2.0, abs=0.2)
    assert found.velocity == pytest.approx(31.0, abs=0.02)
    with pytest.raises(OutOfRangeError, match=r"resolution = 150000 is outside \[5000, 100000\]"):
        fine.flux(fine.domain.array(**star | {"resolution": 150e3}))


def test_a_chunk_of_a_store_can_be_learnt_alone(folder, spectra, model, exit_code, command):
    """The same as the chunk of the whole, where that knows it alone."""
    path, arguments = folder / "chunk.safetensors", ["--recipe", str(folder / "emulator.toml")]
    assert exit_code("train", "emulator", spectra.folder, path, *arguments, "--range", "8640:8720") == 0
    alone, whole = Generator.load(path), Generator.load(model)
    assert alone.header.band.chunks == BAND.chunks[1:]
    view = {"wavelength_aa": np.linspace(8650.0, 8710.0, 500), "medium": "air"}
    labels = alone.domain.array(**STAR)
    assert alone.flux(labels, **view) == pytest.approx(whole.flux(labels, **view), abs=2e-2)
    code, _, fault = command("train", "emulator", spectra.folder, path, *arguments, "--resolution", "20000")
    told = "resolution = 20000 is none of the stores' (toy up to 14500): build them with it"
    assert (code, told in fault) == (2, True)
    code, _, fault = command("train", "emulator", spectra.folder, path, *arguments, "--range", "5000:5100")
    assert (code, "band toy: 5000..5100 A is not a range within" in fault) == (2, True)
