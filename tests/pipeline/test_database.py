"""A store from recipe to batches, killed, damaged and continued; its spectra come from ``stand_in.py``."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

from starloom import bands, tables
from starloom.broadening import finish_of, keep
from starloom.database import batches, build, exchange, figure, recipe, store, workers
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.labels import TABLE_1

pytest.importorskip("scipy.stats")
SCRIPT = Path(__file__).with_name("stand_in.py")
synthesize = run_path(str(SCRIPT))["synthesize"]
TINY = recipe.load("tiny")
RVS = bands.load("rvs")


def kept(labels):
    """What a store keeps of the stand-in's spectra of ``labels[spectrum, label]``."""
    columns = {name: labels[:, TABLE_1.index(name)] for name in TABLE_1.intrinsic.names}
    return keep(synthesize(RVS, **columns)[:, 0], RVS)


def made(folder, which=TINY, using=synthesize, **options):
    return build.build(which, folder, using, physics="stand-in 1", progress=False, **options)


def content(folder):
    """Every byte of a store's arrays and manifest, by file name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores") / "tiny"
    made(folder)
    return store.open_store(folder)


@pytest.fixture
def copy(tiny, tmp_path):
    """A store of its own, to be damaged."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, data in content(tiny.manifest.folder).items():
        (folder / name).write_bytes(data)
    return folder


def script(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finished(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def chunks_in(folder):
    return len(store.read_manifest(folder).digests) if (folder / "manifest.json").exists() else 0


class TestRecipe:
    @pytest.mark.parametrize("name", ["tiny", "standard", "paper"])
    def test_packaged_recipes_are_read_and_survive_json(self, name):
        found = recipe.load(name)
        assert found.name == name
        assert recipe.from_mapping(json.loads(json.dumps(recipe.to_mapping(found)))) == found

    def test_the_paper_recipe_has_the_papers_size_and_ranges(self):
        paper = recipe.load("paper")
        assert paper.intrinsic * paper.broadenings == 205_000
        assert paper.domain == TABLE_1

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("seed = 1", "seed = -1", "seed = -1 is no whole number from 0 up"),
            ("seed = 1", "seed = 1\nsed = 2", "recipe: unknown key sed"),
            ("seed = 1", "", "recipe: missing key seed"),
            ("seed = 1", "seed = 1\nends = 1.5", "ends = 1.5 is no probability"),
            ("seed = 1", "seed = 1\nends = 'all'", "ends = 'all' is no number"),
            ('"sobol"', '"grid"', "sampling = 'grid' is none of uniform, sobol"),
            ("teff = [", "heat = [", "ranges: label 'heat' is none of teff, logg, .*nor an element's symbol"),
            ("[2.0, 5.0]", "[5.0, 2.0]", r"ranges: the domain of logg is empty: \[5, 2\]"),
            ("[2.0, 5.0]", "[2.0, inf]", r"ranges.logg = \[2.0, inf\] is no list of numbers"),
            ("[2.0, 5.0]", "4.0", r"logg = 4.0 is no pair"),
            ("train = 0.8", "train = 1.2", "train = 1.2, validation = 0.1: not shares"),
            ("train = 0.8", 'train = "most"', "train = 'most' is no number"),
            ("chunk = 8", "chunk = 0", "chunk = 0 is no whole number from 1 up"),
        ],
    )
    def test_a_wrong_recipe_says_where(self, tmp_path, old, new, message):
        text = (Path(recipe.__file__).parent / "recipes" / "tiny.toml").read_text()
        path = tmp_path / "wrong.toml"
        path.write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=f"wrong.toml: .*{message}"):
            recipe.load(path)

    def test_no_toml_and_no_file(self, tmp_path):
        (tmp_path / "broken.toml").write_text("seed = ")
        with pytest.raises(ParseError, match=r"broken.toml: Invalid value"):
            recipe.load(tmp_path / "broken.toml")
        known = "alpha, benchmark, cool, edge, elements, ends, inside, optical, .*, standard, stars, .*, tiny"
        with pytest.raises(ConfigError, match=rf"absent: no such file, nor a packaged recipe \({known}\)"):
            recipe.load("absent")

    def test_labels_lie_at_the_ends_with_the_recipes_probability(self):
        """Each label at its lower and its upper end, log g also at the corner's; all in the domain."""
        found = replace(recipe.load("tiny"), intrinsic=4000, ends=0.6, chunk=100)
        intrinsic = found.intrinsic_labels(0, 4000)
        assert found.domain.intrinsic.contains(intrinsic).all()
        assert np.array_equal(found.intrinsic_labels(70, 30), intrinsic[70:100])
        low, high = found.domain.intrinsic.low, found.domain.intrinsic.high
        low = np.tile(low, (4000, 1))
        low[:, 1] = TABLE_1.floor(intrinsic[:, 0], intrinsic[:, 2])
        # four standard deviations; log g is also raised to its lower end where the others moved it beneath
        np.testing.assert_allclose((intrinsic == high).mean(axis=0), 0.3, atol=0.03)
        at_low = (intrinsic == low).mean(axis=0)
        np.testing.assert_allclose(at_low[[0, 2, 3]], 0.3, atol=0.03)
        assert 0.3 < at_low[1] < 0.4
        broadening = found.broadening_labels(0, 3)
        for end in (found.domain.low, found.domain.high):
            end = end[found.broadening]
            np.testing.assert_allclose((broadening == end).mean(axis=(0, 1)), 0.3, atol=0.02)

    @pytest.mark.parametrize(
        ("name", "digest"),
        [
            ("benchmark", "74a6e5ccd0f6"),
            ("cool", "4b4c05593113"),
            ("edge", "71975a938790"),
            ("ends", "a434ab9a4fc6"),
            ("inside", "a9e77e7bc57c"),
            ("paper", "0acc7899d01c"),
            ("standard", "7c77879a8743"),
            ("tiny", "1feeb4c1cc1f"),
        ],
    )
    def test_packaged_recipes_are_what_they_were(self, name, digest):
        """Stores made before, and their digests, stay valid."""
        assert recipe.load(name).digest.startswith(digest)

    def test_what_a_recipe_leaves_out_is_not_in_its_digest(self, tmp_path):
        tiny = recipe.load("tiny")
        assert set(recipe.to_mapping(tiny)).isdisjoint({"ends", "band", "floor"})
        assert replace(tiny, ends=0.5).digest != tiny.digest
        assert replace(tiny, band="elsewhere").digest != tiny.digest
        assert replace(tiny, domain=replace(TABLE_1, floor=None)).digest != tiny.digest
        text = (Path(recipe.__file__).parent / "recipes" / "tiny.toml").read_text()
        lines = text.splitlines()
        first = next(number for number, line in enumerate(lines) if line.startswith("teff"))
        lines[first], lines[first + 1] = lines[first + 1], lines[first]
        (tmp_path / "tiny.toml").write_text("\n".join(lines))
        assert recipe.load(tmp_path / "tiny.toml").digest == tiny.digest

    def test_splits_divide_the_intrinsic_spectra(self):
        splits = recipe.load("standard").splits()
        assert {name: len(part) for name, part in splits.items()} == {
            "train": 16000,
            "validation": 2000,
            "test": 2000,
        }
        assert np.array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(20000))
        other = replace(recipe.load("standard"), seed=2).splits()
        assert not np.array_equal(splits["test"], other["test"])

    def test_broadenings_depend_on_epoch_and_index_alone(self):
        few, many = replace(TINY, intrinsic=10), replace(TINY, intrinsic=40)
        assert np.array_equal(few.broadening_labels(3, 2), many.broadening_labels(3, 2)[:10])
        assert not np.array_equal(few.broadening_labels(3), few.broadening_labels(4))


class TestStore:
    def test_spectra_come_back_within_the_rounding(self, tiny):
        indices = np.array([40, 3, 3, 47, 0])
        expected = kept(tiny.labels[indices])
        assert np.max(np.abs(tiny.flux(indices) - expected)) < 1.01e-5
        assert tiny.flux(7).shape == (1, 7290)

    def test_labels_say_what_is_stored(self, tiny):
        assert np.array_equal(tiny.labels[:, TINY.synthesised], TINY.intrinsic_labels(0, 48))
        assert np.array_equal(np.unique(tiny.labels[:, TINY.broadening], axis=0), [[0.0, 40000.0]])

    def test_two_processes_make_the_same(self, tiny, tmp_path):
        finished(script("tiny", tmp_path / "two", "--workers", 2))
        assert content(tmp_path / "two").keys() == content(tiny.manifest.folder).keys()
        again = store.open_store(tmp_path / "two")
        assert dict(again.manifest.digests) == dict(tiny.manifest.digests)

    def test_dask_makes_the_same(self, tiny, tmp_path):
        pytest.importorskip("distributed")
        finished(script("tiny", tmp_path / "dask", "--dask", 2))
        again = store.open_store(tmp_path / "dask")
        assert dict(again.manifest.digests) == dict(tiny.manifest.digests)

    def test_killed_three_times_it_ends_the_same(self, tmp_path):
        text = (Path(recipe.__file__).parent / "recipes" / "tiny.toml").read_text()
        path, folder = tmp_path / "small.toml", tmp_path / "killed"
        path.write_text(text.replace("chunk = 8", "chunk = 4"))
        for _ in range(3):
            before = chunks_in(folder)
            process = script(path, folder, "--workers", 2, "--delay", 0.05)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and chunks_in(folder) == before:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            found = store.read_manifest(folder)
            assert before < len(found.digests) < found.recipe.chunks
            assert not found.damage()
        made(folder, recipe.load(path))
        made(tmp_path / "uninterrupted", recipe.load(path))
        assert content(folder) == content(tmp_path / "uninterrupted")

    @pytest.mark.parametrize("kind", ["flux", "labels"])
    @pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
    def test_damage_is_found_and_only_that_chunk_made_again(self, tiny, copy, kind, how):
        path = store.read_manifest(copy).path(kind, 3)
        data = bytearray(path.read_bytes())
        if how == "flip":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        elif how == "truncate":
            path.write_bytes(data[:-10])
        else:
            path.unlink()
        damage = store.read_manifest(copy).damage()
        assert list(damage) == [3]
        assert path.name in damage[3]
        asked = []

        def counted(band, **columns):
            asked.append(len(columns["teff"]))
            return synthesize(band, **columns)

        made(copy, using=counted)
        assert asked == [TINY.chunk]
        assert content(copy) == content(tiny.manifest.folder)

    def test_another_recipe_or_physics_is_refused(self, copy):
        other = replace(TINY, seed=7)
        with pytest.raises(StoreError, match=f"{TINY.digest[:12]}.*{other.digest[:12]}"):
            made(copy, other)
        with pytest.raises(
            StoreError, match=r"made with stand-in 1 in uint16, this would be .* with stand-in 2"
        ):
            build.build(TINY, copy, synthesize, physics="stand-in 2", progress=False)
        (copy.parent / "other").mkdir()
        (copy.parent / "other" / "letter.txt").write_text("mine")
        with pytest.raises(StoreError, match="not empty, and no store"):
            made(copy.parent / "other")

    def test_physics_is_told_by_the_tables_of_synthesis_alone(self, tmp_path):
        rvs = bands.load("rvs")
        before = build.physics_version(rvs)
        for name, same in (("tellurics", True), ("atomic_lines", False)):
            folder = tmp_path / name
            shutil.copytree(str(tables.folder(rvs.tables)), folder)
            own = replace(rvs, tables=str(folder))
            assert build.physics_version(own) == before
            tables.load.cache_clear()
            np.savez(folder / f"{name}.npz", **tables.load(name, rvs.tables), more=np.zeros(1))
            assert (build.physics_version(own) == before) == same

    def test_a_full_disk_stops_cleanly_and_continues(self, tiny, tmp_path, monkeypatch):
        folder, write, written = tmp_path / "full", Path.write_bytes, []

        def limited(path, data):
            if len(written) == 5:
                write(path, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(path)
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", limited)
        with pytest.raises(
            StoreError, match="No space left on device; 16 of 48 spectra are safe; free space"
        ):
            made(folder)
        monkeypatch.undo()
        assert len(store.read_manifest(folder).digests) == 2
        assert not store.read_manifest(folder).damage()
        with pytest.raises(StoreError, match="16 of 48 spectra are there"):
            store.open_store(folder)
        made(folder)
        assert content(folder) == content(tiny.manifest.folder)

    @pytest.mark.parametrize("value", [np.nan, -1e-3, 2.0])
    def test_no_spectrum_stops_its_chunk_with_its_labels(self, tmp_path, value):
        wrong = TINY.intrinsic_labels(10, 1)[0]

        def faulty(band, *, teff, **others):
            flux = synthesize(band, teff=teff, **others)
            flux[teff == wrong[0], 0, 50] = value
            return flux

        with pytest.raises(
            StoreError, match=f"40 of 48 .* 1 chunks failed.*spectrum 10 .teff = {wrong[0]:.2f} K"
        ):
            made(tmp_path / "faulty", using=faulty)
        assert store.read_manifest(tmp_path / "faulty").missing == [1]

    def test_a_synthesiser_of_other_wavelengths_is_told(self, tmp_path):
        def flat(band, *, teff, **others):
            return np.ones((len(teff), 7))

        with pytest.raises(StoreError, match=r"flux of the shape \(8, 7\), expected \(8, 1, 21870\)"):
            made(tmp_path / "flat", using=flat)

    def test_manifests_that_are_none(self, copy):
        path = copy / "manifest.json"
        good = path.read_text()
        for text, message in (
            (good[:100], "no manifest"),
            (good.replace('"format": 1', '"format": 9'), "format 9, this version reads format 1"),
            (good.replace('"seed": 1', '"seed": 2'), "its content has"),
            (good.replace('"physics"', '"metaphysics"'), "no manifest .KeyError"),
        ):
            path.write_text(text)
            with pytest.raises((ParseError, StoreError), match=message):
                store.read_manifest(copy)
        with pytest.raises(StoreError, match="no store there"):
            store.read_manifest(copy / "nowhere")

    def test_a_store_of_before_is_read_with_its_identity(self, tiny, copy):
        """Its manifest says nothing of a band, and of the kept grid three numbers in another rounding."""
        for name in store.NAMES:
            content = json.loads((copy / name).read_text())
            assert content.pop("band") == RVS.mapping
            content["grid_aa"] = [8390.324146368872, 8814.400032211584, 7290]
            # as the version before wrote it, of this recipe and the physics "stand-in 1"
            content["identity"] = "df297f898d2206ec81da87ad282a8cb1f4f61eb5cb7534769c56f0b9d5041c67"
            (copy / name).write_text(json.dumps(content, indent=1))
        opened = store.open_store(copy)
        assert opened.manifest.identity == tiny.manifest.identity == content["identity"]
        assert (opened.domain, opened.band) == (TABLE_1, RVS)
        np.testing.assert_array_equal(opened.flux([3, 40]), tiny.flux([3, 40]))
        made(copy, using=None)  # it can be continued: nothing is left to do

    def test_the_bands_grid_is_part_of_the_identity(self, tiny):
        for other in (
            replace(RVS, kept_resolution=30000.0),
            replace(RVS, stride=2),
            replace(RVS, chunks=(replace(RVS.chunks[0], first_aa=8390.31),)),
            replace(RVS, chunks=(replace(RVS.chunks[0], points=21873),)),
        ):
            assert replace(tiny.manifest, band=other).identity != tiny.manifest.identity
        for same in (RVS.bare, replace(RVS, finest_resolution=12000.0)):  # these change no stored number
            assert replace(tiny.manifest, band=same).identity == tiny.manifest.identity

    @pytest.mark.parametrize("kind", ["flux", "labels"])
    def test_readers_refuse_a_flipped_byte(self, copy, tmp_path, kind):
        path = store.read_manifest(copy).path(kind, 3)
        opened = store.open_store(copy)
        opened.flux(30)  # known to be good, until it changes
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        again = store.open_store(copy)
        for read in (
            lambda: again.flux(30)[0] if kind == "flux" else again.labels,
            lambda: batches.export_fixed_set(again, tmp_path / "fixed"),
            lambda: exchange.export_hdf5(again, tmp_path / "tiny.h5"),
        ):
            with pytest.raises(StoreError, match=rf"{path.name}: damaged \(SHA-256 is .*run again what"):
                read()
        assert list(tmp_path.iterdir()) == [copy]
        if kind == "flux":
            assert again.flux(5).shape == (1, 7290)  # the other chunks can be used

    def test_a_manifest_is_repaired_from_its_copy(self, tiny, copy):
        for break_it in (lambda p: p.write_bytes(p.read_bytes()[:200]), Path.unlink):
            break_it(copy / "manifest.json")
            with pytest.raises(ParseError, match=rf"starloom database repair {copy}"):
                store.open_store(copy)
            store.repaired(copy)
            assert content(copy) == content(tiny.manifest.folder)
        made(copy, using=None)  # nothing is left to do

    def test_a_manifest_is_repaired_from_the_chunks(self, tiny, copy):
        for name in store.NAMES:
            (copy / name).write_text("{")
        (copy / "flux-00004.npy").write_bytes(b"no array")
        with pytest.raises(StoreError, match="give the recipe too"):
            store.repaired(copy)
        with pytest.raises(StoreError, match="no chunk of recipe tiny is there"):
            store.repaired(copy, replace(TINY, seed=2))
        found = store.repaired(copy, TINY)
        assert {**found.digests, 4: tiny.manifest.digests[4]} == dict(tiny.manifest.digests)
        assert store.read_manifest(copy).missing == [4]
        with pytest.raises(StoreError, match=r"made with unknown physics \(repaired\)"):
            made(copy)

    def test_nothing_is_left_of_a_build_that_made_nothing(self, tmp_path):
        def absent(band, **columns):
            raise ModuleNotFoundError("No module named 'jax'", name="jax")

        (tmp_path / "given").mkdir()
        for folder in (tmp_path / "new" / "store", tmp_path / "given"):
            with pytest.raises(ModuleNotFoundError):
                made(folder, using=absent)
        assert list(tmp_path.rglob("*")) in (
            [tmp_path / "given", tmp_path / "new"],
            [tmp_path / "new", tmp_path / "given"],
        )

    def test_too_few_workers(self):
        with pytest.raises(ConfigError, match="workers = 0 is below 1"):
            workers.processes(0)


class TestBatches:
    def test_an_epoch_shows_every_spectrum_of_its_split_once(self, tiny):
        seen = list(batches.batches(tiny, "train", epoch=1, size=10))
        assert [len(batch.flux) for batch in seen] == [10, 10, 10, 8]
        assert seen[0].flux.dtype == np.float32
        assert seen[0].flux.shape == (10, 4000)
        intrinsic = np.concatenate([batch.intrinsic for batch in seen])
        assert np.array_equal(np.sort(intrinsic), tiny.splits["train"])
        assert not np.array_equal(intrinsic, tiny.splits["train"])
        everything = np.concatenate([batch.labels for batch in seen])
        assert TABLE_1.contains(everything).all()
        assert np.array_equal(everything[:, TINY.synthesised], tiny.labels[intrinsic][:, TINY.synthesised])

    def test_epochs_are_fresh_and_repeatable(self, tiny):
        one, again, other = (next(batches.batches(tiny, "train", epoch=e, copies=3)) for e in (1, 1, 2))
        assert np.array_equal(one.flux, again.flux)
        assert np.array_equal(one.labels, again.labels)
        assert not np.array_equal(np.sort(one.labels[:, 2]), np.sort(other.labels[:, 2]))

    def test_more_threads_change_nothing(self, tiny):
        one = [b.flux for b in batches.batches(tiny, "train", epoch=1, size=7)]
        three = [b.flux for b in batches.batches(tiny, "train", epoch=1, size=7, threads=3, ahead=5)]
        assert all(np.array_equal(a, b) for a, b in zip(one, three, strict=True))

    def test_the_flux_is_the_finished_spectrum(self, tiny):
        batch = next(batches.batches(tiny, "test", epoch=4))
        expected = finish_of(RVS)(kept(batch.labels), *batch.labels[:, TINY.broadening].T)
        # rounding in the store, 1e-5, is averaged by the broadening
        assert np.max(np.abs(batch.flux - expected)) < 1e-5

    def test_an_unknown_split(self, tiny):
        with pytest.raises(ConfigError, match="split = 'all' is none of train, validation, test"):
            next(batches.batches(tiny, "all", epoch=1))

    # float32: portions of another size are summed in another order
    @pytest.mark.parametrize(("dtype", "rounding"), [("float32", 1e-6), ("uint16", 1.1e-5)])
    def test_the_fixed_set(self, tiny, tmp_path, dtype, rounding):
        fixed = batches.export_fixed_set(tiny, tmp_path / "fixed", dtype)
        assert fixed.stored.shape == (48 * 4, 4000)
        assert fixed.stored.dtype == dtype
        assert np.array_equal(fixed.intrinsic, np.repeat(np.arange(48), 4))
        assert TABLE_1.contains(fixed.labels).all()
        parts = [set(fixed.intrinsic[part]) for part in fixed.splits.values()]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 48
        batch = next(batches.batches(tiny, "validation", epoch=0, copies=4, shuffle=False))
        assert np.array_equal(batch.labels, fixed.labels[fixed.splits["validation"]])
        assert np.max(np.abs(batch.flux - fixed.flux(fixed.splits["validation"]))) <= rounding
        with pytest.raises(StoreError, match="exists already"):
            batches.export_fixed_set(tiny, tmp_path / "fixed")

    def test_more_stores_add_to_training_and_validation(self, tiny, tmp_path):
        copies = {"train": 3, "validation": 2, "test": 4}
        alone = batches.export_fixed_set(tiny, tmp_path / "alone", "uint16", copies)
        both = batches.export_fixed_set(tiny, tmp_path / "both", "uint16", copies, [tiny])
        assert np.array_equal(both.splits["test"], alone.splits["test"])
        for name in ("train", "validation"):
            own, added = np.split(both.splits[name], 2)
            assert np.array_equal(own, alone.splits[name])
            assert np.array_equal(both.intrinsic[added], both.intrinsic[own] + 48)
            assert np.array_equal(both.labels[added], both.labels[own])
            assert np.array_equal(both.stored[added], alone.stored[own])

    def test_a_damaged_fixed_set_is_found(self, tiny, tmp_path):
        batches.export_fixed_set(tiny, tmp_path / "fixed", "uint16")
        opened = batches.open_fixed_set(tmp_path / "fixed", verify=True)
        assert opened.labels.shape == (192, len(TABLE_1.names))
        path = tmp_path / "fixed" / "flux.npy"
        data = bytearray(path.read_bytes())
        data[5000] ^= 4
        path.write_bytes(data)
        with pytest.raises(StoreError, match=r"flux.npy: damaged .*: run again what made it"):
            batches.open_fixed_set(tmp_path / "fixed")
        with pytest.raises(ParseError, match="no fixed set"):
            batches.open_fixed_set(tmp_path)


class TestExchange:
    @pytest.mark.parametrize("observed", [False, True])
    def test_hdf5_holds_the_same(self, tiny, tmp_path, observed):
        h5py = pytest.importorskip("h5py")
        exchange.export_hdf5(tiny, tmp_path / "tiny.h5", observed)
        with h5py.File(tmp_path / "tiny.h5") as file:
            copies = TINY.broadenings if observed else 1
            assert file["flux"].shape == (48 * copies, 4000 if observed else 7290)
            assert list(file["labels"].attrs["names"]) == list(TABLE_1.names)
            assert file["wavelength"].attrs["medium"] == ("air" if observed else "vacuum")
            train = file["split"][:] == 0
            assert np.array_equal(np.unique(file["intrinsic"][train]), tiny.splits["train"])
            flux = file["flux"][5] * file["flux"].attrs["scale"]
            intrinsic = int(file["intrinsic"][5])
        if not observed:
            assert flux == pytest.approx(tiny.flux(intrinsic)[0], abs=1e-6)
        with pytest.raises(StoreError, match="exists already"):
            exchange.export_hdf5(tiny, tmp_path / "tiny.h5")

    def test_a_store_is_told_in_a_line(self, tiny):
        assert repr(tiny).startswith("Store('tiny', 48 spectra of teff 3600 to 15000 K, logg 2 to 5 dex")
        assert len(repr(tiny.manifest)) < 300
        assert "\n" not in repr(tiny.manifest)

    def test_figure_one_is_drawn(self, tiny, tmp_path):
        figure.figure_one(tiny, tmp_path / "one.png")
        assert (tmp_path / "one.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    def test_figure_one_has_round_ticks_where_they_lie(self, tiny, tmp_path, monkeypatch):
        made = []
        monkeypatch.setattr(figure, "save", lambda drawn, path: made.append(drawn))
        figure.figure_one(tiny, tmp_path / "one.png")
        axes, ticks = made[0].axes[0], made[0].axes[0].get_yticks()
        teff = [float(label.get_text()) for label in axes.get_yticklabels()]
        assert len(teff) >= 3
        assert all(value % 500 == 0 for value in teff)
        rows = np.sort(tiny.labels[tiny.splits["train"], 0])
        np.testing.assert_allclose(np.interp(ticks - 0.5, np.arange(len(rows)), rows), teff)
        made[0].canvas.draw()
        box = made[0].axes[1].title.get_window_extent()
        assert made[0].bbox.x0 <= box.x0 <= box.x1 <= made[0].bbox.x1

    def test_statistics_count_every_spectrum(self, tiny):
        rows = figure.statistics(tiny).splitlines()
        teff = [row.split() for row in rows if row.startswith("teff")]
        assert sum(int(count) for row in teff for count in row[2:5]) == 48
