"""Tables in Markdown, as benchmarks print them."""

import numpy as np


def table(title: str, *columns: str) -> None:
    """The title and the head of a table."""
    print(f"\n### {title}\n\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


def row(*cells) -> None:
    """A row of it."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(values**2)))
