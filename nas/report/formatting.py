"""Formats of numbers, for the report's page and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..analysis.intervals import Estimate

NONE = "–"
"""Text in place of a number that there is none of."""
ALL_EQUAL = "all values equal"
"""Text in place of an interval where no two tasks differ, so that there is none."""
PAGE, TERMINAL = ".4g", ".3f"
"""Formats of scores that are no accuracies."""


def number(value: float | None, percent: bool, *, signed: bool = False, bare: bool = False, plain: str = PAGE) -> str:
    """A score.

    Args:
        value: The score; None or not a number where there is none.
        percent: Whether it is an accuracy, written as a percentage.
        signed: Whether it is a difference, written with its sign and without the sign %.
        bare: Whether the sign % is left out.
        plain: Format of a score that is no accuracy.
    """
    if value is None or math.isnan(value):
        return NONE
    sign = "+" if signed else ""
    if percent:
        return f"{100 * value:{sign}.1f}{'' if bare or signed else ' %'}"
    return f"{value:{sign}{plain}}"


def interval(ends: Sequence[float] | None, percent: bool, *, signed: bool = False, plain: str = PAGE) -> str:
    """Both ends of an interval of scores; the arguments are those of `number`.

    Earlier versions stored intervals of accuracies that went beyond 0 or 1; they are cut there.
    """
    if not ends:
        return NONE
    if percent:
        ends = [min(1.0, max(-1.0 if signed else 0.0, end)) for end in ends]
    low, high = (number(end, percent, signed=signed, bare=True, plain=plain) for end in ends)
    return f"{low} – {high}" if percent else f"{low} to {high}"


def interval_of(estimate: Estimate, percent: bool, *, signed: bool = False, plain: str = PAGE) -> str:
    """The 95 % interval of an estimate, or that all values are equal."""
    if estimate.stderr == 0:
        return ALL_EQUAL
    return interval(estimate.interval, percent, signed=signed, plain=plain)


def span(ends: Sequence[float], form: str) -> str:
    """Both ends of an interval of numbers of any kind, in a format."""
    low, high = ends
    return f"{low:{form}} – {high:{form}}"


def probability(p_value: float | None) -> str:
    """', p = 0.012', to follow a text; empty where there is none."""
    if p_value is None:
        return ""
    return f", p = {p_value:.3f}" if p_value >= 0.001 else ", p < 0.001"


def sizes(costs: Mapping[str, float]) -> list[str]:
    """Parameters and MFLOPs from a score's metrics, each empty where it is not known."""
    parameters = f"{costs['parameters']:,.0f}" if "parameters" in costs else ""
    return [parameters, mflops(costs) if "flops" in costs else ""]


def mflops(costs: Mapping[str, float]) -> str:
    """MFLOPs from a score's metrics, after "≥" where some of a network's operations could not be counted."""
    uncounted = "≥ " if costs.get("flops_uncounted") else ""
    return f"{uncounted}{costs.get('flops', 0) / 1e6:,.2f}"


def listed(names: Sequence[str]) -> str:
    """'tasks, trainings and classes'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
