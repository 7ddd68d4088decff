"""A star whose gas is solved: its spectrum over a band, its windows and its lines' strengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from starloom.arrays import one_line
from starloom.atmosphere import Atmosphere, on_layers
from starloom.bands import Band
from starloom.broadening import check_filling
from starloom.constants import KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.nlte import checked_ions, departures
from starloom.physics.abundances import CARBON_RATIO, Mixture
from starloom.physics.linelist import LineList
from starloom.physics.lines import NONE, Windows, half_widths, windows_of
from starloom.physics.molecules import MolecularTable
from starloom.physics.transfer import flux_quadrature
from starloom.synthesis.band import BandArrays, band_arrays, given
from starloom.synthesis.gas import Gas, check_converged, gas
from starloom.synthesis.radiation import per_angstrom, radiate
from starloom.synthesis.spectra import SyntheticSpectrum, numbers
from starloom.units import plain, within

# what synthesis can do, with the unit; the labels' domain is narrower
VMIC_KMS = (0.0, 20.0)
DEEPEST_SEEN = 0.7  # log10 of the Rosseland optical depth; e^-5 of the light from below gets out


@dataclass(frozen=True, eq=False)
class Photosphere:
    """The solved gas of one star, over all chunks of a band; made by ``photosphere``.

    ``labels`` are those known, by name; ``synspec`` and ``nlte`` as of ``synthesize``.
    """

    atmosphere: Atmosphere
    microturbulence: Float[Array, ""]  #: cm s-1
    gas: Gas
    arrays: BandArrays
    labels: Mapping[str, float]
    synspec: bool = False
    nlte: tuple[str, ...] = ()

    __repr__ = one_line

    @cached_property
    def windows(self) -> tuple[Windows, ...]:
        """Which lines matter in each chunk, and how far; of numbers, not of what JAX traces."""
        half = half_widths_seen(self.atmosphere, self.gas, self.arrays)
        return tuple(chunk_windows(self.arrays, half))

    @property
    def line_strengths(self) -> Float[np.ndarray, "line"]:
        """Absorption of each line at its centre over the continuum's, at an optical depth of 2/3 in it."""
        ratio = np.asarray(self.gas.profile.peak) / _continuum_at_lines(self.gas, self.arrays)
        log_tau, formed = np.asarray(self.atmosphere.log_tau), np.log10(2 / 3)
        below = int(np.clip(np.searchsorted(log_tau, formed), 1, len(log_tau) - 1))
        share = np.clip((formed - log_tau[below - 1]) / (log_tau[below] - log_tau[below - 1]), 0, 1)
        return (1 - share) * ratio[below - 1] + share * ratio[below]

    def spectrum(
        self, *, mu: float | None = None, windows: tuple[Windows, ...] | None = None
    ) -> SyntheticSpectrum:
        """The flux, or the intensity towards ``mu``; ``windows`` are this star's own unless given."""
        mu = mu if mu is None else _checked_mu(mu)
        angles, weights = flux_quadrature() if mu is None else (np.array([mu]), np.ones(1))
        windows = self.windows if windows is None else windows
        parts = []
        with jax.enable_x64(True):
            for number, (chunk, chosen) in enumerate(zip(self.arrays.chunks, windows, strict=True)):
                own = self.gas.of_chunk(number)
                intensities = radiate(
                    self.atmosphere, self.microturbulence, own, chunk, chosen, angles, self.synspec
                )
                parts.append([per_angstrom(weights, part) for part in intensities])
        flux, continuum = zip(*parts, strict=True)
        unit = SyntheticSpectrum.unit + ("" if mu is None else " sr-1")
        return SyntheticSpectrum(flux, continuum, self.arrays.band, self.labels, unit, nlte=self.nlte)


def photosphere(
    atmosphere: Atmosphere,
    *,
    band: Band | None = None,
    mh: float | None = None,
    alpha: float | None = None,
    vmic: float | None = None,
    elements: Mapping[str, float] | None = None,
    carbon_ratio: float | None = None,
    lines: LineList | str | None = None,
    molecules: MolecularTable | None = None,
    synspec: bool = False,
    nlte: Sequence[str] = (),
) -> Photosphere:
    """The gas of an atmosphere, solved once for its spectra and the strengths of its lines.

    Arguments and errors are those of ``synthesize``.

    ``molecules`` and ``synspec`` too.
    """
    said = {"mh": mh, "alpha": alpha, "vmic": vmic, "elements": elements, "carbon_ratio": carbon_ratio}
    star, ions = checked_star(atmosphere, **said), checked_ions(nlte)
    choice, own = (lines, None) if isinstance(lines, str) else (None, lines)
    arrays = band_arrays(given(band, choice))
    arrays = arrays if own is None else arrays.with_lines(own)
    arrays = arrays if molecules is None else arrays.with_molecules(molecules)
    with jax.enable_x64(True):
        matter = gas(*star, arrays.lines, arrays.nodes, synspec, arrays.wide)
        check_converged(matter.state, atmosphere.source)
        if ions:
            known = {"teff": atmosphere.teff, "source": atmosphere.source}
            matter = matter.out_of_lte(departures(star[0], star[2], matter.state, arrays.lines, **known))
    return Photosphere(star[0], star[2], matter, arrays, _labels(atmosphere, **said), synspec, ions)


def synthesize(
    atmosphere: Atmosphere,
    *,
    band: Band | None = None,
    mh: float | None = None,
    alpha: float | None = None,
    vmic: float | None = None,
    elements: Mapping[str, float] | None = None,
    carbon_ratio: float | None = None,
    lines: LineList | str | None = None,
    windows: tuple[Windows, ...] | None = None,
    molecules: MolecularTable | None = None,
    mu: float | None = None,
    synspec: bool = False,
    nlte: Sequence[str] = (),
    filling: float | None = None,
) -> SyntheticSpectrum:
    """Spectrum of one atmosphere over a band: its flux, or its intensity towards ``mu``.

    ``band`` is that of the Gaia RVS unless given (``bands.load``). ``mh``, ``alpha`` [dex] and ``vmic``
    [km/s] default to the atmosphere's own; ``elements`` sets [X/M] [dex] of single elements by symbol,
    instead of ``alpha`` for that element; ``carbon_ratio`` is 12C/13C, by default the Sun's. The structure
    stays what it is. ``lines`` and ``molecules`` replace the band's line list and cross-sections; ``lines``
    may be "listed" or "calibrated", the band's choice (``bands.LINES``). Differentiable by ``jax.jacfwd`` in
    the atmosphere's arrays and the numbers: inside a transformation give ``windows`` (from ``line_windows``
    on numbers).  ``synspec`` takes SYNSPEC's Gaunt factor of dissolved levels and its interpolation of Stark
    profiles, for comparisons.  ``nlte`` are the ions out of LTE, of which there is ``"Ca II"``; from 7000 to
    8000 K it goes over into LTE (``nlte.trust``).  ``filling`` is the emission of a chromosphere in the cores
    of the Ca II triplet, over the continuum (``SyntheticSpectrum.filled``).

    Raises OutOfRangeError for an impossible or too shallow atmosphere, element (``checked_elements``), and
    outside VMIC_KMS, ``abundances.RANGES`` and ``filling.RANGE``, ConvergenceError where the equation of
    state or ``nlte`` does not converge, ConfigError where the band's tables do not serve.
    """
    mu = mu if mu is None else _checked_mu(mu)
    if filling is not None:
        check_filling(filling)
    star = photosphere(
        atmosphere,
        band=band,
        mh=mh,
        alpha=alpha,
        vmic=vmic,
        elements=elements,
        carbon_ratio=carbon_ratio,
        lines=lines,
        molecules=molecules,
        synspec=synspec,
        nlte=nlte,
    )
    made = star.spectrum(mu=mu, windows=windows)
    return made if filling is None else made.filled(filling, atmosphere.teff)


def line_windows(atmosphere: Atmosphere, **options) -> tuple[Windows, ...]:
    """Which lines matter in an atmosphere, and how far, chunk by chunk.

    For ``synthesize`` inside a JAX transformation; ``options`` as of ``photosphere``.
    """
    return photosphere(atmosphere, **options).windows


def line_strengths(atmosphere: Atmosphere, **options) -> Float[np.ndarray, "line"]:
    """``Photosphere.line_strengths`` of an atmosphere; ``options`` as of ``photosphere``."""
    return photosphere(atmosphere, **options).line_strengths


def half_widths_seen(atmosphere: Atmosphere, matter: Gas, arrays: BandArrays) -> Int[np.ndarray, "line"]:
    """Half widths [pixels] of windows that suffice for the layers light can leave from."""
    seen = np.asarray(atmosphere.log_tau) < DEEPEST_SEEN
    profile = jax.tree.map(lambda part: np.asarray(part)[seen], matter.profile)
    step = arrays.band.chunks[0].step_kms * KMS
    half = np.empty(profile.peak.shape[1], np.int32)
    for continuum, (lines, weights) in zip(matter.continua, arrays.to_lines, strict=True):
        shown = jax.tree.map(lambda part, lines=lines: part[:, lines], profile)
        opacity = np.asarray(continuum.absorption + continuum.scattering) @ weights
        half[lines] = half_widths(shown, opacity[seen], step)
    return half


def chunk_windows(arrays: BandArrays, half: Int[np.ndarray, "line"]) -> list[Windows]:
    """The windows of each chunk's lines, by the half widths of all lines."""
    each = zip(arrays.chunks, arrays.band.chunks, strict=True)
    return [
        windows_of(chunk.of_own_lines(half, NONE), chunk.of_own_lines(chunk.positions), grid.points)
        for chunk, grid in each
    ]


def _continuum_at_lines(matter: Gas, arrays: BandArrays) -> Float[np.ndarray, "layer line"]:
    """Continuous opacity [cm-1] at the lines."""
    nodes = [np.asarray(continuum.absorption + continuum.scattering) for continuum in matter.continua]
    return arrays.at_lines(nodes)


def checked_star(atmosphere: Atmosphere, *, vmic=None, elements=None, **numbers_given):
    """Atmosphere on the layers of the transfer, what it is made of, and microturbulence [cm s-1].

    Checked, and in float64; arguments as of ``photosphere``.
    """
    mixture = _mixture(atmosphere, elements, **numbers_given)
    vmic = _given("vmic", vmic, atmosphere)
    if not _traced(atmosphere):
        _check_depth(atmosphere.check())
    if not _traced(vmic):
        vmic = np.float64(within("vmic", vmic, *VMIC_KMS, "km/s"))
    with jax.enable_x64(True):
        turbulence = vmic * np.float64(KMS)
        return on_layers(atmosphere), mixture.checked().abundance, turbulence


def _check_depth(atmosphere: Atmosphere) -> None:
    """Raise OutOfRangeError where light comes from below the last layer: of there no structure is known."""
    if (last := float(np.asarray(atmosphere.log_tau)[-1])) < DEEPEST_SEEN:
        asked = f"is above {DEEPEST_SEEN:g} (Rosseland), from where light still leaves: give deeper layers"
        raise OutOfRangeError(
            f"{atmosphere.source or 'atmosphere'}: log_tau = {last:.2f} in the last layer {asked}"
        )


def _mixture(atmosphere: Atmosphere, elements, mh=None, alpha=None, carbon_ratio=None) -> Mixture:
    """What the star is made of: what is given, else what its atmosphere says, else as in the Sun."""
    if alpha is None:
        alpha = 0.0 if atmosphere.alpha is None else atmosphere.alpha
    ratio = CARBON_RATIO if carbon_ratio is None else carbon_ratio
    return Mixture(_given("mh", mh, atmosphere), alpha, elements, ratio)


def _given(name: str, value, atmosphere: Atmosphere):
    value = getattr(atmosphere, name) if value is None else value
    if value is None:
        told = f"the atmosphere ({atmosphere.source}) does not say it"
        raise OutOfRangeError(f"{name} is not given, and {told}")
    return value


def _traced(tree) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def _checked_mu(mu) -> float:
    number = plain("mu", mu, "")
    if number.ndim:
        raise ConfigError(f"mu has the shape {number.shape}, expected one number")
    if not 0 < number <= 1:
        raise OutOfRangeError(f"mu = {number:g} is outside (0, 1]")
    return float(number)


def _labels(atmosphere: Atmosphere, *, elements, **said) -> dict[str, float]:
    """The labels that are known as numbers: those of every star, and what else is given or not as usual."""
    own = {name: getattr(atmosphere, name) for name in ("teff", "logg", "mh", "vmic")}
    further = {} if _traced(atmosphere.alpha) or not atmosphere.alpha else {"alpha": atmosphere.alpha}
    given = {name: value for name, value in said.items() if value is not None}
    return numbers({**own, **further, **given, **(elements or {})})
