"""Calibrate a band's atomic lines on the solar atlas, and on stars whose spectra are at hand.

``python data/atomic_lines/calibrate.py [--spectra FOLDER]`` writes ``calibration.csv`` beside itself: for
each line what is listed, its change, the change's error and origin. ``build.py`` packs it. Gauss-Newton
through the synthesis with priors, by differences of sets of lines that do not overlap. A band of many chunks
(``--band``) is done one chunk after the other, on the Sun alone unless there are spectra.
"""

import argparse
import csv
import pickle
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy import linalg, sparse

sys.path.insert(0, str(Path(__file__).resolve().parent))

from calibrators import CROWDED_AA, UNTOUCHED, Calibrator, Sun, line_places_aa, read_masks, read_stars, within
from groups import (
    ACTIVE,
    KINDS,
    LARGEST,
    LONGEST,
    QUALITY,
    REACH_AA,
    STEPS,
    Groups,
    air_aa,
    coloured,
    grouped,
    joined,
    unidentified,
)

from starloom import bands, tables
from starloom.bands import Band
from starloom.physics.linelist import LineList, kept
from starloom.synthesis.band import band_lines, line_table
from starloom.wavelength import air_from_vacuum, vacuum_from_air

FOLDER = Path(__file__).resolve().parent
REFUSED = 3.0  # prior sigma beyond which a line stays as listed
MOST_UNIDENTIFIED = 45
NO_LINE = -30.0  # log gf in an empty place
# an unidentified line: residual at its centre, mean over its width, and distances [A] to others
DEEP, MEAN, WIDTH_AA, APART_AA, FROM_LINE_AA, FROM_VAPOUR_AA = -0.010, -0.004, 0.12, 0.2, 0.07, 0.2
FROM_UNTOUCHED_AA = 0.5  # nearer to such a line none is calibrated
DISTURBED_AA, DISTURBED = 0.15, 0.3  # from water vapour, weaker lines are not calibrated
FAINTEST, SUREST = 0.02, 0.2  # of an unidentified line: strength, and error of its log gf [dex]
REMOVED, LEAST_LEFT = (
    -9.0,
    0.02,
)  # change [dex] of a line that the Sun has not, and the strength of one it has
HUNDRED_AA = 100.0


@dataclass(frozen=True)
class Plan:
    """How much is done: ``MANY`` for bands of many chunks, where each line gets less of it.

    Slopes are found anew every ``again`` steps, and within ``reaches_aa`` of a line. Lines weaker than
    ``faintest`` are left as they are, those weaker than ``shifted`` where they are. ``crowd`` is the largest
    number of unidentified lines in 100 A; ``settle`` steps come before they are looked for.
    """

    iterations: int = 4
    rounds: int = 2
    again: int = 1
    settle: int = 2
    faintest: float = ACTIVE
    shifted: float = 0.0
    crowd: float = np.inf
    reaches_aa: tuple[float, float, float] = REACH_AA


ONE = Plan()
MANY = Plan(4, 1, 2, 0, 0.01, 0.1, 10, (4.0, 1.2, 0.6))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Where the fit stands: changes of the groups, and the unknowns of each calibrator."""

    groups: Groups
    calibrators: tuple[Calibrator, ...]
    change: np.ndarray  # [kind, group]
    unknowns: tuple[np.ndarray, ...]
    error: np.ndarray | None = None  # of the changes, [kind, group]; nan where fixed

    @classmethod
    def begun(cls, groups: Groups, calibrators: Sequence[Calibrator], before: "Calibration | None" = None):
        """No changes yet, or those of the same lines ``before``."""
        change = np.zeros((len(KINDS), groups.count))
        unknowns = tuple(each.start for each in calibrators)
        if before is not None:
            known = dict(zip(_leading(before.groups), before.change.T, strict=True))
            for number, line in enumerate(_leading(groups)):
                change[:, number] = known.get(line, 0.0) * (groups.sigma[:, number] > 0)
            unknowns = before.unknowns
        return cls(groups, tuple(calibrators), change, unknowns)

    @property
    def lines(self) -> LineList:
        """The lines with all changes, shifts too."""
        return self.groups.changed(self.change)

    @property
    def shipped(self) -> LineList:
        """The lines as they are written: without the shifts of those that were listed."""
        return self.groups.changed(self.change, shifted=False)

    def fitted(self, iterations: int, report=print, again: int = 1) -> "Calibration":
        """After so many steps of Gauss-Newton, with the errors that the last one implies.

        Slopes are found anew every ``again`` steps.
        """
        found, slopes = self, None
        for number in range(iterations):
            start = perf_counter()
            slopes = None if number % again == 0 else slopes
            found, rms, slopes = _step(found, slopes, number == iterations - 1)
            told = ", ".join(
                f"{each.name} {value:.5f}" for each, value in zip(self.calibrators, rms, strict=True)
            )
            report(f"  weighted rms {told}; {perf_counter() - start:.0f} s")
        return found

    def residual(self, number: int = 0) -> np.ndarray:
        """Observed less synthesised of one calibrator."""
        calibrator, unknowns = self.calibrators[number], self.unknowns[number]
        star = calibrator.solved(unknowns, self.lines)
        return calibrator.residual(unknowns, star.normalized(self.lines))


def _leading(groups: Groups) -> list[tuple]:
    """What names each group: ion and wavelength of its first line."""
    first = [int(np.flatnonzero(groups.of_line == number)[0]) for number in range(groups.count)]
    place = line_places_aa(groups.lines)
    return [
        (int(groups.lines.element[i]), int(groups.lines.charge[i]), round(float(place[i]), 4)) for i in first
    ]


def _step(state: Calibration, slopes=None, last: bool = True) -> tuple[Calibration, list[float], list]:
    """One step of Gauss-Newton, the weighted rms residual of each calibrator before it, and the slopes.

    Those ``slopes`` are taken that are given; errors are found in the ``last`` step.
    """
    normal, right, rms, slopes = _normal_equations(state, slopes)
    free = state.groups.sigma.ravel() > 0
    size, change, error = int(free.sum()), state.change.ravel().copy(), np.full(free.size, np.nan)
    longest, largest = (
        np.repeat([limit[kind] for kind in KINDS], state.groups.count)[free] for limit in (LONGEST, LARGEST)
    )
    far = 3 * np.concatenate([each.sigma for each in state.calibrators])
    low = np.append(np.maximum(-longest, -largest - change[free]), -far)
    high = np.append(np.minimum(longest, largest - change[free]), far)
    step = _bounded(normal, right, low, high)
    change[free] += step[:size]
    if last:
        error[free] = np.sqrt(_inverse_diagonal(normal)[:size])
    ends = size + np.cumsum([len(each) for each in state.unknowns])[:-1]
    pairs = zip(state.unknowns, np.split(step[size:], ends - size), strict=True)
    unknowns = tuple(old + more for old, more in pairs)
    change, error = (part.reshape(state.change.shape) for part in (change, error))
    return replace(state, change=change, error=error, unknowns=unknowns), rms, slopes


def _inverse_diagonal(normal: np.ndarray) -> np.ndarray:
    factor, _ = linalg.lapack.dpotrf(normal, lower=True)
    inverse, _ = linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    return np.diag(inverse)


def _solution(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    return linalg.solve(normal, right, assume_a="pos", check_finite=False)


def _bounded(normal: np.ndarray, right: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The solution of normal equations; what would leave its bounds is held there, the rest solved again."""
    step, held = _solution(normal, right), np.zeros(len(right), bool)
    for _ in range(5):
        out = (step < low) | (step > high)
        if not out.any():
            break
        held |= out
        step[held] = np.clip(step, low, high)[held]
        rest = right[~held] - normal[np.ix_(~held, held)] @ step[held]
        step[~held] = _solution(normal[np.ix_(~held, ~held)], rest)
    return np.clip(step, low, high)


def _normal_equations(state: Calibration, slopes=None) -> tuple[np.ndarray, np.ndarray, list[float], list]:
    """Matrix and right side, of the free changes and then of all unknowns; the rms residuals, the slopes."""
    sigma = state.groups.sigma.ravel()
    free = sigma > 0
    size = int(free.sum())
    ends = size + np.cumsum([0, *(len(each) for each in state.unknowns)])
    normal, right, rms = np.zeros((ends[-1], ends[-1])), np.zeros(ends[-1]), []
    normal[np.arange(size), np.arange(size)] = sigma[free] ** -2.0
    right[:size] = -state.change.ravel()[free] / sigma[free] ** 2
    found = []
    for number, (each, unknowns) in enumerate(zip(state.calibrators, state.unknowns, strict=True)):
        own = slice(ends[number], ends[number + 1])
        if slopes is None:
            residual, known = linearised(each, unknowns, state.groups, state.change)
        else:
            residual, known = state.residual(number), slopes[number]
        found.append(known)
        of_groups, of_unknowns = known
        root = sparse.diags(np.sqrt(each.weight))
        weighted, dense = of_groups[free] @ root, of_unknowns @ root
        mixed = weighted @ dense.T
        normal[:size, :size] += (weighted @ weighted.T).toarray()
        normal[own, own] += dense @ dense.T + np.diag(each.sigma**-2.0)
        normal[:size, own] += mixed
        normal[own, :size] += mixed.T
        right[:size] += weighted @ (root @ residual)
        right[own] += dense @ (root @ residual) + (each.start - unknowns) / each.sigma**2
        rms.append(float(np.sqrt(residual**2 @ each.weight / each.weight.sum())))
    return normal, right, rms, found


def linearised(each: Calibrator, unknowns, groups: Groups, change) -> tuple[np.ndarray, tuple]:
    """Residual of a calibrator, slopes of what is synthesised by the groups' changes and by its unknowns."""
    lines = groups.changed(change)
    star = each.solved(unknowns, lines)
    base = star.normalized(lines)
    residual = each.residual(unknowns, base)
    rows: list = [(np.zeros(0, int), np.zeros(0))] * (len(KINDS) * groups.count)
    place, reach = groups.place_aa, groups.reach_aa() + each.blur_aa
    for kind, name in enumerate(KINDS):
        if name == "shift" and not isinstance(each, Sun):
            continue  # another star's lines are too blurred to tell
        chosen = np.flatnonzero(groups.sigma[kind] > 0)
        for one in coloured(place[chosen], reach[chosen]):
            some = chosen[one]
            other = change.copy()
            other[kind, some] += STEPS[name]
            slope = each.seen(unknowns, star.normalized(groups.changed(other)) - base) / STEPS[name]
            for group in some:
                ends = np.searchsorted(each.wavelength_aa, place[group] + np.array([-1, 1]) * reach[group])
                rows[kind * groups.count + group] = np.arange(*ends), slope[slice(*ends)]
    return residual, (_sparse(rows, len(residual)), slopes_of_unknowns(each, unknowns, lines, base, residual))


def _sparse(rows, columns: int) -> sparse.csr_array:
    """A matrix of rows, each (places, values)."""
    ends = np.cumsum([0, *(len(places) for places, _ in rows)])
    places, values = (np.concatenate(part) for part in zip(*rows, strict=True))
    return sparse.csr_array((values, places, ends), shape=(len(rows), columns))


def slopes_of_unknowns(each: Calibrator, unknowns, lines: LineList, base, residual) -> np.ndarray:
    """Less the residual's derivative by each unknown; the labels of a star need its gas anew.

    The continuum is a factor, linear in its coefficients, which are the last unknowns.
    """
    rows, factor = [], 1 + unknowns[-len(each.series) :] @ each.series
    for number, step in enumerate(each.steps[: -len(each.series)]):
        other = np.array(unknowns, float)
        other[number] += step
        anew = number < 4 and not isinstance(each, Sun)
        flux = each.solved(other, lines).normalized(lines) if anew else base
        rows.append((residual - each.residual(other, flux)) / step)
    return np.concatenate([rows, each.series * (each.seen(unknowns, base) / factor)])


def seen_with(
    each: Calibrator, lines: LineList, iterations: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unknowns of a calibrator fitted with given lines, their errors, and observed less synthesised."""
    unknowns, weight = each.start, each.weight
    for _ in range(iterations):
        base = each.solved(unknowns, lines).normalized(lines)
        residual = each.residual(unknowns, base)
        slopes = slopes_of_unknowns(each, unknowns, lines, base, residual)
        covariance = np.linalg.inv((slopes * weight) @ slopes.T + np.diag(each.sigma**-2.0))
        step = covariance @ ((slopes * weight) @ residual + (each.start - unknowns) / each.sigma**2)
        unknowns = unknowns + np.clip(step, -2 * each.sigma, 2 * each.sigma)
    base = each.solved(unknowns, lines).normalized(lines)
    return unknowns, np.sqrt(np.diag(covariance)), each.residual(unknowns, base)


# --- which lines ----------------------------------------------------------------------------------


def qualities(band: Band) -> np.ndarray:
    """What is known of each line of a band, of ``QUALITY``."""
    table, names = line_table(band), tables.load("atomic_lines", band.tables).get("source_name", np.zeros(0))
    chosen = kept(table)
    abo = np.isfinite(table["abo_alpha"][chosen])
    light = abo & np.isin(table["atomic_number"][chosen], (6, 7, 8)) & (table["charge"][chosen] == 0)
    corrected = np.zeros(len(abo), bool)
    if len(names):
        corrected = np.char.find(names[table["source"][chosen]], "corrected") >= 0
    return np.select([light, corrected, abo], ["light", "corrected", "abo"], "computed").astype("<U12")


@dataclass(frozen=True, eq=False)
class Search:
    """The lines of one chunk of a band, and the calibrators that say what to change."""

    band: Band
    calibrators: tuple[Calibrator, ...]
    listed: LineList
    quality: np.ndarray
    plan: Plan = ONE

    @classmethod
    def of(
        cls, band: Band, stars: Path | None = None, spectra: Path | None = None, without=(), masked_aa=()
    ) -> "Search":
        """Of a band of one chunk: the Sun, and the stars of a list whose spectra are in a folder.

        With ranges masked less is left out around the other lines that are too strong to be touched.
        """
        listed = LineList(*(np.asarray(column) for column in band_lines(band)))
        plain = Sun(band, np.zeros(0))
        strength = plain.solved(plain.start, slotted(listed)).strengths[: len(listed.charge)]
        untouched = line_places_aa(listed)[strength > UNTOUCHED]
        found = read_stars(stars, spectra, band, untouched) if spectra else []
        found = [each for each in (Sun(band, untouched), *found) if each.name not in without]
        if masked_aa:
            found = [replace(each, masked_aa=masked_aa, spared_aa=CROWDED_AA) for each in found]
        return cls(band, tuple(found), listed, qualities(band))

    def padded(self, size: int) -> "Search":
        """With so many lines, so that one compiled program serves all chunks."""
        spare = size - len(self.listed.charge)
        nothing = unidentified(
            self.listed, line_places_aa(self.listed)[:1].repeat(spare), np.full(spare, NO_LINE)
        )
        quality = np.append(self.quality, np.full(spare, "computed"))
        return replace(self, listed=joined(self.listed, nothing), quality=quality)

    def groups(self, more: LineList | None = None, frozen=frozenset(), doubted=frozenset()) -> Groups:
        """Groups of the listed lines and ``more`` unidentified ones, by their strength in the Sun.

        ``frozen`` lines are in none; of the ``doubted`` their list says nothing.
        """
        lines = slotted(self.listed, more)
        added = len(lines.charge) - len(self.listed.charge)
        quality = np.append(self.quality, np.full(added, "unidentified"))
        quality[list(doubted)] = "contradicted"
        sun = self.calibrators[0]
        strength = sun.solved(sun.start, lines).strengths
        place = line_places_aa(lines)
        vapour = _nearest(sun.vapour_places_aa, place) < DISTURBED_AA
        active = (strength > self.plan.faintest) & self._seen(place) & ~(vapour & (strength < DISTURBED))
        active[list(frozen)] = False
        made = grouped(lines, strength, quality, active, self.plan.shifted)
        return replace(made, reaches_aa=self.plan.reaches_aa)

    def _seen(self, place: np.ndarray) -> np.ndarray:
        """Whether lines lie where the Sun is looked at."""
        low, high = self.band.edges_aa
        sun = self.calibrators[0]
        least = min(FROM_UNTOUCHED_AA, sun.spared_aa[0])
        away = (_nearest(sun.untouched_aa, place) > least) & ~within(place, sun.masked_aa)
        return (place > low + 1.0) & (place < high - 1.0) & away

    def on_the_sun(self, frozen=frozenset(), report=print) -> tuple[Calibration, set[int]]:
        """The calibration on the Sun alone, which decides what lines there are; those that stay as listed.

        ``frozen`` lines do so from the start.
        """
        plan, refused, doubted, more, sun = self.plan, set(frozen), set(), None, self.calibrators[:1]
        groups = self.groups(frozen=refused)
        report(f"{groups.count} groups of lines")
        state = Calibration.begun(groups, sun).fitted(plan.iterations, report, plan.again)
        for _ in range(plan.rounds):
            refused, doubted = refused | too_far(state), doubted | too_strong(state)
            again = Calibration.begun(self.groups(more, refused, doubted), sun, state)
            state = again.fitted(plan.settle, report)
            found = missing(state, len(self.listed.charge))
            more = self.strongest(state, found)
            report(
                f"{len(refused)} lines stay as listed, {len(doubted)} are too strong; {len(more.charge)} new"
            )
            again = Calibration.begun(self.groups(more, refused, doubted), sun, state)
            state = again.fitted(plan.iterations, report, plan.again)
        more = self.strongest(state, unidentified(self.listed, [], []))
        return self._to_the_end(state, refused, more, sun, report, plan.iterations)

    def strongest(self, state: Calibration, found: LineList) -> LineList:
        """Of the unidentified lines so far and those ``found``, the strongest."""
        return strongest(state, found, len(self.listed.charge), self.plan.crowd)

    def joint(self, state: Calibration, refused: set[int], report=print) -> tuple[Calibration, set[int]]:
        """The calibration on all, from that on the Sun: of its lines but those that now go too far."""
        more = self.strongest(state, unidentified(self.listed, [], []))
        stars = (seen_with(each, state.shipped)[0] for each in self.calibrators[1:])
        state = replace(state, unknowns=(state.unknowns[0], *stars))
        return self._to_the_end(state, refused, more, self.calibrators, report, 2)

    def _to_the_end(
        self, state, refused, more, calibrators, report, iterations
    ) -> tuple[Calibration, set[int]]:
        """Fitted until no line goes too far."""
        doubted = state.groups.of("contradicted")
        while True:
            groups = self.groups(more, refused, doubted)
            again = Calibration.begun(groups, calibrators, state)
            state = again.fitted(iterations, report, self.plan.again)
            further, stronger = too_far(state), too_strong(state)
            if not further | stronger:
                return state, refused
            report(f"{len(further)} more lines stay as listed, {len(stronger)} are too strong")
            refused, doubted, iterations = refused | further, doubted | stronger, 1


def too_far(state: Calibration) -> set[int]:
    """Lines that would be stronger by more than ``REFUSED`` prior sigma: others must be missing there."""
    return _members(state.groups, state.change[0] > REFUSED * state.groups.sigma[0])


def too_strong(state: Calibration) -> set[int]:
    """Lines that would be weaker by more than that: there is nothing else that it could be."""
    return _members(state.groups, -state.change[0] > REFUSED * state.groups.sigma[0])


def _members(groups: Groups, which: np.ndarray) -> set[int]:
    """The lines of groups, but of those unidentified."""
    chosen = np.flatnonzero(which & ~groups.unidentified)
    return set(np.flatnonzero(np.isin(groups.of_line, chosen)).tolist())


def slotted(listed: LineList, more: LineList | None = None) -> LineList:
    """Listed lines and unidentified ones, whose places are filled up: one compiled program for any number."""
    more = unidentified(listed, [], []) if more is None else more
    spare = MOST_UNIDENTIFIED - len(more.charge)
    place = line_places_aa(listed)[:1]
    return joined(listed, more, unidentified(listed, np.repeat(place, spare), np.full(spare, NO_LINE)))


def _nearest(places: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Distance of each of the second from the nearest of the first."""
    return np.abs(of[:, None] - places).min(axis=1, initial=np.inf)


def missing(state: Calibration, listed: int) -> LineList:
    """Unidentified lines where the Sun is deeper than synthesised, the deepest ``MOST_UNIDENTIFIED``."""
    sun, residual = state.calibrators[0], state.residual(0)
    place, usable = sun.wavelength_aa, sun.weight > 0
    groups = state.groups
    lines = groups.place_aa
    found = []
    for point in np.argsort(residual):
        if residual[point] > DEEP or len(found) == MOST_UNIDENTIFIED:
            break
        near = np.abs(place - place[point]) < WIDTH_AA
        if not usable[point] or residual[near].mean() > MEAN:
            continue
        apart = [(lines, FROM_LINE_AA), (lines[groups.unidentified], APART_AA), (np.array(found), APART_AA)]
        apart.append((sun.vapour_places_aa, FROM_VAPOUR_AA))
        if any(np.abs(other - place[point]).min(initial=np.inf) < least for other, least in apart):
            continue
        found.append(float(place[point]))
    depth = np.array([-residual[np.searchsorted(place, one)] for one in found])
    first = unidentified(groups.lines, np.array(found), np.full(len(found), -1.0))
    strength = _strength_of(state, first, listed)
    return first._replace(log_gf=-1.0 + np.log10(1.5 * np.maximum(depth, 1e-3) / strength))


def _strength_of(state: Calibration, more: LineList, listed: int) -> np.ndarray:
    """Strength in the Sun of lines beside the listed ones."""
    lines = slotted(LineList(*(column[:listed] for column in state.groups.lines)), more)
    sun = state.calibrators[0]
    return sun.solved(state.unknowns[0], lines).strengths[listed : listed + len(more.charge)]


def strongest(state: Calibration, found: LineList, listed: int, crowd: float = np.inf) -> LineList:
    """Unidentified lines so far, at the places and strengths fitted, and ``found``: the strongest of all.

    No more than ``crowd`` in 100 A; a part of these has its share. The Sun's own velocity is taken off: lines
    that were listed are not shifted either.
    """
    groups = state.groups
    own = np.flatnonzero(groups.of_line[listed:] >= 0) + listed
    members = groups.of_line[own]
    fitted = groups.changed(state.change)
    so_far = LineList(*(column[own] for column in fitted))
    strength = _strength_of(state, so_far, listed)
    if len(own) and state.error is not None:
        sure = (strength > FAINTEST) & (state.error[0, members] < SUREST)
        so_far, strength = LineList(*(column[sure] for column in so_far)), strength[sure]
    every = joined(so_far, found)
    order = np.argsort(-np.append(strength, _strength_of(state, found, listed)))
    place, chosen = line_places_aa(every), []
    hundred, share = _hundreds(air_aa(every), state.calibrators[0].band)
    for one in order:
        full = sum(hundred[other] == hundred[one] for other in chosen) >= np.floor(crowd * share[one])
        if not full and all(abs(place[one] - place[other]) > APART_AA for other in chosen):
            chosen.append(int(one))
    chosen = sorted(chosen[:MOST_UNIDENTIFIED], key=lambda one: place[one])
    return LineList(*(column[chosen] for column in every))


def _hundreds(air: np.ndarray, band: Band) -> tuple[np.ndarray, np.ndarray]:
    """The hundred Angstrom that each wavelength is in, and the share of it that a band shows."""
    hundred = np.floor(air / HUNDRED_AA)
    low, high = (float(edge) for edge in air_from_vacuum(np.array([band.edges_aa[0], band.edges_aa[-1]])))
    ends = np.clip(np.array([hundred, hundred + 1]) * HUNDRED_AA, low, high)
    return hundred, (ends[1] - ends[0]) / HUNDRED_AA


# --- what is written ------------------------------------------------------------------------------

FIELDS = (
    "atomic_number",
    "charge",
    "wavelength_aa",
    "energy_low_ev",
    "log_gf",
    "log_gf_change",
    "log_gf_error",
)
FIELDS += ("log_waals_change", "log_waals_error", "shift_kms", "strength", "origin")
FIELDS += ("gamma_radiative", "log_gamma_stark", "log_gamma_waals")  # of unidentified lines
REASON = "reason"  # why a line is not what its list says; written where there is one
WHY = {
    "listed": "the Sun has more than 3 sigma of it: another line is there",
    "contradicted": "the Sun has less by 3 sigma: corrected",
    "removed": f"the Sun has less by 3 sigma, and nothing above {LEAST_LEFT:g} of the continuum is left",
}


def rows(state: Calibration, refused: set[int], band: Band) -> list[dict]:
    """A row for each line: what is listed, its change with its error, and where that comes from.

    A shift is told and not used; widths are told of unidentified lines alone. The error of a line that the
    Sun wants to move too far is that far.
    """
    table = line_table(band)
    known = {key: table[key][kept(table)] for key in FIELDS[:5]}
    groups = state.groups
    new = set(
        np.flatnonzero(groups.of_line >= 0)[groups.unidentified[groups.of_line[groups.of_line >= 0]]].tolist()
    )
    sigma = dict(enumerate(np.array([QUALITY[name] for name in qualities(band)])))
    found = []
    for line in sorted(set(np.flatnonzero(groups.of_line >= 0).tolist()) | refused):
        row = dict.fromkeys(FIELDS, "")
        if line in new:
            row |= _unidentified(state, line)
        else:
            row |= {key: column[line].item() for key, column in known.items()}
            row |= _changes(state, groups.of_line[line]) if line not in refused else {
                "log_gf_change": 0.0, "log_gf_error": round(REFUSED * sigma[line], 3), "origin": "listed"
            }  # fmt: skip
        found.append(row if row["origin"] not in WHY else row | {REASON: WHY[row["origin"]]})
    return sorted(found, key=lambda row: (row["wavelength_aa"], row["atomic_number"], row["log_gf"]))


def _changes(state: Calibration, group: int) -> dict:
    change, error, strength = state.change[:, group], state.error[:, group], state.groups.strength[group]
    row = {"log_gf_change": _digits(change[0]), "log_gf_error": _digits(error[0]), "origin": "calibrated"}
    if state.groups.quality[group] == "contradicted":
        row["origin"] = "contradicted"
        if strength * 10 ** change[0] < LEAST_LEFT or change[0] <= -LARGEST["log_gf"]:
            row |= {"log_gf_change": REMOVED, "origin": "removed"}
    if np.isfinite(error[1]):
        row |= {"log_waals_change": _digits(change[1]), "log_waals_error": _digits(error[1])}
    return row | {"shift_kms": _digits(change[2]), "strength": float(f"{state.groups.strength[group]:.2g}")}


def _unidentified(state: Calibration, line: int) -> dict:
    group, lines = state.groups.of_line[line], state.lines
    widths = {key: getattr(lines, key)[line].item() for key in FIELDS[-3:]}
    return {
        "atomic_number": int(lines.element[line]) + 1,
        "charge": int(lines.charge[line]),
        "wavelength_aa": round(float(air_aa(lines)[line]), 3),
        "energy_low_ev": lines.energy_low[line].item(),
        "log_gf": _digits(lines.log_gf[line]),
        "log_gf_change": 0.0,
        "log_gf_error": _digits(state.error[0, group]),
        "strength": float(f"{state.groups.strength[group]:.2g}"),
        "origin": "unidentified",
        **widths,
    }


def _digits(value) -> float:
    return round(float(value), 3) + 0.0


def changed(found: list[dict], least: float) -> list[dict]:
    """The rows whose lines are not as listed by ``least`` [dex]; the rest is of no use."""

    def told(row: dict) -> bool:
        changes = (row["log_gf_change"], row["log_waals_change"])
        return row["origin"] != "calibrated" or any(abs(value) >= least for value in changes if value != "")

    return [row for row in found if told(row)]


def thinned(found: list[dict], crowd: float) -> list[dict]:
    """The rows with the strongest unidentified lines of each 100 A, which two chunks may share."""
    taken: Counter = Counter()
    kept_rows = set()
    for number in sorted(range(len(found)), key=lambda number: -float(found[number]["strength"] or 0)):
        hundred = found[number]["wavelength_aa"] // HUNDRED_AA
        new = found[number]["origin"] == "unidentified"
        if not new or taken[hundred] < crowd:
            kept_rows.add(number)
            taken[hundred] += new
    return [row for number, row in enumerate(found) if number in kept_rows]


def write(found: list[dict], path: Path) -> None:
    """Write the rows as CSV."""
    fields = (*FIELDS, REASON) if any(REASON in row for row in found) else FIELDS
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


def main() -> None:
    """Calibrate a band, chunk by chunk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--band", default="rvs", help="name or folder of the band (default: rvs)")
    parser.add_argument("--stars", type=Path, default=FOLDER / "calibrators.toml", help="stars that join")
    parser.add_argument("--spectra", type=Path, help="folder with their spectra (default: the Sun alone)")
    parser.add_argument("--without", action="append", default=[], help="a star to leave out; repeatable")
    parser.add_argument(
        "--masks", type=Path, help="ranges that nothing is learned from (default: by strength)"
    )
    parser.add_argument("--work", type=Path, help="folder for chunks that are done, from which it goes on")
    parser.add_argument("--least", type=float, default=0.0, help="smallest change that is written [dex]")
    parser.add_argument("--output", type=Path, default=FOLDER / "calibration.csv", help="table to write")
    given = parser.parse_args()
    band, found = bands.load(given.band), []
    for number, (part, state, refused) in enumerate(calibrated_chunks(band, given)):
        edges = band.edges_aa[number : number + 2]
        found += [row for row in rows(state, refused, part) if _between(row["wavelength_aa"], edges)]
    found = thinned(changed(found, given.least), ONE.crowd if len(band.chunks) == 1 else MANY.crowd)
    write(found, given.output)
    print(f"wrote {given.output}: {len(found)} lines")


def parts(band: Band) -> list[Band]:
    """The chunks of a band, each a band of its own."""
    each = enumerate(band.chunks)
    return [replace(band, name=f"{band.name}-{number}", chunks=(chunk,)) for number, chunk in each]


def calibrated_chunks(band: Band, given) -> Iterator[tuple[Band, Calibration, set[int]]]:
    """Each chunk and its calibration, by the options of ``main``; those in the folder ``work`` are read."""
    masked = read_masks(given.masks) if given.masks else ()
    plan = ONE if len(band.chunks) == 1 else MANY
    size = max(len(band_lines(part).charge) for part in parts(band))
    for number, part in enumerate(parts(band)):
        path = given.work and given.work / f"chunk_{number:02d}.pickle"
        if not path or not path.exists():
            search = Search.of(part, given.stars, given.spectra, given.without, masked).padded(size)
            search = replace(search, plan=plan)
            made = search.joint(*search.on_the_sun()) if given.spectra else search.on_the_sun()
            if path:
                path.write_bytes(pickle.dumps(made))
        state, refused = pickle.loads(path.read_bytes()) if path else made
        for each, unknowns in zip(state.calibrators, state.unknowns, strict=True):
            told = zip(each.unknowns, unknowns, strict=True)
            plain = ", ".join(f"{key} {value:.4g}" for key, value in told if "continuum" not in key)
            print(part.name, each.name, plain, flush=True)
        yield part, state, refused


def _between(air: float, edges) -> bool:
    return edges[0] <= vacuum_from_air(air) < edges[1]


if __name__ == "__main__":
    from calibrate import main as calibrate_band  # what is pickled so belongs to this module, not to a script

    calibrate_band()
