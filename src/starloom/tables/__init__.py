"""The packaged numbers: one ``.npz`` file per source, read once.

Tables that serve every wavelength lie here, those of a band (its lines and cross-sections) in the package or
folder that is the band's. Each file is rebuilt by ``data/<source>/build.py`` from public packages;
``SHA256SUMS`` lists their digests. What other packages bring is found by their entry points.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

import numpy as np

from starloom.errors import ConfigError

SHARED = __name__
OBSERVATIONAL = ("tellurics",)  # tables on which no synthetic spectrum depends
CALIBRATION = "line_calibration"  # the one on which only those with calibrated lines do


def names(place: str = SHARED) -> list[str]:
    """Names of the tables of a package or folder, sorted."""
    return sorted(
        entry.name.removesuffix(".npz") for entry in folder(place).iterdir() if entry.name.endswith(".npz")
    )


def published(group: str) -> list[str]:
    """Names of what installed packages publish by the entry points of a group, sorted."""
    return sorted({entry.name for entry in entry_points(group=group)})


def publisher(group: str, name: str) -> str | None:
    """The package that publishes ``name`` in a group, None where none does.

    Raises ``ConfigError`` where several do, or where the package is not there.
    """
    found = sorted({entry.value for entry in entry_points(group=group) if entry.name == name})
    if len(found) > 1:
        raise ConfigError(
            f"{name!r} of {group} is in several packages, {', '.join(found)}: remove all but one"
        )
    if not found:
        return None
    try:
        folder(found[0])
    except ConfigError as error:
        raise ConfigError(f"{name!r} of {group}: {error}") from error
    return found[0]


def folder(place: str) -> Traversable:
    """The folder of this path, or that of the package of this name; else ``ConfigError``.

    What has no separator in it is a package, even if a folder of that name should lie where one works.
    """
    if Path(place).name != place and Path(place).is_dir():
        return Path(place)
    try:
        return files(place)
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError(f"{place!r} is neither a folder nor an installed package") from error


@cache
def load(name: str, place: str = SHARED) -> Mapping[str, np.ndarray]:
    """Arrays of the table ``name`` by key, read-only: a shared one, or that of a band (its ``tables``).

    Raises ``FileNotFoundError`` where there is no such table (a broken installation, an unfinished band).
    """
    with (folder(place) / f"{name}.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
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


def expected_digests(place: str = SHARED) -> dict[str, str]:
    """Content digests of a package's tables as released, from its ``SHA256SUMS``."""
    lines = (folder(place) / "SHA256SUMS").read_text().splitlines()
    return {name: value for value, name in (line.split() for line in lines)}


def synthesis_digests(place: str, calibrated: bool = False) -> dict[str, str]:
    """Content digests of the tables on which a band's synthetic spectra depend: the shared and its own.

    ``calibrated`` says whether their lines are.
    """
    unused = OBSERVATIONAL if calibrated else (*OBSERVATIONAL, CALIBRATION)
    own = {name: digest(load(name, place)) for name in names(place) if name not in unused}
    return expected_digests() | own
