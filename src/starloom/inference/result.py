"""What a fit found: labels with honest uncertainties, and everything needed to judge them."""

from dataclasses import dataclass, field
from os import PathLike

import numpy as np

from starloom.inference.derivatives import parameters
from starloom.labels import Domain
from starloom.spectrum import Spectrum

BAD_CHI2 = 1.5  # chi2 over the degrees of freedom, above which the residuals are called too large
LOW_SNR = 10.0
FLAGS = {
    "at_bound": "a label is at the end of its range",
    "outside_domain": "the spectrum asks for labels beyond the model's domain",
    "held_alpha": "the spectrum asks for another [alpha/M] than the one that is held",
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
      ``not_measured``: elements that the spectrum does not tell.
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
