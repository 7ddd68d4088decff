"""Labels from spectra: what they are, and how well they can be known."""

from starloom.inference.fitting import Failure, fit, fit_each
from starloom.inference.result import FLAGS, FitResult
from starloom.inference.settings import Settings

__all__ = ["FLAGS", "Failure", "FitResult", "Settings", "fit", "fit_each"]
