"""Sentences on what the intervals of a result cover, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..analysis.final_result import FinalResult
from ..analysis.intervals import TASKS, TRAININGS, Estimate
from .formatting import NONE, interval, listed, number

BASE = (TASKS, TRAININGS)


def sentences(final: FinalResult) -> Iterator[str]:
    """Sentences on what the intervals on the test tasks cover, and on the standard error that each part contributes.

    Results that an earlier version stored have an interval over tasks and trainings, and another one over classes.
    """
    percent = final.percent
    estimates = {role: entry.estimate for role, entry in final.tested.items()}
    if final.difference is not None:
        estimates["difference"] = final.difference
    with_parts = {role: estimate for role, estimate in estimates.items() if estimate.parts}
    if not with_parts:
        yield from _earlier(estimates, percent)
        return
    names = list(dict.fromkeys(name for estimate in with_parts.values() for name in estimate.parts))
    names.sort(key=lambda name: BASE.index(name) if name in BASE else len(BASE))
    units = [name for name in names if name not in BASE]
    num_units = next(iter(with_parts.values())).units
    counted = f" ({num_units} {units[0]} here)" if units and num_units is not None else ""
    shown = [final.unit if name == TASKS else name for name in names]
    yield f"95 % intervals are over other {listed(shown)} like these{counted}."
    yield from _conditional(final, with_parts)
    if len(names) > 1:
        errors = ", ".join(f"{role} {_errors(estimate, names, percent)}" for role, estimate in with_parts.items())
        # The part of the classes holds the differences between tasks that are due to the results of their classes.
        besides = {TASKS: f"tasks besides their {units[0]}" if units else final.unit}
        sources = " · ".join(besides.get(name, name) for name in names)
        yield f"Standard errors{' in points' if percent else ''} from {sources}: {errors}."


def _conditional(final: FinalResult, estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """The results whose interval holds for their trainings only, with each training's value."""
    roles = [role for role, estimate in estimates.items() if TRAININGS not in estimate.parts]
    if not roles:
        return
    seeds = {role: final.tested[role].seeds for role in roles if role in final.tested}
    each = "; ".join(
        f"{role} {', '.join(number(value, final.percent) for value in values)}"
        for role, values in seeds.items()
        if values
    )
    trainings = f" Each training: {each}." if each else ""
    yield f"For these trainings only: {', '.join(roles)}; so few do not tell how others would differ.{trainings}"


def _errors(estimate: Estimate, names: list[str], percent: bool) -> str:
    parts = estimate.parts
    return " · ".join(number(parts[name], percent, bare=True) if name in parts else NONE for name in names)


def _earlier(estimates: Mapping[str, Estimate], percent: bool) -> Iterator[str]:
    intervals = [
        f"{role} {interval(estimate.classes, percent, signed=role == 'difference')}"
        for role, estimate in estimates.items()
        if estimate.classes is not None
    ]
    if intervals:
        yield (
            "95 % intervals are over tasks and seeds, for these classes. Over classes like these (bootstrap, by an "
            f"earlier version): {', '.join(intervals)}."
        )
