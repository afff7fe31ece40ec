"""What a report says in words of the random control: that there is none, that it failed, or how both searches went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .formatting import number

NONE = (
    'There is no random control beside this search; one with search.control = "random" has it, at the same budget '
    "(--set search.control=random)."
)
LATER = "The random control comes after the search."
MARKS = 4
"""How many numbers of evaluations the best scores are told after."""


def has_result(final: Mapping[str, Any]) -> bool:
    """Whether a final result has a control that was measured."""
    return "anytime" in (final.get("control") or {}) and "error" not in final["control"]


def section(config: Mapping[str, Any], final: Mapping[str, Any], percent: bool) -> str:
    """A paragraph; `config` is for a run that has no result yet."""
    wanted = config.get("search", {}).get("control", "none") != "none"
    told = LATER if wanted and not final else words(final, percent)
    return f'<p class="soft">{escape(told)}</p>'


def words(final: Mapping[str, Any], percent: bool) -> str:
    """One line: that there is no control or why it has no result, else the best scores of both searches on the way."""
    control = final.get("control")
    if not control:
        return NONE
    if not has_result(final):
        return f"The random control has no result: {control['error']}"
    curves: Mapping[str, Sequence[Sequence[float]]] = control["anytime"]
    last = int(max(curve[-1][0] for curve in curves.values() if curve))
    marks = sorted({-(-last * part // MARKS) for part in range(1, MARKS + 1)})
    told = "; ".join(
        f"{name} {', '.join(number(_best(curve, mark), percent) for mark in marks)}" for name, curve in curves.items()
    )
    return f"Best score in the search after {', '.join(f'{mark:,}' for mark in marks)} evaluations: {told}."


def _best(curve: Sequence[Sequence[float]], evaluations: int) -> float | None:
    """The best score after so many evaluations; None before the first."""
    return next((point[1] for point in reversed(curve) if point[0] <= evaluations), None)
