"""What a fit found: labels with honest uncertainties, and everything needed to judge them."""

from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from typing import Any

import numpy as np

from starloom import notebook
from starloom.inference.composite import Composite
from starloom.inference.derivatives import parameters
from starloom.inference.trust import Trust
from starloom.labels import Domain
from starloom.spectrum import Spectrum
from starloom.spectrum.pandas import data_frame

BAD_CHI2 = 1.5  # chi2 over the degrees of freedom, above which the residuals are called too large
LOW_SNR = 10.0
FLAGS = {
    "at_bound": "a label is at the end of its range",
    "outside_domain": "the spectrum asks for labels beyond the model's domain",
    "held_alpha": "the spectrum asks for another [alpha/M] than the one that is held",
    "composite": "two stars explain the spectrum, and one does not",
    "bad_fit": f"chi2 / dof is above {BAD_CHI2:g}",
    "low_snr": f"signal-to-noise ratio below {LOW_SNR:g}",
    "not_converged": "the iteration did not reach its tolerance",
    "not_measured": "the spectrum tells an element hardly better than it was known beforehand",
    "ambiguous": "another, different set of labels fits almost as well",
    "error_estimated": "the spectrum has no errors: they are estimated from the residuals",
}


@dataclass(frozen=True, eq=False, repr=False)
class FitResult:
    """The best model of one observed spectrum; arrays are in the order of ``parameters``.

    - ``domain``: labels and ranges of the model;
    - ``values[p]``: labels and radial velocity [km/s], in the spectrum's frame;
    - ``covariance[p, p]``: of all that is known to be uncertain: noise, the generator's error, misfit; zero
      for what was held;
    - ``bounds[p]``: the standard deviation that noise alone allows, the Cramer-Rao bound;
    - ``intervals[p, 2]``: 68 %, within the domain;
    - ``inflation``: the factor in the covariance (its root: in the errors) for residuals that are larger than
      the errors allow, or correlated between pixels (beyond what is known of the noise); 1 where they are
      neither;
    - ``shared``: by how much known correlations of the noise between pixels (``starloom.degrade``) enlarge
      the variances, on average over the free parameters;
    - ``model``: flux with the continuum in it, in the observed unit, at the fitted ``pixels`` of
      ``spectrum``; ``used``: those that entered; ``error``: what they were weighted with; ``left_out``: how
      many of the spectrum's pixels did not enter, by reason;
    - ``continuum``: Chebyshev coefficients in the observed unit;
    - ``patterns[pattern, pixel]``: of the physics error, in the observed unit, each with an amplitude of
      deviation 1, which chi2 has in it;
    - ``flags``: those of FLAGS that are true; ``at_bound``: names of parameters at an end of their range;
      ``not_measured``: elements that the spectrum does not tell;
    - ``trust``: how probable it is that the labels are right, and what speaks against (``inference.trust``);
      ``composite``: the two stars, where there are (``inference.composite``).

    ``snr`` is the median of flux over noise, ``dof`` pixels used less parameters, ``iterations`` those to
    the minimum, ``settings`` what the fit was told, as plain data.
    """

    spectrum: Spectrum
    domain: Domain
    values: np.ndarray
    covariance: np.ndarray
    bounds: np.ndarray
    intervals: np.ndarray
    inflation: float
    free: tuple[str, ...]
    continuum: np.ndarray
    chi2: float
    dof: int
    snr: float
    pixels: slice
    model: np.ndarray
    error: np.ndarray
    used: np.ndarray
    flags: tuple[str, ...]
    at_bound: tuple[str, ...] = ()
    iterations: int = 0
    settings: dict = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    shared: float = 1.0
    not_measured: tuple[str, ...] = ()
    patterns: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    trust: Trust | None = None
    composite: Composite | None = None

    def __post_init__(self):
        for name in ("values", "covariance", "bounds", "intervals", "continuum", "model", "error", "used"):
            getattr(self, name).flags.writeable = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the model's labels, and "velocity"."""
        return parameters(self.domain)

    @property
    def labels(self) -> dict[str, float]:
        """The model's labels by name."""
        return dict(zip(self.domain.names, self.values[:-1].tolist(), strict=True))

    @property
    def velocity(self) -> float:
        """Radial velocity [km/s], positive away from us."""
        return float(self.values[-1])

    @property
    def errors(self) -> dict[str, float]:
        """Standard deviations by name, 0 for what was held."""
        return dict(zip(self.parameters, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    @property
    def reduced_chi2(self) -> float:
        """chi2 over the degrees of freedom."""
        return self.chi2 / self.dof

    @property
    def residuals(self) -> np.ndarray:
        """Observed minus model flux at the fitted pixels, masked ones included."""
        return self.spectrum.flux[self.pixels] - self.model

    @property
    def best(self) -> Spectrum:
        """The best-fit model as a spectrum at the fitted pixels, with what is left out as its mask."""
        about = {
            "velocity_kms": self.velocity,
            "errors": self.errors,
            "bounds": dict(zip(self.parameters, self.bounds.tolist(), strict=True)),
            "intervals": dict(zip(self.parameters, self.intervals.tolist(), strict=True)),
            "covariance": self.covariance.tolist(),
            "parameters": list(self.parameters),
            "free": list(self.free),
            "continuum": self.continuum.tolist(),
            "chi2": self.chi2,
            "degrees_of_freedom": self.dof,
            "reduced_chi2": self.reduced_chi2,
            "inflation": self.inflation,
            "shared": self.shared,
            "left_out": self.left_out,
            "flags": list(self.flags),
            **({"trust": self.trust.about} if self.trust is not None else {}),
            **({"composite": self.composite.about} if self.composite is not None else {}),
            "at_bound": list(self.at_bound),
            **({"not_measured": list(self.not_measured)} if self.not_measured else {}),
            "settings": self.settings,
        }
        return Spectrum(
            self.spectrum.wavelength[self.pixels],
            self.model,
            medium=self.spectrum.medium,
            frame=self.spectrum.frame,
            flux_unit=self.spectrum.flux_unit,
            error=self.error,
            mask=~self.used,
            labels=self.labels,
            provenance={"fit": about, "observed": dict(self.spectrum.provenance)},
        )

    def write(self, path: str | PathLike, overwrite: bool = False) -> None:
        """Write ``best`` to a file (.fits, .ecsv, .csv), whose provenance holds all numbers of the fit."""
        self.best.write(path, overwrite)

    def to_table(self):
        """An astropy ``Table`` with a row for each of ``parameters``, and the fit's quality in its meta.

        Columns: ``name``, ``value``, ``error`` (standard deviation), ``low`` and ``high`` (68 %), ``bound``
        (what noise alone allows), ``unit`` and ``free``.
        """
        from astropy.table import Table

        return Table(self._columns, meta=self._quality)

    def to_pandas(self):
        """The same as a ``pandas.DataFrame`` (extra ``starloom[pandas]``), by name, the rest in its attrs."""
        columns = dict(self._columns)
        return data_frame(columns, self._quality, index=columns.pop("name"))

    @property
    def _columns(self) -> dict[str, list]:
        units = [*(label.unit for label in self.domain.labels), "km/s"]
        return {
            "name": list(self.parameters),
            "value": self.values.tolist(),
            "error": list(self.errors.values()),
            "low": self.intervals[:, 0].tolist(),
            "high": self.intervals[:, 1].tolist(),
            "bound": self.bounds.tolist(),
            "unit": units,
            "free": [name in self.free for name in self.parameters],
        }

    @property
    def _quality(self) -> dict[str, Any]:
        names = ("chi2", "dof", "reduced_chi2", "snr", "inflation")
        return {name: getattr(self, name) for name in names} | {"flags": list(self.flags)}

    def plot(self, band=None):
        """A figure of data, model and residuals, with lines named where the model's ``band`` is given."""
        return import_module("starloom.inference.figure").figure_of(self, band)

    def _repr_html_(self) -> str:
        columns, errors = self._columns, self.errors
        rows = []
        for name, value, unit in zip(self.parameters, self.values, columns["unit"], strict=True):
            free = " ± ".join(rounded(value, errors[name])) if name in self.free else ""
            shown = free or f"{value:.6g} (given)"
            rows.append((name, shown, unit, "at bound" if name in self.at_bound else ""))
        told = f"chi2 / dof = {self.reduced_chi2:.2f} ({self.dof}), S/N {self.snr:.0f}"
        return notebook.table("Fit", (), rows, "; ".join([told, *self.flags]))

    def __repr__(self) -> str:
        errors = self.errors
        pairs = zip(self.parameters, self.values, strict=True)
        texts = [f"{n} = {' +- '.join(rounded(value, errors[n]))}" for n, value in pairs if n in self.free]
        flags = ", ".join(self.flags) or "no flags"
        return f"FitResult({', '.join(texts)}; chi2/dof {self.reduced_chi2:.2f}; {flags})"


def rounded(value: float, *errors: float) -> list[str]:
    """A value and its errors as text, all to the second digit of the smallest error."""
    # by what is printed: 0.0996 is 0.10
    power = int(f"{max(min(map(abs, errors)), 1e-9):.1e}".partition("e")[2])
    return [f"{number:.{max(0, 1 - power)}f}" for number in (value, *errors)]
