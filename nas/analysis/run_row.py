"""A run in the list of runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

UNREADABLE = "unreadable"
"""State of a run whose store cannot be read."""


@dataclass(frozen=True)
class RunRow:
    """A run in the list.

    Attributes:
        name: Its name.
        state: 'running', 'done', 'interrupted', 'failed' or UNREADABLE.
        age_s: Seconds since its trials were last written.
        size: Bytes of its folder.
        space: Name of its search space; empty where it is not known, as for the others.
        tasks: Name of its task family, or of its evaluator where that has none.
        best: The best score; None where none is scored.
        best_stderr: Its standard error.
        done: Candidates that were evaluated.
        wanted: Candidates that it is to have.
        problem: What is wrong with it; None where nothing is.
    """

    name: str
    state: str
    age_s: float
    size: int
    space: str = ""
    tasks: str = ""
    best: float | None = None
    best_stderr: float | None = None
    done: int = 0
    wanted: int = 0
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
