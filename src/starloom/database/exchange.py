"""A store as one HDF5 file, for other programs."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from starloom import hdf5
from starloom.database.batches import Draws, drawn_spectra, draws
from starloom.database.recipe import SPLITS
from starloom.database.store import FLUX_STEP, Store, encode
from starloom.errors import StoreError
from starloom.files import check_target, replacing

PORTION = 512


def export_hdf5(store: Store, path: str | Path, observed: bool = False, progress: bool = False) -> None:
    """Write a store to an HDF5 file: the stored spectra, or with ``observed`` the recipe's fixed set.

    Datasets: ``flux[spectrum, wavelength]`` (stored spectra as they are on disk, its attribute ``scale``
    makes them flux; observed ones float32), ``labels[spectrum, label]`` with attributes ``names`` and
    ``units``, ``split[spectrum]`` (0, 1, 2 = train, validation, test), ``intrinsic[spectrum]``,
    ``wavelength`` [Angstrom] with the attribute ``medium``: of stored spectra one chunk of the band behind
    the other, which overlap. ``progress`` shows a bar. Raises ``StoreError`` where the file exists.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path}: exists already")
    check_target(path)
    parts = [_part(store, name, observed) for name in SPLITS]
    everything = Draws(
        np.concatenate([part.intrinsic for part in parts]), np.concatenate([part.labels for part in parts])
    )
    with replacing(path) as temporary, hdf5.created(temporary) as (file, check):
        _describe(file, store, everything, observed)
        file["split"] = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), [len(part) for part in parts])
        shape = (len(everything), file["wavelength"].size)
        dtype = "float32" if observed else store.manifest.dtype
        chunk = (min(64, shape[0]), shape[1])
        flux = file.create_dataset("flux", shape, dtype, chunks=chunk, compression="lzf", shuffle=True)
        flux.attrs["scale"] = FLUX_STEP if dtype == "uint16" else 1.0
        with tqdm(total=len(everything), unit=" spectra", disable=not progress) as bar:
            for first in range(0, len(everything), PORTION):
                part = slice(first, min(first + PORTION, len(everything)))
                flux[part] = _values(store, everything, part, observed)
                check()
                bar.update(part.stop - first)


def _describe(file, store: Store, everything: Draws, observed: bool) -> None:
    points = store.band.points
    kept_aa = np.concatenate([grid.wavelength_aa for grid in store.band.kept])
    grid_aa, medium = (points.wavelength_aa, points.medium) if observed else (kept_aa, "vacuum")
    file.attrs.update({"recipe": store.recipe.name, "identity": store.manifest.identity})
    file.attrs["physics"] = store.manifest.physics
    file["wavelength"] = grid_aa
    file["wavelength"].attrs.update({"unit": "Angstrom", "medium": medium})
    file["labels"] = everything.labels
    file["labels"].attrs["names"] = store.domain.names
    file["labels"].attrs["units"] = [label.unit for label in store.domain.labels]
    file["intrinsic"] = everything.intrinsic


def _part(store: Store, split: str, observed: bool) -> Draws:
    if observed:
        return draws(store, split, 0, store.recipe.broadenings, shuffle=False)
    return Draws(store.splits[split], store.labels[store.splits[split]])


def _values(store: Store, everything: Draws, part: slice, observed: bool) -> np.ndarray:
    if observed:
        return drawn_spectra(store, everything, part).flux
    return encode(store.flux(everything.intrinsic[part]), store.manifest.dtype)
