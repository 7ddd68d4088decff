"""Observed stars whose labels are known: libraries of them, and what a model learns from one.

``library`` is the value and its file, ``learning`` the correction of a model's flux, ``posterior`` the linear
algebra under it, ``simulation`` libraries of stars whose truth is known.
"""

from starloom.observed.learning import Learning, learned
from starloom.observed.library import ObservedLibrary

__all__ = ["Learning", "ObservedLibrary", "learned"]
