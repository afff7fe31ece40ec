"""Sentences on the random-search control: that there is none, that it failed, or the best scores of both searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..analysis.final_result import FinalResult
from ..analysis.ranking import Anytime
from .formatting import number

NONE = (
    'There is no random control beside this search; one with search.control = "random" has it, at the same budget '
    "(--set search.control=random)."
)
LATER = "The random control comes after the search."
NUM_MARKS = 4
"""Numbers of evaluations at which the best scores are listed."""


def note(config: Mapping[str, Any], final: FinalResult | None) -> str:
    """The note on the report's page; `config` is used for a run that has no result yet."""
    if final is not None:
        return text(final)
    return LATER if config.get("search", {}).get("control", "none") != "none" else NONE


def text(final: FinalResult) -> str:
    """One line on the control of a run that has a final result."""
    control = final.control
    if control is None:
        return NONE
    if control.best is None or control.anytime is None:
        return f"The random control has no result: {control.error or 'its best scores were not stored'}"
    return anytime_text(control.anytime, final.percent)


def anytime_text(curves: Mapping[str, Anytime], percent: bool) -> str:
    """The best scores of searches after some numbers of evaluations, by the names of their controllers."""
    last = int(max(curve[-1][0] for curve in curves.values() if curve))
    marks = sorted({-(-last * part // NUM_MARKS) for part in range(1, NUM_MARKS + 1)})
    scores = "; ".join(
        f"{name} {', '.join(number(_best(curve, mark), percent) for mark in marks)}" for name, curve in curves.items()
    )
    return f"Best score in the search after {', '.join(f'{mark:,}' for mark in marks)} evaluations: {scores}."


def _best(curve: Anytime, evaluations: int) -> float | None:
    """The best score after so many evaluations; None before the first score."""
    return next((score for count, score in reversed(curve) if count <= evaluations), None)
