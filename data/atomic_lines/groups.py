"""Lines in groups that share their changes, what is expected of these, and which may be varied at once."""

from dataclasses import dataclass

import numpy as np
from calibrators import line_places_aa

from starloom.constants import ANGSTROM, SPEED_OF_LIGHT_KMS
from starloom.physics.linelist import LineList
from starloom.wavelength import air_from_vacuum

KINDS = ("log_gf", "log_gamma_waals", "shift")  # dex, dex, km/s
STEPS = {"log_gf": 0.05, "log_gamma_waals": 0.1, "shift": 0.3}  # for differences
LARGEST = {"log_gf": 1.5, "log_gamma_waals": 0.3, "shift": 1.2}  # change of all
LONGEST = {"log_gf": 0.4, "log_gamma_waals": 0.3, "shift": 0.6}  # change of one step
ACTIVE = 3e-3  # strength from which a line is calibrated; the rest stays as listed
BLEND_AA, BLEND_EV = 0.06, 0.15  # lines of one ion this near share their changes
STRONG, ISOLATED_AA = (
    2.0,
    0.3,
)  # strength of lines whose widths show, if no other as strong as a tenth is this near
WAALS_SIGMA, SHIFT_SIGMA = 0.1, 0.4
# by what is known of a line: transitions of C, N, O between low levels, other lines with widths by Anstee,
# Barklem & O'Mara (so between known levels), those corrected by hand, and all others, computed by Kurucz
QUALITY = {"light": 0.05, "abo": 0.10, "corrected": 0.20, "computed": 0.30, "unidentified": 0.50}
QUALITY["contradicted"] = 1.00  # far too strong as listed: little is left of what was known
REACH_AA = (4.0, 2.2, 1.2)  # how far lines matter that are stronger than 3, than 0.3, and weaker


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of a list's lines, by rising wavelength; ``sigma[kind, group]`` of the priors, 0 for fixed."""

    lines: LineList
    of_line: np.ndarray  # group of each line, -1 for none
    sigma: np.ndarray
    strength: np.ndarray  # of each group
    quality: np.ndarray  # of each group, of QUALITY
    reaches_aa: tuple[float, float, float] = REACH_AA

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self.strength)

    @property
    def place_aa(self) -> np.ndarray:
        """Vacuum wavelength [A] of each group: the mean of its lines."""
        member = self.of_line >= 0
        each, chosen = line_places_aa(self.lines)[member], self.of_line[member]
        return np.bincount(chosen, each, self.count) / np.bincount(chosen, minlength=self.count)

    @property
    def unidentified(self) -> np.ndarray:
        """Which groups are unidentified lines."""
        return self.quality == "unidentified"

    def of(self, quality: str) -> set[int]:
        """The lines whose groups are of this quality."""
        chosen = np.flatnonzero(self.quality == quality)
        return set(np.flatnonzero(np.isin(self.of_line, chosen)).tolist())

    def changed(self, change: np.ndarray, shifted: bool = True) -> LineList:
        """The lines with ``change[kind, group]``; of what was listed the place stays unless ``shifted``."""
        own = np.where(self.of_line >= 0, change[:, self.of_line], 0.0)
        new = (self.of_line >= 0) & self.unidentified[self.of_line]
        velocity = np.where(shifted | new, own[2], 0.0)
        return self.lines._replace(
            log_gf=self.lines.log_gf + own[0],
            log_gamma_waals=self.lines.log_gamma_waals + own[1],
            wavelength=self.lines.wavelength * (1 + velocity / SPEED_OF_LIGHT_KMS),
        )

    def reach_aa(self) -> np.ndarray:
        """How far from its centre a group matters [A]."""
        return np.select([self.strength > 3, self.strength > 0.3], self.reaches_aa[:2], self.reaches_aa[2])


def grouped(
    lines: LineList, strength: np.ndarray, quality: np.ndarray, active: np.ndarray, shifted: float = 0.0
) -> Groups:
    """Groups of the ``active`` lines; those weaker than ``shifted`` have no shift.

    ``strength``, ``quality`` and ``active`` are each line's.
    """
    place = line_places_aa(lines)
    of_line, heads = np.full(len(place), -1), []
    for line in np.flatnonzero(active):
        near = (
            number
            for number in range(len(heads) - 1, max(len(heads) - 9, -1), -1)
            if _blended(lines, place, line, heads[number], quality)
        )
        of_line[line] = number = next(near, len(heads))
        if number == len(heads):
            heads.append(line)
    count = len(heads)
    total = np.bincount(of_line[active], strength[active], count)
    leading = np.array(
        [_strongest(np.flatnonzero(of_line == number), strength) for number in range(count)], int
    )
    kind = quality[leading]
    sigma = np.zeros((3, count))
    sigma[0] = [QUALITY[name] for name in kind]
    sigma[1] = np.where(_isolated(place[leading], total), WAALS_SIGMA, 0.0)
    sigma[2] = np.where(total > shifted, SHIFT_SIGMA, 0.0)
    return Groups(lines, of_line, sigma, total, kind)


def _blended(lines: LineList, place, one: int, other: int, quality) -> bool:
    same = lines.element[one] == lines.element[other] and lines.charge[one] == lines.charge[other]
    near = abs(place[one] - place[other]) < BLEND_AA
    alike = abs(lines.energy_low[one] - lines.energy_low[other]) < BLEND_EV
    doubtful = {"unidentified", "contradicted"} & {str(quality[one]), str(quality[other])}
    return bool(
        same and near and alike and (not doubtful or quality[one] == quality[other] == "contradicted")
    )


def _strongest(members: np.ndarray, strength: np.ndarray) -> int:
    return int(members[strength[members].argmax()])


def _isolated(place: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Strong groups without a neighbour a tenth as strong."""
    distance = np.abs(place[:, None] - place) + np.where(np.eye(len(place)) > 0, np.inf, 0.0)
    disturbed = (distance < ISOLATED_AA) & (strength > 0.1 * strength[:, None])
    return (strength > STRONG) & ~disturbed.any(axis=1)


def coloured(place: np.ndarray, reach: np.ndarray) -> list[np.ndarray]:
    """Groups in sets within which no two overlap: by rising wavelength, each into the first set free."""
    sets: list[list[int]] = []
    for one in np.argsort(place):
        free = (
            each
            for each in sets
            if all(abs(place[one] - place[other]) > reach[one] + reach[other] for other in each[-4:])
        )
        chosen = next(free, None)
        if chosen is None:
            sets.append([one])
        else:
            chosen.append(one)
    return [np.array(each) for each in sets]


UNIDENTIFIED_EV = 5.8  # lower level: with 4.8 eV cooler stars come out worse


def unidentified(lines: LineList, vacuum_aa: np.ndarray, log_gf: np.ndarray) -> LineList:
    """Lines like those of Fe I from 5.8 eV at these places."""
    iron = (lines.element == 25) & (lines.charge == 0)
    apart = np.where(iron, np.abs(lines.energy_low - UNIDENTIFIED_EV), np.inf)
    alike = apart < max(0.4, apart.min() + 0.1)  # in the blue no line starts so high
    count = len(vacuum_aa)

    def middle(column) -> np.ndarray:
        return np.full(count, np.round(np.median(column[alike]), 3))

    return LineList(
        wavelength=np.asarray(vacuum_aa) * ANGSTROM,
        element=np.full(count, 25),
        charge=np.zeros(count, int),
        log_gf=np.asarray(log_gf, float),
        energy_low=np.full(count, UNIDENTIFIED_EV),
        gamma_radiative=np.full(count, float(f"{np.median(lines.gamma_radiative[alike]):.3g}")),
        log_gamma_stark=middle(lines.log_gamma_stark),
        log_gamma_waals=middle(lines.log_gamma_waals),
        waals_exponent=np.full(count, 0.3),
    )


def joined(*parts: LineList) -> LineList:
    """Lists one after the other, whatever the wavelengths."""
    return LineList(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def air_aa(lines: LineList) -> np.ndarray:
    """Air wavelengths [A] of lines."""
    return air_from_vacuum(line_places_aa(lines))
