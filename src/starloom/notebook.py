"""What a notebook shows of our objects: small tables and curves in HTML, every text escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

COLUMNS, WIDTH, HEIGHT = 300, 600, 120  # of a curve: steps across, and its size in pixels
LEFT = ' style="text-align: left"'


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]], below: str = "") -> str:
    """A table with a title above and a remark below, as HTML."""
    parts = [f"<p><b>{escape(title)}</b></p>", "<table>"]
    if head:
        parts.append(f"<thead>{_row('th', head)}</thead>")
    parts += ["<tbody>", *(_row("td", row) for row in rows), "</tbody></table>"]
    return "\n".join([*parts, f"<p>{escape(below)}</p>"] if below else parts)


def _row(kind: str, cells: Sequence[Any]) -> str:
    return f"<tr>{''.join(f'<{kind}{LEFT}>{escape(str(cell))}</{kind}>' for cell in cells)}</tr>"


def curve(x: np.ndarray, y: np.ndarray) -> str:
    """A curve without axes as SVG, with lowest and highest finite ``y`` of each step across; or nothing."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if x.size < 2 or np.ptp(y) == 0:
        return ""
    column = np.minimum((COLUMNS * (x - x[0]) / (x[-1] - x[0])).astype(int), COLUMNS - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    ends = np.stack([np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)], axis=-1)
    across = (column[starts] + 0.5) * WIDTH / COLUMNS
    height = (HEIGHT - 4) * (1 - (ends - y.min()) / np.ptp(y)) + 2
    points = " ".join(f"{a:.0f},{b:.0f} {a:.0f},{c:.0f}" for a, (b, c) in zip(across, height, strict=True))
    line = f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1"/>'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{line}</svg>'
