"""What is asked of a fit: which labels are free, what is known beforehand, and what is not looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from starloom.constants import ALPHA_ELEMENTS
from starloom.errors import ConfigError, Option, OutOfRangeError
from starloom.inference.derivatives import parameters
from starloom.inference.instrument import PROFILE, TABLE, pairs
from starloom.inference.pixel import pixel_text
from starloom.labels import Domain, number
from starloom.networks.generator import models_with
from starloom.units import within
from starloom.wavelength import AIR_RANGE_AA

# of the Ca II triplet in air [A] (Edlen & Risberg 1956, as in the NIST Atomic Spectra Database)
CALCIUM_AA = (8498.02, 8542.09, 8662.14)
LARGEST_VELOCITY = 1500.0  # km/s: beyond it nothing of the Gaia RVS range is left in what the model knows
HIGHEST_ORDER = 20
CORE_KMS = 50.0
ABUNDANCES = "abundances"  # all elements of the model, among what is to be free
ELEMENT_DEX = 0.3  # what elements differ from their default by, beforehand
FILLING = 0.1  # what the emission in the Ca II cores may be, beforehand
USUAL_RESOLUTION = 11500.0
LARGEST_CORRELATION = 100.0  # km/s: beyond it pixels share more than a line


@dataclass(frozen=True)
class Settings:
    """Options of a fit; the defaults suit a spectrum whose resolution is known.

    The labels that are named are those of the model, against which ``check`` holds them.

    ``fixed``: labels (or ``velocity`` [km/s]) held at a value, by name. ``priors``: mean and standard
    deviation of what is known, by name. ``free``: elements [X/M] to be fitted, or "abundances": all that the
    model has around a default (``Domain.spread``). Those that are not named follow [alpha/M] or are 0; those
    that are named start there, from the fit of all other labels, with a prior of 0.3 dex around that default
    unless ``priors`` has one of [X/M]. All other labels are free anyway. [alpha/M] has no prior; ``filling``
    has 0 +- 0.1, without which hot stars would not tell it. ``resolution``: of the instrument; None: what the
    spectrum says of itself; ``free_resolution`` fits it too, with that as no more than a start.
    ``continuum``: order of the Chebyshev polynomial that multiplies the model (1: scale and slope).
    ``velocities``: range searched [km/s]. ``starts``: how many of the best templates are refined (16 of hot
    stars). ``windows``: ranges of wavelengths (low, high) [A], as the spectrum has them, that are not used.
    ``telluric``: nor are pixels that lines of water vapour in the Earth's atmosphere may reach. ``core_kms``:
    half width, in the star's frame, of the cores of the Ca II triplet, which form in the chromosphere and not
    in LTE: there ``core_floor``, an error in units of the continuum, is added in quadrature (None: 50 km/s,
    or none for a model whose label ``filling`` describes them). ``floor``: the same for all pixels. ``snr``:
    signal-to-noise ratio of a spectrum without errors; None: from the scatter around the fit. ``degrade``:
    the resolution that finer spectra are brought to first (``starloom.degrade``); ``resolution`` is then the
    one that they have. ``pixel``: what the instrument averages the flux over, where its resolution does not
    include that: a width (a number [A], "0.37 A", "9 km/s" or a quantity) or "bins", half way from pixel to
    pixel. ``clip``: pixels this many standard deviations above the model are taken for cosmic rays; 0: none.
    ``physics_error``: what the model's file tells of the errors of its line list and continuum counts
    (``networks.physics_error``), where it does. ``typical_vmic``: cool dwarfs have the microturbulence of
    their kind, as a prior (``microturbulence``), unless it has one or is fixed. ``noise_correlation``:
    standard deviation [km/s] of a Gaussian that smoothed the noise of the pixels (0: they are independent);
    None: what the spectrum tells. ``resolution_table``: pairs of wavelength [A, as observed] and resolving
    power, or a function; ``line_spread``: pairs of velocity [km/s] and value of a sampled profile
    (``instrument``); (): what the spectrum tells. ``trust``: whether each fit is asked how far to believe it,
    and whether there are two stars. ``learned_start``: where the model has a start network
    (``inference.learned``), a fit begins where that points; else it searches from templates, as it always
    does where labels are held or known beforehand.
    """

    fixed: Mapping[str, float] = field(default_factory=dict)
    priors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    resolution: float | None = None
    free_resolution: bool = False
    continuum: int = 1
    velocities: tuple[float, float] = (-500.0, 500.0)
    starts: int = 6
    windows: tuple[tuple[float, float], ...] = ()
    telluric: bool = False
    core_kms: float | None = None
    core_floor: float = 0.03
    floor: float = 0.0
    snr: float | None = None
    degrade: float | None = None
    pixel: Any = ""
    clip: float = 6.0
    physics_error: bool = True
    typical_vmic: bool = True
    noise_correlation: float | None = None
    resolution_table: Any = ()
    line_spread: Any = ()
    trust: bool = True
    learned_start: bool = True

    def __post_init__(self):
        object.__setattr__(self, "fixed", MappingProxyType(dict(self.fixed)))
        object.__setattr__(self, "priors", MappingProxyType(dict(self.priors)))
        object.__setattr__(self, "pixel", pixel_text(self.pixel))
        for name in (TABLE, PROFILE):
            object.__setattr__(self, name, pairs(name, getattr(self, name)))
        if sum(map(bool, (self.resolution, self.degrade, self.resolution_table, self.line_spread))) > 1:
            given = "resolution, degrade, resolution_table and line_spread"
            if self.resolution_table or self.line_spread:
                raise ConfigError(f"{given}: give one of them")
        object.__setattr__(self, "free", free_names(self.free, self.fixed))
        if both := set(self.fixed) & set(self.priors):
            raise ConfigError(f"{min(both)} is fixed and has a prior: give one of them")
        if "resolution" in self.fixed:
            raise ConfigError("resolution is given by ", Option("resolution"), ", not among the fixed labels")
        for name, (mean, deviation) in self.priors.items():
            if not (np.isfinite(mean) and 0 < deviation < np.inf):
                raise ConfigError(f"prior of {name}: {mean} +- {deviation} is no mean and deviation")
        self._check_ranges()
        self._check_numbers()

    def _check_ranges(self) -> None:
        low, high = self.velocities
        if not -LARGEST_VELOCITY <= low < high <= LARGEST_VELOCITY:
            limit = number(LARGEST_VELOCITY)
            raise OutOfRangeError(
                f"velocities = {low:g}..{high:g} km/s: needs -{limit} <= low < high <= {limit}"
            )
        for low, high in self.windows:
            first, last = AIR_RANGE_AA
            if not (low < high and first < high and low < last):
                limits = f"needs low < high, and to reach into {first:g}..{last:g} A"
                raise ConfigError(f"window {low:g}..{high:g} A: {limits}")

    def _check_numbers(self) -> None:
        for name, low, high in (("continuum", 0, HIGHEST_ORDER), ("starts", 1, 20)):
            if not low <= getattr(self, name) <= high:
                raise OutOfRangeError(f"{name} = {getattr(self, name)} is outside [{low}, {high}]")
        for name in ("core_kms", "core_floor", "floor", "clip"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < np.inf:
                unit = " km/s" if name == "core_kms" else ""
                raise OutOfRangeError(f"{name} = {number(getattr(self, name))}{unit} is not a number from 0")
        if self.noise_correlation is not None:
            within("noise_correlation", self.noise_correlation, 0.0, LARGEST_CORRELATION, "km/s")
        if self.snr is not None and not 0 < self.snr < np.inf:
            raise OutOfRangeError(f"snr = {self.snr} is not a number above 0")

    def check(self, domain: Domain) -> None:
        """Raise ConfigError or OutOfRangeError where a label that is named has no such value in a domain."""
        for name in (*self.fixed, *self.priors):
            if name not in parameters(domain):
                known = ", ".join(parameters(domain))
                raise ConfigError(f"{name} is not one of {known}{models_with({name})}")
        self._check_free(domain)
        if self.free_resolution and "resolution" not in domain.names:
            raise ConfigError("resolution: the model has no such label, so it cannot be fitted")
        for name, value in self.fixed.items():
            _check(domain, name, value)
        for name, (mean, _) in self.priors.items():
            _check(domain, name, mean, f"prior of {name}")
        self._check_together(domain)
        if "resolution" not in domain.names:
            return
        if self.degrade is not None:
            _check(domain, "resolution", self.degrade, "degrade")
        elif self.resolution is not None:
            index = domain.index("resolution")
            resolution_within(self.resolution, float(domain.low[index]), float(domain.high[index]))

    def _check_free(self, domain: Domain) -> None:
        """Raise ConfigError where what is to be free is none of the domain's, or is held and has a prior."""
        if self.free and not domain.spread and ABUNDANCES in self.free:
            raise ConfigError("free: the model has no elements around a default")
        known = [name for name in domain.names if name != "resolution"]
        if unknown := [name for name in self.free if name not in (ABUNDANCES, *known)]:
            told = f"free: {unknown[0]!r} is not one of {ABUNDANCES}, {', '.join(known)}"
            raise ConfigError(told + models_with({unknown[0]}))
        if held := set(self.priors) & set(domain.spread) - set(self.elements(domain)):
            name = min(held)
            raise ConfigError(f"{name} has a prior, but is held at its default: ", Option("free", (name,)))

    def _check_together(self, domain: Domain) -> None:
        """Raise OutOfRangeError where no free labels make the held ones a place of the domain."""
        easiest = {label.name: high if label.name == "logg" else low for label, low, high in domain.ranges}
        if domain.spread:
            easiest = {name: value for name, value in easiest.items() if name not in domain.spread}
            if "alpha" in domain.names:
                low, high = self.alpha_ends(domain)
                easiest["alpha"] = min(max(0.0, low), high)
        fixed = {name: value for name, value in self.fixed.items() if name in domain.names}
        domain.check(domain.array(**{**easiest, **fixed}))

    def elements(self, domain: Domain) -> tuple[str, ...]:
        """Elements of a domain that are free though they have a default."""
        named = domain.spread if ABUNDANCES in self.free else self.free
        return tuple(
            name
            for name in domain.names
            if name in domain.spread and name in named and name not in self.fixed
        )

    def alpha_ends(self, domain: Domain) -> tuple[float, float]:
        """Lowest and highest [alpha/M] at which the fixed elements are as near to their default as they must.

        The lower is above the higher where there is none.
        """
        low, high = (float(end[domain.index("alpha")]) for end in (domain.low, domain.high))
        for name in set(self.fixed) & set(domain.spread) & set(ALPHA_ELEMENTS):
            near, far = domain.spread[name]
            low, high = max(low, self.fixed[name] - far), min(high, self.fixed[name] - near)
        oxygen = "O" in self.fixed or "O" in self.elements(domain)
        if "C" in self.fixed and not oxygen:
            low = max(low, self.fixed["C"] - domain.c_to_o)
        return low, high

    def core_width(self, domain: Domain) -> float:
        """Half width of the Ca II cores that are not trusted [km/s]."""
        if self.core_kms is None:
            return 0.0 if "filling" in domain.names else CORE_KMS
        return self.core_kms

    def __reduce__(self):
        # a read-only mapping cannot be pickled; the constructor makes it again
        return _rebuild, ({item.name: getattr(self, item.name) for item in fields(self)} | self._mappings,)

    @property
    def _mappings(self) -> dict[str, dict]:
        return {"fixed": dict(self.fixed), "priors": dict(self.priors)}

    @property
    def about(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= self._mappings | {"priors": {name: list(pair) for name, pair in self.priors.items()}}
        values["core_kms"] = CORE_KMS if self.core_kms is None else self.core_kms
        # as before there were such elements: tables begun then can be continued
        values = {name: value for name, value in values.items() if name != "free"}
        values |= {"free": list(self.free)} if self.free else {}
        tables = {name: values.pop(name) for name in (TABLE, PROFILE)}
        values |= {} if values.pop("trust") else {"trust": False}
        values |= {name: [list(pair) for pair in table] for name, table in tables.items() if table}
        return values | {"velocities": list(self.velocities), "windows": [list(w) for w in self.windows]}


def free_names(free: str | Iterable[str], fixed: Iterable[str]) -> tuple[str, ...]:
    """What is to be free, each once, also from a text with commas; ConfigError for what is fixed as well."""
    named = free.split(",") if isinstance(free, str) else free
    names = tuple(dict.fromkeys(str(name).strip() for name in named))
    if both := set(fixed) & set(names):
        raise ConfigError(f"{min(both)} is fixed and free: give one of them")
    return names


def _rebuild(options: dict) -> Settings:
    return Settings(**options)


def usual_resolution(lowest: float, highest: float) -> float:
    """Where a fit that is free to change the resolution begins, and what finer spectra are degraded to."""
    return min(max(USUAL_RESOLUTION, lowest), highest)


def resolution_within(value: float, lowest: float, highest: float) -> float:
    """The resolution, where a model knows it; else OutOfRangeError, which tells how finer ones get there."""
    if lowest <= value <= highest:
        return value
    told = f"resolution = {number(value)} is outside [{number(lowest)}, {number(highest)}]"
    usual = number(usual_resolution(lowest, highest))
    raise OutOfRangeError(
        told + (f": degrade it (starloom.degrade, --degrade {usual})" if value > highest else "")
    )


def _check(domain: Domain, name: str, value: float, called: str = "") -> None:
    if name == "velocity":
        within(called or name, value, -LARGEST_VELOCITY, LARGEST_VELOCITY, "km/s")
    else:
        index = domain.index(name)
        within(called or name, value, domain.low[index], domain.high[index], domain.labels[index].unit)
