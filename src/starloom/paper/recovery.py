"""Labels found again from spectra: the paper's table 5, and the differences that its figure 9 shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import label
from starloom.paper.published import SETS, TABLE_5


@dataclass(frozen=True)
class Recovery:
    """Root mean square and mean absolute difference of a label in its unit, for each of the SETS."""

    label: str
    rms: tuple[float, ...]
    mae: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Generated over test: 1 where generated spectra are as good as synthesised ones."""
        return self.rms[SETS.index("generated")] / self.rms[SETS.index("test")]

    @property
    def paper(self) -> tuple[float, ...] | None:
        """The paper's four values; it gives none for the resolution."""
        return TABLE_5.get(self.label)


def differences(found: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """``found - labels``, both ``[spectrum, name]``; ``OutOfRangeError`` where one is not finite."""
    if found.shape != labels.shape or labels.ndim != 2 or labels.shape[1] != len(names):
        raise ConfigError(
            f"labels of shapes {found.shape} and {labels.shape}: expected (spectra, {len(names)})"
        )
    difference = found - labels
    if not np.isfinite(difference).all():
        row, column = np.argwhere(~np.isfinite(difference))[0]
        raise OutOfRangeError(f"{names[column]} of spectrum {row} is not finite")
    return difference


def table_5(differences_by_set: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[Recovery, ...]:
    """Table 5 from the ``differences`` of each of the four SETS: a row for each of ``names``.

    The paper calls its numbers "MSE", but they carry the labels' own units, so they are a root or an absolute
    mean. Both are given; the root mean square, which is never the smaller, is what is compared.
    """
    if set(differences_by_set) != set(SETS):
        raise ConfigError(f"table 5 needs the sets {', '.join(SETS)}, got {', '.join(differences_by_set)}")
    columns = [differences_by_set[name] for name in SETS]
    rms = np.array([np.sqrt(np.mean(column**2, axis=0)) for column in columns])
    mae = np.array([np.mean(np.abs(column), axis=0) for column in columns])
    return tuple(
        Recovery(n, tuple(rms[:, i].tolist()), tuple(mae[:, i].tolist())) for i, n in enumerate(names)
    )


def table_rows(table: tuple[Recovery, ...]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of table 5 as text: ours (rms), the paper's in brackets, the ratio generated / test."""
    header = ["Label", *(name.capitalize() for name in SETS), "Generated / test", "MAE, test"]
    rows = []
    for row in table:
        paper = row.paper or (None,) * len(SETS)
        cells = [
            f"{ours:.3g}" + (f" ({theirs:g})" if theirs is not None else "")
            for ours, theirs in zip(row.rms, paper, strict=True)
        ]
        unit = f" [{label(row.label).unit}]" if label(row.label).unit else ""
        rows.append([row.label + unit, *cells, f"{row.ratio:.2f}", f"{row.mae[SETS.index('test')]:.3g}"])
    return header, rows
