"""From a model atmosphere to what a star looks like: its spectrum, its lines, and how they are seen.

The recipe is ``gas`` (what the matter is and absorbs, float64, once a star) and ``radiation`` (what leaves
the star, float32, for each chunk of the band). ``view`` adds rotation, instrument and motion, ``lines`` names
the lines.
"""

from starloom.synthesis.photosphere import (
    Photosphere,
    line_strengths,
    line_windows,
    photosphere,
    synthesize,
)
from starloom.synthesis.spectra import SyntheticSpectrum
from starloom.synthesis.stars import (
    domain,
    normalised,
    structure,
    synthesize_each,
    synthesize_labels,
    synthesize_together,
)

__all__ = [
    "Photosphere",
    "SyntheticSpectrum",
    "domain",
    "line_strengths",
    "line_windows",
    "normalised",
    "photosphere",
    "structure",
    "synthesize",
    "synthesize_each",
    "synthesize_labels",
    "synthesize_together",
]
