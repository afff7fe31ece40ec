"""What the intervals of a result cover, in sentences for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .formatting import interval, number

BASE = ("tasks", "trainings")


def sentences(results: Mapping[str, Mapping[str, Any]], percent: bool) -> Iterator[str]:
    """What the intervals of results cover, by their roles, and the standard error that each part contributes.

    Results that an earlier version stored have an interval over tasks and trainings, and another one over classes.
    """
    new = {role: result for role, result in results.items() if "parts" in result}
    if not new:
        yield from _earlier(results, percent)
        return
    first = next(iter(new.values()))
    names = list(dict.fromkeys(name for result in new.values() for name in result["parts"]))
    names.sort(key=lambda name: BASE.index(name) if name in BASE else len(BASE))
    units = [name for name in names if name not in BASE]
    counted = f" ({first['units']} {units[0]} here)" if units and "units" in first else ""
    yield f"95 % intervals are over other {_listed(names)} like these{counted}."
    conditional = [role for role, result in new.items() if "trainings" not in result["parts"]]
    if conditional:
        each = "; ".join(
            f"{role} {', '.join(number(value, percent) for value in result['seeds'])}"
            for role, result in new.items()
            if role in conditional and "seeds" in result
        )
        told = f" Each training: {each}." if each else ""
        yield f"For these trainings only: {', '.join(conditional)}; so few do not tell how others would differ.{told}"
    if len(names) > 1:
        listed = ", ".join(f"{role} {_errors(result, names, percent)}" for role, result in new.items())
        # What tasks differ by in the results of their classes is in the part of the classes.
        besides = {"tasks": f"tasks besides their {units[0]}"} if units else {}
        sources = " · ".join(besides.get(name, name) for name in names)
        yield f"Standard errors{' in points' if percent else ''} from {sources}: {listed}."


def _errors(result: Mapping[str, Any], names: list[str], percent: bool) -> str:
    parts = result["parts"]
    return " · ".join(number(parts[name], percent, bare=True) if name in parts else "–" for name in names)


def _earlier(results: Mapping[str, Mapping[str, Any]], percent: bool) -> Iterator[str]:
    over = [
        f"{role} {interval(result['class_interval'], percent, signed=role == 'difference')}"
        for role, result in results.items()
        if "class_interval" in result
    ]
    if over:
        yield (
            "95 % intervals are over tasks and seeds, for these classes. Over classes like these (bootstrap, by an "
            f"earlier version): {', '.join(over)}."
        )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
