"""Ctrl-C at several moments: one line, exit code 130, nothing half-written, no process left, work kept."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import starloom
from starloom.database import recipe, store

pytest.importorskip("scipy.stats")
if os.name != "posix":
    pytest.skip("signals as POSIX has them", allow_module_level=True)

SLOW = Path(__file__).with_name("slow_commands.py")


def begun(*command, sigint=signal.default_int_handler):
    """A process in a group of its own, as the shell starts one; it heeds SIGINT even if we do not."""
    before = signal.signal(signal.SIGINT, sigint)  # inherited: not by preexec_fn, a fork beside JAX's threads
    try:
        return started(command)
    finally:
        signal.signal(signal.SIGINT, before)


def started(command):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupted(process, everyone=False):
    """What it writes to standard error after SIGINT, to it or to all of its group as a terminal does."""
    os.killpg(process.pid, signal.SIGINT) if everyone else process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    deadline = time.monotonic() + 60
    while alive(process.pid):
        assert time.monotonic() < deadline, "a child is left"
        time.sleep(0.05)
    return errors


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def chunks_in(folder):
    return len(store.read_manifest(folder).digests) if (folder / "manifest.json").exists() else 0


@pytest.mark.parametrize(("workers", "everyone"), [(1, False), (2, True)])
def test_a_build_stops_and_continues(tmp_path, workers, everyone):
    folder = tmp_path / "tiny"
    command = (SLOW, "database", "build", "tiny", folder, "--workers", workers)
    for moment in (folder.exists, lambda: chunks_in(folder) >= 2):
        process = begun(*command)
        wait_for(moment, process)
        errors = interrupted(process, everyone)
        line = r"starloom: stopped(; (\d+) spectra are safe; the same command continues)?\n"
        assert (found := re.fullmatch(line, errors)), errors
        assert int(found[2] or 0) == 8 * chunks_in(folder)
        # a store without a chunk is none
        assert not folder.exists() or not list(folder.glob(".*"))
    process = begun(*command)
    assert process.communicate(timeout=120)[1] == ""
    whole = store.open_store(folder)
    assert whole.labels.shape == (recipe.load("tiny").intrinsic, 6)
    assert abs(whole.flux(range(48)) - 1).max() < 1e-5


LINGERING = """
import sys, time
from starloom import interruption
with interruption.heeded():
    from starloom import cli
    try:
        cli.main()
    except SystemExit as stop:
        if stop.code:
            raise
    time.sleep(1000)  # done before it was stopped: it waits for that
"""


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2, 2.0, 6.0])
def test_a_synthesis_stops_while_jax_compiles(tmp_path, seconds):
    pytest.importorskip("jax")
    star, made = ["--teff", "5777", "--logg", "4.44", "--mh", "0", "--vmic", "1"], tmp_path / "sun.fits"
    process = begun("-c", LINGERING, "synthesize", *star, "-o", made)
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():
        wait_for(lambda: "jaxlib" in maps.read_text(), process)
    time.sleep(seconds)  # some moment or other: importing, tracing, compiling, on a fast machine afterwards
    assert interrupted(process) == "starloom: stopped\n"
    assert set(tmp_path.iterdir()) <= {made}
    assert not made.exists() or len(starloom.read(made).wavelength_aa) > 1000


STUCK = """
import hashlib, sys
from pathlib import Path
from starloom import files, interruption, locks
with interruption.heeded(), locks.locked(sys.argv[1]), files.replacing(sys.argv[2]) as temporary:
    with interruption.outlook(lambda: "this much is done"):
        temporary.write_text("half")
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # compiled code, deaf to Python's signals
"""


def test_compiled_code_is_not_waited_for(tmp_path):
    process = begun("-c", STUCK, tmp_path, tmp_path / "a.txt")
    assert process.stdout.readline() == "ready\n"
    assert interrupted(process) == "starloom: stopped; this much is done\n"
    assert list(tmp_path.iterdir()) == []


SWALLOWED = """
import sys, time
from starloom import interruption
class Swallow:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(100)
with interruption.heeded():
    Swallow()
    print("went on")
"""


def test_an_interruption_that_python_would_ignore(tmp_path):
    process = begun("-c", SWALLOWED)
    assert process.stdout.readline() == "ready\n"
    assert interrupted(process) == "starloom: stopped\n"


def test_where_it_is_ignored_it_stays_so():
    lines = ("with interruption.heeded():", "    print('ready', flush=True)", "    input()")
    code = "\n".join(("from starloom import interruption", *lines))
    process = begun("-c", code, sigint=signal.SIG_IGN)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    process.communicate("\n", timeout=60)
    assert process.returncode == 0
