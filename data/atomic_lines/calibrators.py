"""Observed spectra on which lines are calibrated: the Sun's disk centre, and stars with priors of labels.

A calibrator turns line data into what was observed. Its own unknowns (broadening, continuum, telluric lines,
labels) are a vector ``start`` with Gaussian priors ``sigma``.
"""

import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import jax
import numpy as np
from scipy.io import readsav

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import read_member
from tellurics.build import vapour

from starloom import io, tables
from starloom.bands import Band
from starloom.broadening import broaden
from starloom.constants import ANGSTROM, SPEED_OF_LIGHT_KMS
from starloom.physics.linelist import LineList
from starloom.physics.lines import line_positions, line_profiles
from starloom.synthesis import Photosphere, photosphere, structure
from starloom.wavelength import LogGrid, air_from_vacuum, vacuum_from_air

ATLAS = ("ISPy-solar", "0.2.3", "ISPy/data/fts_disk_center_SI.idlsave")
ATLAS_SHA256 = "700918b7a3e33597efdfa8429afeb2052627244c1a17d010a97bda559b79525d"
ATLAS_NEEDS = ("numpy<2", "setuptools<66", "wheel")
SUN = {"teff": 5777.0, "logg": 4.44, "mh": 0.0, "vmic": 1.0}
GRAVITATIONAL_REDSHIFT = 0.636  # km/s, left in the atlas
RESOLUTION = 70_000.0  # at which the Sun is compared: photospheric lines are no narrower
# of a point of 0.676 km/s, of which six are in a resolution element: 0.004 of that, what is left in the end
SUN_ERROR = 0.01
KNOT_AA, KNOT_SIGMA = 10.0, 0.004  # of the atlas' continuum
UNTOUCHED = 100.0  # strength from which a line forms above LTE's reach: it stays as listed
MASKED_AA, DOUBTED_AA = 3.0, 6.0  # from such a line: left out, and half trusted
CROWDED_AA = (0.3, 1.0)  # the same of a band where these are many, and the worst are masked
HIDDEN_AA = 0.4  # from a line left out
GAIA_CORRELATION = 1.9  # by which errors from independent pixels of Gaia are too small
LABELS = ("teff", "logg", "mh", "vmic")
STEPS = {"teff": 20.0, "logg": 0.03, "mh": 0.02, "vmic": 0.05}
_profiles = jax.jit(line_profiles)


@dataclass(frozen=True, eq=False)
class Solved:
    """A star whose gas is solved, to be seen with other strengths, widths and places of the same lines."""

    star: Photosphere
    mu: float | None = None

    def normalized(self, lines: LineList) -> np.ndarray:
        """Flux (or intensity) over continuum on the band's one grid."""
        star, (grid,), (chunk,) = self.star, self.star.arrays.band.chunks, self.star.arrays.chunks
        with jax.enable_x64(True):
            profile = _profiles(lines, star.atmosphere.temperature, star.gas.state, star.microturbulence)
        chunk = chunk._replace(positions=line_positions(np.asarray(lines.wavelength), grid))
        arrays = replace(star.arrays, chunks=(chunk,), lines=lines)
        other = replace(star, gas=star.gas._replace(profile=profile), arrays=arrays)
        made = other.spectrum(mu=self.mu, windows=star.windows)
        return np.asarray(made.normalized, float)

    @property
    def strengths(self) -> np.ndarray:
        """Of the lines that the gas was solved with."""
        return self.star.line_strengths


@dataclass(frozen=True, eq=False)
class Calibrator:
    """What the Sun and other stars have in common.

    ``untouched_aa`` are the vacuum wavelengths [A] of lines too strong to be looked at, ``hidden_aa`` of
    those left out for a test; ``masked_aa`` are ranges that nothing is learned from. Within ``spared_aa`` of
    the first nothing is looked at, and half of it is believed.
    """

    band: Band  # of one chunk
    untouched_aa: np.ndarray
    name: str = ""
    hidden_aa: np.ndarray = field(default_factory=lambda: np.zeros(0))
    masked_aa: tuple[tuple[float, float], ...] = ()
    spared_aa: tuple[float, float] = (MASKED_AA, DOUBTED_AA)
    hiding_aa: float = HIDDEN_AA  # from a hidden line, nothing is looked at

    @property
    def grid(self) -> LogGrid:
        """The one grid of the band."""
        return self.band.chunks[0]

    def trust(self, wavelength_aa: np.ndarray) -> np.ndarray:
        """1 far from untouched lines, 0.5 near them, 0 at them and outside the band's edges."""
        low, high = self.band.edges_aa
        near, hidden = (
            np.abs(wavelength_aa[:, None] - places).min(axis=1, initial=np.inf)
            for places in (self.untouched_aa, self.hidden_aa)
        )
        unseen = (wavelength_aa < low + 1.0) | (wavelength_aa > high - 1.0) | (hidden < self.hiding_aa)
        unseen |= within(wavelength_aa, self.masked_aa)
        masked, doubted = self.spared_aa
        return np.select([unseen | (near < masked), near < doubted], [0.0, 0.5], 1.0)


@lru_cache
def atlas() -> tuple[np.ndarray, np.ndarray]:
    """Air wavelengths [A] and intensity over continuum of the Hamburg FTS atlas (Neckel 1999), 3290-12510 A.

    Its package needs Python 3.11 at most, for ``numpy.distutils``.
    """
    with tempfile.NamedTemporaryFile(suffix=".idlsave") as file:
        file.write(read_member(*ATLAS, ATLAS_SHA256, ATLAS_NEEDS))
        file.flush()
        found = readsav(file.name)
    return found["ftswav"].astype(float), (found["ftsint_si"] / found["ftscnt_si"]).astype(float)


@dataclass(frozen=True, eq=False)
class Sun(Calibrator):
    """The Sun's disk centre: intensity towards mu = 1 against the atlas."""

    name: str = "Sun"
    blur_aa: float = 0.0

    @cached_property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the unknowns: km/s, km/s, cm, km/s, A, and the continuum at knots."""
        knots = (f"continuum_{knot:.0f}" for knot in self._knots)
        return ("velocity", "macroturbulence", "vapour", "vapour_velocity", "vapour_width", *knots)

    @cached_property
    def start(self) -> np.ndarray:
        """First values, and the centres of the priors."""
        return np.array([0.0, 1.8, 0.7, -0.3, 0.05] + [0.0] * len(self._knots))

    @cached_property
    def sigma(self) -> np.ndarray:
        """Widths of the priors."""
        return np.array([1.0, 1.0, 1.0, 0.5, 0.03] + [KNOT_SIGMA] * len(self._knots))

    @cached_property
    def steps(self) -> np.ndarray:
        """For differences."""
        return np.array([0.05, 0.1, 0.05, 0.1, 0.005] + [0.01] * len(self._knots))

    @property
    def wavelength_aa(self) -> np.ndarray:
        """Vacuum wavelengths [A] of the points compared."""
        return self.grid.wavelength_aa

    @cached_property
    def weight(self) -> np.ndarray:
        """Inverse variance of the points."""
        return (self.trust(self.wavelength_aa) / SUN_ERROR) ** 2

    def solved(self, unknowns: np.ndarray, lines: LineList) -> Solved:
        """The Sun's gas, whatever the unknowns."""
        return Solved(_photosphere(self.band, lines, SUN), mu=1.0)

    def residual(self, unknowns: np.ndarray, normalized: np.ndarray) -> np.ndarray:
        """Observed less synthesised."""
        return self.observed(unknowns) - self.seen(unknowns, normalized)

    def seen(self, unknowns: np.ndarray, change: np.ndarray) -> np.ndarray:
        """A synthesised spectrum, or a change of it, as the atlas shows it at R = 70000."""
        velocity, macroturbulence = unknowns[:2]
        width = 1 / RESOLUTION**2 + 4 * np.log(2) * macroturbulence**2 / SPEED_OF_LIGHT_KMS**2
        shown = broaden(
            change,
            self.grid.step_kms,
            resolution=width**-0.5,
            radial_velocity=float(velocity),
            reach_kms=60.0,
        )
        return shown * (1 + unknowns[5:] @ self.series)

    def observed(self, unknowns: np.ndarray) -> np.ndarray:
        """The atlas without water vapour, at rest and at R = 70000."""
        flux = self._atlas / self.vapour(unknowns)
        return broaden(flux, self.grid.step_kms / 2, resolution=RESOLUTION, reach_kms=60.0)[::2]

    def vapour(self, unknowns: np.ndarray) -> np.ndarray:
        """What water vapour in the Earth's atmosphere lets through, on a grid twice as fine."""
        column, velocity, half = unknowns[2:5]
        optical_depth = np.zeros_like(self._fine_aa)
        for place, width in zip(*self._vapour, strict=True):
            place = place * (1 + velocity / SPEED_OF_LIGHT_KMS)
            near = slice(*np.searchsorted(self._fine_aa, [place - 3.0, place + 3.0]))
            profile = half / np.pi / ((self._fine_aa[near] - place) ** 2 + half**2)
            optical_depth[near] += column * width * profile
        return np.exp(-optical_depth)

    @property
    def vapour_places_aa(self) -> np.ndarray:
        """Vacuum wavelengths [A] of water vapour's lines in the atlas, as seen at rest in the Sun."""
        return vacuum_from_air(self._vapour[0]) / (1 + GRAVITATIONAL_REDSHIFT / SPEED_OF_LIGHT_KMS)

    @cached_property
    def _vapour(self) -> tuple[np.ndarray, np.ndarray]:
        own = "tellurics" in tables.names(self.band.tables)
        lines = tables.load("tellurics", self.band.tables) if own else vapour(self.grid)
        return air_from_vacuum(lines["vacuum_wavelength_aa"].astype(float)), lines["equivalent_width_aa"]

    @cached_property
    def _fine_aa(self) -> np.ndarray:
        """Air wavelengths of the atlas at points twice as fine as the grid, which is at rest in the Sun."""
        grid = LogGrid(self.grid.first_aa, 2 * self.grid.points - 1, self.grid.step_kms / 2)
        return air_from_vacuum(grid.wavelength_aa) * (1 + GRAVITATIONAL_REDSHIFT / SPEED_OF_LIGHT_KMS)

    @cached_property
    def _atlas(self) -> np.ndarray:
        return np.interp(self._fine_aa, *atlas())

    @cached_property
    def _knots(self) -> np.ndarray:
        low, high = self.band.edges_aa
        return np.arange(low - KNOT_AA / 2, high + KNOT_AA, KNOT_AA)

    @cached_property
    def series(self) -> np.ndarray:
        """The continuum's linear splines [knot, point]."""
        unit = np.eye(len(self._knots))
        return np.stack([np.interp(self.wavelength_aa, self._knots, row) for row in unit])


@dataclass(frozen=True, eq=False)
class Star(Calibrator):
    """A star's flux: labels with priors, resolution, velocity and continuum free.

    ``labels`` has [value, sigma] of ``LABELS``, ``resolution`` the same; ``alpha`` is [alpha/M]. The
    continuum is a Chebyshev series to ``order``; scale and slope are free, further coefficients have the
    prior ``continuum``, 0 for none of them. ``floor`` is the synthesis' own error of a pixel.
    """

    vacuum_aa: np.ndarray = field(default_factory=lambda: np.zeros(0))
    flux: np.ndarray = field(default_factory=lambda: np.zeros(0))
    error: np.ndarray = field(default_factory=lambda: np.zeros(0))
    labels: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    resolution: tuple[float, float] = (12_000.0, 1_000.0)
    alpha: float = 0.0
    order: int = 9
    continuum: float = 0.003
    floor: float = 0.01

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the unknowns."""
        orders = range(len(self.series))
        return (*LABELS, "resolution", "velocity", *(f"continuum_{order}" for order in orders))

    @cached_property
    def start(self) -> np.ndarray:
        """First values, and the centres of the priors."""
        middle = [self.labels[name][0] for name in LABELS]
        series = np.zeros(len(self.series))
        series[0] = np.median(self.flux[self.weight > 0]) - 1
        return np.array([*middle, self.resolution[0], 0.0, *series])

    @cached_property
    def sigma(self) -> np.ndarray:
        """Widths of the priors."""
        widths = [self.labels[name][1] for name in LABELS]
        series = [1.0, 0.05] + [self.continuum] * (len(self.series) - 2)
        return np.array([*widths, self.resolution[1], 5.0, *series])

    @cached_property
    def steps(self) -> np.ndarray:
        """For differences."""
        return np.array([*STEPS.values(), 200.0, 0.2] + [0.01] * len(self.series))

    @property
    def wavelength_aa(self) -> np.ndarray:
        """Vacuum wavelengths [A] of the pixels."""
        return self.vacuum_aa

    @property
    def blur_aa(self) -> float:
        """How far the instrument spreads a line's light [A]."""
        return 1.5 * float(self.vacuum_aa.mean()) / self.resolution[0]

    @cached_property
    def weight(self) -> np.ndarray:
        """Inverse variance of the pixels."""
        variance = self.error**2 + self.floor**2
        trust = self.trust(self.vacuum_aa) * (np.isfinite(self.flux) & np.isfinite(variance))
        return np.where(trust > 0, trust**2 / np.where(trust > 0, variance, 1.0), 0.0)

    def solved(self, unknowns: np.ndarray, lines: LineList) -> Solved:
        """The star's gas at these labels."""
        labels = dict(zip(LABELS, unknowns[:4].tolist(), strict=True))
        return Solved(_photosphere(self.band, lines, labels, self.alpha))

    def residual(self, unknowns: np.ndarray, normalized: np.ndarray) -> np.ndarray:
        """Observed less synthesised; 0 where nothing was observed."""
        return np.where(self.weight > 0, self.flux, self.seen(unknowns, normalized)) - self.seen(
            unknowns, normalized
        )

    def seen(self, unknowns: np.ndarray, change: np.ndarray) -> np.ndarray:
        """A synthesised spectrum, or a change of it, at the pixels."""
        resolution, velocity = unknowns[4:6].tolist()
        shown = broaden(
            change, self.grid.step_kms, resolution=resolution, radial_velocity=velocity, reach_kms=200.0
        )
        return np.interp(self.vacuum_aa, self.grid.wavelength_aa, shown) * (1 + unknowns[6:] @ self.series)

    @cached_property
    def series(self) -> np.ndarray:
        """Chebyshev polynomials [order, pixel]."""
        order = self.order if self.continuum > 0 else 1
        low, high = self.vacuum_aa[[0, -1]]
        x = 2 * (self.vacuum_aa - low) / (high - low) - 1
        return np.polynomial.chebyshev.chebvander(x, order).T


def _photosphere(band: Band, lines: LineList, labels: Mapping, alpha: float = 0.0) -> Photosphere:
    """A star's solved gas."""
    star = structure(**labels, alpha=alpha)
    return photosphere(star, band=band, mh=labels["mh"], alpha=alpha, vmic=labels["vmic"], lines=lines)


def read_stars(path: Path, spectra: Path, band: Band, untouched_aa: np.ndarray) -> list[Star]:
    """The stars of a TOML file, their spectra in a folder; those without a file there are left out."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))
    found = []
    for name, about in listed.items():
        about = dict(about)
        file, correlated = spectra / about.pop("file"), about.pop("correlation", GAIA_CORRELATION)
        about.pop("source", None)
        if not file.exists():
            print(f"{name}: no {file.name} in the folder, left out")
            continue
        vacuum, flux, error = read_spectrum(file)
        keys = {**about, "vacuum_aa": vacuum, "flux": flux, "error": correlated * error}
        found.append(Star(band, untouched_aa, name, **keys))
    return found


def read_spectrum(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vacuum wavelengths [A], flux and its error; of any format that is read, or ``wave_air_A`` in npz."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as data:
            error = data["flux_err"] if "flux_err" in data else np.zeros(data["flux"].shape)
            return vacuum_from_air(data["wave_air_A"]), data["flux"], error
    spectrum = io.read_observed(path)
    bad = np.zeros(spectrum.flux.shape, bool) if spectrum.mask is None else spectrum.mask
    error = np.zeros(spectrum.flux.shape) if spectrum.error is None else spectrum.error
    vacuum = spectrum.wavelength if spectrum.medium == "vacuum" else vacuum_from_air(spectrum.wavelength)
    return vacuum, np.where(bad, np.nan, spectrum.flux), error


def within(wavelength_aa: np.ndarray, ranges_aa) -> np.ndarray:
    """Which wavelengths are in one of the ranges."""
    inside = ((wavelength_aa > low) & (wavelength_aa < high) for low, high in ranges_aa)
    return np.any([np.zeros(len(wavelength_aa), bool), *inside], axis=0)


def read_masks(path: Path) -> tuple[tuple[float, float], ...]:
    """Vacuum ranges [A] of a TOML file with ``ranges_aa`` and ``cores_aa`` (centre, half width) in air."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))
    cores = [(centre - half, centre + half) for centre, half in listed["cores_aa"]]
    ends = vacuum_from_air(np.array([*listed["ranges_aa"], *cores], float))
    return tuple((low, high) for low, high in ends.tolist())


def line_places_aa(lines: LineList) -> np.ndarray:
    """Vacuum wavelengths [A] of lines."""
    return np.asarray(lines.wavelength) / ANGSTROM
