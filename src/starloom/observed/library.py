"""A library of observed stars: spectra at common wavelengths, with labels that have errors, as one file."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from starloom import tables
from starloom.arrays import one_line
from starloom.errors import ConfigError, OutOfRangeError, ParseError
from starloom.files import parsing, replacing
from starloom.labels import LABELS
from starloom.spectrum import Spectrum
from starloom.wavelength import to_vacuum

SUFFIX = ".npz"
FORMAT = 1
ESTIMATED = "noise_estimated"  # in ``about``: from the pixels, not told
ABOUT, DIGEST = "about", "digest"  # entries of a file beside the arrays
SAME = 1e-4  # of the resolution: less variation is none
RANGE_AA = (2300.0, 16900.0)  # of wavelengths


@dataclass(frozen=True, eq=False)
class ObservedLibrary:
    """Stars ``names`` of a library ``name``: normalised or not, in the rest frame, at ``vacuum_aa`` [A].

    ``flux[star, wavelength]`` in any unit, ``inverse_variance`` of it, 0 where a pixel is masked. ``labels``
    and their standard deviations ``errors``, ``[star]`` by name: NaN where one is not known. The resolving
    power at a wavelength is ``resolution[star]`` times ``relative[wavelength]``. ``about``: what else is to
    be known, as plain data ("source": whom to cite; "velocity_kms": deviation of the stars' velocities).
    """

    name: str
    names: tuple[str, ...]
    vacuum_aa: np.ndarray
    flux: np.ndarray
    inverse_variance: np.ndarray
    labels: Mapping[str, np.ndarray]
    errors: Mapping[str, np.ndarray]
    resolution: np.ndarray
    relative: np.ndarray
    about: Mapping[str, Any] = field(default_factory=dict)

    __repr__ = one_line

    def __post_init__(self):
        stars, pixels = len(self.names), self.vacuum_aa.size
        self._check_wavelengths()
        expected = {
            "flux": (stars, pixels),
            "inverse_variance": (stars, pixels),
            "resolution": (stars,),
            "relative": (pixels,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ConfigError(
                    f"library {self.name}: {name} {getattr(self, name).shape}, expected {shape}"
                )
        if len(set(self.names)) < stars:
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ConfigError(f"library {self.name}: star {twice!r} is in it twice")
        self._check_numbers()
        self._check_labels()

    def _check_wavelengths(self) -> None:
        wavelength = self.vacuum_aa
        if wavelength.ndim != 1 or wavelength.size < 2 or not (np.diff(wavelength) > 0).all():
            raise ConfigError(f"library {self.name}: one axis of rising wavelengths is needed")
        if not RANGE_AA[0] <= wavelength[0] <= wavelength[-1] <= RANGE_AA[1]:
            ends = f"{wavelength[0]:g}..{wavelength[-1]:g} A"
            raise OutOfRangeError(f"library {self.name}: wavelength = {ends} is outside {RANGE_AA} A")

    def _check_numbers(self) -> None:
        if not (np.isfinite(self.inverse_variance).all() and (self.inverse_variance >= 0).all()):
            raise ConfigError(f"library {self.name}: an inverse variance is no number from 0")
        if not np.isfinite(self.flux[self.inverse_variance > 0]).all():
            raise ConfigError(f"library {self.name}: a flux that is not masked is not finite")
        for name in ("resolution", "relative"):
            if not ((values := getattr(self, name)) > 0).all() or not np.isfinite(values).all():
                raise OutOfRangeError(f"library {self.name}: {name} = {values.min():g} is not above 0")

    def _check_labels(self) -> None:
        if set(self.labels) != set(self.errors):
            raise ConfigError(f"library {self.name}: labels {set(self.labels)}, errors of {set(self.errors)}")
        for name, values in self.labels.items():
            if name not in LABELS:
                raise ConfigError(f"library {self.name}: {name!r} is no label")
            error = self.errors[name]
            if values.shape != (len(self.names),) or error.shape != values.shape:
                raise ConfigError(f"library {self.name}: {name} {values.shape}, expected {len(self.names)}")
            if not (error[np.isfinite(values)] > 0).all():
                raise OutOfRangeError(f"library {self.name}: an error of {name} is not above 0")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def digest(self) -> str:
        """16 digits by which its content is known."""
        return tables.digest(self._arrays())[:16]

    def part(self, rows: Sequence[int] | np.ndarray) -> "ObservedLibrary":
        """Some of its stars: ``rows`` are their numbers, or a mask."""
        rows = np.asarray(rows)
        rows = np.arange(len(self))[rows if rows.size else rows.astype(int)]  # no row: an empty list is float
        arrays = {name: getattr(self, name)[rows] for name in ("flux", "inverse_variance", "resolution")}
        labels = {name: values[rows] for name, values in self.labels.items()}
        errors = {name: values[rows] for name, values in self.errors.items()}
        return replace(self, names=tuple(self.names[r] for r in rows), labels=labels, errors=errors, **arrays)

    def without(self, names: Sequence[str]) -> "ObservedLibrary":
        """All but the stars of these names; ConfigError for one that it does not have."""
        if unknown := set(names) - set(self.names):
            raise ConfigError(f"library {self.name}: no star {min(unknown)!r} is in it")
        return self.part([row for row, name in enumerate(self.names) if name not in set(names)])

    def divided(self, response: np.ndarray) -> "ObservedLibrary":
        """The same stars with their flux divided by ``response[wavelength]``."""
        flux, inverse = self.flux / response, self.inverse_variance * response**2
        return replace(self, flux=flux.astype(np.float32), inverse_variance=inverse.astype(np.float32))

    def between(self, low_aa: float, high_aa: float) -> "ObservedLibrary":
        """The same stars in a range of vacuum wavelengths [A]; OutOfRangeError where nothing is in it."""
        pixels = (self.vacuum_aa >= low_aa) & (self.vacuum_aa <= high_aa)
        if pixels.sum() < 2:
            raise OutOfRangeError(f"library {self.name} has nothing in {low_aa:g}..{high_aa:g} A")
        return replace(
            self,
            vacuum_aa=self.vacuum_aa[pixels],
            flux=self.flux[:, pixels],
            inverse_variance=self.inverse_variance[:, pixels],
            relative=self.relative[pixels],
        )

    def spectrum(self, star: int) -> Spectrum:
        """The spectrum of the star of this number, with its labels, errors and resolution."""
        inverse = self.inverse_variance[star].astype(float)
        with np.errstate(divide="ignore"):
            error = 1 / np.sqrt(inverse)
        middle = float(np.median(self.relative))
        resolution = float(self.resolution[star]) * middle
        known = {name: float(v[star]) for name, v in self.labels.items() if np.isfinite(v[star])}
        powers = (self.resolution[star] * self.relative).tolist()
        table = list(zip(self.vacuum_aa.tolist(), powers, strict=True))
        varying = {"resolution_table": table} if np.ptp(self.relative) > SAME * middle else {}
        return Spectrum(
            self.vacuum_aa,
            np.where(inverse > 0, self.flux[star], np.nan),
            labels={**known, "resolution": resolution},
            medium="vacuum",
            frame="rest",
            error=np.where(inverse > 0, error, np.nan),
            mask=inverse == 0,
            provenance={"star": self.names[star], "library": self.name, **varying},
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("vacuum_aa", "flux", "inverse_variance", "resolution", "relative")
        plain = {name: getattr(self, name) for name in names}
        told = {f"label_{name}": np.asarray(values, float) for name, values in self.labels.items()}
        errors = {f"error_{name}": np.asarray(values, float) for name, values in self.errors.items()}
        return {"names": np.array(self.names), **plain, **told, **errors}

    def write(self, path: str | os.PathLike) -> None:
        """Write it to one file, whole or not at all, with the digest of its content."""
        about = {"format": FORMAT, "name": self.name, "about": dict(self.about)}
        extra = {ABOUT: np.array(json.dumps(about, sort_keys=True)), DIGEST: np.array(self.digest)}
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **self._arrays(), **extra)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "ObservedLibrary":
        """The library in a file; ParseError for one that is missing, damaged, altered or none."""
        import zipfile

        with parsing(Path(path), zipfile.BadZipFile, KeyError, ValueError, EOFError):
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            about, digest = json.loads(str(arrays.pop(ABOUT))), str(arrays.pop(DIGEST))
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']!r}, this version reads {FORMAT}")
            labels, errors = (_by_name(arrays, kind) for kind in ("label_", "error_"))
            names = tuple(str(name) for name in arrays.pop("names"))
            found = cls(about["name"], names, **arrays, labels=labels, errors=errors, about=about["about"])
        if found.digest != digest:
            raise ParseError(f"{path}: altered: its content does not have the digest that it gives")
        return found


def _by_name(arrays: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Takes out of ``arrays`` those whose name begins so, by the rest of the name."""
    chosen = [name for name in arrays if name.startswith(kind)]
    return {name.removeprefix(kind): arrays.pop(name) for name in chosen}


def library(
    name: str,
    names: Sequence[str],
    wavelength_aa: np.ndarray,
    flux: np.ndarray,
    labels: Mapping[str, np.ndarray],
    errors: Mapping[str, Any],
    resolution: Any,
    *,
    error: np.ndarray | float | None = None,
    mask: np.ndarray | None = None,
    medium: str = "vacuum",
    relative: np.ndarray | None = None,
    about: Mapping[str, Any] | None = None,
) -> ObservedLibrary:
    """The library of spectra ``flux[star, wavelength]``, at rest, at ``wavelength_aa`` in ``medium``.

    ``errors`` of labels: arrays, or one number for all stars. ``error`` of the flux: an array, or a share of
    each star's median flux; None: ``noise`` tells it. ``mask``: True where a pixel is not to be used;
    ``relative`` is 1 unless it is given. ``name``, ``names``, ``labels``, ``resolution`` and ``about`` are as
    of ``ObservedLibrary``, whose errors are raised.
    """
    flux, stars = np.asarray(flux, np.float32), len(names)
    usable = np.isfinite(flux) if mask is None else np.isfinite(flux) & ~np.asarray(mask, bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = noise(flux, usable)[:, None] if error is None else np.asarray(error, float)
        if np.ndim(size) == 0:
            size = size * np.nanmedian(np.where(usable, flux, np.nan), axis=1, keepdims=True)
        inverse = np.where(usable, 1 / np.broadcast_to(size, flux.shape) ** 2, 0.0)
    inverse = np.where(np.isfinite(inverse), inverse, 0.0).astype(np.float32)
    return ObservedLibrary(
        name,
        tuple(map(str, names)),
        np.asarray(to_vacuum(np.asarray(wavelength_aa, float), medium), float),
        np.where(inverse > 0, flux, 0.0).astype(np.float32),
        inverse,
        {label: np.asarray(values, float) for label, values in labels.items()},
        {label: np.broadcast_to(np.asarray(values, float), stars).copy() for label, values in errors.items()},
        np.broadcast_to(np.asarray(resolution, float), stars).copy(),
        np.ones(flux.shape[1]) if relative is None else np.asarray(relative, float),
        dict(about or {}) | ({ESTIMATED: True} if error is None else {}),
    )


def noise(flux: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Noise ``[star]`` of ``flux[star, pixel]`` by the scatter around neighbours two pixels away.

    Stoehr et al. (2008), ADASS XVII, 505 (DER_SNR): 1.482602 / sqrt(6) times the median of
    :math:`|2 F_i - F_{i-2} - F_{i+2}|`. Pixels that are not ``usable``
    do not count; narrow lines do, so that it is an upper limit.
    """
    steps = np.abs(2 * flux[:, 2:-2] - flux[:, :-4] - flux[:, 4:])
    used = usable[:, 2:-2] & usable[:, :-4] & usable[:, 4:]
    middle = np.nanmedian(np.where(used, steps, np.nan), axis=1)
    return 1.482602 / np.sqrt(6) * middle
