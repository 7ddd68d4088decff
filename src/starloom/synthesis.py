"""From a model atmosphere to an intrinsic spectrum: the recipe, and the faces it shows the user.

The recipe is ``gas`` (what the matter is and absorbs, float64) and ``radiate`` (what leaves the star,
float32).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from starloom.atmosphere import Atmosphere, interpolate
from starloom.constants import ANGSTROM, KMS, SPEED_OF_LIGHT
from starloom.errors import ConfigError, ConvergenceError, OutOfRangeError
from starloom.labels import DOMAIN, as_array
from starloom.physics.abundances import checked_elements, per_hydrogen
from starloom.physics.continuum import continuous_absorption, continuous_scattering
from starloom.physics.equilibrium import State, equation_of_state
from starloom.physics.hydrogen import hydrogen_opacity
from starloom.physics.linelist import LineList, packaged_lines
from starloom.physics.lines import (
    Positions,
    Profile,
    Windows,
    half_widths,
    line_opacity,
    line_positions,
    line_profiles,
    windows_of,
)
from starloom.physics.molecules import MolecularTable, molecular_opacity
from starloom.physics.transfer import (
    emergent_intensities,
    flux_quadrature,
    planck,
    scattered_intensity,
)
from starloom.spectrum import Spectrum
from starloom.tables import load
from starloom.units import plain, within
from starloom.wavelength import SYNTHESIS_GRID_AA, air_from_vacuum

GRID = SYNTHESIS_GRID_AA * ANGSTROM  # vacuum, cm
STEP = SPEED_OF_LIGHT * float(np.log(GRID[-1] / GRID[0])) / (len(GRID) - 1)  # cm s-1
CONTINUUM_NODES = 12  # Chebyshev nodes: the polynomial through them follows the continuum to 1e-5
# what synthesis can do, with the unit; the labels' domain is narrower
RANGES = {"mh": (-5.0, 1.5, "dex"), "vmic": (0.0, 20.0, "km/s")}
DEEPEST_SEEN = 0.7  # log10 of the Rosseland optical depth; e^-5 of the light from below gets out
TOGETHER = 32  # stars at once on a GPU
LABELS = ("teff", "logg", "mh", "vmic")
CONSERVED = 1e-6  # relative; what the equation of state must conserve


class Gas(NamedTuple):
    """What the matter of an atmosphere is and absorbs, before any fine wavelength grid."""

    state: State
    absorption: Float[Array, "layer node"]  # true continuous absorption, cm-1
    scattering: Float[Array, "layer node"]  # cm-1
    continuum_mean: Float[Array, "layer node"]  # mean intensity of the continuum
    profile: Profile


@dataclass(frozen=True, eq=False)
class SyntheticSpectrum:
    """An intrinsic spectrum, or several along the leading axes, on ``SYNTHESIS_GRID_AA`` (vacuum).

    ``flux`` and ``continuum`` leave the star's surface, in erg s-1 cm-2 A-1; of an intensity at one mu, also
    per sr. ``labels`` are those known, by name: a number for one spectrum, for several an array of the
    leading axes' shape; ``elements`` are the [X/H] [dex] that were set, by symbol. An index gives one
    spectrum of several, with its own labels.
    """

    flux: Float[Array, "... wavelength"]
    continuum: Float[Array, "... wavelength"]
    wavelength_aa: Float[np.ndarray, "wavelength"]  # vacuum
    labels: Mapping[str, float | np.ndarray]
    unit: str = "erg s-1 cm-2 Angstrom-1"
    elements: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        if self.flux.ndim == 1:
            raise TypeError("one spectrum has no length")
        return len(self.flux)

    def __iter__(self) -> "Iterator[SyntheticSpectrum]":
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index) -> "SyntheticSpectrum":
        if self.flux.ndim == 1:
            raise TypeError("one spectrum has no index")
        labels = {name: np.asarray(values)[index] for name, values in self.labels.items()}
        labels = {name: values if values.ndim else float(values) for name, values in labels.items()}
        return replace(self, flux=self.flux[index], continuum=self.continuum[index], labels=labels)

    @property
    def normalized(self) -> Float[Array, "... wavelength"]:
        """Flux over continuum."""
        return self.flux / self.continuum

    def spectrum(self, normalized: bool = True) -> Spectrum:
        """One star's spectrum as a ``Spectrum``, wavelengths in air; ``elements`` are in its provenance.

        Raises ConfigError for several stars' spectra: take them one by one.
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
                "physics": "LTE, plane-parallel",
                "elements": dict(self.elements),
            },
        )


def synthesize(
    atmosphere: Atmosphere,
    *,
    mh: float | None = None,
    vmic: float | None = None,
    elements: Mapping[str, float] | None = None,
    lines: LineList | None = None,
    windows: Windows | None = None,
    molecules: MolecularTable | None = None,
    mu: float | None = None,
    synspec: bool = False,
) -> SyntheticSpectrum:
    """Spectrum of one atmosphere: its flux, or its intensity towards ``mu``.

    ``mh`` [dex] and ``vmic`` [km/s] default to the atmosphere's own; ``elements`` sets [X/H] of single
    elements by symbol; ``lines`` and ``molecules`` replace the packaged line list and cross-sections.
    Differentiable by ``jax.jacfwd`` in the atmosphere's arrays, ``mh``, ``vmic`` and ``elements``: inside a
    transformation give ``windows`` (from ``line_windows`` on numbers).  ``synspec`` takes SYNSPEC's Gaunt
    factor of dissolved levels and its interpolation of Stark profiles, for comparisons.

    Raises OutOfRangeError for an impossible atmosphere, element (``checked_elements``), and outside RANGES,
    ConvergenceError where the equation of state does not converge.
    """
    mu = mu if mu is None else _checked_mu(mu)
    star = _star(atmosphere, mh, vmic, elements)
    lines = packaged_lines() if lines is None else lines
    with jax.enable_x64(True):
        matter = gas(*star, lines, synspec)
        if windows is None:
            _check_converged(matter.state, atmosphere.source)
            windows = windows_of(_half_widths(star[0], matter, lines))
        positions = line_positions(lines.wavelength, GRID)
        angles, weights = flux_quadrature() if mu is None else (np.array([mu]), np.ones(1))
        line, continuum = radiate(
            star[0], star[2], matter, positions, windows, molecules or molecular_table(), angles, synspec
        )
        unit = SyntheticSpectrum.unit + ("" if mu is None else " sr-1")
        flux, continuum = (_per_angstrom(weights, part) for part in (line, continuum))
    labels, elements = _labels(atmosphere, mh, vmic), _numbers(elements or {})
    return SyntheticSpectrum(flux, continuum, SYNTHESIS_GRID_AA, labels, unit, elements)


@partial(jax.jit, static_argnames="synspec")
def gas(atmosphere: Atmosphere, abundance, microturbulence, lines: LineList, synspec: bool = False) -> Gas:
    """State of the gas, its continuum and its lines, from the structure and nuclei per hydrogen nucleus."""
    temperature = atmosphere.temperature
    state = equation_of_state(temperature, atmosphere.gas_pressure, abundance)
    nodes, _ = _continuum_interpolation()
    absorption = continuous_absorption(nodes, temperature, state, tapered=synspec)
    scattering = continuous_scattering(nodes, state)
    path, log_mass = atmosphere.column_mass / state.mass_density, jnp.log(atmosphere.column_mass)
    mean = scattered_intensity(absorption, scattering, planck(nodes, temperature), path, log_mass)
    return Gas(state, absorption, scattering, mean, line_profiles(lines, temperature, state, microturbulence))


@partial(jax.jit, static_argnames="synspec")
def radiate(
    atmosphere: Atmosphere,
    microturbulence: Float[Array, ""],
    gas: Gas,
    positions: Positions,
    windows: Windows,
    molecules: MolecularTable,
    mu: Float[Array, "angle"],
    synspec: bool = False,
):
    """Intensities [angle, wavelength] with lines, and of the continuum alone, in erg s-1 cm-2 cm-1 sr-1;
    float32."""
    nodes, to_grid = _continuum_interpolation()
    single = partial(jnp.asarray, dtype=jnp.float32)
    to_grid, temperature = single(to_grid), atmosphere.temperature
    path, log_mass = (
        single(atmosphere.column_mass / gas.state.mass_density),
        single(jnp.log(atmosphere.column_mass)),
    )
    planck_nodes = planck(nodes, temperature)

    continuum = gas.absorption + gas.scattering
    molecular = jnp.stack([gas.state.molecule(name) for name in molecules.names])
    total = (
        single(continuum) @ to_grid
        + line_opacity(gas.profile, positions, windows, len(GRID), STEP)
        + hydrogen_opacity(GRID, temperature, gas.state, microturbulence, refine=not synspec)
        + molecular_opacity(molecular, temperature, microturbulence / KMS, molecules)
    )
    # coherent scattering of the continuum's light: S = B + (sigma / chi) (J - B)
    scattered = single(gas.scattering * (gas.continuum_mean - planck_nodes))
    source = single(planck_nodes) @ to_grid + (scattered @ to_grid) / total
    source_nodes = single(planck_nodes) + scattered / single(continuum)
    with_lines = emergent_intensities(total, source, path, log_mass, mu)
    return with_lines, emergent_intensities(single(continuum), source_nodes, path, log_mass, mu) @ to_grid


@cache
def molecular_table() -> MolecularTable:
    """The packaged cross-sections of molecules, unpacked once."""
    with jax.enable_x64(True):
        return MolecularTable.from_arrays(load("molecular_opacity"))


@cache
def _continuum_interpolation() -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev nodes [cm] and the weights [node, wavelength] of the polynomial through them."""
    x = np.cos(np.pi * (np.arange(CONTINUUM_NODES) + 0.5) / CONTINUUM_NODES)
    nodes = GRID[0] + (GRID[-1] - GRID[0]) * (x + 1) / 2
    position = 2 * (GRID - GRID[0]) / (GRID[-1] - GRID[0]) - 1
    to_nodes = np.polynomial.chebyshev.chebvander(x, CONTINUUM_NODES - 1)
    to_grid = np.polynomial.chebyshev.chebvander(position, CONTINUUM_NODES - 1)
    return nodes, np.linalg.solve(to_nodes.T, to_grid.T)


def synthesize_labels(
    teff, logg, mh, vmic, *, elements: Mapping[str, float] | None = None, together: int | None = None
) -> SyntheticSpectrum:
    """Spectra of stars by their labels: numbers or arrays that broadcast; their shape leads the result's.

    Structures are interpolated in the packaged grid; units and errors as of ``labels``.  ``together`` stars
    are computed at once (``synthesize_together``); None is one on the processor, which that makes no faster,
    ``TOGETHER`` on another device.  For more stars than memory holds (175 kB each) use ``synthesize_each``,
    for several processes the database.
    """
    stars = as_array(teff=teff, logg=logg, vsini=0.0, mh=mh, vmic=vmic, resolution=10000.0)
    DOMAIN.check(stars)
    rows = stars.reshape(-1, stars.shape[-1])[:, [0, 1, 3, 4]]
    elements = checked_elements(elements)
    if together is None:
        together = 1 if jax.default_backend() == "cpu" else TOGETHER
    if together < 1:
        raise OutOfRangeError(f"together = {together} is below 1 star")
    flux, continuum = (np.empty((len(rows), len(GRID)), np.float32) for _ in range(2))
    for first in range(0, len(rows), together):
        some = slice(first, first + together)
        spectra = synthesize_together(rows[some], elements=elements)
        flux[some], continuum[some] = spectra.flux, spectra.continuum
    shape = stars.shape[:-1]
    rows, flux, continuum = (part.reshape(*shape, part.shape[-1]) for part in (rows, flux, continuum))
    spectra = _of_stars(rows, flux, continuum, elements)
    return spectra if shape else replace(spectra, labels=_numbers(spectra.labels))


def synthesize_together(
    stars: Float[np.ndarray, "star label"], *, elements: Mapping[str, float] | None = None
) -> SyntheticSpectrum:
    """Spectra of stars at once, for devices that do much in parallel; rows as of ``synthesize_each``.

    Windows are common, but in each star a line ends where it would alone: the spectra are those of
    ``synthesize_each`` to 3e-7.  Each number of stars is compiled anew.
    """
    rows = np.asarray(stars, dtype=float)
    if len(rows) == 1:
        one = next(synthesize_each(rows, elements=elements))
        return _of_stars(rows, one.flux[None], one.continuum[None], elements)
    lines = packaged_lines()
    with jax.enable_x64(True):
        each = [_star(interpolate(*row[:3]), row[2], row[3], elements) for row in rows.tolist()]
        stars = jax.tree.map(lambda *parts: jnp.stack(parts), *each)
        matter = _gas_of_each(stars, lines)
        half = []
        for i, (labels, star) in enumerate(zip(rows.tolist(), each, strict=True)):
            one = jax.tree.map(lambda part, i=i: np.asarray(part[i]), matter)
            _check_converged(one.state, "/".join(f"{label:g}" for label in labels))
            half.append(_half_widths(star[0], one, lines))
        windows = windows_of(np.max(half, axis=0))._replace(half=np.array(half))
        positions = line_positions(lines.wavelength, GRID)
        angles, weights = flux_quadrature()
        intensities = _radiate_together(
            stars[0], stars[2], matter, positions, windows, molecular_table(), angles
        )
        flux, continuum = (_per_angstrom(weights, part) for part in intensities)
    return _of_stars(rows, flux, continuum, elements)


def _of_stars(rows: np.ndarray, flux, continuum, elements) -> SyntheticSpectrum:
    """Spectra of stars whose labels are ``rows``, each with its own."""
    labels = dict(zip(LABELS, np.moveaxis(rows, -1, 0), strict=True))
    return SyntheticSpectrum(flux, continuum, SYNTHESIS_GRID_AA, labels, elements=_numbers(elements or {}))


@jax.jit
def _gas_of_each(stars, lines: LineList) -> Gas:
    """The gas of several stars, one after the other: vectorised, its equation of state takes minutes to
    compile."""
    return jax.lax.map(lambda star: gas(*star, lines), stars)


# of all the windows only the lines' own half widths differ from star to star
_BY_STAR = Windows(*[None] * len(Windows._fields))._replace(half=0)
_radiate_together = jax.jit(jax.vmap(radiate, in_axes=(0, 0, 0, None, _BY_STAR, None, None)))


def _per_angstrom(weights, intensities: Float[Array, "... angle wavelength"]):
    """Weighted sum over angles, per cm of wavelength made per Angstrom; float32."""
    return jnp.asarray(weights * ANGSTROM, jnp.float32) @ intensities


def synthesize_each(
    stars: Float[np.ndarray, "star label"], *, elements: Mapping[str, float] | None = None
) -> Iterator[SyntheticSpectrum]:
    """Spectra of stars one after the other; each row is teff [K], logg, mh [dex] and vmic [km/s], inside the
    domain."""
    for teff, logg, mh, vmic in np.asarray(stars, dtype=float).tolist():
        with jax.enable_x64(True):
            atmosphere = interpolate(teff, logg, mh)
        yield synthesize(atmosphere, mh=mh, vmic=vmic, elements=elements)


def line_windows(atmosphere: Atmosphere, *, mh=None, vmic=None, elements=None, lines=None) -> Windows:
    """Which lines matter in an atmosphere, and how far: for ``synthesize`` inside a JAX transformation."""
    lines = packaged_lines() if lines is None else lines
    return windows_of(_half_widths(atmosphere, _matter(atmosphere, mh, vmic, elements, lines), lines))


def line_strengths(atmosphere: Atmosphere, *, mh=None, vmic=None, elements=None, lines=None) -> np.ndarray:
    """Absorption of each line at its centre over the continuum's, where the continuum is formed (optical
    depth 2/3)."""
    lines = packaged_lines() if lines is None else lines
    matter = _matter(atmosphere, mh, vmic, elements, lines)
    layer = int(np.argmin(np.abs(np.asarray(atmosphere.log_tau) - np.log10(2 / 3))))
    return np.asarray(matter.profile.peak)[layer] / _continuum_at(matter, lines)[layer]


def _matter(atmosphere: Atmosphere, mh, vmic, elements, lines: LineList) -> Gas:
    """The gas of an atmosphere whose arrays are numbers, its equation of state checked."""
    with jax.enable_x64(True):
        # False as `synthesize` gives it: left out, it would compile anew
        matter = gas(*_star(atmosphere, mh, vmic, elements), lines, False)
        _check_converged(matter.state, atmosphere.source)
        return jax.tree.map(np.asarray, matter)


def _half_widths(atmosphere: Atmosphere, matter: Gas, lines: LineList) -> Int[np.ndarray, "line"]:
    """Half widths [pixels] of windows that suffice for the layers light can leave from."""
    seen = np.asarray(atmosphere.log_tau) < DEEPEST_SEEN
    profile = jax.tree.map(lambda part: np.asarray(part)[seen], matter.profile)
    return half_widths(profile, _continuum_at(matter, lines)[seen], STEP)


def _continuum_at(matter: Gas, lines: LineList) -> Float[np.ndarray, "layer line"]:
    """Continuous opacity [cm-1] at the lines."""
    pixel = np.clip(line_positions(lines.wavelength, GRID).pixel, 0, len(GRID) - 1)
    return np.asarray(matter.absorption + matter.scattering) @ _continuum_interpolation()[1][:, pixel]


def _star(atmosphere: Atmosphere, mh, vmic, elements):
    """Atmosphere, nuclei per hydrogen nucleus and microturbulence [cm s-1], in float64 and checked."""
    mh = atmosphere.mh if mh is None else mh
    vmic = atmosphere.vmic if vmic is None else vmic
    for name, value in (("mh", mh), ("vmic", vmic)):
        if value is None:
            raise OutOfRangeError(
                f"{name} is not given, and the atmosphere ({atmosphere.source}) does not say it"
            )
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((atmosphere, mh, vmic)))
    if not traced:
        atmosphere.check()
        mh, vmic = (within(name, value, *RANGES[name]) for name, value in (("mh", mh), ("vmic", vmic)))
    with jax.enable_x64(True):
        abundance = per_hydrogen(jnp.asarray(mh, jnp.float64), elements)
        needed = ("log_tau", "column_mass", "temperature", "gas_pressure")
        columns = {name: jnp.asarray(getattr(atmosphere, name), jnp.float64) for name in needed}
        return Atmosphere(**columns), abundance, jnp.asarray(vmic, jnp.float64) * KMS


def _check_converged(state: State, source: str) -> None:
    worst = float(np.max(np.asarray(state.residual)))
    if not worst < CONSERVED:
        layer = int(np.argmax(np.asarray(state.residual)))
        raise ConvergenceError(
            f"{source or 'atmosphere'}: the equation of state violates conservation by {worst:.1e} in layer "
            f"{layer}, allowed {CONSERVED:g}"
        )


def _checked_mu(mu) -> float:
    number = plain("mu", mu, "")
    if number.ndim:
        raise ConfigError(f"mu has the shape {number.shape}, expected one number")
    if not 0 < number <= 1:
        raise OutOfRangeError(f"mu = {number:g} is outside (0, 1]")
    return float(number)


def _labels(atmosphere: Atmosphere, mh, vmic) -> dict[str, float]:
    """The labels that are known as numbers."""
    known = {
        "teff": atmosphere.teff,
        "logg": atmosphere.logg,
        "mh": atmosphere.mh if mh is None else mh,
        "vmic": atmosphere.vmic if vmic is None else vmic,
    }
    return _numbers(known)


def _numbers(values: Mapping) -> dict[str, float]:
    """Those that are numbers, neither unknown nor traced by JAX."""
    return {k: float(v) for k, v in values.items() if v is not None and not isinstance(v, jax.core.Tracer)}
