"""Reads spectra, structures and lines to compare with from the folder ``shared`` beside the repository.

The other scripts import it; it prints nothing.
"""

import importlib.util
import json
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd

from starloom import bands
from starloom.atmosphere import Atmosphere, read_atlas9
from starloom.broadening import broaden
from starloom.constants import ANGSTROM
from starloom.physics import molecules
from starloom.physics.linelist import UNSOLD_EXPONENT, LineList
from starloom.physics.molecules import MolecularTable
from starloom.wavelength import LogGrid, air_from_vacuum, vacuum_from_air

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
RESOLUTION = 11500.0
RVS = bands.load("rvs")
PAPER_GRID_AA = RVS.points.wavelength_aa
(GRID,) = RVS.chunks
AIR_GRID_AA = air_from_vacuum(GRID.wavelength_aa)
# other codes' spectra are put on a grid twice as fine, to lose nothing of their own sampling
FINE_GRID = LogGrid(GRID.first_aa, 2 * GRID.points - 1, GRID.step_kms / 2)
CROSS_SECTIONS_VMIC = 1.5  # km/s, that of shared's molecular cross-sections


@dataclass(frozen=True, eq=False)
class Reference:
    """A spectrum of another code, its structure, and what it cost."""

    name: str
    atmosphere: Atmosphere
    mh: float
    vmic: float
    wavelength_aa: np.ndarray  # air
    normalized: np.ndarray
    continuum: np.ndarray
    wall_s: float

    @property
    def seen(self) -> np.ndarray:
        """Normalised flux at R = 11500 on the paper's grid."""
        return seen_elsewhere(self.wavelength_aa, self.normalized)


def present() -> bool:
    """Whether the folder is there; says so in one line where not."""
    if not SHARED.exists():
        print(f"no folder {SHARED.name!r} beside the repository: nothing to compare with")
    return SHARED.exists()


def seen(normalized, wavelength_aa=PAPER_GRID_AA, resolution: float = RESOLUTION) -> np.ndarray:
    """A spectrum on the synthesis grid as an instrument shows it, at air wavelengths [Angstrom]."""
    flux = broaden(np.asarray(normalized, float), GRID.step_kms, resolution=resolution)
    return np.interp(wavelength_aa, AIR_GRID_AA, flux)


def seen_elsewhere(
    wavelength_aa, flux, onto_aa=PAPER_GRID_AA, resolution: float = RESOLUTION, native: float = np.inf
) -> np.ndarray:
    """A spectrum at any air wavelengths, of ``native`` resolution, at a lower one."""
    fine = np.interp(air_from_vacuum(FINE_GRID.wavelength_aa), wavelength_aa, flux)
    step = FINE_GRID.step_kms
    fine = broaden(fine, step, resolution=resolution, native_resolution=native)
    return np.interp(onto_aa, air_from_vacuum(FINE_GRID.wavelength_aa), fine)


def synspec_references() -> list[Reference]:
    """The eight SYNSPEC spectra on ATLAS9 structures, coolest first."""
    paths = (SHARED / "reference" / "synspec_atlas9").glob("*.npz")
    found = []
    for path in paths:
        with np.load(path) as data:
            columns = (data["wave_air_A"], data["flux_norm"], data["continuum"], float(data["wall_s"]))
            labels = (float(data["mh"]), float(data["vmic"]))
        found.append(Reference(path.stem, read_atlas9(path.with_suffix(".mod")), *labels, *columns))
    return sorted(found, key=lambda reference: reference.atmosphere.teff)


def three_codes(model: str, metals_only: bool = False) -> dict[str, Reference]:
    """Spectra of one common structure by code."""
    folder = SHARED / "reference" / "three_codes"
    found = {}
    for code in ("synspec", "turbospectrum", "pysme"):
        path = folder / f"{code}_{'noH_' if metals_only else ''}{model}.npz"
        if not path.exists():
            continue
        with np.load(path) as data:
            columns = (data["wave_air_A"], data["flux_norm"], data["continuum"], float(data["wall_s"]))
            vmic = float(data["vmicro"])
        found[code] = Reference(path.stem, read_atlas9(folder / f"{model}.mod"), 0.0, vmic, *columns)
    return found


WIDE = ("S1", "S2", "S5", "S7", "S8")  # stars of ``wide``


def wide(star: str) -> tuple[dict[str, Reference], float]:
    """Spectra of 8395-8805 A of one structure by code, and [alpha/M] [dex]."""
    folder = SHARED / "reference" / "wide"
    found = {}
    for code in ("synspec", "turbospectrum", "pysme"):
        (path,) = (folder / code).glob(f"{star}_*_W7.npz")
        with np.load(path) as data:
            columns = (data["wave_air_A"], data["flux_norm"], data["continuum"], float(data["wall_s"]))
            labels = (float(data["mh"]), float(data["vmic"]))
            atmosphere = read_atlas9(folder / str(data["structure"]))
            alpha = float(data["alpha_m"])
        found[code] = Reference(path.stem, atmosphere, *labels, *columns)
    return found, alpha


@cache
def _line_builder():
    """The script that builds the packaged line list; its widths are the one place for those formulas."""
    path = ROOT / "data" / "atomic_lines" / "build.py"
    specification = importlib.util.spec_from_file_location("atomic_lines_build", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def synspec_lines() -> LineList:
    """The lines of the SYNSPEC references (``data/lines/atomic.parquet``), widths by our own rules."""
    table = pd.read_parquet(SHARED / "data" / "lines" / "atomic.parquet")
    table = table[table["use_default"]].sort_values("wavelength_rec")
    abo = (table["vdw_type"] == "ABO").to_numpy()
    # as the Gaia-ESO list packs them: cross-section plus velocity parameter, logarithm, or Unsold's factor
    packed = np.where(abo, table["abo_sigma"] + table["abo_alpha"], table["log_gamma6"])
    packed = np.where(table["vdw_type"] == "unsold_factor", table["unsold_factor"], packed)
    build = _line_builder()
    columns = (table["wavelength_rec"], table["Z"], table["ion"] - 1, table["loggf_rec"], table["E_low_eV"])
    rows = zip(*columns, table["gamma_rad"], packed, strict=True)
    waals = [build.waals(build.Line(*row, source=0))[0] for row in rows]
    return LineList(
        wavelength=vacuum_from_air(table["wavelength_rec"].to_numpy()) * ANGSTROM,
        element=table["Z"].to_numpy() - 1,
        charge=table["ion"].to_numpy() - 1,
        log_gf=table["loggf_rec"].to_numpy(),
        energy_low=table["E_low_eV"].to_numpy(),
        gamma_radiative=table["gamma_rad"].to_numpy(),
        log_gamma_stark=table["gamma_stark"].to_numpy(),
        log_gamma_waals=np.array(waals),
        waals_exponent=np.where(abo, (1 - table["abo_alpha"]) / 2, UNSOLD_EXPONENT),
    )


def common_lines() -> LineList:
    """The line list of ``three_codes``, every width given."""
    table = pd.read_parquet(SHARED / "reference" / "three_codes" / "common_lines.parquet")
    return LineList(
        wavelength=vacuum_from_air(table["wavelength_air_A"].to_numpy()) * ANGSTROM,
        element=table["Z"].to_numpy().astype(int) - 1,
        charge=table["ion"].to_numpy().astype(int) - 1,
        log_gf=table["log_gf"].to_numpy(),
        energy_low=table["E_low_eV"].to_numpy(),
        gamma_radiative=10 ** table["log_gamma_rad"].to_numpy(),
        log_gamma_stark=table["log_gamma_stark_1e4K"].to_numpy(),
        log_gamma_waals=table["log_gamma_vdw_1e4K"].to_numpy(),
        waals_exponent=np.full(len(table), UNSOLD_EXPONENT),
    )


def shared_molecules(vmic: float) -> MolecularTable:
    """Shared's cross-sections for one microturbulence [km/s]; below 1.5 km/s they stay at 1.5 km/s."""
    path = SHARED / "data" / "physics" / "mol_cross_sections_8390_8810.npz"
    names = ("TiO", "CN", "FeH", "C2", "H2O")
    with np.load(path, allow_pickle=True) as data:
        wavelength_aa, temperature = vacuum_from_air(data["wavelength_air"]), data["T"]
        table = np.array(
            [[np.interp(GRID.wavelength_aa, wavelength_aa, row) for row in data[name]] for name in names]
        )
    more = np.sqrt(max(vmic**2 - CROSS_SECTIONS_VMIC**2, 0.0))
    arrays = {
        "packed_log_cross_section": np.log10(
            np.maximum(molecules.broaden(table, more, GRID.step_kms), 1e-40)
        ),
        "scale": np.ones(len(names)),
        "offset": np.zeros(len(names)),
        "first_vacuum_aa": GRID.first_aa,
        "step_kms": GRID.step_kms,
        "temperature": temperature,
        "name": np.array(names),
    }
    made = MolecularTable.from_arrays(arrays)
    # every node of microturbulence holds what is right for this star
    same = jnp.broadcast_to(made.cross_section[:1], made.cross_section.shape)
    return replace(made, cross_section=same)


def without_molecules(table: MolecularTable) -> MolecularTable:
    """The same table with no opacity in it."""
    return replace(table, cross_section=jnp.zeros_like(table.cross_section))


@dataclass(frozen=True, eq=False)
class Observed:
    """An observed spectrum at air wavelengths [Angstrom]."""

    wavelength_aa: np.ndarray
    flux: np.ndarray
    about: dict


def observed(name: str) -> Observed:
    """One file of ``observed`` by its stem, points without data left out."""
    with np.load(SHARED / "observed" / f"{name}.npz", allow_pickle=True) as data:
        good = np.isfinite(data["flux"])
        about = json.loads(str(data["meta"]))
        return Observed(data["wave_air_A"][good], data["flux"][good], about)
