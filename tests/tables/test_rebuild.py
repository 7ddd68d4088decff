"""Opt-in (``pytest -m rebuild``): every ``data/*/build.py`` gives the packaged tables bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from starloom import bands, tables


def read_sums(folder: Path) -> dict[str, str]:
    """Digests by table in the ``SHA256SUMS`` of a folder."""
    return {name: digest for digest, name in map(str.split, (folder / "SHA256SUMS").read_text().splitlines())}


def distributed(sources: Path, name: str) -> Path:
    """The folder of the tables that ``data/<name>`` writes for a distribution."""
    return sources.parent / "distributions" / name / "src" / f"starloom_{name}"


@pytest.mark.rebuild
def test_rebuilt_tables_equal_the_packaged_ones(sources, tmp_path):
    rebuilt = {}
    for script in sorted(sources.glob("*/build.py")):
        folder = tmp_path / script.parent.name
        folder.mkdir()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        subprocess.run([sys.executable, str(script), "--folder", str(folder)], check=True, env=environment)
        made = read_sums(folder)
        assert sorted(made) == sorted(path.stem for path in folder.glob("*.npz")), script
        if (own := distributed(sources, script.parent.name)).is_dir():
            assert made == read_sums(own), script
            continue
        assert not made.keys() & rebuilt.keys(), f"{script} writes a table of another source"
        rebuilt |= made
    assert rebuilt == tables.expected_digests() | tables.expected_digests(bands.load("rvs").tables)


def test_every_source_says_where_it_comes_from(sources):
    for script in sources.glob("*/build.py"):
        readme = (script.parent / "README.md").read_text().lower()
        for word in ("cit", "licence", "sha-256"):
            assert word in readme, f"{script.parent.name}/README.md says nothing like '{word}'"
