"""One structure: what the layers of an atmosphere hold, and whether it can be one."""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from scipy.interpolate import CubicSpline

from starloom.arrays import one_line
from starloom.errors import OutOfRangeError

FEWEST_LAYERS = 10

COLUMNS = ("log_tau", "column_mass", "temperature", "gas_pressure", "electron_density")
SUPPORT = ("turbulent_pressure", "radiative_acceleration")
LABELS = ("teff", "logg", "mh", "alpha", "vmic")


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[*COLUMNS, *SUPPORT, *LABELS],
    meta_fields=[],
    drop_fields=["source"],
)
@dataclass(frozen=True, eq=False)
class Atmosphere:
    """Plane-parallel structure of an atmosphere; every column is an array [..., layer], layer 0 at the top.

    A JAX pytree: it passes through ``jit``, ``vmap`` and ``jacfwd`` (which drop ``source``). Nothing is
    checked on the way in, so that traced arrays pass: call ``check`` on what a user gives.

    ``log_tau`` is log10 of the Rosseland optical depth, ``column_mass`` in g cm-2, ``temperature`` in K,
    ``gas_pressure`` and ``turbulent_pressure`` in dyn cm-2, ``electron_density`` in cm-3,
    ``radiative_acceleration`` in cm s-2; None is what a file does not tell.
    """

    log_tau: np.ndarray
    """Decimal logarithm of the Rosseland optical depth."""
    column_mass: np.ndarray
    """Mass above the layer [g cm-2]."""
    temperature: np.ndarray
    """[K]"""
    gas_pressure: np.ndarray
    """Without radiation and turbulence [dyn cm-2]."""
    electron_density: np.ndarray | None = None
    """As the source gives it [cm-3]: a first guess for an equation of state with other abundances."""
    turbulent_pressure: np.ndarray | None = None
    """[dyn cm-2]; None: none was taken into account."""
    radiative_acceleration: np.ndarray | None = None
    """Outward acceleration by radiation [cm s-2]; None: not known."""
    teff: float | None = None
    """Effective temperature [K]."""
    logg: float | None = None
    """Decimal logarithm of the surface gravity in cm s-2."""
    mh: float | None = None
    """Abundance of all metals relative to the Sun [dex]."""
    alpha: float | None = 0.0
    """Abundance of O, Ne, Mg, Si, S, Ar, Ca and Ti relative to the metals [dex]."""
    vmic: float | None = None
    """Microturbulent velocity with which the structure was computed [km/s]."""
    source: str = ""
    """Where the structure comes from, for messages."""

    __repr__ = one_line

    def check(self) -> "Atmosphere":
        """This atmosphere, if it can be one; else OutOfRangeError with the column, layer and value."""
        where = f"{self.source}: " if self.source else ""
        layers = np.size(self.temperature)
        if layers < FEWEST_LAYERS:
            raise OutOfRangeError(
                f"{where}the atmosphere has {layers} layers, at least {FEWEST_LAYERS} needed"
            )
        for name in (*COLUMNS, *SUPPORT):
            if getattr(self, name) is not None:
                _check_column(where, name, np.asarray(getattr(self, name)), layers)
        return self


UNITS = {
    "log_tau": "",
    "column_mass": " g cm-2",
    "temperature": " K",
    "gas_pressure": " dyn cm-2",
    "electron_density": " cm-3",
    "turbulent_pressure": " dyn cm-2",
    "radiative_acceleration": " cm s-2",
}
POSITIVE = ("column_mass", "temperature", "gas_pressure", "electron_density")
INCREASING = ("log_tau", "column_mass")


def _check_column(where: str, name: str, values: np.ndarray, layers: int) -> None:
    if values.shape != (layers,):
        raise OutOfRangeError(f"{where}{name} has the shape {values.shape}, expected ({layers},)")
    faults = {
        "is not finite": ~np.isfinite(values),
        "is not positive": (values <= 0) & (name in POSITIVE),
        "does not increase inwards": np.append(False, np.diff(values) <= 0) & (name in INCREASING),
    }
    for fault, wrong in faults.items():
        if wrong.any():
            layer = int(np.argmax(wrong))
            raise OutOfRangeError(f"{where}{name} = {values[layer]:g}{UNITS[name]} in layer {layer} {fault}")


def hydrostatic_residual(atmosphere: Atmosphere) -> np.ndarray:
    r"""Relative error ``[layer]`` of hydrostatic equilibrium.

    .. math:: \frac{1}{g} \left( \frac{d}{dm} (P_\mathrm{gas} + P_\mathrm{turb}) + g_\mathrm{rad} \right) - 1

    with the column mass m (Mihalas 1978, Stellar Atmospheres, chapter 7); terms the atmosphere does not know
    count as zero. The derivative is that of a cubic spline of ln P over ln m: its own error is 1e-3 with
    layers 0.125 dex apart in optical depth and pressures of four digits, 1e-2 where convection makes
    neighbouring column masses similar. Raises OutOfRangeError without ``logg``.
    """
    if atmosphere.logg is None:
        raise OutOfRangeError("logg is None, needed for the check of hydrostatic equilibrium")
    gravity = 10.0 ** np.float64(atmosphere.logg)
    column_mass = np.asarray(atmosphere.column_mass, np.float64)
    pressure = np.asarray(atmosphere.gas_pressure, np.float64) + _known(atmosphere.turbulent_pressure)
    spline = CubicSpline(np.log(column_mass), np.log(pressure))
    gradient = pressure / column_mass * spline(np.log(column_mass), 1)
    return (gradient + _known(atmosphere.radiative_acceleration)) / gravity - 1


def _known(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(1) if values is None else np.asarray(values, np.float64)
