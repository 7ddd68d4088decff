"""What the calibration of the optical changes, and what lines left out of it gain from the others.

``python benchmarks/optical_calibration.py WORK [--band optical]``, with the folder WORK that
``data/atomic_lines/calibrate.py --work WORK`` left. It prints the mean change of log gf by range, excitation,
strength and what is known, and the test: a random fifth of the lines is taken back to what is listed and
hidden (14 km/s), the rest is calibrated anew, a regression of its changes says what to change of the fifth.
"""

import argparse
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data" / "atomic_lines"))

from calibrate import LARGEST, NO_LINE, Calibration, linearised, parts, seen_with
from calibrators import RESOLUTION, Sun
from groups import KINDS, Groups
from printing import rms, row, table

from starloom import bands, tables
from starloom.broadening import broaden
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.physics.linelist import LineList, kept
from starloom.synthesis.band import line_table

HIDDEN_KMS = 14.0  # as far from a line left out as in the packaged band's test, 0.4 A
VISIBLE = 0.03  # strength of lines that the Sun shows at R = 70000
RANGES_AA = ((4200, 4800), (4800, 5400), (5400, 6500), (6500, 9200))
EXCITATION_EV = ((0, 1), (1, 2.5), (2.5, 4), (4, 20))
STRENGTH = ((0.01, 0.03), (0.03, 0.1), (0.1, 0.3), (0.3, 1), (1, 10), (10, 1e9))
SCATTER = 0.2  # dex, of changes beside their errors
TOLD = 0.3  # share of a change that is the Sun's, from which the line teaches others
# strengths of the prior that a class is like all others, tried on the others
RIDGE = (0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, eq=False)
class Half:
    """A chunk without the fifth: its groups, what is known of each, and the change that the rest wants."""

    state: Calibration
    number: int
    held: np.ndarray  # bool[group]
    change: np.ndarray  # [kind, group], of all but those held
    error: np.ndarray
    known: dict[str, np.ndarray]

    @property
    def unsaid(self) -> np.ndarray:
        """How much of each change of log gf is the prior's and not the Sun's."""
        share = (self.error[0] / self.state.groups.sigma[0]) ** 2
        return np.where(np.isfinite(share), np.clip(share, 0, 1), 1.0)

    @property
    def visible(self) -> np.ndarray:
        """Places [A] of the lines left out that the Sun shows."""
        groups = self.state.groups
        return groups.place_aa[self.held & (groups.strength > VISIBLE)]

    @property
    def sun(self) -> Sun:
        """The Sun, hidden near the lines left out."""
        sun = self.state.calibrators[0]
        reach = HIDDEN_KMS / SPEED_OF_LIGHT_KMS * float(np.mean(sun.wavelength_aa))
        return replace(sun, hidden_aa=self.visible, hiding_aa=reach)

    @property
    def unseen(self) -> np.ndarray:
        """Which groups are hidden with those left out."""
        return distance(self.visible, self.state.groups.place_aa) < self.sun.hiding_aa

    def lines(self, change: np.ndarray) -> LineList:
        """The lines with other changes, without shifts and what was found near those left out."""
        groups = self.state.groups
        lines = groups.changed(change, shifted=False)
        lost = (groups.of_line >= 0) & (self.unseen & groups.unidentified)[groups.of_line]
        return lines._replace(log_gf=np.where(lost, NO_LINE, lines.log_gf))


def distance(places: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Of each of the second from the nearest of the first."""
    return np.abs(of[:, None] - places).min(axis=1, initial=np.inf)


def known(groups: Groups, band) -> dict[str, np.ndarray]:
    """What is known of each group without the Sun: of its strongest line."""
    table = line_table(band)
    table = {key: column[kept(table)] for key, column in table.items()}
    strongest = np.zeros(groups.count, int)
    for line in np.argsort(table["strength"][:, 2], kind="stable"):
        if groups.of_line[line] >= 0:
            strongest[groups.of_line[line]] = line
    names = tables.load("atomic_lines", band.tables)["source_name"].tolist()
    vald = table["stark_listed"] | (table["source"] == names.index("VALD3"))
    columns = {
        "ion": table["atomic_number"].astype(int) * 10 + table["charge"],
        "excitation": table["energy_low_ev"],
    }
    found = {key: column[strongest] for key, column in {**columns, "vald": vald}.items()}
    abo = np.isfinite(table["abo_alpha"])[strongest]
    return {**found, "abo": abo, "strength": groups.strength, "place": groups.place_aa}


def without_a_fifth(state: Calibration, number: int, band) -> Half:
    """The rest of a chunk's lines calibrated anew: one step from where all were.

    Of those that are contradicted nothing is left to have a slope: they stay so, but where they are hidden.
    """
    groups, sun, unknowns = state.groups, state.calibrators[0], state.unknowns[0]
    listed = np.flatnonzero(~groups.unidentified)
    chosen = np.random.default_rng([23, number]).permutation(listed)[: len(listed) // 5]
    held = np.isin(np.arange(groups.count), chosen)
    _, (of_groups, of_unknowns) = linearised(sun, unknowns, groups, state.change)
    half = Half(state, number, held, np.where(held, 0.0, state.change), state.error, known(groups, band))
    doubted = groups.quality == "contradicted"
    back = doubted & half.unseen
    half = replace(half, change=np.where(back, 0.0, half.change))
    weight = half.sun.weight
    base = groups.changed(half.change)
    residual = sun.residual(unknowns, sun.solved(unknowns, base).normalized(base))
    free = ((groups.sigma > 0) & ~held & ~doubted).ravel()
    slopes = sparse.vstack([of_groups[free], sparse.csr_array(of_unknowns)]).tocsr()
    weighted = slopes @ sparse.diags(weight)
    prior = np.append(groups.sigma.ravel()[free], sun.sigma) ** -2.0
    start = np.append(-half.change.ravel()[free], sun.start - unknowns)
    normal = (weighted @ slopes.T).toarray() + np.diag(prior)
    covariance, size = np.linalg.inv(normal), int(free.sum())
    step = (covariance @ (weighted @ residual + prior * start))[:size]
    error = np.full(free.size, np.nan)
    error[free] = np.sqrt(np.diag(covariance)[:size])
    error.reshape(half.change.shape)[:, doubted & ~held & ~back] = 0.0
    change = half.change.ravel().copy()
    most = np.repeat([LARGEST[kind] for kind in KINDS], groups.count)[free]
    change[free] = np.clip(change[free] + step, -most, most)
    change, error = (part.reshape(half.change.shape) for part in (change, error))
    return replace(half, change=change, error=error)


# --- the others' common offsets -----------------------------------------------------------------------


def classes(each: dict[str, np.ndarray]) -> np.ndarray:
    """Regressors [group, class]: mean, what is known, strength, excitation, range, ion, and pairs of them."""
    strength = _bins(each["strength"], STRENGTH)
    excitation, place = _bins(each["excitation"], EXCITATION_EV), _bins(each["place"], RANGES_AA)
    quality = each["abo"] * 2 + each["vald"]
    keys = [quality, strength, excitation, place, each["ion"], quality * 10 + strength, quality * 10 + place]
    keys += [each["ion"] * 10 + excitation, (quality * 10 + strength) * 10 + excitation]
    return np.concatenate([np.ones((len(strength), 1)), *(_indicators(key) for key in keys)], axis=1)


def _bins(values: np.ndarray, bins) -> np.ndarray:
    return np.searchsorted([low for low, _ in bins][1:], values)


def _indicators(key: np.ndarray) -> np.ndarray:
    return (key[:, None] == np.unique(key)).astype(float)


def predicted(regressors, change, error, train, ridge: float) -> np.ndarray:
    """The changes that the classes of the lines in ``train`` tell, of all."""
    weight = 1 / (error[train] ** 2 + SCATTER**2)
    x = regressors[train]
    penalty = np.append(1e-6, np.full(x.shape[1] - 1, ridge)) / SCATTER**2
    return regressors @ np.linalg.solve((x.T * weight) @ x + np.diag(penalty), x.T @ (weight * change[train]))


def common_offsets(halves: list[Half]) -> list[np.ndarray]:
    """For each chunk, the change of log gf of each group as the others' offsets tell it."""
    each = {key: np.concatenate([half.known[key] for half in halves]) for key in halves[0].known}
    unsaid = np.concatenate([half.unsaid for half in halves])
    change = np.concatenate([half.change[0] for half in halves]) / np.maximum(1 - unsaid, TOLD)
    error = np.concatenate([half.error[0] for half in halves]) / np.maximum(1 - unsaid, TOLD)
    new = np.concatenate([half.state.groups.unidentified for half in halves])
    held = np.concatenate([half.held for half in halves])
    train = np.flatnonzero(~(new | held) & (1 - unsaid > TOLD))
    regressors = classes(each)
    part = np.random.default_rng([23, 99]).integers(0, 5, len(train))
    strong = np.minimum(each["strength"], 1.0)  # what a change does to the spectrum
    score = []
    for ridge in RIDGE:
        off = [
            (strong * (predicted(regressors, change, error, train[part != one], ridge) - change))[
                train[part == one]
            ]
            for one in range(5)
        ]
        score.append(np.sqrt(np.mean(np.concatenate(off) ** 2)))
    best = RIDGE[int(np.argmin(score))]
    plain = np.sqrt(np.mean((strong * change)[train] ** 2))
    told = f"change times strength {plain:.4f} dex, {min(score):.4f} left in fifths of the others"
    print(f"\nregression: ridge {best:g}; {told}")
    found = predicted(regressors, change, error, train, best)
    return np.split(found, np.cumsum([half.state.groups.count for half in halves])[:-1])


# --- what is printed ----------------------------------------------------------------------------------


def mean_changes(halves: list[Half]) -> None:
    """Print the mean change of log gf by range, and what else is known: all lines visible in the Sun."""
    each = {key: np.concatenate([half.known[key] for half in halves]) for key in halves[0].known}
    change = np.concatenate([half.state.change[0] for half in halves])
    new = np.concatenate([half.state.groups.unidentified for half in halves])
    doubted = np.concatenate([half.state.groups.quality == "contradicted" for half in halves])
    use = ~new & ~doubted & (each["strength"] > VISIBLE)
    names = [f"{low:g}-{high:g} eV" for low, high in EXCITATION_EV]
    names += ["strength < 0.3", "0.3-10", "> 10", "widths by ABO", "others", "Fe I", "Fe II", "all", "median"]
    table("Mean change of log gf, dex (lines)", "from [A]", *names)
    strength = each["strength"]
    for low, high in (*RANGES_AA, (4200, 9200)):
        inside = use & (each["place"] >= low) & (each["place"] < high)
        kinds = [(each["excitation"] >= a) & (each["excitation"] < b) for a, b in EXCITATION_EV]
        kinds += [
            strength < 0.3,
            (strength >= 0.3) & (strength < 10),
            strength >= 10,
            each["abo"],
            ~each["abo"],
        ]
        kinds += [each["ion"] == 260, each["ion"] == 261, use]
        if inside.any():
            row(
                f"{low}-{high}",
                *(_mean(change[inside & kind]) for kind in kinds),
                _mean(change[inside], np.median),
            )


def _mean(values: np.ndarray, of=np.mean) -> str:
    return f"{of(values):+.3f} ({len(values)})" if len(values) else ""


def compared(half: Half, offsets: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The Sun's residuals near the lines left out by list: R = 70000 and 11500, from unknowns fitted anew."""
    state, hidden = half.state, half.sun
    told = half.change.copy()
    told[0] += np.where(state.groups.unidentified, 0.0, half.unsaid * offsets)
    nothing = np.zeros_like(half.change)
    listed = state.groups.changed(nothing, shifted=False)
    new = (state.groups.of_line >= 0) & state.groups.unidentified[state.groups.of_line]
    lists = {
        "listed": listed._replace(log_gf=np.where(new, NO_LINE, listed.log_gf)),
        "the rest calibrated": half.lines(half.change),
        "and the others' offsets": half.lines(told),
        "offsets alone": None,
        "all calibrated": state.shipped,
    }
    every = np.where(state.groups.unidentified | (state.groups.sigma[0] == 0), 0.0, offsets)
    plain = state.groups.changed(np.stack([every, *nothing[1:]]), shifted=False)
    lists["offsets alone"] = plain._replace(log_gf=np.where(new, NO_LINE, plain.log_gf))
    near = distance(half.visible, hidden.wavelength_aa) < hidden.hiding_aa
    near, found = near & (state.calibrators[0].weight > 0), {}
    for name, lines in lists.items():
        residual = seen_with(hidden, lines)[2]
        found[name] = residual[near], _at_11500(hidden, residual)[near]
    return found


def _at_11500(sun: Sun, residual: np.ndarray) -> np.ndarray:
    options = {"resolution": 11_500.0, "native_resolution": RESOLUTION, "reach_kms": 200.0}
    return broaden(residual, sun.grid.step_kms, **options)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder of the calibrated chunks")
    parser.add_argument("--band", default="optical")
    given = parser.parse_args()
    band, halves = bands.load(given.band), []
    for number, part in enumerate(parts(band)):
        path = given.work / f"chunk_{number:02d}.pickle"
        if path.exists():
            state, _ = pickle.loads(path.read_bytes())
            halves.append(without_a_fifth(state, number, part))
            print(
                f"chunk {number}: {halves[-1].held.sum()} groups of lines left out",
                file=sys.stderr,
                flush=True,
            )
    mean_changes(halves)
    each = [compared(*pair) for pair in zip(halves, common_offsets(halves), strict=True)]
    names = list(each[0])
    table(
        "Within 14 km/s of the visible lines left out: rms at R = 70000 / 11500", "from [A]", "lines", *names
    )
    for low, high in (*RANGES_AA, (4200, 9200)):
        inside = [n for n, half in enumerate(halves) if low <= half.known["place"].mean() < high]
        if inside:
            parted = {
                name: [np.concatenate(p) for p in zip(*(each[n][name] for n in inside), strict=True)]
                for name in names
            }
            cells = [f"{rms(fine):.4f} / {rms(coarse):.4f}" for fine, coarse in parted.values()]
            row(f"{low}-{high}", sum(len(halves[n].visible) for n in inside), *cells)


if __name__ == "__main__":
    main()
