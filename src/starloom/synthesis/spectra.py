"""The result of synthesis: intrinsic spectra of one star or several, over the chunks of a band."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import jax
import numpy as np
from jaxtyping import Array, Float

from starloom.arrays import array_library, one_line
from starloom.bands import Band
from starloom.broadening import filling as chromospheric
from starloom.constants import SPEED_OF_LIGHT_KMS, SYMBOLS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.physics.abundances import CARBON_RATIO, MIXTURE, relative
from starloom.spectrum import Spectrum
from starloom.units import plain
from starloom.wavelength import air_from_vacuum


@dataclass(frozen=True, eq=False)
class SyntheticSpectrum:
    """An intrinsic spectrum, or several along the leading axes, over a band.

    ``chunk_flux`` and ``chunk_continuum`` have an array [..., points] for each chunk of the band, on its grid
    (vacuum); ``flux`` and ``continuum`` on ``wavelength_aa`` join them at the band's edges. They leave the
    star's surface, in erg s-1 cm-2 A-1; of an intensity at one mu, also per sr. ``labels`` are those known,
    by name: a number for one spectrum, for several an array of the leading axes' shape. ``nlte`` are the ions
    out of LTE. An index gives one spectrum of several, with its own labels.

    ``unit`` of flux and continuum (astropy string).
    """

    chunk_flux: tuple[Float[Array, "... point"], ...]
    chunk_continuum: tuple[Float[Array, "... point"], ...]
    band: Band
    labels: Mapping[str, float | np.ndarray]
    unit: str = "erg s-1 cm-2 Angstrom-1"
    nlte: tuple[str, ...] = ()

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self._several("length"))

    def __iter__(self) -> "Iterator[SyntheticSpectrum]":
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index) -> "SyntheticSpectrum":
        self._several("index")
        labels = {name: np.asarray(values)[index] for name, values in self.labels.items()}
        labels = {name: values if values.ndim else float(values) for name, values in labels.items()}
        flux, continuum = ([c[index] for c in chunks] for chunks in (self.chunk_flux, self.chunk_continuum))
        return replace(self, chunk_flux=tuple(flux), chunk_continuum=tuple(continuum), labels=labels)

    def _several(self, what: str):
        if self.chunk_flux[0].ndim == 1:
            raise TypeError(f"one spectrum has no {what}")
        return self.chunk_flux[0]

    @cached_property
    def wavelength_aa(self) -> Float[np.ndarray, "wavelength"]:
        """Vacuum wavelengths [A] of the joined spectrum: uniform in their logarithm but for the joins."""
        return joined(self.band, [chunk.wavelength_aa for chunk in self.band.chunks])

    @cached_property
    def flux(self) -> Float[Array, "... wavelength"]:
        """The chunks' flux, joined."""
        return joined(self.band, self.chunk_flux)

    @cached_property
    def continuum(self) -> Float[Array, "... wavelength"]:
        """The chunks' continuum, joined."""
        return joined(self.band, self.chunk_continuum)

    @property
    def normalized(self) -> Float[Array, "... wavelength"]:
        """Flux over continuum."""
        return self.flux / self.continuum

    def filled(self, filling, teff=None) -> "SyntheticSpectrum":
        """With the emission of a chromosphere in the cores of the Ca II triplet, times the continuum.

        ``filling`` is a number or an array that broadcasts with the leading axes; it joins the labels.
        ``teff`` [K] is the label's unless given. See ``broadening.filling``. Raises OutOfRangeError outside
        its RANGE and where Teff is unknown, ConfigError for a spectrum that has a filling.
        """
        teff = self.labels.get("teff") if teff is None else teff
        if chromospheric.LABEL in self.labels:
            raise ConfigError(f"filling = {filling!r:.60}: the spectrum has one already")
        if teff is None:
            raise OutOfRangeError("teff is not given by the atmosphere: filling goes by it")
        chromospheric.check_filling(filling)
        if array_library(filling) is np:
            filling = plain(chromospheric.LABEL, filling, "")
        xp = array_library(filling, teff, *self.chunk_flux)
        amount = xp.asarray(filling * chromospheric.chromosphere(teff))[..., None]
        added, continuum = [], []
        for flux, level, grid in zip(self.chunk_flux, self.chunk_continuum, self.band.chunks, strict=True):
            more = (amount * chromospheric.emission(grid.wavelength_aa)).astype(flux.dtype)
            added.append(flux + level * more)
            continuum.append(xp.broadcast_to(level, added[-1].shape))
        labels = self._labels_with(filling, added[0].shape[:-1])
        return replace(self, chunk_flux=tuple(added), chunk_continuum=tuple(continuum), labels=labels)

    def _labels_with(self, filling, shape: tuple[int, ...]) -> dict:
        if not shape:
            return {**self.labels, **numbers({chromospheric.LABEL: filling})}
        every = {**self.labels, chromospheric.LABEL: filling}
        return {name: np.broadcast_to(values, shape) for name, values in every.items()}

    @property
    def abundances(self) -> dict[str, float | str]:
        """What one star is made of, as far as it is known as numbers: what is scaled, and by how much."""
        known = {"[M/H]": self.labels.get("mh"), "[alpha/M]": self.labels.get("alpha", 0.0)}
        known |= {relative(name): value for name, value in self.labels.items() if name in SYMBOLS}
        ratio = self.labels.get("carbon_ratio", CARBON_RATIO)
        return {"the Sun's": MIXTURE, **numbers(known), "12C/13C": float(ratio)}

    def spectrum(self, normalized: bool = True) -> Spectrum:
        """One star's spectrum as a ``Spectrum``, wavelengths in air; ``abundances`` are in its provenance.

        Raises ConfigError for several stars' spectra: take them one by one.

        ``normalized``: flux over the continuum, or in ``unit``.
        """
        if self.flux.ndim != 1:
            raise ConfigError(f"spectra of the shape {self.flux.shape[:-1]}: take one, as made[0].spectrum()")
        flux = self.normalized if normalized else self.flux
        return Spectrum(
            air_from_vacuum(self.wavelength_aa),
            np.asarray(flux, dtype=float),
            medium="air",
            flux_unit="" if normalized else self.unit,
            labels=self.labels,
            provenance={
                "made by": "starloom.synthesis",
                "physics": f"{physics_of(self)}, plane-parallel",
                "lines": self.band.lines,
                "abundances": self.abundances,
            },
        )


def physics_of(made: SyntheticSpectrum) -> str:
    """``LTE``, which ions are not in it, and whether cores are filled."""
    ions = f"LTE but {', '.join(made.nlte)}" if made.nlte else "LTE"
    return f"{ions}, {chromospheric.TOLD}" if chromospheric.LABEL in made.labels else ions


@cache
def _shown(band: Band) -> tuple[slice, ...]:
    """The points of each chunk that the joined spectrum has; the first and last chunk are whole outwards."""
    shown, last = [], 0.0
    half = 1 + 0.5 * band.chunks[0].step_kms / SPEED_OF_LIGHT_KMS  # so that no point is there twice
    for chunk, edge in zip(band.chunks, (*band.edges_aa[1:-1], np.inf), strict=True):
        first, end = np.searchsorted(chunk.wavelength_aa, [last * half, edge]).tolist()
        shown.append(slice(first, end))
        last = float(chunk.wavelength_aa[end - 1])
    return tuple(shown)


def joined(band: Band, parts):
    """What lies on the grids of a band's chunks, each [..., points], as one array [..., wavelength]."""
    if len(parts) == 1:
        return parts[0]
    shown = [part[..., points] for part, points in zip(parts, _shown(band), strict=True)]
    return array_library(*shown).concatenate(shown, axis=-1)


def numbers(values: Mapping) -> dict[str, float]:
    """Those that are numbers, neither unknown nor traced by JAX."""
    return {k: float(v) for k, v in values.items() if v is not None and not isinstance(v, jax.core.Tracer)}
