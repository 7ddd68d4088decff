"""Spectra of stars by their labels: one after the other, several at once, and as a store wants them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from starloom.atmosphere import Atmosphere, interpolate
from starloom.atmosphere import domain as structures
from starloom.bands import Band
from starloom.constants import SYMBOLS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import Domain, label
from starloom.physics.abundances import HIGHEST, LOWEST, checked_elements
from starloom.physics.lines import windows_of
from starloom.physics.transfer import flux_quadrature
from starloom.synthesis.band import band_arrays, given
from starloom.synthesis.gas import check_converged, gas_of_each
from starloom.synthesis.photosphere import checked_star, half_widths_seen, line_places, synthesize
from starloom.synthesis.radiation import per_angstrom, radiate_together
from starloom.synthesis.spectra import SyntheticSpectrum, numbers

LABELS = ("teff", "logg", "mh", "vmic")
VMIC_KMS = (0.0, 4.0)  # of stars by their labels, where molecules' cross-sections have it
TOGETHER = 32  # stars at once on a GPU


@cache
def domain(*abundances: str) -> Domain:
    """The labels by which a star is synthesised: those that have a structure, ``vmic``, and ``abundances``.

    An abundance is an element's symbol and means [X/M]; the range is what [X/H] may be. Raises ConfigError
    for a label that no synthesis takes.
    """
    for name in abundances:
        if label(name).name not in SYMBOLS:
            reason = "there are structures for one [alpha/M] only" if name == "alpha" else "not intrinsic"
            raise ConfigError(f"label {name} cannot be synthesised: {reason}")
    ranges = {known.name: (low, high) for known, low, high in structures().only("teff", "logg", "mh").ranges}
    ranges |= {"vmic": VMIC_KMS, **dict.fromkeys(abundances, (LOWEST, HIGHEST))}
    return Domain.of(ranges, structures().floor)


def structure(teff: float, logg: float, mh: float, vmic: float) -> Atmosphere:
    """The structure of one star by its labels, in float64; OutOfRangeError outside ``domain()``."""
    domain().check(domain().array(teff=teff, logg=logg, mh=mh, vmic=vmic))
    with jax.enable_x64(True):
        return interpolate(teff, logg, mh)


def synthesize_labels(
    teff,
    logg,
    mh,
    vmic,
    *,
    band: Band | None = None,
    elements: Mapping[str, float] | None = None,
    together: int | None = None,
    **abundances,
) -> SyntheticSpectrum:
    """Spectra of stars by their labels: numbers or arrays that broadcast; their shape leads the result's.

    Structures are interpolated in the packaged grid; units and errors as of ``domain``. ``elements`` sets
    [X/H] of all stars by symbol, ``abundances`` [X/M] of each: ``Ca=[0.0, 0.3]``.  ``together`` stars are
    computed at once (``synthesize_together``); None is one on the processor, which that makes no faster,
    ``TOGETHER`` on another device.  For more stars than memory holds (175 kB each and chunk) use
    ``synthesize_each``, for several processes the database.
    """
    labels = {"teff": teff, "logg": logg, "mh": mh, "vmic": vmic, **abundances}
    known, elements = domain(*abundances), checked_elements(elements)
    stars = known.array(**labels)
    known.check(stars)
    rows = stars.reshape(-1, stars.shape[-1])
    _check_abundances(rows, known.names, elements)
    if together is None:
        together = 1 if jax.default_backend() == "cpu" else TOGETHER
    if together < 1:
        raise OutOfRangeError(f"together = {together} is below 1 star")
    band = given(band)
    flux, continuum = ([np.empty((len(rows), c.points), np.float32) for c in band.chunks] for _ in range(2))
    for first in range(0, len(rows), together):
        some = slice(first, first + together)
        spectra = synthesize_together(rows[some], band=band, elements=elements, abundances=known.names[4:])
        for number in range(len(band.chunks)):
            flux[number][some] = spectra.chunk_flux[number]
            continuum[number][some] = spectra.chunk_continuum[number]
    flux, continuum = (tuple(c.reshape(*stars.shape[:-1], -1) for c in part) for part in (flux, continuum))
    return _of_stars(stars, known.names, flux, continuum, band, elements)


def synthesize_together(
    stars: Float[np.ndarray, "star label"],
    *,
    band: Band | None = None,
    elements: Mapping[str, float] | None = None,
    abundances: Sequence[str] = (),
) -> SyntheticSpectrum:
    """Spectra of stars at once, for devices that do much in parallel; rows as of ``synthesize_each``.

    Windows are common, but in each star a line ends where it would alone: the spectra are those of
    ``synthesize_each`` to 3e-7.  Each number of stars is compiled anew.
    """
    rows, names = np.asarray(stars, dtype=float), (*LABELS, *abundances)
    band = given(band)
    if len(rows) == 1:
        (one,) = synthesize_each(rows, band=band, elements=elements, abundances=abundances)
        flux, continuum = (tuple(c[None] for c in part) for part in (one.chunk_flux, one.chunk_continuum))
        return _of_stars(rows, names, flux, continuum, band, elements)
    arrays = band_arrays(band)
    with jax.enable_x64(True):
        each = [checked_star(*star) for star in _inputs(rows, elements, abundances)]
        atmosphere, abundance, turbulence = jax.tree.map(lambda *parts: jnp.stack(parts), *each)
        matter = gas_of_each((atmosphere, abundance, turbulence), arrays.lines, arrays.nodes)
        half = []
        for i, (row, star) in enumerate(zip(rows.tolist(), each, strict=True)):
            one = jax.tree.map(lambda part, i=i: np.asarray(part[i]), matter)
            check_converged(one.state, "/".join(f"{value:g}" for value in row))
            half.append(half_widths_seen(star[0], one, arrays))
        angles, weights = flux_quadrature()
        parts = []
        for number, (chunk, places) in enumerate(zip(arrays.chunks, line_places(arrays), strict=True)):
            windows = windows_of(np.max(half, axis=0), *places)._replace(own=np.array(half))
            own = matter.of_chunk(number)
            intensities = radiate_together(atmosphere, turbulence, own, chunk, windows, angles)
            parts.append([per_angstrom(weights, part) for part in intensities])
    flux, continuum = zip(*parts, strict=True)
    return _of_stars(rows, names, flux, continuum, band, elements)


def synthesize_each(
    stars: Float[np.ndarray, "star label"],
    *,
    band: Band | None = None,
    elements: Mapping[str, float] | None = None,
    abundances: Sequence[str] = (),
) -> Iterator[SyntheticSpectrum]:
    """Spectra of stars, one after the other.

    Each row is teff [K], logg, mh [dex] and vmic [km/s], inside ``domain()``, and [X/M] of each of
    ``abundances``.
    """
    rows = np.asarray(stars, dtype=float)
    for atmosphere, mh, vmic, own in _inputs(rows, elements, abundances):
        yield synthesize(atmosphere, band=band, mh=mh, vmic=vmic, elements=own)


def normalised(band: Band, /, **labels) -> np.ndarray:
    """What a store of this band keeps of: normalised flux, float32[star, chunk, point].

    ``labels`` are those of ``domain`` by name, each an array [star]; an element's symbol is [X/M].
    """
    if missing := [name for name in LABELS if name not in labels]:
        raise ConfigError(f"no label {', '.join(missing)}: synthesis needs {', '.join(LABELS)}")
    made = synthesize_labels(band=band, **labels)
    chunks = zip(made.chunk_flux, made.chunk_continuum, strict=True)
    return np.stack([flux / continuum for flux, continuum in chunks], axis=-2)


def _inputs(rows: np.ndarray, elements: Mapping | None, abundances: Sequence[str]) -> Iterator[tuple]:
    """What ``checked_star`` takes of each star: its structure, mh, vmic and [X/H] of single elements."""
    for teff, logg, mh, vmic, *relative in rows.tolist():
        own = {symbol: mh + value for symbol, value in zip(abundances, relative, strict=True)}
        yield structure(teff, logg, mh, vmic), mh, vmic, {**(elements or {}), **own}


def _check_abundances(rows: np.ndarray, names: Sequence[str], elements: Mapping) -> None:
    """Refuse an element that is set twice, and [X/M] of a star whose [X/H] is none."""
    for column, symbol in enumerate(names[len(LABELS) :], start=len(LABELS)):
        if symbol in elements:
            raise ConfigError(f"{symbol} is given twice: as [X/H] in elements, and as the label [X/M]")
        absolute = rows[:, names.index("mh")] + rows[:, column]
        for extreme in (absolute.min(), absolute.max()) if len(rows) else ():
            checked_elements({symbol: float(extreme)})


def _of_stars(stars, names, flux, continuum, band: Band, elements) -> SyntheticSpectrum:
    """Spectra of stars whose labels are ``stars[..., label]``, each with its own; numbers for one star."""
    labels = dict(zip(names, np.moveaxis(stars, -1, 0), strict=True))
    labels = labels if stars.ndim > 1 else numbers(labels)
    return SyntheticSpectrum(flux, continuum, band, labels, elements=numbers(elements or {}))
