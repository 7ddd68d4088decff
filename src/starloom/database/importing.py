"""A folder of spectra made or observed elsewhere becomes a store like any other."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from starloom.bands import MARGIN_KMS, Band
from starloom.broadening import broaden, instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.database import recipe as recipes
from starloom.database.recipe import IMPORTED, Recipe
from starloom.database.store import FLUX_STEP, HIGHEST_FLUX, Manifest, encode, read_manifest
from starloom.errors import ConfigError, Option, ParseError, StarloomError, StoreError
from starloom.files import allocate, filling, parsing
from starloom.io.format import File, Format, find
from starloom.io.label_tables import LabelTable, read_labels
from starloom.io.record import Record
from starloom.labels import BROADENING, Domain
from starloom.spectrum.axis import angstroms
from starloom.wavelength import MEDIA, LogGrid, to_vacuum

NORMALISATIONS = ("none", "continuum", "envelope")
ROOM_AA, ROUND_AA = 15.0, 10.0  # beyond a chunk's ends what is read of a file, to the next round wavelength
FEWEST = 100  # points of a file in a chunk
BUFFER = "spectra.buffer"


@dataclass(frozen=True)
class Import:
    """What is to be done with the files: where their format leaves it open or is to be overruled.

    ``recipe`` says which labels are wanted, the ranges of those of the broadening, and the band.
    ``resolution`` of the files' spectra (infinite: not broadened by an instrument), unless the table has a
    column of that name. ``given`` are labels that the table lacks. ``fill_margin`` continues a spectrum that
    covers the band's points but not the margins of its chunks with its end values, which reach in where v sin
    i is high.

    ``columns`` and ``normalise`` are as of ``io.format.Format``; with ``skip_bad`` files that cannot be
    used are left out and counted.
    """

    format: Format
    columns: tuple = ()
    medium: str | None = None
    normalise: str | None = None
    resolution: float = np.inf
    given: Mapping[str, float] = field(default_factory=dict)
    fill_margin: bool = False
    skip_bad: bool = False
    recipe: Recipe = field(default_factory=lambda: recipes.load("paper"))

    def __post_init__(self):
        if self.medium is not None and self.medium not in MEDIA:
            raise ConfigError(f"medium = {self.medium!r} is none of {', '.join(MEDIA)}")
        if (self.normalise or self.format.normalise) not in NORMALISATIONS:
            raise ConfigError(f"normalise = {self.normalise!r} is none of {', '.join(NORMALISATIONS)}")
        for name in self.given:
            self.recipe.domain.index(name)

    @property
    def domain(self) -> Domain:
        """The labels that are wanted."""
        return self.recipe.domain


@dataclass(frozen=True)
class Imported:
    """What an import did: the store's manifest, and the files that were skipped, each with its reason."""

    manifest: Manifest
    skipped: tuple[str, ...]


def import_grid(
    files: str | Path,
    table: str | Path,
    folder: str | Path,
    how: Import,
    *,
    progress: bool = True,
    **settings: Any,
) -> Imported:
    """Make a store in the new ``folder`` from spectra in the folder ``files`` and their labels in ``table``.

    ``table`` (CSV, ECSV, FITS or VOTable) has a column ``file`` and one for each label that ``how`` does not
    give; a file's vsini and vmac are 0 where neither says otherwise. Each spectrum is normalised if asked,
    brought to the grids of the band's chunks by integrating over their points, and seen at the band's kept
    resolution unless its own is lower. Bad files are listed in a ``StoreError``; with ``skip_bad`` they are
    left out. The store appears when it is complete. ``settings`` are fields of its ``Recipe``: name, seed,
    chunk, train, validation.
    """
    folder, band = Path(folder), how.recipe.load_band()
    if folder.exists():
        raise StoreError(f"{folder}: exists already")
    labels = labels_of_files(table, how)
    names, star_labels = labels.others["file"].astype(str), labels.labels.copy()
    with filling(folder) as partial:
        shape = (len(names), sum(grid.points for grid in band.kept))
        kept = np.lib.format.open_memmap(partial / BUFFER, mode="w+", dtype=np.float32, shape=shape)
        allocate(partial / BUFFER)
        faults = {number - 1: f"{table}, row {number}: {why}" for number, why in labels.faults.items()}
        for row in tqdm(labels.rows - 1, unit=" files", disable=not progress):
            try:
                kept[row], star_labels[row] = kept_spectrum(
                    Path(files) / names[row], star_labels[row], how, band
                )
            except ConfigError:  # of what was asked for, not of one file
                raise
            except StarloomError as error:
                faults[row] = str(error)
        good = np.array([row for row in range(len(names)) if row not in faults], dtype=int)
        reasons = tuple(faults[row] for row in sorted(faults))
        if reasons and not (how.skip_bad and good.size):
            raise StoreError(f"{len(reasons)} of {len(names)} files are bad: " + "; ".join(reasons[:20]))
        recipe = _recipe(how.recipe, star_labels[good], settings)
        _write(partial, recipe, kept, star_labels, [(names[row], row) for row in good])
        (partial / BUFFER).unlink()
    return Imported(read_manifest(folder), reasons)


def labels_of_files(path: str | Path, how: Import) -> LabelTable:
    """The labels in a table with the column ``file``; raises as ``io.read_labels``.

    ``ParseError`` where a name of a file is missing or twice in it.
    """
    defaults = {"vsini": 0.0, "vmac": 0.0, "resolution": how.resolution}
    table = read_labels(path, how.domain, how.given, defaults)
    if "file" not in table.others:
        raise ParseError(f"{path}: no column file, only {', '.join(table.others) or 'labels'}")
    return table


def kept_spectrum(
    path: Path, star_labels: np.ndarray, how: Import, band: Band
) -> tuple[np.ndarray, np.ndarray]:
    """A file's spectrum as a store keeps it, and the labels it has then (its resolution may be lower).

    ``star_labels[label]``: those of the recipe's domain. ``ParseError`` where it cannot be used.
    """
    domain, after = how.domain, star_labels.copy()
    known = "resolution" in domain.names
    native = star_labels[domain.index("resolution")] if known else how.resolution
    if not native > 0:
        raise ParseError(f"{path}: resolution = {native:g} is not above 0")
    wanted = min(native, band.kept_resolution)
    if not known and native < band.finest_resolution:
        least = f"R = {band.finest_resolution:g}, and the recipe has no label for it"
        raise ParseError(f"{path}: resolution = {native:g} is below {least}")
    moved = [name for name in domain.names if name in BROADENING and name != "resolution"]
    if known and any(star_labels[domain.index(name)] > 0 for name in moved):
        # can only be shown as it is, so within the resolutions that are shown
        wanted = min(native, domain.high[domain.index("resolution")])
    if known:
        after[domain.index("resolution")] = wanted
    record = _record(path, how)
    parts = [_kept_chunk(path, record, grid, (native, wanted), how) for grid in band.chunks]
    return np.concatenate([part[1 :: band.stride] for part in parts]), after


def envelope(wavelength_aa: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """A continuum over the highest points: a parabola in wavelength through 95th percentiles of 40 windows.

    Windows more than 1 % below the fit are left out, eight times over. Good to 1 % where lines leave gaps;
    among the Paschen lines of hot stars and the bands of cool ones it lies too low by several per cent.

    ``flux[wavelength]``, in any unit; the continuum is in the same.
    """
    groups = np.array_split(np.arange(flux.size), 40)
    places = np.array([wavelength_aa[group].mean() for group in groups])
    heights = np.array([np.percentile(flux[group], 95) for group in groups])
    used = np.ones(places.size, dtype=bool)
    for _ in range(8):
        fit = np.polynomial.Polynomial.fit(places[used], heights[used], 2)
        used = heights > 0.99 * fit(places)
    return fit(wavelength_aa)


def _record(path: Path, how: Import) -> Record:
    """The one spectrum of a file at rest, with its wavelengths in Angstrom and its medium known."""
    file = File(path, how.columns)
    found = list(find(how.format.name, file).spectra(file))
    if len(found) != 1:
        raise ParseError(f"{path}: {len(found)} spectra in it, expected one")
    record = found[0][1]()
    medium = how.medium or record.medium
    if medium not in MEDIA:
        raise ConfigError(f"{path}: the file does not tell its medium: give ", Option("medium", MEDIA))
    if record.frame not in (None, "rest"):
        raise ParseError(f"{path}: its wavelengths are {record.frame}, expected those of the star at rest")
    with parsing(path, ConfigError):
        wavelength = record.wavelength * angstroms(record.unit or "Angstrom")
    return replace(record, wavelength=wavelength, unit="Angstrom", medium=medium)


def _kept_chunk(
    path: Path, record: Record, grid: LogGrid, resolutions: tuple[float, float], how: Import
) -> np.ndarray:
    """The spectrum on a chunk's grid, brought from its native to the wanted resolution."""
    native, wanted = resolutions
    wavelength_aa, flux = _normalised(path, record, grid, how)
    return _seen(onto_grid(path, grid, wavelength_aa, flux, wanted, how.fill_margin), grid, native, wanted)


def _normalised(path: Path, record: Record, grid: LogGrid, how: Import) -> tuple[np.ndarray, np.ndarray]:
    """Vacuum wavelengths and normalised flux of what lies near a chunk."""
    normalise, arrays = how.normalise or how.format.normalise, record.arrays(path)
    low = ROUND_AA * np.floor((grid.first_aa - ROOM_AA) / ROUND_AA)
    high = ROUND_AA * np.ceil((grid.last_aa + ROOM_AA) / ROUND_AA)
    near = (record.wavelength > low) & (record.wavelength < high)
    if near.sum() < FEWEST:
        raise ParseError(f"{path}: {near.sum()} points in {low:g}-{high:g} A, at least {FEWEST} are needed")
    wavelength_aa, flux = record.wavelength[near], arrays["flux"][near]
    if not np.all(np.diff(wavelength_aa) > 0):
        raise ParseError(f"{path}: wavelengths do not rise")
    if normalise == "continuum":
        if record.continuum is None:
            raise ParseError(f"{path}: no continuum in it to normalise with")
        flux = flux / record.continuum[near]
    elif normalise == "envelope":
        flux = flux / envelope(wavelength_aa, flux)
    masked = record.mask is not None and record.mask[near].any()
    if masked or not (np.all(np.isfinite(flux)) and np.all(flux >= 0)):
        raise ParseError(f"{path}: flux is not finite, or negative, or masked")
    return to_vacuum(wavelength_aa, record.medium), flux


def onto_grid(
    path: Path, grid: LogGrid, wavelength_aa: np.ndarray, flux: np.ndarray, resolution: float, fill: bool
) -> np.ndarray:
    """Mean flux ``[point]`` over each point of a grid: a cubic spline's exact integral, so flux is conserved.

    ``fill`` continues the spectrum over the grid's margins (``Import``). ``ParseError`` where it covers
    less, or its points are too far apart for its resolution.
    """
    from scipy.interpolate import CubicSpline  # here, since it comes with an extra

    step = np.max(np.diff(np.log(wavelength_aa))) * SPEED_OF_LIGHT_KMS
    needed = SPEED_OF_LIGHT_KMS / resolution / 2
    if step > needed:
        raise ParseError(
            f"{path}: points are {step:.2f} km/s apart, R = {resolution:g} needs {needed:.2f} km/s"
        )
    half = grid.step_kms / SPEED_OF_LIGHT_KMS / 2
    edges = grid.first_aa * np.exp(half * (2 * np.arange(grid.points + 1) - 1))
    margin = np.exp(MARGIN_KMS / SPEED_OF_LIGHT_KMS) if fill else 1.0
    low, high = edges[0] * margin, edges[-1] / margin
    if wavelength_aa[0] > low or wavelength_aa[-1] < high:
        found = f"{wavelength_aa[0]:.2f}-{wavelength_aa[-1]:.2f} A"
        raise ParseError(f"{path}: covers {found} (vacuum), {low:.2f}-{high:.2f} A is needed")
    whole = CubicSpline(wavelength_aa, flux).antiderivative()
    inside = np.clip(edges, wavelength_aa[0], wavelength_aa[-1])
    total = whole(inside) + (edges - inside) * np.where(edges < wavelength_aa[0], flux[0], flux[-1])
    return np.diff(total) / np.diff(edges)


def _seen(flux: np.ndarray, grid: LogGrid, native: float, wanted: float) -> np.ndarray:
    """The spectrum at the wanted resolution; its own, and the mean over a point, have done a part already."""
    variance = instrument_variance(wanted) - instrument_variance(native) - grid.step_kms**2 / 12
    if variance <= 0:
        return flux
    # a Gaussian of the variance that is left, as the resolution it would be
    return broaden(flux, grid.step_kms, resolution=float(np.sqrt(instrument_variance(1.0) / variance)))


def _recipe(wanted: Recipe, star_labels: np.ndarray, settings: Mapping[str, Any]) -> Recipe:
    """The recipe of the imported stars: the ranges of synthesised labels are those found."""
    low, high = wanted.domain.low.copy(), wanted.domain.high.copy()
    places = wanted.synthesised
    low[places], high[places] = star_labels[:, places].min(0), star_labels[:, places].max(0)
    domain = Domain(wanted.domain.labels, low, high, wanted.domain.floor)
    made = {"name": IMPORTED, "seed": 1, "chunk": 100, "train": 0.8, "validation": 0.1, **settings}
    return replace(
        wanted,
        sampling=IMPORTED,
        intrinsic=len(star_labels),
        broadenings=1,
        ends=0.0,
        domain=domain,
        **made,
    )


def _write(folder: Path, recipe: Recipe, kept, star_labels, good: list[tuple[str, int]]) -> None:
    """Write the rows of the good files, whose names and rows are given, in chunks with a manifest."""
    rows, content = np.array([row for _, row in good]), hashlib.sha256()
    low, high = 0.0, 0.0
    for name, row in good:
        content.update(name.encode() + kept[row].tobytes())
        low, high = min(low, kept[row].min()), max(high, kept[row].max())
    dtype = "uint16" if low >= -FLUX_STEP / 2 and high <= HIGHEST_FLUX else "float32"
    manifest = Manifest(folder, recipe, f"imported spectra {content.hexdigest()[:12]}", dtype)
    for number in manifest.missing:
        part = rows[recipe.indices(number)]
        manifest = manifest.with_chunk(number, encode(kept[part], dtype), star_labels[part])
