"""The packaged numbers: one ``.npz`` file per source, read once.

Each file is rebuilt by ``data/<source>/build.py`` from public packages; ``SHA256SUMS`` lists their digests.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np

FOLDER = files(__name__)
OBSERVATIONAL = ("tellurics",)  # tables on which no synthetic spectrum depends


def names() -> list[str]:
    """Names of the packaged tables, sorted."""
    return sorted(
        entry.name.removesuffix(".npz") for entry in FOLDER.iterdir() if entry.name.endswith(".npz")
    )


@cache
def load(name: str) -> Mapping[str, np.ndarray]:
    """Arrays of the packaged table ``name`` by key, read-only.

    Raises ``FileNotFoundError`` where no such table is packaged (a broken installation).
    """
    with (FOLDER / f"{name}.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for array in arrays.values():
        array.flags.writeable = False
    return MappingProxyType(arrays)


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a table's content: keys, dtypes, shapes and bytes, whatever zlib packed them."""
    sha = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        sha.update(json.dumps([key, array.dtype.str, array.shape]).encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def expected_digests() -> dict[str, str]:
    """Content digests of the tables as released, from ``SHA256SUMS``."""
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    return {name: value for value, name in (line.split() for line in lines)}


def synthesis_digests() -> dict[str, str]:
    """Those of ``expected_digests`` on which synthetic spectra depend: all but OBSERVATIONAL."""
    return {name: value for name, value in expected_digests().items() if name not in OBSERVATIONAL}
