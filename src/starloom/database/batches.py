"""What networks are fed with: batches of observed spectra out of a store, or a fixed set as the paper has."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from os import cpu_count
from pathlib import Path

import numpy as np
from tqdm import tqdm

from starloom import bands
from starloom.arrays import one_line
from starloom.bands import Band
from starloom.broadening import finish_of
from starloom.database.recipe import SHUFFLE_STREAM
from starloom.database.store import Store, check_digest, common, decode, encode, file_digest
from starloom.errors import ConfigError, ParseError, StoreError
from starloom.files import allocate, check_folder, filling
from starloom.labels import TABLE_1, Domain

# (kept[n, point], vsini=[n], resolution=[n], native_resolution=[n]) -> flux[n, wavelength]
Finisher = Callable[..., np.ndarray]
PORTION = 32  # spectra finished at once: what they need then stays in the processor's cache
FILES = {"flux": "flux.npy", "labels": "labels.npy", "intrinsic": "intrinsic.npy"}


@dataclass(frozen=True, eq=False)
class DrawnSpectra:
    """Observed spectra: flux float32[n, wavelength], labels float64[n, label], intrinsic spectra int[n]."""

    flux: np.ndarray
    labels: np.ndarray
    intrinsic: np.ndarray

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class Draws:
    """Which spectra an epoch shows and how they are broadened: intrinsic int[n], labels float64[n, label]."""

    intrinsic: np.ndarray
    labels: np.ndarray

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.intrinsic)


def draws(store: Store, split: str, epoch: int, copies: int = 1, shuffle: bool = True) -> Draws:
    """The broadenings of one epoch: ``copies`` of every intrinsic spectrum of a split, in shuffled order.

    They depend on the recipe's seed, the epoch and the spectrum alone; epoch 0 with the recipe's own number
    of copies is the fixed set. A spectrum stored at a resolution below 40000 is shown at its own resolution
    and rotation.

    ``shuffle=False`` keeps the store's order. ``ConfigError`` for another split, an epoch below 0 or copies
    below 1.
    """
    if split not in store.splits:
        raise ConfigError(f"split = {split!r} is none of {', '.join(store.splits)}")
    if epoch < 0 or copies < 1:
        raise ConfigError(f"epoch = {epoch}, copies = {copies}: below 0 or 1")
    ordered = _draws_of(store, store.splits[split], epoch, copies)
    if not shuffle:
        return ordered
    order = np.random.default_rng([store.recipe.seed, epoch, SHUFFLE_STREAM]).permutation(len(ordered))
    return Draws(ordered.intrinsic[order], ordered.labels[order])


def _draws_of(store: Store, indices: np.ndarray, epoch: int, copies: int) -> Draws:
    intrinsic = np.repeat(indices, copies)
    chosen = store.labels[intrinsic]
    columns = store.recipe.broadening
    drawn = store.recipe.broadening_labels(epoch, copies)[indices].reshape(-1, len(columns))
    chosen[:, columns] = np.where(store.broadened[intrinsic, None], chosen[:, columns], drawn)
    return Draws(intrinsic, chosen)


def batches(
    store: Store,
    split: str,
    *,
    epoch: int,
    size: int = 512,
    copies: int = 1,
    shuffle: bool = True,
    finisher: Finisher | None = None,
    threads: int = 1,
    ahead: int = 3,
) -> Iterator[DrawnSpectra]:
    """Batches of ``size`` (the last one smaller) with fresh v sin i and resolution in every ``epoch``.

    They are made by ``threads`` in the background, ``ahead`` of their use. See ``draws`` for what they
    contain; ``finisher`` gives them other wavelengths than the band's points, e.g.
    ``broadening.finish_onto(...)``.

    ``split``, ``copies`` and ``shuffle`` are those of ``draws``.
    """
    epoch_draws = draws(store, split, epoch, copies, shuffle)
    parts = (slice(first, first + size) for first in range(0, len(epoch_draws), size))
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(
            pool.submit(drawn_spectra, store, epoch_draws, part, finisher) for part in islice(parts, ahead)
        )
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(
                pool.submit(drawn_spectra, store, epoch_draws, part, finisher) for part in islice(parts, 1)
            )
            yield batch


def drawn_spectra(
    store: Store, epoch_draws: Draws, part: slice, finisher: Finisher | None = None
) -> DrawnSpectra:
    """The observed spectra of one part of an epoch.

    ``finisher(kept, **view)`` makes flux ``[spectrum, point]`` of what a store keeps; by default at the
    band's points.
    """
    finisher = finisher or finish_of(store.band)
    intrinsic, chosen = epoch_draws.intrinsic[part], epoch_draws.labels[part]
    view = _view(store, intrinsic, chosen)
    pieces = []
    for first in range(0, len(intrinsic), PORTION):
        piece = slice(first, first + PORTION)
        kept = store.flux(intrinsic[piece])
        pieces.append(finisher(kept, **{name: values[piece] for name, values in view.items()}))
    return DrawnSpectra(np.concatenate(pieces), chosen, intrinsic)


def _view(store: Store, intrinsic: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """How spectra are broadened, by the names of ``Finish.from_modes``: float32[n] each."""

    def of(name: str, labels: np.ndarray, default: float) -> np.ndarray:
        known = name in store.domain.names
        values = labels[:, store.domain.index(name)] if known else np.full(len(labels), default)
        return values.astype(np.float32)

    view = {
        "vsini": of("vsini", chosen, 0.0),
        "resolution": of("resolution", chosen, store.band.finest_resolution),
        "native_resolution": of("resolution", store.labels[intrinsic], store.band.kept_resolution),
    }
    if "vmac" in store.domain.names:
        view["macroturbulence"] = of("vmac", chosen, 0.0)
    # what is stored with its rotation gets no second one
    for name in {"vsini", "macroturbulence"} & set(view):
        view[name] = np.where(store.broadened[intrinsic], 0, view[name])
    return view


@dataclass(frozen=True, eq=False)
class FixedSet:
    """Observed spectra at a band's points, made once and memory-mapped. Made by ``open_fixed_set``.

    Spectrum j is a broadening of intrinsic spectrum ``intrinsic[j]``; the copies of one follow each other.
    """

    folder: Path
    splits: dict[str, np.ndarray]  #: indices of observed spectra
    made_from: Mapping  #: see ``made_from``
    domain: Domain  #: that holds those of the stores
    band: Band

    __repr__ = one_line

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of all spectra: float64[n, label]."""
        return np.load(self.folder / FILES["labels"])

    @cached_property
    def intrinsic(self) -> np.ndarray:
        """Intrinsic spectrum of each, counted on from one store to the next: int64[n]."""
        return np.load(self.folder / FILES["intrinsic"])

    @cached_property
    def stored(self) -> np.ndarray:
        """The flux as it is on disk, memory-mapped: float32[n, point], or uint16 in units of 2e-5."""
        return np.load(self.folder / FILES["flux"], mmap_mode="r")

    def flux(self, indices) -> np.ndarray:
        """Flux float32[n, point] of the spectra at ``indices`` (an array or a slice)."""
        return decode(np.asarray(self.stored[indices]))


def export_fixed_set(
    store: Store,
    folder: str | Path,
    dtype: str = "float32",
    copies: Mapping[str, int] | None = None,
    more: Sequence[Store] = (),
    progress: bool = False,
) -> FixedSet:
    """Write all spectra of the recipe (``intrinsic`` times ``broadenings``) with fixed broadenings.

    ``dtype`` is "float32" or "uint16" (half the size, rounded to 1e-5). With ``copies``, only the splits that
    it names, with that many broadenings of each of their spectra. ``more`` stores add to all splits but that
    for testing, behind the spectra of ``store``; ``ConfigError`` where their labels or band are others. The
    folder must be new; it appears under its name when it is complete. ``progress`` shows a bar.

    ``StoreError`` where the folder exists.
    """
    common((store, *more))
    folder = Path(folder)
    if folder.exists():
        raise StoreError(f"{folder}: exists already")
    check_folder(folder)
    if dtype not in ("float32", "uint16"):
        raise ConfigError(f"dtype = {dtype!r} is none of float32, uint16")
    common((store, *more))
    shown = [_fixed_draws(store, copies), *(_added_draws(other, copies) for other in more)]
    with filling(folder) as partial:
        _write_fixed_set(partial, (store, *more), shown, dtype, copies, progress)
    return open_fixed_set(folder)


def made_from(stores: Sequence[Store], copies: Mapping[str, int] | None) -> dict:
    """What decides the spectra of a fixed set, as its manifest has it.

    ``copies`` by split of ``stores``; None: those of their recipes.
    """
    return {
        "stores": [each.manifest.identity for each in stores],
        "copies": None if copies is None else dict(copies),
    }


def _write_fixed_set(
    partial: Path,
    stores: Sequence[Store],
    shown: Sequence[Draws],
    dtype: str,
    copies: Mapping[str, int] | None,
    progress: bool,
) -> None:
    start = np.cumsum([0, *map(len, shown)])
    shape = (int(start[-1]), stores[0].band.points.count)
    flux = np.lib.format.open_memmap(partial / FILES["flux"], mode="w+", dtype=dtype, shape=shape)
    allocate(partial / FILES["flux"])

    def write(number: int, first: int) -> None:
        found = drawn_spectra(stores[number], shown[number], slice(first, first + 512)).flux
        place = start[number] + first
        flux[place : place + len(found)] = encode(found, dtype)

    tasks = [(number, first) for number, each in enumerate(shown) for first in range(0, len(each), 512)]
    with (
        ThreadPoolExecutor(cpu_count()) as pool,
        tqdm(total=shape[0], unit=" spectra", disable=not progress) as bar,
    ):
        for (number, first), _ in zip(tasks, pool.map(write, *zip(*tasks, strict=True)), strict=True):
            bar.update(min(512, len(shown[number]) - first))
    flux.flush()
    np.save(partial / FILES["labels"], np.concatenate([each.labels for each in shown]))
    counted = np.cumsum([0, *(len(each.labels) for each in stores)])
    parts = [each.intrinsic + before for each, before in zip(shown, counted, strict=False)]
    np.save(partial / FILES["intrinsic"], np.concatenate(parts))
    digests = {kind: file_digest(partial / name) for kind, name in FILES.items()}
    splits = [_splits(*each) for each in zip(stores, shown, start, strict=False)]
    domain, band = common(stores)
    content = {
        **made_from(stores, copies),
        "domain": domain.mapping,
        "band": band.mapping,
        "splits": {name: [*chain.from_iterable(each[name] for each in splits)] for name in stores[0].splits},
        "digests": digests,
    }
    (partial / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def _fixed_draws(store: Store, copies: Mapping[str, int] | None) -> Draws:
    if copies is None:
        return _draws_of(store, np.arange(store.recipe.intrinsic), 0, store.recipe.broadenings)
    parts = [draws(store, split, 0, number, shuffle=False) for split, number in copies.items()]
    return Draws(*(np.concatenate([getattr(part, f) for part in parts]) for f in ("intrinsic", "labels")))


def _added_draws(store: Store, copies: Mapping[str, int] | None) -> Draws:
    """Those of a store that adds to another one's: none for testing."""
    numbers = copies or dict.fromkeys(store.splits, store.recipe.broadenings)
    return _fixed_draws(store, {split: number for split, number in numbers.items() if split != "test"})


def open_fixed_set(folder: str | Path, verify: bool = True) -> FixedSet:
    """A fixed set on disk; unless ``verify`` is false, ``StoreError`` where a file is not what was written.

    The digests take 1 s a GB, once for files that stay as they are.

    ``ParseError`` where its manifest cannot be read.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        splits = {name: np.array(indices, dtype=int) for name, indices in content["splits"].items()}
        digests = {FILES[kind]: digest for kind, digest in content["digests"].items()}
        # those of before were all of the paper's labels, in the packaged band
        domain = Domain.from_mapping(content["domain"]) if "domain" in content else TABLE_1
        band = Band.from_mapping(content["band"]) if "band" in content else bands.load("rvs")
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise ParseError(f"{folder}: no fixed set ({type(error).__name__}: {error})") from error
    for name, digest in digests.items() if verify else ():
        check_digest(folder / name, digest)
    return FixedSet(folder, splits, {name: content.get(name) for name in made_from((), None)}, domain, band)


def _splits(store: Store, everything: Draws, start: int) -> dict[str, list[int]]:
    return {
        name: (start + np.flatnonzero(np.isin(everything.intrinsic, indices))).tolist()
        for name, indices in store.splits.items()
    }
