"""Labels, ranges and a band of one's own, without a change of the package: from a recipe to an emulator."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from starloom import bands
from starloom.bands import Band
from starloom.broadening import broaden, finish_of, keep, point_sampler
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.database import batches, build, exchange, figure, recipe, store
from starloom.errors import ConfigError, OutOfRangeError, ParseError, StoreError

pytest.importorskip("scipy.stats")

RECIPE = """
name = "giants"
seed = 3
sampling = "sobol"
intrinsic = 60
broadenings = 2
chunk = 16
band = "BAND"
floor = false

[ranges]
teff = [3800, 5500]
logg = [0.5, 3.0]
mh = [-1.0, 0.5]
alpha = [-0.1, 0.5]
Ca = [-0.4, 0.4]
vsini = [0, 60]
resolution = [5000, 14500]

[splits]
train = 0.7
validation = 0.2
"""
NAMES = ("teff", "logg", "mh", "alpha", "Ca", "vsini", "resolution")
LINES_AA = np.array([8460.0, 8500.4, 8544.4, 8590.0, 8602.0, 8664.5, 8740.0])
CALCIUM = np.isin(LINES_AA, [8500.4, 8544.4, 8664.5])


def synthesize(band, *, teff, logg, mh, alpha, Ca):
    """Normalised flux[star, chunk, point]: lines that know what they are made of."""
    chunks = [lines_on(chunk.wavelength_aa, teff, logg, mh, alpha, Ca) for chunk in band.chunks]
    return np.stack(chunks, axis=1)


def lines_on(vacuum_aa, teff, logg, mh, alpha, calcium):
    abundance = mh[:, None] + np.where(CALCIUM, calcium[:, None], alpha[:, None] * (np.arange(7) % 2))
    depth = 0.5 / (1 + np.exp(-abundance - (4800 - teff[:, None]) / 1500))
    width = 10 + 3 * logg[:, None] * CALCIUM
    velocity = SPEED_OF_LIGHT_KMS * np.log(vacuum_aa / LINES_AA[:, None])
    profiles = np.exp(-0.5 * (velocity / width[..., None]) ** 2)
    return 1 - np.einsum("sl,slw->sw", depth, profiles)


def write_band(folder, band):
    """A folder with a ``band.toml``, as one publishes it."""
    content = {key: value for key, value in band.mapping.items() if key != "tables"}
    points, chunks = content.pop("points"), content.pop("chunks")
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in content.items())
    for chunk in chunks:
        text += "[[chunks]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in chunk.items())
    text += "[points]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in points.items())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "band.toml").write_text(text)


TOY = Band.over("toy", 8450.0, 8750.0, 2)


@pytest.fixture(scope="module")
def giants(tmp_path_factory):
    """The recipe, whose band is a folder."""
    place = tmp_path_factory.mktemp("toy")
    write_band(place / "band", TOY)
    (place / "giants.toml").write_text(RECIPE.replace("BAND", str(place / "band")))
    return recipe.load(place / "giants.toml")


def made(folder, which, using=synthesize):
    return build.build(which, folder, using, physics="toy 1", progress=False)


@pytest.fixture(scope="module")
def opened(giants, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores") / "giants"
    made(folder, giants)
    return store.open_store(folder)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class TestBand:
    def test_a_folder_gives_the_band_it_describes(self, giants):
        band = giants.load_band()
        assert band.bare == TOY
        assert band.tables == giants.band
        assert len(band.chunks) == len(band.kept) == 2

    def test_an_installed_band_is_not_hidden_by_a_folder(self, tmp_path, monkeypatch):
        known = bands.load("rvs")
        (tmp_path / "rvs").mkdir()
        write_band(tmp_path / "own", TOY)
        monkeypatch.chdir(tmp_path)
        assert bands.load("rvs") == known
        assert bands.load("own").bare == TOY
        with pytest.raises(ConfigError, match="band 'other' is not installed: rvs"):
            bands.load("other")

    def test_a_folder_is_read_as_it_is_now(self, tmp_path):
        write_band(tmp_path / "own", TOY)
        assert bands.load(tmp_path / "own").stride == 3
        write_band(tmp_path / "own", replace(TOY, stride=2))
        assert bands.load(tmp_path / "own").stride == 2
        (tmp_path / "own" / "band.toml").write_text("name = 'own'")
        with pytest.raises(ParseError, match=r"own/band\.toml: band: KeyError: 'chunks'"):
            bands.load(tmp_path / "own")
        with pytest.raises(ParseError, match=r"none/band\.toml: .*No such file"):
            bands.load(tmp_path / "none")


class TestRecipe:
    def test_labels_and_ranges_are_the_recipes(self, giants):
        assert giants.domain.names == NAMES
        assert giants.domain.floor is None
        assert giants.domain.intrinsic.names == NAMES[:5]
        assert (giants.synthesised, giants.broadening) == ([0, 1, 2, 3, 4], [5, 6])
        drawn = giants.intrinsic_labels(0, 60)
        assert giants.domain.intrinsic.contains(drawn).all()
        assert drawn[:, 1].min() < 0.6  # below the floor of the paper's domain
        assert recipe.from_mapping(json.loads(json.dumps(recipe.to_mapping(giants)))) == giants

    def test_the_digest_knows_names_and_floor(self, giants):
        # the same numbers under another name
        other = {("Mg" if name == "Ca" else name): bounds for name, bounds in giants.domain.mapping["ranges"]}
        for domain in (
            giants.domain.of(other),
            replace(giants.domain, floor=recipe.load("tiny").domain.floor),
            replace(giants.domain, low=giants.domain.low - 0.01),
        ):
            assert replace(giants, domain=domain).digest != giants.digest

    def test_what_synthesis_cannot_do_is_told_before_there_is_a_store(self, giants):
        pytest.importorskip("jax")
        with pytest.raises(ConfigError, match="no label vmic, which synthesis needs"):
            build.check_synthesis(giants)
        tiny = recipe.load("tiny")
        build.check_synthesis(tiny)
        ranges = dict(tiny.domain.mapping["ranges"])
        floor = tiny.domain.floor
        build.check_synthesis(replace(tiny, domain=tiny.domain.of(ranges | {"Ca": (-0.3, 0.3)}, floor)))
        with pytest.raises(ConfigError, match="label filling cannot be synthesised: not intrinsic"):
            build.check_synthesis(replace(tiny, domain=tiny.domain.of(ranges | {"filling": (0, 0.4)}, floor)))
        with pytest.raises(OutOfRangeError, match=r"alpha = \S+ dex is outside"):
            build.check_synthesis(replace(tiny, domain=tiny.domain.of(ranges | {"alpha": (0, 0.9)}, floor)))
        hot = replace(tiny, domain=tiny.domain.of(ranges | {"teff": (3600, 25000)}, floor))
        with pytest.raises(OutOfRangeError, match=r"row \d+ \(the first of \d+ outside, of 48\): teff = "):
            build.check_synthesis(hot)
        bare = replace(tiny, domain=replace(tiny.domain, floor=None), intrinsic=400)
        with pytest.raises(OutOfRangeError, match="near the radiation limit"):
            build.check_synthesis(bare)


class TestStore:
    def test_what_is_kept_is_the_spectrum_in_each_chunk(self, opened):
        assert (opened.domain.names, opened.band.bare) == (NAMES, TOY)
        indices = np.array([59, 3, 17])
        columns = dict(zip(NAMES[:5], opened.labels[indices, :5].T, strict=True))
        flux = opened.flux(indices)
        size = TOY.kept[0].points
        assert flux.shape == (3, 2 * size)
        for number in range(2):
            expected = keep(synthesize(TOY, **columns)[:, number], TOY)
            own = opened.flux(indices, chunk=number)
            assert np.abs(own - expected).max() < 1.01e-5
            np.testing.assert_array_equal(own, flux[:, number * size : (number + 1) * size])
        np.testing.assert_array_equal(np.unique(opened.labels[:, 5:], axis=0), [[0.0, 40000.0]])

    def test_interrupted_it_continues_and_ends_the_same(self, opened, giants, tmp_path):
        asked = []

        def failing(band, **columns):
            asked.append(len(columns["Ca"]))
            if len(asked) == 3:
                raise KeyboardInterrupt
            return synthesize(band, **columns)

        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "again", giants, failing)
        assert store.read_manifest(tmp_path / "again").missing == [2, 3]
        made(tmp_path / "again", giants, failing)
        assert asked == [16, 16, 16, 16, 12]
        assert content(tmp_path / "again") == content(opened.manifest.folder)

    def test_damage_is_found(self, opened, giants, tmp_path):
        folder = tmp_path / "copy"
        shutil.copytree(opened.manifest.folder, folder)
        path = store.read_manifest(folder).path("flux", 1)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        assert list(store.read_manifest(folder).damage()) == [1]
        made(folder, giants)
        assert content(folder) == content(opened.manifest.folder)
        for name in store.NAMES:
            (folder / name).write_text("{")
        assert not store.repaired(folder, giants).missing

    def test_away_from_its_band_it_still_opens(self, giants, tmp_path):
        write_band(tmp_path / "band", TOY)
        mine = replace(giants, band=str(tmp_path / "band"), intrinsic=20)
        made(tmp_path / "store", mine)
        shutil.rmtree(tmp_path / "band")
        shutil.move(tmp_path / "store", tmp_path / "elsewhere")
        found = store.open_store(tmp_path / "elsewhere")
        assert found.band.bare == TOY
        assert next(batches.batches(found, "train", epoch=1)).flux.shape == (14, 3001)
        with pytest.raises(ParseError, match=r"band\.toml"):
            made(tmp_path / "elsewhere", mine)
        write_band(tmp_path / "band", replace(TOY, kept_resolution=30000.0))
        with pytest.raises(StoreError, match="it can be used as it is, but continued only by what made it"):
            made(tmp_path / "elsewhere", mine)
        write_band(tmp_path / "band", TOY)
        made(tmp_path / "elsewhere", mine, using=None)  # nothing is left to do

    def test_stores_of_one_band_in_two_places_belong_together(self, opened, giants, tmp_path):
        write_band(tmp_path / "band", TOY)
        wider = replace(giants.domain, high=giants.domain.high + np.eye(7)[4])
        made(tmp_path / "more", replace(giants, band=str(tmp_path / "band"), domain=wider, name="wider"))
        more = store.open_store(tmp_path / "more")
        domain, band = store.common([opened, more])
        assert (domain, band.bare) == (wider, TOY)
        fixed = batches.export_fixed_set(opened, tmp_path / "fixed", more=[more])
        assert fixed.stored.shape == (120 + 108, 3001)
        made(
            tmp_path / "tiny",
            replace(recipe.load("tiny"), intrinsic=8),
            lambda band, *, teff, **others: np.ones((len(teff), 1, band.chunks[0].points)),
        )
        other = store.open_store(tmp_path / "tiny")
        with pytest.raises(
            ConfigError, match="stores with different labels or bands: giants: teff, logg, mh"
        ):
            batches.export_fixed_set(opened, tmp_path / "none", more=[other])
        assert not (tmp_path / "none").exists()


class TestWhatIsMadeOfIt:
    def test_batches_are_broadened_exactly_also_at_the_join(self, opened):
        batch = next(batches.batches(opened, "validation", epoch=2))
        assert batch.flux.shape == (12, 3001)
        assert opened.domain.contains(batch.labels).all()
        labels = batch.labels[4]
        whole = Band.over("whole", 8450.0, 8750.0)
        chunk = whole.chunks[0]
        flux = lines_on(chunk.wavelength_aa, *(labels[:5, None]))
        seen = broaden(flux, chunk.step_kms, vsini=labels[5], resolution=labels[6])
        expected = point_sampler(chunk.wavelength_aa, TOY.points.vacuum_aa)(seen)[0]
        assert np.ptp(expected) > 0.05
        # rounding in the store, 1e-5, is averaged by the broadening
        assert np.abs(batch.flux[4] - expected).max() < 1e-5
        with pytest.raises(ConfigError, match=r"kept: \d+ points, \d+ are needed"):
            next(batches.batches(opened, "test", epoch=0, finisher=finish_of(TOY).chunks[0]))

    @pytest.mark.parametrize("observed", [False, True])
    def test_hdf5_says_what_it_holds(self, opened, tmp_path, observed):
        h5py = pytest.importorskip("h5py")
        exchange.export_hdf5(opened, tmp_path / "giants.h5", observed)
        with h5py.File(tmp_path / "giants.h5") as file:
            points = 3001 if observed else sum(grid.points for grid in TOY.kept)
            assert file["flux"].shape == (120 if observed else 60, points)
            assert file["wavelength"].shape == (points,)
            assert list(file["labels"].attrs["names"]) == list(NAMES)
            assert list(file["labels"].attrs["units"]) == ["K", "dex", "dex", "dex", "dex", "km/s", ""]
            if not observed:
                flux = file["flux"][7] * file["flux"].attrs["scale"]
                index = int(file["intrinsic"][7])
                np.testing.assert_allclose(flux, opened.flux(index)[0], atol=1e-6)
                edge = TOY.kept[0].points
                np.testing.assert_allclose(file["wavelength"][edge:], TOY.kept[1].wavelength_aa)

    def test_statistics_have_every_synthesised_label(self, opened):
        rows = [row.split() for row in figure.statistics(opened).splitlines()[1:]]
        assert list(dict.fromkeys(row[0] for row in rows)) == list(NAMES[:5])
        for name in NAMES[:5]:
            assert sum(int(count) for row in rows if row[0] == name for count in row[2:5]) == 60

    def test_figures_are_drawn(self, opened, giants, tmp_path):
        pytest.importorskip("matplotlib")
        figure.figure_one(opened, tmp_path / "one.png", 20)
        assert (tmp_path / "one.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        # where none of the figure's lines are
        write_band(tmp_path / "band", Band.over("green", 5150.0, 5200.0))
        made(tmp_path / "green", replace(giants, band=str(tmp_path / "band"), intrinsic=16))
        figure.figure_one(store.open_store(tmp_path / "green"), tmp_path / "two.png")

    def test_an_emulator_takes_labels_ranges_and_band_from_the_store(self, opened, tmp_path):
        pytest.importorskip("jax")
        from starloom.networks import weights
        from starloom.networks.emulation import EmulatorRecipe, fit_emulator
        from starloom.networks.emulator import CoefficientNetwork, packed
        from starloom.networks.generator import Generator, generate
        from starloom.networks.training import Plan

        plan = Plan(epochs=60, patience=60, learning_rate=1e-2, schedule="cosine")
        design = EmulatorRecipe(8, CoefficientNetwork((16,)), plan, batch=21)
        fitted, trainings = fit_emulator([opened], design, folder=tmp_path / "training")
        assert (len(fitted), len(trainings)) == (2, 2)
        assert sorted(path.name for path in (tmp_path / "training").iterdir()) == ["chunk-0", "chunk-1"]
        # by processes of their own, with other numbers of threads: the same but for rounding
        others, _ = fit_emulator([opened], design, folder=tmp_path / "others", workers=2)
        for own, other in zip(fitted, others, strict=True):
            found = own.spectrum(opened.labels[:3]), other.spectrum(opened.labels[:3])
            np.testing.assert_allclose(*found, atol=0.05)
        path = tmp_path / "giants.safetensors"
        weights.save(path, packed(fitted, opened.band, opened.recipe.digest))
        generator = Generator.load(path)
        assert generator.domain == opened.domain
        assert generator.header.band == TOY  # and nothing of the folder where it was
        batch = next(batches.batches(opened, "test", epoch=0))
        flux = generator.flux(batch.labels)
        assert flux.shape == batch.flux.shape
        error = np.abs(flux - batch.flux).mean()
        assert error < 0.5 * np.abs(batch.flux - batch.flux.mean(axis=0)).mean()
        star = dict(zip(NAMES, batch.labels[0], strict=True))
        np.testing.assert_allclose(generate(model=path, **star).flux, flux[0], atol=3e-6)
        with pytest.raises(OutOfRangeError, match=r"^logg = 4 dex is outside \[0.5, 3\] dex$"):
            generate(model=path, **{**star, "logg": 4.0})
        with pytest.raises(ConfigError, match="no label mh: the labels are teff, logg, mh, alpha, Ca"):
            generate(model=path, **{name: value for name, value in star.items() if name != "mh"})
        plain = generate(model=path, **{name: value for name, value in star.items() if name != "Ca"})
        assert plain.labels["Ca"] == star["alpha"]
