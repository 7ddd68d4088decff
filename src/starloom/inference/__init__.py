"""Labels of observed spectra: fits, their uncertainties, and posteriors."""

from starloom.inference.fitting import Failure, fit, fit_each
from starloom.inference.result import FLAGS, FitResult
from starloom.inference.settings import Settings

__all__ = ["FLAGS", "Failure", "FitResult", "Settings", "fit", "fit_each"]
