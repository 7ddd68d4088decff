"""Spectra of stars by their labels: one after the other, several at once, and as a store wants them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from starloom import nlte as departing
from starloom.atmosphere import Atmosphere, interpolate
from starloom.atmosphere import domain as structures
from starloom.bands import Band
from starloom.broadening import check_filling
from starloom.constants import SYMBOLS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import Domain, label
from starloom.nlte import checked_ions, departures
from starloom.physics.abundances import HIGHEST, LOWEST, RANGES, checked_elements
from starloom.physics.lines import NONE
from starloom.physics.transfer import flux_quadrature
from starloom.synthesis.band import band_arrays, given
from starloom.synthesis.gas import check_converged, gas_of_each
from starloom.synthesis.photosphere import checked_star, chunk_windows, half_widths_seen, synthesize
from starloom.synthesis.radiation import per_angstrom, radiate_together
from starloom.synthesis.spectra import SyntheticSpectrum, numbers

LABELS = ("teff", "logg", "mh", "vmic")
VMIC_KMS = (0.0, 5.0)  # of stars by their labels, where molecules' cross-sections have it
TOGETHER = 32  # stars at once on a GPU


@cache
def domain(*abundances: str) -> Domain:
    """The labels by which a star is synthesised: those that every star has, and ``abundances``.

    An abundance is ``alpha`` (where there are structures), ``carbon_ratio`` or an element's symbol, which
    means [X/M]. Raises ConfigError for a label that no synthesis takes.
    """
    own = {known.name: (low, high) for known, low, high in structures().ranges}
    ranges = {name: own[name] for name in ("teff", "logg", "mh")} | {"vmic": VMIC_KMS}
    for name in abundances:
        if label(name).name in SYMBOLS:
            ranges[name] = (LOWEST, HIGHEST)
        elif name == "carbon_ratio":
            ranges[name] = RANGES[name][:2]
        elif name == "alpha":
            ranges[name] = own[name]
        elif name not in ranges:
            raise ConfigError(f"label {name} cannot be synthesised: not intrinsic")
    return Domain.of(ranges, structures().floor)


def structure(teff: float, logg: float, mh: float, vmic: float, alpha: float = 0.0) -> Atmosphere:
    """The structure of one star by its labels, in float64; OutOfRangeError outside ``domain("alpha")``."""
    known = domain("alpha")
    known.check(known.array(teff=teff, logg=logg, mh=mh, vmic=vmic, alpha=alpha))
    with jax.enable_x64(True):
        return interpolate(teff, logg, mh, alpha)


def synthesize_labels(
    teff,
    logg,
    mh,
    vmic,
    *,
    alpha=None,
    elements: Mapping | None = None,
    band: Band | None = None,
    together: int | None = None,
    nlte: Sequence[str] = (),
    filling=None,
    **abundances,
) -> SyntheticSpectrum:
    """Spectra of stars by their labels: numbers or arrays that broadcast; their shape leads the result's.

    Structures are interpolated in the packaged grid; units and errors as of ``domain``. ``alpha`` is
    [alpha/M], of the structure too; ``elements`` has [X/M] by symbol, as have ``abundances``: ``Ca=[0.0,
    0.3]``, instead of ``alpha`` for that element; ``carbon_ratio`` is 12C/13C. What is given is among the
    result's labels.  ``nlte`` and ``filling`` are as of ``synthesize``; a filling of more axes than the
    labels leads the result's.  ``together`` stars are computed at once
    (``synthesize_together``); None is one on the processor, which that makes no faster, ``TOGETHER`` on
    another device.  For more stars than memory holds (175 kB each and chunk) use ``synthesize_each``, for
    several processes the database.

    ``band`` is the packaged one unless given. OutOfRangeError outside ``domain``.
    """
    labels = {"teff": teff, "logg": logg, "mh": mh, "vmic": vmic, **_composition(alpha, elements, abundances)}
    known = domain(*list(labels)[len(LABELS) :])
    stars = known.array(**labels)
    rows = stars.reshape(-1, stars.shape[-1])
    _check_elements(rows, known)
    known.check(stars)
    if together is None:
        together = 1 if jax.default_backend() == "cpu" else TOGETHER
    if filling is not None:
        check_filling(filling)
    if together < 1:
        raise OutOfRangeError(f"together = {together} is below 1 star")
    band = given(band)
    flux, continuum = ([np.empty((len(rows), c.points), np.float32) for c in band.chunks] for _ in range(2))
    for first in range(0, len(rows), together):
        some = slice(first, first + together)
        spectra = synthesize_together(rows[some], band=band, abundances=known.names[len(LABELS) :], nlte=nlte)
        for number in range(len(band.chunks)):
            flux[number][some] = spectra.chunk_flux[number]
            continuum[number][some] = spectra.chunk_continuum[number]
    flux, continuum = (tuple(c.reshape(*stars.shape[:-1], -1) for c in part) for part in (flux, continuum))
    made = _of_stars(stars, known.names, flux, continuum, band, nlte)
    return made if filling is None else made.filled(filling)


def synthesize_together(
    stars: Float[np.ndarray, "star label"],
    *,
    band: Band | None = None,
    abundances: Sequence[str] = (),
    nlte: Sequence[str] = (),
) -> SyntheticSpectrum:
    """Spectra of stars at once, for devices that do much in parallel; rows as of ``synthesize_each``.

    Windows are common, but in each star a line ends where it would alone: the spectra are those of
    ``synthesize_each`` to 3e-7.  Each number of stars is compiled anew.

    ``abundances``: names of the further columns.
    """
    rows, names = np.asarray(stars, dtype=float), (*LABELS, *abundances)
    band = given(band)
    if len(rows) == 1:
        (one,) = synthesize_each(rows, band=band, abundances=abundances, nlte=nlte)
        flux, continuum = (tuple(c[None] for c in part) for part in (one.chunk_flux, one.chunk_continuum))
        return _of_stars(rows, names, flux, continuum, band, nlte)
    arrays = band_arrays(band)
    with jax.enable_x64(True):
        each = [checked_star(star, **given) for star, given in _inputs(rows, abundances)]
        atmosphere, abundance, turbulence = jax.tree.map(lambda *parts: jnp.stack(parts), *each)
        matter = gas_of_each((atmosphere, abundance, turbulence), arrays.lines, arrays.nodes, arrays.wide)
        for one, row in zip(_each_of(matter), rows.tolist(), strict=True):
            check_converged(one.state, _named(row))
        if checked_ions(nlte):
            matter = _out_of_lte(matter, each, rows, arrays.lines)
        single = _each_of(matter)
        half = [half_widths_seen(star[0], one, arrays) for star, one in zip(each, single, strict=True)]
        angles, weights = flux_quadrature()
        parts = []
        common = chunk_windows(arrays, np.max(half, axis=0))
        for number, (chunk, windows) in enumerate(zip(arrays.chunks, common, strict=True)):
            windows = windows._replace(own=chunk.of_own_lines(np.array(half), NONE))
            own = matter.of_chunk(number)
            intensities = radiate_together(atmosphere, turbulence, own, chunk, windows, angles)
            parts.append([per_angstrom(weights, part) for part in intensities])
    flux, continuum = zip(*parts, strict=True)
    return _of_stars(rows, names, flux, continuum, band, nlte)


def _out_of_lte(matter, each: Sequence[tuple], rows: np.ndarray, lines):
    """The gas of several stars with the departures of each from LTE."""
    known = zip(each, _each_of(matter), rows.tolist(), strict=True)
    found = [
        departures(atmosphere, turbulence, one.state, lines, teff=row[0], source=_named(row))
        for (atmosphere, _, turbulence), one, row in known
    ]
    return matter.out_of_lte(departing.together(found))


def _each_of(matter) -> list:
    """The gas of each of several stars."""
    return [jax.tree.map(lambda part, i=i: part[i], matter) for i in range(len(matter.state.electrons))]


def _named(row: Sequence[float]) -> str:
    """A star in messages: its labels."""
    return "/".join(f"{value:g}" for value in row)


def synthesize_each(
    stars: Float[np.ndarray, "star label"],
    *,
    band: Band | None = None,
    abundances: Sequence[str] = (),
    nlte: Sequence[str] = (),
) -> Iterator[SyntheticSpectrum]:
    """Spectra of stars, one after the other.

    Each row is teff [K], logg, mh [dex] and vmic [km/s], inside ``domain()``, and those of ``abundances``.
    """
    rows = np.asarray(stars, dtype=float)
    for atmosphere, own in _inputs(rows, abundances):
        yield synthesize(atmosphere, band=band, nlte=nlte, **own)


def normalised(band: Band, /, *, nlte: Sequence[str] = (), **labels) -> np.ndarray:
    """What a store of this band keeps of: normalised flux, float32[star, chunk, point].

    ``labels`` are those of ``domain`` by name, each an array [star]. ``nlte`` is as of
    ``synthesize``.

    ConfigError for labels that the synthesis does not know.
    """
    if missing := [name for name in LABELS if name not in labels]:
        raise ConfigError(f"no label {', '.join(missing)}: synthesis needs {', '.join(LABELS)}")
    made = synthesize_labels(band=band, nlte=nlte, **labels)
    chunks = zip(made.chunk_flux, made.chunk_continuum, strict=True)
    return np.stack([flux / continuum for flux, continuum in chunks], axis=-2)


def _composition(alpha, elements: Mapping | None, abundances: Mapping) -> dict:
    """What was given of the composition beside [M/H], by label."""
    if not isinstance(elements, Mapping | None):
        checked_elements(elements)
    elements = elements or {}
    if twice := [symbol for symbol in elements if symbol in abundances]:
        raise ConfigError(f"{twice[0]} is given twice: in elements, and as a label")
    for symbol in elements:
        checked_elements({symbol: 0.0})
    return {**({} if alpha is None else {"alpha": alpha}), **elements, **abundances}


def _inputs(rows: np.ndarray, abundances: Sequence[str]) -> Iterator[tuple[Atmosphere, dict]]:
    """What ``checked_star`` takes of each star: its structure, and mh, vmic and abundances by name."""
    for teff, logg, mh, vmic, *values in rows.tolist():
        said = {"mh": mh, "vmic": vmic, **dict(zip(abundances, values, strict=True))}
        elements = {name: said.pop(name) for name in abundances if name in SYMBOLS}
        yield structure(teff, logg, mh, vmic, said.get("alpha", 0.0)), {**said, "elements": elements}


def _check_elements(rows: np.ndarray, known: Domain) -> None:
    """Refuse [X/M] of a star that is none, and [X/M] whose [X/H] is none."""
    mh = rows[:, known.index("mh")]
    for symbol in (name for name in known.names if name in SYMBOLS and len(rows)):
        x_m = rows[:, known.index(symbol)]
        for row in {int(of(values)) for of in (np.argmin, np.argmax) for values in (x_m, x_m + mh)}:
            checked_elements({symbol: float(x_m[row])}, float(mh[row]))


def _of_stars(stars, names, flux, continuum, band: Band, nlte: Sequence[str]) -> SyntheticSpectrum:
    """Spectra of stars whose labels are ``stars[..., label]``, each with its own; numbers for one star."""
    labels = dict(zip(names, np.moveaxis(stars, -1, 0), strict=True))
    labels = labels if stars.ndim > 1 else numbers(labels)
    return SyntheticSpectrum(flux, continuum, band, labels, nlte=checked_ions(nlte))
