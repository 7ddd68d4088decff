"""Workers end with the process that started them, however it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, time
from pathlib import Path
from starloom.database.workers import processes

def task(folder):
    Path(folder, f"{os.getpid()}.pid").touch()
    time.sleep(600)

if __name__ == "__main__":
    list(processes(2)(task, ["."] * 2))
"""
PATIENCE = 120  # s, on a machine that is busy otherwise


def waited(reached) -> bool:
    """Whether something is so in the end."""
    end = time.monotonic() + PATIENCE
    while not reached() and time.monotonic() < end:
        time.sleep(0.05)
    return reached()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_with_a_process_that_is_killed(tmp_path):
    """Those of ``database build`` and ``fit --from``: nothing else would tell them."""
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        assert waited(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert waited(lambda: not any(map(is_alive, pids)))
