"""Learning curves: what training and validation lost, epoch by epoch."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from starloom.files import parsing, replacing


@dataclass(frozen=True)
class Epoch:
    """One row of the learning curve; ``rate`` is in samples a second, validation left out."""

    epoch: int
    training_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float
    rate: float


def write_history(path: str | Path, history: Sequence[Epoch]) -> None:
    """Write a learning curve as CSV, one row an epoch."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Epoch)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in history)


def read_history(path: str | Path) -> tuple[Epoch, ...]:
    """The learning curve in a file that ``write_history`` wrote; ``ParseError`` where it is none."""
    with parsing(path, KeyError, TypeError, ValueError), open(path, newline="") as stream:
        rows = [{**row, "epoch": int(row["epoch"])} for row in csv.DictReader(stream)]
        return tuple(Epoch(**{k: v if k == "epoch" else float(v) for k, v in row.items()}) for row in rows)
