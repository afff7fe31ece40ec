"""The list of runs as a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.run_row import RunRow
from .formatting import NONE
from .terminal import WIDE, Z95


def runs_text(rows: Sequence[RunRow], width: int) -> str:
    """The runs as a table, with what is wrong with one in a line below it.

    Args:
        rows: The runs, at least one.
        width: Columns of the terminal; below `WIDE` the table has name, state, best score and progress.
    """
    headings = ["name", "state", "best", "done", "age", "size", "space", "tasks"]
    cells = [headings, *(_cells(row) for row in rows)]
    if width < WIDE:
        cells = [line[:4] for line in cells]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip() for line in cells]
    text = lines[:1]
    for row, line in zip(rows, lines[1:], strict=True):
        text += [line, *([f"  {row.problem}"] if row.problem else [])]
    return "\n".join(text)


def size_text(size: float) -> str:
    """'3.2 MB': a number of bytes."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.0f} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


def age_text(seconds: float) -> str:
    """'40 s', '12 min', '3 h' or '2 d': a time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _cells(row: RunRow) -> list[str]:
    best = NONE
    if row.best is not None:
        best = f"{row.best:.3f}" + ("" if row.best_stderr is None else f" ± {Z95 * row.best_stderr:.3f}")
    done = f"{row.done}/{row.wanted}" if row.wanted else ""
    return [row.name, row.state, best, done, age_text(row.age_s), size_text(row.size), row.space, row.tasks]
