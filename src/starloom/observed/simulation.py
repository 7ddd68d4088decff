"""Libraries of stars whose truth is known: a model's flux, distorted by a smooth error that nobody tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from starloom.arrays import one_line
from starloom.errors import ConfigError
from starloom.labels import Domain
from starloom.networks.flux_correction import SplineGrid
from starloom.networks.generator import Generator
from starloom.observed.library import ObservedLibrary, library
from starloom.sampling import uniform

TERMS = 12  # of a distortion
WIDEST = {"teff": 0.35, "logg": 2.0, "mh": 1.4}  # over which it changes, of ln Teff, log g and [M/H]
WIDTH_AA = 8.0  # in wavelength


@dataclass(frozen=True, eq=False)
class Distortion:
    """A sum of terms: a cosine of the labels times a random function of wavelength, smooth over WIDTH_AA.

    ``turns[term, label]`` per ln Teff, log g and [M/H], ``phases[term]``, ``shapes[term, spline]`` on a grid.
    """

    turns: np.ndarray
    phases: np.ndarray
    shapes: np.ndarray
    grid: SplineGrid

    __repr__ = one_line

    @classmethod
    def drawn(cls, generator: Generator, seed: int, amplitude: float = 0.01, width_aa: float = WIDTH_AA):
        """One of root mean square ``amplitude`` over labels and wavelengths of a generator's band.

        ``width_aa`` [A]: of its splines in wavelength.
        """
        rng = np.random.default_rng([seed, 77])
        chunks = generator.model.chunks
        low, high = chunks[0].finish.grid.first_aa, chunks[-1].finish.grid.last_aa
        grid = SplineGrid.over(low, high, width_aa / low)
        turns = rng.standard_normal((TERMS, len(WIDEST))) / np.array([*WIDEST.values()])
        shapes = rng.standard_normal((TERMS, grid.count))
        # splines of unit coefficients have the variance 0.479; a cosine has 1/2
        shapes *= amplitude / np.sqrt(TERMS * 0.479 / 2)
        return cls(turns, rng.uniform(0, 2 * np.pi, TERMS), shapes, grid)

    def __call__(self, domain: Domain, labels: np.ndarray, vacuum_aa: np.ndarray) -> np.ndarray:
        """Logarithm of distorted over true flux, ``[row, wavelength]``."""
        place = np.stack([labels[:, domain.index(name)] for name in WIDEST], axis=1)
        place[:, 0] = np.log(place[:, 0])
        size = np.cos(place @ self.turns.T + self.phases)
        return size @ self.shapes @ self.grid.matrix(vacuum_aa).T


@dataclass(frozen=True)
class Sky:
    """What is observed: labels in ``ranges``, their ``errors``, spectra of an ``snr`` and ``resolution``.

    ``range_aa``: first and last vacuum wavelength [A].
    The step is a third of the profile's full width. Labels of which there is no range have their default, or
    1 km/s (vmic), 3 km/s (vsini).
    """

    ranges: Mapping[str, tuple[float, float]]
    errors: Mapping[str, float]
    snr: float = 50.0
    resolution: float = 5000.0
    range_aa: tuple[float, float] = (8420.0, 8780.0)


def simulated(
    generator: Generator, sky: Sky, stars: int, seed: int, distortion: Distortion | None = None
) -> tuple[ObservedLibrary, np.ndarray]:
    """A library of so many ``stars``, and their true labels ``[star, label]``.

    Its labels have the sky's errors, its flux has a ``distortion``, if one is given; each spectrum has noise
    and a slope that is not told. Raises ConfigError where the ranges have hardly a place in the model's
    domain.
    """
    domain, rng = generator.domain, np.random.default_rng([seed, 1])
    truth = drawn(domain, sky, stars, seed)
    low, high = sky.range_aa
    step = 1 / (3 * sky.resolution)
    vacuum = low * np.exp(step * np.arange(int(np.log(high / low) / step)))
    flux = generator.flux(truth, wavelength_aa=vacuum, medium="vacuum").astype(float)
    if distortion is not None:
        flux *= np.exp(distortion(domain, truth, vacuum))
    place = np.linspace(-1, 1, vacuum.size)
    flux *= np.exp(0.2 * rng.standard_normal((stars, 1)) * place + 0.05 * rng.standard_normal((stars, 1)))
    error = flux.mean(axis=1, keepdims=True) / sky.snr * np.ones(vacuum.size)
    flux += error * rng.standard_normal(flux.shape)
    labels = {
        name: truth[:, domain.index(name)] + size * rng.standard_normal(stars)
        for name, size in sky.errors.items()
    }
    names = [f"star-{number:04d}" for number in range(stars)]
    about = {"source": "simulated"}
    made = library(
        "simulated", names, vacuum, flux, labels, sky.errors, sky.resolution, error=error, about=about
    )
    return made, truth


def drawn(domain: Domain, sky: Sky, stars: int, seed: int) -> np.ndarray:
    """True labels ``[star, label]`` of a sky; ConfigError for ranges of a label that a ``domain`` lacks."""
    usual = {"vmic": 1.0, "vsini": 3.0, "resolution": sky.resolution}
    if unknown := set(sky.ranges) - set(domain.names):
        raise ConfigError(f"the model has no label {min(unknown)}")
    whole = {**{name: (value, value) for name, value in usual.items() if name in domain.names}, **sky.ranges}
    wanted = domain.only(*whole)
    low, high = np.array([whole[name] for name in wanted.names]).T

    def contains(labels: np.ndarray) -> np.ndarray:
        return domain.contains(domain.array(**dict(zip(wanted.names, labels.T, strict=True))))

    found = uniform(seed, 0, stars, low, high, contains)
    return domain.array(**dict(zip(wanted.names, found.T, strict=True)))
