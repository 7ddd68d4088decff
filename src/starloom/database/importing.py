"""A folder of spectra made or observed elsewhere becomes a store like any other."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from starloom import labels
from starloom.broadening import (
    KEPT_GRID_AA,
    KEPT_RESOLUTION,
    KEPT_STRIDE,
    broaden,
    instrument_variance,
    uniform_step,
)
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.database.layouts import MEDIA, NORMALISATIONS, Layout, Raw
from starloom.database.recipe import BROADENING, IMPORTED, INTRINSIC, Recipe
from starloom.database.store import FLUX_STEP, HIGHEST_FLUX, Manifest, encode, read_manifest
from starloom.errors import ConfigError, ParseError, StarloomError, StoreError
from starloom.files import new_folder, parsing
from starloom.wavelength import SYNTHESIS_GRID_AA, vacuum_from_air

MARGIN_KMS = 430.0  # of the synthesis grid beyond 8400-8800 A, which may be filled
BUFFER = "spectra.buffer"


@dataclass(frozen=True)
class Import:
    """What is to be done with the files: where their layout leaves it open or is to be overruled.

    ``resolution`` of the files' spectra (infinite: not broadened by an instrument), unless the table has a
    column of that name. ``given`` are labels that the table lacks. ``fill_margin`` continues a spectrum that
    covers 8400-8800 A (air) but not 8388-8812 A with its end values, which reaches in where v sin i is high.
    """

    layout: Layout
    columns: tuple = ()
    medium: str | None = None
    normalise: str | None = None
    resolution: float = np.inf
    given: Mapping[str, float] = field(default_factory=dict)
    fill_margin: bool = False
    skip_bad: bool = False

    def __post_init__(self):
        if (self.medium or self.layout.medium) not in MEDIA:
            raise ConfigError(
                f"medium = {self.medium!r}: say whether wavelengths are in {' or '.join(MEDIA)}"
            )
        if (self.normalise or self.layout.normalise) not in NORMALISATIONS:
            raise ConfigError(f"normalise = {self.normalise!r} is none of {', '.join(NORMALISATIONS)}")
        if unknown := set(self.given) - set(labels.NAMES):
            raise ConfigError(f"label {', '.join(sorted(unknown))} is none of {', '.join(labels.NAMES)}")


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
    name: str = IMPORTED,
    seed: int = 1,
    chunk: int = 100,
    train: float = 0.8,
    validation: float = 0.1,
    progress: bool = True,
) -> Imported:
    """Make a store in the new ``folder`` from spectra in the folder ``files`` and their labels in ``table``.

    ``table`` (CSV, ECSV or FITS) has a column ``file`` and one for each label that ``how`` does not give; a
    file's vsini is 0 where neither says otherwise. Each spectrum is normalised if asked, brought to the kept
    grid by integrating over its points, and seen at R = 40000 unless its own resolution is lower. Bad files
    are listed in a ``StoreError``; with ``skip_bad`` they are left out. The store appears when it is
    complete.
    """
    folder = Path(folder)
    if folder.exists():
        raise StoreError(f"{folder}: exists already")
    names, star_labels = read_labels(table, how)
    with new_folder(folder) as partial:
        shape = (len(names), KEPT_GRID_AA.size)
        kept = np.lib.format.open_memmap(partial / BUFFER, mode="w+", dtype=np.float32, shape=shape)
        faults = {}
        for row, file in enumerate(tqdm(names, unit=" files", disable=not progress)):
            try:
                kept[row], star_labels[row] = kept_spectrum(Path(files) / file, star_labels[row], how)
            except StarloomError as error:
                faults[row] = str(error)
        good = np.array([row for row in range(len(names)) if row not in faults], dtype=int)
        reasons = tuple(faults.values())
        if reasons and not (how.skip_bad and good.size):
            raise StoreError(f"{len(reasons)} of {len(names)} files are bad: " + "; ".join(reasons[:20]))
        splits = {"seed": seed, "chunk": chunk, "train": train, "validation": validation}
        recipe = _recipe(star_labels[good], name=name, **splits)
        _write(partial, recipe, kept, star_labels, [(names[row], row) for row in good])
        (partial / BUFFER).unlink()
    return Imported(read_manifest(folder), reasons)


def read_labels(path: str | Path, how: Import) -> tuple[list[str], np.ndarray]:
    """File names and labels float64[n, 6] of a label table; ``ParseError`` or ``ConfigError`` where wrong."""
    from astropy.io.registry import IORegistryError
    from astropy.table import Table

    with parsing(path, ValueError, TypeError, IORegistryError):
        table = Table.read(path)
    if "file" not in table.colnames:
        raise ParseError(f"{path}: no column file, only {', '.join(table.colnames)}")
    values = {"vsini": 0.0, "resolution": how.resolution, **how.given}
    values.update({name: table[name] for name in labels.NAMES if name in table.colnames})
    if missing := [name for name in labels.NAMES if name not in values]:
        raise ParseError(f"{path}: no column {', '.join(missing)}, and no value given for it")
    names = [str(name) for name in table["file"]]
    return names, np.broadcast_to(labels.as_array(**values), (len(names), len(labels.NAMES))).copy()


def kept_spectrum(path: Path, star_labels: np.ndarray, how: Import) -> tuple[np.ndarray, np.ndarray]:
    """A file's spectrum as a store keeps it, and the labels it has then (its resolution may be lower)."""
    if not np.all(np.isfinite(np.delete(star_labels, BROADENING[1]))):
        raise ParseError(f"{path}: labels are not all finite: {star_labels.tolist()}")
    raw = how.layout.read(path, how.columns or how.layout.columns)
    wavelength_aa, flux = _normalised(path, raw, how)
    native = star_labels[BROADENING[1]]
    if not native > 0:
        raise ParseError(f"{path}: resolution = {native:g} is not above 0")
    wanted = min(native, KEPT_RESOLUTION)
    if star_labels[BROADENING[0]] > 0:  # can only be shown as it is, so within the resolutions that are shown
        wanted = min(native, labels.DOMAIN.high[BROADENING[1]])
    flux = _on_synthesis_grid(path, wavelength_aa, flux, wanted, how.fill_margin)
    after = star_labels.copy()
    after[BROADENING[1]] = wanted
    return _seen(flux, native, wanted)[1::KEPT_STRIDE], after


def envelope(wavelength_aa: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """A continuum over the highest points: a parabola in wavelength through 95th percentiles of 40 windows.

    Windows more than 1 % below the fit are left out, eight times over. Good to 1 % where lines leave gaps;
    among the Paschen lines of hot stars and the bands of cool ones it lies too low by several per cent.
    """
    groups = np.array_split(np.arange(flux.size), 40)
    places = np.array([wavelength_aa[group].mean() for group in groups])
    heights = np.array([np.percentile(flux[group], 95) for group in groups])
    used = np.ones(places.size, dtype=bool)
    for _ in range(8):
        fit = np.polynomial.Polynomial.fit(places[used], heights[used], 2)
        used = heights > 0.99 * fit(places)
    return fit(wavelength_aa)


def _normalised(path: Path, raw: Raw, how: Import) -> tuple[np.ndarray, np.ndarray]:
    """Vacuum wavelengths and normalised flux of what lies near the range."""
    medium, normalise = how.medium or how.layout.medium, how.normalise or how.layout.normalise
    everything = (
        (raw.wavelength_aa, raw.flux)
        if raw.continuum is None
        else (raw.wavelength_aa, raw.flux, raw.continuum)
    )
    if len({array.size for array in everything}) != 1:
        raise ParseError(f"{path}: {raw.wavelength_aa.size} wavelengths, {raw.flux.size} fluxes")
    near = (raw.wavelength_aa > 8370) & (raw.wavelength_aa < 8830)
    if near.sum() < 100:
        raise ParseError(f"{path}: {near.sum()} points in 8370-8830 A, at least 100 are needed")
    wavelength_aa, flux = raw.wavelength_aa[near], raw.flux[near]
    if not np.all(np.diff(wavelength_aa) > 0):
        raise ParseError(f"{path}: wavelengths do not rise")
    if normalise == "continuum":
        if raw.continuum is None:
            raise ParseError(f"{path}: no continuum in it to normalise with")
        flux = flux / raw.continuum[near]
    elif normalise == "envelope":
        flux = flux / envelope(wavelength_aa, flux)
    if not (np.all(np.isfinite(flux)) and np.all(flux >= 0)):
        raise ParseError(f"{path}: flux is not finite, or negative")
    return vacuum_from_air(wavelength_aa) if medium == "air" else wavelength_aa, flux


def _on_synthesis_grid(path: Path, wavelength_aa, flux, resolution: float, fill_margin: bool) -> np.ndarray:
    """Mean flux over each synthesis point: the exact integral of a cubic spline, so flux is conserved."""
    from scipy.interpolate import CubicSpline  # here, since it comes with an extra

    step = np.max(np.diff(np.log(wavelength_aa))) * SPEED_OF_LIGHT_KMS
    needed = SPEED_OF_LIGHT_KMS / resolution / 2
    if step > needed:
        raise ParseError(
            f"{path}: points are {step:.2f} km/s apart, R = {resolution:g} needs {needed:.2f} km/s"
        )
    half = uniform_step(SYNTHESIS_GRID_AA) / SPEED_OF_LIGHT_KMS / 2
    edges = SYNTHESIS_GRID_AA[0] * np.exp(half * (2 * np.arange(SYNTHESIS_GRID_AA.size + 1) - 1))
    low, high = edges[0], edges[-1]
    if fill_margin:
        low, high = (
            low * np.exp(MARGIN_KMS / SPEED_OF_LIGHT_KMS),
            high * np.exp(-MARGIN_KMS / SPEED_OF_LIGHT_KMS),
        )
    if wavelength_aa[0] > low or wavelength_aa[-1] < high:
        found = f"{wavelength_aa[0]:.2f}-{wavelength_aa[-1]:.2f} A"
        raise ParseError(f"{path}: covers {found} (vacuum), {low:.2f}-{high:.2f} A is needed")
    whole = CubicSpline(wavelength_aa, flux).antiderivative()
    inside = np.clip(edges, wavelength_aa[0], wavelength_aa[-1])
    total = whole(inside) + (edges - inside) * np.where(edges < wavelength_aa[0], flux[0], flux[-1])
    return np.diff(total) / np.diff(edges)


def _seen(flux: np.ndarray, native: float, wanted: float) -> np.ndarray:
    """The spectrum at the wanted resolution; its own, and the mean over a point, have done a part already."""
    step = uniform_step(SYNTHESIS_GRID_AA)
    variance = instrument_variance(wanted) - instrument_variance(native) - step**2 / 12
    if variance <= 0:
        return flux
    # a Gaussian of the variance that is left, as the resolution it would be
    return broaden(flux, step, resolution=float(np.sqrt(instrument_variance(1.0) / variance)))


def _recipe(star_labels: np.ndarray, **settings) -> Recipe:
    ranges = [(label.low, label.high) for label in labels.LABELS]
    for column in INTRINSIC:
        ranges[column] = (float(star_labels[:, column].min()), float(star_labels[:, column].max()))
    settings = {"sampling": IMPORTED, "intrinsic": len(star_labels), "broadenings": 1, **settings}
    return Recipe(ranges=tuple(ranges), **settings)


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
