"""Labels from spectra: what they are, and how well they can be known."""

from starloom.inference.degrading import degrade
from starloom.inference.epochs import EpochsResult, fit_epochs
from starloom.inference.fitting import Failure, fit, fit_each
from starloom.inference.result import FLAGS, FitResult
from starloom.inference.settings import Settings

__all__ = [
    "FLAGS",
    "EpochsResult",
    "Failure",
    "FitResult",
    "Settings",
    "degrade",
    "fit",
    "fit_each",
    "fit_epochs",
]
