"""Table ``atmospheres``: ATLAS9 structures, and C3K where it is better or alone, merged on one grid."""

import io
import pickle
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import main, read_member, write_table

TEFF = np.array([3250.0, *np.arange(3500.0, 13001.0, 250.0), 14000.0, 15000.0, 16000.0])  # K
LOGG = np.arange(1.5, 5.01, 0.5)  # dex
MH = np.arange(-2.0, 1.51, 0.5)  # dex
# Rosseland; the sources go on to 2, but deeper than this convection sets in so sharply with Teff that
# interpolated column masses can decrease inwards
LOG_TAU = -6.875 + 0.125 * np.arange(68)
COLUMNS = {"temperature": 1, "gas_pressure": 2, "column_mass": 0, "electron_density": 3}  # of both sources

CASTELLI = ("Fraunhofer", "1.0.3")
CASTELLI_FILES = {
    -2.0: ("am20", "35aa2669d7b5f8b1a310d91a4824cbe053577908e1e134c5a62f8faf9433693c"),
    -1.5: ("am15", "cc1e3d76ffc4dd9a9c2ec0e0a161b291b55b5808b5ae067348f2a7ed42e548e8"),
    -1.0: ("am10", "63b94f4e7185aaa6ab51d96f5a101f7f53eb120c437417b6f40ad451a29157f6"),
    -0.5: ("am05", "77e8548c98a0e75bcaa7c7a505130e5f3b58f0915d3deaf9ba476c218215cacd"),
    0.0: ("ap00", "11dd21eae99b3206b7dc9a5272d6b4c2945e66ba934792efe69dce4289843e50"),
    0.5: ("ap05", "0eee06417518dcb3c824893b67d72b089ad6b6d681b74838a2ad2c7888a510c6"),
}
C3K = ("atmosnet", "1.0.1")
C3K_FILES = {
    "cool": "07a5258162bfb98deb2472b87646b1a84a55cf93994a009bf17c4178187c8618",
    "hot": "1dfdbd14058e7d9ee40d5bb2c9038545ef61456e7d55b9002a1014af14d3810a",
}
C3K_SEAM = (7500.0, 8500.0)  # K: both networks were trained here
BLEND = (4000.0, 4500.0)  # K: C3K below, ATLAS9 above
OFFSET_TEFF = (5000.0, 6000.0)  # K: where the constant difference between the grids is taken
# deeper than log tau = 1 the network errs by up to 50 % in T where convection sets in: its response to [M/H]
# stays that of this layer
DEEPEST_RESPONSE = np.minimum(np.arange(len(LOG_TAU)), np.flatnonzero(LOG_TAU == 1.0)[0])
METAL_RICH_LIMIT = {1.5: 9000.0, 2.0: 9250.0, 2.5: 10750.0}  # K: beyond it C3K has no model of [M/H] > 0.5


def build(folder: Path) -> None:
    """Write the table of structures into ``folder``."""
    castelli = castelli_grid()
    known = np.isfinite(castelli[..., 0, 0])
    write_table(
        "atmospheres",
        {
            "teff": TEFF,
            "logg": LOGG,
            "mh": MH,
            "log_tau": LOG_TAU,
            "valid": valid_nodes(known),
            "columns": np.array(list(COLUMNS)),
            # rounded so that the last place does not depend on the processor
            "structures": np.round(merged_grid(castelli), 6).astype(np.float32),
        },
        folder,
    )


def merged_grid(castelli: np.ndarray) -> np.ndarray:
    """Decimal logarithms [teff, logg, mh, layer, column] at every node, the ones without a model filled."""
    network = c3k_grid()
    poor = MH <= 0.5
    base = network[:, :, poor] + constant_difference(castelli, network[:, :, poor])
    weight = smooth_step(TEFF, *BLEND)[:, None, None, None, None]
    base = np.where(weight > 0, weight * fill_corner(castelli) + (1 - weight) * base, base)
    solar_rich = np.flatnonzero(MH == 0.5)[0]
    response = (network[:, :, ~poor] - network[:, :, [solar_rich]])[..., DEEPEST_RESPONSE, :]
    return np.concatenate([base, base[:, :, [solar_rich]] + response], axis=2)


def constant_difference(castelli: np.ndarray, network: np.ndarray) -> np.ndarray:
    """Mean of ATLAS9 minus C3K over OFFSET_TEFF, per log g, [M/H] and layer.

    The grids differ by their abundances and opacities where both are good, too; without this term the
    difference would turn into a slope over the 500 K of the blend.
    """
    both = (OFFSET_TEFF[0] <= TEFF) & (OFFSET_TEFF[1] >= TEFF)
    return (castelli[both] - network[both]).mean(axis=0)


def fill_corner(castelli: np.ndarray) -> np.ndarray:
    """The grid with smooth values where it has none: below log g 2.5 near the radiation limit.

    Quadratic in log g from the three nodes above, plus the error of that extrapolation at the known Teff of
    the same row, so that the row has no step where the models end.
    """
    filled = castelli.copy()
    for row in np.flatnonzero(LOGG <= 2.0)[::-1]:
        extrapolated = 3 * filled[:, row + 1] - 3 * filled[:, row + 2] + filled[:, row + 3]
        for mh in range(castelli.shape[2]):
            known = np.isfinite(castelli[:, row, mh, 0, 0])
            error = castelli[known, row, mh] - extrapolated[known, mh]
            filled[:, row, mh] = extrapolated[:, mh] + interpolate_rows(TEFF, TEFF[known], error)
    return filled


def interpolate_rows(x: np.ndarray, nodes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Linear interpolation of ``values[node, ...]`` along the first axis, constant outside."""
    flat = values.reshape(len(nodes), -1)
    columns = [np.interp(x, nodes, column) for column in flat.T]
    return np.stack(columns, axis=-1).reshape(len(x), *values.shape[1:])


def valid_nodes(known: np.ndarray) -> np.ndarray:
    """Whether each node rests on a model: of ATLAS9, or of C3K (its training labels) where that is used."""
    cool = (BLEND[0] >= TEFF)[:, None, None]
    limit = np.array([METAL_RICH_LIMIT.get(float(logg), np.inf) for logg in LOGG])
    rich = (TEFF[:, None] <= limit)[..., None] & (known | cool)[:, :, -1:]
    return np.concatenate([known | cool, np.repeat(rich, np.sum(MH > 0.5), axis=2)], axis=2)


def castelli_grid() -> np.ndarray:
    """Castelli & Kurucz (2003) on the nodes with [M/H] <= 0.5, NaN where there is no model."""
    grid = np.full((len(TEFF), len(LOGG), len(CASTELLI_FILES), len(LOG_TAU), len(COLUMNS)), np.nan)
    for number, (name, sha256) in enumerate(CASTELLI_FILES.values()):
        content = read_member(*CASTELLI, f"fraunhofer/data/{name}k2odfnew.dat", sha256).decode()
        for model in content.split("TEFF ")[1:]:
            lines = model.splitlines()
            teff, _, logg, _ = lines[0].split()
            node = np.flatnonzero(float(teff) == TEFF), np.flatnonzero(float(logg) == LOGG)
            if all(len(index) for index in node):
                grid[node[0][0], node[1][0], number] = castelli_layers(lines)
    return grid


def castelli_layers(lines: list[str]) -> np.ndarray:
    """Decimal logarithms of the columns of one model; its layers lie on LOG_TAU by construction."""
    first = next(i for i, line in enumerate(lines) if line.startswith("READ DECK6 72")) + 1
    layers = np.array([line.split() for line in lines[first : first + len(LOG_TAU)]], dtype=float)
    return np.log10(layers[:, list(COLUMNS.values())])


def c3k_grid() -> np.ndarray:
    """C3K as its published network emulates it, at every node; layers as in ATLAS9."""
    teff, logg, mh = np.meshgrid(TEFF, LOGG, MH, indexing="ij")
    labels = np.stack([teff, logg, mh, np.zeros_like(mh)], axis=-1)  # the last is [alpha/M]
    weight = smooth_step(TEFF, *C3K_SEAM)[:, None, None, None, None]
    cool, hot = (
        np.stack([network(weights[column], labels) for column in COLUMNS.values()], axis=-1)
        for weights in map(c3k_weights, C3K_FILES)
    )
    grid = np.where(weight < 1, (1 - weight) * cool, 0) + np.where(weight > 0, weight * hot, 0)
    return with_pressure_of_weight(grid, 1 - weight[..., 0])


def with_pressure_of_weight(grid: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The grid with P = g m, by the given share.

    The networks of pressure and of column mass, trained apart, contradict each other by up to 30 %.
    In ATLAS9 radiation bears less than 0.1 % of the weight below 7000 K but for a few supergiants.
    """
    pressure, mass = (list(COLUMNS).index(name) for name in ("gas_pressure", "column_mass"))
    grid[..., pressure] += share * (LOGG[:, None, None] + grid[..., mass] - grid[..., pressure])
    return grid


def network(weights: dict, labels: np.ndarray) -> np.ndarray:
    """log10 of one column at the layers of LOG_TAU: two hidden layers, leaky ReLU."""
    low, high = weights["x_min"], weights["x_max"]
    state = (labels - low) / (high - low) - 0.5
    for layer in range(3):
        state = state @ weights[f"w_array_{layer}"].T.astype(float) + weights[f"b_array_{layer}"]
        if layer < 2:
            state = np.where(state > 0, state, 0.01 * state)
    return state[..., : len(LOG_TAU)]


def c3k_weights(name: str) -> list[dict]:
    """Weights of one network, a dictionary for each column."""
    member = f"atmosnet/data/atmosnet_c3k_300neurons_{name}.pkl"
    return ArrayUnpickler(io.BytesIO(read_member(*C3K, member, C3K_FILES[name]))).load()


class ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle of containers, text, numbers and arrays, as ``dill`` writes it; runs nothing else."""

    MAKERS: ClassVar = {
        "_reconstruct": np.empty(0).__reduce__()[0],
        "scalar": np.float64(0).__reduce__()[0],
    }
    ALLOWED: ClassVar = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("dill._dill", "_import_module"): str,
        ("dill._dill", "_get_attr"): lambda module, name: ArrayUnpickler.MAKERS[name],
    }

    def find_class(self, module: str, name: str):
        """The few constructors that arrays need."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return self.ALLOWED[module, name]


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, between them the cubic with level ends."""
    fraction = np.clip((x - low) / (high - low), 0, 1)
    return fraction**2 * (3 - 2 * fraction)


if __name__ == "__main__":
    main(build)
