"""Wavelength grids, and the refractive index of air between air and vacuum wavelengths."""

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS

PAPER_GRID_AA = 8400.0 + 0.1 * np.arange(4000)  # air; Gebran (2024), section 2.1
