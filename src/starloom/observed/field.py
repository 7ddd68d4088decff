"""Stars of a library as a model can learn from them: what is known, what is seen, and the labels found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from starloom.broadening import known_range
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.inference.corrected import with_correction
from starloom.inference.derivatives import derivatives_of
from starloom.inference.instrument import TABLE, instrument_of, with_instrument
from starloom.inference.minimise import minimise
from starloom.inference.objective import Objective, chebyshev
from starloom.inference.settings import Settings
from starloom.inference.setup import Prior, Setup
from starloom.networks.flux_correction import FluxCorrection
from starloom.networks.generator import Generator
from starloom.observed.library import ObservedLibrary

FEWEST = 10  # stars
FEWEST_PIXELS = 50  # of a star
UNKNOWN = 1 / np.sqrt(12)  # deviation of a coordinate of which nothing is known
VELOCITY_KMS = 10.0  # deviation of the velocities in a library at rest
FASTEST = 5.0  # such deviations
SLOW = 0.15  # coordinate at which an unknown rotation is begun
INSIDE = 1e-6  # of the box
BEYOND = 2.0  # errors of a label by which it may be outside the model's domain


@dataclass(frozen=True, eq=False)
class Field:
    """Stars of a ``library`` that a model, as ``setup`` has it, can learn from; ``left_out`` the others."""

    setup: Setup
    library: ObservedLibrary
    left_out: Mapping[str, str]

    @classmethod
    def of(cls, generator: Generator, library: ObservedLibrary, continuum_aa: float) -> "Field":
        """Those of a library in the range of wavelengths that the model knows of all of them."""
        low, high = _common_range(generator, library)
        seen = library.between(low, high)
        middle = float(np.median(seen.relative))
        seen = replace(seen, resolution=seen.resolution * middle, relative=seen.relative / middle)
        order = int(np.clip(round((seen.vacuum_aa[-1] - seen.vacuum_aa[0]) / continuum_aa), 1, 20))
        fastest = FASTEST * float(library.about.get("velocity_kms", VELOCITY_KMS))
        fixed = {"filling": 0.0} if "filling" in generator.domain.names else {}
        settings = Settings(fixed=fixed, continuum=order, velocities=(-fastest, fastest), physics_error=False)
        setup = Setup(generator, settings)
        reasons = _left_out(setup, seen)
        kept = [row for row, name in enumerate(seen.names) if name not in reasons]
        if len(kept) < FEWEST:
            why = f": {next(iter(reasons.values()))}" if reasons else ""
            raise ConfigError(f"library {library.name}: {len(kept)} usable stars, {FEWEST} are needed{why}")
        return cls(setup, seen.part(kept), reasons)

    def divided(self, response: np.ndarray) -> "Field":
        """The same stars with their flux ``[pixel]`` divided by a response."""
        return replace(self, library=self.library.divided(response))

    @cached_property
    def median(self) -> np.ndarray:
        """Median flux of each star."""
        usable = np.where(self.library.inverse_variance > 0, self.library.flux, np.nan)
        return np.nanmedian(usable, axis=1).astype(float)

    @cached_property
    def flux(self) -> np.ndarray:
        """Flux over its median."""
        return self.library.flux / self.median[:, None]

    @cached_property
    def weight(self) -> np.ndarray:
        """1 / variance of ``flux``."""
        return self.library.inverse_variance * self.median[:, None] ** 2

    @cached_property
    def prior(self) -> Prior:
        """What is known of labels and velocity: the library, or the width of the domain."""
        coordinates, stars = self.setup.coordinates, len(self.library)
        middle = np.full((stars, len(coordinates.names)), 0.5)
        mean = coordinates.to_parameters(middle)
        deviation = np.abs(coordinates.slopes(mean)) * UNKNOWN
        for name, values in self.library.labels.items():
            if name in coordinates.names:
                index, known = coordinates.index(name), np.isfinite(values)
                mean[known, index], deviation[known, index] = values[known], self.library.errors[name][known]
        mean[:, -1], deviation[:, -1] = 0.0, self.velocity_kms
        for index in coordinates.among(["resolution"]):
            mean[:, index] = self.library.resolution
        return Prior(mean, deviation)

    @property
    def velocity_kms(self) -> float:
        """Deviation of the velocities of a library at rest."""
        return float(self.library.about.get("velocity_kms", VELOCITY_KMS))

    @cached_property
    def start(self) -> np.ndarray:
        """Labels and velocity to begin with: what is known, slow rotation where it is not."""
        coordinates = self.setup.coordinates
        place = coordinates.from_parameters(self.prior.mean)
        for index in coordinates.rotations:
            name = coordinates.names[index]
            known = np.isfinite(self.library.labels.get(name, np.full(len(self.library), np.nan)))
            place[~known, index] = SLOW
        begin = coordinates.to_parameters(np.clip(place, INSIDE, 1 - INSIDE))
        begin[:, -1] = 0.0
        for name, value in self.setup.held.items():
            begin[:, coordinates.index(name)] = value
        for index in coordinates.among(["resolution"]):
            begin[:, index] = self.library.resolution
        return begin

    @cached_property
    def basis(self) -> np.ndarray:
        """The polynomials of a star's continuum ``[order + 1, pixel]``."""
        return chebyshev(self.library.vacuum_aa, self.setup.settings.continuum)

    def derivatives(self, correction: FluxCorrection | None):
        """Those of the model as the library's instrument sees it, with a correction."""
        library, model = self.library, self.setup.model
        finest = min(
            self.setup.resolutions[-1], float((library.resolution.max() * library.relative).max()) * 1.05
        )
        plain = derivatives_of(model.seen(library.vacuum_aa, finest))
        if np.ptp(library.relative) > 1e-4:
            table = tuple(zip(library.vacuum_aa.tolist(), library.relative.tolist(), strict=True))
            middle, seen = instrument_of({TABLE: table, "line_spread": ()}, library.vacuum_aa)
            plain = with_instrument(plain, replace(seen, scales=seen.scales * middle))
        return with_correction(plain, correction, self.setup.domain, library.vacuum_aa)

    def objective(self, correction: FluxCorrection | None, weight: np.ndarray, at: np.ndarray) -> Objective:
        """What a star's labels minimise, at ``at[star, p]`` what is held."""
        nothing = np.zeros((len(self.library), 0, self.library.vacuum_aa.size), np.float32)
        rows = np.arange(len(self.library))
        seen = self.derivatives(correction)
        return Objective(self.setup, seen, self.basis, self.flux, weight, nothing, self.prior, rows, at)


def found_labels(
    stars: Field, correction: FluxCorrection | None, weight: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """Labels and velocity of each star with a correction, by its spectrum and what is known of them."""
    objective, setup = stars.objective(correction, weight, at), stars.setup
    place = setup.coordinates.from_parameters(at)[:, list(setup.free)]
    found = minimise(
        objective, np.clip(place, *setup.ends), *setup.ends, tolerance=0.1, most=15, project=objective.project
    )
    return objective.parameters(np.arange(len(at)), found.at)


def _common_range(generator: Generator, library: ObservedLibrary) -> tuple[float, float]:
    """Vacuum wavelengths [A] that the model knows of all stars of a library, however fast they turn."""
    chunks, lowest = generator.model.chunks, float((library.resolution.min() * library.relative).min())
    ends = [known_range(c.finish, lowest) for c in (chunks[0], chunks[-1])]
    fastest = generator.domain.only("vsini").high[0] if "vsini" in generator.domain.names else 0.0
    fastest += FASTEST * float(library.about.get("velocity_kms", VELOCITY_KMS))
    margin = np.exp(fastest / SPEED_OF_LIGHT_KMS)
    return float(ends[0][0] * margin), float(ends[1][1] / margin)


def _left_out(setup: Setup, library: ObservedLibrary) -> dict[str, str]:
    """Stars that cannot be used, and why."""
    found, domain = {}, setup.domain
    resolution = np.outer([library.resolution.min(), library.resolution.max()], library.relative)
    if resolution.min() < setup.resolutions[0] or resolution.max() > setup.resolutions[-1]:
        told = f"resolution = {resolution.min():.0f}..{resolution.max():.0f}"
        limit = f"[{setup.resolutions[0]:g}, {setup.resolutions[-1]:g}]"
        raise OutOfRangeError(f"library {library.name}: {told} is outside {limit} of the model")
    limits = {label.name: (low, high, label.unit) for label, low, high in domain.ranges}
    for row, name in enumerate(library.names):
        if (count := int((library.inverse_variance[row] > 0).sum())) < FEWEST_PIXELS:
            found[name] = f"{count} usable pixels in the model's range, {FEWEST_PIXELS} are needed"
            continue
        given = {label: values[row] for label, values in library.labels.items() if label in limits}
        for label, value in given.items():
            low, high, unit = limits[label]
            room = BEYOND * library.errors[label][row]
            if np.isfinite(value) and not low - room <= value <= high + room:
                found[name] = (
                    f"{label} = {value:g} {unit} is outside [{low:g}, {high:g}] by {BEYOND:g} errors"
                )
        if missing := [label for label in ("teff",) if not np.isfinite(given.get(label, np.nan))]:
            found[name] = f"{missing[0]} is not known"
    return found
