"""The atomic lines of a band, as arrays.

Those of the packaged band are of Heiter et al. (2021, A&A 645, A106). cgs: wavelengths [cm] in vacuum.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from starloom.constants import ANGSTROM
from starloom.errors import ConfigError
from starloom.wavelength import vacuum_from_air

NEGLIGIBLE_STRENGTH = 1e-6  # of the continuum at solar abundance; 3e-5 at [M/H] = +1.5
UNSOLD_EXPONENT = 0.3  # of the temperature in Unsold's width: the mean speed to the power 3/5


def kept(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which lines of a table ``atomic_lines`` can matter anywhere: bool[line]."""
    return arrays["strength"].max(axis=1) > NEGLIGIBLE_STRENGTH


# of the reach of lines; resonance lines are seen 700 A away in M dwarfs
FARTHEST_AA, NEAREST_AA = 3000.0, 10.0


def reach_aa(arrays: Mapping[str, np.ndarray]) -> Float[np.ndarray, "line"]:
    """How far from its centre [A] each line of a table ``atomic_lines`` is looked for.

    A Lorentz wing over the continuum falls to ``lines.CUT`` at a distance that goes as the square root of the
    line's strength: 10 A for a strength of 1 is as far as the widest lines of dwarfs go, at [M/H] = +1.5 as
    those of the Sun do.
    """
    strength = np.asarray(arrays["strength"]).max(axis=1)
    return np.clip(NEAREST_AA * np.sqrt(strength), NEAREST_AA, FARTHEST_AA)


# what a line is made of, besides its strength for ranking
COLUMNS = ("wavelength_aa", "atomic_number", "charge", "log_gf", "energy_low_ev", "gamma_radiative")
COLUMNS += ("log_gamma_stark", "log_gamma_waals", "abo_alpha")


def calibrated(
    arrays: Mapping[str, np.ndarray], calibration: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """A table ``atomic_lines`` with the changes of ``line_calibration`` and its unidentified lines.

    Raises ``ConfigError`` where the two are not of the same lines.

    ``calibration`` is that table, ``arrays`` the first; arrays ``[line]`` by name.
    """
    if not np.array_equal(calibration["log_gf"], arrays["log_gf"]):
        raise ConfigError("line_calibration: it was not made for these atomic_lines")
    table = {key: arrays[key] for key in (*COLUMNS, "strength")}
    table["log_gf"] = table["log_gf"] + calibration["log_gf_change"]
    table["log_gamma_waals"] = table["log_gamma_waals"] + calibration["log_waals_change"]
    table = {key: np.concatenate([column, calibration[f"added_{key}"]]) for key, column in table.items()}
    order = np.argsort(table["wavelength_aa"], kind="stable")
    return {key: column[order] for key, column in table.items()}


class LineList(NamedTuple):
    """Atomic lines, sorted by wavelength; widths are full widths at half maximum in angular frequency."""

    wavelength: Float[Array, "line"]  #: vacuum, cm
    element: Int[Array, "line"]  #: atomic number - 1
    charge: Int[Array, "line"]  #: of the ion: 0 for neutral atoms
    log_gf: Float[Array, "line"]  #: log10, isotope fraction included
    energy_low: Float[Array, "line"]  #: eV
    gamma_radiative: Float[Array, "line"]  #: s-1
    log_gamma_stark: Float[Array, "line"]  #: log10 s-1 per electron cm-3
    log_gamma_waals: Float[Array, "line"]  #: log10 s-1 per hydrogen atom cm-3 at 10 000 K
    waals_exponent: Float[Array, "line"]  #: of the temperature

    def take(self, index: Int[Array, "chosen"]) -> "LineList":
        """The lines of these indices.

        ``index``: numbers of lines, from 0.
        """
        return jax.tree.map(lambda column: column[index], self)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], calibration: Mapping[str, np.ndarray] | None = None
    ) -> "LineList":
        """The lines of a table ``atomic_lines`` of a band, and what its ``line_calibration`` makes of them.

        Of the packaged one: Gaia-ESO (Heiter et al. 2021, A&A 645, A106) with He I and Ne I; see
        ``data/atomic_lines``. Lines weaker than ``NEGLIGIBLE_STRENGTH`` from 4000 to 14 000 K are left out.

        Van der Waals widths follow Anstee, Barklem & O'Mara where known, growing as T^((1 - alpha)/2)
        (Barklem & O'Mara 1997, MNRAS 290, 102, eq. 3), and else as T^0.3 (Unsold 1955).

        ``calibration`` is the table ``line_calibration``, or None.
        """
        arrays = arrays if calibration is None else calibrated(arrays, calibration)
        chosen = kept(arrays)
        table = {key: arrays[key][chosen] for key in COLUMNS}
        abo = np.isfinite(table["abo_alpha"])
        return cls(
            wavelength=vacuum_from_air(table["wavelength_aa"]) * ANGSTROM,
            element=table["atomic_number"].astype(int) - 1,
            charge=table["charge"].astype(int),
            log_gf=table["log_gf"].astype(float),
            energy_low=table["energy_low_ev"],
            gamma_radiative=table["gamma_radiative"].astype(float),
            log_gamma_stark=table["log_gamma_stark"].astype(float),
            log_gamma_waals=table["log_gamma_waals"].astype(float),
            waals_exponent=np.where(abo, (1 - table["abo_alpha"]) / 2, UNSOLD_EXPONENT),
        )
