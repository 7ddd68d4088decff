"""Making a store: chunks of labels go to a synthesiser, its spectra are kept; once killed, it continues."""

import errno
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from starloom import __version__, tables
from starloom.bands import CALIBRATED, Band
from starloom.broadening import keep
from starloom.database.recipe import Recipe
from starloom.database.sources import source_digest
from starloom.database.store import HIGHEST_FLUX, Manifest, encode, open_or_create, read_manifest
from starloom.database.workers import Engine, here
from starloom.errors import ConfigError, StarloomError, StoreError
from starloom.interruption import outlook
from starloom.labels import Domain
from starloom.locks import locked

# a band, intrinsic labels by name (float64[n] each), ``nlte`` if there is some -> flux[n, chunk, point]
Synthesizer = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Chunk:
    """What comes back from making a chunk: arrays as they are stored, or the reason why there are none."""

    number: int  #: of the chunk in the recipe, from 0
    flux: np.ndarray | None = None  #: [star, chunk of the band, kept point], encoded
    labels: np.ndarray | None = None  #: float64[star, label]
    failure: str = ""  #: why there are none; "" where there are


def make_chunk(recipe: Recipe, band: Band, synthesize: Synthesizer, number: int) -> Chunk:
    """The spectra of chunk ``number``: the function that every worker runs.

    A chunk with a flux that is NaN, negative or above 1.31 comes back as a failure that says which labels did
    it.

    ``synthesize(band, **labels)`` gives flux ``[star, chunk, point]``, normalised. ``StoreError`` where its
    shape is another.
    """
    indices = recipe.indices(number)
    intrinsic = recipe.intrinsic_labels(indices.start, len(indices))
    try:
        domain = recipe.domain.intrinsic
        labels = dict(zip(domain.names, intrinsic.T, strict=True))
        out_of_lte = {"nlte": recipe.nlte} if recipe.nlte else {}
        flux = np.asarray(synthesize(band, **out_of_lte, **labels))
        expected = len(indices), len(band.chunks), band.chunks[0].points
        if flux.shape != expected:
            raise StoreError(f"the synthesiser gave flux of the shape {flux.shape}, expected {expected}")
        check_flux(flux, domain, intrinsic, indices.start)
    except StarloomError as error:
        return Chunk(number, failure=str(error))
    full = np.zeros((len(indices), len(recipe.domain.labels)))
    full[:, recipe.synthesised] = intrinsic
    if "resolution" in recipe.domain.names:
        full[:, recipe.domain.index("resolution")] = band.kept_resolution
    return Chunk(number, encode(keep(flux, band).reshape(len(flux), -1)), full)


def check_flux(flux: np.ndarray, domain: Domain, intrinsic: np.ndarray, first: int) -> None:
    """Raise ``StoreError`` with the labels of the first spectra that are no normalised spectra.

    ``flux[star, ...]`` is that of ``intrinsic[star, label]``, labels of ``domain``; ``first`` is the number
    of the first star.
    """
    wrong = ~np.all((flux >= 0) & (flux <= HIGHEST_FLUX), axis=(1, 2))
    if not np.any(wrong):
        return
    rows = np.flatnonzero(wrong)[:5]
    places = [
        f"spectrum {first + row} ({domain.text(intrinsic[row])}): "
        f"flux {np.min(flux[row]):.3g}..{np.max(flux[row]):.3g}"
        for row in rows
    ]
    raise StoreError(f"{wrong.sum()} spectra with flux outside [0, {HIGHEST_FLUX:.2f}]: {'; '.join(places)}")


def radiative_transfer(band: Band, *, nlte: Sequence[str] = (), **labels: np.ndarray) -> np.ndarray:
    """The package's own ``Synthesizer``; see ``synthesis.normalised``.

    Flux ``[star, chunk, point]`` of labels ``[star]``. Ions without a line in the band stay in LTE.
    """
    from starloom import synthesis  # here, since it needs JAX, which comes with an extra
    from starloom.nlte import shown_ions
    from starloom.synthesis.band import band_lines

    ions = nlte and shown_ions(nlte, band_lines(band))
    return synthesis.normalised(band, nlte=ions, **labels)


def check_synthesis(recipe: Recipe) -> None:
    """Raise unless ``radiative_transfer`` can make every spectrum of the recipe.

    ``ConfigError`` for a label that synthesis does not know or cannot do without; ``OutOfRangeError`` with
    the first star outside its domain; ``ModuleNotFoundError`` without JAX.
    """
    from starloom import synthesis
    from starloom.nlte import checked_ions

    checked_ions(recipe.nlte)
    names = recipe.domain.intrinsic.names
    if missing := [name for name in synthesis.domain().names if name not in names]:
        raise ConfigError(f"recipe {recipe.name}: no label {', '.join(missing)}, which synthesis needs")
    known = synthesis.domain(*(name for name in names if name not in synthesis.domain().names))
    known.only(*names).check(recipe.intrinsic_labels(0, recipe.intrinsic))


def physics_version(band: Band) -> str:
    """What ``radiative_transfer`` depends on: the package's version, the band's tables, the sources."""
    digests = json.dumps(tables.synthesis_digests(band.tables, band.lines == CALIBRATED), sort_keys=True)
    digest = hashlib.sha256(digests.encode()).hexdigest()[:12]
    return f"starloom {__version__}, tables {digest}, sources {source_digest()[:12]}"


def build(
    recipe: Recipe,
    folder: str | Path,
    synthesize: Synthesizer,
    *,
    physics: str,
    engine: Engine = here,
    progress: bool = True,
) -> Manifest:
    """Make or continue the store of ``recipe`` in ``folder``; what is there and undamaged stays.

    ``physics`` names the version of what ``synthesize`` does, ``engine`` (see ``workers``) who does it. A
    chunk that fails is reported and the others are made. Raises ``StoreError`` where the folder holds another
    store or another process builds in it, when chunks have failed, or when a file cannot be written (a full
    disk); run it again to continue.
    """
    folder = Path(folder)
    absent = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder):
            new = not any(folder.glob("manifest*.json"))
            try:
                return _continued(open_or_create(folder, recipe, physics), synthesize, engine, progress)
            finally:
                if new:
                    _remove_empty(folder)
    finally:
        if absent:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _remove_empty(folder: Path) -> None:
    """Delete the manifest of a store without a chunk, such as one that was begun without JAX."""
    with suppress(StarloomError):
        if not read_manifest(folder).digests:
            for path in folder.glob("manifest*.json"):
                path.unlink()


def _continued(manifest: Manifest, synthesize: Synthesizer, engine: Engine, progress: bool) -> Manifest:
    """Make what a store lacks."""
    recipe, folder = manifest.recipe, manifest.folder
    remove_leftovers(manifest)
    if damage := manifest.damage():
        manifest = manifest.without(damage)
    failures = []
    with (
        outlook(lambda: f"{_safe(folder)} spectra are safe; the same command continues"),
        tqdm(
            total=recipe.intrinsic,
            initial=manifest.spectra,
            unit=" spectra",
            disable=not progress,
            smoothing=0.1,
        ) as bar,
    ):
        for reason in damage.values():
            bar.write(f"made again: {reason}")
        for chunk in engine(partial(make_chunk, recipe, manifest.band, synthesize), manifest.missing):
            if chunk.failure:
                failures.append(chunk.failure)
                bar.write(f"chunk {chunk.number} failed: {chunk.failure}")
                continue
            manifest = _written(manifest, chunk)
            bar.update(len(chunk.labels))
    if failures:
        done = f"{manifest.spectra} of {recipe.intrinsic} spectra are made"
        raise StoreError(f"{folder}: {done}; {len(failures)} chunks failed, the first: {failures[0]}")
    return manifest


def _safe(folder: Path) -> int:
    """Number of spectra that are on disk."""
    with suppress(StarloomError):
        return read_manifest(folder).spectra
    return 0


def finished(recipe: Recipe, folder: Path) -> bool:
    """Whether the store of ``recipe`` is in ``folder``, complete and undamaged, by whatever physics."""
    try:
        manifest = read_manifest(folder)
    except StarloomError:
        return False
    return manifest.recipe == recipe and not manifest.missing and not manifest.damage()


def remove_leftovers(manifest: Manifest) -> None:
    """Delete the temporary files of a build that was killed while it wrote."""
    for path in (*manifest.folder.glob(".*.npy"), *manifest.folder.glob(".*.json")):
        path.unlink(missing_ok=True)


def _written(manifest: Manifest, chunk: Chunk) -> Manifest:
    try:
        return manifest.with_chunk(chunk.number, chunk.flux, chunk.labels)
    except OSError as error:
        done = f"{manifest.spectra} of {manifest.recipe.intrinsic} spectra are safe"
        hint = "free space" if error.errno == errno.ENOSPC else "mend that"
        raise StoreError(
            f"{manifest.folder}: {error.strerror}; {done}; {hint} and run the same command again"
        ) from error
