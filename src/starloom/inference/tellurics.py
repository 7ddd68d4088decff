"""Lines of the Earth's atmosphere in observed spectra: the pixels in which they may lie."""

import numpy as np

from starloom import bands, tables
from starloom.bands import Band
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError
from starloom.spectrum import Spectrum

EARTH_KMS = 30.8  # at most, towards a star: 30.3 of the orbit, at perihelion, and 0.5 of the rotation
TABLE = "tellurics"


def telluric(spectrum: Spectrum, vacuum_aa: np.ndarray, resolution: float, band: Band | None) -> np.ndarray:
    """Which of the pixels ``vacuum_aa`` [A] of a spectrum a telluric line may reach: bool[n].

    Those within the instrument's full width at half maximum of a line. The lines are at rest in the frame
    ``topocentric``; in ``barycentric`` and ``heliocentric`` they are wherever the Earth's velocity, which is
    not known, may have put them. Raises ConfigError for a spectrum in its star's rest frame, or of Gaia, and
    where the ``band`` has no table of them.
    """
    if str(spectrum.provenance.get("product", "")).startswith("Gaia"):
        raise ConfigError("telluric: a spectrum of Gaia comes from space, where there are no telluric lines")
    if spectrum.frame == "rest":
        raise ConfigError(
            "telluric: in a spectrum in its star's rest frame telluric lines have no known place"
        )
    reach = SPEED_OF_LIGHT_KMS / resolution + (0.0 if spectrum.frame == "topocentric" else EARTH_KMS)
    lines = _lines(band)
    low, high = (lines * np.exp(side * reach / SPEED_OF_LIGHT_KMS) for side in (-1, 1))
    # both ends rise, so a pixel is in a window if more windows have begun at it than have ended before it
    return np.searchsorted(low, vacuum_aa, side="right") > np.searchsorted(high, vacuum_aa, side="left")


def _lines(band: Band | None) -> np.ndarray:
    """Vacuum wavelengths [A] in the table of a band, or of the installed one of its name."""
    place = band.tables if band else ""
    if band and not place and band.name in bands.names():
        place = bands.load(band.name).tables
    if not place or TABLE not in tables.names(place):
        raise ConfigError("telluric: the model's band has no table of telluric lines")
    return tables.load(TABLE, place)["vacuum_wavelength_aa"]
