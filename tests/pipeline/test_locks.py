"""One process at a time in a store, a training's folder, a reproduction, a table of fits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest

from starloom import locks
from starloom.errors import StoreError
from starloom.locks import locked

MINE = {"host": locks.gethostname(), "process": os.getpid()}


def held(folder, seconds=0.0, **values):
    """A lock as another process leaves it, last touched that many seconds ago."""
    path = folder / ".lock"
    path.write_text(json.dumps({"began": "", **MINE, **values}))
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))
    return path


def ended():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_second_is_told_who_has_it(tmp_path):
    with locked(tmp_path):
        place = rf"process {os.getpid()} on {MINE['host']}, last seen at \d{{4}}-.*remove {tmp_path}/.lock"
        with pytest.raises(StoreError, match=f"{tmp_path}: in use by {place}"), locked(tmp_path):
            pass
        with locked(tmp_path / "table.fits"):  # another thing in it
            assert (tmp_path / ".table.fits.lock").exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"process": ended()}, 0.0),
        ({"process": os.getpid(), "began": "another one that had this number"}, 0.0),
        ({"host": "elsewhere"}, locks.SILENCE + 60),
    ],
)
def test_a_void_lock_is_taken_over(tmp_path, values, seconds):
    if "began" in values and not Path("/proc/self/stat").exists():
        pytest.skip("the system does not tell when a process began")
    lock = held(tmp_path, seconds, **values)
    with locked(tmp_path):
        assert json.loads(lock.read_text())["process"] == os.getpid()
        assert json.loads(lock.read_text())["host"] == MINE["host"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "seconds"),
    [({}, locks.SILENCE + 60), ({"host": "elsewhere"}, locks.SILENCE - 60), ({"process": "half"}, 0.0)],
)
def test_one_that_is_not_void_is_kept(tmp_path, values, seconds):
    lock = held(tmp_path, seconds, **values)
    if values.get("process"):
        lock.write_text('{"host": "cut sho')
    before = lock.read_text()
    with pytest.raises(StoreError, match=r"in use by .* or remove"), locked(tmp_path):
        pass
    assert lock.read_text() == before


def test_a_lock_is_touched_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with locked(tmp_path):
        os.utime(tmp_path / ".lock", (0, 0))
        while (tmp_path / ".lock").stat().st_mtime == 0:
            pass


def test_what_is_continued_is_locked(tmp_path):
    """Each refuses while another process is at it, and leaves that one's files alone."""
    pytest.importorskip("jax")
    pytest.importorskip("scipy.stats")
    import numpy as np

    from starloom.database import build, recipe
    from starloom.inference import Settings
    from starloom.inference.table import fit_files
    from starloom.networks.batches import array_batches
    from starloom.networks.forward import Network, dense_layers
    from starloom.networks.training import Plan, reconstruction_error, train
    from starloom.paper import recipe as recipes
    from starloom.paper.reproduction import Reproduction
    from starloom.paper.stages import run

    synthesize = run_path(str(Path(__file__).with_name("stand_in.py")))["synthesize"]
    network = Network.initial(dense_layers((2, 2), "linear"), 0)
    data = array_batches((np.ones((4, 2), np.float32),))
    writing = tmp_path / ".flux-00001-being-written.npy"
    writing.write_bytes(b"half")
    table = tmp_path / "fits.csv"
    for call in (
        lambda: build.build(recipe.load("tiny"), tmp_path, synthesize, physics="1", progress=False),
        lambda: train(network, reconstruction_error, data, None, Plan(epochs=1), tmp_path),
        lambda: run(Reproduction(recipes.load("tiny"), tmp_path, synthesize=synthesize, physics="1")),
        lambda: fit_files(["a.fits"], table, Settings()),
    ):
        with locked(tmp_path), locked(table), pytest.raises(StoreError, match="in use by process"):
            call()
    assert list(tmp_path.iterdir()) == [writing]
