"""The paper's measures of a reconstruction, summed batch by batch: no set of spectra is held at once."""

from dataclasses import dataclass

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError


@dataclass(frozen=True)
class Reconstruction:
    """How well spectra are reconstructed; all but ``relative_error`` as scikit-learn defines them.

    ``variance_score`` and ``r2`` are means over wavelengths; ``relative_error`` is the mean of the
    absolute difference over flux, the reconstruction error of Paletou et al. (2015), A&A 573, A67, that the
    paper quotes for PCA.
    """

    spectra: int
    mse: float  #: mean squared error
    mae: float  #: mean absolute error
    variance_score: float
    r2: float
    relative_error: float


class ReconstructionSums:
    """What :class:`Reconstruction` is made of, added up in float64 batch by batch.

    Variances are taken around the first batch's mean, so that nothing cancels.
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, reconstructed: np.ndarray, flux: np.ndarray) -> None:
        """Add a batch of spectra ``[spectrum, wavelength]``.

        Raises ``ConfigError`` where shapes differ, ``OutOfRangeError`` where the flux is not positive or
        something is not finite.

        ``flux`` is the truth, ``reconstructed`` what a network makes of it.
        """
        if reconstructed.shape != flux.shape or flux.ndim != 2:
            raise ConfigError(f"spectra of shapes {reconstructed.shape} and {flux.shape} cannot be compared")
        if not (np.isfinite(reconstructed).all() and (flux > 0).all()):
            raise OutOfRangeError("flux to compare with must be above 0, and both finite")
        flux = flux.astype(np.float64)
        difference = reconstructed - flux
        if self.count == 0:
            self.origin = flux.mean(axis=0)
            self.sums = np.zeros((6, flux.shape[1]))
        away = flux - self.origin
        size = np.abs(difference)
        terms = (difference, difference**2, size, size / flux, away, away**2)
        self.sums += [term.sum(axis=0) for term in terms]
        self.count += len(flux)

    def result(self) -> Reconstruction:
        """The measures over all that was added; ``ConfigError`` before there are two spectra."""
        if self.count < 2:
            raise ConfigError(f"{self.count} spectra are too few for a variance")
        error, square, size, relative, away, away_square = self.sums / self.count
        flux_variance = away_square - away**2
        return Reconstruction(
            self.count,
            mse=float(square.mean()),
            mae=float(size.mean()),
            variance_score=_score(square - error**2, flux_variance),
            r2=_score(square, flux_variance),
            relative_error=float(relative.mean()),
        )


def _score(residual: np.ndarray, variance: np.ndarray) -> float:
    """Mean over wavelengths of 1 - residual / variance; where nothing varies, 1 if exact and else 0."""
    varies = variance > 0
    score = np.where(residual == 0, 1.0, 0.0)
    score[varies] = 1 - residual[varies] / variance[varies]
    return float(score.mean())
