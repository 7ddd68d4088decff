"""Tables that grow in parts: killed anywhere, by several workers or a cluster, no row is lost or doubled."""

import os
import signal
from functools import partial

import numpy as np
import pytest
from astropy.table import Table

from starloom.errors import ConfigError
from starloom.inference import Settings, joining, parts, table
from starloom.io import read_list

SUFFIXES = (".ecsv", ".csv", ".fits", ".parquet")
SPECTRA = 11  # in a file of many


def some(first, count=3, file=1, text="a"):
    return parts.records(
        [
            {"number": file, "name": text * (n + 1), "spectrum": first + n, "teff": 5000.5 + n, "fault": ""}
            for n in range(count)
        ]
    )


def test_parts_are_joined_in_order(tmp_path):
    grown = parts.Parts.beside(tmp_path / "x.fits", "digest")
    for rows, finished in ((some(4), ()), (some(1, file=2, text="long"), (2,)), (some(1), (1,))):
        grown.add(rows, finished, "digest")
    again = parts.Parts.beside(tmp_path / "x.fits", "digest")
    assert again.finished == {1, 2}
    assert not again.begun
    (block,) = again.blocks()
    assert block["number"].tolist() == [1] * 6 + [2] * 3
    assert block["spectrum"].tolist() == [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert block["name"].tolist()[-1] == "long" * 3
    with pytest.raises(ConfigError, match="made with other settings"):
        parts.Parts.beside(tmp_path / "x.fits", "another")


def test_a_file_that_is_not_finished_has_begun(tmp_path):
    grown = parts.Parts.beside(tmp_path / "x.fits", "digest")
    grown.add(some(4), (), "digest")
    assert parts.Parts.beside(tmp_path / "x.fits", "digest").begun == {1: {4, 5, 6}}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_blocks_are_one_table(tmp_path, suffix):
    """Texts that get longer, units and what else the table tells: as if it had been written at once."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    blocks = [some(1), some(4, text="wider"), some(7, 1)]
    kind = parts.in_common(block.dtype for block in blocks)
    about = joining.TableAbout({"teff": "K"}, {"settings": "none"}, "0123", 7, {"SETTINGS": "none"})
    path = tmp_path / f"table{suffix}"
    joining.write_blocks(path, iter([block.astype(kind) for block in blocks]), about)
    columns = table._columns_of(path)
    assert columns["teff"].tolist() == [5000.5, 5001.5, 5002.5] * 2 + [5000.5]
    assert columns["name"].tolist()[5] == "wider" * 3
    assert columns["spectrum"].tolist() == list(range(1, 8))
    assert set(columns["digest"].tolist()) == {"0123"}
    if suffix == ".fits":
        whole = Table.read(path)
        assert str(whole["teff"].unit) == "K"
        assert whole.meta["SETTINGS"] == "none"


# The run, without a single fit


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """A list of two files of many spectra and a small one; each fit says which spectrum it was asked for."""
    wavelength = 846 + 0.01 * np.arange(2401)
    for name in ("many0", "many1"):
        rows = {
            "source_id": np.arange(SPECTRA) + 100,
            "flux": np.tile(np.sin(wavelength) + 2, (SPECTRA, 1)).astype("f4"),
            "flux_error": np.full((SPECTRA, 2401), 0.02, "f4"),
        }
        Table(rows).write(tmp_path / f"{name}.fits")
    Table({"wavelength": wavelength, "flux": np.ones(2401), "flux_error": np.full(2401, 0.1)}).write(
        tmp_path / "RVS-Gaia DR3 7.csv"
    )
    (tmp_path / "list.txt").write_text("many0.fits\nRVS-Gaia DR3 7.csv\nmany1.fits\n")
    monkeypatch.setattr(table, "fit_each", lambda spectra, *_: (table.Failure("asked") for _ in spectra))
    monkeypatch.setattr(table, "BATCH", 2)
    monkeypatch.setattr(table, "SECONDS", 0.0)
    monkeypatch.setattr(table, "LARGE", 100_000)
    return read_list(tmp_path / "list.txt")


def whole(path) -> bool:
    """Whether a table has every row once, in order."""
    columns = table._columns_of(path)
    keys = list(zip(columns["number"].tolist(), columns["spectrum"].tolist(), strict=True))
    many = range(1, SPECTRA + 1)
    return keys == [*((1, n) for n in many), (2, 1), *((3, n) for n in many)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_run_that_is_stopped_in_a_file_goes_on_there(listed, tmp_path, monkeypatch, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    output, done, asked = tmp_path / f"out{suffix}", table._done, []

    def stopping(*options, **named):
        asked.append(options[-1])
        if len(asked) == 4:
            raise KeyboardInterrupt
        return done(*options, **named)

    monkeypatch.setattr(table, "_done", stopping)
    with pytest.raises(KeyboardInterrupt):
        table.fit_files(listed, output, Settings())
    assert not output.exists()  # a file is half done
    grown = parts.Parts.beside(output, table._about("default", Settings(), {})["digest"])
    assert grown.finished == {2}
    assert grown.begun == {1: {1, 2, 3, 4}}
    assert table.fit_files(listed, output, Settings()) == (0, 2 * SPECTRA + 1)
    assert whole(output)
    spectra = [item[:2] for task in asked if isinstance(task, table.SpectraTask) for item in task.items]
    assert len(spectra) == 2 * SPECTRA + 2  # those of the task that was stopped twice
    assert not grown.folder.exists()


@pytest.mark.parametrize("when", ["before the table is there", "before the parts are gone"])
def test_a_run_that_is_killed_while_it_joins_loses_nothing(listed, tmp_path, monkeypatch, when):
    output = tmp_path / "out.fits"

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        if when == "before the table is there":
            patch.setattr(table, "write_blocks", killed)
        else:
            patch.setattr(parts.Parts, "remove", killed)
        with pytest.raises(SystemExit):
            table.fit_files(listed, output, Settings())
    monkeypatch.setattr(table, "_done", lambda *_: pytest.fail("done again"))
    assert table.fit_files(listed, output, Settings()) == (0, 2 * SPECTRA + 1)
    assert whole(output)


def test_a_task_that_fails_is_tried_once_more(listed, tmp_path, monkeypatch):
    """And if it fails again, each of its spectra has a row that says so; the others are done."""
    done, tried, told = table._done, [], []

    def failing(*options, **named):
        items = getattr(options[-1], "items", ())
        key = items[0][:2] if items else options[-1].numbers
        tried.append(key)
        fails = key == (3, 5) or (key == (1, 3) and tried.count(key) == 1)
        if fails and not isinstance(items[0][3], table.Failure):
            raise MemoryError("none left")
        return done(*options, **named)

    monkeypatch.setattr(table, "_done", failing)
    output = tmp_path / "out.ecsv"
    table.fit_files(listed, output, Settings(), tell=told.append)
    assert whole(output)
    faults = table._columns_of(output)["fault"]
    assert sum("not fitted, twice: MemoryError: none left" in fault for fault in faults) == 2
    assert "2 tasks were tried twice" in told[0]


def test_further_files_of_a_finished_table(listed, tmp_path):
    output = tmp_path / "out.fits"
    assert table.fit_files(listed[:2], output, Settings()) == (0, SPECTRA + 1)
    assert table.fit_files(listed, output, Settings()) == (0, 2 * SPECTRA + 1)
    assert whole(output)


def test_many_large_files_are_read_by_the_workers(listed, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "FILES_PER_WORKER", 1)
    done, tasks = table._done, []
    monkeypatch.setattr(
        table, "_done", lambda *options, **named: tasks.append(options[-1]) or done(*options, **named)
    )
    table.fit_files(listed, tmp_path / "out.fits", Settings())
    assert [task.numbers for task in tasks] == [(2,), (1,), (3,)]
    assert whole(tmp_path / "out.fits")


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_loses_no_row(observed, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    for number in range(8):
        observed(seed=number).write(tmp_path / f"star{number}.fits")
    paths = [tmp_path / f"star{number}.fits" for number in range(8)]
    monkeypatch.setattr(table, "BATCH", 1)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**options) as cluster:
        workers = [worker.pid for worker in cluster.workers.values()]
        seen = []

        def kill(files):
            seen.append(files)
            if len(seen) == 3:
                os.kill(workers[0], signal.SIGKILL)

        output = tmp_path / "out.fits"
        fit = partial(table.fit_files, paths, output, Settings(), progress=kill)
        assert fit(dask=cluster.scheduler_address) == (8, 0)
    assert table._columns_of(output)["number"].tolist() == list(range(1, 9))
    assert len(seen) == 9
