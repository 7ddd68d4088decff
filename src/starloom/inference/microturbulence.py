r"""The microturbulence that dwarfs have, as knowledge where a spectrum does not tell it.

The relation of the Gaia-ESO survey for dwarfs and subgiants, as iSpec has it (Blanco-Cuaresma et al. 2014,
A&A 569, A111), with :math:`t = \max(T_{eff}, 5000) - 5500`, :math:`g = \log g - 4`:

.. math:: \xi = 1.05 + 2.51\,10^{-4} t + 1.5\,10^{-7} t^2 - 0.14 g - 0.005 g^2 + 0.05 [M/H] + 0.01 [M/H]^2

Stars scatter around it by some 0.25 km/s. Above 6500 K and below log g = 3.5 it ends; over RAMP it fades out.
"""

import numpy as np

SCATTER_KMS = 0.25
HOTTEST, LOWEST_LOGG = 6500.0, 3.5
RAMP = {"teff": 500.0, "logg": 0.3}


def typical(teff, logg, mh):
    """Microturbulence [km/s] of dwarfs of Teff [K], log g and [M/H] [dex]."""
    t, g = np.maximum(teff, 5000.0) - 5500.0, logg - 4.0
    by_metals = 0.05 * mh + 0.01 * mh**2
    return 1.05 + 2.51e-4 * t + 1.5e-7 * t**2 - 0.14 * g - 0.005 * g**2 + by_metals


def deviation(teff, logg):
    """Standard deviation [km/s] of dwarfs around ``typical``: infinite where it says nothing."""
    beyond = [(teff - HOTTEST) / RAMP["teff"], (LOWEST_LOGG - logg) / RAMP["logg"]]
    known = np.prod([np.clip(1 - each, 0, 1) for each in beyond], axis=0)
    with np.errstate(divide="ignore"):
        return SCATTER_KMS / np.sqrt(known)
