"""Table ``atmospheres``: ATLAS9 structures, and C3K where it is better or alone, merged on one grid."""

import gzip
import io
import pickle
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.interpolate import CubicSpline

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import main, read_member, write_table

from starloom.constants import BOLTZMANN

TEFF = np.array([3000.0, 3250.0, *np.arange(3500.0, 13001.0, 250.0), 14000.0, 15000.0, 16000.0, 17000.0])  # K
LOGG = np.arange(-1.0, 5.51, 0.5)  # dex
MH = np.arange(-3.5, 1.51, 0.5)  # dex
ALPHA = np.array([-0.2, 0.0, 0.2, 0.4, 0.6])  # dex
# Rosseland; the sources go on to 2, but deeper than this convection sets in so sharply with Teff that
# interpolated column masses can decrease inwards
LOG_TAU = -6.875 + 0.125 * np.arange(68)
COLUMNS = {"temperature": 1, "gas_pressure": 2, "column_mass": 0, "electron_density": 3}  # of both sources
PRESSURE, MASS = (list(COLUMNS).index(name) for name in ("gas_pressure", "column_mass"))
LEAST_STEP = 1e-3  # dex of column mass from layer to layer: the least of ATLAS9's
QUANTA = {"temperature": 5e-6, "gas_pressure": 2e-5, "column_mass": 2e-5, "electron_density": 4e-4}  # dex
SMOOTH = (3, 2, 1, 4)  # axes along which a value is told as its difference from the one before

CASTELLI = ("Fraunhofer", "1.0.3")
CASTELLI_MH = np.flatnonzero((MH >= -2.5) & (MH <= 0.5))
CASTELLI_ALPHA = np.array([1, 3])  # 0 and 0.4
CASTELLI_FILES = {  # of rising [M/H], first with alpha 0, then 0.4
    "am25": "5356427c9ef37c5bac8cca7434971c5861e97c9e8f02db5ec0f2f86805f9b618",
    "am20": "35aa2669d7b5f8b1a310d91a4824cbe053577908e1e134c5a62f8faf9433693c",
    "am15": "cc1e3d76ffc4dd9a9c2ec0e0a161b291b55b5808b5ae067348f2a7ed42e548e8",
    "am10": "63b94f4e7185aaa6ab51d96f5a101f7f53eb120c437417b6f40ad451a29157f6",
    "am05": "77e8548c98a0e75bcaa7c7a505130e5f3b58f0915d3deaf9ba476c218215cacd",
    "ap00": "11dd21eae99b3206b7dc9a5272d6b4c2945e66ba934792efe69dce4289843e50",
    "ap05": "0eee06417518dcb3c824893b67d72b089ad6b6d681b74838a2ad2c7888a510c6",
    "am25a": "abfcf2e8727efd4df63c75056c0b7532f51ee9978f62b2d7cd1d439d8db15865",
    "am20a": "c97def8b2b6783aefe8ef9b2a64a38c1fbaf91085b22f7f6fc57992d152ad686",
    "am15a": "cd6dafc5b237d56216645971ecc1b17d55a27793f9aff0fa3cf57de7809e4a4d",
    "am10a": "590878bea0468a18e5b21dc3485cd1abc467a1140fb4eef3aa61f87d9dd67c91",
    "am05a": "3b56dc4a0d970f67d3ec851791581f59734634d3e83c1510ff4014fcfd7e4788",
    "ap00a": "9dc12d0cc724977cc4948dddc84dfdbda2946f6ca3263edf6e4abfd0943b7c15",
    "ap05a": "48dec453af7a62ba95a07a4b93c7ff644bd2b5a2536c7d77df06728ab6ca0450",
}
C3K = ("atmosnet", "1.0.1")
C3K_FILES = {
    "cool": "07a5258162bfb98deb2472b87646b1a84a55cf93994a009bf17c4178187c8618",
    "hot": "1dfdbd14058e7d9ee40d5bb2c9038545ef61456e7d55b9002a1014af14d3810a",
}
C3K_SEAM = (7500.0, 8500.0)  # K: both networks were trained here
C3K_WIDE = 4250.0  # K: up to here C3K's models have log g from -1 on, above from 0
MARCS = (
    *("roland", "1.0.0", "roland/atmos/marcs_data.txt.gz"),
    "fda2a370e8a25933fb3772a8aacf2ec105471b2afec765f8b0108155514d3f67",
)
MARCS_LAYERS, MARCS_LINES = 56, 150  # of a model; the lines that hold both blocks of its layers
MARCS_GAP = (3750.0, 5.5, -2.0)  # the only model that lacks
MARCS_TEFF = (3000.0, 3200.0, 3300.0, 3500.0, 3750.0)  # K
MARCS_SHARE = {  # of dwarfs by Teff and [M/H], where C3K's are not to be trusted
    3000.0: np.ones(7),
    3250.0: np.ones(7),
    3500.0: np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
    3750.0: np.array([0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]),
}
MARCS_LOGG = {3.5: 0.5, 4.0: 1.0, 4.5: 1.0, 5.0: 1.0, 5.5: 1.0}  # share by log g
BLEND = (4000.0, 4500.0)  # K: C3K below, ATLAS9 above
OFFSET_TEFF = (5000.0, 6000.0)  # K: where the constant difference between the grids is taken
RICH_GIANTS = 5750.0  # K: from here on C3K has giants with [M/H] > 0.5 again
METAL_RICH_LIMIT = {1.5: 9000.0, 2.0: 9250.0, 2.5: 10750.0}  # K: beyond it C3K has no model of [M/H] > 0.5


def build(folder: Path) -> None:
    """Write the table of structures into ``folder``."""
    castelli = castelli_grid()
    write_table(
        "atmospheres",
        {
            "teff": TEFF,
            "logg": LOGG,
            "mh": MH,
            "alpha": ALPHA,
            "log_tau": LOG_TAU,
            "valid": valid_nodes(np.isfinite(castelli[..., 0, 0, 0, 0])),
            "columns": np.array(list(COLUMNS)),
            **packed(merged_grid(castelli)),
        },
        folder,
    )


def merged_grid(castelli: np.ndarray) -> np.ndarray:
    """Decimal logarithms at every node, the ones without a model filled.

    All grids here are [teff, logg, mh, alpha, layer, column].
    """
    known = np.isfinite(castelli[..., 0, 0, 0, 0])
    network, rich = c3k_grid(supported_labels(known, False)), c3k_grid(supported_labels(known, True))
    base = blended(castelli, c3k_grid(node_labels()[:, :, CASTELLI_MH][:, :, :, CASTELLI_ALPHA]))
    at_castelli = network[:, :, CASTELLI_MH][:, :, :, CASTELLI_ALPHA]
    base = with_marcs(base, at_castelli - at_castelli[:, :, :, [0]])
    return extended(base, network, rich[:, :, CASTELLI_MH[-1] :, CASTELLI_ALPHA[:1]])


def blended(castelli: np.ndarray, network: np.ndarray) -> np.ndarray:
    """C3K below the blend, ATLAS9 above, at the [M/H] and alpha of ATLAS9 and every log g."""
    base = increasing(with_highest_gravity(network + constant_difference(castelli, network)), 0)
    weight = smooth_step(TEFF, *BLEND)[:, None, None, None, None, None]
    return np.where(weight > 0, weight * all_gravities(castelli) + (1 - weight) * base, base)


def with_highest_gravity(grid: np.ndarray) -> np.ndarray:
    """The grid with log g 5.5 from the three nodes below, by the mean of a line and a parabola.

    Deeper than log tau = 0.5, where convection sets in the hotter the higher log g, the step of that layer.
    """
    grid = grid.copy()
    step = 1.5 * grid[:, -2] - 2 * grid[:, -3] + 0.5 * grid[:, -4]
    grid[:, -1] = grid[:, -2] + step[..., not_deeper(0.5), :]
    return grid


def with_marcs(base: np.ndarray, to_alpha: np.ndarray) -> np.ndarray:
    """The grid with the cool dwarfs of MARCS, which has alpha 0 alone: it answers to alpha as C3K does."""
    marcs, grid = marcs_dwarfs(), base.copy()
    for row, teff in enumerate(MARCS_SHARE):
        for column, logg in enumerate(MARCS_LOGG):
            node = np.flatnonzero(teff == TEFF)[0], np.flatnonzero(logg == LOGG)[0]
            share = (MARCS_SHARE[teff] * MARCS_LOGG[logg])[:, None, None, None]
            grid[node] += share * (marcs[row, column][:, None] + to_alpha[node] - grid[node])
    return increasing(grid, 0)


def marcs_dwarfs() -> np.ndarray:
    """MARCS [teff of MARCS_SHARE, log g of MARCS_LOGG, [M/H] of ATLAS9, layer, column].

    3250 K is the mean of 3200 and 3300 K; the one model that lacks, that of its neighbours in [M/H].
    """
    models = dict(marcs_models("p", MARCS_TEFF))
    models[MARCS_GAP] = (models[*MARCS_GAP[:2], -2.5] + models[*MARCS_GAP[:2], -1.5]) / 2
    places = [(t, g, m) for t in MARCS_TEFF for g in MARCS_LOGG for m in MH[CASTELLI_MH].tolist()]
    found = np.array([models[place] for place in places])
    found = found.reshape(len(MARCS_TEFF), len(MARCS_LOGG), len(CASTELLI_MH), *found.shape[1:])
    return np.stack([found[0], (found[1] + found[2]) / 2, found[3], found[4]])


def marcs_models(shape: str, teffs):
    """Places (Teff, log g, [M/H]) and columns on LOG_TAU of MARCS models of some Teff [K], by their headers.

    ``shape``: "p" plane-parallel, "s" spherical. Some models are there twice.
    """
    lines = gzip.decompress(read_member(*MARCS)).decode().splitlines()
    for start in (i for i, line in enumerate(lines) if line[:1] == shape and line[1:5].isdigit()):
        teff, gravity, mh = (float(lines[start + number].split()[0]) for number in (1, 3, 6))
        if teff in teffs:
            place = teff, round(float(np.log10(gravity)), 2), mh
            yield place, marcs_layers(lines[start : start + MARCS_LINES])


def marcs_layers(lines: list[str]) -> np.ndarray:
    """Decimal logarithms of the columns of one model on LOG_TAU; gas pressure with the turbulent one."""
    first, second = (i + 1 for i, line in enumerate(lines) if line.startswith(" k lgTauR"))
    upper, lower = ([line.split() for line in lines[i : i + MARCS_LAYERS]] for i in (first, second))
    _, log_tau, _, _, t, electrons, gas, _, turbulent = np.array(upper, dtype=float).T
    mass = np.array([row[-1] for row in lower], dtype=float)
    return on_grid(
        log_tau, np.log10(np.stack([t, gas + turbulent, mass, electrons / (BOLTZMANN * t)], axis=-1))
    )


def on_grid(log_tau: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Columns on LOG_TAU by a cubic spline, linear above the first layer."""
    spline = CubicSpline(log_tau, columns)
    above = np.minimum(LOG_TAU - log_tau[0], 0)[:, None]
    return spline(np.maximum(LOG_TAU, log_tau[0])) + above * spline(log_tau[0], 1)


def extended(base: np.ndarray, network: np.ndarray, rich: np.ndarray) -> np.ndarray:
    """The grid at every [M/H] and alpha: beyond those of ATLAS9 it answers to them as C3K does.

    C3K has no models with both [M/H] > 0.5 and alpha: there it answers to [M/H] as with alpha = 0, ``rich``
    from [M/H] = 0.5 on. To alpha
    and to low [M/H] pressure answers as column mass does: the hot networks of both contradict each other.
    """
    low, high = CASTELLI_ALPHA
    share = np.clip((ALPHA - ALPHA[low]) / (ALPHA[high] - ALPHA[low]), 0, 1)[:, None, None]

    def between(grid):
        return (1 - share) * grid[:, :, :, [0]] + share * grid[:, :, :, [1]]

    # deeper the network errs by up to 50 % in T where convection sets in: it answers as in this layer
    network, rich = network[..., not_deeper(1.0), :], rich[..., not_deeper(1.0), :]
    tied = network.copy()
    tied[..., PRESSURE] = tied[..., MASS]
    inner = tied[:, :, CASTELLI_MH]
    inner = answered(between(base), inner - between(inner[:, :, :, CASTELLI_ALPHA]))
    first = CASTELLI_MH[0]
    poor = answered(inner[:, :, [0]], tied[:, :, :first] - tied[:, :, [first]])
    rich = answered(inner[:, :, [-1]], rich[:, :, 1:] - rich[:, :, [0]])
    return np.concatenate([poor, inner, rich], axis=2)


def not_deeper(log_tau: float) -> np.ndarray:
    """Index of each layer, or of the layer at ``log_tau`` for those that lie deeper."""
    return np.minimum(np.arange(len(LOG_TAU)), np.flatnonzero(log_tau == LOG_TAU)[0])


def answered(grid: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The grid after a response of the network, which may at most halve a step of column mass.

    In giants those steps are as small as the network's noise, 0.002 dex.
    """
    return increasing(grid + response, np.diff(grid[..., MASS], axis=-1) / 2)


def increasing(grid: np.ndarray, least) -> np.ndarray:
    """The grid with steps of the logarithm of column mass of at least ``least`` and LEAST_STEP.

    What is added moves the deeper layers of gas pressure, too.
    """
    step = np.diff(grid[..., MASS], axis=-1)
    added = np.cumsum(np.maximum(np.maximum(least, LEAST_STEP) - step, 0), axis=-1)
    grid = grid.copy()
    grid[..., 1:, [MASS, PRESSURE]] += added[..., None]
    return grid


def constant_difference(castelli: np.ndarray, network: np.ndarray) -> np.ndarray:
    """Mean of ATLAS9 minus C3K over OFFSET_TEFF, per log g, [M/H], alpha and layer.

    The grids differ by their abundances and opacities where both are good, too; without this term the
    difference would turn into a slope over the 500 K of the blend. Where ATLAS9 has no such log g it is that
    of the nearest.
    """
    both = (OFFSET_TEFF[0] <= TEFF) & (OFFSET_TEFF[1] >= TEFF)
    difference = (castelli[both] - network[both]).mean(axis=0)
    return difference[np.clip(np.arange(len(LOGG)), *np.flatnonzero((LOGG >= 0) & (LOGG <= 5))[[0, -1]])]


def all_gravities(castelli: np.ndarray) -> np.ndarray:
    """ATLAS9 with smooth values at every log g where it has no model.

    Quadratic in log g from the next three nodes; towards low log g, the radiation limit, plus the error of
    that extrapolation at the known Teff of the same row, so that the row has no step where the models end.
    """
    filled = with_highest_gravity(castelli)
    for row in np.flatnonzero(LOGG <= 2.0)[::-1]:
        extrapolated = 3 * filled[:, row + 1] - 3 * filled[:, row + 2] + filled[:, row + 3]
        known = np.isfinite(castelli[:, row, 0, 0, 0, 0])
        error = castelli[known, row] - extrapolated[known]
        filled[:, row] = extrapolated + (interpolate_rows(TEFF, TEFF[known], error) if known.any() else 0)
    return increasing(filled, 0)


def interpolate_rows(x: np.ndarray, nodes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Linear interpolation of ``values[node, ...]`` along the first axis, constant outside."""
    flat = values.reshape(len(nodes), -1)
    columns = [np.interp(x, nodes, column) for column in flat.T]
    return np.stack(columns, axis=-1).reshape(len(x), *values.shape[1:])


def valid_nodes(known: np.ndarray) -> np.ndarray:
    """Whether each node [teff, logg, mh, alpha] rests on a model: of ATLAS9, or of C3K where that is used.

    ``known`` [teff, logg] says where ATLAS9 has models. Log g 5.5 counts as 5.0 above C3K_WIDE. C3K has no
    metal-rich giants between 4250 and 5750 K, where its network interpolates in Teff: up to [M/H] 1, and from
    log g 2 on, that counts as a model.
    """
    known = np.concatenate([known[:, :-1], known[:, [-2]]], axis=1)[..., None, None]
    teff, logg, mh, _ = np.moveaxis(node_labels(), -1, 0)
    lowest = lowest_c3k()[:, None]
    limit = np.array([METAL_RICH_LIMIT.get(float(g), np.inf if g > 2 else 9000.0) for g in LOGG])
    gap = (teff > BLEND[0]) & (teff < RICH_GIANTS) & ((mh < 1.5) | (logg >= 2))
    poor = np.where(teff <= C3K_WIDE, logg >= lowest, known)
    solar_rich = poor[:, :, CASTELLI_MH[[-1]]]
    rich = np.where(teff <= BLEND[0], logg >= lowest, gap | (teff >= RICH_GIANTS)) & solar_rich
    return np.where(mh <= 0.5, poor, rich & (teff <= limit[:, None, None]))


def lowest_c3k() -> np.ndarray:
    """Lowest log g among C3K's models (its training labels), [teff, mh, alpha].

    A tenth of the models are not among the training labels: one with more metals and alpha stands for them.
    Above [M/H] 0.5 there is alpha 0 alone, which stands for all, and alpha 0.4 stands for 0.6, which lacks
    the lowest half dex at 4000 and 4250 K and [M/H] 0.5.
    """
    trained = np.concatenate([c3k_weights(name)[0]["training_labels"] for name in C3K_FILES])
    lowest = np.full((len(TEFF), len(MH), len(ALPHA)), np.inf)
    for i, j, k in np.ndindex(lowest.shape):
        teff, mh, alpha = (
            3200.0 if TEFF[i] == 3250 else TEFF[i],
            MH[j],
            min(ALPHA[k], 0.4) if MH[j] <= 0.5 else 0.0,
        )
        harder = (trained[:, 0] == teff) & (trained[:, 2] >= mh - 0.01) & (trained[:, 3] >= alpha - 0.01)
        lowest[i, j, k] = trained[harder, 1].min(initial=np.inf)
    return lowest


def packed(grid: np.ndarray) -> dict[str, np.ndarray]:
    """The grid in whole quanta, as differences along its smooth axes: byte by byte, the lowest first.

    Signs are the lowest bit, so that small differences have zeros in their higher bytes, which compress.
    """
    whole = np.rint(grid / list(QUANTA.values())).astype(np.int32)
    for axis in SMOOTH:
        whole = np.diff(whole, axis=axis, prepend=np.int32(0))
    code = ((whole << 1) ^ (whole >> 31)).view(np.uint32)
    count = 1 + int(code.max()).bit_length() // 8
    return {
        "quanta": np.array(list(QUANTA.values())),
        "differences_along": np.array(SMOOTH),
        "structures": np.stack([(code >> 8 * number).astype(np.uint8) for number in range(count)]),
    }


def castelli_grid() -> np.ndarray:
    """Castelli & Kurucz (2003) on its [M/H] and alpha, NaN where there is no model."""
    shape = len(TEFF), len(LOGG), len(CASTELLI_MH), len(CASTELLI_ALPHA), len(LOG_TAU), len(COLUMNS)
    grid = np.full(shape, np.nan)
    for number, (name, sha256) in enumerate(CASTELLI_FILES.items()):
        alpha, mh = divmod(number, len(CASTELLI_MH))
        content = read_member(*CASTELLI, f"fraunhofer/data/{name}k2odfnew.dat", sha256).decode()
        for model in content.split("TEFF ")[1:]:
            lines = model.splitlines()
            teff, _, logg, _ = lines[0].split()
            node = np.flatnonzero(float(teff) == TEFF), np.flatnonzero(float(logg) == LOGG)
            if all(len(index) for index in node):
                grid[node[0][0], node[1][0], mh, alpha] = castelli_layers(lines)
    return grid


def castelli_layers(lines: list[str]) -> np.ndarray:
    """Decimal logarithms of the columns of one model; its layers lie on LOG_TAU by construction."""
    first = next(i for i, line in enumerate(lines) if line.startswith("READ DECK6 72")) + 1
    layers = np.array([line.split() for line in lines[first : first + len(LOG_TAU)]], dtype=float)
    return np.log10(layers[:, list(COLUMNS.values())])


def node_labels() -> np.ndarray:
    """Labels of every node: [teff, logg, mh, alpha, label]."""
    return np.stack(np.meshgrid(TEFF, LOGG, MH, ALPHA, indexing="ij"), axis=-1)


def supported_labels(known: np.ndarray, rich: bool) -> np.ndarray:
    """Labels of every node, brought to where C3K has good models, to answer by; ``rich`` for [M/H] > 0.5.

    Log g is at least that of ATLAS9 above C3K_WIDE and at most 5, below 3500 K 4.5 for the metal-rich.
    Dwarfs (log g 4 and more) below 3500 K answer as those of 3500 K, all others below 3250 K as at 3250 K.
    """
    labels = node_labels()
    lowest = np.array([LOGG[row].min() if row.any() else LOGG[0] for row in known])
    lowest = np.where(TEFF > C3K_WIDE, lowest, LOGG[0])
    highest = np.where((TEFF < 3500) & rich, 4.5, 5.0)
    trusted = np.where((labels[..., 1] < 4) | rich, 3250.0, 3500.0)
    labels[..., 0] = np.maximum(labels[..., 0], trusted)
    labels[..., 1] = np.clip(labels[..., 1], *(end[:, None, None, None] for end in (lowest, highest)))
    return labels


def c3k_grid(labels: np.ndarray) -> np.ndarray:
    """C3K as its published network emulates it, at labels [teff, ..., label]; layers as in ATLAS9."""
    weight = smooth_step(labels[..., 0], *C3K_SEAM)[..., None, None]
    cool, hot = (
        np.stack([network(weights[column], labels) for column in COLUMNS.values()], axis=-1)
        for weights in map(c3k_weights, C3K_FILES)
    )
    grid = np.where(weight < 1, (1 - weight) * cool, 0) + np.where(weight > 0, weight * hot, 0)
    return with_pressure_of_weight(grid, labels[..., 1], 1 - weight[..., 0])


def with_pressure_of_weight(grid: np.ndarray, logg: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The grid with P = g m, by the given share.

    The networks of pressure and of column mass, trained apart, contradict each other by up to 30 %.
    In ATLAS9 radiation bears less than 0.1 % of the weight below 7000 K but for a few supergiants.
    """
    grid[..., PRESSURE] += share * (logg[..., None] + grid[..., MASS] - grid[..., PRESSURE])
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
