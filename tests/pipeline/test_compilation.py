"""What JAX compiles is kept for the next start of a command, and the user is told while it is made."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from starloom import cli, compilation

PROGRAM = """
import sys
from starloom import compilation
sys.stderr.isatty = lambda: True
compilation.PATIENCE = {patience}
compilation.keep()
import jax
compilation.announce()
jax.jit(lambda x: jax.numpy.sort(jax.numpy.sin(x)).sum())(jax.numpy.arange(9.0))
import time
time.sleep(0.2)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A user's cache folder; this process's environment is as before in the end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return compilation.folder()


def find_spec(name: str) -> None:
    """Have a module looked for, as an import would."""
    for finder in [*sys.meta_path]:
        if finder.find_spec(name, None):
            return


def told(patience: float, first: str = "") -> str:
    """Standard error of a process that does ``first``, then compiles something."""
    program = [sys.executable, "-c", first + PROGRAM.format(patience=patience)]
    return subprocess.run(program, capture_output=True, text=True, check=True).stderr


def programs(place) -> dict[str, int]:
    """Sizes of what is kept."""
    return {path.name: path.stat().st_size for path in place.iterdir()}


def test_the_second_start_finds_what_the_first_compiled(place):
    pytest.importorskip("jax")
    assert "compiling; the next start on this computer finds it done" in told(0.0)
    kept = programs(place)
    assert len(kept) > 1
    assert "compiling" not in told(60.0)
    assert programs(place) == kept


FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))"


def test_a_full_disk_leaves_no_part_of_a_program(place):
    pytest.importorskip("jax")
    assert "Warning" not in told(60.0, FULL_DISK)
    assert programs(place) == {}


def test_a_damaged_program_is_made_anew(place):
    pytest.importorskip("jax")
    told(60.0)
    kept = programs(place)
    for path in place.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert "Error reading" in told(60.0)
    assert programs(place).keys() == kept.keys()
    assert min(programs(place).values()) > 100
    assert "Warning" not in told(60.0)


def test_a_command_keeps_them_unless_told_not_to(place):
    assert CliRunner().invoke(cli.app, ["--no-cache", "info"]).exit_code == 0
    assert not place.exists()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert CliRunner().invoke(cli.app, ["info"]).exit_code == 0
    assert not place.exists()  # before JAX is wanted
    find_spec("jax")
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(place)
    assert place.is_dir()


def test_the_last_word_counts(place):
    compilation.keep()
    assert CliRunner().invoke(cli.app, ["--no-cache", "info"]).exit_code == 0
    find_spec("jax")
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_a_command_without_jax_looks_at_no_processor(place, monkeypatch):
    monkeypatch.setattr(compilation, "_processor", lambda: pytest.fail("it was looked at"))
    assert CliRunner().invoke(cli.app, ["info"]).exit_code == 0
    compilation.forget()


def test_a_users_own_folder_stays(place, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    compilation.keep()
    find_spec("jax")
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"


def test_where_no_folder_can_be_made_nothing_is_kept(place, tmp_path):
    (tmp_path / "starloom").write_text("a file is in the way")
    compilation.keep()
    find_spec("jax")
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_another_processor_has_another_folder(place, monkeypatch):
    monkeypatch.setattr(compilation, "_processor", lambda: "another")
    assert compilation.folder() != place
