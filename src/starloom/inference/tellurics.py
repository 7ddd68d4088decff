"""Lines of the Earth's atmosphere in observed spectra: the pixels in which they may lie."""

import numpy as np

from starloom import tables
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.spectrum import Spectrum

EARTH_KMS = 30.8  # at most, towards a star: 30.3 of the orbit, at perihelion, and 0.5 of the rotation


def telluric(spectrum: Spectrum, vacuum_aa: np.ndarray, resolution: float) -> np.ndarray:
    """Which of the pixels ``vacuum_aa`` [A] of a spectrum a telluric line may reach: bool[n].

    Those within the instrument's full width at half maximum of a line. The lines are at rest in the frame
    ``topocentric``; in ``barycentric`` and ``heliocentric`` they are wherever the Earth's velocity, which is
    not known, may have put them. Raises ConfigError for a spectrum in its star's rest frame, or of Gaia.
    """
    if str(spectrum.provenance.get("product", "")).startswith("Gaia"):
        raise ConfigError("telluric: a spectrum of Gaia comes from space, where there are no telluric lines")
    if spectrum.frame == "rest":
        raise ConfigError(
            "telluric: in a spectrum in its star's rest frame telluric lines have no known place"
        )
    reach = SPEED_OF_LIGHT_KMS / resolution + (0.0 if spectrum.frame == "topocentric" else EARTH_KMS)
    lines = tables.load("tellurics")["vacuum_wavelength_aa"]
    low, high = (lines * np.exp(side * reach / SPEED_OF_LIGHT_KMS) for side in (-1, 1))
    # both ends rise, so a pixel is in a window if more windows have begun at it than have ended before it
    return np.searchsorted(low, vacuum_aa, side="right") > np.searchsorted(high, vacuum_aa, side="left")
